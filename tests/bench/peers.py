"""The same work with other programs: fetch a list of URLs or crawl a site, 32 at once, write one line of JSON each.

Usage: peers.py NAME URLS OUTPUT, or peers.py scrapy START OUTPUT
"""

from __future__ import annotations

import importlib.util
import re
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


def with_scrapy(start: str, output: Path) -> None:
    """Scrapy with its LinkExtractor; a line for each page with its title."""
    import scrapy
    from scrapy.crawler import CrawlerProcess
    from scrapy.linkextractors import LinkExtractor

    class Pages(scrapy.Spider):  # type: ignore[misc]
        name = "pages"
        start_urls = (start,)
        extractor = LinkExtractor(allow=["^" + re.escape(start[: start.index("/", 8) + 1])])

        def parse(self, response: Any) -> Any:
            is_html = isinstance(response, scrapy.http.HtmlResponse)
            title = response.css("title::text").get() if is_html else None
            yield {"url": response.url, "status": response.status, "size": len(response.body), "title": title}
            for link in self.extractor.extract_links(response) if is_html else ():
                yield scrapy.Request(link.url, callback=self.parse)

    settings = {
        "LOG_LEVEL": "ERROR", "CONCURRENT_REQUESTS": AT_ONCE, "CONCURRENT_REQUESTS_PER_DOMAIN": AT_ONCE,
        "DOWNLOAD_DELAY": 0, "ROBOTSTXT_OBEY": False, "TELNETCONSOLE_ENABLED": False,
        "FEEDS": {str(output): {"format": "jsonlines", "overwrite": True}},
    }  # fmt: skip
    process = CrawlerProcess(settings=settings)
    process.crawl(Pages)
    process.start()


CRAWLERS: dict[str, Callable[[str, Path], None]] = {"scrapy": with_scrapy}
PEERS: dict[str, Callable[[Path, Path], None]] = {"aiohttp": with_aiohttp, "treq": with_treq}


def missing(name: str) -> str:
    """What a peer needs and this machine lacks; empty when it can run."""
    needs = {"aiohttp": ("aiohttp", "orjson", "uvloop"), "treq": ("treq",), "curl": (), "scrapy": ("scrapy",)}[name]
    lacks = [module for module in needs if importlib.util.find_spec(module) is None]
    if name == "curl" and shutil.which("curl") is None:
        lacks.append("curl")
    return ", ".join(lacks)


if __name__ == "__main__":
    if sys.argv[1] in CRAWLERS:
        CRAWLERS[sys.argv[1]](sys.argv[2], Path(sys.argv[3]))
    else:
        PEERS[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
