"""One Request to one Response: deadlines, limits, decoding and the clock of the phases.

A fetch never fails: whatever happens becomes a Response whose `error` says so, with what had arrived until then. A
redirect is not followed here; it is a hop that goes back through the frontier.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import UNKNOWN_LENGTH, IAgent

from crawler.errors import CodedError
from crawler.fetch.budget import Budget, Growing
from crawler.fetch.client import Client
from crawler.fetch.connect.stalls import Stalls
from crawler.fetch.decode import ACCEPT_ENCODING, Decoder, parse_encodings
from crawler.fetch.http11.envelope import Envelope, Trace
from crawler.fetch.http11.response import DONE, SWITCHING, WireResponse
from crawler.fetch.http11.turns import Turns
from crawler.fetch.limits import Limits
from crawler.fetch.typed import Typed
from crawler.fetch.unpacking import Unpacking
from crawler.models import Request, Response, Timings
from crawler.urls import SOCKETS

_log = Logger()

WATCH_INTERVAL: Final = 0.1
SECOND_LOOK: Final = 0.01  # so long that the reactor has looked at every socket meanwhile
MIN_RATE_GRACE: Final = 30.0
REDIRECT_SIZE: Final = 64 * 1024  # so much of the body of a redirect is read, that its connection may be kept
REDIRECT_SECONDS: Final = 2.0
_REDIRECTS: Final = frozenset((301, 302, 303, 307, 308))
_BROKEN_OFF: Final = frozenset(("body_truncated", "http_bad_chunk", "timeout_idle", "timeout_total", "too_slow"))


class Fetcher:
    """Fetches. `headers` are the user's (name, value) pairs, for requests that have a `login`: see Typed.

    Bodies count in `budget` while they arrive; whoever gets a Response has to see to it from then on.
    """

    def __init__(
        self,
        *,
        clock: IReactorTime,
        agent: IAgent,
        limits: Limits,
        user_agent: str,
        headers: Sequence[tuple[str, str]] = (),
        public_only: Callable[[Request], bool],
        login: Callable[[Request], str | None] | None = None,
        budget: Budget | None = None,
        wall_clock: Callable[[], float] = time.time,
        stalls: Stalls | None = None,
    ) -> None:
        self._clock = clock
        self._stalls = stalls or Stalls()
        self._was_late = False
        self._client = Client(agent)
        self._limits = limits
        self._public_only = public_only
        self._login = login or Typed().login
        self._wall_clock = wall_clock
        named = {name.lower() for name, _ in headers}
        common = [
            ("User-Agent", user_agent), ("Accept", "*/*"), ("Accept-Encoding", ACCEPT_ENCODING),
        ]  # fmt: skip
        safe = [pair for pair in common if pair[0].lower() not in named]
        safe += [pair for pair in headers if pair[0].lower() in ("user-agent", "accept", "accept-language")]
        private = [pair for pair in headers if pair not in safe]
        self._may_authorize = "authorization" not in named  # there is one credential in a request; as curl has it
        self._safe = _lines(safe) + b"\r\n"
        self._full = _lines([*private, *safe]) + b"\r\n"
        self._flights: dict[_Flight, None] = {}  # in the order in which they began
        self._watch: IDelayedCall | None = None
        self._turns = Turns(clock)
        self.budget = budget or Budget()
        self.budget.sources.append(self._largest)

    def fetch(
        self, request: Request, on_sent: Callable[[], None] | None = None, *, fresh: bool = False
    ) -> Deferred[Response]:
        """Fires with the Response; cancelling closes the socket and fails with CancelledError.

        `on_sent` is called when the request leaves: until then it may wait for the address and the connection. With
        `fresh` it goes over a new one: so is sent again what a Response with StaleConnection for its error has met.
        """
        flight = _Flight(self, request, self._clock.seconds(), self._wall_clock())
        if fresh:
            flight.trace.fresh = True
        flight.trace.on_sent = on_sent
        self._flights[flight] = None
        if self._watch is None:
            self._look_in(WATCH_INTERVAL)
        flight.start()
        return flight.done

    def _check(self) -> None:
        """Look at every deadline. One timer for all flights: a timer each costs 6 us per URL."""
        now = self._clock.seconds()
        assert self._watch is not None
        late = self._stalls.was_late(self._watch.getTime(), now)
        if late and not self._was_late:
            self._was_late = True
            self._look_in(SECOND_LOOK)
            return
        self._was_late = late
        for flight in list(self._flights):
            error = flight.overdue(now)
            if error is not None:
                flight.stop(error)
        self._watch = None
        if self._flights:
            self._look_in(WATCH_INTERVAL)

    def _look_in(self, seconds: float) -> None:
        self._watch = self._clock.callLater(seconds, self._check)

    def _largest(self) -> _Flight | None:
        return max(self._flights, key=attrgetter("held"), default=None)

    def _landed(self, flight: _Flight) -> None:
        self._flights.pop(flight, None)
        flight._let_go()
        if not self._flights and self._watch is not None and self._watch.active():
            self._watch.cancel()
            self._watch = None

    def _envelope(self, request: Request, trace: Trace) -> Envelope:
        url = request.url
        discovered = request.discovered
        login = self._login(request) if discovered else url.userinfo
        block = self._safe if login is None else self._full
        if login and self._may_authorize:
            block = b"Authorization: Basic %b\r\n%b" % (base64.b64encode(unquote_to_bytes(login)), block)
        line = f"{request.method} {url.target} HTTP/1.1\r\nHost: {url.authority}\r\n"
        key = (url.scheme, url.host, url.port, discovered and self._public_only(request))
        envelope = Envelope(key, request.method, line.encode("ascii") + block, trace)
        if request.attempt > 1:
            envelope.attempt = request.attempt
        return envelope


class _Flight(Growing):
    """One attempt in the air. It is the Protocol that takes the body."""

    __slots__ = (
        "_decoder", "_end", "_fetcher", "_headers", "_leads_on", "_limit", "_request", "_response", "_sent",
        "_unpacking", "_wall", "done", "trace",
    )  # fmt: skip

    def __init__(self, fetcher: Fetcher, request: Request, now: float, wall: float) -> None:
        super().__init__(fetcher.budget)
        self.done: Deferred[Response] = Deferred(self._cancelled)
        self._fetcher = fetcher
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
        self._limit = fetcher._limits.max_size

    def start(self) -> None:
        request, fetcher = self._request, self._fetcher
        envelope = fetcher._envelope(request, self.trace)
        self._sent = sent = fetcher._client.request(request.method, request.url.href, headers=envelope)
        sent.addCallbacks(self._answered, self._failed)

    # Deadlines.

    def overdue(self, now: float) -> CodedError | None:
        """The deadline that has passed, if any."""
        limits, trace = self._fetcher._limits, self.trace
        if trace.phase == "closing":  # of a WebSocket: all that was asked for is there, and that phase ends by itself
            return None
        free = self._fetcher._stalls.free
        if free(trace.started, now) > limits.total:
            return CodedError("timeout_total", f"not done after {limits.total:g} s", phase=trace.phase)
        waited = free(trace.phase_started, now)
        if trace.phase == "body":
            if self._response is not None and self._response.code == SWITCHING:
                return None  # messages come when they come; the connection knows how long to wait for them
            if free(trace.last_byte, now) > limits.idle and not (self._unpacking is not None and self._unpacking.busy):
                return CodedError("timeout_idle", f"no byte of the body for {limits.idle:g} s")
            if self._leads_on and waited > REDIRECT_SECONDS:
                return CodedError("timeout_idle", f"the body of the redirect did not end within {REDIRECT_SECONDS:g} s")
            if waited > MIN_RATE_GRACE and trace.received < limits.min_rate * waited:
                return CodedError("too_slow", f"{trace.received / waited:.0f} bytes/s, less than {limits.min_rate:g}")
            return None
        code, limit = limits.of(trace.phase)
        return CodedError(code, f"no result after {limit:g} s") if waited > limit else None

    def stop(self, error: CodedError) -> None:
        """End the fetch with an error of ours and close its socket."""
        if not self.done.called:
            # In this order: whoever hears of the end may at once open the next connection to the same host.
            self._close()
            self._finish(error)

    def _cancelled(self, _: Deferred[Response]) -> None:
        self._fetcher._landed(self)
        self._close()
        self._stop_unpacking()

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
        limits = self._fetcher._limits
        if self._request.method != "HEAD" and response.code != SWITCHING:
            if response.code in _REDIRECTS and limits.follow and self._request.url.scheme not in SOCKETS:
                self._leads_on = any(headers.get("location", ()))
                if self._leads_on:
                    self._limit = min(self._limit, REDIRECT_SIZE)
            limit = self._limit
            if response.length is not UNKNOWN_LENGTH and response.length > limit and not limits.partial:
                self.stop(CodedError("body_too_large", f"{response.length} bytes announced (allowed: {limit})"))
                return
            if "content-encoding" in headers:
                try:
                    codings = parse_encodings(headers["content-encoding"])
                except CodedError as error:
                    self.stop(error)
                    return
                if codings:
                    self._decoder = decoder = Decoder(codings, max_size=limit)
                    self._unpacking = Unpacking(
                        decoder,
                        self._fetcher._turns,
                        take=self._take,
                        fail=self.stop,
                        wait=response.pauseProducing,
                        go_on=self._unpacked,
                    )
        response.deliverBody(self)

    def _failed(self, failure: Failure) -> None:
        if self._sent is not None:
            self._finish(_coded(failure))

    # IProtocol, for the body.

    def makeConnection(self, transport: Any) -> None:
        """The response itself is our handle on the transport."""

    def dataReceived(self, data: bytes) -> None:
        beyond = self.trace.received - self._limit
        if beyond > 0:
            data = data[: len(data) - beyond]
        if self._unpacking is None:
            self._take(data)
        else:
            self._unpacking.feed(data)
        if beyond > 0 and not self.done.called:
            if self._response is not None:
                self._response.abort()
            self._ended(CodedError("body_too_large", f"more than {self._limit:,} bytes on the wire (--max-size)"))

    def connectionLost(self, reason: Failure) -> None:
        if not self.done.called:
            self._ended(None if reason is DONE else _coded(reason))

    def _unpacked(self) -> None:
        """All that has come is decoded, after the server had to wait for that, or had ended meanwhile."""
        self.trace.last_byte = self._fetcher._clock.seconds()
        if self._end is not None:
            self._ended(*self._end)
        elif self._response is not None:
            self._response.resumeProducing()

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

    def _finish(self, error: CodedError | None) -> None:
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
        result = Response(
            timings=Timings(
                None if trace.resolved is None else trace.resolved - start,
                None if trace.connected is None else trace.connected - start,
                None if trace.secured is None else trace.secured - start,
                None if trace.first_byte is None else trace.first_byte - start,
                self._fetcher._clock.seconds() - start,
            ),
            started=self._wall,
            status=None if response is None else response.code,
            http_version=None if response is None else response.http_version,
            raw_headers=[] if response is None else response.fields,
            headers=self._headers,
            body=self._whole(),
            size_download=trace.received,
            truncated=(error is not None or broken is not None) and response is not None,
            warnings=warnings,
            remote_ip=trace.remote_ip,
            reused=None if trace.remote_ip is None else trace.reused,
            error=error,
            broken=broken,
            data=None if response is None else response.data,
        )
        self._fetcher._landed(self)
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


def _lines(pairs: Sequence[tuple[str, str]]) -> bytes:
    return b"".join(
        b"%b: %b\r\n" % (name.encode("ascii"), value.encode("utf-8", "surrogateescape")) for name, value in pairs
    )


@lru_cache(maxsize=4096)
def _name(raw: bytes) -> str:
    return raw.decode("latin-1").lower()


def by_name(fields: Sequence[tuple[bytes, bytes]]) -> dict[str, list[str]]:
    """Raw header pairs as lower-case name -> values, latin-1 (RFC 9110 section 5.5)."""
    headers: dict[str, list[str]] = {}
    for raw, value in fields:
        name = _name(raw)
        if name in headers:
            headers[name].append(value.decode("latin-1"))
        else:
            headers[name] = [value.decode("latin-1")]
    return headers
