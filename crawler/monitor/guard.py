"""Who may ask a monitor over HTTP, and how much: the rules of every port that a run opens.

- Host names this port of this machine: a name that was rebound to it leads nowhere (DNS rebinding).
  Beyond this machine it names the address that was connected to, or a name that somebody gave: the owner, the
  certificate, the system.
- Origin, where a browser sends it, is the page of this port: no other page can ask, or open a WebSocket.
- The token is in a header, which no link and no form can bring along.
- A request, or a WebSocket message, has at most MAX_MESSAGE bytes.
- Who has not shown the token has STRANGER_SECONDS for that, and makes room when others come: nobody who only holds
  connections open keeps the owner out. Of those who have there are at most MAX_CONNECTIONS.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Callable, Collection
from typing import Any, Final, NamedTuple

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.interfaces import IAddress, IDelayedCall
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from crawler.config.options.monitor import Place

MAX_MESSAGE: Final = 64 << 10
MAX_CONNECTIONS: Final = 64
MAX_STRANGERS: Final = 64
STRANGER_SECONDS: Final = 10.0
IDLE_SECONDS: Final = 60.0
PATIENCE: Final = 1.0

_PORT: Final = re.compile(r":\d+$")

FORBIDDEN: Final = 403
UNAUTHORIZED: Final = 401


class Refusal(NamedTuple):
    status: int
    reason: str


class Guard:
    """Judges requests to one port. `names` are those that it goes by for other machines, with a port or without."""

    def __init__(self, place: Place, token: str, *, names: Collection[str] = (), is_tls: bool = False) -> None:
        usual = f":{443 if is_tls else 80}"
        self._port = f":{place.port}"
        hosts = {f"localhost{self._port}", *(name if _PORT.search(name) else f"{name}{self._port}" for name in names)}
        if ipaddress.ip_address(place.host).is_unspecified:
            hosts |= {f"127.0.0.1{self._port}", f"[::1]{self._port}"}
        else:
            hosts.add(str(place))
        hosts |= {host.removesuffix(usual) for host in hosts}
        self._hosts = frozenset(hosts)
        self._takes_address = bool(names)
        self._scheme = "https" if is_tls else "http"
        self._token = token.encode()

    @property
    def sockets(self) -> str:
        """The origins of its WebSockets, as a Content-Security-Policy lists them."""
        scheme = "wss" if self._scheme == "https" else "ws"
        return " ".join(f"{scheme}://{host}" for host in sorted(self._hosts))

    def refusal(self, request: Request) -> Refusal | None:
        """Why nobody shall have an answer to this; None when they may, with a token or without."""
        hosts = self._hosts
        if self._takes_address:
            hosts |= {f"{Place(_address(request), 0)}".removesuffix(":0") + self._port}
        if _header(request, b"host").lower() not in hosts:
            return Refusal(FORBIDDEN, "the Host header does not name this port of this machine")
        origin = _header(request, b"origin").lower()
        if origin and origin not in {f"{self._scheme}://{host}" for host in hosts}:
            return Refusal(FORBIDDEN, "another page asks (its Origin is not this one)")
        return None

    def knows(self, request: Request) -> bool:
        """Whether the request brings the token."""
        scheme, _, token = _header(request, b"authorization").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(token.strip().encode(), self._token):
            return False
        recognise(request)
        return True


def _address(request: Request) -> str:
    """The one that was connected to, as people write it: a port on "::" takes IPv4, too, as ::ffff:192.0.2.7."""
    local: Any = request.getHost()
    mapped = ipaddress.IPv6Address(local.host).ipv4_mapped if ":" in local.host else None
    return str(mapped or local.host)


def _header(request: Request, name: bytes) -> str:
    """Asked for by its bytes: Twisted would decode it as UTF-8, and fail where it is not."""
    return (request.getHeader(name) or b"").decode("latin-1")


class Strangers:
    """The connections that have not shown the token yet: `abort` is called with one whose time is over, or whose place
    a newer one needs. Whoever has the token shows it at once, and is gone from here before many others can come.
    """

    def __init__(self, reactor: Any, abort: Callable[[Any], None], *, most: int = MAX_STRANGERS) -> None:
        self._reactor = reactor
        self._abort = abort
        self._most = most
        self._timers: dict[Any, IDelayedCall] = {}  # in the order in which they came

    def arrived(self, connection: Any) -> None:
        self._timers[connection] = self._reactor.callLater(STRANGER_SECONDS, self._end, connection)
        if len(self._timers) > self._most:
            self._end(next(iter(self._timers)))

    def left(self, connection: Any) -> None:
        """It has shown the token, or is gone."""
        timer = self._timers.pop(connection, None)
        if timer is not None and timer.active():
            timer.cancel()

    def _end(self, connection: Any) -> None:
        self.left(connection)
        self._abort(connection)


class GuardedSite(WrappingFactory[Any]):
    """Serves a resource, with bounds on what a connection brings; `close` ends them all, and the port."""

    noisy = False

    def __init__(self, resource: Resource, reactor: Any) -> None:
        site = _Unlogged(resource, timeout=IDLE_SECONDS, reactor=reactor)  # type: ignore[no-untyped-call]
        super().__init__(site)  # type: ignore[no-untyped-call]
        self._reactor = reactor
        self._port: Any = None
        self._gone: Deferred[None] | None = None
        self._known = 0
        self._strangers = Strangers(reactor, lambda connection: connection.abortConnection())

    def buildProtocol(self, addr: IAddress | None) -> Any:
        if self._known >= MAX_CONNECTIONS:
            return None
        return _Bounded(self, self.wrappedFactory.buildProtocol(addr))

    def registerProtocol(self, p: Any) -> None:
        super().registerProtocol(p)  # type: ignore[no-untyped-call]
        self._strangers.arrived(p)

    def recognise(self, connection: _Bounded) -> None:
        """A connection has shown the token."""
        if not connection.is_known:
            connection.is_known = True
            self._known += 1
            self._strangers.left(connection)

    def unregisterProtocol(self, p: Any) -> None:
        super().unregisterProtocol(p)  # type: ignore[no-untyped-call]
        self._strangers.left(p)
        self._known -= p.is_known
        if not self.protocols and self._gone is not None and not self._gone.called:
            self._gone.callback(None)

    @property
    def is_open(self) -> bool:
        """Whether there is a port."""
        return self._port is not None

    def listening(self, port: Any) -> None:
        """Remember what to close: an IListeningPort."""
        self._port = port

    def close(self) -> Deferred[Any] | None:
        """Take no more connections, and end those there are. None where there is no port, or none any more."""
        port, self._port = self._port, None
        if port is None:
            return None
        return DeferredList([maybeDeferred(port.stopListening), maybeDeferred(self._end)])

    def _end(self) -> Deferred[None] | None:
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
    is_known = False
    """Whether it has shown the token."""

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
    connection = _connection(request)
    connection.taken()
    return connection.taken


def recognise(request: Request) -> None:
    """The connection of this request has shown the token, or what stands for it."""
    connection = _connection(request)
    site: Any = connection.factory
    site.recognise(connection)


def _connection(request: Request) -> _Bounded:
    channel: Any = request.channel
    while not isinstance(channel, _Bounded):
        channel = channel.transport
    return channel
