"""Bodies as files: each distinct body once, named by its SHA-256, so that nothing from the network chooses a path."""

# The os functions beside pathlib's: twice as fast, and they know O_EXCL and O_NOFOLLOW.
# ruff: noqa: PTH102, PTH103, PTH118, PTH120

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import Final

from twisted.internet.defer import Deferred, fail

from crawler.files import put
from crawler.models import Record, Response
from crawler.sinks.writer import coded

_EXTENSIONS: Final = {
    "text/html": ".html",
    "application/xhtml+xml": ".xhtml",
    "text/plain": ".txt",
    "text/css": ".css",
    "text/csv": ".csv",
    "text/markdown": ".md",
    "text/calendar": ".ics",
    "text/javascript": ".js",
    "application/javascript": ".js",
    "application/json": ".json",
    "application/xml": ".xml",
    "text/xml": ".xml",
    "application/pdf": ".pdf",
    "application/zip": ".zip",
    "application/gzip": ".gz",
    "application/x-gzip": ".gz",
    "application/epub+zip": ".epub",
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/gif": ".gif",
    "image/webp": ".webp",
    "image/avif": ".avif",
    "image/svg+xml": ".svg",
    "image/x-icon": ".ico",
    "image/vnd.microsoft.icon": ".ico",
    "audio/mpeg": ".mp3",
    "audio/ogg": ".ogg",
    "video/mp4": ".mp4",
    "video/webm": ".webm",
    "font/woff": ".woff",
    "font/woff2": ".woff2",
    "application/wasm": ".wasm",
}


class Bodies:
    """Writes the body of each record that has a `sha256` to `directory/ab/abcdef....html`.

    A file appears under its name when it is whole: a kill leaves at most a hidden temporary file. A body that is there
    already, from this run or another, is not written again.

    Written on the reactor's thread: about 60 us for a small body, less than its fetch costs.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._folders: set[str] = set()
        try:
            os.makedirs(directory, exist_ok=True)
        except OSError as error:
            raise coded(error, directory) from error

    def write(self, record: Record, response: Response | None, sequence: int) -> Deferred[None] | None:  # noqa: ARG002
        if response is None or not response.body or record.sha256 is None:
            return None
        path = self.path(record.sha256, record.content_type)
        try:
            self._store(path, response.body)
        except OSError as error:
            return fail(coded(error, path))
        return None

    def flush(self) -> None:
        """Nothing is buffered."""

    def close(self) -> None:
        """Nothing is open."""

    def path(self, sha256: str, content_type: str | None) -> str:
        """Where the body with this hash is kept."""
        return os.path.join(self._directory, sha256[:2], sha256 + extension(content_type))

    def _store(self, path: str, body: bytes) -> None:
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISREG(os.lstat(path).st_mode):
                return
            raise FileExistsError(errno.EEXIST, "is there already, but not as a file")
        self._make_folder(os.path.dirname(path))
        put(path, body)

    def _make_folder(self, folder: str) -> None:
        if folder in self._folders:
            return
        try:
            os.mkdir(folder)
        except FileExistsError:
            if not stat.S_ISDIR(os.lstat(folder).st_mode):  # a link could lead out of the directory
                raise
        self._folders.add(folder)


def extension(content_type: str | None) -> str:
    """The suffix of a file with this content type: from a short list, else ".bin"."""
    media = (content_type or "").partition(";")[0].strip().lower()
    known = _EXTENSIONS.get(media)
    if known is not None:
        return known
    return ".json" if media.endswith("+json") else ".xml" if media.endswith("+xml") else ".bin"
