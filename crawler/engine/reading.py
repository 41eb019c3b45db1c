"""Reading a fetched page: links for the crawl, declared data, and what the user's own parse function makes of it.

The reactor never waits for a page. What is quick however the page is made is done at once; what is quick for nearly all
pages of its size is tried, a few milliseconds in each turn of the reactor; the rest is done by other processes.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine, Generator, Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from twisted.internet.defer import CancelledError, Deferred, inlineCallbacks
from twisted.internet.task import Cooperator
from twisted.logger import Logger
from twisted.python.failure import Failure

from crawler.charset import extract_type
from crawler.config.config import Config
from crawler.engine.awaiting import Later, arrived
from crawler.engine.traps import saying
from crawler.errors import SKIPS, CodedError
from crawler.models import Findings, Record, Request, Response, record_of, untried
from crawler.page.callbacks import Callbacks, Parse
from crawler.page.convert import is_json, json_fault
from crawler.page.cost import LINEAR
from crawler.page.discovery import (
    TRIAL,
    Answered,
    Discovery,
    LinkRules,
    discover,
    has_content,
    is_quick,
    is_text,
)
from crawler.page.links import Costly
from crawler.page.page import Document, Extracted, Page, Yielded, gather
from crawler.page.parsing.worker import ParseReactor, ParseWorker
from crawler.robots.rules import product_token

if TYPE_CHECKING:
    from crawler.engine.checking.leaves import Leaves
    from crawler.page.extract import Extraction
    from crawler.spiders.items import Items

_KEPT_MESSAGE: Final = 300
_TURN: Final = 0.01  # seconds
_LARGE: Final = 1 << 20
_BAD: Final = 400  # statuses from here on
PROCESSES: Final = 2  # one page that takes long does not keep all others waiting


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


class Prepared(NamedTuple):
    """What of a page was not read at once: None is what was not asked for, or is quick. For `saying` see traps."""

    found: Findings | CodedError | None = None
    extracted: Extracted | CodedError | None = None
    called: Called | None = None
    saying: int | None = None


_T = TypeVar("_T")
_NOTHING: Final = Prepared()


class PageReader:
    """Implements `disposition.Reader`. Each part may be missing.

    - `discovery` finds the links, and for a page that a function gets all but those: then what that yields is followed.
      Unless it `follows` them, links lead nowhere.
    - `extraction` is done in this process where that cannot take long, else in one of the `worker`'s.
    - `callbacks` run in this process, and `items` makes data of what they yield. A page with which parsers take long is
      first tried out in the worker's.
    """

    def __init__(
        self,
        *,
        worker: ParseWorker,
        turns: Cooperator,
        discovery: Discovery | None = None,
        extraction: Extraction | None = None,
        callbacks: Callbacks | None = None,
        follows: bool = True,
        items: Items | None = None,
    ) -> None:
        self._worker = worker
        self._turns = turns
        self._discovery = discovery
        self._extraction = extraction
        self._callbacks = callbacks or Callbacks()
        self._follows = follows
        self._items = items
        self._log = Logger()

    def close(self) -> None:
        """End the processes."""
        self._turns.stop()
        self._worker.close()

    def waiting(self) -> int:
        """How many pages wait for a process that reads them."""
        return self._worker.waiting

    @property
    def parses(self) -> bool:
        """Whether a function of the user's gets all pages."""
        return self._callbacks.default is not None

    def needs(self, request: Request, headers: Mapping[str, list[str]]) -> bool:
        """Whether the body of an answer with such headers is read: a parse function may look into any."""
        return self._is_parsed(request) or is_text(request, headers)

    def prepare(self, request: Request, response: Response) -> Deferred[Any] | None:
        """What the reactor must not wait for; fires with Prepared. None: there is nothing like that."""
        if not has_content(response):
            return self._prepare_answer(request, response)
        is_read = response.prepared is not None
        discovery, extraction = (None, None) if is_read else (self._discovery, self._extraction)
        answer = None
        if discovery is not None and not is_quick(response):
            answer = discovery.answered(request, response)
        is_whole = response.error is None
        extracts = is_whole and extraction is not None and not extraction.is_quick(response.body, _charset(response))
        is_parsed = self._is_parsed(request)
        probes = is_whole and not extracts and is_parsed and not LINEAR.covers(response.body)
        awaits = is_whole and is_parsed and self._callbacks.awaits(_callback(request))
        if answer is None and not extracts and not probes and not awaits:
            return None
        document = _document(request, response) if extracts or probes else None
        return self._prepare(request, response, answer, document, awaits=awaits)

    def _prepare_answer(self, request: Request, response: Response) -> Deferred[Any] | None:
        """Try out a page that on_error gets, where parsers may take long with it."""
        tells = self._callbacks.on_error is not None and response.error is None and (response.status or 0) >= _BAD
        if not tells or LINEAR.covers(response.body):
            return None
        return self._prepare(request, response, None, _document(request, response), awaits=False)

    @inlineCallbacks
    def _prepare(
        self, request: Request, response: Response, answer: Answered | None, document: Document | None, *, awaits: bool
    ) -> Generator[Deferred[Any], Any, Prepared]:
        found, extracted, called, said = response.prepared or _NOTHING
        if len(response.body) > _LARGE:
            yield self._in_turn(response.digest)  # 10 to 40 ms for 10 MiB: a turn of its own
        if answer is not None:
            found = yield self._found(answer).addErrback(_as_value)
        elif awaits and found is None and self._discovery is not None:
            found = discover(Answered.of(request, response), self._discovery.rules)
        is_done = isinstance(found, CodedError) or (found is not None and found.is_sitemap)
        if document is not None and not is_done:
            declarations = () if self._extraction is None else self._extraction.declarations
            extracted = yield self._worker.run(
                declarations, document.body, document.charset, document.content_type, document.url
            ).addErrback(_as_value)
        if awaits and not is_done and not isinstance(extracted, CodedError):
            called = self._call(request, response)
            if isinstance(called.results, (Awaitable, AsyncIterable)):
                called = yield arrived(called.results).addCallbacks(
                    partial(Called, called.page), partial(_raised, called.page)
                )
        return Prepared(found, extracted, called, said)

    @inlineCallbacks
    def _found(self, answer: Answered) -> Generator[Deferred[Any], Any, Findings]:
        assert self._discovery is not None
        rules = self._discovery.rules
        if answer.may_be_tried:
            try:
                tried: Findings = yield self._in_turn(partial(discover, answer, rules, max_cost=TRIAL))
            except Costly:
                pass
            else:
                return tried
        found: Findings = yield self._worker.discover(answer, rules)
        return found

    def _in_turn(self, task: Callable[[], _T]) -> Deferred[_T]:
        """Do it when the reactor has time. Cancelling stops the waiting."""
        results: list[_T] = []

        def steps() -> Iterator[None]:
            results.append(task())
            yield None

        cooperative = self._turns.cooperate(steps())
        return cooperative.whenDone().addCallback(lambda _: results[0])

    def rest(self, request: Request, response: Response, prepared: Prepared | None) -> Prepared:
        """In another process: what can be read without knowing the run, beside what is prepared."""
        found, extracted, _, _ = prepared or _NOTHING
        if not has_content(response):
            return Prepared(found, extracted)
        if self._discovery is not None and found is None:
            found = discover(Answered.of(request, response), self._discovery.rules)
        is_done = isinstance(found, CodedError) or (found is not None and found.is_sitemap)
        if self._extraction is not None and extracted is None and not is_done and response.error is None:
            extracted = self._extraction(_document(request, response))
        return Prepared(found, extracted, saying=saying(request.url, response.body))

    def read(self, request: Request, response: Response, prepared: Prepared | None) -> Findings:
        findings = self._read(request, response, prepared)
        on_error = self._callbacks.on_error
        if on_error is not None:
            error = response.error or findings.error
            if _has_failed(error) if error is not None else (response.status or 0) >= _BAD:
                record = record_of(request, response, 0.0, findings=findings)
                if prepared is not None and isinstance(prepared.extracted, CodedError):
                    record = record.with_body(b"")  # the reactor would wait for who looks into it
                self._tell(on_error, request, record, findings)
        return findings

    def missed(self, request: Request, error: CodedError) -> Findings | None:
        on_error = self._callbacks.on_error
        if on_error is None or not _has_failed(error):
            return None
        findings = Findings()
        self._tell(on_error, request, untried(request, error), findings)
        return findings

    def _read(self, request: Request, response: Response, prepared: Prepared | None) -> Findings:
        found, extracted, called, _ = prepared or response.prepared or _NOTHING
        is_parsed = self._is_parsed(request)
        failure = None
        if isinstance(found, CodedError):
            failure, found = found, Findings(error=found)
        if self._discovery is None:
            findings = Findings()
        else:
            findings = self._discovery.read(request, response, follow=not is_parsed, found=found)
            if not self._follows:
                findings.follow = []
        if self._extraction is None and not is_parsed:
            return findings
        if findings.is_sitemap or failure is not None or response.error is not None or not has_content(response):
            return findings
        if isinstance(extracted, CodedError):
            findings.error = extracted
            return findings
        if self._extraction is not None:
            extracted = extracted or self._extraction(_document(request, response))
            findings.data = extracted.data
            findings.warnings = [*findings.warnings, *dict.fromkeys(extracted.warnings)]
        if is_parsed:
            self._take(called or self._call(request, response), findings)
        return findings

    def _is_parsed(self, request: Request) -> bool:
        return self._callbacks.default is not None or (request.ask is not None and request.ask.callback is not None)

    def _call(self, request: Request, response: Response) -> Called:
        page = Page(record_of(request, response, 0.0), request.ask)
        try:
            parse = self._callbacks.find(_callback(request))
            return Called(page, None if parse is None else parse(page))  # waited for by _prepare, where that is wanted
        except BaseException as error:  # the function's own: exit(), too, would only leave the run hanging
            return Called(page, None, error)

    def _take(self, called: Called, findings: Findings) -> None:
        page = called.page
        try:
            yielded = gather(page, called.outcome(), self._callbacks.name)
        except BaseException as error:  # the function's own; the page it fails on has to be found again
            self._log.failure("the parse function failed: {url}", url=page.url)
            findings.error = CodedError(
                "parse_error", f"the parse function: {type(error).__name__}: {str(error)[:_KEPT_MESSAGE]}"
            )
            return
        try:
            items = self._accept(page, yielded, findings)
        except ValueError as error:
            reason = f"the parse function: {error}"
            self._log.error("{reason}: {url}", reason=reason, url=page.url)
            findings.error = CodedError("parse_error", reason)
            return
        findings.data = items if findings.data is None else [{**findings.data, **item} for item in items]

    def _tell(self, on_error: Parse, request: Request, record: Record, findings: Findings) -> None:
        """Have the user's function hear of what failed. That it failed stays what the record says."""
        page = Page(record, request.ask)
        try:
            if items := self._accept(
                page, gather(page, Called(page, on_error(page)).outcome(), self._callbacks.name), findings
            ):
                findings.data = items
        except BaseException as error:  # the function's own
            self._log.failure("the on_error function failed: {url}", url=page.url)
            words = f"{type(error).__name__}: {str(error)[:_KEPT_MESSAGE]}"
            findings.warnings = [*findings.warnings, f"on_error_failed:{words}"]

    def _accept(self, page: Page, yielded: Yielded, findings: Findings) -> list[Any]:
        """Follow what a function has yielded; its items. Raises ValueError for what cannot be written."""
        items = yielded.items
        if self._items is not None:
            items, warnings = self._items(items, page.url)
            findings.warnings = [*findings.warnings, *warnings]
        for number, item in enumerate(items, 1):
            if not is_json(item):
                raise ValueError(f"item {number} cannot be written as JSON: {json_fault(item)}")
        findings.follow = [*yielded.follow]
        return items


def make_reader(
    config: Config,
    reactor: ParseReactor,
    *,
    callbacks: Callbacks | None = None,
    items: Items | None = None,
    processes: int = PROCESSES,
    leaves: Leaves | None = None,
) -> PageReader:
    """The reader of a run; where there are `leaves` links are checked. Raises ValueError for what is no declaration."""
    discovery = extraction = None
    if config.recursive or config.gathers_facts:
        agent, fragments = product_token(config.user_agent), leaves is None or leaves.fragments
        rules = LinkRules.of(config, agent, places=leaves is not None, fragments=fragments)
        discovery = Discovery(rules, leaves or ())
    if config.declarations or config.extract_all:
        from crawler.page.extract import compile as compile_extraction  # parsel and lxml: only for those who extract

        extraction = compile_extraction(config.declarations, config.extract_all)
    worker = ParseWorker(reactor, config.parse_timeout, processes=processes)
    turns = Cooperator(lambda: _Until(reactor, _TURN), partial(reactor.callLater, 0.0))
    return PageReader(
        worker=worker,
        turns=turns,
        discovery=discovery,
        extraction=extraction,
        callbacks=callbacks,
        items=items,
        follows=config.recursive,
    )


def _has_failed(error: CodedError) -> bool:
    """Whether it is no ruling of the run, by which something is skipped."""
    return error.code not in SKIPS


class _Until:
    """True when so many seconds are over."""

    def __init__(self, clock: ParseReactor, seconds: float) -> None:
        self._clock = clock
        self._end = clock.seconds() + seconds

    def __call__(self) -> bool:
        return self._clock.seconds() >= self._end


def _document(request: Request, response: Response) -> Document:
    content_type, charset = extract_type(response.headers.get("content-type", ()))
    return Document(request.url.href, response.body, charset, content_type)


def _callback(request: Request) -> str | None:
    """The name of the function that gets the page; None for the default."""
    return None if request.ask is None else request.ask.callback


def _raised(page: Page, failure: Failure) -> Called:
    if isinstance(failure.value, CancelledError):  # the run was stopped: the URL is fetched again
        raise CancelledError
    assert failure.value is not None
    return Called(page, None, failure.value)


def _as_value(failure: Failure) -> CodedError:
    failure.trap(CodedError)
    error = failure.value
    assert isinstance(error, CodedError)
    if error.code == "interrupted":  # the run was stopped: the URL is fetched again
        raise CancelledError
    return error


def _charset(response: Response) -> str | None:
    return extract_type(response.headers.get("content-type", ()))[1]
