"""A flight whose exchange is kept, and who takes it when it is over."""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.defer import Deferred

from crawler.fetch.archive.tape import Tape
from crawler.fetch.flight import Flight, Parts
from crawler.models import Request, Response


class Takes(Protocol):
    """An archive. What it takes is in the file, or will be when the Deferred fires; it drops the tape.

    Tapes that are for another process have their files in `folder`.
    """

    folder: str | None

    def take(self, request: Request, tape: Tape, response: Response) -> Deferred[None] | None: ...


class TapedFlight(Flight):
    """HTTP/1.1 fills the tape below its parser. HTTP/2 has frames in place of a text: of that the body is kept here."""

    __slots__ = ("tape",)

    def __init__(self, parts: Parts, request: Request, now: float, wall: float) -> None:
        super().__init__(parts, request, now, wall)
        self.tape = Tape()

    def dataReceived(self, data: bytes) -> None:
        if self.tape.frames:
            self.tape.came(data)
        super().dataReceived(data)

    def _cancelled(self, done: Deferred[Any]) -> None:
        super()._cancelled(done)
        self.tape.drop()
