"""What a crawl of so many pages takes: memory and cores of Redis, cores that fetch, names, bandwidth, hosts.

    python tests/bench/sizing.py --pages 1e9 --rate 2000 --delay 2

The figures are those that were measured here (docs/measured.md) and those that others have published; each has its
source. docs/explanation/ten-billion.md holds the tables of this: tests/test_sizing.py keeps the one to the other.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple


class Figure(NamedTuple):
    """A number, where it is from, and the words there: those of ours stand in docs/measured.md."""

    value: float
    what: str
    source: str
    words: str = ""


IRLBOT: Final = "IRLbot, Lee and others, WWW 2008, abstract"
CHAN: Final = "Chan, Crawling a billion web pages in just over 24 hours, 2025"

OURS: Final = "measured here"

FIGURES: Final = {
    "known": Figure(9.4, "bytes of Redis for a known URL", OURS, "4,096,000 36.7 9.40"),
    "queued": Figure(107, "bytes of Redis for a URL that waits, its own", OURS, "107 of them the URL's"),
    "busy": Figure(487 - 107, "bytes of Redis for a host that has something to do", OURS, "487 bytes each"),
    "idle": Figure(111, "bytes of Redis for a host that has nothing to do", OURS, "40 bytes of state: 111 bytes each"),
    "commits": Figure(
        6071, "pages a second with 62 links each, one core of Redis", OURS, "pages of 62 3.9 164.72 6,071"
    ),
    "new": Figure(150_522, "new links a second, one core of Redis", OURS, "new links 300 6.64 150,522"),
    "cpu": Figure(1.22 / 530, "seconds of a core for a page, with a job", OURS, "crawler --job 530 0.88 1.22"),
    "page": Figure(50e6 / 530, "bytes of that page, unpacked", OURS, "530 pages, 50 MB"),
    "links": Figure(394e9 / 6.3e9, "links on a page", IRLBOT, "394 billion links"),
    "unique": Figure(41e9 / 6.3e9, "of these, URLs that no page before had", IRLBOT, "41 billion unique nodes"),
    "hosts": Figure(117e6 / 6.3e9, "hosts for each page", IRLBOT, "117 million hosts"),
    "wire": Figure(319e6 / 8 / 1789, "bytes on the wire for a page, in 2007", IRLBOT, "319 mb/s (1,789 pages/s)"),
    "size": Figure(242e3, "bytes of a page, unpacked, in 2025", CHAN, "242 kB"),
}
PACKED: Final = 5
"""How much smaller HTML is on the wire: a round number."""


class Crawl(NamedTuple):
    """What is asked for: `rate` is pages a second, `delay` seconds between two requests to a host, `waiting` how many
    URLs of a host wait in Redis (the rest of a long queue is in files), `nodes` how many machines fetch.
    """

    pages: float = 10e9
    rate: float = 1789.0
    delay: float = 1.0
    waiting: float = 20.0
    nodes: int = 12


PUBLISHED: Final = {
    "at IRLbot's rate": Crawl(rate=1789.0, nodes=3),
    "in 30 days": Crawl(rate=10e9 / 30 / 86_400, nodes=6),
    "at the rate of 1 G in 25.5 h": Crawl(rate=1.005e9 / 25.5 / 3600, nodes=12),
}


def of(name: str) -> float:
    return FIGURES[name].value


def hosts(crawl: Crawl) -> float:
    return crawl.pages * of("hosts")


def busy(crawl: Crawl) -> float:
    """Hosts with something to do at a time: as many as the rate needs, and a tenth of all besides."""
    return max(crawl.rate * crawl.delay, hosts(crawl) / 10)


def memory(crawl: Crawl, known: float) -> float:
    return known * of("known") + busy(crawl) * (of("busy") + crawl.waiting * of("queued")) + hosts(crawl) * of("idle")


def redis_cores(crawl: Crawl) -> float:
    """A page with 62 links of which two are new was measured; more that are new cost more."""
    return crawl.rate / of("commits") + max(0.0, of("unique") - 2) * crawl.rate / of("new")


def fetch_cores(crawl: Crawl, size: float) -> float:
    """By the bytes of the page: what is done for one is mostly reading it."""
    return crawl.rate * of("cpu") * size / of("page")


def people(number: float) -> str:
    for unit, scale in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= scale:
            return f"{number / scale:.3g} {unit}"
    return f"{number:.3g}" if number < 10 else f"{number:.0f}"


ROWS: Final[Mapping[str, Callable[[Crawl], str]]] = {
    "pages a second": lambda crawl: f"{crawl.rate:,.0f}",
    "days": lambda crawl: f"{crawl.pages / crawl.rate / 86_400:.1f}",
    "machines that fetch": lambda crawl: str(crawl.nodes),
    "pages a second, each machine": lambda crawl: f"{crawl.rate / crawl.nodes:,.0f}",
    "links a second": lambda crawl: people(crawl.rate * of("links")),
    "Redis: cores": lambda crawl: f"{redis_cores(crawl):.1f}",
    "Redis: known URLs, if each is fetched": lambda crawl: f"{people(crawl.pages * of('known'))}B",
    "Redis: in all then": lambda crawl: f"{people(memory(crawl, crawl.pages))}B",
    "Redis: in all, if all that pages link to is known": (
        lambda crawl: f"{people(memory(crawl, crawl.pages * of('unique')))}B"
    ),
    "fetching: cores, for pages of 94 kB": lambda crawl: f"{fetch_cores(crawl, of('page')):.0f}",
    "fetching: cores, for pages of 242 kB": lambda crawl: f"{fetch_cores(crawl, of('size')):.0f}",
    "on the wire, pages of 2007": lambda crawl: f"{people(crawl.rate * of('wire') * 8)}bit/s",
    "on the wire, pages of 2025": lambda crawl: f"{people(crawl.rate * of('size') / PACKED * 8)}bit/s",
    "records, 1 kB each": lambda crawl: f"{people(crawl.pages * 1e3)}B",
    "hosts met": lambda crawl: people(hosts(crawl)),
    "names a second, each machine, at most": lambda crawl: people(crawl.rate / crawl.nodes),
    "names a second, each machine, at least": (
        lambda crawl: people(hosts(crawl) / (crawl.pages / crawl.rate) / crawl.nodes)
    ),
    "hosts that are asked at a time, 1 s apart": lambda crawl: people(crawl.rate),
    "hosts that are asked at a time, 30 s apart": lambda crawl: people(crawl.rate * 30),
}


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "".join(f"| {' | '.join(line)} |\n" for line in (head, ["---"] * len(head), *rows))


def figures_table() -> str:
    return table(
        ("figure", "", "from"),
        [
            (figure.what, f"{figure.value:,.4g}" if figure.value < 1e3 else f"{figure.value:,.0f}", figure.source)
            for figure in FIGURES.values()
        ],
    )


def sizing_table(crawls: Mapping[str, Crawl] = PUBLISHED) -> str:
    return table(["10 G pages", *crawls], [[what, *map(how, crawls.values())] for what, how in ROWS.items()])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=float, default=10e9, help="pages in all (default: 10e9)")
    parser.add_argument("--rate", type=float, default=1789.0, help="pages a second (default: 1789)")
    parser.add_argument("--delay", type=float, default=1.0, help="seconds between requests to a host (default: 1)")
    parser.add_argument("--waiting", type=float, default=20.0, help="URLs of a host in Redis (default: 20)")
    parser.add_argument("--nodes", type=int, default=12, help="machines that fetch (default: 12)")
    options = parser.parse_args()
    asked = Crawl(options.pages, options.rate, options.delay, options.waiting, options.nodes)
    for what, how in ROWS.items():
        print(f"{what:<52}{how(asked):>14}")


if __name__ == "__main__":
    main()
