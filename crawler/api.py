"""The composition root: Config -> parts -> Crawl; and the ways to run it: fetch_all, stream, fetch_all_async, Crawler.

The only place, beside the terminal, that names concrete frontiers and sinks.
"""

from __future__ import annotations

import asyncio
import random
import stat
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred, inlineCallbacks, maybeDeferred
from twisted.internet.interfaces import IDelayedCall

from crawler import seeds
from crawler.config import Config, ConfigError
from crawler.crawl import Crawl, Rules
from crawler.errors import CodedError
from crawler.feed import DirectFeed, ThreadFeed
from crawler.fetch import Fetcher, Limits
from crawler.frontier.memory import MemoryFrontier
from crawler.http11.agent import Agent
from crawler.http11.dial import Dial, reactor_dial
from crawler.http11.endpoint import Endpoint
from crawler.http11.pool import Pool
from crawler.http11.resolver import Resolver
from crawler.http11.tls import LateContext
from crawler.models import Record, Request
from crawler.politeness import Politeness
from crawler.reactors import descriptor_limit, in_reactor_thread
from crawler.retry import Retry
from crawler.session import Session
from crawler.sinks import Sink
from crawler.sinks.bodies import Bodies
from crawler.sinks.csv import Csv
from crawler.sinks.jsonl import JsonLines
from crawler.sinks.memory import ListSink, QueueSink
from crawler.sinks.ordered import Ordered
from crawler.sinks.tee import Tee
from crawler.sinks.writer import Writer, open_output
from crawler.stats import Load, Snapshot, Stats

DRAIN_SECONDS: Final = 5.0
OUTPUT_SECONDS: Final = 0.5
TYPED_HOSTS: Final = 50_000
SPARE_DESCRIPTORS: Final = 64


class Crawler:
    """One run of a Config on a reactor: for Twisted programs, and under everything else here.

    Records go to the outputs of the config and to `sinks`, which are closed in the end; `bodies` says whether the sinks
    want the body that rides along with a record: with `ordered` it has to wait in memory. `urls` replaces the inputs of
    the config. With a `dial` the connections use it instead of the reactor's own transports. `stats` may be read at any
    time.
    """

    def __init__(
        self,
        config: Config,
        *,
        reactor: Any,
        urls: Iterable[Any] | None = None,
        sinks: Iterable[Sink] = (),
        dial: Dial | None = None,
        bodies: bool = True,
    ) -> None:
        self.config = config
        self._reactor = reactor
        self._urls = urls
        self._sinks = tuple(sinks)
        self._bodies = bodies
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
        self._begun = False
        self._crawl: Crawl | None = None
        self._closing: Deferred[Any] | None = None
        self._patience: IDelayedCall | None = None  # with whoever reads the outputs
        self._typed: set[str] = set()
        self.stats = Stats(
            concurrency=self._concurrency,
            load=self._load,
            hosts=lambda: self._frontier.busiest(100, reactor.seconds()),
            clock=reactor.seconds,
        )

    def run(self) -> Deferred[Snapshot]:
        """Fetch everything; fires with the final statistics once every output is closed. Can be called once.

        Fails with ConfigError for inputs or outputs that cannot be used, with CodedError `disk_full` or `write_error`
        when an output could not be written. Cancelling drains: what is in the air has 5 s to end, then it is given up;
        the Deferred fires after that, with the statistics.
        """
        if self._begun:
            raise RuntimeError("a Crawler runs once: make another")
        self._begun = True
        running = _Draining(self.drain)
        self._run().addCallbacks(running.callback, running.errback)
        return running

    def drain(self, grace: float = DRAIN_SECONDS) -> None:
        """Start nothing new; after `grace` seconds abort."""
        if self._crawl is not None:
            self._crawl.drain(grace)
            self._close_within(grace + OUTPUT_SECONDS)

    def abort(self) -> None:
        """Close every socket now, and half a second later every output: what a reader has not taken by then is lost."""
        if self._crawl is not None:
            self._crawl.abort()
            self._close_within(OUTPUT_SECONDS)

    @property
    def pending(self) -> int:
        """How many inputs were accepted and have no record yet."""
        return 0 if self._crawl is None else self._crawl.pending

    @inlineCallbacks
    def _run(self) -> Generator[Deferred[Any], Any, Snapshot]:
        config, reactor = self.config, self._reactor
        sink: Sink = Tee(self._sinks)  # closed even if nothing else comes to be
        try:
            try:
                source, direct = self._source()
                sink, admit = self._outputs()
            except ValueError as error:
                raise ConfigError(str(error)) from error
            feed = DirectFeed(source) if direct else ThreadFeed(source, reactor)
            resolver = Resolver(reactor)
            pool = Pool(reactor, idle_per_key=config.per_host)
            try:
                endpoint = Endpoint(
                    clock=reactor,
                    dial=self._dial,
                    resolver=resolver,
                    tls_context=LateContext(insecure=config.insecure),
                    pool=pool,
                )
                self._crawl = Crawl(
                    clock=reactor,
                    feed=feed,
                    frontier=self._frontier,
                    politeness=self._politeness,
                    fetcher=self._fetcher(Agent(clock=reactor, pool=pool, endpoint=endpoint)),
                    retry=Retry(
                        retries=config.retries,
                        retry_after_cap=config.retry_after_cap,
                        rng=random.Random(),  # noqa: S311 - it only spreads the tries
                    ),
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
        finally:
            yield from self._close(sink)
        return self.stats.snapshot()

    def _close(self, sink: Sink) -> Generator[Deferred[Any], Any, None]:
        self._closing = closing = maybeDeferred(sink.close)
        if self._patience is not None and not self._patience.active():
            closing.cancel()
        try:
            yield closing
        except CancelledError:
            raise CodedError("write_error", "an output was given up, because it takes nothing more") from None
        finally:
            if self._patience is not None and self._patience.active():
                self._patience.cancel()

    def _close_within(self, seconds: float) -> None:
        """Give up the outputs that are not closed by then. The shortest time counts."""
        if self._closing is not None and self._closing.called:
            return
        if self._patience is None:
            self._patience = self._reactor.callLater(seconds, self._give_up_outputs)
        elif self._patience.active() and self._patience.getTime() > self._reactor.seconds() + seconds:
            self._patience.reset(seconds)

    def _give_up_outputs(self) -> None:
        if self._closing is not None:
            self._closing.cancel()

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

    def _source(self) -> tuple[Iterator[seeds.Seed | seeds.BadLine], bool]:
        """The seeds, and whether reading them never blocks."""
        inputs = self.config.inputs
        urls, self._urls = self._urls, None  # let go with the feed
        if urls is None:
            seeds.check(inputs, self.config.column)
            source = seeds.read(inputs, column=self.config.column)
            direct = not any(map(_may_block, inputs))
        else:
            source = seeds.from_iterable(urls)
            direct = isinstance(urls, (list, tuple, set, frozenset))
        return self._typing(source), direct

    def _typing(self, source: Iterator[seeds.Seed | seeds.BadLine]) -> Iterator[seeds.Seed | seeds.BadLine]:
        """Remember which host:port were typed; of very long lists the first 50,000."""
        typed = self._typed
        for seed in source:
            if isinstance(seed, seeds.Seed) and len(typed) < TYPED_HOSTS:
                typed.add(seed.url.host_key)
            yield seed

    # Outputs.

    def _outputs(self) -> tuple[Sink, Callable[[int], Deferred[None] | None] | None]:
        """One sink for everything, and who must be asked before an input is accepted.

        All outputs are opened or none: one that cannot be leaves no empty file of another, and no old one emptied.
        """
        config = self.config
        paths = [*((path, False) for path in config.output), *((path, True) for path in config.overwrite_output)]
        formats = [_format(path) for path, _ in paths]
        bodies = [] if config.bodies is None else [Bodies(config.bodies)]
        writers: list[Writer] = []
        try:
            for path, overwrite in paths:
                writers.append(open_output(path, self._reactor, overwrite=overwrite))
        except BaseException:
            for writer in writers:
                writer.discard()
            raise
        records = [self._lines(writer, suffix) for writer, suffix in zip(writers, formats, strict=True)]
        records += self._sinks
        if not config.ordered or not records:
            return Tee([self.stats, *bodies, *records]), None
        bodies_wait = bool(self._sinks) and self._bodies
        # With bodies a record is no small thing to hold.
        window = 1_000 if config.include_body or bodies_wait else 10_000
        ordered = Ordered(Tee(records), window=window, bodies=bodies_wait)
        return Tee([self.stats, *bodies, ordered]), ordered.admit

    def _lines(self, writer: Writer, suffix: str) -> Sink:
        config = self.config
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
        if self.called:  # whatever a callback waits for
            super().cancel()
        else:
            self._drain()


def _format(path: str) -> str:
    suffix = Path(path.lower().removesuffix(".gz")).suffix
    if suffix not in {"", ".jsonl", ".ndjson", ".csv", ".tsv"}:
        raise ValueError(
            f"{path}: no format is known for {suffix!r} (allowed: .jsonl, .ndjson, .csv, .tsv; also .gz of them)"
        )
    return suffix


def _may_block(name: str) -> bool:
    if "://" in name:
        return False
    path = Path(name)
    return name == seeds.STDIN or (path.exists() and not stat.S_ISREG(path.stat().st_mode))


def fetch_all(urls: Iterable[Any], **options: Any) -> list[Record]:
    """Fetch the URLs and return one Record each, in their order. Blocks; `options` are those of Config, by name.

    Works again and again, in several threads at once, and in a notebook. Ctrl-C drains and raises KeyboardInterrupt.
    Raises ConfigError for a bad option, CodedError when an output cannot be written, RuntimeError in the thread of a
    running Twisted reactor (use Crawler there), and whatever the iterable raises, once what it gave was fetched.
    """
    config = Config.build(**options)
    _refuse_to_block()
    records = ListSink()
    Session().run(_crawler(config, urls, records))
    return records.records


def stream(urls: Iterable[Any], **options: Any) -> Iterator[Record]:
    """Fetch the URLs and yield Records as they come, however many: memory stays bounded.

    When the consumer stops, the fetching stops. `options` and errors are those of fetch_all, the latter after the last
    record; `ordered=True` keeps the order.
    """
    config = Config.build(**options)
    _refuse_to_block()
    return _stream(config, urls)


def _stream(config: Config, urls: Iterable[Any]) -> Iterator[Record]:
    session = Session()
    records = QueueSink(session)
    session.outcome.add_done_callback(lambda _: records.close())
    try:
        session.start(_crawler(config, urls, records))
        yield from records
    except BaseException:  # the consumer goes away, or was interrupted
        records.stop()
        session.abort()
        session.join()
        raise
    session.outcome.result()


async def fetch_all_async(urls: Iterable[Any], **options: Any) -> list[Record]:
    """fetch_all for asyncio: the loop goes on meanwhile. Cancelling the task gives the fetching up at once."""
    config = Config.build(**options)
    records = ListSink()
    session = Session()
    session.start(_crawler(config, urls, records))
    over = asyncio.wrap_future(session.outcome)
    try:
        await asyncio.shield(over)
    except asyncio.CancelledError:
        session.abort()
        await asyncio.wait([over])  # for the sockets to be closed
        raise
    return records.records


def _crawler(config: Config, urls: Iterable[Any], sink: Sink) -> Callable[[Any, Dial], Crawler]:
    return lambda reactor, dial: Crawler(config, reactor=reactor, urls=urls, sinks=[sink], dial=dial)


def _refuse_to_block() -> None:
    if in_reactor_thread():
        raise RuntimeError(
            "this would block the running reactor: use crawler.Crawler(config, reactor=reactor).run(), "
            "which returns a Deferred"
        )
