"""stats.py: what is counted, the rates of a clock that is moved by hand, and what a monitor reads."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest
from twisted.internet.task import Clock

from crawler.errors import CODES
from crawler.frontier import HostView
from crawler.models import ErrorInfo, Input, Record, Redirect
from crawler.stats.stats import MAX_CONTENT_TYPES, SHOWN, Load, Snapshot, Stats, WorkerLoad


def answered(url: str = "https://example.com/", **fields: Any) -> Record:
    values: dict[str, Any] = {
        "url": url,
        "final_url": url,
        "input": Input(),
        "outcome": "ok",
        "status": 200,
        "content_type": "text/html",
        "size_download": 1_000,
        "size_body": 3_000,
        "attempts": 1,
        "time_total": 0.2,
        "time_starttransfer": 0.1,
    }
    return Record(**values | fields)


def failed(code: str, url: str = "https://example.com/", message: str = "why", attempts: int = 1) -> Record:
    entry = CODES[code]
    error = ErrorInfo(code, entry.phase, entry.transient, message)
    outcome = "skipped" if entry.phase == "policy" else "failed"
    return Record(url=url, input=Input(), outcome=outcome, error=error, attempts=attempts)


class Run:
    """Stats with a clock that is moved by hand and hosts that are set by hand."""

    def __init__(self, concurrency: int = 64) -> None:
        self.clock = Clock()
        self.clock.advance(1_000.25)
        self.cpu = 0.0
        self.load = Load()
        self.hosts: list[HostView] = []
        self.hosts_asked = 0
        self.hosts_take = 0.0
        self.number = itertools.count()
        self.stats = Stats(
            concurrency=concurrency,
            load=lambda: self.load,
            hosts=self._hosts,
            clock=self.clock.seconds,
            cpu_clock=lambda: self.cpu,
        )

    def _hosts(self) -> list[HostView]:
        self.hosts_asked += 1
        self.clock.advance(self.hosts_take)
        return self.hosts

    def write(self, *records: Record) -> Snapshot:
        for record in records:
            self.stats.write(record, None, next(self.number))
        return self.stats.snapshot()

    def per_second(self, count: int, seconds: int) -> Snapshot:
        """That many answers at the end of each of so many seconds."""
        for _ in range(seconds):
            self.clock.advance(1.0)
            self.write(*[answered()] * count)
        return self.stats.snapshot()


def test_everything_is_counted() -> None:
    """Outcomes, statuses, bytes, tries, redirects, warnings and content types add up."""
    snapshot = Run().write(
        answered(),
        answered(status=404, attempts=3, redirects=(Redirect("https://a.example/", 301),) * 2),
        answered(content_type=None, warnings=["charset", "truncated"]),
        answered(content_type="image/png", warnings=["charset"]),
        failed("timeout_total", attempts=3),
        failed("robots_denied", attempts=0),
    )
    assert (snapshot.done, snapshot.ok, snapshot.failed, snapshot.skipped) == (6, 4, 1, 1)
    assert snapshot.skips == {"robots_denied": 1}
    assert [error.code for error in snapshot.errors] == ["timeout_total"]
    assert snapshot.statuses == {200: 3, 404: 1}
    assert (snapshot.size_download, snapshot.size_body) == (4_000, 12_000)
    assert (snapshot.attempts, snapshot.retries, snapshot.redirects) == (9, 4, 2)
    assert snapshot.warnings == {"charset": 2, "truncated": 1}
    assert snapshot.content_types == {"text/html": 2, "image/png": 1}


def test_a_code_keeps_its_first_example() -> None:
    """Each error code has its count, and the URL and message that came first; the most frequent code is first."""
    snapshot = Run().write(
        failed("dns_error", "https://one.example/", "first"),
        failed("timeout_total", "https://two.example/", "second"),
        failed("timeout_total", "https://three.example/", "third"),
    )
    assert [(error.code, error.count, error.url, error.message) for error in snapshot.errors] == [
        ("timeout_total", 2, "https://two.example/", "second"),
        ("dns_error", 1, "https://one.example/", "first"),
    ]


def test_what_was_skipped_is_no_error() -> None:
    """It is counted by its reason, with a record or without; only records are done. The most frequent comes first."""
    run = Run()
    for code in ("out_of_scope", "depth_limit", "out_of_scope", "out_of_scope"):
        run.stats.skip(code)
    snapshot = run.write(failed("robots_denied", attempts=0), failed("depth_limit", attempts=0), answered())
    assert list(snapshot.skips.items()) == [("out_of_scope", 3), ("depth_limit", 2), ("robots_denied", 1)]
    assert (snapshot.done, snapshot.ok, snapshot.skipped, snapshot.errors) == (3, 1, 2, ())


def test_what_was_never_sent_belongs_to_no_host() -> None:
    """A bad line or a URL that policy refused has cost no host anything."""
    snapshot = Run().write(failed("url_invalid", "nonsense", attempts=0))
    assert (snapshot.hosts, snapshot.other_hosts, snapshot.time_total) == ((), None, None)


def test_times_and_hosts() -> None:
    """Percentiles over all URLs with a time, and the mean per host for the slowest."""
    snapshot = Run().write(
        answered("https://a.example/", time_total=2.0, time_starttransfer=1.0),
        answered("https://b.example/", time_total=4.0, time_starttransfer=None),
    )
    assert snapshot.time_total is not None
    assert snapshot.time_starttransfer is not None
    assert (snapshot.time_total.count, snapshot.time_total.max) == (2, 4.0)
    assert (snapshot.time_starttransfer.count, snapshot.time_starttransfer.max) == (1, 1.0)
    assert [(host.origin, host.time_mean) for host in snapshot.slowest_hosts] == [
        ("https://b.example", 4.0),
        ("https://a.example", 2.0),
    ]


def test_hostile_content_types_take_fixed_memory() -> None:
    """Servers may invent content types: their number and their length are bounded, and the sum stays exact."""
    run = Run()
    for number in range(3 * MAX_CONTENT_TYPES):
        run.stats.write(answered(content_type=f"{number}" + "x" * 10_000), None, number)
    types = run.stats.snapshot().content_types
    assert sum(types.values()) == 3 * MAX_CONTENT_TYPES
    assert len(types) <= SHOWN + 1
    assert max(map(len, types)) <= 100
    assert list(types)[-1] == "others"


def test_rates_follow_their_windows() -> None:
    """The rate of now forgets after 5 seconds, that of the minute after 60, the mean never."""
    run = Run()
    fast = run.per_second(100, 20)
    assert fast.rate_now == pytest.approx(100, rel=0.25)
    assert fast.bandwidth == pytest.approx(100_000, rel=0.25)
    slow = run.per_second(10, 20)
    assert slow.rate_now == pytest.approx(10, rel=0.25)
    assert slow.rate_minute == slow.rate_mean == pytest.approx(2_200 / 40)
    later = run.per_second(10, 60)
    assert later.rate_minute == pytest.approx(10, rel=0.05)
    assert later.rate_mean == pytest.approx(2_800 / 100)


def test_a_run_that_stalls_has_no_rate() -> None:
    """Nothing needs to be written for the rate to fall: the clock is enough."""
    run = Run()
    run.per_second(100, 10)
    run.clock.advance(7.0)
    snapshot = run.stats.snapshot()
    assert (snapshot.rate_now, snapshot.bandwidth) == (0.0, 0.0)
    assert snapshot.rate_minute > 0
    run.clock.advance(60.0)
    assert run.stats.snapshot().rate_minute == 0.0


def test_the_first_moment_divides_by_nothing() -> None:
    """A snapshot at the very start has rates of zero, and is no error."""
    snapshot = Run().write(answered())
    assert (snapshot.elapsed, snapshot.rate_now, snapshot.rate_mean, snapshot.eta) == (0.0, 0.0, 0.0, None)


def test_the_end_is_estimated_once_the_total_is_known() -> None:
    """No total, no estimate; then what is left at the pace of the last minute; nothing left is no time at all."""
    run = Run()
    assert (run.per_second(10, 10).total, run.stats.snapshot().eta) == (None, None)
    run.stats.total_known(300)
    snapshot = run.stats.snapshot()
    assert (snapshot.total, snapshot.eta) == (300, pytest.approx(20.0))
    run.stats.total_known(100)
    assert run.stats.snapshot().eta == 0.0
    run.stats.total_known(300)
    run.clock.advance(100.0)
    assert run.stats.snapshot().eta is None


def test_time_stands_still_when_the_run_is_over() -> None:
    """The summary may be written minutes later: it tells of the run. Closing twice is fine."""
    run = Run()
    run.per_second(10, 10)
    run.stats.close()
    before = run.stats.snapshot()
    run.clock.advance(100.0)
    run.stats.close()
    assert run.stats.snapshot() == before
    assert before.elapsed == 10.0


def test_load_is_that_of_the_moment() -> None:
    """What is queued and in flight is asked for each snapshot."""
    run = Run()
    run.load = Load(in_flight=3, queued=7, parked=2)
    snapshot = run.stats.snapshot()
    assert (snapshot.in_flight, snapshot.queued, snapshot.parked) == (3, 7, 2)


def busy(run: Run) -> None:
    run.load = Load(in_flight=2, queued=98)
    run.hosts = [HostView("example.com:443", 98, 2, 2, 0.0, "per_host")]


def test_the_bottleneck_is_named() -> None:
    """After a second the sentence is there; as long as the input is being read it does not speak of the whole."""
    run = Run()
    busy(run)
    assert run.stats.snapshot().bottleneck == ""
    run.clock.advance(1.0)
    assert run.stats.snapshot().bottleneck.startswith("example.com holds all of the queued work at 2 connections")
    run.stats.total_known(100)
    run.clock.advance(1.0)
    assert run.stats.snapshot().bottleneck.startswith("example.com holds all of the remaining work")


def test_where_the_bottleneck_is() -> None:
    """In a word, as long as the run lasts."""
    run = Run()
    busy(run)
    run.clock.advance(1.0)
    assert run.stats.snapshot().binds == "a host's limit"
    run.load = Load(in_flight=2, queued=98, full=True)
    run.clock.advance(1.0)
    assert run.stats.snapshot().binds == "the disk"
    run.stats.close()
    assert run.stats.snapshot().binds == ""


def test_the_bottleneck_of_the_whole_run_needs_no_monitor() -> None:
    """Nobody takes snapshots in a quiet run, and still its summary can say what held it back."""
    run = Run()
    busy(run)
    for _ in range(10):
        run.clock.advance(1.0)
        run.stats.write(answered(), None, 0)
    run.load, run.hosts = Load(), []
    run.stats.close()
    snapshot = run.stats.snapshot()
    assert snapshot.bottleneck == ""
    assert snapshot.bottleneck_overall == (
        "for 100 % of the time example.com was at its 2 connections: only more --per-host would have helped"
    )


def test_the_processor_is_watched() -> None:
    """CPU seconds of the process between two looks, whoever asked for snapshots in between."""
    run = Run()
    for _ in range(8):
        run.clock.advance(0.25)
        run.cpu += 0.24
        snapshot = run.stats.snapshot()
    assert snapshot.cpu == pytest.approx(0.96)
    assert snapshot.bottleneck.startswith("the CPU binds (1 core at 96 %)")


def test_workers_count() -> None:
    """The CPU is that of all processes; what binds is told by each."""
    run = Run()
    run.load = Load(workers=(WorkerLoad(1, 3, 40, 0.97, 1_000), WorkerLoad(2, 2, 30, 0.99, 1_000, replaced=1)))
    for _ in range(4):
        run.clock.advance(0.5)
        run.cpu += 0.1
        snapshot = run.stats.snapshot()
    assert snapshot.cpu == pytest.approx(0.97 + 0.99 + 0.2)
    assert [worker.done for worker in snapshot.workers] == [40, 30]
    assert snapshot.bottleneck == "the CPU binds (2 workers are busy); more --procs help where there are more cores"


def test_the_first_process_binds() -> None:
    run = Run()
    run.load = Load(workers=(WorkerLoad(1, 3, 40, 0.4, 1_000), WorkerLoad(2, 2, 30, 0.5, 1_000)))
    for _ in range(4):
        run.clock.advance(0.5)
        run.cpu += 0.48
        snapshot = run.stats.snapshot()
    assert snapshot.bottleneck == "the first process binds (1 core at 96 %); more --procs will not help"


def test_hosts_are_asked_once_a_second() -> None:
    """However often monitors look."""
    run = Run()
    for _ in range(50):
        run.clock.advance(0.1)
        run.write(answered())
    assert run.hosts_asked in {4, 5}


def test_hosts_that_take_long_to_find_are_asked_more_rarely() -> None:
    """A million hosts are searched for a hundredth of the time, not each second."""
    run = Run()
    run.hosts_take = 0.1
    for _ in range(30):
        run.clock.advance(1.0)
        run.stats.snapshot()
    assert run.hosts_asked in {3, 4}


def test_a_snapshot_travels_as_json() -> None:
    """Everything in it can be encoded and read back: dashboards and reports get it over the wire."""
    run = Run()
    busy(run)
    run.clock.advance(1.0)
    snapshot = run.write(answered(), answered(status=500), failed("dns_error"))
    assert msgspec.json.decode(msgspec.json.encode(snapshot), type=Snapshot) == snapshot


def test_a_sink_like_any_other() -> None:
    """Nothing waits for statistics: write, flush and close never push back."""
    stats = Stats(concurrency=1)
    assert (stats.write(answered(), None, 0), stats.flush(), stats.close()) == (None, None, None)  # type: ignore[func-returns-value]
