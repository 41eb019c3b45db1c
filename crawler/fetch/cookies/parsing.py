"""One Set-Cookie line: its name, its value, its attributes. RFC 6265bis section 5.6. Pure."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from crawler.fetch.cookies.dates import parse_date

MAX_LINE: Final = 5_000
"""Longer lines are no cookies; curl's limit, since CVE-2022-32205."""
MAX_PAIR: Final = 4_096
"""Bytes of name and value together."""
MAX_ATTRIBUTE: Final = 1_024
MAX_ATTRIBUTES: Final = 64
"""What comes after so many says nothing: thousands of them, in each line of an answer, would take long to read."""
MAX_AGE: Final = 400 * 86_400.0
"""Seconds that a cookie is kept at most, whatever it says (section 5.5)."""
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_SPACE: Final = " \t"
_SAME_SITE: Final = frozenset(("strict", "lax", "none"))
_PAST: Final = 0.0


class SetCookie(msgspec.Struct, kw_only=True, gc=False):
    """What a line says. `domain` is None where it says none, else in lower case without its leading dot; `path` is None
    where the default counts. `expires` is seconds since the epoch, or None for the end of the session.
    """

    name: str
    value: str
    domain: str | None = None
    path: str | None = None
    secure: bool = False
    http_only: bool = False
    expires: float | None = None
    same_site: str | None = None


def parse_set_cookie(line: str, now: float) -> SetCookie | None:
    """Read a Set-Cookie value in latin-1; None for what is no cookie. `now` is seconds since the epoch."""
    if len(line) > MAX_LINE or _CONTROL.search(line):
        return None
    pair, _, rest = line.partition(";")
    name, equals, value = pair.partition("=")
    if not equals:
        name, value = "", pair
    name, value = name.strip(_SPACE), value.strip(_SPACE)
    if not (name or value) or len(name) + len(value) > MAX_PAIR or "\t" in name or "\t" in value:
        return None  # a tab is what a file of cookies has between its columns; curl refuses it, too
    cookie = SetCookie(name=name, value=value)
    max_age = expires = None
    for attribute in rest.split(";", MAX_ATTRIBUTES)[:MAX_ATTRIBUTES] if rest else ():
        key, _, text = attribute.partition("=")
        key, text = key.strip(_SPACE).lower(), text.strip(_SPACE)
        if len(text) > MAX_ATTRIBUTE:
            continue
        if key == "expires":
            expires = _at_most(parse_date(text), now, expires)
        elif key == "max-age":
            max_age = _age(text, now, max_age)
        elif key in {"domain", "path"} and "\t" in text:
            return None  # as above; and no host or path of a URL has one
        elif key == "domain":
            cookie.domain = text.removeprefix(".").lower() or None
        elif key == "path":
            cookie.path = text if text.startswith("/") else None
        elif key == "secure":
            cookie.secure = True
        elif key == "httponly":
            cookie.http_only = True
        elif key == "samesite":
            cookie.same_site = text.lower() if text.lower() in _SAME_SITE else None
    cookie.expires = expires if max_age is None else max_age
    return cookie


def _at_most(at: float | None, now: float, before: float | None) -> float | None:
    return before if at is None else min(at, now + MAX_AGE)


def _age(text: str, now: float, before: float | None) -> float | None:
    """Section 5.6.2: what is no number says nothing."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        return before
    if text.startswith("-") or not digits.strip("0"):
        return _PAST
    return now + (MAX_AGE if len(digits) > 9 else min(float(digits), MAX_AGE))
