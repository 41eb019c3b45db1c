"""Servers that others have written, for tests against the real thing: httpbin, nginx, and whatever else is a command.

Each runs on free ports of the loopback, and is ended by its process. httpbin is there once for all tests (the fixture
`httpbin`); nginx takes 50 ms, and is started with what a test wants of it:

    with nginx(tmp_path, "location / { root www; }") as server:
        fetch(server.url("/a.txt")), fetch(server.secure("/a.txt"))  # the latter speaks HTTP/2 to who asks for it

What signs for all of them is `authority()`; `SSL_CERT_FILE` and `trusting` make a child and a test trust it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import NamedTuple

import trustme
from needs import SERVERS, missing

HOSTS = ("127.0.0.1", "localhost", "127.0.0.2", "www.example.com", "example.com")
"""What the certificate of all servers is for."""
WAIT = 10.0  # seconds, for a server to begin or to end

_SBIN = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
_PROBE = "/is-it-there"
_TINYPROXY = """Port {port}
Listen 127.0.0.1
Timeout 60
MaxClients 100
LogLevel Connect
LogFile "{folder}/tinyproxy.log"
"""
_NGINX = """{user}worker_processes 1; daemon off; pid nginx.pid; error_log error.log {level};
events {{ worker_connections 256; }}
http {{
  log_format all '$request_method $request_uri $server_protocol $status $request_length "$http_referer" "$http_host"';
  access_log access.log all; types {{ text/html html; text/plain txt; application/json json; }}
  client_max_body_size 0; client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4;
  scgi_temp_path t5;
  {before}
  server {{
    listen 127.0.0.1:{plain}; listen 127.0.0.1:{secure} ssl http2;
    ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.pem; root {folder}/www;
    {snippet}
  }}
}}
"""


class Authority(NamedTuple):
    """Who signs for the servers: the file that a client trusts, the one with a server's key and certificate."""

    ca: trustme.CA
    trusted: Path
    server: Path


@cache
def authority() -> Authority:
    """One for all, made when it is first wanted."""
    folder = Path(mkdtemp(prefix="crawler-test-ca-"))
    ca = trustme.CA()
    trusted, server = folder / "authority.pem", folder / "server.pem"
    ca.cert_pem.write_to_path(trusted)
    ca.issue_cert(*HOSTS).private_key_and_cert_chain_pem.write_to_path(server)
    return Authority(ca, trusted, server)


class Peer(NamedTuple):
    """A server: its ports without and with TLS, and the folder with what belongs to it."""

    port: int
    tls_port: int
    folder: Path

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def secure(self, path: str, host: str = "127.0.0.1") -> str:
        return f"https://{host}:{self.tls_port}{path}"

    def log(self, lines: int = 0) -> list[str]:
        """What nginx has answered, a line each: METHOD TARGET PROTOCOL STATUS BYTES "REFERER" "HOST".

        It writes a line after the answer: as many as are asked for are waited for.
        """
        end = time.monotonic() + WAIT
        while True:
            log = (self.folder / "access.log").read_text().splitlines()
            log = [line for line in log if _PROBE not in line]
            if len(log) >= lines or time.monotonic() > end:
                return log
            time.sleep(0.005)


def program(name: str, package: str | None = None) -> str:
    """The path of a command of this system."""
    path = shutil.which(name, path=_SBIN)
    if path is None:
        missing(f"there is no {name} here ({package or f'apt install {name}'})", SERVERS)
    return path


@contextmanager
def running_httpbin() -> Iterator[Peer]:
    if importlib.util.find_spec("httpbin") is None:
        missing("httpbin is not installed (pip install 'everyurl[test]')", SERVERS)
    server = authority().server
    command = [sys.executable, "-W", "ignore", Path(__file__).with_name("httpbin_server.py"), server]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, "httpbin did not start"
        yield Peer(*json.loads(line), server.parent)


@contextmanager
def nginx(folder: Path, snippet: str = "", *, before: str = "", level: str = "error") -> Iterator[Peer]:
    """nginx with `snippet` in its `server {}`, and `before` in front of that; files are below `folder`/www.

    With TLS it speaks HTTP/2, too. `level` is that of error.log. For `auth_basic_user_file` see `users`.
    """
    command = program("nginx")
    (folder / "www").mkdir(exist_ok=True)
    # The sockets listen before it starts, and are handed down: nobody can take the ports, and nothing is waited for.
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as plain,
        closing(socket.create_server(("127.0.0.1", 0))) as tls,
    ):
        ports = (plain.getsockname()[1], tls.getsockname()[1])
        shutil.copy(authority().server, folder / "server.pem")
        config = folder / "nginx.conf"
        user = "user root; " if hasattr(os, "geteuid") and os.geteuid() == 0 else ""
        config.write_text(
            _NGINX.format(
                user=user, level=level, before=before, plain=ports[0], secure=ports[1], folder=folder, snippet=snippet
            )
        )
        sockets = (plain.fileno(), tls.fileno())
        process = subprocess.Popen(
            [command, "-e", "error.log", "-p", folder, "-c", config],
            stderr=subprocess.PIPE,
            pass_fds=sockets,
            env={**os.environ, "NGINX": "".join(f"{number};" for number in sockets)},
            text=True,
        )
    with _ending(process):
        _wait_for(ports[0], process, speaks=True)
        yield Peer(*ports, folder)


def users(folder: Path, **passwords: str) -> Path:
    """A file for nginx's `auth_basic_user_file`."""
    path = folder / "users"
    path.write_text("".join(f"{name}:{{PLAIN}}{password}\n" for name, password in passwords.items()))
    return path


@contextmanager
def command_peer(command: Sequence[str | Path], port: int) -> Iterator[subprocess.Popen[str]]:
    """Run a server that listens on `port` of the loopback (see `free_port`): tinyproxy, microsocks, nghttpd ..."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    with _ending(process):
        _wait_for(port, process)
        yield process


@contextmanager
def tinyproxy(folder: Path, *lines: str) -> Iterator[int]:
    """tinyproxy on a free port, with more lines of its own (`BasicAuth ...`); tinyproxy.log has what it was asked for."""
    command, port = program("tinyproxy"), free_port()
    config = folder / f"tinyproxy-{port}.conf"
    config.write_text(_TINYPROXY.format(port=port, folder=folder) + "\n".join((*lines, "")))
    with command_peer([command, "-d", "-c", config], port):
        yield port


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port: int = bound.getsockname()[1]
        return port


@contextmanager
def _ending(process: subprocess.Popen[str]) -> Iterator[None]:
    with process:
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(WAIT)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_for(port: int, process: subprocess.Popen[str], *, speaks: bool = False) -> None:
    """Until something listens there, or `speaks` HTTP."""
    end = time.monotonic() + WAIT
    while process.poll() is None and time.monotonic() < end:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=WAIT) as connection:
                if speaks:
                    connection.sendall(f"GET {_PROBE} HTTP/1.0\r\n\r\n".encode())
                if not speaks or connection.recv(1):
                    return
        except OSError:
            time.sleep(0.01)
    process.kill()
    assert process.stderr is not None
    raise AssertionError(f"the server did not start: {process.stderr.read()}")
