"""One host: how many requests at once, how far from one another, and what made that so. Pure: time is passed in."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, get_args

Binding = Literal["per_host", "delay", "crawl_delay", "retry_after", "ratelimit", "backoff", "robots", "rate"]

CRAWL_DELAY_CAP: Final = 30.0
BACKOFF_START: Final = 0.25
BACKOFF_CAP: Final = 60.0
BACKOFF_MEMORY: Final = 600.0  # an idle host is taken for recovered after that many seconds
GOOD_ANSWERS: Final = 10
GIVE_UP_AFTER: Final = 10  # by then a host has been asked ever more slowly for two minutes


_BINDINGS: Final = frozenset(get_args(Binding))


class Learnt(NamedTuple):
    """What has been learnt of a host, for whoever asks it next: `floor`, `delay` and `limit` as they are in force, why
    it was slowed down and how often in a row, and for how many more seconds it is to be left alone.
    """

    floor: float
    delay: float
    limit: int
    slowings: int
    good: int
    answered: bool
    trouble: str
    blocked: float
    blocked_by: str


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

    def learnt(self, now: float) -> Learnt | None:
        """What another controller of this host has to know; None where that is nothing."""
        blocked = max(0.0, self._blocked_until - now)
        if not (self.slowed or self._slowings or blocked) and self.floor == self._configured:
            return None
        by = self._blocked_by if blocked else ""
        return Learnt(
            self.floor, self.delay, self.limit, self._slowings, self._good, self.answered, self.trouble, blocked, by
        )

    def learn(self, learnt: Learnt, now: float) -> None:
        """Know what another controller of this host did. What is configured here holds all the same."""
        self.answered = learnt.answered
        self.trouble = learnt.trouble
        self._slowings = learnt.slowings
        if self.given_up:
            self.let_go(now)
            return
        self.floor = max(self._configured, min(learnt.floor, CRAWL_DELAY_CAP))
        self.delay = max(self.floor, min(learnt.delay, self.floor + BACKOFF_CAP))
        self.limit = max(1, min(self.per_host, learnt.limit))
        self._good = learnt.good
        self._slowed_at = now
        self.slowed = self.limit < self.per_host or self.delay > self.floor
        if learnt.blocked > 0:
            by: Binding = learnt.blocked_by if learnt.blocked_by in _BINDINGS else "retry_after"  # type: ignore[assignment]
            self.block(learnt.blocked, now, by)

    def forgettable(self, now: float) -> bool:
        """True when a new controller would allow the same: nothing runs, nothing waits, nothing is slowed."""
        if self.in_flight or self.held or now < self.next_start or self.given_up:
            return False
        return not self.slowed or now - self._slowed_at > BACKOFF_MEMORY
