"""What is accepted into a run: seeds as the feed gives them, and links as pages have them. Each gets its number here.

A seed always comes to a record, also one that is no URL, or that a crawl knows already. A link comes to one if it is
followed; one that is not is counted, with the reason, and with `records_skips` it has a record, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import msgspec
from twisted.internet.defer import Deferred

from crawler.engine.circles import Circles
from crawler.errors import CodedError
from crawler.frontier import Frontier
from crawler.frontier.seen import Seen
from crawler.models import (
    GUESS_SOURCE,
    INDEX_SOURCE,
    LEAF_SOURCE,
    LEAVES,
    REQUISITE_SOURCE,
    ROBOTS,
    WITHIN_SOURCE,
    Ask,
    Findings,
    Input,
    Link,
    Record,
    Request,
    Response,
    Wanted,
    unfetched,
)
from crawler.seeds.feed import Feed
from crawler.seeds.inputs import BadLine, Seed, from_iterable, requested
from crawler.urls import Url, canonical_key, parse

if TYPE_CHECKING:
    from crawler.engine.checking.leaves import Leaves
    from crawler.engine.scope import Scope

READ_SHARE: Final = 256
RECENT: Final = 20_000
_RECENT_SIZE: Final = 4 << 20  # bytes of these
USUAL_SITEMAP: Final = "/sitemap.xml"


class AdmissionRules(msgspec.Struct, frozen=True, kw_only=True):
    """`window` bounds how many seeds are accepted and have no record yet, `asks_size` how many bytes come with them.

    Seeds are asked for with `method` and `ask`; links, sitemaps and WebSockets with GET.
    """

    window: int = 5_000
    asks_size: int = 64 << 20
    method: str = "GET"
    ask: Ask | None = None
    records_skips: bool = False


class Admission:
    """Accepts inputs into the frontier, numbered from `following` on.

    `write` takes the record of an input that is never fetched. `scope` judges links; without one, nothing is followed.
    `admit` is asked before a seed is accepted, and may make it wait. `all_read` hears how many inputs this run has
    when the feed has ended, with those that an earlier one left; `refused` of each input that gets its record here,
    before that is written; `skipped` the code of each link that is not followed. What leaves the scope are `leaves`.
    """

    def __init__(
        self,
        *,
        feed: Feed,
        frontier: Frontier,
        rules: AdmissionRules,
        following: int = 0,
        scope: Scope | None = None,
        admit: Callable[[int], Deferred[None] | None] | None = None,
        all_read: Callable[[int], None] = lambda _: None,
        refused: Callable[[int, BadLine], None] = lambda *_: None,
        leaves: Leaves | None = None,
        skipped: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._feed = feed
        self._frontier = frontier
        self._rules = rules
        self._next = following
        self._scope = scope
        self._admit = admit
        self._all_read = all_read
        self._refused = refused
        self._leaves = leaves
        self._skipped = skipped
        self._ended = 0
        self._seeds_open = 0
        self._asks: dict[int, int] = {}  # seeds that bring something along: how many bytes
        self._asks_size = 0
        self._recent: set[str] = set()
        self._recent_size = 0
        self._skips = Seen()
        self._entered: set[str] = set()  # of the page whose links are accepted: of which leaves a fragment is wanted
        self._circles = Circles()
        self.write: Callable[[Record, int], None]  # crawl's
        self.pending = frontier.counts().pending  # inputs without a record
        self.accept_seed = self._accept_seed  # of somebody's who types it in
        self.more = False  # there may be more to read at once
        self.held: Deferred[None] | None = None  # what the next seed waits for

    @property
    def exhausted(self) -> bool:
        """True when no seed is left."""
        return self._feed.exhausted

    @property
    def accepted(self) -> int:
        """The number of the next input."""
        return self._next

    @property
    def room(self) -> int:
        """How many more seeds may be accepted now."""
        return self._rules.window - self._seeds_open

    @property
    def on_ready(self) -> Callable[[], None]:
        """Called when the feed has something again."""
        return self._feed.on_ready

    @on_ready.setter
    def on_ready(self, call: Callable[[], None]) -> None:
        self._feed.on_ready = call

    def close(self) -> None:
        """Read no further."""
        self._feed.close()

    def explain(self, url: Url, depth: int) -> str:
        """Whether a link to it would be followed, and why; "" where none is."""
        return "" if self._scope is None else self._scope.explain(url, depth)

    def ended(self, source: Input, number: int) -> None:
        """An input has its record."""
        self.pending -= 1
        if self._asks:
            self._asks_size -= self._asks.pop(number, 0)
        self._ended += 1
        if source.parent is None and self._seeds_open:  # of an earlier run's inputs nobody knows how many are seeds
            self._seeds_open -= 1

    def doubt(self) -> None:
        """What was queued lately may not have come to be known."""
        self._recent.clear()

    def recorded(self, urls: Iterable[Url]) -> None:
        """An earlier run has written that these are skipped."""
        for url in urls:
            self._skips.add(canonical_key(url))

    def owe(self, number: int, line: BadLine) -> None:
        """Write the record of an input that an earlier run accepted and refused."""
        self.pending += 1
        if line.input.parent is None:
            self._seeds_open += 1
        self.write(unfetched(line.text, line.input, line.error, line.meta), number)

    def read_on(self, now: float, may_go_on: Callable[[], bool]) -> None:
        """Accept seeds until the window is full or one turn's share is read. Raises what the feed raises."""
        self.more = False
        for _ in range(READ_SHARE):
            if self._seeds_open >= self._rules.window or self.held or self._feed.exhausted or not may_go_on():
                return
            if self._asks_size > self._rules.asks_size:
                return
            if self._admit is not None:
                self.held = self._admit(self._next)
                if self.held is not None:
                    return
            seed = self._feed.take()
            if seed is None:
                if self._feed.exhausted:
                    self._all_read(self.pending + self._ended)
                return
            self._accept_seed(seed, now)
        self.more = True

    def _accept_seed(self, seed: Seed | BadLine, now: float) -> None:
        number = self._next
        self._next += 1
        self.pending += 1
        self._seeds_open += 1
        try:
            if isinstance(seed, BadLine):
                self._refuse(number, seed)
                return
            if seed.input.parent is not None:
                self._seeds_open -= 1  # it ends as a link does
            elif self._scope is not None and seed.input.source not in LEAVES:
                self._scope.add_seed(seed.url)
            request = requested(seed, number, now, self._rules.method, self._rules.ask)
            if self._leaves is not None:
                request = msgspec.structs.replace(request, input=self._leaves.placed(seed.url, seed.input))
            if seed.ask is not None:
                size = self._asks[number] = seed.ask.size
                self._asks_size += size
            if not self._frontier.add(request):
                error = CodedError("duplicate", "the same URL came before")
                meta = None if seed.ask is None else seed.ask.meta
                self._refuse(number, BadLine(seed.written, seed.input, error, meta))
        except BaseException:  # it ends the run: nobody shall wait for the record of what was not taken in
            self._asks_size -= self._asks.pop(number, 0)
            self.pending -= 1
            self._seeds_open -= 1
            raise

    def accept_typed(self, text: str, source: str, now: float) -> CodedError | None:
        """Accept a URL that somebody types in while the run goes on. Gives why not, if it is none."""
        seed = next(iter(from_iterable([text], source)))
        if isinstance(seed, BadLine):
            return seed.error
        self.accept_seed(seed, now)
        if self._feed.exhausted:
            self._all_read(self.pending + self._ended)
        return None

    def saw(self, request: Request, response: Response, findings: Findings, now: float) -> None:
        """A page was read, whose links come next; what it is shown with is queued, wherever that is, each once."""
        if self._scope is None:
            return
        said = None if response.prepared is None else response.prepared.saying
        self._scope.traps.saw(request.url, response.body, said)
        self._entered = findings.entered
        if self._leaves is None:
            self._accept_requisites(request, findings, now, REQUISITE_SOURCE)

    def accept_leaves(self, request: Request, findings: Findings, now: float) -> None:
        """Behind its links, queue what else a page has to be asked for; what is a page itself is asked for as that."""
        if self._leaves is not None and request not in self._leaves:
            self._accept_requisites(request, findings, now, LEAF_SOURCE)

    def accept_links(self, request: Request, links: Iterable[Link], now: float, *, is_index: bool = False) -> None:
        """Queue what a page leads to, each once and if it is in scope. Those of an index are sitemaps."""
        if self._leaves is not None and request in self._leaves:
            return
        source = INDEX_SOURCE if is_index else None
        self._accept(links, request.url.href, (request.input.depth or 0) + 1, now, source, page=request.url)

    def _accept_requisites(self, request: Request, findings: Findings, now: float, source: str) -> None:
        for url in findings.requisites:
            self._accept_beside(url, Input(source, None, request.url.href, (request.input.depth or 0) + 1), now)

    def _accept_beside(self, url: Url, place: Input, now: float) -> None:
        """Queue a URL that may be anywhere. A leaf is asked for with GET where it has to be looked into."""
        if self._leaves is not None:
            place = self._leaves.placed(url, place)
            if place.source == WITHIN_SOURCE and self._frontier.knows(_as_page(url, place, now)):
                return
        method = "HEAD" if place.source in LEAVES and url.href not in self._entered else "GET"
        wanted = Request(self._next, url, url.href, place, now, method)
        if self._scope is not None and (error := self._scope.judge_requisite(url)) is not None:
            self._skip(wanted, error)
        elif self._frontier.add(wanted):
            self._next += 1
            self.pending += 1

    def accept_sitemaps(self, request: Request, references: Iterable[str], now: float) -> None:
        """Queue the sitemaps that the robots.txt of a request's origin names; what is no URL is left out.

        Where it names none, one is looked for where most are.
        """
        sitemaps = []
        source = None
        for reference in references:
            with suppress(CodedError):
                sitemaps.append(parse(reference))
        if not sitemaps:
            source = GUESS_SOURCE
            sitemaps.append(parse(request.url.site + USUAL_SITEMAP))
        robots = request.url.site + ROBOTS
        self._accept(sitemaps, robots, request.input.depth or 0, now, source)

    def refuses_hop(self, request: Request, onward: Request) -> CodedError | Deferred[CodedError | None] | None:
        """Why a redirect is not followed. Where a seed leads is what was meant by it; a crawl fetches each URL once."""
        if self._scope is None:
            return None
        if request.input.parent is None and request.input.source not in LEAVES:
            self._scope.add_seed(onward.url)
        elif (error := self._judge(onward.url, request.input)) is not None:
            return error
        if self._is_page(onward):
            return _elsewhere(onward)
        known = onward
        if self._leaves is not None:  # where it is led decides whether that may be a page
            known = msgspec.structs.replace(onward, input=self._leaves.placed(onward.url, onward.input))
        is_new = self._frontier.leads(known)
        if isinstance(is_new, Deferred):
            return is_new.addCallback(self._refuses, request, onward)
        return self._refuses(is_new, request, onward)

    def _refuses(self, is_new: bool, request: Request, onward: Request) -> CodedError | None:
        is_followed = is_new or _wants_the_answer(request) or self._circles.closes(onward)
        return None if is_followed else _elsewhere(onward)

    def _is_page(self, onward: Request) -> bool:
        """Whether a leaf is led into the scope: it is a page then, which is crawled."""
        if self._leaves is None or not self._leaves.let_in(onward):
            return False
        self._accept([onward.url], onward.input.parent or "", onward.input.depth or 0, onward.accepted, None)
        return True

    def _judge(self, url: Url, place: Input) -> CodedError | None:
        assert self._scope is not None
        if place.source == REQUISITE_SOURCE or self._leaves is not None:
            return self._scope.judge_requisite(url)
        return self._scope.judge(url, place.depth or 0)

    def _accept(
        self,
        links: Iterable[Link],
        parent: str,
        depth: int,
        now: float,
        source: str | None,
        page: Url | None = None,
    ) -> None:
        scope = self._scope
        if scope is None:
            return
        ask: Ask | None
        recent = self._recent
        if len(recent) > RECENT or self._recent_size > _RECENT_SIZE:
            recent.clear()
            self._recent_size = 0
        place: Input | None = None
        for link in links:
            href = link if isinstance(link, str) else link.href
            if href in recent:
                continue
            if isinstance(link, str):
                url, method, ask = parse(link), "GET", None
            elif isinstance(link, Wanted):
                url, method, ask = link
                href = url.href
            else:
                url, method, ask = link, "GET", None
            error = scope.judge(url, depth)
            if place is None:
                place = Input(source, parent=parent, depth=depth)
            request = Request(self._next, url, href, place, now, method, ask=ask)
            if error is None and page is not None:
                error = scope.traps.judge(url, page)
                if error is not None and self._frontier.knows(request):
                    continue
            # Another page may link to it from less deep: what is too deep now is not forgotten.
            if ask is None and (error is None or error.code != "depth_limit"):
                recent.add(href)
                self._recent_size += len(href)
            if self._leaves is not None and self._leaves.take(url, error):
                self._accept_beside(url, Input(LEAF_SOURCE, parent=parent, depth=depth), now)
            elif error is not None:
                self._skip(request, error)
            elif self._frontier.add(request):
                self._next += 1
                self.pending += 1

    def _skip(self, request: Request, error: CodedError) -> None:
        records_skips, for_good = self._rules.records_skips, error.code != "depth_limit"
        if not for_good and self._frontier.knows(request):
            return  # some other way to it was not too deep
        if not (records_skips and for_good) and not self._skips.add(canonical_key(request.url)):
            return
        if not records_skips:
            self._skipped(error.code)
        elif self._frontier.refuse(request, error, for_good=for_good):
            self._next += 1
            self.pending += 1
            meta = None if request.ask is None else request.ask.meta
            self.write(unfetched(request.written, request.input, error, meta), request.id)

    def _refuse(self, number: int, line: BadLine) -> None:
        self._refused(number, line)
        self.write(unfetched(line.text, line.input, line.error, line.meta), number)


def _as_page(url: Url, place: Input, now: float) -> Request:
    """What a link to it would ask for."""
    return Request(0, url, url.href, Input(None, parent=place.parent, depth=place.depth), now)


def _wants_the_answer(request: Request) -> bool:
    """Whether more than a URL was asked for: a login leads to a page that is known, and no less to what comes next."""
    return request.ask is not None or any(hop.method not in {"GET", "HEAD"} for hop in request.redirects)


def _elsewhere(onward: Request) -> CodedError:
    return CodedError("duplicate", f"it redirects to {onward.url.href[:200]}, which has a record of its own")
