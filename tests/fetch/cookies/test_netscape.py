"""The file: what browsers, curl and http.cookiejar write is read, and they read what we write."""

from __future__ import annotations

from http.cookiejar import MozillaCookieJar

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crawler.fetch.cookies.jar import Jar
from crawler.fetch.cookies.netscape import read, write
from crawler.models import Cookie
from crawler.urls import parse

NOW = 1_800_000_000.0
EXPORT = (
    "\ufeff# Netscape HTTP Cookie File\r\n"
    "# http://curl.haxx.se/rfc/cookie_spec.html\r\n"
    "# This is a generated file!  Do not edit.\r\n"
    "\r\n"
    "#HttpOnly_.shop.example\tTRUE\t/\tTRUE\t1900000000\tsession\ts3cret\r\n"
    "www.shop.example\tFALSE\t/cart\tFALSE\t0\tcart\tü\r\n"
    ".shop.example\tTRUE\t/\tFALSE\t1900000000.25\tprecise\t1\r\n"
    ".shop.example\tTRUE\t/\tFALSE\t1000000000\told\t1\r\n"
    "www.shop.example\tFALSE\t/\tFALSE\t0\tempty\t\r\n"
    "www.shop.example\tFALSE\t/\tFALSE\t0\tstripped\r\n"
)


class TestRead:
    def test_a_browsers_export(self):
        """With a BOM and CRLF; comments, cookies of a session, and those that have ended."""
        cookies, broken = read(EXPORT.encode(), NOW)
        assert broken == []
        value = "ü".encode().decode("latin-1")
        assert cookies == [
            Cookie("session", "s3cret", "shop.example", "/", False, True, True, 1_900_000_000.0),
            Cookie("cart", value, "www.shop.example", "/cart"),
            Cookie("precise", "1", "shop.example", "/", False, expires=1_900_000_000.25),
            Cookie("empty", "", "www.shop.example"),
            Cookie("stripped", "", "www.shop.example"),
        ]

    @pytest.mark.parametrize(
        ("line", "fault"),
        [
            ("a=b", "it has 1 column and not 7 with tabs between them"),
            ("x.example FALSE / FALSE 0 a b", "it has 1 column"),
            ("x.example\tFALSE\t/\tFALSE\t0\ta\tb\tc", "it has 8 columns"),
            ("\tFALSE\t/\tFALSE\t0\ta\tb", "its first column is no domain"),
            ("x.example\tno\t/\tFALSE\t0\ta\tb", "its second column is neither TRUE nor FALSE"),
            ("x.example\tFALSE\tcart\tFALSE\t0\ta\tb", "its third column is no path"),
            ("x.example\tFALSE\t/\t1\t0\ta\tb", "its fourth column is neither TRUE nor FALSE"),
            ("x.example\tFALSE\t/\tFALSE\tsoon\ta\tb", "its fifth column is no time"),
            ("x.example\tFALSE\t/\tFALSE\t0\ta\tb;c", "its name and value are none that a cookie can have"),
            ("x.example\tFALSE\t/\tFALSE\t0\t\t", "its name and value are none that a cookie can have"),
            ("Set-Cookie: a=b", "it names no Domain, so nobody knows whose it is"),
            ("set-cookie: a=\x01; Domain=x.example", "it is no Set-Cookie that could be kept"),
        ],
    )
    def test_a_broken_line_costs_no_other(self, line, fault):
        """It is told with its number, and without what is in it: that may be a login."""
        good = "x.example\tFALSE\t/\tFALSE\t0\ta\tb"
        cookies, broken = read(f"# x\n{good}\n{line}\n{good}\n".encode(), NOW)
        assert len(cookies) == 2
        ((number, words),) = broken
        assert number == 3
        assert words.startswith(fault)

    def test_headers_will_do(self):
        """As curl -b takes them, and as they stand in a saved answer."""
        cookies, broken = read(
            b"Set-Cookie: a=b; Domain=.X.example; Path=/p; Secure\r\nSet-Cookie: c=d; domain=x.example", NOW
        )
        assert broken == []
        assert cookies == [
            Cookie("a", "b", "x.example", "/p", host_only=False, secure=True),
            Cookie("c", "d", "x.example", host_only=False),
        ]


class TestWrite:
    COOKIES = (
        Cookie("a", "b", "x.example", "/p", host_only=False, secure=True, http_only=True, expires=1_900_000_000.0),
        Cookie("c", "ü".encode().decode("latin-1"), "www.x.example"),
        Cookie("", "nameless", "www.x.example", "/q"),
    )

    def test_we_read_what_we_write(self):
        """Both ways: but for what the format has no column for."""
        assert read(write(self.COOKIES), NOW) == (list(self.COOKIES), [])

    @given(st.binary(max_size=300))
    def test_nothing_breaks_the_reader(self, data):
        """Whatever is in a file: what was read once is read again as it was."""
        cookies, _ = read(data, NOW)
        again, broken = read(write(cookies), NOW)
        assert broken == []
        assert [(c.name, c.value, c.domain, c.path) for c in again] == [
            (c.name, c.value, c.domain, c.path) for c in cookies
        ]

    @given(st.text(st.sampled_from('a=;/\t #"._\xff') | st.characters(max_codepoint=255), max_size=60))
    @example("a=b; Path=/c\td")
    @example("#HttpOnly_a; Path=/\tFALSE")
    def test_no_server_breaks_it(self, line):
        """Whatever it sets: a job's file, and everybody's jar, can be read the next time."""
        jar = Jar(is_public=lambda _: False)
        jar.hear(parse("https://www.x.example/p/q"), [line, f"a=b;{line}", f"a=b; Path=/{line}"], NOW)
        cookies, broken = read(write(jar), NOW)
        assert broken == []
        assert [(c.name, c.value, c.path) for c in cookies] == [(c.name, c.value, c.path) for c in jar]

    @pytest.mark.parametrize("line", ["a=b; Domain=x\ty.example", "a=b; Domain=x.example; Path=/a\tb"])
    def test_headers_with_a_tab_inside(self, line):
        """A line of the other form that no line of this form can say is told of, and not written."""
        cookies, broken = read(f"Set-Cookie: {line}\n".encode(), NOW)
        assert (cookies, len(broken)) == ([], 1)

    def test_the_standard_library_reads_it(self, tmp_path):
        """http.cookiejar, and so requests, urllib3 and yt-dlp; and we read what it writes."""
        path = tmp_path / "cookies.txt"
        path.write_bytes(write(self.COOKIES[:2]))
        jar = MozillaCookieJar(path)
        jar.load(ignore_discard=True, ignore_expires=True)
        assert {(c.name, c.domain, c.path, c.secure, c.expires) for c in jar} == {
            ("a", ".x.example", "/p", True, 1_900_000_000),
            ("c", "www.x.example", "/", False, 0),
        }
        jar.save(ignore_discard=True, ignore_expires=True)
        cookies, broken = read(path.read_bytes(), NOW)
        assert broken == []
        assert [(c.name, c.domain, c.host_only) for c in cookies] == [
            ("a", "x.example", False),
            ("c", "www.x.example", True),
        ]
