"""Records in memory: as a list in input order, or handed over to another thread one by one."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from twisted.internet.defer import Deferred

from crawler.models import Record, Response

CAPACITY: Final = 1000
CAPACITY_BYTES: Final = 1 << 26
PATIENCE: Final = 1.0  # seconds; on Windows Ctrl-C does not end a wait without a limit


class ListSink:
    """Keeps all records."""

    def __init__(self) -> None:
        self._records: dict[int, Record] = {}

    @property
    def records(self) -> list[Record]:
        """What has been written so far, in the order of the inputs."""
        return [self._records[sequence] for sequence in sorted(self._records)]

    def write(self, record: Record, response: Response | None, sequence: int) -> None:  # noqa: ARG002
        self._records[sequence] = record

    def flush(self) -> None:
        """Nothing is buffered."""

    def close(self) -> None:
        """The records stay."""


class QueueReactor(Protocol):
    """What a QueueSink needs of a reactor: IReactorFromThreads."""

    def callFromThread(self, function: Callable[[], object], /) -> None: ...


class QueueSink:
    """Hands records over to the thread that iterates over it; the crawl waits while `capacity` records or 64 MiB of
    bodies wait there.

    The sink's methods and `fail` belong to the reactor's thread, iteration and `stop` to the consumer's. Iteration ends
    when the sink is closed and everything was taken: nothing is lost, even if the reactor is gone by then. `idle` is
    called there every `patience` seconds while nothing comes.
    """

    def __init__(
        self,
        reactor: QueueReactor,
        *,
        capacity: int = CAPACITY,
        patience: float = PATIENCE,
        idle: Callable[[], object] = lambda: None,
    ) -> None:
        self._reactor = reactor
        self._capacity = capacity
        self._patience = patience
        self._idle = idle
        self._changed = threading.Condition()  # guards what follows it, but not _waiting: that is the reactor's
        self._records: deque[Record] = deque()
        self._bytes = 0
        self._ended = False
        self._error: BaseException | None = None
        self._full = False
        self._waiting: list[Deferred[None]] = []

    def write(self, record: Record, response: Response | None, sequence: int) -> Deferred[None] | None:  # noqa: ARG002
        with self._changed:
            if self._ended:  # the consumer has stopped
                return None
            self._records.append(record)
            self._bytes += record.in_memory
            self._notify()
            if len(self._records) < self._capacity and self._bytes < CAPACITY_BYTES:
                return None
            self._full = True
        waiter: Deferred[None] = Deferred()  # no canceller: the record is taken; who cancels only stops waiting
        self._waiting.append(waiter)
        return waiter

    def flush(self) -> None:
        """Nothing is buffered here that the consumer could not see."""

    def close(self) -> None:
        with self._changed:
            self._ended = True
            self._notify()
        self._resume()

    def fail(self, error: BaseException) -> None:
        """Close; the consumer gets the error after the last record."""
        with self._changed:
            self._error = error
        self.close()

    def stop(self) -> None:
        """The consumer wants no more: what waits is dropped, and so is what is still written."""
        with self._changed:
            self._records.clear()
            self._bytes = 0
            if not self._ended:
                self._ended = True
                self._reactor.callFromThread(self._resume)

    def __iter__(self) -> Iterator[Record]:
        while True:
            with self._changed:
                if not self._records and not self._ended:
                    self._changed.wait(self._patience)
                record = self._take()
                if record is None and self._ended:
                    return
            if record is None:
                self._idle()
            else:
                yield record

    def _notify(self) -> None:
        self._changed.notify_all()

    def _take(self) -> Record | None:
        """The next one, if there is one; raises what it has ended with, once all were taken."""
        if not self._records:
            if self._ended and self._error is not None:
                raise self._error
            return None
        record = self._records.popleft()
        self._bytes -= record.in_memory
        # Not at each record: waking the reactor costs more than handing over a hundred. And never once we
        # are closed, for then the reactor may be gone; the lock is kept because close() takes it.
        if self._full and not self._ended and self._half_empty():
            self._full = False
            self._reactor.callFromThread(self._resume)
        return record

    def _half_empty(self) -> bool:
        return len(self._records) <= self._capacity // 2 and self._bytes <= CAPACITY_BYTES // 2

    def _resume(self) -> None:
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.callback(None)


class LoopQueueSink(QueueSink):
    """The same for a consumer in an event loop of asyncio, who calls `take`. The loop is woken only when it waits."""

    def __init__(
        self, reactor: QueueReactor, loop: asyncio.AbstractEventLoop, *, patience: float | None = None
    ) -> None:
        super().__init__(reactor)
        self._loop = loop
        self._limit = patience
        self._waiter: asyncio.Future[None] | None = None

    @property
    def over(self) -> bool:
        """Whether it is closed, and all were taken."""
        return self._ended and not self._records

    async def take(self) -> Record | None:
        """The next record; None when it is over, or nothing came for `patience` seconds. Raises what it failed with."""
        with self._changed:
            record = self._take()
            if record is not None or self._ended:
                return record
            self._waiter = waiter = self._loop.create_future()
        if self._limit is None:
            await waiter
        else:
            await asyncio.wait([waiter], timeout=self._limit)
        with self._changed:
            return self._take()

    def _notify(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is None:
            return
        try:
            self._loop.call_soon_threadsafe(_wake, waiter)
        except RuntimeError:  # the loop is closed: nobody is left who takes anything
            self._records.clear()
            self._bytes = 0
            self._ended = True


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
