"""Nodes whose parts are objects: on one Clock, over servers in memory, a store that all share, and a real server of objects."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from crawl_world import World, page
from object_server import ObjectServer, once
from redis_server import another_crawl, shared_server
from shared_nodes import AsksOnClock, Nodes
from test_nodes import CutOff, web
from threaded_clock import WorkClock
from twisted.python.failure import Failure

from crawler.cli.main import main
from crawler.errors import CodedError
from crawler.frontier.shared.contract import shard_of
from crawler.run.shared import gathering


class ObjectNodes(Nodes):
    """Nodes whose parts go to `out/` in a bucket."""

    def __init__(self, world: World, folder: Path, server: ObjectServer) -> None:
        self.server, self.bucket = server, server.bucket()
        super().__init__(world, folder, robots=False, output=f"s3://{self.bucket}/out/")

    @property
    def objects(self) -> list[str]:
        return self.server.keys(self.bucket)

    @property
    def asked(self) -> int:
        """How many requests have come to all sites."""
        return sum(len(server.targets) for server in self.world.network.servers.values())


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch, WorkClock())


@pytest.fixture
def nodes(world: World, tmp_path: Path, objects: ObjectServer) -> ObjectNodes:
    return ObjectNodes(world, tmp_path, objects)


@pytest.mark.parametrize("number", [1, 2, 4])
def test_each_page_has_one_record_however_many_nodes_there_are(nodes: ObjectNodes, number: int) -> None:
    expected = web(nodes.world)
    for _ in range(number):
        nodes.start("http://h0.example/0")
    nodes.finish(120)
    assert nodes.urls() == expected
    assert nodes.counts.pending == 0
    parts = [name for name in nodes.objects if name.endswith(".jsonl")]
    assert sorted(nodes.objects) == sorted([*parts, *(name.replace(".jsonl", ".shards") for name in parts)])
    assert all(name.startswith("out/parts/") for name in parts)
    assert len(parts) < len(expected) / 2, "records are gathered"


def test_parts_are_put_while_the_crawl_goes_on(nodes: ObjectNodes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are many records, and where some wait for long."""
    nodes.world.site({f"/{n}": page(f"/{n + 1}") for n in range(12)}, "slow.example")
    nodes.world.site({f"/{n}": page(f"/{n + 1}", f"/{n + 2}") for n in range(12)}, "a.example")
    monkeypatch.setattr(gathering, "SHORTEST", 1e6)
    nodes.start("http://slow.example/0", "http://a.example/0", delay=0.5)
    nodes.until(lambda: nodes.asked >= 8)
    assert nodes.objects == []
    monkeypatch.setattr(gathering, "SHORTEST", 1.0)
    monkeypatch.setattr(gathering, "MOST", 2_000)
    nodes.until(lambda: nodes.counts.ok >= 8)
    assert nodes.counts.pending > 0
    nodes.finish(600)
    urls = nodes.urls()
    assert len(urls) == 27
    assert set(urls.values()) == {1}


def test_who_dies_before_its_part_is_put_loses_nothing(nodes: ObjectNodes) -> None:
    expected = web(nodes.world)
    store = CutOff(nodes.store)
    nodes.start("http://h0.example/0", asks=AsksOnClock(store, nodes.clock), lease=5)
    nodes.until(lambda: nodes.asked >= 30)
    assert nodes.counts.ok < nodes.asked
    ended, asked = nodes.counts.ok, nodes.asked
    store.is_off = True
    nodes.start(lease=5)
    nodes.until(lambda: len(nodes.ended) == 1)
    assert nodes.asked >= asked + len(expected) - ended - 30
    assert nodes.urls() == expected
    nodes.crawlers[0].abort()
    nodes.until(lambda: len(nodes.ended) == 2)
    assert nodes.urls() == expected


@pytest.mark.parametrize("mark", [".jsonl", ".shards"])
def test_a_put_that_fails_is_tried_again(nodes: ObjectNodes, mark: str) -> None:
    """Its hosts stay with the node meanwhile, and what its pages lead to is fetched."""
    expected = web(nodes.world)
    nodes.server.faults = once("denied", "PUT", mark, times=3)
    nodes.start("http://h0.example/0", lease=5)
    nodes.until(lambda: nodes.asked >= len(expected))
    nodes.start("http://h0.example/0", lease=5)
    nodes.finish(120)
    assert nodes.urls() == expected
    assert nodes.asked == len(expected), "nothing is fetched twice"


def test_a_put_that_fails_for_good_ends_the_node(nodes: ObjectNodes) -> None:
    """In words; another goes on with what it had."""
    expected = web(nodes.world)
    nodes.server.faults = lambda method, path: "denied" if method == "PUT" else None
    nodes.start("http://h0.example/0", lease=5)
    nodes.until(lambda: len(nodes.ended) == 1)
    (failure,) = nodes.ended
    assert isinstance(failure, Failure)
    assert isinstance(failure.value, CodedError)
    assert failure.value.code == "write_error"
    assert f"s3://{nodes.bucket}/out/parts/" in str(failure.value)
    assert "403 Forbidden" in str(failure.value)
    nodes.server.faults = lambda method, path: None
    nodes.start("http://h0.example/0", lease=5)
    nodes.until(lambda: len(nodes.ended) == 2)
    assert nodes.urls() == expected


def test_leases_that_are_lost_while_a_part_is_put(nodes: ObjectNodes) -> None:
    """What the part has of them does not count; others have fetched it."""
    expected = web(nodes.world)
    store = CutOff(nodes.store)
    nodes.server.faults = lambda method, path: "denied" if method == "PUT" else None
    nodes.start("http://h0.example/0", asks=AsksOnClock(store, nodes.clock), lease=5)
    nodes.until(lambda: any(path.endswith(".shards") for _, path in nodes.server.seen))
    store.is_off = True
    begun = nodes.clock.seconds()
    nodes.server.faults = lambda method, path: None
    nodes.start(lease=5)
    nodes.until(lambda: nodes.clock.seconds() > begun + 40)
    store.is_off = False
    nodes.finish(120)
    assert nodes.urls() == expected


def test_a_lease_that_is_lost_beside_another_of_its_shard(nodes: ObjectNodes) -> None:
    """A shard says how far a part counts, not of which host: what is good of it goes into the next part."""
    lost = "h0.example"
    stays = next(
        name for n in range(1, 10_000) if shard_of(f"{(name := f'h{n}.example')}:80") == shard_of(f"{lost}:80")
    )
    servers = [nodes.world.site({"/": page()}, host) for host in (lost, stays)]
    nodes.server.faults = lambda method, path: "denied" if method == "PUT" else None
    nodes.start(f"http://{lost}/", f"http://{stays}/", lease=6)
    nodes.until(lambda: any(path.endswith(".shards") for _, path in nodes.server.seen))
    holder = nodes.store._crawl.shards[shard_of(f"{lost}:80")].hosts[f"{lost}:80"].holder
    assert holder is not None
    holder.expires = 0.0
    nodes.start(lease=6)
    nodes.until(lambda: len(servers[0].targets) == 2)
    node = nodes.crawlers[0].parts.node
    assert node is not None
    nodes.until(lambda: list(node.frontier.held) == [f"{stays}:80"])
    nodes.server.faults = lambda method, path: None
    nodes.finish(120)
    assert nodes.urls() == Counter([f"http://{lost}/", f"http://{stays}/"])
    assert len(servers[1].targets) == 1


@pytest.mark.parametrize("late", [0.1, 1.0, 3.0])
def test_a_store_that_has_lost_its_last_seconds(nodes: ObjectNodes, late: float) -> None:
    expected = web(nodes.world)
    for _ in range(2):
        nodes.start("http://h0.example/0", lease=5, delay=1.0)
    nodes.until(lambda: nodes.counts.ok >= 10)
    nodes.lose(late)
    nodes.finish(200)
    assert nodes.urls() == expected


def test_a_node_that_leaves_puts_what_it_has(nodes: ObjectNodes) -> None:
    expected = web(nodes.world)
    leaving = nodes.start("http://h0.example/0", lease=600)
    nodes.until(lambda: nodes.asked >= 30)
    leaving.drain()
    nodes.until(lambda: len(nodes.ended) == 1)
    assert nodes.counts.leased == 0
    assert nodes.counts.ok >= 30
    nodes.start("http://h0.example/0")
    nodes.finish(60)
    assert nodes.urls() == expected
    assert nodes.asked == len(expected)


def test_from_the_command_line(objects: ObjectServer, site, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """With a real Redis: the crawl, and what is asked of it whole."""
    bucket = objects.bucket()
    shared = ["--frontier", shared_server().url, "--crawl-id", another_crawl()]
    place = f"s3://{bucket}/out/"
    crawl = ["-r", site.url("/p/1.html"), "--scope", "any", *shared, "--max-pages", "40", "--delay", "0"]
    assert main([*crawl, "-o", place, "-q"]) == 0
    assert main(["verify", place, *shared]) == 0
    assert main(["collect", place, *shared, "-o", str(tmp_path / "all.jsonl")]) == 0
    urls = Counter(json.loads(line)["url"] for line in (tmp_path / "all.jsonl").read_text().splitlines())
    assert urls[site.url("/p/1.html")] == 1
    assert set(urls.values()) == {1}
    capfd.readouterr()
    assert main([*crawl, "-o", "s3://no-such-bucket/out/", "-q"]) == 5
    assert "there is no such bucket" in capfd.readouterr().err


def test_what_is_no_place_for_parts(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["http://a.example/", "-o", "s3://bucket/out/"]) == 2
    assert "'s3://bucket/out/' names no object" in capfd.readouterr().err
