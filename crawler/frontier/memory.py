"""The frontier in memory: nothing is left behind when the run ends.

Each host has its own queue, and each queue that holds something is in one of three places:

- `_ready`, the line in which hosts take turns: it may start a request now, as far as is known;
- `_waiting`, a heap by time: its delay, a block or the time of its next retry must pass first;
- in neither: it has as many requests in flight as it may, and the end of one of them brings it back.

What the line promises is checked when a host reaches its head: one that may not start after all moves on to where it
belongs. So nothing ever searches the line or the heap, and every step is O(1), or O(log hosts) where the heap is used.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable
from hashlib import blake2b
from itertools import chain, count
from operator import attrgetter
from typing import Final

from crawler.errors import CodedError
from crawler.frontier import Counts, HostView, Whereabouts
from crawler.frontier.seen import Seen
from crawler.models import WITHIN_SOURCE, Ending, Request
from crawler.politeness.controller import Politeness
from crawler.politeness.host import HostControl
from crawler.urls import Url, parse

IN_MEMORY: Final = 24 << 20
"""So many bytes of queued requests are kept in memory where they can also be elsewhere."""
_OF_A_REQUEST: Final = 800  # bytes, without what may be long
_NEVER: Final = float("inf")
_NO_LEASE: Final = (None, None)


def size_of(request: Request) -> int:
    """About how many bytes of memory a queued request takes."""
    size = _OF_A_REQUEST + 2 * len(request.url.href)
    if request.redirects:
        size += sum(200 + len(hop.url) for hop in request.redirects) + sum(cookie.size for cookie in request.cookies)
    return size if request.ask is None else size + request.ask.size


class HostQueue:
    """The requests of one host. The fresh ones are in two stacks: lists are small where hosts are many and URLs few."""

    __slots__ = (
        "begun", "control", "inbox", "is_ready", "key", "outbox", "pending", "side_last", "side_requests", "wake",
    )  # fmt: skip

    def __init__(self, key: str) -> None:
        self.key = key
        self.inbox: list[Request] = []
        self.outbox: list[Request] | None = None
        self.begun: list[tuple[float, int, Request]] | None = None  # a heap: hops and retries by time, then in order
        self.side_requests: deque[Request] | None = None
        self.side_last = False  # what was popped last while there were side requests was one
        self.control: HostControl | None = None  # while something is leased
        self.pending = 0  # queued or leased
        self.is_ready = False
        self.wake = _NEVER  # the time of its one valid entry in the heap of waiting hosts

    def pop(self, now: float, *, held: bool = False) -> Request:
        begun = self.begun
        is_due = bool(begun and begun[0][0] <= now)
        if self.side_requests:
            if held or not self.side_last or not (is_due or self.inbox or self.outbox):
                self.side_last = True
                return self.side_requests.popleft()
            self.side_last = False
        if is_due:
            assert begun
            return heapq.heappop(begun)[2]
        if not self.outbox:
            self.outbox, self.inbox = self.inbox, self.outbox or []
            self.outbox.reverse()
        return self.outbox.pop()


class MemoryFrontier:
    """Implements `crawler.frontier.Frontier`.

    With a `key` (`urls.canonical_key`) a URL is taken once: a crawl. Without, `add` refuses nothing: a list may name a
    URL twice.
    """

    def __init__(self, politeness: Politeness, key: Callable[[Url], bytes] | None = None) -> None:
        self.politeness = politeness
        self._key = key
        self._known = Seen()
        self._queues: dict[str, HostQueue] = {}
        self._ready: deque[HostQueue] = deque()
        self._waiting: list[tuple[float, int, HostQueue]] = []
        self._parked: list[tuple[float, Request]] = []
        self._leases: dict[int, tuple[HostQueue, Request]] = {}
        self._queued = 0
        self._ended: dict[Ending, int] = {"ok": 0, "failed": 0, "skipped": 0}
        self._order = count()

    def add(self, request: Request) -> bool:
        if self._key is not None and not self._known.add(
            self._key(request.url) if request.ask is None and request.input.source is None else self._key_of(request)
        ):
            return False
        self._stock(self._enter(request), (request,))
        return True

    def knows(self, request: Request) -> bool:
        return self._key is not None and self._key_of(request) in self._known

    def leads(self, onward: Request) -> bool:
        return self._key is None or self._known.add(self._key_of(onward)) or self._is_its_own(onward)

    def _key_of(self, request: Request) -> bytes:
        """Of a plain URL that of the URL; what is asked for with a body, or by another method, is something else.

        So is what a check asks whether it is there, where that may be asked for as a page as well.
        """
        assert self._key is not None
        key = self._key(request.url)
        if request.input.source == WITHIN_SOURCE:
            key = blake2b(key, digest_size=16, person=b"within").digest()
        return key if request.ask is None else request.ask.key(key, request.method)

    def _is_its_own(self, onward: Request) -> bool:
        assert self._key is not None
        key = self._key(onward.url)
        return any(self._key(parse(hop.url)) == key for hop in onward.redirects)

    def refuse(self, request: Request, error: CodedError, *, for_good: bool = True) -> bool:  # noqa: ARG002
        if not for_good:
            if self.knows(request):
                return False
        elif self._key is not None and not self._known.add(self._key_of(request)):
            return False
        self._ended["skipped"] += 1
        return True

    def claim(self, now: float) -> Request | None:
        pace = self.politeness.pace
        if pace is not None and now < pace.next_start:
            return None
        queue = self._next(now)
        if queue is None:
            return None
        control = queue.control = self.politeness.host(queue.key, now)
        request = queue.pop(now, held=control.held)
        if request.id in self._leases:
            raise KeyError(f"request {request.id} is leased already: two inputs share an id")
        control.start(now, request.id)
        if pace is not None:
            pace.start(now)
        self._leases[request.id] = queue, request
        if request.id >= 0:
            self._queued -= 1
        # To the end of the line.
        self._ready.popleft()
        queue.is_ready = False
        self._place(queue, now)
        return request

    def ready_at(self, now: float) -> float | None:
        pace = self.politeness.pace
        if pace is not None and now < pace.next_start:
            return pace.next_start if self._queues or self._parked else None
        if self._next(now) is not None:
            return now
        waiting = self._waiting
        while waiting:
            wake, _, queue = waiting[0]
            when = self._when(queue, now)
            if wake == queue.wake == when:
                return wake
            heapq.heappop(waiting)
            if wake == queue.wake:
                queue.wake = _NEVER
                self._place(queue, now)
        return None

    def retry(self, request: Request, now: float, delay: float = 0.0) -> None:
        left = self._end(request)
        self._begin_again(request, now + delay, now)
        self._settle(left, now)

    def postpone(self, request: Request, now: float) -> None:
        left = self._end(request)
        self._begin_again(request, now, now)
        self._settle(left, now)

    def park(self, request: Request, now: float, delay: float) -> None:
        left = self._end(request)
        self._parked.append((now + delay, request))
        self._settle(left, now)

    def finish(self, request: Request, outcome: Ending, now: float) -> None:
        left = self._end(request)
        self._ended[outcome] += 1
        self._settle(left, now)

    def send(self, request: Request, now: float) -> None:
        queue = self._enter(request)
        self._queued -= 1
        if queue.side_requests is None:
            queue.side_requests = deque()
        queue.side_requests.append(request)
        self._place(queue, now)

    def sent(self, request: Request, now: float) -> None:
        self._settle(self._end(request), now)

    def counts(self) -> Counts:
        ended = self._ended
        return Counts(
            self._queued, len(self._parked), len(self._leases), ended["ok"], ended["failed"], ended["skipped"]
        )

    def busiest(self, n: int, now: float) -> list[HostView]:
        return [self._view(q, now) for q in heapq.nlargest(n, self._queues.values(), key=attrgetter("pending"))]

    def find(self, url: Url, now: float) -> list[Whereabouts]:
        href = url.href
        found = [
            Whereabouts("in flight", request)
            for queue, request in self._leases.values()
            if queue.key == url.host_key and request.url.href == href and request.id >= 0
        ]
        found += [
            Whereabouts("parked", request, wait=max(0.0, when - now))
            for when, request in self._parked
            if request.url.href == href
        ]
        waiting = self._queues.get(url.host_key)
        if waiting is None:
            return found
        begun = sorted(waiting.begun or ())
        found += [
            Whereabouts("again", request, ahead, max(0.0, when - now))
            for ahead, (when, _, request) in enumerate(begun)
            if request.url.href == href
        ]
        due = sum(when <= now for when, _, _ in begun)
        fresh = chain(reversed(waiting.outbox or ()), waiting.inbox)
        found += [
            Whereabouts("queued", request, ahead)
            for ahead, request in enumerate(fresh, due)
            if request.url.href == href
        ]
        return found

    def close(self) -> None:
        """Nothing to let go of: the books may still be read."""

    def _view(self, queue: HostQueue, now: float) -> HostView:
        host = self.politeness.host(queue.key, now)
        queued = queue.pending - host.in_flight
        return HostView(queue.key, queued, host.in_flight, host.limit, host.delay, self.politeness.binding(host, now))

    def _enter(self, request: Request) -> HostQueue:
        """The queue of this request's host, its books counting the request already."""
        key = request.url.host_key
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = HostQueue(key)
        queue.pending += 1
        self._queued += 1
        return queue

    def _stock(self, queue: HostQueue, fresh: Iterable[Request]) -> None:
        """Give a host fresh requests, which its books count already."""
        if not queue.is_ready and not queue.inbox and not queue.outbox:
            # Whatever the host waited for, it may have been the time of a retry. The line's head will know.
            queue.is_ready = True
            self._ready.append(queue)
        queue.inbox.extend(fresh)

    def _begin_again(self, request: Request, when: float, now: float) -> None:
        queue = self._enter(request)
        if queue.begun is None:
            queue.begun = []
        heapq.heappush(queue.begun, (when, next(self._order), request))
        self._place(queue, now)

    def _end(self, request: Request) -> HostQueue:
        queue, _ = self._leases.pop(request.id, _NO_LEASE)
        if queue is None or queue.control is None:
            raise KeyError(f"request {request.id} ({request.url.href}) is not leased")
        queue.control.end(request.id)
        queue.pending -= 1
        return queue

    def _settle(self, queue: HostQueue, now: float) -> None:
        """After a lease ended: the host has room again, or nothing left to do."""
        if queue.pending:
            self._place(queue, now)
        else:
            del self._queues[queue.key]

    def _when(self, queue: HostQueue, now: float) -> float:
        """When this host may start its next request, were it not for the other hosts."""
        host = self.politeness.host(queue.key, now)
        if host.in_flight >= host.limit or host.unsent is not None:
            return _NEVER
        if host.held and not queue.side_requests:
            return _NEVER
        if queue.inbox or queue.outbox or queue.side_requests:
            return host.next_start
        if queue.begun:
            return max(host.next_start, queue.begun[0][0])
        return _NEVER

    def _place(self, queue: HostQueue, now: float) -> None:
        """Put the host where it belongs now. One in the line stays there: its turn will tell."""
        if queue.is_ready:
            return
        when = self._when(queue, now)
        if when <= now:
            queue.is_ready = True
            self._ready.append(queue)
        elif when < queue.wake:
            queue.wake = when
            heapq.heappush(self._waiting, (when, next(self._order), queue))
            if len(self._waiting) > 2 * len(self._queues) + 64:
                self._sweep()

    def _sweep(self) -> None:
        """Drop the heap's entries that are valid no more, before they outnumber the hosts."""
        self._waiting = [entry for entry in self._waiting if entry[0] == entry[2].wake]
        heapq.heapify(self._waiting)

    def _next(self, now: float) -> HostQueue | None:
        """The host whose turn it is, at the head of the line; None when no host may start anything now."""
        changed = self.politeness.changed
        if changed:
            for key in changed:
                if key in self._queues:
                    self._place(self._queues[key], now)
            changed.clear()
        while self._waiting and self._waiting[0][0] <= now:
            wake, _, queue = heapq.heappop(self._waiting)
            if wake == queue.wake:
                queue.wake = _NEVER
                self._place(queue, now)
        while self._ready:
            queue = self._ready[0]
            if self._when(queue, now) <= now:
                return queue
            self._ready.popleft()
            queue.is_ready = False
            self._place(queue, now)
        if self._parked and not self._queued and not self._leases:
            parked, self._parked = self._parked, []
            for when, request in parked:
                self._begin_again(request, when, now)
            return self._next(now)
        return None
