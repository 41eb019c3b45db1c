"""One short line per URL, for a person at a terminal."""

from __future__ import annotations

from typing import Final

from rich.console import Console
from rich.style import Style
from twisted.internet.defer import Deferred

from crawler.models import Record, Response
from crawler.printable import printable
from crawler.sinks.writer import Lines

_STYLES: Final = {
    "ok": "green",
    "redirect": "cyan",
    "client": "yellow",
    "server": "red",
    "failed": "red",
    "skipped": "dim",
}
_CODE_WIDTH: Final = 22  # the longest error code; status, time and size together are as wide
_URL_LIMIT: Final = 2083
_MESSAGE_LIMIT: Final = 200


class Human:
    """Writes `format_line` of each record, in colour where `console` says that the terminal has colours."""

    def __init__(self, writer: Lines, console: Console) -> None:
        self._writer = writer
        self._encoding = console.encoding
        # Rendered once: rich takes 100 us to colour a line, two pieces of text take none.
        self._paint = {kind: _escapes(style, console) for kind, style in _STYLES.items()}

    def write(self, record: Record, response: Response | None, sequence: int) -> Deferred[None] | None:  # noqa: ARG002
        before, after = self._paint[_kind(record)]
        head, rest = _columns(record)
        return self._writer.write(f"{before}{head}{after}  {rest}\n".encode(self._encoding, "backslashreplace"))

    def flush(self) -> Deferred[None] | None:
        return self._writer.flush()

    def close(self) -> Deferred[None] | None:
        return self._writer.close()


def format_line(record: Record) -> str:
    """Status, time and size, or what went wrong; then the URL and where it led. No hostile character gets through."""
    return "  ".join(_columns(record))


def _columns(record: Record) -> tuple[str, str]:
    url = printable(record.url, _URL_LIMIT)
    if record.final_url is not None and record.final_url != record.url:
        url = f"{url} -> {printable(record.final_url, _URL_LIMIT)}"
    error = record.error
    if error is not None:
        return f"{error.code:<{_CODE_WIDTH}}", f"{url}  ({printable(error.message, _MESSAGE_LIMIT)})"
    time = "-" if record.time_total is None else f"{record.time_total:.3f}s"
    return f"{record.status or '-':<3} {time:>8} {_size(record.size_body):>9}", url


def _size(size: int) -> str:
    if size < 1000:
        return f"{size} B"
    for unit, factor in (("kB", 1e3), ("MB", 1e6)):
        if size < 999.95 * factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size / 1e9:.1f} GB"


def _kind(record: Record) -> str:
    if record.ending != "ok":
        return record.ending
    hundreds = (record.status or 0) // 100
    return {3: "redirect", 4: "client", 5: "server"}.get(hundreds, "ok")


def _escapes(style: str, console: Console) -> tuple[str, str]:
    if console.no_color or console.color_system is None:
        return "", ""
    before, after = Style.parse(style).render("\0", color_system=console._color_system).split("\0")
    return before, after
