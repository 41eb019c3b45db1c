"""What can be asked of a job's folder: how it stands and why, also while a crawler is at work on it; and retry."""

# ruff: noqa: S608 - no part of any statement comes from outside
from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from crawler.config.config import Config
from crawler.errors import CodedError
from crawler.job.job import DATABASE, LOCK, OPTIONS_FILE, refuse_others, refuse_strangers
from crawler.job.lock import Lock, LockedError, NoLocksError, holder, no_locks, who
from crawler.job.options import JobError
from crawler.models import Input, Redirect
from crawler.redaction import redact, scrub
from crawler.sinks.formats import LINES, LOG
from crawler.store.database import BOOKS_QUERY, Books, Store
from crawler.store.file import StoreError, check_version, database_errors, open_to_read, value_errors
from crawler.store.rows import BEGUN, FIRST_ENDED, PARKED, STATES, TRY_COLUMNS
from crawler.urls import Url, parse

RECENT: Final = 60.0  # seconds over which a rate is taken
SHOWN: Final = 10
_STATES: Final = ("queued", "queued again", "parked", "waiting for its record", *STATES)
MAX_CHAIN: Final = 100
_INPUT: Final = "sources.text, line, parents.text"
_FROM: Final = """
FROM urls
LEFT JOIN origins AS sources ON sources.id = urls.source
LEFT JOIN origins AS parents ON parents.id = urls.parent
"""
_STORY: Final = (
    f"SELECT urls.id, url, written, state, {_INPUT}, depth, redirects, error, message, attempt, hop, started, status, "
    f"namelookup, connect, appconnect, starttransfer, total, remote_ip {_FROM}"
)

Answer = TypeVar("Answer", bound=msgspec.Struct)


class Left(msgspec.Struct, frozen=True):
    """What is left to fetch of one host: empty for lines that are no URLs, whose records are owed.

    `again` of them are redirect hops and further tries. Before `not_before`, seconds since the epoch, the host is not
    asked.
    """

    host: str
    pending: int
    again: int = 0
    not_before: float | None = None


class Status(msgspec.Struct, frozen=True):
    """How a job stands. `pid` is the process at work on it; times of day are seconds since the epoch.

    `untold` says why it cannot be told whether one is.

    `began` is when its first run did, `latest` when the latest one did, and `ended` when that was over: None if it was
    killed, or goes on. `rate` is records per second in the last minute of work; `eta` is how many seconds the rest
    takes at that rate. `hosts` are those with most left, of `hosts_left`; `statuses` counts the answers.
    """

    books: Books
    pid: int | None
    untold: str
    runs: int
    began: float | None
    latest: float | None
    ended: float | None
    last_record: float | None
    rate: float | None
    eta: float | None
    hosts: list[Left]
    hosts_left: int
    statuses: dict[int, int]
    errors: dict[str, int]
    outputs: dict[str, int]


class Attempt(msgspec.Struct, frozen=True):
    """One try of a URL, or one hop of it. Seconds are cumulative, as in the record."""

    number: int
    url: str
    started: str | float | None
    status: int | None
    error: str | None
    message: str | None
    namelookup: float | None
    connect: float | None
    appconnect: float | None
    starttransfer: float | None
    total: float | None
    remote_ip: str | None


class Story(msgspec.Struct, frozen=True):
    """All that a job knows of one input. `came` leads from the page that linked it to the input with which it began.

    `error` and `message` say what decided: the rule, the line of robots.txt, or what went wrong.
    """

    id: int
    url: str
    state: str
    input: Input
    came: list[str]
    redirects: list[Redirect]
    attempts: list[Attempt]
    error: str | None
    message: str | None


def read_status(folder: str) -> Status:
    """How the job stands. Raises JobError for what is no job, CodedError for what cannot be read."""
    pid, untold = None, ""
    with open_tables(folder) as db:
        try:
            pid = holder(Path(folder) / LOCK)
        except NoLocksError as problem:
            untold = no_locks(problem)
        books = Books(*db.execute(BOOKS_QUERY).fetchone())
        hosts = db.execute(
            f"SELECT coalesce(host, ''), count(*), sum(state IN ({BEGUN}, {PARKED})), "
            "(SELECT hosts.not_before FROM hosts WHERE key = host) "
            f"FROM urls WHERE state < {FIRST_ENDED} GROUP BY host ORDER BY 2 DESC, 1"
        ).fetchall()
        statuses: dict[int, int] = {}
        errors: dict[str, int] = {}
        for code, error, count in db.execute("SELECT status, error, count(*) FROM urls GROUP BY status, error"):
            if code is not None:
                statuses[code] = statuses.get(code, 0) + count
            if error is not None:
                errors[error] = errors.get(error, 0) + count
        runs, began = db.execute("SELECT count(*), min(started) FROM runs").fetchone()
        latest = db.execute("SELECT started, ended FROM runs ORDER BY id DESC LIMIT 1").fetchone() or (None, None)
        last, first, ended = db.execute(
            "SELECT max(at), min(at), sum(ended) FROM batches WHERE at > (SELECT max(at) FROM batches) - ?", (RECENT,)
        ).fetchone()
        (last_record,) = db.execute("SELECT max(at) FROM batches WHERE ended > 0").fetchone()
        # The records of the first of these batches were written before the time that is measured.
        before = db.execute("SELECT ended FROM batches WHERE at = ? LIMIT 1", (first,)).fetchone()
        rate = (ended - before[0]) / (last - first) if before is not None and last > first else None
        status = Status(
            books=books,
            pid=pid,
            untold=untold,
            runs=runs,
            began=began,
            latest=latest[0],
            ended=latest[1],
            last_record=last_record,
            rate=rate,
            eta=books.pending / rate if rate else None,
            hosts=[Left(*row) for row in hosts[:SHOWN]],
            hosts_left=len(hosts),
            statuses=statuses,
            errors=errors,
            outputs=dict(db.execute("SELECT path, committed FROM outputs ORDER BY id").fetchall()),
        )
        return _checked(status)


def queue_again(folder: str, codes: tuple[str, ...] = ()) -> int:
    """Queue the URLs that failed again, or all that failed or were skipped with these error codes; gives how many.

    Their records stay in the outputs; the next run adds another one for each. What is no URL stays failed, and a link
    that was not followed is not now either.
    """
    path = _database(folder)
    refuse_strangers(path.parent)
    config = read_options(folder)
    try:
        with database_errors(path.parent / LOCK):
            lock = Lock(path.parent / LOCK)
    except LockedError as error:
        raise JobError(f"{folder}: {who(error)} is at work on this job") from error
    try:
        store = Store(path)
        try:
            return store.queue_failed(codes, omits_skips=config.omits_skips)
        finally:
            store.close()
    except StoreError as error:
        raise JobError(str(error)) from error
    finally:
        lock.release()


def find_stories(folder: str, url: str, *, most: int = -1) -> list[Story]:
    """The story of each input that is this URL, or was led there: as written, or as normalised. Reads all rows, for
    the `most` first ones.
    """
    names = {url}
    with suppress(CodedError):  # a line that is no URL has its story, too
        names.add(parse(url).href)
    marks = ", ".join("?" * len(names))
    through = " OR ".join(["instr(redirects, ?)"] * len(names))
    in_redirects = [f'"url":{msgspec.json.encode(name).decode()},' for name in names]
    with open_tables(folder) as db:
        rows = db.execute(
            f"{_STORY} WHERE url IN ({marks}) OR written IN ({marks}) OR bare(hop) IN ({marks}) OR {through} "
            "ORDER BY urls.id LIMIT ?",
            (*names, *names, *names, *in_redirects, most),
        ).fetchall()
        return [_story(db, row) for row in rows]


def _story(db: sqlite3.Connection, row: tuple[Any, ...]) -> Story:
    number, url, written, state, source, line, parent, depth, redirects, error, message = row[:11]
    tries = db.execute(f"SELECT {', '.join(TRY_COLUMNS[1:])} FROM tries WHERE id = ? ORDER BY rowid", (number,))
    attempts = [Attempt(*values) for values in tries]
    hops = msgspec.json.decode(redirects, type=list[Redirect]) if redirects else []
    if row[11] and state >= FIRST_ENDED:
        attempts.append(Attempt(row[11], redact(row[12] or url), row[13], row[14], error, message, *row[15:]))
    story = Story(
        id=number,
        url=written or url,
        state=_STATES[state],
        input=Input(source, line, parent, depth),
        came=_came(db, source, line, parent),
        redirects=hops,
        attempts=attempts,
        error=error,
        message=message,
    )
    return _checked(story)


def _came(db: sqlite3.Connection, source: str | None, line: int | None, parent: str | None) -> list[str]:
    """From page to page back to the input that began it."""
    came: list[str] = []
    while parent is not None and parent not in came and len(came) < MAX_CHAIN:
        came.append(parent)
        row = db.execute(f"SELECT {_INPUT} {_FROM} WHERE url = ? OR written = ? LIMIT 1", (parent, parent)).fetchone()
        source, line, parent = row or (None, None, None)
    if source is not None:
        came.append(source if line is None else f"{source}:{line}")
    return came


def lines_of_job(folder: str, *, else_of: Collection[str] = ()) -> tuple[Path, int] | None:
    """The first output of a job that is JSON Lines (the log of a table is, too), and how many bytes of it count.

    Where there is none, the first with one of the suffixes `else_of`.
    """
    with open_tables(folder) as db:
        outputs = msgspec.convert(
            db.execute("SELECT path, committed FROM outputs ORDER BY id").fetchall(), list[tuple[str, int]]
        )
    for suffixes in ({*LINES, LOG}, else_of):
        for path, committed in outputs:
            if Path(path.lower().removesuffix(".gz")).suffix in suffixes:
                return Path(path), committed
    return None


def read_books(folder: str) -> Books:
    """What became of the inputs."""
    with open_tables(folder) as db:
        return Books(*db.execute(BOOKS_QUERY).fetchone())


def read_seeds(folder: str) -> list[Url]:
    """The inputs that were read, and where their redirects led: from there the scope of a crawl is seen."""
    with open_tables(folder) as db:
        rows = db.execute("SELECT url, hop FROM urls WHERE parent IS NULL AND host IS NOT NULL")
        return [parse(text) for row in rows for text in row if text is not None]


def read_options(folder: str) -> Config:
    """The options of the latest run. Raises JobError, ConfigError."""
    refuse_others(Path(folder))
    return Config.kept(str(Path(folder) / OPTIONS_FILE))


def _checked(answer: Answer) -> Answer:
    """The same; raises ValidationError for a value that is none of its type: a damaged file may hold anything."""
    return msgspec.convert(msgspec.to_builtins(answer, builtin_types=(bytes,)), type=type(answer))


@contextmanager
def open_tables(folder: str) -> Iterator[sqlite3.Connection]:
    """One moment of the job's database."""
    path = _database(folder)
    try:
        with database_errors(path), value_errors(path), open_to_read(path) as db:
            if not check_version(db, path):
                raise JobError(f"{scrub(folder)}: nothing of this job was kept")
            db.execute("BEGIN")
            yield db
    except StoreError as error:  # also what `database_errors` makes of a file that SQLite refuses
        raise JobError(str(error)) from error


def _database(folder: str) -> Path:
    path = Path(folder) / DATABASE
    if not path.exists():
        hint = (
            " (of a crawl over many machines add --frontier and --crawl-id)" if (path.parent / "parts").is_dir() else ""
        )
        raise JobError(f"{scrub(folder)} is not the folder of a job{hint}")
    refuse_others(Path(folder))
    return path
