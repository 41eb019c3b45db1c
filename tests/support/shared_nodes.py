"""Nodes of one crawl on one Clock: each a Crawler over a network in memory, and a store in memory that all ask."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from crawl_world import World
from shared_store import ReferenceStore
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from crawler.cluster.shared.collecting import Collected, collect
from crawler.config.config import Config
from crawler.frontier.shared.contract import SHARDS, Counts, SharedStore, StoreError, total
from crawler.run.composition import Crawler

LATENCY = 0.001


class AsksOnClock:
    """Asks a store in the Clock's own time, one operation after the other. `store` may be anything that is a store."""

    def __init__(self, store: SharedStore, clock: Clock, latency: float = LATENCY) -> None:
        self.store = store
        self.on_doubt: Callable[[], None] = lambda: None
        self.asked = 0
        self._clock = clock
        self._latency = latency
        self._waiting: list[tuple[Callable[[SharedStore], Any], Deferred[Any]]] = []
        self._closed = False

    @property
    def waiting(self) -> int:
        """How many operations have no answer yet."""
        return len(self._waiting)

    def ask(self, operation: Callable[[SharedStore], Any]) -> Deferred[Any]:
        answer: Deferred[Any] = Deferred(lambda _: None)
        if self._closed:
            answer.errback(CancelledError())
            return answer
        self._waiting.append((operation, answer))
        if len(self._waiting) == 1:
            self._clock.callLater(self._latency, self._serve)
        return answer

    def close(self) -> None:
        self._closed = True

    def _serve(self) -> None:
        if self._closed:
            return
        operation, answer = self._waiting[0]
        result: Any
        try:
            self.asked += 1
            result = operation(self.store)
        except StoreError:
            self.on_doubt()
            self._clock.callLater(0.5, self._serve)
            return
        except Exception:
            result = Failure()
        self._waiting.pop(0)
        if self._waiting:
            self._clock.callLater(self._latency, self._serve)
        if not answer.called:
            answer.callback(result)


class Nodes:
    """Nodes that crawl one World; their parts are in a folder, or where the option `output` says."""

    def __init__(self, world: World, folder: Path, **options: Any) -> None:
        self.world = world
        self.clock = world.clock
        self.folder = folder
        self.store = ReferenceStore(world.clock.seconds)
        self.options = options
        self.crawlers: list[Crawler] = []
        self.ended: list[Any] = []

    def start(
        self, *seeds: str, asks: AsksOnClock | None = None, sinks: list[Any] | None = None, **options: Any
    ) -> Crawler:
        """One more node."""
        config = Config.build(
            recursive=True,
            frontier="redis://store.example/0",
            crawl_id="test",
            **{"scope": "any", "output": [f"{self.folder}/"], "allow_private": True, **self.options, **options},
        )
        crawler = Crawler(
            config,
            reactor=self.clock,
            urls=list(seeds),
            sinks=sinks or [],
            dial=self.world.network.dial,
            asks=asks or AsksOnClock(self.store, self.clock),
        )
        self.crawlers.append(crawler)
        crawler.run().addBoth(self.ended.append)
        return crawler

    def until(self, met: Callable[[], bool], seconds: float = 600.0) -> None:
        """Let time pass until that is so."""
        end = self.clock.seconds() + seconds
        while not met():
            calls = [call.getTime() for call in self.clock.getDelayedCalls()]
            assert calls, "nothing will happen any more"
            assert min(calls) <= end, "it takes too long"
            self.clock.advance(max(0.0, min(calls) - self.clock.seconds()))

    def lose(self, late: float) -> None:
        """Let that time pass, and the store lose what it got in it; all nodes are told that it may have."""
        before, at = self.store.snapshot(), self.clock.seconds()
        self.until(lambda: self.clock.seconds() >= at + late)
        self.store.restore(before)
        for crawler in self.crawlers:
            asks = crawler.parts.asks
            assert asks is not None
            asks.on_doubt()

    def finish(self, seconds: float = 600.0) -> None:
        """Until all nodes have ended by themselves."""
        self.until(lambda: len(self.ended) == len(self.crawlers), seconds)
        for outcome in self.ended:
            if isinstance(outcome, Failure):
                outcome.raiseException()
        assert self.world.network.open == set(), "every socket is closed"
        assert [str(call) for call in self.clock.getDelayedCalls()] == [], "no timer is left"

    @property
    def counts(self) -> Counts:
        return total(self.store.counts_of(range(SHARDS)))

    def collect(self) -> list[dict[str, Any]]:
        """The records that count, held against the books."""
        to = self.folder / "all.jsonl"
        place = self.options.get("output", str(self.folder))
        found: Collected = collect(self.store, place, str(to), replace=True)
        assert found.problems == []
        return [json.loads(line) for line in to.read_text().splitlines()]

    def urls(self) -> Counter[str]:
        return Counter(record["url"] for record in self.collect())
