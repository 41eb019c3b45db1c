"""The frames of a server, through a connection with two streams: the same comes of them however the network cuts them.

The first byte says which method was asked with, how the connection ends, and whether frames follow as they are on the
wire, or with four bytes before each payload (type, flags, stream, size), so that mutations leave them frames.
"""

from __future__ import annotations

from hpack import Encoder
from http2_server import KEY, Exchange, FakeOwner, FakeTransport, frame
from http11_fakes import FIN, RST, TurningClock, lost

from crawler.errors import StaleConnection
from crawler.fetch.http2.connection import Multiplexed

from .tools import check_error, segmentations

GET, HEAD, RESET, SHORT = 0, 1, 2, 4
BLOCK = Encoder().encode([(":status", "200"), ("content-type", "text/html"), ("content-length", "5")])
SMALL = b"\x88"


def _short(first: int, *frames: tuple[int, int, int, bytes]) -> bytes:
    return bytes((first | SHORT,)) + b"".join(bytes((*head, len(payload))) + payload for *head, payload in frames)


def _wire(first: int, *frames: tuple[int, int, int, bytes]) -> bytes:
    return bytes((first,)) + b"".join(frame(*parts) for parts in frames)


_ANSWERS = ((1, 4, 1, BLOCK), (1, 5, 3, SMALL), (0, 0, 1, b"hel"), (6, 0, 0, b"12345678"), (0, 1, 1, b"lo"))
SAMPLES = (
    _wire(GET, *_ANSWERS),
    _short(GET, *_ANSWERS),
    _short(HEAD, (1, 5, 3, BLOCK), (1, 5, 1, BLOCK)),
    _short(GET, (1, 0, 1, b"\x88\x0f"), (9, 0, 1, b"\x0d\x01"), (9, 4, 1, b"5"), (0, 9, 1, b"\x02hello\0\0")),
    _short(RESET, (1, 4, 1, BLOCK), (0, 0, 1, b"hel"), (3, 0, 3, b"\0\0\0\x07")),
    _short(GET, (4, 0, 0, b"\0\1\0\0\0\0\0\3\0\0\0\1\0\4\0\0\xff\xff"), (4, 1, 0, b""), (8, 0, 1, b"\0\0\1\0")),
    _short(GET, (7, 0, 0, b"\0\0\0\1\0\0\0\0bye"), (1, 5, 1, SMALL)),
    _short(GET, (1, 4, 1, Encoder().encode([(":status", "103")])), (1, 4, 1, SMALL), (1, 5, 1, b"\x40\x01a\x01b")),
    _short(RESET, (2, 0, 1, b"\0\0\0\0\0"), (5, 4, 1, b"\0\0\0\2\x88"), (0xFF, 0, 0, b"?")),
    _short(GET, (1, 4, 1, b"\x3f\xe1\x1f\x20\x88\xbe"), (0, 1, 3, b"x")),
)
TOKENS = (
    SMALL, BLOCK, b"\x20", b"\x3f\xe1\x1f", b"\xbe", b"\x80", b"\xff\xff\xff\xff\xff", b"\x00\x84\xff\xff\xff\xff", b"\x40\x01a\x01b",
    b"\0\0\0\0", b"\0\0\0\7", b"\0\0\0\x0d", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\0\4\x80\0\0\0", b"\0\2\0\0\0\1", b"\0\3\0\0\0\0",
    frame(6, 0, 0, b"12345678"), frame(4), frame(1, 5, 1, SMALL), frame(0, 1, 3, b"x"), frame(9, 4, 1), frame(7, 0, 0, bytes(8)),
    bytes((6, 0, 0, 8)) + b"12345678", bytes((4, 0, 0, 0)), bytes((1, 5, 1, 1)) + SMALL, bytes((0, 1, 1, 0)), bytes((9, 4, 1, 0)),
)  # fmt: skip


def fuzz(data: bytes) -> None:
    if not data:
        return
    wire = frame(4) + (_frames(data[1:]) if data[0] & SHORT else data[1:])
    method = "HEAD" if data[0] & HEAD else "GET"
    end = RST if data[0] & RESET else FIN
    whole = _outcome([wire], method, end)
    for pieces in segmentations(wire, 2048):
        assert _outcome(pieces, method, end) == whole


def _frames(data: bytes) -> bytes:
    frames = []
    while len(data) >= 4:
        kind, flags, number, size = data[:4]
        frames.append(frame(kind, flags, number, data[4 : 4 + size]))
        data = data[4 + size :]
    return b"".join(frames)


def _outcome(segments: list[bytes], method: str, end: type[Exception]) -> list[tuple[object, ...]]:
    """What came of both: status, headers, body, warnings, the error's code."""
    clock, owner, transport = TurningClock(), FakeOwner(), FakeTransport()
    connection = Multiplexed(KEY, owner, clock, lambda _: None)
    connection.makeConnection(transport)  # type: ignore[arg-type]
    exchanges = [Exchange(connection, method), Exchange(connection)]
    for segment in segments:
        if segment and not transport.aborted:
            connection.dataReceived(segment)
    if not transport.aborted:
        connection.connectionLost(lost(end))
    assert owner.lost == [connection], "it is gone now, and that was told once"
    clock.advance(60)
    assert clock.getDelayedCalls() == [], "nothing runs any more"
    return [_told(exchange) for exchange in exchanges]


def _told(exchange: Exchange) -> tuple[object, ...]:
    error = exchange.error or (exchange.body.why if exchange.code else None)
    if exchange.code is not None:
        check_error(error)  # type: ignore[arg-type]
    response = exchange.response
    if response is None:
        assert exchange.code is not None, repr(exchange.error)
        return (exchange.code, isinstance(error, StaleConnection))
    assert exchange.error is None
    assert exchange.body.why is not None, "the body has come to its end"
    return (response.code, response.fields, exchange.body.data, exchange.code, response.warnings)
