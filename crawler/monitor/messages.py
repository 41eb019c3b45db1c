"""What a run says on standard error, as text for people. crawler.monitor.log says the same as JSON."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol, TextIO

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from crawler.config.config import Config
from crawler.printable import printable
from crawler.sinks import Sink
from crawler.stats.stats import Snapshot

if TYPE_CHECKING:
    import rich.console

    from crawler.monitor.progress import Progress

Level = Literal["debug", "info", "warning", "error", "critical"]

_PREFIXES: Final = {"error": "crawler: error: ", "bug": "crawler: bug: ", "log": "crawler: ", "note": "Note: "}


class Said(NamedTuple):
    """Something to be said. `event` is what kind of thing it is; `fields` say the same in parts, for programs."""

    event: str
    message: str
    level: Level = "info"
    fields: Mapping[str, object] = {}


class Lines(Protocol):
    """Takes whole lines of bytes, in order and without blocking: what a `Writer` does."""

    def write(self, data: bytes) -> Deferred[None] | None: ...

    def flush(self) -> Deferred[None] | None: ...

    def close(self) -> Deferred[None] | None: ...


class Voice(Protocol):
    """How a run speaks. Nothing here waits for who listens, but for `urls`."""

    def begin(self, config: Config) -> None:
        """Say what is run, and show from now on how far it is, unless the config says otherwise."""

    def urls(self) -> Sink:
        """A sink that says of each URL what became of it."""

    def beside(self, stdout: TextIO) -> Lines | None:
        """What lines for stdout must go through, if both are on one screen and would garble each other."""

    def say(self, said: Said) -> None: ...

    def summary(self, snapshot: Snapshot, more: Sequence[Said]) -> None:
        """Say what the run came to, and what else is to be said then."""

    def end(self) -> None:
        """Show no longer how far the run is."""


class Text:
    """For people, in colour and with a bar where stderr is a terminal. `output` takes the bytes.

    Where nothing is said, nothing waits for rich to be imported (0.1 s).
    """

    def __init__(self, output: Lines, *, snapshot: Callable[[], Snapshot], clock: IReactorTime) -> None:
        self._output = output
        self._snapshot = snapshot
        self._clock = clock

    @cached_property
    def _console(self) -> rich.console.Console:
        from rich.console import Console

        return Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)

    @cached_property
    def _progress(self) -> Progress:
        from crawler.monitor.progress import Progress

        return Progress(snapshot=self._snapshot, clock=self._clock, console=self._console, output=self._output)

    def begin(self, config: Config) -> None:
        if config.progress:
            self._progress.start()

    def urls(self) -> Sink:
        from crawler.sinks.human import Human

        return Human(self._progress, self._console)

    def beside(self, stdout: TextIO) -> Lines | None:
        from crawler.monitor.progress import same_terminal

        return self._progress if sys.stderr is not None and same_terminal(stdout, sys.stderr) else None

    def say(self, said: Said) -> None:
        after_echo = "\n" if said.event == "stopping" and self._console.is_terminal else ""  # of ^C
        self._show(lambda: self._console.print(after_echo + block(said), markup=False))

    def summary(self, snapshot: Snapshot, more: Sequence[Said]) -> None:
        from crawler.monitor.summary import print_summary

        self._show(lambda: print_summary(snapshot, self._console))
        if more:
            lines = "\n".join(map(block, more))
            self._show(lambda: self._console.print(f"\n{lines}", markup=False))

    def end(self) -> None:
        if "_progress" in self.__dict__:  # else nothing was ever shown
            _never_mind(self._progress.close())

    def _show(self, write: Callable[[], object]) -> None:
        """Write to stderr what `write` prints, above the progress."""
        with self._console.capture() as capture:
            write()
        _never_mind(self._progress.write(capture.get().encode(self._console.encoding, "backslashreplace")))


def block(said: Said) -> str:
    """One line, or one with others indented below it, such as a traceback. No hostile character gets through."""
    first, *more = said.message.rstrip("\n").split("\n")
    trace = str(said.fields.get("traceback", "")).rstrip("\n")
    more += trace.split("\n") if trace else []
    indented = (f"    {printable(line)}".rstrip() for line in more)
    return "\n".join([printable(_PREFIXES.get(said.event, "") + first), *indented])


def _never_mind(sent: Deferred[Any] | None) -> None:
    """When standard error is gone nobody is left to be told."""
    if sent is not None:
        sent.addErrback(lambda _: None)
