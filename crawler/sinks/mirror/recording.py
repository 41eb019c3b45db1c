"""Which URL has which file of a copy: a line for each record, in the index of the copy, behind those of earlier runs.

A line may be there twice, or be of a record that does not count after a kill: then that URL is fetched again, and the
later line counts.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from typing import Final

import msgspec
from twisted.internet.defer import Deferred, fail

from crawler.errors import CodedError
from crawler.files import bounded_lines, coded, open_plain, open_to_append, write
from crawler.models import Record, Response
from crawler.sinks.bodies.names import FOLDER
from crawler.sinks.bodies.tree import Tree

NAME: Final = "mirror"
INDEX: Final = "index.jsonl"
_FULL: Final = 1 << 16
_LONGEST_LINE: Final = 1 << 20


class Fetched(msgspec.Struct, frozen=True, array_like=True):
    """A URL that answered, those that led to it, and the file; without a `path` it has none, or had it before."""

    url: str
    via: tuple[str, ...]
    path: str | None = None
    sha256: str | None = None
    content_type: str | None = None
    charset: str | None = None


class Recording:
    """The sink that writes the index of the copy in `directory`, which is there. Raises CodedError."""

    def __init__(self, directory: str) -> None:
        self._path = os.path.join(directory, FOLDER, INDEX)  # noqa: PTH118
        self._lines: list[bytes] = []
        self._size = 0
        self._encode = msgspec.json.Encoder().encode
        try:
            with Tree(directory).enter([FOLDER], make=True) as folder:
                self._fd: int | None = open_to_append(folder.at(INDEX), dir_fd=folder.fd)
            write(self._fd, b"\n")  # what a kill has torn is a line of its own
        except OSError as error:
            raise coded(error, self._path) from error

    def write(self, record: Record, response: Response | None, sequence: int) -> Deferred[None] | None:  # noqa: ARG002
        url = record.final_url
        if url is None or (record.body_path is None and not record.redirects):
            return None
        via = tuple(hop.url for hop in record.redirects)
        line = self._encode(Fetched(url, via, record.body_path, record.sha256, record.content_type, record.charset))
        self._lines += (line, b"\n")
        self._size += len(line)
        if self._size > _FULL:
            try:
                self.flush()
            except CodedError as error:
                return fail(error)
        return None

    def flush(self) -> None:
        """Give the lines to the system: no kill takes them away. Raises CodedError."""
        lines, self._lines, self._size = self._lines, [], 0
        if lines and self._fd is not None:
            try:
                write(self._fd, b"".join(lines))
            except OSError as error:
                raise coded(error, self._path) from error

    def sync(self) -> None:
        """Have the disk keep what was flushed. Raises CodedError."""
        if self._fd is not None:
            try:
                os.fsync(self._fd)
            except OSError as error:
                raise coded(error, self._path) from error

    def close(self) -> None:
        try:
            self.flush()
        finally:
            fd, self._fd = self._fd, None
            if fd is not None:
                os.close(fd)


def read_index(directory: str) -> Iterator[Fetched]:
    """What the index of a copy says, in its order. Raises OSError."""
    decode = msgspec.json.Decoder(Fetched).decode
    with io.BufferedReader(open_plain(os.path.join(directory, FOLDER, INDEX)), _FULL) as file:  # noqa: PTH118
        for line in bounded_lines(file, _LONGEST_LINE):
            if line is None or line == b"\n":
                continue
            try:
                yield decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError):  # torn by a kill
                continue
