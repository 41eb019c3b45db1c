"""The report of a run that goes on: a sink that counts each record as it comes. Memory is bounded, see bounded.py."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import asdict
from twisted.logger import Logger

from crawler.models import Record, Response
from crawler.printable import printable
from crawler.report.counts.aggregate import Aggregate
from crawler.report.lines import Error, Facts, From, Line


class Counting:
    """Counts into `of`. A record that cannot be counted, which would be a bug, costs the page and not the run."""

    def __init__(self) -> None:
        self.of = Aggregate()
        self._log = Logger()

    def write(self, record: Record, response: Response | None, sequence: int) -> None:  # noqa: ARG002
        try:
            self.of.add(line_of(record))
        except Exception:
            self._log.failure("the report cannot count {url}", url=printable(record.url))

    def flush(self) -> None:
        """Nothing is buffered."""

    def close(self) -> None:
        """The page is made when everything else is closed."""


def line_of(record: Record) -> Line:
    """The record as it would be read back from an output."""
    error = record.error
    return Line(
        url=record.url,
        final_url=record.final_url,
        input=From(record.input.parent, record.input.depth),
        outcome=record.outcome,
        error=None if error is None else Error(error.code, error.message),
        warnings=list(record.warnings),
        status=record.status,
        content_type=record.content_type,
        size_download=record.size_download,
        size_body=record.size_body,
        body_path=record.body_path,
        duplicate_of=record.duplicate_of,
        redirects=list(record.redirects),
        attempts=record.attempts,
        started=None if record.started is None else datetime.fromisoformat(record.started),
        time_total=record.time_total,
        sha256=record.sha256,
        title=record.title,
        links=record.links,
        page=None if record.page is None else Facts(**asdict(record.page)),
    )
