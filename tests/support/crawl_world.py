"""Sites in memory by host name, and whole crawls over them: a Crawler made of a Config, under a Clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
from memory_child import MemoryChild
from memory_net import NEVER, Asked, Network, Server, Wire, run
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from crawler.config.config import Config
from crawler.models import Record, Response
from crawler.page.callbacks import Parse
from crawler.run.composition import Crawler
from crawler.spiders.spider import Spider
from crawler.stats.stats import Snapshot

ROOT = "http://a.example/"
HTML = "Content-Type: text/html"


class Answer(NamedTuple):
    body: bytes = b""
    headers: tuple[str, ...] = ()
    status: int = 200
    after: float = 0.0


def page(*links: str, title: str = "", status: int = 200, after: float = 0.0) -> Answer:
    anchors = "".join(f'<a href="{link}">x</a>\n' for link in links)
    return Answer(f"<title>{title}</title>{anchors}".encode(), (HTML,), status, after)


def moved(location: str, status: int = 302) -> Answer:
    return Answer(b"", (f"Location: {location}",), status)


def text(body: str, status: int = 200) -> Answer:
    return Answer(body.encode(), ("Content-Type: text/plain",), status)


def robots(*lines: str) -> Answer:
    return text("\n".join(["User-agent: *", *lines]))


def urlset(*urls: str) -> Answer:
    entries = "".join(f"<url><loc>{url}</loc></url>" for url in urls)
    return Answer(f"<urlset>{entries}</urlset>".encode(), ("Content-Type: application/xml",))


Pages = dict[str, Answer | list[Answer]]


class Kept:
    """A sink that keeps every record, and checks that no number has two."""

    def __init__(self) -> None:
        self.by_number: dict[int, Record] = {}

    def write(self, record: Record, response: Response | None, sequence: int) -> Deferred[None] | None:
        assert sequence not in self.by_number, f"a second record for input {sequence}"
        self.by_number[sequence] = record
        return None

    def flush(self) -> None: ...

    def close(self) -> None: ...


class Run(NamedTuple):
    records: list[Record]
    snapshot: Snapshot
    crawler: Crawler

    def of(self, url: str) -> Record:
        """The one record of a URL."""
        (record,) = [record for record in self.records if record.url == url]
        return record

    def code(self, url: str) -> str | None:
        error = self.of(url).error
        return None if error is None else error.code

    @property
    def urls(self) -> list[str]:
        return [record.url for record in self.records]

    @property
    def codes(self) -> Counter[str | None]:
        return Counter(record.error and record.error.code for record in self.records)


class World:
    """Sites by host name, and crawls over them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.network = network = Network(self.clock)

        class Names:
            """The resolver of this network: the real one asks the system, in threads."""

            def __init__(self, _: object, **__: object) -> None:
                self.resolve = network.resolve

            def close(self) -> None: ...

        monkeypatch.setattr("crawler.run.network.Resolver", Names)
        monkeypatch.setattr("crawler.page.parsing.worker.Child", MemoryChild)

    def site(self, pages: Pages, host: str = "a.example", **options: Any) -> Server:
        """Serve these paths; 404 for all others. Of a list each answer is given once, the last one ever after."""
        left = {path: list(answer) if isinstance(answer, list) else [answer] for path, answer in pages.items()}

        def script(wire: Wire, asked: Asked) -> None:
            answers = left.get(asked.target) or [Answer(b"no", status=404)]
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            if answer.after < NEVER:
                wire.answer(answer.body, *answer.headers, status=answer.status, after=answer.after)

        return self.network.serve(host, script, **options)

    def crawl(self, *seeds: object, parse: Parse | Sequence[Parse] | None = None, **options: Any) -> Run:
        """Crawl from these seeds, with no other options than those of `crawler -r` unless told."""
        return self.run(urls=list(seeds) or [ROOT], parse=parse, **{"recursive": True, **options})

    def run(
        self,
        *,
        urls: object = None,
        parse: Parse | Sequence[Parse] | None = None,
        spider: Spider | None = None,
        **options: Any,
    ) -> Run:
        """A run of these options."""
        kept = Kept()
        config = Config.build(**options)
        crawler = Crawler(
            config,
            reactor=self.clock,
            urls=urls,
            sinks=[kept],
            dial=self.network.dial,
            parse=parse,
            spider=spider,
        )
        snapshot: Snapshot = run(self.clock, crawler.run())
        self.clock.advance(0)
        assert self.network.open == set(), "every socket is closed"
        assert [str(call) for call in self.clock.getDelayedCalls()] == [], "no timer is left"
        counts = crawler.parts.frontier.counts()
        assert (counts.pending, crawler.pending) == (0, 0), "the books balance"
        return Run([kept.by_number[number] for number in sorted(kept.by_number)], snapshot, crawler)
