"""Every request takes its host's turn, whoever asks for it, and every URL one: also over kills.

The real crawler in a simulated internet, whose onlooker watches too.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from simulation.lives import Story, live_in
from simulation.network import Host, Line
from simulation.sites import Page, Site
from simulation.world import OPTIONS, End, World

DELAY = 1.0


def world_of(*sites: Site, inputs: list[str], **options: object) -> World:
    """Each of these sites on a host of its own."""
    world = World(0, OPTIONS | {"delay": DELAY, "robots": True} | options, [], {}, [])
    world.inputs = inputs
    for number, site in enumerate(sites, 1):
        world.sites[site.name] = site
        world.hosts.append(Host(site.name, [f"93.184.{number // 200}.{number % 200 + 1}"], site.answer, Line()))
    return world


def site(name: str, *pages: Page, **more: object) -> Site:
    return Site(name, {page.target: page for page in pages}, lambda now: now, **more)


def asked(story: Story, host: str) -> list[tuple[float, str]]:
    """When this host was asked, and for what."""
    events = [event.split(" ") for event in story.events]
    return [(float(event[0]), event[5]) for event in events if event[1:3] == ["asked", host]]


def check_delay(story: Story, host: str, delay: float = DELAY) -> None:
    for (before, _), (after, target) in pairwise(asked(story, host)):
        assert after - before >= delay - 1e-6, f"{host} is asked for {target} after {after - before:g} s"


class TestRobotsElsewhere:
    """A robots.txt that redirects: who serves it decides where we go, not how fast."""

    @pytest.mark.parametrize("per_host", [1, 4])
    def test_forty_hosts_lead_to_one(self, per_host):
        """The one is asked once in a second, as if it had been asked for pages; and all get their records."""
        hosts = [
            site(f"h{number}.example", Page("/", body=b"page"), robots_location="http://victim.example/rules")
            for number in range(40)
        ]
        victim = site("victim.example", Page("/rules", body=b"User-agent: *\nDisallow: /no\n"), Page("/", body=b"v"))
        inputs = [f"http://{host.name}{path}" for host in hosts for path in ("/", "/no")] + ["http://victim.example/"]
        story = live_in(world_of(*hosts, victim, inputs=inputs, per_host=per_host, concurrency=64))
        assert len(asked(story, "victim.example")) == 42  # forty times the rules, its own robots.txt, its page
        check_delay(story, "victim.example")
        outcomes = {(record.url.rpartition("/")[2], record.outcome) for record in story.records}
        assert outcomes == {("", "ok"), ("no", "skipped")}

    def test_they_do_not_keep_its_own_pages_waiting(self):
        """Every other turn is theirs at most."""
        hosts = [
            site(f"h{number}.example", Page("/", body=b"page"), robots_location="http://victim.example/rules")
            for number in range(20)
        ]
        victim = site("victim.example", Page("/rules", body=b""), *(Page(f"/{n}", body=b"v") for n in range(10)))
        inputs = [f"http://{host.name}/" for host in hosts] + [f"http://victim.example/{n}" for n in range(10)]
        story = live_in(world_of(*hosts, victim, inputs=inputs, concurrency=64))
        check_delay(story, "victim.example")
        targets = [target for _, target in asked(story, "victim.example")]
        assert targets.index("/9") <= 22

    def test_no_slot_waits_with_them(self):
        """With one slot: another host is asked meanwhile, and nothing stands still."""
        first = site("a.example", Page("/", body=b"a"), robots_location="http://victim.example/rules")
        second = site("b.example", Page("/", body=b"b"), robots_location="http://victim.example/rules")
        victim = site("victim.example", Page("/rules", body=b""))
        other = site("c.example", *(Page(f"/{n}", body=b"c") for n in range(5)))
        inputs = ["http://a.example/", "http://b.example/", *(f"http://c.example/{n}" for n in range(5))]
        story = live_in(world_of(first, second, victim, other, inputs=inputs, concurrency=1, delay=30.0))
        assert [record.outcome for record in story.records] == ["ok"] * 7
        check_delay(story, "victim.example", 30.0)
        assert asked(story, "c.example")[1][0] < asked(story, "victim.example")[1][0] + 31.0

    def test_two_hosts_that_point_at_each_other(self):
        """Both are held, and both are asked for the other's rules."""
        one = site(
            "a.example", Page("/", body=b"a"), Page("/rules", body=b""), robots_location="http://b.example/rules"
        )
        two = site(
            "b.example", Page("/", body=b"b"), Page("/rules", body=b""), robots_location="http://a.example/rules"
        )
        story = live_in(world_of(one, two, inputs=["http://a.example/", "http://b.example/"]))
        assert [record.outcome for record in story.records] == ["ok", "ok"]
        for host in ("a.example", "b.example"):
            check_delay(story, host)

    def test_on_the_same_host(self):
        """The redirect of a robots.txt to the host itself is one more request to it."""
        here = site("a.example", Page("/", body=b"a"), Page("/rules", body=b""), robots_location="/rules")
        story = live_in(world_of(here, inputs=["http://a.example/"]))
        assert [target for _, target in asked(story, "a.example")] == ["/robots.txt", "/rules", "/"]
        check_delay(story, "a.example")

    def test_a_host_that_was_given_up(self):
        """It is not asked for others' rules either: those are unreachable, and their hosts wait no longer."""
        dead = site("victim.example", *(Page(f"/{n}", fault="503", times=10**9) for n in range(12)))
        here = site("a.example", Page("/", body=b"a"), robots_location="http://victim.example/0")
        inputs = [f"http://victim.example/{n}" for n in range(12)] + ["http://a.example/"]
        story = live_in(world_of(dead, here, inputs=inputs, delay=0.0, retries=1))
        check_delay(story, "victim.example", 0.0)
        assert story.records[-1].error is not None
        assert story.records[-1].error.code == "robots_unreachable"


class TestSentAgain:
    """A request that got no answer on a kept connection is sent again: in the host's turn, and at no cost."""

    @pytest.mark.parametrize("delay", [0.0, DELAY])
    def test_stale(self, delay):
        """The server closes the kept connection just as the next request is on its way."""
        pages = [Page(f"/{n}", body=b"page", fault="reset", times=n > 0) for n in range(8)]
        inputs = [f"http://a.example/{n}" for n in range(8)]
        story = live_in(world_of(site("a.example", *pages), inputs=inputs, delay=delay, robots=False, per_host=1))
        assert [(record.status, record.attempts) for record in story.records] == [(200, 1)] * 8
        assert sum("empty_reply" in event for event in story.events) == 7
        check_delay(story, "a.example", delay)
        if not delay:
            assert asked(story, "a.example")[-1][0] - asked(story, "a.example")[0][0] < 1.0

    @pytest.mark.parametrize("delay", [0.0, 0.004])
    def test_the_rest_of_the_answer_before(self, delay):
        """It comes when the next request is on its way: that is not its answer."""
        pages = [Page(f"/{n}", body=b"page", fault="late_rest", times=10**9) for n in range(8)]
        here = site("a.example", *pages)
        inputs = [f"http://a.example/{n}" for n in range(8)]
        story = live_in(world_of(here, inputs=inputs, delay=delay, robots=False, per_host=1))
        assert [(record.status, record.attempts, record.body) for record in story.records] == [(200, 1, b"page")] * 8
        check_delay(story, "a.example", delay)
        assert any("http_desync" in event for event in story.events)

    def test_a_robots_txt(self):
        """It is asked for again in a turn of its own, as all else is."""
        here = site("a.example", Page("/", body=b"a"), Page("/rules", body=b"", fault="reset", times=1))
        here.robots_location = "/rules"
        story = live_in(world_of(here, inputs=["http://a.example/"]))
        assert [target for _, target in asked(story, "a.example")] == ["/robots.txt", "/rules", "/rules", "/"]
        assert [(record.status, record.attempts) for record in story.records] == [(200, 1)]
        check_delay(story, "a.example")


class TestHopsOverKills:
    """What a redirect has led to is known in the next run, too, unless nothing came of it."""

    LINKS = ("/a", "/b", "/c", "/d", "/login")

    def world(self, *ends: End, **options: object) -> World:
        links = [f"http://a.example{target}" for target in self.LINKS]
        here = site(
            "a.example",
            Page("/", body="".join(f'<a href="{link}">' for link in links).encode(), links=links),
            *(Page(target, location="/hop") for target in self.LINKS[:-1]),
            Page("/hop", location="/login"),
            Page("/login", body=b"log in"),
        )
        inputs = ["http://a.example/", "http://a.example/b"]
        world = world_of(here, inputs=inputs, delay=0.0, robots=False, recursive=True, depth=None, max_pages=None,
                         scope="host", skipped=False, sitemaps=False, **options)  # fmt: skip
        world.job = True
        world.ends = list(ends)
        return world

    @pytest.mark.parametrize("way", ["crash", "power", "abort"])
    def test_at_every_moment(self, way):
        """One has the page, whatever the moment at which a run ends; each URL has its record."""
        for calls in range(0, 90, 15):
            story = live_in(self.world(End(way, calls), End(way, calls // 2)))
            pages = [record for record in story.records if record.status == 200]
            assert sorted(record.final_url for record in pages) == ["http://a.example/", "http://a.example/login"]
            duplicates = {
                record.final_url for record in story.records if record.error and record.error.code == "duplicate"
            }
            assert duplicates <= {"http://a.example/hop", "http://a.example/login", "http://a.example/b"}


class TestOverKills:
    """What was promised to a host, and to the user, holds over any number of kills."""

    def world(self, *ends: End, pages: int = 12, **options: object) -> World:
        links = [f"http://a.example/{number}" for number in range(pages)]
        root = Page("/", body="".join(f'<a href="{link}">' for link in links).encode(), links=links)
        here = site("a.example", root, *(Page(f"/{number}", body=b"page") for number in range(pages)))
        crawl = {
            "recursive": True,
            "depth": None,
            "max_pages": None,
            "scope": "host",
            "skipped": False,
            "sitemaps": False,
        }
        world = world_of(here, inputs=["http://a.example/"], **crawl | options)
        world.job = True
        world.ends = list(ends)
        return world

    def test_the_delay(self):
        """Killed at any moment, the next run begins 20 ms later, as often as not: it waits as one run would."""
        for calls in (7, 20, 33, 46):
            ends = [End("crash", calls + 3 * n) for n in range(4)]
            live_in(self.world(*ends, delay=4.0, robots=calls % 2 == 0))  # the world's onlooker reads the delays

    def test_a_crawl_delay(self):
        """The next run knows it before it has read robots.txt again."""
        seen = 0
        for calls in range(12, 60, 4):
            world = self.world(End("crash", calls), pages=6, delay=0.25)
            world.sites["a.example"].robots = "User-agent: *\nCrawl-delay: 7\n"
            story = live_in(world)
            begin = [float(event.split(" ")[0]) for event in story.events if " life " in event][-1]
            starts = asked(story, "a.example")
            if any(target != "/robots.txt" for when, target in starts if when < begin):
                seen += 1
                assert next(when for when, _ in starts if when >= begin) - begin >= 7.0 - 1e-6
        assert seen > 2

    @pytest.mark.parametrize("concurrency", [1, 8])
    def test_so_many_pages(self, concurrency):
        """Not one more is asked for, and what was asked for has a page's record; whatever the number of kills."""
        ends = [End(("crash", "crash", "abort", "power")[n % 4], 4 + n % 13) for n in range(35)]
        options = {
            "skipped": True,
            "max_pages": 9,
            "concurrency": concurrency,
            "per_host": 4,
            "delay": 0.0,
            "robots": False,
        }
        story = live_in(self.world(*ends, **options))
        assert story.lives > 5
        outcomes = Counter(record.error and record.error.code for record in story.records)
        assert outcomes == {None: 9, "budget_exceeded": 4}
        assert len(story.world.begun) == 9
