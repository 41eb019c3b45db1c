"""An agent that answers for folders out of their files, and lets another one ask the net for everything else."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web.iweb import IAgent
from zope.interface import implementer

from crawler.errors import CodedError
from crawler.fetch.archive.replay import url_of
from crawler.fetch.disk.folders import Folders
from crawler.fetch.http11.envelope import Envelope, Trace
from crawler.fetch.http11.response import DONE, Paced, WireResponse
from crawler.files import open_plain
from crawler.urls import parse

_PIECE: Final = 1 << 16
READ: Final = {
    ".html": "text/html",
    ".htm": "text/html",
    ".xhtml": "application/xhtml+xml",
    ".md": "text/markdown; charset=utf-8",
    ".markdown": "text/markdown; charset=utf-8",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".xml": "application/xml",
    ".gz": "application/gzip",
    ".txt": "text/plain",
}
"""The files that are read, by their suffix, and as what. Of all others it is said that they are there."""


@implementer(IAgent)
class FolderAgent:
    """Fires with 200 and a file, or fails with `file_missing`, `folder_without_index` or `file_unreadable`."""

    def __init__(self, folders: Folders, beyond: IAgent, clock: IReactorTime) -> None:
        self._folders = folders
        self._beyond = beyond
        self._clock = clock
        self._authorities = {parse(folder.base).host_key for folder in folders.folders}

    def request(self, method: bytes, uri: bytes, headers: Any = None, bodyProducer: Any = None) -> Deferred[Any]:
        if not isinstance(headers, Envelope):
            raise TypeError(f"{method!r} {uri!r}: this agent takes Envelopes")
        url = parse(url_of(headers))
        if url.host_key not in self._authorities:
            return self._beyond.request(method, uri, headers, bodyProducer)
        try:
            found = self._folders.find(url)
            if found is None:
                return self._beyond.request(method, uri, headers, bodyProducer)
            trace = headers.trace
            trace.sent(self._clock.seconds())
            trace.first_byte = trace.last_byte = self._clock.seconds()
            trace.enter("body", trace.last_byte)
            media = READ.get(Path(found.path).suffix.lower())
            reads = headers.method == "GET" and media is not None and found.inside and not Path(found.path).is_dir()
            reading = Reading(found.path if reads else None, trace, self._clock)
        except CodedError as error:
            return fail(error)
        except OSError:
            return fail(CodedError("file_unreadable", "the file may not be read"))
        return succeed(reading.response(media))


class Reading(Paced):
    """One file, as it is taken. Raises OSError."""

    def __init__(self, path: str | None, trace: Trace, clock: IReactorTime) -> None:
        super().__init__(clock, trace)
        self._file: io.FileIO | None = None if path is None else open_plain(path, links=True)

    def response(self, media: str | None) -> WireResponse:
        fields = [(b"Cache-Control", b"no-store")]  # it may be another one in a minute
        if media is not None:
            fields.append((b"Content-Type", media.encode("ascii")))
        self._response = WireResponse(self, "1.1", 200, fields, None, [])
        return self._response

    def _next(self, response: WireResponse) -> bytes:
        try:
            data = self._file.read(_PIECE) if self._file is not None else b""
        except OSError as error:
            why = CodedError("file_unreadable", f"the file cannot be read to its end: {error.strerror}")
            self._end(response, Failure(why))
            return b""
        if not data:
            self._end(response, DONE)
        return data

    def _let_go(self) -> None:
        if self._file is not None:
            self._file.close()
