"""A whole crawl over a network in memory: real fetcher, connections, frontier and politeness, and sinks that watch."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable

from memory_net import NEVER, Client, Network, advance_to, run
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from crawler.engine.admission import Admission, AdmissionRules
from crawler.engine.disposition import Rules
from crawler.engine.gate import Gate
from crawler.engine.loop import Crawl
from crawler.engine.retry import Retry
from crawler.errors import CodedError
from crawler.fetch.budget import Budget
from crawler.fetch.limits import Limits
from crawler.frontier.memory import MemoryFrontier
from crawler.models import Input, Record, Request, Response
from crawler.politeness.controller import Politeness
from crawler.seeds.feed import DirectFeed
from crawler.seeds.inputs import BadLine, Seed
from crawler.sinks import Sink
from crawler.urls import parse


def seed(url: str, line: int = 1) -> Seed:
    parsed = parse(url)
    return Seed(parsed, parsed.href, Input(source="list", line=line))


class Records:
    """A sink that checks what every sink may rely on."""

    def __init__(self) -> None:
        self.records: dict[int, Record] = {}

    def write(self, record: Record, response: Response | None, sequence: int) -> Deferred[None] | None:
        assert sequence not in self.records, f"a second record for input {sequence}"
        self.records[sequence] = record
        return None

    def flush(self) -> None: ...

    def close(self) -> None: ...

    @property
    def codes(self) -> list[str | None]:
        return [self.records[n].error and self.records[n].error.code for n in sorted(self.records)]


class Slow(Records):
    """Takes a while for each record."""

    def __init__(self, clock: Clock, seconds: float = NEVER) -> None:
        super().__init__()
        self._clock = clock
        self._seconds = seconds
        self.waiting: list[Deferred[None]] = []

    def write(self, record: Record, response: Response | None, sequence: int) -> Deferred[None]:
        super().write(record, response, sequence)
        wait: Deferred[None] = Deferred()
        self.waiting.append(wait)
        if self._seconds < NEVER:
            self._clock.callLater(self._seconds, wait.callback, None)
        return wait


class Full(Records):
    """Takes `room` records. The next one fails, at once or `after` some seconds, and so do all others."""

    def __init__(self, clock: Clock, room: int, after: float | None = None) -> None:
        super().__init__()
        self._clock = clock
        self._room = room
        self._after = after

    def write(self, record: Record, response: Response | None, sequence: int) -> Deferred[None] | None:
        if len(self.records) < self._room:
            return super().write(record, response, sequence)
        error = CodedError("disk_full", "no space left on out.jsonl")
        if self._after is None:
            raise error
        wait: Deferred[None] = Deferred(lambda _: timer.cancel())
        timer = self._clock.callLater(self._after, wait.errback, error)
        return wait


class Rig:
    """A whole crawl: real fetcher, connections, frontier and politeness over the network in memory."""

    def __init__(
        self,
        seeds: Iterable[Seed | BadLine],
        *,
        clock: Clock | None = None,
        network: Network | None = None,
        sink: Sink | None = None,
        concurrency: int = 8,
        per_host: int = 8,
        delay: float = 0.0,
        adaptive: bool = True,
        retries: int = 2,
        window: int = 5_000,
        max_redirects: int = 10,
        limits: Limits | None = None,
        admit: Callable[[int], Deferred[None] | None] | None = None,
        feed: DirectFeed | None = None,
        budget: Budget | None = None,
        dry_run: Callable[[Request], str] | None = None,
        rng: int = 1,
    ) -> None:
        self.clock = clock or (network.clock if network else Clock())
        self.network = network or Network(self.clock)
        self.client = Client(self.network, limits=limits, budget=budget)
        self.politeness = Politeness(per_host=per_host, delay=delay, adaptive=adaptive)
        self.frontier = MemoryFrontier(self.politeness)
        self.records = Records()
        self.all_read: list[int] = []
        self.retry = Retry(retries=retries, rng=random.Random(rng))
        self.admission = Admission(
            feed=feed or DirectFeed(iter(seeds)),
            frontier=self.frontier,
            rules=AdmissionRules(window=window),
            admit=admit,
            all_read=self.all_read.append,
        )
        self.crawl = Crawl(
            clock=self.clock,
            admission=self.admission,
            frontier=self.frontier,
            politeness=self.politeness,
            gate=Gate(politeness=self.politeness, clock=self.clock.seconds, dry_run=dry_run),
            fetcher=self.client.fetcher,
            retry=self.retry,
            sink=sink or self.records,
            rules=Rules(concurrency=concurrency, max_redirects=max_redirects),
        )

    def run(self) -> Records:
        run(self.clock, self.crawl.run())
        self.assert_quiet()
        return self.records

    def start(self, until: float = 0.0) -> list[object]:
        """Start and let time pass; what `run` fired with will be in the list."""
        ended: list[object] = []
        self.crawl.run().addBoth(ended.append)
        advance_to(self.clock, until)
        return ended

    def assert_quiet(self) -> None:
        """The end of a run leaves nothing in the air: no lease, no socket, no timer."""
        assert self.frontier.counts().leased == 0
        assert self.client.fetcher.budget.used == 0
        self.client.assert_quiet()


def urls(count: int, host: str = "a.example") -> list[Seed]:
    return [seed(f"http://{host}/{n}", n) for n in range(count)]
