"""Spiders as classes and of functions, in whole crawls: on_start, on_error, items. Servers in memory, under a Clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest
from crawl_world import ROOT, Answer, World, page, robots, text
from memory_net import Asked, Wire

from crawler import Request, Spider, crawl
from crawler.page.page import Page
from crawler.site import RunningSite
from crawler.spiders.spider import Functions, spider_of


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


class Quote(msgspec.Struct):
    title: str
    depth: int = 0


class Site(Spider):
    start_urls = (ROOT,)
    item = Quote
    tag = None

    def parse(self, page: Page) -> Iterator[Any]:
        yield {"title": page.css("title::text").get(), "depth": page.meta.get("depth", 0)}
        for link in page.css("a::attr(href)").getall():
            yield Request(link, callback=self.second, meta={"depth": "1"})

    def second(self, page: Page) -> Iterator[Any]:
        yield {"title": page.css("title::text").get(), "depth": page.meta["depth"]}

    def on_error(self, page: Page) -> Iterator[Any]:
        yield {"title": page.error.code if page.error else str(page.status)}


def run(world: World, spider: Spider, **options: Any) -> Any:
    return world.run(spider=spider, **{"recursive": True, "robots": False, "delay": 0, **options})


class TestClasses:
    def test_a_class_is_a_whole_spider(self, world: World) -> None:
        """Its methods get pages and failures, its items fit its model."""
        world.site({"/": page("/a", "/gone", title="Root"), "/a": page(title="A")})
        result = run(world, Site())
        assert {record.url: record.data for record in result.records} == {
            ROOT: [{"title": "Root", "depth": 0}],
            f"{ROOT}a": [{"title": "A", "depth": 1}],
            f"{ROOT}gone": [{"title": "404", "depth": 0}],
        }

    def test_in_a_job_that_goes_on(self, site: RunningSite, tmp_path: Path) -> None:
        """Methods are found again by a later run, for the requests of an earlier one."""

        class Quotes(Spider):
            options: ClassVar[dict[str, Any]] = {"job": tmp_path / "job", "delay": 0, "concurrency": 1}

            def on_start(self) -> Iterable[Any]:
                return [site.url("/quotes/1.html")]

            def parse(self, page: Page) -> Iterator[Any]:
                yield {"by": "parse"}
                yield Request("/quotes/2.html", callback=self.onward)

            def onward(self, page: Page) -> Iterator[Any]:
                yield {"by": "onward"}

        assert [record.data for record in crawl(Quotes, max_pages=1)] == [[{"by": "parse"}]]
        assert [record.data for record in crawl(Quotes, max_pages=9)] == [[{"by": "onward"}]]

    def test_arguments_are_attributes_that_the_class_has(self) -> None:
        assert Site(tag="humor").tag == "humor"
        with pytest.raises(TypeError, match=r"tga: Site has no such attribute.*tag"):
            Site(tga="humor")
        with pytest.raises(TypeError, match="parse: Site has no such attribute"):
            Site(parse="x")

    def test_without_parse_links_are_followed(self, world: World) -> None:
        class Links(Spider):
            start_urls = (ROOT,)

        server = world.site({"/": page("/a"), "/a": page()})
        assert run(world, Links()).codes == {None: 2}
        assert server.targets == ["/", "/a"]

    def test_a_class_has_its_own_functions(self) -> None:
        """Which are not given beside it."""
        with pytest.raises(TypeError, match="pipelines: cannot be combined with the class Site"):
            crawl(Site, pipelines=[len])
        with pytest.raises(TypeError, match="parse: cannot be combined with the class Site"):
            crawl(Site(), parse=print)

    def test_a_class_that_wants_arguments(self) -> None:
        class Tagged(Spider):
            def __init__(self, tag: str) -> None:
                self.tag = tag

        with pytest.raises(TypeError, match="Tagged: missing a required argument: 'tag'"):
            spider_of(Tagged)

    def test_its_options_are_weaker_than_those_of_the_call(self) -> None:
        class Slow(Spider):
            options: ClassVar[dict[str, Any]] = {"concurrency": 0, "max_pages": 5}

        with pytest.raises(ValueError, match="concurrency: 0"):
            crawl(Slow)
        assert crawl(Slow, concurrency=1)


class TestOnStart:
    def test_it_yields_the_first_requests(self, site: RunningSite) -> None:
        """Behind the seeds; in a thread of its own, so that it may take its time."""

        def begin() -> Iterator[Any]:
            yield site.url("/no-content")
            yield Request(site.url("/echo"), headers={"X-A": "b"}, meta=7)

        records = {
            record.url: record
            for record in crawl([site.url("/zero.html")], on_start=begin, parse=lambda _: None, delay=0)
        }
        assert [*map(site.url, ("/zero.html", "/no-content", "/echo"))] == sorted(
            records, key=lambda url: records[url].input.line or 0
        )
        echo = records[site.url("/echo")]
        assert echo.meta == 7
        assert "X-A: b" in echo.text

    @pytest.mark.parametrize("kind", ["generator", "list", "method"])
    def test_it_may_be_async(self, site: RunningSite, kind: str) -> None:
        """As Scrapy's `async def start`: a generator, or what gives a list; a function, or a method of a class."""
        urls = [site.url("/no-content"), site.url("/zero.html")]

        async def generator(*_: object) -> AsyncIterator[str]:
            for url in urls:
                await asyncio.sleep(0)
                yield url

        async def listed() -> list[str]:
            return urls

        class Begins(Spider):
            options: ClassVar = {"delay": 0}
            on_start = generator
            parse = None

        if kind == "method":
            records = list(crawl(Begins))
        else:
            records = list(crawl(on_start=generator if kind == "generator" else listed, delay=0))
        assert sorted(record.url for record in records) == sorted(urls)

    def test_what_an_async_one_raises_is_raised(self, site: RunningSite) -> None:
        async def begin() -> AsyncIterator[str]:
            yield site.url("/no-content")
            raise LookupError("no more")

        records = crawl(on_start=begin, parse=lambda _: None)
        assert next(records).status == 204
        with pytest.raises(LookupError, match="no more"):
            next(records)

    def test_what_it_raises_is_raised(self, site: RunningSite) -> None:
        """What it gave until then has its record."""

        def begin() -> Iterator[Any]:
            yield site.url("/no-content")
            raise LookupError("no more")

        records = crawl(on_start=begin, parse=lambda _: None)
        assert next(records).status == 204
        with pytest.raises(LookupError, match="no more"):
            next(records)

    def test_what_is_nothing_to_begin_with(self, world: World) -> None:
        class Nothing(Spider):
            def on_start(self) -> Any:
                return None

        with pytest.raises(TypeError, match="on_start gives NoneType: it is to yield what to begin with"):
            run(world, Nothing())


class TestOnError:
    def test_it_hears_of_all_that_failed_for_good(self, world: World) -> None:
        """Once each, behind the last try; of an answer it gets the page, of a failure the error."""
        heard: list[tuple[str, str | None, int | None, str]] = []

        def on_error(found: Page) -> None:
            heard.append((found.url, found.error and found.error.code, found.status, found.text[:4]))

        def parse(found: Page) -> Iterable[Any]:
            if found.url == ROOT:
                return ["/gone", "/busy", "http://dead.example/", "/bad"]
            raise ZeroDivisionError

        world.site({"/": page(), "/bad": page(), "/busy": page(status=503, title="x")})
        result = run(world, Functions([ROOT], parse=parse, on_error=on_error), scope="any", retries=1)
        assert sorted(heard) == sorted(
            [
                (f"{ROOT}gone", None, 404, "no"),
                (f"{ROOT}busy", None, 503, "<tit"),
                (f"{ROOT}bad", "parse_error", 200, "<tit"),
                ("http://dead.example/", result.code("http://dead.example/"), None, ""),
            ]
        )
        assert result.of(f"{ROOT}busy").attempts == 2
        assert result.of(f"{ROOT}gone").outcome == "ok"

    def test_it_yields_items_and_where_to_go_on(self, world: World) -> None:
        """The record stays the one of a failure."""

        def on_error(found: Page) -> Iterator[Any]:
            yield {"missed": found.request.url, "why": found.meta}
            yield Request("/instead", callback=instead)

        def instead(found: Page) -> Iterator[Any]:
            yield {"found": found.url}

        def cut(wire: Wire, asked: Asked) -> None:
            if asked.target == "/instead":
                wire.answer(b"x")
            else:
                wire.reset()

        world.network.serve("a.example", cut)
        result = run(world, Functions([Request(ROOT, meta="m")], parse=list, on_error=on_error), retries=0)
        failed, found = result.records
        assert (failed.outcome, failed.data) == ("failed", [{"missed": ROOT, "why": "m"}])
        assert found.data == [{"found": f"{ROOT}instead"}]
        assert found.input.parent == ROOT

    def test_what_the_run_skips_has_not_failed(self, world: World) -> None:
        """robots.txt, scope and limits are rulings of the run."""
        heard: list[str] = []
        world.site({"/": page("/private", "/a"), "/robots.txt": robots("Disallow: /private"), "/a": page()})
        result = run(
            world, Functions([ROOT], on_error=lambda found: heard.append(found.url)), robots=True, skipped=True
        )
        assert result.code(f"{ROOT}private") == "robots_denied"
        assert heard == []

    def test_what_it_raises_hides_nothing(self, world: World) -> None:
        """What failed is still what the record says, and that on_error did as well."""

        def on_error(_: Page) -> None:
            raise LookupError("oh")

        world.site({})
        result = run(world, Functions([ROOT, "http://dead.example/"], parse=list, on_error=on_error), retries=0)
        assert [record.warnings for record in result.records] == [["on_error_failed:LookupError: oh"]] * 2
        assert [record.outcome for record in result.records] == ["ok", "failed"]

    def test_of_a_host_that_was_given_up(self, world: World) -> None:
        """There was no request: it hears of that as of any failure."""
        heard: list[str | None] = []
        seeds = [f"http://dead.example/{n}" for n in range(100)]
        result = run(
            world,
            Functions(seeds, on_error=lambda found: heard.append(found.error and found.error.code)),
            retries=0,
            concurrency=1,
        )
        assert sorted(map(str, heard)) == sorted(str(record.error and record.error.code) for record in result.records)

    def test_a_page_of_an_error_that_takes_long_is_not_looked_into(self, world: World) -> None:
        """The reactor waits for no page: its body is left out, as a page that parse would get fails."""
        heavy = b"<a " + b" ".join(b"a%d" % n for n in range(60_000)) + b">"
        heard: list[int] = []

        def answer(wire: Wire, _: Asked) -> None:
            wire.answer(heavy, "Content-Type: text/html", status=404)

        world.network.serve("a.example", answer)
        run(
            world,
            Functions([ROOT], parse=list, on_error=lambda found: heard.append(len(found.body))),
            parse_timeout=0.5,
        )
        assert heard in ([0], [len(heavy)])

    def test_it_is_a_function(self, world: World) -> None:
        with pytest.raises(TypeError, match="on_error: int is not a function"):
            run(world, Functions([ROOT], on_error=7))  # type: ignore[arg-type]


class TestItems:
    def test_the_warning_is_the_records(self, world: World) -> None:
        """The page is no failure, and its other items are there."""
        world.site({"/": page(title="T")})

        def parse(_: Page) -> Iterator[Any]:
            yield {"title": "a"}
            yield {"title": 7}
            yield Quote("b", depth=2)

        result = run(world, Functions([ROOT], parse=parse, item=Quote))
        (record,) = result.records
        assert record.outcome == "ok"
        assert record.data == [{"title": "a", "depth": 0}, {"title": "b", "depth": 2}]
        assert record.warnings == ["item_invalid:item 2: Quote: title: Expected str, got int"]
        assert result.snapshot.warnings == {"item_invalid": 1}

    def test_beside_what_is_extracted(self, world: World) -> None:
        world.site({"/": Answer(b"<title>T</title>", ("Content-Type: text/html",))})
        result = run(world, Functions([ROOT], parse=lambda _: [Quote("q")]), extract=["head=title::text"])
        assert result.records[0].data == [{"head": "T", "title": "q", "depth": 0}]


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, asyncio.CancelledError, pytest.fail.Exception])
def test_what_is_no_exception_is_the_error_of_its_page_too(world: World, kind: type[BaseException]) -> None:
    """exit() in a parse function, pytest.fail() in one that a test gives: the others have their records, the run ends."""

    def parse(found: Page) -> Iterable[Any]:
        if found.url.endswith("/parse"):
            raise kind("oh")
        yield {"url": found.url}

    def on_error(_: Page) -> None:
        raise kind("oh")

    def pipeline(item: dict[str, Any]) -> dict[str, Any]:
        if item["url"].endswith("/item"):
            raise kind("oh")
        return item

    world.site({"/": text("root"), "/parse": text("1"), "/item": text("2")})
    urls = [f"{ROOT}{path}" for path in ("parse", "item", "missing", "")]
    spider = Functions(urls, parse=parse, on_error=on_error, pipelines=[pipeline])
    result = run(world, spider)
    assert result.code(f"{ROOT}parse") == "parse_error"
    assert result.of(f"{ROOT}item").warnings == [f"pipeline_error:item 1: pipeline: {kind.__name__}: oh"]
    assert result.of(f"{ROOT}missing").warnings == [f"on_error_failed:{kind.__name__}: oh"]
    assert result.of(ROOT).data == [{"url": ROOT}]


class TestErrbacks:
    """A function that hears if its own request fails; and those that have to be waited for."""

    def test_a_request_has_its_own(self, world: World) -> None:
        """In place of on_error, with what went along; what went well it does not get."""
        heard: list[tuple[str, str, Any]] = []

        def missed(found: Page) -> Iterator[Any]:
            heard.append(("missed", found.url, found.meta))
            yield {"missed": found.status}
            yield Request("/instead", callback=ended)

        def ended(_: Page) -> None: ...

        def on_error(found: Page) -> None:
            heard.append(("on_error", found.url, found.meta))

        def parse(found: Page) -> Iterator[Any]:
            if found.url == ROOT:
                yield Request("/gone", errback=missed, meta=7)
                yield Request("/there", errback=missed)
                yield "/lost"

        world.site({"/": page(), "/there": page(), "/instead": page()})
        result = run(world, Functions([ROOT], parse=parse, on_error=on_error))
        assert sorted(heard) == [("missed", f"{ROOT}gone", 7), ("on_error", f"{ROOT}lost", {})]
        assert result.of(f"{ROOT}gone").data == [{"missed": 404}]
        assert result.of(f"{ROOT}instead").status == 200

    def test_without_any_other_function(self, world: World) -> None:
        """Also of what had no answer."""
        heard: list[str | None] = []
        seed = Request("http://dead.example/", errback=lambda found: heard.append(found.error and found.error.code))
        result = run(world, Functions([seed]), retries=0)
        assert heard == [result.code("http://dead.example/")]

    @pytest.mark.parametrize("own", [False, True])
    def test_they_are_waited_for(self, world: World, own: bool) -> None:
        """With an answer, without one, after a parse function that fails, and of a host that was given up."""
        heard: list[str] = []

        async def on_error(found: Page) -> AsyncIterator[Any]:
            await asyncio.sleep(0)
            heard.append(found.error.code if found.error else str(found.status))
            yield {"heard": heard[-1]}

        def parse(found: Page) -> Iterable[Any]:
            if found.url == f"{ROOT}bad":
                raise ZeroDivisionError
            return [{"fine": True}]

        def seed(url: str) -> Any:
            return Request(url, errback=on_error) if own else url

        world.site({"/bad": page(), "/good": page()})
        world.network.serve("busy.example", lambda wire, _: wire.answer(b"", status=503))
        busy = [f"http://busy.example/{n}" for n in range(12)]
        urls = [f"{ROOT}good", f"{ROOT}bad", f"{ROOT}gone", "http://dead.example/", *busy]
        spider = Functions(list(map(seed, urls)), parse=parse, on_error=None if own else on_error)
        result = run(world, spider, retries=0, concurrency=1)
        assert result.of(f"{ROOT}good").data == [{"fine": True}]
        failed = [record for record in result.records if record.url != f"{ROOT}good"]
        codes = [record.error.code if record.error else str(record.status) for record in failed]
        assert [record.data for record in failed] == [[{"heard": code}] for code in codes]
        assert sorted(heard) == sorted(codes)
        assert set(codes) == {"parse_error", "404", "503", "host_unavailable", result.code("http://dead.example/")}

    def test_what_one_raises_later_is_a_warning(self, world: World) -> None:
        async def on_error(_: Page) -> None:
            await asyncio.sleep(0)
            raise LookupError("oh")

        world.site({})
        result = run(world, Functions([ROOT], parse=list, on_error=on_error))
        assert result.of(ROOT).warnings == ["on_error_failed:LookupError: oh"]
        assert result.of(ROOT).outcome == "ok"

    def test_in_a_job_that_goes_on(self, site: RunningSite, tmp_path: Path) -> None:
        """An errback is found again by a later run."""

        class Quotes(Spider):
            options: ClassVar[dict[str, Any]] = {"job": tmp_path / "job", "delay": 0, "concurrency": 1}

            def on_start(self) -> Iterable[Any]:
                return [site.url("/quotes/1.html")]

            def parse(self, page: Page) -> Iterator[Any]:
                yield Request("/status/404", errback=self.missed)

            async def missed(self, page: Page) -> list[Any]:
                return [{"missed": page.status}]

        assert len(list(crawl(Quotes, max_pages=1))) == 1
        assert [record.data for record in crawl(Quotes, max_pages=9)] == [[{"missed": 404}]]

    def test_what_is_no_function(self) -> None:
        with pytest.raises(TypeError, match="errback: 7 is not a function"):
            Request(ROOT, errback=7)  # type: ignore[arg-type]
