"""What keeps pages from being found, or from being found as they should: each problem with all its pages."""

# ruff: noqa: S608 - names of columns are ours
from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from crawler.monitor.units import amount
from crawler.report.counts import site as known
from crawler.report.counts.site import Site, of_links
from crawler.report.grid import Field, grid
from crawler.report.markup import Cell, Column, count, note, share, table, text

_BYTES: Final = 1 << 20  # of one problem
_PAGE: Final = Field("page", "url")
_IN: Final = Field("linked from", "count")
_INLINKS: Final = of_links("pages")
_MAPS: Final = of_links("maps")


class Problem(NamedTuple):
    """`where` is SQL about a page `p`; `needs` are flags without which nothing can be said of it."""

    name: str
    title: str
    meaning: str
    where: str
    fields: Sequence[Field] = (_PAGE,)
    columns: str = "p.url"
    group: str = ""  # a column: pages that share it are one row


def _flag(bit: int) -> str:
    return f"p.flags & {bit}"


_TITLE: Final = (_PAGE, Field("title"))
_DESCRIPTION: Final = (_PAGE, Field("description"))
_TO: Final = (_PAGE, Field("canonical", "url"), Field("answer of that", "code"))
_ANSWER: Final = "coalesce({0}.code, CAST({0}.status AS TEXT))"
_LEADS: Final = f"p.url, p.canonical, (SELECT {_ANSWER.format('q')} FROM pages q WHERE q.key = p.points)"
_INDEXABLE: Final = _flag(known.INDEXABLE)

_BY_ITSELF: Final = (
    Problem("titles-missing", "Title missing", "A title is what a search shows of a page.", _flag(known.NO_TITLE)),
    Problem(
        "titles-same", "The same title", "Pages that are to be told apart need titles of their own.",
        f"{_INDEXABLE} AND p.title <> ''", (Field("title"), Field("pages", "links")), "p.title", "title",
    ),
    Problem("titles-several", "Several titles", "The first one counts.", _flag(known.TITLES), _TITLE, "p.url, p.title"),
    Problem(
        "titles-long", "Long title", f"Of more than {known.LONG_TITLE} characters a search shows a part.",
        _flag(known.TITLE_LONG), _TITLE, "p.url, p.title",
    ),
    Problem(
        "descriptions-missing", "Description missing", "A search shows what it takes for one.",
        _flag(known.NO_DESCRIPTION),
    ),
    Problem(
        "descriptions-same", "The same description", "It should say what this page is about.",
        f"{_INDEXABLE} AND p.description <> ''", (Field("description"), Field("pages", "links")),
        "p.description", "description",
    ),
    Problem(
        "descriptions-several", "Several descriptions", "The first one counts.",
        _flag(known.DESCRIPTIONS), _DESCRIPTION, "p.url, p.description",
    ),
    Problem(
        "descriptions-long", "Long description",
        f"Of more than {known.LONG_DESCRIPTION} characters a search shows a part.",
        _flag(known.DESCRIPTION_LONG), _DESCRIPTION, "p.url, p.description",
    ),
    Problem("h1-missing", "Heading missing", "A page without h1 does not say what it is about.", _flag(known.NO_H1)),
    Problem(
        "h1-several", "Several headings", "More than one h1.", _flag(known.H1S),
        (_PAGE, Field("h1", hint="the first")), "p.url, p.h1",
    ),
    Problem(
        "noindex", "noindex", "The page, or a header, keeps it out of searches.", _flag(known.NOINDEX),
        (_PAGE, _IN), f"p.url, {_INLINKS}",
    ),
    Problem(
        "canonicals-several", "Several canonicals", "They differ: none may count.",
        _flag(known.CANONICALS), (_PAGE, Field("canonical", "url", "the first")), "p.url, p.canonical",
    ),
    Problem(
        "canonicals-bad", "Canonical leads nowhere", "The page that should count is not there, or leads on.",
        f"{_flag(known.CANONICALIZED)} AND EXISTS (SELECT 1 FROM pages q WHERE q.key = p.points"
        f" AND (q.flags & {known.BROKEN | known.REDIRECTED | known.ROBOTS_DENIED}))", _TO, _LEADS,
    ),
    Problem(
        "canonicals-chain", "Chain of canonicals", "The page that should count names yet another one.",
        f"{_flag(known.CANONICALIZED)} AND EXISTS (SELECT 1 FROM pages q WHERE q.final = p.points"
        f" AND q.flags & {known.CANONICALIZED})",
        (_PAGE, Field("canonical", "url"), Field("and from there", "url")),
        "p.url, p.canonical, (SELECT q.canonical FROM pages q WHERE q.final = p.points"
        f" AND q.flags & {known.CANONICALIZED})",
    ),
    Problem(
        "canonicals-unknown", "Canonical not fetched", "The page that should count is not among the records.",
        f"{_flag(known.CANONICALIZED)} AND NOT EXISTS (SELECT 1 FROM pages q WHERE q.key = p.points"
        " OR q.final = p.points)", (_PAGE, Field("canonical", "url")), "p.url, p.canonical",
    ),
    Problem(
        "redirect-chains", "Chain of redirects", "Two and more of them: link to where they end.", _flag(known.CHAIN),
        (Field("ends at", "url"), Field("answer", "code"), Field("by way of", "links")),
        f"p.url, {_ANSWER.format('p')}, p.chain",
    ),
    Problem(
        "robots", "Blocked by robots.txt", "Nobody may fetch it who asks first.", _flag(known.ROBOTS_DENIED),
        (_PAGE, Field("linked on", "url")), "p.url, p.parent",
    ),
    Problem(
        "thin", "Thin pages", f"They have fewer than {known.MANY_WORDS} words.",
        f"{_flag(known.THIN)} AND {_INDEXABLE}", (_PAGE, Field("words", "count")), "p.url, p.words",
    ),
    Problem(
        "duplicates-hash", "The same content", "Byte by byte, under several URLs.",
        f"{_INDEXABLE} AND p.digest IS NOT NULL", (Field("title"), Field("pages", "links")), "max(p.title)", "digest",
    ),
)  # fmt: skip
_OF_SITEMAPS: Final = (
    Problem(
        "orphans", "Orphans", "They are in the sitemap, and no page that was read links to them.",
        f"{_MAPS} > 0 AND {_INLINKS} = 0", (_PAGE, Field("answer", "code")),
        f"p.url, {_ANSWER.format('p')}",
    ),
    Problem(
        "unmapped", "Not in the sitemap", "Pages that are linked, and could be found.",
        f"{_INDEXABLE} AND {_INLINKS} > 0 AND {_MAPS} = 0", (_PAGE, _IN), f"p.url, {_INLINKS}",
    ),
    Problem(
        "mapped-in-vain", "In the sitemap in vain",
        "They are broken, lead on, are blocked, or say that they are not to be indexed.",
        f"{_MAPS} > 0 AND p.flags & "
        f"{known.BROKEN | known.REDIRECTED | known.ROBOTS_DENIED | known.NOINDEX | known.CANONICALIZED}",
        (_PAGE, Field("answer", "code")), f"p.url, {_ANSWER.format('p')}",
    ),
)  # fmt: skip


def problems(site: Site) -> str:
    """The chapter; empty where the records are of no pages."""
    site.settle()
    html = site.count(known.HTML)
    if not html and not site.count(known.CHAIN) and not site.count(known.ROBOTS_DENIED):
        return ""
    facts = site.count(known.FACTS)
    sought = _BY_ITSELF + (_OF_SITEMAPS if site.sitemaps else ())
    rows, parts = [], ""
    for problem in sought:
        number, pages = _counts(site, problem)
        if not number:
            continue
        rows.append(
            (
                Cell(f'<a href="#{problem.name}">{text(problem.title)}</a>'),
                Cell(text(problem.meaning)),
                count(pages),
                share(pages, html),
            )
        )
        parts += f'<h3 id="{problem.name}">{text(problem.title)}</h3>\n' + grid(
            problem.title, problem.fields, _rows(site, problem), whole=number, most_bytes=_BYTES
        )
    columns = [Column("problem"), Column("what it means"), Column("pages", number=True), Column("share", number=True)]
    told = table("Problems", columns, rows) if rows else "<p>None was found.</p>\n"
    return told + _unknown(site, facts, html) + parts


def _unknown(site: Site, facts: int, html: int) -> str:
    """What cannot be said, as the records lack it."""
    words = ""
    if facts < html:
        words += note(
            f"{amount(html - facts)} of {amount(html)} pages say nothing of descriptions, headings, canonicals, "
            'robots, words and links: crawl with <span class="code">--page-facts</span>.'
        )
    if facts and not site.sitemaps:
        words += note(
            'No sitemap was read, so nothing is said of orphans: crawl with <span class="code">--sitemaps</span>.'
        )
    return words


def _counts(site: Site, problem: Problem) -> tuple[int, int]:
    """How many rows it has, and how many pages."""
    if problem.group:
        site.index(problem.group)
        groups = f"SELECT count(*) AS n FROM pages p WHERE {problem.where} GROUP BY p.{problem.group} HAVING n > 1"
        ((rows, pages),) = site.ask(f"SELECT count(*), coalesce(sum(n), 0) FROM ({groups})")
        return rows, pages
    number = site.number(f"SELECT count(*) FROM pages p WHERE {problem.where}")
    return number, number


def _rows(site: Site, problem: Problem) -> Iterator[Sequence[Any]]:
    if problem.group:
        column = f"p.{problem.group}"
        sql = (
            f"SELECT {problem.columns}, {column} FROM pages p WHERE {problem.where} GROUP BY {column} "
            "HAVING count(*) > 1 ORDER BY count(*) DESC, min(p.rowid)"
        )
        same = f"SELECT p.url FROM pages p WHERE {problem.where} AND {column} = ? ORDER BY rowid LIMIT 1000"
        for shown, value in site.ask(sql):
            yield shown, [(url, "") for (url,) in site.ask(same, value)]
        return
    lists = [field.kind == "links" for field in problem.fields]
    sql = f"SELECT {problem.columns} FROM pages p WHERE {problem.where} ORDER BY rowid"
    for row in site.ask(sql):
        if any(lists):
            yield [_hops(value) if is_list else value for value, is_list in zip(row, lists, strict=True)]
        else:
            yield row


def _hops(chain: str | None) -> list[tuple[str, str]]:
    return [(hop, "") for hop in (chain or "").split("\n") if hop]
