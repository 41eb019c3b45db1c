"""What has to wait and is too much for memory: in a database that nobody else sees, and that is gone with the process.

SQLite makes its file when there is more than its cache holds, in TMPDIR or /var/tmp, for the owner alone, and takes its
name away at once: also a run that is killed leaves nothing behind (https://www.sqlite.org/tempfiles.html).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from crawler.store.file import database_errors

_CACHE: Final = 2_048  # KiB
_WORDS: Final = Path("what waits on the disk (in the folder that TMPDIR names)")


class Spill:
    """A database with the tables of `schema`. What it cannot do is raised as CodedError: `disk_full`, `write_error`."""

    def __init__(self, schema: str) -> None:
        with database_errors(_WORDS):
            self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = OFF")
            self._db.execute("PRAGMA synchronous = OFF")
            self._db.execute(f"PRAGMA cache_size = -{_CACHE}")
            self._db.executescript(schema)

    def run(self, statement: str, *values: Any) -> list[Any]:
        """All rows of a statement."""
        with database_errors(_WORDS):
            return self._db.execute(statement, values).fetchall()

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Several statements for the price of little more than one."""
        with database_errors(_WORDS):
            self._db.execute("BEGIN")
            try:
                yield
            finally:
                self._db.execute("COMMIT")

    def close(self) -> None:
        self._db.close()
