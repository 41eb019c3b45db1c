"""Leaves out the records of what was discovered and then not asked for: those that nobody wants without --skipped."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from crawler.models import Record, Response
from crawler.sinks import Sink


def is_wanted(record: Record) -> bool:
    """What was typed has a record always, and so has everything for which a request was made."""
    return record.outcome != "skipped" or record.input.parent is None or record.attempts > 0


class Wanted:
    """Gives `sink` the records that are wanted."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def write(self, record: Record, response: Response | None, sequence: int) -> Deferred[None] | None:
        return self._sink.write(record, response, sequence) if is_wanted(record) else None

    def flush(self) -> Deferred[None] | None:
        return self._sink.flush()

    def close(self) -> Deferred[None] | None:
        return self._sink.close()
