"""connection.py: what comes of the bytes a server sends, however they are cut; what is never reused; who may interrupt."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
from http11_fakes import (
    FIN,
    RST,
    Body,
    Exchange,
    FakeOwner,
    connected,
    envelope,
    lost,
    outcome_of,
    pieces,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionAborted
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseDone

from crawler.errors import StaleConnection
from crawler.fetch.http11 import answer
from crawler.fetch.http11.connection import LINES
from crawler.fetch.http11.head import MAX_HEAD_BYTES, MAX_HEAD_LINES, MAX_INTERIM
from crawler.fetch.http11.response import WireResponse

OK = b"HTTP/1.1 200 OK\r\n"
PLAIN = OK + b"Content-Length: 5\r\n\r\nhello"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
LENGTH = b"Content-Length: 5\r\n\r\nhello"


class Case(NamedTuple):
    """Bytes of a server and how it ends the connection, if it does; and what must come of them.

    `code` is None where the body arrives whole. `kept`: the connection may carry the next request.
    """

    data: bytes
    end: type[Exception] | None = None
    status: int | None = 200
    body: bytes = b"hello"
    code: str | None = None
    warnings: tuple[str, ...] = ()
    kept: bool = False
    version: str = "1.1"
    method: str = "GET"


def fails(data: bytes, code: str, end: type[Exception] | None = None, *, status: int | None = None) -> Case:
    """A case without a response, or with no more of it than its head."""
    return Case(data, end, status, b"", code)


CASES = {
    "an answer": Case(PLAIN, kept=True),
    "without a body": Case(OK + b"Content-Length: 0\r\n\r\n", body=b"", kept=True),
    # rows 18, 19 and 23
    "close at once": fails(b"", "empty_reply", FIN),
    "reset at once": fails(b"", "conn_reset", RST),
    "close in the status line": fails(b"HTTP/1.1 20", "http_truncated_headers", FIN),
    "close in the headers": fails(OK + b"Content-Ty", "http_truncated_headers", FIN),
    "reset in the headers": fails(OK + b"Content-Ty", "http_truncated_headers", RST),
    "close after bad headers": fails(OK + b"bad line\r\n", "http_truncated_headers", FIN),
    "close after an interim answer": fails(b"HTTP/1.1 100 -\r\n\r\n", "http_truncated_headers", FIN),
    # rows 27, 28 and 30
    "close in the body": Case(OK + b"Content-Length: 9\r\n\r\nhello", FIN, code="body_truncated"),
    "reset in the body": Case(OK + b"Content-Length: 9\r\n\r\nhello", RST, code="body_truncated"),
    "no length, reset": Case(OK + b"\r\nhello", RST, code="body_truncated"),
    "no length, close": Case(OK + b"\r\nhello", FIN),
    "no length, an empty body": Case(OK + b"\r\n", FIN, body=b""),
    "no length, a body like an answer": Case(OK + b"\r\n" + PLAIN, FIN, body=PLAIN),
    # row 33
    "the length twice": Case(OK + b"Content-Length: 5\r\n" + LENGTH, kept=True),
    "the length in a list": Case(OK + b"Content-Length: 5, 5\r\n\r\nhello", kept=True),
    # row 34
    "two lengths": fails(OK + b"Content-Length: 4\r\n" + LENGTH, "http_bad_framing"),
    "two lengths in a list": fails(OK + b"Content-Length: 4, 5\r\n\r\nhello", "http_bad_framing"),
    "two lengths and one that is none": fails(OK + b"Content-Length: 4, x, 5\r\n\r\nhello", "http_bad_framing"),
    **{
        f"a length that is none: {length!r}": Case(
            OK + b"Content-Length: %b\r\n\r\nhello" % length, FIN, warnings=("bad_framing",)
        )
        for length in (b"", b"unknown", b"-5", b"+5", b"5 bytes", b"0x20", b"5_0", b"5.0", b"x, y", b"\xd9\xa5")
    },
    "a length that is none, cut": Case(
        OK + b"Content-Length: -5\r\n\r\nhello", RST, code="body_truncated", warnings=("bad_framing",)
    ),
    "a length, and one that is none": Case(
        OK + b"Content-Length: x\r\nContent-Length: 5\r\n\r\nhello", warnings=("bad_framing",)
    ),
    "a length of 5,000 digits, most of them zeros": Case(
        OK + b"Content-Length: %b5\r\n\r\nhello" % (b"0" * 4999), kept=True
    ),
    "a length with zeros in front, and one without": Case(OK + b"Content-Length: 05\r\n" + LENGTH, kept=True),
    # row 35
    "a length of 10^20": fails(OK + b"Content-Length: 1%b\r\n\r\n" % (b"0" * 20), "body_too_large", status=200),
    # row 36
    "length, then chunked": Case(
        OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        warnings=("framing_conflict",),
    ),
    "chunked, then length": Case(
        OK + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        warnings=("framing_conflict",),
    ),
    "chunked in HTTP/1.0": Case(
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        version="1.0",
    ),
    # row 37
    "gzip as transfer coding": fails(OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n", "http_bad_framing", status=200),
    "chunked twice": Case(
        OK + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n5\r\nhello\r\n0\r\n\r\n", warnings=("bad_framing",)
    ),
    "chunked twice in a list": Case(
        OK + b"Transfer-Encoding: chunked, Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", warnings=("bad_framing",)
    ),
    "chunked, then gzip": fails(OK + b"Transfer-Encoding: chunked, gzip\r\n\r\n", "http_bad_framing", status=200),
    "a vertical tab before chunked": fails(OK + b"Transfer-Encoding: \x0bchunked\r\n\r\n", "http_bad_framing"),
    # row 38
    "identity": Case(OK + b"Transfer-Encoding: identity\r\n" + LENGTH, kept=True),
    "identity without a length": Case(OK + b"Transfer-Encoding: identity\r\n\r\nhello", FIN),
    # row 39
    "chunks": Case(CHUNKED + b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", kept=True),
    "chunked in capitals": Case(OK + b"TRANSFER-ENCODING: CHUNKED \r\n\r\n5\r\nhello\r\n0\r\n\r\n", kept=True),
    "chunks with an extension": Case(CHUNKED + b'5;a="b"\r\nhello\r\n0;c\r\n\r\n', kept=True),
    "chunks with a trailer": Case(CHUNKED + b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n", kept=True),
    "chunks without a body": Case(CHUNKED + b"0\r\n\r\n", body=b"", kept=True),
    "no number for a chunk": Case(CHUNKED + b"xyz\r\nhello\r\n", body=b"", code="http_bad_chunk"),
    "a chunk size after a blank": Case(CHUNKED + b" 5\r\nhello\r\n", body=b"", code="http_bad_chunk"),
    **{
        f"a chunk's line, odd but right: {line!r}": Case(CHUNKED + line + b"hello\r\n0\r\n\r\n", kept=True)
        for line in (
            b"5 ; a=b\r\n",
            b"5;a = b\r\n",
            b'5;a="b;\\"c"\r\n',
            b"5\t;a;b=c\r\n",
            b"00000000000000000000005\r\n",
        )
    },
    **{
        f"a chunk's line that breaks the grammar: {line!r}": Case(
            CHUNKED + line + b"hello\r\n0\r\n\r\n", warnings=("bad_framing",)
        )
        for line in (
            b"5 \r\n",
            b"5     \r\n",
            b"5\t\r\n",
            b"5;\r\n",
            b"5; \r\n",
            b"5;a,b\r\n",
            b"5;=\r\n",
            b"5;a=\r\n",
            b'5;a="\r\n',
            b"5\n",
            b"5\r\r\n",
            b"5;a=b\n",
            b"5 ;;\n",
        )
    },
    "a broken grammar, then no chunk": Case(
        CHUNKED + b"5;\r\nhello\r\nzz\r\n", code="http_bad_chunk", warnings=("bad_framing",)
    ),
    "LF after the data": Case(CHUNKED + b"5\r\nhello\n0\r\n\r\n", warnings=("bad_framing",)),
    "LF at the end": Case(CHUNKED + b"5\r\nhello\r\n0\r\n\n", warnings=("bad_framing",)),
    **{
        f"trailers, odd but right: {trailers!r}": Case(CHUNKED + b"5\r\nhello\r\n0\r\n" + trailers + b"\r\n", kept=True)
        for trailers in (b"A: b\r\n c\r\n", b"Content-Length: 3\r\n", b"Transfer-Encoding: gzip\r\nA:\r\n")
    },
    **{
        f"trailers that break the grammar: {trailers!r}": Case(
            CHUNKED + b"5\r\nhello\r\n0\r\n" + trailers + b"\r\n", warnings=("bad_framing",)
        )
        for trailers in (b"no colon\r\n", b"A : b\r\n", b": b\r\n", b"A: b\n", b"A: b\rc\r\n", b"A: b\r\r\n", b"\0\r\n")
    },
    "a chunk size with 0x": Case(CHUNKED + b"0x5\r\nhello\r\n", FIN, body=b"", code="http_bad_chunk"),
    "a negative chunk size": Case(CHUNKED + b"-5\r\nhello\r\n", body=b"", code="http_bad_chunk"),
    "a chunk size before a comma": Case(CHUNKED + b"5,a\r\nhello\r\n", body=b"", code="http_bad_chunk"),
    "no chunk size, but an extension": Case(CHUNKED + b";a=b\r\nhello\r\n", body=b"", code="http_bad_chunk"),
    "a bare CR in a chunk's line": Case(CHUNKED + b"5;a\rb\r\nhello\r\n", body=b"", code="http_bad_chunk"),
    "chunk lines that end in LF": Case(CHUNKED + b"5\nhello\n0\n\n", warnings=("bad_framing",)),
    "a chunk longer than its size": Case(CHUNKED + b"4\r\nhello\r\n0\r\n\r\n", body=b"hell", code="http_bad_chunk"),
    "no last chunk": Case(CHUNKED + b"5\r\nhello\r\n", FIN, code="body_truncated"),
    "no end after the last chunk": Case(CHUNKED + b"5\r\nhello\r\n0\r\n", FIN, code="body_truncated"),
    # row 40
    "a chunk of 2^70": Case(CHUNKED + b"4%b\r\nhello" % (b"0" * 17), body=b"", code="body_too_large"),
    # row 42
    "204": Case(b"HTTP/1.1 204 -\r\n\r\n", status=204, body=b"", kept=True),
    "304 with a length": Case(b"HTTP/1.1 304 -\r\nContent-Length: 5\r\n\r\n", status=304, body=b"", kept=True),
    "205 without a length": Case(b"HTTP/1.1 205 -\r\n\r\n", status=205, body=b"", kept=True),
    "205 with a length": Case(b"HTTP/1.1 205 -\r\n" + LENGTH, status=205, kept=True),
    "HEAD with two lengths": Case(OK + b"Content-Length: 4, 5\r\n\r\n", body=b"", kept=True, method="HEAD"),
    "204, chunked": Case(b"HTTP/1.1 204 -\r\nTransfer-Encoding: chunked\r\n\r\n", status=204, body=b"", kept=True),
    "HEAD": Case(OK + b"Content-Length: 5\r\n\r\n", body=b"", kept=True, method="HEAD"),
    "HEAD, chunked": Case(CHUNKED, body=b"", kept=True, method="HEAD"),
    "HEAD without a length": Case(OK + b"\r\n", body=b"", kept=True, method="HEAD"),
    "HEAD, close": Case(OK + b"Connection: x, Close\r\n\r\n", body=b"", method="HEAD"),
    "HEAD, HTTP/1.0": Case(b"HTTP/1.0 200 OK\r\n\r\n", body=b"", method="HEAD", version="1.0"),
    "HEAD, bad header": Case(OK + b"bad line\r\n\r\n", body=b"", warnings=("bad_header",), method="HEAD"),
    "HEAD, after 103": Case(b"HTTP/1.1 103 -\r\nA: b\r\n\r\n" + OK + b"\r\n", body=b"", kept=True, method="HEAD"),
    # rows 43, 44 and 45
    "100, then an answer": Case(b"HTTP/1.1 100 -\r\n\r\n" + PLAIN, kept=True),
    "103 with a length": Case(b"HTTP/1.1 103 -\r\nContent-Length: 9\r\n\r\n" + PLAIN, kept=True),
    "empty lines after 100": Case(b"HTTP/1.1 100 -\r\n\r\n\r\n\r\n" + PLAIN, kept=True),
    "as many interim answers as may be": Case(b"HTTP/1.1 100 -\r\n\r\n" * MAX_INTERIM + PLAIN, kept=True),
    "one more": fails(b"HTTP/1.1 100 -\r\n\r\n" * (MAX_INTERIM + 1) + PLAIN, "http_too_many_1xx"),
    "101": fails(b"HTTP/1.1 101 -\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "http_protocol"),
    "101 without Upgrade": fails(b"HTTP/1.1 101 -\r\n\r\n", "http_protocol"),
    "an offer to upgrade": Case(OK + b"Connection: Upgrade, keep-alive\r\nUpgrade: h2c\r\n" + LENGTH, kept=True),
    # rows 46 and 47
    "HTTP/0.9": fails(b"<html>hello</html>", "http_not_http", FIN),
    "an SSH banner": fails(b"SSH-2.0-OpenSSH_9.2\r\n", "http_not_http"),
    "noise": fails(bytes(range(128, 256)), "http_not_http"),
    "HTTP/2": fails(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "http_not_http"),
    "HTTP/2 as text": Case(b"HTTP/2 200 OK\r\n" + LENGTH, kept=True, version="2"),
    "HTTP/2.0 as text": Case(b"HTTP/2.0 200 OK\r\n" + LENGTH, kept=True, version="2.0"),
    "HTTP/3 as text": Case(b"HTTP/3 200\r\n" + LENGTH, kept=True, version="3"),
    "HTTP/4": fails(b"HTTP/4 200 OK\r\n" + LENGTH, "http_not_http"),
    "HTTP/1": fails(b"HTTP/1 200 OK\r\n" + LENGTH, "http_not_http"),
    "ICY": fails(b"ICY 200 OK\r\n" + LENGTH, "http_not_http"),
    "RTSP": fails(b"RTSP/1.0 200 OK\r\n" + LENGTH, "http_not_http"),
    "RTSP after 100": fails(b"HTTP/1.1 100 -\r\n\r\nRTSP/1.0 200 OK\r\n" + LENGTH, "http_not_http"),
    "HTTP/11.1": fails(b"HTTP/11.1 200 OK\r\n" + LENGTH, "http_not_http"),
    "HTTP/0.9 in the status line": fails(b"HTTP/0.9 200 OK\r\n" + LENGTH, "http_not_http"),
    "HTTP/1.2": Case(b"HTTP/1.2 200 OK\r\n" + LENGTH, kept=True, version="1.2"),
    # row 48
    "status 0": fails(b"HTTP/1.1 0 OK\r\n" + LENGTH, "http_bad_status"),
    "status 099": fails(b"HTTP/1.1 099 OK\r\n" + LENGTH, "http_bad_status"),
    "status -200": fails(b"HTTP/1.1 -200 OK\r\n" + LENGTH, "http_bad_status"),
    "status 2_0_0": fails(b"HTTP/1.1 2_0_0 OK\r\n" + LENGTH, "http_bad_status"),
    "status 99999": fails(b"HTTP/1.1 99999 OK\r\n" + LENGTH, "http_bad_status"),
    "status 599": Case(b"HTTP/1.1 599 -\r\n" + LENGTH, status=599, kept=True),
    "status 999": Case(b"HTTP/1.1 999 -\r\n" + LENGTH, status=999, warnings=("unusual_status",)),
    "status 999 and a bad header": Case(
        b"HTTP/1.1 999 -\r\nbad line\r\n" + LENGTH, status=999, warnings=("bad_header", "unusual_status")
    ),
    # row 49
    "an empty line first": Case(b"\r\n" + PLAIN, kept=True),
    "two empty lines first": Case(b"\r\n\r\n" + PLAIN, kept=True),
    "an LF first": Case(b"\n" + PLAIN, kept=True),
    "empty lines of any kind first": Case(b"\n\r\r\n\r\n\n" + PLAIN, kept=True),
    "a blank first": fails(b" " + PLAIN, "http_not_http"),
    "a CR first": fails(b"\rHTTP/1.1 200 OK\r\n" + LENGTH, "http_not_http"),
    # rows 50 and 52
    "a header without a colon": Case(OK + b"bad line\r\n" + LENGTH, warnings=("bad_header",)),
    "a space in a name": Case(OK + b"Bad Name: x\r\n" + LENGTH, warnings=("bad_header",)),
    "the first header folded": Case(OK + b" folded\r\n" + LENGTH, warnings=("bad_header",)),
    "a bad header and chunks": Case(
        OK + b"bad\r\nX-Long: %b\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" % (b"x" * 3000),
        warnings=("bad_header",),
    ),
    "LF for line ends": Case(b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", kept=True),
    "CR CR LF for line ends": Case(b"HTTP/1.1 200 OK\r\r\nContent-Length: 5\r\r\nA: b\r\r\n\r\r\nhello", kept=True),
    "CR CR LF, and CR LF at the end": Case(b"HTTP/1.1 200 OK\r\r\nContent-Length: 5\r\r\n\r\nhello", kept=True),
    "three CRs": fails(OK + b"X: a\r\r\r\n" + LENGTH, "http_bad_header"),
    "a folded header": Case(OK + b"X: a\r\n b\r\n" + LENGTH, kept=True),
    # row 51
    "a space before the colon": Case(OK + b"Location : /t\r\n" + LENGTH, warnings=("bad_header",)),
    "a space before the length's colon": Case(OK + b"Content-Length : 5\r\n\r\nhello", warnings=("bad_header",)),
    "a tab before the chunks' colon": Case(
        OK + b"Transfer-Encoding\t: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", warnings=("bad_header",)
    ),
    "two lengths, one before a blank": fails(OK + b"Content-Length : 4\r\n" + LENGTH, "http_bad_framing"),
    "a vertical tab before the length's colon": fails(OK + b"Content-Length\x0b: 5\r\n\r\nhello", "http_bad_framing"),
    # row 53
    "a NUL in a header": fails(OK + b"X: a\0b\r\n" + LENGTH, "http_bad_header"),
    "a bare CR in a header": fails(OK + b"X: a\rContent-Length: 1\r\n" + LENGTH, "http_bad_header"),
    # row 55
    "Latin-1 in a header": Case(OK + b"X: K\xf6ln\r\n" + LENGTH, kept=True),
    # row 57
    "Connection: Close": Case(OK + b"Connection: Close\r\n" + LENGTH),
    "close among others": Case(OK + b"Connection: x, CLOSE\r\n" + LENGTH),
    "HTTP/1.0": Case(b"HTTP/1.0 200 OK\r\n" + LENGTH, version="1.0"),
    "close and keep-alive": Case(OK + b"Connection: keep-alive\r\nConnection: close\r\n" + LENGTH),
    "keep-alive after close": Case(OK + b"Connection: close\r\nConnection: keep-alive\r\n" + LENGTH),
    "HTTP/1.0, keep-alive": Case(b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n" + LENGTH, kept=True, version="1.0"),
}

# Heads and frames so long that a byte at a time takes too long for a test: they are cut less finely.
LARGE = {
    # row 41
    "a long chunk extension": Case(CHUNKED + b"5;%b" % (b"x" * 9000), code="http_bad_chunk", body=b""),
    "many short extensions": Case(CHUNKED + b"1;ab=cd\r\nx\r\n" * 2000 + b"0\r\n\r\n", body=b"x" * 2000, kept=True),
    "many chunks": Case(CHUNKED + b"1\r\nx\r\n" * 2000 + b"0\r\n\r\n", body=b"x" * 2000, kept=True),
    "trailers of 60 kB": Case(CHUNKED + b"0\r\n" + b"T: %b\r\n" % (b"x" * 995) * 60 + b"\r\n", body=b"", kept=True),
    "trailers of 90 kB": Case(
        CHUNKED + b"0\r\n" + b"T: %b\r\n" % (b"x" * 995) * 90 + b"\r\n", body=b"", code="http_bad_chunk"
    ),
    # row 54
    "a header of 100 kB": Case(OK + b"X: %b\r\n" % (b"x" * 100_000) + LENGTH, kept=True),
    "a bad head of 100 kB": Case(OK + b"bad\r\nX: %b\r\n" % (b"x" * 100_000) + LENGTH, warnings=("bad_header",)),
    "a head of 256 KiB": Case(OK + b"X: %b\r\n\r\n" % (b"x" * (MAX_HEAD_BYTES - len(OK) - 7)), FIN, body=b""),
    "a head of a byte more": fails(
        OK + b"X: %b\r\n\r\n" % (b"x" * (MAX_HEAD_BYTES - len(OK) - 6)), "headers_too_large", FIN
    ),
    "a bad head of a byte more": fails(
        OK + b"bad: \x01%b\r\n\r\n" % (b"x" * (MAX_HEAD_BYTES - len(OK) - 9)), "headers_too_large", FIN
    ),
    "a head without end": fails(OK + b"X: %b" % (b"x" * 300_000), "headers_too_large"),
    "a thousand lines": Case(OK + b"X: x\r\n" * (MAX_HEAD_LINES - 1) + LENGTH, kept=True),
    "a line more": fails(OK + b"X: x\r\n" * MAX_HEAD_LINES + LENGTH, "headers_too_large"),
    "a large body in the segment of its head": Case(
        OK + b"Content-Length: 400000\r\n\r\n" + b"x" * 400_000, body=b"x" * 400_000, kept=True
    ),
}


class Seen(NamedTuple):
    """All that a consumer can tell of an exchange."""

    status: int | None
    version: str | None
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes
    code: str | None
    warnings: tuple[str, ...]
    usable: bool


def see(case: Case, segments: Iterable[bytes]) -> Seen:
    """Feed a connection; what is seen, without the warning that depends on how bytes are cut."""
    connection, transport = connected()
    exchange = Exchange(connection, case.method)
    for segment in segments:
        if not transport.aborted:
            connection.dataReceived(segment)
    if case.end is not None and not transport.aborted:
        connection.connectionLost(lost(case.end))
    response = exchange.response
    if exchange.code is None and case.end is None:
        assert isinstance(exchange.body.why, ResponseDone), exchange.body.why
    return Seen(
        None if response is None else response.code,
        None if response is None else response.http_version,
        () if response is None else tuple(response.fields),
        exchange.body.data,
        exchange.code,
        () if response is None else tuple(w for w in response.warnings if w != "extra_bytes"),
        connection.usable,
    )


def expected(case: Case, seen: Seen) -> Seen:
    version = None if case.status is None else case.version
    return Seen(case.status, version, seen.fields, case.body, case.code, case.warnings, case.kept)


class OutcomeTests(SynchronousTestCase):
    """Rows 18, 19, 23, 27-57 of the fault table: the same bytes, however they are cut, have the same outcome."""

    def check(self, name: str, case: Case, segments: Iterable[bytes], whole: Seen | None = None) -> Seen:
        seen = see(case, segments)
        self.assertEqual(seen, expected(case, seen) if whole is None else whole, name)
        return seen

    def test_whole_and_byte_by_byte(self) -> None:
        """All bytes at once, and one at a time."""
        for name, case in CASES.items():
            whole = self.check(name, case, [case.data] if case.data else [])
            self.check(name, case, pieces(case.data, range(len(case.data))) if case.data else [], whole)

    @settings(max_examples=60, derandomize=True, database=None)
    @given(name=st.sampled_from(sorted(CASES)), cuts=st.sets(st.integers(1, 150), max_size=8))
    def test_cut_anywhere(self, name: str, cuts: set[int]) -> None:
        """Cut at any places."""
        case = CASES[name]
        if case.data:
            assert see(case, pieces(case.data, cuts)) == see(case, [case.data])

    def test_large_heads_and_frames(self) -> None:
        """Limits are the same for one large segment and for many small ones."""
        for name, case in LARGE.items():
            whole = self.check(name, case, [case.data])
            for size in (len(case.data) // 2, 16_411, 997):
                self.check(f"{name}, by {size}", case, pieces(case.data, range(0, len(case.data), size)), whole)

    def test_bytes_after_the_end(self) -> None:
        """What comes after a whole answer changes nothing but this: the connection is not used again (rows 31, 32, 42)."""
        for name, case in CASES.items():
            if case.code is not None or case.end is not None:
                continue
            for extra in (
                b"and more",
                b"\0",
                b"HTTP/1.1 101 -\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
                PLAIN,
                CHUNKED,
            ):
                data = case.data + extra
                after = expected(case, see(case, [case.data]))._replace(usable=False)
                self.check(f"{name}, whole, and more", case, [data], after)
                self.check(f"{name}, byte by byte, and more", case, pieces(data, range(len(data))), after)

    def test_bytes_after_the_end_in_the_same_segment_are_told(self) -> None:
        """The record says so."""
        for method, data in (
            ("GET", PLAIN + b"and more"),
            ("GET", PLAIN + PLAIN),
            ("GET", CHUNKED + b"5\r\nhello\r\n0\r\n\r\n" + OK + b"X: %b\r\n\r\n" % (b"x" * 3000)),
            ("GET", b"HTTP/1.1 204 -\r\n\r\nhello"),
            ("HEAD", PLAIN),
            ("HEAD", CHUNKED + b"5\r\n"),
            ("HEAD", CHUNKED + b"not a chunk"),
            ("HEAD", OK + b"bad line\r\n\r\nhello"),
        ):
            connection, _ = connected()
            exchange = Exchange(connection, method)
            connection.dataReceived(data)
            assert exchange.response is not None
            self.assertIn("extra_bytes", exchange.response.warnings, data)
            self.assertEqual(exchange.response.warnings.count("extra_bytes"), 1)
            self.assertFalse(connection.usable)

    def test_fields_are_told_as_they_were_sent(self) -> None:
        """White space around values is no part of them; all else is, also where the head had to be mended."""
        lines = b"X:  a \t\r\nContent-Length: 5, 5\r\nx: \xff\r\nTransfer-Encoding:\r\n"
        for bad in (b"", b"bad line\r\n"):
            connection, _ = connected()
            exchange = Exchange(connection)
            connection.dataReceived(OK + lines + bad + b"\r\nhello")
            assert exchange.response is not None
            self.assertEqual(
                exchange.response.fields,
                [(b"X", b"a"), (b"Content-Length", b"5, 5"), (b"x", b"\xff"), (b"Transfer-Encoding", b"")],
            )

    def test_announced_length(self) -> None:
        """The length is told before the body is read; unknown where the body's end is its own sign."""
        for data, length in ((PLAIN, 5), (CHUNKED, None), (OK + b"\r\n", None), (b"HTTP/1.1 204 -\r\n\r\n", 0)):
            connection, _ = connected()
            exchange = Exchange(connection)
            connection.dataReceived(data)
            assert exchange.response is not None
            self.assertEqual(exchange.response.length if isinstance(exchange.response.length, int) else None, length)

    def test_a_head_that_drips_is_not_read_again_with_every_byte(self) -> None:
        """A bad head is looked at again when one of its lines has ended: time grows with its lines, not its bytes."""
        reads: list[int] = []
        mend = answer.mend
        self.patch(answer, "mend", lambda data: reads.append(len(data)) or mend(data))
        connection, _ = connected()
        exchange = Exchange(connection)
        head = OK + b"bad line\r\nX: %b\r\n" % (b"x" * 20_000) + LENGTH
        for segment in pieces(head, range(0, len(head), 2)):
            connection.dataReceived(segment)
        self.assertEqual(exchange.body.data, b"hello")
        self.assertLess(sum(size > answer.SMALL_HEAD for size in reads), 10)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.data])
def test_cut_in_two(name: str) -> None:
    """Every place where the bytes can be cut in two."""
    case = CASES[name]
    whole = see(case, [case.data])
    step = 1 if len(case.data) < 1000 else 97
    for cut in range(1, len(case.data), step):
        assert see(case, [case.data[:cut], case.data[cut:]]) == whole, cut


class ReuseTests(SynchronousTestCase):
    """One exchange after the other on one connection."""

    def setUp(self) -> None:
        self.owner = FakeOwner()
        self.connection, self.transport = connected(self.owner)

    def exchange(self, data: bytes = b"", method: str = "GET") -> Exchange:
        exchange = Exchange(self.connection, method)
        if data:
            self.connection.dataReceived(data)
        return exchange

    def test_request_is_written_as_it_is(self) -> None:
        """The envelope's head, all of it, once."""
        exchange = self.exchange()
        self.assertEqual(self.transport.written, exchange.envelope.head)

    def test_a_good_answer_frees_the_connection(self) -> None:
        """The owner gets it back before the consumer hears of the end."""
        free: list[int] = []
        exchange = self.exchange()
        exchange.body.connectionLost = lambda reason=None: free.append(len(self.owner.free))  # type: ignore[method-assign]
        self.connection.dataReceived(PLAIN)
        self.assertEqual(free, [1])

    def test_many_answers_on_one_connection(self) -> None:
        """Lengths, chunks, HEAD, 304, mended and interim answers follow one another."""
        for method, data, body in (
            ("GET", PLAIN, b"hello"),
            ("HEAD", OK + b"Content-Length: 5\r\n\r\n", b""),
            ("GET", CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
            ("GET", b"HTTP/1.1 304 -\r\nContent-Length: 5\r\n\r\n", b""),
            ("HEAD", CHUNKED, b""),
            ("GET", b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", b"hello"),
            ("GET", b"HTTP/1.1 100 -\r\n\r\n" + PLAIN, b"hello"),
            ("GET", PLAIN, b"hello"),
        ):
            exchange = self.exchange(data, method)
            self.assertEqual((exchange.body.data, exchange.code), (body, None))
            self.assertIsInstance(exchange.body.why, ResponseDone)
        self.assertEqual(len(self.owner.free), 8)
        self.assertEqual(self.owner.lost, [])

    def test_reused_is_told(self) -> None:
        """The trace says whether the request was the first on its connection."""
        first, second = self.exchange(PLAIN), self.exchange(PLAIN)
        self.assertEqual((first.envelope.trace.reused, second.envelope.trace.reused), (False, True))

    def test_what_is_odd_is_not_reused(self) -> None:
        """A connection whose answer had to be mended is closed, and the owner is told once."""
        self.exchange(OK + b"bad line\r\n" + LENGTH)
        self.assertTrue(self.transport.aborted)
        self.connection.connectionLost(lost(ConnectionAborted))
        self.assertEqual((self.owner.free, self.owner.lost), ([], [self.connection]))

    def test_bytes_on_an_idle_connection_close_it(self) -> None:
        """They would become the answer to the next request (row 32)."""
        self.exchange(PLAIN)
        self.connection.dataReceived(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        self.assertTrue(self.transport.aborted)
        self.assertEqual(self.owner.lost, [self.connection])
        exchange = self.exchange()
        self.assertIsInstance(exchange.error, StaleConnection)

    def test_close_of_an_idle_connection(self) -> None:
        """The owner is told, once."""
        self.exchange(PLAIN)
        self.connection.connectionLost(lost(FIN))
        self.assertEqual(self.owner.lost, [self.connection])
        self.assertFalse(self.connection.usable)

    def test_stale_connection(self) -> None:
        """A reused connection that ends before the first byte is stale, however it ends (row 21)."""
        for reason in (FIN, RST):
            self.setUp()
            self.exchange(PLAIN)
            exchange = self.exchange()
            self.connection.connectionLost(lost(reason))
            self.assertIsInstance(exchange.error, StaleConnection)

    def test_a_reused_connection_that_has_begun_to_answer_is_not_stale(self) -> None:
        """After the first byte the request has been seen, and repeating it would be sending it twice."""
        self.exchange(PLAIN)
        exchange = self.exchange(b"H")
        self.connection.connectionLost(lost(FIN))
        self.assertEqual(exchange.code, "http_truncated_headers")

    def test_an_answer_that_is_refused_is_no_rest_of_another(self) -> None:
        """It is not sent again: the server has seen the request, and answers so."""
        for refused, code in (
            (OK + b"Transfer-Encoding: gzip\r\n\r\n", "http_bad_framing"),
            (OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", "http_bad_framing"),
            (OK + b"X: x\r\n" * 1500 + b"\r\n", "headers_too_large"),
            (b"HTTP/1.1 101 -\r\n\r\n", "http_protocol"),
            (OK + b"X: a\0b\r\n\r\n", "http_bad_header"),
        ):
            self.setUp()
            self.exchange(PLAIN)
            exchange = self.exchange(refused)
            self.assertEqual(exchange.code, code)
            self.assertNotIsInstance(exchange.error, StaleConnection)

    def test_two_answers_to_one_request(self) -> None:
        """One of them is left over from the request before, and nobody knows which: it is sent again, on a new one."""
        for first in (PLAIN, OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", b"HTTP/1.1 204 -\r\n\r\n"):
            self.setUp()
            self.exchange(PLAIN)
            exchange = self.exchange(first + PLAIN)
            self.assertEqual(exchange.code, "http_desync")
            self.assertIsInstance(exchange.error, StaleConnection)
            self.assertTrue(self.transport.aborted)

    def test_junk_after_an_answer_is_none(self) -> None:
        """Neither on a kept connection, nor a second answer on a new one: what came first is the answer."""
        for earlier, data in (([PLAIN], PLAIN + b"junk"), ([], PLAIN + PLAIN)):
            self.setUp()
            for before in earlier:
                self.exchange(before)
            exchange = self.exchange(data)
            assert exchange.response is not None
            self.assertEqual((exchange.code, exchange.response.warnings), (None, ["extra_bytes"]))

    def test_idle_connection_is_read(self) -> None:
        """Though its last body was never asked for: else its close would go unnoticed."""
        self.connection.send(envelope())
        self.connection.dataReceived(PLAIN[:-1])
        self.assertFalse(self.transport.reading)
        self.connection.dataReceived(PLAIN[-1:])
        self.assertTrue(self.transport.reading)


class BeforeTheRequestTests(SynchronousTestCase):
    """A new connection on which the server acts first."""

    def setUp(self) -> None:
        self.owner = FakeOwner()
        self.connection, self.transport = connected(self.owner)

    def test_close(self) -> None:
        """It is an empty reply, not a stale connection."""
        self.connection.connectionLost(lost(FIN))
        self.assertEqual(Exchange(self.connection).code, "empty_reply")
        self.assertEqual(self.transport.written, b"")

    def test_reset(self) -> None:
        """It is a reset."""
        self.connection.connectionLost(lost(RST))
        self.assertEqual(Exchange(self.connection).code, "conn_reset")

    def test_banner(self) -> None:
        """Who greets is not HTTP, and gets no request."""
        self.connection.dataReceived(b"220 mail.example ESMTP\r\n")
        self.assertTrue(self.transport.aborted)
        self.assertEqual(Exchange(self.connection).code, "http_not_http")
        self.assertEqual(self.owner.lost, [self.connection])

    def test_answer(self) -> None:
        """An answer before the request is nobody's."""
        self.connection.dataReceived(PLAIN)
        self.assertEqual(Exchange(self.connection).code, "http_desync")


class InterruptTests(SynchronousTestCase):
    """Whoever gives up closes the socket, at whatever moment; and nothing more is delivered."""

    def setUp(self) -> None:
        self.owner = FakeOwner()
        self.connection, self.transport = connected(self.owner)

    def check_closed(self) -> None:
        self.assertTrue(self.transport.aborted)
        self.assertEqual((self.owner.free, self.owner.lost), ([], [self.connection]))
        self.connection.connectionLost(lost(ConnectionAborted))
        self.assertEqual(self.owner.lost, [self.connection])

    def test_cancel_before_the_answer(self) -> None:
        """Cancelling what send() gave closes the socket, before and after the first bytes."""
        for data in (b"", b"HTTP/1.1 2", OK, b"HTTP/1.1 100 -\r\n\r\n", OK + b"bad line\r\n"):
            self.setUp()
            sent = self.connection.send(envelope())
            if data:
                self.connection.dataReceived(data)
            sent.cancel()
            self.failureResultOf(sent, CancelledError)
            self.check_closed()

    def test_abort_when_the_head_arrives(self) -> None:
        """The consumer may refuse in the callback: the body in the same segment is not delivered."""
        body = Body()

        def refuse(response: WireResponse) -> None:
            response.deliverBody(body)
            response.abort()

        self.connection.send(envelope()).addCallback(refuse)
        self.connection.dataReceived(PLAIN)
        self.assertEqual((body.data, body.why), (b"", None))
        self.check_closed()

    def test_abort_inside_the_body(self) -> None:
        """The consumer may stop while it is given data: neither more nor an end follows."""
        exchange = Exchange(self.connection)

        def stop(_: bytes) -> None:
            assert exchange.response is not None
            exchange.response.abort()

        exchange.body.dataReceived = stop  # type: ignore[method-assign]
        self.connection.dataReceived(PLAIN)
        self.assertIsNone(exchange.body.why)
        self.check_closed()

    def test_abort_at_the_end_harms_nobody(self) -> None:
        """Once the body has ended the connection belongs to the next request."""
        exchange = Exchange(self.connection)
        self.connection.dataReceived(PLAIN)
        other = Exchange(self.connection)
        assert exchange.response is not None
        exchange.response.abort()
        self.connection.dataReceived(PLAIN)
        self.assertEqual((other.body.data, other.code), (b"hello", None))

    def test_next_request_from_within_the_end(self) -> None:
        """Who hears that a body has ended may send the next request on the same connection at once."""
        others: list[Exchange] = []
        exchange = Exchange(self.connection)
        exchange.body.connectionLost = lambda reason=None: others.append(Exchange(self.connection))  # type: ignore[method-assign]
        self.connection.dataReceived(PLAIN)
        self.connection.dataReceived(CHUNKED + b"3\r\ntwo\r\n0\r\n\r\n")
        self.assertEqual((others[0].body.data, others[0].code), (b"two", None))
        self.assertEqual(len(self.owner.free), 2)

    def test_next_request_from_within_the_head(self) -> None:
        """A HEAD with junk behind it is over when its head is told: nothing of it meets the next request."""
        exchange = Exchange(self.connection, "HEAD")
        sent: list[Any] = []
        exchange.body.connectionLost = lambda reason=None: sent.append(outcome_of(self.connection.send(envelope())))  # type: ignore[method-assign]
        self.connection.dataReceived(CHUNKED + b"junk")
        self.assertEqual(self.owner.free, [])
        self.assertEqual(len(sent[0]), 1)

    def test_close_while_the_consumer_is_told_of_the_body(self) -> None:
        """A consumer that closes the connection's pool inside its callback is told nothing more."""
        exchange = Exchange(self.connection)
        exchange.body.dataReceived = lambda data: self.connection.abort()  # type: ignore[method-assign]
        self.connection.dataReceived(OK + b"Content-Length: 9\r\n\r\nhello")
        self.assertIsNone(exchange.body.why)
        self.check_closed()

    def test_an_error_in_the_body_comes_after_what_arrived(self) -> None:
        """A chunk that makes no sense ends the body behind the good ones, also where nobody has asked for it yet."""
        responses: list[WireResponse] = []
        self.connection.send(envelope()).addCallback(responses.append)
        self.connection.dataReceived(CHUNKED + b"5\r\nhello\r\nzz\r\n")
        self.check_closed()
        body = Body()
        responses[0].deliverBody(body)
        self.assertEqual((body.data, body.code), (b"hello", "http_bad_chunk"))

    def test_a_bug_of_the_consumer_is_called_one(self) -> None:
        """What a consumer raises reaches the transport, which closes; the body then ends with `internal`."""
        exchange = Exchange(self.connection)

        def bug(_: bytes) -> None:
            raise ZeroDivisionError

        exchange.body.dataReceived = bug  # type: ignore[method-assign]
        with self.assertRaises(ZeroDivisionError):
            self.connection.dataReceived(OK + b"Content-Length: 9\r\n\r\nhello")
        self.connection.connectionLost(Failure(ZeroDivisionError()))
        self.assertEqual(exchange.code, "internal")


class BackPressureTests(SynchronousTestCase):
    """Reading stops when nobody takes the body."""

    def setUp(self) -> None:
        self.connection, self.transport = connected()

    def answered(self, data: bytes) -> WireResponse:
        sent = self.connection.send(envelope())
        self.connection.dataReceived(data)
        response: WireResponse = self.successResultOf(sent)
        return response

    def test_no_reading_before_the_body_is_asked_for(self) -> None:
        """At most what came with the head is held; deliverBody sets the transport going."""
        response = self.answered(OK + b"Content-Length: 9\r\n\r\nhell")
        self.assertFalse(self.transport.reading)
        body = Body()
        response.deliverBody(body)
        self.assertTrue(self.transport.reading)
        self.connection.dataReceived(b"o ")
        self.assertTrue(self.transport.reading)
        self.connection.dataReceived(b"you")
        self.assertEqual(body.data, b"hello you")

    def test_consumer_pauses_and_resumes(self) -> None:
        """Pausing the response pauses the transport, from without and from within dataReceived."""
        response = self.answered(OK + b"Content-Length: 9\r\n\r\n")
        body = Body()
        response.deliverBody(body)
        response.pauseProducing()
        self.assertFalse(self.transport.reading)
        response.resumeProducing()
        self.assertTrue(self.transport.reading)

    def test_pause_while_the_first_bytes_are_delivered(self) -> None:
        """deliverBody does not undo what the consumer has asked for meanwhile."""
        response = self.answered(OK + b"Content-Length: 9\r\n\r\nhell")
        body = Body()
        body.dataReceived = lambda data: response.pauseProducing()  # type: ignore[method-assign]
        response.deliverBody(body)
        self.assertFalse(self.transport.reading)

    def test_pause_and_resume_while_the_first_bytes_are_delivered(self) -> None:
        """The last word counts."""
        response = self.answered(OK + b"Content-Length: 9\r\n\r\nhell")
        body = Body()
        body.connectionMade = response.pauseProducing  # type: ignore[method-assign]
        body.dataReceived = lambda data: response.resumeProducing()  # type: ignore[method-assign]
        response.deliverBody(body)
        self.assertTrue(self.transport.reading)

    def test_end_of_a_paused_body(self) -> None:
        """The last bytes may come while paused; the freed connection is read again."""
        response = self.answered(OK + b"Content-Length: 5\r\n\r\n")
        response.deliverBody(Body())
        response.pauseProducing()
        self.connection.dataReceived(b"hello")
        self.assertTrue(self.transport.reading)

    def test_a_consumer_that_is_late_does_not_touch_the_next_exchange(self) -> None:
        """Pausing a response that has ended pauses nobody else."""
        response = self.answered(PLAIN)
        Exchange(self.connection)
        response.pauseProducing()
        self.assertTrue(self.transport.reading)

    def test_lost_connection_is_left_alone(self) -> None:
        """A closed transport is neither paused nor resumed."""
        response = self.answered(OK + b"Content-Length: 9\r\n\r\nhell")
        self.connection.connectionLost(lost(RST))
        self.transport.aborted = True  # it complains from now on
        body = Body()
        response.deliverBody(body)
        response.pauseProducing()
        response.resumeProducing()
        self.assertEqual((body.data, body.code), (b"hell", "body_truncated"))


class Ticking(Clock):
    """A clock on which each look takes a millisecond, as each slice of the work does."""

    def seconds(self) -> float:
        self.rightNow += 0.001
        return self.rightNow

    def turn(self) -> None:
        """One turn of the reactor: what is due now, and nothing that this asks for."""
        for call in self.getDelayedCalls():
            function = call.func
            call.cancel()
            function()


class InTurnsTests(SynchronousTestCase):
    """What takes long to read is read in slices, in turns with all else; meanwhile the transport is paused."""

    SMALL = CHUNKED + b"1\r\nx\r\n" * 20_000  # 20 ms in one go

    def setUp(self) -> None:
        self.clock = Ticking()
        self.owner = FakeOwner(self.clock)
        self.connection, self.transport = connected(self.owner, now=self.clock.seconds)

    def turns(self, exchange: Exchange) -> list[int]:
        """How much of the body has come after each turn of the reactor, until the connection waits for the server."""
        sizes = [len(exchange.body.data)]
        while self.clock.getDelayedCalls():
            self.assertFalse(self.transport.reading)
            self.clock.turn()
            sizes.append(len(exchange.body.data))
        return sizes

    def test_chunks_of_a_byte(self) -> None:
        """Some are read at once, the others in many turns; then the connection is read on, and is used again."""
        exchange = Exchange(self.connection)
        self.connection.dataReceived(self.SMALL)
        sizes = self.turns(exchange)
        self.assertEqual((sizes[0], sizes[-1]), (answer.FREE_LINES, 20_000))
        self.assertLess(max(after - before for before, after in pairwise(sizes)), 12 * LINES)
        self.assertTrue(self.transport.reading)
        self.connection.dataReceived(b"0\r\n\r\n")
        self.assertIsInstance(exchange.body.why, ResponseDone)
        self.assertEqual(len(self.owner.free), 1)

    def test_trailers_of_a_byte(self) -> None:
        """They count as chunks do."""
        exchange = Exchange(self.connection)
        self.connection.dataReceived(CHUNKED + b"0\r\n" + b"a:\r\n" * 10_000 + b"\r\n")
        self.assertGreater(len(self.turns(exchange)), 2)
        self.assertIsInstance(exchange.body.why, ResponseDone)

    def test_what_comes_meanwhile_waits(self) -> None:
        """A transport may have read before it was paused."""
        exchange = Exchange(self.connection)
        for data in (self.SMALL, b"3\r\nand\r\n", b"0\r\n\r\nmore"):
            self.connection.dataReceived(data)
        self.turns(exchange)
        self.assertEqual(exchange.body.data, b"x" * 20_000 + b"and")
        assert exchange.response is not None
        self.assertEqual(exchange.response.warnings, ["extra_bytes"])

    def test_it_is_lost_meanwhile(self) -> None:
        """What had come is read to its end before the loss is judged: it may have been all."""
        for end, code in ((b"0\r\n\r\n", None), (b"", "body_truncated"), (b"zz\r\n", "http_bad_chunk")):
            self.setUp()
            exchange = Exchange(self.connection)
            self.connection.dataReceived(self.SMALL + end)
            self.connection.connectionLost(lost(FIN))
            self.assertIsNone(exchange.body.why)
            while self.clock.getDelayedCalls():
                self.clock.turn()
            self.assertEqual((exchange.body.data, exchange.code), (b"x" * 20_000, code), end)
            self.assertEqual((self.owner.free, self.owner.lost), ([], [self.connection]))

    def test_it_is_given_up_meanwhile(self) -> None:
        """Nothing more is delivered, and no work is left."""
        exchange = Exchange(self.connection)
        self.connection.dataReceived(self.SMALL)
        assert exchange.response is not None
        exchange.response.abort()
        self.clock.turn()
        self.assertEqual((len(exchange.body.data), exchange.body.why), (answer.FREE_LINES, None))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_consumer_that_pauses_meanwhile(self) -> None:
        """The transport stays paused when the work is done: nobody wants more."""
        exchange = Exchange(self.connection)
        self.connection.dataReceived(self.SMALL)
        assert exchange.response is not None
        exchange.response.pauseProducing()
        self.turns(exchange)
        self.assertFalse(self.transport.reading)
        exchange.response.resumeProducing()
        self.assertTrue(self.transport.reading)

    def test_a_bug_of_the_consumer_is_called_one(self) -> None:
        """As where it is met at once."""
        exchange = Exchange(self.connection)
        self.connection.dataReceived(self.SMALL)

        def bug(_: bytes) -> None:
            raise ZeroDivisionError

        exchange.body.dataReceived = bug  # type: ignore[method-assign]
        self.clock.turn()
        self.assertEqual(exchange.code, "internal")
        self.assertTrue(self.transport.aborted)

    def test_all_have_their_turns(self) -> None:
        """Ten such servers do not hold the reactor for longer than one does."""
        exchanges = []
        for _ in range(10):
            connection, _transport = connected(self.owner, now=self.clock.seconds)
            exchanges.append(Exchange(connection))
            connection.dataReceived(self.SMALL)
        for _ in range(3):  # each begins with nothing but taking its place
            self.clock.turn()
        before = [len(exchange.body.data) for exchange in exchanges]
        self.clock.turn()
        read = [len(exchange.body.data) - start for exchange, start in zip(exchanges, before, strict=True)]
        self.assertLess(sum(read), 12 * LINES)
        self.assertGreater(sum(size > 0 for size in read), 3)

    def test_our_own_delay_is_not_the_servers(self) -> None:
        """Each slice counts as a sign of life."""
        exchange = Exchange(self.connection)
        self.connection.dataReceived(self.SMALL)
        heard = exchange.envelope.trace.last_byte
        self.clock.rightNow += 30
        self.clock.turn()
        self.assertGreater(exchange.envelope.trace.last_byte, heard + 29)


class TraceTests(SynchronousTestCase):
    """What the trace says, and what that costs."""

    def setUp(self) -> None:
        self.now = 10.0
        self.readings = 0
        self.connection, _ = connected(now=self.clock)

    def clock(self) -> float:
        self.readings += 1
        return self.now

    def test_phases(self) -> None:
        """`headers` from the request on, `body` from the end of the head; the first and the last byte have their times."""
        self.connection.remote_ip = "192.0.2.1"
        exchange = Exchange(self.connection)
        trace = exchange.envelope.trace
        self.assertEqual((trace.phase, trace.phase_started, trace.remote_ip), ("headers", 10.0, "192.0.2.1"))
        for time, data in ((11.0, b"HTTP"), (12.0, PLAIN[4:-2]), (13.0, PLAIN[-2:])):
            self.now = time
            self.connection.dataReceived(data)
        self.assertEqual((trace.phase, trace.phase_started), ("body", 12.0))
        self.assertEqual((trace.first_byte, trace.last_byte, trace.received), (11.0, 13.0, 5))

    def test_only_body_bytes_are_counted(self) -> None:
        """Neither heads nor the frames of chunks are part of the body's size on the wire."""
        exchange = Exchange(self.connection)
        self.connection.dataReceived(
            b"HTTP/1.1 100 -\r\n\r\n" + CHUNKED + b"2\r\nhe\r\n3;x\r\nllo\r\n0\r\nT: x\r\n\r\n"
        )
        self.assertEqual(exchange.envelope.trace.received, 5)

    def test_one_reading_of_the_clock_for_each_segment(self) -> None:
        """One when the request is sent and one for each segment, however much it holds."""
        Exchange(self.connection)
        self.connection.dataReceived(PLAIN[:20])
        self.connection.dataReceived(PLAIN[20:])
        self.assertEqual(self.readings, 3)


class GarbageTests(SynchronousTestCase):
    """Nothing that a server can send is a bug of ours."""

    @settings(max_examples=50, derandomize=True, database=None)
    @given(
        data=st.lists(
            st.one_of(
                st.binary(max_size=8),
                st.sampled_from(
                    [
                        OK,
                        PLAIN,
                        CHUNKED,
                        LENGTH,
                        b"\r\n",
                        b"5\r\nhello\r\n",
                        b"0\r\n",
                        b"HTTP/1.1 100 -\r\n\r\n",
                        b"A: b",
                    ]
                ),
            ),
            max_size=6,
        ),
        method=st.sampled_from(["GET", "HEAD"]),
        end=st.sampled_from([FIN, RST]),
    )
    def test_every_exchange_ends(self, data: list[bytes], method: str, end: type[Exception]) -> None:
        """A response or an error, a body with an end, and no exception, whatever comes and however it is cut."""
        outcomes = set()
        whole = b"".join(data)
        for segments in (data, [whole], pieces(whole, range(len(whole)))):
            connection, transport = connected()
            exchange = Exchange(connection, method)
            for segment in segments:
                if segment and not transport.aborted:
                    connection.dataReceived(segment)
            if not transport.aborted:
                connection.connectionLost(lost(end))
            assert exchange.error is not None or exchange.body.why is not None
            assert exchange.code in {None, *CODES_OF_THE_WIRE}
            outcomes.add((exchange.code, exchange.body.data))
        assert len(outcomes) == 1, outcomes


CODES_OF_THE_WIRE = {
    "empty_reply", "conn_reset", "http_truncated_headers", "http_not_http", "http_bad_status", "http_bad_header",
    "headers_too_large", "http_bad_framing", "http_bad_chunk", "http_too_many_1xx", "http_protocol", "body_truncated",
    "body_too_large",
}  # fmt: skip
