"""Reading the answers of a connection: httptools, and what it refuses read again. No I/O, and no clock.

Bytes are fed to httptools whole; its callbacks only note what they saw, so nothing that we call can re-enter it. Who
feeds looks at what was noted afterwards.
"""

from __future__ import annotations

from typing import Final

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpResponseParser

from crawler.errors import CodedError
from crawler.http11.head import _END, MAX_HEAD_BYTES, MAX_HEAD_LINES, MAX_INTERIM, mend

CHUNK_LINE: Final = 256  # a chunk's size, its line ends and a usual extension
EXTENSION_LIMIT: Final = 1024  # what all chunk extensions of an answer may take beyond that
TRAILER_LIMIT: Final = 64 * 1024
SMALL_HEAD: Final = 1024  # so much may be read again with each byte; a larger one when it ends or has doubled


class AnswerReader:
    """Reads one answer after the other. It is a part of Connection: an object of its own would cost each URL more.

    What was read is in `_fields`, `_status`, `_version`, `_length`, `_chunked` once `_headers_done`; `_chunks` are the
    pieces of the body that nobody has taken yet; `_complete` says that it has ended, `_extra` that more came than asked
    for, `_close` that the server wants no other request.
    """

    _method = "GET"
    _status: int
    _version: str

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self.on_body = self._chunks.append
        self._parser: HttpResponseParser | None = None
        self._begin()
        self._begin_chunks()

    def _begin(self) -> None:
        """Forget the last exchange."""
        self._head: list[bytes] | None = []
        self._head_size = 0
        self._fields: list[tuple[bytes, bytes]] = []
        self._warnings: list[str] = []
        self._interim = 0
        self._headers_done = False
        self._complete = False
        self._extra = False
        self._mending = 0  # how large the head was when it was last looked at
        self._mended = False
        self._close = False
        self._chunked = False
        self._length: int | None = None
        self._body_end = 0

    def _begin_chunks(self) -> None:
        self._overhead = 0
        self._chunk_count = 0
        self._in_chunk = False
        self._trailer_size = 0

    def _came(self, data: bytes) -> None:
        """Read what has come. Raises CodedError."""
        if self._head is not None:
            self._head.append(data)
            self._head_size += len(data)
        if self._mending:
            self._mend()
        else:
            self._feed(data)

    def _feed(self, data: bytes) -> None:
        parser = self._parser
        assert parser is not None
        try:
            parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            if not self._complete:
                self._upgraded(data[upgrade.args[0] :])
            self._extra = self._complete
        except HttpParserError as error:
            cause = error.__context__
            if isinstance(error, HttpParserCallbackError) and not isinstance(cause, HttpParserError):
                raise cause or error from None  # a CodedError of ours, or a bug to be seen
            if self._complete:
                self._extra = True
            elif self._headers_done:
                if "overflow" in str(error):
                    raise CodedError("body_too_large", f"a chunk announces more than can be counted: {error}") from None
                code = "http_bad_chunk" if self._chunked else "http_bad_framing"
                raise CodedError(code, f"the body is malformed: {error}") from None
            elif self._mended:
                raise CodedError("http_not_http", f"the answer's head cannot be read: {error}") from None
            else:
                self._mend()
                return
        if not self._headers_done:
            if self._head_size > MAX_HEAD_BYTES:
                raise too_large()
        elif self._chunked and not self._extra:
            self._check_overhead(data)
        if self._complete and len(self._chunks) > self._body_end:
            del self._chunks[self._body_end :]  # the body of an answer that nobody asked for

    def _upgraded(self, rest: bytes) -> None:  # noqa: ARG002 - for who asked for it
        raise CodedError("http_protocol", "the server switched protocols unasked") from None

    def _check_overhead(self, data: bytes) -> None:
        """Bound what is neither body nor chunk size: llhttp bounds neither chunk extensions nor trailers."""
        overhead = self._overhead + len(data) - sum(map(len, self._chunks))
        if self._head is not None:  # it ended in this segment
            overhead -= self._head_end() - (self._head_size - len(data))
        self._overhead = overhead
        overhead -= CHUNK_LINE * self._chunk_count
        if overhead > EXTENSION_LIMIT:
            # Trailers come in the last chunk, which has no data; their size is known when all of them are there.
            trailers = TRAILER_LIMIT if self._in_chunk else min(self._trailer_size, TRAILER_LIMIT)
            if overhead > EXTENSION_LIMIT + trailers:
                raise CodedError("http_bad_chunk", "chunk extensions of over 1 KiB, or trailers of over 64 KiB")

    def _head_end(self) -> int:
        """How many of the bytes that have come belong to the head."""
        assert self._head is not None
        return b"".join(self._head).index(b"\r\n\r\n") + 4

    def _mend(self) -> None:
        """httptools refused the head: read all of it again, tolerantly, and give a clean one to a fresh parser."""
        assert self._head is not None
        head = None
        ended = _END.search(b"".join(self._head[-4:]))
        if ended or self._head_size <= SMALL_HEAD or self._head_size >= 2 * self._mending:
            self._mending = self._head_size
            wire = b"".join(self._head)
            head = mend(wire[:MAX_HEAD_BYTES])
        if head is None:
            if self._head_size > MAX_HEAD_BYTES:
                raise too_large()
            return
        rest = wire[head.used :]
        self._begin()
        self._mended = True
        self._warnings = head.warnings
        self._parser = HttpResponseParser(self)
        # From here on it is as if the clean head had been sent.
        for piece in (head.clean, rest) if rest else (head.clean,):
            self._head.append(piece)
            self._head_size += len(piece)
            self._feed(piece)
            self._fields = head.fields
            self._version = head.version

    # httptools' callbacks.

    def on_message_begin(self) -> None:
        if self._complete:
            self._extra = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._headers_done:
            if value and value[-1] <= 32:
                value = value.rstrip(b" \t")  # RFC 9112 section 5.1
            self._fields.append((name, value))
        else:
            self._trailer_size += len(name) + len(value) + 4

    def on_headers_complete(self) -> None:
        if self._complete:
            return
        parser = self._parser
        assert parser is not None
        status: int = parser.get_status_code()
        if status < 200:
            if status < 100:
                raise CodedError("http_bad_status", f"the status is {status} (allowed: 100 to 999)")
            return
        if len(self._fields) > MAX_HEAD_LINES:
            raise CodedError("headers_too_large", f"{len(self._fields)} header lines (allowed: {MAX_HEAD_LINES})")
        head = self._head
        assert head is not None
        # llhttp takes RTSP/ and ICE/ too, and a large head may be a head with a part of the body: mend() decides.
        strange = self._head_size > MAX_HEAD_BYTES or self._interim or not b"".join(head).startswith(b"HTTP/")
        if strange and not self._mended:
            raise HttpParserError("a head that has to be looked at")
        if status > 599:
            self._warnings.append("unusual_status")
        self._status = status
        self._version = parser.get_http_version()
        if self._version not in ("1.1", "1.0"):
            raise CodedError("http_not_http", f"HTTP/{self._version} is not HTTP/1.x")
        for name, value in self._fields:
            size = len(name)
            if size == 14 and name.lower() == b"content-length":
                self._length = int(value)
            elif size == 17 and name.lower() == b"transfer-encoding":
                if self._chunked or value.lower() != b"chunked":
                    raise HttpParserError("only plain chunked is read here: mend() decides on the others")
                self._chunked = True
                self._begin_chunks()
                # RFC 9112 section 6.1: who sends it in HTTP/1.0 may not know what it says.
                self._close = self._version == "1.0"
        self._headers_done = True
        if self._method == "HEAD":
            # httptools cannot be told that no body follows: for us it ends here, whatever the parser makes of the rest.
            self._complete = True
        if self._complete or status in (204, 304):
            self._length = 0
            self._chunked = False

    def on_chunk_header(self) -> None:
        self._chunk_count += 1
        self._in_chunk = True

    def on_chunk_complete(self) -> None:
        self._in_chunk = False

    def on_message_complete(self) -> None:
        if not self._headers_done:  # an interim answer
            self._interim += 1
            if self._interim > MAX_INTERIM:
                raise CodedError("http_too_many_1xx")
            self._fields = []
            return
        if not self._complete:
            self._complete = True
            self._body_end = len(self._chunks)
            assert self._parser is not None
            self._close = self._close or not self._parser.should_keep_alive()


def too_large() -> CodedError:
    return CodedError("headers_too_large", f"more than {MAX_HEAD_BYTES} bytes of headers")
