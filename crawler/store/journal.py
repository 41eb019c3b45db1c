"""What happens to the URLs of a job, as events: gathered in the reactor's thread, cut into batches for the store.

The order of events is kept, so what one batch holds never depends on a later one: the links of a page are in the batch
of its record or before. An input read from a list may wait a little, for its record mostly comes within a second; then
one row is written instead of a row, its place in an index, and both changed again. It counts as read only when its
row is written: whatever is lost with a process is read again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from zlib import crc32

from crawler.models import Record, Request, Response
from crawler.seeds.inputs import BadLine
from crawler.store.batch import Batch
from crawler.store.rows import BEGUN, PARKED, Mark, New, again_row, ended_row, hop_row, try_row

WAIT: Final = 1.0  # how long an input of a list may wait for its record; twice that at most


class Journal:
    """Takes the events; `epoch` gives the time of day at which the monotonic clock said 0, as far as is known now.

    Ids ascend; `following` is the next. `batch` is the number of the next one. `on_event` is called with the first
    event after a cut.
    """

    def __init__(
        self,
        *,
        epoch: Callable[[], float] = lambda: 0.0,
        following: int = 0,
        batch: int = 1,
        seeds: Mark | None = None,
    ) -> None:
        self.on_event: Callable[[], None] = lambda: None
        self.size = 0  # how many events wait that should not wait long
        self._epoch = epoch
        self._batch = Batch(batch)
        self._new: dict[int, New] = {}
        self._seeds = seeds or Mark()
        self._before: Mark | None = None  # how far the inputs were read before the one that was taken last
        self._bound = -1  # new inputs up to this id are written with the next batch
        self._last = following - 1
        self._aging = -1  # the newest id of `_aging_since`
        self._aging_since = 0.0
        self._awake = False

    @property
    def batch(self) -> int:
        """The number of the batch that is gathered."""
        return self._batch.number

    @property
    def empty(self) -> bool:
        """True when every event is in a batch that was cut."""
        return not self._awake

    # Inputs.

    def seed_taken(self, text: str) -> None:
        """The next of the inputs was read. What becomes of it is told before the next is taken."""
        before = self._before = self._seeds
        self._seeds = Mark(before.count + 1, checksum(text, before.crc))

    def added(self, request: Request, key: bytes | None = None) -> None:
        """A URL was accepted; `key` is the one by which it is known from now on."""
        self._enter(New(request.id, request, self._before if request.input.parent is None else None, key))

    def known(self) -> None:
        """The input that was read is nothing new."""
        self._before = None

    def refused(self, number: int, line: BadLine, key: bytes | None = None) -> None:
        """An input was accepted that is not fetched. Its record may take a while to be written."""
        self._enter(New(number, line, self._before if line.input.parent is None else None, key))

    def _enter(self, new: New) -> None:
        if new.id <= self._last:
            raise KeyError(f"request {new.id} comes after {self._last}: two inputs share an id, or are out of order")
        self._new[new.id] = new
        self._last = new.id
        if new.mark is None:
            self._bound = new.id  # a link: the record of its page may be next
        self._before = None
        if not self._awake:
            self._wake()

    def spilled(self, backlog: Any, number: int) -> None:
        """A new URL is kept nowhere but in the store."""
        self._batch.spilled[backlog] = number
        self._bound = number
        self.size += 1

    # What becomes of them.

    def led(self, number: int, key: bytes) -> None:
        """A redirect has led an input to the URL of this key. Known from now on, but not before the input itself is."""
        new = self._new.get(number)
        if new is None:
            self._batch.led.append((key, number))
            self.size += 1
        else:
            new.led = (*new.led, key)
        if not self._awake:
            self._wake()

    def again(self, request: Request, when: float, *, parked: bool) -> None:
        """A URL was queued again, or parked, for a time on the monotonic clock."""
        state = PARKED if parked else BEGUN
        new = self._new.get(request.id)
        if new is None:
            self._batch.again.append(again_row(request, state, when + self._epoch()))
            hop = hop_row(request)
            if hop is not None:
                self._batch.hops.append(hop)
            self.size += 1
        else:
            new.again, new.state, new.not_before = request, state, when + self._epoch()
        if not self._awake:
            self._wake()

    def blocked(self, host: str, until: float) -> None:
        """A host is not to be asked before that time on the monotonic clock."""
        self._batch.hosts.append((host, until + self._epoch()))
        if not self._awake:
            self._wake()

    def paced(self, host: str, delay: float) -> None:
        """From request to request of a host there are now so many seconds, more than is configured."""
        self._batch.delays.append((host, delay))
        if not self._awake:
            self._wake()

    def begun(self, request: Request, now: float) -> None:
        """A URL is about to be asked for, for the first time. It is written with the next batch."""
        self._bound = max(self._bound, request.id)
        self.again(request, now, parked=request.parked)
        self.size += 1

    def tried(self, request: Request, response: Response) -> None:
        """A try or a hop has ended that is not the URL's last one."""
        self._batch.tries.append(try_row(request, response))
        self.size += 1
        if not self._awake:
            self._wake()

    def ended(self, number: int, record: Record) -> None:
        """The record of an input was given to the outputs."""
        batch = self._batch
        row = ended_row(number, record, batch.number)
        new = self._new.get(number)
        if new is not None:
            new.ended = row
        elif record.attempts:
            batch.ended.append(row)
        else:
            batch.unfetched.append((number, record, row))
        self._bound = max(self._bound, number)
        self.size += 1
        if not self._awake:
            self._wake()

    def _wake(self) -> None:
        self._awake = True
        self.on_event()

    # Batches.

    def cut(self, now: float, *, everything: bool = False) -> Batch | None:
        """The events up to now, or None when none is due. With `everything` the new inputs wait no more."""
        if everything:
            self._bound = self._last
        elif now - self._aging_since >= WAIT:
            self._bound = max(self._bound, self._aging)
            self._aging, self._aging_since = self._last, now
        batch = self._batch
        batch.new = self._due()
        batch.seeds = next((new.mark for new in self._new.values()), self._seeds)
        self._awake = bool(self._new)
        if not self.size and not batch.new and not batch.hosts and not batch.delays:
            return None
        self.size = 0
        return self.next_batch()

    def next_batch(self) -> Batch:
        """The batch as it is, though it may be empty."""
        batch = self._batch
        self._batch = Batch(batch.number + 1)
        return batch

    def _due(self) -> list[New]:
        """Take out the new inputs up to the bound; a later one is always from a list."""
        due = []
        for number, new in self._new.items():
            if number > self._bound:
                break
            due.append(new)
        for new in due:
            del self._new[new.id]
        return due


def checksum(text: str, crc: int = 0) -> int:
    """Over the texts of inputs, one after the other."""
    return crc32(text.encode("utf-8", "replace"), crc)
