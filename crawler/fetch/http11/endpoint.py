"""From an origin to a ready connection: resolve, apply the address policy to the exact IP, dial, TLS.

Addresses are raced as RFC 8305 says: the next attempt starts 250 ms after the last one, or at once when that failed.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from importlib.util import find_spec
from math import inf
from typing import Any, Final
from typing import Protocol as Interface

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

from crawler.errors import CodedError, from_connect
from crawler.fetch.connect.address import BAD_PORTS, forbidden
from crawler.fetch.connect.dial import Dial
from crawler.fetch.connect.resolver import Addresses, Resolver
from crawler.fetch.connect.stalls import Stalls
from crawler.fetch.http11.connection import Carrier, Connection
from crawler.fetch.http11.envelope import Envelope, Key
from crawler.fetch.http11.pool import Pool
from crawler.fetch.http11.tls import Context, TLSLayer

ATTEMPT_DELAY: Final = 0.25  # RFC 8305 section 5
MAX_ATTEMPTS: Final = 32  # a name may be given any number of addresses
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
    port and addresses whenever a host was resolved: it may except it from `public_only` in the key. Of a WebSocket
    `ws_messages` messages are taken, for `ws_timeout` seconds at most.
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
        ws_messages: int = 1,
        ws_timeout: float = 10.0,
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
        self._ws_messages = ws_messages
        self._ws_timeout = ws_timeout

    def connect(self, envelope: Envelope) -> Deferred[Carrier]:
        scheme, host, port, public_only, _ = envelope.key
        if public_only and port in BAD_PORTS:
            words = f"port {port} is blocked for discovered URLs (--allow-private opens it)"
            return fail(CodedError("address_blocked", words))
        if scheme in _SOCKETS and find_spec("wsproto") is None:
            words = f"{scheme} URLs need one more package: pip install 'everyurl[websocket]'"
            return fail(CodedError("scheme_unsupported", words))

        def on_queue(waits: bool) -> None:
            trace.enter("dns", inf if waits else self._clock.seconds())

        trace = envelope.trace
        addresses: Deferred[Any] = self._resolver.resolve(host, envelope.attempt, on_queue)
        return addresses.addCallback(self._race, envelope)

    def _race(self, addresses: Addresses, envelope: Envelope) -> Deferred[Carrier]:
        now = self._clock.seconds()
        trace = envelope.trace
        trace.resolved = now
        trace.enter("connect", now)
        _, host, port, public_only, _ = envelope.key
        if port in self._own_ports and any(map(forbidden, addresses)):
            raise CodedError("address_blocked", f"{host}:{port} is a monitor of this run")
        excepted = self._may_be_private(host, port, addresses)
        if public_only and not excepted:
            allowed = [address for address in addresses if not forbidden(address)]
            if not allowed:
                raise CodedError("address_blocked", f"{host}: {forbidden(addresses[0])} (--allow-private lets it)")
            addresses = allowed
        race = _Race(self._clock, addresses, lambda address: self._attempt(address, envelope))
        won = race.start()
        won.addCallback(self._secure, envelope)
        return won

    def _attempt(self, address: str, envelope: Envelope) -> Deferred[tuple[str, Protocol, Connection]]:
        scheme, host, port, _, proxy = envelope.key
        connection = self._connection(Key(scheme, host, port, forbidden(address) is None, proxy))
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
            return TLSLayer(connection, self._tls_context, key.host)

        def carrier() -> Carrier:
            many = http2.connection(key)
            many.remote_ip = connection.remote_ip
            return many

        return TLSLayer(connection, http2.context, key.host, carrier)

    def _connection(self, key: Key) -> Connection:
        if key[0] not in _SOCKETS:
            return Connection(key, self._pool, self._clock.seconds)
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


class _Race:
    """Happy Eyeballs over a list of addresses: the first attempt that connects wins, the others are closed."""

    def __init__(self, clock: IReactorTime, addresses: Addresses, attempt: Any) -> None:
        self._clock = clock
        self._left = _interleave(addresses)[:MAX_ATTEMPTS]
        self._attempt = attempt
        self._running: dict[Deferred[Any], None] = {}
        self._next: IDelayedCall | None = None
        self._first_error: Failure | None = None
        self._over = False
        self._result: Deferred[Any] = Deferred(lambda _: self._stop())

    def start(self) -> Deferred[Any]:
        self._start_next()
        return self._result

    def _start_next(self) -> None:
        self._next = None
        attempt = self._attempt(self._left.pop(0))
        self._running[attempt] = None
        if self._left:
            self._next = self._clock.callLater(ATTEMPT_DELAY, self._start_next)
        attempt.addCallbacks(self._won, self._lost, callbackArgs=(attempt,), errbackArgs=(attempt,))

    def _won(self, winner: Any, attempt: Deferred[Any]) -> None:
        self._running.pop(attempt, None)
        if self._over:
            winner[1].abort()
            return
        self._stop()
        self._result.callback(winner)

    def _lost(self, failure: Failure, attempt: Deferred[Any]) -> None:
        self._running.pop(attempt, None)
        if self._over:
            return
        self._first_error = self._first_error or failure
        if self._left:
            if self._next is not None:
                self._next.cancel()
            self._start_next()
        elif not self._running:
            self._over = True
            self._result.errback(self._first_error)

    def _stop(self) -> None:
        self._over = True
        if self._next is not None:
            self._next.cancel()
            self._next = None
        self._left = []
        for attempt in list(self._running):
            attempt.cancel()


def _interleave(addresses: Addresses) -> Addresses:
    """Alternate the families, starting with that of the first address (RFC 8305 section 4)."""
    first = [a for a in addresses if (":" in a) == (":" in addresses[0])]
    second = [a for a in addresses if (":" in a) != (":" in addresses[0])]
    mixed: Addresses = []
    for index in range(max(len(first), len(second))):
        mixed += first[index : index + 1] + second[index : index + 1]
    return mixed
