"""What a node writes: parts, JSON Lines in a folder that all nodes reach, with one file beside each.

`PART.jsonl` has the records, `PART.shards` a byte for each: the shard whose lease the URL was under. A record counts
if it ends before the size that its own shard has committed of this part. So a part is never cut: where a commit was
refused, another part is begun. A part may be an object, too, which is put when it is whole: gathering.py.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from twisted.internet.defer import Deferred

from crawler.errors import CodedError
from crawler.files import coded, create, write
from crawler.objects.address import parse_address
from crawler.objects.bucket import Bucket
from crawler.run.work import Work

LINES: Final = ".jsonl"
MARKS: Final = ".shards"
_AT_ONCE: Final = 500  # records of an object


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


class ObjectParts:
    """Parts that are objects, put under an `address` that ends with a slash. Raises ValueError for what is no address.

    The marks are put first: where there are records, there is what tells whose they are.
    """

    def __init__(self, address: str, reactor: Any) -> None:
        self._address = parse_address(address, prefix=True)
        self._bucket = Bucket(self._address)
        self._reactor = reactor

    def put(self, name: str, lines: Sequence[Line]) -> Deferred[None]:
        """Fails with CodedError. Cancelling gives it up: there may then be an object that nobody knows."""
        return Work(self._reactor, lambda given_up: self._put(name, lines, given_up)).done

    def _put(self, name: str, lines: Sequence[Line], given_up: Callable[[], bool]) -> None:
        key = f"{self._address.key}{name}"
        try:
            self._bucket.put(f"{key}{MARKS}", [bytes([line.shard for line in lines])], fresh=False)
            self._bucket.put(f"{key}{LINES}", _pieces(lines, given_up), fresh=False)
        except OSError as error:
            raise coded(error, f"{self._address.url}{name}{LINES}") from error


def _pieces(lines: Sequence[Line], given_up: Callable[[], bool]) -> Iterator[bytes]:
    """The records, in pieces of some size."""
    for first in range(0, len(lines), _AT_ONCE):
        if given_up():
            raise CodedError("write_error", "the part is given up")
        yield b"".join([line.data for line in lines[first : first + _AT_ONCE]])
