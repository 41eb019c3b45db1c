"""Twice the bytes may take twice the time, not four times: hostile inputs that grow, for each parser.

CPU time, the best of three. A size is compared with one eight times smaller: linear work takes 8 times as long, quadratic
64 times; the bound is between the two, far from both. What takes next to no time is not judged.
"""

from __future__ import annotations

import gzip
import io
import itertools
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import http2_server as over_http2
from http11_fakes import FIN, Exchange, FakeOwner, FakeTransport, connected, lost
from twisted.internet.task import Clock

from crawler.charset import decode_text, from_content_type
from crawler.errors import CodedError
from crawler.fetch.decode import Decoder
from crawler.fetch.http2.compression import HeadDecoder
from crawler.fetch.http2.connection import Multiplexed
from crawler.fetch.http11.head import mend
from crawler.models import Input
from crawler.page.directives import parse_link_header, parse_robots_header, refresh_target, srcset_targets
from crawler.page.links import REFERENCES, scan
from crawler.page.markup import unescape
from crawler.page.resolving import resolve
from crawler.politeness.rate_headers import retry_after
from crawler.redaction import redact, scrub
from crawler.robots.rules import parse as parse_robots
from crawler.robots.rules import product_token
from crawler.seeds.formats import read_stream
from crawler.seeds.seed import seed
from crawler.seeds.sitemaps import parse as parse_sitemap
from crawler.urls import canonical_key, join, parse

FACTOR = 8
BOUND = 24.0
NOTHING = 0.004  # seconds that are not worth a judgement
LONG = (1 << 14, 1 << 17, 1 << 20)
SHORT = (1 << 12, 1 << 15)
ALL = frozenset(REFERENCES)
BASE = parse("http://a.example/b/c/d")


def _repeated(unit: bytes, before: bytes = b"", after: bytes = b"") -> Callable[[int], bytes]:
    return lambda size: before + unit * (size // len(unit)) + after


def _scan(data: bytes) -> None:
    resolve(scan(data, None, want=ALL, agent="crawler"), BASE)


def _parse_url(data: bytes) -> None:
    text = data.decode("latin-1")
    redact(text)
    scrub(text)
    for read in (parse, lambda reference: join(BASE, reference)):
        try:
            canonical_key(read(text), sort_query=True, drop_trackers=True)
        except CodedError:
            continue


def _exchange(piece: int) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        connection, transport = connected()
        Exchange(connection).body.dataReceived = lambda _: None  # to keep the body would take the time
        for start in range(0, len(data), piece):
            if transport.aborted:
                break
            connection.dataReceived(data[start : start + piece])
        if not transport.aborted:
            connection.connectionLost(lost(FIN))

    return run


def _over_http2(piece: int) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        transport = FakeTransport()
        connection = Multiplexed(over_http2.KEY, FakeOwner(), Clock(), lambda _: None)
        connection.makeConnection(transport)  # type: ignore[arg-type]
        over_http2.Exchange(connection).body.dataReceived = lambda _: None
        connection.dataReceived(over_http2.frame(4) + over_http2.frame(1, 4, 1, b"\x88"))
        for start in range(0, len(data), piece):
            if not transport.aborted:
                connection.dataReceived(data[start : start + piece])

    return run


def _mend(data: bytes) -> None:
    try:
        mend(data)
    except CodedError:
        return


def _decode(coding: str) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        decoder = Decoder([coding], max_size=1 << 24)
        try:
            for start in range(0, len(data), 1 << 16):
                decoder.feed(data[start : start + (1 << 16)])
            decoder.finish()
        except CodedError:
            return

    return run


def _robots(data: bytes) -> None:
    rules = parse_robots(data, "crawler")
    for target in ("/", "/" + "a" * 2000, "/" + "ab" * 1000):
        rules.decide(target)


def _headers(data: bytes) -> None:
    text = data.decode("latin-1")
    parse_link_header([text])
    parse_robots_header([text], "crawler")
    refresh_target(text)
    srcset_targets(text)
    from_content_type(text)
    retry_after(text, 0.0)
    product_token(text)


def _text(data: bytes) -> None:
    for declared in (None, "shift_jis", "gb18030", "iso-2022-jp", "windows-1253"):
        decode_text(data, declared, "text/html")


def _wide(data: bytes) -> None:
    decode_text(data, "utf-16le", "text/html")


def _line(data: bytes) -> None:
    seed(data.decode("latin-1"), Input(source="input"), "https")


def _array(data: bytes) -> None:
    deque(read_stream(io.BufferedReader(io.BytesIO(data)), ".json", "input", None), 0)  # type: ignore[arg-type]


def _table(data: bytes) -> None:
    deque(read_stream(io.BufferedReader(io.BytesIO(data)), ".csv", "input", None), 0)  # type: ignore[arg-type]


def _unescape(data: bytes) -> None:
    for in_attribute in (True, False):
        unescape(data.decode("latin-1"), in_attribute=in_attribute)


# What is read, by what, and what grows.
CASES: dict[str, tuple[Callable[[bytes], Any], Callable[[int], bytes]]] = {
    "tags that do not end": (_scan, _repeated(b"<a ")),
    "quotes that do not end": (_scan, _repeated(b"<a href='", after=b'"')),
    "only <": (_scan, _repeated(b"<")),
    "only </": (_scan, _repeated(b"</a ")),
    "comments": (_scan, _repeated(b"<!--")),
    "comments that end": (_scan, _repeated(b"<!---->")),
    "dashes in a comment": (_scan, _repeated(b"-", b"<!--")),
    "one tag of many attributes": (_scan, _repeated(b" a=b", b"<a", b">")),
    "one tag of many hrefs": (_scan, _repeated(b" href=b", b"<a", b">")),
    "links": (_scan, _repeated(b"<a href=x>")),
    "nested svg": (_scan, _repeated(b"<svg>")),
    "svg, opened and closed": (_scan, _repeated(b"<svg><a></svg>")),
    "nested templates": (_scan, _repeated(b"<template>")),
    "math and html in turns": (_scan, _repeated(b"<math><mi><p>")),
    "end tags within svg": (_scan, _repeated(b"</g>", b"<svg>")),
    "CDATA": (_scan, _repeated(b"<![CDATA[", b"<svg>")),
    "scripts": (_scan, _repeated(b"<script>")),
    "scripts in comments": (_scan, _repeated(b"<script><!--<script>")),
    "escaped scripts": (_scan, _repeated(b"<script>", b"<script><!--")),
    "titles": (_scan, _repeated(b"<title>")),
    "texts that end": (_scan, _repeated(b"<style></style>")),
    "a srcset": (_scan, _repeated(b"a,(", b'<img srcset="', b'">')),
    "a srcset of URLs": (_scan, _repeated(b"a 1x,", b'<img srcset="', b'">')),
    "references": (_scan, _repeated(b"&", b'<a href="', b'">')),
    "folders upwards": (_scan, _repeated(b"../", b"<a href=", b">")),
    "a base with many folders": (_scan, _repeated(b"a/", b"<base href='/", b"'>" + b"<a href=../x>" * 50)),
    "bases": (_scan, _repeated(b"<base href=a>")),
    "metas": (_scan, _repeated(b"<meta name=robots content=a>")),
    "one meta": (_scan, _repeated(b"a,", b"<meta name=robots content='", b"'>")),
    "escapes of ISO-2022-JP": (_scan, _repeated(b"\x1b$B")),
    "frames of HTTP/2": (_over_http2(1 << 16), _repeated(over_http2.frame(0, 0, 1, b"x"))),
    "frames of HTTP/2, byte by byte": (_over_http2(1), _repeated(over_http2.frame(0, 0, 1, b"x" * 300))),
    "fields of HTTP/2": (HeadDecoder(1 << 30).decode, _repeated(b"\x00\x01a\x01b")),
    "fields of HTTP/2 that are remembered": (HeadDecoder(1 << 30).decode, _repeated(b"\x40\x01a\x01b\xbe")),
    "character references": (_unescape, _repeated(b"&amp")),
    "numbers": (_unescape, _repeated(b"9", b"&#")),
    "a name of a reference": (_unescape, _repeated(b"a", b"&")),
    "many names": (_unescape, _repeated(b"&notit;&x=")),
    "dots in a host": (_parse_url, _repeated(b".", b"http://a")),
    "labels": (_parse_url, _repeated(b"a.", b"http://")),
    "dots in a path": (_parse_url, _repeated(b"/..", b"http://a")),
    "ats": (_parse_url, _repeated(b"@", b"http://")),
    "slashes and ats": (_parse_url, _repeated(b"//a@", b"x")),
    "letters": (_parse_url, _repeated(b"a")),
    "colons": (_parse_url, _repeated(b":", b"http")),
    "percents": (_parse_url, _repeated(b"%", b"http://a/")),
    "parameters": (_parse_url, _repeated(b"a&", b"http://a/?")),
    "blanks": (_parse_url, _repeated(b" ", b"http://a/", b"x")),
    "an IPv6 address": (_parse_url, _repeated(b"1:", b"http://[")),
    "header lines": (_exchange(1 << 16), _repeated(b"A: b\r\n", b"HTTP/1.1 200 OK\r\n")),
    "one header": (_exchange(1 << 16), _repeated(b"a", b"HTTP/1.1 200 OK\r\nA: ")),
    "one header in small pieces": (_exchange(16), _repeated(b"a", b"HTTP/1.1 200 OK\r\nA: ")),
    "bad lines in small pieces": (_exchange(16), _repeated(b"bad" * 100 + b"\r\n", b"HTTP/1.1 200 OK\r\n")),
    "interim answers": (_exchange(1 << 16), _repeated(b"HTTP/1.1 100 -\r\n\r\n")),
    "chunks of one byte": (_exchange(1 << 16), _repeated(b"1\r\na\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")),
    "a body in small pieces": (_exchange(16), _repeated(b"a", b"HTTP/1.1 200 OK\r\n\r\n")),
    "a chunk extension": (_exchange(64), _repeated(b"a", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;")),
    "trailers": (_exchange(64), _repeated(b"A: b\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")),
    "chunks that break the grammar": (
        _exchange(1 << 16), _repeated(b"1  \na\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    ),
    "zeros of a chunk's size": (
        _exchange(64), _repeated(b"0", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    ),
    "returns in a head": (_mend, _repeated(b"\r", b"HTTP/1.1 200 OK\r\nA: b")),
    "empty lines that begin": (_mend, _repeated(b"\r\r\n", b"", b"\r")),
    "a name in a gzip header": (_decode("gzip"), _repeated(b"a", b"\x1f\x8b\x08\x08" + bytes(6))),
    "a head to mend": (_mend, _repeated(b"x : y\r\n", b"HTTP/1.1 200 OK\r\n")),
    "folds": (_mend, _repeated(b"\r\n ", b"HTTP/1.1 200 OK\r\nA:")),
    "blanks in a status line": (_mend, _repeated(b" ", b"HTTP/1.1")),
    "empty lines": (_mend, _repeated(b"\r\n")),
    "empty gzip members": (_decode("gzip"), _repeated(gzip.compress(b"", mtime=0))),
    "gzip members of a byte": (_decode("gzip"), _repeated(gzip.compress(b"a" * 64, mtime=0))),
    "zeros behind gzip": (_decode("gzip"), _repeated(b"\0", gzip.compress(b"a", mtime=0))),
    "empty zstd frames": (_decode("zstd"), _repeated(b"\x50\x2a\x4d\x18\0\0\0\0")),
    "noise as br": (_decode("br"), _repeated(b"\x1b\x03")),
    "rules": (_robots, _repeated(b"Disallow: /a\n", b"User-agent: *\n")),
    "rules with stars": (_robots, _repeated(b"Disallow: /*a*b*c*d$\n", b"User-agent: *\n")),
    "one rule of stars": (_robots, _repeated(b"*a", b"User-agent: *\nDisallow: /")),
    "agents": (_robots, _repeated(b"User-agent: crawler\n", after=b"Disallow: /")),
    "agents without end": (_robots, _repeated(b"User-agent:")),
    "blank lines of a robots.txt": (_robots, _repeated(b" \t")),
    "returns": (_robots, _repeated(b"\r", b"a")),
    "escapes in a rule": (_robots, _repeated(b"%41", b"User-agent: *\nDisallow: /")),
    "entries": (parse_sitemap, _repeated(b"<url><loc>a</loc></url>", b"<urlset>")),
    "bare ampersands": (parse_sitemap, _repeated(b"&", b"<urlset><url><loc>")),
    "one text": (parse_sitemap, _repeated(b"a", b"<urlset><url><loc>")),
    "one tag": (parse_sitemap, _repeated(b" a='b'", b"<urlset")),
    "deep elements": (parse_sitemap, _repeated(b"<a>", b"<urlset>")),
    "lines of a sitemap": (parse_sitemap, _repeated(b"http://a/\n")),
    "a sitemap in GBK": (
        parse_sitemap,
        _repeated(b"<url><loc>\xc4\xe3</loc></url>", b"<?xml version='1.0' encoding='gbk'?><urlset>"),
    ),
    "one line in GBK": (parse_sitemap, _repeated(b"\xc4\xe3", b"<?xml version='1.0' encoding='gbk'?><urlset>")),
    "text in an entry": (parse_sitemap, _repeated(b"a<x/>", b"<urlset><url>")),
    "locs of an entry": (parse_sitemap, _repeated(b"<loc>a</loc>", b"<urlset><url>")),
    "entries of nothing": (parse_sitemap, _repeated(b"<url><loc/></url>", b"<urlset>")),
    "short rules": (_robots, lambda size: b"User-agent: *\n" + b"".join(b"allow:*%x\n" % n for n in range(size // 12))),
    "agents and rules": (_robots, lambda size: b"User-agent: *\n" * (size // 28) + b"Disallow: /a\n" * (size // 28)),
    "other alphabets in a rule": (_robots, _repeated("\u65e5a".encode(), b"User-agent: *\nDisallow: /")),
    "one line of a sitemap": (parse_sitemap, _repeated(b"a", b"http://a/")),
    "commas": (_headers, _repeated(b",")),
    "links in a header": (_headers, _repeated(b"<a>;rel=b,")),
    "angle brackets": (_headers, _repeated(b"<")),
    "escaped quotes": (_headers, _repeated(b"\\", b'<a>;b="')),
    "semicolons": (_headers, _repeated(b";a=")),
    "parentheses": (_headers, _repeated(b"a (", b"")),
    "digits": (_headers, _repeated(b"1")),
    "blanks in a header": (_headers, _repeated(b" ", b"a", b"b")),
    "colons in a header": (_headers, _repeated(b"a:")),
    "words of an agent": (_headers, _repeated(b"compatible;")),
    "no characters": (_text, _repeated(b"\xff")),
    "escapes": (_text, _repeated(b"\x1b$B\x1b(B")),
    "half characters": (_text, _repeated(b"\x81")),
    "a prescan": (_text, _repeated(b"<a b=")),
    "pairs that are none": (_text, _repeated(b"\x81\xff ")),
    "lone surrogates": (_wide, _repeated(b"\x00\xd8a\x00")),
    "sets that change": (_text, _repeated(b"\x1b$B!")),
    "metas that nobody reads": (_text, _repeated(b"<meta name=content-type content=x>", b"\xff")),
    "labels of a line": (_line, _repeated(b"a.")),
    "letters of a line": (_line, _repeated(b"a")),
    "quotes around nothing": (_line, _repeated(b'"')),
    "items of an array": (_array, _repeated(b'"http://a/",', b"[")),
    "one item of an array": (_array, _repeated(b"a", b'["')),
    "arrays in an array": (_array, _repeated(b"[")),
    "a table without commas": (_table, _repeated(b"a;'b\"\n")),
}  # fmt: skip


def cost(run: Callable[[bytes], Any], data: bytes) -> float:
    """CPU seconds, the best of three; once is enough for what takes next to none."""
    best = float("inf")
    for _ in range(3):
        started = time.process_time()
        run(data)
        best = min(best, time.process_time() - started)
        if best < NOTHING:
            break
    return best


def ratio(name: str, small: int, large: int) -> tuple[float, float]:
    """How many times as long the large input takes, and its seconds."""
    run, grown = CASES[name]
    seconds = cost(run, grown(large))
    if seconds < NOTHING:
        return 0.0, seconds
    # The floor: below it the clock's steps and the first call of things would be measured.
    return seconds / max(cost(run, grown(small)), NOTHING / FACTOR), seconds


def measure(sizes: Sequence[int]) -> int:
    """Print the table; gives how many cases grow too fast."""
    bad = 0
    print(f"{'seconds at ' + ' / '.join(f'{size >> 10} KiB' for size in sizes):<50}")
    for name, (run, grown) in CASES.items():
        costs = [cost(run, grown(size)) for size in sizes]
        pairs = itertools.pairwise(costs)
        grows = any(more > NOTHING and more / max(less, NOTHING / FACTOR) > BOUND for less, more in pairs)
        bad += grows
        print(
            f"{name:<34}{''.join(f'{seconds:>10.4f}' for seconds in costs)}{'   TOO FAST' if grows else ''}", flush=True
        )
    print(f"{len(CASES)} cases, {bad} of them grow faster than their input")
    return bad
