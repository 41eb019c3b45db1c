"""The lines of the index for what is in an archive already: of an earlier run of a job, or of another program."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from crawler.errors import CodedError
from crawler.fetch.archive.reading import Stored, records
from crawler.fetch.http11.head import mend
from crawler.models import by_name
from crawler.sinks.archive.index import line_of
from crawler.sinks.archive.naming import name_of
from crawler.urls import parse

_FOUND: Final = frozenset(("response", "revisit"))
_FIRST: Final = 1 << 16


def lines_of(
    path: str, end: int | None = None, name: str | None = None, told: Callable[[str], object] = lambda _: None
) -> Iterator[str]:
    """Those of the first `end` bytes of an archive, called `name` there. Raises OSError."""
    name = name_of(path) if name is None else name
    with Path(path).open("rb") as file:
        latest: tuple[Stored, dict[str, Any]] | None = None
        for record in records(file, end=end, told=told):
            if latest is not None:
                yield from _line(*latest, record.place, name)
                latest = None
            if record.kind in _FOUND and record.place >= 0:
                latest = record, _fields(record)
        if latest is not None:
            size = file.seek(0, 2) if end is None else end
            yield from _line(*latest, size, name)


def _fields(record: Stored) -> dict[str, Any]:
    first = b""
    while len(first) < _FIRST and (more := record.read(_FIRST - len(first))):
        first += more
    mime, status = "unk", None
    try:
        head = mend(first)
    except CodedError:
        head = None
    if head is not None:
        types = by_name(head.fields).get("content-type", ["unk"])
        mime, status = types[0].partition(";")[0].strip().lower() or "unk", str(head.status)
    if record.kind == "revisit":
        mime = "warc/revisit"
    return {"url": record.url, "mime": mime, "status": status, "digest": record.fields.get("warc-payload-digest")}


def _line(record: Stored, fields: dict[str, Any], end: int, name: str) -> Iterator[str]:
    try:
        url = parse(record.url)
    except CodedError:
        return
    told = {key: value for key, value in fields.items() if value is not None}
    told |= {"length": str(end - record.place), "offset": str(record.place), "filename": name}
    yield line_of(url, record.fields.get("warc-date", ""), told)
