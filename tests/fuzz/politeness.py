"""What a host says of how long to leave it alone: headers of an answer, one a line."""

from __future__ import annotations

import math

from crawler.models import Response, Timings
from crawler.politeness.controller import Politeness
from crawler.politeness.rate_headers import LONGEST, retry_after

SAMPLES = (
    b"Retry-After: 120\nX-RateLimit-Remaining: 0\nX-RateLimit-Reset: 1700000060\n",
    b"Retry-After: Wed, 21 Oct 2026 07:28:00 GMT\nRateLimit-Remaining: 0\nRateLimit-Reset: 5\n",
    b"Retry-After: Sunday, 06-Nov-94 08:49:37 GMT\nRateLimit: limit=10, remaining=0, reset=5\n",
    b'Retry-After: Sun Nov  6 08:49:37 1994\nRateLimit: "a;b";r=0;t=5, "b";r=9;t=60\n',
    b"Retry-After: 1.5\nRetry-After: -1\nX-RateLimit-Remaining: 0.0\nX-RateLimit-Reset: 1700000060000\n",
)
TOKENS = (
    b"Retry-After: ", b"RateLimit: ", b"X-RateLimit-Remaining: ", b"X-RateLimit-Reset: ", b"0", b"9" * 400, b"1e5", b"-", b"+", b".",
    b"GMT", b"+9999", b"-2400", b"31 Dec 9999 23:59:59", b"0001", b"00:00:60", b";", b",", b"=", b'"', b"r=0", b"t=5", b"inf", b"nan", b"\n",
    b" ", b"\t", b"\xb2", b"\x00", b"\xff", b"Feb 30", b"BC", b"25:61:61",
)  # fmt: skip
WALL = 1_700_000_000.0


def fuzz(data: bytes) -> None:
    headers: dict[str, list[str]] = {}
    for line in data.decode("latin-1").split("\n"):
        name, _, value = line.partition(":")
        headers.setdefault(name.strip().lower(), []).append(value.strip())
        for text in (value, line):
            wait = retry_after(text, WALL)
            assert wait is None or 0 <= wait <= LONGEST
    for status in (200, 301, 429, 503):
        politeness = Politeness(retry_after_cap=60.0)
        response = Response(Timings(total=0.1), WALL, status=status, headers=headers)
        wait = politeness.observe("a.example:80", response, started=0.0, now=0.1)
        assert wait is None or 0 <= wait <= LONGEST
        next_start = politeness.host("a.example:80", 0.1).next_start
        assert math.isfinite(next_start)
        assert next_start <= 0.1 + 60.0
