"""Rows of a table of records: CSV, TSV, Parquet, SQLite, DuckDB. One at a time, as dicts of what is wanted of them."""

from __future__ import annotations

import csv
import io
import sqlite3
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from crawler.config.kinds import shown
from crawler.config.sources import ConfigError
from crawler.files import wide_rows
from crawler.report.sources.streams import PACKED

SEPARATED: Final = {".csv": ",", ".tsv": "\t"}
SUFFIXES: Final = frozenset((*SEPARATED, ".parquet", ".sqlite", ".sqlite3", ".db", ".duckdb"))
_AT_ONCE: Final = 1_000
_NEEDS: Final = {".parquet": "pyarrow", ".duckdb": "duckdb"}
_FIELD: Final = 64 << 20  # characters of a cell: a body may be in it
_decode: Final = msgspec.json.Decoder().decode

Row = dict[str, Any]


def suffix_of(path: str) -> str:
    """The suffix of a table, packed or not; empty for what is none."""
    name = path.lower()
    for packed in PACKED:
        name = name.removesuffix(packed)
    suffix = Path(name).suffix
    return suffix if suffix in SUFFIXES else ""


def separated_rows(file: BinaryIO, delimiter: str, wanted: Sequence[str]) -> Generator[Row]:
    """Those of CSV or TSV, also as other programs write it: see `_columns`. Bytes that are no UTF-8 stay as escapes.

    Raises csv.Error, ConfigError.
    """
    text = io.TextIOWrapper(file, "utf-8", "backslashreplace", newline="")
    names = set(wanted)
    try:
        columns, delimiter = _columns(text.readline(_FIELD), delimiter)
        for cells in wide_rows(text, delimiter, _FIELD):
            row = {name: value for name, value in zip(columns, cells, strict=False) if name in names and value}
            if cells:
                yield row
    finally:
        text.detach()


def _columns(head: str, delimiter: str) -> tuple[list[str], str]:
    """The names of the columns, in lower case, and what is between them: what makes a column `url` of the first line.

    Raises ConfigError where nothing does.
    """
    for separator in dict.fromkeys((delimiter, ",", ";", "\t")):
        columns = [name.strip().lower() for name in next(csv.reader([head], delimiter=separator), ())]
        if "url" in columns:
            return columns, separator
    _check(False, "the table")
    raise AssertionError


def stored_rows(path: str, suffix: str, wanted: Sequence[str]) -> Generator[Row]:
    """Those of a file that holds tables: of the first with a column `url`. Raises ConfigError, and its own errors."""
    needs = _NEEDS.get(suffix)
    if needs is not None and find_spec(needs) is None:
        raise ConfigError(f"report: {suffix} needs {needs}: pip install 'everyurl[tables]'")
    if suffix == ".parquet":
        yield from _of_parquet(path, wanted)
    elif suffix == ".duckdb":
        yield from _of_duckdb(path, wanted)
    else:
        yield from _of_sqlite(path, wanted)


def _of_parquet(path: str, wanted: Sequence[str]) -> Generator[Row]:
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path) as file:
        names = [name for name in wanted if name in file.schema_arrow.names]
        _check("url" in names, shown(path))
        for batch in file.iter_batches(_AT_ONCE, columns=names):
            yield from batch.to_pylist()


def _of_sqlite(path: str, wanted: Sequence[str]) -> Generator[Row]:
    place = Path(path).resolve().as_uri()
    with closing(sqlite3.connect(f"{place}?mode=ro", uri=True)) as db:
        tables = db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY rowid").fetchall()

        def columns(table: str) -> list[str]:
            return [row[1] for row in db.execute(f"PRAGMA table_info({_quoted(table)})")]

        yield from _of_table(db, [name for (name,) in tables], columns, path, wanted)


def _of_duckdb(path: str, wanted: Sequence[str]) -> Generator[Row]:
    import duckdb

    with duckdb.connect(path, read_only=True) as db:
        tables = db.execute("SELECT table_name FROM duckdb_tables() ORDER BY table_oid").fetchall()

        def columns(table: str) -> list[str]:
            return [row[0] for row in db.execute(f"DESCRIBE {_quoted(table)}").fetchall()]

        yield from _of_table(db, [name for (name,) in tables], columns, path, wanted)


def _of_table(
    db: Any, tables: Sequence[str], columns: Callable[[str], list[str]], path: str, wanted: Sequence[str]
) -> Generator[Row]:
    for table in tables:
        there = columns(table)
        if "url" not in there:
            continue
        names = [name for name in wanted if name in there]
        cursor = db.execute(f"SELECT {', '.join(map(_quoted, names))} FROM {_quoted(table)}")  # noqa: S608 - quoted
        while rows := cursor.fetchmany(_AT_ONCE):
            for row in rows:
                yield dict(zip(names, row, strict=True))
        return
    _check(False, shown(path))


def _check(has_urls: bool, path: str) -> None:
    if not has_urls:
        raise ConfigError(f"report: {path} has no column url: it holds no records")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def of_row(row: Row, nested: Sequence[str]) -> Row:
    """A row as the record that it was: without what is empty, `nested` columns read from JSON where they are text."""
    record: Row = {}
    for name, value in row.items():
        if value is None or value == "" or value != value:  # noqa: PLR0124 - NaN, as pandas has for what is not there
            continue
        if name in nested and isinstance(value, str):
            value = _decode(value)  # noqa: PLW2901
        record[name] = value
    return record
