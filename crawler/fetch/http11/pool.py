"""Connections, kept for reuse, a while: idle ones newest first, capped per origin, proxy and in all; shared ones."""

from __future__ import annotations

from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from crawler.fetch.http11.connection import Carrier
from crawler.fetch.http11.envelope import Key
from crawler.fetch.http11.turns import Turns

IDLE_SECONDS: Final = 15.0
IDLE_TOTAL: Final = 256
IDLE_PER_PROXY: Final = 32  # with 64 in use that is less than the 100 that small proxies have room for


class Pool:
    """Holds idle connections by key (origin, whether the address is public, proxy) and knows all open ones.

    So a request that must go to a public address, or through a certain proxy, is never lent another connection.
    One that is `shared` is lent again and again while it carries others; it is idle when it carries none.
    The pool hands out and takes back; it never waits, since whoever limits concurrency limits it.
    """

    def __init__(self, clock: IReactorTime, *, idle_per_key: int = 8, idle_total: int = IDLE_TOTAL) -> None:
        self._clock = clock
        self._idle_per_key = idle_per_key
        self._idle_total = idle_total
        self._idle: dict[Key, list[Carrier]] = {}
        self._shared: dict[Key, list[Carrier]] = {}
        self._oldest_first: dict[Carrier, None] = {}  # of the idle ones, shared or not
        self._open: dict[Carrier, None] = {}
        self._expiry: IDelayedCall | None = None
        self._closed = False
        self.take_turns = Turns(clock).take

    def __repr__(self) -> str:
        return f"<Pool {len(self._open)} open, {len(self._oldest_first)} idle>"

    def opened(self, connection: Carrier) -> None:
        if connection.usable:  # else it was lost before anyone could use it, and `gone` has been said
            self._open[connection] = None
            if connection.shared:
                self._shared.setdefault(connection.key, []).append(connection)

    def take(self, key: Key) -> Carrier | None:
        """A shared connection, or the idle one that was used last, of those that may carry this key; or None."""
        if self._shared:
            connection = self.take_shared(key)
            if connection is not None:
                return connection
        idle = self._idle.get(key)
        if not idle and not key.public_only:
            idle = self._idle.get(Key(key.scheme, key.host, key.port, True, key.proxy))
        if not idle:
            return None
        connection = idle.pop()
        del self._oldest_first[connection]
        return connection

    def take_shared(self, key: Key) -> Carrier | None:
        shared = self._shared.get(key)
        if not shared and not key.public_only:
            shared = self._shared.get(Key(key.scheme, key.host, key.port, True, key.proxy))
        if not shared:
            return None
        self._oldest_first.pop(shared[0], None)
        return shared[0]

    def released(self, connection: Carrier) -> None:
        if connection.shared:
            idle = [connection]
        else:
            idle = self._idle.setdefault(connection.key, [])
            idle.append(connection)
        connection.idle_since = self._clock.seconds()
        self._oldest_first[connection] = None
        if self._closed or len(idle) > self._idle_per_key:
            idle[0].abort()
        elif len(self._oldest_first) > self._idle_total:
            next(iter(self._oldest_first)).abort()
        elif connection.key.proxy is not None:
            same = [kept for kept in self._oldest_first if kept.key.proxy == connection.key.proxy]
            if len(same) > IDLE_PER_PROXY:
                same[0].abort()
        if self._expiry is None and not self._closed:
            self._expiry = self._clock.callLater(IDLE_SECONDS, self._expire)

    def retired(self, connection: Carrier) -> None:
        """A shared connection takes no more requests; what it carries goes on."""
        _remove(self._shared, connection)

    def gone(self, connection: Carrier) -> None:
        self._open.pop(connection, None)
        if connection.shared:
            self._oldest_first.pop(connection, None)
            self.retired(connection)
        elif connection in self._oldest_first:
            del self._oldest_first[connection]
            _remove(self._idle, connection)
        elif not self._idle.get(connection.key, True):
            del self._idle[connection.key]

    def _expire(self) -> None:
        self._expiry = None
        now = self._clock.seconds()
        for connection in [c for c in self._oldest_first if now - c.idle_since >= IDLE_SECONDS]:
            connection.abort()
        if self._oldest_first:
            self._expiry = self._clock.callLater(1.0, self._expire)

    def close(self) -> None:
        """Abort every connection, idle or not, and leave no timer behind."""
        self._closed = True
        for connection in list(self._open):
            connection.abort()
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None


def _remove(connections: dict[Key, list[Carrier]], connection: Carrier) -> None:
    same = connections.get(connection.key, [])
    if connection in same:
        same.remove(connection)
    if not same:
        connections.pop(connection.key, None)
