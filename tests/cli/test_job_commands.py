"""crawler.cli.commands.jobs: what status, verify, retry and why print for people, and their exit codes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from job_tools import WALL, Work, bad_line, bad_record, link, record, req, working

from crawler.cli.commands.jobs import answer
from crawler.cli.main import main
from crawler.config.config import ConfigError
from crawler.errors import CodedError
from crawler.job.options import JobError
from crawler.models import Redirect, Response, Timings, untried
from crawler.urls import canonical_key, parse

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path / "job")


def said(command: str, *arguments: str, exit_code: int = 0) -> str:
    """What a command prints at WALL + 100 s; never wider than 80 columns where it does not name what is longer."""
    text, code = answer(command, arguments, wall=lambda: WALL + 100.0)
    assert code == exit_code
    assert "\x1b" not in text
    return text


def skip(work: Work, request, code: str, message: str) -> None:
    """Claim a request and end it without a try, as the gate does."""
    work.frontier.claim(work.reactor.seconds())
    given_up = untried(request, CodedError(code, message))
    work.sink.write(given_up, None, request.id)
    work.frontier.finish(request, given_up.outcome, work.reactor.seconds())


@pytest.mark.parametrize(
    ("command", "arguments", "words"),
    [
        ("status", (), "status: 0 arguments, and there should be 1: crawler status DIR"),
        ("status", ("a", "b"), "status: 2 arguments"),
        ("verify", (), "crawler verify DIR"),
        ("retry", (), r"crawler retry DIR \[CODE\]\.\.\."),
        ("why", ("a",), "why: 1 arguments, and there should be 2: crawler why DIR URL"),
    ],
)
def test_wrong_arguments(command, arguments, words):
    """Who forgot one is told how it is written."""
    with pytest.raises(ConfigError, match=words):
        answer(command, arguments)


@pytest.mark.parametrize("arguments", [("status",), ("verify",), ("retry",), ("why", "http://a.example/")])
def test_what_is_no_job(tmp_path, arguments):
    """Nothing is created by asking."""
    with pytest.raises(JobError, match="is not the folder of a job"):
        answer(arguments[0], (str(tmp_path / "x"), *arguments[1:]))
    assert list(tmp_path.iterdir()) == []


class TestStatus:
    def test_a_job_at_work(self, tmp_path, folder):
        """Who works on it, the books, what was answered, what failed, what is left of each host, the outputs."""
        with working(tmp_path, wall=lambda: WALL) as work:
            for number in range(7):
                work.frontier.add(req(number, f"h{number % 3}.example"))
            work.finish(req(0, "h0.example"))
            work.finish(req(1, "h1.example"), error="conn_reset")
            work.journal.blocked("h0.example:80", WALL + 130.0 - work.journal._epoch())
            work.commit()
            text = said("status", folder)
        assert f"At work: process {os.getpid()}, for 1 min 40 s" in text
        assert "7 inputs = 1 ok + 1 failed + 0 skipped + 5 pending\n" in text
        assert "last record 1 min 40 s ago" in text
        assert re.search(r"^Status\n +1  200 OK$", text, re.MULTILINE)
        assert re.search(r"^Failed or skipped\n +1  conn_reset: the connection was reset", text, re.MULTILINE)
        assert re.search(
            r"^Left +URLs +again +wait\n  h0.example:80 +2 +30 s\n  h2.example:80 +2\n", text, re.MULTILINE
        )
        assert f"  {work.path}\n" in text
        assert "To go on" not in text

    def test_a_job_that_waits(self, tmp_path, folder):
        """Nobody is at work, and it is said how to go on."""
        work = Work(tmp_path, inputs=["urls.txt"])
        work.frontier.add(req(0))
        work.commit()
        work.die()
        text = said("status", folder)
        assert "No process is at work on it; the last run was killed\n" in text
        assert "; no record yet\n" in text
        command = text.splitlines()[-1].strip()
        assert command == f"python -m crawler --config {folder}/config.toml --job {folder}"

    @pytest.mark.parametrize(
        ("inputs", "words"), [(["-"], "with the same standard input"), ([], "run the program again that gave it")]
    )
    def test_inputs_that_no_command_names(self, tmp_path, folder, inputs, words):
        """Standard input and the URLs of a program have to be given again."""
        with working(tmp_path, inputs=inputs) as work:
            work.frontier.add(req(0))
        assert words in said("status", folder)

    def test_a_job_that_is_done(self, tmp_path, folder):
        """Nothing is left, so nothing is said of it."""
        with working(tmp_path) as work:
            work.frontier.add(req(0))
            work.finish(req(0))
        text = said("status", folder)
        assert "No process is at work on it\n" in text
        assert "1 input = 1 ok + 0 failed + 0 skipped + 0 pending\n" in text
        assert "Left" not in text
        assert "To go on" not in text

    def test_many_hosts_with_long_names(self, tmp_path, folder):
        """The ten with most left and how many others there are; 80 columns."""
        with working(tmp_path) as work:
            for number in range(15):
                work.frontier.add(req(number, f"{'long-label.' * 8}h{number:02}.example"))
            for number in range(15, 17):
                work.journal.refused(number, bad_line(number))
        text = said("status", folder)
        assert re.search(r"  \(lines that are no URLs\) +2\n", text)
        assert re.search(r"  and 6 more hosts +6\n", text)
        assert "...  " in text
        paths = (str(tmp_path), "python -m")
        assert all(len(line) <= 80 for line in text.splitlines() if not any(path in line for path in paths))

    def test_how_long_it_takes(self, tmp_path, folder):
        """At the rate of the last minute of work."""
        now = [WALL]
        with working(tmp_path, wall=lambda: now[0]) as work:
            for number in range(100):
                work.frontier.add(req(number))
            for number in range(30):
                work.finish(req(number))
                if number % 10 == 9:
                    work.commit()
                    now[0] += 5.0
        assert "2.0/s in the last minute of work; what is pending takes 35 s at that rate" in said("status", folder)


class TestVerify:
    def test_all_is_well(self, tmp_path, folder):
        """One line with the books."""
        with working(tmp_path) as work:
            for number in range(1200):
                work.frontier.add(req(number))
            work.finish(*map(req, range(1100)))
        assert said("verify", folder) == "OK: 1,200 inputs = 1,100 ok + 0 failed + 0 skipped + 100 pending\n"

    def test_what_is_wrong(self, tmp_path, folder):
        """A sentence for each problem, safe to show, and exit code 5."""
        with working(tmp_path) as work:
            line = bad_line(0, "non\x1b[31msense")
            work.journal.refused(0, line)
            work.sink.write(bad_record(line), None, 0)
        work.path.write_bytes(work.path.read_bytes().replace(b"sense", b"SENSE"))
        text = said("verify", folder, exit_code=5)
        assert "record 1 is of no input of this job\n" in text
        assert r"the record of input 0 is missing (non\x1b[31msense)" in text


class TestRetry:
    def test_all_that_failed(self, tmp_path, folder):
        """How many are queued again, and the command that fetches them."""
        with working(tmp_path) as work:
            for number in range(3):
                work.frontier.add(req(number))
                work.finish(req(number), error="conn_reset" if number else "")
        text = said("retry", folder)
        assert text.startswith("2 URLs are queued again.\nTo go on:\n  python -m crawler --config ")
        assert said("retry", folder) == "No URL has failed.\n"

    def test_some_codes(self, tmp_path, folder):
        """Of what failed and of what was skipped, those that are named."""
        with working(tmp_path) as work:
            work.frontier.add(req(0))
            work.finish(req(0), error="conn_reset")
            work.frontier.add(req(1))
            skip(work, req(1), "robots_denied", "line 7: Disallow: /")
        assert (
            said("retry", folder, "timeout_total", "dns_error") == "No URL has ended with timeout_total or dns_error.\n"
        )
        assert said("retry", folder, "robots_denied").startswith("1 URL is queued again.")

    def test_what_came_after_the_last_page(self, tmp_path, folder):
        """Who asks for more pages is told that there must be room for them."""
        with working(tmp_path) as work:
            work.frontier.add(req(0))
            skip(work, req(0), "budget_exceeded", "--max-pages 1")
        assert "with a larger --max-pages" in said("retry", folder, "budget_exceeded")

    def test_a_code_that_does_not_exist(self, tmp_path, folder):
        """The one that was meant is named; nothing is changed."""
        with working(tmp_path):
            pass
        with pytest.raises(ConfigError, match=r"'conn_rest' is no error code \(did you mean conn_reset\?\)"):
            answer("retry", (folder, "conn_reset", "conn_rest"))


class TestWhy:
    def test_a_link_that_failed(self, tmp_path, folder):
        """How it ended, the way to it, and each request with its times."""
        with working(tmp_path, key=canonical_key) as work:
            work.frontier.add(req(0))
            work.finish(req(0))
            work.frontier.add(link(1, "http://a.example/0"))
            request = work.frontier.claim(0.0)
            late = Response(Timings(namelookup=0.5, total=60.0), WALL, error=CodedError("timeout_total", "60 s"))
            work.journal.tried(request, late)
            work.frontier.retry(msgspec.structs.replace(request, attempt=2), 0.0)
            again = work.frontier.claim(0.0)
            work.write(again, error="conn_reset")
        assert said("why", folder, "http://a.example/1").splitlines() == [
            "http://a.example/1",
            "  failed",
            "  conn_reset: the connection was reset before the answer",
            "  what happened",
            "Came from",
            "  http://a.example/0",
            "  urls.txt:1",
            "Requests",
            "  1. 2023-11-14T22:13:20.000Z  try 1: timeout_total",
            "     60 s",
            "     name 500 ms, total 1 min 00 s",
            "  2. 2023-11-14T22:13:20.000Z  try 2: conn_reset",
            "     what happened",
            "     name 10 ms, connect 20 ms, first byte 30 ms, total 40 ms",
        ]

    def test_redirects(self, tmp_path, folder):
        """The hops, and what was answered in the end."""
        with working(tmp_path) as work:
            work.frontier.add(req(0))
            hop = msgspec.structs.replace(
                work.frontier.claim(0.0),
                url=parse("http://b.example/x"),
                redirects=(Redirect("http://a.example/0", 301),),
            )
            work.frontier.retry(hop, 0.0)
            work.frontier.claim(0.0)
            work.sink.write(record(hop), None, 0)
            work.frontier.finish(hop, "ok", 0.0)
        text = said("why", folder, "http://b.example/x")
        assert "  ok: 200 OK\n" in text
        assert "Redirects\n  301  http://a.example/0\n" in text
        assert "  1. 2023-11-14T22:13:20.000Z  try 1: 200 OK\n     http://b.example/x\n" in text
        assert "from 192.0.2.1\n" in text

    def test_a_decision(self, tmp_path, folder):
        """The line of robots.txt, safe to show, and that nothing was asked."""
        with working(tmp_path) as work:
            work.frontier.add(req(0))
            skip(work, req(0), "robots_denied", "line 7: Disallow: /\x1b[2J")
        text = said("why", folder, "http://a.example/0")
        assert "  robots_denied: robots.txt disallows the URL\n" in text
        assert "  line 7: Disallow: /\\x1b[2J\n" in text
        assert "No request was made for it.\n" in text

    def test_the_same_url_twice(self, tmp_path, folder):
        """A list may have it twice: each has its story."""
        with working(tmp_path) as work:
            for number in range(2):
                work.frontier.add(msgspec.structs.replace(req(number), url=parse("http://a.example/")))
        text = said("why", folder, "http://a.example/")
        assert text.count("  queued\n") == 2
        assert "  urls.txt:2\n" in text

    def test_unknown_to_a_list(self, tmp_path, folder):
        """A list leads nowhere else."""
        with working(tmp_path) as work:
            work.frontier.add(req(0))
        text = said("why", folder, "http://me:secret@a.example/9")
        assert text.startswith("http://a.example/9\n  The job does not know it.\n  It follows no links")

    @pytest.mark.parametrize(
        ("url", "words"),
        [
            ("http://c.example/", "out_of_scope: outside --scope host: c.example"),
            ("http://a.example/private", "out_of_scope: --exclude 'priv' matches"),
            ("http://a.example/9", "inside --scope host: a.example It would be followed, but no page"),
            ("http://b.example/9", "inside --scope host: b.example It would be followed, but no page"),
            ("nonsense", "It is no URL that could be fetched: the URL has no scheme"),
        ],
    )
    def test_unknown_to_a_crawl(self, tmp_path, folder, url, words):
        """Which rule of the scope keeps it out, seen from the inputs and where these were redirected to."""
        with working(tmp_path, recursive=True, exclude=["priv"], depth=3, key=canonical_key) as work:
            work.frontier.add(req(0))
            hop = msgspec.structs.replace(
                work.frontier.claim(0.0),
                url=parse("http://b.example/"),
                redirects=(Redirect("http://a.example/0", 301),),
            )
            work.frontier.retry(hop, 0.0)
            work.frontier.add(link(1, "http://a.example/0", "c.example"))
        assert words in " ".join(said("why", folder, url).split())


class TestCommandLine:
    def test_the_answer_is_printed(self, tmp_path, folder, capsys):
        """On standard output, with the exit code."""
        with working(tmp_path) as work:
            work.frontier.add(req(0))
            work.finish(req(0))
        assert main(["verify", folder]) == 0
        assert capsys.readouterr().out.startswith("OK: 1 input = 1 ok")
        work.path.write_text("")
        assert main(["verify", folder]) == 5
        assert "has only 0 bytes" in capsys.readouterr().out

    def test_mistakes(self, tmp_path, folder, capsys):
        """On standard error, exit code 2; a disk that cannot be read is 5."""
        assert main(["status"]) == 2
        assert main(["status", folder]) == 2
        assert "is not the folder of a job" in capsys.readouterr().err
        with working(tmp_path) as work:
            work.frontier.add(req(0))
        database = tmp_path / "job" / "frontier.sqlite"
        data = database.read_bytes()
        database.write_bytes(data[:4096] + b"\xff" * (len(data) - 4096))
        assert main(["status", folder]) == 5
        assert "crawler: error: write_error" in capsys.readouterr().err

    def test_a_pipe(self, tmp_path, folder):
        """Plain text; a reader that has gone away is no error."""
        with working(tmp_path) as work:
            work.frontier.add(req(0))
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run(
            [sys.executable, "-m", "crawler", "status", folder],
            stdout=writing,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        os.close(writing)
        assert (done.returncode, done.stderr) == (0, b"")


class TestHostSettings:
    """What holds at a host, and who says so."""

    TABLES = (
        'delay = 1\n[hosts."*.example"]\ndelay = "2s"\nheaders = ["X-Key: secret"]\n'
        '[hosts."a.example"]\nrate = "30/m"\n'
    )

    def test_without_a_job(self, tmp_path, capsys, monkeypatch):
        """Each setting with the table that gives it, or the option of the run."""
        monkeypatch.chdir(tmp_path)
        Path("c.toml").write_text(self.TABLES)
        assert main(["why", "--config", "c.toml", "--per-host", "3", "http://a.example/x"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[:2] == ["http://a.example/x", "Settings at a.example:80"]
        told = {line.split()[0]: " ".join(line.split()[1:]) for line in lines[2:]}
        assert told["concurrency"] == "3 for all hosts: --per-host"
        assert told["delay"] == '2s [hosts."*.example"]'
        assert told["rate"] == '30/m [hosts."a.example"]'
        assert told["headers"] == 'X-Key [hosts."*.example"]'
        assert told["robots"] == "false for all hosts: the default"

    def test_what_goes_together_and_what_goes_first(self, tmp_path, capsys, monkeypatch):
        """Headers of the run are sent beside those of a table, and an Authorization in place of a login."""
        monkeypatch.chdir(tmp_path)
        Path("c.toml").write_text('[hosts."a.example"]\nheaders = ["X-Key: secret"]\nauth = "joe:secret"\n')
        command = ["why", "--config", "c.toml", "http://a.example/x", "-H", "x-key: run"]
        assert main([*command, "-H", "X-Run: 1"]) == 0
        text = capsys.readouterr().out
        told = {line.split()[0]: " ".join(line.split()[1:]) for line in text.splitlines()}
        assert told["headers"] == 'X-Key, X-Run [hosts."a.example"], and for all hosts'
        assert told["auth"] == '*** [hosts."a.example"]'
        assert main([*command, "-H", "Authorization: Bearer secret"]) == 0
        text += capsys.readouterr().out
        assert "; but the header Authorization goes before it" in text
        assert "secret" not in text

    def test_of_a_job(self, tmp_path, folder):
        """Beside the story of a URL stands what the job's tables say of its host, and no secret."""
        hosts = {"*.example": {"delay": 2, "headers": {"X-Key": "secret"}}}
        with working(tmp_path, hosts=hosts) as work:
            work.frontier.add(req(0))
            work.finish(req(0))
        assert said("why", folder, "http://a.example/0").splitlines()[-3:] == [
            "Settings at a.example:80",
            '  delay        2s                       [hosts."*.example"]',
            '  headers      X-Key                    [hosts."*.example"]',
        ]

    def test_no_url(self, capsys):
        """It says what is wrong with it."""
        assert main(["why", "http://"]) == 2
        assert "why: the URL has no host" in capsys.readouterr().err
