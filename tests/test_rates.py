"""Rates and tables of hosts in a whole run, over servers in memory, under a Clock: what the servers see, and when."""

from __future__ import annotations

from itertools import pairwise

import pytest
from engine.test_turns import asked, site, world_of
from memory_net import NEVER, Server
from simulation.lives import live_in
from simulation.sites import Page as SimulatedPage
from simulation.world import End
from test_crawl_mode import Answer, World, gaps, moved, page, robots, urls


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def starts(*servers: Server) -> list[float]:
    """When they were asked, all together."""
    return sorted(when for server in servers for when, _ in server.asked)


def assert_spaced(times: list[float], distance: float) -> None:
    assert all(after - before >= distance - 1e-6 for before, after in pairwise(times)), times


class TestRateOfTheRun:
    """--rate: for all hosts together."""

    def test_every_request_counts(self, world):
        """Pages of two hosts, a redirect from one to the other, tries again, and the robots.txt of each."""
        first = world.site({"/": page("/a", "/b"), "/a": moved("http://b.example/x"), "/b": page()})
        second = world.site(
            {"/": page("/y"), "/x": [Answer(status=500), Answer(status=500), page()], "/y": page()}, "b.example"
        )
        run = world.crawl(
            "http://a.example/", "http://b.example/", rate="30/m", delay=0, scope="any", retries=3, robots=True
        )
        assert run.snapshot.ok == 5
        times = starts(first, second)
        assert len(times) == 2 + 2 + 2 + 3 + 1  # robots.txt, the roots, a and b, x thrice, y
        assert_spaced(times, 2.0)
        assert times[-1] - times[0] == pytest.approx(2.0 * (len(times) - 1), abs=3.0)

    def test_what_is_not_asked_takes_no_turn(self, world):
        """Links that robots.txt denies are disposed of, and the next request is no later for them."""
        links = [f"/no/{number}" for number in range(50)]
        server = world.site({"/robots.txt": robots("Disallow: /no"), "/": page(*links, "/yes"), "/yes": page()})
        world.crawl(rate="1/s", delay=0)
        assert [target for target in server.targets if target.startswith("/no/")] == []
        assert gaps(server) == pytest.approx([1.0, 1.0])

    def test_the_slower_one_counts(self, world):
        """A host's own delay goes on to hold below the rate of the run."""
        server = world.site({"/": page("/a", "/b"), "/a": page(), "/b": page()})
        world.crawl(rate="10/s", delay=3, robots=False)
        assert gaps(server) == pytest.approx([3.0, 3.0])

    def test_a_list(self, world):
        """Also without a crawl, over many hosts."""
        servers = [world.site({"/": page()}, f"h{number}.example") for number in range(10)]
        world.crawl(*(f"http://h{number}.example/" for number in range(10)), recursive=False, rate="4/s")
        times = starts(*servers)
        assert [after - before for before, after in pairwise(times)] == pytest.approx([0.25] * 9)

    def test_over_kills(self):
        """Killed at any moment, the next run of the job begins no closer than one run would have gone on."""
        for calls in (7, 20, 33):
            links = [f"http://a.example/{number}" for number in range(8)]
            root = SimulatedPage("/", body="".join(f'<a href="{link}">' for link in links).encode(), links=links)
            here = site("a.example", root, *(SimulatedPage(f"/{number}", body=b"page") for number in range(8)))
            there = site("b.example", *(SimulatedPage(f"/{number}", body=b"page") for number in range(8)))
            inputs = ["http://a.example/", *(f"http://b.example/{number}" for number in range(8))]
            options = {"recursive": True, "scope": "host", "max_pages": None, "depth": None, "sitemaps": False}
            world = world_of(here, there, inputs=inputs, rate="20/m", delay=0.0, skipped=False, **options)
            world.job = True
            world.ends = [End("crash", calls + 3 * n) for n in range(3)]
            story = live_in(world)
            times = sorted(when for host in ("a.example", "b.example") for when, _ in asked(story, host))
            assert len(times) > 16
            assert_spaced(times, 3.0 - 0.035)  # a start comes to its server when there is a connection


class TestRateOfEachHost:
    """--rate-per-host, and `rate` in a table."""

    def test_each_host_has_its_own(self, world):
        """Two hosts are asked at twice the rate of one."""
        pages = {"/": page("/a", "/b", "/c"), "/a": page(), "/b": page(), "/c": page()}
        first, second = world.site(pages), world.site(pages, "b.example")
        world.crawl("http://a.example/", "http://b.example/", rate_per_host="30/m", delay=0, robots=False)
        assert gaps(first) == pytest.approx([2.0] * 3) == gaps(second)

    def test_a_table_goes_before(self, world):
        """A host of its own rate, faster or slower than that of all."""
        pages = {"/": page("/a", "/b"), "/a": page(), "/b": page()}
        servers = [world.site(pages, host) for host in ("a.example", "fast.example", "slow.example")]
        world.crawl(
            *(f"http://{host}/" for host in ("a.example", "fast.example", "slow.example")),
            rate_per_host="1/s",
            delay=0,
            robots=False,
            hosts={"fast.example": {"rate": "10/s"}, "slow.example": {"rate": "6/m"}},
        )
        assert [gaps(server)[0] for server in servers] == pytest.approx([1.0, 0.1, 10.0])

    def test_backing_off_goes_below(self, world):
        """A host that says 503 is asked more slowly than its rate."""
        server = world.site({"/": page("/a", "/b"), "/a": [Answer(status=503), page()], "/b": page()})
        world.crawl(rate_per_host="2/s", delay=0, robots=False)
        assert gaps(server)[0] == pytest.approx(0.5)
        assert max(gaps(server)) >= 1.0 - 1e-6


class TestTables:
    """What a table says holds for its hosts, and for no other."""

    def test_concurrency_and_delay(self, world):
        """Of *.example: one at a time and 2 s apart; of the other as for all."""
        pages = {f"/{number}": page(after=5.0) for number in range(3)}
        slow = world.site(pages, "www.a.example")
        free = world.site(pages, "b.test")
        world.crawl(
            *urls("/0", "/1", "/2", host="www.a.example"),
            *urls("/0", "/1", "/2", host="b.test"),
            recursive=False,
            hosts={"*.a.example": {"concurrency": 1, "delay": 7}},
        )
        assert (slow.most_answering, free.most_answering) == (1, 3)
        assert gaps(slow) == pytest.approx([7.0, 7.0])

    def test_another_port_is_another_server(self, world):
        """A table without a port is about 80 and 443."""
        pages = {"/0": page(), "/1": page()}
        servers = [world.site(pages, port=port) for port in (80, 8080)]
        targets = [*urls("/0", "/1"), *urls("/0", "/1", host="a.example:8080")]
        world.crawl(*targets, recursive=False, hosts={"a.example": {"delay": 3}})
        assert [gaps(server) for server in servers] == [pytest.approx([3.0]), [0.0]]

    @pytest.mark.parametrize("everywhere", [True, False])
    def test_robots(self, world, everywhere):
        """Obeyed at one host and not at another, whatever holds for all; and not read where it is not obeyed."""
        pages = {"/robots.txt": robots("Disallow: /"), "/no": page()}
        strict, free = world.site(pages), world.site(pages, "b.example")
        tables = {"b.example": {"robots": False}} if everywhere else {"a.example": {"robots": True}}
        run = world.crawl(
            "http://a.example/no", "http://b.example/no", recursive=False, robots=everywhere, hosts=tables
        )
        assert (strict.targets, free.targets) == (["/robots.txt"], ["/no"])
        assert (run.code("http://a.example/no"), run.code("http://b.example/no")) == ("robots_denied", None)

    def test_timeout(self, world):
        """Each host has as long as its table says."""
        pages = {"/": Answer(after=NEVER)}
        for host in ("a.example", "b.example"):
            world.site(pages, host)
        run = world.crawl(
            "http://a.example/",
            "http://b.example/",
            recursive=False,
            retries=0,
            headers_timeout=1000,
            timeout=30,
            hosts={"a.example": {"timeout": 3}},
        )
        times = [record.time_total for record in run.records]
        assert times == pytest.approx([3.1, 30.1], abs=0.11)
        assert [record.error.message for record in run.records if record.error] == [
            "not done after 3 s",
            "not done after 30 s",
        ]

    def test_headers_stay_with_their_host(self, world):
        """They go to the host whoever leads there over TLS, and with no redirect away from it."""
        here = world.site({"/": moved("http://b.example/"), "/back": page()})
        there = world.site({"/": moved("http://a.example/back")}, "b.example")
        world.crawl(recursive=False, hosts={"a.example": {"headers": {"X-Key": "secret"}}})
        assert [asked.headers.get("x-key") for _, asked in here.asked] == ["secret", None]  # in the clear, led by b
        assert [asked.headers.get("x-key") for _, asked in there.asked] == [None]

    def test_steering_goes_on_to_hold_for_the_others(self, world):
        """Another delay for all, by hand: a host with a delay of its own keeps it."""
        politeness = world.crawl(recursive=False, hosts={"a.example": {"delay": 5}}).crawler.parts.politeness
        mine, other = politeness.host("a.example:80", 0.0), politeness.host("c.example:80", 0.0)
        politeness.configure(0.0, delay=1.0)
        assert (mine.delay, other.delay) == (5.0, 1.0)
