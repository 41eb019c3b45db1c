"""The order in which a job keeps its promises: records are given to the outputs, the outputs are flushed, and then one
transaction says what became of their URLs, which links they had, and how long each output is.

Whatever the instant of a kill: a URL counts as ended only with its record in the output, and what was written behind
the last committed size is cut off when the job goes on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from queue import SimpleQueue
from typing import Any, Final, Protocol

from twisted.internet.defer import CancelledError, Deferred, fail, inlineCallbacks, maybeDeferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from crawler.models import Record, Request, Response
from crawler.sinks import Sink
from crawler.store.batch import Batch
from crawler.store.journal import Journal

INTERVAL: Final = 0.05
EVENTS: Final = 256
MAX_WAITING: Final = 10_000


class CommitReactor(Protocol):
    """What is needed of a reactor: IReactorTime and IReactorFromThreads.callFromThread."""

    def seconds(self) -> float: ...

    def callLater(self, delay: float, function: Callable[..., object], /) -> IDelayedCall: ...

    def callFromThread(self, function: Callable[..., object], /, *args: object) -> None: ...


class Synced(Protocol):
    """What a job that is durable has to bring to the disk before records count: bodies."""

    def sync(self) -> None: ...


class Beside(Protocol):
    """What is written with each commit, beside the outputs: `take` in the reactor's thread, then `write` in another."""

    def take(self) -> None: ...

    def write(self) -> None: ...


class Committing:
    """A sink around the outputs of a job: `sink` gets the records, the journal hears of each, and batches are committed
    every 50 ms or 256 events. A thread calls `write`; `committed` is called with the same batch when that is done.

    `sizes` gives the sizes of the outputs by their numbers, right after a flush. The first error is final: nothing is
    committed from then on, and every later call fails with it.
    """

    def __init__(
        self,
        sink: Sink,
        *,
        reactor: CommitReactor,
        journal: Journal,
        sizes: Callable[[], dict[int, int]],
        write: Callable[[Batch], None],
        committed: Callable[[Batch], None],
    ) -> None:
        self._sink = sink
        self._reactor = reactor
        self._journal = journal
        self._sizes = sizes
        self._write = write
        self._committed = committed
        self._error: BaseException | None = None
        self._timer: IDelayedCall | None = None
        self._busy = False  # with one batch; the next one gathers meanwhile
        self._overdue = False
        self._closing = False
        self._offsets = sizes()
        self._waiting: list[Deferred[None]] = []
        self._to_tell: list[Deferred[None]] = []  # when the events up to now are committed
        self._told_next: list[Deferred[None]] = []  # when the batch is that is under way
        self._start()
        journal.on_event = self._arm
        if not journal.empty:
            self._arm()

    def write(self, record: Record, response: Response | None, sequence: int) -> Deferred[None] | None:
        if self._error is not None:
            return fail(self._error)
        try:
            wait = self._sink.write(record, response, sequence)
        except Exception as error:
            self._break(error)
            raise
        if wait is not None:
            wait.addErrback(self._failed)
        journal = self._journal
        journal.ended(sequence, record)
        if journal.size >= EVENTS and not self._busy:
            self._cut()
        if wait is not None or journal.size < MAX_WAITING:
            return wait
        return self._until_committed()

    def begin(self, request: Request) -> Deferred[None]:
        """Fires when it is kept that this URL is begun: then it counts, whenever the process is killed."""
        if self._error is not None:
            return fail(self._error)
        begun: Deferred[None] = Deferred()  # no canceller: it is kept all the same
        self._to_tell.append(begun)
        self._journal.begun(request, self._reactor.seconds())
        if self._busy:
            self._overdue = True
        else:
            self._cut()
        return begun

    @inlineCallbacks
    def flush(self) -> Generator[Deferred[Any], Any, None]:
        """Commit everything taken so far."""
        while self._error is None and (self._busy or not self._journal.empty):
            if not self._busy:
                self._cut(everything=True)
            if self._busy:
                yield self._until_committed()
        if self._error is not None:
            raise self._error

    @inlineCallbacks
    def close(self) -> Generator[Deferred[Any], Any, None]:
        """Commit everything, then close the sink. Cancelling gives up what a reader has not taken."""
        if self._closing:
            return
        self._closing = True
        try:
            try:
                yield self.flush()
            except CancelledError:
                closing = maybeDeferred(self._sink.close)
                closing.cancel()
                yield closing
                raise
            except Exception:
                yield maybeDeferred(self._sink.close)
                raise
            yield maybeDeferred(self._sink.close)
        finally:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._stop()
        offsets = self._sizes()
        if offsets != self._offsets:  # an empty .gz file gets its bytes when it is closed
            batch = self._journal.next_batch()
            batch.offsets = offsets
            self._write(batch)

    # Batches.

    def _arm(self) -> None:
        if self._timer is None and self._error is None:
            self._timer = self._reactor.callLater(INTERVAL, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._overdue = self._busy
        if not self._busy:
            self._cut()
        if not self._journal.empty:
            self._arm()

    def _cut(self, *, everything: bool = False) -> None:
        """Send the events up to now on their way to the store, behind the records that they tell of."""
        if self._error is not None:
            return
        batch = self._journal.cut(self._reactor.seconds(), everything=everything)
        if batch is None:
            return
        self._busy = True
        self._overdue = False
        self._told_next, self._to_tell = self._to_tell, []
        flushed = maybeDeferred(self._sink.flush)
        # Files are written by now; a later record, written while some pipe is waited for, must not count.
        batch.offsets = self._sizes()
        flushed.addCallbacks(lambda _: self._send(batch), self._flush_failed)

    # The thread. A simulation has these three methods in its own way: there nothing happens at the same time.

    def _start(self) -> None:
        self._inbox: SimpleQueue[Batch | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="job", daemon=True)
        self._thread.start()

    def _send(self, batch: Batch) -> None:
        self._inbox.put(batch)

    def _stop(self) -> None:
        self._inbox.put(None)
        self._thread.join()

    def _serve(self) -> None:
        while (batch := self._inbox.get()) is not None:
            error: BaseException | None = None
            try:
                self._write(batch)
            except BaseException as problem:  # raised where the records are written
                error = problem
            self._reactor.callFromThread(self._done, batch, error)

    def _done(self, batch: Batch, error: BaseException | None) -> None:
        self._busy = False
        if error is not None:
            self._break(error)
            return
        self._offsets = batch.offsets
        self._committed(batch)
        waiting, self._waiting = self._waiting + self._told_next, []
        self._told_next = []
        for waiter in waiting:
            if not waiter.called:
                waiter.callback(None)
        if not self._busy and (self._overdue or self._journal.size >= EVENTS):
            self._cut()

    def _until_committed(self) -> Deferred[None]:
        waiter: Deferred[None] = Deferred()  # no canceller: what was taken is committed; who cancels only stops waiting
        self._waiting.append(waiter)
        return waiter

    # Errors.

    def _failed(self, failure: Failure) -> Failure:
        if not failure.check(CancelledError):  # that is only somebody who stopped waiting
            assert failure.value is not None
            self._break(failure.value)
        return failure

    def _flush_failed(self, failure: Failure) -> None:
        assert failure.value is not None
        self._busy = False
        self._break(failure.value)

    def _break(self, error: BaseException) -> None:
        if self._error is not None:
            return
        self._error = error
        waiting = self._waiting + self._told_next + self._to_tell
        self._waiting, self._told_next, self._to_tell = [], [], []
        for waiter in waiting:
            if not waiter.called:
                waiter.errback(error)
