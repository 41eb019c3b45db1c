"""What servers say: pages with links, robots.txt, redirects, and every kind of misbehaviour; made by a seed."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Final

from .network import Answer, Asked

HTML: Final = "Content-Type: text/html"
PRIVATE: Final = "/private/"


@dataclass
class Page:
    """What is at a target. A `fault` happens the first `times` that it is asked for; then the page is as it should be.

    `body` is the truth: whoever says that it got this page, without an error, must have exactly that.
    """

    target: str
    style: str = "length"
    body: bytes = b""
    links: list[str] = field(default_factory=list)
    location: str = ""
    fault: str = ""
    times: int = 0
    slow: float = 0.0
    asked: int = 0

    @property
    def for_ever(self) -> bool:
        return bool(self.fault) and self.times > 1_000


@dataclass
class Site:
    """The pages of one host. `robots` is what /robots.txt says in the end, None for 404; `robots_faults` come first."""

    name: str
    pages: dict[str, Page]
    wall: Callable[[float], float]
    robots: str | None = None
    robots_location: str = ""  # where it is, if it is elsewhere
    robots_faults: list[str] = field(default_factory=list)
    robots_for_ever: bool = False  # the last of the faults
    robots_seen: list[str] = field(default_factory=list)  # in this life of the crawler

    def answer(self, asked: Asked, rng: random.Random, now: float) -> Answer:
        if asked.target == "/robots.txt":
            return self._robots(asked, rng, now)
        page = self.pages.get(asked.target)
        if page is None:
            return _head(404, b"no such page")
        page.asked += 1
        if page.fault and page.asked <= page.times:
            answer = FAULTS[page.fault](page, rng, self.wall(now))
        elif page.location:
            answer = _head(rng.choice((301, 302, 307, 308)), b"moved", f"Location: {page.location}")
        else:
            answer = STYLES[page.style](page)
        if asked.method == "HEAD" and answer.end != "reset":
            answer = Answer(answer.data.partition(b"\r\n\r\n")[0] + b"\r\n\r\n", answer.after, "close", answer.drip)
        answer.after += page.slow
        return answer

    def _robots(self, asked: Asked, rng: random.Random, now: float) -> Answer:
        if self.robots_faults:
            last = self.robots_for_ever and len(self.robots_faults) == 1
            fault = self.robots_faults[0] if last else self.robots_faults.pop(0)
            self.robots_seen.append(fault)
            return FAULTS[fault](Page(asked.target, body=b"User-agent: *\nAllow: /\n"), rng, self.wall(now))
        if self.robots_location:
            return _head(rng.choice((301, 302, 307, 308)), b"moved", f"Location: {self.robots_location}")
        if self.robots is None:
            return _head(404, b"no robots.txt")
        return _head(200, self.robots.encode(), "Content-Type: text/plain")


def _head(status: int, body: bytes, *headers: str, length: int | None = None, version: str = "1.1") -> Answer:
    size = len(body) if length is None else length
    lines = [f"HTTP/{version} {status} -", *headers, f"Content-Length: {size}", "", ""]
    return Answer("\r\n".join(lines).encode() + body)


def _raw(head: str, body: bytes = b"", end: str = "close", **rest: float) -> Answer:
    return Answer(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body, end=end, **rest)


def _chunked(body: bytes, last: bytes = b"0\r\n\r\n") -> bytes:
    pieces = [body[at : at + 100] for at in range(0, len(body), 100)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + last


_CHUNKED: Final = f"HTTP/1.1 200 OK\n{HTML}\nTransfer-Encoding: chunked"

STYLES: Final[dict[str, Callable[[Page], Answer]]] = {
    "length": lambda page: _head(200, page.body, HTML),
    "chunked": lambda page: _raw(_CHUNKED, _chunked(page.body), "keep"),
    "trailers": lambda page: _raw(_CHUNKED, _chunked(page.body, b"0\r\nX-Sum: 1\r\n\r\n"), "keep"),
    "until_close": lambda page: _raw(f"HTTP/1.1 200 OK\n{HTML}", page.body),
    "old": lambda page: _raw(f"HTTP/1.0 200 OK\n{HTML}", page.body),
    "gzip": lambda page: _head(200, gzip.compress(page.body, mtime=0), HTML, "Content-Encoding: gzip"),
    "gzip_chunked": lambda page: _raw(
        f"{_CHUNKED}\nContent-Encoding: gzip", _chunked(gzip.compress(page.body, mtime=0)), "keep"
    ),
    "close": lambda page: _raw(
        f"HTTP/1.1 200 OK\n{HTML}\nContent-Length: {len(page.body)}\nConnection: close", page.body
    ),
    "interim": lambda page: Answer(b"HTTP/1.1 103 Early Hints\r\n\r\n" + _head(200, page.body, HTML).data),
}

Fault = Callable[[Page, random.Random, float], Answer]


def _cut(page: Page, rng: random.Random, end: str) -> Answer:
    """Ends somewhere inside the body."""
    style = rng.choice(("length", "chunked", "gzip", "gzip_chunked"))
    data = STYLES[style](page).data
    start = data.index(b"\r\n\r\n") + 4
    return Answer(data[: rng.randrange(start, len(data))], end=end)


def _cut_head(page: Page, rng: random.Random, end: str) -> Answer:
    data = STYLES["length"](page).data
    return Answer(data[: rng.randrange(1, data.index(b"\r\n\r\n") + 3)], end=end)


def _broken_gzip(page: Page, rng: random.Random) -> Answer:
    data = bytearray(gzip.compress(page.body, mtime=0))
    data[-8 + rng.randrange(4)] ^= 0xFF  # the checksum
    return _head(200, bytes(data), HTML, "Content-Encoding: gzip")


FAULTS: Final[dict[str, Fault]] = {
    "404": lambda page, rng, wall: _head(404, b"gone"),
    "408": lambda page, rng, wall: _head(408, b"idle"),
    "500": lambda page, rng, wall: _head(500, b"broken"),
    "503": lambda page, rng, wall: _head(503, b"busy"),
    "503_after": lambda page, rng, wall: _head(503, b"busy", f"Retry-After: {rng.choice((0, 1, 3, 30, 500))}"),
    "503_date": lambda page, rng, wall: _head(
        503, b"busy", f"Retry-After: {formatdate(wall + rng.choice((-100, 5, 1000)), usegmt=True)}"
    ),
    "429_after": lambda page, rng, wall: _head(429, b"slower", f"Retry-After: {rng.choice((1, 2, 10, 100_000))}"),
    "429": lambda page, rng, wall: _head(429, b"slower", "X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 7"),
    "cut_close": lambda page, rng, wall: _cut(page, rng, "close"),
    "cut_reset": lambda page, rng, wall: _cut(page, rng, "reset"),
    "until_reset": lambda page, rng, wall: _raw(f"HTTP/1.1 200 OK\n{HTML}", page.body, "reset"),
    "head_close": lambda page, rng, wall: _cut_head(page, rng, "close"),
    "head_reset": lambda page, rng, wall: _cut_head(page, rng, "reset"),
    "empty": lambda page, rng, wall: Answer(b"", end="close"),
    "reset": lambda page, rng, wall: Answer(b"", end="reset"),
    "silent": lambda page, rng, wall: Answer(b"", end="silence"),
    "silent_head": lambda page, rng, wall: _cut_head(page, rng, "silence"),
    "silent_body": lambda page, rng, wall: _cut(page, rng, "silence"),
    "drip": lambda page, rng, wall: Answer(_head(200, page.body, HTML).data, drip=rng.choice((0.5, 2.0, 9.0))),
    "two_lengths": lambda page, rng, wall: _raw("HTTP/1.1 200 OK\nContent-Length: 3\nContent-Length: 5", b"hello"),
    "bad_length": lambda page, rng, wall: _raw(f"HTTP/1.1 200 OK\n{HTML}\nContent-Length: -5", page.body),
    "bad_chunk": lambda page, rng, wall: _raw(_CHUNKED, b"5\r\nhello\r\nzz\r\n"),
    "not_http": lambda page, rng, wall: Answer(b"SSH-2.0-OpenSSH_9.0\r\n", end="close"),
    "bad_status": lambda page, rng, wall: _raw("HTTP/1.1 2000 OK\nContent-Length: 0", end="keep"),
    "bad_gzip": lambda page, rng, wall: _broken_gzip(page, rng),
    "not_gzip": lambda page, rng, wall: _head(200, page.body, HTML, "Content-Encoding: gzip"),
    "extra": lambda page, rng, wall: Answer(_head(200, page.body, HTML).data + b"and more"),
    "late_rest": lambda page, rng, wall: Answer(_head(200, page.body, HTML).data, rest=b"<p>the rest of it</p>"),
    "flood_1xx": lambda page, rng, wall: Answer(b"HTTP/1.1 102 Processing\r\n\r\n" * 140, end="silence"),
    "switch": lambda page, rng, wall: _raw("HTTP/1.1 101 Switching Protocols\nUpgrade: x", end="silence"),
    "huge": lambda page, rng, wall: _head(200, page.body, HTML, length=10**12),
    "headers": lambda page, rng, wall: _raw("HTTP/1.1 200 OK\n" + "\n".join(f"X-{n}: y" for n in range(1_100))),
    "no_location": lambda page, rng, wall: _head(302, page.body, HTML),
    "bad_location": lambda page, rng, wall: _head(302, b"", "Location: http://[::1"),
    "two_locations": lambda page, rng, wall: _head(302, b"", "Location: /a", "Location: /b"),
    "mail": lambda page, rng, wall: _head(301, b"", "Location: mailto:a@b.example"),
}

# What a record may say of a page whose fault never ends, when nothing else is wrong.
CODES: Final[dict[str, frozenset[str | None]]] = {
    name: frozenset(codes)
    for name, codes in {
        **dict.fromkeys(
            ("404", "408", "500", "503", "503_after", "503_date", "429", "429_after", "no_location"), (None,)
        ),
        # Of a body in gzip nothing but the checksum, or the last chunk, may be missing.
        "cut_close": ("body_truncated", "decode_error", None),
        "cut_reset": ("body_truncated", "decode_error", None),
        "until_reset": ("body_truncated",),
        "head_close": ("http_truncated_headers", "http_not_http"),
        "head_reset": ("http_truncated_headers", "http_not_http", "conn_reset"),
        "empty": ("empty_reply",),
        "reset": ("conn_reset",),
        "silent": ("timeout_headers", "timeout_total"),
        "silent_head": ("timeout_headers", "timeout_total"),
        "silent_body": ("timeout_idle", "timeout_total", None),
        "drip": (None, "timeout_headers", "timeout_idle", "timeout_total", "too_slow"),
        "two_lengths": ("http_bad_framing",),
        "bad_length": (None,),
        "bad_chunk": ("http_bad_chunk",),
        "not_http": ("http_not_http",),
        "bad_status": ("http_bad_status",),
        "bad_gzip": ("decode_error",),
        "not_gzip": ("decode_error",),
        "extra": (None,),
        "late_rest": (None,),
        "flood_1xx": ("http_too_many_1xx",),
        "switch": ("http_protocol",),
        "huge": ("body_too_large",),
        "headers": ("headers_too_large",),
        "bad_location": ("redirect_invalid",),
        "two_locations": ("redirect_invalid",),
        "mail": ("redirect_scheme",),
    }.items()
}


def make_sitemap(name: str, targets: list[str]) -> Page:
    """A sitemap with all these pages."""
    links = [f"http://{name}{target}" for target in targets]
    body = "".join(f"<url><loc>{link}</loc></url>" for link in links)
    return Page("/sitemap.xml", body=f"<urlset>{body}</urlset>".encode(), links=links)


def make_page(rng: random.Random, name: str, target: str, links: list[str], faulty: float) -> Page:
    """A page with these links, perhaps faulty."""
    anchors = "".join(f'<a href="{link}">{number}</a>\n' for number, link in enumerate(links))
    padding = "." * rng.choice((0, 0, 10, 300, 3_000))
    body = f"<title>{name}{target}</title>\n{anchors}<p>{padding}".encode()
    page = Page(target, style=rng.choice(tuple(STYLES)), body=body, links=links)
    if rng.random() < faulty:
        page.fault = rng.choice(tuple(FAULTS))
        page.times = rng.choice((1, 1, 2, 3, 10**9))
    if rng.random() < 0.1:
        page.slow = rng.choice((0.1, 1.0, 4.0))
    return page
