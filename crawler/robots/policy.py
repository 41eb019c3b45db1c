"""Robots: may this URL be fetched, as the robots.txt of its origin says? RFC 9309 section 2.3 and 2.4.

One fetch of robots.txt for all who ask meanwhile, and its rules are known for a day. Nothing that a server answers
raises here: what cannot be read gives a verdict, too.

- 2xx: its rules, as far as any can be made out, in the first 500 KiB.
- 4xx, more than five redirects, a redirect to nowhere: there is none, everything is allowed.
- 408, 429, 5xx, no whole answer: `robots_unreachable` for all of the origin, unless rules from before are still known:
  those go on to hold (section 2.4). It is asked again after a minute (or 2 s, when there was no answer at all), then
  twice that, four times, to at most an hour.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from functools import partial
from typing import Any, Final

import msgspec
from twisted.internet.defer import CancelledError, Deferred, inlineCallbacks
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Cooperator, TaskStopped
from twisted.logger import Logger
from twisted.python.failure import Failure

from crawler.errors import CodedError, StaleConnection
from crawler.fetch.redirect import next_hop
from crawler.models import Input, Request, Response
from crawler.robots.match import Rule
from crawler.robots.rules import Rules, of_rules, parse, read
from crawler.urls import Url, join
from crawler.urls import parse as parse_url

LIFETIME: Final = 86_400.0
FIRST_PAUSE: Final = 60.0
FIRST_PAUSE_OFFLINE: Final = 2.0  # there was no answer of HTTP at all: that may be over soon, or is for good
LONGEST_PAUSE: Final = 3_600.0
MAX_REDIRECTS: Final = 5
UNAUTHORIZED: Final = 401
MAX_ORIGINS: Final = 10_000
MAX_SIZE: Final = 64 << 20
_ORIGIN_SIZE: Final = 2_000
_MOST_CARRIED: Final = 20_000  # bytes of memory: about 40 lines
_AT_ONCE: Final = 1 << 14  # bytes that are read in a few milliseconds
# Google, too, takes 429 for "later": who asks too often does not get everything for it. 408 says nothing of robots.txt:
# a server that closes an idle connection may send it just as the request leaves.
_LATER: Final = frozenset({408, 429})


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What robots.txt says of one URL.

    `error` is None when the URL may be fetched, else `robots_denied`, which names the line, or `robots_unreachable`;
    then robots.txt is asked again in `retry_in` seconds, after `failures` times in a row without success, and `cause`
    is what the connection failed with, if it did. `reason` says
    in words why the URL is allowed. `rule` is the line that decided, if one did. `crawl_delay` is seconds from request
    to request, `sitemaps` are absolute URLs; both belong to the origin.

    `later` says that nothing is known yet, for robots.txt is elsewhere and has to wait for its turn there. It fires
    with the verdict, or fails with CancelledError; meanwhile nothing should be asked of the origin.
    """

    error: CodedError | None = None
    reason: str = ""
    rule: Rule | None = None
    crawl_delay: float | None = None
    sitemaps: tuple[str, ...] = ()
    retry_in: float = 0.0
    failures: int = 0
    cause: CodedError | None = None
    later: Deferred[Verdict] | None = None

    @property
    def allowed(self) -> bool:
        return self.error is None


class Carried(msgspec.Struct, frozen=True, array_like=True):
    """What the robots.txt of an origin said, for `left` more seconds. `lines` are their number, whether they allow, and
    the path.
    """

    origin: str
    left: float
    source: str
    note: str
    sitemaps: tuple[str, ...]
    crawl_delay: float | None
    lines: list[tuple[int, bool, str]]


class Robots:
    """Knows the rules of up to `max_origins` origins, in about `max_size` bytes; the longest unasked go first.

    `fetch` gets one URL as it is, following no redirect: at once, in the turn of its host that who asks has taken.
    `send` does in a turn of its own, which may be much later: so are redirects followed, and so is asked again, over a
    `fresh` connection, what has met a stale one. Both should give up beyond 512 KiB: a body that was cut there
    (`body_too_large`) is as good as a whole one. `token` is our product token (see `rules.product_token`).
    `challenged` says whether a request that got 401 is worth sending again, after so many times.
    """

    def __init__(
        self,
        fetch: Callable[[Url], Deferred[Response]],
        *,
        send: Callable[[Request, bool], Deferred[Response]],
        clock: IReactorTime,
        token: str,
        challenged: Callable[[Request, Response, int], bool] = lambda *_: False,
        max_origins: int = MAX_ORIGINS,
        max_size: int = MAX_SIZE,
    ) -> None:
        self._fetch = fetch
        self._send = send
        self._challenged = challenged
        self._clock = clock
        self._token = token
        self._max_origins = max_origins
        self._max_size = max_size
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._size = 0
        self._asking: dict[str, _Asking] = {}
        # A step in each turn of the reactor, however many there are to read.
        self._readings = Cooperator(lambda: lambda: True, lambda step: clock.callLater(0, step))
        self._log = Logger()

    def check(self, url: Url) -> Verdict | Deferred[Verdict]:
        """The verdict on this URL: at once when its robots.txt is known, or is to come `later`; else when it was read.

        The Deferred never fails but by CancelledError. When all who wait for one robots.txt have cancelled, its fetch
        is cancelled, too.
        """
        target = url.target
        origin = url.site if url.host[-1] != "." else _without_root_dot(url)
        known = self._known.get(origin)
        if known is not None:
            now = self._clock.seconds()
            if now < known.expires:
                self._known.move_to_end(origin)
                return known.judge(target, now)
        return self._ask(origin, target)

    def summary(self, host: str) -> str:
        """What the robots.txt of a host, by its key, came to, in a few words; "" when nobody has asked for it."""
        name, _, port = host.rpartition(":")
        scheme, default = ("https", "443") if port == "443" else ("http", "80")
        known = self._known.get(f"{scheme}://{name}" if port == default else f"{scheme}://{host}")
        if known is None and port not in {"80", "443"}:
            known = self._known.get(f"https://{host}")
        return "" if known is None else known.summary

    def carried(self, host: str) -> list[Carried]:
        """What is known of a host, by its key, for who asks it next; what is too long is not, nor what failed."""
        found = []
        name, _, port = host.rpartition(":")
        for scheme, default in (("http", "80"), ("https", "443")):
            origin = f"{scheme}://{name}" if port == default else f"{scheme}://{host}"
            known = self._known.get(origin)
            rules = None if known is None else known.answer.rules
            if known is None or rules is None or rules.few is None or known.failures or rules.size > _MOST_CARRIED:
                continue
            answer = known.answer
            lines = [(rule.line, rule.allow, rule.path) for rule in rules.few]
            left = known.expires - self._clock.seconds()
            found.append(Carried(origin, left, answer.source, answer.note, answer.sitemaps, rules.crawl_delay, lines))
        return found

    def carry(self, carried: Iterable[Carried]) -> None:
        """Know what somebody else has read, unless more is known here."""
        now = self._clock.seconds()
        for of in carried:
            left = min(of.left, LIFETIME)
            if left <= 0 or of.origin in self._known or of.origin in self._asking:
                continue
            rules = of_rules((Rule(*line) for line in of.lines), of.crawl_delay, of.sitemaps)
            answer = _Answer(rules, of.source, of.note, of.sitemaps)
            known = self._known[of.origin] = _Known(answer, 0, "", now + left)
            self._size += known.size

    def explain(self, url: Url) -> str:
        """What the robots.txt of a URL's origin says of it, as far as that is known; nobody is asked."""
        origin = url.site if url.host[-1] != "." else _without_root_dot(url)
        known = self._known.get(origin)
        if known is None:
            return "it is being asked for" if origin in self._asking else "nobody has asked for it yet"
        verdict = known.judge(url.target, self._clock.seconds())
        return f"allowed: {verdict.reason}" if verdict.error is None else str(verdict.error)

    def _ask(self, origin: str, target: str) -> Verdict | Deferred[Verdict]:
        asking = self._asking.get(origin)
        if asking is None:
            asking = self._asking[origin] = _Asking()
        waiter = self._waiter(origin, asking, target)
        if asking.elsewhere:
            return Verdict(later=waiter)
        if asking.reading is None:
            asking.reading = self._read(parse_url(f"{origin}/robots.txt"), asking)
            asking.reading.addBoth(self._was_read, origin, asking)
        return waiter

    def _waiter(self, origin: str, asking: _Asking, target: str) -> Deferred[Verdict]:
        waiter: Deferred[Verdict] = Deferred(partial(self._leave, origin, asking))
        asking.waiters[waiter] = target
        return waiter

    def _goes_on_elsewhere(self, origin: str, asking: _Asking) -> None:
        """Keep nobody waiting for the turn of another host: that may be long in coming."""
        if asking.elsewhere:
            return
        asking.elsewhere = True
        waiting, asking.waiters = asking.waiters, {}
        later = [(waiter, Verdict(later=self._waiter(origin, asking, target))) for waiter, target in waiting.items()]
        for waiter, verdict in later:
            if not waiter.called:
                waiter.callback(verdict)

    def _leave(self, origin: str, asking: _Asking, waiter: Deferred[Verdict]) -> None:
        asking.waiters.pop(waiter, None)
        if not asking.waiters and asking.reading is not None and self._asking.get(origin) is asking:
            # First forgotten, then cancelled: who asks from now on starts anew.
            del self._asking[origin]
            asking.reading.cancel()

    def _was_read(self, result: _Answer | Failure, origin: str, asking: _Asking) -> None:
        if self._asking.get(origin) is asking:
            del self._asking[origin]
        waiters = asking.waiters
        if isinstance(result, Failure):
            while waiters:
                waiters.popitem()[0].errback(result)
            return
        now = self._clock.seconds()
        known = self._remember(origin, result, now)
        while waiters:
            # One by one: what a waiter does may cancel others.
            waiter = next(iter(waiters))
            waiter.callback(known.judge(waiters.pop(waiter), now))

    def _remember(self, origin: str, answer: _Answer, now: float) -> _Known:
        before = self._known.pop(origin, None)
        failures, failing, expires = 0, "", now + LIFETIME
        if answer.rules is None:
            failures = before.failures + 1 if before else 1
            first = FIRST_PAUSE if answer.cause is None else FIRST_PAUSE_OFFLINE
            expires = now + min(LONGEST_PAUSE, first * 2.0 ** min(failures - 1, 11))
            if before and before.answer.rules is not None:
                answer, failing = before.answer, answer.note
        known = _Known(answer, failures, failing, expires)
        self._known[origin] = known
        self._size += known.size - (before.size if before else 0)
        while len(self._known) > self._max_origins or (self._size > self._max_size and len(self._known) > 1):
            self._size -= self._known.popitem(last=False)[1].size
        return known

    @inlineCallbacks
    def _read(self, url: Url, asking: _Asking) -> Generator[Deferred[Any], Any, _Answer]:
        """Fails with nothing but CancelledError."""
        request = Request(0, url, url.href, Input(), 0.0)
        ask = partial(self._fetch, url)
        answers = 0
        while True:
            source = request.url.href
            try:
                response: Response = yield ask()
            except CancelledError:
                raise
            except CodedError as error:
                return _Answer(None, source, str(error), cause=_cause(error))
            except Exception as error:
                self._log.failure("robots.txt {url}", url=source)
                return _Answer(None, source, f"{type(error).__name__}: {error}")
            stale = isinstance(response.error, StaleConnection)
            challenged = response.status == UNAUTHORIZED and self._challenged(request, response, answers)
            answers = answers + 1 if challenged else 0
            hop: Request | None = request
            try:
                if not (stale or challenged):
                    hop = next_hop(request, response, max_redirects=MAX_REDIRECTS, https_only=False)
            except CodedError as error:
                return _Answer(Rules(), source, str(error))
            if hop is None:
                return (yield from self._answer(request.url, response))
            request = hop
            self._goes_on_elsewhere(url.site, asking)
            ask = partial(self._send, request, stale)

    def _answer(self, url: Url, response: Response) -> Generator[Deferred[Any], Any, _Answer]:
        status, error = response.status, response.error
        if status is not None and 300 <= status < 500 and status not in _LATER:
            return _Answer(Rules(), url.href, f"status {status}")
        cut = error is not None and error.code == "body_too_large" and bool(response.body)
        if error is not None and not cut:
            return _Answer(None, url.href, str(error), cause=_cause(error))
        if status is None or not 200 <= status < 300:
            return _Answer(None, url.href, f"status {status}")
        if len(response.body) <= _AT_ONCE:
            rules = parse(response.body, self._token)
        else:
            rules = yield self._read_on(read(response.body, self._token))
        return _Answer(rules, url.href, "", _absolute(url, rules.sitemaps))

    def _read_on(self, reading: Generator[None, None, Rules]) -> Deferred[Rules]:
        """Read a long file step by step, with the others. Cancelling it reads no further."""
        rules: list[Rules] = []

        def steps() -> Generator[None]:
            rules.append((yield from reading))

        task = self._readings.cooperate(steps())
        done: Deferred[Rules] = Deferred(lambda _: task.stop())
        task.whenDone().addCallbacks(lambda _: done.callback(rules[0]), _unless_stopped, errbackArgs=(done,))
        return done


class _Answer(msgspec.Struct, frozen=True):
    """What asking came to. `rules` is None when robots.txt is unreachable; `note` says why, or why all is allowed."""

    rules: Rules | None
    source: str
    note: str
    sitemaps: tuple[str, ...] = ()
    cause: CodedError | None = None


class _Known:
    """What is known of one origin until `expires`."""

    def __init__(self, answer: _Answer, failures: int, failing: str, expires: float) -> None:
        self.answer = answer
        self.failures = failures
        self.expires = expires
        rules = answer.rules
        self.size = _ORIGIN_SIZE + sum(map(len, answer.sitemaps)) + (rules.size if rules else 0)
        self._since = f" (as it was before: {failing})" if failing else ""
        reason = f"{answer.source}: {answer.note or 'no line is about it'}{self._since}"
        self._free = self._verdict(None, reason, None)

    @property
    def summary(self) -> str:
        answer, rules = self.answer, self.answer.rules
        if rules is None:
            return f"unreachable: {answer.note}"
        if rules.crawl_delay is not None:
            return f"read, delay {rules.crawl_delay:g} s"
        return f"none ({answer.note})" if answer.note else "read"

    def judge(self, target: str, now: float) -> Verdict:
        source, rules = self.answer.source, self.answer.rules
        if rules is None:
            wait = self.expires - now
            error = CodedError("robots_unreachable", f"{source}: {self.answer.note}; asked again in {wait:.0f} s")
            return Verdict(error, retry_in=wait, failures=self.failures, cause=self.answer.cause)
        rule = rules.decide(target)
        if rule is None:
            return self._free
        words = f"{source} {rule}{self._since}"
        if rule.allow:
            return self._verdict(None, words, rule)
        return self._verdict(CodedError("robots_denied", words), "", rule)

    def _verdict(self, error: CodedError | None, reason: str, rule: Rule | None) -> Verdict:
        rules = self.answer.rules
        delay = rules.crawl_delay if rules else None
        return Verdict(error, reason, rule, delay, self.answer.sitemaps, 0.0, self.failures)


class _Asking:
    """One fetch under way, and who waits for it with which path."""

    def __init__(self) -> None:
        self.waiters: dict[Deferred[Verdict], str] = {}
        self.reading: Deferred[Any] | None = None
        self.elsewhere = False


def _without_root_dot(url: Url) -> str:
    return f"{url.site.partition(':')[0]}://{url.host[:-1]}{url.authority[len(url.host) :]}"


def _cause(error: CodedError | None) -> CodedError | None:
    """The error, if the host could not or must not be talked to: the page itself would meet the same."""
    if error is None or (error.phase not in {"dns", "connect", "tls"} and error.code != "address_blocked"):
        return None
    return error


def _unless_stopped(failure: Failure, done: Deferred[Rules]) -> None:
    if not failure.check(TaskStopped):
        done.errback(failure)


def _absolute(base: Url, sitemaps: Iterable[str]) -> tuple[str, ...]:
    """The URLs of Sitemap lines. They should be absolute, but many are not; what is no URL at all is left out."""
    found: dict[str, None] = {}
    for reference in sitemaps:
        with suppress(CodedError):
            found[join(base, reference).href] = None
    return tuple(found)
