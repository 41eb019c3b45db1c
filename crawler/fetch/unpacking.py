"""A body decoded while it arrives: a little at once, and the rest in turns with all else that the reactor has to do."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from crawler.errors import CodedError
from crawler.fetch.decode import Decoder
from crawler.fetch.http11.turns import Turns

AT_ONCE: Final = 1 << 17  # bytes decoded as they come: half a millisecond
SLICE: Final = 1 << 17  # and in each turn
STEP: Final = 1 << 12  # a step with nothing in it (a gzip member of a few bytes) costs as much as so many bytes


class Unpacking:
    """Feeds a decoder. `take` gets what it decodes, `fail` its error; `wait` is called when the sender has to wait for
    us, and `go_on` when that is over. While that lasts it is `busy`. `room` gives what is to be waited for before there
    is more to take. After `stop` nothing is called any more.
    """

    def __init__(
        self,
        decoder: Decoder,
        turns: Turns,
        *,
        take: Callable[[bytes], object],
        fail: Callable[[CodedError], object],
        wait: Callable[[], object],
        go_on: Callable[[], object],
        room: Callable[[], Deferred[None] | None] = lambda: None,
    ) -> None:
        self.busy = False
        self._decoder = decoder
        self._turns = turns
        self._take = take
        self._fail = fail
        self._wait = wait
        self._go_on = go_on
        self._room = room
        self._waiting: deque[bytes] = deque()
        self._steps: Iterator[bytes] = iter(())
        self._stopped = False

    def feed(self, data: bytes) -> None:
        if self.busy:
            self._waiting.append(data)
            return
        self._steps = self._decoder.steps(data)
        if not self._decode(AT_ONCE):
            self.busy = True
            self._wait()
            self._turns.take(self._in_turns())

    def stop(self) -> None:
        self._stopped = True

    def _decode(self, room: int) -> bool:
        """Decode about so many bytes. Whether that was all."""
        try:
            for piece in self._steps:
                if piece:
                    self._take(piece)
                    if self._stopped:
                        return True
                room -= len(piece) + STEP
                if room < 0:
                    return False
        except CodedError as error:
            if self._decoder.salvaged:
                self._take(self._decoder.salvaged)
            if not self._stopped:
                self._fail(error)
        return True

    def _in_turns(self) -> Iterator[Deferred[None] | None]:
        try:
            while not self._stopped:
                yield self._room()
                if not self._stopped and self._decode(SLICE):
                    if not self._waiting:
                        break
                    self._steps = self._decoder.steps(self._waiting.popleft())
            self.busy = False
            if not self._stopped:
                self._go_on()
        except Exception as error:
            _log.failure("a bug while a body was decoded")
            self._fail(CodedError("internal", f"{type(error).__name__}: {error}"))


_log = Logger()
