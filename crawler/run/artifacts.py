"""What a run leaves to be read when it is over: --stats and --report. Each file is there whole, or as it was before."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast

import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from crawler.config.config import Config, ConfigError
from crawler.errors import CodedError
from crawler.files import check_place, coded, is_stream, replace
from crawler.printable import json_bytes
from crawler.redaction import redact
from crawler.run.work import Work
from crawler.sinks.formats import LINES, targets
from crawler.stats.stats import Snapshot

if TYPE_CHECKING:
    from crawler.report.counts.counting import Counting

# As in page/parsing/child.py: it imports from where we do, and not from the current folder.
_PROGRAM: Final = "import sys; sys.path[:] = sys.argv[2:]; from crawler.run.artifacts import main; main()"
_LOOK: Final = 0.1  # seconds between two looks at whether it is given up
_MOST_SAID: Final = 2_000
_READABLE: Final = frozenset({"", ".jsonl", ".ndjson"})  # outputs that a page can be made of


class Artifacts:
    """The files of a run. Whether they can be written is looked at now: the run may take days.

    With a job the page is about all of its runs, and read from its output once it is closed. Without one it is about
    the records of this run, wherever they go: `counting`, if it is there, is a sink that wants them.

    Raises ConfigError for a job of which no page can be made, CodedError `write_error` where no file can be.
    """

    def __init__(self, config: Config, reactor: Any, *, wall: Callable[[], float] = time.time) -> None:
        self._config = config
        self._reactor = reactor
        self._wall = wall
        self._work: Work | None = None
        self.counting: Counting | None = None
        for path in filter(None, (config.stats, config.report)):
            check_place(path)
        outputs = (*config.output, *config.overwrite_output)
        if config.report is None:
            return
        if config.job is None:
            from crawler.report.counts.counting import Counting

            self.counting = Counting()
        elif not any(Path(path.lower().removesuffix(".gz")).suffix in _READABLE for path in outputs):
            raise ConfigError("--report: the page about a job is made from its output in JSON Lines (-o records.jsonl)")

    def write(self, snapshot: Snapshot, outcome: Snapshot | Failure) -> Deferred[Any]:
        """Write the files, when every output is closed; fires with the outcome of the run, which it is told.

        Fails with CodedError, also when it was given up, unless the run failed before.
        """
        self._work = work = Work(self._reactor, partial(self.write_now, snapshot))
        work.done.addErrback(self._not_written)
        return work.done.addBoth(lambda error: outcome if error is None or isinstance(outcome, Failure) else error)

    def give_up(self) -> None:
        """Wait no longer for what is being written: the output of a job may be long."""
        if self._work is not None:
            self._work.done.cancel()

    def _not_written(self, failure: Failure) -> Failure:
        if failure.check(CancelledError) is None:
            return failure
        return Failure(CodedError("write_error", f"{self._config.report}: given up, as the run was"))

    def write_now(self, snapshot: Snapshot, given_up: Callable[[], bool]) -> None:
        """Runs in a thread. The first error is raised, when all was tried."""
        config = self._config
        errors = []
        if config.stats is not None:
            try:
                _replace(config.stats, msgspec.json.format(json_bytes(snapshot)) + b"\n")
            except CodedError as error:
                errors.append(error)
        if config.report is not None:
            page = self._page(snapshot, given_up)
            if not given_up():
                _replace(config.report, page)
        if errors:
            raise errors[0]

    def _page(self, snapshot: Snapshot, given_up: Callable[[], bool]) -> bytes:
        from crawler.monitor.units import urls
        from crawler.report.counts.aggregate import counted
        from crawler.report.lines import Source, open_lines
        from crawler.report.page import page
        from crawler.report.sources.outputs import outputs_of

        config = self._config
        if self.counting is None:
            assert config.job is not None
            with open_lines(config.job) as lines:
                of = counted(lines, given_up=given_up)
            source: Source = lines
        else:
            of = self.counting.of
            source = Source(_name(config))
            source.outputs = outputs_of(config)
            if snapshot.left:
                source.notes.append(f"The run was stopped: {urls(snapshot.left)} left.")
            elif not of.records:
                source.notes.append("Nothing was fetched.")
        return page(of, source, now=self._wall()).encode("utf-8", "backslashreplace")


def report_source(config: Config) -> str | None:
    """Of what a report can be made while the run goes on: the job, or the first output whose lines are records."""
    if config.job is not None:
        return config.job
    for output in targets(config):
        is_lines = output.logged or (output.path != "-" and output.suffix in LINES)
        if is_lines and not output.items and output.put_at is None and not is_stream(output.grows):
            return output.grows
    return None


def make_report(source: str, given_up: Callable[[], bool]) -> BinaryIO:
    """Make the report of what is written already, in a process of its own; gives its file, open and at its end.

    Waits. Raises CodedError `write_error` with what the process says, also when it was given up.
    """
    file = cast(BinaryIO, TemporaryFile())  # noqa: SIM115 - closed by who reads it
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-I", "-c", _PROGRAM, source, *sys.path],
        stdin=subprocess.DEVNULL,
        stdout=file,
        stderr=subprocess.DEVNULL,
        process_group=None if sys.platform == "win32" else 0,  # Ctrl-C is for us
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0) | getattr(subprocess, "CREATE_NO_WINDOW", 0),
    ) as process:
        try:
            while not given_up():
                with suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=_LOOK)
                    break
        finally:
            process.kill()
    if process.returncode:
        file.seek(0)
        said = file.read(_MOST_SAID).decode("utf-8", "replace").strip()
        file.close()
        raise CodedError("write_error", said or f"the process that makes it ended (exit status {process.returncode})")
    return file


def main() -> None:
    """That process."""
    from crawler.report.counts.aggregate import counted
    from crawler.report.lines import open_lines
    from crawler.report.page import page

    try:
        with open_lines(sys.argv[1]) as lines:
            of = counted(lines)
            html = page(of, lines, now=time.time())
    except (ConfigError, CodedError) as error:
        print(error)
        sys.exit(1)
    sys.stdout.buffer.write(html.encode("utf-8", "backslashreplace"))


def _replace(path: str, data: bytes) -> None:
    try:
        replace(path, data)
    except OSError as error:
        raise coded(error, path) from error


def _name(config: Config) -> str:
    """What the page is about."""
    if not config.inputs:
        return "a run"
    first, *more = map(redact, config.inputs)
    return f"{first} and {len(more):,} more" if more else first
