"""politeness/pace.py: at most so many starts in any window, evenly spaced, whatever happens in between."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.politeness.pace import Pace, Rate


def starts(pace: Pace, number: int, lateness: float = 0.0) -> list[float]:
    """When that many requests start that want to as soon as they may, each so much too late."""
    now, times = 0.0, []
    for _ in range(number):
        now = max(now, pace.next_start) + lateness
        pace.start(now)
        times.append(now)
    return times


def test_evenly_spaced():
    """A hundred a minute are one every 0.6 s."""
    assert starts(Pace(Rate(100, 60.0)), 4) == pytest.approx([0.0, 0.6, 1.2, 1.8])


def test_slower_than_one_a_second():
    """Half a request a second is one every two."""
    assert starts(Pace(Rate(0.5, 1.0)), 3) == pytest.approx([0.0, 2.0, 4.0])


def test_a_late_timer_costs_nothing():
    """A thousand a second are not halved by timers that are a millisecond late each time."""
    times = starts(Pace(Rate(1000, 1.0)), 1000, lateness=0.0005)
    assert 0.98 < times[-1] - times[0] < 1.02


@given(
    st.integers(1, 2_000),
    st.sampled_from([1.0, 60.0]),
    st.lists(st.floats(0, 0.2), min_size=1, max_size=50),
    st.integers(2, 60),
)
def test_no_window_holds_more(count, window, waits, number):
    """However late each one starts, and after any pause, the distance of `count` starts is the window at least."""
    count = min(count, number)
    pace = Pace(Rate(count, window))
    times, now = [], 0.0
    for index in range(2 * number):
        now = max(now, pace.next_start) + waits[index % len(waits)]
        pace.start(now)
        times.append(now)
    assert all(late - early >= window * (1 - 1e-9) for early, late in zip(times, times[count:], strict=False))


def test_what_was_not_asked_does_not_count():
    """A start that came to no request is given back; but not one before it."""
    pace = Pace(Rate(1, 1.0))
    pace.start(0.0)
    pace.start(1.0)
    pace.spared()
    assert pace.next_start == 1.0
    pace.spared()
    assert pace.next_start == 1.0


def test_held_up():
    """Whoever holds it up is obeyed, and with no rate nothing else does."""
    pace = Pace()
    pace.start(5.0)
    assert pace.next_start <= 5.0
    pace.hold(7.0)
    pace.hold(6.0)
    assert pace.next_start == 7.0
