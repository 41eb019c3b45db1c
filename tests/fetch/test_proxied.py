"""Fetches through proxies, on a network in memory: what goes out, whose answer is whose, who is tried next, what closes."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from memory_net import NEVER, Asked, Client, Network, Server, Wire, request, run
from twisted.internet.task import Clock

from crawler.errors import StaleConnection
from crawler.fetch.connect.bypass import Bypass
from crawler.fetch.connect.proxy import parse_proxy
from crawler.fetch.connect.routes import Proxies, Routes
from crawler.fetch.limits import Limits
from crawler.models import Input, Response

HEAD = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
BLIND = b"HTTP/1.1 200 OK\r\n\r\n"


class World:
    """A network with proxies, and a client that goes through them."""

    def __init__(self, *proxies: str, most: int | None = None, noproxy: str = "", **options: Any) -> None:
        self.clock = Clock()
        self.network = Network(self.clock)

        def group(*urls: str) -> Proxies:
            return Proxies([parse_proxy(url) for url in urls], now=self.clock.seconds, most=most)

        self.proxies = group(*proxies)
        routes = Routes(
            dict.fromkeys(("http", "https", "ws", "wss"), self.proxies),
            bypass=Bypass(noproxy),
            group=lambda proxy: group(str(proxy)),
        )
        self.client = Client(self.network, routes=routes, **options)

    def fetch(self, url: str = "http://a.example/x?y", **fields: Any) -> Response:
        response: Response = run(self.clock, self.client.fetcher.fetch(request(url, **fields)))
        return response


@pytest.fixture
def world() -> Iterator[Callable[..., World]]:
    worlds: list[World] = []

    def make(*proxies: str, **options: Any) -> World:
        worlds.append(World(*proxies, **options))
        return worlds[-1]

    yield make
    for one in worlds:
        one.client.assert_quiet()
        assert all(not used for used in one.proxies._used.values())


def code(response: Response) -> str | None:
    return None if response.error is None else response.error.code


def message(response: Response) -> str:
    assert response.error is not None
    return response.error.message


def tunnelled(answer: bytes, *, proxy: bytes = BLIND) -> Callable[[Wire, bytes], None]:
    """A proxy that says `proxy` to the first that it hears, and `answer` to what comes through the tunnel."""
    heard: dict[Wire, int] = {}

    def raw(wire: Wire, _: bytes) -> None:
        heard[wire] = heard.get(wire, 0) + 1
        wire.send(proxy if heard[wire] == 1 else answer)

    return raw


# What goes out


def test_absolute_form(world: Callable[..., World]) -> None:
    """RFC 9112 section 3.2.2: the whole URL, with the login for the proxy; the name is not looked up here."""
    here = world("http://user:hunter2@proxy.example:3128")
    server = here.network.serve("proxy.example", port=3128)
    response = here.fetch()
    (_, asked), *_ = server.asked
    assert asked.line == "GET http://a.example/x?y HTTP/1.1"
    assert asked.headers["host"] == "a.example"
    assert asked.headers["proxy-authorization"] == "Basic dXNlcjpodW50ZXIy"
    assert (response.status, response.body) == (200, b"hello")
    assert (response.proxy, response.remote_ip, response.reused) == ("http://proxy.example:3128", None, False)
    assert (response.timings.namelookup, response.timings.connect) == (None, 0.0)
    assert here.fetch("http://a.example:8080/").reused is False
    assert server.asked[1][1].target == "http://a.example:8080/"
    assert here.fetch("http://[2606:2800::1]/").status == 200
    assert server.asked[2][1].target == "http://[2606:2800::1]/"


def test_connections_are_kept(world: Callable[..., World]) -> None:
    here = world("http://proxy.example:3128")
    here.network.serve("proxy.example", port=3128)
    assert [here.fetch().reused for _ in range(3)] == [False, True, True]
    assert here.fetch().proxy == "http://proxy.example:3128"
    assert len(here.network.open) == 1


def test_not_through_a_proxy(world: Callable[..., World]) -> None:
    """The servers of --noproxy are met directly, and are told nothing of proxies."""
    here = world("http://user:hunter2@proxy.example:3128", noproxy="a.example")
    server = here.network.serve("a.example")
    response = here.fetch()
    assert (response.status, response.proxy, response.remote_ip) == (200, None, "93.184.216.1")
    assert server.asked[0][1].line == "GET /x?y HTTP/1.1"
    assert "proxy-authorization" not in server.asked[0][1].headers


def test_what_goes_through_a_tunnel_has_no_login(world: Callable[..., World]) -> None:
    """socks5h tells the name; the server sees an ordinary request."""
    heard: list[bytes] = []

    def raw(wire: Wire, data: bytes) -> None:
        heard.append(data)
        answers = (b"\x05\x02", b"\x01\x00", b"\x05\x00\x00\x01" + bytes(6), HEAD.encode())
        wire.send(answers[len(heard) - 1])

    here = world("socks5h://user:hunter2@proxy.example")
    here.network.serve("proxy.example", port=1080, raw=raw)
    response = here.fetch()
    assert (response.status, response.body, response.remote_ip) == (200, b"hello", None)
    assert heard[2] == b"\x05\x01\x00\x03\x09a.example\x00\x50"
    assert heard[3].startswith(b"GET /x?y HTTP/1.1\r\nHost: a.example\r\n")
    assert b"roxy" not in heard[3]


def test_socks5_is_told_addresses(world: Callable[..., World]) -> None:
    """Names are looked up here: that is in the times, and the address in the record."""
    heard: list[bytes] = []

    def raw(wire: Wire, data: bytes) -> None:
        heard.append(data)
        wire.send((b"\x05\x00", b"\x05\x00\x00\x01" + bytes(6), HEAD.encode())[len(heard) - 1])

    here = world("socks5://proxy.example")
    here.network.serve("a.example", dns=0.5)
    here.network.serve("proxy.example", port=1080, raw=raw)
    response = here.fetch()
    assert (response.status, response.remote_ip) == (200, "93.184.216.1")
    assert response.timings.namelookup == 0.5
    assert heard[1] == b"\x05\x01\x00\x01\x5d\xb8\xd8\x01\x00\x50"


def test_websocket_goes_through_a_tunnel(world: Callable[..., World]) -> None:
    """Also without TLS: a proxy would not know what to do with an upgrade."""
    pytest.importorskip("wsproto")
    here = world("http://proxy.example:3128")
    server = here.network.serve(
        "proxy.example", port=3128, raw=tunnelled(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")
    )
    response = here.fetch("ws://a.example/")
    assert response.status == 404
    assert server.asked == []


# What proxies do wrong


def refusing(network: Network) -> None:
    network.serve("proxy.example", port=3128, refuse=errno.ECONNREFUSED)


def hanging(network: Network) -> None:
    network.serve("proxy.example", port=3128, connect=NEVER)


def nameless(network: Network) -> None:
    """Nothing is known of it."""


def saying(*answers: bytes) -> Callable[[Network], None]:
    def serve(network: Network) -> None:
        heard: list[bytes] = []

        def raw(wire: Wire, data: bytes) -> None:
            heard.append(data)
            wire.send(answers[min(len(heard), len(answers)) - 1])

        network.serve("proxy.example", port=3128, raw=raw)

    return serve


def closing(network: Network) -> None:
    network.serve("proxy.example", port=3128, raw=lambda wire, _: wire.close())


def resetting(network: Network) -> None:
    network.serve("proxy.example", port=3128, raw=lambda wire, _: wire.reset())


def silent(network: Network) -> None:
    network.serve("proxy.example", port=3128, raw=lambda *_: None)


def dripping(network: Network) -> None:
    """A header byte a second, for as long as anybody listens."""

    def raw(wire: Wire, _: bytes) -> None:
        wire.send(b"HTTP/1.1 200 OK\r\nA: ")
        for second in range(1, 100):
            wire.send(b"a", after=second)

    network.serve("proxy.example", port=3128, raw=raw)


NO = b"HTTP/1.1 %b\r\nContent-Length: 5\r\n\r\nsorry"


@pytest.mark.parametrize("url", ["https://a.example/", "wss://a.example/"])
@pytest.mark.parametrize(
    ("fault", "expected", "words"),
    [
        (refusing, "proxy_connect", "refused"),
        (nameless, "proxy_connect", "no such host: proxy.example"),
        (hanging, "proxy_connect", "no way through it after 10 s"),
        (silent, "proxy_connect", "no way through it after 10 s"),
        (dripping, "proxy_connect", "no way through it after 10 s"),
        (closing, "proxy_connect", "closed the connection"),
        (resetting, "proxy_connect", "closed the connection"),
        (saying(NO % b"407 x"), "proxy_auth", "407"),
        (saying(NO % b"403 x"), "proxy_refused", "403"),
        (saying(NO % b"502 x"), "proxy_connect", "502"),
        (saying(NO % b"503 x"), "proxy_connect", "503"),
        (saying(b"garbage\r\n\r\n"), "proxy_protocol", "begins with"),
        (saying(b"HTTP/1.1 200 OK\r\nA: " + b"a" * 70_000), "proxy_protocol", "64 KiB"),
        (saying(BLIND + b"<html>"), "proxy_protocol", "bytes behind its consent"),
        (saying(BLIND, b"<html>"), "tls_protocol", "a.example"),
        (saying(BLIND, b""), "timeout_tls", "10 s"),
    ],
)
def test_fault(
    world: Callable[..., World], url: str, fault: Callable[[Network], None], expected: str, words: str
) -> None:
    """Each has its code, within its deadline; its socket is closed, and nothing of its answer is taken for a page."""
    pytest.importorskip("wsproto")
    here = world("http://user:hunter2@proxy.example:3128")
    fault(here.network)
    response = here.fetch(url)
    assert code(response) == expected
    assert words in message(response)
    assert "hunter2" not in message(response)
    assert (response.status, response.body, response.remote_ip) == (None, b"", None)
    assert response.proxy == "http://proxy.example:3128"
    assert response.timings.total is not None
    assert response.timings.total < 10.3


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (refusing, "proxy_connect"),
        (nameless, "proxy_connect"),
        (hanging, "proxy_connect"),
        (saying(b"HTTP/1.1 407 x\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n"), "proxy_auth"),
        (silent, "timeout_headers"),
        (closing, "empty_reply"),
        (resetting, "conn_reset"),
        (saying(b"garbage\r\n\r\n"), "http_not_http"),
    ],
)
def test_fault_without_a_tunnel(world: Callable[..., World], fault: Callable[[Network], None], expected: str) -> None:
    """What happens after the request was sent may be the server's: its code is that of a server. A 407 is not."""
    here = world("http://proxy.example:3128")
    fault(here.network)
    response = here.fetch()
    assert (code(response), response.proxy) == (expected, "http://proxy.example:3128")
    if expected == "proxy_auth":
        assert response.status is None
        assert "it wants a user and a password" in message(response)


@pytest.mark.parametrize("answers", [[b"\x05"], [b"\x05\x00", b"\x05\x00\x00"], [b"\x05\x00", b"\x05\x00\x00\x03\xff"]])
def test_socks_that_stops_halfway(world: Callable[..., World], answers: list[bytes]) -> None:
    here = world("socks5h://proxy.example:3128")
    saying(*answers)(here.network)
    response = here.fetch()
    assert (code(response), response.timings.total) == ("proxy_connect", pytest.approx(10.0, abs=0.3))


def test_407_from_a_server_that_is_met_directly(world: Callable[..., World]) -> None:
    """No proxy has said so: it is an answer like any other."""
    here = world("http://proxy.example:3128", noproxy="*")
    here.network.serve("a.example", lambda wire, _: wire.answer(b"x", status=407))
    assert here.fetch().status == 407


def test_an_answer_with_fields_of_proxies(world: Callable[..., World]) -> None:
    """Old proxies send Proxy-Connection, Via and an HTTP/1.0 of their own."""
    here = world("http://proxy.example:3128")
    answer = b"HTTP/1.0 200 OK\r\nProxy-Connection: close\r\nVia: 1.0 p\r\n\r\nhello"

    def raw(wire: Wire, _: bytes) -> None:
        wire.send(answer)
        wire.close()

    here.network.serve("proxy.example", port=3128, raw=raw)
    response = here.fetch()
    assert (response.status, response.http_version, response.body) == (200, "1.0", b"hello")


def test_cancelled(world: Callable[..., World]) -> None:
    """At any moment: the sockets close, and the proxy's place is free."""
    for wait in (0.0, 0.5, 1.5):
        here = world("http://proxy.example:3128", most=1)
        here.network.serve("proxy.example", port=3128, raw=lambda *_: None, dns=0.4, connect=1.0)
        fetching = here.client.fetcher.fetch(request("https://a.example/"))
        fetching.addErrback(lambda _: None)
        here.clock.advance(wait)
        here.clock.advance(wait)
        fetching.cancel()
        here.clock.advance(0)
        assert here.network.open == set()
        assert here.network.dialling == 0


# The address policy


@pytest.mark.parametrize(
    ("proxy", "url", "expected"),
    [
        ("http://proxy.example:3128", "http://10.0.0.1/", "address_blocked"),
        ("http://proxy.example:3128", "http://localhost/", "address_blocked"),
        ("http://proxy.example:3128", "http://x.localhost./", "address_blocked"),
        ("http://proxy.example:3128", "http://[::1]/", "address_blocked"),
        ("http://proxy.example:3128", "https://169.254.169.254/", "address_blocked"),
        ("socks5h://proxy.example:3128", "http://127.0.0.1/", "address_blocked"),
        ("http://proxy.example:3128", "http://inside.example/", None),  # the proxy alone knows where that leads
        ("socks5://proxy.example:3128", "http://inside.example/", "address_blocked"),
        ("http://proxy.example:3128", "http://a.example:25/", "address_blocked"),
    ],
)
def test_discovered(world: Callable[..., World], proxy: str, url: str, expected: str | None) -> None:
    """A proxy that looks names up is asked for any name, but not for an address that is not public."""
    here = world(proxy, public_only=lambda _: True)
    server = here.network.serve("proxy.example", port=3128, address="10.1.1.1")  # the proxy itself may be inside
    here.network.serve("inside.example", address="10.0.0.9")
    response = here.fetch(url, input=Input(parent="http://b.example/", depth=1))
    assert code(response) == expected
    assert len(server.asked) == (expected is None)
    assert here.network.dialling == 0


@pytest.mark.parametrize("url", ["http://127.0.0.1:8765/", "http://localhost:8765/"])
def test_own_ports(world: Callable[..., World], url: str) -> None:
    """The monitors of the run are reached through no proxy either."""
    here = world("http://proxy.example:3128", own_ports={8765})
    here.network.serve("proxy.example", port=3128)
    assert code(here.fetch(url)) == "address_blocked"


# Several


def three(here: World) -> list[Server]:
    return [here.network.serve(f"{name}.proxy", port=1) for name in "abc"]


NAMES = ("http://a.proxy:1", "http://b.proxy:1", "http://c.proxy:1")


def test_round_robin(world: Callable[..., World]) -> None:
    """Each input in its turn; its redirects stay where it is, another try of it goes on."""
    here = world(*NAMES)
    three(here)
    seen = [
        here.fetch(id=number, attempt=attempt).proxy for number, attempt in ((0, 1), (1, 1), (2, 1), (2, 1), (2, 2))
    ]
    assert seen == [NAMES[1], NAMES[2], NAMES[0], NAMES[0], NAMES[1]]


@pytest.mark.parametrize(
    "fault",
    [
        {"refuse": errno.ECONNREFUSED},
        {"connect": NEVER},
        {"raw": lambda wire, _: wire.send(b"HTTP/1.1 407 x\r\nContent-Length: 0\r\n\r\n")},
    ],
    ids=["refuses", "hangs", "407"],
)
def test_the_next_one_is_tried(world: Callable[..., World], fault: dict[str, Any]) -> None:
    """One that fails costs the URL nothing but time; it rests, and is asked again after that."""
    here = world(*NAMES)
    three(here)
    here.network.serve("b.proxy", port=1, **fault)
    assert [(here.fetch(id=0).status, here.fetch(id=0).proxy) for _ in range(3)] == [(200, NAMES[2])] * 3
    server = here.network.serve("b.proxy", port=1)
    here.clock.advance(1.0)
    assert here.fetch(id=0).proxy != NAMES[1]
    here.clock.advance(15.0)
    assert {here.fetch(id=number).proxy for number in range(3)} == set(NAMES)
    assert len(server.asked) == 1


def test_times_are_those_of_the_last(world: Callable[..., World]) -> None:
    """Of a proxy that failed nothing is left in the times and sizes but that the whole took longer."""
    here = world("http://a.proxy:1", "http://b.proxy:1")
    here.network.serve("b.proxy", port=1, raw=lambda wire, _: wire.send(NO % b"407 x", after=1.0), connect=0.5)
    here.network.serve("a.proxy", lambda wire, _: wire.answer(b"abc", after=2.0), port=1, connect=0.25)
    response = here.fetch(id=0)
    timings = response.timings
    assert (timings.connect, timings.starttransfer, timings.total) == (1.75, 3.75, 3.75)
    assert response.size_download == 3


def test_all_fail(world: Callable[..., World]) -> None:
    """Then the error is that of the first, and says of how many."""
    here = world(*NAMES)
    for name in "abc":
        here.network.serve(f"{name}.proxy", port=1, refuse=errno.ECONNREFUSED)
    response = here.fetch(id=0)
    assert code(response) == "proxy_connect"
    assert "http://b.proxy:1" in message(response)
    assert "(2 more failed, too)" in message(response)
    assert response.error is not None
    assert response.error.transient
    again = here.fetch(id=1)  # all of them rest: one is tried even so
    assert code(again) == "proxy_connect"
    assert "more" not in message(again)
    here.network.serve("b.proxy", port=1)
    here.clock.advance(60)
    assert here.fetch(id=0).status == 200


def test_a_site_that_no_proxy_reaches(world: Callable[..., World]) -> None:
    """502 from all of them is the site's fault: none of them rests for it."""
    here = world(*NAMES)
    for name in "abc":
        here.network.serve(f"{name}.proxy", port=1, raw=lambda wire, _: wire.send(NO % b"502 x"))
    assert code(here.fetch("https://a.example/")) == "proxy_connect"
    assert here.proxies._rests == {}


def test_a_proxy_that_alone_does_not_reach_it(world: Callable[..., World]) -> None:
    """Where another gets through, the one that did not rests."""
    here = world("http://a.proxy:1", "socks5h://b.proxy:1")
    here.network.serve("a.proxy", port=1, raw=lambda wire, _: wire.send(NO % b"502 x"))
    saying_socks = iter([b"\x05\x00", b"\x05\x00\x00\x01" + bytes(6), HEAD.encode()])
    here.network.serve("b.proxy", port=1, raw=lambda wire, _: wire.send(next(saying_socks)))
    assert here.fetch("ws://a.example/", id=1).proxy == "socks5h://b.proxy:1"
    assert [str(proxy) for proxy in here.proxies._rests] == ["http://a.proxy:1"]


def test_some_are_asked_and_no_more(world: Callable[..., World]) -> None:
    """A server that three proxies do not reach is not asked for of a hundred."""
    here = world(*[f"http://p{number}.proxy:1" for number in range(100)])
    asked: list[bytes] = []

    def raw(wire: Wire, data: bytes) -> None:
        asked.append(data)
        wire.send(NO % b"503 x")

    for number in range(100):
        here.network.serve(f"p{number}.proxy", port=1, raw=raw, address="93.184.200.1")
    response = here.fetch("https://a.example/")
    assert (code(response), len(asked)) == ("proxy_connect", 3)
    assert "(2 more failed, too)" in message(response)


def test_one_that_hangs_up(world: Callable[..., World]) -> None:
    """What a server may have got is not sent again by itself; a proxy that brings nothing three times in a row rests."""
    here = world(*NAMES)
    three(here)
    here.network.serve("b.proxy", port=1, raw=lambda wire, _: wire.close())
    assert [code(here.fetch(id=0)) for _ in range(4)] == ["empty_reply"] * 3 + [None]
    assert [str(proxy) for proxy in here.proxies._rests] == ["http://b.proxy:1"]


def test_kept_connections_that_end(world: Callable[..., World]) -> None:
    """A proxy closes those as any server does: what is sent again for that says nothing against it."""
    here = world("http://a.proxy:1", "http://b.proxy:1")
    carried: set[Wire] = set()

    def script(wire: Wire, _: Asked) -> None:
        if wire in carried:
            wire.close()
        else:
            carried.add(wire)
            wire.answer(b"x")

    here.network.serve("a.proxy", script, port=1)
    for error in (type(None), StaleConnection):
        fetching = [here.client.fetcher.fetch(request(id=0)) for _ in range(4)]
        assert {type(run(here.clock, one).error) for one in fetching} == {error}
    assert here.fetch(id=0).proxy == "http://a.proxy:1"


def test_so_many_at_once(world: Callable[..., World]) -> None:
    """--per-proxy: the others wait for room, and no deadline runs meanwhile: it is not the server that is slow."""
    here = world("http://proxy.example:3128", most=2, limits=Limits(connect=1.0, total=5.0))
    server = here.network.serve("proxy.example", lambda wire, _: wire.answer(b"x", after=3.0), port=3128)
    fetching = [here.client.fetcher.fetch(request(f"http://a.example/{number}", id=number)) for number in range(6)]
    responses = [run(here.clock, one) for one in fetching]
    assert [(response.status, response.timings.total) for response in responses] == [(200, pytest.approx(3.0))] * 6
    assert server.most_answering == 2


def test_a_waiting_one_is_given_up(world: Callable[..., World]) -> None:
    """By whoever asked; the others move up."""
    here = world("http://proxy.example:3128", most=1)
    here.network.serve("proxy.example", lambda wire, _: wire.answer(b"x", after=4.9), port=3128)
    first, second, third = (here.client.fetcher.fetch(request(id=number)) for number in range(3))
    second.addErrback(lambda _: None)
    second.cancel()
    assert run(here.clock, first).status == 200
    assert run(here.clock, third).status == 200
    assert here.clock.seconds() == pytest.approx(9.8, abs=0.2)


def test_thousands_that_are_gone(world: Callable[..., World]) -> None:
    """Each is tried once, in its own turn of the reactor; the one that is left gets the request."""
    names = [f"http://gone{number}.proxy:1" for number in range(1500)]
    here = world(*names, "http://a.proxy:1")
    here.network.serve("a.proxy", port=1)
    for number in range(1500):
        here.network.serve(f"gone{number}.proxy", port=1, refuse=errno.ECONNREFUSED, address="93.184.200.1")
    assert here.fetch(id=0).proxy == "http://a.proxy:1"


def test_asked_is_told(world: Callable[..., World]) -> None:
    """A script of the proxy sees requests as the server would."""
    here = world("http://proxy.example:3128")
    seen: list[Asked] = []

    def script(wire: Wire, asked: Asked) -> None:
        seen.append(asked)
        wire.answer(b"x")

    here.network.serve("proxy.example", script, port=3128)
    here.fetch(method="HEAD")
    assert seen[0].line == "HEAD http://a.example/x?y HTTP/1.1"
