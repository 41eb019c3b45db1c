"""A connection of ours in memory, and hyper-h2 as the server on its other end; or raw frames, where that would refuse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, RequestReceived, StreamReset
from h2.settings import SettingCodes, Settings
from http11_fakes import Body, FakeOwner, FakeTransport, TurningClock
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from crawler.errors import CodedError
from crawler.fetch.http2.connection import Multiplexed
from crawler.fetch.http11.envelope import Envelope, Key, Trace
from crawler.fetch.http11.response import WireResponse

KEY = Key("https", "a.example", 443, False)
OK = [(":status", "200")]


def frame(kind: int, flags: int = 0, number: int = 0, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + number.to_bytes(4, "big") + payload


class Exchange:
    """One request on the connection, and what came of it."""

    def __init__(
        self,
        connection: Any,
        method: str = "GET",
        target: str = "/",
        fields: Sequence[str] = (),
        *,
        fresh: bool = False,
        body: Any = None,
    ) -> None:
        lines = [f"{method} {target} HTTP/1.1", "Host: a.example", *fields, "", ""]
        self.envelope = Envelope(KEY, method, "\r\n".join(lines).encode(), Trace(0.0))
        self.envelope.trace.fresh = fresh
        self.envelope.body = body
        self.response: WireResponse | None = None
        self.error: Any = None
        self.body = Body()
        self.deferred = connection.send(self.envelope)
        self.deferred.addCallbacks(self._answered, self._failed)

    def _answered(self, response: WireResponse) -> None:
        self.response = response
        response.deliverBody(self.body)

    def _failed(self, failure: Failure) -> None:
        self.error = failure.value

    @property
    def code(self) -> str | None:
        return self.error.code if isinstance(self.error, CodedError) else self.body.code

    @property
    def done(self) -> bool:
        return self.body.why is not None or self.error is not None


class Wire:
    """Our connection, its transport, its owner, and the server. `tell` carries all that is under way to both."""

    def __init__(self, settings: dict[SettingCodes, int] | None = None) -> None:
        self.clock = TurningClock()
        self.clock.advance(100.0)
        self.owner = FakeOwner(self.clock)
        self.needing_http11: list[Key] = []
        self.connection = Multiplexed(KEY, self.owner, self.clock, self.needing_http11.append)
        self.connection.remote_ip = "192.0.2.1"
        self.transport = FakeTransport()
        self.connection.makeConnection(self.transport)  # type: ignore[arg-type]
        self.server = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        if settings:
            self.server.local_settings = Settings(client=False, initial_values=settings)
        self.server.initiate_connection()
        self.events: list[Event] = []
        self.requests: dict[str, int] = {}
        self.heads: dict[int, list[tuple[str, str]]] = {}
        self.resets: dict[int, int] = {}

    def ask(self, *args: Any, **options: Any) -> Exchange:
        return Exchange(self.connection, *args, **options)

    def hear(self) -> None:
        """The server reads what we have written."""
        self.clock.turns(1)
        data, self.transport.written = self.transport.written, b""
        for event in self.server.receive_data(data) if data else ():
            self.events.append(event)
            if isinstance(event, RequestReceived):
                assert event.headers is not None
                assert event.stream_id is not None
                head = [(str(name), str(value)) for name, value in event.headers]
                self.heads[event.stream_id] = head
                self.requests[dict(head)[":path"]] = event.stream_id
            elif isinstance(event, StreamReset):
                self.resets[event.stream_id] = int(event.error_code)

    def received(self, number: int) -> bytes:
        """What the server has of the body of a request; its windows grow as it reads."""
        return b"".join(e.data for e in self.events if isinstance(e, DataReceived) and e.stream_id == number)

    def say(self) -> None:
        """We read what the server has written."""
        data = self.server.data_to_send()
        if data and not self.transport.aborted:
            self.connection.dataReceived(data)

    def tell(self) -> None:
        for _ in range(6):
            self.hear()
            self.say()

    def answer(self, path: str, body: bytes = b"hello", *fields: tuple[str, str], status: str = "200") -> None:
        """A whole answer, as far as our windows let it through at once."""
        number = self.requests[path]
        self.server.send_headers(number, [(":status", status), *fields], end_stream=not body)
        if body:
            self.server.send_data(number, body, end_stream=True)
        self.tell()

    def lose(self, reason: type[Exception] = ConnectionDone) -> None:
        self.connection.connectionLost(Failure(reason()))


def wire(**settings: int) -> Wire:
    """One that has exchanged its SETTINGS; the server's are named as SettingCodes names them."""
    made = Wire({SettingCodes[name]: value for name, value in settings.items()})
    made.tell()
    return made
