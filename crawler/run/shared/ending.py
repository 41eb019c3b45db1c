"""Whether a crawl over many machines has come to its end, as a node sees it that has nothing to do."""

from __future__ import annotations

from collections.abc import Iterator

from crawler.frontier.shared.contract import SHARDS, Counts, SharedStore, shard_of, total


def has_ended(store: SharedStore, node: str) -> tuple[Counts | None, list[int]]:
    """The books of the crawl, or None if it has not ended: inputs, pushed lines, or ends of what arrived are missing.

    All ends are read before all arrivals: both only grow, so what is equal then was so in between. What is on its way
    from one host to another, because a node died, is brought there; gives the shards where something came.
    """
    if store.lease_seeds(node, 0.0) != -1 or store.pushing():
        return None, []
    before = store.counts_of(range(SHARDS))
    heard = list(bring_moves(store, [shard for shard, counts in enumerate(before) if counts.moving]))
    ended = sum(counts.ok + counts.failed + counts.skipped + counts.moved for counts in before)
    if heard or any(counts.pending for counts in before):
        return None, heard
    has_all = sum(counts.arrived for counts in store.counts_of(range(SHARDS))) == ended
    return total(before) if has_all else None, []


def bring_moves(store: SharedStore, shards: list[int]) -> Iterator[int]:
    """Bring what a redirect has led to another host, to that host."""
    for shard in shards:
        for move in store.moves(shard, 1_000):
            there = shard_of(move.arrival.host)
            store.arrive(there, [move.arrival])
            store.moved(shard, [move.id])
            yield there
