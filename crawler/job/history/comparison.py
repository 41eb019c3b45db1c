"""What differs between two runs: which URLs are new, gone or changed, and in what. Memory stays bounded."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any, Final, Literal

import msgspec

from crawler.errors import CodedError
from crawler.job.history.records import Line, kept_aside, read_records
from crawler.urls import canonical_key, parse

Kind = Literal["new", "gone", "changed"]
KINDS: Final[tuple[Kind, ...]] = ("new", "gone", "changed")
_BATCH: Final = 1_000
_GONE: Final = frozenset((404, 410))
_SCHEMA: Final = "CREATE TABLE pages (key BLOB PRIMARY KEY, page BLOB NOT NULL, met INTEGER NOT NULL) WITHOUT ROWID"


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """A page as one run had it. `answer` is its status, or the code of the error for which there is none."""

    url: str
    answer: int | str | None
    leads_to: str | None
    title: str | None
    sha256: str | None
    texts: dict[str, str]
    data: Any

    @property
    def is_there(self) -> bool:
        return isinstance(self.answer, int) and self.answer < 400


class Change(msgspec.Struct, frozen=True):
    """A URL that is not as it was. `fields` has, for each thing that differs, what it was and what it is."""

    change: Kind
    url: str
    fields: dict[str, tuple[Any, Any]] = {}


class Comparison:
    """Of the records in `old` and `new`; each is a file of JSON Lines or the folder of a job.

    Iterating gives the changes, once: those of the newer records in their order, then what is gone. After that
    `unchanged` and `counts` are known. Raises ConfigError for what cannot be read, CodedError for a full disk. `close`
    it.
    """

    def __init__(self, old: str, new: str) -> None:
        self._old, self._new = old, new
        self.counts: dict[Kind, int] = dict.fromkeys(KINDS, 0)
        self.unchanged = 0
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute(_SCHEMA)

    def close(self) -> None:
        self._db.close()

    def __iter__(self) -> Iterator[Change]:
        with kept_aside("diff"):
            for change in self._changes():
                self.counts[change.change] += 1
                yield change

    def _changes(self) -> Iterator[Change]:
        encode = msgspec.json.Encoder().encode  # not in MessagePack: an integer of a page may have any length
        decode = msgspec.json.Decoder(Seen).decode
        db = self._db
        db.execute("BEGIN")
        for key, page in _pages(self._old):
            db.execute("INSERT OR REPLACE INTO pages VALUES (?, ?, 0)", (key, encode(page)))
        db.execute("COMMIT")
        db.execute("BEGIN")
        for key, page in _pages(self._new):
            row = db.execute("SELECT page, met FROM pages WHERE key = ?", (key,)).fetchone()
            if row is not None and row[1]:
                continue  # a URL that a list names twice
            # What is new is known from now on, too.
            db.execute("INSERT OR REPLACE INTO pages VALUES (?, ?, 1)", (key, row[0] if row else encode(page)))
            change = compared(None if row is None else decode(row[0]), page)
            if change is None:
                self.unchanged += 1
            else:
                yield change
        for (page,) in db.execute("SELECT page FROM pages WHERE NOT met"):
            seen = decode(page)
            if seen.is_there:
                yield Change("gone", seen.url, {"status": (seen.answer, None)})


def compared(old: Seen | None, new: Seen) -> Change | None:
    """What has become of a page; None if nothing that can be told."""
    if old is None or not old.is_there:
        if new.is_there:
            return Change("new", new.url, {"status": (None if old is None else old.answer, new.answer)})
        if old is None or old.answer == new.answer:
            return None
        return Change("changed", new.url, {"status": (old.answer, new.answer)})
    if new.answer in _GONE:
        return Change("gone", new.url, {"status": (old.answer, new.answer)})
    fields: dict[str, tuple[Any, Any]] = {}
    if old.answer != new.answer:
        fields["status"] = (old.answer, new.answer)
    if new.is_there:
        facts = (
            ("redirect", old.leads_to, new.leads_to),
            ("title", old.title, new.title),
            ("text", old.texts, new.texts),
            ("data", old.data, new.data),
            ("hash", old.sha256, new.sha256),
        )
        unknown = old.sha256 is None or new.sha256 is None  # --fields may have left it out
        fields |= {name: (before, after) for name, before, after in facts if before != after}
        if unknown:
            fields.pop("hash", None)
    return Change("changed", new.url, fields) if fields else None


def _pages(source: str) -> Iterator[tuple[bytes, Seen]]:
    """Those that were asked for."""
    for line in read_records(source, "diff"):
        if line.outcome == "skipped":
            continue
        try:
            key = canonical_key(parse(line.url))
        except CodedError:  # a line of a list that was no URL
            continue
        yield key, _seen(line)


def _seen(line: Line) -> Seen:
    answer: int | str | None = line.status if line.error is None else line.error.code
    if line.outcome == "unchanged" and answer == 304:
        answer = 200
    texts, data = _parted(line.data)
    leads_to = line.final_url if line.final_url != line.url else None
    return Seen(line.url, answer, leads_to, line.title, line.sha256, texts, data)


def _parted(data: Any) -> tuple[dict[str, str], Any]:
    """The main texts in `data`, as --text puts them there, and the rest."""
    if not isinstance(data, dict):
        return {}, data
    texts = {
        name: value["text"]
        for name, value in data.items()
        if isinstance(value, dict) and isinstance(value.get("text"), str) and "language" in value
    }
    rest = {
        name: {key: inner for key, inner in value.items() if key != "text"} if name in texts else value
        for name, value in data.items()
    }
    return texts, rest or None
