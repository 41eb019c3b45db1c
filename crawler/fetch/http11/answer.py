"""Reading the answers of a connection: heads by httptools, or mended; bodies here. No I/O, and no clock.

What was read is only noted, so nothing that we call can re-enter this; who feeds looks at it afterwards.
"""

from __future__ import annotations

from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from crawler.errors import CodedError
from crawler.fetch.http11.chunks import Chunks
from crawler.fetch.http11.head import (
    END_SIZE,
    MAX_HEAD_BYTES,
    MAX_HEAD_LINES,
    MAX_INTERIM,
    check_lines,
    end_of_lines,
    framing,
    mend,
)
from crawler.fetch.http11.response import SWITCHING

SMALL_HEAD: Final = 1024  # so much may be read again with each byte; a larger one when it ends or has doubled
FREE_LINES: Final = 64  # of chunks, that are read as they come: 0.1 ms. What is beyond them is done in turns
SOME: Final = 40  # bytes, to be shown
_BEGINNINGS: Final = (b"HTTP/1.1 ", b"HTTP/1.0 ")
_BODILESS: Final = frozenset((204, 304))


class AnswerReader:
    """Reads one answer after the other. It is a part of Connection: an object of its own would cost each URL more.

    What was read is in `_fields`, `_status`, `_version`, `_length`, `_chunked` once `_headers_done`; `_pieces` are what
    nobody has taken yet of the body; `_complete` says that it has ended, `_extra` how what came beyond it begins,
    `_close` that the server wants no other request, `_more` that `_read_on` has something to do.
    """

    _method = "GET"
    _status: int
    _version: str
    _head_size = 0

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._held: list[bytes] = []  # of a head that has not ended
        self._held_size = 0
        self._looked_at = 0  # how much of it there was when it was last looked at
        self._interim = 0
        self._interim_size = 0
        self._begin()

    def _begin(self) -> None:
        """Forget the last exchange."""
        self._fields: list[tuple[bytes, bytes]] = []
        self._warnings: list[str] = []
        self._headers_done = False
        self._complete = False
        self._extra = b""
        self._close = False
        self._more = False
        self._chunked: Chunks | None = None
        self._length: int | None = None
        if self._interim:
            self._interim = self._interim_size = 0

    def _came(self, data: bytes) -> None:
        """Read what has come. Raises CodedError."""
        if self._headers_done:
            self._body(data)
            return
        if self._held:
            self._held.append(data)
            self._held_size += len(data)
            just_ended = end_of_lines(b"".join([piece[-END_SIZE:] for piece in self._held[-END_SIZE:-1]]) + data) > 0
            if not just_ended and SMALL_HEAD < self._held_size < 2 * self._looked_at:
                self._check_size(self._held_size)
                return
            data = b"".join(self._held)
            self._held = []
        while not self._headers_done:
            # As nearly all heads begin and end. llhttp takes RTSP/ and ICE/, too, and HTTP/0.9 and HTTP/2.0.
            end = data.find(b"\r\n\r\n") + 4
            if end == 3 or not data.startswith(_BEGINNINGS) or not self._parse(data[:end]):
                self._held = [data]
                end = self._mend(data)
                if not end:
                    self._check_size(len(data))
                    self._held_size = self._looked_at = len(data)
                    return
                self._held = []
            if len(data) == end:
                return
            data = data[end:]
        self._body(data)

    def _check_size(self, size: int) -> None:
        if self._interim_size + size > MAX_HEAD_BYTES:
            raise CodedError("headers_too_large", f"more than {MAX_HEAD_BYTES} bytes of headers")

    # The head.

    def _parse(self, head: bytes) -> bool:
        """Read a head, interim or final, the strict and fast way. Whether it could be read so."""
        if len(head) > MAX_HEAD_LINES:
            self._check_size(len(head))
            check_lines(head.count(b"\n") - 2)
        parser = HttpResponseParser(self)
        try:
            parser.feed_data(head)
        except HttpParserUpgrade:
            pass  # what comes after it is for who asked for it
        except HttpParserError:
            self._fields = []
            return False
        self._headed("1.0" if head.startswith(b"0", 7) else "1.1", parser.get_status_code(), len(head))
        return True

    def _mend(self, data: bytes) -> int:
        """Read the head at the start of these bytes the tolerant way. How long it is, or 0 if it has not ended."""
        head = mend(data[:MAX_HEAD_BYTES])
        if head is None:
            return 0
        self._check_size(head.used)
        self._fields = head.fields
        self._warnings = head.warnings
        self._headed(head.version, head.status, head.used)
        return head.used

    def on_header(self, name: bytes, value: bytes) -> None:
        """httptools' callback, while it is fed."""
        if value and value[-1] <= 32:
            value = value.rstrip(b" \t")  # RFC 9112 section 5.1
        self._fields.append((name, value))

    def _headed(self, version: str, status: int, size: int) -> None:
        """A head has been read: what it says of the body and of the connection."""
        if status < 200:
            self._interim_size += size
            self._passed(version, status)
            return
        self._version = version
        self._status = status
        self._head_size = size
        if status > 599:
            self._warnings.append("unusual_status")
        framed = 0
        length = coding = b""
        close = version == "1.0"
        closes = False
        for name, value in self._fields:
            size = len(name)
            if size == 14 and name.lower() == b"content-length":
                framed += 1
                length = value
            elif size == 17 and name.lower() == b"transfer-encoding":
                framed += 2
                coding = value
            elif size == 10 and name.lower() == b"connection":
                closes = closes or b"close" in value.lower()
                close = close and b"keep-alive" not in value.lower()
        self._close = close or closes
        # httptools cannot be told that no body follows a HEAD. A 205 has none: who says no length means that.
        if self._method == "HEAD" or status in _BODILESS or (status == 205 and not framed):
            self._length = 0
        elif framed == 1 and length.isdigit() and len(length) < 18:
            self._length = int(length)
        elif framed:
            chunked = framed == 2 and coding.lower() == b"chunked"
            if not chunked:
                try:
                    self._length, chunked = framing(self._fields, self._warnings)
                except CodedError as error:
                    self._headers_done = error.phase == "body"  # of a redirect, say, which can be followed
                    raise
            if chunked:
                self._chunked = Chunks(self._pieces)
                # RFC 9112 section 6.1: who sends it in HTTP/1.0 may not know what it says.
                self._close = self._close or version == "1.0"
        self._left = self._length or 0
        self._complete = self._length == 0
        self._headers_done = True

    def _passed(self, version: str, status: int) -> None:  # noqa: ARG002 - for who asked for another protocol
        """An interim answer: another one follows."""
        if status < 100:
            raise CodedError("http_bad_status", f"the status is {status} (allowed: 100 to 999)")
        if status == SWITCHING:
            raise CodedError("http_protocol", "the server switched protocols unasked")
        self._interim += 1
        if self._interim > MAX_INTERIM:
            raise CodedError("http_too_many_1xx")
        self._fields = []
        self._warnings = []

    # The body.

    def _body(self, data: bytes) -> None:
        if self._complete:
            self._extra = data[:SOME]
        elif self._chunked is not None:
            self._chunked.feed(data)
            if not self._more:
                self._read_on(FREE_LINES)
        elif self._length is None:
            self._pieces.append(data)
        else:
            left = self._left - len(data)
            self._left = left
            if left > 0:
                self._pieces.append(data)
                return
            self._complete = True
            if left < 0:
                self._extra = data[left:][:SOME]
                data = data[:left]
            self._pieces.append(data)

    def _read_on(self, lines: int) -> None:
        """Read on in what has come; `_more` if that is not all of it."""
        chunks = self._chunked
        assert chunks is not None
        self._more = False
        try:
            self._more = chunks.read(lines)
        finally:
            if chunks.broken and "bad_framing" not in self._warnings:
                self._warnings.append("bad_framing")
        if chunks.done:
            self._complete = True
            self._extra = chunks.rest[:SOME]
