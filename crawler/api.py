"""The composition root: Config -> parts -> Crawl; and the ways to run it: fetch_all, stream, fetch_all_async, Crawler.

The only place that names concrete frontiers and sinks.
"""

from __future__ import annotations

import asyncio
import random
import stat
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred, inlineCallbacks, maybeDeferred

from crawler import seeds
from crawler.config import Config
from crawler.crawl import Crawl, Rules
from crawler.feed import DirectFeed, Feed, ThreadFeed
from crawler.fetch import Fetcher, Limits
from crawler.frontier.memory import MemoryFrontier
from crawler.http11.agent import Agent
from crawler.http11.dial import Dial, reactor_dial
from crawler.http11.endpoint import Endpoint
from crawler.http11.pool import Pool
from crawler.http11.resolver import Resolver
from crawler.http11.tls import client_context
from crawler.models import Record, Request
from crawler.politeness import Politeness
from crawler.reactors import descriptor_limit, in_reactor_thread, private_reactor, run
from crawler.retry import Retry
from crawler.sinks import Sink
from crawler.sinks.bodies import Bodies
from crawler.sinks.csv import Csv
from crawler.sinks.jsonl import JsonLines
from crawler.sinks.memory import ListSink, QueueSink
from crawler.sinks.ordered import Ordered
from crawler.sinks.tee import Tee
from crawler.sinks.writer import open_output
from crawler.stats import Load, Snapshot, Stats

DRAIN_SECONDS: Final = 5.0
TYPED_HOSTS: Final = 50_000
SPARE_DESCRIPTORS: Final = 64


class Crawler:
    """One run of a Config on a reactor: for Twisted programs, and under everything else here.

    Records go to the outputs of the config and to `sinks`. `urls` replaces the inputs of the config. With a `dial` the
    connections use it instead of the reactor's own transports. `stats` may be read at any time; `run()` called once.
    """

    def __init__(
        self,
        config: Config,
        *,
        reactor: Any,
        urls: Iterable[Any] | None = None,
        sinks: Iterable[Sink] = (),
        dial: Dial | None = None,
    ) -> None:
        self.config = config
        self._reactor = reactor
        self._urls = urls
        self._sinks = tuple(sinks)
        self._dial = dial or reactor_dial(reactor, config.connect_timeout)
        # A socket each, and some for files, DNS and the loop itself.
        self._concurrency = min(config.concurrency, max(1, descriptor_limit() - SPARE_DESCRIPTORS))
        self._politeness = Politeness(
            per_host=config.per_host,
            delay=config.delay,
            adaptive=config.adaptive,
            retry_after_cap=config.retry_after_cap,
        )
        self._frontier = MemoryFrontier(self._politeness)
        self._crawl: Crawl | None = None
        self._typed: set[str] = set()
        self.stats = Stats(
            concurrency=self._concurrency,
            load=self._load,
            hosts=lambda: self._frontier.busiest(100, reactor.seconds()),
            clock=reactor.seconds,
        )

    def run(self) -> Deferred[Snapshot]:
        """Fetch everything; fires with the final statistics once every output is closed.

        Fails with ValueError for inputs or outputs that cannot be opened, with CodedError `disk_full` or `write_error` when
        an output could not be written. Cancelling drains: what is in the air has 5 s to end, then it is given up; the
        Deferred fires after that, with the statistics.
        """
        running = _Draining(self.drain)
        self._run().addCallbacks(running.callback, running.errback)
        return running

    def drain(self, grace: float = DRAIN_SECONDS) -> None:
        """Start nothing new and end within `grace` seconds."""
        if self._crawl is not None:
            self._crawl.drain(grace)

    def abort(self) -> None:
        """Close every socket and end now."""
        if self._crawl is not None:
            self._crawl.abort()

    @property
    def pending(self) -> int:
        """How many inputs were accepted and have no record yet."""
        return 0 if self._crawl is None else self._crawl.pending

    @inlineCallbacks
    def _run(self) -> Generator[Deferred[Any], Any, Snapshot]:
        config, reactor = self.config, self._reactor
        if self._urls is None:
            seeds.check(config.inputs, config.column)
        sink, admit = self._outputs()
        feed = self._feed()
        resolver = Resolver(reactor)
        pool = Pool(reactor, idle_per_key=config.per_host)
        try:
            endpoint = Endpoint(
                clock=reactor,
                dial=self._dial,
                resolver=resolver,
                tls_context=client_context(insecure=config.insecure),
                pool=pool,
            )
            self._crawl = Crawl(
                clock=reactor,
                feed=feed,
                frontier=self._frontier,
                politeness=self._politeness,
                fetcher=self._fetcher(Agent(clock=reactor, pool=pool, endpoint=endpoint)),
                retry=Retry(retries=config.retries, retry_after_cap=config.retry_after_cap, rng=random.Random()),
                sink=sink,
                rules=Rules(
                    concurrency=self._concurrency,
                    method=config.method,
                    max_redirects=config.max_redirects,
                    https_only=config.https_only,
                    headers_in_record=not config.no_headers,
                    body_in_record=config.include_body,
                ),
                admit=admit,
                all_read=self.stats.total_known,
            )
            yield self._crawl.run()
        finally:
            feed.close()
            pool.close()
            resolver.close()
            self._frontier.close()
            yield maybeDeferred(sink.close)
        return self.stats.snapshot()

    def _fetcher(self, agent: Agent) -> Fetcher:
        config = self.config
        return Fetcher(
            clock=self._reactor,
            agent=agent,
            limits=Limits(
                total=config.timeout,
                dns=config.dns_timeout,
                connect=config.connect_timeout,
                tls=config.tls_timeout,
                headers=config.headers_timeout,
                idle=config.idle_timeout,
                min_rate=config.min_rate,
                max_size=config.max_size,
            ),
            user_agent=config.user_agent,
            headers=config.header_pairs,
            public_only=self._public_only,
        )

    def _public_only(self, request: Request) -> bool:
        """What was discovered must be public, unless its exact host and port was typed."""
        return request.discovered and not self.config.allow_private and request.url.host_key not in self._typed

    def _load(self) -> Load:
        counts = self._frontier.counts()
        now = self._reactor.seconds()
        ready = self._frontier.ready_at(now)
        in_flight = 0 if self._crawl is None else self._crawl.in_flight
        return Load(in_flight, counts.queued, counts.parked, None if ready is None else ready - now)

    # Inputs.

    def _feed(self) -> Feed:
        urls, inputs = self._urls, self.config.inputs
        if urls is None:
            source = seeds.read(inputs, column=self.config.column)
            direct = not any(map(_may_block, inputs))
        else:
            source = seeds.from_iterable(urls)
            direct = isinstance(urls, (list, tuple, set, frozenset))
        source = self._typing(source)
        return DirectFeed(source) if direct else ThreadFeed(source, self._reactor)

    def _typing(self, source: Iterator[seeds.Seed | seeds.BadLine]) -> Iterator[seeds.Seed | seeds.BadLine]:
        """Remember which host:port were typed; of very long lists the first 50,000 (a chain's own start always counts)."""
        typed = self._typed
        for seed in source:
            if isinstance(seed, seeds.Seed) and len(typed) < TYPED_HOSTS:
                typed.add(seed.url.host_key)
            yield seed

    # Outputs.

    def _outputs(self) -> tuple[Sink, Callable[[int], Deferred[None] | None] | None]:
        """One sink for everything, and who must be asked before an input is accepted."""
        config = self.config
        files: list[Sink] = []
        try:
            for path in config.output:
                files.append(self._file(path, overwrite=False))
            for path in config.overwrite_output:
                files.append(self._file(path, overwrite=True))
            bodies = [] if config.bodies is None else [Bodies(config.bodies)]
        except BaseException:
            for sink in files:
                sink.close()
            raise
        ordered = None
        records: list[Sink] = [*files, *self._sinks]
        if config.ordered and records:
            # With bodies inside, a record is no small thing to hold.
            ordered = Ordered(Tee(records), window=1_000 if config.include_body else 10_000)
            records = [ordered]
        return Tee([self.stats, *bodies, *records]), None if ordered is None else ordered.admit

    def _file(self, path: str, *, overwrite: bool) -> Sink:
        suffix = Path(path.removesuffix(".gz")).suffix
        if suffix not in {"", ".jsonl", ".ndjson", ".csv", ".tsv"}:
            raise ValueError(
                f"{path}: no format is known for {suffix!r} (allowed: .jsonl, .ndjson, .csv, .tsv; also .gz of them)"
            )
        config = self.config
        writer = open_output(path, self._reactor, overwrite=overwrite)
        if suffix in {".csv", ".tsv"}:
            delimiter = "," if suffix == ".csv" else "\t"
            return Csv(writer, fields=config.fields, delimiter=delimiter, raw=config.csv_raw)
        return JsonLines(writer, fields=config.fields)


class _Draining(Deferred[Snapshot]):
    """Fires when the run has ended, also after it was cancelled: cancelling drains, and draining takes a moment."""

    def __init__(self, drain: Callable[[], None]) -> None:
        super().__init__()
        self._drain = drain

    def cancel(self) -> None:
        if not self.called:
            self._drain()


def _may_block(name: str) -> bool:
    if "://" in name:
        return False
    path = Path(name)
    return name == seeds.STDIN or (path.exists() and not stat.S_ISREG(path.stat().st_mode))


def fetch_all(urls: Iterable[Any], **options: Any) -> list[Record]:
    """Fetch the URLs and return one Record each, in their order. Blocks; `options` are those of Config, by name.

    Works again and again, in several threads at once, and in a notebook. Ctrl-C drains and raises KeyboardInterrupt.
    Raises ConfigError for a bad option, RuntimeError in the thread of a running Twisted reactor (use Crawler there),
    and whatever the iterable raises.
    """
    config = Config.build(**options)
    _refuse_to_block()
    records = ListSink()
    session = _Session(config, urls, lambda reactor: records)
    session.start()
    session.wait()
    return records.records


def stream(urls: Iterable[Any], **options: Any) -> Iterator[Record]:
    """Fetch the URLs and yield Records as they come, however many: memory stays bounded.

    When the consumer stops, the fetching stops. `options` and errors as for fetch_all; `ordered=True` keeps the order.
    """
    config = Config.build(**options)
    _refuse_to_block()
    return _stream(config, urls)


def _stream(config: Config, urls: Iterable[Any]) -> Iterator[Record]:
    queue: list[QueueSink] = []

    def sink(reactor: Any) -> Sink:
        queue.append(QueueSink(reactor))
        return queue[0]

    session = _Session(config, urls, sink)
    session.start()
    try:
        yield from queue[0]
    finally:
        if session.running:
            queue[0].stop()
            session.abort()
        session.wait()


async def fetch_all_async(urls: Iterable[Any], **options: Any) -> list[Record]:
    """fetch_all for asyncio: the loop goes on meanwhile. Cancelling the task gives the fetching up at once."""
    config = Config.build(**options)
    records = ListSink()
    session = _Session(config, urls, lambda reactor: records)
    await asyncio.to_thread(session.start)
    try:
        await asyncio.to_thread(session.join)
    except asyncio.CancelledError:
        session.abort()
        raise
    session.wait()
    return records.records


def _refuse_to_block() -> None:
    if in_reactor_thread():
        raise RuntimeError(
            "this would block the running reactor: use crawler.Crawler(config, reactor=reactor).run(), which returns a Deferred"
        )


class _Session:
    """A run on a private reactor in a thread of its own, so that it works wherever the caller is."""

    def __init__(self, config: Config, urls: Iterable[Any], sink: Callable[[Any], Sink]) -> None:
        self._config = config
        self._urls = urls
        self._sink = sink
        self._ready = threading.Event()
        self._lock = threading.Lock()
        self._over = False
        self._error: BaseException | None = None
        self._reactor: Any = None
        self._crawler: Crawler | None = None
        self._thread = threading.Thread(target=self._main, name="crawler", daemon=True)

    @property
    def running(self) -> bool:
        return not self._over

    def start(self) -> None:
        """Returns once the crawler exists."""
        self._thread.start()
        self._ready.wait()

    def wait(self) -> None:
        """Wait for the end; raise what ended it. A KeyboardInterrupt meanwhile drains first."""
        try:
            self.join()
        except BaseException:
            self._call(lambda crawler: crawler.drain())
            self.join()
            raise
        if self._error is not None:
            raise self._error

    def join(self) -> None:
        while self._thread.is_alive():  # with a timeout, so that Ctrl-C is heard on Windows too
            self._thread.join(1.0)

    def abort(self) -> None:
        self._call(lambda crawler: crawler.abort())

    def _call(self, ask: Callable[[Crawler], None]) -> None:
        with self._lock:  # the reactor may be gone once it is over
            crawler = self._crawler
            if not self._over and crawler is not None:
                self._reactor.callFromThread(ask, crawler)

    def _main(self) -> None:
        try:
            with private_reactor() as (reactor, dial):
                self._reactor = reactor
                sink = self._sink(reactor)
                self._crawler = crawler = Crawler(
                    self._config, reactor=reactor, urls=self._urls, sinks=[sink], dial=dial
                )
                self._ready.set()
                try:
                    run(reactor, crawler.run)
                finally:
                    with self._lock:
                        self._over = True
        except BaseException as error:  # raised again by wait(), in the caller's thread
            self._error = error
        finally:
            self._over = True
            if isinstance(sink, QueueSink):
                sink.close()
            self._ready.set()
