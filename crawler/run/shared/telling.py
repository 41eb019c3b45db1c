"""What the nodes of a crawl know of one another, and what other programs have pushed: looked at all the time."""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from crawler.frontier.shared.about import About, Node, read_nodes
from crawler.frontier.shared.claiming import Clock
from crawler.frontier.shared.contract import Asks, SharedStore
from crawler.frontier.shared.leasing import SharedFrontier
from crawler.version import __version__

TELL: Final = 0.5
_KNOWN: Final = 1.5
"""So many leases, and TELL, a node is known after it has told of itself: who cannot tell loses its hosts by its own
clock first, and only then is it counted as gone. The rest is for operations that wait their turn before it tells.
"""
_PACE: Final = 10


class Telling:
    """Says every TELL seconds what this node does, once the last answer is there. Where hosts are few, each node is to
    have as many: that sets `frontier.most_hosts`.

    `part` gives the name of what it writes. With `take` it brings what was pushed to its shards, of which `on_heard`
    hears; `on_told` hears of the nodes each time, `on_error` of what ends the node.
    """

    def __init__(
        self,
        name: str,
        *,
        asks: Asks,
        frontier: SharedFrontier,
        clock: Clock,
        ttl: float,
        concurrency: int,
        since: float,
        part: Callable[[], str],
        take: Callable[[SharedStore], list[int]],
    ) -> None:
        self.on_heard: Callable[[list[int]], None] = lambda _: None
        self.on_error: Callable[[BaseException], None] = lambda _: None
        self.on_told: Callable[[list[Node]], None] = lambda _: None
        self._name = name
        self._asks = asks
        self._frontier = frontier
        self._clock = clock
        self._ttl = ttl
        self._concurrency = concurrency
        self._since = since
        self._part = part
        self._take = take
        self._pace: deque[tuple[float, int]] = deque(maxlen=_PACE)  # when it told of itself, and its records then
        self._timer: IDelayedCall | None = None
        self._busy = False

    def start(self) -> None:
        self._timer = self._clock.callLater(TELL, self.start)
        if self._busy:
            return
        self._busy = True
        about = self._about().encoded()

        def tell(store: SharedStore) -> tuple[dict[str, tuple[bytes, float]], list[int]]:
            store.join(self._name, about, _KNOWN * self._ttl + TELL)
            return store.nodes(), self._take(store)

        self._asks.ask(tell).addCallback(self._told).addErrback(self._failed)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _about(self) -> About:
        counts = self._frontier.counts()
        now, done = self._clock.seconds(), counts.ok + counts.failed + counts.skipped
        then, before = self._pace[0] if self._pace else (now, done)
        self._pace.append((now, done))
        return About(
            name=self._name,
            machine=socket.gethostname(),
            pid=os.getpid(),
            since=self._since,
            version=__version__,
            concurrency=self._concurrency,
            in_flight=counts.leased,
            ok=counts.ok,
            failed=counts.failed,
            skipped=counts.skipped,
            rate=(done - before) / (now - then) if now > then else 0.0,
            hosts=len(self._frontier.held),
            part=self._part(),
        )

    def _told(self, answer: tuple[dict[str, tuple[bytes, float]], list[int]]) -> None:
        self._busy = False
        nodes, heard = answer
        if heard:
            self.on_heard(heard)
        known = read_nodes(nodes)
        self.on_told(known)
        there = [node.about for node in known if not node.gone and node.about.name != self._name]
        hosts = len(self._frontier.held)
        some_are_hungry = any(about.hosts < min(about.concurrency, hosts) for about in there)
        total = hosts + sum(about.hosts for about in there)
        self._frontier.most_hosts = max(1, -(-total // (len(there) + 1))) if some_are_hungry else float("inf")

    def _failed(self, failure: Failure) -> None:
        assert failure.value is not None
        self.on_error(failure.value)
