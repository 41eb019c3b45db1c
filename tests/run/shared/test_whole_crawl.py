"""What who looks at one node sees of the whole crawl: its books, and all nodes. Nobody looks: nothing is asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from crawl_world import World, page
from shared_nodes import AsksOnClock, Nodes
from shared_store import ReferenceStore
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from crawler.frontier.shared.about import About, read_nodes
from crawler.frontier.shared.contract import Arrival, Counts, StoreError, StoreRefusedError, shard_of
from crawler.monitor.console import Console
from crawler.run.shared.watching import EACH, MOST_NODES, WATCHED, Watching


class Store(ReferenceStore):
    """Notes when its books were asked for, which takes so many seconds; `error` is raised instead."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock.seconds)
        self.takes = 0.0
        self._slow = clock.advance
        self.times: list[float] = []
        self.error: Exception | None = None

    def counts_of(self, shards: Sequence[int]) -> list[Counts]:
        self.times.append(self._clock())
        if self.error is not None:
            raise self.error
        self._slow(self.takes)
        return super().counts_of(shards)


class Rig:
    """A node that is told of all nodes each second, as nodes are."""

    def __init__(self, *, always: bool = False) -> None:
        self.clock = Clock()
        self.store = Store(self.clock)
        asks = AsksOnClock(self.store, self.clock)
        self.watching = Watching(asks=asks, clock=self.clock, name="spring", node="one", always=always)
        self.errors: list[BaseException] = []
        self.watching.on_error = self.errors.append
        self.join("one")

    def join(self, name: str, ttl: float = 1e9, **about: object) -> None:
        self.store.join(name, About(name=name, **about).encoded(), ttl)

    def pass_seconds(self, number: int) -> None:
        for _ in range(number):
            self.watching.told(read_nodes(self.store.nodes()))
            self.clock.pump([0.01] * 100)


def arrive(store: ReferenceStore, number: int) -> None:
    host = "http://a.example:80"
    store.arrive(shard_of(host), [Arrival(host, each.to_bytes(8), b"x") for each in range(number)])


class TestAsking:
    def test_nobody_looks(self) -> None:
        rig = Rig()
        rig.pass_seconds(30)
        assert rig.store.times == []

    def test_as_long_as_somebody_looks(self) -> None:
        """At most every two seconds, however often they look; and no longer than a minute after the last time."""
        rig = Rig()
        arrive(rig.store, 5)
        for _ in range(20):
            for _ in range(50):
                rig.watching.now()
            rig.pass_seconds(1)
        found = rig.watching.now()
        assert found is not None
        assert (found.name, found.arrived, found.queued, found.done) == ("spring", 5, 5, 0)
        assert found.age < 2 * EACH
        assert 7 <= len(rig.store.times) <= 10
        rig.pass_seconds(int(WATCHED) + 5)
        asked = len(rig.store.times)
        rig.pass_seconds(60)
        assert len(rig.store.times) == asked
        found = rig.watching.now()
        assert found is not None
        assert found.age > 60

    def test_a_monitor_is_open(self) -> None:
        """The first who looks sees something."""
        rig = Rig(always=True)
        rig.pass_seconds(1)
        assert rig.watching.now() is not None

    def test_all_nodes_together_ask_about_once_a_second(self) -> None:
        rig = Rig(always=True)
        for number in range(19):
            rig.join(f"node {number}")
        rig.pass_seconds(100)
        assert 4 <= len(rig.store.times) <= 6

    def test_a_slow_store_is_asked_more_rarely(self) -> None:
        rig = Rig(always=True)
        rig.store.takes = 0.2
        rig.pass_seconds(100)
        assert 8 <= len(rig.store.times) <= 11

    def test_a_store_that_cannot_be_asked(self) -> None:
        """What was known is shown, with its age; and then it goes on."""
        rig = Rig(always=True)
        rig.pass_seconds(1)
        rig.store.error = StoreError("it is away")
        rig.pass_seconds(30)
        found = rig.watching.now()
        assert found is not None
        assert found.age > 25
        rig.store.error = None
        rig.pass_seconds(5)
        found = rig.watching.now()
        assert found is not None
        assert found.age < 5
        assert rig.errors == []

    def test_a_store_that_refuses(self) -> None:
        rig = Rig(always=True)
        rig.store.error = StoreRefusedError("it is no store")
        rig.pass_seconds(1)
        assert rig.errors == [rig.store.error]


class TestNodes:
    def test_those_that_are_there_and_those_that_are_gone(self) -> None:
        rig = Rig(always=True)
        rig.join("two", rate=2.5, ok=3, failed=1, hosts=4)
        rig.join("lost", ttl=1.0, rate=100.0)
        rig.join("one", rate=1.5)
        rig.pass_seconds(5)
        found = rig.watching.now()
        assert found is not None
        assert (found.there, found.gone, found.rate) == (2, 1, 4.0)
        one, two, lost = found.nodes
        assert (one.name, one.is_this, one.gone) == ("one", True, None)
        assert (two.name, two.is_this, two.done, two.failed, two.hosts) == ("two", False, 4, 1, 4)
        assert lost.gone == pytest.approx(3.0, abs=1.5)

    def test_no_more_than_are_of_use(self) -> None:
        rig = Rig(always=True)
        for number in range(MOST_NODES + 50):
            rig.join(f"{number:03}" + "x" * 10_000)
        rig.pass_seconds(1)
        found = rig.watching.now()
        assert found is not None
        assert (found.there, len(found.nodes)) == (MOST_NODES + 51, MOST_NODES)
        assert max(len(node.name) for node in found.nodes) == 100


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Nodes:
    world = World(monkeypatch)
    for host in ("a.example", "b.example"):
        links = [f"http://{other}/{n}" for n in range(20) for other in ("a.example", "b.example")]
        world.site({f"/{n}": page(*links, after=0.02) for n in range(20)}, host)
    return Nodes(world, tmp_path, robots=False, delay=0.5)


def test_the_console_of_a_node(nodes: Nodes) -> None:
    """It shows the books of all, and the nodes: a name is no control sequence, whoever wrote it."""
    crawler = nodes.start("http://a.example/0")
    nodes.start("http://a.example/0")
    nodes.store.join("\x1b[2Jevil\n", b"no json", 1_000.0)
    console = Console(lambda: crawler.control, reactor=nodes.clock)
    protocol, transport = console.buildProtocol(None), StringTransport()
    protocol.makeConnection(transport)
    nodes.until(lambda: nodes.counts.ok >= 1)
    protocol.dataReceived(b"status\n")
    nodes.until(lambda: nodes.counts.ok >= 20)
    transport.clear()
    protocol.dataReceived(b"status\n")
    lines = transport.value().decode().splitlines()
    (books,) = [line for line in lines if line.startswith("crawl test: ")]
    assert " of 40 done, ok " in books
    assert "by 3 nodes" in books
    told = [line for line in lines if line.startswith("node ")]
    assert len(told) == 3
    assert sum(" (this): " in line for line in told) == 1
    assert "\x1b" not in transport.value().decode()
    assert any("evil" in line and "0 done" in line for line in told)
    nodes.store.leave("\x1b[2Jevil\n")
    nodes.finish()


def test_the_numbers_at_the_end_are_those_of_all(nodes: Nodes) -> None:
    """For the summary and --stats; a node that nobody has looked at has none."""
    crawler = nodes.start("http://a.example/0")
    nodes.start("http://a.example/0")
    nodes.until(lambda: nodes.counts.ok >= 10)
    assert crawler.stats.snapshot().crawl is None
    nodes.finish()
    watched, unwatched = nodes.ended
    assert unwatched.crawl is None
    assert (watched.crawl.arrived, watched.crawl.done, watched.crawl.queued) == (40, 40, 0)
    assert 0 < watched.done <= 40
