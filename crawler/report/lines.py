"""Reads records: JSON Lines, plain or gzip, from a file, from standard input, or the first such output of a job."""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, BinaryIO, Final, Literal, cast

import msgspec
from msgspec import Meta

from crawler.config.config import ConfigError
from crawler.config.kinds import shown
from crawler.files import bounded_lines, open_plain
from crawler.job.status import lines_of_job, open_tables, read_options
from crawler.job.verify import Beginning
from crawler.models import Redirect
from crawler.sinks.formats import LOG
from crawler.store.database import BOOKS_QUERY, Books
from crawler.store.rows import UNWRITTEN

LONGEST_LINE: Final = 64 << 20  # a body may be in it
EXAMPLES: Final = 5
STDIN: Final = "-"
_SUFFIXES: Final = {"", ".jsonl", ".ndjson", LOG}
_GZIP: Final = b"\x1f\x8b"
_BUFFER: Final = 1 << 20

# A number that cannot be true makes a line no record: sums stay finite, whatever the file holds.
Seconds = Annotated[float, Meta(ge=0, le=1e9)]
Size = Annotated[int, Meta(ge=0, le=1 << 53)]
Status = Annotated[int, Meta(ge=0, le=999)]
Moment = Annotated[datetime, Meta(tz=True)]


class From(msgspec.Struct, gc=False):
    parent: str | None = None
    depth: Size | None = None


class Error(msgspec.Struct, gc=False):
    code: str
    message: str = ""


class Facts(msgspec.Struct):
    """What --page-facts keeps of a page: see models.PageFacts."""

    titles: Size = 0
    h1s: Size = 0
    h1: list[str] = []
    descriptions: Size = 0
    description: str | None = None
    canonicals: Size = 0
    canonical: str | None = None
    robots: list[str] = []
    words: Size | None = None
    links: list[str] = []
    is_sitemap: bool = False


class Line(msgspec.Struct, gc=False):
    """What a report wants of a record. All but the URL may be missing: `--fields` leaves out what it likes."""

    url: str
    final_url: str | None = None
    input: From | None = None
    input_parent: str | None = None  # the names that --fields has for parts of `input` and `error`
    outcome: Literal["ok", "failed", "skipped", "unchanged"] | None = None
    error: Error | None = None
    error_code: str | None = None
    warnings: list[str] = []
    status: Status | None = None
    content_type: str | None = None
    size_download: Size = 0
    size_body: Size = 0
    body_path: str | None = None
    duplicate_of: str | None = None
    redirects: list[Redirect] = []
    attempts: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None
    started: Moment | None = None
    time_total: Seconds | None = None
    input_depth: Size | None = None
    sha256: str | None = None
    title: str | None = None
    links: Size | None = None
    page: Facts | None = None


class Skip(msgspec.Struct, frozen=True):
    """So many links of a host that were skipped without a request, and of which no record was asked for."""

    host: str
    error: str
    count: int


class Job(msgspec.Struct, frozen=True):
    books: Books
    unwritten: list[Skip]


class Source:
    """Where records come from, as a page tells it: `notes` are sentences about what they lack.

    What is no record is counted in `bad`; `examples` says of the first ones what is wrong.
    """

    def __init__(self, name: str, job: Job | None = None) -> None:
        self.name = name
        self.job = job
        self.bad = 0
        self.examples: list[str] = []
        self.notes: list[str] = []


class Lines(Source):
    """The records of a file. `broken` says why it could not be read to its end; `path` is None for standard input."""

    def __init__(self, name: str, file: BinaryIO, path: Path | None = None, job: Job | None = None) -> None:
        super().__init__(name, job)
        self.path = path
        self.broken: str | None = None
        self._file = file

    def __iter__(self) -> Iterator[Line]:
        decode = msgspec.json.Decoder(Line).decode
        number = 0
        try:
            for number, text in enumerate(bounded_lines(self._file, LONGEST_LINE), 1):
                if text is None:
                    self._note(number, f"it has more than {LONGEST_LINE >> 20} MiB")
                    continue
                try:
                    yield decode(text)
                except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                    if text.strip():
                        self._note(number, str(error))
        except (OSError, EOFError, zlib.error) as error:
            self.broken = f"it cannot be read beyond line {number:,}: {error}"
            self.notes.append(f"The input is not whole: {self.broken}.")

    def _note(self, number: int, what: str) -> None:
        self.bad += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(f"line {number:,}: {what}")


@contextmanager
def open_lines(path: str) -> Iterator[Lines]:
    """Open a file, the folder of a job, or - for standard input. Raises ConfigError, and CodedError for a job."""
    if path == STDIN:
        yield Lines("standard input", _unpacked(sys.stdin.buffer))
        return
    job, committed, place = None, None, Path(path)
    if place.is_dir():
        job, place, committed = _job(path)
    elif place.suffix.lower() in {".csv", ".tsv"}:
        raise ConfigError(
            f"report: {shown(path)} is a table: what is read is JSON Lines (crawler ... -o records.jsonl)"
        )
    try:
        # A person may name a pipe; the database of a job names its outputs, which are plain files.
        file = place.open("rb", buffering=0) if job is None else open_plain(str(place), links=True)
    except OSError as error:
        raise ConfigError(f"report: cannot read {shown(str(place))}: {error.strerror}") from error
    with file:
        raw = file if committed is None else Beginning(file, committed)
        yield Lines(path, _unpacked(io.BufferedReader(raw, _BUFFER)), place, job)


def _unpacked(file: BinaryIO) -> BinaryIO:
    head = file.peek(2)[:2] if isinstance(file, io.BufferedReader) else b""
    return cast(BinaryIO, gzip.GzipFile(fileobj=file)) if head == _GZIP else file


def _job(folder: str) -> tuple[Job, Path, int]:
    """The job, its first output of JSON Lines, and how many bytes of it count."""
    with open_tables(folder) as db:
        books = Books(*db.execute(BOOKS_QUERY).fetchone())
        skips = []
        if read_options(folder).omits_skips:
            skips = db.execute(
                f"SELECT coalesce(host, ''), coalesce(error, ''), count(*) FROM urls WHERE {UNWRITTEN} "  # noqa: S608
                "GROUP BY host, error ORDER BY 3 DESC LIMIT 1000"
            ).fetchall()
    lines = lines_of_job(folder)
    if lines is None:
        raise ConfigError(f"report: the job {shown(folder)} has no output in JSON Lines (-o records.jsonl)")
    return Job(books, [Skip(_authority(key), error, count) for key, error, count in skips]), *lines


def _authority(host_key: str) -> str:
    """The host as URLs have it, of what the books call it: its port is left out where it goes without saying."""
    host, _, port = host_key.rpartition(":")
    host = f"[{host}]" if ":" in host else host
    return host if port in {"80", "443"} else f"{host}:{port}" if host else port
