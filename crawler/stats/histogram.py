"""A histogram of durations in fixed memory, its buckets 5 % apart. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import accumulate, repeat
from math import sqrt
from typing import Final

import msgspec

_DECADE: Final = 48  # buckets: they end at powers of ten, so that others can be told from exact counts
_RATIO: Final = 10 ** (1 / _DECADE)  # a value is told as the geometric middle of its bucket: 2.5 % off at most
_LOWEST: Final = 1e-5
# The upper ones of all but the last; up to a day. Four digits, because they are read by people.
_BOUNDS: Final = tuple(float(f"{_LOWEST * 10 ** (n / _DECADE):.3e}") for n in range(10 * _DECADE))
_TOLD: Final = range(2 * _DECADE, 7 * _DECADE + 1, _DECADE // 3)  # 1 ms to 100 s, three for each decade
_BATCH: Final = 1_000


class Percentiles(msgspec.Struct, frozen=True):
    """Seconds. `count` values, of which half took at most `p50`; `mean` and `max` are exact, the others within 3 %.

    `buckets` has pairs of a duration and of how many took at most that: exact, and of the same durations in every run.
    """

    count: int
    mean: float
    p50: float
    p90: float
    p95: float
    p99: float
    max: float
    buckets: tuple[tuple[float, int], ...] = ()


def bucket_of(seconds: float) -> int:
    """The number of the bucket that a duration falls into."""
    return bisect_left(_BOUNDS, seconds)


class Histogram:
    """Counts durations from 10 us to a day; what lies outside counts as the nearest of these.

    `add` sorts values into their buckets a batch at a time: 0.15 us for each, where to look for each takes 0.35. Who
    has thousands of histograms and counts one value in several looks once (`bucket_of`) and takes `add_to`.
    """

    __slots__ = ("_batch", "_buckets", "_count", "_max", "_sum")

    def __init__(self) -> None:
        self._batch: list[float] = []
        self._buckets: dict[int, int] = {}
        self._count = 0
        self._sum = 0.0
        self._max = 0.0

    @property
    def count(self) -> int:
        return self._count + len(self._batch)

    @property
    def mean(self) -> float | None:
        """None when nothing was added."""
        self._sort()
        return self._sum / self._count if self._count else None

    @property
    def largest(self) -> float:
        self._sort()
        return self._max

    def add(self, seconds: float) -> None:
        batch = self._batch
        batch.append(seconds)
        if len(batch) >= _BATCH:
            self._sort()

    def add_to(self, bucket: int, seconds: float) -> None:
        """Count a duration whose bucket is known."""
        self._buckets[bucket] = self._buckets.get(bucket, 0) + 1
        self._count += 1
        self._sum += seconds
        if seconds > self._max:  # noqa: PLR1730  max() takes five times as long
            self._max = seconds

    def merge(self, other: Histogram) -> None:
        """Count what another one counted, too."""
        self._sort()
        other._sort()
        for bucket, count in other._buckets.items():
            self._buckets[bucket] = self._buckets.get(bucket, 0) + count
        self._count += other._count
        self._sum += other._sum
        self._max = max(self._max, other._max)

    def percentile(self, share: float) -> float | None:
        """The duration that this share (0 to 1) does not exceed; None when nothing was added."""
        self._sort()
        return self._at(self._upto(), share) if self._count else None

    def percentiles(self) -> Percentiles | None:
        """None when nothing was added."""
        self._sort()
        count = self._count
        if not count:
            return None
        upto = self._upto()
        p50, p90, p95, p99 = (self._at(upto, share) for share in (0.50, 0.90, 0.95, 0.99))
        buckets = tuple((_BOUNDS[bucket], upto[bucket]) for bucket in _TOLD)
        return Percentiles(count, self._sum / count, p50, p90, p95, p99, self._max, buckets)

    def _sort(self) -> None:
        """Put the batch into the buckets."""
        batch = self._batch
        if not batch:
            return
        batch.sort()
        self._sum += sum(batch)
        self._max = max(self._max, batch[-1])
        size = len(batch)
        self._count += size
        begin = 0
        while begin < size:
            bucket = bucket_of(batch[begin])
            end = bisect_right(batch, _BOUNDS[bucket], begin) if bucket < len(_BOUNDS) else size
            self._buckets[bucket] = self._buckets.get(bucket, 0) + end - begin
            begin = end
        batch.clear()

    def _upto(self) -> tuple[int, ...]:
        """For each bucket, how many values are in it and in those below."""
        return tuple(accumulate(map(self._buckets.get, range(len(_BOUNDS) + 1), repeat(0))))

    def _at(self, upto: tuple[int, ...], share: float) -> float:
        """What the values of the bucket are told as in which that share is reached."""
        bucket = bisect_left(upto, share * self._count)
        return min(self._max, _BOUNDS[bucket] / sqrt(_RATIO)) if bucket < len(_BOUNDS) else self._max
