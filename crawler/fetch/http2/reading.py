"""Reading the frames of a connection: some of them at once, and the rest in turns with all that the reactor has to do.

Here is counted what a server may send without end: frames that bring nothing, and heads (fields, CONTINUATION frames).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

from crawler.fetch.http2 import frames
from crawler.fetch.http2.compression import HeadDecoder, Pair, TooLarge
from crawler.fetch.http2.frames import Broken, Frame, FrameReader
from crawler.fetch.http2.outbox import Outbox
from crawler.fetch.http11.head import MAX_HEAD_BYTES

MAX_EMPTY: Final = 1_000  # frames that bring nothing, for each exchange that ends
MAX_CONTINUATIONS: Final = 64  # of one head; sixteen can hold what is allowed
WORK: Final = 256  # frames that are read before others have their turn: about a millisecond
BLOCK_WORK: Final = 128  # bytes of a head that take as long as a frame


class FrameTaking(Protocol):
    """Takes frames. It is a part of Multiplexed, which says what is done with them.

    What it asks for meanwhile leaves by the `_outbox` afterwards. `_lost` says that nothing more is to be read, `_late`
    why the connection was lost while there still was something.
    """

    _outbox: Outbox

    def __init__(self, clock: IReactorTime, take_turns: Callable[[Iterator[None]], None]) -> None:
        self._clock = clock
        self._take_turns = take_turns
        self._reader = FrameReader()
        self._decoder = HeadDecoder(MAX_HEAD_BYTES)
        self._last_heard = 0.0
        self._has_begun = False
        self._empty = 0
        # The head that is coming.
        self._block: list[bytes] = []
        self._block_size = 0
        self._block_frame: Frame | None = None
        self._in_turns = False
        self._more = False
        self._lost = False
        self._late: Failure | None = None

    # What is done with them.

    def _check_opened(self, frame: Frame) -> None:
        """Raise Broken where the stream of the frame was never begun."""
        raise NotImplementedError

    def _take_head(self, number: int, pairs: list[Pair], now: float, *, ended: bool) -> bool:
        """A head has come whole. Whether there is a stream that it belongs to."""
        raise NotImplementedError

    def _take_data(self, frame: Frame, now: float) -> None:
        raise NotImplementedError

    def _take_other(self, frame: Frame) -> None:
        """Neither DATA, nor HEADERS with what continues it."""
        raise NotImplementedError

    def _break(self, broken: Broken) -> None:
        """The server has broken the protocol."""
        raise NotImplementedError

    def _break_by(self, number: int, words: str) -> None:
        """The head of this stream cannot be taken, and nothing after it."""
        raise NotImplementedError

    # Reading.

    def dataReceived(self, data: bytes) -> None:
        if self._lost:
            return
        self._reader.feed(data)
        if not self._in_turns:
            self._read()

    def _read(self) -> None:
        """Read some of what has come, and say what it asks for."""
        self._last_heard = now = self._clock.seconds()
        self._outbox.held = True
        try:
            self._more = self._read_some(now)
        except Broken as broken:
            self._break(broken)
        finally:
            self._outbox.held = False
        self._outbox.flush()
        if self._more and not self._lost and not self._in_turns:
            self._in_turns = True
            self.transport.pauseProducing()  # type: ignore[union-attr]
            self._take_turns(self._going_on())

    def _going_on(self) -> Iterator[None]:
        try:
            while self._more and not self._lost:
                yield
                if not self._lost:
                    self._read()
        except Exception:  # a bug: it is told as one that is met in dataReceived
            self._more = False
            if not self._lost:
                self.transport.abortConnection()  # type: ignore[union-attr]
            self._late = Failure()
        self._in_turns = False
        if self._late is not None:
            self.connectionLost(self._late)
        elif not self._lost:
            self.transport.resumeProducing()  # type: ignore[union-attr]

    def _read_some(self, now: float) -> bool:
        """Whether there may be more than this turn has time for."""
        work = 0
        while work < WORK:
            frame = self._reader.next()
            if frame is None:
                return False
            work += 1
            if not self._has_begun:
                self._check_first(frame)
            if self._block_frame is not None:
                if frame.kind != frames.CONTINUATION or frame.number != self._block_frame.number:
                    raise Broken(frames.PROTOCOL_ERROR, "a head was interrupted by another frame")
                work += self._take_fragment(frame.payload, frame.flags, now)
            elif frame.kind == frames.DATA:
                self._take_data(frame, now)
            elif frame.kind == frames.HEADERS:
                self._check_opened(frame)
                self._block_frame = frame
                work += self._take_fragment(frames.unpadded(frame), frame.flags, now)
            else:
                self._take_other(frame)
            if self._lost:
                return False
        return True

    def _check_first(self, frame: Frame) -> None:
        if frame.kind != frames.SETTINGS or frame.flags & frames.ACK or frame.number:
            raise Broken(frames.PROTOCOL_ERROR, "the server does not begin with its SETTINGS")
        self._has_begun = True

    def _take_fragment(self, fragment: bytes, flags: int, now: float) -> int:
        """A piece of a head, and with the last one all of it. How much work that was."""
        begun = self._block_frame
        assert begun is not None
        self._block.append(fragment)
        self._block_size += len(fragment)
        if self._block_size > MAX_HEAD_BYTES or len(self._block) > MAX_CONTINUATIONS:
            words = f"more than {MAX_HEAD_BYTES} bytes of headers, or {MAX_CONTINUATIONS} frames of them"
            self._break_by(begun.number, words)
            return 0
        if not flags & frames.END_HEADERS:
            return 0
        block, self._block = b"".join(self._block), []
        self._block_frame, self._block_size = None, 0
        try:
            pairs = self._decoder.decode(block)
        except TooLarge:
            self._break_by(begun.number, f"more than {MAX_HEAD_BYTES} bytes of headers")
            return 0
        work = len(block) // BLOCK_WORK
        if not self._take_head(begun.number, pairs, now, ended=bool(begun.flags & frames.END_STREAM)):
            self._empty += work
            self.count_empty("HEADERS of a stream that has ended")
        return work

    def count_empty(self, what: str) -> None:
        self._empty += 1
        if self._empty > MAX_EMPTY:
            raise Broken(frames.ENHANCE_YOUR_CALM, f"more than {MAX_EMPTY:,} frames that bring nothing; now {what}")

    def make_up(self) -> None:
        """A frame has come or gone that brought something: it makes up for one that did not."""
        if self._empty:
            self._empty -= 1
