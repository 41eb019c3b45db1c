"""Long queues that are files meanwhile: one look takes little of the time in which leases have to be renewed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shared_nodes import AsksOnClock
from shared_store import ReferenceStore
from twisted.internet.task import Clock

from crawler.frontier.shared.contract import Arrival, shard_of
from crawler.run.shared.spilling import EVERY, Spilling

HOSTS = {shard_of(name): name for name in (f"{number}.example:80" for number in range(40))}


class Slow:
    """A store that takes half a second for each tail."""

    def __init__(self, store: ReferenceStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def __getattr__(self, name: str) -> Any:
        if name == "spilled":
            self._clock.rightNow += 0.5
        return getattr(self._store, name)


def test_what_takes_long_goes_on_later(tmp_path: Path) -> None:
    clock = Clock()
    store = ReferenceStore(clock.seconds, longest=4)
    for shard, host in HOSTS.items():
        store.arrive(shard, [Arrival(host, b"%d" % number, b"x") for number in range(6)])
    slow: Any = Slow(store, clock)
    spilling = Spilling(str(tmp_path), asks=AsksOnClock(slow, clock), clock=clock, node="node", ttl=60.0)
    spilling.heard(HOSTS)
    spilling.start()
    began = clock.seconds()
    clock.advance(EVERY)
    clock.advance(0.01)
    assert clock.seconds() - began < EVERY + 2
    assert 0 < len([*tmp_path.iterdir()]) < len(HOSTS)
    for _ in range(3 * len(HOSTS)):
        clock.advance(1)
    spilling.stop()
    assert len([*tmp_path.iterdir()]) == len(HOSTS)


def test_a_file_that_is_missing_ends_the_node(tmp_path: Path) -> None:
    """Its URLs are nowhere else: the crawl would never end."""
    clock = Clock()
    store = ReferenceStore(clock.seconds, longest=4)
    shard, host = next(iter(HOSTS.items()))
    store.arrive(shard, [Arrival(host, b"%d" % number, b"x") for number in range(6)])
    spill = store.spill(shard, "other", 60.0)
    assert spill is not None
    assert store.spilled(shard, spill, "gone")
    spilling = Spilling(str(tmp_path), asks=AsksOnClock(store, clock), clock=clock, node="node", ttl=60.0)
    errors: list[BaseException] = []
    spilling.on_error = errors.append
    spilling.look_everywhere()
    spilling.start()
    clock.advance(EVERY)
    clock.advance(0.01)
    spilling.stop()
    assert [str(error) for error in errors] == [f"{tmp_path / 'gone'} is missing, and has URLs of {host}"]
