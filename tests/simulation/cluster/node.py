"""One node of a cluster: the real crawler, with clocks of its own, that may die or stand still at any moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.python.failure import Failure

from crawler.config.config import Config
from crawler.errors import CodedError
from crawler.models import Record, Response
from crawler.run.composition import Crawler
from tests.simulation.clock import VirtualReactor
from tests.simulation.network import Network, read_head
from tests.simulation.promises import Broken, check_quiet

from .store import Face, Server, VirtualAsking
from .watch import NodeWatch, Servers
from .world import Cluster

SKEWS: Final = (0.0, 0.0, 2.0, -2.0, 3_600.0, -86_400.0)  # of the clock on its wall


class Node:
    """Lives from `born` on, a time of the world's clock. `log` hears of every event."""

    def __init__(
        self,
        cluster: Cluster,
        number: int,
        *,
        born: float,
        server: Server,
        servers: Servers,
        log: Callable[[str, str], None],
    ) -> None:
        world = cluster.world
        self.name = f"n{number}"
        self.dead = False
        self.pause_until = 0.0
        self.paused_at = 0.0  # what was due by then has happened: a turn of the reactor takes no time here
        self.results: list[Any] = []
        self.is_leaving = False
        self.rng = world.rng(f"node {number}")
        self.face = Face(server, world.rng(f"store {number}"))
        self.wall_skew = self.rng.choice(SKEWS)
        self.reactor = VirtualReactor()
        self._born = born
        self._offset = self.rng.uniform(0.0, 1e6)
        self._rate = 1.0 + self.rng.choice((-1, 0, 1)) * cluster.drift
        self._world = world
        self._log = log
        self.watch = NodeWatch(world, self.log, self.name, servers)
        self.watch.true = self.true
        self.network = Network(self.reactor, world.hosts, self.rng, self.log, self.watch)
        self.crawler: Crawler
        self.wake(born)

    def log(self, kind: str, detail: str) -> None:
        if not self.dead:
            self._log(f"{self.name} {kind}", detail)

    def start(self, options: dict[str, Any]) -> None:
        self.crawler = Crawler(
            Config.build(**options),
            reactor=self.reactor,
            urls=list(self._world.inputs),
            sinks=[Sink(self)],
            dial=self.network.dial,
            asks=VirtualAsking(self.face, self.reactor),
        )
        self.crawler.run().addBoth(self.results.append)

    # Its clock.

    def true(self, local: float) -> float:
        """The world's time, of one of its monotonic clock."""
        return self._born + (local - self._offset) / self._rate

    def wake(self, now: float) -> None:
        """It is that time in the world."""
        self.reactor.rightNow = max(self.reactor.rightNow, self._offset + (now - self._born) * self._rate)

    def next_step(self) -> float | None:
        """When it does something next, on the world's clock."""
        calls = self.reactor.calls
        if not calls:
            return None
        due = self.true(calls[0].time)
        return due if due <= self.paused_at else max(due, self.pause_until)

    # Its ends.

    def kill(self) -> None:
        """It does nothing more. What it has sent arrives; its connections are closed, and nobody hears of it again."""
        for wire in list(self.network.open):
            call = wire._on_its_way
            if call is not None and call.active():
                asked = read_head(call.args[0].partition(b"\r\n\r\n")[0])
                self.watch.asked(wire, asked, self.reactor.seconds())
        self.dead = self.network.dead = True
        self.watch.servers.dies(self.watch)

    def leaves(self) -> None:
        """It is told to end."""
        self.is_leaving = True
        self.crawler.drain(5.0)

    def bury(self) -> None:
        """Let go of what a dead process would have let go of: descriptors, and no Deferred half done."""
        self.dead = self.network.dead = self.face.cut = True
        self.face.dies_in = 0
        if self.results or not hasattr(self, "crawler"):
            return
        self.crawler.abort()
        steps = 0
        while not self.results and steps < 2_000 and self.reactor.step():
            steps += 1

    def settle(self, *, may_fail: bool) -> bool:
        """It has ended by itself. False if it could not go on."""
        result = self.results[0]
        if isinstance(result, Failure):
            if not may_fail and "has given no answer" not in str(result.value):
                result.raiseException()
            result.trap(CodedError, ValueError)
            self.log("gives up", str(result.value))
        while self.reactor.step(until=self.reactor.seconds()):
            pass
        check_quiet(self.network, self.crawler, [str(call) for call in self.reactor.getDelayedCalls()])
        self.log("over", "")
        return not isinstance(result, Failure)

    def check(self) -> None:
        if self.watch.broken:
            raise Broken("; ".join(self.watch.broken))


class Sink:
    """Hears of each record as a node makes it; whether it counts is known later."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def write(self, record: Record, response: Response | None, sequence: int) -> None:
        if not self._node.dead:
            error = record.error and record.error.code
            self._node.log("record", f"{record.url} {record.outcome} {record.status} {error or ''} {record.attempts}")
            self._node.watch._check_truth(record)

    def flush(self) -> None: ...

    def close(self) -> None: ...
