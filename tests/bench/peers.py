"""The same work with other clients: fetch a list of URLs, 32 at once, write one line of JSON each.

Usage: peers.py NAME URLS OUTPUT
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

AT_ONCE = 32


def with_aiohttp(source: Path, output: Path) -> None:
    """aiohttp on uvloop, 32 workers over one iterator."""
    import asyncio

    import aiohttp
    import orjson
    import uvloop

    async def worker(session: Any, lines: Any, out: Any) -> None:
        for line in lines:
            url = line.strip()
            start = time.time()
            async with session.get(url) as response:
                body = await response.read()
                headers = list(response.headers.items())
                status = response.status
            record = {"url": url, "status": status, "size": len(body), "headers": headers, "time": time.time() - start}
            out.write(orjson.dumps(record) + b"\n")

    async def main() -> None:
        connector = aiohttp.TCPConnector(limit=AT_ONCE)
        with source.open() as lines, output.open("wb") as out:
            async with aiohttp.ClientSession(connector=connector) as session:
                await asyncio.gather(*(worker(session, lines, out) for _ in range(AT_ONCE)))

    uvloop.run(main())


def with_treq(source: Path, output: Path) -> None:
    """treq as it comes: Twisted's Agent, a DeferredSemaphore, a DeferredList."""
    import treq
    from treq.client import HTTPClient
    from twisted.internet import defer, reactor, task
    from twisted.web.client import Agent, HTTPConnectionPool

    pool = HTTPConnectionPool(reactor)
    pool.maxPersistentPerHost = AT_ONCE
    client = HTTPClient(Agent(reactor, pool=pool))
    semaphore = defer.DeferredSemaphore(AT_ONCE)

    @defer.inlineCallbacks
    def fetch(url: str, out: Any) -> Any:
        start = time.time()
        response = yield client.get(url)
        body = yield treq.content(response)
        headers = [
            (name.decode(), value.decode()) for name, values in response.headers.getAllRawHeaders() for value in values
        ]
        record = {
            "url": url,
            "status": response.code,
            "size": len(body),
            "headers": headers,
            "time": time.time() - start,
        }
        out.write(msgspec.json.encode(record) + b"\n")

    @defer.inlineCallbacks
    def main(_: Any) -> Any:
        with source.open() as lines, output.open("wb") as out:
            yield defer.DeferredList([semaphore.run(fetch, line.strip(), out) for line in lines], fireOnOneErrback=True)
        yield pool.closeCachedConnections()

    task.react(main)


PEERS: dict[str, Callable[[Path, Path], None]] = {"aiohttp": with_aiohttp, "treq": with_treq}


def missing(name: str) -> str:
    """What a peer needs and this machine lacks; empty when it can run."""
    needs = {"aiohttp": ("aiohttp", "orjson", "uvloop"), "treq": ("treq",), "curl": ()}[name]
    lacks = [module for module in needs if importlib.util.find_spec(module) is None]
    if name == "curl" and shutil.which("curl") is None:
        lacks.append("curl")
    return ", ".join(lacks)


if __name__ == "__main__":
    PEERS[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
