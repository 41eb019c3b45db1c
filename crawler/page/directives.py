"""What a server or a page tells crawlers in words: Link, X-Robots-Tag and Refresh, as a header or as a meta. Pure.

All of it is read as forgivingly as its standard allows, and in linear time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import msgspec

# RFC 8288 section 3 and appendix B.2, and the quoted strings of RFC 9110 section 5.6.4.
_TARGET: Final = re.compile(r"[ \t,]*+<([^>]*+)>")
_PARAMETER: Final = re.compile(
    r"""[ \t]*+;[ \t]*+([^ \t=;,]*+)[ \t]*+(?:=[ \t]*+(?:"((?:[^"\\]|\\.)*+)"?+|([^;,]*+)))?+""", re.DOTALL
)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)

# The directives of robots that have a value. Any other "name:" in X-Robots-Tag names a crawler.
_VALUED: Final = frozenset({"max-snippet", "max-image-preview", "max-video-preview", "unavailable_after"})

# HTML Standard section 4.2.5.3, "shared declarative refresh steps".
_REFRESH: Final = re.compile(r"[\t\n\f\r ]*+(?=[0-9.])[0-9.]*+(?:[\t\n\f\r ]++[;,]?+|[;,])[\t\n\f\r ]*+")
_REFRESH_URL: Final = re.compile(
    r"""(?:[uU][rR][lL][\t\n\f\r ]*+=[\t\n\f\r ]*+)?+(?:"([^"]*+)|'([^']*+)|(.+))""", re.DOTALL
)

# HTML Standard section 4.8.4.3.10: a URL, then descriptors up to a comma outside of parentheses or of the URL's end.
_CANDIDATE: Final = re.compile(r"([^\t\n\f\r ,][^\t\n\f\r ]*+)(?:(?<=,)|(?:[^,(]++|\([^)]*+\)?+)*+)")

# Relations that name what a browser loads, not where a reader goes.
HINTS: Final = frozenset(
    {"preload", "prefetch", "preconnect", "dns-prefetch", "modulepreload", "stylesheet", "icon", "manifest"}
)


class HeaderLink(msgspec.Struct, frozen=True, gc=False):
    """A link of a Link header: its target, unresolved; relation types in lower case; its context if not the page."""

    target: str
    rel: frozenset[str]
    anchor: str | None = None


def parse_link_header(values: Iterable[str]) -> list[HeaderLink]:
    """The links of these Link headers (RFC 8288). What follows a malformed link in a value is left out."""
    links: list[HeaderLink] = []
    for value in values:
        target = _TARGET.match(value)
        while target:
            said: dict[str, str] = {}
            at = target.end()
            while parameter := _PARAMETER.match(value, at):
                at = parameter.end()
                name, quoted, token = parameter.groups()
                text = _ESCAPED.sub(r"\1", quoted) if quoted is not None else (token or "").strip()
                said.setdefault(name.lower(), text)  # section 3.3: the first rel counts
            rel = frozenset(said.get("rel", "").lower().split())
            links.append(HeaderLink(target[1].strip(), rel, said.get("anchor")))
            comma = value.find(",", at)
            target = _TARGET.match(value, comma) if comma >= 0 else None
    return links


def robots_directives(content: str) -> set[str]:
    """The directives of a robots meta, in lower case; "none" is spelt out."""
    said = {directive.strip().lower() for directive in content.split(",")} - {""}
    if "none" in said:
        said |= {"noindex", "nofollow"}
    return said


def parse_robots_header(values: Iterable[str], agent: str = "") -> frozenset[str]:
    """The directives of these X-Robots-Tag headers that are for all crawlers or for `agent`, our product token."""
    said: set[str] = set()
    for value in values:
        ours = True
        for part in value.split(","):
            name, colon, rest = part.partition(":")
            name = name.strip().lower()
            names_a_crawler = bool(colon) and name not in _VALUED and " " not in name
            if names_a_crawler:
                ours = name in ("robots", "*", agent.lower())
            if ours:
                said |= robots_directives(rest if names_a_crawler else part)
    return frozenset(said)


def refresh_target(content: str) -> str | None:
    """The URL, unresolved, to which a Refresh leads; None if it names none (it reloads the page) or is malformed."""
    start, end = refresh_span(content)
    return content[start:end].strip() or None


def refresh_span(content: str) -> tuple[int, int]:
    """Where that stands in it; an empty place if nowhere."""
    delay = _REFRESH.match(content)
    found = _REFRESH_URL.match(content, delay.end()) if delay else None
    return found.span(found.lastindex or 0) if found else (0, 0)


def srcset_targets(srcset: str) -> list[str]:
    """The URLs, unresolved, of an image's candidates."""
    return [srcset[start:end] for start, end in srcset_spans(srcset)]


def srcset_spans(srcset: str) -> list[tuple[int, int]]:
    """Where they stand in it."""
    spans = []
    for candidate in _CANDIDATE.finditer(srcset):
        start = candidate.start(1)
        spans.append((start, start + len(candidate[1].rstrip(","))))
    return spans
