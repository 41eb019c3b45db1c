"""What a hostile server may do to an HTTP/2 connection: every breach has its code, every flood its end."""

from __future__ import annotations

import struct
import time
from typing import Any

import pytest
from hpack import Encoder
from http2_server import Exchange, Wire, frame, wire

from crawler.errors import StaleConnection
from crawler.fetch.http2.frames import FRAME_SIZE, FrameReader, goaway_in
from crawler.fetch.http2.reading import MAX_EMPTY
from crawler.fetch.http11.response import DONE

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, END_HEADERS, PADDED = 1, 4, 8
NO_ERROR, PROTOCOL_ERROR, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR = 0, 1, 3, 6
COMPRESSION_ERROR, ENHANCE_YOUR_CALM = 9, 11
OK = b"\x88"  # :status 200
HALF_A_SECOND = 0.5  # of CPU, for all of a flood: on a busy machine, too


def number(value: int) -> bytes:
    return struct.pack(">L", value)


def setting(name: int, value: int) -> bytes:
    return struct.pack(">HL", name, value)


def asked(count: int = 2) -> tuple[Wire, list[Exchange]]:
    made = wire()
    exchanges = [made.ask("GET", f"/{n}") for n in range(count)]
    made.tell()
    return made, exchanges


def told(made: Wire) -> int:
    """The code with which we went away."""
    reader = FrameReader()
    reader.feed(made.transport.written)
    codes = []
    while (heard := reader.next()) is not None:
        if heard.kind == GOAWAY:
            codes.append(goaway_in(heard.payload)[1])
    (code,) = codes
    return code


BREACHES: dict[str, tuple[bytes, int]] = {
    "DATA for no stream": (frame(DATA, 0, 0, b"x"), PROTOCOL_ERROR),
    "DATA for an idle stream": (frame(DATA, 0, 99, b"x"), PROTOCOL_ERROR),
    "DATA for a stream of the server": (frame(DATA, 0, 2, b"x"), PROTOCOL_ERROR),
    "HEADERS for an idle stream": (frame(HEADERS, END_HEADERS, 99, OK), PROTOCOL_ERROR),
    "HEADERS for no stream": (frame(HEADERS, END_HEADERS, 0, OK), PROTOCOL_ERROR),
    "all padding": (frame(DATA, PADDED, 1, b"\x05abc"), PROTOCOL_ERROR),
    "padding of nothing": (frame(DATA, PADDED, 1), PROTOCOL_ERROR),
    "HEADERS too short": (frame(HEADERS, END_HEADERS | 0x20, 1, b"\0\0"), FRAME_SIZE_ERROR),
    "a large frame": (struct.pack(">HBBBL", FRAME_SIZE >> 8, 1, DATA, 0, 1), FRAME_SIZE_ERROR),
    "a short RST_STREAM": (frame(RST_STREAM, 0, 1, b"\0"), FRAME_SIZE_ERROR),
    "RST_STREAM of nothing": (frame(RST_STREAM, 0, 0, number(1)), PROTOCOL_ERROR),
    "RST_STREAM of an idle stream": (frame(RST_STREAM, 0, 99, number(1)), PROTOCOL_ERROR),
    "SETTINGS of a stream": (frame(SETTINGS, 0, 1), PROTOCOL_ERROR),
    "SETTINGS in pieces": (frame(SETTINGS, 0, 0, b"\0" * 7), FRAME_SIZE_ERROR),
    "SETTINGS acknowledged with something": (frame(SETTINGS, 1, 0, setting(1, 1)), FRAME_SIZE_ERROR),
    "a push that is enabled": (frame(SETTINGS, 0, 0, setting(2, 1)), PROTOCOL_ERROR),
    "a window of 2^31": (frame(SETTINGS, 0, 0, setting(4, 1 << 31)), FLOW_CONTROL_ERROR),
    "frames of 2^24": (frame(SETTINGS, 0, 0, setting(5, 1 << 24)), PROTOCOL_ERROR),
    "frames of 1": (frame(SETTINGS, 0, 0, setting(5, 1)), PROTOCOL_ERROR),
    "PUSH_PROMISE": (frame(PUSH_PROMISE, END_HEADERS, 1, number(2) + OK), PROTOCOL_ERROR),
    "a PING of 7": (frame(PING, 0, 0, b"1234567"), FRAME_SIZE_ERROR),
    "a PING of a stream": (frame(PING, 0, 1, b"12345678"), PROTOCOL_ERROR),
    "a short GOAWAY": (frame(GOAWAY, 0, 0, b"1234"), FRAME_SIZE_ERROR),
    "GOAWAY of a stream": (frame(GOAWAY, 0, 1, b"12345678"), PROTOCOL_ERROR),
    "a window that grows by nothing": (frame(WINDOW_UPDATE, 0, 0, number(0)), PROTOCOL_ERROR),
    "a window that grows too far": (frame(WINDOW_UPDATE, 0, 0, number(2**31 - 1)), FLOW_CONTROL_ERROR),
    "WINDOW_UPDATE of an idle stream": (frame(WINDOW_UPDATE, 0, 99, number(1)), PROTOCOL_ERROR),
    "CONTINUATION of nothing": (frame(CONTINUATION, END_HEADERS, 1, OK), PROTOCOL_ERROR),
    "a head with something inside": (frame(HEADERS, 0, 1, OK) + frame(PING, 0, 0, b"12345678"), PROTOCOL_ERROR),
    "CONTINUATION of another": (frame(HEADERS, 0, 1, OK) + frame(CONTINUATION, 4, 3, OK), PROTOCOL_ERROR),
    "PRIORITY of nothing": (frame(PRIORITY, 0, 0, b"12345"), PROTOCOL_ERROR),
    "a PRIORITY of 4": (frame(PRIORITY, 0, 1, b"1234"), FRAME_SIZE_ERROR),
    "HTTP/1.1": (b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", FRAME_SIZE_ERROR),
    "an entry that is not there": (frame(HEADERS, END_HEADERS, 1, b"\xff\x7f"), COMPRESSION_ERROR),
    "an entry 0": (frame(HEADERS, END_HEADERS, 1, b"\x80"), COMPRESSION_ERROR),
    "a string that is cut": (frame(HEADERS, END_HEADERS, 1, b"\x00\x05ab"), COMPRESSION_ERROR),
    "a bad Huffman string": (frame(HEADERS, END_HEADERS, 1, b"\x00\x84\xff\xff\xff\xff\x00"), COMPRESSION_ERROR),
    "an integer without an end": (frame(HEADERS, END_HEADERS, 1, b"\xff" * 20), COMPRESSION_ERROR),
    "a table that is too large": (frame(HEADERS, END_HEADERS, 1, b"\x3f\xe2\x1f" + OK), COMPRESSION_ERROR),
}  # fmt: skip


@pytest.mark.parametrize("name", BREACHES)
def test_breaches(name: str) -> None:
    """They end the connection: the server is told why, and so is every stream."""
    data, code = BREACHES[name]
    made, exchanges = asked()
    made.connection.dataReceived(data)
    assert [exchange.code for exchange in exchanges] == ["http2_protocol"] * 2
    assert made.transport.aborted
    assert made.owner.lost == [made.connection]
    assert told(made) == code


@pytest.mark.parametrize("has_answered", [True, False])
def test_whom_a_breach_costs_another_try(has_answered: bool) -> None:
    """One URL of a server that answers others breaks the connection: the rest had no part in it, and is tried again."""
    made, (first, other) = asked()
    if has_answered:
        made.connection.dataReceived(frame(HEADERS, END_HEADERS | END_STREAM, 1, OK))
    made.connection.dataReceived(frame(PUSH_PROMISE, END_HEADERS, 1, number(2) + OK))
    assert first.error is None if has_answered else first.code == "http2_protocol"
    assert (other.code, other.error.transient) == ("http2_protocol", has_answered)


@pytest.mark.parametrize("name", BREACHES)
def test_breaches_inside_a_body(name: str) -> None:
    """What had come of it is kept, and it says that it is not whole."""
    data, _ = BREACHES[name]
    made, (exchange,) = asked(1)
    made.connection.dataReceived(frame(HEADERS, END_HEADERS, 1, OK) + frame(DATA, 0, 1, b"half"))
    made.connection.dataReceived(data)
    assert (exchange.body.data, exchange.code) == (b"half", "body_truncated")


@pytest.mark.parametrize("first", [frame(PING, 0, 0, b"12345678"), b"HTTP/1.1 400 Bad Request\r\n\r\n" + b" " * 9_000])
def test_a_server_that_does_not_begin(first: bytes) -> None:
    """The first frame has to be SETTINGS (RFC 9113 section 3.4)."""
    made = Wire()
    exchange = made.ask()
    made.clock.turns(1)
    made.connection.dataReceived(first)
    assert exchange.code == "http2_protocol"


STREAM_BREACHES: dict[str, bytes] = {
    "a body before its head": frame(DATA, 0, 1, b"x"),
    "a second head": frame(HEADERS, END_HEADERS, 1, OK) * 2,
    "an interim answer that is the last": frame(HEADERS, END_HEADERS | END_STREAM, 1, Encoder().encode([(":status", "103")])),
    "a window that grows by nothing": frame(WINDOW_UPDATE, 0, 1, number(0)),
    "a window that grows too far": frame(WINDOW_UPDATE, 0, 1, number(2**31 - 1)) * 2,
}  # fmt: skip


@pytest.mark.parametrize("name", STREAM_BREACHES)
def test_breaches_of_one_stream(name: str) -> None:
    """They cost the others nothing."""
    made, (exchange, other) = asked()
    made.connection.dataReceived(STREAM_BREACHES[name])
    assert exchange.code == "http2_protocol"
    made.connection.dataReceived(frame(HEADERS, END_HEADERS | END_STREAM, 3, OK))
    assert other.body.why is DONE.value
    assert not made.transport.aborted


FLOODS: dict[str, bytes] = {
    "PING": frame(PING, 0, 0, b"12345678"),
    "answers to PING": frame(PING, 1, 0, b"12345678"),
    "SETTINGS": frame(SETTINGS, 0, 0, setting(3, 100)),
    "empty SETTINGS": frame(SETTINGS),
    "answers to SETTINGS": frame(SETTINGS, 1),
    "many SETTINGS in one": frame(SETTINGS, 0, 0, setting(3, 100) * 1_000),
    "PRIORITY": frame(PRIORITY, 0, 1, b"12345"),
    "WINDOW_UPDATE": frame(WINDOW_UPDATE, 0, 0, number(1)),
    "WINDOW_UPDATE of a stream": frame(WINDOW_UPDATE, 0, 1, number(1)),
    "RST_STREAM": frame(RST_STREAM, 0, 3, number(8)),
    "unknown frames": frame(0xEE, 0, 0, b"x"),
    "GOAWAY": frame(GOAWAY, 0, 0, number(1) + number(0)),
    "empty DATA": frame(DATA, 0, 1),
    "padding": frame(DATA, PADDED, 1, b"\x03\0\0\0"),
    "DATA of a stream that was reset": frame(DATA, 0, 3, b"x"),
    "HEADERS of a stream that was reset": frame(HEADERS, END_HEADERS, 3, OK),
}


@pytest.mark.parametrize("name", FLOODS)
def test_floods(name: str) -> None:
    """Frames that bring nothing come to an end with the connection, and the reactor is not held meanwhile."""
    made, (exchange, gone) = asked()
    made.connection.dataReceived(frame(HEADERS, END_HEADERS, 1, OK) + frame(DATA, 0, 1, b"half"))
    gone.deferred.cancel()
    made.hear()
    begun = time.process_time()
    for _ in range(100):
        if not made.transport.aborted:
            made.connection.dataReceived(FLOODS[name] * 100)
            made.clock.turns(2)
    assert time.process_time() - begun < HALF_A_SECOND
    assert made.transport.aborted
    assert exchange.code == "body_truncated"
    assert told(made) == ENHANCE_YOUR_CALM
    assert len(made.transport.written) < 30 * MAX_EMPTY


def test_large_settings() -> None:
    """One frame may say a thing 2,700 times: so much work counts as many frames."""
    made, _ = asked()
    for _ in range(5):
        if not made.transport.aborted:
            made.connection.dataReceived(frame(SETTINGS, 0, 0, setting(3, 100) * 2_700))
    assert made.transport.aborted


def test_what_brings_something_makes_up_for_it() -> None:
    """A long download with a PING now and then is no flood, nor is a connection that goes on answering."""
    made, (exchange, _) = asked()
    made.connection.dataReceived(frame(HEADERS, END_HEADERS, 1, OK))
    piece = (frame(PING, 0, 0, b"12345678") + frame(DATA, 0, 1, bytes(2_000))) * 400
    for _ in range(3):
        made.connection.dataReceived(piece)
        made.clock.turns(9)
    made.connection.dataReceived(frame(DATA, END_STREAM, 1, b""))
    assert (len(exchange.body.data), exchange.body.why) == (2_400_000, DONE.value)
    pings = frame(PING, 0, 0, b"12345678") * 900
    for _ in range(3):
        again = made.ask()
        made.clock.turns(1)
        ours = made.connection._next - 2
        made.connection.dataReceived(pings + frame(HEADERS, END_HEADERS | END_STREAM, ours, OK))
        made.clock.turns(9)
        assert again.body.why is DONE.value


# Heads.


def encoded(fields: Any, *, huffman: bool = False) -> bytes:
    return Encoder().encode(fields, huffman=huffman)


def in_frames(block: bytes, size: int = FRAME_SIZE, stream: int = 1) -> bytes:
    pieces = [block[at : at + size] for at in range(0, len(block), size)]
    frames = [frame(HEADERS, 0, stream, pieces[0]), *(frame(CONTINUATION, 0, stream, piece) for piece in pieces[1:])]
    return b"".join([*frames, frame(CONTINUATION, END_HEADERS, stream)])


BOMBS: dict[str, bytes] = {
    "CONTINUATION without end": frame(HEADERS, 0, 1, OK) + frame(CONTINUATION, 0, 1, b"\0\1a\0") * 5_000,
    "empty CONTINUATION without end": frame(HEADERS, 0, 1, OK) + frame(CONTINUATION, 0, 1) * 5_000,
    "300 KiB": in_frames(encoded([(":status", "200"), *((f"x{n}", "y" * 10_000) for n in range(30))])),
    "an entry of 4,000 bytes, 1,000 times": in_frames(OK + encoded([("x", "y" * 4_000)]) + b"\xbe" * 1_000),
    "names without end": in_frames(OK + b"\x00\x01a\x00" * 20_000),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs(name: str) -> None:
    """The head is refused before it is held; who had no part in it is sent again."""
    made, (exchange, other) = asked()
    begun = time.process_time()
    made.connection.dataReceived(BOMBS[name])
    made.clock.turns(50)
    assert time.process_time() - begun < HALF_A_SECOND
    assert exchange.code == "headers_too_large"
    assert isinstance(other.error, StaleConnection)
    assert made.transport.aborted
    assert told(made) == ENHANCE_YOUR_CALM


def test_a_quarter_of_a_million_resizings() -> None:
    """A byte each, and nothing in them: refused at the third (RFC 7541 section 4.2)."""
    made, (exchange, _) = asked()
    made.connection.dataReceived(in_frames(b"\x20" * 250_000))
    made.clock.turns(50)
    assert exchange.code == "http2_protocol"
    assert told(made) == COMPRESSION_ERROR


def test_interim_answers_without_end() -> None:
    made, (exchange, other) = asked()
    made.connection.dataReceived(frame(HEADERS, END_HEADERS, 1, encoded([(":status", "103")])) * 150)
    assert exchange.code == "http_too_many_1xx"
    assert not other.done


def test_large_heads_of_a_stream_that_was_given_up() -> None:
    """They have to be decoded: so much work counts as many frames."""
    made, (exchange, other) = asked()
    exchange.deferred.cancel()
    made.hear()
    block = in_frames(encoded([(f"x{n}", "y" * 8_000) for n in range(20)], huffman=True))
    for _ in range(20):
        if not made.transport.aborted:
            made.connection.dataReceived(block)
            made.clock.turns(20)
    assert made.transport.aborted
    assert other.code == "http2_protocol"


def test_rapid_reset() -> None:
    """A server that resets whatever it gets: each stream has its error once, and the books balance."""
    made = wire()
    for _ in range(30):
        exchanges = [made.ask() for _ in range(50)]
        made.tell()
        for stream in list(made.server.streams):
            if stream not in made.resets and not made.server.streams[stream].closed:
                made.server.reset_stream(stream, 2)
        made.say()
        codes = {exchange.code or type(exchange.error).__name__ for exchange in exchanges}
        assert codes <= {"http2_reset", "http2_protocol", "http2_refused"}
    assert made.connection._streams == {}


# Flow control.


@pytest.mark.parametrize("stream", [1, 3])
def test_more_than_the_window(stream: int) -> None:
    """A stream that sends more than was asked for ends, and if nobody asked for it so does the connection."""
    made, exchanges = asked()
    exchange = exchanges[stream // 2]
    made.connection.dataReceived(frame(HEADERS, END_HEADERS, stream, OK))
    assert exchange.response is not None
    exchange.response.pauseProducing()
    piece = frame(DATA, 0, stream, bytes(FRAME_SIZE))
    for _ in range(65):
        made.connection.dataReceived(piece)
    assert exchange.code == "http2_protocol"
    assert len(exchange.body.data) == 1 << 20
    assert not made.transport.aborted


def test_slow_pieces() -> None:
    """Frames come in whatever pieces: byte by byte, too, and a byte is not copied again with each of them."""
    made, (exchange, _) = asked()
    data = (
        frame(HEADERS, END_HEADERS, 1, OK) + frame(DATA, 0, 1, bytes(FRAME_SIZE)) + frame(DATA, END_STREAM, 1, b"end")
    )
    begun = time.process_time()
    for at in range(len(data)):
        made.connection.dataReceived(data[at : at + 1])
    assert time.process_time() - begun < HALF_A_SECOND
    assert (len(exchange.body.data), exchange.body.why) == (FRAME_SIZE + 3, DONE.value)


def test_nothing_is_left() -> None:
    """After a breach no timer runs, and what still comes is not read."""
    made, _ = asked()
    made.connection.dataReceived(frame(PUSH_PROMISE, END_HEADERS, 1, number(2) + OK))
    made.connection.dataReceived(frame(PING, 0, 0, b"12345678"))
    made.lose()
    assert made.clock.getDelayedCalls() == []
