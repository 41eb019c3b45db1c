"""`python -m tests.watchdog`: how long pages that were made to be slow keep the reactor. Exits with 1 if one is too long.

Each page is crawled alone, from a server in another thread, by a whole Crawler on its own reactor. The measure is the
CPU time of the reactor's thread between two calls of a timer that is due every millisecond: what the reactor computes
without looking at its sockets and timers in between. Not the time by the clock: that also counts what other processes
of the machine do, which is no fault of a page, and would make a busy machine fail. It counts a few short turns as one
long one when they fall between two calls, so it is never too small.
"""

from __future__ import annotations

import argparse
import gc
import gzip
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any, Final, NamedTuple

import brotli
from twisted.internet.defer import Deferred

from crawler.cli.doctor import PATIENCE
from crawler.config.config import Config
from crawler.models import Record
from crawler.page.page import Page as UserPage
from crawler.run.composition import Crawler
from crawler.run.reactors import private_reactor, run
from crawler.sinks.memory import ListSink
from crawler.site import FAULTS, running_site
from crawler.site import PAGES as SITE

LIMIT: Final = 0.05  # seconds
BEAT: Final = 0.001
MIB: Final = 1 << 20
HTML: Final = "text/html"


class Page(NamedTuple):
    """`unit` again and again, between what stands once."""

    unit: bytes
    head: bytes = b""
    tail: bytes = b""
    media: str = HTML
    headers: tuple[str, ...] = ()
    packed: bool = False
    numbered: bool = False

    def body(self, size: int) -> bytes:
        """About so many bytes. Numbered: each "%" of the unit is another number."""
        room = max(0, size - len(self.head) - len(self.tail))
        if self.numbered:
            times = room // len(self.unit.replace(b"%", b"0" * 7))
            text = b"".join([self.unit.replace(b"%", b"%d" % number) for number in range(times)])
        else:
            text = self.unit * (room // len(self.unit))
        return self.head + text + self.tail


PAGES: Final[Mapping[str, Page]] = {
    # markup
    "svg and p": Page(b"<svg><p>"),
    "math and mi": Page(b"<math><mi>"),
    "svg and p, utf-8, in gzip": Page(b"<svg><p>%", packed=True, numbered=True),
    "links to a byte": Page(b"<a href=\x80>"),
    "links to a byte, utf-8": Page(b"<a href=\x80>", media="text/html; charset=utf-8"),
    "links to a byte, gb18030": Page(b"<a href=\x80>", media="text/html; charset=gb18030"),
    "other links": Page(b"<a href='%?a=b&amp;c'>", numbered=True),
    "plain links": Page(b'<a href="/%">', numbered=True),
    "the same link": Page(b'<a href="/">x</a>'),
    "links with a long base": Page(b"<a href=%>", head=b"<base href='/" + b"a/" * 4000 + b"'>", numbered=True),
    "links with dots": Page(b"<a href='../../../%/../../x/./y'>", numbered=True),
    "links that are none": Page(b"<a href='http://[%'>", numbered=True),
    "links to other hosts": Page(b"<a href='http://h%.example/'>", numbered=True),
    "images": Page(b"<img src=% srcset='%a 1x, %b 2x, %c 3x'>", numbered=True),
    "forms": Page(b"<form action='&#%;&amp;'>", numbered=True),
    "nesting": Page(b"<div>"),
    "nested formatting": Page(b"<b><p></i>"),
    "attributes": Page(b" a%=1", head=b"<p ", tail=b">", numbered=True),
    "attributes of links": Page(b" a%=1", head=b"<a ", tail=b" href=x>", numbered=True),
    "a quote never closed": Page(b"<a href=x> ", head=b"<p title='"),
    "quotes": Page(b"<a \"x='"),
    "less-than": Page(b"<"),
    "comments": Page(b"<!---->"),
    "comments never closed": Page(b"<!-- - "),
    "bogus comments": Page(b"<!x>"),
    "cdata": Page(b"<![CDATA[]]>", head=b"<svg>"),
    "templates": Page(b"<template>"),
    "scripts never closed": Page(b"<script><!--<script>"),
    "titles": Page(b"<title>x</title>"),
    "metas": Page(b"<meta name=robots content='&amp;a,b'>"),
    "canonical": Page(b"<link rel='&#99;anonical' href=x>"),
    "entities": Page(b"&amp;&notit;&#x80;", head=b"<a href='", tail=b"'>"),
    "doctype entities": Page(
        b"<p>&b;</p>",
        head=b"<!DOCTYPE html [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>]>",
        media="application/xhtml+xml",
    ),
    "xhtml": Page(b"<h:a href='%'/><script/>", head=b"<html xmlns='x'>", media="application/xhtml+xml", numbered=True),
    "nuls": Page(b"\0"),
    "nuls in links": Page(b"<a href='\0%'>", numbered=True),
    "text": Page(b"lorem ipsum dolor sit amet "),
    "a real page": Page(
        b"<div class='x' id=y%><p>Some words <a href=\"/page/%\" title='t'>there</a> <span class=\"z\">and</span>\n",
        numbered=True,
    ),
    # charsets
    "utf-8 that is none": Page(b"<p>\x80\xff", media="text/html; charset=utf-8"),
    "a legacy charset, not declared": Page(b"<p>\xe9\x80 "),
    "gb18030 in a meta": Page(b"<a href='\x80?\xff'>\xff", head=b"<meta charset=gb18030><title>\x80</title>"),
    "big5 that is none": Page(b"<a href='?\x80\xff'>\xff\xff", media="text/html; charset=big5"),
    "shift_jis that is none": Page(b"<a href='?\xa0\xff'>\xff\xff", media="text/html; charset=shift_jis"),
    "euc-kr that is none": Page(b"<a href='?\x80\xff'>\xff\xff", media="text/html; charset=euc-kr"),
    "iso-2022-jp": Page(b"\x1b$B\xff\x1b(B<a href=x>", media="text/html; charset=iso-2022-jp"),
    "an escape": Page(b"<a href='?\x80'>\xff", tail=b"\x1b$B"),
    "utf-16 of surrogates": Page(b"\xd8\x00", head=b"\xfe\xff"),
    "a meta never reached": Page(b"<meta charset='x'>"),
    # sitemaps and feeds
    "a sitemap of nothing": Page(b"<url><loc/></url>", head=b"<urlset>", tail=b"</urlset>"),
    "a sitemap": Page(b"<url><loc>/%</loc></url>", head=b"<urlset>", tail=b"</urlset>", numbered=True),
    "a sitemap, in gzip": Page(b"<url><loc>/%</loc></url>", head=b"<urlset>", packed=True, numbered=True),
    "an index": Page(b"<sitemap><loc>/%.xml</loc></sitemap>", head=b"<sitemapindex>", numbered=True),
    "a sitemap of ampersands": Page(b"&", head=b"<urlset><url><loc>", media="application/xml"),
    "a page that looks like a sitemap": Page(b"<a href=%>", head=b"<urlset>", numbered=True),
    "before a sitemap": Page(b"<!-- -->", tail=b"<urlset>"),
    "a feed": Page(b"<item><link>/%</link></item>", head=b"<rss><channel>", media="application/rss+xml", numbered=True),
    # others
    "json": Page(b'{"a":[', media="application/json"),
    "json of numbers": Page(b"1,", head=b"[", tail=b"1]", media="application/json"),
    "a script": Page(b"var a = '<a href=x>';", media="text/javascript"),
    "bytes": Page(bytes(range(256)), media="application/octet-stream"),
    "no type at all": Page(b"<a href=%>", media="", numbered=True),
}
HEADS: Final[Mapping[str, Page]] = {
    "link headers": Page(b"", headers=("Link: " + ", ".join(f"</{number}>; rel=x" for number in range(10_000)),)),
    "a link header of quotes": Page(b"", headers=('Link: <x>; a="' + '\\"' * 100_000,)),
    "link headers, commas": Page(b"", headers=("Link: " + "<>," * 70_000,)),
    "refresh": Page(b"", headers=("Refresh: 0" + " " * 200_000 + "; url=x",)),
    "x-robots-tag": Page(b"", headers=("X-Robots-Tag: " + "a:b,c," * 30_000,)),
}


BYTES: Final = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/octet-stream\r\n%s\r\n\r\n"


def _chunks(unit: bytes, end: bytes = b"0\r\n\r\n") -> Callable[[int], bytes]:
    head = (BYTES % "Transfer-Encoding: chunked").encode()
    return lambda size: head + unit * (size // len(unit)) + end


def _packed(coding: str, unit: bytes) -> Callable[[int], bytes]:
    def answer(size: int) -> bytes:
        body = unit * max(1, size // len(unit))
        return (BYTES % f"Content-Encoding: {coding}\r\nContent-Length: {len(body)}").encode() + body

    return answer


def _of_zeros(pack: Callable[[bytes], bytes]) -> Callable[[int], bytes]:
    """As much as may come out of it."""
    return lambda size: _packed("gzip" if pack is gzip.compress else "br", pack(bytes(size)))(0)


# Whole answers, by their size. What is expensive of them is how they are framed or packed.
TRANSFERS: Final[Mapping[str, Callable[[int], bytes]]] = {
    "chunks of a byte": _chunks(b"1\r\nx\r\n"),
    "chunks of a byte, with blanks and LF": _chunks(b"1  \nx\n"),
    "chunks with an extension": _chunks(b"1;a=b\r\nx\r\n"),
    "chunks of a byte, gzip members": lambda size: (
        BYTES.encode() % b"Transfer-Encoding: chunked\r\nContent-Encoding: gzip"
        + b"".join(b"1\r\n%c\r\n" % octet for octet in gzip.compress(b"x" * 64, mtime=0)) * (size // 150)
        + b"0\r\n\r\n"
    ),
    "trailers": _chunks(b"0\r\n", b"a:\r\n" * 16_000 + b"\r\n"),
    "gzip members of 64 bytes": _packed("gzip", gzip.compress(b"x" * 64, mtime=0)),
    "gzip members of noise": _packed("gzip", gzip.compress(bytes(range(200)), mtime=0)),
    "gzip in gzip": _packed("gzip, gzip", gzip.compress(gzip.compress(b"x" * 64, mtime=0) * 50, mtime=0)),
    "zeros in gzip": _of_zeros(gzip.compress),
    "zeros in br": _of_zeros(brotli.compress),
    "header lines": lambda size: b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * (size // 6),
    "bad header lines": lambda size: b"HTTP/1.1 200 OK\r\n" + b"a b\r\n" * min(999, size // 5) + b"x" * size,
    "a thousand headers of 250 bytes, bad": lambda _: (
        b"HTTP/1.1 200 OK\r\n" + (b"A : b\x01" * 40 + b"\r\n") * 990 + b"\r\n"
    ),
    "interim answers": lambda size: b"HTTP/1.1 100 -\r\n\r\n" * (size // 18),
    "empty lines": lambda size: b"\r\n" * (size // 2),
}


class Held(NamedTuple):
    """The longest hold of the reactor, in seconds of CPU, and what became of the pages."""

    longest: float
    records: list[Record]


@contextmanager
def serving(pages: Mapping[str, Page | Callable[[int], bytes]], size: int) -> Iterator[Callable[[str], str]]:
    """Serve each under its place in the mapping, and give what tells its URL. A page is made when it is asked for."""
    names = list(pages)

    @cache
    def packed(name: str) -> bytes:
        page = pages[name]
        return gzip.compress(page.body(size), 1, mtime=0) if isinstance(page, Page) else page(size)

    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            name = names[int(self.rfile.readline().split()[1][1:])]
            while self.rfile.readline().strip():
                pass
            page = pages[name]
            if not isinstance(page, Page):
                with suppress(OSError):
                    self.request.sendall(packed(name))
                return
            body = packed(name) if page.packed else page.body(size) if page.unit else b"<a href=x>"
            lines = [
                "HTTP/1.1 200 OK",
                "Connection: close",
                f"Content-Length: {len(body)}",
                *([f"Content-Type: {page.media}"] if page.media else []),
                *(["Content-Encoding: gzip"] if page.packed else []),
                *page.headers,
            ]
            self.request.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)

    class Server(ThreadingTCPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client may hang up."""

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield lambda name: f"http://127.0.0.1:{server.server_address[1]}/{names.index(name)}"
        finally:
            server.shutdown()
            thread.join()


def crawl(urls: Sequence[str], parse: Callable[[UserPage], Any] | None = None, **options: Any) -> Held:
    """Crawl these and nothing else, and watch the reactor meanwhile."""
    given = {"recursive": True, "robots": False, "delay": 0.0, "parse_timeout": 1.0, "max_pages": len(urls), **options}
    config = Config.build(**given)
    kept = ListSink()
    beats: list[float] = []
    gc.collect()
    gc.freeze()  # what this process holds beside the crawl is no page's fault: a program has only its modules

    with private_reactor() as (reactor, dial):
        crawler = Crawler(config, reactor=reactor, urls=list(urls), sinks=[kept], dial=dial, parse=parse)
        last = 0.0

        def beat() -> None:
            nonlocal last
            now = time.thread_time()
            beats.append(now - last)
            last = now
            timer[0] = reactor.callLater(BEAT, beat)

        timer: list[Any] = [None]

        def start() -> Deferred[Any]:
            nonlocal last
            running = crawler.run()
            last = time.thread_time()  # what it takes to begin is no page's fault
            timer[0] = reactor.callLater(BEAT, beat)
            return running.addBoth(
                lambda result: (timer[0].cancel(), beats.append(time.thread_time() - last), result)[-1]
            )

        run(reactor, start)
    return Held(max(beats), kept.records)


def of_the_site() -> Held:
    """All that the built-in site has, its faults too, in one crawl."""
    with running_site() as site:
        urls = [site.url(path) for path in (*SITE, *(f"/fault/{name}" for name in FAULTS))]
        return crawl(urls, **PATIENCE)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.watchdog", description=__doc__)
    parser.add_argument("--only", default="", help="pages with this in their name")
    parser.add_argument("--size", type=float, action="append", help="MiB (default: 0.125, 1 and 9.9)")
    options = parser.parse_args()
    too_long = 0
    print(f"{'longest hold, ms':>16}  {'MiB':>6}  page", flush=True)

    def tell(name: str, size: str, held: Held) -> None:
        nonlocal too_long
        too_long += held.longest > LIMIT
        codes = sorted({record.error.code for record in held.records if record.error is not None})
        became = f"  ({codes[0] if len(codes) == 1 else f'{len(codes)} codes'})" if codes else ""
        print(f"{held.longest * 1e3:>16.1f}  {size:>6}  {name}{became}", flush=True)

    for size in options.size or (0.125, 1.0, 9.9):
        with serving(PAGES, int(size * MIB)) as url:
            for name in PAGES:
                if options.only in name:
                    tell(name, f"{size:g}", crawl([url(name)]))
        with serving(TRANSFERS, int(size * MIB)) as url:
            for name in TRANSFERS:
                if options.only in name:
                    tell(name, f"{size:g}", crawl([url(name)]))
    with serving(HEADS, 0) as url:
        for name in HEADS:
            if options.only in name:
                tell(name, "", crawl([url(name)], links=("a", "header", "refresh")))
    if not options.only:
        tell("the built-in site", "", of_the_site())
    print(f"{too_long} longer than {LIMIT * 1e3:g} ms")
    return 1 if too_long else 0


if __name__ == "__main__":
    sys.exit(main())
