"""How the run went, in at most MAX_POINTS steps of time, whose length doubles when they do not suffice. Pure."""

from __future__ import annotations

from typing import Final

import msgspec

from crawler.stats.histogram import Histogram
from crawler.stats.stats import Snapshot

MAX_POINTS: Final = 600
FIRST_STEP: Final = 1.0


class Point(msgspec.Struct, frozen=True):
    """One step of time: rates per second in it, percentiles of time_total in seconds; None when nothing ended."""

    elapsed: float
    rate: float
    failed: float
    http_errors: float
    bandwidth: float
    in_flight: float
    p50: float | None
    p90: float | None
    p99: float | None


class _Step:
    """The sums of one step."""

    __slots__ = ("begun", "done", "elapsed", "failed", "http_errors", "in_flight", "size", "times")

    def __init__(self, before: Snapshot | None, now: Snapshot, times: Histogram) -> None:
        self.begun = 0.0 if before is None else before.elapsed
        self.elapsed = now.elapsed
        self.done = now.done - (0 if before is None else before.done)
        self.failed = now.failed - (0 if before is None else before.failed)
        self.http_errors = now.http_errors - (0 if before is None else before.http_errors)
        self.size = now.size_download - (0 if before is None else before.size_download)
        self.in_flight = float(now.in_flight)
        self.times = times

    def merge(self, after: _Step) -> None:
        self.elapsed = after.elapsed
        self.done += after.done
        self.failed += after.failed
        self.http_errors += after.http_errors
        self.size += after.size
        self.in_flight = (self.in_flight + after.in_flight) / 2
        self.times.merge(after.times)

    def point(self) -> Point:
        span = max(self.elapsed - self.begun, 1e-6)
        times = self.times.percentiles()
        p50, p90, p99 = (None, None, None) if times is None else (times.p50, times.p90, times.p99)
        return Point(
            self.elapsed,
            self.done / span,
            self.failed / span,
            self.http_errors / span,
            self.size / span,
            self.in_flight,
            p50,
            p90,
            p99,
        )


class History:
    """`count` is for each URL that ended, `step` for the end of each step: every `seconds` of them."""

    def __init__(self) -> None:
        self.seconds = FIRST_STEP
        self._steps: list[_Step] = []
        self._before: Snapshot | None = None
        self._times = Histogram()

    def count(self, seconds: float) -> None:
        self._times.add(seconds)

    def step(self, now: Snapshot) -> Point | None:
        """End a step; give its point, or None when all points are others now."""
        step = _Step(self._before, now, self._times)
        self._before, self._times = now, Histogram()
        self._steps.append(step)
        if len(self._steps) < MAX_POINTS:
            return step.point()
        first, second = self._steps[::2], self._steps[1::2]
        for one, after in zip(first, second, strict=True):
            one.merge(after)
        self._steps = first
        self.seconds *= 2
        return None

    def columns(self) -> dict[str, list[float | None]]:
        """All points, a list for each of their fields."""
        points = [step.point() for step in self._steps]
        return {name: [getattr(point, name) for point in points] for name in Point.__struct_fields__}
