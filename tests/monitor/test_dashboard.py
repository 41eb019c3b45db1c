"""The live page's port, in memory: who is let in, what a page is shown, and that no page slows or crashes the run."""

from __future__ import annotations

import json
import os
import re
import socket
import stat
import sys
from pathlib import Path

import pytest
from full_disk import small_files
from live_port import TOKEN, Answer, open_ports, record
from twisted.logger import capturedLogs
from wsproto.events import CloseConnection, Message, TextMessage

from crawler import fetch_all
from crawler.config.config import Config, ConfigError
from crawler.models import ErrorInfo
from crawler.monitor.dashboard.history import MAX_POINTS, History, Point
from crawler.monitor.dashboard.live import MAX_PAGES, MOST_UNREAD, NEWEST
from crawler.monitor.dashboard.server import MAX_TICKETS, TICKET_SECONDS
from crawler.monitor.guard import MAX_CONNECTIONS, MAX_MESSAGE, MAX_STRANGERS, STRANGER_SECONDS
from crawler.monitor.token import token
from crawler.stats.histogram import Histogram
from crawler.stats.stats import Stats

FILES = sorted((Path(__file__).parents[2] / "crawler" / "monitor" / "dashboard" / "page").iterdir())
KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".txt": "text/plain"}


@pytest.fixture
def port(monkeypatch):
    with open_ports(monkeypatch) as start:
        yield start


class TestWhoIsLetIn:
    @pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
    def test_the_page_itself(self, port, file):
        """The files hold no secret: they need no token, run nothing that is not theirs, and lead nowhere else."""
        path = "/" if file.name == "index.html" else f"/{file.name}"
        answer = port().ask("GET", path, Authorization="")
        assert answer.status == 200
        assert answer.body == file.read_bytes()
        assert answer.headers["content-type"] == f"{KINDS[file.suffix]}; charset=utf-8"
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "deny"
        assert answer.headers["cache-control"] == "no-store"
        assert "twisted" not in answer.headers["server"]

    @pytest.mark.parametrize(
        "authorization", ["", "Bearer", "Bearer x", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer é"]
    )
    @pytest.mark.parametrize(
        "what",
        ["GET /api/status", "GET /api/hosts", "GET /api/records", "POST /api/pause", "POST /api/ticket", "GET /api/x"],
    )
    def test_no_token(self, port, what, authorization):
        """Everything about the run wants the token, and says so."""
        running = port()
        answer = running.ask(*what.split(), Authorization=authorization)
        assert answer.status == 401
        assert "token" in answer.json["error"]
        assert not running.control.status().paused

    @pytest.mark.parametrize("path", ["/", "/api/status"])
    @pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1", "127.0.0.1:8081", ""])
    def test_another_host(self, port, path, host):
        """A name that was rebound to this port leads nowhere, with the token or without."""
        assert port().ask("GET", path, Host=host).status in {400, 403}

    @pytest.mark.parametrize(
        "origin", ["http://evil.example", "null", "http://127.0.0.1:8081", "https://127.0.0.1:8080"]
    )
    def test_another_origin(self, port, origin):
        """Another page gets nothing, not even the right to ask; neither does its WebSocket, with a ticket."""
        running = port()
        assert running.ask("POST", "/api/pause", Origin=origin).status == 403
        assert running.ask("GET", "/api/status", Origin=origin).status == 403
        assert not running.control.status().paused
        _, raw, _ = running.upgrade(running.ticket(), Origin=origin)
        assert Answer(raw).status == 403

    @pytest.mark.parametrize("origin", ["http://127.0.0.1:8080", "http://localhost:8080", ""])
    def test_our_own_origin(self, port, origin):
        """The page itself may, and so may what is no browser."""
        running = port()
        assert running.ask("POST", "/api/pause", Origin=origin).json == {"ok": True}
        assert running.control.status().paused

    def test_a_ticket_is_good_once(self, port):
        """And not for long."""
        running = port()
        ticket = running.ticket()
        assert Answer(running.upgrade(ticket)[1]).status == 101
        assert Answer(running.upgrade(ticket)[1]).status == 401
        late = running.ticket()
        running.pass_time(TICKET_SECONDS + 0.1)
        assert Answer(running.upgrade(late)[1]).status == 401
        assert Answer(running.upgrade("")[1]).status == 401

    def test_tickets_are_few(self, port):
        """Who asks for ever more is refused, until the old ones have run out."""
        running = port()
        for _ in range(MAX_TICKETS):
            running.ticket()
        assert running.ask("POST", "/api/ticket").status == 400
        running.pass_time(TICKET_SECONDS + 0.1)
        assert running.ticket()

    def test_no_upgrade(self, port):
        """A plain GET of the WebSocket is a bad request."""
        running = port()
        assert running.ask("GET", f"/ws?ticket={running.ticket()}").status == 400


class TestApi:
    def test_status(self, port):
        """It is the status of the run as the console has it."""
        running = port(6, concurrency=2)
        running.pass_time(1.5)
        status = running.ask("GET", "/api/status").json
        assert (status["concurrency"], status["paused"], status["snapshot"]["done"]) == (2, False, 2)

    def test_hosts(self, port):
        """The table of hosts is sorted and cut as the query says."""
        running = port(6, concurrency=2)
        running.pass_time(1.5)
        table = running.ask("GET", "/api/hosts?sort=host&descending=false&number=1&match=A.EX").json
        assert (table["total"], table["matching"], table["offset"]) == (1, 1, 0)
        row = table["hosts"][0]
        assert (row["host"], row["done"], row["failed"], row["in_flight"]) == ("a.example:80", 2, 0, 2)
        assert running.ask("GET", "/api/hosts?match=nothing").json["hosts"] == []

    @pytest.mark.parametrize(
        ("verb", "body", "seen"),
        [
            ("concurrency", {"value": 7}, ("concurrency", 7)),
            ("per-host", {"value": 3}, ("per_host", 3)),
            ("delay", {"value": 0.5}, ("delay", 0.5)),
            ("pause", {}, ("paused", True)),
            ("stop", {}, ("stopping", True)),
        ],
    )
    def test_verbs(self, port, verb, body, seen):
        """Each takes effect at once."""
        running = port()
        assert running.ask("POST", f"/api/{verb}", json.dumps(body).encode()).json == {"ok": True}
        name, value = seen
        assert getattr(running.control.status(), name) == value

    def test_resume_add_and_drop(self, port):
        """A URL that is added is fetched; the URLs of a host that is dropped are skipped."""
        running = port(6, concurrency=1)
        running.ask("POST", "/api/pause")
        running.ask("POST", "/api/add", b'{"url": "http://b.example/50"}')
        running.ask("POST", "/api/drop", b'{"host": "a.example:80"}')
        running.ask("POST", "/api/resume")
        running.pass_time(10.0)
        assert len(running.run.asked("b.example")) == 1
        assert len(running.run.asked()) == 1
        assert running.control.status().snapshot.skips == {"dropped": 5}

    @pytest.mark.parametrize(
        ("what", "body", "words"),
        [
            ("POST /api/concurrency", b"", "value"),
            ("POST /api/concurrency", b'{"value": "8"}', "int"),
            ("POST /api/concurrency", b'{"value": 0}', "whole number from 1"),
            ("POST /api/concurrency", b'{"value": 1, "verb": "stop", "x": 1}', "x"),
            ("POST /api/delay", b'{"value": -1}', "from 0 to"),
            ("POST /api/delay", b'{"value": NaN}', "malformed"),
            ("POST /api/add", b'{"url": "nonsense"}', "nonsense"),
            ("POST /api/add", b"[1]", "object"),
            ("POST /api/drop", b'{"host": "c.example:80"}', "c.example:80"),
            ("POST /api/pause", b"{", "truncated"),
            ("POST /api/pause", b'{"x":' + b"[" * 30_000, "nested too deeply"),
            ("POST /api/pause", b"\xff\xfe", "malformed"),
            ("GET /api/hosts?number=501", b"", "500"),
            ("GET /api/hosts?sort=nothing", b"", "nothing"),
            ("GET /api/hosts?offset=-1", b"", "offset"),
            ("GET /api/records?of=status", b"", "key"),
            ("GET /api/records?of=nothing&key=x", b"", "nothing"),
            ("GET /api/records?of=status&key=404&after=-1", b"", "after"),
        ],
    )
    def test_what_cannot_be(self, port, what, body, words):
        """A bad request is told what is wrong with it, and nothing changes."""
        running = port()
        before = running.control.status()
        answer = running.ask(*what.split(), body)
        assert answer.status == 400
        assert words in answer.json["error"]
        after = running.control.status()
        assert (after.paused, after.stopping, after.concurrency, after.delay) == (
            before.paused, before.stopping, before.concurrency, before.delay,
        )  # fmt: skip

    @pytest.mark.parametrize(
        ("what", "status"),
        [
            ("GET /nothing", 404),
            ("GET /api/nothing", 404),
            ("GET /api/pause", 404),
            ("POST /", 405),
            ("PUT /api/pause", 404),
        ],
    )
    def test_what_is_not_there(self, port, what, status):
        """Is said so, and which verbs there are."""
        assert port().ask(*what.split()).status == status

    def test_before_the_run(self, port):
        """Until the run has begun there is nothing to say, and the page is told so."""
        running = port()
        run, running.run = running.run, None
        assert running.ask("GET", "/api/status").status == 400
        page = running.page()
        assert page.said() == []
        running.run = run
        running.pass_time(0.3)
        assert [message["type"] for message in page.said()][:2] == ["hello", "history"]


class TestPage:
    def test_what_it_is_shown(self, port):
        """First who it talks to and what was; then four frames a second, with the records since the last."""
        running = port(6, concurrency=1)
        for number in range(3):
            running.live.write(record(f"http://a.example/{number}", time_total=0.5, status=200), None, number)
        page = running.page()
        hello, history = page.said()
        assert (hello["type"], hello["title"], hello["crawl"], hello["job"]) == ("hello", "urls.txt", False, None)
        assert history == {"type": "history", **{name: [] for name in Point.__struct_fields__}}
        running.pass_time(0.26)
        (frame,) = page.said()
        assert [seen["url"][-1] for seen in frame["records"]] == ["0", "1", "2"]
        assert frame["failures"] == []
        assert frame["status"]["snapshot"]["in_flight"] == 1
        failed = record(
            "http://b.example/", outcome="failed", error=ErrorInfo("conn_refused", "connect", True, "no one")
        )
        running.live.write(failed, None, 4)
        running.pass_time(1.0)
        messages = page.said()
        frames = [message for message in messages if message["type"] == "frame"]
        assert len(frames) == 4
        assert [len(frame["records"]) for frame in frames] == [1, 0, 0, 0]
        assert frames[0]["failures"][0]["error"] == "conn_refused"
        (point,) = [message for message in messages if message["type"] == "point"]
        assert point["p50"] == pytest.approx(0.5, rel=0.05)

    def test_the_newest_are_few(self, port):
        """However many records come, a frame has the newest; what is long is cut."""
        running = port()
        page = running.page()
        for number in range(1_000):
            running.live.write(record(f"http://a.example/{number}/{'x' * 5_000}", title="t" * 5_000), None, number)
        page.said()
        running.pass_time(0.26)
        (frame,) = page.said()
        assert len(frame["records"]) == NEWEST
        assert frame["records"][-1]["url"].startswith("http://a.example/999/")
        assert len(json.dumps(frame)) < 200_000

    def test_verbs(self, port):
        """Each is answered, by its number; what is wrong with it is said."""
        running = port()
        page = running.page()
        assert page.ask(id=3, verb="pause") == [{"type": "answer", "id": 3, "error": None}]
        assert running.control.status().paused
        (answer,) = page.ask(id=4, verb="concurrency", value=0)
        assert (answer["id"], "whole number" in answer["error"]) == (4, True)
        (answer,) = page.ask(id=5, verb="nothing")
        assert (answer["id"], "nothing" in answer["error"]) == (5, True)
        page.say("{")
        assert page.said()[0]["error"]
        page.say("[" * 10_000)
        assert page.said()[0]["error"]

    def test_hosts_are_shown_again(self, port):
        """Who has asked for hosts sees them again about once a second."""
        running = port(6, concurrency=1)
        page = running.page()
        table, answer = page.ask(id=1, verb="hosts", sort="host", number=5)
        assert (table["type"], table["hosts"][0]["host"], answer["error"]) == ("hosts", "a.example:80", None)
        running.live.hosts._next = 0.0  # real time
        running.pass_time(0.26)
        assert [message["type"] for message in page.said()] == ["frame", "hosts"]
        running.pass_time(0.25)
        assert [message["type"] for message in page.said()] == ["frame"]

    def test_text_without_a_form(self, port):
        """A URL that could not be read may hold half a character: it is shown as a replacement."""
        running = port()
        page = running.page()
        page.said()
        running.live.write(record("http://a.example/\udc80"), None, 1)
        running.pass_time(0.26)
        (frame,) = page.said()
        assert frame["records"][0]["url"] == "http://a.example/\ufffd"

    def test_a_bug(self, port, monkeypatch):
        """Is told to the log, and what is shown goes on."""
        running = port()
        page = running.page()
        page.said()
        with monkeypatch.context() as patch, capturedLogs() as events:
            patch.setattr(running.control, "status", lambda: 1 / 0)
            running.pass_time(0.26)
        assert [event["log_failure"].type for event in events] == [ZeroDivisionError]
        running.pass_time(0.26)
        assert [message["type"] for message in page.said()] == ["frame"]

    def test_the_end(self, port):
        """The last frame has the last records; then it is said that there are no more, and the port is closed."""
        running = port()
        page = running.page()
        running.live.write(record("http://a.example/last"), None, 1)
        page.said()
        running.dashboard.close()
        messages = page.said()
        assert [message["type"] for message in messages] == ["point", "frame", "end"]
        assert messages[1]["records"][0]["url"] == "http://a.example/last"
        assert page.wire.gone
        assert running.stopped == 1
        assert running.dashboard.close() is None

    def test_a_page_that_says_goodbye(self, port):
        """A page that is left while its connection goes on for a moment takes nothing from the others."""
        running = port()
        leaving, staying = running.page(), running.page()
        staying.said()
        leaving.wire.loseConnection = lambda: None  # as it is where something is still to be written
        leaving.wire.protocol.dataReceived(leaving.client.send(CloseConnection(1001)))
        running.pass_time(1.0)
        assert "frame" in {message["type"] for message in staying.said()}
        running.dashboard.close()
        assert staying.said()[-1] == {"type": "end"}

    def test_an_end_that_nobody_reads(self, port):
        """A connection that does not end is ended after a second."""
        running = port()
        wire = running.connect()
        wire.loseConnection = lambda: None
        ended: list[object] = []
        running.dashboard.close().addBoth(ended.append)
        assert ended == []
        running.pass_time(1.1)
        assert wire.gone
        assert len(ended) == 1


class TestSlowPages:
    def test_frames_are_left_out(self, port):
        """Who does not read gets no frames; who reads again gets the newest, and all of the history."""
        running = port()
        page = running.page()
        page.said()
        page.wire.producer.pauseProducing()
        for number in range(20):
            running.live.write(record(f"http://a.example/{number}"), None, number)
            running.pass_time(0.25)
        assert page.said() == []
        page.wire.producer.resumeProducing()
        running.pass_time(0.25)
        messages = page.said()
        assert [message["type"] for message in messages] == ["hello", "history", "frame"]
        assert len(messages[1]["elapsed"]) == 5
        assert len(messages[2]["records"]) == 20

    def test_who_asks_and_never_reads(self, port):
        """Is left: its answers must not pile up."""
        running = port()
        page = running.page()
        page.wire.producer.pauseProducing()
        for number in range(MOST_UNREAD + 1):
            assert not page.wire.gone
            page.say(json.dumps({"id": number, "verb": "resume"}))
        assert page.wire.gone
        running.pass_time(1.0)

    def test_a_message_that_is_too_long(self, port):
        """Is not kept: the connection ends before it is whole. Many short ones are fine."""
        running = port()
        page = running.page()
        for _ in range(3 * MAX_MESSAGE // 1_000):
            page.say(json.dumps({"verb": "resume", "id": 1}).ljust(1_000))
            page.said()
        assert not page.wire.gone
        page.say("x" * (MAX_MESSAGE + 1))
        assert page.wire.gone

    def test_a_message_in_endless_pieces(self, port):
        """Fragments of one message count together."""
        page = port().page()
        for _ in range(MAX_MESSAGE // 1_000 + 1):
            assert not page.wire.gone
            page.wire.protocol.dataReceived(page.client.send(TextMessage("x" * 1_000, message_finished=False)))
        assert page.wire.gone

    def test_a_request_that_is_too_long(self, port):
        """Neither is a body; and who says nothing at all is left after a while."""
        running = port()
        wire, _ = running.raw("POST", "/api/add", b"x" * 1_000, Content_Length="100000000")
        for _ in range(MAX_MESSAGE // 1_000):
            if not wire.gone:
                wire.protocol.dataReceived(b"x" * 1_000)
        assert wire.gone
        silent = running.connect()
        running.pass_time(90.0)
        assert silent.gone

    def test_a_page_stays_as_long_as_it_likes(self, port):
        """The time limit of a request is not that of a WebSocket, which says nothing for hours."""
        running = port()
        page = running.page()
        running.pass_time(600.0)
        assert not page.wire.gone

    def test_deep_json(self, port):
        """It is told so, as all that is no verb: there is no traceback, and the page stays."""
        page = port().page()
        page.said()
        page.say('{"verb":"pause","x":' + "[" * 30_000)
        (answer,) = page.said()
        assert "`x`" in answer["error"]
        page.say("[" * 30_000)
        (answer,) = page.said()
        assert answer["error"]
        assert not page.wire.gone

    def test_bytes(self, port):
        """Messages are text."""
        page = port().page()
        page.wire.protocol.dataReceived(page.client.send(Message(b"\x00\x01")))
        assert page.wire.gone

    def test_garbage(self, port):
        """What is no frame at all ends that connection, and nothing else."""
        running = port()
        page = running.page()
        page.wire.protocol.dataReceived(b"\xff" * 100)
        assert page.wire.gone
        assert running.page().said()

    def test_pages_are_few(self, port):
        """One page more is told so; connections are few too."""
        running = port()
        pages = [running.page() for _ in range(MAX_PAGES)]
        assert Answer(running.upgrade(running.ticket())[1]).status == 503
        pages[0].wire.loseConnection()
        assert running.page().said()
        for _ in range(MAX_CONNECTIONS - MAX_PAGES - 1):  # the one that was refused is still open
            running.raw("GET", "/api/status")
        assert running.connect() is None

    def test_strangers_make_room(self, port):
        """Who shows no token is let go when others come, and after some seconds: the owner gets in and stays."""
        running = port()
        page = running.page()
        strangers = [running.raw("GET", "/", Authorization="")[0] for _ in range(2 * MAX_STRANGERS)]
        assert [stranger.gone for stranger in strangers].count(False) == MAX_STRANGERS
        assert running.ask("GET", "/api/status").status == 200
        running.pass_time(STRANGER_SECONDS)
        assert all(stranger.gone for stranger in strangers)
        assert not page.wire.gone


class TestHistory:
    def test_steps(self):
        """Each point has the rates of its step alone, and the times of what ended in it."""
        now = [0.0]
        stats = Stats(concurrency=1, clock=lambda: now[0], cpu_clock=lambda: 0.0)
        history = History()
        for second in range(1, 4):
            now[0] = float(second)
            for _ in range(second):
                stats.write(record(size_download=100, time_total=float(second)), None, 0)
                history.count(float(second))
            point = history.step(stats.snapshot())
            assert (point.elapsed, point.rate, point.bandwidth) == (second, second, 100 * second)
            assert point.p99 == pytest.approx(second, rel=0.06)
        now[0] = 4.0
        assert history.step(stats.snapshot()).p50 is None

    def test_a_long_run(self):
        """However long it takes, the points stay few, cover all of it, and what they add up to stays right."""
        now = [0.0]
        stats = Stats(concurrency=1, clock=lambda: now[0], cpu_clock=lambda: 0.0)
        history = History()
        for _ in range(MAX_POINTS * 3):
            now[0] += history.seconds
            stats.write(record(time_total=1.0), None, 0)
            history.count(1.0)
            history.step(stats.snapshot())
        columns = history.columns()
        assert MAX_POINTS // 2 <= len(columns["elapsed"]) < MAX_POINTS
        assert columns["elapsed"][-1] == now[0]
        spans = [after - before for before, after in zip([0.0, *columns["elapsed"]], columns["elapsed"], strict=False)]
        done = sum(rate * span for rate, span in zip(columns["rate"], spans, strict=True))
        assert done == pytest.approx(MAX_POINTS * 3)

    def test_merging_histograms(self):
        """Two become one as if all had been counted by one."""
        one, other, both = Histogram(), Histogram(), Histogram()
        for number in range(1, 3_000):
            (one if number % 3 else other).add(number / 1_000)
            both.add(number / 1_000)
        one.merge(other)
        ours, theirs = one.percentiles(), both.percentiles()
        assert (ours.count, ours.p50, ours.p99, ours.max) == (theirs.count, theirs.p50, theirs.p99, theirs.max)
        assert ours.mean == pytest.approx(theirs.mean)


def test_ten_thousand_hosts(port):
    """A window of them is what is sent, whatever it is sorted by."""
    running = port(0, delay=60.0)
    control = running.control
    control.pause()
    for number in range(10_000):
        control.add(f"http://h{number}.example/", "test")
    page = running.page()
    table, _ = page.ask(id=1, verb="hosts", sort="host", descending=False, offset=9_990, number=100)
    assert (table["total"], table["matching"], table["offset"], len(table["hosts"])) == (10_000, 10_000, 9_990, 10)
    table, _ = page.ask(id=2, verb="hosts", match="h77", number=500)
    assert (table["matching"], len(table["hosts"])) == (111, 111)


class TestRuns:
    """Real runs, on real sockets."""

    def test_a_run_says_where_its_page_is(self, capsys):
        """Also where there is no command line; no URL leads there, whatever it says, and in the end the port is closed."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        (record,) = fetch_all([f"http://localhost:{port}/api/status"], dashboard=port, retries=0)
        assert record.error.code == "address_blocked"
        assert "monitor of this run" in record.error.message
        assert re.search(
            rf"^Live page: http://127\.0\.0\.1:{port}/#[\w-]{{43}}$", capsys.readouterr().err, re.MULTILINE
        )
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)

    def test_a_port_that_is_taken(self):
        """Is said with the option's name, before anything is fetched."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            with pytest.raises(ConfigError, match=r"--dashboard: .*in use"):
                fetch_all(["http://127.0.0.1:1/"], dashboard=taken.getsockname()[1])

    @pytest.mark.parametrize(
        "where", ["0.0.0.0:80", "example.com:80", "[::]:80", "127.0.0.1:65536", "127.0.0.1", "-1", "192.168.0.1:80", ""]
    )
    def test_ports_of_this_machine_alone(self, where):
        """Whoever gets at a monitor steers the run, so it listens for this machine and nobody else."""
        with pytest.raises(ConfigError, match="dashboard"):
            Config.build(dashboard=where)

    @pytest.mark.parametrize(
        ("where", "place"),
        [
            (8080, "8080"),
            ("0", "0"),
            ("localhost:1", "127.0.0.1:1"),
            (":2", "2"),
            ("[::1]:3", "[::1]:3"),
        ],
    )
    def test_how_a_port_is_written(self, where, place):
        """A number is enough; the host is kept where one was written: that one is not elsewhere by --monitor-address."""
        assert Config.build(dashboard=where).dashboard == place

    def test_without_the_extra(self, monkeypatch):
        """What is missing is named, and how to get it."""
        for name in [name for name in sys.modules if name.startswith("crawler.monitor.dashboard.server")]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, "twisted.web.websocket", None)
        with pytest.raises(ConfigError, match=r"pip install 'everyurl\[dashboard\]'"):
            fetch_all(["http://127.0.0.1:1/"], dashboard=0)

    def test_a_token_that_stays(self, tmp_path, capsys):
        """--token-file: made for its owner alone, and the same in the next run; what is no token is refused."""
        file = tmp_path / "token"
        for _ in range(2):
            fetch_all([], dashboard=0, token_file=str(file))
            assert capsys.readouterr().err.strip().endswith(f"#{file.read_text().strip()}")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        file.write_text("short")
        with pytest.raises(ConfigError, match=r"--token-file.*holds no token"):
            fetch_all([], dashboard=0, token_file=str(file))
        with pytest.raises(ConfigError, match="--token-file"):
            fetch_all([], dashboard=0, token_file=str(tmp_path / "no" / "token"))

    def test_a_token_on_a_full_disk(self, tmp_path):
        """--token-file: one that cannot be written whole is not there, or the next run would find half a token."""
        file = tmp_path / "token"
        with small_files(0), pytest.raises(ConfigError, match="--token-file"):
            token(str(file))
        assert not file.exists()
        assert token(str(file)) == file.read_text().strip()

    @pytest.mark.skipif(os.name != "posix", reason="modes and owners are POSIX's")
    @pytest.mark.parametrize("mode", [0o602, 0o620, 0o604])
    def test_a_token_that_others_know(self, tmp_path, mode):
        """--token-file: what others can read or change is refused, and says what would be right."""
        file = tmp_path / "token"
        file.write_text(TOKEN)
        file.chmod(mode)
        with pytest.raises(ConfigError, match=rf"--token-file: others .*{mode:04o}.*chmod 600"):
            token(str(file))
        file.chmod(0o640)
        assert token(str(file)) == TOKEN

    @pytest.mark.skipif(os.name != "posix", reason="modes and owners are POSIX's")
    def test_a_foreign_token(self, tmp_path, monkeypatch):
        """--token-file: another user's file is refused, and so is what is no file, without waiting."""
        file = tmp_path / "token"
        file.write_text(TOKEN)
        file.chmod(0o600)
        owner = file.stat().st_uid
        if owner:
            monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
        else:
            os.chown(file, 12_345, -1)
        with pytest.raises(ConfigError, match=r"--token-file: .* belongs to another user"):
            token(str(file))
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(ConfigError, match=r"--token-file: .*: is no plain file"):
            token(str(tmp_path / "pipe"))
