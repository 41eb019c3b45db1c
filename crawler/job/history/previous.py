"""What an earlier run has seen, for one that is to fetch only what changed: validators, hashes, and what was found.

It is read from its records, once, into a database of its own that is gone with the run: memory stays bounded, however
many there are. A record counts under the URL that answered; of several the last one does. Only pages that were got
count, and for those alone that are: what a POST brought is not what is at its URL, and a HEAD brought nothing.
"""

from __future__ import annotations

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
from crawler.urls import Url, canonical_key, parse

_BATCH: Final = 1_000
_NOT_MODIFIED: Final = 304
_LONGEST: Final = 4_096
"""Characters of a validator. A server that is sent a longer one may refuse the request for it."""
_SCHEMA: Final = """
CREATE TABLE pages (key BLOB PRIMARY KEY, etag TEXT, modified TEXT, kept BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE links (parent BLOB NOT NULL, url TEXT NOT NULL, source TEXT);
"""

_encode: Final = msgspec.json.Encoder().encode  # not in MessagePack: an integer of a page may have any length
_decode: Final = msgspec.json.Decoder(Kept).decode


class Previous:
    """Read from `source`: a file of JSON Lines, also gzipped, or the folder of a job.

    Raises ConfigError, with a sentence, for what holds no records, CodedError for a full disk. `stopped` is asked now
    and then: the reading ends when it says so. Not bound to a thread, but for one at a time.
    """

    def __init__(self, source: str, stopped: Callable[[], bool] = lambda: False) -> None:
        self._db = db = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        db.execute("PRAGMA journal_mode = OFF")
        db.executescript(_SCHEMA)
        self.records = 0
        self.validators = 0
        self._has_links = False
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
        found = self._db.execute(
            "SELECT etag, modified FROM pages WHERE key = ?", (canonical_key(request.url),)
        ).fetchone()
        if found is None:
            return ()
        etag, modified = found
        fields = [] if etag is None else [("If-None-Match", etag)]
        return fields if modified is None else [*fields, ("If-Modified-Since", modified)]

    def kept(self, url: Url) -> Kept | None:
        """What the record of this URL said."""
        found = self._db.execute("SELECT kept FROM pages WHERE key = ?", (canonical_key(url),)).fetchone()
        return None if found is None else _decode(found[0])

    def findings(self, request: Request, response: Response, found: Findings | None) -> Findings | None:
        """What is to be said of an answer, if the earlier run knew its page: whether that has changed, and what it
        led to, which is asked for again.
        """
        kept = self.kept(request.url) if _gets(request) else None
        if kept is None or response.error is not None:
            return found
        links, requisites, is_index = self._links(request.url)
        if response.status == _NOT_MODIFIED:
            return Findings(
                title=kept.title,
                links=kept.links,
                data=kept.data,
                follow=links,
                requisites=requisites,
                kept=kept,
                is_index=is_index,
            )
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
        if not self._has_links:  # of a list
            return [], [], False
        rows = self._db.execute("SELECT url, source FROM links WHERE parent = ?", (canonical_key(page),)).fetchall()
        links = [parse(url) for url, source in rows if source != REQUISITE_SOURCE]
        requisites = [parse(url) for url, source in rows if source == REQUISITE_SOURCE]
        return links, requisites, any(source == INDEX_SOURCE for _, source in rows)

    # Reading.

    def _read(self, lines: Iterator[Line], source: str, stopped: Callable[[], bool]) -> None:
        db = self._db
        while (chunk := list(islice(lines, _BATCH))) and not stopped():
            db.execute("BEGIN")
            for line in chunk:
                self._take(line)
            db.execute("COMMIT")
            self.records += len(chunk)
        if not self.records:
            raise ConfigError(f"--since: {scrub(source)} holds no records")
        db.execute("CREATE INDEX links_of ON links (parent)")

    def _take(self, line: Line) -> None:
        place = line.input
        try:
            url = parse(line.final_url or line.url)
            if place is not None and place.parent is not None:
                parse(line.url)
                parent = canonical_key(parse(place.parent))
                self._has_links = True
                self._db.execute("INSERT INTO links VALUES (?, ?, ?)", (parent, line.url, place.source))
        except CodedError:  # a line of a list that was no URL
            return
        if line.method != "GET" or line.outcome not in {"ok", "unchanged"} or line.truncated or line.sha256 is None:
            return
        status = 200 if line.status == _NOT_MODIFIED and line.outcome == "unchanged" else line.status
        etag, modified = (_validator(line, name) if status == 200 else None for name in ("etag", "last-modified"))
        self.validators += etag is not None or modified is not None
        of_content = (line.sha256, line.size_body, line.content_type, line.charset)
        kept = Kept(status, *of_content, etag, modified, line.title, line.links, line.data)
        self._db.execute(
            "INSERT OR REPLACE INTO pages VALUES (?, ?, ?, ?)", (canonical_key(url), etag, modified, _encode(kept))
        )


def _validator(line: Line, name: str) -> str | None:
    """The first value of this header, if it can be sent: records are a file, and anything may stand in a file."""
    for value in (line.headers or {}).get(name, ()):
        return value if len(value) <= _LONGEST and value.isprintable() else None
    return None


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
