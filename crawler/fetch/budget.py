"""The memory that bodies may take while they are in the air: from their first byte until their record is written. A
large head, and the messages of a WebSocket, count with their body while that arrives.

While more than half of it is taken nothing new is started. What is in the air goes on, and when that comes to more than
the limit, the largest body is ended with `memory_limit`, as often as it takes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from sys import maxsize
from typing import Final

from crawler.errors import CodedError

MOST: Final = 1 << 30
LEAST: Final = 1 << 26
_SHARE: Final = 4
_UNKNOWN: Final = 1 << 32  # what a machine is taken to have that does not say


class Budget:
    """`limit`, `used` and `enough` are bytes: beyond `enough` nothing new is started.

    Who adds some to `used` takes the same away, whatever becomes of it.
    Each of `sources` gives the largest body of those that it lets grow, or None.
    """

    def __init__(self, limit: int = MOST) -> None:
        self.limit = limit
        self.used = 0
        self.sources: list[Callable[[], Growing | None]] = []
        self.enough = limit // 2

    @contextmanager
    def holding(self, size: int) -> Iterator[None]:
        """So much is held in the meantime."""
        self.used += size
        try:
            yield
        finally:
            self.used -= size

    def relieve(self) -> None:
        """End the largest bodies that grow until what is used is not above the limit."""
        while self.used > self.limit:
            largest = max(self._growing(), key=lambda body: body.held, default=None)
            if largest is None or not largest.held:
                return  # what is used waits for its record: it cannot be made smaller
            alone = largest.held > self.limit  # then it would be so again
            words = "the body takes" if alone else "the bodies in the air take"
            words += f" more than --max-memory ({self.limit:,} bytes)"
            largest.give_up(CodedError("memory_limit", words, transient=not alone))

    def _growing(self) -> Iterator[Growing]:
        for source in self.sources:
            body = source()
            if body is not None:
                yield body


class Growing:
    """A body that grows: its pieces go into one buffer, which is given away in the end, without a second copy.

    It is a part of whoever fetches it: an object of its own would cost each URL more. `held` is how many bytes it has,
    with what came beside it. What comes when that would be more than `room` is for `_outgrown`.
    """

    __slots__ = ("_body", "_budget", "_first", "held", "room")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._first = b""  # most bodies come in one piece
        self._body: BytesIO | None = None
        self.held = 0
        self.room = maxsize

    def stop(self, error: CodedError) -> None:
        """End it with this error; what it held is given back before this returns."""
        raise NotImplementedError

    def give_up(self, error: CodedError) -> None:
        """The same; what has come is dropped."""
        self._first, self._body = b"", None
        self.stop(error)

    def _take(self, data: bytes) -> None:
        """One piece more. This may end it, or others."""
        held, size = self.held, len(data)
        if size > self.room - held:
            self._outgrown(data)
            return
        if not held:
            self._first = data
        else:
            if self._body is None:
                self._body = BytesIO()
                self._body.write(self._first)
                self._first = b""
            self._body.write(data)
        self._weigh(size)

    def _outgrown(self, data: bytes) -> None:
        """Take a piece for which there is no room here."""
        raise NotImplementedError

    def _weigh(self, size: int) -> None:
        """So many bytes more are held, in the body or beside it. This may end it, or others."""
        self.held += size
        budget = self._budget
        budget.used += size
        if budget.used > budget.limit:
            budget.relieve()

    def _whole(self) -> bytes:
        """Give away what has come."""
        body, self._first = self._first if self._body is None else self._body.getvalue(), b""
        self._body = None
        return body

    def let_go(self) -> None:
        """Hold nothing any more."""
        self._budget.used -= self.held
        self.held = 0


def default_limit() -> int:
    """A quarter of the memory that this process may have, but not more than 1 GiB."""
    return max(LEAST, min(MOST, memory() // _SHARE))


def memory(proc: Path = Path("/proc/self/cgroup"), groups: Path = Path("/sys/fs/cgroup")) -> int:
    """The bytes of memory that this process may have: those of the machine, or of its control group or ulimit."""
    return min([_machine(), *_ulimit(), *_control_group(proc, groups)])


def _machine() -> int:
    with suppress(AttributeError, ValueError, OSError):  # not on Windows
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return _UNKNOWN


def _ulimit() -> Iterator[int]:
    try:
        import resource
    except ImportError:  # Windows
        return
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        yield soft


def _control_group(proc: Path, groups: Path) -> Iterator[int]:
    for folder, first in control_groups("memory", proc, groups):
        with suppress(OSError, ValueError):  # not there; or "max"
            yield int((folder / ("memory.limit_in_bytes" if first else "memory.max")).read_text())


def control_groups(controller: str, proc: Path, groups: Path) -> Iterator[tuple[Path, bool]]:
    """The folders of our control group and of those around it, and whether they are of version 1: cgroups(7).

    Inside a container its own group may look like the root, or have a path that is not there: then the root's counts.
    """
    with suppress(OSError, UnicodeDecodeError):
        for line in proc.read_text().splitlines():
            _, _, rest = line.partition(":")
            controllers, _, path = rest.partition(":")
            if controllers and controller not in controllers.split(","):
                continue
            root = groups / controller if controllers else groups
            place = root / path.lstrip("/")
            for folder in (place, *place.parents):
                yield folder, bool(controllers)
                if folder == root:
                    break
