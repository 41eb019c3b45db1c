"""Names, addresses and connections, all in memory: with latency, bandwidth, bytes cut anywhere, and loss at any point.

What one life of the crawler sees of the network ends with it (`Network`); the servers, and what they remember, stay.
"""

from __future__ import annotations

import errno
import random
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final, NamedTuple
from typing import Protocol as Interface

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

from crawler.fetch.connect.resolver import MOST_THREADS, LookUp, Resolver

from .clock import VirtualReactor

NEVER: Final = float("inf")


class Asked(NamedTuple):
    """One request as a server reads it; header names in lower case."""

    method: str
    target: str
    headers: dict[str, str]


@dataclass
class Answer:
    """The bytes that a server sends, `after` so many seconds, and what it does then; `drip` is from byte to byte."""

    data: bytes
    after: float = 0.0
    end: str = "keep"  # it is a whole answer; close, reset, silence
    drip: float = 0.0
    rest: bytes = b""  # comes a moment after the end of a whole answer, that is, when the next request is on its way


@dataclass
class Line:
    """What the way to a server is like. Probabilities are those of one connection, or of one request (`lost`)."""

    latency: float = 0.01
    bandwidth: float = NEVER  # bytes per second
    cuts: str = "whole"  # few, every
    refused: float = 0.0
    blackhole: float = 0.0
    reset_on_accept: float = 0.0
    lost: float = 0.0  # the connection is reset at some byte of the answer
    keeps: float = 30.0  # seconds for which an idle connection is kept open
    chatty: float = 0.0  # sends bytes that nobody asked for before it closes an idle connection
    requests: int = 1_000  # after so many the connection is closed
    no_descriptor: float = 0.0  # our own machine has none left


@dataclass
class Host:
    """What listens under a name: `answer` is asked for each request. `dns` are the look-ups that fail first, or all."""

    name: str
    addresses: list[str]
    answer: Callable[[Asked, random.Random, float], Answer]
    line: Line
    port: int = 80
    dead: dict[str, str] = field(default_factory=dict)  # address: refused, blackhole, unreachable
    dns: list[str] = field(default_factory=list)  # nxdomain, nodata, servfail, hang
    dns_for_ever: bool = False
    dns_after: float = 0.005
    raw: bool = False  # what comes is no HTTP

    @property
    def key(self) -> str:
        return f"http://{self.name}:{self.port}"


class Wire:
    """One connection: the client's transport, and the server's end of it."""

    def __init__(self, network: Network, host: Host, address: str, protocol: Protocol) -> None:
        self.host = host
        self.address = address
        self.written_at = 0.0
        self.number = network.count()
        self.key = getattr(protocol, "key", None)
        self.open = True
        self._network = network
        self._rng = network.rng
        self._reactor = network.reactor
        self._protocol = protocol
        self._paused = False
        self._gone = False  # the server's end
        self._requests = 0
        self._received = b""
        self._queue: deque[tuple[float, bytes | str]] = deque()  # what is on its way to the client
        self._timer: IDelayedCall | None = None
        self._idle: IDelayedCall | None = None
        self._on_its_way: IDelayedCall | None = None
        self._free_at = 0.0
        self._watch_idle()
        if self._rng.random() < host.line.reset_on_accept:
            self._post(Answer(b"", end="reset"))

    # The client's transport.

    def write(self, data: bytes) -> None:
        assert self.open, "bytes are written to a connection that is closed"
        assert self._on_its_way is None or self.host.raw, "a second request before the first one has its answer"
        self.written_at = self._reactor.seconds()
        self._on_its_way = self._reactor.callLater(self.host.line.latency, self._arrived, data)

    def abortConnection(self) -> None:
        if self.open:
            self._network.log("abort", f"{self.host.name} #{self.number}")
            self._shut()
            self._reactor.callLater(0, self._protocol.connectionLost, Failure(ConnectionLost()))

    loseConnection = abortConnection

    def pauseProducing(self) -> None:
        self._paused = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def resumeProducing(self) -> None:
        self._paused = False
        self._pump()

    def _shut(self) -> None:
        self.open = False
        self._gone = True
        self._network.open.pop(self, None)
        self._queue.clear()
        for timer in (self._timer, self._idle, self._on_its_way):
            if timer is not None and timer.active():
                timer.cancel()
        self._timer = self._idle = self._on_its_way = None

    # The server's end.

    def _arrived(self, data: bytes) -> None:
        self._on_its_way = None
        if self._gone or self._network.dead:
            return
        self._received += data
        if self.host.raw:
            self._post(self.host.answer(Asked("", "", {}), self._rng, self._reactor.seconds()))
            return
        head, end, rest = self._received.partition(b"\r\n\r\n")
        if not end:
            return
        self._received = rest
        asked = read_head(head)
        self._requests += 1
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        network, line_ = self._network, self.host.line
        network.onlooker.asked(self, asked, self._reactor.seconds())
        answer = self.host.answer(asked, self._rng, self._reactor.seconds())
        if self._rng.random() < line_.lost:
            answer = Answer(answer.data[: self._rng.randint(0, len(answer.data))], answer.after, "reset", answer.drip)
        elif answer.end == "keep" and self._requests >= line_.requests:
            answer.end = "close"
        self._post(answer)

    def _post(self, answer: Answer) -> None:
        """Put the answer on its way."""
        line, rng = self.host.line, self._rng
        when = max(self._free_at, self._reactor.seconds() + line.latency + answer.after)
        for piece in _pieces(answer, line.cuts, rng):
            when += answer.drip + len(piece) / line.bandwidth + (rng.random() * 0.01 if line.cuts != "whole" else 0.0)
            self._queue.append((when, piece))
        self._free_at = when
        if answer.rest and answer.end == "keep":
            self._queue.append((when + line.latency / 2, answer.rest))
        if answer.end == "keep":
            self._watch_idle(when)
        elif answer.end != "silence":
            self._gone = True
            self._queue.append((when, answer.end))
        self._pump()

    def _watch_idle(self, since: float | None = None) -> None:
        when = max(self._reactor.seconds(), since or 0.0) + self.host.line.keeps
        self._idle = self._reactor.callLater(when - self._reactor.seconds(), self._idled)

    def _idled(self) -> None:
        self._idle = None
        if self._gone:
            return
        chatty = self._rng.random() < self.host.line.chatty
        late = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        self._post(Answer(late if chatty else b"", end="close"))

    def _pump(self) -> None:
        if self._timer is None and self._queue and self.open and not self._paused:
            delay = max(0.0, self._queue[0][0] - self._reactor.seconds())
            self._timer = self._reactor.callLater(delay, self._deliver)

    def _deliver(self) -> None:
        self._timer = None
        _, item = self._queue.popleft()
        if isinstance(item, bytes):
            self._protocol.dataReceived(item)
        else:
            self._network.log(item, f"{self.host.name} #{self.number}")
            self._shut()
            self._protocol.connectionLost(Failure(ConnectionDone() if item == "close" else ConnectionLost()))
        self._pump()


def read_head(head: bytes) -> Asked:
    """A request, of the bytes before its empty line."""
    line, *fields = head.decode("ascii").split("\r\n")
    method, target, _ = line.split(" ")
    headers = dict(field.partition(": ")[::2] for field in fields)
    return Asked(method, target, {name.lower(): value for name, value in headers.items()})


def _pieces(answer: Answer, cuts: str, rng: random.Random) -> list[bytes]:
    data = answer.data
    if answer.drip or (cuts == "every" and len(data) < 400):
        return [data[at : at + 1] for at in range(len(data))]
    if cuts == "whole" or len(data) < 2:
        return [data] if data else []
    places = sorted({0, len(data), *(rng.randrange(1, len(data)) for _ in range(rng.randint(1, 5)))})
    return [data[start:end] for start, end in pairwise(places)]


class Onlooker(Interface):
    """Sees connections and requests as servers do."""

    def connected(self, network: Network, wire: Wire) -> None: ...

    def asked(self, wire: Wire, asked: Asked, now: float) -> None: ...


class Network:
    """What one life of the crawler sees. `log` hears of every event."""

    def __init__(
        self,
        reactor: VirtualReactor,
        hosts: list[Host],
        rng: random.Random,
        log: Callable[[str, str], None],
        onlooker: Onlooker,
    ) -> None:
        self.reactor = reactor
        self.rng = rng
        self.dead = False
        self.open: dict[Wire, None] = {}
        self.dialling = 0
        self.dialled: list[str] = []
        self.onlooker = onlooker
        self._log = log
        self._hosts = {host.name: host for host in hosts}
        self._listening = {(address, host.port): host for host in hosts for address in host.addresses}
        self._wires = 0

    def log(self, kind: str, detail: str) -> None:
        if not self.dead:
            self._log(kind, detail)

    def count(self) -> int:
        self._wires += 1
        return self._wires

    def resolver(self, reactor: Any, **_: object) -> Resolver:
        """The real one, but for its threads: the look-ups take virtual time."""
        resolver = Resolver(reactor, getaddrinfo=self._getaddrinfo)
        resolver._threads = MOST_THREADS  # so that none is started
        resolver._jobs = self._lookups = _LookUps(self, resolver)  # type: ignore[assignment]
        return resolver

    def _getaddrinfo(self, name: str, *_: object) -> list[tuple[Any, ...]]:
        host = self._hosts.get(name)
        if host is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        if host.dns:
            fault = host.dns[0] if host.dns_for_ever or self.dead else host.dns.pop(0)
            self.log("dns", f"{name} {fault}")
            if fault == "nxdomain":
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            if fault == "servfail":
                raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
            return []
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in host.addresses]

    def takes(self, name: str) -> float:
        """How long it takes to look a name up."""
        host = self._hosts.get(name)
        if host is None:
            return 0.02
        if host.dns and host.dns[0] == "hang":
            if not host.dns_for_ever and not self.dead:
                host.dns[0] = "servfail"  # when the system's own patience ends
            return 30.0
        return host.dns_after

    def dial(self, address: str, port: int, protocol: Protocol) -> Deferred[Any]:
        host = self._listening.get((address, port))
        rng, reactor = self.rng, self.reactor
        line = Line() if host is None else host.line
        fate = "refused" if host is None else host.dead.get(address, "")
        if not fate:
            fate = rng.choices(
                ["", "refused", "blackhole", "no_descriptor"],
                [1.0, line.refused, line.blackhole, line.no_descriptor],
            )[0]
        self.dialling += 1
        self.dialled.append(address)
        self.log("dial", f"{address}:{port} {fate}")

        def given_up(_: Any) -> None:
            self.dialling -= 1
            if timer is not None:
                timer.cancel()

        def connected() -> None:
            self.dialling -= 1
            if fate or host is None or self.dead:
                number = {"no_descriptor": errno.EMFILE, "unreachable": errno.EHOSTUNREACH}.get(
                    fate, errno.ECONNREFUSED
                )
                dialled.errback(OSError(number, fate))
                return
            wire = Wire(self, host, address, protocol)
            self.open[wire] = None
            self.onlooker.connected(self, wire)
            protocol.makeConnection(wire)  # type: ignore[arg-type]
            dialled.callback(None)

        dialled: Deferred[Any] = Deferred(given_up)
        after = 0.0 if fate == "no_descriptor" else 2 * line.latency
        timer = None if fate == "blackhole" else reactor.callLater(after, connected)
        return dialled


class _LookUps:
    """Stands in for the queue from which the resolver's threads take names."""

    def __init__(self, network: Network, resolver: Resolver) -> None:
        self._network = network
        self._resolver = resolver
        self._running: dict[LookUp, IDelayedCall] = {}
        self._close = resolver.close
        resolver.close = self.close  # type: ignore[method-assign]

    def put(self, look_up: LookUp | None) -> None:
        if look_up is not None:
            after = self._network.takes(look_up.host)
            self._running[look_up] = self._network.reactor.callLater(after, self._end, look_up)

    def _end(self, look_up: LookUp) -> None:
        del self._running[look_up]
        self._resolver._answered(look_up, self._resolver._look_up(look_up.host))

    def close(self) -> None:
        """The threads would go on, and nobody would hear of it."""
        self._close()
        for call in self._running.values():
            call.cancel()
        self._running.clear()
