"""on_record and on_progress: called where one called for the run, while it goes on; what they raise ends it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from crawler import (
    Record,
    Snapshot,
    crawl,
    crawl_async,
    fetch_all,
    fetch_all_async,
    stream,
    stream_async,
)
from crawler.site import RunningSite, running_site

pytestmark = pytest.mark.usefixtures("nothing_left")
Way = Callable[..., list[Record]]


@pytest.fixture(scope="module")
def site() -> Iterator[RunningSite]:
    with running_site() as site:
        fetch_all([site.url()])  # whatever a process opens once, it opens now
        yield site


def all_of(ways: Callable[..., Any]) -> Way:
    async def main(*arguments: Any, **options: Any) -> list[Record]:
        return [record async for record in ways(*arguments, **options)]

    return lambda *arguments, **options: asyncio.run(main(*arguments, **options))


BLOCKING: dict[str, Way] = {
    "fetch_all": fetch_all,
    "stream": lambda *arguments, **options: list(stream(*arguments, **options)),
    "crawl": lambda *arguments, **options: list(crawl(*arguments, depth=0, delay=0, robots=False, **options)),
}
AWAITED: dict[str, Way] = {
    "fetch_all_async": lambda *arguments, **options: asyncio.run(fetch_all_async(*arguments, **options)),
    "stream_async": all_of(stream_async),
    "crawl_async": all_of(
        lambda *arguments, **options: crawl_async(*arguments, depth=0, delay=0, robots=False, **options)
    ),
}
WAYS = {**BLOCKING, **AWAITED}


@pytest.mark.parametrize("way", WAYS)
def test_each_record_as_it_comes(site, way):
    """Each once, in the thread that has called; what is returned is as without it."""
    told: list[Record] = []
    threads = set()

    def on_record(record: Record) -> None:
        told.append(record)
        threads.add(threading.current_thread())

    urls = [site.url("/pause.html"), site.url("/p/1.html"), site.url("/missing.html")]
    records = WAYS[way](urls, on_record=on_record, per_host=3)
    assert threads == {threading.main_thread()}
    assert sorted(record.url for record in told) == sorted(urls)
    assert told[-1].url == urls[0]
    assert all(any(record is one for one in told) for record in records)
    if way.startswith("fetch_all"):
        assert [record.url for record in records] == urls


@pytest.mark.parametrize("way", WAYS)
def test_how_far_it_is(site, way):
    """While nothing comes, too; the last word is the end."""
    seen: list[Snapshot] = []
    WAYS[way](
        [site.url("/p/1.html"), *[site.url(f"/pause.html?{n}") for n in range(2)]], on_progress=seen.append, per_host=1
    )
    assert len(seen) >= 2
    assert seen[0].done < 3
    assert (seen[-1].done, seen[-1].in_flight) == (3, 0)
    assert seen[-1].total == (None if way.startswith("crawl") else 3)


@pytest.mark.parametrize("way", AWAITED)
def test_they_may_be_async(site, way):
    """In asyncio they are awaited, one after another."""
    seen, told = [], []

    async def on_progress(snapshot: Snapshot) -> None:
        await asyncio.sleep(0)
        seen.append(snapshot.done)

    async def on_record(record: Record) -> None:
        await asyncio.sleep(0)
        told.append(record.status)

    AWAITED[way]([site.url("/pause.html"), site.url("/p/1.html")], on_record=on_record, on_progress=on_progress)
    assert told == [200, 200]
    assert seen[-1] == 2


@pytest.mark.parametrize("way", BLOCKING)
@pytest.mark.parametrize("name", ["on_record", "on_progress"])
def test_what_cannot_be_called(way, name):
    """It is told at once: nothing is fetched, and nothing is left that was never awaited."""

    async def on_record(record: Record) -> None: ...

    with pytest.raises(TypeError, match=f"{name}: an async def is awaited by fetch_all_async"):
        BLOCKING[way]([], **{name: on_record})
    with pytest.raises(TypeError, match=f"{name}: list is not a function"):
        BLOCKING[way]([], **{name: []})


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["on_record", "on_progress"])
def test_what_they_raise_ends_the_run(gate, site, way, name):
    """And is raised where the run was called for; its sockets are closed."""

    def fails(_: object) -> None:
        raise KeyError("mine")

    urls = [site.url("/p/1.html"), gate.url()]
    with pytest.raises(KeyError, match="mine"):
        WAYS[way](urls, **{name: fails})
    gate.open.set()


@pytest.mark.parametrize("way", WAYS)
def test_the_end_is_told_of_no_url_too(way):
    seen: list[Snapshot] = []
    assert WAYS[way]([], on_progress=seen.append) == []
    assert seen[-1].done == 0


# stream_async and crawl_async


def test_async_streams_take_their_time(site):
    """The loop goes on meanwhile; records that nobody takes hold the fetching up."""

    async def main() -> tuple[int, int]:
        taken = 0

        def urls() -> Iterator[str]:
            nonlocal taken
            for number in range(100_000):
                taken += 1
                yield site.url(f"/p/{number % 2000}.html")

        records = stream_async(urls(), concurrency=16)
        ticks = 0
        async for _ in records:
            await asyncio.sleep(0.15)
            ticks += 1
            if ticks == 2:
                break
        await records.aclose()
        return ticks, taken

    ticks, taken = asyncio.run(main())
    assert ticks == 2
    assert taken < 20_000


def test_leaving_an_async_stream(gate):
    """By a break, by aclose, by a cancelled task or by a time limit: the sockets are closed, nothing is left."""

    async def first(**options: Any) -> str:
        async for record in stream_async([gate.url("/free"), *[gate.url()] * 3], **options):
            return record.url
        raise AssertionError

    async def second() -> None:
        async for record in stream_async([gate.url("/free"), gate.url()]):
            assert record.url == gate.url("/free")

    async def main() -> None:
        assert await first() == gate.url("/free")
        records = stream_async([gate.url("/free"), gate.url()])
        await anext(records)
        await records.aclose()
        task = asyncio.create_task(second())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await second()

    asyncio.run(main())
    gate.open.set()


def test_an_async_stream_that_nobody_begins():
    """Nothing is started, and nobody complains."""
    records = stream_async(["http://127.0.0.1:1/"])
    asyncio.run(records.aclose())


def test_what_an_async_stream_raises(site):
    """After the last record: what the iterable raised."""

    def urls() -> Iterator[str]:
        yield site.url("/p/1.html")
        raise KeyError("mine")

    async def main() -> list[int | None]:
        found = []
        with pytest.raises(KeyError):
            async for record in stream_async(urls()):
                found.append(record.status)  # noqa: PERF401
        return found

    assert asyncio.run(main()) == [200]


@pytest.mark.parametrize("count", [0, 3, 3000])
def test_an_asynchronous_iterable(site, count):
    """It is read in the caller's loop, no more ahead than a list would be."""
    taken = 0

    async def urls() -> AsyncIterator[str]:
        nonlocal taken
        for number in range(count):
            if number % 100 == 0:
                await asyncio.sleep(0)
            taken += 1
            yield site.url(f"/p/{number % 2000}.html")

    async def main() -> tuple[list[Record], list[Record]]:
        return (
            [record async for record in stream_async(urls(), concurrency=16)],
            await fetch_all_async(urls(), method="HEAD") if count < 10 else [],
        )

    streamed, fetched = asyncio.run(main())
    assert [record.status for record in streamed] == [200] * count
    if count < 10:
        assert [record.url for record in fetched] == [site.url(f"/p/{number}.html") for number in range(count)]


def test_one_that_raises(site):
    """What it gave gets its records first."""
    found = []

    async def urls() -> AsyncIterator[str]:
        yield site.url("/pause.html")
        raise KeyError("mine")

    async def main() -> None:
        async for record in stream_async(urls()):
            found.append(record.status)  # noqa: PERF401

    with pytest.raises(KeyError, match="mine"):
        asyncio.run(main())
    assert found == [200]


def test_leaving_one_that_waits(gate):
    """What it awaits is cancelled, and what it holds is let go."""
    left = []

    async def urls() -> AsyncIterator[str]:
        try:
            yield gate.url("/free")
            await asyncio.sleep(600)
        finally:
            left.append(True)

    async def main() -> None:
        async for record in stream_async(urls()):
            assert record.ok
            break
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await fetch_all_async(urls())

    asyncio.run(main())
    assert left == [True, True]


@pytest.mark.parametrize("way", ["fetch_all", "stream"])
def test_those_that_block_cannot_read_one(way):
    async def urls() -> AsyncIterator[str]:
        yield "http://a.example/"

    with pytest.raises(TypeError, match="an asynchronous iterable of URLs is read by stream_async and fetch_all_async"):
        BLOCKING[way](urls())


def test_a_crawl_in_asyncio(site):
    """It follows links; parse may be `async def`."""

    async def parse(page):
        yield {"title": page.css("title::text").get()}
        for link in page.css("li.next a::attr(href)").getall():
            yield link

    async def main() -> list[Record]:
        return [record async for record in crawl_async([site.url("/quotes/1.html")], parse=parse, delay=0)]

    records = asyncio.run(main())
    assert [record.url for record in records] == [site.url(f"/quotes/{number}.html") for number in (1, 2, 3)]
    assert all(record.data[0]["title"] for record in records)
