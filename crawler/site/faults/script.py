"""What a fault is made of: bytes with exactly the headers one asks for, and how the connection goes on after them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from crawler.site.wire import Drive, Wire

PAGE: Final = b"<!doctype html><title>Fault</title><p>Hello from the other side.</p>\n"


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to misbehave. `tls`: shows over TLS only; over plain TCP the same bytes are a fine answer."""

    rows: tuple[int, ...]
    about: str
    expect: str
    drive: Drive
    warnings: tuple[str, ...] = ()
    status: int = 200
    tls: bool = False


def group(
    rows: tuple[int, ...],
    expect: str,
    cases: Iterable[tuple[str, str, Drive]],
    status: int = 200,
    warnings: tuple[str, ...] = (),
) -> dict[str, Fault]:
    """Cases that share a row and an outcome."""
    return {name: Fault(rows, about, expect, drive, warnings, status) for name, about, drive in cases}


# How the connection goes on after the bytes.


def stays(data: bytes) -> Drive:
    """Send and keep the connection."""

    def drive(wire: Wire) -> None:
        wire.send(data)
        wire.done()

    return drive


def closes(data: bytes = b"") -> Drive:
    """Send, then FIN."""

    def drive(wire: Wire) -> None:
        if data:
            wire.send(data)
        wire.close()

    return drive


def resets(data: bytes = b"") -> Drive:
    """Send, then RST."""

    def drive(wire: Wire) -> None:
        if data:
            wire.send(data)
        wire.reset()

    return drive


def stalls(data: bytes = b"") -> Drive:
    """Send, then nothing more."""

    def drive(wire: Wire) -> None:
        if data:
            wire.send(data)

    return drive


def drips(data: bytes, rest: bytes) -> Drive:
    """Send, then one byte of the rest every 0.1 s."""

    def drive(wire: Wire) -> None:
        if data:
            wire.send(data)
        wire.drip(rest, 1, 0.1)

    return drive


def floods(data: bytes, piece: bytes) -> Drive:
    """Send, then `piece` for ever."""

    def drive(wire: Wire) -> None:
        wire.send(data)
        wire.flood(piece)

    return drive


# What the bytes are.


def head(*fields: bytes, line: bytes = b"HTTP/1.1 200 OK", media: bytes = b"text/html; charset=utf-8") -> bytes:
    return b"\r\n".join((line, b"Content-Type: " + media, *fields, b"", b""))


def page(
    *fields: bytes,
    line: bytes = b"HTTP/1.1 200 OK",
    media: bytes = b"text/html; charset=utf-8",
    body: bytes = PAGE,
) -> bytes:
    """An answer with its right length after the given fields."""
    return head(*fields, b"Content-Length: %d" % len(body), line=line, media=media) + body


def framed(*fields: bytes, body: bytes = PAGE) -> bytes:
    """An answer with just the given fields."""
    return head(*fields) + body


def in_chunks(body: bytes) -> bytes:
    return head(b"Transfer-Encoding: chunked") + body


def packed(coding: bytes, body: bytes) -> bytes:
    return page(b"Content-Encoding: " + coding, body=body)


def redirect(*locations: bytes, line: bytes = b"HTTP/1.1 302 Found") -> bytes:
    return page(*(b"Location: " + location for location in locations), line=line)
