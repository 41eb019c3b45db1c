"""How a node asks the store that all share: in a thread, one operation after the other, each until it has an answer."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Final, Protocol, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from crawler.frontier.shared.contract import SharedStore, StoreError

FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 2.0
T = TypeVar("T")


class FromThread(Protocol):
    """IReactorFromThreads."""

    def callFromThread(self, function: Callable[..., object], /, *args: object) -> None: ...


class Asking:
    """Asks `store` in a thread of its own. An operation that fails with StoreError is called again, with pauses: as
    everything may be said twice, it goes on where it was or begins anew.

    `on_doubt` is called when the store could not be asked: what is only remembered of it may not be so any more.
    Whatever else an operation raises fails its Deferred. Cancelling that waits no longer, and `close` gives all up that
    wait.
    """

    def __init__(self, store: SharedStore, reactor: FromThread) -> None:
        self.on_doubt: Callable[[], None] = lambda: None
        self._store = store
        self._reactor = reactor
        self._inbox: SimpleQueue[tuple[Callable[[SharedStore], Any], Deferred[Any]] | None] = SimpleQueue()
        self._closed = threading.Event()
        self._lock = threading.Lock()  # the reactor may be gone once this is closed
        self._log = Logger()
        self._thread = threading.Thread(target=self._serve, name="shared frontier", daemon=True)
        self._thread.start()

    def ask(self, operation: Callable[[SharedStore], T]) -> Deferred[T]:
        answer: Deferred[T] = Deferred(lambda _: None)  # it is done all the same; the answer is nobody's
        if self._closed.is_set():
            answer.errback(CancelledError())
        else:
            self._inbox.put((operation, answer))
        return answer

    def close(self) -> None:
        """Ask nothing more."""
        with self._lock:
            self._closed.set()
        self._inbox.put(None)

    def _serve(self) -> None:
        while (asked := self._inbox.get()) is not None and not self._closed.is_set():
            operation, answer = asked
            result: Any
            try:
                result = self._until_answered(operation)
            except BaseException:  # raised again where it is waited for
                result = Failure()
            self._tell(_fire, answer, result)

    def _until_answered(self, operation: Callable[[SharedStore], T]) -> T:
        pause = FIRST_PAUSE
        said = False
        while True:
            try:
                return operation(self._store)
            except StoreError as error:
                self._tell(self._doubt)
                if not said and pause >= 1.0:
                    said = True
                    self._log.warn("The store of the crawl cannot be asked, and is asked again: {error}", error=error)
                if self._closed.wait(pause * random.uniform(0.5, 1.0)):  # noqa: S311 - it only spreads the tries
                    raise
                pause = min(LONGEST_PAUSE, 2 * pause)

    def _doubt(self) -> None:
        self.on_doubt()

    def _tell(self, function: Callable[..., object], *args: object) -> None:
        with self._lock:
            if not self._closed.is_set():
                self._reactor.callFromThread(function, *args)


def _fire(answer: Deferred[Any], result: Any) -> None:
    if answer.called:  # nobody waits for it any longer
        return
    if isinstance(result, Failure):
        answer.errback(result)
    else:
        answer.callback(result)
