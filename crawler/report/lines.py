"""Reads records: JSON Lines or a table, from a file, an object, standard input, or the first such output of a job."""

from __future__ import annotations

import io
import sys
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final, Literal

import msgspec
from msgspec import Meta

from crawler.config.config import ConfigError
from crawler.config.kinds import shown
from crawler.files import bounded_lines, open_plain
from crawler.job.status import lines_of_job, open_tables, read_options
from crawler.job.verify import Beginning
from crawler.models import Redirect
from crawler.objects.address import is_object
from crawler.report.sources import tables
from crawler.report.sources.outputs import Output, outputs_of
from crawler.report.sources.streams import object_stream, on_disk, unpacked
from crawler.store.database import BOOKS_QUERY, Books
from crawler.store.rows import UNWRITTEN

LONGEST_LINE: Final = 64 << 20  # a body may be in it
EXAMPLES: Final = 5
STDIN: Final = "-"
_BUFFER: Final = 1 << 20

# A number that cannot be true makes a line no record: sums stay finite, whatever the file holds.
Seconds = Annotated[float, Meta(ge=0, le=1e9)]
Size = Annotated[int, Meta(ge=0, le=1 << 53)]
Status = Annotated[int, Meta(ge=0, le=999)]


_decode: Final = msgspec.json.Decoder().decode


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
    started: datetime | None = None  # without a zone, as tables of others have it, it is UTC
    time_total: Seconds | None = None
    input_depth: Size | None = None
    sha256: str | None = None
    title: str | None = None
    links: Size | None = None
    page: Facts | None = None


_NESTED: Final = ("warnings", "redirects", "page")
_WANTED: Final = tuple(name for name in Line.__struct_fields__ if name not in {"input", "error"})


class Skip(msgspec.Struct, frozen=True):
    """So many links of a host that were skipped without a request, and of which no record was asked for."""

    host: str
    error: str
    count: int


class Job(msgspec.Struct, frozen=True):
    books: Books
    unwritten: list[Skip]


class Source:
    """Where records come from, as a page tells it: `notes` are sentences about what they lack, `outputs` what else was
    written.

    What is no record is counted in `bad`; `examples` says of the first ones what is wrong.
    """

    def __init__(self, name: str, job: Job | None = None) -> None:
        self.name = name
        self.job = job
        self.bad = 0
        self.examples: list[str] = []
        self.notes: list[str] = []
        self.outputs: list[Output] = []


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
                    line = decode(text)
                except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                    if not text.strip():
                        continue
                    try:
                        line = _of_others(text)
                    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                        self._note(number, str(error))
                        continue
                yield _in_utc(line)
        except (OSError, EOFError, zlib.error) as error:
            self.broken = f"it cannot be read beyond line {number:,}: {error}"
            self.notes.append(f"The input is not whole: {self.broken}.")

    def _note(self, number: int, what: str, unit: str = "line") -> None:
        self.bad += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(f"{unit} {number:,}: {what}")


class Rows(Lines):
    """The records of a table, row by row. What has no URL, or a value that cannot be, is no record."""

    def __init__(
        self, name: str, rows: Iterator[dict[str, Any]], path: Path | None = None, job: Job | None = None
    ) -> None:
        super().__init__(name, io.BytesIO(), path, job)
        self._rows = rows

    def __iter__(self) -> Iterator[Line]:
        number = 0
        try:
            for number, row in enumerate(self._rows, 1):
                try:
                    line = msgspec.convert(_without_nulls(tables.of_row(row, _NESTED)), Line, strict=False)
                except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                    self._note(number, str(error), "row")
                else:
                    yield _in_utc(line)
        except ConfigError:
            raise
        except Exception as error:  # whatever the library that reads it raises: what came until then counts
            if not number:
                raise ConfigError(f"report: {shown(self.name)} cannot be read: {error}") from error
            self.broken = f"it cannot be read beyond row {number:,}: {error}"
            self.notes.append(f"The input is not whole: {self.broken}.")


def _of_others(text: bytes) -> Line:
    """A line as other programs write it: null for what is empty, numbers as text or with a point.

    Raises msgspec.MsgspecError.
    """
    return msgspec.convert(_without_nulls(_decode(text)), Line, strict=False)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [_without_nulls(inner) for inner in value if inner is not None] if isinstance(value, list) else value


def _in_utc(line: Line) -> Line:
    if line.started is not None and line.started.tzinfo is None:
        line.started = line.started.replace(tzinfo=UTC)
    return line


@contextmanager
def open_lines(path: str) -> Iterator[Lines]:
    """Open a file, an object, the folder of a job, or - for standard input.

    A file is JSON Lines or a table, by its suffix, also packed with gzip or zstd. Raises ConfigError, and CodedError
    for a job.
    """
    if path == STDIN:
        yield Lines("standard input", unpacked(sys.stdin.buffer))
        return
    suffix = "" if not is_object(path) and Path(path).is_dir() else tables.suffix_of(path)
    delimiter = tables.SEPARATED.get(suffix)
    if suffix and delimiter is None:
        with on_disk(path) as place:
            if not Path(place).is_file():
                raise ConfigError(f"report: cannot read {shown(path)}: there is no such file")
            with closing(tables.stored_rows(place, suffix, _WANTED)) as rows:
                yield Rows(path, rows, Path(place))
        return
    with _opened(path) as (stream, place, job), ExitStack() as resources:
        if job is not None:
            delimiter = tables.SEPARATED.get(tables.suffix_of(str(place)))
        if delimiter is None:
            lines = Lines(path, stream, place, job)
        else:
            rows = resources.enter_context(closing(tables.separated_rows(stream, delimiter, _WANTED)))
            lines = Rows(path, rows, place, job)
        if job is not None:
            lines.outputs = outputs_of(read_options(path))
        yield lines


@contextmanager
def _opened(path: str) -> Iterator[tuple[BinaryIO, Path | None, Job | None]]:
    if is_object(path):
        with object_stream(path) as stream:
            yield unpacked(stream), None, None
        return
    job, committed, place = None, None, Path(path)
    if place.is_dir():
        job, place, committed = _job(path)
    try:
        # A person may name a pipe; the database of a job names its outputs, which are plain files.
        file = place.open("rb", buffering=0) if job is None else open_plain(str(place), links=True)
    except OSError as error:
        raise ConfigError(f"report: cannot read {shown(str(place))}: {error.strerror}") from error
    with file:
        raw = file if committed is None else Beginning(file, committed)
        yield unpacked(io.BufferedReader(raw, _BUFFER)), place, job


def _job(folder: str) -> tuple[Job, Path, int]:
    """The job, its first output of JSON Lines or else of CSV, and how many bytes of it count."""
    with open_tables(folder) as db:
        books = Books(*db.execute(BOOKS_QUERY).fetchone())
        skips = []
        if read_options(folder).omits_skips:
            skips = db.execute(
                f"SELECT coalesce(host, ''), coalesce(error, ''), count(*) FROM urls WHERE {UNWRITTEN} "  # noqa: S608
                "GROUP BY host, error ORDER BY 3 DESC LIMIT 1000"
            ).fetchall()
    lines = lines_of_job(folder, else_of=tables.SEPARATED)
    if lines is None:
        raise ConfigError(f"report: the job {shown(folder)} has no output in JSON Lines or CSV (-o records.jsonl)")
    return Job(books, [Skip(_authority(key), error, count) for key, error, count in skips]), *lines


def _authority(host_key: str) -> str:
    """The host as URLs have it, of what the books call it: its port is left out where it goes without saying."""
    host, _, port = host_key.rpartition(":")
    host = f"[{host}]" if ":" in host else host
    return host if port in {"80", "443"} else f"{host}:{port}" if host else port
