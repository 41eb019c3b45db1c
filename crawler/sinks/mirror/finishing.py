"""The end of a copy: in every page, style sheet and drawing what leads to a file of the copy becomes its relative path,
and what leads to nothing here an absolute URL.

What was fetched stays as it was in `originals`, and is what is rewritten: to do all of this again changes nothing, and
a kill at whatever instant leaves each file as one of the two. So a file is known by its hash.
"""

# The os functions beside pathlib's: they take descriptors.
# ruff: noqa: PTH118
from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable
from functools import lru_cache, partial
from hashlib import sha256
from typing import Final, NamedTuple
from urllib.parse import quote

from crawler.errors import CodedError
from crawler.fetch.saving.scratch import Scratch, discard
from crawler.files import coded, rename, write
from crawler.page.offline.charsets import with_charset
from crawler.page.offline.editing import NotKept, Reference, edit
from crawler.page.offline.markup import Kind
from crawler.page.offline.requisites import syntax_of
from crawler.page.offline.text import Document
from crawler.sinks.bodies.names import FOLDER, ORIGINALS
from crawler.sinks.bodies.tree import Folder, Tree
from crawler.sinks.mirror.recording import NAME, read_index
from crawler.urls import Url, canonical_href, parse

LARGEST: Final = 10 << 20
"""Bytes of a file that is rewritten."""
_HOPS: Final = 20
_CACHED: Final = 20_000
_READ: Final = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
_SCHEMA: Final = """
CREATE TABLE files (
    key TEXT PRIMARY KEY, url TEXT NOT NULL, path TEXT NOT NULL UNIQUE, sha256 TEXT NOT NULL, content_type TEXT,
    charset TEXT
) WITHOUT ROWID;
CREATE TABLE ways (key TEXT PRIMARY KEY, onward TEXT NOT NULL) WITHOUT ROWID;
"""

Same = Callable[[Url], str]
"""Gives what is the same for URLs that the run takes for the same."""


class Finished(NamedTuple):
    """How many files the copy has, in how many references were changed, and which could not be looked through."""

    files: int = 0
    rewritten: int = 0
    left: int = 0


class Copy:
    """The copy in `directory`. `same` is canonical_href with what the run says of parameters.

    With `durable` each file is on the disk before it has its name.
    """

    def __init__(self, directory: str, same: Same = canonical_href, *, durable: bool = False) -> None:
        self._directory = directory
        self._same = same
        self._durable = durable
        self._tree = Tree(directory)
        self._scratch = Scratch(directory, NAME)
        self._db = sqlite3.connect("", isolation_level=None)  # on the disk once it is large, and gone when it is closed
        self._place = lru_cache(_CACHED)(self._find)

    def finish(self, given_up: Callable[[], bool] = lambda: False) -> Finished:
        """Rewrite what is to be rewritten. Raises CodedError. When it is given up the rest stays as it was fetched."""
        rewritten = left = 0
        db = self._db
        try:
            for path in self._scratch.leftovers():
                if path.endswith(".part"):
                    discard(path)
            self._read_index()
            (files,) = db.execute("SELECT count(*) FROM files").fetchone()
            rows = db.execute("SELECT url, path, sha256, content_type, charset FROM files ORDER BY path")
            for url, path, digest, content_type, charset in rows:
                if given_up():
                    break
                try:
                    rewritten += self._rewrite(parse(url), path, digest, content_type, charset)
                except (NotKept, _Other):
                    left += 1
                except OSError as error:
                    raise coded(error, os.path.join(self._directory, path)) from error
        except OSError as error:
            raise coded(error, self._directory) from error
        finally:
            db.close()
        return Finished(files, rewritten, left)

    # The index.

    def _read_index(self) -> None:
        db = self._db
        db.execute("PRAGMA journal_mode = OFF")
        db.executescript(_SCHEMA)
        db.execute("BEGIN")
        for fetched in read_index(self._directory):
            try:
                key = self._same(parse(fetched.url))
                ways = [self._same(parse(url)) for url in fetched.via]
            except CodedError:  # not what we have written
                continue
            db.executemany("INSERT OR REPLACE INTO ways VALUES (?, ?)", [(way, key) for way in ways if way != key])
            if fetched.path is not None and fetched.sha256 is not None and _is_inside(fetched.path):
                row = (key, fetched.url, fetched.path, fetched.sha256, fetched.content_type, fetched.charset)
                db.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)", row)
        db.execute("COMMIT")

    def _find(self, key: str) -> str | None:
        """The path of what a URL leads to, if it is there."""
        for _ in range(_HOPS):
            found = self._db.execute("SELECT path FROM files WHERE key = ?", (key,)).fetchone()
            if found is not None:
                return str(found[0])
            onward = self._db.execute("SELECT onward FROM ways WHERE key = ?", (key,)).fetchone()
            if onward is None:
                return None
            key = onward[0]
        return None

    # Files.

    def _rewrite(self, url: Url, path: str, digest: str, content_type: str | None, charset: str | None) -> bool:
        """Whether a file has other references now. Raises OSError, NotKept, and _Other for a file that is not ours."""
        if syntax_of(content_type, b"<svg>") is None:
            return False
        *folders, name = path.split("/")
        try:
            with self._tree.enter(folders) as folder:
                found = _read(folder, name)
                body, is_fresh = found, True
                if sha256(found).hexdigest() != digest:
                    body, is_fresh = self._original(path), False
                    if sha256(body).hexdigest() != digest:
                        raise _Other
                syntax = syntax_of(content_type, body)
                if syntax is None:
                    return False
                new = self._edited(Document(body, url, syntax, charset), path)
                if new == body:
                    self._tree.remove(f"{FOLDER}/{ORIGINALS}/{path}")
                elif is_fresh:
                    with self._tree.enter([FOLDER, ORIGINALS, *folders], make=True) as originals:
                        self._put(originals, name, body)
                if new != found:
                    self._put(folder, name, new)
                return new != body
        except FileNotFoundError:
            raise _Other from None

    def _original(self, path: str) -> bytes:
        *folders, name = path.split("/")
        with self._tree.enter([FOLDER, ORIGINALS, *folders]) as folder:
            return _read(folder, name)

    def _edited(self, document: Document, path: str) -> bytes:
        visit = partial(self._visit, path.split("/"))
        return with_charset(edit(document, visit), document)

    def _visit(self, here: list[str], reference: Reference) -> str | None:
        place = None if reference.kind is Kind.NAME else self._place(self._same(reference.url))
        if place is not None:
            return relative(here, place.split("/")) + reference.fragment
        return None if reference.absolute else reference.url.href + reference.fragment

    def _put(self, folder: Folder, name: str, data: bytes) -> None:
        fd, temporary = self._scratch.create()
        try:
            try:
                write(fd, data)
                if self._durable:
                    os.fsync(fd)
            finally:
                os.close(fd)
            rename(temporary, folder.at(name), folder.fd)
        except BaseException:
            discard(temporary)
            raise


class _Other(Exception):  # noqa: N818 -- a reason
    """A file is not there, is too large, or not what was fetched."""


def relative(here: list[str], there: list[str]) -> str:
    """The reference from one file of a copy to another, by their paths."""
    shared = 0
    while shared < min(len(here), len(there)) - 1 and here[shared] == there[shared]:
        shared += 1
    parts = [".."] * (len(here) - 1 - shared) + [quote(part, safe="~") for part in there[shared:]]
    return "/".join(parts)


def _is_inside(path: str) -> bool:
    return bool(path) and {"", ".", "..", FOLDER}.isdisjoint(path.split("/")) and "\\" not in path


def _read(folder: Folder, name: str) -> bytes:
    """The whole file. Raises _Other for one that is too large, or no plain file."""
    fd = os.open(folder.at(name), _READ, dir_fd=folder.fd)
    with open(fd, "rb") as file:  # noqa: PTH123
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST:
            raise _Other
        return file.read(LARGEST + 1)
