"""Where the time of URLs goes, and how fast a host can be at most: sentences with figures. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from crawler.errors import CODES
from crawler.stats.bottleneck import HostLoad, host_name, percent
from crawler.stats.newest import Seen

_CONNECTING: Final = frozenset({"dns", "connect", "tls"})
_WHY: Final = {
    "delay": "--delay",
    "crawl_delay": "the Crawl-delay of its robots.txt",
    "retry_after": "its Retry-After",
    "rate": "--rate or --limit-rate",
    "ratelimit": "its rate limit, which is used up",
    "backoff": "its overload, for which it is slowed down",
    "robots": "its robots.txt, which could not be read",
}


class Phases(NamedTuple):
    """Mean seconds of a URL's last request, over so many `urls`: until it was connected, then until the first byte of
    the answer, then until its end.
    """

    urls: int
    connect: float
    answer: float
    transfer: float

    @property
    def total(self) -> float:
        return self.connect + self.answer + self.transfer


def phases(records: Sequence[Seen]) -> Phases | None:
    """None where nothing was timed."""
    connect = answer = transfer = 0.0
    count = 0
    for seen in records:
        if seen.seconds is None:
            continue
        count += 1
        if seen.connected is None and seen.error is not None and CODES[seen.error].phase in _CONNECTING:
            connect += seen.seconds
            continue
        connected = min(seen.connected or 0.0, seen.seconds)
        first_byte = seen.seconds if seen.first_byte is None else min(seen.first_byte, seen.seconds)
        connect += connected
        answer += max(0.0, first_byte - connected)
        transfer += seen.seconds - max(first_byte, connected)
    return Phases(count, connect / count, answer / count, transfer / count) if count else None


def where_time_goes(records: Sequence[Seen]) -> str:
    """Whether the servers or the network make URLs slow; "" where nothing was timed."""
    of = phases(records)
    if of is None:
        return ""
    network = of.connect + of.transfer
    most, share = ("of the network", network) if network > of.answer else ("of the servers", of.answer)
    urls = "The newest URL took" if of.urls == 1 else f"The newest {of.urls:,} URLs took"
    mean = "" if of.urls == 1 else " each"
    binds = f"; {percent(share / of.total)} of that is the doing {most}" if of.total else ""
    return (
        f"{urls} {_span(of.total)}{mean}: {_span(of.connect)} to connect, {_span(of.answer)} until the first byte, "
        f"{_span(of.transfer)} to receive{binds}."
    )


def at_host(host: HostLoad, records: Sequence[Seen]) -> str:
    """What keeps a host from being asked faster, and how fast it can be at most. `records` are its newest."""
    name = host_name(host.key)
    waiting = f"{host.queued:,} {'URL waits' if host.queued == 1 else 'URLs wait'}"
    if not host.queued:
        return f"{name}: nothing waits" + (f", {host.in_flight:,} in flight." if host.in_flight else ".")
    of = phases(records)
    at_once = "1 connection" if host.limit == 1 else f"{host.limit:,} connections"
    fastest = [] if of is None or not of.total else [host.limit / of.total]
    if host.delay:
        fastest.append(1.0 / host.delay)
    match host.binding:
        case None:
            why = "it may be asked at once: they wait for a free slot (--concurrency)"
        case "per_host":
            why = f"--per-host binds at {at_once}" + ("" if of is None else f" and {_span(of.total)} for each URL")
        case "delay" | "crawl_delay" | "backoff" if host.delay:
            why = f"{_WHY[host.binding]} binds at one request every {_span(host.delay)}"
        case binding:
            why = f"{_WHY.get(binding, binding)} binds"
            fastest = []
    if not fastest:
        return f"{name}: {waiting}; {why}."
    rate = min(fastest)
    at_most = f"{rate:,.3g} URLs/s at most, and {_span(host.queued / rate)} for all of them"
    return f"{name}: {waiting}; {why}; that is {at_most}."


def _span(seconds: float) -> str:
    if seconds < 0.9995:
        return f"{seconds * 1_000:.3g} ms"
    if seconds < 100:
        return f"{seconds:.3g} s"
    minutes = round(seconds / 60)
    return f"{minutes:,} min" if minutes < 100 else f"{minutes / 60:,.1f} h"
