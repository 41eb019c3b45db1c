"""Whether a job keeps its word: the books balance, each output holds the record of every input that ended, once, and
nothing is other than it was written: outputs, bodies, options, and the tables of the database.

The database is read as it is at one moment, and of the outputs what was committed by then: a crawler may be at work.
"""

# ruff: noqa: S608 - no part of any statement comes from outside
from __future__ import annotations

import io
import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, cast

import msgspec

from crawler.config.config import Config
from crawler.fetch.archive.reading import records as archive_records
from crawler.files import open_plain
from crawler.job.job import OPTIONS_FILE
from crawler.job.status import open_tables, read_options
from crawler.job.verify_bodies import Bodies
from crawler.job.verify_records import SHOWN, UNREADABLE, Rows, compare
from crawler.objects.address import is_object
from crawler.sinks.archive.naming import is_archive
from crawler.sinks.formats import holds_items
from crawler.store import seals
from crawler.store.rows import FIRST_ENDED, STATES
from crawler.store.seals import BODIES, CONFIG

__all__ = ["Beginning", "Verdict", "verify"]

_offsets: Final = msgspec.json.Decoder(dict[int, int]).decode


class Verdict(NamedTuple):
    """What is wrong, as sentences; none when all is well. `notes` say what could not be looked at, and why."""

    problems: list[str]
    notes: list[str]


def verify(folder: str) -> Verdict:
    """Hold a job against what it keeps of itself.

    A link that was skipped without a request has a record only with --skipped.
    Raises JobError for what is no job, ConfigError for its options, CodedError for what cannot be read.
    """
    found = Verdict([], [])
    with open_tables(folder) as db:
        config = read_options(folder)
        damage = [f"the database is damaged: {row[0]}" for row in db.execute("PRAGMA integrity_check")]
        if damage != ["the database is damaged: ok"]:
            return Verdict(damage[:SHOWN], [])
        try:
            first = _sealed_behind(db, found)
            found.problems.extend([*_imbalance(db), *_batches(db), *_outputs(db), *_runs(db)])
            found.problems.extend([*seals.look_at_rows(db), *seals.look_at_filled(db)])
            _options(db, folder, found)
            bodies = _bodies(db, config, found)
            rows = Rows(db, config)
            for number, path, committed in db.execute("SELECT id, path, committed FROM outputs ORDER BY id").fetchall():
                items = holds_items(path, config)
                _output(rows, bodies, (number, path, committed), first, found, records=not items)
            if bodies is not None:
                bodies.tell(found.problems, found.notes)
        except (msgspec.MsgspecError, TypeError, ValueError, UnicodeDecodeError) as error:
            found.problems.append(f"the database is damaged: it holds what was never written ({error})")
    return found


def _sealed_behind(db: sqlite3.Connection, found: Verdict) -> int:
    """The last batch that has no seals, because an older crawler wrote it."""
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'seals'").fetchone():
        db.execute("CREATE TEMP TABLE seals (batch, part, value)")
        db.execute("INSERT INTO seals SELECT max(number), ?, 0 FROM batches", (seals.SINCE,))
        for table in seals.GROWING:
            db.execute(f"INSERT INTO seals SELECT 0, '{table} before', max(rowid) FROM {table}")
    first = seals.since(db)
    if first is None:
        found.problems.append("the table seals is not what was written: it does not say where it begins")
        return 0
    return first


def _imbalance(db: sqlite3.Connection) -> list[str]:
    """The books against the rows."""
    row = db.execute("SELECT inputs, ok, failed, skipped FROM books").fetchall()
    if len(row) != 1:
        return [f"the table books has {len(row):,} rows, and there should be 1"]
    books = dict(zip(("inputs", *STATES), row[0], strict=True))
    counts = dict(db.execute("SELECT state, count(*) FROM urls GROUP BY state").fetchall())
    found = {"inputs": sum(counts.values())} | {name: counts.get(state, 0) for name, state in STATES.items()}
    return [
        f"the books say {books[name]:,} {name}, and there are {found[name]:,}"
        for name in books
        if books[name] != found[name]
    ]


def _batches(db: sqlite3.Connection) -> Iterator[str]:
    """They have all numbers, and those of which records are."""
    count, last = db.execute("SELECT count(*), coalesce(max(number), 0) FROM batches").fetchone()
    sealed: int = db.execute("SELECT coalesce(max(batch), 0) FROM seals WHERE part GLOB '[0-9]*'").fetchone()[0]
    if count != max(last, sealed):
        yield f"the table batches has {count:,} rows, and there should be {max(last, sealed):,}"
    (lost,) = db.execute(
        f"SELECT count(*) FROM urls WHERE state >= {FIRST_ENDED} AND "
        "(batch IS NULL OR batch NOT IN (SELECT number FROM batches))"
    ).fetchone()
    if lost:
        yield f"{lost:,} URLs have ended with a batch that never was"
    for number, ended, rows in db.execute(
        "SELECT number, ended, rows FROM batches JOIN "
        f"(SELECT batch, count(*) AS rows FROM urls WHERE state >= {FIRST_ENDED} GROUP BY batch) ON batch = number "
        "WHERE rows > ended ORDER BY number LIMIT ?",
        (SHOWN,),
    ):
        yield f"batch {number:,} wrote {ended:,} records, and {rows:,} URLs have ended with it"


def _outputs(db: sqlite3.Connection) -> Iterator[str]:
    """How long they are is what the last batch says."""
    sizes = dict(db.execute("SELECT id, committed FROM outputs").fetchall())
    last = db.execute("SELECT offsets FROM batches ORDER BY number DESC LIMIT 1").fetchone()
    then = {} if last is None else _offsets(last[0])
    for number in sorted({*sizes, *then}):
        if number not in sizes:
            yield f"output {number} is missing in the table outputs"
        elif sizes[number] != (size := then.get(number, 0)):
            yield f"the table outputs says {sizes[number]:,} bytes of output {number}, the last batch {size:,}"


def _runs(db: sqlite3.Connection) -> Iterator[str]:
    count, last, batches = db.execute(
        "SELECT count(*), coalesce(max(id), 0), (SELECT count(*) FROM batches) FROM runs"
    ).fetchone()
    if count != last or (batches and not count):
        yield f"the table runs has {count:,} rows, and there should be {max(last, 1):,}"


def _options(db: sqlite3.Connection, folder: str, found: Verdict) -> None:
    known = seals.kept(db, CONFIG)
    if not known:
        found.notes.append(f"{OPTIONS_FILE} was written by an older crawler, without a seal")
        return
    with open_plain(str(Path(folder) / OPTIONS_FILE)) as file:
        text = file.read().decode("utf-8", "surrogateescape")
    if seals.of_text(text) not in known:
        found.problems.append(f"{Path(folder) / OPTIONS_FILE} is not what a run of this job wrote")


def _bodies(db: sqlite3.Connection, config: Config, found: Verdict) -> Bodies | None:
    if config.bodies is None:
        return None
    if is_object(config.bodies):
        found.notes.append(f"the bodies were not looked at: {config.bodies} is in an object store")
        return None
    known = seals.kept(db, BODIES)
    if not known and not Path(config.bodies).is_dir():  # a relative path means something else elsewhere
        found.notes.append(f"the bodies were not looked at: there is no folder {config.bodies} here")
        return None
    return Bodies(db, known[-1] if known else config.bodies, config.bodies_as, mirrors=config.mirror is not None)


def _output(
    rows: Rows, bodies: Bodies | None, output: tuple[int, str, int], first: int, found: Verdict, *, records: bool
) -> None:
    """One output against its seals, and its `records`, if it has such, against the rows that they are of."""
    _number, path, committed = output
    try:
        with open_plain(path, links=True) as file:
            size = file.seek(0, io.SEEK_END)
            if size < committed:
                found.problems.append(f"{path} has only {size:,} bytes of the {committed:,} that were written")
                return
            if size > committed and _is_over(rows.db):
                found.notes.append(
                    f"{path} has {size - committed:,} bytes behind what was written, which do not count: "
                    "a run that goes on moves them away"
                )
            _sealed(rows.db, output, cast(BinaryIO, file), first, found)
            if is_archive(path):
                whole = cast(BinaryIO, file)
                for record in archive_records(whole, end=committed, told=partial(_broken, found, path)):
                    record.pass_over()
                return
            if not records:
                return
            file.seek(0)
            whole = cast(BinaryIO, io.BufferedReader(Beginning(file, committed)))
            found.problems.extend(compare(rows, path, whole, None if bodies is None else bodies.look))
    except UNREADABLE as error:
        found.problems.append(f"{path} cannot be read: {error}")


def _broken(found: Verdict, path: str, what: str) -> None:
    found.problems.append(f"{path} {what}")


def _is_over(db: sqlite3.Connection) -> bool:
    """Whether the latest run has ended by itself: one that is at work, or was killed, has always written more."""
    row = db.execute("SELECT ended FROM runs ORDER BY id DESC LIMIT 1").fetchone()
    return row is not None and row[0] is not None


def _sealed(db: sqlite3.Connection, output: tuple[int, str, int], file: BinaryIO, first: int, found: Verdict) -> None:
    number, path, _ = output
    ranges = seals.look_at_range(db, number, file, first)
    for what, some in (("are not what was written", ranges.broken), ("have lost their seals", ranges.missing)):
        found.problems.extend(f"{path}: the bytes from {begin:,} to {end:,} {what}" for begin, end in some[:SHOWN])
        if len(some) > SHOWN:
            found.problems.append(f"{path}: and {len(some) - SHOWN:,} more ranges that {what}")
    if ranges.unsealed and not ranges.missing:
        words = "by an older crawler, without seals: they were compared with the books alone"
        found.notes.append(f"{path}: {ranges.unsealed:,} bytes were written {words}")


class Beginning(io.RawIOBase):
    """The first `size` bytes of a file: what a killed run had written beyond that counts for nothing."""

    def __init__(self, file: io.FileIO, size: int) -> None:
        super().__init__()
        self._file = file
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        count = self._file.readinto(memoryview(buffer)[: self._left]) or 0
        self._left -= count
        return count
