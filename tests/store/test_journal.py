"""crawler.store.journal: what a batch holds, and what may wait for the next one."""

from __future__ import annotations

import msgspec
import pytest
from job_tools import bad_line, bad_record, link, record, req

from crawler.store.journal import WAIT, Journal, checksum
from crawler.store.rows import BEGUN, PARKED, QUEUED, Mark


@pytest.fixture
def journal():
    return Journal()


def seed(journal: Journal, number: int) -> None:
    """One line of the list is read and accepted."""
    request = req(number)
    journal.seed_taken(request.written)
    journal.added(request)


def ids(batch) -> list[int]:
    return [new.id for new in batch.new]


def mark(count: int) -> Mark:
    """How far the list was read after so many lines."""
    crc = 0
    for number in range(count):
        crc = checksum(req(number).written, crc)
    return Mark(count, crc)


class TestLists:
    def test_a_line_waits_for_its_record(self, journal):
        """It has no row yet, and does not count as read: it would be read again."""
        seed(journal, 0)
        assert journal.cut(0.0) is None
        assert not journal.empty

    def test_one_row_tells_all(self, journal):
        """A line that was fetched in time is written when it has ended; those before it are, too, as they stand."""
        for number in range(4):
            seed(journal, number)
        journal.ended(2, record(req(2)))
        batch = journal.cut(0.0)
        assert ids(batch) == [0, 1, 2]
        assert [new.ended is None for new in batch.new] == [True, True, False]
        assert batch.ended == []
        assert batch.seeds == mark(3)

    def test_what_has_a_row_is_changed(self, journal):
        """A record that comes later than its row is an end on its own."""
        seed(journal, 0)
        journal.cut(0.0, everything=True)
        journal.ended(0, record(req(0)))
        batch = journal.cut(0.0)
        assert (ids(batch), len(batch.ended)) == ([], 1)

    def test_no_line_waits_long(self, journal):
        """After a second, two at most, it is written without its record."""
        journal.cut(10.0)
        seed(journal, 0)
        assert journal.cut(10.0 + 0.9 * WAIT) is None
        journal.cut(10.0 + WAIT)
        seed(journal, 1)
        batch = journal.cut(10.0 + 2 * WAIT)
        assert ids(batch) == [0]
        assert batch.seeds == mark(1)
        assert ids(journal.cut(10.0 + 3 * WAIT)) == [1]

    def test_the_end_waits_for_nothing(self, journal):
        """At the end of a run everything is written, and the list counts as read as far as it was."""
        for number in range(3):
            seed(journal, number)
        batch = journal.cut(0.0, everything=True)
        assert ids(batch) == [0, 1, 2]
        assert batch.seeds == mark(3)
        assert journal.empty
        assert journal.cut(0.0, everything=True) is None

    def test_a_line_that_is_not_fetched_is_owed_its_record(self, journal):
        """It has a row before its record is written, for that may wait for other records."""
        journal.seed_taken("nonsense")
        journal.refused(0, bad_line(0))
        seed(journal, 1)
        journal.ended(1, record(req(1)))
        batch = journal.cut(0.0)
        assert ids(batch) == [0, 1]
        assert batch.new[0].ended is None
        journal.ended(0, bad_record(bad_line(0)))
        assert len(journal.cut(0.0).unfetched) == 1

    def test_a_list_goes_on_where_the_run_before_stopped(self):
        """The count and the checksum are of all runs together."""
        journal = Journal(following=2, seeds=mark(2))
        journal.seed_taken(req(2).written)
        journal.added(req(2))
        assert journal.cut(0.0, everything=True).seeds == mark(3)

    def test_a_line_that_is_known_already_was_read(self, journal):
        """In a crawl a seed may be nothing new; it is not read again for that, and the next link is not taken for it."""
        seed(journal, 0)
        journal.seed_taken(req(1).written)
        journal.known()
        journal.added(link(1, "http://a.example/0"))
        batch = journal.cut(0.0)
        assert ids(batch) == [0, 1]
        assert batch.seeds == mark(2)


class TestCrawls:
    def test_links_are_written_with_their_page(self, journal):
        """The record of a page is never committed before its links are."""
        journal.added(req(0))
        journal.cut(0.0, everything=True)
        journal.added(link(1, "http://a.example/0"))
        journal.added(link(2, "http://a.example/0"))
        journal.ended(0, record(req(0)))
        batch = journal.cut(0.0)
        assert ids(batch) == [1, 2]
        assert len(batch.ended) == 1

    def test_the_key_is_written_with_the_link(self, journal):
        """Known is what has a row."""
        journal.added(link(0, "http://a.example/"), b"k" * 16)
        assert [new.key for new in journal.cut(0.0).new] == [b"k" * 16]

    def test_what_is_on_disk_alone_gets_there(self, journal):
        """A spilled URL waits for nothing, though it may be of a list."""
        backlog = object()
        seed(journal, 0)
        seed(journal, 1)
        journal.spilled(backlog, 1)
        seed(journal, 2)
        batch = journal.cut(0.0)
        assert ids(batch) == [0, 1]
        assert batch.spilled == {backlog: 1}


class TestTries:
    def test_a_retry_of_what_has_a_row(self, journal):
        """State, host, attempt and time are those of the request that waits."""
        journal = Journal(epoch=lambda: 1000.0, following=1)
        again = msgspec.structs.replace(req(0), attempt=2)
        journal.again(again, 5.0, parked=False)
        assert journal.cut(0.0).again == [(BEGUN, "a.example:80", 2, 1005.0, None, None, 0)]

    def test_a_retry_of_what_has_none(self, journal):
        """It becomes part of the row, which waits on."""
        seed(journal, 0)
        journal.again(msgspec.structs.replace(req(0), attempt=2), 5.0, parked=True)
        assert journal.cut(0.0) is None
        (new,) = journal.cut(0.0, everything=True).new
        assert (new.state, new.again.attempt, new.not_before) == (PARKED, 2, 5.0)
        assert new.what == req(0)

    def test_events_that_shall_not_wait_are_counted(self, journal):
        """By `size` it is known when a batch is worth a commit; new lines are not."""
        seed(journal, 0)
        assert journal.size == 0
        journal.ended(0, record(req(0)))
        assert journal.size == 1
        journal.cut(0.0)
        assert journal.size == 0


class TestBatches:
    def test_the_first_event_wakes(self, journal):
        """Once after each cut that left nothing."""
        woken = []
        journal.on_event = lambda: woken.append(None)
        seed(journal, 0)
        seed(journal, 1)
        assert len(woken) == 1
        journal.cut(0.0)
        seed(journal, 2)
        assert len(woken) == 1
        journal.cut(0.0, everything=True)
        journal.ended(0, record(req(0)))
        assert len(woken) == 2

    def test_batches_are_numbered(self, journal):
        """A record says with which batch it was written; an empty cut uses no number up."""
        journal = Journal(batch=7)
        assert journal.cut(0.0) is None
        journal.added(req(0))
        journal.ended(0, record(req(0)))
        batch = journal.cut(0.0)
        assert batch.number == 7
        assert 7 in batch.new[0].ended
        journal.added(req(1))
        assert journal.cut(0.0).number == 8

    @pytest.mark.parametrize("number", [4, 5])
    def test_ids_ascend(self, number):
        """Two inputs under one id could not be told apart, and the order of rows is that of ids."""
        journal = Journal(following=5)
        journal.added(req(5))
        with pytest.raises(KeyError, match="share an id, or are out of order"):
            journal.added(req(number))


def test_lines_that_are_no_text_have_a_checksum():
    """A list that came from Python may hold anything."""
    assert checksum("\ud800") == checksum("?")
    assert checksum("b", checksum("a")) != checksum("a", checksum("b"))


def test_new_rows_begin_queued(journal):
    """Until told otherwise."""
    journal.added(req(0))
    assert journal.cut(0.0).new[0].state == QUEUED
