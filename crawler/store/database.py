"""The database of a job: written in batches, one transaction each; read by frontier and job.

SQLite in WAL mode. A process that is killed loses the batches that were not committed, and nothing else. When the power
fails that may be the last ones that were, too, unless the store is `durable`; outputs may then be shorter than the
database says, see `fall_back`.
"""

# ruff: noqa: S608 - no part of any statement comes from outside
from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from crawler.models import Request
from crawler.seeds.inputs import BadLine
from crawler.store import seals
from crawler.store.batch import Batch, queue_ended, write_batch
from crawler.store.file import connect, database_errors, prepare, value_errors
from crawler.store.rows import (
    BEGUN,
    CONNECTED_QUERY,
    FIRST_ENDED,
    OWED,
    PARKED,
    QUEUED,
    REQUEST_QUERY,
    REQUEST_ROW,
    STATES,
    UNWRITTEN,
    Mark,
    Row,
    encodable,
    line_of,
    new_row,
    request_of,
    unfetched_row,
)

_MEMO: Final = 4096
_ASKED: Final = 500  # ids in one question
_offsets: Final = msgspec.json.Decoder(dict[int, int]).decode


class Books(msgspec.Struct, frozen=True):
    """What became of the inputs."""

    inputs: int
    ok: int
    failed: int
    skipped: int
    pending: int

    @property
    def balanced(self) -> bool:
        return self.inputs == self.ok + self.failed + self.skipped + self.pending


# The index is used only for these very words.
_PENDING: Final = f"state < {FIRST_ENDED}"
BOOKS_QUERY: Final = f"SELECT inputs, ok, failed, skipped, (SELECT count(*) FROM urls WHERE {_PENDING}) FROM books"


class Store:
    """The open database, created if it is not there. `epoch` is the time of day at which the monotonic clock said 0.

    `write` may be called in another thread than the rest, one call at a time and none during `close`. Raises CodedError
    `disk_full` or `write_error` when the disk does not do its part, StoreError for a file that is none of ours.
    """

    def __init__(self, path: Path, *, epoch: float = 0.0, durable: bool = False) -> None:
        self._path = path
        self._epoch = epoch
        self._origins: dict[str, int] = {}
        with database_errors(path):
            if not path.exists():
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))  # SQLite's other files follow it
            self._db = connect(path)
            prepare(self._db, path)
            self._db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._reader = connect(path)
            self._sealed: dict[str, int] = {
                table: self._read(f"SELECT coalesce(max(rowid), 0) FROM {table}")[0][0] for table in seals.GROWING
            }
            self._next_origin: int = self._read("SELECT coalesce(max(id), 0) + 1 FROM origins")[0][0]

    def close(self) -> None:
        """Leave one file behind, if nobody else reads."""
        with database_errors(self._path):
            self._reader.close()
            self._db.close()

    # Writing.

    def write(self, batch: Batch, at: float = 0.0) -> None:
        """Write a batch, whole or not at all. `at` is the time of day."""
        origins: list[Row] = []

        def origin(text: str | None) -> int | None:
            if text is None:
                return None
            number = self._origins.get(text)
            if number is None:
                if len(self._origins) >= _MEMO:  # a text may come to have two numbers: no harm
                    self._origins.clear()
                number = self._origins[text] = self._next_origin
                self._next_origin += 1
                origins.append((number, text))
            return number

        with database_errors(self._path):
            new = [new_row(entry, origin, self._epoch) for entry in batch.new]
            ended = list(batch.ended)
            for number, record, row in batch.unfetched:
                if self._db.execute("SELECT 1 FROM urls WHERE id = ?", (number,)).fetchone():
                    ended.append(row)
                else:
                    new.append(unfetched_row(number, record, row, origin))
            with self._transaction() as db:
                try:
                    sealed = write_batch(db, batch, (new, ended, origins), at, self._sealed)
                except UnicodeEncodeError:  # a lone surrogate: from the name of a file, say
                    db.execute("ROLLBACK")
                    db.execute("BEGIN IMMEDIATE")
                    rows = (encodable(new), encodable(ended), encodable(origins))
                    sealed = write_batch(db, batch, rows, at, self._sealed)
            self._sealed = sealed

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
            db.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # SQLite may have rolled back by itself; the first error is what must be told
                db.execute("ROLLBACK")
            raise

    def resume(self, at: float) -> float | None:
        """For how many seconds no run has been at work, at this time of day: 0 if the latest was killed; None: no run.

        What is stored as a time of day was meant as one that is some time away. A clock that has been set back since
        the last batch would make that longer: all is moved by as much.
        """
        with database_errors(self._path), self._transaction() as db:
            ahead = db.execute(
                "SELECT max(coalesce((SELECT at FROM batches ORDER BY number DESC LIMIT 1), 0), coalesce("
                "(SELECT max(started, coalesce(ended, started)) FROM runs ORDER BY id DESC LIMIT 1), 0)) - ?",
                (at,),
            ).fetchone()[0]
            if ahead > 0:
                db.execute(f"UPDATE urls SET not_before = not_before - ? WHERE {_PENDING}", (ahead,))
                db.execute("UPDATE hosts SET not_before = not_before - ?", (ahead,))
                db.execute("UPDATE batches SET at = min(at, ?)", (at,))
                db.execute("UPDATE runs SET started = min(started, ?), ended = min(ended, ?)", (at, at))
            latest = db.execute("SELECT ended FROM runs ORDER BY id DESC LIMIT 1").fetchone()
        if latest is None:
            return None
        return 0.0 if latest[0] is None else max(0.0, at - latest[0])

    def begin_run(self, at: float, pid: int, version: str) -> int:
        """Note that a run begins; gives its number."""
        with database_errors(self._path), self._transaction() as db:
            run = db.execute("INSERT INTO runs (started, pid, version) VALUES (?, ?, ?)", (at, pid, version)).lastrowid
        assert run is not None
        return run

    def end_run(self, run: int, at: float) -> None:
        with database_errors(self._path), self._transaction() as db:
            db.execute("UPDATE runs SET ended = ? WHERE id = ?", (at, run))

    def keep(self, part: str, value: bytes | str) -> None:
        """Note a value of the job, for `verify`."""
        with database_errors(self._path), self._transaction() as db:
            seals.keep(db, part, value)

    def add_output(self, path: str) -> int:
        """Note an output, of which nothing is committed yet; gives its number."""
        with database_errors(self._path), self._transaction() as db:
            number = db.execute("INSERT INTO outputs (path) VALUES (?)", (path,)).lastrowid
        assert number is not None
        return number

    def keep_outputs(self, paths: Iterable[str]) -> None:
        """Forget the outputs that are none of these: before anything was accepted, they may still be others."""
        kept = set(paths)
        with database_errors(self._path), self._transaction() as db:
            for number, path in db.execute("SELECT id, path FROM outputs").fetchall():
                if path not in kept:
                    db.execute("DELETE FROM outputs WHERE id = ?", (number,))

    def queue_failed(self, codes: Sequence[str] = (), *, omits_skips: bool = False) -> int:
        """Queue the URLs that failed again, or all that failed or were skipped with these codes; gives how many.

        What is not fetched, a bad line or a link that was not followed, stays what it is. `omits_skips` says that
        skipped links have no records in the outputs.
        """
        if codes:
            condition = f"state != {STATES['ok']} AND error IN ({', '.join('?' * len(codes))})"
        else:
            condition = f"state = {STATES['failed']}"
        earlier = f"NOT {UNWRITTEN}" if omits_skips else "1"
        with database_errors(self._path), self._transaction() as db:
            return queue_ended(db, f"host IS NOT NULL AND {condition}", tuple(codes), earlier)

    def fall_back(self, sizes: Mapping[int, int]) -> int:
        """Go back to the last batch whose lines are in files of these sizes (by number); gives how many URLs it costs.

        After a power failure an output may be shorter than what was committed. What was lost with it is queued again.
        """
        with database_errors(self._path), value_errors(self._path), self._transaction() as db:
            batch, offsets = 0, dict.fromkeys(sizes, 0)
            for number, text in db.execute("SELECT number, offsets FROM batches ORDER BY number DESC"):
                then = _offsets(text)
                if all(then.get(output, 0) <= size for output, size in sizes.items()):
                    batch, offsets = number, offsets | then
                    break
            lost = queue_ended(db, "batch > ?", (batch,), earlier="0")
            text = msgspec.json.encode(offsets).decode()
            db.execute("UPDATE batches SET offsets = ?, ended = 0 WHERE number > ?", (text, batch))
            seals.unseal(db, batch)
            db.executemany(
                "UPDATE outputs SET committed = ? WHERE id = ?", [(size, output) for output, size in offsets.items()]
            )
            return lost

    # Reading.

    def _read(self, query: str, values: Sequence[object] = (), row: Any = tuple[int, ...]) -> list[Any]:
        """The rows, each of the type `row`: in a damaged file a column may hold anything."""
        with database_errors(self._path), value_errors(self._path):
            rows: list[Any] = msgspec.convert(self._reader.execute(query, values).fetchall(), list[row])
            return rows

    def _each(self, query: str, row: Any) -> Iterator[Any]:
        """As `_read`, but one by one."""
        with database_errors(self._path), value_errors(self._path):
            for found in self._reader.execute(query):
                yield msgspec.convert(found, row)

    def _requests(self, rows: list[Row]) -> list[Request]:
        with value_errors(self._path):
            return [request_of(row, self._epoch) for row in rows]

    def fresh(self, host: str, after: int, limit: int) -> list[Request]:
        """The host's next fresh requests behind that id, in order."""
        rows = self._read(
            f"{REQUEST_QUERY} WHERE state = {QUEUED} AND {_PENDING} AND host = ? AND urls.id > ? ORDER BY urls.id LIMIT ?",  # noqa: E501
            (host, after, limit),
            REQUEST_ROW,
        )
        return self._requests(rows)

    def begun(self) -> list[tuple[Request, float]]:
        """What was queued again or parked, and when it may be fetched (monotonic), in that order."""
        rows = self._read(
            f"{REQUEST_QUERY} WHERE state IN ({BEGUN}, {PARKED}) AND {_PENDING} ORDER BY not_before, urls.id",
            row=REQUEST_ROW,
        )
        return [
            (request, (row[14] or 0.0) - self._epoch) for request, row in zip(self._requests(rows), rows, strict=True)
        ]

    def owed(self) -> list[tuple[int, BadLine]]:
        """The inputs that are not fetched, whose records are not written."""
        rows = self._read(f"{REQUEST_QUERY} WHERE state = {OWED} AND {_PENDING} ORDER BY urls.id", row=REQUEST_ROW)
        with value_errors(self._path):
            return [(row[0], line_of(row)) for row in rows]

    def backlog(self) -> list[tuple[str, int]]:
        """How many fresh requests there are for each host; the host with the oldest comes first."""
        rows: list[tuple[str, int]] = self._read(
            f"SELECT host, count(*) FROM urls WHERE state = {QUEUED} AND {_PENDING} GROUP BY host ORDER BY min(id)",
            row=tuple[str, int],
        )
        return rows

    def blocked(self, now: float) -> list[tuple[str, float]]:
        """The hosts that shall not be asked before a time (monotonic) that is still to come."""
        rows = self._read(
            "SELECT key, not_before FROM hosts WHERE not_before > ?", (now + self._epoch,), tuple[str, float]
        )
        return [(key, until - self._epoch) for key, until in rows]

    def delays(self) -> list[tuple[str, float]]:
        """The hosts that are asked more slowly than is configured: from request to request so many seconds."""
        rows: list[tuple[str, float]] = self._read("SELECT key, delay FROM delays", row=tuple[str, float])
        return rows

    def pages(self) -> tuple[int, set[int]]:
        """How many URLs have ended that were asked for, and the ids of those that were and have not. Reads all rows."""
        ended: int = self._read(f"SELECT count(*) FROM urls WHERE state >= {FIRST_ENDED} AND attempt > 0")[0][0]
        begun = self._read(f"SELECT id FROM urls WHERE state IN ({BEGUN}, {PARKED}) AND {_PENDING}")
        return ended, {number for (number,) in begun}

    def recorded(self, numbers: set[int]) -> dict[int, bool]:
        """Of those inputs of these that are known: whether they have a record, be it of an earlier time."""
        found: dict[int, bool] = {}
        wanted = sorted(numbers)
        for at in range(0, len(wanted), _ASKED):
            some = wanted[at : at + _ASKED]
            query = (
                f"SELECT id, state >= {FIRST_ENDED} OR earlier > 0 FROM urls WHERE id IN ({', '.join('?' * len(some))})"
            )
            found |= {number: bool(is_recorded) for number, is_recorded in self._read(query, some, tuple[int, int])}
        return found

    def known_keys(self) -> Iterator[bytes]:
        """The keys of all known URLs, many at a time."""
        for (keys,) in self._each("SELECT keys FROM known", tuple[bytes]):
            yield keys

    def led_keys(self) -> Iterator[bytes]:
        """The keys of the URLs that redirects led to."""
        for (key,) in self._each("SELECT key FROM led", tuple[bytes]):
            yield key

    def books(self) -> Books:
        return Books(*self._read(BOOKS_QUERY)[0])

    def seeds(self) -> Mark:
        """How far the inputs were read."""
        return Mark(*self._read("SELECT seeds, seeds_crc FROM books")[0])

    def numbers(self) -> tuple[int, int, int]:
        """The id of the next input, that of the oldest pending one (or of the next), the number of the next batch."""
        following: int = self._read("SELECT coalesce(max(id) + 1, 0) FROM urls")[0][0]
        oldest: int | None = self._read(
            f"SELECT min(id) FROM urls INDEXED BY pending WHERE {_PENDING}", row=tuple[int | None]
        )[0][0]
        batch: int = self._read("SELECT coalesce(max(number), 0) + 1 FROM batches")[0][0]
        return following, following if oldest is None else oldest, batch

    def typed(self) -> Iterator[tuple[str, bool]]:
        """The URLs of the inputs, and whether they or their headers had credentials. Reads all rows."""
        query = (
            "SELECT url, userinfo IS NOT NULL OR coalesce(ask LIKE '%\"withheld\"%', 0) FROM urls "
            "LEFT JOIN asks ON asks.id = urls.id WHERE parent IS NULL AND host IS NOT NULL"
        )
        for url, withheld in self._each(query, tuple[str, int]):
            yield url, bool(withheld)

    def withheld(self) -> Iterator[tuple[int, str, str | None]]:
        """The inputs that wait and had credentials: their ids, URLs, and what is asked for beside these."""
        yield from self._each(
            "SELECT urls.id, url, ask FROM urls INDEXED BY pending LEFT JOIN asks ON asks.id = urls.id "
            f"WHERE {_PENDING} AND parent IS NULL AND (userinfo IS NOT NULL OR ask LIKE '%\"withheld\"%')",
            tuple[int, str, str | None],
        )

    def hops(self) -> Iterator[str]:
        """Where the redirects of the inputs led last. Reads all rows."""
        return self._texts("SELECT hop FROM urls WHERE parent IS NULL AND host IS NOT NULL AND hop IS NOT NULL")

    def connected(self) -> Iterator[tuple[str, str]]:
        """Host keys, and the addresses that were connected to there. Reads all rows."""
        yield from self._read(CONNECTED_QUERY, row=tuple[str, str])

    def too_deep(self) -> Iterator[str]:
        """The links that were recorded as too deep, and may still be followed. Reads all rows."""
        return self._texts("SELECT url FROM urls WHERE error = 'depth_limit'")

    def _texts(self, query: str) -> Iterator[str]:
        for (text,) in self._each(query, tuple[str]):
            yield text

    def in_order(self, oldest: int) -> bool:
        """True when no input after this one has ended."""
        query = f"SELECT EXISTS (SELECT 1 FROM urls WHERE id > ? AND state >= {FIRST_ENDED})"
        return not self._read(query, (oldest,))[0][0]

    def outputs(self) -> list[tuple[int, str, int]]:
        """Number, path and committed size of each output."""
        rows: list[tuple[int, str, int]] = self._read(
            "SELECT id, path, committed FROM outputs ORDER BY id", row=tuple[int, str, int]
        )
        return rows
