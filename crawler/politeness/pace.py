"""The pace of a whole run: at most so many starts of requests in any window of time, evenly spaced. Pure.

A start that comes late (a timer is a millisecond late, a page is being read) is made up for by the next ones, as far as
`SLACK` goes; so the distance is that much longer than window / count that no window holds one more than it may.
"""

from __future__ import annotations

from math import inf
from typing import Final, NamedTuple

SLACK: Final = 0.01


class Rate(NamedTuple):
    """`number` starts in `window` seconds."""

    number: float
    window: float

    @property
    def distance(self) -> float:
        """Seconds from one start to the next."""
        return self.window / self.number


class Pace:
    """Nothing starts before `next_start`. Without a `rate` it is only held up."""

    __slots__ = ("_after", "_before", "_distance", "_slack", "next_start")

    def __init__(self, rate: Rate | None = None) -> None:
        self.next_start = -inf
        distance = 0.0 if rate is None else rate.distance
        self._slack = SLACK if 0 < distance < SLACK else 0.0
        self._distance = distance + (self._slack / rate.number if rate is not None else 0.0)
        self._before = self._after = self.next_start

    def start(self, now: float) -> None:
        """A request starts."""
        self._before = self.next_start
        self.next_start = self._after = max(self.next_start, now - self._slack) + self._distance

    def spared(self) -> None:
        """No request was made after all, right after a `start`."""
        if self.next_start == self._after:
            self.next_start = self._before

    def hold(self, until: float) -> None:
        """Start nothing before then."""
        self.next_start = max(self.next_start, until)
