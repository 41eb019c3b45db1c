"""Records in the order of their inputs (`--ordered`).

The buffer is bounded where inputs are accepted (`admit`), not where records are written, for this reason: the record
that everybody waits for may belong to a URL that is *not* in flight. It waits in the frontier for its host's delay, for
its next try, or, parked, for the moment when nothing else is leased. If `write` made the younger ones wait, each would
keep its slot and its lease meanwhile; with all slots waiting, the oldest could never be claimed: a deadlock. So `write`
never waits for the order; only inputs younger than the window are not accepted yet. What is accepted needs nothing of
them and comes to its end in finite time, the oldest among it; then the window moves. At most `window` records are held.

It is bounded in bytes for the same reason, and in the same way: beyond `most_held` nothing more is accepted. What is
accepted already may still bring a lot, so what is beyond `in_memory` waits on the disk.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import msgspec
from twisted.internet.defer import CancelledError, Deferred, fail, inlineCallbacks
from twisted.python.failure import Failure

from crawler.models import Record, Response
from crawler.sinks import Sink

if TYPE_CHECKING:
    from crawler.store.spill import Spill

WINDOW: Final = 10_000
IN_MEMORY: Final = 32 << 20  # bytes
MOST_HELD: Final = 256 << 20
_OF_A_RECORD: Final = 2_000  # without what may be large
_SCHEMA: Final = "CREATE TABLE held(sequence INTEGER PRIMARY KEY, record BLOB NOT NULL, body BLOB)"


class Ordered:
    """Gives the records to `sink` in the order of their sequence numbers, the first of which is `first`.

    The sink gets no responses, and the records without the bodies that ride along, since a window of those is a lot of
    memory; with `bodies` they stay.

    A number that never comes holds up the younger ones until `close`, which writes them all, still in order; with
    `strict` it drops them, for in a job they are fetched again. `flush` flushes what was given to the sink; what waits
    for its turn goes on waiting.
    """

    def __init__(
        self,
        sink: Sink,
        *,
        window: int = WINDOW,
        in_memory: int = IN_MEMORY,
        most_held: int = MOST_HELD,
        first: int = 0,
        bodies: bool = False,
        strict: bool = False,
    ) -> None:
        self._sink = sink
        self._window = window
        self._in_memory = in_memory
        self._most_held = most_held
        self._bodies = bodies
        self._strict = strict
        self._next = first
        self._held: dict[int, Record | None] = {}  # None: on the disk
        self._size = 0  # bytes of those in memory
        self._spilled_size = 0
        self._spill: Spill | None = None
        self._emitting = False
        self._error: BaseException | None = None
        self._writers: list[Deferred[None]] = []
        self._admissions: list[tuple[int, Deferred[None]]] = []

    def admit(self, sequence: int) -> Deferred[None] | None:
        """Ask before accepting this input. None: go on. A Deferred: fires when the window reaches it."""
        if self._error is not None:
            return fail(self._error)
        if self._admits(sequence):
            return None
        waiter: Deferred[None] = Deferred()  # no canceller: nothing was begun
        self._admissions.append((sequence, waiter))
        return waiter

    def write(self, record: Record, response: Response | None, sequence: int) -> Deferred[None] | None:  # noqa: ARG002
        """Take one record. The Deferred is the sink's back-pressure alone."""
        if self._error is not None:
            return fail(self._error)
        # A copy has nothing that rides along.
        self._hold(sequence, record if self._bodies else msgspec.structs.replace(record))
        if sequence == self._next and not self._emitting:
            self._start(self._in_line())
        return self._until_emitted()

    def flush(self) -> Deferred[None] | None:
        return self._sink.flush()

    @inlineCallbacks
    def close(self) -> Generator[Any, Any, None]:
        """Write what is held, then close the sink. Cancelling gives up what the sink has not taken."""
        try:
            yield self._until_emitted()
            self._start(() if self._strict else sorted(self._held))
            yield self._until_emitted()
        except CancelledError:
            closing = self._sink.close()
            if closing is not None:
                closing.cancel()
                yield closing
            raise
        except Exception:
            yield self._sink.close()
            raise
        finally:
            if self._spill is not None:
                self._spill.close()
        yield self._sink.close()  # the Deferred or None: both may be yielded

    def _admits(self, sequence: int) -> bool:
        """Whether an input may be accepted: the one that all wait for always."""
        if self._size + self._spilled_size >= self._most_held and sequence > self._next:
            return False
        return sequence < self._next + self._window

    def _hold(self, sequence: int, record: Record) -> None:
        size = self._size_of(record)
        if self._size + size > self._in_memory and sequence != self._next and self._put_away(sequence, record):
            self._held[sequence] = None
            return
        self._held[sequence] = record
        self._size += size

    def _put_away(self, sequence: int, record: Record) -> bool:
        """Whether a record waits on the disk now. Raises CodedError."""
        if "body_file" in record.__dict__:  # its body does already
            return False
        try:
            data = msgspec.msgpack.encode(record)
        except (UnicodeEncodeError, TypeError, OverflowError):  # of a lone surrogate, or of a parse function
            return False
        if self._spill is None:
            from crawler.store.spill import Spill  # SQLite is only for those who need it

            self._spill = Spill(_SCHEMA)
        body = record.body if record.in_memory else None
        self._spill.run("INSERT INTO held VALUES (?, ?, ?)", sequence, data, body)
        self._spilled_size += len(data) + len(body or b"")
        return True

    def _take(self, sequence: int) -> Record:
        record = self._held.pop(sequence)
        if record is not None:
            self._size -= self._size_of(record)
            return record
        assert self._spill is not None
        ((data, body),) = self._spill.run("DELETE FROM held WHERE sequence = ? RETURNING record, body", sequence)
        self._spilled_size -= len(data) + len(body or b"")
        record = msgspec.msgpack.decode(data, type=Record)
        return record if body is None else record.with_body(body)

    def _size_of(self, record: Record) -> int:
        """About so many bytes: what may be large of it."""
        size = _OF_A_RECORD + len(record.url) + len(record.final_url or "")
        size += record.in_memory
        if record.wire_body is not None:
            size += len(record.wire_body)
        if record.data is not None:
            size += record.size_body + record.size_download  # it was in there
        if record.wire_headers:
            size += sum(map(len, chain.from_iterable(record.wire_headers.values())))
        return size

    def _start(self, order: Iterable[int]) -> None:
        self._emitting = True
        self._emit(order).addCallbacks(self._emitted, self._failed)

    def _in_line(self) -> Iterator[int]:
        while self._next in self._held:
            yield self._next

    @inlineCallbacks
    def _emit(self, order: Iterable[int]) -> Generator[Any, Any, None]:
        for sequence in order:
            self._next = sequence + 1
            wait = self._sink.write(self._take(sequence), None, sequence)
            if wait is not None:
                yield wait
                self._admit_waiting()

    def _emitted(self, _: None) -> None:
        self._emitting = False
        self._admit_waiting()
        writers, self._writers = self._writers, []
        for waiter in writers:
            waiter.callback(None)

    def _failed(self, failure: Failure) -> None:
        self._emitting = False
        self._error = failure.value
        waiters = [*self._writers, *(waiter for _, waiter in self._admissions)]
        self._writers, self._admissions = [], []
        for waiter in waiters:
            waiter.errback(failure)

    def _until_emitted(self) -> Deferred[None] | None:
        if self._error is not None:
            return fail(self._error)
        if not self._emitting:
            return None
        waiter: Deferred[None] = Deferred()  # no canceller: the record is taken; who cancels only stops waiting
        self._writers.append(waiter)
        return waiter

    def _admit_waiting(self) -> None:
        if not self._admissions:
            return
        admitted = [waiter for sequence, waiter in self._admissions if self._admits(sequence)]
        self._admissions = [entry for entry in self._admissions if not self._admits(entry[0])]
        for waiter in admitted:
            waiter.callback(None)
