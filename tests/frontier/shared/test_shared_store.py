"""The contract of every shared store: tests run against each implementation in RIGS."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Final

import pytest
from redis_server import another_crawl, shared_server
from shared_store import ReferenceStore
from twisted.internet.task import Clock

from crawler.frontier.shared.contract import (
    SHARDS,
    WIDENED,
    Arrival,
    Commit,
    Committed,
    Counts,
    Ended,
    Entry,
    Lease,
    Move,
    SharedStore,
    StoreRefusedError,
    Turn,
    shard_of,
    total,
)
from crawler.frontier.shared.redis import RedisStore

LONGEST: Final = 8  # URLs of a host that a store keeps in its queue


@dataclass
class Rig:
    """A store that is empty, another that is used by another node, and what a test may do to both.

    `second` is how long a second is here: short where time cannot be made to pass.
    """

    store: SharedStore
    other: SharedStore
    wait: Callable[[float], None]
    push: Callable[[bytes], None]
    second: float = 1.0


@contextmanager
def reference() -> Iterator[Rig]:
    clock = Clock()
    store = ReferenceStore(clock.seconds, longest=LONGEST)
    yield Rig(store, store, clock.advance, store.push)


@contextmanager
def redis() -> Iterator[Rig]:
    """Two nodes on a real server, whose time is the real one. Both are connected before it counts."""
    server, crawl = shared_server(), another_crawl()
    store, other = (RedisStore(server.url, crawl, head=LONGEST // 2, piece=LONGEST // 2) for _ in range(2))
    other.nodes()
    client = server.client()
    yield Rig(store, other, time.sleep, lambda line: client.rpush(f"{{crawl:{crawl}}}:push", line), second=0.1)
    store.close()
    other.close()
    client.close()


RIGS: dict[str, Callable[[], AbstractContextManager[Rig]]] = {"reference": reference, "redis": redis}


@pytest.fixture(params=RIGS)
def rig(request) -> Iterator[Rig]:
    with RIGS[request.param]() as made:
        made.store.open("{}")
        yield made


HOST, SHARD = "http://a.example:80", shard_of("http://a.example:80")
LONG: Final = 1_000.0
_numbers = count(1)


def eight() -> bytes:
    """Eight bytes that nobody else has."""
    return next(_numbers).to_bytes(8)


def link(data: bytes, host: str = HOST, key: bytes | None = None) -> Arrival:
    return Arrival(host, key or eight(), data)


def fill(store: SharedStore, *data: bytes, host: str = HOST) -> None:
    store.arrive(shard_of(host), [link(each, host) for each in data])


def claim(store: SharedStore, node: str = "one", *, urls: int = 100, ttl: float = LONG) -> Lease:
    """The lease of the one host that there is."""
    (lease,) = store.claim(SHARD, node, 10, urls, ttl)
    return lease


def claim_of(store: SharedStore, host: str) -> Lease:
    """The lease of one of several, each in a shard with others perhaps."""
    return next(lease for lease in store.claim(shard_of(host), "one", 10, 100, LONG) if lease.host == host)


def data(entries: list[Entry]) -> list[bytes]:
    return [entry.data for entry in entries]


def ended(lease: Lease, *outcomes: str) -> list[Ended]:
    return [Ended(entry.id, outcome) for entry, outcome in zip(lease.entries, outcomes, strict=False)]


def commit(store: SharedStore, number: int, *turns: Turn, before: int = 0, size: int = 0, part: str = "p") -> Committed:
    return store.commit(SHARD, Commit(part, number, before, size, turns, "one"))


def balanced(counts: Counts) -> bool:
    return counts.pending == counts.queued + counts.leased + counts.moving >= 0


class TestArrivals:
    def test_what_is_known_is_dropped(self, rig):
        key = eight()
        assert rig.store.arrive(SHARD, [link(b"1", key=key), link(b"2", key=key), link(b"3")]) == 2
        assert rig.other.arrive(SHARD, [link(b"4", key=key)]) == 0
        assert data(claim(rig.store).entries) == [b"1", b"3"]

    def test_an_input_that_is_known_has_its_record_too(self, rig):
        key = eight()
        inputs = [Arrival(HOST, key, b"1", eight()), Arrival(HOST, key, b"2", eight())]
        assert rig.store.arrive(SHARD, inputs) == 2
        assert [(entry.data, entry.is_duplicate) for entry in claim(rig.store).entries] == [(b"1", False), (b"2", True)]

    def test_an_input_counts_once_however_often_it_is_said(self, rig):
        """Its first saying is no reason to call the second one a duplicate."""
        arrival = Arrival(HOST, eight(), b"1", eight())
        assert [rig.store.arrive(SHARD, [arrival]), rig.other.arrive(SHARD, [arrival])] == [1, 0]
        assert [entry.is_duplicate for entry in claim(rig.store).entries] == [False]

    def test_without_a_key_nothing_is_compared(self, rig):
        """But it counts once, too."""
        first, second = Arrival(HOST, None, b"1", eight()), Arrival(HOST, None, b"1", eight())
        assert rig.store.arrive(SHARD, [first, second, first]) == 2
        assert rig.store.counts(SHARD).known == 0

    def test_an_input_makes_its_key_known_to_links(self, rig):
        key = eight()
        rig.store.arrive(SHARD, [Arrival(HOST, key, b"1", eight())])
        assert rig.store.arrive(SHARD, [link(b"2", key=key)]) == 0
        assert rig.store.known(SHARD, [key, eight()]) == [True, False]

    def test_it_is_known_when_it_has_ended(self, rig):
        key = eight()
        rig.store.arrive(SHARD, [link(b"1", key=key)])
        lease = claim(rig.store)
        commit(rig.store, 1, Turn(HOST, lease.token, ended=ended(lease, "ok"), release=True))
        assert rig.store.arrive(SHARD, [link(b"2", key=key)]) == 0

    def test_many_at_once(self, rig):
        """More than the server of a store takes as arguments of one call, of many hosts."""
        hosts = [name for name in (f"http://{number}.example:80" for number in range(60_000)) if shard_of(name) == 5]
        arrivals = [link(b"%d" % number, host) for host in hosts for number in range(40)]
        assert rig.store.arrive(5, arrivals) == len(arrivals) > 8_000
        assert rig.store.counts(5).hosts == len(hosts)

    def test_where_a_redirect_leads(self, rig):
        """It is known from then on, by this way; said again it is the same."""
        key, uid = eight(), eight()
        assert rig.store.lead(SHARD, key, uid)
        assert rig.other.lead(SHARD, key, uid)
        assert not rig.store.lead(SHARD, key, eight())
        assert rig.store.arrive(SHARD, [link(b"1", key=key)]) == 0
        known = eight()
        rig.store.arrive(SHARD, [link(b"2", key=known)])
        assert not rig.store.lead(SHARD, known, eight())


class TestClaims:
    def test_in_the_order_in_which_they_came(self, rig):
        fill(rig.store, b"1", b"2", b"3", b"4")
        lease = claim(rig.store, urls=3)
        assert (lease.host, data(lease.entries), lease.queued, lease.state) == (HOST, [b"1", b"2", b"3"], 1, b"")
        assert len({entry.id for entry in lease.entries}) == 3

    def test_one_holder_at_a_time(self, rig):
        fill(rig.store, b"1", b"2")
        claim(rig.store, urls=1)
        assert rig.other.claim(SHARD, "two", 10, 10, LONG) == []

    def test_so_many_hosts_as_are_wanted(self, rig):
        hosts = [name for name in (f"http://{number}.example:80" for number in range(3_000)) if shard_of(name) == 9]
        for host in hosts[:4]:
            fill(rig.store, b"x", host=host)
        first = rig.store.claim(9, "one", 3, 10, LONG)
        second = rig.other.claim(9, "two", 3, 10, LONG)
        assert (len(first), len(second)) == (3, 1)
        assert {lease.host for lease in first + second} == set(hosts[:4])
        assert len({lease.token for lease in first + second}) == 4

    def test_a_host_waits(self, rig):
        """Also for what comes to it then."""
        fill(rig.store, b"1")
        lease = claim(rig.store)
        turn = Turn(HOST, lease.token, ended=ended(lease, "ok"), release=True, wait=5 * rig.second, state=b"blocked")
        commit(rig.store, 1, turn)
        fill(rig.store, b"2")
        assert rig.store.claim(SHARD, "one", 10, 10, LONG) == []
        books = rig.store.host(HOST)
        assert 0 < books.wait <= 5 * rig.second
        rig.wait(5.1 * rig.second)
        lease = claim(rig.other)
        assert (data(lease.entries), lease.state) == ([b"2"], b"blocked")

    def test_a_lease_that_runs_out_comes_back_first(self, rig):
        """Its host is asked when the delay has passed since the end, and its token is worth nothing any more."""
        fill(rig.store, b"1", b"2", b"3")
        late = claim(rig.store, urls=2, ttl=2 * rig.second)
        commit(rig.store, 1, Turn(HOST, late.token, delay=4 * rig.second))
        rig.wait(3 * rig.second)
        assert rig.other.claim(SHARD, "two", 10, 10, LONG) == []
        rig.wait(3.5 * rig.second)
        lease = claim(rig.other, "two")
        assert data(lease.entries) == [b"1", b"2", b"3"]
        assert lease.token != late.token
        assert rig.store.renew(SHARD, [(HOST, late.token)], LONG) == [False]
        answer = commit(rig.store, 2, Turn(HOST, late.token, ended=ended(late, "ok")), size=10)
        assert answer == Committed([HOST], forgotten=False, more={})
        assert rig.store.parts(SHARD) == {"p": 0}
        assert rig.store.counts(SHARD).ok == 0

    def test_a_lease_that_is_renewed_goes_on(self, rig):
        fill(rig.store, b"1")
        lease = claim(rig.store, ttl=3 * rig.second)
        rig.wait(2 * rig.second)
        assert rig.store.renew(SHARD, [(HOST, lease.token), (HOST, b"another")], LONG) == [True, False]
        rig.wait(2 * rig.second)
        assert rig.other.claim(SHARD, "two", 10, 10, LONG) == []

    def test_who_holds_it(self, rig):
        fill(rig.store, b"1", b"2")
        claim(rig.store, "one", urls=1, ttl=LONG)
        books = rig.other.host(HOST)
        assert (books.host, books.queued, books.leased, books.node) == (HOST, 1, 1, "one")
        assert 0 < books.expires <= LONG
        assert rig.other.busiest(SHARD, 5) == [books._replace(expires=pytest.approx(books.expires, abs=1))]
        assert rig.store.host("http://nobody.example:80") is None

    def test_where_its_urls_are(self, rig):
        fill(rig.store, b"1", b"2", b"3")
        claim(rig.store, urls=1)
        assert [(where, entry.data) for where, entry in rig.store.find(HOST, 2)] == [("leased", b"1"), ("queued", b"2")]
        assert rig.store.find("http://nobody.example:80", 2) == []


class TestCommits:
    def test_the_books(self, rig):
        fill(rig.store, b"1", b"2", b"3", b"4", b"5")
        lease = claim(rig.store, urls=4)
        assert rig.store.counts(SHARD)[:8] == (5, 0, 0, 0, 0, 1, 4, 0)
        commit(rig.store, 1, Turn(HOST, lease.token, ended=ended(lease, "ok", "failed", "skipped"), pages=2), size=70)
        counts = rig.other.counts(SHARD)
        assert counts == Counts(5, 1, 1, 1, 0, queued=1, leased=1, known=5, hosts=1, hosts_leased=1, pages=2)
        assert balanced(counts)
        assert rig.other.parts(SHARD) == {"p": 70}

    def test_said_again_it_is_the_same(self, rig):
        """Its answer was lost. Nothing counts double, and what it gave it gives again."""
        fill(rig.store, b"1", b"2", b"3")
        lease = claim(rig.store, urls=1)
        turn = Turn(HOST, lease.token, ended=ended(lease, "ok"), pages=1, wants=1)
        first = commit(rig.store, 1, turn, size=5)
        assert data(first.more[HOST]) == [b"2"]
        assert commit(rig.store, 1, turn, size=5) == first
        counts = rig.store.counts(SHARD)
        assert (counts.ok, counts.pages, counts.queued, counts.leased) == (1, 1, 1, 1)

    def test_said_again_when_the_lease_has_ended_with_it(self, rig):
        fill(rig.store, b"1", b"2")
        lease = claim(rig.store, urls=1)
        turn = Turn(HOST, lease.token, ended=ended(lease, "ok"), release=True)
        assert commit(rig.store, 1, turn, size=5) == commit(rig.store, 1, turn, size=5)
        assert data(claim(rig.other, "two").entries) == [b"2"]
        assert commit(rig.store, 1, turn, size=5).lost == []

    def test_all_or_nothing(self, rig):
        """One host that is lost, and nothing of the commit is done; it may be said without that host, by its number."""
        names = [name for name in (f"http://{number}.example:80" for number in range(3_000)) if shard_of(name) == SHARD]
        first, second = names[:2]
        fill(rig.store, b"1", host=first)
        fill(rig.store, b"2", host=second)
        one, two = sorted(rig.store.claim(SHARD, "one", 2, 10, LONG), key=lambda lease: lease.host != first)
        good = Turn(first, one.token, ended=ended(one, "ok"), release=True, pages=1)
        bad = Turn(second, b"another", ended=ended(two, "ok"), pages=1)
        assert commit(rig.store, 1, good, bad, size=9) == Committed([second], forgotten=False, more={})
        counts = rig.store.counts(SHARD)
        assert (counts.ok, counts.leased, counts.pages, rig.store.parts(SHARD).get("p", 0)) == (0, 2, 0, 0)
        assert commit(rig.store, 1, good, size=9).lost == []
        assert rig.store.counts(SHARD).ok == 1

    def test_what_is_forgotten(self, rig):
        """A part that is not known as its node knows it: by its number, its size, or not at all."""
        fill(rig.store, b"1", b"2", b"3")
        lease = claim(rig.store)
        turn = Turn(HOST, lease.token, ended=ended(lease, "ok"))
        assert commit(rig.store, 2, turn, size=9).forgotten
        assert commit(rig.store, 1, turn, before=5, size=9).forgotten
        assert rig.store.counts(SHARD).ok == 0
        assert not commit(rig.store, 1, turn, size=9).forgotten
        after = Turn(HOST, lease.token, ended=ended(lease._replace(entries=lease.entries[1:]), "ok"))
        assert commit(rig.store, 3, after, before=9, size=12).forgotten
        assert commit(rig.store, 2, after, before=8, size=12).forgotten
        assert commit(rig.store, 2, after, before=9, size=12) == Committed([], forgotten=False, more={})
        assert rig.store.parts(SHARD) == {"p": 12}

    def test_each_part_has_its_numbers(self, rig):
        fill(rig.store, b"1", b"2")
        lease = claim(rig.store)
        assert not commit(rig.store, 1, Turn(HOST, lease.token, ended=ended(lease, "ok")), size=3, part="p").forgotten
        rest = lease._replace(entries=lease.entries[1:])
        assert not commit(rig.store, 1, Turn(HOST, lease.token, ended=ended(rest, "ok")), size=4, part="q").forgotten
        assert rig.store.parts(SHARD) == {"p": 3, "q": 4}

    def test_back_and_again(self, rig):
        """What was not asked goes before what waits; what is tried again has other data, and stays."""
        fill(rig.store, b"1", b"2", b"3", b"4")
        lease = claim(rig.store, urls=3)
        one, two, three = lease.entries
        commit(rig.store, 1, Turn(HOST, lease.token, again=[one._replace(data=b"1, 2nd try")], back=[two, three]))
        assert rig.store.counts(SHARD)[5:7] == (3, 1)
        commit(rig.store, 2, Turn(HOST, lease.token, release=True))
        found = claim(rig.other).entries
        assert data(found)[-1] == b"4"
        assert {entry.id: entry.data for entry in found[:3]} == {one.id: b"1, 2nd try", two.id: b"2", three.id: b"3"}

    def test_what_is_tried_again_is_kept_when_its_node_is_lost(self, rig):
        fill(rig.store, b"1")
        lease = claim(rig.store, ttl=2 * rig.second)
        commit(rig.store, 1, Turn(HOST, lease.token, again=[lease.entries[0]._replace(data=b"hop")]))
        rig.wait(3 * rig.second)
        assert data(claim(rig.other).entries) == [b"hop"]

    def test_a_duplicate_that_goes_back_is_one_still(self, rig):
        key = eight()
        rig.store.arrive(SHARD, [Arrival(HOST, key, b"1", eight()), Arrival(HOST, key, b"2", eight())])
        lease = claim(rig.store)
        commit(rig.store, 1, Turn(HOST, lease.token, back=lease.entries, release=True))
        assert claim(rig.other).entries == lease.entries

    def test_state_and_delay_stay_if_none_is_said(self, rig):
        fill(rig.store, b"1")
        lease = claim(rig.store, ttl=2 * rig.second)
        commit(rig.store, 1, Turn(HOST, lease.token, state=b"learnt", delay=3 * rig.second))
        commit(rig.store, 2, Turn(HOST, lease.token))
        rig.wait(3 * rig.second)
        assert rig.store.claim(SHARD, "two", 10, 10, LONG) == []
        rig.wait(3 * rig.second)
        assert claim(rig.other).state == b"learnt"

    def test_more_when_there_is_no_more(self, rig):
        fill(rig.store, b"1")
        lease = claim(rig.store)
        assert commit(rig.store, 1, Turn(HOST, lease.token, wants=5)).more == {}

    def test_an_ended_host_comes_again_with_new_urls(self, rig):
        fill(rig.store, b"1")
        lease = claim(rig.store)
        commit(rig.store, 1, Turn(HOST, lease.token, ended=ended(lease, "ok"), release=True, state=b"learnt"))
        assert rig.store.claim(SHARD, "one", 10, 10, LONG) == []
        assert rig.store.counts(SHARD).hosts == 0
        fill(rig.store, b"2")
        lease = claim(rig.store)
        assert (data(lease.entries), lease.state) == ([b"2"], b"learnt")


class TestMoves:
    def test_from_host_to_host(self, rig):
        """Until it has arrived it is kept; whoever brings it there may do so twice."""
        fill(rig.store, b"1", b"2")
        lease = claim(rig.store)
        there = "http://b.example:80"
        move = Move(lease.entries[0].id, Arrival(there, None, b"hop", eight()))
        commit(rig.store, 1, Turn(HOST, lease.token, ended=ended(lease, "moved"), moves=[move]))
        assert rig.other.moves(SHARD, 10) == [move]
        assert rig.store.counts(SHARD)[:8] == (2, 0, 0, 0, 0, 0, 1, 1)
        assert [
            rig.other.arrive(shard_of(there), [move.arrival]),
            rig.store.arrive(shard_of(there), [move.arrival]),
        ] == [1, 0]
        rig.other.moved(SHARD, [move.id])
        rig.store.moved(SHARD, [move.id])
        assert rig.store.moves(SHARD, 10) == []
        both = total([rig.store.counts(SHARD), rig.store.counts(shard_of(there))])
        assert (both.arrived, both.moved, both.moving, both.pending) == (3, 1, 0, 2)

    def test_the_oldest_first(self, rig):
        fill(rig.store, b"1", b"2", b"3")
        lease = claim(rig.store)
        moves = [Move(entry.id, Arrival("http://b.example:80", None, entry.data, eight())) for entry in lease.entries]
        for number, move in enumerate(moves, 1):
            commit(rig.store, number, Turn(HOST, lease.token, ended=[Ended(move.id, "moved")], moves=[move]))
        assert rig.store.moves(SHARD, 2) == moves[:2]


class TestCrawl:
    def test_the_first_options_stay(self, rig):
        assert rig.other.open('{"depth": 3}') == "{}"

    def test_nodes(self, rig):
        assert rig.store.join("one", b"first", 3 * rig.second) == 1
        assert rig.other.join("two", b"second", LONG) == 2
        rig.wait(4 * rig.second)
        nodes = rig.store.nodes()
        assert nodes["one"][1] < 0 < nodes["two"][1] <= LONG
        assert nodes["two"][0] == b"second"
        assert rig.store.join("one", b"again", LONG) == 2
        rig.other.leave("two")
        assert {node: about for node, (about, _) in rig.store.nodes().items()} == {"one": b"again"}

    def test_one_node_reads_the_inputs(self, rig):
        assert rig.store.lease_seeds("one", 3 * rig.second) == 0
        assert rig.other.lease_seeds("two", LONG) is None
        assert rig.store.seeded("one", 500, exhausted=False)
        assert rig.store.lease_seeds("one", 3 * rig.second) == 500
        rig.wait(4 * rig.second)
        assert rig.other.lease_seeds("two", LONG) == 500
        assert not rig.store.seeded("one", 900, exhausted=False)
        assert rig.other.seeded("two", 700, exhausted=True)
        assert rig.store.lease_seeds("one", LONG) == -1

    def test_who_only_asks_does_not_read_them(self, rig):
        """Nor does it end that another does."""
        assert rig.other.lease_seeds("two", 0.0) == 0
        assert rig.store.lease_seeds("one", LONG) == 0
        assert rig.other.lease_seeds("two", 0.0) is None
        assert rig.store.lease_seeds("one", 0.0) == 0
        assert rig.other.lease_seeds("two", LONG) is None
        assert rig.store.seeded("one", 5, exhausted=True)
        assert rig.other.lease_seeds("two", 0.0) == -1

    def test_lines_that_others_push(self, rig):
        """Each is given to one node, and again when that has not brought it home."""
        for line in (b"1", b"2", b"3"):
            rig.push(line)
        assert rig.other.pushing() == 3
        first = rig.store.pushed("one", 2, 3 * rig.second)
        assert [line for _, line in first] == [b"1", b"2"]
        second = rig.other.pushed("two", 2, LONG)
        assert [line for _, line in second] == [b"3"]
        rig.store.pushed_arrived([first[0][0]])
        rig.store.pushed_arrived([first[0][0]])
        assert rig.other.pushing() == 2
        rig.wait(4 * rig.second)
        assert rig.other.pushed("two", 5, LONG) == [first[1]]
        assert len({number for number, _ in first + second}) == 3

    def test_many_shards_at_once(self, rig):
        """Each says what it says when it is asked alone, in the order in which they were named."""
        hosts = [f"http://{number}.example:80" for number in range(100)]
        for number, host in enumerate(hosts):
            fill(rig.store, *[b"%d" % each for each in range(1 + number % 3)], host=host)
        lease = claim_of(rig.store, hosts[0])
        part = Commit("p", 1, 0, 7, [Turn(hosts[0], lease.token, ended=ended(lease, "ok"))], "one")
        rig.store.commit(shard_of(hosts[0]), part)
        shards = [*range(SHARDS)][::-1]
        counts = rig.other.counts_of(shards)
        assert counts == [rig.store.counts(shard) for shard in shards]
        assert total(counts)[:2] == (sum(1 + number % 3 for number in range(100)), 1)
        parts = rig.other.parts_of(shards)
        assert parts == [rig.store.parts(shard) for shard in shards]
        assert [size for sizes in parts for size in sizes.values()] == [7]
        busiest = rig.other.busiest_of(shards, 5)
        assert [[each.host for each in some] for some in busiest] == [
            [each.host for each in rig.store.busiest(shard, 5)] for shard in shards
        ]
        assert rig.other.counts_of([]) == []

    def test_forget(self, rig):
        fill(rig.store, b"1")
        rig.store.join("one", b"", LONG)
        rig.store.forget()
        assert rig.other.open('{"depth": 3}') == '{"depth": 3}'
        assert (rig.other.nodes(), rig.other.counts(SHARD)) == ({}, Counts())

    def test_a_node_of_what_was_forgotten(self, rig):
        """Is told so, and does not make a beginning of another crawl."""
        rig.store.join("one", b"", LONG)
        rig.store.forget()
        with pytest.raises(StoreRefusedError, match="not there any more"):
            rig.store.join("one", b"", LONG)
        assert rig.store.nodes() == {}


class TestPages:
    """--max-pages: so many for all, and each node has a share that it may begin."""

    def test_no_more_than_there_are(self, rig):
        for node in ("one", "two"):
            rig.store.join(node, b"", LONG)
        assert rig.store.take_pages("one", 6, 10) == 6
        assert rig.store.take_pages("one", 6, 10) == 6
        assert rig.other.take_pages("two", 6, 10) == 4
        assert rig.store.take_pages("one", 9, 10) == 6

    def test_what_is_given_back_is_there_again(self, rig):
        for node in ("one", "two"):
            rig.store.join(node, b"", LONG)
        rig.store.take_pages("one", 10, 10)
        rig.store.give_pages("one", 7)
        rig.store.give_pages("one", 7)
        assert rig.other.take_pages("two", 10, 10) == 3

    def test_a_node_that_is_gone_has_what_it_began(self, rig):
        rig.store.join("one", b"", 3 * rig.second)
        rig.store.join("two", b"", LONG)
        fill(rig.store, b"1", b"2")
        rig.store.take_pages("one", 8, 10)
        lease = claim(rig.store)
        commit(rig.store, 1, Turn(HOST, lease.token, pages=2))
        assert rig.other.take_pages("two", 10, 10) == 2
        rig.wait(4 * rig.second)
        assert rig.other.take_pages("two", 10, 10) == 8
        rig.store.join("one", b"", LONG)
        assert rig.store.take_pages("one", 8, 10) == 2

    def test_a_node_that_leaves_has_what_it_began(self, rig):
        rig.store.join("one", b"", LONG)
        rig.store.join("two", b"", LONG)
        rig.store.take_pages("one", 8, 10)
        rig.store.leave("one")
        assert rig.other.take_pages("two", 10, 10) == 10


class TestSpilling:
    """The tail of a long queue goes to files; nothing is lost or doubled on the way, and the order stays."""

    def test_there_and_back(self, rig):
        wanted = [b"%d" % number for number in range(50)]
        fill(rig.store, *wanted[:30])
        files: dict[str, list[bytes]] = {}
        self.spill_all(rig.store, files)
        assert files
        assert rig.store.host(HOST).spilled > 0
        assert rig.store.host(HOST).queued == rig.store.counts(SHARD).queued == 30
        fill(rig.store, *wanted[30:])
        self.spill_all(rig.store, files)
        found = []
        lease = claim(rig.store, urls=4)
        more = lease.entries
        for number in range(1, 100):
            found += data(more)
            turn = Turn(HOST, lease.token, ended=[Ended(entry.id, "ok") for entry in more], wants=4)
            more = commit(rig.store, number, turn).more.get(HOST, [])
            for host, segment in rig.store.segments(SHARD, 10):
                assert rig.store.unspilled(SHARD, host, segment, files[segment])
                assert not rig.other.unspilled(SHARD, host, segment, files[segment])
            if not rig.store.counts(SHARD).pending:
                break
        assert found == wanted
        assert rig.store.counts(SHARD).ok == 50

    def spill_all(self, store: SharedStore, files: dict[str, list[bytes]]) -> None:
        while (spill := store.spill(SHARD, "one", LONG)) is not None:
            assert spill.host == HOST
            name = f"segment {len(files)}"
            files[name] = spill.entries
            assert store.spilled(SHARD, spill, name)

    def test_nobody_else_writes_it_at_the_same_time(self, rig):
        fill(rig.store, *[b"%d" % number for number in range(30)])
        spill = rig.store.spill(SHARD, "one", 3 * rig.second)
        assert rig.other.spill(SHARD, "two", LONG) is None
        assert rig.store.counts(SHARD).queued == 30
        rig.wait(4 * rig.second)
        again = rig.other.spill(SHARD, "two", LONG)
        assert again.number != spill.number
        assert not rig.store.spilled(SHARD, spill, "late")
        assert rig.other.spilled(SHARD, again, "written")
        assert rig.store.counts(SHARD).queued == 30

    def test_a_short_queue_stays(self, rig):
        fill(rig.store, b"1", b"2")
        assert rig.store.spill(SHARD, "one", LONG) is None
        assert rig.store.segments(SHARD, 10) == []


HOSTS = [name for name in (f"http://{number}.example:80" for number in range(5_000)) if shard_of(name) in {3, 4}][:5]


class TestScope:
    def test_places_are_numbered_once(self, rig):
        """Who says one again, or another one meanwhile, changes no number."""
        assert rig.store.widened(0) == []
        rig.store.widen(["http://b.example/", "http://a.example/"])
        rig.other.widen(["http://a.example/", "http://c.example/d/"])
        assert rig.store.widened(0) == ["http://b.example/", "http://a.example/", "http://c.example/d/"]
        assert rig.other.widened(2) == ["http://c.example/d/"]
        assert rig.other.widened(3) == []

    def test_many_come_in_several_answers(self, rig):
        places = [f"http://{number}.example/" for number in range(WIDENED + 5)]
        rig.store.widen(places)
        assert rig.other.widened(0) + rig.other.widened(WIDENED) == places


class TestAnything:
    @pytest.mark.parametrize("seed", range(8))
    def test_nothing_is_lost_or_doubled(self, rig, seed):
        """Two nodes do what they may, at random, and say some of it twice; the books balance at every moment."""
        rng = random.Random(seed)
        stores = {"one": rig.store, "two": rig.other}
        numbers: Counter[tuple[str, int]] = Counter()
        leases: dict[str, list[tuple[int, Lease, list[Entry]]]] = {"one": [], "two": []}
        arrived: set[bytes] = set()
        done: Counter[bytes] = Counter()
        for step in range(120):
            node = rng.choice(("one", "two"))
            store = stores[node]
            if rng.random() < 0.3:
                host, name = rng.choice(HOSTS), b"%d" % step
                arrival = Arrival(host, eight(), name, rng.choice((None, eight())))
                for _ in range(rng.choice((1, 2))):
                    store.arrive(shard_of(host), [arrival])
                arrived.add(name)
            for shard in (3, 4):
                taken = store.claim(shard, node, 1, rng.randint(1, 3), LONG) if rng.random() < 0.5 else []
                leases[node] += [(shard, lease, lease.entries) for lease in taken]
            if leases[node]:
                shard, lease, entries = leases[node].pop(rng.randrange(len(leases[node])))
                cut = rng.randint(0, len(entries))
                release = rng.random() < 0.5
                over = tuple(Ended(entry.id, rng.choice(("ok", "failed"))) for entry in entries[:cut])
                turn = Turn(lease.host, lease.token, ended=over, release=release, wants=0 if release else 2)
                numbers[node, shard] += 1
                saying = Commit(node, numbers[node, shard], 0, 0, [turn], node)
                answers = [store.commit(shard, saying) for _ in range(rng.choice((1, 2)))]
                assert answers[0] == answers[-1]
                assert not answers[0].lost
                done.update(entry.data for entry in entries[:cut])
                if not release:
                    leases[node].append((shard, lease, entries[cut:] + answers[0].more.get(lease.host, [])))
            for shard in (3, 4):
                assert balanced(rig.store.counts(shard))
        books = total([rig.store.counts(shard) for shard in (3, 4)])
        assert books.arrived == len(arrived)
        assert books.ok + books.failed == done.total() == len(done)
        waiting = [entry.data for host in HOSTS for _, entry in rig.store.find(host, 1_000)]
        assert sorted(waiting) == sorted(arrived - set(done))


def test_shards():
    """Where a host is stays the same for ever."""
    assert (shard_of(""), shard_of("http://a.example:80"), SHARDS) == (0, 246, 256)
