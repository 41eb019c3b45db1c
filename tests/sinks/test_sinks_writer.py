"""crawler.sinks.writer: every byte reaches the file or the error reaches the caller, and a slow reader stops nobody else."""

from __future__ import annotations

import errno
import gzip
import os
import resource
import threading
from pathlib import Path

import pytest
from threaded_clock import ThreadedClock
from twisted.internet.defer import Deferred

from crawler.errors import CodedError
from crawler.sinks.writer import BUFFER_SIZE, FLUSH_AFTER, MAX_WAITING, Writer, open_output


@pytest.fixture
def clock():
    clock = ThreadedClock()
    yield clock
    assert clock.getDelayedCalls() == [], "an idle writer has no timer"


def error_of(deferred: Deferred[None] | None) -> CodedError:
    """The error that a failed Deferred holds."""
    failures = []
    assert deferred is not None
    deferred.addErrback(failures.append)
    assert failures, "the Deferred has not failed"
    return failures[0].value


def done(clock: ThreadedClock, deferred: Deferred[None] | None) -> None:
    """Wait for a Deferred to succeed."""
    if deferred is not None:
        results = []
        deferred.addBoth(results.append)
        clock.pump(lambda: results)
        assert results == [None]


class Disk:
    """Stands in for os.write: takes `room` bytes, at most `at_once` in one call, then fails with `error`."""

    def __init__(self, room: int, at_once: int = 1 << 30, error: int = errno.ENOSPC) -> None:
        self.room, self.at_once, self.error = room, at_once, error
        self.write = os.write

    def __call__(self, fd: int, data: memoryview) -> int:
        count = min(self.room, self.at_once, len(data))
        if not count:
            raise OSError(self.error, os.strerror(self.error))
        self.room -= count
        return self.write(fd, data[:count])


# Regular files.


def test_small_writes_wait_a_quarter_of_a_second(tmp_path, clock):
    """A line is in the file 0.25 s after it was written, without another write."""
    path = tmp_path / "out"
    writer = open_output(str(path), clock, overwrite=False)
    assert writer.write(b"one\n") is None
    clock.advance(FLUSH_AFTER / 2)
    assert writer.write(b"two\n") is None
    assert path.read_bytes() == b""
    clock.advance(FLUSH_AFTER / 2)
    assert path.read_bytes() == b"one\ntwo\n"
    assert writer.close() is None


def test_a_full_buffer_is_written_at_once(tmp_path, clock):
    """64 KiB do not wait for the clock, and leave no timer behind."""
    path = tmp_path / "out"
    writer = open_output(str(path), clock, overwrite=False)
    writer.write(b"a\n")
    assert writer.write(b"b" * BUFFER_SIZE) is None
    assert path.stat().st_size == BUFFER_SIZE + 2
    assert clock.getDelayedCalls() == []
    assert writer.close() is None


def test_flush_and_close(tmp_path, clock):
    """flush and close write what is buffered; closing again is fine; writing to a closed output is a bug of the caller."""
    path = tmp_path / "out"
    writer = open_output(str(path), clock, overwrite=False)
    writer.write(b"one\n")
    assert writer.flush() is None
    assert path.read_bytes() == b"one\n"
    assert writer.flush() is None
    writer.write(b"two\n")
    assert writer.close() is None
    assert writer.close() is None
    assert path.read_bytes() == b"one\ntwo\n"
    with pytest.raises(ValueError, match="closed"):
        writer.write(b"three\n")


def test_short_writes(tmp_path, clock, monkeypatch):
    """The operating system may take less than it is given: the rest follows."""
    path = tmp_path / "out"
    writer = open_output(str(path), clock, overwrite=False)
    monkeypatch.setattr(os, "write", Disk(room=1 << 30, at_once=7))
    writer.write(b"0123456789\n" * 10)
    assert writer.close() is None
    assert path.read_bytes() == b"0123456789\n" * 10


@pytest.mark.parametrize("room", range(13))
@pytest.mark.parametrize("at_once", [1, 3, 100])
def test_a_full_disk_leaves_whole_records(tmp_path, clock, monkeypatch, room, at_once):
    """Whatever fits, the file ends with a whole record (which may hold line ends of its own), and the error is final."""
    path = tmp_path / "out"
    writer = open_output(str(path), clock, overwrite=False)
    writer.write(b"first\n")
    assert writer.flush() is None
    monkeypatch.setattr(os, "write", Disk(room, at_once))
    for record in (b'"a\nb"\n', b"12345\n", b"x\n"):
        assert writer.write(record) is None
    error = error_of(writer.flush())
    assert error.code == "disk_full"
    assert str(path) in error.message
    assert path.read_bytes() == b"first\n" + (b"" if room < 6 else b'"a\nb"\n' if room < 12 else b'"a\nb"\n12345\n')
    monkeypatch.undo()
    for again in (writer.write(b"more\n"), writer.flush(), writer.close(), writer.close()):
        assert error_of(again) is error
    assert b"more" not in path.read_bytes()


def test_file_size_limit(tmp_path, clock):
    """A real limit of the system (EFBIG after a partial write) is a full disk as well."""
    path = tmp_path / "out"
    writer = open_output(str(path), clock, overwrite=False)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        for _ in range(10):
            writer.write(b"0123456789abcde\n")
        error = error_of(writer.flush())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert error.code == "disk_full"
    assert path.read_bytes() == b"0123456789abcde\n" * 6
    assert error_of(writer.close()) is error


def test_an_error_between_writes_is_told_by_the_next(tmp_path, clock, monkeypatch):
    """What fails when the timer writes is not lost: the next call tells it."""
    writer = open_output(str(tmp_path / "out"), clock, overwrite=False)
    writer.write(b"one\n")
    monkeypatch.setattr(os, "write", Disk(0, error=errno.EIO))
    clock.advance(FLUSH_AFTER)
    error = error_of(writer.write(b"two\n"))
    assert error.code == "write_error"
    assert os.strerror(errno.EIO) in error.message
    assert error_of(writer.close()) is error


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_kinds_of_full(tmp_path, clock, monkeypatch, number):
    """No space, no quota and no more file size are all the same to the user."""
    writer = open_output(str(tmp_path / "out"), clock, overwrite=False)
    monkeypatch.setattr(os, "write", Disk(0, error=number))
    writer.write(b"one\n")
    assert error_of(writer.close()).code == "disk_full"


def test_an_error_on_closing(tmp_path, clock, monkeypatch):
    """Network file systems may report a full disk only when the file is closed."""
    writer = open_output(str(tmp_path / "out"), clock, overwrite=False)
    writer.write(b"one\n")
    close = os.close

    def failing(fd: int) -> None:
        close(fd)
        raise OSError(errno.EDQUOT, "quota")

    monkeypatch.setattr(os, "close", failing)
    error = error_of(writer.close())
    monkeypatch.undo()
    assert error.code == "disk_full"
    assert error_of(writer.close()) is error


def test_what_others_wrote_is_not_cut(tmp_path, clock, monkeypatch):
    """`>out 2>&1`: when another program has written after our torn record, the file is left as it is."""
    path = tmp_path / "out"
    with path.open("ab") as shared:
        writer = Writer(os.dup(shared.fileno()), "out", clock)
        write = Disk(room=4)

        def interrupted(fd: int, data: memoryview) -> int:
            if not write.room:
                with path.open("ab") as other:
                    other.write(b"other\n")
            return write(fd, data)

        monkeypatch.setattr(os, "write", interrupted)
        writer.write(b"012345\n")
        assert error_of(writer.close()).code == "disk_full"
    assert path.read_bytes() == b"0123other\n"


def test_who_writes_next_leaves_no_hole(tmp_path, clock, monkeypatch):
    """`(crawler; other) >out`: after our torn record is taken back, the next program goes on where the file ends."""
    path = tmp_path / "out"
    with path.open("wb", buffering=0) as shared:
        writer = Writer(os.dup(shared.fileno()), "out", clock)
        monkeypatch.setattr(os, "write", Disk(room=6))
        writer.write(b"one\n")
        writer.write(b"two\n")
        assert error_of(writer.close()).code == "disk_full"
        monkeypatch.undo()
        shared.write(b"other\n")
    assert path.read_bytes() == b"one\nother\n"


def test_appends_to_what_is_there(tmp_path, clock, monkeypatch):
    """`>>out`: a full disk takes back our torn record and nothing that was there before."""
    path = tmp_path / "out"
    path.write_bytes(b"before\n")
    writer = Writer(os.open(path, os.O_WRONLY | os.O_APPEND), "out", clock)
    monkeypatch.setattr(os, "write", Disk(room=9))
    writer.write(b"one\n")
    writer.write(b"two-two\n")
    assert error_of(writer.close()).code == "disk_full"
    assert path.read_bytes() == b"before\none\n"


# gzip.


def test_gz(tmp_path, clock):
    """A path that ends in .gz is compressed; after every flush the file can be decoded."""
    path = tmp_path / "out.jsonl.gz"
    writer = open_output(str(path), clock, overwrite=False)
    writer.write(b"one\n")
    writer.flush()
    assert gzip.decompress(path.read_bytes()) == b"one\n"
    writer.write(b"two\n")
    assert writer.close() is None
    assert gzip.decompress(path.read_bytes()) == b"one\ntwo\n"


def test_gz_without_records(tmp_path, clock):
    """An output without records is still a gzip file."""
    path = tmp_path / "out.gz"
    assert open_output(str(path), clock, overwrite=False).close() is None
    assert path.stat().st_size
    assert gzip.decompress(path.read_bytes()) == b""


def test_gz_and_a_full_disk(tmp_path, clock, monkeypatch):
    """A member that does not fit is taken back as a whole."""
    path = tmp_path / "out.gz"
    writer = open_output(str(path), clock, overwrite=False)
    writer.write(b"one\n")
    writer.flush()
    monkeypatch.setattr(os, "write", Disk(room=20))
    for _ in range(100):
        writer.write(b"two\n")
    assert error_of(writer.flush()).code == "disk_full"
    assert gzip.decompress(path.read_bytes()) == b"one\n"
    assert error_of(writer.close()).code == "disk_full"


# Streams.


@pytest.fixture
def pipe(clock):
    reader, writer = os.pipe()
    yield reader, Writer(writer, "pipe", clock)
    os.close(reader)


def read_all(fd: int) -> bytes:
    return b"".join(iter(lambda: os.read(fd, 1 << 16), b""))


def test_pipe(pipe, clock):
    """What is written to a pipe arrives, in order, 0.25 s later at the latest."""
    reader, writer = pipe
    writer.write(b"one\n")
    writer.write(b"two\n")
    clock.advance(FLUSH_AFTER)
    assert os.read(reader, 100) == b"one\ntwo\n"
    writer.write(b"three\n")
    done(clock, writer.close())
    assert read_all(reader) == b"three\n"
    assert writer.close() is None


def test_a_slow_reader_is_back_pressure(pipe, clock):
    """While more than 1 MiB waits, write gives a Deferred; it fires when the reader has taken the rest. Nothing is lost."""
    reader, writer = pipe
    record = b"x" * 99_999 + b"\n"
    written, waiting = 0, None
    while waiting is None:
        waiting = writer.write(record)
        written += 1
    assert MAX_WAITING < written * len(record) < 2 * MAX_WAITING
    assert not waiting.called, "and the reactor was not blocked, although nobody reads"
    received = []
    thread = threading.Thread(target=lambda: received.append(read_all(reader)))
    thread.start()
    done(clock, waiting)
    done(clock, writer.close())
    thread.join(5)
    assert received == [record * written]


def test_flush_waits_for_the_reader(pipe, clock):
    """flush is done when everything before it is in the pipe."""
    reader, writer = pipe
    writer.write(b"x" * 200_000)  # more than a pipe holds
    flushed = writer.flush()
    assert flushed is not None
    assert not flushed.called
    thread = threading.Thread(target=lambda: read_all(reader))
    thread.start()
    done(clock, flushed)
    assert writer.flush() is None
    done(clock, writer.close())
    thread.join(5)


def test_broken_pipe(pipe, clock):
    """`| head -1`: everyone who waits hears of it, and the cause tells that it is nothing to shout about."""
    reader, writer = pipe
    waiting = [writer.write(b"x" * MAX_WAITING), writer.write(b"y"), writer.flush()]
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, reader)  # closes the reading end
    os.close(null)
    clock.pump(lambda: writer.error is not None)
    errors = {error_of(deferred) for deferred in waiting if deferred is not None}
    assert errors == {writer.error}
    assert writer.error.code == "write_error"
    assert writer.error is not None
    assert isinstance(writer.error.__cause__, BrokenPipeError)
    assert error_of(writer.write(b"more")) is writer.error
    assert error_of(writer.close()) is writer.error


def test_a_non_blocking_pipe(clock):
    """Whoever shares our stdout may have made it non-blocking: then we wait for room as well."""
    reader, fd = os.pipe()
    os.set_blocking(fd, False)
    writer = Writer(fd, "pipe", clock)
    writer.write(b"x" * 300_000)
    received = []
    thread = threading.Thread(target=lambda: received.append(read_all(reader)))
    thread.start()
    done(clock, writer.close())
    thread.join(5)
    os.close(reader)
    assert received == [b"x" * 300_000]


def test_cancel_only_stops_waiting(pipe, clock):
    """Cancelling the Deferred of a write does not take the record back."""
    reader, writer = pipe
    waiting = writer.write(b"x" * (2 * MAX_WAITING))
    waiting.addErrback(lambda _: None)
    waiting.cancel()
    received = []
    thread = threading.Thread(target=lambda: received.append(read_all(reader)))
    thread.start()
    done(clock, writer.close())
    thread.join(5)
    assert len(received[0]) == 2 * MAX_WAITING


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_device(clock):
    """ENOSPC is a full disk on whatever it happens."""
    writer = open_output("/dev/full", clock, overwrite=False)
    writer.write(b"one\n")
    closing = writer.close()
    clock.pump(lambda: writer.error is not None)
    assert error_of(closing).code == "disk_full"


# Opening.


def test_an_existing_file_is_kept(tmp_path, clock):
    """-o never destroys a file; the message says how to."""
    path = tmp_path / "out"
    path.write_text("precious")
    with pytest.raises(ValueError, match=r"out exists already: -O/--overwrite-output replaces it"):
        open_output(str(path), clock, overwrite=False)
    assert path.read_text() == "precious"


def test_overwrite(tmp_path, clock):
    """-O starts the file anew, whether it was there or not."""
    path = tmp_path / "out"
    for _ in range(2):
        writer = open_output(str(path), clock, overwrite=True)
        writer.write(b"new\n")
        assert writer.close() is None
        assert path.read_bytes() == b"new\n"
        path.write_bytes(b"old and longer\n")


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_directory_is_refused(tmp_path, clock, overwrite):
    """A directory is no output."""
    with pytest.raises(ValueError, match="is a directory"):
        open_output(str(tmp_path), clock, overwrite=overwrite)


def test_a_link_to_nowhere_is_not_followed(tmp_path, clock):
    """-o creates a file, it does not write through a link that somebody left there."""
    link = tmp_path / "out"
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="exists already"):
        open_output(str(link), clock, overwrite=False)
    assert not (tmp_path / "elsewhere").exists()


def test_what_cannot_be_opened(tmp_path, clock):
    """What the system refuses is a write_error with its reason and the path."""
    with pytest.raises(CodedError, match=r"missing/out: No such file") as caught:
        open_output(str(tmp_path / "missing" / "out"), clock, overwrite=False)
    assert caught.value.code == "write_error"


def test_a_device_is_no_file_to_overwrite(clock):
    """-o /dev/null and named pipes need no -O."""
    writer = open_output(os.devnull, clock, overwrite=False)
    writer.write(b"gone\n")
    done(clock, writer.close())


def test_standard_output(clock, capfd):
    """ "-" is standard output, which stays open afterwards."""
    writer = open_output("-", clock, overwrite=False)
    writer.write(b"one\n")
    done(clock, writer.close())
    os.fstat(1)
    assert capfd.readouterr().out == "one\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_to_overwrite_a_device(clock):
    """It has nothing that could be emptied: what is written to it is all that counts."""
    writer = open_output("/dev/null", clock, overwrite=True)
    writer.write(b"line\n")
    done(clock, writer.flush())
    done(clock, writer.close())
    writer = open_output("/dev/full", clock, overwrite=True)
    writer.write(b"line\n")
    results = []
    writer.close().addBoth(results.append)
    clock.pump(lambda: results)
    assert results[0].value.code == "disk_full"
