"""Work that takes long, in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure


class Work:
    """What a thread does, so that the reactor goes on meanwhile. To cancel `done` is to wait for it no longer.

    `work` is given what says so.
    """

    def __init__(self, reactor: Any, work: Callable[[Callable[[], bool]], Any]) -> None:
        self.done: Deferred[Any] = Deferred(self._give_up)
        self._reactor = reactor
        self._lock = threading.Lock()
        self._given_up = False  # then there may be no reactor any more
        self._thread = threading.Thread(target=self._main, args=(work,), name="work", daemon=True)
        self._thread.start()

    @property
    def goes_on(self) -> bool:
        """Whether it is still being done, also if nobody waits for it."""
        return self._thread.is_alive()

    def _give_up(self, _: Deferred[Any]) -> None:
        with self._lock:
            self._given_up = True

    def _main(self, work: Callable[[Callable[[], bool]], Any]) -> None:
        tell: Callable[[], object]
        try:
            tell = partial(self.done.callback, work(lambda: self._given_up))
        except BaseException:  # raised again where it is waited for
            tell = partial(self.done.errback, Failure())
        with self._lock:
            if not self._given_up:
                self._reactor.callFromThread(tell)
