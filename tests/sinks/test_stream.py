"""crawler.sinks.stream: what is written is taken whole, or not at all; who takes it slowly is waited for."""

from __future__ import annotations

import errno
import gzip
import threading
from pathlib import Path

import pytest
from threaded_clock import ThreadedClock

from crawler.errors import CodedError
from crawler.sinks.stream import StreamWriter
from crawler.sinks.writer import MAX_WAITING

NAME = "s3://bucket/key"


class Taker:
    """Takes pieces once it may, all or so many bytes; what it has at the end of them is `whole`."""

    def __init__(self, *, most: int | None = None, error: Exception | None = None) -> None:
        self.may = threading.Event()
        self.may.set()
        self.begun = threading.Event()
        self.most = most
        self.error = error
        self.whole: bytes | None = None
        self.ended: BaseException | None = None

    def __call__(self, pieces) -> None:
        self.begun.set()
        self.may.wait()
        taken = b""
        try:
            for piece in pieces:
                taken += piece
                self._look(len(taken))
        except BaseException as error:
            self.ended = error
            raise
        self.whole = taken

    def _look(self, size: int) -> None:
        if self.most is not None and size >= self.most:
            raise self.error


@pytest.fixture
def clock():
    return ThreadedClock()


def outcome(clock: ThreadedClock, deferred) -> object:
    results = []
    if deferred is None:
        return None
    deferred.addBoth(results.append)
    clock.pump(lambda: results)
    return getattr(results[0], "value", results[0])


@pytest.mark.parametrize("lines", [[], [b"one\n"], [b"x" * 99 + b"\n"] * 30_000])
@pytest.mark.parametrize("compress", [False, True])
def test_all_is_taken(clock, lines, compress):
    """Also nothing, of which there is an object; packed as a file of that name is."""
    taker = Taker()
    writer = StreamWriter(taker, NAME, clock, compress=compress)
    for line in lines:
        outcome(clock, writer.write(line))
    assert outcome(clock, writer.close()) is None
    assert taker.whole is not None
    assert (gzip.decompress(taker.whole) if compress else taker.whole) == b"".join(lines)


def test_a_slow_store_is_waited_for(clock):
    """Never more than a mebibyte and a pipe's is held: memory is bounded by what parts are."""
    taker = Taker()
    taker.may.clear()
    writer = StreamWriter(taker, NAME, clock, compress=False)
    written = 0
    while (waits := writer.write(b"x" * 10_000)) is None:
        written += 10_000
        assert written < 2 * MAX_WAITING
    taker.may.set()
    assert outcome(clock, waits) is None
    assert outcome(clock, writer.close()) is None


@pytest.mark.parametrize(("number", "code"), [(errno.ENOSPC, "disk_full"), (errno.EIO, "write_error")])
def test_what_the_store_says_is_the_error(clock, number, code):
    """Not that a pipe is broken; it is final, and nothing is whole."""
    taker = Taker(most=100_000, error=OSError(number, "503 Service Unavailable"))
    writer = StreamWriter(taker, NAME, clock, compress=False)
    error = None
    while error is None:
        error = outcome(clock, writer.write(b"x" * 10_000))
    assert isinstance(error, CodedError)
    assert (error.code, error.message) == (code, f"{NAME}: 503 Service Unavailable")
    assert outcome(clock, writer.close()) is error
    assert taker.whole is None


def test_an_error_at_the_end_is_told(clock):
    taker = Taker(most=1, error=OSError(errno.EIO, "404 Not Found"))
    writer = StreamWriter(taker, NAME, clock, compress=False)
    writer.write(b"one\n")
    assert "404 Not Found" in str(outcome(clock, writer.close()))


def test_what_is_given_up_is_never_whole(clock):
    """Who takes it sees an error in place of the end: an object of half the records would look like all of them."""
    taker = Taker()
    taker.may.clear()
    writer = StreamWriter(taker, NAME, clock, compress=False)
    for _ in range(300):
        if (waits := writer.write(b"x" * 10_000)) is not None:
            waits.addErrback(lambda _: None)
    closing = writer.close()
    assert taker.begun.wait(10)
    closing.cancel()
    assert "given up" in str(outcome(clock, closing))
    taker.may.set()
    writer._taking.join(10)
    assert taker.whole is None
    assert isinstance(taker.ended, OSError)


def test_one_that_is_discarded_leaves_nothing(clock):
    """Another output could not be opened: nobody is asked to take anything, and no descriptor stays."""
    taker = Taker()
    before = len([*Path("/dev/fd").iterdir()])
    writer = StreamWriter(taker, NAME, clock, compress=False)
    writer.discard()
    assert len([*Path("/dev/fd").iterdir()]) == before
    assert taker.whole is taker.ended is None
