"""connect/throttle.py and --limit-rate: so many bytes per second, shared by all, and never the server's fault."""

from __future__ import annotations

import pytest
from crawl_world import World, page
from memory_net import Asked, Network, Wire, advance_to
from twisted.internet.task import Clock

from crawler.fetch.connect.throttle import Pauses, Throttle

CHUNK = 1000


class Taker:
    """Takes a chunk whenever it may."""

    def __init__(self, throttle: Throttle) -> None:
        self.throttle = throttle
        self.taken = 0

    def go_on(self) -> None:
        self.taken += CHUNK
        self.throttle.took(self, CHUNK)


def sender(network: Network, size: int):
    """A server that sends a body in chunks, a millisecond apart, while it may."""

    def script(wire: Wire, asked: Asked) -> None:
        wire.send(f"HTTP/1.1 200 -\r\nContent-Type: text/plain\r\nContent-Length: {size}\r\n\r\n".encode())
        left = [size]

        def pump() -> None:
            if not wire.open:
                return
            if not wire.paused:
                left[0] -= CHUNK
                wire.send(b"x" * CHUNK)
            if left[0]:
                network.clock.callLater(0.001, pump)
            else:
                wire._set_answering(answering=False)

        pump()

    return script


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


class TestThrottle:
    def test_so_many_bytes_a_second(self):
        """Whatever there is to take."""
        clock = Clock()
        throttle = Throttle(clock, 10_000, lambda _: None)
        taker = Taker(throttle)
        taker.go_on()
        advance_to(clock, 10.0)
        assert taker.taken == pytest.approx(100_000, abs=2 * CHUNK)

    def test_all_get_as_much(self):
        """In turn: nobody gets twice as much as another, and one that has ended takes nobody's turn."""
        clock = Clock()
        throttle = Throttle(clock, 10_000, lambda _: None)
        takers = [Taker(throttle) for _ in range(4)]
        for taker in takers:
            taker.go_on()
        throttle.forget(takers[0])
        advance_to(clock, 9.0)
        assert takers[0].taken == CHUNK
        shares = [taker.taken for taker in takers[1:]]
        assert max(shares) - min(shares) <= CHUNK
        assert sum(shares) == pytest.approx(90_000, abs=3 * CHUNK)

    def test_nobody_waits(self):
        """Then there is no timer; and what waits long has only one."""
        clock = Clock()
        throttle = Throttle(clock, 10, lambda _: None)
        assert clock.getDelayedCalls() == []
        taker = Taker(throttle)
        taker.go_on()
        assert [call.getTime() for call in clock.getDelayedCalls()] == [100.0]
        throttle.forget(taker)
        assert clock.getDelayedCalls() == []

    def test_nothing_is_started_in_debt(self):
        """Who starts requests is told when all that has come is paid off."""
        held: list[float] = []
        Throttle(Clock(), 1000, held.append).took(Taker, 500)  # type: ignore[type-abstract]
        assert held == [0.5]


def test_pauses():
    """Of a time that lasts since before them they are left out; of one that began later, or in one, nothing is."""
    pauses = Pauses()
    free = pauses.without(lambda since, now: now - since)
    assert free(0.0, 5.0) == 5.0
    pauses.begin(5.0)
    assert free(0.0, 9.0) == 5.0
    assert free(4.5, 9.0) == 0.5
    pauses.end(10.0)
    assert free(0.0, 12.0) == 7.0
    assert free(10.0, 12.0) == 2.0


class TestRun:
    def test_one_large_body(self, world):
        """It takes as long as its size says, longer than any deadline: none of that is the server's doing."""
        world.network.serve("a.example", sender(world.network, 400_000))
        run = world.crawl(recursive=False, limit_rate="2k", timeout=30, idle_timeout=1, min_rate=5000, retries=0)
        (record,) = run.records
        assert (record.outcome, record.size_body) == ("ok", 400_000)
        assert record.time_total == pytest.approx(200.0, abs=1.0)

    def test_a_server_that_stops_is_still_found_out(self, world):
        """Time that we did not ask for is no time of its silence, but the rest is."""

        def script(wire: Wire, asked: Asked) -> None:
            wire.send(b"HTTP/1.1 200 -\r\nContent-Length: 9000\r\n\r\n" + b"x" * 5000)

        world.network.serve("a.example", script)
        run = world.crawl(recursive=False, limit_rate=1000, idle_timeout=3, retries=0)
        (record,) = run.records
        assert record.error is not None and record.error.code == "timeout_idle"
        assert record.time_total == pytest.approx(8.1, abs=0.3)

    def test_many_small_bodies(self, world):
        """They are there before they can be paused: then the next ones are not started."""
        for number in range(20):
            world.site({"/": page(title="x" * 950)}, f"h{number}.example")
        seeds = [f"http://h{number}.example/" for number in range(20)]
        run = world.crawl(*seeds, recursive=False, limit_rate="1k", concurrency=2)
        assert run.snapshot.ok == 20
        size = run.records[0].size_body
        assert world.clock.seconds() == pytest.approx(
            18 * size / 1000, abs=0.2
        )  # all but the first two were waited for

    def test_two_share_it(self, world):
        """Two bodies of the same size end at about the same time, after twice that of one."""
        for host in ("a.example", "b.example"):
            world.network.serve(host, sender(world.network, 50_000))
        run = world.crawl("http://a.example/", "http://b.example/", recursive=False, limit_rate="10k")
        assert [record.time_total for record in run.records] == pytest.approx([10.0, 10.0], abs=0.5)

    def test_a_gzip_body_and_a_pause(self, world):
        """Decoding pauses the connection, too: who goes on first does not go on for both."""
        import gzip
        import random

        body = gzip.compress(bytes(random.Random(1).randbytes(60_000)))

        def script(wire: Wire, asked: Asked) -> None:
            head = f"HTTP/1.1 200 -\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
            wire.send(head.encode() + body[:30_000])
            wire.send(body[30_000:], after=0.5)
            wire._set_answering(answering=False)

        world.network.serve("a.example", script)
        run = world.crawl(recursive=False, limit_rate="10k")
        (record,) = run.records
        assert (record.outcome, record.size_body) == ("ok", 60_000)
