"""CSV and TSV for spreadsheets: a header row, then one row per record (RFC 4180 quoting, UTF-8, lines end in LF).

Columns are the record's fields in their order. `input` and `error` become one column for each of their parts
(`error_code`); lists and objects are compact JSON; null is an empty cell. All text of records is in quotes, so that no
reader takes a part of it for a cell.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from typing import Any, Final

from msgspec.structs import replace
from twisted.internet.defer import Deferred

from crawler.models import Record, Response
from crawler.printable import json_bytes, well_formed
from crawler.sinks.fields import COLUMNS, PARTS, Selection
from crawler.sinks.writer import Writer

# A spreadsheet takes a cell that begins like this for a formula; the full-width forms count in East Asian locales.
_FORMULA: Final = frozenset("=+-@\t\r\n＝＋－＠")  # noqa: RUF001
# In many locales `;` parts cells. Then the quotes of all but the first cell count for nothing, and lines end rows.
_PARTS: Final = re.compile("[;\t\r\n]")
_PLAIN: Final = re.compile(r"\w[\w.\[\]-]*", re.ASCII)
_INNER: Final = re.compile("(?<=[;\t\r\n])[=+\\-@＝＋－＠]")  # noqa: RUF001


class Csv:
    """Writes records as rows to `writer`; `fields` picks columns (`error` stands for all its parts), in that order.

    Text that a spreadsheet would run as a formula gets an apostrophe before what it would run, unless `raw`; numbers
    stay numbers. `kept` are keys of the record's meta that have columns of their own, before all others; one that is
    called like another column has `meta_` before its name. Without `header` there is no header row: when a table goes
    on that has one. With `bom` the file begins with a byte order mark, by which Excel knows UTF-8. Raises ValueError
    for a field that does not exist.
    """

    def __init__(
        self,
        writer: Writer,
        *,
        fields: Sequence[str] = (),
        delimiter: str = ",",
        raw: bool = False,
        header: bool = True,
        bom: bool = False,
        kept: Sequence[str] = (),
    ) -> None:
        self._writer = writer
        self._cells = Cells(delimiter, raw=raw)
        self._select = Selection([column for name in fields or COLUMNS for column in _columns(name)])
        self._kept = tuple(kept)
        if header:
            names = [*_told_apart(self._kept, self._select.names), *self._select.names]
            writer.write((codecs.BOM_UTF8 if bom else b"") + self._cells.header(names))

    def write(self, record: Record, response: Response | None, sequence: int) -> Deferred[None] | None:  # noqa: ARG002
        return self._writer.write(self._cells.line(self._with_kept(record) if self._kept else self._select(record)))

    def _with_kept(self, record: Record) -> list[Any]:
        """The values of the columns that were kept, then those of the record, whose meta is what else there is."""
        meta = record.meta
        if isinstance(meta, dict):
            cells = [meta.get(name) for name in self._kept]
            rest = {name: value for name, value in meta.items() if name not in self._kept}
            record = replace(record, meta=rest or None)
        else:
            cells = [None] * len(self._kept)
        return [*cells, *self._select(record)]

    def flush(self) -> Deferred[None] | None:
        return self._writer.flush()

    def close(self) -> Deferred[None] | None:
        return self._writer.close()


class Cells:
    """Writes rows: text in quotes and, unless `raw`, guarded against spreadsheets that would run it."""

    def __init__(self, delimiter: str, *, raw: bool) -> None:
        self._join = delimiter.join
        self._raw = raw

    def header(self, names: Sequence[str]) -> bytes:
        return _encoded(self._join([name if _PLAIN.fullmatch(name) else self._cell(name) for name in names]))

    def line(self, values: Sequence[Any]) -> bytes:
        # Most cells are null: only the rest is worth a call.
        return _encoded(self._join(["" if value is None else self._cell(value) for value in values]))

    def _cell(self, value: Any) -> str:
        if isinstance(value, str):
            if not self._raw:
                if value[:1] in _FORMULA:
                    value = f"'{value}"
                if _PARTS.search(value):
                    value = _INNER.sub(r"'\g<0>", value)
            return _quoted(value)
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, (int, float)):
            return repr(value)
        text = json_bytes(value).decode()
        if ";" in text and not self._raw:  # it only stands in JSON's strings, where all may be escaped
            text = _INNER.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
        return _quoted(text)


def _told_apart(kept: Sequence[str], own: Sequence[str]) -> list[str]:
    """The names of columns that were kept: no two columns have the same, not even in another case."""
    records = {name.casefold() for name in own}
    taken = records | {name for name in kept if name.casefold() not in records}
    names = []
    for name in kept:
        other = name
        if name.casefold() in records:
            while other.casefold() in records or other in taken:
                other = f"meta_{other}"
            taken.add(other)
        names.append(other)
    return names


def _encoded(line: str) -> bytes:
    try:
        return f"{line}\n".encode()
    except UnicodeEncodeError:  # a lone surrogate somewhere
        return f"{well_formed(line)}\n".encode()


def _quoted(text: str) -> str:
    return f'"{text}"' if '"' not in text else f'"{text.replace(chr(34), chr(34) * 2)}"'


def _columns(name: str) -> list[str]:
    return [f"{name}_{part}" for part in PARTS[name]] if name in PARTS else [name]
