"""One run on a terminal: where results and words go, what signals do, and the exit code.

Nothing here writes to a terminal or a pipe by itself: whoever reads there may have stopped, and then Ctrl-C must work.
"""

from __future__ import annotations

import gc
import os
import shlex
import signal
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

import msgspec
from twisted.internet.defer import Deferred, inlineCallbacks, maybeDeferred
from twisted.internet.error import CannotListenError

from crawler.api import DRAIN_SECONDS, OUTPUT_SECONDS, Crawler
from crawler.config import Config, ConfigError
from crawler.errors import CODES, CodedError
from crawler.http11.dial import Dial
from crawler.printable import printable
from crawler.reactors import private_reactor, run
from crawler.retry import RETRY_STATUSES
from crawler.sinks import Sink
from crawler.sinks.jsonl import JsonLines
from crawler.sinks.writer import STDOUT, Writer, coded
from crawler.stats import Snapshot

if TYPE_CHECKING:
    import rich.console

    from crawler.monitor.console import Console
    from crawler.monitor.progress import Progress

FINISHED: Final = 0
USAGE: Final = 2
FAILED: Final = 3
FAILED_FOR_NOW: Final = 4
NOT_WRITTEN: Final = 5
_STDERR: Final = 2


def run_command(config: Config, urls: Iterable[str] | None = None) -> int:
    """Fetch the inputs of the config (or `urls`) and give the exit code. Runs in the main thread, for its signals."""
    # What was imported stays: the collector need not look at it again and again (10 % of a fast run).
    gc.freeze()
    gc.enable()
    with private_reactor() as (reactor, dial):
        terminal = _Terminal(config, urls, reactor, dial)
        with terminal.signals():
            code: int = run(reactor, terminal.run)
    return code


class _Terminal:
    def __init__(self, config: Config, urls: Iterable[str] | None, reactor: Any, dial: Dial) -> None:
        self._config = config
        self._urls = urls
        self._reactor = reactor
        self._dial = dial
        self._stderr = Writer(_descriptor(_STDERR, sys.stderr), "standard error", reactor)
        self._crawler: Crawler | None = None
        self._signals: list[int] = []
        self._last_words: Deferred[Any] | None = None

    # Where nothing is shown, nothing waits for rich to be imported (0.1 s).

    @cached_property
    def _console(self) -> rich.console.Console:
        from rich.console import Console

        return Console(stderr=True, highlight=False, soft_wrap=True)

    @cached_property
    def _progress(self) -> Progress:
        from crawler.monitor.progress import Progress

        return Progress(snapshot=self._snapshot, clock=self._reactor, console=self._console, output=self._stderr)

    @inlineCallbacks
    def run(self) -> Generator[Deferred[Any], Any, int]:
        """Fetch, with the progress shown meanwhile, and say how it went; fires with the exit code."""
        try:
            snapshot: Snapshot = yield self._fetch()
            code = self._finished(snapshot)
        except CodedError as error:
            if CODES[error.code].phase != "store":
                raise
            code = self._not_written(error)
        except ConfigError as error:
            self.say(f"crawler: error: {printable(str(error))}")
            code = USAGE
        finally:
            self._end_progress()
            self._last_words = maybeDeferred(self._stderr.close)
            self._last_words.addErrback(lambda _: None)  # nobody is left to be told
            if self._signals:
                self._reactor.callLater(OUTPUT_SECONDS, self._last_words.cancel)
            yield self._last_words
        return 128 + self._signals[0] if self._signals else code

    @inlineCallbacks
    def _fetch(self) -> Generator[Deferred[Any], Any, Snapshot]:
        config = self._config
        has_outputs = config.output or config.overwrite_output
        sinks: list[Sink] = [] if has_outputs else [self._standard_output()]
        if config.console is not None:
            sinks.append((yield self._open_console(config.console)))
        if config.verbose and has_outputs:
            from crawler.sinks.human import Human

            sinks.append(Human(self._progress, self._console))
        self._crawler = Crawler(
            config, reactor=self._reactor, urls=self._urls, sinks=sinks, dial=self._dial, bodies=False
        )
        if config.progress and not config.quiet:
            self._progress.start()
        snapshot: Snapshot = yield self._crawler.run()
        return snapshot

    @inlineCallbacks
    def _open_console(self, where: str) -> Generator[Deferred[Any], Any, Console]:
        from crawler.monitor.console import Console, listen, needs_token, new_token

        token = new_token() if needs_token(where) else ""
        console = Console(lambda: None if self._crawler is None else self._crawler.control, token=token)
        try:
            yield listen(console, where, self._reactor)
        except (ValueError, CannotListenError, OSError) as error:
            raise ConfigError(f"--console: {error}") from error
        if token:
            self.say(f"Console on {where}, its token is {token}")
        return console

    def _snapshot(self) -> Snapshot:
        assert self._crawler is not None
        return self._crawler.stats.snapshot()

    def _standard_output(self) -> Sink:
        """Lines for a person where stdout is a terminal, JSON Lines where it is a pipe or a file."""
        if sys.stdout is None or not sys.stdout.isatty():
            writer = Writer(_descriptor(STDOUT, sys.stdout), "standard output", self._reactor)
            return JsonLines(writer, fields=self._config.fields)
        from rich.console import Console

        from crawler.monitor.progress import same_terminal
        from crawler.sinks.human import Human

        if sys.stderr is not None and same_terminal(sys.stdout, sys.stderr):
            return Human(self._progress, Console(highlight=False))
        writer = Writer(_descriptor(STDOUT, sys.stdout), "standard output", self._reactor)
        return Human(writer, Console(highlight=False))

    # Signals.

    @contextmanager
    def signals(self) -> Iterator[None]:
        """The first Ctrl-C or SIGTERM drains, the second aborts, the third kills. What was ignored still is (nohup)."""
        numbers = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) is not signal.SIG_IGN]
        before = [signal.signal(number, self._caught) for number in numbers]
        try:
            yield
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _caught(self, number: int, _: FrameType | None) -> None:
        self._signals.append(number)
        if len(self._signals) > 1:
            # Should even that not end it: there are calls that no signal interrupts.
            signal.signal(number, signal.SIG_DFL)
        self._reactor.callFromThread(self._interrupt, len(self._signals))

    def _interrupt(self, count: int) -> None:
        crawler = self._crawler
        if self._last_words is not None:
            self._last_words.cancel()
        elif crawler is None:
            return
        elif count == 1:
            if not self._config.quiet:
                after_echo = "\n" if self._console.is_terminal else ""  # of ^C
                self.say(f"{after_echo}Stopping: what is in the air has {DRAIN_SECONDS:g} s. Again to stop at once.")
            crawler.drain()
        else:
            crawler.abort()

    # The end.

    def say(self, words: str) -> None:
        self._show(lambda: self._console.print(words, markup=False))

    def _show(self, write: Callable[[], object]) -> None:
        """Write to stderr what `write` prints, above the progress."""
        with self._console.capture() as capture:
            write()
        text = capture.get().encode(self._console.encoding, "backslashreplace")
        sent = self._progress.write(text)
        if sent is not None:
            sent.addErrback(lambda _: None)  # nobody is left to be told

    def _end_progress(self) -> None:
        if "_progress" not in self.__dict__:  # nothing was ever shown
            return
        ended = self._progress.close()
        if ended is not None:
            ended.addErrback(lambda _: None)

    def _say_of_job(self) -> None:
        """How the job stands, and what else is to be known of it."""
        crawler, job = self._crawler, self._config.job
        if crawler is None or job is None or crawler.books is None:
            return
        books = crawler.books
        lines = [f"Note: {note}" for note in crawler.notes]
        whole = f"{books.inputs:,} inputs = {books.ok:,} ok + {books.failed:,} failed + {books.skipped:,} skipped"
        lines.append(f"Job {job}: {whole} + {books.pending:,} pending")
        if not books.balanced:
            lines.append(f"The books do not balance: see `python -m crawler verify {shlex.quote(job)}`")
        if books.pending:
            lines.append("Run the same command again to go on.")
        self.say("\n" + "\n".join(map(printable, lines)))

    def _not_written(self, error: CodedError) -> int:
        """A reader that has gone away (`| head`) wants no words; a full disk needs them."""
        self._end_progress()
        config = self._config
        outputs = len(config.output) + len(config.overwrite_output)
        if isinstance(error.__cause__, BrokenPipeError) and outputs < 2:
            return FINISHED
        words = f"crawler: error: {printable(str(error))}"
        if error.code == "disk_full":
            words += "; the run was ended, the records written until then are whole"
        if config.job is not None:
            words += "; nothing is lost: run the same command again to go on"
        self.say(words)
        return NOT_WRITTEN

    def _finished(self, snapshot: Snapshot) -> int:
        self._end_progress()
        if self._config.stats is not None:
            _write_stats(self._config.stats, snapshot)
        if not self._config.quiet:
            from crawler.monitor.summary import print_summary

            self._show(lambda: print_summary(snapshot, self._console))
            self._say_of_job()
        return verdict(snapshot) if self._config.fail else FINISHED


def _write_stats(path: str, snapshot: Snapshot) -> None:
    """Write the snapshot, whole or not at all. Raises CodedError."""
    target = Path(path)
    temporary = target.with_name(f".{target.name}.part")
    try:
        temporary.write_bytes(msgspec.json.format(msgspec.json.encode(snapshot)) + b"\n")
        temporary.replace(target)
    except OSError as error:
        raise coded(error, path) from error


def verdict(snapshot: Snapshot) -> int:
    """The exit code of --fail. An answer of 400 or more is a failure here, as it is to curl."""
    bad = [status for status in snapshot.statuses if status >= 400]
    codes = [CODES[error.code] for error in snapshot.errors]
    if any(status not in RETRY_STATUSES for status in bad) or any(not code.transient for code in codes):
        return FAILED
    return FAILED_FOR_NOW if bad or codes else FINISHED


def _descriptor(number: int, stream: object) -> int:
    """A descriptor of one's own for stdout or stderr; one that takes nothing or everything when the shell closed it."""
    if stream is not None:
        return os.dup(number)
    # By now the number may belong to another file.
    return os.open(os.devnull, os.O_RDONLY if number == STDOUT else os.O_WRONLY)
