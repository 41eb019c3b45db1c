"""host_totals.py: books of the hosts that matter, exact sums over all, flat memory."""

from __future__ import annotations

import pytest

from crawler.stats.host_totals import KEPT_SLOW, MAX_HOSTS, HostTable, HostTotals


def count(books: HostTable, host: str, seconds: float | None = 0.1, *, times: int = 1, failed: bool = False) -> None:
    for number in range(times):
        url = f"https://{host}/{number}"
        books.count(url, url, 100, seconds, failed=failed)


def test_a_host_has_its_sums() -> None:
    """URLs, failures, bytes, mean and maximum of one host; a URL without time counts in neither of the last."""
    books = HostTable()
    count(books, "a.example", 1.0)
    count(books, "a.example", 3.0, failed=True)
    count(books, "a.example", None, failed=True)
    assert books.busiest(5) == ((HostTotals("https://a.example", 3, 2, 300, 2.0, 3.0),), None)


@pytest.mark.parametrize(
    ("final_url", "written", "origin"),
    [
        ("http://h/", "x", "http://h"),
        ("https://example.com:8443/a/b?c", "x", "https://example.com:8443"),
        ("http://[::1]:80/", "x", "http://[::1]:80"),
        (None, "HTTP://Example.COM", "http://example.com"),
        (None, " https:\\\\example.com?q", "https://example.com"),
        (None, "https:example.com/x", "https://example.com"),
    ],
)
def test_the_origin_names_the_host(final_url: str | None, written: str, origin: str) -> None:
    """A URL belongs to the origin where it ended, or to the one that was written when it ended nowhere."""
    books = HostTable()
    books.count(final_url, written, 0, None, failed=False)
    assert [host.origin for host in books.busiest(1)[0]] == [origin]


def test_the_busiest_come_first_and_the_others_are_summed() -> None:
    """What the table does not show is one line, so that it adds up."""
    books = HostTable()
    for name, times in (("a", 1), ("b", 3), ("c", 2)):
        count(books, name, times=times, failed=name == "c")
    shown, others = books.busiest(1)
    assert [host.origin for host in shown] == ["https://b"]
    assert others == HostTotals("others", 3, 2, 300, None, None)


def test_the_slowest_are_those_of_the_highest_mean() -> None:
    """One slow answer among many quick ones makes no slow host; a host without any time is none either."""
    books = HostTable()
    count(books, "quick", 0.1, times=9)
    count(books, "quick", 5.0)
    count(books, "slow", 1.0)
    count(books, "unreached", None)
    assert [host.origin for host in books.slowest(5)] == ["https://slow", "https://quick"]


def test_a_wide_crawl_keeps_the_busy_and_the_slow() -> None:
    """Thousands of hosts of one URL each do not displace the busy ones nor the slowest, and the sums stay exact."""
    books = HostTable()
    count(books, "busy", times=50)
    count(books, "sluggish", 9.0, failed=True)
    for number in range(5 * MAX_HOSTS):
        count(books, f"h{number}")
    shown, others = books.busiest(1)
    assert shown[0] == HostTotals("https://busy", 50, 0, 5_000, pytest.approx(0.1), 0.1)
    assert others == HostTotals("others", 5 * MAX_HOSTS + 1, 1, 100 * (5 * MAX_HOSTS + 1), None, None)
    assert books.slowest(1)[0].origin == "https://sluggish"


def test_memory_is_flat() -> None:
    """Never more than twice as many hosts as are kept are held."""
    books = HostTable()
    for number in range(5 * MAX_HOSTS):
        count(books, f"h{number}")
    held, _ = books.busiest(10 * MAX_HOSTS)
    assert KEPT_SLOW < MAX_HOSTS <= len(held) <= 2 * MAX_HOSTS
