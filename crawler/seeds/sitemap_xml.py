"""The entries of a sitemap in XML, an index, RSS or Atom, as its bytes arrive. Pure.

The parser is expat, and no tree is built, so memory holds what was found and nothing else. It never opens a file or a
connection, and a document that declares entities is refused at its first line: with a target, lxml would expand them
in spite of `resolve_entities=False`, and without one a million empty elements would stay in its tree.
"""

from __future__ import annotations

import math
import re
from typing import Final, NamedTuple, Protocol
from xml.parsers import expat

from crawler.errors import CodedError

MAX_ELEMENTS: Final = 1_000_000
MAX_REPAIRS: Final = 1_000_000
MAX_DEPTH: Final = 64
MAX_TOKEN: Final = 1 << 20  # one tag, text or comment; older expats begin a long one anew with every piece of it
# The commonest fault of sitemaps: an ampersand that is none of XML's five entities and no character reference.
_BARE: Final = re.compile(rb"&(?!(?:amp|lt|gt|quot|apos|#[0-9]{1,7}|#x[0-9A-Fa-f]{1,6});)")
_LONGEST_REFERENCE: Final = 10
_URL: Final = re.compile(r"https?://[^\s<]+", re.IGNORECASE)
_PLAIN_TEXT: Final = re.compile(r"(?:https?:/)?/[^\s<]+", re.IGNORECASE)


class Add(Protocol):
    """Takes what an entry names, "" if nothing; `index` says that it is a sitemap."""

    def __call__(self, loc: str, lastmod: str | None, *, index: bool) -> None: ...


class _Format(NamedTuple):
    """Where a kind of document has its entries: at which depth, and the names of the elements.

    `loc` names a page, and where there is none, `identity` may do so, or an attribute `about` of the entry.
    """

    depth: int
    entries: tuple[str, ...]
    loc: str
    lastmod: str
    identity: str = ""
    about: str = ""


_LISTS: Final = _Format(2, ("url", "sitemap"), "loc", "lastmod")
_FORMATS: Final = {
    "urlset": _LISTS,
    "sitemapindex": _LISTS,
    "rss": _Format(3, ("item",), "link", "pubDate", "guid"),
    "RDF": _Format(2, ("item",), "link", "dc:date", about="rdf:about"),
    "feed": _Format(2, ("entry",), "link", "updated", "id"),
}


class _Named(NamedTuple):
    """What an entry names, and the line it begins on."""

    loc: str
    line: int


class XmlReader:
    """Namespaces are not looked up, since many sitemaps have none or wrong ones: the local names tell.

    Give it UTF-8, whatever the document says of itself.
    """

    def __init__(self, add: Add, *, limited: bool = True) -> None:
        self.line = 0  # where what the entry names begins
        self._add = add
        self._max_elements = MAX_ELEMENTS if limited else math.inf
        self._max_repairs = MAX_REPAIRS if limited else math.inf
        self._format: _Format | None = None
        self._depth = 0
        self._elements = 0
        self._entry = ""
        self._entry_line = 0
        self._prefix = ""
        self._locs: list[_Named] = []
        self._otherwise: _Named | None = None
        self._lastmod: str | None = None
        self._own: list[str] = []  # text of the entry itself, outside of its elements
        self._text: list[str] | None = None
        self._text_size = 0
        self._text_line = 0
        self._quoted = False
        self._held = b""
        self._fed = 0
        self._repairs = 0
        parser = expat.ParserCreate("utf-8")
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
        if b"&" in data:
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
        except expat.ExpatError as error:
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
                self._begin(local, name, attributes)
        elif self._entry and self._depth == self._format.depth + 1:
            # Of the same namespace as the entry: an <image:loc> is not the page's.
            if name == self._prefix + self._format.loc:
                if self._entry == "entry":
                    self._atom_link(attributes)
                else:
                    self._listen()
            elif name in (self._prefix + self._format.lastmod, "dc:date") or (
                name == self._prefix + self._format.identity and attributes.get("isPermaLink") != "false"
            ):
                self._listen()

    def _begin(self, local: str, name: str, attributes: dict[str, str]) -> None:
        assert self._format is not None
        self._entry, self._prefix = local, name[: -len(local)]
        self._entry_line = self._parser.CurrentLineNumber
        self._lastmod = self._otherwise = None
        self._locs.clear()
        self._own.clear()
        self._text_size = 0
        about = attributes.get(self._format.about, "") if attributes else ""
        if _URL.fullmatch(about):
            self._otherwise = _Named(about, self._entry_line)

    def _listen(self) -> None:
        self._text, self._text_size = [], 0
        self._text_line = self._parser.CurrentLineNumber

    def _end(self, name: str) -> None:
        self._depth -= 1
        if self._format is None or not self._entry:
            return
        if self._text is not None and self._depth == self._format.depth:
            self._heard(name.removeprefix(self._prefix), self._joined(self._text))
            self._text = None
        elif self._depth == self._format.depth - 1:
            self._finish()

    def _joined(self, pieces: list[str]) -> str:
        text = "".join(pieces)
        if self._quoted:
            # In there an ampersand was never bare, and an "&amp;" as others wrote it is a mistake as well.
            text = text.replace("&amp;", "&")
        self._quoted, self._text_size = False, 0
        return text.strip()

    def _heard(self, name: str, text: str) -> None:
        """The whole text of an element of the entry."""
        assert self._format is not None
        if name == self._format.loc:
            # Where a page is listed, each that is named is one; an item of a feed has one page.
            if text and (self._format is _LISTS or not self._locs):
                self._locs.append(_Named(text, self._text_line))
            elif not text and not self._locs:
                self._entry_line = self._text_line
        elif name == self._format.identity:
            if _URL.fullmatch(text):
                self._otherwise = self._otherwise or _Named(text, self._text_line)
        else:
            self._lastmod = self._lastmod or text or None

    def _finish(self) -> None:
        """At the end of an entry."""
        named = self._locs
        if not named:
            own = self._joined(self._own) if self._own else ""
            if _PLAIN_TEXT.fullmatch(own):
                named = [_Named(own, self._entry_line)]
            else:
                named = [self._otherwise or _Named("", self._entry_line)]
        index = self._entry == "sitemap"
        for loc, self.line in named:
            self._add(loc, self._lastmod, index=index)
        self._entry = ""

    def _characters(self, data: str) -> None:
        if self._text is not None:
            self._text.append(data)
        elif self._entry and self._format is _LISTS and self._depth == 2 and (self._own or not data.isspace()):
            self._own.append(data)
        else:
            return
        self._text_size += len(data)
        if self._text_size > MAX_TOKEN:
            raise CodedError("parse_error", f"not a sitemap: a text of more than {MAX_TOKEN:,} characters")

    def _cdata(self) -> None:
        self._quoted = bool(self._entry)

    def _atom_link(self, attributes: dict[str, str]) -> None:
        """RFC 4287 section 4.2.7.2: a link without a relation is to the page itself."""
        href = attributes.get("href", "").strip()
        if href and not self._locs and attributes.get("rel", "alternate") == "alternate":
            self._locs.append(_Named(href, self._parser.CurrentLineNumber))


def _local(name: str) -> str:
    return name.rpartition(":")[2]
