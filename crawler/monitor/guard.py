"""Who may ask a monitor over HTTP, and how much: the rules of every port that a run opens.

- Host names this port of this machine: a name that was rebound to it leads nowhere (DNS rebinding).
- Origin, where a browser sends it, is the page of this port: no other page can ask, or open a WebSocket.
- The token is in a header, which no link and no form can bring along.
- A request, or a WebSocket message, has at most MAX_MESSAGE bytes, and there are at most MAX_CONNECTIONS at once.
"""

from __future__ import annotations

import hmac
from typing import Any, Final, NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from crawler.monitor_options import Place

MAX_MESSAGE: Final = 64 << 10
MAX_CONNECTIONS: Final = 64
IDLE_SECONDS: Final = 60.0
PATIENCE: Final = 1.0

FORBIDDEN: Final = 403
UNAUTHORIZED: Final = 401


class Refusal(NamedTuple):
    status: int
    reason: str


class Guard:
    """Judges requests to one port."""

    def __init__(self, place: Place, token: str) -> None:
        hosts = {str(place), f"localhost:{place.port}"}
        if place.port == 80:
            hosts |= {host.removesuffix(":80") for host in hosts}
        self._hosts = frozenset(hosts)
        self._origins = frozenset(f"http://{host}" for host in hosts)
        self._token = token.encode()

    def refusal(self, request: Request) -> Refusal | None:
        """Why nobody shall have an answer to this; None when they may, with a token or without."""
        if _header(request, b"host").lower() not in self._hosts:
            return Refusal(FORBIDDEN, "the Host header does not name this port of this machine")
        origin = _header(request, b"origin").lower()
        if origin and origin not in self._origins:
            return Refusal(FORBIDDEN, "another page asks (its Origin is not this one)")
        return None

    def knows(self, request: Request) -> bool:
        """Whether the request brings the token."""
        scheme, _, token = _header(request, b"authorization").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(token.strip().encode(), self._token)


def _header(request: Request, name: bytes) -> str:
    """Asked for by its bytes: Twisted would decode it as UTF-8, and fail where it is not."""
    return (request.getHeader(name) or b"").decode("latin-1")


class GuardedSite(WrappingFactory[Any]):
    """Serves a resource, with bounds on what a connection brings; `close` ends them all."""

    noisy = False

    def __init__(self, resource: Resource, reactor: Any) -> None:
        site = _Unlogged(resource, timeout=IDLE_SECONDS, reactor=reactor)  # type: ignore[no-untyped-call]
        super().__init__(site)  # type: ignore[no-untyped-call]
        self._reactor = reactor
        self._gone: Deferred[None] | None = None

    def buildProtocol(self, addr: IAddress | None) -> Any:
        if len(self.protocols) >= MAX_CONNECTIONS:
            return None
        return _Bounded(self, self.wrappedFactory.buildProtocol(addr))

    def unregisterProtocol(self, p: Any) -> None:
        super().unregisterProtocol(p)  # type: ignore[no-untyped-call]
        if not self.protocols and self._gone is not None and not self._gone.called:
            self._gone.callback(None)

    def close(self) -> Deferred[None] | None:
        """Let every connection take what was written to it and close it; those that do not are aborted in a second."""
        for connection in list(self.protocols):
            connection.loseConnection()
        if not self.protocols:
            return None
        gone: Deferred[None]
        self._gone = gone = Deferred()  # no canceller: the timer ends it
        timer = self._reactor.callLater(PATIENCE, self._abort)
        return gone.addBoth(lambda _: timer.active() and timer.cancel())

    def _abort(self) -> None:
        for connection in list(self.protocols):
            connection.abortConnection()


class _Unlogged(Site):
    noisy = False
    displayTracebacks = False

    def log(self, request: object) -> None:
        """Requests are no news, and may hold secrets."""


class _Bounded(ProtocolWrapper):
    """Counts what came since the last request or message that was whole."""

    _received = 0

    def dataReceived(self, data: bytes) -> None:
        self._received += len(data)
        if self._received > MAX_MESSAGE:
            self.abortConnection()
        else:
            super().dataReceived(data)  # type: ignore[no-untyped-call]

    def taken(self) -> None:
        """A request or a message was whole."""
        self._received = 0


def taken(request: Request) -> Any:
    """What to call for each message after this request, and now: it was whole."""
    channel: Any = request.channel
    while not isinstance(channel, _Bounded):
        channel = channel.transport
    channel.taken()
    return channel.taken
