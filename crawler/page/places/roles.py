"""What a link is for, and which of the words of --links names it. Pure."""

from __future__ import annotations

from typing import Final, Literal

from crawler.page.markup import attribute, every_tag
from crawler.page.offline.markup import Form, Kind, Piece

Role = Literal["page", "frame", "style", "load", "show", "form"]
"""What a link is for: to go there, to be shown within, or loaded; `show` is what may be missing: images, sound."""

# Mixed Content Level 2, section 3: what may be shown all the same is upgraded, all else is blocked.
_SHOWN_ELEMENTS: Final = frozenset((b"img", b"image", b"audio", b"video", b"source", b"track", b"input"))
# What these name is asked for by other means, if at all.
_UNASKED: Final = frozenset((b"dns-prefetch", b"preconnect", b"pingback", b"edituri", b"webmention", b"prerender"))
_KINDS: Final = {"image": "img", "input": "form", "button": "form", "meta": "refresh"}
_IN_MEDIA: Final = frozenset((b"video", b"audio", b"source", b"track", b"embed", b"object"))
_ICONS: Final = frozenset((
    b"icon", b"apple-touch-icon", b"apple-touch-icon-precomposed", b"apple-touch-startup-image", b"mask-icon",
    b"fluid-icon",
))  # fmt: skip


def role_of(part: Piece, body: bytes, kinds: frozenset[str] | None) -> Role | None:
    """What a part of a page is for; None: it is not asked for, or none of the kinds that --links names (None: all)."""
    if part.form in {Form.BASE, Form.GUARD, Form.POLICY}:
        return None
    role = _role_in(part, body)
    if role is not None and kinds is not None:
        name = "style" if part.form is Form.CSS else part.element.decode("ascii", "replace")
        if kinds.isdisjoint((name, _known_as(name, part.form), _group_of(part, body, role))):
            return None
    return role


def _group_of(part: Piece, body: bytes, role: Role) -> str:
    """Which of the groups of --links it is in."""
    element = part.element
    if part.form is Form.CSS or role == "style":
        return "styles"
    if role in {"page", "form"} or element in {b"iframe", b"frame"}:
        return "pages"
    if element == b"script":
        return "scripts"
    if element in _IN_MEDIA:
        return "images" if part.form is Form.SRCSET or part.attribute == b"poster" else "media"
    if element == b"link":
        relations = set(_said(part, body, "rel").lower().split())
        return "images" if relations & _ICONS else "scripts" if b"modulepreload" in relations else "styles"
    return "images"


def _role_in(part: Piece, body: bytes) -> Role | None:
    element, kind = part.element, part.kind
    if part.form is Form.CSS:
        return "show"
    if element == b"form":
        # What takes a form that is posted need not answer to anything else.
        return "form" if _said(part, body, "method").lower() in {b"", b"get"} else None
    if part.attribute == b"formaction":
        return None
    if element == b"link":
        relations = set(_said(part, body, "rel").lower().split())
        if relations & _UNASKED:
            return None
        if b"stylesheet" in relations:
            return "style"
    if kind is Kind.FRAME:
        return "frame"
    if kind is Kind.REQUISITE:
        is_shown = element in _SHOWN_ELEMENTS or part.attribute == b"background"
        return "show" if is_shown else "load"
    return "page"


def _said(part: Piece, body: bytes, name: str) -> bytes:
    tag = every_tag().match(body, part.tag)
    found = attribute(name).match(body, *tag.span(2)) if tag is not None and tag[1] is not None else None
    return found[found.lastindex].strip() if found and found.lastindex else b""


def _known_as(element: str, form: Form) -> str:
    """As which of the words an element counts, beside its own; a source with a srcset is that of a picture."""
    return "img" if element == "source" and form is Form.SRCSET else _KINDS.get(element, element)
