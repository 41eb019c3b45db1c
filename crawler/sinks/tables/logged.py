"""The sink of a table: records go to a log of lines, and the table follows it, in a thread that nothing waits for."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final, Protocol

import msgspec
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from crawler.errors import CodedError
from crawler.files import coded
from crawler.models import Record, Response
from crawler.redaction import scrub
from crawler.sinks.jsonl import Encode
from crawler.sinks.tables.log import numbered
from crawler.sinks.writer import Writer, WriterReactor

FOLLOW_AFTER: Final = 0.5


class Table(Protocol):
    """Made of a log. All of it is called in one thread, and raises OSError or ValueError."""

    live: bool
    """Whether it grows with the log, or is made at the end."""

    def begin(self, size: int) -> None:
        """The log has so many bytes from earlier runs; what the table has from beyond that does not count."""

    def grow(self) -> None:
        """Take what the log has more."""

    def finish(self) -> None:
        """The log is whole."""

    def give_up(self) -> None:
        """It is not wanted any more; `finish` may raise what it likes, soon. This is called from another thread."""


class Logged:
    """Writes the lines of `encode` to `writer`, each with its number; `table` follows at `path`, the log is at `log`.

    Without `keeps_log` the log is removed when the table is whole. The table's first error is final, as a Writer's is.
    """

    def __init__(
        self,
        writer: Writer,
        table: Table,
        *,
        path: str,
        log: str,
        encode: Encode,
        reactor: WriterReactor,
        keeps_log: bool,
    ) -> None:
        self._writer = writer
        self._table = table
        self._path = path
        self._log = log
        self._encode = encode
        self._reactor = reactor
        self._keeps_log = keeps_log
        self._inbox: SimpleQueue[bool] | None = None  # True: the log is whole
        self._timer: IDelayedCall | None = None
        self._error: BaseException | None = None
        self._closing: Deferred[None] | None = None
        self._given_up = False
        self._lock = threading.Lock()

    def write(self, record: Record, response: Response | None, sequence: int) -> Deferred[None] | None:  # noqa: ARG002
        if self._error is not None:
            return fail(self._error)
        if self._table.live:
            self._start()
        lines = self._encode(record, sequence)
        if not lines:
            return None
        if self._table.live and self._timer is None:
            self._timer = self._reactor.callLater(FOLLOW_AFTER, self._grow)
        return self._writer.write(numbered(lines, sequence))

    def flush(self) -> Deferred[None] | None:
        return self._writer.flush()

    def close(self) -> Deferred[None] | None:
        """Close the log, then make the table. Cancelling gives the table up: the log stays, and the Deferred fails."""
        if self._closing is None:
            if self._table.live:
                self._start()
            if self._timer is not None:
                self._timer.cancel()
            self._closing = Deferred(self._give_up)
            closed = self._writer.close()
            if closed is None:
                self._whole(None)
            else:
                closed.addCallbacks(self._whole, self._failed)
        return self._closing

    def _start(self) -> None:
        """Start the thread: of a table that grows at once, of another one when its log is whole."""
        if self._inbox is None:
            self._inbox = SimpleQueue()
            size = os.stat(self._log).st_size  # noqa: PTH116 - before anything of this run is in it
            name = f"table {self._path}"
            # Arrow and DuckDB abort the process when it ends while they are at work; who waits for a lock does not.
            is_daemon = self._table.live
            threading.Thread(target=self._serve, args=(self._inbox, size), name=name, daemon=is_daemon).start()

    def _grow(self) -> None:
        self._timer = None
        if self._inbox is not None:
            self._inbox.put(False)

    def _whole(self, _: object) -> None:
        assert self._closing is not None
        if self._error is None:
            self._start()
            assert self._inbox is not None
            self._inbox.put(True)
        else:  # the thread has ended before
            self._closing.errback(self._error)

    def _serve(self, inbox: SimpleQueue[bool], size: int) -> None:
        """The thread: it ends with the table or with the first error."""
        try:
            self._table.begin(size)
            while not inbox.get():
                self._table.grow()
            self._table.finish()
            if not self._keeps_log and not self._given_up:
                os.unlink(self._log)  # noqa: PTH108
        except BaseException as error:  # raised where the records are written
            self._tell(error)
        else:
            self._tell(None)

    def _tell(self, error: BaseException | None) -> None:
        with self._lock:  # the reactor may be gone once the table was given up
            if not self._given_up:
                self._reactor.callFromThread(self._ended, error)

    def _ended(self, error: BaseException | None) -> None:
        if error is not None:
            self._error = self._words(error)
        closing = self._closing
        if closing is not None and not closing.called:
            if self._error is None:
                closing.callback(None)
            else:
                closing.errback(self._error)

    def _failed(self, failure: Failure) -> None:
        self._error = self._error or failure.value
        if self._closing is not None and not self._closing.called:
            self._closing.errback(failure)

    def _words(self, error: BaseException) -> BaseException:
        if isinstance(error, OSError):
            return coded(error, self._path)
        if isinstance(error, (ValueError, msgspec.MsgspecError)):
            words = f"{scrub(self._path)}: {error} (its rows are in {scrub(self._log)})"
            problem = CodedError("write_error", words)
            problem.__cause__ = error
            return problem
        return error

    def _give_up(self, _: Deferred[None]) -> None:
        with self._lock:
            self._given_up = True
        self._table.give_up()
        words = f"{scrub(self._path)}: given up before it was whole; its rows are in {scrub(self._log)}"
        self._error = CodedError("write_error", words)
        assert self._closing is not None
        self._closing.errback(self._error)


class MadeAtTheEnd:
    """A table of the whole log: `make` makes it, and asks the function that it gets whether it is still wanted."""

    live = False

    def __init__(self, make: Callable[[Callable[[], bool]], None]) -> None:
        self._make = make
        self._stopped = threading.Event()

    def begin(self, size: int) -> None:
        """It is made anew each time."""

    def grow(self) -> None:
        """It waits for the end."""

    def finish(self) -> None:
        self._make(self._stopped.is_set)

    def give_up(self) -> None:
        self._stopped.set()
