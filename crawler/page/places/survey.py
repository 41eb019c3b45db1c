"""A page surveyed: each place that links somewhere, and all that a fragment may name. One linear pass, no parse tree.

What stands in a template counts, but for placeholders. References in srcset and srcdoc stand where their
attribute does. Of a link to the page itself nothing is kept when it leads where it says.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple
from urllib.parse import unquote

import msgspec

from crawler.errors import CodedError
from crawler.page.directives import HINTS, parse_link_header, refresh_span, refresh_target, srcset_targets
from crawler.page.markup import attribute, every_tag
from crawler.page.offline import css
from crawler.page.offline.markup import Form, Kind, Piece, pieces
from crawler.page.offline.text import CONTROL_OR_SPACE, FETCHED, LONGEST, SCHEME, Document, Text, ascii_based
from crawler.page.places.position import Positions
from crawler.page.places.roles import Role, role_of
from crawler.redaction import discreet, scrub
from crawler.urls import Url

MOST_LINKS: Final = 200_000
MOST_URLS: Final = 16 << 20  # characters of them
_SHOWN: Final = 1_000  # characters of a reference
_TEXT: Final = 100
_INNER: Final = 2_000  # bytes
_END: Final = re.compile(rb"</[aA](?=[\t\n\f\r />])")
_ANY_TAG: Final = re.compile(rb"<[^>]*+>")
_ALT: Final = re.compile(rb"""<[iI][mM][gG]\s[^>]*?\salt=(?:"([^"]*+)"|'([^']*+)')""")
_WHITE: Final = re.compile(r"\s+")
_NESTED: Final = 3


class Link(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A link at its place. `target` is the number of its URL in the survey, -1 where it leads to none that is fetched;
    `fault` says in words why it is no URL. `fragment` is as it is written, without a text directive.
    """

    target: int
    role: Role
    line: int
    column: int
    element: str
    attribute: str
    reference: str
    text: str
    fragment: str = ""
    fault: str = ""


class Survey(msgspec.Struct, array_like=True):
    """`names` are what fragments may name: None of what is no page, or was not read to its end. A `leaf` was
    only looked into for these.
    """

    url: str
    urls: list[str] = []
    links: list[Link] = []
    names: list[str] | None = None
    truncated: bool = False
    leaf: bool = False


class Written(NamedTuple):
    """A link that is none of HTML, as Markdown has it: "link" or "image", at a byte of the document."""

    at: int
    element: str
    reference: str
    text: str


class Surveyed(NamedTuple):
    """`follow` are pages, `beside` what they are shown with; `entered` are the URLs of which a fragment is wanted."""

    survey: Survey
    follow: list[Url]
    beside: list[Url]
    entered: set[str]


encode: Final = msgspec.msgpack.Encoder().encode
decode: Final = msgspec.msgpack.Decoder(Survey).decode


def survey(
    document: Document,
    *,
    kinds: frozenset[str] | None = None,
    fragments: bool = True,
    links: bool = True,
    whole: bool = True,
    headers: Mapping[str, list[str]] = MappingProxyType({}),
    written: Iterable[Written] = (),
    named: Iterable[str] = (),
) -> Surveyed:
    """Look through a document. `kinds` are elements, as --links names them (None: all); without `links` only names.

    `whole`: this is all of it. What its `headers` link to stands in front of it. What is `written` and `named` is in
    it, too, and not in HTML.
    """
    plain, _ = ascii_based(document)
    looking = _Looking(plain, kinds, fragments=fragments)
    looking.headers(headers)
    if plain.syntax == "css":
        looking.sheet()
    else:
        looking.page(links=links)
        looking.beside_html(written if links else (), named)
    return looking.surveyed(whole=whole, leaf=not links)


def without_directive(fragment: str) -> str:
    """The fragment without a text directive (URL Fragment Text Directives, section 3.3)."""
    return fragment.partition(":~:")[0]


def is_named(fragment: str, names: Container[str]) -> bool:
    """Whether a fragment leads to something (HTML Standard section 7.4.6.4)."""
    if not fragment or fragment in names:
        return True
    decoded = unquote(fragment, errors="replace")
    return decoded in names or decoded.lower() == "top"


def _without_login(reference: str) -> str:
    """The reference without a password; what has no authority is left as it is: a mail address, another scheme."""
    return scrub(reference) if "@" in reference and "//" in reference else reference


class _Found(NamedTuple):
    """A reference before its place is known."""

    at: int
    tag: int
    element: bytes
    attribute: bytes
    role: Role
    reference: str
    target: int
    fragment: str
    fault: str
    text: str = ""


class _Looking:
    """One document, looked through once."""

    def __init__(self, document: Document, kinds: frozenset[str] | None, *, fragments: bool) -> None:
        self._body = document.body
        self._document = document
        self._kinds = kinds
        self._fragments = fragments
        self._text = Text(document)
        self._urls: dict[str, int] = {}
        self._by_number: list[Url] = []
        self._known: dict[str, tuple[int, str]] = {}
        self._room = MOST_URLS
        self._found: list[_Found] = []
        self._follow: dict[str, Url] = {}
        self._beside: dict[str, Url] = {}
        self._entered: set[str] = set()
        self._names: set[str] | None = None
        self._truncated = False

    def headers(self, headers: Mapping[str, list[str]]) -> None:
        said = [("refresh", refresh_target(value) or "") for value in headers.get("refresh", ())]
        links = parse_link_header(headers.get("link", ()))
        said += [("link", link.target) for link in links if link.anchor is None and not link.rel & HINTS]
        for name, reference in said:
            kind = "refresh" if name == "refresh" else "header"
            if self._kinds is None or not self._kinds.isdisjoint((kind, "pages")):
                piece = Piece(0, 0, Form.URL, Kind.LINK, 0, element=b"header", attribute=name.encode())
                self._reference(piece, "page", reference, 0)

    def page(self, *, links: bool) -> None:
        raw: list[bytes] | None = [] if self._fragments else None
        parts = list(pieces(self._body, xml=self._document.syntax == "xml", placeholders=False, names=raw))
        if raw is not None:
            self._names = set(map(self._text.attribute, raw))
        if links:
            base = next((part for part in parts if part.form is Form.BASE), None)
            if base is not None:
                self._text.set_base(self._text.attribute(self._body[base.start : base.end]))
            for part in parts:
                self._part(part, self._body, part.start)

    def beside_html(self, written: Iterable[Written], named: Iterable[str]) -> None:
        for link in written:
            is_image = link.element == "image"
            wanted = ("img", "images") if is_image else ("a", "pages")
            if self._kinds is None or not self._kinds.isdisjoint(wanted):
                kind = Kind.REQUISITE if is_image else Kind.LINK
                piece = Piece(link.at, link.at, Form.URL, kind, -1, element=link.element.encode(), attribute=b"")
                self._reference(piece, "show" if is_image else "page", link.reference, link.at, text=link.text)
        self._found.sort(key=lambda found: found.at)
        if self._names is not None:
            self._names.update(named)

    def sheet(self) -> None:
        self._in_sheet(Piece(0, len(self._body), Form.SHEET, Kind.REQUISITE, 0), self._body, 0)

    def surveyed(self, *, whole: bool, leaf: bool) -> Surveyed:
        own = self._document.url.href
        names = self._names
        survey = Survey(own, [*self._urls], truncated=self._truncated or not whole, leaf=leaf)
        survey.names = [*names] if names is not None and whole else None
        itself = self._urls.get(own, -2)
        positions = Positions(self._body, self._text.decoded)
        for found in self._found:
            if found.target == itself and (names is None or not whole or is_named(found.fragment, names)):
                continue
            line, column = positions.of(found.at)
            survey.links.append(
                Link(
                    found.target,
                    found.role,
                    line,
                    column,
                    found.element.decode("ascii", "replace"),
                    found.attribute.decode("ascii", "replace"),
                    _without_login(found.reference)[:_SHOWN],
                    discreet(self._shown(found)),
                    found.fragment,
                    found.fault,
                )
            )
        self._follow.pop(own, None)
        self._beside.pop(own, None)
        return Surveyed(survey, [*self._follow.values()], [*self._beside.values()], self._entered)

    # References.

    def _part(self, part: Piece, body: bytes, at: int, depth: int = 0) -> None:
        form = part.form
        if form is Form.SHEET:
            self._in_sheet(part, body, at)
            return
        role = role_of(part, body, self._kinds)
        if role is None:
            return
        text = self._text.attribute(body[part.start : part.end]) if depth == 0 else body[part.start : part.end].decode()
        if form is Form.URL:
            self._reference(part, role, text, at, depth)
        elif form is Form.SRCSET:
            for reference in srcset_targets(text):
                self._reference(part, role, reference, at, depth)
        elif form is Form.REFRESH:
            start, end = refresh_span(text)
            if end > start:
                self._reference(part, role, text[start:end], at)
        elif form is Form.CSS:
            for span in css.references(text):
                self._reference(part, role, span.text, at)
        elif form is Form.DOCUMENT and depth < _NESTED:
            inner = text.encode()
            for piece in pieces(inner, placeholders=False):
                self._part(piece, inner, at, depth + 1)

    def _in_sheet(self, part: Piece, body: bytes, at: int) -> None:
        if self._kinds is not None and self._kinds.isdisjoint(("style", "styles")):
            return
        raw = body[part.start : part.end]
        for start, end, _ in css.references(raw.decode("latin-1")):  # each byte is a character
            reference = css.unescape(self._text.decoded(raw[start:end])).strip()
            self._reference(part, "show", reference, at if body is not self._body else part.start + start)

    def _reference(self, part: Piece, role: Role, written: str, at: int, depth: int = 0, text: str = "") -> None:
        reference = written.strip(CONTROL_OR_SPACE)
        if len(self._found) >= MOST_LINKS:
            self._truncated = True
            return
        if not reference and part.attribute != b"href":
            return
        target, sharp, fragment = reference.partition("#")
        fragment = without_directive(fragment) if sharp and self._fragments else ""
        known = self._known.get(target)
        if known is None:
            known = self._known[target] = self._resolved(target)
        number, fault = known
        if number == -1 and not fault and reference[:5].lower() == "data:":
            return
        if number < -1:
            return
        if number >= 0:
            self._wanted(number, role, fragment)
        self._found.append(
            _Found(
                at,
                part.tag if depth == 0 else -1,
                part.element,
                part.attribute,
                role,
                reference,
                number,
                fragment,
                fault,
                text,
            )
        )

    def _wanted(self, number: int, role: Role, fragment: str) -> None:
        url = self._by_number[number]
        kept = self._beside if role in {"load", "show"} else self._follow
        kept.setdefault(url.href, url)
        if fragment:
            self._entered.add(url.href)

    def _resolved(self, target: str) -> tuple[int, str]:
        """The number of its URL and what is wrong with it; -1 for what is not fetched, -2 for what is not kept."""
        scheme = SCHEME.match(target)
        if scheme is not None and scheme[1].lower() not in FETCHED:
            return -1, ""
        if scheme is None and self._text.base is None:
            return -2, ""
        if len(target) > LONGEST:
            return -1, f"the URL has {len(target):,} characters (allowed: {LONGEST:,})"
        try:
            url = self._text.joined(target)
        except CodedError as error:
            return -1, error.message
        number = self._urls.get(url.href)
        if number is None:
            self._room -= len(url.href)
            if self._room < 0:
                self._truncated = True
                return -2, ""
            number = self._urls[url.href] = len(self._urls)
            self._by_number.append(url)
        return number, ""

    # What people see of it.

    def _shown(self, found: _Found) -> str:
        body, element = self._body, found.element
        if found.text:
            return _WHITE.sub(" ", found.text).strip()[:_TEXT]
        if element not in {b"a", b"area", b"img"} or self._document.syntax == "css":
            return ""
        tag = every_tag().match(body, found.tag) if found.tag >= 0 else None
        if tag is None or tag[1] is None:
            return ""
        if element != b"a":
            alt = attribute("alt").match(body, *tag.span(2))
            raw = alt[alt.lastindex] if alt and alt.lastindex else b""
        else:
            start = tag.end()
            end = _END.search(body, start, start + _INNER)
            inner = body[start : end.start() if end else start + _TEXT]
            raw = _ANY_TAG.sub(b"", inner)
            if not raw.strip():
                alt = _ALT.search(inner)
                raw = alt[alt.lastindex] if alt and alt.lastindex else b""
        return _WHITE.sub(" ", self._text.attribute(raw)).strip()[:_TEXT]
