"""Header fields by name, whatever the case: names are not case-sensitive (RFC 9110 section 5.1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any


class Headers(Mapping[str, list[str]]):
    """The values of each header, by its name in any case. Iterating gives the names in lower case."""

    __slots__ = ("_values",)

    def __init__(self, values: dict[str, list[str]]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> list[str]:
        return self._values[name.lower()]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        return self._values == (other._values if isinstance(other, Headers) else other)

    __hash__ = None  # type: ignore[assignment]  # as that of a dict

    def __repr__(self) -> str:
        return repr(self._values)

    def __reduce__(self) -> tuple[Any, ...]:
        return Headers, (self._values,)

    def first(self, name: str) -> str | None:
        """The first value, or None where there is none."""
        values = self._values.get(name.lower())
        return values[0] if values else None


@lru_cache(maxsize=4096)
def _name(raw: bytes) -> str:
    return raw.decode("latin-1").lower()


def by_name(fields: Sequence[tuple[bytes, bytes]]) -> dict[str, list[str]]:
    """Raw header pairs as lower-case name -> values, latin-1 (RFC 9110 section 5.5)."""
    headers: dict[str, list[str]] = {}
    for raw, value in fields:
        name = _name(raw)
        if name in headers:
            headers[name].append(value.decode("latin-1"))
        else:
            headers[name] = [value.decode("latin-1")]
    return headers
