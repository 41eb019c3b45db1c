"""A made site with all the ways to refer to something, on two hosts; what it is asked for is noted."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

NOT_MODIFIED = 304
HTML = "text/html; charset=utf-8"
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360f8cfc0f01f00050101ff"
    "a57d3a1e0000000049454e44ae426082"
)
"""A picture of one pixel."""


class Page(NamedTuple):
    content_type: str
    body: bytes
    status: int = 200
    location: str = ""


class Site(NamedTuple):
    """`url` is of the host that is copied, `other` of another one."""

    port: int
    asked: list[str]
    more: threading.Condition

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def other(self, path: str) -> str:
        return f"http://localhost:{self.port}{path}"

    def wait_for(self, asked: int) -> None:
        """Until so many requests have come."""
        with self.more:
            assert self.more.wait_for(lambda: len(self.asked) >= asked, 20.0)


@contextmanager
def serving(pages: Mapping[str, Page | str | bytes], *, etags: bool = False) -> Iterator[Site]:
    """Serve these by their target; a text is an HTML page. `{other}` in a page is the origin of the other host.

    With `etags` a page has one, and is not sent again to who knows it.
    """
    asked: list[str] = []
    more = threading.Condition()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            with more:
                asked.append(self.path)
                more.notify_all()
            found = pages.get(self.path, Page("text/plain", b"nothing is here", 404))
            page = Page(HTML, found.encode()) if isinstance(found, str) else found
            page = Page("image/png", page) if isinstance(page, bytes) else page
            body = page.body.replace(b"{other}", f"http://localhost:{server.server_port}".encode())
            etag = f'"{zlib.crc32(body)}"'
            if etags and self.headers.get("If-None-Match") == etag:
                page, body = page._replace(status=NOT_MODIFIED), b""
            self.send_response(page.status)
            if etags:
                self.send_header("ETag", etag)
            if page.content_type:
                self.send_header("Content-Type", page.content_type)
            if page.location:
                self.send_header("Location", page.location)
            if page.status != NOT_MODIFIED:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Silence: `asked` has it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield Site(server.server_port, asked, more)
    finally:
        server.shutdown()
        server.server_close()
