"""Happy Eyeballs (RFC 8305): the next address is dialled 250 ms after the last one, or at once when that failed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from crawler.fetch.connect.resolver import Addresses

ATTEMPT_DELAY: Final = 0.25  # section 5
MAX_ATTEMPTS: Final = 32  # a name may be given any number of addresses


class Race:
    """Over a list of addresses: the first attempt that connects wins, the others are closed.

    `attempt` dials one address; it fires with (address, protocol, anything), of which the protocol can be aborted.
    `start` fires with that of the winner, or fails as the first attempt that failed; cancelling gives all of them up.
    """

    def __init__(self, clock: IReactorTime, addresses: Addresses, attempt: Callable[[str], Deferred[Any]]) -> None:
        self._clock = clock
        self._left = _interleave(addresses)[:MAX_ATTEMPTS]
        self._attempt = attempt
        self._running: dict[Deferred[Any], None] = {}
        self._next: IDelayedCall | None = None
        self._first_error: Failure | None = None
        self._over = False
        self._result: Deferred[Any] = Deferred(lambda _: self._stop())

    def start(self) -> Deferred[Any]:
        self._start_next()
        return self._result

    def _start_next(self) -> None:
        self._next = None
        attempt = self._attempt(self._left.pop(0))
        self._running[attempt] = None
        if self._left:
            self._next = self._clock.callLater(ATTEMPT_DELAY, self._start_next)
        attempt.addCallbacks(self._won, self._lost, callbackArgs=(attempt,), errbackArgs=(attempt,))

    def _won(self, winner: Any, attempt: Deferred[Any]) -> None:
        self._running.pop(attempt, None)
        if self._over:
            winner[1].abort()
            return
        self._stop()
        self._result.callback(winner)

    def _lost(self, failure: Failure, attempt: Deferred[Any]) -> None:
        self._running.pop(attempt, None)
        if self._over:
            return
        self._first_error = self._first_error or failure
        if self._left:
            if self._next is not None:
                self._next.cancel()
            self._start_next()
        elif not self._running:
            self._over = True
            self._result.errback(self._first_error)

    def _stop(self) -> None:
        self._over = True
        if self._next is not None:
            self._next.cancel()
            self._next = None
        self._left = []
        for attempt in list(self._running):
            attempt.cancel()


def _interleave(addresses: Addresses) -> Addresses:
    """Alternate the families, starting with that of the first address (RFC 8305 section 4)."""
    first = [a for a in addresses if (":" in a) == (":" in addresses[0])]
    second = [a for a in addresses if (":" in a) != (":" in addresses[0])]
    mixed: Addresses = []
    for index in range(max(len(first), len(second))):
        mixed += first[index : index + 1] + second[index : index + 1]
    return mixed
