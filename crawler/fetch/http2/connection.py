"""One HTTP/2 connection: a Twisted Protocol that carries many exchanges at once (RFC 9113).

Rules:
- What is written in a turn of the reactor leaves in few pieces: requests share a TLS record.
- A stream that is malformed ends alone. What breaks the connection ends all of its streams, each with what is true of
  it: who had no part in it and no answer yet is sent again.
- Whatever a server may send without end (frames that bring nothing, fields, padding) is counted, and read in turns with
  all that the reactor has to do; meanwhile the transport is paused.
- A stream that is given up is reset, and the connection goes on; unless nothing at all has come since it was sent.
  Then it may be dead, and takes no more requests.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import inf
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from crawler.errors import CodedError
from crawler.fetch.http2 import endings, frames
from crawler.fetch.http2.compression import HeadEncoder, Pair
from crawler.fetch.http2.frames import Broken, Frame
from crawler.fetch.http2.outbox import Outbox
from crawler.fetch.http2.peer import Peer
from crawler.fetch.http2.reading import FrameTaking
from crawler.fetch.http2.stream import WINDOW, Stream
from crawler.fetch.http11.connection import Owner
from crawler.fetch.http11.envelope import Envelope, Key
from crawler.fetch.http11.head import MAX_HEAD_BYTES
from crawler.fetch.http11.response import DONE, WireResponse

CONNECTION_WINDOW: Final = 1 << 24  # for all streams together; each of them has its own
SUBSTANTIAL: Final = 1024  # bytes of a body: they make up for one such frame
LAST_STREAM: Final = frames.LARGEST - 2


class Multiplexed(FrameTaking):
    """Carries requests to one origin, as many at once as the server takes; more of them wait.

    `needs_http11` is called where the server wants HTTP/1.1 after all.
    """

    shared = True

    def __init__(self, key: Key, owner: Owner, clock: IReactorTime, needs_http11: Callable[[Key], None]) -> None:
        super().__init__(clock, owner.take_turns)
        self.key = key
        self.remote_ip: str | None = None
        self.idle_since = 0.0
        self._owner = owner
        self._needs_http11 = needs_http11
        self._heads = HeadEncoder(key.scheme)
        self._streams: dict[int, Stream] = {}
        self._waiting: deque[Stream] = deque()
        self._next = 1
        self._last = frames.LARGEST  # the last stream that the server has acted on, once it says so
        self._has_answered = False
        self._peer = Peer()
        self._outbox = Outbox(clock, self._peer)
        self._window = CONNECTION_WINDOW
        self._retired = False
        self._goodbye: CodedError | None = None  # why the server goes away

    # What the agent and the pool ask.

    @property
    def usable(self) -> bool:
        return not self._lost

    def send(self, envelope: Envelope) -> Deferred[WireResponse]:
        """Write the request. Fires with a WireResponse once its head is there; cancelling resets the stream.

        Fails with CodedError: StaleConnection when the server did nothing with it, or is gone without an answer.
        """
        stream = Stream(self, envelope)
        deferred = stream.deferred
        assert deferred is not None
        if self._retired or self._lost:  # between being chosen and sending
            stream.fail(self._not_looked_at(stream))
        elif len(self._streams) >= self._peer.max_streams:
            # The server says how many it wants at once; a second connection would get around that.
            envelope.trace.enter("connect", inf)
            self._waiting.append(stream)
        else:
            self._begin(stream)
        return deferred

    def abort(self) -> None:
        """Close the socket now; whatever is going on is forgotten."""
        for stream in self._leaving():
            if stream.sending is not None:
                stream.sending.stop()
        if not self._lost:
            self._drop(frames.NO_ERROR)

    def _begin(self, stream: Stream) -> None:
        now = self._clock.seconds()
        envelope = stream.envelope
        trace = envelope.trace
        trace.remote_ip = self.remote_ip
        trace.reused = self._next > 1
        stream.number = number = self._next
        self._streams[number] = stream
        self._next += 2
        if self._next > LAST_STREAM:
            self._retire()
        trace.sent(now)
        head, body = self._heads.encode(envelope.head), envelope.body
        self._outbox.write(frames.head_frames(number, head, self._peer.frame_size, ended=body is None))
        if body is not None:
            self._outbox.send_body(stream, body, sent=self._sent, failed=self._unsent)

    def _sent(self, size: int) -> None:
        if size >= SUBSTANTIAL:
            self.make_up()

    def _unsent(self, stream: Stream, error: CodedError) -> None:
        """The body of a request cannot be read."""
        self.reset(stream, frames.CANCEL)
        stream.fail(error)

    # What the transport tells.

    def connectionMade(self) -> None:
        self._outbox.transport = self.transport
        self._last_heard = self._clock.seconds()
        ours = (
            (frames.ENABLE_PUSH, 0),
            (frames.INITIAL_WINDOW_SIZE, WINDOW),
            (frames.MAX_HEADER_LIST_SIZE, MAX_HEAD_BYTES),
        )
        self._outbox.write(frames.PREFACE + frames.settings(ours) + frames.window_update(0, CONNECTION_WINDOW - 65_535))

    def connectionLost(self, reason: Failure = DONE) -> None:
        if self._in_turns and self._more:
            self._late = reason
            self._outbox.close()
            self._retire()
            return
        was_lost, self._lost = self._lost, True
        if not was_lost:
            self._forget()
        for stream in self._leaving():
            looked_at = 0 < stream.number <= self._last
            stream.fail(endings.by_loss(stream, reason, self._goodbye) if looked_at else self._not_looked_at(stream))

    # Heads and bodies.

    def _take_head(self, number: int, pairs: list[Pair], now: float, *, ended: bool) -> bool:
        stream = self._streams.get(number)
        if stream is None:
            return False
        stream.head(pairs, now, ended=ended)
        if stream.deferred is None:  # an interim answer is none: it could come again and again, and GOAWAY with it
            self._has_answered = True
        return True

    def _take_data(self, frame: Frame, now: float) -> None:
        size = len(frame.payload)
        self._window -= size
        if self._window < 0:
            raise Broken(frames.FLOW_CONTROL_ERROR, "more data came than was asked for")
        if self._window < CONNECTION_WINDOW // 2:
            self._outbox.write(frames.window_update(0, CONNECTION_WINDOW - self._window))
            self._window = CONNECTION_WINDOW
        self._check_opened(frame)
        payload = frames.unpadded(frame) if frame.flags & frames.PADDED else frame.payload
        if len(payload) >= SUBSTANTIAL:
            self.make_up()
        stream = self._streams.get(frame.number)
        if stream is None:  # it was given up, and the server did not know that yet
            self.count_empty("DATA of a stream that has ended")
        else:
            stream.data(payload, size, now, ended=bool(frame.flags & frames.END_STREAM))

    def _check_opened(self, frame: Frame) -> None:
        if not frame.number & 1 or frame.number >= self._next:
            raise Broken(
                frames.PROTOCOL_ERROR, f"a frame of type {frame.kind} for stream {frame.number}, which is idle"
            )

    # All other frames.

    def _take_other(self, frame: Frame) -> None:
        kind, number = frame.kind, frame.number
        if kind in _OF_CONNECTION and number:
            raise Broken(frames.PROTOCOL_ERROR, f"a frame of type {kind} for stream {number}")
        if kind == frames.WINDOW_UPDATE:
            self._take_window(frame)
        elif kind == frames.RST_STREAM:
            self._take_reset(frame)
        elif kind == frames.SETTINGS:
            self._take_settings(frame)
        elif kind == frames.PING:
            self.count_empty("PING")
            if len(frame.payload) != 8:
                raise Broken(frames.FRAME_SIZE_ERROR, f"a PING of {len(frame.payload)} bytes (allowed: 8)")
            if not frame.flags & frames.ACK:
                self._outbox.write(frames.written(frames.PING, frames.ACK, 0, frame.payload))
        elif kind == frames.GOAWAY:
            self._take_goaway(frame)
        elif kind == frames.PUSH_PROMISE:
            raise Broken(frames.PROTOCOL_ERROR, "the server pushes, which it was told not to")
        elif kind == frames.CONTINUATION:
            raise Broken(frames.PROTOCOL_ERROR, "a CONTINUATION of nothing")
        else:
            self._take_priority(frame)

    def _take_priority(self, frame: Frame) -> None:
        """Or a frame of a type that nobody knows: it is to be ignored (section 5.5)."""
        if frame.kind == frames.PRIORITY:
            if not frame.number:
                raise Broken(frames.PROTOCOL_ERROR, "a PRIORITY for no stream")
            if len(frame.payload) != 5:
                raise Broken(frames.FRAME_SIZE_ERROR, f"a PRIORITY of {len(frame.payload)} bytes (allowed: 5)")
        self.count_empty("PRIORITY" if frame.kind == frames.PRIORITY else f"frames of type {frame.kind}")

    def _take_window(self, frame: Frame) -> None:
        more = frames.number_in(frame) & frames.LARGEST
        self.count_empty("WINDOW_UPDATE")
        if frame.number:
            self._check_opened(frame)
            stream = self._streams.get(frame.number)
            if stream is None:
                return
            stream.room += more
            if not more or stream.room > frames.LARGEST:
                self._fail_stream(stream, frames.PROTOCOL_ERROR, f"a WINDOW_UPDATE of {more}")
            elif stream.sending is not None:
                stream.sending.go_on()
        else:
            self._peer.room += more
            if not more or self._peer.room > frames.LARGEST:
                code = frames.FLOW_CONTROL_ERROR if more else frames.PROTOCOL_ERROR
                raise Broken(code, f"a WINDOW_UPDATE of {more}")
            self._outbox.go_on()

    def _take_reset(self, frame: Frame) -> None:
        code = frames.number_in(frame)
        self._check_opened(frame)
        self.count_empty("RST_STREAM")
        stream = self._streams.pop(frame.number, None)
        if stream is None:
            return
        if code == frames.HTTP_1_1_REQUIRED:
            self._needs_http11(self.key)
            self._retire()
        stream.fail(endings.by_reset(stream, code))
        self._rest()

    def _take_settings(self, frame: Frame) -> None:
        self.count_empty("SETTINGS")
        if frame.flags & frames.ACK:
            if frame.payload:
                raise Broken(frames.FRAME_SIZE_ERROR, "an answer to SETTINGS with something in it")
            return
        peer = self._peer
        before = peer.stream_room
        self._empty += peer.settle(frame.payload) // 8
        if peer.table_size is not None:
            self._heads.resize(peer.table_size)
        for stream in self._streams.values():
            stream.room += peer.stream_room - before
        self._outbox.go_on()
        self._outbox.write(frames.written(frames.SETTINGS, frames.ACK, 0))
        self._go_on()

    def _take_goaway(self, frame: Frame) -> None:
        """What is beyond the last stream was not looked at, and may be sent again, whatever it is (section 6.8)."""
        last, code, debug = frames.goaway_in(frame.payload)
        self.count_empty("GOAWAY")
        self._last = min(self._last, last)
        if code == frames.HTTP_1_1_REQUIRED:
            self._needs_http11(self.key)
        self._goodbye = endings.goodbye(code, debug)
        self._retire()
        beyond = [self._streams.pop(number) for number in list(self._streams) if number > self._last]
        for stream in beyond:
            stream.fail(self._not_looked_at(stream))
        self._close_if_done()

    def _not_looked_at(self, stream: Stream) -> CodedError:
        return endings.not_looked_at(stream, self._goodbye, has_answered=self._has_answered)

    # What the streams ask.

    def cancel(self, stream: Stream) -> None:
        if self._streams.get(stream.number) is stream:
            self.reset(stream, frames.CANCEL)
            if not stream.heard and self._last_heard <= stream.envelope.trace.phase_started:
                self._retire()
                self._close_if_done()
        elif stream in self._waiting:
            self._waiting.remove(stream)

    def reset(self, stream: Stream, code: int) -> None:
        del self._streams[stream.number]
        self._outbox.write(frames.reset(stream.number, code))
        self._rest()

    def ended(self, stream: Stream) -> None:
        del self._streams[stream.number]
        self._empty = 0
        if stream.is_cut:
            self._outbox.write(frames.reset(stream.number, frames.CANCEL))
        self._rest()

    def grant(self, stream: Stream, more: int) -> None:
        self._outbox.write(frames.window_update(stream.number, more))

    def _fail_stream(self, stream: Stream, code: int, words: str) -> None:
        self.reset(stream, code)
        stream.fail(CodedError("http2_protocol", words, phase="body" if stream.answered else None))

    def _go_on(self) -> None:
        """Begin what waits, as far as the server takes it."""
        while self._waiting and len(self._streams) < self._peer.max_streams and not self._retired:
            self._begin(self._waiting.popleft())

    def _rest(self) -> None:
        """A stream has ended."""
        self._go_on()
        if not self._streams and not self._waiting and not self._lost:
            if self._retired:
                self._close_if_done()
            else:
                self._owner.released(self)

    # The end.

    def _retire(self) -> None:
        """Take no more requests; what is going on goes on."""
        if not self._retired:
            self._retired = True
            self._owner.retired(self)
            waiting, self._waiting = self._waiting, deque()
            for stream in waiting:
                stream.fail(self._not_looked_at(stream))

    def _close_if_done(self) -> None:
        if self._retired and not self._streams and not self._lost:
            self._drop(frames.NO_ERROR)

    def _drop(self, code: int, words: str = "") -> None:
        """Say goodbye, as far as the socket takes it at once, and close it."""
        self._outbox.write(frames.goaway(code, words))
        self._outbox.flush()
        self._lost = True
        self.transport.abortConnection()  # type: ignore[union-attr]
        self._forget()

    def _forget(self) -> None:
        self._outbox.close()
        self._owner.gone(self)

    def _leaving(self) -> list[Stream]:
        leaving = [*self._streams.values(), *self._waiting]
        self._streams.clear()
        self._waiting.clear()
        return leaving

    def _break(self, broken: Broken) -> None:
        """The server has broken the protocol: every stream ends with that.

        Which of them is to blame nobody knows: where others had an answer, each is worth another try.
        """
        leaving = self._leaving()
        if not self._lost:
            self._drop(broken.code, broken.words)
        for stream in leaving:
            if stream.answered:
                stream.fail(CodedError("body_truncated", broken.words))
            else:
                stream.fail(CodedError("http2_protocol", broken.words, transient=self._has_answered))

    def _break_by(self, number: int, words: str) -> None:
        """One stream has broken the connection, by a head that nobody will decode: the others had no part in it."""
        culprit = self._streams.pop(number, None)
        others = self._leaving()
        self._drop(frames.ENHANCE_YOUR_CALM, "the head is too large")
        if culprit is not None:
            culprit.fail(CodedError("headers_too_large", words))
        for stream in others:
            stream.fail(endings.by_another(stream))


_OF_CONNECTION: Final = frozenset((frames.SETTINGS, frames.PING, frames.GOAWAY))
