"""The books of a shared crawl at one moment: what became of URLs, and how long its parts are, shard by shard."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from crawler.frontier.shared.contract import SHARDS, Counts, SharedStore, total

_TRIES: Final = 20


class Books(NamedTuple):
    """Of each shard its `counts`; of each part how long it is as far as each shard has committed it, in `parts`.

    In the shards of `moving` both are not of one moment: so much was committed there that none was found.
    """

    counts: list[Counts]
    parts: dict[str, list[int]]
    moving: list[int]

    @property
    def total(self) -> Counts:
        return total(self.counts)

    def imbalance(self) -> Iterator[str]:
        """What does not add up in them, in words."""
        for shard, counts in enumerate(self.counts):
            there = counts.queued + counts.leased + counts.moving
            if counts.pending != there:
                words = f"{counts.pending:,} URLs have arrived and not ended, and {there:,} wait"
                yield f"shard {shard}: the books do not balance: {words}"


def read_books(store: SharedStore) -> Books:
    """Ask for them. Raises StoreError, StoreRefusedError."""
    counts = store.counts_of(range(SHARDS))
    sizes: list[dict[str, int]] = [{} for _ in range(SHARDS)]
    moving = list(range(SHARDS))
    for _ in range(_TRIES):
        # Between two looks that say the same, nothing was committed.
        looked = zip(moving, store.parts_of(moving), store.counts_of(moving), strict=True)
        moving = []
        for shard, its_sizes, its_counts in looked:
            if _ended(its_counts) != _ended(counts[shard]):
                moving.append(shard)
            sizes[shard], counts[shard] = its_sizes, its_counts
        if not moving:
            break
    parts: dict[str, list[int]] = {}
    for shard, its_sizes in enumerate(sizes):
        for name, size in its_sizes.items():
            parts.setdefault(name, [0] * SHARDS)[shard] = size
    return Books(counts, parts, moving)


def _ended(counts: Counts) -> Sequence[int]:
    return counts.ok, counts.failed, counts.skipped
