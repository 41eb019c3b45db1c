"""dial.py over real loopback sockets: uvloop's transports, asyncio's and Twisted's behave alike."""

from __future__ import annotations

import asyncio
import errno
import gc
import socket
import struct
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import Protocol
from twisted.internet.selectreactor import SelectReactor
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from crawler.errors import from_connect
from crawler.fetch.connect.dial import Dial, reactor_dial
from crawler.run import reactors
from crawler.run.reactors import private_reactor

LOOPBACK = "127.0.0.1"
PATIENCE = 5.0


def close_wakers(reactor: Any) -> None:
    for waker in list(reactor._internalReaders):
        reactor._internalReaders.discard(waker)
        reactor.removeReader(waker)
        waker.connectionLost(None)


class Net:
    """A reactor and how to dial on it. `run` starts it, and gives what the Deferred of `start` gives."""

    def __init__(self, reactor: Any, dial: Dial) -> None:
        self.reactor = reactor
        self.dial = dial

    def run(self, start: Callable[[], Deferred[Any]]) -> Any:
        outcome: list[Any] = []

        def begin() -> None:
            running = start()
            running.addTimeout(PATIENCE, self.reactor)
            running.addBoth(outcome.append)
            # One turn more, in which transports close their sockets.
            running.addCallback(lambda _: self.reactor.callLater(0.01, self.reactor.stop))

        self.reactor.callWhenRunning(begin)
        self.reactor.run(installSignalHandlers=False)
        if isinstance(outcome[0], Failure):
            outcome[0].raiseException()
        return outcome[0]


@pytest.fixture(params=["uvloop", "asyncio", "twisted"])
def net(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Net]:
    if request.param == "twisted":
        reactor = SelectReactor()
        reactor._registerAsIOThread = False
        yield Net(reactor, reactor_dial(reactor))
        close_wakers(reactor)
        return
    if request.param == "asyncio":
        monkeypatch.setattr(reactors, "_new_loop", asyncio.SelectorEventLoop)
    else:
        pytest.importorskip("uvloop")
    with private_reactor() as (private, dial):
        yield Net(private, dial)


@contextmanager
def serving(serve: Callable[[socket.socket], object], address: str = LOOPBACK) -> Iterator[int]:
    """A port where the first connection is given to `serve` in a thread, and closed after it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as server:
        server.settimeout(PATIENCE)

        def accept() -> None:
            client, _ = server.accept()
            with client:
                client.settimeout(PATIENCE)
                serve(client)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            thread.join(PATIENCE)
            assert not thread.is_alive()


class Client(Protocol):
    """Notes everything; `ended` fires with the reason for the end."""

    def __init__(self) -> None:
        self.data = b""
        self.made = 0
        self.on_data: Callable[[], object] = lambda: None
        self.ended: Deferred[Exception] = Deferred()

    def connectionMade(self) -> None:
        self.made += 1

    def dataReceived(self, data: bytes) -> None:
        self.data += data
        self.on_data()

    def connectionLost(self, reason: Any = None) -> None:
        self.ended.callback(reason.value)


def descriptors() -> int:
    gc.collect()
    return len(list(Path("/dev/fd").iterdir()))


def reset(client: socket.socket) -> None:
    client.recv(1)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_data_both_ways(net, address):
    """What is written arrives, megabytes of it; the close of the other side is a ConnectionDone."""
    if address == "::1" and not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 here")
    sent = bytes(range(256)) * 8000
    got: list[bytes] = []

    def serve(client: socket.socket) -> None:
        data = b""
        while len(data) < len(sent):
            data += client.recv(1 << 20)
        got.append(data)
        client.sendall(sent)

    protocol = Client()

    def start() -> Deferred[Any]:
        dialling = net.dial(address, port, protocol)
        dialling.addCallback(lambda _: protocol.transport.write(sent))
        return dialling.addCallback(lambda _: protocol.ended)

    with serving(serve, address) as port:
        why = net.run(start)
    assert (got, protocol.data, protocol.made) == ([sent], sent, 1)
    assert isinstance(why, ConnectionDone)


def test_reset(net):
    """A reset is a ConnectionLost and no ConnectionDone: the difference between an end and a cut."""
    protocol = Client()

    def start() -> Deferred[Any]:
        dialling = net.dial(LOOPBACK, port, protocol)
        dialling.addCallback(lambda _: protocol.transport.write(b"x"))
        return dialling.addCallback(lambda _: protocol.ended)

    with serving(reset) as port:
        why = net.run(start)
    assert isinstance(why, ConnectionLost)
    assert not isinstance(why, ConnectionDone)


def test_abort(net):
    """Aborting closes the socket at once: the server sees it, the protocol is told once."""
    seen: list[bytes | str] = []

    def serve(client: socket.socket) -> None:
        try:
            seen.append(client.recv(10))
        except ConnectionResetError:
            seen.append("reset")

    protocol = Client()

    def start() -> Deferred[Any]:
        dialling = net.dial(LOOPBACK, port, protocol)
        dialling.addCallback(lambda _: protocol.transport.abortConnection())
        return dialling.addCallback(lambda _: protocol.ended)

    with serving(serve) as port:
        net.run(start)
    assert seen in ([b""], ["reset"])


def test_pause_and_resume(net):
    """A paused transport delivers nothing; a resumed one all the rest."""
    protocol = Client()
    held: list[int] = []

    def start() -> Deferred[Any]:
        def pause() -> None:
            if not held:
                held.append(len(protocol.data))
                protocol.transport.pauseProducing()
                deferLater(net.reactor, 0.05, resume)

        def resume() -> None:
            held.append(len(protocol.data))
            protocol.transport.resumeProducing()

        protocol.on_data = pause
        return net.dial(LOOPBACK, port, protocol).addCallback(lambda _: protocol.ended)

    with serving(lambda client: client.sendall(bytes(2_000_000))) as port:
        net.run(start)
    assert held[0] == held[1] < 2_000_000
    assert len(protocol.data) == 2_000_000


def test_a_bug_is_the_reason_of_the_close(net, capfd):
    """What a protocol raises closes its connection, and is what the protocol is told."""
    protocol = Client()

    def bug() -> None:
        raise ZeroDivisionError("a bug")

    protocol.on_data = bug

    def serve(client: socket.socket) -> None:
        client.sendall(b"x")
        client.recv(1)

    with serving(serve) as port:
        why = net.run(lambda: net.dial(LOOPBACK, port, protocol).addCallback(lambda _: protocol.ended))
    assert isinstance(why, ZeroDivisionError)


def test_refused(net):
    """The system's number comes through, so that the error gets its code."""
    with socket.create_server((LOOPBACK, 0)) as server:
        port = server.getsockname()[1]
    protocol = Client()
    with pytest.raises(Exception) as caught:
        net.run(lambda: net.dial(LOOPBACK, port, protocol))
    assert from_connect(caught.value, "there").code == "connect_refused"
    assert protocol.made == 0


def test_out_of_descriptors(net, monkeypatch):
    """A socket that cannot be made is our own trouble."""
    if "uvloop" in str(getattr(net.reactor, "_asyncioEventloop", "")):
        pytest.skip("libuv makes its sockets by itself")
    make = socket.socket.__init__

    def refuse(self, family=-1, type=-1, proto=-1, fileno=None):  # noqa: A002
        if type == socket.SOCK_STREAM and fileno is None:
            raise OSError(errno.EMFILE, "Too many open files")
        make(self, family, type, proto, fileno)

    monkeypatch.setattr(socket.socket, "__init__", refuse)
    with pytest.raises(Exception) as caught:
        net.run(lambda: net.dial(LOOPBACK, 9, Client()))
    assert from_connect(caught.value, "there").code == "local_fd_limit"


@contextmanager
def full_backlog() -> Iterator[int]:
    """A port whose queue of new connections is full: the system drops every further SYN without a word."""
    with socket.create_server((LOOPBACK, 0), backlog=0) as server, ExitStack() as stack:
        port: int = server.getsockname()[1]
        for _ in range(16):
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0.05)
            try:
                waiting.connect((LOOPBACK, port))
            except TimeoutError:
                yield port
                return
        pytest.skip("this system accepts connections beyond the backlog")


def warm(net: Net) -> Deferred[Any]:
    """libuv opens descriptors of its own with the first attempt, and keeps them as long as the loop lives."""
    return net.dial(LOOPBACK, 9, Client()).addErrback(lambda _: None)


def test_cancel(net):
    """Giving an attempt up closes its socket, though the other side has never answered."""
    protocol = Client()

    @inlineCallbacks
    def start() -> Generator[Deferred[Any], Any, list[int]]:
        yield warm(net)
        before = descriptors()
        dialling = net.dial(LOOPBACK, port, protocol).addErrback(lambda _: None)
        yield deferLater(net.reactor, 0.02)
        during = descriptors()
        dialling.cancel()
        yield deferLater(net.reactor, 0.02)
        return [during - before, descriptors() - before]

    with full_backlog() as port:
        assert net.run(start) == [1, 0]
    assert protocol.made == 0


def test_cancel_at_the_moment_of_success(net):
    """Whenever it is cancelled, a dial leaves either a connection that somebody holds, or no socket."""
    protocols = [Client() for _ in range(20)]

    @inlineCallbacks
    def start() -> Generator[Deferred[Any], Any, int]:
        yield warm(net)
        before = descriptors()
        for turn, protocol in enumerate(protocols):
            dialling = net.dial(LOOPBACK, port, protocol)
            dialling.addCallbacks(lambda _, p=protocol: p.transport.abortConnection(), lambda _: None)
            net.reactor.callLater(turn * 0.0002, dialling.cancel)
        yield deferLater(net.reactor, 0.05)
        return descriptors() - before

    with socket.create_server((LOOPBACK, 0), backlog=100) as server:
        port = server.getsockname()[1]
        assert net.run(start) == 0
