"""For whole runs on loopback: a server that answers when it is let, and what a process has open."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Gate(ThreadingHTTPServer):
    """A server that answers /held only when `open` is set; `arrived` tells that somebody asked."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _GateHandler)
        self.open, self.arrived = threading.Event(), threading.Event()
        self.asked: list[str] = []

    def url(self, path: str = "/held") -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"


class _GateHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Gate

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        if self.path.startswith("/held"):
            self.server.arrived.set()
            self.server.open.wait(20)
        try:
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")
        except OSError:
            self.close_connection = True  # the client has given up

    def log_message(self, *_: object) -> None:
        """Silence."""


@contextmanager
def opened_gate() -> Iterator[Gate]:
    gate = Gate()
    serving = threading.Thread(target=gate.serve_forever, kwargs={"poll_interval": 0.01})
    serving.start()
    try:
        yield gate
    finally:
        gate.open.set()
        gate.shutdown()
        serving.join()
        gate.server_close()


def ours() -> tuple[int, int]:
    """The descriptors and threads of this process, but for the two ends of what the loopback servers hold open."""
    return len(list(Path("/dev/fd").iterdir())), threading.active_count()


def eventually(true: Callable[[], object], seconds: float = 5.0) -> bool:
    """Whether something becomes true: other threads may still be closing what they had."""
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.002)
    return bool(true())
