"""A whole world made of one integer: hosts and their pages, the crawler's options and inputs, and what interrupts it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from .network import NEVER, Answer, Host, Line
from .sites import FAULTS, PRIVATE, Page, Site, make_page, make_sitemap

WALL: Final = 1_750_000_000.0  # 2025-06-15T15:06:40Z
OPTIONS: Final[dict[str, Any]] = {
    "concurrency": 8, "per_host": 2, "delay": 0.0, "adaptive": True, "retries": 2, "retry_after_cap": 120.0,
    "timeout": 8.0, "dns_timeout": 5.0, "connect_timeout": 4.0, "headers_timeout": 5.0, "idle_timeout": 5.0,
    "max_redirects": 10, "max_size": 10 << 20, "robots": False, "no_headers": True,
}  # fmt: skip
BAD_LINES: Final = ("not a URL", "http://", "ftp://a.example/", "http://a.example:99999/", "http://[::1/")


WINDOWS: Final = {
    "list": 5_000, "crawl": 20_000, "frontier": 30_000, "events": 256, "waiting": 10_000, "ordered": 10_000,
}  # fmt: skip


_NO_TLS: Final = Answer(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", end="close")


class End(NamedTuple):
    """How a life of the crawler is ended from outside: after so many of the reactor's calls."""

    way: str  # crash, power, full (of the disk), drain, abort, hurry (drain, then abort)
    calls: int


@dataclass
class World:
    seed: int | str
    options: dict[str, Any]
    inputs: list[str]
    sites: dict[str, Site]
    hosts: list[Host]
    job: bool = False
    ends: list[End] = field(default_factory=list)
    sink: str = "quick"  # slow
    outputs: tuple[str, ...] = ("out.jsonl",)
    windows: dict[str, int] = field(default_factory=lambda: dict(WINDOWS))
    calm: bool = False  # nothing is lost on the way, all names are known
    elapsed: float = 0.0  # before this life, on the clock on the wall
    written: dict[str, float] = field(default_factory=dict)  # when each host was asked last, in whatever life
    robots_failed: int = 0  # how often a robots.txt could not be had: the pause for that outlives a run
    begun: set[str] = field(default_factory=set)  # the inputs that were asked for

    @property
    def crawls(self) -> bool:
        return bool(self.options.get("recursive"))

    @property
    def name(self) -> str:
        mode = "crawl" if self.crawls else "list"
        return f"{mode}+job" if self.job else mode

    def rng(self, purpose: str) -> random.Random:
        return random.Random(f"{self.seed} {purpose}")

    def options_of(self, life: int) -> dict[str, Any]:
        """What a run that goes on may have other than the one before."""
        options = dict(self.options)
        if life > 1:
            rng = self.rng(f"options {life}")
            options["concurrency"] = rng.choice((1, 3, options["concurrency"]))
            options["per_host"] = rng.choice((1, 3, options["per_host"]))
            options["delay"] = rng.choice((0.0, 0.5, options["delay"], options["delay"]))
            options["timeout"] = rng.choice((4.0, options["timeout"]))
        return options

    def wall(self, now: float) -> float:
        return WALL + self.elapsed + now

    def page(self, url: str) -> Page | None:
        """The page at this URL."""
        name, slash, path = url.removeprefix("http://").partition("/")
        site = self.sites.get(name.removesuffix(":80"))
        return None if site is None else site.pages.get(slash + path)


def make_world(seed: int | str, *, crawls: bool | None = None, hosts: int | None = None) -> World:
    """The world of this seed; what is said by name is not left to it."""
    rng = random.Random(seed)
    job = rng.random() < 0.4
    drawn = rng.random() < 0.5
    crawls = drawn if crawls is None else crawls
    drawn_hosts = rng.choice((1, 1, 2, 2, 3, 4))
    names = [f"{letter}.example" for letter in "abcdefgh"[: hosts or drawn_hosts]]
    calm = rng.random() < 0.3
    faulty = rng.choice((0.0, 0.1, 0.3, 0.6))
    world = World(seed, _options(rng, crawls=crawls), [], {}, [], job=job, calm=calm)
    targets = _targets(rng, names)
    for number, name in enumerate(names):
        address = f"93.184.216.{10 * number + 1}" if number != 3 else "10.0.0.7"
        world.sites[name] = site = _site(rng, world, name, targets, faulty)
        world.hosts.append(_host(rng, site, address, calm=calm))
    world.hosts.append(_tls_host(rng))
    world.inputs = _inputs(rng, targets, crawls=crawls)
    world.sink = rng.choice(("quick", "quick", "quick", "slow"))
    world.windows = {
        "list": rng.choice((1, 2, 7, 5_000)), "crawl": rng.choice((3, 20_000)), "frontier": rng.choice((1, 3, 30_000)),
        "events": rng.choice((1, 5, 256)), "waiting": rng.choice((6, 10_000)), "ordered": rng.choice((1, 4, 10_000)),
    }  # fmt: skip
    world.outputs += rng.choice(((), (), ("out.csv",), ("out.jsonl.gz",)))
    ways: tuple[str, ...] = ("full", "drain", "abort", "hurry")
    if job:
        ways += ("crash", "crash", "crash", "crash", "power")
    count = rng.choice((1, 1, 2, 3, 5)) if job else rng.choice((0, 0, 1))
    world.ends = [End(rng.choice(ways), rng.choice((rng.randint(1, 60), rng.randint(1, 600)))) for _ in range(count)]
    return world


def _options(rng: random.Random, *, crawls: bool) -> dict[str, Any]:
    options: dict[str, Any] = {
        "concurrency": rng.choice((1, 2, 3, 8, 16)),
        "per_host": rng.choice((1, 1, 2, 4)),
        "delay": rng.choice((0.0, 0.0, 0.05, 0.25, 1.0)),
        "adaptive": rng.random() < 0.7,
        "retries": rng.choice((0, 1, 2, 3)),
        "retry_after_cap": rng.choice((1.0, 5.0, 120.0)),
        "timeout": rng.choice((3.0, 8.0, 60.0)),
        "dns_timeout": rng.choice((1.0, 5.0)),
        "connect_timeout": rng.choice((1.0, 4.0)),
        "headers_timeout": rng.choice((2.0, 5.0)),
        "idle_timeout": rng.choice((1.5, 5.0)),
        "max_redirects": rng.choice((0, 2, 10)),
        "max_size": rng.choice((500, *[10 << 20] * 5)),
        "robots": rng.random() < (0.8 if crawls else 0.2),
        "no_headers": True,
    }
    if crawls:
        options |= {
            "recursive": True,
            "depth": rng.choice((None, None, None, 1, 2)),
            "max_pages": rng.choice((None, None, None, 3, 10)),
            "scope": rng.choice(("host", "host", "any", "domain")),
            "skipped": rng.random() < 0.3,
            "sitemaps": rng.random() < 0.3,
        }
    else:
        options["ordered"] = rng.random() < 0.3
        options["method"] = rng.choice(("GET", "GET", "GET", "GET", "HEAD"))
    return options


def _targets(rng: random.Random, names: list[str]) -> dict[str, list[str]]:
    """Which pages there are, by host."""
    targets = {}
    for name in names:
        count = rng.randint(2, 9)
        targets[name] = ["/", *(f"{PRIVATE if rng.random() < 0.15 else '/'}p{number}" for number in range(count))]
    return targets


def _url(rng: random.Random, targets: dict[str, list[str]]) -> str:
    name = rng.choice(list(targets))
    return f"http://{name}{rng.choice(targets[name])}"


def _site(rng: random.Random, world: World, name: str, targets: dict[str, list[str]], faulty: float) -> Site:
    pages = {}
    here = {name: targets[name]}
    for target in targets[name]:
        links = [_url(rng, here if rng.random() < 0.7 else targets) for _ in range(rng.randint(0, 5))]
        if rng.random() < 0.05:
            links.append(rng.choice(("http://[bad", "mailto:a@b", "http://nowhere.invalid/", "/missing", "#top")))
        page = pages[target] = make_page(rng, name, target, links, faulty)
        if rng.random() < 0.15 and not page.fault:
            where = here if rng.random() < 0.6 else targets
            page.location = rng.choice((_url(rng, where), rng.choice(where.get(name, ["/"])), target))
    site = Site(name, pages, world.wall)
    pages["/rules"] = Page("/rules", body=f"User-agent: *\nDisallow: {PRIVATE}\n".encode())
    if rng.random() < 0.6:
        delay = rng.choice((None, None, 0.5, 2, 40))
        site.robots = f"User-agent: *\nDisallow: {PRIVATE}\n" + (f"Crawl-delay: {delay}\n" if delay else "")
        if rng.random() < 0.4:
            site.robots += f"Sitemap: http://{name}/sitemap.xml\n"
            pages["/sitemap.xml"] = make_sitemap(name, targets[name])
    if site.robots is not None and rng.random() < 0.15:
        site.robots_location = rng.choice((f"http://{rng.choice(list(targets))}/rules", "/rules"))
    if rng.random() < 0.2:
        kinds = ("503", "500", "silent", "reset", "cut_close", "empty", "429", "404", "not_http", "bad_gzip")
        site.robots_faults = [rng.choice([k for k in kinds if k in FAULTS]) for _ in range(rng.randint(1, 2))]
        site.robots_for_ever = rng.random() < 0.2
    return site


def _host(rng: random.Random, site: Site, address: str, *, calm: bool) -> Host:
    line = Line(
        latency=rng.choice((0.0, 0.001, 0.02, 0.3)),
        bandwidth=rng.choice((NEVER, 1e6, 3_000.0)),
        cuts=rng.choice(("whole", "few", "few", "every")),
        keeps=rng.choice((0.05, 1.0, 30.0)),
        requests=rng.choice((1, 3, 1_000)),
    )
    host = Host(site.name, [address], site.answer, line)
    if calm:
        line.keeps, line.bandwidth = 30.0, NEVER
        return host
    if rng.random() < 0.5:
        chances = (0.0, 0.0, 0.03, 0.2)
        line.refused, line.blackhole, line.reset_on_accept, line.lost, line.chatty = rng.choices(chances, k=5)
        line.no_descriptor = rng.choice((0.0, 0.0, 0.0, 0.1))
        if rng.random() < 0.05:
            line.blackhole = 1.0
    if rng.random() < 0.15:
        host.dns = [rng.choice(("nxdomain", "nodata", "servfail", "hang")) for _ in range(rng.randint(1, 3))]
        host.dns_for_ever = rng.random() < 0.2
    if rng.random() < 0.2:
        more = [address.rpartition(".")[0] + f".{200 + n}" for n in range(rng.randint(1, 3))]
        host.addresses = rng.sample([address, *more], len(more) + 1)
        host.dead = {each: rng.choice(("refused", "blackhole", "unreachable")) for each in more}
    return host


def _tls_host(rng: random.Random) -> Host:
    """Of TLS there is only what goes wrong before a request can be made."""
    first = rng.choice((Answer(b"", end="silence"), Answer(b"", end="close"), Answer(b"", end="reset"), _NO_TLS))
    return Host("tls.example", ["93.184.216.99"], lambda *_: first, Line(), port=443, raw=True)


def _inputs(rng: random.Random, targets: dict[str, list[str]], *, crawls: bool) -> list[str]:
    inputs = [_url(rng, targets) for _ in range(rng.randint(1, 3) if crawls else rng.randint(1, 25))]
    for _ in range(rng.choice((0, 0, 1, 2))):
        inputs.insert(rng.randint(0, len(inputs)), rng.choice(BAD_LINES))
    if rng.random() < 0.2:
        inputs.append("http://nowhere.invalid/x")
    if rng.random() < 0.3:
        inputs.append(rng.choice(inputs))
    if rng.random() < 0.06:
        inputs.insert(rng.randint(0, len(inputs)), "https://tls.example/")
    return inputs
