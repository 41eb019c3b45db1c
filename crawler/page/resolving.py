"""What the references of a page lead to: absolute URLs, relative to its base. Pure."""

from __future__ import annotations

import re
from typing import Final

from crawler.errors import CodedError
from crawler.page.links import PageLinks
from crawler.urls import Url, join, parse

_LONGEST_BASE: Final = 8192  # servers take no more, and each link of the page would be as long
_SLASH: Final = re.compile("/")
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*+):")
_FETCHED: Final = ("http", "https")
# References that are resolved by putting strings together, in a third of the time: no dots but at the start or inside
# of names, nothing that the URL Standard would change. Groups: "/" or None; "../../"; the rest.
_PLAIN: Final = re.compile(
    r"(?!\?|\Z)(?:(/)|(?:\./)?+((?:\.\./)*+))"
    r"((?:[A-Za-z0-9_~-][A-Za-z0-9_.~-]*+/)*+(?:[A-Za-z0-9_~-][A-Za-z0-9_.~-]*+)?+(?:\?[A-Za-z0-9_=&.~-]*+)?+)"
)


def base_of(page: PageLinks, url: Url) -> Url | None:
    """What the page's references are relative to (HTML Standard section 2.4.3); None: to nothing that we fetch."""
    base = _declared_base(page, url)
    return base if base is None or len(base.href) <= _LONGEST_BASE else None


def _declared_base(page: PageLinks, url: Url) -> Url | None:
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
    if base is None:
        origin, folders = "", []
    else:
        origin, folders = base.href[: -len(base.target)], _folders(base.target)
    found: dict[str, Url] = {}
    for reference in page.links:
        plain = _PLAIN.fullmatch(reference) if base else None
        if base and plain:
            root, up, path = plain.groups()
            target = f"/{path}" if root else base.target[: folders[min(len(up) // 3, len(folders) - 1)]] + path
            href = origin + target
            if href not in found:
                found[href] = Url(href, base.scheme, base.host, base.port, base.authority, target)
            continue
        scheme = _SCHEME.match(reference)
        if scheme[1].lower() not in _FETCHED if scheme else base is None:
            continue
        try:
            link = join(base, reference) if base else parse(reference)
        except CodedError:
            continue
        found.setdefault(link.href, link)
    return list(found.values())


def _folders(target: str) -> list[int]:
    """Where the folder of a URL's path ends, the one above, and so on up to "/"."""
    return [slash.end() for slash in _SLASH.finditer(target.partition("?")[0])][::-1]
