"""The user's functions, called with pages: what they yield becomes data and links, what they raise an error.

Whatever a function raises is its own, exit() too: it costs its page no record, and the run does not end by it.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from crawler.engine.calling.awaiting import Later, arrived
from crawler.errors import SKIPS, CodedError
from crawler.models import Findings, Record, Request, Response, Wanted, record_of
from crawler.page.callbacks import Callbacks, Parse
from crawler.page.convert import is_json, is_plain, json_fault
from crawler.page.page import Page, Yielded, gather

if TYPE_CHECKING:
    from crawler.spiders.items import Items

_KEPT_MESSAGE: Final = 300
BAD: Final = 400
"""Statuses from here on are told as what failed."""


class Called(NamedTuple):
    """A page, and what the parse function gave for it or raised."""

    page: Page
    results: Iterable[Any] | Later | None
    error: BaseException | None = None

    def outcome(self) -> Iterable[Any] | None:
        """What was given. Raises what was raised, and TypeError for what was to be waited for."""
        if self.error is not None:
            raise self.error
        if isinstance(self.results, (Awaitable, AsyncIterable)):
            if isinstance(self.results, Coroutine):
                self.results.close()
            kind = type(self.results).__name__
            raise TypeError(f"the parse function gives a {kind}, and is not declared async def: nobody waits for it")
        return self.results

    def awaited(self) -> Deferred[Called] | None:
        """Fires with what has come of what is to be waited for; None where there is nothing to wait for.

        Fails with CancelledError alone: the run was stopped, the URL is fetched again.
        """
        if not isinstance(self.results, (Awaitable, AsyncIterable)):
            return None
        return arrived(self.results).addCallbacks(partial(Called, self.page), partial(_raised, self.page))


class Calls:
    """Those of a run: `callbacks` are its functions, and `items` makes data of what they yield.

    In a worker there are those that `may` be called there, and what they give is `yielded` to the run.
    """

    def __init__(
        self,
        callbacks: Callbacks | None = None,
        items: Items | None = None,
        *,
        may: Callable[[Parse], bool] | None = None,
    ) -> None:
        self._callbacks = callbacks or Callbacks()
        self._items = items
        self._may = may
        self._log = Logger()

    @property
    def all_that_parse(self) -> list[Parse]:
        """The functions that were given for pages; the first is the default."""
        return self._callbacks.parsing

    @property
    def get_any(self) -> bool:
        """Whether there are functions for all pages, or for what has failed."""
        return self._callbacks.default is not None or self._callbacks.on_error is not None

    @property
    def parses_all(self) -> bool:
        """Whether a function gets all pages."""
        return self._callbacks.default is not None

    def gets(self, request: Request) -> bool:
        """Whether a function gets the page of this request."""
        if self._may is not None:
            return self._is_here(request)
        return self._callbacks.default is not None or (request.ask is not None and request.ask.callback is not None)

    def awaits(self, request: Request) -> bool:
        """Whether what that function gives is to be waited for."""
        return self._callbacks.awaits(_callback(request))

    def hears(self, request: Request) -> bool:
        """Whether a function gets what becomes of this request if it fails."""
        return self._callbacks.on_error is not None or (request.ask is not None and request.ask.errback is not None)

    def awaits_error(self, request: Request) -> bool:
        """Whether what that function gives is to be waited for."""
        return self.hears(request) and self._callbacks.awaits_error(_errback(request))

    def call(self, request: Request, response: Response) -> Called:
        """Call the function that gets this page."""
        page = Page(record_of(request, response, 0.0), request.ask)
        try:
            parse = self._callbacks.find(_callback(request))
            return Called(page, None if parse is None else parse(page))
        except BaseException as error:  # the function's own: exit(), too, would only leave the run hanging
            return Called(page, None, error)

    def _is_here(self, request: Request) -> bool:
        assert self._may is not None
        try:
            function = self._callbacks.find(_callback(request))
        except LookupError:  # the run knows more of them
            return False
        return function is not None and self._may(function)

    def yielded(self, request: Request, response: Response) -> Yielded | None:
        """What a function gives, in a worker. None where it has to be called in the run: what raises is told there."""
        called = self.call(request, response)
        try:
            yielded = gather(called.page, called.outcome(), self._callbacks.name)
        except BaseException:
            return None
        metas = [link.ask.meta for link in yielded.follow if isinstance(link, Wanted)]
        return yielded if is_plain(yielded.items) and is_plain(metas) else None

    def take(self, called: Called, findings: Findings) -> None:
        """Put what a function has given into what was found."""
        page = called.page
        try:
            yielded = gather(page, called.outcome(), self._callbacks.name)
        except BaseException as error:  # the function's own; the page it fails on has to be found again
            self._log.failure("the parse function failed: {url}", url=page.url)
            findings.error = CodedError(
                "parse_error", f"the parse function: {type(error).__name__}: {str(error)[:_KEPT_MESSAGE]}"
            )
            return
        self.accept(page.url, yielded, findings)

    def accept(self, url: str, yielded: Yielded, findings: Findings) -> None:
        """The same of what was yielded for the page at `url`."""
        try:
            items = self._accept(url, yielded, findings)
        except ValueError as error:
            reason = f"the parse function: {error}"
            self._log.error("{reason}: {url}", reason=reason, url=url)
            findings.error = CodedError("parse_error", reason)
            return
        findings.data = items if findings.data is None else [{**findings.data, **item} for item in items]

    def tell(self, request: Request, record: Record, findings: Findings) -> None:
        """Have the user's function hear of what failed. That it failed stays what the record says."""
        self._heard(self._call_error(request, record), findings)

    def told(self, request: Request, record: Record, findings: Findings) -> Deferred[None]:
        """As tell, where what the function gives may have to be waited for. Fails as Called.awaited does."""
        called = self._call_error(request, record)
        return (called.awaited() or succeed(called)).addCallback(self._heard, findings)

    def _call_error(self, request: Request, record: Record) -> Called:
        page = Page(record, request.ask)
        try:
            on_error = self._callbacks.find_error(_errback(request))
            return Called(page, None if on_error is None else on_error(page))
        except BaseException as error:  # the function's own
            return Called(page, None, error)

    def _heard(self, called: Called, findings: Findings) -> None:
        page = called.page
        try:
            if items := self._accept(page.url, gather(page, called.outcome(), self._callbacks.name), findings):
                findings.data = items
        except BaseException as error:  # the function's own
            self._log.failure("the on_error function failed: {url}", url=page.url)
            words = f"{type(error).__name__}: {str(error)[:_KEPT_MESSAGE]}"
            findings.warnings = [*findings.warnings, f"on_error_failed:{words}"]

    def _accept(self, url: str, yielded: Yielded, findings: Findings) -> list[Any]:
        """Follow what a function has yielded; its items. Raises ValueError for what cannot be written."""
        items = yielded.items
        if self._items is not None:
            items, warnings = self._items(items, url)
            findings.warnings = [*findings.warnings, *warnings]
        for number, item in enumerate(items, 1):
            if not is_json(item):
                raise ValueError(f"item {number} cannot be written as JSON: {json_fault(item)}")
        findings.follow = [*yielded.follow]
        return items


def has_failed(error: CodedError) -> bool:
    """Whether it is no ruling of the run, by which something is skipped."""
    return error.code not in SKIPS


def _callback(request: Request) -> str | None:
    """The name of the function that gets the page; None for the default."""
    return None if request.ask is None else request.ask.callback


def _errback(request: Request) -> str | None:
    """The name of the function that hears of it if it fails; None for that of the crawl."""
    return None if request.ask is None else request.ask.errback


def _raised(page: Page, failure: Failure) -> Called:
    if isinstance(failure.value, CancelledError):  # the run was stopped: the URL is fetched again
        raise CancelledError
    assert failure.value is not None
    return Called(page, None, failure.value)
