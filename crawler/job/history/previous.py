"""What an earlier run has seen, for one that is to fetch only what changed: validators, hashes, and what was found.

It is read from its records, once: into memory what has room there, the rest into a database of its own that is gone
with the run, so that memory stays bounded, however many there are. A record counts under the URL that answered; of
several the last one does. Only pages that were got count, and for those alone that are: what a POST brought is not what
is at its URL, and a HEAD brought nothing.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

import msgspec

from crawler.config.sources import ConfigError
from crawler.errors import CodedError
from crawler.job.history.records import Line, kept_aside, read_records
from crawler.models import INDEX_SOURCE, REQUISITE_SOURCE, Findings, Kept, Request, Response
from crawler.redaction import scrub
from crawler.urls import Url, canonical_href, canonical_key, parse

_BATCH: Final = 1_000
_OK: Final = 200
_NOT_MODIFIED: Final = 304
_GOT: Final = frozenset(("ok", "unchanged"))
_LONGEST: Final = 4_096
"""Characters of a validator. A server that is sent a longer one may refuse the request for it."""
_ROOM: Final = 64 << 20
"""Bytes of memory for pages: some 200,000 of a list."""
_OVERHEAD: Final = 190
"""Bytes that a page takes in memory beside its URL and what was kept of it: two objects in a dictionary."""
_ASKED: Final = 512
# What a URL may have after its host for the parser to leave it as it is: that costs four times as much.
_PLAIN_TARGET: Final = re.compile(r"(?:/(?:[A-Za-z0-9_~-][A-Za-z0-9_.~%-]*+)?)++(?:\?[A-Za-z0-9_.~%=&;,:@/+-]*+)?")
_SCHEMA: Final = """
CREATE TABLE pages (key BLOB NOT NULL, kept BLOB NOT NULL);
CREATE TABLE links (parent BLOB NOT NULL, url TEXT NOT NULL, source TEXT);
"""

_LAST: Final = "SELECT kept FROM pages WHERE key = ? ORDER BY rowid DESC LIMIT 1"
_NO_LINKS: Final[tuple[list[Any], list[Url], bool]] = ([], [], False)  # of a list

_encode: Final = msgspec.json.Encoder().encode  # not in MessagePack: an integer of a page may have any length
_decode: Final = msgspec.json.Decoder(Kept).decode


class Previous:
    """Read from `source`: a file of JSON Lines, also gzipped, or the folder of a job.

    Raises ConfigError, with a sentence, for what holds no records, CodedError for a full disk. `stopped` is asked now
    and then: the reading ends when it says so. Not bound to a thread, but for one at a time. Of the pages as many are
    held in memory as go into `room` bytes: a page is there or in the database.
    """

    def __init__(self, source: str, stopped: Callable[[], bool] = lambda: False, room: int = _ROOM) -> None:
        self._db = db = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        db.execute("PRAGMA journal_mode = OFF")
        db.executescript(_SCHEMA)
        self.records = 0
        self.validators = 0
        self._room = room
        self._near: dict[str, bytes] = {}  # by canonical href, as JSON
        self._far: list[tuple[bytes, bytes]] = []  # by canonical key; on their way into the database, as the links are
        self._has_far = False
        self._site = "-"  # of the record before, as most are of the same
        self._links_read: list[tuple[bytes, str, str | None]] = []
        self._has_links = False
        self._asked: dict[str, Kept | None] = {}  # what was looked up for a head is wanted for the answer
        try:
            with kept_aside("--since"):
                self._read(read_records(source, "--since"), source, stopped)
        except BaseException:
            db.close()
            raise

    def close(self) -> None:
        self._db.close()

    def conditions(self, request: Request, private: bool) -> Sequence[tuple[str, str]]:  # noqa: ARG002 - see heads.Source
        """The header fields that ask for the page if it has changed (RFC 9110 section 13.1)."""
        if not _gets(request):
            return ()
        asked, url = self._asked, request.url
        if len(asked) >= _ASKED:  # many have failed, or are on their way: those are looked up again
            asked.clear()
        kept = asked[url.href] = self.kept(url)
        if kept is None:
            return ()
        fields = [] if kept.etag is None else [("If-None-Match", kept.etag)]
        return fields if kept.modified is None else [*fields, ("If-Modified-Since", kept.modified)]

    def kept(self, url: Url) -> Kept | None:
        """What the record of this URL said."""
        found = self._near.get(canonical_href(url))
        if found is None and self._has_far:
            row = self._db.execute(_LAST, (canonical_key(url),)).fetchone()
            found = None if row is None else row[0]
        return None if found is None else _decode(found)

    def findings(self, request: Request, response: Response, found: Findings | None) -> Findings | None:
        """What is to be said of an answer, if the earlier run knew its page: whether that has changed, and what it
        led to, which is asked for again.
        """
        if not _gets(request):
            return found
        url = request.url
        kept = self._asked.pop(url.href) if url.href in self._asked else self.kept(url)
        if kept is None or response.error is not None:
            return found
        links, requisites, is_index = self._links(url) if self._has_links else _NO_LINKS
        if response.status == _NOT_MODIFIED:
            said = Findings(title=kept.title, links=kept.links, data=kept.data, kept=kept, page=kept.page)
            if self._has_links:
                said.follow, said.requisites, said.is_index = links, requisites, is_index
            return said
        if found is None:
            found = Findings()
        if links:
            found.follow = [*found.follow, *links]
            found.is_index = found.is_index or is_index
        if requisites:
            found.requisites = [*found.requisites, *requisites]
        if kept.status == response.status and kept.sha256 == response.digest():
            found.kept = kept
        return found

    def _links(self, page: Url) -> tuple[list[Any], list[Url], bool]:
        """What a page led to, what it was shown with, and whether it was an index of sitemaps."""
        rows = self._db.execute("SELECT url, source FROM links WHERE parent = ?", (canonical_key(page),)).fetchall()
        links = [parse(url) for url, source in rows if source != REQUISITE_SOURCE]
        requisites = [parse(url) for url, source in rows if source == REQUISITE_SOURCE]
        return links, requisites, any(source == INDEX_SOURCE for _, source in rows)

    # Reading.

    def _read(self, lines: Iterator[Line], source: str, stopped: Callable[[], bool]) -> None:
        db = self._db
        while (chunk := list(islice(lines, _BATCH))) and not stopped():
            for line in chunk:
                self._take(line)
            db.execute("BEGIN")
            db.executemany("INSERT INTO links VALUES (?, ?, ?)", self._links_read)
            db.executemany("INSERT INTO pages VALUES (?, ?)", self._far)
            db.execute("COMMIT")
            self._links_read.clear()
            self._far.clear()
            self.records += len(chunk)
        if not self.records:
            raise ConfigError(f"--since: {scrub(source)} holds no records")
        db.execute("CREATE INDEX links_of ON links (parent)")
        db.execute("CREATE INDEX pages_of ON pages (key)")

    def _take(self, line: Line) -> None:
        place = line.input
        try:
            href = self._href(line.final_url or line.url)
            if place is not None and place.parent is not None:
                parse(line.url)
                parent = canonical_key(parse(place.parent))
                self._has_links = True
                self._links_read.append((parent, line.url, place.source))
        except CodedError:  # a line of a list that was no URL
            return
        if line.method != "GET" or line.outcome not in _GOT or line.truncated or line.sha256 is None:
            return
        status = _OK if line.status == _NOT_MODIFIED and line.outcome == "unchanged" else line.status
        etag = modified = None
        if status == _OK and line.headers is not None:
            etag, modified = _sendable(line.headers.etag), _sendable(line.headers.last_modified)
            self.validators += etag is not None or modified is not None
        of_content = (line.sha256, line.size_body, line.content_type, line.charset)
        kept = _encode((status, *of_content, etag, modified, line.title, line.links, line.data, line.page))  # a Kept
        self._room -= len(href) + len(kept) + _OVERHEAD
        if self._room >= 0:
            self._near[href] = kept
        else:  # and so is all that comes after it
            self._near.pop(href, None)
            self._far.append((canonical_key(parse(href)), kept))
            self._has_far = True

    def _href(self, text: str) -> str:
        """The canonical form of a URL of a record, which mostly is that already."""
        if text.startswith(self._site) and _PLAIN_TARGET.fullmatch(text, len(self._site)):
            return text
        url = parse(text)
        href = canonical_href(url)
        self._site = href[: -len(url.target)]
        return href


def _sendable(values: Sequence[str]) -> str | None:
    """The first value of a header, if it can be sent: records are a file, and anything may stand in a file."""
    value = values[0] if values else None
    return value if value is not None and len(value) <= _LONGEST and value.isprintable() else None


def _gets(request: Request) -> bool:
    """Whether it is asked for what is at its URL, and for nothing else."""
    return request.method == "GET" and (request.ask is None or request.ask.body is None)


class SinceReader:
    """A reader of pages that knows what was there before; `reader` may be none."""

    def __init__(self, previous: Previous, reader: Any) -> None:
        self._previous = previous
        self._reader = reader

    def prepare(self, request: Request, response: Response) -> Any:
        return None if self._reader is None else self._reader.prepare(request, response)

    def read(self, request: Request, response: Response, prepared: Any) -> Findings | None:
        found = None if self._reader is None else self._reader.read(request, response, prepared)
        return self._previous.findings(request, response, found)

    def prepare_missed(self, request: Request, error: CodedError) -> Any:
        return None if self._reader is None else self._reader.prepare_missed(request, error)

    def missed(self, request: Request, error: CodedError, prepared: Any) -> Findings | None:
        found: Findings | None = None if self._reader is None else self._reader.missed(request, error, prepared)
        return found
