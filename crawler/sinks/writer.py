"""One output file or stream: buffered, with back-pressure, and with one truth about errors.

Regular files are written on the reactor's thread. Anything that may have a slow reader (pipe, terminal, socket) is
written by a daemon thread of its own, so that `| less` never stops the reactor.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import os
import selectors
import stat
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import IO, Final, NamedTuple, Protocol

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IDelayedCall

from crawler.errors import CodedError
from crawler.files import coded, write
from crawler.printable import printable_lines
from crawler.redaction import scrub

BUFFER_SIZE: Final = 1 << 16
FLUSH_AFTER: Final = 0.25
MAX_WAITING: Final = 1 << 20
STDOUT: Final = 1
_O_BINARY: Final = getattr(os, "O_BINARY", 0)  # Windows would write CRLF otherwise


class WriterReactor(Protocol):
    """What a Writer needs of a reactor: IReactorTime.callLater and IReactorFromThreads.callFromThread."""

    def callLater(self, delay: float, function: Callable[..., object], /) -> IDelayedCall: ...

    def callFromThread(self, function: Callable[..., object], /, *args: object) -> None: ...


class Writer:
    """Writes to the file descriptor `fd`, which it owns from now on; `name` is what messages call it.

    A write is one whole record: after a full disk a regular file ends with a whole one. With `compress` each flush
    becomes one gzip member, so that what is in the file can always be decoded. With `replaces` the first flush empties
    the file; `created` says that the file is there only since it was opened.

    While something is copied to the file, `whole` is how much of that counts.

    The first error is final: every later write, flush and close fails with that same CodedError.
    """

    def __init__(
        self,
        fd: int,
        name: str,
        reactor: WriterReactor,
        *,
        compress: bool = False,
        replaces: bool = False,
        created: bool = False,
    ) -> None:
        self.name = name
        self.error: CodedError | None = None
        self._fd = fd
        self._reactor = reactor
        self._compress = compress
        self._created = created
        self._regular = stat.S_ISREG(os.fstat(fd).st_mode)
        self._replaces = replaces and self._regular
        self._buffer: list[bytes] = []
        self._buffered = 0
        self._timer: IDelayedCall | None = None
        self._accepted = 0  # bytes, counted before compression
        self._delivered = 0
        self._waiting: list[tuple[int, Deferred[None]]] = []  # fired when that much is delivered
        self._inbox: SimpleQueue[list[bytes] | None] | None = None
        self._lock = threading.Lock()  # the reactor may be gone once the reader was given up
        self._given_up = False
        self._closing = False
        self._closed = False
        self.whole: int | None = None

    def write(self, data: bytes) -> Deferred[None] | None:
        """Take the bytes of one record. A Deferred means that more than 1 MiB waits for a slow reader."""
        if self._closing:
            raise ValueError(f"{self.name} is closed")
        if self.error is not None:
            return fail(self.error)
        self._buffer.append(data)
        self._buffered += len(data)
        self._accepted += len(data)
        if self._buffered >= BUFFER_SIZE:
            self._send()
        elif self._timer is None:
            self._timer = self._reactor.callLater(FLUSH_AFTER, self._send)
        return self._until(self._accepted - MAX_WAITING)

    def flush(self) -> Deferred[None] | None:
        """Bring everything to the operating system; not further (no fsync)."""
        self._send()
        return self._until(self._accepted)

    def close(self) -> Deferred[None] | None:
        """Flush, then close the descriptor. Cancelling gives up on a reader that takes nothing: the rest is lost."""
        if not self._closing:
            self._closing = True
            if self._regular and not self._accepted and (self._compress or self._replaces):
                self._buffer.append(b"")  # an empty file is not a gzip file, nor is an old one empty
            self._send()
            if self._inbox is not None:
                self._inbox.put(None)  # the thread closes what it writes to
            else:
                self._settle(self._delivered, self._close_descriptor(), closed=True)
        return self._until(self._accepted, self._give_up)

    # What is too large for memory is copied to a regular file by another thread; until it is, nothing is written.

    def begin_copy(self) -> None:
        """Bring to the file what was taken."""
        self._send()
        self.whole = os.fstat(self._fd).st_size

    def copy(self, source: IO[bytes]) -> OSError | None:
        """Append a file, or nothing of it. For the other thread."""
        try:
            if self._replaces:
                self._replaces = False
                os.ftruncate(self._fd, 0)
            while piece := source.read(MAX_WAITING):
                write(self._fd, piece)
        except OSError as error:
            with contextlib.suppress(OSError):  # as in _cut_torn
                assert self.whole is not None
                os.ftruncate(self._fd, self.whole)
                os.lseek(self._fd, self.whole, os.SEEK_SET)
            return error
        return None

    def end_copy(self, size: int, error: OSError | None) -> CodedError | None:
        """The copy has ended: so many bytes have come to the file, unless there is an error."""
        self.whole = None
        if error is None:
            self._accepted += size
        self._settle(self._accepted, error)
        return self.error

    def discard(self) -> None:
        """Undo the opening, in the turn of the reactor in which it was opened: no file is there, or the old one."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._buffer.clear()
        self._closing = self._closed = True
        os.close(self._fd)
        if self._created:
            with contextlib.suppress(OSError):  # whoever removed it meanwhile wanted the same
                os.unlink(self.name)  # noqa: PTH108

    def _until(
        self, delivered: int, canceller: Callable[[Deferred[None]], None] | None = None
    ) -> Deferred[None] | None:
        if self.error is not None:
            return fail(self.error)
        if delivered <= self._delivered and (self._closed or not self._closing):
            return None
        # But for close there is no canceller: the bytes are taken; who cancels only stops waiting.
        waiter: Deferred[None] = Deferred(canceller)
        self._waiting.append((delivered, waiter))
        return waiter

    def _send(self) -> None:
        """Give the buffer to the operating system or to the thread."""
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()
        if not self._buffer or self.error is not None:
            return
        pieces, self._buffer, self._buffered = self._buffer, [], 0
        if self._regular:
            self._settle(self._accepted, self._put(pieces))
            return
        if self._inbox is None:
            self._inbox = SimpleQueue()
            threading.Thread(target=self._serve, args=(self._inbox,), name=f"write {self.name}", daemon=True).start()
        self._inbox.put(pieces)

    def _serve(self, inbox: SimpleQueue[list[bytes] | None]) -> None:
        """The thread. It ends with the first error; what comes after that is never written."""
        delivered = 0
        error: OSError | None = None
        while error is None and not self._given_up and (pieces := inbox.get()) is not None:
            error = self._put(pieces)
            delivered += sum(map(len, pieces))
            if error is None:
                self._tell(delivered, None)
        # Never closed by the reactor's thread: its number could belong to another file before our write has ended.
        at_close = self._close_descriptor()
        self._tell(delivered, error or at_close, closed=True)

    def _tell(self, delivered: int, error: OSError | None, *, closed: bool = False) -> None:
        with self._lock:
            if not self._given_up:
                self._reactor.callFromThread(self._settle, delivered, error, closed)

    def _settle(self, delivered: int, error: OSError | None, closed: bool = False) -> None:
        """Something was written, or failed to be: tell those who wait."""
        self._closed = self._closed or closed
        if error is None:
            self._delivered = delivered
        elif self.error is None:
            self.error = coded(error, self.name)
            self._buffer.clear()
        waiting, self._waiting = self._waiting, []
        for target, waiter in waiting:
            if self.error is not None:
                waiter.errback(self.error)
            elif target <= self._delivered and (self._closed or not self._closing):
                waiter.callback(None)
            else:
                self._waiting.append((target, waiter))

    def _give_up(self, _: Deferred[None]) -> None:
        """Wait for the reader no more. The thread that hangs in its write closes the descriptor if that ever ends."""
        with self._lock:
            self._given_up = True
        error = TimeoutError(errno.ETIMEDOUT, "given up, because its reader takes nothing more")
        self._settle(self._delivered, error, closed=True)

    def _close_descriptor(self) -> OSError | None:
        try:
            os.close(self._fd)
        except OSError as error:  # network file systems may say only now that the disk is full
            return error
        return None

    def _put(self, pieces: list[bytes]) -> OSError | None:
        """Write the pieces. Runs in the thread if there is one, so it touches nothing but the descriptor."""
        data = b"".join(pieces)
        if self._compress:
            data = gzip.compress(data, compresslevel=6, mtime=0)
            pieces = [data]
        view = memoryview(data)
        written = 0
        try:
            if self._replaces:
                self._replaces = False
                os.ftruncate(self._fd, 0)
            while written < len(view):
                try:
                    written += os.write(self._fd, view[written:])
                except BlockingIOError:  # whoever shares the terminal or pipe with us made it non-blocking
                    _wait_writable(self._fd)
        except OSError as error:
            if self._regular:
                self._cut_torn(pieces, written)
            return error
        return None

    def _cut_torn(self, pieces: list[bytes], written: int) -> None:
        """Take back the part of a record that was written before the error."""
        torn = written
        for piece in pieces:
            if len(piece) > torn:
                break
            torn -= len(piece)
        # Should this fail as well, then the file stays torn; it is the first error that explains why.
        with contextlib.suppress(OSError):
            end = os.lseek(self._fd, 0, os.SEEK_CUR)
            # Others may write to the same file (`>out 2>&1`): only what is still the end of it is ours to cut.
            if torn and os.fstat(self._fd).st_size == end:
                os.ftruncate(self._fd, end - torn)
                os.lseek(self._fd, end - torn, os.SEEK_SET)


class TerminalWriter(Writer):
    """A Writer to a terminal: what would act on that, instead of being seen, is written as an escape."""

    def write(self, data: bytes) -> Deferred[None] | None:
        return super().write(_seen(data))


class Lines(Protocol):
    """Takes whole lines: a Writer, or the progress that shares the terminal with them."""

    def write(self, data: bytes) -> Deferred[None] | None: ...

    def flush(self) -> Deferred[None] | None: ...

    def close(self) -> Deferred[None] | None: ...


class SeenLines:
    """What a TerminalWriter does to lines, for `lines` that have a terminal for themselves: above a bar, say."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def write(self, data: bytes) -> Deferred[None] | None:
        return self._lines.write(_seen(data))

    def flush(self) -> Deferred[None] | None:
        return self._lines.flush()

    def close(self) -> Deferred[None] | None:
        return self._lines.close()


def _seen(data: bytes) -> bytes:
    return printable_lines(data.decode("utf-8", "replace")).encode()


class Output(NamedTuple):
    """An output that is open. `begun` is true when lines of an earlier run are in it (and so is a table's header):
    `size` bytes of them.
    """

    writer: Writer
    begun: bool
    size: int = 0


def open_output(path: str, reactor: WriterReactor, *, overwrite: bool) -> Writer:
    """Open an output: a path, or "-" for standard output. A path that ends in .gz is compressed.

    A file to overwrite is as it was until something is flushed. Raises ValueError for what the user should have asked
    differently (the file exists, or is a directory), CodedError `disk_full` or `write_error` for what the operating
    system refuses.
    """
    try:
        if path == "-":
            fd, created = os.dup(STDOUT), False
        else:
            fd, created = _open(path, overwrite=overwrite)
    except FileExistsError:
        raise ValueError(f"{scrub(path)} exists already: -O/--overwrite-output replaces it") from None
    except IsADirectoryError:
        raise ValueError(f"{scrub(path)} is a directory, not a file") from None
    except OSError as error:
        raise coded(error, path) from error
    kind = TerminalWriter if os.isatty(fd) else Writer
    if path == "-":
        return kind(fd, "standard output", reactor)
    return kind(fd, path, reactor, compress=is_packed(path), replaces=overwrite, created=created)


def is_packed(path: str) -> bool:
    """Whether what is written to this path is to be compressed: an archive is so by itself, record by record."""
    return path.lower().endswith(".gz") and not path.lower().endswith(".warc.gz")


def _open(path: str, *, overwrite: bool) -> tuple[int, bool]:
    """The descriptor, and whether the file is new."""
    with contextlib.suppress(FileNotFoundError):
        mode = os.stat(path).st_mode  # noqa: PTH116
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(path)
        if not stat.S_ISREG(mode):  # /dev/null, a named pipe: there is nothing to overwrite
            return os.open(path, os.O_WRONLY | _O_BINARY), False
    flags = os.O_WRONLY | os.O_CREAT | _O_BINARY
    try:
        return os.open(path, flags | os.O_EXCL, 0o666), True
    except FileExistsError:
        if not overwrite:
            raise
        return os.open(path, flags, 0o666), False


def _wait_writable(fd: int) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(fd, selectors.EVENT_WRITE)
        selector.select()
