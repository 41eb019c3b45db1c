"""crawler.job.job: a run goes on where it was, whatever ended it, and one that cannot go on says why.

The promises under `kill -9` are kept by job_victim.py and, with real sockets, killed_crawler.py: a process per run,
killed at random and where it hurts.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import resource
import sqlite3
import stat
import subprocess
import sys
from collections import Counter
from pathlib import Path

import job_victim
import killed_crawler
import killed_spider
import msgspec
import pytest
from job_tools import WALL, HandReactor, Work, bad_line, bad_record, link, record, req, working

from crawler.config.config import Config
from crawler.errors import CodedError
from crawler.frontier import Counts
from crawler.job.job import Job
from crawler.job.options import JobError
from crawler.job.status import queue_again
from crawler.job.verify import verify
from crawler.models import Input
from crawler.politeness.controller import Politeness
from crawler.seeds.feed import DirectFeed
from crawler.seeds.inputs import BadLine, from_iterable
from crawler.sinks.jsonl import JsonLines
from crawler.sinks.ordered import Ordered
from crawler.store.database import Books
from crawler.urls import canonical_key


def lines(path: Path) -> list[str]:
    return [json.loads(line)["url"] for line in path.read_text().splitlines()]


def urls(*numbers: int) -> list[str]:
    return [req(number).url.href for number in numbers]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


class TestRuns:
    def test_a_run_goes_on(self, tmp_path):
        """The second run knows what the first one did, and adds to the same file."""
        with working(tmp_path) as work:
            assert not work.job.resumed
            assert work.job.following == 0
            for number in range(4):
                work.frontier.add(req(number))
            work.finish(req(0), req(1))
        with working(tmp_path) as work:
            assert work.job.resumed
            assert (work.job.following, work.job.oldest) == (4, 2)
            assert work.frontier.counts() == Counts(queued=2, ok=2)
            work.finish(req(2))
            work.finish(req(3), error="conn_reset")
            work.commit()
            assert work.job.books() == Books(4, 3, 1, 0, 0)
            assert work.job.books().balanced
            assert work.job.notes == []
        assert lines(tmp_path / "pages.jsonl") == urls(0, 1, 2, 3)
        assert verify(str(tmp_path / "job")).problems == []

    def test_what_was_not_committed_is_done_again(self, tmp_path):
        """Lines behind the committed size are cut off, and kept; their URLs are fetched again."""
        work = Work(tmp_path)
        for number in range(4):
            work.frontier.add(req(number))
        work.finish(req(0))
        work.commit()
        work.finish(req(1), req(2))
        work.output.writer.flush()
        work.die()
        assert lines(work.path) == urls(0, 1, 2)
        with (tmp_path / "pages.jsonl").open("a") as torn:
            torn.write('{"url":"ht')
        with working(tmp_path) as work:
            assert lines(work.path) == urls(0)
            assert "bytes that do not count were moved" in work.job.notes[0]
            (tail,) = (tmp_path / "job").glob("*.tail-2")
            assert tail.read_text().splitlines()[-1] == '{"url":"ht'
            work.finish(req(1), req(2), req(3))
        assert lines(work.path) == urls(0, 1, 2, 3)
        assert verify(str(tmp_path / "job")).problems == []

    def test_a_table_has_one_header(self, tmp_path):
        """`begun` says that lines of an earlier run are there."""
        with working(tmp_path) as work:
            assert not work.output.begun
            work.frontier.add(req(0))
            work.finish(req(0))
        with working(tmp_path) as work:
            assert work.output.begun

    def test_an_empty_gzip_file_stays_one(self, tmp_path):
        """Its bytes are written when it is closed, and count."""
        for _ in range(2):
            with working(tmp_path, "pages.jsonl.gz"):
                pass
        assert gzip.decompress((tmp_path / "pages.jsonl.gz").read_bytes()) == b""

    def test_durable_writes_reach_the_disk(self, tmp_path, monkeypatch):
        """Before a commit counts, the output is synchronised."""
        synced = []
        monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.fstat(fd).st_size))
        with working(tmp_path, durable=True) as work:
            work.frontier.add(req(0))
            work.finish(req(0))
        assert synced[-1] == work.path.stat().st_size > 0

    def test_what_a_crawl_knows_it_knows_in_the_next_run(self, tmp_path):
        """The key is given to the frontier."""
        with working(tmp_path, key=canonical_key) as work:
            work.frontier.add(req(0))
        with working(tmp_path, key=canonical_key) as work:
            assert not work.frontier.add(req(0))

    def test_two_at_once_are_refused(self, tmp_path):
        """The second is told which process is at work, and disturbs nothing."""
        words = rf"process {os.getpid()}\) is at work on this job"
        with working(tmp_path), pytest.raises(JobError, match=words):
            Work(tmp_path)
        with working(tmp_path):
            pass


class TestOrder:
    def run(self, folder: Path, *numbers: int, add: int = 0) -> bool:
        """Write the records of these inputs, given to the sink in this order; was the job in order before?"""
        work = Work(folder, ordered=True)
        in_order = work.job.in_order
        work.sink = Ordered(work.sink, first=work.job.oldest, strict=True)
        for number in range(work.job.following, work.job.following + add):
            work.frontier.add(req(number))
        while work.frontier.claim(0.0) is not None:
            pass
        for number in numbers:
            work.write(req(number))
        work.close()
        return in_order

    def test_a_run_that_is_stopped_leaves_no_gap(self, tmp_path):
        """What waits behind a record that did not come is fetched again, and stands in its place then."""
        assert self.run(tmp_path, 0, 2, 3, add=5)
        assert lines(tmp_path / "pages.jsonl") == urls(0)
        assert self.run(tmp_path, 4, 3, 2, 1)
        assert lines(tmp_path / "pages.jsonl") == urls(0, 1, 2, 3, 4)

    def test_what_failed_and_is_tried_again_has_lost_its_place(self, tmp_path):
        """`in_order` says so: whoever waited for the others would wait for ever."""
        with working(tmp_path, ordered=True) as work:
            for number in range(3):
                work.frontier.add(req(number))
                work.finish(req(number), error="" if number else "conn_reset")
        queue_again(str(tmp_path / "job"))
        with working(tmp_path, ordered=True) as work:
            assert (work.job.oldest, work.job.in_order) == (0, False)


class TestFolder:
    def test_it_is_private(self, tmp_path):
        """Only the owner may look inside: passwords of URLs and headers are in it."""
        with working(tmp_path):
            assert mode(tmp_path / "job") == 0o700
            assert {mode(path) for path in (tmp_path / "job").iterdir()} == {0o600}

    def test_it_holds_no_code(self, tmp_path):
        """The database, the options and the lock: nothing that is run by being read."""
        with working(tmp_path):
            pass
        assert {path.name for path in (tmp_path / "job").iterdir()} == {"frontier.sqlite", "config.toml", "lock"}

    def test_a_folder_with_other_things_is_refused(self, tmp_path):
        """And stays as it is."""
        (tmp_path / "job").mkdir(mode=0o755)
        (tmp_path / "job" / "thesis.tex").touch()
        with pytest.raises(JobError, match="is not empty, and it is not the folder of a job"):
            Work(tmp_path)
        assert mode(tmp_path / "job") == 0o755

    @pytest.mark.parametrize(("place", "words"), [("no/job", "No such file"), ("file", "exists|Not a directory")])
    def test_a_place_where_no_folder_can_be(self, tmp_path, place, words):
        """The message says what the system said."""
        (tmp_path / "file").touch()
        with pytest.raises(JobError, match=f"cannot be the folder of a job: .*({words})"):
            Job(str(tmp_path / place), Config.build(), reactor=HandReactor(), politeness=Politeness())

    def test_a_foreign_database_is_refused(self, tmp_path):
        """And the lock is let go of."""
        with working(tmp_path):
            pass
        db = sqlite3.connect(tmp_path / "job" / "frontier.sqlite")
        db.execute("PRAGMA user_version = 99")
        db.close()
        for _ in range(2):
            with pytest.raises(JobError, match="newer crawler"):
                Work(tmp_path)


class TestOptions:
    def begin(self, folder: Path, **options) -> None:
        with working(folder, **options) as work:
            work.frontier.add(req(0))

    @pytest.mark.parametrize(
        "change", [{"inputs": ["other.txt"]}, {"fields": ["url"]}, {"column": "x"}, {"ordered": True}]
    )
    def test_what_makes_the_job_must_stay(self, tmp_path, change):
        """What is read and what is written."""
        self.begin(tmp_path)
        with pytest.raises(JobError, match="must be what this job began with"):
            Work(tmp_path, **change)

    def test_how_it_fetches_may_change(self, tmp_path):
        """And is told, without the values: one may be a password."""
        self.begin(tmp_path)
        with working(tmp_path, concurrency=5, headers=["Authorization: secret"], timeout=9) as work:
            assert [note.split()[0] for note in work.job.notes] == ["--header", "--concurrency", "--timeout"]
            assert "secret" not in str(work.job.notes)
        with working(tmp_path, concurrency=5, headers=["Authorization: secret"], timeout=9) as work:
            assert work.job.notes == []

    def test_before_anything_was_accepted_all_may_change(self, tmp_path):
        """Who mistyped begins again."""
        with working(tmp_path):
            pass
        with working(tmp_path, "other.jsonl", fields=["url"]) as work:
            assert not work.job.resumed
            work.frontier.add(req(0))
        with working(tmp_path, "other.jsonl", fields=["url"]) as work:
            assert work.job.resumed

    def test_before_anything_was_accepted_the_outputs_are_still_its_own(self, tmp_path):
        """A process that was killed at once left empty files: other options do not make them somebody else's."""
        Work(tmp_path).die()
        with working(tmp_path, fields=["url"]) as work:
            assert not work.job.resumed
            work.frontier.add(req(0))
            work.finish(req(0))
        assert lines(work.path) == urls(0)


class TestTimes:
    """What is stored is how long somebody waits, whatever the clock on the wall says in the next run."""

    LATE = WALL + 40 * 86_400.0

    def begin(self, tmp_path, wall: float) -> Work:
        """A run that has one URL to try again in 30 s, of a host that wants to be left alone for 20, and is killed."""
        work = Work(tmp_path, wall=lambda: wall)
        work.frontier.add(req(0))
        work.frontier.add(req(1))
        request = work.frontier.claim(0.0)
        work.politeness.host("a.example:80", 0.0).block(20.0, 0.0, "retry_after")
        work.frontier.retry(msgspec.structs.replace(request, attempt=2), 0.0, 30.0)
        work.commit()
        work.die()
        return work

    def waits(self, tmp_path, wall: float) -> tuple[float | None, float | None]:
        """For how long a run that begins now waits before it asks for one URL, and then for the other."""
        work = Work(tmp_path, wall=lambda: wall)
        times = []
        for _ in range(2):
            at = work.frontier.ready_at(0.0)
            times.append(at)
            assert work.frontier.claim(at or 0.0) is not None
        work.die()
        return times[0], times[1]

    def test_as_much_later_as_it_is(self, tmp_path):
        """A clock that goes right."""
        self.begin(tmp_path, WALL)
        assert self.waits(tmp_path, WALL + 12.0) == (8.0, 18.0)
        assert self.waits(tmp_path, WALL + 25.0) == (25.0 - 25.0, 5.0)

    def test_a_clock_that_was_ahead(self, tmp_path):
        """Set right between the two: as if no time had passed; and in the run after that it goes on from there."""
        self.begin(tmp_path, self.LATE)
        assert self.waits(tmp_path, WALL) == (20.0, 30.0)
        assert self.waits(tmp_path, WALL + 12.0) == (8.0, 18.0)

    def test_a_clock_that_is_ahead(self, tmp_path):
        """Nobody waits longer for that."""
        self.begin(tmp_path, WALL)
        assert self.waits(tmp_path, self.LATE) == (0.0, 0.0)

    def test_a_clock_that_jumped_while_it_ran(self, tmp_path):
        """What was stored after that goes by the clock as it was then."""
        now = WALL
        work = Work(tmp_path, wall=lambda: now)
        work.frontier.add(req(0))
        request = work.frontier.claim(0.0)
        now = self.LATE
        work.frontier.retry(msgspec.structs.replace(request, attempt=2), 0.0, 30.0)
        work.commit()
        work.die()
        work = Work(tmp_path, wall=lambda: WALL + 5.0)
        assert work.frontier.ready_at(0.0) == pytest.approx(30.0)
        work.die()

    def test_the_delay_begins_anew(self, tmp_path):
        """A run that was killed may have asked any host a moment ago."""
        work = Work(tmp_path)
        work.frontier.add(req(0))
        work.commit()
        work.die()
        politeness = Politeness(delay=4.0)
        config = Config.build(inputs=["urls.txt"], output=[str(work.path)])
        job = Job(str(tmp_path / "job"), config, reactor=HandReactor(), politeness=politeness)
        assert (job.frontier.claim(0.0), job.frontier.ready_at(0.0)) == (None, 4.0)
        job.close()


class TestOutputs:
    def test_an_existing_file_is_refused(self, tmp_path):
        """As without a job; -O replaces it, once."""
        (tmp_path / "pages.jsonl").write_text("mine\n")
        work = Work(tmp_path, begin=False)
        with pytest.raises(ValueError, match="exists already: -O/--overwrite-output replaces it"):
            work.job.output(str(work.path), overwrite=False)
        work.job.close()
        assert work.path.read_text() == "mine\n"
        for number in range(2):
            work = Work(tmp_path, begin=False)
            output = work.job.output(str(work.path), overwrite=True)
            work.sink = work.job.sink(JsonLines(output.writer))
            work.frontier.add(req(number))
            work.finish(req(number))
            work.close()
        assert lines(work.path) == urls(0, 1)

    def test_nothing_is_changed_before_all_are_open(self, tmp_path):
        """A file that was opened and let go of again is what it was."""
        (tmp_path / "pages.jsonl").write_text("mine\n")
        work = Work(tmp_path, begin=False)
        work.job.output(str(work.path), overwrite=True).writer.discard()
        work.job.output(str(tmp_path / "new.jsonl"), overwrite=False).writer.discard()
        work.job.close()
        assert work.path.read_text() == "mine\n"
        assert not (tmp_path / "new.jsonl").exists()

    def test_a_file_that_came_meanwhile_is_not_lost(self, tmp_path):
        """Where a first run was stopped before it wrote anything, whatever is there now is kept."""
        work = Work(tmp_path, begin=False)
        work.job.output(str(work.path), overwrite=False).writer.discard()
        work.job.close()
        work.path.write_text("mine\n")
        with working(tmp_path):
            (tail,) = (tmp_path / "job").glob("*.tail-*")
            assert tail.read_text() == "mine\n"

    def test_other_outputs_are_refused(self, tmp_path):
        """Records that are written would be missing in a new file."""
        with working(tmp_path) as work:
            work.frontier.add(req(0))
        work = Work(tmp_path, begin=False)
        with pytest.raises(JobError, match=r"the outputs of a job stay the same \(they are: .*pages.jsonl\)"):
            work.job.output(str(tmp_path / "other.jsonl"), overwrite=False)
        work.job.close()

    def test_an_output_that_is_gone(self, tmp_path):
        """Nobody takes its records for written."""
        with working(tmp_path) as work:
            work.frontier.add(req(0))
            work.finish(req(0))
        work.path.unlink()
        with pytest.raises(JobError, match="is gone: put it back"):
            Work(tmp_path)

    def test_an_output_that_lost_its_end(self, tmp_path):
        """After a power failure: what was lost is fetched again, and nothing else."""
        with working(tmp_path) as work:
            for number in range(6):
                work.frontier.add(req(number))
                work.finish(req(number))
                work.commit()
        whole = work.path.read_bytes()
        work.path.write_bytes(whole[: len(whole) * 2 // 3 + 5])
        with working(tmp_path) as work:
            assert "2 URLs whose records are lost" in work.job.notes[0]
            assert work.frontier.counts() == Counts(queued=2, ok=4)
            work.finish(req(4), req(5))
        assert lines(work.path) == urls(0, 1, 2, 3, 4, 5)
        assert verify(str(tmp_path / "job")).problems == []

    def test_a_pipe_is_no_file(self, tmp_path):
        """Standard output is written as ever; nothing is known of what its reader kept."""
        with working(tmp_path) as work:
            output = work.job.output("/dev/null", overwrite=False)
            assert not output.begun
            output.writer.close()
            work.frontier.add(req(0))


class TestInputs:
    LINES = ("http://a.example/0", "nonsense", "http://a.example/2", "http://a.example/3")

    def read(self, work: Work, count: int, given=LINES) -> list[str]:
        """Accept as many lines as there are, at most `count`; the URLs of all accepted."""
        feed = work.job.feed(DirectFeed(work.job.unread(from_iterable(given))))
        accepted = []
        for number in range(work.job.following, work.job.following + count):
            seed = feed.take()
            if seed is None:
                assert feed.exhausted
                break
            accepted.append(seed[0] if isinstance(seed, BadLine) else seed.written)
            if isinstance(seed, BadLine):
                work.journal.refused(number, seed)
            else:
                work.frontier.add(req(number, written=seed.written, input=seed.input))
        feed.close()
        assert feed.exhausted
        return accepted

    def test_no_line_is_read_twice(self, tmp_path):
        """The second run takes the list up where the first one left it."""
        with working(tmp_path) as work:
            assert self.read(work, 3) == [*self.LINES[:3]]
        with working(tmp_path) as work:
            assert self.read(work, 9) == [self.LINES[3]]
        with working(tmp_path) as work:
            assert self.read(work, 9, (*self.LINES, "http://a.example/4")) == ["http://a.example/4"]
            assert work.frontier.counts().queued == 4

    def test_a_line_that_is_lost_with_a_process_is_read_again(self, tmp_path):
        """Read is what has a row."""
        work = Work(tmp_path)
        self.read(work, 2)
        work.commit()
        work.frontier.claim(0.0)
        work.die()
        work = Work(tmp_path)
        self.read(work, 1)
        work.die()
        with working(tmp_path) as work:
            assert self.read(work, 9) == [*self.LINES[2:]]

    @pytest.mark.parametrize("given", [LINES[1:], ("http://a.example/1", *LINES[1:]), LINES[:1]])
    def test_a_list_that_changed_is_refused(self, tmp_path, given):
        """In what was read of it: it is not known then what is missing."""
        with working(tmp_path) as work:
            self.read(work, 2)
        words = "their first 2 URLs, which this job has read, differ now"
        with working(tmp_path) as work, pytest.raises(JobError, match=words):
            self.read(work, 9, given)

    def test_a_record_that_is_owed_is_written_by_the_next_run(self, tmp_path):
        """A bad line whose record was not written before the end."""
        with working(tmp_path) as work:
            work.journal.refused(0, bad_line(0))
        with working(tmp_path) as work:
            assert work.job.books() == Books(1, 0, 0, 0, 1)
            ((number, line),) = work.job.owed()
            work.sink.write(bad_record(line), None, number)
        with working(tmp_path) as work:
            assert work.job.owed() == []
            assert work.job.books() == Books(1, 0, 1, 0, 0)
        assert verify(str(tmp_path / "job")).problems == []


class TestDisk:
    def test_a_full_disk_under_the_output(self, tmp_path):
        """The run ends with disk_full; nothing counts as done that is not in the file, and there is room again later."""
        work = Work(tmp_path)
        for number in range(200):
            work.frontier.add(req(number))
        work.finish(*map(req, range(50)))
        work.commit()
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (work.path.stat().st_size + 1000, hard))
        try:
            work.finish(*map(req, range(50, 100)))
            with pytest.raises(CodedError, match="disk_full"):
                work.commit()
            with pytest.raises(CodedError, match="disk_full"):
                work.reactor.result(work.sink.write(record(req(100)), None, 100))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        with pytest.raises(CodedError, match="disk_full"):
            work.reactor.result(work.sink.close())
        work.job.close()
        with working(tmp_path) as work:
            assert work.frontier.counts() == Counts(queued=150, ok=50)
            work.finish(*map(req, range(50, 200)))
        assert lines(work.path) == urls(*range(200))
        assert verify(str(tmp_path / "job")).problems == []

    def test_a_full_disk_under_the_database(self, tmp_path):
        """The same, though the output may hold more than the database knows: that is cut off."""
        work = Work(tmp_path, fields=["url", "input"])
        for number in range(2000):
            work.frontier.add(req(number))
        work.finish(*map(req, range(20)))
        work.commit()
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        wal = tmp_path / "job" / "frontier.sqlite-wal"
        resource.setrlimit(resource.RLIMIT_FSIZE, (wal.stat().st_size + 5000, hard))
        try:
            work.finish(*map(req, range(20, 300)))
            with pytest.raises(CodedError, match=r"(disk_full|write_error): .*frontier.sqlite"):
                work.commit()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        with pytest.raises(CodedError):
            work.reactor.result(work.sink.close())
        work.job.close()
        with working(tmp_path, fields=["url", "input"]) as work:
            counts = work.frontier.counts()
            assert counts.ok == len(lines(work.path)) == 20
            assert counts.queued == 1980
        assert verify(str(tmp_path / "job")).problems == []


class TestLinks:
    def test_no_link_is_lost_with_its_page(self, tmp_path):
        """A page that counts as done has all its links in the frontier; one that does not finds them again."""
        work = Work(tmp_path, key=canonical_key)
        work.frontier.add(req(0))
        work.commit()
        page = work.frontier.claim(0.0)
        for number in range(1, 40):
            work.frontier.add(link(number, page.url.href))
        work.write(page)
        work.reactor.advance(0.05)
        work.reactor.turn()
        work.frontier.claim(0.0)
        work.die()
        with working(tmp_path, key=canonical_key) as work:
            assert work.frontier.counts() == Counts(queued=39, ok=1)
            assert work.frontier.claim(1.0).input == Input(parent=page.url.href, depth=1)

    def test_times_are_times_of_day(self, tmp_path):
        """A retry waits for its time, also when the machine was off meanwhile."""
        with working(tmp_path, wall=lambda: WALL) as work:
            work.frontier.add(req(0))
            work.frontier.retry(work.frontier.claim(0.0), 0.0, 30.0)
        with working(tmp_path, wall=lambda: WALL + 20.0) as work:
            assert work.frontier.ready_at(0.0) == pytest.approx(10.0)


@pytest.mark.parametrize(("mode", "seed"), [("list", 1), ("crawl", 2), ("ordered", 3)])
def test_kill_dash_nine(tmp_path, mode, seed):
    """Killed 25 times, at random and where it hurts, a job's outputs hold each record once, and are whole."""
    victim = subprocess.run(
        [sys.executable, job_victim.__file__, str(tmp_path), mode, str(seed), "25"],
        env={**os.environ, "PYTHONPATH": str(Path(job_victim.__file__).parents[2])},
        stdout=subprocess.PIPE,
        timeout=120,
    )
    assert victim.returncode == 0
    deaths = json.loads(victim.stdout)
    assert sum(deaths.values()) == 25
    assert len(deaths) >= 5, "they died in different ways"

    if mode == "crawl":
        expected = {job_victim.page_url(page) for page in range(job_victim.PAGES)}
        names = {(url, None) for url in expected}
    else:
        names = {(text, number) for number, text in enumerate(job_victim.lines(), 1)}
    plain = [json.loads(line) for line in (tmp_path / "pages.jsonl").read_text().splitlines()]
    zipped = [json.loads(line) for line in gzip.decompress((tmp_path / "pages.jsonl.gz").read_bytes()).splitlines()]
    with (tmp_path / "pages.csv").open(newline="") as table:
        rows = [(row["url"], int(row["input_line"] or 0) or None) for row in csv.DictReader(table)]

    def name(line: dict) -> tuple[str, int | None]:
        return line["url"], None if mode == "crawl" else line["input"]["line"]

    if mode == "crawl":
        rows = [(url, None) for url, _ in rows]
    for found in ([name(line) for line in plain], [name(line) for line in zipped], rows):
        assert Counter(found) == Counter(names)
        if mode == "ordered":
            assert found == sorted(found, key=lambda place: place[1])

    db = sqlite3.connect(tmp_path / "job" / "frontier.sqlite")
    outcomes = Counter(state for (state,) in db.execute("SELECT state FROM urls"))
    inputs, ok, failed, skipped = db.execute("SELECT inputs, ok, failed, skipped FROM books").fetchone()
    db.close()
    assert outcomes == {4: ok, 5: failed}
    assert (inputs, skipped) == (len(names), 0)
    assert Counter(line["outcome"] for line in plain) == {"ok": ok, "failed": failed}
    assert verify(str(tmp_path / "job")).problems == []


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have but one address of 127.0.0.0/8")
@pytest.mark.parametrize("mode", ["crawl", "list"])
def test_a_whole_crawler_killed(mode):
    """Over kills all outputs, bodies, skipped links or the order stay whole, and no host is asked too soon."""
    victim = subprocess.run(
        [sys.executable, killed_crawler.__file__, mode, "4", "9"],
        env={**os.environ, "PYTHONPATH": str(Path(killed_crawler.__file__).parents[2])},
        stdout=subprocess.PIPE,
        timeout=120,
    )
    found = json.loads(victim.stdout)
    assert found["problems"] == []
    assert sum(found["deaths"].values()) == 9 + len(killed_crawler.MAKING)
    assert found["deaths"].keys() >= {*killed_crawler.MAKING}, "while tables were made, too"
    assert len(found["deaths"]) >= 5, "they died in different ways"
    assert found["delays"] > 50
    assert victim.returncode == 0


def test_a_spider_killed():
    """Forms and searches by POST, each with its function and its meta: every record once, whatever the kills."""
    victim = subprocess.run(
        [sys.executable, killed_spider.__file__, "3", "9"],
        env={**os.environ, "PYTHONPATH": str(Path(killed_spider.__file__).parents[2])},
        stdout=subprocess.PIPE,
        timeout=120,
    )
    found = json.loads(victim.stdout)
    assert found["wrong"] == []
    assert sum(found["deaths"].values()) == 9
    assert len(found["deaths"]) >= 5, "they died in different ways"
    assert victim.returncode == 0
