"""GitHub's Markdown, for the summary of a job or a comment: nothing that a page says becomes markup or a mention."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from crawler.check.formats.report import (
    Entry,
    Report,
    by_page,
    code_of,
    counted,
    entries,
    position,
    shown_page,
    shown_url,
    words,
)
from crawler.monitor.units import duration

_LONGEST: Final = 60_000  # characters: a comment of GitHub holds 65,536
_TICKS: Final = re.compile("`+")
_MARKS: Final = {"broken": ":x:", "unsure": ":grey_question:", "warning": ":warning:"}


def markdown(report: Report) -> Iterator[str]:
    """The counts, then a table for each page, as far as a comment may be long; what is left out is counted."""
    summary = report.summary
    yield "## Links\n\n"
    yield "| broken | unsure | to be changed | excluded | fine | all | pages | time |\n|" + "---:|" * 8 + "\n"
    numbers = (summary.broken, summary.unsure, summary.warning, summary.excluded, summary.ok, summary.links)
    yield f"| {' | '.join(f'{number:,}' for number in (*numbers, summary.pages))} | {duration(summary.seconds)} |\n"
    pages = by_page(entries(report.to_tell()))
    left = sum(map(len, pages.values()))
    written = 0
    for page, found in pages.items():
        head = f"\n### {code_span(shown_page(page))}\n\n| line | | link | what is wrong |\n|---:|---|---|---|\n"
        rows = []
        for entry in found:
            row = _row(entry)
            if written + len(head) + len(row) > _LONGEST:
                break
            written += len(row)
            rows.append(row)
        if rows:
            written += len(head)
            left -= len(rows)
            yield head
            yield from rows
        if len(rows) < len(found):
            break
    if left:
        yield f"\n... and {counted(left, 'place')} more: `--format json` has all.\n"


def _row(entry: Entry) -> str:
    place, finding = entry
    mark = _MARKS[finding.verdict]
    cells = (
        position(place),
        f"{mark} {finding.verdict}",
        code_span(shown_url(finding.url)),
        f"{code_span(words(finding))} {code_span(code_of(finding))}",
    )
    return f"| {' | '.join(cells)} |\n"


def code_span(text: str) -> str:
    """CommonMark section 6.1: between more backticks than are in it. In a table "|" has to be escaped even there."""
    ticks = "`" * (max(map(len, _TICKS.findall(text)), default=0) + 1)
    space = " " if text.startswith("`") or text.endswith("`") or not text.strip() else ""
    return f"{ticks}{space}{text or ' '}{space}{ticks}".replace("|", "\\|")
