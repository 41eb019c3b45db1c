"""The body of one request on its way: DATA as fast as the server's windows and our transport take it (section 5.2)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IPushProducer
from twisted.web.iweb import IBodyProducer

from crawler.errors import CodedError
from crawler.fetch.http11.envelope import Now, Trace
from crawler.fetch.sending.producing import Producing


class Sending:
    """Holds what was produced and does not go yet, and the producer waits for that.

    `room` says how many bytes may go now, `send` takes so many at most, and whether they are the last. `failed` is
    called with why the body cannot be sent. After `stop` nobody is called any more.
    """

    def __init__(
        self,
        trace: Trace,
        now: Now,
        *,
        room: Callable[[], int],
        send: Callable[[bytes, bool], None],
        failed: Callable[[CodedError], None],
    ) -> None:
        self._trace = trace
        self._now = now
        self._room = room
        self._send = send
        self._failed = failed
        self._held: deque[bytes] = deque()
        self._at = 0  # so much of the first piece has gone
        self._is_whole = False
        self._producing: Producing | None = None
        self._producer: Any = None
        self._paused = False
        self.ended = False

    def start(self, body: bytes | IBodyProducer) -> None:
        if not isinstance(body, bytes):
            self._trace.enter("send", self._now())
            self._producing = Producing(body, self, wrote=lambda: None, done=self._produced)
            self._producing.start()
            return
        if body:
            self._held.append(body)
        self._is_whole = True
        self.go_on()
        if not self.ended:
            self._trace.enter("send", self._now())

    def stop(self) -> None:
        self.ended = True
        self._held.clear()
        producing, self._producing = self._producing, None
        if producing is not None:
            producing.stop()

    def go_on(self) -> None:
        """Send what may go now."""
        while self._held and not self.ended:
            room = self._room()
            if room <= 0:
                break
            piece = self._held[0]
            data = piece[self._at : self._at + room]
            self._at += len(data)
            if self._at >= len(piece):
                self._held.popleft()
                self._at = 0
            self.ended = self._is_whole and not self._held
            self._trace.wrote(self._now())
            self._send(data, self.ended)
        if self._is_whole and not self._held and not self.ended:
            self.ended = True
            self._send(b"", True)
        if self.ended and self._trace.phase == "send":
            self._trace.enter("headers", self._now())
        self._balance()

    def _balance(self) -> None:
        """The producer waits while what it gave does."""
        producer: IPushProducer | None = self._producer
        if producer is not None and self._paused is not bool(self._held):
            self._paused = not self._paused
            if self._paused:
                producer.pauseProducing()
            else:
                producer.resumeProducing()

    def _produced(self, error: CodedError | None) -> None:
        self._producing = None
        if error is not None:
            self.stop()
            self._failed(error)
        elif not self.ended:
            self._is_whole = True
            self.go_on()

    # The transport of the producer.

    def registerProducer(self, producer: Any, streaming: bool) -> None:  # noqa: ARG002 - Twisted's signature
        self._producer = producer

    def unregisterProducer(self) -> None:
        self._producer = None

    def write(self, data: bytes) -> None:
        if data and not self.ended:
            self._held.append(data)
            self.go_on()
