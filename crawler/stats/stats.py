"""What happened so far, in fixed memory: a sink that counts. `snapshot()` is all that any monitor reads."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from crawler.errors import warning_code
from crawler.models import Record, Response
from crawler.stats.bottleneck import Bottleneck, Causes, HostLoad, bottleneck
from crawler.stats.histogram import Histogram, Percentiles
from crawler.stats.host_totals import OTHERS, HostTable, HostTotals
from crawler.stats.whole import WholeCrawl

RATE_NOW: Final = 5
RATE_MINUTE: Final = 60
MAX_CONTENT_TYPES: Final = 100
SHOWN: Final = 20  # hosts and content types of a snapshot
_MAX_NAME: Final = 100  # a content type is whatever the server likes to send


class WorkerLoad(msgspec.Struct, frozen=True):
    """A process that fetches, with --procs. `cpu` is how many cores it keeps busy, `memory` the bytes that it takes.

    `replaced` were there before it in its place, and have ended.
    """

    pid: int
    in_flight: int
    done: int
    cpu: float
    memory: int
    replaced: int = 0


class Load(msgspec.Struct, frozen=True):
    """What is under way. `ready_in`: in how many seconds the next URL may start without another one ending; or None.

    `parsing` of those in flight wait for a process that reads pages. `full` says that an output takes no more for now.
    """

    in_flight: int = 0
    queued: int = 0
    parked: int = 0
    ready_in: float | None = None
    parsing: int = 0
    full: bool = False
    workers: tuple[WorkerLoad, ...] = ()


class ErrorCount(msgspec.Struct, frozen=True):
    """An error code, with the first URL that met it and what was said then."""

    code: str
    count: int
    url: str
    message: str


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The run at one moment. Seconds are float, sizes are bytes, rates are per second; dicts and tuples are sorted.

    `total` and `eta` are None until the input has been read to its end, and in a crawl. `skips` counts by their
    codes what was skipped, with or without a record. What is `unchanged` is ok, too; what is `cached` came from the
    cache, and no server was asked. `rate_now` and `bandwidth` are those of the last 5 seconds, `rate_minute` of the
    last 60, `rate_mean` of all. `cpu` is how many cores this process keeps busy, with its `workers`. `bottleneck` is
    what binds now, `bottleneck_overall` what did so longest, and `binds` in a word where the first is; all are "" when
    nothing can be said. `crawl` is that of all nodes, where this is one of several.
    """

    elapsed: float
    total: int | None
    done: int
    ok: int
    failed: int
    skipped: int
    unchanged: int = 0
    cached: int = 0
    in_flight: int
    queued: int
    parked: int
    rate_now: float
    rate_minute: float
    rate_mean: float
    eta: float | None
    size_download: int
    size_body: int
    bandwidth: float
    cpu: float
    attempts: int
    retries: int
    redirects: int
    statuses: dict[int, int]
    errors: tuple[ErrorCount, ...]
    skips: dict[str, int]
    warnings: dict[str, int]
    content_types: dict[str, int]
    time_total: Percentiles | None
    time_starttransfer: Percentiles | None
    hosts: tuple[HostTotals, ...]
    other_hosts: HostTotals | None
    slowest_hosts: tuple[HostTotals, ...]
    bottleneck: str
    bottleneck_overall: str
    binds: str = ""
    workers: tuple[WorkerLoad, ...] = ()
    crawl: WholeCrawl | None = None

    @property
    def http_errors(self) -> int:
        """How many of the `ok` are answers from 400, at most: a failed URL may have a status, too."""
        return min(self.ok, sum(count for status, count in self.statuses.items() if status >= 400))

    @property
    def left(self) -> int:
        """How many known URLs have not ended."""
        if self.total is None:
            return self.queued + self.parked + self.in_flight
        return max(0, self.total - self.done)


class Stats:
    """Counts what is written to it.

    `load` is called for every snapshot, `hosts` (the busiest hosts with work left) about once a second, and more rarely
    if it is slow. `clock` is monotonic seconds, `cpu_clock` the CPU seconds of this process.
    """

    def __init__(
        self,
        *,
        concurrency: int,
        load: Callable[[], Load] = Load,
        hosts: Callable[[], Sequence[HostLoad]] = tuple,
        clock: Callable[[], float] = time.monotonic,
        cpu_clock: Callable[[], float] = time.process_time,
    ) -> None:
        self._concurrency = concurrency
        self.whole: Callable[[], WholeCrawl | None] = lambda: None  # the crawl of all nodes; for snapshots
        self._load = load
        self._busiest = hosts
        self._clock = clock
        self._cpu_clock = cpu_clock
        self._started = clock()
        self._ended: float | None = None
        self._total: int | None = None
        self._done = 0
        self._outcomes = {"ok": 0, "failed": 0, "skipped": 0}
        self._unchanged = 0
        self._cached = 0
        self._statuses: defaultdict[int, int] = defaultdict(int)
        self._errors: dict[str, ErrorCount] = {}
        self._skips: defaultdict[str, int] = defaultdict(int)
        self._warnings: defaultdict[str, int] = defaultdict(int)
        self._content_types: dict[str, int] = {}
        self._size_download = 0
        self._size_body = 0
        self._attempts = 0
        self._retries = 0
        self._redirects = 0
        self._time_total = Histogram()
        self._time_starttransfer = Histogram()
        self._hosts = HostTable()
        # (second, done, size) at the start of each of the last seconds in which something was written.
        self._second_ends = 0.0
        self._seconds: deque[tuple[int, int, int]] = deque(maxlen=RATE_MINUTE + 1)
        # What binds, looked at about once a second.
        self._looked_at = self._started
        self._look_next = self._started + 1.0
        self._cpu_then = cpu_clock()
        self._cpu = 0.0
        self._bottleneck: Bottleneck | None = None
        self._causes = Causes()

    def total_known(self, total: int) -> None:
        """The input has been read to its end: that many URLs there are."""
        self._total = total

    def write(self, record: Record, response: Response | None, sequence: int) -> None:  # noqa: ARG002
        """Count one record. Called once per URL: about a microsecond."""
        now = self._clock()
        if now >= self._second_ends:
            self._next_second(now)
        self._done += 1
        outcome = record.outcome
        if outcome == "unchanged":
            outcome = record.ending
            self._unchanged += 1
        self._outcomes[outcome] += 1
        if record.cache == "hit":
            self._cached += 1
        status = record.status
        if status is not None:
            self._statuses[status] += 1
        size = record.size_download
        self._size_download += size
        self._size_body += record.size_body
        attempts = record.attempts
        self._attempts += attempts
        if attempts > 1:
            self._retries += attempts - 1
        if record.redirects:
            self._redirects += len(record.redirects)
        if record.warnings:
            for warning in record.warnings:
                self._warnings[warning_code(warning)] += 1
        content_type = record.content_type
        if content_type is not None:
            try:
                self._content_types[content_type] += 1
            except KeyError:
                self._new_content_type(content_type)
        error = record.error
        if error is not None:
            if outcome == "skipped":
                self._skips[error.code] += 1
            else:
                self._count_error(error.code, record.url, error.message)
        if not attempts:
            return  # nothing was sent, so no host and no time
        seconds = record.time_total
        http_error = status is not None and status >= 400
        self._hosts.count(
            record.final_url, record.url, size, seconds, failed=outcome == "failed", http_error=http_error
        )
        if seconds is not None:
            self._time_total.add(seconds)
        seconds = record.time_starttransfer
        if seconds is not None:
            self._time_starttransfer.add(seconds)

    def skip(self, code: str) -> None:
        """Count a link that is not followed and has no record."""
        self._skips[code] += 1

    def flush(self) -> None:
        """Nothing is buffered."""

    def close(self) -> None:
        """The run is over: time stands still from now on. Closing again is fine."""
        if self._ended is None:
            self._ended = self._clock()

    def host_totals(self) -> Sequence[HostTotals]:
        """What each host cost so far, of those of which books are kept."""
        return self._hosts.busiest(len(self._hosts))[0]

    def snapshot(self) -> Snapshot:
        """The run at this moment: about 0.1 ms."""
        load = self._load()
        now = self._clock() if self._ended is None else self._ended
        if self._ended is None and now >= self._look_next:
            self._look(now)
        elapsed = now - self._started
        rate_now, bandwidth = self._rates(RATE_NOW, now)
        rate_minute, _ = self._rates(RATE_MINUTE, now)
        hosts, other_hosts = self._hosts.busiest(SHOWN)
        return Snapshot(
            elapsed=elapsed,
            total=self._total,
            done=self._done,
            ok=self._outcomes["ok"],
            failed=self._outcomes["failed"],
            skipped=self._outcomes["skipped"],
            unchanged=self._unchanged,
            cached=self._cached,
            in_flight=load.in_flight,
            queued=load.queued,
            parked=load.parked,
            rate_now=rate_now,
            rate_minute=rate_minute,
            rate_mean=self._done / elapsed if elapsed > 0 else 0.0,
            eta=self._eta(rate_minute),
            size_download=self._size_download,
            size_body=self._size_body,
            bandwidth=bandwidth,
            cpu=self._cpu + sum([worker.cpu for worker in load.workers]),
            attempts=self._attempts,
            retries=self._retries,
            redirects=self._redirects,
            statuses=dict(sorted(self._statuses.items())),
            errors=tuple(sorted(self._errors.values(), key=lambda error: (-error.count, error.code))),
            skips=_most(self._skips, len(self._skips)),
            warnings=_most(self._warnings, len(self._warnings)),
            content_types=_most(self._content_types, SHOWN),
            time_total=self._time_total.percentiles(),
            time_starttransfer=self._time_starttransfer.percentiles(),
            hosts=hosts,
            other_hosts=other_hosts,
            slowest_hosts=self._hosts.slowest(SHOWN),
            bottleneck="" if self._bottleneck is None or self._ended is not None else self._bottleneck.sentence,
            bottleneck_overall=self._causes.main(elapsed),
            binds="" if self._bottleneck is None or self._ended is not None else self._bottleneck.binds,
            workers=load.workers,
            crawl=self.whole(),
        )

    def _next_second(self, now: float) -> None:
        second = int(now)
        self._second_ends = second + 1.0
        self._seconds.append((second, self._done, self._size_download))
        if now >= self._look_next:
            self._look(now)

    def _rates(self, window: int, now: float) -> tuple[float, float]:
        """Records and bytes per second over the last `window` seconds and the begun one."""
        since = int(now) - window
        # Nothing was written between a second that is missing and the next that is there.
        done, size = next(
            ((done, size) for second, done, size in self._seconds if second >= since), (self._done, self._size_download)
        )
        span = now - max(float(since), self._started)
        return ((self._done - done) / span, (self._size_download - size) / span) if span > 0 else (0.0, 0.0)

    def _eta(self, rate: float) -> float | None:
        if self._total is None:
            return None
        left = self._total - self._done
        if left <= 0:
            return 0.0
        return left / rate if rate > 0 else None

    def _look(self, now: float) -> None:
        """See what binds, and whether it is what bound before."""
        cpu = self._cpu_clock()
        span = now - self._looked_at
        self._cpu = (cpu - self._cpu_then) / span
        self._cpu_then = cpu
        self._looked_at = now
        load = self._load()
        self._bottleneck = found = bottleneck(
            hosts=self._busiest(),
            concurrency=self._concurrency,
            in_flight=load.in_flight,
            queued=load.queued,
            parked=load.parked,
            ready_in=load.ready_in,
            cpu=self._cpu,
            input_read=self._total is not None,
            parsing=load.parsing,
            full=load.full,
            workers=[worker.cpu for worker in load.workers],
        )
        if found is not None:
            self._causes.add(found, span)
        # Searching a million hosts takes a while: spend at most a hundredth of the time on it.
        self._look_next = now + max(1.0, 100 * (self._clock() - now))

    def _count_error(self, code: str, url: str, message: str) -> None:
        known = self._errors.get(code)
        if known is None:
            self._errors[code] = ErrorCount(code, 1, url, message)
        else:
            self._errors[code] = ErrorCount(code, known.count + 1, known.url, known.message)

    def _new_content_type(self, content_type: str) -> None:
        types = self._content_types
        name = content_type[:_MAX_NAME]
        if name not in types and len(types) >= MAX_CONTENT_TYPES:
            name = OTHERS
        types[name] = types.get(name, 0) + 1


def _most(counts: dict[str, int], limit: int) -> dict[str, int]:
    """The highest counts first; what is beyond the limit is summed as "others"."""
    ranked = sorted(counts.items(), key=lambda item: (item[0] == OTHERS, -item[1], item[0]))
    most = dict(ranked[:limit])
    rest = sum(count for _, count in ranked[limit:])
    if rest:
        most[OTHERS] = most.get(OTHERS, 0) + rest
    return most
