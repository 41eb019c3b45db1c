"""What a node says to the store at once: records to the part, what they lead to into its shards, then the commits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, TypeVar

from twisted.internet.defer import Deferred

from crawler.frontier.shared.contract import Arrival, Commit, Committed, Ended, SharedStore, Turn, shard_of
from crawler.frontier.shared.held import Changes, Held
from crawler.run.shared.part import Line, Part

_AT_ONCE: Final = 1_000  # arrivals to a shard
T = TypeVar("T")


class Written(NamedTuple):
    """A record that is not yet committed, and who holds its host."""

    held: Held
    data: bytes
    ended: Ended | None = None  # told only when its part is there


class Batch:
    """What is said to the store at once.

    Called again, it goes on where it was; but what was found arrives anew before anything more is committed: the store
    may have lost its last second between the two.
    """

    def __init__(self, part: Part, changes: Changes, lines: Sequence[Written], node: str) -> None:
        self.lines = lines
        self.committed: list[tuple[Held, Turn, Sequence[Any]]] = []
        self.refused: list[tuple[int, Sequence[tuple[Held, Turn]], Committed]] = []
        self.heard: list[int] = []
        self._part = part
        self._node = node
        self._written = False
        self._are_there = False
        self._links = [
            (shard, arrivals[at : at + _AT_ONCE])
            for shard, arrivals in changes.links.items()
            for at in range(0, len(arrivals), _AT_ONCE)
        ]
        self._turns = list(changes.turns.items())
        self._moves: list[tuple[int, list[int]]] = []
        self._moving: list[tuple[int, Arrival]] = []

    def __call__(self, store: SharedStore) -> Batch:
        part = self._part
        if not self._written:
            part.append([Line(line.held.shard, line.data) for line in self.lines])
            self._written = True
        for shard, arrivals in self._links if self._turns or not self._are_there else ():
            if store.arrive(shard, arrivals):
                self.heard.append(shard)
        self._are_there = True
        while self._turns:
            shard, said = self._turns[-1]
            self._commit(store, shard, said)
            self._turns.pop()
        while self._moving:
            shard, arrival = self._moving[-1]
            if store.arrive(shard, [arrival]):
                self.heard.append(shard)
            self._moving.pop()
        while self._moves:
            store.moved(*self._moves[-1])
            self._moves.pop()
        return self

    def _goes_on(self, store: SharedStore, shard: int) -> bool:
        """Whether a shard still knows what it had committed of the part before this one."""
        last = self._part.before.get(shard)
        if last is None:
            return True
        name, number, size = last
        answer = store.commit(shard, Commit(name, number + 1, size, size, (), self._node))
        del self._part.before[shard]  # not before there is an answer
        return not answer.forgotten

    def _commit(self, store: SharedStore, shard: int, said: Sequence[tuple[Held, Turn]]) -> None:
        part = self._part
        number, before = part.committed.get(shard, (0, 0))
        if not self._goes_on(store, shard):
            self.refused.append((shard, said, Committed([], forgotten=True, more={})))
            return
        turns = [turn for _, turn in said]
        commit = Commit(part.name, number + 1, before, part.size, turns, self._node)
        answer = store.commit(shard, commit)
        if answer.lost or answer.forgotten:
            self.refused.append((shard, said, answer))
            return
        part.committed[shard] = (number + 1, part.size)
        for held, turn in said:
            self.committed.append((held, turn, answer.more.get(held.host, ())))
            if turn.moves:
                self._moves.append((shard, [move.id for move in turn.moves]))
                self._moving += [(shard_of(move.arrival.host), move.arrival) for move in turn.moves]
            if turn.release:
                self.heard.append(shard)


def tell(waiting: Sequence[Deferred[T]], answer: T) -> None:
    """Fire these, but for those that nobody waits for any more."""
    for waiter in waiting:
        if not waiter.called:
            waiter.callback(answer)


def is_bare(turn: Turn) -> bool:
    """Whether it says no more than that a lease ends: that is true whatever the store has lost."""
    return turn.release and not (turn.ended or turn.again or turn.back or turn.moves or turn.pages)


def once(said: list[tuple[Held, Turn]]) -> list[tuple[Held, Turn]]:
    """Each lease ends once: a host may have been let go just as it was given up."""
    ends = {held: turn for held, turn in said if is_bare(turn)}
    return [(held, turn) for held, turn in said if not is_bare(turn) or ends[held] is turn]
