"""One run on a terminal: where results and words go, what signals do, and the exit code."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

from rich.console import Console
from twisted.internet.defer import Deferred, inlineCallbacks, maybeDeferred

from crawler.api import DRAIN_SECONDS, Crawler
from crawler.config import Config
from crawler.errors import CODES, CodedError
from crawler.http11.dial import Dial
from crawler.monitor.progress import Progress, same_terminal
from crawler.monitor.summary import print_summary
from crawler.printable import printable
from crawler.reactors import private_reactor, run
from crawler.retry import RETRY_STATUSES
from crawler.sinks import Sink
from crawler.sinks.human import Human
from crawler.sinks.jsonl import JsonLines
from crawler.sinks.writer import Writer
from crawler.stats import Snapshot

FINISHED: Final = 0
USAGE: Final = 2
FAILED: Final = 3
FAILED_FOR_NOW: Final = 4
NOT_WRITTEN: Final = 5
_STDOUT: Final = 1
_STDERR: Final = 2


def run_command(config: Config, urls: Iterable[str] | None = None) -> int:
    """Fetch the inputs of the config (or `urls`) and give the exit code. Runs in the main thread, for its signals."""
    # What was imported stays: the collector need not look at it again and again (10 % of a fast run).
    gc.collect()
    gc.freeze()
    with private_reactor() as (reactor, dial):
        terminal = _Terminal(config, urls, reactor, dial)
        with terminal.signals():
            try:
                snapshot: Snapshot = run(reactor, terminal.run)
            except CodedError as error:
                if CODES[error.code].phase != "store":
                    raise
                return terminal.not_written(error)
            except ValueError as error:
                terminal.say(f"crawler: error: {printable(str(error))}")
                return USAGE
        return terminal.finished(snapshot)


class _Terminal:
    def __init__(self, config: Config, urls: Iterable[str] | None, reactor: Any, dial: Dial) -> None:
        self._config = config
        self._urls = urls
        self._reactor = reactor
        self._dial = dial
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._stdout: Writer | None = None
        self._crawler: Crawler | None = None
        self._signals: list[int] = []

    @inlineCallbacks
    def run(self) -> Generator[Deferred[Any], Any, Snapshot]:
        """Fetch, with the progress shown meanwhile; fires with the final Snapshot."""
        reactor, config = self._reactor, self._config
        stderr = Writer(os.dup(_STDERR), "standard error", reactor)
        progress = Progress(snapshot=self._snapshot, clock=reactor, console=self._console, output=stderr)
        sinks: list[Sink] = [] if config.output or config.overwrite_output else [self._standard_output(progress)]
        self._crawler = crawler = Crawler(config, reactor=reactor, urls=self._urls, sinks=sinks, dial=self._dial)
        if config.progress and not config.quiet:
            progress.start()
        try:
            snapshot: Snapshot = yield crawler.run()
        finally:
            yield maybeDeferred(progress.close)
            yield maybeDeferred(stderr.close)
        return snapshot

    def _snapshot(self) -> Snapshot:
        assert self._crawler is not None
        return self._crawler.stats.snapshot()

    def _standard_output(self, progress: Progress) -> Sink:
        """Lines for a person where stdout is a terminal, JSON Lines where it is a pipe or a file."""
        writer = self._stdout = Writer(os.dup(_STDOUT), "standard output", self._reactor)
        if not sys.stdout.isatty():
            return JsonLines(writer, fields=self._config.fields)
        shown = progress if same_terminal(sys.stdout, sys.stderr) else writer
        return Human(shown, Console(highlight=False))

    # Signals.

    @contextmanager
    def signals(self) -> Iterator[None]:
        """The first Ctrl-C or SIGTERM drains, the second aborts."""
        numbers = [signal.SIGINT, signal.SIGTERM]
        before = [signal.signal(number, self._caught) for number in numbers]
        try:
            yield
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)

    def _caught(self, number: int, _: FrameType | None) -> None:
        self._signals.append(number)
        self._reactor.callFromThread(self._interrupt, len(self._signals))

    def _interrupt(self, count: int) -> None:
        crawler = self._crawler
        if crawler is None:
            return
        if count == 1:
            if not self._config.quiet:
                self.say(f"\nStopping: what is in the air has {DRAIN_SECONDS:g} s. Again to stop at once.")
            crawler.drain()
        else:
            crawler.abort()

    # The end.

    def say(self, words: str) -> None:
        self._console.print(words, markup=False)

    def not_written(self, error: CodedError) -> int:
        """A reader that has gone away (`| head`) wants no words; a full disk needs them."""
        if self._stdout is not None and self._stdout.broken_pipe:
            return FINISHED
        self.say(f"crawler: error: {printable(str(error))}")
        if self._crawler is not None and self._crawler.pending:
            self.say("The run was ended: what was written is whole, the other URLs have no record.")
        return NOT_WRITTEN

    def finished(self, snapshot: Snapshot) -> int:
        config = self._config
        if not config.quiet:
            print_summary(snapshot, self._console)
        if self._signals:
            return 128 + self._signals[0]
        return verdict(snapshot) if config.fail else FINISHED


def verdict(snapshot: Snapshot) -> int:
    """The exit code of --fail. An answer of 400 or more is a failure here, as it is to curl."""
    bad = [status for status in snapshot.statuses if status >= 400]
    codes = [CODES[error.code] for error in snapshot.errors]
    if any(status not in RETRY_STATUSES for status in bad) or any(not code.transient for code in codes):
        return FAILED
    return FAILED_FOR_NOW if bad or codes else FINISHED
