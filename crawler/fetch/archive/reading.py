"""The records of an archive, as any program has written it: WARC 1.0 and 1.1, plain or in members of gzip.

One that is broken costs itself and no other: `told` hears of it once, and the next one is looked for. What is read is
bounded, whatever a record says of itself.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, Final, cast

from crawler.files import open_plain

_READ: Final = 1 << 14
_UNPACKED: Final = 1 << 17
_HEAD: Final = 1 << 16
_GZIP: Final = b"\x1f\x8b\x08"
_BEGINS: Final = b"WARC/"
_ENDS: Final = (b"\r\n\r\n", b"\n\n")


WACZ: Final = ".wacz"
_SUFFIXES: Final = (".warc", ".warc.gz", WACZ)


class BrokenError(ValueError):
    """Here is no record, or no end of it."""


class Bytes:
    """What is in a file from `begin` on, unpacked. `member` is where the member of gzip begins that is read now."""

    def __init__(self, file: BinaryIO, begin: int = 0, end: int | None = None) -> None:
        self._file = file
        self._position = begin  # behind what is in _raw
        self._end = end
        self._raw = b""
        self._unpacker: Any = None
        self._data = b""
        self._at = 0
        self.member = begin
        self.fresh = True  # nothing of the member was taken
        file.seek(begin)
        self._raw = self._more()
        self.is_packed = self._raw.startswith(_GZIP[:2])

    def _more(self) -> bytes:
        size = _READ if self._end is None else min(_READ, self._end - self._position)
        data = self._file.read(size) if size > 0 else b""
        self._position += len(data)
        return data

    def _fill(self) -> bool:
        """Have more in `_data`, never beyond the end of a member while something of it is left. Whether there is."""
        if not self.is_packed:
            data, self._raw = self._raw or self._more(), b""
            self._keep(data)
            return bool(data)
        while True:
            if self._unpacker is None:
                if self._at < len(self._data):
                    return False  # what is there is taken first: the next member is another record's
                if len(self._raw) < len(_GZIP):
                    self._raw += self._more()
                if not self._raw:
                    return False
                if not self._raw.startswith(_GZIP):
                    raise BrokenError("is no gzip")
                self.member = self._position - len(self._raw)
                self.fresh = True
                self._unpacker = zlib.decompressobj(31)
            if not self._raw:
                self._raw = self._more()
                if not self._raw:
                    raise BrokenError("ends inside a record")
            try:
                data = self._unpacker.decompress(self._raw, _UNPACKED)
            except zlib.error as error:
                raise BrokenError(str(error)) from error
            if self._unpacker.eof:
                self._raw = self._unpacker.unused_data
                self._unpacker = None
            else:
                self._raw = self._unpacker.unconsumed_tail
            if data:
                self._keep(data)
                return True

    def _keep(self, data: bytes) -> None:
        self._data = self._data[self._at :] + data if self._at < len(self._data) else data
        self._at = 0

    @property
    def place(self) -> int:
        """Where in the file the next byte is; in one that is packed, where its member begins; -1 inside of that."""
        if self.is_packed:
            return self.member if self.fresh and self._at == 0 else -1
        return self._position - len(self._raw) - (len(self._data) - self._at)

    def begins(self) -> bool:
        """Whether there is another record. Empty lines before it are passed over."""
        while True:
            while self._at < len(self._data) and self._data[self._at] in b"\r\n":
                self._at += 1
            if self._at < len(self._data):
                return True
            if self._unpacker is not None:
                self.fresh = False
            if not self._fill():
                return False

    def head(self) -> bytes:
        """The lines up to the first empty one, which is passed over. Raises BrokenError."""
        looked = self._at
        while True:
            found = [(at, len(end)) for end in _ENDS if (at := self._data.find(end, looked)) >= 0]
            if found:
                at, size = min(found)
                lines = self._data[self._at : at]
                self._at = at + size
                self.fresh = False
                return lines
            if len(self._data) - self._at > _HEAD:
                raise BrokenError("has too long a head")
            size = len(self._data) - self._at
            if not self._fill_on():
                raise BrokenError("ends inside the head of a record")
            looked = max(self._at, self._at + size - 3)

    def _fill_on(self) -> bool:
        """More of the same member, however much of it is left."""
        if self.is_packed and self._unpacker is None and self._at < len(self._data):
            return False
        return self._fill()

    def read(self, size: int) -> bytes:
        """At most so many bytes, of which the first is there; none at the end of the member or the file."""
        if self._at >= len(self._data):
            if self.is_packed and self._unpacker is None and not self.fresh:
                return b""
            if not self._fill():
                return b""
        data = self._data[self._at : self._at + size]
        self._at += len(data)
        self.fresh = False
        return data

    def search(self) -> bool:
        """Go to where another record may begin, behind the beginning of this one. Whether there is such a place."""
        mark = _GZIP if self.is_packed else b"\n" + _BEGINS
        begin = self.member + 1 if self.is_packed else max(self._last, 0)
        self._file.seek(begin)
        self._position, held = begin, b""
        self._unpacker, self._data, self._at = None, b"", 0
        while data := self._more():
            held += data
            at = held.find(mark)
            if at >= 0:
                skipped = at if self.is_packed else at + 1
                self._raw = held[skipped:]
                self.fresh = True
                return True
            held = held[-len(mark) + 1 :]
        self._raw = b""
        return False

    _last = 0  # where the record began that is read, in a file that is not packed

    def mark(self) -> None:
        if not self.is_packed:
            self._last = self.place + 1


class Stored:
    """A record: its `kind` (WARC-Type), its `fields` by lower-case name, its `place` in the file (-1: none to be found
    again). `read` gives its block, piece by piece.
    """

    __slots__ = ("_left", "_source", "fields", "kind", "place")

    def __init__(self, source: Bytes, place: int, fields: dict[str, str], size: int | None) -> None:
        self.kind = fields.get("warc-type", "")
        self.fields = fields
        self.place = place
        self._source = source
        self._left = size

    @property
    def size(self) -> int | None:
        """Of what is left of the block; None where nothing says so."""
        return self._left

    @property
    def url(self) -> str:
        """In some archives of wget it stands in angle brackets."""
        return self.fields.get("warc-target-uri", "").strip("<>")

    def read(self, size: int) -> bytes:
        """More of the block, none at its end. Raises BrokenError where the file ends before."""
        if self._left is None:
            return self._source.read(size)
        if self._left <= 0:
            return b""
        data = self._source.read(min(size, self._left))
        if not data:
            raise BrokenError("ends inside a record")
        self._left -= len(data)
        return data

    def pass_over(self) -> None:
        while self.read(_UNPACKED):
            pass


def record_at(source: Bytes) -> Stored:
    """The record that begins here. Raises BrokenError."""
    place = source.place
    lines = source.head()
    if not lines.startswith(_BEGINS):
        raise BrokenError(f"has no record where one should begin, but {lines[:40]!r}")
    fields: dict[str, str] = {}
    name = ""
    for line in lines.decode("utf-8", "replace").splitlines()[1:]:
        if line[:1] in {" ", "\t"} and name:
            fields[name] += f" {line.strip()}"
            continue
        name, _, value = line.partition(":")
        name = name.strip().lower()
        fields[name] = value.strip()
    length = fields.get("content-length")
    if length is None and source.is_packed:
        return Stored(source, place, fields, None)
    if length is None or not (length.isascii() and length.isdigit()) or len(length) > 18:
        raise BrokenError(f"has a record without a length ({(length or 'none')[:40]})")
    return Stored(source, place, fields, int(length))


def records(
    file: BinaryIO, *, end: int | None = None, told: Callable[[str], object] = lambda _: None
) -> Iterator[Stored]:
    """All records of a file, in their order. The block of each is there until the next is asked for."""
    source = Bytes(file, 0, end)
    whole = True
    while True:
        try:
            if not source.begins():
                return
            source.mark()
            record = record_at(source)
            yield record
            record.pass_over()
            whole = True
        except BrokenError as error:
            if whole:
                told(str(error))
            whole = False
            if not source.search():
                return


def is_archive(name: str) -> bool:
    """Whether an input is one, by its name or by how it begins."""
    if "://" in name or not os.path.isfile(name):  # noqa: PTH113
        return False
    if name.lower().endswith(_SUFFIXES):
        return True
    try:
        with open_plain(name, links=True) as file:
            source = Bytes(cast(BinaryIO, file))
            return source.begins() and source.read(5) == b"WARC/"
    except (OSError, BrokenError):
        return False
