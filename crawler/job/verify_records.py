"""The records of an output against the rows of a job: each is there as often as it should be, and says the same."""

# ruff: noqa: S608 - no part of any statement comes from outside
from __future__ import annotations

import csv
import gzip
import re
import sqlite3
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, cast

import msgspec

from crawler.config.config import Config
from crawler.files import bounded_lines, wide_rows
from crawler.job.verify_bodies import Body
from crawler.models import Input, Redirect
from crawler.store.rows import FIRST_ENDED, STATES, UNWRITTEN

SHOWN: Final = 10
UNREADABLE: Final = (OSError, EOFError, zlib.error, csv.Error, msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
LONGEST: Final = 64 << 20
"""Bytes of a line without a body in it; JSON makes up to six of one byte of a body."""
_MOST: Final = 512 << 20
_TABLES: Final = {".csv": ",", ".tsv": "\t"}
_NAMES: Final = ("url", "input_source", "input_line", "input_parent")
# SQL: how many records of a row there are in each output.
_RECORDS: Final = f"earlier + (state >= {FIRST_ENDED})"
_RECORDS_WANTED: Final = f"earlier + (state >= {FIRST_ENDED} AND NOT {UNWRITTEN})"
_OUTCOMES: Final = {state: outcome for outcome, state in STATES.items()}
# What a record says and the row of its URL, too: the column of a table of records -> that of urls.
_FACTS: Final = {
    "outcome": "state",
    "status": "status",
    "error_code": "error",
    "error_message": "message",
    "attempts": "attempt",
    "redirects": "redirects",
    "started": "started",
    "time_namelookup": "namelookup",
    "time_connect": "connect",
    "time_appconnect": "appconnect",
    "time_starttransfer": "starttransfer",
    "time_total": "total",
    "remote_ip": "remote_ip",
}
_GUARDED: Final = re.compile("(?<=[;\t\r\n])'")
_encode: Final = msgspec.json.Encoder().encode

Name = tuple[str, str, str, str]
"""What tells a record from all others of its job: URL, source, line and parent, as text."""


class RecordFacts(NamedTuple):
    """One record of an output: its name, the digest of what it says that its row says as well, and its body."""

    name: Name
    facts: bytes
    body: Body


class _Error(msgspec.Struct, gc=False):
    code: str | None = None
    message: str | None = None


class _Line(msgspec.Struct, gc=False):
    url: str | None = None
    input: Input | None = None
    outcome: str | None = None
    status: int | None = None
    error: _Error | None = None
    error_code: str | None = None  # so --fields calls them, if they are asked for by themselves
    error_message: str | None = None
    attempts: int | None = None
    redirects: list[Redirect] | None = None
    started: str | None = None
    time_namelookup: float | None = None
    time_connect: float | None = None
    time_appconnect: float | None = None
    time_starttransfer: float | None = None
    time_total: float | None = None
    remote_ip: str | None = None
    sha256: str | None = None
    content_type: str | None = None
    size_body: int | None = None
    body_path: str | msgspec.UnsetType | None = msgspec.UNSET


class Rows:
    """What a job knows of its inputs. `facts` are the columns of a record that its outputs have, and the rows, too."""

    def __init__(self, db: sqlite3.Connection, config: Config) -> None:
        self.db = db
        self.records = _RECORDS_WANTED if config.omits_skips else _RECORDS
        fields = {*config.fields}
        named = {"error_code", "error_message"} if "error" in fields else set()
        self.facts = [name for name in _FACTS if not fields or name in fields | named]
        self.named = not fields or {"url", "input"} <= fields
        with_body = config.include_body or "body" in fields
        self.longest = min(max(LONGEST, 6 * config.max_size), _MOST) if with_body else LONGEST
        self.expected: int = db.execute(f"SELECT coalesce(sum({self.records}), 0) FROM urls").fetchone()[0]

    def names(self) -> Iterator[tuple[bytes, int, bytes | None]]:
        """For each record that there should be: the key of its name, its input, and what the last of them says."""
        columns = ", ".join(_FACTS[name] for name in self.facts) or "NULL"
        query = (
            "SELECT urls.id, coalesce(written, url), sources.text, line, parents.text, "
            f"{self.records}, state, {columns} FROM urls "
            "LEFT JOIN origins AS sources ON sources.id = urls.source "
            "LEFT JOIN origins AS parents ON parents.id = urls.parent"
        )
        for number, url, source, line, parent, count, state, *values in self.db.execute(query):
            key = _key(_name(url, source, line, parent))
            told = dict(zip(self.facts, values, strict=False))
            told["outcome"] = _OUTCOMES.get(state)
            facts = _digest(self.facts, told) if state >= FIRST_ENDED else None
            for _ in range(count):
                yield key, number, facts
                facts = None  # what earlier ones say is not kept


def compare(rows: Rows, path: str, file: BinaryIO, look: Callable[[Body], None] | None) -> list[str]:
    """What is wrong with the records of one output; `look` is told of each body."""
    records = _records(file, path.lower(), rows)
    if not rows.named:
        written = 0
        for record in records:
            written += 1
            if look is not None:
                look(record.body)
        return (
            []
            if written == rows.expected
            else [f"{path} has {written:,} records, and there should be {rows.expected:,}"]
        )
    db = rows.db
    db.execute("CREATE TEMP TABLE tally (key BLOB NOT NULL, id INTEGER, line INTEGER, facts BLOB)")
    try:
        db.executemany("INSERT INTO tally (key, line, facts) VALUES (?, ?, ?)", _lines(records, look))
        db.executemany("INSERT INTO tally (key, id, facts) VALUES (?, ?, ?)", rows.names())
        miscounted = db.execute(
            "SELECT count(id), count(line), min(id), min(line), max(line) FROM tally "
            "GROUP BY key HAVING count(id) != count(line) ORDER BY min(id), min(line)"
        ).fetchall()
        db.execute("CREATE INDEX temp.keys ON tally (key)")
        other = db.execute(
            "SELECT id, (SELECT max(line) FROM tally AS theirs WHERE theirs.key = ours.key) AS last FROM tally AS ours "
            "WHERE id IS NOT NULL AND facts IS NOT NULL AND last IS NOT NULL AND NOT EXISTS (SELECT 1 FROM tally AS "
            "theirs WHERE theirs.key = ours.key AND line IS NOT NULL AND theirs.facts = ours.facts) ORDER BY id"
        ).fetchall()
    finally:
        db.execute("DROP TABLE tally")
    problems = [_miscounted(db, path, *row) for row in miscounted[:SHOWN]]
    problems += [_other(db, path, *row) for row in other[:SHOWN]]
    more = max(0, len(miscounted) - SHOWN) + max(0, len(other) - SHOWN)
    return [*problems, f"{path}: and {more:,} more like these"] if more else problems


def _miscounted(
    db: sqlite3.Connection, path: str, wanted: int, found: int, number: int | None, first: int | None, last: int | None
) -> str:
    if number is None:
        return f"{path}: record {first} is of no input of this job"
    url = _url(db, number)
    if found < wanted:
        return f"{path}: the record of input {number} is missing ({url})"
    return f"{path}: input {number} has {found} records and not {wanted}, the last is record {last} ({url})"


def _other(db: sqlite3.Connection, path: str, number: int, line: int) -> str:
    state, status, error = db.execute("SELECT state, status, error FROM urls WHERE id = ?", (number,)).fetchone()
    words = " ".join(str(word) for word in (_OUTCOMES.get(state), status, error) if word is not None)
    return f"{path}: record {line} does not say what the books say of input {number}, {words} ({_url(db, number)})"


def _url(db: sqlite3.Connection, number: int) -> str:
    url: str = db.execute("SELECT coalesce(written, url) FROM urls WHERE id = ?", (number,)).fetchone()[0]
    return url


def _lines(records: Iterator[RecordFacts], look: Callable[[Body], None] | None) -> Iterator[tuple[bytes, int, bytes]]:
    for line, record in enumerate(records, 1):
        if look is not None:
            look(record.body)
        yield _key(record.name), line, record.facts


def _records(file: BinaryIO, path: str, rows: Rows) -> Iterator[RecordFacts]:
    if path.endswith(".gz"):
        file = cast(BinaryIO, gzip.GzipFile(fileobj=file))
    delimiter = _TABLES.get(Path(path.removesuffix(".gz")).suffix)
    lines = _bounded(file, rows.longest)
    return _of_json(lines, rows.facts) if delimiter is None else _of_table(lines, delimiter, rows)


def _bounded(file: BinaryIO, longest: int) -> Iterator[bytes]:
    for number, text in enumerate(bounded_lines(file, longest), 1):
        if text is None:
            raise EOFError(f"line {number:,} has more than {longest >> 20} MiB")
        yield text


def _of_json(lines: Iterator[bytes], facts: Sequence[str]) -> Iterator[RecordFacts]:
    decode = msgspec.json.Decoder(_Line).decode
    for text in lines:
        line = decode(text)
        place = line.input or Input()
        told: dict[str, object] = {name: getattr(line, name) for name in facts}
        if line.error is not None:
            told |= {"error_code": line.error.code, "error_message": line.error.message}
        told["redirects"] = _encode(line.redirects).decode() if line.redirects else None
        _as_in_the_books(told)
        yield RecordFacts(
            _name(line.url, place.source, place.line, place.parent),
            _digest(facts, told),
            Body(
                line.sha256,
                line.content_type,
                line.size_body,
                None if line.body_path is msgspec.UNSET else line.body_path or "",
            ),
        )


def _of_table(lines: Iterator[bytes], delimiter: str, rows: Rows) -> Iterator[RecordFacts]:
    table = wide_rows((text.decode("utf-8-sig") for text in lines), delimiter, rows.longest)
    columns = next(table, [])
    for cells in filter(None, table):
        row = dict(zip(columns, cells, strict=False))
        told: dict[str, object] = {**row}
        if told.get("redirects") == "[]":
            told["redirects"] = None
        _as_in_the_books(told)
        size = row.get("size_body") or ""
        yield RecordFacts(
            _name(*(row.get(name) for name in _NAMES)),
            _digest(rows.facts, told),
            Body(
                row.get("sha256") or None,
                _bare(row.get("content_type")),
                int(size) if size.isdigit() else None,
                row.get("body_path"),
            ),
        )


def _as_in_the_books(told: dict[str, object]) -> None:
    if told.get("outcome") == "unchanged":
        told["outcome"] = "ok"


def _digest(facts: Sequence[str], told: Mapping[str, object]) -> bytes:
    """Of what is told, as text: a table has no other values."""
    text = "\0".join([_text(told.get(name)) for name in facts])
    return blake2b(text.encode("utf-8", "replace"), digest_size=8).digest()


def _text(value: object) -> str:
    return _bare(value) if isinstance(value, str) else "" if value is None else repr(value)


def _name(url: str | None, source: str | None, line: object, parent: str | None) -> Name:
    # A table has apostrophes before what a spreadsheet would run.
    return (_bare(url), _bare(source), "" if line is None else str(line), _bare(parent))


def _bare(text: str | None) -> str:
    return _GUARDED.sub("", text).lstrip("'") if text and "'" in text else text or ""


def _key(name: Name) -> bytes:
    return blake2b("\n".join(name).encode("utf-8", "replace"), digest_size=16).digest()
