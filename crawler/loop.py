"""The loop and the visit: from the frontier through robots, fetch and retry to the sink. Every part is an argument.

Order matters: a slot is acquired first, then a URL is claimed and its task started. A waiting task per URL costs 2 kB
and grows from 26 to 76 us a URL at 400,000 (DeferredSemaphore pops a list at 0); this way it is 8 us at any length.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple, Protocol

from twisted.internet.defer import CancelledError, Deferred, DeferredList, DeferredSemaphore, inlineCallbacks
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from crawler.errors import CodedError
from crawler.fetch import Fetcher
from crawler.frontier import Frontier
from crawler.gate import Gate
from crawler.intake import READ_SHARE, Intake
from crawler.models import Findings, Record, Request, Response, record_of, untried
from crawler.politeness import Politeness
from crawler.printable import printable
from crawler.redirect import next_hop
from crawler.retry import LOCAL_CODES, Retry
from crawler.sinks import Sink

LOCAL_PAUSE: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What one run does with each URL."""

    concurrency: int = 64
    max_redirects: int = 10
    https_only: bool = False
    headers_in_record: bool = True
    body_in_record: bool = False


class Reader(Protocol):
    """Reads what was fetched, for links and data."""

    def prepare(self, request: Request, response: Response) -> Deferred[Any] | None:
        """What takes so long that the reactor must not wait for it; never fails but by CancelledError."""

    def read(self, request: Request, response: Response, prepared: Any) -> Findings:
        """The rest; `prepared` is what came of that."""


class _Landing(NamedTuple):
    """A visit that has ended for good and waits for its record: with a response, or refused without a try."""

    request: Request
    response: Response | None
    queued: float
    refusal: CodedError | None = None
    prepared: Any = None


class Crawl:
    """One run. `run()` fires when every input has its record, or when the run was drained.

    It fails with the CodedError of a sink that could not write, or with what the feed raised; by then every flight has
    ended and nothing is in the air. `tried` hears of each try and hop that is not the last of its URL.
    """

    def __init__(
        self,
        *,
        clock: IReactorTime,
        intake: Intake,
        frontier: Frontier,
        politeness: Politeness,
        gate: Gate,
        fetcher: Fetcher,
        retry: Retry,
        sink: Sink,
        rules: Rules,
        reader: Reader | None = None,
        tried: Callable[[Request, Response], None] | None = None,
    ) -> None:
        self._clock = clock
        self._intake = intake
        self._frontier = frontier
        self._politeness = politeness
        self._gate = gate
        self._fetcher = fetcher
        self._retry = retry
        self._sink = sink
        self._rules = rules
        self._reader = reader
        self._tried = tried
        self._slots = DeferredSemaphore(rules.concurrency)
        self._flights: dict[int, Deferred[None]] = {}
        self._landed: list[_Landing] = []
        self._freed = 0
        self._turn: IDelayedCall | None = None
        self._paused_until = 0.0
        self._full: Deferred[Any] | None = None
        self._stopping = False
        self._ended: Deferred[Any] = Deferred()  # no canceller: it tells, nobody asks
        self._fatal: BaseException | None = None
        self._input_error: BaseException | None = None
        self._wake: Deferred[None] | None = None
        self._log = Logger()
        intake.write = self._write_unfetched
        intake.on_ready = self._woken
        gate.found_sitemaps = self._found_sitemaps

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
            if self._stopping or (self._intake.exhausted and not self._intake.pending):
                break
            yield self._something_happens()
        yield DeferredList(list(self._flights.values()))
        self._settle()
        if self._full is not None:  # when stopping: we only wait no longer, what the sink was given it has
            self._full.cancel()
        self._ended.callback(None)
        error = self._fatal or self._input_error
        if error is not None:
            raise error

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
        now = self._clock.seconds()
        if self._stopping or self._full is not None or now < self._paused_until:
            return None
        request = self._frontier.claim(now)
        if request is None:
            self._read_on(now)
            request = None if self._stopping else self._frontier.claim(now)
        return request

    def _read_on(self, now: float) -> None:
        intake = self._intake
        if intake.held is not None:
            return
        try:
            intake.read_on(now, self._may_read)
        except BaseException as error:  # the caller's own iterator: what it gave gets its records before this is raised
            self._input_error = error
            intake.close()  # some iterators go on after an error, others raise it again and again
        if intake.held is not None:
            intake.held.addErrback(self._sink_failed)
            intake.held.addCallback(self._admitted)

    def _may_read(self) -> bool:
        return self._full is None and not self._stopping

    def _admitted(self, _: object) -> None:
        self._intake.held = None
        self._woken()

    def _write_unfetched(self, record: Record, number: int) -> None:
        """Write the record of an input that never gets as far as the frontier."""
        wait = self._write(record, None, number)
        if wait is None:
            self._count(None, record)
        else:
            wait.addCallback(self._count, record)
            self._wait_for_sink([wait])

    def _count(self, _: object, record: Record) -> None:
        if self._fatal is None:
            self._intake.ended(record.input)

    def _found_sitemaps(self, request: Request, references: Sequence[str]) -> None:
        self._intake.accept_sitemaps(request, references, self._clock.seconds())

    def _wait_for_sink(self, waits: Sequence[Deferred[Any]]) -> None:
        """Start and read nothing until the sink takes more."""
        gathered = DeferredList([*waits, self._full] if self._full is not None else list(waits))
        self._full = gathered

        def go_on(_: Any) -> None:
            if self._full is gathered:
                self._full = None
                self._woken()

        gathered.addCallback(go_on)

    def _something_happens(self) -> Deferred[None]:
        """Fires when a task ends, when there is more to read, or at the next host's time."""
        wake: Deferred[None] = Deferred()
        self._wake = wake
        now = self._clock.seconds()
        at: float | None
        if self._full is not None:
            at = None
        elif now < self._paused_until:
            at = self._paused_until
        else:
            at = now if self._intake.more else self._frontier.ready_at(now)
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
            timer = self._clock.callLater(0, self.abort)
            self._ended.addCallback(_cancel, timer)
        self._stopping = True

    # The visit.

    @inlineCallbacks
    def _visit(self, request: Request) -> Generator[Deferred[Any], Any, None]:
        """One try of one URL. Never fails, always ends the lease."""
        key = request.url.host_key
        try:
            ruling = self._gate.check(request)
            if isinstance(ruling, Deferred):
                ruling = yield ruling
            if ruling is not None:
                if ruling.error is None:
                    self._frontier.retry(request, self._clock.seconds())
                else:
                    self._landed.append(_Landing(request, None, 0.0, ruling.error))
                return
            started = self._clock.seconds()
            paced = self._politeness.host(key, started).unsent is not None
            response: Response = yield self._fetcher.fetch(request, partial(self._sent, request) if paced else None)
            now = self._clock.seconds()
            wait = self._politeness.observe(key, response, started=started, now=now)
            onward = self._hop(request, response)
            if onward is not None:
                if self._tried is not None:
                    self._tried(request, response)
                refusal = self._intake.refuses_hop(request, onward)
                if refusal is None:
                    self._frontier.retry(onward, now)
                else:
                    self._landed.append(_Landing(onward, None, 0.0, refusal))
                return
            if self._tries_again(request, response, wait, now):
                return
            prepared = None if self._reader is None else self._reader.prepare(request, response)
            if prepared is not None:
                prepared = yield prepared
            self._landed.append(_Landing(request, response, started - request.accepted, None, prepared))
        except CancelledError:
            self._frontier.retry(request, self._clock.seconds())
        except Exception as error:  # a bug: it must not cost the other URLs their records, nor hide
            self._log.failure("a visit failed: {url}", url=printable(request.written))
            self._stop(error)
            with suppress(KeyError):  # the lease had ended already
                self._frontier.retry(request, self._clock.seconds())
        finally:
            self._flights.pop(request.id, None)
            self._freed += 1
            if self._turn is None:
                self._turn = self._clock.callLater(0, self._settle)

    def _sent(self, request: Request) -> None:
        """A request has left whose host has a delay: that begins now."""
        self._politeness.sent(request.url.host_key, request.id, self._clock.seconds())
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

    def _settle(self) -> None:
        """Write the records of the visits that ended since the reactor's last turn, and give back their slots.

        In one go, because the same few functions over and over are what a processor is fast at: between reading and
        writing of sockets each of them costs three times as much (measured: 25 % of a whole run).
        """
        turn, self._turn = self._turn, None
        if turn is not None and turn.active():
            turn.cancel()
        landed, self._landed = self._landed, []
        records = [self._record(landing, self._findings(landing)) for landing in landed]
        written, waits = [], []
        for landing, record in zip(landed, records, strict=True):
            wait = self._write(record, landing.response, landing.request.id)
            if wait is None:
                written.append((landing.request, record))
            else:
                wait.addCallback(self._finish, [(landing.request, record)])
                waits.append(wait)
        self._finish(None, written)
        if waits:
            self._wait_for_sink(waits)
        if self._intake.room >= READ_SHARE // 2 and not self._stopping:
            self._read_on(self._clock.seconds())
        freed, self._freed = self._freed, 0
        for _ in range(freed):
            self._slots.release()
        self._woken()

    def _findings(self, landing: _Landing) -> Findings | None:
        """Read a page, and queue what it leads to: before its record is written, so that none of it can be lost."""
        request, response = landing.request, landing.response
        if self._reader is None or response is None:
            return None
        try:
            findings = self._reader.read(request, response, landing.prepared)
        except Exception as error:  # a bug: it must not cost the other URLs their records, nor hide
            self._log.failure("a page cannot be read: {url}", url=printable(request.written))
            return Findings(error=CodedError("internal", f"{type(error).__name__}: {error}", phase="parse"))
        if findings.follow:
            self._intake.accept_links(request, findings.follow, self._clock.seconds())
        return findings

    def _record(self, landing: _Landing, findings: Findings | None) -> Record:
        if landing.response is None:
            assert landing.refusal is not None
            return untried(landing.request, landing.refusal)
        rules = self._rules
        try:
            return record_of(
                landing.request,
                landing.response,
                landing.queued,
                headers=rules.headers_in_record,
                wire_body=rules.body_in_record,
                findings=findings,
            )
        except Exception as error:  # a bug: it must not cost the other URLs their records, nor hide
            self._log.failure("no record can be made: {url}", url=printable(landing.request.written))
            return untried(landing.request, CodedError("internal", f"{type(error).__name__}: {error}"))

    def _finish(self, _: object, written: Sequence[tuple[Request, Record]]) -> None:
        """End the leases of what was written; what the sink has failed on is not finished."""
        now = self._clock.seconds()
        for request, record in written:
            if self._fatal is not None:
                self._frontier.retry(request, now)
            else:
                self._intake.ended(request.input)
                self._gate.ended(request.id)
                self._frontier.finish(request, record.outcome, now)

    def _write(self, record: Record, response: Response | None, number: int) -> Deferred[None] | None:
        """Hand a record to the sink; its failure ends the run."""
        try:
            wait = self._sink.write(record, response, number)
        except Exception as error:  # disk_full, write_error; or a bug in a sink, which must not leave the run hanging
            self._stop(error)
            return None
        if wait is not None:
            wait.addErrback(self._sink_failed)
        return wait

    def _sink_failed(self, failure: Failure) -> None:
        if not failure.check(CancelledError):  # we stopped waiting: being in a hurry does not take the record back
            assert failure.value is not None
            self._stop(failure.value)


def _cancel(_: object, timer: IDelayedCall) -> None:
    if timer.active():
        timer.cancel()
