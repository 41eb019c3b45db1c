"""frontier/spilling.py beyond the contract (tests/test_frontier.py): how much stays in memory, and what is left behind."""

from __future__ import annotations

import os
import stat
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from twisted.logger import capturedLogs

from crawler.errors import CodedError
from crawler.frontier import Frontier
from crawler.frontier.spilling import SpillingFrontier
from crawler.models import Input, Request
from crawler.politeness.controller import Politeness
from crawler.urls import canonical_key, parse

PARENT = Input(parent="http://a.example/", depth=1)


def req(number: int, host: str = "a.example", pad: int = 0, **fields: object) -> Request:
    url = parse(f"http://{host}/{number}/{'x' * pad}")
    return Request(**{"id": number, "url": url, "written": url.href, "input": PARENT, "accepted": 0.5, **fields})


def claimed(frontier: Frontier) -> Iterator[Request]:
    while (request := frontier.claim(1.0)) is not None:
        yield request
        frontier.finish(request, "ok", 1.0)


def test_memory_is_bounded():
    """However many long URLs are added, little of them stays in memory; all come back, in their order."""
    with closing(SpillingFrontier(Politeness(per_host=9), canonical_key, limit=1 << 18)) as frontier:
        frontier.add(req(0))
        tracemalloc.start()
        for number in range(1, 1_500):
            assert frontier.add(req(number, pad=2_000))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 2 << 20
        assert frontier.counts().queued == 1_500
        assert [request.id for request in claimed(frontier)] == list(range(1_500))
        assert frontier._size == 0
        assert frontier.counts().ok == 1_500


def test_memory_is_bounded_for_many_hosts():
    """Also where each URL is one of another host."""
    with closing(SpillingFrontier(Politeness(per_host=9), canonical_key, limit=100_000)) as frontier:
        for number in range(2_000):
            frontier.add(req(number, f"h{number % 1_000}.example"))
        assert len(frontier._queues) < 150
        requests = list(claimed(frontier))
        assert sorted(request.id for request in requests) == list(range(2_000))
        assert frontier._queues == {}


def test_a_host_that_waits_keeps_no_other_from_its_turn():
    """A host on the disk is woken when no other may be asked."""
    politeness = Politeness(per_host=1, delay=100.0)
    with closing(SpillingFrontier(politeness, canonical_key, limit=5_000)) as frontier:
        for number in range(20):
            frontier.add(req(number))
        frontier.add(req(20, "b.example"))
        assert [request.url.host for request in claimed(frontier)] == ["a.example", "b.example"]
        assert frontier.ready_at(1.0) == 101.0


def test_what_comes_back_is_what_was_added():
    """All of a request, with the login of its URL."""
    with closing(SpillingFrontier(Politeness(per_host=9), limit=0)) as frontier:
        url = parse("https://u:p@a.example/x?y")
        requests = [req(0), Request(1, url, "https://a.example/x?y", Input(source="f", line=3), 2.5, "HEAD")]
        for request in requests:
            frontier.add(request)
        assert list(claimed(frontier)) == requests


def test_a_line_that_has_no_form():
    """It stays in memory."""
    with closing(SpillingFrontier(Politeness(per_host=9), limit=0)) as frontier:
        for number in range(3):
            frontier.add(req(number, written="\udc80"))
        assert [request.id for request in claimed(frontier)] == [0, 1, 2]


def test_it_is_told_once():
    """Who runs it hears that the disk is used, and how to choose where."""
    with capturedLogs() as events, closing(SpillingFrontier(Politeness(), limit=0)) as frontier:
        for number in range(5):
            frontier.add(req(number))
    (event,) = events
    assert "TMPDIR" in event["log_format"]


@pytest.mark.skipif(sys.platform != "linux", reason="looks at the descriptors of this process")
def test_nothing_is_left_behind():
    """The file is its owner's alone, and has no name: it is gone with the process, however that ends."""
    with closing(SpillingFrontier(Politeness(), limit=0)) as frontier:
        before = set(opened())
        for number in range(1_500):
            frontier.add(req(number, pad=4_000))
        (file,) = [file for file in opened() if file not in before]
        assert file.name.endswith(" (deleted)")
        assert stat.S_IMODE(opened()[file].stat().st_mode) == 0o600


def opened() -> dict[Path, Path]:
    """The files that this process has open, and their descriptors."""
    return {link.readlink(): link for link in Path("/proc/self/fd").iterdir() if os.path.lexists(link)}


def test_no_room_on_the_disk():
    """It is told as everywhere, and ends the run."""
    with closing(SpillingFrontier(Politeness(), limit=0)) as frontier:
        for number in range(2):
            frontier.add(req(number))
        assert frontier._spill is not None
        frontier._spill.run("PRAGMA max_page_count = 8")
        with pytest.raises(CodedError) as caught:
            for number in range(2, 100):
                frontier.add(req(number, pad=4_000))
        assert caught.value.code == "disk_full"
