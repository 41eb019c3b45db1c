"""How much a cache holds, and what goes when that is too much: what was not used for the longest time."""

# The os functions beside pathlib's: a folder of 100,000 files is read in a tenth of the time.
# ruff: noqa: PTH108
from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Final, NamedTuple

BODY: Final = ".body"
"""So ends the name of the file of a body, behind that of its head."""
PART: Final = ".part"
"""So ends the name of a file that is not whole yet."""
_OURS: Final = re.compile(r"[0-9a-f]{38}(?:\.body)?|\.[0-9a-f]{16}\.part")
_BLOCK: Final = 4096
_ABANDONED: Final = 3600.0  # seconds after which nobody writes on at what has no name yet
_LEFT: Final = 7 / 8  # of the limit: room is made for more than one


class _Entry(NamedTuple):
    used: float
    size: int
    path: str


class Room:
    """Keeps `path` to `limit` bytes, as blocks of the disk count. For one thread.

    What other processes add is seen when the folder is read: once in a while, and before anything goes. Until then the
    limit may be passed by an eighth for each of them.
    """

    def __init__(self, path: str, limit: int) -> None:
        self._path = path
        self._limit = limit
        self._known: int | None = None
        self._added = 0

    def added(self, size: int) -> None:
        """Something is there that was not, of about this size. Raises OSError."""
        size = _blocks(size + _BLOCK // 2)
        self._added += size
        if self._known is not None:
            self._known += size
        if self._known is None or self._known > self._limit or self._added > self._limit // 8:
            self._known = self._tidy()
            self._added = 0

    def _tidy(self) -> int:
        """Remove what is too much, and what was left behind. Returns what is there."""
        entries: dict[str, _Entry] = {}
        total = 0
        for found in _files(self._path):
            total += found.size
            if found.path.endswith(PART):
                continue  # somebody writes on it
            name = found.path.removesuffix(BODY)
            before = entries.get(name, _Entry(0.0, 0, name))
            entries[name] = _Entry(max(before.used, found.used), before.size + found.size, name)
        if total <= self._limit:
            return total
        for entry in sorted(entries.values()):
            discard(entry.path)
            total -= entry.size
            if total <= self._limit * _LEFT:
                break
        return total


def discard(path: str) -> None:
    """The head goes, then what belongs to it. What another process has removed is gone as well."""
    for name in (path, path + BODY):
        with suppress(OSError):
            os.unlink(name)


def _files(path: str) -> Iterator[_Entry]:
    """Those of ours. One that is not whole and that nobody writes on is removed."""
    now = time.time()
    with os.scandir(path) as folders:
        for folder in folders:
            if len(folder.name) != 2 or not folder.is_dir(follow_symlinks=False):
                continue
            with os.scandir(folder.path) as files:
                for file in files:
                    if not _OURS.fullmatch(file.name):
                        continue
                    with suppress(OSError):  # another process has removed it
                        found = file.stat(follow_symlinks=False)
                        if not stat.S_ISREG(found.st_mode):
                            continue
                        if file.name.endswith(PART) and now - found.st_mtime > _ABANDONED:
                            os.unlink(file.path)
                            continue
                        yield _Entry(found.st_mtime, _blocks(found.st_size), file.path)


def _blocks(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK
