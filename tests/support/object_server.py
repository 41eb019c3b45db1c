"""A real S3 server as a process of its own (moto's), and a proxy before it that does to requests what networks do."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from uuid import uuid4

import pytest

KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
SLOW_DOWN = (
    b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
)
DENIED = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>No.</Message></Error>"
FULL = b"<?xml version='1.0'?><Error><Code>XMinioStorageFull</Code><Message>No space.</Message></Error>"

Fault = str | None
"""What happens to a request: "503", "507", "denied", "cut" (never seen), "lost" (done, but not answered), "slow", or nothing."""


_AUTHORIZATION = {"Authorization": f"AWS4-HMAC-SHA256 Credential={KEY}/20260101/us-east-1/s3/aws4_request"}


class ObjectServer:
    """Where the server is, `url`; `faults` says of each request (method, path with query) what becomes of it.

    `seen` are the requests that came. A bucket is made by `bucket`.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self.seen: list[tuple[str, str]] = []
        self.faults: Callable[[str, str], Fault] = lambda method, path: None
        self.lock = Lock()
        self.url = ""

    def bucket(self) -> str:
        name = f"bucket-{uuid4().hex[:12]}"
        assert self.ask("PUT", f"/{name}")[0] == 200
        return name

    def content_type(self, bucket: str, key: str) -> str | None:
        """What the server says an object is."""
        with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)) as connection:
            connection.request("HEAD", f"/{bucket}/{key}", headers=_AUTHORIZATION)
            return connection.getresponse().getheader("Content-Type")

    def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)) as connection:
            connection.request(method, path, body, _AUTHORIZATION)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def get(self, bucket: str, key: str) -> bytes | None:
        """The bytes of an object, or None."""
        status, body = self.ask("GET", f"/{bucket}/{key}")
        assert status in {200, 404}, status
        return body if status == 200 else None

    def keys(self, bucket: str) -> list[str]:
        return [part.partition(b"</Key>")[0].decode() for part in self.ask("GET", f"/{bucket}")[1].split(b"<Key>")[1:]]

    def unfinished(self, bucket: str) -> int:
        """How many uploads were begun, and neither completed nor aborted."""
        return self.ask("GET", f"/{bucket}?uploads")[1].count(b"<UploadId>")


def once(fault: str, method: str, mark: str = "", times: int = 1) -> Callable[[str, str], Fault]:
    """The fault that happens to the first such requests, whose path holds the mark."""
    left = [fault] * times

    def happens(asked: str, path: str) -> Fault:
        return left.pop() if asked == method and mark in path and left else None

    return happens


@contextmanager
def object_server() -> Iterator[ObjectServer]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    server = ObjectServer(port)
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), _proxy_of(server, port))
    proxy.daemon_threads = True
    thread = Thread(target=proxy.serve_forever, daemon=True)
    thread.start()
    server.url = f"http://127.0.0.1:{proxy.server_port}"
    try:
        _wait(process, port)
        yield server
    finally:
        proxy.shutdown()
        thread.join()
        proxy.server_close()
        process.kill()
        process.wait()


def told(server: ObjectServer) -> dict[str, str]:
    """What the environment says of the server."""
    return {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ALLOW_HTTP": "true",
    }


def set_environment(monkeypatch: pytest.MonkeyPatch, server: ObjectServer) -> None:
    for name in os.environ:
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    for name, value in told(server).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)


def _wait(process: subprocess.Popen, port: int) -> None:
    until = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("moto's server did not start")


def _proxy_of(server: ObjectServer, port: int) -> type[BaseHTTPRequestHandler]:
    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle(self) -> None:
            with suppress(ConnectionError):  # who asked was killed
                super().handle()

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with server.lock:
                server.seen.append((self.command, self.path))
            fault = server.faults(self.command, self.path)
            if fault == "cut":
                self._cut()
                return
            if fault in {"503", "507", "denied"}:
                answers = {"503": (503, SLOW_DOWN), "507": (507, FULL), "denied": (403, DENIED)}
                status, content = answers[fault]
                self._answer(status, [], content)
                return
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as upstream:
                upstream.request(self.command, self.path, body, dict(self.headers))
                answer = upstream.getresponse()
                content = answer.read()
            if fault == "lost":
                self._cut()
                return
            if fault == "slow":
                time.sleep(1)
            self._answer(answer.status, answer.getheaders(), content)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _serve

        def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
            self.send_response_only(status)
            length = str(len(content))
            for name, value in headers:
                if name.lower() == "content-length":
                    length = value  # that of a HEAD tells of a body that is not there
                elif name.lower() not in {"connection", "transfer-encoding"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", length)
            self.end_headers()
            self.wfile.write(content)

        def _cut(self) -> None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

        def log_message(self, *args: object) -> None: ...

    return Proxy
