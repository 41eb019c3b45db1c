"""Whether a job keeps its word: the books balance, and each output holds the record of every input that ended, once.

The database is read as it is at one moment, and of the outputs what was committed by then: a crawler may be at work.
"""

# ruff: noqa: S608 - no part of any statement comes from outside
from __future__ import annotations

import csv
import gzip
import io
import sqlite3
import zlib
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, Final, cast

import msgspec

from crawler.books import options, reading
from crawler.config import Config
from crawler.models import Input
from crawler.store_rows import FIRST_ENDED, STATES, UNWRITTEN

SHOWN: Final = 10
_TABLES: Final = {".csv": ",", ".tsv": "\t"}
_LONGEST_CELL: Final = (1 << 31) - 1  # a body may be in it
_NAMES: Final = ("url", "input_source", "input_line", "input_parent")
# SQL: how many records of a row there are in each output.
_RECORDS: Final = f"earlier + (state >= {FIRST_ENDED})"
_RECORDS_WANTED: Final = f"earlier + (state >= {FIRST_ENDED} AND NOT {UNWRITTEN})"

Name = tuple[str, str, str, str]
"""What tells a record from all others of its job: URL, source, line and parent, as text."""


class _Line(msgspec.Struct, frozen=True):
    url: str | None = None
    input: Input | None = None


def verify(folder: str) -> list[str]:
    """What is wrong, as sentences; none when all is well.

    A link that was skipped without a request has a record only with --skipped.
    Raises JobError for what is no job, ConfigError for its options, CodedError for what cannot be read.
    """
    with reading(folder) as db:
        config = options(folder)
        damage = [f"the database is damaged: {row[0]}" for row in db.execute("PRAGMA quick_check") if row[0] != "ok"]
        if damage:
            return damage
        problems = _imbalance(db)
        for path, committed in db.execute("SELECT path, committed FROM outputs ORDER BY id").fetchall():
            try:
                problems += _compare(db, path, committed, config)
            except (OSError, EOFError, zlib.error, csv.Error, msgspec.MsgspecError, UnicodeDecodeError) as error:
                problems.append(f"{path} cannot be read: {error}")
        return problems


def _imbalance(db: sqlite3.Connection) -> list[str]:
    """The books against the rows."""
    books = dict(
        zip(("inputs", *STATES), db.execute("SELECT inputs, ok, failed, skipped FROM books").fetchone(), strict=True)
    )
    counts = dict(db.execute("SELECT state, count(*) FROM urls GROUP BY state").fetchall())
    found = {"inputs": sum(counts.values())} | {name: counts.get(state, 0) for name, state in STATES.items()}
    return [
        f"the books say {books[name]:,} {name}, and there are {found[name]:,}"
        for name in books
        if books[name] != found[name]
    ]


def _compare(db: sqlite3.Connection, path: str, committed: int, config: Config) -> list[str]:
    """The lines of one output against the rows whose records it must hold."""
    size = Path(path).stat().st_size
    if size < committed:
        return [f"{path} has only {size:,} bytes of the {committed:,} that were written"]
    records = _RECORDS_WANTED if config.omits_skips else _RECORDS
    expected: int = db.execute(f"SELECT coalesce(sum({records}), 0) FROM urls").fetchone()[0]
    with Path(path).open("rb", buffering=0) as file:
        names = _names(cast(BinaryIO, io.BufferedReader(Beginning(file, committed))), path.lower())
        if config.fields and not {"url", "input"} <= set(config.fields):
            written = sum(1 for _ in names)
            return [] if written == expected else [f"{path} has {written:,} records, and there should be {expected:,}"]
        db.execute("CREATE TEMP TABLE tally (key BLOB NOT NULL, id INTEGER, line INTEGER)")
        try:
            db.executemany(
                "INSERT INTO tally (key, line) VALUES (?, ?)",
                ((_key(name), line) for line, name in enumerate(names, 1)),
            )
            db.executemany("INSERT INTO tally (key, id) VALUES (?, ?)", _expected(db, records))
            rows = db.execute(
                "SELECT count(id), count(line), min(id), min(line), max(line) FROM tally "
                "GROUP BY key HAVING count(id) != count(line) ORDER BY min(id), min(line)"
            ).fetchall()
        finally:
            db.execute("DROP TABLE tally")
    problems = [_problem(db, path, *row) for row in rows[:SHOWN]]
    if len(rows) > SHOWN:
        problems.append(f"{path}: and {len(rows) - SHOWN:,} more like these")
    return problems


def _problem(
    db: sqlite3.Connection, path: str, wanted: int, found: int, number: int | None, first: int | None, last: int | None
) -> str:
    if number is None:
        return f"{path}: record {first} is of no input of this job"
    (url,) = db.execute("SELECT coalesce(written, url) FROM urls WHERE id = ?", (number,)).fetchone()
    if found < wanted:
        return f"{path}: the record of input {number} is missing ({url})"
    return f"{path}: input {number} has {found} records and not {wanted}, the last is record {last} ({url})"


def _expected(db: sqlite3.Connection, records: str) -> Iterator[tuple[bytes, int]]:
    query = (
        f"SELECT urls.id, coalesce(written, url), sources.text, line, parents.text, {records} FROM urls "
        "LEFT JOIN origins AS sources ON sources.id = urls.source "
        "LEFT JOIN origins AS parents ON parents.id = urls.parent"
    )
    for number, url, source, line, parent, count in db.execute(query):
        key = _key(_name(url, source, line, parent))
        for _ in range(count):
            yield key, number


def _names(file: BinaryIO, path: str) -> Iterator[Name]:
    if path.endswith(".gz"):
        file = cast(BinaryIO, gzip.GzipFile(fileobj=file))
    delimiter = _TABLES.get(Path(path.removesuffix(".gz")).suffix)
    if delimiter is None:
        decode = msgspec.json.Decoder(_Line).decode
        for text in file:
            line = decode(text)
            place = line.input or Input()
            yield _name(line.url, place.source, place.line, place.parent)
    else:
        limit = csv.field_size_limit(_LONGEST_CELL)
        try:
            rows = csv.DictReader(io.TextIOWrapper(file, encoding="utf-8", newline=""), delimiter=delimiter)
            for row in rows:
                yield _name(*(row.get(name) for name in _NAMES))
        finally:
            csv.field_size_limit(limit)


def _name(url: str | None, source: str | None, line: object, parent: str | None) -> Name:
    # A table has an apostrophe before what a spreadsheet would run.
    return (_bare(url), _bare(source), "" if line is None else str(line), _bare(parent))


def _bare(text: str | None) -> str:
    return (text or "").lstrip("'")


def _key(name: Name) -> bytes:
    return blake2b("\n".join(name).encode("utf-8", "replace"), digest_size=16).digest()


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
