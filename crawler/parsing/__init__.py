"""Parsing in a process of its own, for pages that could keep the reactor waiting: bounded in time and in memory.

The two sides exchange frames over pipes, one at a time: a length, then msgpack. The first frame, an empty one, comes
from the child and says that it is ready; then an Answer follows each Job.
"""

from __future__ import annotations

import os
import struct
from typing import Any, Final

import msgspec

_LENGTH: Final = struct.Struct(">I")
_MAX_FRAME: Final = 64 << 20
_CHUNK: Final = 1 << 20


class Job(msgspec.Struct, frozen=True, array_like=True):
    """A body to parse, and what to take from it. `limit` is after how many seconds the child is to end itself."""

    declarations: tuple[str, ...]
    url: str
    body: bytes
    charset: str | None
    content_type: str | None
    limit: float


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """What was extracted. `error` stands in for it: a code and what happened. `last`: the child ends now."""

    data: dict[str, Any] = {}
    warnings: list[str] = []
    error: tuple[str, str] | None = None
    last: bool = False


def send(fd: int, frame: bytes) -> None:
    """Write a frame. Raises OSError when nobody reads any more."""
    rest = memoryview(_LENGTH.pack(len(frame)) + frame)
    while rest:
        rest = rest[os.write(fd, rest) :]


def receive(fd: int) -> bytes | None:
    """Read a frame; None when there is none any more, or none that can be right."""
    head = _read(fd, _LENGTH.size)
    if head is None:
        return None
    length: int = _LENGTH.unpack(head)[0]
    return _read(fd, length) if length <= _MAX_FRAME else None


def _read(fd: int, size: int) -> bytes | None:
    chunks = []
    while size:
        chunk = os.read(fd, min(size, _CHUNK))
        if not chunk:
            return None
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)
