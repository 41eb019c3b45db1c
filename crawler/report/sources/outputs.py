"""What a run wrote, as a page lists it: records, archives with their index, items, bodies, a mirror."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from crawler.config.config import Config
from crawler.objects.address import is_object
from crawler.redaction import scrub
from crawler.sinks.archive.naming import index_of, is_archive, numbered


class Output(NamedTuple):
    """`size` is in bytes; None for a folder, an object, and what is not where the run wrote it."""

    path: str
    what: str
    size: int | None


def outputs_of(config: Config) -> list[Output]:
    """Those of the options of a run. An archive of several files is all of them."""
    return [Output(scrub(path), what, _size(path)) for path, what in _named(config)]


def _named(config: Config) -> Iterator[tuple[str, str]]:
    for path in (*config.output, *config.overwrite_output):
        if path == "-":
            continue
        if not is_archive(path):
            yield path, "records"
            continue
        number = 1
        if config.warc_max_size is None or is_object(path):
            yield path, "archive (WARC)"
        while config.warc_max_size is not None and Path(numbered(path, number)).is_file():
            yield numbered(path, number), "archive (WARC)"
            number += 1
        yield index_of(path), "index of the archive (CDXJ)"
    if config.items is not None:
        yield config.items, "items"
    if config.bodies is not None:
        yield config.bodies, "bodies"
    if config.mirror is not None:
        yield config.mirror, "a mirror"


def _size(path: str) -> int | None:
    place = Path(path)
    return place.stat().st_size if not is_object(path) and place.is_file() else None
