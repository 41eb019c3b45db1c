"""Politeness: one controller per host that joins every signal on how often it may be asked. Pure: time is passed in.

What limits a host is the strictest of these, and `HostControl.binding` tells which one it is now:

- `per_host`: that many requests at once (configured).
- `delay`, `crawl_delay`: seconds from the start of one request to the start of the next (configured, a rate of the host
  among that; from robots.txt).
- `retry_after`, `ratelimit`: the host said how long to leave it alone. Always obeyed, up to the cap.
- `robots`: its robots.txt cannot be read; it is asked for again then. Or it is elsewhere, and being fetched from there:
  meanwhile the host is `held`.
- `backoff`: 429, 503, timeouts and resets halve the requests at once and double the delay; ten good answers give one
  request back and halve what was added to the delay (AIMD, as TCP does).

A host that is slowed down ten times in a row without one good answer is given up: from then on `Politeness.refusal`
says why none of its URLs shall be fetched, and nothing limits how fast they are disposed of. A thousand URLs of a host
that only says 503 would take two days otherwise. `adaptive=False` turns back-off and giving up off, and nothing else.

Beside the hosts there is the `Pace` of the whole run, if it has one: then no host starts anything before its time.

Three verbs, each called once per request: the frontier calls `HostControl.start` when it leases a request and
`HostControl.end` when the lease ends; in between, whoever fetched calls `Politeness.observe` with what came back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from crawler.errors import CodedError
from crawler.models import Response
from crawler.politeness.host import BACKOFF_CAP, CRAWL_DELAY_CAP, GIVE_UP_AFTER, Binding, HostControl, Learnt
from crawler.politeness.pace import Pace
from crawler.politeness.rate_headers import TELLING, retry_after, used_up

LONGEST_PAUSE: Final = 3_600.0  # as robots.policy has it
LONGEST_DELAY: Final = max(CRAWL_DELAY_CAP, BACKOFF_CAP)

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
        "http2_calm",
    }
)


class HostLimits(NamedTuple):
    """What is configured for one host; None where that is what is for all. `distance` is that of its rate."""

    per_host: int | None = None
    delay: float | None = None
    distance: float | None = None


class Politeness:
    """The controllers of all hosts, by `Url.host_key`. Idle hosts are forgotten as new ones come.

    `changed` names the hosts that may now start sooner than their controller said before; the frontier empties it.
    `distance` is that of the rate of each host: the longer of it and `delay` counts. `limits` says what is configured
    for a host by its key, if that is not what is for all. `pace` is that of the whole run.
    """

    def __init__(
        self,
        *,
        per_host: int = 8,
        delay: float = 0.0,
        distance: float = 0.0,
        adaptive: bool = True,
        retry_after_cap: float = 120.0,
        limits: Callable[[str], HostLimits | None] | None = None,
        pace: Pace | None = None,
    ) -> None:
        self.changed: dict[str, None] = {}  # a set that keeps its order
        self.pace = pace
        self._limits = limits
        self._per_host = per_host
        self._delay = delay
        self._distance = distance
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
            host = self._hosts[key] = HostControl(*self._configured(key))
            if self._asked_at is not None:
                host.asked(self._asked_at)
        return host

    def _configured(self, key: str) -> tuple[int, float]:
        """The requests at once and the delay of a host."""
        own = None if self._limits is None else self._limits(key)
        if own is None:
            return self._per_host, max(self._delay, self._distance)
        delay = self._delay if own.delay is None else own.delay
        distance = self._distance if own.distance is None else own.distance
        return self._per_host if own.per_host is None else own.per_host, max(delay, distance)

    def go_on(self, idle: float, delays: Iterable[tuple[str, float]], now: float) -> None:
        """An earlier run may have asked any host just now: each has its delay before it.

        Some had `delays` longer than is configured; of those what is left after `idle` seconds without a run.
        """
        self._asked_at = now
        if self.pace is not None:
            self.pace.start(now)
        for key, delay in delays:
            wait = min(delay, LONGEST_DELAY) - idle
            if wait > 0:
                self.host(key, now).block(wait, now, "crawl_delay")

    def learn(self, key: str, learnt: Learnt | None, wait: float, now: float) -> None:
        """Take over a host from somebody else, who has `learnt` this of it; it may be asked in `wait` seconds."""
        known = self._hosts.get(key)
        own = now if known is None else known.next_start  # it may be that nobody else has held it since
        self.forget(key)
        host = self.host(key, now)
        if learnt is not None:
            host.learn(learnt, now)
        host.next_start = max(host.next_start, own, now + wait)

    def forget(self, key: str) -> None:
        """Somebody else asks this host from now on. What is in the air still counts."""
        host = self._hosts.get(key)
        if host is not None and not host.in_flight:
            del self._hosts[key]

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
            host.configure(*self._configured(key), now)
            self.changed[key] = None

    def drop(self, key: str, now: float) -> None:
        """Ask this host nothing any more."""
        self._dropped.add(key)
        self.host(key, now).let_go(now)
        self.changed[key] = None

    def release(self, now: float) -> None:
        """Nothing will be asked any more: what is left is disposed of without waiting for anything."""
        self._delay = self._distance = 0.0
        self._limits = self.pace = None
        for key, host in self._hosts.items():
            host.let_go(now)
            self.changed[key] = None

    def spared(self, key: str, now: float) -> None:
        """Right after a `start`: the host was not asked after all, so nothing need wait for that."""
        self.host(key, now).spared()
        if self.pace is not None:
            self.pace.spared()

    def binding(self, host: HostControl, now: float) -> Binding | None:
        """Which signal keeps this host from starting one more request now, be it that of the whole run."""
        if self.pace is not None and now < self.pace.next_start:
            return "rate"
        return host.binding(now)

    def sent(self, key: str, number: int, now: float) -> None:
        """A request that was started has left."""
        host = self._hosts.get(key)
        if host is not None:
            host.asked(now, number)
            self.changed[key] = None

    def observe(self, key: str, response: Response, *, started: float, now: float) -> float | None:
        """Learn from what one try brought; called before its lease ends. `started` and `now` are monotonic seconds.

        Returns how many seconds this URL shall wait if the host said so in an answer of 4xx or 5xx, not capped. Of what
        came from a cache the host knows nothing.
        """
        if response.unsent:
            self.spared(key, now)
            return None
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
