"""traps.py: sections without an end come to one after some dozens of pages, and no honest site loses a page."""

from __future__ import annotations

import itertools
import random
from collections import Counter, deque
from collections.abc import Callable, Sequence
from html import escape

import pytest

from crawler.engine.scope import Scope
from crawler.engine.traps import PATIENCE, Traps, pattern_of
from crawler.errors import CodedError
from crawler.urls import Url, join, parse

HOME = "http://a.example"
DOZENS = 130
MOST = 3_000


class Crawled:
    """What a crawl of a site in memory fetched, breadth first, and why links and queued URLs were refused."""

    def __init__(self, site: Callable[[str], tuple[str, Sequence[str]]], most: int = MOST, start: str = "/") -> None:
        self.refusals: Counter[str] = Counter()
        self.messages: list[str] = []
        self.fetched: list[str] = []
        traps, scope = Traps(), Scope("any")
        seed = parse(HOME + start)
        known, queue = {seed.href}, deque([seed])
        while queue and len(self.fetched) < most:
            url = queue.popleft()
            if self.fetched and self._refused(traps.refusal(url)):
                continue
            self.fetched.append(url.target)
            text, links = site(url.target)
            hrefs = "".join(f'<a href="{escape(link)}">more</a>\n' for link in links)
            traps.saw(url, f"<html><title>x</title><body>{text}\n{hrefs}</body>".encode())
            for link in links:
                to = join(url, link)
                if to.href not in known and not self._refused(scope.judge(to, 1) or traps.judge(to, url)):
                    known.add(to.href)
                    queue.append(to)

    def _refused(self, error: CodedError | None) -> bool:
        if error is None:
            return False
        self.refusals[error.code] += 1
        if error.message not in self.messages:
            self.messages.append(error.message)
        return True


def ends(site: Callable[[str], tuple[str, Sequence[str]]], pattern: str) -> Crawled:
    """It comes to an end after some dozens of pages, and says by which pattern."""
    crawled = Crawled(site)
    assert len(crawled.fetched) < DOZENS
    assert crawled.refusals["trap_suspected"]
    assert any(pattern in message for message in crawled.messages), crawled.messages[-1:]
    return crawled


def whole(site: Callable[[str], tuple[str, Sequence[str]]], number: int) -> None:
    crawled = Crawled(site, most=number + 1)
    assert len(crawled.fetched) == number
    assert not crawled.refusals


def words(number: int) -> str:
    """A text of its own."""
    rng = random.Random(number)
    return " ".join(rng.choice(["red", "green", "blue", "old", "new", "house", "tree", "river"]) for _ in range(30))


class TestEndless:
    @pytest.mark.parametrize("fresh", [False, True], ids=["one body", "ever new bodies"])
    @pytest.mark.parametrize("links", [["x/"], ["x/", "y/", "z/"], ["x/y/", "y/x/"]])
    def test_folders(self, links, fresh):
        """Relative links below every page."""
        number = itertools.count()
        ends(lambda _: (words(next(number)) if fresh else "hello", links), "x")

    @pytest.mark.parametrize("fresh", [False, True], ids=["one body", "ever new bodies"])
    @pytest.mark.parametrize("more", [["v=1"], ["v=1", "w=1", "u=1"]])
    def test_parameters(self, more, fresh):
        """Parameters that are added again and again."""
        number = itertools.count()

        def site(target: str) -> tuple[str, list[str]]:
            text = words(next(number)) if fresh else f"you are at {escape(target)}"
            return text, [f"{target}{'&' if '?' in target else '?'}{pair}" for pair in more]

        ends(site, "?v")

    @pytest.mark.parametrize("more", [["&v=1"], ["&v=1", "&w=1", "&u=1"], [";a=1", ";b"]])
    def test_what_is_put_behind_the_path(self, more):
        """As it comes of a server that adds to whatever was asked for."""
        number = itertools.count()
        ends(lambda target: (words(next(number)), [f"{target}{piece}" for piece in more]), more[0])

    def test_parameters_that_count(self):
        """Ever other values of one name, on pages that say the same."""
        number = itertools.count()
        ends(
            lambda target: ("hello", [f"{target}{'&' if '?' in target else '?'}v={next(number)}" for _ in range(3)]),
            "?v",
        )

    def test_a_link_gone_wrong(self):
        """A relative link that lacks its first slash."""
        ends(lambda _: ("hello", ["docs/page.html"]), "docs")

    @pytest.mark.parametrize(
        "address",
        [
            "/page{page}?sid={id}",
            "/page{page};jsessionid={id}",
            "/page{page}?PHPSESSID={id}&lang=en",
            "/{id}/page{page}",
            "/page{page}?t={id}",
        ],
    )
    def test_sessions(self, address):
        """Six pages under ever new session ids: each page is fetched, and then no more."""
        rng = random.Random(1)

        def site(_: str) -> tuple[str, list[str]]:
            match = target_number(_)
            return f"{words(match)} you are {rng.randbytes(12).hex()}1a2b", [
                address.format(page=page, id=f"{rng.randbytes(12).hex()}1a2b") for page in range(6)
            ]

        def target_number(target: str) -> int:
            _, found, rest = target.partition("page")
            return int(rest[0]) if found else 99

        crawled = ends(site, "page")
        assert {target_number(target) for target in crawled.fetched} == {0, 1, 2, 3, 4, 5, 99}

    def test_the_same_everywhere(self):
        """A server that says the same at any number."""
        number = itertools.count(1)
        ends(lambda _: ("nothing here", [f"/p/{next(number)}" for _ in range(3)]), "/p/#")

    def test_what_is_queued_already(self):
        """It is not fetched any more, once the pattern has proved endless."""
        number = itertools.count(1)
        crawled = ends(lambda _: ("nothing here", [f"/p/{next(number)}" for _ in range(100)]), "/p/#")
        assert len(crawled.fetched) < 50


class TestHonest:
    def test_numbered_articles(self):
        """A hundred thousand pages of one pattern: three links each, a text of their own."""

        def site(target: str) -> tuple[str, list[str]]:
            number = int(target.rpartition("/")[2] or 0)
            links = [f"/article/{to}" for to in (3 * number + 1, 3 * number + 2, 3 * number + 3) if to < 20_000]
            return f"<h1>Article {number}</h1>", links

        whole(site, 20_000)

    def test_some_that_are_gone(self):
        """Three of four articles say that they are gone."""

        def site(target: str) -> tuple[str, list[str]]:
            number = int(target.rpartition("/")[2] or 0)
            links = [f"/article/{to}" for to in range(2_000)] if target == "/" else ["/"]
            return (words(number) if number % 4 == 0 else "gone"), links

        whole(site, 2_001)

    def test_a_list_in_pages(self):
        """?page=1 to 1500."""

        def site(target: str) -> tuple[str, list[str]]:
            number = int(target.rpartition("=")[2]) if "=" in target else 0
            near = [to for to in (number + 1, number + 2, number + 10, 1) if to <= 1_500]
            return f"page {number}", [f"/list?page={to}" for to in near]

        whole(site, 1_501)

    def test_a_calendar(self):
        """Every day of five years, with a day and a month that are the same number."""

        def site(target: str) -> tuple[str, list[str]]:
            parts = [part for part in target.split("/") if part]
            if len(parts) == 3:
                return f"{target}: no events", ["../"]
            numbers = {0: range(2020, 2025), 1: range(1, 13), 2: range(1, 29)}[len(parts)]
            return f"calendar {target}", [f"{number}/" for number in numbers]

        whole(site, 1 + 5 + 5 * 12 + 5 * 12 * 28)

    def test_a_shop_with_filters(self):
        """Five filters of four values; most combinations find nothing, and say for what."""
        names = ["brand", "color", "form", "price", "size"]

        def site(target: str) -> tuple[str, list[str]]:
            query = target.partition("?")[2]
            chosen = dict(pair.split("=") for pair in query.split("&") if pair)
            links = []
            for name in names:
                for value in "1234":
                    if name not in chosen:
                        more = {**chosen, name: value}
                        links.append("/shop?" + "&".join(f"{key}={more[key]}" for key in sorted(more)))
            return f"nothing for {query}" if len(chosen) > 2 else words(hash(query) % 1000), links

        whole(site, 1 + 5**5 - 1)

    def test_a_tree_with_names_that_come_again(self):
        """Projects whose folders are called as the project is."""

        def site(target: str) -> tuple[str, list[str]]:
            parts = [part for part in target.split("/") if part]
            links: list[str] = []
            if not parts:
                links = [f"p{number}/" for number in range(200)]
            elif len(parts) == 1:
                links = ["src/"]
            elif len(parts) == 2:
                links = [f"{parts[0]}/", "test/"]
            elif len(parts) == 3 and parts[2] != "test":
                links = ["main.py", f"{parts[0]}/"]
            return target, links

        whole(site, 1 + 200 * 6)

    def test_pages_with_made_up_ids(self):
        """Articles that are named by UUIDs."""
        ids = [random.Random(number).randbytes(16).hex() for number in range(800)]

        def site(target: str) -> tuple[str, list[str]]:
            number = ids.index(target[3:]) if target != "/" else -1
            return words(number), [f"/a/{one}" for one in ids] if number < 0 else ["/"]

        whole(site, 801)


class TestPattern:
    @pytest.mark.parametrize(
        ("url", "pattern"),
        [
            ("http://h/a/12/b3?y=1&x=2&x=3", "http://h/a/#/b#?x&y"),
            ("http://h:81/s/0a1b2c3d4e5f6a7b/x", "http://h:81/s/*/x"),
            ("http://h/x;jsessionid=AB12?p[3]=1", "http://h/x;jsessionid=*?p[#]"),
            ("http://h/", "http://h/"),
        ],
    )
    def test_pattern(self, url, pattern):
        """Numbers and made-up ids are folded; of the query the names stay."""
        assert pattern_of(parse(url)) == pattern

    def test_another_host(self):
        """What one host has done is not held against another."""
        traps = Traps()
        for number in range(100):
            url = parse(f"http://a.example/p/{number}")
            traps.saw(url, b"same")
        assert traps.refusal(parse("http://a.example/p/101")) is not None
        assert traps.refusal(parse("http://b.example/p/101")) is None
        assert traps.refusal(parse("http://a.example/q/101")) is None


def test_memory_is_bounded_by_number() -> None:
    """However many hosts, patterns and session ids there are."""
    traps = Traps()
    for number in range(60_000):
        url = parse(f"http://h{number}.example/{'x' * (number % 7)}?sid=a{number}")
        traps.saw(url, b"")
    assert len(traps._sections) <= 20_000
    assert len(traps._sessions) <= 20_000
    assert len(traps._known) <= 50_000


def test_growth_is_linear() -> None:
    """A long target costs no more than its length."""
    page = parse(f"{HOME}/?" + "&".join(f"a{number}=1" for number in range(5_000)))
    url = Url(page.href + "&a1=1", "http", page.host, 80, page.authority, page.target + "&a1=1")
    assert Traps().judge(url, page) is None
    assert PATIENCE < 50
