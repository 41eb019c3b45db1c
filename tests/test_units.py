"""units.py: numbers as people read them, at the edges where units change."""

from __future__ import annotations

import pytest

from crawler.monitor.units import amount, clock, duration, rate, size, urls


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.0 kB"),
        (9_949, "9.9 kB"),
        (9_950, "10 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (31_000_000, "31 MB"),
        (1_500_000_000, "1.5 GB"),
        (2_000_000_000_000, "2.0 TB"),
        (5_000_000_000_000_000, "5,000.0 TB"),
    ],
)
def test_size(number: int, text: str) -> None:
    """Two or three digits and a decimal unit; never "1000 kB"."""
    assert size(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 s"),
        (0.000_999, "999 us"),
        (0.001, "1.0 ms"),
        (0.009_96, "10 ms"),
        (0.999_4, "999 ms"),
        (0.999_6, "1.0 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3_599.6, "1 h 00 min"),
        (2 * 3_600 + 600, "2 h 10 min"),
        (76 * 3_600, "3 d 4 h"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    """Two units at most; never "60 s" or "1000 ms"."""
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (7.9, "0:07"), (725, "12:05"), (10_921, "3:02:01"), (2 * 86_400 + 3 * 3_600 + 15 * 60, "2 d 03:15")],
)
def test_clock(seconds: float, text: str) -> None:
    """Elapsed time as clocks show it."""
    assert clock(seconds) == text


def test_counts_and_rates() -> None:
    """Thousands are separated, one URL is singular, and a slow rate keeps a digit after the point."""
    assert (amount(1_234_567), urls(1), urls(0), urls(1_000)) == ("1,234,567", "1 URL", "0 URLs", "1,000 URLs")
    assert (rate(0.04), rate(9.94), rate(9.96), rate(12_345.6)) == ("0.0/s", "9.9/s", "10/s", "12,346/s")
