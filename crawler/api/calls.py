"""A run for each call: fetch_all, stream, crawl; and for asyncio fetch_all_async, stream_async, crawl_async."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from crawler.api.blocking import refuse_to_block
from crawler.api.reading import Reading, until_over
from crawler.api.watching import OnProgress, OnRecord, Watch
from crawler.config.config import Config
from crawler.config.options.cookies import SESSION
from crawler.fetch.connect.dial import Dial
from crawler.models import Record
from crawler.run.composition import Crawler
from crawler.run.thread import RunThread
from crawler.sinks import Sink
from crawler.sinks.memory import PATIENCE, ListSink, LoopQueueSink, QueueSink

if TYPE_CHECKING:
    from crawler.config.typed import Options
    from crawler.page.callbacks import Parse
    from crawler.run.access.login import Login
    from crawler.spiders.items import Pipeline
    from crawler.spiders.spider import OnStart, Spider


def fetch_all(
    urls: Iterable[Any],
    *,
    login: Login | None = None,
    on_record: OnRecord | None = None,
    on_progress: OnProgress | None = None,
    **options: Unpack[Options],
) -> list[Record]:
    """Fetch the URLs and return one Record each, in their order. Blocks; `options` are those of Config, by name.

    An item is text, a `Request`, or a dict with the keys of one (`url`, `method`, `headers`, `json`, `meta` ...).

    Works again and again, in several threads at once, and in a notebook. Ctrl-C drains and raises KeyboardInterrupt.
    Raises ConfigError for a bad option, CodedError when an output cannot be written, RuntimeError in the thread of a
    running Twisted reactor (use Crawler there) and in a coroutine (await fetch_all_async there; a notebook's cell is
    welcome), and whatever the iterable raises, once what it gave was fetched.

    `on_record` is called with each record as it comes, `on_progress` about five times a second, and at the end, with a
    `Snapshot` of how far the run is: both in the thread of the caller, while the fetching goes on. What they raise ends
    it. A notebook shows that as a bar, unless `progress=False`.
    """
    config = _config(options, login)
    refuse_to_block("await crawler.fetch_all_async(urls)")
    watch = Watch(on_record, on_progress, bar=config.progress)
    records = ListSink()
    if watch.wanted:
        for _ in _stream(config, urls, records, login=login, watch=watch, drains=True):
            pass
    else:
        RunThread().run(_crawler(config, urls, [records], login=login))
    return records.records


def stream(
    urls: Iterable[Any],
    *,
    login: Login | None = None,
    on_record: OnRecord | None = None,
    on_progress: OnProgress | None = None,
    **options: Unpack[Options],
) -> Iterator[Record]:
    """Fetch the URLs and yield Records as they come, however many: memory stays bounded.

    When the consumer stops, the fetching stops. `options`, functions and errors are those of fetch_all, the latter
    after the last record; `ordered=True` keeps the order.
    """
    config = _config(options, login)
    refuse_to_block("async for record in crawler.stream_async(urls)")
    return _stream(config, urls, login=login, watch=Watch(on_record, on_progress, bar=config.progress))


def crawl(
    seeds: Iterable[Any] | Spider | type[Spider] = (),
    *,
    parse: Parse | Sequence[Parse] | None = None,
    on_error: Parse | None = None,
    on_start: OnStart | None = None,
    item: Any = None,
    pipelines: Iterable[Pipeline] = (),
    login: Login | None = None,
    on_record: OnRecord | None = None,
    on_progress: OnProgress | None = None,
    **options: Unpack[Options],
) -> Iterator[Record]:
    """Crawl from the seeds and yield a Record for each page as it comes: `stream` with `recursive=True`.

    Without `parse` all links in scope are followed. With it, the function gets each page that arrived whole with a
    status of 2xx (`crawler.page.page.Page`: `.css`, `.xpath`, `.json()`, `.text`, `.url`, `.record`) and yields items
    (dicts), which become the list `Record.data`, and what to follow: text as it stands in links, or absolute, and
    `Request` for more than that: another method, a body, headers, `meta`, the `callback` that gets the page in its
    place. All is followed once each and if in scope. Several functions may be given: the first is the default, the
    others are found again by a later run of a job. They run in the thread of the run; what one raises fails its page
    with `parse_error`, and nothing else. One that is `async def` (a generator or none) may wait for what asyncio has:
    the others go on meanwhile.

    - `on_error` gets what failed for good, and what was answered with a status from 400 on: a page as well, with
      `.error` (`.code`, `.message` ...; None where there was an answer). It may yield what `parse` does.
    - `on_start` is called without arguments and yields what to begin with, behind the seeds. It may be `async def`.
    - `item` is what items are held to, a msgspec Struct, a dataclass or a pydantic model, or a list of these. Items may
      be instances, too. One that does not fit is left out, and its record has the warning `item_invalid`.
    - `pipelines` are functions that get each item, one after the other, and give it back as it is to be, or None to
      leave it out. What one raises is the warning `pipeline_error`, and its item is left out.

    In place of all that a class may be given, or an instance of one: see `Spider`.

    `login` is asked for before the first seed, and makes the crawl a session (`cookies="run"`): a `Request`, or a
    function that yields what to ask for and gets each page back: `page = yield "https://..."`, then
    `yield page.form({...})`. An answer that cannot be had, or that has a status from 400 on, is raised at the yield;
    what is not caught there ends the run with CodedError `login_failed`, before any seed is asked for. The other
    ways to fetch take it, too.
    """
    config, spider = _crawl(
        options,
        seeds,
        parse=parse,
        on_error=on_error,
        on_start=on_start,
        item=item,
        pipelines=pipelines,
        login=login,
    )
    refuse_to_block("async for record in crawler.crawl_async(seeds)")
    watch = Watch(on_record, on_progress, bar=config.progress)
    return _stream(config, None, spider=spider, watch=watch)


def _crawl(options: Options, seeds: Iterable[Any] | Spider | type[Spider], **functions: Any) -> tuple[Config, Spider]:
    from crawler.spiders.spider import items_of, spider_of
    from crawler.spiders.taking import give

    spider = spider_of(seeds, **functions)
    items_of(spider)
    give(spider, {**spider.options, **options})
    options = {"recursive": True, **spider.options, **options}  # type: ignore[typeddict-item]
    return _config(options, spider.login), spider


def _config(options: Options, login: Login | None) -> Config:
    """With a login the run is a session, unless it is said otherwise."""
    if login is not None:
        options.setdefault("cookies", SESSION)
    return Config.build(**options)


def _stream(
    config: Config,
    urls: Iterable[Any] | None,
    *sinks: Sink,
    login: Login | None = None,
    spider: Spider | None = None,
    watch: Watch,
    drains: bool = False,
) -> Iterator[Record]:
    run = RunThread()
    records = QueueSink(run, patience=watch.interval or PATIENCE, idle=watch.progress)
    run.outcome.add_done_callback(lambda _: records.close())
    try:
        run.start(_crawler(config, urls, [*sinks, records], login=login, spider=spider, watch=watch))
        for record in records:
            watch.record(record)
            watch.progress()
            yield record
    except BaseException as error:  # the consumer goes away, or was interrupted
        records.stop()
        if drains and isinstance(error, KeyboardInterrupt):
            run.wind_up()
        else:
            run.abort()
            run.join()
        watch.leave()
        raise
    try:
        run.outcome.result()
    except BaseException:
        watch.leave()
        raise
    watch.end()


async def fetch_all_async(
    urls: Iterable[Any] | AsyncIterable[Any],
    *,
    login: Login | None = None,
    on_record: OnRecord | None = None,
    on_progress: OnProgress | None = None,
    **options: Unpack[Options],
) -> list[Record]:
    """fetch_all for asyncio: the loop goes on meanwhile. Cancelling the task gives the fetching up at once.

    `urls` may be an asynchronous iterable. `on_record` and `on_progress` are called in the loop; they may be async.
    """
    config = _config(options, login)
    watch = Watch(on_record, on_progress, bar=config.progress, awaits=True)
    records = ListSink()
    if watch.wanted or isinstance(urls, AsyncIterable):
        async for _ in _stream_async(config, urls, records, login=login, watch=watch):
            pass
        return records.records
    run = RunThread()
    run.start(_crawler(config, urls, [records], login=login))
    await until_over(run.outcome, run.abort)
    return records.records


def stream_async(
    urls: Iterable[Any] | AsyncIterable[Any],
    *,
    login: Login | None = None,
    on_record: OnRecord | None = None,
    on_progress: OnProgress | None = None,
    **options: Unpack[Options],
) -> AsyncGenerator[Record]:
    """The stream of asyncio, for `async for`. The fetching waits while records are not taken.

    `urls` may be an asynchronous iterable; it is read in the caller's event loop, some ahead of what is fetched.
    When the loop over it is left, or its task cancelled, the fetching stops. `on_record` and `on_progress` are called
    in the event loop, and may be `async def`.
    """
    config = _config(options, login)
    watch = Watch(on_record, on_progress, bar=config.progress, awaits=True)
    return _stream_async(config, urls, login=login, watch=watch)


def crawl_async(
    seeds: Iterable[Any] | Spider | type[Spider] = (),
    *,
    parse: Parse | Sequence[Parse] | None = None,
    on_error: Parse | None = None,
    on_start: OnStart | None = None,
    item: Any = None,
    pipelines: Iterable[Pipeline] = (),
    login: Login | None = None,
    on_record: OnRecord | None = None,
    on_progress: OnProgress | None = None,
    **options: Unpack[Options],
) -> AsyncGenerator[Record]:
    """crawl for asyncio: what it takes, and the records for `async for`, as stream_async has them.

    Parse functions run in the thread of the run, as in crawl. What an `async def` of them awaits belongs to the event
    loop of that thread, not to the caller's.
    """
    config, spider = _crawl(
        options,
        seeds,
        parse=parse,
        on_error=on_error,
        on_start=on_start,
        item=item,
        pipelines=pipelines,
        login=login,
    )
    watch = Watch(on_record, on_progress, bar=config.progress, awaits=True)
    return _stream_async(config, None, spider=spider, watch=watch)


async def _stream_async(
    config: Config,
    urls: Iterable[Any] | AsyncIterable[Any] | None,
    *sinks: Sink,
    login: Login | None = None,
    spider: Spider | None = None,
    watch: Watch,
) -> AsyncGenerator[Record]:
    run = RunThread()
    records = LoopQueueSink(run, asyncio.get_running_loop(), patience=watch.interval)
    run.outcome.add_done_callback(lambda _: records.close())
    reading = None
    if isinstance(urls, AsyncIterable):
        asked = Reading(urls)
        urls, reading = asked.feed, asyncio.ensure_future(asked.run(run))
    try:
        run.start(_crawler(config, urls, [*sinks, records], login=login, spider=spider, watch=watch))
        while not records.over:
            record = await records.take()
            for told in (None if record is None else watch.record(record), watch.progress()):
                if told is not None:
                    await told
            if record is not None:
                yield record
        await asyncio.wrap_future(run.outcome)
        if reading is not None:
            await reading
    except BaseException:  # the consumer goes away, or was cancelled; or what ended the run
        records.stop()
        run.abort()
        await _ended(run, reading)  # for the sockets to be closed
        watch.leave()
        raise
    if (told := watch.end()) is not None:
        await told


async def _ended(run: RunThread, reading: asyncio.Future[None] | None) -> None:
    over: list[asyncio.Future[None]] = [asyncio.wrap_future(run.outcome)] if run.begun else []
    if reading is not None:
        reading.cancel()
        over.append(reading)
    if over:
        await asyncio.wait(over)
    for each in over:
        if not each.cancelled():
            each.exception()  # to look at it says that somebody has


def _crawler(
    config: Config,
    urls: Iterable[Any] | None,
    sinks: Sequence[Sink],
    *,
    login: Login | None = None,
    spider: Spider | None = None,
    watch: Watch | None = None,
) -> Callable[[Any, Dial], Crawler]:
    def make(reactor: Any, dial: Dial) -> Crawler:
        crawler = Crawler(config, reactor=reactor, urls=urls, sinks=sinks, dial=dial, login=login, spider=spider)
        if watch is not None:
            watch.follow(reactor, crawler)
        return crawler

    return make
