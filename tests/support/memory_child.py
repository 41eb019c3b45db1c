"""Parse processes in memory, under a Clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.task import Clock

from crawler.page.parsing import Job, decode_answer, decode_job, encode
from crawler.page.parsing.__main__ import answer_to


class MemoryChild:
    """A crawler.page.parsing.child.Child whose work is done here and takes no time: the real one waits for a process."""

    def __init__(self, clock: Clock, *, started: Callable[[Any], None], ended: Callable[[Any, Any, str], None]) -> None:
        self._clock = clock
        self._started = started
        self._ended = ended

    def begin(self, job: Job, *, fresh: bool) -> None:
        if fresh:
            self._clock.callLater(0, self._started, self)
        answer = decode_answer(encode(answer_to(decode_job(encode(job)).task)))
        self._clock.callLater(0, self._ended, self, answer, "")

    def kill(self) -> None: ...

    def close(self) -> None: ...
