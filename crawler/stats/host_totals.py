"""What each host cost so far, in memory that does not grow with the number of hosts. Pure.

Books are kept for `MAX_HOSTS` hosts. When twice as many are held, those stay that have most records, and the
`KEPT_SLOW` whose slowest URL took longest; the others are closed. So the sums over all hosts are exact, and a host is
undercounted only when its URLs come thinly spread among those of thousands of other hosts.
"""

from __future__ import annotations

import re
from heapq import nlargest
from operator import attrgetter
from typing import Final

import msgspec

from crawler.models import Record

MAX_HOSTS: Final = 1_000
KEPT_SLOW: Final = 100
OTHERS: Final = "others"
_ORIGIN: Final = re.compile(r"([a-z]+):[/\\]*([^/\\?#]+)", re.IGNORECASE)


class HostTotals(msgspec.Struct, frozen=True):
    """One host, such as "https://example.com" or "http://example.com:8080", or "others".

    `time_mean` and `time_max` are seconds of time_total over the URLs that have one; None for "others". `http_errors`
    are answers from 400, which are no failures.
    """

    origin: str
    done: int
    failed: int
    size_download: int
    time_mean: float | None
    time_max: float | None
    http_errors: int = 0


class _Host:
    __slots__ = ("done", "failed", "http_errors", "origin", "size", "time_max", "time_sum", "timed")

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.done = 0
        self.failed = 0
        self.http_errors = 0
        self.size = 0
        self.timed = 0
        self.time_sum = 0.0
        self.time_max = 0.0

    @property
    def time_mean(self) -> float:
        return self.time_sum / self.timed if self.timed else 0.0

    def totals(self) -> HostTotals:
        mean, longest = (self.time_mean, self.time_max) if self.timed else (None, None)
        return HostTotals(self.origin, self.done, self.failed, self.size, mean, longest, self.http_errors)


class HostTable:
    """Counts URLs by the host that answered, or should have."""

    def __init__(self) -> None:
        self._hosts: dict[str, _Host] = {}
        self._done = 0
        self._failed = 0
        self._http_errors = 0
        self._size = 0

    def __len__(self) -> int:
        return len(self._hosts)

    def count(
        self,
        final_url: str | None,
        written: str,
        size: int,
        seconds: float | None,
        *,
        failed: bool,
        http_error: bool = False,
    ) -> None:
        """One URL: where it ended in WHATWG form if anywhere, as it was written, its bytes and its time_total; what
        failed is no HTTP error besides.
        """
        # No host name is empty, so the first slash from there on ends the authority.
        origin = _written_origin(written) if final_url is None else final_url[: final_url.find("/", 8)]
        try:
            host = self._hosts[origin]
        except KeyError:
            host = self._open(origin)
        self._done += 1
        self._size += size
        host.done += 1
        host.size += size
        if failed:
            self._failed += 1
            host.failed += 1
        elif http_error:
            self._http_errors += 1
            host.http_errors += 1
        if seconds is not None:
            host.timed += 1
            host.time_sum += seconds
            if seconds > host.time_max:  # noqa: PLR1730  max() takes five times as long
                host.time_max = seconds

    def busiest(self, n: int) -> tuple[tuple[HostTotals, ...], HostTotals | None]:
        """The hosts with most records, the most first; and the sum of all others, None when there are none."""
        hosts = tuple(host.totals() for host in nlargest(n, self._hosts.values(), key=attrgetter("done")))
        done = self._done - sum(host.done for host in hosts)
        failed = self._failed - sum(host.failed for host in hosts)
        size = self._size - sum(host.size_download for host in hosts)
        http_errors = self._http_errors - sum(host.http_errors for host in hosts)
        return hosts, HostTotals(OTHERS, done, failed, size, None, None, http_errors) if done else None

    def slowest(self, n: int) -> tuple[HostTotals, ...]:
        """The hosts with the highest mean of time_total, the highest first."""
        slow = nlargest(n, self._hosts.values(), key=attrgetter("time_mean"))
        return tuple(host.totals() for host in slow if host.timed)

    def _open(self, origin: str) -> _Host:
        if len(self._hosts) >= 2 * MAX_HOSTS:
            self._make_room()
        host = self._hosts[origin] = _Host(origin)
        return host

    def _make_room(self) -> None:
        """As many must come as are kept before this is needed again, so that one host costs O(1)."""
        ranked = sorted(self._hosts.values(), key=attrgetter("done"), reverse=True)
        many, few = ranked[: MAX_HOSTS - KEPT_SLOW], ranked[MAX_HOSTS - KEPT_SLOW :]
        few.sort(key=attrgetter("time_max"), reverse=True)
        self._hosts = {host.origin: host for host in (*many, *few[:KEPT_SLOW])}


def origin_of(record: Record) -> str:
    """The origin under which a URL is counted."""
    final_url = record.final_url
    return _written_origin(record.url) if final_url is None else final_url[: final_url.find("/", 8)]


def _written_origin(url: str) -> str:
    """The origin of a URL as a person wrote it."""
    match = _ORIGIN.search(url)
    return f"{match[1]}://{match[2]}".lower() if match else ""
