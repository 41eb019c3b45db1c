"""How seeds reach the reactor: read on the spot where that cannot block, else by a thread of their own."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

from crawler.seeds import BadLine, Seed

BATCH: Final = 256
READ_AHEAD: Final = 1024


class Feed(Protocol):
    """`take` gives the next seed, or None: then either `exhausted` is true, or `on_ready` is called when there is more."""

    exhausted: bool
    on_ready: Callable[[], None]

    def take(self) -> Seed | BadLine | None: ...

    def close(self) -> None: ...


class DirectFeed:
    """Reads in the reactor's thread: for regular files and for lists, which answer at once."""

    def __init__(self, seeds: Iterator[Seed | BadLine]) -> None:
        self._seeds = seeds
        self.exhausted = False
        self.on_ready: Callable[[], None] = lambda: None

    def take(self) -> Seed | BadLine | None:
        try:
            return next(self._seeds)
        except StopIteration:
            self.exhausted = True
            return None

    def close(self) -> None:
        self.exhausted = True


class ThreadFeed:
    """Reads in a daemon thread, a little ahead: for pipes and for the caller's own iterators, which may block."""

    def __init__(self, seeds: Iterator[Seed | BadLine], reactor: Any) -> None:
        self._seeds = seeds
        self._reactor = reactor
        self._ready: deque[Seed | BadLine] = deque()
        self._handed = 0  # written by the thread
        self._taken = 0  # written by the reactor
        self._room = threading.Event()
        self._lock = threading.Lock()
        self._closed = False
        self._ended = False
        self._error: Exception | None = None
        self.exhausted = False
        self.on_ready: Callable[[], None] = lambda: None
        threading.Thread(target=self._read, name="seeds", daemon=True).start()

    def take(self) -> Seed | BadLine | None:
        """As Feed says; raises what the caller's iterator raised."""
        if self._ready:
            seed = self._ready.popleft()
            self._taken += 1
            if self._taken % BATCH == 0 or not self._ready:
                self._room.set()
            return seed
        if self._ended:
            self.exhausted = True
            if self._error is not None:
                error, self._error = self._error, None
                raise error
        return None

    def close(self) -> None:
        with self._lock:  # the reactor may be gone once we are closed
            self._closed = True
        self.exhausted = True
        self._room.set()

    def _read(self) -> None:
        batch: list[Seed | BadLine] = []
        error: Exception | None = None
        try:
            for seed in self._seeds:
                batch.append(seed)
                # The first lines of a slow pipe are wanted at once, those of a fast one in batches.
                if len(batch) >= BATCH or self._handed == self._taken:
                    self._hand_over(batch, None, ended=False)
                    batch = []
                if self._closed:
                    return
        except Exception as problem:  # raised again where the seeds are taken
            error = problem
        self._hand_over(batch, error, ended=True)

    def _hand_over(self, batch: list[Seed | BadLine], error: Exception | None, *, ended: bool) -> None:
        self._room.clear()
        while self._handed - self._taken >= READ_AHEAD and not self._closed:
            self._room.wait()
            self._room.clear()
        with self._lock:
            self._handed += len(batch)
            if not self._closed:
                self._reactor.callFromThread(self._arrived, batch, error, ended)

    def _arrived(self, batch: list[Seed | BadLine], error: Exception | None, ended: bool) -> None:  # noqa: FBT001
        self._ready.extend(batch)
        self._error = error
        self._ended = ended
        self.on_ready()
