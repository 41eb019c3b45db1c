"""A body in chunks (RFC 9112 section 7.1), read as browsers and curl do: what is meant is taken, with a warning. Pure.

It is read in slices, since a chunk may be as small as a byte, and then a segment holds tens of thousands of them.
"""

from __future__ import annotations

import re
from typing import Final

from crawler.errors import CodedError

FREE_LINE: Final = 256  # of a chunk's line: its size, and a usual extension
EXTENSION_LIMIT: Final = 1024  # what all lines of a body may take beyond that
TRAILER_LIMIT: Final = 64 * 1024

_LAST: Final = b"\r\n0\r\n\r\n"
_FIRST: Final = re.compile(rb"([0-9A-Fa-f]{1,16})\r\n")
_NEXT: Final = re.compile(rb"\r\n([0-9A-Fa-f]{1,16})\r\n")
_LINE_END: Final = re.compile(rb"\r{0,2}\n")
_HALF_END: Final = re.compile(rb"\r{0,2}\Z")
_DIGITS: Final = re.compile(rb"[0-9A-Fa-f]++")
_LINE: Final = re.compile(rb"([0-9A-Fa-f]++)[ \t]*+(?:;[^\r\n]*+)?+\Z")
_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_STRICT: Final = re.compile(
    rb"[0-9A-Fa-f]++(?:[ \t]*+;[ \t]*+%b(?:[ \t]*+=[ \t]*+(?:%b|\"(?:[^\"\\]|\\.)*+\"))?+)*+\r\Z" % (_TOKEN, _TOKEN)
)
_TRAILER: Final = re.compile(rb"(?:%b:|[ \t])[^\r]*+\r\Z" % _TOKEN)  # or folded
_EMPTY: Final = frozenset((b"", b"\r", b"\r\r"))


class Chunks:
    """Reads one body. Its pieces are appended to `pieces`; `broken` tells that the grammar was not kept.

    `done`: it has ended, and `rest` is what came after it.
    """

    broken = False
    done = False
    rest = b""
    _data = b""
    _at = 0
    _left = 0  # of the data of this chunk
    _begun = False
    _excess = 0
    _trailers: int | None = None  # how large they are so far, once they have begun

    def __init__(self, pieces: list[bytes]) -> None:
        self._take = pieces.append

    def feed(self, data: bytes) -> None:
        """Here is more; nothing is read yet."""
        held = self._data[self._at :] if self._at else self._data
        self._data = held + data if held else data
        self._at = 0

    def read(self, lines: int) -> bool:
        """Read on for so many lines at most. Whether there is more that could be read at once.

        Raises CodedError: http_bad_chunk, body_too_large.
        """
        if self._trailers is not None:
            return self._read_trailers(lines)
        data, at, left, begun = self._data, self._at, self._left, self._begun
        more = False
        while True:
            if left:
                piece = data[at : at + left]
                if not piece:
                    break
                self._take(piece)
                at += len(piece)
                left -= len(piece)
                if left:
                    break
            if begun and data.startswith(_LAST, at):  # as nearly all end
                self._end(data, at + len(_LAST))
                return False
            if not lines:
                more = True
                break
            lines -= 1
            match = (_NEXT if begun else _FIRST).match(data, at)
            if match is not None:
                left = int(match[1], 16)
                at = match.end()
            else:
                size, at = self._slow_line(data, at, begun)
                if size < 0:
                    break
                left = size
            begun = True
            if not left:
                self._trailers = 0
                self._at = at
                return self._read_trailers(lines)
        self._at, self._left, self._begun = at, left, begun
        return more

    def _slow_line(self, data: bytes, at: int, begun: bool) -> tuple[int, int]:
        """The size of the next chunk, and where its data begin; a size of -1 when its line has not ended."""
        start = at
        if begun:
            match = _LINE_END.match(data, at)
            if match is None:
                if _HALF_END.match(data, at) is None:
                    raise CodedError(
                        "http_bad_chunk", f"a chunk is longer than its size: {data[at : at + 20]!r} follows"
                    )
                return -1, start
            self.broken = self.broken or match[0] != b"\r\n"
            at = match.end()
        end = data.find(b"\n", at)
        line = data[at:] if end < 0 else data[at:end]
        size = _size(line.removesuffix(b"\r").removesuffix(b"\r"), whole=end >= 0)
        excess = self._excess + max(0, len(line) - FREE_LINE)
        if excess > EXTENSION_LIMIT:
            raise CodedError("http_bad_chunk", f"chunk extensions of over {EXTENSION_LIMIT} bytes")
        if end < 0:
            return -1, start
        self._excess = excess
        self.broken = self.broken or _STRICT.match(line) is None
        return size, end + 1

    def _read_trailers(self, lines: int) -> bool:
        """They mean nothing to us, whatever they say of lengths; an empty line ends them, and the body."""
        data, at = self._data, self._at
        assert self._trailers is not None
        while (end := data.find(b"\n", at)) >= 0:
            self._trailers += end + 1 - at
            self._check_trailers(0)
            line = data[at:end]
            self._at = at = end + 1
            if line in _EMPTY:
                self.broken = self.broken or line != b"\r"
                self._end(data, at)
                return False
            self.broken = self.broken or _TRAILER.match(line) is None
            if not lines:
                return True
            lines -= 1
        self._check_trailers(len(data) - at)
        return False

    def _end(self, data: bytes, at: int) -> None:
        self.done = True
        self.rest = data[at:]
        self._data = b""
        self._at = 0

    def _check_trailers(self, more: int) -> None:
        assert self._trailers is not None
        if self._trailers + more > TRAILER_LIMIT:
            raise CodedError("http_bad_chunk", f"trailers of over {TRAILER_LIMIT >> 10} KiB")


def _size(line: bytes, *, whole: bool) -> int:
    """What a chunk's line says, as far as it has come. Raises CodedError, for a part of a line as for all of it."""
    digits = _DIGITS.match(line)
    number = b"" if digits is None else digits[0].lstrip(b"0")
    if len(number) > 16:
        raise CodedError("body_too_large", f"a chunk of {number[:40].decode()}... bytes (hexadecimal)")
    if _LINE.match(line) is None and (line or whole):
        raise CodedError("http_bad_chunk", f"no size of a chunk: {line[:40]!r}")
    return int(number or b"0", 16)
