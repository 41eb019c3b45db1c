"""A run on a private reactor in a thread of its own: so it works wherever the caller is, in a thread or a notebook."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent import futures
from contextlib import ExitStack
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from crawler.fetch.connect.dial import Dial
from crawler.run.reactors import private_reactor, run


class Runs(Protocol):
    """What a thread asks of a Crawler, always in the reactor's thread."""

    def run(self) -> Deferred[Any]: ...

    def drain(self) -> None: ...

    def abort(self) -> None: ...


class RunThread:
    """One run. Every method may be called in any thread; what is asked after the end is not done, and does no harm.

    `begun` says whether there is one. `outcome` is done when it is over and its reactor closed; it holds what ended the
    run if that was an error.
    """

    def __init__(self) -> None:
        self.outcome: futures.Future[None] = futures.Future()
        self._lock = threading.Lock()  # guards the reactor, which is None once it may be gone
        self._reactor: Any = None
        self._runs: Runs | None = None
        self.begun = False

    def start(self, make: Callable[[Any, Dial], Runs]) -> None:
        """Make a Crawler for a reactor and run it. Raises what `make` raises, or OSError: no descriptors left."""
        with ExitStack() as resources:
            reactor, dial = resources.enter_context(private_reactor())
            self._runs = make(reactor, dial)
            self._reactor = reactor
            kept = resources.pop_all()
        thread = threading.Thread(target=self._main, args=(kept,), name="crawler", daemon=True)
        self.begun = True  # before it is: Ctrl-C may come inside start(), which waits a moment for the thread
        try:
            thread.start()
        except RuntimeError:  # no more threads
            self.begun, self._reactor = False, None
            kept.close()
            raise

    def run(self, make: Callable[[Any, Dial], Runs]) -> None:
        """Start, and wait for the end; raise what ended the run.

        Ctrl-C drains before it is raised, a second one aborts.
        """
        try:
            self.start(make)
            self.join()
        except BaseException:
            self.wind_up()
            raise
        self.outcome.result()

    def wind_up(self) -> None:
        """Drain, and wait for the end; Ctrl-C aborts."""
        self.drain()
        try:
            self.join()
        except BaseException:
            self.abort()
            self.join()
            raise

    def join(self) -> None:
        """Wait for the end, whatever it is, if there was a beginning."""
        # Not for the thread: it counts as ended when Ctrl-C interrupts its join
        # (https://github.com/python/cpython/issues/90882).
        while self.begun and not futures.wait([self.outcome], timeout=1.0).done:
            pass  # again and again: on Windows Ctrl-C does not end a wait without a limit

    def drain(self) -> None:
        if self._runs is not None:
            self.callFromThread(self._runs.drain)

    def abort(self) -> None:
        if self._runs is not None:
            self.callFromThread(self._runs.abort)

    def callFromThread(self, function: Callable[..., object], /, *args: object) -> None:
        """Call in the reactor's thread, unless the run is over."""
        with self._lock:
            if self._reactor is not None:
                self._reactor.callFromThread(function, *args)

    def _main(self, resources: ExitStack) -> None:
        assert self._runs is not None
        try:
            with resources:
                try:
                    run(self._reactor, self._runs.run)
                finally:
                    with self._lock:
                        self._reactor = None
        except BaseException as error:  # raised again by wait(), in the caller's thread
            self.outcome.set_exception(error)
        else:
            self.outcome.set_result(None)
