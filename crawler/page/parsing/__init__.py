"""Parsing in a process of its own, for pages that could keep the reactor waiting: bounded in time and in memory.

The two sides exchange frames over pipes, one at a time: a length, then msgpack. The first frame, an empty one, comes
from the child and says that it is ready; then an Answer follows each Job.
"""

from __future__ import annotations

import os
import struct
from typing import Any, Final

import msgspec

from crawler.errors import CodedError
from crawler.models import Findings
from crawler.page.discovery import Answered, LinkRules
from crawler.page.page import Extracted

__all__ = ["resident", "worker"]

_LENGTH: Final = struct.Struct(">I")
_MAX_FRAME: Final = 64 << 20
_CHUNK: Final = 1 << 20


class Extract(msgspec.Struct, frozen=True, array_like=True, tag="extract"):
    """What the declarations say is to be taken from a body; without any it is only parsed."""

    declarations: tuple[str, ...]
    url: str
    body: bytes
    charset: str | None
    content_type: str | None


class Discover(msgspec.Struct, frozen=True, array_like=True, tag="discover"):
    """An answer in which links are to be found."""

    answer: Answered
    rules: LinkRules


class Job(msgspec.Struct, frozen=True, array_like=True):
    """`limit` is after how many seconds the child is to end itself."""

    task: Extract | Discover
    limit: float


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """What came of a task. `error` stands in for it: a code and what happened. `last`: the child ends now."""

    result: Extracted | Findings | None = None
    error: tuple[str, str] | None = None
    last: bool = False


def _as_built_in(value: Any) -> Any:
    if isinstance(value, CodedError):  # of Findings
        return (value.code, value.message, value.phase, value.transient)
    raise NotImplementedError(f"{type(value).__name__} is not sent")


def _from_built_in(wanted: type, value: Any) -> Any:
    if wanted is CodedError:
        code, message, phase, transient = value
        return CodedError(code, message, phase=phase, transient=transient)
    raise NotImplementedError(f"{wanted.__name__} is not sent")


encode = msgspec.msgpack.Encoder(enc_hook=_as_built_in).encode
decode_job = msgspec.msgpack.Decoder(Job, dec_hook=_from_built_in).decode
decode_answer = msgspec.msgpack.Decoder(Answer, dec_hook=_from_built_in).decode


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
