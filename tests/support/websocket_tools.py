"""What the tests of WebSockets share: frames and handshakes as bytes, and servers played by wsproto."""

from __future__ import annotations

import base64
import hashlib
import re
import struct
from collections.abc import Callable
from typing import Any

from memory_net import Network, Server, Wire
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Event, Request, TextMessage

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, masked: bool = False, reserved: int = 0) -> bytes:
    """One frame, right or wrong."""
    first = fin << 7 | reserved << 4 | opcode
    size, mask = len(payload), masked << 7
    if size < 126:
        head = struct.pack("!BB", first, mask | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", first, mask | 126, size)
    else:
        head = struct.pack("!BBQ", first, mask | 127, size)
    return head + bytes(4 * masked) + payload  # masked with zeros


def close_frame(code: int = 1000, reason: str = "") -> bytes:
    return frame(CLOSE, struct.pack("!H", code) + reason.encode())


def accept_of(request: bytes) -> bytes:
    """What Sec-WebSocket-Accept has to be for this request."""
    key = re.search(rb"\r\nSec-WebSocket-Key: (\S+)\r\n", request)
    assert key is not None
    return base64.b64encode(hashlib.sha1(key[1] + GUID).digest())


def switching(request: bytes, *headers: bytes) -> bytes:
    """The answer to a handshake; `headers` are more lines."""
    lines = [
        b"HTTP/1.1 101 Switching Protocols",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Accept: " + accept_of(request),
        *headers,
    ]
    return b"\r\n".join([*lines, b"", b""])


class Peer:
    """One connection of a server that keeps to the protocol. `heard` are its client's events, each with its time."""

    def __init__(self, wire: Wire, now: Callable[[], float], begin: Callable[[Peer], None]) -> None:
        self.wire = wire
        self.heard: list[tuple[float, Event]] = []
        self.polite = True  # answers a Close, and then closes the connection
        self._ws = WSConnection(ConnectionType.SERVER)
        self._now = now
        self._begin = begin

    def receive(self, data: bytes) -> None:
        self._ws.receive_data(data)
        for event in self._ws.events():
            self.heard.append((self._now(), event))
            if isinstance(event, Request):
                self._begin(self)
            elif isinstance(event, CloseConnection) and self.polite:
                if not self._closing:
                    self.say(event.response())
                self.wire.close()

    @property
    def request(self) -> Request:
        event = self.heard[0][1]
        assert isinstance(event, Request)
        return event

    @property
    def goodbye(self) -> CloseConnection | None:
        """The Close that the client sent."""
        return next((event for _, event in self.heard if isinstance(event, CloseConnection)), None)

    _closing = False

    def accept(self, subprotocol: str | None = None) -> None:
        self.say(AcceptConnection(subprotocol=subprotocol))

    def say(self, event: Event, after: float = 0.0) -> None:
        if after:
            self.wire._later(after, self.say, event)
            return
        self._closing = self._closing or isinstance(event, CloseConnection)
        self.wire.send(self._ws.send(event))


def talking(*messages: str) -> Callable[[Peer], None]:
    """Accepts, says these, and waits."""

    def begin(peer: Peer) -> None:
        peer.accept()
        for message in messages:
            peer.say(TextMessage(message))

    return begin


def serve(network: Network, begin: Callable[[Peer], None], host: str = "a.example", **where: Any) -> list[Peer]:
    """Serve WebSockets at a host; gives its connections as they come."""
    peers: dict[Wire, Peer] = {}
    order: list[Peer] = []

    def raw(wire: Wire, data: bytes) -> None:
        if wire not in peers:
            peers[wire] = Peer(wire, network.clock.seconds, begin)
            order.append(peers[wire])
        peers[wire].receive(data)

    network.serve(host, raw=raw, **where)
    return order


def serve_bytes(network: Network, *answers: Callable[[bytes], bytes], host: str = "a.example", **where: Any) -> Server:
    """Answer what comes on a connection: first the handshake, then whatever the client writes."""
    taken: dict[Wire, int] = {}

    def raw(wire: Wire, data: bytes) -> None:
        number = taken.get(wire, 0)
        taken[wire] = number + 1
        if number < len(answers) and (answer := answers[number](data)):
            wire.send(answer)

    return network.serve(host, raw=raw, **where)
