"""The command `report`: which file is read, which is written, and what is said about it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from crawler.config.config import ConfigError, Settings
from crawler.config.kinds import shown
from crawler.files import coded, put_new, replace
from crawler.monitor.units import amount
from crawler.objects.address import is_object
from crawler.printable import printable
from crawler.redaction import scrub
from crawler.report.counts.aggregate import Aggregate, counted
from crawler.report.lines import STDIN, Lines, open_lines
from crawler.report.page import page

STDOUT: Final = "-"
USAGE: Final = "crawler report FILE|DIR [-O FILE.html]"
_KNOWN: Final = (".gz", ".jsonl", ".ndjson")


def run_report(settings: Settings, *, wall: Callable[[], float] = time.time) -> str:
    """Read the records, write the page; give what is to be printed: nothing, unless the page goes there.

    Raises ConfigError, and CodedError where a job cannot be read or the page not be written.
    """
    inputs = settings.config.inputs
    if len(inputs) != 1:
        raise ConfigError(f"report: {len(inputs)} inputs, and there should be one: {USAGE}")
    path, overwrite = _output(settings, inputs[0])
    with open_lines(inputs[0]) as lines:
        if lines.path is not None and path != STDOUT and Path(path).exists() and lines.path.samefile(path):
            raise ConfigError(f"report: {shown(path)} is what is to be read")
        of = counted(lines)
    html = page(of, lines, now=wall()).encode("utf-8", "backslashreplace")
    if path != STDOUT:
        _write(path, html, overwrite=overwrite)
    if not settings.config.quiet:
        _tell(path, of, lines)
    return html.decode() if path == STDOUT else ""


def _output(settings: Settings, source: str) -> tuple[str, bool]:
    """Where the page goes, and whether what is there may be replaced. Only what the command line says counts."""
    named = [
        (path, overwrite)
        for name, paths, overwrite in (
            ("output", settings.config.output, False),
            ("overwrite_output", settings.config.overwrite_output, True),
        )
        if settings.origins.get(name, "").startswith("-")
        for path in paths
    ]
    if len(named) > 1:
        raise ConfigError(f"report: {len(named)} outputs, and there should be one: {USAGE}")
    if not named and source == STDIN:
        raise ConfigError(
            f"report: of standard input, where to? {USAGE.replace('FILE|DIR [-O FILE.html]', '- -O FILE.html')}"
        )
    if is_object(source) or (named and is_object(named[0][0])):
        raise ConfigError("report: neither what is read nor the page can be in an object store (copy it)")
    path, overwrite = named[0] if named else (_beside(source), False)
    if path != STDOUT and not overwrite and Path(path).exists():
        raise ConfigError(f"report: {shown(path)} exists (-O {shown(path)} replaces it)")
    return path, overwrite


def _beside(source: str) -> str:
    """records.html of records.jsonl.gz, site.html of the folder site."""
    path = Path(source)
    name = path.resolve().name if path.is_dir() else path.name
    for suffix in _KNOWN:
        if name.lower().endswith(suffix) and not path.is_dir():
            name = name[: -len(suffix)]
    folder = path.resolve().parent if path.is_dir() and path.name in {"", ".."} else path.parent
    return str(folder / f"{name}.html")


def _write(path: str, html: bytes, *, overwrite: bool) -> None:
    try:
        if overwrite:
            replace(path, html)
        else:
            put_new(path, [html])
    except FileExistsError:
        raise ConfigError(f"report: {shown(path)} exists (-O {shown(path)} replaces it)") from None
    except OSError as error:
        raise coded(error, path) from error


def _tell(path: str, of: Aggregate, lines: Lines) -> None:
    records = "1 record" if of.records == 1 else f"{amount(of.records)} records"
    said = [f"{scrub(path) if path != STDOUT else 'report'}: {records}"]
    if lines.bad:
        what = "1 line is no record" if lines.bad == 1 else f"{amount(lines.bad)} lines are no records"
        said.append(f"{what}, the first is {lines.examples[0]}")
    if lines.broken is not None:
        said.append(f"the input is not whole: {lines.broken}")
    if sys.stderr is not None:
        print("\n".join(map(printable, said)), file=sys.stderr, flush=True)
