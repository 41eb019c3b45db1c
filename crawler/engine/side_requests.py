"""Side requests are no inputs, such as the redirects of a robots.txt. Each takes its host's turn, as all do.

Whoever sends one gets the response; no record comes of it, and a job does not keep it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks, succeed
from twisted.python.failure import Failure

from crawler.errors import CodedError, StaleConnection
from crawler.fetch.fetcher import Fetches
from crawler.frontier import Frontier
from crawler.models import Input, Request, Response
from crawler.politeness.controller import Politeness
from crawler.urls import Url


class SideRequests:
    """Sends with `fetcher` what `frontier` gives a turn to. `on_more` is called when there is one more."""

    def __init__(self, *, frontier: Frontier, fetcher: Fetches, clock: Callable[[], float]) -> None:
        self.on_more: Callable[[], None] = lambda: None
        self._frontier = frontier
        self._fetcher = fetcher
        self._clock = clock
        self._sent = 0
        self._in_flight: dict[int, Deferred[Any]] = {}
        self._waiting: dict[int, tuple[Deferred[Response], bool]] = {}

    def fetch(self, url: Url) -> Deferred[Response]:
        """Get a URL at once: the turn of its host is taken already."""
        return self._fetcher.fetch(self._request(url))

    def send(self, request: Request, fresh: bool) -> Deferred[Response]:
        """Get where a redirect leads in its host's turn; with `fresh` over a new connection.

        Fails with CodedError if it is refused.
        """
        side_request = self._request(request.url, request)
        answer: Deferred[Response] = Deferred(lambda _: self._cancel(side_request.id))
        self._waiting[side_request.id] = answer, fresh
        self._frontier.send(side_request, self._clock())
        self.on_more()
        return answer

    def challenged(self, request: Request, response: Response, answers: int) -> bool:
        """Whether to `send` a request again, as its login can answer the 401 that it got: see `Heads.challenged`."""
        if response.error is not None:
            return False
        return self._fetcher.heads.challenged(self._request(request.url, request), response, answers)

    @inlineCallbacks
    def visit(
        self, request: Request, politeness: Politeness, on_sent: Callable[[], None] | None
    ) -> Generator[Deferred[Any], Any, None]:
        """Its turn has come: make the request, if its host may be asked at all. Never fails, always ends the lease."""
        key, started = request.url.host_key, self._clock()
        try:
            response: Response | None = yield self.run(request, politeness.refusal(key), on_sent)
            if response is not None and not isinstance(response.error, StaleConnection):
                politeness.observe(key, response, started=started, now=self._clock())
        finally:
            self._frontier.sent(request, self._clock())

    def run(
        self, request: Request, refusal: CodedError | None, on_sent: Callable[[], None] | None
    ) -> Deferred[Response | None]:
        """Its turn has come: make the request, unless `refusal` says why not, and tell who waits for it.

        Fires with the Response, if there is one; cancelling closes the socket: a CancelledError to who waits, not here.
        """
        answer, fresh = self._waiting.pop(request.id, (None, False))
        if answer is None:  # nobody wants it any more
            return succeed(None)
        if refusal is not None:
            answer.errback(refusal)
            return succeed(None)
        fetching: Deferred[Any] = self._fetcher.fetch(request, on_sent, fresh=fresh)
        self._in_flight[request.id] = fetching
        return fetching.addBoth(self._received, request.id, answer)

    def _received(self, result: Response | Failure, number: int, answer: Deferred[Response]) -> Response | None:
        del self._in_flight[number]
        if not answer.called:
            answer.callback(result)
        return None if isinstance(result, Failure) else result

    def _cancel(self, number: int) -> None:
        self._waiting.pop(number, None)
        if number in self._in_flight:
            self._in_flight[number].cancel()

    def _request(self, url: Url, hop: Request | None = None) -> Request:
        """Nobody typed it: what is asked for belongs to the origin of its first URL."""
        self._sent += 1
        place = Input(parent=url.href if hop is None else hop.written)
        return Request(-self._sent, url, url.href, place, self._clock(), redirects=() if hop is None else hop.redirects)
