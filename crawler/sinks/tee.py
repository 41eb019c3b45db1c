"""Several sinks at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, FirstError, maybeDeferred
from twisted.python.failure import Failure

from crawler.models import Record, Response
from crawler.sinks import Sink


class Tee:
    """Gives every record to all `sinks` and goes at the pace of the slowest.

    The first error is the error of the whole. `write` tells it at once; `flush` and `close` first wait for the other
    sinks, so that one full disk costs no other output its records.
    """

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._sinks = tuple(sinks)

    def write(self, record: Record, response: Response | None, sequence: int) -> Deferred[None] | None:
        waiting = None
        for sink in self._sinks:
            wait = sink.write(record, response, sequence)
            if wait is not None:
                waiting = [wait] if waiting is None else [*waiting, wait]
        if waiting is None:
            return None
        return DeferredList(waiting, fireOnOneErrback=True, consumeErrors=True).addCallbacks(_nothing, _first_error)

    def flush(self) -> Deferred[None]:
        return _all([sink.flush for sink in self._sinks])

    def close(self) -> Deferred[None]:
        return _all([sink.close for sink in self._sinks])


def _all(steps: Sequence[Callable[[], Deferred[None] | None]]) -> Deferred[None]:
    # maybeDeferred: an exception in one sink must not cost the others what they hold.
    return DeferredList([maybeDeferred(step) for step in steps], consumeErrors=True).addCallback(_outcome)


def _nothing(_: object) -> None:
    return None


def _first_error(failure: Failure) -> Failure:
    error = failure.value
    return error.subFailure if isinstance(error, FirstError) else failure


def _outcome(results: list[tuple[bool, Any]]) -> Any:
    return next((result for succeeded, result in results if not succeeded), None)
