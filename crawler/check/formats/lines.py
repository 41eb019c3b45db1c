"""The lines of files that have been checked, to show what is wrong where it stands."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from rich.cells import cell_len

from crawler.charset import decode_text
from crawler.check.formats.report import is_file
from crawler.files import open_plain
from crawler.printable import printable

_LARGEST: Final = 10 << 20  # bytes: a page is no larger
_NEAR: Final = 4_000  # characters: where an attribute begins, as seen from its element
_LOGIN: Final = re.compile(r"(?<=//)[^/?#\s'\"<>]*@")
_MORE: Final = "..."


class FileLines:
    """A LineOf for pages that are files. It holds one of them: ask page by page."""

    def __init__(self) -> None:
        self._page = ""
        self._lines: list[str] = []

    def __call__(self, page: str, number: int) -> str | None:
        if page != self._page:
            self._page, self._lines = page, _lines_of(page)
        return self._lines[number - 1] if 0 < number <= len(self._lines) else None


def _lines_of(page: str) -> list[str]:
    if not is_file(page):
        return []
    try:
        with open_plain(page, links=True) as file:
            body = file.read(_LARGEST)
    except (OSError, ValueError):
        return []  # it was there when it was checked; what is wrong can be said without it
    return decode_text(body, None, "text/html").text.split("\n")


class Marked(NamedTuple):
    """A line as it may be shown, and what of it is marked: from which cell on, and how many cells."""

    text: str
    indent: int
    width: int


def marked(line: str, column: int, reference: str, width: int) -> Marked:
    """Show the reference in its line, which may be longer than the terminal is wide; `column` counts from 1."""
    start = min(column - 1, len(line))
    at = line.find(reference, start, start + _NEAR + len(reference)) if reference else -1
    length = len(reference) if at >= 0 else 1
    at = at if at >= 0 else start
    first = 0 if len(line) <= width else max(0, min(at - width // 3, len(line) - width))
    last = min(len(line), first + width)
    before, link, after = line[first:at], line[at : min(at + length, last)], line[at + length : last]
    before, link, after = (_safe(part) for part in (before if first else before.lstrip(), link, after))
    before = f"{_MORE if first else ''}{before}"
    after = f"{after.rstrip()}{_MORE if last < len(line.rstrip()) else ''}"
    return Marked(f"{before}{link}{after}", cell_len(before), max(cell_len(link), 1))


def _safe(text: str) -> str:
    return printable(_LOGIN.sub("", text).replace("\t", " ").replace("\r", ""))
