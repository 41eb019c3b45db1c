"""The page: one HTML file that asks nobody for anything. Its policy allows but its own style and script, by hash."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from importlib import resources
from typing import Final

from crawler.monitor.units import amount, duration, rate, size
from crawler.report import broken, sections
from crawler.report.broken import Finding
from crawler.report.charts import moment, plots
from crawler.report.counts.aggregate import Aggregate
from crawler.report.grid import embedded
from crawler.report.lines import Job, Source
from crawler.report.markup import folded, note, seconds, section, text
from crawler.report.pages import pages
from crawler.report.problems import problems
from crawler.report.tree import folders, treemap
from crawler.version import __version__

_TITLES: Final = {
    "time": "Over time",
    "answers": "Answers and errors",
    "pages": "Pages",
    "problems": "Problems of pages",
    "broken": "Broken links",
    "content": "Sizes, types, times",
    "hosts": "Hosts",
    "redirects": "Redirects",
    "slow": "Slowest URLs",
    "files": "Files",
    "duplicates": "Duplicates",
    "site": "Site by path",
    "courtesy": "Courtesy",
}


def page(of: Aggregate, source: Source, *, now: float, findings: Iterable[Finding] | None = None) -> str:
    """The whole page. `now` is seconds since the epoch. The text may hold nothing that UTF-8 cannot.

    With `findings` the links were checked: the chapter about broken ones is about all of them, in all places.
    """
    over_time = plots(of.timeline)
    map_html, map_rules = treemap(of.tree)
    bodies = {
        "time": over_time.html and f"{over_time.html}{note('Times are UTC. Each URL counts when it ended.')}",
        "answers": sections.answers(of),
        "pages": pages(of.site),
        "problems": problems(of.site),
        "broken": broken.of_records(of) if findings is None else broken.section(findings),
        "content": sections.content(of),
        "hosts": sections.hosts(of),
        "redirects": sections.redirects(of),
        "slow": sections.slow(of),
        "files": sections.files(of, source.outputs),
        "duplicates": sections.duplicates(of),
        "site": of.tree.root.count and map_html + folders(of.tree),
        "courtesy": sections.courtesy(of, source.job),
    }
    parts = {name: (_TITLES[name], str(html)) for name, html in bodies.items() if html}
    head = f"{_when(of)}{_problems(source)}{_books(source.job)}{_tiles(of)}"
    return document("Report on", source.name, head, parts, now=now, rules=map_rules, tips=embedded(over_time.tips))


def checked(name: str, findings: Iterable[Finding], *, now: float, notes: Sequence[str] = ()) -> str:
    """The page about links that were checked; `notes` are sentences about what was not."""
    told = "".join(f'<p class="problem">{text(note)}</p>\n' for note in notes)
    return document("Links of", name, told, {"broken": (_TITLES["broken"], broken.section(findings))}, now=now)


def document(
    what: str,
    name: str,
    head: str,
    parts: Mapping[str, tuple[str, str]],
    *,
    now: float,
    rules: str = "",
    tips: str = "{}",
) -> str:
    """A page about `name`: its header, and for each of `parts` a section with a title. All but the name is HTML."""
    style = _file("page.css") + rules
    script = _file("page.js")
    navigation = "".join(f'<a href="#{anchor}">{title}</a>' for anchor, (title, _) in parts.items())
    main = "".join(section(anchor, title, html) for anchor, (title, html) in parts.items())
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(style, script)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark"><meta name="referrer" content="no-referrer">\n'
        f"<title>{what} {text(name, 100)}</title>\n<style>{style}</style></head>\n"
        f'<body><header><h1>{what} <span class="url">{text(name)}</span></h1>\n{head}'
        f'<nav aria-label="Sections">{navigation}</nav></header>\n'
        f"<main>\n{main}</main>\n<footer>Made {moment(now)} UTC by crawler {text(__version__)}.</footer>\n"
        f'<script type="application/json" id="tips">{tips}</script>\n'
        f"<script>{script}</script></body></html>\n"
    )


def _policy(style: str, script: str) -> str:
    return (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; base-uri 'none'; form-action 'none'"
    )


def _hash(inline: str) -> str:
    return f"'sha256-{base64.b64encode(sha256(inline.encode()).digest()).decode()}'"


def _file(name: str) -> str:
    return resources.files("crawler.report").joinpath(name).read_text(encoding="utf-8")


def _when(of: Aggregate) -> str:
    first, last = of.timeline.first, of.timeline.last
    if first is None or last is None:
        return "<p>No record says when it was made.</p>\n" if of.records else "<p>There are no records.</p>\n"
    return f"<p>{moment(first)} to {moment(last)} UTC, {duration(last - first)}</p>\n"


def _problems(source: Source) -> str:
    found = "".join(f'<p class="problem">{text(note)}</p>\n' for note in source.notes)
    if source.bad:
        words = "1 line is no record" if source.bad == 1 else f"{amount(source.bad)} lines are no records"
        examples = "".join(f"<li>{text(example)}</li>" for example in source.examples)
        found += f'<div class="problem">{folded(f"{words} and not counted", f"<ul>{examples}</ul>")}</div>\n'
    return found


def _books(job: Job | None) -> str:
    if job is None:
        return ""
    of = job.books
    return (
        f"<p>Books of the job: {amount(of.inputs)} inputs = {amount(of.ok)} ok + {amount(of.failed)} failed + "
        f"{amount(of.skipped)} skipped + {amount(of.pending)} pending.</p>\n"
    )


def _tiles(of: Aggregate) -> str:
    first, last = of.timeline.first, of.timeline.last
    ended = of.ok + of.failed
    hosts, more = of.hosts.distinct
    half, most = of.durations.percentile(0.5), of.durations.percentile(0.95)
    tiles = [
        ("records", amount(of.records), ""),
        ("ok, below 400", amount(of.ok - of.http_errors), "ok"),
        ("ok, from 400", amount(of.http_errors), "http"),
        ("failed", amount(of.failed), "failed"),
        ("skipped", amount(of.skipped), "skipped"),
        ("hosts", amount(hosts) + ("+" if more else ""), ""),
        ("requests", amount(of.requests), ""),
        ("second tries", amount(of.tries_again), ""),
        ("redirects", amount(of.redirects), ""),
        ("received", size(of.size_download), ""),
    ]
    if of.unchanged:
        tiles.insert(1, ("unchanged", amount(of.unchanged), "ok"))
    if first is not None and last is not None and last > first:
        tiles.append(("URLs per second", rate(ended / (last - first)), ""))
    if half is not None and most is not None:
        tiles += [("half take at most", seconds(half), ""), ("95 % take at most", seconds(most), "")]
    return (
        '<dl class="tiles">'
        + "".join(f'<div class="{kind}"><dt>{title}</dt><dd>{value}</dd></div>' for title, value, kind in tiles)
        + "</dl>\n"
    )
