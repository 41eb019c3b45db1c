"""Which hosts a node asks for, and when: claims and renewals."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from twisted.internet.interfaces import IDelayedCall

from crawler.frontier.shared.contract import SHARDS, Asks, Lease, SharedStore
from crawler.frontier.shared.held import Held
from crawler.frontier.shared.leasing import URLS, SharedFrontier

TTL: Final = 30.0
DRIFT: Final = 0.01  # of a lease: so much may the store's clock be faster than ours
FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 1.0
BUSY_PAUSE: Final = 3.0


class Clock(Protocol):
    """IReactorTime."""

    def seconds(self) -> float: ...

    def callLater(self, delay: float, function: Callable[..., object], /, *args: object) -> IDelayedCall: ...


class Claiming:
    """Keeps `frontier` in hosts: up to `hosts` at once, each for `ttl` seconds, which are renewed.

    `on_claimed` is called when some came, `on_idle` when all shards were asked and gave nothing, `on_error` with what
    ends the node.
    """

    def __init__(
        self,
        *,
        asks: Asks,
        frontier: SharedFrontier,
        node: str,
        clock: Clock,
        hosts: int,
        ttl: float = TTL,
        rng: random.Random | None = None,
    ) -> None:
        self.on_claimed: Callable[[], None] = lambda: None
        self.on_idle: Callable[[], None] = lambda: None
        self.on_error: Callable[[BaseException], None] = lambda _: None
        self.closed = False
        self._asks = asks
        self._frontier = frontier
        self._node = node
        self._clock = clock
        self._hosts = hosts
        self._ttl = ttl
        self._rng = rng or random.Random()  # noqa: S311 - it only spreads nodes over shards
        self._busy = False
        self._begun = False
        self._pause = FIRST_PAUSE
        self._looked = float("-inf")  # when all shards were asked
        self._timer: IDelayedCall | None = None
        self._promising: dict[int, None] = {}  # shards where something has arrived, the latest last
        self._renewal: IDelayedCall | None = None
        frontier.on_hungry = self.hungry

    def start(self) -> None:
        self._begun = True
        self._renewal = self._clock.callLater(self._ttl / 3, self._renew)
        self.hungry()

    def close(self) -> None:
        """Ask for nothing more. What is held is renewed until `stop`."""
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def stop(self) -> None:
        self.close()
        if self._renewal is not None and self._renewal.active():
            self._renewal.cancel()

    # Claims.

    def hungry(self) -> None:
        """There may soon be nothing to do."""
        if self._busy or self.closed or self._timer is not None or not self._begun:
            return
        self._ask()

    def _ask(self) -> None:
        frontier = self._frontier
        held = sum(1 for held in frontier.held.values() if held.entries or not held.unwritten)
        wanted = int(min(self._hosts, frontier.most_hosts)) - held
        if wanted <= 0:
            self._later(LONGEST_PAUSE)
            return
        self._busy = True
        now = self._clock.seconds()
        promising = list(self._promising)
        self._promising.clear()
        is_full = now >= self._next_look()
        rest: Iterable[int] = ()
        if is_full:
            first = self._rng.randrange(SHARDS)
            rest = (number % SHARDS for number in range(first, first + SHARDS))
        shards = list(dict.fromkeys([*promising, *rest]))
        if not shards:
            self._busy = False
            self._later(max(0.0, self._next_look() - now))
            return
        asked = _Round(shards, wanted, self._node, self._ttl, self._clock.seconds)
        self._asks.ask(asked).addCallback(self._claimed, asked, is_full).addErrback(self._failed)

    def _next_look(self) -> float:
        """When all shards may be asked again."""
        return self._looked + (BUSY_PAUSE if self._frontier.held else self._pause)

    def nothing_left(self) -> None:
        """All that was held has ended: look around soon."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._busy:
            self._later(max(0.01, self._next_look() - self._clock.seconds()))

    def heard(self, shards: Iterable[int]) -> None:
        """Something has arrived there."""
        for shard in shards:
            self._promising[shard] = None
        if self._promising and self._frontier.counts().queued < self._frontier.low:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self.hungry()

    def _claimed(self, found: list[tuple[int, float, list[Lease]]], asked: _Round, is_full: bool) -> None:
        self._busy = False
        frontier, now = self._frontier, self._clock.seconds()
        frontier.rotates = asked.wanted <= 0
        for shard in asked.shards:  # not asked: there is enough
            self._promising[shard] = None
        for shard, deadline, leases in found:
            if deadline > now:
                frontier.take(shard, leases, deadline)
        if is_full:
            # All shards cost 10 ms. Who has something to do may wait; who has nothing finds out soon, and ever later.
            self._pause = FIRST_PAUSE if frontier.held else min(LONGEST_PAUSE, 2 * self._pause)
            self._looked = now + self._rng.uniform(0.0, 0.3) * self._pause
        if found:
            self.on_claimed()
        elif is_full:
            self.on_idle()
        if not self._busy and frontier.counts().queued < frontier.low:
            self._later(max(0.01, self._next_look() - now))

    def _later(self, seconds: float) -> None:
        if self._timer is None and not self.closed:
            self._timer = self._clock.callLater(seconds, self._again)

    def _again(self) -> None:
        self._timer = None
        self.hungry()

    def _failed(self, failure: object) -> None:
        self._busy = False
        self.on_error(failure.value)  # type: ignore[attr-defined]

    # Renewals.

    def _renew(self) -> None:
        now = self._clock.seconds()
        due = [held for held in self._frontier.held.values() if held.deadline - now < 0.7 * self._ttl]
        self._renewal = self._clock.callLater(self._ttl / 3, self._renew)
        self._frontier.expire(now)
        if due:
            renewal = _Renewal(due, self._ttl, self._clock.seconds)
            self._asks.ask(renewal).addCallback(self._renewed).addErrback(self._failed)

    def _renewed(self, answers: list[tuple[Held, float]]) -> None:
        now = self._clock.seconds()
        for held, deadline in answers:
            if held.deadline <= now or not deadline:
                self._frontier.drop(held)
            else:
                held.deadline = deadline
        self._frontier.look_at_deadlines()


class _Round:
    """Asks shards, one after the other, until there are enough hosts."""

    def __init__(self, shards: list[int], wanted: int, node: str, ttl: float, clock: Callable[[], float]) -> None:
        self.shards = shards[::-1]
        self.wanted = wanted
        self._node = node
        self._ttl = ttl
        self._clock = clock
        self._found: list[tuple[int, float, list[Lease]]] = []

    def __call__(self, store: SharedStore) -> list[tuple[int, float, list[Lease]]]:
        while self.shards and self.wanted > 0:
            shard = self.shards[-1]
            deadline = self._clock() + self._ttl * (1 - DRIFT)
            leases = store.claim(shard, self._node, self.wanted, URLS, self._ttl)
            if leases:
                self._found.append((shard, deadline, leases))
                self.wanted -= len(leases)
            self.shards.pop()
        return self._found


class _Renewal:
    """Renews leases, a shard after the other."""

    def __init__(self, due: list[Held], ttl: float, clock: Callable[[], float]) -> None:
        self._shards: dict[int, list[Held]] = {}
        for held in due:
            self._shards.setdefault(held.shard, []).append(held)
        self._ttl = ttl
        self._clock = clock
        self._answers: list[tuple[Held, float]] = []

    def __call__(self, store: SharedStore) -> list[tuple[Held, float]]:
        """The deadline of each, 0 where it is lost."""
        while self._shards:
            shard, due = next(iter(self._shards.items()))
            deadline = self._clock() + self._ttl * (1 - DRIFT)
            answers = store.renew(shard, [(held.host, held.token) for held in due], self._ttl)
            self._answers += [(held, deadline if is_held else 0.0) for held, is_held in zip(due, answers, strict=True)]
            del self._shards[shard]
        return self._answers
