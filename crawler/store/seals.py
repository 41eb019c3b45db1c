"""Seals: what a job keeps in its database to know again what it has written.

Each batch seals what it adds: to every output a range of bytes, to the tables that only grow their new rows. The seals
are committed in the same transaction as the batch, so at whatever instant a process is killed, what counts is sealed.
A digest tells what a disk or a hand has changed; who can write the database can write its seals as well.
"""

# ruff: noqa: S608 - no part of any statement comes from outside
from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any, BinaryIO, Final, NamedTuple

import msgspec

DIGEST: Final = 16
FILLED: Final = ("led", "hosts", "delays", "asks", "hops")
"""Tables whose rows are replaced: it is kept that they are not empty."""
GROWING: Final = ("origins", "tries", "known")
"""The tables to which rows are added, and of which none is changed or taken away."""
CONFIG: Final = "config.toml"
BODIES: Final = "bodies"  # its value is the folder's path
SINCE: Final = "since"  # its batch is the last one that an older crawler wrote: those up to it have no seals
_PIECE: Final = 1 << 20
_encode: Final = msgspec.msgpack.Encoder().encode
_offsets: Final = msgspec.json.Decoder(dict[int, int]).decode


class Range(NamedTuple):
    """Bytes of an output, from `begin` to before `end`."""

    begin: int
    end: int


class Ranges(NamedTuple):
    """How much of an output is sealed: what is `broken`, whose seal is `missing`, and how many bytes never had one."""

    broken: list[Range]
    missing: list[Range]
    unsealed: int


def of_text(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=DIGEST).digest()


def of_range(file: BinaryIO, begin: int, end: int) -> bytes:
    """The digest of these bytes, of which some may be missing. Reads a MiB at a time; lets go of the lock meanwhile."""
    digest = blake2b(digest_size=DIGEST)
    file.seek(begin)
    left = end - begin
    while left > 0 and (piece := file.read(min(left, _PIECE))):
        digest.update(piece)
        left -= len(piece)
    return digest.digest()


def of_rows(db: sqlite3.Connection, table: str, after: int, last: int | None = None) -> tuple[bytes, int]:
    """The digest of a table's rows behind that one (up to `last`), and the number of the last of them."""
    digest = blake2b(digest_size=DIGEST)
    found = after
    until = "" if last is None else f"AND rowid <= {last:d}"
    for row in db.execute(f"SELECT rowid, * FROM {table} WHERE rowid > ? {until} ORDER BY rowid", (after,)):
        digest.update(_encode(row))
        found = row[0]
    return digest.digest(), found


def seal_rows(db: sqlite3.Connection, batch: int, table: str, after: int) -> int:
    """Seal the rows behind that one; gives the number of the last."""
    digest, last = of_rows(db, table, after)
    if last > after:
        put(db, batch, table, digest + last.to_bytes(8, "big"))
    return last


def put(db: sqlite3.Connection, batch: int, part: str, value: bytes | int) -> None:
    db.execute("INSERT OR REPLACE INTO seals (batch, part, value) VALUES (?, ?, ?)", (batch, part, value))


def keep(db: sqlite3.Connection, part: str, value: bytes | str) -> None:
    """Note a value that may change from run to run; all that it was stays known."""
    db.execute(
        "INSERT INTO seals (batch, part, value) SELECT coalesce(max(batch), 0) + 1, ?1, ?2 FROM seals WHERE part = ?1 "
        "HAVING NOT EXISTS (SELECT 1 FROM seals WHERE part = ?1 AND value = ?2)",
        (part, value),
    )


def unseal(db: sqlite3.Connection, batch: int) -> None:
    """Forget the seals of outputs behind that batch: what they had more is lost."""
    db.execute("DELETE FROM seals WHERE batch > ? AND part IN (SELECT CAST(id AS TEXT) FROM outputs)", (batch,))


def forget_empty(db: sqlite3.Connection, table: str) -> None:
    """Rows were taken away; they may have been all."""
    db.execute(f"DELETE FROM seals WHERE part = ? AND NOT EXISTS (SELECT 1 FROM {table})", (table,))


def kept(db: sqlite3.Connection, part: str) -> list[Any]:
    """What was kept under this name, the latest last."""
    return [value for (value,) in db.execute("SELECT value FROM seals WHERE part = ? ORDER BY batch", (part,))]


def since(db: sqlite3.Connection) -> int | None:
    """The last batch without seals; None where even that is not known."""
    row: Any = db.execute("SELECT batch FROM seals WHERE part = ?", (SINCE,)).fetchone()
    return None if row is None else row[0]


def look_at_range(db: sqlite3.Connection, number: int, file: BinaryIO, first: int) -> Ranges:
    """Hold an output against its seals; `first` is the last batch without one. Reads all of the file."""
    ranges = Ranges([], [], 0)
    unsealed = begin = 0
    query = (
        "SELECT number, offsets, value FROM batches LEFT JOIN seals ON seals.batch = number AND part = ? "
        "ORDER BY number"
    )
    for batch, text, value in db.execute(query, (str(number),)):
        end = _offsets(text).get(number, begin)
        if end <= begin:
            continue
        if value is None:
            if batch > first:
                _join(ranges.missing, Range(begin, end))
            unsealed += end - begin
        elif of_range(file, begin, end) != value:
            _join(ranges.broken, Range(begin, end))
        begin = end
    return ranges._replace(unsealed=unsealed)


def look_at_rows(db: sqlite3.Connection) -> Iterator[str]:
    """Sentences about tables that are not as they were sealed."""
    for table in GROWING:
        after: int = (kept(db, f"{table} before") or [0])[0]
        for batch, value in db.execute("SELECT batch, value FROM seals WHERE part = ? ORDER BY batch", (table,)):
            last = int.from_bytes(value[DIGEST:], "big")
            digest, _ = of_rows(db, table, after, last)
            if digest != value[:DIGEST]:
                yield f"the rows of the table {table} are not those that batch {batch:,} wrote"
            after = last
        (more,) = db.execute(f"SELECT count(*) FROM {table} WHERE rowid > ?", (after,)).fetchone()
        if more:
            yield f"the table {table} has {more:,} rows that no batch wrote"


def look_at_filled(db: sqlite3.Connection) -> Iterator[str]:
    """Sentences about tables that have lost their rows."""
    for table in FILLED:
        if kept(db, table) and not db.execute(f"SELECT EXISTS (SELECT 1 FROM {table})").fetchone()[0]:
            yield f"the table {table} has lost its rows"


def _join(ranges: list[Range], more: Range) -> None:
    if ranges and ranges[-1].end == more.begin:
        ranges[-1] = Range(ranges[-1].begin, more.end)
    else:
        ranges.append(more)
