"""One exchange on a connection of many: what comes of it, and what is still to be sent (RFC 9113 section 5.1)."""

from __future__ import annotations

from typing import Any, Final
from typing import Protocol as Interface

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from crawler.errors import CodedError
from crawler.fetch.http2.frames import FLOW_CONTROL_ERROR, PROTOCOL_ERROR
from crawler.fetch.http2.head import Head, read_head
from crawler.fetch.http2.sending import Sending
from crawler.fetch.http11.envelope import Envelope
from crawler.fetch.http11.head import MAX_HEAD_BYTES, MAX_INTERIM
from crawler.fetch.http11.response import DONE, SWITCHING, WireResponse

WINDOW: Final = 1 << 20  # bytes that a server may send of a body before it hears that they were taken
LARGE_HEAD: Final = 4096  # smaller ones are not worth counting


class Carries(Interface):
    """What a stream asks of its connection."""

    def cancel(self, stream: Stream) -> None:
        """Nobody wants it any more."""

    def ended(self, stream: Stream) -> None:
        """The answer has come whole."""

    def reset(self, stream: Stream, code: int) -> None:
        """End it from our side, with a code of frames.py."""

    def grant(self, stream: Stream, more: int) -> None:
        """Tell the server that it may send so many bytes more of the body."""

    def count_empty(self, what: str) -> None:
        """A frame has come that brings nothing."""


class Stream:
    """Reads its answer, and is the Source of the response. `number` is 0 until the request is sent.

    While its body is not taken, the server may send WINDOW bytes of it and no more: so much is held at most.
    """

    __slots__ = (
        "_bodiless", "_connection", "_interim", "_interim_size", "_left", "_response", "_window", "deferred",
        "envelope", "heard", "is_cut", "number", "room", "sending",
    )  # fmt: skip

    def __init__(self, connection: Carries, envelope: Envelope) -> None:
        self.number = 0
        self.envelope = envelope
        self.deferred: Deferred[WireResponse] | None = Deferred(self._cancelled)
        self.is_cut = False  # not all of the request was sent, and will not be
        self.heard = False  # anything of the server, about this stream
        self.room = 0  # bytes of the request's body that the server would take now
        self.sending: Sending | None = None  # what is still to be sent of it
        self._connection = connection
        self._response: WireResponse | None = None
        self._window = WINDOW
        self._left: int | None = None  # of the body that was announced
        self._bodiless = False
        self._interim = 0
        self._interim_size = 0

    @property
    def answered(self) -> bool:
        return self._response is not None

    # The answer.

    def head(self, pairs: Any, now: float, *, ended: bool) -> None:
        """A head has come, or the trailers, of which nothing is wanted."""
        self.heard = True
        if self._response is not None:
            if ended:
                self._end()
            else:
                self._malformed(CodedError("http2_protocol", "a second head came, inside the body", phase="body"))
            return
        trace = self.envelope.trace
        trace.last_byte = now
        if trace.first_byte is None:
            trace.first_byte = now
        try:
            head = read_head(pairs, self.envelope.method)
            if head.status < 200:
                self._passed(head, ended=ended)
                return
        except CodedError as error:
            self._malformed(error)
            return
        trace.enter("body", now)
        self._bodiless = head.bodiless
        length = 0 if head.bodiless else head.length
        if length is None and ended:
            length = 0
        self._left = length
        if head.status >= 300 and self._stop_sending():  # who has refused the request needs none of its body
            head.warnings.append("body_unsent")
        response = self._response = WireResponse(self, "2", head.status, head.fields, length, head.warnings)
        if head.size > LARGE_HEAD:
            response.head_size = head.size
        deferred, self.deferred = self.deferred, None
        assert deferred is not None
        deferred.callback(response)
        if ended and self._response is response:
            self._end()

    def _passed(self, head: Head, *, ended: bool) -> None:
        """An interim answer: another one follows."""
        if head.status == SWITCHING:
            raise CodedError("http_protocol", "the server switched protocols, which HTTP/2 cannot")
        if ended:
            raise CodedError("http2_protocol", f"the stream ended with the interim answer {head.status}")
        self._interim += 1
        self._interim_size += head.size
        if self._interim > MAX_INTERIM:
            raise CodedError("http_too_many_1xx")
        if self._interim_size > MAX_HEAD_BYTES:
            raise CodedError("headers_too_large", f"more than {MAX_HEAD_BYTES} bytes of headers")

    def data(self, payload: bytes, size: int, now: float, *, ended: bool) -> None:
        """A piece of the body, in a frame of `size` bytes."""
        self.heard = True
        response = self._response
        if response is None:
            self._malformed(CodedError("http2_protocol", "a body came before its head"))
            return
        self._window -= size
        if self._window < 0:
            self._connection.reset(self, FLOW_CONTROL_ERROR)
            self.fail(CodedError("http2_protocol", "more of the body came than was asked for", phase="body"))
            return
        if payload:
            if self._bodiless:
                response.warnings.append("extra_bytes")
                self._stop_sending()
                self._connection.reset(self, PROTOCOL_ERROR)
                self._finish()
                return
            if self._left is not None:
                self._left -= len(payload)
                if self._left < 0:
                    words = "more of the body came than Content-Length announced"
                    self._malformed(CodedError("http_bad_framing", words, phase="body"))
                    return
            trace = self.envelope.trace
            trace.last_byte = now
            trace.received += len(payload)
            response.feed(payload)
            if self._response is not response:
                return  # given up by whoever got it
        elif not ended:
            self._connection.count_empty("DATA without data")
        if ended:
            self._end()
        elif self._window < WINDOW // 2:
            self.resumeProducing()

    def _end(self) -> None:
        """The server has said all. Where it did so before it had all, it gets no more (RFC 9113 section 8.1)."""
        if self._stop_sending() and self._response is not None:
            self._response.warnings.append("body_unsent")
        if self._left:
            self._connection.ended(self)
            self.fail(CodedError("body_truncated", f"the stream ended {self._left:,} bytes before its announced end"))
            return
        self._connection.ended(self)
        self._finish()

    def _finish(self) -> None:
        response, self._response = self._response, None
        if response is not None:
            response.finish(DONE)

    def _malformed(self, error: CodedError) -> None:
        self._connection.reset(self, PROTOCOL_ERROR)
        self.fail(error)

    def fail(self, error: Exception) -> None:
        """End with this error; the connection has forgotten us already."""
        self._stop_sending()
        response, self._response = self._response, None
        deferred, self.deferred = self.deferred, None
        if response is not None:
            response.finish(Failure(error))
        elif deferred is not None:
            deferred.errback(Failure(error))

    def _cancelled(self, _: Deferred[Any]) -> None:
        self.abort()

    # The Source of the response.

    def pauseProducing(self) -> None:
        """The server stops by itself when its window is used up."""

    def resumeProducing(self) -> None:
        response = self._response
        more = WINDOW - self._window
        if response is not None and response.flowing and more > WINDOW // 2:
            self._window = WINDOW
            self._connection.grant(self, more)

    def abort(self) -> None:
        """End this exchange; the others go on."""
        self._response = self.deferred = None
        self._stop_sending()
        self._connection.cancel(self)

    def _stop_sending(self) -> bool:
        """Whether some of the request's body was still to be sent, which now is not."""
        sending = self.sending
        if sending is None or sending.ended:
            return False
        sending.stop()
        self.is_cut = True
        return True
