"""What type checkers make of the public names. Never run: mypy reads it, and an ignore that is not needed is an error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, assert_type

import parsel
from twisted.internet.defer import Deferred

from crawler import (
    CODES,
    AsyncSession,
    CodedError,
    Config,
    ConfigError,
    Crawler,
    Page,
    Record,
    Request,
    Session,
    Spider,
    __version__,
    crawl,
    fetch_all,
    fetch_all_async,
    stream,
    stream_async,
)
from crawler.errors import Code
from crawler.models import Response
from crawler.sinks import Sink
from crawler.stats.stats import Snapshot


def correct(urls: Iterator[str], reactor: Any, sink: Sink) -> None:
    """What users write."""
    assert_type(fetch_all(["https://example.org/"]), list[Record])
    assert_type(fetch_all(urls, concurrency=8, headers=["X-A: b"], max_size="1 MiB"), list[Record])
    assert_type(stream(urls, ordered=True), Iterator[Record])
    assert_type(Config.build(timeout="2m").timeout, float)
    assert_type(Crawler(Config(), reactor=reactor, urls=urls, sinks=[sink]).run(), Deferred[Snapshot])
    version: str = __version__  # to pyright it is the literal
    assert_type(version.encode(), bytes)
    assert_type(CODES["dns_nxdomain"], Code)
    for record in stream(urls):
        assert_type(record.url, str)
        assert_type(record.status, int | None)
        assert_type(record.body, bytes)
        assert_type(record.text, str)
        assert_type(record.selector, parsel.Selector)
        if record.error is not None:
            assert_type(record.error.code, str)
            assert_type(record.error.transient, bool)


async def correct_async(urls: list[str]) -> None:
    assert_type(await fetch_all_async(urls), list[Record])
    assert_type([record async for record in stream_async(urls, concurrency=4)], list[Record])
    async with Session(per_host=4) as session:
        assert_type(session, AsyncSession)
        assert_type(await session.fetch(urls[0]), Record)
        assert_type(await session.post(urls[0], json={"a": 1}), Record)
        assert_type(await session.fetch_all(urls), list[Record])
        assert_type([record async for record in session.stream(urls)], list[Record])
        await session.fetch(urls[0], jsn=1)  # type: ignore[call-arg]


def correct_session(urls: list[str]) -> None:
    with Session(cookies="off") as session:
        assert_type(session.fetch(Request(urls[0])), Record)
        assert_type(session.get(urls[0], params={"a": 1}), Record)
        assert_type(list(session.stream(urls)), list[Record])
    Session(concurency=4)  # type: ignore[call-arg]
    fetch_all(urls, on_record=lambda record: print(record.status), on_progress=lambda now: print(now.done))


def correct_errors(urls: list[str]) -> None:
    try:
        fetch_all(urls, output=["out.jsonl"])
    except ConfigError as error:
        assert_type(error.args, tuple[Any, ...])
    except CodedError as error:
        assert_type(error.code, str)


class MySink:
    """A user's own sink: the protocol is matched by shape."""

    def write(self, record: Record, response: Response | None, sequence: int) -> None:
        assert_type(record, Record)

    def flush(self) -> None: ...

    def close(self) -> None: ...


MINE: Sink = MySink()


def incorrect(record: Record, reactor: Any) -> None:
    """What a type checker tells before a run does."""
    fetch_all(42)  # type: ignore[arg-type]
    fetch_all()  # type: ignore[call-arg]
    Crawler(Config())  # type: ignore[call-arg]
    Crawler({"concurrency": 8}, reactor=reactor)  # type: ignore[arg-type]
    Crawler(Config(), reactor=reactor, sinks=[print])  # type: ignore[list-item]
    record.status + 1  # type: ignore[operator]
    record.status = 200  # type: ignore[misc]
    len(stream([]))  # type: ignore[arg-type]
    Config(concurency=8)  # type: ignore[call-arg]


def correct_requests(page: Page) -> Iterator[dict[str, Any] | str | Request]:
    """A spider, and what it is called with."""
    request = Request("/x", method="PUT", headers={"A": "b"}, json=[1], meta={"n": 1}, callback=correct_requests)
    assert_type(request.url, str)
    assert_type(request.method, str)
    assert_type(request.headers, tuple[tuple[str, str], ...])
    assert_type(page.request, Request)
    yield {"a": page.meta["n"]}
    yield "http://a.example/"
    yield Request("http://a.example/", data=b"x")
    yield Request("http://a.example/", form=[("a", "1")], files={"f": b"x", "g": ("g.png", b"x")})
    yield page.form({"user": "me"}, click="go", callback=correct_requests)
    assert_type(crawl([request, {"url": "http://a.example/"}], parse=correct_requests), Iterator[Record])
    assert_type(crawl(["http://a.example/"], parse=[correct_requests, correct_requests]), Iterator[Record])
    assert_type(fetch_all([request]), list[Record])


class Correct(Spider):
    """A spider as a class."""

    start_urls = ["http://a.example/"]  # noqa: RUF012 - as people write it
    options = {"delay": 0}  # noqa: RUF012
    pipelines = [len]  # noqa: RUF012

    def parse(self, page: Page) -> Iterator[dict[str, Any] | str | Request]:
        yield {"title": page.css("title::text").get()}
        yield Request("/x", callback=self.later)

    async def later(self, page: Page) -> list[str]:
        return [page.url]

    def on_error(self, page: Page) -> None:
        if page.error is not None:
            assert_type(page.error.code, str)


def correct_spiders() -> None:
    assert_type(crawl(Correct), Iterator[Record])
    assert_type(crawl(Correct(), max_pages=1), Iterator[Record])
    assert_type(crawl(on_start=lambda: ["http://a.example/"], item=dict, on_error=print), Iterator[Record])


def incorrect_spiders() -> None:
    crawl(Correct, max_page=1)  # type: ignore[call-arg]
    crawl([], on_error="f")  # type: ignore[arg-type]
    crawl([], pipelines=len)  # type: ignore[arg-type]


def incorrect_requests(page: Page) -> None:
    Request()  # type: ignore[call-arg]
    Request(5)  # type: ignore[arg-type]
    Request("/x", "POST")  # type: ignore[call-arg]
    Request("/x", metod="POST")  # type: ignore[arg-type]
    Request("/x", data=5)  # type: ignore[arg-type]
    Request("/x", callback="parse")  # type: ignore[arg-type]
    Request("/x").url = "/y"  # type: ignore[misc]
    crawl([], parse="parse")  # type: ignore[arg-type]
    page.form(["user"])  # type: ignore[arg-type]
