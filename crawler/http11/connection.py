"""One HTTP/1.1 connection: httptools in a Twisted Protocol, one exchange at a time, no pipelining.

Rules:
- Bytes are fed to httptools whole; callbacks only note what they saw. Deferreds fire after the parser has returned,
  so nothing that we call can re-enter it.
- Any anomaly (a mended head, bytes that nobody asked for, a malformed chunk) closes the connection after the exchange:
  what is out of step is never reused.
- The clock is read once per segment.
"""

from __future__ import annotations

from typing import Any, Final
from typing import Protocol as Interface

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpResponseParser
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

from crawler.errors import CodedError
from crawler.http11.envelope import Envelope, Key, Now
from crawler.http11.head import _END, MAX_HEAD_BYTES, MAX_HEAD_LINES, MAX_INTERIM, mend
from crawler.http11.response import DONE, WireResponse

CHUNK_LINE: Final = 256  # a chunk's size, its line ends and a usual extension
EXTENSION_LIMIT: Final = 1024  # what all chunk extensions of an answer may take beyond that
TRAILER_LIMIT: Final = 64 * 1024
SMALL_HEAD: Final = 1024  # so much may be read again with each byte; a larger one when it ends or has doubled


class StaleConnection(Exception):  # noqa: N818 - an event of the pool, never shown to anyone
    """A pooled connection was closed by the server before it saw our request (RFC 9112 section 9.3.1)."""


class Owner(Interface):
    """Who wants to know when a connection is free again or gone: the pool."""

    def released(self, connection: Connection) -> None: ...

    def gone(self, connection: Connection) -> None: ...


class Connection(Protocol):
    """Carries requests to one origin, one after the other."""

    def __init__(self, key: Key, owner: Owner, now: Now) -> None:
        self.key = key
        self.remote_ip: str | None = None
        self.idle_since = 0.0
        self._owner = owner
        self._now = now
        self._chunks: list[bytes] = []
        self.on_body = self._chunks.append
        self._parser: HttpResponseParser | None = None
        self._envelope: Envelope | None = None
        self._deferred: Deferred[WireResponse] | None = None
        self._response: WireResponse | None = None
        self._lost = False
        self._why_lost = Failure(StaleConnection())
        self._reused = False
        self._paused = False
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

    # What the agent and the pool ask.

    def send(self, envelope: Envelope) -> Deferred[WireResponse]:
        """Write the request. Fires with a WireResponse once its head is there; cancelling closes the socket.

        Fails with CodedError, or StaleConnection when a reused connection was closed before any byte came back.
        """
        now = self._now()
        trace = envelope.trace
        trace.sent(now)
        trace.remote_ip = self.remote_ip
        trace.reused = self._reused
        self._envelope = envelope
        deferred: Deferred[WireResponse] = Deferred(self._cancelled)
        self._deferred = deferred
        if self._lost:  # the server closed, or spoke out of turn, between connecting and sending
            self._envelope = self._deferred = None
            deferred.errback(self._why_lost)
            return deferred
        if self._parser is None:
            self._parser = HttpResponseParser(self)
        self.transport.write(envelope.head)  # type: ignore[union-attr]
        return deferred

    def abort(self) -> None:
        """Close the socket now; the exchange in progress, if any, is forgotten."""
        self._envelope = self._deferred = self._response = None
        self._drop()

    @property
    def usable(self) -> bool:
        return not self._lost

    def pauseProducing(self) -> None:
        if not self._paused and not self._lost:
            self._paused = True
            self.transport.pauseProducing()  # type: ignore[union-attr]

    def resumeProducing(self) -> None:
        if self._paused and not self._lost:
            self._paused = False
            self.transport.resumeProducing()  # type: ignore[union-attr]

    def _cancelled(self, _: Deferred[Any]) -> None:
        self._deferred = None
        self.abort()

    def _drop(self) -> None:
        if not self._lost:
            self._lost = True
            self.transport.abortConnection()  # type: ignore[union-attr]
            self._parser = None
            self._owner.gone(self)

    # What the transport tells.

    def dataReceived(self, data: bytes) -> None:
        envelope = self._envelope
        if envelope is None:
            if not self._lost:  # late bytes on an idle connection would become the next URL's response
                if self._reused:
                    self._why_lost = Failure(StaleConnection())
                else:
                    self._why_lost = Failure(_spoke_first(data))
                self._drop()
            return
        trace = envelope.trace
        trace.last_byte = now = self._now()
        if trace.first_byte is None:
            trace.first_byte = now
        if self._head is not None:
            self._head.append(data)
            self._head_size += len(data)
        try:
            if self._mending:
                self._mend()
            else:
                self._feed(data)
        except CodedError as error:
            self._fail(error)
            return
        self._dispatch(envelope)

    def connectionLost(self, reason: Failure = DONE) -> None:
        was_lost, self._lost = self._lost, True
        self._parser = None
        if not was_lost:
            self._owner.gone(self)
        envelope = self._envelope
        if envelope is None:
            if not was_lost:
                self._why_lost = Failure(self._before_answer(reason))
            return
        if self._headers_done:
            clean = reason.check(ConnectionDone) is not None
            if self._length is None and not self._chunked and clean:
                self._complete = True  # RFC 9112 section 6.3: the close is the end
                self._body_end = len(self._chunks)
                self._dispatch(envelope)
                return
            how = "closed" if clean else "cut"
            self._fail(_cut(reason, CodedError("body_truncated", f"the connection was {how} inside the body")))
        elif envelope.trace.first_byte is None:
            self._fail(self._before_answer(reason))
        else:
            self._fail(_cut(reason, CodedError("http_truncated_headers")))

    def _before_answer(self, reason: Failure) -> Exception:
        """What it means that the connection ended before the first byte of an answer."""
        if self._reused:
            return StaleConnection()
        if isinstance(reason.value, CodedError):  # TLS 1.3 tells only now that it wants a client certificate
            return reason.value
        if reason.check(ConnectionDone):
            return CodedError("empty_reply")
        return _cut(reason, CodedError("conn_reset", f"before the answer: {reason.getErrorMessage()}"))

    # Parsing.

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
                raise _too_large()
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
                raise _too_large()
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
        assert self._envelope is not None
        if self._envelope.method == "HEAD":
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

    # Results.

    def _dispatch(self, envelope: Envelope) -> None:
        """Tell what the last segment brought: the response, pieces of its body, its end."""
        if not self._headers_done:
            return
        if envelope.method == "HEAD":
            self._parser = None  # it is spent: it waits for a body
            self._extra = self._extra or self._head_size > self._head_end()
            connection = b",".join(v.lower() for n, v in self._fields if n.lower() == b"connection")
            self._close = self._close or self._version == "1.0" or b"close" in connection
        response = self._response
        if response is None:
            self._head = None
            envelope.trace.enter("body", envelope.trace.last_byte)
            response = self._response = WireResponse(
                self, self._version, self._status, self._fields, self._length, self._warnings
            )
            deferred, self._deferred = self._deferred, None
            assert deferred is not None
            deferred.callback(response)
            if self._response is not response:
                return  # aborted by whoever got it
        if self._chunks:
            data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
            self._chunks.clear()
            envelope.trace.received += len(data)
            response.feed(data)
            if self._response is not response:
                return
        if self._complete:
            self._end(response)
        elif not response.delivering:
            self.pauseProducing()

    def _end(self, response: WireResponse) -> None:
        if self._extra:
            self._warnings.append("extra_bytes")
        reusable = not (self._extra or self._close or self._lost or self._warnings)
        self._envelope = self._response = None
        if reusable:
            self._reused = True
            self._begin()
            self.resumeProducing()
            self._owner.released(self)
        else:
            self._drop()
        response.finish(DONE)

    def _fail(self, error: Exception) -> None:
        """End the exchange with an error; what had arrived of the body is delivered first."""
        response, deferred, envelope = self._response, self._deferred, self._envelope
        self._complete = False  # it may have been, for the parser; not for us
        if response is None and self._headers_done and deferred is not None and envelope is not None:
            self._dispatch(envelope)  # the head was fine: the response is told, then its body fails
            response, deferred = self._response, None
        elif response is not None and self._chunks:
            data = b"".join(self._chunks)
            self._chunks.clear()
            response.feed(data)
            response = self._response
        self._envelope = self._response = self._deferred = None
        self._drop()
        if response is not None:
            response.finish(Failure(error))
        elif deferred is not None:
            deferred.errback(Failure(error))


def _spoke_first(data: bytes) -> CodedError:
    if data.startswith(b"HTTP/"):
        return CodedError("http_desync", "an answer arrived before the request was sent")
    return CodedError("http_not_http", f"the server spoke first: {data[:40]!r}")


def _cut(reason: Failure, error: CodedError) -> CodedError:
    """The error that a lost connection means; a bug met while reading closes the connection, too, and says so here."""
    if isinstance(reason.value, CodedError) or reason.check(ConnectionDone, ConnectionLost):
        return error
    return CodedError("internal", f"{type(reason.value).__name__}: {reason.value}")


def _too_large() -> CodedError:
    return CodedError("headers_too_large", f"more than {MAX_HEAD_BYTES} bytes of headers")
