"""How a shared crawl stands: its books, its nodes, the hosts with most to do, and what its store takes."""

from __future__ import annotations

from collections.abc import Callable
from heapq import nlargest
from itertools import chain
from typing import Final

import msgspec

from crawler.cluster.shared.books import read_books
from crawler.frontier.shared.about import Memory, Node, read_nodes
from crawler.frontier.shared.contract import SHARDS, Counts, HostBooks, SharedStore

HOSTS: Final = 10


class Status(msgspec.Struct, frozen=True):
    """A shared crawl. `hosts` are those with most to do; its `parts` have `size` bytes that count, or some fewer."""

    counts: Counts
    nodes: list[Node]
    hosts: list[HostBooks]
    parts: int
    size: int
    memory: list[Memory]

    @property
    def is_there(self) -> bool:
        """Whether there is such a crawl."""
        return bool(self.counts.arrived or self.nodes)

    @property
    def rate(self) -> float:
        """Records in a second, of the nodes that are there."""
        return sum(node.about.rate for node in self.nodes if not node.gone)


def read_status(store: SharedStore, memory: Callable[[], list[Memory]] = list) -> Status:
    """Ask for it. Raises StoreError, StoreRefusedError."""
    books = read_books(store)
    nodes = read_nodes(store.nodes())
    total = books.total
    busy = store.busiest_of([shard for shard in range(SHARDS) if books.counts[shard].hosts], HOSTS)
    parts = [max(sizes) for sizes in books.parts.values()]
    return Status(
        counts=total,
        nodes=nodes,
        hosts=nlargest(HOSTS, chain.from_iterable(busy), key=lambda host: host.queued + host.leased),
        parts=sum(size > 0 for size in parts),
        size=sum(parts),
        memory=memory(),
    )
