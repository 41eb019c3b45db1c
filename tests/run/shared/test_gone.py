"""Nodes whose crawl is forgotten, whose store refuses, or whose folder is deleted at work: each ends with an error that
says so.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from crawl_world import World, page
from shared_nodes import AsksOnClock, Nodes
from shared_store import ReferenceStore

from crawler.errors import CodedError
from crawler.frontier.shared.contract import StoreRefusedError

HOSTS = [f"h{number}.example" for number in range(8)]
PAGES = 12


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


@pytest.fixture
def nodes(world: World, tmp_path: Path) -> Nodes:
    for host, onward in zip(HOSTS, [*HOSTS[1:], HOSTS[0]], strict=True):
        pages = {f"/{n}": page(f"/{n + 1}", f"http://{onward}/{n}", after=0.02) for n in range(PAGES - 1)}
        world.site({**pages, f"/{PAGES - 1}": page("/0", after=0.02)}, host)
    return Nodes(world, tmp_path, robots=False)


def ended(nodes: Nodes) -> CodedError:
    nodes.until(lambda: bool(nodes.ended))
    error = nodes.ended[0].value
    assert isinstance(error, CodedError)
    return error


def test_the_crawl_is_forgotten_at_work(nodes: Nodes) -> None:
    nodes.start("http://h0.example/0")
    nodes.until(lambda: nodes.counts.ok >= 20)
    nodes.store.forget()
    error = ended(nodes)
    assert (error.code, error.message) == ("frontier_refused", "the crawl is not there any more")


def test_the_store_is_refused_at_the_end_too(nodes: Nodes) -> None:
    class Refuses(ReferenceStore):
        def leave(self, node: str) -> None:
            raise StoreRefusedError("it has no memory left")

    asks = AsksOnClock(Refuses(nodes.clock.seconds), nodes.clock)
    nodes.start("http://h0.example/0", asks=asks)
    assert (ended(nodes).code, ended(nodes).message) == ("frontier_refused", "it has no memory left")


def test_the_folder_is_deleted_at_work(nodes: Nodes) -> None:
    nodes.start("http://h0.example/0")
    nodes.until(lambda: nodes.counts.ok >= 20)
    (part,) = nodes.folder.glob("parts/*.jsonl")
    shutil.rmtree(part.parent)
    error = ended(nodes)
    assert (error.code, error.message) == ("write_error", f"{part}: somebody has deleted it while it was written")
    assert nodes.counts.ok < len(HOSTS) * PAGES
