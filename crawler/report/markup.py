"""Pieces of HTML. Everything from outside goes through `text`, which is right in elements and in quoted attributes.

There are no style attributes: the page's policy lets nothing but its own style element be.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from crawler.monitor.units import amount, duration, size
from crawler.printable import printable
from crawler.report.counts.bounded import CUT

SHOWN: Final = 160
NONE: Final = '<span class="none">\N{EN DASH}</span>'
_LINK: Final = re.compile(r"https?://[^\s\"<>]+", re.IGNORECASE)


class Cell(NamedTuple):
    """What stands in a table, and what it is sorted by: its text when that is None."""

    html: str
    value: float | None = None


class Column(NamedTuple):
    title: str
    number: bool = False
    hint: str = ""


def text(words: str, limit: int | None = None) -> str:
    """Invisible and direction-changing characters become visible escapes, lone surrogates too."""
    return html.escape(printable(words, limit))


def followed(url: str) -> bool:
    """Whether it may be a link: it is plainly http or https, and whole."""
    return _LINK.fullmatch(url) is not None and printable(url) == url and not url.endswith(CUT)


def link(url: str, limit: int = SHOWN) -> str:
    """A URL one can follow; just text where it is none."""
    words = text(url, limit)
    if not followed(url):
        return f'<span class="url">{words}</span>'
    title = f' title="{html.escape(url)}"' if len(url) > limit else ""
    return f'<a class="url" rel="noreferrer noopener" href="{html.escape(url)}"{title}>{words}</a>'


def count(number: int, kind: str = "") -> Cell:
    """A zero is faint: in a table the others are looked for."""
    if not number:
        return Cell(f'<span class="none">{number}</span>', 0)
    return Cell(f'<span class="{kind}">{amount(number)}</span>' if kind else amount(number), number)


def in_bytes(number: float) -> Cell:
    return Cell(size(number), number)


def in_seconds(number: float | None) -> Cell:
    return Cell(NONE, -1) if number is None else Cell(seconds(number), number)


def seconds(number: float) -> str:
    return duration(number).replace("us", "\N{MICRO SIGN}s")


def share(part: float, whole: float) -> Cell:
    ratio = part / whole if whole else 0.0
    return Cell(percent(ratio), ratio)


def percent(ratio: float) -> str:
    if ratio <= 0 or ratio >= 1:
        return f"{ratio:.0%}"
    return "<0.1%" if ratio < 0.001 else f"{min(ratio, 0.999):.1%}"


def bar(part: float, largest: float, kind: str = "ok") -> Cell:
    """A bar of a chart that is a table. What is there at all can be seen."""
    width = 100 * part / largest if largest else 0.0
    if part:
        width = max(width, 0.5)
    drawn = f'<svg class="bar" aria-hidden="true"><rect class="{kind}" width="{width:.1f}%" height="100%"/></svg>'
    return Cell(drawn, part)


def table(
    label: str,
    columns: Sequence[Column],
    rows: Iterable[Sequence[Cell]],
    *,
    foot: Sequence[Cell] = (),
    kind: str = "sortable",
) -> str:
    """Numbers stand on the right. The foot stays where it is when the rows are sorted."""
    head = "".join(
        f'<th scope="col"{_class(column)}' + (f' title="{text(column.hint)}"' if column.hint else "") + ">"
        f"{_heading(column.title)}</th>"
        for column in columns
    )
    body = "\n".join(_row(columns, row) for row in rows)
    end = f"<tfoot>{_row(columns, foot)}</tfoot>" if foot else ""
    return (
        f'<div class="scroll" role="group" tabindex="0" aria-label="{text(label)}"><table class="{kind}">'
        f"<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody>{end}</table></div>\n"
    )


def _heading(title: str) -> str:
    """That of a column of bars is for those alone who hear the table: it is the numbers beside that one sorts by."""
    return text(title) if title else '<span class="unseen">bar</span>'


def _row(columns: Sequence[Column], cells: Sequence[Cell]) -> str:
    return "<tr>" + "".join(map(_cell, columns, cells)) + "</tr>"


def _cell(column: Column, cell: Cell) -> str:
    value = "" if cell.value is None else f' data-v="{cell.value:.10g}"'
    return f"<td{_class(column)}{value}>{cell.html}</td>"


def _class(column: Column) -> str:
    return ' class="n"' if column.number else ""


def links(urls: Iterable[str], more: int = 0) -> str:
    """One below the other, and how many more there are."""
    items = "".join(f"<li>{link(url)}</li>" for url in urls)
    if more > 0:
        items += f'<li class="none">and {amount(more)} more</li>'
    return f'<ul class="plain">{items}</ul>'


def folded(title: str, inside: str) -> str:
    """Both are HTML."""
    return f"<details><summary>{title}</summary>{inside}</details>"


def section(name: str, title: str, inside: str) -> str:
    return (
        f'<section id="{name}" aria-labelledby="{name}-title"><h2 id="{name}-title">{title}</h2>\n{inside}</section>\n'
    )


def note(words: str) -> str:
    """`words` is HTML."""
    return f'<p class="note">{words}</p>\n'
