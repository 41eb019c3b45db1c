"""Which origins speak HTTP/2, and who dials them: of simultaneous first requests to one of them, one.

Whoever asks next waits for the first to hear what the server speaks, for a moment. Where that is HTTP/2 they share the
connection, where it is not each gets one of its own, at once, and nobody waits for that origin again.
"""

from __future__ import annotations

from typing import Any, Final
from typing import Protocol as Interface

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from crawler.fetch.http2.connection import Multiplexed
from crawler.fetch.http11.agent import Connects
from crawler.fetch.http11.connection import Carrier, Owner
from crawler.fetch.http11.envelope import Envelope, Key
from crawler.fetch.http11.tls import Context

WAIT: Final = 1.0  # seconds, for whoever dials first; then each dials for itself
KNOWN: Final = 10_000

Origin = tuple[str, int]


class Shares(Owner, Interface):
    """The pool."""

    def take_shared(self, key: Key) -> Carrier | None: ...


class Origins:
    """What HTTP/2 is to an Endpoint: `context` offers it. Remembers who does not speak it."""

    def __init__(self, *, clock: IReactorTime, pool: Shares, context: Context) -> None:
        self.context = context
        self._clock = clock
        self._pool = pool
        self._speaks: dict[Origin, bool] = {}
        self._refused: dict[Origin, None] = {}

    def before(self, endpoint: Connects) -> FirstAlone:
        """What an agent asks instead of this endpoint."""
        return FirstAlone(endpoint, origins=self, pool=self._pool, clock=self._clock)

    def may_serve(self, key: Key) -> bool:
        return _origin(key) not in self._refused

    def connection(self, key: Key) -> Carrier:
        return Multiplexed(key, self._pool, self._clock, self.refuse)

    def refuse(self, key: Key) -> None:
        """The server wants HTTP/1.1 (RFC 9113 section 7): it is offered nothing else in this run."""
        _note(self._refused, _origin(key), None)
        self.learn(key, shared=False)

    def learn(self, key: Key, *, shared: bool) -> None:
        _note(self._speaks, _origin(key), shared)

    def may_share(self, key: Key) -> bool:
        """Whether it is worth waiting for a connection to this origin: unless it is known to speak HTTP/1.1 alone."""
        return self._speaks.get(_origin(key), True)


class FirstAlone:
    """An endpoint that lets one request dial, for all that may share the connection that comes of it."""

    def __init__(self, endpoint: Connects, *, origins: Origins, pool: Shares, clock: IReactorTime) -> None:
        self._endpoint = endpoint
        self._origins = origins
        self._pool = pool
        self._clock = clock
        self._waiting: dict[Key, dict[Deferred[Any], IDelayedCall]] = {}

    def connect(self, envelope: Envelope) -> Deferred[Carrier]:
        """As Endpoint.connect; the connection may be one that was there already."""
        key = envelope.key
        if key.scheme != "https" or not self._origins.may_share(key):
            return self._endpoint.connect(envelope)
        shared = self._pool.take_shared(key)
        if shared is not None:
            return succeed(shared)
        waiting = self._waiting.get(key)
        if waiting is not None:
            return self._wait(waiting, envelope)
        self._waiting[key] = {}
        return self._endpoint.connect(envelope).addBoth(self._dialled, key)

    def _wait(self, waiting: dict[Deferred[Any], IDelayedCall], envelope: Envelope) -> Deferred[Carrier]:
        def given_up(turn: Deferred[Any]) -> None:
            waiting.pop(turn).cancel()

        def late() -> None:
            del waiting[turn]
            turn.callback(None)

        turn: Deferred[Any] = Deferred(given_up)
        waiting[turn] = self._clock.callLater(WAIT, late)
        return turn.addCallback(lambda _: self._share_or_dial(envelope))

    def _share_or_dial(self, envelope: Envelope) -> Any:
        return self._pool.take_shared(envelope.key) or self._endpoint.connect(envelope)

    def _dialled(self, result: Carrier | Failure, key: Key) -> Carrier | Failure:
        if not isinstance(result, Failure):
            self._origins.learn(key, shared=result.shared)
        waiting = self._waiting.pop(key)
        for turn, timer in list(waiting.items()):
            timer.cancel()
            # In a turn of their own: whoever dialled sends first.
            waiting[turn] = self._clock.callLater(0, self._go, waiting, turn)
        return result

    @staticmethod
    def _go(waiting: dict[Deferred[Any], IDelayedCall], turn: Deferred[Any]) -> None:
        del waiting[turn]
        turn.callback(None)


def _origin(key: Key) -> Origin:
    return (key.host, key.port)


def _note(known: dict[Origin, Any], origin: Origin, what: Any) -> None:
    if origin not in known and len(known) >= KNOWN:
        del known[next(iter(known))]
    known[origin] = what
