"""What callers are told while a run goes on: each record, and how far it is; always where they called."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from crawler.api.notebook import make_bar
from crawler.models import Record
from crawler.page.callbacks import is_async
from crawler.run.composition import Crawler
from crawler.stats.stats import Snapshot

INTERVAL: Final = 0.2  # seconds

OnRecord = Callable[[Record], object]
OnProgress = Callable[[Snapshot], object]


class Watch:
    """Tells `on_record` and `on_progress`, and a notebook's bar. `wanted` is false where nobody is to be told.

    What a function raises ends the run; it is raised where the run was called for. In asyncio it may be `async def`.
    """

    def __init__(
        self, on_record: OnRecord | None, on_progress: OnProgress | None, *, bar: bool, awaits: bool = False
    ) -> None:
        for name, function in (("on_record", on_record), ("on_progress", on_progress)):
            if function is not None and not callable(function):
                raise TypeError(f"{name}: {type(function).__name__} is not a function")
            if function is not None and not awaits and is_async(function):
                raise TypeError(f"{name}: an async def is awaited by fetch_all_async, stream_async and crawl_async")
        self._on_record = on_record
        self._on_progress = on_progress
        self._bar = make_bar() if bar else None
        self._crawler: Crawler | None = None
        self._reactor: Any = None
        self._seen: Snapshot | None = None
        self.wanted = not (on_record is None and on_progress is None and self._bar is None)
        self.interval = INTERVAL if on_progress is not None or self._bar is not None else None

    def follow(self, reactor: Any, crawler: Crawler) -> None:
        """Look at this run from now on."""
        self._crawler = crawler
        if self.interval is not None:
            self._reactor = reactor
            reactor.callLater(INTERVAL, self._look)

    def _look(self) -> None:
        """In the reactor's thread: nobody else may look at what it counts."""
        assert self._crawler is not None
        self._seen = self._crawler.stats.snapshot()
        self._reactor.callLater(INTERVAL, self._look)

    # In the caller's thread.

    def record(self, record: Record) -> Awaitable[Any] | None:
        """A record has come. Gives what is to be awaited."""
        return None if self._on_record is None else _awaited(self._on_record(record))

    def progress(self) -> Awaitable[Any] | None:
        """Tell of what was seen last, if it is new."""
        snapshot, self._seen = self._seen, None
        return None if snapshot is None else self._show(snapshot)

    def end(self) -> Awaitable[Any] | None:
        """The run is over, and its reactor gone."""
        if self.interval is None or self._crawler is None:
            return None
        snapshot = self._crawler.stats.snapshot()
        if self._bar is not None:
            self._bar.close(snapshot)
        return None if self._on_progress is None else _awaited(self._on_progress(snapshot))

    def leave(self) -> None:
        """The run is given up."""
        if self._bar is not None and self._crawler is not None:
            self._bar.close(self._crawler.stats.snapshot())

    def _show(self, snapshot: Snapshot) -> Awaitable[Any] | None:
        if self._bar is not None:
            self._bar.show(snapshot)
        return None if self._on_progress is None else _awaited(self._on_progress(snapshot))


def _awaited(result: object) -> Awaitable[Any] | None:
    return result if isinstance(result, Awaitable) else None
