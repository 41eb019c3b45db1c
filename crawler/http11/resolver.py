"""Host names to addresses: the system's resolver on our own daemon threads, shared look-ups, a short cache.

Twisted's resolver shares ten threads with everything else and cannot be given up on; a look-up that hangs here blocks
one of our threads and nobody waits for it at exit.
"""

from __future__ import annotations

import ipaddress
import queue
import socket
import threading
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from crawler.errors import CodedError, from_dns

Addresses = list[str]
GetAddrInfo = Callable[..., list[tuple[Any, ...]]]

THREADS: Final = 32
CACHE_SECONDS: Final = 60.0  # getaddrinfo does not tell the TTL
FAILURE_SECONDS: Final = 5.0
CACHE_SIZE: Final = 10_000


class Resolver:
    """Looks host names up. `resolve` may be called as often as wanted: one name is looked up once at a time."""

    def __init__(self, reactor: Any, *, getaddrinfo: GetAddrInfo = socket.getaddrinfo, threads: int = THREADS) -> None:
        self._reactor = reactor
        self._getaddrinfo = getaddrinfo
        self._max_threads = threads
        self._threads = 0
        self._busy = 0
        self._jobs: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._cache: dict[str, tuple[float, Addresses | CodedError]] = {}
        self._waiting: dict[str, list[Deferred[Addresses]]] = {}
        self._lock = threading.Lock()
        self._closed = False

    def resolve(self, host: str) -> Deferred[Addresses]:
        """The addresses of a host, as the system orders them (RFC 6724). An IP address is its own.

        Fails with CodedError `dns_nxdomain`, `dns_nodata`, `dns_error` or `local_fd_limit`. Cancelling stops waiting;
        the look-up goes on for whoever else waits. There is no deadline here: the caller keeps it.
        """
        try:
            return succeed([str(ipaddress.ip_address(host))])
        except ValueError:
            pass  # a name
        known = self._cache.get(host)
        if known is not None:
            if known[0] > self._reactor.seconds():
                return fail(known[1]) if isinstance(known[1], CodedError) else succeed(known[1])
            del self._cache[host]
        waiting = self._waiting.get(host)
        if waiting is None:
            if self._busy >= self._threads and self._threads < self._max_threads:
                try:
                    threading.Thread(target=self._work, name=f"resolver-{self._threads + 1}", daemon=True).start()
                    self._threads += 1
                except RuntimeError as error:  # the system gives no more threads: those that run must do
                    if not self._threads:
                        return fail(from_dns(error, host))
            waiting = self._waiting[host] = []
            self._busy += 1
            self._jobs.put(host)
        deferred: Deferred[Addresses] = Deferred(lambda d: self._forget(host, d))
        waiting.append(deferred)
        return deferred

    def close(self) -> None:
        """Let the threads go; answers that are still on their way are dropped."""
        with self._lock:
            self._closed = True
        for _ in range(self._threads):
            self._jobs.put(None)

    def _forget(self, host: str, deferred: Deferred[Addresses]) -> None:
        waiting = self._waiting.get(host)
        if waiting and deferred in waiting:
            waiting.remove(deferred)

    def _work(self) -> None:
        while (host := self._jobs.get()) is not None:
            # Where names hang, those behind them queue up until nobody waits any more: nobody then needs the answer.
            answer = self._look_up(host) if self._waiting[host] else None
            with self._lock:  # the reactor may be gone once we are closed
                if self._closed:
                    return
                self._reactor.callFromThread(self._answered, host, answer)

    def _look_up(self, host: str) -> Addresses | CodedError:
        try:
            rows = self._getaddrinfo(_loopback(host) or host, None, socket.AF_UNSPEC, socket.SOCK_STREAM)
            addresses = list(dict.fromkeys(str(row[4][0]) for row in rows))
        except Exception as error:  # whatever the resolver raises becomes the answer
            return from_dns(error, host)
        return addresses or CodedError("dns_nodata", f"{host} has no address")

    def _answered(self, host: str, answer: Addresses | CodedError | None) -> None:
        waiting = self._waiting.pop(host)
        if answer is None and waiting:  # they came since
            self._waiting[host] = waiting
            self._jobs.put(host)
            return
        self._busy -= 1
        if answer is None:
            return
        bad = isinstance(answer, CodedError)
        if not (isinstance(answer, CodedError) and answer.code == "local_fd_limit"):
            if len(self._cache) >= CACHE_SIZE:
                del self._cache[next(iter(self._cache))]
            self._cache[host] = (self._reactor.seconds() + (FAILURE_SECONDS if bad else CACHE_SECONDS), answer)
        for deferred in waiting:
            if deferred.called:  # cancelled by what an earlier one of them set off
                continue
            if isinstance(answer, CodedError):
                deferred.errback(Failure(answer))
            else:
                deferred.callback(answer)


def _loopback(host: str) -> str | None:
    """RFC 6761 section 6.3: `localhost` and all names under it are this machine, with or without the root dot."""
    name = host.removesuffix(".")
    return "localhost" if name == "localhost" or name.endswith(".localhost") else None
