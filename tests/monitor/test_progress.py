"""progress.py: what stands on the screen of a small terminal, and what a log gets."""

from __future__ import annotations

import io
import os
import pty
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyte
import pytest
from msgspec.structs import replace
from rich.cells import cell_len
from rich.console import Console
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from whole_crawls import node, whole

from crawler.errors import CodedError
from crawler.monitor.progress import (
    BAR_INTERVAL,
    LINE_INTERVAL,
    Progress,
    has_bar,
    plain_line,
    render_bar,
    same_terminal,
)
from crawler.stats.stats import Snapshot, Stats

SENTENCE = "example.com holds 97 % of the remaining work at 2 connections; more --concurrency will not help"
COLOURS = {"TERM": "xterm-256color"}


def snapshot(**fields: Any) -> Snapshot:
    values: dict[str, Any] = {
        "total": 20_000,
        "done": 12_000,
        "ok": 11_990,
        "failed": 10,
        "rate_now": 812.0,
        "size_download": 31_000_000,
        "in_flight": 64,
        "elapsed": 15.2,
        "eta": 10.0,
    }
    return replace(Stats(concurrency=64).snapshot(), **values | fields)


class Stream(io.StringIO):
    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def console(width: int = 80, *, terminal: bool = True, **environ: str) -> Console:
    return Console(file=Stream(terminal), width=width, height=25, _environ=COLOURS | environ)


class Screen:
    """An endless terminal that knows what the bar uses: CR, LF, cursor up, erase to the end of line or screen, colours,
    and whether long lines are wrapped.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self.rows = [""]
        self.row = self.column = 0
        self.wraps = True

    def resize(self, width: int) -> None:
        """As most terminals do: lines that are too long are wrapped, and the cursor stays where it was in the text."""
        self.width = width
        wrapped = [[row[at : at + width] for at in range(0, len(row) or 1, width)] for row in self.rows]
        self.row, self.column = sum(map(len, wrapped[: self.row])) + self.column // width, self.column % width
        self.rows = [piece for pieces in wrapped for piece in pieces]

    def feed(self, text: str) -> None:
        for token in re.findall(r"\x1b\[[?0-9;]*[A-Za-z]|[^\x1b]", text):
            if token in {"\x1b[?7l", "\x1b[?7h"}:
                self.wraps = token[-1] == "h"
            elif token == "\r":
                self.column = 0
            elif token == "\n":
                self.row, self.column = self.row + 1, 0
                self.rows += [""] * (self.row + 1 - len(self.rows))
            elif token == "\x1b[A":
                self.row -= 1
            elif token == "\x1b[K":
                self.rows[self.row] = self.rows[self.row][: self.column]
            elif token == "\x1b[J":
                self.rows[self.row :] = [self.rows[self.row][: self.column]]
            elif token[0] == "\x1b":
                assert token[-1] == "m", f"not a colour: {token!r}"
            else:
                if not self.wraps:
                    self.column = min(self.column, self.width - 1)
                line = self.rows[self.row].ljust(self.column)
                self.rows[self.row] = line[: self.column] + token + line[self.column + 1 :]
                self.column += cell_len(token)
                assert self.column < self.width or not self.wraps, "the line would wrap"


class Terminal:
    """Takes bytes as a Writer does. While `stopped` (Ctrl-S) it delivers nothing."""

    def __init__(self, width: int = 80) -> None:
        self.screen = Screen(width)
        self.writes = 0
        self.stopped = False
        self.error: CodedError | None = None
        self.undelivered: list[Deferred[None]] = []

    def write(self, data: bytes) -> Deferred[None] | None:
        if self.error is not None:
            return fail(self.error)
        self.writes += 1
        self.screen.feed(data.decode())
        return None

    def flush(self) -> Deferred[None] | None:
        if self.error is not None:
            return fail(self.error)
        if not self.stopped:
            return None
        flushed: Deferred[None] = Deferred()
        self.undelivered.append(flushed)
        return flushed

    def goes_on(self) -> None:
        self.stopped = False
        for flushed in self.undelivered:
            flushed.callback(None)

    @property
    def text(self) -> list[str]:
        return [row.rstrip() for row in self.screen.rows]


class Shown:
    """A progress display that has been started."""

    def __init__(self, width: int = 80, **options: Any) -> None:
        self.clock = Clock()
        self.snapshot = snapshot()
        self.terminal = Terminal(width)
        self.console = console(width, **options)
        self.progress = Progress(
            snapshot=lambda: self.snapshot,
            clock=self.clock,
            console=self.console,
            output=self.terminal,
        )
        self.progress.start()

    def refresh(self) -> list[str]:
        self.clock.advance(BAR_INTERVAL)
        return self.terminal.text


def test_the_bar_shows_the_run() -> None:
    """Done of total, outcomes, rate and what is left; nothing before the first refresh."""
    shown = Shown(width=120)
    assert shown.terminal.text == [""]
    assert shown.refresh() == [
        " ━━━━━━━━━━━━━╺━━━━━━━━  12,000/20,000  60 %  ok 11,990  failed 10  812/s  31 MB  64 in flight  0:15  ETA 0:10"
    ]


def test_the_bar_is_redrawn_in_place() -> None:
    """A refresh leaves nothing of the last one, also when a line has gone or become shorter."""
    shown = Shown()
    shown.snapshot = snapshot(bottleneck=SENTENCE)
    assert len(shown.refresh()) == 2
    shown.snapshot = snapshot(done=1, total=9, ok=1, failed=0, eta=None)
    assert shown.refresh() == [" ━╺━━━━━━━━━━  1/9  11 %  ok 1  812/s  31 MB  64 in flight  0:15"]


def test_closing_erases_the_bar() -> None:
    """The summary follows where the bar was, and no timer is left."""
    shown = Shown()
    shown.snapshot = snapshot(bottleneck=SENTENCE)
    shown.refresh()
    assert shown.progress.close() is None
    assert shown.terminal.text == [""]
    assert (shown.terminal.screen.row, shown.terminal.screen.column) == (0, 0)
    assert shown.clock.getDelayedCalls() == []
    assert shown.progress.close() is None


@pytest.mark.parametrize("widths", [(60,), (45, 30), (79, 78, 77), (100, 50), (20, 100, 35, 90)])
@pytest.mark.parametrize("late", [False, True], ids=["known", "known later"])
def test_a_window_that_is_resized(widths: tuple[int, ...], late: bool) -> None:
    """The bar is wrapped by the terminal, or drawn for a width that it has no more: nothing of it is left behind."""
    shown = Shown(width=80)
    shown.snapshot = snapshot(bottleneck=SENTENCE)
    shown.refresh()
    for number, width in enumerate(widths):
        shown.terminal.screen.resize(width)
        if late:
            shown.refresh()
        shown.console.width = width
        shown.progress.write(b"line %d\n" % number)
        assert shown.refresh()[:-2] == [f"line {before}" for before in range(number + 1)]
    shown.terminal.screen.resize(40)
    shown.progress.close()
    assert shown.terminal.text == [*(f"line {number}" for number in range(len(widths))), ""]
    assert shown.terminal.screen.wraps


@pytest.mark.parametrize("width", [79, 60, 41, 20])
def test_a_terminal_that_cuts(width: int) -> None:
    """As xterm does when it becomes narrower; the next bar is still drawn for what it was."""
    screen = pyte.Screen(80, 10)
    stream = pyte.ByteStream(screen)
    shown = Shown(width=80)
    shown.terminal.screen.feed = lambda text: stream.feed(text.replace("\n", "\r\n").encode())
    shown.snapshot = snapshot(bottleneck=SENTENCE)
    shown.progress.write(b"above\n")
    shown.refresh()
    screen.resize(10, width)
    shown.refresh()
    rows = [row.rstrip() for row in screen.display]
    assert rows[0] == "above"
    assert all(rows[1:3])
    assert not any(rows[3:])
    shown.progress.close()
    assert [row.rstrip() for row in screen.display] == ["above", *[""] * 9]


def test_lines_stand_above_the_bar() -> None:
    """Results scroll up, whole and in order; the bar stays below them and goes at the end."""
    shown = Shown()
    shown.snapshot = snapshot(bottleneck=SENTENCE)
    shown.refresh()
    shown.progress.write(b"200 https://a.example/\n")
    shown.progress.write(b"404 https://b.example/\n")
    first, second, bar, sentence = shown.refresh()
    assert (first, second) == ("200 https://a.example/", "404 https://b.example/")
    assert bar.endswith("ETA 0:10")
    assert sentence.startswith(" example.com holds 97 %")
    shown.progress.write(b"200 https://c.example/\n")
    shown.progress.close()
    assert shown.terminal.text == [first, second, "200 https://c.example/", ""]


def test_lines_of_one_refresh_are_one_write() -> None:
    """A thousand results a second must not redraw the bar a thousand times."""
    shown = Shown()
    for _ in range(1_000):
        shown.progress.write(b"a line\n")
    shown.refresh()
    assert shown.terminal.writes == 1


def test_many_lines_are_not_kept_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for a refresh is bounded: beyond that it is shown at once."""
    monkeypatch.setattr("crawler.monitor.progress.MAX_WAITING", 4)
    shown = Shown()
    assert shown.progress.write(b"x\n") is None
    assert shown.terminal.writes == 0
    assert shown.progress.write(b"x\n") is None
    assert shown.terminal.writes == 1


def test_flush_shows_the_lines_now() -> None:
    """After a flush the lines are on the terminal, and the bar comes back with the next refresh."""
    shown = Shown()
    shown.refresh()
    shown.progress.write(b"a line\n")
    shown.progress.flush()
    assert shown.terminal.text == ["a line", ""]
    assert shown.refresh()[1].endswith("ETA 0:10")


def test_lines_after_the_end_go_straight_on() -> None:
    """Before the start and after the close there is no bar to mind."""
    shown = Shown()
    shown.progress.close()
    shown.progress.write(b"a line\n")
    assert shown.terminal.text == ["a line", ""]


def test_a_stopped_terminal_gets_no_pile_of_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the terminal takes nothing (Ctrl-S) nothing more is drawn, and who writes lines is asked to wait."""
    monkeypatch.setattr("crawler.monitor.progress.MAX_WAITING", 4)
    shown = Shown()
    shown.terminal.stopped = True
    for _ in range(20):
        shown.refresh()
    assert shown.terminal.writes == 1
    assert shown.progress.write(b"x\n") is None
    waits = shown.progress.write(b"x\n")
    assert waits is not None
    assert not waits.called
    shown.terminal.goes_on()
    assert waits.called
    assert shown.refresh()[-1].endswith("ETA 0:10")


def test_close_waits_for_a_stopped_terminal() -> None:
    """The Deferred of close tells when the summary may follow."""
    shown = Shown()
    shown.refresh()
    shown.terminal.stopped = True
    closed = shown.progress.close()
    assert closed is not None
    assert not closed.called
    shown.terminal.goes_on()
    assert closed.called


def test_a_lost_terminal_ends_the_show() -> None:
    """Nobody is left to look: the refreshes end, the run goes on, and a writer of lines is told."""
    shown = Shown()
    shown.refresh()
    shown.terminal.error = CodedError("write_error", "standard error: Input/output error")
    shown.refresh()
    assert shown.clock.getDelayedCalls() == []
    result = shown.progress.write(b"a line\n")
    assert result is not None
    failures: list[Failure] = []
    result.addErrback(failures.append)
    assert [failure.value.code for failure in failures] == ["write_error"]


def test_a_slow_display_is_refreshed_more_rarely() -> None:
    """At most a hundredth of the time goes into the bar."""
    shown = Shown()
    told = shown.snapshot

    def slow() -> Snapshot:
        shown.clock.rightNow += 0.01
        return told

    shown.progress._snapshot = slow
    shown.refresh()
    [timer] = shown.clock.getDelayedCalls()
    assert timer.getTime() - shown.clock.seconds() == pytest.approx(1.0)


@pytest.mark.parametrize("environ", [{}, {"NO_COLOR": "1"}])
@pytest.mark.parametrize("total", [None, 20_000_000])
@pytest.mark.parametrize("width", [20, 30, 40, 60, 79, 80, 100, 120, 200])
def test_the_bar_fits_every_width(width: int, total: int | None, environ: dict[str, str]) -> None:
    """From 20 columns on the lines are shorter than the terminal, and what was done is always there."""
    told = snapshot(done=1_234_567, total=total, failed=98_765, skipped=4_321, bottleneck=SENTENCE)
    for now in (0.0, 0.7):
        lines = render_bar(told, console(width, **environ), now)
        bar, sentence = (re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines)
        assert cell_len(bar) < width
        assert cell_len(sentence) < width
        assert "1,234,567" in bar or (width == 20 and total)


def test_the_most_wanted_fields_stay_on_a_narrow_terminal() -> None:
    """At 40 columns: how far, and how many failed, or else when it ends."""
    [bar] = render_bar(snapshot(), console(40, NO_COLOR="1"), 0.0)
    assert "12,000/20,000" in bar
    assert "failed 10" in bar
    [bar] = render_bar(snapshot(failed=0), console(40, NO_COLOR="1"), 0.0)
    assert "ETA 0:10" in bar


def test_fields_do_not_move_as_the_bar_grows() -> None:
    """Also without colours, where what is still to come is blank."""
    for environ in ({}, {"NO_COLOR": "1"}):
        places = set()
        for done in (1_000, 9_000, 19_000):
            [bar] = render_bar(snapshot(done=done, ok=done), console(80, **environ), 0.0)
            places.add(re.sub(r"\x1b\[[0-9;]*m", "", bar).index(f"{done:,}/"))
        assert len(places) == 1


def test_an_unknown_total_pulses() -> None:
    """While the input is being read there is no share and no end: the bar moves instead."""
    told = snapshot(total=None, eta=None)
    [now], [later] = (render_bar(told, console(), at) for at in (0.0, 0.2))
    assert now != later
    assert "%" not in now
    assert "ETA" not in now


def test_no_color_is_honoured() -> None:
    """NO_COLOR: bold and dim may stay, colours may not."""
    text = "".join(render_bar(snapshot(bottleneck=SENTENCE), console(NO_COLOR="1"), 0.0))
    assert set(re.findall(r"\x1b\[([0-9;]*)m", text)) <= {"0", "1", "2"}


def test_hostile_text_is_escaped() -> None:
    """A host name in the sentence cannot move the cursor or end the line."""
    told = snapshot(bottleneck="evil\x1b[2J\n\u202e.example holds it")
    _, sentence = render_bar(told, console(NO_COLOR="1"), 0.0)
    assert r"evil\x1b[2J\x0a\u202e.example holds it" in sentence
    assert r"evil\x1b[2J\x0a\u202e.example holds it" in plain_line(told)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (console(), True),
        (console(terminal=False), False),
        (console(TERM="dumb"), False),
        (console(terminal=False, FORCE_COLOR="1"), False),
    ],
)
def test_a_bar_needs_a_terminal(shown: Console, expected: bool) -> None:
    """No bar in a pipe, on a dumb terminal, or where only colours were forced."""
    assert has_bar(shown) is expected


def test_a_log_gets_a_line_every_30_seconds() -> None:
    """Not a terminal: one whole line, no control characters, no bar; lines of others pass at once."""
    shown = Shown(terminal=False, width=200)
    shown.clock.advance(LINE_INTERVAL - 0.1)
    assert shown.terminal.text == [""]
    shown.progress.write(b"a line\n")
    for _ in range(2):
        shown.clock.advance(LINE_INTERVAL)
    shown.progress.close()
    line = "12,000/20,000 done, ok 11,990, failed 10, 812/s, 31 MB, 64 in flight, ETA 10 s"
    assert shown.terminal.text == ["a line", line, line, ""]


def test_a_log_that_is_lost_ends_the_lines() -> None:
    """A pipe whose reader went away is no reason to go on."""
    shown = Shown(terminal=False)
    shown.terminal.error = CodedError("write_error")
    shown.clock.advance(LINE_INTERVAL)
    assert shown.clock.getDelayedCalls() == []


@pytest.mark.parametrize(
    ("eta", "on_a_line", "beside_the_bar"),
    [(0.0, "ETA 0 s", "ETA 0:00"), (0.2, "ETA 1 s", "ETA 0:01"), (59.5, "ETA 1 min 00 s", "ETA 1:00")],
)
def test_what_is_left_takes_at_least_a_second(eta: float, on_a_line: str, beside_the_bar: str) -> None:
    """No time is left only when nothing is."""
    told = snapshot(eta=eta)
    assert plain_line(told).endswith(on_a_line)
    assert beside_the_bar in render_bar(told, console(), 0.0)[0]


def test_the_line_says_what_is_known() -> None:
    """No total: no share and no end, but what waits. Skipped URLs and the bottleneck appear when there are any."""
    skips = {"out_of_scope": 2, "robots_denied": 1}
    told = snapshot(total=None, eta=None, queued=300, parked=2, skips=skips, bottleneck="--delay binds")
    assert plain_line(told) == (
        "12,000 done, ok 11,990, failed 10, skipped 3, queued 302, 812/s, 31 MB, 64 in flight; --delay binds"
    )
    assert "queued 302" in render_bar(told, console(120), 0.0)[0]


@contextmanager
def pseudo_terminal() -> Iterator[int]:
    ours, theirs = pty.openpty()
    try:
        yield theirs
    finally:
        os.close(theirs)
        os.close(ours)


def test_one_terminal_is_told_from_two() -> None:
    """Only when both streams are the same terminal must results make room for the bar."""
    with (
        pseudo_terminal() as here,
        pseudo_terminal() as there,
        os.fdopen(os.dup(here), "w") as out,
        os.fdopen(os.dup(here), "w") as err,
        os.fdopen(os.dup(there), "w") as other,
    ):
        assert same_terminal(out, err)
        assert not same_terminal(out, other)
        assert not same_terminal(out, io.StringIO())
        assert not same_terminal(Stream(True), Stream(True))


class TestWholeCrawl:
    """Of several nodes: below the node's own bar, and at the end of its line, the books of all."""

    WORDS = "crawl spring: 1,000 of 2,000 done, ok 900, failed 90, skipped 10, queued 800, leased 200; 40/s by 2 nodes"

    def test_in_a_line(self):
        seen = whole(node("one"), node("two"))
        assert plain_line(snapshot(crawl=seen)).endswith(f"; {self.WORDS}")
        assert f"; {self.WORDS}; {SENTENCE}" in plain_line(snapshot(crawl=seen, bottleneck=SENTENCE))
        assert "crawl" not in plain_line(snapshot())

    def test_below_the_bar(self):
        seen = snapshot(crawl=whole(node("one"), node("two")), bottleneck=SENTENCE)
        _, crawl, binds = render_bar(seen, console(120), 0.0)
        assert self.WORDS in crawl
        assert SENTENCE in binds
        narrow = [re.sub("\x1b\\[[0-9;]*m", "", line) for line in render_bar(seen, console(40), 0.0)]
        assert len(narrow) == 3
        assert max(map(len, narrow)) < 40

    def test_what_is_gone_or_old_is_said(self):
        """The store may be away for long: then nobody knows more."""
        seen = whole(node("one"), node("two", gone=5.0), age=300.0)
        assert plain_line(snapshot(crawl=seen)).endswith("; 40/s by 1 node, 1 gone (5 min 00 s ago)")
