"""Where a check is told, and in which format: on standard output, and in the files of -o and -O.

A file is in the format of its suffix (.json, .sarif, .xml, .md, .txt), else in that of --format. Standard output has
the format of --format, unless a file has it already: then people are told there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from rich.console import Console

from crawler.check.formats.people import paint_for, people
from crawler.check.formats.report import Report
from crawler.check.formats.table import FORMATS, SUFFIXES, in_bytes
from crawler.config.config import ConfigError, Settings
from crawler.config.kinds import shown
from crawler.files import coded, put_new, replace
from crawler.objects.address import is_object

TEXT: Final = "text"
_STDOUT: Final = "-"


class Target(NamedTuple):
    """A file that is to be written; `replaces` what is there."""

    path: str
    format: str
    replaces: bool


def targets(settings: Settings, chosen: str) -> list[Target]:
    """The files of -o and -O; ask before the check, as a file that is in the way should be told then.

    Raises ConfigError.
    """
    config = settings.config
    found = []
    for paths, replaces in ((config.output, False), (config.overwrite_output, True)):
        for path in paths:
            if path == _STDOUT:
                continue
            if is_object(path):
                raise ConfigError(f"check: {shown(path)} is in an object store (write a file, and copy it)")
            if not replaces and Path(path).exists():
                raise ConfigError(f"check: {shown(path)} exists (-O {shown(path)} replaces it)")
            found.append(Target(path, SUFFIXES.get(Path(path).suffix.lower(), chosen), replaces))
    return found


def tell(
    report: Report,
    chosen: str,
    files: Sequence[Target],
    put: Callable[[str], int],
    *,
    console: Console | None = None,
    quiet: bool = False,
) -> int:
    """Write the report in the format `chosen` and into the files; `put` writes to standard output, which is `console`.

    Give what `put` gives when it cannot write, else 0. Quiet, standard output has nothing when there is a file. Raises
    ConfigError for a file that has come in between, CodedError when one cannot be written.
    """
    for file in files:
        _write(file, in_bytes(FORMATS[file.format](report)))
    if quiet and files:
        return 0
    on_stdout = TEXT if any(file.format == chosen for file in files) else chosen
    if on_stdout == TEXT and console is not None and console.is_terminal:
        pieces = people(report, paint_for(console), console.width)
    else:
        pieces = FORMATS[on_stdout](report)
    for piece in in_bytes(pieces):
        if code := put(piece.decode()):
            return code
    return 0


def _write(file: Target, pieces: Iterator[bytes]) -> None:
    try:
        if file.replaces:
            replace(file.path, b"".join(pieces))
        else:
            put_new(file.path, pieces)
    except FileExistsError:
        raise ConfigError(f"check: {shown(file.path)} exists (-O {shown(file.path)} replaces it)") from None
    except OSError as error:
        raise coded(error, file.path) from error
