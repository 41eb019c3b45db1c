"""A real redis-server as a process of its own, in a folder of its own: tests kill it, start it again and look into it.

    with redis_server(tmp_path) as server:
        store = RedisStore(server.url, "crawl")
        server.kill(); server.start()

REDIS_SERVER names another command, such as that of a newer Valkey. `shared_server()` is one for all tests that only need
it to be there; each takes a crawl of another name.
"""

from __future__ import annotations

import atexit
import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

import redis
from needs import SERVERS, missing

WAIT = 10.0  # seconds, for a server to begin or to end
_names = count(1)


class RedisServer:
    """Listens at a socket in the folder, and at a port of the loopback if one is given. Appends to a file, as it should."""

    def __init__(self, folder: Path, *settings: str, port: int = 0) -> None:
        command = os.environ.get("REDIS_SERVER") or shutil.which("redis-server") or shutil.which("valkey-server")
        if command is None:
            missing("redis-server is not installed", SERVERS)
        self.folder, self.port = folder, port
        self.socket = folder / "redis.sock"
        self.url = f"unix://{self.socket}"
        network = ["--port", str(port), "--bind", "127.0.0.1", "--unixsocket", str(self.socket)]
        files = ["--dir", str(folder), "--save", "", "--appendonly", "yes", "--logfile", str(folder / "redis.log")]
        self._command = [command, *network, *files, *settings]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + WAIT
        while True:
            try:
                self.client().ping()
            except redis.RedisError:
                assert time.monotonic() < until, (self.folder / "redis.log").read_text()
                assert self._process.poll() is None, (self.folder / "redis.log").read_text()
                time.sleep(0.005)
            else:
                return

    def client(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.socket), protocol=2)

    def kill(self) -> None:
        """As kill -9 does it: nothing is written any more."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(WAIT)

    def log(self) -> dict[Path, bytes]:
        """What is in its log now: for `forget_since`. What is done is not always written when it is answered."""
        until = time.monotonic() + WAIT
        client = self.client()
        while client.info("persistence")["aof_buffer_length"] and time.monotonic() < until:
            time.sleep(0.005)
        return {path: path.read_bytes() for path in (self.folder / "appendonlydir").iterdir()}

    def forget_since(self, log: dict[Path, bytes]) -> None:
        """Come back as a server that lost what it did since: as a power cut does it, with a log that is written each second."""
        self.kill()
        for path in (self.folder / "appendonlydir").iterdir():
            path.unlink()
        for path, content in log.items():
            path.write_bytes(content)
        self.start()


@contextmanager
def redis_server(folder: Path, *settings: str, port: int = 0) -> Iterator[RedisServer]:
    """The path of a socket is short: `folder` is made anew where it would be too long."""
    own = None
    if len(str(folder)) > 60:
        own = folder = Path(mkdtemp(prefix="redis-"))
    server = RedisServer(folder, *settings, port=port)
    server.start()
    try:
        yield server
    finally:
        server.kill()
        if own is not None:
            shutil.rmtree(own)


@cache
def shared_server() -> RedisServer:
    """One for all tests of this process, ended with it."""
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(redis_server(Path("/" + "x" * 80)))


@cache
def shared_cluster() -> list[RedisServer]:
    """The same with three servers."""
    stack = ExitStack()
    atexit.register(stack.close)
    folder = Path(stack.enter_context(TemporaryDirectory(prefix="redis-")))
    return stack.enter_context(redis_cluster(folder))


def another_crawl() -> str:
    """A name that no other test has there."""
    return f"crawl-{next(_names)}"


def free_ports(many: int) -> list[int]:
    """Ports that nobody listens at, and with 10,000 more neither (the bus of a cluster). Others look for some, too."""
    found: list[int] = []
    with ExitStack() as held:
        while len(found) < many:
            port = random.randrange(11_000, 22_000)  # below those that systems give to who connects
            with suppress(OSError):
                for each in (port, port + 10_000):
                    held.enter_context(socket.create_server(("127.0.0.1", each)))
                found.append(port)
    return found


@contextmanager
def redis_cluster(folder: Path, *settings: str) -> Iterator[list[RedisServer]]:
    """Three servers that share the keys, and answer for all that are not theirs where these are."""
    ports = free_ports(3)
    with ExitStack() as stack:
        servers = []
        for number, port in enumerate(ports):
            own = folder / str(number)
            own.mkdir()
            servers.append(
                stack.enter_context(
                    redis_server(
                        own, "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", *settings, port=port
                    )
                )
            )
        bounds = [0, 5_461, 10_923, 16_384]
        for number, server in enumerate(servers):
            client = server.client()
            client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
            client.execute_command("CLUSTER ADDSLOTSRANGE", bounds[number], bounds[number + 1] - 1)
            for port in ports[:number]:
                client.execute_command("CLUSTER MEET", "127.0.0.1", port)
        until = time.monotonic() + WAIT
        while not all(
            state["cluster_state"] == "ok" and int(state["cluster_known_nodes"]) == 3
            for state in (server.client().execute_command("CLUSTER INFO") for server in servers)
        ):
            assert time.monotonic() < until, [server.client().execute_command("CLUSTER INFO") for server in servers]
            time.sleep(0.01)
        yield servers
