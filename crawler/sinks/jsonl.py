"""JSON Lines: one record, one line of valid UTF-8."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from twisted.internet.defer import Deferred

from crawler.models import Record, Response
from crawler.printable import json_bytes, well_formed
from crawler.sinks.fields import Selection
from crawler.sinks.writer import Lines

# JSON allows these raw, but str.splitlines() and some editors end a line there. Outside strings JSON is ASCII.
_LINE_ENDS: Final = ((b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"), (b"\xc2\x85", b"\\u0085"))


Encode = Callable[[Record, int], bytes]
"""Gives the lines that stand for a record; the number is that of its input."""


class RecordLine:
    """A record as a line: whole, or only the `fields` given, in that order.

    Raises ValueError for a field that does not exist.
    """

    def __init__(self, fields: Sequence[str] = ()) -> None:
        self._encode_into = msgspec.json.Encoder().encode_into
        self._line = bytearray()
        self._select = Selection(fields) if fields else None

    def __call__(self, record: Record, number: int) -> bytes:  # noqa: ARG002
        select = self._select
        value = record if select is None else dict(zip(select.names, select(record), strict=True))
        line = self._line
        try:
            self._encode_into(value, line)
        except UnicodeEncodeError:  # a lone surrogate somewhere
            self._encode_into(well_formed(msgspec.to_builtins(value)), line)
        line.append(0x0A)
        data = bytes(line)
        return _one_line(data) if b"\xe2" in data or b"\xc2" in data else data  # one byte: ten times as fast as two


def item_lines(record: Record, number: int) -> bytes:  # noqa: ARG001
    """What a page gave, as `lines_of_items` has it."""
    return lines_of_items(record.final_url or record.url, record.data)


def lines_of_items(url: str, data: object) -> bytes:
    """A line for each item, with the `_url` of its page. What is no object stands under `value`."""
    items = data if isinstance(data, list) else () if data is None else (data,)
    lines = [json_bytes({"_url": url, **(item if isinstance(item, dict) else {"value": item})}) for item in items]
    return _one_line(b"".join([line + b"\n" for line in lines]))


def _one_line(data: bytes) -> bytes:
    """What no program takes for the end of a line inside of one."""
    for raw, escaped in _LINE_ENDS:
        data = data.replace(raw, escaped)
    return data


class JsonLines:
    """Writes records to `writer`, as `encode` has it, or whole, or only the `fields` given, in that order.

    Raises ValueError for a field that does not exist.
    """

    def __init__(self, writer: Lines, *, fields: Sequence[str] = (), encode: Encode | None = None) -> None:
        self._writer = writer
        self._encode = encode or RecordLine(fields)

    def write(self, record: Record, response: Response | None, sequence: int) -> Deferred[None] | None:  # noqa: ARG002
        data = self._encode(record, sequence)
        return self._writer.write(data) if data else None

    def flush(self) -> Deferred[None] | None:
        return self._writer.flush()

    def close(self) -> Deferred[None] | None:
        return self._writer.close()
