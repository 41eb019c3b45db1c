"""robots/policy.py: one fetch per origin, what each kind of answer means, and for how long."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from crawler.errors import CodedError
from crawler.models import Response, Timings
from crawler.robots.policy import LIFETIME, LONGEST_PAUSE, MAX_REDIRECTS, Robots, Verdict
from crawler.urls import Url, parse

HOST = "http://example.com"


def response(status: int | None = 200, body: bytes = b"", code: str | None = None, **headers: str) -> Response:
    """An answer; `location="/x"` becomes a header."""
    return Response(
        Timings(),
        0.0,
        status=status,
        body=body,
        headers={name: [value] for name, value in headers.items()},
        error=None if code is None else CodedError(code, "as the test says"),
    )


def rules(*lines: str) -> Response:
    return response(body="\n".join(["User-agent: *", *lines]).encode())


class Site:
    """Answers from a table: a Response, an exception, or None for an answer that comes later (`waiting`)."""

    def __init__(self, answers: dict[str, Response | Exception | None] | None = None, **options: int) -> None:
        self.answers = answers or {}
        self.asked: list[str] = []
        self.waiting: list[Deferred[Response]] = []
        self.cancelled = 0
        self.when_cancelled: Callable[[], object] = lambda: None
        self.clock = Clock()
        self.robots = Robots(
            self.fetch, send=lambda request, _: self.fetch(request.url), clock=self.clock, token="FooBot", **options
        )

    def fetch(self, url: Url) -> Deferred[Response]:
        self.asked.append(url.href)
        answer = self.answers.get(url.href)
        if isinstance(answer, Exception):
            return fail(answer)
        if answer is not None:
            return succeed(answer)
        waiting: Deferred[Response] = Deferred(self.was_cancelled)
        self.waiting.append(waiting)
        return waiting

    def was_cancelled(self, _: object) -> None:
        self.cancelled += 1
        self.when_cancelled()

    def check(self, url: str) -> Verdict:
        """The verdict on a URL of which everything is known, or is answered at once."""
        verdict = self.robots.check(parse(url))
        if isinstance(verdict, Deferred):
            results: list[Verdict] = []
            verdict.addCallback(results.append)
            for _ in range(1_000):  # a long file is read in many turns of the reactor
                if results:
                    break
                self.clock.advance(0)
            (verdict,) = results
        if verdict.later is not None:
            later: list[Verdict] = []
            verdict.later.addCallback(later.append)
            (verdict,) = later
        return verdict


def site(answer: Response | Exception | None, **options: int) -> Site:
    return Site({f"{HOST}/robots.txt": answer}, **options)


def denied(url: str, asked: Site) -> str:
    error = asked.check(url).error
    assert error is not None
    assert error.code == "robots_denied"
    return error.message


def unreachable(url: str, asked: Site) -> Verdict:
    verdict = asked.check(url)
    assert verdict.error is not None
    assert verdict.error.code == "robots_unreachable"
    assert verdict.error.transient
    assert not verdict.allowed
    return verdict


class TestVerdict:
    def test_the_line_is_named(self):
        """A denial quotes the line that decided and where it stands; so does what allows by a line."""
        asked = site(rules("Disallow: /private/", "Allow: /private/x"))
        assert denied(f"{HOST}/private/y", asked) == f"{HOST}/robots.txt line 2: Disallow: /private/"
        verdict = asked.check(f"{HOST}/private/x?y")
        assert verdict.allowed
        assert verdict.reason == f"{HOST}/robots.txt line 3: Allow: /private/x"
        assert verdict.rule is not None and verdict.rule.line == 3

    def test_what_no_line_is_about_is_allowed(self):
        """The reason says so."""
        verdict = site(rules("Disallow: /private/")).check(f"{HOST}/")
        assert verdict.allowed
        assert verdict.reason == f"{HOST}/robots.txt: no line is about it"

    def test_delay_and_sitemaps_come_with_every_verdict(self):
        """Crawl-delay and sitemaps belong to the origin, so allowed or not, they are told. Sitemaps are made absolute."""
        answer = rules(
            "Crawl-delay: 2", "Disallow: /x", "Sitemap: /s.xml", "Sitemap: http://[", "Sitemap: http://H/s#x"
        )
        asked = site(answer)
        for path in ("/", "/x"):
            verdict = asked.check(HOST + path)
            assert verdict.crawl_delay == 2.0
            assert verdict.sitemaps == (f"{HOST}/s.xml", "http://h/s")

    def test_our_group_counts(self):
        """The product token chooses the group, not the whole User-Agent."""
        asked = site(response(body=b"user-agent: *\ndisallow: /\nuser-agent: foobot\ndisallow: /x"))
        assert asked.check(f"{HOST}/").allowed
        assert not asked.check(f"{HOST}/x").allowed


class TestExplaining:
    def test_what_is_known_is_told_and_nobody_asked(self):
        """Before anybody needed it, while it comes, and what it says then: by whom a URL is allowed or denied."""
        asked = site(None)
        url = parse(f"{HOST}/private/x")
        assert asked.robots.explain(url) == "nobody has asked for it yet"
        assert asked.asked == []
        asked.robots.check(url)
        assert asked.robots.explain(url) == "it is being asked for"
        asked.waiting[0].callback(rules("Disallow: /private/"))
        assert asked.robots.explain(url) == f"robots_denied: {HOST}/robots.txt line 2: Disallow: /private/"
        assert asked.robots.explain(parse("http://example.com./x")) == (
            f"allowed: {HOST}/robots.txt: no line is about it"
        )
        assert len(asked.asked) == 1

    def test_what_could_not_be_read(self):
        """Is told with the reason."""
        asked = site(response(503))
        asked.check(f"{HOST}/x")
        assert asked.robots.explain(parse(f"{HOST}/x")).startswith(f"robots_unreachable: {HOST}/robots.txt: status 503")


class TestAnswers:
    @pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 418, 451, 499])
    def test_a_client_error_allows_all(self, status):
        """RFC 9309 section 2.3.1.3: there is no robots.txt, whatever the body says."""
        verdict = site(response(status, b"user-agent: *\ndisallow: /")).check(f"{HOST}/x")
        assert verdict.allowed
        assert verdict.reason == f"{HOST}/robots.txt: status {status}"

    @pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 599, 600, 999, 101])
    def test_a_server_error_denies_all(self, status):
        """Section 2.3.1.4: the rules are not known, so nothing may be fetched. 429 means later, too, and so does 408."""
        verdict = unreachable(f"{HOST}/x", site(response(status, b"user-agent: *\nallow: /")))
        assert verdict.error is not None and f"status {status}; asked again in 60 s" in verdict.error.message

    @pytest.mark.parametrize(
        "answer",
        [
            CodedError("dns_nxdomain", "no such host"),
            CodedError("connect_refused"),
            response(None, code="timeout_headers"),
            response(200, b"user-agent: *\n", "body_truncated"),
            response(200, b"", "decode_error"),
            response(200, b"", "body_too_large"),
        ],
    )
    def test_no_whole_answer_denies_all(self, answer):
        """Network errors and cut answers do, too; the root cause is in the message."""
        verdict = unreachable(f"{HOST}/x", site(answer))
        cause = answer if isinstance(answer, CodedError) else answer.error
        assert verdict.error is not None and str(cause) in verdict.error.message

    def test_a_body_beyond_the_limit_is_as_good_as_whole(self):
        """What was read of a huge robots.txt counts."""
        body = b"user-agent: *\ndisallow: /x\n" + b"#" * 600_000
        asked = site(response(200, body, "body_too_large"))
        assert denied(f"{HOST}/x", asked)
        assert asked.check(f"{HOST}/y").allowed

    @pytest.mark.parametrize(
        "body", [b"", b"<!doctype html><p>Not found", bytes(range(256)) * 9, b"\xff\xfeD\0i\0", b"\x1f\x8b\x08\0"]
    )
    def test_junk_has_no_rules(self, body):
        """A page, a picture or nothing at all with status 200 denies nothing."""
        assert site(response(200, body)).check(f"{HOST}/x").allowed

    def test_any_success_counts(self):
        """Section 2.3.1.1 knows no other status than success: 206 and 203 are."""
        assert not site(response(203, b"user-agent: *\ndisallow: /")).check(f"{HOST}/x").allowed
        assert site(response(204)).check(f"{HOST}/x").allowed


class TestRedirects:
    def test_five_are_followed_even_to_other_hosts(self):
        """Section 2.3.1.2: the rules at the end hold for the origin that was asked, and name the file they are in."""
        hops = [f"http://h{number}.example/robots.txt" for number in range(MAX_REDIRECTS)]
        chain = [f"{HOST}/robots.txt", *hops]
        asked = Site({start: response(301, location=end) for start, end in zip(chain, hops, strict=False)})
        asked.answers[hops[-1]] = rules("Disallow: /x", "Sitemap: s.xml")
        assert denied(f"{HOST}/x", asked) == f"{hops[-1]} line 2: Disallow: /x"
        assert asked.check(f"{HOST}/").sitemaps == ("http://h4.example/s.xml",)
        assert asked.asked == chain

    def test_a_relative_redirect(self):
        """It is resolved against the hop that sent it."""
        asked = site(response(308, location="/r/1"))
        asked.answers |= {f"{HOST}/r/1": response(302, location="2"), f"{HOST}/r/2": rules("Disallow: /")}
        assert not asked.check(f"{HOST}/x").allowed

    @pytest.mark.parametrize(
        "location", ["robots.txt?1", "ftp://h/robots.txt", "http://[", "", "javascript:alert(1)", "/robots.txt"]
    )
    def test_to_nowhere(self, location):
        """Endless, circular and impossible redirects mean that there is no robots.txt."""
        asked = site(response(301, location=location))
        asked.answers |= {
            f"{HOST}/robots.txt?{number}": response(307, location=f"?{number + 1}") for number in range(99)
        }
        assert asked.check(f"{HOST}/x").allowed
        assert len(asked.asked) <= 1 + MAX_REDIRECTS

    def test_to_an_error(self):
        """What the last hop answers counts."""
        asked = site(response(301, location="https://example.com/robots.txt"))
        asked.answers["https://example.com/robots.txt"] = response(503)
        unreachable(f"{HOST}/x", asked)

    def test_the_other_origin_is_asked_for_itself(self):
        """What a redirect led to is not taken for the robots.txt of that other origin."""
        asked = site(response(301, location="http://other.example/r"))
        asked.answers["http://other.example/r"] = rules("Disallow: /")
        asked.answers["http://other.example/robots.txt"] = response(404)
        assert not asked.check(f"{HOST}/").allowed
        assert asked.check("http://other.example/").allowed


class TestOrigins:
    def test_scheme_host_and_port_make_an_origin(self):
        """Each has its own robots.txt; the root dot and how a URL is written make no difference."""
        asked = Site()
        urls = [
            "http://h/a",
            "http://h:80/b",
            "HTTP://H./c",
            "https://h/d",
            "http://h:81/",
            "http://h.:81/",
            "http://i/",
        ]
        for url in urls:
            asked.robots.check(parse(url))
        assert asked.asked == [
            f"{origin}/robots.txt" for origin in ("http://h", "https://h", "http://h:81", "http://i")
        ]

    def test_a_password_is_not_sent_along(self):
        """robots.txt is public."""
        asked = Site()
        asked.robots.check(parse("http://u:p@h/"))
        assert asked.asked == ["http://h/robots.txt"]


class SharingTests(SynchronousTestCase):
    def check(self, asked: Site, path: str) -> Deferred[Verdict]:
        verdict = asked.robots.check(parse(HOST + path))
        assert isinstance(verdict, Deferred)
        return verdict

    def test_all_wait_for_one_fetch(self):
        """While robots.txt is on its way, everybody waits for the same answer and gets a verdict of his own."""
        asked = site(None)
        verdicts = [self.check(asked, path) for path in ("/a", "/x", "/b")]
        for verdict in verdicts:
            self.assertNoResult(verdict)
        asked.waiting[0].callback(rules("Disallow: /x"))
        assert [self.successResultOf(verdict).allowed for verdict in verdicts] == [True, False, True]
        assert len(asked.asked) == 1
        assert isinstance(asked.robots.check(parse(f"{HOST}/c")), Verdict)

    def test_one_who_leaves_disturbs_nobody(self):
        """Cancelling cancels for oneself; the fetch goes on for the others."""
        asked = site(None)
        leaver, stayer = self.check(asked, "/a"), self.check(asked, "/b")
        leaver.cancel()
        self.failureResultOf(leaver, CancelledError)
        assert asked.cancelled == 0
        asked.waiting[0].callback(rules())
        assert self.successResultOf(stayer).allowed

    def test_the_last_who_leaves_turns_off_the_light(self):
        """When all have cancelled, the fetch is cancelled, and the next who asks begins anew."""
        asked = site(None)
        verdicts = [self.check(asked, "/a"), self.check(asked, "/b")]
        for verdict in verdicts:
            verdict.cancel()
            self.failureResultOf(verdict, CancelledError)
        assert asked.cancelled == 1
        again = self.check(asked, "/a")
        asked.waiting[1].callback(rules())
        assert self.successResultOf(again).allowed

    def test_who_asks_during_the_cancellation_begins_anew(self):
        """A fetch that is being cancelled has nothing to tell to anybody."""
        asked = site(None)
        verdict = self.check(asked, "/a")
        again: list[Deferred[Verdict]] = []
        asked.when_cancelled = lambda: again.append(self.check(asked, "/b"))
        verdict.cancel()
        self.failureResultOf(verdict, CancelledError)
        asked.waiting[1].callback(rules())
        assert self.successResultOf(again[0]).allowed

    def test_a_cancelled_fetch_is_passed_on(self):
        """Who cancels the fetch itself, at the end of a run, is not taken for a server that does not answer."""
        asked = site(None)
        verdict = self.check(asked, "/a")
        asked.waiting[0].cancel()
        self.failureResultOf(verdict, CancelledError)
        asked.answers[f"{HOST}/robots.txt"] = rules()
        assert self.successResultOf(self.check(asked, "/a")).allowed

    def test_who_waits_may_cancel_others(self):
        """A verdict that makes another waiter leave, or ask again, breaks nothing."""
        asked = site(None)
        first, second = self.check(asked, "/a"), self.check(asked, "/b")
        more: list[object] = []
        first.addCallback(lambda _: (second.cancel(), more.append(asked.robots.check(parse(f"{HOST}/c")))))
        asked.waiting[0].callback(rules())
        self.successResultOf(first)
        self.failureResultOf(second, CancelledError)
        assert isinstance(more[0], Verdict)

    def test_a_bug_in_the_fetch_denies_and_is_logged(self):
        """Whatever comes out of the fetch, even at once, is a verdict; what nobody expected is in the log."""

        def broken(_: Url) -> Deferred[Response]:
            raise ZeroDivisionError("oops")

        robots = Robots(broken, send=lambda request, _: broken(request.url), clock=Clock(), token="x")
        verdict = robots.check(parse(f"{HOST}/"))
        assert isinstance(verdict, Deferred)
        error = self.successResultOf(verdict).error
        assert error is not None and error.code == "robots_unreachable" and "ZeroDivisionError: oops" in error.message
        assert len(self.flushLoggedErrors(ZeroDivisionError)) == 1


class TestTime:
    def test_rules_hold_for_a_day(self):
        """Section 2.4: after 24 hours robots.txt is read again."""
        asked = site(rules("Disallow: /x"))
        assert not asked.check(f"{HOST}/x").allowed
        asked.answers[f"{HOST}/robots.txt"] = rules()
        asked.clock.advance(LIFETIME - 1)
        assert not asked.check(f"{HOST}/x").allowed
        asked.clock.advance(1)
        assert asked.check(f"{HOST}/x").allowed
        assert len(asked.asked) == 2

    def test_what_does_not_answer_is_asked_again_ever_more_slowly(self):
        """After 60 s, then 120, to at most an hour; each verdict says when, and how often it has failed."""
        asked = site(response(503))
        waits = []
        for _ in range(9):
            verdict = unreachable(f"{HOST}/x", asked)
            waits.append(verdict.retry_in)
            asked.clock.advance(verdict.retry_in - 1)
            assert unreachable(f"{HOST}/x", asked).retry_in == 1.0
            asked.clock.advance(1)
        assert waits == [60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE]
        assert verdict.failures == 9
        asked.answers[f"{HOST}/robots.txt"] = rules()
        assert asked.check(f"{HOST}/x").failures == 0
        assert len(asked.asked) == 10

    @pytest.mark.parametrize("code", ["dns_nxdomain", "connect_refused", "connect_timeout", "tls_cert_expired"])
    def test_a_host_that_is_not_there(self, code):
        """The verdict tells what the connection failed with: a page would meet the same. It may be over soon: 2 s, 4 s."""
        for answer in (response(None, code=code), CodedError(code, "as the test says")):
            asked = site(answer)
            waits = []
            for _ in range(3):
                verdict = asked.check(f"{HOST}/x")
                assert isinstance(verdict, Verdict)
                assert verdict.error is not None
                assert verdict.error.code == "robots_unreachable"
                assert verdict.cause is not None
                assert (verdict.cause.code, verdict.cause.message) == (code, "as the test says")
                waits.append(verdict.retry_in)
                asked.clock.advance(verdict.retry_in)
            assert waits == [2.0, 4.0, 8.0]

    @pytest.mark.parametrize(
        "answer", [response(503), response(None, code="conn_reset"), response(None, code="timeout_headers")]
    )
    def test_a_host_that_is_there_but_does_not_answer(self, answer):
        """That is about robots.txt alone: a page may well be answered."""
        verdict = site(answer).check(f"{HOST}/x")
        assert verdict.cause is None
        assert verdict.retry_in == 60.0

    def test_known_rules_hold_while_robots_txt_is_unreachable(self):
        """Section 2.4: then the cached rules may be used for longer. They are asked for again and again all the same."""
        asked = site(rules("Disallow: /x", "Crawl-delay: 3"))
        asked.check(f"{HOST}/")
        asked.answers[f"{HOST}/robots.txt"] = response(500)
        asked.clock.advance(LIFETIME)
        verdict = asked.check(f"{HOST}/y")
        assert verdict.allowed and verdict.crawl_delay == 3.0 and verdict.failures == 1
        assert verdict.reason.endswith("no line is about it (as it was before: status 500)")
        assert denied(f"{HOST}/x", asked).endswith("line 2: Disallow: /x (as it was before: status 500)")
        asked.clock.advance(60)
        assert asked.check(f"{HOST}/y").failures == 2
        asked.answers[f"{HOST}/robots.txt"] = rules("Disallow: /y")
        asked.clock.advance(120)
        assert denied(f"{HOST}/y", asked).endswith("line 2: Disallow: /y")

    def test_unreachable_at_first_denies_until_it_is_read(self):
        """Without rules from before nothing is allowed, however long."""
        asked = site(CodedError("connect_refused"))
        for _ in range(40):
            asked.clock.advance(unreachable(f"{HOST}/x", asked).retry_in)


class TestMemory:
    def test_origins_that_were_not_asked_about_longest_go(self):
        """No more than `max_origins` are known."""
        asked = Site({f"http://h{number}/robots.txt": rules() for number in range(4)}, max_origins=3)
        for number in (0, 1, 2, 0, 3):
            asked.check(f"http://h{number}/")
        asked.asked.clear()
        for number in (0, 2, 3):
            asked.check(f"http://h{number}/")
        assert asked.asked == []
        asked.check("http://h1/")
        assert asked.asked == ["http://h1/robots.txt"]

    def test_large_files_leave_room_for_fewer(self):
        """The rules that are kept are bounded in sum; the latest always is kept."""
        large = rules(*(f"Disallow: /{number}" for number in range(1_000)))
        asked = Site({f"http://h{number}/robots.txt": large for number in range(3)}, max_size=500_000)
        for number in (0, 1, 2):
            assert not asked.check(f"http://h{number}/7").allowed
        asked.asked.clear()
        assert not asked.check("http://h2/7").allowed
        assert asked.asked == []
        assert not asked.check("http://h0/7").allowed
        assert asked.asked == ["http://h0/robots.txt"]

    def test_reading_again_takes_no_more_room(self):
        """What is replaced does not count any longer, and one origin is known however large its rules."""
        large = rules(*(f"Disallow: /{number}" for number in range(1_000)))
        asked = Site({"http://h/robots.txt": large, "http://i/robots.txt": rules()}, max_size=500_000)
        for _ in range(5):
            asked.check("http://h/")
            asked.check("http://i/")
            asked.clock.advance(LIFETIME)
        assert len(asked.asked) == 10
        asked.check("http://i/")
        asked.check("http://h/")
        assert not asked.check("http://h/7").allowed
        asked.check("http://i/")
        assert len(asked.asked) == 12
        tiny = Site({"http://h/robots.txt": large}, max_size=1)
        assert not tiny.check("http://h/7").allowed
        assert not tiny.check("http://h/7").allowed
        assert len(tiny.asked) == 1


answers = st.one_of(
    st.builds(
        response,
        st.one_of(st.none(), st.integers(100, 999)),
        st.binary(max_size=60) | st.binary(max_size=40).map(b"user-agent: *\ndisallow: /".__add__),
        st.sampled_from([None, "body_too_large", "body_truncated", "conn_reset"]),
        location=st.sampled_from(["/robots.txt", "/r", "http://other.example/", "http://[", "\xff", ""]),
    ),
    st.sampled_from([CodedError("dns_error"), CodedError("timeout_total")]),
)


@given(answers, answers, st.sampled_from([0.0, 59.0, 61.0, LIFETIME]))
def test_any_answer_gives_a_verdict(first, second, later):
    """Nothing that a server does raises, and every refusal has one of the two codes."""
    asked = Site(
        {f"{HOST}/{path}": second for path in ("r", "%FF")}
        | {f"{HOST}/robots.txt": first, "http://other.example/": second}
    )
    for _ in range(2):
        verdict = asked.check(f"{HOST}/x?y")
        assert verdict.error is None or verdict.error.code in {"robots_denied", "robots_unreachable"}
        assert verdict.allowed is bool(verdict.reason)
        asked.clock.advance(later)


class TestLongFiles:
    """What takes long to read is read in steps, one in each turn of the reactor, however many files there are."""

    LONG = tuple(f"Disallow: /*a{number}*b" for number in range(5_000))

    def waiting(self, *hosts: str) -> tuple[Site, list[Verdict]]:
        asked = Site({f"http://{host}/robots.txt": rules(*self.LONG, "Allow: /x") for host in hosts})
        verdicts: list[Verdict] = []
        for host in hosts:
            waiter = asked.robots.check(parse(f"http://{host}/a4999b"))
            assert isinstance(waiter, Deferred)
            waiter.addCallback(verdicts.append)
        return asked, verdicts

    def turn(self, clock: Clock) -> None:
        """One turn of a reactor; Clock.advance would go on with what is called later in it."""
        due, clock.calls = clock.calls, []
        assert len(due) == 1
        for call in due:
            call.called = 1
            call.func(*call.args, **call.kw)

    def turns(self, *hosts: str) -> int:
        asked, verdicts = self.waiting(*hosts)
        turns = 0
        while len(verdicts) < len(hosts):
            self.turn(asked.clock)
            turns += 1
        assert {str(verdict.rule) for verdict in verdicts} == {"line 5001: Disallow: /*a4999*b"}
        return turns

    def test_in_steps(self):
        """A tenth of a megabyte takes a dozen turns; three of them three times as many, not three steps in each."""
        one = self.turns("a.example")
        assert one > 10
        assert self.turns("a.example", "b.example", "c.example") > 2.5 * one

    def test_nobody_waits_any_more(self):
        """Then it is not read to its end."""
        asked = site(rules(*self.LONG))
        waiter = asked.robots.check(parse(f"{HOST}/"))
        assert isinstance(waiter, Deferred)
        failures: list[object] = []
        waiter.addErrback(failures.append)
        self.turn(asked.clock)
        waiter.cancel()
        assert len(failures) == 1
        assert asked.clock.getDelayedCalls() == []
        assert asked.check(f"{HOST}/a7b").error is not None
