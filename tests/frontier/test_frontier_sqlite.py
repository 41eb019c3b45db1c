"""crawler.frontier.sqlite: what the contract does not ask: bounded memory, and what is there when a run begins anew.

The contract itself is tested in test_frontier.py, with all but one request of each host on disk.
"""

from __future__ import annotations

import random
from contextlib import ExitStack

import msgspec
import pytest
from job_tools import link, record, req

from crawler.frontier import Counts
from crawler.frontier.sqlite import READ_AT_ONCE, SqliteFrontier
from crawler.models import Input, Redirect, Request, Response, Timings
from crawler.politeness.controller import LONGEST_PAUSE, Politeness
from crawler.store.database import Store
from crawler.store.journal import Journal
from crawler.urls import canonical_key, parse


class Disk:
    """A database, and the frontiers that one run after the other has on it."""

    def __init__(self, path) -> None:
        self.path = path
        self.store: Store | None = None

    def begin(self, politeness=None, key=None, *, now: float = 0.0, wall: float = 0.0, window: int = 50_000):
        """A run, whose clock says `now` at the time of day `wall`."""
        self.close()
        self.store = Store(self.path, epoch=wall - now)
        self.store._db.execute("PRAGMA synchronous = OFF")  # no power fails here
        following, _, batch = self.store.numbers()
        self.journal = Journal(epoch=lambda: wall - now, following=following, batch=batch)
        politeness = Politeness(per_host=1000) if politeness is None else politeness
        self.frontier = SqliteFrontier(
            politeness, key, store=self.store, journal=self.journal, now=now, window=window
        )  # fmt: skip
        return self.frontier

    def commit(self) -> None:
        batch = self.journal.cut(0.0, everything=True)
        if batch is not None:
            self.store.write(batch)
            self.frontier.committed(batch)

    def end(self, request: Request) -> None:
        """Claimed before; its record is written, and it has ended."""
        self.journal.ended(request.id, record(request))
        self.frontier.finish(request, "ok", 0.0)

    def close(self) -> None:
        if self.store is not None:
            self.store.close()
            self.store = None


@pytest.fixture
def disk(tmp_path):
    with ExitStack() as closing:
        disk = Disk(tmp_path / "frontier.sqlite")
        closing.callback(disk.close)
        yield disk


def drain(frontier, now: float = 0.0) -> list[int]:
    ids = []
    while (request := frontier.claim(now)) is not None:
        ids.append(request.id)
    return ids


def in_memory(frontier) -> int:
    return sum(len(queue.inbox) + len(queue.outbox or ()) for queue in frontier._queues.values())


class TestWindow:
    @pytest.mark.parametrize("committed", [1, 7, 10_000])
    def test_memory_is_bounded_and_the_order_kept(self, disk, committed):
        """Of one host with 600 URLs 20 are in memory, and all come in order, wherever they are meanwhile."""
        frontier = disk.begin(window=20)
        for number in range(600):
            frontier.add(req(number))
            if number % committed == 0:
                disk.commit()
        assert in_memory(frontier) <= 21
        ids = []
        for _ in range(600):
            ids.append(frontier.claim(0.0).id)
            if len(ids) % 50 == 0:
                disk.commit()
            assert in_memory(frontier) <= READ_AT_ONCE + 21
        assert ids == list(range(600))
        assert frontier.counts() == Counts(leased=600)

    def test_what_is_added_meanwhile_comes_last(self, disk):
        """A host with a backlog takes nothing past it."""
        frontier = disk.begin(window=2)
        ids, number = [], 0
        rng = random.Random(4)
        while len(ids) < 300:
            if number < 300:
                frontier.add(req(number))
                number += 1
            if rng.random() < 0.2:
                disk.commit()
            if rng.random() < 0.4 or number == 300:
                request = frontier.claim(0.0)
                if request is not None:
                    ids.append(request.id)
        assert ids == list(range(300))

    def test_a_commit_that_nobody_was_told_of_yet(self, disk):
        """The thread has written what is still in the tail: it is not read from both."""
        frontier = disk.begin(window=1)
        for number in range(6):
            frontier.add(req(number))
        disk.commit()
        for number in range(6, 9):
            frontier.add(req(number))
        batch = disk.journal.cut(0.0, everything=True)
        disk.store.write(batch)
        ids = drain(frontier)
        frontier.committed(batch)
        frontier.add(req(9))
        assert ids + drain(frontier) == list(range(10))

    def test_hosts_take_turns_from_their_backlogs(self, disk):
        """A host with a thousand URLs on disk does not hold up one with two."""
        frontier = disk.begin(window=0)
        for number in range(30):
            frontier.add(req(number, "big.example"))
        frontier.add(req(30, "small.example"))
        frontier.add(req(31, "small.example"))
        disk.commit()
        assert drain(frontier)[:4] == [0, 30, 1, 31]

    def test_a_request_from_disk_is_the_one_that_was_added(self, disk):
        """With all that is known of it: credentials, spelling, method, place, and when it was accepted."""
        frontier = disk.begin(window=0, now=50.0, wall=1.7e9)
        frontier.add(req(0))
        request = Request(
            1, parse("https://me:s%20ecret@a.example:80/x?y"), "HTTPS://A.example:80/x?y#z",
            Input("wörter.csv", 7, "http://b.example/", 3), 49.5, "HEAD",
        )  # fmt: skip
        frontier.add(request)
        frontier.add(other := req(2, "a.example", input=Input(), accepted=50.0))
        disk.commit()
        frontier.claim(50.0)
        read = frontier.claim(50.0)
        assert msgspec.structs.replace(read, accepted=49.5) == request
        assert read.accepted == pytest.approx(49.5, abs=1e-5)
        assert frontier.claim(50.0) == msgspec.structs.replace(other, accepted=50.0)

    def test_the_busiest_count_what_is_on_disk(self, disk):
        """The books do not know where a request is."""
        frontier = disk.begin(window=0)
        for number in range(10):
            frontier.add(req(number, "ab"[number % 3 == 0] + ".example"))
        disk.commit()
        assert [(view.key, view.queued) for view in frontier.busiest(5, 0.0)] == [
            ("a.example:80", 6),
            ("b.example:80", 4),
        ]
        assert frontier.counts().queued == 10


class TestNextRun:
    def test_leases_are_nobodys(self, disk):
        """What was leased when a run died is queued for the next one, in its place; what ended is not."""
        frontier = disk.begin()
        for number in range(6):
            frontier.add(req(number))
        first, *_ = [frontier.claim(0.0) for _ in range(3)]
        disk.end(first)
        disk.commit()
        frontier = disk.begin()
        assert frontier.counts() == Counts(queued=5, ok=1)
        assert drain(frontier) == [1, 2, 3, 4, 5]

    def test_what_was_begun_goes_on(self, disk):
        """A retry keeps its attempt, a hop its chain; both wait for their time of day, and go first."""
        frontier = disk.begin(now=10.0, wall=1000.0)
        for number in range(3):
            frontier.add(req(number))
        retried = msgspec.structs.replace(frontier.claim(10.0), attempt=2)
        hop = msgspec.structs.replace(
            frontier.claim(10.0), url=parse("http://b.example/"), redirects=(Redirect("http://a.example/1", 302),)
        )
        frontier.retry(retried, 12.0, 8.0)
        frontier.retry(hop, 12.0)
        disk.commit()
        frontier = disk.begin(now=500.0, wall=1005.0)
        assert frontier.counts() == Counts(queued=3)
        # The first clock said 0 when this one would have said 485.
        assert frontier.claim(500.0) == msgspec.structs.replace(hop, accepted=485.0)
        assert frontier.claim(500.0) == req(2, accepted=485.0)
        assert frontier.ready_at(500.0) == 485.0 + 20.0
        assert frontier.claim(505.0) == msgspec.structs.replace(retried, accepted=485.0)

    def test_an_end_before_anything_was_committed(self, disk):
        """Accepted, tried, parked and ended between two commits is one row, and it has ended."""
        frontier = disk.begin()
        frontier.add(req(0))
        again = msgspec.structs.replace(frontier.claim(0.0), attempt=2)
        frontier.retry(again, 0.0)
        disk.end(frontier.claim(0.0))
        disk.commit()
        assert disk.begin().counts() == Counts(ok=1)

    def test_parked_stays_parked(self, disk):
        """A parked request has its last try in the last pass, whichever run that is in."""
        frontier = disk.begin()
        frontier.add(req(0))
        frontier.add(req(1))
        frontier.park(msgspec.structs.replace(frontier.claim(0.0), attempt=3, parked=True), 0.0, 60.0)
        disk.commit()
        frontier = disk.begin()
        assert frontier.counts() == Counts(queued=1, parked=1)
        request = frontier.claim(100.0)
        assert frontier.claim(100.0) is None
        disk.end(request)
        last = frontier.claim(100.0)
        assert (last.id, last.attempt, last.parked) == (0, 3, True)
        frontier.retry(last, 100.0, 5.0)
        disk.commit()
        assert disk.begin(now=100.0, wall=100.0).claim(105.0).parked

    def test_a_host_that_asked_to_be_left_alone_is(self, disk):
        """Retry-After holds for all URLs of the host, in the next run too."""
        politeness = Politeness()
        frontier = disk.begin(politeness)
        frontier.add(req(0))
        frontier.add(req(1))
        request = frontier.claim(0.0)
        answer = Response(Timings(), 0.0, status=503, headers={"retry-after": ["100"]})
        politeness.observe(request.url.host_key, answer, started=0.0, now=0.0)
        frontier.retry(msgspec.structs.replace(request, attempt=2), 0.0, 100.0)
        disk.commit()
        frontier = disk.begin(Politeness(), now=7.0, wall=30.0)
        assert frontier.claim(7.0) is None
        assert frontier.ready_at(7.0) == 77.0

    def test_a_clock_that_was_set_back_holds_nothing_up_for_years(self, disk):
        """No time to wait is longer than any that is meant."""
        politeness = Politeness(retry_after_cap=30.0)
        frontier = disk.begin(politeness, now=0.0, wall=2e9)
        frontier.add(req(0))
        request = frontier.claim(0.0)
        politeness.host(request.url.host_key, 0.0).block(30.0, 0.0, "retry_after")
        frontier.retry(request, 0.0, 30.0)
        disk.commit()
        frontier = disk.begin(Politeness(), now=0.0, wall=1e9)
        assert frontier.ready_at(0.0) == LONGEST_PAUSE

    def test_long_lists_are_not_read_whole(self, disk):
        """The next run begins with a window, too."""
        frontier = disk.begin()
        for number in range(900):
            frontier.add(req(number, f"{number % 3}.example"))
        disk.commit()
        frontier = disk.begin(window=30)
        assert in_memory(frontier) == 30
        assert frontier.counts() == Counts(queued=900)
        assert sorted(drain(frontier)) == list(range(900))


class TestKnown:
    def test_a_crawl_knows_what_it_knew(self, disk):
        """A URL is taken once in all runs together, also when it has ended."""
        frontier = disk.begin(key=canonical_key)
        assert frontier.add(req(0))
        assert frontier.add(req(1))
        assert not frontier.add(Request(2, parse("http://a.example./1"), "", Input(), 0.0))
        disk.end(frontier.claim(0.0))
        disk.commit()
        frontier = disk.begin(key=canonical_key)
        assert not frontier.add(Request(2, parse("http://a.example/0"), "", Input(), 0.0))
        assert not frontier.add(Request(2, parse("http://a.example/1"), "", Input(), 0.0))
        assert frontier.add(req(2))
        assert frontier.counts() == Counts(queued=2, ok=1)

    def test_what_was_not_committed_is_not_known(self, disk):
        """A link that is lost with a process is found again with its page."""
        frontier = disk.begin(key=canonical_key)
        frontier.add(req(0))
        disk.commit()
        frontier.add(link(1, "http://a.example/0"))
        frontier = disk.begin(key=canonical_key)
        assert frontier.counts() == Counts(queued=1)
        assert frontier.add(link(1, "http://a.example/0"))


def test_long_urls_are_fewer_in_memory(disk, monkeypatch):
    """Not only the number of requests in memory is bounded, but their bytes; all come back in their order."""
    monkeypatch.setattr("crawler.frontier.sqlite.IN_MEMORY", 100_000)
    frontier = disk.begin()
    for number in range(200):
        url = parse(f"http://a.example/{number}/{'x' * 2_000}")
        frontier.add(Request(number, url, url.href, Input(), 0.0))
    assert 190 > frontier._spilled > 150
    disk.commit()
    claimed = []
    while (request := frontier.claim(0.0)) is not None:
        claimed.append(request.id)
        disk.end(request)
    assert claimed == list(range(200))
    assert frontier._size == 0


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_lost_or_doubled_over_many_runs(disk, seed):
    """Whatever happens in whatever order, commits and deaths included: each URL ends once, and each ends."""
    rng = random.Random(seed)
    frontier = disk.begin(window=5)
    added, ended, leased = 0, [], []
    committed_added, committed_ended = 0, 0
    while True:
        luck = rng.random()
        if added < 80 and luck < 0.5:
            frontier.add(req(added, f"{rng.randrange(4)}.example"))
            added += 1
        elif luck < 0.6 and leased:
            frontier.retry(leased.pop(rng.randrange(len(leased))), 0.0)
        elif luck < 0.8 and leased:
            request = leased.pop(rng.randrange(len(leased)))
            disk.end(request)
            ended.append(request.id)
        elif luck < 0.9:
            disk.commit()
            committed_added, committed_ended = added, len(ended)
        elif luck < 0.92:
            frontier = disk.begin(window=5)
            added, ended, leased = committed_added, ended[:committed_ended], []
            assert frontier.counts() == Counts(queued=added - len(ended), ok=len(ended))
        elif (request := frontier.claim(0.0)) is not None:
            leased.append(request)
        if added == 80 and len(ended) == 80:
            break
    assert sorted(ended) == list(range(80))
