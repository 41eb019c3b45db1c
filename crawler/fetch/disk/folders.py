"""Which file a URL stands for, as the server would see it on which the folder is put.

Rules:
1. Names are compared letter by letter, on disks too that do not: most servers do.
2. The query means nothing. A folder is its index; without one it is nothing, unless folders are listed. What is not
   there is looked for with one of the extensions, where a server answers "/guide" by guide.html.
3. Without a base, relative references that climb out of the folder find what is there, as in a repository; those that
   begin with "/" stay in the folder.
"""

# Paths are text here: pathlib takes a "/" at the end, "." and ".." for nothing, and each means something in a URL.
# ruff: noqa: PTH100, PTH116, PTH118, PTH206, PTH208

from __future__ import annotations

import os
import stat
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import quote, unquote_to_bytes

from crawler.errors import CodedError
from crawler.urls import Url

INDEXES: Final = ("index.html", "index.htm", "index.xhtml", "README.md", "index.md", "readme.md")
_DISK: Final = "/-disk-/"  # the path under which everything is that relative references may climb to
_MOST_LISTED: Final = 1024  # folders
_FORBIDDEN: Final = (b"\0", b"/", b"\\") if os.name == "nt" else (b"\0", b"/")


class Folder(NamedTuple):
    """A folder, and the URL that stands for it, which ends in "/". With `lists` a folder without an index is a page.

    Without a `base` the URL is one that nobody can have (RFC 2606).
    """

    path: str
    base: str
    lists: bool = False

    @property
    def is_named(self) -> bool:
        """Whether somebody said where it is on the web."""
        return not self.base.endswith(".invalid/")


class _Names(NamedTuple):
    """What is in a folder, by names and by what is left of them where case does not count."""

    exact: frozenset[str]
    by_case: Mapping[str, str]


class Found(NamedTuple):
    """A file, and whether it is one of the folder itself: what symbolic links lead to elsewhere is not read."""

    path: str
    inside: bool


def unnamed(path: str, number: int, *, lists: bool = False) -> Folder:
    """A folder that is nowhere on the web."""
    return Folder(os.path.realpath(path), f"http://folder-{number}.invalid/", lists)


class Folders:
    """Several of them. All paths are absolute. What is in a folder is looked up once, and known to this one alone.

    `indexes` are the names of what is shown for a folder, the first that is there ("." is the folder itself);
    `extensions`, without a dot, are tried in their order.
    """

    def __init__(
        self, folders: Sequence[Folder], *, indexes: Sequence[str] = (), extensions: Sequence[str] = ()
    ) -> None:
        self.folders = folders
        self._indexes = indexes or INDEXES
        self._extensions = extensions
        self._names = lru_cache(maxsize=_MOST_LISTED)(_names)
        self._longest_first = sorted(folders, key=lambda folder: -len(folder.base))

    def folder_of(self, href: str) -> Folder | None:
        """The one that a URL is in."""
        return next((folder for folder in self._longest_first if href.startswith(folder.base)), None)

    def url_of(self, folder: Folder, path: str) -> str:
        """The URL of a file below the folder."""
        below = os.path.relpath(path, folder.path)
        if folder.is_named:
            return folder.base + _quoted(below)
        return folder.base[:-1] + _DISK + _quoted(os.path.join(folder.path, below).lstrip("/"))

    def path_of(self, href: str) -> str | None:
        """The path that a URL stands for, whether there is anything or not; None where it is in no folder.

        Raises CodedError for what cannot be a path.
        """
        folder = self.folder_of(href)
        if folder is None:
            return None
        target = href[len(folder.base) - 1 :].partition("?")[0].partition("#")[0]
        if target.startswith(_DISK) and not folder.is_named:
            start, rest = ("" if os.name == "nt" else "/"), target[len(_DISK) :]
        else:
            start, rest = folder.path + os.sep, target[1:]
        names = [unquote_to_bytes(name) for name in rest.split("/")]
        if any(forbidden in name for name in names for forbidden in _FORBIDDEN) or b".." in names:
            raise CodedError("file_missing", "no file can have that name")
        return start + os.sep.join(map(os.fsdecode, names))

    def find(self, url: Url) -> Found | None:
        """The file that a URL stands for; None where it is in no folder. Raises CodedError where there is none."""
        path = self.path_of(url.href)
        if path is None:
            return None
        folder = self.folder_of(url.href)
        assert folder is not None
        try:
            status = os.stat(path)
        except OSError as error:
            extended = self._extended(path)
            if extended is None:
                raise self._missing(path, error) from None
            path, status = extended
        if not self._is_exact(path, folder.path):
            raise CodedError("file_missing", f"there is no such file{self._hint(path)}")
        if stat.S_ISDIR(status.st_mode):
            path = self._index_of(path, lists=folder.lists)
        real = os.path.realpath(path)
        inside = real == folder.path or real.startswith(folder.path.rstrip(os.sep) + os.sep)
        # A relative reference that climbs out is no link of the disk: what it names is meant.
        return Found(path, inside or not os.path.abspath(path).startswith(folder.path.rstrip(os.sep) + os.sep))

    def _index_of(self, path: str, *, lists: bool) -> str:
        names = self._names(path.rstrip(os.sep) or os.sep).exact
        for name in self._indexes:
            if name in names:
                return os.path.join(path, name)
            if name == ".":
                return path
        if (extended := self._extended(path)) is not None:
            return extended[0]
        if lists:
            return path
        raise CodedError("folder_without_index", f"the folder has no {self._indexes[0]}")

    def _extended(self, path: str) -> tuple[str, os.stat_result] | None:
        """The file of this name with one of the extensions. A URL that ends in "/" means no file."""
        if path.endswith(os.sep):
            return None
        for extension in self._extensions:
            name = f"{path}.{extension}"
            with suppress(OSError):
                status = os.stat(name)
                if stat.S_ISREG(status.st_mode):
                    return name, status
        return None

    def _missing(self, path: str, error: OSError) -> CodedError:
        if isinstance(error, PermissionError):
            return CodedError("file_unreadable", "the file may not be read")
        if isinstance(error, NotADirectoryError) and path.endswith(os.sep):
            return CodedError("file_missing", "it is a file, and no folder")
        return CodedError("file_missing", f"there is no such file{self._hint(path)}")

    def _is_exact(self, path: str, root: str) -> bool:
        """Whether each name below the folder is written as on the disk, which may not care."""
        if os.name != "nt" and sys.platform != "darwin":
            return True
        below = os.path.relpath(path, root)
        at = root
        for name in below.split(os.sep):
            if name not in {".", ".."} and _normal(name) not in self._names(at).exact:
                return False
            at = os.path.join(at, name)
        return True

    def _hint(self, path: str) -> str:
        """What is meant, maybe: a name that differs in its case alone."""
        folder, name = os.path.split(path.rstrip(os.sep))
        near = self._names(folder).by_case.get(_normal(name).casefold(), name)
        return f" (there is {near}; case matters)" if near != name else ""


def _quoted(path: str) -> str:
    return quote(os.fsencode(path.replace(os.sep, "/")), safe="/:@!$&'()*+,;=~")


def _names(folder: str) -> _Names:
    try:
        names = sorted(map(_normal, os.listdir(folder)))
    except OSError:
        names = []
    return _Names(frozenset(names), {name.casefold(): name for name in names})


def _normal(name: str) -> str:
    return unicodedata.normalize("NFC", name)
