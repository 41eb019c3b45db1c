"""JUnit's XML, as GitLab, Jenkins, Azure and others read it: a suite for each page, a test case for each link in it.

There is no standard; this keeps to what all of them read: testsuites, testsuite, testcase with name, classname, file
and time, and in it failure or skipped (https://github.com/testmoapp/junitxml).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from crawler.check.formats.report import (
    Entry,
    Report,
    by_page,
    code_of,
    entries,
    is_file,
    markup_of,
    position,
    shown_page,
    shown_url,
    where,
    words,
)
from crawler.printable import printable

_ESCAPES: Final = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\ufffe": "\\ufffe", "\uffff": "\\uffff"}
)


def junit(report: Report) -> Iterator[str]:
    """Broken links fail, with `strict` the unsure ones, too; else those are skipped. All that works is one case."""
    pages = by_page(entries(report.to_tell()))
    summary = report.summary
    found = [_counts(report, page) for page in pages.values()]
    tests, failures, skipped = (sum(column) for column in zip(*found, strict=True)) if found else (0, 0, 0)
    yield '<?xml version="1.0" encoding="UTF-8"?>\n'
    yield (
        f'<testsuites name="crawler check" tests="{tests + 1}" failures="{failures}" errors="0" skipped="{skipped}" '
        f'time="{summary.seconds:.3f}">\n'
    )
    # Readers take a report without any test case for a mistake.
    name = f"{summary.ok:,} of {summary.links:,} links are fine"
    time = f'time="{summary.seconds:.3f}"'
    yield f'<testsuite name="crawler check" tests="1" failures="0" errors="0" skipped="0" {time}>\n'
    yield f'<testcase name="{name}" classname="crawler check" {time}/>\n</testsuite>\n'
    for (page, cases), (number, failing, passed_over) in zip(pages.items(), found, strict=True):
        shown = _text(shown_page(page))
        yield (
            f'<testsuite name="{shown}" tests="{number}" failures="{failing}" errors="0" skipped="{passed_over}" '
            'time="0">\n'
        )
        for entry in cases:
            yield _case(report, entry, shown)
        yield "</testsuite>\n"
    yield "</testsuites>\n"


def _counts(report: Report, cases: list[Entry]) -> tuple[int, int, int]:
    failing = sum(report.fails(entry.finding) for entry in cases)
    skipped = sum(entry.finding.verdict == "unsure" and not report.fails(entry.finding) for entry in cases)
    return len(cases), failing, skipped


def _case(report: Report, entry: Entry, page: str) -> str:
    place, finding = entry
    said = _text(words(finding))
    body = _text(f"{where(place)}\n{shown_url(finding.url)}\n{printable(markup_of(place))}\n")
    at = f' file="{page}" line="{place.line}"' if is_file(place.page) else ""
    name = _text(f"{shown_url(finding.url)}{position(place, ' ({})')}")
    start = f'<testcase name="{name}" classname="{page}"{at} time="0">'
    if report.fails(finding):
        inside = f'<failure message="{said}" type="{_text(code_of(finding))}">{said}\n{body}</failure>'
    elif finding.verdict == "unsure":
        inside = f'<skipped message="{said}"/>'
    else:
        inside = f"<system-out>{said}\n{body}</system-out>"
    return f"{start}{inside}</testcase>\n"


def _text(text: str) -> str:
    """For content and for attributes: the text is printable, so that XML may hold all of it but two code points."""
    return text.translate(_ESCAPES)
