"""The command `diff`: what differs between two runs, as lines for people, as JSON Lines, or as a page."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import msgspec

from crawler.config.config import ConfigError, Settings
from crawler.config.kinds import shown
from crawler.files import coded, put_new, replace
from crawler.job.history.again import before
from crawler.job.history.comparison import KINDS, Change, Comparison
from crawler.monitor.units import amount
from crawler.objects.address import is_object
from crawler.printable import json_bytes, printable
from crawler.report.markup import Cell, Column, link, note, table, text
from crawler.report.page import document

USAGE: Final = "crawler diff OLD NEW [-o FILE.jsonl|FILE.html], or of a job that was run again: crawler diff DIR"
SHOWN: Final = 10_000  # of a kind, in a page
NONE_DIFFER: Final = 0
SOME_DIFFER: Final = 1
_PAGES: Final = frozenset((".html", ".htm"))
_LINES: Final = frozenset((".jsonl", ".ndjson", ".json"))
_STREAM: Final = "-"
_LONGEST: Final = 60
_TITLES: Final = {"new": "New", "gone": "Gone", "changed": "Changed"}


def run_diff(settings: Settings, put: Callable[[str], int], *, wall: Callable[[], float] = time.time) -> int:
    """Compare the two inputs and tell: 0 when nothing differs, 1 when something does.

    Raises ConfigError for what cannot be compared, CodedError where the page cannot be written.
    """
    inputs = settings.config.inputs
    if len(inputs) == 1 and Path(inputs[0]).is_dir() and (old := before(inputs[0])) is not None:
        inputs = (old, *inputs)
    if len(inputs) != 2:
        count = "1 input" if len(inputs) == 1 else f"{len(inputs)} inputs"
        raise ConfigError(f"diff: {count}, and there should be two: {USAGE}")
    path, overwrite = _output(settings)
    comparison = Comparison(*inputs)
    try:
        if path is None:
            failed = any(put(f"{line}\n") for line in map(_line, comparison))
            if not failed:
                put(f"{_total(comparison)}\n")
        elif Path(path.lower()).suffix in _PAGES:
            name = f"{inputs[0]} \N{RIGHTWARDS ARROW} {inputs[1]}"
            html = _page(name, comparison, wall()).encode("utf-8", "backslashreplace")
            _write(path, [html], overwrite=overwrite)
        else:
            lines = (json_bytes(change) + b"\n" for change in comparison)
            if path == _STREAM:
                any(put(line.decode()) for line in lines)
            else:
                _write(path, lines, overwrite=overwrite)
        return SOME_DIFFER if any(comparison.counts.values()) else NONE_DIFFER
    finally:
        comparison.close()


def _output(settings: Settings) -> tuple[str | None, bool]:
    config = settings.config
    named = [(path, False) for path in config.output] + [(path, True) for path in config.overwrite_output]
    if not named:
        return None, False
    if len(named) > 1:
        raise ConfigError(f"diff: {len(named)} outputs, and there should be one: {USAGE}")
    ((path, overwrite),) = named
    if is_object(path):
        raise ConfigError(f"diff: {path} would be in an object store (name a file here)")
    suffix = Path(path.lower()).suffix
    if path != _STREAM and suffix not in _PAGES | _LINES:
        raise ConfigError(f"diff: {shown(path)} is neither a page nor JSON Lines (allowed: .html, .jsonl, -)")
    return path, overwrite


def _write(path: str, pieces: Iterable[bytes], *, overwrite: bool) -> None:
    try:
        if overwrite:
            replace(path, b"".join(pieces))
        else:
            put_new(path, pieces)
    except FileExistsError:
        raise ConfigError(f"diff: {shown(path)} exists (-O {shown(path)} replaces it)") from None
    except OSError as error:
        raise coded(error, path) from error


def _line(change: Change) -> str:
    return printable(f"{change.change:<7}  {change.url}  {_told(change)}".rstrip())


def _told(change: Change) -> str:
    return "; ".join(f"{name}: {_shown(before)} -> {_shown(after)}" for name, (before, after) in change.fields.items())


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    words = value if isinstance(value, str) else msgspec.json.encode(value).decode("utf-8", "replace")
    return words if len(words) <= _LONGEST else f"{words[:_LONGEST]}\N{HORIZONTAL ELLIPSIS}"


def _total(comparison: Comparison) -> str:
    counts = [f"{amount(comparison.counts[kind])} {kind}" for kind in KINDS]
    return ", ".join([*counts, f"{amount(comparison.unchanged)} unchanged"])


def _page(name: str, comparison: Comparison, now: float) -> str:
    rows: dict[str, list[tuple[Cell, ...]]] = {kind: [] for kind in KINDS}
    for change in comparison:
        held = rows[change.change]
        if len(held) < SHOWN:
            held.append((Cell(link(change.url)), Cell(text(", ".join(change.fields))), Cell(_cells(change))))
    columns = [Column("URL"), Column("What"), Column("Before and now")]
    parts: dict[str, tuple[str, str]] = {}
    for kind in KINDS:
        if rows[kind]:
            html = table(_TITLES[kind], columns, rows[kind])
            if (more := comparison.counts[kind] - len(rows[kind])) > 0:
                html += note(f"And {amount(more)} more: -o changes.jsonl has all.")
            parts[kind] = (f"{_TITLES[kind]}: {amount(comparison.counts[kind])}", html)
    return document("Changes", name, f"<p>{text(_total(comparison))}</p>\n", parts, now=now)


def _cells(change: Change) -> str:
    arrow = "\N{RIGHTWARDS ARROW}"
    return "<br>".join(f"{text(_shown(old))} {arrow} {text(_shown(new))}" for old, new in change.fields.values())
