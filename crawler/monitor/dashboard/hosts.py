"""The table of hosts as a page sees it: a window sorted and filtered here, so that 10,000 hosts weigh nothing there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, Final

import msgspec

from crawler.engine.control import HostRow
from crawler.monitor.dashboard.verbs import Hosts

SOONEST: Final = 1.0
SHARE: Final = 100  # of the time: so much is spent on looking at hosts at most


class Window(msgspec.Struct, frozen=True, tag_field="type", tag="hosts"):
    """`total` hosts there are, `matching` of them match; `hosts` begin with that at `offset`."""

    total: int
    matching: int
    offset: int
    hosts: Sequence[HostRow]


class HostTable:
    """`rows` is asked about once a second, and more rarely when that is slow; `clock` is monotonic seconds."""

    def __init__(self, rows: Callable[[], Sequence[HostRow]], clock: Callable[[], float]) -> None:
        self._ask = rows
        self._clock = clock
        self._rows: Sequence[HostRow] = ()
        self._next = float("-inf")
        self.version = 0

    def refresh(self) -> None:
        """Look at the hosts again, if it is time to. `version` then grows."""
        begun = self._clock()
        if begun < self._next:
            return
        self._rows = self._ask()
        self.version += 1
        self._next = begun + max(SOONEST, SHARE * (self._clock() - begun))

    def row(self, host: str) -> HostRow | None:
        """What is known of one host, by its key."""
        return next((row for row in self._rows if row.host == host), None)

    def window(self, view: Hosts) -> Window:
        match = view.match.strip().lower()
        rows = [row for row in self._rows if match in row.host] if match else list(self._rows)
        rows.sort(key=attrgetter("host"))
        rows.sort(key=_key(view.sort), reverse=view.descending)
        offset = min(view.offset, len(rows))
        return Window(len(self._rows), len(rows), offset, rows[offset : offset + view.number])


def _key(name: str) -> Callable[[HostRow], Any]:
    if name == "binding":
        return lambda row: row.binding or ""
    return attrgetter(name)
