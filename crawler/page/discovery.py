"""What an answer tells a crawl: links, title, whether its content was seen before. No I/O, no scope.

`discover` is a pure function of what it is given: a costly answer is read in another process. What is Answered knows
whether it is quick to read, however it is made, or may be tried here.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from contextlib import suppress
from functools import cache
from typing import Final, Self

import msgspec

from crawler.charset import extract_type
from crawler.charset.encodings import is_utf_8
from crawler.config.config import Config
from crawler.errors import CodedError
from crawler.fetch.decode import Decoder
from crawler.models import (
    INDEX_SOURCE,
    REQUISITE_SOURCE,
    ROBOTS,
    SITEMAP_SOURCE,
    Findings,
    PageFacts,
    Request,
    Response,
)
from crawler.page.content.facts import read_facts, shortened
from crawler.page.directives import HINTS, parse_link_header, parse_robots_header, refresh_target
from crawler.page.links import GROUPS, REFERENCES, Costly, scan
from crawler.page.resolving import base_of, resolve
from crawler.seeds.sitemaps import parse as parse_sitemap
from crawler.urls import Url, join

MAX_SCANNED: Final = 5_000_000
MAX_LINKS: Final = 10_000
MAX_BODIES: Final = 200_000
MAX_BODY_URLS: Final = 24 << 20  # bytes of their URLs
QUICK: Final = 8_192  # bytes: however they are made, they are read in 5 to 15 ms
TRIED: Final = 131_072  # bytes: those may be tried with TRIAL steps, in 10 to 30 ms
TRIAL: Final = 2_000
_STEP: Final = 128  # characters of a base: to put two references behind so many is a step

_HTML: Final = "text/html"
MARKDOWN: Final = frozenset(("text/markdown", "text/x-markdown"))
_XHTML: Final = "application/xhtml+xml"
_XML: Final = frozenset({"text/xml", "application/xml"})
# MIME Sniffing Standard section 7: these say as little as no type at all.
_UNKNOWN: Final = frozenset({None, "*/*", "unknown/unknown", "application/unknown"})
_PROLOG: Final = rb"(?:\xef\xbb\xbf)?+(?:\s++|<\?[^>]*+>|<!--(?:[^-]++|-(?!->))*+-->|<!DOCTYPE[^>]*+>)*+"
_SITEMAP: Final = re.compile(_PROLOG + rb"<(?:\w++:)?+(?:urlset|sitemapindex)[\s>/]")
_XHTML_ROOT: Final = re.compile(_PROLOG + rb"<(?:\w++:)?+html[\s>/]")
_XML_DECLARED: Final = re.compile(rb"(?:\xef\xbb\xbf)?+<\?xml\s")
_SITEMAP_HEAD: Final = 4_096
_GZIP: Final = b"\x1f\x8b"
_TELLING: Final = frozenset({"link", "refresh", "x-robots-tag"})
HEADERS: Final[tuple[str, ...]] = ("content-type", *_TELLING)


class LinkRules(msgspec.Struct, frozen=True, array_like=True):
    """`kinds` says where links are looked for; `agent` is our product token.

    With `nofollow` pages and links that say so lead nowhere. With `requisites` there is also what a page is
    shown with, with `facts` what it says of itself. With `places` there is a survey of each page in place of all that,
    with `fragments` also of what these may name.
    """

    kinds: frozenset[str]
    nofollow: bool
    agent: str
    requisites: bool = False
    facts: bool = False
    places: bool = False
    fragments: bool = True

    @classmethod
    def of(cls, config: Config, agent: str, *, places: bool = False, fragments: bool = True) -> Self:
        return cls(
            kinds=frozenset(
                kind for word in config.links for kind in ((word,) if places else GROUPS.get(word, (word,)))
            ),
            nofollow=config.nofollow,
            agent=agent,
            requisites=config.mirror is not None,
            facts=config.gathers_facts,
            places=places,
            fragments=fragments,
        )


class Answered(msgspec.Struct, frozen=True, array_like=True):
    """What is read of an answer. `named`: somebody called it a sitemap; `framed`: some page needs it, as a frame maybe;
    `leaf`: its links are not followed; `cut`: it is not whole; `headers` may hold others than HEADERS, too.
    """

    url: Url
    body: bytes
    headers: dict[str, list[str]]
    named: bool = False
    framed: bool = False
    leaf: bool = False
    cut: bool = False

    @classmethod
    def of(cls, request: Request, response: Response, *, leaf: bool = False) -> Self:
        framed, is_cut = request.input.source == REQUISITE_SOURCE, response.error is not None
        return cls(request.url, response.body, response.headers, _is_named_sitemap(request), framed, leaf, is_cut)

    @property
    def may_be_tried(self) -> bool:
        """True if `discover` with TRIAL steps does not take long: if it is short, or no page and no sitemap."""
        size = self._size
        return size <= TRIED or (size - len(self.body) <= TRIED and not self._is_searched)

    @property
    def _is_searched(self) -> bool:
        """Whether links are looked for in its body."""
        media = _content_type(self)[0]
        return self.named or _looks_like_sitemap(self) or media in MARKDOWN or _page_type(media, self.body) is not None

    @property
    def _size(self) -> int:
        headers = self.headers
        told = [value for name in _TELLING if name in headers for value in headers[name]]
        return len(self.body) + sum(map(len, told))


def is_quick(response: Response) -> bool:
    """True if to read it takes no longer than the reactor may be kept, however it is made. Takes half a microsecond.

    What is not UTF-8 may have a charset that has to be guessed, or be a file of gzip and hold a thousand times as much.
    """
    body = response.body
    if len(body) > QUICK or not _TELLING.isdisjoint(response.headers):
        return False
    return body.isascii() or is_utf_8(body)


def discover(answer: Answered, rules: LinkRules, *, max_cost: int | None = None) -> Findings:
    """What an answer says and where it leads. Raises Costly when that takes more than so many steps."""
    if (rules.requisites or rules.places) and max_cost is not None and len(answer.body) > QUICK:
        raise Costly  # it is looked through twice, or closely
    findings = Findings()
    if (answer.named or _looks_like_sitemap(answer)) and not answer.leaf:
        findings.is_sitemap = True
        _read_sitemap(answer, findings, max_cost)
        if rules.facts:
            findings.page = PageFacts(
                links=shortened([link for link in findings.follow if isinstance(link, Url)], answer.url),
                is_sitemap=True,
            )
        if rules.places:
            from crawler.page.places.sitemap import survey_of

            follow = [link.href for link in findings.follow if isinstance(link, Url)]
            findings.survey = survey_of(answer.url, answer.body, follow)
    elif rules.places:
        _look_over(answer, rules, findings)
    else:
        media, charset = _content_type(answer)
        page = media if media == _HTML else _page_type(media, answer.body)
        if page is not None:
            _read_page(answer, rules, charset, findings, max_cost, xml=page == _XHTML)
        _read_headers(answer, rules, findings)
        if rules.requisites:
            _read_requisites(answer, media, page, charset, findings)
    return findings


class Discovery:
    """Reads answers by the rules, and remembers content by its hash.

    With one of the first 200,000 different bodies, `duplicate_of` names the URL that had it first. Of `leaves` no links
    are followed.
    """

    def __init__(self, rules: LinkRules, leaves: Container[Request] = ()) -> None:
        self.rules = rules
        self._leaves = leaves
        self._bodies: dict[bytes, str] = {}
        self._body_urls = 0

    def answered(self, request: Request, response: Response) -> Answered:
        return Answered.of(request, response, leaf=request in self._leaves)

    def read(
        self, request: Request, response: Response, *, follow: bool = True, found: Findings | None = None
    ) -> Findings:
        """What this answer says; `found` is what `discover` has found in it already.

        Only one of 2xx leads anywhere: one that did not arrive whole as far as it goes. Without `follow` only a sitemap
        does.
        """
        if not has_content(response):
            return Findings()
        findings = discover(self.answered(request, response), self.rules) if found is None else found
        if findings.survey is not None and request.method != "HEAD":
            response.survey = findings.survey
        if response.size and response.error is None:
            findings.duplicate_of = self._first_with(response.digest(), request.written)
        if not follow and not findings.is_sitemap:
            findings.follow = []
        return findings

    def _first_with(self, digest: str, url: str) -> str | None:
        key = bytes.fromhex(digest[:32])
        first = self._bodies.get(key)
        if first is None and len(self._bodies) < MAX_BODIES and self._body_urls < MAX_BODY_URLS:
            self._bodies[key] = url
            self._body_urls += len(url)
        return first if first != url else None


def has_content(response: Response) -> bool:
    """Whether an answer, or what there is of it, is what was asked for."""
    return response.status is not None and 200 <= response.status < 300


def may_lead(request: Request, headers: Mapping[str, list[str]]) -> bool:
    """Whether an answer with such headers may hold links: a page, a sitemap, or what says of itself no more."""
    media = extract_type(headers.get("content-type", ()))[0]
    pages = media in (_HTML, _XHTML) or media in _XML or media in _UNKNOWN or media in MARKDOWN
    return pages or _is_named_sitemap(request) or _is_xml_gz(request.url)


def is_text(request: Request, headers: Mapping[str, list[str]]) -> bool:
    """Whether data may be taken from it, or links."""
    media = extract_type(headers.get("content-type", ()))[0] or ""
    return media.startswith("text/") or "json" in media or "xml" in media or may_lead(request, headers)


def _page_type(media: str | None, body: bytes) -> str | None:
    """As what kind of page an answer of such a type is read: HTML, XHTML, or none.

    XHTML is XML whose root is <html>, whatever the type says that it is. An SVG is a picture.
    """
    if media in (_HTML, _XHTML):
        return media
    if media in _XML:
        return _XHTML if _XHTML_ROOT.match(body[:_SITEMAP_HEAD]) else None
    if media not in _UNKNOWN:
        return None
    if _XML_DECLARED.match(body):
        return _XHTML if _XHTML_ROOT.match(body[:_SITEMAP_HEAD]) else None
    return _HTML if body[:_SITEMAP_HEAD].removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"<" else None


def _read_page(
    answer: Answered, rules: LinkRules, charset: str | None, findings: Findings, max_cost: int | None, *, xml: bool
) -> None:
    body, url = answer.body, answer.url
    whole = len(body) <= MAX_SCANNED
    want = _elements(rules.kinds)
    seen = body if whole else body[:MAX_SCANNED]
    page = scan(seen, charset, want=want, agent=rules.agent, max_cost=max_cost, xml=xml)
    findings.title = page.title
    if page.warnings or page.truncated or not whole:
        findings.warnings = [*page.warnings, *(["parse_truncated"] if page.truncated or not whole else ())]
    if max_cost is not None:
        length = len((base_of(page, url) or url).href)
        if len(page.links) * (1 + length // _STEP) > 2 * max_cost:
            raise Costly
    links = resolve(page, url)
    findings.links = len(links)
    if rules.facts:
        said = answer.headers
        findings.page = read_facts(seen, charset, page, url, links, said, agent=rules.agent, max_cost=max_cost, xml=xml)
    if rules.nofollow:
        if "nofollow" in page.robots:
            return
        if page.nofollow:
            kept = [reference for reference in page.links if reference not in page.nofollow]
            links = resolve(msgspec.structs.replace(page, links=kept), url)
    findings.follow = [*links]
    if page.refresh and "refresh" in rules.kinds:
        base = base_of(page, url)
        if base is not None:
            _join(findings, base, [page.refresh])


@cache
def _elements(kinds: frozenset[str]) -> frozenset[str]:
    return kinds.intersection(REFERENCES)


def _read_requisites(
    answer: Answered, media: str | None, page: str | None, charset: str | None, findings: Findings
) -> None:
    from crawler.page.offline.requisites import requisites, syntax_of
    from crawler.page.offline.text import Document  # only who mirrors waits for this

    body = answer.body[:MAX_SCANNED]
    syntax = syntax_of(page or media, body)
    if syntax is not None:
        document = Document(body, answer.url, syntax, charset)
        findings.requisites = requisites(document, frames=not answer.framed)


def _look_over(answer: Answered, rules: LinkRules, findings: Findings) -> None:
    """Survey a page or a style sheet; of a leaf only what fragments may name."""
    from crawler.page.places.looking import encode, look_over  # only who checks links waits for it

    media, charset = _content_type(answer)
    body = answer.body[:MAX_SCANNED]
    found = look_over(
        body,
        answer.url,
        media if media in MARKDOWN else _page_type(media, body) or media,
        charset,
        kinds=rules.kinds or None,
        fragments=rules.fragments,
        links=not answer.leaf,
        whole=len(answer.body) <= MAX_SCANNED and not answer.cut,
        headers={} if answer.leaf else answer.headers,
    )
    if found is not None:
        findings.survey = encode(found.survey)
        findings.follow, findings.requisites, findings.entered = [*found.follow], found.beside, found.entered
        findings.links = len(found.follow) + len(found.beside)
        findings.warnings = ["parse_truncated"] if found.survey.truncated and not answer.cut else []


def _read_headers(answer: Answered, rules: LinkRules, findings: Findings) -> None:
    headers, url = answer.headers, answer.url
    said = headers.get("x-robots-tag", ()) if rules.nofollow else ()
    if said and "nofollow" in parse_robots_header(said, rules.agent):
        findings.follow = []
        return
    if "refresh" in headers and "refresh" in rules.kinds:
        _join(findings, url, [target for value in headers["refresh"] if (target := refresh_target(value))])
    if "link" in headers and "header" in rules.kinds:
        links = parse_link_header(headers["link"])
        passed = HINTS | {"nofollow"} if rules.nofollow else HINTS
        _join(findings, url, [link.target for link in links if link.anchor is None and not link.rel & passed])


def _join(findings: Findings, base: Url, references: Iterable[str]) -> None:
    for reference in references:
        if len(findings.follow) >= MAX_LINKS:
            findings.warnings = list(dict.fromkeys((*findings.warnings, "parse_truncated")))
            return
        with suppress(CodedError):
            findings.follow.append(join(base, reference))


def _is_named_sitemap(request: Request) -> bool:
    """Whether somebody called it one: the user, an index, or a robots.txt."""
    source = request.input
    if source.source is not None:
        return source.source in {SITEMAP_SOURCE, INDEX_SOURCE}
    return source.parent is not None and source.parent.endswith(ROBOTS)


def _looks_like_sitemap(answer: Answered) -> bool:
    body = answer.body
    if body.startswith(_GZIP):
        return _is_xml_gz(answer.url)
    return _SITEMAP.match(body[:_SITEMAP_HEAD]) is not None


def _is_long(sitemap: bytes, max_cost: int) -> bool:
    """True if it has more than so many tags or ends of lines, or more than TRIED bytes when it is unpacked."""
    if sitemap.startswith(_GZIP):
        decoder = Decoder(["gzip"], max_size=TRIED)
        try:
            sitemap = decoder.feed(sitemap)
        except CodedError as error:
            if error.code == "body_too_large":
                return True
            sitemap = decoder.salvaged
    return sitemap.count(b"<") + sitemap.count(b"\n") + sitemap.count(b"\r") > max_cost


def _is_xml_gz(url: Url) -> bool:
    return url.target.partition("?")[0].endswith(".xml.gz")


def _read_sitemap(answer: Answered, findings: Findings, max_cost: int | None) -> None:
    if max_cost is not None and _is_long(answer.body, max_cost):
        raise Costly
    found = parse_sitemap(answer.body, charset=_content_type(answer)[1])
    findings.error = found.error
    findings.is_index = bool(found.sitemaps) and not found.urls
    skipped = found.skipped
    for reference in (*found.sitemaps, *(entry.loc for entry in found.urls)):
        try:
            findings.follow.append(join(answer.url, reference))
        except CodedError:
            skipped += 1
    findings.warnings = [*found.warnings, *([f"entries_skipped:{skipped}"] if skipped else ())]
    findings.links = len(findings.follow)


def _content_type(answer: Answered) -> tuple[str | None, str | None]:
    """The media type and the charset's label."""
    return extract_type(answer.headers.get("content-type", ()))
