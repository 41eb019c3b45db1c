"""The parts of one run of a Config, and who is given what. The only place that names concrete frontiers."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred

from crawler.config.addresses import pinned
from crawler.config.config import Config
from crawler.config.hosts import Hosts
from crawler.engine.admission import Admission, AdmissionRules
from crawler.engine.checking.leaves import Checking, Leaves
from crawler.engine.disposition import Reader, Rules
from crawler.engine.loop import Crawl
from crawler.engine.retry import Retry
from crawler.fetch.connect.chosen.pins import Pins
from crawler.fetch.connect.dial import Dial
from crawler.fetch.fetcher import Fetcher, Fetches
from crawler.fetch.typed import Typed
from crawler.frontier import Frontier
from crawler.frontier.memory import MemoryFrontier
from crawler.frontier.spilling import SpillingFrontier
from crawler.models import Ask
from crawler.run.access.cookies import KeptCookies
from crawler.run.access.gating import make_gate, make_scope, obeys_anywhere
from crawler.run.access.routing import make_routing
from crawler.run.network import Network, Ways
from crawler.run.pacing import make_politeness, make_throttle
from crawler.run.reactors import descriptor_limit
from crawler.seeds.feed import Feed
from crawler.sinks import Sink
from crawler.stats.stats import Load, Stats
from crawler.urls import Url, canonical_key

# Not every run crawls, reads robots.txt or has a job: half a list's start would be spent on what it does not use.
if TYPE_CHECKING:
    from crawler.engine.reading import PageReader
    from crawler.engine.scope import Scope
    from crawler.fetch.archive.captures import Captures
    from crawler.fetch.archive.taping import Takes
    from crawler.fetch.cache.store import Store
    from crawler.frontier.shared.contract import Asks
    from crawler.job.history.previous import Previous
    from crawler.job.job import Job
    from crawler.page.callbacks import Callbacks
    from crawler.robots.policy import Robots
    from crawler.run.access.login import Login
    from crawler.run.objects.looking import Objects
    from crawler.run.outputs import Saving
    from crawler.run.shared.node import Node
    from crawler.run.workers.pool import Workers
    from crawler.spiders.items import Items

SPARE_DESCRIPTORS: Final = 64
LIST_WINDOW: Final = 5_000
CRAWL_WINDOW: Final = 20_000  # so many hosts may be asked in turn


class Parts:
    """Those of a run that is not yet: `open`, `admit`, then `assemble` make the others, in this order.

    After `open` one may `log_in`.

    `concurrency` is what the config asks for, as far as the descriptors of this process suffice: `most_concurrency`.
    """

    def __init__(
        self, config: Config, *, reactor: Any, dial: Dial, checking: Checking | None = None, asks: Asks | None = None
    ) -> None:
        self._config = config
        self._checking = checking
        self._leaves: Leaves | None = None
        self._reactor = reactor
        self._dial = dial
        # A socket each, with --bodies a file as well, and some for other files, DNS and the loop itself.
        limit = descriptor_limit()
        each = 1 if config.bodies is None else 2
        self.most_concurrency = max(1, (limit - min(SPARE_DESCRIPTORS, limit // 2)) // each)
        self.concurrency = min(config.concurrency, self.most_concurrency)
        self._hosts = Hosts(config.hosts) if config.hosts else None
        self.politeness = make_politeness(config, self._hosts)
        kind = SpillingFrontier if config.recursive else MemoryFrontier  # a list is read as it is fetched
        self.frontier: Frontier = kind(self.politeness, self._key)
        self.routing = make_routing(config, os.environ, now=reactor.seconds, hosts=self._hosts)
        self._pins = Pins(map(pinned, config.resolve)) if config.resolve else None
        self._ways: Ways | None = None
        self.typed = Typed(allow_private=config.allow_private, pinned=None if self._pins is None else self._pins.named)
        self.own_ports: set[int] = set()  # those of the monitors
        self.notes: list[str] = []  # about inputs, and a job that goes on
        self.job: Job | None = None
        self.node: Node | None = None  # of a crawl over many machines
        self.asks = asks  # of that, in place of --frontier
        self.sent: Ask | None = None  # with each input
        self.crawl: Crawl | None = None
        self.admission: Admission | None = None
        self.robots: Robots | None = None  # where it is obeyed
        self._kept: KeptCookies | None = None
        self._cache: Store | None = None
        self.saving: Saving | None = None
        self.objects: Objects | None = None
        self._scope: Scope | None = None
        self._reader: PageReader | None = None
        self._workers: Workers | None = None
        self.previous: Previous | None = None  # with --since
        self.captures: Captures | None = None  # of the archives that are read in place of the network
        self._disk = None if checking is None else checking.disk  # it is read in place of servers

    def load(self) -> Load:
        """How much there is to do now."""
        counts, now = self.frontier.counts(), self._reactor.seconds()
        ready = self.frontier.ready_at(now)
        wait = None if ready is None else ready - now
        parsing = 0 if self._reader is None else self._reader.waiting()
        full = self.crawl is not None and self.crawl.full
        workers = () if self._workers is None else self._workers.load()
        return Load(counts.leased, counts.queued, counts.parked, wait, parsing, full, workers)

    def open(self, resources: ExitStack, callbacks: Callbacks | None, items: Items | None = None) -> None:
        """Make what reads pages and keeps the job. Raises ValueError for what cannot be."""
        config = self._config
        if config.sent or config.range:
            from crawler.seeds.sent import ask_of

            self.sent = ask_of(config)
        shown = None if self._checking is None else self._checking.certificate
        self._scope = make_scope(config, self._disk)
        if config.frontier is not None:
            self.node = self._open_node(resources)
            self._dial = self.node.careful(self._dial)
        self._ways = Ways(config, self._dial, hosts=self._hosts, typed=self.typed, shown=shown)
        resources.callback(self._ways.close)
        if self._checking is not None and self._scope is not None:
            self._leaves = Leaves(self._scope, self._checking)
        self._reader = self._make_reader(callbacks, items)
        if self._reader is not None:
            resources.callback(self._reader.close)
        self._kept = KeptCookies(config, self._hosts)
        self.notes += self._kept.notes
        if config.job is not None:
            self.job = self._open_job(config.job)
            resources.callback(self.job.close)
            self.job.beside = self._kept
        if config.cache is not None:
            from crawler.run.access.caching import make_store

            self._cache = make_store(config, config.cache, self._reactor)
            resources.callback(self._cache.close)
        if config.accept or config.bodies is not None:
            from crawler.run.outputs import Saving

            self.saving = Saving(
                config,
                self._reactor,
                reads=None if self._reader is None else self._reader.needs,
                job=self.job,
                objects=self.objects,
            )
            resources.callback(self.saving.close)

    def admit(self, feed: Feed, ask: Callable[[int], Deferred[None] | None] | None, stats: Stats) -> Admission:
        """What accepts the inputs of `feed`; see Admission for `ask`."""
        config, job = self._config, self.job
        if self.node is not None:
            stats.whole = self.node.watching.now
        self.admission = Admission(
            feed=feed,
            frontier=self.frontier,
            rules=AdmissionRules(
                window=CRAWL_WINDOW if config.recursive else LIST_WINDOW,
                method=config.method,
                ask=self.sent,
                records_skips=config.skipped or config.dry_run,
            ),
            following=0 if job is None else job.following,
            scope=self._scope,
            admit=ask,
            all_read=_nobody if config.recursive else stats.total_known,
            refused=_nobody if job is None else job.journal.refused,
            leaves=self._leaves,
            skipped=stats.skip,
        )
        return self.admission

    def assemble(
        self, sink: Sink, resources: ExitStack, archive: Takes | None = None, *, wants_bodies: bool = True
    ) -> Crawl:
        """The crawl that writes to `sink`, and gives `archive` what goes over the wire.

        `wants_bodies` says that the sink has a use for the bodies.
        """
        assert self.admission is not None
        config, reactor, job = self._config, self._reactor, self.job
        resources.callback(self.frontier.close)
        assert self._kept is not None
        resources.callback(self._kept.save)
        cookies = self._kept.cookies
        network = self._network(archive=archive, saving=self.saving, cache=self._cache)
        resources.callback(network.close)
        self._workers = self._make_workers(network, resources, wants_bodies=wants_bodies)
        obeys = obeys_anywhere(config)
        side_requests, robots = None, None
        if obeys or config.sitemaps:
            from crawler.run.access.gating import make_robots

            readers = self._fetches(network, network.robots_fetcher(), partial=True)
            side_requests, robots = make_robots(config, frontier=self.frontier, fetcher=readers, clock=reactor)
        if robots is not None and obeys:
            self.robots = robots
        fetcher = network.fetcher(config.max_size, sources=[] if self.previous is None else [self.previous.conditions])
        self.crawl = Crawl(
            clock=reactor,
            admission=self.admission,
            frontier=self.frontier,
            politeness=self.politeness,
            gate=make_gate(
                config,
                politeness=self.politeness,
                clock=reactor.seconds,
                robots=robots,
                hosts=self._hosts,
                scope=self._scope,
                kept=self.node or job,
            ),
            fetcher=self._fetches(network, fetcher),
            retry=Retry(
                retries=config.retries,
                retry_after_cap=config.retry_after_cap,
                get_for_head=config.head,
                checks=self._leaves is not None,
                rng=random.Random(),  # noqa: S311 - it only spreads the tries
            ),
            sink=sink,
            rules=Rules(
                concurrency=self.concurrency,
                max_redirects=config.max_redirects,
                https_only=config.https_only,
                keep=cookies.hop if cookies.keeps_any else None,
                fragments=self._leaves is not None and self._leaves.fragments,
                headers_in_record=not config.no_headers,
                body_in_record=config.include_body,
                asks_for_part=config.range is not None,
            ),
            reader=self._make_since_reader(),
            side_requests=side_requests,
            tried=None if job is None else job.journal.tried,
        )
        return self.crawl

    def _fetches(self, network: Network, fetcher: Fetcher, *, partial: bool = False) -> Fetches:
        """What fetches: this process, or workers."""
        if self._workers is None:
            return network.cached(fetcher)
        from crawler.run.workers.fetching import RemoteFetcher

        leases = None if self.node is None else self.node.frontier.held
        return network.cached(RemoteFetcher(fetcher, self._workers, partial=partial, leases=leases))

    def _make_workers(self, network: Network, resources: ExitStack, *, wants_bodies: bool) -> Workers | None:
        if self._config.procs == 1 or self.captures is not None or self._checking is not None:
            return None
        from crawler.run.workers.fetching import open_workers

        return open_workers(
            self._config,
            reactor=self._reactor,
            resources=resources,
            network=network,
            own_ports=self.own_ports,
            reader=self._reader,
            wants_bodies=wants_bodies,
            say=self.notes.append,
        )

    def log_in(self, login: Login) -> Deferred[None]:
        """Make the requests of a login, over connections of its own: no output need be there. See LoggingIn."""
        from crawler.run.access.login import LoggingIn

        assert self._kept is not None
        network = self._network()
        fetcher = network.fetcher(self._config.max_size)
        logging_in = LoggingIn(
            self._config, clock=self._reactor, fetcher=fetcher, cookies=self._kept.cookies, typed=self.typed
        )

        def closed(result: Any) -> Any:
            network.close()
            return result

        return logging_in.run(login).addBoth(closed)

    def _network(
        self, *, archive: Takes | None = None, saving: Saving | None = None, cache: Store | None = None
    ) -> Network:
        assert self._ways is not None
        assert self._kept is not None
        return Network(
            self._config,
            reactor=self._reactor,
            ways=self._ways,
            typed=self.typed,
            own_ports=self.own_ports,
            routes=self.routing.routes,
            hosts=self._hosts,
            pins=self._pins,
            throttle=make_throttle(self._config, self._reactor, self.politeness),
            cookies=self._kept.cookies,
            spools=None if saving is None else saving.spools,
            accept=None if saving is None else saving.accept,
            archive=archive,
            cache=cache,
            captures=self.captures,
            folders=None if self._disk is None else self._disk.folders,
            cached_only=None if self._leaves is None else self._leaves.was_queued,
        )

    def keep_up(self, feed: Feed) -> Feed:
        """The feed, where what keeps this run hears of what is read, or reads it itself."""
        if self.node is not None:
            return self.node.feed(feed, self.sent)
        return feed if self.job is None else self.job.feed(feed)

    def take_up(self) -> None:
        """Accept what an earlier run of the job has left, before the feed is read; or what others have."""
        assert self.admission is not None
        if self.node is not None and self.crawl is not None:
            self.node.start(self.crawl, self.admission, self.robots)
        if self.job is None:
            return
        if self._config.skipped and self._config.depth is not None:
            self.admission.recorded(self.job.too_deep())
        for number, line in self.job.owed():
            self.admission.owe(number, line)

    @property
    def _key(self) -> Callable[[Url], bytes] | None:
        """By what a crawl knows a URL again; a list may name one twice."""
        config = self._config
        if not config.recursive:
            return None
        return partial(canonical_key, sort_query=config.sort_query, drop_trackers=config.strip_trackers)

    def _make_reader(self, callbacks: Callbacks | None, items: Items | None) -> PageReader | None:
        config = self._config
        if not (config.recursive or config.declarations or config.extract_all or config.gathers_facts or callbacks):
            return None
        from crawler.engine.reading import make_reader

        return make_reader(config, self._reactor, callbacks=callbacks, items=items, leaves=self._leaves)

    def _make_since_reader(self) -> Reader | None:
        if self.previous is None:
            return self._reader
        from crawler.job.history.previous import SinceReader

        return SinceReader(self.previous, self._reader)

    def _open_job(self, folder: str) -> Job:
        from crawler.job.job import Job

        config, scope = self._config, self._scope
        job = Job(
            folder,
            config,
            reactor=self._reactor,
            politeness=self.politeness,
            key=self._key,
            durable=config.durable,
        )
        self.notes = [*job.notes, *self.notes]
        self.frontier = job.frontier
        job.recall(self.typed, _nobody if scope is None else scope.add_seed)
        return job

    def _open_node(self, resources: ExitStack) -> Node:
        from crawler.run.shared.node import open_node

        assert self._key is not None
        own = {"politeness": self.politeness, "key": self._key, "typed": self.typed, "concurrency": self.concurrency}
        own["scope"] = self._scope
        node = open_node(self._config, asks=self.asks, reactor=self._reactor, resources=resources, **own)
        self.frontier = node.frontier
        return node


def _nobody(*_: object) -> None:
    """Nobody is told."""
