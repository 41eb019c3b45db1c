"""budget.py and who asks it: bodies in the air take no more memory than they may, and no honest run loses a record."""

from __future__ import annotations

import gzip
import os
import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from crawl_rig import Records, Rig, Slow, urls
from memory_net import Asked, Client, Network, Wire, advance_to, request, run
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from websocket_tools import TEXT, frame, switching

from crawler.config.config import Config, ConfigError
from crawler.fetch.budget import LEAST, MOST, Budget, default_limit, memory
from crawler.fetch.limits import Limits
from crawler.models import Findings, Request, Response

KIB = 1 << 10
MIB = 1 << 20
OK = b"HTTP/1.1 200 OK\r\n"
LIMITS = Limits(idle=20, total=60)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def network(clock):
    return Network(clock)


def code(response: Response) -> str | None:
    return None if response.error is None else response.error.code


def hanging(size: Callable[[int], int]) -> Callable[[Wire, Asked], None]:
    """A body of so many bytes, by the number of its URL, that never ends."""

    def script(wire: Wire, asked: Asked) -> None:
        number = int(asked.target.rpartition("/")[2])
        wire.send(OK + b"\r\n" + bytes(size(number)))

    return script


class Watched(Budget):
    most = 0

    def relieve(self) -> None:
        super().relieve()
        self.most = max(self.most, self.used)


class TestFetch:
    def test_the_largest_is_ended(self, clock, network):
        """What goes beyond the limit costs the largest body, and no other; what it held is free at once."""
        network.serve(script=hanging(lambda number: number * KIB))
        budget = Budget(100 * KIB)
        client = Client(network, limits=LIMITS, budget=budget)
        flights = {n: client.fetcher.fetch(request(f"http://a.example/{n}")) for n in (30, 40, 20)}
        advance_to(clock, 0.1)
        assert budget.used == 90 * KIB
        flights[15] = client.fetcher.fetch(request("http://a.example/15"))
        advance_to(clock, 0.2)
        assert [n for n, flight in flights.items() if flight.called] == [40]
        assert budget.used == 65 * KIB
        ended: Response = run(clock, flights.pop(40))
        assert ended.error is not None
        assert (ended.error.code, ended.error.phase, ended.error.transient) == ("memory_limit", "body", True)
        assert (ended.body, ended.truncated, ended.size_download) == (b"", True, 40 * KIB)
        for flight in flights.values():
            assert run(clock, flight).error.code == "timeout_idle"
        assert budget.used == 0
        client.assert_quiet()

    def test_one_that_takes_all(self, clock, network):
        """A body that is too large by itself would be so again."""
        network.serve(script=hanging(lambda _: 101 * KIB))
        got = run(clock, Client(network, budget=Budget(100 * KIB)).fetcher.fetch(request("http://a.example/1")))
        assert (got.error.code, got.error.transient) == ("memory_limit", False)
        assert "102,400 bytes" in got.error.message

    def test_decoded_bytes_count(self, clock, network):
        """A bomb takes what it decodes to; also one that is found to be broken at its end."""
        bomb = gzip.compress(bytes(200 * KIB))

        def script(wire: Wire, _: Asked) -> None:
            wire.send(OK + b"Content-Encoding: gzip\r\n\r\n" + bomb[:-4])
            wire.close(0.1)

        network.serve(script=script)
        budget = Budget(100 * KIB)
        got = run(clock, Client(network, budget=budget).fetcher.fetch(request()))
        assert got.error.code == "memory_limit"
        assert budget.used == 0

    def test_heads_count(self, clock, network):
        """A large head takes memory before a byte of the body has come, and more than it has bytes."""

        def script(wire: Wire, asked: Asked) -> None:
            size = int(asked.target.rpartition("/")[2]) * KIB
            wire.send(OK + b"X: " + b"x" * size + b"\r\n\r\n")

        network.serve(script=script)
        budget = Budget(200 * KIB)
        client = Client(network, limits=LIMITS, budget=budget)
        flights = {n: client.fetcher.fetch(request(f"http://a.example/{n}")) for n in (40, 55, 2)}
        advance_to(clock, 0.1)
        assert {n for n, flight in flights.items() if flight.called} == set()
        assert 190 * KIB < budget.used < 191 * KIB
        flights[20] = client.fetcher.fetch(request("http://a.example/20"))
        advance_to(clock, 0.2)
        assert {n for n, flight in flights.items() if flight.called} == {55}
        ended: Response = run(clock, flights.pop(55))
        assert ended.error is not None
        assert (ended.error.code, ended.error.transient) == ("memory_limit", True)
        for flight in flights.values():
            assert run(clock, flight).error.code == "timeout_idle"
        assert budget.used == 0
        client.assert_quiet()

    def test_one_head_that_takes_all(self, clock, network):
        """It ends before its body begins."""
        network.serve(script=lambda wire, _: wire.send(OK + b"X: " + b"x" * (200 * KIB) + b"\r\n\r\nbody"))
        budget = Budget(100 * KIB)
        client = Client(network, budget=budget)
        got = run(clock, client.fetcher.fetch(request()))
        assert (got.error.code, got.error.transient, got.body) == ("memory_limit", False, b"")
        assert budget.used == 0
        client.assert_quiet()

    def test_messages_count_beside_the_body(self, clock, network):
        """What a WebSocket says is there twice: as the body, and in the record's data."""

        def raw(wire: Wire, data: bytes) -> None:
            if data.startswith(b"GET"):
                wire.send(switching(data) + frame(TEXT, bytes(40 * KIB)))

        network.serve(raw=raw)
        budget = Budget(100 * KIB)
        client = Client(network, budget=budget, ws_messages=9)
        one = client.fetcher.fetch(request("ws://a.example/1"))
        advance_to(clock, 0.1)
        assert (one.called, budget.used) == (False, 80 * KIB)
        other = client.fetcher.fetch(request("ws://a.example/2"))
        advance_to(clock, 0.2)
        assert [flight.called for flight in (one, other)].count(True) == 1
        assert {code(run(clock, flight)) for flight in (one, other)} == {"memory_limit", None}
        assert budget.used == 0
        client.assert_quiet()

    def test_two_fetchers(self, clock, network):
        """The largest of all is ended, whoever fetches it."""
        network.serve(script=hanging(lambda number: number * KIB))
        budget = Budget(100 * KIB)
        one, other = Client(network, budget=budget), Client(network, budget=budget)
        large = one.fetcher.fetch(request("http://a.example/60"))
        advance_to(clock, 0.1)
        small = other.fetcher.fetch(request("http://a.example/50"))
        advance_to(clock, 0.2)
        assert large.called
        assert not small.called
        small.cancel()
        small.addErrback(lambda _: None)
        assert budget.used == 0

    def test_no_second_copy(self, clock, network):
        """A body of many pieces is never held twice: neither while it comes nor when its pieces become one."""
        piece = random.Random(1).randbytes(64 * KIB)

        def script(wire: Wire, _: Asked) -> None:
            wire.send(OK + b"\r\n")
            for number in range(160):
                clock.callLater(number / 10, lambda: wire.send(bytes(piece)))
            wire.close(17.0)

        network.serve(script=script)
        client = Client(network, budget=Budget(64 * MIB))
        tracemalloc.start()
        got = run(clock, client.fetcher.fetch(request()))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert got.body == piece * 160
        assert peak < 1.25 * 10 * MIB + MIB


class TestRun:
    def test_claims_wait(self, clock):
        """While more than half is taken nothing is started; all have their record in the end."""
        network = Network(clock)

        def script(wire: Wire, _: Asked) -> None:
            wire.send(OK + b"Content-Length: 30721\r\n\r\n" + bytes(30 * KIB))
            wire.send(b"x", 5.0)

        server = network.serve(script=script)
        rig = Rig(urls(30), network=network, concurrency=30, per_host=30, delay=0.1, budget=Budget(400 * KIB))
        rig.run()
        assert rig.records.codes == [None] * 30
        assert server.most_answering == 7  # the eighth would have begun beyond half

    def test_bombs_and_silence(self, clock):
        """However many send much and then nothing: memory stays within the limit, and each gets its record."""
        network = Network(clock)
        network.serve(script=hanging(lambda number: (number % 7 + 10) * KIB))
        budget = Watched(64 * KIB)
        rig = Rig(urls(40), network=network, concurrency=32, per_host=32, adaptive=False, budget=budget, limits=LIMITS)
        records = rig.run()
        assert set(records.codes) <= {"memory_limit", "timeout_idle"}
        assert len(records.codes) == 40
        assert 40 * KIB < budget.most <= 64 * KIB

    def test_bodies_that_wait_count(self, clock):
        """A page that waits to be parsed, or for a sink that is full, is still in memory."""
        network = Network(clock)
        network.serve(script=lambda wire, _: wire.answer(bytes(60 * KIB)))
        waiting: list[Deferred[None]] = []

        class Reader:
            def prepare(self, request: Request, response: Response) -> Deferred[None]:
                waiting.append(Deferred())
                return waiting[-1]

            def read(self, request: Request, response: Response, prepared: object) -> Findings:
                return Findings()

        rig = Rig(urls(20), network=network, concurrency=8, budget=Budget(400 * KIB))
        rig.crawl._reader = Reader()
        ended = rig.start(1.0)
        assert 4 <= len(waiting) <= 8
        while not ended:
            waiting.pop().callback(None)
            advance_to(clock, clock.seconds() + 1.0)
        assert len(rig.records.records) == 20
        rig.assert_quiet()

    def test_large_bodies_wait_for_a_full_sink(self, clock):
        """Where many large bodies have arrived, their records are made while the sink takes them."""
        network = Network(clock)
        network.serve(script=lambda wire, _: wire.answer(bytes(9 * MIB), after=1.0))
        slow = Slow(clock, 10.0)
        rig = Rig(urls(8), network=network, concurrency=8, sink=slow)
        ended = rig.start(5.0)
        assert len(slow.records) == 1
        assert rig.client.fetcher.budget.used == 7 * 9 * MIB
        advance_to(clock, 100.0)
        assert ended == [None]
        assert len(slow.records) == 8
        rig.assert_quiet()

    def test_stopping_writes_what_waits(self, clock):
        """A run that is stopped while large bodies wait for its sink gives it all of them."""
        network = Network(clock)
        network.serve(script=lambda wire, _: wire.answer(bytes(9 * MIB), after=1.0))
        slow = Slow(clock)
        rig = Rig(urls(8), network=network, concurrency=8, sink=slow)
        ended = rig.start(5.0)
        rig.crawl.drain(1.0)
        advance_to(clock, 10.0)
        assert ended == [None]
        assert len(slow.records) == 8
        assert rig.client.fetcher.budget.used == 0

    def test_cancelled_while_it_is_parsed(self, clock):
        """What is given up gives back what it held."""
        network = Network(clock)
        network.serve(script=lambda wire, _: wire.answer(bytes(60 * KIB)))

        class Reader:
            def prepare(self, request: Request, response: Response) -> Deferred[None]:
                return Deferred()

            def read(self, request: Request, response: Response, prepared: object) -> Findings:
                raise AssertionError

        rig = Rig(urls(3), network=network, sink=Records())
        rig.crawl._reader = Reader()
        ended = rig.start(1.0)
        rig.crawl.abort()
        advance_to(clock, 2.0)
        assert ended == [None]
        assert rig.client.fetcher.budget.used == 0


class TestMachine:
    @pytest.mark.parametrize(
        ("groups", "files", "limit"),
        [
            ("0::/a/b\n", {"a/b/memory.max": "max\n", "a/memory.max": "300000000\n"}, 300_000_000),
            ("0::/a/b\n", {"memory.max": "200000000\n"}, 200_000_000),
            ("9:cpu:/x\n4:memory:/y\n0::/\n", {"memory/y/memory.limit_in_bytes": "100000000\n"}, 100_000_000),
            ("4:memory:/not/there\n", {"memory/memory.limit_in_bytes": "90000000\n"}, 90_000_000),
            ("0::/../up\n", {"memory.max": "80000000\n"}, 80_000_000),
            ("nonsense\n", {}, None),
            ("", {}, None),
        ],
    )
    def test_control_groups(self, tmp_path, groups, files, limit):
        """The smallest limit on the way up, in both versions; what is not there limits nothing."""
        proc = tmp_path / "cgroup"
        proc.write_text(groups)
        for name, text in files.items():
            place = tmp_path / "sys" / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
        found = memory(proc, tmp_path / "sys")
        assert found == (limit or memory(Path(os.devnull), Path(os.devnull)))

    def test_default(self):
        """A quarter, within bounds."""
        assert LEAST <= default_limit() <= MOST
        assert default_limit() in {LEAST, MOST, memory() // 4}

    def test_option(self):
        """--max-memory reads as other sizes do, and refuses what would leave no room."""
        assert Config.build(max_memory="512M").max_memory == 512_000_000
        assert Config.build(max_memory="2GiB").max_memory == 2048 * MIB
        with pytest.raises(ConfigError, match="max_memory"):
            Config.build(max_memory="4k")
