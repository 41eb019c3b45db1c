"""Whole clusters in a simulated internet, on one virtual clock: hundreds of them, and what was found, by name."""

from __future__ import annotations

import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from test_simulation import simulate, small_world

from tests.simulation.cluster.living import live, live_in
from tests.simulation.cluster.world import NODE_EVENTS, STORE_EVENTS, Cluster, Event, make_cluster
from tests.simulation.promises import Broken
from tests.simulation.sites import Page

SEEDS = 500
PROCESSES = 2


def small_cluster(*pages: Page, nodes: int = 2, events: tuple[Event, ...] = (), **options: object) -> Cluster:
    """One host with these pages, the first of which is the input."""
    world = small_world(
        *pages, inputs=1, **{"recursive": True, "scope": "any", "depth": None, "max_pages": None, **options}
    )
    return Cluster(world, nodes, list(events), latency=0.001, longest=1_000, drift=0.0)


def site(pages: int) -> list[Page]:
    """A page that links to all others."""
    links = [f"http://a.example/p{number}" for number in range(pages)]
    body = "".join(f"<a href={link}>" for link in links).encode()
    return [Page("/", body=body, links=links), *(Page(f"/p{number}", body=b"page") for number in range(pages))]


def test_five_hundred_clusters():
    """No promise is broken in any: nodes killed, paused and cut off; the store restarted, failed over, full and slow."""
    share = SEEDS // PROCESSES
    shares = [f"{first}-{first + share - 1}" for first in range(1, SEEDS + 1, share)]
    with ThreadPoolExecutor(PROCESSES) as pool:
        results = list(pool.map(lambda seeds: simulate("--clusters", "--seeds", seeds), shares))
    for result in results:
        assert result.returncode == 0, result.stderr[-5_000:]
        assert "broken: none" in result.stdout


def test_the_same_seed_the_same_events():
    assert [live(seed).digest for seed in (7, 13, 23)] == [live(seed).digest for seed in (7, 13, 23)]


def test_clusters_differ():
    clusters = [make_cluster(seed) for seed in range(200)]
    assert {cluster.nodes for cluster in clusters} == {1, 2, 3, 4, 5}
    assert {event.what for cluster in clusters for event in cluster.events} == {*NODE_EVENTS, *STORE_EVENTS}


PLANTED = {
    "what a node leaves is not kept": (
        "shared_store._Host.let_go",
        lambda host, back, not_before: setattr(host, "holder", None),
        "books do not balance|no end|record",
    ),
    "a node does not look when its leases end": (
        "crawler.frontier.shared.leasing.SharedFrontier.expire",
        lambda *_: None,
        "whose host is",
    ),
    "links are not said": ("crawler.frontier.shared.finding.Found.add", lambda *_: None, "links to"),
    "pages are not counted": (
        "shared_store.ReferenceStore.take_pages",
        lambda store, node, total, limit: total,
        "pages, allowed",
    ),
}


@pytest.mark.parametrize("bug", PLANTED)
def test_no_bug_goes_unseen(bug, monkeypatch):
    """Whatever is planted is found within some clusters."""
    place, broken, words = PLANTED[bug]
    monkeypatch.setattr(place, broken)
    for seed in range(1, 200):
        try:
            live(seed)
        except Broken as error:
            if re.search(words, str(error)):
                return
    pytest.fail("nobody has seen it")


def test_a_node_is_killed_and_another_goes_on():
    """Each page has its record once, and the other node gets what was leased."""
    cluster = small_cluster(*site(20), events=(Event(60, "kill", 1, 0.0),), delay=0.25)
    story = live_in(cluster)
    assert Counter(record.url for record in story.records) == Counter(
        f"http://a.example{page.target}" for page in site(20)
    )
    assert any(" dies " in event for event in story.events)
    assert story.seconds > 30


class TestFound:
    """What the simulation has found."""

    @pytest.mark.parametrize(
        "seed",
        [
            pytest.param(28, id="inputs that a restart lost, whose reader had come to their end"),
            pytest.param(50, id="a request that had waited for --max-pages was made after its lease"),
            pytest.param(97, id="pages that were begun under a lease that was lost were counted for ever"),
            pytest.param(102, id="a host that a node lost, and got back, was asked at once"),
            pytest.param(139, id="pages of --max-pages were left that nobody might begin"),
        ],
    )
    def test_seeds(self, seed):
        live(seed)
