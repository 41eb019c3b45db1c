"""Rows as Arrow's record batches, typed by the kinds of their columns. Needs pyarrow (the extra `tables`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import msgspec

from crawler.models import Record
from crawler.printable import well_formed
from crawler.sinks.fields import Selection
from crawler.sinks.tables.columns import LISTS, Columns, Kind, Seen, fitting, of_records

if TYPE_CHECKING:
    import pyarrow as pa

NEEDS: Final = "needs one more package: pip install 'everyurl[tables]'"
_BATCH: Final = 4_096  # rows
_BATCH_CELLS: Final = 200_000


def records_table(records: Iterable[Record], *, fields: Sequence[str] = ()) -> pa.Table:
    """The records as a pyarrow Table, a row each, in the columns and types of a Parquet output.

    `fields` picks columns as `--fields` does. `input` and `error` are in their parts (`error_code`), headers are a map
    of lists, `started` is a time, `data` and `meta` are JSON as text. Raises ValueError for a field that does not
    exist, ImportError without pyarrow.
    """
    import pyarrow as pa

    columns, unseen = of_records(fields)
    select = Selection(tuple(columns))
    rows = [dict(zip(columns, msgspec.to_builtins(select(record)), strict=True)) for record in records]
    seen = Seen()
    for name in unseen:
        for row in rows:
            seen.show(name, row[name])
        columns[name] = seen.kind(name)
    return pa.Table.from_batches(list(batches(rows, columns)), schema_of(columns))


def schema_of(columns: Columns) -> pa.Schema:
    import pyarrow as pa

    plain: dict[Kind, pa.DataType] = {
        "flag": pa.bool_(),
        "integer": pa.int64(),
        "number": pa.float64(),
        "text": pa.string(),
        "json": pa.string(),
        "time": pa.timestamp("ms", "UTC"),
        "headers": pa.map_(pa.string(), pa.list_(pa.string())),
        "redirects": pa.list_(
            pa.struct([("url", pa.string()), ("status", pa.int64()), ("error", pa.string())])
        ),
    }  # fmt: skip
    lists = {many: pa.list_(plain[one]) for one, many in LISTS.items()}
    return pa.schema([(name, plain[kind] if kind in plain else lists[kind]) for name, kind in columns.items()])


def batches(rows: Iterable[Mapping[str, Any]], columns: Columns) -> Iterator[pa.RecordBatch]:
    """The rows in batches of some thousand, of fewer where there are many columns."""
    schema = schema_of(columns)
    rows = iter(rows)
    most = max(1, min(_BATCH, _BATCH_CELLS // max(1, len(columns))))
    while chunk := list(islice(rows, most)):
        try:
            yield _batch(chunk, columns, schema)
        except UnicodeEncodeError:  # a lone surrogate somewhere
            yield _batch(well_formed(chunk), columns, schema)


def _batch(rows: Sequence[Mapping[str, Any]], columns: Columns, schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    arrays = [
        pa.array([_value(row.get(name), kind) for row in rows], schema.field(name).type)
        for name, kind in columns.items()
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _value(value: Any, kind: Kind) -> Any:
    if value is None:
        return None
    if kind == "time":
        from datetime import datetime

        return datetime.fromisoformat(value)
    if kind == "headers":
        return list(value.items())
    return fitting(value, kind)
