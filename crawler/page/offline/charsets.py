"""A page whose charset its server alone has told says it itself: no server speaks for a file. Pure."""

from __future__ import annotations

import codecs
import re
from typing import Final

from crawler.charset import decode_text
from crawler.charset.encodings import canonical
from crawler.page.offline.text import Document

_MARKS: Final = (codecs.BOM_UTF8, codecs.BOM_UTF16_BE, codecs.BOM_UTF16_LE)
_PRESCAN: Final = 1_024  # bytes, in which it has to be said (HTML Standard section 13.2.3.2)
# Where the head begins, if its page has tags for that; else in front of what there is.
_BEFORE: Final = re.compile(
    rb"(?:\s++|<!--(?:[^-]++|-(?!->))*+-->|<!doctype[^>]*+>)*+(?:<html(?:\s[^<>]*+)?>\s*+)?+(?:<head(?:\s[^<>]*+)?>)?+",
    re.IGNORECASE,
)


def with_charset(body: bytes, document: Document) -> bytes:
    """The body, that of the document with other references, with what says its charset if nothing else does."""
    name = canonical(document.charset or "")
    if name is None or name.startswith("utf-16") or body.isascii() or body.startswith(_MARKS):
        return body
    label = name.encode("ascii")
    if document.syntax == "css":
        return body if body.startswith(b"@charset ") else b'@charset "' + label + b'";\n' + body
    head = body[:_PRESCAN].lower()
    if document.syntax == "xml":
        if name == "utf-8" or head.startswith(b"<?xml"):
            return body
        return b'<?xml version="1.0" encoding="' + label + b'"?>\n' + body
    if b"charset" in head and decode_text(body, None, "text/html").charset == name:
        return body
    begin = _BEFORE.match(body)
    at = begin.end() if begin is not None else 0
    return body[:at] + b'<meta charset="' + label + b'">' + body[at:]
