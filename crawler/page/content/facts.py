"""What a page says of itself to search engines: headings, description, canonical, robots, words. One linear-time pass.

Rules:
1. Tags are told from text by markup.py's tokens. Text that nobody sees is none: scripts, styles, templates, drawings,
   the title, what is only there for browsers without frames.
2. A word is what stands between white space and has a letter or a digit; each character of Chinese and Japanese writing
   is one, as those part no words.
3. Elements inside of a line part no words; all others do. Plain tags of both are taken out before: nearly all are such.
"""

from __future__ import annotations

import re
import string
import sys
from collections.abc import Sequence
from typing import Final

from crawler.charset import decode_text
from crawler.charset.encodings import is_utf_8
from crawler.errors import CodedError
from crawler.models import PageFacts
from crawler.page.directives import parse_link_header, parse_robots_header
from crawler.page.links import Costly, PageLinks
from crawler.page.markup import (
    ATTRIBUTES,
    END,
    HREFS,
    NAME,
    ascii_compatible,
    attribute,
    raw_text_end,
    tokens,
    unescape,
)
from crawler.page.resolving import base_of
from crawler.urls import Url, join

HEADINGS: Final = 5
LONGEST: Final = 300
_DESCRIPTION: Final = 1_000
_RAW: Final = 4_000  # bytes of a heading that are looked at
_UNSEEN: Final = frozenset(b"script style template title textarea svg math iframe noembed noframes xmp".split())
_INLINE: Final = frozenset(
    b"a abbr acronym b bdi bdo big cite code data del dfn em font i ins kbd label mark q s samp small span strike "
    b"strong sub sup time tt u var wbr".split()
)
_CLOSELY: Final = frozenset((b"meta", b"link", b"h1"))
_TAGS_A_STEP: Final = 20  # tags that take as long as one that is looked at closely
_CANONICAL: Final = "canonical"
_WHITE: Final = re.compile(r"\s+")
_IDEOGRAPH: Final = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_ALPHANUMERIC: Final = re.compile(r"[^\W_]")
_PUNCTUATION: Final = string.punctuation.encode()


def _plain(names: bytes) -> re.Pattern[bytes]:
    """Tags of these elements, with no attributes but a few that nothing is read of here."""
    attributes = rb"""(?: (?:class|id|title|href|rel)="[^"<>]*+")*+"""
    return re.compile(rb"</?+(?:" + names.replace(b" ", b"|") + rb")" + attributes + rb">")


_PLAIN_INLINE: Final = _plain(b"a span code em strong b i tt cite small sub sup abbr kbd")
_PLAIN_BLOCK: Final = _plain(
    b"p div li ul ol dl dt dd td tr th table tbody thead pre h2 h3 h4 h5 section article br nav"
)


def read_facts(
    body: bytes,
    charset: str | None,
    page: PageLinks,
    url: Url,
    links: Sequence[Url],
    headers: dict[str, list[str]],
    *,
    agent: str = "",
    max_cost: int | None = None,
    xml: bool = False,
) -> PageFacts:
    """The facts of a page of which `scan` has found `page`, with the absolute `links`.

    `max_cost` is how many tags may be looked at closely; raises Costly when there are more.
    """
    reader = _Reader(body, charset, max_cost)
    reader.read(xml=xml)
    canonicals = [*reader.canonicals]
    canonicals += [
        link.target
        for link in parse_link_header(headers.get("link", ()))
        if _CANONICAL in link.rel and link.anchor is None
    ]
    absolute = list(dict.fromkeys(filter(None, (_joined(page, url, reference) for reference in canonicals))))
    robots = page.robots | parse_robots_header(headers.get("x-robots-tag", ()), agent)
    return PageFacts(
        titles=reader.titles,
        h1s=reader.headings,
        h1=reader.h1,
        descriptions=len(reader.descriptions),
        description=reader.descriptions[0] if reader.descriptions else None,
        canonicals=len(absolute),
        canonical=absolute[0] if absolute else None,
        robots=sorted(robots),
        words=count_words(reader.text()),
        links=shortened(links, url),
    )


def count_words(text: str) -> int:
    if text.isascii():
        return len(text.encode().translate(None, _PUNCTUATION).split())
    return sum(map(_has_letter, _IDEOGRAPH.sub(" x ", text).split()))


def _has_letter(word: str) -> bool:
    return word.isalnum() or _ALPHANUMERIC.search(word) is not None


def shortened(links: Sequence[Url], url: Url) -> list[str]:
    """The URLs, those of the same origin as paths."""
    origin = url.href[: -len(url.target)]
    return [link.target if link.href.startswith(origin + "/") else link.href for link in links]


def _joined(page: PageLinks, url: Url, reference: str) -> str | None:
    base = base_of(page, url)
    try:
        return None if base is None else join(base, reference).href
    except CodedError:
        return None


class _Reader:
    """One page being read."""

    def __init__(self, body: bytes, charset: str | None, max_cost: int | None) -> None:
        self.cost_left = sys.maxsize if max_cost is None else max_cost
        if max_cost is not None and not is_utf_8(body):
            raise Costly  # which charset it is may have to be guessed
        body, self.charset = ascii_compatible(body, charset)
        self.body = _PLAIN_BLOCK.sub(b" ", _PLAIN_INLINE.sub(b"", body))
        self.titles = 0
        self.headings = 0
        self.h1: list[str] = []
        self.descriptions: list[str] = []
        self.canonicals: list[str] = []
        self._pieces: list[bytes] = []
        self._heading: int | None = None  # where its text begins among the pieces

    def read(self, *, xml: bool) -> None:
        body, search, pieces = self.body, tokens(None).search, self._pieces
        position, tags = 0, 0
        while token := search(body, position):
            if token.start() > position:
                pieces.append(body[position : token.start()])
            position = token.end()
            tags += 1
            if not tags % _TAGS_A_STEP:
                self._spend()
            group = token.lastindex
            if group is None or group <= HREFS or not token[END]:
                continue
            name = token[NAME].lower()
            if name in _INLINE or (name[:1] == b"/" and name[1:] in _INLINE):
                continue
            pieces.append(b" ")
            if name in _CLOSELY or name == b"/h1":
                self._spend()
                self._told(name, token[ATTRIBUTES])
            elif name in _UNSEEN:
                self.titles += name == b"title"
                if not (token[0].endswith(b"/>") and (xml or name in {b"svg", b"math"})):
                    position = raw_text_end(body, name, position)
        pieces.append(body[position:])
        self._end_heading()

    def text(self) -> str:
        return unescape(self._decoded(b"".join(self._pieces)), in_attribute=False)

    def _spend(self) -> None:
        self.cost_left -= 1
        if self.cost_left < 0:
            raise Costly

    def _told(self, name: bytes, attributes: bytes) -> None:
        if name == b"h1":
            self._end_heading()
            self.headings += 1
            self._heading = len(self._pieces)
        elif name == b"/h1":
            self._end_heading()
        elif name == b"meta":
            if self._value("name", attributes).lower() == "description":
                said = _WHITE.sub(" ", self._value("content", attributes)).strip()
                if said:
                    self.descriptions.append(said[:_DESCRIPTION])
        elif _CANONICAL in self._value("rel", attributes).lower().split():
            href = self._value("href", attributes).strip()
            if href:
                self.canonicals.append(href)

    def _end_heading(self) -> None:
        if self._heading is not None and len(self.h1) < HEADINGS:
            raw = b"".join(self._pieces[self._heading :])[:_RAW]
            words = _WHITE.sub(" ", unescape(self._decoded(raw), in_attribute=False)).strip()
            self.h1.append(words[:LONGEST])
        self._heading = None

    def _value(self, name: str, attributes: bytes) -> str:
        found = attribute(name).match(attributes)
        if found is None or not found.lastindex:
            return ""
        return unescape(self._decoded(found[found.lastindex]), in_attribute=True)

    def _decoded(self, raw: bytes) -> str:
        if raw.isascii() or self._charset_name() == "utf-8":
            return raw.decode("utf-8", "replace")
        # The space in front: bytes that look like a byte order mark are none in the middle of a page.
        return decode_text(b" " + raw, self.charset, None).text[1:]

    def _charset_name(self) -> str:
        if self.charset is None:
            self.charset = decode_text(self.body, None, "text/html").charset
        return self.charset
