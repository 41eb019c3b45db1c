"""What must be true of all nodes together, told while it happens: by what each asks for, and what servers see."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from shared_store import ReferenceStore

from crawler.models import Request
from tests.simulation.network import Asked, Wire
from tests.simulation.promises import Watch
from tests.simulation.world import World

from .world import Cluster

SLACK: Final = 1e-6


class _Asked:
    """A request that has begun and not ended. Whoever was disturbed since may not know that its time is over."""

    def __init__(self, node: NodeWatch) -> None:
        self.node = node
        self.disturbed = node.disturbed


class Servers:
    """What is known of each host over all nodes: when it was asked last, and by whom it is asked now."""

    def __init__(self, cluster: Cluster, store: ReferenceStore, now: Callable[[], float]) -> None:
        self.now = now
        self.store = store
        self.options = cluster.world.options
        self.forgotten_until = 0.0  # the store has lost what it knew of leases: whoever had one may not know that
        self.asked_for: dict[str, str] = {}  # by URL, who
        self.calm = cluster.calm
        self._slack = SLACK + 2 * cluster.drift * max(1.0, self.options["delay"])
        self._last: dict[str, float] = {}
        self._open: dict[str, list[_Asked]] = {}

    def starts(self, node: NodeWatch, request: Request, *, robots: bool) -> _Asked | None:
        """Gives None for what is nobody's turn: a robots.txt that was redirected to a host that the node does not hold."""
        host = request.url.host_key
        books = self.store.host(host)
        is_held = books is not None and books.node == node.name and books.expires > 0
        if not is_held and not self.forgets:
            if robots and request.url.target != "/robots.txt":
                return None
            whose = "nobody's" if books is None or not books.node else f"{books.node}'s for {books.expires:g} s"
            node.broken.append(f"{node.name} asks for {request.url.href}, whose host is {whose}")
        asked = _Asked(node)
        others = self._open.setdefault(host, [])
        others.append(asked)
        at_once = sum(other.disturbed == other.node.disturbed for other in others)
        if at_once > self.options["per_host"] and not self.forgets:
            node.broken.append(f"{at_once} requests at once to {host}, by all nodes")
        return asked

    def ends(self, host: str, asked: _Asked) -> None:
        self._open[host].remove(asked)

    def dies(self, node: NodeWatch) -> None:
        """Its connections are closed."""
        for all_asked in self._open.values():
            all_asked[:] = [asked for asked in all_asked if asked.node is not node]

    def sees(self, node: NodeWatch, host: str, target: str, when: float) -> None:
        """A request that was sent at that time."""
        books = self.store.host(host)
        if (books is None or books.node != node.name) and target != "/robots.txt":
            return  # as above
        gap = when - self._last.get(host, float("-inf"))
        if gap < self.options["delay"] - self._slack and not self.forgets:
            node.broken.append(f"{host} gets {target} {gap:g} s after the last request, of whatever node")
        self._last[host] = max(when, self._last.get(host, when))

    @property
    def forgets(self) -> bool:
        return self.now() < self.forgotten_until


class NodeWatch(Watch):
    """Sees one node, which may be one of many."""

    def __init__(self, world: World, log: Callable[[str, str], None], name: str, servers: Servers) -> None:
        super().__init__(world, world.options, log)
        self.name = name
        self.servers = servers
        self.disturbed = 0  # how often it stood still, or was cut off
        self.true: Callable[[float], float]  # of a time on the node's clock, on the world's
        self._open: dict[int, list[_Asked | None]] = {}

    def started(self, request: Request, now: float, *, robots: bool) -> None:
        self._open.setdefault(id(request), []).append(self.servers.starts(self, request, robots=robots))
        broken = list(self.broken)
        super().started(request, now, robots=robots)
        if self.servers.forgets:  # what was learnt of a host is forgotten, too
            self.broken = broken

    def ended(self, request: Request, result: Any, started: float, now: float, *, robots: bool) -> None:
        asked = self._open[id(request)].pop()
        broken = list(self.broken)
        super().ended(request, result, started, now, robots=robots)
        if asked is None:
            return
        self.servers.ends(request.url.host_key, asked)
        if asked.disturbed != self.disturbed:  # it may have stood still meanwhile: nothing is in time then
            self.broken = broken

    def asked(self, wire: Wire, asked: Asked, now: float) -> None:
        self._log("asked", f"{wire.host.name} #{wire.number} {asked.method} {asked.target}")
        self.servers.sees(self, wire.host.key, asked.target, self.true(wire.written_at))

    def _check_once(self, request: Request) -> None:
        """Only what was lost is asked for again; where nothing befalls anybody nothing is, but a circle of redirects."""
        whose = f"{self.name} {request.id}"
        once = self.servers.calm and not request.redirects
        if once and self.servers.asked_for.setdefault(request.url.href, whose) != whose:
            self.broken.append(f"{request.url.href} is asked for again, for another input")

    def passed(self, now: float) -> None:
        """Others may have what there is to do."""

    def took(self, window: int) -> None:
        """What is read may be fetched by others."""
