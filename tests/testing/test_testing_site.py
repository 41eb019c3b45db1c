"""The built-in site of one test: what it was asked, answers and faults on order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from crawler import Request, Session, crawl, fetch_all
from crawler.site import FAULTS
from crawler.testing import Answer, Asked, LocalSite, serving


@pytest.fixture
def local() -> Iterator[LocalSite]:
    with serving() as site:
        yield site


def fetch(*urls: Any, **options: Any) -> list[Any]:
    return fetch_all(urls, **{"retries": 0, "concurrency": 1, **options})


def test_it_is_the_built_in_site(local: LocalSite) -> None:
    """With its pages, its faults and its forms."""
    urls = [*map(local.url, ("/quotes/1.html", "/p/7.html", "/missing.html", "/fault/reset", "/found/x"))]
    login = Request(local.url("/members/login"), form={"user": "me"})
    records = fetch(*urls, login, Request(local.url("/quotes/1.html"), json=1))
    assert [record.status or record.error.code for record in records] == [200, 200, 404, "conn_reset", 200, 403, 405]


def test_what_was_asked(local: LocalSite) -> None:
    """All of each request, in order; ready pages are no exception, and a GET has no body of the POST before it."""
    fetch(
        Request(local.url("/a?b=1"), json={"n": 1}, headers={"X-A": "b"}),
        local.url("/p/1.html"),
        local.url("/p/1.html"),
    )
    first, *others = local.asked
    assert (first.method, first.path, first.json(), first.headers["x-a"]) == ("POST", "/a?b=1", {"n": 1}, "b")
    assert [(asked.method, asked.path, asked.body) for asked in others] == [("GET", "/p/1.html", b"")] * 2
    assert local.paths == ["/a?b=1", "/p/1.html", "/p/1.html"]
    local.forget()
    assert local.asked == []


def test_answers_on_order(local: LocalSite) -> None:
    """Text, bytes, JSON; with a status and headers; in place of what is there."""
    local.answer("/quotes/1.html", "<title>Mine</title>")
    local.answer("/data", {"a": [1]}, status=201, headers={"X-A": "b"})
    local.answer("/bytes", b"\x00", headers={"Content-Type": "image/png"})
    local.answer("/gone", status=410)
    page, data, image, gone = fetch(*map(local.url, ("/quotes/1.html", "/data", "/bytes", "/gone")))
    assert page.selector.css("title::text").get() == "Mine"
    assert (data.status, data.json(), data.headers["x-a"]) == (201, {"a": [1]}, ["b"])
    assert (image.content_type, image.body) == ("image/png", b"\x00")
    assert gone.status == 410
    assert fetch(local.url("/data"), head=True)[0].body == b""


def test_by_path_and_by_query(local: LocalSite) -> None:
    local.answer("/s", "any")
    local.answer("/s?page=2", "two")
    assert [record.text for record in fetch(*map(local.url, ("/s", "/s?page=1", "/s?page=2")))] == ["any", "any", "two"]


def test_one_after_the_other(local: LocalSite) -> None:
    """So many times each, and what has no number ever after, until the next order."""
    local.fault("/p", "reset", times=1)
    local.answer("/p", status=503, times=2)
    local.answer("/p", "at last")
    records = [fetch(local.url("/p"))[0] for _ in range(5)]
    assert [record.status or record.error.code for record in records] == ["conn_reset", 503, 503, 200, 200]
    local.answer("/p", "another")
    assert fetch(local.url("/p"))[0].text == "another"
    local.forget()
    assert fetch(local.url("/p"))[0].status == 404


def test_a_spider_tries_again(local: LocalSite) -> None:
    """The fault is over when it asks again."""
    local.fault("/quotes/1.html", "empty-reply", times=1)
    records = list(crawl([local.url("/quotes/1.html")], parse=lambda page: [{"n": len(page.css(".quote"))}], delay=0))
    assert [record.data for record in records] == [[{"n": 2}]]
    assert local.paths.count("/quotes/1.html") == 2


def test_a_function_answers(local: LocalSite) -> None:
    """It gets what was asked, and gives what an answer may be."""

    def search(asked: Asked) -> Any:
        page = asked.json()["page"]
        return {"page": page} if page < 3 else Answer("no more", 404)

    local.answer("/search", search)
    records = fetch(*(Request(local.url("/search"), json={"page": page}) for page in (1, 3)))
    assert [(record.status, record.text) for record in records] == [(200, '{"page": 1}'), (404, "no more")]


def test_what_a_function_raises_is_raised() -> None:
    """Behind the test: until then its answer is 500, with the traceback."""

    def broken(_: Asked) -> Any:
        raise LookupError("oh")

    def use() -> None:
        with serving() as local:
            local.answer("/", broken)
            (record,) = fetch(local.url("/"))
            assert record.status == 500
            assert "LookupError: oh" in record.text

    with pytest.raises(LookupError, match="oh"):
        use()


def test_an_answer_takes_its_time(local: LocalSite) -> None:
    local.answer("/", "late", delay=0.15)
    assert fetch(local.url("/"))[0].time_starttransfer >= 0.14
    assert fetch(local.url("/"), timeout=0.05)[0].error.code.startswith("timeout")


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (lambda site: site.fault("/", "rest"), "'rest' is no fault of the built-in site.*reset"),
        (lambda site: site.fault("/", next(n for n, f in FAULTS.items() if f.tls)), "over TLS only"),
        (lambda site: site.answer("p"), r"'p' is no path of the site \(it begins with /\)"),
        (lambda site: site.answer("/", times=0), "times: 0 is not a number from 1"),
        (lambda site: site.answer("/", [object()]), "not JSON serializable"),
    ],
)
def test_orders_that_make_no_sense(local: LocalSite, order: Any, words: str) -> None:
    with pytest.raises((ValueError, TypeError), match=words):
        order(local)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_other_methods_with_and_without_a_body(method: str) -> None:
    """As an API has them, one after the other on one connection; where nothing takes them they are refused."""
    with serving() as site, Session() as session:
        site.answer("/api", lambda asked: {"was": asked.body.decode()})
        answers = [session.fetch(site.url("/api"), method=method, data=data) for data in ("a", None, "b")]
        assert [answer.json() for answer in answers] == [{"was": "a"}, {"was": ""}, {"was": "b"}]
        assert [answer.reused for answer in answers] == [False, True, True]
        assert session.fetch(site.url("/data.json"), method=method, data="x").status == 405
        assert [asked.method for asked in site.asked] == [method] * 4
