"""outputs.py: which sinks a Config asks for, and how they are put together. What each writes is tested with it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from job_tools import HandReactor
from twisted.internet.defer import Deferred

from crawler.config.config import Config
from crawler.errors import CodedError
from crawler.models import Input, Record, Request, Response, Timings, record_of, unfetched
from crawler.run.outputs import Outputs, open_outputs
from crawler.sinks import Sink
from crawler.sinks.bodies.keeping import Bodies
from crawler.sinks.writer import Output, open_output
from crawler.urls import parse

FOUND = Input(parent="http://a.example/", depth=1)
TYPED = Input(source="urls.txt", line=1)


class Kept:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.written: list[tuple[int, Record, Response | None]] = []
        self.closed = 0

    def write(self, record: Record, response: Response | None, sequence: int) -> Deferred[None] | None:
        self.written.append((sequence, record, response))
        return None

    def flush(self) -> None: ...

    def close(self) -> None:
        self.closed += 1

    @property
    def numbers(self) -> list[int]:
        return [number for number, _, _ in self.written]


class Job:
    """What a job does for its outputs."""

    def __init__(self, reactor: HandReactor, *, oldest: int = 0, in_order: bool = True, begun: bool = False) -> None:
        self.oldest = oldest
        self.in_order = in_order
        self.inner: Sink | None = None
        self.paths: list[tuple[str, bool]] = []
        self._reactor = reactor
        self._begun = begun

    def output(self, path: str, *, overwrite: bool) -> Output:
        self.paths.append((path, overwrite))
        return Output(open_output(path, self._reactor, overwrite=True), begun=self._begun)

    def sink(self, sink: Sink, synced=()) -> Sink:
        self.inner = sink
        return sink


@pytest.fixture
def reactor():
    return HandReactor()


def fetched(number: int, source: Input = TYPED) -> tuple[Record, Response, int]:
    url = parse(f"http://a.example/{number}")
    response = Response(Timings(), 0.0, status=200, body=b"body %d" % number)
    return record_of(Request(number, url, url.href, source, 0.0), response, 0.0), response, number


def skipped(number: int, source: Input = FOUND) -> tuple[Record, None, int]:
    return unfetched(f"http://a.example/{number}", source, CodedError("out_of_scope")), None, number


def write(reactor: HandReactor, outputs: Outputs, *records: tuple[Record, Response | None, int]) -> None:
    for record, response, number in records:
        outputs.sink.write(record, response, number)
    reactor.result(outputs.sink.close())


def lines(path: Path) -> list[str]:
    return [json.loads(line)["url"][-1] for line in path.read_text().splitlines()]


class TestFormats:
    @pytest.mark.parametrize(
        ("name", "start"),
        [
            ("out.jsonl", b'{"url":'),
            ("out.ndjson", b'{"url":'),
            ("out", b'{"url":'),
            ("OUT.JSONL", b'{"url":'),
            ("out.csv", b"url,"),
            ("out.tsv", b"url\t"),
            ("out.csv.gz", b"\x1f\x8b"),
        ],
    )
    def test_by_the_suffix(self, tmp_path, reactor, name, start):
        """Of the file's name, under .gz too."""
        path = tmp_path / name
        write(reactor, open_outputs(Config.build(output=str(path)), reactor=reactor, stats=Kept()), fetched(1))
        assert path.read_bytes().startswith(start)

    @pytest.mark.parametrize("name", ["out.xml", "out.jsonl.zip", "out.csv.bak", "out.docx.gz"])
    def test_one_that_is_not_known(self, tmp_path, reactor, name):
        """It is refused with what is known, and nothing is opened."""
        config = Config.build(output=[str(tmp_path / "good.jsonl"), str(tmp_path / name)])
        with pytest.raises(ValueError, match=r"no format of records is known for '\.\w+' \(allowed: \.jsonl"):
            open_outputs(config, reactor=reactor, stats=Kept())
        assert list(tmp_path.iterdir()) == []


class TestOpening:
    @pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
    @pytest.mark.parametrize("suffix", ["parquet", "sqlite", "duckdb"])
    def test_a_table_where_no_file_is(self, tmp_path, reactor, suffix, make):
        """It is told before the run that it cannot be made there at its end, and what is there stays."""
        place = tmp_path / f"x.{suffix}"
        make(place)
        kind = place.stat().st_mode
        config = Config.build(overwrite_output=str(place))
        with pytest.raises(ValueError, match="is there already, but not as a file"):
            open_outputs(config, reactor=reactor, stats=Kept())
        assert list(tmp_path.iterdir()) == [place]
        assert place.stat().st_mode == kind

    def test_all_or_none(self, tmp_path, reactor):
        """One that cannot be opened leaves no empty file, and no old one emptied."""
        old = tmp_path / "old.jsonl"
        old.write_text("precious\n")
        config = Config.build(
            output=[str(tmp_path / "new.jsonl"), str(tmp_path / "none" / "x.jsonl")], overwrite_output=str(old)
        )
        with pytest.raises((CodedError, ValueError)):
            open_outputs(config, reactor=reactor, stats=Kept())
        assert list(tmp_path.iterdir()) == [old]
        assert old.read_text() == "precious\n"

    def test_everybody_gets_everything(self, tmp_path, reactor):
        """Each output, each sink, and the statistics; the folder of bodies gets those."""
        first, second, bodies = tmp_path / "a.jsonl", tmp_path / "b.jsonl", tmp_path / "bodies"
        config = Config.build(output=str(first), overwrite_output=str(second))
        stats, sink = Kept(), Kept()
        outputs = open_outputs(config, reactor=reactor, stats=stats, sinks=[sink], bodies=Bodies(str(bodies)))
        assert outputs.admit is None
        write(reactor, outputs, fetched(2), fetched(1))
        assert lines(first) == lines(second) == ["2", "1"]
        assert stats.numbers == sink.numbers == [2, 1]
        assert (stats.closed, sink.closed) == (1, 1)
        assert sorted(path.read_bytes() for path in bodies.rglob("*") if path.is_file()) == [b"body 1", b"body 2"]


class TestSkipped:
    @pytest.mark.parametrize(
        ("options", "left_out"),
        [
            ({"recursive": True}, True),
            ({"recursive": True, "skipped": True}, False),
            ({"recursive": True, "dry_run": True}, False),
            ({}, False),
        ],
    )
    def test_records_of_links_that_are_not_followed(self, tmp_path, reactor, options, left_out):
        """In a crawl they are left out of outputs and sinks unless wanted; the statistics count them."""
        path, stats, sink = tmp_path / "out.jsonl", Kept(), Kept()
        config = Config.build(output=str(path), **options)
        outputs = open_outputs(config, reactor=reactor, stats=stats, sinks=[sink])
        write(reactor, outputs, fetched(1, FOUND), skipped(2), skipped(3, TYPED))
        expected = [1, 3] if left_out else [1, 2, 3]
        assert (sink.numbers, lines(path)) == (expected, [str(number) for number in expected])
        assert stats.numbers == [1, 2, 3]


class TestOrdered:
    def test_the_order_of_the_inputs(self, tmp_path, reactor):
        """Outputs and sinks get it; statistics count at once. Whoever accepts inputs is asked to wait."""
        path, stats, sink = tmp_path / "out.jsonl", Kept(), Kept()
        outputs = open_outputs(Config.build(output=str(path), ordered=True), reactor=reactor, stats=stats, sinks=[sink])
        assert outputs.admit is not None
        assert outputs.admit(0) is None
        for record in (fetched(2), fetched(1)):
            outputs.sink.write(*record)
        assert (stats.numbers, sink.numbers) == ([2, 1], [])
        write(reactor, outputs, fetched(0))
        assert (sink.numbers, lines(path)) == ([0, 1, 2], ["0", "1", "2"])
        assert [record.body for _, record, _ in sink.written] == [b"body 0", b"body 1", b"body 2"]

    def test_bodies_need_not_wait(self, tmp_path, reactor):
        """Sinks that do not want them do not make them stay in memory; the folder gets them at once."""
        sink, bodies = Kept(), tmp_path / "bodies"
        outputs = open_outputs(
            Config.build(ordered=True),
            reactor=reactor,
            stats=Kept(),
            sinks=[sink],
            wants_bodies=False,
            bodies=Bodies(str(bodies)),
        )
        outputs.sink.write(*fetched(1))
        assert len([path for path in bodies.rglob("*") if path.is_file()]) == 1
        write(reactor, outputs, fetched(0))
        assert [record.body for _, record, _ in sink.written] == [b"", b""]

    def test_the_window_is_bounded(self, reactor):
        """Fewer records may wait where bodies wait with them."""

        def window(**options: object) -> int:
            bodies = bool(options.pop("bodies_wait", False))
            config = Config.build(ordered=True, **options)
            outputs = open_outputs(config, reactor=reactor, stats=Kept(), sinks=[Kept()], wants_bodies=bodies)
            assert outputs.admit is not None
            return next(number for number in range(100_000) if outputs.admit(number) is not None)

        assert (window(), window(bodies_wait=True), window(include_body=True)) == (10_000, 1_000, 1_000)

    def test_without_outputs_there_is_no_order(self, reactor):
        """Nobody would see it, and nobody need wait for it."""
        assert open_outputs(Config.build(ordered=True), reactor=reactor, stats=Kept()).admit is None


class TestJobs:
    def test_the_job_opens_the_outputs(self, tmp_path, reactor):
        """It knows how much of them counts; a table that goes on gets no second header."""
        path, job = tmp_path / "out.csv", Job(reactor, begun=True)
        outputs = open_outputs(Config.build(output=str(path)), reactor=reactor, stats=Kept(), job=job)
        write(reactor, outputs, fetched(1))
        assert job.paths == [(str(path), False)]
        assert "http://a.example/1" in path.read_text()
        assert "final_url" not in path.read_text()

    def test_it_hears_of_bodies_and_records_together(self, tmp_path, reactor):
        """What a body is lost with must not count as written; statistics are none of the job's."""
        job, stats, bodies = Job(reactor), Kept(), tmp_path / "bodies"
        open_outputs(Config.build(), reactor=reactor, stats=stats, job=job, bodies=Bodies(str(bodies)))
        assert job.inner is not None
        job.inner.write(*fetched(1))
        assert stats.written == []
        assert len([path for path in bodies.rglob("*") if path.is_file()]) == 1

    def test_an_order_goes_on_where_it_was(self, tmp_path, reactor):
        """From the oldest input without a record; where younger ones were written, there is no order any more."""
        path = tmp_path / "out.jsonl"
        config = Config.build(output=str(path), ordered=True)
        job = Job(reactor, oldest=5)
        outputs = open_outputs(config, reactor=reactor, stats=Kept(), job=job)
        assert outputs.admit is not None
        write(reactor, outputs, fetched(6), fetched(5))
        assert lines(path) == ["5", "6"]
        assert open_outputs(config, reactor=reactor, stats=Kept(), job=Job(reactor, in_order=False)).admit is None
