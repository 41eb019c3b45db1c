"""The file of a job's database: open it, know it for one of ours, and say in our codes what goes wrong with it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import cache
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory
from typing import Final

import msgspec

from crawler.errors import CodedError
from crawler.redaction import redact
from crawler.store.rows import APPLICATION_ID, UPGRADES, VERSION, schema
from crawler.urls import parse

WRITE_CACHE: Final = 16_384  # KiB
READ_CACHE: Final = 4_096
# The first byte of SQLite's result codes: FULL; NOTADB; and PERM, BUSY, LOCKED, READONLY, IOERR, CORRUPT, CANTOPEN,
# PROTOCOL, NOLFS, which are the world's doing as well. Any other is a bug here.
_DISK_FULL: Final = 13
_NO_DATABASE: Final = 26
_NOT_WRITABLE: Final = frozenset({8, 14})  # READONLY, CANTOPEN
_OUTSIDE: Final = frozenset({3, 5, 6, 8, 10, 11, 14, 15, 22})
# Damage that SQLite and sqlite3 have no code for.
_NO_FORMAT: Final = ("unsupported file format",)
_DAMAGED: Final = ("Could not decode to UTF-8", "NOT NULL constraint failed: books.")


class StoreError(ValueError):
    """The file is no database of ours, or one of another version."""


def connect(path: Path, *, read_only: bool = False, immutable: bool = False) -> sqlite3.Connection:
    """Open the file, which is there. Which thread calls when is for the caller to settle.

    An `immutable` file nobody changes meanwhile, and no lock is taken.
    """
    name = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rw'}{'&immutable=1' if immutable else ''}"
    db = sqlite3.connect(name, uri=True, isolation_level=None, check_same_thread=False, timeout=30.0)
    db.execute(f"PRAGMA cache_size = -{READ_CACHE}")
    db.execute("PRAGMA trusted_schema = OFF")  # what the file declares calls no function
    db.create_function("host_key", 1, lambda href: parse(href).host_key, deterministic=True)
    db.create_function("bare", 1, lambda text: text and redact(text), deterministic=True)
    return db


@contextmanager
def open_to_read(path: Path) -> Iterator[sqlite3.Connection]:
    """The file, opened to be read, also where nothing can be written: on a medium that is read-only, say.

    SQLite wants to write beside a database that has a write-ahead log. Without that it is read as it stands; where the
    log has something to tell, a copy is read.
    """
    with ExitStack() as resources:
        try:
            db = connect(path, read_only=True)
            resources.callback(db.close)
            _pragma(db, "user_version")  # the first to touch the file
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _NOT_WRITABLE:
                raise
            log = Path(f"{path}-wal")
            if log.exists() and log.stat().st_size:
                folder = Path(resources.enter_context(TemporaryDirectory()))
                for file in (path, log):
                    copyfile(file, folder / file.name)
                db = connect(folder / path.name, read_only=True)
            else:
                db = connect(path, read_only=True, immutable=True)
            resources.callback(db.close)
        yield db


def prepare(db: sqlite3.Connection, path: Path) -> None:
    """Make the tables, or those that an older version had not."""
    version = check_version(db, path)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute(f"PRAGMA cache_size = -{WRITE_CACHE}")
    if version < VERSION:
        db.execute("PRAGMA secure_delete = ON")  # older versions kept passwords, of which nothing is to stay
        statements = "".join(UPGRADES[version - 1 :]) if version else schema()
        db.executescript(
            f"BEGIN; {statements} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}; COMMIT;"
        )


def check_version(db: sqlite3.Connection, path: Path) -> int:
    """The version, 0 for a new file. Raises StoreError unless it is that, or ours, with the tables of its version."""
    version, application = _pragma(db, "user_version"), _pragma(db, "application_id")
    if application not in {0, APPLICATION_ID} or (version and not application):
        raise StoreError(f"{path} is not the database of a job")
    if version > VERSION:
        raise StoreError(f"{path} was made by a newer crawler (its version is {version}; this one knows {VERSION})")
    if version < 0:
        raise StoreError(f"{path} was made by an older crawler (its version is {version}; this one knows {VERSION})")
    if declared(db) != (_objects_of_ours(version) if version else set()):
        raise StoreError(f"{path} is damaged: its tables are not those of a job")
    return version


def declared(db: sqlite3.Connection) -> set[tuple[str | None, ...]]:
    """All that the file declares, SQLite's own things too: a trigger may be called sqlite_anything."""
    return set(db.execute("SELECT type, name, tbl_name, sql FROM sqlite_master"))


@cache
def _objects_of_ours(version: int) -> set[tuple[str | None, ...]]:
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(schema(version))
        return declared(db)


def _pragma(db: sqlite3.Connection, name: str) -> int:
    value: int = db.execute(f"PRAGMA {name}").fetchone()[0]
    return value


@contextmanager
def database_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite and the system say about the file into CodedError, or StoreError for what is no database."""
    try:
        yield
    except sqlite3.Error as error:
        number = getattr(error, "sqlite_errorcode", None)
        primary = None if number is None else number & 0xFF
        if primary == _DISK_FULL:
            raise CodedError("disk_full", f"{path}: {error}") from error
        if primary == _NO_DATABASE or any(words in str(error) for words in _NO_FORMAT):
            raise StoreError(f"{path} is not the database of a job") from error
        if primary in _OUTSIDE or any(words in str(error) for words in _DAMAGED):
            raise CodedError("write_error", f"{path}: {error}") from error
        raise
    except UnicodeDecodeError as error:  # SQLite's words about a damaged file, with bytes of it
        raise CodedError("write_error", f"{path} is damaged") from error
    except OSError as error:
        raise CodedError("write_error", f"{path}: {error.strerror or error}") from error


@contextmanager
def value_errors(path: Path) -> Iterator[None]:
    """Turn what it means that the file's values are none of ours into a CodedError."""
    try:
        yield
    except (CodedError, msgspec.MsgspecError, TypeError, IndexError) as error:
        raise CodedError("write_error", f"{path} is damaged: {error}") from error
