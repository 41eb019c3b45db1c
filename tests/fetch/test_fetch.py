"""fetch/{fetcher,flight}.py: one Request to one Response, over the real agent and connections, on a network in memory under a Clock."""

from __future__ import annotations

import base64
import dataclasses
import errno
import gzip
import zlib

import msgspec
import pytest
from memory_net import NEVER, WALL, Client, Network, Wire, advance_to, request, run
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.web.iweb import IAgent
from zope.interface import implementer

from crawler.errors import StaleConnection
from crawler.fetch.connect.stalls import Stalls
from crawler.fetch.fetcher import WATCH_INTERVAL, Fetcher
from crawler.fetch.flight import MIN_RATE_GRACE, REDIRECT_SECONDS, REDIRECT_SIZE
from crawler.fetch.limits import Limits
from crawler.fetch.redirect import next_hop
from crawler.fetch.typed import Typed
from crawler.models import Input, Redirect, Request, Response, Timings, by_name, record_of
from crawler.urls import parse

OK = b"HTTP/1.1 200 OK\r\n"
LIMITS = Limits(dns=5, connect=10, tls=11, headers=20, idle=21, total=60)


def limited(**changes: float) -> Limits:
    return dataclasses.replace(LIMITS, **changes)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def network(clock):
    return Network(clock)


def fetch(client: Client, asked: Request | None = None) -> Response:
    response: Response = run(client.clock, client.fetcher.fetch(asked or request()))
    return response


def code(response: Response) -> str | None:
    return None if response.error is None else response.error.code


def body_script(*pieces: bytes, gap: float = 0.0, headers: bytes = b"", end: str = "close"):
    """An answer without a length: its pieces come `gap` seconds apart."""

    def script(wire: Wire, _: object) -> None:
        wire.send(OK + headers + b"\r\n")
        for number, piece in enumerate(pieces, 1):
            wire.send(piece, number * gap)
        if end:
            getattr(wire, end)(len(pieces) * gap)

    return script


class TestAnswer:
    def test_the_response_tells_all(self, clock, network):
        """Status, version, headers in order and by name, body, sizes, address, start."""
        network.serve(script=lambda wire, _: wire.answer(b"hello", "X-A: 1", "x-a: 2", "Server: caf\xe9"))
        got = fetch(Client(network))
        assert (got.status, got.http_version, got.body, got.size_download) == (200, "1.1", b"hello", 5)
        assert got.raw_headers == [
            (b"X-A", b"1"),
            (b"x-a", b"2"),
            (b"Server", b"caf\xe9"),
            (b"Content-Length", b"5"),
        ]
        assert got.headers == {"x-a": ["1", "2"], "server": ["caf\xe9"], "content-length": ["5"]}
        assert (got.remote_ip, got.reused, got.started) == ("93.184.216.1", False, WALL)
        assert (got.error, got.truncated, got.warnings) == (None, False, [])

    def test_the_phases_are_timed(self, clock, network):
        """As curl counts: each time runs from the start of the attempt."""
        network.serve(
            script=lambda wire, _: (wire.send(OK + b"Content-Length: 2\r\n\r\n", 0.75), wire.send(b"ok", 1.75)),
            dns=0.25,
            connect=0.5,
        )
        timings = fetch(Client(network)).timings
        assert (timings.namelookup, timings.connect, timings.appconnect) == (0.25, 0.75, None)
        assert (timings.starttransfer, timings.total) == (1.5, 2.5)

    def test_a_reused_connection_has_no_lookup(self, clock, network):
        """What did not happen has no time."""
        network.serve()
        client = Client(network)
        fetch(client)
        got = fetch(client)
        assert got.reused is True
        assert (got.timings.namelookup, got.timings.connect) == (None, None)
        assert got.timings.starttransfer == 0.0
        assert got.remote_ip == "93.184.216.1"

    def test_a_connection_that_was_closed_meanwhile(self, clock, network):
        """The server may close an idle connection just as we use it: the request may be sent again, on a new one."""
        server = network.serve(script=lambda wire, _: wire.close() if len(server.asked) > 1 else wire.answer(b"ok"))
        client = Client(network)
        fetch(client)
        got = fetch(client)
        assert isinstance(got.error, StaleConnection)
        assert (got.reused, len(server.asked)) == (True, 2)
        again: list[Response] = []
        client.fetcher.fetch(request(), fresh=True).addCallback(again.append)
        advance_to(clock, 1.0)
        assert not isinstance(again[0].error, StaleConnection)
        assert (code(again[0]), again[0].reused, len(server.asked)) == ("empty_reply", False, 3)
        client.assert_quiet()

    def test_nothing_is_known_of_an_answer_that_never_came(self, clock, network):
        """A refused connection has neither status nor headers nor body."""
        network.serve(refuse=errno.ECONNREFUSED)
        got = fetch(Client(network))
        assert code(got) == "connect_refused"
        assert "93.184.216.1:80" in str(got.error)
        assert (got.status, got.http_version, got.headers, got.body, got.reused) == (None, None, {}, b"", None)
        assert not got.truncated

    def test_an_unknown_name(self, clock, network):
        """What the resolver says becomes the error."""
        assert code(fetch(Client(network), request("http://nowhere.example/"))) == "dns_nxdomain"

    @pytest.mark.parametrize(("act", "expected"), [("close", "empty_reply"), ("reset", "conn_reset")])
    def test_a_connection_that_ends_without_an_answer(self, clock, network, act, expected):
        """Hanging up and resetting are different news."""
        network.serve(script=lambda wire, _: getattr(wire, act)(1.0))
        assert code(fetch(Client(network))) == expected

    @pytest.mark.parametrize("act", ["close", "reset"])
    def test_a_body_that_is_cut_is_kept(self, clock, network, act):
        """What had arrived until then stays in the response."""

        def script(wire: Wire, _: object) -> None:
            wire.send(OK + b"Content-Length: 10\r\n\r\nhalf")
            getattr(wire, act)(1.0)

        network.serve(script=script)
        got = fetch(Client(network))
        assert (code(got), got.status, got.body, got.truncated) == ("body_truncated", 200, b"half", True)
        assert got.size_download == 4

    def test_warnings_of_the_wire_arrive(self, clock, network):
        """A malformed header line is skipped, and said so."""
        network.serve(script=lambda wire, _: wire.answer(b"ok", "no colon here"))
        got = fetch(Client(network))
        assert (got.body, got.warnings) == (b"ok", ["bad_header"])

    def test_a_redirect_is_an_answer(self, clock, network):
        """Nothing is followed here."""
        server = network.serve(script=lambda wire, _: wire.answer(b"moved", "Location: /x", status=302))
        got = fetch(Client(network))
        assert (got.status, got.body, got.headers["location"]) == (302, b"moved", ["/x"])
        assert len(server.asked) == 1

    def test_head_has_no_body(self, clock, network):
        """HEAD takes the length and the coding for what GET would bring: neither too large nor to be decoded."""
        network.serve(
            script=lambda wire, _: wire.send(OK + b"Content-Length: 99999999\r\nContent-Encoding: gzip\r\n\r\n")
        )
        client = Client(network, limits=Limits(max_size=10))
        got = fetch(client, request(method="HEAD"))
        assert (code(got), got.status, got.body, got.size_download) == (None, 200, b"", 0)
        assert network.servers["93.184.216.1", 80].asked[0][1].line == "HEAD / HTTP/1.1"

    def test_a_bug_below_is_one_internal_error(self, clock):
        """What is no CodedError is logged with its traceback, and ends one fetch only."""

        @implementer(IAgent)
        class Broken:
            def request(self, method, uri, headers=None, bodyProducer=None):
                return fail(ZeroDivisionError("oops"))

        events: list[dict[str, object]] = []
        globalLogPublisher.addObserver(events.append)
        try:
            fetcher = Fetcher(clock=clock, agent=Broken(), limits=Limits(), user_agent="x", public_only=lambda _: False)
            got: Response = run(clock, fetcher.fetch(request()))
        finally:
            globalLogPublisher.removeObserver(events.append)
        assert code(got) == "internal"
        assert "ZeroDivisionError: oops" in str(got.error)
        assert any("log_failure" in event for event in events)
        assert clock.getDelayedCalls() == []

    def test_names_are_lower_case_and_latin_1(self):
        """RFC 9110 section 5.5: values are bytes; as latin-1 none is lost."""
        assert by_name([(b"X-A", b"1"), (b"B", b"\xff"), (b"x-a", b"2")]) == {"x-a": ["1", "2"], "b": ["\xff"]}


def silent(wire: Wire, _: object) -> None:
    """Never answers."""


def drip_headers(wire: Wire, _: object) -> None:
    wire.send(OK)
    for second in range(1, 100):
        wire.send(b"X-%d: y\r\n" % second, float(second))


def drip_body(wire: Wire, _: object) -> None:
    wire.send(OK + b"\r\n")
    for second in range(1, 100):
        wire.send(b"x", float(second))


def hold(clock: Clock, seconds: float) -> None:
    """The reactor is held: all that was due meanwhile happens at once afterwards, in the order in which it was due."""
    clock.rightNow += seconds
    clock.advance(0)


class TestDeadlines:
    """Each ends the fetch not before its limit and at the next look at the clock, and closes the socket."""

    @pytest.mark.parametrize(
        ("url", "setting", "expected", "phase", "limit"),
        [
            ("http://a.example/", {"dns": NEVER}, "dns_timeout", "dns", 5),
            ("http://a.example/", {"connect": NEVER}, "connect_timeout", "connect", 10),
            ("https://a.example/", {"port": 443, "raw": silent}, "timeout_tls", "tls", 11),
            ("http://a.example/", {"script": silent}, "timeout_headers", "headers", 20),
            ("http://a.example/", {"script": drip_headers}, "timeout_headers", "headers", 20),
            ("http://a.example/", {"script": body_script(b"x", end="")}, "timeout_idle", "body", 21),
            ("http://a.example/", {"script": body_script(b"x", b"y", gap=7, end="")}, "timeout_idle", "body", 35),
            ("http://a.example/", {"script": drip_body}, "timeout_total", "body", 60),
        ],
        ids=["dns", "connect", "tls", "headers", "headers-drip", "idle", "idle-after-a-byte", "total"],
    )
    def test_each_phase_has_its_own(self, clock, network, url, setting, expected, phase, limit):
        """One after the other they cover the whole of a fetch; bytes that trickle in do not put them off."""
        network.serve(**setting)
        client = Client(network, limits=limited(min_rate=0))
        done = client.fetcher.fetch(request(url))
        results: list[Response] = []
        done.addCallback(results.append)
        advance_to(clock, limit)
        assert results == []
        assert network.open or network.dialling or phase == "dns"
        advance_to(clock, limit + 2 * WATCH_INTERVAL)
        (got,) = results
        assert got.error is not None
        assert (got.error.code, got.error.phase) == (expected, phase)
        assert got.error.transient
        assert limit < got.timings.total <= limit + 1.01 * WATCH_INTERVAL
        client.assert_quiet()

    def test_phases_count_from_their_own_start(self, clock, network):
        """A slow look-up takes nothing from the time for the headers."""
        network.serve(script=lambda wire, _: wire.answer(b"ok", after=19.9), dns=4.9, connect=9.9)
        got = fetch(Client(network, limits=LIMITS))
        assert (code(got), got.timings.total) == (None, pytest.approx(34.7))

    @pytest.mark.parametrize(
        ("setting", "phase"),
        [({"dns": NEVER}, "dns"), ({"connect": NEVER}, "connect"), ({"script": silent}, "headers")],
    )
    def test_the_total_ends_any_phase(self, clock, network, setting, phase):
        """`--timeout` counts, wherever the fetch is stuck; the error names the place."""
        network.serve(**setting)
        client = Client(network, limits=limited(total=3))
        got = fetch(client)
        assert got.error is not None
        assert (got.error.code, got.error.phase) == ("timeout_total", phase)
        assert 3 < got.timings.total <= 3 + 1.01 * WATCH_INTERVAL
        client.assert_quiet()

    def test_what_had_arrived_is_kept(self, clock, network):
        """A body that stalls is there as far as it came."""
        network.serve(script=body_script(b"first ", b"second", gap=1, end=""))
        got = fetch(Client(network))
        assert (code(got), got.status, got.body, got.truncated) == ("timeout_idle", 200, b"first second", True)

    def test_too_slow_after_the_grace(self, clock, network):
        """Less than the minimum rate over half a minute of body is not worth a slot."""
        network.serve(script=drip_body)
        client = Client(network, limits=limited(min_rate=2))
        got = fetch(client)
        assert (code(got), got.body) == ("too_slow", b"x" * 30)
        assert MIN_RATE_GRACE < got.timings.total <= MIN_RATE_GRACE + 1.01 * WATCH_INTERVAL
        assert "1 bytes/s" in str(got.error)
        client.assert_quiet()

    @pytest.mark.parametrize("min_rate", [0.9, 0])
    def test_fast_enough_is_left_alone(self, clock, network, min_rate):
        """Above the rate, or without one, only the total ends a trickle."""
        network.serve(script=drip_body)
        assert code(fetch(Client(network, limits=limited(min_rate=min_rate)))) == "timeout_total"

    def test_a_slow_start_is_not_a_slow_body(self, clock, network):
        """The rate is that of the body: waiting for the headers does not count."""

        def script(wire: Wire, _: object) -> None:
            wire.send(OK + b"\r\n", 19.0)
            for second in range(20, 40):
                wire.send(b"x" * 10, float(second))
            wire.close(40.0)

        network.serve(script=script, connect=9.0)
        got = fetch(Client(network, limits=limited(min_rate=9)))
        assert (code(got), len(got.body)) == (None, 200)

    @pytest.mark.parametrize(
        ("url", "setting"),
        [
            ("http://a.example/", {"dns": 4.0}),
            ("http://a.example/", {"connect": 9.0}),
            ("http://a.example/", {"script": lambda wire, _: wire.answer(b"whole", after=19.0)}),
            ("http://a.example/", {"script": body_script(b"wh", b"ole", gap=18.0)}),
            ("http://a.example/", {"script": body_script(*b"w h o l e".split(), gap=11.0)}),
        ],
        ids=["dns", "connect", "headers", "idle", "total"],
    )
    def test_time_in_which_the_reactor_was_held_does_not_count(self, clock, network, url, setting):
        """What was on its way meanwhile is read before anything is judged: no stall makes a false timeout."""
        network.serve(**setting)
        got: list[Response] = []
        Client(network, limits=limited(min_rate=0.05)).fetcher.fetch(request(url)).addCallback(got.append)
        advance_to(clock, 3.0)
        hold(clock, 65.0)
        advance_to(clock, 1e4)
        assert (code(got[0]), got[0].body) == (None, b"whole" if "script" in setting else b"hello")

    def test_a_rate_is_that_of_the_time_in_which_the_reactor_was_free(self, clock, network):
        """Bytes that could not be read are no slow server."""
        network.serve(script=body_script(*[b"x"] * 40, gap=1.0))
        got: list[Response] = []
        Client(network, limits=limited(min_rate=0.9, total=1e3)).fetcher.fetch(request()).addCallback(got.append)
        advance_to(clock, 29.0)
        hold(clock, 5.5)
        advance_to(clock, 1e4)
        assert (code(got[0]), len(got[0].body)) == (None, 40)

    def test_after_a_stall_the_deadline_is_where_it_was(self, clock, network):
        """It is put off by as long as the reactor was held, and no longer; two who see the stall count it once."""
        network.serve(script=silent)
        stalls = Stalls()
        clients = [Client(network, stalls=stalls) for _ in range(2)]
        got: list[Response] = []
        for client in clients:
            client.fetcher.fetch(request()).addCallback(got.append)
        for _ in range(3):
            advance_to(clock, clock.seconds() + 4.0)
            hold(clock, 30.0)
        advance_to(clock, 1e4)
        assert [code(response) for response in got] == ["timeout_headers"] * 2
        assert [response.timings.total for response in got] == pytest.approx([110.0] * 2, abs=5 * WATCH_INTERVAL)

    def test_a_reactor_that_is_always_late(self, clock, network):
        """Nobody waits for ever, though every turn of the reactor takes too long."""
        network.serve(script=silent)
        got: list[Response] = []
        Client(network).fetcher.fetch(request()).addCallback(got.append)
        while not got:
            hold(clock, 0.3)
        assert code(got[0]) == "timeout_headers"
        assert clock.seconds() < 4 * 20.0

    def test_one_timer_watches_all(self, clock, network):
        """However many fetches are in the air, and none when there is nothing to watch."""
        network.serve(script=silent)
        client = Client(network)
        for _ in range(50):
            client.fetcher.fetch(request())
        clock.advance(0)
        assert len(clock.getDelayedCalls()) == 1
        advance_to(clock, 25.0)
        client.assert_quiet()

    def test_a_fetch_that_starts_later_has_its_own_deadline(self, clock, network):
        """The shared timer does not make the later one end with the earlier."""
        network.serve(script=silent)
        client = Client(network, limits=LIMITS)
        ends: list[float] = []
        for start in (0.0, 7.0):
            advance_to(clock, start)
            client.fetcher.fetch(request()).addCallback(lambda _: ends.append(clock.seconds()))
        advance_to(clock, 60.0)
        assert ends == [pytest.approx(20.1, abs=0.11), pytest.approx(27.1, abs=0.11)]

    def test_the_socket_is_closed_before_anyone_hears(self, clock, network):
        """Who starts the host's next request then does not hold two connections at once."""
        network.serve(script=silent)
        client = Client(network)
        still_open: list[int] = []
        client.fetcher.fetch(request()).addCallback(lambda _: still_open.append(len(network.open)))
        advance_to(clock, 30.0)
        assert still_open == [0]


class TestCancel:
    @pytest.mark.parametrize(
        ("url", "setting"),
        [
            ("http://a.example/", {"dns": NEVER}),
            ("http://a.example/", {"connect": NEVER}),
            ("https://a.example/", {"port": 443, "raw": silent}),
            ("http://a.example/", {"script": silent}),
            ("http://a.example/", {"script": body_script(b"x", end="")}),
        ],
        ids=["dns", "connect", "tls", "headers", "body"],
    )
    def test_cancelling_closes_the_socket(self, clock, network, url, setting):
        """At any moment, and nothing stays behind."""
        network.serve(**setting)
        client = Client(network)
        done = client.fetcher.fetch(request(url))
        advance_to(clock, 1.0)
        failures: list[object] = []
        done.addErrback(lambda failure: failures.append(failure.type))
        done.cancel()
        assert failures == [CancelledError]
        client.assert_quiet()

    def test_a_cancelled_fetch_leaves_the_others(self, clock, network):
        """One socket is closed, the other answers."""
        network.serve(script=lambda wire, _: wire.answer(b"ok", after=2.0))
        client = Client(network)
        first, second = client.fetcher.fetch(request()), client.fetcher.fetch(request())
        advance_to(clock, 1.0)
        first.addErrback(lambda _: None)
        first.cancel()
        assert run(clock, second).body == b"ok"


class TestSize:
    def test_too_large_an_announcement_is_not_read(self, clock, network):
        """Content-Length beyond the limit ends the fetch before a byte of the body is kept."""
        network.serve(script=lambda wire, _: wire.answer(b"x" * 11))
        client = Client(network, limits=Limits(max_size=10))
        got = fetch(client)
        assert (code(got), got.status, got.body, got.truncated) == ("body_too_large", 200, b"", True)
        assert got.error.message == "11 bytes are announced, more than 10 (--max-size)"
        client.assert_quiet()

    @pytest.mark.parametrize("pieces", [(b"0123456789ABCDEF",), (b"01234", b"56789A", b"BCDEF"), (b"0123456789", b"A")])
    def test_more_than_the_limit_is_cut_there(self, clock, network, pieces):
        """Wherever the network cuts, exactly `max_size` bytes are kept."""
        network.serve(script=body_script(*pieces, gap=1.0))
        client = Client(network, limits=Limits(max_size=10))
        got = fetch(client)
        assert (code(got), got.body, got.truncated) == ("body_too_large", b"0123456789", True)
        client.assert_quiet()

    def test_exactly_the_limit_is_fine(self, clock, network):
        """The limit itself is allowed, announced or not."""
        network.serve("a.example", body_script(b"01234", b"56789", gap=1.0))
        network.serve("b.example", lambda wire, _: wire.answer(b"0123456789"))
        client = Client(network, limits=Limits(max_size=10))
        for url in ("http://a.example/", "http://b.example/"):
            got = fetch(client, request(url))
            assert (code(got), got.body) == (None, b"0123456789")

    def test_what_comes_before_the_limit_may_be_enough(self, clock, network):
        """With `partial` an announcement ends nothing: so much is kept as `max_size` allows, and then the socket closes."""
        network.serve(script=lambda wire, _: wire.answer(b"0123456789ABC"))
        client = Client(network, limits=Limits(max_size=10, partial=True))
        got = fetch(client)
        assert (code(got), got.status, got.body, got.truncated) == ("body_too_large", 200, b"0123456789", True)
        assert network.open == set()
        client.assert_quiet()

    def test_partial_leaves_small_answers_alone(self, clock, network):
        """What fits is whole."""
        network.serve(script=lambda wire, _: wire.answer(b"0123456789"))
        got = fetch(Client(network, limits=Limits(max_size=10, partial=True)))
        assert (code(got), got.body, got.truncated) == (None, b"0123456789", False)

    def test_the_decoded_size_counts(self, clock, network):
        """A small answer that decodes to more than the limit is cut there."""
        packed = gzip.compress(b"x" * 1000, mtime=0)
        network.serve(script=lambda wire, _: wire.answer(packed, "Content-Encoding: gzip"))
        got = fetch(Client(network, limits=Limits(max_size=500)))
        assert (code(got), got.body, got.size_download) == ("body_too_large", b"x" * 500, len(packed))
        assert got.error is not None
        assert got.error.phase == "decode"

    def test_the_wire_size_counts_too(self, clock, network):
        """What decodes to nothing may still not be endless."""
        packed = gzip.compress(b"", mtime=0) * 20
        network.serve(script=body_script(packed, headers=b"Content-Encoding: gzip\r\n"))
        got = fetch(Client(network, limits=Limits(max_size=100)))
        assert (code(got), got.body) == ("body_too_large", b"")


class TestDecoding:
    @pytest.mark.parametrize(
        ("coding", "packed"),
        [
            ("gzip", gzip.compress(b"hello", mtime=0)),
            ("GZip", gzip.compress(b"hello", mtime=0)),
            ("deflate", zlib.compress(b"hello")),
            ("deflate, gzip", gzip.compress(zlib.compress(b"hello"), mtime=0)),
            ("identity", b"hello"),
        ],
    )
    def test_the_body_is_decoded(self, clock, network, coding, packed):
        """`body` is what was meant, `size_download` what came; the connection may be used again."""
        network.serve(script=lambda wire, _: wire.answer(packed, f"Content-Encoding: {coding}"))
        client = Client(network)
        got = fetch(client)
        assert (code(got), got.body, got.size_download) == (None, b"hello", len(packed))
        assert fetch(client).reused

    @pytest.mark.parametrize("size", [1, 7, 10_000])
    def test_wherever_the_network_cuts(self, clock, network, size):
        """Pieces of any length give the same body."""
        packed = gzip.compress(b"hello " * 100, mtime=0)
        pieces = [packed[i : i + size] for i in range(0, len(packed), size)]
        network.serve(script=body_script(*pieces, headers=b"Content-Encoding: gzip\r\n"))
        assert fetch(Client(network)).body == b"hello " * 100

    def test_a_corrupt_body_keeps_what_was_decoded(self, clock, network):
        """The good beginning stays, the error says what is wrong with the rest."""
        text = b"".join(b"%d " % n for n in range(5000))
        packed = bytearray(gzip.compress(text, mtime=0))
        packed[-5] ^= 0xFF  # the checksum
        pieces = bytes(packed[:5000]), bytes(packed[5000:])
        network.serve(script=body_script(*pieces, gap=1.0, headers=b"Content-Encoding: gzip\r\n"))
        client = Client(network)
        got = fetch(client)
        assert (code(got), got.status, got.truncated) == ("decode_error", 200, True)
        assert got.error is not None
        assert got.error.phase == "decode"
        assert len(got.body) > 1000
        assert text.startswith(got.body)
        client.assert_quiet()

    def test_a_cut_stream_keeps_what_was_decoded(self, clock, network):
        """A coded body that ends in the middle is truncated, though the connection ended well."""
        text = b"".join(b"%d " % n for n in range(5000))
        packed = gzip.compress(text, mtime=0)[:-2000]
        network.serve(script=lambda wire, _: wire.answer(packed, "Content-Encoding: gzip"))
        got = fetch(Client(network))
        assert (code(got), got.truncated) == ("body_truncated", True)
        assert len(got.body) > 1000
        assert text.startswith(got.body)

    def test_what_is_not_coded_at_all_is_kept_raw(self, clock, network):
        """Servers that say gzip and send none are common: their bytes are in the record."""
        network.serve(script=lambda wire, _: wire.answer(b"<html>plain</html>", "Content-Encoding: gzip"))
        got = fetch(Client(network))
        assert (code(got), got.body) == ("decode_error", b"<html>plain</html>")

    def test_an_unknown_coding_is_left_as_it_is(self, clock, network):
        """Not an error, but a warning."""
        network.serve(script=lambda wire, _: wire.answer(b"raw", "Content-Encoding: sdch"))
        got = fetch(Client(network))
        assert (code(got), got.body, got.warnings) == (None, b"raw", ["unknown_encoding"])

    def test_too_many_codings(self, clock, network):
        """Four on top of each other are an attack."""
        network.serve(
            script=lambda wire, _: wire.answer(b"x", "Content-Encoding: gzip, gzip", "Content-Encoding: br, br")
        )
        client = Client(network)
        assert code(fetch(client)) == "decode_error"
        client.assert_quiet()


HEADERS = [("Authorization", "Bearer t"), ("Cookie", "a=b"), ("X-Api-Key", "k"), ("Accept-Language", "de")]
SECRET = {"authorization", "cookie", "x-api-key"}


class TestHeaders:
    def sent(self, network: Network, asked: Request, headers=HEADERS) -> dict[str, str]:
        server = network.serve(asked.url.host, port=asked.url.port)
        fetch(Client(network, headers=headers), asked)
        return server.asked[0][1].headers

    def test_a_typed_url_gets_them_all(self, network):
        """The user's headers, and ours: Host, User-Agent, Accept and what can be decoded."""
        sent = self.sent(network, request("http://a.example:8080/x?y"))
        assert sent["host"] == "a.example:8080"
        assert sent["user-agent"] == "test/1"
        assert sent["accept"] == "*/*"
        assert "gzip" in sent["accept-encoding"]
        assert {name: sent[name.lower()] for name, _ in HEADERS} == dict(HEADERS)

    def test_the_users_win(self, network):
        """A header that the user gives replaces ours, whatever its capitals, and is sent once."""
        sent = self.sent(network, request(), [("user-AGENT", "mine"), ("ACCEPT", "text/html")])
        assert (sent["user-agent"], sent["accept"]) == ("mine", "text/html")

    @pytest.mark.parametrize(
        ("chain", "url", "full"),
        [
            ([], "http://a.example/", True),
            (["http://a.example/"], "http://a.example/next", True),
            (["http://a.example/", "http://a.example/2"], "http://a.example/3", True),
            (["http://a.example/"], "http://b.example/", False),
            (["http://a.example/"], "http://www.a.example/", False),
            (["http://a.example/"], "http://a.example:8080/", False),
            (["http://a.example/"], "https://a.example/", False),
            (["http://a.example/"], "http://a.example.evil.example/", False),
            (["http://a.example:8080/"], "http://a.example/", False),
            (["http://a.example/", "http://b.example/"], "http://b.example/2", False),
            (["http://a.example/", "http://b.example/"], "http://a.example/back", False),
        ],
    )
    def test_secrets_never_cross_an_origin(self, clock, chain, url, full):
        """Scheme, host and port must all be the same, in every hop: who was elsewhere gets nothing back."""
        hops = tuple(Redirect(hop, 302) for hop in chain)
        asked = request(url, redirects=hops)
        block = self.block(Client(Network(clock), headers=HEADERS), asked)
        for header in ("Authorization: Bearer t", "Cookie: a=b", "X-Api-Key: k"):
            assert (header in block) == full
        assert "Accept-Language: de" in block
        assert "User-Agent: test/1" in block

    @pytest.mark.parametrize(
        ("parent", "chain", "url", "full"),
        [
            ("http://a.example/", [], "http://a.example/2", True),
            ("http://a.example/", ["http://a.example/2"], "http://a.example/3", True),
            ("http://a.example/robots.txt", [], "http://a.example/map.xml", True),
            ("http://b.example/", [], "http://a.example/2", False),
            ("http://a.example.evil.example/", [], "http://a.example/2", False),
            ("http://a.example:8080/", [], "http://a.example/2", False),
            ("https://a.example/", [], "http://a.example/2", False),
            ("http://a.example/", ["http://b.example/"], "http://a.example/2", False),
            ("http://a.example/", [], "http://b.example/", False),
            ("http://a.example/", [], "https://a.example/", False),
            ("http://a.example/", [], "http://a.example:8080/", False),
            ("http://c.example/", [], "http://c.example/2", False),
        ],
    )
    def test_links_inside_a_typed_origin(self, clock, parent, chain, url, full):
        """A link gets them, and the login, if it is from a typed origin to the same, redirects and all."""
        typed = Typed()
        typed.add(parse("http://a.example/start"))
        typed.add(parse("http://us:er@a.example/"))
        typed.add(parse("http://b.example:81/"))
        hops = tuple(Redirect(hop, 302) for hop in chain)
        asked = request(url, input=Input(parent=parent, depth=1), redirects=hops)
        client = Client(Network(clock), headers=HEADERS)
        assert ("X-Api-Key: k" in self.block(client, asked, typed)) == full
        assert ("Authorization: Basic dXM6ZXI=" in self.block(client, asked, typed, HEADERS[1:])) == full

    def block(self, client: Client, asked: Request, typed: Typed | None = None, headers=HEADERS) -> str:
        """The request head as it goes to the wire; https needs no handshake for that."""
        heads: list[bytes] = []

        @implementer(IAgent)
        class Listening:
            def request(self, method, uri, headers=None, bodyProducer=None):
                heads.append(headers.head)
                return Deferred()

        fetcher = Fetcher(
            clock=client.clock,
            agent=Listening(),
            limits=Limits(),
            user_agent="test/1",
            headers=headers,
            public_only=lambda _: False,
            login=(typed or Typed()).login,
        )
        fetcher.fetch(asked)
        return heads[0].decode()

    def test_userinfo_is_basic_authentication(self, network):
        """User and password of a typed URL, percent-decoded; the Host header does not show them."""
        sent = self.sent(network, request("http://us%40er:p%3Ass@a.example/"), [])
        assert base64.b64decode(sent["authorization"].removeprefix("Basic ")) == b"us@er:p:ss"
        assert sent["host"] == "a.example"

    def test_a_header_of_the_user_replaces_userinfo(self, network):
        """One request carries one credential: -H wins, as in curl."""
        sent = self.sent(network, request("http://u:p@a.example/"), [("authorization", "Bearer t")])
        assert sent["authorization"] == "Bearer t"

    def test_userinfo_of_a_location_is_not_sent(self, network):
        """A server cannot make us log in anywhere: only a typed URL counts, and that in all of its origin."""
        for location in ("http://u:p@a.example/2", "http://u:p@b.example/"):
            response = Response(Timings(), 0.0, status=302, headers={"location": [location]})
            asked = next_hop(request("http://a.example/"), response, max_redirects=9, https_only=False)
            assert "authorization" not in self.sent(network, asked, [])
            own = next_hop(request("http://me:too@a.example/"), response, max_redirects=9, https_only=False)
            sent = self.sent(network, own, []).get("authorization")
            assert sent == ("Basic bWU6dG9v" if "a.example" in location else None)

    def test_userinfo_of_a_link_is_not_sent(self, network):
        """Nor can a page."""
        asked = request("http://u:p@a.example/", input=Input(parent="http://b.example/", depth=1))
        assert "authorization" not in self.sent(network, asked, [])

    def test_userinfo_is_not_recorded(self, network):
        """No field of the record holds user or password."""
        network.serve()
        asked = request("http://user17:secret17@a.example/x")
        record = record_of(asked, fetch(Client(network), asked), 0.0)
        line = msgspec.json.encode(record)
        assert b"17" not in line.replace(record.started.encode(), b"")

    def test_only_what_was_discovered_must_be_public(self, clock, network):
        """A redirect to a private address is blocked; a typed one is not."""
        network.serve("localhost.example", address="127.0.0.1")
        client = Client(network, public_only=lambda asked: asked.discovered)
        hop = request("http://localhost.example/", redirects=(Redirect("http://a.example/", 302),))
        assert code(fetch(client, hop)) == "address_blocked"
        assert fetch(client, request("http://localhost.example/")).status == 200
        assert code(fetch(client, hop)) == "address_blocked"


def redirecting(*pieces: bytes, headers: bytes = b"", act: str = ""):
    """A 302 with this body; then the server closes, resets or waits."""

    def script(wire: Wire, _: object) -> None:
        wire.send(b"HTTP/1.1 302 Found\r\nLocation: /next\r\n" + headers + b"\r\n")
        for piece in pieces:
            wire.send(piece)
        if act:
            getattr(wire, act)(0.5)

    return script


GZIP = b"Content-Encoding: gzip\r\n"


class TestBodiesOfRedirects:
    """Nobody needs them: whatever is wrong with one is noted, the connection is dropped, and the redirect is followed."""

    @pytest.mark.parametrize(
        ("script", "broken", "seconds"),
        [
            (redirecting(b"short", headers=b"Content-Length: 99\r\n", act="close"), "body_truncated", 0.5),
            (redirecting(b"short", headers=b"Content-Length: 99\r\n", act="reset"), "body_truncated", 0.5),
            (redirecting(b"short", headers=b"Content-Length: 99\r\n"), "timeout_idle", REDIRECT_SECONDS),
            (redirecting(b"no end"), "timeout_idle", REDIRECT_SECONDS),
            (redirecting(b"no end", act="reset"), "body_truncated", 0.5),
            (redirecting(b"plain", headers=b"Content-Length: 5\r\n" + GZIP), "decode_error", 0),
            (redirecting(b"zz\r\n", headers=b"Transfer-Encoding: chunked\r\n"), "http_bad_chunk", 0),
            (redirecting(b"5\r\nhel", headers=b"Transfer-Encoding: chunked\r\n", act="close"), "body_truncated", 0.5),
            (redirecting(b"x", headers=b"Content-Length: 20000000\r\n"), "body_too_large", 0),
            (redirecting(b"x", headers=b"Content-Length: " + b"9" * 5000 + b"\r\n"), "body_too_large", 0),
            (redirecting(b"x", headers=b"Transfer-Encoding: gzip, chunked\r\n"), "http_bad_framing", 0),
            (redirecting(b"x" * (REDIRECT_SIZE + 1)), "body_too_large", 0),
            (redirecting(headers=b"Content-Length: 5\r\nContent-Encoding: gzip, br, gzip, br\r\n"), "decode_error", 0),
        ],
    )
    def test_what_is_wrong_with_it_is_noted(self, clock, network, script, broken, seconds):
        """It is no error; what has come of it is there; and it does not cost the patience that a page gets."""
        network.serve(script=script)
        client = Client(network)
        got = fetch(client)
        assert (code(got), got.broken, got.status) == (None, broken, 302)
        assert got.truncated
        assert got.timings.total <= seconds + 2 * WATCH_INTERVAL
        client.assert_quiet()
        assert not network.open

    def test_a_whole_one_is_nothing_to_speak_of(self, clock, network):
        """It is read as any body, and its connection kept; one that ends with the connection has that time."""
        network.serve(script=lambda wire, _: wire.answer(b"moved", "Location: /x", status=302))
        client = Client(network)
        got = fetch(client)
        assert (got.broken, got.truncated, got.body, fetch(client).reused) == (None, False, b"moved", True)
        other = Network(clock)
        other.serve(script=redirecting(b"moved", act="close"))
        got = fetch(Client(other))
        assert (got.broken, got.body) == (None, b"moved")

    @pytest.mark.parametrize(
        ("script", "limits"),
        [
            (redirecting(b"short", headers=b"Content-Length: 99\r\n", act="close"), Limits(follow=False)),
            (body_script(b"short", headers=b"Location: /x\r\nContent-Length: 99\r\n"), Limits()),
            (lambda wire, _: wire.send(b"HTTP/1.1 302 -\r\nContent-Length: 9\r\n\r\nx") or wire.close(0.5), Limits()),
        ],
        ids=["not followed", "200", "nowhere to go"],
    )
    def test_the_body_of_a_last_answer_counts(self, clock, network, script, limits):
        """Where nothing is followed the body is what was asked for."""
        network.serve(script=script)
        got = fetch(Client(network, limits=limits))
        assert (code(got), got.broken) == ("body_truncated", None)

    def test_an_error_before_the_body_stays_one(self, clock, network):
        """A head that is cut leads nowhere."""
        network.serve(script=lambda wire, _: wire.send(b"HTTP/1.1 302 -\r\nLocation: /x\r\n") or wire.close(0.5))
        assert code(fetch(Client(network))) == "http_truncated_headers"


class TestWholeCodings:
    """A compressed body says itself where it ends."""

    @pytest.mark.parametrize("act", ["close", "reset", ""])
    @pytest.mark.parametrize(
        "headers", [b"Content-Length: 999\r\n", b"Transfer-Encoding: chunked\r\n"], ids=["length", "chunks"]
    )
    def test_a_transfer_that_breaks_off_behind_it(self, clock, network, headers, act):
        """Its checksum vouches for it, whatever was announced: also where the server just waits."""
        data = gzip.compress(b"hello", mtime=0)
        if b"chunked" in headers:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        network.serve(script=body_script(data, gap=1, headers=GZIP + headers, end=act))
        got = fetch(Client(network))
        assert (code(got), got.body, got.warnings, got.truncated) == (None, b"hello", ["early_end"], False)

    def test_one_that_is_cut(self, clock, network):
        """Without its end it is not whole."""
        data = gzip.compress(b"hello", mtime=0)[:-1]
        network.serve(script=body_script(data, gap=1, headers=GZIP + b"Content-Length: 999\r\n"))
        assert code(fetch(Client(network))) == "body_truncated"


class TestUnpackingInTurns:
    """What takes long to decode is decoded in turns of the reactor, and the server waits for us, not we for it."""

    PACKED = gzip.compress(b"x" * 64, mtime=0) * 2000

    def served(self, network: Network, *, length: bool = True, act: str = "", more: bytes = b"") -> Client:
        body = self.PACKED + more
        headers = GZIP + (b"Content-Length: %d\r\n" % len(body) if length else b"")
        network.serve(script=body_script(body, headers=headers, end=act))
        return Client(network)

    @pytest.mark.parametrize(("length", "act"), [(True, ""), (True, "close"), (False, "close")])
    def test_all_of_it_comes(self, clock, network, length, act):
        """Whether the server ends meanwhile or not."""
        client = self.served(network, length=length, act=act)
        got = fetch(client)
        assert (code(got), got.body, got.warnings) == (None, b"x" * 64 * 2000, [])
        client.assert_quiet()

    def test_an_error_in_it(self, clock, network):
        """It is met in its turn; what came before it is kept."""
        got = fetch(self.served(network, more=b"\x1f\x8b\x08\xff" + bytes(20)))
        assert (code(got), got.body) == ("decode_error", b"x" * 64 * 2000)

    def test_not_all_at_once(self, clock, network):
        """A segment of tens of thousands of members takes many turns."""
        turns: list[float] = []
        client = self.served(network)
        done = client.fetcher.fetch(request())
        take = client.fetcher.parts.turns.take
        client.fetcher.parts.turns.take = lambda work: take(turns.append(0.0) or step for step in work)
        run(clock, done)
        assert len(turns) > 20

    def test_cancelled_meanwhile(self, clock, network):
        """Nothing goes on."""
        client = self.served(network)
        done = client.fetcher.fetch(request())
        done.addErrback(lambda failure: failure.trap(CancelledError))
        client.fetcher.parts.turns.take = lambda work: done.cancel() or list(work)
        advance_to(clock, 1.0)
        assert done.called
        client.assert_quiet()
