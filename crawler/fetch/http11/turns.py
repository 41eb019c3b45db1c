"""Work that would hold the reactor, done in slices between all else that the reactor has to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Cooperator

SLICE: Final = 0.01  # seconds of a turn of the reactor, for all who share a cooperator


class Turns:
    """`take(work)` runs an iterator on and on, a step at a time, in turns with the others that were taken.

    Each step should take less than a millisecond, and may give a Deferred, to go on when that has fired. Work is never
    stopped: it ends by itself when it sees that nobody needs it any more, at the latest in the next turn; and it must
    not raise.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._cooperator = Cooperator(self._limit, lambda tick: clock.callLater(0, tick))

    def take(self, work: Iterator[Deferred[None] | None]) -> None:
        self._cooperator.cooperate(work)

    def _limit(self) -> Callable[[], bool]:
        end = self._clock.seconds() + SLICE
        return lambda: self._clock.seconds() >= end
