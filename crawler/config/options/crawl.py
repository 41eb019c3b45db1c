"""The options of a crawl, of a job and of extraction."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal, get_args

from crawler.config.kinds import Choice, Flag, Line, Many, Option, Path, Seconds, Whole, shown
from crawler.config.machines import MachineOptions
from crawler.config.options.groups import CHECK, CRAWL, EXTRACTION, JOB
from crawler.config.patterns import UrlPattern

ScopeKind = Literal["host", "origin", "domain", "prefix", "any"]
LinkKind = Literal[
    "pages", "images", "scripts", "styles", "media",
    "a", "area", "link", "iframe", "frame", "img", "script", "form", "video", "audio", "source", "track", "embed",
    "object", "header", "refresh",
]  # fmt: skip

TextFormat = Literal["text", "markdown"]
ReportFormat = Literal["text", "json", "junit", "sarif", "github", "markdown"]

_BILLION: Final = 1_000_000_000
_STATUSES: Final = re.compile(r"(?P<one>\d{3})|(?P<start>\d{3})?\.\.(?P<closed>=?)(?P<end>\d{3})?", re.ASCII)


class Pattern(Line, frozen=True):
    """A regular expression, as text."""

    expected: str = "a regular expression"

    def read(self, raw: object) -> str:
        text = super().read(raw)
        UrlPattern(text)  # raises ValueError
        return text


class Name(Line, frozen=True):
    """What a value in data is called."""

    expected: str = "a name (letters, digits, _, . and -, such as article)"

    def read(self, raw: object) -> str:
        text = super().read(raw)
        if not re.fullmatch(r"[A-Za-z_][\w.-]*", text):
            raise ValueError(f"{shown(raw)} is not {self.expected}")
        return text


class Choices(Many, frozen=True):
    """Some of a few words, also as one text with commas."""

    @property
    def takes(self) -> str:
        return f"str | {super().takes}"

    def read(self, raw: object) -> tuple[object, ...]:
        items = (raw,) if isinstance(raw, str) else raw
        assert isinstance(self.item, Choice)
        if not isinstance(items, (tuple, list, set, frozenset)):
            return super().read(raw)
        words = [word for item in items for word in (self.split(item) if isinstance(item, str) else (item,))]
        if items and not words:
            raise ValueError(f"{shown(raw)} names none of {', '.join(self.item.values)}")
        return tuple(dict.fromkeys(self.item.read(word) for word in words))

    def show(self, value: object) -> str:
        assert isinstance(value, tuple)
        return ",".join(value)


class CommaList(Many, frozen=True):
    """Several values, also as one text with commas."""

    def read(self, raw: object) -> tuple[object, ...]:
        items = raw if isinstance(raw, (tuple, list, set, frozenset)) else (raw,)
        words = [word for item in items for word in (self.split(item) if isinstance(item, str) else (item,))]
        if items and not words:
            raise ValueError(f"{shown(raw)} is not {self.item.expected}")
        return tuple(dict.fromkeys(self.item.read(word) for word in words))


class Statuses(Line, frozen=True):
    """A status or a range of them, as text."""

    expected: str = "a status (403) or a range of them (200..=299, 200..300, 500..)"

    def read(self, raw: object) -> str:
        text = super().read(str(raw) if isinstance(raw, int) and not isinstance(raw, bool) else raw)
        try:
            statuses(text)
        except ValueError:
            raise ValueError(f"{shown(raw)} is not {self.expected}") from None
        return text


def statuses(text: str) -> range:
    """The statuses that such a text stands for: 403; 200..=299 (with both); 200..300 (without the last); ..=299; 500..

    Raises ValueError.
    """
    found = _STATUSES.fullmatch(text)
    if found is None or (found["closed"] and not found["end"]):
        raise ValueError
    if found["one"]:
        return range(int(found["one"]), int(found["one"]) + 1)
    start = int(found["start"] or 100)
    named = range(start, int(found["end"]) + bool(found["closed"]) if found["end"] else 1_000)
    if not named:
        raise ValueError
    return named


class Extension(Line, frozen=True):
    """What stands behind the dot in the name of a file."""

    expected: str = "an extension (html)"

    def read(self, raw: object) -> str:
        text = super().read(raw).removeprefix(".")
        if re.fullmatch(r"[\w-]+(?:\.[\w-]+)*", text) is None:
            raise ValueError(f"{shown(raw)} is not {self.expected}")
        return text


class IndexName(Line, frozen=True):
    """The name of a file in a folder, or "." for that itself."""

    expected: str = 'the name of a file (index.html), or "." for the folder itself'

    def read(self, raw: object) -> str:
        text = super().read(raw)
        if text == ".." or not {"/", "\\"}.isdisjoint(text):
            raise ValueError(f"{shown(raw)} is not {self.expected}")
        return text


class BaseUrl(Line, frozen=True):
    """The URL of a folder, with a "/" at its end."""

    expected: str = "the URL of a folder (https://example.org/docs/)"

    def read(self, raw: object) -> str:
        from crawler.errors import CodedError  # only who has one waits for these
        from crawler.urls import parse

        text = super().read(raw)
        try:
            url = parse(text)
        except CodedError as error:
            raise ValueError(f"{shown(raw)} is not {self.expected}: {error.message}") from None
        if url.scheme not in {"http", "https"} or "?" in url.href or "#" in text:
            raise ValueError(f"{shown(raw)} is not {self.expected}")
        return url.href if url.href.endswith("/") else f"{url.href}/"


class Declarations(Many, frozen=True):
    """Declarations of extract.py; also as a table of names: `title = "title::text"`, in a list of one for all."""

    @property
    def takes(self) -> str:
        return f"{super().takes} | Mapping[str, str | list[str] | tuple[str]]"

    def read(self, raw: object) -> tuple[object, ...]:
        if not isinstance(raw, Mapping):
            return super().read(raw)
        declarations: list[object] = []
        for name, value in raw.items():
            match value:
                case str():
                    declarations.append(f"{name}={value}")
                case [str() as selector]:
                    declarations.append(f"{name}[]={selector}")
                case _:
                    raise ValueError(
                        f"{name}: {shown(value)} is not a selector (a string; for all matches a list of one)"
                    )
        return super().read(declarations)


class CrawlOptions(MachineOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which links to follow, what to keep for the next run, what to take from each page."""

    recursive: Annotated[
        bool,
        Option(Flag(), CRAWL, "Follow links: the inputs are where the crawl begins", ("-r",)),
    ] = False
    depth: Annotated[
        int | None,
        Option(Whole(0, _BILLION), CRAWL, "Follow at most N links from an input", metavar="N"),
    ] = None
    max_pages: Annotated[
        int | None,
        Option(Whole(1, _BILLION), CRAWL, "Fetch N pages, not one more", metavar="N"),
    ] = None
    scope: Annotated[
        ScopeKind,
        Option(
            Choice(get_args(ScopeKind)),
            CRAWL,
            "Follow links to the same host, origin, domain, prefix (origin and folder), or any",
            metavar="KIND",
            recursive="host",
        ),
    ] = "any"
    include: Annotated[
        tuple[str, ...],
        Option(Many(Pattern()), CRAWL, "Follow only links to URLs that match REGEX", metavar="REGEX"),
    ] = ()
    exclude: Annotated[
        tuple[str, ...],
        Option(Many(Pattern()), CRAWL, "Follow no links to URLs that match REGEX", metavar="REGEX"),
    ] = ()
    links: Annotated[
        tuple[LinkKind, ...],
        Option(
            Choices(Choice(get_args(LinkKind)), separators=", \t\n"),
            CRAWL,
            "Where links are: "
            + ", ".join(get_args(LinkKind)[:5])
            + ", or some of "
            + ", ".join(get_args(LinkKind)[5:]),
            metavar="KINDS",
            mirrored=("a", "area", "link", "iframe", "frame", "refresh"),
        ),
    ] = ("a", "area", "refresh")
    nofollow: Annotated[
        bool,
        Option(Flag(), CRAWL, "Follow no link of pages or rel attributes that say nofollow"),
    ] = False
    sitemap: Annotated[
        tuple[str, ...],
        Option(Many(Line("a URL")), CRAWL, "Begin with the URLs of this sitemap, too", metavar="URL"),
    ] = ()
    sitemaps: Annotated[
        bool,
        Option(Flag(), CRAWL, "Begin with the sitemaps that robots.txt names, too, or /sitemap.xml"),
    ] = False
    sort_query: Annotated[
        bool,
        Option(Flag(), CRAWL, "Take URLs that differ in the order of their parameters for the same"),
    ] = False
    strip_trackers: Annotated[
        bool,
        Option(Flag(), CRAWL, "Take URLs that differ in utm_source, gclid and the like for the same"),
    ] = False
    skipped: Annotated[
        bool,
        Option(Flag(), CRAWL, "Write records of links that are not followed, with the reason"),
    ] = False
    dry_run: Annotated[
        bool,
        Option(Flag(), CRAWL, "Fetch the inputs alone, and say of each link whether it would be followed, and why"),
    ] = False

    job: Annotated[
        str | None,
        Option(Path("a folder", folder=True), JOB, "Keep the run in DIR: the same command goes on", metavar="DIR"),
    ] = None
    since: Annotated[
        str | None,
        Option(
            Path("records or the folder of a job"),
            JOB,
            "Fetch only what has changed since an earlier run: its RECORDS.jsonl, or its job",
            metavar="RECORDS",
        ),
    ] = None
    durable: Annotated[
        bool,
        Option(Flag(), JOB, "Survive a power failure, too; slower"),
    ] = False

    accept_status: Annotated[
        tuple[str, ...],
        Option(
            CommaList(Statuses(), separators=", \t\n"),
            CHECK,
            "Take these statuses for good answers: 200..=299,403 (for `crawler check` also --accept)",
            metavar="STATUSES",
        ),
    ] = ("200..=299",)
    fragments: Annotated[
        bool,
        Option(Flag(), CHECK, "Look whether what stands behind the # of a link is there"),
    ] = True
    strict: Annotated[
        bool,
        Option(Flag(), CHECK, "Exit with 3 for links, too, that may be good another day"),
    ] = False
    format: Annotated[
        ReportFormat,
        Option(
            Choice(get_args(ReportFormat)),
            CHECK,
            "Say what was found for people (text), for programs, or for a CI: " + ", ".join(get_args(ReportFormat)),
            metavar="FORMAT",
        ),
    ] = "text"

    base: Annotated[
        str | None,
        Option(
            BaseUrl(),
            CHECK,
            "Where the folder that is checked is on the web: what leads there is looked up in the folder",
            metavar="URL",
        ),
    ] = None
    fallback_extensions: Annotated[
        tuple[str, ...],
        Option(
            CommaList(Extension(), separators=", \t\n"),
            CHECK,
            "In a folder, look for what is not there with these extensions: html, where /guide is guide.html",
            metavar="EXT,...",
        ),
    ] = ()
    index_files: Annotated[
        tuple[str, ...],
        Option(
            CommaList(IndexName(), separators=",\n"),
            CHECK,
            "In a folder, what is shown for a folder, the first of these that is there; . for the folder itself "
            "[index.html, index.htm, index.xhtml, README.md, index.md, readme.md]",
            metavar="NAME,...",
        ),
    ] = ()

    extract: Annotated[
        tuple[str, ...],
        Option(
            Declarations(Line("a declaration NAME=SELECTOR")),
            EXTRACTION,
            "Put the first match of a CSS or XPath selector into data: title=title::text",
            metavar="NAME=SELECTOR",
        ),
    ] = ()
    extract_all: Annotated[
        tuple[str, ...],
        Option(
            Declarations(Line("a declaration NAME=SELECTOR")),
            EXTRACTION,
            "As --extract, with all matches as a list: links=a::attr(href)",
            metavar="NAME=SELECTOR",
        ),
    ] = ()
    text: Annotated[
        str | None,
        Option(
            Name(),
            EXTRACTION,
            "Put what a page is about into data.FIELD: its text, title, author, date and language",
            metavar="FIELD",
        ),
    ] = None
    text_format: Annotated[
        TextFormat,
        Option(Choice(get_args(TextFormat)), EXTRACTION, "The form of that text", metavar="FORM"),
    ] = "text"
    page_facts: Annotated[
        bool,
        Option(
            Flag(),
            EXTRACTION,
            "Put into page what search engines look at: h1, description, canonical, robots, words, links. "
            "On with -r and --report",
        ),
    ] = False
    parse_timeout: Annotated[
        float,
        Option(Seconds(0.001, 86_400.0), EXTRACTION, "Longest time to parse a page", metavar="TIME"),
    ] = 10.0
