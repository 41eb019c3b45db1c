"""The pages of a site, each with what it says of itself, and how many others link to it: a database of our own.

It is in a file without a name that is gone with the report, so memory stays bounded. What links to what is counted by
64 bits of a hash: of a million pages two are taken for one in some thirty million reports.
"""

# ruff: noqa: S608 - names of columns are ours
from __future__ import annotations

import re
import sqlite3
import weakref
from collections.abc import Iterator
from typing import Any, Final

from crawler.report.counts.bounded import cut
from crawler.report.lines import Facts, Line

LONGEST: Final = 300  # characters of a text
MANY_WORDS: Final = 200
MOST_FIRST: Final = 3
"""So many of the pages that link to one are known by their URLs: the first ones."""
LONG_TITLE: Final = 60
LONG_DESCRIPTION: Final = 160
_BATCH: Final = 1_000
_HELD: Final = 40_000  # counts of links in memory, some 5 MB
_PAGES: Final = frozenset(("text/html", "application/xhtml+xml"))
_ORIGIN: Final = re.compile(r"[a-z]+://[^/?#]*")
_DIGITS: Final = 15  # of a hash: 60 bits
_HEX: Final = re.compile(f"[0-9a-f]{{{_DIGITS}}}")

# What is known of a page at once.
ROBOTS_DENIED: Final = 1 << 0
NO_TITLE: Final = 1 << 1
TITLES: Final = 1 << 2
TITLE_LONG: Final = 1 << 3
NO_DESCRIPTION: Final = 1 << 4
DESCRIPTIONS: Final = 1 << 5
DESCRIPTION_LONG: Final = 1 << 6
NO_H1: Final = 1 << 7
H1S: Final = 1 << 8
NOINDEX: Final = 1 << 9
CANONICALS: Final = 1 << 10
CANONICALIZED: Final = 1 << 11  # the page that counts is another one
THIN: Final = 1 << 12
CHAIN: Final = 1 << 13  # of two redirects and more
HTML: Final = 1 << 14  # a page, that came whole with a status of 2xx
FACTS: Final = 1 << 15  # and tells of itself
BROKEN: Final = 1 << 16  # failed, or a status from 400
REDIRECTED: Final = 1 << 17
INDEXABLE: Final = 1 << 18

_COLUMNS: Final = (
    "key", "final", "url", "parent", "status", "code", "type", "flags", "depth", "size", "seconds", "digest", "title",
    "h1", "description", "canonical", "points", "words", "links", "chain", "asked",
)  # fmt: skip
_INTEGERS: Final = frozenset(("key", "final", "status", "flags", "depth", "size", "digest", "points", "words", "links"))
_TABLES: Final = (
    "CREATE TABLE pages (" + ", ".join(f"{c} INTEGER" if c in _INTEGERS else c for c in _COLUMNS) + ");"
    "CREATE TABLE linked (key INTEGER PRIMARY KEY, pages INTEGER NOT NULL, maps INTEGER NOT NULL, first);"
)
_NOTHING: Final = (None, "")
_INSERT: Final = f"INSERT INTO pages VALUES ({', '.join('?' * len(_COLUMNS))})"
_COUNT: Final = (
    "INSERT INTO linked VALUES (?, ?, ?, ?) "
    "ON CONFLICT DO UPDATE SET pages = pages + excluded.pages, maps = maps + excluded.maps, first = CASE "
    f"WHEN excluded.first IS NULL OR length(first) - length(replace(first, char(10), '')) >= {MOST_FIRST - 1} "
    "THEN first ELSE coalesce(first || char(10), '') || excluded.first END"
)


class Site:
    """Takes records as they come, then answers. For one thread at a time."""

    def __init__(self) -> None:
        self._db = db = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        weakref.finalize(self, db.close)
        db.execute("PRAGMA journal_mode = MEMORY")
        db.execute("PRAGMA synchronous = OFF")
        db.executescript(_TABLES)
        self._rows: list[tuple[Any, ...]] = []
        self._from_pages: dict[int, int] = {}
        self._from_maps: dict[int, int] = {}
        self._first: dict[int, list[str]] = {}
        self.flags: dict[int, int] = {}
        """How often each set of what is known at once came."""
        self.sitemaps = 0
        self.known: set[str] = set()
        """The columns in which anything is known."""
        self._indexed = False

    def add(self, line: Line, code: str | None, *, failed: bool, parent: str | None) -> None:
        """A record that is no skip, or one of robots.txt."""
        final = line.final_url or line.url
        hops = line.redirects
        end = hash(final)
        key = hash(hops[0].url) if hops else end
        facts, title = line.page, line.title
        status = line.status
        flags = REDIRECTED if hops else 0
        if failed or status is None or status >= 400:
            flags |= ROBOTS_DENIED if code == "robots_denied" else BROKEN
        elif status < 300 and (line.content_type in _PAGES or facts is not None):
            flags |= HTML
        if len(hops) > 1:
            flags |= CHAIN
        h1 = description = canonical = points = words = None
        if facts is not None:
            flags, points = self._told(facts, flags, final, end)
            h1 = cut_to(facts.h1[0]) if facts.h1 else ""
            description = cut_to(facts.description or "")
            canonical, words = facts.canonical, facts.words
        if flags & HTML and title is not None:
            flags |= NO_TITLE if not title.strip() else TITLE_LONG if len(title) > LONG_TITLE else 0
        elif flags & FACTS:
            flags |= NO_TITLE
        if flags & HTML and not flags & (NOINDEX | CANONICALIZED):
            flags |= INDEXABLE
        self.flags[flags] = self.flags.get(flags, 0) + 1
        depth = line.input_depth if line.input is None else line.input.depth
        digest = None
        if line.sha256 is not None and line.size_body and flags & HTML and _HEX.match(line.sha256):
            digest = int(line.sha256[:_DIGITS], 16)
        row = (
            key, end, cut(final), None if parent is None else cut(parent), status, code, line.content_type, flags,
            depth,
            line.size_body, line.time_total, digest, None if title is None else cut_to(title), h1, description,
            None if canonical is None else cut(canonical), points, words, line.links,
            "\n".join(cut(hop.url) for hop in hops) if len(hops) > 1 else None,
            cut(line.url) if flags & BROKEN and parent is not None else None,
        )  # fmt: skip
        self._rows.append(row)
        if len(self._rows) >= _BATCH:
            self._write()

    def _told(self, facts: Facts, flags: int, final: str, end: int) -> tuple[int, int | None]:
        """What a page says of itself, and the hash of the page that counts in its place."""
        origin = _ORIGIN.match(final)
        start = origin[0] if origin else ""
        counts, first = (self._from_maps, {}) if facts.is_sitemap else (self._from_pages, self._first)
        page = _clean(cut(final))
        for link in facts.links:
            key = hash(start + link) if link[:1] == "/" else hash(link)
            if key != end:
                counts[key] = number = counts.get(key, 0) + 1
                if number <= MOST_FIRST:
                    first.setdefault(key, []).append(page)
        if len(counts) > _HELD:
            self._write_counts()
        if facts.is_sitemap:
            self.sitemaps += 1
            return flags & ~HTML, None
        if not flags & HTML:
            return flags, None
        flags |= FACTS
        if facts.titles > 1:
            flags |= TITLES
        if facts.descriptions > 1:
            flags |= DESCRIPTIONS
        if not facts.description:
            flags |= NO_DESCRIPTION
        elif len(facts.description) > LONG_DESCRIPTION:
            flags |= DESCRIPTION_LONG
        if facts.h1s != 1:
            flags |= H1S if facts.h1s else NO_H1
        if "noindex" in facts.robots:
            flags |= NOINDEX
        if facts.canonicals > 1:
            flags |= CANONICALS
        if facts.words is not None and facts.words < MANY_WORDS:
            flags |= THIN
        points = None if facts.canonical is None else hash(facts.canonical)
        if points is not None and points != end:
            flags |= CANONICALIZED
        return flags, points

    def _write(self) -> None:
        rows, self._rows = self._rows, []
        if not rows:
            return
        for at, name in enumerate(_COLUMNS):
            if name not in self.known and any(row[at] not in _NOTHING for row in rows):
                self.known.add(name)
        self._db.execute("BEGIN")
        try:
            self._db.executemany(_INSERT, rows)
        except UnicodeEncodeError:
            self._db.execute("ROLLBACK")
            self._db.execute("BEGIN")
            self._db.executemany(_INSERT, [tuple(map(_clean, row)) for row in rows])
        self._db.execute("COMMIT")

    def _write_counts(self) -> None:
        pages, self._from_pages = self._from_pages, {}
        maps, self._from_maps = self._from_maps, {}
        first, self._first = self._first, {}
        self._db.execute("BEGIN")
        self._db.executemany(_COUNT, ((key, pages[key], 0, "\n".join(first[key])) for key in sorted(pages)))
        self._db.executemany(_COUNT, ((key, 0, maps[key], None) for key in sorted(maps)))
        self._db.execute("COMMIT")

    # Asking.

    @property
    def tells(self) -> bool:
        """Whether any page tells of itself, and where it leads."""
        return self.count(FACTS) > 0

    def count(self, wanted: int, without: int = 0) -> int:
        """How many pages there are of which all of `wanted` is known, and nothing of `without`."""
        return sum(n for flags, n in self.flags.items() if flags & wanted == wanted and not flags & without)

    def index(self, column: str) -> None:
        """Have pages found by what stands in this column."""
        self.settle()
        self._db.execute(f"CREATE INDEX IF NOT EXISTS pages_{column} ON pages ({column})")

    def ask(self, sql: str, *values: Any) -> Iterator[Any]:
        """The rows of a question to `pages` and `linked`."""
        self.settle()
        return iter(self._db.execute(sql, values))

    def number(self, sql: str, *values: Any) -> int:
        (number,) = next(self.ask(sql, *values))
        return int(number)

    def settle(self) -> None:
        """Have ready what came: then `known` is whole."""
        self._write()
        if self._from_pages or self._from_maps:
            self._write_counts()
        if not self._indexed:
            self._indexed = True
            self._db.execute("CREATE INDEX pages_final ON pages (final)")
            self._db.execute("CREATE INDEX pages_key ON pages (key)")


def cut_to(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _clean(value: Any) -> Any:
    """Lone surrogates have no UTF-8 form, in which SQLite keeps text."""
    if not isinstance(value, str) or value.isascii():
        return value
    return value.encode("utf-8", "backslashreplace").decode()


def of_links(column: str) -> str:
    """SQL: how many link to the page `p`, or to where it was asked for: `pages` or `maps`."""
    return (
        f"(coalesce((SELECT {column} FROM linked WHERE key = p.final), 0)"
        f" + CASE WHEN p.key = p.final THEN 0 ELSE coalesce((SELECT {column} FROM linked WHERE key = p.key), 0) END)"
    )


FIRST_LINKED: Final = (
    "coalesce((SELECT first FROM linked WHERE key = p.final)"
    " || coalesce(char(10) || (SELECT first FROM linked WHERE key = p.key), ''),"
    " (SELECT first FROM linked WHERE key = p.key), "
    "p.parent)"
)
"""SQL: the first pages that link to the page `p`, by lines; where pages do not tell, the one on which it was found."""
