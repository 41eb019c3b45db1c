"""Politeness: one controller per host that joins every signal on how often it may be asked. Pure: time is passed in.

What limits a host is the strictest of these, and `HostControl.binding` tells which one it is now:

- `per_host`: that many requests at once (configured).
- `delay`, `crawl_delay`: seconds from the start of one request to the start of the next (configured; from robots.txt).
- `retry_after`, `ratelimit`: the host said how long to leave it alone. Always obeyed, up to the cap.
- `robots`: its robots.txt cannot be read; it is asked for again then. Or it is elsewhere, and being fetched from there:
  meanwhile the host is `held`.
- `backoff`: 429, 503, timeouts and resets halve the requests at once and double the delay; ten good answers give one
  request back and halve what was added to the delay (AIMD, as TCP does).

A host that is slowed down ten times in a row without one good answer is given up: from then on `Politeness.refusal`
says why none of its URLs shall be fetched, and nothing limits how fast they are disposed of. A thousand URLs of a host
that only says 503 would take two days otherwise. `adaptive=False` turns back-off and giving up off, and nothing else.

Three verbs, each called once per request: the frontier calls `HostControl.start` when it leases a request and
`HostControl.end` when the lease ends; in between, whoever fetched calls `Politeness.observe` with what came back.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

from crawler.errors import CodedError
from crawler.models import Response
from crawler.politeness.rate_headers import TELLING, retry_after, used_up

Binding = Literal["per_host", "delay", "crawl_delay", "retry_after", "ratelimit", "backoff", "robots"]

CRAWL_DELAY_CAP: Final = 30.0
BACKOFF_START: Final = 0.25
BACKOFF_CAP: Final = 60.0
LONGEST_PAUSE: Final = 3_600.0  # as robots.policy has it
LONGEST_DELAY: Final = max(CRAWL_DELAY_CAP, BACKOFF_CAP)
BACKOFF_MEMORY: Final = 600.0  # an idle host is taken for recovered after that many seconds
GOOD_ANSWERS: Final = 10
GIVE_UP_AFTER: Final = 10  # by then a host has been asked ever more slowly for two minutes

# 504, 522 and 524 are timeouts too, told by the gateway in front of the host.
OVERLOAD_STATUSES: Final = frozenset({429, 503, 504, 522, 524})
# An empty reply is how rate limiters in front of a host hang up (nginx's status 444).
# A body cut short is none of these: it is as often a page with a wrong Content-Length.
OVERLOAD_CODES: Final = frozenset(
    {
        "connect_timeout",
        "timeout_tls",
        "timeout_headers",
        "timeout_idle",
        "timeout_total",
        "too_slow",
        "conn_reset",
        "empty_reply",
        "tls_handshake",
    }
)


class HostControl:
    """What one host allows. The frontier reads `limit`, `in_flight`, `unsent`, `next_start`; nobody else writes them.

    `delay` is in force from start to start; it is `floor` (what was configured or asked for by robots.txt) plus what
    back-off added.
    """

    __slots__ = (
        "_after",
        "_before",
        "_blocked_by",
        "_blocked_until",
        "_configured",
        "_good",
        "_slowed_at",
        "_slowings",
        "answered",
        "delay",
        "floor",
        "held",
        "in_flight",
        "limit",
        "next_start",
        "per_host",
        "slowed",
        "trouble",
        "unsent",
    )

    def __init__(self, per_host: int, delay: float) -> None:
        self.per_host = per_host
        self.limit = per_host
        self.in_flight = 0
        self.floor = delay
        self.delay = delay
        self.next_start = 0.0
        self.answered = False  # with any status, ever
        self.held = False  # nothing may start but side requests
        self.slowed = False  # back-off allows less than what was configured
        self.trouble = ""  # what it was slowed down for last
        self._configured = delay
        self._before = 0.0
        self._after = 0.0
        self._good = 0
        self._slowed_at = float("-inf")
        self._slowings = 0  # since the last good answer
        self.unsent: int | None = None
        self._blocked_until = 0.0
        self._blocked_by: Binding = "retry_after"

    @property
    def given_up(self) -> bool:
        """True once it has been slowed down so often in a row that it shall not be asked any more in this run."""
        return self._slowings >= GIVE_UP_AFTER

    def start(self, now: float, number: int | None = None) -> None:
        """A request to the host starts. Only while `in_flight < limit` and not before `next_start`.

        The delay counts from when it leaves, which takes an address and a connection: until `asked` or `end` tells of
        this `number`, it is `unsent`, and no other may start.
        """
        self.in_flight += 1
        if self.delay:
            self.unsent = number
        self._before = self.next_start
        self.next_start = self._after = now + self.delay

    def asked(self, at: float, number: int | None = None) -> None:
        """The host was asked no sooner than that. The distance to the next counts from it."""
        self.next_start = max(self.next_start, at + self.delay)
        if number == self.unsent:
            self.unsent = None

    def spared(self) -> None:
        """The host was not asked after all, right after a `start`: the next one need not wait for that."""
        if self.next_start == self._after:
            self.next_start = self._before

    def end(self, number: int | None = None) -> None:
        """A request to the host has ended, however."""
        self.in_flight -= 1
        if number == self.unsent:
            self.unsent = None

    def binding(self, now: float) -> Binding | None:
        """Which signal keeps the host from starting one more request now; None when it may."""
        if now < self._blocked_until:
            return self._blocked_by
        if self.unsent is not None:
            return "delay"
        if self.held:
            return "robots"
        if self.in_flight >= self.limit:
            return "backoff" if self.limit < self.per_host else "per_host"
        if now >= self.next_start:
            return None
        if self.delay > self.floor:
            return "backoff"
        return "crawl_delay" if self.floor > self._configured else "delay"

    def crawl_delay(self, seconds: float, now: float) -> None:
        """Keep at least that distance between starts, as robots.txt asks.

        Say it in every visit: the same value again changes nothing, and an idle host may have been forgotten.
        """
        floor = max(self._configured, min(seconds, CRAWL_DELAY_CAP))
        if floor == self.floor or self.given_up:
            return
        self.delay = floor + (self.delay - self.floor)  # in this order: without back-off it is `floor` exactly
        self.floor = floor
        # The request under whose lease robots.txt was read has started already: count the distance from now.
        self.next_start = max(self.next_start, now + self.delay)

    def configure(self, per_host: int, delay: float, now: float) -> None:
        """Other limits from now on. What robots.txt asks for and what back-off took away stays as it is."""
        added = self.delay - self.floor
        asked = self.floor if self.floor > self._configured else 0.0
        self._configured = delay
        self.floor = max(delay, asked)
        self.delay = self.floor + added
        self.limit = min(self.limit, per_host) if self.slowed else per_host
        self.per_host = per_host
        if not self.delay:
            self.unsent = None
        self.next_start = max(self._blocked_until, min(self.next_start, now + self.delay))

    def block(self, seconds: float, now: float, by: Binding) -> None:
        """Start nothing for that many seconds: the host said so."""
        until = now + seconds
        if until > self._blocked_until:
            self._blocked_until = until
            self._blocked_by = by
        self.next_start = max(self.next_start, until)

    def overloaded(self, started: float, now: float, trouble: str = "overload") -> None:
        """One sign of overload, from a request started at `started`.

        Requests that were in flight when the host was slowed down last tell the same news again: one halving a round.
        """
        if started <= self._slowed_at:
            return
        self.trouble = trouble
        self._slowings += 1
        if self.given_up:
            self.let_go(now)
            return
        self._slowed_at = now
        self.slowed = True
        self._good = 0
        self.limit = max(1, self.limit // 2)
        self.delay = max(self.floor, min(BACKOFF_CAP, max(2 * self.delay, BACKOFF_START)))
        self.next_start = max(self.next_start, now + self.delay)

    def let_go(self, now: float) -> None:
        """Its URLs are disposed of without being fetched: nothing shall hold them up."""
        self.limit = self.per_host
        self.unsent = None
        self.held = False
        self.delay = 0.0
        self.next_start = now
        self._blocked_until = 0.0

    def recovering(self, started: float) -> bool:
        """One good answer from a slowed host. True when that raised `limit`."""
        self._slowings = 0
        if started <= self._slowed_at:
            return False
        self._good += 1
        if self._good < GOOD_ANSWERS:
            return False
        self._good = 0
        added = (self.delay - self.floor) / 2
        self.delay = self.floor + (added if added >= BACKOFF_START else 0.0)
        raised = self.limit < self.per_host
        if raised:
            self.limit += 1
        self.slowed = self.limit < self.per_host or self.delay > self.floor
        return raised

    def forgettable(self, now: float) -> bool:
        """True when a new controller would allow the same: nothing runs, nothing waits, nothing is slowed."""
        if self.in_flight or self.held or now < self.next_start or self.given_up:
            return False
        return not self.slowed or now - self._slowed_at > BACKOFF_MEMORY


class Politeness:
    """The controllers of all hosts, by `Url.host_key`. Idle hosts are forgotten as new ones come.

    `changed` names the hosts that may now start sooner than their controller said before; the frontier empties it.
    """

    def __init__(
        self, *, per_host: int = 8, delay: float = 0.0, adaptive: bool = True, retry_after_cap: float = 120.0
    ) -> None:
        self.changed: dict[str, None] = {}  # a set that keeps its order
        self._per_host = per_host
        self._delay = delay
        self._adaptive = adaptive
        self._cap = retry_after_cap
        self._hosts: dict[str, HostControl] = {}
        self._dropped: set[str] = set()
        self._asked_at: float | None = None
        self._sweep_at = 1024

    def __len__(self) -> int:
        return len(self._hosts)

    @property
    def per_host(self) -> int:
        """How many requests at once a host is configured for."""
        return self._per_host

    @property
    def longest_wait(self) -> float:
        """For how long at most a host, or a request to it, is left alone."""
        return max(self._cap, LONGEST_PAUSE)

    @property
    def delay(self) -> float:
        """The configured distance between two starts, in seconds."""
        return self._delay

    def host(self, key: str, now: float) -> HostControl:
        """The controller of this host. Keep it only from its `start` to its `end`: an idle one may be forgotten."""
        host = self._hosts.get(key)
        if host is None:
            if len(self._hosts) >= self._sweep_at:
                self._sweep(now)
            host = self._hosts[key] = HostControl(self._per_host, self._delay)
            if self._asked_at is not None:
                host.asked(self._asked_at)
        return host

    def go_on(self, idle: float, delays: Iterable[tuple[str, float]], now: float) -> None:
        """An earlier run may have asked any host just now: each has its delay before it.

        Some had `delays` longer than is configured; of those what is left after `idle` seconds without a run.
        """
        self._asked_at = now
        for key, delay in delays:
            wait = min(delay, LONGEST_DELAY) - idle
            if wait > 0:
                self.host(key, now).block(wait, now, "crawl_delay")

    def _sweep(self, now: float) -> None:
        """Forget idle hosts. Twice what is left must come before the next sweep, so that one host costs O(1)."""
        self._hosts = {key: host for key, host in self._hosts.items() if not host.forgettable(now)}
        self._sweep_at = max(1024, 2 * len(self._hosts))

    def refusal(self, key: str) -> CodedError | None:
        """Why no URL of this host shall be fetched any more; None while they may be."""
        if key in self._dropped:
            return CodedError("dropped", f"{key} was dropped by hand")
        host = self._hosts.get(key)
        if host is None or not host.given_up:
            return None
        return CodedError(
            "host_unavailable", f"{key} failed {GIVE_UP_AFTER} times in a row ({host.trouble}), not asked any more"
        )

    def configure(self, now: float, *, per_host: int | None = None, delay: float | None = None) -> None:
        """Other limits for all hosts, from now on."""
        self._per_host = self._per_host if per_host is None else per_host
        self._delay = self._delay if delay is None else delay
        for key, host in self._hosts.items():
            host.configure(self._per_host, self._delay, now)
            self.changed[key] = None

    def drop(self, key: str, now: float) -> None:
        """Ask this host nothing any more."""
        self._dropped.add(key)
        self.host(key, now).let_go(now)
        self.changed[key] = None

    def release(self, now: float) -> None:
        """Nothing will be asked any more: what is left is disposed of without waiting for anything."""
        self._delay = 0.0
        for key, host in self._hosts.items():
            host.let_go(now)
            self.changed[key] = None

    def sent(self, key: str, number: int, now: float) -> None:
        """A request that was started has left."""
        host = self._hosts.get(key)
        if host is not None:
            host.asked(now, number)
            self.changed[key] = None

    def observe(self, key: str, response: Response, *, started: float, now: float) -> float | None:
        """Learn from what one try brought; called before its lease ends. `started` and `now` are monotonic seconds.

        Returns how many seconds this URL shall wait if the host said so in an answer of 4xx or 5xx, not capped.
        """
        host = self._hosts.get(key) or self.host(key, now)
        if host.given_up:
            return None
        wait = None
        if not response.headers.keys().isdisjoint(TELLING):
            wait = self._told(host, response, now)
        status, error = response.status, response.error
        if status is not None:
            host.answered = True
        if not self._adaptive:
            return wait
        if status in OVERLOAD_STATUSES or (error is not None and _overload(error.code, host)):
            trouble = f"http {status}" if status in OVERLOAD_STATUSES or error is None else error.code
            host.overloaded(started, now, trouble)
            if host.given_up:
                self.changed[key] = None
        elif host.slowed and error is None and status is not None and status < 500 and host.recovering(started):
            self.changed[key] = None
        return wait

    def _told(self, host: HostControl, response: Response, now: float) -> float | None:
        """Obey the headers in which a host says how long to leave it alone."""
        # The clock of this answer, so that none needs to be passed: an HTTP-date is a time of day.
        wall_now = response.started + (response.timings.total or 0.0)
        quota = used_up(response, wall_now)
        if quota is not None:
            host.block(min(quota, self._cap), now, "ratelimit")
        if response.status is None or response.status < 400:
            return None
        value = response.first("retry-after")
        wait = None if value is None else retry_after(value, wall_now)
        if wait is None:
            return quota
        host.block(min(wait, self._cap), now, "retry_after")
        return wait


def _overload(code: str, host: HostControl) -> bool:
    # What never answered is dead rather than overloaded: asking it more slowly only makes the run longer.
    return code in OVERLOAD_CODES and (host.answered or code != "connect_timeout")
