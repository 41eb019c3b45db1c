"""Counters whose memory does not grow with what they count: the most frequent, the largest. Pure.

A `Tally` or a `Tree` that is full forgets what it saw least of and keeps the sums: what a page shows of the frequent
is right, and what comes thinly spread among thousands of others is counted as "others".
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappush, heapreplace, nlargest
from typing import Final, Generic, NamedTuple, TypeVar

LONGEST: Final = 1_000
CUT: Final = "\N{HORIZONTAL ELLIPSIS}"

T = TypeVar("T")


def cut(text: str) -> str:
    """What is kept of a text from outside, which may be megabytes."""
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + CUT


class Entry:
    """How often something came, the sum of its sizes, and the first few examples."""

    __slots__ = ("count", "examples", "size")

    def __init__(self) -> None:
        self.count = 0
        self.size = 0
        self.examples: list[str] = []


class Row(NamedTuple):
    key: str
    entry: Entry

    def words(self, parts: int) -> list[str]:
        """The key as that many words, the last of which may hold spaces."""
        found = self.key.split(" ", parts - 1)
        return found + [""] * (parts - len(found))


class Tally:
    """Counts texts. At most `2 * limit` are held; when there are more, the `limit` most frequent stay.

    `count` and `size` are the exact sums over all; `distinct` is exact unless `pruned`, then it is what is held.
    """

    __slots__ = ("_entries", "_examples", "_limit", "count", "pruned", "size")

    def __init__(self, limit: int = 1_000, examples: int = 3) -> None:
        self._entries: dict[str, Entry] = {}
        self._limit = limit
        self._examples = examples
        self.count = 0
        self.size = 0
        self.pruned = False

    def add(self, key: str, *, size: int = 0, example: str | None = None) -> None:
        self.count += 1
        self.size += size
        entry = self._entries.get(key)
        if entry is None:
            entry = self._open(cut(key))
        entry.count += 1
        entry.size += size
        if example is not None and len(entry.examples) < self._examples:
            example = cut(example)
            if example not in entry.examples:
                entry.examples.append(example)

    @property
    def distinct(self) -> int:
        return len(self._entries)

    def top(self, limit: int) -> tuple[list[Row], Entry]:
        """The most frequent, of equals what came first; and what is not among them, summed."""
        rows = [Row(*item) for item in nlargest(limit, self._entries.items(), key=lambda item: item[1].count)]
        others = Entry()
        others.count = self.count - sum(row.entry.count for row in rows)
        others.size = self.size - sum(row.entry.size for row in rows)
        return rows, others

    def _open(self, key: str) -> Entry:
        entry = self._entries.get(key)  # of a key that was cut
        if entry is not None:
            return entry
        if len(self._entries) >= 2 * self._limit:
            # As many must come as are kept before this is needed again, so that one costs O(1).
            ranked = sorted(self._entries.items(), key=lambda item: item[1].count, reverse=True)
            self._entries = dict(ranked[: self._limit])
            self.pruned = True
        entry = self._entries[key] = Entry()
        return entry


class Largest(Generic[T]):
    """The items with the largest values."""

    __slots__ = ("_heap", "_limit", "_number")

    def __init__(self, limit: int) -> None:
        self._heap: list[tuple[float, int, T]] = []
        self._limit = limit
        self._number = 0

    def wants(self, value: float) -> bool:
        """Whether `add` would keep it: what need not be made, need not be added."""
        return len(self._heap) < self._limit or value > self._heap[0][0]

    def add(self, value: float, item: T) -> None:
        self._number -= 1  # of equals the earlier stays, and items are never compared
        entry = (value, self._number, item)
        if len(self._heap) < self._limit:
            heappush(self._heap, entry)
        elif value > self._heap[0][0]:
            heapreplace(self._heap, entry)

    def ranked(self) -> list[tuple[float, T]]:
        """The largest first."""
        return [(value, item) for value, _, item in sorted(self._heap, key=lambda entry: entry[:2], reverse=True)]


class Node:
    """A folder or a page of the tree, with all that is below. What `children` lack is "others"."""

    __slots__ = ("children", "count", "errors", "size")

    def __init__(self) -> None:
        self.children: dict[str, Node] | None = None
        self.count = 0
        self.errors = 0
        self.size = 0


class Tree:
    """Counts paths by folder. When there are more than `limit` nodes, the half with the smallest counts goes."""

    __slots__ = ("_limit", "_nodes", "root")

    def __init__(self, limit: int = 20_000) -> None:
        self.root = Node()
        self._limit = limit
        self._nodes = 0

    def add(self, names: Iterable[str], *, size: int, error: bool) -> None:
        node = self.root
        node.count += 1
        node.size += size
        node.errors += error
        for name in names:
            if node.children is None:
                node.children = {}
            child = node.children.get(name)
            if child is None:
                child = node.children[name] = Node()
                self._nodes += 1
            node = child
            node.count += 1
            node.size += size
            node.errors += error
        if self._nodes > self._limit:
            self._prune()

    def _prune(self) -> None:
        counts: list[int] = []
        nodes = [self.root]
        while nodes:
            for child in (nodes.pop().children or {}).values():
                counts.append(child.count)
                nodes.append(child)
        counts.sort(reverse=True)
        least = counts[self._limit // 2]
        self._nodes = 0
        nodes = [self.root]
        while nodes:
            node = nodes.pop()
            if node.children is not None:
                node.children = {name: child for name, child in node.children.items() if child.count > least}
                self._nodes += len(node.children)
                nodes += node.children.values()
