"""Sitemaps, read as their bytes arrive: XML, an index, plain text, RSS and Atom, any of them in gzip. Pure.

https://www.sitemaps.org/protocol.html. Whatever the bytes are, nothing raises: what was read before a fault stays.

The XML parser is expat, and no tree is built, so memory holds what was found and nothing else. It never opens a file or
a connection, and a document that declares entities is refused at its first line: with a target, lxml would expand them
in spite of `resolve_entities=False`, and without one a million empty elements would stay in its tree.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, Protocol
from xml.parsers import expat

import msgspec

from crawler.decode import Decoder
from crawler.errors import CodedError

MAX_ENTRIES: Final = 50_000
MAX_SIZE: Final = 52_428_800
MAX_ELEMENTS: Final = 1_000_000
MAX_REPAIRS: Final = 1_000_000
MAX_DEPTH: Final = 64
MAX_TOKEN: Final = 1 << 20  # one tag, text or comment; older expats begin a long one anew with every piece of it
_SLICE: Final = 1 << 16
_GZIP_SLICE: Final = 1 << 12  # 4 MiB at most, when decoded
_GZIP: Final = b"\x1f\x8b"
_BEFORE: Final = b"\xef\xbb\xbf \t\r\n"
_XML: Final = (b"<", b"\xff", b"\xfe")  # the latter two begin UTF-16
# The commonest fault of sitemaps: an ampersand that is none of XML's five entities and no character reference.
_BARE: Final = re.compile(rb"&(?!(?:amp|lt|gt|quot|apos|#[0-9]{1,7}|#x[0-9A-Fa-f]{1,6});)")
_LONGEST_REFERENCE: Final = 10


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One URL and, as written, when it changed last."""

    loc: str
    lastmod: str | None = None


class Sitemap(msgspec.Struct):
    """What was found: pages, and further sitemaps, both as written.

    `skipped` counts entries that name no URL. `warnings` has `parse_truncated` when there were more entries than
    allowed. `error` is `parse_error`, or for gzip and size one of the codes of `decode.Decoder`.
    """

    urls: list[Entry] = []
    sitemaps: list[str] = []
    skipped: int = 0
    warnings: list[str] = []
    error: CodedError | None = None


def parse(body: bytes, *, limit: int = MAX_ENTRIES) -> Sitemap:
    """Read a whole sitemap: up to `limit` entries and 50 MiB, decoded."""
    parser = SitemapParser(limit=limit)
    parser.feed(body)
    return parser.close()


def entries(pieces: Iterable[bytes]) -> Iterator[tuple[str, int]]:
    """The entries of XML that the user has, as they are read: what each names, "" if nothing, and the line it is on.

    The limits on size and number are for what strangers serve: here all is read, and memory holds what one piece gives.
    Raises CodedError `parse_error`, after what comes before the fault.
    """
    found: list[tuple[str, int]] = []
    reader: _XmlReader | None = None
    lines_before = 0

    def add(loc: str, lastmod: str | None, *, index: bool) -> None:  # noqa: ARG001
        assert reader is not None
        found.append((loc, reader.line + lines_before))

    for piece in pieces:
        data = piece
        if reader is None:
            data = piece.lstrip(_BEFORE)
            lines_before += piece.count(b"\n") - data.count(b"\n")
            if not data:
                continue
            reader = _XmlReader(data, add, limited=False)
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

    def __init__(self, *, limit: int = MAX_ENTRIES, max_size: int = MAX_SIZE) -> None:
        self.found = Sitemap()
        self.done = False
        self._limit = limit
        self._room = max_size
        self._max_size = max_size
        self._head = b""
        self._opened = False
        self._gzip: Decoder | None = None
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
        if self._reader is None:
            data = data.lstrip(_BEFORE)
            if not data:
                return
            self._reader = _XmlReader(data, self._add) if data.startswith(_XML) else _TextReader(self._add)
        for start in range(0, len(data), _SLICE):
            if self.done:
                return
            self._reader.feed(data[start : start + _SLICE])

    def _add(self, loc: str, lastmod: str | None, *, index: bool) -> None:
        found = self.found
        if self.done:
            return
        if not loc:
            found.skipped += 1
        elif len(found.urls) + len(found.sitemaps) >= self._limit:
            found.warnings.append("parse_truncated")
            self.done = True
        elif index:
            found.sitemaps.append(loc)
        else:
            found.urls.append(Entry(loc, lastmod))

    def _fail(self, error: CodedError) -> None:
        if not self.done:
            self.found.error = error
            self.done = True


class _Add(Protocol):
    def __call__(self, loc: str, lastmod: str | None, *, index: bool) -> None: ...


class _Reader(Protocol):
    def feed(self, data: bytes) -> None: ...

    def close(self) -> None: ...


class _TextReader:
    """One URL on each line."""

    def __init__(self, add: _Add) -> None:
        self._add = add
        self._rest = b""
        self._any = False

    def feed(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).replace(b"\r", b"\n").split(b"\n")
        for line in lines:
            self._line(line)
        if len(self._rest) > _SLICE:
            raise CodedError("parse_error", f"not a sitemap: a line of more than {_SLICE:,} bytes")

    def close(self) -> None:
        self._line(self._rest)
        if not self._any:
            raise CodedError("parse_error", "not a sitemap: neither XML nor a list of URLs")

    def _line(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").strip()
        if text.lower().startswith(("http://", "https://")):
            self._any = True
            self._add(text, None, index=False)
        elif text:
            self._add("", None, index=False)


class _Format(NamedTuple):
    """Where a kind of document has its entries: at which depth, and the names of the elements."""

    depth: int
    entries: tuple[str, ...]
    loc: str
    lastmod: str


_LISTS: Final = _Format(2, ("url", "sitemap"), "loc", "lastmod")
_FORMATS: Final = {
    "urlset": _LISTS,
    "sitemapindex": _LISTS,
    "rss": _Format(3, ("item",), "link", "pubDate"),
    "RDF": _Format(2, ("item",), "link", "dc:date"),
    "feed": _Format(2, ("entry",), "link", "updated"),
}


class _XmlReader:
    """Namespaces are not looked up, since many sitemaps have none or wrong ones: the local names tell."""

    def __init__(self, start: bytes, add: _Add, *, limited: bool = True) -> None:
        self.line = 0  # where what the entry names begins
        self._add = add
        self._max_elements = MAX_ELEMENTS if limited else math.inf
        self._max_repairs = MAX_REPAIRS if limited else math.inf
        self._format: _Format | None = None
        self._depth = 0
        self._elements = 0
        self._entry = ""
        self._prefix = ""
        self._loc: str | None = None
        self._lastmod: str | None = None
        self._text: list[str] | None = None
        self._text_size = 0
        self._quoted = False
        self._held = b""
        self._fed = 0
        self._repairs = 0
        self._octets = start[:1] == b"<" and b"\0" not in start[:4]  # else UTF-16
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.StartCdataSectionHandler = self._cdata
        parser.StartDoctypeDeclHandler = self._doctype
        self._parser = parser

    def feed(self, data: bytes) -> None:
        data = self._held + data
        self._held = b""
        if self._octets and b"&" in data:
            at = data.rfind(b"&", -_LONGEST_REFERENCE)
            if at >= 0 and b";" not in data[at:]:
                data, self._held = data[:at], data[at:]
            data, repairs = _BARE.subn(b"&amp;", data)
            self._repairs += repairs
            if self._repairs > self._max_repairs:
                raise CodedError("parse_error", f"not well-formed XML: more than {MAX_REPAIRS:,} bare ampersands")
        self._parse(data)
        self._fed += len(data)
        if self._fed - self._parser.CurrentByteIndex > MAX_TOKEN:
            raise CodedError("parse_error", f"not a sitemap: a tag or comment of more than {MAX_TOKEN:,} bytes")

    def close(self) -> None:
        self._parse(_BARE.sub(b"&amp;", self._held), final=True)

    def _parse(self, data: bytes, *, final: bool = False) -> None:
        try:
            self._parser.Parse(data, final)
        except (expat.ExpatError, LookupError, ValueError) as error:  # the latter two: unknown encodings
            raise CodedError("parse_error", f"not well-formed XML: {error}") from None

    def _doctype(self, _name: str, _system: str | None, _public: str | None, has_internal_subset: int) -> None:
        if has_internal_subset:
            raise CodedError("parse_error", "not a sitemap: it declares entities or elements of its own")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._elements += 1
        if self._depth > MAX_DEPTH or self._elements > self._max_elements:
            raise CodedError("parse_error", f"not a sitemap: {self._elements:,} elements, {self._depth} deep")
        if self._format is None:
            self._format = _FORMATS.get(_local(name))
            if self._format is None:
                raise CodedError("parse_error", f"not a sitemap: its root element is <{name[:100]}>")
        elif self._depth == self._format.depth:
            local = _local(name)
            if local in self._format.entries:
                self._entry, self._prefix = local, name[: -len(local)]
                self._loc = self._lastmod = None
                self.line = self._parser.CurrentLineNumber
        elif self._entry and self._depth == self._format.depth + 1:
            # Of the same namespace as the entry: an <image:loc> is not the page's.
            if name == self._prefix + self._format.loc:
                if not self._loc:
                    self.line = self._parser.CurrentLineNumber
                if self._entry == "entry":
                    self._atom_link(attributes)
                else:
                    self._text = []
            elif name in (self._prefix + self._format.lastmod, "dc:date"):
                self._text = []

    def _end(self, name: str) -> None:
        self._depth -= 1
        if self._format is None or not self._entry:
            return
        if self._text is not None and self._depth == self._format.depth:
            text = "".join(self._text)
            if self._quoted:
                # In there an ampersand was never bare, and an "&amp;" as others wrote it is a mistake as well.
                text = text.replace("&amp;", "&")
            text = text.strip()
            if name == self._prefix + self._format.loc:
                self._loc = self._loc or text
            else:
                self._lastmod = self._lastmod or text or None
            self._text, self._text_size, self._quoted = None, 0, False
        elif self._depth == self._format.depth - 1:
            self._add(self._loc or "", self._lastmod, index=self._entry == "sitemap")
            self._entry = ""

    def _characters(self, data: str) -> None:
        if self._text is not None:
            self._text.append(data)
            self._text_size += len(data)
            if self._text_size > MAX_TOKEN:
                raise CodedError("parse_error", f"not a sitemap: a text of more than {MAX_TOKEN:,} characters")

    def _cdata(self) -> None:
        self._quoted = self._text is not None

    def _atom_link(self, attributes: dict[str, str]) -> None:
        """RFC 4287 section 4.2.7.2: a link without a relation is to the page itself."""
        if attributes.get("rel", "alternate") == "alternate":
            self._loc = self._loc or attributes.get("href", "").strip()


def _local(name: str) -> str:
    return name.rpartition(":")[2]
