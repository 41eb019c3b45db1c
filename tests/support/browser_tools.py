"""What the tests in a real browser share: a site that notes who asks when, a run with a live page, and a Chromium."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from needs import BROWSER, missing

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).parents[2]
WHOLE_SECONDS = 20.0  # how long anything may take before a test fails


def chromium() -> str:
    """The browser of this system."""
    found = filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))
    return next(found, None) or missing("there is no Chromium here (apt install chromium)", BROWSER)


@contextmanager
def launched() -> Iterator[Browser]:
    """A browser without a window, to the end of the block."""
    from playwright.sync_api import sync_playwright

    path = chromium()
    with sync_playwright() as playwright:
        # A browser of the superuser's, as on many build machines, has no sandbox.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


# A site that is slow on purpose


class Asked(NamedTuple):
    at: float
    target: str
    at_once: int


class _Page(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: SlowSite

    def do_GET(self) -> None:
        site = self.server
        with site.lock:
            site.at_once += 1
            site.log.append(Asked(time.monotonic(), self.path, site.at_once))
        if self.path in site.held:
            site.released.wait()
        else:
            time.sleep(site.pause)
        with site.lock:
            site.at_once -= 1
        status = 404 if self.path.endswith("7") else 200
        links = "".join(f"<a href='{link}'>link</a>" for link in site.links)
        body = f"<title>{site.title}</title><p>{links}".encode()
        head = f"HTTP/1.1 {status} x\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n\r\n"
        self.wfile.write(head.encode() + body)

    def log_message(self, *_: object) -> None:
        """Silence: `log` has it."""


class SlowSite(ThreadingHTTPServer):
    """Answers each request after `pause` seconds, but those in `held` not before `released` is set.

    Each page links to `links`. `log` says what was asked for and when.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, title: str, links: Sequence[str]) -> None:
        super().__init__(("127.0.0.1", 0), _Page)
        self.authority = f"127.0.0.1:{self.server_port}"
        self.title = title
        self.links = links
        self.held = {"/held"}
        self.pause = 0.02
        self.lock = threading.Lock()
        self.at_once = 0
        self.log: list[Asked] = []
        self.released = threading.Event()

    def url(self, target: str | int = "") -> str:
        return f"http://{self.authority}/{target}"

    def urls(self, number: int) -> list[str]:
        return [self.url(n) for n in range(number)]

    def next(self, number: int, skip: int = 0) -> list[Asked]:
        """So many requests that come from now on, after the first ones are skipped."""
        begin = len(self.log) + skip
        eventually(lambda: len(self.log) >= begin + number)
        return self.log[begin : begin + number]

    def handle_error(self, *_: object) -> None:
        """Clients that hang up are what is tested."""


@contextmanager
def slow_site(title: str = "A page", links: Sequence[str] = ()) -> Iterator[SlowSite]:
    with SlowSite(title, links) as site:
        thread = threading.Thread(target=site.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield site
        finally:
            site.released.set()
            site.shutdown()
            thread.join()


def eventually(true: object) -> None:
    """Wait until something is true; fail when that takes too long."""
    end = time.monotonic() + WHOLE_SECONDS
    while not true():  # type: ignore[operator]
        assert time.monotonic() < end, "that did not come about"
        time.sleep(0.01)


# A run with a live page


class LiveRun(NamedTuple):
    process: subprocess.Popen[str]
    address: str

    @property
    def origin(self) -> str:
        return self.address.partition("/#")[0]

    @property
    def token(self) -> str:
        return self.address.partition("/#")[2]


@contextmanager
def live_run(folder: Path, urls: Sequence[str], *options: str, output: str = "out.jsonl") -> Iterator[LiveRun]:
    """`python -m crawler` over a list of URLs; killed at the end if it still runs."""
    (folder / "urls.txt").write_text("\n".join(urls) + "\n")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("CRAWLER_")}
    command = [sys.executable, "-m", "crawler", "urls.txt", "--dashboard", "0", "--no-progress", "-o" if output.endswith("/") else "-O", output, *options]  # fmt: skip
    with subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        try:
            yield LiveRun(process, _address(process))
        finally:
            process.kill()


def _address(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if line.startswith("Live page: "):
            return line.removeprefix("Live page: ").strip()
    raise AssertionError("no live page: " + "".join(said))
