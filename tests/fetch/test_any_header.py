"""No header makes a bug of ours, whatever it says and however long it is: through the whole engine, as a crawl reads it."""

from __future__ import annotations

import pytest
from watchdog import crawl, serving

from crawler.errors import CODES

NAMES = (
    "Content-Length", "Transfer-Encoding", "Content-Encoding", "Content-Type", "Connection", "Location", "Retry-After",
    "RateLimit", "RateLimit-Policy", "RateLimit-Remaining", "RateLimit-Reset", "X-RateLimit-Remaining", "X-RateLimit-Reset",
    "X-Robots-Tag", "Link", "Refresh", "Set-Cookie", "Date", "Upgrade", "Trailer", "Expires", "Content-Location", "ETag",
)  # fmt: skip
DIGITS = b"9" * 5000
VALUES = (
    b"", DIGITS, b"-" + DIGITS, b"0" * 5000 + b"5", b"1e" + DIGITS, b"1." + DIGITS, DIGITS + b"m", b'"' + DIGITS,
    b"a=" + DIGITS, b";" * 5000, b"," * 5000, b"<" * 5000, b"\xff" * 5000, b"\x01", b"a: b\t", b"\xd9\xa3", b"%" + DIGITS,
    b"http://h:" + DIGITS + b"/", b"Fri, " + DIGITS + b" Dec 9999 99:99:99 GMT", DIGITS + b"-12-31T00:00:00Z",
    b"text/html; charset=" + DIGITS, b"x" * 100_000,
)  # fmt: skip


@pytest.mark.parametrize("status", [b"200 OK", b"302 Found", b"429 Slow", b"503 Busy"])
def test_every_header_of_any_length(status: bytes) -> None:
    """Each of those that we read, with what is neither a number nor a date nor a URL, or a very long one."""
    answers = {
        f"{name} {number}": lambda _, name=name, value=value: (
            b"HTTP/1.1 %b\r\n%b: %b\r\nConnection: close\r\n\r\n<title>t</title>" % (status, name.encode(), value)
        )
        for name in NAMES
        for number, value in enumerate(VALUES)
    }
    if status[:1] in b"45":  # these are about whole hosts, and ask for the same of it again and again
        answers = {name: answer for name, answer in answers.items() if "et" in name}
    with serving(answers, 0) as url:
        held = crawl(
            [url(name) for name in answers],
            links=("a", "header", "refresh"),
            nofollow=True,
            retries=0,
            retry_after_cap=0.0,
            adaptive=False,
            concurrency=16,
            per_host=16,
            timeout=3.0,
        )
    assert len(held.records) == len(answers)
    codes = {record.error.code for record in held.records if record.error is not None}
    assert "internal" not in codes
    assert codes <= CODES.keys()
