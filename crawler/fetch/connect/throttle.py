"""At most so many bytes of bodies per second in a whole run: who has taken too many is paused, and goes on in turn.

What has come is paid off with time, and nobody goes on before that. All that wait go on one after the other, so that
each gets about as much, as far as a segment is small. There is one timer, while somebody waits, and no other work.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime


class Taker(Protocol):
    """Who takes a body, and can be paused."""

    def go_on(self) -> None: ...


class Throttles(Protocol):
    """What keeps a rate, here or in another process."""

    def took(self, taker: Taker, size: int) -> None:
        """See Throttle."""

    def forget(self, taker: Taker) -> None:
        """See Throttle."""


class Throttle:
    """`hold` is told until when nothing more should be started: what is small is there before it can be paused."""

    def __init__(self, clock: IReactorTime, bytes_per_second: int, hold: Callable[[float], None]) -> None:
        self._clock = clock
        self._seconds_per_byte = 1.0 / bytes_per_second
        self._hold = hold
        self._paid_at = clock.seconds()
        self._waiting: dict[Taker, None] = {}  # in their order
        self._timer: IDelayedCall | None = None

    def took(self, taker: Taker, size: int) -> None:
        """So much has come to it. It shall take no more until it is told to go on."""
        now = self._clock.seconds()
        self._paid_at = max(self._paid_at, now) + size * self._seconds_per_byte
        self._hold(self._paid_at)
        self._waiting[taker] = None
        if self._timer is None:
            self._look_in()

    def forget(self, taker: Taker) -> None:
        """It has ended, waiting or not."""
        self._waiting.pop(taker, None)
        if not self._waiting and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_in(self) -> None:
        delay = max(0.0, self._paid_at - self._clock.seconds())
        self._timer = self._clock.callLater(delay, self._next)

    def _next(self) -> None:
        """Let one go on. What it gets is there in the next turn of the reactor, before the next one is asked."""
        self._timer = None
        if self._paid_at <= self._clock.seconds():
            taker = next(iter(self._waiting))
            del self._waiting[taker]
            taker.go_on()
        if self._waiting and self._timer is None:
            self._look_in()


class Pauses:
    """When one fetch was paused by us: that is no time of the server's."""

    __slots__ = ("_began", "_ended", "_paused")

    def __init__(self) -> None:
        self._began: float | None = None
        self._ended = -inf
        self._paused = 0.0

    @property
    def lasting(self) -> bool:
        return self._began is not None

    def begin(self, now: float) -> None:
        if self._began is None:
            self._began = now

    def end(self, now: float) -> None:
        if self._began is not None:
            self._paused += now - self._began
            self._began, self._ended = None, now

    def without(self, free: Callable[[float, float], float]) -> Callable[[float, float], float]:
        """`Stalls.free` less what was paused, for times before the first pause or since the last one."""

        def free_of_pauses(since: float, now: float) -> float:
            now = now if self._began is None else max(since, self._began)
            return max(0.0, free(since, now) - (0.0 if since >= self._ended else self._paused))

        return free_of_pauses
