"""The gate: may this request be made at all, now? Asked at each visit, after politeness has let its host have a turn.

In this order: does anybody still want it, is there a page left (--max-pages), was the host given up, has the URL proved
to be a trap since it was queued, what does its robots.txt say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from crawler.errors import CodedError
from crawler.models import Request
from crawler.politeness.controller import Politeness

if TYPE_CHECKING:
    from crawler.engine.scope import Scope
    from crawler.engine.traps import Traps
    from crawler.robots.policy import Robots, Verdict


class Ruling(NamedTuple):
    """Why the request is not made. Without an error it has to come again when its host has its next turn."""

    error: CodedError | None = None


class Gate:
    """Rules on requests. Without `robots` everybody is welcome.

    `pages` were asked for before this run, `begun` of which have no record yet: those go on. `begin` is told of each
    one more, and fires when that is kept. With None as `pages` it is `begin` that counts them: it may fire with False.

    A robots.txt that cannot be read is asked for again `retries` times. With `names_sitemaps`, `found_sitemaps` is
    called with a request and what the robots.txt of its origin names, once for each origin; it is nothing if there is
    none. Without `obeys` that is all that robots.txt is read for; `obeys_at`, if there is one, is asked that with the
    key of each host. `dry_run` says why a request would be made that is not; "" if it is made all the same.
    """

    def __init__(
        self,
        *,
        politeness: Politeness,
        clock: Callable[[], float],
        robots: Robots | None = None,
        obeys: bool = True,
        obeys_at: Callable[[str], bool] | None = None,
        retries: int = 2,
        max_pages: int | None = None,
        pages: int | None = 0,
        begun: Iterable[int] = (),
        begin: Callable[[Request], Deferred[Any]] | None = None,
        names_sitemaps: bool = False,
        dry_run: Callable[[Request], str] | None = None,
        traps: Traps | None = None,
    ) -> None:
        self._politeness = politeness
        self._clock = clock
        self._robots = robots
        self._everywhere = obeys
        self._obeys_at = obeys_at
        self._retries = retries
        self._max_pages = max_pages
        self._pages = pages
        self._begun = set(begun)
        self._begin = begin
        self._told: dict[int, Verdict] = {}
        self._given_up: set[int] = set()
        self._named: set[str] = set()
        self._dry_run = dry_run
        self._traps = traps
        self._names_sitemaps = names_sitemaps
        self.found_sitemaps: Callable[[Request, tuple[str, ...]], None]  # crawl's

    def check(self, request: Request) -> Ruling | Deferred[Ruling | None] | None:
        """None: go on. The Deferred fails with CancelledError, or CodedError where a job cannot be kept."""
        number = request.id
        if number in self._given_up:
            return self._refused(request, CodedError("interrupted", "it was given up by those who asked for it"))
        if request.ask is not None and request.ask.withheld:
            names = ", ".join(request.ask.withheld)
            return self._refused(
                request, CodedError("credentials_withheld", f"the job keeps no {names}: ask for it anew")
            )
        if self._max_pages is not None and number not in self._begun and self._is_spent:
            return self._refused(request, CodedError("budget_exceeded", f"--max-pages {self._max_pages}"))
        refusal = self._politeness.refusal(request.url.host_key)
        if refusal is not None:
            self._politeness.spared(request.url.host_key, self._clock())
            return Ruling(refusal)
        if self._traps is not None and request.input.parent is not None and not request.redirects:
            trap = self._traps.refusal(request.url)
            if trap is not None:
                return self._refused(request, trap)
        reason = ""
        if self._robots is not None and (self._obeys(request) or self._names_more(request)):
            # What was read for this very request counts, whatever is remembered: so each reading leads somewhere.
            verdict = self._told.pop(number, None) or self._robots.check(request.url)
            if isinstance(verdict, Deferred):
                return verdict.addCallback(self._was_read, request)
            if verdict.later is not None:
                self._politeness.spared(request.url.host_key, self._clock())
                return self._hold(request, verdict.later)
            ruling = self._judge(request, verdict)
            if ruling is not None:
                return ruling
            reason = verdict.reason if self._obeys(request) else ""
        if self._dry_run is not None and (words := self._dry_run(request)):
            return self._refused(request, CodedError("dry_run", f"{words}; {reason}" if reason else words))
        if self._max_pages is not None and number not in self._begun:
            self._begun.add(number)
            if self._pages is not None:
                self._pages += 1
            if self._begin is not None:
                return self._begin(request).addCallback(self._kept, request)
        return None

    @property
    def _is_spent(self) -> bool:
        """Whether no more pages may be begun, as far as that is known here."""
        return self._pages is not None and self._max_pages is not None and self._pages >= self._max_pages

    def _obeys(self, request: Request) -> bool:
        return self._everywhere if self._obeys_at is None else self._obeys_at(request.url.host_key)

    def _names_more(self, request: Request) -> bool:
        return self._names_sitemaps and _origin(request) not in self._named

    def _kept(self, may: bool | None, request: Request) -> Ruling | None:
        """The host's turn begins only now; unless others have begun what there was of pages meanwhile."""
        if may is False:
            self._begun.discard(request.id)
            return self._refused(request, CodedError("budget_exceeded", f"--max-pages {self._max_pages}"))
        now = self._clock()
        self._politeness.host(request.url.host_key, now).asked(now)
        return None

    def has_begun(self, number: int) -> None:
        """This one was asked for before, by somebody else: it goes on, and counts there."""
        self._begun.add(number)

    def is_begun(self, number: int) -> bool:
        return number in self._begun

    def give_up(self, number: int) -> None:
        """Nobody waits for this input any more, which has no record yet."""
        self._given_up.add(number)

    def ended(self, number: int) -> None:
        """An input has its record."""
        if self._given_up:
            self._given_up.discard(number)
        if self._max_pages is None:
            return
        self._begun.discard(number)
        if not self._begun and self._is_spent:
            self._politeness.release(self._clock())  # what is left is not fetched: nothing needs to wait for its turn

    def _was_read(self, verdict: Verdict, request: Request) -> Ruling:
        """The host was asked, for its robots.txt: the request comes again, for that was its turn."""
        now = self._clock()
        host = self._politeness.host(request.url.host_key, now)
        host.asked(now)
        if verdict.later is not None:
            return self._hold(request, verdict.later)
        self._learn(verdict, request)
        return Ruling()

    def _learn(self, verdict: Verdict, request: Request) -> None:
        now = self._clock()
        host = self._politeness.host(request.url.host_key, now)
        if not self._obeys(request):
            self._told[request.id] = verdict
            return
        if self._is_asked_again(verdict):
            # Now, for all who waited for it: each in its own turn would make the pauses one long one.
            host.block(verdict.retry_in, now, "robots")
            return
        self._told[request.id] = verdict
        if verdict.crawl_delay is not None:
            host.crawl_delay(verdict.crawl_delay, now)

    def _hold(self, request: Request, later: Deferred[Verdict]) -> Ruling:
        """Its robots.txt is elsewhere: nothing is asked of the host until that was read in the turn of the other."""
        key = request.url.host_key
        self._politeness.host(key, self._clock()).held = True

        def read(verdict: Verdict | Failure) -> None:
            self._politeness.host(key, self._clock()).held = False
            self._politeness.changed[key] = None
            if isinstance(verdict, Failure):
                verdict.trap(CancelledError)  # the run ends
            else:
                self._learn(verdict, request)

        later.addBoth(read)
        return Ruling()

    def _is_asked_again(self, verdict: Verdict) -> bool:
        """Whether robots.txt could not be read, and may be in a while."""
        if verdict.error is None or verdict.error.code != "robots_unreachable":
            return False
        return verdict.failures <= self._retries and (verdict.cause is None or verdict.cause.transient)

    def _judge(self, request: Request, verdict: Verdict) -> Ruling | None:
        error = verdict.error
        unreachable = error is not None and error.code == "robots_unreachable"
        if self._names_sitemaps and not (unreachable and self._obeys(request)):
            origin = _origin(request)
            if origin not in self._named:
                self._named.add(origin)
                self.found_sitemaps(request, verdict.sitemaps)
        if not self._obeys(request):
            return None
        now = self._clock()
        host = self._politeness.host(request.url.host_key, now)
        if verdict.crawl_delay is not None:
            host.crawl_delay(verdict.crawl_delay, now)
        if error is None:
            return None
        if unreachable:
            if self._is_asked_again(verdict):
                host.block(verdict.retry_in, now, "robots")
                return Ruling()
            # A host that is not there at all is better told so.
            error = verdict.cause or error
        return self._refused(request, error)

    def _refused(self, request: Request, error: CodedError) -> Ruling:
        """The host was not asked: the next of its URLs need not wait for this one."""
        self._politeness.spared(request.url.host_key, self._clock())
        return Ruling(error)


def _origin(request: Request) -> str:
    return request.url.href[: -len(request.url.target)]


def dry_run(scope: Scope | None, request: Request) -> str:
    """Why a request would be made. The seeds of a crawl are: who does not look at them finds no links."""
    if scope is None:
        return "as an input"
    if request.input.parent is None:
        return ""
    return scope.explain(request.url, request.input.depth or 0)
