"""A login before a run: its requests one after the other, each answer given back, until nobody asks for more.

No record comes of them. What they leave are the cookies that the run keeps, and what the caller's function makes of the
pages. They are fetched as URLs that somebody typed, with redirects and all limits; robots.txt is not asked about them,
and none is tried again.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, inlineCallbacks
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from crawler.config.config import Config
from crawler.errors import CodedError, StaleConnection
from crawler.fetch.cookies.keeping import Cookies
from crawler.fetch.fetcher import Fetcher
from crawler.fetch.redirect import next_hop
from crawler.fetch.typed import Typed
from crawler.models import LOGIN_SOURCE, Input, Request, Response, record_of
from crawler.page.page import Page
from crawler.seeds import asked
from crawler.seeds.inputs import BadLine, from_iterable

Login = asked.Request | str | Callable[[], Any]
"""What to ask for before a run: one request, or a function that returns requests, or yields them and gets the pages."""

_NO_SUCCESS = 400


class LoggingIn:
    """Makes the requests of a login. `typed` is told of each URL: whoever writes a login has named its servers."""

    def __init__(
        self, config: Config, *, clock: IReactorTime, fetcher: Fetcher, cookies: Cookies, typed: Typed
    ) -> None:
        self._config = config
        self._clock = clock
        self._fetcher = fetcher
        self._cookies = cookies
        self._typed = typed

    @inlineCallbacks
    def run(self, login: Login) -> Generator[Deferred[Any], Any, None]:
        """Fires when it is done; cancelling closes the socket.

        An answer that cannot be had, or that has a status from 400 on, is raised inside of the function, at its yield.
        Fails with CodedError `login_failed` for what it does not catch there, and for whatever else it raises.
        """
        try:
            steps = _steps(login)
            item = _advance(steps, None)
            while item is not _END:
                answer: Page | CodedError
                try:
                    answer = yield self._page(item)
                except CodedError as problem:
                    answer = problem
                item = _advance(steps, answer)
        except CancelledError:
            raise
        except CodedError as problem:
            raise CodedError("login_failed", f"{problem.code}: {problem.message}") from problem
        except Exception as problem:  # the caller's own function's
            raise CodedError("login_failed", f"{type(problem).__name__}: {problem}") from problem

    @inlineCallbacks
    def _page(self, item: object) -> Generator[Deferred[Any], Any, Page]:
        """Ask for one thing, to the end of its redirects, and wait as long as a host's delay is."""
        config = self._config
        request = self._request(item)
        while True:
            response: Response = yield self._fetcher.fetch(request)
            if isinstance(response.error, StaleConnection):
                response = yield self._fetcher.fetch(request, fresh=True)
            if response.error is not None:
                raise response.error
            if config.delay:
                yield deferLater(self._clock, config.delay, _nothing)
            hop = next_hop(
                request,
                response,
                max_redirects=config.max_redirects,
                https_only=config.https_only,
                keep=self._cookies.hop if self._cookies.keeps_any else None,
            )
            if hop is None:
                break
            request = hop
        if response.status is not None and response.status >= _NO_SUCCESS:
            raise CodedError("login_failed", f"status {response.status} of {request.url.href[:200]}")
        return Page(record_of(request, response, 0.0), request.ask)

    def _request(self, item: object) -> Request:
        scheme = None if self._config.default_scheme == "none" else self._config.default_scheme
        (seed,) = from_iterable([item], LOGIN_SOURCE, scheme)
        if isinstance(seed, BadLine):
            raise TypeError(f"the login gives what cannot be asked for: {seed.error.message}")
        self._typed.add(seed.url)
        place = Input(source=LOGIN_SOURCE)
        return Request(0, seed.url, seed.written, place, self._clock.seconds(), seed.method or "GET", ask=seed.ask)


_END = object()


def _steps(login: Login) -> Any:
    """A generator, or an iterator, of what is to be asked for."""
    given = login() if callable(login) else login
    if isinstance(given, (str, asked.Request, Mapping)):
        return iter([given])
    if given is None or not isinstance(given, Iterable):
        raise TypeError(f"the login gives {type(given).__name__}: neither a Request nor several")
    return iter(given)


def _advance(steps: Any, answer: Page | CodedError | None) -> object:
    """The next thing to be asked for. A generator gets the answer; else an error ends it all."""
    try:
        if isinstance(answer, CodedError):
            if isinstance(steps, Generator):
                return steps.throw(answer)
            raise answer
        return steps.send(answer) if isinstance(steps, Generator) else next(steps)
    except StopIteration:
        return _END


def _nothing() -> None:
    """It is only time that passes."""
