"""The store that nodes share, as each of them reaches it: over a network, from a thread, and not always."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from typing import Any, Final, TypeVar

from shared_store import NoticesLoss, ReferenceStore
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from crawler.frontier.shared.contract import SharedStore, StoreError, StoreRefusedError
from tests.simulation.clock import VirtualReactor

TIMEOUT: Final = 2.0  # a node waits so long for an answer
T = TypeVar("T")


class Dying(BaseException):
    """The node dies here."""


class Server:
    """The store's own machine: what is wrong with it now."""

    def __init__(self, store: ReferenceStore, latency: float) -> None:
        self.store = store
        self.latency = latency
        self.down = False
        self.full = False
        self.slow = False
        self.lossy = False
        self.restarts = 0


class Face:
    """SharedStore for one node; `cut` while it reaches nothing. Each method raises what the way there does."""

    def __init__(self, server: Server, rng: random.Random) -> None:
        self.server = server
        self.cut = False
        self.dies_in = (
            0  # with the so manieth operation its node dies, unless 0: before it is done, or before that is known
        )
        self.rng = rng
        self._store = NoticesLoss(server.store)
        self._restarts = server.restarts

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        def asked(*arguments: Any, **rest: Any) -> Any:
            server = self.server
            dies = self.dies_in == 1
            self.dies_in = max(0, self.dies_in - 1)
            if dies and self.rng.random() < 0.5:
                raise Dying
            if self.cut or server.down:
                raise StoreError("it is not reached")
            if self._restarts != server.restarts:
                self._restarts = server.restarts
                self._store.lost()
                raise StoreError("it was restarted: the connection is gone")
            if server.full and name not in _READS:
                raise StoreRefusedError("its memory is full")
            lost = server.lossy and self.rng.random() < 0.2
            if lost and self.rng.random() < 0.5:
                raise StoreError("what was said is lost")
            answer = method(*arguments, **rest)
            if dies:
                raise Dying
            if lost:
                raise StoreError("the answer is lost")
            return answer

        return asked

    def takes(self) -> float:
        """How long one way takes."""
        if self.cut or self.server.down:
            return TIMEOUT / 2
        return self.rng.choice((0.01, 0.3, 1.5)) if self.server.slow else self.server.latency


_READS: Final = frozenset(
    {
        "nodes",
        "known",
        "moves",
        "segments",
        "counts",
        "parts",
        "busiest",
        "host",
        "find",
        "renew",
        "leave",
        "pushing",
        "widened",
    }
    | {"counts_of", "parts_of", "busiest_of"}
)


class VirtualAsking:
    """Asks in virtual time, not in a thread: the node may die, or stand still, before each operation and after it."""

    def __init__(self, store: SharedStore, reactor: VirtualReactor) -> None:
        assert isinstance(store, Face)
        self.on_doubt: Callable[[], None] = lambda: None
        self._face: Face = store
        self._reactor = reactor
        self._waiting: deque[tuple[Callable[[SharedStore], Any], Deferred[Any]]] = deque()
        self._timer: IDelayedCall | None = None
        self._pause = 0.05
        self._closed = False

    def ask(self, operation: Callable[[SharedStore], T]) -> Deferred[T]:
        answer: Deferred[T] = Deferred(lambda _: None)
        if self._closed:
            answer.errback(CancelledError())
            return answer
        self._waiting.append((operation, answer))
        self._next()
        return answer

    def close(self) -> None:
        self._closed = True
        self._waiting.clear()
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def _next(self) -> None:
        if self._timer is None and self._waiting:
            self._timer = self._reactor.callLater(self._face.takes(), self._do)

    def _do(self) -> None:
        operation, _ = self._waiting[0]
        result: Any
        try:
            result = operation(self._face)  # type: ignore[arg-type]
        except StoreError:
            self._timer = self._reactor.callLater(self._face.takes() + self._pause, self._do)
            self._pause = min(2.0, 2 * self._pause)
            self.on_doubt()
            return
        except Dying:
            raise
        except BaseException:
            result = Failure()
        self._pause = 0.05
        self._timer = self._reactor.callLater(self._face.takes(), self._tell, result)

    def _tell(self, result: Any) -> None:
        self._timer = None
        _, answer = self._waiting.popleft()
        if not answer.called:
            answer.errback(result) if isinstance(result, Failure) else answer.callback(result)
        if not self._closed:
            self._next()
