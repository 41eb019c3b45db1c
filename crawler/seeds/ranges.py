"""Inputs in pieces that can be read apart, also by other processes: byte ranges that begin and end with a line.

Lists and JSON Lines are cut, in UTF-8 as they are; all else (gzip, tables, sitemaps, workbooks, objects) is one piece.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, cast

import msgspec

from crawler.errors import CodedError
from crawler.objects.address import is_object
from crawler.seeds.formats import LINE_LIMIT, ROW_LIMIT, kind_of_lines, read_lines
from crawler.seeds.inputs import BadLine, Seed, read, structure
from crawler.seeds.seed import recordable, unreadable
from crawler.seeds.tables import Lines

_PIECE: Final = 1 << 20
_GZIP: Final = b"\x1f\x8b"


class Piece(msgspec.Struct, frozen=True):
    """Bytes `start` to `end` of an input, of which `line` is the first line; without a `kind` it is the whole input."""

    name: str
    kind: str | None = None
    start: int = 0
    end: int = 0
    line: int = 1


class Surveyed(msgspec.Struct, frozen=True):
    """An input: its `source` in records, its bytes, their SHA-256 (hex), and the pieces it is read in."""

    source: str
    size: int
    sha256: str
    pieces: list[Piece]


def survey(name: str, size: int, source: str | None = None) -> Surveyed:
    """Read an input once, and cut it into pieces of about `size` bytes. `source` is its name, if that is another.

    Raises OSError, ValueError, CodedError.
    """
    kind = _kind(name)
    pieces: list[Piece] = []
    digest = hashlib.sha256()
    at, lines = 0, 1
    start, line = 0, 1
    with _opened(name) as file:
        for octets in iter(partial(file.read, _PIECE), b""):
            digest.update(octets)
            looked = 0
            while kind is not None and (end := octets.find(b"\n", max(looked, start + size - 1 - at)) + 1):
                lines += octets.count(b"\n", looked, end)
                pieces.append(Piece(name, kind, start, at + end, line))
                looked, start, line = end, at + end, lines
            lines += octets.count(b"\n", looked)
            at += len(octets)
    if kind is None:
        pieces = [Piece(name)]
    elif at > start:
        pieces.append(Piece(name, kind, start, at, line))
    return Surveyed(recordable(source or name), at, digest.hexdigest(), pieces)


def read_piece(piece: Piece, *, column: str | None, scheme: str | None, keep: bool) -> Iterator[Seed | BadLine]:
    """The seeds of a piece: those of all pieces are those of the input."""
    if piece.kind is None:
        yield from read([piece.name], column=column, scheme=scheme, keep=keep)
        return
    lines = None
    source = recordable(piece.name)
    try:
        with Path(piece.name).open("rb") as file:
            file.seek(piece.start)
            limit = ROW_LIMIT if piece.kind else LINE_LIMIT
            lines = Lines(cast(io.BufferedReader, _Until(file, piece.end - piece.start)), limit)
            lines.number = piece.line - 1
            yield from read_lines(lines, piece.kind, source, column, scheme, keep=keep)
    except OSError as error:
        yield unreadable(source, piece.line if lines is None else lines.number + 1, error, rest=True)


def _kind(name: str) -> str | None:
    if is_object(name) or name.lower().endswith(".gz"):
        return None
    with Path(name).open("rb") as file:
        if file.peek(len(_GZIP)).startswith(_GZIP):
            return None
        try:
            return kind_of_lines(file, structure(name))
        except CodedError:  # it gets its record by being read
            return None


def _opened(name: str) -> BinaryIO:
    if is_object(name):
        from crawler.objects.reading import open_object

        return open_object(name)
    return Path(name).open("rb")


class _Until:
    """A file that ends after so many bytes, which is a line's end."""

    def __init__(self, file: io.BufferedReader, left: int) -> None:
        self._read = file.readline
        self._left = left

    def readline(self, limit: int = -1) -> bytes:
        if self._left <= 0:
            return b""
        line = self._read(limit)
        self._left -= len(line)
        return line
