"""Reading a fetched page: links for the crawl, declared data, and a turn for the user's own functions.

The reactor never waits for a page. What is quick however the page is made is done at once; what is quick for nearly all
pages of its size is tried, a few milliseconds in each turn of the reactor; the rest is done by other processes.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from twisted.internet.defer import CancelledError, Deferred, inlineCallbacks
from twisted.internet.task import Cooperator
from twisted.python.failure import Failure

from crawler.charset import extract_type
from crawler.config.config import Config
from crawler.engine.calling.calls import BAD, Called, Calls, has_failed
from crawler.engine.traps import saying
from crawler.errors import CodedError
from crawler.models import Findings, Record, Request, Response, record_of, untried
from crawler.page.callbacks import Callbacks, Parse
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
from crawler.page.page import Document, Extracted, Yielded
from crawler.page.parsing.worker import ParseReactor, ParseWorker
from crawler.robots.rules import product_token

if TYPE_CHECKING:
    from crawler.engine.checking.leaves import Leaves
    from crawler.page.extract import Extraction
    from crawler.spiders.items import Items

_TURN: Final = 0.01  # seconds
_LARGE: Final = 1 << 20
PROCESSES: Final = 2  # one page that takes long does not keep all others waiting


class Prepared(NamedTuple):
    """What of a page was not read at once: None is what was not asked for, or is quick. For `saying` see traps.

    `findings` is all of it, where somebody had to hear what has failed. `yielded` comes from a function that another
    process has called.
    """

    found: Findings | CodedError | None = None
    extracted: Extracted | CodedError | None = None
    called: Called | None = None
    saying: int | None = None
    findings: Findings | None = None
    yielded: Yielded | None = None


_T = TypeVar("_T")
_NOTHING: Final = Prepared()


class PageReader:
    """Implements `disposition.Reader`. Each part may be missing.

    - `discovery` finds the links, and for a page that a function gets all but those: then what that yields is followed.
      Unless it `follows` them, links lead nowhere.
    - `extraction` is done in this process where that cannot take long, else in one of the `worker`'s.
    - `calls` run in this process. A page with which parsers take long is first tried out in the worker's.
    """

    def __init__(
        self,
        *,
        worker: ParseWorker,
        turns: Cooperator,
        discovery: Discovery | None = None,
        extraction: Extraction | None = None,
        calls: Calls | None = None,
        follows: bool = True,
    ) -> None:
        self._worker = worker
        self._turns = turns
        self._discovery = discovery
        self._extraction = extraction
        self._calls = calls or Calls()
        self._follows = follows

    def close(self) -> None:
        """End the processes."""
        self._turns.stop()
        self._worker.close()

    def waiting(self) -> int:
        """How many pages wait for a process that reads them."""
        return self._worker.waiting

    @property
    def functions(self) -> list[Parse]:
        """The functions that were given for pages; the first is the default."""
        return self._calls.all_that_parse

    @property
    def gives_any(self) -> bool:
        """Whether there are functions for all pages, or for what has failed."""
        return self._calls.get_any

    @property
    def parses(self) -> bool:
        """Whether a function of the user's gets all pages."""
        return self._calls.parses_all

    def needs(self, request: Request, headers: Mapping[str, list[str]]) -> bool:
        """Whether the body of an answer with such headers is read: a parse function may look into any."""
        return self._calls.gets(request) or is_text(request, headers)

    def prepare(self, request: Request, response: Response) -> Deferred[Any] | None:
        """What the reactor must not wait for; fires with Prepared. None: there is nothing like that."""
        if self._calls.awaits_error(request):
            return self._prepare_all(request, response)
        return self._prepare_page(request, response)

    def _prepare_page(self, request: Request, response: Response) -> Deferred[Any] | None:
        if not has_content(response):
            return self._prepare_answer(request, response)
        is_read = response.prepared is not None
        discovery, extraction = (None, None) if is_read else (self._discovery, self._extraction)
        answer = None
        if discovery is not None and not is_quick(response):
            answer = discovery.answered(request, response)
        is_whole = response.error is None
        extracts = is_whole and extraction is not None and not extraction.is_quick(response.body, _charset(response))
        is_parsed = self._calls.gets(request) and (response.prepared is None or response.prepared.yielded is None)
        probes = is_whole and not extracts and is_parsed and not LINEAR.covers(response.body)
        awaits = is_whole and is_parsed and self._calls.awaits(request)
        if answer is None and not extracts and not probes and not awaits:
            return None
        document = _document(request, response) if extracts or probes else None
        return self._prepare(request, response, answer, document, awaits=awaits)

    def _prepare_answer(self, request: Request, response: Response) -> Deferred[Any] | None:
        """Try out a page that on_error gets, where parsers may take long with it."""
        tells = self._calls.hears(request) and response.error is None and (response.status or 0) >= BAD
        if not tells or LINEAR.covers(response.body):
            return None
        return self._prepare(request, response, None, _document(request, response), awaits=False)

    @inlineCallbacks
    def _prepare_all(self, request: Request, response: Response) -> Generator[Deferred[Any], Any, Prepared]:
        """Read the page, and wait for the function that hears that it has failed, if it has."""
        prepared: Prepared | None = None
        if (waits := self._prepare_page(request, response)) is not None:
            prepared = yield waits
        findings: Findings = yield self._in_turn(partial(self._read, request, response, prepared))
        if (record := _of_failure(request, response, prepared, findings)) is not None:
            yield self._calls.told(request, record, findings)
        return Prepared(findings=findings)

    @inlineCallbacks
    def _prepare(
        self, request: Request, response: Response, answer: Answered | None, document: Document | None, *, awaits: bool
    ) -> Generator[Deferred[Any], Any, Prepared]:
        found, extracted, called, said, *_ = response.prepared or _NOTHING
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
            called = self._calls.call(request, response)
            if (waits := called.awaited()) is not None:
                called = yield waits
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
        found, extracted, *_ = prepared or _NOTHING
        if not has_content(response):
            return Prepared(found, extracted)
        if self._discovery is not None and found is None:
            found = discover(Answered.of(request, response), self._discovery.rules)
        is_done = isinstance(found, CodedError) or (found is not None and found.is_sitemap)
        if self._extraction is not None and extracted is None and not is_done and response.error is None:
            extracted = self._extraction(_document(request, response))
        yielded = None
        if (
            response.error is None
            and not is_done
            and not isinstance(extracted, CodedError)
            and self._calls.gets(request)
        ):
            yielded = self._calls.yielded(request, response)
        return Prepared(found, extracted, saying=saying(request.url, response.body), yielded=yielded)

    def read(self, request: Request, response: Response, prepared: Prepared | None) -> Findings:
        if prepared is not None and prepared.findings is not None:
            return prepared.findings
        findings = self._read(request, response, prepared)
        if self._calls.hears(request):
            record = _of_failure(request, response, prepared, findings)
            if record is not None:
                self._calls.tell(request, record, findings)
        return findings

    def prepare_missed(self, request: Request, error: CodedError) -> Deferred[Any] | None:
        if not has_failed(error) or not self._calls.awaits_error(request):
            return None
        findings = Findings()
        told = self._calls.told(request, untried(request, error), findings)
        return told.addCallback(lambda _: Prepared(findings=findings))

    def missed(self, request: Request, error: CodedError, prepared: Prepared | None) -> Findings | None:
        if prepared is not None:
            return prepared.findings
        if not has_failed(error) or not self._calls.hears(request):
            return None
        findings = Findings()
        if self._calls.awaits_error(request):  # the visit ended by a bug: nobody waits there
            findings.warnings = ["on_error_failed:it is async def, and cannot be waited for when crawler itself fails"]
        else:
            self._calls.tell(request, untried(request, error), findings)
        return findings

    def _read(self, request: Request, response: Response, prepared: Prepared | None) -> Findings:
        found, extracted, called, _, _, yielded = prepared or response.prepared or _NOTHING
        is_parsed = self._calls.gets(request)
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
        if yielded is not None:
            self._calls.accept(request.url.href, yielded, findings)
        elif is_parsed:
            self._calls.take(called or self._calls.call(request, response), findings)
        return findings


def make_reader(
    config: Config,
    reactor: ParseReactor,
    *,
    callbacks: Callbacks | None = None,
    items: Items | None = None,
    may: Callable[[Parse], bool] | None = None,
    processes: int = PROCESSES,
    leaves: Leaves | None = None,
) -> PageReader:
    """The reader of a run; where there are `leaves` links are checked. For `may` see Calls.

    Raises ValueError for what is no declaration.
    """
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
        calls=Calls(callbacks, items, may=may),
        follows=config.recursive,
    )


def _of_failure(request: Request, response: Response, prepared: Prepared | None, findings: Findings) -> Record | None:
    """The record of what has failed, for who is to hear of it; None of what has not."""
    error = response.error or findings.error
    if not (has_failed(error) if error is not None else (response.status or 0) >= BAD):
        return None
    record = record_of(request, response, 0.0, findings=findings)
    if prepared is not None and isinstance(prepared.extracted, CodedError):
        record = record.with_body(b"")  # the reactor would wait for who looks into it
    return record


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


def _as_value(failure: Failure) -> CodedError:
    failure.trap(CodedError)
    error = failure.value
    assert isinstance(error, CodedError)
    if error.code == "interrupted":  # the run was stopped: the URL is fetched again
        raise CancelledError
    return error


def _charset(response: Response) -> str | None:
    return extract_type(response.headers.get("content-type", ()))[1]
