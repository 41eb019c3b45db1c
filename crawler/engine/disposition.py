"""What becomes of a visit that has ended: its page is read, links are queued, a record is made and written.

What has its record is finished.

Whatever goes wrong here costs no other URL its record. A sink that cannot write ends the run, and what it has not taken
is not finished.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple, Protocol

from twisted.internet.defer import CancelledError, Deferred, DeferredList, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from crawler.engine.admission import Admission
from crawler.engine.gate import Gate
from crawler.errors import CodedError
from crawler.fetch.redirect import KeepCookies, next_hop
from crawler.frontier import Frontier
from crawler.models import Findings, Record, Request, Response, record_of, untried
from crawler.printable import printable
from crawler.sinks import Sink

TURN: Final = 0.01  # seconds
_TURN_BYTES: Final = 1 << 20  # of bodies: they are hashed and may be written
_PARTS: Final = {200: "range_ignored", 416: "range_refused"}  # RFC 9110 section 14.2
_LINKS: Final = 256  # between two looks at the clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What one run does with each URL. `asks_for_part` says that a range is asked for; for `keep` and
    `fragments` see next_hop.
    """

    concurrency: int = 64
    max_redirects: int = 10
    https_only: bool = False
    keep: KeepCookies | None = None
    fragments: bool = False
    headers_in_record: bool = True
    body_in_record: bool = False
    asks_for_part: bool = False

    def next_hop(self, request: Request, response: Response) -> Request | None:
        """The request that follows a redirect, as next_hop has it."""
        return next_hop(
            request,
            response,
            max_redirects=self.max_redirects,
            https_only=self.https_only,
            keep=self.keep,
            fragments=self.fragments,
        )


class Reader(Protocol):
    """Reads what was fetched, for links and data."""

    def prepare(self, request: Request, response: Response) -> Deferred[Any] | None:
        """What takes so long that the reactor must not wait for it; never fails but by CancelledError."""

    def read(self, request: Request, response: Response, prepared: Any) -> Findings | None:
        """The rest; `prepared` is what came of that."""

    def prepare_missed(self, request: Request, error: CodedError) -> Deferred[Any] | None:
        """As prepare, of a request that was given up without another try."""

    def missed(self, request: Request, error: CodedError, prepared: Any) -> Findings | None:
        """What is made of that; `prepared` is what came of it."""


class EndedVisit(NamedTuple):
    """A visit that has ended for good and waits for its record: with a response, or refused without a try."""

    request: Request
    response: Response | None
    queued: float
    refusal: CodedError | None = None
    prepared: Any = None


class Disposition:
    """Disposes of the visits that have ended.

    `full` is there while the sink wants nothing more to be started; `fatal` is what ends the run. `on_room`
    is called when the sink takes more again, `on_failure` with what it could not do.
    """

    def __init__(
        self,
        *,
        clock: IReactorTime,
        admission: Admission,
        frontier: Frontier,
        gate: Gate,
        sink: Sink,
        reader: Reader | None,
        rules: Rules,
    ) -> None:
        self._clock = clock
        self._admission = admission
        self._frontier = frontier
        self._gate = gate
        self._sink = sink
        self._reader = reader
        self._rules = rules
        self._log = Logger()
        self._linking: tuple[Findings, int] | None = None  # of the first visit: how many of its links are queued
        self.full: Deferred[Any] | None = None
        self.fatal: BaseException | None = None
        self.on_room: Callable[[], None] = lambda: None
        self.on_failure: Callable[[BaseException], None] = lambda _: None
        admission.write = self.write_unfetched

    def missed(self, request: Request, error: CodedError) -> Deferred[EndedVisit]:
        """A request that was given up, once the user's function has heard of it. Cancelled as that is."""
        prepared = None if self._reader is None else self._reader.prepare_missed(request, error)
        if prepared is None:
            return succeed(EndedVisit(request, None, 0.0, error))
        return prepared.addCallback(partial(EndedVisit, request, None, 0.0, error))

    def settle(self, visits: deque[EndedVisit]) -> int:
        """Give each its record, and finish what is written: as many as one turn of the reactor has time for.

        Returns how many bytes the bodies of these have.
        """
        clock = self._clock
        end = clock.seconds() + TURN
        room = _TURN_BYTES
        read: list[tuple[EndedVisit, Findings | None]] = []
        while visits:
            visit = visits[0]
            findings = self._findings(visit)
            if (
                findings is not None
                and (findings.follow or findings.requisites)
                and not self._linked(visit, findings, end)
            ):
                break
            visits.popleft()
            read.append((visit, findings))
            if visit.response is not None:
                room -= len(visit.response.body)
            if room < 0 or clock.seconds() >= end:
                break
        records = [self._record(visit, findings) for visit, findings in read]
        written, waits = [], []
        for (visit, _), record in zip(read, records, strict=True):
            wait = self._write(record, visit.response, visit.request.id)
            if wait is None:
                written.append((visit.request, record))
            else:
                wait.addCallback(self._finish, [(visit.request, record)])
                waits.append(wait)
        self._finish(None, written)
        if waits:
            self._wait_for_sink(waits)
        return _TURN_BYTES - room

    def write_unfetched(self, record: Record, number: int) -> None:
        """Write the record of an input that never gets as far as the frontier."""
        wait = self._write(record, None, number)
        if wait is None:
            self._count(None, record, number)
        else:
            wait.addCallback(self._count, record, number)
            self._wait_for_sink([wait])

    def _count(self, _: object, record: Record, number: int) -> None:
        if self.fatal is None:
            self._admission.ended(record.input, number)

    def _findings(self, visit: EndedVisit) -> Findings | None:
        request, response = visit.request, visit.response
        if self._reader is None:
            return None
        if self._linking is not None:
            return self._linking[0]
        try:
            if response is None:
                assert visit.refusal is not None
                return self._reader.missed(request, visit.refusal, visit.prepared)
            return self._reader.read(request, response, visit.prepared)
        except Exception as error:  # a bug: it must not cost the other URLs their records, nor hide
            self._log.failure("a page cannot be read: {url}", url=printable(request.written))
            return Findings(error=CodedError("internal", f"{type(error).__name__}: {error}", phase="parse"))

    def _linked(self, visit: EndedVisit, findings: Findings, end: float) -> bool:
        """Queue what a page leads to: before its record is written, so that none of it can be lost.

        False when it takes longer than until then: to be called again.
        """
        request, links = visit.request, findings.follow
        now = self._clock.seconds()
        if self._linking is None and visit.response is not None:
            self._admission.saw(request, visit.response, findings, now)
        if len(links) <= _LINKS:
            self._admission.accept_links(request, links, now, is_index=findings.is_index)
            self._admission.accept_leaves(request, findings, now)
            return True
        done = 0 if self._linking is None else self._linking[1]
        self._linking = None
        while done < len(links):
            if done and now >= end:
                self._linking = (findings, done)
                return False
            self._admission.accept_links(request, links[done : done + _LINKS], now, is_index=findings.is_index)
            done += _LINKS
            now = self._clock.seconds()
        self._admission.accept_leaves(request, findings, now)
        return True

    def _record(self, visit: EndedVisit, findings: Findings | None) -> Record:
        if visit.response is None:
            assert visit.refusal is not None
            return untried(visit.request, visit.refusal, findings)
        rules = self._rules
        if rules.asks_for_part and (warning := _PARTS.get(visit.response.status or 0)):
            visit.response.warnings = [*visit.response.warnings, warning]
        try:
            return record_of(
                visit.request,
                visit.response,
                visit.queued,
                headers=rules.headers_in_record,
                wire_body=rules.body_in_record,
                findings=findings,
            )
        except Exception as error:  # a bug: it must not cost the other URLs their records, nor hide
            self._log.failure("no record can be made: {url}", url=printable(visit.request.written))
            return untried(visit.request, CodedError("internal", f"{type(error).__name__}: {error}"))

    def _finish(self, _: object, written: Sequence[tuple[Request, Record]]) -> None:
        """End the leases of what was written; what the sink has failed on is not finished."""
        now = self._clock.seconds()
        for request, record in written:
            if self.fatal is not None:
                (self._frontier.retry if record.attempts else self._frontier.postpone)(request, now)
            else:
                self._admission.ended(request.input, request.id)
                self._gate.ended(request.id)
                self._frontier.finish(request, record.ending, now)

    def _write(self, record: Record, response: Response | None, number: int) -> Deferred[None] | None:
        """Hand a record to the sink; its failure ends the run."""
        try:
            wait = self._sink.write(record, response, number)
        except Exception as error:  # disk_full, write_error; or a bug in a sink, which must not leave the run hanging
            self.on_failure(error)
            return None
        if wait is not None:
            wait.addErrback(self.failed)
        return wait

    def failed(self, failure: Failure) -> None:
        """The errback of what waits for the sink."""
        if not failure.check(CancelledError):  # we stopped waiting: being in a hurry does not take the record back
            assert failure.value is not None
            self.on_failure(failure.value)

    def _wait_for_sink(self, waits: Sequence[Deferred[Any]]) -> None:
        """Start and read nothing until the sink takes more."""
        gathered = DeferredList([*waits, self.full] if self.full is not None else list(waits))
        self.full = gathered

        def go_on(_: Any) -> None:
            if self.full is gathered:
                self.full = None
                self.on_room()

        gathered.addCallback(go_on)
