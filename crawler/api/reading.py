"""What the caller's event loop does while a run fetches: it reads URLs of an asynchronous iterable, or waits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterable, Callable
from concurrent import futures
from contextlib import suppress
from typing import Any

from crawler.run.thread import RunThread
from crawler.seeds.feed import READ_AHEAD, LiveFeed


async def until_over(outcome: futures.Future[None], abort: Callable[[], object]) -> None:
    """Wait for a run to be over. Raises what ended it. To cancel this gives the run up."""
    over = asyncio.wrap_future(outcome)
    try:
        await asyncio.shield(over)
    except asyncio.CancelledError:
        abort()
        await asyncio.wait([over])  # for the sockets to be closed
        raise


class Reading:
    """Reads on as the run takes what was read: `feed` is what stands for the URLs there.

    Made in the event loop, which does all but `_taken`.
    """

    def __init__(self, urls: AsyncIterable[Any]) -> None:
        self._urls = urls
        self._loop = asyncio.get_running_loop()
        self._room = asyncio.Event()
        self._lock = threading.Lock()  # guards the number of those that were read and not taken
        self._ahead = 0
        self.feed: LiveFeed[Any] = LiveFeed(self._taken)

    async def run(self, run: RunThread) -> None:
        """Read to the end, or until the run is over. Raises what the iterable raises."""
        try:
            async for url in self._urls:
                with self._lock:
                    self._ahead += 1
                    full = self._ahead >= READ_AHEAD
                    if full:
                        self._room.clear()
                wake = self.feed.put(url)
                if wake is None:
                    return
                if wake:
                    run.callFromThread(self.feed.arrived)
                if full:
                    await self._room.wait()
        finally:
            if self.feed.end():
                run.callFromThread(self.feed.arrived)

    def _taken(self, url: Any) -> Any:
        with self._lock:
            self._ahead -= 1
            if self._ahead == READ_AHEAD // 2:
                with suppress(RuntimeError):  # the loop was closed while the run still ends: nobody reads on there
                    self._loop.call_soon_threadsafe(self._room.set)
        return url
