"""Plots over time. Curves are SVG stretched to the width there is; words are HTML, so they keep their size."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from math import ceil, floor, log10
from typing import Final, NamedTuple

from crawler.monitor.units import rate, size
from crawler.report.counts.timeline import Bucket, Timeline
from crawler.report.markup import seconds, text

_HEIGHT: Final = 1000
_DAY: Final = 86_400


class Series(NamedTuple):
    """`kind` is the class that gives it its colour."""

    kind: str
    title: str
    path: str


class Scale(NamedTuple):
    """Where a value stands, from 0 (the top) to _HEIGHT; and the labels, the topmost first."""

    y: Callable[[float], int]
    labels: Sequence[str]


class Chart(NamedTuple):
    """`tips` says of each step what is there."""

    name: str
    title: str
    series: Sequence[Series]
    scale: Scale
    summary: str
    tips: Sequence[str]


class Plots(NamedTuple):
    """HTML, and what a pointer at a step of a chart shows, by the chart's name."""

    html: str
    tips: dict[str, Sequence[str]]


def plots(timeline: Timeline) -> Plots:
    """What is to be seen over time; empty when nothing has a time."""
    begin, buckets = timeline.buckets()
    if not buckets:
        return Plots("", {})
    width, steps = timeline.width, len(buckets)
    moments = [_clock(begin + at * width, width * steps, width) for at in range(steps)]
    ticks = [_clock(begin + width * steps * at / 4, width * steps, width) for at in range(5)]
    found = (_throughput(buckets, width, moments), _latency(buckets, moments), _traffic(buckets, width, moments))
    charts = [chart for chart in found if chart is not None]
    html = "".join(_figure(chart, ticks, steps) for chart in charts)
    return Plots(html, {chart.name: chart.tips for chart in charts})


def _throughput(buckets: Sequence[Bucket], width: float, moments: Sequence[str]) -> Chart:
    scale = _linear(max(bucket.count for bucket in buckets) / width, rate)
    layers = [
        ("ok", "answers below 400", [bucket.ok / width for bucket in buckets]),
        ("http", "answers from 400", [bucket.errors / width for bucket in buckets]),
        ("failed", "failed", [bucket.failed / width for bucket in buckets]),
    ]
    base = [0.0] * len(buckets)
    series = []
    for kind, title, values in layers:
        top = [below + value for below, value in zip(base, values, strict=True)]
        if any(values):
            series.append(Series(f"area {kind}", title, _area(base, top, scale)))
        base = top
    shown = [
        f"{moment}: {rate(bucket.count / width)}, {bucket.ok:,} ok, {bucket.errors:,} from 400, "
        f"{bucket.failed:,} failed"
        for moment, bucket in zip(moments, buckets, strict=True)
    ]
    summary = f"URLs per second; at most {rate(max(bucket.count for bucket in buckets) / width)}"
    return Chart("throughput", "URLs per second", series, scale, summary, shown)


def _latency(buckets: Sequence[Bucket], moments: Sequence[str]) -> Chart | None:
    middle = [bucket.durations.percentile(0.5) for bucket in buckets]
    high = [bucket.durations.percentile(0.95) for bucket in buckets]
    known = [value for value in (*middle, *high) if value is not None]
    if not known:
        return None
    scale = _logarithmic(min(known), max(known))
    series = [
        Series("line http", "95 % take at most", _line(high, scale)),
        Series("line ok", "half take at most", _line(middle, scale)),
    ]
    shown = [
        f"{moment}: half within {seconds(half)}, 95 % within {seconds(most)}"
        if half is not None and most is not None
        else f"{moment}: nothing"
        for moment, half, most in zip(moments, middle, high, strict=True)
    ]
    summary = f"time for one URL, on a logarithmic scale; 95 % took at most {seconds(max(known))} at the worst time"
    return Chart("latency", "Time for one URL (logarithmic)", series, scale, summary, shown)


def _traffic(buckets: Sequence[Bucket], width: float, moments: Sequence[str]) -> Chart | None:
    most = max(bucket.size for bucket in buckets) / width
    if not most:
        return None
    scale = _linear(most, lambda number: f"{size(number)}/s")
    top = [bucket.size / width for bucket in buckets]
    shown = [f"{moment}: {size(value)}/s" for moment, value in zip(moments, top, strict=True)]
    series = [Series("area size", "bytes of bodies on the wire", _area([0.0] * len(top), top, scale))]
    return Chart("traffic", "Bytes per second", series, scale, f"bytes per second; at most {size(most)}/s", shown)


def _figure(chart: Chart, ticks: Sequence[str], steps: int) -> str:
    legend = "".join(
        f'<span class="key"><svg aria-hidden="true"><rect class="{series.kind}" width="100%" height="100%"/></svg>'
        f"{text(series.title)}</span>"
        for series in chart.series
    )
    lines = len(chart.scale.labels) - 1
    grid = "".join(f"M0 {round(at * _HEIGHT / lines)}H{steps}" for at in range(lines + 1))
    paths = "".join(f'<path class="{series.kind}" d="{series.path}"/>' for series in chart.series)
    labels = "".join(f"<span>{text(label)}</span>" for label in chart.scale.labels)
    below = "".join(f"<span>{text(tick)}</span>" for tick in ticks)
    return (
        f'<figure class="chart"><figcaption>{text(chart.title)}{legend}</figcaption>\n'
        f'<div class="plot"><div class="y" aria-hidden="true">{labels}</div>'
        f'<div class="field" data-chart="{chart.name}" tabindex="0" role="img" aria-label="{text(chart.summary)}">'
        f'<svg viewBox="0 0 {steps} {_HEIGHT}" preserveAspectRatio="none" aria-hidden="true">'
        f'<path class="grid" d="{grid}"/>{paths}</svg></div></div>\n'
        f'<div class="x" aria-hidden="true">{below}</div><p class="tip" aria-live="polite"></p></figure>\n'
    )


# scales


def _linear(most: float, label: Callable[[float], str]) -> Scale:
    step, steps = _steps(most)
    top = step * steps
    return Scale(
        lambda value: round(_HEIGHT * (1 - value / top)), [label(step * at) for at in range(steps, 0, -1)] + ["0"]
    )


def _steps(most: float) -> tuple[float, int]:
    """A round number and how many of it reach the largest value: at most five."""
    if most <= 0:
        return 1.0, 1
    power = 10.0 ** floor(log10(most))
    for factor in (0.2, 0.25, 0.5, 1.0, 2.0):
        steps = ceil(most / (factor * power) - 1e-9)
        if steps <= 5:
            return factor * power, steps
    return 10 * power, 1


def _logarithmic(least: float, most: float) -> Scale:
    low = floor(log10(max(least, 1e-6)))
    high = max(ceil(log10(max(most, 1e-6))), low + 1)
    span = high - low

    def y(value: float) -> int:
        return round(_HEIGHT * (1 - (log10(max(value, 1e-6)) - low) / span))

    return Scale(y, [_power(at) for at in range(high, low - 1, -1)])


def _power(exponent: int) -> str:
    """10 ms, 1 s, 1,000 s: the round numbers of the scale."""
    for unit, base in (("s", 0), ("ms", -3), ("\N{MICRO SIGN}s", -6)):
        if exponent >= base:
            return f"{10 ** (exponent - base):,} {unit}"
    return f"1e{exponent} s"


# curves


def _area(base: Sequence[float], top: Sequence[float], scale: Scale) -> str:
    """What is between two curves of steps."""
    y = scale.y
    path = [f"M0 {y(base[0])}"]
    path += [f"V{y(value)}H{at}" for at, value in enumerate(top, 1)]
    path += [f"V{y(base[at])}H{at}" for at in range(len(base) - 1, -1, -1)]
    return "".join(path) + "z"


def _line(values: Sequence[float | None], scale: Scale) -> str:
    """A curve of steps, open where there is nothing."""
    path = []
    pen_down = False
    for at, value in enumerate(values):
        if value is not None:
            path.append(f"{'V' if pen_down else f'M{at} '}{scale.y(value)}H{at + 1}")
        pen_down = value is not None
    return "".join(path)


# time


def moment(epoch: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(epoch))


def _clock(epoch: float, span: float, width: float) -> str:
    """As much of the time as tells the steps of a span apart."""
    if span < _DAY / 4:
        words = time.strftime("%H:%M:%S", time.gmtime(epoch))
        return words + f"{epoch % 1:.2f}"[1:] if width < 1 else words
    form = "%H:%M" if span < _DAY else "%m-%d %H:%M" if span < 90 * _DAY else "%Y-%m-%d"
    return time.strftime(form, time.gmtime(epoch))
