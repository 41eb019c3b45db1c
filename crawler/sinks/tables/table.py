"""Which table a suffix is: made of a log, of records or of items."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from crawler.sinks.formats import SEPARATED
from crawler.sinks.tables import making
from crawler.sinks.tables.columns import of_records
from crawler.sinks.tables.logged import MadeAtTheEnd, Table

_RECORDS: Final = "records"
_ITEMS: Final = "items"


def open_table(
    path: str, log: str, suffix: str, *, items: bool, fields: Sequence[str], fresh: bool, raw: bool, bom: bool
) -> Table:
    """The table at `path`; of records it has the `fields`. With `fresh` one in a database is replaced.

    `raw` and `bom` are as for sinks.csv.Csv. Raises ValueError for a field that does not exist.
    """
    columns, unseen = (None, ()) if items else of_records(fields)
    name = _ITEMS if items else _RECORDS
    if suffix == ".sqlite":
        from crawler.sinks.tables.sqlite import SqliteTable

        return SqliteTable(path, name, log, columns, fresh=fresh, many=items)
    write: making.Write = making.parquet
    if suffix == ".duckdb":
        write = partial(making.duckdb, table=name)
    elif suffix in SEPARATED:
        write = partial(making.csv, delimiter=SEPARATED[suffix], raw=raw, bom=bom)
    make = partial(making.make, log, path, write, columns, unseen)
    return MadeAtTheEnd(lambda stopped: make(stopped=stopped))
