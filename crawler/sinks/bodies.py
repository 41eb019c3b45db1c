"""Bodies as files: each distinct body once, named by its SHA-256, so that nothing from the network chooses a path."""

# The os functions beside pathlib's: twice as fast, and they know O_EXCL and O_NOFOLLOW.
# ruff: noqa: PTH102, PTH103, PTH120

from __future__ import annotations

import errno
import os
import stat
from collections import deque

from twisted.internet.defer import Deferred, fail

from crawler.files import coded, open_plain, put, sync
from crawler.models import Record, Response
from crawler.sinks.naming import place


class Bodies:
    """Writes the body of each record that has a `sha256` to `directory/ab/abcdef....html`.

    A file appears under its name when it is whole: a kill leaves at most a hidden temporary file. A body that is there
    already, from this run or another, is not written again.

    Written on the reactor's thread: about 60 us for a small body, less than its fetch costs. With `durable` a file that
    is there already is compared, and `sync`, which may be called in another thread, brings all that was written until
    then to the disk, with its name.
    """

    def __init__(self, directory: str, *, durable: bool = False) -> None:
        self._directory = directory
        self._durable = durable
        self._folders: set[str] = set()
        self._unsynced: deque[str] = deque()
        try:
            os.makedirs(directory, exist_ok=True)
        except OSError as error:
            raise coded(error, directory) from error

    def write(self, record: Record, response: Response | None, sequence: int) -> Deferred[None] | None:  # noqa: ARG002
        if response is None or not response.body or record.sha256 is None:
            return None
        path = place(self._directory, record.sha256, record.content_type)
        try:
            self._store(path, response.body)
        except OSError as error:
            return fail(coded(error, path))
        return None

    def sync(self) -> None:
        """Have the disk keep what was written. Raises CodedError."""
        folders: dict[str, None] = {}
        path = self._directory
        try:
            while self._unsynced:
                path = self._unsynced.popleft()
                sync(path)
                folders[os.path.dirname(path)] = None
            if folders:
                folders[self._directory] = None
            for path in folders:
                sync(path)
        except OSError as error:
            raise coded(error, path) from error

    def flush(self) -> None:
        """Nothing is buffered."""

    def close(self) -> None:
        """Nothing is open."""

    def _store(self, path: str, body: bytes) -> None:
        if not self._is_there(path, body):
            self._make_folder(os.path.dirname(path))
            put(path, body)
        if self._durable:
            self._unsynced.append(path)

    def _is_there(self, path: str, body: bytes) -> bool:
        """True for a file that was written whole: after a power cut it may be empty, or hold anything."""
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            return False
        if not stat.S_ISREG(found.st_mode):
            raise FileExistsError(errno.EEXIST, "is there already, but not as a file")
        if found.st_size != len(body):
            return False
        if not self._durable:
            return True
        with open_plain(path) as file:
            return file.read() == body

    def _make_folder(self, folder: str) -> None:
        if folder in self._folders:
            return
        try:
            os.mkdir(folder)
        except FileExistsError:
            if not stat.S_ISDIR(os.lstat(folder).st_mode):  # a link could lead out of the directory
                raise
        self._folders.add(folder)
