"""From an origin to a ready connection: resolve, apply the address policy to the exact IP, dial, TLS.

Through a proxy: dial that one (with TLS where it is https), open a tunnel, TLS with the server inside; a plain http URL
needs no tunnel where the proxy takes URLs. The policy then sees addresses where we resolve (socks5), else those alone
that stand in the URL.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from importlib.util import find_spec
from math import inf
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from typing import Protocol as Interface

from msgspec.structs import replace
from twisted.internet.defer import CancelledError, Deferred, fail, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

from crawler.errors import CodedError, from_connect
from crawler.fetch.connect.address import BAD_PORTS, addresses_in, forbidden
from crawler.fetch.connect.chosen.pins import Pins
from crawler.fetch.connect.dial import Dial
from crawler.fetch.connect.proxy import Proxy, ProxyFailed
from crawler.fetch.connect.race import Race
from crawler.fetch.connect.resolver import Addresses, Resolver
from crawler.fetch.connect.stalls import Stalls
from crawler.fetch.http11.connection import Carrier, Connection
from crawler.fetch.http11.envelope import Envelope, Key
from crawler.fetch.http11.pool import Pool
from crawler.fetch.http11.tls import Context, TLSLayer

if TYPE_CHECKING:
    from crawler.fetch.connect.tunnel import Tunnel

_SOCKETS: Final = frozenset(("ws", "wss"))
_SECURE: Final = frozenset(("https", "wss"))


class Http2(Interface):
    """HTTP/2 for those servers that choose it: `context` offers it to them."""

    context: Context

    def may_serve(self, key: Key) -> bool:
        """Whether it is to be offered to this origin."""

    def connection(self, key: Key) -> Carrier: ...


class Endpoint:
    """Makes connections. `connect(envelope)` fires with a Connection that is registered in the pool.

    Fails with CodedError (phases dns, connect, tls, policy). Cancelling closes whatever socket was being opened.
    Deadlines are the caller's: the trace in the envelope says which phase is running.

    `own_ports` are ports of this machine that no URL may lead to, typed or not. `may_be_private` is asked with host,
    port and addresses whenever a host was resolved: it may except it from `public_only` in the key. Where `pins` know a
    server its name is not resolved. Of a WebSocket `ws_messages` messages are taken, for `ws_timeout` seconds at most.
    Proxies of https are met with `proxy_tls`. `plain` is what speaks HTTP/1.1.
    """

    def __init__(
        self,
        *,
        clock: IReactorTime,
        dial: Dial,
        resolver: Resolver,
        tls_context: Context,
        pool: Pool,
        own_ports: Container[int] = (),
        may_be_private: Callable[[str, int, Addresses], bool] = lambda *_: False,
        stalls: Stalls | None = None,
        http2: Http2 | None = None,
        proxy_tls: Context | None = None,
        pins: Pins | None = None,
        ws_messages: int = 1,
        ws_timeout: float = 10.0,
        plain: type[Connection] = Connection,
    ) -> None:
        self._clock = clock
        self._dial = dial
        self._resolver = resolver
        self._tls_context = tls_context
        self._pool = pool
        self._own_ports = own_ports
        self._may_be_private = may_be_private
        self._stalls = stalls or Stalls()
        self._http2 = http2
        self._proxy_tls = proxy_tls or tls_context
        self._pins = pins
        self._ws_messages = ws_messages
        self._ws_timeout = ws_timeout
        self._plain = plain

    def connect(self, envelope: Envelope) -> Deferred[Carrier]:
        key = envelope.key
        scheme, host, port, public_only, proxy = key.scheme, key.host, key.port, key.public_only, key.proxy
        if public_only and port in BAD_PORTS:
            words = f"port {port} is blocked for discovered URLs (--allow-private opens it)"
            return fail(CodedError("address_blocked", words))
        if scheme in _SOCKETS and find_spec("wsproto") is None:
            words = f"{scheme} URLs need one more package: pip install 'everyurl[websocket]'"
            return fail(CodedError("scheme_unsupported", words))

        if proxy is not None and proxy.resolves:
            return maybeDeferred(self._unresolved, envelope).addCallback(self._through, proxy, envelope)

        def on_queue(waits: bool) -> None:
            trace.enter("dns", inf if waits else self._clock.seconds())

        trace = envelope.trace
        pinned = None if self._pins is None else self._pins.of(host, port)
        addresses: Deferred[Any] = (
            self._resolver.resolve(host, envelope.attempt, on_queue)
            if pinned is None
            else self._resolver.known(host, pinned)
        )
        if proxy is not None:
            return addresses.addCallback(self._resolved, envelope).addCallback(self._through, proxy, envelope)
        return addresses.addCallback(self._race, envelope)

    def _race(self, addresses: Addresses, envelope: Envelope) -> Deferred[Carrier]:
        now = self._clock.seconds()
        trace = envelope.trace
        trace.resolved = now
        trace.enter("connect", now)
        allowed = self._allowed(addresses, envelope.key)
        won = Race(self._clock, allowed, lambda address: self._attempt(address, envelope)).start()
        won.addCallback(self._secure, envelope)
        return won

    def _allowed(self, addresses: Addresses, key: Key) -> Addresses:
        """Those of the addresses that a request may go to. Raises CodedError `address_blocked` if there is none."""
        host, port, public_only = key.host, key.port, key.public_only
        if port in self._own_ports and any(map(forbidden, addresses)):
            raise CodedError("address_blocked", f"{host}:{port} is a monitor of this run")
        excepted = self._may_be_private(host, port, addresses)
        if public_only and not excepted:
            allowed = [address for address in addresses if not forbidden(address)]
            if not allowed:
                raise CodedError("address_blocked", f"{host}: {forbidden(addresses[0])} (--allow-private lets it)")
            return allowed
        return addresses

    def _attempt(self, address: str, envelope: Envelope) -> Deferred[tuple[str, Protocol, Connection]]:
        key = envelope.key
        scheme, port = key.scheme, key.port
        connection = self._connection(replace(key, public_only=forbidden(address) is None))
        connection.remote_ip = address
        wire: Protocol = connection
        if scheme in _SECURE:
            wire = self._tls_layer(connection)
        dialing: Deferred[Any] = self._dial(address, port, wire)
        where = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"

        def refused(failure: Failure) -> Any:
            if isinstance(wire, TLSLayer):  # connected after all, and closed again before we could hear of either
                wire.ready.addErrback(lambda _: None)
            if failure.check(CancelledError):
                return failure
            assert failure.value is not None
            raise from_connect(failure.value, where) from None

        return dialing.addCallbacks(lambda _: (address, wire, connection), refused)

    def _tls_layer(self, connection: Connection) -> TLSLayer:
        http2, key = self._http2, connection.key
        if http2 is None or key.scheme != "https" or not http2.may_serve(key):
            return TLSLayer(connection, self._tls_context, key.host, port=key.port)

        def carrier() -> Carrier:
            many = http2.connection(key)
            many.remote_ip = connection.remote_ip
            return many

        return TLSLayer(connection, http2.context, key.host, carrier, port=key.port)

    def _connection(self, key: Key) -> Connection:
        if key.scheme not in _SOCKETS:
            return self._plain(key, self._pool, self._clock.seconds)
        from crawler.fetch.http11.websocket import WebSocket  # most runs have none

        return WebSocket(
            key, self._pool, self._clock, self._stalls, messages=self._ws_messages, patience=self._ws_timeout
        )

    def _secure(self, winner: tuple[str, Protocol, Connection], envelope: Envelope) -> Any:
        address, wire, connection = winner
        trace = envelope.trace
        now = self._clock.seconds()
        trace.connected = now
        trace.remote_ip = address
        if not isinstance(wire, TLSLayer):
            self._pool.opened(connection)
            return connection
        trace.enter("tls", now)

        def secured(connection: Carrier) -> Carrier:
            trace.secured = self._clock.seconds()
            self._pool.opened(connection)
            return connection

        return wire.ready.addCallback(secured)

    # Through a proxy.

    def _unresolved(self, envelope: Envelope) -> str:
        """The host for a proxy that resolves it: of the addresses behind it we know those that stand there."""
        host = envelope.key.host
        if here := addresses_in(host):
            self._allowed(here, envelope.key)
        return host

    def _resolved(self, addresses: Addresses, envelope: Envelope) -> str:
        """The address for a proxy that is told one: another for each try, first those that every proxy can reach."""
        envelope.trace.resolved = self._clock.seconds()
        allowed = sorted(self._allowed(addresses, envelope.key), key=lambda address: ":" in address)
        return allowed[(envelope.attempt - 1) % len(allowed)]

    def _through(self, host: str, proxy: Proxy, envelope: Envelope) -> Deferred[Carrier]:
        """Connect to the proxy, and through it to the server. `host` is what it is told, a name or an address."""
        from crawler.fetch.connect.socks import socks_missing  # most runs have no proxy

        if not proxy.takes_urls and (missing := socks_missing()):
            raise missing
        trace = envelope.trace

        def on_queue(waits: bool) -> None:
            trace.enter("connect", inf if waits else self._clock.seconds())

        def raced(addresses: Addresses) -> Deferred[Any]:
            return Race(self._clock, addresses, lambda address: self._attempt_through(address, host, envelope)).start()

        on_queue(waits=False)
        won: Deferred[Any] = self._resolver.resolve(proxy.host, envelope.attempt, on_queue)
        won.addCallback(raced).addErrback(_unreachable, proxy)
        return won.addCallback(self._shake_hands, envelope)

    def _attempt_through(self, address: str, host: str, envelope: Envelope) -> Deferred[Any]:
        """Dial one address of the proxy, with all the layers up to the connection."""
        key, proxy = envelope.key, envelope.key.proxy
        assert proxy is not None
        connection = self._connection(key)
        connection.remote_ip = None if proxy.resolves else host
        wire: Any = connection
        outer = tunnel = inner = None
        if key.scheme in _SECURE:
            wire = inner = self._tls_layer(connection)
        if not key.forwarded:
            from crawler.fetch.connect.socks import SocksTalk
            from crawler.fetch.connect.tunnel import ConnectTalk, Tunnel

            talk = (ConnectTalk if proxy.takes_urls else SocksTalk)(proxy, host, key.port)
            wire = tunnel = Tunnel(wire, talk, proxy)
        if proxy.scheme == "https":
            wire = outer = TLSLayer(wire, self._proxy_tls, proxy.host)

        def refused(failure: Failure) -> Any:
            if wire is not connection:  # connected after all, and closed again before we could hear of either
                wire.ready.addErrback(lambda _: None)
            if failure.check(CancelledError):
                return failure
            assert failure.value is not None
            raise from_connect(failure.value, address) from None

        way = _Way(outer, tunnel, inner, connection)
        return self._dial(address, proxy.port, wire).addCallbacks(lambda _: (address, wire, way), refused)

    def _shake_hands(self, winner: tuple[str, Protocol, _Way], envelope: Envelope) -> Deferred[Carrier]:
        """Wait for one layer after the other. The deadline of the phase connect holds up to the TLS with the server."""
        way, trace, clock = winner[2], envelope.trace, self._clock
        trace.connected = clock.seconds()
        opened: Deferred[Any] = Deferred()  # fired at once: to cancel it is to cancel what it waits for
        opened.callback(way.connection)
        if way.outer is not None:
            opened.addCallback(_wait_for, way.outer).addErrback(_unreachable, envelope.key.proxy)
        if way.tunnel is not None:
            opened.addCallback(_wait_for, way.tunnel)
        if way.inner is not None:
            opened.addCallback(lambda _: trace.enter("tls", clock.seconds()))
            opened.addCallback(_wait_for, way.inner)

        def ready(above: Any) -> Carrier:
            carrier: Carrier = way.connection
            if way.inner is not None:
                trace.secured = clock.seconds()
                carrier = above  # what speaks the protocol that the server chose
            self._pool.opened(carrier)
            return carrier

        return opened.addCallback(ready)


class _Way(NamedTuple):
    """The layers between the transport to a proxy and the connection to a server, from below."""

    outer: TLSLayer | None
    tunnel: Tunnel | None
    inner: TLSLayer | None
    connection: Connection


def _wait_for(_: object, layer: TLSLayer | Tunnel) -> Deferred[Any]:
    return layer.ready


def _unreachable(failure: Failure, proxy: Proxy | None) -> Failure:
    """What has kept us from a proxy, as its failure: not as one of the server, of which nobody knows anything."""
    error = failure.value
    if not isinstance(error, CodedError) or error.code.startswith("local_"):
        return failure
    raise ProxyFailed("proxy_connect", f"{proxy}: {error.message}", transient=error.transient) from None
