"""What a run says on standard error as JSON, an object a line: `time`, `level`, `event`, `message`, and its own fields.

A line holds no character that acts on a terminal.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TextIO

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from crawler.config.config import Config
from crawler.models import Record, Response, timestamp
from crawler.monitor.messages import Level, Lines, Said, block
from crawler.monitor.units import amount, duration, urls
from crawler.printable import json_bytes, printable_lines
from crawler.redaction import redact
from crawler.sinks import Sink
from crawler.stats.stats import Snapshot
from crawler.version import __version__

EVENTS: Final[Mapping[str, str]] = {
    "started": "what is fetched, by which version",
    "progress": "how far the run is: every 10 s; not with `--no-progress`",
    "url": "what became of a URL; with `-v`",
    "monitor": "where a monitor listens",
    "note": "what is odd about the inputs, or a job that goes on; which proxy is gone through",
    "stopping": "the run was told to stop",
    "summary": "what the run came to: all that `--stats` has",
    "mirror": "how many files the copy of `--mirror` has, and in how many links were rewritten",
    "report": "where the page of `--report` is",
    "job": "how the job stands",
    "crawl": "how the crawl of many machines stands, as one of its nodes ends",
    "error": "why the run cannot begin or go on; with a `code` where there is one",
    "log": "what a library has to say, from warnings upwards",
    "bug": "what must not be; with a `traceback`",
}
INTERVAL: Final = 10.0
_PROGRESS: Final = (
    "elapsed", "total", "done", "ok", "failed", "skipped", "in_flight", "queued", "parked", "rate_now", "eta",
    "size_download", "bandwidth", "cpu", "bottleneck",
)  # fmt: skip
_URL: Final = ("url", "final_url", "outcome", "status", "attempts", "size_download", "size_body", "time_total")
_LEVELS: Final[Mapping[str, Level]] = {"ok": "info", "failed": "warning", "skipped": "info", "unchanged": "info"}


def say_now(said: Said, log_format: str) -> None:
    """Say something when there is no run, or no more, that would do so without blocking."""
    if sys.stderr is not None:
        words = block(said) if log_format != "json" else line(said, time.time()).decode().rstrip("\n")
        print(words, file=sys.stderr, flush=True)


def line(said: Said, at: float) -> bytes:
    """One line; `at` is seconds since the epoch."""
    value = {
        "time": timestamp(at),
        "level": said.level,
        "event": said.event,
        "message": said.message,
        **said.fields,
    }
    return printable_lines(json_bytes(value).decode()).encode() + b"\n"


class Json:
    """For programs: a Voice whose every line is an object. `output` takes the bytes, `wall` is the time of day."""

    def __init__(
        self,
        output: Lines,
        *,
        snapshot: Callable[[], Snapshot],
        clock: IReactorTime,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._output = output
        self._snapshot = snapshot
        self._clock = clock
        self._wall = wall
        self._timer: IDelayedCall | None = None

    def begin(self, config: Config) -> None:
        inputs = [*map(redact, config.inputs)]
        fields = {"version": __version__, "inputs": inputs, "job": config.job}
        self.say(Said("started", f"crawler {__version__}: {', '.join(inputs) or 'URLs'}", fields=fields))
        if config.progress:
            self._timer = self._clock.callLater(INTERVAL, self._tell_progress)

    def urls(self) -> Sink:
        return _Urls(self._output, self._wall)

    def beside(self, stdout: TextIO) -> Lines | None:  # noqa: ARG002
        return None  # lines and lines

    def say(self, said: Said) -> None:
        sent = self._output.write(line(said, self._wall()))
        if sent is not None:
            sent.addErrback(lambda _: None)  # nobody is left to be told

    def summary(self, snapshot: Snapshot, more: Sequence[Said]) -> None:
        fields: dict[str, Any] = msgspec.to_builtins(snapshot, str_keys=True)
        self.say(Said("summary", _sentence(snapshot), fields=fields))
        for said in more:
            self.say(said)

    def end(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _tell_progress(self) -> None:
        self._timer = self._clock.callLater(INTERVAL, self._tell_progress)
        snapshot = self._snapshot()
        fields: dict[str, Any] = {name: getattr(snapshot, name) for name in _PROGRESS}
        if snapshot.crawl is not None:
            fields["crawl"] = msgspec.to_builtins(snapshot.crawl)
        self.say(Said("progress", _sentence(snapshot), fields=fields))


class _Urls:
    """Writes a line for each record. Who reads too slowly holds up the run, as with text: nothing is left out."""

    def __init__(self, output: Lines, wall: Callable[[], float]) -> None:
        self._output = output
        self._wall = wall

    def write(self, record: Record, response: Response | None, sequence: int) -> Deferred[None] | None:  # noqa: ARG002
        fields = {name: getattr(record, name) for name in _URL}
        error = record.error
        message = f"{record.status or record.outcome} {record.url}"
        if error is not None:
            fields["error_code"] = error.code
            message = f"{error.code} {record.url} ({error.message})"
        return self._output.write(line(Said("url", message, _LEVELS[record.outcome], fields), self._wall()))

    def flush(self) -> Deferred[None] | None:
        return self._output.flush()

    def close(self) -> None:
        """The words after the last URL take the same way."""


def _sentence(snapshot: Snapshot) -> str:
    of_all = "" if snapshot.total is None else f" of {amount(snapshot.total)}"
    counts = f"{amount(snapshot.ok)} ok, {amount(snapshot.failed)} failed"
    if snapshot.skips:
        counts += f", {amount(sum(snapshot.skips.values()))} skipped"
    return f"{urls(snapshot.done)}{of_all} in {duration(snapshot.elapsed)}: {counts}"
