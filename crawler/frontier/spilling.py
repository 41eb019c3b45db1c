"""The frontier of a crawl without a job: in memory as long as that is little, the rest on the disk until its turn.

Beyond `limit` bytes the fresh requests of a host that has some in memory wait on the disk, in their order; such a host
always has a fresh one in memory, so that nothing else needs to know of it. The requests of hosts of which nothing is in
memory sleep there whole: a host is woken when there is room again, or when none that is awake may be asked now.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Final

import msgspec
from twisted.logger import Logger

from crawler.frontier import HostView
from crawler.frontier.memory import IN_MEMORY, HostQueue, MemoryFrontier, size_of
from crawler.models import Request
from crawler.politeness.controller import Politeness
from crawler.store.spill import Spill
from crawler.urls import Url

READ_AT_ONCE: Final = 64
WOKEN_AT_ONCE: Final = 8
_SCHEMA: Final = """
CREATE TABLE fresh(host TEXT, turn INTEGER, request BLOB NOT NULL, PRIMARY KEY (host, turn)) WITHOUT ROWID;
CREATE TABLE asleep(turn INTEGER PRIMARY KEY, host TEXT UNIQUE NOT NULL, number INTEGER NOT NULL);
CREATE INDEX asleep_number ON asleep(number);
"""
_SLEEP: Final = "INSERT INTO asleep(host, number) VALUES (?, 1) ON CONFLICT(host) DO UPDATE SET number = number + 1"


class SpillingFrontier(MemoryFrontier):
    """Implements `crawler.frontier.Frontier`. That it uses the disk is logged, once.

    What is read and written there is so on the spot, in the reactor's thread: some microseconds for each.
    """

    def __init__(
        self,
        politeness: Politeness,
        key: Callable[[Url], bytes] | None = None,
        *,
        limit: int = IN_MEMORY,
    ) -> None:
        super().__init__(politeness, key)
        self._limit = limit
        self._size = 0  # bytes of what is queued in memory
        self._backlogs: dict[str, int] = {}  # hosts that are awake: how many of their requests are on the disk
        self._asleep = 0  # requests of hosts that are not
        self._turns = 0
        self._spill: Spill | None = None
        self._log = Logger()
        self._decoder = msgspec.msgpack.Decoder(Request)

    def add(self, request: Request) -> bool:
        if self._key is not None and not self._known.add(
            self._key(request.url) if request.ask is None and request.input.source is None else self._key_of(request)
        ):
            return False
        if self._size < self._limit and self._spill is None:
            self._stock(self._enter(request), (request,))
        else:
            self._add(request)
        return True

    def claim(self, now: float) -> Request | None:
        request = super().claim(now)
        if request is not None:
            self._size -= size_of(request)
            if self._backlogs:
                queue, _ = self._leases[request.id]
                if not queue.inbox and not queue.outbox and queue.key in self._backlogs:
                    self._refill(queue, 1 if self._size >= self._limit else READ_AT_ONCE)
        return request

    def busiest(self, n: int, now: float) -> list[HostView]:
        views = super().busiest(n, now)
        if not self._asleep:
            return views
        assert self._spill is not None
        merged = {view.key: view for view in views}
        for host, number in self._spill.run("SELECT host, number FROM asleep ORDER BY number DESC LIMIT ?", n):
            view = merged.get(host) or self._view(self._queues.get(host) or HostQueue(host), now)
            merged[host] = msgspec.structs.replace(view, queued=view.queued + number)
        return heapq.nlargest(n, merged.values(), key=lambda view: view.queued + view.in_flight)

    def close(self) -> None:
        if self._spill is not None:
            self._spill.close()

    def _add(self, request: Request) -> None:
        """Queue a request where there may be no room for it. Raises CodedError."""
        host = request.url.host_key
        queue = self._queues.get(host)
        is_full = self._size >= self._limit
        if queue is None:
            waits = is_full or self._asleep > 0
        else:
            waits = host in self._backlogs or (is_full and bool(queue.inbox or queue.outbox))
        if not waits or not self._put_away(host, request):
            self._stock(self._enter(request), (request,))
            return
        self._queued += 1
        if queue is not None:
            self._backlogs[host] = self._backlogs.get(host, 0) + 1
            queue.pending += 1
        else:
            assert self._spill is not None
            self._spill.run(_SLEEP, host)
            self._asleep += 1

    def _put_away(self, host: str, request: Request) -> bool:
        try:
            data = msgspec.msgpack.encode(request)
        except UnicodeEncodeError:  # a line with a lone surrogate
            return False
        if self._spill is None:
            self._spill = Spill(_SCHEMA)
            self._log.warn(
                "More URLs wait than are kept in memory: the rest is on the disk, in the folder that TMPDIR names, "
                "until this run ends (--job keeps them)"
            )
        self._turns += 1
        self._spill.run("INSERT INTO fresh VALUES (?, ?, ?)", host, self._turns, data)
        return True

    def _refill(self, queue: HostQueue, wanted: int) -> None:
        """Bring the next of a host's backlog into memory."""
        assert self._spill is not None
        host = queue.key
        rows = self._spill.run("SELECT turn, request FROM fresh WHERE host = ? ORDER BY turn LIMIT ?", host, wanted)
        self._spill.run("DELETE FROM fresh WHERE host = ? AND turn <= ?", host, rows[-1][0])
        fresh = [self._decoder.decode(data) for _, data in rows]
        self._size += sum(map(size_of, fresh))
        self._backlogs[host] -= len(fresh)
        if not self._backlogs[host]:
            del self._backlogs[host]
        self._stock(queue, fresh)

    def _wake(self) -> None:
        """Wake the hosts that have slept longest."""
        assert self._spill is not None
        hosts = self._spill.run("SELECT turn, host, number FROM asleep ORDER BY turn LIMIT ?", WOKEN_AT_ONCE)
        for turn, host, number in hosts:
            self._spill.run("DELETE FROM asleep WHERE turn = ?", turn)
            self._asleep -= number
            queue = self._queues.get(host)
            if queue is None:
                queue = self._queues[host] = HostQueue(host)
            queue.pending += number
            self._backlogs[host] = self._backlogs.get(host, 0) + number
            if not queue.inbox and not queue.outbox:
                self._refill(queue, 1)

    def _enter(self, request: Request) -> HostQueue:
        self._size += size_of(request)
        return super()._enter(request)

    def _next(self, now: float) -> HostQueue | None:
        if self._asleep and self._size < self._limit:
            self._wake()
        queue = super()._next(now)
        while queue is None and self._asleep:
            self._wake()
            queue = super()._next(now)
        return queue
