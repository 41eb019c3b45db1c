"""Which way to a server: straight, or through which proxy; and which of several are well. Pure: time is asked for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from typing import Final

from twisted.internet.defer import Deferred

from crawler.fetch.connect.bypass import Bypass
from crawler.fetch.connect.proxy import DIRECT, Proxy, parse_proxy

FIRST_REST: Final = 2.0  # seconds, and twice that with each failure in a row
LONGEST_REST: Final = 300.0
MOST_DOUBTS: Final = 3
NOTHING: Final = Bypass("")

# By the scheme of the URL, and then those for all: as curl has it. HTTP_PROXY is none of them: where a program runs
# behind a web server, anybody sets that with a header of a request (httpoxy, CVE-2016-5385).
_VARIABLES: Final = {
    "http": ("http_proxy",),
    "https": ("https_proxy", "HTTPS_PROXY"),
    "ws": ("ws_proxy", "WS_PROXY", "http_proxy"),
    "wss": ("wss_proxy", "WSS_PROXY", "https_proxy", "HTTPS_PROXY"),
}
_FOR_ALL: Final = ("all_proxy", "ALL_PROXY")
_BYPASS: Final = ("no_proxy", "NO_PROXY")


class Proxies:
    """Proxies that stand for one another. Each request has a turn, a number: so they are taken round robin.

    Those that failed rest, each time longer; when all of them do, whose rest ends first is tried all the same. Of each
    at most `most` are in use at once, if that is said; whoever comes then waits.
    """

    def __init__(self, proxies: Sequence[Proxy], *, now: Callable[[], float], most: int | None = None) -> None:
        self.all = tuple(dict.fromkeys(proxies))
        self.told: set[Proxy] = set()  # that somebody was told of, when they failed
        self._now = now
        self._most = most
        self._well = list(self.all)
        self._failures: dict[Proxy, int] = {}
        self._doubts: dict[Proxy, int] = {}
        self._rests: dict[Proxy, float] = {}  # until when
        self._used: dict[Proxy, int] = {}
        self._waiting: list[Deferred[None]] = []

    def pick(self, turn: int, tried: Collection[Proxy] = ()) -> Proxy | None:
        """Whose turn it is of those that are well, have room, and were not tried by this request; None if none is."""
        if self._rests:
            self._wake()
        well = self._well
        for step in range(len(well)):
            proxy = well[(turn + step) % len(well)]
            if proxy not in tried and self._has_room(proxy):
                return proxy
        if not tried and not well:
            rested = min(self._rests, key=self._rests.__getitem__)
            return rested if self._has_room(rested) else None
        return None

    def waits(self, tried: Collection[Proxy] = ()) -> Deferred[None] | None:
        """Where `pick` gave None: fires when another try of it makes sense; None where it never will."""
        if all(proxy in tried for proxy in self._well) and (tried or self._well):
            return None
        deferred: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(deferred)
        return deferred

    def enter(self, proxy: Proxy) -> None:
        self._used[proxy] = self._used.get(proxy, 0) + 1

    def leave(self, proxy: Proxy) -> None:
        """An exchange through it has ended, however."""
        self._used[proxy] -= 1
        if not self._used[proxy]:
            del self._used[proxy]
        for waits in list(self._waiting):
            if not self._has_room(proxy):
                break
            self._waiting.remove(waits)
            waits.callback(None)

    def failed(self, proxy: Proxy) -> float:
        """It is not well: for how long it rests. Failures of requests that had begun before count as one."""
        if proxy not in self._rests:
            count = self._failures[proxy] = self._failures.get(proxy, 0) + 1
            rest = min(LONGEST_REST, FIRST_REST * 2 ** min(count - 1, 16))
            self._rests[proxy] = self._now() + rest
            self._well.remove(proxy)
        return self._rests[proxy] - self._now()

    def doubted(self, proxy: Proxy) -> None:
        """It brought nothing, which may be the server's fault: several times in a row it is not."""
        count = self._doubts[proxy] = self._doubts.get(proxy, 0) + 1
        if count >= MOST_DOUBTS:
            self.failed(proxy)

    def worked(self, proxy: Proxy) -> None:
        self._doubts.pop(proxy, None)
        if self._failures.pop(proxy, None) and self._rests.pop(proxy, None) is not None:
            self._well.append(proxy)

    def _wake(self) -> None:
        now = self._now()
        for proxy in [proxy for proxy, until in self._rests.items() if until <= now]:
            del self._rests[proxy]
            self._well.append(proxy)

    def _has_room(self, proxy: Proxy) -> bool:
        return self._most is None or self._used.get(proxy, 0) < self._most


class Routes:
    """`by_scheme` says which proxies serve a scheme of URLs, but not the servers of `bypass`.

    `own(host, port)` is the proxy that was said for this host, whatever else holds: DIRECT for none, None where nothing
    was said. `group` makes the Proxies of one alone.
    """

    def __init__(
        self,
        by_scheme: Mapping[str, Proxies],
        *,
        bypass: Bypass = NOTHING,
        group: Callable[[Proxy], Proxies],
        own: Callable[[str, int], Proxy | None] = lambda *_: None,
    ) -> None:
        self._by_scheme = by_scheme
        self._bypass = bypass
        self._group = cache(group)
        self._own = own

    def of(self, scheme: str, host: str, port: int) -> Proxies | None:
        """The proxies to this server; None where it is met directly."""
        own = self._own(host, port)
        if own is not None:
            return None if own == DIRECT else self._group(own)
        proxies = self._by_scheme.get(scheme)
        return None if proxies is None or self._bypass.matches(host, port) else proxies


def from_environment(environ: Mapping[str, str]) -> dict[str, tuple[str, Proxy]]:
    """By scheme of URLs the variable that counts, and its proxy. Raises ValueError that names the variable."""
    found: dict[str, tuple[str, Proxy]] = {}
    for scheme, names in _VARIABLES.items():
        name = next((name for name in (*names, *_FOR_ALL) if environ.get(name)), None)
        if name is not None:
            try:
                found[scheme] = (name, parse_proxy(environ[name]))
            except ValueError as error:
                raise ValueError(f"{name} of the environment {error}") from None
    return found


def bypass_of(environ: Mapping[str, str]) -> str:
    """What NO_PROXY says."""
    return next((environ[name] for name in _BYPASS if environ.get(name)), "")
