"""The order in which a node keeps its promises: records to the part, what they lead to into its shards, then a commit
to each shard that says what has ended and how long the part is. See frontier/shared/contract.py.

Where a shard refuses, because a lease was over, nothing of what was to be said to it has happened: what is good of it
is written again, into a new part.

Where parts are objects, ends wait until a part is put (gathering.py). All else is committed meanwhile, by the name of
the part that comes, which has no bytes yet.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Generator
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred, fail, inlineCallbacks, maybeDeferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from crawler.errors import CodedError
from crawler.frontier.shared.claiming import Clock
from crawler.frontier.shared.contract import Asks, SharedStore, StoreRefusedError, Turn
from crawler.frontier.shared.finding import MOST
from crawler.frontier.shared.held import Changes, Held
from crawler.frontier.shared.leasing import SharedFrontier
from crawler.models import Record, Request, Response
from crawler.run.shared.batch import Batch, Written, is_bare, once, tell
from crawler.run.shared.gathering import Gathering, Put
from crawler.run.shared.part import Part
from crawler.sinks import Sink
from crawler.sinks.jsonl import Encode
from crawler.sinks.wanted import is_wanted

INTERVAL: Final = 0.4
HUNGRY: Final = 0.05  # the same where little is left to do: what is found has to come back
EVENTS: Final = 512
MAX_WAITING: Final = 10_000
_LEFT: Final = (
    "it gave no answer to this node, which has left: others fetch what was not committed when its leases are over"
)


class Sharing:
    """The sink of a node, around the sinks of who called it: `encode` makes lines of records for the part.

    `part` makes the next one by its number; `put` puts one where they are objects. `stop` is called when all is
    committed, before the hosts are let go, and `leave` says that to the store. With `omits_skips` skipped links have no
    record. `most_pages` may all nodes begin.

    `on_more` is called when there may be more to fetch; `on_heard` hears of shards to which something has come,
    `on_quiet` that all is committed, `on_error` what ends the node. The first error is final.
    """

    def __init__(
        self,
        sink: Sink,
        *,
        encode: Encode,
        asks: Asks,
        frontier: SharedFrontier,
        clock: Clock,
        node: str,
        part: Callable[[int], Part],
        put: Put | None = None,
        stop: Callable[[], None],
        leave: Callable[[SharedStore], None],
        omits_skips: bool,
        most_pages: int | None,
    ) -> None:
        self.on_heard: Callable[[list[int]], None] = lambda _: None
        self.on_error: Callable[[BaseException], None] = lambda _: None
        self.on_more: Callable[[], None] = lambda: None
        self.on_quiet: Callable[[], None] = lambda: None
        self._sink = sink
        self._encode = encode
        self._asks = asks
        self._frontier = frontier
        self._clock = clock
        self._node = node
        self._make = part
        self._stop = stop
        self._leave = leave
        self._omits_skips = omits_skips
        self._most_pages = most_pages or 0
        self._parts = 1
        self.part = part(1)
        self._lines: list[Written] = []
        self._busy = False
        self._asking = False  # the store, for what was flushed or is let go
        self._overdue = False
        self._timer: IDelayedCall | None = None
        self._waiting: list[Deferred[None]] = []
        self._begins: list[tuple[Request, Deferred[bool]]] = []
        self._taking: list[tuple[Request, Deferred[bool]]] = []
        self._begun: list[Deferred[bool]] = []  # with the next commit
        self._beginning: list[Deferred[bool]] = []  # with the one that is on its way
        self._pages = 0  # that this node has begun
        self._error: BaseException | None = None
        self._gathering: Gathering | None = None
        if put is not None:
            self._gathering = Gathering(put, name=lambda: self.part.name, frontier=frontier, clock=clock)
            self._gathering.on_put, self._gathering.on_error = self.commit, self._failed
        frontier.on_change = self._arm
        frontier.on_pages_lost = self._pages_lost

    @property
    def is_quiet(self) -> bool:
        """Whether all that has happened is committed."""
        gathers = self._gathering is not None and self._gathering.is_busy
        return not (self._busy or self._timer or self._lines or self._begins or self._taking or gathers)

    def write(self, record: Record, response: Response | None, sequence: int) -> Deferred[None] | None:
        if self._error is not None:
            return fail(self._error)
        held = self._frontier.ended(sequence, record.ending)
        if held is None:
            return None  # its lease was over: somebody else writes it
        if self._omits_skips and not is_wanted(record):
            return None
        ended = None if self._gathering is None else held.hold_back()
        wait = self._sink.write(record, response, sequence)
        if wait is not None:
            wait.addErrback(self._failed)
        if self._gathering is not None:
            more = self._gathering.add(Written(held, self._encode(record, sequence), ended))
            return wait or more
        self._lines.append(Written(held, self._encode(record, sequence)))
        if len(self._lines) >= EVENTS and not self._busy:
            self._cut()
        if wait is not None or len(self._lines) < MAX_WAITING:
            return wait
        waiter: Deferred[None] = Deferred()  # no canceller: what was taken is committed; who cancels only stops waiting
        self._waiting.append(waiter)
        return waiter

    def begin(self, request: Request) -> Deferred[bool]:
        """Fires when it is kept that this URL is begun, with False where there are no pages left."""
        begun: Deferred[bool] = Deferred()  # no canceller: it is kept all the same
        self._begins.append((request, begun))
        if not self._taking:
            self._take_pages()
        return begun

    def _take_pages(self) -> None:
        self._taking, self._begins = self._begins, []
        total, limit = self._pages + len(self._taking), self._most_pages
        asked = self._asks.ask(lambda store: store.take_pages(self._node, total, limit))
        asked.addCallback(self._taken).addErrback(self._failed)

    def _taken(self, total: int) -> None:
        """So many pages may this node begin in all: those that are begun now are so with the next commit."""
        taking, self._taking = self._taking, []
        refused = []
        for request, begun in taking:
            if self._pages < total and self._frontier.begun(request) is not None:
                self._pages += 1
                self._begun.append(begun)
            else:
                refused.append(begun)
        if self._begun:
            self.commit()
        tell(refused, False)
        if self._begins:
            self._take_pages()

    def _pages_lost(self, pages: int) -> None:
        """The leases of so many that were begun here are over: whoever has them now begins them."""
        self._pages -= pages
        total = self._pages + len(self._taking)
        if pages and self._error is None:
            self._asks.ask(lambda store: store.give_pages(self._node, total)).addErrback(self._failed)

    def commit(self) -> None:
        """As soon as can be."""
        if self._busy:
            self._overdue = True
        else:
            self._cut()

    @inlineCallbacks
    def flush(self) -> Generator[Deferred[Any], Any, None]:
        """Commit everything taken so far."""
        while self._error is None and not self.is_quiet:
            waiter: Deferred[None] = Deferred()
            self._waiting.append(waiter)
            if self._gathering is not None:
                self._gathering.begin()
            if self._gathering is None or not self._gathering.is_putting:
                self.commit()
            yield waiter
        if self._error is not None:
            raise self._error

    @inlineCallbacks
    def close(self) -> Generator[Deferred[Any], Any, None]:
        """Commit everything, let go of all hosts, close the sinks. Cancelling leaves that to the leases' end."""
        try:
            try:
                yield self.flush()
                self._stop()
                yield self._let_go()
            except CancelledError:
                if not self._asking:
                    raise
                raise CodedError("frontier_refused", _LEFT) from None
            finally:
                self._stop()
                self._asks.close()
                self.part.close()
                if self._gathering is not None:
                    self._gathering.close()
                if self._timer is not None:
                    self._timer.cancel()
                    self._timer = None
                if self._error is None:
                    self._error = CodedError("write_error", "the node has left")
        finally:
            yield maybeDeferred(self._sink.close)

    @inlineCallbacks
    def _let_go(self) -> Generator[Deferred[Any], Any, None]:
        changes = self._frontier.release(list(self._frontier.held.values()))
        if changes.turns or changes.links:
            self._send(changes, [])
            yield self.flush()
        self._asking = True
        try:
            yield self._asks.ask(self._leave)
        except StoreRefusedError as error:
            raise CodedError("frontier_refused", str(error)) from None

    # Batches.

    def _arm(self) -> None:
        if self._timer is None and self._error is None:
            is_hungry = self._frontier.counts().queued < self._frontier.low
            self._timer = self._clock.callLater(HUNGRY if is_hungry else INTERVAL, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.commit()

    def _cut(self) -> None:
        """Send what has happened up to now on its way to the store."""
        if self._error is not None:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._overdue = False
        if self._gathering is not None and self._gathering.is_there:
            self._end(self._gathering)
            return
        lines, self._lines = self._lines, []
        self._beginning, self._begun = self._begun, []
        self._send(self._frontier.cut(), lines)

    def _send(self, changes: Changes, lines: list[Written]) -> None:
        self._busy = True
        flushed = maybeDeferred(self._sink.flush)
        flushed.addCallback(lambda _: self._ask(changes, lines)).addErrback(self._failed)

    def _ask(self, changes: Changes, lines: list[Written]) -> None:
        # What was lost since: neither the record nor that it has ended.
        said_of = [pair for said in changes.turns.values() for pair in said]
        self._pages_lost(sum(turn.pages for held, turn in said_of if held.is_lost))
        turns = {
            shard: good
            for shard, said in changes.turns.items()
            if (good := [(held, turn) for held, turn in said if not held.is_lost or is_bare(turn)])
        }
        good_lines = [line for line in lines if not line.held.is_lost]
        batch = Batch(self.part, Changes(turns, changes.links), good_lines, self._node)
        self._asking = True
        self._asks.ask(batch).addCallback(self._done).addErrback(self._failed)

    def _done(self, batch: Batch) -> None:
        self._asking = False
        frontier = self._frontier
        for held, turn, more in batch.committed:
            frontier.committed(held, turn, more)
        if batch.committed:
            self.on_more()
        if batch.heard:
            self.on_heard(batch.heard)
        if batch.refused:
            self._again(batch)
            return
        self._go_on()

    def _go_on(self) -> None:
        frontier = self._frontier
        self._busy = False
        waiting, self._waiting = self._waiting, []
        tell(waiting, None)
        frontier.expire(self._clock.seconds())  # who has waited for this is not asked for beyond its lease
        beginning, self._beginning = self._beginning, []
        tell(beginning, True)
        if not self._busy and (self._overdue or len(self._lines) >= EVENTS or len(frontier.found) > MOST):
            self._cut()
        elif not self._busy:
            self.on_quiet()

    def _again(self, batch: Batch) -> None:
        """Shards have refused: what was lost is forgotten, the rest goes into a new part."""
        turns = self._good_of(batch)
        if self._gathering is None or any(answer.forgotten for _, _, answer in batch.refused):
            self._begin_part()
        lines = [line for line in batch.lines if line.held.shard in turns and not line.held.is_lost]
        self._ask(Changes(turns, {}), lines)

    def _good_of(self, batch: Batch) -> dict[int, list[tuple[Held, Turn]]]:
        """What shards have refused though it is good. What was lost is forgotten."""
        turns: defaultdict[int, list[tuple[Held, Turn]]] = defaultdict(list)
        for shard, said, answer in batch.refused:
            lost = {held.host for held, turn in said if not is_bare(turn)} if answer.forgotten else set(answer.lost)
            if answer.forgotten:
                for held in list(self._frontier.held.values()):
                    turns[held.shard].append((held, self._given_up(held)))
                self._frontier.found.doubt()
            for held, turn in said:
                if held.host in lost:
                    self._pages_lost(turn.pages)
                    self._frontier.drop(held)
            good = [(held, turn) for held, turn in said if held.host not in lost]
            if good:
                turns[shard] += good
        return {shard: once(said) for shard, said in turns.items()}

    def _begin_part(self) -> None:
        self.part.close()
        self._parts += 1
        self.part = self._make(self._parts).following(self.part)

    # Parts that are objects.

    def _end(self, gathering: Gathering) -> None:
        """The part is there: its URLs end. All else is said right after."""
        self._busy = self._overdue = True
        flushed = maybeDeferred(self._sink.flush)
        flushed.addCallback(lambda _: self._ask_to_end(gathering)).addErrback(self._failed)

    def _ask_to_end(self, gathering: Gathering) -> None:
        self.part.size = gathering.size
        changes = Changes(gathering.ends(), self._frontier.found.cut())
        batch = Batch(self.part, changes, [], self._node)
        self._asking = True
        self._asks.ask(batch).addCallback(self._have_ended, gathering).addErrback(self._failed)

    def _have_ended(self, batch: Batch, gathering: Gathering) -> None:
        self._asking = False
        good = self._good_of(batch)  # what ends is in the next part
        given_up = {shard: [pair for pair in said if is_bare(pair[1])] for shard, said in good.items()}
        self._begin_part()
        gathering.over({held for held, _, _ in batch.committed})
        for held, turn, more in batch.committed:
            self._frontier.committed(held, turn, more)
        if batch.heard:
            self.on_heard(batch.heard)
        self._ask(Changes({shard: said for shard, said in given_up.items() if said}, {}), [])

    def _given_up(self, held: Held) -> Turn:
        """The store may know of other URLs by the same token: what it has of them is queued again, at once."""
        self._frontier.drop(held)
        now = self._clock.seconds()
        control = self._frontier.politeness.host(held.host, now)
        wait = max(control.delay, control.next_start - now)  # something may just have left
        return Turn(held.host, held.token, release=True, wait=wait, delay=control.delay)

    def _failed(self, failure: Failure) -> None:
        if failure.check(CancelledError) and self._error is not None:
            return
        assert failure.value is not None
        error: BaseException = failure.value
        if isinstance(error, StoreRefusedError):
            error = CodedError("frontier_refused", str(error))
        if self._error is None:
            self._error = error
        self._busy = False
        if self._gathering is not None:
            self._gathering.close()
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.called:
                waiter.errback(self._error)
        self.on_error(self._error)
