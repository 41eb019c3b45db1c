"""Where records go. A sink that cannot write fails with CodedError `disk_full` or `write_error`: that ends the run."""

from __future__ import annotations

from typing import Protocol

from twisted.internet.defer import Deferred

from crawler.models import Record, Response

__all__ = [
    "Sink",
    "archive",
    "bodies",
    "csv",
    "fields",
    "formats",
    "human",
    "joining",
    "jsonl",
    "memory",
    "mirror",
    "ordered",
    "stream",
    "tables",
    "tee",
    "wanted",
    "writer",
]


class Sink(Protocol):
    """Takes records. None means "go on at once"; a Deferred is back-pressure: it fires when the sink takes more.

    What was given to `write` is taken, whatever it returns; to cancel the Deferred is to stop waiting, nothing else.
    """

    def write(self, record: Record, response: Response | None, sequence: int) -> Deferred[None] | None:
        """Take one record and, unless nothing was fetched, the response it tells of.

        `sequence` is the place of its input in the order in which inputs were accepted (Request.id: 0, 1, 2...). Each
        is written once, in any order.
        """

    def flush(self) -> Deferred[None] | None:
        """Bring everything taken so far to the operating system."""

    def close(self) -> Deferred[None] | None:
        """Flush and let go of the file. No write may follow; closing again is fine.

        To cancel the Deferred is to give up what a reader has not taken; it then fails soon.
        """
