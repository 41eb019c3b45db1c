"""Disks for tests: one that is done at once, and one that does nothing until it is told to."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from crawler.fetch.saving.spool import Disk


class AtOnce(Disk):
    """What is to be done is done at once, in the same thread."""

    def __init__(self) -> None:
        super().__init__(self)  # type: ignore[arg-type]
        self.closed = False

    def do(self, task: Callable[[], None]) -> None:
        task()

    def callFromThread(self, function: Callable[..., object], /, *arguments: object) -> None:
        function(*arguments)

    def close(self) -> None:
        self.closed = True


class ByHand(AtOnce):
    """What is to be done waits for `work`."""

    def __init__(self) -> None:
        super().__init__()
        self.tasks: deque[Callable[[], None]] = deque()

    def do(self, task: Callable[[], None]) -> None:
        self.tasks.append(task)

    def work(self) -> None:
        while self.tasks:
            self.tasks.popleft()()
