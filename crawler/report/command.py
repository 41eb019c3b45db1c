"""The command `report`: which file is read, which is written, and what is said about it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from crawler.config.config import ConfigError, Settings
from crawler.config.kinds import shown
from crawler.fetch.archive.reading import WACZ, is_archive
from crawler.files import coded, put_new, replace
from crawler.monitor.units import amount
from crawler.objects.address import is_object, parse_address
from crawler.objects.bucket import Bucket
from crawler.printable import printable
from crawler.redaction import scrub
from crawler.report.counts.aggregate import Aggregate, counted
from crawler.report.lines import STDIN, Lines, Source, open_lines
from crawler.report.page import page
from crawler.report.sources.streams import PACKED, on_disk
from crawler.report.sources.tables import SUFFIXES

STDOUT: Final = "-"
_PIECE: Final = 1 << 20
_TYPE: Final = "text/html; charset=utf-8"
USAGE: Final = "crawler report FILE|DIR [-O FILE.html]"
_KNOWN: Final = (*PACKED, ".jsonl", ".ndjson", ".warc", WACZ, *SUFFIXES)


def run_report(
    settings: Settings,
    of_archive: Callable[[str], tuple[Aggregate, Sequence[str]]],
    *,
    wall: Callable[[], float] = time.time,
) -> str:
    """Read the records, write the page; give what is to be printed: nothing, unless the page goes there.

    `of_archive` counts what an archive holds, as a run over it does, and says what of it could not be read.

    Raises ConfigError, and CodedError where a job cannot be read or the page not be written.
    """
    inputs = settings.config.inputs
    if len(inputs) != 1:
        raise ConfigError(f"report: {len(inputs)} inputs, and there should be one: {USAGE}")
    path, overwrite = _output(settings, inputs[0])
    if _is_archive(inputs[0]):
        lines: Source = Source(inputs[0])
        with on_disk(inputs[0]) as place:
            of, broken = of_archive(place)
        lines.notes += [f"The input is not whole: {words}." for words in broken]
    else:
        with open_lines(inputs[0]) as opened:
            if opened.path is not None and path != STDOUT and Path(path).exists() and opened.path.samefile(path):
                raise ConfigError(f"report: {shown(path)} is what is to be read")
            of = counted(opened)
        lines = opened
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
    path, overwrite = named[0] if named else (_beside(source), False)
    if path != STDOUT and not overwrite and _is_there(path):
        raise ConfigError(f"report: {shown(path)} exists (-O {shown(path)} replaces it)")
    return path, overwrite


def _beside(source: str) -> str:
    """records.html of records.jsonl.gz, site.html of the folder site; that of an object is here."""
    if is_object(source):
        source = source.rstrip("/").rpartition("/")[2]
    path = Path(source)
    name = path.resolve().name if path.is_dir() else path.name
    for suffix in _KNOWN:
        if name.lower().endswith(suffix) and not path.is_dir():
            name = name[: -len(suffix)]
    folder = path.resolve().parent if path.is_dir() and path.name in {"", ".."} else path.parent
    return str(folder / f"{name}.html")


def _is_archive(source: str) -> bool:
    return (is_object(source) and source.lower().endswith((".warc", ".warc.gz", WACZ))) or is_archive(source)


def _is_there(path: str) -> bool:
    if not is_object(path):
        return Path(path).exists()
    with _told(path):
        address = parse_address(path)
        return Bucket(address).has(address.key)


def _write(path: str, html: bytes, *, overwrite: bool) -> None:
    with _told(path):
        if is_object(path):
            address = parse_address(path)
            pieces = (html[at : at + _PIECE] for at in range(0, len(html), _PIECE))
            Bucket(address).put(address.key, pieces, fresh=not overwrite, content_type=_TYPE)
        elif overwrite:
            replace(path, html)
        else:
            put_new(path, [html])


@contextmanager
def _told(path: str) -> Iterator[None]:
    """Tell what goes wrong where the page is to be."""
    try:
        yield
    except FileExistsError:
        raise ConfigError(f"report: {shown(path)} exists (-O {shown(path)} replaces it)") from None
    except OSError as error:
        raise coded(error, path) from error
    except ValueError as error:
        raise ConfigError(f"report: {error}") from error


def _tell(path: str, of: Aggregate, lines: Source) -> None:
    records = "1 record" if of.records == 1 else f"{amount(of.records)} records"
    said = [f"{scrub(path) if path != STDOUT else 'report'}: {records}"]
    if lines.bad:
        what = "1 line is no record" if lines.bad == 1 else f"{amount(lines.bad)} lines are no records"
        said.append(f"{what}, the first is {lines.examples[0]}")
    if isinstance(lines, Lines) and lines.broken is not None:
        said.append(f"the input is not whole: {lines.broken}")
    elif not isinstance(lines, Lines):
        said += lines.notes
    if sys.stderr is not None:
        print("\n".join(map(printable, said)), file=sys.stderr, flush=True)
