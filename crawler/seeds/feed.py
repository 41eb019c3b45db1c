"""How seeds reach the reactor: read on the spot where that cannot block, else by a thread of their own; or put in by
other threads while the run goes on.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final, Generic, Protocol, TypeVar

from crawler.seeds.inputs import BadLine, Seed

READ_AHEAD: Final = 1024
UNWANTED: Final = object()
"""What nobody wants any more: see LiveFeed."""


_T = TypeVar("_T")


class Feed(Protocol):
    """`take` gives the next seed, or None: then `exhausted` is true, or `on_ready` is called when there is more."""

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
    """Reads in a daemon thread, a little ahead: for pipes and for the caller's own iterators, which may block.

    Each seed can be taken as soon as it was read. The reactor is woken only when it has asked in vain.
    """

    def __init__(self, seeds: Iterator[Seed | BadLine], reactor: Any) -> None:
        self._seeds = seeds
        self._reactor = reactor
        self._ready: deque[Seed | BadLine] = deque()  # the thread appends, the reactor takes
        self._room = threading.Event()
        self._lock = threading.Lock()
        self._hungry = False
        self._closed = False
        self._ended = False
        self._error: BaseException | None = None
        self.exhausted = False
        self.on_ready: Callable[[], None] = lambda: None
        threading.Thread(target=self._read, name="seeds", daemon=True).start()

    def take(self) -> Seed | BadLine | None:
        """As Feed says; raises what the caller's iterator raised."""
        if not self._ready:
            self._hungry = True  # before looking again: what is appended after that look wakes the reactor
            ended = self._ended  # before looking again: what was read last is there by then
            if not self._ready:
                if ended:
                    self.exhausted = True
                    error, self._error = self._error, None
                    if error is not None:
                        raise error
                return None
        seed = self._ready.popleft()
        if len(self._ready) == READ_AHEAD // 2:
            self._room.set()
        return seed

    def close(self) -> None:
        with self._lock:  # the reactor may be gone once we are closed
            self._closed = True
        self.exhausted = True
        self._ready.clear()
        self._room.set()

    def _read(self) -> None:
        try:
            seeds = self._seeds
            del self._seeds  # with the end of this call the caller's iterator is let go
            for seed in seeds:
                self._ready.append(seed)
                if self._hungry:
                    self._wake()
                self._await_room()
                if self._closed:
                    return
        except BaseException as problem:  # raised again where the seeds are taken: here it would only end the thread
            self._error = problem
        self._ended = True
        self._wake()

    def _await_room(self) -> None:
        while len(self._ready) >= READ_AHEAD and not self._closed:
            self._room.clear()
            # Looked at again, for it may have been taken from meanwhile.
            if len(self._ready) >= READ_AHEAD and not self._closed:
                self._room.wait()

    def _wake(self) -> None:
        self._hungry = False
        with self._lock:
            if not self._closed:
                self._reactor.callFromThread(self._arrived)

    def _arrived(self) -> None:
        self.on_ready()


class LiveFeed(Generic[_T]):
    """What is put in by other threads, until it is ended: for a run that lasts. It is the `urls` of a Crawler.

    `taken` is called in the reactor's thread with each item when its turn comes, and gives what it asks for: what may
    stand in an iterable of URLs; or UNWANTED.

    The reactor is woken only when it has asked in vain, and once for all that is put in until it looks again: see
    `put`. What binds how much waits here is those who put it in. `begun` is called there when it has asked in vain for
    the first time: the run has begun.
    """

    def __init__(self, taken: Callable[[_T], object], begun: Callable[[], None] | None = None) -> None:
        self._taken = taken
        self._begun = begun
        self._items: deque[_T] = deque()
        self._next: object = None
        self._seeds: Iterator[Seed | BadLine] = iter(())
        self._hungry = False
        self._lock = threading.Lock()  # nothing is put in once it is ended
        self._ended = False
        self.exhausted = False
        self.on_ready: Callable[[], None] = lambda: None

    # In any thread.

    def put(self, item: _T) -> bool | None:
        """Whether the reactor is to be woken now: `arrived` is to be called there. None: it is ended, nothing is taken.

        After a True, it is False until the reactor has asked in vain again: whoever got it has to see to it.
        """
        with self._lock:
            if self._ended:
                return None
            self._items.append(item)
            wake, self._hungry = self._hungry, False
        return wake

    def end(self) -> bool:
        """Put in nothing more; what waits is still taken. Whether it was not ended before: `arrived` is then due."""
        with self._lock:
            ended, self._ended = self._ended, True
        return not ended

    # In the reactor's thread.

    def __iter__(self) -> Iterator[object]:
        """What the seeds are made of: never asked for more than there is."""
        while True:
            yield self._next

    def over(self, seeds: Iterator[Seed | BadLine]) -> Feed:
        """This feed, with the seeds that are made of it, each when it is asked for."""
        self._seeds = seeds
        return self

    def arrived(self) -> None:
        self.on_ready()

    def take(self) -> Seed | BadLine | None:
        while (popped := self._pop()) is not None:
            self._next = self._taken(popped[0])
            if self._next is not UNWANTED:
                return next(self._seeds)
        return None

    def _pop(self) -> tuple[_T] | None:
        if not self._items:
            with self._lock:
                if not self._items:
                    self._hungry = True
                    self.exhausted = self._ended
            if not self._items:
                begun, self._begun = self._begun, None
                if begun is not None:
                    begun()
                return None
        return (self._items.popleft(),)

    def close(self) -> None:
        self.end()
        self.exhausted = True

    def left(self) -> list[_T]:
        """What was put in and never taken; it is ended by that."""
        self.end()
        items, self._items = list(self._items), deque()
        return items
