"""reading.py: links, declared data and the user's function, put together for one page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from parsel import Selector
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock, Cooperator
from twisted.logger import globalLogPublisher

from crawler.config.config import Config
from crawler.engine.calling.calls import Calls
from crawler.engine.reading import PageReader, make_reader
from crawler.errors import CodedError
from crawler.models import Ask, Findings, Input, Request, Response, Timings
from crawler.page.callbacks import Callbacks, Parse
from crawler.page.cost import LINEAR
from crawler.page.discovery import QUICK, TRIED, Answered, Discovery, LinkRules
from crawler.page.extract import compile as compile_extraction
from crawler.page.page import Extracted, Page
from crawler.seeds import asked
from crawler.urls import parse as parse_url

URL = "http://a.example/folder/"
PAGE = b"<title>T</title><a href=x>1</a><a href=y>2</a>"
LONG = PAGE + b" " * LINEAR.size
HUGE = PAGE + b" " * TRIED
RULES = LinkRules(frozenset({"a"}), nofollow=False, agent="bot")


class Worker:
    """What a ParseWorker is to a reader; its processes are this list."""

    def __init__(self) -> None:
        self.jobs: list[tuple[Sequence[str], bytes, str | None, str | None, str]] = []
        self.answers: list[Answered] = []
        self.waiting: Deferred[Any] = Deferred()
        self.closed = False

    def run(
        self, declarations: Sequence[str], body: bytes, charset: str | None, content_type: str | None, url: str
    ) -> Deferred[Extracted]:
        self.jobs.append((tuple(declarations), body, charset, content_type, url))
        return self.waiting

    def discover(self, answer: Answered, rules: LinkRules) -> Deferred[Findings]:
        assert rules == RULES
        self.answers.append(answer)
        return self.waiting

    def close(self) -> None:
        self.closed = True


def request(**fields: object) -> Request:
    url = parse_url(URL)
    return Request(**{"id": 0, "url": url, "written": URL, "input": Input(), "accepted": 0.0, **fields})


def response(body: bytes = PAGE, status: int | None = 200, error: str | None = None) -> Response:
    headers = {"content-type": ["text/html; charset=latin-1"]}
    return Response(
        Timings(), 0.0, status=status, headers=headers, body=body, error=None if error is None else CodedError(error)
    )


def deep(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


CYCLE: dict[str, Any] = {}
CYCLE["self"] = [CYCLE]


class Rig:
    def __init__(
        self,
        *,
        links: bool = False,
        extract: Sequence[str] = (),
        parse: Parse | None = None,
        callbacks: Callbacks | None = None,
    ) -> None:
        self.worker = Worker()
        self.clock = Clock()
        self.reader = PageReader(
            worker=self.worker,  # type: ignore[arg-type]
            turns=Cooperator(scheduler=lambda call: self.clock.callLater(0, call)),
            discovery=Discovery(RULES) if links else None,
            extraction=compile_extraction(extract, ()) if extract else None,
            calls=Calls(callbacks or Callbacks(parse)),
        )

    def read(
        self, got: Response, *ends: Extracted | Findings | CodedError, asked_for: Request | None = None
    ) -> Findings:
        """Prepare, let the worker end with these one after another, and read."""
        asked_for = asked_for or request()
        prepared: Any = self.reader.prepare(asked_for, got)
        if prepared is not None:
            results: list[Any] = []
            prepared.addCallback(results.append)
            self.clock.advance(0)
            for end in ends:
                assert not results, "the worker was not needed"
                waiting, self.worker.waiting = self.worker.waiting, Deferred()
                (waiting.errback if isinstance(end, CodedError) else waiting.callback)(end)
            (prepared,) = results
        else:
            assert not ends, "the worker was not needed"
        return self.reader.read(asked_for, got, prepared)


def paths(findings: Findings) -> list[str]:
    return [url.href.removeprefix(URL) for url in findings.follow]


class TestPrepare:
    def test_what_is_quick_is_done_here(self):
        """Nobody waits for another process if it cannot take long."""
        rig = Rig(links=True, extract=["t=title::text"], parse=lambda _: None)
        assert rig.reader.prepare(request(), response()) is None
        assert rig.worker.jobs == []

    def test_the_links_of_most_pages_need_no_process(self):
        """They are found when the reactor has time: not at once, as many of them may arrive together."""
        rig = Rig(links=True)
        waiting = rig.reader.prepare(request(), response(LONG))
        assert waiting is not None
        assert not waiting.called
        findings = Rig(links=True).read(response(LONG))
        assert (findings.title, paths(findings), rig.worker.answers) == ("T", ["x", "y"], [])

    @pytest.mark.parametrize(
        "body",
        [
            HUGE,
            b"<svg><p>" * (QUICK // 4),
            b"<a href=\x80>" * (QUICK // 4),
            b"<urlset>" + b"<url><loc/></url>" * (QUICK // 4),
        ],
    )
    def test_the_links_of_costly_pages_are_found_there(self, body):
        """One that is huge, and one that turns out to be costly: the reactor goes on meanwhile."""
        rig = Rig(links=True)
        elsewhere = Findings(title="from there", follow=[parse_url(URL + "z")])
        findings = rig.read(response(body), elsewhere)
        assert (findings.title, paths(findings)) == ("from there", ["z"])
        (answer,) = rig.worker.answers
        assert (answer.url.href, answer.body, answer.named) == (URL, body, False)

    def test_what_is_no_page_stays_here(self):
        """However large: nothing in it is looked at, so it need not go through a pipe."""
        rig = Rig(links=True)
        got = response(HUGE)
        got.headers["content-type"] = ["application/pdf"]
        findings = rig.read(got)
        assert (findings.links, findings.follow, rig.worker.answers) == (None, [], [])

    def test_headers_count_too(self):
        """A small page with 200 kB of links in its head is none that is small."""
        rig = Rig(links=True)
        got = response()
        got.headers["link"] = ["<x>; rel=next, " * 10_000]
        assert rig.read(got, Findings(title="from there")).title == "from there"

    def test_links_that_take_too_long(self):
        """An error of this page; its data is not asked for after that."""
        rig = Rig(links=True, extract=["t=title::text"])
        findings = rig.read(response(HUGE), CodedError("parse_timeout", "too long"))
        assert (findings.error and findings.error.code, findings.follow, findings.data) == ("parse_timeout", [], None)

    def test_both(self):
        """Links and data of a huge page, one after the other."""
        rig = Rig(links=True, extract=["t=title::text"])
        findings = rig.read(response(HUGE), Findings(links=1, follow=[parse_url(URL + "z")]), Extracted({"t": "T"}, []))
        assert (findings.links, paths(findings), findings.data) == (1, ["z"], {"t": "T"})

    def test_a_visit_that_is_given_up(self):
        """Nobody reads the page any more, whether it waits for its turn or for a process."""
        for body in (LONG, HUGE):
            rig = Rig(links=True)
            waiting = rig.reader.prepare(request(), response(body))
            assert waiting is not None
            failures: list[object] = []
            waiting.addErrback(lambda failure, failures=failures: failures.append(failure.type))
            waiting.cancel()
            rig.clock.advance(0)
            assert failures == [CancelledError]

    def test_what_may_take_long_is_done_there(self):
        """Extraction, with all that the page's kind is seen by."""
        rig = Rig(extract=["t=title::text"])
        data = {"t": "from there"}
        findings = rig.read(response(LONG), Extracted(data, ["charset", "charset"]))
        ((declarations, body, charset, content_type, url),) = rig.worker.jobs
        assert (body, charset, content_type, url) == (LONG, "latin-1", "text/html", URL)
        assert declarations
        assert (findings.data, findings.warnings, findings.error) == (data, ["charset"], None)

    def test_a_page_for_a_function_is_tried_there(self):
        """If parsing alone takes too long there, it would here; so the function does not get it."""
        seen: list[str] = []
        rig = Rig(links=True, parse=lambda page: seen.append(page.url))
        findings = rig.read(response(LONG), CodedError("parse_timeout", "too long"))
        assert (seen, findings.error and findings.error.code) == ([], "parse_timeout")
        rig = Rig(links=True, parse=lambda page: seen.append(page.url))
        findings = rig.read(response(LONG), Extracted({}, []))
        assert (seen, findings.error, findings.data) == ([URL], None, [])

    def test_a_stopped_run(self):
        """The page was not parsed: its URL is to be fetched again, so the visit is cancelled."""
        rig = Rig(extract=["t=title::text"])
        waiting = rig.reader.prepare(request(), response(LONG))
        assert waiting is not None
        failures: list[object] = []
        waiting.addErrback(lambda failure: failures.append(failure.type))
        rig.worker.waiting.errback(CodedError("interrupted"))
        assert failures == [CancelledError]

    def test_a_cut_answer(self):
        """It leads on as far as it goes; there is no data in half a page."""
        rig = Rig(links=True, extract=["t=title::text"])
        findings = rig.read(response(LONG, error="body_truncated"))
        assert (paths(findings), findings.data, findings.error) == (["x", "y"], None, None)

    @pytest.mark.parametrize("got", [response(LONG, 404), response(LONG, None)])
    def test_no_good_answer(self, got):
        """There is nothing in it that was asked for."""
        rig = Rig(links=True, extract=["t=title::text"], parse=lambda _: [{"a": 1}])
        assert rig.reader.prepare(request(), got) is None
        assert rig.reader.read(request(), got, None) == Findings()


class TestRead:
    def test_links(self):
        """Without a function all are followed."""
        findings = Rig(links=True).read(response())
        assert (findings.title, findings.links, paths(findings), findings.data) == ("T", 2, ["x", "y"], None)

    def test_extraction(self):
        """Beside the links, or without: in a list nothing is followed."""
        findings = Rig(links=True, extract=["t=title::text"]).read(response())
        assert (findings.data, paths(findings)) == ({"t": "T"}, ["x", "y"])
        findings = Rig(extract=["t=title::text"]).read(response())
        assert (findings.data, findings.links, findings.follow, findings.title) == ({"t": "T"}, None, [], None)

    def test_an_extraction_that_fails(self):
        """The page has failed; its links count all the same."""
        findings = Rig(links=True, extract=["t=title::text"]).read(response(LONG), CodedError("parse_timeout"))
        assert (findings.error and findings.error.code, findings.data) == ("parse_timeout", None)
        assert paths(findings) == ["x", "y"]


class TestFunction:
    def test_what_it_yields(self):
        """Dicts are data; URLs are followed, and no others, whether they are text, Url or Request."""

        def parse(page: Page) -> Iterable[Any]:
            yield {"title": page.css("title::text").get()}
            yield "z"
            yield {"n": 2}
            yield parse_url(URL + "u")
            yield asked.Request("r")
            yield None
            yield "mailto:x@a.example"

        findings = Rig(links=True, parse=parse).read(response())
        assert findings.data == [{"title": "T"}, {"n": 2}]
        assert paths(findings) == ["z", "u", "r"]
        assert findings.links == 2

    def test_a_function_that_a_job_cannot_keep(self):
        """It fails the page that asks for it, in words for its author."""

        def parse(_: Page) -> Iterable[Any]:
            yield asked.Request("z", callback=lambda _: None)

        findings = Rig(links=True, callbacks=Callbacks(parse, kept=True)).read(response())
        assert findings.error is not None
        assert findings.error.code == "parse_error"
        assert "a job cannot find" in findings.error.message
        assert findings.follow == []

    def test_a_callback_of_an_earlier_run_that_is_gone(self):
        """Its page was fetched; that nobody can read it is said in its record."""
        ask = Ask(callback="my_spider:parse_item")
        findings = Rig(links=True, parse=lambda _: ["z"]).read(response(), asked_for=request(ask=ask))
        assert findings.error is not None
        assert findings.error.code == "parse_error"
        assert "my_spider:parse_item of an earlier run is not there any more" in findings.error.message

    @pytest.mark.parametrize("nothing", [None, [], ()])
    def test_it_may_yield_nothing(self, nothing):
        """Then the list of its items is empty, and nothing is followed."""
        findings = Rig(links=True, parse=lambda _: nothing).read(response())
        assert (findings.data, findings.follow, findings.error) == ([], [], None)

    def test_with_extraction(self):
        """Each item has the extracted values, too; its own win."""
        findings = Rig(extract=["t=title::text", "u=a::text"], parse=lambda _: [{"n": 1}, {"t": "mine"}]).read(
            response()
        )
        assert findings.data == [{"t": "T", "u": "1", "n": 1}, {"t": "mine", "u": "1"}]

    def test_the_page_it_gets(self):
        """With the record of the answer, and the body."""
        pages: list[Page] = []
        Rig(parse=pages.append).read(response())
        (page,) = pages
        assert (page.url, page.status, page.body, page.record.outcome) == (URL, 200, PAGE, "ok")

    @pytest.mark.parametrize(
        ("result", "message"),
        [
            (lambda _: 1 / 0, "the parse function: ZeroDivisionError: division by zero"),
            (lambda _: "text", "the parse function: TypeError: the parse function gives str 'text'"),
            (lambda _: [5], "the parse function: TypeError: the parse function yields int 5"),
        ],
    )
    def test_its_errors(self, result, message):
        """They are the page's: its record tells them, the log has the traceback, and nothing is followed."""
        logged: list[dict[str, Any]] = []
        globalLogPublisher.addObserver(logged.append)
        try:
            findings = Rig(links=True, parse=result).read(response())
        finally:
            globalLogPublisher.removeObserver(logged.append)
        assert findings.error is not None
        assert findings.error.code == "parse_error"
        assert findings.error.message.startswith(message)
        assert (findings.follow, findings.data) == ([], None)
        assert [event["url"] for event in logged if "log_failure" in event] == [URL]

    @pytest.mark.parametrize(
        ("item", "message"),
        [
            ({"a": [1, {"b": Selector("<p>")}]}, "['a'][1]['b'] is a Selector: "),
            ({"where": Path("x")}, "['where'] is a "),
            ({"a": {(1, 2): 3}}, "a key of ['a'], (1, 2), is a tuple: "),
            (CYCLE, "['self'][0] holds itself"),
            ({"a": deep(100_000)}, "is nested deeper than 64"),
        ],
    )
    def test_what_json_cannot_carry(self, item, message):
        """It is an error of this page, which names the item and the place in it; the run goes on."""
        logged: list[dict[str, Any]] = []
        globalLogPublisher.addObserver(logged.append)
        try:
            findings = Rig(links=True, parse=lambda _: [{"fine": 1}, item, "z"]).read(response())
        finally:
            globalLogPublisher.removeObserver(logged.append)
        assert findings.error is not None
        assert findings.error.code == "parse_error"
        assert findings.error.message.startswith("the parse function: item 2 cannot be written as JSON: ")
        assert message in findings.error.message
        assert (findings.follow, findings.data) == ([], None)
        assert [event["url"] for event in logged if "reason" in event] == [URL]

    @pytest.mark.parametrize(
        "value",
        [
            None,
            1.5,
            float("nan"),
            "\ud800",
            (1, 2),
            {3},
            datetime(2026, 1, 1, tzinfo=UTC),
            b"x",
            {1: 2},
            2**70,
            deep(60),
        ],
    )
    def test_what_json_can_carry(self, value):
        """All that has a form there, of which text without a form in UTF-8 and numbers without an end get another."""
        findings = Rig(parse=lambda _: [{"a": value}]).read(response())
        assert findings.error is None
        assert findings.data[0]["a"] is value

    def test_a_long_message_is_cut(self):
        """The record of a page is no place for another page."""

        def parse(_: Page) -> Iterable[Any]:
            raise ValueError("x" * 100_000)

        findings = Rig(parse=parse).read(response())
        assert findings.error is not None
        assert len(findings.error.message) < 400


class TestMakeReader:
    def test_what_the_config_asks_for(self):
        """Links in a crawl alone; data if declared; each page that was read keeps to that."""
        reactor: Any = Clock()
        reader = make_reader(Config.build(recursive=True, extract=["t=title::text"]), reactor)
        findings = reader.read(request(), response(), None)
        assert (paths(findings), findings.data) == (["x", "y"], {"t": "T"})
        reader = make_reader(Config.build(extract_all=["t=a::text"]), reactor)
        findings = reader.read(request(), response(), None)
        assert (findings.follow, findings.links, findings.data) == ([], None, {"t": ["1", "2"]})

    def test_a_bad_declaration(self):
        """It is refused before anything is fetched."""
        reactor: Any = Clock()
        with pytest.raises(ValueError, match="t=a::nonsense"):
            make_reader(Config.build(extract=["t=a::nonsense()"]), reactor)

    def test_closing(self):
        """It ends the processes."""
        rig = Rig()
        rig.reader.close()
        assert rig.worker.closed
