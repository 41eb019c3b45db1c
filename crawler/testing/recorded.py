"""Answers recorded once, into archives, and given back from there: a test of a spider needs no network then."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Final, Literal, get_args

from msgspec import structs
from twisted.internet.defer import Deferred

from crawler.config.config import Config
from crawler.config.kinds import shown
from crawler.models import Record, Response
from crawler.redaction import scrub
from crawler.run.access.surrounding import surrounded

Mode = Literal["missing", "always", "never"]
"""When answers are fetched: where there is no recording, in any case, or never."""

SUFFIX: Final = ".warc.gz"
_SHOWN: Final = 10
_MISSED: Final = frozenset(("not_archived", "robots_unreachable"))


class NotRecorded(AssertionError):  # noqa: N818 - it is an assertion that fails
    """Something was asked for that the recording does not have, or there is no recording."""


class Recording:
    """The recording at `path`. `replays` says whether it answers, else it is being made.

    Each run that is made writes an archive of its own: `quotes.warc.gz`, `quotes-2.warc.gz` and so on.
    """

    def __init__(self, path: Path, scratch: Path, *, replays: bool) -> None:
        self.path = path
        self.replays = replays
        self._scratch = scratch
        self._lock = threading.Lock()
        self._runs = 0
        self._missing: dict[str, None] = {}
        self._records: list[Record] = []

    @property
    def records(self) -> list[Record]:
        """Those of all runs until now, in the order in which they ended."""
        with self._lock:
            return list(self._records)

    @property
    def missing(self) -> list[str]:
        """The URLs that were asked for and are not in the recording."""
        with self._lock:
            return list(self._missing)

    # What a run asks: run.surrounding.Surrounding.

    def adapted(self, config: Config) -> Config:
        if self.replays:
            return structs.replace(config, inputs=(*config.inputs, *map(str, _parts(self.path))))
        with self._lock:
            self._runs += 1
            return structs.replace(
                config, output=(*config.output, str(_part(self._scratch / self.path.name, self._runs)))
            )

    def sink(self) -> Recording:
        return self

    def write(self, record: Record, response: Response | None, sequence: int) -> Deferred[None] | None:  # noqa: ARG002
        with self._lock:
            self._records.append(record)
            if record.error is not None and record.error.code in _MISSED and self.replays:
                self._missing[scrub(record.final_url or record.url)] = None
        return None

    def flush(self) -> None:
        """Nothing is buffered."""

    def close(self) -> None:
        """The records stay."""

    def keep(self) -> None:
        """Put what was recorded in the place of what was there before, each archive whole or not at all.

        All are beside their places before the first gets its name: a disk that is full costs nothing that was there.
        """
        found = _parts(self._scratch / self.path.name)
        if not found:
            return
        folder = self.path.parent
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".crawler-recording-", dir=folder) as beside:
            for part in found:
                shutil.copyfile(part, Path(beside) / part.name)
            before = _parts(self.path)
            for part in found:
                (Path(beside) / part.name).replace(folder / part.name)
        for part in before[len(found) :]:  # there were more of them
            part.unlink()


@contextmanager
def recording(
    path: str | PathLike[str], *, mode: Mode = "missing", again: str = "mode='always'"
) -> Generator[Recording]:
    """Have all runs that are made inside answered from the archive at `path`, a `.warc.gz`, without a network.

    Where it is missing it is made: then they are as ever, and what goes over the wire is kept. With `mode` "always" it
    is made anew, with "never" a missing one is an error. robots.txt is in it, too, where a run obeys that.

    Raises NotRecorded: at once where there is no recording and there must be, at the end for what was asked for and is
    not in it; `again` says how to make it anew.
    """
    place = Path(path)
    if not place.name.endswith(SUFFIX):
        raise ValueError(f"{shown(str(path))}: a recording is an archive ({SUFFIX})")
    if mode not in get_args(Mode):
        raise ValueError(f"mode: {shown(mode)} is none of {', '.join(get_args(Mode))}")
    replays = mode != "always" and place.exists()
    if mode == "never" and not replays:
        raise NotRecorded(f"there is no recording {place} ({again} makes it)")
    with tempfile.TemporaryDirectory(prefix="crawler-recording-") as scratch:
        made = Recording(place, Path(scratch), replays=replays)
        with surrounded(made):
            try:
                yield made
            except Exception:
                made.keep()  # the answers are good, whatever the test thinks of them
                raise
        made.keep()
    if missing := made.missing:
        more = f" and {len(missing) - _SHOWN:,} more" if len(missing) > _SHOWN else ""
        urls = ", ".join(missing[:_SHOWN])
        raise NotRecorded(f"not in the recording {place}: {urls}{more} ({again} makes it anew)")


def _part(path: Path, number: int) -> Path:
    stem = path.name.removesuffix(SUFFIX)
    return path if number == 1 else path.with_name(f"{stem}-{number}{SUFFIX}")


def _parts(path: Path) -> list[Path]:
    """The archives of a recording, in the order in which they were made."""
    found: list[Path] = []
    while (part := _part(path, len(found) + 1)).exists():
        found.append(part)
    return found
