"""The inputs of a crawl over many machines: one node reads them at a time, the others skip what has arrived.

Each line arrives at the shard of its host by the number that it has, so it counts once, whoever reads it again.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from crawler.engine.scope import Scope
from crawler.frontier.shared.claiming import Clock
from crawler.frontier.shared.contract import NO_HOST, Arrival, Asks, SharedStore, shard_of
from crawler.frontier.shared.entries import kept_line, uid
from crawler.models import Input
from crawler.seeds.feed import Feed
from crawler.seeds.inputs import LINE_LIMIT, TEXT_LIMIT, BadLine, Seed, bad, seed

BATCH: Final = 500
KEPT: Final = 10.0  # seconds
_SKIPPED_AT_ONCE: Final = 5_000
PUSHED: Final = "pushed"
"""The `source` of lines that other programs have pushed; their `line` is the number that they got."""


class Arriving:
    """Makes arrivals of seeds: `request` gives the key and the bytes of one. A shared `scope` is around them."""

    def __init__(self, request: Callable[[Seed], tuple[bytes, bytes]], scope: Scope | None = None) -> None:
        self._request = request
        self._scope = scope

    def places(self, seeds: Iterable[Seed | BadLine]) -> list[str]:
        """Where they are: what the store has to know before they arrive."""
        if self._scope is None:
            return []
        typed = (seed for seed in seeds if isinstance(seed, Seed) and seed.input.parent is None)
        return list(dict.fromkeys(self._scope.place(seed.url) for seed in typed))

    def of(self, seed: Seed | BadLine, *what: object) -> Arrival:
        """`what` is the same when the same arrives again, and else another."""
        name = uid(*what)
        if isinstance(seed, BadLine):
            return Arrival(NO_HOST, None, kept_line(seed), name)
        key, data = self._request(seed)
        return Arrival(seed.url.host_key, key, data, name)


def by_shard(arrivals: Iterable[Arrival]) -> list[tuple[int, list[Arrival]]]:
    shards: defaultdict[int, list[Arrival]] = defaultdict(list)
    for arrival in arrivals:
        shards[shard_of(arrival.host)].append(arrival)
    return list(shards.items())


class NodeFeed:
    """What a node's admission reads: nothing. All comes from the store; `exhausted` when the whole crawl has ended."""

    def __init__(self) -> None:
        self.exhausted = False
        self.on_ready: Callable[[], None] = lambda: None

    def take(self) -> Seed | BadLine | None:
        return None

    def close(self) -> None:
        self.exhausted = True


class Reading:
    """Reads `feed` while this node is the one that reads.

    `on_heard` hears of the shards to which something came, `on_error` of what ends the node.

    A store that comes back without its last second has fewer lines than were said: those of the last KEPT seconds are
    here still, to be said again. So who has read all stays ready (`resume`) until the whole crawl has ended.
    """

    def __init__(
        self,
        feed: Feed,
        arriving: Arriving,
        *,
        asks: Asks,
        clock: Clock,
        node: str,
        ttl: float,
    ) -> None:
        self.on_heard: Callable[[list[int]], None] = lambda _: None
        self.on_error: Callable[[BaseException], None] = lambda _: None
        self.is_exhausted = False
        self._feed = feed
        self._arriving = arriving
        self._asks = asks
        self._clock = clock
        self._node = node
        self._ttl = ttl
        self._following = 0  # the number of the next line of the feed
        self._first = 0  # those before have arrived
        self._reads = False
        self._leased = 0.0
        self._busy = False
        self._closed = False
        self._timer: IDelayedCall | None = None
        self._ahead: Seed | BadLine | None = None
        self._sent: deque[_Sent] = deque()

    def start(self) -> None:
        """Take one's turn, where there is anything to read: who has no inputs has not come to their end."""
        feed = self._feed
        if self._closed:
            return
        self._ahead = feed.take()
        if self._ahead is not None:
            feed.on_ready = self._go_on
            self._lease()
        elif not feed.exhausted:
            feed.on_ready = self.start

    def close(self) -> None:
        """Read no further."""
        self._closed = True
        self._rest()
        self._feed.close()

    def doubt(self) -> None:
        """The store may have lost what it got last: ask anew how far the inputs have arrived."""
        if self._reads:
            self._reads = False
            self._later(0.0)

    def resume(self) -> None:
        """Not all lines are there, it is said."""
        if self.is_exhausted:
            self.is_exhausted = False
            self._lease()

    def _rest(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _lease(self) -> None:
        if self._closed or self._busy:
            return
        self._busy = True
        self._leased = self._clock.seconds()
        asked = self._asks.ask(lambda store: store.lease_seeds(self._node, self._ttl))
        asked.addCallback(self._may_read).addErrback(self._failed)

    def _may_read(self, number: int | None) -> None:
        self._busy = False
        self._reads = number is not None and number >= 0
        if number is None:
            self._later(self._ttl / 4)
        elif number < 0:
            self._exhausted()
        else:
            self._first = number
            self._go_on()

    def _exhausted(self) -> None:
        self.is_exhausted = True
        self._rest()

    def _go_on(self) -> None:
        """Read the next lines, as far as they are there."""
        feed = self._feed
        if self._busy or self._closed or not self._reads:
            return
        if self._first < self._following:
            self._say_again()
            return
        batch: list[Arrival] = []
        seeds: list[Seed | BadLine] = []
        first = self._following
        try:
            for _ in range(_SKIPPED_AT_ONCE):
                seed, self._ahead = self._ahead or feed.take(), None
                if seed is None:
                    break
                number = self._following
                self._following += 1
                if number >= self._first:
                    seeds.append(seed)
                    batch.append(self._arriving.of(seed, "seed", number))
                    if len(batch) == BATCH:
                        break
        except Exception as error:  # what the caller's own iterator raised
            self.on_error(error)
            return
        if batch or feed.exhausted:
            self._send(_Sent(first, self._following, batch, self._arriving.places(seeds)), is_last=feed.exhausted)
        elif self._following < self._first:
            self._later(0.0)
        else:
            self._later(self._ttl / 3)  # it may be long until there is more: to stay who reads

    def _say_again(self) -> None:
        """Lines that were read here have not arrived after all. If they are not here any more, others have to read."""
        sent = next((sent for sent in self._sent if sent.first <= self._first < sent.following), None)
        if sent is None:
            self._reads = False
            return
        is_last = sent.following == self._following and self._ahead is None and self._feed.exhausted
        self._send(sent, is_last=is_last)

    def _send(self, sent: _Sent, *, is_last: bool) -> None:
        self._busy = True
        self._first = sent.following
        arrival = _Arrival(sent, self._node, is_last=is_last)
        self._asks.ask(arrival).addCallback(self._arrived, sent, is_last).addErrback(self._failed)

    def _arrived(self, arrival: _Arrival, sent: _Sent, is_last: bool) -> None:
        self._busy = False
        self._keep(sent)
        self.on_heard(arrival.heard)
        if arrival.is_counted and is_last:
            self._exhausted()
        elif not arrival.is_counted or self._clock.seconds() - self._leased > self._ttl / 3:
            self._reads = False
            self._lease()
        else:
            self._go_on()

    def _keep(self, sent: _Sent) -> None:
        """Until a server has certainly written it to its disk."""
        sent.since = self._clock.seconds()
        if sent.arrivals and sent not in self._sent:
            self._sent.append(sent)
        while self._sent and self._sent[0].since < sent.since - KEPT:
            self._sent.popleft()

    def _later(self, seconds: float) -> None:
        if self._closed:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._clock.callLater(seconds, self._again)

    def _again(self) -> None:
        self._timer = None
        if self._reads and self._clock.seconds() - self._leased <= self._ttl / 4:
            self._go_on()
        else:
            self._lease()

    def _failed(self, failure: Failure) -> None:
        self._busy = False
        assert failure.value is not None
        self.on_error(failure.value)


class _Sent:
    """Lines of the feed from number `first` on, those before `following`; they have arrived at `since`."""

    def __init__(self, first: int, following: int, arrivals: Sequence[Arrival], places: Sequence[str]) -> None:
        self.first = first
        self.places = places
        self.following = following
        self.arrivals = arrivals
        self.since = 0.0


class _Arrival:
    """Lines arrive, and then it is said how far they are read. Gives itself."""

    def __init__(self, sent: _Sent, node: str, *, is_last: bool) -> None:
        self.heard: list[int] = []
        self.is_counted = False
        self._places = sent.places
        self._shards = by_shard(sent.arrivals)
        self._node = node
        self._following = sent.following
        self._is_last = is_last

    def __call__(self, store: SharedStore) -> _Arrival:
        if self._places:
            store.widen(self._places)
        for shard, arrivals in self._shards:  # all, when called again: see batch.py
            if store.arrive(shard, arrivals):
                self.heard.append(shard)
        self.is_counted = store.seeded(self._node, self._following, exhausted=self._is_last)
        return self


def bring(store: SharedStore, arrivals: Iterable[Arrival], places: Sequence[str]) -> list[int]:
    """Let them arrive, once it is known where they are. Gives the shards where something is new."""
    if places:
        store.widen(places)
    return [shard for shard, some in by_shard(arrivals) if store.arrive(shard, some)]


def take_pushed(store: SharedStore, arriving: Arriving, node: str, ttl: float, scheme: str | None) -> list[int]:
    """Bring lines that other programs have pushed to their shards. Gives the shards where something is new."""
    pushed = store.pushed(node, BATCH, ttl)
    if not pushed:
        return []
    seeds, arrivals = [], []
    for number, line in pushed:
        found = _of_line(line, Input(PUSHED, number), scheme)
        seeds.append(found)
        # With the line: a server that has lost its last second may give its number to another.
        arrivals.append(arriving.of(found, PUSHED, number, line))
    heard = bring(store, arrivals, arriving.places(seeds))
    store.pushed_arrived([number for number, _ in pushed])
    return heard


def _of_line(line: bytes, place: Input, scheme: str | None) -> Seed | BadLine:
    """As a line of a list, with its limit; but each has a record, also a blank one or a comment."""
    if len(line) > LINE_LIMIT:
        return bad(
            line[:TEXT_LIMIT].decode("utf-8", "replace"), place, f"the line is longer than {LINE_LIMIT // 1024} KiB"
        )
    return seed(line.decode("utf-8", "surrogateescape").strip(), place, scheme)
