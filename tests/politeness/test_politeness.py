"""politeness/{controller,rate_headers}.py: how one host's signals join, and what the headers in which a host speaks mean."""

from __future__ import annotations

import email.utils
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.errors import CodedError
from crawler.models import Response, Timings
from crawler.politeness.controller import HostLimits, Politeness
from crawler.politeness.host import HostControl
from crawler.politeness.pace import Pace, Rate
from crawler.politeness.rate_headers import LONGEST, retry_after

WALL = 1_750_000_000.0  # Sun, 15 Jun 2025 15:06:40 GMT
KEY = "example.com:80"


def response(status: int | None = 200, code: str | None = None, **headers: str) -> Response:
    """An answer; `retry_after="5"` becomes the header retry-after: 5."""
    return Response(
        Timings(total=1.0),
        WALL - 1.0,
        status=status,
        headers={name.replace("_", "-"): [value] for name, value in headers.items()},
        error=None if code is None else CodedError(code),
    )


def answer(
    politeness: Politeness, now: float, got: Response | None = None, started: float | None = None
) -> float | None:
    """One whole request that ends at `now`."""
    host = politeness.host(KEY, now)
    host.start(now if started is None else started)
    wait = politeness.observe(KEY, got or response(), started=now if started is None else started, now=now)
    host.end()
    return wait


def good_answers(politeness: Politeness, number: int, now: float) -> None:
    for _ in range(number):
        answer(politeness, now)


class TestConfigured:
    def test_a_new_host_allows_what_is_configured(self):
        """Nothing binds a host that was never asked."""
        host = Politeness(per_host=3, delay=0.5).host(KEY, 0.0)
        assert (host.limit, host.in_flight, host.delay) == (3, 0, 0.5)
        assert host.next_start <= 0.0
        assert host.binding(0.0) is None

    def test_per_host_binds(self):
        """With as many requests at once as configured, `per_host` is what keeps the next one."""
        host = Politeness(per_host=2).host(KEY, 0.0)
        host.start(0.0)
        assert host.binding(0.0) is None
        host.start(0.0)
        assert host.binding(0.0) == "per_host"
        host.end()
        assert host.binding(0.0) is None

    def test_delay_counts_from_start_to_start(self):
        """The next request may start `delay` after the last one started, whether or not that has ended."""
        host = Politeness(per_host=8, delay=0.5).host(KEY, 10.0)
        host.start(10.0)
        assert host.next_start == 10.5
        assert host.binding(10.4) == "delay"
        assert host.binding(10.5) is None

    def test_crawl_delay_raises_the_delay(self):
        """robots.txt's Crawl-delay counts where it is longer than the configured one; the same again changes nothing."""
        host = Politeness(delay=0.5).host(KEY, 10.0)
        host.start(10.0)
        host.crawl_delay(0.1, 10.0)
        assert (host.delay, host.next_start) == (0.5, 10.5)
        host.crawl_delay(3.0, 11.0)
        assert (host.delay, host.next_start) == (3.0, 14.0)
        assert host.binding(12.0) == "crawl_delay"
        host.crawl_delay(3.0, 13.0)
        assert host.next_start == 14.0

    def test_crawl_delay_is_not_taken_for_backoff(self):
        """Delays that binary fractions cannot hold still add up: nothing was slowed, so nothing says so."""
        host = Politeness(delay=0.1).host(KEY, 0.0)
        for seconds in (0.3, 0.7, 1.1, 0.2):
            host.crawl_delay(seconds, 0.0)
            assert host.delay == seconds
            assert host.binding(0.0) == "crawl_delay"

    def test_crawl_delay_is_capped(self):
        """Half a minute is the most that robots.txt may ask; a longer configured delay stays."""
        host = Politeness().host(KEY, 0.0)
        host.crawl_delay(86_400.0, 0.0)
        assert host.delay == 30.0
        slow = Politeness(delay=45.0).host(KEY, 0.0)
        slow.crawl_delay(86_400.0, 0.0)
        assert slow.delay == 45.0

    def test_crawl_delay_keeps_what_backoff_added(self):
        """A slowed host that gets a crawl delay has both."""
        politeness = Politeness()
        answer(politeness, 1.0, response(503))
        host = politeness.host(KEY, 1.0)
        host.crawl_delay(5.0, 1.0)
        assert host.delay == 5.25
        good_answers(politeness, 10, 20.0)
        assert host.delay == 5.0


class TestAsked:
    """To connect takes a while: the distance counts from when the request was really sent."""

    def test_a_request_that_is_not_sent_yet(self):
        """It binds like the delay whose count has not begun."""
        politeness = Politeness(delay=5.0)
        host = politeness.host(KEY, 0.0)
        host.start(0.0, 7)
        assert (host.unsent, host.binding(99.0)) == (7, "delay")
        politeness.sent(KEY, 7, 2.0)
        assert (host.unsent, host.next_start, host.binding(7.0)) == (None, 7.0, None)
        assert list(politeness.changed) == [KEY]

    def test_another_one_does_not_count(self):
        """A younger request's news say nothing of the one that waits."""
        host = HostControl(2, 5.0)
        host.start(0.0, 7)
        host.end(6)
        host.asked(1.0, 6)
        assert host.unsent == 7
        host.end(7)
        assert host.unsent is None

    def test_a_later_start_counts(self):
        """News that come late do not shorten what was begun."""
        host = HostControl(2, 5.0)
        host.start(5.0, 7)
        host.asked(1.0)
        assert host.next_start == 10.0


class TestBackoff:
    @pytest.mark.parametrize("status", [429, 503, 504, 522, 524])
    def test_an_overloaded_answer_halves(self, status):
        """It halves the requests at once and puts a quarter of a second between starts."""
        politeness = Politeness(per_host=8)
        answer(politeness, 1.0, response(status))
        host = politeness.host(KEY, 1.0)
        assert (host.limit, host.delay, host.next_start) == (4, 0.25, 1.25)
        assert host.binding(1.1) == "backoff"

    @pytest.mark.parametrize(
        "code",
        ["timeout_headers", "timeout_idle", "timeout_total", "timeout_tls", "conn_reset", "empty_reply", "too_slow"],
    )
    def test_timeouts_and_resets_halve(self, code):
        """A host that stalls or hangs up is overloaded, though it sends no status."""
        politeness = Politeness(per_host=8)
        answer(politeness, 1.0, response(None, code))
        assert politeness.host(KEY, 1.0).limit == 4

    @pytest.mark.parametrize("status", [500, 502, 501])
    def test_a_server_error_is_neither_good_nor_bad(self, status):
        """A broken page says nothing about load: it neither slows the host nor helps it to recover."""
        politeness = Politeness(per_host=8)
        answer(politeness, 1.0, response(503))
        for _ in range(30):
            answer(politeness, 2.0, response(status))
        assert politeness.host(KEY, 2.0).limit == 4

    @pytest.mark.parametrize(
        "code", ["dns_timeout", "tls_cert_expired", "http_bad_chunk", "body_truncated", "local_fd_limit"]
    )
    def test_other_errors_do_not_count(self, code):
        """What is not a sign of load changes nothing."""
        politeness = Politeness(per_host=8)
        answer(politeness, 1.0, response(None, code))
        assert politeness.host(KEY, 1.0).limit == 8

    def test_a_host_that_never_answered_is_not_slowed_by_connect_timeouts(self):
        """A dead host gains nothing from being asked more slowly; one that answered before does."""
        politeness = Politeness(per_host=8)
        answer(politeness, 1.0, response(None, "connect_timeout"))
        assert politeness.host(KEY, 1.0).limit == 8
        answer(politeness, 2.0, response(404))
        answer(politeness, 3.0, response(None, "connect_timeout"))
        assert politeness.host(KEY, 3.0).limit == 4

    def test_halving_ends_at_one_and_doubling_at_a_minute(self):
        """However bad it is, one request a minute stays, until the host is given up."""
        politeness = Politeness(per_host=8)
        delays = []
        for n in range(9):
            answer(politeness, 1000.0 * (n + 1), response(503))
            delays.append(politeness.host(KEY, 0.0).delay)
        assert politeness.host(KEY, 0.0).limit == 1
        assert delays == [0.25, 0.5, 1, 2, 4, 8, 16, 32, 60]

    def test_a_configured_delay_is_doubled(self):
        """Doubling starts from the configured delay, and never goes below it."""
        politeness = Politeness(delay=1.0)
        answer(politeness, 1.0, response(503))
        assert politeness.host(KEY, 1.0).delay == 2.0
        slow = Politeness(delay=90.0)
        answer(slow, 1.0, response(503))
        assert slow.host(KEY, 1.0).delay == 90.0

    def test_a_burst_is_one_signal(self):
        """Failures of requests that were in flight when the host was slowed down tell the same news again."""
        politeness = Politeness(per_host=8)
        for ended in (5.0, 5.0, 5.1, 6.0, 30.0):
            answer(politeness, ended, response(503), started=4.0)
        host = politeness.host(KEY, 30.0)
        assert (host.limit, host.delay) == (4, 0.25)
        answer(politeness, 31.0, response(503), started=5.5)
        assert host.limit == 2

    def test_ten_good_answers_give_one_back(self):
        """Ten give one request at once back and halve what was added to the delay, until all is as configured."""
        politeness = Politeness(per_host=8, delay=1.0)
        for n in (1.0, 100.0, 200.0):
            answer(politeness, n, response(503))
        host = politeness.host(KEY, 200.0)
        assert (host.limit, host.delay) == (1, 8.0)
        good_answers(politeness, 9, 300.0)
        assert (host.limit, host.delay) == (1, 8.0)
        seen = []
        for count in (1, *[10] * 8):
            good_answers(politeness, count, 300.0)
            seen.append((host.limit, host.delay))
        assert seen == [(2, 4.5), (3, 2.75), (4, 1.875), (5, 1.4375), (6, 1.0), (7, 1.0), (8, 1.0), (8, 1.0), (8, 1.0)]
        assert not host.slowed

    def test_the_delay_recovers_when_the_limit_cannot_rise(self):
        """A host that is allowed one request at once anyway gets its delay back."""
        politeness = Politeness(per_host=1)
        for n in (1.0, 100.0, 200.0):
            answer(politeness, n, response(503))
        assert politeness.host(KEY, 200.0).delay == 1.0
        good_answers(politeness, 30, 300.0)
        assert politeness.host(KEY, 300.0).delay == 0.0

    def test_a_failure_starts_the_count_again(self):
        """Nine good answers before a failure are forgotten."""
        politeness = Politeness(per_host=8)
        answer(politeness, 1.0, response(503))
        good_answers(politeness, 9, 2.0)
        answer(politeness, 3.0, response(503))
        good_answers(politeness, 9, 4.0)
        assert politeness.host(KEY, 4.0).limit == 2

    def test_old_good_answers_do_not_count(self):
        """A good answer to a request started before the slow-down says nothing about what came after."""
        politeness = Politeness(per_host=8)
        answer(politeness, 5.0, response(503))
        for _ in range(20):
            answer(politeness, 6.0, started=4.0)
        assert politeness.host(KEY, 6.0).limit == 4

    def test_a_raised_limit_is_told(self):
        """The frontier learns from `changed` that a host has room without a request having ended."""
        politeness = Politeness(per_host=8)
        answer(politeness, 1.0, response(503))
        good_answers(politeness, 9, 2.0)
        assert list(politeness.changed) == []
        good_answers(politeness, 1, 2.0)
        assert list(politeness.changed) == [KEY]

    def test_adaptive_off(self):
        """`--no-adaptive` ends the halving, but what the host asks for is obeyed."""
        politeness = Politeness(per_host=8, adaptive=False)
        answer(politeness, 1.0, response(503, retry_after="20"))
        host = politeness.host(KEY, 1.0)
        assert (host.limit, host.delay, host.next_start) == (8, 0.0, 21.0)
        answer(politeness, 30.0, response(None, "conn_reset"))
        assert host.limit == 8


def slow_down(politeness: Politeness, times: int, got: Response | None = None) -> HostControl:
    """That many rounds of trouble, each long after the last one."""
    host = politeness.host(KEY, 0.0)
    for _ in range(times):
        answer(politeness, host.next_start + 1.0, got or response(503))
    return host


class TestGivenUp:
    def test_ten_slow_downs_in_a_row(self):
        """The tenth without a good answer in between is the last; the refusal names the host and its trouble."""
        politeness = Politeness()
        assert not slow_down(politeness, 9).given_up
        assert politeness.refusal(KEY) is None
        assert slow_down(politeness, 1).given_up
        refusal = politeness.refusal(KEY)
        assert refusal is not None
        assert (refusal.code, refusal.phase, refusal.transient) == ("host_unavailable", "policy", True)
        assert refusal.message == "example.com:80 failed 10 times in a row (http 503), not asked any more"

    def test_the_last_trouble_is_named(self):
        """An error by its code, also when it came after a good status."""
        politeness = Politeness()
        slow_down(politeness, 9)
        slow_down(politeness, 1, response(200, "timeout_idle"))
        assert "(timeout_idle)" in str(politeness.refusal(KEY))

    def test_a_burst_is_one(self):
        """What was in flight together counts once."""
        politeness = Politeness(per_host=64)
        for _ in range(64):
            answer(politeness, 5.0, response(503), started=4.0)
        assert not politeness.host(KEY, 5.0).given_up
        assert not slow_down(politeness, 8).given_up
        assert slow_down(politeness, 1).given_up

    @pytest.mark.parametrize("age", [0.0, 100.0])
    def test_a_good_answer_starts_the_count_again(self, age):
        """Also to an old request: the host lives."""
        politeness = Politeness()
        now = slow_down(politeness, 9).next_start
        politeness.observe(KEY, response(404), started=now - age, now=now)
        assert not slow_down(politeness, 9).given_up
        assert slow_down(politeness, 1).given_up

    @pytest.mark.parametrize("got", [response(500), response(None, "http_bad_chunk"), response(None, "dns_timeout")])
    def test_what_is_neither_good_nor_bad_does_not_count(self, got):
        """Errors of another kind neither bring the end nearer nor put it off."""
        politeness = Politeness()
        host = slow_down(politeness, 9)
        for _ in range(20):
            answer(politeness, host.next_start + 1.0, got)
        assert not host.given_up
        assert slow_down(politeness, 1).given_up

    def test_its_urls_are_not_held_up(self):
        """No delay, no block and no lower limit for what will not be fetched, and the frontier is told."""
        politeness = Politeness(per_host=8, delay=2.0)
        slow_down(politeness, 9)
        politeness.changed.clear()
        host = slow_down(politeness, 1, response(503, retry_after="100"))
        assert list(politeness.changed) == [KEY]
        now = host.next_start
        for _ in range(8):
            assert host.binding(now) is None
            host.start(now)
        assert (host.limit, host.next_start) == (8, now)

    def test_what_comes_too_late_changes_nothing(self):
        """Answers to older requests neither block the host nor bring it back."""
        politeness = Politeness()
        host = slow_down(politeness, 10)
        now = host.next_start
        for late in (response(), response(503, retry_after="50"), response(None, "conn_reset")):
            politeness.observe(KEY, late, started=now - 0.5, now=now + 1.0)
        host.crawl_delay(5.0, now)
        assert host.given_up
        assert host.binding(now + 1.0) is None

    def test_it_is_not_forgotten(self):
        """However many hosts come after it, and however long it takes."""
        politeness = Politeness()
        slow_down(politeness, 10)
        for n in range(5000):
            politeness.host(f"h{n}", 1e6)
        assert politeness.refusal(KEY) is not None

    def test_not_without_back_off(self):
        """`--no-adaptive` asks on; and who was never heard of may be asked."""
        politeness = Politeness(adaptive=False)
        assert not slow_down(politeness, 50).given_up
        assert politeness.refusal(KEY) is None
        assert politeness.refusal("other.example:80") is None


class TestSpared:
    def test_the_turn_is_given_back(self):
        """A host that was not asked after all may be asked at once, as it could have been."""
        host = Politeness(delay=5.0).host(KEY, 0.0)
        host.start(10.0)
        host.spared()
        host.end()
        assert host.binding(10.0) is None
        host.start(10.0)
        assert host.next_start == 15.0

    def test_an_earlier_start_still_counts(self):
        """Its distance is kept: one turn is given back, not all."""
        host = Politeness(delay=5.0).host(KEY, 0.0)
        host.start(0.0)
        host.start(5.0)
        host.spared()
        assert host.next_start == 5.0

    def test_twice_is_once(self):
        """What was given back is not there to be given back again."""
        host = Politeness(delay=5.0).host(KEY, 0.0)
        host.start(0.0)
        host.start(5.0)
        host.spared()
        host.spared()
        assert host.next_start == 5.0

    @pytest.mark.parametrize("said", [
        lambda host: host.block(60.0, 1.0, "retry_after"),
        lambda host: host.crawl_delay(9.0, 1.0),
        lambda host: host.overloaded(0.5, 1.0),
    ])  # fmt: skip
    def test_what_the_host_said_since_stands(self, said):
        """A block, a longer delay or back-off is not undone by it."""
        host = Politeness(delay=5.0).host(KEY, 0.0)
        host.start(0.0)
        said(host)
        before = host.next_start
        host.spared()
        assert host.next_start == before > 5.0


class TestRelease:
    def test_nothing_holds_up_what_is_left(self):
        """Neither delay nor block, of any host, known or new; all that may start sooner are named."""
        politeness = Politeness(delay=100.0, per_host=1)
        busy, blocked = politeness.host(KEY, 0.0), politeness.host("b.example:80", 0.0)
        busy.start(0.0)
        blocked.block(1_000.0, 0.0, "robots")
        politeness.release(5.0)
        assert list(politeness.changed) == [KEY, "b.example:80"]
        assert blocked.binding(5.0) is None
        assert busy.binding(5.0) == "per_host"
        busy.end()
        for host in (busy, blocked, politeness.host("new.example:80", 5.0)):
            for _ in range(3):
                assert host.binding(5.0) is None
                host.start(5.0)
                host.end()


class TestTheHostsOwnWords:
    def test_retry_after_blocks_the_whole_host(self):
        """The host is left alone until then, and what the URL shall wait is returned."""
        politeness = Politeness(per_host=8)
        assert answer(politeness, 1.0, response(429, retry_after="20")) == 20.0
        host = politeness.host(KEY, 1.0)
        assert host.next_start == 21.0
        assert host.binding(20.9) == "retry_after"
        assert host.binding(21.0) is None

    def test_retry_after_is_used_up_to_the_cap(self):
        """A long one blocks the host for the cap; the caller learns the whole."""
        politeness = Politeness(retry_after_cap=120.0)
        assert answer(politeness, 1.0, response(503, retry_after="3600")) == 3600.0
        assert politeness.host(KEY, 1.0).next_start == 121.0

    def test_retry_after_as_a_date_is_read_by_the_answers_own_clock(self):
        """A date is a time of day; the answer ended at WALL."""
        politeness = Politeness()
        date = email.utils.formatdate(WALL + 30, usegmt=True)
        assert answer(politeness, 1.0, response(503, retry_after=date)) == 30.0

    def test_a_shorter_block_does_not_end_a_longer_one(self):
        """The longest word counts."""
        politeness = Politeness()
        answer(politeness, 1.0, response(429, retry_after="50"))
        politeness.observe(KEY, response(429, retry_after="5"), started=0.5, now=2.0)
        host = politeness.host(KEY, 2.0)
        assert host.next_start == 51.0
        assert host.binding(20.0) == "retry_after"

    def test_a_good_answer_does_not_end_a_block(self):
        """An answer to an older request leaves the block alone."""
        politeness = Politeness()
        answer(politeness, 1.0, response(429, retry_after="50"))
        politeness.observe(KEY, response(), started=0.0, now=2.0)
        assert politeness.host(KEY, 2.0).binding(40.0) == "retry_after"

    @pytest.mark.parametrize("status", [200, 301, 302])
    def test_retry_after_of_a_good_answer_is_not_a_block(self, status):
        """Only an answer of 4xx or 5xx asks to be left alone."""
        politeness = Politeness()
        assert answer(politeness, 1.0, response(status, retry_after="50")) is None
        assert politeness.host(KEY, 1.0).binding(1.0) is None

    @pytest.mark.parametrize(
        "headers",
        [
            {"ratelimit_remaining": "0", "ratelimit_reset": "30"},
            {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "30"},
            {"x_rate_limit_remaining": "0", "x_rate_limit_reset": "30"},
            {"x_ratelimit_remaining": "0", "x_ratelimit_reset": str(int(WALL) + 30)},
            {"x_ratelimit_remaining": "0", "x_ratelimit_reset": str((int(WALL) + 30) * 1000)},
            {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "2025-06-15T15:07:10Z"},
            {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "2025-06-15T17:07:10.000+02:00"},
            {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "2025-06-15 15:07:10"},
            {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "Sun, 15 Jun 2025 15:07:10 GMT"},
            {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "30s"},
            {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "0h0m29.75s250ms"},
            {"x_ratelimit_remaining": "0, 5", "x_ratelimit_reset": "30, 900"},
            {"ratelimit_remaining": "0;w=60", "ratelimit_reset": "30;w=60"},
            {"ratelimit": '"default";r=0;t=30'},
            {"ratelimit": '"burst";r=0;t=5, "daily, all;r=9";r=0;t=30;pk=:a=:, "weekly";r=10;t=900'},
            {"ratelimit": "limit=100, remaining=0, reset=30"},
        ],
    )
    def test_a_used_up_quota_blocks(self, headers):
        """With nothing remaining, the host is left alone until the reset, even when the answer is good."""
        politeness = Politeness()
        assert answer(politeness, 1.0, response(200, **headers)) is None
        host = politeness.host(KEY, 1.0)
        assert host.next_start == 31.0
        assert host.binding(30.0) == "ratelimit"

    @pytest.mark.parametrize(
        "headers",
        [
            {"ratelimit_remaining": "1", "ratelimit_reset": "30"},
            {"ratelimit_remaining": "05", "ratelimit_reset": "30"},
            {"ratelimit_remaining": "0"},
            {"ratelimit_remaining": "0", "ratelimit_reset": "soon"},
            {"ratelimit_remaining": "no", "ratelimit_reset": "30"},
            {"x_ratelimit_remaining": "0", "x_ratelimit_reset": str(int(WALL) - 30)},
            {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "2025-06-15T15:06:10Z"},
            {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "2025-06-15"},
            {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "2025-06-35T15:07:10Z"},
            {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "30 seconds"},
            {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "30parsecs"},
            {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "00:01:30"},
            {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "1m" * 5000},
            {"ratelimit": '"default";r=10;t=30'},
            {"ratelimit": '"default";r=0'},
            {"ratelimit": '"r=0;t=30";q=100'},
            {"ratelimit": "limit=100, remaining=10, reset=30"},
            {"ratelimit": ';=,"'},
            {"ratelimit": ""},
        ],
    )
    def test_a_quota_that_is_left_or_unreadable_does_not_block(self, headers):
        """Only zero remaining and a reset to come block."""
        politeness = Politeness()
        answer(politeness, 1.0, response(200, **headers))
        assert politeness.host(KEY, 1.0).binding(1.0) is None

    @pytest.mark.parametrize(("reset", "seconds"), [("1m30s", 90.0), ("6m0s", 360.0), ("1h", 3600.0), ("6ms", 0.006)])
    def test_a_reset_with_units(self, reset, seconds):
        """It means what it says, not its leading digits."""
        politeness = Politeness(retry_after_cap=1e6)
        answer(politeness, 1.0, response(200, x_ratelimit_remaining="0", x_ratelimit_reset=reset))
        assert politeness.host(KEY, 1.0).next_start == pytest.approx(1.0 + seconds)

    def test_a_long_reset_is_capped(self):
        """A quota of the day does not stop the run for a day."""
        politeness = Politeness(retry_after_cap=120.0)
        answer(politeness, 1.0, response(200, ratelimit_remaining="0", ratelimit_reset="86400"))
        assert politeness.host(KEY, 1.0).next_start == 121.0

    def test_a_reset_stands_in_for_retry_after(self):
        """A 429 that only names its reset makes its URL wait for that; Retry-After is the better word where both are."""
        politeness = Politeness()
        assert answer(politeness, 1.0, response(429, ratelimit_remaining="0", ratelimit_reset="7")) == 7.0
        both = response(429, ratelimit_remaining="0", ratelimit_reset="7", retry_after="3")
        assert answer(politeness, 100.0, both) == 3.0


class TestRetryAfter:
    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            ("0", 0.0),
            ("120", 120.0),
            (" 5 ", 5.0),
            ("1.5", 1.5),
            ("9" * 5000, LONGEST),
            ("Sun, 15 Jun 2025 15:07:40 GMT", 60.0),
            ("Sunday, 15-Jun-25 15:07:40 GMT", 60.0),
            ("Sun Jun 15 15:07:40 2025", 60.0),
            ("Sun, 15 Jun 2025 17:07:40 +0200", 60.0),
            ("Sun, 15 Jun 2025 15:00:00 GMT", 0.0),
            ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST),
            ("2025-06-15T15:07:40Z", 60.0),
            ("2025-06-15T17:07:40+02:00", 60.0),
        ],
    )
    def test_numbers_and_dates(self, value, seconds):
        """RFC 9110 section 10.2.3: a number of seconds or an HTTP-date in any of its three forms."""
        assert retry_after(value, WALL) == seconds

    @pytest.mark.parametrize(
        "value",
        [
            "",
            "-1",
            "+5",
            "5s",
            "1e3",
            "inf",
            "nan",
            "soon",
            "٣",
            "Sun, 32 Foo 2025 15:07:40 GMT",
            "Sun, 99 Jun 2025 15:07:40 GMT",
            "1_0",
            "0x10",
        ],
    )
    def test_junk_says_nothing(self, value):
        """What is neither is as if it were not there."""
        assert retry_after(value, WALL) is None

    @settings(max_examples=60, derandomize=True, database=None)
    @given(
        st.one_of(st.text(st.characters(max_codepoint=255)), st.text("0123456789-+:, GMTSunJ", max_size=40)),
        st.floats(0, 4e9),
    )
    def test_any_text(self, value, wall_now):
        """No header a host could send raises, or means less than nothing or more than a year."""
        seconds = retry_after(value, wall_now)
        assert seconds is None or 0 <= seconds <= LONGEST


class TestManyHosts:
    def test_idle_hosts_are_forgotten(self):
        """A list that names twenty thousand hosts once keeps the controllers of the last few."""
        politeness = Politeness(delay=0.25)
        for n in range(20_000):
            now = n / 1000
            host = politeness.host(f"h{n}:80", now)
            host.start(now)
            host.end()
        assert len(politeness) < 3000

    def test_a_host_that_still_matters_is_kept(self):
        """Not forgotten: a request in flight, a block, a delay that runs, a slow-down of the last minutes."""
        politeness = Politeness(per_host=8)
        politeness.host("flying", 0.0).start(0.0)
        politeness.host("blocked", 0.0).block(100.0, 0.0, "retry_after")
        politeness.host("slowed", 0.0).overloaded(-1.0, 0.0)
        for n in range(5000):
            politeness.host(f"h{n}", 50.0)
        assert politeness.host("flying", 50.0).in_flight == 1
        assert politeness.host("blocked", 50.0).binding(50.0) == "retry_after"
        assert politeness.host("slowed", 50.0).limit == 4

    def test_a_slow_down_is_forgotten_after_a_while(self):
        """A host that nobody asked for ten minutes starts afresh, so that the troubled ones do not pile up."""
        politeness = Politeness(per_host=8)
        politeness.host("slowed", 0.0).overloaded(-1.0, 0.0)
        for n in range(5000):
            politeness.host(f"h{n}", 700.0)
        assert politeness.host("slowed", 700.0).limit == 8

    def test_hosts_do_not_share(self):
        """One host's trouble is not another's."""
        politeness = Politeness(per_host=8)
        answer(politeness, 1.0, response(429, retry_after="20"))
        other = politeness.host("other.example:80", 1.0)
        assert other.limit == 8
        assert other.binding(1.0) is None

    def test_a_controller_is_small(self):
        """Tens of thousands of hosts: no dict per controller."""
        assert not hasattr(HostControl(8, 0.0), "__dict__")
        assert math.isfinite(HostControl(8, 0.0).next_start)


class TestPaceOfTheRun:
    """What all hosts have in common, beside what each allows."""

    def test_it_binds_every_host(self):
        """Until its time has come: then the host's own limits are what binds."""
        politeness = Politeness(delay=5.0, pace=Pace(Rate(1, 1.0)))
        host = politeness.host(KEY, 0.0)
        host.start(0.0)
        politeness.pace.start(0.0)
        assert politeness.binding(host, 0.5) == "rate"
        assert politeness.binding(host, 1.5) == "delay"
        assert politeness.binding(politeness.host("b.example:80", 1.5), 1.5) is None

    def test_what_was_not_asked_is_given_back(self):
        """By the host and by the run."""
        politeness = Politeness(delay=5.0, pace=Pace(Rate(1, 1.0)))
        host = politeness.host(KEY, 0.0)
        host.start(0.0)
        politeness.pace.start(0.0)
        politeness.spared(KEY, 0.0)
        assert politeness.binding(host, 0.0) is None

    def test_nothing_is_asked_any_more(self):
        """What is left is disposed of at once, whatever the rates and tables."""
        politeness = Politeness(distance=60.0, pace=Pace(Rate(1, 1.0)), limits=lambda _: HostLimits(1, 60.0, 60.0))
        politeness.pace.start(0.0)
        politeness.host(KEY, 0.0).start(0.0)
        politeness.release(0.0)
        assert politeness.pace is None
        assert (politeness.host(KEY, 0.0).delay, politeness.host("b.example:80", 0.0).delay) == (0.0, 0.0)

    def test_the_longer_of_delay_and_rate(self):
        """Of each host: its own where it has one, else that of all."""
        own = {"slow.example:80": HostLimits(delay=9.0), "rated.example:80": HostLimits(distance=4.0)}
        politeness = Politeness(delay=1.0, distance=2.0, limits=own.get)
        delays = [politeness.host(f"{name}.example:80", 0.0).delay for name in ("a", "slow", "rated")]
        assert delays == [2.0, 9.0, 4.0]
