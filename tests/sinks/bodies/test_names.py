"""crawler.sinks.bodies.names: what comes from the network becomes a name that every file system takes."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.sinks.bodies.names import LONGEST, LONGEST_PATH, by_name, by_url, disposed, numbered, safe

RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$) *(\..*)?")


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ('attachment; filename="a.pdf"', "a.pdf"),
        ("attachment; filename=a.pdf", "a.pdf"),
        ("attachment;filename = a b.pdf ; size=1", "a b.pdf"),
        ('inline; FILENAME="a.pdf"', "a.pdf"),
        ("attachment; filename=\"a.pdf\"; filename*=UTF-8''%e2%82%ac%20rates.pdf", "€ rates.pdf"),
        ("attachment; filename*=iso-8859-1'en'%A3%20rates", "£ rates"),
        ("attachment; filename*=UTF-8''%ff.pdf", "\ufffd.pdf"),
        ("attachment; filename*=no-charset''x; filename=\"a.pdf\"", "a.pdf"),
        (r'attachment; filename="a\"b.pdf"', 'a"b.pdf'),
        (r'attachment; filename="C:\dir\a.pdf"', "a.pdf"),
        ('attachment; filename="../../etc/passwd"', "passwd"),
        ("attachment; filename*=UTF-8''..%2F..%2Fetc%2Fpasswd", "passwd"),
        ('attachment; filename="r\xc3\xa9sum\xc3\xa9.pdf"', "résumé.pdf"),
        ('attachment; filename="r\xe9sum\xe9.pdf"', "résumé.pdf"),
        ('attachment; filename="a;b.pdf"', "a;b.pdf"),
        ("attachment", ""),
        ('attachment; name="x"', ""),
        ('attachment; filename="', ""),
        ("", ""),
    ],
)
def test_content_disposition(value, name):
    """RFC 6266: the extended form goes before the plain one, a path is cut off, and UTF-8 is read as such."""
    assert disposed(value) == name


@pytest.mark.parametrize("piece", [';a="', 'filename="', ";;;;", '\\"', "filename*=UTF-8'", "=" * 9])
def test_content_disposition_is_read_in_linear_time(piece):
    """However it is made: a quarter of a megabyte of it takes no longer than its beginning."""
    assert len(disposed("attachment; " + piece * 50_000)) <= 4096


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("report.pdf", "report.pdf"),
        ("CON", "CON_"),
        ("CON .txt", "CON_.txt"),
        ("Nul  .tar.gz", "Nul_.tar.gz"),
        ("nul.txt", "nul_.txt"),
        ("a. ", "a"),
        ("..", "_"),
        (".", "_"),
        ("", "_"),
        ("...", "_"),
        (".bashrc", "_bashrc"),
        (".crawler-0123", "_crawler-0123"),
        ("-rf", "_rf"),
        ("~root", "_root"),
        ("=1+1", "_1+1"),
        ("a/b\\c:d*e?f", "a_b_c_d_e_f"),
        ("a\0b\nc", "a_b_c"),
        ("photo\u202egnp.exe", "photo_gnp.exe"),
        ("e\u0301", "é"),
        ("\ud800", "_"),
    ],
)
def test_safe(name, expected):
    """Separators, reserved names, hidden files, options of a shell, what is not seen or is seen reversed."""
    assert safe(name) == expected


@given(st.text(max_size=400))
def test_every_name_is_safe(name):
    """Whatever it is made of."""
    found = safe(name)
    assert 0 < len(found.encode()) <= LONGEST
    assert not set(found) & set('/\\:*?"<>|') and found.isprintable()
    assert found[0] not in ".-~ " and found[-1] not in ". "
    assert not RESERVED.fullmatch(found)
    assert safe(found) == found


def test_long_names():
    """Cut to bytes, not characters, with the suffix; and two that begin alike stay two."""
    one, two = safe("é" * 300 + "1.pdf"), safe("é" * 300 + "2.pdf")
    assert one != two
    assert one.endswith(".pdf")
    assert LONGEST - 2 <= len(one.encode()) <= LONGEST


@pytest.mark.parametrize(
    ("url", "disposition", "content_type", "name"),
    [
        ("http://h/a/report.pdf?x=1", None, "application/pdf", "report.pdf"),
        ("http://h/a/report", None, "application/pdf", "report.pdf"),
        ("http://h/2301.12345", None, "application/pdf", "2301.12345.pdf"),
        ("http://h/v1.tar.gz", None, "application/gzip", "v1.tar.gz"),
        ("http://h/a/", None, "text/html", "index.html"),
        ("http://h", None, "text/html", "index.html"),
        ("http://h/", None, None, "index"),
        ("http://h/x", None, "application/octet-stream", "x"),
        ("http://h/%E2%82%AC.pdf", None, "application/pdf", "€.pdf"),
        ("http://h/%2e%2e%2fetc%2fpasswd", None, "text/plain", "_._etc_passwd.txt"),
        ("http://h/get.php?id=7", 'attachment; filename="real.pdf"', "application/pdf", "real.pdf"),
        ("http://h/get.php", 'attachment; filename="real"', "application/pdf", "real.pdf"),
        ("http://h/page.php", None, "text/html", "page.php"),
    ],
)
def test_by_name(url, disposition, content_type, name):
    """Content-Disposition, else the last segment of the URL; a suffix of the type where there is none."""
    assert by_name(url, [] if disposition is None else [disposition], content_type) == name


@pytest.mark.parametrize(
    ("url", "content_type", "path"),
    [
        ("http://h.example/", "text/html", "h.example/index.html"),
        ("http://h.example/a/b.html", "text/html", "h.example/a/b.html"),
        ("http://h.example/a/", "text/html", "h.example/a/index.html"),
        ("http://h.example/a", "text/html", "h.example/a.html"),
        ("http://h.example/v1/", "application/json", "h.example/v1/index.json"),
        ("https://h.example:8443/a.pdf", "application/pdf", "h.example+8443/a.pdf"),
        ("https://h.example:443/a.pdf", "application/pdf", "h.example/a.pdf"),
        ("http://[::1]:8080/a.pdf", "application/pdf", "__1+8080/a.pdf"),
        ("http://h.example/s.php?q=1&p=a/b", "text/html", "h.example/s.php@q=1&p=a_b.html"),
        ("http://h.example/?p=2", "text/html", "h.example/index.html@p=2.html"),
        ("http://h.example/con/aux.txt", "text/plain", "h.example/con_/aux_.txt"),
        ("http://h.example/a%2Fb/%2e%2e/c.txt", "text/plain", "h.example/a_b/_/c.txt"),
        ("http://h.example//x//y.txt", "text/plain", "h.example/_/x/_/y.txt"),
    ],
)
def test_by_url(url, content_type, path):
    """As wget lays it out: host, folders, file; the query behind "@", a port behind "+"."""
    assert "/".join(by_url(url, content_type)) == path


def test_long_paths():
    """Too long for a file system: the folders are there as a hash, so that two stay two."""
    one = by_url("http://h/" + "x" * 99 + "/" + "y/" * 900 + "a.pdf", None)
    two = by_url("http://h/" + "x" * 99 + "/" + "y/" * 901 + "a.pdf", None)
    assert one != two
    assert one[0] == "h"
    assert one[-1] == "a.pdf"
    assert len("/".join(one)) < LONGEST_PATH


@pytest.mark.parametrize(("name", "expected"), [("a.pdf", "a-2.pdf"), ("a", "a-2"), ("a.tar.gz", "a-2.tar.gz")])
def test_numbered(name, expected):
    """The number stands before the suffix."""
    assert numbered(name, 2) == expected


@pytest.mark.parametrize(
    ("url", "content_type", "file"),
    [
        ("http://h/a.php", "text/html", "a.php.html"),
        ("http://h/a.htm", "text/html", "a.htm"),
        ("http://h/a", "text/html", "a.html"),
        ("http://h/", "text/html", "index.html"),
        ("http://h/s.php?v=1", "text/css", "s.php@v=1.css"),
        ("http://h/d", "image/svg+xml", "d.svg"),
        ("http://h/x.html", "text/plain", "x.html.txt"),
        ("http://h/x.SVG", "application/octet-stream", "x.SVG.bin"),
        ("http://h/x.xhtml", "image/png", "x.xhtml.png"),
        ("http://h/feed.xml", "application/rss+xml", "feed.xml"),
        ("http://h/i.png", "image/png", "i.png"),
        ("http://h/x.html", None, "x.html"),
    ],
)
def test_a_type_is_what_a_browser_takes_a_file_for(url, content_type, file):
    """In a copy of a site: what was no page is none, and what was one is."""
    assert by_url(url, content_type, typed=True) == ("h", file)
