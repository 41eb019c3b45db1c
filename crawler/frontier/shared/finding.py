"""The URLs that pages of this node have led to, until they are in the store."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Final

from crawler.frontier.shared.contract import NO_HOST, Arrival, shard_of
from crawler.frontier.shared.entries import kept, kept_line
from crawler.models import Request
from crawler.seeds.inputs import BadLine

MOST: Final = 20_000
_RECENT: Final = 100_000


class Found:
    """`on_first` is called with the first after a cut; `hosts` are those of all since. Holds the keys of the latest.

    What was lately found here is not sent again: most links of a page are those of the page before it.
    """

    def __init__(self, epoch: Callable[[], float], on_first: Callable[[], None]) -> None:
        self.hosts: set[str] = set()
        self._epoch = epoch
        self._on_first = on_first
        self._shards: defaultdict[int, list[Arrival]] = defaultdict(list)
        self._recent: set[bytes] = set()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __contains__(self, key: bytes) -> bool:
        return key in self._recent

    def add(self, host: str, key: bytes, request: Request) -> None:
        if key in self._recent:
            return
        if len(self._recent) >= _RECENT:
            self._recent.clear()
        self._recent.add(key)
        self.hosts.add(host)
        self._send(Arrival(host, key, kept(request, self._epoch())))

    def refuse(self, key: bytes, line: BadLine) -> None:
        """It is not fetched, but has a record."""
        self._send(Arrival(NO_HOST, key, kept_line(line)))

    def doubt(self) -> None:
        """What has come to the store may not be there any more."""
        self._recent.clear()

    def cut(self) -> dict[int, Sequence[Arrival]]:
        """All since the last cut, by shard."""
        shards, self._shards = self._shards, defaultdict(list)
        self._size = 0
        self.hosts.clear()
        return {**shards}

    def _send(self, arrival: Arrival) -> None:
        if not self._size:
            self._on_first()
        self._shards[shard_of(arrival.host)].append(arrival)
        self._size += 1
