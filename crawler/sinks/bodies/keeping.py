"""Each body becomes a file, and its record says which, before it goes to any other sink."""

# The os functions beside pathlib's: twice as fast, and they know O_EXCL and O_NOFOLLOW.
# ruff: noqa: PTH100, PTH103, PTH118, PTH120
from __future__ import annotations

import errno
import os
import stat
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from msgspec.structs import replace
from twisted.internet.defer import Deferred, fail

from crawler.errors import CodedError
from crawler.fetch.saving.accept import Accept
from crawler.fetch.saving.scratch import Scratch, discard
from crawler.fetch.saving.spools import Spools
from crawler.files import coded, open_plain, rename, sync, write
from crawler.models import Record, Response
from crawler.sinks import Sink
from crawler.sinks.bodies.ledger import Kept, Ledger
from crawler.sinks.bodies.names import Layout, by_name, by_url, free, is_kept, place
from crawler.sinks.bodies.tree import Folder, Tree

_LISTED: Final = "content-disposition"


class Bodies:
    """Writes the body of each record that has a `sha256` to a file in `directory`, and gives the record its
    `body_path`: that of the file, relative to the directory, with "/" between its parts.

    With the layout `hash` that is `ab/abcdef....html`: a body that is there already, from this run or another, is not
    written again. With `name` and `url` each record has a file of its own, and what was cut short has none, nor has an
    error page.

    A file appears under its name when it is whole: a kill leaves it in the scratch folder. What `accept` does not want
    is not kept. A body below 256 KiB, or one that was read, is written on the reactor's thread: about 60 us for a small
    one, less than its fetch costs. Larger ones are there already, in one of the `spools`, and get their name here.

    With `typed` a file ends as its type does (see names.by_url).

    With `durable` a file that is there already is compared, and `sync`, which may be called in another thread, brings
    all that was written until then to the disk, with its name.
    """

    def __init__(
        self,
        directory: str,
        *,
        layout: Layout = "hash",
        durable: bool = False,
        spools: Spools | None = None,
        accept: Accept | None = None,
        kept: Kept | None = None,
        typed: bool = False,
    ) -> None:
        self._typed = typed
        self._directory = directory
        self._layout = layout
        self._durable = durable
        self._spools = spools
        self._accept = accept
        self._folders: set[str] = set()
        self._unsynced: deque[str] = deque()
        self._at = ""  # what is worked on
        try:
            os.makedirs(directory, exist_ok=True)
            self._scratch = Scratch(directory) if spools is None else spools.scratch
            self._tree = Tree(directory)
            self._ledger = Ledger(None if layout == "hash" else kept)
            for path in self._ledger.lost:
                self._tree.remove(path)
        except OSError as error:
            if isinstance(error, FileExistsError):
                error.strerror = "it is a file, and --bodies wants a folder"
            raise coded(error, directory) from error

    def keep(self, record: Record, response: Response | None, sequence: int) -> Record:
        """The record with the path of its body, which is there now. Raises CodedError."""
        try:
            path = self._keep(record, response, sequence)
        except OSError as error:
            raise coded(error, os.path.join(self._directory, self._at)) from error
        if path is None:
            return record
        placed = replace(record, body_path=path)
        placed.__dict__.update(record.__dict__)  # what rides along
        return placed

    def close(self) -> None:
        """Nothing more comes."""
        self._ledger.close()
        if self._spools is None:
            self._scratch.close()

    def sync(self) -> None:
        """Have the disk keep what was written. Raises CodedError."""
        folders: dict[str, None] = {}
        path = self._directory
        try:
            self._ledger.sync()
            while self._unsynced:
                path = self._unsynced.popleft()
                sync(path)
                while len(path := os.path.dirname(path)) > len(self._directory):
                    folders[path] = None
            if folders:
                folders[self._directory] = None
            for path in folders:
                sync(path)
        except OSError as error:
            raise coded(error, path) from error

    def _keep(self, record: Record, response: Response | None, sequence: int) -> str | None:
        """The path of the body's file; None if there is none. Raises OSError."""
        path = None
        if response is not None and response.size and is_kept(record, self._layout, self._accept):
            if self._layout == "hash":
                path = place("", record.sha256 or "", record.content_type)
                self._put(path, response)
            else:
                path = self._give_name(record, response, sequence)
        if self._ledger.pending:
            before = self._ledger.pending.pop(sequence, path)
            if before is not None and before != path:
                self._tree.remove(before)
        if self._spools is not None:
            if path is not None and response is not None and response.spooled is not None:
                self._spools.moved(sequence)
            self._spools.forget(sequence)
        if path is not None:
            if response is not None and response.spooled is not None:
                record.in_file(os.path.abspath(os.path.join(self._directory, path)))
            if self._durable:
                self._unsynced.append(os.path.join(self._directory, path))
        return path

    # By hash.

    def _put(self, path: str, response: Response) -> None:
        self._at = path
        place = os.path.join(self._directory, path)
        if self._is_there(place, response):
            if response.spooled is not None:
                response.spooled.drop()
            return
        self._make_folder(os.path.dirname(place))
        self._move(response, place, None)

    def _is_there(self, path: str, response: Response) -> bool:
        """True for a file that was written whole: after a power cut it may be empty, or hold anything."""
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            return False
        if not stat.S_ISREG(found.st_mode):
            raise FileExistsError(errno.EEXIST, "is there already, but not as a file")
        if found.st_size != response.size:
            return False
        if not self._durable:
            return True
        if response.spooled is not None:
            return False  # to compare it takes longer than to have it
        with open_plain(path) as file:
            return file.read() == response.body

    def _make_folder(self, folder: str) -> None:
        if folder in self._folders:
            return
        try:
            os.mkdir(folder)  # noqa: PTH102
        except FileExistsError:
            if not stat.S_ISDIR(os.lstat(folder).st_mode):
                raise
        self._folders.add(folder)

    def _move(self, response: Response, name: str, folder: int | None) -> None:
        """Give the body its name, whole."""
        if response.spooled is not None:
            response.spooled.move(name, folder=folder)
            return
        fd, temporary = self._scratch.create()
        try:
            try:
                write(fd, response.body)
            finally:
                os.close(fd)
            rename(temporary, name, folder)
        except BaseException:
            discard(temporary)
            raise

    # By name.

    def _give_name(self, record: Record, response: Response, sequence: int) -> str:
        url = record.final_url or record.url
        if self._layout == "url":
            *wanted, name = by_url(url, record.content_type, typed=self._typed)
        else:
            wanted, name = [], by_name(url, response.headers.get(_LISTED, ()), record.content_type)
        self._at = "/".join((*wanted, name))
        folders = self._enterable(wanted)
        with self._tree.enter(folders, make=True) as folder:
            before = self._ledger.pending.get(sequence)
            begin = "".join(f"{part}/" for part in folders)
            name = free(name, lambda name: before != begin + name and self._is_taken(folder, begin, name))
            path = begin + name
            if path != before:
                self._ledger.assign(sequence, path)
            self._move(response, folder.at(name), folder.fd)
        return path

    def _is_taken(self, folder: Folder, begin: str, name: str) -> bool:
        """Whether a name is another record's, or that of something else.

        By URL a file from before this run is an older version of the same.
        """
        if self._ledger.is_taken(begin + name):
            return True
        mode = folder.mode(name)
        return mode is not None and not (self._layout == "url" and stat.S_ISREG(mode))

    def _enterable(self, wanted: Sequence[str]) -> list[str]:
        """The folders, with numbers where something else has the name."""
        folders: list[str] = []
        for part in wanted:
            with self._tree.enter(folders, make=True) as folder:
                folders.append(free(part, partial(_is_no_folder, folder)))
        return folders


class Placing:
    """The sink that gives `sink` each record when its body has its file."""

    def __init__(self, bodies: Bodies, sink: Sink) -> None:
        self._bodies = bodies
        self._sink = sink

    def write(self, record: Record, response: Response | None, sequence: int) -> Deferred[None] | None:
        try:
            record = self._bodies.keep(record, response, sequence)
        except CodedError as error:
            return fail(error)
        return self._sink.write(record, response, sequence)

    def flush(self) -> Deferred[None] | None:
        return self._sink.flush()

    def close(self) -> Deferred[None] | None:
        """The sink goes first: a job may still have to bring the bodies of its last records to the disk."""
        closing = self._sink.close()
        if closing is None:
            self._bodies.close()
        else:
            closing.addBoth(self._closed)
        return closing

    def _closed(self, result: Any) -> Any:
        self._bodies.close()
        return result


def _is_no_folder(folder: Folder, name: str) -> bool:
    """Whether there is something else."""
    mode = folder.mode(name)
    return mode is not None and not stat.S_ISDIR(mode)
