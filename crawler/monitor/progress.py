"""How far the run is, on stderr: a bar where that is a terminal, else a line every 30 seconds.

What else is to appear on that terminal while the bar is shown (results, warnings) goes through `Progress.write`, which
takes what a `Writer` takes: it stands in for one wherever `same_terminal(stdout, stderr)`.

The cursor rests at the start of the bar. So whatever others write covers the bar instead of garbling it, and a killed
run leaves nothing behind that must be repaired. A window that becomes narrower may wrap the bar: all of it is below the
cursor then, and is erased from there. While a bar is drawn nothing wraps: how wide the terminal is may be old news.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from math import ceil
from typing import Final, NamedTuple, Protocol, TextIO

from rich.console import Console
from rich.progress_bar import ProgressBar
from rich.segment import Segment, Segments
from rich.text import Text
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from crawler.monitor.units import amount, books, clock, duration, rate, size
from crawler.printable import printable
from crawler.stats.stats import Snapshot

BAR_INTERVAL: Final = 0.2
LINE_INTERVAL: Final = 30.0
MAX_WAITING: Final = 1 << 18
_ERASE: Final = "\r\x1b[J"
_ERASE_REST: Final = "\x1b[K"
_UP: Final = "\x1b[A\r"
_CUT, _WRAP = "\x1b[?7l", "\x1b[?7h"
"""What is too long for the line is cut off; goes on in the next one (DECAWM)."""


class Output(Protocol):
    """Where bytes for stderr go, in order and without blocking: what a `Writer` is."""

    def write(self, data: bytes) -> Deferred[None] | None: ...

    def flush(self) -> Deferred[None] | None: ...


class Progress:
    """Shows `snapshot()` until it is closed. `console` tells width, colours and encoding; nothing is printed to it."""

    def __init__(
        self, *, snapshot: Callable[[], Snapshot], clock: IReactorTime, console: Console, output: Output
    ) -> None:
        self._snapshot = snapshot
        self._clock = clock
        self._console = console
        self._output = output
        self._has_bar = has_bar(console)
        self._timer: IDelayedCall | None = None
        self._drawn = False
        self._lines: list[bytes] = []
        self._waiting = 0  # bytes in `_lines`
        self._sent: Deferred[None] | None = None  # until the terminal has taken what was sent last
        self._takes_more: list[Deferred[None]] = []

    def start(self) -> None:
        """Begin to show. A run that is over sooner than the first interval shows nothing."""
        self._again(BAR_INTERVAL if self._has_bar else LINE_INTERVAL)

    def write(self, data: bytes) -> Deferred[None] | None:
        """Show whole lines above the bar, with the next refresh. The Deferred is back-pressure, as in a Writer."""
        if self._timer is None or not self._has_bar:
            return self._output.write(data)
        self._lines.append(data)
        self._waiting += len(data)
        if self._waiting < MAX_WAITING:
            return None
        if self._sent is None:
            self._draw()
            return None
        more: Deferred[None] = Deferred()  # no canceller: the lines are taken, who cancels only stops waiting
        self._takes_more.append(more)
        return more

    def flush(self) -> Deferred[None] | None:
        """Bring all lines to the terminal; the bar comes back with the next refresh."""
        self._erase()
        return self._output.flush()

    def close(self) -> Deferred[None] | None:
        """Erase the bar for good; fires when that is done. What is written later goes straight on."""
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()
        return self.flush()

    def _again(self, delay: float) -> None:
        self._timer = self._clock.callLater(delay, self._refresh)

    def _refresh(self) -> None:
        started = self._clock.seconds()
        if not self._has_bar:
            self._send(plain_line(self._snapshot()) + "\n")
            interval = LINE_INTERVAL
        else:
            if self._sent is None:  # a terminal that was stopped (Ctrl-S) gets no pile of old bars
                self._draw()
            # At most a hundredth of the time goes into looking good.
            interval = max(BAR_INTERVAL, 100 * (self._clock.seconds() - started))
        if self._timer is not None:
            self._again(interval)

    def _draw(self) -> None:
        above = _ERASE.encode() if self._lines and self._drawn else b""
        first, *more = render_bar(self._snapshot(), self._console, self._clock.seconds())
        below = "".join(f"\n{line}{_ERASE_REST}" for line in more)
        # The bar is written over the old one: erasing it first would flicker.
        bar = f"\r{_CUT}{first}{_ERASE_REST}{below}\x1b[J{_UP * len(more)}\r{_WRAP}"
        self._drawn = True
        self._send(bar, above + self._taken())

    def _erase(self) -> None:
        before = _ERASE.encode() if self._drawn else b""
        self._drawn = False
        data = before + self._taken()
        if data:
            self._send("", data)

    def _taken(self) -> bytes:
        """The lines that wait; they wait no longer."""
        data = b"".join(self._lines)
        self._lines.clear()
        self._waiting = 0
        return data

    def _send(self, text: str, before: bytes = b"") -> None:
        pressure = self._output.write(before + text.encode(self._console.encoding, "backslashreplace"))
        if pressure is not None:
            pressure.addErrback(lambda _: None)  # the flush below fails with the same error
        sent = self._output.flush()
        if sent is None:
            self._settle(None)
        else:
            self._sent = sent
            sent.addBoth(self._delivered, sent)

    def _delivered(self, result: Failure | None, sent: Deferred[None]) -> None:
        if self._sent is sent:
            self._settle(result)

    def _settle(self, result: Failure | None) -> None:
        """The terminal has taken everything, or is gone."""
        self._sent = None
        if isinstance(result, Failure) and self._timer is not None:
            # Nobody is left to be told. Who writes results here learns it from the output at the next write.
            if self._timer.active():
                self._timer.cancel()
            self._timer = None
        more, self._takes_more = self._takes_more, []
        for waiter in more:
            waiter.callback(None)


def has_bar(console: Console) -> bool:
    """Whether a bar can be drawn. FORCE_COLOR gives a pipe colours, but no pipe a cursor that moves."""
    return console.file.isatty() and not console.is_dumb_terminal and not console.legacy_windows


def same_terminal(one: TextIO, other: TextIO) -> bool:
    """Whether both are one terminal: then what is written to one must know of the bar on the other."""
    if one.isatty() and other.isatty():
        with suppress(OSError, ValueError):  # no descriptor: closed, or not a real file
            return os.path.samestat(os.fstat(one.fileno()), os.fstat(other.fileno()))
    return False


class _Field(NamedTuple):
    """`rank`: the narrower the terminal, the lower it must be to be shown."""

    rank: int
    text: str
    style: str = ""


def render_bar(snapshot: Snapshot, console: Console, now: float) -> list[str]:
    """The bar, and below it a line about the crawl of all nodes, where it is one, and the sentence on what binds, when
    something is known to. Each is shorter than the terminal is wide.
    """
    width = console.width - 1  # a full line would wrap on some terminals
    bar = _bar(snapshot, console, now, min(40, max(5, (width - 29) // 4)) if width >= 35 else 0)
    with console.capture() as capture:
        fields = _fields(snapshot, width - 1 - Segment.get_line_length(bar))
        console.print(" ", Segments(bar), fields, sep="", end="", no_wrap=True, crop=True)
    lines = [_one_line(capture.get())]
    below = [] if snapshot.crawl is None else [f"crawl {snapshot.crawl.name}: {books(snapshot.crawl)}"]
    for sentence in [*below, snapshot.bottleneck] if snapshot.bottleneck else below:
        with console.capture() as capture:
            text = Text(" " + printable(sentence, max(3, width - 1)), style="dim")
            console.print(text, end="", no_wrap=True, crop=True)
        lines.append(_one_line(capture.get()))
    return lines


def _bar(snapshot: Snapshot, console: Console, now: float, width: int) -> list[Segment]:
    bar = ProgressBar(
        total=snapshot.total,
        completed=snapshot.done,
        width=width,
        style="grey23",
        complete_style="green",
        finished_style="green",
        pulse_style="green",
        animation_time=now,
    )
    segments = list(console.render(bar, console.options.update_width(width))) if width else []
    # Without colours rich leaves out what is still to come, and the fields would move.
    return [*segments, Segment(" " * (width - Segment.get_line_length(segments)))]


def _one_line(text: str) -> str:
    return text.replace("\n", "")


def _fields(snapshot: Snapshot, room: int) -> Text:
    """As many fields as there is room for, the most wanted ones, in their usual order."""
    wanted = _all_fields(snapshot)
    shown: set[int] = set()
    for field in sorted(wanted):
        room -= 2 + len(field.text)
        if room < 0:
            break
        shown.add(field.rank)
    text = Text(end="")
    for field in wanted:
        if field.rank in shown:
            text.append("  ").append(field.text, field.style)
    return text


def _all_fields(snapshot: Snapshot) -> list[_Field]:
    total = snapshot.total
    fields = [_Field(0, amount(snapshot.done) if total is None else f"{amount(snapshot.done)}/{amount(total)}", "bold")]
    if total:
        fields.append(_Field(5, f"{min(100, 100 * snapshot.done // total)} %"))
    fields.append(_Field(4, f"ok {amount(snapshot.ok)}", "green"))
    if snapshot.failed:
        fields.append(_Field(1, f"failed {amount(snapshot.failed)}", "red"))
    if snapshot.skips:
        fields.append(_Field(6, f"skipped {amount(sum(snapshot.skips.values()))}", "yellow"))
    if waiting := _waiting(snapshot):
        fields.append(_Field(6, f"queued {amount(waiting)}"))
    fields += (
        _Field(3, rate(snapshot.rate_now)),
        _Field(7, size(snapshot.size_download)),
        _Field(8, f"{amount(snapshot.in_flight)} in flight"),
        _Field(9 if snapshot.eta is not None else 2, clock(snapshot.elapsed), "dim"),
    )
    if snapshot.eta is not None:
        fields.append(_Field(2, f"ETA {clock(ceil(snapshot.eta))}", "cyan"))
    return fields


def _waiting(snapshot: Snapshot) -> int:
    """How many URLs are known and not fetched: what there is to say as long as nobody knows how many there will be."""
    return snapshot.queued + snapshot.parked if snapshot.total is None else 0


def plain_line(snapshot: Snapshot) -> str:
    """The same in words, for logs and pipes."""
    of_total = "" if snapshot.total is None else f"/{amount(snapshot.total)}"
    words = [
        f"{amount(snapshot.done)}{of_total} done",
        f"ok {amount(snapshot.ok)}",
        f"failed {amount(snapshot.failed)}",
    ]
    if snapshot.skips:
        words.append(f"skipped {amount(sum(snapshot.skips.values()))}")
    if waiting := _waiting(snapshot):
        words.append(f"queued {amount(waiting)}")
    words += (rate(snapshot.rate_now), size(snapshot.size_download), f"{amount(snapshot.in_flight)} in flight")
    if snapshot.eta is not None:
        eta = ceil(snapshot.eta)
        words.append(f"ETA {eta} s" if eta < 60 else f"ETA {duration(eta)}")
    line = ", ".join(words)
    if snapshot.crawl is not None:
        line += printable(f"; crawl {snapshot.crawl.name}: {books(snapshot.crawl)}")
    return f"{line}; {printable(snapshot.bottleneck, 200)}" if snapshot.bottleneck else line
