"""Columns of a table and what they hold: known for records, seen from the rows for what pages give. Pure.

A kind is the narrowest that holds all values of a column. What fits none (objects, lists of lists, text beside numbers)
is JSON in text: a table has one type for a column, the web has not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

from crawler.config.fields import parse_path
from crawler.printable import json_bytes
from crawler.sinks.fields import COLUMNS, PARTS

Kind = Literal[
    "flag", "integer", "number", "text", "time", "json", "flags", "integers", "numbers", "texts", "headers", "redirects"
]

_OF_RECORDS: Final[dict[str, Kind]] = {
    "warnings": "texts",
    "status": "integer",
    "headers": "headers",
    "size_download": "integer",
    "size_body": "integer",
    "truncated": "flag",
    "redirects": "redirects",
    "attempts": "integer",
    "reused": "flag",
    "started": "time",
    "links": "integer",
    "page": "json",
    "input_line": "integer",
    "input_depth": "integer",
    "error_transient": "flag",
}
LISTS: Final[dict[Kind, Kind]] = {"flag": "flags", "integer": "integers", "number": "numbers", "text": "texts"}
_SEEN: Final = frozenset(("data", "meta"))  # fields that hold whatever a page or a user gives
_INTEGERS: Final = range(-(1 << 63), 1 << 63)
_LARGEST: Final = 10**300  # of what becomes a float

MORE: Final = "_more"
MOST_COLUMNS: Final = 500
"""Pages may give any number of keys, and a table of a million columns is none. What is beyond stands in `_more`, as
JSON.
"""

Columns = dict[str, Kind]
"""The names of a table's columns, in their order, and their kinds."""


def of_records(fields: Sequence[str] = ()) -> tuple[Columns, tuple[str, ...]]:
    """The columns of a table of records, and which of them are only known when all rows were seen: paths into data."""
    columns: Columns = {}
    for name in [column for field in fields or COLUMNS for column in _flat(field)]:
        field, steps = parse_path(name)
        columns[name] = "json" if steps or field in _SEEN else _kind(field)
    return columns, tuple(name for name in columns if parse_path(name)[1])


def _flat(field: str) -> Iterable[str]:
    return [f"{field}_{part}" for part in PARTS[field]] if field in PARTS else [field]


def _kind(column: str) -> Kind:
    return "number" if column.startswith("time_") else _OF_RECORDS.get(column, "text")


def flattened(row: Mapping[str, Any]) -> dict[str, Any]:
    """A line of JSON Lines as the row of a table: `input` and `error` in their parts."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if name in PARTS:
            flat |= {f"{name}_{part}": None if value is None else value.get(part) for part in PARTS[name]}
        else:
            flat[name] = value
    return flat


class Seen:
    """Widens the kinds of columns by the values that it is shown. Of names beyond the `most` it sees only `more`."""

    def __init__(self, most: int | None = None) -> None:
        self.columns: dict[str, Kind | None] = {}
        self.more = False
        self._most = most

    def show(self, name: str, value: Any) -> None:
        """A value of this column; None says nothing but that there is such a column."""
        if self._most is not None and len(self.columns) >= self._most and name not in self.columns:
            self.more = True
            return
        before = self.columns.setdefault(name, None)
        if value is not None and before != "json":
            kind = kind_of(value)
            self.columns[name] = kind if before is None else _both(before, kind)

    def kind(self, name: str) -> Kind:
        return self.columns.get(name) or "text"


def kind_of(value: Any) -> Kind:
    match value:
        case bool():
            return "flag"
        case int():
            return "integer" if value in _INTEGERS else "number" if abs(value) < _LARGEST else "json"
        case float():
            return "number"
        case str():
            return "text"
        case list() | tuple() if any(item is not None for item in value):
            return LISTS.get(_widest({kind_of(item) for item in value if item is not None}), "json")
        case _:
            return "json"


def _both(one: Kind, other: Kind) -> Kind:
    if one == other:
        return one
    if {one, other} == {"integer", "number"}:
        return "number"
    if {one, other} == {"integers", "numbers"}:
        return "numbers"
    return "json"


def _widest(kinds: set[Kind]) -> Kind:
    widest = kinds.pop()
    for kind in kinds:
        widest = _both(widest, kind)
    return widest


def fitting(value: Any, kind: Kind) -> Any:
    """The value as a column of this kind takes it."""
    if value is None:
        return None
    if kind == "json":
        return json_bytes(value).decode()
    if kind == "number":
        return float(value)
    if kind == "numbers":
        return [None if item is None else float(item) for item in value]
    return value
