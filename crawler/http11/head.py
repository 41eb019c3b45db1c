"""Response heads that httptools refuses, read again the tolerant way, and the rules of message framing. Pure.

httptools (llhttp) is fast and strict; the web is neither. When it gives up inside a head, `mend` reads the same bytes
as RFC 9112 and the browsers would, and hands back a clean head for a fresh parser, or says with a code why there is
none. Every pattern here is linear in its input: servers choose what it is run on.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from crawler.errors import CodedError

MAX_HEAD_BYTES: Final = 256 * 1024
MAX_HEAD_LINES: Final = 1000
MAX_INTERIM: Final = 16

_STATUS_LINE: Final = re.compile(rb"HTTP/(\d++)\.(\d++)(?: ++(\S*+)(?: ([^\r\n]*+))?+)?+ *+\Z")
_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_END: Final = re.compile(rb"\r?\n\r?\n")
_LINE_END: Final = re.compile(rb"\r?\n")
_FOLD: Final = re.compile(rb"\r?\n[ \t]+")
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_DIGITS: Final = re.compile(rb"[0-9]+\Z")
_BLANKS: Final = bytes(range(33)) + b"\x7f\xa0"  # what some parser somewhere takes for white space around a name
_FRAMING: Final = frozenset((b"content-length", b"transfer-encoding"))
_CHUNKED: Final = b"Transfer-Encoding: chunked\r\n"


class Head(NamedTuple):
    """A mended head: `clean` bytes that httptools accepts, for the first `used` bytes of the input.

    `fields` are the well-formed (name, value) pairs as they were sent; in `clean` those that frame the message are
    reduced to what they amount to.
    """

    clean: bytes
    used: int
    fields: list[tuple[bytes, bytes]]
    version: str
    warnings: list[str]


def mend(data: bytes) -> Head | None:
    """Read the final head at the start of `data`, past interim answers; None when it has not ended yet.

    Raises CodedError: http_not_http, http_bad_status, http_bad_header, http_bad_framing, headers_too_large,
    http_too_many_1xx, http_protocol, body_too_large.
    """
    position = 0
    interim = 0
    while True:
        # RFC 9112 section 2.2: an empty line before the answer is ignored; after an interim one llhttp ignores many.
        while data.startswith(b"\r\n", position) and (position == 0 or interim):
            position += 2
        start = data[position : position + 5]
        if not b"HTTP/".startswith(start) and start != b"\r":
            raise CodedError("http_not_http", f"the answer starts with {data[position : position + 40]!r}")
        end = _END.search(data, position)
        if end is None:
            line_end = data.find(b"\n", position)
            if line_end >= 0:
                _status(data[position:line_end].removesuffix(b"\r"))
            _check_lines(data.count(b"\n") - 1)  # of which one ends the status line
            return None
        line, *block = _LINE_END.split(data[position : end.start()], 1)
        version, status, reason = _status(line)
        _check_lines(data.count(b"\n", 0, end.start()))
        if status >= 200:
            fields, warnings = _fields(block[0]) if block else ([], [])
            framing = _framing(fields, warnings)
            plain = [field for field in fields if field[0].lower() not in _FRAMING]
            # llhttp knows 1.0 and 1.1 only; later minor versions promise to be read as 1.1 (RFC 9110 section 2.5).
            wire = b"1.0" if version == "1.0" else b"1.1"
            clean = b"HTTP/%b %d %b\r\n%b%b\r\n" % (
                wire, status, reason, b"".join(b"%b: %b\r\n" % field for field in plain), framing
            )  # fmt: skip
            return Head(clean, end.end(), fields, version, warnings)
        if status == 101:
            raise CodedError("http_protocol", "the server switched protocols (101) unasked")
        interim += 1
        if interim > MAX_INTERIM:
            raise CodedError("http_too_many_1xx")
        position = end.end()


def _check_lines(count: int) -> None:
    """Interim answers count, too: a head that comes byte by byte is read again after each of its lines."""
    if count > MAX_HEAD_LINES:
        raise CodedError("headers_too_large", f"more than {MAX_HEAD_LINES} header lines")


def _status(line: bytes) -> tuple[str, int, bytes]:
    match = _STATUS_LINE.match(line)
    if match is None or match[1] != b"1" or len(match[2]) != 1:
        raise CodedError("http_not_http", f"not an HTTP/1.x status line: {line[:80]!r}")
    code = match[3] or b""
    if len(code) != 3 or not code.isdigit() or code < b"100":
        raise CodedError("http_bad_status", f"the status is {code[:40]!r} (allowed: 100 to 999)")
    return f"1.{int(match[2])}", int(code), _CONTROL.sub(b" ", match[4] or b"")


def _fields(block: bytes) -> tuple[list[tuple[bytes, bytes]], list[str]]:
    """The header fields, without the malformed ones, and the warnings about those."""
    fields: list[tuple[bytes, bytes]] = []
    bad = False
    for line in _LINE_END.split(_FOLD.sub(b" ", block)):  # obs-fold: RFC 9112 section 5.2
        if b"\r" in line:  # some would read two lines here
            raise CodedError("http_bad_header", f"a bare CR in the header {line[:80]!r}")
        name, colon, value = line.partition(b":")
        framing = name.strip(_BLANKS).lower() in _FRAMING and colon
        if not colon or not _TOKEN.match(name):
            if framing:
                raise CodedError("http_bad_framing", f"white space around the name in {line[:80]!r}")
            bad = True
            continue
        if b"\0" in value:
            raise CodedError("http_bad_header", f"a NUL in the header {name[:80]!r}")
        if _CONTROL.search(value):
            if framing:
                raise CodedError("http_bad_framing", f"a control character in {line[:80]!r}")
            bad = True
            value = _CONTROL.sub(b" ", value)
        fields.append((name, value.strip(b" \t")))
    return fields, ["bad_header"] if bad else []


def _framing(fields: list[tuple[bytes, bytes]], warnings: list[str]) -> bytes:
    """The one header line, if any, that says where the body ends (RFC 9112 section 6.3)."""
    chunked = _transfer_encoding([v for n, v in fields if n.lower() == b"transfer-encoding"])
    lengths = {v for n, field in fields if n.lower() == b"content-length" for v in _split(field)}
    if chunked:
        if lengths:  # Transfer-Encoding overrides; it smells of smuggling, so the connection ends after it
            warnings.append("framing_conflict")
        return _CHUNKED
    return b"Content-Length: %d\r\n" % _length(lengths) if lengths else b""


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


def _length(lengths: set[bytes]) -> int:
    if len(lengths) > 1 or not _DIGITS.match(next(iter(lengths))):
        raise CodedError(
            "http_bad_framing", f"Content-Length {b', '.join(sorted(lengths))[:80]!r} (allowed: one number)"
        )
    digits = next(iter(lengths)).lstrip(b"0") or b"0"
    if len(digits) > 18:
        raise CodedError("body_too_large", f"Content-Length {digits[:40].decode()} announces too large a body")
    return int(digits)
