"""Codings that do not decode, pages that are not what they say, and redirects that lead astray."""

from __future__ import annotations

import gzip
import zlib
from itertools import count
from typing import Final

from crawler.site.faults.script import (
    PAGE,
    Fault,
    closes,
    framed,
    group,
    packed,
    page,
    redirect,
    resets,
    stalls,
    stays,
)
from crawler.site.pages import ENCODED, PLAIN, raw_deflate
from crawler.site.wire import Wire

MIB: Final = 1024 * 1024
BOMB_MIB: Final = 64


def _bomb(wire: Wire) -> None:
    """One gzip member of BOMB_MIB MiB of zeros. Compressed once a MiB: flushed blocks repeat."""
    zeros = bytes(MIB)
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    block = packer.compress(zeros) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = 0
    for _ in range(BOMB_MIB):
        checksum = zlib.crc32(zeros, checksum)
    trailer = checksum.to_bytes(4, "little") + (BOMB_MIB * MIB).to_bytes(4, "little")
    wire.send(packed(b"gzip", b"\x1f\x8b\x08\0\0\0\0\0\x02\x03" + block * BOMB_MIB + b"\x03\0" + trailer))
    wire.done()


def _downgrade(wire: Wire) -> None:
    wire.send(redirect(b"http://%b/hello/english.html" % wire.header("host").encode()))
    wire.done()


def _endless_redirect(wire: Wire) -> None:
    wire.send(redirect(b"/fault/redirect-endless?%d" % (int(wire.query or "0") + 1)))
    wire.done()


def _nested_gzip(times: int) -> bytes:
    body = PAGE
    for _ in range(times):
        body = gzip.compress(body, mtime=0)
    return packed(b", ".join([b"gzip"] * times), body)


_HELLO: Final = "<title>你好,世界</title><p>这个页面没有声明编码。</p>".encode("gbk")
_LATE: Final = b"<!--%b--><meta charset=gbk>" % (b"-" * 39_000)
_GZIP: Final = ENCODED["gzip"]
_TWO_MEMBERS: Final = gzip.compress(PLAIN[:100], mtime=0) + gzip.compress(PLAIN[100:], mtime=0)

CODING: Final = {
    "gzip-truncated": Fault(
        (58,), "gzip that ends in its middle", "body_truncated", stays(packed(b"gzip", _GZIP[:-20]))
    ),
    "gzip-no-trailer": Fault(
        (58,), "gzip without its checksum", "ok", stays(packed(b"gzip", _GZIP[:-8])), ("no_checksum",)
    ),
    "deflate-no-trailer": Fault(
        (58,),
        "deflate without its checksum",
        "ok",
        stays(packed(b"deflate", ENCODED["deflate"][:-4])),
        ("no_checksum",),
    ),
    "gzip-length-differs": Fault(
        (58,),
        "gzip that is whole before the announced end",
        "ok",
        closes(framed(b"Content-Encoding: gzip", b"Content-Length: 9999", body=_GZIP)),
        ("early_end",),
    ),
    **group(
        (58,),
        "decode_error",
        [
            ("gzip-bad-checksum", "gzip with a wrong checksum", stays(packed(b"gzip", _GZIP[:-8] + b"\0" * 8))),
            ("gzip-not", "says gzip and is not", stays(packed(b"gzip", PAGE))),
        ],
    ),
    "gzip-members": Fault((59,), "gzip of two members", "ok", stays(packed(b"gzip", _TWO_MEMBERS))),
    "gzip-junk": Fault((59,), "gzip, then junk", "ok", stays(packed(b"gzip", _GZIP + b"junk")), ("trailing_junk",)),
    **group(
        (60,),
        "ok",
        [
            ("gzip-upper-case", "Content-Encoding: GZIP", stays(packed(b"GZIP", _GZIP))),
            ("x-gzip", "Content-Encoding: x-gzip", stays(packed(b"x-gzip", _GZIP))),
            ("deflate-raw", "deflate without its zlib wrapper", stays(packed(b"deflate", raw_deflate(PLAIN)))),
            ("gzip-twice", "gzip in gzip", stays(_nested_gzip(2))),
        ],
    ),
    "gzip-nested": Fault((61,), "gzip, ten times over", "decode_error", stays(_nested_gzip(10))),
    "gzip-bomb": Fault((62,), f"64 kB that unpack to {BOMB_MIB} MiB", "body_too_large", _bomb),
    "charset-bogus": Fault(
        (95,), "a charset that does not exist", "ok", stays(page(media=b"text/html; charset=utf-7000"))
    ),
    "charset-late": Fault(
        (95,), "a charset that is declared after 39 kB", "ok", stays(page(media=b"text/html", body=_LATE + _HELLO))
    ),
    "charset-undeclared": Fault((95,), "GBK, and nobody says so", "ok", stays(page(media=b"text/html", body=_HELLO))),
    "nul-in-body": Fault((96,), "NULs in the page", "ok", stays(page(body=b"<title>a\0b</title>\0"))),
    "binary-as-html": Fault((96,), "bytes that are no HTML", "ok", stays(page(body=bytes(range(256))))),
}

_SCHEMES: Final = {
    "file": b"file:///etc/passwd",
    "ftp": b"ftp://no-such-host.invalid/",
    "data": b"data:text/html,hello",
    "javascript": b"javascript:alert(1)",
    "mailto": b"mailto:someone@example.org",
}
_MOVED: Final = b"HTTP/1.1 302 Found\r\nLocation: /hello/english.html\r\n"
_CHUNKED: Final = b"Transfer-Encoding: chunked\r\n\r\n"


_visits: Final = count()


def _to_itself(wire: Wire) -> None:
    """Send every other visit round once more."""
    if next(_visits) % 2 == 0:
        wire.send(page(b"Location: redirect-cookie", b"Set-Cookie: seen=1", line=b"HTTP/1.1 302 Found"))
    else:
        wire.send(page())
    wire.done()


REDIRECTS: Final = {
    **group(
        (65,),
        "ok",
        [
            ("redirect-short", "302 that closes inside its body", closes(_MOVED + b"Content-Length: 99\r\n\r\nhello")),
            ("redirect-reset", "302 that resets inside its body", resets(_MOVED + b"Content-Length: 99\r\n\r\nhello")),
            ("redirect-no-end", "302 without length that stays open", stalls(_MOVED + b"\r\nhello")),
            (
                "redirect-gzip-not",
                "302 that says gzip and is not",
                stays(_MOVED + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello"),
            ),
            ("redirect-bad-chunk", "302 with a bad chunk", stays(_MOVED + _CHUNKED + b"xyz\r\n")),
            ("redirect-cut-chunk", "302 that closes inside a chunk", closes(_MOVED + _CHUNKED + b"5\r\nhel")),
            ("redirect-large", "302 that announces 20 MB", stalls(_MOVED + b"Content-Length: 20000000\r\n\r\nhello")),
        ],
        warnings=("redirect_body",),
    ),
    "redirect-cookie": Fault((65,), "redirects to itself once, with a cookie", "ok", _to_itself),
    "redirect-loop": Fault(
        (65,),
        "redirects to itself by way of another",
        "redirect_loop",
        stays(redirect(b"redirect-loop-back")),
        status=302,
    ),
    "redirect-loop-back": Fault(
        (65,), "the other half of the loop", "redirect_loop", stays(redirect(b"redirect-loop")), status=302
    ),
    "redirect-self": Fault(
        (65,), "redirects to itself", "redirect_loop", stays(redirect(b"redirect-self")), status=302
    ),
    "redirect-endless": Fault(
        (65,), "always redirects to a new URL", "too_many_redirects", _endless_redirect, status=302
    ),
    "redirect-nowhere": Fault((66,), "302 without Location", "ok", stays(redirect()), ("no_location",), status=302),
    "redirect-empty": Fault(
        (66,), "302 with an empty Location", "ok", stays(redirect(b"")), ("no_location",), status=302
    ),
    "redirect-two-ways": Fault(
        (67,),
        "two different Locations",
        "redirect_invalid",
        stays(redirect(b"/hello/english.html", b"/paper.pdf")),
        status=302,
    ),
    "redirect-space": Fault((68,), "a space in the Location", "ok", stays(redirect(b"/found/a b"))),
    "redirect-utf-8": Fault((68,), "UTF-8 in the Location", "ok", stays(redirect("/found/Köln".encode()))),
    "redirect-latin-1": Fault((68,), "Latin-1 in the Location", "ok", stays(redirect("/found/Köln".encode("latin-1")))),
    **group(
        (69,),
        "redirect_invalid",
        [
            ("redirect-bad-port", "a Location with port 99999", stays(redirect(b"http://127.0.0.1:99999/"))),
            ("redirect-bad-ipv6", "a Location with half an address", stays(redirect(b"http://[::1/"))),
            ("redirect-bad-host", "a Location with a space in its host", stays(redirect(b"http://bad host/"))),
        ],
        status=302,
    ),
    **group(
        (70, 71),
        "redirect_scheme",
        [
            (f"redirect-{scheme}", f"redirects to {scheme}:", stays(redirect(location)))
            for scheme, location in {**_SCHEMES, "ws": b"ws://127.0.0.1/", "wss": b"wss://127.0.0.1/"}.items()
        ],
        status=302,
    ),
    "redirect-downgrade": Fault(
        (72,), "https redirects to http", "redirect_downgrade", _downgrade, status=302, tls=True
    ),
}
