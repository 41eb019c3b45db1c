"""Host names to addresses: the system's resolver, or another, on our own daemon threads, shared look-ups, a cache.

Twisted's resolver shares ten threads with everything else and cannot be given up on; a look-up that hangs here blocks
one of our threads and nobody waits for it at exit.

Names that hang hold up no others. Those of one zone get a quarter of the threads; a look-up that nobody waits for any
more gives its place to the next, though its thread is lost until the system lets it go; and whoever waits for a place
is told when the look-up begins, so that its deadline does.
"""

from __future__ import annotations

import ipaddress
import queue
import socket
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from crawler.errors import CodedError, from_dns

Addresses = list[str]
Found = tuple[Addresses, float | None]
"""Addresses, and for how many seconds they hold, where that is known."""
GetAddrInfo = Callable[..., list[tuple[Any, ...]]]

THREADS: Final = 32
MOST_THREADS: Final = 128  # with those that hang
CACHE_SECONDS: Final = 60.0  # getaddrinfo does not tell the TTL
LEAST_SECONDS: Final = 5.0  # that an answer is kept, however short it says to hold
MOST_SECONDS: Final = 3_600.0
FAILURE_SECONDS: Final = 5.0
CACHE_SIZE: Final = 10_000
MOST_ADDRESSES: Final = 32  # of each family: a name may have thousands, and is kept, and looked at with each connection


class LookUp:
    """One name that is looked up, or waits for that; `waiting` has who wants to know, and who wants to know when."""

    __slots__ = ("counts", "host", "running", "waiting", "zone")

    def __init__(self, host: str) -> None:
        self.host = host
        self.zone = zone_of(host)
        self.waiting: dict[Deferred[Addresses], Callable[[bool], None]] = {}
        self.running = False
        self.counts = False  # it takes one of the places


class Resolver:
    """Looks host names up. `resolve` may be called as often as wanted: one name is looked up once at a time.

    `look_up` finds addresses in a thread of ours, blocking, and raises CodedError or anything else; without it the
    system's getaddrinfo does. `family` 4 or 6 leaves out the addresses of the other one. `threads` is how many look-ups
    there are at once that somebody waits for.
    """

    def __init__(
        self,
        reactor: Any,
        *,
        getaddrinfo: GetAddrInfo = socket.getaddrinfo,
        look_up: Callable[[str], Found] | None = None,
        family: int | None = None,
        threads: int = THREADS,
    ) -> None:
        self._reactor = reactor
        self._getaddrinfo = getaddrinfo
        self._find = look_up or self._ask_system
        self._family = family
        self._places = threads
        self._share = max(1, threads // 4)
        self._most_threads = threads * MOST_THREADS // THREADS
        self._threads = 0
        self._running = 0
        self._taken: Counter[str] = Counter()  # places by zone
        self._jobs: queue.SimpleQueue[LookUp | None] = queue.SimpleQueue()
        self._cache: dict[str, tuple[float, Addresses]] = {}
        self._failures: dict[str, tuple[float, CodedError, int]] = {}
        self._look_ups: dict[str, LookUp] = {}
        self._queued: dict[str, dict[str, LookUp]] = {}  # by zone: the next in turn comes first
        self._lock = threading.Lock()
        self._closed = False

    def resolve(
        self, host: str, attempt: int = 1, on_queue: Callable[[bool], None] = lambda _: None
    ) -> Deferred[Addresses]:
        """The addresses of a host, as who was asked orders them (RFC 6724). An IP address is its own.

        A failure is remembered for a moment; for the third try of a request only if it was the third in a row, so that
        another try asks anew. `on_queue` is called with True when the look-up has to wait for a place, and with False
        when it begins.

        Fails with CodedError `dns_nxdomain`, `dns_nodata`, `dns_timeout`, `dns_error` or `local_fd_limit`. Cancelling
        stops waiting; the look-up goes on for whoever else waits. There is no deadline here: the caller keeps it.
        """
        try:
            return self.known(host, [str(ipaddress.ip_address(host))])
        except ValueError:
            pass  # a name
        now = self._reactor.seconds()
        known = self._cache.get(host)
        if known is not None:
            del self._cache[host]
            if known[0] > now:
                self._cache[host] = known  # what was asked for last is kept longest
                return succeed(known[1])
        failed = self._failures.get(host)
        if failed is not None and failed[0] > now and failed[2] >= attempt:
            return fail(failed[1])
        look_up = self._look_ups.get(host)
        if look_up is None:
            look_up = self._look_ups[host] = LookUp(host)
            self._queued.setdefault(look_up.zone, {})[host] = look_up
        deferred: Deferred[Addresses] = Deferred(lambda d: self._forget(look_up, d))
        look_up.waiting[deferred] = on_queue
        if not look_up.running:
            self._start()
            if not look_up.running and not deferred.called:
                on_queue(True)
        return deferred

    def known(self, host: str, addresses: Addresses) -> Deferred[Addresses]:
        """The addresses that somebody wrote for a host, as far as they are wanted. Fails with CodedError."""
        wanted = [address for address in addresses if self._wants(address)]
        return succeed(wanted) if wanted else fail(none_left(host, self._family))

    def close(self) -> None:
        """Let the threads go; answers that are still on their way are dropped."""
        with self._lock:
            self._closed = True
        for _ in range(self._threads):
            self._jobs.put(None)

    def _forget(self, look_up: LookUp, deferred: Deferred[Addresses]) -> None:
        look_up.waiting.pop(deferred, None)
        if look_up.waiting or self._look_ups.get(look_up.host) is not look_up:
            return
        if look_up.running:
            self._free(look_up)
            self._start()
        else:
            del self._look_ups[look_up.host]
            hosts = self._queued[look_up.zone]
            del hosts[look_up.host]
            if not hosts:
                del self._queued[look_up.zone]

    # Whose turn it is.

    def _start(self) -> None:
        """Begin what there are places and threads for."""
        while self._taken.total() < self._places and self._running < self._most_threads:
            look_up = self._next()
            if look_up is None:
                return
            if self._running >= self._threads:
                try:
                    threading.Thread(target=self._work, name=f"resolver-{self._threads + 1}", daemon=True).start()
                    self._threads += 1
                except RuntimeError as error:  # the system gives no more threads: those that run must do
                    if not self._threads:
                        del self._look_ups[look_up.host]
                        self._tell(look_up, from_dns(error, look_up.host))
                    else:
                        self._queued[look_up.zone] = {look_up.host: look_up} | self._queued.get(look_up.zone, {})
                    return
            look_up.running = look_up.counts = True
            self._running += 1
            self._taken[look_up.zone] += 1
            self._jobs.put(look_up)
            for on_queue in look_up.waiting.values():
                on_queue(False)

    def _next(self) -> LookUp | None:
        """Take the first name of the next zone that has a place left."""
        for zone, hosts in self._queued.items():
            if self._taken[zone] < self._share:
                look_up = hosts.pop(next(iter(hosts)))
                del self._queued[zone]
                if hosts:
                    self._queued[zone] = hosts
                return look_up
        return None

    def _free(self, look_up: LookUp) -> None:
        if look_up.counts:
            look_up.counts = False
            self._taken[look_up.zone] -= 1
            if not self._taken[look_up.zone]:
                del self._taken[look_up.zone]

    # The threads.

    def _work(self) -> None:
        while (look_up := self._jobs.get()) is not None:
            answer = self._look_up(look_up.host)
            with self._lock:  # the reactor may be gone once we are closed
                if self._closed:
                    return
                self._reactor.callFromThread(self._answered, look_up, answer)

    def _look_up(self, host: str) -> Found | CodedError:
        try:
            addresses, seconds = self._find(_loopback(host) or host)
        except CodedError as error:
            return error
        except Exception as error:  # whatever the resolver raises becomes the answer
            return from_dns(error, host)
        if not addresses:
            return CodedError("dns_nodata", f"{host} has no address")
        wanted = [address for address in addresses if self._wants(address)]
        return (_first(wanted), seconds) if wanted else none_left(host, self._family)

    def _ask_system(self, host: str) -> Found:
        rows = self._getaddrinfo(host, None, socket.AF_UNSPEC, socket.SOCK_STREAM)
        return list(dict.fromkeys(str(row[4][0]) for row in rows)), None

    def _wants(self, address: str) -> bool:
        return self._family is None or (6 if ":" in address else 4) == self._family

    def _answered(self, look_up: LookUp, answer: Found | CodedError) -> None:
        host = look_up.host
        del self._look_ups[host]
        self._running -= 1
        self._free(look_up)
        self._start()
        self._remember(host, answer)
        self._tell(look_up, answer if isinstance(answer, CodedError) else answer[0])

    def _remember(self, host: str, answer: Found | CodedError) -> None:
        now = self._reactor.seconds()
        before = self._failures.pop(host, None)
        if not isinstance(answer, CodedError):
            addresses, seconds = answer
            holds = CACHE_SECONDS if seconds is None else min(max(seconds, LEAST_SECONDS), MOST_SECONDS)
            _make_room(self._cache)
            self._cache[host] = (now + holds, addresses)
        elif answer.code != "local_fd_limit":
            _make_room(self._failures)
            self._failures[host] = (now + FAILURE_SECONDS, answer, before[2] + 1 if before else 1)

    def _tell(self, look_up: LookUp, answer: Addresses | CodedError) -> None:
        for deferred in list(look_up.waiting):
            if deferred.called:  # cancelled by what an earlier one of them set off
                continue
            if isinstance(answer, CodedError):
                deferred.errback(Failure(answer))
            else:
                deferred.callback(answer)


def _first(addresses: Addresses) -> Addresses:
    """So many of each family as may be tried, in their order."""
    if len(addresses) <= MOST_ADDRESSES:
        return addresses
    of_6 = [address for address in addresses if ":" in address][:MOST_ADDRESSES]
    of_4 = [address for address in addresses if ":" not in address][:MOST_ADDRESSES]
    kept = {*of_6, *of_4}
    return [address for address in addresses if address in kept]


def _make_room(cache: dict[str, Any]) -> None:
    if len(cache) >= CACHE_SIZE:
        del cache[next(iter(cache))]


def none_left(host: str, family: int | None) -> CodedError:
    """What is said when a host has addresses, but none of the family that was asked for."""
    return CodedError("dns_nodata", f"{host} has no IPv{family} address (-{family})")


def zone_of(host: str) -> str:
    """The registrable domain of a name, as far as its form tells: nothing but a share depends on it.

    The last two labels, or three where the last two look like "co.uk".
    """
    labels = host.removesuffix(".").rsplit(".", 3)
    if len(labels) > 2 and len(labels[-1]) == 2 and len(labels[-2]) <= 3:
        return ".".join(labels[-3:])
    return ".".join(labels[-2:])


def _loopback(host: str) -> str | None:
    """RFC 6761 section 6.3: `localhost` and all names under it are this machine, with or without the root dot."""
    name = host.removesuffix(".")
    return "localhost" if name == "localhost" or name.endswith(".localhost") else None
