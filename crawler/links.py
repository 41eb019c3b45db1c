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
from collections.abc import Iterable
from functools import cache
from typing import Final
from urllib.parse import quote_from_bytes

import msgspec

from crawler.charset import canonical, decode_text
from crawler.errors import CodedError
from crawler.markup import attribute, raw_text_end, tokens, unescape
from crawler.urls import Url, join, parse

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
}
A_AREA: Final = frozenset({"a", "area"})

_RAW_TEXT: Final = frozenset({"script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes"})
_READ: Final = _RAW_TEXT | {"plaintext", "template", "svg", "math", "base", "meta", "link"}
_TITLE_LIMIT: Final = 10_000  # bytes: a title that is never closed lasts to the end of the page
# HTML Standard section 13.2.6.5: these start tags end the svg or math that they stand in.
_HTML_ONLY: Final = frozenset(
    "b big blockquote body br center code dd div dl dt em embed h1 h2 h3 h4 h5 h6 head hr i img li listing menu meta "
    "nobr ol p pre ruby s small span strong strike sub sup table tt u ul var".split()
)
_CONTROL_OR_SPACE: Final = "".join(map(chr, range(0x21)))
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*+):")
_FETCHED: Final = ("http", "https")


class PageLinks(msgspec.Struct, frozen=True, gc=False):
    """What `scan` found.

    `links` are unresolved references in document order, each once, without fragment and surrounding white space ("" is
    the page itself, or its base); `nofollow` those of them that stand only in elements with rel=nofollow. `robots` are
    directives in lower case, "none" spelt out. `truncated`: there are more than `limit` links; what follows the last
    one was not read.
    """

    links: list[str]
    nofollow: frozenset[str] = frozenset()
    base: str | None = None
    title: str | None = None
    robots: frozenset[str] = frozenset()
    canonical: str | None = None
    refresh: str | None = None
    truncated: bool = False


def scan(
    body: bytes,
    charset: str | None = None,
    *,
    want: frozenset[str] = A_AREA,
    agent: str = "",
    limit: int = 10_000,
) -> PageLinks:
    """Read an HTML page.

    `charset` is the label in its Content-Type, if any. `want` names the elements whose references are links: keys of
    REFERENCES. `agent` is our product token: `<meta name=AGENT>` counts beside `<meta name=robots>`.
    """
    page = _Page(body, charset, want, agent, limit)
    page.read()
    found = page.references
    return PageLinks(
        links=[reference.decode() for reference in found],
        nofollow=frozenset(reference.decode() for reference in found if not found[reference]),
        base=page.base,
        title=page.title,
        robots=frozenset(page.robots),
        canonical=page.canonical,
        refresh=page.refresh,
        truncated=page.truncated,
    )


def base_of(page: PageLinks, url: Url) -> Url | None:
    """What the page's references are relative to (HTML Standard section 2.4.3); None: to nothing that we fetch."""
    if page.base is None:
        return url
    scheme = _SCHEME.match(page.base)
    if scheme and scheme[1].lower() not in _FETCHED:
        return url if scheme[1].lower() in ("data", "javascript") else None
    try:
        return join(url, page.base)
    except CodedError:
        return url


def resolve(page: PageLinks, url: Url) -> list[Url]:
    """The http and https URLs that the page links to, each once, in document order. What is no URL is left out."""
    base = base_of(page, url)
    found: dict[str, Url] = {}
    for reference in page.links:
        scheme = _SCHEME.match(reference)
        if scheme[1].lower() not in _FETCHED if scheme else base is None:
            continue
        try:
            target = join(base, reference) if base else parse(reference)
        except CodedError:
            continue
        found.setdefault(target.href, target)
    return list(found.values())


class _Page:
    """One page being read, from `position` to its end."""

    def __init__(self, body: bytes, charset: str | None, want: frozenset[str], agent: str, limit: int) -> None:
        self.body, self.charset = _ascii_compatible(body, charset)
        self.tokens, self.wanted = _vocabulary(want)
        self.agent = agent.lower()
        self.limit = limit
        self.within = _Enclosures()
        # Each reference, and whether anything says that it may be followed.
        self.references: dict[bytes, bool] = {}
        self.base: str | None = None
        self.title: str | None = None
        self.robots: set[str] = set()
        self.canonical: str | None = None
        self.refresh: str | None = None
        self.truncated = False

    def read(self) -> None:
        position = 0
        while 0 <= position < len(self.body) and not self.truncated:
            position = self._read_enclosed(position) if self.within.stack else self._read_html(position)

    def _read_html(self, position: int) -> int:
        """Read on until raw text, svg, math or a template. Returns where to go on behind it, or -1."""
        references, limit = self.references, self.limit
        for token in self.tokens.finditer(self.body, position):
            href = token[1]
            if href is not None:
                references[href] = True
                if len(references) > limit:
                    break
            elif token[4]:
                go_on = self._start_tag(token)
                if go_on >= 0:
                    return go_on
        self._truncate()
        return -1
