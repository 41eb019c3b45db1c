"""A finished job once more: what it has is put aside as history, and the same is fetched again as far as it changed.

A kill at any instant loses nothing: what is to be moved where is written down first, and whoever comes next goes on.
"""

# The os functions beside pathlib's: they tell of links, and replace.
# ruff: noqa: PTH118
from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from crawler.config.config import Config, ConfigError
from crawler.files import coded, put
from crawler.job.job import DATABASE, LOCK, OPTIONS_FILE, refuse_strangers
from crawler.job.lock import Lock, LockedError, who
from crawler.job.options import INTENT, JobError
from crawler.job.status import lines_of_job, read_books, read_options
from crawler.redaction import scrub
from crawler.sinks.formats import LINES, LOG, targets

HISTORY: Final = "history"
_BESIDE: Final = ("-wal", "-shm", "-journal")


class Intent(msgspec.Struct, frozen=True):
    """What is being put aside: pairs of where it lies and where it goes."""

    moves: list[tuple[str, str]]


class Again(msgspec.Struct, frozen=True):
    """How a job is run again: its `options` are in that file; `since` are the records to compare with, if not there."""

    options: str
    since: str | None


def again(folder: str) -> Again:
    """Put aside what a finished job has. One that was begun again and has something left goes on as it is.

    Raises JobError for what is no job, or not finished; ConfigError for one without records to compare with; CodedError
    for what the disk refuses.
    """
    place = Path(folder)
    if not (place / LOCK).exists():
        raise JobError(f"{scrub(folder)} is not the folder of a job")
    refuse_strangers(place)
    with _locked(place):
        if (place / INTENT).exists():
            _put_aside(place)
        if (place / DATABASE).exists():
            left = read_books(folder).pending
            if left and not (place / HISTORY).exists():
                raise JobError(f"{scrub(folder)} has {left:,} URLs left: the command that began it fetches them first")
            if left:
                return Again(str(place / OPTIONS_FILE), None)
            if lines_of_job(folder) is None:
                words = "has no output in JSON Lines to compare with (-o records.jsonl)"
                raise ConfigError(f"again: the job {scrub(folder)} {words}")
            config = read_options(folder)
            _refuse_lost_inputs(folder, config)
            _plan(place, config)
            _put_aside(place)
        return _latest(place)


def _refuse_lost_inputs(folder: str, config: Config) -> None:
    """A run without inputs would put aside what there is for nothing."""
    if not config.inputs:
        raise ConfigError(
            f"again: the job {scrub(folder)} got its URLs from a program: run that once more, on a new job"
        )
    if "-" in config.inputs and not _is_given():
        words = f"give it once more: crawler again {scrub(folder)} < urls.txt"
        raise ConfigError(f"again: the job {scrub(folder)} read its inputs from standard input ({words})")


def _is_given() -> bool:
    """Whether standard input is a file or a pipe; no terminal, and not what cron and services have."""
    return sys.stdin is not None and not stat.S_ISCHR(os.fstat(sys.stdin.fileno()).st_mode)


def before(folder: str) -> str | None:
    """The records of the run before the latest one of a job, if there was one."""
    return read_options(folder).since


@contextmanager
def _locked(place: Path) -> Iterator[None]:
    try:
        lock = Lock(place / LOCK)
    except LockedError as error:
        raise JobError(f"{scrub(str(place))}: {who(error)} is at work on this job") from error
    try:
        yield
    finally:
        lock.release()


def _plan(place: Path, config: Config) -> None:
    number = 1
    while (place / HISTORY / str(number)).exists():
        number += 1
    aside = place / HISTORY / str(number)
    moves: list[tuple[str, str]] = []
    for target in targets(config):
        for path in dict.fromkeys((target.path, target.grows)):
            old, new = os.path.realpath(path), os.path.realpath(numbered(path, target.path, number))
            ends = _BESIDE if path.lower().endswith(".sqlite") else ()  # while somebody reads it, rows are there
            moves += [(old + end, new + end) for end in (*ends, "")]
    moves += [(str(place / name), str(aside / name)) for name in _files()]
    taken = [new for _, new in moves if os.path.lexists(new)]
    if taken:
        raise JobError(f"{scrub(taken[0])} is in the way of what the job had (move it away)")
    try:
        put(str(place / INTENT), msgspec.json.encode(Intent(moves)), mode=0o600)
    except OSError as error:
        raise coded(error, str(place / INTENT)) from error


def _files() -> list[str]:
    return [*(f"{DATABASE}{end}" for end in _BESIDE), OPTIONS_FILE, DATABASE]


def numbered(path: str, name: str, number: int) -> str:
    """records.1.jsonl.gz of records.jsonl.gz; x.1.parquet.rows of the log of x.parquet."""
    log = path[len(name) :]
    folder, base = os.path.split(name)
    stem, *suffixes = base.split(".", 1) if not base.startswith(".") else [base]
    return os.path.join(folder, ".".join([stem, str(number), *suffixes])) + log


def _put_aside(place: Path) -> None:
    """Do what the intent says, as far as it is not done."""
    intent = msgspec.json.decode((place / INTENT).read_bytes(), type=Intent)
    try:
        Path(intent.moves[-1][1]).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for old, new in intent.moves:
            with suppress(FileNotFoundError):  # moved before, or never there
                os.rename(old, new)  # noqa: PTH104
        (place / INTENT).unlink()
    except OSError as error:
        raise coded(error, str(place)) from error


def _latest(place: Path) -> Again:
    """Of what was put aside last; the records are those of the last run that had any, if one had."""
    runs = sorted(
        (path for path in (place / HISTORY).iterdir() if path.name.isdigit()), key=lambda path: int(path.name)
    )
    options = str(runs[-1] / OPTIONS_FILE)
    for target in targets(Config.kept(options)):
        if Path(target.grows.lower().removesuffix(".gz")).suffix in {*LINES, LOG}:
            found = [os.path.realpath(numbered(target.grows, target.path, int(run.name))) for run in runs]
            return Again(options, next((path for path in reversed(found) if _has_records(path)), None))
    raise JobError(f"{runs[-1]} holds no job that had records")


def _has_records(path: str) -> bool:
    with suppress(FileNotFoundError):
        return os.path.getsize(path) > 0  # noqa: PTH202
    return False
