"""A node: one of several processes that work on a crawl whose frontier is in a store that all share.

It is to its run what a job is to another: it has the frontier and the sink, and reads the inputs. It joins at any time
and leaves at any time; what it had not committed is then somebody else's.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

from crawler.config.config import Config
from crawler.engine.admission import Admission
from crawler.engine.loop import Crawl
from crawler.engine.scope import Scope
from crawler.errors import CodedError
from crawler.fetch.connect.dial import Dial
from crawler.fetch.typed import Typed
from crawler.frontier.shared.asking import Asking
from crawler.frontier.shared.claiming import TTL, Claiming
from crawler.frontier.shared.contract import Asks, Counts, SharedStore, StoreRefusedError
from crawler.frontier.shared.entries import kept
from crawler.frontier.shared.leasing import SharedFrontier
from crawler.models import Ask, Request
from crawler.objects.address import is_object
from crawler.politeness.controller import Politeness
from crawler.robots.policy import Robots
from crawler.run.shared.committing import Sharing
from crawler.run.shared.ending import has_ended
from crawler.run.shared.opening import opened
from crawler.run.shared.part import ObjectParts, Part
from crawler.run.shared.reading import Arriving, NodeFeed, Reading, bring, take_pushed
from crawler.run.shared.spilling import SEGMENTS, Spilling
from crawler.run.shared.telling import Telling
from crawler.run.shared.watching import Watching
from crawler.run.shared.widening import WAIT, SharedScope, Widening
from crawler.seeds.feed import Feed
from crawler.seeds.inputs import BadLine, Seed, requested
from crawler.sinks import Sink
from crawler.sinks.jsonl import RecordLine
from crawler.urls import Url

PARTS: Final = "parts"
LOOK: Final = 0.5
_HOSTS_EACH: Final = 4
_MOST_HOSTS: Final = 5_000


class Node:
    """The node of this process. `request` makes the request of a seed, `asks` asks the store.

    `open` comes first, then `feed`, `sink`, and `start` when all is put together. It ends itself as the sink is closed.
    """

    def __init__(
        self,
        config: Config,
        *,
        asks: Asks,
        reactor: Any,
        politeness: Politeness,
        key: Callable[[Url], bytes],
        typed: Typed,
        scope: Scope | None = None,
        concurrency: int,
        name: str | None = None,
        ttl: float = TTL,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.name = name or node_name()
        self.feed_of_all = NodeFeed()
        self.ended: Counts | None = None  # the books of the whole crawl, once all of it has ended
        self._config = config
        self._scope = scope if isinstance(scope, SharedScope) else None
        self._asks = asks if self._scope is None else Widening(asks, self._scope)
        self._reactor = reactor
        self._typed = typed
        self._concurrency = concurrency
        self._ttl = ttl
        self._wall = wall
        self.frontier = SharedFrontier(politeness, key, epoch=self._epoch, clock=reactor.seconds)
        self.frontier.low = 2 * concurrency
        self._claiming = Claiming(
            asks=self._asks,
            frontier=self.frontier,
            node=self.name,
            clock=reactor,
            hosts=min(_MOST_HOSTS, max(16, _HOSTS_EACH * concurrency)),
            ttl=ttl,
        )
        always = bool(config.dashboard or config.console or config.metrics or config.stats)
        crawl_id = config.crawl_id or ""
        self.watching = Watching(asks=asks, clock=reactor, name=crawl_id, node=self.name, always=always)
        self._reading: Reading | None = None
        self._arriving: Arriving
        self._sharing: Sharing | None = None
        self._spilling: Spilling | None = None
        self._crawl: Crawl | None = None
        self._admission: Admission | None = None
        self._telling: Telling | None = None
        self._waiting: IDelayedCall | None = None  # for the inputs
        self._looking = False
        self._looked = 0.0
        self._error: BaseException | None = None

    def _epoch(self) -> float:
        now: float = self._reactor.seconds()
        return self._wall() - now

    # Before the crawl.

    def open(self) -> Deferred[None]:
        """Begin the crawl, or find it. Fails with ConfigError, also where it has other options."""
        return opened(self._asks, self._config, self._reactor)

    def feed(self, feed: Feed, ask: Ask | None) -> Feed:
        """Read this, when it is this node's turn; each with `ask`. Gives what the admission reads."""

        def made(seed: Seed) -> tuple[bytes, bytes]:
            of = requested(seed, 0, self._reactor.seconds(), self._config.method, ask)
            return self.frontier.key_of(of), kept(of, self._epoch())

        self._arriving = Arriving(made, self._scope)
        self._reading = Reading(
            feed, self._arriving, asks=self._asks, clock=self._reactor, node=self.name, ttl=self._ttl
        )
        return self.feed_of_all

    def sink(self, sink: Sink) -> Sink:
        """The sink that keeps what this crawl promises; who called this run has `sink`."""
        config = self._config
        places = (*config.output, *config.overwrite_output)
        folder, put = None, None
        if places and is_object(places[0]):
            put = ObjectParts(f"{places[0]}{PARTS}/", self._reactor).put
        elif places:
            folder = os.path.join(places[0], PARTS)  # noqa: PTH118
            segments = os.path.join(places[0], SEGMENTS)  # noqa: PTH118
            own = {"asks": self._asks, "clock": self._reactor, "node": self.name, "ttl": self._ttl}
            self._spilling = Spilling(segments, **own)
        self._sharing = Sharing(
            sink,
            encode=RecordLine(config.fields),
            omits_skips=config.omits_skips,
            most_pages=config.max_pages,
            asks=self._asks,
            frontier=self.frontier,
            clock=self._reactor,
            node=self.name,
            part=lambda number: Part(folder, f"{self.name}-{number}", durable=config.durable),
            put=put,
            stop=self._stop,
            leave=lambda store: store.leave(self.name),
        )
        return self._sharing

    def pages(self) -> tuple[None, set[int]]:
        """As of a job: how many were begun is what the store knows."""
        return None, set()

    def begin(self, request: Request) -> Deferred[bool]:
        """Count that a URL is about to be asked for (--max-pages). Fires with False where there are no more."""
        assert self._sharing is not None
        return self._sharing.begin(request)

    def careful(self, dial: Dial) -> Dial:
        """Dial so that nothing is asked over a connection that came when a lease was over: the process was held up."""

        def give_up(protocol: Any, _: object) -> None:
            if protocol.transport is not None:
                protocol.transport.abortConnection()

        def connected(result: Any, protocol: Protocol) -> Any:
            if self._reactor.seconds() < self.frontier.first_deadline:
                return result
            # In the next turn, for what is cancelled by that may be what waits for this.
            waits: Deferred[Any] = Deferred(partial(give_up, protocol))
            self._reactor.callLater(0, lambda: self.frontier.expire(self._reactor.seconds()))
            self._reactor.callLater(0, lambda: None if waits.called else waits.callback(result))
            return waits

        def careful(address: str, port: int, protocol: Protocol, own: str = "") -> Deferred[Any]:
            dialled = dial(address, port, protocol, own) if own else dial(address, port, protocol)
            return dialled.addCallback(connected, protocol)

        return careful

    # The crawl.

    def start(self, crawl: Crawl, admission: Admission, robots: Robots | None) -> None:
        """Begin to claim hosts, and to read inputs."""
        assert self._sharing is not None
        assert self._reading is not None
        self._crawl, self._admission = crawl, admission
        admission.accept_seed = self._accept_typed
        frontier, claiming, reading, sharing = self.frontier, self._claiming, self._reading, self._sharing
        frontier.on_taken = self._taken
        frontier.on_lost = self._lost
        frontier.on_begun, frontier.is_begun = crawl.gate.has_begun, crawl.gate.is_begun
        frontier.on_typed = self._typed.add
        frontier.is_typed = self._typed.has_typed
        frontier.owe = admission.owe
        if robots is not None:
            frontier.rules_of, frontier.on_rules = robots.carried, robots.carry
        frontier.ask_lead = self._lead
        self._asks.on_doubt = self._doubt
        claiming.on_claimed = crawl.wake
        claiming.on_idle = self._look
        self._sharing.on_more = crawl.wake
        self._sharing.on_quiet = self._quiet
        self._sharing.on_heard = reading.on_heard = self._heard
        claiming.on_error = reading.on_error = self._sharing.on_error = self.watching.on_error = self._fail
        if self._spilling is not None:
            self._spilling.on_heard, self._spilling.on_error = self._claiming.heard, self._fail
            self._spilling.start()
        self._telling = Telling(
            self.name,
            asks=self._asks,
            frontier=frontier,
            clock=self._reactor,
            ttl=self._ttl,
            concurrency=self._concurrency,
            since=self._wall(),
            part=lambda: sharing.part.name,
            take=self._take_pushed,
        )
        self._telling.on_heard, self._telling.on_error = self._heard, self._fail
        self._telling.on_told = self.watching.told
        self._telling.start()
        if self._scope is None:
            claiming.start()
        else:
            self._wait_for_inputs()
        reading.start()

    def _wait_for_inputs(self) -> None:
        """Claim nothing before all inputs are read: until then links to some of them would be out of scope."""
        self._waiting = None
        asked = self._asks.ask(lambda store: store.lease_seeds(self.name, 0.0))
        asked.addCallback(self._are_read).addErrback(self._failed)

    def _are_read(self, number: int | None) -> None:
        if self._claiming.closed:
            return  # the node has left meanwhile
        if number == -1:
            self._claiming.start()
        else:
            self._waiting = self._reactor.callLater(WAIT, self._wait_for_inputs)

    def _taken(self, number: int) -> None:
        assert self._admission is not None
        assert self._crawl is not None
        self._admission.pending += number
        if number < 0:
            self._crawl.wake()

    def _accept_typed(self, seed: Seed | BadLine, now: float) -> None:  # noqa: ARG002 - when it is claimed counts
        """Somebody has typed this into a console: it arrives as all else does; who claims it writes its record."""
        arrival = self._arriving.of(seed, "typed", secrets.randbits(64))
        places = self._arriving.places([seed])
        self._asks.ask(lambda store: bring(store, [arrival], places)).addCallback(self._heard).addErrback(self._failed)

    def _lead(self, shard: int, key: bytes, uid: bytes) -> Deferred[bool]:
        return self._asks.ask(lambda store: store.lead(shard, key, uid)).addErrback(_in_words)

    def _lost(self, numbers: list[int]) -> None:
        assert self._crawl is not None
        self._crawl.let_go(numbers)

    def _doubt(self) -> None:
        """The store could not be asked: it may have lost its last second."""
        self.frontier.found.doubt()
        assert self._admission is not None
        self._admission.doubt()
        assert self._reading is not None
        self._reading.doubt()

    def _heard(self, shards: list[int]) -> None:
        self._claiming.heard(shards)
        if self._spilling is not None:
            self._spilling.heard(shards)

    def _failed(self, failure: Failure) -> None:
        assert failure.value is not None
        self._fail(failure.value)

    def _fail(self, error: BaseException) -> None:
        assert self._crawl is not None
        if isinstance(error, StoreRefusedError):
            error = CodedError("frontier_refused", str(error))
        if self._error is None:
            self._error = error
            self._crawl.fail(error)

    def _stop(self) -> None:
        """Claim and read nothing more: the node leaves."""
        self._claiming.stop()
        if self._spilling is not None:
            self._spilling.stop()
        if self._reading is not None:
            self._reading.close()
        if self._telling is not None:
            self._telling.stop()
            self.watching.end()
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _take_pushed(self, store: SharedStore) -> list[int]:
        scheme = None if self._config.default_scheme == "none" else self._config.default_scheme
        return take_pushed(store, self._arriving, self.name, self._ttl, scheme)

    # The end.

    def _quiet(self) -> None:
        """All is committed."""
        if not self.frontier.held:
            self._claiming.nothing_left()
            self._look()

    def _look(self) -> None:
        """Look whether all has ended, if this node has nothing to do."""
        if self.frontier.held or self._looking or self._sharing is None or not self._sharing.is_quiet:
            return
        now = self._reactor.seconds()
        if now - self._looked < LOOK and self._looked:
            return
        self._looked, self._looking = now, True

        def look(store: SharedStore) -> tuple[Counts | None, list[int]]:
            heard = self._take_pushed(store)
            return (None, heard) if heard else has_ended(store, self.name)

        self._asks.ask(look).addCallback(self._seen).addErrback(self._failed)

    def _seen(self, seen: tuple[Counts | None, list[int]]) -> None:
        assert self._reading is not None
        self._looking = False
        self.ended, heard = seen
        if self.ended is None:
            self._reading.resume()
        else:
            self.feed_of_all.exhausted = True
            self._claiming.close()
            self.feed_of_all.on_ready()
            return
        if self._spilling is not None:
            self._spilling.look_everywhere()
        self._heard(heard)


def _in_words(failure: Failure) -> Failure:
    """What ends a node, as a code."""
    refused = failure.check(StoreRefusedError)
    return failure if refused is None else Failure(CodedError("frontier_refused", str(failure.value)))


def node_name() -> str:
    """The name of a node: of its machine, its process, and some letters that make it the only one."""
    machine = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in socket.gethostname())[:40]
    return f"{machine or 'node'}-{os.getpid()}-{secrets.token_hex(3)}"


def open_node(config: Config, *, asks: Asks | None, resources: ExitStack, reactor: Any, **parts: Any) -> Node:
    """The node of this process; without `asks` it asks the store of --frontier."""
    if asks is None:
        from crawler.frontier.shared.redis import RedisStore

        assert config.frontier is not None
        assert config.crawl_id is not None
        asks = Asking(RedisStore(config.frontier.reveal(), config.crawl_id), reactor)
    resources.callback(asks.close)
    return Node(config, asks=asks, reactor=reactor, ttl=config.lease, **parts)
