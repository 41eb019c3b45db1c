"""SharedStore on Redis: each method runs one script where the keys of its shard are, and reads what it gives."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Any, Final, NamedTuple

from twisted.logger import Logger

from crawler.frontier.shared.about import Memory
from crawler.frontier.shared.contract import (
    SHARDS,
    WIDENED,
    Arrival,
    Commit,
    Committed,
    Counts,
    Entry,
    HostBooks,
    Lease,
    Move,
    Spill,
    StoreRefusedError,
    shard_of,
)
from crawler.frontier.shared.redis import packing
from crawler.frontier.shared.redis.checks import check
from crawler.frontier.shared.redis.scripts import Scripts
from crawler.frontier.shared.redis.server import Server

_log = Logger()
VERSION: Final = 1
"""Of the keys: a crawl that was begun with others is not gone on with."""
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,100}")
_AT_ONCE: Final = 2_000
"""Arrivals of one call: a server does nothing else for some ms."""

_BEGINNING: Final = 10.0
"""Seconds after which a server has the beginning of a crawl on its disk, if it writes any."""


class _Opened(NamedTuple):
    """With which options, when by the monotonic clock, and how many losses there were."""

    options: str
    since: float
    losses: int


class RedisStore:
    """A shared store (see `contract`) on the server or cluster of a URL. Connects when it is first asked.

    `crawl` names the crawl there. A host's queue has up to `head` URLs in its head, and is cut into pieces of `piece`
    behind that: all nodes should say the same. `warn` hears what people should know of the server; else the log does.
    """

    def __init__(
        self,
        url: str,
        crawl: str,
        *,
        head: int = 1_000,
        piece: int = 1_000,
        timeout: float = 30.0,
        warn: Callable[[str], None] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not _NAME.fullmatch(crawl):
            raise StoreRefusedError(f"{crawl!r}: the name of a crawl is letters, digits, '.', '_' and '-', up to 100")
        self._name = crawl
        self._crawl = f"{{crawl:{crawl}}}".encode()
        self._shards = [f"{{crawl:{crawl}:{shard}}}".encode() for shard in range(SHARDS)]
        self._server = Server(url, timeout=timeout, monotonic=monotonic, sleep=sleep)
        self._scripts = Scripts(head=head, piece=piece)
        self._warn = warn or _warn
        self._monotonic = monotonic
        self._unique = secrets.token_hex(8)
        self._own = b""  # by what the crawl that was opened is known
        self._opened = _Opened("", 0.0, 0)
        self._numbers = count(1)
        # Of what ends with an arrival: how many losses there were when it began. What came since then may be lost.
        self._parts: dict[str, int] = {}
        self._committed_at = 0
        self._seeds_from: int | None = None
        self._given_lines: dict[int, int] = {}
        self._given_moves: dict[tuple[int, int], int] = {}

    def close(self) -> None:
        """Let go of the connections. What is asked then connects again."""
        self._server.close()

    def _call(self, script: str, key: bytes, *arguments: object) -> Any:
        return self._server.call(self._scripts[script], key, *arguments)

    def _call_each(self, script: str, shards: Sequence[int], *arguments: object) -> list[Any]:
        """The same at each of these shards, without a wait for each."""
        return self._server.call_each(self._scripts[script], [self._shards[shard] for shard in shards], *arguments)

    # The crawl.

    def open(self, options: str) -> str:
        check(self._server, self._scripts, self._crawl + b":check", self._warn)
        version, begun_with, own = self._call("open", self._crawl, VERSION, options, self._unique)
        if version != b"%d" % VERSION:
            raise StoreRefusedError(
                f"{self._server.name}: this crawl was begun by another version of the program (its keys are of version "
                f"{version.decode(errors='replace')}, and those of this one of {VERSION})"
            )
        self._own = own or b""
        self._opened = _Opened(options, self._monotonic(), self._server.losses)
        return str(begun_with, "utf-8")

    def join(self, node: str, about: bytes, ttl: float) -> int:
        answer = self._call("join", self._crawl, node, about, ttl, self._own)
        if answer is None and self._may_have_lost_the_beginning():
            self.open(self._opened.options)
            answer = self._call("join", self._crawl, node, about, ttl, self._own)
        if answer is None:
            raise StoreRefusedError(
                f"{self._server.name}: the crawl {self._name} that this node works on is not there any more: it was "
                "forgotten, or the server has lost it"
            )
        here, was_gone = answer
        if was_gone:
            self._is_back(node)
        return int(here)

    def _may_have_lost_the_beginning(self) -> bool:
        """Whether a server that lost its last seconds may have had the crawl's beginning in these."""
        opened = self._opened
        return opened.losses != self._server.losses and self._monotonic() - opened.since < _BEGINNING

    def _is_back(self, node: str) -> None:
        self._call_each("back", range(SHARDS), node)

    def leave(self, node: str) -> None:
        self._call("leave", self._crawl, node)

    def nodes(self) -> dict[str, tuple[bytes, float]]:
        found = self._call("nodes", self._crawl)
        return {name.decode(errors="backslashreplace"): (about, float(left)) for name, about, left in found}

    # Inputs.

    def lease_seeds(self, node: str, ttl: float) -> int | None:
        following = self._call("lease_seeds", self._crawl, node, ttl)
        if self._seeds_from is None and ttl > 0:
            self._seeds_from = self._server.losses
        return None if following is None else int(following)

    def seeded(self, node: str, following: int, *, exhausted: bool) -> bool:
        self._server.settle(self._crawl)
        if self._seeds_from != self._server.losses:
            self._seeds_from = None
            return False
        return bool(self._call("seeded", self._crawl, node, following, int(exhausted)))

    def pushed(self, node: str, most: int, ttl: float) -> list[tuple[int, bytes]]:  # noqa: ARG002 -- nobody looks at it
        found = [(number, line) for number, line in self._call("pushed", self._crawl, most, ttl)]
        self._given_lines |= dict.fromkeys((number for number, _ in found), self._server.losses)
        return found

    def pushed_arrived(self, numbers: Sequence[int]) -> None:
        self._server.settle(self._crawl)
        losses = self._server.losses
        safe = [number for number in numbers if self._given_lines.get(number, losses) == losses]
        self._call("pushed_arrived", self._crawl, packing.packed_lists(*safe))
        for number in numbers:
            self._given_lines.pop(number, None)

    def pushing(self) -> int:
        return int(self._call("pushing", self._crawl))

    # The scope.

    def widen(self, places: Sequence[str]) -> None:
        self._call("widen", self._crawl, *places)
        self._server.wrote(self._crawl)

    def widened(self, first: int) -> list[str]:
        return [place.decode() for place in self._call("widened", self._crawl, first, WIDENED)]

    # URLs.

    def arrive(self, shard: int, arrivals: Sequence[Arrival]) -> int:
        key = self._shards[shard]
        new = 0
        for first in range(0, len(arrivals), _AT_ONCE):
            packed = packing.packed_arrivals(arrivals[first : first + _AT_ONCE])
            new += self._call("arrive", key, *packed)
            self._server.wrote(key)
        return new

    def lead(self, shard: int, key: bytes, uid: bytes) -> bool:
        found = bool(self._call("lead", self._shards[shard], packing.packed_keys(key, uid)))
        self._server.wrote(self._shards[shard])
        return found

    def known(self, shard: int, keys: Sequence[bytes]) -> list[bool]:
        return list(map(bool, self._call("known", self._shards[shard], packing.packed_lists(*packing.numbers(keys)))))

    def claim(self, shard: int, node: str, hosts: int, urls: int, ttl: float) -> list[Lease]:
        token = f"{self._unique}{next(self._numbers):x}"
        asked = packing.packed_lists(node, hosts, urls, ttl, token)
        return [
            Lease(host.decode(), own, state, packing.entries(entries), queued, 0.0)
            for host, own, state, queued, entries in self._call("claim", self._shards[shard], asked)
        ]

    def renew(self, shard: int, leases: Sequence[tuple[str, bytes]], ttl: float) -> list[bool]:
        hosts = [host for host, _ in leases]
        tokens = [packing.text(token) for _, token in leases]
        return list(map(bool, self._call("renew", self._shards[shard], packing.packed_lists(ttl, hosts, tokens))))

    def commit(self, shard: int, commit: Commit) -> Committed:
        key = self._shards[shard]
        self._server.settle(key)
        if self._may_be_lost(commit.part):
            return Committed([], forgotten=True, more={})
        outcome, *rest = self._call("commit", key, *packing.packed_commit(commit))
        if outcome == b"done":
            moves = ((shard, move.id) for turn in commit.turns for move in turn.moves)
            self._given_moves |= dict.fromkeys(moves, self._server.losses)
            found = {host.decode(): packing.entries(entries) for host, entries in _pairs(rest)}
            return Committed([], forgotten=False, more={host: entries for host, entries in found.items() if entries})
        return Committed([host.decode() for host in rest], forgotten=outcome == b"forgotten", more={})

    def _may_be_lost(self, part: str) -> bool:
        """Whether something that was added for this part's pages may be lost: then they are not ended.

        After a loss that is so for all parts that there were, and for the first of which that is not known.
        """
        losses = self._server.losses
        if part not in self._parts:
            self._parts[part] = self._committed_at
        self._committed_at = losses
        return self._parts[part] != losses

    def moves(self, shard: int, most: int) -> list[Move]:
        found = [packing.move(entry_id, move) for entry_id, move in self._call("moves", self._shards[shard], most)]
        self._given_moves |= dict.fromkeys(((shard, move.id) for move in found), self._server.losses)
        return found

    def moved(self, shard: int, ids: Sequence[int]) -> None:
        self._server.settle(self._shards[shard])
        losses = self._server.losses
        safe = [entry_id for entry_id in ids if self._given_moves.get((shard, entry_id), losses) == losses]
        self._call("moved", self._shards[shard], packing.packed_lists(*safe))
        for entry_id in ids:
            self._given_moves.pop((shard, entry_id), None)

    # --max-pages.

    def take_pages(self, node: str, total: int, limit: int) -> int:
        may, gone = self._call("take_pages", self._crawl, node, total, limit)
        if may < total and gone:
            for name in gone:
                self._close(name)
            may, _ = self._call("take_pages", self._crawl, node, total, limit)
        return int(may)

    def _close(self, name: bytes) -> None:
        """Count a node as gone: its leases end, and of the pages that it took those are counted that it began."""
        if self._call("close", self._crawl, name):
            began = sum(self._call_each("gone", range(SHARDS), name))
            if not self._call("closed", self._crawl, name, began):
                self._is_back(name.decode())

    def give_pages(self, node: str, total: int) -> None:
        self._call("give_pages", self._crawl, node, total)

    # Long queues.

    def spill(self, shard: int, node: str, ttl: float) -> Spill | None:  # noqa: ARG002 -- nobody looks at it
        found = self._call("spill", self._shards[shard], ttl)
        if found is None:
            return None
        host, number, entries = found
        return Spill(host.decode(), number, packing.frames(entries))

    def spilled(self, shard: int, spill: Spill, segment: str) -> bool:
        return bool(self._call("spilled", self._shards[shard], spill.number, segment))

    def segments(self, shard: int, most: int) -> list[tuple[str, str]]:
        found = self._call("segments", self._shards[shard], most)
        return [(host.decode(), segment.decode()) for host, segment in found]

    def unspilled(self, shard: int, host: str, segment: str, entries: Sequence[bytes]) -> bool:
        asked = packing.packed_lists(host, segment, list(map(len, entries)))
        answer = self._call("unspilled", self._shards[shard], asked, b"".join(entries))
        if answer < 0:
            raise StoreRefusedError(f"{segment}: it has {len(entries)} URLs of {host}, and not as many as were written")
        return bool(answer)

    # What people look at.

    def counts(self, shard: int) -> Counts:
        return self.counts_of([shard])[0]

    def counts_of(self, shards: Sequence[int]) -> list[Counts]:
        return [Counts(*found) for found in self._call_each("counts", shards)]

    def parts(self, shard: int) -> dict[str, int]:
        return self.parts_of([shard])[0]

    def parts_of(self, shards: Sequence[int]) -> list[dict[str, int]]:
        return [{part.decode(): size for part, size in found} for found in self._call_each("parts", shards)]

    def busiest(self, shard: int, most: int) -> list[HostBooks]:
        return self.busiest_of([shard], most)[0]

    def busiest_of(self, shards: Sequence[int], most: int) -> list[list[HostBooks]]:
        return [list(map(packing.host_books, found)) for found in self._call_each("busiest", shards, most)]

    def host(self, host: str) -> HostBooks | None:
        found = self._call("host", self._shards[shard_of(host)], host)
        return None if found is None else packing.host_books(found)

    def find(self, host: str, most: int) -> list[tuple[str, Entry]]:
        leased, packed = self._call("find", self._shards[shard_of(host)], host, most)
        return [
            ("leased" if place < leased else "queued", entry) for place, entry in enumerate(packing.entries(packed))
        ]

    def memory(self) -> list[Memory]:
        """What each server takes, for this crawl and all else."""
        return [self._server.memory(client) for client in self._server.each()]

    def forget(self) -> None:
        for client in self._server.each():
            for pattern in (self._crawl, self._crawl[:-1] + b":*"):
                self._delete(client, pattern)

    def _delete(self, client: Any, beginning: bytes) -> None:
        cursor: Any = 0
        while True:
            cursor, keys = self._server.ask(client, "SCAN", cursor, "MATCH", beginning + b"*", "COUNT", 1_000)
            for key in keys:
                self._server.ask(client, "UNLINK", key)
            if not int(cursor):
                return


def _warn(words: str) -> None:
    _log.warn("{words}", words=words)


def _pairs(values: Sequence[Any]) -> Iterable[tuple[Any, Any]]:
    return zip(values[::2], values[1::2], strict=True)
