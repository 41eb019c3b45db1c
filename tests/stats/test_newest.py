"""newest.py: the newest records of each kind are found again, in bounded memory, whatever servers send."""

from __future__ import annotations

from typing import Any

import pytest

from crawler.models import ErrorInfo, Input, Record
from crawler.stats.newest import FEW, KEPT, MAX_URL, MAX_WORDS, Newest, Of


def record(url: str = "http://a.example/", **fields: Any) -> Record:
    return Record(**{"url": url, "input": Input(), "outcome": "ok", "final_url": url, **fields})


def failure(code: str, url: str = "http://a.example/", *, outcome: str = "failed") -> Record:
    return record(url, outcome=outcome, final_url=None, error=ErrorInfo(code, "connect", True, f"said of {code}"))


def remembering(*records: Record, most: int = 20_000) -> Newest:
    newest = Newest(lambda: 1_000.0, most=most)
    for one in records:
        newest.add(one)
    return newest


MIXED = (
    record("http://a.example/1", status=200),
    record("http://a.example/2", status=404, input=Input(parent="http://a.example/1", depth=1)),
    record("https://b.example/3", status=410),
    failure("connect_refused", "http://c.example:8080/4"),
    failure("robots_denied", "http://a.example/5", outcome="skipped"),
    record("http://a.example/6", status=200, outcome="unchanged"),
    failure("url_invalid", "nonsense 7"),
    record("http://a.example/8", status=503, outcome="failed", error=ErrorInfo("body_incomplete", "read", True, "")),
)


@pytest.mark.parametrize(
    ("of", "key", "numbers"),
    [
        ("status", "404", [2]),
        ("status", "200", [1, 6]),
        ("status", "599", []),
        ("class", "4", [2, 3]),
        ("class", "2", [1, 6]),
        ("code", "connect_refused", [4]),
        ("code", "robots_denied", [5]),
        ("outcome", "ok", [1, 6]),
        ("outcome", "http_error", [2, 3]),
        ("outcome", "failed", [4, 7, 8]),
        ("outcome", "skipped", [5]),
        ("host", "a.example:80", [1, 2, 5, 6, 8]),
        ("host", "b.example:443", [3]),
        ("host", "c.example:8080", [4]),
        ("host", "c.example:80", []),
        ("host", "", []),
    ],
)
def test_what_is_behind_a_number(of: Of, key: str, numbers: list[int]) -> None:
    """Each status, class, code, outcome and host has its own, in their order; a failure with a status is no answer."""
    assert [seen.number for seen in remembering(*MIXED).of(of, key)] == numbers


def test_what_is_told_of_one() -> None:
    """Its status, and where it came from: the page that links to it, or the line of an input."""
    newest = remembering(
        *MIXED, record("http://a.example/9", input=Input("urls.txt", 12), final_url="http://a.example/led")
    )
    (missing,) = newest.of("status", "404")
    assert (missing.url, missing.status, missing.via, missing.at) == (
        "http://a.example/2", 404, "http://a.example/1", 1_000.0,
    )  # fmt: skip
    assert missing.final_url is None  # the same
    last = newest.all()[-1]
    assert (last.via, last.final_url) == ("urls.txt:12", "http://a.example/led")
    (refused,) = newest.of("code", "connect_refused")
    assert (refused.kind, refused.message) == ("failed", "said of connect_refused")


def test_the_newest_stay() -> None:
    """Of each kind a hundred, whatever else came since; a reader who knows some gets those after them."""
    newest = remembering(failure("dns_nodata"), *(record(f"http://a.example/{n}", status=200) for n in range(3 * KEPT)))
    numbers = [seen.number for seen in newest.of("status", "200")]
    assert numbers == [*range(2 * KEPT + 2, 3 * KEPT + 2)]
    assert [seen.number for seen in newest.of("status", "200", numbers[-3])] == numbers[-2:]
    assert [seen.number for seen in newest.all(numbers[-2])] == numbers[-1:]
    assert [seen.number for seen in newest.of("code", "dns_nodata")] == [1]
    assert newest.number == 3 * KEPT + 1


def test_many_hosts() -> None:
    """Together they keep `most`: busy hosts come down to a few before a quiet one is forgotten."""
    most = 10 * KEPT
    newest = remembering(
        *(record(f"http://h{host}.example/{n}") for host in range(10) for n in range(KEPT)),
        *(record(f"http://quiet{n}.example/") for n in range(2 * KEPT)),
        most=most,
    )
    held = {host: len(newest.of("host", f"h{host}.example:80")) for host in range(10)}
    assert set(held.values()) == {FEW, KEPT}
    assert all(newest.of("host", f"quiet{n}.example:80") for n in range(2 * KEPT))
    for n in range(2 * most):
        newest.add(record(f"http://later{n}.example/"))
    assert newest.of("host", "h0.example:80") == []
    assert sum(bool(newest.of("host", f"later{n}.example:80")) for n in range(2 * most)) == most


def test_what_is_long_is_cut() -> None:
    """A record may be of any size; what is kept of it is not, and nothing of its body is."""
    long = "x" * 100_000
    big = record(
        f"http://a.example/{long}", title=long, input=Input(parent=long), wire_body=long, wire_headers={"a": [long]}
    ).with_body(long.encode())
    seen = remembering(big).all()[0]
    assert (len(seen.url), len(seen.title or ""), len(seen.via or "")) == (MAX_URL, MAX_WORDS, MAX_URL)
    assert sum(len(value) for value in map(str, (getattr(seen, name) for name in seen.__struct_fields__))) < 10_000


def test_a_url_is_found() -> None:
    """By what was written or where it led; each record once."""
    newest = remembering(*MIXED, record("http://a.example/old", final_url="http://a.example/2", status=200))
    assert [seen.number for seen in newest.of_url("http://a.example/2")] == [2, 9]
    assert [seen.number for seen in newest.of_url("nonsense 7", "x")] == [7]
    assert newest.of_url("http://a.example/unknown") == []
