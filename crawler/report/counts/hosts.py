"""What each host was asked for and how it answered, in memory that does not grow with the number of hosts. Pure.

As in crawler.host_totals, those with most requests stay when there are too many, and the sums are exact.
"""

from __future__ import annotations

from heapq import nlargest
from operator import attrgetter
from typing import Final

from crawler.stats.histogram import Histogram

MAX_HOSTS: Final = 1_000
MANY: Final = 100_000
_SECONDS: Final = 64  # records come as requests end: one that began longer ago than so many busy seconds is rare


class Host:
    """`requests` are all; times, rates and sizes are of the last request of each URL.

    `busy` counts answers that ask for less (429, 503), `denied` and `unreachable` what robots.txt forbade.
    `first` and `last` are when such requests began, in seconds since the epoch; `peak` is most in one second of the
    clock.
    """

    __slots__ = (
        "_seconds",
        "busy",
        "denied",
        "durations",
        "errors",
        "failed",
        "first",
        "last",
        "name",
        "peak",
        "requests",
        "size",
        "skipped",
        "started",
        "unreachable",
        "urls",
    )  # fmt: skip

    def __init__(self, name: str) -> None:
        self.name = name
        self.urls = 0
        self.requests = 0
        self.errors = 0
        self.failed = 0
        self.busy = 0
        self.size = 0
        self.skipped = 0
        self.denied = 0
        self.unreachable = 0
        self.durations = Histogram()
        self.first: float | None = None
        self.last = 0.0
        self.started = 0
        self.peak = 0
        self._seconds: dict[int, int] = {}

    @property
    def rate(self) -> float | None:
        """Requests per second from the first to the last."""
        if self.first is None or self.last <= self.first:
            return None
        return (self.started - 1) / (self.last - self.first)

    def start(self, begun: float) -> None:
        self.started += 1
        if self.first is None:
            self.first = self.last = begun
        elif begun > self.last:
            self.last = begun
        elif begun < self.first:
            self.first = begun
        seconds = self._seconds
        second = int(begun)
        count = seconds[second] = seconds.get(second, 0) + 1
        if count > self.peak:  # noqa: PLR1730  max() takes five times as long
            self.peak = count
        if len(seconds) > 2 * _SECONDS:
            self._seconds = {second: seconds[second] for second in sorted(seconds)[_SECONDS:]}


class Hosts:
    def __init__(self) -> None:
        self.all = Host("all")
        self._hosts: dict[str, Host] = {}
        self._names: set[int] = set()

    def count(
        self,
        name: str,
        requests: int,
        size: int,
        begun: float | None,
        seconds: float | None,
        slot: int,
        *,
        failed: bool,
        error: bool,
        busy: bool = False,
    ) -> None:
        """One URL: where it ended, how many requests it took, its bytes, when it began and how long it took.

        `slot` is the bucket of that.
        """
        host = self._hosts.get(name)
        if host is None:
            host = self._open(name)
        for books in (host, self.all):
            books.urls += 1
            books.requests += requests
            books.errors += error
            books.failed += failed
            books.busy += busy
            books.size += size
        if seconds is not None:
            host.durations.add_to(slot, seconds)
        if begun is not None:
            host.start(begun)

    def skip(self, name: str, code: str | None, count: int = 1) -> None:
        """URLs that were not asked for."""
        host = self._hosts.get(name)
        if host is None:
            host = self._open(name)
        for books in (host, self.all):
            books.skipped += count
            if code == "robots_denied":
                books.denied += count
            elif code == "robots_unreachable":
                books.unreachable += count

    @property
    def distinct(self) -> tuple[int, bool]:
        """How many hosts there were; True when there were more than that."""
        return len(self._names), len(self._names) >= MANY

    def busiest(self, limit: int) -> tuple[list[Host], Host | None]:
        """Those with most requests, and the sums of all others."""
        rows = nlargest(limit, self._hosts.values(), key=lambda host: (host.requests, host.skipped))
        others = Host("others")
        for field in ("urls", "requests", "errors", "failed", "busy", "size", "skipped", "denied", "unreachable"):
            of_all: int = getattr(self.all, field)
            setattr(others, field, of_all - sum(map(attrgetter(field), rows)))
        return rows, others if others.urls or others.skipped else None

    def _open(self, name: str) -> Host:
        if len(self._names) < MANY:
            self._names.add(hash(name))
        if len(self._hosts) >= 2 * MAX_HOSTS:
            kept = nlargest(MAX_HOSTS, self._hosts.values(), key=lambda host: (host.requests, host.skipped))
            self._hosts = {host.name: host for host in kept}
        host = self._hosts[name] = Host(name)
        return host
