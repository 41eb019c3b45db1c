"""The loop and the visit: from the feed through frontier, fetch and retry to the sink. Every part comes as an argument.

Order matters: a slot is acquired first, then a URL is claimed and its task started. A waiting task per URL costs 2 kB and
grows from 26 to 76 us a URL at 400,000 (DeferredSemaphore pops a list at 0); this way it is 8 us whatever the length.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred, DeferredList, DeferredSemaphore, inlineCallbacks
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from crawler.errors import CodedError
from crawler.feed import Feed
from crawler.fetch import Fetcher
from crawler.frontier import Frontier
from crawler.models import Record, Request, Response, record_of, unfetched
from crawler.politeness import Politeness
from crawler.printable import printable
from crawler.redirect import next_hop
from crawler.retry import LOCAL_CODES, Retry
from crawler.seeds import BadLine
from crawler.sinks import Sink

LOCAL_PAUSE: Final = 0.5
READ_SHARE: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What one run does with each URL. `window` bounds how many accepted inputs are unfinished at any time."""

    concurrency: int = 64
    window: int = 5_000
    method: str = "GET"
    max_redirects: int = 10
    https_only: bool = False
    headers_in_record: bool = True
    body_in_record: bool = False


class Crawl:
    """One run. `run()` fires when every input has its record, or when the run was drained.

    It fails with the CodedError of a sink that could not write, or with what the feed raised; by then every flight has
    ended and nothing is in the air.
    """

    def __init__(
        self,
        *,
        clock: IReactorTime,
        feed: Feed,
        frontier: Frontier,
        politeness: Politeness,
        fetcher: Fetcher,
        retry: Retry,
        sink: Sink,
        rules: Rules,
        admit: Callable[[int], Deferred[None] | None] | None = None,
        all_read: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._clock = clock
        self._feed = feed
        self._frontier = frontier
        self._politeness = politeness
        self._fetcher = fetcher
        self._retry = retry
        self._sink = sink
        self._rules = rules
        self._admit = admit
        self._all_read = all_read
        self._slots = DeferredSemaphore(rules.concurrency)
        self._flights: dict[int, Deferred[None]] = {}
        self._accepted = 0
        self._finished = 0
        self._paused_until = 0.0
        self._more = False
        self._held: Deferred[None] | None = None
        self._stopping = False
        self._ended: Deferred[Any] = Deferred()  # no canceller: it tells, nobody asks
        self._fatal: BaseException | None = None
        self._wake: Deferred[None] | None = None
        self._log = Logger()
        feed.on_ready = self._woken

    @property
    def accepted(self) -> int:
        """How many inputs have been read so far."""
        return self._accepted

    @property
    def pending(self) -> int:
        """How many accepted inputs have no record yet."""
        return self._accepted - self._finished

    @property
    def in_flight(self) -> int:
        return len(self._flights)

    @inlineCallbacks
    def run(self) -> Generator[Deferred[Any], Any, None]:
        while True:
            yield self._slots.acquire()
            request = self._next()
            if request is not None:
                flight = self._visit(request)
                if not flight.called:
                    self._flights[request.id] = flight
                continue
            self._slots.release()
            if self._stopping or (self._feed.exhausted and not self.pending):
                break
            yield self._something_happens()
        yield DeferredList(list(self._flights.values()))
        self._ended.callback(None)
        if self._fatal is not None:
            raise self._fatal

    def drain(self, grace: float) -> None:
        """Start nothing new; whatever is still in the air after `grace` seconds goes back to the frontier."""
        if not self._stopping:
            self._stopping = True
            self._woken()
            timer = self._clock.callLater(grace, self.abort)
            self._ended.addCallback(_cancel, timer)

    def abort(self) -> None:
        """Start nothing new and close every socket now; the URLs in the air go back to the frontier."""
        self._stopping = True
        self._woken()
        for flight in list(self._flights.values()):
            flight.cancel()

    # The loop.

    def _next(self) -> Request | None:
        """The next URL to fetch, if one may be fetched now; reads on in the feed as far as the window allows."""
        if self._stopping:
            return None
        now = self._clock.seconds()
        if now < self._paused_until:
            return None
        try:
            self._read_on(now)
        except Exception as error:  # the caller's own iterator: its error ends the run and reaches the caller
            self._stop(error)
            return None
        return self._frontier.claim(now)

    def _read_on(self, now: float) -> None:
        """Accept seeds until the window is full or one turn's share is read; bad lines get their record at once."""
        rules = self._rules
        share = READ_SHARE
        self._more = False
        while self.pending < rules.window and not self._feed.exhausted and self._held is None:
            if not share:
                self._more = True
                return
            if self._admit is not None and self._holds(self._admit(self._accepted)):
                return
            seed = self._feed.take()
            if seed is None:
                if self._feed.exhausted:
                    self._all_read(self._accepted)
                return
            share -= 1
            number = self._accepted
            self._accepted += 1
            if isinstance(seed, BadLine):
                self._finished += 1
                self._holds(self._write(unfetched(seed.text, seed.input, "failed", seed.error), None, number))
            else:
                self._frontier.add(Request(number, seed.url, seed.written, seed.input, now, rules.method))

    def _holds(self, wait: Deferred[None] | None) -> bool:
        """Read no further until `wait` has fired."""
        if wait is None:
            return False
        self._held = wait

        def go_on(_: Any) -> None:
            self._held = None
            self._woken()

        wait.addErrback(self._sink_failed)
        wait.addCallback(go_on)
        return self._held is not None

    def _something_happens(self) -> Deferred[None]:
        """Fires when a task ends, when there is more to read, or at the next host's time."""
        wake: Deferred[None] = Deferred()
        self._wake = wake
        now = self._clock.seconds()
        if now < self._paused_until:
            at: float | None = self._paused_until
        else:
            at = now if self._more else self._frontier.ready_at(now)
        if at is not None:
            timer = self._clock.callLater(max(0.0, at - now), self._woken)
            wake.addCallback(_cancel, timer)
        return wake

    def _woken(self) -> None:
        wake, self._wake = self._wake, None
        if wake is not None:
            wake.callback(None)

    def _stop(self, error: BaseException) -> None:
        """Something that no record can tell: the run ends, nothing is reported done that was not written."""
        if self._fatal is None:
            self._fatal = error
            self._clock.callLater(0, self.abort)
        self._stopping = True

    # The visit.

    @inlineCallbacks
    def _visit(self, request: Request) -> Generator[Deferred[Any], Any, None]:
        """One try of one URL. Never fails, always ends the lease."""
        try:
            started = self._clock.seconds()
            response: Response = yield self._fetcher.fetch(request)
            now = self._clock.seconds()
            wait = self._politeness.observe(request.url.host_key, response, started=started, now=now)
            onward = self._hop(request, response)
            if onward is not None:
                self._frontier.retry(onward, now)
                return
            again = self._retry.decide(request, status=response.status, error=response.error, retry_after=wait)
            if again is not None:
                if response.error is not None and response.error.code in LOCAL_CODES:
                    self._paused_until = now + LOCAL_PAUSE
                (self._frontier.park if again.park else self._frontier.retry)(again.request, now, again.delay)
                return
            rules = self._rules
            record = record_of(
                request,
                response,
                started - request.accepted,
                headers=rules.headers_in_record,
                wire_body=rules.body_in_record,
            )
            yield from self._settle(request, record, response)
        except CancelledError:
            self._frontier.retry(request, self._clock.seconds())
        except Exception as error:  # a bug: it must not cost the other URLs their records, nor hide
            self._log.failure("a visit failed: {url}", url=printable(request.written))
            self._stop(error)
        finally:
            self._flights.pop(request.id, None)
            self._slots.release()
            if self._wake is not None:
                self._woken()

    def _hop(self, request: Request, response: Response) -> Request | None:
        if response.error is not None:
            return None
        rules = self._rules
        try:
            return next_hop(request, response, max_redirects=rules.max_redirects, https_only=rules.https_only)
        except CodedError as error:
            response.error = error
            return None

    def _settle(self, request: Request, record: Record, response: Response) -> Generator[Deferred[Any], Any, None]:
        """Write the record, wait while the sink wants it, end the lease. Nothing is finished that was not written."""
        wait = self._write(record, response, request.id)
        if wait is not None:
            with suppress(CancelledError):  # the sink has the record already: being in a hurry does not take it back
                yield wait
        now = self._clock.seconds()
        if self._fatal is not None:
            self._frontier.retry(request, now)
            return
        self._finished += 1
        self._frontier.finish(request, record.outcome, now)

    def _write(self, record: Record, response: Response | None, number: int) -> Deferred[None] | None:
        """Hand a record to the sink; its failure ends the run."""
        try:
            wait = self._sink.write(record, response, number)
        except CodedError as error:
            self._stop(error)
            return None
        if wait is not None:
            wait.addErrback(self._sink_failed)
        return wait

    def _sink_failed(self, failure: Failure) -> None:
        assert failure.value is not None
        self._stop(failure.value)


def _cancel(_: object, timer: IDelayedCall) -> None:
    if timer.active():
        timer.cancel()
