"""The two steps of a split that many processes take at once: pieces of inputs become runs, and runs become shards.

A run is a file of rows in the order of their buckets, each with its keys and its place in the piece, and an index of
where each bucket begins. What belongs to a shard lies in one stretch of each run.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from struct import Struct
from typing import Final

import msgspec

from crawler.cluster.checking import Sum
from crawler.cluster.cutting import Plan
from crawler.cluster.manifest import Cut, Shard, shard_name
from crawler.cluster.place import Place, open_place
from crawler.cluster.rows import cut_keys, read_row, row_of
from crawler.files import create, put
from crawler.seeds.inputs import Seed
from crawler.seeds.ranges import Piece, read_piece
from crawler.urls import registrable_domain

ROWS: Final = 200_000
"""So many inputs are in memory at once, at most."""
_HEAD: Final = Struct("<QHII")
_AT: Final = Struct("<Q")


class Scattered(msgspec.Struct, frozen=True):
    """The runs of a piece, by the names of their files."""

    runs: list[str]


def scatter(folder: str, number: int, piece: Piece, source: int, cut: Cut, bits: int) -> Scattered:
    """Write the runs of a piece, of which `number` is the place among all. What was there of it is replaced."""
    scheme = None if cut.default_scheme == "none" else cut.default_scheme
    found = read_piece(piece, column=cut.column, scheme=scheme, keep=cut.keep_columns)
    runs: list[str] = []
    while some := list(islice(found, ROWS)):
        buckets: defaultdict[int, list[bytes]] = defaultdict(list)
        for at, seed in enumerate(some):
            domain, group = cut_keys(seed)
            row = row_of(seed, source)
            buckets[domain >> (64 - bits)].append(_HEAD.pack(domain, group, at, len(row)) + row)
        runs.append(f"run-{number:07}-{len(runs):05}")
        _write(Path(folder) / runs[-1], buckets, 1 << bits)
    return Scattered(runs)


def _write(path: Path, buckets: dict[int, list[bytes]], count: int) -> None:
    offsets = array("Q", bytes(8 * (count + 1)))
    counts = array("I", bytes(4 * count))
    at = 0
    token = secrets.token_hex(8)  # the same may be done twice at a time, and then be read
    with os.fdopen(create(f"{path}.{token}"), "wb") as file:
        for bucket in range(count):
            offsets[bucket] = at
            rows = buckets.get(bucket)
            if rows:
                octets = b"".join(rows)
                file.write(octets)
                at += len(octets)
                counts[bucket] = len(rows)
    offsets[count] = at
    Path(f"{path}.{token}").replace(path)
    for name, numbers in (("counts", counts), ("offsets", offsets)):
        put(f"{path}.{name}", numbers.tobytes())


def counts_of(folder: str, run: str) -> array[int]:
    """How many rows of a run are in each bucket."""
    counts = array("I")
    counts.frombytes((Path(folder) / f"{run}.counts").read_bytes())
    return counts


def tally(folder: str, run: str, buckets: list[int]) -> list[tuple[int, int, int]]:
    """How many rows there are of each domain and group in these buckets of a run."""
    found: Counter[tuple[int, int]] = Counter()
    for bucket in buckets:
        found.update((domain, group) for domain, group, _, _ in _rows(folder, run, bucket, bucket + 1))
    return [(domain, group, count) for (domain, group), count in found.items()]


def _rows(folder: str, run: str, first: int, end: int) -> Iterator[tuple[int, int, int, bytes]]:
    """Domain, group, place in the run, and the row, of all in these buckets."""
    path = Path(folder) / run
    with Path(f"{path}.offsets").open("rb") as index:
        index.seek(8 * first)
        (start,) = _AT.unpack(index.read(8))
        index.seek(8 * end)
        (stop,) = _AT.unpack(index.read(8))
    if start == stop:
        return
    with path.open("rb") as file:
        file.seek(start)
        octets = file.read(stop - start)
    at = 0
    while at < len(octets):
        domain, group, place, size = _HEAD.unpack_from(octets, at)
        at += _HEAD.size
        yield domain, group, place, octets[at : at + size]
        at += size


def gather(folder: str, runs: list[str], of: Plan, shards: tuple[int, int], to: str, sources: list[str]) -> list[Shard]:
    """Write the shards from the first number to the second (without that), in the order of their inputs.

    They are all of one giant, or all of the rest.
    """
    first, end = shards
    place = open_place(to)
    if first >= of.rest:
        buckets = of.buckets(first)[0], of.buckets(end - 1)[1]
    else:
        domain = next(domain for domain, pieces in of.giants.items() if first in pieces)
        buckets = domain >> (64 - of.bits), (domain >> (64 - of.bits)) + 1
    writing = [_Writing(place, shard_name(number), Sum(sources)) for number in range(first, end)]
    try:
        for run in runs:
            rows = [
                (at, shard, row)
                for domain, group, at, row in _rows(folder, run, *buckets)
                if first <= (shard := of.shard_of(domain, group)) < end
            ]
            rows.sort()
            of_shard: defaultdict[int, list[bytes]] = defaultdict(list)
            for _, shard, row in rows:
                of_shard[shard].append(row)
            for shard, some in of_shard.items():
                writing[shard - first].add(some)
        return [one.done(sources, giant=first < of.rest) for one in writing]
    finally:
        for one in writing:
            one.close()


class _Writing:
    def __init__(self, place: Place, name: str, of_inputs: Sum) -> None:
        self._place = place
        self._name = name
        self._path = place.scratch(name)
        self._file = os.fdopen(create(self._path), "wb")
        self._digest = hashlib.sha256()
        self._first = b""
        self._sum = of_inputs
        self._size = 0

    def add(self, rows: list[bytes]) -> None:
        lines = b"\n".join([*rows, b""])
        self._first = self._first or rows[0]
        self._sum.add_rows(rows)
        self._size += len(lines)
        self._digest.update(lines)
        self._file.write(lines)

    def done(self, sources: list[str], *, giant: bool) -> Shard:
        self._file.close()
        self._place.publish(self._path, self._name, replace=True)
        domain = None
        if giant and isinstance(found := read_row(self._first, sources), Seed):
            domain = registrable_domain(found.url.host.removesuffix("."))
        return Shard(self._sum.inputs, self._size, self._digest.hexdigest(), self._sum.digest, domain)

    def close(self) -> None:
        self._file.close()
        self._place.discard(self._path)
