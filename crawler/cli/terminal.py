"""One run on a terminal: where results and words go, what signals do, and the exit code.

Nothing here writes to a terminal or a pipe by itself: whoever reads there may have stopped, and then Ctrl-C must work.
"""

from __future__ import annotations

import gc
import os
import shlex
import signal
import sys
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
from twisted.internet.defer import Deferred, inlineCallbacks, maybeDeferred

from crawler.api import DRAIN_SECONDS, OUTPUT_SECONDS, Crawler
from crawler.config.config import Config, ConfigError
from crawler.engine.retry import RETRY_STATUSES
from crawler.errors import CODES, CodedError
from crawler.fetch.connect.dial import Dial
from crawler.monitor.log import Json, say_now
from crawler.monitor.log_capture import capture_log
from crawler.monitor.messages import Said, Text, Voice
from crawler.redaction import discreet, scrub
from crawler.run.reactors import private_reactor, run
from crawler.sinks import Sink
from crawler.sinks.fields import TemplateLine
from crawler.sinks.jsonl import Encode, JsonLines, RecordLine
from crawler.sinks.writer import STDOUT, SeenLines, Writer
from crawler.stats.stats import Snapshot

if TYPE_CHECKING:
    from crawler.engine.checking.leaves import Checking
    from crawler.spiders.spider import Spider

FINISHED: Final = 0
USAGE: Final = 2
FAILED: Final = 3
FAILED_FOR_NOW: Final = 4
NOT_WRITTEN: Final = 5
_STDERR: Final = 2


def run_command(
    config: Config,
    urls: Iterable[Any] | None = None,
    spider: Spider | None = None,
    *,
    made_for: MadeFor | None = None,
    origins: Mapping[str, str] | None = None,
) -> int:
    """Fetch the inputs of the config (or `urls`, or what a `spider` begins with) and give the exit code.

    Runs in the main thread, for its signals. `origins` says where the options of the config were set.
    """
    with private_reactor() as (reactor, dial):
        terminal = Terminal(config, urls, reactor, dial, spider, made_for, origins)
        with capture_log(terminal.hear), terminal.signals():
            code: int = run(reactor, terminal.run)
    terminal.say_the_rest()
    return code


class MadeFor(NamedTuple):
    """A run that is a part of something else, which tells of it: records go to `sink` in place of standard output, and
    there is no summary.
    """

    sink: Sink
    checking: Checking | None = None


class Terminal:
    def __init__(
        self,
        config: Config,
        urls: Iterable[Any] | None,
        reactor: Any,
        dial: Dial,
        spider: Spider | None = None,
        made_for: MadeFor | None = None,
        origins: Mapping[str, str] | None = None,
    ) -> None:
        self._config = config
        self._spider = spider
        self._made_for = made_for
        self._origins = origins
        self._urls = urls
        self._reactor = reactor
        self._dial = dial
        self._stderr = Writer(_descriptor(_STDERR, sys.stderr), "standard error", reactor)
        voice = Json if config.log_format == "json" else Text
        self._voice: Voice = voice(self._stderr, snapshot=self._snapshot, clock=reactor)
        self._crawler: Crawler | None = None
        self._signals: list[int] = []
        self._heard: deque[Said] = deque()
        self._thread = threading.get_ident()
        self._last_words: Deferred[Any] | None = None

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
            self._voice.say(Said("error", str(error), "error"))
            code = USAGE
        finally:
            self._voice.end()
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
        made_for = self._made_for
        if config.frontier is not None and not has_outputs:
            raise ConfigError("--frontier: the parts of a crawl go to a folder that all machines reach (add -o DIR/)")
        sinks: list[Sink] = [] if has_outputs else [made_for.sink if made_for else self._standard_output()]
        if config.verbose and (has_outputs or config.log_format == "json"):
            sinks.append(self._voice.urls())
        self._crawler = Crawler(
            config,
            reactor=self._reactor,
            urls=self._urls,
            sinks=sinks,
            dial=self._dial,
            bodies=False,
            spider=self._spider,
            checking=made_for.checking if made_for else None,
            say=lambda words: self._voice.say(Said("monitor", words)),
            origins=self._origins,
        )
        if not config.quiet:
            self._voice.begin(config)
            if variables := self._crawler.variables:
                said = " and ".join(f"{proxy}, as {name} says" for name, proxy in variables.items())
                words = f"Through the proxy {said} (--noproxy '*' goes straight)."
                self._voice.say(Said("note", words, "info", {"variables": [*variables]}))
        running = self._crawler.run()
        # What was imported until now stays: the collector need not look at it again and again (10 % of a fast run).
        gc.freeze()
        gc.enable()
        snapshot: Snapshot = yield running
        return snapshot

    def _snapshot(self) -> Snapshot:
        assert self._crawler is not None
        return self._crawler.stats.snapshot()

    def _standard_output(self) -> Sink:
        """JSON Lines; where stdout is a terminal, lines for a person.

        Unless what is asked for has no place in these: then a terminal gets JSON Lines, too.
        """
        config = self._config
        if sys.stdout is None or not sys.stdout.isatty():
            writer = Writer(_descriptor(STDOUT, sys.stdout), "standard output", self._reactor)
            return JsonLines(writer, encode=_encode(config))
        lines = self._voice.beside(sys.stdout)
        if lines is None:
            lines = Writer(_descriptor(STDOUT, sys.stdout), "standard output", self._reactor)
        if config.template is not None:
            return JsonLines(lines, encode=_encode(config))
        if config.fields or config.declarations or config.extract_all or config.include_body:
            return JsonLines(SeenLines(lines), fields=config.fields)
        from rich.console import Console

        from crawler.sinks.human import Human

        return Human(lines, Console(highlight=False))

    # What others say.

    def hear(self, said: Said) -> None:
        """Say what was logged, in whatever thread that was."""
        if self._config.quiet and said.level == "warning":
            return
        self._heard.append(said)
        if threading.get_ident() == self._thread:
            self._repeat()
        else:
            self._reactor.callFromThread(self._repeat)

    def _repeat(self) -> None:
        while self._heard and self._last_words is None:
            self._voice.say(self._heard.popleft())

    def say_the_rest(self) -> None:
        """What was heard too late for the run to say it. The reactor has ended."""
        for said in self._heard:
            say_now(said, self._config.log_format)

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
                words = f"Stopping: what is in the air has {DRAIN_SECONDS:g} s. Again to stop at once."
                self._voice.say(Said("stopping", words))
            crawler.drain()
        else:
            crawler.abort()

    # The end.

    def _not_written(self, error: CodedError) -> int:
        """A reader that has gone away (`| head`) wants no words; a full disk needs them."""
        self._voice.end()
        config = self._config
        outputs = len(config.output) + len(config.overwrite_output)
        if isinstance(error.__cause__, BrokenPipeError) and outputs < 2:
            return FINISHED
        words = str(error)
        if error.code == "disk_full":
            words += "; the run was ended"
            if not config.holds_objects:
                words += ", the records written until then are whole"
        if config.job is not None:
            words += "; nothing is lost: run the same command again to go on"
        self._voice.say(Said("error", words, "error", {"code": error.code}))
        return NOT_WRITTEN

    def _finished(self, snapshot: Snapshot) -> int:
        self._voice.end()
        if not self._config.quiet and self._made_for is None:
            self._voice.summary(
                snapshot,
                [
                    *self._about_mirror(),
                    *self._about_report(),
                    *self._notes(),
                    *self._about_job(),
                    *self._about_crawl(),
                ],
            )
        return verdict(snapshot) if self._config.fail else FINISHED

    def _about_mirror(self) -> Iterator[Said]:
        copied = None if self._crawler is None else self._crawler.copied
        if self._config.mirror is None or copied is None:
            return
        folder = scrub(self._config.mirror)
        words = f"Mirror {folder}: {copied.files:,} file{'' if copied.files == 1 else 's'}"
        words += f", links rewritten in {copied.rewritten:,}"
        if copied.left:
            words += f", {copied.left:,} left as they are (changed by others, or gone)"
        fields = {"mirror": folder, "files": copied.files, "rewritten": copied.rewritten, "left": copied.left}
        yield Said("mirror", words, fields=fields)

    def _about_report(self) -> Iterator[Said]:
        path = self._config.report
        if path is not None:
            path = scrub(path)
            yield Said("report", f"Report: {path}", fields={"path": path})

    def _notes(self) -> Iterator[Said]:
        """What is odd about the inputs, or a job that goes on."""
        for note in () if self._crawler is None else self._crawler.notes:
            yield Said("note", discreet(note), "warning")

    def _about_job(self) -> Iterator[Said]:
        """How the job stands."""
        crawler, job = self._crawler, self._config.job
        if crawler is None or job is None or crawler.books is None:
            return
        books = crawler.books
        job = scrub(job)
        whole = f"{books.inputs:,} inputs = {books.ok:,} ok + {books.failed:,} failed + {books.skipped:,} skipped"
        fields = {"job": job, **msgspec.structs.asdict(books)}
        yield Said("job", f"Job {job}: {whole} + {books.pending:,} pending", fields=fields)
        if not books.balanced:
            words = f"The books do not balance: see `python -m crawler verify {shlex.quote(job)}`"
            yield Said("job", words, "error", fields)
        if books.pending:
            yield Said("job", "Run the same command again to go on.", fields=fields)

    def _about_crawl(self) -> Iterator[Said]:
        """How the crawl of many machines stands, of which this was a node."""
        node = None if self._crawler is None else self._crawler.parts.node
        if node is None:
            return
        name, counts = self._config.crawl_id, node.ended
        if counts is None:
            words = f"The node has left the crawl {name}. The same command joins it again."
            yield Said("crawl", words, fields={"crawl": name})
            return
        urls = counts.arrived - counts.moved
        fields = {"crawl": name, "urls": urls, "ok": counts.ok, "failed": counts.failed, "skipped": counts.skipped}
        whole = f"{urls:,} URLs = {counts.ok:,} ok + {counts.failed:,} failed + {counts.skipped:,} skipped"
        yield Said("crawl", f"The whole crawl {name} has ended: {whole}", fields=fields)
        own = node.frontier.counts()
        if not own.ok + own.failed + own.skipped:
            words = "Nothing was left for this node. What failed, `crawler retry` queues again; a new crawl has another"
            yield Said("crawl", f"{words} --crawl-id.", fields=fields)


def _encode(config: Config) -> Encode:
    return RecordLine(config.fields) if config.template is None else TemplateLine(config.template)


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
