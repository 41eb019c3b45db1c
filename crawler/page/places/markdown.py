"""Markdown: where its links stand, what its headings are called, and the HTML in it. Pure.

CommonMark 0.31 with GitHub's tables and bare URLs (GitHub Flavored Markdown, sections 4.10 and 6.9), parsed by
markdown-it-py, which says in which block a link stands; the exact place is found in the block's lines.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import accumulate
from typing import Any, Final, NamedTuple

from markdown_it import MarkdownIt, rules_inline
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

from crawler.charset import decode_text
from crawler.errors import CodedError
from crawler.page.offline.text import Document
from crawler.page.places.survey import Surveyed, Written, survey
from crawler.urls import parse

_FRONT: Final = re.compile(r"\A(---|\+\+\+)[ \t]*\r?\n(?:.*\n)*?\1[ \t]*\r?(?:\n|\Z)")
_EXPLICIT: Final = re.compile(r"[ \t]*\{:?[ \t]*#([^\s{}]+)[^{}]*\}[ \t]*\Z")
_LABEL: Final = re.compile(r"^\(([^()\s]+)\)=[ \t\r]*$", re.MULTILINE)
_BARE: Final = re.compile(r"(?<![\w/])https?://[^\s<\x00-\x20]+", re.IGNORECASE)
_PUNCTUATION: Final = frozenset("?!.,:*_~'\"")
_LONGEST_ENTITY: Final = 34  # characters
_LABELLED: Final = {"link": "link_open", "image": "image", "autolink": "link_open"}
_BREAKS: Final = frozenset(("softbreak", "hardbreak"))
_READ: Final = frozenset(("text", "text_special", "code_inline", "image")) | _BREAKS


class Markdown(NamedTuple):
    """Links at their places, in characters, and what headings are called. `html` is the text without each "<" that is
    none of HTML, so that what stands in it keeps its place.
    """

    links: list[Written]
    names: list[str]
    html: str


def survey_markdown(
    document: Document, *, kinds: frozenset[str] | None, fragments: bool, links: bool, whole: bool
) -> Surveyed:
    """Look through a document of Markdown; see `survey`."""
    read = markdown(decode_text(document.body, document.charset or "utf-8", "text/markdown").text)
    return survey(
        Document(read.html.encode(), document.url, "html", "utf-8"),
        kinds=kinds,
        fragments=fragments,
        links=links,
        whole=whole,
        written=_in_bytes(read.html, read.links),
        named=read.names,
    )


def markdown(text: str) -> Markdown:
    """What a document in Markdown says."""
    return _Reading(text).read()


def _in_bytes(text: str, links: Iterable[Written]) -> Iterator[Written]:
    """The same, at their bytes; the links are in order."""
    at = size = 0
    for link in links:
        size += len(text[at : link.at].encode())
        at = link.at
        yield link._replace(at=size)


class _Span(NamedTuple):
    """A piece of inline markup, by the name of its rule. `made`, of a link or an image, are its tokens."""

    rule: str
    start: int
    end: int
    made: Sequence[Token]


def _noting(name: str, rule: Callable[[StateInline, bool], bool]) -> Callable[[StateInline, bool], bool]:
    """The rule, which notes where it matched; what is in an image is text alone."""

    def noted(state: StateInline, silent: bool) -> bool:
        start, before = state.pos, len(state.tokens)
        noting = state.env["noting"]
        if name == "image":
            state.env["noting"] = False
        try:
            matched = rule(state, silent)
        finally:
            state.env["noting"] = noting
        if matched and not silent and noting:
            made = state.tokens[before:]
            # What was pending comes before it.
            first = next((number for number, token in enumerate(made) if token.type == _LABELLED.get(name)), None)
            inside = [] if first is None else made[first:]
            state.env["spans"].append(_Span(name, start, state.pos, inside))
        return matched

    return noted


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark").enable("table")
    parser.core.ruler.enableOnly(["normalize", "block"])
    # References are wanted as they are written, those that browsers would not follow, too.
    parser.validateLink = _any_link  # type: ignore[method-assign]
    parser.normalizeLink = _as_written  # type: ignore[method-assign]
    rules: dict[str, Any] = {
        "link": rules_inline.link,
        "image": rules_inline.image,
        "autolink": rules_inline.autolink,
        "html_inline": rules_inline.html_inline,
        "backticks": rules_inline.backtick,
    }
    for name, rule in rules.items():
        parser.inline.ruler.at(name, _noting(name, rule))
    return parser


def _any_link(url: str) -> bool:  # noqa: ARG001 - as the parser calls it
    return True


def _as_written(url: str) -> str:
    return url


class _Reading:
    """One document, read once."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._lines = text.split("\n")
        self._starts = [0, *accumulate(len(line) + 1 for line in self._lines)]
        self._cursors: dict[int, int] = {}  # how far the cells of a table are in their line
        self._links: list[Written] = []
        self._names: list[str] = []
        self._slugs: dict[str, int] = {}
        self._mkdocs: dict[str, int] = {}
        self._kept = bytearray(len(text))  # where a "<" is one of HTML

    def read(self) -> Markdown:
        parser = _parser()
        front = _FRONT.match(self._text)
        skipped = self._text.count("\n", 0, front.end()) if front else 0
        lines = ["" if number < skipped else line for number, line in enumerate(self._lines)]
        env: dict[str, Any] = {"noting": True, "spans": []}
        tokens = parser.parse("\n".join(line.removesuffix("\r").replace("\r", " ") for line in lines), env)
        self._names += (found[1] for found in _LABEL.finditer(self._text))
        before: Token | None = None
        for token in tokens:
            if token.type == "html_block" and token.map:
                self._keep(self._starts[token.map[0]], min(self._starts[token.map[1]], len(self._text)))
            elif token.type == "inline" and token.map:
                spans: list[_Span] = []
                env["spans"] = spans
                children: list[Token] = []
                parser.inline.parse(token.content, parser, env, children)
                self._inline(token, spans)
                if before is not None and before.type == "heading_open":
                    self._heading(children)
            before = token
        self._links.sort(key=lambda link: link.at)
        html = "".join(
            " " if character == "<" and not kept else character
            for character, kept in zip(self._text, self._kept, strict=True)
        )
        return Markdown(self._links, self._names, html)

    def _keep(self, start: int, end: int) -> None:
        self._kept[start:end] = b"\1" * (end - start)

    # Links.

    def _inline(self, token: Token, spans: Sequence[_Span]) -> None:
        assert token.map is not None
        if not spans and "://" not in token.content:
            return
        place = self._places(token.content, *token.map)
        taken: list[tuple[int, int]] = []
        for span in spans:
            taken.append((span.start, span.end))
            if span.rule == "html_inline":
                self._keep(place(span.start), place(span.end - 1) + 1)
            elif span.made:
                image = span.rule == "image"
                reference = str(span.made[0].attrs.get("src" if image else "href", ""))
                text = _text_of(span.made)
                self._links.append(Written(place(span.start), "image" if image else "link", reference, text))
        if "://" in token.content:
            for start, url in _bare_urls(token.content, taken):
                self._links.append(Written(place(start), "link", url, url))

    def _places(self, content: str, first: int, last: int) -> Callable[[int], int]:
        """Tells where in the text a place in the content of a block is."""
        lines = content.split("\n")
        starts = [0, *accumulate(len(line) + 1 for line in lines)]
        # The underline of a heading, or the row of a table, is in the lines of the block but not in its content.
        found = [self._place_of_line(line, min(first + number, last - 1)) for number, line in enumerate(lines)]

        def place(at: int) -> int:
            number = bisect_right(starts, at) - 1
            return min(found[number] + at - starts[number], len(self._text) - 1)

        return place

    def _place_of_line(self, content: str, number: int) -> int:
        """Where in the text a line of a block begins, whose indent and markers are gone."""
        line = self._lines[number]
        whole, stripped = line.rstrip(), content.strip()
        indent = len(content) - len(content.lstrip())
        cursor = self._cursors.get(number, 0)
        if whole.endswith(stripped) and len(whole) - len(stripped) >= cursor:
            at = len(whole) - len(stripped)
            if "|" in line and cursor + 1 and (earlier := line.find(stripped, cursor)) >= 0:
                at = earlier
        else:
            at = line.find(stripped, cursor)
        if at < 0:  # a cell with "\|" in it
            return self._starts[number] + cursor - indent
        self._cursors[number] = at + len(stripped)
        return self._starts[number] + at - indent

    # Headings.

    def _heading(self, children: Sequence[Token]) -> None:
        title = _text_of(children)
        explicit = _EXPLICIT.search(title)
        if explicit:
            self._names.append(explicit[1])
            title = title[: explicit.start()]
        slug = github_slug(title)
        number = self._slugs.get(slug)
        name = slug
        while name in self._slugs:
            number = (number or 0) + 1
            name = f"{slug}-{number}"
        self._slugs[slug] = number or 0
        self._slugs.setdefault(name, 0)
        self._names.append(name)
        self._names.append(self._in_mkdocs(mkdocs_slug(title)))

    def _in_mkdocs(self, slug: str) -> str:
        """The second of a name, and one without letters, has a number."""
        number = self._mkdocs.get(slug, -1 if slug else 0)
        name = slug
        while not name or name in self._mkdocs:
            number = max(number, 0) + 1
            name = f"{slug}_{number}"
        self._mkdocs[slug] = number
        self._mkdocs.setdefault(name, 0)
        return name


def github_slug(title: str) -> str:
    """A heading's id as GitHub makes it: lower case, without punctuation, "-" for spaces."""
    return "".join(
        "-" if character == " " else character
        for character in title.strip().lower()
        if character in " -" or unicodedata.category(character)[0] in "LNM" or unicodedata.category(character) == "Pc"
    )


def mkdocs_slug(title: str) -> str:
    """A heading's id as Python-Markdown makes it, and with it MkDocs: ASCII alone, one "-" for many spaces."""
    ascii_only = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode("ascii")
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", ascii_only).strip().lower())


def _text_of(tokens: Sequence[Token]) -> str:
    """What people read of it."""
    return "".join(" " if token.type in _BREAKS else token.content for token in tokens if token.type in _READ)


def _bare_urls(content: str, taken: Sequence[tuple[int, int]]) -> Iterator[tuple[int, str]]:
    """GFM section 6.9: URLs that are written without "<" and ">", and what follows them in a sentence left out."""
    starts = sorted(taken)
    outer: list[tuple[int, int]] = []
    for start, end in starts:
        if not outer or start >= outer[-1][1]:
            outer.append((start, end))
    number = 0
    for found in _BARE.finditer(content):
        while number < len(outer) and outer[number][1] <= found.start():
            number += 1
        if number < len(outer) and outer[number][0] <= found.start():
            continue
        url = found[0] if number >= len(outer) else found[0][: max(outer[number][0] - found.start(), 0)]
        url = _trimmed(url)
        with suppress(CodedError):  # what is no URL is text, and so is what has no domain, as localhost
            if "." in parse(url).host:
                yield found.start(), url


def _trimmed(url: str) -> str:
    """Without what ends the sentence: punctuation, brackets that were not opened in it, a character reference."""
    surplus = url.count(")") - url.count("(")
    end = len(url)
    while end:
        last = url[end - 1]
        if last == ")" and surplus > 0:
            surplus -= 1
        elif last == ";":
            start = url.rfind("&", max(0, end - _LONGEST_ENTITY), end)
            if start >= 0 and url[start + 1 : end - 1].isalnum():
                end = start + 1
        elif last not in _PUNCTUATION:
            break
        end -= 1
    return url[:end]
