"""The frontier of a job: in memory what is fetched next, the rest of what waits in the job's database.

Hosts and their turns are those of the frontier in memory. What is added here is told to the journal, and when many URLs
wait, the fresh ones of a host that has some in memory already stay in the store only: its backlog. A host with a
backlog always has a fresh request in memory, so that nothing else needs to know of it; the next ones are read when the
last was claimed. Between being added and being written they are in the backlog's tail.

That a URL has ended is not told to the journal here, but where its record is given to the outputs: with `--ordered`
that may be much later.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from operator import attrgetter
from typing import Final

from crawler.errors import CodedError
from crawler.frontier.memory import IN_MEMORY, HostQueue, MemoryFrontier, size_of
from crawler.models import Request
from crawler.politeness.controller import Politeness
from crawler.seeds.inputs import BadLine
from crawler.store.asks import Secrets, is_withheld
from crawler.store.batch import Batch
from crawler.store.database import Store
from crawler.store.journal import Journal
from crawler.urls import Url

WINDOW: Final = 30_000
READ_AT_ONCE: Final = 256
_id: Final = attrgetter("id")


class _Backlog:
    """The fresh requests of one host that are not in memory; in the tail they are not in the store either."""

    __slots__ = ("loaded", "stored", "tail")

    def __init__(self, loaded: int, stored: int = 0) -> None:
        self.loaded = loaded  # ids up to this one are or were in memory
        self.stored = stored
        self.tail: list[Request] = []  # short: what came within one commit


class SqliteFrontier(MemoryFrontier):
    """Implements `crawler.frontier.Frontier`; ids ascend. About `window` requests are in memory, of
    long URLs fewer, and one per host.

    It begins with what waits in the store. What is needed of it later is read on the spot, in the reactor's thread.
    """

    def __init__(
        self,
        politeness: Politeness,
        key: Callable[[Url], bytes] | None = None,
        *,
        store: Store,
        journal: Journal,
        now: float,
        window: int = WINDOW,
    ) -> None:
        super().__init__(politeness, key)
        self._store = store
        self._journal = journal
        self._window = window
        self._backlogs: dict[str, _Backlog] = {}
        self._delays: dict[str, float] = {}
        self._spilled = 0
        self._size = 0  # bytes of what is queued in memory
        self.secrets = Secrets()
        self._load(now)

    def _load(self, now: float) -> None:
        if self._key is not None:
            for keys in self._store.known_keys():
                self._known.load(keys)
            for key in self._store.led_keys():
                self._known.add(key)
        books = self._store.books()
        self._ended = {"ok": books.ok, "failed": books.failed, "skipped": books.skipped}
        longest = self.politeness.longest_wait  # what is longer is a clock that was set back between two runs
        for host, until in self._store.blocked(now):
            self.politeness.host(host, now).block(min(until - now, longest), now, "retry_after")
        for request, when in self._store.begun():
            due = min(when, now + longest)
            if request.parked:
                self._parked.append((due, request))
            else:
                self._begin_again(request, due, now)
        hosts = self._store.backlog()
        for host, stored in hosts:
            queue = self._queues.setdefault(host, HostQueue(host))
            queue.pending += stored
            self._queued += stored
            self._spilled += stored
            self._backlogs[host] = _Backlog(-1, stored)
        for host, _ in hosts:
            self._refill(self._queues[host], max(1, self._window // len(hosts)))

    def add(self, request: Request) -> bool:
        key = None
        if self._key is not None:
            is_plain = request.ask is None and request.input.source is None
            key = self._key(request.url) if is_plain else self._key_of(request)
            if not self._known.add(key):
                self._journal.known()
                return False
        self._journal.added(request, key)
        queue = self._enter(request)
        backlog = self._backlogs.get(queue.key) if self._backlogs else None
        if backlog is None:
            has_room = self._queued - self._spilled <= self._window and self._size < IN_MEMORY
            if has_room or not (queue.inbox or queue.outbox):
                self._stock(queue, (request,))
                return True
            backlog = self._backlogs[queue.key] = _Backlog(request.id - 1)
        backlog.tail.append(request)
        if request.ask is not None or request.url.userinfo:
            self.secrets.remember(request)
        self._spilled += 1
        self._size -= size_of(request)
        self._journal.spilled(backlog, request.id)
        return True

    def leads(self, onward: Request) -> bool:
        if self._key is None:
            return True
        key = self._key_of(onward)
        if not self._known.add(key):
            return self._is_its_own(onward)
        self._journal.led(onward.id, key)
        return True

    def refuse(self, request: Request, error: CodedError, *, for_good: bool = True) -> bool:
        if not super().refuse(request, error, for_good=for_good):
            return False
        key = self._key_of(request) if for_good and self._key is not None else None
        meta = None if request.ask is None else request.ask.meta
        self._journal.refused(request.id, BadLine(request.written, request.input, error, meta), key)
        return True

    def claim(self, now: float) -> Request | None:
        request = super().claim(now)
        if request is None:
            return None
        self._size -= size_of(request)
        if is_withheld(request):
            request = self.secrets.whole(request)
        if self._backlogs:
            queue, _ = self._leases[request.id]
            if not queue.inbox and not queue.outbox and queue.key in self._backlogs:
                room = self._window - (self._queued - self._spilled)
                wanted = max(room, self._window // len(self._backlogs), 1)
                self._refill(queue, wanted if self._size < IN_MEMORY else 1)
        return request

    def retry(self, request: Request, now: float, delay: float = 0.0) -> None:
        super().retry(request, now, delay)
        self._queued_again(request, now, delay, parked=request.parked)

    def park(self, request: Request, now: float, delay: float) -> None:
        super().park(request, now, delay)
        self._queued_again(request, now, delay, parked=True)

    def committed(self, batch: Batch) -> None:
        """The store has written a batch: what was spilled with it can be read."""
        for backlog, number in batch.spilled.items():
            written = bisect_right(backlog.tail, number, key=_id)
            backlog.stored += written
            del backlog.tail[:written]

    def _enter(self, request: Request) -> HostQueue:
        self._size += size_of(request)
        return super()._enter(request)

    def _queued_again(self, request: Request, now: float, delay: float, *, parked: bool) -> None:
        self._journal.again(request, now + delay, parked=parked)

    def _settle(self, queue: HostQueue, now: float) -> None:
        """Keep what has been learnt of the host: for how long it wants to be left alone, how slowly to be asked."""
        super()._settle(queue, now)
        host = queue.control
        if host is None:
            return
        delay = host.delay
        if host.next_start > now + delay + 1.0:
            self._journal.blocked(queue.key, host.next_start)
        if delay > self.politeness.delay and self._delays.get(queue.key) != delay:
            self._delays[queue.key] = delay
            self._journal.paced(queue.key, delay)

    def _refill(self, queue: HostQueue, wanted: int) -> None:
        """Bring the next of a host's backlog into memory: that many, but not so many that the reactor would wait."""
        backlog = self._backlogs[queue.key]
        wanted = min(wanted, READ_AT_ONCE)
        fresh: list[Request] = []
        if backlog.stored:
            # Not more: what was written a moment ago can be read already, while `committed` has still to tell of it.
            known = min(wanted, backlog.stored)
            fresh = self._store.fresh(queue.key, backlog.loaded, known)
            assert len(fresh) == known, "somebody else has changed the store"
            backlog.stored -= known
        if not backlog.stored:
            missing = wanted - len(fresh)
            for request in backlog.tail[:missing]:
                self.secrets.forget(request)
                fresh.append(request)
            del backlog.tail[:missing]
        backlog.loaded = fresh[-1].id
        self._spilled -= len(fresh)
        self._size += sum(map(size_of, fresh))
        if not backlog.stored and not backlog.tail:
            del self._backlogs[queue.key]
        self._stock(queue, fresh)
