"""pace.py: where the time of URLs goes, and what a host can give at most."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from crawler.frontier import HostView
from crawler.models import ErrorInfo, Input, Record
from crawler.politeness.host import Binding
from crawler.stats.newest import Newest, Seen
from crawler.stats.pace import at_host, where_time_goes


def seen(*times: tuple[float | None, float | None, float | None], error: str | None = None) -> list[Seen]:
    """Records by when they were connected, got a first byte, and were over."""
    newest = Newest(lambda: 0.0)
    info: Any = None if error is None else ErrorInfo(error, "", True, "")
    for connect, first_byte, total in times:
        newest.add(
            Record(
                url="http://a.example/", input=Input(), outcome="ok", error=info,
                time_connect=connect, time_starttransfer=first_byte, time_total=total,
            )
        )  # fmt: skip
    return newest.all()


@pytest.mark.parametrize(
    ("records", "words"),
    [
        (seen(), ""),
        (seen((None, None, None)), ""),
        (
            seen((0.1, 0.4, 0.5), (None, 0.2, 0.3)),
            ("The newest 2 URLs took 400 ms each: 50 ms to connect, 250 ms until the first byte, 100 ms to receive; "
            "62 % of that is the doing of the servers."),
        ),
        (
            seen((0.1, 0.2, 2.0)),
            ("The newest URL took 2 s: 100 ms to connect, 100 ms until the first byte, 1.8 s to receive; "
            "95 % of that is the doing of the network."),
        ),
        (  # it was never connected
            seen((None, None, 10.0), error="connect_timeout"),
            ("The newest URL took 10 s: 10 s to connect, 0 ms until the first byte, 0 ms to receive; "
            "100 % of that is the doing of the network."),
        ),
        (  # it was, and no answer came
            seen((0.1, None, 10.0), error="headers_timeout"),
            ("The newest URL took 10 s: 100 ms to connect, 9.9 s until the first byte, 0 ms to receive; "
            "99 % of that is the doing of the servers."),
        ),
        (seen((0.0, 0.0, 0.0)), "The newest URL took 0 ms: 0 ms to connect, 0 ms until the first byte, 0 ms to receive."),
    ],
)  # fmt: skip
def test_where_time_goes(records: list[Seen], words: str) -> None:
    """The servers answer slowly, or the network connects and carries slowly: the figures say which."""
    assert where_time_goes(records) == words


def host(queued: int, binding: Binding | None, *, in_flight: int = 0, limit: int = 2, delay: float = 0.0) -> HostView:
    return HostView("a.example:80", queued, in_flight, limit, delay, binding)


QUARTER = seen((0.0, 0.2, 0.25))


@pytest.mark.parametrize(
    ("view", "records", "words"),
    [
        (host(0, None), [], "a.example: nothing waits."),
        (host(0, None, in_flight=1), [], "a.example: nothing waits, 1 in flight."),
        (
            host(80, "per_host", in_flight=2),
            QUARTER,
            (
                "a.example: 80 URLs wait; --per-host binds at 2 connections and 250 ms for each URL; "
                "that is 8 URLs/s at most, and 10 s for all of them."
            ),
        ),
        (host(1, "per_host", limit=1), [], "a.example: 1 URL waits; --per-host binds at 1 connection."),
        (
            host(60, "crawl_delay", delay=2.0),
            QUARTER,
            (
                "a.example: 60 URLs wait; the Crawl-delay of its robots.txt binds at one request every 2 s; "
                "that is 0.5 URLs/s at most, and 2 min for all of them."
            ),
        ),
        (host(3, "retry_after"), QUARTER, "a.example: 3 URLs wait; its Retry-After binds."),
        (
            host(30_000, "delay", delay=1.0, limit=1),
            seen((0.0, 1.5, 4.0)),  # one connection is slower than the delay
            (
                "a.example: 30,000 URLs wait; --delay binds at one request every 1 s; "
                "that is 0.25 URLs/s at most, and 33.3 h for all of them."
            ),
        ),
        (
            host(8, None),
            QUARTER,
            (
                "a.example: 8 URLs wait; it may be asked at once: they wait for a free slot (--concurrency); "
                "that is 8 URLs/s at most, and 1 s for all of them."
            ),
        ),
    ],
)
def test_at_a_host(view: HostView, records: list[Seen], words: str) -> None:
    """What binds, with its figure; and where that is known how fast the host can be, and how long the rest takes."""
    assert at_host(view, records) == words


def test_every_binding_has_words() -> None:
    """None is shown by its name in the program."""
    for binding in get_args(Binding):
        assert "_" not in at_host(host(1, binding), [])
