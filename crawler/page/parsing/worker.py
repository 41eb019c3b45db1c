"""ParseWorker: reading pages in child processes, for a reactor that must not wait."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from crawler.errors import CodedError
from crawler.models import Findings
from crawler.page.discovery import HEADERS, Answered, LinkRules
from crawler.page.page import MAX_PARSED, Extracted
from crawler.page.parsing import Answer, Discover, Extract, Job
from crawler.page.parsing.child import Child
from crawler.seeds.sitemaps import MAX_SIZE

START_SECONDS: Final = 60.0
_GRACE: Final = 10.0


class ParseReactor(Protocol):
    """What reading pages needs of a reactor: of IReactorTime and of IReactorFromThreads."""

    def seconds(self) -> float: ...

    def callLater(self, delay: float, function: Callable[..., object], /, *args: object) -> IDelayedCall: ...

    def callFromThread(self, function: Callable[..., object], /, *args: object) -> None: ...


class _Task:
    """A job, who waits for it, and how far it is: until it has `begun`, `timer` is that of the child's start."""

    def __init__(self, job: Job, canceller: Callable[[_Task], None]) -> None:
        self.job = job
        self.waiter: Deferred[Any] = Deferred(lambda _: canceller(self))
        self.timer: IDelayedCall | None = None
        self.begun = False
        self.expired = False
        self.is_second = False

    def stop_timer(self) -> None:
        if self.timer is not None and self.timer.active():
            self.timer.cancel()

    def end(self, result: Extracted | Findings | CodedError) -> None:
        if self.waiter.called:  # cancelled
            return
        if isinstance(result, CodedError):
            self.waiter.errback(result)
        else:
            self.waiter.callback(result)


class ParseWorker:
    """Parses in up to `processes` children, each a page at a time; they start when they are needed.

    A page that takes longer than `timeout` seconds ends its child and fails with `parse_timeout`. One whose child dies
    is tried once more with a fresh one, and then fails with `parse_error`. Others are not touched by that.

    All that is asked for fails with CodedError: one of these two, or `interrupted` when the worker is closed.
    Cancelling only stops the waiting. `fresh` are the children without a process that answers.
    """

    def __init__(self, reactor: ParseReactor, timeout: float, *, processes: int = 1) -> None:
        self._reactor = reactor
        self._timeout = timeout
        self._processes = processes
        self._waiting: deque[_Task] = deque()
        self._busy: dict[Child, _Task] = {}
        self._idle: list[Child] = []
        self.fresh: set[Child] = set()
        self._closed = False
        self._log = Logger()

    def run(
        self, declarations: Sequence[str], body: bytes, charset: str | None, content_type: str | None, url: str
    ) -> Deferred[Extracted]:
        """Take what Extraction.declarations say from a body; without any it is only parsed."""
        # A byte more than is parsed: so the child knows that there was more.
        return self._ask(Extract(tuple(declarations), url, body[: MAX_PARSED + 1], charset, content_type))

    def discover(self, answer: Answered, rules: LinkRules) -> Deferred[Findings]:
        """What crawler.page.discovery.discover finds."""
        headers = {name: answer.headers[name] for name in HEADERS if name in answer.headers}
        seen = msgspec.structs.replace(answer, body=answer.body[: MAX_SIZE + 1], headers=headers)
        return self._ask(Discover(seen, rules))

    @property
    def waiting(self) -> int:
        """How many pages wait for a process."""
        return len(self._waiting)

    def _ask(self, what: Extract | Discover) -> Deferred[Any]:
        task = _Task(Job(what, self._timeout + _GRACE), self._forget)
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
        children = [*self._busy, *self._idle]
        for task in self._busy.values():
            task.stop_timer()
        self._busy.clear()
        self._idle.clear()
        self._waiting.clear()
        for child in children:
            child.close()
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
                child = Child(self._reactor, started=self._started, ended=self._ended)
                self._idle.append(child)
                self.fresh.add(child)
            task = self._waiting.popleft()
            child = self._idle.pop()
            self._busy[child] = task
            fresh = child in self.fresh
            task.begun = not fresh
            task.timer = self._reactor.callLater(START_SECONDS if fresh else self._timeout, self._expire, child)
            child.begin(task.job, fresh=fresh)

    def _started(self, child: Child) -> None:
        task = self._busy.get(child)
        if task is not None and task.timer is not None and task.timer.active():  # else it is being killed
            self.fresh.discard(child)
            task.begun = True
            task.timer.reset(self._timeout)

    def _expire(self, child: Child) -> None:
        self._busy[child].expired = True
        self.fresh.add(child)
        child.kill()

    def _ended(self, child: Child, answer: Answer | None, fate: str) -> None:
        task = self._busy.pop(child, None)
        if task is None:  # closed meanwhile
            return
        task.stop_timer()
        if answer is None or answer.last:
            self.fresh.add(child)
        self._idle.append(child)
        if answer is None and not task.expired and not task.is_second and not task.waiter.called:
            task.is_second = True  # somebody may have killed the child, or the system have run out of memory
            self._waiting.appendleft(task)
            self._serve()
            return
        self._serve()  # before the waiter: who hears of this may close us
        task.end(self._result(task, answer, fate))

    def _result(self, task: _Task, answer: Answer | None, fate: str) -> Extracted | Findings | CodedError:
        if answer is None:
            if not task.expired:
                return CodedError("parse_error", f"the process that parses ended ({fate or 'no answer'})")
            if not task.begun:
                return CodedError("parse_error", f"the process that parses did not start within {START_SECONDS:g} s")
            return CodedError("parse_timeout", f"parsing took longer than {self._timeout:g} s")
        if answer.error is None:
            assert answer.result is not None
            return answer.result
        code, message = answer.error
        if code == "internal":
            what = task.job.task
            url = what.url if isinstance(what, Extract) else what.answer.url.href
            self._log.error("parsing failed: {url}\n{traceback}", url=url, traceback=message)
            message = message.strip().rpartition("\n")[2]
        return CodedError(code, message)


def _interrupted() -> CodedError:
    return CodedError("interrupted", "the run was stopped before this page was parsed")
