"""A run that goes on while somebody steers it."""

from __future__ import annotations

import pytest
from memory_net import Network
from test_crawl_mode import Kept, World, text
from twisted.internet.defer import Deferred

from crawler.config.config import Config
from crawler.engine.control import Control
from crawler.run.composition import Crawler


class Going:
    """A list run that goes on: a page takes a second."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, number: int, **options: object) -> None:
        self.world = World(monkeypatch)
        self.clock = self.world.clock
        self.network: Network = self.world.network
        pages = {f"/{n}": text("x")._replace(after=1.0) for n in range(100)}
        self.servers = {host: self.world.site(pages, host) for host in ("a.example", "b.example")}
        self.kept = Kept()
        urls = [f"http://a.example/{n}" for n in range(number)]
        self.crawler = Crawler(
            Config.build(**{"adaptive": False, **options}),
            reactor=self.clock, urls=urls, sinks=[self.kept], dial=self.network.dial,
        )  # fmt: skip
        self.ended: list[object] = []
        running: Deferred[object] = self.crawler.run()
        running.addBoth(self.ended.append)
        self.pass_time(0.01)

    @property
    def control(self) -> Control:
        assert self.crawler.control is not None
        return self.crawler.control

    def pass_time(self, seconds: float) -> None:
        end = self.clock.seconds() + seconds
        while True:
            calls = [call.getTime() for call in self.clock.getDelayedCalls() if call.getTime() <= end]
            if not calls:
                break
            self.clock.advance(max(0.0, min(calls) - self.clock.seconds()))
        self.clock.advance(max(0.0, end - self.clock.seconds()))

    def asked(self, host: str = "a.example") -> list[float]:
        return [at for at, _ in self.servers[host].asked]
