"""The composition root: Config -> feed, parts, outputs and monitors -> a run, from its beginning to its end."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import CancelledError, Deferred, inlineCallbacks
from twisted.python.failure import Failure

from crawler.config.config import Config, ConfigError
from crawler.engine.control import Control
from crawler.errors import CodedError
from crawler.fetch.connect.dial import Dial, reactor_dial
from crawler.run.access.surrounding import surrounding
from crawler.run.closing import Closing
from crawler.run.inputs import Inputs, archives_of, offline, open_inputs
from crawler.run.outputs import Outputs, open_outputs
from crawler.run.parts import Parts
from crawler.run.work import Work
from crawler.seeds.feed import DirectFeed, Feed, LiveFeed, ThreadFeed
from crawler.sinks import Sink
from crawler.sinks.tee import Tee
from crawler.stats.stats import Snapshot, Stats

# Not every run has a job or writes about itself: half a list's start would be spent on what it does not use.
if TYPE_CHECKING:
    from crawler.engine.checking.leaves import Checking
    from crawler.frontier.shared.contract import Asks
    from crawler.page.callbacks import Callbacks, Parse
    from crawler.run.access.login import Login
    from crawler.run.artifacts import Artifacts
    from crawler.sinks.mirror.finishing import Finished
    from crawler.spiders.items import Items
    from crawler.spiders.spider import Spider
    from crawler.store.database import Books

DRAIN_SECONDS: Final = 5.0
OUTPUT_SECONDS: Final = 0.5
OBJECT_SECONDS: Final = 300.0  # a store's answers may be slow; what takes nothing at all is given up before that


class Crawler:
    """One run of a Config on a reactor: for Twisted programs, and under everything else here.

    Records go to the outputs of the config and to `sinks`, which are closed in the end; `bodies` says whether the sinks
    want the body that rides along with a record: with `ordered` it has to wait in memory. `urls` replaces the inputs of
    the config; a LiveFeed of them is asked for as long as it is not ended. With a `dial` the connections use it instead
    of the reactor's own transports. `parse` is the function of a crawl that reads each page, or several, of which the
    first is the default; a `spider` is all that crawl() takes, and where there are no `urls` it says where to begin.
    `stats` may be read at any time; `notes` has sentences about inputs and the job, and `books` what became of all its
    inputs, once this run has ended. `login` is what is asked for before the first URL: see crawl(). With `checking` it
    checks links: see Leaves. `control` is there once it has begun; `parts` are what fetches, and no promise to anybody
    outside; `asks` asks the store of a crawl over many machines, in place of that of --frontier.
    `say` is told where the monitors of the config are; without it that goes to stderr. `origins` tells those who watch
    where the options of the config were set.
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
        parse: Parse | Sequence[Parse] | None = None,
        say: Callable[[str], None] | None = None,
        login: Login | None = None,
        spider: Spider | None = None,
        checking: Checking | None = None,
        origins: Mapping[str, str] | None = None,
        asks: Asks | None = None,
    ) -> None:
        self._items: Items | None = None
        if spider is not None:
            from crawler.spiders.spider import items_of, seeds_of

            self._items = items_of(spider)
            urls = seeds_of(spider) if urls is None else urls
            parse, login = spider.parse, spider.login
        around = surrounding()
        if around is not None:
            config = around.adapted(config)
            sinks = (*sinks, around.sink())
        self._archives = archives_of(config) if urls is None or around is not None else []
        config = offline(config, obeys=around is not None) if self._archives else config
        self.config: Config = config
        self.books: Books | None = None
        self.control: Control | None = None
        dial = dial or reactor_dial(reactor)
        self.parts: Parts = Parts(config, reactor=reactor, dial=dial, checking=checking, asks=asks)
        self._parse = parse
        self._on_error = None if spider is None else spider.on_error
        self._login = login
        self._origins = origins
        self._reactor = reactor
        self._urls = urls
        self._sinks = tuple(sinks)
        self._say = say
        self._bodies = bodies
        self._begun = False
        self._reading: Deferred[Any] | None = None  # what comes before the crawl, and may be given up
        self.copied: Finished | None = None
        self._finishing: Deferred[Any] | None = None
        self._artifacts: Artifacts | None = None
        self._closing = Closing(reactor)
        self.stats: Stats = Stats(
            concurrency=self.parts.concurrency,
            load=self.parts.load,
            hosts=lambda: self.parts.frontier.busiest(100, reactor.seconds()),
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
        if self._reading is not None:
            self._reading.cancel()
        if self.parts.crawl is not None:
            self.parts.crawl.drain(grace)
            self._closing.within(grace + (OUTPUT_SECONDS if self.parts.objects is None else OBJECT_SECONDS))

    def abort(self) -> None:
        """Close every socket now, and half a second later every output: what a reader has not taken by then is lost."""
        if self._reading is not None:
            self._reading.cancel()
        if self._finishing is not None:
            self._finishing.cancel()
        if self._artifacts is not None:
            self._artifacts.give_up()  # first: what ends now is still to be written about
        if self.parts.crawl is not None:
            self.parts.crawl.abort()
            self._closing.within(OUTPUT_SECONDS)

    @property
    def notes(self) -> list[str]:
        return self.parts.notes

    @property
    def variables(self) -> dict[str, str]:
        """The variables of the environment that name proxies, those that count, and which."""
        return self.parts.routing.variables

    @property
    def pending(self) -> int:
        """How many inputs were accepted and have no record yet."""
        return 0 if self.parts.admission is None else self.parts.admission.pending

    @inlineCallbacks
    def _run(self) -> Generator[Deferred[Any], Any, Snapshot]:
        config, parts, reactor = self.config, self.parts, self._reactor
        with ExitStack() as resources:
            sink: Sink = Tee(self._sinks)  # closed even if nothing else comes to be
            try:
                if config.stats or config.report:
                    self._check_artifacts()
                if config.console or config.dashboard or config.metrics:
                    yield self._open_monitors()
                    sink = Tee(self._sinks)
                if self._archives:
                    try:
                        yield self._read_archives(resources)
                    except CancelledError:  # as below
                        return self.stats.snapshot()
                if config.since is not None:
                    try:
                        yield self._read_previous(config.since, resources)
                    except CancelledError:  # it was stopped before anything was accepted
                        return self.stats.snapshot()
                if config.holds_objects:
                    try:
                        yield self._look_at_objects(resources)
                    except CancelledError:
                        return self.stats.snapshot()
                try:
                    live = self._urls if isinstance(self._urls, LiveFeed) else None
                    source, direct = self._open_inputs(resources)
                    if not (yield from self._logged_in()):
                        return self.stats.snapshot()
                    sink, admit, archive = self._open_outputs()
                except ValueError as error:
                    raise ConfigError(str(error)) from error
                feed: Feed
                if live is not None:
                    feed = live.over(source)
                else:
                    feed = DirectFeed(source) if direct else ThreadFeed(source, reactor)
                resources.callback(feed.close)
                parts.admit(parts.keep_up(feed), admit, self.stats)
                crawl = parts.assemble(sink, resources, archive, wants_bodies=self._wants_bodies)
                self.control = self._make_control()
                parts.take_up()
                yield crawl.run()
            finally:
                yield from self._closing.close(sink)
            if config.mirror is not None:
                yield from self._finish_mirror(config.mirror)
            if parts.job is not None:
                self.books = parts.job.books()
        return self.stats.snapshot()

    @inlineCallbacks
    def _read_previous(self, source: str, resources: ExitStack) -> Generator[Deferred[Any], Any, None]:
        """Read what an earlier run has seen; a million records take some seconds."""
        from crawler.job.history.previous import Previous

        self._reading = Work(self._reactor, partial(Previous, source)).done
        try:
            self.parts.previous = yield self._reading
        finally:
            self._reading = None
        assert self.parts.previous is not None
        resources.callback(self.parts.previous.close)

    @inlineCallbacks
    def _look_at_objects(self, resources: ExitStack) -> Generator[Deferred[Any], Any, None]:
        """Ask the stores for what is there. Fails with ConfigError, CodedError: before anything is fetched."""
        from crawler.run.objects.looking import Objects

        self._reading = Work(self._reactor, lambda _: Objects(self.config)).done
        try:
            self.parts.objects = yield self._reading
        finally:
            self._reading = None
        assert self.parts.objects is not None
        resources.callback(self.parts.objects.close)

    @inlineCallbacks
    def _read_archives(self, resources: ExitStack) -> Generator[Deferred[Any], Any, None]:
        """Learn what is where in the archives that are read; of a million pages that takes a minute."""
        from crawler.fetch.archive.captures import Captures

        self._reading = Work(self._reactor, partial(Captures, self._archives)).done
        try:
            self.parts.captures = yield self._reading
        except CodedError as error:
            raise ConfigError(error.message) from error
        finally:
            self._reading = None
        assert self.parts.captures is not None
        resources.callback(self.parts.captures.close)
        self.parts.notes += self.parts.captures.notes

    def _finish_mirror(self, folder: str) -> Generator[Deferred[Any], Any, None]:
        """Rewrite the links of the copy; who aborts the run ends this."""
        from crawler.sinks.mirror.elsewhere import Task, finish

        config = self.config
        task = Task(folder, config.sort_query, config.strip_trackers, config.durable)
        self._finishing = Work(self._reactor, partial(finish, task)).done
        try:
            self.copied = yield self._finishing
        except CancelledError:
            message = f"{folder}: the links are not all rewritten, as the run was given up"
            raise CodedError("write_error", message) from None
        finally:
            self._finishing = None

    def _logged_in(self) -> Generator[Deferred[Any], Any, bool]:
        """Do what comes before the first URL, and before an output is replaced. False if the run was ended meanwhile.

        Fails with CodedError.
        """
        join = None if self.parts.node is None else self.parts.node.open
        for begin in (join, None if self._login is None else partial(self.parts.log_in, self._login)):
            if begin is None:
                continue
            self._reading = begin()
            try:
                yield self._reading
            except CancelledError:
                return False
            finally:
                self._reading = None
        return True

    def _open_inputs(self, resources: ExitStack) -> Inputs:
        """What the run reads, and what is needed for that. Raises ValueError for what cannot be used."""
        config, parts = self.config, self.parts
        callbacks = self._callbacks()
        source, direct = open_inputs(
            config, self._urls, parts.typed, None if callbacks is None else callbacks.name, parts.captures
        )
        self._urls = None  # let go with the feed
        parts.open(resources, callbacks, self._items)
        return Inputs(source if parts.job is None else parts.job.unread(source), direct)

    def _open_outputs(self) -> Outputs:
        """Where it writes. Raises ValueError for what cannot be used."""
        config, parts = self.config, self.parts
        outputs = open_outputs(
            config,
            reactor=self._reactor,
            stats=self.stats,
            sinks=self._sinks,
            wants_bodies=self._bodies,
            job=parts.job,
            bodies=None if parts.saving is None else parts.saving.bodies,
            mirror=None if parts.saving is None else parts.saving.mirror,
            objects=parts.objects,
            node=parts.node,
        )
        if parts.saving is not None and parts.saving.away is not None:
            from crawler.run.objects.bodies import PlacingObjects

            outputs = outputs._replace(sink=PlacingObjects(parts.saving.away, outputs.sink))
        return outputs

    @property
    def _wants_bodies(self) -> bool:
        return (bool(self._sinks) and self._bodies) or self.config.include_body

    @property
    def _gives_pages(self) -> bool:
        return self._parse is not None or self._on_error is not None

    def _callbacks(self) -> Callbacks | None:
        """The functions that get pages, where pages are read."""
        if not self.config.recursive and not self._gives_pages:
            return None
        from crawler.page.callbacks import Callbacks
        from crawler.spiders.items import Items

        self._items = self._items or Items()
        return Callbacks(self._parse, on_error=self._on_error, kept=self.config.job is not None)

    def _make_control(self) -> Control:
        parts = self.parts
        assert parts.crawl is not None
        assert parts.admission is not None
        return Control(
            crawl=parts.crawl,
            admission=parts.admission,
            frontier=parts.frontier,
            politeness=parts.politeness,
            clock=self._reactor.seconds,
            stats=self.stats,
            robots=parts.robots,
            typed=parts.typed,
            most_concurrency=parts.most_concurrency,
            drain=self.drain,
        )

    def _check_artifacts(self) -> None:
        from crawler.run.artifacts import Artifacts

        self._artifacts = Artifacts(self.config, self._reactor)
        if self._artifacts.counting is not None:
            self._sinks = (*self._sinks, self._artifacts.counting)

    def _leave(self, outcome: Snapshot | Failure) -> Any:
        """Write what is left of the run, whatever ended it, if it had begun."""
        if self._artifacts is None or self.parts.crawl is None:
            return outcome
        return self._artifacts.write(self.stats.snapshot(), outcome)

    @inlineCallbacks
    def _open_monitors(self) -> Generator[Deferred[Any], Any, None]:
        from crawler.run.monitors import open_monitors

        monitors = yield open_monitors(
            self.config,
            reactor=self._reactor,
            control=lambda: self.control,
            say=self._say,
            ports=self.parts.own_ports,
            origins=self._origins,
        )
        self._sinks = (*self._sinks, *monitors)


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
