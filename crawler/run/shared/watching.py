"""The whole crawl, for who looks at one of its nodes: its books are asked for as long as somebody looks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.python.failure import Failure

from crawler.frontier.shared.about import Node
from crawler.frontier.shared.claiming import Clock
from crawler.frontier.shared.contract import SHARDS, Asks, Counts, SharedStore, total
from crawler.stats.whole import NodeLoad, WholeCrawl

EACH: Final = 2.0
WATCHED: Final = 60.0
"""Seconds: who looked within them is looking still, such as one who reads a line of progress every half minute."""
_SHARE: Final = 50  # times as long as it takes to ask is nothing asked
MOST_NODES: Final = 100
_MOST_NAME: Final = 100


class Watching:
    """Knows of the crawl `name` what this `node` was told last. `always`: somebody looks, from the first moment on.

    The books are asked for every 2 seconds, more rarely where that takes long, and where there are many nodes: of all
    together it is about one in a second. `on_error` hears what the store refuses.
    """

    def __init__(self, *, asks: Asks, clock: Clock, name: str, node: str, always: bool) -> None:
        self.on_error: Callable[[BaseException], None] = lambda _: None
        self._asks = asks
        self._clock = clock
        self._name = name
        self._node = node
        self._always = always
        self._looked = float("-inf")
        self._asking = self._ended = False
        self._next = float("-inf")
        self._nodes: list[Node] = []
        self._counts: Counts | None = None
        self._at = 0.0

    def now(self) -> WholeCrawl | None:
        """The crawl as it is known; None if nothing is yet. Who asks this looks, and is told more soon."""
        self._looked = now = self._clock.seconds()
        counts = self._counts
        if counts is None:
            return None
        there = [node for node in self._nodes if not node.gone]
        return WholeCrawl(
            name=self._name,
            arrived=counts.arrived - counts.moved,
            ok=counts.ok,
            failed=counts.failed,
            skipped=counts.skipped,
            queued=counts.queued,
            leased=counts.leased,
            moving=counts.moving,
            known=counts.known,
            hosts=counts.hosts,
            hosts_leased=counts.hosts_leased,
            rate=sum(node.about.rate for node in there),
            age=now - self._at,
            there=len(there),
            gone=len(self._nodes) - len(there),
            nodes=tuple(map(self._load, self._nodes[:MOST_NODES])),
        )

    def _load(self, node: Node) -> NodeLoad:
        about = node.about
        return NodeLoad(
            name=about.name[:_MOST_NAME],
            machine=about.machine[:_MOST_NAME],
            pid=about.pid,
            since=about.since,
            hosts=about.hosts,
            in_flight=about.in_flight,
            done=about.done,
            failed=about.failed,
            rate=about.rate,
            gone=-node.left if node.gone else None,
            is_this=about.name == self._node,
        )

    def told(self, nodes: list[Node]) -> None:
        """These are the nodes now (see read_nodes)."""
        self._nodes = nodes
        now = self._clock.seconds()
        if now >= self._next and not self._asking and (self._always or now - self._looked < WATCHED):
            self._ask()

    def end(self) -> None:
        """This node leaves: the books are asked for once more, if anybody has looked."""
        if not self._ended and (self._always or self._counts is not None):
            self._ask()
        self._ended = True

    def _ask(self) -> None:
        self._asking = True

        def books(store: SharedStore) -> tuple[Counts, float]:
            began = self._clock.seconds()  # it may have waited for its turn before
            return total(store.counts_of(range(SHARDS))), self._clock.seconds() - began

        self._asks.ask(books).addCallbacks(self._seen, self._failed)

    def _seen(self, seen: tuple[Counts, float]) -> None:
        self._asking = False
        self._counts, took = seen
        self._at = self._clock.seconds()
        there = sum(not node.gone for node in self._nodes)
        self._next = self._at + max(EACH, float(there), _SHARE * took)

    def _failed(self, failure: Failure) -> None:
        self._asking = False
        assert failure.value is not None
        self.on_error(failure.value)
