"""crawler.job.verify: what is lost, doubled, foreign or out of balance is found, and nothing else."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sqlite3
import tracemalloc
from pathlib import Path

import msgspec
import pytest
from job_tools import Work, bad_line, bad_record, link, record, req, working

from crawler.errors import CodedError
from crawler.job import verify_records
from crawler.job.options import JobError
from crawler.job.status import queue_again
from crawler.job.verify import verify
from crawler.job.verify_records import SHOWN
from crawler.models import Input, Redirect, untried
from crawler.sinks.csv import Csv
from crawler.sinks.jsonl import JsonLines
from crawler.sinks.wanted import Wanted
from crawler.store.seals import of_range
from crawler.urls import canonical_key

NAMES = ("pages.jsonl", "pages.jsonl.gz", "pages.csv", "pages.tsv", "pages.csv.gz")


class Made:
    """A finished job with one output, of 5 records: one failed, one of a bad line, one of a link."""

    def __init__(self, folder: Path, name: str = "pages.jsonl", **options) -> None:
        self.folder = str(folder / "job")
        work = Work(folder, name, begin=False, **options)
        self.path = work.path
        writer = work.job.output(str(work.path), overwrite=False).writer
        fields = options.get("fields", ())
        delimiter = "\t" if ".tsv" in name else ","
        sink = JsonLines(writer, fields=fields) if "json" in name else Csv(writer, fields=fields, delimiter=delimiter)
        work.sink = work.job.sink(sink)
        for request in (req(0), req(1), req(2, input=Input("=odd, name\n.txt", 3)), link(3, "http://a.example/0")):
            work.frontier.add(request)
            work.finish(request, error="conn_reset" if request.id == 1 else "")
        line = bad_line(4, "@nonsense")
        work.journal.refused(4, line)
        work.sink.write(bad_record(line), None, 4)
        work.close()

    def problems(self) -> list[str]:
        return [problem.removeprefix(str(self.path)) for problem in verify(self.folder).problems]

    def rewrite(self, change) -> None:
        """Change the lines of the output, and tell the database of it: as a bug of ours would."""
        zipped = self.path.suffix == ".gz"
        data = self.path.read_bytes()
        lines = (gzip.decompress(data) if zipped else data).splitlines(keepends=True)
        data = b"".join(change(lines))
        data = gzip.compress(data) if zipped else data
        self.path.write_bytes(data)
        self.execute(f"UPDATE outputs SET committed = {len(data)}")
        self.execute(f"UPDATE batches SET offsets = '{{\"1\":{len(data)}}}'")
        self.execute("DELETE FROM seals WHERE part = '1'")
        seal = of_range(io.BytesIO(data), 0, len(data)).hex()
        self.execute(f"INSERT INTO seals SELECT min(number), '1', x'{seal}' FROM batches")

    def execute(self, statement: str) -> None:
        db = sqlite3.connect(Path(self.folder) / "frontier.sqlite", isolation_level=None)
        db.execute(statement)
        db.close()


@pytest.mark.parametrize("name", NAMES)
def test_all_is_well(tmp_path, name):
    """In every format, with odd names and formulas in the cells."""
    assert Made(tmp_path, name).problems() == []


@pytest.mark.parametrize("name", NAMES)
def test_a_record_is_missing(tmp_path, name):
    """It is said which, by its number and its URL."""
    made = Made(tmp_path, name)
    made.rewrite(lambda lines: [line for line in lines if b"a.example/1" not in line])
    assert made.problems() == [": the record of input 1 is missing (http://a.example/1)"]


@pytest.mark.parametrize("name", NAMES)
def test_a_record_is_doubled(tmp_path, name):
    """It is said which, and where the last of them stands."""
    made = Made(tmp_path, name)
    made.rewrite(lambda lines: [*lines, next(line for line in lines if b"a.example/1" in line)])
    assert made.problems() == [": input 1 has 2 records and not 1, the last is record 6 (http://a.example/1)"]


def test_a_record_of_nothing(tmp_path):
    """A record that is no input of the job, or of another line."""
    made = Made(tmp_path)
    made.rewrite(lambda lines: [line.replace(b'"line":2', b'"line":7') for line in lines])
    assert made.problems() == [
        ": record 2 is of no input of this job",
        ": the record of input 1 is missing (http://a.example/1)",
    ]


def test_long_lists_of_problems_are_cut(tmp_path):
    """The first ten, and how many more there are."""
    work = Work(tmp_path)
    for number in range(30):
        work.frontier.add(req(number))
        work.finish(req(number))
    work.close()
    work.path.write_text("")
    db = sqlite3.connect(tmp_path / "job" / "frontier.sqlite", isolation_level=None)
    db.execute("UPDATE outputs SET committed = 0")
    db.execute("UPDATE batches SET offsets = '{\"1\":0}'")
    db.close()
    problems = verify(str(tmp_path / "job")).problems
    assert len(problems) == SHOWN + 1
    assert problems[-1] == f"{work.path}: and 20 more like these"


@pytest.mark.parametrize("name", ["pages.jsonl", "pages.csv"])
def test_without_names_records_are_counted(tmp_path, name):
    """With --fields that leave out what tells records apart, only their number can be wrong."""
    made = Made(tmp_path, name, fields=("status", "url"))
    assert made.problems() == []
    made.rewrite(lambda lines: lines[:-1])
    assert made.problems() == [" has 4 records, and there should be 5"]


def test_the_books_are_checked_against_the_rows(tmp_path):
    """What the database counts is what is in it."""
    made = Made(tmp_path)
    made.execute("UPDATE books SET ok = ok + 1, inputs = inputs - 1")
    assert made.problems() == ["the books say 4 inputs, and there are 5", "the books say 4 ok, and there are 3"]


def test_an_output_that_is_short_gone_or_no_json(tmp_path):
    """What cannot be compared is a problem, too."""
    made = Made(tmp_path)
    data = made.path.read_bytes()
    made.path.write_bytes(data[:100])
    assert made.problems() == [f" has only 100 bytes of the {len(data):,} that were written"]
    made.path.write_bytes(b"x" * len(data))
    assert "cannot be read: JSON is malformed" in made.problems()[1]
    made.path.unlink()
    assert "cannot be read: [Errno 2]" in made.problems()[0]


def test_a_damaged_archive(tmp_path):
    """gzip's own errors are told as such."""
    made = Made(tmp_path, "pages.jsonl.gz")
    data = bytearray(made.path.read_bytes())
    data[20:40] = bytes(20)
    made.path.write_bytes(data)
    assert "cannot be read" in made.problems()[1]


def test_what_is_behind_the_committed_size_does_not_count(tmp_path):
    """A run that was killed may have left it; a run that goes on is writing it."""
    made = Made(tmp_path)
    with made.path.open("ab") as file:
        file.write(b'{"url":"torn')
    assert made.problems() == []


def test_while_a_crawler_is_at_work(tmp_path):
    """The database and the outputs are compared as they were at one commit."""
    with working(tmp_path) as work:
        work.frontier.add(req(0))
        work.frontier.add(req(1))
        work.finish(req(0))
        work.commit()
        work.finish(req(1))
        work.output.writer.flush()
        assert verify(str(tmp_path / "job")).problems == []


def test_a_record_of_an_earlier_failure_counts(tmp_path):
    """After `retry` an input has two records, and is still in balance while it waits for the second."""
    made = Made(tmp_path)
    assert queue_again(made.folder) == 1
    assert made.problems() == []
    with working(tmp_path) as work:
        work.finish(req(1))
    assert made.problems() == []
    assert made.path.read_text().count("a.example/1") >= 2


@pytest.mark.parametrize("skipped", [True, False])
@pytest.mark.parametrize("fields", [(), ("url", "status")])
def test_links_that_were_skipped(tmp_path, skipped, fields):
    """A link that was given up without a request has a record with --skipped only, an input and a redirect always.

    After `retry` each has one more, and no more than that.
    """
    folder = str(tmp_path / "job")
    hop = msgspec.structs.replace(link(2, "http://a.example/0"), redirects=(Redirect("http://a.example/x", 301),))
    requests = [req(0), link(1, "http://a.example/0"), hop]
    for _ in range(2):
        options = {"recursive": True, "skipped": skipped, "fields": fields}
        work = Work(tmp_path, begin=False, key=canonical_key, **options)
        lines = JsonLines(work.job.output(str(work.path), overwrite=False).writer, fields=fields)
        work.sink = work.job.sink(lines if skipped else Wanted(lines))
        for request in requests:
            if not work.job.resumed:
                work.frontier.add(request)
            work.frontier.claim(0.0)
            work.sink.write(untried(request, CodedError("robots_denied", "line 7")), None, request.id)
            work.frontier.finish(request, "skipped", 0.0)
        work.close()
        assert verify(folder).problems == []
        assert queue_again(folder) == 0
        assert queue_again(folder, ("robots_denied",)) == 3
        assert verify(folder).problems == []
    assert len(work.path.read_text().splitlines()) == (6 if skipped else 4)
    if not fields:
        db = sqlite3.connect(tmp_path / "job" / "frontier.sqlite", isolation_level=None)
        db.execute("UPDATE urls SET earlier = earlier + 1 WHERE id = 1")
        db.close()
        assert len(verify(folder).problems) == 1


def test_big_cells(tmp_path):
    """A body in a table may be longer than Python's csv takes by default, which stays as it was."""
    limit = csv.field_size_limit()
    work = Work(tmp_path, "pages.csv", begin=False, fields=["url", "input", "body"])
    sink = Csv(work.job.output(str(work.path), overwrite=False).writer, fields=["url", "input", "body"])
    work.sink = work.job.sink(sink)
    work.frontier.add(req(0))
    work.frontier.claim(0.0)
    whole = json.loads(json.dumps("x" * 200_000))
    row = record(req(0))
    work.sink.write(type(row)(url=row.url, input=row.input, outcome="ok", attempts=1, wire_body=whole), None, 0)
    work.close()
    assert verify(str(tmp_path / "job")).problems == []
    assert csv.field_size_limit() == limit


def test_what_is_no_job(tmp_path):
    """Nothing is created by asking."""
    with pytest.raises(JobError, match="is not the folder of a job"):
        verify(str(tmp_path / "job"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["pages.jsonl", "pages.csv", "pages.jsonl.gz"])
def test_a_line_without_end(tmp_path, monkeypatch, name):
    """What is longer than a record can be is not held in memory: it is told, and which line it is."""
    made = Made(tmp_path, name)
    monkeypatch.setattr(verify_records, "LONGEST", 1 << 20)
    made.rewrite(lambda lines: [*lines, b"x" * (50 << 20)])
    tracemalloc.start()
    problems = made.problems()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    lines = 8 if "csv" in name else 6  # a name holds a line end
    assert problems == [f" cannot be read: line {lines} has more than 1 MiB"]
    assert peak < 20 << 20
