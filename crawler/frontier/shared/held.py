"""A host that this node holds, and what is to be said of it with the next commit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from crawler.frontier.shared.contract import Arrival, Ended, Entry, Move, Turn
from crawler.robots.policy import Carried


class Held:
    """`entries` are the ids of its URLs in the store by their ids here, of all that have not ended.

    `queued` more wait in the store, as far as is known; `given` came here since it was claimed. After `deadline`, on
    the clock of this node, it is somebody else's. What `is_lost` is so already: nothing of it may be told.
    """

    __slots__ = (
        "again", "deadline", "ended", "entries", "given", "host", "is_leaving", "is_lost", "is_typed", "moves", "pages",
        "queued", "rules", "shard", "state", "token", "unwritten",
    )  # fmt: skip

    def __init__(self, host: str, shard: int, token: bytes, deadline: float) -> None:
        self.host = host
        self.shard = shard
        self.token = token
        self.deadline = deadline
        self.entries: dict[int, int] = {}
        self.queued = 0
        self.given = 0
        self.is_lost = False
        self.is_leaving = False  # its release is on the way
        self.is_typed = False  # somebody wrote a URL of it
        self.state = b""  # as the store has it
        self.rules: tuple[Carried, ...] = ()  # of its robots.txt
        # What the next commit says.
        self.ended: list[Ended] = []
        self.again: dict[int, Entry] = {}
        self.moves: list[Move] = []
        self.pages = 0
        self.unwritten = 0  # have ended, and are told when their records are in a part

    def hold_back(self) -> Ended:
        """The last end, which is not said with the next commit."""
        self.unwritten += 1
        return self.ended.pop()

    def cut(self) -> Turn:
        """What there is to say, which the next one does not say again."""
        turn = Turn(
            self.host,
            self.token,
            ended=self.ended,
            again=list(self.again.values()),
            moves=self.moves,
            pages=self.pages,
        )
        self.ended, self.again, self.moves, self.pages = [], {}, [], 0
        return turn


class Changes(NamedTuple):
    """What has happened since the last cut: turns by shard, each with who holds its host, and URLs that were found."""

    turns: dict[int, list[tuple[Held, Turn]]]
    links: dict[int, Sequence[Arrival]]
