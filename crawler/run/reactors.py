"""A reactor of one's own for one run: made, run in the calling thread, closed without leaving a descriptor behind.

libuv keeps two descriptors for itself, a pipe for signals, from the first uvloop of a process to its end.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.python import threadable
from twisted.python.failure import Failure

from crawler.fetch.connect.dial import Dial, loop_dial


@contextmanager
def private_reactor() -> Generator[tuple[Any, Dial]]:
    """A new reactor on uvloop (on asyncio's loop where there is no uvloop), and how to dial on it.

    Its time is monotonic: Twisted's reactors read the wall clock, and a step of that freezes their timers
    (https://github.com/twisted/twisted/issues/2424). One thread may make it, another run and close it.
    """
    from twisted.internet.asyncioreactor import AsyncioSelectorReactor

    _occupy_standard_streams()
    loop = _new_loop()
    try:
        reactor: Any = AsyncioSelectorReactor(loop)
        reactor.seconds = time.monotonic
        # Starting would claim the process-wide title of "the reactor's thread", which the global reactor may hold.
        reactor._registerAsIOThread = False
        try:
            yield reactor, loop_dial(loop)
        finally:
            for waker in list(reactor._internalReaders):  # Twisted never closes them
                reactor._internalReaders.discard(waker)
                reactor.removeReader(waker)
                waker.connectionLost(None)
    finally:
        loop.close()


def _occupy_standard_streams() -> None:
    """Should one of them be closed (`>&-`): libuv aborts the process when its own descriptors have their numbers."""
    while (lowest := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(lowest)


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:  # Windows, PyPy
        return asyncio.SelectorEventLoop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def run(reactor: Any, start: Callable[[], Deferred[Any]]) -> Any:
    """Run a private reactor until the Deferred that `start` returns has fired; give its result or raise its error.

    The reactor stops through a DeferredList, whatever the outcome; it is then spent.
    """
    outcome: list[Any] = []

    def begin() -> None:
        try:
            running = start()
        except BaseException:  # raised below, in the caller's frame
            running = Deferred()
            running.errback(Failure())
        running.addBoth(outcome.append)
        DeferredList([running]).addCallback(lambda _: reactor.stop())

    reactor.callWhenRunning(begin)
    try:
        reactor.run(installSignalHandlers=False)
    finally:
        _finish(reactor._asyncioEventloop)
    result = outcome[0] if outcome else None
    if isinstance(result, Failure):
        result.raiseException()
    return result


def _finish(loop: asyncio.AbstractEventLoop) -> None:
    """Give connections and attempts that were given up last the turns of the loop in which they close their sockets."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.wait(tasks) if tasks else asyncio.sleep(0))


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
