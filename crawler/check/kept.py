"""What a check keeps while it runs: answers, and surveys of pages, in a database: memory stays flat.

Without a job it ends with the check. With one it lies in its folder, and each commit of the job comes after its own.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from crawler.check.judging import Answer, answer_of, fragment_of
from crawler.errors import CodedError
from crawler.files import open_to_append
from crawler.models import LEAVES, Record, Response
from crawler.page.places.survey import Link, Survey, decode, encode
from crawler.store.file import StoreError, database_errors, declared
from crawler.urls import canonical_href, parse

ARGUMENTS: Final = "arguments"
"""The page of what stands on the command line: nobody wants to know its line."""
_BATCH: Final = 256
_BATCH_BYTES: Final = 1 << 20
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS answers (url TEXT PRIMARY KEY, answer BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS surveys (number INTEGER PRIMARY KEY, key TEXT UNIQUE NOT NULL, survey BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS names (url TEXT PRIMARY KEY, names BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS wanted (
    url TEXT NOT NULL, fragment TEXT NOT NULL, PRIMARY KEY (url, fragment)
) WITHOUT ROWID;
"""
_PUT_SURVEY: Final = "INSERT OR REPLACE INTO surveys (key, survey) VALUES (?, ?)"
_PUT_SURVEY_OF_LEAF: Final = "INSERT OR IGNORE INTO surveys (key, survey) VALUES (?, ?)"  # the page says more
_T = TypeVar("_T")
_encode: Final = msgspec.msgpack.Encoder().encode
_answer: Final = msgspec.msgpack.Decoder(Answer).decode
_names: Final = msgspec.msgpack.Decoder(list[str]).decode


class Kept:
    """Implements `crawler.sinks.Sink`, several times in turn: each run closes its sinks.

    Fails with CodedError for what the disk does, and for the file of a job that is damaged.
    """

    def __init__(self, job: Path | None = None) -> None:
        self._place = "" if job is None else str(job / "check.sqlite")  # "": a file that is gone when it is closed
        self._opened: sqlite3.Connection | None = None
        self._lock = threading.Lock()
        self._answers: list[tuple[str, bytes]] = []
        self._aliases: list[tuple[str, bytes]] = []
        self._surveys: list[tuple[str, bytes, bool]] = []  # by what, and whether it is of a leaf
        self._size = 0
        self.only_names = False
        """Whether answers are there already, and pages are read once more for what fragments may name."""

    @property
    def _database(self) -> sqlite3.Connection:
        """Opened when the run has begun: then the folder of its job is there, and its own."""
        if self._opened is None:
            with self._errors():
                if self._place:  # URLs may hold what is nobody's business
                    os.close(open_to_append(self._place, 0o600))
                self._opened = sqlite3.connect(self._place, isolation_level=None, check_same_thread=False)
                self._prepare(self._opened)
        return self._opened

    def _prepare(self, database: sqlite3.Connection) -> None:
        """Make the tables. The file of a job is data: what else it declares, a trigger, say, is not to act."""
        database.execute("PRAGMA trusted_schema = OFF")
        found = declared(database)
        with closing(sqlite3.connect(":memory:")) as ours:
            ours.executescript(_TABLES)
            if found and found != declared(ours):
                raise CodedError("write_error", f"{self._place} is damaged: its tables are not those of a check")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        if not found:
            database.executescript(_TABLES)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """What SQLite and the system say, as CodedError."""
        path = Path(self._place or "the temporary file of a check")
        try:
            with database_errors(path):
                yield
        except StoreError as error:
            raise CodedError("write_error", f"{path} is damaged") from error

    def _read(self, decoded: Callable[[bytes], _T], value: bytes) -> _T:
        """A value as we have written it. Raises CodedError."""
        try:
            return decoded(value)
        except (msgspec.MsgspecError, TypeError) as error:
            raise CodedError("write_error", f"{self._place} is damaged: {error}") from error

    # The sink.

    def write(self, record: Record, response: Response | None, sequence: int) -> None:  # noqa: ARG002
        if not self.only_names:
            self._note_answer(record)
        if response is not None and response.survey is not None:
            is_leaf = record.input.source in LEAVES
            self._surveys.append((record.final_url or record.url, response.survey, is_leaf))
            self._size += len(response.survey)
        if len(self._answers) >= _BATCH or self._size >= _BATCH_BYTES:
            self.flush()

    def _note_answer(self, record: Record) -> None:
        answer = answer_of(record)
        hops = record.redirects
        url = hops[0].url if hops else record.final_url or _standard(record.url)
        if answer.code != "duplicate" or hops:  # else it is the second of two seeds
            self._answers.append((key_of(url), _encode(answer)))
        # A redirect has taken the URLs on its way along: they have no records of their own.
        for number, hop in enumerate(hops[1:], 1):
            rest = msgspec.structs.replace(answer, hops=answer.hops[number:], fragment=fragment_of(hops[number:]))
            self._aliases.append((key_of(hop.url), _encode(rest)))
        if hops and record.final_url is not None and answer.code != "duplicate":
            last = msgspec.structs.replace(answer, hops=(), target=None, fragment=None)
            self._aliases.append((key_of(record.final_url), _encode(last)))
        place = record.input
        if place.parent is None and place.line is not None:
            fault = answer.message if answer.code == "url_invalid" else ""
            link = Link(-1 if fault else 0, "page", place.line, 1, "", "", record.url, "", "", fault)
            survey = Survey(place.source or "", [] if fault else [url], [link])
            self._surveys.append((f"{place.source}\n{place.line}", encode(survey), False))

    def add(self, survey: Survey, key: str) -> None:
        """A document that no run fetches, by a key of its own; in any thread."""
        with self._lock, self._errors():
            self._database.execute(_PUT_SURVEY, (key, encode(survey)))

    def flush(self) -> None:
        with self._lock, self._errors():
            self._flush()

    def _flush(self) -> None:
        database = self._database
        database.execute("BEGIN")
        database.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?)", self._answers)
        database.executemany("INSERT OR IGNORE INTO answers VALUES (?, ?)", self._aliases)
        if self.only_names:
            self._keep_names()
        else:
            for statement, of_leaves in ((_PUT_SURVEY, False), (_PUT_SURVEY_OF_LEAF, True)):
                some = [(key, survey) for key, survey, is_leaf in self._surveys if is_leaf == of_leaves]
                database.executemany(statement, some)
        database.execute("COMMIT")
        self._size = 0
        for batch in (self._answers, self._aliases, self._surveys):
            batch.clear()

    def close(self) -> None:
        self.flush()

    def _keep_names(self) -> None:
        for url, survey, _ in self._surveys:
            names = decode(survey).names
            if names is not None:
                self._database.execute("INSERT OR REPLACE INTO names VALUES (?, ?)", (key_of(url), _encode(names)))

    def end(self) -> None:
        """Let go of everything."""
        if self._opened is not None:
            self._opened.close()

    # What was kept.

    def surveys(self) -> Iterator[Survey]:
        """In the order in which they came."""
        for (survey,) in self._database.execute("SELECT survey FROM surveys ORDER BY number"):
            yield self._read(decode, survey)

    def sort(self) -> int:
        """Look what is wanted of what, before the next two are asked. Returns how many pages there are."""
        with self._errors():
            return self._sorted()

    def _sorted(self) -> int:
        database = self._database
        database.execute("BEGIN")
        count = 0
        last = ARGUMENTS
        for survey in self.surveys():
            count += not survey.leaf and survey.url not in {last, ARGUMENTS}
            last = survey.url
            urls = list(map(key_of, survey.urls))
            wanted = {(urls[link.target], link.fragment) for link in survey.links if link.target >= 0}
            database.executemany("INSERT OR IGNORE INTO wanted VALUES (?, ?)", sorted(wanted))
            if survey.names is not None:
                database.execute(
                    "INSERT OR IGNORE INTO names VALUES (?, ?)", (key_of(survey.url), _encode(survey.names))
                )
        database.execute("COMMIT")
        return count

    def links(self) -> Iterator[tuple[str, int]]:
        """The URLs that are linked to, and with how many fragments each; none is one, too."""
        yield from self._database.execute("SELECT url, count(*) FROM wanted GROUP BY url")

    def answers(self) -> Iterator[tuple[str, Answer]]:
        """Of all that is linked to, in the order of the URLs; of what was not asked an empty one."""
        query = "SELECT DISTINCT wanted.url, answer FROM wanted LEFT JOIN answers USING (url)"
        for url, answer in self._database.execute(query):
            yield url, Answer() if answer is None else self._read(_answer, answer)

    def answer(self, url: str) -> Answer | None:
        row = self._database.execute("SELECT answer FROM answers WHERE url = ?", (key_of(url),)).fetchone()
        return None if row is None else self._read(_answer, row[0])

    def fragments(self) -> Iterator[tuple[str, list[str]]]:
        """The fragments that are wanted, by URL."""
        query = "SELECT url, json_group_array(fragment) FROM wanted WHERE fragment != '' GROUP BY url"
        for url, fragments in self._database.execute(query):
            yield url, msgspec.json.decode(fragments, type=list[str])

    def names(self, url: str) -> frozenset[str] | None:
        """What fragments may name there; None where that is not known."""
        row = self._database.execute("SELECT names FROM names WHERE url = ?", (key_of(url),)).fetchone()
        return None if row is None else frozenset(self._read(_names, row[0]))


def key_of(url: str) -> str:
    """By what a URL is known again: as a crawl does, without the root dot."""
    host = url.partition("://")[2].partition("/")[0]
    if ".:" in host or host.endswith("."):
        with suppress(CodedError):
            return canonical_href(parse(url))
    return url


def _standard(written: str) -> str:
    with suppress(CodedError):
        return parse(written).href
    return written
