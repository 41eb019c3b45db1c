"""Which input has which file, where names are not hashes: so that a job that goes on gives no file a second name.

A line is written before the file has its name. Whatever the instant of a kill: a file is that of a record, or its input
is fetched again and takes the same name, or the file is removed.
"""

from __future__ import annotations

import io
import os
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from itertools import islice
from typing import Final, NamedTuple

import msgspec

from crawler.files import open_plain, write
from crawler.frontier.seen import KEY_BYTES, Seen

_APPENDS: Final = os.O_WRONLY | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_LINE: Final = tuple[int, int, str]
_AT_ONCE: Final = 5_000  # lines


class Kept(NamedTuple):
    """What a job keeps for its bodies: the file of their names; the number of the batch that is gathered.

    `recorded` tells of inputs which have a record that counts (True), and which wait for one (False); of others the job
    knows nothing. `committed` is the last batch that counted when the run began.
    """

    path: str
    scratch: str
    batch: Callable[[], int]
    committed: int
    recorded: Callable[[set[int]], dict[int, bool]]

    def pending(self, numbers: set[int]) -> set[int]:
        """Those of these inputs that wait for their record."""
        return {number for number, is_recorded in self.recorded(numbers).items() if not is_recorded}


class Ledger:
    """Knows the names that are taken, in any case; `pending` are those of inputs that have no record of it.

    `lost` are files that no record names, nor ever will. Without `kept` nothing is written.
    """

    def __init__(self, kept: Kept | None = None) -> None:
        self.pending: dict[int, str] = {}
        self.lost: list[str] = []
        self._taken = Seen()
        self._kept = kept
        self._fd: int | None = None
        if kept is not None:
            self._load(kept)
            self._fd = os.open(kept.path, _APPENDS)

    def is_taken(self, path: str) -> bool:
        return _key(path) in self._taken

    def assign(self, number: int, path: str) -> None:
        """The file of this input will be there. Raises OSError."""
        self._taken.add(_key(path))
        if self._fd is not None and self._kept is not None:
            write(self._fd, msgspec.json.encode((self._kept.batch(), number, path)) + b"\n")

    def sync(self) -> None:
        """Have the disk keep it. Raises OSError."""
        if self._fd is not None:
            os.fsync(self._fd)

    def close(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def _load(self, kept: Kept) -> None:
        lost: set[str] = set()
        for batch, number, path, is_recorded in _lines(kept):
            before = self.pending.pop(number, path)
            if before != path:
                lost.add(before)
            if is_recorded is None:
                lost.add(path)
                continue
            self._taken.add(_key(path))
            if not is_recorded or batch > kept.committed:
                self.pending[number] = path
        if lost:  # another input may have got the same name later
            lost.difference_update(self.pending.values())
            for batch, _, path, is_recorded in _lines(kept):
                if is_recorded and batch <= kept.committed:
                    lost.discard(path)
        self.lost = sorted(lost)


def _lines(kept: Kept) -> Iterator[tuple[int, int, str, bool | None]]:
    """The lines of the file, each with what is known of its input."""
    decode = msgspec.json.Decoder(_LINE).decode
    with _whole_lines(kept.path) as lines:
        while texts := list(islice(lines, _AT_ONCE)):
            some = [decode(text) for text in texts]
            recorded = kept.recorded({number for _, number, _ in some})
            for batch, number, path in some:
                yield batch, number, path, recorded.get(number)


@contextmanager
def _whole_lines(path: str) -> Iterator[Iterator[bytes]]:
    """All lines but the first, which is the job's; what a kill has torn is cut off."""

    def whole() -> Iterator[bytes]:
        end = 0
        for number, line in enumerate(file):
            if not line.endswith(b"\n"):
                os.truncate(path, end)
                return
            end += len(line)
            if number:
                yield line

    with io.BufferedReader(open_plain(path)) as file:
        yield whole()


def _key(path: str) -> bytes:
    """The same for names that are the same to some file system."""
    return blake2b(unicodedata.normalize("NFC", path.casefold()).encode(), digest_size=KEY_BYTES).digest()
