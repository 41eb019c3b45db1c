"""The chapter about links that were checked: every one that is broken, and every place that has it."""

# ruff: noqa: S608 - names of columns are ours
from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Protocol

from crawler.monitor.units import amount
from crawler.redaction import discreet, redact
from crawler.report.counts.aggregate import Aggregate
from crawler.report.grid import Field, grid
from crawler.report.markup import note, text

_BYTES: Final = 12 << 20  # of one table
_PLURALS: Final = {"link": "links", "place": "places", "page": "pages"}
_CHAPTERS: Final = (
    ("broken", "Broken links"),
    ("unsure", "Unsure: they may work another day"),
    ("warning", "Links that work, and should be changed"),
)


class Place(Protocol):
    """Where a link stands: `line` and `column` count from 1."""

    @property
    def page(self) -> str: ...
    @property
    def line(self) -> int: ...
    @property
    def column(self) -> int: ...
    @property
    def element(self) -> str: ...
    @property
    def text(self) -> str: ...


class Finding(Protocol):
    """A link with its verdict, as `crawler check` has it."""

    @property
    def url(self) -> str: ...
    @property
    def verdict(self) -> str: ...
    @property
    def places(self) -> Sequence[Place]: ...
    @property
    def code(self) -> str | None: ...
    @property
    def message(self) -> str: ...
    @property
    def status(self) -> int | None: ...
    @property
    def target(self) -> str | None: ...


def section(findings: Iterable[Finding]) -> str:
    """The HTML of the chapter: what is broken, what may be, and what works and should be changed; each with its places.

    What is ok or was excluded is counted alone.
    """
    told: dict[str, list[Finding]] = {verdict: [] for verdict, _ in _CHAPTERS}
    counts: dict[str, int] = {}
    for finding in findings:
        counts[finding.verdict] = counts.get(finding.verdict, 0) + 1
        if finding.verdict in told:
            told[finding.verdict].append(finding)
    html = f"<p>{text(_summary(told['broken'], counts))}</p>\n"
    for verdict, title in _CHAPTERS:
        if told[verdict]:
            html += _chapter(title, told[verdict])
    return html


def _summary(broken: Sequence[Finding], counts: dict[str, int]) -> str:
    """How many of each kind there are, and in how many places what is broken stands."""
    pages = {place.page for finding in broken for place in finding.places}
    places = sum(len(finding.places) for finding in broken)
    where = f", in {_number(places, 'place')} on {_number(len(pages), 'page')}" if places else ""
    words = f"{_number(len(broken), 'link')} broken{where}" if broken else "No link is broken"
    others = [
        f"{amount(counts[verdict])} {name}"
        for verdict, name in (
            ("unsure", "unsure"),
            ("warning", "to be changed"),
            ("ok", "ok"),
            ("excluded", "not asked for"),
        )
        if counts.get(verdict)
    ]
    return "; ".join([words, *others]) + "."


def _number(number: int, what: str) -> str:
    return f"1 {what}" if number == 1 else f"{amount(number)} {_PLURALS[what]}"


def _chapter(title: str, findings: Sequence[Finding]) -> str:
    leads = any(finding.target for finding in findings)
    fields = [Field("answer", "code"), Field("link", "url"), Field("why")]
    fields += [Field("leads to", "url")] if leads else []
    fields += [Field("places", "count"), Field("linked from", "links")]
    rows = (
        (
            _answer(finding),
            redact(finding.url),
            discreet(finding.message),
            *((finding.target and redact(finding.target),) if leads else ()),
            len(finding.places),
            [(redact(place.page), _where(place)) for place in finding.places],
        )
        for finding in findings
    )
    rest = "crawler check --format json has all."
    html = f"<h3>{text(title)}</h3>\n" + grid(title, fields, rows, most_bytes=_BYTES, rest=rest)
    places = [Field("page", "url"), Field("line", "count"), Field("column", "count"), Field("element", "code")]
    places += [Field("text"), Field("answer", "code"), Field("link", "url")]
    label = f"{title}, by page"
    html += f"<h4>{text(label)}</h4>\n" + grid(label, places, _by_place(findings), most_bytes=_BYTES, rest=rest)
    return html


def _by_place(findings: Iterable[Finding]) -> Iterator[tuple[str, int | None, int | None, str, str, str, str]]:
    every = [(place, finding) for finding in findings for place in finding.places]
    every.sort(key=lambda one: (one[0].page, one[0].line, one[0].column))
    for place, finding in every:
        yield (
            redact(place.page),
            place.line or None,
            place.column or None,
            place.element,
            discreet(place.text),
            _answer(finding),
            redact(finding.url),
        )


def _answer(finding: Finding) -> str:
    """As the records have it: the status, or the code of what went wrong where there is none or it says more."""
    if finding.code is None or finding.code == f"http_{finding.status}":
        return str(finding.status) if finding.status is not None else finding.verdict
    return finding.code


def _where(place: Place) -> str:
    element = f"<{place.element}>" if place.element else ""
    position = f"{place.line}:{place.column}" if place.line else ""  # a sitemap's, a redirect's: it has no lines
    return " ".join(filter(None, (position, element, discreet(place.text))))


# Of a crawl that did not check.

_BYTES_OF_RECORDS: Final = 3 << 20
_ANSWER: Final = "coalesce(code, CAST(status AS TEXT))"


def of_records(of: Aggregate) -> str:
    """The HTML of the chapter as far as records tell of links; empty where nothing is broken."""
    if not of.broken_links:
        if not of.broken_seeds:
            return ""
        return note(f"No link is known to be broken; {amount(of.broken_seeds)} of the URLs that were given are.")
    site = of.site
    pages = site.number("SELECT count(DISTINCT parent) FROM pages WHERE asked IS NOT NULL")
    html = f"<p>{_number(of.broken_links, 'link')} broken, on {_number(pages, 'page')}.</p>\n"
    told = "Records name the page on which a link was found first:"
    html += note(f'{told} <span class="code">crawler check</span> names every place that has it.')
    fields = [Field("answer", "code"), Field("link", "url"), Field("linked from", "links")]
    number = site.number(f"SELECT count(DISTINCT {_ANSWER} || asked) FROM pages WHERE asked IS NOT NULL")
    sql = (
        f"SELECT {_ANSWER}, asked, group_concat(parent, char(10)) FROM pages WHERE asked IS NOT NULL "
        "GROUP BY 1, 2 ORDER BY min(rowid)"
    )
    links = ((answer, url, [(page, "") for page in parents.split("\n")]) for answer, url, parents in site.ask(sql))
    html += "<h3>Links</h3>\n" + grid("Broken links", fields, links, whole=number, most_bytes=_BYTES_OF_RECORDS)
    fields = [Field("page", "url"), Field("broken links", "count"), Field("which", "links")]
    sql = (
        f"SELECT parent, count(*), group_concat({_ANSWER} || ' ' || asked, char(10)) FROM pages "
        "WHERE asked IS NOT NULL GROUP BY parent ORDER BY 2 DESC, min(rowid)"
    )
    rows = ((page, number, _targets(targets)) for page, number, targets in site.ask(sql))
    label = "Pages with most broken links"
    return html + f"<h3>{label}</h3>\n" + grid(label, fields, rows, whole=pages, most_bytes=_BYTES_OF_RECORDS)


def _targets(lines: str) -> list[tuple[str, str]]:
    return [(url, answer) for answer, _, url in (line.partition(" ") for line in lines.split("\n"))]
