"""What is behind a number of the live page: asked for by a message, answered in a bounded one."""

from __future__ import annotations

import json

import pytest
from live_port import Answer, open_ports, record
from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import capturedLogs

from crawler.errors import CodedError
from crawler.job.options import JobError
from crawler.job.status import Story
from crawler.models import ErrorInfo, Input
from crawler.monitor.dashboard.story import AT_ONCE, NO_JOB
from crawler.stats.newest import KEPT


@pytest.fixture
def port(monkeypatch):
    with open_ports(monkeypatch) as start:
        yield start


def missing(number: int = 1):
    return record(
        f"http://a.example/{number}", status=404, input=Input(parent="http://a.example/", depth=1), time_total=0.5
    )


def failed(code: str = "conn_refused"):
    return record("http://b.example/", outcome="failed", error=ErrorInfo(code, "connect", True, "no one"))


class TestFrames:
    def test_answers_from_400_have_a_list(self, port):
        """They are no failures, but did not please: with their status, and the page that links to them."""
        running = port()
        page = running.page()
        page.said()
        for number, one in enumerate([record(status=200), missing(), failed(), missing(2)]):
            running.live.write(one, None, number)
        running.pass_time(0.26)
        (frame,) = page.said()
        assert [seen["url"] for seen in frame["http_errors"]] == ["http://a.example/1", "http://a.example/2"]
        assert {(seen["status"], seen["via"]) for seen in frame["http_errors"]} == {(404, "http://a.example/")}
        assert [seen["error"] for seen in frame["failures"]] == ["conn_refused"]
        assert len(frame["records"]) == 4
        assert "The newest 2 URLs took 500 ms each" in frame["time"]

    def test_they_count_for_their_host(self, port):
        """In the table of hosts, and in the plot."""
        running = port(3, concurrency=3)
        stats = running.run.crawler.stats
        for number in range(3):
            stats.write(
                record(f"http://c.example/{number}", final_url="http://c.example/", status=500, attempts=1), None, 0
            )
        rows = {row.host: row for row in running.control.host_rows()}
        assert (rows["c.example:80"].done, rows["c.example:80"].http_errors, rows["c.example:80"].failed) == (3, 3, 0)
        page = running.page()
        page.said()
        running.pass_time(1.0)
        (point,) = [message for message in page.said() if message["type"] == "point"]
        assert point["http_errors"] > 0
        assert point["failed"] == 0

    def test_an_end_is_no_outcome_of_a_failed_answer(self, port):
        """A failure that has a status is with the failures alone."""
        running = port()
        page = running.page()
        page.said()
        broken = record(status=500, outcome="failed", error=ErrorInfo("body_incomplete", "read", True, "cut"))
        running.live.write(broken, None, 0)
        running.pass_time(0.26)
        (frame,) = page.said()
        assert (len(frame["http_errors"]), len(frame["failures"])) == (0, 1)


class TestDrillingDown:
    def test_by_message(self, port):
        """What is asked for comes, then the answer; who knows some is told of those after them."""
        running = port()
        page = running.page()
        for number, one in enumerate([record(status=200), missing(), failed()]):
            running.live.write(one, None, number)
        shown, answer = page.ask(id=7, verb="records", of="status", key="404")
        assert (shown["type"], shown["of"], shown["key"], shown["last"]) == ("records", "status", "404", 3)
        assert [seen["url"] for seen in shown["records"]] == ["http://a.example/1"]
        assert answer == {"type": "answer", "id": 7, "error": None}
        running.live.write(missing(5), None, 4)
        shown, _ = page.ask(id=8, verb="records", of="class", key="4", after=shown["last"])
        assert [seen["url"] for seen in shown["records"]] == ["http://a.example/5"]
        shown, _ = page.ask(id=9, verb="records", of="code", key="nothing")
        assert shown["records"] == []

    def test_by_the_api(self, port):
        """The same for a script."""
        running = port()
        running.live.write(failed("dns_nodata"), None, 0)
        shown = running.ask("GET", "/api/records?of=code&key=dns_nodata").json
        assert [seen["message"] for seen in shown["records"]] == ["no one"]

    def test_a_host_says_what_binds_it(self, port):
        """With figures: its limit, the time of a URL, and what that comes to."""
        running = port(6, per_host=2)
        running.pass_time(1.5)
        for number in range(4):
            running.live.write(
                record(f"http://a.example/{number}", time_total=0.5, time_starttransfer=0.4), None, number
            )
        shown, _ = running.page().ask(id=1, verb="records", of="host", key="a.example:80")[-2:]
        assert len(shown["records"]) == 4
        assert shown["about"] == [
            (
                "The newest 4 URLs took 500 ms each: 0 ms to connect, 400 ms until the first byte, 100 ms to receive; "
                "80 % of that is the doing of the servers."
            ),
            (
                "a.example: 2 URLs wait; --per-host binds at 2 connections and 500 ms for each URL; "
                "that is 4 URLs/s at most, and 500 ms for all of them."
            ),
        ]

    def test_a_message_is_bounded(self, port):
        """However many there are, and however long."""
        running = port()
        page = running.page()
        long = "x" * 5_000
        for number in range(3 * KEPT):
            one = record(f"http://a.example/{number}/{long}", status=404, title=long, input=Input(parent=long))
            running.live.write(one, None, number)
        shown, _ = page.ask(id=1, verb="records", of="status", key="404")[-2:]
        assert len(shown["records"]) == KEPT
        assert len(json.dumps(shown)) < 600_000
        (answer,) = page.ask(id=2, verb="records", of="host", key=long)
        assert "key" in answer["error"]

    def test_before_the_run(self, port):
        """There is nothing behind anything."""
        running = port()
        running.run, run = None, running.run
        shown, _ = running.page().ask(id=1, verb="records", of="host", key="a.example:80")
        assert (shown["records"], shown["about"]) == ([], [])
        running.run = run


def why(port, url: str):
    return port.ask("GET", f"/api/why?url={url}").json


STORY = Story(
    id=3, url="http://a.example/7", state="failed", input=Input("urls.txt", 4), came=["urls.txt:4"], redirects=[],
    attempts=[], error="dns_nodata", message="no address",
)  # fmt: skip


class TestStories:
    def test_without_a_job(self, port):
        """Where the URL is, what binds its host, and the records that are remembered."""
        running = port(6, concurrency=2, per_host=2)
        waiting = why(running, "http://a.example/5")
        facts = dict(waiting["facts"])
        assert (waiting["type"], waiting["url"]) == ("story", "http://a.example/5")
        assert facts["State"] == "queued: 3 of its host go before it"
        assert facts["Host"] == "a.example: 4 URLs wait; --per-host binds at 2 connections."
        assert (waiting["records"], waiting["stories"], waiting["note"]) == ([], [], NO_JOB)
        running.pass_time(1.5)
        running.live.write(record("HTTP://A.example/0", final_url="http://a.example/0", status=404), None, 0)
        ended = why(running, "http://a.example:80/0")
        assert dict(ended["facts"])["State"] == "it has ended"
        assert [seen["status"] for seen in ended["records"]] == [404]

    def test_a_line_that_is_no_url(self, port):
        """Has its record, and why it is none."""
        running = port()
        running.live.write(record("nonsense", final_url=None, outcome="failed"), None, 0)
        told = why(running, "nonsense")
        assert "it is no URL that could be fetched: url_invalid" in dict(told["facts"])["State"]
        assert len(told["records"]) == 1

    def test_what_the_job_has_kept(self, port):
        """Comes along; that it has kept nothing is said."""
        asked = []

        def kept(url):
            asked.append(url)
            return succeed([STORY] if url.endswith("7") else [])

        running = port(kept=kept)
        told = why(running, "http://a.example/7")
        assert [(story["state"], story["message"]) for story in told["stories"]] == [("failed", "no address")]
        assert told["note"] == ""
        assert "has not kept it" in why(running, "%20http://a.example/8%20")["note"]
        assert asked == ["http://a.example/7", "http://a.example/8"]

    @pytest.mark.parametrize("error", [JobError("somebody is at it"), CodedError("write_error", "somebody is at it")])
    def test_a_job_that_cannot_be_read(self, port, error):
        """The rest is told, and why that is missing."""
        told = why(port(kept=lambda _: fail(error)), "http://a.example/7")
        assert dict(told["facts"])["State"]
        assert "cannot be read" in told["note"]
        assert "somebody is at it" in told["note"]

    def test_who_leaves_is_not_waited_for(self, port):
        """The search is cancelled with the connection; and only some are made at once."""
        cancelled = []
        running = port(kept=lambda url: Deferred(lambda _: cancelled.append(url)))
        wires = [running.raw("GET", f"/api/why?url=http://a.example/{n}")[0] for n in range(AT_ONCE)]
        refused = running.ask("GET", "/api/why?url=http://a.example/9")
        assert (refused.status, "too many" in refused.json["error"]) == (400, True)
        wires[0].loseConnection()
        assert cancelled == ["http://a.example/0"]
        later: Deferred[object] = Deferred()
        running.live._stories._kept = lambda _: later
        wire, raw = running.raw("GET", "/api/why?url=http://a.example/1")
        assert raw == b""
        later.callback([STORY])
        assert len(Answer(wire.value()).json["stories"]) == 1

    def test_a_bug(self, port):
        """Is told to the log, and to who asked that it has it."""
        running = port(kept=lambda _: fail(ZeroDivisionError()))
        with capturedLogs() as events:
            answer = running.ask("GET", "/api/why?url=http://a.example/1")
        assert (answer.status, answer.json["error"]) == (500, "a bug: the log has it")
        assert [event["log_failure"].type for event in events] == [ZeroDivisionError]
        assert running.ask("GET", "/api/why").status == 400
