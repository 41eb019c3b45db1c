"""What a browser loads to show an answer: images, scripts, styles, fonts, frames. Pure."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Final

from crawler.page.offline.editing import NotKept, Reference, edit
from crawler.page.offline.markup import Kind
from crawler.page.offline.text import Document, Syntax
from crawler.urls import Url

MOST: Final = 10_000
_XHTML: Final = "application/xhtml+xml"
_DRAWING: Final = "image/svg+xml"
_XML: Final = frozenset({"text/xml", "application/xml"})
_HEAD: Final = 4_096
_ROOT: Final = re.compile(rb"<(?:\w++:)?+(?:html|svg)[\s>/]")


def syntax_of(media: str | None, body: bytes) -> Syntax | None:
    """As what an answer of such a type is looked through; None: it refers to nothing."""
    if media == "text/html":
        return "html"
    if media == "text/css":
        return "css"
    if media in {_XHTML, _DRAWING} or (media in _XML and _ROOT.search(body[:_HEAD])):
        return "xml"
    return None


def requisites(document: Document, *, frames: bool = True) -> list[Url]:
    """What has to be fetched for it, each once, in its order; without `frames` no pages inside of it."""
    wanted = {Kind.REQUISITE, Kind.FRAME} if frames else {Kind.REQUISITE}
    found: dict[str, Url] = {}

    def visit(reference: Reference) -> None:
        if reference.kind in wanted and len(found) < MOST:
            found.setdefault(reference.url.href, reference.url)

    with suppress(NotKept):  # what was found is found
        edit(document, visit)
    return list(found.values())
