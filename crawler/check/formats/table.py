"""The formats by their names, and the suffixes of files that are in one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from crawler.check.formats.github import github
from crawler.check.formats.json_document import json_document
from crawler.check.formats.junit import junit
from crawler.check.formats.markdown import markdown
from crawler.check.formats.people import people
from crawler.check.formats.report import Report
from crawler.check.formats.sarif import sarif

Format = Callable[[Report], Iterator[str]]

FORMATS: Final[Mapping[str, Format]] = {
    "text": people,
    "json": json_document,
    "junit": junit,
    "sarif": sarif,
    "github": github,
    "markdown": markdown,
}

SUFFIXES: Final[Mapping[str, str]] = {
    ".txt": "text",
    ".json": "json",
    ".xml": "junit",
    ".sarif": "sarif",
    ".md": "markdown",
}

_PIECE: Final = 64 * 1024  # characters


def in_bytes(pieces: Iterable[str]) -> Iterator[bytes]:
    """The text in UTF-8, in pieces of a size that is worth writing."""
    waiting: list[str] = []
    size = 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= _PIECE:
            yield "".join(waiting).encode("utf-8", "backslashreplace")
            waiting, size = [], 0
    if waiting:
        yield "".join(waiting).encode("utf-8", "backslashreplace")
