"""One HTTP/1.1 connection: a Twisted Protocol around the reader of its answers; one exchange at a time, no pipelining.

Rules:
- Deferreds fire after the reader has returned, so nothing that we call can re-enter it.
- Any anomaly (a mended head, bytes that nobody asked for, a malformed chunk) closes the connection after the exchange:
  what is out of step is never reused.
- The clock is read once per segment.
- What takes long to read (chunks of a byte) is read in turns with all that the reactor has to do; meanwhile the
  transport is paused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from typing import Protocol as Interface

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web.iweb import IBodyProducer

from crawler.errors import CodedError, StaleConnection
from crawler.fetch.http11.answer import SOME, AnswerReader
from crawler.fetch.http11.envelope import Envelope, Key, Now
from crawler.fetch.http11.response import DONE, WireResponse
from crawler.fetch.sending.producing import Producing

LARGE_HEAD: Final = 4096  # smaller ones are not worth counting
LINES: Final = 512  # of chunks, that are read before others have their turn: under a millisecond


class NoCloseNotify(ConnectionLost):
    """TLS ended by a mere FIN (RFC 8446 section 6.1): what was sent last may be missing, by accident or by attack."""


class Carrier(Interface):
    """A connection as the pool, the endpoint and the agent see it.

    It carries one exchange after the other; or, if it is `shared`, many at once: then each `send` begins one more.
    """

    key: Key
    remote_ip: str | None
    idle_since: float
    shared: bool

    @property
    def usable(self) -> bool: ...

    def send(self, envelope: Envelope) -> Deferred[WireResponse]: ...

    def abort(self) -> None: ...

    def makeConnection(self, transport: Any) -> None: ...

    def dataReceived(self, data: bytes) -> None: ...

    def connectionLost(self, reason: Failure) -> None: ...


class Owner(Interface):
    """Who wants to know when a connection is free again, takes no more requests, or is gone: the pool."""

    def released(self, connection: Carrier) -> None: ...

    def retired(self, connection: Carrier) -> None: ...

    def gone(self, connection: Carrier) -> None: ...

    def take_turns(self, work: Iterator[None]) -> None: ...


class Connection(AnswerReader, Protocol):
    """Carries requests to one origin, one after the other."""

    shared = False

    def __init__(self, key: Key, owner: Owner, now: Now) -> None:
        super().__init__()
        self.key = key
        self.remote_ip: str | None = None
        self.idle_since = 0.0
        self._owner = owner
        self._now = now
        self._envelope: Envelope | None = None
        self._deferred: Deferred[WireResponse] | None = None
        self._response: WireResponse | None = None
        self._producing: Producing | None = None  # what is still to be sent
        self._lost = False
        self._why_lost = Failure(_stale())
        self._reused = False
        self._paused = False
        self._in_turns = False
        self._late: Failure | None = None  # why the connection was lost, while there was still something to read

    # What the agent and the pool ask.

    def send(self, envelope: Envelope) -> Deferred[WireResponse]:
        """Write the request. Fires with a WireResponse once its head is there; cancelling closes the socket.

        Fails with CodedError: StaleConnection when a reused connection brought nothing, or what nobody had asked for.
        """
        now = self._now()
        trace = envelope.trace
        trace.sent(now)
        trace.remote_ip = self.remote_ip
        trace.reused = self._reused
        self._envelope = envelope
        self._method = envelope.method
        deferred: Deferred[WireResponse] = Deferred(self._cancelled)
        self._deferred = deferred
        if self._lost:  # the server closed, or spoke out of turn, between connecting and sending
            self._envelope = self._deferred = None
            deferred.errback(self._why_lost)
            return deferred
        if envelope.body is None:
            self.transport.write(envelope.head)  # type: ignore[union-attr]
        else:
            self._send_body(envelope, envelope.body)
        return deferred

    def _send_body(self, envelope: Envelope, body: bytes | IBodyProducer) -> None:
        transport: Any = self.transport
        if isinstance(body, bytes):
            transport.write(envelope.head + body)
            return
        transport.write(envelope.head)
        trace, now = envelope.trace, self._now
        trace.enter("send", now())

        def wrote() -> None:
            trace.wrote(now())

        self._producing = Producing(body, transport, wrote=wrote, done=self._sent)
        self._producing.start()

    def _sent(self, error: CodedError | None) -> None:
        """The whole body is written, or cannot be."""
        self._producing = None
        envelope = self._envelope
        if error is not None:
            self._fail(error)
        elif envelope is not None and envelope.trace.phase == "send":
            envelope.trace.enter("headers", self._now())

    def _stop_sending(self) -> bool:
        """Whether some of the body was still to be sent, which now is not: nothing else can be sent after that."""
        producing, self._producing = self._producing, None
        if producing is None:
            return False
        producing.stop()
        return True

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
        if self._paused and not self._lost and not self._more:
            self._paused = False
            self.transport.resumeProducing()  # type: ignore[union-attr]

    def _cancelled(self, _: Deferred[Any]) -> None:
        self._deferred = None
        self.abort()

    def _drop(self) -> None:
        self._stop_sending()
        if not self._lost:
            self._lost = True
            self.transport.abortConnection()  # type: ignore[union-attr]
            self._owner.gone(self)

    # What the transport tells.

    def dataReceived(self, data: bytes) -> None:
        envelope = self._envelope
        if envelope is None:
            if not self._lost:  # late bytes on an idle connection would become the next URL's response
                if self._reused:
                    self._why_lost = Failure(_stale())
                else:
                    self._why_lost = Failure(_spoke_first(data))
                self._drop()
            return
        trace = envelope.trace
        trace.last_byte = now = self._now()
        if trace.first_byte is None:
            trace.first_byte = now
        try:
            self._came(data)
        except CodedError as error:
            self._fail(self._left_over() or error)
            return
        if self._extra and self._reused and self._response is None and self._extra.startswith(b"HTTP/"):
            self._headers_done = False  # the first of these may be left over, and the second ours
            self._fail(StaleConnection("http_desync", "two answers came to one request"))
            return
        self._dispatch(envelope)

    def connectionLost(self, reason: Failure = DONE) -> None:
        was_lost, self._lost = self._lost, True
        self._stop_sending()
        if not was_lost:
            self._owner.gone(self)
        envelope = self._envelope
        if envelope is None:
            if not was_lost:
                self._why_lost = Failure(self._before_answer(reason))
            return
        if self._more:
            self._late = reason
        elif self._headers_done:
            self._ended_by(reason, envelope)
        elif envelope.trace.first_byte is None:
            self._fail(self._before_answer(reason))
        else:
            self._fail(self._left_over() or cut_off(reason, CodedError("http_truncated_headers")))

    def _ended_by(self, reason: Failure, envelope: Envelope) -> None:
        """The connection is lost inside the body, or at its end: RFC 9112 section 6.3."""
        clean = reason.check(ConnectionDone) is not None
        unnoticed = reason.check(NoCloseNotify) is not None
        if self._length is None and self._chunked is None and (clean or unnoticed):
            if unnoticed:
                self._warnings.append("no_close_notify")
            self._complete = True
            self._dispatch(envelope)
            return
        how = "closed" if clean else "cut"
        self._fail(cut_off(reason, CodedError("body_truncated", f"the connection was {how} inside the body")))

    def _before_answer(self, reason: Failure) -> Exception:
        """What it means that the connection ended before the first byte of an answer."""
        if self._reused:
            return _stale()
        if isinstance(reason.value, CodedError):  # TLS 1.3 tells only now that it wants a client certificate
            return reason.value
        if reason.check(ConnectionDone):
            return CodedError("empty_reply")
        sending = self._envelope is not None and self._envelope.trace.phase == "send"
        when = "while the body was sent" if sending else "before the answer"
        return cut_off(reason, CodedError("conn_reset", f"{when}: {reason.getErrorMessage()}"))

    def _left_over(self) -> StaleConnection | None:
        """Whether what has come is no answer but the rest of the one before: a body after HEAD, 204 or 304, say.

        A byte of "HTTP/" is enough of an answer: from then on the server has seen the request.
        """
        if not self._reused or self._headers_done or self._interim or not self._held:
            return None  # nothing is held of what began as an answer and was refused
        start = b"".join(self._held).lstrip(b"\r\n")[:SOME]
        if not start:
            return _stale()
        if b"HTTP/".startswith(start[:5].upper()):
            return None
        return StaleConnection("http_desync", f"the rest of an earlier answer came instead: {start!r}")

    # Results.

    def _dispatch(self, envelope: Envelope) -> None:
        """Tell what the last segment brought: the response, pieces of its body, its end."""
        if not self._headers_done:
            return
        response = self._response
        if response is None:
            envelope.trace.enter("body", envelope.trace.last_byte)
            # RFC 9112 section 9.3: who has refused the request reads on for politeness only, or not at all.
            if self._producing is not None and self._status >= 300 and self._stop_sending():
                self._warnings.append("body_unsent")
            response = self._response = WireResponse(
                self, self._version, self._status, self._fields, self._length, self._warnings
            )
            if self._head_size > LARGE_HEAD:
                response.head_size = self._head_size
            deferred, self._deferred = self._deferred, None
            assert deferred is not None
            deferred.callback(response)
            if self._response is not response:
                return  # aborted by whoever got it
        if self._pieces:
            data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
            self._pieces.clear()
            envelope.trace.received += len(data)
            response.feed(data)
            if self._response is not response:
                return
        if self._complete:
            self._end(response)
        elif self._more:
            self._go_on_later(envelope)
        elif not response.flowing:
            self.pauseProducing()

    def _go_on_later(self, envelope: Envelope) -> None:
        """There is more to read than this turn of the reactor has time for."""
        self.pauseProducing()
        if not self._in_turns:
            self._in_turns = True
            self._owner.take_turns(self._going_on(envelope))

    def _going_on(self, envelope: Envelope) -> Iterator[None]:
        """Read on, a slice at a time: until there is no more, or the exchange is over."""
        try:
            while self._more:
                yield
                if self._envelope is not envelope:
                    return
                envelope.trace.last_byte = self._now()  # the server does not keep us waiting: we do
                try:
                    self._read_on(LINES)
                except CodedError as error:
                    self._fail(error)
                    return
                self._dispatch(envelope)
                if self._envelope is not envelope:
                    return
        except Exception:  # a bug: it is told as one that is met in dataReceived
            self._more = False
            self.transport.abortConnection()  # type: ignore[union-attr]
            self.connectionLost(Failure())
            return
        finally:
            self._in_turns = False
        response, reason = self._response, self._late
        if reason is not None:
            self._ended_by(reason, envelope)
        elif response is not None and response.flowing:
            self.resumeProducing()

    def _end(self, response: WireResponse) -> None:
        if self._producing is not None and self._stop_sending():
            self._warnings.append("body_unsent")
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
        self._more = False
        if response is None and self._headers_done and deferred is not None and envelope is not None:
            self._dispatch(envelope)  # the head was fine: the response is told, then its body fails
            response, deferred = self._response, None
        elif response is not None and self._pieces:
            data = b"".join(self._pieces)
            self._pieces.clear()
            response.feed(data)
            response = self._response
        self._envelope = self._response = self._deferred = None
        self._drop()
        if response is not None:
            response.finish(Failure(error))
        elif deferred is not None:
            deferred.errback(Failure(error))


def _stale() -> StaleConnection:
    return StaleConnection("empty_reply", "the kept connection was closed before any answer")


def _spoke_first(data: bytes) -> CodedError:
    if data.startswith(b"HTTP/"):
        return CodedError("http_desync", "an answer arrived before the request was sent")
    return CodedError("http_not_http", f"the server spoke first: {data[:40]!r}")


def cut_off(reason: Failure, error: CodedError) -> CodedError:
    """The error that a lost connection means; a bug met while reading closes the connection, too, and says so here."""
    if isinstance(reason.value, CodedError) or reason.check(ConnectionDone, ConnectionLost):
        return error
    return CodedError("internal", f"{type(reason.value).__name__}: {reason.value}")
