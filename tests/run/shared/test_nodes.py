"""Crawls that several nodes work on: on one Clock, over servers in memory and a store in memory that all share."""

from __future__ import annotations

from collections import Counter
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from crawl_world import World, moved, page, robots
from shared_nodes import AsksOnClock, Nodes
from shared_store import NoticesLoss
from twisted.python.failure import Failure

from crawler.config.config import Config, ConfigError
from crawler.errors import CodedError
from crawler.frontier.shared.about import read_nodes
from crawler.frontier.shared.contract import Arrival, SharedStore, StoreError, StoreRefusedError, shard_of
from crawler.run.shared.reading import Arriving, take_pushed

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


class CutOff:
    """A store that one node does not reach while `is_off`."""

    def __init__(self, store: SharedStore) -> None:
        self.is_off = False
        self._store = store

    def __getattr__(self, name: str) -> Any:
        if self.is_off:
            raise StoreError("cut off")
        return getattr(self._store, name)


def half_done(nodes: Nodes) -> bool:
    return nodes.counts.ok >= 30


def test_a_node_that_is_cut_off_beyond_its_leases_spoils_nothing(nodes: Nodes) -> None:
    """Its hosts go to the other one; what it has made of them meanwhile does not count, and it works on afterwards."""
    expected = web(nodes.world)
    store = CutOff(nodes.store)
    nodes.start("http://h0.example/0", asks=AsksOnClock(store, nodes.clock), lease=5)
    nodes.until(lambda: half_done(nodes))
    nodes.start(lease=5)
    store.is_off = True
    done, begun = nodes.counts.ok, nodes.clock.seconds()
    nodes.until(lambda: nodes.clock.seconds() > begun + 30)
    assert nodes.counts.ok > done
    store.is_off = False
    nodes.finish()
    assert nodes.urls() == expected


def test_what_a_killed_node_held_goes_to_others(nodes: Nodes) -> None:
    expected = web(nodes.world)
    store = CutOff(nodes.store)
    nodes.start("http://h0.example/0", asks=AsksOnClock(store, nodes.clock), lease=5)
    nodes.until(lambda: half_done(nodes))
    store.is_off = True
    nodes.start(lease=5)
    nodes.until(lambda: len(nodes.ended) == 1)
    assert nodes.urls() == expected
    nodes.crawlers[0].abort()
    nodes.until(lambda: len(nodes.ended) == 2)
    assert nodes.urls() == expected


@pytest.mark.parametrize("late", [0.1, 0.35, 1.0])
def test_a_store_that_has_lost_its_last_second(nodes: Nodes, late: float) -> None:
    """Parts are begun anew where it knows less than it did; what it lost is fetched again, and counts once."""
    expected = web(nodes.world)
    for _ in range(2):
        nodes.start("http://h0.example/0", lease=5)
    nodes.until(lambda: nodes.counts.ok >= 10)
    nodes.lose(late)
    nodes.finish()
    assert nodes.urls() == expected


def test_a_node_that_leaves_gives_its_hosts_back_at_once(nodes: Nodes) -> None:
    expected = web(nodes.world)
    leaving = nodes.start("http://h0.example/0", lease=600)
    nodes.until(lambda: half_done(nodes))
    leaving.drain()
    nodes.until(lambda: len(nodes.ended) == 1)
    assert nodes.counts.leased == 0
    assert not any(left > 0 for _, left in nodes.store.nodes().values())
    nodes.start("http://h0.example/0")
    nodes.finish(60)
    assert nodes.urls() == expected


def test_ctrl_c_twice_loses_nothing(nodes: Nodes) -> None:
    expected = web(nodes.world)
    leaving = nodes.start("http://h0.example/0", lease=5)
    nodes.until(lambda: half_done(nodes))
    leaving.drain()
    leaving.abort()
    nodes.until(lambda: len(nodes.ended) == 1)
    nodes.start("http://h0.example/0")
    nodes.finish(60)
    assert nodes.urls() == expected


def test_redirects_over_hosts(nodes: Nodes) -> None:
    """Who holds the other host asks it; where it leads to what is known it says so, as in any crawl."""
    world = nodes.world
    away = {f"/{n}": moved(f"http://b.example/{n % 3}") for n in range(6)}
    world.site({"/": page(*away), **away, "/loop": moved("http://b.example/loop")}, "a.example")
    b = world.site({"/0": page("/x"), "/1": moved("http://c.example/"), "/2": page(), "/x": page()}, "b.example")
    world.site({"/": page("http://a.example/loop")}, "c.example")
    for _ in range(3):
        nodes.start("http://a.example/")
    nodes.finish(120)
    records = {record["url"]: record for record in nodes.collect()}
    assert Counter(b.targets) == {"/0": 1, "/1": 1, "/2": 1, "/x": 1, "/loop": 1}
    ended = Counter((record["outcome"], (record.get("error") or {}).get("code")) for record in records.values())
    # Three of the six led somewhere first; what /1 and /4 led to is one page of a third host.
    assert ended == {("ok", None): 6, ("skipped", "duplicate"): 3}
    finals = {record["final_url"] for record in records.values() if record["outcome"] == "ok"}
    assert {"http://c.example/", "http://b.example/0", "http://b.example/2"} <= finals
    assert nodes.counts.moving == 0


def test_max_pages_is_exact_over_all_nodes(nodes: Nodes) -> None:
    expected = web(nodes.world)
    for _ in range(3):
        nodes.start("http://h0.example/0", max_pages=20)
    nodes.finish(120)
    found = nodes.urls()
    assert len(found) == 20
    assert found <= expected
    assert nodes.counts.pages == 20


def test_seeds_are_read_once_and_each_has_its_record(nodes: Nodes) -> None:
    """Also one that is no URL, and one that comes twice."""
    nodes.world.site({"/": page()}, "a.example")
    seeds = ["http://a.example/", "nonsense", "http://a.example/", *(f"http://a.example/{n}" for n in range(1_200))]
    for _ in range(3):
        nodes.start(*seeds, delay=0, per_host=16)
    nodes.finish(120)
    records = nodes.collect()
    assert sorted(record["input"]["line"] for record in records) == [*range(1, len(seeds) + 1)]
    codes = Counter((record.get("error") or {}).get("code") for record in records)
    assert codes["url_invalid"] == codes["duplicate"] == 1


def test_lines_that_others_push_are_fetched_too(nodes: Nodes) -> None:
    nodes.world.site({"/": page(), "/pushed": page()}, "a.example")
    nodes.store.push(b"http://a.example/pushed")
    nodes.store.push(b"\xff")
    nodes.start("http://a.example/")
    nodes.finish(60)
    assert Counter(record["input"]["source"] for record in nodes.collect()) == {"urls": 1, "pushed": 2}


def test_lines_are_taken_in_while_all_have_something_to_do(nodes: Nodes) -> None:
    web(nodes.world)
    nodes.start("http://h0.example/0", delay=5)
    nodes.until(lambda: nodes.counts.ok >= 2)
    nodes.store.push(b"http://h7.example/pushed")
    end = nodes.clock.seconds() + 3
    nodes.until(lambda: nodes.clock.seconds() >= end)
    assert nodes.store.pushing() == 0
    assert nodes.counts.pending > 1
    nodes.finish(1_000)
    assert nodes.urls()["http://h7.example/pushed"] == 1


def test_what_a_node_tells_does_not_pile_up_where_nobody_hears_it(nodes: Nodes) -> None:
    web(nodes.world)
    store = CutOff(nodes.store)
    asks = AsksOnClock(store, nodes.clock)
    nodes.start("http://h0.example/0", asks=asks)
    nodes.until(lambda: half_done(nodes))
    store.is_off = True
    end = nodes.clock.seconds() + 20
    nodes.until(lambda: nodes.clock.seconds() >= end)
    assert asks.waiting < 10
    store.is_off = False
    nodes.finish()


def test_a_line_that_has_the_number_of_another(nodes: Nodes) -> None:
    """The server that counts them has lost its last second, and the one where the first has arrived has not."""
    store, arriving = nodes.store, Arriving(lambda seed: (seed.url.href[-8:].encode(), b"x"))
    for line in (b"http://a.example/first", b"http://a.example/other"):
        store._crawl.last_pushed = 0
        store.push(line)
        take_pushed(store, arriving, "node", 30.0, None)
    assert nodes.counts.arrived == 2


class LosesAnswers:
    """A store whose first answer to `method` is lost."""

    def __init__(self, store: SharedStore, method: str) -> None:
        self._store = store
        self._method: str | None = method

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        if name != self._method:
            return method

        def lose(*arguments: Any, **rest: Any) -> Any:
            self._method = None
            method(*arguments, **rest)
            raise StoreError("the answer is lost")

        return lose


def test_lines_that_are_on_their_way_are_waited_for(nodes: Nodes) -> None:
    """Whoever was given them may not know, or be dead: then somebody else gets them, and no crawl ends before that."""
    nodes.world.site({"/": page(), "/pushed": page()}, "a.example")
    nodes.store.push(b"http://a.example/pushed")
    store: Any = LosesAnswers(nodes.store, "pushed")
    nodes.start("http://a.example/", asks=AsksOnClock(store, nodes.clock))
    nodes.finish(120)
    assert nodes.urls() == {"http://a.example/": 1, "http://a.example/pushed": 1}


def test_what_a_node_cannot_read_ends_it(nodes: Nodes) -> None:
    """In words, and not never: the store was written by something else."""
    nodes.store.arrive(shard_of("a.example:80"), [Arrival("a.example:80", b"12345678", b"\xc1")])
    nodes.start("http://b.example/")
    nodes.until(lambda: len(nodes.ended) == 1, 60)
    (outcome,) = nodes.ended
    assert isinstance(outcome, Failure)
    assert "it has a URL that this version of the program cannot read" in str(outcome.value)


def test_other_options_are_refused(nodes: Nodes) -> None:
    nodes.world.site({"/": page("/1", "/2")}, "a.example")
    nodes.start("http://a.example/")
    nodes.start("http://a.example/", depth=3)
    nodes.until(lambda: len(nodes.ended) == 2)
    refused = [outcome.value for outcome in nodes.ended if isinstance(outcome, Failure)]
    assert [type(error) for error in refused] == [ConfigError]
    assert "--depth must be what the crawl test at redis://store.example/0 began with" in str(refused[0])


@pytest.mark.parametrize("late", [0.05, 0.3, 1.0])
def test_inputs_that_the_store_has_lost_arrive_again(nodes: Nodes, late: float) -> None:
    """Also where all were read before."""
    nodes.world.site({"/": page()}, "a.example")
    seeds = [f"http://a.example/{n}" for n in range(1_300)]
    nodes.start(*seeds, delay=0, per_host=16)
    nodes.until(lambda: nodes.counts.arrived > 400)
    nodes.lose(late)
    nodes.finish(200)
    assert nodes.urls() == Counter(seeds)


def test_what_is_known_of_a_host_travels_with_it(nodes: Nodes) -> None:
    """Its robots.txt is not fetched again, its delay is kept from node to node, and its back-off goes on."""
    pages = {f"/{n}": page(f"/{n + 1}", f"/private/{n}") for n in range(12)}
    told = robots("Disallow: /private/", "Crawl-delay: 2")
    server = nodes.world.site({"/robots.txt": told, **pages}, "a.example")
    first = nodes.start("http://a.example/0", robots=True, delay=0)
    nodes.until(lambda: nodes.counts.ok >= 4)
    nodes.start("http://a.example/0", robots=True, delay=0)
    first.drain()
    nodes.finish(120)
    assert Counter(server.targets)["/robots.txt"] == 1
    assert not any(target.startswith("/private/") for target in server.targets)
    times = [at for at, asked in server.asked]
    assert min(after - before for before, after in pairwise(times)) >= 2.0 - 1e-6
    records = {record["url"]: record for record in nodes.collect()}
    assert set(records) == {f"http://a.example/{n}" for n in range(13)}


def test_a_host_that_somebody_typed_may_be_private_for_all_nodes(nodes: Nodes) -> None:
    """What leads to it from elsewhere is fetched by whoever holds it, as in the run of one process."""
    nodes.world.site({f"/{n}": page(f"/{n + 1}") for n in range(20)}, "in.example", address="10.0.0.1")
    first = nodes.start("http://in.example/0", allow_private=False)
    nodes.until(lambda: nodes.counts.ok >= 4)
    nodes.start(allow_private=False)
    first.drain()
    nodes.finish(120)
    assert Counter(record["outcome"] for record in nodes.collect()) == {"ok": 21}


def test_queues_that_are_too_long_are_files_meanwhile(nodes: Nodes) -> None:
    """One host's queue has many more URLs than the store keeps of it: they come back in their order, none is lost."""
    paths = [f"/{n}" for n in range(400)]
    server = nodes.world.site({"/": page(*paths), **{path: page() for path in paths}}, "a.example")
    nodes.store.longest = 50
    for _ in range(2):
        nodes.start("http://a.example/", delay=0.05)
    nodes.until(lambda: any((nodes.folder / "segments").glob("*")))
    nodes.finish(120)
    assert nodes.urls() == Counter(["http://a.example/", *(f"http://a.example{path}" for path in paths)])
    assert max(Counter(server.targets).values()) == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"crawl_id": None}, "the crawl has no name"),
        ({"recursive": False, "scope": "any"}, "is for crawls"),
        ({"job": "job"}, "the store keeps the crawl"),
        ({"output": "records.jsonl"}, "go to a folder that all machines reach"),
        ({"output": "s3://bucket/out"}, "which all reach"),
        ({"frontier": "http://joe:secret@h/"}, "is not the URL of a Redis"),
    ],
)
def test_what_a_node_cannot_do_is_refused_in_words(options: dict[str, Any], words: str) -> None:
    given = {"recursive": True, "scope": "any", "frontier": "redis://joe:secret@h/0", "crawl_id": "x", **options}
    with pytest.raises(ConfigError) as refused:
        Config.build(**given)
    assert words in str(refused.value)
    assert "secret" not in str(refused.value)


def test_what_is_typed_into_a_console_arrives_as_all_else_does(nodes: Nodes) -> None:
    nodes.world.site({**{f"/{n}": page(f"/{n + 1}") for n in range(20)}, "/typed": page()}, "a.example")
    crawler = nodes.start("http://a.example/0")
    nodes.until(lambda: nodes.counts.ok >= 2)
    assert crawler.control is not None
    crawler.control.add("http://a.example/typed", "console")
    nodes.finish(60)
    sources = Counter(record["input"].get("source") for record in nodes.collect())
    assert sources["console"] == 1
    assert nodes.urls()["http://a.example/typed"] == 1


def test_after_a_loss_hosts_need_not_wait_for_the_end_of_their_leases(nodes: Nodes) -> None:
    """The node gives them up, and says so in a new part: what the store has of them is there at once."""
    nodes.world.site({f"/{n}": page(f"/{n + 1}", after=0.02) for n in range(20)}, "a.example")
    store: Any = NoticesLoss(nodes.store)
    asks = AsksOnClock(store, nodes.clock)
    nodes.start("http://a.example/0", asks=asks, lease=600, delay=0.1)
    nodes.until(lambda: nodes.counts.ok >= 5)
    before, at = nodes.store.snapshot(), nodes.clock.seconds()
    nodes.until(lambda: nodes.clock.seconds() >= at + 0.9)
    nodes.store.restore(before)
    store.lost()
    asks.on_doubt()
    nodes.finish(60)
    assert nodes.urls() == Counter(f"http://a.example/{n}" for n in range(21))


def test_a_node_is_known_for_longer_than_any_of_its_leases(nodes: Nodes) -> None:
    """Who cannot tell of itself is not counted as gone, and its pages given to others, before it has let go itself."""
    web(nodes.world)
    store = CutOff(nodes.store)
    crawler = nodes.start("http://h0.example/0", asks=AsksOnClock(store, nodes.clock), lease=5, delay=1)
    for at in [0.31 * n for n in range(1, 30)]:
        nodes.until(partial(lambda at: nodes.clock.seconds() >= at, at + 1.0))
        ((_, known),) = nodes.store.nodes().values()
        books = [book for host in HOSTS if (book := nodes.store.host(f"{host}:80")) is not None]
        assert all(known > book.expires for book in books)
    crawler.abort()
    nodes.until(lambda: bool(nodes.ended))


def test_a_node_that_leaves_without_its_store_says_so(nodes: Nodes) -> None:
    """It is not an output that takes nothing more."""
    web(nodes.world)
    store = CutOff(nodes.store)
    crawler = nodes.start("http://h0.example/0", asks=AsksOnClock(store, nodes.clock), lease=600)
    nodes.until(lambda: half_done(nodes))
    store.is_off = True
    crawler.drain()
    crawler.abort()
    nodes.until(lambda: bool(nodes.ended), 60)
    (outcome,) = nodes.ended
    assert isinstance(outcome, Failure)
    assert isinstance(outcome.value, CodedError)
    assert (outcome.value.code, "gave no answer to this node" in str(outcome.value)) == ("frontier_refused", True)


def test_a_store_that_takes_nothing_more_ends_a_node_that_asks_where_a_redirect_leads(nodes: Nodes) -> None:
    """In words: that is no bug of a visit."""
    nodes.world.site({"/": page("/to"), "/to": moved("/there"), "/there": page()}, "a.example")

    class Full(CutOff):
        def lead(self, *_: object) -> bool:
            raise StoreRefusedError("its memory is full")

    store: Any = Full(nodes.store)
    nodes.start("http://a.example/", asks=AsksOnClock(store, nodes.clock))
    nodes.until(lambda: bool(nodes.ended), 60)
    (outcome,) = nodes.ended
    assert isinstance(outcome, Failure)
    assert isinstance(outcome.value, CodedError)
    assert outcome.value.code == "frontier_refused"


@pytest.mark.parametrize("scope", ["host", "origin", "domain", "prefix"])
def test_the_scope_is_around_the_inputs_of_all(nodes: Nodes, scope: str) -> None:
    """Whoever reads them: each node follows links to all of them, from the first page on, and none elsewhere."""
    for number, host in enumerate(HOSTS):
        onward = HOSTS[(number + 2) % len(HOSTS)], HOSTS[(number + 1) % len(HOSTS)]
        links = ["/1", *(f"http://{there}/late" for there in onward)]
        nodes.world.site({"/0": page(*links), "/1": page(), "/late": page("/behind"), "/behind": page()}, host)
    for _ in range(3):
        nodes.start(*(f"http://{host}/0" for host in HOSTS[::2]), scope=scope)
    nodes.finish()
    paths = ("/0", "/1", "/late", "/behind")
    assert nodes.urls() == Counter(f"http://{host}{path}" for host in HOSTS[::2] for path in paths)


def test_the_scope_is_around_what_was_pushed_and_where_inputs_are_led(nodes: Nodes) -> None:
    """Also for nodes that were not told, did not follow that redirect, and join later."""
    nodes.world.site({"/": moved("http://www.a.example/")}, "a.example")
    www = {"/": page("/1", after=1.0), "/1": page("/2", after=1.0), "/2": page(), "/x": page()}
    nodes.world.site(www, "www.a.example")
    nodes.world.site({"/": page("/1", "http://www.a.example/x", "http://c.example/"), "/1": page()}, "b.example")
    first = nodes.start("http://a.example/", scope="origin")
    nodes.until(lambda: nodes.counts.ok >= 1)
    nodes.store.push(b"http://b.example/")
    nodes.start(scope="origin")
    first.drain()
    nodes.finish()
    found = nodes.urls()
    expected = ["http://a.example/", "http://www.a.example/1", "http://www.a.example/2", "http://www.a.example/x"]
    assert found == Counter([*expected, "http://b.example/", "http://b.example/1"])
