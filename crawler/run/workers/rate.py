"""--limit-rate with workers: the throttle is the run's, and each flight waits for it, wherever it is.

So the sum is as exact as in one process: what has come anywhere is paid off before anybody goes on.
"""

from __future__ import annotations

from collections.abc import Callable

from crawler.fetch.connect.throttle import Taker
from crawler.run.workers.frames import GoOn, Took


class FarTaker:
    """A flight of a worker, for the throttle of the run: see Taker."""

    __slots__ = ("_flight", "_put")

    def __init__(self, put: Callable[[GoOn], None], flight: int) -> None:
        self._put = put
        self._flight = flight

    def go_on(self) -> None:
        self._put(GoOn(self._flight))


class FarThrottle:
    """The throttle of the run, as flights of a worker see it: its parent has that of all."""

    def __init__(self, put: Callable[[Took], None]) -> None:
        self._put = put
        self._numbers: dict[Taker, int] = {}
        self._takers: dict[int, Taker] = {}
        self._last = 0

    def took(self, taker: Taker, size: int) -> None:
        """See Throttle."""
        number = self._numbers.get(taker)
        if number is None:
            number = self._numbers[taker] = self._last = self._last + 1
            self._takers[number] = taker
        self._put(Took(number, size))

    def forget(self, taker: Taker) -> None:
        """See Throttle."""
        number = self._numbers.pop(taker, None)
        if number is not None:
            del self._takers[number]
            self._put(Took(number, 0))

    def go_on(self, number: int) -> None:
        """Its parent lets it go on."""
        taker = self._takers.get(number)
        if taker is not None:
            taker.go_on()
