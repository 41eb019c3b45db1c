"""Response heads that httptools refuses, read again the tolerant way, and the rules of message framing. Pure.

httptools (llhttp) is fast and strict; the web is neither. When it gives up on a head, `mend` reads the same bytes as
RFC 9112 and the browsers would, or says with a code why there is nothing to be read. Every pattern here is linear in
its input: servers choose what it is run on.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from crawler.errors import CodedError

MAX_HEAD_BYTES: Final = 256 * 1024
MAX_HEAD_LINES: Final = 1000
MAX_INTERIM: Final = 100

_STATUS_LINE: Final = re.compile(rb"HTTP/([0-9.]++)(?: ++(\S*+)(?: [^\r\n]*+)?+)?+ *+\Z", re.IGNORECASE)
_VERSION: Final = re.compile(r"1\.[0-9]|[23](?:\.0)?")  # later ones, written out, are a claim that is not meant
_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_EMPTY_LINES: Final = re.compile(rb"(?:\r{0,2}\n)*+")
_FOLD: Final = re.compile(rb"\n[ \t]+")
_TO_BLANKS: Final = bytes(32 if (octet < 32 and octet != 9) or octet == 127 else octet for octet in range(256))
_DIGITS: Final = re.compile(rb"[0-9]+\Z")
_BLANKS: Final = bytes(range(33)) + b"\x7f\xa0"  # what some parser somewhere takes for white space around a name
_FRAMING: Final = frozenset((b"content-length", b"transfer-encoding"))
# A second CR comes from programs that turn each LF of a text that has CRLF already into CRLF.
_ENDS: Final = (b"\n\r\n", b"\n\n", b"\n\r\r\n")
END_SIZE: Final = 4  # so many of its last bytes tell whether a head has just ended


class Head(NamedTuple):
    """A head, interim or final, in the first `used` bytes of the input; `fields` are well-formed pairs as sent."""

    version: str
    status: int
    fields: list[tuple[bytes, bytes]]
    used: int
    warnings: list[str]


def end_of_lines(data: bytes, begin: int = 0) -> int:
    """Where the line before the first empty one ends, after its LF; -1 where there is no empty one yet."""
    found = -1
    for end in _ENDS:
        # Only before what was found: behind a head there may be much.
        at = data.find(end, begin, len(data) if found < 0 else found + len(end) - 1)
        if at >= 0:
            found = at
    return -1 if found < 0 else found + 1


def mend(data: bytes) -> Head | None:
    """Read the head at the start of `data`; None when it has not ended yet.

    Raises CodedError: http_not_http, http_bad_status, http_bad_header, http_bad_framing, headers_too_large.
    """
    blank = _EMPTY_LINES.match(data)  # RFC 9112 section 2.2 lets a reader ignore one; browsers ignore any number
    begin = 0 if blank is None else blank.end()
    start = data[begin : begin + 5]
    if not b"HTTP/".startswith(start.upper()) and start not in (b"\r", b"\r\r"):
        raise CodedError("http_not_http", f"the answer starts with {data[begin : begin + 40]!r}")
    end = end_of_lines(data, begin)
    if end < 0:
        line_end = data.find(b"\n", begin)
        if line_end >= 0:
            _status(_plain_ends(data[begin : line_end + 1])[:-1])
        check_lines(data.count(b"\n") - 1)  # of which one ends the status line
        return None
    check_lines(data.count(b"\n", 0, end) - 1)
    lines = _plain_ends(data[begin:end])
    line, _, block = lines[:-1].partition(b"\n")
    version, status = _status(line)
    fields, warnings = _fields(block) if block else ([], [])
    return Head(version, status, fields, data.index(b"\n", end) + 1, warnings)


def _plain_ends(lines: bytes) -> bytes:
    """Each line with an LF alone behind it, however it was sent."""
    return lines.replace(b"\r\n", b"\n").replace(b"\r\n", b"\n")


def check_lines(count: int) -> None:
    """Empty ones before the status line count, too: a head that comes in pieces is read again and again."""
    if count > MAX_HEAD_LINES:
        raise CodedError("headers_too_large", f"more than {MAX_HEAD_LINES} header lines")


def _status(line: bytes) -> tuple[str, int]:
    match = _STATUS_LINE.match(line)
    version = "" if match is None else match[1].decode("ascii")
    if match is None or not _VERSION.fullmatch(version):
        raise CodedError("http_not_http", f"not an HTTP/1.x status line: {line[:80]!r}")
    code = match[2] or b""
    if len(code) != 3 or not code.isdigit() or code < b"100":
        raise CodedError("http_bad_status", f"the status is {code[:40]!r} (allowed: 100 to 999)")
    return version, int(code)


def _fields(block: bytes) -> tuple[list[tuple[bytes, bytes]], list[str]]:
    """The header fields, without the malformed ones, and the warnings about those."""
    fields: list[tuple[bytes, bytes]] = []
    bad = False
    if b"\n " in block or b"\n\t" in block:
        block = _FOLD.sub(b" ", block)  # obs-fold: RFC 9112 section 5.2
    for line in block.split(b"\n"):
        if b"\r" in line:  # some would read two lines here
            raise CodedError("http_bad_header", f"a bare CR in the header {line[:80]!r}")
        sent, colon, value = line.partition(b":")
        name = sent.rstrip(b" \t")  # RFC 9112 section 5.1: to be removed from a response
        framing = name.strip(_BLANKS).lower() in _FRAMING and colon
        if not colon or not _TOKEN.match(name):
            if framing:
                raise CodedError("http_bad_framing", f"white space around the name in {line[:80]!r}")
            bad = True
            continue
        bad = bad or name != sent
        if b"\0" in value:
            raise CodedError("http_bad_header", f"a NUL in the header {name[:80]!r}")
        clean = value.translate(_TO_BLANKS)
        if clean != value:
            if framing:
                raise CodedError("http_bad_framing", f"a control character in {line[:80]!r}")
            bad = True
            value = clean
        fields.append((name, value.strip(b" \t")))
    return fields, ["bad_header"] if bad else []


def framing(fields: Sequence[tuple[bytes, bytes]], warnings: list[str]) -> tuple[int | None, bool]:
    """The length of the body and whether it comes in chunks; neither: it ends with the connection.

    RFC 9112 section 6.3, and where that says no, what browsers and curl do: a Content-Length that nobody can read is
    none. What two readers could read in two ways is refused. Raises CodedError: http_bad_framing, body_too_large; of
    the phase "body" where the head itself is plain.
    """
    chunked = _transfer_encoding([v for n, v in fields if n.lower() == b"transfer-encoding"], warnings)
    values = [part for n, v in fields if n.lower() == b"content-length" for part in _split(v)]
    if chunked:
        if values:  # Transfer-Encoding overrides; it smells of smuggling, so the connection ends after it
            warnings.append("framing_conflict")
        return None, True
    lengths = {value.lstrip(b"0") or b"0" for value in values if _DIGITS.match(value)}
    if len(lengths) > 1:
        words = b", ".join(sorted(lengths))[:80]
        raise CodedError("http_bad_framing", f"Content-Length {words!r} (allowed: one number)")
    if not all(map(_DIGITS.match, values)):
        warnings.append("bad_framing")
    if not lengths:
        return None, False
    digits = lengths.pop()
    if len(digits) > 18:
        raise CodedError("body_too_large", f"Content-Length {digits[:40].decode()} announces too large a body")
    return int(digits), False


def _split(value: bytes) -> list[bytes]:
    return [part.strip(b" \t") for part in value.split(b",")]


def _transfer_encoding(values: Sequence[bytes], warnings: list[str]) -> bool:
    """Whether the body is chunked. Only `chunked` and the obsolete `identity` are understood (RFC 9112 section 6.1)."""
    codings = [c.lower() for value in values for c in _split(value) if c and c.lower() != b"identity"]
    if not codings:
        return False
    if set(codings) != {b"chunked"}:
        words = b", ".join(codings)[:80]
        raise CodedError("http_bad_framing", f"Transfer-Encoding {words!r} (allowed: chunked)", phase="body")
    if len(codings) > 1:  # said twice, by two programs; done once
        warnings.append("bad_framing")
    return True
