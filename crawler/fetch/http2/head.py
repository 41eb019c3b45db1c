"""Response heads of HTTP/2: what makes one malformed (RFC 9113 sections 8.1.1, 8.2 and 8.3.2). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, NamedTuple

from crawler.errors import CodedError
from crawler.fetch.http11.head import MAX_HEAD_LINES, check_lines, framing

_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+\Z")
_BAD_VALUE: Final = re.compile(rb"[\0\r\n]")
_HOP_BY_HOP: Final = frozenset((b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"))
_BODILESS: Final = frozenset((204, 304))


class Head(NamedTuple):
    """A head, interim or final; `fields` are the pairs in wire order, `size` their bytes. `length` is what was
    announced of a body; None where nothing was. `bodiless` says that there is none, whatever is announced.
    """

    status: int
    fields: list[tuple[bytes, bytes]]
    size: int
    length: int | None
    bodiless: bool
    warnings: list[str]


def read_head(pairs: Iterable[tuple[bytes, bytes]], method: str) -> Head:
    """Raises CodedError: http_bad_status, http_bad_header, http_bad_framing, headers_too_large, body_too_large."""
    fields: list[tuple[bytes, bytes]] = []
    warnings: list[str] = []
    code: bytes | None = None
    announced: list[bytes] = []
    size = 0
    for name, value in pairs:
        size += len(name) + len(value) + 4
        if name.startswith(b":"):
            if name != b":status" or code is not None or fields:
                raise CodedError("http_bad_header", f"the pseudo-header {name[:40]!r} is not one that may stand here")
            code = value
            continue
        if fault := _fault(name):
            raise CodedError("http_bad_header", fault)
        if value and (value[0] <= 32 or value[-1] <= 32):
            stripped = value.strip(b" \t")
            if stripped != value and "bad_header" not in warnings:
                warnings.append("bad_header")
            fields.append((name, stripped))
        else:
            fields.append((name, value))
        if name == b"content-length":
            announced.append(value)
    if _BAD_VALUE.search(b" ".join([value for _, value in fields])):
        name = next(name for name, value in fields if _BAD_VALUE.search(value))
        raise CodedError("http_bad_header", f"a NUL, CR or LF in the header {name[:80]!r}")
    if len(fields) > MAX_HEAD_LINES:
        check_lines(len(fields))
    status = _status(code)
    length = None
    if len(announced) == 1 and announced[0].isdigit() and len(announced[0]) < 18:
        length = int(announced[0])
    elif announced:
        length, _ = framing([pair for pair in fields if pair[0] == b"content-length"], warnings)
    if status > 599:
        warnings.append("unusual_status")
    return Head(status, fields, size, length, method == "HEAD" or status in _BODILESS, warnings)


def _status(code: bytes | None) -> int:
    if code is None:
        raise CodedError("http_bad_status", "the head has no :status")
    if len(code) != 3 or not code.isdigit() or code < b"100":
        raise CodedError("http_bad_status", f"the status is {code[:40]!r} (allowed: 100 to 999)")
    return int(code)


@lru_cache(maxsize=4096)
def _fault(name: bytes) -> str:
    """What is wrong with the name of a field; nothing mostly."""
    if name in _HOP_BY_HOP:
        return f"{name.decode()} is of a connection, and may not be a header in HTTP/2"
    if not _NAME.match(name):
        return f"the header name {name[:80]!r} is not one in HTTP/2"
    return ""
