"""Nothing that a page holds keeps the reactor for longer than 50 ms. `python -m tests.watchdog` tells it page by page."""

from __future__ import annotations

import pytest
from watchdog import HEADS, LIMIT, MIB, PAGES, TRANSFERS, Held, Page, crawl, of_the_site, serving

from crawler.page.discovery import QUICK, TRIED

SIZES = {"all read at once": QUICK, "the largest that are tried": TRIED, "read elsewhere": MIB}
LARGE = (
    "svg and p",
    "links to a byte, gb18030",
    "plain links",
    "less-than",
    "nuls",
    "a legacy charset, not declared",
    "a sitemap",
    "bytes",
)


def check(held: Held) -> None:
    assert held.longest <= LIMIT, f"the reactor was held for {held.longest * 1e3:.0f} ms"


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_pages_made_to_be_slow(size: int) -> None:
    """All at once, in one crawl: each has its record, which says what became of it."""
    with serving(PAGES, size) as url:
        held = crawl([url(name) for name in PAGES], concurrency=16, per_host=16, parse_timeout=0.1)
    check(held)
    assert len(held.records) == len(PAGES)
    codes = {record.error.code for record in held.records if record.error is not None}
    assert codes <= {"parse_timeout", "parse_error"}


def test_pages_as_large_as_may_be() -> None:
    """At the limit of --max-size."""
    pages = {name: PAGES[name] for name in LARGE}
    with serving(pages, int(9.9 * MIB)) as url:
        held = crawl([url(name) for name in pages], concurrency=4, per_host=4, parse_timeout=0.1)
    check(held)
    assert [record.status for record in held.records] == [200] * len(pages)


@pytest.mark.parametrize("alone", [True, False], ids=["one by one", "all at once"])
def test_transfers_made_to_be_slow(alone: bool) -> None:
    """Chunks of a byte, members of gzip, floods of headers: what is read and decoded takes turns."""
    slots = 1 if alone else len(TRANSFERS)
    with serving(TRANSFERS, MIB) as url:
        held = crawl([url(name) for name in TRANSFERS], concurrency=slots, per_host=slots, retries=0)
    check(held)
    codes = {record.error.code for record in held.records if record.error is not None}
    assert codes == {"headers_too_large", "http_too_many_1xx", "http_bad_chunk", "body_too_large"}


def test_heads_made_to_be_slow() -> None:
    """Links stand in headers, too."""
    with serving(HEADS, 0) as url:
        held = crawl([url(name) for name in HEADS], links=("a", "header", "refresh"), nofollow=True)
    check(held)
    assert [record.status for record in held.records] == [200] * len(HEADS)


def test_all_of_the_built_in_site() -> None:
    """Its faults, too."""
    held = of_the_site()
    check(held)
    assert len(held.records) > 100


def test_a_page_that_never_ends_costs_no_other_its_record() -> None:
    """--parse-timeout ends it, under its code, while the others go on."""
    pages = {"slow": PAGES["svg and p"], **{str(number): Page(b"") for number in range(20)}}
    with serving(pages, 8 * MIB) as url:
        urls = [url(name) for name in pages]
        held = crawl(urls, concurrency=4, per_host=4, parse_timeout=0.1)
    by_url = {record.url: record for record in held.records}
    assert by_url[urls[0]].error is not None
    assert by_url[urls[0]].error.code == "parse_timeout"
    assert all(by_url[url].links == 1 for url in urls[1:])
