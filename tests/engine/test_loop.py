"""loop.py and disposition.py: every input gets exactly one record, whatever happens. Real parts on a network in memory, under a Clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain, pairwise, repeat

import pytest
from crawl_rig import Full, Records, Rig, Slow, seed, urls
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from memory_net import Asked, Network, Server, Wire, advance_to, run
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock

from crawler.engine.admission import Admission
from crawler.errors import CodedError
from crawler.fetch.limits import Limits
from crawler.frontier import Counts
from crawler.models import Ask, Input, Record, Request, Response, Timings, record_of
from crawler.politeness.host import GIVE_UP_AFTER
from crawler.seeds.feed import DirectFeed
from crawler.seeds.inputs import BadLine, Seed
from crawler.sinks.ordered import Ordered
from crawler.urls import parse

BAD = BadLine("no url", Input(source="list", line=1), CodedError("url_invalid", "no URL"))


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def network(clock):
    return Network(clock)


def status(code: int, *headers: str, after: float = 0.0) -> Callable[[Wire, Asked], None]:
    return lambda wire, _: wire.answer(b"x", *headers, status=code, after=after)


def silent(wire: Wire, asked: Asked) -> None:
    """Never answers."""


# Records == inputs

HOSTS = ["a.example", "b.example", "c.example"]
# What may become of each kind of input when hosts are never given up: (outcome, status, error code).
KINDS: dict[str, set[tuple[str, int | None, str | None]]] = {
    "ok": {("ok", 200, None)},
    "slow": {("ok", 200, None)},
    "missing": {("ok", 404, None)},
    "moved": {("ok", 200, None)},
    "loop": {("failed", 302, "redirect_loop")},
    "flaky": {("ok", 200, None), ("failed", None, "http_truncated_headers")},
    "busy": {("ok", 200, None), ("ok", 503, None)},
    "wait": {("ok", 200, None), ("ok", 429, None)},
    "parked": {("ok", 200, None), ("ok", 429, None)},
    "broken": {("failed", None, "http_truncated_headers")},
    "stalled": {("failed", None, "timeout_headers")},
    "refused": {("failed", None, "connect_refused")},
    "unknown": {("failed", None, "dns_nxdomain")},
    "bad": {("failed", None, "url_invalid")},
}
RETRIED = {"flaky", "busy", "wait", "parked"}  # all but the first try succeed


def mixed(network: Network) -> dict[str, Server]:
    """Three hosts whose paths say what to do; the second time a URL is asked for, much is better."""
    seen: Counter[tuple[str, str]] = Counter()

    def script(wire: Wire, asked: Asked) -> None:
        target = asked.target
        host = asked.headers["host"]
        kind = target.split("/")[1]
        seen[host, target] += 1
        again = seen[host, target] > 1
        if kind == "missing":
            wire.answer(b"no", status=404)
        elif kind == "moved":
            other = HOSTS[(HOSTS.index(host) + 1) % len(HOSTS)]
            wire.answer(b"", f"Location: http://{other}/ok{target}", status=301)
        elif kind == "loop":
            wire.answer(b"", f"Location: {target}", status=302)
        elif kind == "broken" or (kind == "flaky" and not again):
            wire.send(b"HTTP/1.1 20", 0.1)  # a reset without a byte could be sent again at once, on a new connection
            wire.reset(0.1)
        elif kind == "stalled":
            pass
        elif kind == "busy" and not again:
            wire.answer(b"", status=503)
        elif kind == "wait" and not again:
            wire.answer(b"", "Retry-After: 3", status=429)
        elif kind == "parked" and not again:
            wire.answer(b"", "Retry-After: 5000", status=429)
        else:
            wire.answer(b"hello", after=2.0 if kind == "slow" else 0.05)

    return {host: network.serve(host, script) for host in HOSTS}


def to_seed(kind: str, host: str, number: int) -> Seed | BadLine:
    if kind == "bad":
        return BAD
    if kind == "refused":
        return seed(f"http://{host}:81/{number}", number)
    if kind == "unknown":
        return seed(f"http://unknown.example/{number}", number)
    return seed(f"http://{host}/{kind}/{number}", number)


def to_seeds(kinds: list[tuple[str, str]]) -> list[Seed | BadLine]:
    return [to_seed(kind, host, number) for number, (kind, host) in enumerate(kinds)]


class Checked(Records):
    """Also checks, at each record, that no more is unfinished than may be."""

    def __init__(self, clock: Clock, every: int, window: int) -> None:
        super().__init__()
        self.admission: Admission | None = None
        self._clock = clock
        self._every = every
        self._window = window
        self._timers: list[IDelayedCall] = []

    def write(self, record: Record, response: Response | None, sequence: int) -> Deferred[None] | None:
        super().write(record, response, sequence)
        assert self.admission is not None
        assert self.admission.pending <= self._window
        if not self._every or len(self.records) % self._every:
            return None
        wait: Deferred[None] = Deferred()
        self._timers.append(self._clock.callLater(1.5, wait.callback, None))
        return wait

    def forget(self) -> None:
        """What it would still say when the run is over, nobody hears."""
        for timer in self._timers:
            if timer.active():
                timer.cancel()


INPUTS = st.lists(st.tuples(st.sampled_from(sorted(KINDS)), st.sampled_from(HOSTS)), max_size=30)
examples = settings(max_examples=25, derandomize=True, database=None, suppress_health_check=list(HealthCheck))


@examples
@given(
    kinds=INPUTS,
    concurrency=st.integers(1, 6),
    per_host=st.integers(1, 4),
    delay=st.sampled_from([0.0, 0.5]),
    retries=st.integers(0, 2),
    adaptive=st.booleans(),
    window=st.integers(1, 40),
    back_pressure=st.sampled_from([0, 1, 3]),
)
def test_records_are_inputs(kinds, concurrency, per_host, delay, retries, adaptive, window, back_pressure):
    """Each input has one record that tells the truth, the books balance, no limit was ever exceeded, nothing is left."""
    clock = Clock()
    network = Network(clock)
    servers = mixed(network)
    sink = Checked(clock, back_pressure, window)
    rig = Rig(
        to_seeds(kinds),
        network=network,
        sink=sink,
        concurrency=concurrency,
        per_host=per_host,
        delay=delay,
        adaptive=adaptive,
        retries=retries,
        window=window,
        limits=Limits(headers=4.0),
    )
    sink.admission = rig.admission
    rig.run()

    assert sorted(sink.records) == list(range(len(kinds)))
    for number, (kind, _) in enumerate(kinds):
        record = sink.records[number]
        code = record.error and record.error.code
        if adaptive and code == "host_unavailable":
            continue
        assert (record.outcome, record.status, code) in KINDS[kind]
        if kind in RETRIED and retries:
            assert (record.status, record.attempts) == (200, 2)
        elif kind != "bad":
            assert record.attempts <= retries + 1
        if kind == "moved":
            assert [hop.status for hop in record.redirects] == [301]

    counts = rig.frontier.counts()
    outcomes = Counter(sink.records[n].outcome for n, (kind, _) in enumerate(kinds) if kind != "bad")
    assert counts == Counts(ok=outcomes["ok"], failed=outcomes["failed"])
    assert (rig.admission.accepted, rig.admission.pending, rig.all_read) == (len(kinds), 0, [len(kinds)])
    assert network.most_answering <= concurrency
    for server in servers.values():
        assert server.most_answering <= per_host
        starts = [when for when, _ in server.asked]
        assert all(after - before >= delay - 1e-9 for before, after in pairwise(starts))


@examples
@given(
    kinds=INPUTS,
    concurrency=st.integers(1, 6),
    window=st.integers(1, 40),
    back_pressure=st.sampled_from([0, 1, 3]),
    when=st.floats(0.0, 20.0),
    grace=st.none() | st.floats(0.0, 3.0),
)
def test_stopped_at_any_moment(kinds, concurrency, window, back_pressure, when, grace):
    """Drained or aborted: what is finished was written, all else that was accepted is still queued."""
    clock = Clock()
    network = Network(clock)
    mixed(network)
    sink = Checked(clock, back_pressure, window)
    rig = Rig(
        to_seeds(kinds), network=network, sink=sink, concurrency=concurrency, window=window, limits=Limits(headers=4.0)
    )
    sink.admission = rig.admission
    ended = rig.start(when)
    if grace is None:
        rig.crawl.abort()
    else:
        rig.crawl.drain(grace)
    advance_to(clock, when + (grace or 0.0))
    assert ended == [None]
    sink.forget()
    rig.assert_quiet()

    bad = sum(kinds[number][0] == "bad" for number in sink.records)
    counts = rig.frontier.counts()
    assert counts.pending == rig.admission.pending == rig.admission.accepted - len(sink.records)
    assert counts.ok + counts.failed == len(sink.records) - bad


@examples
@given(
    kinds=INPUTS,
    concurrency=st.integers(1, 6),
    window=st.integers(1, 40),
    room=st.integers(0, 20),
    after=st.none() | st.floats(0.0, 3.0),
)
def test_failing_at_any_record(kinds, concurrency, window, room, after):
    """However many records a sink takes before it fails: no more than those are finished, all else is accounted for."""
    clock = Clock()
    network = Network(clock)
    mixed(network)
    sink = Full(clock, room, after)
    rig = Rig(
        to_seeds(kinds), network=network, sink=sink, concurrency=concurrency, window=window, limits=Limits(headers=4.0)
    )
    if len(kinds) <= room:
        run(clock, rig.crawl.run())
    else:
        with pytest.raises(CodedError, match="disk_full"):
            run(clock, rig.crawl.run())
    rig.assert_quiet()

    counts = rig.frontier.counts()
    bad = sum(kind == "bad" for kind, _ in kinds)
    assert rig.admission.accepted - rig.admission.pending <= len(sink.records) <= room
    assert counts.ok + counts.failed <= len(sink.records)
    assert 0 <= rig.admission.pending - counts.pending <= bad


class TestOneRun:
    def test_no_input(self):
        """An empty list is a run like any other: it ends at once."""
        rig = Rig([])
        assert rig.run().records == {}
        assert rig.clock.seconds() == 0.0
        assert rig.all_read == [0]

    def test_the_record_of_a_chain(self, network):
        """A redirect is one record: its hops, its last answer, and the place where its input stood."""
        network.serve("a.example", lambda wire, _: wire.answer(b"", "Location: //b.example/x", status=301))
        network.serve("b.example", lambda wire, asked: (
            wire.answer(b"", "Location: y", status=302) if asked.target == "/x" else wire.answer(b"end")
        ))  # fmt: skip
        record = Rig([BAD, seed("http://a.example/", 2)], network=network).run().records[1]
        assert [(hop.url, hop.status) for hop in record.redirects] == [
            ("http://a.example/", 301),
            ("http://b.example/x", 302),
        ]
        assert (record.url, record.final_url, record.body) == ("http://a.example/", "http://b.example/y", b"end")
        assert (record.input.line, record.attempts, record.outcome) == (2, 1, "ok")

    def test_too_many_redirects(self, network):
        """The chain ends at the limit, with the answer that would have led on."""
        server = network.serve(
            script=lambda wire, asked: wire.answer(b"", f"Location: /{int(asked.target[1:]) + 1}", status=302)
        )
        record = Rig([seed("http://a.example/0")], network=network, max_redirects=3).run().records[0]
        assert record.error is not None
        assert (record.error.code, record.status, len(record.redirects)) == ("too_many_redirects", 302, 3)
        assert server.targets == ["/0", "/1", "/2", "/3"]

    def test_time_in_the_queue(self, network):
        """`time_queue` runs from when the input was read to when its last try began."""
        network.serve(script=status(200, after=2.0))
        records = Rig(urls(2), network=network, concurrency=1).run().records
        assert [records[n].time_queue for n in (0, 1)] == [0.0, 2.0]

    def test_hosts_take_turns(self, network):
        """A host with a long queue keeps nobody else waiting: each is served in turn, from the first request on."""
        for host in ("a.example", "b.example", "c.example"):
            network.serve(host, status(200, after=1.0))
        rig = Rig([*urls(30), *urls(3, "b.example"), *urls(3, "c.example")], network=network, concurrency=3)
        sink = rig.records
        rig.run()
        finished = [parse(record.url).host for record in sink.records.values()]
        assert Counter(finished[:9]) == {"a.example": 3, "b.example": 3, "c.example": 3}

    def test_a_slow_host_does_not_hold_the_slots(self, network):
        """It has `per_host` of them at most, so the others are done long before it is."""
        network.serve("a.example", status(200, after=10.0))
        network.serve("b.example", status(200, after=0.1))
        rig = Rig([*urls(20), *urls(20, "b.example")], network=network, concurrency=4, per_host=2)
        rig.run()
        order = [parse(record.url).host for record in rig.records.records.values()]
        assert order[:20] == ["b.example"] * 20

    def test_a_shortage_of_descriptors_pauses_everything(self, network):
        """Running out of them is nobody's fault: no attempt is counted, and nothing new starts for a moment."""
        real = network.dial
        dials: list[float] = []

        def dial(address, port, protocol):
            dials.append(network.clock.seconds())
            if len(dials) == 1:
                failed: Deferred[object] = Deferred()
                failed.errback(OSError(24, "Too many open files"))
                return failed
            return real(address, port, protocol)

        network.dial = dial
        network.serve("a.example")
        network.serve("b.example")
        rig = Rig([seed("http://a.example/"), seed("http://b.example/")], network=network, concurrency=1)
        records = rig.run().records
        assert [(records[n].outcome, records[n].attempts) for n in (0, 1)] == [("ok", 1), ("ok", 1)]
        assert dials[1] == 0.5

    def test_retry_after_holds_the_host(self, network):
        """Nobody asks the host before its time; another host does not wait."""
        network.serve("b.example")
        server = network.serve(script=lambda wire, _: wire.answer(
            b"", "Retry-After: 30", status=429 if len(server.asked) == 1 else 200
        ))  # fmt: skip
        rig = Rig([*urls(3), *urls(1, "b.example")], network=network, concurrency=1)
        rig.run()
        assert [when for when, _ in server.asked] == pytest.approx([0.0, 30.0, 30.25, 30.5])
        assert rig.records.records[3].time_queue == 0.0

    def test_a_long_retry_after_is_parked_to_the_end(self, network):
        """What the host wants later than the cap is tried once more when all else is done."""
        first: list[str] = []

        def script(wire: Wire, asked: Asked) -> None:
            first.append(asked.target)
            fresh = asked.target == "/0" and first.count("/0") == 1
            wire.answer(b"", *(["Retry-After: 86400"] if fresh else []), status=503 if fresh else 200)

        network.serve(script=script)
        network.serve("b.example", status(200, after=19.0))
        rig = Rig([*urls(3), *urls(8, "b.example")], network=network, concurrency=2, per_host=1)
        records = rig.run().records
        assert first[-1] == "/0"
        assert (records[0].status, records[0].attempts) == (200, 2)
        assert rig.clock.seconds() >= 8 * 19.0


class TestHostGivenUp:
    def test_a_thousand_urls_of_a_dead_host_end_in_minutes(self, network):
        """Ten rounds of nothing but 503 are enough: the rest of the host's URLs are not asked for."""
        server = network.serve(script=status(503, after=0.1))
        rig = Rig(urls(1000), network=network, concurrency=64)
        records = rig.run().records
        assert len(records) == 1000
        assert rig.clock.seconds() < 5 * 60
        assert len(server.asked) < 50
        codes = Counter(record.error and record.error.code for record in records.values())
        assert set(codes) == {None, "host_unavailable"}
        assert codes["host_unavailable"] > 950
        assert rig.frontier.counts() == Counts(ok=codes[None], failed=codes["host_unavailable"])

    def test_the_record_says_why(self, network):
        """A failure by policy, transient; the message names the host's last trouble."""
        network.serve(script=status(503))
        untried = Rig(urls(200), network=network).run().records[199]
        assert untried.outcome == "failed"
        assert untried.error is not None
        assert (untried.error.code, untried.error.phase, untried.error.transient) == (
            "host_unavailable",
            "policy",
            True,
        )
        assert (
            untried.error.message
            == f"a.example:80 failed {GIVE_UP_AFTER} times in a row (http 503), not asked any more"
        )
        assert (untried.attempts, untried.status, untried.started) == (0, None, None)
        assert (untried.url, untried.input.line) == ("http://a.example/199", 199)

    def test_attempts_that_were_made_are_told(self, network):
        """A URL whose retry comes too late has the attempts that it had; what was answered last stands."""
        server = network.serve(script=lambda wire, _: wire.reset(0.1))
        records = Rig(urls(100), network=network).run().records.values()
        tried = Counter(target for _, asked in server.asked for target in [asked.target])
        for record in records:
            assert record.attempts == tried[record.url.removeprefix("http://a.example")]
            assert record.error is not None
            assert record.error.code in {"host_unavailable", "conn_reset"}
            if record.error.code == "host_unavailable":
                assert "(conn_reset)" in record.error.message
        assert {record.attempts for record in records} > {0}

    def test_the_answer_that_ended_it_stands(self, network):
        """It tells more than that the URL was not asked for once more, though tries were left."""
        network.serve(script=status(503))
        records = Rig(urls(30), network=network, retries=50).run().records.values()
        answered = [record for record in records if record.error is None]
        assert len(answered) == 1
        assert (answered[0].status, answered[0].body) == (503, b"x")

    def test_a_hop_to_such_a_host(self, network):
        """The chain so far is in the record."""
        network.serve(script=status(503))
        network.serve(
            "b.example", lambda wire, _: wire.answer(b"", "Location: http://a.example/x", status=302, after=300.0)
        )
        rig = Rig([*urls(100), seed("http://b.example/")], network=network, limits=Limits(headers=400, total=400))
        record = rig.run().records[100]
        assert record.error is not None
        assert record.error.code == "host_unavailable"
        assert (record.final_url, record.attempts) == ("http://a.example/x", 1)
        assert [hop.url for hop in record.redirects] == ["http://b.example/"]

    def test_a_host_that_recovers_is_asked_on(self, network):
        """One good answer before the tenth round, and the count starts anew."""
        hopeless = 0.0

        def script(wire: Wire, _: Asked) -> None:
            wire.answer(b"x", status=503 if network.clock.seconds() < hopeless else 200)

        hopeless = 60.0  # the tenth round would come after two minutes
        server = network.serve(script=script)
        records = Rig(urls(300), network=network, retries=9).run().records
        assert {record.status for record in records.values()} == {200}
        assert len(server.asked) > 300

    def test_good_answers_in_between(self, network):
        """A host that fails often but not always is never given up."""
        numbers = iter(range(10**6))
        network.serve(script=lambda wire, _: wire.answer(b"x", status=200 if next(numbers) % 4 == 0 else 503))
        records = Rig(urls(60), network=network, retries=0).run().records
        assert Counter(record.status for record in records.values()) == {200: 15, 503: 45}

    def test_other_hosts_are_untouched(self, network):
        """What one host does is not another's."""
        network.serve(script=status(503))
        server = network.serve("b.example", status(200, after=5.0))
        rig = Rig(chain.from_iterable(zip(urls(200), urls(200, "b.example"), strict=True)), network=network)
        records = rig.run().records
        assert all(records[n].status == 200 for n in range(1, 400, 2))
        assert len(server.asked) == 200

    def test_no_delay_is_spent(self, network):
        """Neither the configured delay nor the host's own Retry-After holds up what will not be fetched."""
        server = network.serve(script=status(503, "Retry-After: 60"))
        rig = Rig(urls(500), network=network, delay=1.0, retries=0)
        rig.run()
        last = server.asked[-1][0]
        assert len(server.asked) == GIVE_UP_AFTER
        assert rig.clock.seconds() == pytest.approx(last)

    def test_not_adaptive_never_gives_up(self, network):
        """`--no-adaptive` asks for every URL."""
        server = network.serve(script=status(503))
        records = Rig(urls(100), network=network, adaptive=False, retries=0).run().records
        assert len(server.asked) == 100
        assert {record.status for record in records.values()} == {503}

    def test_a_long_list_leaves_the_reactor_its_turn(self, network):
        """Disposing of URLs is done in portions, so that other flights keep their deadlines."""
        network.serve(script=status(503))
        portions: list[int] = []

        class Counting(Records):
            def write(self, record, response, sequence):
                super().write(record, response, sequence)
                if record.error and not portions:
                    tick()

        sink = Counting()

        def tick() -> None:
            portions.append(len(sink.records))
            if len(sink.records) < 2000:
                rig.clock.callLater(0, tick)

        rig = Rig(urls(2000), network=network, sink=sink, retries=0)
        rig.run()
        assert portions[0] <= GIVE_UP_AFTER + 8
        assert max(after - before for before, after in pairwise(portions)) <= 300

    def test_what_is_refused_leaves_the_reactor_its_turn(self, network):
        """Where it takes a millisecond to know, a few are refused in each turn, however many slots there are."""
        asked: list[Request] = []
        portions = [0]

        def refuse(request: Request) -> str:
            asked.append(request)
            rig.clock.rightNow += 0.001
            return "no"

        def tick() -> None:
            portions.append(len(asked))
            if len(asked) < 300:
                rig.clock.callLater(0, tick)

        rig = Rig(urls(300), network=network, concurrency=500, per_host=500, dry_run=refuse)
        rig.clock.callLater(0, tick)
        records = rig.run()
        assert records.codes == ["dry_run"] * 300
        assert len(asked) == 300
        assert max(after - before for before, after in pairwise(portions)) <= 25


class TestFeeds:
    def test_a_hundred_thousand_bad_lines(self):
        """They get their records one by one, without filling memory or the stack, and the reactor has its turn."""
        written = 0
        turns = 0

        class Counting(Records):
            def write(self, record, response, sequence):
                nonlocal written
                assert sequence == written
                written += 1

        def tick() -> None:
            nonlocal turns
            turns += 1
            if written < 100_000:
                rig.clock.callLater(0, tick)

        rig = Rig(repeat(BAD, 100_000), sink=Counting())
        tick()
        rig.run()
        assert (written, rig.admission.accepted, rig.admission.pending) == (100_000, 100_000, 0)
        assert turns > 300
        assert rig.frontier.counts() == Counts()

    def test_the_window_bounds_what_is_read(self, network):
        """No more inputs are accepted than may be unfinished."""
        read = 0
        network.serve(script=status(200, after=1.0))

        def lines() -> Iterator[Seed]:
            nonlocal read
            for line in urls(100):
                assert rig.admission.pending < 7
                read += 1
                yield line

        rig = Rig(lines(), network=network, concurrency=3, window=7)
        rig.start()
        assert read == 7
        advance_to(rig.clock, 10.0)
        assert 7 < read <= 7 + 30
        advance_to(rig.clock, 1000.0)
        assert len(rig.records.records) == 100

    def test_parked_urls_do_not_block_the_window(self, network):
        """A window full of URLs that wait for the end of the run is that end: they are tried, and reading goes on."""
        seen: Counter[str] = Counter()

        def script(wire: Wire, asked: Asked) -> None:
            seen[asked.target] += 1
            wire.answer(b"", "Retry-After: 1000", status=503 if seen[asked.target] == 1 else 200)

        network.serve(script=script)
        records = Rig(urls(6), network=network, window=2).run().records
        assert [records[n].status for n in range(6)] == [200] * 6

    def test_a_feed_that_waits(self, network):
        """While there is nothing to read the run sleeps without a timer; it wakes when there is more."""
        server = network.serve()
        feed = Waiting()
        rig = Rig([], network=network, feed=feed)
        ended = rig.start(20.0)
        assert (ended, rig.clock.getDelayedCalls()) == ([], [])
        feed.give(seed("http://a.example/1"))
        advance_to(rig.clock, 20.0)
        assert server.targets == ["/1"]
        advance_to(rig.clock, 100.0)
        feed.give(BAD)
        feed.give(seed("http://a.example/2"))
        feed.end()
        advance_to(rig.clock, 100.0)
        assert ended == [None]
        assert rig.records.codes == [None, "url_invalid", None]
        rig.assert_quiet()

    def test_a_feed_that_ends_while_everything_waits(self, network):
        """The end of the input alone ends a run that has nothing else to do."""
        feed = Waiting()
        rig = Rig([], network=network, feed=feed)
        ended = rig.start()
        feed.end()
        assert ended == [None]
        rig.assert_quiet()

    @pytest.mark.parametrize("error", [ZeroDivisionError("the caller's"), SystemExit(3)])
    def test_a_feed_that_raises(self, network, error):
        """What it gave before gets its records; then the run fails with the caller's error."""
        network.serve(script=lambda wire, asked: wire.answer(b"x", after=0.0 if asked.target == "/0" else 9.0))

        def lines() -> Iterator[Seed]:
            yield from urls(2)
            raise error

        rig = Rig(lines(), network=network, window=2)
        with pytest.raises(type(error)):
            rig.run()
        rig.assert_quiet()
        assert list(rig.records.records) == [0, 1]
        assert rig.frontier.counts() == Counts(ok=2)
        assert rig.admission.pending == 0

    @pytest.mark.parametrize("calm", [True, False])
    def test_a_feed_that_would_go_on(self, network, calm):
        """After its first error nothing more is read, whether the next question would bring a seed or an error."""
        network.serve()

        class Odd:
            def __init__(self):
                self.asked = 0

            def __iter__(self):
                return self

            def __next__(self):
                self.asked += 1
                if self.asked == 3 or (self.asked > 3 and not calm):
                    raise ZeroDivisionError
                return seed(f"http://a.example/{self.asked}")

        odd = Odd()
        rig = Rig(odd, network=network)
        with pytest.raises(ZeroDivisionError):
            rig.run()
        rig.assert_quiet()
        assert (odd.asked, len(rig.records.records), rig.all_read) == (3, 2, [])

    def test_a_seed_that_cannot_be_taken_in(self, network):
        """Nobody waits for its record: what came before it gets its own, and the run fails instead of going on."""
        network.serve()
        rig = Rig([*urls(2), seed("http://a.example/3")._replace(ask=Ask(meta=object()))], network=network)
        with pytest.raises(TypeError):
            rig.run()
        rig.assert_quiet()
        assert list(rig.records.records) == [0, 1]
        assert rig.admission.pending == 0

    def test_a_feed_that_raises_at_once(self):
        """Even the first read may fail."""

        def lines() -> Iterator[Seed]:
            raise ZeroDivisionError
            yield BAD

        rig = Rig(lines())
        with pytest.raises(ZeroDivisionError):
            rig.run()
        rig.assert_quiet()


class Waiting(DirectFeed):
    """A feed that has its seeds from elsewhere, later."""

    def __init__(self) -> None:
        super().__init__(iter(()))
        self._ready: list[Seed | BadLine] = []
        self._ended = False

    def take(self) -> Seed | BadLine | None:
        if self._ready:
            return self._ready.pop(0)
        self.exhausted = self._ended
        return None

    def give(self, line: Seed | BadLine) -> None:
        self._ready.append(line)
        self.on_ready()

    def end(self) -> None:
        self._ended = True
        self.on_ready()


class TestStopping:
    def test_drain_lets_flights_land(self, network):
        """What is in the air has the grace to end; nothing new starts, the rest stays queued."""
        server = network.serve(script=status(200, after=3.0))
        rig = Rig(urls(10), network=network, concurrency=2)
        ended = rig.start(1.0)
        rig.crawl.drain(5.0)
        advance_to(rig.clock, 3.0)
        assert ended == [None]
        assert rig.clock.seconds() == 3.0
        assert (len(server.asked), sorted(rig.records.records)) == (2, [0, 1])
        assert rig.frontier.counts() == Counts(queued=8, ok=2)
        assert rig.admission.pending == 8
        rig.assert_quiet()

    def test_drain_gives_up_after_the_grace(self, network):
        """What has not ended by then goes back to the frontier, its socket closed."""
        network.serve(script=silent)
        rig = Rig(urls(10), network=network, concurrency=2)
        ended = rig.start(1.0)
        rig.crawl.drain(5.0)
        advance_to(rig.clock, 5.9)
        assert ended == []
        assert len(network.open) == 2
        advance_to(rig.clock, 6.0)
        assert ended == [None]
        assert rig.frontier.counts() == Counts(queued=10)
        rig.assert_quiet()

    def test_drain_while_nothing_flies(self, network):
        """A run that waits for a host's delay ends at once."""
        network.serve()
        rig = Rig(urls(2), network=network, delay=100.0)
        ended = rig.start(1.0)
        rig.crawl.drain(5.0)
        assert ended == [None]
        assert rig.frontier.counts() == Counts(queued=1, ok=1)
        rig.assert_quiet()

    def test_a_second_drain_changes_nothing(self, network):
        """The grace of the first one counts."""
        network.serve(script=silent)
        rig = Rig(urls(1), network=network)
        ended = rig.start(1.0)
        rig.crawl.drain(2.0)
        rig.crawl.drain(100.0)
        advance_to(rig.clock, 3.0)
        assert ended == [None]
        rig.assert_quiet()

    def test_abort_closes_everything_now(self, network):
        """No grace: also after a drain has begun."""
        network.serve(script=silent)
        rig = Rig(urls(10), network=network, concurrency=4)
        ended = rig.start(1.0)
        rig.crawl.drain(50.0)
        rig.crawl.abort()
        assert network.open == set()
        rig.clock.advance(0)
        assert ended == [None]
        assert rig.frontier.counts() == Counts(queued=10)
        rig.assert_quiet()

    def test_an_aborted_retry_is_not_lost(self, network):
        """What waited for its next try is still queued, with its attempts."""
        network.serve(script=status(503))
        rig = Rig(urls(1), network=network)
        ended = rig.start(0.001)
        rig.crawl.abort()
        assert ended == [None]
        assert rig.frontier.counts() == Counts(queued=1)
        claimed = rig.frontier.claim(1e6)
        assert claimed is not None
        assert claimed.attempt == 2

    def test_stopping_after_the_end_is_fine(self):
        """Whoever stops too late does no harm."""
        rig = Rig([])
        rig.run()
        rig.crawl.drain(5.0)
        rig.crawl.abort()
        rig.assert_quiet()

    def test_a_record_that_the_sink_has_is_finished(self, clock, network):
        """Giving up the wait for a slow sink takes no record back, and is no failure of the sink."""
        network.serve()
        sink = Slow(clock)
        rig = Rig(urls(10), network=network, sink=sink, concurrency=3)
        ended = rig.start(1.0)
        assert (len(sink.records), rig.frontier.counts().leased) == (3, 3)
        rig.crawl.drain(5.0)
        advance_to(clock, 6.0)
        assert ended == [None]
        assert rig.frontier.counts() == Counts(queued=7, ok=3)
        assert rig.admission.pending == 7
        rig.assert_quiet()

    def test_a_bad_line_that_the_sink_has_is_finished(self, clock):
        """The same for lines that never fly."""
        sink = Slow(clock)
        rig = Rig([BAD, BAD, BAD], sink=sink)
        ended = rig.start(1.0)
        assert (len(sink.records), rig.admission.pending) == (1, 1)
        rig.crawl.drain(5.0)
        assert ended == [None]
        assert (rig.admission.accepted, rig.admission.pending) == (1, 0)
        rig.assert_quiet()

    def test_a_sink_that_stops_the_run(self, network):
        """Stopping from inside of a write ends the run; what had ended at the same moment is written, too."""
        network.serve(script=status(200, after=1.0))

        class Enough(Records):
            def write(self, record, response, sequence):
                super().write(record, response, sequence)
                if len(self.records) == 3:
                    rig.crawl.abort()

        sink = Enough()
        rig = Rig(urls(20), network=network, sink=sink, concurrency=2)
        rig.run()
        assert 3 <= len(sink.records) <= 4
        assert rig.frontier.counts() == Counts(queued=20 - len(sink.records), ok=len(sink.records))


class TestSinkFails:
    @pytest.mark.parametrize("after", [None, 0.0, 3.0])
    def test_the_run_fails_with_its_error(self, clock, network, after):
        """Nothing is reported finished that was not written; every socket is closed."""
        network.serve(script=lambda wire, asked: wire.answer(b"x", after=0.1 * int(asked.target[1:])))
        sink = Full(clock, 3, after)
        rig = Rig(urls(20), network=network, sink=sink, concurrency=4)
        with pytest.raises(CodedError) as caught:
            rig.run()
        assert caught.value.code == "disk_full"
        rig.assert_quiet()
        assert len(sink.records) == 3
        assert rig.frontier.counts() == Counts(queued=rig.admission.pending, ok=3)
        assert rig.admission.accepted == 20

    @pytest.mark.parametrize("after", [None, 3.0])
    def test_at_a_bad_line(self, clock, network, after):
        """A line that never flies is not finished either if its record could not be written."""
        server = network.serve(script=status(200, after=60.0))
        rig = Rig([*urls(1), BAD, BAD, *urls(5)], network=network, sink=Full(clock, 1, after), window=50)
        with pytest.raises(CodedError, match="disk_full"):
            rig.run()
        rig.assert_quiet()
        assert rig.admission.pending == rig.admission.accepted - 1
        assert len(server.asked) <= 1

    def test_nothing_starts_after_the_failure(self, clock, network):
        """A failing sink does not cost one more request."""
        server = network.serve()
        rig = Rig([BAD, *urls(5)], network=network, sink=Full(clock, 0))
        with pytest.raises(CodedError, match="disk_full"):
            rig.run()
        assert server.asked == []
        rig.assert_quiet()

    def test_a_bug_in_making_a_record(self, network, monkeypatch):
        """It costs that URL its answer, but no other its record."""
        network.serve()

        def broken(request: Request, *args: object, **kwargs: object) -> Record:
            if request.id == 1:
                raise ZeroDivisionError("oops")
            return record_of(request, *args, **kwargs)

        monkeypatch.setattr("crawler.engine.disposition.record_of", broken)
        rig = Rig(urls(3), network=network)
        records = rig.run()
        assert records.codes == [None, "internal", None]
        assert records.records[1].error.message == "ZeroDivisionError: oops"

    def test_a_bug_in_a_visit(self, network):
        """Its URL has a record that says so, and the others have theirs."""
        network.serve()
        rig = Rig(urls(3), network=network, concurrency=2)
        decide = rig.retry.decide

        def broken(request: Request, **told: object) -> object:
            if request.id == 1:
                raise ZeroDivisionError("oops")
            return decide(request, **told)

        rig.retry.decide = broken
        records = rig.run()
        rig.assert_quiet()
        assert records.codes == [None, "internal", None]
        assert rig.frontier.counts() == Counts(ok=2, failed=1)

    def test_a_bug_in_a_sink(self, network):
        """It ends the run with its own error; the lease is given back."""
        network.serve()

        class Broken(Records):
            def write(self, record, response, sequence):
                raise ZeroDivisionError

        rig = Rig(urls(3), network=network, sink=Broken(), concurrency=1)
        with pytest.raises(ZeroDivisionError):
            rig.run()
        rig.assert_quiet()
        assert rig.frontier.counts() == Counts(queued=3)


class TestBackPressure:
    def test_a_slow_sink_slows_the_run(self, clock, network):
        """While a record waits nothing new is fetched."""
        server = network.serve()
        sink = Slow(clock)
        rig = Rig(urls(10), network=network, sink=sink, concurrency=3)
        ended = rig.start(100.0)
        assert (len(server.asked), rig.frontier.counts().leased) == (3, 3)
        while sink.waiting:
            sink.waiting.pop().callback(None)
            advance_to(clock, clock.seconds())
        assert ended == [None]
        assert len(sink.records) == 10
        rig.assert_quiet()

    def test_a_slow_sink_is_told(self, clock, network):
        """Whether an output takes no more is known while that lasts: it may be what binds."""
        network.serve()
        rig = Rig(urls(3), network=network, clock=clock, sink=Slow(clock, 5.0), concurrency=1)
        assert not rig.crawl.full
        rig.start()
        assert rig.crawl.full
        advance_to(clock, 100.0)
        assert not rig.crawl.full

    def test_bad_lines_wait_for_the_sink(self, clock):
        """They do not outrun it either, and the run does not end before they are written."""
        sink = Slow(clock, 1.0)
        rig = Rig(repeat(BAD, 5), sink=sink)
        ended = rig.start(0.9)
        assert len(sink.records) == 1
        advance_to(clock, 4.9)
        assert (len(sink.records), ended) == (5, [])
        advance_to(clock, 5.0)
        assert ended == [None]
        rig.assert_quiet()

    @pytest.mark.parametrize("window", [1, 2, 5])
    @pytest.mark.parametrize("concurrency", [1, 4])
    def test_ordered_does_not_deadlock(self, clock, network, window, concurrency):
        """The oldest may wait in the frontier, for its host or parked: it comes, and all are in order."""
        mixed(network)
        inner = Checked(clock, 3, 10_000)
        sink = Ordered(inner, window=window)
        names = ["stalled", "parked", "ok", "bad", "flaky", "moved", "ok", "wait", "bad", "slow", "busy", "ok"]
        kinds = [(name, HOSTS[n % 3]) for n, name in enumerate(names * 2)]
        rig = Rig(
            to_seeds(kinds),
            network=network,
            sink=sink,
            concurrency=concurrency,
            admit=sink.admit,
            limits=Limits(headers=4.0),
        )
        inner.admission = rig.admission
        rig.run()
        assert list(inner.records) == list(range(len(kinds)))

    def test_a_held_admission_does_not_hold_up_the_end(self, clock, network):
        """Draining does not wait for the window to move."""
        network.serve(script=silent)
        sink = Ordered(Records(), window=2)
        rig = Rig(urls(5), network=network, sink=sink, admit=sink.admit)
        ended = rig.start(1.0)
        assert rig.admission.accepted == 2
        rig.crawl.drain(0.5)
        advance_to(clock, 2.0)
        assert ended == [None]
        rig.assert_quiet()


def test_a_turn_for_failures_that_take_no_time():
    """Fetches that fail on the spot do not keep the reactor from its other work."""
    clock = Clock()
    turns = 0

    def fetch(request: Request, on_sent: object, *, fresh: bool) -> Deferred[Response]:
        return succeed(Response(Timings(), 0.0, error=CodedError("address_blocked")))

    def tick() -> None:
        nonlocal turns
        turns += 1
        if len(rig.records.records) < 1500:
            clock.callLater(0, tick)

    rig = Rig(urls(1500), clock=clock)
    rig.client.fetcher.fetch = fetch
    tick()
    rig.run()
    assert rig.records.codes == ["address_blocked"] * 1500
    assert turns > 5


def test_the_delay_counts_from_the_end_of_the_turn(clock, network):
    """What is written in a turn of the reactor that takes 30 ms leaves after that: so much later the next may."""
    network.serve(script=silent)
    rig = Rig(urls(4), network=network, delay=1.0, retries=0, adaptive=False, limits=Limits(headers=10.0))
    fetch = rig.client.fetcher.fetch
    left = []

    class Busy:
        budget = rig.client.fetcher.budget

        def fetch(self, request: Request, on_sent: Callable[[], None], *, fresh: bool = False) -> Deferred[Response]:
            def written() -> None:
                on_sent()
                clock.rightNow += 0.03
                left.append(clock.seconds())

            return fetch(request, written, fresh=fresh)

    rig.crawl._fetcher = Busy()
    rig.run()
    assert len(left) == 4
    assert all(later - sooner >= 1.0 for sooner, later in pairwise(left))
