"""The IResponse that our agent gives: it owns its connection, so abandoning it closes the socket."""

from __future__ import annotations

from typing import Any, Final, Protocol

from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.iweb import UNKNOWN_LENGTH, IResponse
from zope.interface import implementer

from crawler.fetch.http11.envelope import ResponseHeaders, Trace

_TURN: Final = 1 << 20  # bytes that are given before others have their turn
SWITCHING: Final = 101  # a WebSocket's; what has not asked for that never gets this as an answer
# One Failure for every body that ended well: making one costs 4 us.
DONE = Failure(ResponseDone("the body arrived whole"))


class Source(Protocol):
    """What a response asks of its connection."""

    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None: ...

    def abort(self) -> None: ...


@implementer(IResponse, IPushProducer)
class WireResponse:
    """A response whose body is still arriving.

    `fields` is the list of raw (name, value) pairs in wire order; `length` the announced body length or UNKNOWN_LENGTH;
    `warnings` codes of errors.WARNINGS. `deliverBody(protocol)` may be called once; its `connectionLost` gets
    ResponseDone or a CodedError. `abort()` closes the socket at once and delivers nothing more.
    """

    data: Any = None  # what came of it beside the body
    head_size = 0  # bytes, of a head that is large
    request: Any = None
    previousResponse: Any = None

    def __init__(
        self,
        connection: Source,
        version: str,
        code: int,
        fields: list[tuple[bytes, bytes]],
        length: Any,
        warnings: list[str],
    ) -> None:
        self._connection: Source | None = connection
        self.http_version = version
        self.code = code
        self.phrase = b""
        self.fields = fields
        self.length: Any = UNKNOWN_LENGTH if length is None else length
        self.warnings = warnings
        self._protocol: Any = None
        self._paused = False
        self._waiting: list[bytes] = []
        self._ended: Failure | None = None
        self._abandoned = False
        self._headers: ResponseHeaders | None = None

    @property
    def version(self) -> tuple[bytes, int, int]:
        major, _, minor = self.http_version.partition(".")
        return (b"HTTP", int(major), int(minor or 0))

    @property
    def headers(self) -> Any:
        if self._headers is None:
            self._headers = ResponseHeaders(self.fields)
        return self._headers

    def setPreviousResponse(self, response: Any) -> None:
        self.previousResponse = response

    def deliverBody(self, protocol: Any) -> None:
        if self._protocol is not None or self._abandoned:
            raise RuntimeError("deliverBody() may be called once, and not after abort()")
        self._protocol = protocol
        protocol.makeConnection(self)
        waiting, self._waiting = self._waiting, []
        for data in waiting:
            if not self._abandoned:
                protocol.dataReceived(data)
        if self._abandoned:
            return
        if self._ended is not None:
            protocol.connectionLost(self._ended)
        elif self._connection is not None and not self._paused:
            self._connection.resumeProducing()

    def abort(self) -> None:
        self._abandoned = True
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()

    # From the connection.

    def feed(self, data: bytes) -> None:
        if self._protocol is not None:
            self._protocol.dataReceived(data)
        else:
            self._waiting.append(data)

    def finish(self, reason: Failure) -> None:
        self._ended = reason
        self._connection = None
        if self._protocol is not None and not self._abandoned:
            self._protocol.connectionLost(reason)

    @property
    def flowing(self) -> bool:
        """Whether somebody takes the body, and wants more of it now."""
        return self._protocol is not None and not self._paused

    # IPushProducer, for whoever consumes the body.

    def pauseProducing(self) -> None:
        self._paused = True
        if self._connection is not None:
            self._connection.pauseProducing()

    def resumeProducing(self) -> None:
        self._paused = False
        if self._connection is not None:
            self._connection.resumeProducing()

    def stopProducing(self) -> None:
        self.abort()

    # What consumers call on the transport that makeConnection gave them: treq's and Twisted's readBody among them.
    loseConnection = stopProducing
    abortConnection = stopProducing


class Paced:
    """The Source of a response whose body lies on this machine: given as it is taken, with turns for others.

    `_next` gives the next piece, or finishes the response: after that there is none.
    """

    def __init__(self, clock: IReactorTime, trace: Trace) -> None:
        self._clock = clock
        self._trace = trace
        self._response: WireResponse | None = None
        self._running = False
        self._waiting: Any = None  # for its turn

    def _next(self, response: WireResponse) -> bytes:
        raise NotImplementedError

    def _let_go(self) -> None:
        """Let go of what it is read from."""
        raise NotImplementedError

    def pauseProducing(self) -> None:
        """It is asked whether it flows."""

    def resumeProducing(self) -> None:
        if not self._running and self._waiting is None:
            self._run()

    def abort(self) -> None:
        self._response = None
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        self._let_go()

    def _end(self, response: WireResponse, reason: Failure) -> None:
        self.abort()
        response.finish(reason)

    def _next_turn(self) -> None:
        self._waiting = None
        self._run()

    def _run(self) -> None:
        """Give what comes next of the body, as long as somebody takes it."""
        self._running = True
        try:
            given = 0
            while (response := self._response) is not None and response.flowing:
                if given > _TURN:
                    self._waiting = self._clock.callLater(0, self._next_turn)
                    return
                data = self._next(response)
                if data:
                    given += len(data)
                    self._trace.received += len(data)
                    self._trace.last_byte = self._clock.seconds()
                    response.feed(data)
        finally:
            self._running = False
