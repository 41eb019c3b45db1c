"""The whole program from the outside: records and words, exit codes, broken pipes, full disks, signals and terminals."""

from __future__ import annotations

import array
import csv
import errno
import fcntl
import gzip
import hashlib
import io
import json
import os
import pty
import re
import resource
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from crawler.cli.main import main
from crawler.site import refused_port

pytestmark = pytest.mark.usefixtures("folder")

ROOT = Path(__file__).parents[2]
HELLO = "/hello/english.html"


@dataclass(frozen=True)
class Run:
    code: int
    out: str
    err: str

    @property
    def records(self) -> list[dict]:
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture
def crawl(capfd: pytest.CaptureFixture[str]) -> Callable[..., Run]:
    """Run the command line in this process: only signals, pipes and limits need one of their own."""

    def crawl(*arguments: str) -> Run:
        code = main(arguments)
        return Run(code, *capfd.readouterr())

    return crawl


@contextmanager
def started(*arguments: str, **options: object) -> Iterator[subprocess.Popen]:
    """`python -m crawler`; killed at the end if it still runs."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    keywords = {
        "stdin": subprocess.DEVNULL,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "env": environ,
        **options,
    }
    with subprocess.Popen([sys.executable, "-m", "crawler", *arguments], **keywords) as process:
        try:
            yield process
        finally:
            process.kill()


def run(*arguments: str, **options: object) -> Run:
    with started(*arguments, **options) as process:
        out, err = process.communicate(timeout=30)
        return Run(process.returncode, (out or b"").decode(), (err or b"").decode())


def write(name: str, *lines: str) -> str:
    Path(name).write_text("".join(f"{line}\n" for line in lines))
    return name


class Gate(ThreadingHTTPServer):
    """A server that answers /held when `open` is set; `arrived` tells that somebody asked for it."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), GateHandler)
        self.open, self.arrived = threading.Event(), threading.Event()
        self.location = "/"

    def url(self, path: str = "/held") -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"

    def handle_error(self, *_: object) -> None:
        """Clients that go away are what is tested."""


class GateHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Gate

    def do_GET(self) -> None:
        if self.path.startswith("/held"):
            self.server.arrived.set()
            self.server.open.wait(20)
        if self.path == "/moved":
            self.wfile.write(
                b"HTTP/1.1 302 \x1b[31m\r\nContent-Length: 0\r\nLocation: %b\r\n\r\n" % self.server.location.encode()
            )
            return
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    def log_message(self, *_: object) -> None:
        """Silence."""


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    serving = threading.Thread(target=gate.serve_forever, kwargs={"poll_interval": 0.01})
    serving.start()
    yield gate
    gate.open.set()
    gate.shutdown()
    serving.join()
    gate.server_close()


# Records


def test_a_mixed_list(site, crawl):
    """Whatever the network does, each line has one record that says what happened, in every format at once."""
    with refused_port() as port:
        lines = [
            "# good and bad",
            site.url(HELLO),
            site.url("/missing.html") + "  # 404",
            f"http://127.0.0.1:{port}/",
            "",
            "http://no-such-host.invalid/",
            "this is no URL",
            site.url("/fault/redirect-loop"),
            site.url("/slow.html"),
            site.url("/fault/gzip-bomb"),
            site.url("/moved/twice"),
        ]
        outputs = ["out.jsonl", "out.csv", "out.jsonl.gz", "out.tsv.gz"]
        options = [word for name in outputs for word in ("-o", name)]
        done = crawl(write("urls.txt", *lines), "--timeout", "1", "--retries", "0", *options)
    assert (done.code, done.out) == (0, "")
    expected = {
        2: ("ok", 200, None, None),
        3: ("ok", 404, None, None),
        4: ("failed", None, "connect_refused", "connect"),
        6: ("failed", None, "dns_nxdomain", "dns"),
        7: ("failed", None, "url_invalid", "input"),
        8: ("failed", 302, "redirect_loop", "headers"),
        9: ("failed", 200, "timeout_total", "body"),
        10: ("failed", 200, "body_too_large", "decode"),
        11: ("ok", 200, None, None),
    }
    for text in (Path("out.jsonl").read_text(), gzip.decompress(Path("out.jsonl.gz").read_bytes()).decode()):
        records = {record["input"]["line"]: record for record in map(json.loads, text.splitlines())}
        assert len(text.splitlines()) == len(expected)
        for line, (outcome, status, code, phase) in expected.items():
            record = records[line]
            assert record["url"] == lines[line - 1].split("  #")[0]
            assert record["input"] == {"source": "urls.txt", "line": line}
            error = record["error"] or {"code": None, "phase": None}
            assert (record["outcome"], record["status"], error["code"], error["phase"]) == (
                outcome,
                status,
                code,
                phase,
            )
        assert [hop["status"] for hop in records[11]["redirects"]] == [302, 301]
        assert records[9]["truncated"]
        assert 0 < records[9]["size_body"] < 200
        assert str(port) in records[4]["error"]["message"]
    for text, delimiter in (
        (Path("out.csv").read_text(), ","),
        (gzip.decompress(Path("out.tsv.gz").read_bytes()).decode(), "\t"),
    ):
        rows = {int(row["input_line"]): row for row in csv.DictReader(io.StringIO(text), delimiter=delimiter)}
        assert {
            line: (row["outcome"], row["status"], row["error_code"], row["error_phase"]) for line, row in rows.items()
        } == {line: tuple("" if cell is None else str(cell) for cell in cells) for line, cells in expected.items()}
    for words in ("9 URLs in", "3 ok, 6 failed", "404 Not Found", "redirect_loop", "http://no-such-host.invalid/"):
        assert words in done.err


def test_standard_output(site, crawl):
    """Without -o JSON Lines go to a pipe or file, words to stderr; with -q none but errors."""
    loud = crawl(site.url(HELLO), "ftp://h/")
    assert [record["outcome"] for record in sorted(loud.records, key=lambda r: r["input"]["line"])] == ["ok", "failed"]
    assert "1 ok, 1 failed" in loud.err
    assert "\x1b" not in loud.out + loud.err
    quiet = crawl("-q", site.url(HELLO), "ftp://h/")
    assert (len(quiet.records), quiet.err) == (2, "")


def test_an_output_is_not_overwritten(site, crawl):
    """-o refuses a file that exists, before anything is fetched; -O replaces it."""
    Path("out.jsonl").write_text("precious\n")
    before = len(site.site.log)
    refused = crawl(site.url(HELLO), "-o", "new.csv", "-o", "out.jsonl")
    assert refused.code == 2
    assert refused.err == "crawler: error: out.jsonl exists already: -O/--overwrite-output replaces it\n"
    assert Path("out.jsonl").read_text() == "precious\n"
    assert not Path("new.csv").exists()
    assert len(site.site.log) == before
    assert crawl(site.url(HELLO), "-O", "out.jsonl", "-q") == Run(0, "", "")
    assert json.loads(Path("out.jsonl").read_text())["status"] == 200


@pytest.mark.parametrize(
    ("output", "code", "words"),
    [
        ("out.xml", 2, "no format of records is known for '.xml'"),
        ("missing/out.jsonl", 5, "write_error: missing/out.jsonl: No such file or directory"),
        (".", 2, "is a directory"),
    ],
)
def test_an_output_that_cannot_be(crawl, output, code, words):
    """What cannot be an output is told at once, in one line."""
    done = crawl("http://no-such-host.invalid/", "-o", output)
    assert (done.code, done.out) == (code, "")
    assert re.fullmatch(rf"crawler: error: .*{re.escape(words)}.*\n", done.err)


def test_a_folder_of_bodies_that_is_a_file(crawl, folder):
    """It is told by the option that wants one."""
    (folder / "a").touch()
    done = crawl("http://no-such-host.invalid/", "--bodies", "a")
    assert done == Run(5, "", "crawler: error: write_error: a: it is a file, and --bodies wants a folder\n")


def test_an_input_that_cannot_be(crawl):
    """So is an input."""
    done = crawl("missing.txt")
    assert (done.code, done.out) == (2, "")
    assert done.err.count("\n") == 1
    assert "missing.txt" in done.err


def test_fields(site, crawl):
    """--fields picks and orders; parts of errors can be had by themselves."""
    done = crawl(
        site.url(HELLO), "ftp://h/", "--ordered", "--fields", "status,url,error_code", "-o", "-", "-o", "out.csv"
    )
    assert done.records == [
        {"status": 200, "url": site.url(HELLO), "error_code": None},
        {"status": None, "url": "ftp://h/", "error_code": "scheme_unsupported"},
    ]
    assert [list(record) for record in done.records] == [["status", "url", "error_code"]] * 2
    assert (
        Path("out.csv").read_text()
        == f'status,url,error_code\n200,"{site.url(HELLO)}",\n,"ftp://h/","scheme_unsupported"\n'
    )


def test_bodies(site, crawl):
    """--include-body puts the body into the record, --bodies into a file named by its hash."""
    done = crawl(site.url(HELLO), site.url("/paper.pdf"), "--include-body", "--ordered", "--bodies", "kept", "-q")
    page, paper = done.records
    assert "<h1>" in page["body"]
    assert page["body_encoding"] is None
    assert paper["body_encoding"] == "base64"
    for record, suffix in ((page, ".html"), (paper, ".pdf")):
        kept = Path("kept", record["sha256"][:2], record["sha256"] + suffix).read_bytes()
        assert hashlib.sha256(kept).hexdigest() == record["sha256"]
    assert crawl(site.url(HELLO), "-q").records[0]["body"] is None


def test_ordered(site, crawl):
    """--ordered writes in the order of the inputs, though the first comes last."""
    urls = [site.url("/pause.html"), "ftp://h/", *(site.url(f"/p/{n}.html") for n in range(20))]
    assert [record["url"] for record in crawl(*urls, "--ordered", "-q").records] == urls
    assert crawl(*urls, "-q").records[-1]["url"] == urls[0]


def test_no_headers(site, crawl):
    """--no-headers leaves the response headers out."""
    assert crawl(site.url(HELLO), "-q", "--no-headers").records[0]["headers"] is None
    assert "content-type" in crawl(site.url(HELLO), "-q").records[0]["headers"]


def test_stats(site, crawl, tmp_path):
    """What the run came to, in a file of JSON that replaces an older one; if it cannot be written, that is told."""
    path = tmp_path / "stats.json"
    path.write_text("old")
    urls = [site.url("/hello/english.html"), site.url("/missing.html"), "no url"]
    crawl(*urls[:2], "-q", "--stats", str(path))
    stats = json.loads(path.read_text())
    assert (stats["done"], stats["ok"], stats["failed"]) == (2, 2, 0)
    assert stats["statuses"] == {"200": 1, "404": 1}
    assert list(tmp_path.iterdir()) == [path]
    run = crawl(urls[0], "-q", "--stats", str(tmp_path / "none" / "stats.json"))
    assert run.code == 5
    assert "write_error: " in run.err


def test_columns(site, crawl):
    """URLs come from a column of CSV, or a key of JSON Lines, also gzipped."""
    write("list.csv", "name,page", f"one,{site.url('/p/1.html')}", f"two,{site.url('/p/2.html')}")
    Path("list.jsonl.gz").write_bytes(gzip.compress(json.dumps({"page": site.url("/p/3.html")}).encode()))
    done = crawl("list.csv", "list.jsonl.gz", "--column", "page", "--ordered", "-q")
    assert [(record["url"], record["input"]) for record in done.records] == [
        (site.url("/p/1.html"), {"source": "list.csv", "line": 2}),
        (site.url("/p/2.html"), {"source": "list.csv", "line": 3}),
        (site.url("/p/3.html"), {"source": "list.jsonl.gz", "line": 1}),
    ]


def test_options_from_everywhere(site, crawl, monkeypatch):
    """The command line beats the environment, that beats the file."""
    write("c.toml", 'user_agent = "file/1"', 'headers = ["X-From: file"]', "quiet = true", "include_body = true")
    monkeypatch.setenv("CRAWLER_HEADERS", "X-From: environment")
    done = crawl("--config", "c.toml", site.url("/echo"))
    assert "User-Agent: file/1" in done.records[0]["body"]
    assert "X-From: environment" in done.records[0]["body"]
    assert "X-From: flag" in crawl("--config", "c.toml", "-H", "X-From: flag", site.url("/echo")).records[0]["body"]
    assert done.err == ""


# Exit codes


@pytest.mark.parametrize(
    ("paths", "code"),
    [
        ([HELLO], 0),
        ([HELLO, "/missing.html"], 3),
        ([HELLO, "/status/503"], 4),
        (["/status/503", "/missing.html"], 3),
        (["/fault/empty-reply"], 4),
        (["/fault/redirect-loop", "/fault/empty-reply"], 3),
        (["/moved"], 0),
    ],
)
def test_fail(site, crawl, paths, code):
    """With --fail: 3 when a URL failed for good, 4 when another try may help, 0 when none failed."""
    urls = [site.url(path) for path in paths]
    assert crawl(*urls, "--fail", "-q", "--retries", "0").code == code
    assert crawl(*urls, "-q", "--retries", "0").code == 0


PROXY = "http://user17:secret17@127.0.0.1:1"


@pytest.mark.parametrize("options", [[], ["-q"], ["--log-format", "json"]])
def test_proxies_of_the_environment(site, crawl, monkeypatch, options):
    """They are gone through; that is said once, and nothing that is secret in them."""
    monkeypatch.setenv("http_proxy", PROXY)
    monkeypatch.setenv("ALL_PROXY", PROXY)
    monkeypatch.setenv("HTTPS_PROXY", "")
    done = crawl(site.url("/plain.txt"), "--retries", "0", *options)
    (record,) = done.records
    assert (record["error"]["code"], record["proxy"]) == ("proxy_connect", "http://127.0.0.1:1")
    assert done.err.count("http://127.0.0.1:1, as http_proxy says") == ("-q" not in options)
    assert "HTTPS_PROXY" not in done.err
    assert "secret17" not in done.err + done.out


@pytest.mark.parametrize("options", [["--noproxy", "*"], ["-x", ""], ["--noproxy", "127.0.0.0/8"]])
def test_around_the_proxies_of_the_environment(site, crawl, monkeypatch, options):
    """A word of ours turns them off, for all or for some."""
    monkeypatch.setenv("http_proxy", PROXY)
    monkeypatch.setenv("NO_PROXY", "example.com")
    done = crawl(site.url("/plain.txt"), *options)
    assert [(record["status"], record["proxy"]) for record in done.records] == [(200, None)]
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert crawl(site.url("/plain.txt")).records[0]["status"] == 200


def test_a_proxy_of_the_environment_that_is_none(crawl, monkeypatch):
    """A variable that cannot be used is an error, with its name and without its password."""
    monkeypatch.setenv("https_proxy", "ftp://user:secret17@127.0.0.1:1")
    done = crawl("https://127.0.0.1:1/")
    assert done.code == 2
    assert "https_proxy of the environment has the scheme ftp" in done.err
    assert "secret17" not in done.err


def test_offline(crawl):
    """When no name can be resolved, a sentence says that it is the machine, and what works even so."""
    done = crawl("http://one.invalid/", "http://two.invalid/", "--retries", "0")
    assert done.code == 0
    assert "This machine looks offline" in done.err
    assert "python -m crawler demo" in done.err
    assert crawl("http://one.invalid/", "--retries", "0", "-q").err == ""


# Pipes and disks


@pytest.mark.parametrize("options", [(), ("-q",), ("-o", "-")])
def test_a_reader_that_goes_away(site, options):
    """`| head -1`: the run ends, in peace."""
    urls = [site.url(f"/p/{n}.html") for n in range(1, 2000)]
    with started(*options, write("urls.txt", *urls)) as process:
        assert json.loads(process.stdout.readline())["status"] == 200
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(20) == 0


def test_a_reader_that_takes_stderr_along(site):
    """`2>&1 | head -1` as well."""
    with started(write("urls.txt", *[site.url("/p/1.html")] * 3000), stderr=subprocess.STDOUT) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(20) == 0


def test_a_broken_pipe_beside_another_output(site):
    """When there is another output, which is not complete now, that is worth a word."""
    urls = write("urls.txt", *[site.url("/p/1.html")] * 3000)
    with started(urls, "-o", "-", "-o", "out.jsonl") as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b"crawler: error: write_error: standard output: Broken pipe\n"
        assert process.wait(20) == 5


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_device(site):
    """`> /dev/full`: one clear sentence, and its own exit code."""
    with Path("/dev/full").open("wb") as full:
        done = run(site.url(HELLO), stdout=full)
    assert done.code == 5
    assert re.fullmatch(
        r"crawler: error: disk_full: standard output: No space left on device; the run was ended, [a-z ]+\n", done.err
    )


def test_a_full_disk(site):
    """When a file can grow no more the run ends with 5; the file ends with a whole record, and nothing claims more."""
    urls = write("urls.txt", *(site.url(f"/p/{n % 2000}.html") for n in range(3000)))

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    done = run(urls, "-o", "out.jsonl", "-o", "out.csv", preexec_fn=limit)
    assert done.code == 5
    assert re.fullmatch(
        r"crawler: error: disk_full: out\.(jsonl|csv): File too large; the run was ended, .*\n", done.err
    )
    text = Path("out.jsonl").read_text()
    assert text.endswith("}\n")
    assert 20 < len([json.loads(line) for line in text.splitlines()]) < 200
    assert len(text) <= 100_000
    table = Path("out.csv").read_text()
    assert table.endswith("\n")
    assert len({len(row) for row in csv.reader(io.StringIO(table))}) == 1


@pytest.mark.parametrize("closed", ["out", "err", "in"])
def test_a_closed_stream(site, closed):
    """`>&-`: without stdout nothing can be written; without stderr nothing is said; stdin matters to - alone."""
    number = {"in": 0, "out": 1, "err": 2}[closed]
    done = run(*(["-"] if closed == "in" else [site.url(HELLO)]), preexec_fn=lambda: os.close(number))
    if closed == "out":
        assert done.code == 5
        assert re.fullmatch(r"crawler: error: write_error: standard output: .*\n", done.err)
    else:
        assert (done.code, len(done.records)) == (0, 1)
        assert done.records[0]["outcome"] == ("failed" if closed == "in" else "ok")


def test_standard_input(site):
    """- is standard input, read as it comes: a record is there before the next line is."""
    with started("-", "-q", stdin=subprocess.PIPE) as process:
        for number in (1, 2):
            process.stdin.write(f"{site.url(f'/p/{number}.html')}\n".encode())
            process.stdin.flush()
            record = json.loads(process.stdout.readline())
            assert record["url"] == site.url(f"/p/{number}.html")
            assert record["input"] == {"source": "-", "line": number}
        process.stdin.close()
        assert process.wait(20) == 0


# Signals


def wait_until_full(pipe: int) -> None:
    """Until a pipe that nobody reads holds as much as it can, or its writer has written all."""
    held, before, since = array.array("i", [0]), -1, time.monotonic()
    while held[0] != before or held[0] == 0 or time.monotonic() - since < 0.3:
        if held[0] != before:
            since = time.monotonic()
        before = held[0]
        time.sleep(0.01)
        fcntl.ioctl(pipe, termios.FIONREAD, held)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_signal_drains(gate, number, code):
    """What is in the air may end and is written, nothing new is started, and the summary says what is left."""
    urls = [gate.url("/"), *(gate.url(f"/held{n}") for n in range(9))]
    with started(*urls, "--per-host", "1") as process:
        assert gate.arrived.wait(20)
        process.send_signal(number)
        assert b"Stopping" in process.stderr.readline()
        gate.open.set()
        out, err = process.communicate(timeout=20)
        assert process.returncode == code
    assert [json.loads(line)["url"] for line in out.splitlines()] == urls[:2]
    assert b"2 URLs in" in err
    assert b"stopped with 8 left" in err
    assert b"2 ok, 0 failed" in err


def test_the_second_signal_aborts(gate):
    """What is in the air is given up at once; what was finished before is written."""
    urls = [gate.url("/"), *(gate.url(f"/held{n}") for n in range(9))]
    with started(*urls) as process:
        assert gate.arrived.wait(20)
        process.send_signal(signal.SIGINT)
        process.stderr.readline()
        before = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
        assert time.monotonic() - before < 2.0
        assert process.returncode == 130
    assert [json.loads(line)["url"] for line in out.splitlines()] == urls[:1]
    assert b"stopped with 9 left" in err


def test_two_signals_while_nobody_reads(site):
    """A reader that has stopped does not keep the second Ctrl-C from leaving; what it missed is told."""
    with started("--include-body", *[site.url("/big.html")] * 20) as process:
        wait_until_full(process.stdout.fileno())
        process.send_signal(signal.SIGINT)
        process.stderr.readline()
        before = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert time.monotonic() - before < 2.0
        assert process.stderr.read() == (
            b"crawler: error: write_error: standard output: given up, because its reader takes nothing more\n"
        )


def test_two_signals_while_nobody_reads_anything(site):
    """Nor when words and records go into the same stopped pipe."""
    with started("--include-body", *[site.url("/big.html")] * 20, stderr=subprocess.STDOUT) as process:
        wait_until_full(process.stdout.fileno())
        before = time.monotonic()
        process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 143
        assert time.monotonic() - before < 4.0


def test_a_signal_while_standard_input_is_open(site):
    """An input that never ends does not keep the program, nor make the interpreter abort."""
    with started("-", stdin=subprocess.PIPE) as process:
        process.stdin.write(f"{site.url(HELLO)}\n".encode())
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["status"] == 200
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
        assert process.returncode == 130
    assert b"1 ok, 0 failed" in err
    assert b"Fatal" not in err


def test_an_ignored_signal_stays_ignored(gate):
    """What a shell starts in the background ignores Ctrl-C, which is meant for others."""
    with started(gate.url(), "-q", preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)) as process:
        assert gate.arrived.wait(20)
        process.send_signal(signal.SIGINT)
        time.sleep(0.1)
        gate.open.set()
        out, err = process.communicate(timeout=20)
        assert (process.returncode, err) == (0, b"")
    assert json.loads(out)["status"] == 200


def test_handlers_are_restored(site, crawl):
    """After a run the signals do what they did before."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    crawl(site.url(HELLO), "-q")
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


# Terminals


class Screen:
    """A terminal of 100 columns, and what was written to it."""

    def __init__(self) -> None:
        self.keyboard, self.device = pty.openpty()
        fcntl.ioctl(self.device, termios.TIOCSWINSZ, array.array("H", [30, 100, 0, 0]))
        self._pieces: list[bytes] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                self._pieces.append(os.read(self.keyboard, 1 << 16))
            except OSError as error:  # EIO: nobody has the terminal open any more
                assert error.errno == errno.EIO
                return

    def wait_for(self, text: str) -> None:
        end = time.monotonic() + 20
        while text not in self.text:
            assert time.monotonic() < end, self.text
            time.sleep(0.005)

    def close(self) -> None:
        os.close(self.device)
        self._reader.join()
        os.close(self.keyboard)

    @property
    def text(self) -> str:
        return b"".join(self._pieces).decode()


@contextmanager
def on_screen(*streams: int) -> Iterator[Screen]:
    """Let these descriptors of this process be a terminal, and sys.stdout and sys.stderr with them."""
    screen = Screen()
    saved = {number: os.dup(number) for number in streams}
    names = {1: "stdout", 2: "stderr"}
    before = {number: getattr(sys, names[number]) for number in streams}
    try:
        for number in streams:
            before[number].flush()
            os.dup2(screen.device, number)
            setattr(sys, names[number], open(number, "w", encoding="utf-8", closefd=False))  # noqa: SIM115
        yield screen
    finally:
        for number in streams:
            getattr(sys, names[number]).close()
            setattr(sys, names[number], before[number])
            os.dup2(saved[number], number)
            os.close(saved[number])
        screen.close()


@pytest.fixture
def _colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")


COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# All that the program itself may do to a terminal: colours, to erase, one line up, to cut what is too long or wrap it.
OWN = re.compile(r"\x1b\[(?:[0-9;]*m|[JK]|A|\?7[lh])")
ACTS = re.compile("[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def on_terminal(*arguments: str, streams: Sequence[int] = (1, 2)) -> str:
    """What a run shows on a terminal."""
    with on_screen(*streams) as screen:
        code = main(arguments)
    assert code == 0
    return screen.text


def test_a_line_for_a_person(site, _colours):
    """On a terminal each URL is one short line in colour, the progress is a bar, and a summary ends it."""
    text = on_terminal(site.url("/pause.html"), site.url("/missing.html"), "ftp://h/", site.url("/moved"))
    assert "in flight" in text
    plain = OWN.sub("", text)
    for line in (
        rf"200 +[0-9.]+s +[0-9.]+ k?B +{site.url('/pause.html')}",
        rf"404 +[0-9.]+s +[0-9.]+ k?B +{site.url('/missing.html')}",
        r"scheme_unsupported +ftp://h/ +\(.*http",
        rf"200 .*{site.url('/moved')} -> {site.url(HELLO)}",
        r"4 URLs in",
    ):
        assert re.search(rf"(?m)(^|\r){line}", plain), line
    assert COLOUR.search(text)
    assert '{"url"' not in text
    assert not ACTS.search(plain)


@pytest.mark.parametrize(
    ("page", "option", "key", "value"),
    [
        (HELLO, "--fields=status", "status", 200),
        (HELLO, "--extract=title=title::text", "data", {"title": "Hello, world"}),
        (HELLO, "--extract-all=titles=title::text", "data", {"titles": ["Hello, world"]}),
        ("/data.json", "--include-body", "body", '{"name": "crawler", "numbers": [1, 2, 3]}'),
    ],
)
@pytest.mark.parametrize("quiet", [(), ("-q",)])
def test_what_is_asked_of_records_is_seen_on_a_terminal(site, _colours, page, option, key, value, quiet):
    """Fields, values and bodies have no place in a short line: the records are shown, above the bar."""
    plain = OWN.sub("", on_terminal(site.url(page), option, *quiet)).replace("\r", "\n")
    (record,) = [json.loads(line) for line in plain.splitlines() if line.startswith("{")]
    assert record[key] == value
    assert ("1 URL in" in plain) == (not quiet)
    assert not ACTS.search(plain)


@pytest.mark.parametrize(
    ("options", "environ", "bar", "summary", "colour"),
    [
        ((), {}, True, True, True),
        (("--no-progress",), {}, False, True, True),
        (("-q",), {}, False, False, True),
        ((), {"NO_COLOR": "1"}, True, True, False),
        ((), {"TERM": "dumb"}, False, True, False),
    ],
)
def test_what_is_shown(site, monkeypatch, _colours, options, environ, bar, summary, colour):
    """-q leaves the lines alone, --no-progress leaves out the bar, NO_COLOR the colours; TERM=dumb has neither."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    text = on_terminal(site.url("/pause.html"), "ftp://h/", *options)
    assert ("in flight" in text) is bar
    assert ("2 URLs in" in text) is summary
    assert bool(re.search(r"\x1b\[[0-9;]*3[0-9]", text)) is colour
    assert "scheme_unsupported" in text
    if not (bar or colour):
        assert "\x1b" not in text


def test_records_in_a_file_words_on_the_terminal(site, crawl, _colours):
    """`> out.jsonl`: stdout is data as ever, the bar is on the terminal."""
    with on_screen(2) as screen:
        done = crawl(site.url("/pause.html"))
    assert done.records[0]["status"] == 200
    assert "in flight" in screen.text
    assert "1 URL in" in screen.text


def test_words_in_a_file_lines_on_the_terminal(site, crawl, _colours):
    """`2> log`: the lines are on the terminal, the words in the log have no colours."""
    with on_screen(1) as screen:
        done = crawl(site.url(HELLO))
    assert site.url(HELLO) in screen.text
    assert "1 URL in" in done.err
    assert "\x1b" not in done.err


HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202ecod.exe\u2066\r\x08"


@pytest.mark.parametrize("output", [(), ("--include-body",), ("--include-body", "-o", "-")])
def test_hostile_text(site, gate, _colours, output):
    """URLs, redirects, headers and reasons that would act on a terminal are shown as escapes, as JSON too."""
    gate.location = f"http://no-such-{HOSTILE}.invalid/".replace("\r", "")
    urls = write("urls.txt", f"http://a.invalid/{HOSTILE[:-2]}", f"no URL {HOSTILE[:-2]}", gate.url("/moved"))
    faults = [site.url(f"/fault/escape-in-{place}") for place in ("reason", "title", "header")]
    text = on_terminal(urls, *faults, "--retries", "0", *output)
    assert "no URL" in text
    assert "\\x1b" in text or "\\u001b" in text
    assert "\\u202e" in text
    rest = OWN.sub("", text)
    assert not ACTS.search(rest), ACTS.search(rest)
    assert "\r\r" not in rest.replace("\r\r\n", "")


def test_ctrl_c_on_a_terminal(gate, _colours):
    """Ctrl-C as it is typed: the bar goes, a line says what happens, the summary what is left."""

    def own_terminal() -> None:
        os.setsid()
        fcntl.ioctl(1, termios.TIOCSCTTY, 0)

    with closing(Screen()) as screen:
        device = dict.fromkeys(("stdin", "stdout", "stderr"), screen.device)
        with started(*(gate.url(f"/held{n}") for n in range(3)), **device, preexec_fn=own_terminal) as process:
            screen.wait_for("3 in flight")
            os.write(screen.keyboard, b"\x03")
            screen.wait_for("Stopping")
            os.write(screen.keyboard, b"\x03")
            assert process.wait(20) == 130
    assert "stopped with 3 left" in OWN.sub("", screen.text)
    assert not ACTS.search(OWN.sub("", screen.text))


# The demo


def test_demo():
    """`python -m crawler demo` needs no internet, and shows good and bad."""
    done = run("demo", "--timeout", "0.5", "--retries", "0")
    assert done.code == 0
    assert len(done.records) > 15
    assert {"ok", "failed"} == {record["outcome"] for record in done.records}
    assert f"{len(done.records)} URLs in" in done.err
