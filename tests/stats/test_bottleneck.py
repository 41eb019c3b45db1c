"""bottleneck.py: a table of situations and the sentence for each, and what is said when the run is over."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from crawler.frontier import HostView
from crawler.politeness.host import Binding
from crawler.stats.bottleneck import Bottleneck, Causes, bottleneck, host_name, percent


def host(
    name: str,
    queued: int,
    binding: Binding | None = "per_host",
    *,
    in_flight: int = 2,
    limit: int = 2,
    delay: float = 0.0,
) -> HostView:
    return HostView(f"{name}:443", queued, in_flight, limit, delay, binding)


def sentence(*hosts: HostView, concurrency: int = 64, **known: Any) -> str:
    """What is said of these hosts; queued and in flight are what they hold unless said otherwise."""
    known.setdefault("queued", sum(view.queued for view in hosts))
    known.setdefault("in_flight", sum(view.in_flight for view in hosts))
    found = bottleneck(hosts=hosts, concurrency=concurrency, **known)
    return "" if found is None else found.sentence


BIG = host("example.com", 95)
SMALL = host("b.example", 1)
FREE = host("c.example", 5, None, in_flight=0)
SITUATIONS: dict[str, tuple[str, str]] = {
    "one host holds nearly everything": (
        sentence(BIG, SMALL),
        (
            "example.com holds 97 % of the remaining work at 2 connections; "
            "more --concurrency will not help (--per-host would)"
        ),
    ),
    "the same while the input is still being read": (
        sentence(BIG, SMALL, input_read=False),
        (
            "example.com holds 97 % of the queued work at 2 connections; "
            "more --concurrency will not help (--per-host would)"
        ),
    ),
    "the rate of the run, one host": (
        sentence(host("example.com", 9, "rate", in_flight=0), ready_in=0.6),
        "the run is as fast as --rate or --limit-rate lets it",
    ),
    "the rate of the run, several hosts": (
        sentence(*(host(f"{n}.example", 5, "rate", in_flight=0) for n in range(3)), ready_in=0.6),
        "the run is as fast as --rate or --limit-rate lets it",
    ),
    "one host, one connection": (
        sentence(host("example.com", 9, in_flight=1, limit=1)),
        (
            "example.com holds all of the remaining work at 1 connection; "
            "more --concurrency will not help (--per-host would)"
        ),
    ),
    "the host's limit and the slots bind together": (
        sentence(host("example.com", 9, in_flight=8, limit=8), concurrency=8),
        (
            "example.com holds all of the remaining work at 8 connections and all slots are busy: "
            "--per-host and --concurrency bind together"
        ),
    ),
    "a host could start one but no slot is free": (
        sentence(BIG, FREE, concurrency=4, in_flight=4),
        "all 4 slots are busy: --concurrency binds",
    ),
    "there is only one slot": (
        sentence(BIG, FREE, concurrency=1, in_flight=1),
        "the only slot is busy: --concurrency binds",
    ),
    "hosts that are not listed could start one but no slot is free": (
        sentence(BIG, queued=5_000, in_flight=64),
        "all 64 slots are busy: --concurrency binds",
    ),
    "slots are full, but what could start is retries whose time has not come": (
        sentence(host("a.example", 3, None), concurrency=2, ready_in=8.0),
        "3 URLs wait for their next try, the first in 8 s",
    ),
    "the processor is busy": (
        sentence(BIG, cpu=0.98),
        "the CPU binds (1 core at 98 %); more --concurrency will not help",
    ),
    "the processor is busy with threads beside the reactor": (
        sentence(FREE, cpu=1.7),
        "the CPU binds (1 core at 100 %); more --concurrency will not help",
    ),
    "the configured delay of one host": (
        sentence(host("example.com", 9, "delay", in_flight=0, delay=0.25)),
        (
            "example.com holds all of the remaining work at one request every 0.25 s (--delay); "
            "more --concurrency will not help"
        ),
    ),
    "the configured delay of some hosts": (
        sentence(*(host(f"{n}.example", 5, "delay", in_flight=0) for n in range(3)), ready_in=0.1),
        "3 hosts' --delay binds",
    ),
    "Crawl-delay of one host": (
        sentence(host("example.com", 9, "crawl_delay", in_flight=0, delay=10.0)),
        (
            "example.com holds all of the remaining work at one request every 10 s, as its robots.txt asks; "
            "more --concurrency will not help"
        ),
    ),
    "Crawl-delay of some hosts": (
        sentence(*(host(f"{n}.example", 5, "crawl_delay", in_flight=0) for n in range(3))),
        "3 hosts' Crawl-delay (robots.txt) binds",
    ),
    "Retry-After of the only host": (
        sentence(host("example.com", 9, "retry_after", in_flight=0), ready_in=80.2),
        "example.com asks to wait (Retry-After) another 80 s",
    ),
    "Retry-After, but the next URL to start may be another host's": (
        sentence(host("example.com", 90, "retry_after", in_flight=0), SMALL, ready_in=0.2),
        "example.com asks to wait (Retry-After)",
    ),
    "Retry-After of some hosts": (
        sentence(*(host(f"{n}.example", 5, "retry_after", in_flight=0) for n in range(3)), ready_in=30.0),
        "3 hosts ask to wait (Retry-After), the first for another 30 s",
    ),
    "RateLimit of the only host": (
        sentence(host("example.com", 9, "ratelimit", in_flight=0), ready_in=5.0),
        "example.com's rate limit is used up for another 5 s",
    ),
    "RateLimit of some hosts": (
        sentence(*(host(f"{n}.example", 5, "ratelimit", in_flight=0) for n in range(3))),
        "the rate limits of 3 hosts are used up",
    ),
    "back-off of one host, at its limit": (
        sentence(host("example.com", 9, "backoff", in_flight=1, limit=1, delay=4.0)),
        (
            "example.com holds all of the remaining work and showed signs of overload, "
            "so it is slowed down to 1 connection"
        ),
    ),
    "back-off of one host, waiting": (
        sentence(host("example.com", 9, "backoff", in_flight=0, limit=1, delay=4.0)),
        (
            "example.com holds all of the remaining work and showed signs of overload, "
            "so it is slowed down to one request every 4 s"
        ),
    ),
    "back-off of some hosts": (
        sentence(*(host(f"{n}.example", 5, "backoff", in_flight=0) for n in range(3))),
        "3 hosts showed signs of overload and are slowed down",
    ),
    "some hosts are at their limit": (
        sentence(*(host(f"{n}.example", 5) for n in range(3))),
        "3 hosts are at their --per-host limit; more --concurrency will not help",
    ),
    "most URLs wait for one reason, some for another": (
        sentence(
            *(host(f"{n}.example", 5) for n in range(3)),
            host("d.example", 5, "retry_after", in_flight=0),
            ready_in=30.0,
        ),
        "3 hosts are at their --per-host limit; more --concurrency will not help",
    ),
    "no reason holds for half of the URLs": (
        sentence(
            host("a.example", 5, "delay"),
            host("b.example", 5, "per_host"),
            host("c.example", 5, "backoff"),
            host("d.example", 5, "ratelimit"),
        ),
        "",
    ),
    "one of many hosts is the only one listed": (sentence(host("a.example", 5), queued=1_000, in_flight=3), ""),
    "a retry is the only thing left": (
        sentence(host("a.example", 1, None, in_flight=0), ready_in=2.5),
        "1 URL waits for its next try, the first in 2.5 s",
    ),
    "everything may start at once": (sentence(FREE, ready_in=0.0), ""),
    "the input is slow": (
        sentence(host("a.example", 0), input_read=False),
        "nothing is queued: more URLs must be read or found first",
    ),
    "the last ones, at one host": (sentence(host("a.example", 0)), "the last 2 URLs are in flight at a.example"),
    "the last ones": (sentence(host("a.example", 0), host("b.example", 0)), "the last 4 URLs are in flight"),
    "the last one": (sentence(host("a.example", 0, in_flight=1)), "the last URL is in flight at a.example"),
    "the last ones fill the slots": (sentence(host("a.example", 0), concurrency=2), ""),
    "parked URLs are yet to come": (sentence(host("a.example", 0), parked=3), ""),
    "it is over": (sentence(), ""),
    "it has not begun": (sentence(FREE, in_flight=0), ""),
}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_a_situation_has_its_sentence(situation: str) -> None:
    """Each situation gives the sentence that is true of it, or none."""
    said, expected = SITUATIONS[situation]
    assert said == expected


def test_every_sentence_has_its_past() -> None:
    """Whatever binds can be told when it is over, in other words than while it lasts."""
    for binding in get_args(Binding):
        for count in (1, 3):
            hosts = [host(f"{n}.example", 5, binding) for n in range(count)]
            found = bottleneck(hosts=hosts, concurrency=64, in_flight=2 * count, queued=5 * count)
            assert found is not None
            assert found.kind == binding
            assert found.host == ("0.example:443" if count == 1 else "")
            assert found.past
            assert found.past != found.sentence


def test_a_limit_beside_full_slots_is_not_blamed_alone() -> None:
    """When the run is over: more of one option alone would not have helped, so neither is named alone."""
    view = host("example.com", 9, in_flight=8, limit=8)
    found = bottleneck(hosts=[view], concurrency=8, in_flight=8, queued=9)
    assert found is not None
    assert found.past == (
        "example.com was at its 8 connections and all slots were busy (--per-host and --concurrency together)"
    )


def test_a_port_is_named_where_the_scheme_does_not_imply_it() -> None:
    """Only the ports of http and https go without saying."""
    assert [host_name(f"a.example:{port}") for port in (80, 443, 8443)] == ["a.example", "a.example", "a.example:8443"]


def test_100_percent_means_all() -> None:
    """Rounding never turns nearly all into all."""
    assert [percent(share) for share in (0.004, 0.97, 0.9999, 1.0)] == ["0 %", "97 %", "99 %", "100 %"]


SLOTS = Bottleneck("concurrency", "", "all 64 slots are busy", "all 64 slots were busy")
CPU = Bottleneck("cpu", "", "the CPU binds", "the CPU was the limit")


def test_the_longest_cause_is_the_main_one() -> None:
    """When the run is over, what bound longest is named, with its share of the time."""
    causes = Causes()
    for found, span in ((SLOTS, 4.0), (CPU, 3.0), (SLOTS, 4.0)):
        causes.add(found, span)
    assert causes.main(20.0) == "for 40 % of the time all 64 slots were busy"


def test_what_bound_for_a_moment_is_no_answer() -> None:
    """A cause that bound for less than a third of the time does not explain the run, and none explains nothing."""
    causes = Causes()
    assert causes.main(10.0) == ""
    causes.add(CPU, 3.0)
    assert causes.main(10.0) == ""
    assert causes.main(9.0) == "for 33 % of the time the CPU was the limit"


def test_hosts_are_told_apart() -> None:
    """The limits of two hosts are two causes."""
    causes = Causes()
    for name, span in (("a", 4.0), ("b", 5.0)):
        causes.add(Bottleneck("per_host", name, "", f"{name} was at its limit"), span)
    assert causes.main(10.0) == "for 50 % of the time b was at its limit"


def test_causes_take_fixed_memory() -> None:
    """A run of days that meets a new cause every second keeps the first hundred."""
    causes = Causes()
    for number in range(1_000):
        causes.add(Bottleneck("per_host", str(number), "", f"host {number}"), 1.0)
    causes.add(Bottleneck("per_host", "999", "", "the last"), 1_000_000.0)
    causes.add(Bottleneck("per_host", "7", "", "the seventh"), 1.0)
    assert causes.main(3.0) == "for 67 % of the time the seventh"


def test_the_parser_binds() -> None:
    """Slots and hosts that are full of pages which wait for the parser are no reason to raise their limits."""
    found = bottleneck(hosts=[], concurrency=8, in_flight=8, queued=90, parsing=5)
    assert found is not None
    assert found.kind == "parsing"
    assert found.sentence == "5 pages wait for the parser; more --per-host or --concurrency will not help"
    assert found.past == "the parser was the limit: pages waited for it"
    few = bottleneck(hosts=[], concurrency=8, in_flight=8, queued=90, parsing=1)
    assert few is not None
    assert few.kind == "concurrency"


@pytest.mark.parametrize(
    ("in_flight", "beside"), [(0, "nothing is started"), (7, "beside what is in flight (7) nothing is started")]
)
def test_an_output_that_takes_no_more(in_flight: int, beside: str) -> None:
    """Then nothing is started, whatever the hosts would allow; but a full core is the cause, as it writes too."""
    found = bottleneck(hosts=[BIG], concurrency=8, in_flight=in_flight, queued=90, full=True)
    assert found is not None
    assert found.sentence == f"an output takes records more slowly than they come (the disk, or who reads it): {beside}"
    assert found.binds == "the disk"
    busy = bottleneck(hosts=[BIG], concurrency=8, in_flight=in_flight, queued=90, full=True, cpu=0.97)
    assert busy is not None
    assert busy.binds == "the CPU"


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("per_host", "a host's limit"),
        *(
            (kind, "a host's delay")
            for kind in ("delay", "crawl_delay", "retry_after", "ratelimit", "backoff", "robots")
        ),
        ("rate", "--rate"),
        ("concurrency", "the network"),
        ("tail", "the network"),
        ("parsing", "the parser"),
        ("input", "the input"),
        ("retry", "retries"),
    ],
)
def test_where_it_is(kind: str, word: str) -> None:
    """In a word: the network, a host, the parser, the disk."""
    assert Bottleneck(kind, "", "", "").binds == word
