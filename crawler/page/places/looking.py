"""Which survey an answer gets, by its type."""

from __future__ import annotations

from collections.abc import Mapping

from crawler.page.offline.requisites import syntax_of
from crawler.page.offline.text import Document
from crawler.page.places.survey import Surveyed, encode, survey
from crawler.urls import Url

__all__ = ["encode", "look_over"]

_MARKDOWN = "markdown"


def look_over(
    body: bytes,
    url: Url,
    media: str | None,
    charset: str | None,
    *,
    kinds: frozenset[str] | None,
    fragments: bool,
    links: bool,
    whole: bool,
    headers: Mapping[str, list[str]],
) -> Surveyed | None:
    """Look through a page, a style sheet or Markdown; see `survey`. None of what has neither links nor names."""
    if media is not None and media.endswith(_MARKDOWN):
        from crawler.page.places.markdown import survey_markdown  # its parser is only for those that have any

        document = Document(body, url, "html", charset)
        return survey_markdown(document, kinds=kinds, fragments=fragments, links=links, whole=whole)
    syntax = syntax_of(media, body)
    if syntax is None or (not links and syntax == "css"):
        return None
    document = Document(body, url, syntax, charset)
    return survey(document, kinds=kinds, fragments=fragments, links=links, whole=whole, headers=headers)
