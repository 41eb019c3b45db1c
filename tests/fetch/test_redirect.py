"""redirect.py: which answers lead on, where to, and why a Location is refused."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.errors import CodedError
from crawler.fetch.cookies.keeping import MAX_CARRIED, Cookies
from crawler.fetch.redirect import next_hop
from crawler.frontier.memory import size_of
from crawler.models import Ask, Input, Redirect, Request, Response, Timings
from crawler.urls import parse


def request(url: str = "https://a.example/dir/page", **fields: object) -> Request:
    parsed = parse(url)
    return Request(**{"id": 7, "url": parsed, "written": "as written", "input": Input(), "accepted": 3.5, **fields})


def answer(*locations: str | bytes, status: int = 302) -> Response:
    """A redirect as fetch gives it: header values are latin-1 text of the bytes on the wire."""
    values = [value.decode("latin-1") if isinstance(value, bytes) else value for value in locations]
    return Response(Timings(), 0.0, status=status, headers={"location": values} if values else {})


def follow(
    response: Response, asked: Request | None = None, *, max_redirects: int = 10, https_only: bool = False
) -> Request | None:
    return next_hop(asked or request(), response, max_redirects=max_redirects, https_only=https_only)


def href(location: str | bytes, base: str = "https://a.example/dir/page") -> str:
    hop = follow(answer(location), request(base))
    assert hop is not None
    return hop.url.href


def refused(response: Response, asked: Request | None = None, **rules: int) -> CodedError:
    with pytest.raises(CodedError) as caught:
        follow(response, asked, **rules)
    return caught.value


class TestWhichAnswers:
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_these_lead_on(self, status):
        """The five redirects of RFC 9110; the hop is the same request at another place."""
        asked = request(method="HEAD", attempt=2)
        hop = follow(answer("/next", status=status), asked)
        expected = msgspec.structs.replace(
            asked,
            url=parse("https://a.example/next"),
            redirects=(Redirect("https://a.example/dir/page", status, None, "HEAD"),),
        )
        assert hop == expected

    @pytest.mark.parametrize(
        ("method", "status", "then", "with_body"),
        [
            ("POST", 301, "GET", False),
            ("POST", 302, "GET", False),
            ("POST", 303, "GET", False),
            ("POST", 307, "POST", True),
            ("POST", 308, "POST", True),
            ("PUT", 301, "PUT", True),
            ("PUT", 302, "PUT", True),
            ("PUT", 303, "GET", False),
            ("DELETE", 302, "DELETE", True),
            ("PATCH", 308, "PATCH", True),
            ("GET", 302, "GET", True),
            ("GET", 303, "GET", True),
            ("HEAD", 303, "HEAD", True),
        ],
    )
    def test_the_method_after_it(self, method, status, then, with_body):
        """The Fetch Standard's table: a body goes along with its method, or is dropped with all that tells of it."""
        headers = (("X-Mine", "1"), ("content-encoding", "gzip"), ("Content-Language", "de"))
        ask = Ask(headers=headers, body=b"a=1", content_type="text/plain", meta=[1])
        hop = follow(answer("/next", status=status), request(method=method, ask=ask))
        left = ask if with_body else Ask(headers=headers[:1], meta=[1])
        assert (hop.method, hop.ask) == (then, left)
        assert hop.redirects[-1].method == method

    def test_nothing_is_left_of_a_body_alone(self):
        """Then the hop is as any plain one."""
        hop = follow(answer("/next", status=303), request(method="POST", ask=Ask(body=b"", content_type="text/plain")))
        assert (hop.method, hop.ask) == ("GET", None)

    def test_back_to_where_it_was_posted_to_is_no_circle(self):
        """Post, redirect, get: the usual end of a form. Posting there again is one."""
        asked = request("https://a.example/form", method="POST", ask=Ask(body=b"a=1"))
        hop = follow(answer("/form", status=303), asked)
        assert (hop.method, hop.url.href) == ("GET", "https://a.example/form")
        assert refused(answer("/form", status=303), hop).code == "redirect_loop"
        assert refused(answer("/form", status=307), asked).code == "redirect_loop"

    @pytest.mark.parametrize("status", [200, 201, 300, 304, 305, 306, 310, 404, 503])
    def test_others_do_not(self, status):
        """A Location elsewhere is information, not an order."""
        response = answer("/next", status=status)
        assert follow(response) is None
        assert response.warnings == []

    @pytest.mark.parametrize("response", [answer(), answer(""), answer("", "")])
    def test_without_a_location_it_is_final(self, response):
        """As in curl: the answer stands, with a warning."""
        assert follow(response) is None
        assert response.warnings == ["no_location"]

    def test_warnings_that_were_there_stay(self):
        """The list of the response is not shared with others, and nothing is lost from it."""
        warnings = ["bad_header"]
        response = answer()
        response.warnings = warnings
        follow(response)
        assert (response.warnings, warnings) == (["bad_header", "no_location"], ["bad_header"])

    def test_none_are_followed_if_none_are_allowed(self):
        """`--max-redirects 0` takes the redirect for the answer."""
        response = answer("/next")
        assert follow(response, max_redirects=0) is None
        assert response.warnings == []

    def test_the_same_location_twice_is_one(self):
        """A proxy that repeats a header does no harm; an empty one beside it does not count."""
        for response in (answer("/x", "/x"), answer("", "/x")):
            hop = follow(response)
            assert hop is not None
            assert hop.url.target == "/x"

    def test_two_different_locations(self):
        """Which one a browser takes is an accident, or an attack."""
        assert refused(answer("/x", "https://evil.example/")).code == "redirect_invalid"


class TestWhereTo:
    @pytest.mark.parametrize(
        ("location", "expected"),
        [
            ("next", "https://a.example/dir/next"),
            ("../up?q", "https://a.example/up?q"),
            ("?q=1", "https://a.example/dir/page?q=1"),
            ("//b.example", "https://b.example/"),
            ("HTTP://B.Example:80/x#frag", "http://b.example/x"),
            ("http://b.example:8080/", "http://b.example:8080/"),
            ("/a b", "https://a.example/a%20b"),
            ("/ü/日本".encode(), "https://a.example/%C3%BC/%E6%97%A5%E6%9C%AC"),
            (b"/caf\xe9?q=\xfc", "https://a.example/caf%E9?q=%FC"),
            ("https://bücher.example/".encode(), "https://xn--bcher-kva.example/"),
            ("/%C3%BC%zz", "https://a.example/%C3%BC%zz"),
            ("http:/b.example", "http://b.example/"),
            ("?", "https://a.example/dir/page?"),
            ("\\\\b.example\\x", "https://b.example/x"),
        ],
    )
    def test_as_browsers_resolve_it(self, location, expected):
        """Against the URL that answered; spaces and UTF-8 are encoded, other bytes stay what they are."""
        assert href(location) == expected

    def test_each_hop_is_the_base_of_the_next(self):
        """RFC 9110 section 10.2.2: relative to the URL that answered, not to the first one."""
        asked = request("http://a.example/one/")
        for location, expected in (
            ("http://b.example/two/x", "http://b.example/two/x"),
            ("y", "http://b.example/two/y"),
            ("/z", "http://b.example/z"),
            ("//c.example", "http://c.example/"),
            ("w", "http://c.example/w"),
        ):
            hop = follow(answer(location), asked)
            assert hop is not None
            assert hop.url.href == expected
            asked = hop
        assert [redirect.url for redirect in asked.redirects] == [
            "http://a.example/one/",
            "http://b.example/two/x",
            "http://b.example/two/y",
            "http://b.example/z",
            "http://c.example/",
        ]
        assert (asked.id, asked.written, asked.accepted) == (7, "as written", 3.5)

    @pytest.mark.parametrize(
        ("location", "userinfo"),
        [
            ("next", "user:secret"),
            ("https://a.example:443/x", "user:secret"),
            ("https://other:one@a.example/x", "user:secret"),
            ("http://a.example/", ""),
            ("https://a.example:8443/", ""),
            ("https://b.example/", ""),
            ("https://other:one@b.example/", ""),
        ],
    )
    def test_userinfo_stays_inside_the_origin(self, location, userinfo):
        """There it goes along; a Location's own counts for nothing, and where it was once lost it does not come back."""
        hop = follow(answer(location), request("https://user:secret@a.example/"))
        assert hop is not None
        assert hop.url.userinfo == userinfo
        back = follow(answer("https://a.example/back"), hop)
        assert back is not None
        assert back.url.userinfo == userinfo
        assert "secret" not in repr(back)

    def test_userinfo_in_a_location_is_not_shown(self):
        """It is kept apart from what is recorded and shown."""
        hop = follow(answer("https://user:secret@b.example/x"))
        assert hop is not None
        assert hop.url.href == "https://b.example/x"
        second = follow(answer("/y"), hop)
        assert second is not None
        assert "secret" not in repr(second.redirects)


class TestRefused:
    @pytest.mark.parametrize(
        "location",
        [
            "http://b.example:99999/",
            "http://b.example:0/",
            "http://b.example:port/",
            "http://[::1/",
            "http://[fe80::1%25eth0]/",
            "http:///",
            "http://b..example/",
            "http://a b.example/",
            f"http://{'x' * 64}.example/",
            b"http://\xff.example/",
        ],
    )
    def test_no_usable_url(self, location):
        """A bad port, host or address is not guessed at."""
        error = refused(answer(location))
        assert (error.code, error.phase, error.transient) == ("redirect_invalid", "headers", False)
        assert "Location" in error.message

    @pytest.mark.parametrize(
        "location",
        ["file:///etc/passwd", "ftp://b.example/", "data:text/html,x", "javascript:alert(1)", "mailto:a@b.example",
         "ws://b.example/", "wss://b.example/", "about:blank", "gopher://b.example/", "view-source:http://b.example/"],
    )  # fmt: skip
    def test_other_schemes(self, location):
        """Nothing leads out of http and https."""
        assert refused(answer(location)).code == "redirect_scheme"

    @pytest.mark.parametrize(
        "location", ["http://user:secret@b.example:99999/", "ftp://user:secret@b.example/", "http://user:secret@/"]
    )
    def test_messages_hide_userinfo(self, location):
        """What is refused is shown without its password."""
        assert "secret" not in refused(answer(location)).message

    def test_downgrade_only_if_asked(self):
        """From https to http is common; `--https-only` refuses it, and only that."""
        assert href("http://a.example/") == "http://a.example/"
        assert refused(answer("http://a.example/x"), https_only=True).code == "redirect_downgrade"
        assert follow(answer("https://b.example/"), https_only=True) is not None
        assert follow(answer("https://b.example/"), request("http://a.example/"), https_only=True) is not None
        assert follow(answer("http://b.example/"), request("http://a.example/"), https_only=True) is not None

    @pytest.mark.parametrize(
        "location", ["page", "#fragment", "https://a.example:443/dir/page", "https://u:p@A.example/dir/./page"]
    )
    def test_to_itself(self, location):
        """However it is written."""
        assert refused(answer(location)).code == "redirect_loop"

    def test_back_into_the_chain(self):
        """An earlier URL is asked once more: who counts, or remembers us, may answer otherwise. Then it is a loop."""
        asked = request("https://a.example/1")
        for location in ("/2", "/1", "/2"):
            hop = follow(answer(location), asked)
            assert hop is not None
            asked = hop
        error = refused(answer("/1"), asked)
        assert (error.code, error.message) == ("redirect_loop", "back to https://a.example/1 after 4 redirects")

    def test_to_itself_with_a_cookie(self):
        """It looks whether the cookie comes back, which none does: the message says why it is a loop."""
        asked = request("https://a.example/1")
        again = answer("/1")
        again.headers["set-cookie"] = ["seen=1"]
        hop = follow(again, asked)
        assert hop is not None
        assert (hop.url, hop.redirects) == (asked.url, (Redirect("https://a.example/1", 302),))
        error = refused(answer("/1"), hop)
        assert error.code == "redirect_loop"
        assert error.message == (
            "back to https://a.example/1 after 2 redirects; a cookie was set on the way, and cookies are not kept"
        )

    def test_a_cookie_that_was_set_earlier(self):
        """Whichever redirect of the chain set it."""
        asked = request("https://a.example/1")
        first = answer("/2")
        first.headers["set-cookie"] = ["seen=1"]
        for response in (first, answer("/1"), answer("/2")):
            hop = follow(response, asked)
            assert hop is not None
            asked = hop
        assert "a cookie was set" in refused(answer("/1"), asked).message

    def test_a_broken_body_is_told_of(self):
        """The hop says what was wrong with the body of the redirect that led to it."""
        response = answer("/next")
        response.broken = "body_truncated"
        hop = follow(response)
        assert hop is not None
        assert hop.redirects == (Redirect("https://a.example/dir/page", 302, "body_truncated"),)

    @pytest.mark.parametrize("allowed", [1, 2, 10])
    def test_too_many(self, allowed):
        """That many are followed, the next is not."""
        asked = request("https://a.example/0")
        for number in range(1, allowed + 1):
            hop = follow(answer(f"/{number}"), asked, max_redirects=allowed)
            assert hop is not None
            asked = hop
        assert len(asked.redirects) == allowed
        error = refused(answer("/more"), asked, max_redirects=allowed)
        assert (error.code, error.message) == ("too_many_redirects", f"more than {allowed} redirects")

    def test_long_locations_are_cut_in_messages(self):
        """A server cannot fill the output with its own text."""
        assert len(refused(answer("ftp://" + "x" * 100_000)).message) <= 500


@settings(max_examples=60, derandomize=True, database=None)
@given(st.binary(max_size=60) | st.text(max_size=40).map(lambda text: text.encode("utf-8", "replace")))
def test_any_bytes(location):
    """Whatever stands in a Location: a hop over http or https, a final answer, or one of the codes."""
    response = answer(location)
    try:
        hop = follow(response)
    except CodedError as error:
        assert error.code in {"redirect_invalid", "redirect_scheme", "redirect_loop"}
        return
    if hop is None:
        assert location == b""
        return
    assert hop.url.scheme in {"http", "https"}
    assert hop.url.href.isascii()
    assert parse(hop.url.href).href == hop.url.href


def test_cookies_of_a_chain_are_bounded() -> None:
    """Ten hops with 200 kB of cookies each: a URL carries the newest, a few kB of them, however long it waits."""
    onward = request("https://a.example/0")
    for number in range(1, 11):
        response = answer(f"/{number}")
        response.headers["set-cookie"] = [f"n{number}-{at}={'x' * 4_000}; Path=/" for at in range(50)]
        following = next_hop(onward, response, max_redirects=10, https_only=False, keep=Cookies().hop)
        assert following is not None
        onward = following
    assert [cookie.name for cookie in onward.cookies][-2:] == ["n10-48", "n10-49"]
    assert 2 * 4_000 < sum(cookie.size for cookie in onward.cookies) <= MAX_CARRIED
    assert size_of(onward) < 2 * MAX_CARRIED
