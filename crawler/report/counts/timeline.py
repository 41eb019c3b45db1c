"""Counts by time of day, in at most MAX_BUCKETS steps, whose width doubles when they do not suffice. Pure."""

from __future__ import annotations

from math import floor
from typing import Final

from crawler.stats.histogram import Histogram

MAX_BUCKETS: Final = 240
NARROWEST: Final = 0.25  # seconds


class Bucket:
    """What ended in one step of time."""

    __slots__ = ("durations", "errors", "failed", "ok", "size")

    def __init__(self) -> None:
        self.ok = 0
        self.errors = 0  # answers with a status from 400
        self.failed = 0
        self.size = 0
        self.durations = Histogram()

    @property
    def count(self) -> int:
        return self.ok + self.errors + self.failed

    def merge(self, other: Bucket) -> None:
        self.ok += other.ok
        self.errors += other.errors
        self.failed += other.failed
        self.size += other.size
        self.durations.merge(other.durations)


class Timeline:
    """`first` and `last` are seconds since the epoch: the first start and the last end; None when there was none."""

    def __init__(self) -> None:
        self.width = NARROWEST
        self.first: float | None = None
        self.last: float | None = None
        self._buckets: dict[int, Bucket] = {}
        self._low = 0
        self._high = 0

    def add(self, begun: float, seconds: float | None, slot: int, size: int, *, failed: bool, error: bool) -> None:
        end = begun + (seconds or 0.0)
        if self.first is None or self.last is None:
            self.first, self.last = begun, end
            self._low = self._high = floor(end / self.width)
        elif begun < self.first:
            self.first = begun
        if end > self.last:  # noqa: PLR1730  max() takes five times as long
            self.last = end
        key = floor(end / self.width)
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._open(key, end)
        if failed:
            bucket.failed += 1
        elif error:
            bucket.errors += 1
        else:
            bucket.ok += 1
        bucket.size += size
        if seconds is not None:
            bucket.durations.add_to(slot, seconds)

    def buckets(self) -> tuple[float, list[Bucket]]:
        """When the first step begins, in seconds since the epoch; and all steps, those in which nothing ended too."""
        if self.first is None:
            return 0.0, []
        return self._low * self.width, [self._buckets.get(key) or Bucket() for key in range(self._low, self._high + 1)]

    def _open(self, key: int, end: float) -> Bucket:
        self._low = min(self._low, key)
        self._high = max(self._high, key)
        while self._high - self._low >= MAX_BUCKETS:
            self._double()
            key = floor(end / self.width)
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket()
        return bucket

    def _double(self) -> None:
        self.width *= 2
        self._low //= 2
        self._high //= 2
        wider: dict[int, Bucket] = {}
        for key, bucket in self._buckets.items():
            into = wider.get(key // 2)
            if into is None:
                wider[key // 2] = bucket
            else:
                into.merge(bucket)
        self._buckets = wider
