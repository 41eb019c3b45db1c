"""Tables whose format has to know all rows before it is whole: Parquet, DuckDB, CSV of what pages give.

They are made at the end, of a log of JSON Lines, in bounded memory: in a thread, where nothing of the run waits for it.
"""

# The os functions beside pathlib's: as everywhere that tables are made.
# ruff: noqa: PTH105, PTH108, PTH118, PTH208
from __future__ import annotations

import codecs
import errno
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

from crawler.files import FULL, create
from crawler.sinks.csv import Cells
from crawler.sinks.tables.arrow import batches, schema_of
from crawler.sinks.tables.columns import MORE, MOST_COLUMNS, Columns, Seen, flattened
from crawler.sinks.tables.log import row_of

ROW_GROUP: Final = 32 << 20  # bytes of a Parquet row group, before it is packed

_PART: Final = ".part"
_TOKEN: Final = 8  # bytes
_WAL: Final = ".wal"
"""What DuckDB puts beside its file. It would take one that is there for its own."""
_URL: Final = "_url"

Rows = Callable[[], Iterator[Mapping[str, Any]]]
Write = Callable[[Rows, Columns, str], None]
"""Makes a file of rows, at a path where nothing is."""


class GivenUpError(Exception):
    """The table is not wanted any more."""


def make(
    log: str,
    target: str,
    write: Write,
    columns: Columns | None,
    unseen: tuple[str, ...] = (),
    stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Have `write` make the table `target` of the lines in `log`, in place of what had its name, whole or not at all.

    Without `columns` the rows are items, and say which there are; `unseen` are those whose kind they say. What a killed
    run has left of its making goes. Raises OSError, ValueError for a log that is not whole, and GivenUpError soon after
    `stopped` says so.
    """
    rows: Rows = partial(_rows, log, stopped)
    if columns is None:
        columns, more = _columns_of_items(rows)
        if more:
            rows = partial(_folded, rows, columns)
    elif unseen:
        columns |= _looked_at(rows, unseen)
    for left in _left(target):
        _remove(left)
    temporary = f"{target}.{secrets.token_hex(_TOKEN)}{_PART}"
    try:
        write(rows, columns, temporary)
        _remove(target + _WAL)  # of the table that is replaced: it would be taken for the new one's
        os.replace(temporary, target)
    except BaseException:
        _remove(temporary)
        _remove(temporary + _WAL)
        raise


def _left(target: str) -> list[str]:
    """Files of tables in the making that nobody makes any more: whoever has the log makes the only one."""
    folder, name = os.path.split(target)
    mine = re.compile(rf"{re.escape(name)}\.[0-9a-f]{{{2 * _TOKEN}}}{re.escape(_PART)}(?:{re.escape(_WAL)})?")
    return [os.path.join(folder, name) for name in os.listdir(folder or os.curdir) if mine.fullmatch(name)]


def _remove(path: str) -> None:
    with suppress(OSError):
        os.unlink(path)


def _rows(log: str, stopped: Callable[[], bool]) -> Iterator[Mapping[str, Any]]:
    with Path(log).open("rb") as lines:
        for line in lines:
            if stopped():
                raise GivenUpError
            yield flattened(row_of(line).values)


def _columns_of_items(rows: Rows) -> tuple[Columns, bool]:
    """The columns that items have, and whether there are more than a table takes."""
    seen = Seen(MOST_COLUMNS)
    seen.show(_URL, None)  # a table has a column, even if there is no item
    for row in rows():
        for name, value in row.items():
            seen.show(name, value)
    columns = {name: seen.kind(name) for name in seen.columns}
    return (columns | {MORE: "json"} if seen.more else columns), seen.more


def _looked_at(rows: Rows, unseen: tuple[str, ...]) -> Columns:
    seen = Seen()
    for row in rows():
        for name in unseen:
            seen.show(name, row.get(name))
    return {name: seen.kind(name) for name in unseen}


def _folded(rows: Rows, columns: Columns) -> Iterator[Mapping[str, Any]]:
    """The rows, with what has no column of its own in one."""
    for row in rows():
        fitted = {name: value for name, value in row.items() if name in columns and name != MORE}
        if len(fitted) < len(row):
            fitted[MORE] = {name: value for name, value in row.items() if name not in fitted}
        yield fitted


def parquet(rows: Rows, columns: Columns, path: str) -> None:
    """In row groups that are bounded, packed with zstd."""
    from pyarrow import Table
    from pyarrow.parquet import ParquetWriter

    schema = schema_of(columns)
    with ParquetWriter(path, schema, compression="zstd") as writer:
        held: list[Any] = []
        for batch in batches(rows(), columns):
            held.append(batch)
            if sum(some.nbytes for some in held) >= ROW_GROUP:
                writer.write_table(Table.from_batches(held, schema))
                held = []
        if held:
            writer.write_table(Table.from_batches(held, schema))


def duckdb(rows: Rows, columns: Columns, path: str, *, table: str) -> None:
    """A database with this one table."""
    from duckdb import Error, IOException, connect
    from pyarrow import RecordBatchReader

    reader = RecordBatchReader.from_batches(schema_of(columns), batches(rows(), columns))
    try:
        with connect(path) as db:
            db.execute("SET enable_progress_bar = false")  # it would be on our standard output
            db.register("rows", reader)
            db.execute(f"CREATE TABLE {table} AS SELECT * FROM rows")  # noqa: S608
            db.execute("CHECKPOINT")  # when it is closed it does so, too, but tells nobody of a full disk
    except Error as error:
        words = str(error)  # what the system said stands only there, whatever the class
        number = next((number for number in FULL if os.strerror(number) in words), errno.EIO)
        if number != errno.EIO or isinstance(error, IOException):
            raise OSError(number, words) from error
        raise ValueError(words) from error


def csv(rows: Rows, columns: Columns, path: str, *, delimiter: str, raw: bool, bom: bool) -> None:
    """As the sink writes it; `columns` were seen in the rows."""
    cells = Cells(delimiter, raw=raw)
    with os.fdopen(create(path), "wb") as file:
        file.write((codecs.BOM_UTF8 if bom else b"") + cells.header(list(columns)))
        file.writelines(cells.line([row.get(name) for name in columns]) for row in rows())
