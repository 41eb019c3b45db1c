"""Status lines and headers that no specification knows."""

from __future__ import annotations

from typing import Final

from crawler.site.faults.script import PAGE, Fault, closes, floods, framed, group, page, stalls, stays

_BUSY: Final = b"HTTP/1.1 429 Too Many Requests"
_RETRY_AFTER: Final = {"date": "Fri, 31 Dec 2999 23:59:59 GMT", "huge": "9" * 20, "negative": "-5", "words": "soon"}
_ESCAPES: Final = "\x1b[31mred\x1b[0m \x07bell \u202eright-to-left".encode()

STATUS_LINE: Final = {
    "continue-first": Fault(
        (43,), "100 Continue, then the answer", "ok", stays(b"HTTP/1.1 100 Continue\r\n\r\n" + page())
    ),
    "early-hints": Fault(
        (43,),
        "103 Early Hints, then the answer",
        "ok",
        stays(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" + page()),
    ),
    "interim-twenty": Fault((44,), "twenty 100 Continue", "ok", stays(b"HTTP/1.1 100 Continue\r\n\r\n" * 20 + page())),
    "interim-flood": Fault(
        (44,), "a thousand 100 Continue", "http_too_many_1xx", stays(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000 + page())
    ),
    "switching-protocols": Fault(
        (45,),
        "101 without having been asked",
        "http_protocol",
        stalls(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"),
    ),
    **group(
        (46, 47),
        "http_not_http",
        [
            ("http-0.9", "a bare HTML page without any headers", closes(PAGE)),
            ("ssh-banner", "greets like an SSH server", stalls(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")),
            ("garbage", "random bytes", closes(bytes(range(128, 256)))),
            ("http-2", "speaks HTTP/2", stalls(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")),
            ("icy", "ICY 200 OK, as radio stations do", closes(page(line=b"ICY 200 OK"))),
            ("http-11.1", "HTTP/11.1", stays(page(line=b"HTTP/11.1 200 OK"))),
        ],
    ),
    "http-2-text": Fault((47,), "HTTP/2 200 OK, as text", "ok", stays(page(line=b"HTTP/2 200 OK"))),
    "http-1.2": Fault((47,), "HTTP/1.2, to be read as 1.1", "ok", stays(page(line=b"HTTP/1.2 200 OK"))),
    **group(
        (48,),
        "http_bad_status",
        [
            ("status-zero", "status 0", stays(page(line=b"HTTP/1.1 0 OK"))),
            ("status-negative", "status -200", stays(page(line=b"HTTP/1.1 -200 OK"))),
            ("status-underscores", "status 2_0_0", stays(page(line=b"HTTP/1.1 2_0_0 OK"))),
            ("status-99999", "status 99999", stays(page(line=b"HTTP/1.1 99999 OK"))),
            ("status-100-digits", "a status of a hundred digits", stays(page(line=b"HTTP/1.1 " + b"2" * 100 + b" OK"))),
        ],
    ),
    "status-799": Fault(
        (48,), "status 799", "ok", stays(page(line=b"HTTP/1.1 799 Unheard Of")), ("unusual_status",), status=799
    ),
    "blank-line-first": Fault((49,), "an empty line before the status", "ok", stays(b"\r\n" + page())),
    **group(
        (49,),
        "ok",
        [
            ("blank-lines-first", "two empty lines before the status", stays(b"\r\n\r\n" + page())),
            ("lf-first", "a line feed before the status", stays(b"\n" + page())),
            ("cr-cr-lf", "lines of the head end in CR CR LF", stays(page().replace(b"\r\n", b"\r\r\n"))),
        ],
    ),
    "status-404": Fault((100,), "404 Not Found", "ok", stays(page(line=b"HTTP/1.1 404 Not Found")), status=404),
    "status-500": Fault((100,), "500", "ok", stays(page(line=b"HTTP/1.1 500 Internal Server Error")), status=500),
    **group(
        (99,),
        "ok",
        [
            (
                f"busy-{name}",
                f"429 with Retry-After: {value}",
                stays(page(f"Retry-After: {value}".encode(), line=_BUSY)),
            )
            for name, value in _RETRY_AFTER.items()
        ],
        status=429,
    ),
}

_BAD = ("bad_header",)
HEADERS: Final = {
    "header-no-colon": Fault((50,), "a header without a colon", "ok", stays(page(b"just words")), _BAD),
    "header-no-name": Fault((50,), "a header without a name", "ok", stays(page(b": value")), _BAD),
    "header-space-in-name": Fault((50,), "a space in a header's name", "ok", stays(page(b"Bad Name: value")), _BAD),
    "header-nul-in-name": Fault((50,), "a NUL in a header's name", "ok", stays(page(b"Bad\0Name: value")), _BAD),
    "header-utf8-name": Fault((50,), "UTF-8 in a header's name", "ok", stays(page("Überschrift: ja".encode())), _BAD),
    "header-space": Fault((51,), "a space before a header's colon", "ok", stays(page(b"X-Space : value")), _BAD),
    "length-space": Fault(
        (51,), "a space before the length's colon", "ok", stays(framed(b"Content-Length : %d" % len(PAGE))), _BAD
    ),
    "header-folded-first": Fault(
        (52,), "the first header is a continuation", "ok", stays(page(line=b"HTTP/1.1 200 OK\r\n folded")), _BAD
    ),
    "header-nul": Fault((53,), "a NUL in a header's value", "http_bad_header", stays(page(b"X-Bad: a\0b"))),
    "header-bare-cr": Fault(
        (53,), "a bare CR in a header's value", "http_bad_header", stays(page(b"X-Bad: a\rSet-Cookie: b"))
    ),
    "content-types": Fault(
        (55,),
        "two Content-Types, the last of which counts",
        "ok",
        stays(page(b"Content-Type: text/html", media=b"text/plain, application/octet-stream")),
    ),
    "header-long": Fault((54,), "a header of 100 kB", "ok", stays(page(b"X-Long: " + b"x" * 100_000))),
    "headers-huge": Fault(
        (54,), "headers of 300 KiB", "headers_too_large", stays(page(b"X-Long: " + b"x" * 300 * 1024))
    ),
    "headers-endless": Fault(
        (54,),
        "headers without end",
        "headers_too_large",
        floods(b"HTTP/1.1 200 OK\r\n", b"X-More: and more\r\n" * 1000),
    ),
    "headers-many": Fault((54,), "2,000 headers", "headers_too_large", stays(page(*[b"X-More: x"] * 2000))),
    "header-latin-1": Fault((55,), "Latin-1 in a header's value", "ok", stays(page("X-City: Köln".encode("latin-1")))),
    "cookie-utf-8": Fault((56,), "UTF-8 in a cookie", "ok", stays(page("Set-Cookie: city=Köln; Path=/".encode()))),
    "escape-in-reason": Fault(
        (101,), "ESC, BEL, BiDi in the reason phrase", "ok", stays(page(line=b"HTTP/1.1 200 " + _ESCAPES))
    ),
    "escape-in-title": Fault(
        (101,), "ESC, BEL, BiDi in the title", "ok", stays(page(body=b"<title>%b</title>" % _ESCAPES))
    ),
    "escape-in-header": Fault((101,), "ESC, BEL, BiDi in a header", "ok", stays(page(b"X-Bad: " + _ESCAPES)), _BAD),
}
