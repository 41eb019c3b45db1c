"""Response heads that httptools refuses, read again the tolerant way, and the rules of message framing. Pure.

httptools (llhttp) is fast and strict; the web is neither. When it gives up inside a head, `mend` reads the same bytes as
RFC 9112 and the browsers would, and hands back a clean head for a fresh parser, or says with a code why there is none.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from crawler.errors import CodedError

MAX_HEAD_BYTES: Final = 256 * 1024
MAX_HEAD_LINES: Final = 1000
MAX_INTERIM: Final = 16

_STATUS_LINE: Final = re.compile(rb"HTTP/(\d+)\.(\d+)(?: +(\S*)(?: ([^\r\n]*))?)? *\Z")
_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_END: Final = re.compile(rb"\r?\n\r?\n")
_DIGITS: Final = re.compile(rb"[0-9]+\Z")
_FRAMING: Final = frozenset((b"content-length", b"transfer-encoding"))


class Head(NamedTuple):
    """A mended head: `clean` bytes that httptools accepts, `used` bytes of the input that it stands for."""

    clean: bytes
    used: int
    version: str
    warnings: list[str]
    close: bool


def mend(data: bytes, *, max_size: int | None = None) -> Head | None:
    """Read the final head at the start of `data`, past interim answers; None when it has not ended yet.

    `max_size` bounds Content-Length. Raises CodedError: http_not_http, http_bad_status, http_bad_header,
    http_bad_framing, headers_too_large, http_too_many_1xx, http_protocol, body_too_large.
    """
    position = 0
    interim = 0
    while True:
        if data.startswith(b"\r\n", position):  # RFC 9112 section 2.2: an empty line before the status line is ignored
            position += 2
        start = data[position : position + 5]
        if not b"HTTP/".startswith(start[:5]):
            raise CodedError("http_not_http", f"the answer starts with {data[position : position + 40]!r}")
        end = _END.search(data, position)
        if end is None:
            line_end = data.find(b"\n", position)
            if line_end >= 0:
                _status(data[position:line_end].rstrip(b"\r"))
            return None
        lines = re.split(rb"\r?\n", data[position : end.start()])
        version, status, reason = _status(lines[0])
        if status >= 200:
            fields, warnings, close = _fields(lines[1:], max_size)
            if status >= 600:
                warnings.append("unusual_status")
            # llhttp knows 1.0 and 1.1 only; later minor versions promise to be read as 1.1 (RFC 9110 section 2.5).
            wire = b"1.0" if version == "1.0" else b"1.1"
            clean = b"HTTP/%b %d %b\r\n%b\r\n" % (wire, status, reason, b"".join(b"%b: %b\r\n" % f for f in fields))
            return Head(clean, end.end(), version, warnings, close)
        if status == 101:
            raise CodedError("http_protocol", "the server switched protocols (101) unasked")
        interim += 1
        if interim > MAX_INTERIM:
            raise CodedError("http_too_many_1xx")
        position = end.end()


def _status(line: bytes) -> tuple[str, int, bytes]:
    match = _STATUS_LINE.match(line)
    if match is None or match[1] != b"1" or len(match[2]) != 1:
        raise CodedError("http_not_http", f"not an HTTP/1.x status line: {line[:80]!r}")
    code = match[3] or b""
    if len(code) != 3 or not code.isdigit() or code < b"100":
        raise CodedError("http_bad_status", f"the status is {code[:40]!r} (allowed: 100 to 999)")
    reason = bytes(c if c >= 32 and c != 127 else 32 for c in match[4] or b"")
    return f"1.{int(match[2])}", int(code), reason


def _fields(lines: list[bytes], max_size: int | None) -> tuple[list[tuple[bytes, bytes]], list[str], bool]:
    """The header fields of the lines, without the malformed ones; and whether the connection must close after."""
    if len(lines) > MAX_HEAD_LINES:
        raise CodedError("headers_too_large", f"{len(lines)} header lines (allowed: {MAX_HEAD_LINES})")
    fields: list[tuple[bytes, bytes]] = []
    bad = False
    for line in lines:
        if line[:1] in (b" ", b"\t"):
            if not fields:
                bad = True
                continue
            name, value = fields.pop()  # obs-fold: one field over several lines (RFC 9112 section 5.2)
            value = value + b" " + line.strip(b" \t")
        else:
            name, colon, value = line.partition(b":")
            value = value.strip(b" \t")
            if not colon or not _TOKEN.match(name):
                if name.strip(b" \t").lower() in _FRAMING and colon:
                    raise CodedError("http_bad_framing", f"white space around the name in {line[:80]!r}")
                bad = True
                continue
        if b"\0" in value or b"\r" in value:
            raise CodedError("http_bad_header", f"a NUL or a bare CR in the header {name[:80]!r}")
        if any(c < 32 and c != 9 or c == 127 for c in value):
            bad = True
            value = bytes(c if c >= 32 and c != 127 else 32 for c in value)
        fields.append((name, value))
    warnings = ["bad_header"] if bad else []
    close = bad
    chunked = _transfer_encoding([v for n, v in fields if n.lower() == b"transfer-encoding"])
    lengths = {v for n, field in fields if n.lower() == b"content-length" for v in _split(field)}
    fields = [f for f in fields if f[0].lower() not in _FRAMING]
    if chunked:
        if lengths:  # RFC 9112 section 6.3: Transfer-Encoding overrides; it smells of smuggling, so close after
            warnings.append("framing_conflict")
            close = True
        fields.append((b"Transfer-Encoding", b"chunked"))
    elif lengths:
        fields.append((b"Content-Length", b"%d" % _length(lengths, max_size)))
    return fields, warnings, close


def _split(value: bytes) -> list[bytes]:
    return [part.strip(b" \t") for part in value.split(b",")]


def _transfer_encoding(values: list[bytes]) -> bool:
    """Whether the body is chunked. Only `chunked` and the obsolete `identity` are understood (RFC 9112 section 6.1)."""
    codings = [c.lower() for value in values for c in _split(value) if c and c.lower() != b"identity"]
    if not codings:
        return False
    if codings != [b"chunked"]:
        raise CodedError("http_bad_framing", f"Transfer-Encoding {b', '.join(codings)[:80]!r} (allowed: chunked)")
    return True


def _length(lengths: set[bytes], max_size: int | None) -> int:
    if len(lengths) > 1 or not _DIGITS.match(next(iter(lengths))):
        raise CodedError(
            "http_bad_framing", f"Content-Length {b', '.join(sorted(lengths))[:80]!r} (allowed: one number)"
        )
    digits = next(iter(lengths)).lstrip(b"0") or b"0"
    if len(digits) > 18 or (max_size is not None and int(digits) > max_size):
        raise CodedError("body_too_large", f"Content-Length {digits[:40].decode()} announces too large a body")
    return int(digits)
