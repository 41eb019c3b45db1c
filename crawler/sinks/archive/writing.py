"""An archive that grows while a run goes on: each exchange is a group of records that is written in one go.

What is large is packed by a thread, into a file without a name, and copied from there. While a copy lasts, the file
ends in what is no whole group: so much of it does not count (`Writer.whole`), and others wait.
"""

from __future__ import annotations

import platform
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from tempfile import TemporaryFile
from typing import IO, Any, Final, NamedTuple

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from crawler.errors import CodedError, StaleConnection
from crawler.fetch.archive.tape import Tape
from crawler.fetch.saving.spool import Disk
from crawler.files import coded
from crawler.models import LOGIN_SOURCE, Record, Request, Response, timestamp
from crawler.sinks.archive.again import lines_of
from crawler.sinks.archive.group import Capture, Exchange, Payloads
from crawler.sinks.archive.index import Lines
from crawler.sinks.archive.naming import index_of, name_of, numbered
from crawler.sinks.archive.records import FIELDS, Numbers, Packing, fields_block, head_of
from crawler.sinks.writer import FLUSH_AFTER, Writer
from crawler.version import __version__

_NAMES: Final = 100_000
_MANY: Final = 64
_AT_ONCE: Final = 1 << 20  # so much is written in the reactor's thread


class _Packed(NamedTuple):
    """A group: its records, or the `file` that they are in; `size` is that of both, `capture` what it is found by."""

    size: int
    capture: Capture | None
    pieces: tuple[bytes, ...] = ()
    file: IO[bytes] | None = None


class Archive:
    """The sink of an archive, which takes exchanges as they end, and asks nothing of records.

    `writer` writes to `file`, which has `begun` bytes of earlier runs. With `max_size` there are several files, which
    `open_next` opens. The first error is final.
    """

    folder: str | None = None  # see Takes

    def __init__(
        self,
        writer: Writer,
        *,
        path: str,
        file: str,
        reactor: Any,
        wall: Callable[[], float] = time.time,
        begun: int = 0,
        max_size: int | None = None,
        open_next: Callable[[str], Writer] | None = None,
    ) -> None:
        self._writer = writer
        self._path = path
        self._file = file
        self._wall = wall
        self._plain = path.lower().endswith(".warc")
        self._begun = begun
        self._max_size = max_size
        self._open_next = open_next
        self._number = 0
        self._at = begun
        self._first = 0  # bytes that tell what the file is
        self._described = False
        self._numbers = Numbers()
        self._payloads = Payloads()
        self._lines = Lines()
        self._names: set[tuple[str, str]] = set()
        self._disk = Disk(reactor)
        self._busy = 0  # groups that are packed or copied by the thread
        self._copying = False
        self._waiting: deque[tuple[_Packed, Deferred[None]]] = deque()
        self._waiters: list[Deferred[None]] = []
        self._held: list[Exchange] = []
        self._held_size = 0
        self._timer: IDelayedCall | None = None
        self._reactor = reactor
        self._idle: Deferred[None] | None = None
        self._closing: Deferred[None] | None = None
        self._lock = threading.Lock()
        self._given_up = False
        self._error: BaseException | None = None

    # What fetches.

    def take(self, request: Request, tape: Tape, response: Response) -> Deferred[None] | None:
        """Write an exchange. A Deferred fires when it is in the file. Fails with CodedError."""
        if self._error is not None:
            tape.drop()
            return fail(self._error)
        if isinstance(response.error, StaleConnection) or request.input.source == LOGIN_SOURCE:
            tape.drop()  # the one is asked again; of the other nobody else may know anything
            return None
        if tape.error is not None:
            error = coded(tape.error, self._path)
            tape.drop()
            self._break(error)
            return fail(error)
        exchange = Exchange(request, tape, response)
        if exchange.is_large:
            self._settle()
            self._busy += 1
            done: Deferred[None] = Deferred()  # no canceller: what is taken is written
            self._disk.do(partial(self._pack, exchange, done))
            return done
        self._held.append(exchange)
        self._held_size += tape.size
        if len(self._held) >= _MANY or self._held_size >= _AT_ONCE:
            self._settle()
        elif self._timer is None:
            self._timer = self._reactor.callLater(FLUSH_AFTER, self._settle)
        return self._until_copied() if self._copying else None

    # The sink.

    def write(self, record: Record, response: Response | None, sequence: int) -> Deferred[None] | None:  # noqa: ARG002
        return None if self._error is None else fail(self._error)

    def flush(self) -> Deferred[None] | None:
        self._settle()
        return self._writer.flush() if self._error is None else fail(self._error)

    def close(self) -> Deferred[None]:
        """Write what is taken, then the index. Cancelling gives up the index, which may be made of the archive."""
        if self._closing is None:
            self._closing = Deferred(self._give_up)
            if self._busy:
                self._idle = Deferred()
                self._idle.addCallback(lambda _: self._finish())
            else:
                self._finish()
        return self._closing

    # Groups.

    def _settle(self) -> None:
        """Write what is held: many at once take half of the time that they take one by one, between sockets."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        if self._copying:
            return
        held, self._held, self._held_size = self._held, [], 0
        if held:
            self._describe()
        for exchange in held:
            self._name(exchange.request, exchange.response)
            self._append(self._packed(partial(exchange.write, payloads=self._payloads)))
            exchange.tape.drop()

    def _until_copied(self) -> Deferred[None]:
        """Who comes while something large is copied waits: it must not count before it is there."""
        waiter: Deferred[None] = Deferred()  # no canceller: what is taken is written
        self._waiters.append(waiter)
        return waiter

    def _packed(self, compose: Callable[[Packing], Capture | None]) -> _Packed:
        pieces: list[bytes] = []
        packing = Packing(pieces.append, self._numbers.new, plain=self._plain)
        capture = compose(packing)
        return _Packed(packing.size, capture, tuple(pieces))

    def _describe(self) -> None:
        """Tell of the run, once."""
        if not self._described:
            self._described = True
            self._append(self._packed(self._about))

    def _name(self, request: Request, response: Response) -> None:
        """Tell of a name that was looked up."""
        host, address = request.url.host, response.remote_ip
        if address is None or response.timings.namelookup is None or response.proxy is not None:
            return
        if host == address or (host, address) in self._names:
            return
        if len(self._names) >= _NAMES:
            self._names.clear()
        self._names.add((host, address))
        self._append(self._packed(partial(_looked_up, host=host, address=address, date=timestamp(response.started))))

    def _about(self, packing: Packing) -> None:
        block = fields_block(
            [
                ("software", f"crawler/{__version__} (Python {platform.python_version()})"),
                ("format", "WARC File Format 1.1"),
                ("conformsTo", "http://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/"),
            ]
        )
        fields = f"WARC-Filename: {name_of(self._file)}\r\nContent-Type: {FIELDS}\r\n"
        packing.record(head_of("warcinfo", packing.new_id(), timestamp(self._wall()), fields, len(block)), block)

    def _append(self, packed: _Packed) -> None:
        """Write a group that is in memory."""
        self._make_room(packed.size)
        self._note(packed)
        self._writer.write(b"".join(packed.pieces))

    def _note(self, packed: _Packed) -> None:
        if packed.capture is not None:
            self._lines.add(packed.capture.line(self._at, name_of(self._file)))
        self._at += packed.size

    def _make_room(self, size: int) -> None:
        """Go on in another file where this one would become too large."""
        if self._max_size is None or self._open_next is None or self._at == 0 or self._at + size <= self._max_size:
            return
        if self._at <= self._first:  # there is nothing in it yet but what it is
            return
        self._writer.close()
        self._number += 1
        self._file = numbered(self._path, self._number)
        self._writer = self._open_next(self._file)
        self._at = 0
        about = self._packed(self._about)
        self._first = about.size
        self._at = about.size
        self._writer.write(b"".join(about.pieces))

    # The thread.

    def _pack(self, exchange: Exchange, done: Deferred[None]) -> None:
        """Pack a large group. Runs in the thread."""
        file = TemporaryFile()  # noqa: SIM115 - who copies it closes it
        try:
            packing = Packing(file.write, self._numbers.new, plain=self._plain)
            capture = exchange.write(packing, self._payloads)
            file.seek(0)
        except OSError as error:
            file.close()
            self._tell(self._packing_failed, error, exchange.tape, done)
        else:
            self._tell(self._packed_large, _Packed(packing.size, capture, file=file), exchange.tape, done)

    def _tell(self, function: Callable[..., object], *arguments: object) -> None:
        with self._lock:  # the reactor may be gone once this was given up
            if not self._given_up:
                self._disk.tell(function, *arguments)

    def _packing_failed(self, error: OSError, tape: Tape, done: Deferred[None]) -> None:
        tape.drop()
        self._break(coded(error, self._file))
        self._one_less()
        done.errback(self._error)

    def _packed_large(self, packed: _Packed, tape: Tape, done: Deferred[None]) -> None:
        tape.drop()
        if self._error is not None:
            self._ended(packed, done)
        elif self._copying:
            self._waiting.append((packed, done))
        else:
            self._bring(packed, done)

    def _bring(self, packed: _Packed, done: Deferred[None]) -> None:
        """Bring a group into the file, when nothing else is being copied."""
        file = packed.file
        assert file is not None
        self._describe()
        if packed.size <= _AT_ONCE:
            self._append(packed._replace(pieces=(file.read(),)))
            self._ended(packed, done)
            return
        self._make_room(packed.size)
        self._copying = True
        self._writer.begin_copy()
        self._disk.do(partial(self._copy, self._writer, packed, done))

    def _copy(self, writer: Writer, packed: _Packed, done: Deferred[None]) -> None:
        """Runs in the thread."""
        assert packed.file is not None
        error = writer.copy(packed.file)
        self._tell(self._copied, error, packed, done)

    def _copied(self, error: OSError | None, packed: _Packed, done: Deferred[None]) -> None:
        self._copying = False
        problem = self._writer.end_copy(packed.size, error)
        if problem is not None:
            self._break(problem)
        else:
            self._note(packed)
        self._ended(packed, done)
        self._settle()
        while self._waiting and not self._copying:
            waiting, waiter = self._waiting.popleft()
            if self._error is not None:
                self._ended(waiting, waiter)
            else:
                self._bring(waiting, waiter)
        waiters, self._waiters = self._waiters, []
        for one in waiters:
            if self._error is None:
                one.callback(None)
            else:
                one.errback(self._error)

    def _ended(self, packed: _Packed, done: Deferred[None]) -> None:
        assert packed.file is not None
        packed.file.close()
        self._one_less()
        if self._error is None:
            done.callback(None)
        else:
            done.errback(self._error)

    def _one_less(self) -> None:
        self._busy -= 1
        if self._busy == 0 and self._idle is not None:
            idle, self._idle = self._idle, None
            idle.callback(None)

    def _break(self, error: CodedError) -> None:
        if self._error is None:
            self._error = error

    # The end.

    def _finish(self) -> None:
        self._settle()
        if self._error is None and self._at == 0:
            self._describe()
        closed = self._writer.close()
        if closed is None:
            self._closed(None)
        else:
            closed.addBoth(self._closed)

    def _closed(self, result: Failure | None) -> None:
        if isinstance(result, Failure) and isinstance(result.value, CodedError):
            self._break(result.value)
        if self._error is None:
            self._disk.do(self._index)
        else:
            self._all_done(None)

    def _index(self) -> None:
        """Runs in the thread."""
        error: OSError | None = None
        try:
            if self._begun:
                for line in lines_of(self._file, self._begun):
                    self._lines.add(line)
            self._lines.write(index_of(self._path))
        except OSError as problem:
            error = problem
        self._tell(self._all_done, error)

    def _all_done(self, error: OSError | None) -> None:
        self._disk.close()
        if error is not None:
            self._break(coded(error, index_of(self._path)))
        closing = self._closing
        assert closing is not None
        if closing.called:
            return
        if self._error is None:
            closing.callback(None)
        else:
            closing.errback(self._error)

    def _give_up(self, _: Deferred[None]) -> None:
        with self._lock:
            self._given_up = True


def _looked_up(packing: Packing, *, host: str, address: str, date: str) -> None:
    """A name and its address, as WARC 1.1 section 6.4 has it. How long that holds no resolver of a system tells: 0."""
    digits = "".join(character for character in date[:19] if character.isdigit())
    kind = "AAAA" if ":" in address else "A"
    block = f"{digits}\n{host}.\t0\tIN\t{kind}\t{address}\n".encode("ascii", "replace")
    fields = f"WARC-Target-URI: dns:{host}\r\nContent-Type: text/dns\r\n"
    packing.record(head_of("resource", packing.new_id(), date, fields, len(block)), block)
