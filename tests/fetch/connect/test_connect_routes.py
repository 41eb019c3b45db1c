"""routes.py: what the environment says, whose turn it is, who rests and for how long, and who waits."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from crawler.fetch.connect.bypass import Bypass
from crawler.fetch.connect.proxy import DIRECT, Proxy, parse_proxy
from crawler.fetch.connect.routes import FIRST_REST, LONGEST_REST, Proxies, Routes, bypass_of, from_environment

A, B, C = (Proxy("http", f"{name}.example", 3128) for name in "abc")


def group(*proxies: Proxy, most: int | None = None) -> tuple[Clock, Proxies]:
    clock = Clock()
    return clock, Proxies(proxies, now=clock.seconds, most=most)


def test_round_robin() -> None:
    """One after the other by the number of the turn; the same number is the same proxy."""
    _, proxies = group(A, B, C, A)
    assert [proxies.pick(turn) for turn in (0, 1, 2, 3, 3, -1)] == [A, B, C, A, A, C]
    assert proxies.pick(0, [A]) == B
    assert proxies.pick(0, [A, B, C]) is None
    assert proxies.waits([A, B, C]) is None


def test_rest() -> None:
    """Who failed is left out, longer each time in a row, up to a limit; one that works is forgiven all."""
    clock, proxies = group(A, B)
    rests = []
    for _ in range(12):
        rests.append(proxies.failed(A))
        assert proxies.pick(0) == proxies.pick(1) == B
        clock.advance(rests[-1] - 0.01)
        assert proxies.pick(0) == proxies.pick(1) == B
        clock.advance(0.02)
        assert A in {proxies.pick(0), proxies.pick(1)}
    assert rests[:4] == [FIRST_REST, 2 * FIRST_REST, 4 * FIRST_REST, 8 * FIRST_REST]
    assert rests[-1] == LONGEST_REST
    proxies.worked(A)
    assert proxies.failed(A) == FIRST_REST


def test_failures_at_once_are_one() -> None:
    """A hundred requests that a proxy lets down together say no more than one does."""
    _, proxies = group(A, B)
    assert {proxies.failed(A) for _ in range(100)} == {FIRST_REST}


def test_all_rest() -> None:
    """Then whose rest ends first is tried all the same, once by each request."""
    clock, proxies = group(A, B)
    proxies.failed(B)
    clock.advance(1)
    proxies.failed(A)
    assert proxies.pick(0) == proxies.pick(1) == B
    assert proxies.pick(0, [B]) is None
    proxies.worked(B)
    assert proxies.pick(0) == B


def test_room() -> None:
    """Of each at most so many are in use; who comes then takes another one, or waits until somebody leaves."""
    _, proxies = group(A, B, most=1)
    proxies.enter(A)
    assert proxies.pick(0) == B
    proxies.enter(B)
    assert proxies.pick(0) is None
    first, second = proxies.waits(), proxies.waits()
    assert first is not None
    assert second is not None
    first.addCallback(lambda _: proxies.enter(A))
    proxies.leave(A)
    assert (first.called, second.called) == (True, False)
    second.addErrback(lambda _: None)
    second.cancel()
    proxies.leave(B)
    assert proxies.pick(1) == B


def test_who_cannot_use_the_room_does_not_keep_it() -> None:
    """One that has tried the proxy that came free waits on, and the next one gets it."""
    _, proxies = group(A, B, most=1)
    proxies.enter(A)
    proxies.enter(B)
    again: list[bool] = []
    first, second = proxies.waits([A]), proxies.waits()
    assert first is not None
    assert second is not None
    first.addCallback(lambda _: again.append(proxies.waits([A]) is not None))
    second.addCallback(lambda _: proxies.enter(A))
    proxies.leave(A)
    assert again == [True]
    assert second.called


def test_routes() -> None:
    """By scheme, but for the servers of the list; what was said for one host goes before both."""
    _, proxies = group(A)
    own = {"own.example": B, "direct.example": DIRECT}
    routes = Routes(
        {"http": proxies},
        bypass=Bypass("own.example,b.example"),
        group=lambda proxy: group(proxy)[1],
        own=lambda host, _: own.get(host),
    )
    assert routes.of("http", "a.example", 80) is proxies
    assert routes.of("https", "a.example", 443) is None
    assert routes.of("http", "b.example", 80) is None
    assert routes.of("https", "direct.example", 443) is None
    found = routes.of("https", "own.example", 443)
    assert found is not None
    assert found.all == (B,)
    assert routes.of("http", "own.example", 80) is found


@pytest.mark.parametrize(
    ("environ", "schemes"),
    [
        ({}, {}),
        ({"http_proxy": "a:1"}, {"http": "http_proxy", "ws": "http_proxy"}),
        ({"HTTP_PROXY": "a:1"}, {}),  # httpoxy
        ({"HTTPS_PROXY": "a:1"}, {"https": "HTTPS_PROXY", "wss": "HTTPS_PROXY"}),
        ({"HTTPS_PROXY": "b:1", "https_proxy": "a:1"}, {"https": "https_proxy", "wss": "https_proxy"}),
        ({"https_proxy": "a:1", "wss_proxy": "b:1"}, {"https": "https_proxy", "wss": "wss_proxy"}),
        ({"all_proxy": "a:1"}, dict.fromkeys(("http", "https", "ws", "wss"), "all_proxy")),
        (
            {"ALL_PROXY": "a:1", "http_proxy": "b:1", "https_proxy": ""},
            {"http": "http_proxy", "ws": "http_proxy", "https": "ALL_PROXY", "wss": "ALL_PROXY"},
        ),
    ],
)
def test_environment(environ: dict[str, str], schemes: dict[str, str]) -> None:
    """The variables that curl reads, in its order; an empty one is none."""
    found = from_environment(environ)
    assert {scheme: name for scheme, (name, _) in found.items()} == schemes
    assert all(proxy == parse_proxy(environ[name]) for name, proxy in found.values())


def test_environment_that_names_none() -> None:
    """The variable is named, and its password is not."""
    with pytest.raises(ValueError, match=r"^https_proxy of the environment has the scheme ftp") as caught:
        from_environment({"https_proxy": "ftp://user:hunter2@a:1"})
    assert "hunter2" not in str(caught.value)


def test_no_proxy() -> None:
    """In small letters first."""
    assert bypass_of({"NO_PROXY": "a"}) == "a"
    assert bypass_of({"NO_PROXY": "a", "no_proxy": "b"}) == "b"
    assert bypass_of({}) == ""
