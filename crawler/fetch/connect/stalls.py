"""Time in which the reactor was free: it alone counts against a deadline.

While a large page is read, a disk hangs or the process gets no processor, nothing can be heard of a server that may
have answered long ago. That the reactor was held shows in a timer that fires late.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

LATE: Final = 0.05
MOST: Final = 10_000


class Stalls:
    """Knows when the reactor was held, as far as whoever has a timer tells; all times are those of the reactor."""

    def __init__(self) -> None:
        # Of each stall, in order: when it began and ended, and how much was stalled before it.
        self._starts: list[float] = []
        self._ends: list[float] = []
        self._before: list[float] = []

    def was_late(self, due: float, now: float) -> bool:
        """Note that a timer which was due then has fired now; whether that means a stall.

        What came during one has still to be read, then: who keeps a deadline gives it a turn of the reactor before it
        judges, but not two in a row, since a reactor that has too much to do is always late.
        """
        if now - due <= LATE:
            return False
        starts, ends = self._starts, self._ends
        if ends:
            due = max(due, ends[-1])  # another timer has told of it
            if due >= now:
                return True
        self._before.append(self._until(due))
        starts.append(due)
        ends.append(now)
        if len(ends) > MOST:
            for times in (starts, ends, self._before):
                del times[: MOST // 2]
        return True

    def free(self, since: float, now: float) -> float:
        """How many of the seconds since then the reactor was free."""
        passed = now - since
        if not self._ends or self._ends[-1] <= since:
            return passed
        return passed - (self._until(now) - self._until(since))

    def _until(self, when: float) -> float:
        """How many seconds were stalled before then."""
        number = bisect_right(self._starts, when) - 1
        if number < 0:
            return self._before[0] if self._before else 0.0
        return self._before[number] + min(when, self._ends[number]) - self._starts[number]
