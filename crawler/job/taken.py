"""What a job has taken of its inputs: told to the journal, and passed over by the run that goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

import msgspec

from crawler.job.options import JobError
from crawler.seeds.feed import Feed
from crawler.seeds.inputs import BadLine, Seed
from crawler.store.journal import Journal, checksum
from crawler.store.rows import Mark


def pass_over(source: Iterator[Seed | BadLine], mark: Mark, learn: Callable[[Seed], None]) -> None:
    """Read what was read before, up to the mark; `learn` gets each seed. Raises JobError if it is not the same."""
    count, crc = 0, 0
    for seed in islice(source, mark.count):
        count, crc = count + 1, checksum(_known_by(seed), crc)
        if isinstance(seed, Seed):
            learn(seed)
    if (count, crc) != (mark.count, mark.crc):
        raise JobError(
            f"the inputs have changed: their first {mark.count:,} URLs, which this job has read, differ now"
            " (put them back as they were, or begin another job)"
        )


class JobFeed:
    """A feed that tells the journal what was taken of it."""

    def __init__(self, feed: Feed, journal: Journal) -> None:
        self._feed = feed
        self._journal = journal
        self.exhausted = feed.exhausted

    @property
    def on_ready(self) -> Callable[[], None]:
        return self._feed.on_ready

    @on_ready.setter
    def on_ready(self, call: Callable[[], None]) -> None:
        self._feed.on_ready = call

    def take(self) -> Seed | BadLine | None:
        seed = self._feed.take()
        if seed is None:
            self.exhausted = self._feed.exhausted
        else:
            self._journal.seed_taken(_known_by(seed))
        return seed

    def close(self) -> None:
        self._feed.close()
        self.exhausted = True


def _known_by(seed: Seed | BadLine) -> str:
    """What an input is known by. Headers and meta may be others in the next run: a token, the time."""
    if isinstance(seed, BadLine):
        return seed.text
    if seed.method is None and (seed.ask is None or seed.ask.body is None):
        return seed.written
    body = None if seed.ask is None else seed.ask.body
    return f"{seed.written} {seed.method} {msgspec.json.encode(body).decode()}"
