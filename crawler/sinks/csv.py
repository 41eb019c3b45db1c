"""CSV and TSV for spreadsheets: a header row, then one row per record (RFC 4180 quoting, UTF-8, lines end in LF).

Columns are the record's fields in their order. `input` and `error` become one column for each of their parts
(`error_code`); lists and objects are compact JSON; null is an empty cell.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from typing import Any, Final

from twisted.internet.defer import Deferred

from crawler.models import Record, Response
from crawler.printable import json_bytes, well_formed
from crawler.sinks.fields import COLUMNS, PARTS, Selection
from crawler.sinks.writer import Writer

# A spreadsheet takes a cell that begins like this for a formula; the full-width forms count in East Asian locales.
_FORMULA: Final = frozenset("=+-@\t\r\n＝＋－＠")  # noqa: RUF001


class Csv:
    """Writes records as rows to `writer`; `fields` picks columns (`error` stands for all its parts), in that order.

    Text that a spreadsheet would run as a formula gets a leading apostrophe, unless `raw`; numbers stay numbers.
    Without `header` there is no header row: when a table goes on that has one. Raises ValueError for a field that does
    not exist.
    """

    def __init__(
        self,
        writer: Writer,
        *,
        fields: Sequence[str] = (),
        delimiter: str = ",",
        raw: bool = False,
        header: bool = True,
    ) -> None:
        self._writer = writer
        self._raw = raw
        self._select = Selection([column for name in fields or COLUMNS for column in _columns(name)])
        # With CRLF as the end of line the csv module quotes a lone CR as well as a lone LF.
        self._row = csv.writer(_Echo(), delimiter=delimiter, lineterminator="\r\n").writerow
        if header:
            writer.write(self._line(self._select.names))

    def write(self, record: Record, response: Response | None, sequence: int) -> Deferred[None] | None:  # noqa: ARG002
        # Most cells are null, and most others numbers: only the rest is worth a call.
        cells = [value if value is None or type(value) is int else self._cell(value) for value in self._select(record)]
        return self._writer.write(self._line(cells))

    def flush(self) -> Deferred[None] | None:
        return self._writer.flush()

    def close(self) -> Deferred[None] | None:
        return self._writer.close()

    def _line(self, cells: Sequence[object]) -> bytes:
        row: Any = self._row(cells)  # csv gives back what _Echo.write returns
        text: str = row[:-2] + "\n"
        try:
            return text.encode()
        except UnicodeEncodeError:  # a lone surrogate somewhere
            return str(well_formed(text)).encode()

    def _cell(self, value: Any) -> object:
        if isinstance(value, str):
            return value if self._raw or value[:1] not in _FORMULA else f"'{value}"
        if isinstance(value, bool):
            return "true" if value else "false"
        if value is None or isinstance(value, (int, float)):
            return value
        return json_bytes(value).decode()


class _Echo:
    """The file that csv.writer asks for: a row comes back as the value of writerow."""

    @staticmethod
    def write(row: str) -> str:
        return row


def _columns(name: str) -> list[str]:
    return [f"{name}_{part}" for part in PARTS[name]] if name in PARTS else [name]
