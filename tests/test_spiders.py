"""Spiders that ask for more than URLs: forms, APIs, several parse functions. Over servers in memory, under a Clock."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from crawl_world import ROOT, Answer, World, moved, page, robots, text
from memory_net import Asked, Server, Wire
from twisted.internet.defer import Deferred

from crawler import Request
from crawler.frontier.spilling import SpillingFrontier
from crawler.page.page import Page

JSON = "Content-Type: application/json"


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def api(world: World, answers: dict[str, Any], host: str = "a.example") -> Server:
    """A server of JSON: a value for each path, or a function of what was asked."""

    def script(wire: Wire, asked: Asked) -> None:
        answer = answers.get(asked.target)
        if callable(answer):
            answer = answer(asked)
        if isinstance(answer, Answer):
            wire.answer(answer.body, *answer.headers, status=answer.status)
        elif answer is None:
            wire.answer(b"no", status=404)
        else:
            wire.answer(json.dumps(answer).encode(), JSON)

    return world.network.serve(host, script)


def search(asked: Asked) -> Any:
    """Three pages of a search."""
    number = json.loads(asked.body)["page"]
    return {"items": [f"{number}a", f"{number}b"], "next": number + 1 if number < 3 else None}


# Spiders, as people write them.


def results(found: Page) -> Iterable[Any]:
    for item in found.json()["items"]:
        yield {"item": item, "page": found.meta["page"]}
    if number := found.json()["next"]:
        yield Request("/search", json={"page": number}, meta={"page": number}, callback=results)


def log_in(found: Page) -> Iterable[Any]:
    yield found.form({"user": "me", "password": "secret"}, callback=logged_in)


def logged_in(found: Page) -> Iterable[Any]:
    yield Request("/api/me", headers={"X-Csrf": found.json()["token"]}, callback=me)


def me(found: Page) -> Iterable[Any]:
    yield {"name": found.json()["name"]}


class TestSpiders:
    def test_a_search_by_post_pages(self, world):
        """One URL, asked with three bodies: each is fetched once, and has its record and its items."""
        server = api(world, {"/search": search})
        first = Request(f"{ROOT}search", json={"page": 1}, meta={"page": 1})
        result = world.crawl(first, parse=results, robots=False)
        assert [asked.line for _, asked in server.asked] == ["POST /search HTTP/1.1"] * 3
        assert [json.loads(asked.body) for _, asked in server.asked] == [{"page": n} for n in (1, 2, 3)]
        assert [(record.method, record.meta) for record in result.records] == [("POST", {"page": n}) for n in (1, 2, 3)]
        assert [record.data for record in result.records] == [
            [{"item": f"{n}a", "page": n}, {"item": f"{n}b", "page": n}] for n in (1, 2, 3)
        ]
        assert result.records[1].input.parent == f"{ROOT}search"

    def test_a_login_form_then_an_api(self, world):
        """The hidden field goes along; each page gets to the function that was named for it."""
        form = Answer(
            b"<form action=/do method=post><input type=hidden name=t value=7><input name=user><input name=password>",
            ("Content-Type: text/html",),
        )
        token = {"token": "abc"}
        server = api(
            world,
            {
                "/login": form,
                "/do": lambda asked: token if dict(parse_qsl(asked.body.decode()))["t"] == "7" else None,
                "/api/me": lambda asked: {"name": "Me"} if asked.headers.get("x-csrf") == "abc" else None,
            },
        )
        result = world.crawl(f"{ROOT}login", parse=log_in, robots=False)
        assert server.targets == ["/login", "/do", "/api/me"]
        assert result.records[-1].data == [{"name": "Me"}]
        assert dict(parse_qsl(server.asked[1][1].body.decode())) == {"t": "7", "user": "me", "password": "secret"}
        assert "secret" not in repr(result.records)

    def test_a_login_that_leads_to_a_page_that_is_known(self, world):
        """Its answer is what was asked for: it is no duplicate of the page, which was there before."""
        home = page("/login", title="Home")
        form = Answer(b"<form method=post action=/do></form>", ("Content-Type: text/html",))
        server = api(world, {"/": home, "/login": form, "/do": moved("/", 303)})

        def parse(found: Page) -> Iterable[Any]:
            if found.url.endswith("/login"):
                yield found.form(callback=inside)
            else:
                yield "/login"

        def inside(found: Page) -> Iterable[Any]:
            yield {"inside": found.url, "before": found.request.url}

        result = world.crawl(ROOT, parse=parse, robots=False)
        assert [asked.line for _, asked in server.asked] == [
            "GET / HTTP/1.1", "GET /login HTTP/1.1", "POST /do HTTP/1.1", "GET / HTTP/1.1",
        ]  # fmt: skip
        assert result.codes == {None: 3}
        assert result.records[-1].data == [{"inside": ROOT, "before": f"{ROOT}do"}]

    def test_pages_without_a_function_are_read_for_links(self, world):
        """With no default, who is named gets his page, and all others are followed as ever."""
        world.site({"/": page("/a"), "/a": page("/b"), "/b": page(), "/x": page("/c", title="X")})

        def title(found: Page) -> Iterable[Any]:
            yield {"title": found.css("title::text").get()}

        result = world.crawl(ROOT, Request(f"{ROOT}x", callback=title), robots=False)
        assert sorted(result.urls) == [ROOT, f"{ROOT}a", f"{ROOT}b", f"{ROOT}x"]
        assert result.of(f"{ROOT}x").data == [{"title": "X"}]


class TestRules:
    """What holds for links holds for requests."""

    def test_scope_robots_depth_and_the_number_of_pages(self, world):
        """A request that may not be made is not; each reason counts."""
        world.site({"/": page(), "/robots.txt": robots("Disallow: /private"), "/deep": page(), "/ok": page()})

        def parse(found: Page) -> Iterable[Any]:
            for number, path in enumerate(["http://b.example/", "/private", "/ok"]):
                yield Request(path, json=number)
            if found.request.method == "POST":
                yield Request("/deep", json=1)

        result = world.crawl(parse=parse, depth=1)
        assert [(record.method, record.url) for record in result.records] == [("GET", ROOT), ("POST", f"{ROOT}ok")]
        assert result.snapshot.skips == {"out_of_scope": 1, "robots_denied": 1, "depth_limit": 1}
        assert world.crawl(parse=parse, max_pages=1).snapshot.skips["budget_exceeded"] == 2

    def test_each_once(self, world):
        """By URL, method and body; what comes along makes no difference, and a plain link is one by its URL."""
        server = world.site({"/": page(), "/a": page()})

        def parse(found: Page) -> Iterable[Any]:
            if found.url == ROOT:
                for _ in range(2):
                    yield "/a"
                    yield Request("/a", meta={"n": 1})
                    yield Request("/a", json=1)
                    yield Request("/a", json=2)
                    yield Request("/a", method="PUT", json=2)
                    yield Request("/a", method="DELETE")

        world.crawl(parse=parse, robots=False)
        asked = Counter(asked.line.split()[0] for _, asked in server.asked)
        assert asked == {"GET": 2, "POST": 2, "PUT": 1, "DELETE": 1}

    def test_a_seed_that_comes_again(self, world):
        """Its record keeps what came along with it."""
        world.site({"/": page()})
        result = world.crawl(Request(ROOT, json=1), Request(ROOT, json=1, meta=7), Request(ROOT, json=2), robots=False)
        assert result.codes == {None: 2, "duplicate": 1}
        assert next(record.meta for record in result.records if record.error) == 7

    def test_relative_to_the_page_and_what_is_no_url(self, world):
        """As text is; what no link leads to is left out."""
        server = world.site({"/d/": page(), "/d/x": page()})

        def parse(found: Page) -> Iterable[Any]:
            return [Request("x"), Request("mailto:me@a.example"), Request("http://[")] if found.url[-1] == "/" else []

        result = world.crawl(f"{ROOT}d/", parse=parse, robots=False)
        assert server.targets == ["/d/", "/d/x"]
        assert result.codes == {None: 2}

    def test_in_the_order_in_which_they_were_yielded(self, world):
        server = world.site({path: page() for path in ("/", "/1", "/2", "/3", "/4")})
        yields = ["/1", Request("/2", json=1), "/3", Request("/4", json=1)]
        world.crawl(parse=lambda found: yields if found.url == ROOT else None, robots=False, concurrency=1, delay=0)
        assert server.targets == ["/", "/1", "/2", "/3", "/4"]

    def test_nothing_is_lost_on_the_disk(self, world, monkeypatch):
        """Requests that wait there come back as they were."""
        monkeypatch.setattr("crawler.run.parts.SpillingFrontier", partial(SpillingFrontier, limit=0))
        server = world.site({"/": page(), **{f"/{n}": page() for n in range(20)}})

        def parse(found: Page) -> Iterable[Any]:
            if found.url == ROOT:
                for n in range(20):
                    yield Request(f"/{n}", json={"n": n}, headers={"X-N": str(n)}, meta=n, callback=item)

        def item(found: Page) -> Iterable[Any]:
            yield {"n": found.meta}

        result = world.crawl(parse=parse, robots=False, delay=0)
        assert sorted(record.data[0]["n"] for record in result.records[1:]) == [*range(20)]
        assert {(asked.headers["x-n"], asked.body) for _, asked in server.asked[1:]} == {
            (str(n), b'{"n":%d}' % n) for n in range(20)
        }


class TestLists:
    def test_table_in_table_out(self, world, tmp_path):
        """Every row comes out with its cells, also one that is no URL."""
        world.site({"/": page(title="T"), "/gone": page(status=404)})
        table = tmp_path / "in.csv"
        table.write_text("sku,url,status\n1,http://a.example/,new\n=2,http://a.example/gone,old\n3,nonsense,odd\n")
        out = tmp_path / "out.csv"
        lines = tmp_path / "out.jsonl"
        world.run(
            inputs=[str(table)],
            keep_columns=True,
            output=[str(out), str(lines)],
            fields=["url", "status"],
            ordered=True,
        )
        assert out.read_text().splitlines() == [
            "sku,meta_status,url,status",
            '"1","new","http://a.example/",200',
            '"\'=2","old","http://a.example/gone",404',
            '"3","odd","nonsense",',
        ]
        assert json.loads(lines.read_text().splitlines()[0]) == {"url": "http://a.example/", "status": 200}

    def test_no_two_columns_are_called_the_same(self, world, tmp_path):
        """Whatever those of the table are called, and in whatever case: the one that is found by "url" is the URL."""
        world.site({"/": page()})
        table, out = tmp_path / "in.csv", tmp_path / "out.csv"
        table.write_text("status,meta_status,Link,URL\nnew,old,http://a.example/,other\n")
        world.run(inputs=[str(table)], column="link", keep_columns=True, output=[str(out)], fields=["url", "status"])
        assert out.read_text().splitlines() == [
            "meta_meta_status,meta_status,meta_URL,url,status",
            '"new","old","other","http://a.example/",200',
        ]

    def test_in_json_lines_they_are_meta(self, world, tmp_path):
        world.site({"/": page()})
        table = tmp_path / "in.csv"
        table.write_text("sku,url\n1,http://a.example/\n")
        lines = tmp_path / "out.jsonl"
        world.run(inputs=[str(table)], keep_columns=True, output=[str(lines)])
        assert json.loads(lines.read_text())["meta"] == {"sku": "1"}

    def test_what_has_no_column_stays_in_meta(self, world, tmp_path):
        """What a long row has more, and what only one input has: nothing is lost, and nothing is there twice."""
        world.site({"/": page()})
        one, other = tmp_path / "a.csv", tmp_path / "b.jsonl"
        one.write_text("sku,url\n1,http://a.example/,extra\n")
        other.write_text('{"url":"http://a.example/","id":2}\n{"url":"http://a.example/","id":3,"more":[1]}\n')
        out = tmp_path / "out.csv"
        world.run(
            inputs=[str(one), str(other)], keep_columns=True, output=[str(out)], fields=["url", "meta"], ordered=True
        )
        assert out.read_text().splitlines()[:1] == ["sku,id,url,meta"]
        assert [line.partition(f'"{ROOT}",')[::2] for line in out.read_text().splitlines()[1:]] == [
            ('"1",,', '"{""3"":""extra""}"'), (",2,", ""), (",3,", '"{""more"":[1]}"'),
        ]  # fmt: skip

    def test_a_line_says_how_to_ask(self, world, tmp_path):
        server = world.site({"/": page()})
        lines = tmp_path / "in.jsonl"
        lines.write_text('{"url":"http://a.example/","method":"PATCH","json":[1],"headers":{"X-A":"b"},"meta":5}\n')
        out = tmp_path / "out.jsonl"
        world.run(inputs=[str(lines)], output=[str(out)])
        ((_, asked),) = server.asked
        assert (asked.line, asked.body, asked.headers["x-a"]) == ("PATCH / HTTP/1.1", b"[1]", "b")
        record = json.loads(Path(out).read_text())
        assert (record["method"], record["meta"]) == ("PATCH", 5)


# Parse functions that wait.


async def waiting(found: Page) -> AsyncIterator[Any]:
    """On this reactor of Twisted's they wait for Deferreds."""
    yield {"asked": found.text, "got": await WAITS.pop()}
    yield Request("/next", callback=plain)


async def plain(found: Page) -> list[dict[str, str]]:
    return [{"next": found.text}]


WAITS: list[Deferred[str]] = []


def test_async_parse(world: World) -> None:
    """An asynchronous generator, and a coroutine that gives a list: their items and requests are as any others."""
    server = world.site({"/": text("root"), "/next": text("more")})
    slow: Deferred[str] = Deferred()
    world.clock.callLater(3, slow.callback, "answer")
    WAITS.append(slow)
    run = world.crawl(ROOT, parse=waiting, robots=False, sitemaps=False)
    assert [record.data for record in run.records] == [[{"asked": "root", "got": "answer"}], [{"next": "more"}]]
    assert server.targets == ["/", "/next"]


def test_what_async_parse_raises(world: World) -> None:
    """It is the error of its page, also when a Deferred that it awaits is cancelled by others."""

    async def parse(found: Page) -> None:
        if found.url.endswith("/late"):
            waits: Deferred[None] = Deferred()
            waits.cancel()
            await waits
        raise KeyError("x")

    world.site({"/": text("root"), "/late": text("late")})
    run = world.crawl(ROOT, f"{ROOT}late", parse=parse, robots=False, sitemaps=False)
    assert [run.code(ROOT), run.code(f"{ROOT}late")] == ["parse_error", "parse_error"]


def test_nobody_waits_for_what_is_not_declared_async(world: World) -> None:
    """A lambda that makes a coroutine: a sentence says what to write, and Python does not say "never awaited"."""
    world.site({"/": text("root")})
    run = world.crawl(ROOT, parse=partial(lambda function, found: function(found), plain), robots=False, sitemaps=False)
    error = run.of(ROOT).error
    assert error is not None
    assert "declared async def" in error.message
