"""Parse functions with workers: called there where they can be imported and share nothing, else in the run."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
from asking_server import Answer, asked
from run.workers.test_workers import comparable

from crawler import crawl
from crawler.cli.main import main
from crawler.models import Record
from crawler.spiders.elsewhere import why_here

MODULE = """\
import os
import re
from crawler import Request

NUMBER = re.compile("[0-9]+")
FOUND = []
COUNT = 0


def plain(page):
    yield {"title": page.css("title::text").get(), "pid": os.getpid(), "number": NUMBER.findall(page.url)[-1]}
    yield from page.css("a::attr(href)").getall()
    yield Request("/detail?" + page.url[-1], callback=detail, meta={"from": page.url, "n": [1, 2.5, None, True]})
    yield Request("/gone?" + page.url[-1], errback=failed)


def detail(page):
    return [{"pid": os.getpid(), "meta": page.meta, "header": page.headers["x-path"]}]


def failed(page):
    yield {"sorry": page.status, "text": page.css("title::text").get(), "pid": os.getpid()}


def remembers(page):
    FOUND.append(page.url)
    yield {"pid": os.getpid()}


def counts(page):
    global COUNT
    COUNT += 1
    yield {"pid": os.getpid()}


def through(page):
    return remembers(page)


def default(page, seen=[]):
    yield {"pid": os.getpid()}


async def waits(page):
    yield {"pid": os.getpid()}


def odd(page):
    if page.url.endswith("1"):
        raise RuntimeError("one")
    if page.url.endswith("2"):
        yield {"tuple": (1, 2), "pid": os.getpid()}
    yield {"pid": os.getpid()}


class Kept:
    items = []


def keeps(page):
    Kept.items.append(page.url)
    yield {"pid": os.getpid()}


def made():
    def inner(page):
        yield {"pid": os.getpid()}
    return inner


closure = made()
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A module of a user's own."""
    (tmp_path / "my_functions.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("my_functions")
    del sys.modules["my_functions"]


def answer(path: str, _login: str | None, _before: int) -> Answer:
    links = '<a href="/2">two</a><a href="/3">three</a>' if path == "/1" else ""
    status = 404 if path.startswith("/gone") else 200
    return status, {"Content-Type": "text/html", "X-Path": path}, f"<title>{path}</title>{links}".encode()


def crawled(url: Callable[[str], str], procs: int, parse: Any, **options: Any) -> tuple[list[Any], set[int]]:
    """The records, without the processes that have called functions; and those."""
    records = [
        comparable(record) for record in crawl([url("/1")], parse=parse, procs=procs, delay=0, robots=False, **options)
    ]
    processes = set()
    for record in records:
        for item in record["data"] or ():
            processes.add(item.pop("pid"))
    return sorted(records, key=lambda record: record["url"]), processes


def test_one_that_is_imported_is_called_by_workers(module: ModuleType) -> None:
    """Items, what is followed, callbacks with their meta, and errbacks: all is as with one process."""
    with asked(answer) as server:
        alone, here = crawled(server.url, 1, module.plain)
        together, there = crawled(server.url, 2, module.plain)
    assert len(alone) == 9
    assert together == alone
    assert here == {os.getpid()}
    assert there - here  # pages
    assert there & here  # what has failed is told in the run
    gone = next(record for record in together if "gone" in record["url"])
    assert gone["data"] == [{"sorry": 404, "text": gone["url"][-7:]}]


@pytest.mark.parametrize("name", ["remembers", "counts", "through", "default", "waits", "keeps", "closure"])
def test_one_that_its_program_may_share_is_called_here(module: ModuleType, name: str) -> None:
    with asked(answer) as server:
        _, processes = crawled(server.url, 2, getattr(module, name))
    assert processes == {os.getpid()}
    if name in {"remembers", "through"}:
        assert [server.url("/1")] == module.FOUND


def test_what_cannot_be_told_is_called_here(module: ModuleType) -> None:
    """An error with its traceback, and what would be another thing after its way; the other pages are called there."""
    with asked(answer) as server:
        alone, _ = crawled(server.url, 1, module.odd)
        together, processes = crawled(server.url, 2, module.odd)
    assert together == alone
    (record,) = together
    assert record["error"]["code"] == "parse_error"
    assert record["error"]["message"] == "the parse function: RuntimeError: one"
    assert not processes


def test_reasons(module: ModuleType) -> None:
    assert why_here(module.plain) is None
    assert why_here(module.detail) is None
    for name, words in {
        "remembers": "uses what its program may share with it (FOUND)",
        "counts": "uses what its program may share with it (COUNT)",
        "through": "uses what its program may share with it (FOUND)",
        "default": "uses what its program may share with it (what default keeps)",
        "keeps": "uses what its program may share with it (Kept)",
        "waits": "is async def",
        "closure": "is no plain function of a module",
    }.items():
        assert why_here(getattr(module, name)) == words
    assert why_here(print) == "is no plain function of a module"


decode = msgspec.json.Decoder(Record).decode

SPIDER = """\
import os
from crawler import crawl


def parse(page):
    yield {"title": page.css("title::text").get(), "pid": os.getpid()}
    yield from page.css("a::attr(href)").getall()


crawl(["SITE/1"], parse=parse, delay=0, robots=False)
"""


@pytest.mark.usefixtures("folder")
def test_those_of_a_spider_file_are_found_there(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The file is run in each worker up to its call of crawl(), as in the run."""
    Path("spider.py").write_text(SPIDER)
    with asked(answer) as server:
        Path("spider.py").write_text(SPIDER.replace("SITE", server.url("")))
        found = []
        for procs in "12":
            assert main(["run", "spider.py", "--procs", procs, "-q", "-O", "out.jsonl"]) == 0
            lines = Path("out.jsonl").read_bytes().splitlines()
            found.append(sorted((comparable(record) for record in map(decode, lines)), key=lambda told: told["url"]))
        alone, together = found
        here, there = ({record["data"][0].pop("pid") for record in records} for records in found)
        assert together == alone
        assert [record["data"][0]["title"] for record in together] == ["/1", "/2", "/3"]
        assert here == {os.getpid()}
        assert os.getpid() not in there
        # One that remembers stays, and that is said, once.
        text = (
            Path("spider.py")
            .read_text()
            .replace("def parse(page):", "SEEN = []\n\n\ndef parse(page):\n    SEEN.append(1)")
        )
        Path("spider.py").write_text(text)
        assert main(["run", "spider.py", "--procs", "2", "--no-progress", "-O", "out.jsonl"]) == 0
    told = capfd.readouterr().err
    words = "--procs: parse uses what its program may share with it (SEEN), so pages are parsed in the first process"
    assert told.count(words) == 1
