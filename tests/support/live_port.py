"""A live page's port in memory, in front of a run under a Clock; and the requests and pages that come to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from steered_run import Going
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Event, Message, Request, TextMessage

from crawler.config.config import Config
from crawler.config.options.monitor import Place
from crawler.models import Input, Record
from crawler.monitor.dashboard.about import About
from crawler.monitor.dashboard.live import Hello, Live
from crawler.monitor.dashboard.server import Dashboard
from crawler.monitor.dashboard.story import Kept

TOKEN = "a-token-of-sixteen-or-more"
PLACE = Place("127.0.0.1", 8080)
BEARER = f"Bearer {TOKEN}"


class Wire(StringTransport):
    """A transport in memory that says when it is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.protocol: Any = None
        self.gone = False

    def loseConnection(self) -> None:
        super().loseConnection()
        self._end()

    def abortConnection(self) -> None:
        super().abortConnection()
        self._end()

    def _end(self) -> None:
        if not self.gone:
            self.gone = True
            self.protocol.connectionLost(Failure(ConnectionDone()))


class Answer:
    def __init__(self, raw: bytes) -> None:
        head, _, self.body = raw.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        self.status = int(first.split()[1])
        self.headers = dict(line.lower().split(": ", 1) for line in lines)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Page:
    """A WebSocket in memory."""

    def __init__(self, wire: Wire, client: WSConnection, raw: bytes) -> None:
        self.wire = wire
        self.client = client
        self.events: list[Event] = []
        self._text = ""
        self._take(raw)

    def _take(self, raw: bytes) -> None:
        self.client.receive_data(raw)
        self.events += self.client.events()

    def say(self, message: str | bytes) -> None:
        event: Message[Any] = TextMessage(message) if isinstance(message, str) else Message(message)
        self.wire.protocol.dataReceived(self.client.send(event))

    def ask(self, **verb: object) -> list[dict[str, Any]]:
        self.said()
        self.say(json.dumps(verb))
        return self.said()

    def said(self) -> list[dict[str, Any]]:
        """The messages since the last time."""
        if not self.wire.gone or self.wire.value():
            self._take(self.wire.value())
            self.wire.clear()
        messages = []
        for event in self.events:
            if isinstance(event, TextMessage):
                self._text += event.data
                if event.message_finished:
                    messages.append(json.loads(self._text))
                    self._text = ""
        self.events = [event for event in self.events if isinstance(event, CloseConnection)]
        return messages


class Port:
    """A dashboard in memory, in front of a run under a Clock."""

    def __init__(self, run: Going | None, clock: Any, kept: Kept | None = None, about: About | None = None) -> None:
        self.run = run
        self.clock = clock
        self.wall = 1_000.0

        def hello(control: Any) -> Hello:
            return Hello("1.0", "urls.txt", False, None, control.most_concurrency, 5.0)

        self.live = Live(lambda: self.control, hello, reactor=clock, wall=lambda: self.wall, kept=kept)
        self.dashboard = Dashboard(self.live, about or About(Config.build()), reactor=clock)
        self.stopped = 0
        self.dashboard.open(self, PLACE, TOKEN)

    @property
    def control(self) -> Any:
        return None if self.run is None else self.run.crawler.control

    def stopListening(self) -> None:
        self.stopped += 1

    def connect(self) -> Wire | None:
        protocol = self.dashboard.site.buildProtocol(None)
        if protocol is None:
            return None
        wire = Wire()
        wire.protocol = protocol
        protocol.makeConnection(wire)
        return wire

    def raw(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[Wire, bytes]:
        lines = {"Host": str(PLACE), "Authorization": BEARER, "Content-Length": str(len(body)), **headers}
        head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items() if value)
        wire = self.connect()
        assert wire is not None
        wire.protocol.dataReceived(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
        raw = wire.value()
        wire.clear()
        return wire, raw

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        wire, raw = self.raw(method, path, body, **headers)
        wire.loseConnection()
        return Answer(raw)

    def ticket(self) -> str:
        return str(self.ask("POST", "/api/ticket").json["ticket"])

    def upgrade(self, ticket: str, **headers: str) -> tuple[Wire, bytes, WSConnection]:
        client = WSConnection(ConnectionType.CLIENT)
        lines = client.send(Request(host=str(PLACE), target=f"/ws?ticket={ticket}")).decode().split("\r\n")
        sent = dict(line.split(": ", 1) for line in lines[1:] if line)
        wire, raw = self.raw(
            "GET", f"/ws?ticket={ticket}", **{**sent, "Authorization": "", "Content-Length": "", **headers}
        )
        return wire, raw, client

    def page(self) -> Page:
        wire, raw, client = self.upgrade(self.ticket())
        page = Page(wire, client, raw)
        assert isinstance(page.events.pop(0), AcceptConnection)
        return page

    def pass_time(self, seconds: float) -> None:
        if self.run is not None:
            self.run.pass_time(seconds)
        else:
            for _ in range(round(seconds / 0.25)):
                self.clock.advance(0.25)


def record(url: str = "http://a.example/", **fields: Any) -> Record:
    return Record(**{"url": url, "input": Input(), "outcome": "ok", **fields})


@contextmanager
def open_ports(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Port]]:
    """What opens a port in front of a run of so many URLs with these options; in the end nothing is left of them."""
    ports: list[tuple[Going, Port]] = []

    def start(number: int = 6, kept: Kept | None = None, about: About | None = None, **options: object) -> Port:
        run = Going(monkeypatch, number, **options)
        ports.append((run, Port(run, run.clock, kept, about)))
        return ports[-1][1]

    yield start
    for run, port in ports:
        port.dashboard.close()
        run.crawler.abort()
        run.pass_time(10.0)
        assert port.clock.getDelayedCalls() == []
