"""What bench_load fetches from: slow, faulty and endless answers, on one port of all of 127.0.0.0/8.

`python load_server.py` prints its port and serves until its standard input ends; then it prints, as JSON, how many
connections there were at most at once, and how many requests. What can be asked for stands in `ROUTES`.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import resource
import socket
import struct
import sys
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

GIB = 1 << 30
PIECE = b"\0" * (1 << 16)
HTML = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
PAGE = b"<!doctype html><title>A page</title><p>It has a few words, and <a href='/p/0'>a link</a>.</p>" * 4
CODINGS = ("gzip", "deflate", "br", "zstd", "nested")
LINKS = 1_000_000


class Load:
    def __init__(self) -> None:
        self.open = 0
        self.most = 0
        self.requests = 0


class Client(asyncio.Protocol):
    """One connection; requests are small enough to come whole."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.endless = b""
        self.left = 0
        self.timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.load.open += 1
        self.load.most = max(self.load.most, self.load.open)

    def connection_lost(self, exc: Exception | None) -> None:
        self.load.open -= 1
        self.left = 0
        if self.timer is not None:
            self.timer.cancel()

    def data_received(self, data: bytes) -> None:
        self.load.requests += 1
        path = data.split(b" ", 2)[1].decode()
        _, name, *rest = path.split("/")
        ROUTES[name](self, *rest)

    def answer(self, body: bytes, *headers: str, status: str = "200 OK") -> None:
        lines = [f"HTTP/1.1 {status}", "Content-Type: text/html", *headers, f"Content-Length: {len(body)}", "", ""]
        self.raw("\r\n".join(lines).encode() + body)

    def raw(self, data: bytes, *, close: bool = False) -> None:
        if not self.transport.is_closing():
            self.transport.write(data)
            if close:
                self.transport.close()

    def reset(self) -> None:
        """RST: what SO_LINGER with no time makes of a close."""
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def flood(self, piece: bytes, left: int) -> None:
        """Send `piece` again and again, as fast as the client reads, until so many bytes are sent."""
        self.endless, self.left = piece, left
        self.resume_writing()

    def pause_writing(self) -> None:
        self.full = True

    def resume_writing(self) -> None:
        self.full = False
        if self.left > 0 and not self.transport.is_closing():
            # A turn of the loop for each piece: others want to be served, too.
            self.transport.write(self.endless)
            self.left -= len(self.endless)
            asyncio.get_running_loop().call_soon(lambda: self.full or self.resume_writing())


def page(client: Client, _number: str = "0") -> None:
    client.answer(PAGE)


def slow(client: Client, seconds: str, _number: str = "0") -> None:
    client.timer = asyncio.get_running_loop().call_later(float(seconds), client.answer, PAGE)


def faulty(client: Client, text: str) -> None:
    """One page in ten is a fault, each time the next one of FAULTS."""
    number = int(text)
    if number % 10 != 3:
        client.answer(PAGE)
        return
    FAULTS[number // 10 % len(FAULTS)][1](client, text)


def mixed(client: Client, stream: str, text: str) -> None:
    """An endless site: each page leads to the next two and to old ones, and one in ten is a fault."""
    number = int(text)
    if number % 10 == 3:
        FAULTS[number // 10 % len(FAULTS)][1](client, text)
        return
    links = [number + 1, number + 2, *range(max(0, number - 8), number)]
    body = PAGE + "".join(f"<a href='/mix/{stream}/{link}'>" for link in links).encode()
    if number % 4 == 0:
        client.answer(gzip.compress(body, 1), "Content-Encoding: gzip")
    elif number % 50 == 7:
        client.timer = asyncio.get_running_loop().call_later(1.0, client.answer, body)
    elif number % 50 == 9:
        client.answer(body + PIECE * 8)
    else:
        client.answer(body)


def big(client: Client) -> None:
    """A body of a GiB that says so."""
    client.raw(f"{HTML}Content-Length: {GIB}\r\n\r\n".encode())
    client.flood(PIECE, GIB)


def endless_body(client: Client) -> None:
    client.raw(f"{HTML}\r\n".encode())
    client.flood(PIECE, GIB)


def endless_headers(client: Client) -> None:
    client.raw(b"HTTP/1.1 200 OK\r\n")
    client.flood(b"X-Header: and so on\r\n" * 500, GIB)


def endless_header(client: Client) -> None:
    client.raw(b"HTTP/1.1 200 OK\r\nX-Header: ")
    client.flood(b"a" * 4096, GIB)


def bomb(client: Client, coding: str) -> None:
    codings = "gzip, gzip" if coding == "nested" else coding
    client.answer(_bomb(coding), f"Content-Encoding: {codings}")


def links(client: Client) -> None:
    client.answer(_links())


@cache
def _bomb(coding: str) -> bytes:
    zeros = bytes(16 << 20)
    if coding == "gzip":
        return gzip.compress(zeros) * 64
    if coding == "deflate":
        packer = zlib.compressobj()
        return b"".join(packer.compress(zeros) for _ in range(16)) + packer.flush()
    if coding == "br":
        import brotli

        return bytes(brotli.compress(zeros * 16, quality=1))
    if coding == "zstd":
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
        return bytes(zstd.compress(zeros) * 64)
    return gzip.compress(gzip.compress(zeros) * 64)


@cache
def _links() -> bytes:
    return b"".join(b'<a href="/p/%d">' % number for number in range(LINKS))


def _redirect(client: Client, text: str) -> None:
    client.answer(b"", f"Location: /loop/{text}", status="302 Found")


# What the record's error is to be (or the status), and what is done.
FAULTS: tuple[tuple[str | int, Callable[[Client, str], Any]], ...] = (
    ("empty_reply", lambda client, _: client.transport.close()),
    ("conn_reset", lambda client, _: client.reset()),
    ("body_truncated", lambda client, _: client.raw(f"{HTML}Content-Length: 500\r\n\r\nhello".encode(), close=True)),
    (500, lambda client, _: client.answer(b"", status="500 Oops")),
    ("decode_error", lambda client, _: client.answer(b"no gzip at all", "Content-Encoding: gzip")),
    ("http_not_http", lambda client, _: client.raw(b"220 mail.example ESMTP\r\n", close=True)),
    ("redirect_loop", _redirect),
    ("body_too_large", lambda client, _: client.raw(f"{HTML}Content-Length: {GIB}\r\n\r\n".encode())),
    ("http_bad_chunk", lambda client, _: client.raw(f"{HTML}Transfer-Encoding: chunked\r\n\r\nhello".encode())),
    (404, lambda client, _: client.answer(b"", status="404 Not Found")),
)
ROUTES: dict[str, Callable[..., None]] = {
    "p": page,
    "slow": slow,
    "f": faulty,
    "loop": _redirect,
    "mix": mixed,
    "big": big,
    "endless-body": endless_body,
    "endless-headers": endless_headers,
    "endless-header": endless_header,
    "bomb": bomb,
    "links": links,
    "robots.txt": lambda client: client.answer(b"", status="404 Not Found"),
}


async def serve(load: Load) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Client(load), "0.0.0.0", 0, backlog=8192)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    load = Load()
    asyncio.run(serve(load))
    print(json.dumps({"connections": load.most, "requests": load.requests}))
