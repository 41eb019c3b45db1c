"""The composition root: Config -> parts -> Crawl. Beside the terminal the only place that names concrete frontiers."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import CancelledError, Deferred, inlineCallbacks, maybeDeferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from crawler.config.config import Config, ConfigError
from crawler.engine.admission import Admission, AdmissionRules
from crawler.engine.control import Control
from crawler.engine.disposition import Rules
from crawler.engine.gate import Gate, dry_run
from crawler.engine.loop import Crawl
from crawler.engine.retry import Retry
from crawler.engine.side_requests import SideRequests
from crawler.errors import CodedError
from crawler.fetch.connect.dial import Dial, reactor_dial
from crawler.fetch.typed import Typed
from crawler.frontier import Frontier
from crawler.frontier.memory import MemoryFrontier
from crawler.frontier.spilling import SpillingFrontier
from crawler.politeness.controller import Politeness
from crawler.run.inputs import open_inputs
from crawler.run.network import Network
from crawler.run.outputs import open_outputs
from crawler.run.reactors import descriptor_limit
from crawler.seeds.feed import DirectFeed, Feed, ThreadFeed
from crawler.sinks import Sink
from crawler.sinks.tee import Tee
from crawler.stats.stats import Load, Snapshot, Stats
from crawler.urls import Url, canonical_key

# Not every run crawls, reads robots.txt or has a job: half a list's start would be spent on what it does not use.
if TYPE_CHECKING:
    from crawler.engine.reading import PageReader, Parse
    from crawler.engine.scope import Scope
    from crawler.job.job import Job
    from crawler.robots.policy import Robots
    from crawler.run.artifacts import Artifacts
    from crawler.store.database import Books

DRAIN_SECONDS: Final = 5.0
OUTPUT_SECONDS: Final = 0.5
SPARE_DESCRIPTORS: Final = 64
ROBOTS_SIZE: Final = 512 << 10  # RFC 9309 section 2.5 asks for 500 KiB at least
LIST_WINDOW: Final = 5_000
CRAWL_WINDOW: Final = 20_000  # so many hosts may be asked in turn


class Crawler:
    """One run of a Config on a reactor: for Twisted programs, and under everything else here.

    Records go to the outputs of the config and to `sinks`, which are closed in the end; `bodies` says whether the sinks
    want the body that rides along with a record: with `ordered` it has to wait in memory. `urls` replaces the inputs of
    the config. With a `dial` the connections use it instead of the reactor's own transports. `parse` is the function of
    a crawl that reads each page. `stats` may be read at any time; `notes` has sentences about a job that goes on, and
    `books` what became of all its inputs, once this run has ended. `control` is there once it has begun. `say` is told
    where the monitors of the config are; without it that goes to stderr.
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
        parse: Parse | None = None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self.config = config
        self.notes: list[str] = []
        self.books: Books | None = None
        self.control: Control | None = None
        self._parse = parse
        self._reactor = reactor
        self._urls = urls
        self._sinks = tuple(sinks)
        self._say = say
        self._bodies = bodies
        self._dial = dial or reactor_dial(reactor)
        # A socket each, and some for files, DNS and the loop itself.
        limit = descriptor_limit()
        self._most_concurrency = max(1, limit - min(SPARE_DESCRIPTORS, limit // 2))
        self._concurrency = min(config.concurrency, self._most_concurrency)
        self._politeness = Politeness(
            per_host=config.per_host,
            delay=config.delay,
            adaptive=config.adaptive,
            retry_after_cap=config.retry_after_cap,
        )
        kind = SpillingFrontier if config.recursive else MemoryFrontier  # a list is read as it is fetched
        self._frontier: Frontier = kind(self._politeness, self._key)
        self._admission: Admission | None = None
        self._begun = False
        self._crawl: Crawl | None = None
        self._artifacts: Artifacts | None = None
        self._closing: Deferred[Any] | None = None
        self._patience: IDelayedCall | None = None  # with whoever reads the outputs
        self._typed = Typed(allow_private=config.allow_private)
        self._own_ports: set[int] = set()
        self._robots_summary: Callable[[str], str] = lambda _: ""
        self._parsing: Callable[[], int] = lambda: 0
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
        self._run().addBoth(self._leave).addCallbacks(running.callback, running.errback)
        return running

    def drain(self, grace: float = DRAIN_SECONDS) -> None:
        """Start nothing new; after `grace` seconds abort."""
        if self._crawl is not None:
            self._crawl.drain(grace)
            self._close_within(grace + OUTPUT_SECONDS)

    def abort(self) -> None:
        """Close every socket now, and half a second later every output: what a reader has not taken by then is lost."""
        if self._artifacts is not None:
            self._artifacts.give_up()  # first: what ends now is still to be written about
        if self._crawl is not None:
            self._crawl.abort()
            self._close_within(OUTPUT_SECONDS)

    @property
    def pending(self) -> int:
        """How many inputs were accepted and have no record yet."""
        return 0 if self._admission is None else self._admission.pending

    @inlineCallbacks
    def _run(self) -> Generator[Deferred[Any], Any, Snapshot]:
        config, reactor = self.config, self._reactor
        with ExitStack() as resources:
            sink: Sink = Tee(self._sinks)  # closed even if nothing else comes to be
            job: Job | None = None
            try:
                if config.stats or config.report:
                    self._check_artifacts()
                if config.console or config.dashboard or config.metrics:
                    yield self._open_monitors()
                    sink = Tee(self._sinks)
                try:
                    source, direct = open_inputs(config, self._urls, self._typed)
                    self._urls = None  # let go with the feed
                    scope = self._scope()
                    reader = self._reader()
                    if reader is not None:
                        resources.callback(reader.close)
                        self._parsing = reader.waiting
                    if config.job is not None:
                        job = self._open_job(config.job, scope)
                        resources.callback(job.close)
                        source = job.unread(source)
                    sink, admit = open_outputs(
                        config, reactor=reactor, stats=self.stats, sinks=self._sinks, bodies=self._bodies, job=job
                    )
                except ValueError as error:
                    raise ConfigError(str(error)) from error
                feed: Feed = DirectFeed(source) if direct else ThreadFeed(source, reactor)
                resources.callback(feed.close)
                if job is not None:
                    feed = job.feed(feed)
                self._admission = admission = Admission(
                    feed=feed,
                    frontier=self._frontier,
                    rules=AdmissionRules(
                        window=CRAWL_WINDOW if config.recursive else LIST_WINDOW,
                        method=config.method,
                        records_skips=config.skipped or config.dry_run,
                    ),
                    following=0 if job is None else job.following,
                    scope=scope,
                    admit=admit,
                    all_read=_nobody if config.recursive else self.stats.total_known,
                    refused=_nobody if job is None else job.journal.refused,
                    skipped=self.stats.skip,
                )
                self._crawl = self._make_crawl(admission, scope, sink, reader, job, resources)
                self.control = Control(
                    crawl=self._crawl,
                    admission=admission,
                    frontier=self._frontier,
                    politeness=self._politeness,
                    clock=reactor.seconds,
                    stats=self.stats,
                    robots=self._robots_summary,
                    typed=self._typed,
                    most_concurrency=self._most_concurrency,
                    drain=self.drain,
                )
                if job is not None:
                    if config.skipped and config.depth is not None:
                        admission.recorded(job.too_deep())
                    for number, line in job.owed():
                        admission.owe(number, line)
                yield self._crawl.run()
            finally:
                yield from self._close(sink)
            if job is not None:
                self.books = job.books()
        return self.stats.snapshot()

    def _check_artifacts(self) -> None:
        from crawler.run.artifacts import Artifacts

        self._artifacts = Artifacts(self.config, self._reactor)
        if self._artifacts.counting is not None:
            self._sinks = (*self._sinks, self._artifacts.counting)

    def _leave(self, outcome: Snapshot | Failure) -> Any:
        """Write what is left of the run, whatever ended it, if it had begun."""
        if self._artifacts is None or self._crawl is None:
            return outcome
        return self._artifacts.write(self.stats.snapshot(), outcome)

    @inlineCallbacks
    def _open_monitors(self) -> Generator[Deferred[Any], Any, None]:
        from crawler.run.monitors import open_monitors

        monitors = yield open_monitors(
            self.config, reactor=self._reactor, control=lambda: self.control, say=self._say, ports=self._own_ports
        )
        self._sinks = (*self._sinks, *monitors)

    def _make_crawl(
        self,
        admission: Admission,
        scope: Scope | None,
        sink: Sink,
        reader: PageReader | None,
        job: Job | None,
        resources: ExitStack,
    ) -> Crawl:
        config, reactor = self.config, self._reactor
        resources.callback(self._frontier.close)
        network = Network(config, reactor=reactor, dial=self._dial, typed=self._typed, own_ports=self._own_ports)
        resources.callback(network.close)
        side_requests, robots = self._robots(network) if config.robots or config.sitemaps else (None, None)
        if robots is not None and config.robots:
            self._robots_summary = robots.summary
        pages, begun = (0, set[int]()) if job is None or config.max_pages is None else job.pages()
        return Crawl(
            clock=reactor,
            admission=admission,
            frontier=self._frontier,
            politeness=self._politeness,
            gate=Gate(
                politeness=self._politeness,
                clock=reactor.seconds,
                robots=robots,
                obeys=config.robots,
                retries=config.retries,
                max_pages=config.max_pages,
                pages=pages + len(begun),
                begun=begun,
                begin=None if job is None else job.begin,
                names_sitemaps=config.sitemaps,
                dry_run=partial(dry_run, scope) if config.dry_run else None,
                traps=None if scope is None else scope.traps,
            ),
            fetcher=network.fetcher(config.max_size),
            retry=Retry(
                retries=config.retries,
                retry_after_cap=config.retry_after_cap,
                rng=random.Random(),  # noqa: S311 - it only spreads the tries
            ),
            sink=sink,
            rules=Rules(
                concurrency=self._concurrency,
                max_redirects=config.max_redirects,
                https_only=config.https_only,
                headers_in_record=not config.no_headers,
                body_in_record=config.include_body,
            ),
            reader=reader,
            side_requests=side_requests,
            tried=None if job is None else job.journal.tried,
        )

    @property
    def _key(self) -> Callable[[Url], bytes] | None:
        """By what a crawl knows a URL again; a list may name one twice."""
        config = self.config
        if not config.recursive:
            return None
        return partial(canonical_key, sort_query=config.sort_query, drop_trackers=config.strip_trackers)

    def _scope(self) -> Scope | None:
        config = self.config
        if not config.recursive:
            return None
        from crawler.engine.scope import Scope

        return Scope(config.scope, include=config.include, exclude=config.exclude, max_depth=config.depth)

    def _reader(self) -> PageReader | None:
        config = self.config
        if not (config.recursive or config.extract or config.extract_all or self._parse):
            return None
        from crawler.engine.reading import make_reader

        return make_reader(config, self._reactor, parse=self._parse)

    def _open_job(self, folder: str, scope: Scope | None) -> Job:
        from crawler.job.job import Job

        job = Job(
            folder,
            self.config,
            reactor=self._reactor,
            politeness=self._politeness,
            key=self._key,
            durable=self.config.durable,
        )
        self.notes = job.notes
        self._frontier = job.frontier
        job.recall(self._typed, _nobody if scope is None else scope.add_seed)
        return job

    def _robots(self, network: Network) -> tuple[SideRequests, Robots]:
        from crawler.robots.policy import Robots
        from crawler.robots.rules import product_token

        token = product_token(self.config.user_agent)
        fetcher = network.fetcher(ROBOTS_SIZE, partial=True)
        side_requests = SideRequests(frontier=self._frontier, fetcher=fetcher, clock=self._reactor.seconds)
        return side_requests, Robots(side_requests.fetch, send=side_requests.send, clock=self._reactor, token=token)

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

    def _load(self) -> Load:
        counts, now = self._frontier.counts(), self._reactor.seconds()
        ready = self._frontier.ready_at(now)
        wait = None if ready is None else ready - now
        return Load(counts.leased, counts.queued, counts.parked, wait, self._parsing())


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


def _nobody(*_: object) -> None:
    """Nobody is told."""
