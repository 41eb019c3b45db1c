"""heads.py: which header fields a request gets, and which of them only where they may."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from crawler.fetch.heads import Heads
from crawler.fetch.sending.body import Outgoing
from crawler.models import Ask, Input, Redirect, Request
from crawler.urls import parse


def request(
    url: str, *, ask: Ask | None = None, parent: str | None = None, method: str = "GET", via: str | None = None
) -> Request:
    hops = () if via is None else (Redirect(via, 307, method=method),)
    return Request(0, parse(url), url, Input(parent=parent), 0.0, method, redirects=hops, ask=ask)


def heads(*headers: tuple[str, str], login: str | None = "") -> Heads:
    return Heads(user_agent="me", headers=headers, login=lambda _: login)


def fields(head: bytes) -> dict[str, str]:
    lines = head.decode().split("\r\n")
    assert lines[-2:] == ["", ""]
    return dict(line.split(": ", 1) for line in lines[1:-2])


def test_a_plain_request() -> None:
    head = heads().of(request("http://a.example/x?y"))
    assert head.startswith(b"GET /x?y HTTP/1.1\r\nHost: a.example\r\n")
    assert fields(head).keys() == {"Host", "User-Agent", "Accept", "Accept-Encoding"}


def test_a_header_of_a_request_replaces_that_of_the_run() -> None:
    ours = heads(("X-Key", "run"), ("X-Other", "run"))
    got = fields(ours.of(request("http://a.example/", ask=Ask(headers=(("x-key", "mine"), ("User-Agent", "you"))))))
    assert (got["x-key"], got["X-Other"], got["User-Agent"]) == ("mine", "run", "you")
    assert "X-Key" not in got


def test_what_is_private_stays_at_home() -> None:
    ours = heads(("X-Key", "run"), login=None)
    told = []

    def source(_: Request, private: bool) -> Iterator[tuple[str, str]]:
        told.append(private)
        yield "X-Source", "here"

    ours.sources.append(source)
    ask = Ask(headers=(("X-Own", "secret"), ("Accept-Language", "de")))
    got = fields(ours.of(request("http://b.example/", ask=ask, via="http://a.example/")))
    assert told == [False]
    assert got.keys() == {"Host", "User-Agent", "Accept", "Accept-Encoding", "Accept-Language", "X-Source"}


def test_what_the_user_writes_is_sent_in_place_of_a_source() -> None:
    """There is one field of a name; but where the user's does not go the other one does. Cookies are put together."""
    ours = heads(("If-None-Match", "mine"), ("Cookie", "a=1"))
    ours.sources.append(lambda *_: [("if-none-match", "ours"), ("Cookie", "b=2"), ("If-Modified-Since", "ours")])
    head = ours.of(request("http://a.example/"))
    assert head.lower().count(b"if-none-match") == 1
    got = fields(head)
    assert (got["If-None-Match"], got["Cookie"], got["If-Modified-Since"]) == ("mine", "b=2; a=1", "ours")
    away = heads(("If-None-Match", "mine"), login=None)
    away.sources.append(lambda *_: [("If-None-Match", "ours")])
    assert fields(away.of(request("http://a.example/", via="http://b.example/")))["If-None-Match"] == "ours"


@pytest.mark.parametrize("login", [None, "me:secret"])
@pytest.mark.parametrize(
    "headers", [(), (("X-Key", "run"), ("Host", "b.example")), (("cookie", "a=1"), ("accept", "x/y"))]
)
@pytest.mark.parametrize(
    "given",
    [
        (),
        (("If-None-Match", '"1"'), ("If-Modified-Since", "now")),
        (("X-KEY", "source"), ("X-More", "source")),
        (("Host", "c.example"), ("X-More", "source")),
        (("Cookie", "a=2; b=3"), ("Accept", "*/*")),
    ],
)
def test_a_plain_request_with_sources_is_composed_as_any_other(login, headers, given) -> None:
    """The block that all requests share is used where that makes no difference."""
    ours = heads(*headers, login=login)
    asked: list[bool] = []

    def source(_: Request, private: bool) -> tuple[tuple[str, str], ...]:
        asked.append(private)
        return given

    ours.sources.append(source)
    plain, whole = (
        ours.of(request("http://a.example/x", ask=ask, parent="http://a.example/")) for ask in (None, Ask())
    )
    assert plain == whole
    assert asked == [login is not None] * 2
    assert all(f"{name.lower()}: " in plain.decode().lower() for name, _ in given)


def test_what_was_written_for_a_request_goes_where_that_was_sent() -> None:
    """A spider that yields a request for another host, with headers, has chosen the host; a redirect has not."""
    ask = Ask(headers=(("X-Own", "secret"),))
    ours = heads(("X-Key", "run"), login=None)
    got = fields(ours.of(request("http://b.example/", ask=ask, parent="http://a.example/")))
    assert got["X-Own"] == "secret"
    assert "X-Key" not in got
    home, away = "http://b.example/before", "http://c.example/"
    assert "X-Own" in fields(ours.of(request("http://b.example/", ask=ask, parent=away, via=home)))
    assert "X-Own" not in fields(ours.of(request("http://b.example/", ask=ask, parent=away, via=away)))


KEY = {"b.example:443": (("X-Key", "host"),), "b.example:80": (("X-Key", "host"), ("Accept-Language", "de"))}


def of_hosts(*headers: tuple[str, str], login: str | None = "") -> Heads:
    return Heads(user_agent="me", headers=headers, login=lambda _: login, headers_at=lambda key: KEY.get(key, ()))


def test_the_headers_of_a_host_replace_those_of_the_run() -> None:
    """And a request's own replace both."""
    ours = of_hosts(("X-Key", "run"), ("X-Other", "run"))
    got = fields(ours.of(request("https://b.example/")))
    assert (got["X-Key"], got["X-Other"]) == ("host", "run")
    got = fields(ours.of(request("https://b.example/", ask=Ask(headers=(("X-Key", "own"),)))))
    assert got["X-Key"] == "own"
    assert fields(ours.of(request("https://a.example/")))["X-Key"] == "run"


def test_the_headers_of_a_host_stay_there() -> None:
    """Whoever leads to the host: the user has named it. In the clear they go only where those of the run go, too."""
    ours = of_hosts(("X-Run", "run"), login=None)
    led = fields(ours.of(request("https://b.example/", parent="https://a.example/")))
    assert led["X-Key"] == "host" and "X-Run" not in led
    clear = fields(ours.of(request("http://b.example/", parent="https://b.example/")))
    assert "X-Key" not in clear and clear["Accept-Language"] == "de"
    assert "X-Key" not in fields(ours.of(request("https://c.example/", parent="https://b.example/")))
    assert fields(of_hosts().of(request("http://b.example/")))["X-Key"] == "host"


def test_one_credential_in_a_request() -> None:
    """The Authorization of a host's table goes before the user and password of a URL, as that of the run does."""
    ours = Heads(user_agent="me", login=lambda _: "u:p", headers_at=lambda _: (("authorization", "Bearer x"),))
    head = ours.of(request("https://u:p@b.example/"))
    assert head.lower().count(b"authorization") == 1 and b"Bearer x" in head


BODY = Outgoing(b"a=1", 3, "text/x")


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE", "SEARCH"])
def test_what_tells_of_a_body(method: str) -> None:
    got = fields(heads().of(request("http://a.example/", ask=Ask(body=b"a=1"), method=method), BODY))
    assert (got["Content-Length"], got["Content-Type"]) == ("3", "text/x")


def test_a_header_that_a_request_brings_names_the_type() -> None:
    ask = Ask(headers=(("content-type", "text/mine"),), body=b"a=1")
    got = fields(heads(("Content-Type", "text/run")).of(request("http://a.example/", ask=ask, method="POST"), BODY))
    assert {name: value for name, value in got.items() if "type" in name.lower()} == {"content-type": "text/mine"}
    plain = fields(
        heads(("Content-Type", "text/run")).of(request("http://a.example/", ask=Ask(body=b"a=1"), method="POST"), BODY)
    )
    assert plain["Content-Type"] == "text/x"


def test_what_tells_of_a_body_goes_wherever_that_goes() -> None:
    """A redirect with 307 to another host takes both, and no other header of the request."""
    ask = Ask(headers=(("Content-Encoding", "gzip"), ("X-Key", "secret")), body=b"a=1")
    asked = request("http://a.example/", ask=ask, method="POST", via="http://b.example/")
    got = fields(heads(login=None).of(asked, BODY))
    assert (got["Content-Encoding"], got["Content-Type"], got["Content-Length"]) == ("gzip", "text/x", "3")
    assert "X-Key" not in got
    assert "Content-Encoding" not in fields(heads(login=None).of(asked))


@pytest.mark.parametrize(("method", "length"), [("POST", "0"), ("PUT", "0"), ("PATCH", "0"), ("DELETE", None)])
def test_no_body_where_one_might_be(method: str, length: str | None) -> None:
    """RFC 9110 section 8.6."""
    assert fields(heads().of(request("http://a.example/", method=method))).get("Content-Length") == length


def test_another_host_than_that_of_the_url() -> None:
    """One line of it, in its place; where the user's headers do not go the URL tells."""
    head = heads(("host", "b.example")).of(request("http://a.example/"))
    assert head.startswith(b"GET / HTTP/1.1\r\nHost: b.example\r\n")
    assert head.lower().count(b"host:") == 1
    away = heads(("Host", "b.example"), login=None).of(request("http://a.example/", parent="http://c.example/"))
    assert fields(away)["Host"] == "a.example"
    own = heads(("host", "b.example")).of(request("http://a.example/", ask=Ask(headers=(("HOST", "c.example"),))))
    assert (fields(own)["Host"], own.lower().count(b"host:")) == ("c.example", 1)


def test_a_part_is_asked_for_as_it_is() -> None:
    """What is cut out of a compressed body cannot be read; the range goes to whoever has the file."""
    for head in (
        heads(("Range", "bytes=0-9"), login=None).of(request("http://a.example/", parent="http://b.example/")),
        heads().of(request("http://a.example/", ask=Ask(headers=(("range", "bytes=0-9"),)))),
    ):
        got = {name.lower(): value for name, value in fields(head).items()}
        assert (got["range"], got["accept-encoding"]) == ("bytes=0-9", "identity")


def test_what_many_are_asked_with_is_written_once_and_for_them_alone() -> None:
    """Another request, another type of body, and where what is private may not go have their own."""
    ours = heads(("X-Key", "run"))
    ask, other = Ask(headers=(("X-A", "1"),), body=b"a"), Ask(headers=(("X-A", "2"),), body=b"a")

    def sent(asked: Ask, body: Outgoing = BODY) -> dict[str, str]:
        return fields(ours.of(request("http://a.example/", ask=asked, method="POST"), body))

    first = sent(ask)
    assert sent(ask) == first
    assert sent(other)["X-A"] == "2"
    assert sent(ask, Outgoing(b"a", 1, "text/y"))["Content-Type"] == "text/y"
    assert sent(ask) == first
    ours.sources.append(lambda *_: [("X-Source", "here")])
    assert sent(ask) == {**first, "X-Source": "here"}
