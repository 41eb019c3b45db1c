"""The tables of a job's database, and how the values that travel become rows and back. Nothing here does I/O."""

# ruff: noqa: S608 - no part of any statement comes from outside
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from crawler.errors import CodedError
from crawler.models import Ending, Input, Record, Redirect, Request, Response
from crawler.seeds.inputs import BadLine
from crawler.store.asks import WITHHELD, ask_of, meta_of, text_of
from crawler.urls import parse

APPLICATION_ID: Final = 0x4372776C  # "Crwl"; `file` and SQLite's own tools show it
VERSION: Final = 5

# The state of a URL. Leases are not among them: they live in memory, and what was leased is queued when a run died.
QUEUED: Final = 0  # fresh
BEGUN: Final = 1  # queued again: a redirect hop or another try
PARKED: Final = 2
OWED: Final = 3  # an input that is not fetched, whose record is not written yet
STATES: Final[dict[Ending, int]] = {"ok": 4, "failed": 5, "skipped": 6}
FIRST_ENDED: Final = 4
UNWRITTEN: Final = f"(state = {STATES['skipped']} AND parent IS NOT NULL AND attempt = 0)"
"""The rows that have no record in the outputs unless --skipped asks for it, as sinks/wanted.py has it."""

_FIRST: Final = """
CREATE TABLE urls (
    id INTEGER PRIMARY KEY,     -- Request.id
    state INTEGER NOT NULL,
    host TEXT,                  -- Url.host_key of what is fetched next; NULL for a line that is no URL
    url TEXT NOT NULL,          -- as it was first asked for, without userinfo
    userinfo TEXT,
    written TEXT,               -- where it differs from url
    method TEXT,                -- where it is not GET
    source INTEGER,             -- origins.id
    line INTEGER,
    parent INTEGER,             -- origins.id
    depth INTEGER,
    accepted REAL,              -- times are seconds since the epoch
    attempt INTEGER NOT NULL DEFAULT 1,
    not_before REAL,
    hop TEXT,                   -- the target of the last redirect, with userinfo: fetched next, or last
    redirects TEXT,             -- JSON, as in the record
    batch INTEGER,              -- with which the record was written
    earlier INTEGER NOT NULL DEFAULT 0,  -- records that were written before `retry` queued the URL again
    status INTEGER,
    error TEXT,
    message TEXT,
    started TEXT,
    namelookup REAL, connect REAL, appconnect REAL, starttransfer REAL, total REAL,
    remote_ip TEXT
);
CREATE INDEX pending ON urls (state, host, id) WHERE state < 4;
CREATE TABLE tries (            -- those after which another try or hop followed; the last one stands in urls
    id INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    url TEXT NOT NULL,
    started REAL,
    status INTEGER,
    error TEXT,
    message TEXT,
    namelookup REAL, connect REAL, appconnect REAL, starttransfer REAL, total REAL,
    remote_ip TEXT
);
CREATE INDEX tries_of ON tries (id);
CREATE TABLE origins (id INTEGER PRIMARY KEY, text TEXT NOT NULL);  -- names of sources, URLs of parents
CREATE TABLE known (batch INTEGER PRIMARY KEY, keys BLOB NOT NULL); -- 16 bytes each
CREATE TABLE hosts (key TEXT PRIMARY KEY, not_before REAL NOT NULL);
CREATE TABLE outputs (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, committed INTEGER NOT NULL DEFAULT 0);
CREATE TABLE batches (
    number INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    ended INTEGER NOT NULL,
    offsets TEXT NOT NULL       -- JSON: outputs.id -> how long the file was
);
CREATE TABLE books (
    inputs INTEGER NOT NULL, ok INTEGER NOT NULL, failed INTEGER NOT NULL, skipped INTEGER NOT NULL,
    seeds INTEGER NOT NULL, seeds_crc INTEGER NOT NULL
);
INSERT INTO books VALUES (0, 0, 0, 0, 0, 0);
CREATE TABLE runs (id INTEGER PRIMARY KEY, started REAL NOT NULL, ended REAL, pid INTEGER, version TEXT);
"""
UPGRADES: Final = (
    # 2: what was written, to be compared with what is there
    """
CREATE TABLE seals (
    batch INTEGER NOT NULL,
    part TEXT NOT NULL,         -- outputs.id, or what else is kept of a job: see seals.py
    value NOT NULL,             -- a digest, for most of them
    PRIMARY KEY (batch, part)
) WITHOUT ROWID;
INSERT INTO seals SELECT coalesce(max(number), 0), 'since', 0 FROM batches;
INSERT INTO seals SELECT 0, 'origins before', coalesce(max(rowid), 0) FROM origins;
INSERT INTO seals SELECT 0, 'tries before', coalesce(max(rowid), 0) FROM tries;
INSERT INTO seals SELECT 0, 'known before', coalesce(max(rowid), 0) FROM known;
""",
    # 3: which URLs were come by on the way of another
    """
CREATE TABLE led (key BLOB PRIMARY KEY, id INTEGER NOT NULL) WITHOUT ROWID;  -- 16 bytes; urls.id of who was led there
""",
    # 4: which hosts are asked more slowly than is configured
    """
CREATE TABLE delays (key TEXT PRIMARY KEY, delay REAL NOT NULL) WITHOUT ROWID;
""",
    # 5: what is asked for beside the URL, and how behind a redirect
    """
CREATE TABLE asks (id INTEGER PRIMARY KEY, ask TEXT NOT NULL);  -- urls.id; JSON, see asks.py
CREATE TABLE hops (id INTEGER PRIMARY KEY, method TEXT NOT NULL, ask TEXT);  -- the same for urls.hop, if not GET alone
INSERT INTO hops SELECT id, method, NULL FROM urls WHERE hop IS NOT NULL AND method IS NOT NULL;
UPDATE urls SET userinfo = '*' WHERE userinfo IS NOT NULL;  -- only that there was one
""",
)
"""What each version has more than the one before it; a job of an older one gets it when it goes on."""


def schema(version: int = VERSION) -> str:
    """The statements that make the tables of this version."""
    return _FIRST + "".join(UPGRADES[: version - 1])


WAITING_COLUMNS: Final = (
    "id", "state", "host", "url", "userinfo", "written", "method", "source", "line", "parent", "depth", "accepted",
    "attempt", "not_before", "hop", "redirects",
)  # fmt: skip
NEW_COLUMNS: Final = (
    *WAITING_COLUMNS, "batch", "status", "error", "message", "started",
    "namelookup", "connect", "appconnect", "starttransfer", "total", "remote_ip",
)  # fmt: skip
ENDED_COLUMNS: Final = (
    "state", "attempt", "redirects", "batch", "status", "error", "message", "started",
    "namelookup", "connect", "appconnect", "starttransfer", "total", "remote_ip", "id",
)  # fmt: skip
AGAIN_COLUMNS: Final = ("state", "host", "attempt", "not_before", "hop", "redirects", "id")
TRY_COLUMNS: Final = (
    "id", "attempt", "url", "started", "status", "error", "message",
    "namelookup", "connect", "appconnect", "starttransfer", "total", "remote_ip",
)  # fmt: skip
REQUEST_QUERY: Final = """
SELECT urls.id, url, userinfo, written, iif(hop IS NULL, urls.method, hops.method), sources.text, line, parents.text,
       depth, accepted, attempt, hop, redirects, state, not_before, error, message, iif(hop IS NULL, asks.ask, hops.ask)
FROM urls
LEFT JOIN asks ON asks.id = urls.id
LEFT JOIN hops ON hops.id = urls.id
LEFT JOIN origins AS sources ON sources.id = urls.source
LEFT JOIN origins AS parents ON parents.id = urls.parent
"""

CONNECTED_QUERY: Final = f"""
SELECT key, remote_ip
FROM (SELECT host AS key, remote_ip FROM urls WHERE state >= {FIRST_ENDED}
      UNION SELECT host_key(url), remote_ip FROM tries)
WHERE key IS NOT NULL AND remote_ip IS NOT NULL
"""

CHUNK: Final = 32  # rows a statement: SQLite before 3.32 takes 999 values
REQUEST_ROW: Final = tuple[
    int, str, str | None, str | None, str | None, str | None, int | None, str | None, int | None, float | None,
    int, str | None, str | None, int, float | None, str | None, str | None, str | None,
]  # fmt: skip
"""What the columns of REQUEST_QUERY hold."""

Row = tuple[Any, ...]
Origin = Callable[[str | None], int | None]
"""Gives the number in `origins` of a text."""

_NO_TRY: Final = (None,) * 7  # from "started" on
_encode: Final = msgspec.json.Encoder().encode
_redirects: Final = msgspec.json.Decoder(tuple[Redirect, ...]).decode


def _slot(column: str) -> str:
    # sqlite3 takes ten times as long to bind a None as anything else: the empty text stands for it on the way.
    return "?" if column == "url" else "nullif(?, '')"


def _values(columns: Sequence[str], rows: int) -> str:
    return ", ".join([f"({', '.join(map(_slot, columns))})"] * rows)


def insert(table: str, columns: Sequence[str], rows: int = 1) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {_values(columns, rows)}"


def update(columns: Sequence[str]) -> str:
    """The row is found by the last column."""
    return f"UPDATE urls SET {', '.join(f'{name} = {_slot(name)}' for name in columns[:-1])} WHERE id = ?"


def update_chunk(columns: Sequence[str]) -> str:
    sets = ", ".join(f"{name} = new.{name}" for name in columns[:-1])
    new = f"WITH new ({', '.join(columns)}) AS (VALUES {_values(columns, CHUNK)})"
    return f"{new} UPDATE urls SET {sets} FROM new WHERE urls.id = new.id"


class Mark(msgspec.Struct, frozen=True, gc=False):
    """How far the inputs were read: so many of them, with this checksum over their texts."""

    count: int = 0
    crc: int = 0


class New(msgspec.Struct, gc=False):
    """An input that has no row yet, and all that has happened to it so far.

    `what` is a bad line, or the request as it was accepted; `again` the request as it was queued again, in `state`;
    `ended` the values of ENDED_COLUMNS, `led` the keys of the URLs that it was led to.
    `mark` is how far the inputs were read before it, if it is one of them.
    """

    id: int
    what: Request | BadLine
    mark: Mark | None
    key: bytes | None = None
    state: int = QUEUED
    again: Request | None = None
    not_before: float | None = None
    ended: Row | None = None
    led: tuple[bytes, ...] = ()


def new_row(new: New, origin: Origin, epoch: float) -> Row:
    """The values of NEW_COLUMNS, or of WAITING_COLUMNS for a URL that has not ended.

    `epoch` is the time of day at which the monotonic clock said 0.
    """
    what, again, ended = new.what, new.again, new.ended
    place = what.input
    came = (origin(place.source), place.line, origin(place.parent), place.depth)
    if isinstance(what, BadLine):
        head: Row = (new.id, OWED, None, what.text, None, None, None, *came, None)
        tail: Row = (1, None, None, None, None, None, what.error.code, what.error.message, *_NO_TRY)
    else:
        url = what.url
        href, written = url.href, what.written
        method = None if what.method == "GET" else what.method
        key = url.host_key if again is None else again.url.host_key
        head = (
            new.id,
            new.state,
            key,
            href,
            WITHHELD if url.userinfo else None,
            None if written == href else written,
            method,
        )
        head += (*came, what.accepted + epoch)
        tail = (1, None, None, None) if again is None else _where(again, new.not_before)
    if ended is None:
        return head + tail
    return (head[0], ended[0], *head[2:], ended[1], None, tail[2], *ended[2:-1])


def unfetched_row(number: int, record: Record, ended: Row, origin: Origin) -> Row:
    """The values of NEW_COLUMNS for an input that nothing is known of but its record."""
    place = record.input
    came = (origin(place.source), place.line, origin(place.parent), place.depth)
    return (number, ended[0], None, record.url, None, None, None, *came, None, ended[1], None, None, *ended[2:-1])


def ended_row(number: int, record: Record, batch: int) -> Row:
    """The values of ENDED_COLUMNS: what becomes of a URL with its record."""
    error = record.error
    return (
        STATES[record.ending],
        record.attempts,
        _encode(record.redirects).decode() if record.redirects else None,
        batch,
        record.status,
        None if error is None else error.code,
        None if error is None else error.message,
        record.started,
        record.time_namelookup,
        record.time_connect,
        record.time_appconnect,
        record.time_starttransfer,
        record.time_total,
        record.remote_ip,
        number,
    )


def again_row(request: Request, state: int, not_before: float) -> Row:
    """The values of AGAIN_COLUMNS: a request that was queued again."""
    return (state, request.url.host_key, *_where(request, not_before), request.id)


def _where(request: Request, not_before: float | None) -> Row:
    redirects = request.redirects
    if not redirects:
        return (request.attempt, not_before, None, None)
    # Without userinfo, whatever the schema says: inside an origin a hop has that of its URL, elsewhere none.
    return (request.attempt, not_before, request.url.href, _encode(redirects).decode())


def hop_row(request: Request) -> Row | None:
    """What the hop of a request that was queued again asks for, unless that is a plain URL."""
    if not request.redirects or (request.ask is None and request.method == "GET"):
        return None
    return (request.id, request.method, text_of(request))


def try_row(request: Request, response: Response) -> Row:
    """The values of TRY_COLUMNS: a try after which another one or a hop follows."""
    error, timings = response.error, response.timings
    return (
        request.id,
        request.attempt,
        request.url.href,
        response.started,
        response.status,
        None if error is None else error.code,
        None if error is None else error.message,
        timings.namelookup,
        timings.connect,
        timings.appconnect,
        timings.starttransfer,
        timings.total,
        response.remote_ip,
    )


def request_of(row: Row, epoch: float) -> Request:
    """The request that a row of REQUEST_QUERY stands for."""
    number, href, userinfo, written, method, source, line, parent, depth, accepted, attempt, hop, redirects, state = (
        row[:14]
    )
    url = parse(hop or href)
    chain = _redirects(redirects) if redirects else ()
    origin = url.href[: len(url.href) - len(url.target) + 1]
    login = WITHHELD if userinfo and all(redirect.url.startswith(origin) for redirect in chain) else ""
    if url.userinfo != login:
        url = msgspec.structs.replace(url, userinfo=login)
    return Request(
        number,
        url,
        href if written is None else written,
        Input(source, line, parent, depth),
        accepted - epoch,
        method or "GET",
        attempt,
        chain,
        state == PARKED,
        ask=ask_of(row[17]),
    )


def line_of(row: Row) -> BadLine:
    """The bad line that a row of REQUEST_QUERY stands for."""
    return BadLine(row[1], Input(*row[5:9]), CodedError(row[15], row[16]), meta_of(row[17]))


def encodable(rows: list[Row]) -> list[Row]:
    """The same rows with text that has a UTF-8 form."""
    return [
        tuple(
            value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
            if isinstance(value, str)
            else value
            for value in row
        )
        for row in rows
    ]
