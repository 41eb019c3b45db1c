"""One Request to one Response: who we say we are, what is in flight, and one timer for all of its deadlines.

A redirect is not followed here; it is a hop that goes back through the frontier.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import TYPE_CHECKING, Final, Protocol, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.web.iweb import IAgent

from crawler.fetch.auth.logins import Logins
from crawler.fetch.budget import Budget
from crawler.fetch.client import Client
from crawler.fetch.connect.stalls import Stalls
from crawler.fetch.connect.throttle import Throttles
from crawler.fetch.cookies.keeping import Cookies
from crawler.fetch.flight import Flight, Parts
from crawler.fetch.heads import Heads, Pairs
from crawler.fetch.http11.envelope import Envelope, Key
from crawler.fetch.http11.turns import Turns
from crawler.fetch.limits import Limits
from crawler.fetch.saving.accept import Accept
from crawler.fetch.saving.spools import Spools
from crawler.fetch.sending.body import outgoing
from crawler.fetch.typed import Typed
from crawler.models import Request, Response

if TYPE_CHECKING:
    from crawler.fetch.archive.tape import Tape
    from crawler.fetch.archive.taping import Takes, TapedFlight

WATCH_INTERVAL: Final = 0.1
SECOND_LOOK: Final = 0.01  # so long that the reactor has looked at every socket meanwhile


class Fetches(Protocol):
    """What a run needs of whatever fetches for it."""

    @property
    def heads(self) -> Heads: ...

    @property
    def budget(self) -> Budget: ...

    def fetch(
        self, request: Request, on_sent: Callable[[], None] | None = None, *, fresh: bool = False
    ) -> Deferred[Response]:
        """See Fetcher."""


class FetchesWithHead(Fetches, Protocol):
    """What may stand behind a cache."""

    parts: Parts

    def fetch(
        self,
        request: Request,
        on_sent: Callable[[], None] | None = None,
        *,
        fresh: bool = False,
        head: bytes | None = None,
    ) -> Deferred[Response]:
        """See Fetcher."""

    def public_only(self, request: Request) -> bool:
        """See Fetcher."""


class Fetcher:
    """Fetches. `headers` are the user's (name, value) pairs, for requests that have a `login`: see Typed.

    `timeout_at` and `headers_at`, if there are any, tell by `Url.host_key` the time for a fetch as a whole at a host,
    if that is not `limits.total`, and the headers for it alone: see Heads. `cookies` are sent and kept as they say.
    An `archive` takes each exchange before its Response is given; without one there may be another kind of `flight`.

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
        logins: Logins | None = None,
        budget: Budget | None = None,
        wall_clock: Callable[[], float] = time.time,
        stalls: Stalls | None = None,
        timeout_at: Callable[[str], float | None] | None = None,
        headers_at: Callable[[str], Pairs] | None = None,
        throttle: Throttles | None = None,
        cookies: Cookies | None = None,
        spools: Spools | None = None,
        accept: Accept | None = None,
        archive: Takes | None = None,
        flight: type[Flight] | None = None,
    ) -> None:
        self.takes_turns = False  # whether proxies do: each try of a URL is another turn, its redirects are none
        self._clock = clock
        self._was_late = False
        self._archive = archive
        self._archive_folder = None if archive is None else archive.folder
        self._flight = flight or Flight
        if archive is not None:
            from crawler.fetch.archive.taping import TapedFlight

            self._flight = TapedFlight
        self._public_only = public_only
        self.heads = Heads(
            user_agent=user_agent,
            headers=headers,
            login=login or Typed().login,
            logins=logins,
            headers_at=headers_at,
            sources=[cookies.source] if cookies is not None and cookies.sends_always else (),
            chained=None if cookies is None or cookies.sends_always else cookies.source,
        )
        self._timeout_at = timeout_at
        self._parts_of: dict[float, Parts] = {}
        self._wall_clock = wall_clock
        self._flights: dict[Flight, None] = {}  # in the order in which they began
        self._watch: IDelayedCall | None = None
        self.budget = budget or Budget()
        heard = cookies.heard if cookies is not None and cookies.keeps_runs else None
        self.parts = Parts(
            clock=clock,
            client=Client(agent),
            limits=limits,
            stalls=stalls or Stalls(),
            turns=Turns(clock),
            budget=self.budget,
            ended=self._ended,
            throttle=throttle,
            heard=heard,
            spools=spools,
            accept=accept,
            looks=not (heard is None and spools is None and accept is None),
        )
        self.budget.sources.append(self._largest)
        self._keeps = spools is not None or archive is not None

    def fetch(
        self,
        request: Request,
        on_sent: Callable[[], None] | None = None,
        *,
        fresh: bool = False,
        head: bytes | None = None,
    ) -> Deferred[Response]:
        """Fires with the Response; cancelling closes the socket and fails with CancelledError.

        `on_sent` is called when the request leaves: until then it may wait for the address and the connection. With
        `fresh` it goes over a new one: so is sent again what a Response with StaleConnection for its error has met.
        A `head` that is given is sent as it is.
        """
        parts = self.parts if self._timeout_at is None else self._parts_at(request.url.host_key)
        flight = self._flight(parts, request, self._clock.seconds(), self._wall_clock())
        if fresh:
            flight.trace.fresh = True
        flight.trace.on_sent = on_sent
        self._flights[flight] = None
        if self._watch is None:
            self._look_in(WATCH_INTERVAL)
        envelope = self._kept_envelope(request, flight, head) if self._keeps else self._envelope(request, head, flight)
        flight.start(envelope)
        return flight.done

    def _kept_envelope(self, request: Request, flight: Flight, head: bytes | None) -> Envelope:
        """That of a request which may ask for the rest of a body, or whose exchange is archived."""
        if self.parts.spools is not None:
            flight.part = self.parts.spools.part(request)
        envelope = self._envelope(request, head, flight)
        if flight.part is not None:
            envelope.head = flight.ask_for_rest(envelope.head)
        if self._archive is not None:
            flight = cast("TapedFlight", flight)
            envelope.tape = tape = flight.tape
            tape.head, tape.body, tape.folder = envelope.head, envelope.body, self._archive_folder
            flight.done.addCallback(self._keep, request, tape)
        return envelope

    def _keep(self, response: Response, request: Request, tape: Tape) -> Response | Deferred[Response]:
        assert self._archive is not None
        kept = self._archive.take(request, tape, response)
        return response if kept is None else kept.addCallback(lambda _: response)

    def head(self, request: Request) -> bytes:
        """The head of a request, for another process to send."""
        return self.heads.of(request, None if request.ask is None else outgoing(request.ask, self._clock))

    def public_only(self, request: Request) -> bool:
        """Whether it must lead to a public address."""
        return request.discovered and self._public_only(request)

    def _parts_at(self, host_key: str) -> Parts:
        """Those with the limits of a host."""
        assert self._timeout_at is not None
        total = self._timeout_at(host_key)
        if total is None:
            return self.parts
        parts = self._parts_of.get(total)
        if parts is None:
            limits = replace(self.parts.limits, total=total)
            parts = self._parts_of[total] = replace(self.parts, limits=limits)
        return parts

    def _check(self) -> None:
        """Look at every deadline. One timer for all flights: a timer each costs 6 us per URL."""
        now = self._clock.seconds()
        assert self._watch is not None
        late = self.parts.stalls.was_late(self._watch.getTime(), now)
        if late and not self._was_late:
            self._was_late = True
            self._look_in(SECOND_LOOK)
            return
        self._was_late = late
        for flight in list(self._flights):
            error = flight.overdue(now)
            if error is not None and not flight.goes_on(error):
                flight.stop(error)
        self._watch = None
        if self._flights:
            self._look_in(WATCH_INTERVAL)

    def _look_in(self, seconds: float) -> None:
        self._watch = self._clock.callLater(seconds, self._check)

    def _largest(self) -> Flight | None:
        return max(self._flights, key=attrgetter("held"), default=None)

    def _ended(self, flight: Flight) -> None:
        self._flights.pop(flight, None)
        flight.let_go()
        if self.parts.throttle is not None:
            self.parts.throttle.forget(flight)
        if flight.trace.on_end is not None:
            flight.trace.on_end()
        if not self._flights and self._watch is not None and self._watch.active():
            self._watch.cancel()
            self._watch = None

    def _envelope(self, request: Request, head: bytes | None, flight: Flight) -> Envelope:
        url = request.url
        key = Key(url.scheme, url.host, url.port, request.discovered and self._public_only(request))
        body = None if request.ask is None else outgoing(request.ask, self._clock, head)
        if head is None:
            head = self.heads.of(request, body)
        envelope = Envelope(key, request.method, head, flight.trace)
        if body is not None:
            envelope.body = body.content
        if request.attempt > 1:
            envelope.attempt = request.attempt
        if self.takes_turns:
            envelope.turn = request.id + request.attempt
        return envelope
