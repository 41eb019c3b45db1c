"""The lines of a table's log: JSON Lines, each with the number of its input before all that it says. Pure.

`{"_id":7,"url":...}` is the first row of the input 7, `{"_id":7,"_row":1,...}` its second. What a page gives may have
keys of these names, too: so ours are read by where they stand.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

NUMBER: Final = "_id"
"""The number of an input."""
_HEAD: Final = re.compile(rb'\{"_id":([0-9]{1,19}),(?:"_row":([0-9]{1,19}),)?')

_decode: Final[Callable[[bytes], dict[str, Any]]] = msgspec.json.Decoder(dict[str, Any]).decode


class Row(NamedTuple):
    """Of the input `number`; it `begins` what there is of that, once more if it was there before."""

    number: int
    begins: bool
    values: dict[str, Any]


def numbered(lines: bytes, number: int) -> bytes:
    """The lines of objects that an input has, for the log."""
    first, *others = lines.splitlines(keepends=True)
    rows = [b'{"_id":%d,%b' % (number, first[1:])]
    rows += [b'{"_id":%d,"_row":%d,%b' % (number, row, line[1:]) for row, line in enumerate(others, 1)]
    return b"".join(rows)


def row_of(line: bytes) -> Row:
    """What a line of the log says. Raises ValueError, msgspec.DecodeError for what is none."""
    head = _HEAD.match(line)
    if head is None:
        raise ValueError(f"{line[:40]!r} is no line of a table's log")
    return Row(int(head[1]), head[2] is None, _decode(b"{" + line[head.end() :]))
