"""The frontier of a node: the hosts that it holds are in memory, with some URLs each; all others wait in the store.

Within a host, and from host to host, all is as in the frontier in memory. What is added here goes to the store, also
where its host is held here: it comes back when it was claimed. So nothing is known here but what was found lately.

A lease that is over is somebody else's: `drop` forgets its URLs as if they had never been here. Those in the air end
without a trace.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Final

from twisted.internet.defer import Deferred

from crawler.errors import CodedError
from crawler.frontier.memory import HostQueue, MemoryFrontier
from crawler.frontier.shared.contract import NO_HOST, Arrival, Ended, Entry, Lease, Move, Turn, shard_of
from crawler.frontier.shared.entries import kept, read, uid
from crawler.frontier.shared.finding import Found
from crawler.frontier.shared.held import Changes, Held
from crawler.frontier.shared.states import State, packed, unpacked
from crawler.models import Ending, Request
from crawler.politeness.controller import Politeness
from crawler.politeness.host import HostControl
from crawler.robots.policy import Carried
from crawler.seeds.inputs import BadLine
from crawler.urls import Url

KEY_BYTES: Final = 8
URLS: Final = 64
TURN: Final = 4 * URLS  # so many URLs of a host, then others have their turn
_NEVER: Final = float("inf")


class SharedFrontier(MemoryFrontier):
    """Implements `crawler.frontier.Frontier`, but that `leads` has to be waited for.

    `epoch` gives the time of day at which the monotonic clock said 0. Who makes it sets what it tells:

    - `on_change`: there is something to commit.
    - `on_hungry`: there may soon be nothing to do.
    - `on_taken`: so many URLs are here now that have no record yet, or no longer.
    - `on_lost`: the requests of these ids are nobody's here any more.
    - `owe`: a record that has to be written without a request.
    - `on_typed`: a URL that somebody wrote, so that `is_typed` says so of its host.
    - `on_rules`: what another node has read of a robots.txt, as `rules_of` a host gives it.
    - `on_pages_lost`: so many that were begun here are not, as nothing of that was committed.
    - `on_begun`: an id that counts as begun already (--max-pages), which `is_begun` knows then.
    - `ask_lead`: the question of SharedStore.lead.
    """

    def __init__(
        self,
        politeness: Politeness,
        key: Callable[[Url], bytes],
        *,
        epoch: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        super().__init__(politeness, key)
        self.on_change: Callable[[], None] = lambda: None
        self.on_hungry: Callable[[], None] = lambda: None
        self.on_taken: Callable[[int], None] = lambda _: None
        self.on_lost: Callable[[list[int]], None] = lambda _: None
        self.on_begun: Callable[[int], None] = lambda _: None
        self.on_pages_lost: Callable[[int], None] = lambda _: None
        self.on_typed: Callable[[Url], None] = lambda _: None
        self.is_typed: Callable[[str], bool] = lambda _: False
        self.rules_of: Callable[[str], Sequence[Carried]] = lambda _: ()
        self.on_rules: Callable[[Sequence[Carried]], None] = lambda _: None
        self.is_begun: Callable[[int], bool] = lambda _: False
        self.owe: Callable[[int, BadLine], None]
        self.ask_lead: Callable[[int, bytes, bytes], Deferred[bool]]
        self.held: dict[str, Held] = {}
        self.most_hosts = _NEVER  # so many may be held, with others in mind
        self.rotates = False  # other hosts wait for what has had its turn
        self.low = 256  # with fewer URLs in the queues more are asked for
        self.is_leaving = False
        self._epoch = epoch
        self._clock = clock
        self._numbers = count()
        self._holders: dict[int, Held] = {}
        self._touched: dict[Held, None] = {}
        self._orphans: set[int] = set()
        self.first_deadline = _NEVER
        self.found = Found(epoch, self._changed)

    def _changed(self) -> None:
        self.on_change()

    # What is found.

    def add(self, request: Request) -> bool:
        """Always False: whether it is new is known when it has come to the store, and then it is anybody's."""
        self.found.add(request.url.host_key, self.key_of(request), request)
        return False

    def knows(self, request: Request) -> bool:
        return self.key_of(request) in self.found

    def refuse(self, request: Request, error: CodedError, *, for_good: bool = True) -> bool:
        """Always False, as `add`: its record is written by who claims it."""
        if for_good:
            meta = None if request.ask is None else request.ask.meta
            self.found.refuse(self.key_of(request), BadLine(request.written, request.input, error, meta))
        return False

    def key_of(self, request: Request) -> bytes:
        """By what the store knows a URL again."""
        assert self._key is not None
        return (self._key(request.url) if request.ask is None else self._key_of(request))[:KEY_BYTES]

    # What is claimed.

    def take(self, shard: int, leases: Sequence[Lease], deadline: float) -> None:
        """Hold these hosts."""
        now, epoch = self._clock(), self._epoch()
        for lease in leases:
            before = self.held.get(lease.host)
            if before is not None:  # an answer was lost, or a lease ran out before we knew
                self.drop(before)
            held = self.held[lease.host] = Held(lease.host, shard, lease.token, deadline)
            self.first_deadline = min(self.first_deadline, deadline)
            held.queued = lease.queued
            held.state = lease.state
            state = unpacked(lease.state, epoch + now)
            self.politeness.learn(lease.host, state.learnt, lease.wait, now)
            if state.rules:
                self.on_rules(state.rules)
                held.rules = state.rules
            held.is_typed = state.is_typed
            self.more(held, lease.entries)

    def more(self, held: Held, entries: Sequence[Entry]) -> None:
        """More URLs of a host that is held."""
        now, epoch = self._clock(), self._epoch()
        held.given += len(entries)
        owed: list[tuple[int, BadLine]] = []
        fresh: list[Request] = []
        taken = 0
        for entry in entries:
            number = next(self._numbers)
            held.entries[number] = entry.id
            self._holders[number] = held
            what = read(entry.data, number, epoch, now)
            if isinstance(what, BadLine):
                owed.append((number, what))
                continue
            request = what.request
            if entry.is_duplicate:
                error = CodedError("duplicate", "the same URL came before")
                meta = None if request.ask is None else request.ask.meta
                owed.append((number, BadLine(request.written, request.input, error, meta)))
                continue
            taken += 1
            if held.is_typed or (request.input.parent is None and not request.redirects):
                self.on_typed(request.url)
            if what.begun:
                self.on_begun(number)
            if what.due > now or request.redirects or request.attempt > 1:
                self._begin_again(request, what.due, now)
            else:
                self._enter(request)
                fresh.append(request)
        if fresh:
            self._stock(self._queues[held.host], fresh)
        if taken:
            self.on_taken(taken)
        for number, line in owed:
            self.owe(number, line)
        if not held.entries:
            self._touch(held)

    def claim(self, now: float) -> Request | None:
        if now >= self.first_deadline:
            self.expire(now)
        request = super().claim(now)
        if self._queued < self.low:
            self.on_hungry()
        return request

    # What becomes of it.

    def ended(self, number: int, outcome: Ending) -> Held | None:
        """A record of it is about to be written. Gives who held it; None if that must not be."""
        held = self._holders.pop(number, None)
        if held is None:
            return None
        entry = held.entries.pop(number)
        held.again.pop(entry, None)
        held.ended.append(Ended(entry, outcome))
        self._touch(held)
        return held

    def finish(self, request: Request, outcome: Ending, now: float) -> None:
        left = self._end(request)
        if request.id in self._orphans:
            self._orphans.discard(request.id)
        else:
            self._ended[outcome] += 1
        self._settle(left, now)

    def retry(self, request: Request, now: float, delay: float = 0.0) -> None:
        held = self._holders.get(request.id)
        if held is None:
            self._forget(request, now)
        elif request.url.host_key != held.host:
            self._move(held, request, now)
        else:
            super().retry(request, now, delay)
            self._say_again(held, request, now + delay)

    def postpone(self, request: Request, now: float) -> None:
        if request.id in self._holders:
            super().postpone(request, now)
        else:
            self._forget(request, now)

    def park(self, request: Request, now: float, delay: float) -> None:
        held = self._holders.get(request.id)
        if held is None:
            self._forget(request, now)
        else:
            super().park(request, now, delay)
            self._say_again(held, request, now + delay)

    def leads(self, onward: Request) -> Deferred[bool]:  # type: ignore[override]
        """Whether the URL that a redirect leads to is this input's, or has its own record."""
        key = self.key_of(onward)
        first = onward.redirects[0]  # not the id in the store: what that has lost comes again by another
        name = uid("lead", first.method, first.url, key)
        answer = self.ask_lead(shard_of(onward.url.host_key), key, name)
        return answer.addCallback(lambda is_new: is_new or self._is_its_own(onward))

    def begun(self, request: Request) -> Held | None:
        """It is about to be asked for: with the next commit that counts."""
        held = self._holders.get(request.id)
        if held is not None:
            held.pages += 1
            self._say_again(held, request, 0.0, begun=True)
        return held

    def _say_again(self, held: Held, request: Request, due: float, *, begun: bool = False) -> None:
        entry = held.entries[request.id]
        begun = begun or self.is_begun(request.id)
        held.again[entry] = Entry(entry, kept(request, self._epoch(), begun=begun, due=due))
        self._touch(held)

    def _move(self, held: Held, request: Request, now: float) -> None:
        """A redirect leads to another host, whose holder asks it."""
        del self._holders[request.id]
        entry = held.entries.pop(request.id)
        # With where it began: a server that has lost its last second may give the id to another.
        way = request.redirects[0].url, len(request.redirects), request.url.href
        name = uid("move", held.shard, entry, held.host, *way)
        data = kept(request, self._epoch(), begun=self.is_begun(request.id))
        held.ended.append(Ended(entry, "moved"))
        held.again.pop(entry, None)
        held.moves.append(Move(entry, Arrival(request.url.host_key, None, data, name)))
        self._forget(request, now)
        self._touch(held)

    def _forget(self, request: Request, now: float) -> None:
        """End the lease of what is no longer ours."""
        left = self._end(request)
        self._orphans.discard(request.id)
        self._settle(left, now)
        self.on_taken(-1)

    def _touch(self, held: Held) -> None:
        if held.is_lost:
            return
        if not self._touched:
            self.on_change()
        self._touched[held] = None

    # Leases.

    def expire(self, now: float) -> None:
        """Let go of the hosts whose time is over."""
        for held in [held for held in self.held.values() if held.deadline <= now]:
            self.drop(held)
        self.look_at_deadlines()

    def look_at_deadlines(self) -> float:
        """The first time at which a lease is over."""
        self.first_deadline = min((held.deadline for held in self.held.values()), default=_NEVER)
        return self.first_deadline

    def drop(self, held: Held) -> None:
        """The lease is over: what there was of it never was here."""
        if held.is_lost:
            return
        held.is_lost = True
        self._touched.pop(held, None)
        if self.held.get(held.host) is held:
            del self.held[held.host]
        gone = set(held.entries)
        for number in gone:
            del self._holders[number]
        in_air = [number for number in gone if number in self._leases]
        self._orphans.update(in_air)
        queue = self._queues.get(held.host)
        parked = len(self._parked)
        self._parked = [pair for pair in self._parked if pair[1].id not in gone]
        waited = parked - len(self._parked) + (0 if queue is None else self._empty(queue))
        if waited:
            self.on_taken(-waited)
        if in_air:
            self.on_lost(in_air)
        if held.pages:
            self.on_pages_lost(held.pages)

    def _empty(self, queue: HostQueue) -> int:
        """Forget what waits of a host. Gives how many that were."""
        waiting = len(queue.inbox) + len(queue.outbox or ()) + len(queue.begun or ())
        queue.inbox, queue.outbox, queue.begun = [], None, None
        queue.pending -= waiting
        self._queued -= waiting
        if not queue.pending:
            del self._queues[queue.key]
        return waiting

    # What is committed.

    def cut(self) -> Changes:
        """All that is to be said now: what was found, what has ended, what is wanted, which hosts are let go."""
        now = self._clock()
        turns: defaultdict[int, list[tuple[Held, Turn]]] = defaultdict(list)
        touched, self._touched = self._touched, {}
        hosts = len(self.held)
        for held in touched:
            turn, stays = self._turn(held, now, hosts)
            if not stays:
                hosts -= 1
            if turn is not None:
                turns[held.shard].append((held, turn))
        return Changes(turns, self.found.cut())

    def release(self, holds: Iterable[Held]) -> Changes:
        """As `cut`, of hosts that are let go whatever they have left."""
        for held in holds:
            self._touched[held] = None
        self.is_leaving = True
        return self.cut()

    def _turn(self, held: Held, now: float, hosts: int) -> tuple[Turn | None, bool]:
        """What there is to say of a host, if anything, and whether it stays."""
        if held.is_leaving:
            return None, True
        turn = held.cut()
        left = len(held.entries)
        wants = 0
        if not self.is_leaving and hosts <= self.most_hosts and (held.given < TURN or not self.rotates):
            has_more = held.queued > 0 or held.host in self.found.hosts
            wants = URLS - left if has_more and left <= URLS // 2 else 0
        is_over = self.is_leaving or not (left or wants or held.unwritten)
        control = self.politeness.host(held.host, now)
        state = self._state(held, control, now, is_over=is_over)
        if state != held.state:
            held.state = state
            turn = turn._replace(state=state, delay=control.delay)
        if is_over:
            held.is_leaving = True
            return turn._replace(release=True, wait=max(0.0, control.next_start - now), delay=control.delay), False
        turn = turn._replace(wants=wants)
        said = turn.ended or turn.again or turn.moves or turn.pages or turn.wants or turn.state is not None
        return (turn if said else None), True

    def _state(self, held: Held, control: HostControl, now: float, *, is_over: bool) -> bytes:
        """What the next holder has to know."""
        if held.host == NO_HOST:
            return b""
        if is_over or not held.rules:
            held.rules = tuple(self.rules_of(held.host)) or held.rules
        return packed(State(control.learnt(now), self.is_typed(held.host), held.rules), self._epoch() + now)

    def committed(self, held: Held, turn: Turn, more: Sequence[Entry]) -> None:
        """The store has taken what was said of a host."""
        if held.is_lost:
            return
        if turn.release:
            self._release(held)
            return
        if turn.wants:
            held.queued = max(0, held.queued - len(more)) if len(more) == turn.wants else 0
            self.more(held, more)
        if not held.entries:
            self._touch(held)

    def _release(self, held: Held) -> None:
        self.drop(held)
        self.politeness.forget(held.host)
