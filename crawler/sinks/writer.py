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
from typing import Final, Protocol

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IDelayedCall

from crawler.errors import CodedError

BUFFER_SIZE: Final = 1 << 16
FLUSH_AFTER: Final = 0.25
MAX_WAITING: Final = 1 << 20
STDOUT: Final = 1
_FULL: Final = frozenset({errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)})
_O_BINARY: Final = getattr(os, "O_BINARY", 0)  # Windows would write CRLF otherwise


class WriterReactor(Protocol):
    """What a Writer needs of a reactor: IReactorTime.callLater and IReactorFromThreads.callFromThread."""

    def callLater(self, delay: float, function: Callable[..., object], /) -> IDelayedCall: ...

    def callFromThread(self, function: Callable[..., object], /, *args: object) -> None: ...


class Writer:
    """Writes to the file descriptor `fd`, which it owns from now on; `name` is what messages call it.

    A write is one whole record: after a full disk a regular file ends with a whole one. With `compress` each flush
    becomes one gzip member, so that what is in the file can always be decoded.

    The first error is final: every later write, flush and close fails with that same CodedError. `broken_pipe` says
    that it was only the reader going away.
    """

    def __init__(self, fd: int, name: str, reactor: WriterReactor, *, compress: bool = False) -> None:
        self.name = name
        self.error: CodedError | None = None
        self.broken_pipe = False
        self._fd = fd
        self._reactor = reactor
        self._compress = compress
        self._regular = stat.S_ISREG(os.fstat(fd).st_mode)
        self._buffer: list[bytes] = []
        self._buffered = 0
        self._timer: IDelayedCall | None = None
        self._accepted = 0  # bytes, counted before compression
        self._delivered = 0
        self._waiting: list[tuple[int, Deferred[None]]] = []  # fired when that much is delivered
        self._inbox: SimpleQueue[list[bytes] | None] | None = None
        self._closing = False
        self._closed = False

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
        """Flush, then close the descriptor."""
        if not self._closing:
            self._closing = True
            if self._compress and self._regular and not self._accepted:
                self._buffer.append(b"")  # an empty file is not a gzip file
            self._send()
            self._release()
        return self._until(self._accepted)

    def _until(self, delivered: int) -> Deferred[None] | None:
        if self.error is not None:
            return fail(self.error)
        if delivered <= self._delivered and (self._closed or not self._closing):
            return None
        waiter: Deferred[None] = Deferred()  # no canceller: the bytes are taken; who cancels only stops waiting
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
        while (pieces := inbox.get()) is not None:
            error = self._put(pieces)
            delivered += sum(map(len, pieces))
            self._reactor.callFromThread(self._settle, delivered, error)
            if error is not None:
                return

    def _settle(self, delivered: int, error: OSError | None) -> None:
        """Something was written, or failed to be: tell those who wait."""
        if error is None:
            self._delivered = delivered
        else:
            self._fail(error)
        self._release()
        waiting, self._waiting = self._waiting, []
        for target, waiter in waiting:
            if self.error is not None:
                waiter.errback(self.error)
            elif target <= self._delivered and (self._closed or not self._closing):
                waiter.callback(None)
            else:
                self._waiting.append((target, waiter))

    def _fail(self, error: OSError) -> None:
        if self.error is None:
            self.broken_pipe = isinstance(error, BrokenPipeError)
            self.error = coded(error, self.name)
            self._buffer.clear()

    def _release(self) -> None:
        """Close the descriptor once nothing more will be written to it."""
        if not self._closing or self._closed or (self.error is None and self._delivered < self._accepted):
            return
        self._closed = True
        if self._inbox is not None:
            self._inbox.put(None)
        try:
            os.close(self._fd)
        except OSError as error:  # network file systems may say only now that the disk is full
            self._fail(error)

    def _put(self, pieces: list[bytes]) -> OSError | None:
        """Write the pieces. Runs in the thread if there is one, so it touches nothing but the descriptor."""
        data = b"".join(pieces)
        if self._compress:
            data = gzip.compress(data, compresslevel=6, mtime=0)
            pieces = [data]
        view = memoryview(data)
        written = 0
        try:
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


def open_output(path: str, reactor: WriterReactor, *, overwrite: bool) -> Writer:
    """Open an output: a path, or "-" for standard output. A path that ends in .gz is compressed.

    Raises ValueError for what the user should have asked differently (the file exists, or is a directory), CodedError
    `disk_full` or `write_error` for what the operating system refuses.
    """
    try:
        if path == "-":
            return Writer(os.dup(STDOUT), "standard output", reactor)
        fd = _open(path, overwrite=overwrite)
    except FileExistsError:
        raise ValueError(f"{path} exists already: -O overwrites it") from None
    except IsADirectoryError:
        raise ValueError(f"{path} is a directory, not a file") from None
    except OSError as error:
        raise coded(error, path) from error
    return Writer(fd, path, reactor, compress=path.endswith(".gz"))


def _open(path: str, *, overwrite: bool) -> int:
    with contextlib.suppress(FileNotFoundError):
        mode = os.stat(path).st_mode  # noqa: PTH116
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(path)
        if not stat.S_ISREG(mode):  # /dev/null, a named pipe: there is nothing to overwrite
            return os.open(path, os.O_WRONLY | _O_BINARY)
    flags = os.O_WRONLY | os.O_CREAT | _O_BINARY | (os.O_TRUNC if overwrite else os.O_EXCL)
    return os.open(path, flags, 0o666)


def coded(error: OSError, name: str) -> CodedError:
    code = "disk_full" if error.errno in _FULL else "write_error"
    return CodedError(code, f"{name}: {error.strerror or error}")


def _wait_writable(fd: int) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(fd, selectors.EVENT_WRITE)
        selector.select()
