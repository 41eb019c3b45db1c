"""The reference of what nodes of a crawl share: SharedStore in plain lists and dicts, as its contract says it.

All nodes use the one object. Nothing here is fast, and nothing is clever: it is what others are compared with. `clock`
is the store's own time, in seconds. `snapshot` and `restore` are what a server is that has lost its last second.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import msgspec

from crawler.frontier.shared.contract import (
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
    Turn,
    shard_of,
)


@dataclass
class _Holder:
    """Who has a host now, until when, and which of its URLs."""

    node: str
    token: bytes
    expires: float
    entries: dict[int, Entry] = field(default_factory=dict)


@dataclass
class _Spilling:
    """What somebody is writing to a file."""

    number: int
    entries: list[Entry]
    until: float


@dataclass
class _Host:
    """A host's URLs are in `queue`, then in the files `segments`, then in `spilling`, then in `tail`: in this order."""

    queue: list[Entry] = field(default_factory=list)
    segments: list[tuple[str, int]] = field(default_factory=list)  # its name, and how many it has
    spilling: _Spilling | None = None
    tail: list[Entry] = field(default_factory=list)
    holder: _Holder | None = None
    not_before: float = 0.0
    delay: float = 0.0
    state: bytes = b""

    @property
    def spilled(self) -> int:
        return sum(size for _, size in self.segments)

    @property
    def queued(self) -> int:
        writing = len(self.spilling.entries) if self.spilling else 0
        return len(self.queue) + self.spilled + writing + len(self.tail)

    @property
    def leased(self) -> int:
        return len(self.holder.entries) if self.holder else 0

    def add(self, entry: Entry) -> None:
        behind = bool(self.segments or self.spilling or self.tail)
        (self.tail if behind else self.queue).append(entry)

    def settle(self, now: float) -> None:
        """Nobody writes any longer; and without files between them, the tail is the queue."""
        if self.spilling and self.spilling.until <= now:
            self.tail = self.spilling.entries + self.tail
            self.spilling = None
        if not self.segments and not self.spilling:
            self.queue += self.tail
            self.tail = []

    def let_go(self, back: Iterable[Entry], not_before: float) -> None:
        """The lease ends: what was leased is queued again, first, in the order of ids."""
        assert self.holder is not None
        self.queue = [*sorted([*back, *self.holder.entries.values()]), *self.queue]
        self.holder = None
        self.not_before = not_before


@dataclass
class _Part:
    number: int = 0
    size: int = 0
    answer: Committed | None = None


@dataclass
class _Shard:
    hosts: dict[str, _Host] = field(default_factory=lambda: defaultdict(_Host))
    known: set[bytes] = field(default_factory=set)
    said: set[bytes] = field(default_factory=set)
    moving: dict[int, Move] = field(default_factory=dict)
    parts: dict[str, _Part] = field(default_factory=dict)
    pages: dict[str, int] = field(default_factory=lambda: defaultdict(int))  # by node
    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    last_id: int = 0
    last_spill: int = 0


@dataclass
class _Crawl:
    """All that there is of a crawl."""

    options: str | None = None
    nodes: dict[str, tuple[bytes, float]] = field(default_factory=dict)
    reader: str = ""
    reads_until: float = 0.0
    following: int = 0
    exhausted: bool = False
    pushed: dict[int, tuple[bytes, float]] = field(default_factory=dict)  # a line, and until when a node has it
    last_pushed: int = 0
    places: dict[str, None] = field(default_factory=dict)
    pages: dict[str, int] = field(default_factory=dict)  # in all, by node
    closed: set[str] = field(default_factory=set)  # nodes that were counted as gone, and have not come back
    shards: dict[int, _Shard] = field(default_factory=lambda: defaultdict(_Shard))


class ReferenceStore:
    """SharedStore. A queue with more than `longest` URLs has its tail spilled.

    What it has lost (`restore`) each node has to notice: see `NoticesLoss`.
    """

    def __init__(self, clock: Callable[[], float], *, longest: int = 1_000) -> None:
        self.longest = longest
        self._clock = clock
        self._crawl = _Crawl()
        self._was_forgotten = False
        self._tokens = count(1)  # not of the crawl: what is restored begins none again

    def snapshot(self) -> Any:
        """All that is known now."""
        return deepcopy(self._crawl)

    def restore(self, snapshot: Any) -> None:
        """Know that, and nothing of what came after it."""
        self._crawl = deepcopy(snapshot)

    def push(self, line: bytes) -> None:
        """What another program does."""
        self._crawl.last_pushed += 1
        self._crawl.pushed[self._crawl.last_pushed] = (line, 0.0)

    # The crawl.

    def open(self, options: str) -> str:
        if self._crawl.options is None:
            self._crawl.options = options
        self._was_forgotten = False
        return self._crawl.options

    def join(self, node: str, about: bytes, ttl: float) -> int:
        if self._was_forgotten:
            raise StoreRefusedError("the crawl is not there any more")
        now = self._clock()
        self._crawl.nodes[node] = (about, now + ttl)
        self._crawl.closed.discard(node)
        return sum(until > now for _, until in self._crawl.nodes.values())

    def leave(self, node: str) -> None:
        self._crawl.nodes.pop(node, None)

    def nodes(self) -> dict[str, tuple[bytes, float]]:
        now = self._clock()
        return {node: (about, until - now) for node, (about, until) in self._crawl.nodes.items()}

    # Inputs.

    def lease_seeds(self, node: str, ttl: float) -> int | None:
        crawl, now = self._crawl, self._clock()
        if crawl.exhausted:
            return -1
        if crawl.reader not in {"", node} and now < crawl.reads_until:
            return None
        if ttl > 0:
            crawl.reader, crawl.reads_until = node, now + ttl
        return crawl.following

    def seeded(self, node: str, following: int, *, exhausted: bool) -> bool:
        if self._crawl.reader != node:
            return False
        self._crawl.following = max(self._crawl.following, following)
        self._crawl.exhausted |= exhausted
        return True

    def pushed(self, node: str, most: int, ttl: float) -> list[tuple[int, bytes]]:
        crawl, now = self._crawl, self._clock()
        free = [(number, line) for number, (line, until) in crawl.pushed.items() if until <= now][:most]
        for number, line in free:
            crawl.pushed[number] = (line, now + ttl)
        return free

    def pushed_arrived(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self._crawl.pushed.pop(number, None)

    def pushing(self) -> int:
        return len(self._crawl.pushed)

    # The scope.

    def widen(self, places: Sequence[str]) -> None:
        self._crawl.places |= dict.fromkeys(places)

    def widened(self, first: int) -> list[str]:
        return list(self._crawl.places)[first : first + WIDENED]

    # URLs.

    def arrive(self, shard: int, arrivals: Sequence[Arrival]) -> int:
        there = self._crawl.shards[shard]
        new = 0
        for host, key, data, uid in arrivals:
            assert shard_of(host) == shard, "a URL comes to a shard that is not its host's"
            assert key is not None or uid is not None, "nothing tells it from another"
            if uid is not None and uid in there.said:
                continue
            is_known = key is not None and key in there.known
            if is_known and uid is None:
                continue
            if key is not None:
                there.known.add(key)
            if uid is not None:
                there.said.add(uid)
            there.last_id += 1
            there.hosts[host].add(Entry(there.last_id, data, is_known))
            there.counts["arrived"] += 1
            new += 1
        return new

    def lead(self, shard: int, key: bytes, uid: bytes) -> bool:
        there = self._crawl.shards[shard]
        if uid in there.said:
            return True
        if key in there.known:
            return False
        there.known.add(key)
        there.said.add(uid)
        return True

    def known(self, shard: int, keys: Sequence[bytes]) -> list[bool]:
        return [key in self._crawl.shards[shard].known for key in keys]

    def claim(self, shard: int, node: str, hosts: int, urls: int, ttl: float) -> list[Lease]:
        there, now = self._crawl.shards[shard], self._clock()
        for host in there.hosts.values():
            if host.holder and host.holder.expires <= now:
                host.let_go([], max(host.not_before, host.holder.expires + host.delay))
            host.settle(now)
        if node in self._crawl.closed:
            return []
        ready = [
            name for name, host in there.hosts.items() if host.queue and not host.holder and host.not_before <= now
        ]
        ready.sort(key=lambda name: there.hosts[name].not_before)
        return [self._lease(there, name, node, urls, now + ttl) for name in ready[:hosts]]

    def _lease(self, there: _Shard, name: str, node: str, urls: int, expires: float) -> Lease:
        host = there.hosts[name]
        host.holder = _Holder(node, f"token {next(self._tokens)}".encode(), expires)
        entries = self._more(host, urls)
        return Lease(name, host.holder.token, host.state, entries, host.queued, 0.0)

    def _more(self, host: _Host, urls: int) -> list[Entry]:
        assert host.holder is not None
        host.settle(self._clock())
        entries, host.queue = host.queue[:urls], host.queue[urls:]
        host.holder.entries |= {entry.id: entry for entry in entries}
        return entries

    def renew(self, shard: int, leases: Sequence[tuple[str, bytes]], ttl: float) -> list[bool]:
        there, now = self._crawl.shards[shard], self._clock()
        held = [self._holder(there, host, token) for host, token in leases]
        for holder in held:
            if holder is not None:
                holder.expires = now + ttl
        return [holder is not None for holder in held]

    def _holder(self, there: _Shard, host: str, token: bytes) -> _Holder | None:
        """Who holds the host by this token. A lease that ran out, and that nobody has asked for since, is held still."""
        holder = there.hosts[host].holder if host in there.hosts else None
        return holder if holder is not None and holder.token == token else None

    def commit(self, shard: int, commit: Commit) -> Committed:
        there = self._crawl.shards[shard]
        part = there.parts.get(commit.part, _Part())
        if commit.number == part.number and part.answer is not None:
            return part.answer
        if (commit.number, commit.before) != (part.number + 1, part.size):
            return Committed([], forgotten=True, more={})
        gone = commit.node in self._crawl.closed
        lost = [turn.host for turn in commit.turns if gone or self._holder(there, turn.host, turn.token) is None]
        if lost:
            return Committed(lost, forgotten=False, more={})
        more = {}
        for turn in commit.turns:
            there.pages[commit.node] += turn.pages
            entries = self._turn(there, turn)
            if entries:
                more[turn.host] = entries
        answer = Committed([], forgotten=False, more=more)
        there.parts[commit.part] = _Part(commit.number, commit.size, answer)
        return answer

    def _turn(self, there: _Shard, turn: Turn) -> list[Entry]:
        """Do what it says. Gives the URLs that are wanted."""
        host = there.hosts[turn.host]
        holder = host.holder
        assert holder is not None
        for entry_id, outcome in turn.ended:
            del holder.entries[entry_id]
            if outcome != "moved":
                there.counts[outcome] += 1
        moved = {entry_id for entry_id, outcome in turn.ended if outcome == "moved"}
        assert moved == {move.id for move in turn.moves}, "what goes on elsewhere, and the moves, are not the same"
        there.moving |= {move.id: move for move in turn.moves}
        for entry in turn.again:
            assert entry.id in holder.entries, "again is what is not leased"
            holder.entries[entry.id] = entry
        for entry in turn.back:
            del holder.entries[entry.id]
        if turn.state is not None:
            host.state = turn.state
        if turn.delay is not None:
            host.delay = turn.delay
        if turn.release:
            host.let_go(turn.back, self._clock() + turn.wait)
            return []
        host.queue = [*sorted(turn.back), *host.queue]
        return self._more(host, turn.wants)

    def moves(self, shard: int, most: int) -> list[Move]:
        return list(self._crawl.shards[shard].moving.values())[:most]

    def moved(self, shard: int, ids: Sequence[int]) -> None:
        there = self._crawl.shards[shard]
        for entry_id in ids:
            if there.moving.pop(entry_id, None) is not None:
                there.counts["moved"] += 1

    # --max-pages.

    def take_pages(self, node: str, total: int, limit: int) -> int:
        crawl, now = self._crawl, self._clock()
        begun: dict[str, int] = defaultdict(int)
        for there in crawl.shards.values():
            for name, pages in there.pages.items():
                begun[name] += pages
        for name in list(crawl.pages):
            if name != node and not (name in crawl.nodes and crawl.nodes[name][1] > now):
                del crawl.pages[name]
                self._close(name)
        others = sum(max(begun[name], crawl.pages.get(name, 0)) for name in {*begun, *crawl.pages} - {node})
        crawl.pages[node] = max(begun[node], min(total, limit - others))
        return crawl.pages[node]

    def _close(self, node: str) -> None:
        """Count it as gone: its leases end, and it gets none until it joins again."""
        self._crawl.closed.add(node)
        for there in self._crawl.shards.values():
            for host in there.hosts.values():
                if host.holder and host.holder.node == node:
                    host.let_go([], self._clock() + host.delay)

    def give_pages(self, node: str, total: int) -> None:
        self._crawl.pages[node] = min(total, self._crawl.pages.get(node, 0))

    # Long queues.

    def spill(self, shard: int, node: str, ttl: float) -> Spill | None:
        there, now = self._crawl.shards[shard], self._clock()
        for name, host in there.hosts.items():
            host.settle(now)
            if host.spilling or max(len(host.queue), len(host.tail)) <= self.longest:
                continue
            if not host.segments:
                host.queue, host.tail = host.queue[: self.longest // 2], host.queue[self.longest // 2 :]
            there.last_spill += 1
            host.spilling = _Spilling(there.last_spill, host.tail, now + ttl)
            host.tail = []
            return Spill(name, there.last_spill, [msgspec.msgpack.encode(entry) for entry in host.spilling.entries])
        return None

    def spilled(self, shard: int, spill: Spill, segment: str) -> bool:
        host = self._crawl.shards[shard].hosts[spill.host]
        if any(name == segment for name, _ in host.segments):
            return True
        if host.spilling is None or host.spilling.number != spill.number:
            return False
        host.segments.append((segment, len(host.spilling.entries)))
        host.spilling = None
        return True

    def segments(self, shard: int, most: int) -> list[tuple[str, str]]:
        hosts = self._crawl.shards[shard].hosts.items()
        short = [(name, host.segments[0][0]) for name, host in hosts if host.segments and self._is_short(host)]
        return short[:most]

    def _is_short(self, host: _Host) -> bool:
        return len(host.queue) <= self.longest // 2

    def unspilled(self, shard: int, host: str, segment: str, entries: Sequence[bytes]) -> bool:
        there = self._crawl.shards[shard].hosts[host]
        if not there.segments or there.segments[0][0] != segment:
            return False
        assert len(entries) == there.segments[0][1], "a file has not what was written to it"
        del there.segments[0]
        there.queue += [msgspec.msgpack.decode(entry, type=Entry) for entry in entries]
        return True

    # What people look at.

    def counts(self, shard: int) -> Counts:
        there = self._crawl.shards[shard]
        hosts = there.hosts.values()
        return Counts(
            **there.counts,
            queued=sum(host.queued for host in hosts),
            leased=sum(host.leased for host in hosts),
            moving=len(there.moving),
            known=len(there.known),
            hosts=sum(bool(host.queued or host.leased) for host in hosts),
            hosts_leased=sum(host.holder is not None for host in hosts),
            pages=sum(there.pages.values()),
        )

    def counts_of(self, shards: Sequence[int]) -> list[Counts]:
        return list(map(self.counts, shards))

    def parts(self, shard: int) -> dict[str, int]:
        return {name: part.size for name, part in self._crawl.shards[shard].parts.items()}

    def parts_of(self, shards: Sequence[int]) -> list[dict[str, int]]:
        return list(map(self.parts, shards))

    def busiest(self, shard: int, most: int) -> list[HostBooks]:
        hosts = self._crawl.shards[shard].hosts.items()
        busy = [self._books(name, host) for name, host in hosts if host.queued or host.leased]
        return sorted(busy, key=lambda books: -books.queued - books.leased)[:most]

    def busiest_of(self, shards: Sequence[int], most: int) -> list[list[HostBooks]]:
        return [self.busiest(shard, most) for shard in shards]

    def host(self, host: str) -> HostBooks | None:
        there = self._crawl.shards[shard_of(host)].hosts.get(host)
        return None if there is None else self._books(host, there)

    def _books(self, name: str, host: _Host) -> HostBooks:
        now, holder = self._clock(), host.holder
        node, expires = (holder.node, holder.expires - now) if holder else ("", 0.0)
        wait = max(0.0, host.not_before - now)
        return HostBooks(name, host.queued, host.leased, host.spilled, node, expires, wait, host.state)

    def find(self, host: str, most: int) -> list[tuple[str, Entry]]:
        there = self._crawl.shards[shard_of(host)].hosts.get(host, _Host())
        leased = sorted(there.holder.entries.values()) if there.holder else ()
        found = [
            *(("leased", entry) for entry in leased),
            *(("queued", entry) for entry in [*there.queue, *there.tail]),
        ]
        return found[:most]

    def forget(self) -> None:
        self._crawl = _Crawl()
        self._was_forgotten = True


class NoticesLoss:
    """What a node asks in place of the store itself, where that may lose what it has said: SharedStore for one node.

    `lost` says that it may have. What ends with an arrival is not ended then, if that may be gone.
    """

    def __init__(self, store: ReferenceStore) -> None:
        self.store = store
        self._losses = 0
        self._parts: dict[str, int] = {}  # how many losses there were when it began
        self._committed_at = 0
        self._seeds_from: int | None = None
        self._lines: dict[int, int] = {}
        self._moves: dict[tuple[int, int], int] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def lost(self) -> None:
        self._losses += 1

    def lease_seeds(self, node: str, ttl: float) -> int | None:
        if self._seeds_from is None and ttl > 0:
            self._seeds_from = self._losses
        return self.store.lease_seeds(node, ttl)

    def seeded(self, node: str, following: int, *, exhausted: bool) -> bool:
        if self._seeds_from != self._losses:
            self._seeds_from = None
            return False
        return self.store.seeded(node, following, exhausted=exhausted)

    def pushed(self, node: str, most: int, ttl: float) -> list[tuple[int, bytes]]:
        found = self.store.pushed(node, most, ttl)
        self._lines |= dict.fromkeys((number for number, _ in found), self._losses)
        return found

    def pushed_arrived(self, numbers: Sequence[int]) -> None:
        self.store.pushed_arrived([number for number in numbers if self._lines.pop(number) == self._losses])

    def commit(self, shard: int, commit: Commit) -> Committed:
        began = self._parts.setdefault(commit.part, self._committed_at)
        self._committed_at = self._losses
        if began != self._losses:
            return Committed([], forgotten=True, more={})
        answer = self.store.commit(shard, commit)
        if not answer.lost and not answer.forgotten:
            moves = ((shard, move.id) for turn in commit.turns for move in turn.moves)
            self._moves |= dict.fromkeys(moves, self._losses)
        return answer

    def moves(self, shard: int, most: int) -> list[Move]:
        found = self.store.moves(shard, most)
        self._moves |= dict.fromkeys(((shard, move.id) for move in found), self._losses)
        return found

    def moved(self, shard: int, ids: Sequence[int]) -> None:
        losses = self._losses
        self.store.moved(shard, [each for each in ids if self._moves.pop((shard, each), losses) == losses])
