"""The controls of a run: all that a person may see and change while it goes on. Monitors get this, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

import msgspec

from crawler.engine.admission import Admission
from crawler.engine.loop import Crawl
from crawler.errors import CodedError
from crawler.fetch.typed import Typed
from crawler.frontier import Frontier, HostView, Whereabouts
from crawler.models import Input, Request
from crawler.politeness.controller import Politeness
from crawler.politeness.host import Binding
from crawler.stats.stats import Snapshot, Stats
from crawler.urls import Url, parse

MOST_CONCURRENCY: Final = 10_000
LONGEST_DELAY: Final = 86_400.0
MOST_HOSTS: Final = 10_000
_UNKNOWN: Final = "it does not wait, and is not in flight"
_KNOWN: Final = "the run knows it, and it is not in memory: it has ended, or waits on the disk"


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that may be changed, and the run at this moment."""

    paused: bool
    stopping: bool
    concurrency: int
    per_host: int
    delay: float
    snapshot: Snapshot


class HostRow(msgspec.Struct, frozen=True):
    """One host: what waits there and what binds it, what was done, and in a few words what its robots.txt came to."""

    host: str
    queued: int
    in_flight: int
    limit: int
    delay: float
    binding: Binding | None
    done: int
    failed: int
    http_errors: int
    robots: str

    @property
    def key(self) -> str:
        """As a HostLoad has it."""
        return self.host


class Rules(Protocol):
    """What is known of the robots.txt of hosts."""

    def summary(self, host: str) -> str: ...
    def explain(self, url: Url) -> str: ...


class Fact(NamedTuple):
    """What is known of a URL, in words, and what that is about."""

    about: str
    words: str


class Control:
    """Every verb takes effect at once. What is asked for in vain raises ValueError, with a sentence that says why.

    `most_concurrency` is what the descriptors of this process suffice for.
    """

    def __init__(
        self,
        *,
        crawl: Crawl,
        admission: Admission,
        frontier: Frontier,
        politeness: Politeness,
        clock: Callable[[], float],
        stats: Stats,
        robots: Rules | None,
        typed: Typed,
        most_concurrency: int,
        drain: Callable[[], None],
    ) -> None:
        self._crawl = crawl
        self._admission = admission
        self._frontier = frontier
        self._politeness = politeness
        self._clock = clock
        self._stats = stats
        self._robots = robots
        self._typed = typed
        self.most_concurrency = most_concurrency
        self._drain = drain
        self._stopping = False

    def status(self) -> Status:
        return Status(
            paused=self._crawl.paused,
            stopping=self._stopping,
            concurrency=self._crawl.concurrency,
            per_host=self._politeness.per_host,
            delay=self._politeness.delay,
            snapshot=self._stats.snapshot(),
        )

    def hosts(self, number: int = 100) -> list[HostView]:
        """The hosts with most work left, the most first."""
        return self._frontier.busiest(number, self._clock())

    def host_rows(self, number: int = MOST_HOSTS) -> list[HostRow]:
        """The hosts with work left, `number` at most, and then those that have none, as far as books are kept."""
        totals = {_key(host.origin): host for host in self._stats.host_totals()}
        rows = []
        for view in self.hosts(number):
            done = totals.pop(view.key, None)
            rows.append(
                HostRow(
                    view.key, view.queued, view.in_flight, view.limit, view.delay, view.binding,
                    done.done if done else 0, done.failed if done else 0, done.http_errors if done else 0,
                    self._rules_at(view.key),
                )
            )  # fmt: skip
        limit, delay = self._politeness.per_host, self._politeness.delay
        rows += [
            HostRow(key, 0, 0, limit, delay, None, done.done, done.failed, done.http_errors, self._rules_at(key))
            for key, done in totals.items()
            if key
        ]
        return rows

    def why(self, text: str, *, ended: bool = False) -> list[Fact]:
        """What becomes of a URL: where it is now, and what the scope and robots.txt say of it.

        `ended` says that a record of it is remembered. Raises ValueError for what is no URL.
        """
        try:
            url = parse(text)
        except CodedError as error:
            raise ValueError(str(error)) from error
        now = self._clock()
        places = self._frontier.find(url, now)
        facts = [Fact("State", _state(place)) for place in places]
        if not places:
            known = self._frontier.knows(Request(-1, url, text, Input(), now))
            facts.append(Fact("State", "it has ended" if ended else _KNOWN if known else _UNKNOWN))
        facts += [Fact("Linked from", place.request.input.parent) for place in places if place.request.input.parent]
        typed = any(place.request.input.parent is None for place in places)
        depth = max((place.request.input.depth or 0 for place in places), default=1)
        scope = self._admission.explain(url, depth)
        if scope:
            facts.append(Fact("Scope", "what is given is always fetched" if typed else scope))
        facts.append(Fact("robots.txt", "not obeyed" if self._robots is None else self._robots.explain(url)))
        return facts

    def _rules_at(self, host: str) -> str:
        return "" if self._robots is None else self._robots.summary(host)

    def pause(self) -> None:
        """Start nothing new; what is in the air goes on."""
        self._crawl.pause()

    def resume(self) -> None:
        self._crawl.resume()

    def set_concurrency(self, number: int) -> None:
        """So many URLs at once. Fewer is reached as requests end."""
        if not 1 <= number <= self.most_concurrency:
            raise ValueError(
                f"{number} is not a whole number from 1 to {self.most_concurrency:,} (each needs a descriptor)"
            )
        self._crawl.resize(number)

    def set_per_host(self, number: int) -> None:
        """So many URLs of one host at once. What back-off took from a host it earns back by itself."""
        if not 1 <= number <= MOST_CONCURRENCY:
            raise ValueError(f"{number} is not a whole number from 1 to {MOST_CONCURRENCY:,}")
        self._politeness.configure(self._clock(), per_host=number)
        self._crawl.wake()

    def set_delay(self, seconds: float) -> None:
        """So many seconds between two requests to one host, or what its robots.txt asks for, if that is more."""
        if not 0.0 <= seconds <= LONGEST_DELAY:
            raise ValueError(f"{seconds:g} is not a time from 0 to {LONGEST_DELAY:g} seconds")
        self._politeness.configure(self._clock(), delay=seconds)
        self._crawl.wake()

    def add(self, url: str, source: str) -> None:
        """Fetch one more URL, as if it had been an input; `source` says who adds it."""
        try:
            typed = parse(url)
        except CodedError as error:
            raise ValueError(str(error)) from error
        self._typed.add(typed)
        refusal = self._admission.accept_typed(url, source, self._clock())
        if refusal is not None:
            raise ValueError(str(refusal))
        self._crawl.wake()

    def drop(self, host: str) -> None:
        """Ask this host (as `hosts` names it: with its port) nothing any more; its URLs are skipped as `dropped`."""
        if all(view.key != host for view in self.hosts(MOST_HOSTS)):
            raise ValueError(f"{host!r} is no host of this run with URLs left (write it as the list does: host:port)")
        self._politeness.drop(host, self._clock())
        self._crawl.wake()

    def stop(self) -> None:
        """End the run as Ctrl-C does: what is in the air has 5 seconds."""
        self._stopping = True
        self._drain()


def _state(place: Whereabouts) -> str:
    request = place.request
    attempt = f"try {request.attempt}"
    if request.redirects:
        attempt += f", after {len(request.redirects)} redirect{'' if len(request.redirects) == 1 else 's'}"
    match place.state:
        case "in flight":
            return f"in flight ({attempt})"
        case "parked":
            return f"it is tried once more when all others have ended ({attempt})"
        case "again":
            soon = f"in {place.wait:.1f} s" if place.wait else "as soon as its host may be asked"
            return f"it is asked for again {soon} ({attempt})"
        case "queued":
            first = "the next of its host" if not place.ahead else f"{place.ahead:,} of its host go before it"
            return f"queued: {first}"


def _key(origin: str) -> str:
    """The host key of an origin; "" for what is none."""
    try:
        return parse(origin).host_key
    except CodedError:
        return ""
