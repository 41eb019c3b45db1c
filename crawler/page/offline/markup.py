"""Where HTML, XHTML and SVG refer to files: elements, attributes, styles, and what would keep a copy from working.

One linear-time pass over the bytes, with the tokenizer of crawler.page.markup. What stands in a template counts:
scripts make copies of it. What scripts make themselves is not seen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from typing import Final, NamedTuple

from crawler.page.markup import attribute, every_attribute, every_tag, raw_text_end


class Kind(Enum):
    """What a reference is for."""

    LINK = "link"  # where a reader goes
    REQUISITE = "requisite"  # what a browser loads to show the page
    FRAME = "frame"  # a page inside of the page
    NAME = "name"  # what tells of the original: it stays an absolute URL


class Form(Enum):
    """How a value refers to something."""

    URL = "url"
    SRCSET = "srcset"
    REFRESH = "refresh"
    CSS = "css"  # of an attribute
    SHEET = "sheet"  # the text of a style element
    DOCUMENT = "document"  # a page in an attribute
    POLICY = "policy"  # a Content-Security-Policy
    BASE = "base"
    GUARD = "guard"  # the name of an attribute with which nothing can be loaded from a file


class Piece(NamedTuple):
    """A part of the bytes. `quote` is what stands around it; pieces of one tag have the same `tag`.

    `element` and `attribute` are names in lower case; the text of an element has no attribute.
    """

    start: int
    end: int
    form: Form
    kind: Kind
    tag: int
    quote: bytes = b""
    element: bytes = b""
    attribute: bytes = b""


_RAW_TEXT: Final = frozenset((b"script", b"style", b"textarea", b"title", b"xmp", b"iframe", b"noembed", b"noframes"))
_URL: Final = (Form.URL, Kind.REQUISITE)
_SET: Final = (Form.SRCSET, Kind.REQUISITE)
_FRAME: Final = (Form.URL, Kind.FRAME)
_LINK: Final = (Form.URL, Kind.LINK)
_REFERENCE: Final = {b"href": _URL, b"xlink:href": _URL}
_ELEMENTS: Final[dict[bytes, dict[bytes, tuple[Form, Kind]]]] = {
    b"a": {b"href": _LINK, b"xlink:href": _LINK},
    b"area": {b"href": _LINK},
    b"img": {b"src": _URL, b"srcset": _SET, b"lowsrc": _URL, b"longdesc": _LINK},
    b"image": {b"src": _URL, b"srcset": _SET, **_REFERENCE},
    b"input": {b"src": _URL, b"formaction": _LINK},
    b"button": {b"formaction": _LINK},
    b"form": {b"action": _LINK},
    b"script": {b"src": _URL, **_REFERENCE},
    b"source": {b"src": _URL, b"srcset": _SET},
    b"video": {b"src": _URL, b"poster": _URL},
    b"audio": {b"src": _URL},
    b"track": {b"src": _URL},
    b"embed": {b"src": _FRAME},
    b"object": {b"data": _FRAME},
    b"iframe": {b"src": _FRAME, b"srcdoc": (Form.DOCUMENT, Kind.FRAME), b"longdesc": _LINK},
    b"frame": {b"src": _FRAME, b"longdesc": _LINK},
    b"blockquote": {b"cite": _LINK},
    b"q": {b"cite": _LINK},
    b"ins": {b"cite": _LINK},
    b"del": {b"cite": _LINK},
    b"use": _REFERENCE,
    b"feimage": _REFERENCE,
    b"mpath": _REFERENCE,
    b"pattern": _REFERENCE,
    b"lineargradient": _REFERENCE,
    b"radialgradient": _REFERENCE,
    b"textpath": _REFERENCE,
    b"?xml-stylesheet": {b"href": _URL},
}
_EVERYWHERE: Final = {b"style": (Form.CSS, Kind.REQUISITE), b"background": _URL}
_READ: Final = frozenset((*_ELEMENTS, b"link", b"base", b"meta"))
_MAY_REFER: Final = re.compile(rb"[sS][tT][yY][lL][eE]|[bB][aA][cC][kK][gG]|[uU][rR][lL]\(")
_MAY_NAME: Final = re.compile(rb"[iI][dD][\t\n\f\r ]*+=|[nN][aA][mM][eE][\t\n\f\r ]*+=")
_PAINTS: Final = frozenset(
    (b"fill", b"stroke", b"filter", b"mask", b"clip-path", b"cursor", b"marker-start", b"marker-mid", b"marker-end")
)
_GUARDS: Final = frozenset((b"integrity", b"crossorigin"))
_LOADED: Final = frozenset((
    b"stylesheet", b"icon", b"apple-touch-icon", b"apple-touch-icon-precomposed", b"apple-touch-startup-image",
    b"mask-icon", b"fluid-icon", b"manifest", b"preload", b"modulepreload",
))  # fmt: skip
_NAMING: Final = frozenset((
    b"canonical", b"shortlink", b"dns-prefetch", b"preconnect", b"prerender", b"pingback", b"edituri", b"webmention",
))  # fmt: skip
_PLACEHOLDER: Final = re.compile(rb"[{}]|\[\[|<%|&lt;%")  # of all that fill in templates; no URL has braces
_WRITTEN: Final = frozenset((Form.URL, Form.SRCSET, Form.REFRESH))
_WHITE: Final = b"\t\n\f\r "
_STYLESHEET: Final = re.compile(rb"<(\?xml-stylesheet)\s([^<>]*+)>")

Value = tuple[int, int, bytes]
"""Where an attribute's value stands, and its quotes."""


def pieces(
    body: bytes, *, xml: bool = False, placeholders: bool = True, names: list[bytes] | None = None
) -> Iterator[Piece]:
    """All parts of a page that refer to something, in their order; by the rules of XML if it is that. Without
    `placeholders` those are none that stand in a template where scripts put something else: `{{url}}`.

    To `names` is added what a fragment may name, as it is written: each id, and the name of each `a`, but for those in
    templates, which are in no document.
    """
    at, svg, inert = 0, 0, 0
    enclosing: list[bool] = []  # the templates that we are in, and whether they are inert
    every = every_tag(names=names is not None)
    if xml:
        for found in _STYLESHEET.finditer(body):
            yield from _tag(b"?xml-stylesheet", body, found)
    while True:
        after = -1
        for token in every.finditer(body, at):
            name = token[1]
            if name is None:
                if token[0] == b"<![CDATA[":
                    after = _cdata_end(body, token.end(), plain=not xml and not svg)
                    break
                continue
            if token[3] is None:
                return
            name = name.lower().rpartition(b":")[2]
            if name[:1] == b"/":
                svg -= svg > 0 and name == b"/svg"
                if enclosing and name == b"/template":
                    inert -= enclosing.pop()
                continue
            closed = body[token.end() - 2 : token.end()] == b"/>"
            if name == b"template" and not (closed and xml):
                enclosing.append(not _is_shown(body, token))
                inert += enclosing[-1]
            if names is not None and not enclosing and _MAY_NAME.search(body, *token.span(2)):
                names += _names(name, body, token)
            if name in _READ or _MAY_REFER.search(body, *token.span(2)):
                parts = _tag(name, body, token)
                yield from parts if placeholders or not inert else _without_placeholders(body, parts)
            if name == b"svg" and not closed:
                svg += 1
            if name in _RAW_TEXT and not (closed and (xml or svg)) and not (xml and name not in {b"script", b"style"}):
                start = token.end()
                after = raw_text_end(body, name, start)
                if name == b"style" and after > start:
                    yield Piece(start, after, Form.SHEET, Kind.REQUISITE, token.start(), element=name)
                break
            if name == b"plaintext" and not xml:
                return
        if after < 0:
            return
        at = after


def _without_placeholders(body: bytes, found: Iterator[Piece]) -> Iterator[Piece]:
    for piece in found:
        if piece.form not in _WRITTEN or not _PLACEHOLDER.search(body, piece.start, piece.end):
            yield piece


def _is_shown(body: bytes, token: re.Match[bytes]) -> bool:
    """Whether a template is a declarative shadow root (HTML Standard section 4.12.3)."""
    mode = attribute("shadowrootmode").match(body, *token.span(2))
    return mode is not None and mode.lastindex is not None and mode[mode.lastindex].lower() in {b"open", b"closed"}


def _names(name: bytes, body: bytes, token: re.Match[bytes]) -> Iterator[bytes]:
    """What a fragment may name of an element: HTML Standard section 7.4.6.4, "find a potential indicated element"."""
    for key in ("id", "name") if name == b"a" else ("id",):
        found = attribute(key).match(body, *token.span(2))
        if found and found.lastindex and found[found.lastindex]:
            yield found[found.lastindex]


def _cdata_end(body: bytes, start: int, *, plain: bool) -> int:
    """Behind a CDATA section; in HTML it is a comment that ends with the first ">"."""
    end = body.find(b">" if plain else b"]]>", start)
    return len(body) if end < 0 else end + (1 if plain else 3)


def _tag(name: bytes, body: bytes, token: re.Match[bytes]) -> Iterator[Piece]:
    """The pieces of one start tag: those that can be loaded, then what guards them."""
    known = _ELEMENTS.get(name)
    tag = token.start()
    values: dict[bytes, Value] = {}
    names: dict[bytes, tuple[int, int]] = {}
    for found in every_attribute().finditer(body, token.start(2), token.end(2)):
        key = found[1].lower()
        if key in values:
            continue  # the first one counts
        group = found.lastindex or 1
        values[key] = (
            (*found.span(group), (b"", b'"', b"'", b"")[group - 1]) if group > 1 else (found.end(), found.end(), b"=")
        )
        names[key] = found.span(1)
    pieces = []
    for key, (start, end, quote) in values.items():
        of = known.get(key) if known is not None else None
        if of is None:
            of = _EVERYWHERE.get(key)
        if of is None and key in _PAINTS and body.find(b"url(", start, end) >= 0:
            of = _EVERYWHERE[b"style"]
        if of is not None and end > start:
            pieces.append(Piece(start, end, *of, tag, quote, name, key))
    if name == b"link" and b"href" in values:
        pieces += _link(body, values, tag)
    elif name == b"base" and b"href" in values:
        start, end, quote = values[b"href"]
        pieces.append(Piece(start, end, Form.BASE, Kind.NAME, tag, quote, name, b"href"))
    elif name == b"meta" and b"http-equiv" in values and b"content" in values:
        pieces += _meta(body, values, tag)
    if pieces:
        pieces += [Piece(*names[key], Form.GUARD, Kind.NAME, tag) for key in names if key in _GUARDS]
    return iter(sorted(pieces))


def _link(body: bytes, values: dict[bytes, Value], tag: int) -> list[Piece]:
    start, end, _ = values.get(b"rel", (0, 0, b""))
    relations = set(body[start:end].lower().split())
    kind = Kind.LINK
    if relations & _LOADED:
        kind = Kind.REQUISITE
    elif relations & _NAMING:
        kind = Kind.NAME
    start, end, quote = values[b"href"]
    pieces = [Piece(start, end, Form.URL, kind, tag, quote, b"link", b"href")] if end > start else []
    if b"imagesrcset" in values:
        start, end, quote = values[b"imagesrcset"]
        pieces.append(Piece(start, end, Form.SRCSET, kind, tag, quote, b"link", b"imagesrcset"))
    return pieces


def _meta(body: bytes, values: dict[bytes, Value], tag: int) -> list[Piece]:
    start, end, _ = values[b"http-equiv"]
    said = body[start:end].strip(_WHITE).lower()
    start, end, quote = values[b"content"]
    if said == b"refresh":
        return [Piece(start, end, Form.REFRESH, Kind.LINK, tag, quote, b"meta", b"content")]
    if said == b"content-security-policy":
        return [Piece(start, end, Form.POLICY, Kind.NAME, tag, quote)]
    return []
