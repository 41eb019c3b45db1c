"""Anything at all is said to the reference and to the store on Redis, and both answer the same.

Ids and tokens are each store's own: a URL is told by its data here, a lease by the host. Leases end at once, or never, so
that no time has to pass.
"""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any

import pytest
from redis_server import another_crawl, shared_cluster, shared_server
from shared_store import ReferenceStore
from twisted.internet.task import Clock

from crawler.frontier.shared.contract import (
    Arrival,
    Commit,
    Committed,
    Counts,
    Ended,
    Entry,
    HostBooks,
    Lease,
    Move,
    SharedStore,
    Turn,
    shard_of,
)
from crawler.frontier.shared.redis import RedisStore

HOSTS = [name for name in (f"{number}.example:80" for number in range(3_000)) if shard_of(name) in {3, 4}][:6]
LONG = 1_000.0
STEPS = 150


class Both:
    """Two stores. What a test names by data and host, each is told by its own ids and tokens."""

    def __init__(self, *stores: SharedStore) -> None:
        self.stores = stores
        self.tokens: list[dict[str, bytes]] = [{} for _ in stores]
        self.ids: list[dict[bytes, int]] = [{} for _ in stores]
        self.leased: dict[str, list[Entry]] = defaultdict(list)
        self.numbers: dict[tuple[int, str], int] = defaultdict(int)

    def same(self, method: str, *arguments: Any, **named: Any) -> Any:
        answers = [self._plain(at, getattr(store, method)(*arguments, **named)) for at, store in enumerate(self.stores)]
        assert answers[0] == answers[1], (method, arguments)
        return answers[0]

    def _plain(self, at: int, answer: Any) -> Any:
        """Without what is a store's own, which is kept."""
        match answer:
            case Entry():
                self.ids[at][answer.data] = answer.id
                return answer._replace(id=0)
            case Move():
                self.ids[at][answer.arrival.data] = answer.id
                return answer._replace(id=0)
            case Lease():
                self.tokens[at][answer.host] = answer.token
                entries = [self._plain(at, entry) for entry in answer.entries]
                return answer._replace(token=b"", entries=entries)
            case Committed():
                more = {host: [self._plain(at, entry) for entry in entries] for host, entries in answer.more.items()}
                return answer._replace(more=more)
            case HostBooks(queued=0, leased=0, state=b"", node=""):
                return None  # a store may forget it
            case HostBooks():
                return answer._replace(expires=round(answer.expires, -1), wait=0.0)
            case Counts() | str() | bytes():
                return answer
            case list() | tuple():
                return [self._plain(at, each) for each in answer]
        return answer

    def claim(self, shard: int, hosts: int, urls: int, ttl: float) -> list[Lease]:
        """The hosts come in the order of times that are not the same in both: all are claimed."""
        answers = []
        for at, store in enumerate(self.stores):
            found = [self._plain(at, lease) for lease in store.claim(shard, "node", hosts, urls, ttl)]
            answers.append(sorted(found, key=lambda lease: lease.host))
        assert answers[0] == answers[1]
        for lease in answers[0]:
            self.leased[lease.host] = lease.entries
        return answers[0]

    def commit(self, part: str, turn: Turn, *, twice: bool) -> Committed:
        shard = shard_of(turn.host)
        number = self.numbers[shard, part] + 1
        answers: list[Committed] = []
        for at, store in enumerate(self.stores):
            own = turn._replace(
                token=self.tokens[at].get(turn.host, b"none"),
                ended=[Ended(self.ids[at][ended.id], ended.outcome) for ended in turn.ended],
                again=[entry._replace(id=self.ids[at][entry.id]) for entry in turn.again],
                back=[entry._replace(id=self.ids[at][entry.id]) for entry in turn.back],
                moves=[move._replace(id=self.ids[at][move.id]) for move in turn.moves],
            )
            said = Commit(part, number, (number - 1) * 10, number * 10, [own], "node")
            answers += [self._plain(at, store.commit(shard, said)) for _ in range(2 if twice else 1)]
        assert all(answer == answers[0] for answer in answers)
        self.numbers[shard, part] += not answers[0].lost
        return answers[0]


def some(rng: random.Random, entries: list[Entry]) -> list[Entry]:
    """Some of them, taken out."""
    taken = [entry for entry in entries if rng.random() < 0.3]
    entries[:] = [entry for entry in entries if entry not in taken]
    return taken


def turn(rng: random.Random, both: Both, host: str, step: int) -> Turn:
    """Something that may be said of a leased host. Entries are named by their data where their id stands."""
    left = list(both.leased[host])
    over, led, again, back = (some(rng, left) for _ in range(4))
    named: Any = lambda entry: entry.data  # noqa: E731 -- what both find their own id by
    moves = [Move(named(entry), Arrival(rng.choice(HOSTS), None, entry.data, rng.randbytes(8))) for entry in led]
    ended = [Ended(named(entry), rng.choice(("ok", "failed", "skipped"))) for entry in over]
    ended += [Ended(move.id, "moved") for move in moves]
    release = rng.random() < 0.4
    both.leased[host] = left + again
    return Turn(
        host,
        b"",
        ended=ended,
        again=[entry._replace(id=named(entry)) for entry in again],
        back=[entry._replace(id=named(entry)) for entry in back],
        moves=moves,
        pages=rng.randrange(3),
        release=release,
        state=rng.choice((None, b"", b"state %d" % step)),
        wants=0 if release else rng.randrange(4),
    )


@pytest.mark.parametrize(
    ("is_cluster", "seed"), [(False, seed) for seed in range(12)] + [(True, seed) for seed in (12, 13)]
)
def test_both_say_the_same(is_cluster, seed):
    rng = random.Random(seed)
    url = f"redis://127.0.0.1:{shared_cluster()[0].port}" if is_cluster else shared_server().url
    longest = (1_000, 3)[seed % 2]  # a short head makes queues of several pieces
    redis = RedisStore(url, another_crawl(), head=longest, piece=longest, sleep=lambda _: None)  # waits for no disk
    both = Both(ReferenceStore(Clock().seconds), redis)
    keys = [rng.randbytes(8) for _ in range(60)]
    uids = [rng.randbytes(8) for _ in range(60)]
    ways = [(rng.choice(keys), rng.randbytes(8)) for _ in range(60)]
    moving: dict[int, list[Move]] = {}
    for step in range(STEPS):
        host = rng.choice(HOSTS)
        shard = shard_of(host)
        match rng.randrange(9):
            case 0 | 1:
                arrivals = [
                    Arrival(host, rng.choice((None, *keys)), b"%d-%d" % (step, number), rng.choice((None, *uids)))
                    for number in range(rng.randrange(1, 8))
                ]
                both.same("arrive", shard, [each for each in arrivals if each.key or each.uid])
            case 2:
                both.same("lead", shard, *rng.choice(ways))
            case 3:
                both.same("known", shard, keys)
            case 4:
                both.claim(shard, 10, rng.randrange(1, 5), rng.choice((LONG, LONG, LONG, 0.0)))
            case 5 | 6:
                said = turn(rng, both, host, step)
                answer = both.commit(rng.choice("pq"), said, twice=rng.random() < 0.3)
                if answer.lost or said.release:
                    both.leased[host] = []
                else:
                    both.leased[host] = both.leased[host] + answer.more.get(host, [])
            case 7:
                moving[shard] = both.same("moves", shard, 3)
            case 8:
                for move in moving.pop(shard, []):
                    both.same("arrive", shard_of(move.arrival.host), [move.arrival])
                    for at, store in enumerate(both.stores):
                        store.moved(shard, [both.ids[at][move.arrival.data]])
        for each in (3, 4):
            both.same("counts", each)
            both.same("parts", each)
        both.same("find", host, 50)
        both.same("host", host)
    redis.close()
