"""Tee, Ordered, ListSink and QueueSink: who gets which record when, who waits for whom, and what an error does."""

from __future__ import annotations

import queue
import threading
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs
from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from crawler.errors import CodedError
from crawler.models import Input, Record, Redirect, Response, Timings
from crawler.sinks.memory import ListSink, QueueSink
from crawler.sinks.ordered import Ordered
from crawler.sinks.tee import Tee

FULL = CodedError("disk_full", "out: No space left on device")
OTHER = CodedError("write_error", "other: Input/output error")


def record(number: int) -> Record:
    return Record(url=f"http://h/{number}", input=Input(line=number + 1), outcome="ok")


RECORDS = [record(number) for number in range(2000)]


class Slow:
    """A sink that answers what it is told to: nothing, an error, or a Deferred that the test fires."""

    def __init__(self):
        self.sequences: list[int] = []
        self.calls: list[str] = []
        self.answer = lambda: None
        self.given: deque[Deferred[None]] = deque()

    def wait(self) -> Deferred[None]:
        self.given.append(Deferred())
        return self.given[-1]

    def write(self, record, response, sequence):
        assert record == RECORDS[sequence]
        self.sequences.append(sequence)
        return self.answer()

    def flush(self):
        self.calls.append("flush")
        return self.answer()

    def close(self):
        self.calls.append("close")
        return self.answer()


def put(sink, *sequences: int) -> list[Deferred[None] | None]:
    return [sink.write(RECORDS[sequence], None, sequence) for sequence in sequences]


class TeeTests(SynchronousTestCase):
    def setUp(self):
        self.one, self.two = Slow(), Slow()
        self.tee = Tee([self.one, self.two])

    def test_everybody_gets_everything(self):
        """Each record goes to each sink; when none wants to wait, nobody does."""
        self.assertEqual(put(self.tee, 0, 1), [None, None])
        self.assertEqual(self.one.sequences, [0, 1])
        self.assertEqual(self.two.sequences, [0, 1])

    def test_the_slowest_sets_the_pace(self):
        """The Deferred fires when the last sink takes more."""
        self.one.answer, self.two.answer = self.one.wait, self.two.wait
        [waiting] = put(self.tee, 0)
        self.one.given[0].callback(None)
        self.assertNoResult(waiting)
        self.two.given[0].callback(None)
        self.assertIsNone(self.successResultOf(waiting))

    def test_an_error_is_told_at_once(self):
        """A write that failed is told although another sink is still slow; the other has the record all the same."""
        self.one.answer, self.two.answer = lambda: fail(FULL), self.two.wait
        [waiting] = put(self.tee, 0)
        self.assertIs(self.failureResultOf(waiting, CodedError).value, FULL)
        self.assertEqual(self.two.sequences, [0])
        self.two.given[0].callback(None)

    def test_close_waits_for_all_and_tells_the_first_error(self):
        """Closing after an error still closes the others, waits for them, and then tells the error."""
        self.one.answer, self.two.answer = lambda: fail(FULL), self.two.wait
        closing = self.tee.close()
        self.assertEqual(self.two.calls, ["close"])
        self.assertNoResult(closing)
        self.two.given[0].errback(OTHER)
        self.assertIs(self.failureResultOf(closing, CodedError).value, FULL)

    def test_a_bug_in_one_sink_does_not_keep_the_others_open(self):
        """Even an exception does not stop the closing of the rest."""

        def bug() -> None:
            raise ZeroDivisionError

        self.one.answer = bug
        self.failureResultOf(self.tee.close(), ZeroDivisionError)
        self.assertEqual(self.two.calls, ["close"])

    def test_flush_and_closing_twice(self):
        """flush reaches all; closing twice is fine."""
        self.successResultOf(self.tee.flush())
        self.successResultOf(self.tee.close())
        self.successResultOf(self.tee.close())
        self.assertEqual(self.one.calls, ["flush", "close", "close"])

    def test_without_sinks(self):
        """A run may have no output at all."""
        tee = Tee([])
        self.assertEqual(put(tee, 0), [None])
        self.successResultOf(tee.close())


class OrderedTests(SynchronousTestCase):
    def setUp(self):
        self.sink = Slow()
        self.ordered = Ordered(self.sink, window=10)

    def test_input_order(self):
        """A record leaves when all before it have left."""
        self.assertEqual(put(self.ordered, 2, 1), [None, None])
        self.assertEqual(self.sink.sequences, [])
        put(self.ordered, 0)
        self.assertEqual(self.sink.sequences, [0, 1, 2])
        put(self.ordered, 4, 3)
        self.assertEqual(self.sink.sequences, [0, 1, 2, 3, 4])

    def test_bodies_are_not_held(self):
        """What waits for its turn is the record alone: a window of bodies would be memory without bound."""
        sink = ListSink()
        ordered = Ordered(sink)
        for sequence in (1, 0):
            body = b"x" * 1000
            response = Response(timings=Timings(), started=0.0, body=body)
            ordered.write(record(sequence).with_body(body), response, sequence)
        self.assertEqual(sink.records, RECORDS[:2])
        self.assertEqual([kept.body for kept in sink.records], [b"", b""])

    def test_large_records_wait_on_the_disk(self):
        """Beyond so many bytes nothing more stays in memory; what was there comes back as it was, with its body."""
        sink = ListSink()
        ordered = Ordered(sink, in_memory=100_000, most_held=10_000_000, bodies=True)
        large = [
            structs.replace(
                record(number), wire_headers={"x": ["y" * 10_000], "\xe9": ["\x00"]}, data={"a": [None, 2.5, "\u20ac"]},
                redirects=(Redirect("http://b.example/", 302),), size_body=30_000,
            ).with_body(b"%d" % number * 15_000)
            for number in range(10)
        ]  # fmt: skip
        for number in range(9, 0, -1):
            ordered.write(large[number], None, number)
        assert sum(kept is not None for kept in ordered._held.values()) == 1
        assert sink.records == []
        ordered.write(large[0], None, 0)
        self.assertEqual(sink.records, large)
        self.assertEqual([kept.body for kept in sink.records], [kept.body for kept in large])
        self.assertEqual((ordered._size, ordered._spilled_size), (0, 0))
        self.successResultOf(ordered.close())

    def test_what_has_no_form_stays(self):
        """What cannot be written to the disk is held all the same."""
        sink = ListSink()
        ordered = Ordered(sink, in_memory=0)
        odd = [structs.replace(record(number), title=f"\udc80{number}") for number in (2, 1, 0)]
        for number, one in zip((2, 1, 0), odd, strict=True):
            ordered.write(one, None, number)
        self.assertEqual(sink.records, odd[::-1])

    def test_bytes_bound_what_is_accepted(self):
        """Beyond so many bytes an input waits to be accepted, until some have left; the oldest never does."""
        sink = ListSink()
        ordered = Ordered(sink, in_memory=10_000, most_held=50_000)
        self.assertIsNone(ordered.admit(1))
        large = structs.replace(record(0), wire_headers={"x": ["y" * 20_000]})
        for number in (1, 2, 3):
            ordered.write(large, None, number)
        waiting = ordered.admit(4)
        self.assertNoResult(waiting)
        self.assertIsNone(ordered.admit(0))
        put(ordered, 0)
        self.successResultOf(waiting)
        self.assertEqual(sink.records, [RECORDS[0], large, large, large])

    def test_no_room_on_the_disk(self):
        """It ends the run, as everywhere."""
        ordered = Ordered(self.sink, in_memory=0)
        put(ordered, 1)
        ordered._spill._db.execute("PRAGMA max_page_count = 8")
        with self.assertRaises(CodedError) as caught:
            ordered.write(structs.replace(record(2), wire_headers={"x": ["y" * 100_000]}), None, 2)
        self.assertEqual(caught.exception.code, "disk_full")

    def test_first(self):
        """A resumed run does not begin at 0."""
        put(Ordered(self.sink, first=7), 8, 7)
        self.assertEqual(self.sink.sequences, [7, 8])

    def test_close_gives_everything_away(self):
        """Numbers that never came (an interrupted run) hold nothing back at the end: the rest follows in order."""
        put(self.ordered, 9, 4, 0, 7)
        self.successResultOf(self.ordered.close())
        self.assertEqual(self.sink.sequences, [0, 4, 7, 9])
        self.assertEqual(self.sink.calls, ["close"])
        self.successResultOf(self.ordered.close())
        self.assertEqual(self.sink.sequences, [0, 4, 7, 9])

    def test_back_pressure_of_the_sink(self):
        """While the sink wants to wait it gets nothing more, and every writer waits; then it goes on in order."""
        self.sink.answer = self.sink.wait
        [first] = put(self.ordered, 0)
        self.sink.answer = lambda: None
        second, third = put(self.ordered, 2, 1)
        self.assertEqual(self.sink.sequences, [0])
        for waiting in (first, second, third):
            self.assertNoResult(waiting)
        self.sink.given[0].callback(None)
        for waiting in (first, second, third):
            self.successResultOf(waiting)
        self.assertEqual(self.sink.sequences, [0, 1, 2])

    def test_close_waits_for_back_pressure(self):
        """close lets the sink take its time, and closes it last."""
        self.sink.answer = self.sink.wait
        put(self.ordered, 0, 2)
        closing = self.ordered.close()
        self.sink.given.popleft().callback(None)  # of 0
        self.assertEqual(self.sink.sequences, [0, 2])
        self.assertEqual(self.sink.calls, [])
        self.sink.given.popleft().callback(None)  # of 2
        self.assertEqual(self.sink.calls, ["close"])
        self.assertNoResult(closing)
        self.sink.given.popleft().callback(None)  # of close
        self.successResultOf(closing)

    def test_an_error_is_final(self):
        """Who waits gets the sink's error, and so does everyone later; the sink is closed all the same."""
        self.sink.answer = self.sink.wait
        waiting = put(self.ordered, 0, 1, 2)
        self.sink.given[0].errback(FULL)
        admission = self.ordered.admit(100)
        self.sink.answer = lambda: None
        for deferred in (*waiting, *put(self.ordered, 3), admission, self.ordered.close()):
            self.assertIs(self.failureResultOf(deferred, CodedError).value, FULL)
        self.assertEqual(self.sink.sequences, [0])
        self.assertEqual(self.sink.calls, ["close"])

    def test_many_at_once(self):
        """A long row that becomes ready at once needs no deep stack, even if the sink answers with fired Deferreds."""
        self.sink.answer = lambda: succeed(None)
        self.assertEqual(set(put(self.ordered, *range(1999, -1, -1))), {None})
        self.assertEqual(self.sink.sequences, list(range(2000)))

    def test_flush(self):
        """flush reaches the sink; what waits for its turn goes on waiting."""
        put(self.ordered, 1)
        self.assertIsNone(self.ordered.flush())
        self.assertEqual((self.sink.calls, self.sink.sequences), (["flush"], []))

    def test_admission(self):
        """Inputs beyond the window wait until the head of the line has left; then as many are let in as there is room."""
        self.assertEqual([self.ordered.admit(number) for number in range(10)], [None] * 10)
        tenth, eleventh = self.ordered.admit(10), self.ordered.admit(11)
        put(self.ordered, *range(1, 10))
        self.assertNoResult(tenth)
        put(self.ordered, 0)
        self.assertIsNone(self.successResultOf(tenth))
        self.assertIsNone(self.successResultOf(eleventh))
        waiting = [self.ordered.admit(20), self.ordered.admit(21)]
        put(self.ordered, 10)
        self.successResultOf(waiting[0])
        self.assertNoResult(waiting[1])

    def test_admission_goes_on_with_the_sink(self):
        """A slow sink opens the window record by record, not only at the end of a long row."""
        self.sink.answer = self.sink.wait
        put(self.ordered, *range(10))
        admission = self.ordered.admit(11)
        self.sink.given[0].callback(None)
        self.assertNoResult(admission)
        self.sink.given[1].callback(None)
        self.successResultOf(admission)

    def test_a_head_that_is_not_in_flight_blocks_nobody(self):
        """The oldest URL is parked until nothing else is leased; with two slots and a full window it still gets its turn."""
        queued, parked, tried, accepted = deque(), deque(), set(), 0
        while len(self.sink.sequences) < 100:
            while accepted < 100 and self.ordered.admit(accepted) is None:
                queued.append(accepted)
                accepted += 1
            number = (queued or parked).popleft()  # IndexError: nothing can go on, a deadlock
            if number % 25 == 0 and number not in tried:
                tried.add(number)
                parked.append(number)
            else:
                self.assertEqual(put(self.ordered, number), [None], "a slot is given back at once")
            self.assertLess(len(self.ordered._held), 10)
        self.assertEqual(self.sink.sequences, list(range(100)))


@settings(max_examples=40)
@given(st.permutations(range(30)), st.lists(st.booleans(), min_size=30, max_size=30))
def test_any_order_becomes_input_order(order, slow):
    """Whatever the order of arrival and whenever the sink is slow, all leave in input order, and every wait ends."""
    sink = Slow()
    answers = iter(slow)
    sink.answer = lambda: sink.wait() if next(answers) else None
    ordered = Ordered(sink)
    waiting = [deferred for deferred in put(ordered, *order) if deferred is not None]
    while sink.given:
        sink.given.popleft().callback(None)
    assert sink.sequences == list(range(30))
    assert all(deferred.called for deferred in waiting)


def test_list_sink():
    """Records come out in the order of the inputs, whatever the order in which they were written."""
    sink = ListSink()
    assert put(sink, 2, 0, 5) == [None, None, None]
    assert sink.flush() is sink.close() is sink.close() is None
    assert sink.records == [RECORDS[0], RECORDS[2], RECORDS[5]]


class Reactor:
    """callFromThread, and `pump` to run what the other thread has sent."""

    def __init__(self):
        self.sent: queue.SimpleQueue = queue.SimpleQueue()

    def callFromThread(self, function):
        self.sent.put(function)

    def pump(self, until):
        while not until():
            self.sent.get(timeout=5)()


@pytest.fixture
def reactor():
    return Reactor()


def consume(sink: QueueSink, into: list[Record]) -> threading.Thread:
    thread = threading.Thread(target=lambda: into.extend(sink))
    thread.start()
    return thread


def test_queue_sink_hands_over_everything(reactor):
    """The consumer gets each record once, in the order of writing, and then the iteration ends."""
    sink, got = QueueSink(reactor, capacity=7), []
    thread = consume(sink, got)
    for sequence in range(200):
        [waiting] = put(sink, sequence)
        if waiting is not None:
            reactor.pump(lambda: waiting.called)  # noqa: B023
    sink.close()
    sink.close()
    thread.join(5)
    assert got == RECORDS[:200]


def test_queue_sink_is_bounded(reactor):
    """When `capacity` records wait, the crawl waits until half of them are taken."""
    sink = QueueSink(reactor, capacity=4)
    *_, last = answers = put(sink, 0, 1, 2, 3)
    assert answers[:3] == [None] * 3
    assert not last.called
    records = iter(sink)
    assert next(records) == RECORDS[0]
    assert reactor.sent.empty()
    assert next(records) == RECORDS[1]
    reactor.pump(lambda: last.called)
    assert put(sink, 4) == [None]


def test_queue_sink_keeps_what_was_not_taken_when_closed(reactor):
    """Closing loses nothing: the consumer takes the rest when it likes, even with the reactor gone. Nobody waits for it."""
    sink = QueueSink(reactor, capacity=2)
    waiting = put(sink, 0, 1, 2)
    assert sink.flush() is None
    assert sink.close() is None
    assert all(deferred is None or deferred.called for deferred in waiting)
    assert list(sink) == RECORDS[:3]
    assert list(sink) == []
    sink.stop()
    assert reactor.sent.empty()


def test_queue_sink_error(reactor):
    """An error that ends the run reaches the consumer after the last record."""
    sink = QueueSink(reactor)
    put(sink, 0)
    sink.fail(FULL)
    records = iter(sink)
    assert next(records) == RECORDS[0]
    with pytest.raises(CodedError) as caught:
        next(records)
    assert caught.value is FULL


def test_queue_sink_when_the_consumer_stops(reactor):
    """A consumer that wants no more never blocks the crawl: what waits is let go, what still comes is dropped."""
    sink = QueueSink(reactor, capacity=2)
    _, waiting = put(sink, 0, 1)
    sink.stop()
    reactor.pump(lambda: waiting.called)
    assert put(sink, 2, 3, 4) == [None, None, None]
    sink.close()
    assert list(sink) == []


def test_queue_sink_wakes_a_waiting_consumer(reactor):
    """A consumer that waits on an empty queue wakes when the sink is closed."""
    sink, got = QueueSink(reactor), []
    thread = consume(sink, got)
    sink.close()
    thread.join(5)
    assert not thread.is_alive()
    assert got == []
