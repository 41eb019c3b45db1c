"""histogram.py: percentiles within 3 % of the truth, in fixed memory."""

from __future__ import annotations

import random
import sys

import pytest

from crawler.stats.histogram import Histogram, Percentiles, bucket_of


def filled(values: list[float]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    return histogram


def percentiles(values: list[float]) -> Percentiles:
    found = filled(values).percentiles()
    assert found is not None
    return found


def test_nothing_has_no_percentiles() -> None:
    """Of nothing there is no half."""
    assert Histogram().percentiles() is None


@pytest.mark.parametrize("count", [10, 999, 1_000, 1_001, 4_321])
def test_percentiles_are_within_three_percent(count: int) -> None:
    """Whatever the number of values, each percentile is near the value that so many do not exceed; mean and max are exact."""
    rng = random.Random(count)
    values = [rng.lognormvariate(-3, 2) for _ in range(count)]
    found = percentiles(values)
    ranked = sorted(values)
    for share, told in ((0.5, found.p50), (0.9, found.p90), (0.95, found.p95), (0.99, found.p99)):
        truth = ranked[-int(-share * count // 1) - 1]
        assert told == pytest.approx(truth, rel=0.03)
    assert found.max == ranked[-1]
    assert found.mean == pytest.approx(sum(values) / count)
    assert found.count == count


def test_one_value_is_all_percentiles() -> None:
    """No percentile is above the largest value."""
    found = percentiles([0.25])
    assert found.p50 <= found.p99 <= found.max == 0.25
    assert found.p50 == pytest.approx(0.25, rel=0.03)


def test_values_out_of_range_are_counted() -> None:
    """No time at all, a negative one (never seen, but no reason to fail) and a week are counted at the edges."""
    found = percentiles([0.0, -1.0, 700_000.0, 700_000.0])
    assert found.count == 4
    assert found.p50 < 1e-4
    assert found.p99 == found.max == 700_000.0


def test_asking_does_not_change_the_answer() -> None:
    """Percentiles may be asked for at any time and again."""
    histogram = filled([0.1] * 1_500)
    assert histogram.percentiles() == histogram.percentiles()
    histogram.add(0.2)
    found = histogram.percentiles()
    assert found is not None
    assert (found.count, found.max) == (1_501, 0.2)


@pytest.mark.parametrize("batched", [True, False])
def test_histograms_are_added_together(batched: bool) -> None:
    """Nothing is lost, however the values were counted; the largest and the mean are exact."""
    one, other = Histogram(), Histogram()
    for number in range(1, 1_001):
        into, value = one if number % 2 else other, number / 1_000
        if batched:
            into.add(value)
        else:
            into.add_to(bucket_of(value), value)
    one.merge(other)
    for share in (0.5, 0.95, 1.0):
        assert one.percentile(share) == pytest.approx(share, rel=0.03)
    assert (one.count, one.largest) == (1_000, 1.0)
    assert one.mean == pytest.approx(0.5005)
    together, at_once = one.percentiles(), percentiles([number / 1_000 for number in range(1, 1_001)])
    assert together is not None
    assert together.buckets == at_once.buckets
    assert (Histogram().percentile(0.5), Histogram().mean) == (None, None)


def test_memory_is_fixed() -> None:
    """Ten times as many values take no more memory."""

    def held(histogram: Histogram) -> int:
        return sum(sys.getsizeof(getattr(histogram, name)) for name in Histogram.__slots__)

    few, many = filled([0.1] * 2_000), filled([0.1] * 20_000)
    assert held(many) <= held(few) + 256


def test_buckets_are_exact() -> None:
    """Each bucket has exactly the values up to its duration, that one included; and the durations are always the same."""
    rng = random.Random(7)
    values = [*(rng.lognormvariate(-2, 3) for _ in range(3_210)), 0.001, 0.1, 1.0, 10.0, 1e6]
    found = percentiles(values)
    assert found.buckets == tuple((bound, sum(value <= bound for value in values)) for bound, _ in found.buckets)
    bounds = [bound for bound, _ in found.buckets]
    assert {0.001, 0.01, 0.1, 1.0, 10.0, 100.0} <= set(bounds)
    assert bounds == sorted(set(bounds)) == [bound for bound, _ in percentiles([3.0]).buckets]
