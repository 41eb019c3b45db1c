"""feed.py: seeds reach the reactor one by one, whether their source answers at once, blocks or fails."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import partial

import pytest

from crawler.errors import CodedError
from crawler.models import Input
from crawler.seeds.feed import READ_AHEAD, UNWANTED, DirectFeed, Feed, LiveFeed, ThreadFeed
from crawler.seeds.inputs import BadLine

PATIENCE = 10.0  # seconds until a test that hangs is taken for failed; nothing here waits that long when it works


NOWHERE, BAD = Input(), CodedError("url_invalid")


def line(number: int) -> BadLine:
    return BadLine(str(number), NOWHERE, BAD)


def lines(count: int, start: int = 0) -> Iterator[BadLine]:
    return map(line, range(start, start + count))


class Reactor:
    """Takes calls from the thread; the test's own thread runs them, one by one."""

    def __init__(self) -> None:
        self.calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    def callFromThread(self, call: Callable[..., None], *args: object) -> None:
        self.calls.put(partial(call, *args))

    def turn(self) -> None:
        """Run the next call, when it comes."""
        self.calls.get(timeout=PATIENCE)()


class Taker:
    """Takes as crawl does: as long as there is something, and again when it is told that there is more."""

    def __init__(self, feed: Feed, reactor: Reactor) -> None:
        self.taken: list[int] = []
        self._feed = feed
        self._reactor = reactor
        feed.on_ready = self.take
        self.take()

    def take(self) -> None:
        while (seed := self._feed.take()) is not None:
            assert isinstance(seed, BadLine)
            self.taken.append(int(seed.text))

    def until(self, count: int) -> list[int]:
        while len(self.taken) < count:
            self._reactor.turn()
        return self.taken

    def to_the_end(self) -> list[int]:
        while not self._feed.exhausted:
            self._reactor.turn()
        return self.taken


class Source:
    """Gives its lines when it is told to, and blocks in between; counts what was read, and tells of `milestone`."""

    def __init__(self, milestone: int = 0) -> None:
        self.read = 0
        self.reached = threading.Event()
        self._milestone = milestone
        self._lines: queue.SimpleQueue[BadLine | None] = queue.SimpleQueue()

    def give(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self._lines.put(line(number))

    def end(self) -> None:
        self._lines.put(None)

    def __iter__(self) -> Iterator[BadLine]:
        while (seed := self._lines.get()) is not None:
            self.read += 1
            if self.read == self._milestone:
                self.reached.set()
            yield seed


class TestDirect:
    def test_reads_as_it_is_asked(self):
        """One seed per question, then the end."""
        read: list[int] = []

        def source() -> Iterator[BadLine]:
            for number in range(3):
                read.append(number)
                yield line(number)

        feed = DirectFeed(source())
        assert read == []
        for number in range(3):
            seed = feed.take()
            assert seed is not None
            assert (seed[0], read, feed.exhausted) == (str(number), list(range(number + 1)), False)
        assert (feed.take(), feed.exhausted) == (None, True)
        assert (feed.take(), feed.exhausted) == (None, True)

    def test_errors_of_the_source_are_raised(self):
        """Whoever takes gets them."""

        def source() -> Iterator[BadLine]:
            yield line(0)
            raise ZeroDivisionError

        feed = DirectFeed(source())
        feed.take()
        with pytest.raises(ZeroDivisionError):
            feed.take()

    def test_closed_it_is_exhausted(self):
        """Nobody reads on."""
        feed = DirectFeed(lines(3))
        feed.close()
        assert feed.exhausted


class TestThread:
    def test_everything_in_order(self):
        """Many times what is read ahead: none is lost, none doubled."""
        reactor = Reactor()
        with closing(ThreadFeed(lines(8 * READ_AHEAD + 7), reactor)) as feed:
            assert Taker(feed, reactor).to_the_end() == list(range(8 * READ_AHEAD + 7))

    @pytest.mark.parametrize("count", [0, 1, READ_AHEAD // 2, READ_AHEAD - 1, READ_AHEAD, READ_AHEAD + 1])
    def test_any_number(self, count):
        """The end is told, also where the read-ahead is just full."""
        reactor = Reactor()
        with closing(ThreadFeed(lines(count), reactor)) as feed:
            taker = Taker(feed, reactor)
            assert taker.to_the_end() == list(range(count))
            assert feed.take() is None

    def test_nobody_waits_for_the_next_line(self):
        """A slow pipe: each line can be taken when it has come, whatever follows it and when."""
        reactor, source = Reactor(), Source()
        with closing(ThreadFeed(iter(source), reactor)) as feed:
            taker = Taker(feed, reactor)
            total = 0
            for burst in (1, 2, 3, 1, 10):
                source.give(range(total, total + burst))
                total += burst
                assert taker.until(total) == list(range(total))
                assert not feed.exhausted
            source.end()
            taker.to_the_end()

    def test_the_reactor_is_woken_only_when_it_asked_in_vain(self):
        """A fast source does not flood the reactor with calls."""
        reactor, source = Reactor(), Source()
        with closing(ThreadFeed(iter(source), reactor)) as feed:
            source.give(range(500))
            source.end()
            reactor.turn()  # the end
            assert reactor.calls.empty()
            assert Taker(feed, reactor).taken == list(range(500))

    def test_it_reads_ahead_but_not_far(self):
        """What nobody takes stays in the source, and room is made in portions."""
        reactor, source = Reactor(), Source(milestone=READ_AHEAD)
        source.give(range(3 * READ_AHEAD))
        source.end()
        with closing(ThreadFeed(iter(source), reactor)) as feed:
            assert source.reached.wait(PATIENCE)
            ahead: list[int] = []
            for taken in range(READ_AHEAD):
                ahead.append(source.read - taken)
                assert feed.take() is not None
            assert ahead[: READ_AHEAD // 2] == list(range(READ_AHEAD, READ_AHEAD // 2, -1))
            assert max(ahead) <= READ_AHEAD + 1
            assert Taker(feed, reactor).to_the_end() == list(range(READ_AHEAD, 3 * READ_AHEAD))

    @pytest.mark.parametrize("error", [ZeroDivisionError("the caller's"), SystemExit(1), KeyboardInterrupt()])
    def test_errors_of_the_source_come_last(self, error):
        """What was read before is taken first; then whoever takes gets the error, once."""
        reactor = Reactor()

        def source() -> Iterator[BadLine]:
            yield from lines(3)
            raise error

        with closing(ThreadFeed(source(), reactor)) as feed:
            reactor.turn()
            assert [feed.take() is None for _ in range(3)] == [False] * 3
            assert not feed.exhausted
            with pytest.raises(type(error)) as caught:
                feed.take()
            assert caught.value is error
            assert (feed.exhausted, feed.take()) == (True, None)

    def test_closing_ends_a_thread_that_waits_for_room(self):
        """Nothing more is read, and no thread stays behind."""
        reactor, source = Reactor(), Source(milestone=READ_AHEAD)
        before = set(threading.enumerate())
        source.give(range(2 * READ_AHEAD))
        feed = ThreadFeed(iter(source), reactor)
        (thread,) = set(threading.enumerate()) - before
        assert source.reached.wait(PATIENCE)
        feed.close()
        thread.join(PATIENCE)
        assert not thread.is_alive()
        assert feed.exhausted
        assert source.read <= READ_AHEAD + 1

    def test_closed_it_leaves_the_reactor_alone(self):
        """A source that comes back from blocking after the end finds nobody: the reactor may be gone."""
        reactor, source = Reactor(), Source()
        before = set(threading.enumerate())
        feed = ThreadFeed(iter(source), reactor)
        (thread,) = set(threading.enumerate()) - before
        assert feed.take() is None
        feed.close()
        source.give([1])
        thread.join(PATIENCE)
        assert not thread.is_alive()
        assert reactor.calls.empty()

    def test_a_source_that_blocks_keeps_nobody_from_leaving(self):
        """Its thread is a daemon: the process may end."""
        reactor, source = Reactor(), Source()
        before = set(threading.enumerate())
        with closing(ThreadFeed(iter(source), reactor)):
            (thread,) = set(threading.enumerate()) - before
            assert thread.daemon
        source.end()


# What is put in while the run goes on


class Live:
    """A LiveFeed, and the reactor that takes from it: `woken` counts how often it has been told to."""

    def __init__(self) -> None:
        self.begun = 0
        self.dropped: set[int] = set()
        self.feed = LiveFeed[int](lambda number: UNWANTED if number in self.dropped else str(number), self._begin)
        seeds = (BadLine(str(text), NOWHERE, BAD) for text in self.feed)
        self.taker = Taker(self.feed.over(seeds), Reactor())
        self.woken = 0

    def _begin(self) -> None:
        self.begun += 1

    def put(self, *numbers: int) -> None:
        wakes = [self.feed.put(number) for number in numbers]
        assert wakes.count(True) <= 1
        if True in wakes:
            self.woken += 1
            self.feed.arrived()


def test_live_what_is_put_in_is_taken_in_order() -> None:
    """It begins hungry, and says when."""
    live = Live()
    assert live.begun == 1
    live.put(1, 2)
    live.put(3)
    assert live.taker.taken == [1, 2, 3]
    assert live.begun == 1


def test_live_the_reactor_is_woken_once() -> None:
    """For all that is put in until it has asked in vain again."""
    live = Live()
    assert [live.feed.put(number) for number in range(100)] == [True] + [False] * 99
    live.feed.arrived()
    assert live.taker.taken == list(range(100))
    assert live.feed.put(100) is True


def test_live_what_nobody_wants_is_passed() -> None:
    live = Live()
    live.dropped = {1, 3}
    live.put(1, 2, 3)
    assert live.taker.taken == [2]
    assert not live.feed.exhausted


def test_live_the_end() -> None:
    """What was put in before is taken; nothing is after."""
    live = Live()
    assert live.feed.put(1) is True
    assert live.feed.end() is True
    assert live.feed.end() is False
    assert live.feed.put(2) is None
    assert not live.feed.exhausted
    live.feed.arrived()
    assert live.taker.taken == [1]
    assert live.feed.exhausted


def test_live_what_is_left_when_it_is_closed() -> None:
    """A run that is over has not taken it: somebody has to tell those who asked."""
    live = Live()
    assert [live.feed.put(number) for number in (1, 2)] == [True, False]
    live.feed.close()
    assert live.feed.exhausted
    assert live.feed.left() == [1, 2]
    assert live.feed.left() == []


def test_live_many_threads() -> None:
    """Each thing is taken once, whoever puts it in; nobody is left asleep."""
    feed = LiveFeed[int](str)
    reactor = Reactor()
    taker = Taker(feed.over(BadLine(str(text), NOWHERE, BAD) for text in feed), reactor)

    def put(first: int) -> None:
        for number in range(first, first + 500):
            if feed.put(number):
                reactor.callFromThread(feed.arrived)

    threads = [threading.Thread(target=put, args=(500 * number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    while len(taker.taken) < 2000:
        reactor.turn()
    for thread in threads:
        thread.join()
    assert sorted(taker.taken) == list(range(2000))
