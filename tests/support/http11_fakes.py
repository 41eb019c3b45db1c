"""What the tests of http11 share: transports in memory, a consumer of bodies, requests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from crawler.errors import CodedError
from crawler.fetch.http11.connection import Connection
from crawler.fetch.http11.envelope import Envelope, Key, Trace
from crawler.fetch.http11.response import WireResponse
from crawler.fetch.http11.turns import Turns

KEY = Key("http", "a.example", 80, False)
FIN = ConnectionDone
RST = ConnectionLost


class FakeTransport:
    """A transport that does nothing but remember. Writing to a closed one is a bug."""

    def __init__(self) -> None:
        self.written = b""
        self.producer: Any = None
        self.aborted = False
        self.reading = True

    def write(self, data: bytes) -> None:
        assert not self.aborted, "written after the end"
        self.written += data

    def abortConnection(self) -> None:
        self.aborted = True

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert self.producer is None, "one at a time"
        assert streaming
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def pauseProducing(self) -> None:
        assert not self.aborted, "paused after the end"
        self.reading = False

    def resumeProducing(self) -> None:
        assert not self.aborted, "resumed after the end"
        self.reading = True


class FakeOwner:
    """A pool that only counts. What is to be done in turns is done when the `clock` is advanced, or else at once."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._turns = None if clock is None else Turns(clock)
        self.free: list[Connection] = []
        self.retirees: list[Any] = []
        self.lost: list[Connection] = []

    def retired(self, connection: Any) -> None:
        self.retirees.append(connection)

    def released(self, connection: Connection) -> None:
        self.free.append(connection)

    def gone(self, connection: Connection) -> None:
        self.lost.append(connection)

    def take_turns(self, work: Iterator[None]) -> None:
        if self._turns is None:
            for _ in work:
                pass
        else:
            self._turns.take(work)


class Body(Protocol):
    """Takes a body; `why` is None until it has ended."""

    def __init__(self) -> None:
        self.data = b""
        self.why: BaseException | None = None

    def dataReceived(self, data: bytes) -> None:
        assert self.why is None, "data after the end"
        self.data += data

    def connectionLost(self, reason: Any = None) -> None:
        assert self.why is None, "the end came twice"
        self.why = reason.value

    @property
    def code(self) -> str | None:
        """The code of the error with which the body ended."""
        return self.why.code if isinstance(self.why, CodedError) else None


def envelope(method: str = "GET", *, key: Key = KEY, started: float = 0.0) -> Envelope:
    head = f"{method} / HTTP/1.1\r\nHost: {key.host}\r\n\r\n"
    return Envelope(key, method, head.encode(), Trace(started))


def lost(reason: type[Exception] = FIN) -> Failure:
    return Failure(reason())


class Exchange:
    """One request on one connection, and what came of it: the response and its body, or the error."""

    def __init__(self, connection: Connection, method: str = "GET") -> None:
        self.envelope = envelope(method, key=connection.key)
        self.response: WireResponse | None = None
        self.error: BaseException | None = None
        self.body = Body()
        connection.send(self.envelope).addCallbacks(self._answered, self._failed)

    def _answered(self, response: WireResponse) -> None:
        self.response = response
        response.deliverBody(self.body)

    def _failed(self, failure: Failure) -> None:
        self.error = failure.value

    @property
    def code(self) -> str | None:
        """The code of the failure, in the head or in the body."""
        return self.error.code if isinstance(self.error, CodedError) else self.body.code


def connected(owner: Any = None, *, key: Key = KEY, now: Any = lambda: 0.0) -> tuple[Connection, FakeTransport]:
    connection = Connection(key, owner or FakeOwner(), now)
    transport = FakeTransport()
    connection.makeConnection(transport)  # type: ignore[arg-type]
    return connection, transport


def pieces(data: bytes, cuts: Iterable[int]) -> Iterator[bytes]:
    """The data, cut at these places."""
    start = 0
    for cut in sorted(set(cuts)):
        if start < cut < len(data):
            yield data[start:cut]
            start = cut
    yield data[start:]


class TurningClock(Clock):
    """A Clock in which each turn of the reactor takes its time: what is called later is not called in the same one."""

    turn = 0.001

    def callLater(self, when: float, *call: Any, **named: Any) -> Any:
        return super().callLater(max(when, self.turn), *call, **named)

    def turns(self, count: int) -> None:
        for _ in range(count):
            self.advance(self.turn)


def outcome_of(deferred: Deferred[Any]) -> list[Any]:
    """A list that holds the result, or the exception, once there is one. The result is passed on."""
    results: list[Any] = []

    def keep(result: Any) -> Any:
        results.append(result)
        return result

    deferred.addCallbacks(keep, lambda failure: results.append(failure.value))
    return results


class Attempt:
    """One dialling of an address. `given_up` when it was cancelled."""

    def __init__(self, when: float, address: str, port: int, protocol: Protocol) -> None:
        self.when = when
        self.address = address
        self.port = port
        self.protocol = protocol
        self.transport = FakeTransport()
        self.given_up = False
        self.dialled: Deferred[Any] = Deferred(self._cancelled)

    def _cancelled(self, _: Deferred[Any]) -> None:
        self.given_up = True

    def connect(self) -> FakeTransport:
        self.protocol.makeConnection(self.transport)  # type: ignore[arg-type]
        self.dialled.callback(None)
        return self.transport

    def fail(self, error: Exception) -> None:
        self.dialled.errback(Failure(error))


class FakeDial:
    """Remembers who was dialled and when. By itself it connects nobody; with `refusing` it fails at once."""

    def __init__(self, clock: Any) -> None:
        self.clock = clock
        self.attempts: list[Attempt] = []
        self.refusing: Exception | None = None

    def __call__(self, address: str, port: int, protocol: Protocol) -> Deferred[Any]:
        attempt = Attempt(self.clock.seconds(), address, port, protocol)
        self.attempts.append(attempt)
        if self.refusing is not None:
            attempt.fail(self.refusing)
        return attempt.dialled


class FakeResolver:
    """Knows the names it was told; waits for ever with others."""

    def __init__(self, **names: list[str]) -> None:
        self.names = names
        self.waiting: list[Deferred[list[str]]] = []
        self.given_up = 0

    def resolve(self, host: str, *_: Any) -> Deferred[list[str]]:
        answer: Deferred[list[str]] = Deferred(self._cancelled)
        if host in self.names:
            answer.callback(self.names[host])
        else:
            self.waiting.append(answer)
        return answer

    def _cancelled(self, _: Deferred[Any]) -> None:
        self.given_up += 1
