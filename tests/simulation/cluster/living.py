"""A cluster lives until its crawl is done; then its records are collected, and held against what was promised."""

from __future__ import annotations

import os
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final
from unittest.mock import patch

import msgspec
from shared_store import ReferenceStore

import crawler.fetch.http11.tls
import crawler.page.parsing.worker
import crawler.run.shared.node
from crawler.cluster.shared.collecting import collect
from crawler.fetch.connect.resolver import Resolver
from crawler.fetch.fetcher import Fetcher
from crawler.frontier.shared import claiming
from crawler.frontier.shared.contract import Counts, total
from crawler.models import Record
from crawler.run import network, parts
from tests.simulation.lives import WatchedFetcher, logged, tls_context
from tests.simulation.promises import Broken, check_inputs, check_links
from tests.simulation.world import WALL, World
from tests.support.memory_child import MemoryChild

from .node import Node
from .store import Dying, Server
from .watch import Servers
from .world import Cluster, Event, make_cluster

SHARDS: Final = 4  # there is little to do in a small world
TTL: Final = 30.0
MOST_STEPS: Final = 200_000
MOST_NODES: Final = 20
MOST_SECONDS: Final = 40_000.0
SHOWN: Final = 40
_RECORDS: Final = msgspec.json.Decoder(Record)


class Story:
    """What happened in a cluster: its events, and its records."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.events: list[str] = []
        self.records: list[Record] = []
        self.ways: list[str] = []
        self.nodes = 0
        self.steps = 0
        self.seconds = 0.0

    @property
    def world(self) -> World:
        return self.cluster.world

    @property
    def digest(self) -> str:
        return sha256("\n".join(self.events).encode()).hexdigest()


def live(seed: int, *, show: Callable[[str], None] | None = None) -> Story:
    """Make the cluster of this seed and let it live. Raises Broken, with the last events."""
    return live_in(make_cluster(seed), show=show)


def live_in(cluster: Cluster, *, show: Callable[[str], None] | None = None) -> Story:
    story = Story(cluster)
    seed = cluster.world.seed
    try:
        with ExitStack() as resources:
            folder = Path(tempfile.mkdtemp(prefix="cluster-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
            resources.callback(shutil.rmtree, folder)
            _Living(story, folder, show).run()
    except Exception as error:
        last = "\n  ".join(story.events[-SHOWN:])
        words = str(error) if isinstance(error, Broken) else f"{type(error).__name__}: {error}"
        told = f"cluster of seed {seed} ({cluster.world.name}): {words}; its last events:\n  {last}"
        raise Broken(told) from (None if isinstance(error, Broken) else error)
    return story


class _Living:
    """The one clock of the world, and all that happens by it."""

    def __init__(self, story: Story, folder: Path, show: Callable[[str], None] | None) -> None:
        cluster = story.cluster
        self.story = story
        self.cluster = cluster
        self.world = cluster.world
        self.folder = folder
        self.show = show
        self.now = 0.0
        self.rng = self.world.rng("cluster")
        self.store = ReferenceStore(lambda: self.now, longest=cluster.longest)
        self.server = Server(self.store, cluster.latency)
        self.servers = Servers(cluster, self.store, lambda: self.now)
        self.nodes: list[Node] = []  # those that are there
        self.graves: list[Node] = []
        self.current: Node | None = None
        self.events = list(cluster.events)
        self.timers: list[tuple[float, int, Callable[[], None]]] = []
        self.born = 0
        self.logged: list[str] = []
        for site in self.world.sites.values():
            site.wall = lambda _: WALL + self.now

    def log(self, kind: str, detail: str) -> None:
        event = f"{self.now:.6f} {kind} {detail}"
        self.story.events.append(event)
        if self.show is not None:
            self.show(event)

    def run(self) -> None:
        with self._world(), logged(self.logged):
            for _ in range(self.cluster.nodes):
                self.join()
            try:
                self.look()
                while self.nodes or self.timers or not self.is_done:
                    if not self.nodes and not self.timers:
                        self.later(5.0, self.join)
                    self.step()
                    self.look()
            finally:
                for node in self.graves + self.nodes:
                    node.bury()
            self.judge()

    # Time.

    def step(self) -> None:
        """Whatever comes next."""
        story = self.story
        story.steps += 1
        if story.steps > MOST_STEPS or self.now > MOST_SECONDS:
            raise Broken(f"no end after {story.steps:,} steps and {self.now:,.0f} s: {self.counts()}")
        while self.events and self.events[0].steps <= story.steps:
            self.befall(self.events.pop(0))
        next_node, when = None, float("inf")
        for node in self.nodes:
            at = node.next_step()
            if at is not None and at < when:
                next_node, when = node, at
        timer = min(self.timers, key=lambda timer: timer[:2], default=None)
        if timer is not None and timer[0] <= when:
            self.timers.remove(timer)
            self.now = max(self.now, timer[0])
            timer[2]()
        elif next_node is None:
            raise Broken(f"a deadlock: nothing will ever happen. {self.counts()}")
        else:
            self.now = max(self.now, when)
            self.current = next_node
            next_node.wake(self.now)
            try:
                next_node.reactor.step()
            except Dying:
                self.kill(next_node)

    def look(self) -> None:
        """See what has become of the nodes."""
        if self.logged:
            raise Broken("; ".join(self.logged))
        for node in [node for node in self.nodes if node.results or node.watch.broken]:
            node.check()
            self.current = node
            self.nodes.remove(node)
            self.graves.append(node)
            may_fail = "full" in self.story.ways or node.is_leaving
            if not node.settle(may_fail=may_fail):
                self.servers.dies(node.watch)

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        self.timers.append((self.now + seconds, self.story.steps, call))

    @property
    def is_done(self) -> bool:
        return self.store.lease_seeds("the judge", 0.0) == -1 and not self.counts().pending

    def counts(self) -> Counts:
        return total([self.store.counts(shard) for shard in range(SHARDS)])

    # What befalls nodes and the store.

    def join(self) -> None:
        self.born += 1
        if self.born > MOST_NODES:
            raise Broken(f"{MOST_NODES} nodes do not do it: {self.counts()}")
        node = Node(self.cluster, self.born, born=self.now, server=self.server, servers=self.servers, log=self.log)
        self.story.nodes += 1
        self.nodes.append(node)
        self.current = node
        node.start({
            **self.world.options,
            "frontier": "redis://store.example/0",
            "crawl_id": "spring",
            "lease": TTL,
            "output": (f"{self.folder}/",),
        })  # fmt: skip

    def befall(self, event: Event) -> None:
        self.story.ways.append(event.what)
        node = self.nodes[event.node % len(self.nodes)] if self.nodes else None
        self.log("befalls", f"{event.what} {node.name if node else ''} {event.seconds:g} s")
        if event.what == "join":
            self.join()
        elif event.what in {"kill", "pause", "cut", "leave"}:
            if node is not None:
                self.strike(event, node)
        else:
            self.hurt(event)

    def strike(self, event: Event, node: Node) -> None:
        if event.what == "kill":
            if self.rng.random() < 0.5:
                node.face.dies_in = self.rng.randint(1, 12)
            else:
                self.kill(node)
        elif event.what == "leave":
            node.leaves()
            self.replace()
        else:
            node.watch.disturbed += 1
            if event.what == "pause":
                node.paused_at, node.pause_until = self.now, self.now + event.seconds
            else:
                node.face.cut = True
                self.later(event.seconds, partial(setattr, node.face, "cut", False))

    def kill(self, node: Node) -> None:
        self.log("dies", node.name)
        node.wake(self.now)
        node.kill()
        self.nodes.remove(node)
        self.graves.append(node)
        self.tear(node)
        self.replace()

    def replace(self) -> None:
        """Another one comes, or the others have to do."""
        if self.rng.random() < 0.5 or len(self.nodes) <= 1:
            self.later(self.rng.choice((0.1, 5.0, 60.0)), self.join)

    def tear(self, node: Node) -> None:
        """What was not committed of its part is on the disk up to any byte."""
        keeper = node.crawler.parts.node
        if keeper is None or keeper._sharing is None:
            return
        part = keeper._sharing.part
        committed = max((self.store.parts(shard).get(part.name, 0) for shard in range(SHARDS)), default=0)
        path = Path(part.path)
        if path.exists():
            os.truncate(path, self.rng.randint(committed, max(committed, path.stat().st_size)))

    def hurt(self, event: Event) -> None:
        server, seconds = self.server, event.seconds
        if event.what in {"restart", "failover"}:
            snapshot, age = self.store.snapshot(), self.rng.random()
            self.later(age, partial(self.restore, snapshot, seconds if event.what == "restart" else 0.0))
            return
        setattr(server, event.what, True)
        self.later(min(seconds, 60.0), partial(setattr, server, event.what, False))

    def restore(self, snapshot: Any, seconds: float) -> None:
        """The store is what it was a moment ago, when it is there again."""
        self.log("store", f"restarts, without its last second, after {seconds:g} s")
        self.store.restore(snapshot)
        self.server.restarts += 1
        self.servers.forgotten_until = self.now + seconds + TTL + 5.0
        for node in self.nodes:
            node.watch.disturbed += 1
        if seconds:
            self.server.down = True
            self.later(seconds, partial(setattr, self.server, "down", False))

    # What is not the nodes' own here.

    @contextmanager
    def _world(self) -> Iterator[None]:
        def here() -> Node:
            assert self.current is not None
            return self.current

        def wall() -> float:
            return WALL + self.now + here().wall_skew

        def resolver(reactor: Any, **rest: object) -> Resolver:
            return here().network.resolver(reactor, **rest)

        def fetcher(**rest: Any) -> Fetcher:
            return WatchedFetcher(here(), wall_clock=wall, **rest)

        names = SimpleNamespace(Random=lambda: random.Random(f"{self.world.seed} {here().name}"))
        with ExitStack() as patches:
            patches.enter_context(patch.multiple(parts, random=names))
            patches.enter_context(patch.object(claiming, "random", names))
            patches.enter_context(patch.object(crawler.page.parsing.worker, "Child", MemoryChild))
            patches.enter_context(patch.object(crawler.run.shared.node, "node_name", lambda: here().name))
            on_the_wall = partial(crawler.run.shared.node.Node, wall=lambda: WALL + self.now)  # they agree
            patches.enter_context(patch.object(crawler.run.shared.node, "Node", on_the_wall))
            patches.enter_context(patch.multiple(network, Resolver=resolver, Fetcher=fetcher))
            patches.enter_context(patch.object(crawler.fetch.http11.tls, "client_context", tls_context))
            for name, module in sys.modules.items():
                if getattr(module, "SHARDS", None) == 256 and name.startswith(("crawler.", "shared_store")):
                    patches.enter_context(patch.object(module, "SHARDS", SHARDS))
            yield

    # The end.

    def judge(self) -> None:
        story, world = self.story, self.world
        story.seconds = self.now
        counts = self.counts()
        if not self.is_done:
            raise Broken(f"all nodes have ended, and there is something to do: {counts}")
        out = self.folder / "all.jsonl"
        found = collect(self.store, f"{self.folder}/", str(out), records_skips=bool(world.options.get("skipped")))
        if found.problems:
            raise Broken("; ".join(found.problems))
        records = [_RECORDS.decode(line) for line in out.read_bytes().splitlines()]
        story.records = records
        check_inputs(world, records)
        self.check_once(records)
        if world.options["max_pages"] is None:
            check_links(world, records)
        else:
            self.check_pages(records, counts)

    def check_once(self, records: list[Record]) -> None:
        ends = Counter(record.ending for record in records)
        counts = self.counts()
        if (ends["ok"], ends["failed"]) != (counts.ok, counts.failed) or ends["skipped"] > counts.skipped:
            raise Broken(f"{ends} in the records, {counts} in the books")

    def check_pages(self, records: list[Record], counts: Counts) -> None:
        most = self.world.options["max_pages"]
        left_out = [record.url for record in records if record.error and record.error.code == "budget_exceeded"]
        if counts.pages > most:
            raise Broken(f"{counts.pages} pages, allowed are {most}")
        if left_out and counts.pages < most and not self.server.restarts:
            raise Broken(f"{counts.pages} pages, allowed were {most}, left out {left_out}")
