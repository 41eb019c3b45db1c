"""gate.py: whether a request may be made now, and what its host is told of that."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock

from crawler.engine.gate import Gate, Ruling
from crawler.errors import CodedError
from crawler.frontier.memory import MemoryFrontier
from crawler.models import Input, Request, Response, Timings
from crawler.politeness.controller import Politeness
from crawler.politeness.host import GIVE_UP_AFTER
from crawler.robots.policy import FIRST_PAUSE, FIRST_PAUSE_OFFLINE, Robots
from crawler.urls import Url, parse

HOST = "http://a.example"
KEY = "a.example:80"


def req(number: int = 0, path: str = "/") -> Request:
    url = parse(HOST + path)
    return Request(number, url, url.href, Input(), 0.0)


def answer(body: str = "", status: int | None = 200, error: CodedError | None = None) -> Response:
    return Response(Timings(), 0.0, status=status, body=body.encode(), error=error)


class Rig:
    """A gate with real politeness and robots; `answers` are those to robots.txt, the last one ever after.

    `visit` claims from a real frontier and asks the gate, as a visit does.
    """

    def __init__(self, *answers: Response | Exception | None, delay: float = 0.0, **options: object) -> None:
        self.clock = Clock()
        self.politeness = Politeness(delay=delay, per_host=100)
        self.frontier = MemoryFrontier(self.politeness)
        self.answers = list(answers)
        self.asked = 0
        self.waiting: list[Deferred[Response]] = []
        self.sitemaps: list[tuple[int, tuple[str, ...]]] = []
        robots = Robots(self.fetch, send=self.send, clock=self.clock, token="bot") if answers else None
        self.gate = Gate(politeness=self.politeness, clock=self.clock.seconds, robots=robots, **options)
        self.gate.found_sitemaps = lambda request, found: self.sitemaps.append((request.id, found))

    def fetch(self, _: Url) -> Deferred[Response]:
        self.asked += 1
        given = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if given is None:
            self.waiting.append(Deferred())
            return self.waiting[-1]
        return fail(given) if isinstance(given, Exception) else succeed(given)

    def send(self, _: Request, __: bool) -> Deferred[Response]:
        """The turn of another host, as far as the gate knows."""
        self.waiting.append(Deferred())
        return self.waiting[-1]

    def ask(self, request: Request) -> Ruling | None:
        """The ruling, whether it comes at once or not; when robots.txt was read for it the request comes again."""
        ruling = self.gate.check(request)
        if isinstance(ruling, Deferred):
            results: list[Ruling | None] = []
            ruling.addCallback(results.append)
            (ruling,) = results
        return ruling

    def visit(self, request: Request) -> str | None:
        """The code that a request is refused with in the end, or None when it may be made."""
        self.frontier.add(request)
        while True:
            at = self.frontier.ready_at(self.clock.seconds())
            assert at is not None
            self.clock.rightNow = max(self.clock.rightNow, at)
            claimed = self.frontier.claim(self.clock.seconds())
            assert claimed is not None
            ruling = self.ask(claimed)
            if ruling is None:
                self.frontier.finish(claimed, "ok", self.clock.seconds())
                return None
            if ruling.error is not None:
                self.frontier.finish(claimed, "skipped", self.clock.seconds())
                return ruling.error.code
            self.frontier.retry(claimed, self.clock.seconds())

    @property
    def next_start(self) -> float:
        return self.politeness.host(KEY, self.clock.seconds()).next_start


def rules(*lines: str) -> Response:
    return answer("\n".join(["User-agent: *", *lines]))


def test_an_open_gate():
    """Without robots and limits everybody may pass."""
    rig = Rig()
    assert [rig.gate.check(req(number)) for number in range(3)] == [None] * 3


def test_what_nobody_waits_for():
    """It is not asked for, once; when it has its record, its number is forgotten."""
    rig = Rig()
    rig.gate.give_up(7)
    ruling = rig.gate.check(req(7))
    assert isinstance(ruling, Ruling)
    assert ruling.error is not None
    assert ruling.error.code == "interrupted"
    assert rig.gate.check(req(8)) is None
    rig.gate.ended(7)
    assert rig.gate.check(req(7)) is None


class TestHostGivenUp:
    def test_it_is_not_asked(self):
        """Neither for a page nor for robots.txt."""
        rig = Rig(rules(), delay=1.0)
        host = rig.politeness.host(KEY, 0.0)
        for number in range(GIVE_UP_AFTER):
            host.overloaded(float(number), number + 0.5)
        assert rig.visit(req()) == "host_unavailable"
        assert rig.asked == 0


class TestMaxPages:
    def test_so_many_and_no_more(self):
        """Each input counts once, however often it comes by: hops and retries belong to it."""
        rig = Rig(max_pages=2)
        assert [rig.gate.check(req(number)) for number in (0, 1, 0, 1, 1)] == [None] * 5
        refused = rig.gate.check(req(2))
        assert isinstance(refused, Ruling)
        assert refused.error is not None
        assert (refused.error.code, refused.error.message) == ("budget_exceeded", "--max-pages 2")

    def test_pages_of_an_earlier_run_count(self):
        """A job that goes on has what is left of its budget."""
        rig = Rig(max_pages=3, pages=2)
        assert [rig.visit(req(number)) for number in range(3)] == [None, "budget_exceeded", "budget_exceeded"]

    def test_what_is_denied_does_not_count(self):
        """It was never fetched."""
        rig = Rig(rules("Disallow: /no"), max_pages=1)
        assert [rig.visit(req(n, p)) for n, p in enumerate(["/no", "/no/2", "/a", "/b"])] == [
            "robots_denied",
            "robots_denied",
            None,
            "budget_exceeded",
        ]

    def test_it_is_asked_about_before_robots_txt(self):
        """What will not be fetched needs no permission."""
        rig = Rig(rules(), max_pages=1, pages=1)
        assert rig.visit(req()) == "budget_exceeded"
        assert rig.asked == 0

    def test_the_last_page_releases_the_rest(self):
        """Not before it has ended: until then a retry of it has to wait its turn."""
        rig = Rig(max_pages=2, delay=50.0)
        assert [rig.visit(req(number)) for number in (0, 1)] == [None, None]
        assert rig.next_start == 100.0
        rig.gate.ended(0)
        assert rig.next_start == 100.0
        rig.gate.ended(1)
        assert rig.next_start == rig.clock.seconds() == 50.0
        assert KEY in rig.politeness.changed


class TestRobots:
    def test_asking_for_it_is_the_hosts_turn(self):
        """The request comes again: its page is asked for a delay later."""
        rig = Rig(rules(), delay=3.0)
        assert rig.visit(req()) is None
        assert (rig.asked, rig.clock.seconds(), rig.next_start) == (1, 3.0, 6.0)

    def test_the_delay_counts_from_the_answer(self):
        """Nobody knows when the host was asked, only that it was before that."""
        rig = Rig(None, delay=3.0)
        rig.frontier.add(req())
        claimed = rig.frontier.claim(0.0)
        assert claimed is not None
        waiting = rig.gate.check(claimed)
        assert isinstance(waiting, Deferred)
        rig.clock.advance(10.0)
        rig.waiting[0].callback(rules())
        assert rig.next_start == 13.0

    def test_what_is_refused_gives_its_turn_back(self):
        """The host was not asked: the next of its URLs need not wait."""
        rig = Rig(rules("Disallow: /no"), delay=3.0)
        assert rig.visit(req(0, "/a")) is None
        for number in range(1, 20):
            assert rig.visit(req(number, "/no")) == "robots_denied"
        assert rig.visit(req(20, "/b")) is None
        assert rig.clock.seconds() == 6.0

    def test_crawl_delay(self):
        """Of all its requests, from the first one on."""
        rig = Rig(rules("Crawl-delay: 7"), delay=1.0)
        assert [rig.visit(req(number)) for number in range(3)] == [None] * 3
        assert rig.clock.seconds() == 21.0

    def test_what_was_read_for_a_request_counts_for_it(self):
        """Whatever has been forgotten since: otherwise it would be read again and again."""
        rig = Rig(rules("Disallow: /no"))
        assert rig.ask(req(0, "/no")) == Ruling()
        assert rig.gate._robots is not None
        rig.gate._robots._known.clear()
        denied = rig.ask(req(0, "/no"))
        assert denied is not None
        assert denied.error is not None
        assert (denied.error.code, rig.asked) == ("robots_denied", 1)

    def test_one_that_cannot_be_read_is_asked_for_again(self):
        """`retries` times, not before robots says; until then the host starts nothing."""
        rig = Rig(answer(status=500), answer(status=500), rules("Disallow: /no"), retries=2)
        assert rig.visit(req()) is None
        assert (rig.asked, rig.clock.seconds()) == (3, FIRST_PAUSE + 2 * FIRST_PAUSE)

    def test_one_that_can_never_be_read(self):
        """Then its pages are not fetched; the next one does not begin from the start."""
        rig = Rig(answer(status=500), retries=1)
        assert rig.visit(req()) == "robots_unreachable"
        assert (rig.asked, rig.clock.seconds()) == (2, FIRST_PAUSE)
        assert rig.visit(req(1)) == "robots_unreachable"
        assert rig.asked == 2

    @pytest.mark.parametrize(
        ("code", "asked"),
        [("connect_refused", 3), ("connect_timeout", 3), ("dns_nxdomain", 3), ("tls_cert_expired", 1)],
    )
    def test_a_host_that_is_not_there(self, code, asked):
        """Its own error is told, soon; where another try cannot help, at once."""
        error = CodedError(code, "as the test says")
        rig = Rig(answer(status=None, error=error), retries=2)
        assert rig.visit(req()) == code
        assert (rig.asked, rig.clock.seconds()) == (asked, FIRST_PAUSE_OFFLINE * 3 if asked > 1 else 0.0)

    def test_cancelling(self):
        """Whoever waits for robots.txt may give up."""
        rig = Rig(None)
        waiting = rig.gate.check(req())
        assert isinstance(waiting, Deferred)
        failures: list[object] = []
        waiting.addErrback(lambda failure: failures.append(failure.type))
        waiting.cancel()
        assert failures == [CancelledError]


class TestSitemaps:
    @pytest.fixture
    def rig(self) -> Callable[[bool], Rig]:
        text = answer("User-agent: *\nDisallow: /no\nSitemap: /map.xml")
        return lambda names: Rig(text, names_sitemaps=names)

    def test_they_are_named_once(self, rig):
        """With the request for which robots.txt was asked first, even if that is denied."""
        asked = rig(True)
        assert asked.visit(req(5, "/no")) == "robots_denied"
        assert asked.visit(req(6)) is None
        assert asked.sitemaps == [(5, ("http://a.example/map.xml",))]

    def test_none_is_told_too(self):
        """Somebody may know where to look; but not of a host that is to be left alone."""
        asked = Rig(rules("Disallow: /no"), names_sitemaps=True)
        assert asked.visit(req(5)) is None
        assert asked.visit(req(6)) is None
        assert asked.sitemaps == [(5, ())]
        asked = Rig(answer("", 500), names_sitemaps=True, retries=0)
        assert asked.visit(req(5)) == "robots_unreachable"
        assert asked.sitemaps == []

    def test_when_it_is_not_obeyed(self):
        """Then it is read once, whatever it says and whether it can be read, and decides nothing."""
        text = answer("User-agent: *\nDisallow: /\nCrawl-delay: 20\nSitemap: /map.xml")
        for robots_txt, named in ((text, ("http://a.example/map.xml",)), (answer("", 500), ())):
            asked = Rig(robots_txt, names_sitemaps=True, obeys=False)
            assert [asked.visit(req(number)) for number in (5, 6, 7)] == [None] * 3
            assert asked.sitemaps == [(5, named)]
            assert asked.asked == 1
            assert asked.clock.seconds() < 5

    def test_only_if_wanted(self, rig):
        """Else nobody is told."""
        asked = rig(False)
        assert asked.visit(req()) is None
        assert asked.sitemaps == []


class TestDryRun:
    def test_nothing_is_asked_for_but_robots_txt(self):
        """The refusal says why the request would be made."""
        rig = Rig(rules("Disallow: /no"), dry_run=lambda request: f"as {request.id}")
        rig.ask(req(3))
        ruling = rig.ask(req(3))
        assert ruling is not None
        assert ruling.error is not None
        assert ruling.error.code == "dry_run"
        assert ruling.error.message.startswith("as 3; http://a.example/robots.txt")
        assert rig.visit(req(4, "/no")) == "robots_denied"

    def test_what_has_no_reason_is_made(self):
        """Those through which the others are found."""
        assert Rig(dry_run=lambda _: "").visit(req()) is None
