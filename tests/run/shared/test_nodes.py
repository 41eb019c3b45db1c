"""Crawls that several nodes work on: on one Clock, over servers in memory and a store in memory that all share."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from crawl_world import World, page
from shared_nodes import Nodes

from crawler.frontier.shared.about import read_nodes

HOSTS = [f"h{number}.example" for number in range(8)]
PAGES = 12


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def web(world: World) -> Counter[str]:
    """Eight sites of twelve pages that lead to one another; the URLs, each once."""
    for number, host in enumerate(HOSTS):
        onward = HOSTS[(number + 1) % len(HOSTS)]
        pages = {
            f"/{n}": page(f"/{n + 1}", f"/{(n * 5) % PAGES}", f"http://{onward}/{(n * 7) % PAGES}", after=0.02)
            for n in range(PAGES - 1)
        }
        world.site({**pages, f"/{PAGES - 1}": page("/0", after=0.02)}, host)
    return Counter(f"http://{host}/{n}" for host in HOSTS for n in range(PAGES))


@pytest.fixture
def nodes(world: World, tmp_path: Path) -> Nodes:
    return Nodes(world, tmp_path, robots=False)


@pytest.mark.parametrize("number", [1, 2, 5])
def test_each_page_has_one_record_however_many_nodes_there_are(nodes: Nodes, number: int) -> None:
    expected = web(nodes.world)
    for _ in range(number):
        nodes.start("http://h0.example/0")
    nodes.finish()
    assert nodes.urls() == expected
    assert all(crawler.pending == 0 for crawler in nodes.crawlers)
    assert nodes.counts.pending == 0


def test_a_node_says_how_fast_it_is(nodes: Nodes) -> None:
    """Over the last seconds, for those who look at the crawl."""
    web(nodes.world)
    nodes.start("http://h0.example/0", delay=0.5)
    nodes.until(lambda: nodes.counts.ok >= 20)
    (node,) = read_nodes(nodes.store.nodes())
    assert 0.5 < node.about.rate < 30
    nodes.finish()
