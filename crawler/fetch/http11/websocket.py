"""WebSocket (RFC 6455) as the engine sees it: a Connection whose answer may be 101, and then messages are the body.

Until then it is HTTP: any other answer to the handshake is one as to any request, with its body. After it wsproto reads
the frames; the messages come out of the response as one body, a newline between two, and in its `data`.

No extension is offered. permessage-deflate would let a frame of 1 KiB become a message of 1 MiB, and wsproto inflates
each piece of a frame at once, without a limit.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final, TypedDict

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from crawler.errors import CodedError
from crawler.fetch.connect.stalls import Stalls
from crawler.fetch.http11.connection import Connection, Owner, cut_off
from crawler.fetch.http11.envelope import Envelope, Key
from crawler.fetch.http11.response import SWITCHING, WireResponse

# wsproto is an extra: it is imported once a server has agreed to speak WebSocket.
if TYPE_CHECKING:
    from wsproto.connection import Connection as Frames
    from wsproto.events import BytesMessage, CloseConnection, Event, TextMessage

CLOSE_SECONDS: Final = 1.0  # for the server to say goodbye, too
SECOND_LOOK: Final = 0.01  # after a stall of the reactor, which looks at the socket meanwhile
MAX_SMALL_FRAMES: Final = 1_000  # pings, pongs, fragments that hold next to nothing: each takes as long as any other
SMALL_FRAME: Final = 64
FRAMES: Final = 32  # that are read before others have their turn, whatever is in them: about a millisecond
_NORMAL_CLOSURE: Final = 1000
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # section 1.3
# What the handshake says itself, or what we do not speak.
_OURS: Final = frozenset(
    {b"upgrade", b"connection", b"sec-websocket-key", b"sec-websocket-version", b"sec-websocket-extensions"}
)


class Said(TypedDict):
    """What was said after the handshake: a record's `data`. A binary message is {"base64": "..."}."""

    messages: list[str | dict[str, str]]
    subprotocol: str | None
    close_code: int | None
    close_reason: str


class WebSocket(Connection):
    """Takes `messages` messages, at most for `patience` seconds after the handshake; then it closes.

    Of both these and CLOSE_SECONDS only those count in which the reactor was free.

    The response then ends well, as it does when the server closes. `trace.phase` is "body" while it listens and
    "closing" after that, for at most CLOSE_SECONDS. `trace.received` counts what is in messages.
    """

    def __init__(
        self, key: Key, owner: Owner, clock: IReactorTime, stalls: Stalls, *, messages: int, patience: float
    ) -> None:
        super().__init__(key, owner, clock.seconds)
        self._clock = clock
        self._stalls = stalls
        self._wanted = messages
        self._patience = patience
        self._nonce = b""
        self._offered: list[bytes] = []
        self._frames: Frames | None = None
        self._said = Said(messages=[], subprotocol=None, close_code=None, close_reason="")
        self._message: list[bytes] = []  # of the message that is coming
        self._frame_size = 0
        self._small_frames = 0
        self._closing = False
        self._timer: IDelayedCall | None = None

    def send(self, envelope: Envelope) -> Deferred[WireResponse]:
        """Write the handshake: the request of the envelope, which becomes a GET, and the headers that ask to switch."""
        line, *fields = envelope.head[:-4].split(b"\r\n")
        self._nonce = base64.b64encode(os.urandom(16))
        self._offered = [token for field in fields for token in _offer(field)]
        kept = [field for field in fields if _name(field) not in _OURS]
        ours = [
            b"Upgrade: websocket",
            b"Connection: Upgrade",
            b"Sec-WebSocket-Version: 13",
            b"Sec-WebSocket-Key: " + self._nonce,
        ]
        envelope.method = "GET"
        envelope.head = b"\r\n".join([b"GET " + line.partition(b" ")[2], *kept, *ours, b"", b""])
        return super().send(envelope)

    def _ended_by(self, reason: Failure, envelope: Envelope) -> None:
        response = self._response
        if self._frames is None:
            super()._ended_by(reason, envelope)
        elif self._closing and response is not None:
            self._end(response)
        else:
            words = "the connection ended without a closing handshake"
            self._fail(cut_off(reason, CodedError("body_truncated", words)))

    def _drop(self) -> None:
        self._set_timer(None)
        super()._drop()

    # The handshake.

    def _passed(self, version: str, status: int) -> None:
        if status != SWITCHING:
            super()._passed(version, status)
            return
        if self._warnings:  # who is to trust that it was meant so?
            raise _refused("its head is malformed")
        if version != "1.1":
            raise _refused(f"HTTP/{version} cannot switch protocols")
        self._said["subprotocol"] = _agreement(self._fields, self._nonce, self._offered)
        from wsproto.connection import CLIENT
        from wsproto.connection import Connection as Frames

        self._frames = Frames(CLIENT, [])
        self._version, self._status = version, status
        self._headers_done = True
        self._close = True  # it will never carry HTTP again

    # The messages.

    def _body(self, data: bytes) -> None:
        if self._frames is None:
            super()._body(data)
        elif self._said["close_code"] is None:  # nothing follows a Close (section 5.5.1)
            self._frames.receive_data(data)

    def _read_on(self, lines: int) -> None:
        if self._frames is None:
            super()._read_on(lines)

    def _dispatch(self, envelope: Envelope) -> None:
        """Tell the answer as any other, then go through some of the frames that have come, one by one."""
        begins = self._response is None
        super()._dispatch(envelope)
        response = self._response
        if self._frames is None or response is None:
            return
        if begins:
            response.data = self._said
            self._set_timer(self._patience)
            if not self._wanted:
                self._leave(envelope)
        try:
            taken = 0
            for event in islice(self._frames.events(), FRAMES):
                taken += 1
                self._take(event, envelope)
                if self._envelope is not envelope:
                    return  # it has ended, or was given up by whoever got the message
        except CodedError as error:
            self._fail(error)
            return
        self._more = taken == FRAMES
        if self._more:
            self._go_on_later(envelope)

    def _take(self, event: Event, envelope: Envelope) -> None:
        from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage

        assert self._frames is not None
        if isinstance(event, CloseConnection):
            self._closed(event, envelope)
        elif self._closing:
            self._small_frames += 1
            if self._small_frames > MAX_SMALL_FRAMES:  # it talks on, whatever we say
                self._time_is_over()
        elif isinstance(event, (TextMessage, BytesMessage)):
            self._hear(event, envelope)
        else:
            self._count_small_frame()
            if isinstance(event, Ping):
                self._say(self._frames.send(event.response()))

    def _hear(self, event: TextMessage | BytesMessage, envelope: Envelope) -> None:
        """Pass on at once what has come of a message: who gets it has a limit. Note the message when it is whole."""
        messages = self._said["messages"]
        if messages and not self._message:
            self._pieces.append(b"\n")
            envelope.trace.received -= 1  # it stands between messages, in none of them
        piece = event.data.encode() if isinstance(event.data, str) else bytes(event.data)
        self._message.append(piece)
        self._frame_size += len(piece)
        if piece:
            self._pieces.append(piece)
        if self._pieces:
            super()._dispatch(envelope)
            if self._envelope is not envelope:
                return
        if event.frame_finished:
            if self._frame_size < SMALL_FRAME and not event.message_finished:
                self._count_small_frame()
            self._frame_size = 0
        if event.message_finished:
            whole = b"".join(self._message)
            self._message.clear()
            messages.append(whole.decode() if isinstance(event.data, str) else _in_base64(whole))
            if len(messages) == self._wanted:
                self._leave(envelope)

    def _count_small_frame(self) -> None:
        self._small_frames += 1
        if self._small_frames > MAX_SMALL_FRAMES:
            raise CodedError("ws_protocol", f"more than {MAX_SMALL_FRAMES:,} frames that hold next to nothing")

    # The end.

    def _leave(self, envelope: Envelope) -> None:
        """There is all that was asked for, or its time is over: say goodbye, and wait a moment for the answer."""
        from wsproto.events import CloseConnection

        assert self._frames is not None
        self._say(self._frames.send(CloseConnection(_NORMAL_CLOSURE)))
        self._wait_for_the_end(envelope)

    def _closed(self, event: CloseConnection, envelope: Envelope) -> None:
        """The server closes. Or wsproto gives up reading: the event is the same, but then its state has not changed."""
        from wsproto.connection import ConnectionState

        assert self._frames is not None
        assert self._response is not None
        if self._frames.state in {ConnectionState.OPEN, ConnectionState.LOCAL_CLOSING}:
            if not self._closing:
                raise CodedError("ws_protocol", f"{event.reason} (close code {event.code:d})")
            self._end(self._response)
            return
        self._said["close_code"] = int(event.code)
        self._said["close_reason"] = event.reason or ""
        if self._closing:
            self._end(self._response)
        else:
            self._say(self._frames.send(event.response()))
            self._wait_for_the_end(envelope)  # what was written last would be lost if it were aborted now

    def _wait_for_the_end(self, envelope: Envelope) -> None:
        self._closing = True
        envelope.trace.enter("closing", self._clock.seconds())
        self._set_timer(CLOSE_SECONDS)

    def _set_timer(self, seconds: float | None) -> None:
        """The one timer: first for how long messages are waited for, then for how long the end is."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        if seconds is not None:
            now = self._clock.seconds()
            self._timer = self._clock.callLater(seconds, self._may_be_over, now, seconds, now + seconds)

    def _may_be_over(self, since: float, seconds: float, due: float, *, was_late: bool = False) -> None:
        """The time is over, unless the reactor was held meanwhile."""
        now = self._clock.seconds()
        late = self._stalls.was_late(due, now)
        left = seconds - self._stalls.free(since, now)
        if left < SECOND_LOOK:
            left = SECOND_LOOK if late and not was_late else 0.0
        if left:
            due = now + left
            self._timer = self._clock.callLater(left, self._may_be_over, since, seconds, due, was_late=late)
        else:
            self._time_is_over()

    def _time_is_over(self) -> None:
        envelope, response = self._envelope, self._response
        assert envelope is not None
        assert response is not None
        if self._closing:
            self._end(response)
        else:
            self._leave(envelope)

    def _say(self, data: bytes) -> None:
        if not self._lost:  # what came before that may still be being read
            self.transport.write(bytes(data))  # type: ignore[union-attr]


def _agreement(fields: Sequence[tuple[bytes, bytes]], nonce: bytes, offered: Sequence[bytes]) -> str | None:
    """The subprotocol of an answer 101. Raises CodedError when it does not agree to what was asked (section 4.1)."""

    def values(name: bytes) -> list[bytes]:
        return [value for key, value in fields if key.lower() == name]

    def tokens(name: bytes) -> list[bytes]:
        return [token.strip(b" \t").lower() for value in values(name) for token in value.split(b",")]

    if tokens(b"upgrade") != [b"websocket"] or b"upgrade" not in tokens(b"connection"):
        raise _refused("it switches to something else")
    accept = base64.b64encode(hashlib.sha1(nonce + _GUID, usedforsecurity=False).digest())
    if values(b"sec-websocket-accept") != [accept]:
        raise _refused("Sec-WebSocket-Accept is missing or wrong")
    if any(tokens(b"sec-websocket-extensions")):
        raise _refused("it uses an extension that was not offered")
    if values(b"transfer-encoding") or set(values(b"content-length")) - {b"0"}:
        raise _refused("it announces a body")
    chosen = values(b"sec-websocket-protocol")
    if not chosen:
        return None
    if len(chosen) > 1 or chosen[0] not in offered:
        raise _refused("it speaks a subprotocol that was not offered")
    return chosen[0].decode("latin-1")


def _refused(words: str) -> CodedError:
    return CodedError("ws_protocol", f"the answer to the handshake: {words}", phase="headers")


def _name(field: bytes) -> bytes:
    return field.partition(b":")[0].lower()


def _offer(field: bytes) -> list[bytes]:
    """The subprotocols that a header line of the request offers."""
    if _name(field) != b"sec-websocket-protocol":
        return []
    return [token.strip(b" \t") for token in field.partition(b":")[2].split(b",") if token.strip(b" \t")]


def _in_base64(message: bytes) -> dict[str, str]:
    return {"base64": base64.b64encode(message).decode("ascii")}
