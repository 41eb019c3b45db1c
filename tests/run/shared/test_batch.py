"""What a node says to the store at once, and says again."""

from __future__ import annotations

from typing import Any

import pytest
from shared_store import ReferenceStore
from twisted.internet.task import Clock

from crawler.frontier.shared.contract import Arrival, Ended, StoreError, Turn, shard_of
from crawler.frontier.shared.held import Changes, Held
from crawler.run.shared.batch import Batch
from crawler.run.shared.part import Part

HOST, SHARD = "a.example:80", shard_of("a.example:80")


class Unheard:
    """A store to which the first commit does not get."""

    def __init__(self, store: ReferenceStore) -> None:
        self._store = store
        self._is_heard = False

    def __getattr__(self, name: str) -> Any:
        if name == "commit" and not self._is_heard:
            self._is_heard = True
            raise StoreError("it is not reached")
        return getattr(self._store, name)


def test_a_new_part_asks_of_the_one_before_until_it_has_an_answer() -> None:
    """What the store has lost of that, it shall not take this for."""
    store = ReferenceStore(Clock().seconds)
    store.arrive(SHARD, [Arrival(HOST, bytes([number]) * 8, b"x") for number in range(2)])
    (lease,) = store.claim(SHARD, "node", 1, 2, 30.0)
    held = Held(HOST, SHARD, lease.token, 30.0)
    before = store.snapshot()

    def batch(part: Part, number: int) -> Batch:
        turn = Turn(HOST, lease.token, ended=[Ended(lease.entries[number].id, "ok")])
        return Batch(part, Changes({SHARD: [(held, turn)]}, {}), [], "node")

    first = Part(None, "first")
    assert not batch(first, 0)(store).refused
    store.restore(before)
    again = batch(Part(None, "second").following(first), 1)
    asked: Any = Unheard(store)
    with pytest.raises(StoreError):
        again(asked)
    ((_, _, answer),) = again(asked).refused
    assert answer.forgotten
    assert store.counts(SHARD).ok == 0
