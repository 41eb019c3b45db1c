"""The fields that --fields and --template may name, and how to get their values out of a record."""

from __future__ import annotations

import re
from collections.abc import Sequence
from operator import attrgetter
from typing import Any, Final

import msgspec

from crawler.config.fields import parse_path, parse_template, reach
from crawler.models import ErrorInfo, Input, Record
from crawler.printable import json_bytes, printable

PARTS: Final[dict[str, tuple[str, ...]]] = {
    "input": Input.__struct_fields__,
    "error": ErrorInfo.__struct_fields__,
}
FIELDS: Final = {field.encode_name: field.name for field in msgspec.structs.fields(Record)}
"""The record's keys on the wire, in their order -> the names of the attributes."""

COLUMNS: Final = {
    f"{field}_{part}" if part else field: f"{attribute}.{part}" if part else attribute
    for field, attribute in FIELDS.items()
    for part in PARTS.get(field, ("",))
}
"""The same for a flat table: `input` and `error` fall into their parts (`error_code`)."""


class Selection:
    """Picks the named fields of a record, as a tuple in that order. `input`, `error` and their parts may all be named.

    A path reaches into a field (`data.tags[0]`); where there is nothing the value is None. Raises ValueError for a name
    that does not exist.
    """

    def __init__(self, names: Sequence[str]) -> None:
        known = FIELDS | COLUMNS
        parsed = {name: parse_path(name) for name in names}
        unknown = [name for name, (field, _) in parsed.items() if field not in known]
        if unknown:
            raise ValueError(f"unknown field {', '.join(map(repr, unknown))} (allowed: {', '.join(known)})")
        self.names = tuple(parsed)
        self._inside = [(place, steps) for place, (_, steps) in enumerate(parsed.values()) if steps]
        paths = [known[field] for field, _ in parsed.values()]
        # With a second path attrgetter always gives a tuple. Where `error` is null, its parts are null too.
        self._get = attrgetter(*paths, "url")
        self._get_without_error = attrgetter(*("error" if path.startswith("error.") else path for path in paths), "url")

    def __call__(self, record: Record) -> tuple[Any, ...]:
        get = self._get if record.error is not None else self._get_without_error
        values: tuple[Any, ...] = get(record)[:-1]
        if not self._inside:
            return values
        deeper = list(values)
        for place, steps in self._inside:
            value = values[place]
            deeper[place] = reach(value if isinstance(value, (dict, list)) else msgspec.to_builtins(value), steps)
        return tuple(deeper)


_WIDTH: Final = re.compile(r"(?P<align>.?[<>^])?(?:.?=)?[+\- ]?z?#?0?(?P<width>\d+)?", re.DOTALL)
_NOTHING: Final = "-"


class TemplateLine:
    """A record as the line that a template makes of it: one line, whatever its values hold.

    What is null is a hyphen, lists of text are joined by commas, other lists and objects are JSON. Raises ValueError
    for a template that is none, and a field that does not exist.
    """

    def __init__(self, template: str) -> None:
        pieces = list(parse_template(template))
        names = [piece.field for piece in pieces if piece.field is not None]
        self._select = Selection(names)
        self._end = "" if pieces[-1].field is None and pieces[-1].text.endswith("\n") else "\n"
        self._pieces = [
            (piece.text, None if piece.field is None else self._select.names.index(piece.field), piece.spec)
            for piece in pieces
        ]

    def __call__(self, record: Record, number: int) -> bytes:  # noqa: ARG002
        values = self._select(record)
        parts: list[str] = []
        for text, place, spec in self._pieces:
            parts.append(text)
            if place is not None:
                parts.append(_formatted(values[place], spec))
        parts.append(self._end)
        return "".join(parts).encode("utf-8", "backslashreplace")


def _formatted(value: Any, spec: str) -> str:
    """A value as text in which nothing acts on a terminal or ends a line."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return format(value, spec)
        except (ValueError, OverflowError):  # what is inside a field may be any number, or none
            return _padded(str(value), spec)
    if not isinstance(value, str):
        return _padded(_written(value), spec)
    text = printable(value)
    try:
        return format(text, spec)
    except ValueError:
        return _padded(text, spec)


def _written(value: Any) -> str:
    if value is None or value in ([], ()):
        return _NOTHING
    if isinstance(value, (list, tuple)) and all(isinstance(item, (str, int, float)) for item in value):
        return ", ".join(printable(item) if isinstance(item, str) else json_bytes(item).decode() for item in value)
    return printable(json_bytes(value).decode())


def _padded(text: str, spec: str) -> str:
    """Text that fills the same place as what the spec is for."""
    match = _WIDTH.match(spec)
    assert match is not None
    return format(text, f"{match['align'] or ''}{match['width'] or ''}")
