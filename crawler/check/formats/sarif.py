"""SARIF 2.1.0 (OASIS), as GitHub's code scanning and editors read it: a rule for each code, a result for each place."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from crawler.check.findings import Finding, Place
from crawler.check.formats.report import (
    Entry,
    Report,
    code_of,
    entries,
    from_here,
    is_file,
    markup_of,
    shown_page,
    shown_url,
    words,
)
from crawler.check.judging import meaning_of
from crawler.printable import json_bytes, printable_lines
from crawler.redaction import redact
from crawler.version import __version__

_SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_HOME: Final = "https://pypi.org/project/everyurl/"
_ROOT: Final = "SRCROOT"
_LEVELS: Final = {"broken": "error", "unsure": "warning", "warning": "note"}
_URL_SAFE: Final = "%/:?#[]@!$&'()*+,;=~"


def sarif(report: Report) -> Iterator[str]:
    """Paths are relative to the folder in which the command runs, which is taken for the root of the sources."""
    rules: dict[str, Finding] = {}
    for finding in report.to_tell():
        rules.setdefault(code_of(finding), finding)
    numbers = {code: number for number, code in enumerate(rules)}
    driver = {
        "name": "crawler check",
        "version": __version__,
        "informationUri": _HOME,
        "rules": [_rule(report, code, finding) for code, finding in rules.items()],
    }
    yield f'{{"$schema": "{_SCHEMA}", "version": "2.1.0", "runs": [{{"tool": {{"driver": {_json(driver)}}},\n'
    yield '"columnKind": "unicodeCodePoints", "results": ['
    separator = "\n"
    for entry in entries(report.to_tell()):
        yield f"{separator}{_json(_result(report, entry, numbers))}"
        separator = ",\n"
    yield "\n]}]}\n"


def _json(value: Any) -> str:
    return printable_lines(json_bytes(value).decode())


def _rule(report: Report, code: str, finding: Finding) -> dict[str, Any]:
    meaning = meaning_of(code)
    return {
        "id": code,
        "shortDescription": {"text": meaning[0].upper() + meaning[1:]},
        "helpUri": _HOME,
        "defaultConfiguration": {"level": _level(report, finding)},
    }


def _level(report: Report, finding: Finding) -> str:
    return "error" if report.fails(finding) else _LEVELS[finding.verdict]


def _result(report: Report, entry: Entry, numbers: dict[str, int]) -> dict[str, Any]:
    place, finding = entry
    code = code_of(finding)
    return {
        "ruleId": code,
        "ruleIndex": numbers[code],
        "level": _level(report, finding),
        "message": {"text": f"{shown_url(finding.url)}: {words(finding)}"},
        "locations": [{"physicalLocation": _location(place)}],
        # The same link of the same page is the same finding, on whichever line it stands next time.
        "partialFingerprints": {"link/v1": _fingerprint(place, finding)},
    }


def _location(place: Place) -> dict[str, Any]:
    location: dict[str, Any] = {"artifactLocation": artifact(place.page)}
    if place.line:
        location["region"] = {
            "startLine": place.line,
            "startColumn": max(place.column, 1),
            "snippet": {"text": markup_of(place)},
        }
    return location


def artifact(page: str) -> dict[str, str]:
    """A file below the current folder by its relative path; any other, and a page of the web, by its URL."""
    if not is_file(page):
        return {"uri": quote(redact(page), safe=_URL_SAFE, errors="replace")}
    relative = from_here(page)
    if relative.is_absolute() or relative.parts[:1] == (os.pardir,):
        return {"uri": Path(page).absolute().as_uri()}
    return {"uri": quote(os.fsencode(relative.as_posix())), "uriBaseId": _ROOT}


def _fingerprint(place: Place, finding: Finding) -> str:
    said = "\0".join((shown_page(place.page), finding.url, place.element, place.attribute, place.reference))
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:32]
