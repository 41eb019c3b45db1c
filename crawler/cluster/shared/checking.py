"""The records of a shared crawl that count, held against its books: each URL that ended has one, and none has two."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from hashlib import blake2b
from typing import Final, NamedTuple

import msgspec

from crawler.cluster.shared.books import Books
from crawler.cluster.shared.doubles import KEY_BYTES, Doubles
from crawler.cluster.shared.parts import Counted, Parts
from crawler.models import Ending, Input, Outcome
from crawler.printable import printable

SHOWN: Final = 5
_ENDINGS: Final[tuple[Ending, ...]] = ("ok", "failed", "skipped")


class Told(msgspec.Struct, frozen=True, gc=False):
    """What a record says of itself, as far as it is counted by that."""

    url: str
    input: Input
    outcome: Outcome
    method: str = "GET"

    @property
    def ending(self) -> Ending:
        return "ok" if self.outcome == "unchanged" else self.outcome

    @property
    def key(self) -> bytes | None:
        """What tells its input from all others of the crawl: the line, or for what was linked the URL.

        None for a linked one that nothing tells: requests with other methods may differ in what they send.
        """
        of = self.input
        if of.parent is None:
            text = f"{of.source}\0{of.line}\0{self.url}"
        elif self.method == "GET":
            text = self.url
        else:
            return None
        return blake2b(text.encode("utf-8", "replace"), digest_size=KEY_BYTES).digest()

    @property
    def name(self) -> str:
        of = self.input
        place = f"{of.source}:{of.line}: " if of.parent is None and of.line is not None else ""
        return f"{place}{self.url}"


read: Final = msgspec.json.Decoder(Told).decode


class At(NamedTuple):
    """Where a record is: the part, and the byte at which it begins."""

    part: str
    at: int


class Check:
    """Gives the records that are to be collected, and knows then what was wrong: `problems`, in words.

    `retried` are the records whose URLs people have queued again, in the order of that: such a one is left out once
    there is a later record of its input. `records` are those given, `inputs` those of them that are of no link;
    `replaced` were left out. `records_skips` says whether each URL that is skipped has a record.
    """

    def __init__(self, books: Books, parts: Parts, retried: list[At], *, records_skips: bool) -> None:
        self._books = books
        self._parts = parts
        self._retried = {place: number for number, place in enumerate(retried)}
        self._records_skips = records_skips
        self.records = self.inputs = self.replaced = 0
        self.problems: list[str] = []

    def __iter__(self) -> Iterator[Counted]:
        self.records = self.inputs = self.replaced = 0
        self.problems = [*self._books.imbalance()]
        replaced = self._replaced() if self._retried else set()
        counts: list[Counter[Ending]] = [Counter() for _ in self._books.counts]
        with closing(Doubles()) as doubles:
            for found in self._parts:
                told = self._read(found)
                if told is None:
                    continue
                counts[found.shard][told.ending] += 1
                if At(found.part, found.at) in replaced:
                    self.replaced += 1
                    continue
                if (key := told.key) is not None:
                    doubles.add(key)
                self.records += 1
                self.inputs += told.input.parent is None
                yield found
            twice = {key for key, _ in doubles.found()}
        self.problems += self._parts.problems
        self.problems += self._miscounted(counts)
        if twice:
            self.problems += self._named(twice, replaced)

    def _read(self, found: Counted) -> Told | None:
        try:
            return read(found.line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self.problems.append(f"{self._parts.path(found.part)}: no record at {found.at:,}: {error}")
            return None

    def _miscounted(self, counts: list[Counter[Ending]]) -> Iterator[str]:
        """Where there are more or fewer records than URLs that ended."""
        for shard, (found, books) in enumerate(zip(counts, self._books.counts, strict=True)):
            if shard in self._books.moving:
                continue
            for ending in _ENDINGS:
                wanted: int = getattr(books, ending)
                unwritten = ending == "skipped" and not self._records_skips
                if found[ending] > wanted or (found[ending] < wanted and not unwritten):
                    yield f"shard {shard}: {found[ending]:,} {ending} in the parts, {wanted:,} in the books"

    def _named(self, twice: set[bytes], replaced: set[At]) -> Iterator[str]:
        """Those with several records, where these are: keys may be the same by accident, names are not."""
        where: dict[str, list[str]] = defaultdict(list)
        for found in self._parts:
            told = self._read(found)
            if told is not None and told.key in twice and At(found.part, found.at) not in replaced:
                where[told.name].append(f"{found.part} at {found.at:,}")
        doubles = [(name, places) for name, places in where.items() if len(places) > 1]
        for name, places in doubles[:SHOWN]:
            yield f"{len(places)} records of {printable(name)}: {', '.join(places[:SHOWN])}"
        if len(doubles) > SHOWN:
            yield f"and {len(doubles) - SHOWN:,} more with several records"

    def _replaced(self) -> set[At]:
        """Of the records whose URLs were queued again those that have a later one."""
        again: dict[bytes, list[At]] = defaultdict(list)
        for found in self._parts:
            place = At(found.part, found.at)
            if place in self._retried and (told := self._read(found)) is not None and told.key is not None:
                again[told.key].append(place)
        for found in self._parts if again else ():
            told = self._read(found)
            if told is not None and told.key in again and At(found.part, found.at) not in self._retried:
                again[told.key].append(At(found.part, found.at))
        # The last one is the newest: what was not queued again, or else what was so last.
        newest = len(self._retried)
        return {
            place
            for places in again.values()
            for place in sorted(places, key=lambda place: self._retried.get(place, newest))[:-1]
            if place in self._retried
        }
