"""The workers of a run: started, given claims, replaced when they die."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from crawler.errors import CodedError, StaleConnection
from crawler.fetch.budget import Budget
from crawler.fetch.connect.throttle import Throttles
from crawler.fetch.saving.spools import Left
from crawler.fetch.typed import Typed
from crawler.models import Request, Response, Timings
from crawler.run.workers.frames import Cancel, Claim, Done, Health, Hello, Sent, Start, Took, decode_to_run, prepared_of
from crawler.run.workers.process import Process, Waiting
from crawler.run.workers.rate import FarTaker
from crawler.run.workers.starting import Starts, make_starts
from crawler.stats.stats import WorkerLoad

STRIKES: Final = 3
"""When so many workers have died of a page, it is given up."""
_ALONE: Final = STRIKES - 1
_STILLBORN: Final = 10
"""When so many in succession have ended before they began, something is wrong with this machine."""
_SLACK: Final = 4  # so many more claims than the idlest has, for a connection that is there


class Workers:
    """`number` processes that fetch. A claim goes to the one with least to do, or one that has a connection there.

    One that dies is replaced. What it had in the air is answered with StaleConnection, and so goes back to the queue of
    its host, uncounted. A URL with which STRIKES of them have died is `internal`; after the last but one it is fetched
    by a process of its own, so that nothing else is taken for what kills them.

    What `typed` knows is shared with them. What their bodies take counts in `budget`, as of the last second. What comes
    to any of them has to be paid off with the `throttle`. `arrives` sees each answer before it is given; a Deferred is
    waited for.
    """

    def __init__(
        self,
        reactor: Any,
        start: Start,
        number: int,
        typed: Typed,
        budget: Budget,
        *,
        throttle: Throttles | None = None,
        arrives: Callable[[Claim, Done], Deferred[None] | None] | None = None,
    ) -> None:
        self._reactor = reactor
        self._start = start
        self._typed = typed
        self._budget = budget
        self._throttle = throttle
        self._arrives = arrives
        self._tickets = 0
        self._strikes: Counter[int] = Counter()
        self._deciding: dict[str, Process] = {}  # who finds out where the hosts of typed URLs lead
        self._closed = False
        self._log = Logger()
        self._stillborn = 0
        self.replaced = 0
        self.processes: list[Process] = []
        self._ready: list[Process] = []  # those that have started
        self._alone: set[Process] = set()
        self._starts: Starts = make_starts()
        try:
            for _ in range(number):
                self.processes.append(self._process())
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End them all, and wait for that: some milliseconds. What is in the air is not answered any more."""
        self._closed = True
        processes = [*self.processes, *self._alone]
        for process in processes:
            process.close()
        if not any(process.ready for process in processes):
            self._starts.close()  # it is only coming up, too
        for process in processes:
            process.join()
        self._starts.close()

    def load(self) -> tuple[WorkerLoad, ...]:
        """How they are, each in its place."""
        return tuple([process.load for process in self.processes])

    def fetch(
        self,
        request: Request,
        head: bytes,
        *,
        public_only: bool,
        on_sent: Callable[[], None] | None,
        fresh: bool,
        partial_body: bool,
        left: Left | None = None,
        until: float | None = None,
    ) -> Deferred[Response]:
        """Have it fetched; cancelling closes its socket. See Claim."""
        if not self.processes and not self._replace():
            return succeed(_failed(_none_started()))
        url = request.url
        typed, inside = self._typed.standing(url)
        ticket = self._tickets = self._tickets + 1
        tells = on_sent is not None
        claim = Claim(ticket, request, head, public_only, typed, inside, fresh, tells, partial_body, left, until)
        host = url.host_key
        if self._strikes and self._strikes[request.id] >= _ALONE:
            process = self._process(alone=True)
            self._alone.add(process)
        else:
            process = self._choose(host, undecided=typed and inside is None)
        waiting = Waiting(claim, host, process, on_sent, self._cancel)
        process.begun(waiting)
        return waiting.waiter

    def _process(self, *, alone: bool = False, replaced: int = 0) -> Process:
        return Process(
            self._reactor,
            self._starts,
            self._start,
            received=self._received,
            lost=self._lost,
            alone=alone,
            replaced=replaced,
        )

    def _choose(self, host: str, *, undecided: bool) -> Process:
        if undecided:  # where a host leads is for the first to say who asks; see Typed
            process = self._deciding.get(host)
            if process is not None:
                return process
        # One that is just starting takes half a second: it is for those who find nobody else.
        processes = self._ready or self.processes
        chosen = processes[0]
        least = len(chosen.in_flight)
        for process in processes:
            if len(process.in_flight) < least:
                chosen, least = process, len(process.in_flight)
        if not chosen.has_idle(host):
            for process in processes:
                if process.has_idle(host) and len(process.in_flight) <= least + _SLACK:
                    chosen = process
                    break
        if undecided:
            self._deciding[host] = chosen
        return chosen

    def _cancel(self, waiting: Waiting) -> None:
        process, ticket = waiting.worker, waiting.claim.ticket
        if process.in_flight.pop(ticket, None) is None:  # it has come, and is being written
            return
        process.put(Cancel(ticket))
        if process.alone:
            self._leave(process)

    # What the workers say.

    def _received(self, process: Process, frame: bytes) -> None:
        for message in decode_to_run(frame):
            if isinstance(message, Done):
                self._done(process, message)
            elif isinstance(message, Sent):
                waiting = process.in_flight.get(message.ticket)
                if waiting is not None and waiting.on_sent is not None:
                    waiting.on_sent()
            elif isinstance(message, Took):
                self._took(process, message)
            elif isinstance(message, Health):
                self._weigh(process, message)
            else:
                self._greet(process, message)

    def _done(self, process: Process, told: Done) -> None:
        waiting = process.ended(told.ticket)
        if waiting is None:  # cancelled meanwhile
            return
        claim, response = waiting.claim, told.response
        if told.inside is not claim.inside and told.inside is not None:
            self._typed.learn(claim.request.url, told.inside)
            self._deciding.pop(waiting.host, None)
        if self._strikes:
            self._strikes.pop(claim.request.id, None)
        response.away = told.size
        if told.read:
            response.prepared = prepared_of(told)
        if process.alone:
            self._leave(process)
        if told.fatal is None and self._arrives is None:
            waiting.waiter.callback(response)
        else:
            self._answer(waiting, told)

    def _answer(self, waiting: Waiting, told: Done) -> None:
        if told.fatal is not None:
            waiting.waiter.errback(told.fatal)
            return
        wait = None if self._arrives is None else self._arrives(waiting.claim, told)
        if wait is None:
            waiting.waiter.callback(told.response)
            return

        def answered(result: object) -> None:
            if not waiting.waiter.called:  # not cancelled meanwhile
                waiting.waiter.callback(result if isinstance(result, Failure) else told.response)

        wait.addBoth(answered)

    def _took(self, process: Process, told: Took) -> None:
        """A flight there shares the rate of all."""
        if self._throttle is None:
            return
        taker = process.takers.get(told.flight)
        if not told.size:
            if process.takers.pop(told.flight, None) is not None:
                assert taker is not None
                self._throttle.forget(taker)
            return
        if taker is None:
            taker = process.takers[told.flight] = FarTaker(process.put, told.flight)
        self._throttle.took(taker, told.size)

    def _leave(self, process: Process) -> None:
        """End a process that was for one claim alone."""
        self._alone.discard(process)
        process.close()
        self._reactor.callInThread(process.join)

    def _greet(self, process: Process, hello: Hello) -> None:
        process.pid = hello.pid
        self._stillborn = 0
        if not process.alone:
            self._ready.append(process)

    def _weigh(self, process: Process, health: Health) -> None:
        self._budget.used += health.held - process.health.held
        process.hear(health, self._reactor.seconds())

    def _lost(self, process: Process) -> None:
        fate = process.fate()
        self._stillborn += not process.ready
        begins = self._stillborn <= _STILLBORN and not process.unstarted
        self._weigh(process, Health(process.health.cpu, 0, 0))
        if self._throttle is not None:
            for taker in process.takers.values():
                self._throttle.forget(taker)
        if self._closed:
            return
        self.replaced += 1
        words = "another one takes its place" if begins else "the others go on"
        self._log.error("a worker has ended ({fate}); {words}", fate=fate, words=words)
        if process.alone:
            self._alone.discard(process)
        else:
            place = self.processes.index(process)
            del self.processes[place]
            if process.ready:
                self._ready.remove(process)
            if begins:
                self._replace(place, process.replaced + 1)
        self._deciding = {host: other for host, other in self._deciding.items() if other is not process}
        had = [*process.in_flight.values()]
        process.in_flight.clear()
        for waiting in had:
            if waiting.on_sent is not None and process.ready:  # it may have left, and nobody was there to say so
                waiting.on_sent()
        self._reactor.callLater(0, self._give_back, had, fate, begins=begins, counts=process.ready)

    def _give_back(self, had: list[Waiting], fate: str, *, begins: bool, counts: bool) -> None:
        """Answer what a worker had that has ended, once their hosts know that they were asked."""
        for waiting in had:
            if begins:
                response = self._given_back(waiting.claim.request.id, fate, counts=counts)
            else:
                response = _failed(_none_started())
            self._answer(waiting, Done(0, response, left=waiting.claim.left))

    def _replace(self, place: int = 0, replaced: int = 0) -> bool:
        """Start one more; when that is not possible now, the others go on."""
        try:
            self.processes.insert(place, self._process(replaced=replaced))
        except OSError as error:
            self._log.error("no worker can be started: {error}", error=error)
            return False
        return True

    def _given_back(self, number: int, fate: str, *, counts: bool) -> Response:
        """`counts`: it may have been what ended the worker."""
        self._strikes[number] += counts
        if self._strikes[number] < STRIKES:
            error: CodedError = StaleConnection("internal", f"its worker has ended ({fate})", unprocessed=True)
        else:
            del self._strikes[number]
            error = CodedError("internal", f"{STRIKES} workers have ended while they had it ({fate})")
        return _failed(error)


def _none_started() -> CodedError:
    return CodedError("local_fd_limit", "no worker can be started")


def _failed(error: CodedError) -> Response:
    return Response(timings=Timings(), started=time.time(), error=error)
