"""The fields that --fields may name, and how to get their values out of a record."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any, Final

import msgspec

from crawler.config.fields import parse_path, reach
from crawler.models import ErrorInfo, Input, Record

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
