"""What a worker does: fetches what it is told to, reads it as far as that can be done without knowing the run.

It is run by its parent, with one end of a socket, and ends as soon as the other end is gone.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
import socket
import time
from collections.abc import Generator, Mapping
from contextlib import ExitStack, suppress
from functools import lru_cache, partial
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred, inlineCallbacks
from twisted.logger import Logger
from twisted.python.failure import Failure

from crawler.config.addresses import pinned
from crawler.config.hosts import Hosts
from crawler.engine.reading import PageReader, Prepared, make_reader
from crawler.errors import CodedError, StaleConnection
from crawler.fetch.connect.chosen.pins import Pins
from crawler.fetch.connect.dial import Dial
from crawler.fetch.fetcher import Fetcher
from crawler.fetch.saving.scratch import PREFIX, Scratch
from crawler.fetch.saving.spool import Disk
from crawler.fetch.saving.spools import Spools
from crawler.fetch.typed import Typed
from crawler.models import Request, Response, Timings
from crawler.page.discovery import is_text
from crawler.page.parsing.resident import resident_meter
from crawler.run.access.routing import make_routing
from crawler.run.network import Network, Ways
from crawler.run.outputs import accept_of
from crawler.run.reactors import private_reactor, run
from crawler.run.workers.channel import Channel, say
from crawler.run.workers.frames import Cancel, Claim, Done, GoOn, Health, Hello, Sent, Start, decode_to_worker, done
from crawler.run.workers.rate import FarThrottle
from crawler.run.workers.tapes import Tapes, taped

_HEALTH_SECONDS: Final = 1.0


class Worker:
    """Answers the claims that come through a socket. `over` fires when there is nobody any more who has some."""

    def __init__(self, reactor: Any, dial: Dial, end: socket.socket) -> None:
        self.over: Deferred[None] = Deferred()
        self._reactor = reactor
        self._dial = dial
        self._flights: dict[int, Deferred[Any]] = {}
        self._public_only = False  # of what is just being fetched
        self._network: Network | None = None
        self._ways: Ways | None = None
        self._reader: PageReader | None = None
        self._resident = resident_meter()
        self._log = Logger()
        self._spools: Spools | None = None
        self._far: FarThrottle | None = None
        self._tapes: Tapes | None = None
        self._resources = ExitStack()  # the file of a spider, as long as its functions are called
        self._channel = Channel(reactor, end, received=self._received, lost=self._end)

    def _received(self, frame: bytes) -> None:
        for message in decode_to_worker(frame):
            if isinstance(message, Claim):
                self._claimed(message)
            elif isinstance(message, Cancel):
                flight = self._flights.pop(message.ticket, None)
                if flight is not None:
                    flight.cancel()
            elif isinstance(message, GoOn):
                if self._far is not None:
                    self._far.go_on(message.flight)
            else:
                self._begin(message)

    def _begin(self, start: Start) -> None:
        config, reactor = start.config, self._reactor
        self._wants_bodies = start.wants_bodies
        self._gives = start.gives
        hosts = Hosts(config.hosts) if config.hosts else None
        pins = Pins(map(pinned, config.resolve)) if config.resolve else None
        self._typed = Typed(allow_private=config.allow_private, pinned=None if pins is None else pins.named)
        self._ways = Ways(config, self._dial, hosts=hosts, typed=self._typed)
        if config.limit_rate is not None:
            self._far = FarThrottle(self._channel.put)
        if start.tapes is not None:
            self._tapes = Tapes(start.tapes)
        if start.scratch is not None:
            folder, name = os.path.split(start.scratch)
            scratch = Scratch(folder, name.removeprefix(PREFIX))
            reads = None if start.parses is None else partial(_is_read, parses=start.parses)
            self._spools = Spools(scratch, Disk(reactor), reads=reads, keeps=start.keeps)
        self._network = network = Network(
            config,
            reactor=reactor,
            ways=self._ways,
            typed=self._typed,
            own_ports=frozenset(start.own_ports),
            routes=make_routing(config, os.environ, now=reactor.seconds, hosts=hosts).routes,
            hosts=hosts,
            pins=pins,
            throttle=self._far,
            spools=self._spools,
            accept=accept_of(config) if config.accept else None,
            archive=self._tapes,
            public_only=lambda _: self._public_only,
        )
        network.budget.limit = start.max_memory
        network.budget.enough = start.max_memory // 2
        self._fetcher: Fetcher = network.fetcher(config.max_size)
        self._partial: Fetcher = network.robots_fetcher()
        reads_any = config.recursive or config.declarations or config.extract_all or config.gathers_facts
        if reads_any or start.functions is not None:
            self._reader = self._make_reader(start)
        self._tell_health()

    def _make_reader(self, start: Start) -> PageReader:
        callbacks = None
        if start.functions is not None:
            from crawler.spiders.elsewhere import imported, why_here

            try:
                callbacks = imported(start.functions, self._resources)
            except BaseException as error:  # whatever a module does: the run calls its functions itself
                self._log.failure("a worker cannot import the parse function: {error}", error=error)
        if callbacks is None:
            return make_reader(start.config, self._reactor, processes=1)
        may = lru_cache(1024)(lambda function: why_here(function) is None)
        return make_reader(start.config, self._reactor, callbacks=callbacks, may=may, processes=1)

    def _claimed(self, claim: Claim) -> None:
        request = claim.request
        if claim.until is not None and self._reactor.seconds() >= claim.until:
            self._channel.put(Done(claim.ticket, _failed(_too_late()), left=claim.left))
            return
        if claim.typed:
            self._typed.learn(request.url, claim.inside)
        self._public_only = claim.public_only
        on_sent = partial(self._channel.put, Sent(claim.ticket)) if claim.tells else None
        fetcher = self._partial if claim.partial else self._fetcher
        if claim.left is not None and self._spools is not None:
            self._spools.take(request.id, claim.left)
        flight: Deferred[Any] = fetcher.fetch(request, on_sent, fresh=claim.fresh, head=claim.head)
        self._flights[claim.ticket] = flight
        flight.addCallback(self._answered, claim).addErrback(self._failed, claim)

    def _answered(self, response: Response, claim: Claim) -> Deferred[None] | None:
        if self._tapes is not None:
            self._tapes.keep(claim.ticket)
        reader = None if claim.partial else self._reader
        if reader is None:
            self._tell(claim, response, None)
            return None
        waits = reader.prepare(claim.request, response)
        if waits is None:
            self._tell(claim, response, reader.rest(claim.request, response, None))
            return None
        return self._read(reader, waits, response, claim)

    @inlineCallbacks
    def _read(
        self, reader: PageReader, waits: Deferred[Any], response: Response, claim: Claim
    ) -> Generator[Deferred[Any], Any, None]:
        assert self._network is not None
        with self._network.budget.holding(len(response.body)):
            prepared = yield waits
        self._tell(claim, response, reader.rest(claim.request, response, prepared))

    def _tell(self, claim: Claim, response: Response, prepared: Prepared | None) -> None:
        tape = None if self._tapes is None else self._tapes.give(claim.ticket)
        if self._flights.pop(claim.ticket, None) is None:
            if tape is not None:
                tape.drop()
            return
        inside = self._typed.standing(claim.request.url)[1] if claim.typed else None
        whole = self._wants_bodies or claim.partial
        if not whole and (self._gives or _is_called(claim.request)):
            whole = prepared is None or prepared.yielded is None
        told = done(claim.ticket, response, prepared, inside, whole=whole, tape=taped(tape))
        if self._spools is not None and not claim.partial:
            told.left = self._spools.give(claim.request.id)
        self._channel.put(told)

    def _failed(self, failure: Failure, claim: Claim) -> None:
        """Nobody waits for it; or it is a bug, of which somebody has to hear."""
        if failure.check(CancelledError):
            self._flights.pop(claim.ticket, None)
            return
        error = failure.value
        if isinstance(error, CodedError):  # the disk takes no more: no news about the URL
            if self._flights.pop(claim.ticket, None) is not None:
                self._channel.put(Done(claim.ticket, _failed(error), fatal=error))
            return
        self._log.failure("a bug in a worker", failure=failure)
        self._tell(claim, _failed(CodedError("internal", f"{type(error).__name__}: {error}")), None)

    def _tell_health(self) -> None:
        if self._network is None:
            return
        usage = resource.getrusage(resource.RUSAGE_SELF)
        self._channel.put(Health(usage.ru_utime + usage.ru_stime, self._resident(), self._network.budget.used))
        self._reactor.callLater(_HEALTH_SECONDS, self._tell_health)

    def _end(self) -> None:
        network, self._network = self._network, None
        for flight in list(self._flights.values()):
            flight.cancel()
        if self._reader is not None:
            self._reader.close()
        self._resources.close()
        if network is not None:
            network.close()
        if self._ways is not None:
            self._ways.close()
        if self._spools is not None:
            self._spools.close()
        if self._tapes is not None:
            self._tapes.close()
        self.over.callback(None)


def _is_called(request: Request) -> bool:
    """Whether a function of its own gets what comes of it."""
    ask = request.ask
    return ask is not None and (ask.callback is not None or ask.errback is not None)


def _is_read(request: Request, headers: Mapping[str, list[str]], *, parses: bool) -> bool:
    """As PageReader.needs in the run; with `parses` a function of the user's gets all."""
    return parses or _is_called(request) or is_text(request, headers)


def _too_late() -> StaleConnection:
    """Somebody else may ask that host now: it goes back, uncounted, to who knows better."""
    return StaleConnection("internal", "it was claimed too long ago", unprocessed=True)


def _failed(error: CodedError) -> Response:
    return Response(timings=Timings(), started=time.time(), error=error)


def main(descriptor: int) -> None:
    """Serve the run at the other end of this socket, to its end."""
    gc.enable()  # what is imported is frozen: it stays one memory for all that are forked from it
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which may still want what is in the air
    with private_reactor() as (reactor, dial), socket.socket(fileno=descriptor) as end, suppress(BrokenPipeError):
        say(end, [Hello(os.getpid())])  # before all else: from now on it is a claim's doing if we die
        run(reactor, lambda: Worker(reactor, dial, end).over)
