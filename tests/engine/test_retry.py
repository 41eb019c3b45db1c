"""retry.py: which tries are worth another one, when, and which stand."""

from __future__ import annotations

import random

import pytest

from crawler.engine.retry import BACKOFF_CAP, LOCAL_PAUSE, Again, Retry
from crawler.errors import CODES, CodedError
from crawler.models import Input, Request
from crawler.urls import parse


def request(attempt: int = 1, method: str = "GET", parked: bool = False) -> Request:
    url = parse("http://example.com/")
    return Request(0, url, url.href, Input(), 0.0, method=method, attempt=attempt, parked=parked)


def decide(
    asked: Request | None = None,
    *,
    status: int | None = None,
    code: str | None = None,
    retry_after: float | None = None,
    retries: int = 2,
    rng: random.Random | None = None,
) -> Again | None:
    retry = Retry(retries=retries, retry_after_cap=120.0, rng=rng or random.Random(1))
    error = None if code is None else CodedError(code)
    return retry.decide(asked or request(), status=status, error=error, retry_after=retry_after)


class HighestRandom(random.Random):
    """Draws the largest value of every span."""

    def uniform(self, a: float, b: float) -> float:
        return b


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 522, 524])
def test_these_statuses_are_tried_again(status):
    """A status that tells of a passing trouble is worth another try."""
    again = decide(status=status)
    assert again is not None
    assert again.request.attempt == 2


@pytest.mark.parametrize("status", [200, 204, 301, 304, 400, 401, 403, 404, 410, 501, 505, 999])
def test_other_statuses_stand(status):
    """Any other status is the answer."""
    assert decide(status=status) is None


NEVER_AGAIN = {"robots_unreachable", "host_unavailable", "disk_full", "write_error", "interrupted"}


@pytest.mark.parametrize("code", sorted(CODES))
def test_transient_errors_of_the_network_are_tried_again(code):
    """The table's `transient` decides, except for what is our own doing: that will not change during this run."""
    expected = CODES[code].transient and code not in NEVER_AGAIN
    assert (decide(code=code) is not None) == expected


def test_an_error_may_say_otherwise_than_its_code():
    """`transient` of the error itself counts, not that of the table."""
    retry = Retry(rng=random.Random(1))
    error = CodedError("connect_error", transient=False)
    assert retry.decide(request(), status=None, error=error, retry_after=None) is None


def test_a_cut_answer_is_tried_again_whatever_its_status():
    """A body that broke off is retried though the status was 200."""
    assert decide(status=200, code="body_truncated") is not None


def test_a_broken_answer_of_an_overloaded_host_is_tried_again():
    """503 with a body that does not decode is still a 503."""
    assert decide(status=503, code="decode_error") is not None


def test_retries_are_counted_by_the_attempt():
    """Two retries are three tries."""
    asked, tries = request(), 1
    while (again := decide(asked, status=503)) is not None:
        asked, tries = again.request, tries + 1
    assert (tries, asked.attempt) == (3, 3)


def test_no_retries_means_one_try():
    """`--retries 0` switches it off, parking included."""
    assert decide(status=503, retries=0) is None
    assert decide(status=503, retries=0, retry_after=3600.0) is None
    assert decide(code="dns_nxdomain", retries=0) is None


def test_an_unknown_name_is_tried_once_more():
    """NXDOMAIN gets one retry, however many are allowed."""
    again = decide(code="dns_nxdomain", retries=5)
    assert again is not None
    assert decide(again.request, code="dns_nxdomain", retries=5) is None


def test_the_rest_of_the_request_is_kept():
    """Another try is the same request, its attempt aside."""
    asked = request()
    again = decide(asked, status=503)
    assert again is not None
    assert (again.request.id, again.request.url, again.request.accepted) == (asked.id, asked.url, asked.accepted)
    assert not again.request.parked
    assert asked.attempt == 1


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_only_idempotent_methods(method):
    """What may have an effect is not sent twice."""
    assert decide(request(method=method), status=503) is None
    assert decide(request(method="HEAD"), status=503) is not None


@pytest.mark.parametrize(("attempt", "span"), [(1, 1.0), (2, 2.0), (3, 4.0), (6, 32.0), (7, 60.0), (50_000, 60.0)])
def test_the_span_doubles_to_its_cap(attempt, span):
    """The longest possible wait is 1 s, doubling to 60 s."""
    again = decide(request(attempt=attempt), status=503, retries=10**9, rng=HighestRandom())
    assert again is not None
    assert again.delay == span
    assert again.delay <= BACKOFF_CAP


def test_the_jitter_is_full():
    """The wait is spread over the whole span, so that URLs which failed together do not come back together."""
    rng = random.Random(7)
    delays = []
    for _ in range(200):
        again = decide(request(attempt=3), status=503, retries=9, rng=rng)
        assert again is not None
        delays.append(again.delay)
    assert min(delays) < 0.4
    assert max(delays) > 3.6
    assert all(0 <= delay <= 4 for delay in delays)


def test_the_same_seed_gives_the_same_delays():
    """Randomness is injected."""
    assert decide(status=503, rng=random.Random(3)) == decide(status=503, rng=random.Random(3))


def test_retry_after_wins():
    """The host's own time replaces ours, to the cap and including it."""
    assert decide(status=503, retry_after=17.0) == Again(request(attempt=2), 17.0)
    assert decide(status=429, retry_after=120.0) == Again(request(attempt=2), 120.0)


def test_retry_after_zero_says_nothing():
    """Zero, or a date in the past, would bring all tries back at once."""
    again = decide(status=503, retry_after=0.0, rng=HighestRandom())
    assert again is not None
    assert again.delay == 1.0


def test_retry_after_does_not_make_an_answer_worth_a_retry():
    """A 404 stands, whatever it says."""
    assert decide(status=404, retry_after=5.0) is None


def test_beyond_the_cap_the_url_is_parked():
    """What is to wait longer waits for the end of the run, but never longer than the cap after that."""
    assert decide(status=503, retry_after=120.5) == Again(request(attempt=2, parked=True), 120.0, park=True)
    assert decide(status=503, retry_after=1e9) == Again(request(attempt=2, parked=True), 120.0, park=True)


def test_a_parked_request_has_one_last_try():
    """What fails in the last pass is final, though attempts be left."""
    parked = request(attempt=2, parked=True)
    assert decide(parked, status=503, retries=9) is None
    assert decide(parked, status=503, retry_after=3600.0, retries=9) is None
    assert decide(parked, code="conn_reset", retries=9) is None


@pytest.mark.parametrize("code", ["local_fd_limit", "local_port_exhausted"])
def test_a_shortage_of_this_machine_is_free(code):
    """It says nothing about the URL: no attempt is counted, the last try is not used up, no method is excluded."""
    for asked in (request(attempt=3), request(attempt=2, parked=True), request(method="POST")):
        again = decide(asked, code=code, retries=0)
        assert again is not None
        assert again.request == asked
        assert 0 < again.delay <= LOCAL_PAUSE
        assert not again.park


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "TRACE"])
def test_what_is_idempotent_is_tried_again_as_get_is(method):
    """RFC 9110 section 9.2.2: done twice it is as done once."""
    assert decide(request(method=method), status=503) is not None
    assert decide(request(method=method), code="timeout_headers") is not None


@pytest.mark.parametrize("method", ["POST", "PATCH", "LOCK"])
def test_what_was_certainly_not_done_is_tried_again(method):
    """It has not left, or the server counts requests and sends them back; of all else nobody knows."""
    sure = {code for code, entry in CODES.items() if entry.phase in {"dns", "connect", "tls"} and entry.transient}
    again = {code for code in CODES if decide(request(method=method), code=code) is not None}
    assert again == sure | {"http2_refused"}  # RFC 9113 section 8.7
    assert {status for status in range(200, 600) if decide(request(method=method), status=status)} == {429}
    assert decide(request(method=method), status=429, code="body_truncated") is None


@pytest.mark.parametrize("status", [403, 405, 501])
def test_get_where_head_is_refused(status):
    """If that is asked for: at once, once, and without a try of those that are for passing trouble."""
    retry = Retry(retries=0, get_for_head=True, rng=random.Random(1))
    again = retry.decide(request(method="HEAD"), status=status, error=None, retry_after=None)
    assert again is not None
    assert (again.request.method, again.request.attempt, again.delay, again.park) == ("GET", 2, 0.0, False)
    assert retry.decide(again.request, status=status, error=None, retry_after=None) is None
    assert decide(request(method="HEAD"), status=status) is None
    assert retry.decide(request(method="HEAD"), status=404, error=None, retry_after=None) is None
