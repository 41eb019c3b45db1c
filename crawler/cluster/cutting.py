"""Which shard an input comes into: giants first, each apart, and the rest in equal shares. Pure.

A domain with more inputs than a shard has on average is a giant: its shards hold nothing else, and have the first
numbers, the largest first, for it takes longest. It is cut by hosts, into at most as many shards as it has shares, so
that no host is in two: the pace of a host is kept by one run. A giant of one host is one shard, however large.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Final

import msgspec

from crawler.cluster.rows import GROUPS

_FEWEST: Final = 10
_MOST: Final = 20


class Plan(msgspec.Struct, frozen=True):
    """`giants`: of each giant domain the shard of each group of its hosts. `firsts`: the first bucket of each shard
    from `rest` on; a bucket is the first `bits` bits of a domain's key.
    """

    bits: int
    shards: int
    giants: dict[int, list[int]]
    firsts: list[int]

    @property
    def rest(self) -> int:
        return self.shards - len(self.firsts)

    def shard_of(self, domain: int, group: int) -> int:
        pieces = self.giants.get(domain)
        if pieces is not None:
            return pieces[group]
        return self.rest + bisect_right(self.firsts, domain >> (64 - self.bits)) - 1

    def buckets(self, shard: int) -> tuple[int, int]:
        """From which to which bucket (without that) the inputs of one of the later shards are."""
        at = shard - self.rest
        last = at + 1 == len(self.firsts)
        return self.firsts[at], 1 << self.bits if last else self.firsts[at + 1]


def bits_for(shards: int) -> int:
    """How many buckets there are, as a power of 2: some for each shard, so that shares come out even."""
    return min(_MOST, max(_FEWEST, (16 * shards - 1).bit_length()))


def heavy(counts: Sequence[int], shards: int) -> list[int]:
    """The buckets in which there may be a giant."""
    total = sum(counts)
    return [bucket for bucket, count in enumerate(counts) if count * shards > total]


def plan(counts: Sequence[int], tally: Mapping[tuple[int, int], int], shards: int) -> Plan:
    """The plan for so many inputs in each bucket; `tally` counts those in heavy buckets, by domain and group."""
    bits = len(counts).bit_length() - 1
    total = sum(counts)
    groups: dict[int, dict[int, int]] = {}
    for (domain, group), count in tally.items():
        groups.setdefault(domain, {})[group] = count
    sizes = {domain: sum(of.values()) for domain, of in groups.items()}
    giants: dict[int, list[int]] = {}
    left = list(counts)
    taken = 0
    for domain in sorted(sizes, key=lambda domain: (-sizes[domain], domain)):
        size = sizes[domain]
        if size * shards <= total:
            break
        pieces = min(size * shards // total, len(groups[domain]))
        giants[domain] = [taken + piece for piece in _shares(groups[domain], pieces)]
        left[domain >> (64 - bits)] -= size
        taken += pieces
    return Plan(bits, shards, giants, _firsts(left, shards - taken))


def _shares(counts: Mapping[int, int], pieces: int) -> list[int]:
    """The piece of each group: the largest goes to the piece that has least."""
    loads = [0] * pieces
    found = [0] * GROUPS
    for group in sorted(counts, key=lambda group: (-counts[group], group)):
        piece = loads.index(min(loads))
        loads[piece] += counts[group]
        found[group] = piece
    return found


def _firsts(counts: Sequence[int], shards: int) -> list[int]:
    """Where each of so many shards begins: neighbouring buckets, each about the same number of inputs."""
    sums = list(accumulate(counts, initial=0))
    return [0, *(bisect_right(sums, sums[-1] * shard // shards) - 1 for shard in range(1, shards))][:shards]
