"""A server that notes who asks for what, and answers as the test says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = tuple[int, dict[str, str]] | tuple[int, dict[str, str], bytes]
"""Status and headers, and a body if there is one."""


class Asked:
    """A server that notes (path, Authorization) of each request, bodies, cookies and heads.

    What it answers is up to the test.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.requests: list[tuple[str, str | None]] = []
        self.bodies: list[bytes] = []
        self.cookies: list[str | None] = []
        self.heads: list[Message] = []
        self.asker = threading.local()  # its `port` is that from which the request came that is being answered

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"


@contextmanager
def asked(answer: Callable[[str, str | None, int], Answer]) -> Iterator[Asked]:
    """`answer` gets path, Authorization, and how many requests came before."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            login = self.headers.get("Authorization")
            server.heads.append(self.headers)
            server.asker.port = self.client_address[1]
            status, headers, *bodies = answer(self.path, login, len(server.requests))
            body = b"".join(bodies)
            server.requests.append((self.path, login))
            server.cookies.append(self.headers.get("Cookie"))
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_DELETE = do_GET

        def do_POST(self) -> None:
            server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.do_GET()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        listening.daemon_threads = True
        server = Asked(listening.server_address[1])
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            listening.shutdown()
            thread.join()
