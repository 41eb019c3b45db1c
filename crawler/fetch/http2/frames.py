"""Frames of HTTP/2 on the wire: read and written (RFC 9113 sections 4 and 6). Pure."""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from typing import Final, NamedTuple

DATA: Final = 0
HEADERS: Final = 1
PRIORITY: Final = 2
RST_STREAM: Final = 3
SETTINGS: Final = 4
PUSH_PROMISE: Final = 5
PING: Final = 6
GOAWAY: Final = 7
WINDOW_UPDATE: Final = 8
CONTINUATION: Final = 9

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
WITH_PRIORITY: Final = 0x20

HEADER_TABLE_SIZE: Final = 1
ENABLE_PUSH: Final = 2
MAX_CONCURRENT_STREAMS: Final = 3
INITIAL_WINDOW_SIZE: Final = 4
MAX_FRAME_SIZE: Final = 5
MAX_HEADER_LIST_SIZE: Final = 6

NO_ERROR: Final = 0x0
PROTOCOL_ERROR: Final = 0x1
INTERNAL_ERROR: Final = 0x2
FLOW_CONTROL_ERROR: Final = 0x3
STREAM_CLOSED: Final = 0x5
FRAME_SIZE_ERROR: Final = 0x6
REFUSED_STREAM: Final = 0x7
CANCEL: Final = 0x8
COMPRESSION_ERROR: Final = 0x9
ENHANCE_YOUR_CALM: Final = 0xB
HTTP_1_1_REQUIRED: Final = 0xD
_ERRORS: Final = (
    "NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED",
    "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED",
)  # fmt: skip

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME_SIZE: Final = 16_384  # the largest payload that anyone may send unasked; we ask for no larger ones
LARGEST: Final = 2**31 - 1  # stream number, or window

_HEAD: Final = Struct(">HBBBL")
_HEAD_SIZE: Final = 9
_NUMBER: Final = Struct(">L")
_SETTING: Final = Struct(">HL")
_TWO_NUMBERS: Final = Struct(">LL")


class Broken(Exception):  # noqa: N818 - an event of a connection, told to the server as `code`
    """The server breaks the protocol in a way that ends the connection (RFC 9113 section 5.4.1)."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code = code
        self.words = words


class Frame(NamedTuple):
    kind: int
    flags: int
    number: int
    payload: bytes


class FrameReader:
    """Cuts what comes into frames. A byte is copied twice at most, in whatever pieces it comes."""

    def __init__(self) -> None:
        self._data = b""
        self._at = 0
        self._pieces: list[bytes] = []
        self._missing = _HEAD_SIZE  # so many bytes until there can be another frame

    def feed(self, data: bytes) -> None:
        self._pieces.append(data)
        self._missing -= len(data)

    def next(self) -> Frame | None:
        """The next frame that has come whole. Raises Broken where it is larger than allowed."""
        if self._pieces:
            if self._missing > 0:
                return None
            rest = self._data[self._at :] if self._at < len(self._data) else b""
            self._data = b"".join((rest, *self._pieces)) if rest or len(self._pieces) > 1 else self._pieces[0]
            self._pieces.clear()
            self._at = 0
        data, at = self._data, self._at
        there = len(data) - at
        if there < _HEAD_SIZE:
            self._missing = _HEAD_SIZE - there
            return None
        high, low, kind, flags, number = _HEAD.unpack_from(data, at)
        size = high << 8 | low
        if size > FRAME_SIZE:
            raise Broken(FRAME_SIZE_ERROR, f"a frame of {size:,} bytes (allowed: {FRAME_SIZE:,})")
        begin = at + _HEAD_SIZE
        if there - _HEAD_SIZE < size:
            self._missing = _HEAD_SIZE + size - there
            return None
        self._at = begin + size
        return Frame(kind, flags, number & LARGEST, data[begin : begin + size])


def unpadded(frame: Frame) -> bytes:
    """The payload of DATA or HEADERS, without what is around it (sections 6.1 and 6.2)."""
    payload, flags = frame.payload, frame.flags
    begin, end = 0, len(payload)
    if flags & PADDED:
        if not payload or payload[0] >= len(payload):
            raise Broken(PROTOCOL_ERROR, "a frame with more padding than it is long")
        begin, end = 1, end - payload[0]
    if flags & WITH_PRIORITY and frame.kind == HEADERS:
        begin += 5
        if begin > end:
            raise Broken(FRAME_SIZE_ERROR, "a HEADERS frame that is too short for its flags")
    return payload[begin:end]


def written(kind: int, flags: int, number: int, payload: bytes = b"") -> bytes:
    size = len(payload)
    return _HEAD.pack(size >> 8, size & 255, kind, flags, number) + payload


def head_frames(number: int, block: bytes, size: int, *, ended: bool) -> bytes:
    """HEADERS, and as many CONTINUATION as the server's frame size asks for."""
    flags = END_STREAM if ended else 0
    if len(block) <= size:
        return written(HEADERS, flags | END_HEADERS, number, block)
    frames = [written(HEADERS, flags, number, block[:size])]
    for at in range(size, len(block), size):
        last = END_HEADERS if at + size >= len(block) else 0
        frames.append(written(CONTINUATION, last, number, block[at : at + size]))
    return b"".join(frames)


def settings(pairs: Iterable[tuple[int, int]]) -> bytes:
    return written(SETTINGS, 0, 0, b"".join(_SETTING.pack(*pair) for pair in pairs))


def settings_of(payload: bytes) -> list[tuple[int, int]]:
    if len(payload) % _SETTING.size:
        raise Broken(FRAME_SIZE_ERROR, f"a SETTINGS frame of {len(payload)} bytes")
    return list(_SETTING.iter_unpack(payload))


def number_in(frame: Frame) -> int:
    """The one number that is the payload of RST_STREAM and WINDOW_UPDATE."""
    if len(frame.payload) != _NUMBER.size:
        raise Broken(FRAME_SIZE_ERROR, f"a frame of type {frame.kind} of {len(frame.payload)} bytes (allowed: 4)")
    value: int = _NUMBER.unpack(frame.payload)[0]
    return value


def reset(number: int, code: int) -> bytes:
    return written(RST_STREAM, 0, number, _NUMBER.pack(code))


def window_update(number: int, more: int) -> bytes:
    return written(WINDOW_UPDATE, 0, number, _NUMBER.pack(more))


def goaway(code: int, words: str = "") -> bytes:
    """We take no streams of the server's, so the last one of them is 0."""
    return written(GOAWAY, 0, 0, _TWO_NUMBERS.pack(0, code) + words.encode("utf-8", "replace"))


def goaway_in(payload: bytes) -> tuple[int, int, bytes]:
    """The last stream that the server may have acted on, why it goes away, and what it says to that."""
    if len(payload) < _TWO_NUMBERS.size:
        raise Broken(FRAME_SIZE_ERROR, f"a GOAWAY frame of {len(payload)} bytes")
    last, code = _TWO_NUMBERS.unpack_from(payload)
    return last & LARGEST, code, payload[_TWO_NUMBERS.size :]


def error_name(code: int) -> str:
    return _ERRORS[code] if code < len(_ERRORS) else f"error {code:#x}"
