"""A table in an SQLite database that grows with the run, and may be read meanwhile: it follows the log line by line.

A row has the number of its input, `_id`: what is written of that once more (another run of a job, `crawler retry`)
takes its place. It also has `_end`, where its line ends in the log: so what a killed run had taken beyond what counts
is found and taken back.
"""

# ruff: noqa: S608 - names are quoted, and they are the user's own or come as keys of items
from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, Final

from crawler.printable import json_bytes
from crawler.sinks.tables.columns import MORE, MOST_COLUMNS, Columns, flattened
from crawler.sinks.tables.log import NUMBER, Row, row_of

END: Final = "_end"
_BATCH: Final = 1_000
_PATIENCE: Final = 60.0  # seconds that somebody else may write
_AFFINITY: Final = {"integer": "INTEGER", "flag": "INTEGER", "number": "REAL"}
_INDEXED: Final = ("url", "status", "outcome", "_url")
_SMALLEST, _LARGEST = -(1 << 63), (1 << 63) - 1


class SqliteTable:
    """The table `name` in the database at `path`, made of the lines of `log`.

    Without `columns` it gets those that the rows have. With `fresh` a table of that name is replaced; with `many` an
    input may have several rows. Raises OSError, ValueError for what is no database, sqlite3.Error as OSError.
    """

    live = True

    def __init__(
        self, path: str, name: str, log: str, columns: Columns | None, *, fresh: bool, many: bool = False
    ) -> None:
        self._path = path
        self._name = name
        self._log = log
        self._given = columns
        self._fresh = fresh
        self._many = many
        self._columns: dict[str, str] = {}  # by its name in lower case, as SQLite has them: as it is written
        self._position = 0
        self._db: sqlite3.Connection | None = None

    def begin(self, size: int) -> None:
        with _Errors():
            self._begin(size)

    def grow(self) -> None:
        with _Errors():
            self._take(self._whole_size())

    def finish(self) -> None:
        with _Errors():
            self._take(self._whole_size())
            assert self._db is not None
            # One file again, that may be copied: but while somebody reads, it is the last to close who tidies up.
            self._db.execute("PRAGMA busy_timeout = 0")
            with suppress(sqlite3.OperationalError):
                self._db.execute("PRAGMA journal_mode = DELETE")
            self._db.close()

    def give_up(self) -> None:
        """What it has stays, and the next run of a job goes on from there."""

    def _begin(self, size: int) -> None:
        # A thread of its own has all of it.
        self._db = db = sqlite3.connect(self._path, timeout=_PATIENCE, isolation_level=None)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("BEGIN IMMEDIATE")
        if self._fresh:
            db.execute(f"DROP TABLE IF EXISTS {_quoted(self._name)}")
        names = [f"{_quoted(name)} {_AFFINITY.get(kind, '')}".rstrip() for name, kind in (self._given or {}).items()]
        key = f"{NUMBER} INTEGER" if self._many else f"{NUMBER} INTEGER PRIMARY KEY"
        db.execute(f"CREATE TABLE IF NOT EXISTS {_quoted(self._name)} ({', '.join([key, f'{END} INTEGER', *names])})")
        if self._many:
            self._index(NUMBER)
        for row in db.execute(f"PRAGMA table_info({_quoted(self._name)})"):
            self._columns[row[1].lower()] = row[1]
        for name in _INDEXED:
            if name in self._columns:
                self._index(name)
        stale = {row[0] for row in db.execute(f"SELECT {NUMBER} FROM {_quoted(self._name)} WHERE {END} > ?", (size,))}
        db.execute(f"DELETE FROM {_quoted(self._name)} WHERE {END} > ?", (size,))
        self._position = db.execute(f"SELECT coalesce(max({END}), 0) FROM {_quoted(self._name)}").fetchone()[0]
        if stale:  # an earlier line may tell of the same input
            self._put((end, row) for end, row in self._rows(0, self._position) if row.number in stale)
        db.execute("COMMIT")
        self._take(size)

    def _index(self, name: str) -> None:
        assert self._db is not None
        index = _quoted(f"{self._name}_{name}")
        self._db.execute(f"CREATE INDEX IF NOT EXISTS {index} ON {_quoted(self._name)} ({_quoted(name)})")

    def _whole_size(self) -> int:
        return os.stat(self._log).st_size  # noqa: PTH116

    def _take(self, size: int) -> None:
        """Go on in the log up to there."""
        assert self._db is not None
        rows = self._rows(self._position, size)
        while chunk := list(islice(rows, _BATCH)):
            self._db.execute("BEGIN IMMEDIATE")
            self._put(chunk)
            self._db.execute("COMMIT")
            self._position = chunk[-1][0]

    def _rows(self, begin: int, end: int) -> Iterator[tuple[int, Row]]:
        """The whole lines there: where each ends, and what it says."""
        with Path(self._log).open("rb") as log:
            log.seek(begin)
            while begin < end:
                line = log.readline()
                begin += len(line)
                if not line.endswith(b"\n"):  # it is being written
                    return
                yield begin, row_of(line)

    def _put(self, rows: Iterable[tuple[int, Row]]) -> None:
        assert self._db is not None
        table = _quoted(self._name)
        for end, row in rows:
            if self._many and row.begins:
                self._db.execute(f"DELETE FROM {table} WHERE {NUMBER} = ?", (row.number,))
            names = self._fitted(flattened(row.values))
            slots = ", ".join("?" * (len(names) + 2))
            self._db.execute(
                f"INSERT OR REPLACE INTO {table} ({', '.join([NUMBER, END, *map(_quoted, names)])}) VALUES ({slots})",
                (row.number, end, *map(_stored, names.values())),
            )

    def _fitted(self, row: dict[str, Any]) -> dict[str, Any]:
        """The row by the names of columns that there are; new ones are added."""
        fitted: dict[str, Any] = {}
        more: dict[str, Any] = {}
        for name, value in row.items():
            column = self._columns.get(name.lower())
            if column is None and (len(self._columns) < MOST_COLUMNS) and "\0" not in name:
                self._add(name)
                column = name
            if column is None or column in fitted or column.lower() in {NUMBER, END, MORE}:
                more[name] = value
            else:
                fitted[column] = value
        if more:
            if MORE not in self._columns:
                self._add(MORE)
            fitted[MORE] = more
        return fitted

    def _add(self, name: str) -> None:
        assert self._db is not None
        self._db.execute(f"ALTER TABLE {_quoted(self._name)} ADD COLUMN {_quoted(name)}")
        self._columns[name.lower()] = name
        if name in _INDEXED:
            self._index(name)


class _Errors:
    """What SQLite says, as an OSError or a ValueError."""

    def __enter__(self) -> None: ...

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, sqlite3.OperationalError):
            full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
            raise OSError(errno.ENOSPC if full else errno.EIO, str(error)) from error
        if isinstance(error, sqlite3.Error):
            raise ValueError(str(error)) from error  # noqa: TRY004 - the file is not what it should be


def _stored(value: Any) -> Any:
    if isinstance(value, (str, float)) or value is None:
        return value
    if isinstance(value, int) and _SMALLEST <= value <= _LARGEST:
        return value
    return json_bytes(value).decode()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
