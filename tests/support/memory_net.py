"""A network in memory under a Clock: servers are functions, every instant is exact, every socket is counted.

Nothing of the client is replaced but name resolution and the dialling of one address.
"""

from __future__ import annotations

import errno
import ipaddress
import ssl
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from crawler.errors import CodedError
from crawler.fetch.budget import Budget
from crawler.fetch.connect.routes import Routes
from crawler.fetch.connect.stalls import Stalls
from crawler.fetch.fetcher import Fetcher
from crawler.fetch.http11.agent import Agent
from crawler.fetch.http11.endpoint import Endpoint
from crawler.fetch.http11.pool import Pool
from crawler.fetch.limits import Limits
from crawler.fetch.proxied import ProxiedAgent
from crawler.fetch.saving.accept import Accept
from crawler.fetch.saving.spools import Spools
from crawler.models import Input, Request
from crawler.urls import parse

NEVER = float("inf")
WALL = 1_750_000_000.0  # 2025-06-15T15:06:40Z


def run(clock: Clock, deferred: Deferred[Any], *, longest: float = 1e7) -> Any:
    """Let time pass from timer to timer until the Deferred fires. With no timer left, nothing ever will happen."""
    results: list[Any] = []
    deferred.addBoth(results.append)
    while not results:
        calls = clock.getDelayedCalls()
        assert calls, "a deadlock: the Deferred has not fired, and no timer is left"
        advance_to(clock, calls[0].getTime())
        assert clock.seconds() < longest
    if isinstance(results[0], Failure):
        results[0].raiseException()
    return results[0]


def advance_to(clock: Clock, when: float) -> None:
    """Let time pass, from timer to timer, until `when`."""
    while (calls := clock.getDelayedCalls()) and calls[0].getTime() <= when:
        clock.rightNow = max(clock.rightNow, calls[0].getTime())
        clock.advance(0)
    clock.rightNow = max(clock.rightNow, when)


class Asked(NamedTuple):
    """One request as the server read it; header names in lower case."""

    line: str
    headers: dict[str, str]
    body: bytes = b""

    @property
    def target(self) -> str:
        return self.line.split(" ")[1]


class Wire:
    """One connection: the client's transport, and what the server does with it. `after` is seconds from now."""

    def __init__(self, network: Network, server: Server, protocol: Protocol) -> None:
        self.open = True
        self.paused = False
        self._network = network
        self._server = server
        self._protocol = protocol
        self._received = b""
        self._answering = False
        self._timers: set[IDelayedCall] = set()

    # The client's transport.

    def write(self, data: bytes) -> None:
        assert self.open
        if self._server.raw is not None:
            self._server.raw(self, data)
            return
        self._received += data
        head, end, rest = self._received.partition(b"\r\n\r\n")
        assert end, "a request is written whole"
        line, *fields = head.decode("ascii").split("\r\n")
        headers = {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}
        assert len(headers) == len(fields), "no header twice"
        length = int(headers.get("content-length", "0"))
        asked = Asked(line, headers, rest[:length])
        assert len(asked.body) == length, "with its body"
        self._received = rest[length:]
        self._set_answering(answering=True)
        self._server.asked.append((self._network.clock.seconds(), asked))
        self._server.script(self, asked)

    def abortConnection(self) -> None:
        if self.open:
            self._shut()
            self._network.clock.callLater(0, self._protocol.connectionLost, Failure(ConnectionLost()))

    loseConnection = abortConnection

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False

    # The server.

    def send(self, data: bytes, after: float = 0.0) -> None:
        self._later(after, self._protocol.dataReceived, data)

    def answer(self, body: bytes = b"", *headers: str, status: int = 200, after: float = 0.0) -> None:
        """A whole answer with its Content-Length; the connection stays open."""
        lines = [f"HTTP/1.1 {status} -", *headers, f"Content-Length: {len(body)}", "", ""]
        self._later(after, self._answered, "\r\n".join(lines).encode("latin-1") + body)

    def close(self, after: float = 0.0) -> None:
        self._later(after, self._lost, ConnectionDone())

    def reset(self, after: float = 0.0) -> None:
        self._later(after, self._lost, ConnectionLost())

    def _answered(self, data: bytes) -> None:
        self._set_answering(answering=False)
        self._protocol.dataReceived(data)

    def _lost(self, reason: Exception) -> None:
        self._shut()
        self._protocol.connectionLost(Failure(reason))

    def _later(self, after: float, action: Callable[..., None], *args: Any) -> None:
        def act() -> None:
            self._timers.discard(timer)
            action(*args)

        timer = self._network.clock.callLater(after, act)
        self._timers.add(timer)

    def _set_answering(self, *, answering: bool) -> None:
        if answering != self._answering:
            self._answering = answering
            self._network.count(self._server, 1 if answering else -1)

    def _shut(self) -> None:
        self.open = False
        self._set_answering(answering=False)
        self._network.open.discard(self)
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()


Script = Callable[[Wire, Asked], None]


class Server:
    """What listens on one address and port. `asked` are its requests, each with the time at which it came."""

    def __init__(self, script: Script, raw: Callable[[Wire, bytes], None] | None, connect: float, refuse: int) -> None:
        self.script = script
        self.raw = raw
        self.connect = connect
        self.refuse = refuse
        self.asked: list[tuple[float, Asked]] = []
        self.answering = 0
        self.most_answering = 0

    @property
    def targets(self) -> list[str]:
        return [asked.target for _, asked in self.asked]


def hello(wire: Wire, asked: Asked) -> None:
    wire.answer(b"hello")


class Network:
    """Servers by host name and port. `open` are the connections, `answering` the requests that have no answer yet."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.servers: dict[tuple[str, int], Server] = {}
        self.open: set[Wire] = set()
        self.dialling = 0
        self.answering = 0
        self.most_answering = 0
        self._names: dict[str, tuple[str, float]] = {}
        self._addresses: dict[str, str] = {}

    def serve(
        self,
        host: str = "a.example",
        script: Script = hello,
        *,
        port: int = 80,
        raw: Callable[[Wire, bytes], None] | None = None,
        dns: float = 0.0,
        connect: float = 0.0,
        refuse: int = 0,
        address: str | None = None,
    ) -> Server:
        """`script` answers requests, or `raw` bytes; `dns` and `connect` are how long these take; `refuse` an errno."""
        known = self._names.get(host, (f"93.184.216.{len(self._names) + 1}", dns))
        address = address or known[0]
        self._names[host] = (address, dns)
        server = self.servers[address, port] = Server(script, raw, connect, refuse)
        return server

    def resolve(self, host: str, *_: Any) -> Deferred[list[str]]:
        try:
            return succeed([str(ipaddress.ip_address(host))])
        except ValueError:
            pass  # a name
        address, after = self._names.get(host, ("", 0.0))
        answer: Deferred[list[str]] = Deferred(lambda _: timer and timer.cancel())

        def resolved() -> None:
            if address:
                answer.callback([address])
            else:
                answer.errback(CodedError("dns_nxdomain", f"no such host: {host}"))

        timer = self.clock.callLater(after, resolved) if after < NEVER else None
        return answer

    def dial(self, address: str, port: int, protocol: Protocol) -> Deferred[Any]:
        server = self.servers.get((address, port)) or Server(hello, None, 0.0, errno.ECONNREFUSED)
        self.dialling += 1

        def given_up(_: Any) -> None:
            self.dialling -= 1
            if timer is not None:
                timer.cancel()

        def connected() -> None:
            self.dialling -= 1
            if server.refuse:
                dialled.errback(OSError(server.refuse, "refused"))
                return
            wire = Wire(self, server, protocol)
            self.open.add(wire)
            protocol.makeConnection(wire)  # type: ignore[arg-type]
            dialled.callback(None)

        dialled: Deferred[Any] = Deferred(given_up)
        timer = self.clock.callLater(server.connect, connected) if server.connect < NEVER else None
        return dialled

    def count(self, server: Server, change: int) -> None:
        server.answering += change
        server.most_answering = max(server.most_answering, server.answering)
        self.answering += change
        self.most_answering = max(self.most_answering, self.answering)


class Client:
    """A real Fetcher over a real pool on that network."""

    def __init__(
        self,
        network: Network,
        *,
        limits: Limits | None = None,
        headers: Sequence[tuple[str, str]] = (),
        public_only: Callable[[Request], bool] = lambda _: False,
        stalls: Stalls | None = None,
        budget: Budget | None = None,
        routes: Routes | None = None,
        spools: Spools | None = None,
        accept: Accept | None = None,
        **endpoint_options: Any,
    ) -> None:
        self.network = network
        self.clock = clock = network.clock
        self.pool = Pool(clock)
        stalls = stalls or Stalls()
        endpoint = Endpoint(
            clock=clock,
            stalls=stalls,
            dial=network.dial,
            resolver=network,  # type: ignore[arg-type]
            tls_context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            pool=self.pool,
            **endpoint_options,
        )
        agent = Agent(clock=clock, pool=self.pool, endpoint=endpoint)
        self.fetcher = Fetcher(
            clock=clock,
            agent=agent if routes is None else ProxiedAgent(agent, routes, clock),
            limits=limits or Limits(),
            user_agent="test/1",
            headers=headers,
            public_only=public_only,
            stalls=stalls,
            budget=budget,
            spools=spools,
            accept=accept,
            wall_clock=lambda: WALL + clock.seconds(),
        )
        self.fetcher.takes_turns = routes is not None

    def assert_quiet(self) -> None:
        """Once the pool is closed, no socket is open and no timer runs."""
        assert self.network.dialling == 0
        self.pool.close()
        self.clock.advance(0)
        assert self.network.open == set()
        assert [str(call) for call in self.clock.getDelayedCalls()] == []


def request(url: str = "http://a.example/", **fields: Any) -> Request:
    parsed = parse(url)
    return Request(**{"id": 0, "url": parsed, "written": parsed.href, "input": Input(), "accepted": 0.0, **fields})
