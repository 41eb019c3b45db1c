"""Many hosts of a loopback web, each an address of its own (127.1.0.1, 127.1.0.2, ...) on one port, with one log.

`python tests/wide_server.py HOSTS [SLOW [SECONDS [PAGES [LINKED [NET]]]]]` prints its port and serves until its standard input ends;
then it prints its log as JSON: for each request the time, the host's number, the target, and how many requests and how
many connections this host had at that moment. The first SLOW hosts answer after so many SECONDS. With PAGES each host
has so many (see `deep_page`), and closes connections after so many SECONDS without a request; LINKED (1) is as if they
were one site: half of the links, and all redirects, lead to the next host. NET is the first number of the addresses.
Linux only: elsewhere just 127.0.0.1 is there.
"""

from __future__ import annotations

import asyncio
import json
import resource
import socket
import struct
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from subprocess import PIPE, Popen
from typing import NamedTuple

PAGES = ("/", "/1.html", "/2.html")  # of each host
START = b'<!doctype html><a href="1.html">1</a><a href="2.html">2</a>'


class Hit(NamedTuple):
    """One request, when it arrived: with it, so many requests of its host were unanswered, connections open."""

    time: float
    host: int
    target: str
    requests: int
    connections: int


DENIED = b"User-agent: *\nDisallow: /private/\n"
ELSEWHERE = "http://elsewhere.example"


def deep_page(host: int, number: int, pages: int) -> bytes:
    """A page of a host with many: a tree from page 0 on, with two links each that a crawl must not follow."""
    below = (child for child in (2 * number + 1, 2 * number + 2) if child < pages)
    links = [
        *(f"/{child}.html" for child in below),
        "/",
        f"/private/{number}.html",
        f"{ELSEWHERE}/{host}/{number}.html",
    ]
    return b"<!doctype html>" + "".join(f"<a href={link}>{number}</a>" for link in links).encode()


def linked_page(number: int, pages: int, beside: str) -> bytes:
    """A page of a host whose tree grows over all hosts: of each two links one leads to `beside`, the next host."""
    below = ((child, "" if child % 2 else beside) for child in (2 * number + 1, 2 * number + 2) if child < pages)
    links = [*(f"{base}/{child}.html" for child, base in below), "/", f"{beside}/", f"/private/{number}.html"]
    return b"<!doctype html>" + "".join(f"<a href={link}>{number}</a>" for link in links).encode()


def address(host: int, net: int = 127) -> str:
    return f"{net}.{1 + (host >> 16)}.{host >> 8 & 255}.{host & 255}"


class Web:
    def __init__(self, hosts: int, slow: int, seconds: float, pages: int, *, linked: bool, net: int) -> None:
        self.hosts = hosts
        self.slow = slow
        self.seconds = seconds
        self.pages = pages
        self.linked = linked
        self.net = net
        self.port = 0
        self.failed: set[tuple[int, str]] = set()
        self.log: list[Hit] = []
        self.requests: dict[int, int] = {}
        self.connections: dict[int, int] = {}

    def page(self, host: int, target: str) -> tuple[str, bytes]:
        """Status line and body. Where there are many pages some fail the first time, and some have moved."""
        if not self.pages:
            return ("200 OK", START) if target in PAGES else ("404 Not Found", b"")
        if target == "/robots.txt":
            return "200 OK", DENIED
        name = target.removeprefix("/moved").strip("/").removesuffix(".html") or "0"
        if not name.isdecimal() or int(name) >= self.pages:
            return "404 Not Found", b""
        if name.endswith("3") and (host, name) not in self.failed:
            self.failed.add((host, name))
            return "500 Wait", b""
        beside = f"http://{address((host + 1) % self.hosts, self.net)}:{self.port}" if self.linked else ""
        if name.endswith("7") and not target.startswith("/moved"):
            return f"302 Found\r\nLocation: {beside}/moved{target}", b""
        if self.linked:
            return "200 OK", linked_page(int(name), self.pages, beside)
        return "200 OK", deep_page(host, int(name), self.pages)


class Client(asyncio.Protocol):
    def __init__(self, web: Web, host: int) -> None:
        self.web = web
        self.host = host
        self.idle: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.web.connections[self.host] = self.web.connections.get(self.host, 0) + 1

    def waited(self) -> float:
        """For how many seconds what has come lay in the kernel (in its ticks, mostly of 4 ms): this machine is busy."""
        information = self.transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        last_data_recv: int = struct.unpack_from("I", information, 52)[0]  # struct tcp_info of linux/tcp.h
        return last_data_recv / 1000

    def connection_lost(self, exc: Exception | None) -> None:
        self.web.connections[self.host] -= 1

    def data_received(self, data: bytes) -> None:
        now = time.monotonic() - self.waited()
        assert data.endswith(b"\r\n\r\n"), "a request is small enough to come in one piece"
        if self.idle is not None:
            self.idle.cancel()
        web, host = self.web, self.host
        target = data.split(b" ", 2)[1].decode()
        web.requests[host] = web.requests.get(host, 0) + 1
        web.log.append(Hit(now, host, target, web.requests[host], web.connections[host]))
        if host < web.slow:
            asyncio.get_running_loop().call_later(web.seconds, self.answer, target)
        else:
            self.answer(target)

    def answer(self, target: str) -> None:
        self.web.requests[self.host] -= 1
        status, body = self.web.page(self.host, target)
        head = f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n\r\n"
        self.transport.write(head.encode() + body)
        if self.web.pages:
            self.idle = asyncio.get_running_loop().call_later(self.web.seconds, self.transport.close)


async def serve(web: Web) -> None:
    loop = asyncio.get_running_loop()
    for host, listening in enumerate(listeners(web.hosts, web.net)):
        await loop.create_server(lambda host=host: Client(web, host), sock=listening, backlog=16)
        if host == 0:
            web.port = listening.getsockname()[1]
    print(web.port, flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


def listeners(hosts: int, net: int = 127) -> Iterator[socket.socket]:
    """A socket for each host, all on the port that the system chose for the first."""
    port = 0
    for host in range(hosts):
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address(host, net), port))
        port = listening.getsockname()[1]
        yield listening


class Wide:
    """The server in a process of its own, as tests and benches have it. `log` is there after `stop`."""

    def __init__(self, process: Popen[str], hosts: int, net: int = 127) -> None:
        assert process.stdout is not None
        self.process = process
        port = process.stdout.readline().strip()
        self.urls = [f"http://{address(host, net)}:{port}/" for host in range(hosts)]

    def stop(self) -> list[Hit]:
        log, _ = self.process.communicate()
        return [Hit(*hit) for hit in json.loads(log)]


@contextmanager
def wide_server(
    hosts: int, slow: int = 0, seconds: float = 0.0, pages: int = 0, *, linked: bool = False, net: int = 127
) -> Iterator[Wide]:
    numbers = (hosts, slow, seconds, pages, int(linked), net)
    with Popen([sys.executable, __file__, *map(str, numbers)], stdin=PIPE, stdout=PIPE, text=True) as process:
        try:
            yield Wide(process, hosts, net)
        finally:
            process.kill()


def by_host(log: Sequence[Hit]) -> dict[int, list[Hit]]:
    """The requests of each host, in the order in which they came."""
    hosts: dict[int, list[Hit]] = {}
    for hit in sorted(log):
        hosts.setdefault(hit.host, []).append(hit)
    return hosts


def distances(log: Sequence[Hit]) -> list[float]:
    """Seconds between two requests of one host, the shortest first."""
    return sorted(later.time - sooner.time for hits in by_host(log).values() for sooner, later in pairwise(hits))


if __name__ == "__main__":
    hosts, slow, seconds, pages, linked, net = [*sys.argv[1:], *["0", "0", "0", "0", "127"][len(sys.argv) - 2 :]]
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits, limits))
    web = Web(int(hosts), int(slow), float(seconds), int(pages), linked=linked == "1", net=int(net))
    asyncio.run(serve(web))
    print(json.dumps(web.log))
