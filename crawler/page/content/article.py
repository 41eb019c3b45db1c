"""What a page is about: its main text, as text or Markdown, with title, author, date and language. Needs trafilatura.

It was chosen for what it finds: the article and little of what is around it, and all that is said about it. It takes
some 10 to 20 ms a page, so it is the parse processes that do it.
"""

from __future__ import annotations

import logging
import re
from importlib.util import find_spec
from typing import Final, Literal

import msgspec

Form = Literal["text", "markdown"]
FORMS: Final[tuple[Form, ...]] = ("text", "markdown")
_FRONT: Final = "---\n"
_HEAD: Final = 16_384
_LANGUAGE: Final = re.compile(r"""<html\b[^>]*?\slang\s*=\s*["']?([A-Za-z][\w-]*)""", re.IGNORECASE)
NEEDS: Final = "needs one more package: pip install 'everyurl[text]'"


class Article(msgspec.Struct, frozen=True):
    """`text` is in the form that was asked for, "" where there is none; `date` is YYYY-MM-DD, `language` as in HTML."""

    title: str | None
    author: str | None
    date: str | None
    language: str | None
    text: str


def is_installed() -> bool:
    return find_spec("trafilatura") is not None


def article(html: str, url: str, form: Form = "text") -> Article:
    """What this page is about. Raises ImportError, with what to install, without trafilatura."""
    try:
        from trafilatura import extract_with_metadata
    except ImportError as error:
        raise ImportError(f"the main text of a page {NEEDS}") from error
    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)  # of pages that have none we tell ourselves
    marked = form == "markdown"
    said = _LANGUAGE.search(html[:_HEAD])
    language = said[1] if said else None
    found = extract_with_metadata(
        html, url=url, output_format="markdown" if marked else "txt", include_comments=False, include_links=marked
    )
    if found is None:
        return Article(None, None, None, language, "")
    text = found.text or ""
    if text.startswith(_FRONT):  # the same metadata once more
        text = text.partition("\n---\n")[2]
    return Article(found.title or None, found.author or None, found.date or None, language, text.strip())
