"""Tables whose format has to know all rows before it is whole: Parquet, DuckDB, CSV of what pages give.

They are made at the end, of a log of JSON Lines, in bounded memory: in a thread, where nothing of the run waits for it.
"""

from __future__ import annotations

import codecs
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

from crawler.files import create
from crawler.sinks.csv import Cells
from crawler.sinks.tables.arrow import batches, schema_of
from crawler.sinks.tables.columns import Columns, Seen, decoded_lines, flattened

ROW_GROUP: Final = 32 << 20  # bytes of a Parquet row group, before it is packed
NUMBER: Final = "_id"
"""The key of a log's lines that says which input they are of."""

Rows = Callable[[], Iterator[Mapping[str, Any]]]
Write = Callable[[Rows, Columns, str], None]
"""Makes a file of rows, at a path where nothing is."""


def make(log: str, target: str, write: Write, columns: Columns | None, unseen: tuple[str, ...] = ()) -> None:
    """Have `write` make the table `target` of the lines in `log`, in place of what had its name, whole or not at all.

    Without `columns` the rows say which there are; `unseen` are those whose kind they say. Raises OSError, and
    ValueError for a log that is not whole.
    """
    rows = partial(_rows, log)
    if columns is None or unseen:
        columns = _looked_at(rows, columns, unseen)
    temporary = f"{target}.{secrets.token_hex(8)}.part"
    try:
        write(rows, columns, temporary)
        os.replace(temporary, target)  # noqa: PTH105
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        raise


def _rows(log: str) -> Iterator[Mapping[str, Any]]:
    with Path(log).open("rb") as lines:
        for row in decoded_lines(lines):
            del row[NUMBER]
            yield flattened(row)


def _looked_at(rows: Rows, columns: Columns | None, unseen: tuple[str, ...]) -> Columns:
    seen = Seen()
    for row in rows():
        for name in row if columns is None else unseen:
            seen.show(name, row.get(name))
    if columns is None:
        return {name: seen.kind(name) for name in seen.columns}
    return {name: seen.kind(name) if name in unseen else kind for name, kind in columns.items()}


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
    from duckdb import connect
    from pyarrow import RecordBatchReader

    reader = RecordBatchReader.from_batches(schema_of(columns), batches(rows(), columns))
    with connect(path) as db:
        db.execute("SET enable_progress_bar = false")  # it would be on our standard output
        db.register("rows", reader)
        db.execute(f"CREATE TABLE {table} AS SELECT * FROM rows")  # noqa: S608


def csv(rows: Rows, columns: Columns, path: str, *, delimiter: str, raw: bool, bom: bool) -> None:
    """As the sink writes it; `columns` were seen in the rows."""
    cells = Cells(delimiter, raw=raw)
    with os.fdopen(create(path), "wb") as file:
        file.write((codecs.BOM_UTF8 if bom else b"") + cells.header(list(columns)))
        file.writelines(cells.line([row.get(name) for name in columns]) for row in rows())
