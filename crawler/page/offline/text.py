"""The text of a document's parts, and what its references are relative to. Pure."""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple

from crawler.charset import decode_text
from crawler.charset.encodings import query_in
from crawler.errors import CodedError
from crawler.page.markup import NOT_ASCII, UTF_16_MARKS, unescape
from crawler.urls import Url, join

Syntax = Literal["html", "xml", "css"]

SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*+):")
FETCHED: Final = frozenset(("http", "https"))
CONTROL_OR_SPACE: Final = "".join(map(chr, range(0x21)))
LONGEST: Final = 8_192  # characters of a reference; servers take no more


class Document(NamedTuple):
    """What is looked through. `charset` is the label that its server gave, if any."""

    body: bytes
    url: Url
    syntax: Syntax
    charset: str | None = None


class Text:
    """Of one document. `base` is what its references are relative to; None: to nothing that is fetched."""

    def __init__(self, document: Document) -> None:
        self._body = document.body
        self._url = document.url
        self._label = document.charset
        self._media = media_of(document.syntax)
        self._charset: str | None = None
        self.base: Url | None = document.url

    def attribute(self, raw: bytes) -> str:
        """An attribute's value, with its character references replaced."""
        return unescape(self.decoded(raw), in_attribute=True)

    def decoded(self, raw: bytes) -> str:
        if raw.isascii():
            return raw.decode("ascii")
        name = self.charset
        # The space in front: bytes that look like a byte order mark are none in the middle of a page.
        return raw.decode("utf-8", "replace") if name == "utf-8" else decode_text(b" " + raw, name, None).text[1:]

    @property
    def charset(self) -> str:
        """The WHATWG name of the document's charset. Found out when it is first asked for: it may take a while."""
        if self._charset is None:
            self._charset = decode_text(self._body, self._label, self._media).charset
        return self._charset

    def set_base(self, written: str) -> None:
        """Take note of a base element (HTML Standard section 2.4.3)."""
        base = written.strip(CONTROL_OR_SPACE)
        scheme = SCHEME.match(base)
        if scheme is not None and scheme[1].lower() not in FETCHED:
            if scheme[1].lower() not in {"data", "javascript"}:
                self.base = None
            return
        try:
            found = join(self._url, base)
        except CodedError:
            return
        if found.href != self._url.href and len(found.href) <= LONGEST:
            self.base = found

    def joined(self, target: str) -> Url:
        """The URL of a reference without its fragment. Raises CodedError."""
        if not target.isascii() and "?" in target:
            target = query_in(target, self.charset)
        return join(self.base or self._url, target)


def media_of(syntax: Syntax) -> str:
    return "text/css" if syntax == "css" else "text/html"


def ascii_based(document: Document) -> tuple[Document, str | None]:
    """The document in a charset in which markup is ASCII, and in which it came if that is another."""
    body, label = document.body, document.charset
    if body.startswith(UTF_16_MARKS) or b"\0" in body[:4] or (label or "").lower() in NOT_ASCII or b"\x1b" in body:
        decoded = decode_text(body, label, media_of(document.syntax))
        if decoded.charset in NOT_ASCII:
            return document._replace(body=decoded.text.encode(), charset="utf-8"), decoded.charset
    return document, None
