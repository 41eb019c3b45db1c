"""How a body that broke off goes on: what must be asked, and whether the answer is the rest of it. Pure.

RFC 9110 sections 8.8 (validators), 13.1.5 (If-Range), 14 (ranges) and 15.3.7 (206).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Final

import msgspec

Headers = Mapping[str, Sequence[str]]
"""Lower-case name -> values."""

_STRONG: Final = re.compile(r'"[\x21\x23-\x7e\x80-\xff]*"')
_CONTENT_RANGE: Final = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19}|\*)", re.IGNORECASE)
_OF_THE_PART: Final = frozenset({"content-length", "content-range", "transfer-encoding", "connection", "keep-alive"})
_DIGEST: Final = re.compile(r"([a-z0-9-]+)=:?([A-Za-z0-9+/]+={0,2}):?", re.IGNORECASE)
_PREFERRED: Final = ("sha-256", "sha-512", "md5")


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """The answer with which a body began: what has to be the same in that with the rest of it.

    `validator` is the value of If-Range, `total` the size of the whole if that was told; `digest` the algorithm and
    the value (in base64) that the server gave for it.
    """

    url: str
    validator: str
    total: int | None
    headers: dict[str, list[str]]
    digest: tuple[str, str] | None = None


def origin_of(url: str, status: int, headers: Mapping[str, list[str]], length: int | None) -> Origin | None:
    """Of the answer to a GET; None when its body cannot go on: coded, not the whole, or without a strong validator."""
    if status != 200 or any(value.strip().lower() != "identity" for value in headers.get("content-encoding", ())):
        return None
    if any(value.strip().lower() == "none" for value in headers.get("accept-ranges", ())):
        return None
    validator = strong_validator(headers)
    if validator is None:
        return None
    return Origin(url=url, validator=validator, total=length, headers=dict(headers), digest=digest_of(headers))


def strong_validator(headers: Headers) -> str | None:
    """A strong entity tag, else a date of the last change that is strong by RFC 9110 section 8.8.2.2."""
    tags = headers.get("etag", ())
    if tags:
        tag = tags[0].strip()
        return tag if len(tags) == 1 and _STRONG.fullmatch(tag) else None
    changed, sent = headers.get("last-modified", ()), headers.get("date", ())
    if len(changed) != 1 or len(sent) != 1:
        return None
    try:
        apart = (parsedate_to_datetime(sent[0]) - parsedate_to_datetime(changed[0])).total_seconds()
    except (TypeError, ValueError):  # no date; or one has a zone and the other none
        return None
    return changed[0].strip() if apart >= 1 else None


def fields(origin: Origin, size: int) -> tuple[tuple[str, str], ...]:
    """What asks for the rest of a body of which `size` bytes are there."""
    return (("Range", f"bytes={size}-"), ("If-Range", origin.validator))


def is_rest(origin: Origin, size: int, headers: Headers) -> bool:
    """Whether a 206 is the rest, from `size` on, of the same representation."""
    ranges = headers.get("content-range", ())
    found = _CONTENT_RANGE.fullmatch(ranges[0].strip()) if len(ranges) == 1 else None
    if found is None or int(found[1]) != size or int(found[2]) < size:
        return False
    if "*" not in found[3] and int(found[3]) != (origin.total or int(found[3])):
        return False
    if any(value.strip().lower() != "identity" for value in headers.get("content-encoding", ())):
        return False
    tags = headers.get("etag", ())
    if tags and origin.validator.startswith('"'):
        return [tag.strip() for tag in tags] == [origin.validator]
    changed = headers.get("last-modified", ())
    return bool(tags) or not changed or origin.validator.startswith('"') or changed[0].strip() == origin.validator


def total_of(headers: Headers) -> int | None:
    """The size of the whole, by the Content-Range of a 206."""
    found = _CONTENT_RANGE.fullmatch(headers.get("content-range", ("",))[0].strip())
    return None if found is None or found[3] == "*" else int(found[3])


def combined(origin: Origin, headers: Mapping[str, list[str]], size: int) -> dict[str, list[str]]:
    """The headers of the whole: it is to be taken for a complete 200 (RFC 9110 section 15.3.7.3)."""
    whole = {name: values for name, values in origin.headers.items() if name not in _OF_THE_PART}
    whole |= {name: values for name, values in headers.items() if name not in _OF_THE_PART}
    return whole | {"content-length": [str(size)]}


def digest_of(headers: Headers) -> tuple[str, str] | None:
    """What the whole hashes to by the server: Repr-Digest (RFC 9530), Digest (RFC 3230), Content-MD5 (RFC 1864)."""
    told: dict[str, str] = {}
    for name in ("digest", "repr-digest"):
        for value in headers.get(name, ()):
            told |= {algorithm.lower(): digest for algorithm, digest in _DIGEST.findall(value)}
    for value in headers.get("content-md5", ()):
        told.setdefault("md5", value.strip())
    return next(((name, told[name]) for name in _PREFERRED if name in told), None)


def agrees(digest: tuple[str, str] | None, found: bytes) -> bool:
    """Whether the whole hashes to what the server said, if it said anything that can be read."""
    if digest is None:
        return True
    try:
        wanted = base64.b64decode(digest[1], validate=True)
    except (binascii.Error, ValueError):
        return True
    return len(wanted) != len(found) or wanted == found
