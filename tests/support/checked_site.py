"""A site to check: what it answers is the test's, and what it is asked for is noted."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from crawler.cli.main import main
from crawler.errors import CODES, LINK_CODES, WARNINGS

HTML = "text/html; charset=utf-8"


class Page(NamedTuple):
    """An answer; `to` is where a redirect leads."""

    body: str = ""
    status: int = 200
    to: str = ""
    content_type: str = HTML
    headers: Mapping[str, str] = {}


Answers = Mapping[str, "Page | str | Callable[[str, int], Page]"]
"""By path: a page, its text, or what is given the method and how often the path was asked for before."""


class Site:
    """`asked` are the requests as "METHOD /path"."""

    def __init__(self, port: int, scheme: str = "http") -> None:
        self.port = port
        self.scheme = scheme
        self.asked: list[str] = []
        self.lock = threading.Lock()

    def url(self, path: str = "/") -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}{path}"

    def other(self, path: str = "/") -> str:
        """The same, as another host."""
        return f"{self.scheme}://localhost:{self.port}{path}"


@contextmanager
def serving(answers: Answers, tls: ssl.SSLContext | None = None) -> Iterator[Site]:
    """Serve these, by https where there is `tls`; `{other}` in a page is the origin of the other host, `{here}` that of this one."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            with site.lock:
                before = sum(asked.endswith(f" {self.path}") for asked in site.asked)
                site.asked.append(f"{self.command} {self.path}")
            page = answers.get(self.path, Page("gone", 404))
            if callable(page):
                page = page(self.command, before)
            if isinstance(page, str):
                page = Page(page)
            body = self._filled(page.body).encode()
            self.send_response(page.status)
            self.send_header("Content-Type", page.content_type)
            self.send_header("Content-Length", str(len(body)))
            if page.to:
                self.send_header("Location", self._filled(page.to))
            for name, value in page.headers.items():
                self.send_header(name, self._filled(value))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_GET

        @staticmethod
        def _filled(text: str) -> str:
            return text.replace("{other}", site.other("")).replace("{here}", site.url(""))

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site = Site(server.server_port, "http" if tls is None else "https")
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Checked(NamedTuple):
    """What `crawler check` came to."""

    code: int
    findings: dict[tuple[str, str | None], dict[str, Any]]
    summary: dict[str, Any]

    def said(self, site: Site) -> dict[str, str]:
        """Each finding's code by its URL, as short as can be."""
        return {
            url.replace(site.url(""), "").replace(site.other(""), "other:"): code or "" for url, code in self.findings
        }


def check(folder: Path, *arguments: str) -> Checked:
    """Run `crawler check`, with no delay, for links to this machine, too."""
    out = folder / "found.json"
    quick = ("--delay", "0", "--no-robots", "--allow-private", "--retries", "0", "-q")
    code = main(["check", *quick, *arguments, "-O", str(out)])
    found = json.loads(out.read_text())
    known = {*CODES, *LINK_CODES, *WARNINGS}
    assert {finding["code"] for finding in found["findings"] if not finding["code"].startswith("http_")} <= known
    findings = {(finding["url"], finding["code"]): finding for finding in found["findings"]}
    return Checked(code, findings, found["summary"])
