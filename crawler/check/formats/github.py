"""Workflow commands of GitHub Actions: what is wrong becomes an annotation at its line of the pull request.

The escapes are those of the toolkit (actions/toolkit, packages/core/src/command.ts).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from crawler.check.formats.report import (
    Entry,
    Report,
    by_page,
    code_of,
    counted,
    entries,
    from_here,
    is_file,
    shown_url,
    where,
    words,
)
from crawler.printable import printable

_DATA: Final = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_PROPERTY: Final = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A", ":": "%3A", ",": "%2C"})
_COMMANDS: Final = {"unsure": "warning", "warning": "notice"}
_TITLES: Final = {"broken": "Broken link", "unsure": "Unsure link", "warning": "Link to be changed"}


def github(report: Report) -> Iterator[str]:
    """Errors first, as only the first ten of a kind and step are shown; then a line that says how many there are."""
    ranked: list[list[Entry]] = [[], [], []]
    for entry in entries(report.to_tell()):
        finding = entry.finding
        ranked[0 if report.fails(finding) else 1 if finding.verdict == "unsure" else 2].append(entry)
    for rank in ranked:
        for found in by_page(rank).values():
            for entry in found:
                yield _command(report, entry)
    summary = report.summary
    counts = f"{summary.broken:,} broken, {summary.unsure:,} unsure, {summary.excluded:,} excluded"
    said = f"{counted(summary.links, 'link')} on {counted(summary.pages, 'page')}"
    yield f"crawler check: {said}, {counts}\n"


def _command(report: Report, entry: Entry) -> str:
    place, finding = entry
    command = "error" if report.fails(finding) else _COMMANDS[finding.verdict]
    properties = {"title": f"{_TITLES[finding.verdict]} ({code_of(finding)})"}
    said = f"{shown_url(finding.url)}: {words(finding)}"
    if is_file(place.page):
        at = {
            "file": printable(from_here(place.page).as_posix()),
            "line": str(max(place.line, 1)),
            "col": str(max(place.column, 1)),
        }
        properties = {**at, **properties}
    else:
        said = f"{where(place)}: {said}"
    written = ",".join(f"{name}={value.translate(_PROPERTY)}" for name, value in properties.items())
    return f"::{command} {written}::{said.translate(_DATA)}\n"
