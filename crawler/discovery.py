"""What an answer tells a crawl: links, title, whether its content was seen before. No I/O, no scope."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from contextlib import suppress
from hashlib import sha256
from typing import Final

import msgspec

from crawler.charset import from_content_type
from crawler.directives import parse_link_header, parse_robots_header, refresh_target
from crawler.errors import CodedError
from crawler.links import REFERENCES, base_of, resolve, scan
from crawler.models import ROBOTS, SITEMAP_SOURCE, Findings, Request, Response
from crawler.sitemaps import parse as parse_sitemap
from crawler.urls import Url, join

MAX_SCANNED: Final = 5_000_000
MAX_BODIES: Final = 200_000

_HTML: Final = frozenset({"text/html", "application/xhtml+xml"})
_SITEMAP: Final = re.compile(
    rb"(?:\xef\xbb\xbf)?+(?:\s++|<\?[^>]*+>|<!--(?:[^-]++|-(?!->))*+-->|<!DOCTYPE[^>]*+>)*+"
    rb"<(?:\w++:)?+(?:urlset|sitemapindex)[\s>/]"
)
_SITEMAP_HEAD: Final = 4_096
_GZIP: Final = b"\x1f\x8b"
# Relations that name what a browser loads, not where a reader goes.
_HINTS: Final = frozenset(
    {"preload", "prefetch", "preconnect", "dns-prefetch", "modulepreload", "stylesheet", "icon", "manifest"}
)


class Discovery:
    """Reads answers. `kinds` says where links are looked for; `agent` is our product token.

    Content is remembered by its hash: with one of the first 200,000 different bodies, `duplicate_of` names the URL that
    had it first. With `nofollow` pages and links that say so lead nowhere.
    """

    def __init__(self, *, kinds: Collection[str], nofollow: bool, agent: str) -> None:
        self._want = frozenset(kinds).intersection(REFERENCES)
        self._header = "header" in kinds
        self._refresh = "refresh" in kinds
        self._nofollow = nofollow
        self._agent = agent
        self._bodies: dict[bytes, str] = {}

    def read(self, request: Request, response: Response, *, follow: bool = True) -> Findings:
        """What this answer says. Only one of 2xx that arrived whole leads anywhere; without `follow` only a sitemap."""
        findings = Findings()
        body = response.body
        if response.error is not None or response.status is None or not 200 <= response.status < 300:
            return findings
        if body:
            findings.duplicate_of = self._first_with(body, request.written)
        media, charset = from_content_type(response.first("content-type") or "")
        if _is_sitemap(request, body):
            findings.is_sitemap = True
            _read_sitemap(request.url, body, findings)
        else:
            if media in _HTML or (media is None and body.lstrip()[:1] == b"<"):
                self._read_page(request.url, response, charset, findings)
            self._read_headers(request.url, response, findings)
            if not follow:
                findings.follow = []
        return findings

    def _first_with(self, body: bytes, url: str) -> str | None:
        key = sha256(body).digest()[:16]
        first = self._bodies.get(key)
        if first is None and len(self._bodies) < MAX_BODIES:
            self._bodies[key] = url
        return first if first != url else None

    def _read_page(self, url: Url, response: Response, charset: str | None, findings: Findings) -> None:
        body = response.body
        whole = len(body) <= MAX_SCANNED
        page = scan(body if whole else body[:MAX_SCANNED], charset, want=self._want, agent=self._agent)
        findings.title = page.title
        if page.truncated or not whole:
            findings.warnings = ["parse_truncated"]
        links = resolve(page, url)
        findings.links = len(links)
        if self._nofollow:
            if "nofollow" in page.robots:
                return
            if page.nofollow:
                kept = [reference for reference in page.links if reference not in page.nofollow]
                links = resolve(msgspec.structs.replace(page, links=kept), url)
        findings.follow = links
        if self._refresh and page.refresh:
            base = base_of(page, url)
            if base is not None:
                _join(findings.follow, base, [page.refresh])

    def _read_headers(self, url: Url, response: Response, findings: Findings) -> None:
        headers = response.headers
        said = headers.get("x-robots-tag", ()) if self._nofollow else ()
        if said and "nofollow" in parse_robots_header(said, self._agent):
            findings.follow = []
            return
        if self._refresh and "refresh" in headers:
            _join(findings.follow, url, [target for value in headers["refresh"] if (target := refresh_target(value))])
        if self._header and "link" in headers:
            links = parse_link_header(headers["link"])
            passed = _HINTS | {"nofollow"} if self._nofollow else _HINTS
            _join(
                findings.follow, url, [link.target for link in links if link.anchor is None and not link.rel & passed]
            )


def _join(found: list[Url], base: Url, references: Iterable[str]) -> None:
    for reference in references:
        with suppress(CodedError):
            found.append(join(base, reference))


def _is_sitemap(request: Request, body: bytes) -> bool:
    """Whether somebody called it a sitemap, or it looks like one."""
    source = request.input
    if source.source == SITEMAP_SOURCE or (source.parent is not None and source.parent.endswith(ROBOTS)):
        return True
    if body.startswith(_GZIP):
        return request.url.target.partition("?")[0].endswith(".xml.gz")
    return _SITEMAP.match(body[:_SITEMAP_HEAD]) is not None


def _read_sitemap(url: Url, body: bytes, findings: Findings) -> None:
    found = parse_sitemap(body)
    findings.warnings = list(found.warnings)
    findings.error = found.error
    _join(findings.follow, url, found.sitemaps)
    _join(findings.follow, url, [entry.loc for entry in found.urls])
    findings.links = len(findings.follow)
