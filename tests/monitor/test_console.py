"""monitor/console.py and attach.py: the verbs over a line protocol, what watchers see, and who may connect."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from steered_run import Going
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from whole_crawls import node, whole

from crawler.cli.attach import talk
from crawler.config.config import ConfigError
from crawler.models import ErrorInfo, Input, Record
from crawler.monitor.console import HELP, MAX_CLIENTS, Console
from crawler.monitor.guard import STRANGER_SECONDS
from crawler.monitor.listening import listen, needs_token
from crawler.site import running_site

ROOT = Path(__file__).parents[2]


class Session:
    """A connection in memory."""

    def __init__(self, console: Console) -> None:
        self.protocol = console.buildProtocol(None)
        self.transport = StringTransport()
        self.protocol.makeConnection(self.transport)

    def said(self) -> list[str]:
        text = self.transport.value().decode()
        self.transport.clear()
        return text.splitlines()

    def ask(self, line: str) -> list[str]:
        self.protocol.dataReceived(line.encode() + b"\n")
        return self.said()


@pytest.fixture
def going(monkeypatch):
    runs = []

    def start(number: int, **options: object) -> tuple[Going, Session]:
        run = Going(monkeypatch, number, **options)
        runs.append(run)
        return run, Session(Console(lambda: run.crawler.control, reactor=Clock()))

    yield start
    for run in runs:
        run.crawler.abort()
        run.pass_time(10.0)


def record(**fields: object) -> Record:
    return Record(**{"url": "http://a.example/", "input": Input(), "outcome": "ok", "status": 200, **fields})


class TestVerbs:
    def test_status(self, going):
        """What runs, what became of the rest, and the settings that may be changed."""
        _, session = going(30, concurrency=4)
        head, counts, load, settings, *_, last = session.ask("status")
        assert head.startswith("running for 10 ms: 0 of 30 done")
        assert counts == "0 ok, 0 failed, 0 skipped, 0 B received"
        assert load == "4 in flight, 26 queued"
        assert settings == "concurrency 4, per-host 8, delay 0 s"
        assert last == "ok"

    def test_status_of_a_crawl_of_many_nodes(self, going):
        """Its books, and its nodes, some of them: no name of theirs does anything to a terminal."""
        run, session = going(30)
        nodes = [node("one", is_this=True), node("\x1b[2J", gone=8.0), *(node(f"n{number}") for number in range(30))]
        run.crawler.stats.whole = lambda: whole(*nodes)
        lines = session.ask("status")
        begin = lines.index(
            "crawl spring: 1,000 of 2,000 done, ok 900, failed 90, skipped 10, queued 800, leased 200; "
            "40/s by 31 nodes, 1 gone"
        )
        assert lines[begin + 1] == "node one (this): 3 in flight, 4 hosts, 50 done (2 failed), 20/s"
        assert lines[begin + 2].endswith(": gone for 8.0 s, 50 done (2 failed)")
        assert lines[begin + 21] == "and 12 more nodes"
        assert "\x1b" not in "".join(lines)

    def test_hosts(self, going):
        """Each with its queue and what binds it."""
        _, session = going(30, per_host=2)
        line, last = session.ask("hosts 5")
        assert line.split() == ["a.example:80", "28", "queued", "2", "of", "2", "in", "flight", "0", "s", "per_host"]
        assert last == "ok"

    @pytest.mark.parametrize(
        ("key", "urls"),
        [
            ("404", ["http://a.example/1"]),
            ("4xx", ["http://a.example/1"]),
            ("http-errors", ["http://a.example/1"]),
            ("failed", ["http://b.example/2"]),
            ("dns_nodata", ["http://b.example/2"]),
            ("a.example:80", ["http://a.example/0", "http://a.example/1"]),
            ("nothing", []),
        ],
    )
    def test_newest(self, key, urls):
        """What is behind a number, the newest last: how each ended, and who links to it."""
        console = Console(lambda: self, reactor=Clock())  # any control: it is not asked
        session = Session(console)
        console.write(record(url="http://a.example/0"), None, 0)
        console.write(record(url="http://a.example/1", status=404, input=Input(parent="http://a.example/0")), None, 1)
        error = ErrorInfo("dns_nodata", "dns", False, "no address")
        console.write(record(url="http://b.example/2", status=None, outcome="failed", error=error), None, 2)
        *lines, last = session.ask(f"newest {key}")
        assert [line.split()[1] for line in lines] == urls
        assert last == "ok"
        if key == "404":
            assert lines[0].split() == ["404", "http://a.example/1", "from", "http://a.example/0"]

    def test_why(self, going):
        """Where a URL is, and what decides of it; what is none is told so."""
        _, session = going(6, concurrency=2)
        assert session.ask("why http://a.example/3") == [
            "State:       queued: 1 of its host go before it",
            "robots.txt:  not obeyed",
            "ok",
        ]
        assert session.ask("why nonsense")[0].startswith("error: url_invalid")

    def test_steering(self, going):
        """Every verb does to the run what it says."""
        run, session = going(40, concurrency=1)
        assert session.ask("concurrency 3") == ["ok"]
        assert session.ask("per-host 2") == ["ok"]
        assert session.ask("delay 1.5s") == ["ok"]
        status = run.control.status()
        assert (status.concurrency, status.per_host, status.delay) == (3, 2, 1.5)
        assert session.ask("pause") == ["ok"]
        assert session.ask("status")[0].startswith("paused")
        assert session.ask("resume") == ["ok"]
        assert session.ask("delay 0") == ["ok"]
        assert session.ask("add http://b.example/3") == ["ok"]
        run.pass_time(60.0)
        assert len(run.kept.by_number) == 41
        assert run.kept.by_number[40].input.source == "console"

    def test_dropping_and_stopping(self, going):
        """A host, and the run."""
        run, session = going(40, delay=50.0)
        assert session.ask("drop a.example:80") == ["ok"]
        run.pass_time(5.0)
        assert len(run.ended) == 1
        assert session.ask("stop") == ["ok"]

    @pytest.mark.parametrize(
        ("line", "words"),
        [
            ("frobnicate", "'frobnicate' is no verb (help lists them)"),
            ("concurrency", "it is: concurrency N"),
            ("concurrency many", "'many' is not a whole number"),
            ("concurrency 0", "0 is not a whole number from 1 to"),
            ("delay -1", "is not a time"),
            ("add nothing", "the URL has no scheme"),
            ("drop b.example:80", "is no host of this run"),
            ("\x1b[2J", r"\x1b"),
            ("__import__('os').system('id')", "is no verb"),
        ],
    )
    def test_bad_lines(self, going, line, words):
        """One line says what is wrong; the connection and the run go on."""
        _, session = going(3)
        (answer,) = session.ask(line)
        assert answer.startswith("error: ")
        assert words in answer
        assert session.ask("pause") == ["ok"]

    def test_help(self, going):
        """It lists every verb."""
        _, session = going(1)
        assert [line.split()[0] for line in session.ask("help")[:-1]] == [usage.split()[0] for usage in HELP]

    def test_before_the_run(self):
        """There is nothing to steer yet."""
        session = Session(Console(lambda: None, reactor=Clock()))
        assert session.ask("status") == ["error: the run has not begun yet"]

    def test_quit(self, going):
        """It closes the connection, and nothing else."""
        run, session = going(3)
        assert session.ask("quit") == []
        assert session.transport.disconnecting
        assert not run.ended


class TestWatching:
    def test_lines(self):
        """Each record is a line with its time, until the watcher says anything."""
        console = Console(lambda: None, reactor=Clock(), wall=lambda: 1_700_000_000.25)
        with_run = Session(console)
        with_run.protocol.watching = "text"
        console.write(record(), None, 0)
        (line,) = with_run.said()
        assert line.startswith("22:13:20.250  200")
        with_run.ask("")
        console.write(record(), None, 1)
        assert with_run.said() == []

    def test_text_without_a_form(self):
        """A URL that could not be read may hold half a character: watching it ends no run."""
        console = Console(lambda: None, reactor=Clock())
        session = Session(console)
        for how in ("text", "json"):
            session.protocol.watching = how
            console.write(record(url="http://a.example/\udc80"), None, 1)
        text, line = session.said()
        assert text.endswith("http://a.example/\\udc80")
        assert json.loads(line)["url"] == "http://a.example/\ufffd"

    def test_json(self, going):
        """The whole record."""
        _, session = going(1)
        console = session.protocol._console
        assert session.ask("watch json") == ["ok"]
        console.write(record(title="\x1b]0;x\x07"), None, 0)
        (line,) = session.said()
        assert json.loads(line)["title"] == "\x1b]0;x\x07"
        assert "\x1b" not in line

    def test_a_slow_reader_misses_lines(self):
        """It is told how many; nothing piles up."""
        console = Console(lambda: None, reactor=Clock())
        session = Session(console)
        session.protocol.watching = "text"
        session.protocol.pauseProducing()
        for number in range(1000):
            console.write(record(), None, number)
        assert session.said() == []
        session.protocol.resumeProducing()
        console.write(record(), None, 1000)
        assert session.said()[0] == "... 1,000 lines were not shown, this connection reads too slowly"

    def test_the_end_of_the_run(self):
        """Every connection ends with it."""
        console = Console(lambda: None, reactor=Clock())
        session = Session(console)
        console.close()
        assert session.transport.disconnecting


class TestWho:
    def test_a_token(self, going):
        """On a port the first line must be it."""
        run, _ = going(1)
        console = Console(lambda: run.crawler.control, reactor=Clock(), token="secret")
        assert Session(console).ask("secret") == ["ok"]
        wrong = Session(console)
        assert wrong.ask("status") == ["error: the first line must be the token that the run shows"]
        assert wrong.transport.disconnecting

    @pytest.mark.parametrize("token", ["", "secret"])
    def test_so_many(self, token):
        """More connections than anyone needs are told so, and not taken; one that ends makes room."""
        console = Console(lambda: None, reactor=Clock(), token=token)
        sessions = [Session(console) for _ in range(MAX_CLIENTS)]
        if token:
            assert [session.ask(token) for session in sessions] == [["ok"]] * MAX_CLIENTS
        late = Session(console)
        assert (late.ask(token) if token else late.said()) == [
            f"error: {MAX_CLIENTS} connections are open already (quit closes one)"
        ]
        assert late.transport.disconnecting
        late.protocol.connectionLost()
        sessions[0].protocol.connectionLost()
        assert Session(console).ask(token or "help")[-1] == "ok"

    def test_strangers_make_room(self):
        """Who connects and says nothing is let go when others come, and after some seconds: the owner gets in."""
        clock = Clock()
        console = Console(lambda: None, reactor=clock, token="secret")
        strangers = [Session(console) for _ in range(10 * MAX_CLIENTS)]
        owner = Session(console)
        assert owner.ask("secret") == ["ok"]
        gone = [stranger.transport.disconnected for stranger in strangers]
        assert gone.count(False) == MAX_CLIENTS - 1
        assert not any(gone[-MAX_CLIENTS + 1 :])
        clock.advance(STRANGER_SECONDS)
        assert all(stranger.transport.disconnected for stranger in strangers)
        assert not owner.transport.disconnected
        assert not clock.getDelayedCalls()

    @pytest.mark.parametrize("where", ["0.0.0.0:0", "192.0.2.1:80", "[::]:0"])
    def test_this_machine_alone(self, where):
        """No other may reach it."""
        with pytest.raises(ValueError, match="this machine alone"):
            listen(where, Console(lambda: None, reactor=Clock()), None)

    def test_what_needs_a_token(self):
        """A port does, a socket file does not."""
        assert needs_token("127.0.0.1:80")
        assert needs_token(":80")
        assert not needs_token("./run:80/socket")
        assert not needs_token("run.sock")

    def test_a_file_in_the_way(self, tmp_path):
        """A socket that somebody listens on, or a file that is none, is left alone."""
        (tmp_path / "file").touch()
        with pytest.raises(ValueError, match="is no socket"):
            listen(str(tmp_path / "file"), Console(lambda: None, reactor=Clock()), None)
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(tmp_path / "socket"))
            listening.listen()
            with pytest.raises(ValueError, match="a run that goes on"):
                listen(str(tmp_path / "socket"), Console(lambda: None, reactor=Clock()), None)

    def test_nobody_there(self, tmp_path):
        """Attaching to nothing is a clear error."""
        with pytest.raises(ConfigError, match="no run answers there"):
            talk(str(tmp_path / "nothing"))


def test_a_real_run(tmp_path):
    """A run is attached to, slowed down, watched and stopped; its socket is its owner's alone, and gone afterwards."""
    path = tmp_path / "run.sock"
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()  # what a killed run leaves behind
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "crawler"]
    with running_site() as site:
        run = subprocess.Popen(
            [*command, "-r", site.url("/p/0.html"), "--delay", "0.02", "-q", "-O", tmp_path / "out.jsonl",
             "--console", path], env=environment,
        )  # fmt: skip
        try:
            deadline = time.monotonic() + 20.0
            client = socket.socket(socket.AF_UNIX)
            while client.connect_ex(str(path)) and time.monotonic() < deadline:
                time.sleep(0.02)
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            with client, client.makefile("rw") as lines:
                lines.write("watch\n")
                lines.flush()
                assert lines.readline() == "ok\n"
                assert "/p/" in lines.readline()
            attached = subprocess.run(
                [*command, "attach", path], input="pause\nstatus\nstop\n", env=environment, capture_output=True,
                text=True, timeout=20.0, check=True,
            )  # fmt: skip
            assert "paused" in attached.stdout
            assert run.wait(20.0) == 0
        finally:
            run.kill()
            run.wait()
    assert not path.exists()
