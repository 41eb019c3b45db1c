"""Tables of any length: what is shown of one at once is HTML, the rest are values that a script shows in windows.

A table that fits into a window is all HTML. Of a longer one the values of all rows are in the page as JSON, and those
of the first window as HTML, too: without the script that is what there is. What would make the file too large is left
out, and said.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal, NamedTuple

from crawler.monitor.units import amount, size
from crawler.printable import printable
from crawler.report.counts.bounded import cut
from crawler.report.markup import (
    NONE,
    Cell,
    Column,
    count,
    folded,
    followed,
    in_bytes,
    in_seconds,
    link,
    note,
    seconds,
    table,
    text,
)

WINDOW: Final = 100  # rows that are shown at once
BYTES: Final = 2 << 20  # of JSON, of a table that says nothing else
MOST_LINKS: Final = 1_000  # of one cell
_FEW: Final = 3  # links of a cell that are seen without opening it

Kind = Literal["text", "code", "url", "count", "bytes", "seconds", "links"]
_NUMBERS: Final = frozenset({"count", "bytes", "seconds"})


class Field(NamedTuple):
    """A column, by what it holds: text, a code, a URL, a number of something, or `links`: URLs with a few words each.

    The values are str, str, str, int, int, float and a list of (URL, words); None is "nothing known".
    """

    title: str
    kind: Kind = "text"
    hint: str = ""


def grid(
    label: str,
    fields: Sequence[Field],
    rows: Iterable[Sequence[Any]],
    *,
    whole: int | None = None,
    most_bytes: int = BYTES,
    rest: str = "",
) -> str:
    """A table of these rows, as many as fit into `most_bytes` of JSON.

    `whole` is how many there are, if `rows` may be fewer; `rest` says, as a sentence, where those are that are left
    out.
    """
    shown: list[Sequence[Any]] = []
    lines: list[str] = []
    left = most_bytes
    known = 0
    for row in rows:
        known += 1
        if left < 0:
            if whole is not None:
                break
            continue
        line = embedded([_value(field.kind, value) for field, value in zip(fields, row, strict=True)])
        left -= len(line)
        if left < 0:
            continue
        lines.append(line)
        if len(shown) < WINDOW:
            shown.append(row)
    columns = [Column(field.title, field.kind in _NUMBERS, field.hint) for field in fields]
    cells = [[_cell(field.kind, value) for field, value in zip(fields, row, strict=True)] for row in shown]
    html = table(label, columns, cells)
    if len(lines) > len(shown):
        kinds = embedded([field.kind for field in fields])
        data = ",\n".join(lines)
        html += f'<script type="application/json" class="rows">{{"kinds":{kinds},"rows":[\n{data}]}}</script>\n'
        words = f"The first {amount(len(shown))} of {amount(len(lines))} rows: the others are shown where scripts run."
        html += f'<p class="note unscripted">{words}</p>\n'
    if (out := max(known, whole or 0) - len(lines)) > 0:
        words = f"{amount(out)} more {'is' if out == 1 else 'are'} left out, for the size of this page. {rest}"
        html += note(text(words.rstrip()))
    return f'<div class="grid">{html}</div>\n'


def embedded(data: Any) -> str:
    """JSON in which nothing can end the element or begin a comment."""
    compact = json.dumps(data, separators=(",", ":"))
    return compact.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _value(kind: Kind, value: Any) -> Any:
    """What the script gets: text that may be shown as it is; a URL in a list is none that one can follow."""
    if value is None:
        return None
    match kind:
        case "count":
            return value
        case "bytes":
            return [value, size(value)]
        case "seconds":
            return [round(value, 6), seconds(value)]
        case "url":
            return _url(value)
        case "links":
            return [[_url(url), printable(words)] for url, words in value[:MOST_LINKS]] + _more(value)
    return printable(cut(value))


def _url(url: str) -> str | list[str]:
    url = cut(url)
    return url if followed(url) else [printable(url)]


def _more(value: Sequence[Any]) -> list[Any]:
    return [[[""], f"and {amount(len(value) - MOST_LINKS)} more"]] if len(value) > MOST_LINKS else []


def _cell(kind: Kind, value: Any) -> Cell:
    if value is None:
        return Cell(NONE, -1 if kind in _NUMBERS else None)
    match kind:
        case "count":
            return count(value)
        case "bytes":
            return in_bytes(value)
        case "seconds":
            return in_seconds(value)
        case "url":
            return Cell(link(cut(value)))
        case "links":
            return Cell(_links(value), len(value))
        case "code":
            return Cell(f'<span class="code">{text(cut(value))}</span>')
    return Cell(text(cut(value)))


def _links(value: Sequence[tuple[str, str]]) -> str:
    items = [
        f"<li>{link(cut(url))}{f' <small>{text(words)}</small>' if words else ''}</li>"
        for url, words in value[:MOST_LINKS]
    ]
    items += [f"<li><small>{text(words)}</small></li>" for _, words in _more(value)]
    if len(items) <= _FEW:
        return f'<ul class="plain">{"".join(items)}</ul>'
    return folded(amount(len(value)), f'<ul class="plain">{"".join(items)}</ul>')
