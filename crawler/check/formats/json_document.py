"""One JSON document: the summary, and every finding on a line of its own. `version` grows when a key changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from crawler.check.findings import Finding
from crawler.check.formats.report import Report, is_file
from crawler.printable import json_bytes, printable_lines
from crawler.redaction import discreet, redact, scrub

VERSION: Final = 1


def json_document(report: Report) -> Iterator[str]:
    """{"version": 1, "summary": {...}, "findings": [...]}, with keys as in Finding and Place."""
    summary = json_bytes({**msgspec.structs.asdict(report.summary), "links": report.summary.links}).decode()
    yield f'{{"version": {VERSION}, "summary": {summary}, "findings": ['
    separator = "\n"
    for finding in report.findings:
        yield f"{separator}{printable_lines(json_bytes(_without_secrets(finding)).decode())}"
        separator = ",\n"
    yield "\n]}\n"


def _without_secrets(finding: Finding) -> Finding:
    places = (f"{place.page} {place.reference} {place.text}" for place in finding.places)
    if not any("@" in text for text in (finding.url, finding.target or "", *places)):
        return finding
    return msgspec.structs.replace(
        finding,
        url=redact(finding.url),
        target=finding.target and redact(finding.target),
        places=[
            msgspec.structs.replace(
                place,
                page=place.page if is_file(place.page) else redact(place.page),
                reference=scrub(place.reference),
                text=discreet(place.text),
            )
            for place in finding.places
        ],
    )
