"""The frontier: which URL next. It keeps what is queued and leased, and asks politeness which host may be asked now."""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec
from twisted.internet.defer import Deferred

from crawler.errors import CodedError
from crawler.models import Ending, Request
from crawler.politeness.host import Binding
from crawler.urls import Url

__all__ = ["Frontier", "HostView", "Whereabouts", "memory", "seen", "shared", "spilling", "sqlite"]


class Counts(msgspec.Struct, frozen=True):
    """The books. `queued` waits for its turn, `parked` for the end of the run, `leased` is being fetched."""

    queued: int = 0
    parked: int = 0
    leased: int = 0
    ok: int = 0
    failed: int = 0
    skipped: int = 0

    @property
    def pending(self) -> int:
        return self.queued + self.parked + self.leased


class HostView(msgspec.Struct, frozen=True):
    """What a monitor may know of one host. `binding` is what keeps it from starting one more request now, or None."""

    key: str
    queued: int
    in_flight: int
    limit: int
    delay: float
    binding: Binding | None


class Whereabouts(msgspec.Struct, frozen=True):
    """Where a request is. Of its host `ahead` go before it; its own time comes in `wait` seconds."""

    state: Literal["queued", "again", "parked", "in flight"]
    request: Request
    ahead: int = 0
    wait: float = 0.0


class Frontier(Protocol):
    """One contract for every place where URLs wait; tests/test_frontier.py runs against each implementation.

    `now` is monotonic seconds. A request is known by its `id`; `claim` leases it until `finish`, `retry` or `park`, and
    ending a lease that does not exist raises KeyError. The frontier tells politeness of each start and end of a lease;
    `Politeness.observe` is for whoever fetched, before the lease ends.

    Hosts take turns. Within a host, what was begun (a redirect hop, a retry whose time has come) goes before what is
    fresh, and the fresh go in the order in which they were added.

    A side request is no input and comes to no record, as a redirect of a robots.txt is: its id is below 0. It takes a
    turn of its host as all others do, every other one at most while there is something else to be asked.
    """

    def add(self, request: Request) -> bool:
        """Queue a new request. False when its URL is known already (crawl mode); then nothing changed."""

    def knows(self, request: Request) -> bool:
        """Whether `add` would refuse it."""

    def leads(self, onward: Request) -> bool | Deferred[bool]:
        """Know the URL that a redirect has led a leased request to. False when it is known already (crawl mode).

        What its own chain has come by counts for no other: it may be led there once more.
        """

    def refuse(self, request: Request, error: CodedError, *, for_good: bool = True) -> bool:
        """Know a new request without queueing it: it ends as skipped. False when its URL is known already.

        Unless that is `for_good`, another request for the URL may still be added.
        """

    def claim(self, now: float) -> Request | None:
        """Lease the next request whose host may be asked now; None when there is none."""

    def ready_at(self, now: float) -> float | None:
        """When `claim` may next succeed by itself: a time, or None if that takes the end of a lease, or an `add`."""

    def retry(self, request: Request, now: float, delay: float = 0.0) -> None:
        """End the lease and queue `request` (same id, perhaps another URL or attempt) again, not before now + delay."""

    def postpone(self, request: Request, now: float) -> None:
        """End the lease of a request that was not made, and queue it again: it is as if it had not been claimed."""

    def park(self, request: Request, now: float, delay: float) -> None:
        """End the lease and keep `request` for the last pass, not before now + delay.

        The last pass begins when nothing is queued or leased; then all that is parked counts as queued again.
        """

    def finish(self, request: Request, outcome: Ending, now: float) -> None:
        """End the lease for good."""

    def send(self, request: Request, now: float) -> None:
        """Queue a side request. It does not count as queued, and is not kept."""

    def sent(self, request: Request, now: float) -> None:
        """End the lease of a side request."""

    def counts(self) -> Counts:
        """The books, exact at any moment, in constant time."""

    def busiest(self, n: int, now: float) -> list[HostView]:
        """The `n` hosts with most work left (queued and in flight; parked does not count), the most first."""

    def find(self, url: Url, now: float) -> list[Whereabouts]:
        """The requests for this URL, as it is fetched next, that are in memory. Looks at all of its host: some ms."""

    def close(self) -> None:
        """Let go of everything. Nothing else may follow."""
