"""summary.py: golden texts at three widths, and the hints that must only be given when they are true."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from msgspec.structs import replace
from rich.cells import cell_len
from rich.console import Console
from whole_crawls import whole

from crawler.monitor.summary import MAX_ERRORS, MAX_STATUSES, OFFLINE, print_summary
from crawler.stats.histogram import Percentiles
from crawler.stats.host_totals import HostTotals
from crawler.stats.stats import ErrorCount, Snapshot, Stats

LONG_HOST = "https://a-very-long-host-name.with.many.labels.and.still.more.of.them.example.org"
HOSTS = (
    HostTotals("http://slow.example:8080", 120, 3, 1_000, 2.0, 9.81),
    HostTotals(LONG_HOST, 11_000, 0, 1_000, 0.032, 0.663),
    HostTotals("https://example.com", 1_000, 0, 1_000, 0.0008, 0.0099),
)
EMPTY = replace(Stats(concurrency=64).snapshot(), elapsed=0.0)
RUN = replace(
    EMPTY,
    elapsed=24.2,
    total=12_123,
    done=12_123,
    ok=12_000,
    failed=122,
    skipped=1,
    rate_mean=500.9,
    size_download=48_000_000,
    redirects=17,
    retries=1,
    statuses={200: 11_086, 301: 227, 404: 559, 500: 127, 799: 1},
    errors=(
        ErrorCount(
            "dns_nxdomain", 120, "http://no-such.example/" + "x" * 60, "no-such.example: Name or service not known"
        ),
        ErrorCount("connect_refused", 1, "http://localhost:1/", "127.0.0.1 port 1: Connection refused"),
        ErrorCount("empty_reply", 1, "http://例え.テスト/", "the server closed the connection without an answer"),
    ),
    skips={"robots_denied": 1},
    time_starttransfer=Percentiles(12_000, 0.05, 0.021, 0.31, 0.604, 1.6, 9.2),
    time_total=Percentiles(12_000, 0.06, 0.026, 0.375, 0.731, 1.9, 9.81),
    hosts=HOSTS,
    slowest_hosts=HOSTS,
    bottleneck_overall="for 92 % of the time all 64 slots were busy: more --concurrency may be faster",
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def printed(snapshot: Snapshot, width: int | None = None, **environ: str) -> str:
    """The summary on a terminal of that width, or in a log; trailing blanks are kept."""
    environ = {"TERM": "xterm-256color", "NO_COLOR": "1"} | environ
    file = io.StringIO() if width is None else Terminal()
    print_summary(snapshot, Console(file=file, width=width, height=25, _environ=environ))
    return file.getvalue()


def plain(snapshot: Snapshot, width: int | None = None) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", printed(snapshot, width))


GOLDEN_80 = """
12,122 URLs in 24 s (501/s)
12,000 ok, 122 failed, 1 skipped
687 of the ok have a status of 400 or more
48 MB received (2.0 MB/s), 17 redirects, 1 retry

Status
  11,086  200 OK
     227  301 Moved Permanently
     559  404 Not Found
     127  500 Internal Server Error
       1  799 (not a registered status)

Errors
     120  dns_nxdomain: the host name does not exist (tried once more)
          http://no-such.example/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...
       1  connect_refused: nothing listens on the port
          http://localhost:1/  (127.0.0.1 port 1: Connection refused)
       1  empty_reply: the server closed the connection without an answer
          http://例え.テスト/

Skipped
       1  robots_denied: robots.txt disallows the URL

Time              p50      p90      p95      p99      max
  first byte    21 ms   310 ms   604 ms    1.6 s    9.2 s
  total         26 ms   375 ms   731 ms    1.9 s    9.8 s

Slowest hosts                                             mean      max    URLs
  slow.example:8080                                      2.0 s    9.8 s     120
  a-very-long-host-name.with.many.labels.and.still...    32 ms   663 ms  11,000
  example.com                                           800 us   9.9 ms   1,000

Bottleneck: for 92 % of the time all 64 slots were busy: more --concurrency may
be faster
"""
GOLDEN_60 = """
12,122 URLs in 24 s (501/s)
12,000 ok, 122 failed, 1 skipped
687 of the ok have a status of 400 or more
48 MB received (2.0 MB/s), 17 redirects, 1 retry

Status
  11,086  200 OK
     227  301 Moved Permanently
     559  404 Not Found
     127  500 Internal Server Error
       1  799 (not a registered status)

Errors
     120  dns_nxdomain: the host name does not exist (tried
          once more)
          http://no-such.example/xxxxxxxxxxxxxxxxxxxxxxx...
       1  connect_refused: nothing listens on the port
          http://localhost:1/  (127.0.0.1 port 1: Conne...)
       1  empty_reply: the server closed the connection
          without an answer
          http://例え.テスト/

Skipped
       1  robots_denied: robots.txt disallows the URL

Time              p50      p90      p95      p99      max
  first byte    21 ms   310 ms   604 ms    1.6 s    9.2 s
  total         26 ms   375 ms   731 ms    1.9 s    9.8 s

Slowest hosts                         mean      max    URLs
  slow.example:8080                  2.0 s    9.8 s     120
  a-very-long-host-name.with.m...    32 ms   663 ms  11,000
  example.com                       800 us   9.9 ms   1,000

Bottleneck: for 92 % of the time all 64 slots were busy:
more --concurrency may be faster
"""


@pytest.mark.parametrize(("width", "golden"), [(60, GOLDEN_60), (80, GOLDEN_80)])
def test_the_summary_is_tidy(width: int, golden: str) -> None:
    """Columns stand under each other, and what is too long is cut or wrapped under its own beginning."""
    assert plain(RUN, width) == golden


def test_a_log_is_not_cut() -> None:
    """Where there is no width nothing is cut or wrapped: every URL can be copied. No line ends in blanks."""
    text = printed(RUN)
    assert "\x1b" not in text
    assert "..." not in text
    assert f"          {RUN.errors[0].url}  ({RUN.errors[0].message})\n" in text
    assert "more --concurrency may be faster\n" in text
    assert all(line == line.rstrip() for line in text.splitlines())


@pytest.mark.parametrize("width", [40, 60, 79, 80, 120])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    """Nothing wraps by itself, from 60 columns on not even the numbers; at 40 only the fixed table of times does."""
    lines = plain(RUN, width).splitlines()
    assert all(cell_len(line) < max(width, 60) for line in lines)


def test_colours_only_where_they_are_wanted() -> None:
    """A terminal gets colours, with NO_COLOR only bold and dim."""
    coloured = printed(RUN, 80, NO_COLOR="")
    assert "\x1b[31mdns_nxdomain\x1b[0m" in coloured
    assert set(re.findall(r"\x1b\[([0-9;]*)m", printed(RUN, 80))) <= {"0", "1", "2"}


def test_a_run_of_nothing() -> None:
    """No URLs, no tables."""
    assert printed(EMPTY) == "\n0 URLs in 0 s\n0 ok, 0 failed\n"


def test_what_was_left_is_said() -> None:
    """An interrupted run names what it did not do: of the total if that is known, else what was queued."""
    assert "stopped" not in printed(replace(RUN, queued=5))
    stopped = replace(RUN, done=12_000, queued=5)
    assert printed(stopped).startswith("\n12,122 URLs in 24 s (501/s), stopped with 123 left\n")
    unknown = replace(RUN, total=None, queued=5, parked=2, in_flight=1)
    assert printed(unknown).startswith("\n12,122 URLs in 24 s (501/s), stopped with 8 left\n")


def test_the_crawl_that_others_go_on_with() -> None:
    """Of one that has ended more is said elsewhere."""
    assert "\nCrawl spring: 1,000 of 2,000 done" in plain(replace(EMPTY, crawl=whole()))
    assert "spring" not in plain(replace(EMPTY, crawl=whole(arrived=1_000, queued=0, leased=0)))


def test_one_host_needs_no_table_of_hosts() -> None:
    """The times tell everything already."""
    assert "Slowest hosts" not in printed(replace(RUN, hosts=HOSTS[:1], slowest_hosts=HOSTS[:1]))


def test_long_tables_end_in_a_sum() -> None:
    """The rarest statuses and codes are summed, so that the summary stays a screenful."""
    statuses = {200 + number: 100 - number for number in range(MAX_STATUSES + 3)}
    codes = ("timeout_total", "timeout_idle", "timeout_tls", "conn_reset", "empty_reply", "too_slow", "dns_error")
    codes += (
        "dns_timeout",
        "http_not_http",
        "http_bad_chunk",
        "body_truncated",
        "decode_error",
        "internal",
        "disk_full",
    )
    errors = tuple(ErrorCount(code, 3, "http://a.example/", "why") for code in codes)
    text = printed(replace(RUN, statuses=statuses, errors=errors))
    assert f"{88 + 87 + 86:>8}  3 other statuses\n" in text
    assert f"{3 * (len(codes) - MAX_ERRORS):>8}  2 other codes\n" in text
    assert "internal" not in text


def test_hostile_text_is_escaped() -> None:
    """URLs and messages cannot act on the terminal, and square brackets are no markup."""
    error = ErrorCount("internal", 1, "http://a/\x1b[2J[red]", "line one\nline two \u202e")
    text = plain(replace(RUN, errors=(error,)), 120)
    assert r"          http://a/\x1b[2J[red]  (line one\x0aline two \u202e)" in text


def all_failed(*codes: str, **fields: Any) -> Snapshot:
    errors = tuple(ErrorCount(code, 1, "http://a.example/", "why") for code in codes)
    return replace(EMPTY, done=len(codes), failed=len(codes), errors=errors, **fields)


@pytest.mark.parametrize(
    ("snapshot", "offline"),
    [
        (all_failed("dns_nxdomain"), True),
        (all_failed("dns_error", "dns_timeout"), True),
        (all_failed("dns_error", "url_invalid", "robots_denied"), True),
        (all_failed("dns_error", "connect_refused"), False),
        (all_failed("dns_nodata"), False),
        (all_failed("dns_error", ok=1), False),
        (all_failed("url_invalid"), False),
        (EMPTY, False),
    ],
)
def test_a_machine_that_looks_offline_gets_a_hint(snapshot: Snapshot, offline: bool) -> None:
    """All that was tried failed in DNS: then, and only then, the way to try without internet is shown."""
    assert (OFFLINE in printed(snapshot)) is offline


def test_the_numbers_agree() -> None:
    """The first is what was fetched or failed, at that rate; what a budget left out is no URL of it, with a record or not."""
    budget = replace(
        RUN, ok=58, failed=2, skipped=462, total=522, done=522, elapsed=12.0, skips={"budget_exceeded": 462}
    )
    lines = printed(replace(budget, statuses={200: 50, 404: 5, 500: 3})).splitlines()
    assert lines[1:4] == [
        "60 URLs in 12 s (5.0/s)",
        "58 ok, 2 failed, 462 skipped",
        "8 of the ok have a status of 400 or more",
    ]
    assert "of the ok" not in printed(replace(budget, statuses={200: 58}))
