"""One end of the socket between a run and a worker: whole frames come in, whole frames go out."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.abstract import FileDescriptor
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure

from crawler.run.workers.frames import LENGTH, encode

_CHUNK: Final = 1 << 18
_LENGTH: Final = struct.Struct(">I")


def say(end: socket.socket, messages: list[Any]) -> None:
    """Send a first frame, and wait until that is done."""
    end.sendall(b"".join(_framed(messages)))


def _framed(messages: list[Any]) -> tuple[bytes, bytes]:
    frame = encode(messages)
    return _LENGTH.pack(len(frame)), frame


class Channel(FileDescriptor):
    """Sends what is `put` in one frame at the end of each turn of the reactor; `received` gets each frame that comes.

    `lost` is called once when the other side is gone.
    """

    def __init__(
        self, reactor: Any, end: socket.socket, *, received: Callable[[bytes], None], lost: Callable[[], None]
    ) -> None:
        super().__init__(reactor)
        end.setblocking(False)
        self._socket = end
        self._received = received
        self._lost: Callable[[], None] | None = lost
        self._pending: list[Any] = []
        self._buffer = bytearray()
        self._later = reactor.callLater
        self.connected = True
        reactor.addReader(self)

    def fileno(self) -> int:
        return self._socket.fileno()

    def put(self, message: Any) -> None:
        """Send this with whatever else is put in this turn."""
        if not self._pending:
            self._later(0.0, self._flush)
        self._pending.append(message)

    def _flush(self) -> None:
        messages, self._pending = self._pending, []
        if self.connected and messages:
            self.writeSequence(_framed(messages))

    def close(self) -> None:
        """Tell nobody."""
        self._lost = None
        if self.connected:
            self.connectionLost(Failure(ConnectionLost()))

    # FileDescriptor.

    def doRead(self) -> Failure | None:
        try:
            data = self._socket.recv(_CHUNK)
        except BlockingIOError:
            return None
        except OSError:
            return Failure(ConnectionLost())
        if not data:
            return Failure(ConnectionLost())
        self._buffer += data
        self._take_frames()
        return None

    def _take_frames(self) -> None:
        at, buffer = 0, self._buffer
        while len(buffer) - at >= LENGTH:
            (size,) = _LENGTH.unpack_from(buffer, at)
            if len(buffer) - at - LENGTH < size:
                break
            frame = bytes(memoryview(buffer)[at + LENGTH : at + LENGTH + size])
            at += LENGTH + size
            self._received(frame)
        if at:
            del buffer[:at]

    def writeSomeData(self, data: bytes) -> Any:
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            return ConnectionLost()

    def connectionLost(self, reason: Failure) -> None:
        if not self.connected:
            return
        super().connectionLost(reason)  # type: ignore[no-untyped-call]
        self._socket.close()
        lost, self._lost = self._lost, None
        if lost is not None:
            lost()
