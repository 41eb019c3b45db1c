"""What one transaction of a job's database writes, and the statements that do it."""

# ruff: noqa: S608 - no part of any statement comes from outside
from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from crawler.models import Record
from crawler.store import seals
from crawler.store.asks import text_of
from crawler.store.rows import (
    AGAIN_COLUMNS,
    CHUNK,
    ENDED_COLUMNS,
    FIRST_ENDED,
    NEW_COLUMNS,
    OWED,
    QUEUED,
    STATES,
    TRY_COLUMNS,
    WAITING_COLUMNS,
    Mark,
    New,
    Row,
    encodable,
    hop_row,
    insert,
    update,
    update_chunk,
)

# In chunks: sqlite3 lets go of the interpreter's lock once a statement, and then the reactor goes on meanwhile.
_INSERT_WAITING: Final = (insert("urls", WAITING_COLUMNS), insert("urls", WAITING_COLUMNS, CHUNK))
_INSERT_NEW: Final = (insert("urls", NEW_COLUMNS), insert("urls", NEW_COLUMNS, CHUNK))
_END: Final = (update(ENDED_COLUMNS), update_chunk(ENDED_COLUMNS))
# The record may have been written when the run was stopped before it knew: then the URL has ended.
_QUEUE_AGAIN: Final = f"{update(AGAIN_COLUMNS)} AND state < {FIRST_ENDED}"
_INSERT_TRY: Final = insert("tries", TRY_COLUMNS)


class Batch:
    """What one transaction writes. `spilled` is the frontier's own: which backlogs it fills, to which id.

    `offsets` is how long each output is, `seals` the digest of what it has more than with the batch before.
    """

    __slots__ = (
        "again", "delays", "ended", "hops", "hosts", "led", "new", "number", "offsets", "seals", "seeds", "spilled",
        "tries", "unfetched",
    )  # fmt: skip

    def __init__(self, number: int) -> None:
        self.number = number
        self.new: list[New] = []
        self.again: list[Row] = []
        self.hops: list[Row] = []
        self.ended: list[Row] = []
        self.unfetched: list[tuple[int, Record, Row]] = []
        self.tries: list[Row] = []
        self.delays: list[tuple[str, float]] = []
        self.hosts: list[tuple[str, float]] = []
        self.led: list[tuple[bytes, int]] = []
        self.spilled: dict[Any, int] = {}
        self.seeds: Mark | None = None
        self.offsets: dict[int, int] = {}
        self.seals: dict[int, bytes] = {}


def write_batch(
    db: sqlite3.Connection,
    batch: Batch,
    rows: tuple[list[Row], list[Row], list[Row]],
    at: float,
    sealed: Mapping[str, int],
) -> dict[str, int]:
    """Write a batch inside a transaction. `rows` are those of its new inputs, of what ended, and of new origins.

    `sealed` says up to which row the tables are sealed that grow; gives how far they are now.
    """
    new, ended, origins = rows
    db.executemany("INSERT INTO origins (id, text) VALUES (?, ?)", origins)
    _many(db, _INSERT_WAITING, [row for row in new if len(row) == len(WAITING_COLUMNS)])
    _many(db, _INSERT_NEW, [row for row in new if len(row) != len(WAITING_COLUMNS)])
    db.executemany(_QUEUE_AGAIN, batch.again)
    _many(db, _END, ended)
    db.executemany(_INSERT_TRY, encodable(batch.tries))
    keys = b"".join([entry.key for entry in batch.new if entry.key is not None])
    if keys:
        db.execute("INSERT INTO known (batch, keys) VALUES (?, ?)", (batch.number, keys))
    led = batch.led + [(key, entry.id) for entry in batch.new for key in entry.led]
    db.executemany("INSERT OR REPLACE INTO led (key, id) VALUES (?, ?)", led)
    asks = [(entry.id, text) for entry in batch.new if (text := text_of(entry.what)) is not None]
    db.executemany("INSERT INTO asks (id, ask) VALUES (?, ?)", asks)
    again = [hop_row(entry.again) for entry in batch.new if entry.again is not None and entry.ended is None]
    hops = batch.hops + [row for row in again if row is not None]
    db.executemany("INSERT OR REPLACE INTO hops (id, method, ask) VALUES (?, ?, ?)", hops)
    db.executemany("INSERT OR REPLACE INTO hosts (key, not_before) VALUES (?, ?)", batch.hosts)
    db.executemany("INSERT OR REPLACE INTO delays (key, delay) VALUES (?, ?)", batch.delays)
    states = [row[1] for row in new] + [row[0] for row in ended]
    counts = [states.count(state) for state in STATES.values()]
    db.execute(
        "UPDATE books SET inputs = inputs + ?, ok = ok + ?, failed = failed + ?, skipped = skipped + ?",
        (len(new), *counts),
    )
    if batch.seeds is not None:
        db.execute("UPDATE books SET seeds = ?, seeds_crc = ?", (batch.seeds.count, batch.seeds.crc))
    db.executemany(
        "UPDATE outputs SET committed = ? WHERE id = ?", [(size, number) for number, size in batch.offsets.items()]
    )
    offsets = msgspec.json.encode(batch.offsets).decode()
    db.execute(
        "INSERT INTO batches (number, at, ended, offsets) VALUES (?, ?, ?, ?)",
        (batch.number, at, sum(counts), offsets),
    )
    for number, digest in batch.seals.items():
        seals.put(db, batch.number, str(number), digest)
    for table, written in (
        ("led", led),
        ("hosts", batch.hosts),
        ("delays", batch.delays),
        ("asks", asks),
        ("hops", hops),
    ):
        if written:
            seals.put(db, 0, table, 1)
    added = {"origins": bool(origins), "tries": bool(batch.tries), "known": bool(keys)}
    return {
        table: seals.seal_rows(db, batch.number, table, after) if added[table] else after
        for table, after in sealed.items()
    }


def _many(db: sqlite3.Connection, statements: tuple[str, str], rows: list[Row]) -> None:
    one, chunk = statements
    whole = len(rows) - len(rows) % CHUNK
    for at in range(0, whole, CHUNK):
        db.execute(chunk, ["" if value is None else value for row in rows[at : at + CHUNK] for value in row])
    db.executemany(one, rows[whole:])


def queue_ended(db: sqlite3.Connection, condition: str, values: tuple[object, ...], earlier: str) -> int:
    """Queue URLs that have ended as if they were new. What is not fetched is owed its record.

    `earlier` is SQL for how many records they keep in the outputs.
    """
    condition = f"state >= {FIRST_ENDED} AND {condition}"
    for name, state in STATES.items():
        db.execute(
            f"UPDATE books SET {name} = {name} - (SELECT count(*) FROM urls WHERE {condition} AND state = {state})",
            values,
        )
    # Whoever comes there first has the record now.
    db.execute(f"DELETE FROM led WHERE id IN (SELECT id FROM urls WHERE {condition})", values)
    seals.forget_empty(db, "led")
    db.execute(f"DELETE FROM hops WHERE id IN (SELECT id FROM urls WHERE {condition})", values)
    seals.forget_empty(db, "hops")
    return db.execute(
        f"UPDATE urls SET state = iif(host IS NULL, {OWED}, {QUEUED}), host = iif(host IS NULL, NULL, host_key(url)), "
        "error = iif(host IS NULL, error, NULL), message = iif(host IS NULL, message, NULL), status = NULL, "
        f"attempt = 1, not_before = NULL, hop = NULL, redirects = NULL, earlier = earlier + ({earlier}) "
        f"WHERE {condition}",
        values,
    ).rowcount
