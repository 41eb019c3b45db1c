"""What leaves a connection: what is written in a turn of the reactor leaves at its end, or as soon as it is enough.

Then the server begins with the first requests while we write the next ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

from crawler.errors import CodedError
from crawler.fetch.http2 import frames
from crawler.fetch.http2.peer import Peer
from crawler.fetch.http2.sending import Sending
from crawler.fetch.http2.stream import Stream

TOGETHER: Final = 8  # frames that leave in one piece


@implementer(IPushProducer)
class Outbox:
    """Writes to `transport`, once there is one and until `close`. While it is `held` nothing leaves but by `flush`.

    To the transport it is the producer of all bodies of requests.
    """

    transport: Any = None

    def __init__(self, clock: IReactorTime, peer: Peer) -> None:
        self.held = False
        self._clock = clock
        self._peer = peer
        self._out: list[bytes] = []
        self._flushing: IDelayedCall | None = None
        self._bodies: dict[int, Sending] = {}
        self._is_producer = False
        self._is_full = False

    def write(self, data: bytes) -> None:
        self._out.append(data)
        if self.held:
            return
        if len(self._out) >= TOGETHER:
            self.flush()
        elif self._flushing is None:
            self._flushing = self._clock.callLater(0, self.flush)

    def flush(self) -> None:
        if self._flushing is not None and self._flushing.active():
            self._flushing.cancel()
        self._flushing = None
        if self._out and self.transport is not None:
            self.transport.write(b"".join(self._out))
        self._out.clear()

    def close(self) -> None:
        """Write nothing any more."""
        self.transport = None
        self.flush()

    # The bodies of requests.

    def send_body(
        self,
        stream: Stream,
        body: bytes | IBodyProducer,
        *,
        sent: Callable[[int], None],
        failed: Callable[[Stream, CodedError], None],
    ) -> None:
        """Send it as fast as may be. `sent` is called with the size of each piece."""
        number, peer = stream.number, self._peer

        def send(data: bytes, ended: bool) -> None:
            stream.room -= len(data)
            peer.room -= len(data)
            if ended:
                self._bodies.pop(number, None)
            sent(len(data))
            self.write(frames.written(frames.DATA, frames.END_STREAM if ended else 0, number, data))

        def room() -> int:
            return 0 if self._is_full else min(stream.room, peer.room, peer.frame_size)

        if not self._is_producer:
            self._is_producer = True
            self.transport.registerProducer(self, True)
        for old in [old for old, sending in self._bodies.items() if sending.ended]:
            del self._bodies[old]
        stream.room = peer.stream_room
        stream.sending = self._bodies[number] = Sending(
            stream.envelope.trace,
            self._clock.seconds,
            room=room,
            send=send,
            failed=lambda error: failed(stream, error),
        )
        stream.sending.start(body)

    def go_on(self) -> None:
        """There is more room for all of them."""
        for sending in list(self._bodies.values()):
            if not sending.ended:
                sending.go_on()

    def pauseProducing(self) -> None:
        self._is_full = True

    def resumeProducing(self) -> None:
        self._is_full = False
        self.go_on()

    def stopProducing(self) -> None:
        """The transport is lost, as connectionLost will tell."""
        self._is_full = True
