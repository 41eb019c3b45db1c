"""A histogram of durations in fixed memory, its buckets 10 % apart. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import accumulate
from math import sqrt
from typing import Final

import msgspec

_DECADE: Final = 24  # buckets: they end at powers of ten, so that others can be told from exact counts
_RATIO: Final = 10 ** (1 / _DECADE)  # a value is told as the geometric middle of its bucket: 5 % off at most
_LOWEST: Final = 1e-5
# The upper ones of all but the last; up to a day. Four digits, because they are read by people.
_BOUNDS: Final = tuple(float(f"{_LOWEST * 10 ** (n / _DECADE):.3e}") for n in range(10 * _DECADE))
_TOLD: Final = range(2 * _DECADE, 7 * _DECADE + 1, _DECADE // 3)  # 1 ms to 100 s, three for each decade
_BATCH: Final = 1_000


class Percentiles(msgspec.Struct, frozen=True):
    """Seconds. `count` values, of which half took at most `p50`; `mean` and `max` are exact, the others within 5 %.

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


class Histogram:
    """Counts durations from 10 us to a day; what lies outside counts as the nearest of these.

    Values are sorted into their buckets a batch at a time: 0.15 us for each, where a logarithm for each takes 0.35.
    """

    __slots__ = ("_batch", "_buckets", "_max", "_sum")

    def __init__(self) -> None:
        self._batch: list[float] = []
        self._buckets = [0] * (len(_BOUNDS) + 1)
        self._sum = 0.0
        self._max = 0.0

    def add(self, seconds: float) -> None:
        batch = self._batch
        batch.append(seconds)
        if len(batch) >= _BATCH:
            self._count()

    def merge(self, other: Histogram) -> None:
        """Count what another one counted, too."""
        self._count()
        other._count()
        self._buckets = [ours + theirs for ours, theirs in zip(self._buckets, other._buckets, strict=True)]
        self._sum += other._sum
        self._max = max(self._max, other._max)

    def percentiles(self) -> Percentiles | None:
        """None when nothing was added."""
        self._count()
        upto = tuple(accumulate(self._buckets))
        count = upto[-1]
        if not count:
            return None
        p50, p90, p95, p99 = (self._at(bisect_left(upto, rank * count)) for rank in (0.50, 0.90, 0.95, 0.99))
        buckets = tuple((_BOUNDS[at], upto[at]) for at in _TOLD)
        return Percentiles(count, self._sum / count, p50, p90, p95, p99, self._max, buckets)

    def _count(self) -> None:
        batch = self._batch
        if not batch:
            return
        batch.sort()
        self._sum += sum(batch)
        self._max = max(self._max, batch[-1])
        below = 0
        for index, bound in enumerate(_BOUNDS):
            upto = bisect_right(batch, bound, below)
            self._buckets[index] += upto - below
            below = upto
        self._buckets[-1] += len(batch) - below
        batch.clear()

    def _at(self, bucket: int) -> float:
        """What the values of a bucket are told as."""
        return min(self._max, _BOUNDS[bucket] / sqrt(_RATIO)) if bucket < len(_BOUNDS) else self._max
