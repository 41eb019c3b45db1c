"""Whether a part has a record of each input of its shard, and of each one."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from itertools import pairwise
from typing import Final

import msgspec

from crawler.errors import CodedError
from crawler.models import Input

_LINES: Final = 1 << 40
_SHOWN: Final = 5


class _Mark(msgspec.Struct, frozen=True, array_like=True):
    """The beginning of a row."""

    source: int
    line: int | None


class _Line(msgspec.Struct, frozen=True):
    """Of a record what tells which input it is of."""

    input: Input


_mark: Final = msgspec.json.Decoder(_Mark).decode
_line: Final = msgspec.json.Decoder(_Line).decode


class Sum:
    """How many inputs, and a sum of 64 bits of what they are, whatever their order: of rows, or of records."""

    def __init__(self, sources: list[str]) -> None:
        self._numbers = {source: number for number, source in reversed([*enumerate(sources)])}
        self._same = [self._numbers[source] for source in sources]  # an input may be named twice
        self._sum = 0
        self.inputs = 0

    @property
    def digest(self) -> str:
        return f"{self._sum % (1 << 64):016x}"

    def add_rows(self, rows: Iterable[bytes]) -> None:
        for mark in map(_mark, rows):
            self._add(self._same[mark.source], mark.line)

    def add_record(self, record: bytes) -> None:
        """Raises CodedError for what is no record. That of a link is left out."""
        of = _input_of(record)
        if of.parent is None:
            self._add(self._numbers.get(of.source or "", -1), of.line)

    def _add(self, source: int, line: int | None) -> None:
        self.inputs += 1
        self._sum += int.from_bytes(blake2b(b"%d:%d" % (source, line or 0), digest_size=8).digest(), "big")


def _input_of(record: bytes) -> Input:
    try:
        return _line(record).input
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CodedError("write_error", f"a line is no record: {error}") from None


class Books:
    """The inputs of a shard, and how often each has a record: 9 bytes for each."""

    def __init__(self, sources: list[str], rows: Iterable[bytes]) -> None:
        self._sources = sources
        numbers: dict[str, int] = {}
        for number, source in enumerate(sources):
            numbers.setdefault(source, number)
        self._numbers: Mapping[str, int] = numbers
        same = [numbers[source] for source in sources]  # an input may be named twice
        marks = array("Q", (same[row.source] * _LINES + (row.line or 0) for row in map(_mark, rows)))
        self._marks = array("Q", sorted(marks)) if any(one > other for one, other in pairwise(marks)) else marks
        self._found = bytearray(len(self._marks))
        self.strangers = 0

    def __len__(self) -> int:
        return len(self._marks)

    def take(self, record: bytes) -> bool:
        """Count a record, a line of JSON; false for one of a link or of what is no input of this shard.

        Raises CodedError for what is no record.
        """
        of = _input_of(record)
        if of.parent is not None:  # a link, which is no input
            return False
        mark = self._numbers.get(of.source or "", -1) * _LINES + (of.line or 0)
        at = bisect_left(self._marks, mark) if mark >= 0 else len(self._marks)
        if at == len(self._marks) or self._marks[at] != mark:
            self.strangers += 1
            return False
        while self._found[at] and at + 1 < len(self._marks) and self._marks[at + 1] == mark:
            at += 1
        self._found[at] = min(self._found[at] + 1, 255)
        return True

    @property
    def missing(self) -> int:
        return self._found.count(0)

    @property
    def doubled(self) -> int:
        return len(self._found) - self._found.count(0) - self._found.count(1)

    def problems(self) -> Iterator[str]:
        """What is wrong, in words."""
        for count, what, least, most in (
            (self.missing, "no record", 0, 0),
            (self.doubled, "more than one record", 2, 255),
        ):
            if count:
                ats = (at for at, found in enumerate(self._found) if least <= found <= most)
                names = [self._name(self._marks[at]) for at, _ in zip(ats, range(_SHOWN), strict=False)]
                more = f" and {count - len(names):,} more" if count > len(names) else ""
                yield f"{what} of {', '.join(names)}{more}"
        if self.strangers:
            yield f"{self.strangers:,} {'record' if self.strangers == 1 else 'records'} of what is no input of it"

    def _name(self, mark: int) -> str:
        source, line = divmod(mark, _LINES)
        return f"{self._sources[source]}:{line}" if line else self._sources[source]
