"""artifacts.py: what a run leaves when it is over, --stats and --report: whole, whatever ended the run."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest
from loopback import opened_gate
from record_tools import failed, made, skipped

from crawler import crawl as crawl_site
from crawler import fetch_all, stream
from crawler.cli.main import main
from crawler.config.config import Config, ConfigError
from crawler.errors import CodedError
from crawler.files import replace
from crawler.models import Redirect
from crawler.report.counts.aggregate import Aggregate
from crawler.report.counts.counting import Counting, line_of
from crawler.report.lines import Line
from crawler.run.artifacts import Artifacts, make_report, report_source
from crawler.stats.stats import Stats

pytestmark = pytest.mark.usefixtures("folder")

ROOT = Path(__file__).parents[2]
HELLO = "/hello/english.html"


@pytest.fixture
def crawl(capfd: pytest.CaptureFixture[str]):
    def crawl(*arguments: str) -> tuple[int, str]:
        code = main(arguments)
        return code, capfd.readouterr().err

    return crawl


def page(name: str = "run.html") -> str:
    return Path(name).read_text()


def told(html: str) -> str:
    """A page without what differs between two about the same records: its name, when it was made, and what else the
    run wrote, which records do not tell.
    """
    html = re.sub(r'<section id="files".*?</section>\n|<a href="#files">.*?</a>', "", html, flags=re.DOTALL)
    return re.sub(r"<title>.*?</title>|<h1>.*?</h1>|<footer>.*?</footer>", "", html, flags=re.DOTALL)


class TestCounting:
    @pytest.mark.parametrize(
        "record",
        [
            made("/"),
            made("/moved", redirects=(Redirect("https://a.example/old", 301),), warnings=("charset",), attempts=3),
            made("/twice", duplicate_of="https://a.example/"),
            failed("/broken", started=None, time_total=None),
            skipped("/private"),
        ],
    )
    def test_a_record_counts_as_if_it_was_read(self, record):
        """What the sink makes of a record is what would be read from the output."""
        read = msgspec.json.decode(msgspec.json.encode(record), type=Line)
        assert line_of(record) == read

    def test_a_bug_costs_the_page(self, monkeypatch):
        """A record that cannot be counted is told in the log; the run goes on."""
        counting, heard = Counting(), []
        monkeypatch.setattr(Aggregate, "add", lambda *_: 1 / 0)
        monkeypatch.setattr(counting._log, "failure", lambda words, **fields: heard.append(fields["url"]))
        counting.write(made("/a"), None, 0)
        assert heard == ["https://a.example/a"]


class TestReport:
    def test_the_same_as_the_command(self, site, crawl):
        """The page of a run tells what `crawler report` tells of its records; the summary says where it is."""
        paths = ("/", HELLO, "/missing.html", "/moved/twice", "/fault/body-short", "/paper.pdf")
        urls = [*map(site.url, paths), "http://no-such.invalid/", "ftp://h/"]
        code, err = crawl(*urls, "-o", "records.jsonl", "--report", "run.html", "--retries", "0")
        assert code == 0
        assert err.endswith("\nReport: run.html\n")
        assert crawl("report", "records.jsonl", "-O", "command.html")[0] == 0
        assert told(page()) == told(page("command.html"))
        assert f"{site.url('/')} and 7 more" in page()

    def test_wherever_the_records_go(self, site, crawl):
        """Standard output or a table: the page is made as the records come."""
        crawl(site.url(HELLO), "-q", "--report", "run.html")
        first = page()
        crawl(site.url(HELLO), "-q", "-o", "out.csv", "--report", "run.html")
        assert "english.html" in first
        assert "english.html" in page()
        assert sorted(map(str, Path().iterdir())) == ["out.csv", "run.html"]

    def test_a_crawl(self, site, crawl):
        """Pages have who links to them; --fields of an output leaves nothing out here."""
        assert crawl("-r", site.url("/links.html"), "--delay", "0", "--fields", "url", "--report", "run.html")[0] == 0
        assert "Site by path" in page()
        assert "text/html" in page()

    def test_passwords(self, site, crawl):
        """They are in no page."""
        crawl(site.url(HELLO).replace("//", "//me:secret@"), "-q", "--report", "run.html")
        assert "english.html" in page()
        assert "secret" not in page()

    def test_nothing(self, crawl):
        """A run in which nothing was fetched has a page that says so."""
        Path("urls.txt").write_text("# none\n")
        assert crawl("urls.txt", "--report", "run.html")[0] == 0
        assert "Nothing was fetched." in page()
        assert "urls.txt" in page()

    def test_an_interrupted_run(self):
        """What there is until then, and how much is missing."""
        with opened_gate() as gate:
            urls = [gate.url("/"), *(gate.url(f"/held{number}") for number in range(5))]
            command = [sys.executable, "-m", "crawler", *urls, "-q", "-o", "out.jsonl", "--report", "run.html"]
            with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}) as process:
                assert gate.arrived.wait(20)
                process.send_signal(signal.SIGINT)
                process.send_signal(signal.SIGINT)
                assert process.wait(20) == 130
        assert "The run was stopped: 5 URLs left." in page()
        assert "<dt>records</dt><dd>1</dd>" in page()

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
    def test_a_run_that_fails(self, site, crawl):
        """When an output cannot be written, that is the error; the page is there all the same."""
        code, err = crawl(site.url(HELLO), "-o", "/dev/full", "--report", "run.html", "--stats", "stats.json")
        assert code == 5
        assert "disk_full: /dev/full" in err
        assert "english.html" in page()
        assert json.loads(Path("stats.json").read_text())["done"] == 1

    def test_as_json(self, site, crawl):
        """With --log-format json where it is is an event."""
        _, err = crawl(site.url(HELLO), "--report", "run.html", "--log-format", "json")
        last = json.loads(err.splitlines()[-1])
        assert (last["event"], last["path"]) == ("report", "run.html")


class TestJobs:
    def test_all_runs_of_a_job(self, site, crawl):
        """The page is about the job: what earlier runs fetched is in it, and the books."""
        urls = [site.url(f"/p/{number}.html") for number in range(4)]
        job = (*urls, "--job", "job", "-o", "out.jsonl", "-q")
        assert crawl(*job, "--max-pages", "3")[0] == 0
        assert crawl(*job, "--max-pages", "4", "--report", "run.html")[0] == 0
        assert "Books of the job: 4 inputs = 4 ok" in page()
        assert crawl("report", "job", "-O", "command.html")[0] == 0
        assert told(page()) == told(page("command.html"))

    @pytest.mark.parametrize("output", [("-o", "out.csv"), ()])
    def test_a_job_of_which_there_is_no_page(self, site, crawl, output):
        """A page needs an output that can be read: that is told before anything is fetched."""
        before = len(site.site.log)
        code, err = crawl(site.url(HELLO), "--job", "job", *output, "--report", "run.html")
        assert code == 2
        assert "in JSON Lines (-o records.jsonl)" in err
        assert len(site.site.log) == before
        assert [*Path().iterdir()] == []


class TestFiles:
    @pytest.mark.parametrize("option", ["--report", "--stats"])
    @pytest.mark.parametrize(
        ("path", "code", "words"),
        [
            ("none/file", 5, "write_error: none/file: No such file or directory"),
            ("urls.txt/file", 5, "write_error: urls.txt/file: Not a directory"),
            ("folder", 5, "write_error: folder: Is a directory"),
            ("urls.txt", 2, "'urls.txt' is also an input"),
            ("folder/../out.jsonl", 2, "is already an output (-o)"),
        ],
    )
    def test_what_cannot_be_written(self, site, crawl, option, path, code, words):
        """It is told before anything is fetched, and nothing is touched."""
        Path("urls.txt").write_text(site.url(HELLO))
        Path("folder").mkdir()
        before = len(site.site.log)
        found, err = crawl("urls.txt", "-o", "out.jsonl", option, path)
        assert found == code
        assert re.fullmatch(rf"crawler: error: .*{re.escape(words)}\n", err)
        assert len(site.site.log) == before
        assert sorted(map(str, Path().iterdir())) == ["folder", "urls.txt"]

    def test_one_file_for_both(self, site, crawl):
        """The page would replace the statistics."""
        code, err = crawl(site.url(HELLO), "-q", "--stats", "same", "--report", "./same")
        assert (code, err) == (2, "crawler: error: --report: './same' is already an output (--stats)\n")

    def test_what_cannot_be_replaced_in_the_end(self):
        """Then what is there stays as it was, that is told, and the other file is written."""
        stats = Stats(concurrency=1)
        artifacts = Artifacts(Config.build(stats="stats.json", report="run.html"), None)
        artifacts.counting.write(made("/a"), None, 0)
        Path("stats.json").mkdir()
        with pytest.raises(CodedError, match=r"stats\.json: Is a directory"):
            artifacts.write_now(stats.snapshot(), lambda: False)
        assert "a.example" in page()
        assert sorted(map(str, Path().iterdir())) == ["run.html", "stats.json"]

    def test_names_that_could_be_guessed(self, site, crawl):
        """Nothing is written through a name that somebody may have taken: not through a link, nor into a pipe."""
        Path("victim").write_text("theirs")
        for name in ("stats.json", "run.html", "config.toml"):
            Path(f".{name}.part").symlink_to("victim")
        os.mkfifo(".report.html.part")
        code, _ = crawl(
            site.url(HELLO), "-q", "--stats", "stats.json", "--report", "report.html", "-o", "out.jsonl", "--job", "job"
        )
        assert code == 0
        assert Path("victim").read_text() == "theirs"
        assert "english.html" in page("report.html")

    def test_a_pipe_that_nobody_reads(self, site, crawl):
        """It is told: to open it would never end."""
        os.mkfifo("pipe")
        code, err = crawl(site.url(HELLO), "-q", "--stats", "pipe")
        assert (code, err) == (5, "crawler: error: write_error: pipe: nobody reads it\n")

    def test_a_file_is_replaced_whole(self, tmp_path):
        """Who has the old one open reads it to its end; a link stays one; nothing else is left."""
        Path("real").write_text("old")
        Path("link").symlink_to("real")
        with Path("real").open() as reader:
            replace("link", b"new")
            assert reader.read() == "old"
        assert Path("real").read_text() == "new"
        assert Path("link").is_symlink()
        assert sorted(map(str, Path().iterdir())) == ["link", "real"]

    def test_what_is_no_regular_file(self, site):
        """A pipe takes it as it comes, and a device stays what it is."""
        done = subprocess.run(
            [sys.executable, "-m", "crawler", site.url(HELLO), "-q", "--stats", "/dev/stderr", "--report", "/dev/null"],
            capture_output=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            timeout=30,
        )
        assert done.returncode == 0
        assert json.loads(done.stderr)["done"] == 1
        assert not Path("/dev/null").is_file()

    def test_text_that_has_no_form(self):
        """Whatever a URL holds: the file is written, and can be read."""
        stats = Stats(concurrency=1)
        stats.write(failed("/\ud800"), None, 0)
        Artifacts(Config.build(stats="stats.json"), None).write_now(stats.snapshot(), lambda: False)
        assert json.loads(Path("stats.json").read_text())["errors"][0]["url"] == "https://a.example/\ufffd"


class TestPython:
    def test_fetch_all(self, site):
        """The files are there when it returns."""
        fetch_all([site.url(HELLO), site.url("/missing.html")], report="run.html", stats="stats.json")
        stats = json.loads(Path("stats.json").read_text())
        assert (stats["done"], stats["statuses"]) == (2, {"200": 1, "404": 1})
        assert "<dt>records</dt><dd>2</dd>" in page()
        assert "Report on <span" in page()

    def test_crawl(self, site):
        """So they are when a crawl has been read to its end; what has no record is counted by reason."""
        records = list(crawl_site([site.url("/links.html")], delay=0, report="run.html", stats="stats.json"))
        stats = json.loads(Path("stats.json").read_text())
        assert (stats["ok"] + stats["failed"], stats["skips"]["robots_denied"]) == (len(records), 1)
        assert f"<dt>records</dt><dd>{len(records)}</dd>" in page()

    def test_a_consumer_that_stops(self, site):
        """The page is about what was fetched until then."""
        records = stream((site.url(f"/p/{number}.html") for number in range(50)), concurrency=1, report="run.html")
        next(records)
        records.close()
        assert 1 <= int(re.search(r"<dt>records</dt><dd>(\d+)<", page())[1]) <= 50

    def test_what_cannot_be_written(self, site):
        """It is raised before anything is fetched."""
        before = len(site.site.log)
        with pytest.raises(CodedError, match=r"write_error: none/run\.html: No such file"):
            fetch_all([site.url(HELLO)], report="none/run.html")
        with pytest.raises(ConfigError, match="already"):
            fetch_all([site.url(HELLO)], report="same", stats="same")
        assert len(site.site.log) == before

    def test_a_run_that_never_began(self, site):
        """An old page stays when there is nothing to tell."""
        Path("run.html").write_text("old")
        with pytest.raises(ConfigError):
            fetch_all([site.url(HELLO)], output=("out.xml",), report="run.html")
        assert page() == "old"


def test_giving_up(monkeypatch):
    """Who waits no longer is told at once; the thread may go on, and finds nobody."""
    began, go_on, called = threading.Event(), threading.Event(), []

    class Reactor:
        def callFromThread(self, *arguments: object) -> None:
            called.append(arguments)

    def write(_: Artifacts, __: object, given_up) -> None:
        began.set()
        assert go_on.wait(20)
        assert given_up()

    monkeypatch.setattr(Artifacts, "write_now", write)
    artifacts = Artifacts(Config.build(report="run.html"), Reactor())
    snapshot = Stats(concurrency=1).snapshot()
    errors: list = []
    artifacts.write(snapshot, snapshot).addErrback(errors.append)
    assert began.wait(20)
    artifacts.give_up()
    assert str(errors[0].value) == "write_error: run.html: given up, as the run was"
    go_on.set()
    for thread in threading.enumerate():
        if thread.name == "artifacts":
            thread.join(20)
    assert called == []


class TestReportOnDemand:
    """While a run goes on, in a process of its own."""

    def test_of_what_is_written_already(self, folder):
        """Whole, and about as many records as there are; the last line may still be on its way."""
        lines = [json.dumps(made(f"/{n}").to_dict()) for n in range(3)]
        Path("out.jsonl").write_text("\n".join([*lines, lines[0][:50]]))
        with make_report("out.jsonl", lambda: False) as file:
            file.seek(0)
            html = file.read().decode()
        assert html.startswith("<!doctype html>")
        assert "Content-Security-Policy" in html
        assert "Report on" in html

    def test_what_no_report_can_be_made_of(self, folder):
        """Is said in the words of the report."""
        with pytest.raises(CodedError, match=r"cannot read .*nothing\.jsonl"):
            make_report("nothing.jsonl", lambda: False)

    def test_given_up(self, folder):
        """Its process is ended."""
        os.mkfifo("pipe") if hasattr(os, "mkfifo") else pytest.skip("there are no such pipes")
        with pytest.raises(CodedError):
            make_report("pipe", lambda: True)

    @pytest.mark.parametrize(
        ("options", "source"),
        [
            ({"output": ["a.csv", "b.jsonl.gz", "c.jsonl"]}, "b.jsonl.gz"),
            ({"output": ["a.csv", "t.parquet"]}, "t.parquet.rows"),
            ({"output": ["-", "plain"]}, "plain"),
            ({"output": ["-"]}, None),
            ({"output": ["a.csv"], "items": "i.jsonl"}, None),
            ({}, None),
            ({"output": ["a.csv"], "job": "site"}, "site"),
        ],
    )
    def test_of_what(self, options, source):
        """The job, or else the first output whose lines are records."""
        assert report_source(Config.build(**options)) == source
