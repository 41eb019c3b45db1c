"""Sitemaps, read as their bytes arrive: XML, an index, plain text, RSS and Atom, any of them in gzip. Pure.

https://www.sitemaps.org/protocol.html. Whatever the bytes are, nothing raises: what was read before a fault stays.

What arrives is made UTF-8 (transcode.py), and XML is read by sitemap_xml.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final, Protocol

import msgspec

from crawler.charset.transcode import Transcoder
from crawler.errors import CodedError
from crawler.fetch.decode import Decoder
from crawler.seeds.sitemap_xml import Add, XmlReader

MAX_ENTRIES: Final = 50_000
MAX_SIZE: Final = 52_428_800
_SLICE: Final = 1 << 16
_GZIP_SLICE: Final = 1 << 12  # 4 MiB at most, when decoded
_GZIP: Final = b"\x1f\x8b"
_BEFORE: Final = b" \t\r\n"
_LINES: Final = re.compile(rb"\S[^\r\n]*")


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One URL and, as written, when it changed last."""

    loc: str
    lastmod: str | None = None


class Sitemap(msgspec.Struct):
    """What was found: pages, and further sitemaps, both as written.

    `skipped` counts entries that name no URL. `warnings` has `parse_truncated` when there were more entries than
    allowed, or of such as name no URL. `error` is `parse_error`, or for gzip and size one of the codes of
    `decode.Decoder`.
    """

    urls: list[Entry] = []
    sitemaps: list[str] = []
    skipped: int = 0
    warnings: list[str] = []
    error: CodedError | None = None


def parse(body: bytes, *, limit: int = MAX_ENTRIES, charset: str | None = None) -> Sitemap:
    """Read a whole sitemap: up to `limit` entries and 50 MiB, decoded. `charset` is what its Content-Type says."""
    parser = SitemapParser(limit=limit, charset=charset)
    parser.feed(body)
    return parser.close()


def entries(pieces: Iterable[bytes]) -> Iterator[tuple[str, int]]:
    """The entries of XML that the user has, as they are read: what each names, "" if nothing, and the line it is on.

    The limits on size and number are for what strangers serve: here all is read, and memory holds what one piece gives.
    Raises CodedError `parse_error`, after what comes before the fault.
    """
    found: list[tuple[str, int]] = []
    reader: XmlReader | None = None
    lines_before = 0

    def add(loc: str, lastmod: str | None, *, index: bool) -> None:  # noqa: ARG001
        assert reader is not None
        found.append((loc, reader.line + lines_before))

    text = Transcoder()
    for piece in chain(map(text.feed, pieces), (text.finish() for _ in range(1))):
        data = piece
        if reader is None:
            data = piece.lstrip(_BEFORE)
            lines_before += piece.count(b"\n") - data.count(b"\n")
            if not data:
                continue
            reader = XmlReader(add, limited=False)
        try:
            reader.feed(data)
        finally:
            yield from found
        found.clear()
    if reader is not None:
        try:
            reader.close()
        finally:
            yield from found


class SitemapParser:
    """Feed it the bytes as they come, then call `close`. `found` grows meanwhile; `done` says that no more is read."""

    def __init__(self, *, limit: int = MAX_ENTRIES, max_size: int = MAX_SIZE, charset: str | None = None) -> None:
        self.found = Sitemap()
        self.done = False
        self._limit = limit
        self._room = max_size
        self._max_size = max_size
        self._head = b""
        self._opened = False
        self._gzip: Decoder | None = None
        self._text = Transcoder(charset)
        self._reader: _Reader | None = None

    def feed(self, data: bytes) -> None:
        """Read some more. About 8 us for each entry: feed a large sitemap in pieces where others wait meanwhile."""
        if not self._opened:
            data = self._head + data
            if len(data) < len(_GZIP) and _GZIP.startswith(data):
                self._head = data
                return
            self._opened, self._head = True, b""
            if data.startswith(_GZIP):
                self._gzip = Decoder(["gzip"], max_size=self._max_size)
        step = _SLICE if self._gzip is None else _GZIP_SLICE
        for start in range(0, len(data), step):
            if self.done:
                return
            self._step(data[start : start + step])

    def close(self) -> Sitemap:
        """At the end of the bytes."""
        try:
            self._finish()
        except CodedError as error:
            self._fail(error)
        self.done = True
        return self.found

    def _finish(self) -> None:
        if not self._opened:
            self._read(self._head)
        if self.done:
            return
        if self._gzip is not None:
            self._gzip.finish()
        self._read_text(self._text.finish())
        if self._reader is None:
            raise CodedError("parse_error", "not a sitemap: there is nothing in it")
        self._reader.close()

    def _step(self, data: bytes) -> None:
        try:
            self._read(data if self._gzip is None else self._decoded(self._gzip, data))
        except CodedError as error:
            self._fail(error)

    def _decoded(self, decoder: Decoder, data: bytes) -> bytes:
        try:
            return decoder.feed(data)
        except CodedError as error:
            # What comes before the fault is still read. When nothing could be decoded, these are the raw bytes.
            if not decoder.salvaged.startswith(_GZIP):
                self._read(decoder.salvaged)
            raise error from None

    def _read(self, data: bytes) -> None:
        if len(data) > self._room:
            if self._room:
                self._read(data[: self._room])
            raise CodedError("body_too_large", f"a sitemap of more than {self._max_size:,} bytes", phase="parse")
        self._room -= len(data)
        for start in range(0, len(data), _SLICE):
            if self.done:
                return
            self._read_text(self._text.feed(data[start : start + _SLICE]))

    def _read_text(self, data: bytes) -> None:
        if self._reader is None:
            data = data.lstrip(_BEFORE)
            if not data:
                return
            is_xml = data.startswith(b"<")
            self._reader = XmlReader(self._add) if is_xml else _TextReader(self._add)
        self._reader.feed(data)

    def _add(self, loc: str, lastmod: str | None, *, index: bool) -> None:
        found = self.found
        if self.done:
            return
        if not loc:
            if found.skipped >= self._limit:
                self._truncate()
            else:
                found.skipped += 1
        elif len(found.urls) + len(found.sitemaps) >= self._limit:
            self._truncate()
        elif index:
            found.sitemaps.append(loc)
        else:
            found.urls.append(Entry(loc, lastmod))

    def _truncate(self) -> None:
        self.found.warnings.append("parse_truncated")
        self.done = True

    def _fail(self, error: CodedError) -> None:
        if not self.done:
            self.found.error = error
            self.done = True


class _Reader(Protocol):
    def feed(self, data: bytes) -> None: ...

    def close(self) -> None: ...


class _TextReader:
    """One URL on each line."""

    def __init__(self, add: Add) -> None:
        self._add = add
        self._rest = b""
        self._any = False

    def feed(self, data: bytes) -> None:
        data = self._rest + data
        end = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        self._rest = data[end:]
        for line in _LINES.findall(data, 0, end):
            self._line(line)
        if len(self._rest) > _SLICE:
            raise CodedError("parse_error", f"not a sitemap: a line of more than {_SLICE:,} bytes")

    def close(self) -> None:
        self._line(self._rest)
        if not self._any:
            raise CodedError("parse_error", "not a sitemap: neither XML nor a list of URLs")

    def _line(self, line: bytes) -> None:
        text = line.decode().strip()
        if text.lower().startswith(("http://", "https://")):
            self._any = True
            self._add(text, None, index=False)
        elif text:
            self._add("", None, index=False)
