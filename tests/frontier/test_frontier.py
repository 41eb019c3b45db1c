"""The contract of every frontier: tests run against each implementation in FRONTIERS."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from crawler.errors import CodedError
from crawler.frontier import Counts, Frontier, HostView
from crawler.frontier.memory import MemoryFrontier
from crawler.frontier.spilling import SpillingFrontier
from crawler.frontier.sqlite import SqliteFrontier
from crawler.models import Ask, FileBody, FormBody, Input, Outcome, Part, Request, Response, Timings
from crawler.politeness.controller import Politeness
from crawler.store.database import Store
from crawler.store.journal import Journal
from crawler.urls import canonical_key, parse

Make = Callable[..., Frontier]


class Committed(SqliteFrontier):
    """A frontier in a store, with some of what was added still on its way there."""

    def add(self, request: Request) -> bool:
        new = super().add(request)
        if request.id % 3 == 0 and (batch := self._journal.cut(0.0, everything=True)) is not None:
            self._store.write(batch)
            self.committed(batch)
        return new


def in_memory(folder: Path, closing: ExitStack) -> Make:
    return MemoryFrontier


def in_a_store(window: int) -> Callable[[Path, ExitStack], Make]:
    def factory(folder: Path, closing: ExitStack) -> Make:
        numbers = count()

        def make(*arguments) -> Frontier:
            store = Store(folder / f"{next(numbers)}.sqlite")
            closing.callback(store.close)
            return Committed(*arguments, store=store, journal=Journal(), now=0.0, window=window)

        return make

    return factory


def on_the_disk(limit: int) -> Callable[[Path, ExitStack], Make]:
    def factory(folder: Path, closing: ExitStack) -> Make:
        def make(*arguments) -> Frontier:
            frontier = SpillingFrontier(*arguments, limit=limit)
            closing.callback(frontier.close)
            return frontier

        return make

    return factory


FRONTIERS = {
    "memory": in_memory,
    "on the disk, from the first request on": on_the_disk(limit=0),
    "on the disk, beyond some requests": on_the_disk(limit=5_000),
    "sqlite": in_a_store(window=50_000),
    "sqlite, one fresh request of each host in memory": in_a_store(window=0),
}


@pytest.fixture(params=FRONTIERS.values(), ids=list(FRONTIERS))
def make(request, tmp_path):
    with ExitStack() as closing:
        yield request.param(tmp_path, closing)


def req(number: int, host: str = "a.example", accepted: float = 0.0) -> Request:
    url = parse(f"http://{host}/{number}")
    return Request(number, url, url.href, Input(), accepted)


def moved(request: Request, host: str) -> Request:
    return msgspec.structs.replace(request, url=parse(f"http://{host}/moved/{request.id}"))


def fill(frontier: Frontier, *hosts: str) -> list[Request]:
    """One request per host named, numbered from 0."""
    requests = [req(number, host) for number, host in enumerate(hosts)]
    for request in requests:
        assert frontier.add(request)
    return requests


def claim(frontier: Frontier, now: float = 0.0) -> Request:
    """Claim a request and send it at once."""
    request = frontier.claim(now)
    assert request is not None
    frontier.politeness.sent(request.url.host_key, request.id, now)
    return request


def claim_all(frontier: Frontier, now: float = 0.0) -> list[int]:
    """The ids of all that may be claimed now, in order."""
    ids = []
    while (request := frontier.claim(now)) is not None:
        frontier.politeness.sent(request.url.host_key, request.id, now)
        ids.append(request.id)
    return ids


def places(frontier: Frontier, number: int, now: float = 0.0) -> list[tuple[str, int, float]]:
    """Where the request of this number is."""
    found = frontier.find(parse(f"http://a.example/{number}"), now)
    return [(place.state, place.ahead, place.wait) for place in found]


class TestFinding:
    @pytest.fixture
    def frontier(self, make):
        """Of one host: 0 is in flight, 1 waits for its next try, 2 is parked, 3 to 6 are queued."""
        frontier = make(Politeness(per_host=3))
        for number in range(3):
            frontier.add(req(number))
        claimed = [claim(frontier) for _ in range(3)]
        for number in range(3, 7):
            frontier.add(req(number))
        frontier.retry(claimed[1], 0.0, 5.0)
        frontier.park(claimed[2], 0.0, 9.0)
        return frontier

    def test_where_a_url_is(self, frontier):
        """In flight, to be tried again, parked, or in the line of its host: what is in memory is found there."""
        assert places(frontier, 0) == [("in flight", 0, 0.0)]
        assert places(frontier, 1, 2.0) == [("again", 0, 3.0)]
        assert places(frontier, 2, 2.0) == [("parked", 0, 7.0)]
        assert places(frontier, 3) == [("queued", 0, 0.0)]
        assert places(frontier, 3, 6.0) == [("queued", 1, 0.0)]  # the time of the other one has come
        assert places(frontier, 99) == []
        assert frontier.find(parse("http://b.example/0"), 0.0) == []

    def test_its_place_in_the_line(self, make):
        """So many go before it as are claimed before it."""
        frontier = make(Politeness(per_host=100))
        for number in range(5):
            frontier.add(req(number))
        claim(frontier)
        frontier.add(req(9))
        known = {number: places(frontier, number) for number in (1, 2, 9)}
        order = claim_all(frontier)
        for number, found in known.items():
            assert all(ahead == order.index(number) for _, ahead, _ in found)
        assert known[1] == [("queued", 0, 0.0)]

    def test_one_that_has_ended(self, frontier):
        """Is nowhere."""
        (place,) = frontier.find(parse("http://a.example/0"), 0.0)
        frontier.finish(place.request, "ok", 1.0)
        assert places(frontier, 0) == []

    def test_the_same_twice(self, make):
        """A list may name a URL more than once."""
        frontier = make(Politeness(per_host=1))
        for number in range(3):
            frontier.add(msgspec.structs.replace(req(0), id=number))
        claim(frontier)
        assert [state for state, _, _ in places(frontier, 0)][:2] == ["in flight", "queued"]


class TestOrder:
    def test_an_empty_frontier_has_nothing(self, make):
        """Nothing to claim, nothing to wait for."""
        frontier = make(Politeness())
        assert frontier.claim(0.0) is None
        assert frontier.ready_at(0.0) is None
        assert frontier.counts() == Counts()
        assert frontier.busiest(5, 0.0) == []

    def test_one_host_is_first_in_first_out(self, make):
        """The fresh requests of a host keep their order, also when more come while some are out."""
        frontier = make(Politeness(per_host=100))
        for number in range(5):
            frontier.add(req(number))
        assert [claim(frontier).id for _ in range(3)] == [0, 1, 2]
        for number in range(5, 9):
            frontier.add(req(number))
        assert claim_all(frontier) == [3, 4, 5, 6, 7, 8]

    def test_hosts_take_turns(self, make):
        """A host with many requests does not keep the others waiting."""
        frontier = make(Politeness(per_host=100))
        fill(frontier, "a.example", "a.example", "a.example", "b.example", "c.example", "b.example")
        assert claim_all(frontier) == [0, 3, 4, 1, 5, 2]

    def test_ports_are_hosts_of_their_own(self, make):
        """Politeness counts servers: host and port; the root dot does not make another one."""
        frontier = make(Politeness(per_host=1))
        fill(frontier, "a.example", "a.example:8080", "a.example.")
        assert claim_all(frontier) == [0, 1]

    def test_the_same_url_twice_is_two_inputs(self, make):
        """A list may name a URL twice; each line is fetched."""
        frontier = make(Politeness(per_host=2))
        url = parse("http://a.example/")
        for number in range(2):
            assert frontier.add(Request(number, url, url.href, Input(), 0.0))
        assert claim_all(frontier) == [0, 1]


class TestKnown:
    def test_a_crawl_takes_a_url_once(self, make):
        """With a key `add` refuses what is known, for ever; nothing changes by it."""
        frontier = make(Politeness(), canonical_key)
        requests = [req(0), req(1), req(2, "a.example.")]
        assert [frontier.add(request) for request in requests] == [True, True, True]
        again = [msgspec.structs.replace(request, id=request.id + 3) for request in requests]
        assert [frontier.add(request) for request in again] == [False, False, False]
        assert frontier.counts() == Counts(queued=3)
        frontier.finish(claim(frontier), "ok", 0.0)
        assert not frontier.add(msgspec.structs.replace(req(0), id=6))

    def test_what_is_asked_for_beside_a_url_makes_it_another(self, make):
        """By method and body, not by what comes along; a plain GET is known by its URL, as ever."""
        frontier = make(Politeness(), canonical_key)
        asks = [
            ("GET", None),
            ("POST", Ask(body=b"1")),
            ("POST", Ask(body=b"2")),
            ("PUT", Ask(body=b"2")),
            ("POST", Ask()),
            ("POST", Ask(body=FormBody((Part("a", b"1"),)))),
            ("POST", Ask(body=FileBody("/a", 1, 1))),
            ("POST", Ask(body=FileBody("/a", 1, 2))),
        ]
        known = [
            ("GET", Ask(meta=1)),
            ("HEAD", Ask()),
            ("POST", Ask(body=b"1", meta=2, headers=(("A", "b"),), callback="m:f")),
        ]
        requests = [
            msgspec.structs.replace(req(0), id=number, method=method, ask=ask)
            for number, (method, ask) in enumerate((*asks, *known))
        ]
        assert [frontier.knows(request) for request in requests] == [False] * 11
        assert [frontier.add(request) for request in requests] == [True] * len(asks) + [False] * len(known)
        assert [frontier.knows(request) for request in requests] == [True] * 11
        assert requests[0].ask is None
        assert frontier._key_of(requests[0]) == canonical_key(requests[0].url)

    def test_known_is_what_the_key_says(self, make):
        """Of two URLs with the same key the first one is fetched."""
        frontier = make(Politeness(), lambda url: canonical_key(url, sort_query=True))
        first, second = (parse(f"http://a.example/?{query}") for query in ("b=2&a=1", "a=1&b=2"))
        assert frontier.add(Request(0, first, "", Input(), 0.0))
        assert not frontier.add(Request(1, second, "", Input(), 0.0))
        assert claim(frontier).url == first

    def test_a_url_that_is_refused(self, make):
        """It is known from then on, counts as skipped, and never comes up; what was known before is not refused."""
        frontier = make(Politeness(), canonical_key)
        frontier.add(req(0))
        assert not frontier.knows(req(1))
        assert frontier.refuse(req(1), CodedError("out_of_scope"))
        assert frontier.knows(req(1))
        assert not frontier.refuse(msgspec.structs.replace(req(1), id=2), CodedError("out_of_scope"))
        assert not frontier.refuse(msgspec.structs.replace(req(0), id=2), CodedError("out_of_scope"))
        assert not frontier.add(msgspec.structs.replace(req(1), id=2))
        assert frontier.counts() == Counts(queued=1, skipped=1)
        assert claim_all(frontier) == [0]

    def test_a_url_that_is_refused_for_now(self, make):
        """It counts as skipped, but the same URL may still be added: then it is known, and is not refused any more."""
        frontier = make(Politeness(), canonical_key)
        assert frontier.refuse(req(0), CodedError("depth_limit"), for_good=False)
        assert not frontier.knows(req(0))
        assert frontier.add(msgspec.structs.replace(req(0), id=1))
        assert not frontier.refuse(msgspec.structs.replace(req(0), id=2), CodedError("depth_limit"), for_good=False)
        assert frontier.counts() == Counts(queued=1, skipped=1)
        assert claim_all(frontier) == [1]

    def test_a_list_knows_nothing(self, make):
        """Without a key any URL may be added, and refused, as often as it comes."""
        frontier = make(Politeness())
        for number in range(2):
            assert frontier.refuse(msgspec.structs.replace(req(0), id=number), CodedError("dry_run"))
        assert not frontier.knows(req(0))
        assert frontier.counts() == Counts(skipped=2)


class TestPoliteness:
    def test_a_full_host_waits_for_a_lease_to_end(self, make):
        """With `per_host` requests out only the end of one helps; another host does not wait."""
        frontier = make(Politeness(per_host=2))
        requests = fill(frontier, "a.example", "a.example", "a.example", "b.example")
        assert claim_all(frontier) == [0, 3, 1]
        assert frontier.ready_at(0.0) is None
        frontier.finish(requests[3], "ok", 1.0)
        assert frontier.claim(1.0) is None
        frontier.finish(requests[1], "ok", 1.0)
        assert frontier.ready_at(1.0) == 1.0
        assert claim(frontier, 1.0).id == 2

    def test_delay_counts_from_start_to_start(self, make):
        """One host waits its delay, another does not."""
        frontier = make(Politeness(per_host=8, delay=0.5))
        fill(frontier, "a.example", "a.example", "b.example", "b.example")
        assert claim_all(frontier, 10.0) == [0, 2]
        assert frontier.ready_at(10.0) == 10.5
        assert claim_all(frontier, 10.4) == []
        assert claim_all(frontier, 10.5) == [1, 3]
        assert frontier.ready_at(10.5) is None

    def test_delay_counts_from_when_it_is_sent(self, make):
        """Looking up a name may take longer than the delay: no other request may start meanwhile, and leave with it."""
        politeness = Politeness(per_host=8, delay=0.5)
        frontier = make(politeness)
        first, _ = fill(frontier, "a.example", "a.example")
        assert frontier.claim(10.0) == first
        assert frontier.claim(11.0) is None
        assert frontier.ready_at(11.0) is None
        politeness.sent(first.url.host_key, first.id, 12.0)
        assert frontier.ready_at(12.0) == 12.5
        assert frontier.claim(12.4) is None
        assert frontier.claim(12.5).id == 1

    def test_a_request_that_is_never_sent_holds_up_nobody(self, make):
        """Its lease ended, without a connection: the next may start."""
        frontier = make(Politeness(per_host=8, delay=0.5))
        first, _ = fill(frontier, "a.example", "a.example")
        assert frontier.claim(10.0) == first
        frontier.finish(first, "failed", 13.0)
        assert frontier.claim(13.0).id == 1

    def test_without_a_delay_nobody_waits_for_the_others(self, make):
        """Several may look for their connections at once."""
        frontier = make(Politeness(per_host=8))
        fill(frontier, "a.example", "a.example")
        assert frontier.claim(0.0).id == 0
        assert frontier.claim(0.0).id == 1

    def test_a_host_that_comes_back_keeps_its_delay(self, make):
        """A host whose queue ran empty does not lose its delay."""
        frontier = make(Politeness(delay=5.0))
        (first,) = fill(frontier, "a.example")
        assert claim(frontier, 10.0) == first
        frontier.finish(first, "ok", 11.0)
        frontier.add(req(1))
        assert frontier.claim(12.0) is None
        assert frontier.ready_at(12.0) == 15.0
        assert claim(frontier, 15.0).id == 1

    def test_a_blocked_host_waits(self, make):
        """Retry-After of one answer stops the whole host, whatever else is queued for it."""
        politeness = Politeness()
        frontier = make(politeness)
        fill(frontier, "a.example", "a.example", "a.example")
        first = claim(frontier)
        answer = Response(Timings(), 0.0, status=503, headers={"retry-after": ["30"]})
        politeness.observe(first.url.host_key, answer, started=0.0, now=1.0)
        assert frontier.claim(1.0) is None
        assert frontier.ready_at(1.0) == 31.0
        frontier.retry(first, 1.0, 30.0)
        frontier.add(req(3))
        assert frontier.claim(30.9) is None
        assert frontier.ready_at(30.9) == 31.0
        assert claim(frontier, 31.0) == first

    def test_a_limit_that_falls_is_kept(self, make):
        """After a halving, the host starts nothing until fewer than the new limit are out."""
        politeness = Politeness(per_host=4)
        frontier = make(politeness)
        fill(frontier, *["a.example"] * 8)
        out = [claim(frontier, 1.0) for _ in range(4)]
        politeness.observe(out[0].url.host_key, Response(Timings(), 0.0, status=503), started=1.0, now=2.0)
        for request in out[:2]:
            frontier.finish(request, "ok", 10.0)
            assert frontier.claim(10.0) is None
            assert frontier.ready_at(10.0) is None
        frontier.finish(out[2], "ok", 10.0)
        assert claim(frontier, 10.0).id == 4
        assert frontier.claim(20.0) is None

    def test_a_limit_that_rises_is_used_at_once(self, make):
        """A full host goes on when its limit rises, before any of its leases ends."""
        politeness = Politeness(per_host=2)
        frontier = make(politeness)
        requests = fill(frontier, *["a.example"] * 4)
        key = requests[0].url.host_key
        first = claim(frontier, 1.0)
        politeness.observe(key, Response(Timings(), 0.0, status=503), started=1.0, now=1.0)
        frontier.finish(first, "ok", 1.0)
        second = claim(frontier, 5.0)
        assert frontier.claim(6.0) is None
        for _ in range(10):
            politeness.observe(key, Response(Timings(), 0.0, status=200), started=5.0, now=6.0)
        assert claim(frontier, 6.0).id == 2
        frontier.finish(second, "ok", 6.0)

    def test_ready_at_sees_a_wait_that_grew(self, make):
        """A host that waits for its delay and is then told to wait longer is not woken in between."""
        politeness = Politeness(delay=5.0)
        frontier = make(politeness)
        fill(frontier, "a.example", "a.example", "b.example", "b.example")
        first, _ = claim(frontier), claim(frontier)
        assert frontier.ready_at(0.0) == 5.0
        answer = Response(Timings(), 0.0, status=429, headers={"retry-after": ["30"]})
        politeness.observe(first.url.host_key, answer, started=0.0, now=1.0)
        assert frontier.ready_at(1.0) == 5.0
        assert claim(frontier, 5.0).url.host == "b.example"
        assert frontier.ready_at(5.0) == 31.0
        assert frontier.claim(30.0) is None
        assert claim(frontier, 31.0).url.host == "a.example"

    def test_ready_at_passes_over_a_full_host(self, make):
        """The time of a retry does not matter while its host has no room."""
        frontier = make(Politeness(per_host=1))
        fill(frontier, "a.example")
        frontier.retry(claim(frontier), 0.0, 10.0)
        assert frontier.ready_at(0.0) == 10.0
        frontier.add(req(1))
        second = claim(frontier, 1.0)
        assert frontier.ready_at(1.0) is None
        frontier.finish(second, "ok", 2.0)
        assert frontier.ready_at(2.0) == 10.0

    def test_a_crawl_delay_found_under_the_first_lease(self, make):
        """robots.txt is read while the host's first request is out; the second one waits."""
        politeness = Politeness(per_host=2)
        frontier = make(politeness)
        fill(frontier, "a.example", "a.example")
        first = claim(frontier, 1.0)
        politeness.host(first.url.host_key, 2.0).crawl_delay(10.0, 2.0)
        assert frontier.claim(2.0) is None
        assert frontier.ready_at(2.0) == 12.0


class TestRetry:
    def test_a_retry_waits_and_the_others_do_not(self, make):
        """Its delay holds back this request alone."""
        frontier = make(Politeness(per_host=8))
        fill(frontier, "a.example", "a.example", "a.example")
        first = claim(frontier)
        frontier.retry(first, 1.0, 5.0)
        assert claim_all(frontier, 1.0) == [1, 2]
        assert frontier.claim(5.9) is None
        assert frontier.ready_at(1.0) == 6.0
        assert claim(frontier, 6.0) == first

    def test_a_due_retry_goes_before_the_fresh(self, make):
        """What was begun is finished first; among several, the one that was due first."""
        frontier = make(Politeness(per_host=2))
        fill(frontier, *["a.example"] * 4)
        first, second = claim(frontier), claim(frontier)
        frontier.retry(first, 1.0, 3.0)
        frontier.retry(second, 1.0, 2.0)
        assert [claim(frontier, 9.0).id, claim(frontier, 9.0).id] == [1, 0]

    def test_the_request_that_comes_back_is_the_one_given(self, make):
        """Attempt, URL and redirects are those of the request that was queued again."""
        frontier = make(Politeness())
        fill(frontier, "a.example")
        again = msgspec.structs.replace(claim(frontier), attempt=2)
        frontier.retry(again, 0.0)
        assert claim(frontier) == again

    def test_a_hop_goes_to_the_front_of_its_host(self, make):
        """A redirect hop is a retry with another URL: in the queue of its new host, before the fresh."""
        frontier = make(Politeness(per_host=1))
        requests = fill(frontier, "a.example", "b.example", "b.example")
        first, second = claim(frontier), claim(frontier)
        frontier.retry(moved(first, "b.example"), 1.0)
        assert frontier.claim(1.0) is None
        frontier.finish(second, "ok", 1.0)
        hop = claim(frontier, 1.0)
        assert (hop.id, hop.url.host) == (0, "b.example")
        frontier.finish(hop, "ok", 1.0)
        assert claim(frontier, 1.0) == requests[2]

    def test_a_hop_waits_for_its_new_hosts_delay(self, make):
        """Politeness applies to hops as to all."""
        frontier = make(Politeness(delay=5.0))
        fill(frontier, "a.example", "b.example")
        first = claim(frontier)
        claim(frontier)
        frontier.retry(moved(first, "b.example"), 1.0)
        assert frontier.claim(1.0) is None
        assert frontier.ready_at(1.0) == 5.0

    def test_a_hop_leaves_its_old_host(self, make):
        """The old host has room again at once."""
        frontier = make(Politeness(per_host=1))
        fill(frontier, "a.example", "a.example")
        frontier.retry(moved(claim(frontier), "b.example"), 1.0)
        assert sorted(claim_all(frontier, 1.0)) == [0, 1]

    def test_fresh_requests_need_not_wait_for_a_retry(self, make):
        """A host that only waits for a retry's time takes new requests at once."""
        frontier = make(Politeness())
        fill(frontier, "a.example")
        frontier.retry(claim(frontier), 0.0, 60.0)
        assert frontier.claim(0.0) is None
        frontier.add(req(1))
        assert claim(frontier, 0.0).id == 1
        assert frontier.ready_at(0.0) == 60.0


class TestPark:
    def test_parked_requests_come_last(self, make):
        """Not while anything is queued or leased, and not before their time."""
        frontier = make(Politeness())
        requests = fill(frontier, "a.example", "b.example", "b.example")
        frontier.park(claim(frontier), 0.0, 10.0)
        assert frontier.counts() == Counts(queued=2, parked=1)
        assert claim_all(frontier, 50.0) == [1, 2]
        assert frontier.claim(50.0) is None
        assert frontier.ready_at(50.0) is None
        frontier.finish(requests[1], "ok", 50.0)
        assert frontier.claim(50.0) is None
        frontier.finish(requests[2], "ok", 50.0)
        assert claim(frontier, 50.0) == requests[0]

    def test_parked_requests_wait_for_their_time(self, make):
        """The last pass tells when it can go on."""
        frontier = make(Politeness())
        fill(frontier, "a.example")
        frontier.park(claim(frontier), 0.0, 120.0)
        assert frontier.claim(1.0) is None
        assert frontier.ready_at(1.0) == 120.0
        assert claim(frontier, 120.0).id == 0

    def test_the_last_pass_is_concurrent(self, make):
        """Once begun, parked requests do not wait for each other."""
        frontier = make(Politeness(per_host=8))
        for request in fill(frontier, *["a.example"] * 4):
            assert claim(frontier) == request
            frontier.park(request, 0.0, 1.0)
            if request.id < 3:
                assert frontier.counts().parked == request.id + 1
        assert claim_all(frontier, 1.0) == [0, 1, 2, 3]

    def test_a_retry_delays_the_last_pass(self, make):
        """A retry whose time is to come is still queued."""
        frontier = make(Politeness())
        fill(frontier, "a.example", "b.example")
        first, second = claim(frontier), claim(frontier)
        frontier.park(first, 0.0, 0.0)
        frontier.retry(second, 0.0, 30.0)
        assert frontier.claim(1.0) is None
        assert frontier.ready_at(1.0) == 30.0
        frontier.finish(claim(frontier, 30.0), "ok", 30.0)
        assert claim(frontier, 30.0) == first


class TestBooks:
    def test_every_step_is_counted(self, make):
        """queued, leased, parked and the outcomes add up to what was added, after each verb."""
        frontier = make(Politeness(per_host=8))
        fill(frontier, *["a.example"] * 5)
        assert frontier.counts() == Counts(queued=5)
        out = [claim(frontier) for _ in range(5)]
        assert frontier.counts() == Counts(leased=5)
        frontier.finish(out[0], "ok", 1.0)
        frontier.finish(out[1], "failed", 1.0)
        frontier.finish(out[2], "skipped", 1.0)
        frontier.park(out[3], 1.0, 0.0)
        frontier.retry(out[4], 1.0)
        assert frontier.counts() == Counts(queued=1, parked=1, ok=1, failed=1, skipped=1)
        assert frontier.counts().pending == 2

    @pytest.mark.parametrize("verb", ["finish", "retry", "park"])
    def test_ending_a_lease_that_does_not_exist_is_a_bug(self, make, verb):
        """It raises, names the request, and leaves the books as they were."""
        frontier = make(Politeness())
        queued, leased = fill(frontier, "a.example", "b.example")
        end = {
            "finish": lambda request: frontier.finish(request, "ok", 0.0),
            "retry": lambda request: frontier.retry(request, 0.0),
            "park": lambda request: frontier.park(request, 0.0, 1.0),
        }[verb]
        before = frontier.counts()
        with pytest.raises(KeyError, match=r"request 0 \(http://a.example/0\) is not leased"):
            end(queued)
        assert frontier.counts() == before
        assert claim(frontier) == queued
        assert claim(frontier) == leased
        end(queued)
        with pytest.raises(KeyError, match="not leased"):
            end(queued)

    def test_two_inputs_with_one_id_are_a_bug(self, make):
        """Two leases under one id could not be told apart."""
        frontier = make(Politeness())
        frontier.add(req(0))
        with pytest.raises(KeyError, match=r"request 0 .* two inputs share an id"):
            frontier.add(req(0))
            claim(frontier)
            frontier.claim(0.0)

    def test_the_busiest_hosts(self, make):
        """Hosts by the work left to them, with what keeps them from more."""
        frontier = make(Politeness(per_host=2, delay=0.5))
        fill(frontier, "a.example", "b.example", "b.example", "b.example", "c.example", "c.example")
        claim_all(frontier, 1.0)
        assert frontier.busiest(2, 1.0) == [
            HostView("b.example:80", queued=2, in_flight=1, limit=2, delay=0.5, binding="delay"),
            HostView("c.example:80", queued=1, in_flight=1, limit=2, delay=0.5, binding="delay"),
        ]
        assert frontier.busiest(1, 1.5)[0].binding is None
        assert len(frontier.busiest(10, 1.0)) == 3

    def test_hosts_without_work_are_let_go(self, make):
        """A host whose last lease ended is no longer listed; close may follow at any time."""
        frontier = make(Politeness())
        fill(frontier, "a.example")
        frontier.finish(claim(frontier), "ok", 0.0)
        assert frontier.busiest(5, 0.0) == []
        frontier.close()


class TestScale:
    def test_many_hosts_with_delays_cost_no_more_each(self, make):
        """Each step costs the same for one host or for thousands: no verb walks over hosts or requests.

        Counted in calls to politeness, which every look at a host makes.
        """

        class CountingPoliteness(Politeness):
            looks = 0

            def host(self, key, now):
                self.looks += 1
                return super().host(key, now)

        def looks_per_request(hosts: int) -> float:
            politeness = CountingPoliteness(per_host=2, delay=1.0)
            frontier = make(politeness)
            total = 3 * hosts
            for number in range(total):
                frontier.add(req(number, f"h{number % hosts}.example"))
            now, done = 0.0, 0
            while done < total:
                request = frontier.claim(now)
                if request is None:
                    now = frontier.ready_at(now)
                else:
                    frontier.finish(request, "ok", now)
                    done += 1
            return politeness.looks / total

        assert looks_per_request(300) <= looks_per_request(10) * 1.2 + 1

    def test_hosts_that_wait_do_not_pile_up(self):
        """A host that comes and goes while a retry waits leaves no trail in the heap of waiting hosts."""
        politeness = Politeness(delay=0.01)
        frontier = MemoryFrontier(politeness)
        frontier.add(req(0))
        now = 0.0
        frontier.retry(claim(frontier, now), now, 1e6)
        for number in range(1, 2000):
            now += 0.02
            frontier.add(req(number))
            frontier.add(req(number + 10_000))
            for _ in range(2):
                frontier.finish(claim(frontier, now), "ok", now)
                frontier.claim(now)
                now += 0.02
        assert len(frontier._waiting) < 100


class Machine(RuleBasedStateMachine):
    """Random days in the life of a frontier, against a model that is as simple as it is slow."""

    make: Make

    @initialize(per_host=st.integers(1, 4), delay=st.sampled_from([0.0, 0.0, 0.5, 2.0]), adaptive=st.booleans())
    def begin(self, per_host: int, delay: float, adaptive: bool) -> None:
        self.politeness = Politeness(per_host=per_host, delay=delay, adaptive=adaptive, retry_after_cap=20.0)
        self.frontier = type(self).make(self.politeness)
        self.per_host, self.delay = per_host, delay
        self.now = 100.0
        self.ids = 0
        self.order = 0
        self.fresh: dict[str, list[Request]] = {}
        self.begun: dict[str, list[tuple[float, int, Request]]] = {}
        self.parked: list[tuple[float, Request]] = []
        self.leased: dict[int, tuple[Request, float]] = {}
        self.ended: dict[Outcome, int] = {"ok": 0, "failed": 0, "skipped": 0}
        self.last_start: dict[str, float] = {}
        self.blocked: dict[str, float] = {}

    # What the model knows.

    def queued(self) -> int:
        return sum(map(len, self.fresh.values())) + sum(map(len, self.begun.values()))

    def out(self, key: str) -> int:
        return sum(request.url.host_key == key for request, _ in self.leased.values())

    def begin_again(self, request: Request, when: float) -> None:
        self.begun.setdefault(request.url.host_key, []).append((when, self.order, request))
        self.order += 1

    def last_pass(self) -> None:
        if not self.queued() and not self.leased:
            for when, request in self.parked:
                self.begin_again(request, when)
            self.parked.clear()

    def startable(self, key: str) -> Request | None:
        """The request that this host must start next, if it may start one now."""
        host = self.politeness.host(key, self.now)
        if host.in_flight >= host.limit or self.now < host.next_start:
            return None
        due = min((entry for entry in self.begun.get(key, ()) if entry[0] <= self.now), default=None)
        if due is not None:
            return due[2]
        return self.fresh[key][0] if self.fresh.get(key) else None

    def all_startable(self) -> list[Request]:
        keys = [*self.fresh, *(key for key in self.begun if key not in self.fresh)]
        return [request for key in keys if (request := self.startable(key)) is not None]

    # What happens.

    @rule(host=st.sampled_from("abc"), number=st.integers(1, 3))
    def add(self, host: str, number: int) -> None:
        for _ in range(number):
            request = req(self.ids, f"{host}.example")
            self.ids += 1
            assert self.frontier.add(request)
            self.fresh.setdefault(request.url.host_key, []).append(request)

    @rule()
    def claim(self) -> None:
        self.last_pass()
        expected = self.all_startable()
        request = self.frontier.claim(self.now)
        if request is None:
            assert expected == []
            return
        assert request in expected
        key = request.url.host_key
        assert self.out(key) < self.per_host
        assert self.now >= self.last_start.get(key, 0.0) + self.delay
        assert self.now >= self.blocked.get(key, 0.0)
        if request in self.fresh.get(key, ()):
            self.fresh[key].remove(request)
        else:
            self.begun[key] = [entry for entry in self.begun[key] if entry[2] != request]
        self.last_start[key] = self.now
        self.leased[request.id] = (request, self.now)
        host = self.politeness.host(key, self.now)
        assert host.in_flight == self.out(key) <= host.limit

    @rule()
    def claim_until_none(self) -> None:
        before = len(self.leased) - 1
        while len(self.leased) > before:
            before = len(self.leased)
            self.claim()

    def lease(self, data: st.DataObject) -> tuple[Request, float]:
        return self.leased[data.draw(st.sampled_from(sorted(self.leased)))]

    @precondition(lambda self: self.leased)
    @rule(data=st.data(), outcome=st.sampled_from(["ok", "failed", "skipped"]))
    def finish(self, data: st.DataObject, outcome: Outcome) -> None:
        request, _ = self.lease(data)
        self.frontier.finish(request, outcome, self.now)
        del self.leased[request.id]
        self.ended[outcome] += 1

    @precondition(lambda self: self.leased)
    @rule(data=st.data(), delay=st.sampled_from([0.0, 0.25, 1.0, 7.0]), host=st.sampled_from(["", "a", "b", "d"]))
    def retry(self, data: st.DataObject, delay: float, host: str) -> None:
        request, _ = self.lease(data)
        del self.leased[request.id]
        again = moved(request, f"{host}.example") if host else request
        self.frontier.retry(again, self.now, delay)
        self.begin_again(again, self.now + delay)

    @precondition(lambda self: self.leased)
    @rule(data=st.data(), delay=st.sampled_from([0.0, 3.0, 20.0]))
    def park(self, data: st.DataObject, delay: float) -> None:
        request, _ = self.lease(data)
        del self.leased[request.id]
        self.frontier.park(request, self.now, delay)
        self.parked.append((self.now + delay, request))

    @precondition(lambda self: self.leased)
    @rule(data=st.data(), times=st.sampled_from([1, 10]), kind=st.sampled_from(["good", "bad", "stalled", "wait"]))
    def observe(self, data: st.DataObject, times: int, kind: str) -> None:
        request, started = self.lease(data)
        key = request.url.host_key
        answer = {
            "good": Response(Timings(), 0.0, status=200),
            "bad": Response(Timings(), 0.0, status=503),
            "stalled": Response(Timings(), 0.0, error=CodedError("timeout_headers")),
            "wait": Response(Timings(), 0.0, status=429, headers={"retry-after": ["60"]}),
        }[kind]
        for _ in range(times):
            self.politeness.observe(key, answer, started=started, now=self.now)
        if kind == "wait":
            self.blocked[key] = self.now + 20.0

    @precondition(lambda self: self.leased)
    @rule(data=st.data(), seconds=st.sampled_from([1.0, 4.0]))
    def crawl_delay(self, data: st.DataObject, seconds: float) -> None:
        request, _ = self.lease(data)
        self.politeness.host(request.url.host_key, self.now).crawl_delay(seconds, self.now)

    @rule(seconds=st.sampled_from([0.1, 0.5, 3.0, 1000.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def wait(self) -> None:
        """`ready_at` is exact: `claim` succeeds then, and not a moment before."""
        self.last_pass()
        at = self.frontier.ready_at(self.now)
        if at is None:
            self.now += 10_000.0
            assert self.all_startable() == []
            return
        assert at >= self.now
        if at > self.now:
            assert self.all_startable() == []
            self.now = (self.now + at) / 2
            assert self.frontier.claim(self.now) is None
            assert self.all_startable() == []
            self.now = at
        assert self.all_startable() != []

    # What holds at any moment.

    @invariant()
    def the_books_balance(self) -> None:
        counts = self.frontier.counts()
        assert counts.ok + counts.failed + counts.skipped + counts.pending == self.ids
        assert counts.leased == len(self.leased)
        assert (counts.ok, counts.failed, counts.skipped) == tuple(self.ended.values())
        if counts.queued != self.queued():  # the last pass may have begun in the frontier before the model looked
            self.last_pass()
        assert (counts.queued, counts.parked) == (self.queued(), len(self.parked))

    @invariant()
    def the_busiest_hosts_tell_the_truth(self) -> None:
        views = self.frontier.busiest(10, self.now)
        sizes = [view.queued + view.in_flight for view in views]
        assert sizes == sorted(sizes, reverse=True)
        assert sum(view.queued for view in views) == self.queued()
        assert sum(view.in_flight for view in views) == len(self.leased)
        for view in views:
            assert view.in_flight == self.out(view.key) <= self.per_host

    def teardown(self) -> None:
        """Everything is claimed in the end: nothing is stuck and nothing is lost."""
        if not hasattr(self, "frontier"):
            return
        for request, _ in list(self.leased.values()):
            self.frontier.finish(request, "ok", self.now)
            del self.leased[request.id]
            self.ended["ok"] += 1
        for _ in range(10 * self.ids + 10):
            self.claim()
            for request, _ in list(self.leased.values()):
                self.frontier.finish(request, "ok", self.now)
                del self.leased[request.id]
                self.ended["ok"] += 1
            at = self.frontier.ready_at(self.now)
            if at is None:
                break
            self.last_pass()
            self.now = at
        assert self.frontier.counts().pending == 0
        assert sum(self.ended.values()) == self.ids


def test_any_life_of_a_frontier(make):
    """Whatever happens in whatever order: the books balance, no host is asked too often, no host that may start is left
    idle while `claim` returns None, `ready_at` is exact, and everything is claimed in the end."""
    machine = type("AnyFrontier", (Machine,), {"make": staticmethod(make)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=12,
            stateful_step_count=30,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_the_same_story_gives_the_same_order(make):
    """No hash order, no clock, no chance: two frontiers told the same things answer the same."""

    def story() -> list[int]:
        politeness = Politeness(per_host=2, delay=0.3)
        frontier = make(politeness)
        told, now = [], 0.0
        for number in range(60):
            frontier.add(req(number, f"h{number * 7 % 5}.example"))
        while frontier.counts().pending:
            request = frontier.claim(now)
            if request is None:
                now = frontier.ready_at(now)
                continue
            told.append(request.id)
            if request.attempt == 1 and request.id % 3 == 0:
                frontier.retry(msgspec.structs.replace(request, attempt=2), now, request.id % 4)
            elif request.attempt == 1 and request.id % 11 == 0:
                frontier.park(msgspec.structs.replace(request, attempt=2), now, 1.0)
            else:
                frontier.finish(request, "ok", now)
        return told

    told = story()
    assert told == story()
    assert sorted(set(told)) == list(range(60))
