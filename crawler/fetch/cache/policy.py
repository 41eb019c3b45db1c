"""What a private cache may keep, when it may use that without asking, and how it asks. Pure: RFC 9111, by section.

Of the user's own choice is `keep_for`: seconds for which everything counts as fresh, whatever its headers say; None is
the RFC alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from crawler.fetch.cache.fields import Headers, date_of, directives, http_date, listed, seconds

METHODS: Final = frozenset({"GET", "HEAD"})
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # RFC 9110 section 9.2.1
LONGEST_GUESS: Final = 86_400.0
"""Seconds: so long at most is fresh what does not say how long it is."""
_SHARE: Final = 0.1  # of the time since the last change (section 4.2.2)
NOT_MODIFIED: Final = 304
_BY_DEFAULT: Final = frozenset({200, 203, 204, 300, 301, 308, 404, 405, 410, 414})  # RFC 9110 section 15.1
_FOR_GOOD: Final = frozenset({301, 308})
_NEVER: Final = frozenset({206, 304, 401, 407, 408, 421, 425, 429})
"""Parts; and what is about this one request: the next is to see for itself."""
_UNDERSTOOD: Final = _BY_DEFAULT | {302, 303, 307}
_CONNECTION: Final = frozenset(
    {
        "connection", "keep-alive", "proxy-authenticate", "proxy-authentication-info", "proxy-authorization",
        "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
    }
)  # fmt: skip
_PRIVATE: Final = frozenset({"set-cookie", "set-cookie2"})
_OF_THE_CONTENT: Final = frozenset({"content-length", "content-encoding", "content-range"})
_WITH_304: Final = ("cache-control", "content-location", "date", "etag", "expires", "last-modified", "vary", "age")
_PASSED_BY: Final = ("range", "if-match", "if-unmodified-since", "if-range")
_CONDITIONS: Final = re.compile(rb"(?im)^(?:if-none-match|if-modified-since):[^\r\n]*\r\n")
_USERNAME: Final = re.compile(r"[ ,]username\*?=([^,]*)", re.IGNORECASE)
_TAG: Final = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*+"')


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that is kept, without its body.

    `requested` and `received` are seconds since the epoch, `size` and `sha256` of the decoded body. `vary` has what the
    request had in the fields that Vary names: a digest, or None where it had none. `salt` tells the other answers for
    the URL that are kept beside this one from those of an earlier time. A body that is `apart` has a file of its own.
    It came from this `address`, if that is known; where that had to be, or was, a `public` one it is for all URLs.
    """

    url: str
    method: str
    status: int
    http_version: str | None
    headers: dict[str, list[str]]
    warnings: list[str]
    requested: float
    received: float
    size: int
    sha256: str
    vary: dict[str, bytes | None]
    salt: bytes
    apart: bool
    public: bool
    address: str | None


class Asked:
    """A request as its head says it: fields by lower-case name, those of one name joined."""

    def __init__(self, head: bytes) -> None:
        self.head = head
        self.fields = fields = dict[str, str]()
        for line in head.decode("latin-1").split("\r\n")[1:-2]:
            name, _, value = line.partition(":")
            name, value = name.lower(), value.strip(" \t")
            fields[name] = f"{fields[name]}, {value}" if name in fields else value
        control = fields.get("cache-control")
        self.directives = {} if control is None else directives([control])
        if control is None and "no-cache" in fields.get("pragma", "").lower():  # section 5.4
            self.directives = {"no-cache": None}

    @property
    def passes_by(self) -> bool:
        """Whether the answer is for nobody else: a part, or what holds on a condition that no cache can look at."""
        return "no-store" in self.directives or any(name in self.fields for name in _PASSED_BY)

    @property
    def identity(self) -> str | None:
        """Who asks, by Authorization: of Digest the user alone, for the rest is another each time."""
        value = self.fields.get("authorization")
        if value is not None and value[:7].lower() == "digest ":
            return "digest " + "".join(_USERNAME.findall(value)[:1])
        return value

    @property
    def is_conditional(self) -> bool:
        return "if-none-match" in self.fields or "if-modified-since" in self.fields

    def asking(self, stored: Stored) -> bytes:
        """The head with the conditions of a stored answer in place of its own (section 4.3.1)."""
        plain = _CONDITIONS.sub(b"", self.head) if self.is_conditional else self.head
        lines = "".join(f"{name}: {value}\r\n" for name, value in validators(stored.headers))
        return plain.removesuffix(b"\r\n") + lines.encode("latin-1") + b"\r\n"


# Section 3.


def may_store(asked: Asked, status: int, headers: Headers, received: float, keep_for: float | None) -> bool:
    """Whether a whole answer to GET or HEAD may be kept, and would be of any use."""
    if status in _NEVER or not 200 <= status < 500 or asked.passes_by:
        return False
    if keep_for is not None:
        return True
    told = directives(headers.get("cache-control", ()))
    if "*" in listed(headers.get("vary", ())):
        return False
    if "must-understand" in told:
        if status not in _UNDERSTOOD:
            return False
    elif "no-store" in told:
        return False
    if not (
        status in _BY_DEFAULT or "expires" in headers or not told.keys().isdisjoint(("public", "private", "max-age"))
    ):
        return False
    return lifetime(status, headers, received) > 0 or bool(validators(headers))


def kept_headers(headers: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Those that are stored (section 3.1). Set-Cookie is not: a session lies on no disk, and nothing sets it anew."""
    left_out = {*_CONNECTION, *_PRIVATE, *listed(headers.get("connection", ()))}
    return {name: values for name, values in headers.items() if name not in left_out}


# Section 4.2.


def lifetime(status: int, headers: Headers, received: float) -> float:
    """For how many seconds an answer is fresh (section 4.2.1), or is taken to be (section 4.2.2).

    One without a date has that of when it was `received` (RFC 9110 section 6.6.1).
    """
    told = directives(headers.get("cache-control", ()))
    if "max-age" in told:
        return float(seconds(told["max-age"]) or 0)
    sent = date_of(headers, "date") or received
    if "expires" in headers:
        expires = date_of(headers, "expires")
        return 0.0 if expires is None else max(0.0, expires - sent)
    if status not in _BY_DEFAULT and "public" not in told:
        return 0.0
    if status in _FOR_GOOD:
        return LONGEST_GUESS
    changed = date_of(headers, "last-modified")
    return 0.0 if changed is None else max(0.0, min(LONGEST_GUESS, _SHARE * (sent - changed)))


def age(stored: Stored, now: float) -> float:
    """How many seconds ago its origin made or validated it (section 4.2.3)."""
    sent = date_of(stored.headers, "date")
    apparent = 0.0 if sent is None else max(0.0, stored.received - sent)
    told = stored.headers.get("age", ())
    first = seconds(told[0].partition(",")[0].strip(" \t")) if told else None
    corrected = (first or 0) + stored.received - stored.requested
    return max(apparent, corrected) + max(0.0, now - stored.received)


def is_usable(asked: Asked, stored: Stored, now: float, keep_for: float | None) -> bool:
    """Whether it may be used without asking (sections 4, 5.2.1 and 5.2.2)."""
    wanted = asked.directives
    if "no-cache" in wanted:
        return False
    told = directives(stored.headers.get("cache-control", ()))
    if keep_for is None:
        if "no-cache" in told or not _is_selectable(stored, told):
            return False
        old, lives = age(stored, now), lifetime(stored.status, stored.headers, stored.received)
    else:
        old, lives = max(0.0, now - stored.received), keep_for
    if "min-fresh" in wanted and lives - old < (seconds(wanted["min-fresh"]) or 0):
        return False
    stale_by = old - lives
    if "max-age" in wanted:
        stale_by = max(stale_by, old - (seconds(wanted["max-age"]) or 0))
    if stale_by < 0:
        return True
    if "max-stale" not in wanted or (keep_for is None and "must-revalidate" in told):
        return False
    most = wanted["max-stale"]
    return most is None or stale_by <= (seconds(most) or 0)


def may_validate(stored: Stored, keep_for: float | None) -> bool:
    """Whether the server can be asked if it is still good."""
    told = directives(stored.headers.get("cache-control", ()))
    return (keep_for is not None or _is_selectable(stored, told)) and bool(validators(stored.headers))


def _is_selectable(stored: Stored, told: Mapping[str, str | None]) -> bool:
    """Not what a run has kept that took everything (`keep_for`) and nobody else may."""
    if "no-store" in told and "must-understand" not in told:
        return False
    return "*" not in listed(stored.headers.get("vary", ()))


# Section 4.3.


def validators(headers: Headers) -> list[tuple[str, str]]:
    """The fields that ask whether an answer with such headers is still good."""
    fields = []
    tags, changed = headers.get("etag", ()), headers.get("last-modified", ())
    if tags and _TAG.fullmatch(tags[0].strip(" \t")):
        fields.append(("If-None-Match", tags[0].strip(" \t")))
    if changed and http_date(changed[0]) is not None:
        fields.append(("If-Modified-Since", changed[0].strip(" \t")))
    return fields


def is_of(stored: Stored, headers: Headers) -> bool:
    """Whether a 304 is about this answer (section 4.3.4)."""
    tags, ours = headers.get("etag", ()), stored.headers.get("etag", ())
    if tags and ours:
        return _opaque(tags[0]) == _opaque(ours[0])
    changed, before = headers.get("last-modified", ()), stored.headers.get("last-modified", ())
    return not (changed and before) or changed[0].strip(" \t") == before[0].strip(" \t")


def updated(stored: Stored, headers: Mapping[str, list[str]], *, requested: float, received: float) -> Stored:
    """It with the headers of a 304 (section 3.2)."""
    told = {name: values for name, values in kept_headers(headers).items() if name not in _OF_THE_CONTENT}
    # Without a date it has that of its arrival: the older one does not count any more.
    before = {name: values for name, values in stored.headers.items() if name not in {"age", "date"}}
    return msgspec.structs.replace(stored, headers=before | told, requested=requested, received=received)


def not_modified(asked: Asked, stored: Stored) -> bool:
    """Whether who asks has this answer already (section 4.3.2, RFC 9110 section 13.2.2)."""
    if stored.status != 200:
        return False
    tags = asked.fields.get("if-none-match")
    if tags is not None:
        if tags == "*":
            return True
        ours = stored.headers.get("etag", ())
        return any(_opaque(ours[0]) == _opaque(tag) for tag in _TAG.findall(tags)) if ours else False
    since = asked.fields.get("if-modified-since")
    date = None if since is None else http_date(since)
    changed = date_of(stored.headers, "last-modified")
    return date is not None and changed is not None and changed <= date


def of_304(headers: Headers) -> dict[str, list[str]]:
    """The headers of an answer that says that there is nothing new (RFC 9110 section 15.4.5)."""
    return {name: list(headers[name]) for name in _WITH_304 if name in headers}


def _opaque(tag: str) -> str:
    """For the weak comparison of RFC 9110 section 8.8.3.2."""
    return tag.strip(" \t").removeprefix("W/")


# Section 4.1.


def vary_names(headers: Headers) -> Sequence[str]:
    """The request fields that select an answer."""
    return sorted({name for name in listed(headers.get("vary", ())) if name != "*"})
