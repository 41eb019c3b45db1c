"""The bodies of a run that grow on the disk: which of them do, and what waits for another try of its URL."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

import msgspec

from crawler.fetch.saving.resuming import Origin
from crawler.fetch.saving.scratch import Scratch, discard
from crawler.fetch.saving.spool import NOTE, Disk, Spool
from crawler.files import open_plain
from crawler.models import Request

IN_MEMORY: Final = 256 << 10  # bytes: what is not larger is written when its record is
READ: Final = 10 << 20  # bytes of what is read for links or data
_LONGEST_NOTE: Final = 1 << 20

Reads = Callable[[Request, Mapping[str, list[str]]], bool]
"""Whether an answer with such headers is read: then it is kept in memory as far as that is bounded."""


class _Note(msgspec.Struct):
    """What another process has to know of a file."""

    id: int
    origin: Origin


class Part(msgspec.Struct):
    """A body that is not whole: some of it is in the spool. `origin` is None when it cannot go on."""

    spool: Spool
    url: str
    origin: Origin | None


class Left(msgspec.Struct, frozen=True, array_like=True):
    """A Part on its way to another process: where it is, and what there is of it; `sha256` once it is closed."""

    path: str
    size: int
    sha256: str
    url: str
    origin: Origin | None


class Spools:
    """Gives each large body its spool, and has it as long as its URL has no record.

    With `pending`, which says of ids which are still to be fetched, what can go on is left in the scratch folder for
    another process, and what one has left is taken up, unless `take_up` is false: then it is removed. With `keeps` it
    is left as well, for who has such a `pending`.

    A worker takes the part of a URL that it is given with `take`, and gives back what there is then with `give`.
    """

    def __init__(
        self,
        scratch: Scratch,
        disk: Disk,
        *,
        reads: Reads | None = None,
        pending: Callable[[set[int]], set[int]] | None = None,
        take_up: bool = True,
        keeps: bool = False,
    ) -> None:
        self.scratch = scratch
        self._disk = disk
        self._reads = reads
        self._keeps = keeps or pending is not None
        self._pending = pending
        self._parts: dict[int, Part] = {}
        if pending is not None:
            self._load(pending, take_up=take_up)

    def is_read(self, request: Request, headers: Mapping[str, list[str]]) -> bool:
        return self._reads is not None and self._reads(request, headers)

    def begin(self, request: Request, origin: Origin | None) -> Spool:
        """A spool for the body of this request; one that it had before is dropped."""
        self.forget(request.id)
        also = None if origin is None or origin.digest is None else origin.digest[0]
        spool = Spool(self.scratch, self._disk, also=also)
        self._parts[request.id] = Part(spool, request.url.href, origin)
        if origin is not None and self._keeps:
            spool.note(msgspec.json.encode(_Note(request.id, origin)))
        return spool

    def part(self, request: Request) -> Part | None:
        """What there is of the body of this request, if that can go on."""
        part = self._parts.get(request.id)
        if part is None or part.origin is None or part.url != request.url.href or request.method != "GET":
            return None
        return part

    def forget(self, number: int) -> None:
        """Nothing of the body of this input is needed any more; what was moved to its name has its place."""
        part = self._parts.pop(number, None)
        if part is not None:
            part.spool.drop()

    def moved(self, number: int) -> None:
        """The file of this input has its name."""
        self._parts.pop(number, None)

    # For workers, and with them.

    @property
    def keeps(self) -> bool:
        """Whether something is left for another process."""
        return self._keeps

    def give(self, number: int) -> Left | None:
        """The part of this input, which is not ours from then on. Its file must be closed."""
        part = self._parts.pop(number, None)
        return None if part is None else _left(part)

    def take(self, number: int, left: Left) -> None:
        """A part that is to go on here."""
        also = None if left.origin is None or left.origin.digest is None else left.origin.digest[0]
        spool = Spool.found(self.scratch, self._disk, left.path, left.size, also=also)
        self._parts[number] = Part(spool, left.url, left.origin)

    def lend(self, request: Request) -> Left | None:
        """What there is of the body of this request, for a worker to go on with; it stays ours."""
        part = self.part(request)
        if part is None:
            return None
        try:
            there = _size(part.spool.path) >= part.spool.size
        except OSError:
            there = False
        if not there:  # a worker has begun anew, and ended before it could say so
            self.forget(request.id)
            return None
        return _left(part)

    def landed(self, number: int, left: Left | None) -> Spool | None:
        """What a worker has left of the body of this input: that, and nothing else, is what there is."""
        before = self._parts.pop(number, None)
        if before is not None and (left is None or before.spool.path != left.path):
            before.spool.drop()
        if left is None:
            return None
        spool = Spool.landed(self.scratch, self._disk, left.path, left.size, left.sha256)
        self._parts[number] = Part(spool, left.url, left.origin)
        return spool

    def sweep(self) -> None:
        """Remove what workers have left that were killed: what has no note, or is not to be fetched any more."""
        ours = {part.spool.path for part in self._parts.values()}
        with suppress(OSError):  # what cannot be removed stays: nothing depends on it
            paths = [path for path in self.scratch.leftovers() if not path.endswith(NOTE) and path not in ours]
            notes = {path: _note(path + NOTE, take_up=self._keeps) for path in paths}
            ids = {note.id for note in notes.values() if note is not None}
            wanted = self._pending(ids) if self._pending is not None and ids else set()
            for path, note in notes.items():
                if note is None or note.id not in wanted:
                    discard(path)
                    discard(path + NOTE)

    def close(self) -> None:
        """Leave what another process can go on with, and nothing else."""
        for number, part in list(self._parts.items()):
            if part.origin is None or not self._keeps:
                self.forget(number)
        self._disk.close()
        self.scratch.close()

    def _load(self, pending: Callable[[set[int]], set[int]], *, take_up: bool) -> None:
        """Take up what can go on, and remove the rest."""
        paths = list(self.scratch.leftovers())
        notes = {path: note for path in paths if (note := _note(path + NOTE, take_up=take_up)) is not None}
        wanted = pending({note.id for note in notes.values()})
        for path in paths:
            if path.endswith(NOTE):
                continue
            note = notes.get(path)
            size = _size(path)
            if note is None or note.id not in wanted or note.id in self._parts or not size:
                discard(path)
                discard(path + NOTE)
                continue
            origin = note.origin
            if origin.total is not None:
                size = min(size, origin.total - 1)  # of a whole there is no rest to ask for
            also = None if origin.digest is None else origin.digest[0]
            spool = Spool.found(self.scratch, self._disk, path, size, also=also)
            self._parts[note.id] = Part(spool, origin.url, origin)
        for path in paths:
            if path.endswith(NOTE) and path.removesuffix(NOTE) not in notes:
                discard(path)


def _left(part: Part) -> Left:
    spool = part.spool
    return Left(spool.path, spool.size, spool.sha256, part.url, part.origin)


def _note(path: str, *, take_up: bool) -> _Note | None:
    if not take_up:
        return None
    try:
        with open_plain(path) as file:
            return msgspec.json.decode(file.read(_LONGEST_NOTE) or b"", type=_Note)
    except (OSError, msgspec.MsgspecError):  # it has none, or was killed while that was written
        return None


def _size(path: str) -> int:
    found = os.lstat(path)
    return found.st_size if stat.S_ISREG(found.st_mode) else 0
