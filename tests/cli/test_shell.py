"""`python -m crawler shell URL` from the outside: real processes, pipes and terminals, against the built-in site."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import trustme
from screens import written
from twisted.internet.ssl import DefaultOpenSSLContextFactory

from crawler.cli.main import main
from crawler.site import RunningSite, refused_port, running_site

ROOT = Path(__file__).parents[2]
GREETING = "/hello/japanese.html"
TITLE = "'こんにちは、世界'"
# Python's own prompt, whatever is installed.
PLAIN = "import sys; sys.modules.update(IPython=None, ptpython=None); from crawler.__main__ import main; main()"


@pytest.fixture(autouse=True)
def _begin(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8")


def shell(url: str, *options: str, typed: str | bytes = "") -> subprocess.CompletedProcess[str]:
    """Lines through a pipe; gives what came back."""
    done = subprocess.run(
        [sys.executable, "-m", "crawler", "shell", *options, url],
        input=typed.encode() if isinstance(typed, str) else typed,
        capture_output=True,
        timeout=30,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


# With the file of a spider

SPIDER = """\
from crawler import Request, Spider, crawl
import msgspec

class Quote(msgspec.Struct):
    author: str

class Quotes(Spider):
    start_urls = ["http://no-such-host.invalid/"]
    item = Quote
    def parse(self, page):
        yield from self.authors(page)
        yield {"wrong": 1}
        yield "/quotes/2.html"
    def authors(self, page):
        for name in page.css("small.author::text").getall():
            yield Quote(name)
    async def slow(self, page):
        yield Request("/x", callback=self.parse)

crawl(Quotes)
"""


def test_the_functions_of_a_spider_are_tried(site: RunningSite, folder: Path) -> None:
    """Nothing of the spider's is fetched; its names are there, and what its functions make of the page is shown."""
    (folder / "spider.py").write_text(SPIDER)
    typed = "found = scrape()\nfound.items\nfound.follow[0].href\nscrape(spider.authors).items\n"
    typed += "scrape(spider.slow).follow[0].ask.callback\nQuote.__name__\n"
    done = subprocess.run(
        [sys.executable, "-m", "crawler", "shell", "-q", site.url("/quotes/1.html"), "spider.py"],
        input=typed, capture_output=True, timeout=30, text=True,
    )  # fmt: skip
    assert done.stdout.splitlines() == [
        "[{'author': 'Laozi'}, {'author': 'Aristotle'}]",
        repr(site.url("/quotes/2.html")),
        "[{'author': 'Laozi'}, {'author': 'Aristotle'}]",
        "'Quotes.parse'",
        "'Quote'",
    ]
    assert done.stderr.splitlines() == ["item_invalid:item 3: Quote: has no field 'wrong'"]


def test_a_spider_that_cannot_be_had(site: RunningSite, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "spider.py").write_text("x = (")
    assert main(["shell", site.url("/"), "spider.py"]) == 2
    assert "spider.py, line 1: '(' was never closed" in capfd.readouterr().err


# Pipes


def test_a_line_through_a_pipe(site: RunningSite) -> None:
    """Its result is all that stdout gets, without prompts; stderr tells how the fetch went, in one line."""
    done = shell(site.url(GREETING), typed='css("title::text").get()')
    assert (done.returncode, done.stdout) == (0, f"{TITLE}\n")
    (line,) = done.stderr.splitlines()
    assert line.startswith("200 ") and line.endswith(f"  {site.url(GREETING)}")


def test_names(site: RunningSite) -> None:
    """The page, its record and selector, and ways to ask them; results and errors as at a prompt, which goes on."""
    lines = """\
page
record.status, record.error, page.kind
selector.xpath("//a").getall() == page.css("a").getall() == xpath("//a").getall()
len(xpath("//a"))
urljoin("page.html")
for link in css("a::attr(href)").getall()[:2]:
    print(urljoin(link))

1/0
None
_
class Item: pass

Item()
"""
    done = shell(site.url("/p/1.html"), "-q", typed=lines)
    *results, item = done.stdout.splitlines()
    assert results == [
        f"<Page 200 {site.url('/p/1.html')}>",
        "(200, None, 'html')",
        "True",
        "10",
        repr(site.url("/p/page.html")),
        site.url("/p/8.html"),
        site.url("/p/21.html"),
        repr(site.url("/p/page.html")),
    ]
    assert item.startswith("<__console__.Item object")
    assert done.stderr.splitlines()[0] == "Traceback (most recent call last):"
    assert done.stderr.splitlines()[-1] == "ZeroDivisionError: division by zero"
    assert done.returncode == 0


def test_fetch(site: RunningSite) -> None:
    """Another page takes the place of the first, names and all; a relative reference is one of the page in hand."""
    lines = """\
fetch("english.html")
page.url, css("title::text").get(), xpath("//title/text()").get(), selector.css("title::text").get()
urljoin("x")
fetch("/data.json")
record.final_url, page.json()["numbers"], selector.type
"""
    done = shell(site.url(GREETING), typed=lines)
    title = "Hello, world"
    assert done.stdout.splitlines() == [
        repr((site.url("/hello/english.html"), title, title, title)),
        repr(site.url("/hello/x")),
        repr((site.url("/data.json"), [1, 2, 3], "json")),
    ]
    paths = [GREETING, "/hello/english.html", "/data.json"]
    assert [line.split()[-1] for line in done.stderr.splitlines()] == [site.url(path) for path in paths]


def test_a_fetch_that_fails(site: RunningSite) -> None:
    """What went wrong is one line, and the page in hand stays."""
    with refused_port() as port:
        lines = (
            f'fetch("http://127.0.0.1:{port}/")\nfetch("mailto:x@y")\nfetch(None)\npage.url, css("title::text").get()'
        )
        done = shell(site.url(GREETING), "--retries", "0", typed=lines)
    assert done.stdout == f"({site.url(GREETING)!r}, {TITLE})\n"
    codes = [line.split()[0] for line in done.stderr.splitlines()]
    assert codes == ["200", "connect_refused", "scheme_unsupported", "url_invalid"]


@pytest.mark.parametrize(
    ("path", "code"), [("/fault/body-short", "body_truncated"), ("/fault/empty-reply", "empty_reply")]
)
def test_a_first_page_that_fails(site: RunningSite, path: str, code: str) -> None:
    """The prompt opens for what there was of an answer; without any, the exit code is 3 and nothing is read."""
    done = shell(site.url(path), "--retries", "0", "-q", typed="record.status, record.error.code, len(page.body) > 0\n")
    assert done.stderr.startswith(code) and "  (" in done.stderr
    if code == "body_truncated":
        assert (done.returncode, done.stdout) == (0, "(200, 'body_truncated', True)\n")
    else:
        assert (done.returncode, done.stdout) == (3, "")


def test_request_options_count(site: RunningSite) -> None:
    """Headers and limits are those given, for the first page and those that follow; outputs have no part in it."""
    options = ["-H", "X-Asked: yes", "-A", "me/1", "--timeout", "0.5", "--retries", "0", "-o", "out.jsonl", "-r"]
    lines = "'x-asked: yes' in page.text.lower()\nfetch('/slow.html')\nrecord.error.code\nfetch('/echo')\n'me/1' in page.text"
    done = shell(site.url("/echo"), *options, typed=lines)
    assert done.stdout.splitlines() == ["True", "'timeout_total'", "True"]
    assert not Path("out.jsonl").exists()


def test_insecure() -> None:
    """So does -k; without it the certificate is checked."""
    leaf = trustme.CA().issue_cert("127.0.0.1")
    with leaf.private_key_pem.tempfile() as key, leaf.cert_chain_pems[0].tempfile() as certificate:
        tls = DefaultOpenSSLContextFactory(key, certificate)
    with running_site(tls=tls) as site:
        assert shell(site.url(GREETING), "-k", typed='css("title::text").get()').stdout == f"{TITLE}\n"
        refused = shell(site.url(GREETING), typed="1")
    assert (refused.returncode, refused.stdout) == (3, "")
    assert refused.stderr.startswith("tls_")


def test_nothing_hostile_gets_through(site: RunningSite) -> None:
    """Results and tracebacks, which may hold text of the page, are escaped; what `print` prints is the user's."""
    lines = """\
class Hostile:
    def __repr__(self): return "\\x1b[31m\\nred\\u202e"

Hostile()
"\\x1b"
raise ValueError("\\x1b[2J")
print("\\x1b[1m")
"\\ud800"
print("\\ud800")
"""
    done = shell(site.url(GREETING), "-q", typed=lines)
    assert done.stdout == "\\x1b[31m\nred\\u202e\n'\\x1b'\n\x1b[1m\n'\\ud800'\n\\ud800\n"
    assert done.stderr.splitlines()[-1] == "ValueError: \\x1b[2J"


@pytest.mark.parametrize(
    ("typed", "out", "err"),
    [
        (b"", "", ""),
        (b"for n in 1, 2:\r\n    n", "1\n2\n", ""),
        (b"print(1,", "", "crawler: error: the input ends inside a statement\n"),
        (b"'caf\xe9'\n2", "2\n", "surrogates not allowed"),
        (b"1\nexit()\n2", "1\n", ""),
    ],
)
def test_odd_input(site: RunningSite, typed: bytes, out: str, err: str) -> None:
    """What is odd about the lines costs a word at most."""
    done = shell(site.url(GREETING), "-q", typed=typed)
    assert (done.returncode, done.stdout) == (0, out)
    assert err in done.stderr if err else done.stderr == ""


def test_a_reader_that_goes_away(site: RunningSite) -> None:
    """`| head -1` ends it quietly."""
    command = [sys.executable, "-m", "crawler", "shell", "-q", site.url(GREETING)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin and process.stdout and process.stderr
        process.stdin.write("1\n")
        process.stdin.flush()
        assert process.stdout.readline() == "1\n"
        process.stdout.close()
        process.stdin.write("2\n3\n")
        process.stdin.close()
        assert process.stderr.read() == ""
        assert process.wait(20) == 0


# Mistakes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "INPUT: shell wants one URL, not 0 (crawler shell https://example.org/)"),
        (["http://a/", "http://b/"], "INPUT: shell wants one URL, not 2 (crawler shell https://example.org/)"),
        (["example.org"], "INPUT: shell wants a URL: the URL has no scheme (did you mean 'https://example.org'?)"),
        (
            ["ftp://u:hunter2@a/"],
            "INPUT: shell wants a URL: the scheme 'ftp' is not fetched (allowed: http, https, ws, wss)",
        ),
    ],
)
def test_mistakes(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    """Anything but one URL is a mistake, told before anything is fetched."""
    assert main(["shell", *arguments]) == 2
    assert capsys.readouterr() == ("", f"crawler: error: {message}\n")


# Terminals


class Terminal:
    """A person's terminal with a process on it."""

    def __init__(self, *command: str) -> None:
        self.keyboard, device = pty.openpty()
        self.process = subprocess.Popen(
            command,
            stdin=device,
            stdout=device,
            stderr=device,
            start_new_session=True,
            env={**os.environ, "TERM": "dumb"},
        )
        os.close(device)
        self.text = ""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        for data in written(self.keyboard):
            self.text += data.decode("utf-8", "replace")

    def type(self, text: str) -> None:
        os.write(self.keyboard, text.encode())

    def wait_for(self, text: str, times: int = 1) -> None:
        end = time.monotonic() + 20
        while self.text.count(text) < times:
            assert time.monotonic() < end, self.text
            time.sleep(0.005)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        os.close(self.keyboard)


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def terminal(*command: str) -> Terminal:
        opened.append(Terminal(*command))
        return opened[-1]

    yield terminal
    for one in opened:
        one.close()


def test_on_a_terminal(site: RunningSite, terminal: Callable[..., Terminal]) -> None:
    """There is a banner with the names, a prompt, Tab completes the names, an error goes on, and Ctrl-D ends it."""
    person = terminal(sys.executable, "-c", PLAIN, "shell", site.url(GREETING))
    person.wait_for(">>> ")
    line, *banner = person.text.splitlines()
    assert line.startswith("200 ") and line.endswith(site.url(GREETING))
    for name in ("page", "record", "selector", "css", "xpath", "urljoin", "fetch"):
        assert any(name in line for line in banner), name
    person.type('css("title::text").get()\n')
    person.wait_for(TITLE)
    person.type("1/0\n")
    person.wait_for("ZeroDivisionError")
    if find_spec("readline"):
        person.type("pag\t.status\n")
        person.wait_for("200\r\n")
    person.type("\x04")
    assert person.process.wait(20) == 0


@pytest.mark.parametrize(
    ("module", "prompt"), [("IPython", "In [1]: "), ("ptpython", ">>>")], ids=["IPython", "ptpython"]
)
def test_better_prompts(
    site: RunningSite, terminal: Callable[..., Terminal], monkeypatch: pytest.MonkeyPatch, module: str, prompt: str
) -> None:
    """IPython is preferred, then ptpython, if they are installed; they know the same names, and what fetch changes."""
    if find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
    monkeypatch.setenv("IPYTHONDIR", str(Path("ipython").absolute()))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(Path("config").absolute()))
    program = PLAIN.replace(f"{module}=None, ", "").replace(f", {module}=None", "")
    person = terminal(sys.executable, "-c", program, "shell", site.url(GREETING))
    person.wait_for(prompt)
    assert "urljoin(reference)" in person.text
    person.type('css("title::text").get()\r')
    person.wait_for(TITLE)
    person.type('fetch("english.html")\r')
    person.wait_for(site.url("/hello/english.html"))
    person.type('css("title::text").get()\r')
    person.wait_for("'Hello, world'")
