"""What a page says of itself, and where it leads: what search engines look at. A part of the record."""

from __future__ import annotations

import msgspec


class PageFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Of a page of HTML, or of a sitemap, of which only the links are told.

    `titles`, `h1s`, `descriptions` and `canonicals` are how many there are; `h1` has the texts of the first five, cut
    at 300 characters, `description` and `canonical` the first one, the latter as an absolute URL. `robots` are the
    directives of metas and headers. `words` are those of the text that people see. `links` are the URLs that the page
    leads to, each once, without fragments; of its own origin as paths.
    """

    titles: int = 0
    h1s: int = 0
    h1: list[str] = []
    descriptions: int = 0
    description: str | None = None
    canonicals: int = 0
    canonical: str | None = None
    robots: list[str] = []
    words: int | None = None
    links: list[str] = []
    is_sitemap: bool = False
