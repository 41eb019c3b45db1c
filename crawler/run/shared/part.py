"""What a node writes: parts, JSON Lines in a folder that all nodes reach, with one file beside each.

`PART.jsonl` has the records, `PART.shards` a byte for each: the shard whose lease the URL was under. A record counts
if it ends before the size that its own shard has committed of this part. So a part is never cut: where a commit was
refused, another part is begun.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from crawler.errors import CodedError
from crawler.files import coded, create, write

LINES: Final = ".jsonl"
MARKS: Final = ".shards"


class Line(NamedTuple):
    """A record, and the shard under whose lease its URL was."""

    shard: int
    data: bytes


class Part:
    """One part, named for the node. It is there once something is written; without a `folder` it has no records."""

    def __init__(self, folder: str | None, name: str, *, durable: bool = False) -> None:
        self.name = name
        self.size = 0
        self.committed: dict[int, tuple[int, int]] = {}  # by shard: the number of its last commit, the size then
        self.before: dict[int, tuple[str, int, int]] = {}  # by shard: the same of a part before this, with its name
        self._folder = None if folder is None else Path(folder)
        self._durable = durable
        self._fds: tuple[int, int] | None = None
        self._is_closed = False
        self._lock = threading.Lock()  # who closes it may not wait for the thread that writes

    def following(self, part: Part) -> Part:
        """This, which is begun in place of that one."""
        own = {shard: (part.name, *last) for shard, last in part.committed.items()}
        self.before = {**part.before, **own}
        return self

    @property
    def path(self) -> str:
        return "" if self._folder is None else str(self._folder / f"{self.name}{LINES}")

    def append(self, lines: Sequence[Line]) -> None:
        """Write records, whole. Raises CodedError, also where it is closed."""
        with self._lock:
            if self._is_closed:
                raise CodedError("write_error", f"{self.name} is closed")
            self._append(lines)

    def _append(self, lines: Sequence[Line]) -> None:
        if not lines or self._folder is None:
            return
        try:
            if self._fds is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._fds = create(self.path), create(str(self._folder / f"{self.name}{MARKS}"))
                if self._durable:
                    _sync(str(self._folder))
            records, beside = self._fds
            if not os.fstat(records).st_nlink:
                raise CodedError("write_error", f"{self.path}: somebody has deleted it while it was written")
            data = b"".join([line.data for line in lines])
            write(beside, bytes([line.shard for line in lines]))
            write(records, data)
            if self._durable:
                os.fsync(beside)
                os.fsync(records)
        except OSError as error:
            raise coded(error, self.path) from error
        self.size += len(data)

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            if self._fds is not None:
                for fd in self._fds:
                    os.close(fd)
                self._fds = None


def _sync(folder: str) -> None:
    from crawler.files import sync

    sync(folder)
