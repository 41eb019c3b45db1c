"""The line between callers and a run that lasts: what they ask for goes over to its thread, and records come back.

To wake another thread costs more than to fetch a URL. So each side is woken once for all that has gathered until it
looks: a reactor that has asked in vain, by the first call; the callers, at the end of the turn in which records came.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent import futures
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from twisted.internet.defer import Deferred

from crawler.config.config import Config
from crawler.errors import CodedError
from crawler.fetch.connect.dial import Dial
from crawler.models import Record, Response, unfetched
from crawler.run.composition import Crawler
from crawler.run.thread import RunThread
from crawler.seeds.feed import UNWANTED, LiveFeed
from crawler.seeds.inputs import BadLine, from_iterable

if TYPE_CHECKING:
    from crawler.run.access.login import Login

CAPACITY_BYTES: Final = 1 << 26  # of bodies that nobody has taken


class Call:
    """What is asked for, and the future of its record: one of asyncio or of threads."""

    __slots__ = ("asked", "future", "number")

    def __init__(self, asked: object, future: Any) -> None:
        self.asked = asked
        self.future = future
        self.number: int | None = None  # once the run has taken it


class Answer(NamedTuple):
    """A record; or the error that has ended the run."""

    call: Call
    record: Record | None
    error: BaseException | None = None


class Line:
    """A run that fetches what it is asked for, until it is ended.

    `tell` is called in the run's thread, with this line, when there are answers to `collect`. A call whose future is
    cancelled is one that nobody waits for: see `give_up`. Its methods may be called in any thread, but for those of a
    Sink. `opened` is done when the run has begun, its login included; it has the error if it never did.
    """

    def __init__(self, tell: Callable[[Line], None]) -> None:
        self._tell = tell
        self._run = RunThread()
        self._feed = LiveFeed(self._taken, self._begun)
        self._reactor: Any = None
        self._crawler: Crawler | None = None
        self._open: dict[int, Call] = {}  # taken, without a record
        self._given_up: set[int] = set()  # of these
        self._lock = threading.Lock()  # guards what follows it
        self._dropped: list[Call] = []
        self._answers: list[Answer] = []
        self._bytes = 0  # of their bodies
        self._waiting: list[Deferred[None]] = []  # for room there
        self.opened: futures.Future[None] = futures.Future()
        self.over = self._run.outcome
        self.over.add_done_callback(self._ended)

    def start(self, config: Config, login: Login | None) -> None:
        """Raises what Crawler raises for what it is given, and OSError where no thread can be had."""

        def make(reactor: Any, dial: Dial) -> Crawler:
            self._reactor = reactor
            self._crawler = Crawler(config, reactor=reactor, urls=self._feed, sinks=[self], dial=dial, login=login)
            return self._crawler

        self._run.start(make)

    # Callers.

    def put(self, call: Call) -> bool | None:
        """Ask. Whether `wake` is to be called, for this and all calls until then; None: it is ended."""
        return self._feed.put(call)

    def wake(self) -> None:
        self._run.callFromThread(self._feed.arrived)

    def collect(self) -> list[Answer]:
        """The answers that have come."""
        with self._lock:
            answers, self._answers = self._answers, []
            self._bytes = 0
            waiting, self._waiting = self._waiting, []
        if waiting:
            self._run.callFromThread(_go_on, waiting)
        return answers

    def give_up(self, call: Call) -> None:
        """Nobody waits for a call any more: its future is cancelled. What is in the air for it alone is closed."""
        with self._lock:
            self._dropped.append(call)
            wake = len(self._dropped) == 1
        if wake:
            self._run.callFromThread(self._drop)

    def end(self) -> None:
        """Ask no more; the run ends when all calls have their answers."""
        if self._feed.end():
            self._run.callFromThread(self._end)

    def abort(self) -> None:
        """End now: sockets are closed, and who still waits is told `interrupted`."""
        self._feed.end()
        self._run.abort()

    def join(self) -> None:
        """Wait for the end, whatever it is."""
        self._run.join()

    # The run, in its thread.

    def _begun(self) -> None:
        self.opened.set_result(None)

    def _taken(self, call: Call) -> object:
        if call.future.cancelled():
            return UNWANTED
        assert self._crawler is not None
        admission = self._crawler.parts.admission
        assert admission is not None
        call.number = admission.accepted
        self._open[call.number] = call
        return call.asked

    def _drop(self) -> None:
        assert self._crawler is not None
        crawl = self._crawler.parts.crawl
        with self._lock:
            dropped, self._dropped = self._dropped, []
        for call in dropped:
            number = call.number
            if number in self._open and crawl is not None:
                self._given_up.add(number)
                crawl.give_up(number)
        self._end_without_the_rest()

    def _end(self) -> None:
        self._feed.arrived()
        self._end_without_the_rest()

    def _end_without_the_rest(self) -> None:
        """What nobody waits for may have to wait long for the turn of its host: the end does not."""
        if self._given_up and self._feed.exhausted and len(self._given_up) == len(self._open):
            assert self._crawler is not None
            assert self._crawler.parts.crawl is not None
            self._crawler.parts.crawl.drain(0.0)

    def write(self, record: Record, response: Response | None, sequence: int) -> Deferred[None] | None:  # noqa: ARG002
        call = self._open.pop(sequence, None)
        if call is None:  # somebody has typed it in
            return None
        if self._given_up:
            self._given_up.discard(sequence)
            self._reactor.callLater(0, self._end_without_the_rest)
        with self._lock:
            if not self._answers:
                self._reactor.callLater(0, self._tell, self)
            self._answers.append(Answer(call, record))
            self._bytes += record.in_memory
            if self._bytes < CAPACITY_BYTES:
                return None
            waiter: Deferred[None] = Deferred()  # no canceller: the record is taken; who cancels only stops waiting
            self._waiting.append(waiter)
            return waiter

    def flush(self) -> None:
        """Nothing is buffered here that callers could not have."""

    def close(self) -> None:
        """Who still waits is told when the run is over."""

    def _ended(self, outcome: futures.Future[None]) -> None:
        error = outcome.exception()
        left = [*self._open.values(), *self._feed.left()]
        with self._lock:
            self._answers += [Answer(call, None if error else _interrupted(call), error) for call in left]
        self._tell(self)
        if not self.opened.done():
            self.opened.set_exception(error or RuntimeError("the session was closed before it had begun"))


def _go_on(waiting: list[Deferred[None]]) -> None:
    for waiter in waiting:
        waiter.callback(None)


def _interrupted(call: Call) -> Record:
    seed = next(iter(from_iterable([call.asked])))
    if isinstance(seed, BadLine):
        return unfetched(seed.text, seed.input, seed.error, seed.meta)
    error = CodedError("interrupted", "the session was closed before this URL was fetched")
    return unfetched(seed.written, seed.input, error, None if seed.ask is None else seed.ask.meta)
