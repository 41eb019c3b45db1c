"""How long a host says to leave it alone: Retry-After and the RateLimit headers, standard and otherwise. Pure."""

from __future__ import annotations

import datetime as dt
import email.utils
import re
from collections.abc import Iterator
from typing import Final

from crawler.models import Response

LONGEST: Final = 366 * 86_400.0  # no host is believed to mean more than a year
_REMAINING_RESET: Final = (
    ("ratelimit-remaining", "ratelimit-reset"),  # draft-ietf-httpapi-ratelimit-headers-06
    ("x-ratelimit-remaining", "x-ratelimit-reset"),
    ("x-rate-limit-remaining", "x-rate-limit-reset"),
)
TELLING: Final = frozenset({"retry-after", "ratelimit", *(name for name, _ in _REMAINING_RESET)})
_NUMBER: Final = re.compile(r"[0-9]+(?:\.[0-9]*)?")
# In the X- forms there is no standard: besides numbers people send dates, and spans as Go writes them (1h2m3.5s, 6ms).
_UNITS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "\u00b5s": 1e-6, "ns": 1e-9}
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?)(ms|us|\u00b5s|ns|h|m|s)")
_SPAN: Final = re.compile(rf"(?:{_PART.pattern})+")
_ISO: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ].*")
_LONGEST_TEXT: Final = 100
_ZERO: Final = re.compile(r"\s*0+(?:\.0*)?\s*(?:[,;]|$)")
_QUOTED: Final = re.compile(r'"[^"]*"')
_EPOCH: Final = 1_000_000_000.0  # as a span it would be 31 years, so it is a time of day
_EPOCH_MS: Final = 100 * _EPOCH


def retry_after(value: str, wall_now: float) -> float | None:
    """Seconds to wait by RFC 9110 section 10.2.3: a number (fractions are seen in the wild) or a date.

    From 0 (a date in the past) to `LONGEST`; None when the value is neither. `wall_now` is seconds since the epoch.
    """
    value = value.strip()
    if _NUMBER.fullmatch(value):
        return min(float(value), LONGEST)
    return _until(value, wall_now)


def used_up(response: Response, wall_now: float) -> float | None:
    """Seconds until the quota that is used up begins anew; None when none is, or the host does not say when."""
    quotas = [(response.first(remaining), response.first(reset)) for remaining, reset in _REMAINING_RESET]
    for value in response.headers.get("ratelimit", ()):
        quotas.extend(_quotas(value))
    spans = [_span(reset, wall_now) for remaining, reset in quotas if remaining and reset and _ZERO.match(remaining)]
    return max((span for span in spans if span is not None), default=None)


def _quotas(value: str) -> Iterator[tuple[str | None, str | None]]:
    """(remaining, reset) of each policy in a RateLimit field: `"a";r=0;t=5, "b";r=9;t=60`, or as draft -07 had it."""
    value = _QUOTED.sub("", value[:1000])
    if "remaining" in value:  # limit=10, remaining=0, reset=5: one policy
        value = value.replace(",", ";")
    for policy in value.split(","):
        params = dict(param.strip().partition("=")[::2] for param in policy.split(";"))
        yield params.get("r", params.get("remaining")), params.get("t", params.get("reset"))


def _span(reset: str, wall_now: float) -> float | None:
    """Seconds until a reset: a span in the IETF's forms; in the X- forms as often a time of day in s or ms, a date, or
    a span with units. None for anything else: no part of it is taken for the whole.
    """
    text = re.split("[,;]", reset, maxsplit=1)[0].strip()  # of a list the first, as of what remains; no parameters
    if _NUMBER.fullmatch(text):
        number = float(text)
        if number >= _EPOCH_MS:
            number /= 1000
        if number >= _EPOCH:
            number = max(0.0, number - wall_now)
        return min(number, LONGEST)
    if len(text) <= _LONGEST_TEXT and _SPAN.fullmatch(text):
        return min(sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text)), LONGEST)
    return _until(reset.strip(), wall_now)


def _until(date: str, wall_now: float) -> float | None:
    """Seconds until a date: one of HTTP's (RFC 9110 section 5.6.7) or RFC 3339's; without a zone both are UTC."""
    if len(date) > _LONGEST_TEXT:
        return None
    try:
        read = dt.datetime.fromisoformat(date) if _ISO.fullmatch(date) else email.utils.parsedate_to_datetime(date)
        if read.tzinfo is None:
            read = read.replace(tzinfo=dt.UTC)
        return min(max(0.0, read.timestamp() - wall_now), LONGEST)
    except (ValueError, OverflowError):
        return None
