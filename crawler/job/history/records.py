"""The records of an earlier run, read again: a file of JSON Lines, plain or gzip, or those of a job that count."""

from __future__ import annotations

import gzip
import io
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import msgspec

from crawler.config.sources import ConfigError
from crawler.errors import CodedError
from crawler.files import bounded_lines, open_plain
from crawler.job.status import lines_of_job
from crawler.job.verify import Beginning
from crawler.models import PageFacts
from crawler.objects.address import is_object
from crawler.redaction import scrub
from crawler.sinks.formats import LINES, LOG

LONGEST_LINE: Final = 64 << 20
_GZIP: Final = b"\x1f\x8b"


class Place(msgspec.Struct, gc=False):
    source: str | None = None
    parent: str | None = None


class Fault(msgspec.Struct, gc=False):
    code: str


class Validators(msgspec.Struct, gc=False, rename={"last_modified": "last-modified"}):
    """The headers that are wanted: to pass over the others is cheaper than to read them."""

    etag: list[str] = []
    last_modified: list[str] = []


class Line(msgspec.Struct, gc=False):
    """What of a record is wanted. All but the URL may be missing: `--fields` leaves out what it likes."""

    url: str
    final_url: str | None = None
    input: Place | None = None
    method: str = "GET"
    outcome: str | None = None
    error: Fault | None = None
    status: int | None = None
    headers: Validators | None = None
    content_type: str | None = None
    charset: str | None = None
    size_body: int = 0
    truncated: bool = False
    sha256: str | None = None
    title: str | None = None
    links: int | None = None
    data: Any = None
    page: PageFacts | None = None


def read_records(source: str, what: str) -> Iterator[Line]:
    """The records of `source`, in their order; `what` is who wants them, for messages.

    Raises ConfigError, with a sentence, for what is no such file, and at the first line that is no record.
    """
    decode = msgspec.json.Decoder(Line).decode
    number = 0
    try:
        with _opened(source, what) as lines:
            for number, line in enumerate(lines, 1):
                if line is None:
                    raise ConfigError(
                        f"{what}: {scrub(source)}: record {number:,} is longer than {LONGEST_LINE >> 20} MiB"
                    )
                yield decode(line)
    except (OSError, EOFError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        why = getattr(error, "strerror", None) or error  # str() of an OSError has the name, unscrubbed
        which = f"record {number:,} " if number else ""
        raise ConfigError(f"{what}: {scrub(source)}: {which}cannot be read: {why}") from None


@contextmanager
def kept_aside(what: str) -> Iterator[None]:
    """Where records go into a database of our own: raises CodedError when there is no room for that."""
    try:
        yield
    except sqlite3.Error as error:
        words = f"{what}: what was read of records finds no room among temporary files: {error}"
        raise CodedError("disk_full", words) from error


@contextmanager
def _opened(source: str, what: str) -> Iterator[Iterable[bytes | None]]:
    if is_object(source):
        raise ConfigError(f"{what}: {source} is in an object store (copy it here)")
    path, committed = Path(source), None
    if path.is_dir():
        of_job = lines_of_job(source)
        if of_job is None:
            raise ConfigError(f"{what}: the job {scrub(source)} has no output in JSON Lines (-o records.jsonl)")
        path, committed = of_job
    elif Path(source.lower().removesuffix(".gz")).suffix not in {*LINES, LOG}:
        raise ConfigError(f"{what}: {scrub(source)} is no JSON Lines and no job (allowed: records.jsonl, also .gz)")
    with open_plain(str(path), links=True) as file:
        raw: Any = file if committed is None else Beginning(file, committed)
        stream: BinaryIO = io.BufferedReader(raw, 1 << 20)
        if cast(io.BufferedReader, stream).peek(2)[:2] == _GZIP:
            stream = cast(BinaryIO, gzip.GzipFile(fileobj=stream))
        yield bounded_lines(stream, LONGEST_LINE)
