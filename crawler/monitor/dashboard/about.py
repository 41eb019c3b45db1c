"""What a run was asked for and what it writes: its options, its files, and a report while it goes on."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from itertools import count, takewhile
from typing import Any, BinaryIO, Final

import msgspec
from twisted.internet.defer import Deferred

from crawler.config.config import Config
from crawler.config.text import settings_made
from crawler.files import open_plain
from crawler.redaction import scrub
from crawler.sinks.archive.naming import index_of, is_archive, numbered
from crawler.sinks.formats import Target, targets

STDOUT: Final = "-"
_MOST_PARTS: Final = 1_000
_UNSET: Final = "as the program says"


class Given(msgspec.Struct, frozen=True):
    """An option that was set: its `value` in TOML, without secrets, and where that was."""

    name: str
    value: str
    origin: str
    help: str


class Written(msgspec.Struct, frozen=True):
    """What the run writes. `size` is None where it is no file here or not there yet; `records` are those of this run.

    `file` is the number by which it is downloaded.
    """

    name: str
    what: str
    size: int | None = None
    records: int | None = None
    file: int | None = None


class RunTold(msgspec.Struct, frozen=True):
    """`report` says whether one can be made now; where not, `no_report` says why."""

    options: list[Given]
    outputs: list[Written]
    report: bool
    no_report: str


class About:
    """Told of a config, and where its options were set. `make_report` fires with the page as a file, open and at its
    end; without it there is none, and `no_report` says why. `is_reporting`: one is being made, if for nobody any more.
    """

    def __init__(
        self,
        config: Config,
        origins: Mapping[str, str] | None = None,
        *,
        make_report: Callable[[], Deferred[Any]] | None = None,
        is_reporting: Callable[[], bool] = lambda: False,
        no_report: str = "",
    ) -> None:
        self._config = config
        self._origins = origins or {}
        self.make_report = make_report
        self.is_reporting = is_reporting
        self._no_report = no_report
        self._numbers: dict[str, int] = {}
        self._links: dict[str, str] = {}  # what is a link from the first, as people may have it, leads there for good
        for output in targets(config):
            for path in {output.path, output.grows}:
                if os.path.islink(path):  # noqa: PTH114
                    self._links[path] = os.path.realpath(path)

    def told(self, records: int) -> RunTold:
        """Now, when so many records are written."""
        options = [
            Given(name, value, self._origins.get(name, _UNSET), words)
            for name, value, words in settings_made(self._config, self._origins)
        ]
        return RunTold(options, list(self._written(records)), self.make_report is not None, self._no_report)

    def open(self, number: int) -> tuple[str, BinaryIO]:
        """The name of a file of this run, and that, open. Raises ValueError where there is none."""
        path = next((path for path, known in self._numbers.items() if known == number), None)
        if path is None:
            raise ValueError(f"{number} is no file of this run (GET /api/run has their numbers)")
        try:
            return os.path.basename(path), open_plain(self._links.get(path, path))  # noqa: PTH119
        except OSError as error:
            raise ValueError(f"{scrub(path)} cannot be read: {error.strerror}") from error

    def _written(self, records: int) -> Iterator[Written]:
        config = self._config
        outputs = targets(config)
        for output in outputs:
            yield from self._output(output, None if output.items else records)
        if not config.output and not config.overwrite_output:
            yield Written("standard output", "records", records=records)
        if config.bodies is not None:
            yield Written(scrub(config.bodies), "bodies, in a folder")
        if config.stats is not None:
            yield Written(scrub(config.stats), "statistics, at the end")
        if config.report is not None:
            yield Written(scrub(config.report), "report, at the end")

    def _output(self, output: Target, records: int | None) -> Iterator[Written]:
        what = "items" if output.items else "records"
        if output.put_at is not None:
            yield Written(scrub(output.put_at), f"{what}, in an object store", records=records)
        elif output.path == STDOUT:
            yield Written("standard output", what, records=records)
        elif is_archive(output.path):
            yield from self._archive(output, records)
        elif output.logged:
            yield Written(scrub(output.path), f"{what}, made of the next at the end", records=records)
            yield self._file(output.grows, f"{what}, as they come", records)
        else:
            yield self._file(output.path, what, records)

    def _archive(self, output: Target, records: int | None) -> Iterator[Written]:
        if not output.several:
            yield self._file(output.path, "archive", records)
        else:
            parts = (numbered(output.path, number) for number in count())
            for number, part in enumerate(takewhile(os.path.exists, parts)):
                if number >= _MOST_PARTS:
                    return
                yield self._file(part, "archive", None)
        if os.path.exists(index_of(output.path)):  # noqa: PTH110
            yield self._file(index_of(output.path), "index of the archive", None)

    def _file(self, path: str, what: str, records: int | None) -> Written:
        try:
            found = os.lstat(self._links.get(path, path))
        except OSError:
            return Written(scrub(path), what, records=records)
        if not stat.S_ISREG(found.st_mode):  # a pipe, or a device; or a link, which none of our outputs has become
            return Written(scrub(path), what, records=records)
        number = self._numbers.setdefault(path, len(self._numbers))
        return Written(scrub(path), what, found.st_size, records, number)
