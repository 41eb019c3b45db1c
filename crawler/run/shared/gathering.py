"""Parts that are objects: as an object cannot grow, records are gathered until a part of them is put, whole.

The ends of their URLs are told when the part is there. So who dies before that has ended nothing, and its URLs are
fetched again; and a host stays with who holds it until all that has ended of it is told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from crawler.errors import CodedError
from crawler.frontier.shared.claiming import Clock
from crawler.frontier.shared.contract import Turn
from crawler.frontier.shared.held import Held
from crawler.frontier.shared.leasing import SharedFrontier
from crawler.run.shared.batch import Written, tell
from crawler.run.shared.part import Line

MOST: Final = 32 << 20
"""Bytes of a part, and one record more. As many are gathered while one is put; then who writes has to wait."""
LONGEST: Final = 10.0
"""Seconds from the first record of a part until it is put."""
SHORTEST: Final = 1.0
"""The same where nothing is left to fetch: hosts wait to be let go, and perhaps all has ended."""
PAUSES: Final = (1.0, 4.0, 15.0, 60.0)
"""Seconds before a put that failed is tried again: the bucket itself has been patient before. Then the node ends."""
Put = Callable[[str, Sequence[Line]], Deferred[None]]
"""Puts the part of that name. Fails with CodedError; may be done again. Cancelling gives it up."""


class Gathering:
    """Gathers records, and puts them as the part whose `name` is next.

    `on_put` is called when a part is there: then `size` is how long it is, `ends` what is to be committed, and `over`
    says how that went. Only after that the next one is put. `on_error` is called with what ends the node.
    """

    def __init__(self, put: Put, *, name: Callable[[], str], frontier: SharedFrontier, clock: Clock) -> None:
        self.on_put: Callable[[], None] = lambda: None
        self.on_error: Callable[[Failure], None] = lambda _: None
        self.is_there = False
        self.size = 0
        self._put = put
        self._name = name
        self._frontier = frontier
        self._clock = clock
        self._lines: list[Written] = []
        self._gathered = 0  # bytes
        self._since = 0.0
        self._part: list[Written] = []  # is being put, or there
        self._putting: Deferred[None] | None = None
        self._timer: IDelayedCall | None = None
        self._retry: IDelayedCall | None = None
        self._waiting: list[Deferred[None]] = []
        self._log = Logger()

    @property
    def is_busy(self) -> bool:
        """Whether any end is not told."""
        return bool(self._lines or self._part)

    @property
    def is_putting(self) -> bool:
        return bool(self._part) and not self.is_there

    def add(self, written: Written) -> Deferred[None] | None:
        """Take a record. Where there are too many, fires when there is room again."""
        if not self._lines:
            self._since = self._clock.seconds()
        self._lines.append(written)
        self._gathered += len(written.data)
        if self._gathered >= MOST:
            self.begin()
        self._arm()
        if self._gathered < MOST:
            return None
        waiter: Deferred[None] = Deferred()  # no canceller: what was taken is put; who cancels only stops waiting
        self._waiting.append(waiter)
        return waiter

    def begin(self) -> None:
        """Put what there is, if nothing is being put."""
        if self._part:
            return
        self._part = [line for line in self._lines if not line.held.is_lost]
        self._lines, self._gathered = [], 0
        if self._part:
            self.size = sum(len(line.data) for line in self._part)
            self._try(self._name(), 0)
        self._go_on()

    def _go_on(self) -> None:
        waiting, self._waiting = self._waiting, []
        tell(waiting, None)

    def ends(self) -> dict[int, list[tuple[Held, Turn]]]:
        """By shard what has ended with the part that is there.

        Where a lease of a shard was lost meanwhile, its records in this part must not count: none of that shard do.
        """
        lost = {line.held.shard for line in self._part if line.held.is_lost}
        ended: defaultdict[Held, list[Written]] = defaultdict(list)
        for line in self._part:
            if line.held.shard not in lost:
                ended[line.held].append(line)
        turns: defaultdict[int, list[tuple[Held, Turn]]] = defaultdict(list)
        for held, lines in ended.items():
            said = [line.ended for line in lines if line.ended is not None]
            turns[held.shard].append((held, Turn(held.host, held.token, ended=said)))
        return turns

    def over(self, committed: set[Held]) -> None:
        """The URLs of these have ended. What is good of the others is in the next part."""
        again = []
        for line in self._part:
            if line.held in committed:
                line.held.unwritten -= 1
            elif not line.held.is_lost:
                again.append(line)
        self._lines[:0] = again
        self._gathered += sum(len(line.data) for line in again)
        self._part, self.is_there = [], False
        if self._gathered >= MOST:
            self.begin()
        self._arm()

    def close(self) -> None:
        """Put nothing more."""
        for timer in (self._timer, self._retry):
            if timer is not None:
                timer.cancel()
        self._timer = self._retry = None
        putting, self._putting = self._putting, None
        if putting is not None:
            putting.addErrback(lambda _: None)
            putting.cancel()
        self._go_on()  # who waits is told of the end with the next record

    def _arm(self) -> None:
        if self._timer is None and self._lines:
            self._timer = self._clock.callLater(SHORTEST, self._look)

    def _look(self) -> None:
        self._timer = None
        has_waited = self._clock.seconds() - self._since >= LONGEST
        if has_waited or not self._frontier.counts().queued:
            self.begin()
        self._arm()

    def _try(self, name: str, tries: int) -> None:
        self._retry = None
        self._putting = self._put(name, [Line(line.held.shard, line.data) for line in self._part])
        self._putting.addCallbacks(self._is_put, self._failed, errbackArgs=(name, tries))

    def _is_put(self, _: None) -> None:
        self._putting = None
        self.is_there = True
        self.on_put()

    def _failed(self, failure: Failure, name: str, tries: int) -> None:
        if self._putting is None:
            return  # it was closed
        self._putting = None
        if not failure.check(CodedError) or tries == len(PAUSES):
            self.on_error(failure)
            return
        pause = PAUSES[tries]
        self._log.warn("{error}: it is put again in {pause:g} s", error=failure.value, pause=pause)
        self._retry = self._clock.callLater(pause, self._try, name, tries + 1)
