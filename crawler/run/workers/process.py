"""One worker as its parent sees it: a process, the socket to it, and what it is doing."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from twisted.internet.defer import Deferred

from crawler.run.workers.channel import Channel
from crawler.run.workers.frames import Claim, Health, Start
from crawler.run.workers.rate import FarTaker
from crawler.run.workers.starting import Starts
from crawler.stats.stats import WorkerLoad

CLOSE_SECONDS: Final = 2.0
_MOST_HOSTS: Final = 10_000


class Waiting:
    """A claim in the air: who waits for it, who hears that it is sent, and which worker has it. `host` is its host."""

    __slots__ = ("_cancel", "claim", "host", "on_sent", "waiter", "worker")

    def __init__(
        self,
        claim: Claim,
        host: str,
        worker: Process,
        on_sent: Callable[[], None] | None,
        cancel: Callable[[Waiting], None],
    ) -> None:
        self.claim = claim
        self.host = host
        self.worker = worker
        self.on_sent = on_sent
        self._cancel = cancel
        self.waiter: Deferred[Any] = Deferred(self._cancelled)

    def _cancelled(self, _: object) -> None:
        self._cancel(self)


class Process:
    """`received` gets each frame, `lost` hears that the process has ended. `alone`: it has one claim and no other.
    So many were `replaced` in its place.

    Raises OSError where there are no descriptors or no memory left.
    """

    def __init__(
        self,
        reactor: Any,
        starts: Starts,
        start: Start,
        *,
        received: Callable[[Process, bytes], None],
        lost: Callable[[Process], None],
        alone: bool = False,
        replaced: int = 0,
    ) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._started = starts.start(theirs)
            except BaseException:
                ours.close()
                raise
        self.alone = alone
        self.replaced = replaced
        self._heard_at: float | None = None
        self._busy = 0.0
        self.in_flight: dict[int, Waiting] = {}
        self.health = Health(0.0, 0, 0)
        self.pid = 0  # known when it is ready
        self.unstarted = False  # the machine had no room for it
        self.done = 0
        self.takers: dict[int, FarTaker] = {}
        self._idle: dict[str, int] = {}  # connections that have nothing to do, as far as one can know
        self._channel = Channel(reactor, ours, received=lambda frame: received(self, frame), lost=lambda: lost(self))
        self.put = self._channel.put
        self.put(start)

    @property
    def ready(self) -> bool:
        """Whether it has said something."""
        return self.pid > 0

    def hear(self, health: Health, now: float) -> None:
        """How it is; what it has used of a core since it said so before."""
        before, then = self.health, self._heard_at
        if then is not None and now > then:
            self._busy = max(0.0, (health.cpu - before.cpu) / (now - then))
        self.health, self._heard_at = health, now

    @property
    def load(self) -> WorkerLoad:
        health = self.health
        return WorkerLoad(self.pid, len(self.in_flight), self.done, self._busy, health.resident, self.replaced)

    def has_idle(self, host: str) -> bool:
        """Whether it has a connection there that has nothing to do."""
        return host in self._idle

    def begun(self, waiting: Waiting) -> None:
        """Give it a claim: it has one idle connection less, if it had one."""
        claim = waiting.claim
        self.in_flight[claim.ticket] = waiting
        number = self._idle.pop(waiting.host, 0)
        if number > 1:
            self._idle[waiting.host] = number - 1
        self.put(claim)

    def ended(self, ticket: int) -> Waiting | None:
        """It has answered a claim; None for one that was cancelled."""
        waiting = self.in_flight.pop(ticket, None)
        if waiting is not None:
            self.done += 1
            idle, host = self._idle, waiting.host
            idle[host] = idle.get(host, 0) + 1
            if len(idle) > _MOST_HOSTS:
                del idle[next(iter(idle))]
        return waiting

    def close(self) -> None:
        """Let it end: it does so when the socket is closed."""
        self._channel.close()

    def join(self) -> None:
        """Wait until it has ended; one that does not is killed, and one that is only starting at once."""
        with suppress(OSError):
            self._started.wait(CLOSE_SECONDS if self.ready else 0.0)

    def fate(self) -> str:
        """How it has ended, in words. What still lives is killed. See `unstarted`, too."""
        try:
            status = self._started.wait(0.0)
        except OSError as error:
            self.unstarted = True
            return f"not started: {error.strerror}"
        return f"signal {-status}" if status < 0 else f"exit status {status}"
