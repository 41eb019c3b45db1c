"""Idle connections, kept for reuse: newest first, capped per origin and in all, for a short while."""

from __future__ import annotations

from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from crawler.fetch.http11.connection import Connection
from crawler.fetch.http11.envelope import Key
from crawler.fetch.http11.turns import Turns

IDLE_SECONDS: Final = 15.0
IDLE_TOTAL: Final = 256


class Pool:
    """Holds idle connections by key (origin, whether the address is public, proxy) and knows all open ones.

    So a request that must go to a public address, or through a certain proxy, is never lent another connection.
    The pool hands out and takes back; it never waits, since whoever limits concurrency limits it.
    """

    def __init__(self, clock: IReactorTime, *, idle_per_key: int = 8, idle_total: int = IDLE_TOTAL) -> None:
        self._clock = clock
        self._idle_per_key = idle_per_key
        self._idle_total = idle_total
        self._idle: dict[Key, list[Connection]] = {}
        self._oldest_first: dict[Connection, None] = {}
        self._open: dict[Connection, None] = {}
        self._expiry: IDelayedCall | None = None
        self._closed = False
        self.take_turns = Turns(clock).take

    def __repr__(self) -> str:
        return f"<Pool {len(self._open)} open, {len(self._oldest_first)} idle>"

    def opened(self, connection: Connection) -> None:
        if connection.usable:  # else it was lost before anyone could use it, and `gone` has been said
            self._open[connection] = None

    def take(self, key: Key) -> Connection | None:
        """The idle connection that was used last of those that may carry this key, or None."""
        idle = self._idle.get(key)
        if not idle and not key.public_only:
            idle = self._idle.get(Key(key.scheme, key.host, key.port, True, key.proxy))
        if not idle:
            return None
        connection = idle.pop()
        del self._oldest_first[connection]
        return connection

    def released(self, connection: Connection) -> None:
        idle = self._idle.setdefault(connection.key, [])
        connection.idle_since = self._clock.seconds()
        idle.append(connection)
        self._oldest_first[connection] = None
        if self._closed or len(idle) > self._idle_per_key:
            idle[0].abort()
        elif len(self._oldest_first) > self._idle_total:
            next(iter(self._oldest_first)).abort()
        if self._expiry is None and not self._closed:
            self._expiry = self._clock.callLater(IDLE_SECONDS, self._expire)

    def gone(self, connection: Connection) -> None:
        self._open.pop(connection, None)
        if connection in self._oldest_first:
            del self._oldest_first[connection]
            self._idle[connection.key].remove(connection)
        if not self._idle.get(connection.key, True):
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
