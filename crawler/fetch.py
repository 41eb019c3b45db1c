"""One Request to one Response: deadlines, limits, decoding and the clock of the phases.

A fetch never fails: whatever happens becomes a Response whose `error` says so, with what had arrived until then. A
redirect is not followed here; it is a hop that goes back through the frontier.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import UNKNOWN_LENGTH, IAgent

from crawler.budget import Budget, Growing
from crawler.client import Client
from crawler.decode import ACCEPT_ENCODING, Decoder, parse_encodings
from crawler.errors import CodedError
from crawler.http11.envelope import Envelope, Trace
from crawler.http11.response import DONE, SWITCHING, WireResponse
from crawler.http11.stalls import Stalls
from crawler.models import Request, Response, Timings
from crawler.typed import Typed

_log = Logger()

WATCH_INTERVAL: Final = 0.1
SECOND_LOOK: Final = 0.01  # so long that the reactor has looked at every socket meanwhile
MIN_RATE_GRACE: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Seconds per phase and in all, of those in which the reactor was free; `max_size` in bytes; `min_rate` in bytes
    per second, judged after 30 s of body.

    With `partial` what comes before `max_size` is had, however much was announced.
    """

    total: float = 60.0
    dns: float = 5.0
    connect: float = 10.0
    tls: float = 10.0
    headers: float = 20.0
    idle: float = 20.0
    min_rate: float = 100.0
    max_size: int = 10 * 1024 * 1024
    partial: bool = False

    def of(self, phase: str) -> tuple[str, float]:
        """The code and the limit of a phase before the body."""
        return {
            "dns": ("dns_timeout", self.dns),
            "connect": ("connect_timeout", self.connect),
            "tls": ("timeout_tls", self.tls),
            "headers": ("timeout_headers", self.headers),
        }[phase]


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
        login = self._login(request) if request.discovered else url.userinfo
        block = self._safe if login is None else self._full
        if login and self._may_authorize:
            block = b"Authorization: Basic %b\r\n%b" % (base64.b64encode(unquote_to_bytes(login)), block)
        line = f"{request.method} {url.target} HTTP/1.1\r\nHost: {url.authority}\r\n"
        key = (url.scheme, url.host, url.port, request.discovered and self._public_only(request))
        envelope = Envelope(key, request.method, line.encode("ascii") + block, trace)
        if request.attempt > 1:
            envelope.attempt = request.attempt
        return envelope


class _Flight(Growing):
    """One attempt in the air. It is the Protocol that takes the body."""

    __slots__ = (
        "_decoder", "_fetcher", "_headers", "_request", "_response", "_sent", "_wall", "done", "trace",
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
            if free(trace.last_byte, now) > limits.idle:
                return CodedError("timeout_idle", f"no byte of the body for {limits.idle:g} s")
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
        limit = self._fetcher._limits.max_size
        if self._request.method != "HEAD" and response.code != SWITCHING:
            if response.length is not UNKNOWN_LENGTH and response.length > limit and not self._fetcher._limits.partial:
                self.stop(CodedError("body_too_large", f"{response.length} bytes announced (allowed: {limit})"))
                return
            if "content-encoding" in headers:
                try:
                    codings = parse_encodings(headers["content-encoding"])
                except CodedError as error:
                    self.stop(error)
                    return
                self._decoder = Decoder(codings, max_size=limit) if codings else None
        response.deliverBody(self)

    def _failed(self, failure: Failure) -> None:
        if self._sent is not None:
            self._finish(_coded(failure))

    # IProtocol, for the body.

    def makeConnection(self, transport: Any) -> None:
        """The response itself is our handle on the transport."""

    def dataReceived(self, data: bytes) -> None:
        limit = self._fetcher._limits.max_size
        beyond = self.trace.received - limit
        try:
            self._keep(data if beyond <= 0 else data[: len(data) - beyond])
        except CodedError as error:
            self.stop(error)
        else:
            if beyond > 0:
                self.stop(CodedError("body_too_large", f"more than {limit} bytes on the wire"))

    def _keep(self, data: bytes) -> None:
        decoder = self._decoder
        if decoder is not None:
            try:
                data = decoder.feed(data)
            except CodedError:
                self._take(decoder.salvaged)
                raise
        self._take(data)

    def connectionLost(self, reason: Failure) -> None:
        if self.done.called:
            return
        error = None if reason is DONE else _coded(reason)
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
        if error is not None:
            error.__traceback__ = None  # its frames hold pieces of the body
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
            truncated=error is not None and response is not None,
            warnings=warnings,
            remote_ip=trace.remote_ip,
            reused=None if trace.remote_ip is None else trace.reused,
            error=error,
            data=None if response is None else response.data,
        )
        self._fetcher._landed(self)
        # The response knows us as its protocol: without this each URL would leave a cycle for the garbage collector.
        self._response = self._sent = None
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
