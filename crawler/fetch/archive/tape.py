"""What went over the wire, kept as it was: for who archives it. A run that keeps no archive has none of this."""

from __future__ import annotations

import os
from contextlib import suppress
from tempfile import NamedTemporaryFile, TemporaryFile
from typing import IO, Any, Final

from twisted.internet.defer import Deferred

from crawler.fetch.http11.connection import Connection
from crawler.fetch.http11.envelope import Envelope
from crawler.fetch.http11.response import WireResponse

IN_MEMORY: Final = 1 << 18
"""Bytes of one exchange; more goes to a file."""


class Tape:
    """One exchange: `head` and `body` of the request as they were sent, and the bytes that came.

    These are `pieces` or, where they are many, `file`; there are `size` of them. With `frames` it was HTTP/2, which has
    those in place of a text: of that the bytes are the body alone. `error` is why they are not all there. The file has
    no name; but one in `folder` where there is one, for another process.
    """

    __slots__ = ("body", "error", "file", "folder", "frames", "head", "pieces", "size")

    def __init__(self) -> None:
        self.frames = True
        self.head = b""
        self.body: Any = None
        self.pieces: list[bytes] = []
        self.size = 0
        self.file: IO[bytes] | None = None
        self.folder: str | None = None
        self.error: OSError | None = None

    def sent(self, envelope: Envelope) -> None:
        """A request is sent: what came of one before it, over another connection, does not count."""
        self.frames = False
        self.head = envelope.head
        self.body = envelope.body
        if self.size:
            self.drop()

    def came(self, data: bytes) -> None:
        self.size += len(data)
        if self.file is None:
            self.pieces.append(data)
            if self.size <= IN_MEMORY:
                return
            data = b"".join(self.pieces)
            self.pieces = []
        if self.error is None:
            try:
                if self.file is None:
                    self.file = self._open()
                self.file.write(data)
            except OSError as error:
                self.error = error

    def drop(self) -> None:
        """Forget what came."""
        self.pieces = []
        self.size = 0
        file, self.file = self.file, None
        if file is not None:
            with suppress(OSError):  # what is buffered is not wanted
                file.close()
            if self.folder is not None:
                with suppress(OSError):
                    os.unlink(file.name)  # noqa: PTH108

    def _open(self) -> IO[bytes]:
        if self.folder is None:
            return TemporaryFile()  # `drop` closes it
        return NamedTemporaryFile(dir=self.folder, delete=False)


class TapedConnection(Connection):
    """A connection whose exchanges are kept in the tapes of their envelopes."""

    _tape: Tape | None = None

    def send(self, envelope: Envelope) -> Deferred[WireResponse]:
        self._tape = tape = envelope.tape
        if tape is not None:
            tape.sent(envelope)
        return super().send(envelope)

    def dataReceived(self, data: bytes) -> None:
        if self._tape is not None and self._envelope is not None:
            self._tape.came(data)
        super().dataReceived(data)
