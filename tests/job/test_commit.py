"""crawler.job.commit: first the records, then the flush, then the transaction; and after an error nothing any more."""

from __future__ import annotations

import threading

import pytest
from job_tools import HandReactor, bad_line, record, req
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.python.failure import Failure

from crawler.errors import CodedError
from crawler.job.commit import EVENTS, INTERVAL, MAX_WAITING, Committing
from crawler.store.journal import Journal


class Outputs:
    """A sink, the sizes of its files and a store, that write down what is asked of them."""

    def __init__(self) -> None:
        self.story: list = []
        self.buffered = self.size = 0
        self.batches: list = []
        self.answer = None
        self.flushing = None
        self.closing = None
        self.store_error: BaseException | None = None
        self.may_write = threading.Event()
        self.may_write.set()
        self.at_close = 0

    def write(self, record, response, sequence):
        self.story.append(("record", sequence))
        if isinstance(self.answer, Exception):
            raise self.answer
        self.buffered += 1
        answer, self.answer = self.answer, None
        return answer

    def flush(self):
        self.story.append("flush")
        self.size, self.buffered = self.size + self.buffered, 0
        return self.flushing

    def close(self):
        self.story.append("close")
        self.size += self.at_close
        return self.closing

    def store(self, batch) -> None:
        self.may_write.wait(5)
        if self.store_error is not None:
            raise self.store_error
        self.batches.append(batch)
        self.story.append(("commit", batch.offsets[1]))


class Parts:
    def __init__(self) -> None:
        self.reactor = HandReactor()
        self.journal = Journal()
        self.outputs = Outputs()
        self.committed: list = []
        self.sink = Committing(
            self.outputs,
            reactor=self.reactor,
            journal=self.journal,
            sizes=lambda: {1: self.outputs.size},
            write=self.outputs.store,
            committed=self.committed.append,
        )
        self.number = 0

    def write(self, count: int = 1):
        """Accept and record the next URLs; what the last write returned."""
        answer = None
        for _ in range(count):
            request = req(self.number)
            self.number += 1
            self.journal.added(request)
            answer = self.sink.write(record(request), None, request.id)
        return answer

    def close(self):
        return self.reactor.result(self.sink.close())


@pytest.fixture
def parts():
    parts = Parts()
    yield parts
    parts.outputs.may_write.set()
    parts.outputs.flushing = parts.outputs.closing = None
    closing = parts.sink.close()
    closing.addErrback(lambda _: None)
    parts.reactor.result(closing)
    assert not parts.sink._thread.is_alive()
    assert parts.reactor.getDelayedCalls() == [], "no timer is left"


def failure_of(deferred) -> BaseException:
    failures: list[Failure] = []
    deferred.addErrback(failures.append)
    assert failures, "it has not failed"
    return failures[0].value


class TestOrder:
    def test_records_flush_commit(self, parts):
        """What is committed is in the files; the size committed is that of the files right then."""
        assert parts.write(3) is None
        assert parts.outputs.story == [("record", 0), ("record", 1), ("record", 2)]
        parts.reactor.advance(INTERVAL)
        parts.reactor.turn()
        assert parts.outputs.story[3:] == ["flush", ("commit", 3)]
        assert parts.committed == parts.outputs.batches

    def test_many_events_do_not_wait_for_the_time(self, parts):
        """A batch is due after 256 of them."""
        parts.write(EVENTS)
        parts.reactor.turn()
        assert parts.outputs.story[-2:] == ["flush", ("commit", EVENTS)]

    def test_one_batch_at_a_time(self, parts):
        """What happens during a commit belongs to the next one, which follows at once when it is due."""
        parts.outputs.may_write.clear()
        parts.write(EVENTS)
        parts.write(EVENTS + 5)
        assert parts.outputs.story.count("flush") == 1
        parts.outputs.may_write.set()
        parts.reactor.turn()
        parts.reactor.turn()
        assert [batch.offsets[1] for batch in parts.outputs.batches] == [EVENTS, 2 * EVENTS + 5]

    def test_a_time_that_comes_during_a_commit_is_not_forgotten(self, parts):
        """The batch that was due then follows when the other is done."""
        parts.outputs.may_write.clear()
        parts.write(EVENTS)
        parts.write(1)
        parts.reactor.advance(INTERVAL)
        parts.outputs.may_write.set()
        parts.reactor.turn()
        parts.reactor.turn()
        assert parts.outputs.batches[-1].offsets == {1: EVENTS + 1}

    def test_lines_without_records_are_committed_in_time(self, parts):
        """Nothing need be written for what was accepted to be safe."""
        parts.journal.refused(0, bad_line(0))
        for _ in range(60):
            parts.reactor.advance(INTERVAL)
        parts.reactor.turn()
        assert [new.id for new in parts.outputs.batches[0].new] == [0]
        parts.number = 1

    def test_nothing_to_do_costs_no_timer(self, parts):
        """When all is committed nothing is scheduled."""
        parts.write()
        for _ in range(3):
            parts.reactor.advance(INTERVAL)
        parts.reactor.turn()
        parts.reactor.advance(INTERVAL)
        assert parts.reactor.getDelayedCalls() == []
        assert len(parts.outputs.batches) == 1

    def test_flush_commits_everything(self, parts):
        """Lines that wait for their records, too."""
        parts.write(2)
        parts.journal.added(req(2))
        parts.number = 3
        parts.reactor.result(parts.sink.flush())
        assert parts.journal.empty
        assert [new.id for new in parts.outputs.batches[-1].new] == [0, 1, 2]

    def test_a_slow_pipe_is_waited_for(self, parts):
        """The commit follows the flush; what is written meanwhile is not part of it."""
        parts.outputs.flushing = Deferred()
        parts.write(EVENTS)
        parts.write(2)
        assert parts.outputs.batches == []
        parts.outputs.flushing.callback(None)
        parts.reactor.turn()
        assert [batch.offsets[1] for batch in parts.outputs.batches] == [EVENTS]


class TestPressure:
    def test_the_outputs_own_pressure_is_passed_on(self, parts):
        """A Deferred of the sink is what `write` returns."""
        parts.outputs.answer = waiting = Deferred()
        assert parts.write() is waiting
        waiting.callback(None)

    def test_a_slow_disk_holds_the_crawl_up(self, parts):
        """With too many events on their way, `write` asks to wait until the next commit."""
        parts.outputs.may_write.clear()
        answers = [parts.write() for _ in range(EVENTS + MAX_WAITING)]
        assert answers[-2] is None
        assert not answers[-1].called
        parts.outputs.may_write.set()
        parts.reactor.turn()
        assert answers[-1].called

    def test_who_stops_waiting_breaks_nothing(self, parts):
        """To cancel is to be in a hurry; the record is taken."""
        parts.outputs.answer = Deferred()
        waiting = parts.write()
        waiting.cancel()
        assert isinstance(failure_of(waiting), CancelledError)
        parts.close()
        assert parts.outputs.batches[-1].offsets == {1: 1}


class TestErrors:
    ERROR = CodedError("disk_full", "no space")

    def check_nothing_more(self, parts) -> None:
        commits = len(parts.outputs.batches)
        assert failure_of(parts.write()) is self.ERROR
        parts.reactor.advance(10.0)
        with pytest.raises(CodedError, match="no space"):
            parts.reactor.result(parts.sink.flush())
        with pytest.raises(CodedError, match="no space"):
            parts.close()
        assert len(parts.outputs.batches) == commits
        assert parts.outputs.story[-1] == "close"

    def test_a_record_that_is_refused(self, parts):
        """The sink raises: the record does not count, and nothing after it."""
        parts.write(2)
        parts.outputs.answer = self.ERROR
        with pytest.raises(CodedError):
            parts.write()
        self.check_nothing_more(parts)

    def test_a_record_that_fails(self, parts):
        """The sink's Deferred fails, sooner or later."""
        parts.outputs.answer = later = Deferred()
        answer = parts.write()
        later.errback(self.ERROR)
        assert failure_of(answer) is self.ERROR
        self.check_nothing_more(parts)

    def test_a_flush_that_fails(self, parts):
        """What is not in the files is not committed."""
        parts.outputs.flushing = fail(self.ERROR)
        parts.write(EVENTS)
        assert parts.outputs.batches == []
        self.check_nothing_more(parts)

    def test_a_commit_that_fails(self, parts):
        """The store's error reaches whoever waits, and whoever writes next."""
        parts.outputs.may_write.clear()
        answers = [parts.write() for _ in range(EVENTS + MAX_WAITING)]
        parts.outputs.store_error = self.ERROR
        parts.outputs.may_write.set()
        parts.reactor.turn()
        assert failure_of(answers[-1]) is self.ERROR
        assert parts.committed == []
        self.check_nothing_more(parts)


class TestClose:
    def test_all_is_committed_then_closed(self, parts):
        """In this order: what a close adds to a file is committed, too."""
        parts.outputs.at_close = 20
        parts.write(2)
        parts.close()
        assert parts.outputs.story[2:] == ["flush", ("commit", 2), "close", ("commit", 22)]

    def test_nothing_new_nothing_committed(self, parts):
        """A sink that was never used writes nothing."""
        parts.close()
        assert parts.outputs.story == ["close"]

    def test_closing_again_is_fine(self, parts):
        """The second time does nothing."""
        parts.write()
        parts.close()
        story = list(parts.outputs.story)
        assert parts.close() is None
        assert parts.outputs.story == story

    def test_a_reader_that_takes_nothing_is_given_up(self, parts):
        """Cancelling closes the sink and gives up, too, what waits there; what is not flushed is not committed."""
        parts.outputs.flushing = stuck = Deferred()
        parts.outputs.closing = Deferred(lambda _: stuck.errback(CodedError("write_error", "given up")))
        parts.write()
        closing = parts.sink.close()
        closing.cancel()
        assert isinstance(failure_of(closing), CancelledError | CodedError)
        assert parts.outputs.batches == []
        assert parts.outputs.story[-1] == "close"
