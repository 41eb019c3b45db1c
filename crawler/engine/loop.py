"""The loop and the visit: from the frontier through robots, fetch and retry to the sink. Every part is an argument.

Order matters: a slot is acquired first, then a URL is claimed and its task started. A waiting task per URL costs 2 kB
and grows from 26 to 76 us a URL at 400,000 (DeferredSemaphore pops a list at 0); this way it is 8 us at any length.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from functools import partial
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred, DeferredList, inlineCallbacks
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from crawler.engine.admission import READ_SHARE, Admission
from crawler.engine.disposition import TURN, Disposition, EndedVisit, Reader, Rules
from crawler.engine.gate import Gate
from crawler.engine.retry import LOCAL_CODES, Retry
from crawler.engine.side_requests import SideRequests
from crawler.engine.slots import Slots
from crawler.errors import CodedError, StaleConnection
from crawler.fetch.fetcher import Fetches
from crawler.frontier import Frontier
from crawler.models import Request, Response
from crawler.politeness.controller import Politeness
from crawler.printable import printable
from crawler.sinks import Sink

LOCAL_PAUSE: Final = 0.5
UNAUTHORIZED: Final = 401
HEAVY: Final = 32 << 20  # bytes of the bodies of visits without a record yet


class Crawl:
    """One run. `run()` fires when every input has its record, or when the run was drained.

    It fails with the CodedError of a sink that could not write, or with what the feed raised; by then every flight has
    ended and nothing is in the air. `tried` hears of each try and hop that is not the last of its URL.
    """

    def __init__(
        self,
        *,
        clock: IReactorTime,
        admission: Admission,
        frontier: Frontier,
        politeness: Politeness,
        gate: Gate,
        fetcher: Fetches,
        retry: Retry,
        sink: Sink,
        rules: Rules,
        reader: Reader | None = None,
        side_requests: SideRequests | None = None,
        tried: Callable[[Request, Response], None] | None = None,
    ) -> None:
        self._clock = clock
        self._admission = admission
        self._frontier = frontier
        self._politeness = politeness
        self.gate = gate
        self._fetcher = fetcher
        self._budget = fetcher.budget
        self._retry = retry
        self._disposition = Disposition(
            clock=clock, admission=admission, frontier=frontier, gate=gate, sink=sink, reader=reader, rules=rules
        )
        self._rules = rules
        self._reader = reader
        self._side_requests = side_requests
        self._tried = tried
        self._answers: dict[int, int] = {}  # to challenges, by the URLs whose requests are sent again for that
        self._stale: set[int] = set()  # what is sent again, over a fresh connection
        self._slots = Slots(rules.concurrency)
        self._flights: dict[int, Deferred[None]] = {}
        self._unrecorded: deque[EndedVisit] = deque()
        self._unrecorded_size = 0  # bytes of their bodies
        self._freed = 0
        self._turn: IDelayedCall | None = None
        self._turn_end = 0.0
        self._paused = False
        self._paused_until = 0.0
        self._stopping = False
        self._ended: Deferred[Any] = Deferred()  # no canceller: it tells, nobody asks
        self._input_error: BaseException | None = None
        self._wake: Deferred[None] | None = None
        self._log = Logger()
        self._disposition.on_room = self._has_room
        self._disposition.on_failure = self.fail
        admission.on_ready = self.wake
        gate.found_sitemaps = lambda request, named: admission.accept_sitemaps(request, named, clock.seconds())
        if side_requests is not None:
            side_requests.on_more = self.wake

    @inlineCallbacks
    def run(self) -> Generator[Deferred[Any], Any, None]:
        while True:
            if self._slots.tokens:
                self._slots.tokens -= 1  # as acquire does: a Deferred for what is free would cost 4 us
            else:
                yield self._slots.acquire()
            request = self._next()
            if request is not None:
                flight = self._visit(request)
                if not flight.called:
                    self._flights[request.id] = flight
                elif self._clock.seconds() > self._turn_end:  # refused, as many more may be, for a millisecond each
                    yield deferLater(self._clock, 0.0)
                continue
            self._slots.free(1)
            if self._stopping or (self._admission.exhausted and not self._admission.pending):
                break
            yield self._something_happens()
        yield DeferredList(list(self._flights.values()))
        self._settle()
        while self._unrecorded:
            yield deferLater(self._clock, 0.0, self._settle)
        if self._disposition.full is not None:  # when stopping: we only wait no longer, what the sink was given it has
            self._disposition.full.cancel()
        self._ended.callback(None)
        if error := self._disposition.fatal or self._input_error:
            raise error

    def drain(self, grace: float) -> None:
        """Start nothing new; whatever is still in the air after `grace` seconds goes back to the frontier."""
        if not self._stopping:
            self._stopping = True
            self.wake()
            self._ended.addCallback(_cancel, self._clock.callLater(grace, self.abort))

    def abort(self) -> None:
        """Start nothing new and close every socket now; the URLs in the air go back to the frontier."""
        self._stopping = True
        self.wake()
        for flight in list(self._flights.values()):
            flight.cancel()

    def give_up(self, number: int) -> None:
        """Nobody waits for this input any more: its socket is closed, and in its turn it ends as `interrupted`."""
        self.gate.give_up(number)
        if (flight := self._flights.get(number)) is not None:
            flight.cancel()

    def let_go(self, numbers: Iterable[int]) -> None:
        """These are somebody else's now: their sockets are closed. The frontier knows that they end without more."""
        for flight in [flight for number in numbers if (flight := self._flights.get(number)) is not None]:
            flight.cancel()

    def fail(self, error: BaseException) -> None:
        """Something that no record can tell: the run ends, nothing is reported done that was not written."""
        if self._disposition.fatal is None:
            self._disposition.fatal = error
            self._ended.addCallback(_cancel, self._clock.callLater(0, self.abort))
        self._stopping = True

    # What may be changed while it runs.

    @property
    def paused(self) -> bool:
        return self._paused

    def pause(self) -> None:
        """Start and read nothing until `resume`; what is in the air goes on."""
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        self.wake()

    @property
    def concurrency(self) -> int:
        return self._slots.limit

    @property
    def full(self) -> bool:
        """Whether an output takes no more for now, so that nothing is started."""
        return self._disposition.full is not None

    def resize(self, concurrency: int) -> None:
        """Another number of slots; when it is smaller, those in use are taken back as they come free."""
        self._slots.resize(concurrency)

    # The loop.

    def _next(self) -> Request | None:
        """The next URL to fetch, if one may be fetched now; reads on in the feed as far as the window allows."""
        now = self._clock.seconds()
        if self._stopping or self._must_wait or now < self._paused_until:
            return None
        request = self._frontier.claim(now)
        if request is None:
            self._read_on(now)
            request = None if self._stopping else self._frontier.claim(now)
        return request

    def _read_on(self, now: float) -> None:
        admission = self._admission
        if admission.held is not None:
            return
        try:
            admission.read_on(now, self._may_read)
        except BaseException as error:  # the caller's own iterator: what it gave gets its records before this is raised
            self._input_error = error
            admission.close()  # some iterators go on after an error, others raise it again and again
        if admission.held is not None:
            admission.held.addErrback(self._disposition.failed)
            admission.held.addCallback(self._admitted)

    def _may_read(self) -> bool:
        return self._disposition.full is None and not self._stopping and not self._paused

    def _admitted(self, _: object) -> None:
        self._admission.held = None
        self.wake()

    @property
    def _must_wait(self) -> bool:
        """Whether nothing may be started until somebody wakes us, as each body does that has ended or is written."""
        return self._paused or self._disposition.full is not None or self._budget.used > self._budget.enough

    def _something_happens(self) -> Deferred[None]:
        """Fires when a task ends, when there is more to read, or at the next host's time."""
        self._wake = wake = Deferred[None]()
        now = self._clock.seconds()
        at: float | None = None
        if not self._must_wait:
            ready = now if self._admission.more else self._frontier.ready_at(now)
            at = self._paused_until if now < self._paused_until else ready
        if at is not None:
            wake.addCallback(_cancel, self._clock.callLater(max(0.0, at - now), self.wake))
        return wake

    def wake(self) -> None:
        """Look again what may be started: something has changed."""
        wake, self._wake = self._wake, None
        if wake is not None:
            wake.callback(None)

    # The visit.

    @inlineCallbacks
    def _visit(self, request: Request) -> Generator[Deferred[Any], Any, None]:
        """One try of one URL. Never fails, always ends the lease."""
        key = request.url.host_key
        asked = False
        try:
            if request.id < 0:
                assert self._side_requests is not None
                on_sent = self._on_sent(request, self._clock.seconds())
                yield self._side_requests.visit(request, self._politeness, on_sent)
                return
            ruling = self.gate.check(request)
            if isinstance(ruling, Deferred):
                ruling = yield ruling
            if ruling is not None:
                if ruling.error is None:
                    self._frontier.postpone(request, self._clock.seconds())
                else:
                    self._unrecorded.append((yield self._disposition.missed(request, ruling.error)))
                return
            started, asked = self._clock.seconds(), True
            fresh = request.id in self._stale
            self._stale.discard(request.id)
            answers = self._answers.pop(request.id, 0) if self._answers else 0
            response: Response = yield self._fetcher.fetch(request, self._on_sent(request, started), fresh=fresh)
            now = self._clock.seconds()
            if isinstance(response.error, StaleConnection):
                self._stale.add(request.id)
                self._frontier.retry(request, now)
                return
            wait = self._politeness.observe(key, response, started=started, now=now)
            onward = self._hop(request, response, answers)
            if onward is not None:
                if self._tried is not None:
                    self._tried(request, response)
                refusal = None if onward is request else self._admission.refuses_hop(request, onward)
                if isinstance(refusal, Deferred):
                    refusal = yield refusal
                if refusal is None:
                    self._frontier.retry(onward, now)
                else:
                    self._unrecorded.append(EndedVisit(onward, None, 0.0, refusal))
                return
            if self._tries_again(request, response, wait, now):
                return
            prepared = None if self._reader is None else self._reader.prepare(request, response)
            if prepared is not None:
                with self._budget.holding(len(response.body)):
                    prepared = yield prepared
            self._unrecorded.append(EndedVisit(request, response, started - request.accepted, None, prepared))
            self._unrecorded_size += len(response.body)
            self._budget.used += len(response.body)
        except CodedError as error:  # a job that cannot be kept
            self._frontier.postpone(request, self._clock.seconds())
            self.fail(error)
        except CancelledError:
            (self._frontier.retry if asked else self._frontier.postpone)(request, self._clock.seconds())
        except Exception as error:  # a bug: it must not cost the other URLs their records, nor hide
            self._log.failure("a visit failed: {url}", url=printable(request.written))
            bug = CodedError("internal", f"{type(error).__name__}: {error}")
            self._unrecorded.append(EndedVisit(request, None, 0.0, bug))
        finally:
            self._leave(request)

    def _leave(self, request: Request) -> None:
        """A visit has ended; its slot comes free when the records are written."""
        self._flights.pop(request.id, None)
        self._freed += 1
        if self._unrecorded_size > HEAVY:  # all of them may have come in one turn
            self._settle()
        elif self._turn is None:
            self._turn = self._clock.callLater(0, self._settle)

    def _on_sent(self, request: Request, now: float) -> Callable[[], None] | None:
        """What is to be called when the request is written: nothing, unless its host has a delay."""
        paced = self._politeness.host(request.url.host_key, now).unsent is not None
        return partial(self._written, request) if paced else None

    def _written(self, request: Request) -> None:
        """It leaves at the end of this turn of the reactor, which a page may make long: the next one tells when."""
        self._clock.callLater(0.0, self._sent, request)

    def _sent(self, request: Request) -> None:
        """A request has left whose host has a delay: that begins now."""
        self._politeness.sent(request.url.host_key, request.id, self._clock.seconds())
        self.wake()

    def _hop(self, request: Request, response: Response, answers: int) -> Request | None:
        """The request that goes on from here: where a redirect leads, or the same, when its login answers a 401."""
        if response.error is not None:
            return None
        if response.status == UNAUTHORIZED and self._fetcher.heads.challenged(request, response, answers):
            self._answers[request.id] = answers + 1
            return request
        try:
            return self._rules.next_hop(request, response)
        except CodedError as error:
            response.error = error
            return None

    def _tries_again(self, request: Request, response: Response, wait: float | None, now: float) -> bool:
        """Queue the request for another try if it is worth one."""
        again = self._retry.decide(request, status=response.status, error=response.error, retry_after=wait)
        if again is None:
            return False
        if response.error is not None and response.error.code in LOCAL_CODES:
            self._paused_until = now + LOCAL_PAUSE
        elif self._politeness.refusal(request.url.host_key) is not None:
            return False  # the host was given up: what it answered tells more than that it was not asked again
        if self._tried is not None:
            self._tried(request, response)
        (self._frontier.park if again.park else self._frontier.retry)(again.request, now, again.delay)
        return True

    def _has_room(self) -> None:
        if self._unrecorded and self._turn is None:
            self._turn = self._clock.callLater(0, self._settle)
        self.wake()

    def _settle(self) -> None:
        """Write the records of the visits that ended since the reactor's last turn, and give back their slots.

        In one go, because the same few functions over and over are what a processor is fast at: between reading and
        writing of sockets each of them costs three times as much (measured: 25 % of a whole run). What takes more time
        than the reactor may be kept waits for its next turn, and keeps its slots.
        """
        turn, self._turn = self._turn, None
        if turn is not None and turn.active():
            turn.cancel()
        if self._unrecorded_size > HEAVY and self._disposition.full is not None and not self._stopping:
            return  # the sink would hold them without a limit
        visits = self._unrecorded
        size = self._disposition.settle(visits)
        self._unrecorded_size -= size
        self._budget.used -= size
        if self._admission.room >= READ_SHARE // 2 and not self._stopping:
            self._read_on(self._clock.seconds())
        freed, self._freed = self._freed - len(visits), len(visits)
        self._turn_end = self._clock.seconds() + TURN
        if visits:
            self._turn = self._clock.callLater(0, self._settle)
        self._slots.free(freed)
        self.wake()


def _cancel(_: object, timer: IDelayedCall) -> None:
    if timer.active():
        timer.cancel()
