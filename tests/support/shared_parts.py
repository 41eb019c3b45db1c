"""A node of a shared crawl that fetches nothing: what it claims becomes records, in parts that are written as they are
by nodes, and is committed."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path

import msgspec

from crawler.frontier.shared.contract import SHARDS, Arrival, Commit, Ended, Lease, SharedStore, Turn, shard_of
from crawler.models import Ending, ErrorInfo, Input, Record
from crawler.urls import parse


def key(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=8).digest()


def seed(store: SharedStore, urls: list[str], source: str = "urls.txt") -> None:
    """They arrive as the lines of an input."""
    for line, url in enumerate(urls, 1):
        of = Input(source, line)
        host = parse(url).host_key
        data = msgspec.json.encode((url, of))
        store.arrive(shard_of(host), [Arrival(host, key(url), data, key(f"{source} {line}"))])


def linked(store: SharedStore, url: str, parent: str) -> None:
    """It arrives as a link of a page."""
    host = parse(url).host_key
    store.arrive(shard_of(host), [Arrival(host, key(url), msgspec.json.encode((url, Input(parent=parent, depth=1))))])


def record(url: str, of: Input, outcome: Ending = "ok", attempts: int = 1) -> Record:
    if outcome == "ok":
        return Record(url=url, final_url=url, input=of, outcome=outcome, status=200, attempts=attempts)
    code = "timeout" if outcome == "failed" else "duplicate"
    error = ErrorInfo(code, "connect", outcome == "failed", "for a test")
    return Record(url=url, input=of, outcome=outcome, error=error, attempts=attempts if outcome == "failed" else 0)


class MadeNode:
    """Claims all that may be claimed and ends it, as `ending` says of each URL."""

    def __init__(
        self, store: SharedStore, folder: Path, name: str = "a", ending: Callable[[str], Ending] = lambda _: "ok"
    ) -> None:
        self.store = store
        self.name = name
        self.part = f"{name}-1"
        self.parts = folder / "parts"
        self.parts.mkdir(parents=True, exist_ok=True)
        self.ending = ending
        self.size = 0
        self._commits = [(0, 0)] * SHARDS  # the number of the last one, and how long the part was then

    def write(self, shard: int, *records: Record) -> None:
        """Records that nothing is committed of yet."""
        lines = b"".join(msgspec.json.encode(one) + b"\n" for one in records)
        with (self.parts / f"{self.part}.jsonl").open("ab") as part:
            part.write(lines)
        with (self.parts / f"{self.part}.shards").open("ab") as marks:
            marks.write(bytes([shard]) * len(records))
        self.size += len(lines)

    def claim(self, shard: int) -> list[Lease]:
        return self.store.claim(shard, self.name, 100, 100, 60.0)

    def fetch(self, lease: Lease) -> list[tuple[int, Record]]:
        found = []
        for entry in lease.entries:
            url, of = msgspec.json.decode(entry.data, type=tuple[str, Input])
            found.append((entry.id, record(url, of, "skipped" if entry.is_duplicate else self.ending(url))))
        return found

    def commit(self, shard: int, lease: Lease, done: list[tuple[int, Record]]) -> None:
        number, before = self._commits[shard]
        ended = [Ended(number, one.ending) for number, one in done]
        turn = Turn(lease.host, lease.token, ended, release=True)
        answer = self.store.commit(shard, Commit(self.part, number + 1, before, self.size, [turn], self.name))
        assert (answer.lost, answer.forgotten) == ([], False)
        self._commits[shard] = (number + 1, self.size)

    def work(self) -> int:
        """Do all that there is. Gives how many records that made."""
        made = 0
        for shard in range(SHARDS):
            for lease in self.claim(shard):
                done = self.fetch(lease)
                self.write(shard, *(one for _, one in done))
                self.commit(shard, lease, done)
                made += len(done)
        return made
