"""Reading a fetched page: links for the crawl, declared data, and what the user's own parse function makes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from crawler.charset import from_content_type
from crawler.config import Config
from crawler.discovery import Discovery
from crawler.errors import CodedError
from crawler.models import Findings, Request, Response, record_of
from crawler.page import Document, Extracted, Page, gather
from crawler.parsing.worker import ParseReactor, ParseWorker, probe
from crawler.robots_rules import product_token
from crawler.urls import Url

if TYPE_CHECKING:
    from crawler.extract import Extraction

Parse = Callable[[Page], Iterable[Any] | None]
"""A user's function: it gets a page, and yields items (dicts) and URLs to follow."""

_KEPT_MESSAGE: Final = 300


class PageReader:
    """Implements `crawl.Reader`. Each part may be missing.

    - `discovery` finds the links, and with `parse` everything but those: then what the function yields is followed.
    - `extraction` is done in this process where that cannot take long, else in one of the `worker`'s.
    - `parse` runs in this process. A page with which parsers take long is first tried out in the worker's.
    """

    def __init__(
        self,
        *,
        worker: ParseWorker,
        discovery: Discovery | None = None,
        extraction: Extraction | None = None,
        parse: Parse | None = None,
    ) -> None:
        self._worker = worker
        self._discovery = discovery
        self._extraction = extraction
        self._parse = parse
        self._log = Logger()

    def close(self) -> None:
        """End the processes."""
        self._worker.close()

    def prepare(self, request: Request, response: Response) -> Deferred[Any] | None:
        """What has to be done in another process; fires with Extracted, or with the CodedError that came of it."""
        if not _worth_parsing(response):
            return None
        waiting: Deferred[Extracted] | None = None
        extraction = self._extraction
        if extraction is not None and not extraction.is_quick(response.body):
            document = _document(request, response)
            waiting = self._worker.run(
                extraction.declarations, document.body, document.charset, document.content_type, document.url
            )
        elif self._parse is not None:
            waiting = probe(_document(request, response), self._worker)
        return None if waiting is None else waiting.addErrback(_as_value)

    def read(self, request: Request, response: Response, prepared: Any) -> Findings:
        if self._discovery is None:
            findings = Findings()
        else:
            findings = self._discovery.read(request, response, follow=self._parse is None)
        if findings.is_sitemap or not _worth_parsing(response):
            return findings
        if isinstance(prepared, CodedError):
            findings.error = prepared
            return findings
        if self._extraction is not None:
            extracted = prepared or self._extraction(_document(request, response))
            findings.data = extracted.data
            findings.warnings = [*findings.warnings, *dict.fromkeys(extracted.warnings)]
        if self._parse is not None:
            self._call(self._parse, request, response, findings)
        return findings

    def _call(self, parse: Parse, request: Request, response: Response, findings: Findings) -> None:
        page = Page(record_of(request, response, 0.0))
        try:
            yielded = gather(page, parse(page))
        except Exception as error:  # the function's own; the page it fails on has to be found again
            self._log.failure("the parse function failed: {url}", url=page.url)
            findings.error = CodedError(
                "parse_error", f"the parse function: {type(error).__name__}: {str(error)[:_KEPT_MESSAGE]}"
            )
            return
        items: Any = yielded.items
        findings.data = items if findings.data is None else [{**findings.data, **item} for item in items]
        findings.follow = [what if isinstance(what, Url) else what.url for what in yielded.follow]


def make_reader(config: Config, reactor: ParseReactor, *, parse: Parse | None) -> PageReader:
    """The reader of a run. Raises ValueError for a declaration that is none."""
    discovery = extraction = None
    if config.recursive:
        agent = product_token(config.user_agent)
        discovery = Discovery(kinds=config.links, nofollow=config.nofollow, agent=agent)
    if config.extract or config.extract_all:
        from crawler.extract import compile as compile_extraction  # parsel and lxml: only for those who extract

        extraction = compile_extraction(config.extract, config.extract_all)
    worker = ParseWorker(reactor, config.parse_timeout)
    return PageReader(worker=worker, discovery=discovery, extraction=extraction, parse=parse)


def _worth_parsing(response: Response) -> bool:
    return response.error is None and response.status is not None and 200 <= response.status < 300


def _document(request: Request, response: Response) -> Document:
    content_type, charset = from_content_type(response.first("content-type") or "")
    return Document(request.url.href, response.body, charset, content_type)


def _as_value(failure: Failure) -> CodedError:
    failure.trap(CodedError)
    error = failure.value
    assert isinstance(error, CodedError)
    if error.code == "interrupted":  # the run was stopped: the URL is fetched again
        raise CancelledError
    return error
