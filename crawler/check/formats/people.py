"""For people: what is wrong grouped by page, each link in its line, and how many there are of what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from rich.console import COLOR_SYSTEMS, Console
from rich.style import Style

from crawler.check.formats.lines import marked
from crawler.check.formats.report import (
    Entry,
    LineOf,
    Report,
    by_page,
    code_of,
    counted,
    entries,
    markup_of,
    position,
    shown_page,
    shown_url,
    where,
    words,
)
from crawler.monitor.units import amount, duration

_STYLES: Final = {
    "broken": "bold red",
    "unsure": "yellow",
    "warning": "cyan",
    "page": "bold underline",
    "excluded": "dim",
    "faint": "dim",
    "ok": "green",
}
_COMMON: Final = 20  # pages: what more of them have is in their menu, and shown once
_EXAMPLES: Final = 3
_STOPPED: Final = "interrupted"  # nobody was asked: of these it is enough to know how many they are
_WERE: Final = ("was", "were")
_NARROWEST: Final = 60
_PLAIN_WIDTH: Final = 120

Paint = Callable[[str, str], str]


def plain(text: str, style: str) -> str:  # noqa: ARG001 - the form of a Paint
    return text


def paint_for(console: Console) -> Paint:
    """How text gets a style on this console; not at all where it has no colours."""
    if console.no_color or console.color_system is None:
        return plain
    system = COLOR_SYSTEMS[console.color_system]
    styles = {name: Style.parse(style) for name, style in _STYLES.items()}
    return lambda text, style: styles[style].render(text, color_system=system)


def people(report: Report, paint: Paint = plain, width: int = _PLAIN_WIDTH) -> Iterator[str]:
    """Pages in the order of their names, their links from the top down. What is all over the site comes first, once: a
    link that very many pages have, and a code of very many links that nobody has to mend at once.
    """
    width = max(width, _NARROWEST)
    told = [*report.to_tell(excluded=report.verbose)]
    if stopped := 0 if report.verbose else sum(finding.code == _STOPPED for finding in told):
        told = [finding for finding in told if finding.code != _STOPPED]
    codes = Counter(code_of(finding) for finding in told if finding.verdict in {"warning", "excluded"})
    rare: list[Entry] = []
    alike: dict[str, list[Entry]] = {}
    for finding in told:
        pages = {place.page for place in finding.places}
        if codes[code_of(finding)] > _COMMON:
            alike.setdefault(code_of(finding), []).extend(entries([finding]))
        elif len(pages) > _COMMON:
            yield f"{paint('On ' + counted(len(pages), 'page'), 'page')}\n"
            yield from _together([*entries([finding])], paint)
        else:
            rare.extend(entries([finding]))
    for code, found in alike.items():
        yield f"{paint(f'{codes[code]:,} links: {code}', 'page')}\n"
        yield from _together(found, paint)
    for page, found in by_page(rare).items():
        yield f"{paint(shown_page(page), 'page')}\n"
        seen: Counter[int] = Counter()
        for entry in found:
            seen[id(entry.finding)] += 1
            if seen[id(entry.finding)] <= _EXAMPLES:
                yield _first_line(entry, paint, position(entry.place))
                yield from _quoted(entry, report.line_of, paint, width)
        for entry in {id(entry.finding): entry for entry in found}.values():
            if (more := seen[id(entry.finding)] - _EXAMPLES) > 0:
                yield f"  ... {shown_url(entry.finding.url)}: {counted(more, 'more place')} on this page\n"
        yield "\n"
    if stopped:
        links = f"{counted(stopped, 'link')} {_WERE[stopped > 1]}"
        yield f"The check was stopped: {links} not asked for (-v says which).\n\n"
    yield _summary(report, paint)


def _together(found: list[Entry], paint: Paint) -> Iterator[str]:
    """What is told once, with its first places."""
    yield _first_line(found[0], paint, "")
    for entry in found[:_EXAMPLES]:
        yield f"    {where(entry.place)}  {paint(markup_of(entry.place), 'faint')}\n"
    if (more := len(found) - _EXAMPLES) > 0:
        yield f"    ... and {counted(more, 'more place')}\n"
    yield "\n"


def _first_line(entry: Entry, paint: Paint, position: str) -> str:
    finding = entry.finding
    code = f" ({code_of(finding)})" if finding.code else ""
    verdict = paint(f"{finding.verdict:<7}", finding.verdict)
    return f"  {position:>7}  {verdict}  {shown_url(finding.url)}  {words(finding)}{paint(code, 'faint')}\n"


def _quoted(entry: Entry, line_of: LineOf, paint: Paint, width: int) -> Iterator[str]:
    """The line with the link marked; of a page that is not at hand, the link as it was met."""
    place = entry.place
    if not place.line:
        return
    gutter, margin = f"{place.line:>9} | ", f"{'':>9} | "
    line = line_of(place.page, place.line)
    if line is None:
        yield f"{paint(margin, 'faint')}{markup_of(place)}\n"
        return
    quoted = marked(line, place.column, place.reference, width - len(gutter) - 6)
    yield f"{paint(gutter, 'faint')}{quoted.text}\n"
    carets = "^" * min(quoted.width, width)
    yield f"{paint(margin, 'faint')}{' ' * quoted.indent}{paint(carets, entry.finding.verdict)}\n"


def _summary(report: Report, paint: Paint) -> str:
    summary = report.summary
    said = [f"{counted(summary.links, 'link')} on {counted(summary.pages, 'page')} in {duration(summary.seconds)}"]
    for verdict, number in (
        ("broken", summary.broken),
        ("unsure", summary.unsure),
        ("warning", summary.warning),
        ("ok", summary.ok),
    ):
        if number or verdict in {"broken", "ok"}:
            label = {"ok": "fine", "warning": "to be changed"}.get(verdict, verdict)
            said.append(paint(f"{amount(number)} {label}", verdict if number else "faint"))
    if summary.excluded:
        which = "" if report.verbose else " (-v says which)"
        said.append(paint(f"{amount(summary.excluded)} excluded{which}", "faint"))
    return f"{said[0]}: {', '.join(said[1:])}\n"
