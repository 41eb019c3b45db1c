"""Queues that are too long for the memory of the store: their tails are files in a folder that all nodes reach."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import msgspec
from twisted.internet.interfaces import IDelayedCall

from crawler.files import coded, open_plain, put, sync
from crawler.frontier.shared.claiming import Clock
from crawler.frontier.shared.contract import SHARDS, Asks, SharedStore, StoreRefusedError

SEGMENTS: Final = "segments"
EVERY: Final = 2.0
"""Seconds between two looks at the shards in which something has happened."""
KEPT: Final = 60.0
"""So long a file stays when its URLs are back: the store may lose its last seconds, and want them again."""
PASS: Final = 1.0  # seconds of a look: commits and renewals wait for it
_AT_ONCE: Final = 8  # segments of a shard
_entries: Final = msgspec.msgpack.Decoder(list[bytes]).decode


class Spilling:
    """Looks after the queues of the shards that it hears of, in the thread that asks the store."""

    def __init__(self, folder: str, *, asks: Asks, clock: Clock, node: str, ttl: float) -> None:
        self.on_heard: Callable[[list[int]], None] = lambda _: None
        self.on_error: Callable[[BaseException], None] = lambda _: None
        self._folder = Path(folder)
        self._asks = asks
        self._clock = clock
        self._node = node
        self._ttl = ttl
        self._shards: set[int] = set()
        self._timer: IDelayedCall | None = None
        self._busy = False
        self._used: deque[tuple[float, Path]] = deque()

    def start(self) -> None:
        self._timer = self._clock.callLater(EVERY, self._look)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def heard(self, shards: Iterable[int]) -> None:
        """Something has come there, or was taken."""
        self._shards.update(shards)

    def look_everywhere(self) -> None:
        """There is nothing to do: what waits may be in files."""
        self._shards.update(range(SHARDS))

    def _look(self) -> None:
        self._timer = self._clock.callLater(EVERY, self._look)
        if self._busy or not self._shards:
            return
        self._busy = True
        shards, self._shards = self._shards, set()
        self._asks.ask(lambda store: self._pass(store, shards)).addCallback(self._done).addErrback(self._failed)

    def _done(self, answer: tuple[list[int], set[int]]) -> None:
        self._busy = False
        heard, left = answer
        self._shards |= left
        self.on_heard(heard)

    def _failed(self, failure: object) -> None:
        self._busy = False
        self.on_error(failure.value)  # type: ignore[attr-defined]

    # In the thread.

    def _pass(self, store: SharedStore, shards: set[int]) -> tuple[list[int], set[int]]:
        """Spill and bring back; gives the shards where something came back, and those to be looked at again."""
        end = self._clock.seconds() + PASS
        while self._used and self._used[0][0] < end - PASS - KEPT:
            self._used.popleft()[1].unlink(missing_ok=True)
        heard = []
        left = set()
        for shard in sorted(shards):
            if self._clock.seconds() >= end:
                left.add(shard)
                continue
            for _ in range(_AT_ONCE):
                if not self._spilled(store, shard):
                    break
            else:
                left.add(shard)
            back = [self._brought(store, shard, host, name) for host, name in store.segments(shard, _AT_ONCE)]
            if any(back):
                heard.append(shard)
        return heard, left

    def _spilled(self, store: SharedStore, shard: int) -> bool:
        spill = store.spill(shard, self._node, self._ttl)
        if spill is None:
            return False
        name = f"{shard:03}-{spill.number}-{self._node}"
        path = self._folder / name
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            put(str(path), msgspec.msgpack.encode(spill.entries))
            sync(str(path))
        except OSError as error:
            raise coded(error, str(path)) from error
        if not store.spilled(shard, spill, name):
            path.unlink(missing_ok=True)
        return True

    def _brought(self, store: SharedStore, shard: int, host: str, name: str) -> bool:
        path = self._folder / os.path.basename(name)  # noqa: PTH119 - a name of the store's, whatever it says
        try:
            with open_plain(str(path)) as file:
                entries = _entries(file.readall())
        except FileNotFoundError:
            if (host, name) in store.segments(shard, _AT_ONCE):
                raise StoreRefusedError(f"{path} is missing, and has URLs of {host}") from None
            return False  # somebody else has just brought it back
        except OSError as error:
            raise coded(error, str(path)) from error
        is_back = store.unspilled(shard, host, name, entries)
        self._used.append((self._clock.seconds(), path))
        return is_back
