"""ParseWorker: extraction in child processes, for a reactor that must not wait."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from crawler.effort import LINEAR
from crawler.errors import CodedError
from crawler.page import MAX_PARSED, Document, Extracted
from crawler.parsing import Answer, Job
from crawler.parsing.lane import Lane

START_SECONDS: Final = 60.0
_GRACE: Final = 10.0


class ParseReactor(Protocol):
    """What a ParseWorker needs of a reactor: IReactorTime.callLater and IReactorFromThreads.callFromThread."""

    def callLater(self, delay: float, function: Callable[..., object], /, *args: object) -> IDelayedCall: ...

    def callFromThread(self, function: Callable[..., object], /, *args: object) -> None: ...


class _Task:
    """A job, who waits for it, and how far it is: until it has `begun`, `timer` is that of the child's start."""

    def __init__(self, job: Job, canceller: Callable[[_Task], None]) -> None:
        self.job = job
        self.waiter: Deferred[Extracted] = Deferred(lambda _: canceller(self))
        self.timer: IDelayedCall | None = None
        self.begun = False
        self.expired = False

    def stop_timer(self) -> None:
        if self.timer is not None and self.timer.active():
            self.timer.cancel()

    def end(self, result: Extracted | CodedError) -> None:
        if self.waiter.called:  # cancelled
            return
        if isinstance(result, CodedError):
            self.waiter.errback(result)
        else:
            self.waiter.callback(result)


class ParseWorker:
    """Parses in up to `processes` children, each a page at a time; they start when they are needed.

    A page that takes longer than `timeout` seconds ends its child and fails with `parse_timeout`. So does, with
    `parse_error`, one whose child dies. Others are not touched by that.
    """

    def __init__(self, reactor: ParseReactor, timeout: float, *, processes: int = 1) -> None:
        self._reactor = reactor
        self._timeout = timeout
        self._processes = processes
        self._waiting: deque[_Task] = deque()
        self._busy: dict[Lane, _Task] = {}
        self._idle: list[Lane] = []
        self._fresh: set[Lane] = set()  # lanes without a child that answers
        self._closed = False
        self._log = Logger()

    def run(
        self, declarations: Sequence[str], body: bytes, charset: str | None, content_type: str | None, url: str
    ) -> Deferred[Extracted]:
        """Take what Extraction.declarations say from a body; without any it is only parsed.

        Fails with CodedError: `parse_timeout`, `parse_error`, or `interrupted` when the worker is closed. Cancelling
        only stops the waiting.
        """
        # A byte more than is parsed: so the child knows that there was more.
        job = Job(tuple(declarations), url, body[: MAX_PARSED + 1], charset, content_type, self._timeout + _GRACE)
        task = _Task(job, self._forget)
        if self._closed:
            task.end(_interrupted())
        else:
            self._waiting.append(task)
            self._serve()
        return task.waiter

    def close(self) -> None:
        """End all children and threads; what has not ended fails. Takes a few milliseconds."""
        self._closed = True
        given_up = [*self._busy.values(), *self._waiting]
        lanes = [*self._busy, *self._idle]
        for task in self._busy.values():
            task.stop_timer()
        self._busy.clear()
        self._idle.clear()
        self._waiting.clear()
        for lane in lanes:
            lane.close()
        for task in given_up:
            task.end(_interrupted())

    def _forget(self, task: _Task) -> None:
        if task in self._waiting:
            self._waiting.remove(task)

    def _serve(self) -> None:
        while self._waiting:
            if not self._idle:
                if len(self._busy) >= self._processes:
                    return
                lane = Lane(self._reactor, started=self._started, ended=self._ended)
                self._idle.append(lane)
                self._fresh.add(lane)
            task = self._waiting.popleft()
            lane = self._idle.pop()
            self._busy[lane] = task
            fresh = lane in self._fresh
            task.begun = not fresh
            task.timer = self._reactor.callLater(START_SECONDS if fresh else self._timeout, self._expire, lane)
            lane.begin(task.job, fresh=fresh)

    def _started(self, lane: Lane) -> None:
        task = self._busy.get(lane)
        if task is not None and task.timer is not None and task.timer.active():  # else it is being killed
            self._fresh.discard(lane)
            task.begun = True
            task.timer.reset(self._timeout)

    def _expire(self, lane: Lane) -> None:
        self._busy[lane].expired = True
        self._fresh.add(lane)
        lane.kill()

    def _ended(self, lane: Lane, answer: Answer | None, fate: str) -> None:
        task = self._busy.pop(lane, None)
        if task is None:  # closed meanwhile
            return
        task.stop_timer()
        if answer is None or answer.last:
            self._fresh.add(lane)
        self._idle.append(lane)
        self._serve()  # before the waiter: who hears of this may close us
        task.end(self._result(task, answer, fate))

    def _result(self, task: _Task, answer: Answer | None, fate: str) -> Extracted | CodedError:
        if answer is None:
            if not task.expired:
                return CodedError("parse_error", f"the process that parses ended ({fate or 'no answer'})")
            if not task.begun:
                return CodedError("parse_error", f"the process that parses did not start within {START_SECONDS:g} s")
            return CodedError("parse_timeout", f"parsing took longer than {self._timeout:g} s")
        if answer.error is None:
            return Extracted(answer.data, answer.warnings)
        code, message = answer.error
        if code == "internal":
            self._log.error("parsing failed: {url}\n{traceback}", url=task.job.url, traceback=message)
            message = message.strip().rpartition("\n")[2]
        return CodedError(code, message)


def probe(document: Document, worker: ParseWorker) -> Deferred[Extracted] | None:
    """Before a page goes to code that parses it in this process: None if that is quick, else a trial in a worker's.

    Fails as ParseWorker.run does: so would the page, but here.
    """
    if LINEAR.covers(document.body):
        return None
    return worker.run((), document.body, document.charset, document.content_type, document.url)


def _interrupted() -> CodedError:
    return CodedError("interrupted", "the run was stopped before this page was parsed")
