"""sinks/wanted.py: the records that nobody wants without --skipped are left out, and no other."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred

from crawler.errors import CodedError
from crawler.models import Input, Record, Redirect, Request, Response, Timings, record_of, unfetched, untried
from crawler.sinks.wanted import Wanted, is_wanted
from crawler.urls import parse

TYPED = Input(source="urls.txt", line=3)
FOUND = Input(parent="http://a.example/", depth=1)
URL = "http://a.example/x"


def request(source: Input, **fields: object) -> Request:
    return Request(**{"id": 0, "url": parse(URL), "written": URL, "input": source, "accepted": 0.0, **fields})


class Inner:
    """A sink that makes everybody wait."""

    def __init__(self) -> None:
        self.wait: Deferred[None] = Deferred()
        self.calls: list[object] = []

    def write(self, record: Record, response: Response | None, sequence: int) -> Deferred[None]:
        self.calls.append((record, response, sequence))
        return self.wait

    def flush(self) -> Deferred[None]:
        self.calls.append("flush")
        return self.wait

    def close(self) -> Deferred[None]:
        self.calls.append("close")
        return self.wait


@pytest.mark.parametrize(
    ("source", "code", "wanted"),
    [
        (TYPED, "robots_denied", True),
        (TYPED, "duplicate", True),
        (TYPED, "url_invalid", True),
        (FOUND, "robots_denied", False),
        (FOUND, "out_of_scope", False),
        (FOUND, "budget_exceeded", False),
        (FOUND, "dns_nxdomain", True),
        (FOUND, "host_unavailable", True),
    ],
)
def test_what_was_never_asked_for(source, code, wanted):
    """A typed URL always has its record; a link that was skipped has none, one that failed has."""
    error = CodedError(code)
    assert is_wanted(unfetched(URL, source, error)) is wanted
    assert is_wanted(untried(request(source), error)) is wanted


@pytest.mark.parametrize("fields", [{"attempt": 2}, {"redirects": (Redirect(URL, 302),)}])
def test_what_was_asked_for_and_then_skipped(fields):
    """A request was made: there is something to tell."""
    assert is_wanted(untried(request(FOUND, **fields), CodedError("robots_denied")))


def test_what_was_fetched():
    """Whatever came of it."""
    for response in (Response(Timings(), 0.0, status=200), Response(Timings(), 0.0, error=CodedError("conn_reset"))):
        assert is_wanted(record_of(request(FOUND), response, 0.0))


def test_the_sink_behind():
    """It gets what is wanted, and whoever writes waits for it; for what it does not get nobody waits."""
    inner = Inner()
    sink = Wanted(inner)
    record, response = record_of(request(FOUND), got := Response(Timings(), 0.0, status=200), 0.0), got
    assert sink.write(record, response, 7) is inner.wait
    assert sink.write(unfetched(URL, FOUND, CodedError("out_of_scope")), None, 8) is None
    assert (sink.flush(), sink.close()) == (inner.wait, inner.wait)
    assert inner.calls == [(record, response, 7), "flush", "close"]
