"""The sink of an output that is a file until it is whole, and then an object."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks, maybeDeferred

from crawler.errors import CodedError
from crawler.files import coded
from crawler.models import Record, Response
from crawler.run.objects.place import Place
from crawler.run.work import Work
from crawler.sinks import Sink


class Putting:
    """Gives records to `sink`, which makes the file at `path`; once that is closed it is put at `place`.

    Where it `stays` it is that of a job, put again after the next run. Cancelling `close` gives the object up: what was
    there before stays, and so does the file.
    """

    def __init__(self, sink: Sink, place: Place, path: str, reactor: Any, *, stays: bool) -> None:
        self._sink = sink
        self._place = place
        self._path = path
        self._reactor = reactor
        self._stays = stays
        self._closing = False

    def write(self, record: Record, response: Response | None, sequence: int) -> Deferred[None] | None:
        return self._sink.write(record, response, sequence)

    def flush(self) -> Deferred[None] | None:
        return self._sink.flush()

    @inlineCallbacks
    def close(self) -> Generator[Deferred[Any], Any, None]:
        if self._closing:
            return
        self._closing = True
        yield maybeDeferred(self._sink.close)
        yield Work(self._reactor, self._put).done

    def _put(self, given_up: Callable[[], bool]) -> None:
        def check() -> None:
            if given_up():
                raise CodedError("write_error", f"{self._place.url}: given up")

        try:
            self._place.put(self._path, check)
        except OSError as error:
            problem = coded(error, self._place.url)
            raise CodedError(problem.code, f"{problem.message} (its records are in {self._path})") from error
        if not self._stays:
            os.unlink(self._path)  # noqa: PTH108
