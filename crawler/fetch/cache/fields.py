"""The header fields that a cache reads: Cache-Control, numbers of seconds, dates. Pure.

What is malformed counts as not there, or where that would let an answer live longer, as the least that it may mean.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Mapping, Sequence
from typing import Final

Headers = Mapping[str, Sequence[str]]
"""Lower-case name -> values."""

_ITEM: Final = re.compile(r'(?:[^,"]++|"(?:[^"\\]++|\\.)*+"?+)++', re.DOTALL)  # possessive: linear, whatever comes
_DIRECTIVE: Final = re.compile(r'([!#$%&\'*+.^_`|~0-9A-Za-z-]++)(?:=("(?:[^"\\]++|\\.)*+"|[^"]*+))?', re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_DIGITS: Final = re.compile("[0-9]+")
MOST: Final = 1 << 31
"""Seconds: what is more counts as so many (RFC 9111 section 1.2.2)."""

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH: Final = f"({'|'.join(_MONTHS)})"
_TIME: Final = "([0-9]{2}):([0-9]{2}):([0-9]{2})"
_DATES: Final = (  # RFC 9110 section 5.6.7
    re.compile(rf"[a-z]{{3}}, ([0-9]{{2}}) {_MONTH} ([0-9]{{4}}) {_TIME} gmt", re.IGNORECASE),
    re.compile(rf"[a-z]{{6,9}}, ([0-9]{{2}})-{_MONTH}-([0-9]{{2}}) {_TIME} gmt", re.IGNORECASE),
)
_ASCTIME: Final = re.compile(rf"[a-z]{{3}} {_MONTH} ([ 0-9][0-9]) {_TIME} ([0-9]{{4}})", re.IGNORECASE)


def directives(values: Sequence[str]) -> dict[str, str | None]:
    """Those of Cache-Control by lower-case name, with what stands behind `=`, out of its quotes. The first one counts
    (RFC 9111 section 4.2.1); what is none is left out.
    """
    found: dict[str, str | None] = {}
    for value in values:
        for item in _ITEM.findall(value):
            match = _DIRECTIVE.fullmatch(item.strip(" \t"))
            if match is not None:
                name, argument = match[1].lower(), match[2]
                if argument is not None and argument[:1] == '"':
                    argument = _ESCAPED.sub(r"\1", argument[1:-1])
                found.setdefault(name, argument)
    return found


def seconds(text: str | None) -> int | None:
    """A number of seconds (RFC 9111 section 1.2.2), or None."""
    if text is None or not _DIGITS.fullmatch(text):
        return None
    return MOST if len(text.lstrip("0")) > 10 else min(MOST, int(text))


def http_date(text: str) -> float | None:
    """Seconds since the epoch of a date in one of the three forms of RFC 9110 section 5.6.7, or None."""
    text = text.strip(" \t")
    if len(text) > 40:
        return None
    for form in _DATES:
        if match := form.fullmatch(text):
            day, month, year, *time = match.groups()
            break
    else:
        match = _ASCTIME.fullmatch(text)
        if match is None:
            return None
        month, day, *time, year = match.groups()
    if len(year) == 2:
        year = f"{'19' if int(year) >= 70 else '20'}{year}"
    hour, minute, second = map(int, time)
    if int(year) < 1 or not 1 <= int(day) <= 31 or hour > 23 or minute > 59 or second > 60:
        return None
    in_the_year = _MONTHS.index(month.lower()) + 1
    return float(calendar.timegm((int(year), in_the_year, int(day), hour, minute, second)))


def date_of(headers: Headers, name: str) -> float | None:
    """The date in a field that there is once."""
    values = headers.get(name, ())
    return http_date(values[0]) if len(set(values)) == 1 else None


def listed(values: Sequence[str]) -> list[str]:
    """The names of a list of fields (Vary, Connection), in lower case."""
    return [name for value in values for part in value.split(",") if (name := part.strip(" \t").lower())]
