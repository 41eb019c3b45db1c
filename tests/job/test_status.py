"""crawler.job.status: how a job stands, why a URL became what it became, and another try for what failed."""

from __future__ import annotations

import os
import sqlite3

import msgspec
import pytest
from job_tools import WALL, Work, bad_line, bad_record, link, record, req, working

from crawler.errors import CodedError
from crawler.frontier import Counts
from crawler.job.options import JobError
from crawler.job.status import Left, find_stories, queue_again, read_status
from crawler.models import Input, Redirect, Response, Timings, unfetched, untried
from crawler.store.database import Books
from crawler.urls import canonical_key, parse


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path / "job")


class TestStatus:
    def test_a_job_at_work(self, tmp_path, folder):
        """The books, the hosts with most left, what failed, and who is at work."""
        with working(tmp_path) as work:
            for number in range(6):
                work.frontier.add(req(number, "ab"[number % 3 == 0] + ".example"))
            work.write(work.frontier.claim(0.0), error="conn_reset")
            work.commit()
            now = read_status(folder)
            assert now.books == Books(6, 0, 1, 0, 5)
            assert now.books.balanced
            assert now.hosts == [Left("a.example:80", 4), Left("b.example:80", 1)]
            assert now.errors == {"conn_reset": 1}
            assert now.outputs == {str(work.path): work.path.stat().st_size}
            assert (now.pid, now.runs) == (os.getpid(), 1)
        assert read_status(folder).pid is None

    def test_how_long_it_takes(self, tmp_path, folder):
        """The rate is that of the last minute of work, whenever that was; the rest takes so long at that rate."""
        now = [WALL]
        with working(tmp_path, wall=lambda: now[0]) as work:
            for number in range(100):
                work.frontier.add(req(number))
            work.finish(req(0))
            work.commit()
            assert (read_status(folder).rate, read_status(folder).eta) == (None, None)
            now[0] += 500.0
            for number in range(1, 41):
                work.finish(req(number))
                if number % 10 == 0:
                    now[0] += 5.0
                    work.commit()
        job = read_status(folder)
        assert job.rate == pytest.approx(30 / 15.0)
        assert job.eta == pytest.approx(59 / 2.0)
        assert (job.began, job.last_record) == (WALL, now[0])

    def test_before_anything_happened(self, tmp_path, folder):
        """Nothing is known, and that is no error."""
        with working(tmp_path):
            pass
        now = read_status(folder)
        assert (now.books, now.hosts, now.errors, now.rate) == (Books(0, 0, 0, 0, 0), [], {}, None)

    def test_what_waits_and_how_it_went(self, tmp_path, folder):
        """Tries that come again and hosts that must wait; answers by status; whether the latest run came to its end."""
        work = Work(tmp_path, wall=lambda: WALL)
        for number in range(14):
            work.frontier.add(req(number, f"h{number:02}.example" if number else "a.example"))
        request = work.frontier.claim(0.0)
        work.frontier.retry(msgspec.structs.replace(request, attempt=2), 0.0, 30.0)
        work.journal.blocked("a.example:80", 30.0)
        for number in (1, 2):
            request = work.frontier.claim(0.0)
            work.sink.write(record(request, 200 + number), None, number)
            work.frontier.finish(request, "ok", 0.0)
        work.commit()
        job = read_status(folder)
        assert job.hosts[0] == Left("a.example:80", 1, again=1, not_before=WALL + 30.0)
        assert (len(job.hosts), job.hosts_left) == (10, 12)
        assert job.statuses == {201: 1, 202: 1}
        assert (job.began, job.latest, job.ended) == (WALL, WALL, None)
        work.die()
        with working(tmp_path, wall=lambda: WALL + 9.0):
            pass
        job = read_status(folder)
        assert (job.began, job.latest, job.ended) == (WALL, WALL + 9.0, WALL + 9.0)

    def test_what_is_no_job(self, tmp_path, folder):
        """A folder without a database, and one with somebody else's."""
        with pytest.raises(JobError, match="is not the folder of a job"):
            read_status(folder)
        (tmp_path / "job").mkdir()
        db = sqlite3.connect(tmp_path / "job" / "frontier.sqlite")
        db.executescript("CREATE TABLE t (a); PRAGMA application_id = 3")
        db.close()
        with pytest.raises(JobError, match="is not the database of a job"):
            read_status(folder)


class TestRetry:
    def test_failed_urls_again(self, tmp_path, folder):
        """The next run fetches them; the books say they are pending."""
        with working(tmp_path) as work:
            for number, error in enumerate(["", "conn_reset", "timeout_total", "conn_reset"]):
                work.frontier.add(req(number))
                work.finish(req(number), error=error)
        assert queue_again(folder, ("conn_reset",)) == 2
        assert read_status(folder).books == Books(4, 1, 1, 0, 2)
        with working(tmp_path) as work:
            assert work.frontier.counts() == Counts(queued=2, ok=1, failed=1)
            work.finish(req(1), req(3))
        assert read_status(folder).books == Books(4, 3, 1, 0, 0)

    def test_skipped_urls_when_they_are_named(self, tmp_path, folder):
        """Not without a code; links that were not followed at all are not, even then."""
        codes = ("robots_denied", "budget_exceeded", "host_unavailable", "out_of_scope")
        with working(tmp_path) as work:
            for number, code in enumerate(codes):
                work.frontier.add(req(number))
                work.frontier.claim(0.0)
                given_up = untried(req(number), CodedError(code))
                work.sink.write(given_up, None, number)
                work.frontier.finish(req(number), given_up.outcome, 0.0)
            work.frontier.refuse(link(4, "http://a.example/0"), error := CodedError("out_of_scope"))
            work.sink.write(unfetched("http://a.example/4", link(4, "http://a.example/0").input, error), None, 4)
        assert read_status(folder).books == Books(5, 0, 1, 4, 0)
        assert queue_again(folder) == 1, "nobody skipped what belongs to a host that kept failing"
        assert queue_again(folder, codes) == 3
        assert read_status(folder).books == Books(5, 0, 0, 1, 4)
        with working(tmp_path) as work:
            work.finish(*map(req, range(4)))
        assert read_status(folder).books == Books(5, 4, 0, 1, 0)

    def test_not_while_a_crawler_is_at_work(self, tmp_path, folder):
        """It would not hear of it."""
        with working(tmp_path), pytest.raises(JobError, match="is at work on this job"):
            queue_again(folder)
        assert queue_again(folder) == 0

    def test_what_is_no_job(self, tmp_path, folder):
        """Nothing is created."""
        with pytest.raises(JobError, match="is not the folder of a job"):
            queue_again(folder)
        assert list(tmp_path.iterdir()) == []


class TestWhy:
    def test_a_link_and_all_its_tries(self, tmp_path, folder):
        """Who linked it, back to the line of the list; each try with its times; how it ended."""
        with working(tmp_path, key=canonical_key) as work:
            work.frontier.add(req(0))
            work.finish(req(0))
            work.frontier.add(link(1, "http://a.example/0"))
            work.finish(link(1, "http://a.example/0"))
            work.frontier.add(link(2, "http://a.example/1"))
            request = work.frontier.claim(0.0)
            failed = Response(Timings(namelookup=0.5, total=60.0), WALL, error=CodedError("timeout_total", "60 s"))
            work.journal.tried(request, failed)
            work.frontier.retry(msgspec.structs.replace(request, attempt=2), 0.0)
            work.write(work.frontier.claim(0.0), error="conn_reset")
        (story,) = find_stories(folder, "http://a.example/2")
        assert (story.id, story.url, story.state) == (2, "http://a.example/2", "failed")
        assert story.input == Input(parent="http://a.example/1", depth=1)
        assert story.came == ["http://a.example/1", "http://a.example/0", "urls.txt:1"]
        assert (story.error, story.message) == ("conn_reset", "what happened")
        first, second = story.attempts
        assert (first.number, first.error, first.namelookup, first.total) == (1, "timeout_total", 0.5, 60.0)
        assert (second.number, second.error, second.total) == (2, "conn_reset", 0.04)
        assert second.started == "2023-11-14T22:13:20.000Z"

    @pytest.mark.parametrize("committed", [True, False])
    def test_a_redirect_on_the_way(self, tmp_path, folder, committed):
        """Asked for any URL of a chain, the story is that of the input which went there."""
        with working(tmp_path) as work:
            work.frontier.add(req(0))
            hop = msgspec.structs.replace(
                work.frontier.claim(0.0),
                url=parse("http://b.example/x"),
                redirects=(Redirect("http://a.example/0", 301),),
            )
            work.frontier.retry(hop, 0.0)
            if committed:
                work.commit()
                assert [story.state for story in find_stories(folder, "http://b.example/x")] == ["queued again"]
            last = work.frontier.claim(0.0)
            last = msgspec.structs.replace(
                last,
                url=parse("http://u:secret@c.example/"),
                redirects=(*last.redirects, Redirect("http://b.example/x", 301)),
            )
            work.frontier.retry(last, 0.0)
            work.frontier.claim(0.0)
            work.sink.write(record(last), None, 0)
            work.frontier.finish(last, "ok", 0.0)
        for url in ("http://a.example/0", "http://b.example/x", "http://c.example/"):
            (story,) = find_stories(folder, url)
            assert (story.state, story.redirects) == ("ok", list(last.redirects)), url
            assert [attempt.url for attempt in story.attempts] == ["http://c.example/"]
        assert find_stories(folder, "http://b.example/") == []

    def test_a_decision_not_to_fetch(self, tmp_path, folder):
        """The message names the rule, or the line of robots.txt."""
        with working(tmp_path) as work:
            work.frontier.add(req(0))
            work.frontier.claim(0.0)
            error = CodedError("robots_denied", "line 7: Disallow: /0")
            work.sink.write(unfetched(req(0).written, req(0).input, error), None, 0)
            work.frontier.finish(req(0), "skipped", 0.0)
        (story,) = find_stories(folder, "http://a.example/0")
        assert (story.state, story.error, story.message) == ("skipped", "robots_denied", "line 7: Disallow: /0")
        assert story.attempts == []

    def test_as_it_was_written(self, tmp_path, folder):
        """A URL is found as written and as normalised, and so is a line that is none; a password is never shown."""
        with working(tmp_path) as work:
            url = parse("http://me:secret@a.example/%7Ex")
            work.frontier.add(msgspec.structs.replace(req(0), url=url, written="HTTP://A.example/%7Ex#top"))
            work.journal.refused(1, line := bad_line(1))
            work.sink.write(bad_record(line), None, 1)
        for text in ("HTTP://A.example/%7Ex#top", "http://a.EXAMPLE/%7Ex"):
            (story,) = find_stories(folder, text)
            assert (story.id, story.state) == (0, "queued")
            assert "secret" not in str(story)
        (story,) = find_stories(folder, "nonsense")
        assert (story.state, story.came, story.error) == ("failed", ["urls.txt:2"], "url_invalid")

    def test_pages_that_link_each_other(self, tmp_path, folder):
        """The way back ends, whatever the database says."""
        with working(tmp_path) as work:
            work.frontier.add(link(0, "http://a.example/1"))
            work.frontier.add(link(1, "http://a.example/0"))
        assert find_stories(folder, "http://a.example/0")[0].came == ["http://a.example/1", "http://a.example/0"]


def test_an_old_run_that_died_is_counted(tmp_path, folder):
    """Runs are counted whether they ended or were killed."""
    Work(tmp_path).die()
    with working(tmp_path):
        assert read_status(folder).runs == 2
