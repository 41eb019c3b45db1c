"""The arithmetic of a large crawl: its figures stand where they are said to, and it adds up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench import sizing
from tests.bench.sizing import FIGURES, OURS, PUBLISHED, Crawl

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "tests" / "bench" / "sizing.py"


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_those_that_were_measured(name):
    """What was measured again and came out otherwise is to be computed with, too."""
    figure = FIGURES[name]
    measured = " ".join((ROOT / "docs" / "measured.md").read_text().split())
    if figure.source == OURS:
        assert figure.words
        assert figure.words in measured


def test_the_crawls_of_others_come_out_as_they_were():
    """IRLbot: 6.3 G pages in 41 days. 1.005 G pages in 25.5 hours."""
    assert sizing.ROWS["days"](Crawl(pages=6.3e9, rate=1789)) == "40.8"
    assert sizing.ROWS["on the wire, pages of 2007"](Crawl(rate=1789)) == "319 Mbit/s"
    assert 25 < 1.005e9 / PUBLISHED["at the rate of 1 G in 25.5 h"].rate / 3600 < 26


def test_it_grows_as_it_should():
    once, twice = Crawl(), Crawl(pages=20e9, rate=2 * 1789)
    assert sizing.memory(twice, 20e9) == pytest.approx(2 * sizing.memory(once, 10e9))
    assert sizing.redis_cores(twice) == pytest.approx(2 * sizing.redis_cores(once))
    assert sizing.fetch_cores(twice, 1e5) == pytest.approx(2 * sizing.fetch_cores(once, 1e5))


def test_anybody_may_compute_with_it():
    command = [sys.executable, SCRIPT, "--pages", "1e9", "--rate", "2000", "--delay", "2", "--nodes", "6"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "days                                                           5.8\n" in told
    assert len(told.splitlines()) == len(sizing.ROWS)
