"""monitor/{log,messages,log_capture}.py: what a run says on stderr, as text and as JSON; and that nothing is swallowed."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from twisted.internet.defer import succeed
from twisted.internet.task import Clock
from twisted.logger import Logger, globalLogPublisher

from crawler import Config, fetch_all
from crawler.cli.main import main
from crawler.cli.terminal import Terminal
from crawler.config.config import resolve
from crawler.errors import CodedError
from crawler.fetch.fetcher import Fetcher
from crawler.models import ErrorInfo, Input, Record
from crawler.monitor.log import EVENTS, INTERVAL, Json, line
from crawler.monitor.log_capture import capture_log
from crawler.monitor.messages import Said, block
from crawler.run.reactors import private_reactor
from crawler.stats.stats import Load, Stats

pytestmark = pytest.mark.usefixtures("folder")

ROOT = Path(__file__).parents[2]
HELLO = "/hello/english.html"
HOSTILE = "\x1b[2J\x9b31m\u202e\u2028\u2066\r\n{}\x00\U000e0041"
ACTS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\U000e0000-\U000e0fff]")


class Lines:
    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass

    @property
    def objects(self) -> list[dict]:
        return [json.loads(text) for text in self.data.splitlines()]


@pytest.fixture
def crawl(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, list[dict], list[dict]]]:
    """Run the command line with --log-format json; give the exit code, the records and what was said."""

    def crawl(*arguments: str) -> tuple[int, list[dict], list[dict]]:
        code = main([*arguments, "--log-format", "json"])
        out, err = capfd.readouterr()
        return code, [*map(json.loads, out.splitlines())], [*map(json.loads, err.splitlines())]

    return crawl


def events(said: list[dict]) -> list[str]:
    return [each["event"] for each in said]


class TestLines:
    def test_a_line(self):
        """Time, level, event and message come first, in this order, and then what belongs to the event."""
        text = line(Said("error", "no", "error", {"code": "disk_full"}), 1_800_000_000.25).decode()
        assert text == (
            '{"time":"2027-01-15T08:00:00.250Z","level":"error","event":"error","message":"no","code":"disk_full"}\n'
        )

    def test_hostile_text(self):
        """One line, whatever is in it, that acts on no terminal; and what was meant can be read back."""
        text = line(Said("log", HOSTILE, fields={"url": HOSTILE}), 0.0).decode()
        assert not ACTS.search(text[:-1])
        assert json.loads(text)["message"] == json.loads(text)["url"] == HOSTILE

    def test_lone_surrogates(self):
        """What has no UTF-8 form is replaced: programs that read logs are strict."""
        text = line(Said("note", "a \ud800 b", fields={"names": ["\udc80"]}), 0.0)
        assert json.loads(text)["message"] == "a \ufffd b"
        assert json.loads(text)["names"] == ["\ufffd"]

    def test_text_is_one_block(self):
        """For people a traceback is indented below its sentence, and nothing of it acts on the terminal."""
        said = Said(
            "bug", f"it failed: {HOSTILE}\nhere", "critical", {"traceback": "Traceback:\n  File x\nError: \x1b"}
        )
        first, *more = block(said).splitlines()
        assert first.startswith("crawler: bug: it failed: \\x1b[2J")
        assert more[-3:] == ["    Traceback:", "      File x", "    Error: \\x1b"]
        assert all(text.startswith("    ") for text in more)
        assert not ACTS.search(block(said).replace("\n", ""))


class TestJson:
    def voice(self, **changes: object) -> tuple[Json, Lines, Clock, Stats]:
        clock, lines = Clock(), Lines()
        stats = Stats(concurrency=1, clock=clock.seconds, cpu_clock=clock.seconds, load=lambda: Load(2, 5, 1))
        return Json(lines, snapshot=stats.snapshot, clock=clock, wall=lambda: 1_800_000_000.0), lines, clock, stats

    def test_progress(self):
        """Every 10 seconds there is a line with what matters of the snapshot, until the end."""
        voice, lines, clock, stats = self.voice()
        voice.begin(resolve().config)
        stats.write(Record(url="http://a.example/", input=Input(), outcome="ok", status=200), None, 0)
        clock.pump([INTERVAL] * 3)
        voice.end()
        clock.advance(10 * INTERVAL)
        started, *progress = lines.objects
        assert started["event"] == "started"
        assert [each["elapsed"] for each in progress] == [10.0, 20.0, 30.0]
        assert {each["event"] for each in progress} == {"progress"}
        assert (progress[0]["done"], progress[0]["ok"], progress[0]["in_flight"], progress[0]["queued"]) == (1, 1, 2, 5)
        assert progress[0]["message"] == "1 URL in 10 s: 1 ok, 0 failed"
        assert "hosts" not in progress[0]
        assert not clock.getDelayedCalls()

    def test_no_progress(self):
        """With --no-progress there is none."""
        voice, lines, clock, _ = self.voice()
        from msgspec.structs import replace

        voice.begin(replace(resolve().config, progress=False))
        clock.advance(10 * INTERVAL)
        assert events(lines.objects) == ["started"]
        voice.end()

    def test_urls(self):
        """A line for each URL, with what a person would look for; failures are warnings."""
        voice, lines, _, _ = self.voice()
        sink = voice.urls()
        sink.write(Record(url="http://a.example/", input=Input(), outcome="ok", status=404, attempts=1), None, 0)
        error = ErrorInfo("conn_reset", "headers", True, "reset")
        sink.write(Record(url="http://b.example/", input=Input(), outcome="failed", error=error, attempts=3), None, 1)
        sink.close()
        ok, failed = lines.objects
        assert (ok["level"], ok["message"], ok["status"]) == ("info", "404 http://a.example/", 404)
        assert (failed["level"], failed["error_code"], failed["attempts"]) == ("warning", "conn_reset", 3)
        assert failed["message"] == "conn_reset http://b.example/ (reset)"


class TestCaptureLog:
    def test_twisted(self, capfd):
        """A failure in Twisted's log is a bug with its traceback; it is not printed as well, and afterwards it is again."""
        heard: list[Said] = []
        log = Logger(namespace="somewhere")
        with capture_log(heard.append):
            try:
                {}["lost"]
            except KeyError:
                log.failure("a visit failed: {url}", url="http://a.example/")
            log.warn("odd")  # noqa: G010 - Twisted's
            log.info("nothing new")
        bug, odd = heard
        assert (bug.event, bug.level, bug.message) == ("bug", "critical", "a visit failed: http://a.example/")
        assert bug.fields["namespace"] == "somewhere"
        assert "KeyError: 'lost'" in bug.fields["traceback"]
        assert (odd.event, odd.level) == ("log", "warning")
        assert capfd.readouterr() == ("", "")
        log.warn("too late")  # noqa: G010
        assert len(heard) == 2

    def test_everything_is_as_it_was(self):
        """What was observed before is observed after, also when an error ended it."""

        def hooks() -> tuple:
            observers = tuple(globalLogPublisher._observers)
            return (
                observers,
                logging.getLogger().handlers[:],
                warnings.showwarning,
                threading.excepthook,
                sys.unraisablehook,
            )

        before = hooks()
        with pytest.raises(ValueError, match="end"), capture_log(lambda _: None):
            assert hooks() != before
            raise ValueError("end")
        after = hooks()
        assert set(after[0]) == set(before[0])
        assert after[1:] == before[1:]

    def test_logging_and_warnings(self):
        """Python's own logging and warnings come the same way."""
        heard: list[Said] = []
        with capture_log(heard.append):
            logging.getLogger("asyncio").error("task %s", "lost", exc_info=(ValueError, ValueError("x"), None))
            logging.getLogger("asyncio").warning("slow")
            logging.getLogger("asyncio").info("nothing")
            warnings.showwarning("old", DeprecationWarning, "file.py", 7)
        assert [(each.event, each.level, each.fields["namespace"]) for each in heard] == [
            ("bug", "error", "asyncio"),
            ("log", "warning", "asyncio"),
            ("log", "warning", "warnings"),
        ]
        assert heard[0].message == "task lost"
        assert "ValueError: x" in heard[0].fields["traceback"]
        assert heard[2].message == "file.py:7: DeprecationWarning: old"

    def test_a_thread_that_dies(self):
        """Its traceback is a bug, heard in that thread."""
        heard: list[tuple[Said, int]] = []

        def die() -> None:
            raise OSError("gone")

        with capture_log(lambda said: heard.append((said, threading.get_ident()))):
            thread = threading.Thread(target=die, name="resolver")
            thread.start()
            thread.join()
        ((said, where),) = heard
        assert (said.event, said.level) == ("bug", "critical")
        assert "resolver" in said.message
        assert "OSError: gone" in said.fields["traceback"]
        assert where != threading.get_ident()


class TestRuns:
    def test_a_run(self, site, crawl):
        """Standard error is JSON from the first line to the last; standard output is what it always is."""
        code, records, said = crawl(site.url(HELLO), site.url("/missing.html"), "ftp://h/")
        assert (code, len(records)) == (0, 3)
        assert events(said) == ["started", "summary"]
        assert set(events(said)) <= set(EVENTS)
        summary = said[1]
        assert summary["message"].startswith("3 URLs of 3 in ")
        assert summary["message"].endswith("2 ok, 1 failed")
        assert (summary["ok"], summary["statuses"]) == (2, {"200": 1, "404": 1})
        assert summary["errors"][0]["code"] == "scheme_unsupported"
        assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", each["time"]) for each in said)

    def test_verbose(self, site, crawl):
        """With -v each URL has its line, wherever the records go."""
        for output in ((), ("-O", "out.jsonl")):
            _, _, said = crawl(site.url(HELLO), "ftp://h/", "-v", *output)
            found = {each["url"]: each["outcome"] for each in said if each["event"] == "url"}
            assert found == {site.url(HELLO): "ok", "ftp://h/": "failed"}
            assert events(said)[-1] == "summary"

    def test_quiet(self, site, crawl):
        """-q leaves the errors."""
        assert crawl(site.url(HELLO), "-q")[2] == []
        _, _, said = crawl(site.url(HELLO), "-q", "-o", "none/out.jsonl")
        assert [(each["event"], each["code"]) for each in said] == [("error", "write_error")]

    def test_passwords_are_not_said(self, site, crawl):
        """Those of the inputs are taken out of the line that names the inputs."""
        _, _, said = crawl(site.url(HELLO).replace("//", "//me:secret@"))
        assert "secret" not in json.dumps(said)

    def test_a_job(self, site, crawl):
        """The job's books are fields; what is odd about a job that goes on is a note."""
        urls = [site.url(f"/p/{number}.html") for number in range(3)]
        _, _, said = crawl(*urls, "--job", "job", "-o", "out.jsonl")
        assert events(said) == ["started", "summary", "job"]
        assert (said[2]["job"], said[2]["inputs"], said[2]["ok"], said[2]["pending"]) == ("job", 3, 3, 0)
        _, _, said = crawl(*urls, "--job", "job", "-o", "out.jsonl", "--delay", "1")
        assert events(said) == ["started", "summary", "note", "job"]
        assert said[2]["message"] == "--delay is no longer what it was in the run before"

    @pytest.mark.parametrize(
        ("arguments", "environ", "words"),
        [
            (("--log-format", "json"), {}, "nothing to fetch"),
            (("--log-format=json", "missing.txt"), {}, "missing.txt"),
            (("--nonsense", "--log-format", "json"), {}, "unknown option '--nonsense'"),
            (("--log-format", "json", "-c", "0", "x"), {}, "-c: '0'"),
            (("-c", "0", "x"), {"CRAWLER_LOG_FORMAT": "json"}, "-c: '0'"),
            (("http://a.invalid/", "-o", "out.xml", "--log-format", "json"), {}, "'.xml'"),
            (("report", "--log-format", "json", "a", "b"), {}, "2 inputs"),
        ],
    )
    def test_errors_before_the_run(self, monkeypatch, capfd, arguments, environ, words):
        """What cannot be used is told as JSON too, as soon as anything says that JSON is wanted."""
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        assert main(arguments) == 2
        out, err = capfd.readouterr()
        *started, said = [json.loads(text) for text in err.splitlines()]
        assert events(started) in ([], ["started"])
        assert (out, said["level"], said["event"]) == ("", "error", "error")
        assert words in said["message"]

    @pytest.mark.parametrize(
        "arguments", [("--log-format", "text", "-c", "0"), ("-c", "0", "--", "--log-format", "json")]
    )
    def test_errors_for_people(self, monkeypatch, capfd, arguments):
        """The last word counts, and what comes after -- is no option."""
        if arguments[0] == "--log-format":
            monkeypatch.setenv("CRAWLER_LOG_FORMAT", "json")
        assert main(arguments) == 2
        assert capfd.readouterr().err.startswith("crawler: error: -c")

    def test_a_bug_that_ends_the_program(self, monkeypatch, capfd):
        """Even that is a line of JSON, with the traceback; as text it is Python's own."""

        def fetch(_: object) -> int:
            raise RuntimeError("upside down")

        monkeypatch.setattr("crawler.cli.main.fetch", fetch)
        assert main(["x", "--log-format", "json"]) == 1
        (said,) = [json.loads(text) for text in capfd.readouterr().err.splitlines()]
        assert (said["event"], said["level"]) == ("bug", "critical")
        assert "RuntimeError: upside down" in said["traceback"]
        with pytest.raises(RuntimeError):
            main(["x"])


@pytest.fixture
def buggy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fetcher with a bug."""
    real = Fetcher.fetch

    def fetch(self: Fetcher, request, *arguments, **named):
        if "bug" in request.url.href:
            raise ZeroDivisionError("in a visit")
        return real(self, request, *arguments, **named)

    monkeypatch.setattr(Fetcher, "fetch", fetch)


class TestBugs:
    def test_as_json(self, site, crawl, buggy):
        """A bug in a visit costs one record; it is told once, with its traceback, as JSON."""
        _, records, said = crawl(site.url(HELLO), site.url("/bug"), "-q")
        assert sorted(record["error"]["code"] if record["error"] else "" for record in records) == ["", "internal"]
        (bug,) = said
        assert (bug["event"], bug["level"], bug["namespace"]) == ("bug", "critical", "crawler.engine.loop")
        assert bug["message"] == f"a visit failed: {site.url('/bug')}"
        assert bug["traceback"].rstrip().endswith("ZeroDivisionError: in a visit")

    def test_as_text(self, site, buggy, capfd):
        """For people it is one block, before the summary."""
        assert main([site.url("/bug"), "-o", "out.jsonl"]) == 0
        first, second, *more = capfd.readouterr().err.splitlines()
        assert first == f"crawler: bug: a visit failed: {site.url('/bug')}"
        assert second == "    Traceback (most recent call last):"
        end = more.index("")
        assert "ZeroDivisionError: in a visit" in more[end - 1]
        assert all(text.startswith("    ") for text in more[:end])
        assert more[end + 1].startswith("1 URL in ")

    def test_in_a_program(self, site, buggy):
        """A program's own log is left alone: it hears of the bug from Twisted."""
        heard: list[dict] = []
        globalLogPublisher.addObserver(heard.append)
        try:
            fetch_all([site.url("/bug")])
        finally:
            globalLogPublisher.removeObserver(heard.append)
        assert [event["log_format"] for event in heard if "log_failure" in event] == ["a visit failed: {url}"]

    def test_of_another_thread(self, site, crawl, monkeypatch):
        """What a thread dies of while the run goes on is told by the run."""
        real = Fetcher.fetch

        def fetch(self: Fetcher, *arguments, **named):
            thread = threading.Thread(target=lambda: 1 / 0, name="other")
            thread.start()
            thread.join()
            return real(self, *arguments, **named)

        monkeypatch.setattr(Fetcher, "fetch", fetch)
        _, _, said = crawl(site.url(HELLO))
        assert events(said) == ["started", "bug", "summary"]
        assert "ZeroDivisionError" in said[1]["traceback"]


def test_stopping(site):
    """Ctrl-C is an event, and what is left is in the summary."""
    command = [sys.executable, "-m", "crawler", "-", "--log-format", "json", "-o", "out.jsonl"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    ) as process:
        process.stdin.write(f"{site.url(HELLO)}\n")
        process.stdin.flush()
        assert json.loads(process.stderr.readline())["event"] == "started"
        process.send_signal(signal.SIGINT)
        said = [*map(json.loads, process.stderr)]
        assert process.wait(20) == 130
    assert events(said) == ["stopping", "summary"]


def test_what_is_heard_too_late(capfd):
    """What comes when the run has said its last words is said right after it."""
    with private_reactor() as (reactor, dial):
        terminal = Terminal(Config.build(log_format="json"), None, reactor, dial)
        terminal._last_words = terminal._stderr.close() or succeed(None)
        terminal.hear(Said("bug", "late", "critical"))
        assert capfd.readouterr().err == ""
    terminal.say_the_rest()
    assert json.loads(capfd.readouterr().err)["message"] == "late"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_device(site, crawl):
    """An error that ends the run has its code as a field."""
    code, _, said = crawl(site.url(HELLO), "-o", "/dev/full")
    assert code == 5
    assert events(said) == ["started", "error"]
    assert (said[1]["code"], said[1]["level"]) == ("disk_full", "error")


def test_coded_errors_outside_of_runs(crawl, tmp_path, monkeypatch):
    """Commands about jobs say what the disk refuses in the same way."""
    import crawler.cli.commands.jobs

    def answer(*_: object) -> tuple[str, int]:
        raise CodedError("write_error", "site: no")

    monkeypatch.setattr(crawler.cli.commands.jobs, "answer", answer)
    code, _, said = crawl("status", "site")
    assert (code, said[0]["message"]) == (5, "write_error: site: no")
