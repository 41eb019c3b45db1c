"""The formats of outputs, by the suffixes of their names, and which file it is that grows while a run goes on."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple

from crawler.config.config import Config
from crawler.config.options.output import TEXT
from crawler.objects.address import is_object, local_name
from crawler.redaction import scrub
from crawler.sinks.archive.naming import is_archive, numbered

LINES: Final = frozenset(("", ".jsonl", ".ndjson"))
SEPARATED: Final = {".csv": ",", ".tsv": "\t"}
_LOGGED: Final = {".parquet": ("pyarrow",), ".duckdb": ("pyarrow", "duckdb"), ".sqlite": ()}
"""Tables that are made of a log; and what makes them."""
ARCHIVE: Final = ".warc"
LOG: Final = ".rows"
ITEMS_LOG: Final = ".items"


class Target(NamedTuple):
    """An output that is asked for: of records, or of the `items` in them. `grows` is the file that is appended to:
    the first of `several`, where an archive has them.

    With `put_at` it becomes that object, when it is whole; in a job the path is that of a file in its folder.
    """

    path: str
    overwrite: bool
    items: bool = False
    put_at: str | None = None
    several: bool = False

    @property
    def suffix(self) -> str:
        """The format. Raises ValueError for a suffix without one, and for a format that needs what is not installed."""
        name = self.path.lower()
        if is_archive(name):
            if self.items:
                raise ValueError(f"{scrub(self.path)}: items are no archive (name a table or .jsonl)")
            return ARCHIVE
        suffix = Path(name.removesuffix(".gz")).suffix
        if suffix in _LOGGED:
            if name.endswith(".gz"):
                raise ValueError(f"{scrub(self.path)}: {suffix} is packed by itself (leave out .gz)")
            absent = [package for package in _LOGGED[suffix] if find_spec(package) is None]
            if absent:
                words = f"{suffix} needs {' and '.join(absent)}: pip install 'everyurl[tables]'"
                raise ValueError(f"{scrub(self.path)}: {words}")
            return suffix
        if suffix in {".xlsx", ".xls"}:
            words = "Excel workbooks are read, not written (Excel opens .csv, best with --csv-bom)"
            raise ValueError(f"{scrub(self.path)}: {words}")
        if suffix == TEXT and self.items:
            raise ValueError(f"{scrub(self.path)}: items are not written by --template (name a table or .jsonl)")
        if suffix not in LINES and suffix not in SEPARATED and suffix != TEXT:
            allowed = ", ".join((*sorted(LINES - {""}), *SEPARATED, *_LOGGED, ARCHIVE))
            words = f"(allowed: {allowed}, .txt with --template; also .gz of text; for bodies there is --bodies DIR)"
            raise ValueError(f"{scrub(self.path)}: no format of records is known for {scrub(suffix)!r} {words}")
        if self.items and suffix in SEPARATED and name.endswith(".gz"):
            raise ValueError(f"{scrub(self.path)}: a table of items is not packed (leave out .gz)")
        return suffix

    @property
    def logged(self) -> bool:
        """Whether it is made of a log. The columns of items are only known when all are seen."""
        suffix = Path(self.path.lower()).suffix
        return suffix in _LOGGED or (self.items and suffix in SEPARATED)

    @property
    def grows(self) -> str:
        if self.several and is_archive(self.path):
            return numbered(self.path, 0)
        return self.path + (ITEMS_LOG if self.items else LOG) if self.logged else self.path


def targets(config: Config) -> list[Target]:
    """The outputs of a run, in the order in which they are opened."""
    several = config.warc_max_size is not None
    outputs = [Target(path, overwrite=False, several=several) for path in config.output]
    outputs += [Target(path, overwrite=True, several=several) for path in config.overwrite_output]
    if config.items is not None:
        outputs.append(Target(config.items, overwrite=bool(config.overwrite_output), items=True))
    return [_beside(output, config.job) if is_object(output.path) else output for output in outputs]


def _beside(output: Target, job: str | None) -> Target:
    path = output.path if job is None else str(Path(job, local_name(output.path)))
    return output._replace(path=path, put_at=output.path)


def holds_items(path: str, config: Config) -> bool:
    """Whether the file that grows at this path holds items, no records."""
    return any(output.items and os.path.realpath(output.grows) == path for output in targets(config))


def kept_at(config: Config) -> list[str]:
    """Where the files lie that grow: what a job knows of its outputs."""
    return [os.path.realpath(output.grows) for output in targets(config)]
