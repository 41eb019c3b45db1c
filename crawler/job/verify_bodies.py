"""Whether the bodies that records name are there, and are what they are called by: their SHA-256."""

from __future__ import annotations

import re
import sqlite3
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

from crawler.files import open_plain
from crawler.sinks.bodies.names import FOLDER, ORIGINALS, Layout, place

_HASH: Final = re.compile(r"[0-9a-f]{64}")
_PIECE: Final = 1 << 20
_SHOWN: Final = 10


class Body(NamedTuple):
    """What a record says of its body; an output may leave out some of it. `path` is "" when the body has no file, and
    None where that is not told.
    """

    sha256: str | None
    content_type: str | None
    size: int | None
    path: str | None = None


class Bodies:
    """Looks at each file once, whatever number of records names it. `db` is there for a table in memory.

    With `mirrors` they are files of a copy.
    """

    def __init__(self, db: sqlite3.Connection, folder: str, layout: Layout = "hash", *, mirrors: bool = False) -> None:
        self._db = db
        self._layout = layout
        self._mirrors = mirrors
        self._folder = folder
        self._problems: list[str] = []
        self._wrong = 0
        self._named = False
        db.execute("CREATE TEMP TABLE bodies (path TEXT PRIMARY KEY) WITHOUT ROWID")

    def look(self, body: Body) -> None:
        """Hold the file of a record's body against what the record says."""
        if body.sha256 is None or (body.path is None and self._layout != "hash"):
            return
        self._named = True
        if not body.size or body.path == "":  # an empty body has no file, nor has one that was not wanted
            return
        if not _HASH.fullmatch(body.sha256):
            self._note(f"{body.sha256[:80]!r} is no SHA-256 of a body")
            return
        if body.path is None:  # an older crawler did not tell it
            path = place(self._folder, body.sha256, body.content_type)
        elif not {"", ".", ".."}.isdisjoint(body.path.split("/")):
            self._note(f"{body.path[:80]!r} is no path of a body")
            return
        else:
            path = str(Path(self._folder, body.path))
        if not self._db.execute("INSERT OR IGNORE INTO bodies VALUES (?)", (path,)).rowcount:
            return
        try:
            size, digest = _read(path)
            if digest != body.sha256 and self._mirrors and body.path is not None:
                # Its links are rewritten; what was fetched is kept beside it.
                with suppress(FileNotFoundError):
                    size, digest = _read(str(Path(self._folder, FOLDER, ORIGINALS, body.path)))
        except FileNotFoundError:
            self._note(f"{path} is missing")
        except OSError as error:
            self._note(f"{path} cannot be read: {error.strerror}")
        else:
            if size != body.size:
                self._note(f"{path} has {size:,} bytes, and its record says {body.size:,}")
            elif digest != body.sha256:
                self._note(f"{path} is not the body that was written")

    def tell(self, problems: list[str], notes: list[str]) -> None:
        """Add what was found."""
        problems += self._problems
        if self._wrong > len(self._problems):
            problems.append(f"{self._folder}: and {self._wrong - len(self._problems):,} more bodies like these")
        if not self._named:
            missing = "sha256" if self._layout == "hash" else "sha256 and body_path"
            notes.append(f"the bodies were not looked at: no output has their {missing}")

    def _note(self, what: str) -> None:
        self._wrong += 1
        if len(self._problems) < _SHOWN:
            self._problems.append(what)


def _read(path: str) -> tuple[int, str]:
    digest, size = sha256(), 0
    with open_plain(path) as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
            size += len(piece)
    return size, digest.hexdigest()
