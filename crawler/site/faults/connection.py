"""Connections that end, stall or drip at the wrong moment, and messages whose end cannot be told."""

from __future__ import annotations

import gzip
from typing import Final

from crawler.site.faults.script import (
    PAGE,
    Fault,
    closes,
    drips,
    floods,
    framed,
    group,
    head,
    in_chunks,
    page,
    resets,
    stalls,
    stays,
)
from crawler.site.pages import chunked
from crawler.site.wire import Drive, Wire


def _stale(wire: Wire) -> None:
    """Keep the first answer's connection open, and close it when the next request has arrived."""
    if wire.count == 1:
        wire.send(page())
        wire.done()
    else:
        wire.close()


def _rest(wire: Wire) -> None:
    """Go on with the body of the first answer when the next request has arrived, as who miscounts its length does."""
    if wire.count == 1:
        wire.send(page())
        wire.done()
    else:
        wire.send(b"<p>and the rest of the page before")
        wire.close()


def _late(wire: Wire) -> None:
    wire.send(page())
    wire.done()
    wire.later(0.05, wire.send, page(body=b"<title>Not what you asked for</title>"))


def _tls_cut(*fields: bytes) -> Drive:
    def drive(wire: Wire) -> None:
        wire.send(framed(*fields))
        wire.cut()

    return drive


def _odd_chunks(form: bytes) -> bytes:
    return in_chunks(form % (len(PAGE), PAGE))


_FRAMING: Final = ("bad_framing",)
CONNECTION: Final = {
    "empty-reply": Fault((18,), "closes without a byte", "empty_reply", closes()),
    "reset": Fault((19,), "resets the connection instead of an answer", "conn_reset", resets()),
    "silence": Fault((20,), "never answers", "timeout_headers", stalls()),
    "keep-alive-stale": Fault((21,), "closes the kept connection when the next request comes", "ok", _stale),
    "late-bytes": Fault((32,), "a second answer that nobody asked for, 0.05 s after the first", "ok", _late),
    "late-rest": Fault((32,), "what is left of an answer comes instead of the next one", "ok", _rest),
    "status-cut": Fault((23,), "closes inside the status line", "http_truncated_headers", closes(b"HTTP/1.1 20")),
    "headers-cut": Fault(
        (23,), "closes inside the headers", "http_truncated_headers", closes(b"HTTP/1.1 200 OK\r\nContent-Ty")
    ),
    "headers-drip": Fault(
        (24,), "a byte of the headers every 0.1 s", "timeout_headers", drips(b"", head(b"X-Padding: " + b"x" * 2000))
    ),
    "body-drip": Fault(
        (25,), "a byte of the body every 0.1 s", "timeout_total", drips(head(b"Content-Length: 9000"), b"x" * 9000)
    ),
    "body-stall": Fault((26,), "stops inside the body", "timeout_idle", stalls(head(b"Content-Length: 9000") + PAGE)),
    "close-upper-case": Fault((57,), "says 'Connection: Close' and closes", "ok", closes(page(b"Connection: Close"))),
    "http-1.0": Fault((57,), "HTTP/1.0: closes after the answer", "ok", closes(page(line=b"HTTP/1.0 200 OK"))),
}

FRAMING: Final = {
    "body-short": Fault(
        (27,), "closes before the announced end", "body_truncated", closes(framed(b"Content-Length: 999"))
    ),
    "body-short-reset": Fault(
        (27,), "resets before the announced end", "body_truncated", resets(framed(b"Content-Length: 999"))
    ),
    "no-length-reset": Fault((28,), "no length, ends with a reset", "body_truncated", resets(framed())),
    "tls-cut": Fault(
        (29,), "no length, TLS cut without close_notify", "ok", _tls_cut(), ("no_close_notify",), tls=True
    ),
    "tls-cut-length": Fault(
        (29,),
        "TLS cut before the announced end",
        "body_truncated",
        _tls_cut(b"Content-Length: 999"),
        tls=True,
    ),
    "no-length": Fault((30,), "no length, ends with the connection", "ok", closes(framed())),
    "extra-bytes": Fault((31,), "more bytes than announced", "ok", stays(page() + b"and more"), ("extra_bytes",)),
    "answer-twice": Fault(
        (31, 32),
        "a second answer right behind the first",
        "ok",
        stays(page() + page(body=b"<title>Not what you asked for</title>")),
        ("extra_bytes",),
    ),
    "length-twice": Fault(
        (33,), "Content-Length twice, the same", "ok", stays(page(b"Content-Length: %d" % len(PAGE)))
    ),
    "length-list": Fault(
        (33,), "Content-Length: n, n", "ok", stays(framed(b"Content-Length: %d, %d" % (len(PAGE), len(PAGE))))
    ),
    **group(
        (34,),
        "http_bad_framing",
        [
            ("length-differs", "two different Content-Lengths", stays(page(b"Content-Length: 3"))),
            ("length-list-differs", "Content-Length: 3, 5", stays(framed(b"Content-Length: 3, 5"))),
        ],
    ),
    **group(
        (34,),
        "ok",
        [
            ("length-empty", "Content-Length without a number", closes(framed(b"Content-Length:"))),
            ("length-negative", "Content-Length: -2", closes(framed(b"Content-Length: -2"))),
            ("length-plus", "Content-Length: +2", closes(framed(b"Content-Length: +2"))),
            ("length-junk", "Content-Length: 2 apples", closes(framed(b"Content-Length: 2 apples"))),
            ("length-hexadecimal", "Content-Length: 0x20", closes(framed(b"Content-Length: 0x20"))),
        ],
        warnings=_FRAMING,
    ),
    "length-zeros": Fault(
        (35,),
        "Content-Length of 5,000 digits, most of them zeros",
        "ok",
        stays(framed(b"Content-Length: %b" % b"%05000d" % len(PAGE))),
    ),
    "length-5000": Fault(
        (35,), "Content-Length: 5,000 nines", "body_too_large", stays(framed(b"Content-Length: " + b"9" * 5000))
    ),
    "length-huge": Fault(
        (35,), "Content-Length: 10^20", "body_too_large", stays(framed(b"Content-Length: 1" + b"0" * 20))
    ),
    "length-and-chunked": Fault(
        (36,),
        "both Content-Length and chunked",
        "ok",
        stays(framed(b"Content-Length: 3", b"Transfer-Encoding: chunked", body=chunked(PAGE))),
        ("framing_conflict",),
    ),
    "transfer-gzip": Fault(
        (37,),
        "Transfer-Encoding: gzip, chunked",
        "http_bad_framing",
        stays(framed(b"Transfer-Encoding: gzip, chunked", body=chunked(gzip.compress(PAGE, mtime=0)))),
    ),
    "transfer-identity": Fault((38,), "Transfer-Encoding: identity", "ok", stays(page(b"Transfer-Encoding: identity"))),
    **group(
        (39,),
        "http_bad_chunk",
        [
            ("chunk-size-bad", "a chunk size that is no number", stays(in_chunks(b"xyz\r\nhello\r\n0\r\n\r\n"))),
            ("chunk-long", "a chunk longer than its size", stays(in_chunks(b"4\r\nhello\r\n0\r\n\r\n"))),
        ],
    ),
    **group(
        (39,),
        "ok",
        [
            ("chunk-size-blanks", "blanks after the chunk size", stays(_odd_chunks(b"%x     \r\n%b\r\n0\r\n\r\n"))),
            ("chunk-bare-lf", "chunk lines that end in LF only", stays(_odd_chunks(b"%x\n%b\n0\n\n"))),
            ("chunk-extension-odd", "5;a,b as a chunk's line", stays(_odd_chunks(b"%x;a,b\r\n%b\r\n0\r\n\r\n"))),
            ("trailer-no-colon", "a trailer without a colon", stays(_odd_chunks(b"%x\r\n%b\r\n0\r\nwords\r\n\r\n"))),
            (
                "chunked-twice",
                "Transfer-Encoding: chunked, twice",
                stays(framed(*[b"Transfer-Encoding: chunked"] * 2, body=chunked(PAGE))),
            ),
        ],
        warnings=_FRAMING,
    ),
    **group(
        (39,),
        "ok",
        [
            ("chunk-extension", "a chunk's extension", stays(_odd_chunks(b"%x ; a=b\r\n%b\r\n0\r\n\r\n"))),
            ("trailer-folded", "a folded trailer", stays(_odd_chunks(b"%x\r\n%b\r\n0\r\nA: b\r\n c\r\n\r\n"))),
            (
                "trailer-length",
                "Content-Length in the trailer",
                stays(_odd_chunks(b"%x\r\n%b\r\n0\r\nContent-Length: 3\r\n\r\n")),
            ),
        ],
    ),
    "chunks-unfinished": Fault(
        (39,), "closes before the last chunk", "body_truncated", closes(in_chunks(b"5\r\nhello\r\n"))
    ),
    "chunk-size-huge": Fault(
        (40,), "a chunk of 2^70 bytes", "body_too_large", stays(in_chunks(b"4" + b"0" * 17 + b"\r\nhello"))
    ),
    "chunks-endless": Fault(
        (40,), "chunks without end", "body_too_large", floods(in_chunks(b""), b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
    ),
    "chunk-extension-long": Fault(
        (41,),
        "a chunk extension of 100 kB",
        "http_bad_chunk",
        stays(in_chunks(b"5;x=" + b"x" * 100_000 + b"\r\nhello\r\n0\r\n\r\n")),
    ),
    "trailers-huge": Fault(
        (41,),
        "trailers of 200 kB",
        "http_bad_chunk",
        stays(in_chunks(b"5\r\nhello\r\n0\r\n" + b"X-Trailer: %b\r\n" % (b"x" * 1000) * 200 + b"\r\n")),
    ),
    "204-with-body": Fault(
        (42,), "204 with a body", "ok", stays(page(line=b"HTTP/1.1 204 No Content")), ("extra_bytes",), status=204
    ),
    "304-with-body": Fault(
        (42,), "304 with a body", "ok", stays(page(line=b"HTTP/1.1 304 Not Modified")), ("extra_bytes",), status=304
    ),
    "205-without-length": Fault(
        (42,), "205 without a length", "ok", stays(head(line=b"HTTP/1.1 205 Reset Content")), status=205
    ),
    "body-endless": Fault((64,), "no length, no end", "body_too_large", floods(head(), b"x" * 0x10000)),
    "body-too-large": Fault(
        (64,), "a body of one gigabyte", "body_too_large", stalls(head(b"Content-Length: 1073741824"))
    ),
}
