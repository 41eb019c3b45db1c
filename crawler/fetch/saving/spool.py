"""One body that grows on the disk: written and hashed by a thread, at the pace of the disk."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from hashlib import md5, sha256, sha512
from queue import SimpleQueue
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred

from crawler.errors import CodedError
from crawler.fetch.saving.scratch import Scratch, discard
from crawler.files import coded, open_plain, put_new, rename, write

FULL: Final = 1 << 20  # bytes of a body that wait for the disk: then the sender waits as well
_FULL_OF_ALL: Final = 1 << 25
_LEAST: Final = 1 << 16
_PIECE: Final = 1 << 20
_AGAIN: Final = os.O_WRONLY | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
NOTE: Final = ".json"
"""So ends the name of what is noted beside a file."""
DIGESTS: Final[dict[str, Callable[[], Any]]] = {
    "sha-256": sha256,
    "sha-512": sha512,
    "md5": partial(md5, usedforsecurity=False),
}
"""The algorithms of Repr-Digest (RFC 9530), Digest (RFC 3230) and Content-MD5 that can be checked."""


class DiskReactor(Protocol):
    """What is needed of a reactor: IReactorFromThreads.callFromThread."""

    def callFromThread(self, function: Callable[..., object], /, *args: object) -> None: ...


class Disk:
    """The thread in which files are written: one for all, for there is one disk. It is there once it is needed."""

    def __init__(self, reactor: DiskReactor) -> None:
        self._reactor = reactor
        self.open_files = 0  # counted by what is done in the thread
        self._tasks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    @property
    def full(self) -> int:
        """So many bytes of a body may wait, that of all together there are not too many."""
        return max(_LEAST, min(FULL, _FULL_OF_ALL // max(1, self.open_files)))

    def do(self, task: Callable[[], None]) -> None:
        """Do this after all that was given before. It must not raise."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="bodies", daemon=True)
            self._thread.start()
        self._tasks.put(task)

    def tell(self, function: Callable[..., object], *arguments: object) -> None:
        """Have the reactor's thread call this."""
        self._reactor.callFromThread(function, *arguments)

    def close(self) -> None:
        """Do what was given, and end."""
        if self._thread is not None:
            self._tasks.put(None)
            self._thread.join()
            self._thread = None

    def _serve(self) -> None:
        while (task := self._tasks.get()) is not None:
            task()


class Spool:
    """A body in a file of the scratch folder. Its methods are for the reactor's thread, and never wait for the disk.

    `size` counts what was given to `write`; `path` and `sha256` are there once `finish` has fired. `also` is another
    digest that is computed. The first error is final: `on_error` hears of it, and nothing else is called then.
    """

    def __init__(self, scratch: Scratch, disk: Disk, *, also: str | None = None) -> None:
        self.size = 0
        self.path = ""
        self.sha256 = ""
        self.also = also
        self.digest = b""
        self.on_error: Callable[[CodedError], object] = lambda _: None
        self._scratch = scratch
        self._disk = disk
        self._sha256 = sha256()
        self._also = None if also in {None, "sha-256"} else DIGESTS[also]()
        self._fd: int | None = None
        self._lock = threading.Lock()  # guards what follows it
        self._pieces: list[bytes] = []
        self._waiting_size = 0
        self._queued = False
        self._failed = False
        self._room: Deferred[None] | None = None

    def write(self, data: bytes) -> None:
        """Take more of the body."""
        self.size += len(data)
        with self._lock:
            self._pieces.append(data)
            self._waiting_size += len(data)
            queued, self._queued = self._queued, True
        if not queued:
            self._disk.do(self._drain)

    def room(self) -> Deferred[None] | None:
        """None: go on. A Deferred fires when there is room again."""
        with self._lock:
            if self._room is None and self._waiting_size >= self._disk.full and not self._failed:
                self._room = Deferred()  # no canceller: what was taken is written
            return self._room

    def finish(self) -> Deferred[None]:
        """Fires when everything is written and hashed, and the file is closed; after an error never."""
        finished: Deferred[None] = Deferred()  # no canceller: `drop` gives it up
        self._disk.do(lambda: self._close(finished))
        return finished

    def drop(self) -> None:
        """The file is not wanted any more."""
        self.on_error = lambda _: None
        self._disk.do(self._remove)

    def note(self, text: bytes) -> None:
        """Keep this beside the file, for another process that goes on with it: in `path` + ".json"."""
        self._disk.do(lambda: self._put_note(text))

    @classmethod
    def found(cls, scratch: Scratch, disk: Disk, path: str, size: int, *, also: str | None) -> Spool:
        """What another process has left: `size` bytes in this file. They are hashed by the thread."""
        spool = cls(scratch, disk, also=also)
        spool.path, spool.size = path, size
        disk.do(lambda: spool._read(size))
        return spool

    @classmethod
    def landed(cls, scratch: Scratch, disk: Disk, path: str, size: int, digest: str) -> Spool:
        """What another process has closed, and hashed: it can be moved, or dropped."""
        spool = cls(scratch, disk)
        spool.path, spool.size, spool.sha256 = path, size, digest
        return spool

    def move(self, path: str, *, folder: int | None = None) -> None:
        """Give the whole file its name, which may be relative to an open folder. Raises OSError."""
        rename(self.path, path, folder)
        discard(self.path + NOTE)

    # The thread.

    def _drain(self) -> None:
        with self._lock:
            pieces, self._pieces = self._pieces, []
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        try:
            if not self._failed:
                write(self._open(), data)
                self._hash(data)
        except OSError as error:
            self._break(error)
        with self._lock:
            self._waiting_size -= len(data)
            more = self._queued = bool(self._pieces)
            room = None
            if self._waiting_size <= self._disk.full // 2:
                room, self._room = self._room, None
        if room is not None:
            self._disk.tell(room.callback, None)
        if more:
            self._disk.do(self._drain)

    def _open(self) -> int:
        if self._fd is None:
            if self.path:
                self._fd = os.open(self.path, _AGAIN)
            else:
                self._fd, self.path = self._scratch.create()
            self._disk.open_files += 1
        return self._fd

    def _shut(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            self._disk.open_files -= 1
            os.close(fd)

    def _hash(self, data: bytes) -> None:
        self._sha256.update(data)
        if self._also is not None:
            self._also.update(data)

    def _read(self, size: int) -> None:
        """Hash so much of what is there, and cut off what is beyond. More of the body may have come already."""
        try:
            left = size
            with open_plain(self.path) as file:
                while left and (data := file.read(min(left, _PIECE))):
                    self._hash(data)
                    left -= len(data)
            os.truncate(self.path, size - left)
        except OSError as error:
            self._break(error)

    def _close(self, finished: Deferred[None]) -> None:
        if self._queued:  # what was written last is behind us in the queue
            self._disk.do(lambda: self._close(finished))
            return
        try:
            self._shut()
        except OSError as error:  # network file systems may say only now that the disk is full
            self._break(error)
        if not self._failed:
            self.sha256 = self._sha256.hexdigest()
            self.digest = self._sha256.digest() if self._also is None else self._also.digest()
            self._disk.tell(finished.callback, None)

    def _remove(self) -> None:
        with self._lock:
            self._failed = True
        with suppress(OSError):  # it is not wanted
            self._shut()
        if self.path:
            discard(self.path)
            discard(self.path + NOTE)

    def _put_note(self, text: bytes) -> None:
        try:
            self._open()
            put_new(self.path + NOTE, [text], mode=0o600)
        except OSError as error:
            self._break(error)

    def _break(self, error: OSError) -> None:
        with self._lock:
            if self._failed:
                return
            self._failed = True
        name = self.path or self._scratch.path
        self._disk.tell(self._tell_error, coded(error, name))

    def _tell_error(self, error: CodedError) -> None:
        self.on_error(error)
