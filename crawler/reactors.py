"""A reactor of one's own for one run: made, run in the calling thread, closed without leaving a descriptor behind."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.python import threadable
from twisted.python.failure import Failure

from crawler.http11.dial import Dial, loop_dial


@contextmanager
def private_reactor() -> Generator[tuple[Any, Dial]]:
    """A new reactor on uvloop (on asyncio's loop where there is no uvloop), and how to dial on it.

    Its time is monotonic: Twisted's reactors read the wall clock, and a step of that freezes their timers
    (https://github.com/twisted/twisted/issues/2424).
    """
    from twisted.internet.asyncioreactor import AsyncioSelectorReactor

    try:
        import uvloop

        loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    except ImportError:  # Windows, PyPy
        loop = asyncio.SelectorEventLoop()
    reactor: Any = AsyncioSelectorReactor(loop)
    reactor.seconds = time.monotonic
    try:
        yield reactor, loop_dial(loop)
    finally:
        for reader in list(reactor._internalReaders):  # the waker: Twisted never closes it
            reactor._internalReaders.discard(reader)
            reactor.removeReader(reader)
            reader.connectionLost(None)
        loop.close()


def run(reactor: Any, start: Callable[[], Deferred[Any]]) -> Any:
    """Run the reactor until the Deferred that `start` returns has fired; give its result or raise its error.

    The reactor stops through a DeferredList, whatever the outcome; it is then spent.
    """
    outcome: list[Any] = []

    def begin() -> None:
        try:
            running = start()
        except Exception:  # raised below, in the caller's frame
            running = Deferred()
            running.errback(Failure())
        running.addBoth(outcome.append)
        DeferredList([running]).addCallback(lambda _: reactor.stop())

    reactor.callWhenRunning(begin)
    before = threadable.ioThread
    reactor.startRunning(installSignalHandlers=False)
    # Starting claims the process-wide title of "the reactor's thread": it belongs to whoever had it.
    threadable.ioThread = before
    reactor._asyncioEventloop.run_forever()
    result = outcome[0] if outcome else None
    if isinstance(result, Failure):
        result.raiseException()
    return result


def descriptor_limit() -> int:
    """How many files and sockets this process may have open."""
    try:
        import resource
    except ImportError:  # Windows: its select() takes 512 sockets
        return 512
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1_000_000 if soft == resource.RLIM_INFINITY else soft


def in_reactor_thread() -> bool:
    """True in the thread of a running global reactor, where blocking would stop everything."""
    module = sys.modules.get("twisted.internet.reactor")
    if module is None or not getattr(module, "running", False):
        return False
    return threadable.ioThread == threading.get_ident()
