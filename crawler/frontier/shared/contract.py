"""What the nodes of one crawl share, as a node sees it: the contract of the store, which Redis keeps.

**Hosts are leased, not URLs.** A node claims hosts, some URLs of each, and fetches these with a frontier in memory and
politeness as ever: one holder at a time keeps a host's delays exact over all nodes. What it has learnt of the host (its
delay, its back-off, what its robots.txt says) travels with the host as `state`.

There is one request that no lease is needed for: where a robots.txt redirects to another host, it is read from there,
once for each host that leads there.

**Shards.** A host belongs to one of 256 (`shard_of`). All that is known of it, its URLs too, is in that shard, and each
operation is about one shard: what it does it does whole or not at all, also where the shards are on several servers.

**Tokens.** A lease is known by a token that nobody else ever had, not even after the store has lost its last second.
Whoever comes with another token is told so, and nothing is changed.

**Everything may be said twice.** A node that got no answer says the same again: an arrival has a `uid` or a `key` by
which it counts once, a commit its number. So no operation is lost and none counts double.

**The order of truth** is that of a job: a page's record is written to the node's part, what the page leads to is added
to its shards, and only then are the URLs ended, with a commit per shard that says how long the part is. A record of a
part counts if its shard has committed the part to beyond where it ends. What is behind that was fetched by somebody
whose lease was over, or died: it was given to somebody else, and is cut by who collects. Where shards are on several
servers, what was added is on the disk (WAITAOF, or after the time in which a server writes it) before the commit.

**The time** is the store's own: leases end by its clock. A node counts from before it asked, by its own monotonic one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal, NamedTuple, Protocol, TypeVar
from zlib import crc32

from twisted.internet.defer import Deferred

from crawler.models import Ending

T = TypeVar("T")
SHARDS: Final = 256
WIDENED: Final = 1_000
NO_HOST: Final = ""
"""The host of inputs that are not fetched: they have a record, written by who claims them."""


class StoreError(Exception):
    """The store cannot be asked now, or its answer was lost. The same may be asked again."""


class StoreRefusedError(Exception):
    """The store cannot be used: no memory left, the wrong settings, another version. In words for people."""


def shard_of(host_key: str) -> int:
    """The shard of a host, by its `Url.host_key`."""
    return crc32(host_key.encode()) % SHARDS


class Arrival(NamedTuple):
    """A URL that comes to its host.

    A `key` is taken once in its shard: what comes with a known one is dropped, but if it has a `uid`: that is an input,
    which shall have its record; it is queued as a duplicate. A `uid` counts once: with a known one it was said before.
    Without a `key` nothing is compared: a URL that comes from another host, which knew it. Both are 8 bytes.
    """

    host: str
    key: bytes | None
    data: bytes
    uid: bytes | None = None


class Entry(NamedTuple):
    """A URL of a leased host, as the store keeps it; `id` is its own in the shard, for as long as it is with this host.

    `is_duplicate` says that its key was known when it came: it is not fetched.
    """

    id: int
    data: bytes
    is_duplicate: bool = False


class Lease(NamedTuple):
    """A host that is leased, with the first of its URLs; `queued` more wait.

    `state` is what its last holder left, "" at first; it may be asked in `wait` seconds, and not before.
    """

    host: str
    token: bytes
    state: bytes
    entries: list[Entry]
    queued: int
    wait: float


class Ended(NamedTuple):
    """A URL has its record, or goes on elsewhere: then `outcome` is "moved"."""

    id: int
    outcome: Ending | Literal["moved"]


class Move(NamedTuple):
    """A URL that a redirect has led to another host, and which that has to get. Kept until `moved` says that it did."""

    id: int  # of the entry that it was
    arrival: Arrival


class Turn(NamedTuple):
    """What a commit says of one leased host.

    - `ended`: these have their record, or go on elsewhere, with one of `moves`.
    - `again`: these stay leased, with other data: another try, a hop on the same host, a page that is begun.
    - `back`: these were not asked after all, or have to wait: they are queued again, first, in the order of their ids.
    - `pages`: so many of --max-pages were begun with this.
    - `release`: the lease ends. What is left of it is queued again, first, with `back`, in the order of the ids of all.
      `wait` is in how many seconds the host may be asked. Without `release`, it is not read.
    - `state` is what the next holder has to know, `delay` how far starts are from one another, which counts from the
      end of a lease that runs out. None leaves them as they are.
    - `wants` so many more URLs, if the lease goes on.
    """

    host: str
    token: bytes
    ended: Sequence[Ended] = ()
    again: Sequence[Entry] = ()
    back: Sequence[Entry] = ()
    moves: Sequence[Move] = ()
    pages: int = 0
    release: bool = False
    wait: float = 0.0
    state: bytes | None = None
    delay: float | None = None
    wants: int = 0


class Commit(NamedTuple):
    """What a node says to one shard. `number` ascends with each commit of this part to this shard, from 1.

    `size` is how long the part is now, and `before` how long this shard knows it. `node` is whose pages count.
    """

    part: str
    number: int
    before: int
    size: int
    turns: Sequence[Turn]
    node: str = ""


class Committed(NamedTuple):
    """What came of a commit. Nothing at all if one of the hosts is `lost`: their leases are over.

    `forgotten` says that the store knows less than it once did: it has another number or size of the part before this,
    or it was begun anew (or a replica took its place) since this node added something, and may have lost that. Then the
    node gives its leases up, and begins another part. `more` are the URLs that were wanted, by their host.
    """

    lost: list[str]
    forgotten: bool
    more: dict[str, list[Entry]]


class Counts(NamedTuple):
    """The books of a shard, or of all. `arrived` and those behind it only grow; a moved URL has arrived twice.

    `moving` are on the way to another host, and have not yet ended here.
    """

    arrived: int = 0
    ok: int = 0
    failed: int = 0
    skipped: int = 0
    moved: int = 0
    queued: int = 0
    leased: int = 0
    moving: int = 0
    known: int = 0
    hosts: int = 0  # with something to do
    hosts_leased: int = 0
    pages: int = 0

    @property
    def pending(self) -> int:
        """How many have arrived and have not ended."""
        return self.arrived - self.ok - self.failed - self.skipped - self.moved


class HostBooks(NamedTuple):
    """What a shard knows of one host; `node` holds it, for `expires` more seconds, or nobody."""

    host: str
    queued: int
    leased: int
    spilled: int
    node: str
    expires: float
    wait: float
    state: bytes


class Spill(NamedTuple):
    """A long tail of a host's queue that was taken out to be written to a file; `number` is this very spill's."""

    host: str
    number: int
    entries: list[bytes]


class SharedStore(Protocol):
    """A store of one crawl, used by one thread. Each method raises StoreError, StoreRefusedError.

    `SHARDS` are numbered from 0. Times are in seconds.
    """

    # The crawl.

    def open(self, options: str) -> str:
        """Begin this crawl, or find it. Gives the options with which it was begun."""

    def join(self, node: str, about: bytes, ttl: float) -> int:
        """Be one of its nodes, or stay one: known for `ttl` more seconds. Gives how many there are. For `nodes`.

        Whoever comes too late may have been counted as gone (see `take_pages`): then its leases are over, and it gets
        none before it has joined again. Raises StoreRefusedError if the crawl that was opened is not there any more.
        """

    def leave(self, node: str) -> None:
        """No longer be one."""

    def nodes(self) -> dict[str, tuple[bytes, float]]:
        """What each said last of itself, and how many seconds are left of it: below 0 where it is gone."""

    # Inputs. One node reads them at a time; all have the same.

    def lease_seeds(self, node: str, ttl: float) -> int | None:
        """Be the one who reads the inputs, or stay it.

        Gives from which number on; None if somebody else does, -1 when all were read. With a `ttl` of 0 that is only
        asked: who reads them stays so.
        """

    def seeded(self, node: str, following: int, *, exhausted: bool) -> bool:
        """All inputs before that number have arrived.

        False if somebody else reads them now, or if some may be lost that had: who reads them begins again with what
        `lease_seeds` says.
        """

    def pushed(self, node: str, most: int, ttl: float) -> list[tuple[int, bytes]]:
        """Lines that other programs have pushed: each with a number of its own. After `ttl` another node gets them."""

    def pushed_arrived(self, numbers: Sequence[int]) -> None:
        """These have arrived. Those whose arrival may be lost are given again by `pushed`."""

    def pushing(self) -> int:
        """How many lines were pushed and have not arrived, with those that a node was given."""

    # The scope, where there is one.

    def widen(self, places: Sequence[str]) -> None:
        """Inputs are there: all of `places` that are new are numbered, from 0."""

    def widened(self, first: int) -> list[str]:
        """Up to WIDENED places, from this number on. After a loss they may have other numbers."""

    # URLs.

    def arrive(self, shard: int, arrivals: Sequence[Arrival]) -> int:
        """Take in what is new. Gives how many that were."""

    def lead(self, shard: int, key: bytes, uid: bytes) -> bool:
        """A redirect leads to the URL of this key: known from now on. False if it is known by another way."""

    def known(self, shard: int, keys: Sequence[bytes]) -> list[bool]:
        """Whether these are known. Changes nothing."""

    def claim(self, shard: int, node: str, hosts: int, urls: int, ttl: float) -> list[Lease]:
        """Lease up to so many hosts that may be asked now, each with up to so many URLs, for `ttl` seconds.

        Leases that have run out come back first: their URLs are queued again, first, and their host may be asked when
        its `delay` has passed since the end. So does what was leased by an answer that was lost.
        """

    def renew(self, shard: int, leases: Sequence[tuple[str, bytes]], ttl: float) -> list[bool]:
        """Hold these hosts, by their tokens, for `ttl` seconds from now. False for those that are lost."""

    def commit(self, shard: int, commit: Commit) -> Committed:
        """End URLs: see Commit. Said again after a lost answer, it gives the same."""

    def moves(self, shard: int, most: int) -> list[Move]:
        """What is on its way to another host, the oldest first. Anybody may bring it there: to `arrive`, then `moved`.

        Its arrivals have a `uid`.
        """

    def moved(self, shard: int, ids: Sequence[int]) -> None:
        """These have arrived. Those whose arrival may be lost stay, and are given again by `moves`."""

    # --max-pages. Said as totals, so that it may be said twice.

    def take_pages(self, node: str, total: int, limit: int) -> int:
        """This node may begin so many pages in all, with those that it began, of `limit` for all nodes.

        Gives how many of them it may. Those count as begun until they are given back. What a node took that is gone
        (see `join`), and did not begin, is there again: if it comes back, it may get fewer than before.
        """

    def give_pages(self, node: str, total: int) -> None:
        """This node begins no more than so many pages in all; never more than it took."""

    # Long queues.

    def spill(self, shard: int, node: str, ttl: float) -> Spill | None:
        """The tail of a queue that is too long, to be written to a file. Within `ttl` nobody else gets it."""

    def spilled(self, shard: int, spill: Spill, segment: str) -> bool:
        """It is in that file now. False if somebody else has it: the file is of no use then."""

    def segments(self, shard: int, most: int) -> list[tuple[str, str]]:
        """Hosts whose queue runs out while they have more in files, and the first file of each."""

    def unspilled(self, shard: int, host: str, segment: str, entries: Sequence[bytes]) -> bool:
        """These are what the file has, in its order: queued again. False if it was done by somebody else."""

    # What people look at.

    # Of many shards at once: what each of them says is of a moment of its own, after this was asked.

    def counts(self, shard: int) -> Counts:
        """The books of a shard."""

    def counts_of(self, shards: Sequence[int]) -> list[Counts]:
        """The same of each of these."""

    def parts(self, shard: int) -> dict[str, int]:
        """How long each part is, as far as this shard has committed it."""

    def parts_of(self, shards: Sequence[int]) -> list[dict[str, int]]:
        """The same of each of these."""

    def busiest(self, shard: int, most: int) -> list[HostBooks]:
        """Hosts with something to do; those with most first, as far as that is cheap."""

    def busiest_of(self, shards: Sequence[int], most: int) -> list[list[HostBooks]]:
        """The same of each of these."""

    def host(self, host: str) -> HostBooks | None:
        """What is known of one host: None if that is nothing, or no more than that it once was there."""

    def find(self, host: str, most: int) -> list[tuple[str, Entry]]:
        """Of its URLs up to so many, each with where it is: "leased" or "queued"."""

    def forget(self) -> None:
        """Delete the crawl: all keys of it. For people who ask for that."""


class Asks(Protocol):
    """How a node asks its store: one operation after the other, each until it has an answer, with which `ask` fires.

    `on_doubt` is called when the store could not be asked: what is only remembered of it may not be so any more.
    """

    on_doubt: Callable[[], None]

    def ask(self, operation: Callable[[SharedStore], T]) -> Deferred[T]:
        """What it raises, but for StoreError, fails the Deferred. To cancel that is to wait no longer."""

    def close(self) -> None:
        """Ask nothing more: who waits is not told."""


def total(all_counts: Sequence[Counts]) -> Counts:
    """The books of several shards together."""
    return Counts(*map(sum, zip(*all_counts, strict=True)))
