"""One attempt in flight, from its request to its Response: deadlines, limits, decoding and the clock of the phases.

A flight does not fail: whatever happens becomes a Response whose `error` says so, with what had arrived until then.
But for a disk that takes no more of a large body: that is a CodedError, and no news about the URL.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import UNKNOWN_LENGTH

from crawler.errors import CodedError
from crawler.fetch.budget import Budget
from crawler.fetch.client import Client
from crawler.fetch.connect.proxy import ProxyFailed
from crawler.fetch.connect.stalls import Stalls
from crawler.fetch.connect.throttle import Pauses, Throttles
from crawler.fetch.decode import Decoder, parse_encodings
from crawler.fetch.http11.envelope import Envelope, Trace
from crawler.fetch.http11.response import DONE, SWITCHING, WireResponse
from crawler.fetch.http11.turns import Turns
from crawler.fetch.limits import Limits
from crawler.fetch.saving.accept import Accept
from crawler.fetch.saving.landing import Landing
from crawler.fetch.saving.spools import Spools
from crawler.fetch.unpacking import Unpacking
from crawler.models import Request, Response, Timings, by_name
from crawler.urls import SOCKETS

_log = Logger()

MIN_RATE_GRACE: Final = 30.0
REDIRECT_SIZE: Final = 64 * 1024  # so much of the body of a redirect is read, that its connection may be kept
REDIRECT_SECONDS: Final = 2.0
_UNSENT: Final = frozenset(("dns", "connect"))
PARTIAL: Final = 206
_REDIRECTS: Final = frozenset((301, 302, 303, 307, 308))
_BROKEN_OFF: Final = frozenset(("body_truncated", "http_bad_chunk", "timeout_idle", "timeout_total", "too_slow"))


@dataclass(slots=True, kw_only=True)
class Parts:
    """What the flights of one Fetcher share. `ended` is called once with each of them, before its Deferred fires.

    `heard` gets the Set-Cookie lines of every answer as soon as its head is there.
    Large bodies go to the disk where there are `spools`; what `accept` does not want is not read.
    """

    clock: IReactorTime
    client: Client
    limits: Limits
    stalls: Stalls
    turns: Turns
    budget: Budget
    ended: Callable[[Flight], None]
    throttle: Throttles | None = None
    heard: Callable[[Request, Sequence[str]], bool] | None = None
    spools: Spools | None = None
    accept: Accept | None = None
    looks: bool = False  # whether there is one of the last three, for which heads are looked into


class Flight(Landing):
    """One attempt. It is the Protocol that takes the body."""

    _new_cookies = False  # of the class: only who looks has any

    __slots__ = (
        "_decoder", "_end", "_headers", "_leads_on", "_limit", "_looked", "_parts", "_pauses", "_request", "_response",
        "_sent", "_unpacking", "_wall", "done", "trace",
    )  # fmt: skip

    def __init__(self, parts: Parts, request: Request, now: float, wall: float) -> None:
        super().__init__(parts.budget)
        self.done: Deferred[Response] = Deferred(self._cancelled)
        self._parts = parts
        self._request = request
        self.trace = Trace(now)
        self._wall = wall
        self._sent: Deferred[Any] | None = None
        self._response: WireResponse | None = None
        self._headers: dict[str, list[str]] = {}
        self._decoder: Decoder | None = None
        self._unpacking: Unpacking | None = None
        self._end: tuple[CodedError | None] | None = None
        self._leads_on = False
        self._looked = False  # into the head: for cookies, and for where the body goes
        self._limit = parts.limits.max_size
        self._pauses: Pauses | None = None  # that we made ourselves

    def start(self, envelope: Envelope) -> None:
        """Send the request. The envelope is made of it and of `trace`."""
        request = self._request
        self._sent = sent = self._parts.client.request(request.method, request.url.href, headers=envelope)
        sent.addCallbacks(self._answered, self._failed)

    # Deadlines.

    def overdue(self, now: float) -> CodedError | None:
        """The deadline that has passed, if any."""
        limits, trace = self._parts.limits, self.trace
        # Of a WebSocket: all that was asked for is there, and that phase ends by itself. So it is with the disk.
        if trace.phase == "closing" or self._saving:
            return None
        free = self._parts.stalls.free if self._pauses is None else self._pauses.without(self._parts.stalls.free)
        if free(trace.started, now) > limits.total:
            return CodedError("timeout_total", f"not done after {limits.total:g} s", phase=trace.phase)
        waited = free(trace.phase_started, now)
        if trace.phase == "body":
            if self._response is not None and self._response.code == SWITCHING:
                return None  # messages come when they come; the connection knows how long to wait for them
            if free(trace.last_byte, now) > limits.idle and not self._busy:
                return CodedError("timeout_idle", f"no byte of the body for {limits.idle:g} s")
            if self._leads_on and waited > REDIRECT_SECONDS:
                return CodedError("timeout_idle", f"the body of the redirect did not end within {REDIRECT_SECONDS:g} s")
            if waited > MIN_RATE_GRACE and trace.received < limits.min_rate * waited:
                return CodedError("too_slow", f"{trace.received / waited:.0f} bytes/s, less than {limits.min_rate:g}")
            return None
        code, limit = limits.of(trace.phase)
        if waited <= limit:
            return None
        if trace.proxy is not None and trace.phase == "connect":
            return ProxyFailed("proxy_connect", f"{trace.proxy}: no way through it after {limit:g} s", blame="proxy")
        return CodedError(code, f"no result after {limit:g} s")

    def goes_on(self, error: CodedError) -> bool:
        """Whether there is another way to try when this deadline has passed: another proxy."""
        return self.trace.on_overdue is not None and self.trace.on_overdue(error)

    @property
    def _busy(self) -> bool:
        """Whether the server waits for us."""
        return self._waits or (self._unpacking is not None and self._unpacking.busy)

    def stop(self, error: CodedError) -> None:
        """End the fetch with an error of ours and close its socket."""
        if not self.done.called:
            # In this order: whoever hears of the end may at once open the next connection to the same host.
            self._close()
            self._finish(error)

    def _cancelled(self, _: Deferred[Response]) -> None:
        self._parts.ended(self)
        self._close()
        self._stop_unpacking()
        if self._spool is not None:  # what has come of it is there for another run
            self._spool.finish()

    def _stop_unpacking(self) -> None:
        unpacking, self._unpacking = self._unpacking, None
        if unpacking is not None:
            unpacking.stop()

    def _close(self) -> None:
        """Close the socket. Whoever does has the last word: what the agent says to that is no news."""
        sent, self._sent = self._sent, None
        if self._response is not None:
            self._response.abort()
        elif sent is not None:
            sent.cancel()

    # The answer.

    def _answered(self, response: WireResponse) -> None:
        self._response = response
        self._headers = headers = by_name(response.fields)
        parts = self._parts
        if parts.looks:
            self._looked = True
            if parts.heard is not None and "set-cookie" in headers:
                self._new_cookies = parts.heard(self._request, headers["set-cookie"])
        if response.head_size:
            self._weigh(2 * response.head_size)  # as it came, and as text
            if self.done.called:
                return
        if parts.looks:
            self._look_into(response, headers)
            if self.done.called:
                return
        limits = parts.limits
        if self._request.method != "HEAD" and response.code != SWITCHING:
            if response.code in _REDIRECTS and limits.follow and self._request.url.scheme not in SOCKETS:
                self._leads_on = any(headers.get("location", ()))
                if self._leads_on:
                    self._limit = min(self._limit, REDIRECT_SIZE)
            limit = self._limit
            if response.length is not UNKNOWN_LENGTH and response.length > limit and not limits.partial:
                words = f"{response.length:,} bytes are announced, more than {limit:,} (--max-size)"
                self.stop(CodedError("body_too_large", words))
                return
            if "content-encoding" in headers and response.code == PARTIAL:
                response.warnings.append("unknown_encoding")  # what is cut out of a compressed body is no such body
            elif "content-encoding" in headers:
                try:
                    codings = parse_encodings(headers["content-encoding"])
                except CodedError as error:
                    self.stop(error)
                    return
                if codings:
                    self._decoder = decoder = Decoder(codings, max_size=limit)
                    self._unpacking = Unpacking(
                        decoder,
                        self._parts.turns,
                        take=self._take,
                        room=self._room,
                        fail=self.stop,
                        wait=response.pauseProducing,
                        go_on=self._unpacked,
                    )
        response.deliverBody(self)

    def _look_into(self, response: WireResponse, headers: dict[str, list[str]]) -> None:
        """See from the head where the body goes. This may end the fetch."""
        parts = self._parts
        if (parts.spools is None and parts.accept is None) or response.code == SWITCHING:
            return
        refusal = self._look(self._request, response, headers, parts.accept)
        if refusal is not None and response.length is not UNKNOWN_LENGTH and response.length <= REDIRECT_SIZE:
            self._refusal = refusal  # what is left is read, that the connection may be kept
            self._limit = min(self._limit, REDIRECT_SIZE)
        elif refusal is not None:
            self.stop(refusal)
        elif self._spool is not None:
            self._limit -= self._spool.size

    def _failed(self, failure: Failure) -> None:
        if self._sent is not None:
            self._finish(_coded(failure))

    # IProtocol, for the body.

    def makeConnection(self, transport: Any) -> None:
        """The response itself is our handle on the transport."""

    def dataReceived(self, data: bytes) -> None:
        throttle = self._parts.throttle
        if throttle is not None:
            self._pause(throttle, len(data))
        beyond = self.trace.received - self._limit
        if beyond > 0:
            data = data[: len(data) - beyond]
        if self._unpacking is None:
            self._take(data)
            if self._response is not None and self._response.data is not None and not self.done.called:
                self._weigh(len(data))  # the messages of a WebSocket are there beside the body
        else:
            self._unpacking.feed(data)
        if beyond > 0 and not self.done.called:
            if self._response is not None:
                self._response.abort()
            self._ended(CodedError("body_too_large", f"more than {self._limit:,} bytes on the wire (--max-size)"))

    def connectionLost(self, reason: Failure) -> None:
        if not self.done.called:
            self._ended(None if reason is DONE else _coded(reason))

    def _pause(self, throttle: Throttles, size: int) -> None:
        if self._pauses is None:
            self._pauses = Pauses()
        self._pauses.begin(self._parts.clock.seconds())
        throttle.took(self, size)
        if self._response is not None:
            self._response.pauseProducing()

    def go_on(self) -> None:
        """The throttle lets more come."""
        assert self._pauses is not None
        self.trace.last_byte = now = self._parts.clock.seconds()
        self._pauses.end(now)
        self._resume()

    def _resume(self) -> None:
        """Have more sent, unless there is still something for which the sender has to wait."""
        if self._response is not None and not self._busy and (self._pauses is None or not self._pauses.lasting):
            self._response.resumeProducing()

    def _unpacked(self) -> None:
        """All that has come is decoded, after the server had to wait for that, or had ended meanwhile."""
        self.trace.last_byte = self._parts.clock.seconds()
        if self._end is not None:
            self._ended(*self._end)
        else:
            self._resume()

    # The disk.

    @property
    def _spools(self) -> Spools | None:
        return self._parts.spools

    def _outgrown(self, data: bytes) -> None:
        response = self._response
        assert response is not None
        coded = self._decoder is not None
        spool = self._spool_for(self._request, response, self._headers, coded=coded)
        spool.write(data)
        room = None if self._waits else spool.room()
        if room is not None:
            self._waits = True
            response.pauseProducing()
            room.addCallback(self._disk_ready)

    def _disk_ready(self, _: object) -> None:
        self._waits = False
        self.trace.last_byte = self._parts.clock.seconds()
        self._resume()

    def _disk_failed(self, error: CodedError) -> None:
        if not self.done.called:
            self._parts.ended(self)
            self._close()
            self._stop_unpacking()
            self.done.errback(error)

    def _ended(self, error: CodedError | None) -> None:
        """Nothing more will come."""
        if self._unpacking is not None and self._unpacking.busy:
            self._end = (error,)
            return
        decoder = self._decoder
        if error is None and decoder is not None:
            try:
                decoder.finish()
            except CodedError as problem:
                self._take(decoder.salvaged)
                error = problem
        if not self.done.called:  # there was no memory for what was salvaged
            self._finish(error)

    def _saved(self, error: CodedError | None) -> None:
        if not self.done.called:
            self._finish(self._misfit(self._request, self._headers) if self._resumed and error is None else error)

    def _finish(self, error: CodedError | None) -> None:
        if self._looked and self._spool is not None and self._is_saved_later(error):
            return
        trace, response = self.trace, self._response
        start = trace.started
        warnings: list[str] = []
        if response is not None and response.warnings:
            warnings += response.warnings
        if self._decoder is not None:
            warnings += self._decoder.warnings
        broken = None
        if error is not None:
            error.__traceback__ = None  # its frames hold pieces of the body
            if self._decoder is not None and self._decoder.whole and error.code in _BROKEN_OFF:
                warnings.append("early_end")
                error = None
            elif self._leads_on and error.phase in ("body", "decode"):
                broken = error.code
                error = None
        result = Response(  # more than 15 arguments by name would go through a dict
            Timings(
                None if trace.resolved is None else trace.resolved - start,
                None if trace.connected is None else trace.connected - start,
                None if trace.secured is None else trace.secured - start,
                None if trace.first_byte is None else trace.first_byte - start,
                self._parts.clock.seconds() - start,
            ),
            self._wall,
            None if response is None else response.code,
            http_version=None if response is None else response.http_version,
            raw_headers=[] if response is None else response.fields,
            headers=self._headers,
            body=self._whole(),
            size_download=trace.received,
            truncated=(error is not None or broken is not None) and response is not None,
            warnings=warnings,
            remote_ip=trace.remote_ip,
            reused=None if trace.phase in _UNSENT else trace.reused,
            proxy=None if trace.proxy is None else str(trace.proxy),
            error=error,
            broken=broken,
            data=None if response is None else response.data,
        )
        if self._looked:
            result.new_cookies = self._new_cookies
            if self._spool is not None or self._refusal is not None:
                self._land(self._request, result)
        self._parts.ended(self)
        # The response knows us as its protocol: without this each URL would leave a cycle for the garbage collector.
        self._response = self._sent = None
        self._stop_unpacking()
        self.done.callback(result)


def _coded(failure: Failure) -> CodedError:
    error = failure.value
    if isinstance(error, CodedError):
        return error
    _log.failure("a bug in a fetch", failure=failure)
    return CodedError("internal", f"{type(error).__name__}: {error}")
