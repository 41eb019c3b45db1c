"""Crawl mode as a whole: a Crawler made of a Config, over servers in memory, under a Clock; every instant is exact."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import pytest
from crawl_world import HTML, ROOT, Answer, Kept, Pages, World, moved, page, robots, text, urlset
from memory_net import Asked, Server, Wire

from crawler.config.config import Config
from crawler.models import Input
from crawler.page.page import Page
from crawler.run.composition import Crawler
from crawler.stats.stats import Snapshot


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def gaps(server: Server) -> list[float]:
    return [after - before for (before, _), (after, _) in pairwise(server.asked)]


def urls(*paths: str, host: str = "a.example") -> list[str]:
    return [f"http://{host}{path}" for path in paths]


class TestHops:
    """A redirect asks the set of known URLs as a link does: each URL is fetched once."""

    def test_forty_links_to_one_login(self, world):
        """It is fetched for the first of them; the others tell where they led."""
        paths = [f"/members/{number}" for number in range(40)]
        server = world.site({"/": page(*paths), "/login": page(title="Log in")} | dict.fromkeys(paths, moved("/login")))
        result = world.crawl(robots=False)
        assert Counter(server.targets) == Counter(["/", "/login", *paths])
        assert result.codes == {None: 2, "duplicate": 39}
        first, *others = [result.of(url) for url in urls(*paths)]
        assert (first.status, first.title, first.final_url) == (200, "Log in", "http://a.example/login")
        for other in others:
            assert (other.outcome, other.status, other.attempts, other.final_url) == (
                "skipped",
                None,
                1,
                first.final_url,
            )
            assert [(hop.url, hop.status) for hop in other.redirects] == [(other.url, 302)]
            assert other.error is not None
            assert "http://a.example/login" in other.error.message
        # Every request counts, and nothing has failed.
        snapshot = result.snapshot
        assert (snapshot.ok, snapshot.failed, snapshot.skipped, snapshot.redirects) == (2, 0, 39, 40)
        assert snapshot.skips == {"duplicate": 39}
        assert [(host.done, host.failed) for host in snapshot.hosts] == [(41, 0)]

    def test_the_root_that_leads_on(self, world):
        """The page behind it links to itself and to the root: nothing is asked twice."""
        server = world.site({"/": moved("/en"), "/en": page("/", "/en", "/en/a"), "/en/a": page("/en")})
        result = world.crawl(robots=False)
        assert server.targets == ["/", "/en", "/en/a"]
        assert result.urls == urls("/", "/en/a")

    def test_seeds(self, world):
        """One that leads to another has that one's word for it; one that an earlier one led to came before."""
        server = world.site({"/": moved("/en"), "/en": page(), "/old": moved("/en")})
        result = world.crawl(*urls("/", "/en", "/old"), robots=False)
        assert Counter(server.targets) == {"/": 1, "/en": 1, "/old": 1}
        assert result.codes == {None: 1, "duplicate": 2}
        assert result.of(f"{ROOT}en").status == 200

    def test_a_slash_more_and_a_root_dot(self, world):
        """The slash makes another URL, known for itself; the root dot of a host makes none, nor does a fragment."""
        slash = {"/docs": moved("/docs/"), "/docs/": page("/docs", "/docs/", "/docs/#top")}
        server = world.site({"/": page("/docs", "/dot"), "/dot": moved("http://a.example.:80/")} | slash)
        result = world.crawl(robots=False)
        assert Counter(server.targets) == {"/": 1, "/docs": 1, "/docs/": 1, "/dot": 1}
        assert result.codes == {None: 2, "duplicate": 1}

    def test_a_chain_is_no_duplicate_of_itself(self, world):
        """Back to where it has been, it is a loop."""
        world.site({"/": page("/a"), "/a": moved("/b"), "/b": moved("/a")})
        assert world.crawl(robots=False).code(f"{ROOT}a") == "redirect_loop"

    def test_a_circle_of_known_urls(self, world):
        """When all have been linked and each leads to the next, the last one has nobody to wait for: it is a loop."""
        for around in (["/a", "/b"], ["/a", "/b", "/c"], ["/a", "/b", "/c", "/d", "/e"]):
            circle = {path: moved(onward) for path, onward in zip(around, [*around[1:], "/a"], strict=True)}
            server = world.site({"/": page(*around), **circle})
            result = world.crawl(robots=False)
            codes = [result.code(url) for url in urls(*around)]
            assert Counter(codes) == {"duplicate": len(around) - 1, "redirect_loop": 1}
            assert max(Counter(server.targets).values()) <= 4

    def test_a_circle_that_a_cookie_opens(self, world):
        """Who is sent to the other one and back gets in there; one of the two tells of it, and its links are followed."""
        site = {"/": page("/a", "/b"), "/a": [moved("/b"), page("/in")], "/b": moved("/a"), "/in": page()}
        server = world.site(site)
        result = world.crawl(robots=False)
        assert sorted(str(result.code(url)) for url in urls("/a", "/b", "/in")) == ["None", "None", "duplicate"]
        assert server.targets.count("/in") == 1

    def test_a_hop_that_is_tried_again(self, world):
        """It is the same request still."""
        server = world.site({"/": moved("/a"), "/a": [Answer(status=503), page()]})
        result = world.crawl(robots=False)
        assert server.targets == ["/", "/a", "/a"]
        assert [(record.status, record.attempts) for record in result.records] == [(200, 2)]

    def test_out_of_scope_comes_first(self, world):
        """What is not to be fetched is not known for that: a seed may still lead there."""
        world.site({"/": page("/away"), "/away": moved("http://b.example/"), "/seed": moved("http://b.example/")})
        world.site({"/": page()}, "b.example")
        result = world.crawl(*urls("/", "/seed"), robots=False, per_host=1)
        assert result.of(f"{ROOT}seed").status == 200
        assert result.code(f"{ROOT}away") in {"out_of_scope", "duplicate"}

    def test_a_list_is_as_it_was(self, world):
        """Each line is fetched to the end of its redirects, whatever the others are."""
        server = world.site({"/a": moved("/c"), "/b": moved("/c"), "/c": page()})
        result = world.crawl(*urls("/a", "/b", "/c", "/a"), recursive=False)
        assert server.targets.count("/c") == 4
        assert [record.status for record in result.records] == [200] * 4


class TestLinks:
    def test_each_page_once(self, world):
        """However often and in however many ways it is linked: one request and one record for each page."""
        server = world.site(
            {
                "/": page("/a", "a#part", "./a", "//a.example/a", "b/", "HTTP://A.example:80/", "mailto:x@a.example"),
                "/a": page("/", "/a", "b/../a", "/b/"),
                "/b/": page("../a", "c", "", "#top", "?q=1"),
                "/b/c": page("/"),
                "/b/?q=1": page("?q=1"),
            }
        )
        result = world.crawl()
        assert server.targets[0] == "/robots.txt"
        assert sorted(server.targets[1:]) == ["/", "/a", "/b/", "/b/?q=1", "/b/c"]
        assert sorted(result.urls) == sorted(urls("/", "/a", "/b/", "/b/?q=1", "/b/c"))
        assert result.codes == {None: 5}
        assert result.snapshot.done == 5

    def test_where_a_link_was_found(self, world):
        """The record of a link names the page and how far from a seed it is; that of a seed neither."""
        world.site({"/": page("/a", title="Home"), "/a": page("/b"), "/b": page()})
        result = world.crawl()
        assert [(record.input.parent, record.input.depth) for record in result.records] == [
            (None, None),
            (ROOT, 1),
            ("http://a.example/a", 2),
        ]
        assert [(record.title, record.links) for record in result.records] == [("Home", 1), ("", 1), ("", 0)]

    def test_links_are_those_of_the_final_url(self, world):
        """Relative links of a page behind a redirect are resolved where it was found at last."""
        server = world.site({"/": moved("/deep/er/"), "/deep/er/": page("x"), "/deep/er/x": page()})
        assert sorted(world.crawl().urls) == urls("/", "/deep/er/x")
        assert server.targets == ["/robots.txt", "/", "/deep/er/", "/deep/er/x"]

    def test_what_is_no_good_answer_leads_nowhere(self, world):
        """Nor does what is not HTML, or was cut."""
        world.site(
            {
                "/": page("/gone", "/text", "/cut"),
                "/gone": page("/x", status=404),
                "/text": text('<a href="/x">'),
                "/cut": Answer(b"<a href='/x'>" + b" " * 10_000, (HTML,)),
            }
        )
        result = world.crawl(max_size=5_000)
        assert sorted(result.urls) == sorted(urls("/", "/gone", "/text", "/cut"))
        assert result.code("http://a.example/cut") == "body_too_large"

    def test_without_recursive_nothing_is_followed(self, world):
        """A list is a list."""
        server = world.site({"/": page("/a"), "/a": page()})
        result = world.crawl(recursive=False)
        assert server.targets == ["/"]
        assert (result.records[0].links, result.records[0].title) == (None, None)

    def test_a_robots_meta_counts_with_nofollow_only(self, world):
        """--nofollow is for those who want to be asked to go away."""
        body = Answer(b'<meta name=robots content=nofollow><a href="/a">', (HTML,))
        world.site({"/": body, "/a": page()})
        assert urls("/", "/a") == world.crawl().urls
        assert urls("/") == world.crawl(nofollow=True).urls

    def test_content_that_was_seen_before(self, world):
        """Such a page is named in the record of the other ones, which still lead on."""
        same = page("/c").body
        world.site({"/": page("/a", "/b"), "/a": Answer(same, (HTML,)), "/b": Answer(same, (HTML,)), "/c": page("/")})
        result = world.crawl(per_host=1)
        assert [record.duplicate_of for record in result.records] == [None, None, "http://a.example/a", None]

    def test_sort_query_and_strip_trackers(self, world):
        """What only differs in these is one URL."""
        links = ["/?a=1&b=2", "/?b=2&a=1", "/?a=1&b=2&utm_source=x"]
        server = world.site({"/": page(*links)})
        world.crawl()
        assert len(server.targets) == 1 + 1 + 3
        server.asked.clear()
        world.crawl(sort_query=True, strip_trackers=True)
        assert len(server.targets) == 1 + 1 + 1


class TestScope:
    @pytest.mark.parametrize(
        ("scope", "reached"),
        [
            ("host", ["/docs/x", "/other"]),
            ("origin", ["/docs/x", "/other"]),
            ("prefix", ["/docs/x"]),
            ("domain", ["/docs/x", "/other", "http://www.a.example/"]),
            ("any", ["/docs/x", "/other", "http://www.a.example/", "http://b.example/"]),
        ],
    )
    def test_which_links_are_followed(self, world, scope, reached):
        """By default those to the same host."""
        world.site({"/docs/": page("x", "/other", "http://www.a.example/", "http://b.example/")})
        world.site({"/": page()}, "www.a.example")
        world.site({"/": page()}, "b.example")
        result = world.crawl("http://a.example/docs/", scope=scope)
        expected = ["http://a.example" + path if path[0] == "/" else path for path in ["/docs/", *reached]]
        assert sorted(result.urls) == sorted(expected)
        if scope == "host":
            assert sorted(world.crawl("http://a.example/docs/").urls) == sorted(expected)

    def test_include_and_exclude(self, world):
        """The seed itself is not asked about."""
        world.site({"/": page("/x/1", "/x/2", "/y/1"), "/x/1": page(), "/x/2": page(), "/y/1": page()})
        result = world.crawl(include=["/x/"], exclude=["2$"])
        assert result.urls == urls("/", "/x/1")
        assert result.snapshot.skips == {"out_of_scope": 2}

    def test_depth(self, world):
        """So many links from a seed, by the shortest way: what is too deep on one way may be linked from less deep."""
        server = world.site(
            {
                "/": page("/slow", "/fast"),
                "/slow": page("/deep", after=30.0),
                "/fast": page("/x"),
                "/x": page("/deep"),
                "/deep": page("/too"),
                "/too": page(),
            }
        )
        result = world.crawl(depth=2, headers_timeout=100)
        assert sorted(server.targets[1:]) == ["/", "/deep", "/fast", "/slow", "/x"]
        assert result.of("http://a.example/deep").input.depth == 2
        assert world.crawl(depth=0).urls == [ROOT]

    def test_what_is_left_out_is_counted(self, world):
        """Once for each URL, by its reason; there are no records of it."""
        world.site(
            {
                "/": page("/a", "http://b.example/", "http://b.example/#x", "http://c.example/"),
                "/a": page("/", "/a", "/b", "http://b.example/"),
            }
        )
        result = world.crawl(depth=1)
        assert result.urls == urls("/", "/a")
        assert result.snapshot.skips == {"out_of_scope": 2, "depth_limit": 1}
        assert (result.snapshot.done, result.snapshot.skipped) == (2, 0)

    def test_records_of_what_is_left_out(self, world):
        """With --skipped each URL has one, with the page that linked it, the depth and the reason in words."""
        world.site({"/": page("/a", "http://b.example/"), "/a": page("/", "/b", "http://b.example/")})
        result = world.crawl(depth=1, skipped=True)
        assert sorted(result.urls) == sorted([*urls("/", "/a", "/b"), "http://b.example/"])
        outside = result.of("http://b.example/")
        assert (outside.outcome, outside.attempts, outside.input.parent, outside.input.depth) == ("skipped", 0, ROOT, 1)
        assert outside.error is not None
        assert (outside.error.code, outside.error.message) == ("out_of_scope", "outside --scope host: b.example")
        assert result.code("http://a.example/b") == "depth_limit"
        assert result.snapshot.skips == {"out_of_scope": 1, "depth_limit": 1}
        assert result.crawler.parts.frontier.counts().skipped == 2

    @pytest.mark.parametrize("skipped", [False, True])
    def test_records_of_what_is_left_out_change_nothing(self, world, skipped):
        """What is too deep on one way is fetched on a shorter one, with --skipped as without."""
        world.site(
            {
                "/": page("/slow", "/fast"),
                "/slow": page("/deep", after=15.0),
                "/fast": page("/x"),
                "/x": page("/deep"),
                "/deep": page(),
            }
        )
        result = world.crawl(depth=2, skipped=skipped)
        fetched = [record.url for record in result.records if record.outcome == "ok"]
        assert sorted(fetched) == urls("/", "/deep", "/fast", "/slow", "/x")

    def test_a_redirect_out_of_scope(self, world):
        """One record says where it would have led; the other host is not asked."""
        other = world.site({"/": page()}, "b.example")
        world.site({"/": page("/away"), "/away": moved("http://b.example/")})
        result = world.crawl()
        record = result.of("http://a.example/away")
        assert record.error is not None
        assert (record.outcome, record.error.code, record.final_url) == ("skipped", "out_of_scope", "http://b.example/")
        assert [(hop.url, hop.status) for hop in record.redirects] == [("http://a.example/away", 302)]
        assert (record.attempts, len(result.records)) == (1, 2)
        assert other.asked == []

    def test_the_redirect_of_a_seed_widens_the_scope(self, world):
        """Where a seed leads is what was meant by it: example.com is www.example.com."""
        world.site({"/": moved("http://www.a.example/")})
        world.site({"/": page("/a"), "/a": page()}, "www.a.example")
        assert world.crawl().urls == [ROOT, "http://www.a.example/a"]

    @pytest.mark.parametrize("adds", [("&v=1", "&w=1", "&u=1"), ("x/", "y/", "z/"), (";jsessionid=",)])
    def test_endless_spaces(self, world, adds):
        """They end after some dozens of pages; each input has its record, and the message names the pattern."""
        asked: list[str] = []

        def script(wire: Wire, get: Asked) -> None:
            asked.append(get.target)
            target = get.target if adds != (";jsessionid=",) else f"/{len(asked) % 5}.html"
            links = [target + (f"{add}{len(asked)}" if add[0] == ";" else add) for add in adds]
            wire.answer(page(*(() if target == "/about" else (*links, "/about"))).body, HTML)

        world.network.serve("a.example", script)
        done = world.crawl(f"{ROOT}?a=1" if "&v=1" in adds else ROOT, robots=False, delay=0, skipped=True)
        assert len(asked) < 130
        codes = done.codes
        assert codes[None] == len(asked)
        assert codes["trap_suspected"] == len(done.records) - len(asked) - codes["duplicate"]
        last = [record.error.message for record in done.records if record.error][-1]
        assert "a.example/" in last

    def test_a_trap(self, world):
        """A calendar without end ends."""
        deep = "/x" * 3
        world.site({"/": page("/x/"), "/x/": page("x/"), "/x/x/": page("x/"), f"{deep}/": page("x/")})
        result = world.crawl()
        assert result.snapshot.skips == {"trap_suspected": 1}
        assert len(result.records) == 4


class TestDryRun:
    def test_the_links_of_the_seeds(self, world):
        """Seeds are fetched, for their links; each of those has a record that says whether it would be, and why."""
        server = world.site({"/robots.txt": robots("Disallow: /no"), "/": page("/a", "/no", "http://b.example/")})
        result = world.crawl(dry_run=True)
        assert server.targets == ["/robots.txt", "/"]
        assert {record.url: record.error and record.error.code for record in result.records} == {
            ROOT: None,
            "http://a.example/a": "dry_run",
            "http://a.example/no": "robots_denied",
            "http://b.example/": "out_of_scope",
        }
        told = result.of("http://a.example/a").error
        assert told is not None
        assert told.message.startswith("inside --scope host: a.example; http://a.example/robots.txt")

    def test_of_a_list(self, world):
        """Nothing is asked for."""
        server = world.site({"/": page()})
        assert world.crawl(ROOT, "no url", recursive=False, dry_run=True).codes == {"dry_run": 1, "url_invalid": 1}
        assert server.asked == []


class TestSeeds:
    def test_duplicates(self, world):
        """Each seed has its record, also one that came before; it is fetched once."""
        server = world.site({"/": page()})
        result = world.crawl(ROOT, "http://A.example", "http://a.example/#x", "no url")
        assert [(record.outcome, record.error and record.error.code) for record in result.records] == [
            ("ok", None),
            ("skipped", "duplicate"),
            ("skipped", "duplicate"),
            ("failed", "url_invalid"),
        ]
        assert server.targets == ["/robots.txt", "/"]

    def test_a_seed_is_in_scope(self, world):
        """Whatever it looks like: somebody typed it. Its host is inside from then on."""
        world.site({"/": page("http://b.example/x")})
        world.site({"/y": page("/x"), "/x": page()}, "b.example")
        result = world.crawl(ROOT, "http://b.example/y", exclude=["y$"])
        assert sorted(result.urls) == [ROOT, "http://b.example/x", "http://b.example/y"]

    def test_many_hosts_at_once(self, world):
        """A host's delay holds up that host alone."""
        hosts = [f"h{number}.example" for number in range(20)]
        for host in hosts:
            world.site({"/": page("/a"), "/a": page()}, host)
        world.crawl(*(f"http://{host}/" for host in hosts))
        assert world.clock.seconds() == pytest.approx(0.5)


class TestMaxPages:
    @pytest.mark.parametrize("limit", [1, 2, 7, 20])
    @pytest.mark.parametrize("per_host", [1, 8])
    def test_not_one_more(self, world, limit, per_host):
        """Exactly so many URLs are asked for, with hops, retries, failures and refusals in between."""
        kinds = ["ok", "moved", "busy", "denied", "away", "gone"]
        paths = [f"/{kind}/{number}" for number in range(10) for kind in kinds]
        pages: Pages = {"/": page(*paths), "/robots.txt": robots("Disallow: /denied")}
        for path in paths:
            kind = path.split("/")[1]
            if kind == "moved":
                pages[path] = moved(f"/to{path}")
                pages[f"/to{path}"] = page()
            elif kind == "busy":
                pages[path] = [Answer(status=503), page()]
            elif kind == "away":
                pages[path] = moved("http://b.example/")
            elif kind != "gone":
                pages[path] = page(after=0.7)
        server = world.site(pages)
        result = world.crawl(max_pages=limit, per_host=per_host, delay=0, skipped=True)
        asked = {target for target in server.targets if not target.startswith(("/robots.txt", "/to"))}
        assert len(asked) == limit
        assert not any(target.startswith("/denied") for target in asked)
        assert sum(record.attempts > 0 for record in result.records) == limit
        assert {record.outcome for record in result.records if not record.attempts} == {"skipped"}
        assert result.codes["budget_exceeded"] > 0
        if limit > 1:
            assert len(result.records) == 1 + len(paths)

    def test_the_rest_is_not_waited_for(self, world):
        """When the last page has ended, nobody's delay or Retry-After keeps the run from its end."""
        world.site({"/": page(*(f"/{number}" for number in range(500)))})
        world.crawl(max_pages=3, delay=10)
        assert world.clock.seconds() == pytest.approx(30.0)

    def test_the_rest_has_no_records(self, world):
        """It was never asked for; a seed still has one."""
        world.site({"/": page("/a", "/b")})
        result = world.crawl(ROOT, "http://a.example/seed", max_pages=1, per_host=1)
        assert [result.code(url) for url in result.urls] == [None, "budget_exceeded"]
        assert result.snapshot.skips["budget_exceeded"] >= 1

    def test_in_a_list(self, world):
        """It counts there, too."""
        server = world.site({})
        result = world.crawl(*urls("/1", "/2", "/3"), recursive=False, max_pages=2)
        assert len(server.asked) == 2
        assert result.codes == {None: 2, "budget_exceeded": 1}


class TestRobots:
    def test_asked_once_and_before_any_page(self, world):
        """Once for each origin, however many pages want to be fetched at once."""
        sites = [world.site({"/": page("/a", "/b", "/c")}, host) for host in ("a.example", "b.example")]
        other_port = world.site({"/": page()}, port=8080)
        world.crawl(ROOT, "http://b.example/", "http://b.example/b", "http://a.example:8080/", delay=0, per_host=8)
        for server in (*sites, other_port):
            assert server.targets[0] == "/robots.txt"
            assert server.targets.count("/robots.txt") == 1
            first_answer = server.asked[0][0]
            assert all(when >= first_answer for when, _ in server.asked)

    def test_pages_wait_for_it(self, world):
        """While it is being read no page of its origin is asked for, even when it takes its time."""
        server = world.site({"/robots.txt": robots()._replace(after=5.0)})
        world.crawl(*urls("/1", "/2", "/3"), delay=0)
        assert [when for when, _ in server.asked] == [0.0, 5.0, 5.0, 5.0]

    def test_the_delay_counts_from_robots_txt_on(self, world):
        """It lies between robots.txt and the first page, and from then on between the starts of any two."""
        server = world.site({"/": page("/a", "/b", "/c"), "/a": page("/d"), "/b": page(after=3.0)})
        world.crawl(delay=0.25)
        assert server.targets[:2] == ["/robots.txt", "/"]
        assert len(server.asked) == 6
        assert gaps(server) == pytest.approx([0.25] * 5)

    def test_the_delay_lies_between_what_the_server_sees(self, world):
        """Connections take their time, some more than others: requests do not come closer for that."""
        pages: Pages = {"/": page(*(f"/{number}" for number in range(6)))}
        for connect in (0.0, 0.2, 1.0):
            host = f"h{connect}.example"
            server = world.site(pages, host, connect=connect)
            world.crawl(f"http://{host}/", delay=0.5, per_host=1)
            assert len(server.asked) == 8
            assert min(gaps(server)) >= 0.5 - 1e-9

    def test_crawl_delay(self, world):
        """Honoured from the first page on, where it is longer than ours."""
        server = world.site({"/robots.txt": robots("Crawl-delay: 4"), "/": page("/a", "/b")})
        world.crawl()
        assert gaps(server) == pytest.approx([4.0] * 3)
        short = world.site({"/robots.txt": robots("Crawl-delay: 0.01"), "/": page("/a", "/b")}, "b.example")
        world.crawl("http://b.example/")
        assert gaps(short) == pytest.approx([0.25] * 3)

    def test_denied(self, world):
        """No request; a typed URL has a record that names the line, a link has one with --skipped."""
        pages: Pages = {"/robots.txt": robots("Disallow: /no"), "/": page("/no/a", "/yes"), "/yes": page()}
        server = world.site(pages)
        result = world.crawl(ROOT, "http://a.example/no/typed")
        assert "/no/a" not in server.targets
        assert "/no/typed" not in server.targets
        record = result.of("http://a.example/no/typed")
        assert record.error is not None
        assert (record.outcome, record.error.code, record.attempts) == ("skipped", "robots_denied", 0)
        assert "http://a.example/robots.txt" in record.error.message
        assert "Disallow: /no" in record.error.message
        assert sorted(result.urls) == urls("/", "/no/typed", "/yes")
        assert result.snapshot.skips == {"robots_denied": 2}
        assert "http://a.example/no/a" in world.crawl(skipped=True).urls

    def test_what_is_denied_costs_no_turn(self, world):
        """The delay is the host's: what it is not asked need not be waited for."""
        links = [f"/no/{number}" for number in range(50)]
        server = world.site({"/robots.txt": robots("Disallow: /no"), "/": page(*links, "/yes")})
        world.crawl(delay=1)
        assert server.targets == ["/robots.txt", "/", "/yes"]
        assert gaps(server) == pytest.approx([1.0, 1.0])
        assert world.clock.seconds() == pytest.approx(2.0)

    def test_a_redirect_to_what_is_denied(self, world):
        """A hop is asked about, too; the record tells the chain."""
        server = world.site({"/robots.txt": robots("Disallow: /no"), "/": page("/go"), "/go": moved("/no")})
        record = world.crawl().of("http://a.example/go")
        assert record.error is not None
        assert (record.error.code, record.final_url) == ("robots_denied", "http://a.example/no")
        assert (record.attempts, len(record.redirects)) == (1, 1)
        assert "/no" not in server.targets

    def test_a_redirect_to_another_origin_asks_its_robots(self, world):
        """Before the hop is made."""
        world.site({"/": moved("http://b.example/x")})
        other = world.site({"/robots.txt": robots("Disallow: /x")}, "b.example")
        assert world.crawl().code(ROOT) == "robots_denied"
        assert other.targets == ["/robots.txt"]

    def test_none_there(self, world):
        """404 means that everything is allowed."""
        assert world.site({"/": page("/a"), "/a": page()}).targets == []
        assert world.crawl().codes == {None: 2}

    def test_a_server_that_fails(self, world):
        """It is asked again --retries times, ever later; then its pages are skipped, with the reason."""
        server = world.site({"/robots.txt": text("", 500), "/": page()})
        result = world.crawl(retries=2, delay=0)
        assert server.targets == ["/robots.txt"] * 3
        assert [when for when, _ in server.asked] == pytest.approx([0.0, 60.0, 180.0])
        record = result.of(ROOT)
        assert record.error is not None
        assert (record.outcome, record.error.code) == ("skipped", "robots_unreachable")
        assert "status 500" in record.error.message

    def test_a_server_that_fails_once(self, world):
        """Its pages wait, and then they are fetched."""
        server = world.site({"/robots.txt": [text("", 503), robots("Disallow: /b")], "/": page("/a", "/b")})
        assert world.crawl().codes == {None: 2}
        assert server.targets == ["/robots.txt", "/robots.txt", "/", "/a"]

    def test_a_name_that_does_not_exist(self, world):
        """The record says what was the matter, not that some robots.txt could not be had."""
        record = world.crawl("http://nowhere.example/").of("http://nowhere.example/")
        assert record.error is not None
        assert (record.outcome, record.error.code) == ("failed", "dns_nxdomain")

    def test_a_server_that_refuses(self, world):
        """It may be about to come back: its robots.txt is asked for again, soon; then the record says it."""
        server = world.site({}, refuse=111)
        dialled: list[float] = []
        dial = world.network.dial
        world.network.dial = lambda *args: (dialled.append(world.clock.seconds()), dial(*args))[1]
        record = world.crawl(retries=1, delay=0).of(ROOT)
        assert record.error is not None
        assert (record.outcome, record.error.code) == ("failed", "connect_refused")
        assert dialled == pytest.approx([0.0, 2.0])
        assert server.asked == []

    def test_a_long_one_is_read_in_part(self, world):
        """The first half MiB counts, announced or not."""
        long = "User-agent: *\nDisallow: /no\n" + "# padding\n" * 60_000 + "Disallow: /\n"
        server = world.site({"/robots.txt": text(long), "/": page("/no", "/a")})
        assert world.crawl().codes == {None: 2}
        assert server.targets == ["/robots.txt", "/", "/a"]

    def test_not_asked_for(self, world):
        """--no-robots crawls without; a list does not ask by default, but may."""
        pages: Pages = {"/robots.txt": robots("Disallow: /"), "/": page()}
        server = world.site(pages)
        assert world.crawl(robots=False).codes == {None: 1}
        assert world.crawl(recursive=False).codes == {None: 1}
        assert "/robots.txt" not in server.targets
        assert world.crawl(recursive=False, robots=True).codes == {"robots_denied": 1}

    def test_it_is_no_page(self, world):
        """It has no record, and --max-pages does not count it."""
        world.site({"/robots.txt": robots(), "/": page()})
        result = world.crawl(max_pages=1)
        assert (result.urls, result.codes) == ([ROOT], {None: 1})
        assert result.snapshot.attempts == 1


class TestSitemaps:
    def test_those_that_robots_txt_names(self, world):
        """With --sitemaps they are fetched and followed, once; without they are not."""
        pages: Pages = {
            "/robots.txt": text("Sitemap: http://a.example/map.xml\nSitemap: http://a.example/map.xml.gz"),
            "/": page("/a"),
            "/a": page(),
            "/map.xml": urlset("http://a.example/x", "http://b.example/y", "/a"),
            "/map.xml.gz": Answer(gzip.compress(urlset("http://a.example/z").body)),
        }
        world.site(pages)
        assert sorted(world.crawl().urls) == urls("/", "/a")
        result = world.crawl(sitemaps=True)
        assert sorted(result.urls) == urls("/", "/a", "/map.xml", "/map.xml.gz", "/x", "/z")
        assert result.of("http://a.example/map.xml").input.parent == "http://a.example/robots.txt"
        assert result.of("http://a.example/x").input.parent == "http://a.example/map.xml"

    def test_those_that_are_typed(self, world):
        """--sitemap is one more seed; what it lists in its own host is in scope."""
        world.site({"/": page(), "/list": text("http://a.example/1\nhttp://a.example/2\n")})
        result = world.crawl(sitemap=["http://a.example/list"])
        assert sorted(result.urls) == urls("/", "/1", "/2", "/list")
        assert result.of("http://a.example/list").input.source == "--sitemap"

    def test_an_index(self, world):
        """Leads to the sitemaps it names, and they to their pages."""
        index = Answer(b"<sitemapindex><sitemap><loc>http://a.example/one.xml</loc></sitemap></sitemapindex>")
        world.site({"/": page(), "/map.xml": index, "/one.xml": urlset("http://a.example/x"), "/x": page()})
        result = world.crawl(sitemap=["http://a.example/map.xml"])
        assert sorted(result.urls) == urls("/", "/map.xml", "/one.xml", "/x")
        assert result.of("http://a.example/map.xml").links == 1

    def test_children_of_an_index(self, world):
        """Are sitemaps whatever they look like: packed without a suffix, a text, a feed; and what is none says so."""
        index = "".join(f"<sitemap><loc>/{name}</loc></sitemap>" for name in ("packed", "list", "feed", "none"))
        world.site(
            {
                "/": page(),
                "/map.xml": Answer(f"<sitemapindex>{index}</sitemapindex>".encode()),
                "/packed": Answer(gzip.compress(urlset("http://a.example/1").body)),
                "/list": text("http://a.example/2\n# words\nhttp://[\n"),
                "/feed": Answer(b"<rss><channel><item><guid>http://a.example/3</guid></item></channel></rss>"),
                "/none": page("/4"),
                **{f"/{number}": page() for number in range(1, 5)},
            }
        )
        result = world.crawl(sitemap=["http://a.example/map.xml"])
        names = ("/", "/map.xml", "/packed", "/list", "/feed", "/none", "/1", "/2", "/3")
        assert sorted(result.urls) == sorted(urls(*names))
        assert result.of("http://a.example/list").input == Input(
            "sitemap index", parent="http://a.example/map.xml", depth=1
        )
        assert result.of("http://a.example/list").warnings == ["entries_skipped:2"]
        assert result.snapshot.warnings["entries_skipped"] == 1
        assert result.code("http://a.example/none") == "parse_error"

    @pytest.mark.parametrize("robots_txt", [text("User-agent: *\nDisallow: /no\n"), Answer(b"", status=404)])
    def test_where_robots_txt_names_none(self, world, robots_txt):
        """Then /sitemap.xml is tried, once."""
        world.site(
            {
                "/": page("/a"),
                "/a": page(),
                "/robots.txt": robots_txt,
                "/sitemap.xml": urlset("http://a.example/x"),
                "/x": page(),
            }
        )
        result = world.crawl(sitemaps=True)
        assert sorted(result.urls) == urls("/", "/a", "/sitemap.xml", "/x")
        assert result.of("http://a.example/sitemap.xml").input == Input(
            "--sitemaps", parent="http://a.example/robots.txt", depth=0
        )

    @pytest.mark.parametrize(
        ("robots_txt", "names"),
        [
            (text("User-agent: *\nDisallow: /\nCrawl-delay: 9\nSitemap: /map.xml"), ["/", "/map.xml", "/x"]),
            (Answer(b"", status=500), ["/", "/sitemap.xml", "/y"]),
        ],
    )
    def test_without_obeying_robots_txt(self, world, robots_txt, names):
        """It is read for the sitemaps that it names, and for nothing else: it forbids nothing and delays nothing."""
        site = {"/": page(), "/map.xml": urlset("http://a.example/x"), "/sitemap.xml": urlset("http://a.example/y")}
        server = world.site({"/robots.txt": robots_txt, "/x": page(), "/y": page(), **site})
        result = world.crawl(sitemaps=True, robots=False)
        assert sorted(result.urls) == urls(*names)
        assert server.targets.count("/robots.txt") == 1
        assert world.clock.seconds() < 9

    def test_one_that_is_none(self, world):
        """Its record says so; the others are read."""
        world.site({"/": page("/a"), "/a": page(), "/map.xml": Answer(b"<urlset><url><loc>/x</loc></url><oops", ())})
        result = world.crawl(sitemap=["http://a.example/map.xml"])
        assert result.code("http://a.example/map.xml") == "parse_error"
        assert {*urls("/", "/a")} < {*result.urls}


class TestParse:
    def test_what_it_yields(self, world):
        """Dicts become data, URLs are followed if in scope, and no other link is."""
        world.site({"/": page("/a", "/b", title="Home"), "/a": page("/b", title="A")})

        def parse(found: Page) -> Iterable[Any]:
            yield {"title": found.css("title::text").get()}
            yield found.css("a::attr(href)").get()
            yield "http://b.example/"

        result = world.crawl(parse=parse, max_pages=2)
        assert [record.data for record in result.records] == [[{"title": "Home"}], [{"title": "A"}]]
        assert result.urls == urls("/", "/a")
        assert result.snapshot.skips == {"out_of_scope": 1, "budget_exceeded": 1}

    def test_an_error_fails_its_page_alone(self, world):
        """What was yielded before it is not taken; all other pages go on."""
        world.site({"/": page(), "/bad": page(), "/good": page()})

        def parse(found: Page) -> Iterable[Any]:
            if found.url == ROOT:
                return ["/bad", "/good"]
            return broken(found) if "bad" in found.url else [{"n": 1}]

        def broken(_: Page) -> Iterable[Any]:
            yield "/more"
            raise ZeroDivisionError("oops")

        result = world.crawl(parse=parse)
        assert sorted(result.urls) == urls("/", "/bad", "/good")
        record = result.of("http://a.example/bad")
        assert record.error is not None
        assert (record.outcome, record.error.code, record.status) == ("failed", "parse_error", 200)
        assert record.error.message == "the parse function: ZeroDivisionError: oops"
        assert result.of("http://a.example/good").data == [{"n": 1}]

    def test_an_item_that_is_no_json_fails_its_page_alone(self, world):
        """No output is ever given what it cannot write: the run comes to its end."""
        world.site({"/": page(), "/bad": page(), "/good": page()})

        def parse(found: Page) -> Iterable[Any]:
            if found.url == ROOT:
                return ["/bad", "/good"]
            return [{"title": found.css("title")} if "bad" in found.url else {"n": 1}]

        result = world.crawl(parse=parse)
        record = result.of("http://a.example/bad")
        assert record.error is not None
        assert (record.outcome, record.error.code) == ("failed", "parse_error")
        assert "item 1 cannot be written as JSON: ['title'][0] is a Selector" in record.error.message
        assert result.of("http://a.example/good").data == [{"n": 1}]
        assert sorted(result.urls) == urls("/", "/bad", "/good")

    def test_it_gets_only_whole_good_answers(self, world):
        """Not what failed, and no page of an error."""
        seen: list[str] = []
        world.site({"/": page(), "/gone": page(status=404), "/moved": moved("/here"), "/here": page()})

        def parse(found: Page) -> None:
            seen.append(found.url)

        world.crawl(*urls("/", "/gone", "/moved"), "http://nowhere.example/", parse=parse)
        assert sorted(seen) == urls("/", "/here")

    def test_extraction(self, world):
        """--extract works in a crawl as in a list, beside the links."""
        world.site({"/": page("/a", title="Home"), "/a": page(title="A")})
        result = world.crawl(extract=["title=title::text"])
        assert [record.data for record in result.records] == [{"title": "Home"}, {"title": "A"}]


def test_stopping_keeps_what_was_found(world):
    """After a drain what was found and not fetched is still in the frontier."""
    world.site({"/": page("/a", "/b", "/c")})
    config = Config.build(recursive=True, delay=10)
    kept = Kept()
    crawler = Crawler(config, reactor=world.clock, urls=[ROOT], sinks=[kept], dial=world.network.dial)
    ended: list[object] = []
    crawler.run().addBoth(ended.append)
    stop: Callable[[], None] = crawler.drain
    world.clock.callLater(15.0, stop)
    while not ended:
        world.clock.rightNow = world.clock.getDelayedCalls()[0].getTime()
        world.clock.advance(0)
    assert isinstance(ended[0], Snapshot)
    assert len(kept.by_number) == 1
    assert crawler.pending == crawler.parts.frontier.counts().queued == 3
    assert ended[0].queued == 3
