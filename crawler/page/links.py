"""What a page says to a crawler: links, base, title, robots, canonical, refresh. One linear-time pass, no parse tree.

Rules:
1. Tags are told from text as the HTML Standard's tokenizer does (section 13.2.5): comments, raw text (script, style,
   textarea, title, xmp, iframe, noembed, noframes, plaintext), quotes of all kinds, the first of duplicate attributes,
   character references, NULs. noscript is markup, as we run no scripts. A tag cut off by the end of the page is no tag.
2. The content of `<template>` is inert: nothing in it counts, unless it is a declarative shadow root. In svg and math
   nothing is raw text, CDATA sections count and `a` is the only link; HTML goes on in their integration points.
3. What needs the tree is not promised: elements that the tree builder drops (a link in a frameset) are seen, and an
   svg or math that was never closed ends only at the next tag that cannot be in it (`<p>`, `<div>`, `<img>` ...).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Collection
from functools import cache
from typing import Final

import msgspec

from crawler.charset import decode_text
from crawler.charset.encodings import canonical, is_utf_8, query_in
from crawler.page.directives import refresh_target, robots_directives, srcset_targets
from crawler.page.markup import (
    ATTRIBUTES,
    END,
    HREFS,
    NAME,
    NOT_ASCII,
    UTF_16_MARKS,
    Enclosures,
    ascii_compatible,
    attribute,
    may_be_other_than_ascii,
    raw_text_end,
    tokens,
    unescape,
)

# The elements that refer to something, and the attributes that say to what.
REFERENCES: Final[dict[str, tuple[str, ...]]] = {
    "a": ("href",),
    "area": ("href",),
    "link": ("href",),
    "iframe": ("src",),
    "frame": ("src",),
    "img": ("src", "srcset"),
    "script": ("src",),
    "form": ("action",),
    "video": ("src", "poster"),
    "source": ("src", "srcset"),
    **dict.fromkeys(("audio", "track", "embed"), ("src",)),
    "object": ("data",),
}
GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "pages": ("a", "area", "iframe", "frame", "refresh"),
    "images": ("img",),
    "scripts": ("script",),
    "styles": ("link",),
    "media": ("video", "audio", "source", "track", "embed", "object"),
}
"""What --links calls several of them; checks look closer (`places.roles`)."""
A_AREA: Final = frozenset({"a", "area"})

_RAW_TEXT: Final = frozenset((b"script", b"style", b"textarea", b"title", b"xmp", b"iframe", b"noembed", b"noframes"))
_METADATA: Final = frozenset((b"base", b"link", b"meta"))
_CONTENT: Final = {b"svg": "svg", b"math": "math", b"template": "html"}
ELEMENTS_READ: Final = _RAW_TEXT | _METADATA | _CONTENT.keys() | {b"plaintext"}
_SHOWN: Final = ("open", "closed")
# HTML Standard section 13.2.6.5: these start tags end the svg or math that they stand in.
_HTML_ONLY: Final = frozenset(
    b"b big blockquote body br center code dd div dl dt em embed h1 h2 h3 h4 h5 h6 head hr i img li listing menu meta "
    b"nobr ol p pre ruby s small span strong strike sub sup table tt u ul var".split()
)
_FONT: Final = ("color", "face", "size")  # with one of these, font is one of them
_TITLE_LIMIT: Final = 10_000  # bytes: a title that is never closed lasts to the end of the page
_WHITE_SPACE: Final = re.compile("[\t\n\f\r ]+")
_NOTHING: Final[frozenset[str]] = frozenset()
_CONTROL_OR_SPACE: Final = "".join(map(chr, range(0x21)))
_BEYOND_ASCII: Final = bytes(range(0x80, 0x100))
_STEP: Final = 16  # bytes, when each of them stands for no character
_AMPERSAND: Final = ord("&")


class Costly(Exception):  # noqa: N818 -- no error: it is known now
    """A page costs more than it may."""


class PageLinks(msgspec.Struct, frozen=True, gc=False):
    """What `scan` found.

    `links` are unresolved references in document order, each once, without fragment and surrounding white space ("" is
    the page itself, or its base); `nofollow` those of them that stand only in elements with rel=nofollow. `robots` are
    directives in lower case, "none" spelt out. `truncated`: there are more than `limit` links; what follows the last
    one was not read. `warnings` are those of finding out the charset, where that was needed.
    """

    links: list[str]
    nofollow: frozenset[str] = _NOTHING
    base: str | None = None
    title: str | None = None
    robots: frozenset[str] = _NOTHING
    canonical: str | None = None
    refresh: str | None = None
    truncated: bool = False
    warnings: tuple[str, ...] = ()


def scan(
    body: bytes,
    charset: str | None = None,
    *,
    want: frozenset[str] = A_AREA,
    agent: str = "",
    limit: int = 10_000,
    max_cost: int | None = None,
    xml: bool = False,
) -> PageLinks:
    """Read an HTML page, by the rules of XML if it is one.

    `charset` is the label in its Content-Type, if any. `want` names the elements whose references are links: keys of
    REFERENCES. `agent` is our product token: `<meta name=AGENT>` counts beside `<meta name=robots>`. `max_cost` is how
    many tags may be looked at closely, 2 to 8 us each; raises Costly when there are more. All else is at least 10 MB/s.
    """
    page = _Page(body, charset, want, agent, limit, max_cost)
    if xml:
        page.read_xml()
    else:
        page.read()
    found = page.references
    return PageLinks(
        links=_decoded(found),
        nofollow=frozenset(_decoded([key for key in found if not found[key]])) if False in found.values() else _NOTHING,
        base=page.base,
        title=page.title,
        robots=page.robots,
        canonical=page.canonical,
        refresh=page.refresh,
        truncated=page.truncated,
        warnings=page.warnings,
    )


def _decoded(references: Collection[bytes]) -> list[str]:
    # All at once is five times as fast. There is no "#" in them: it starts the fragment.
    return b"#".join(references).decode().split("#") if references else []


class _Page:
    """One page being read."""

    def __init__(
        self, body: bytes, charset: str | None, want: frozenset[str], agent: str, limit: int, max_cost: int | None
    ) -> None:
        self.is_trial = max_cost is not None
        self.cost_left = sys.maxsize if max_cost is None else max_cost
        if self.is_trial:
            name = canonical(charset or "")
            if name in NOT_ASCII or body.startswith(UTF_16_MARKS):
                self._spend(len(body))
            elif name is None and may_be_other_than_ascii(body):
                raise Costly
        self.body, self.charset = ascii_compatible(body, charset)
        self.tokens, self.wanted = _vocabulary(want)
        self.agent = agent.lower().encode() or b"robots"
        self.limit = limit
        self.within: Enclosures | None = None
        # Each reference, and whether any element lets it be followed.
        self.references: dict[bytes, bool] = {}
        self.base: str | None = None
        self.title: str | None = None
        self.robots = _NOTHING
        self.canonical: str | None = None
        self.refresh: str | None = None
        self.truncated = False
        self.warnings: tuple[str, ...] = ()

    def read(self) -> None:
        position, end = 0, len(self.body)
        while 0 <= position < end:
            position = self._read_enclosed(position, self.within) if self.within else self._read_html(position)
            if len(self.references) > self.limit and self._is_full():
                position = end

    def read_xml(self) -> None:
        """No element's text is raw, CDATA sections count, names are in lower case and may have a prefix."""
        position, end = 0, len(self.body)
        while 0 <= position < end:
            position = self._read_xml(position)
            if self._is_full():
                position = end

    def _is_full(self) -> bool:
        while len(self.references) > self.limit:
            self.references.popitem()
            self.truncated = True
        return self.truncated

    def _read_html(self, position: int) -> int:
        """Read up to raw text, svg, math or a template, or the limit. Returns where to go on; -1 at the end."""
        references, limit = self.references, self.limit
        for token in self.tokens.finditer(self.body, position):
            group = token.lastindex
            if group is None:
                continue
            if group <= HREFS:
                references[token[group]] = True
            elif token[END]:
                after = self._start_tag(token[NAME].lower(), token)
                if after:
                    return after
            if len(references) > limit:
                break
        return -1

    def _read_xml(self, position: int) -> int:
        """Read on up to a CDATA section, or the limit, as `_read_html` does."""
        body, wanted = self.body, self.wanted
        for token in tokens(None).finditer(body, position):
            group = token.lastindex
            if group is not None and group <= HREFS:
                if b"a" in wanted:
                    self.references[token[group]] = True
            elif token[END]:
                name = token[NAME].rpartition(b":")[2]
                if name in wanted or name in _METADATA or name == b"title":
                    self._spend(0)
                    if name in wanted:
                        self._reference(name, token[ATTRIBUTES])
                    if name in _METADATA:
                        self._metadata(name, token[ATTRIBUTES])
                    elif name == b"title" and self.title is None and not _self_closing(token):
                        start = token.end()
                        self.title = self._title(start, body.find(b"<", start))
            elif body.startswith(b"<![CDATA[", token.start()):
                end = body.find(b"]]>", token.start())
                return end + 3 if end >= 0 else -1
            if len(self.references) > self.limit:
                break
        return -1

    def _read_enclosed(self, position: int, within: Enclosures) -> int:
        """Read on in svg, math or a template, tag by tag, as `_read_html` does."""
        for token in tokens(None).finditer(self.body, position):
            group = token.lastindex
            if group is not None and group <= HREFS:
                if b"a" in self.wanted and not within.inert:
                    self.references[token[group]] = True
            elif token[END]:
                after = self._enclosed_tag(token[NAME].lower(), token, within)
                if after:
                    return after
            elif within.cdata and self.body.startswith(b"<![CDATA[", token.start()):
                end = self.body.find(b"]]>", token.start())
                return end + 3 if end >= 0 else -1
            if len(self.references) > self.limit:
                break
        return -1

    def _enclosed_tag(self, name: bytes, token: re.Match[bytes], within: Enclosures) -> int:
        self._spend(0)
        if name.startswith(b"/"):
            within.close(name[1:])
        elif not within.is_foreign(name):
            return self._start_tag(name, token, inert=within.inert)
        elif name in _HTML_ONLY or (
            name == b"font" and any(self._attribute(font, token[ATTRIBUTES]) is not None for font in _FONT)
        ):
            within.leave_foreign()
            return self._start_tag(name, token, inert=within.inert) or token.end()
        else:
            if name == b"a" and name in self.wanted and not within.inert:
                self._reference(name, token[ATTRIBUTES])
            if not _self_closing(token):
                encoding = self._value("encoding", token[ATTRIBUTES]) if name == b"annotation-xml" else ""
                within.enter_foreign(name, encoding)
        return 0 if within else token.end()

    def _start_tag(self, name: bytes, token: re.Match[bytes], *, inert: bool = False) -> int:
        """Read an HTML start tag, and the raw text behind it. Returns where to go on, or 0: right behind the tag."""
        self._spend(0)
        if not inert:
            if name in self.wanted:
                self._reference(name, token[ATTRIBUTES])
            if name in _METADATA:
                self._metadata(name, token[ATTRIBUTES])
                return 0
        start = token.end()
        if name in _RAW_TEXT:
            end = raw_text_end(self.body, name, start)
            if name == b"title" and self.title is None and not inert:
                self.title = self._title(start, end)
            # The search goes on by itself when the end tag is the next "<".
            return 0 if self.body.find(b"<", start) == end else end
        if name == b"plaintext":
            return len(self.body)
        content = _CONTENT.get(name)
        is_shown = (
            name == b"template" and not inert and self._value("shadowrootmode", token[ATTRIBUTES]).lower() in _SHOWN
        )
        if content is None or is_shown or (name != b"template" and _self_closing(token)):
            return 0
        self.within = self.within or Enclosures()
        self.within.enter(name, content)
        return start

    def _title(self, start: int, end: int) -> str:
        text = self._text(self.body[start : min(end, start + _TITLE_LIMIT)], in_attribute=False)
        return _WHITE_SPACE.sub(" ", text).strip(" ")

    def _spend(self, octets: int) -> None:
        """Take note of a step with text that takes up to 0.5 us a byte."""
        self.cost_left -= 1 + octets // _STEP
        if self.cost_left < 0:
            raise Costly

    def _metadata(self, name: bytes, attributes: bytes) -> None:
        # Nearly all link and meta elements are not for us. To see that without reading their attributes is faster, and
        # to find bytes than to ask whether they are in there: that raises TypeError inside of CPython first.
        said = attributes.lower()
        if name == b"base":
            href = self._attribute("href", attributes)
            if self.base is None and href is not None:
                self.base = self._text(href).strip(_CONTROL_OR_SPACE)
        elif name == b"link":
            may_be = self.canonical is None and (_AMPERSAND in said or said.find(b"canonical") >= 0)
            if may_be and "canonical" in self._value("rel", attributes).lower().split():
                self.canonical = self._value("href", attributes).strip(_CONTROL_OR_SPACE) or None
        elif _AMPERSAND in said or max(map(said.find, (b"robots", b"refresh", self.agent))) >= 0:
            content = self._value("content", attributes)
            if self._value("name", attributes).lower().encode() in (b"robots", self.agent):
                self.robots |= robots_directives(content)
            if self.refresh is None and self._value("http-equiv", attributes).lower() == "refresh":
                self.refresh = refresh_target(content)

    def _reference(self, name: bytes, attributes: bytes) -> None:
        """Keep what an element refers to."""
        rel = self._attribute("rel", attributes)
        followed = not rel or "nofollow" not in self._text(rel).lower().split()
        for attribute_name in self.wanted[name]:
            raw = self._attribute(attribute_name, attributes)
            if raw is None:
                continue
            text = self._text(raw)
            for reference in srcset_targets(text) if attribute_name == "srcset" else (text,):
                target = reference.strip(_CONTROL_OR_SPACE).partition("#")[0]
                # An empty link leads to the page itself; an empty src or action to nothing worth a request.
                if not target.isascii() and "?" in target:
                    target = query_in(target, self._charset_name())
                if target or attribute_name == "href":
                    key = target.encode()
                    self.references[key] = followed or self.references.get(key, False)

    def _attribute(self, name: str, attributes: bytes) -> bytes | None:
        """An attribute's value as written, or None if it is not there."""
        found = attribute(name).match(attributes)
        return found[found.lastindex or 0] if found and found.lastindex else b"" if found else None

    def _value(self, name: str, attributes: bytes) -> str:
        """An attribute's value, "" if it is not there."""
        return self._text(self._attribute(name, attributes) or b"")

    def _text(self, raw: bytes, *, in_attribute: bool = True) -> str:
        self._spend(len(raw))
        if raw.isascii() or self._charset_name() == "utf-8":
            text = raw.decode("utf-8", "replace")
        else:
            # The space in front: bytes that look like a byte order mark are none in the middle of a page.
            text = decode_text(b" " + raw, self.charset, None).text[1:]
        if "\0" in text:
            text = text.replace("\0", "\ufffd")
        if "\r" in text:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        return unescape(text, in_attribute=in_attribute)

    def _charset_name(self) -> str:
        """The WHATWG name of the page's charset. Found out only when something is not ASCII: it may take a while."""
        if self.charset is None:
            if self.is_trial and not is_utf_8(self.body):
                raise Costly  # to guess takes the machinery for it, and that 60 ms to load
            self._spend(len(self.body) - len(self.body.translate(None, _BEYOND_ASCII)))
            _, self.charset, warnings = decode_text(self.body, None, "text/html")
            self.warnings = tuple(warnings)
        return self.charset


@cache
def _vocabulary(want: frozenset[str]) -> tuple[re.Pattern[bytes], dict[bytes, tuple[str, ...]]]:
    """What to look for, and which attributes of the wanted elements refer to something."""
    wanted = {name.encode(): REFERENCES[name] for name in want}
    if b"img" in wanted:
        wanted[b"image"] = wanted[b"img"]  # section 13.2.6.4.7: "Don't ask."
    return tokens(frozenset(map(bytes.decode, ELEMENTS_READ | wanted.keys()))), wanted


def _self_closing(token: re.Match[bytes]) -> bool:
    return token[0].endswith(b"/>") and token.end(ATTRIBUTES) < token.end() - 1
