"""What must be true of every run: told while it happens, and looked at when it has ended."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from crawler.errors import StaleConnection
from crawler.models import Record, Request, Response

from .network import Asked, Network, Wire
from .sites import CODES, PRIVATE
from .world import World

SLACK: Final = 1e-6
WATCH: Final = 0.1  # deadlines are looked at so often
PATIENCE: Final = 60.0  # the longest that back-off or a retry waits
CRAWL_DELAY: Final = 30.0


class Broken(AssertionError):  # noqa: N818 - a promise is
    """A promise was not kept."""


class _Host:
    """What an onlooker knows of how one host may be asked."""

    def __init__(self, delay: float) -> None:
        self.active = 0
        self.delay = delay
        self.last_start = float("-inf")
        self.not_before = 0.0


class Watch:
    """Sees what one life does; `broken` is what it saw that must not be."""

    def __init__(self, world: World, options: dict[str, Any], log: Any) -> None:
        self.world = world
        self.broken: list[str] = []
        self.active = 0
        self.fetches = 0
        self.records: dict[int, Record] = {}
        self.typed_records = 0
        self.taken = 0
        self.idle_since = 0.0
        self.most_idle = 0.0
        self._options = options
        self._hosts: dict[str, _Host] = {}
        self._log = log
        self._fetched: dict[str, int] = {}
        self._steps: set[tuple[int, int, int]] = set()

    def host(self, key: str) -> _Host:
        """What is known of this host."""
        host = self._hosts.get(key)
        if host is None:
            host = self._hosts[key] = _Host(self._options["delay"])
        return host

    # Requests, as the crawler starts them.

    def started(self, request: Request, now: float, *, robots: bool) -> None:
        """A request begins."""
        step = (request.id, request.attempt, len(request.redirects))
        if not robots and step in self._steps:
            self.broken.append(f"{request.url.href} is asked for again, as try {request.attempt}")
        self._steps.add(step)
        if not robots:
            self.world.begun.add(request.written)
        if self.world.crawls and not robots:
            self._check_once(request)
        host = self.host(request.url.host_key)
        self.fetches += 1
        self._log("fetch", f"{'robots ' if robots else ''}{request.url.href} try {request.attempt}")
        self._awake(now)
        if now < host.last_start + host.delay - SLACK:
            self.broken.append(
                f"{request.url.href} is asked {now - host.last_start:g} s after the last ({host.delay} s)"
            )
        if now < host.not_before - SLACK:
            self.broken.append(f"{request.url.href} is asked {host.not_before - now:g} s before its host wants to be")
        host.last_start = now
        host.active += 1
        self.active += 1
        if host.active > self._options["per_host"]:
            self.broken.append(f"{host.active} requests at once to {request.url.host_key}")
        if self.active > self._options["concurrency"]:
            self.broken.append(f"{self.active} requests at once")
        path = request.url.target
        if not robots and self._options["robots"] and path.startswith(PRIVATE):
            site = self.world.sites.get(request.url.host)
            if site is not None and site.robots is not None and not _allows_for_once(site):
                self.broken.append(f"{request.url.href} is asked for, which its robots.txt disallows")

    def _check_once(self, request: Request) -> None:
        """In a crawl nothing is asked for by two."""
        if self._fetched.setdefault(request.url.href, request.id) != request.id:
            self.broken.append(f"{request.url.href} is asked for again, for another input")

    def ended(self, request: Request, result: Any, started: float, now: float, *, robots: bool) -> None:
        host = self.host(request.url.host_key)
        host.active -= 1
        self.active -= 1
        self._awake(now)
        options = self._options
        if now - started > options["timeout"] + WATCH + SLACK:
            self.broken.append(f"{request.url.href} took {now - started:g} s")
        if not isinstance(result, Response):
            self._log("cancel", request.url.href)
            return
        error = result.error and result.error.code
        if error == "local_fd_limit" or isinstance(result.error, StaleConnection):  # that was no try
            self._steps.discard((request.id, request.attempt, len(request.redirects)))
        self._log("answer", f"{request.url.href} {result.status} {error or ''}")
        if request.discovered and (result.remote_ip or "").startswith("10."):
            typed = (line.startswith(f"http://{request.url.host}") for line in self.world.inputs)
            if not any(typed):
                self.broken.append(f"a discovered URL leads to {result.remote_ip}")
        self._check_phases(request, result, now - started)
        if robots:
            status = result.status
            failed = error is not None or status is None or status >= 500 or status in {408, 429}
            self.world.robots_failed += failed  # for whichever host: a redirect may have led here from another
            # Without --robots it may be read for its sitemaps, and is not obeyed.
            obeyed = options["robots"] and request.url.target == "/robots.txt"
            if result.status == 200 and error is None and obeyed:
                for line in result.body.decode().splitlines():
                    if line.startswith("Crawl-delay:"):
                        seconds = min(float(line.split(":")[1]), CRAWL_DELAY)
                        host.delay = max(options["delay"], seconds)
                        host.not_before = max(host.not_before, now + host.delay)
            return
        wait = None
        if result.status is not None and result.status >= 400:
            value = result.first("retry-after")
            if value is not None and value.isdigit():
                wait = float(value)
        if result.first("x-ratelimit-remaining") == "0":
            wait = max(wait or 0.0, float(result.first("x-ratelimit-reset") or 0))
        if wait is not None:
            host.not_before = max(host.not_before, now + min(wait, options["retry_after_cap"]))

    def _check_phases(self, request: Request, response: Response, total: float) -> None:
        """No phase takes longer than it may, nor is a deadline said to have passed that has not."""
        options, timings = self._options, response.timings
        limits = {
            "dns_timeout": options["dns_timeout"], "timeout_headers": options["headers_timeout"],
            "connect_timeout": options["connect_timeout"], "timeout_idle": options["idle_timeout"],
            "timeout_total": options["timeout"],
        }  # fmt: skip
        if response.error is not None and response.error.code in limits:
            limit = limits[response.error.code]
            if total < limit:
                self.broken.append(
                    f"{request.url.href}: {response.error.code} after {total:g} s, allowed are {limit:g}"
                )
        names, connected = timings.namelookup, timings.connect
        if names is not None and names > limits["dns_timeout"] + WATCH + SLACK:
            self.broken.append(f"{request.url.href}: {names:g} s for its name")
        if (
            names is not None
            and connected is not None
            and connected - names > limits["connect_timeout"] + WATCH + SLACK
        ):
            self.broken.append(f"{request.url.href}: {connected - names:g} s to connect")

    def _awake(self, now: float) -> None:
        """Something happens; before that nothing did for a while."""
        if not self.active:
            self.passed(now)
        self.idle_since = now

    def passed(self, now: float) -> None:
        """Time has passed."""
        if self.active:
            return
        longest = max(PATIENCE, self._options["retry_after_cap"])
        if self.world.robots_failed:  # then it is asked for again after 60 s, 120 s, ...
            longest = max(longest, PATIENCE * 2 ** (self.world.robots_failed - 1))
        if now - self.idle_since > longest + 5.0:
            self.broken.append(f"nothing has happened for {now - self.idle_since:g} s (allowed: {longest:g})")

    # Connections and requests, as servers see them.

    def connected(self, network: Network, wire: Wire) -> None:
        if wire.key is None:
            return
        count = sum(other.key == wire.key for other in network.open)
        if count > self._options["per_host"]:
            self.broken.append(f"{count} connections to {wire.key}")

    def asked(self, wire: Wire, asked: Asked, now: float) -> None:
        self._log("asked", f"{wire.host.name} #{wire.number} {asked.method} {asked.target}")
        written, when = self.world.written, self.world.elapsed + wire.written_at
        gap = when - written.get(wire.host.key, float("-inf"))
        if gap < self._options["delay"] - SLACK:
            self.broken.append(f"{wire.host.name} gets {asked.target} {gap:g} s after the last request")
        written[wire.host.key] = max(when, written.get(wire.host.key, when))

    # Records.

    def wrote(self, record: Record, number: int) -> None:
        error = record.error and record.error.code
        self._log("record", f"{number} {record.url} {record.outcome} {record.status} {error or ''} {record.attempts}")
        if number in self.records:
            self.broken.append(f"a second record for input {number}: {record.url}")
        self.records[number] = record
        self._check_truth(record)
        if record.input.parent is None:
            self.typed_records += 1

    def took(self, window: int) -> None:
        """An input was read."""
        self.taken += 1
        if self.taken - self.typed_records > window + 1:
            self.broken.append(f"{self.taken - self.typed_records} inputs are read that have no record")

    def _check_truth(self, record: Record) -> None:
        """A record without an error has the page as it is; one with an error says what is wrong with it."""
        world, options = self.world, self._options
        page = world.page(record.final_url or record.url)
        code = record.error and record.error.code
        if code == "internal":
            self.broken.append(f"a bug: {record.error}")
        if code == "http_desync":
            self.broken.append(f"{record.url} gets what is left of another answer: {record.error}")
        if page is None:
            return
        if code is None and record.status == 200 and record.method == "GET" and record.body != page.body:
            self.broken.append(f"{record.url}: {len(record.body)} bytes that are not those of {page.target}")
        # Politeness, robots and limits may keep a page from being asked; what was asked says what the page is like.
        unfair = {"host_unavailable", "budget_exceeded", "robots_unreachable", "robots_denied", "body_too_large"}
        if page.slow > 1.0:
            unfair |= {"timeout_headers", "timeout_idle"}
        if options["max_redirects"] == 0:
            unfair.add(None)  # a bad redirect is an answer like others
        unfair |= {"duplicate", "out_of_scope", "depth_limit", "trap_suspected", "address_blocked", "timeout_total"}
        if (
            world.calm
            and record.method == "GET"
            and page.for_ever
            and code not in CODES[page.fault]
            and code not in unfair
            and not world.job
        ):
            self.broken.append(f"{record.url}: {code}, though its fault is {page.fault}")
        if record.attempts > options["retries"] + 1 and not any(host.line.no_descriptor for host in world.hosts):
            self.broken.append(f"{record.url}: {record.attempts} tries")


def _allows_for_once(site: Any) -> bool:
    """The host has said for once that it has no robots.txt."""
    return "404" in site.robots_seen


def check_quiet(network: Network, crawler: Any, calls: list[str]) -> None:
    """Once a life has ended by itself, nothing is left of it."""
    if calls:
        raise Broken(f"timers are left: {calls}")
    if network.open:
        raise Broken(f"{len(network.open)} connections are left")
    if network.dialling:
        raise Broken(f"{network.dialling} connections are still being made")
    counts = crawler.parts.frontier.counts()
    if counts.leased:
        raise Broken(f"{counts.leased} leases are left")
    crawl = crawler.parts.crawl
    if crawl is not None and (crawl._flights or crawl._slots.tokens != crawl._slots.limit):
        raise Broken(f"{len(crawl._flights)} flights, {crawl._slots.tokens} of {crawl._slots.limit} slots")
    for key, host in crawler.parts.politeness._hosts.items():
        if host.in_flight:
            raise Broken(f"{host.in_flight} requests in flight to {key}")


def check_inputs(world: World, records: list[Record]) -> None:
    """Each input has exactly one record."""
    lines = Counter(record.input.line for record in records if record.input.parent is None)
    expected = Counter(range(1, len(world.inputs) + 1))
    if lines != expected:
        raise Broken(f"records of inputs: missing {sorted(expected - lines)}, too many {sorted(lines - expected)}")


def check_links(world: World, records: list[Record]) -> None:
    """Whatever a page links to has its record too, unless a rule keeps it out; and nothing has one twice."""
    options = world.options
    # What was too deep at first may be found again on a shorter way; then it has a record of its own.
    deep = [record for record in records if record.error is not None and record.error.code == "depth_limit"]
    links = Counter(record.url for record in records if record.input.parent is not None and record not in deep)
    twice = [url for url, count in links.items() if count > 1]
    if twice:
        raise Broken(f"links with two records: {twice}")
    if options["max_pages"] is not None:
        fetched = sum(record.attempts > 0 for record in records)
        begun = len(world.begun)
        if max(fetched, begun) > options["max_pages"]:
            raise Broken(f"{fetched} pages fetched, {begun} asked for, allowed are {options['max_pages']}")
        left_out = [record.url for record in records if record.error and record.error.code == "budget_exceeded"]
        if left_out and begun < options["max_pages"]:
            raise Broken(f"{begun} pages asked for, allowed were {options['max_pages']}, left out {left_out}")
        if world.begun.intersection(left_out):
            raise Broken(f"asked for, and left out: {world.begun.intersection(left_out)}")
        return
    if options["depth"] is not None:
        return
    for record in records:
        if record.error is not None and record.error.code == "duplicate" and record.redirects:
            others = (url for other in records if other is not record for url in _ways(other))
            if record.final_url not in others and not options["robots"]:
                raise Broken(f"{record.url} leads to {record.final_url}, which nobody has fetched")
    known = {url for record in records for url in _ways(record)}
    roots = {_name(url) for record in records if record.input.parent is None for url in _ways(record)}
    for record in records:
        page = world.page(record.final_url or record.url)
        if page is None or record.error is not None or record.status != 200:
            continue
        for link in page.links:
            if world.page(link) is None or link in known:
                continue
            if options["scope"] == "host" and _name(link) not in roots:
                continue
            if options["scope"] == "domain" and not {root for root in roots if _domain(root) == _domain(_name(link))}:
                continue
            if options["robots"] and not options["skipped"]:
                continue  # refused without a request: it has none
            raise Broken(f"{record.url} links to {link}, which has no record")


def _ways(record: Record) -> list[str]:
    ways = [record.url, *(hop.url for hop in record.redirects)]
    return [*ways, record.final_url] if record.final_url else ways


def _name(url: str) -> str:
    return url.removeprefix("http://").partition("/")[0]


def _domain(name: str) -> str:
    return ".".join(name.split(".")[-2:])
