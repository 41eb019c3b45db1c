"""What all formats are written from, and what they say alike: which findings count, where they stand, in what words."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from crawler.check.findings import Finding, Place, Summary
from crawler.printable import printable
from crawler.redaction import discreet, redact, scrub

LineOf = Callable[[str, int], "str | None"]
"""The line of a page, by its number from 1, where the page is at hand."""

_URL_LIMIT: Final = 2083
_MESSAGE_LIMIT: Final = 500
_IN_MARKDOWN: Final = {"link": "[{text}]({reference})", "image": "![{text}]({reference})"}
_EMPTY: Final = frozenset(("area", "embed", "frame", "image", "img", "input", "link", "meta", "source", "track", "use"))


def no_lines(page: str, number: int) -> str | None:  # noqa: ARG001 - the form of a LineOf
    """Of a check whose pages are not at hand."""
    return None


class Report(NamedTuple):
    """Findings in the order in which they were made; `strict`: the unsure count as broken ones do. `verbose`:
    people are told, too, what was left out.
    """

    findings: Sequence[Finding]
    summary: Summary
    line_of: LineOf = no_lines
    strict: bool = False
    verbose: bool = False

    def to_tell(self, *, excluded: bool = False) -> Iterator[Finding]:
        """The findings that somebody has to look at; and what nobody asked for, if that is wanted."""
        return (f for f in self.findings if f.verdict != "ok" and (excluded or f.verdict != "excluded"))

    def fails(self, finding: Finding) -> bool:
        return finding.verdict == "broken" or (self.strict and finding.verdict == "unsure")


class Entry(NamedTuple):
    """A finding at one of its places."""

    place: Place
    finding: Finding


def entries(findings: Iterable[Finding]) -> Iterator[Entry]:
    """Each finding at each of its places, in their order; a URL that was typed stands nowhere, and is its own page."""
    for finding in findings:
        for place in finding.places or (Place(finding.url, 0, 0, "", "", finding.url),):
            yield Entry(place, finding)


def by_page(of: Iterable[Entry]) -> dict[str, list[Entry]]:
    """The entries of each page, in the order of the page; pages in the order of their names."""
    pages: dict[str, list[Entry]] = {}
    for entry in of:
        pages.setdefault(entry.place.page, []).append(entry)
    for found in pages.values():
        found.sort(key=lambda entry: (entry.place.line, entry.place.column))
    return dict(sorted(pages.items()))


def from_here(page: str) -> Path:
    """The path of a page that is a file, from the current folder on, where one leads there."""
    try:
        return Path(os.path.relpath(page))
    except ValueError:  # on another drive of Windows
        return Path(page)


def is_file(page: str) -> bool:
    """Whether a page is a file on the disk and not a URL."""
    return "://" not in page


def shown_url(url: str) -> str:
    return printable(redact(url), _URL_LIMIT)


def shown_page(page: str) -> str:
    """A page's URL, or the path of a file with "/" as all programs that read reports know it."""
    return printable(page.replace("\\", "/"), _URL_LIMIT) if is_file(page) else shown_url(page)


def shown_reference(place: Place) -> str:
    """The link as the page writes it."""
    return printable(scrub(place.reference), _URL_LIMIT)


def position(place: Place, form: str = "{}") -> str:
    """line:column, in this form; nothing for a page without lines."""
    return form.format(f"{place.line}:{place.column}") if place.line else ""


def where(place: Place) -> str:
    """page:line:column, as compilers say it and editors find it; a page without lines is named alone."""
    return f"{shown_page(place.page)}{position(place, ':{}')}"


def code_of(finding: Finding) -> str:
    return finding.code or finding.verdict


def words(finding: Finding) -> str:
    """What is wrong, in one line: the message, else the code; and where it leads to now."""
    said = printable(finding.message, _MESSAGE_LIMIT) or code_of(finding)
    if finding.target is None or finding.target == finding.url or shown_url(finding.target) in said:
        return said
    return f"{said} -> {shown_url(finding.target)}"


def markup_of(place: Place) -> str:
    """The link as the page has it, as far as is known without the page: `<a href="x.html">text</a>`."""
    reference, text = shown_reference(place), printable(discreet(place.text))
    if place.element in _IN_MARKDOWN and not place.attribute:
        return _IN_MARKDOWN[place.element].format(text=text, reference=reference)
    if not place.attribute:
        return f"<{place.element}>{reference}</{place.element}>" if place.element else reference
    start = f'<{place.element} {place.attribute}="{reference}">'
    return start if place.element in _EMPTY else f"{start}{text}</{place.element}>"


def counted(number: int, what: str, several: str | None = None) -> str:
    """1 link, 1,234 links."""
    return f"1 {what}" if number == 1 else f"{number:,} {several or f'{what}s'}"
