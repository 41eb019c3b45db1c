"""The table of pages: each with what it says of itself, as far as the records tell."""

# ruff: noqa: S608 - names of columns are ours
from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from crawler.monitor.units import amount
from crawler.report.counts.site import FIRST_LINKED, HTML, MOST_FIRST, Site, of_links
from crawler.report.grid import Field, grid
from crawler.report.markup import note, text

BYTES: Final = 4 << 20
_DEPTH: Final = "CASE WHEN p.depth IS NULL AND p.parent IS NULL THEN 0 ELSE p.depth END"
_ELSEWHERE: Final = "CASE WHEN p.points = p.final THEN NULL ELSE p.canonical END"
_FIELDS: Final = (
    ("final", Field("URL", "url"), "p.url"),
    ("status", Field("answer", "code"), "coalesce(p.code, CAST(p.status AS TEXT))"),
    ("type", Field("type"), "p.type"),
    ("title", Field("title"), "p.title"),
    ("h1", Field("h1", hint="the first"), "p.h1"),
    ("description", Field("description"), "p.description"),
    ("canonical", Field("canonical", "url", "where it is another page"), _ELSEWHERE),
    ("words", Field("words", "count"), "p.words"),
    ("links", Field("links out", "count"), "p.links"),
    ("linked", Field("linked from", "count", "how many pages link to it"), ""),
    ("parent", Field("first by", "links", f"the first {MOST_FIRST} of these"), FIRST_LINKED),
    ("depth", Field("depth", "count", "links from where the crawl began"), _DEPTH),
    ("size", Field("size", "bytes", "after decoding"), "p.size"),
    ("seconds", Field("time", "seconds"), "p.seconds"),
)  # fmt: skip
_OF_FACTS: Final = ("h1", "description", "canonical", "words", "linked")
_OF_CRAWLS: Final = ("title", "links", "depth")


def pages(site: Site) -> str:
    """Pages alone, if it is known of any that it is one; else all that was fetched."""
    site.settle()
    html = site.count(HTML)
    where = f"p.flags & {HTML}" if html else "1"
    whole = html or site.number("SELECT count(*) FROM pages")
    if not whole:
        return ""
    known = site.known | {"final", "status"} | (set(_OF_FACTS) if site.tells else set())
    if site.number(f"SELECT count(DISTINCT type) FROM pages p WHERE {where}") < 2:
        known -= {"type"}
    shown = [(name, field, sql or of_links("pages")) for name, field, sql in _FIELDS if name in known]
    sql = f"SELECT {', '.join(sql for _, _, sql in shown)} FROM pages p WHERE {where} ORDER BY rowid"
    rest = "The records have all of them."
    fields = [field for _, field, _ in shown]
    told = grid("Pages", fields, _rows(site, sql, fields), whole=whole, most_bytes=BYTES, rest=rest)
    return f"<p>{amount(whole)} {'page' if whole == 1 else 'pages'}.</p>\n{told}{_missing(known)}"


def _rows(site: Site, sql: str, fields: Sequence[Field]) -> Iterator[list[Any]]:
    kinds = [field.kind for field in fields]
    for row in site.ask(sql):
        yield [_linking(value) if kind == "links" else value for kind, value in zip(kinds, row, strict=True)]


def _linking(lines: str | None) -> list[tuple[str, str]] | None:
    return None if lines is None else [(url, "") for url in [*dict.fromkeys(lines.split("\n"))][:MOST_FIRST]]


def _missing(known: set[str]) -> str:
    """Which columns there could be, and how to get them."""
    titles = {name: field.title for name, field, _ in _FIELDS}
    html = ""
    if lacks := [titles[name] for name in _OF_FACTS if name not in known]:
        html += note(
            f"The records do not tell: {text(', '.join(lacks))}. They do with "
            '<span class="code">--page-facts</span>, which is on in a crawl with <span class="code">--report</span>; '
            "of an archive (.warc.gz, .wacz) the report reads the pages themselves."
        )
    if lacks := [titles[name] for name in _OF_CRAWLS if name not in known]:
        html += note(f"Nor do they tell: {text(', '.join(lacks))}. Those of a crawl do (-r).")
    return html
