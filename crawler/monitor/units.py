"""Numbers as people read them: short, and of a width that hardly changes. Pure, ASCII only."""

from __future__ import annotations

from typing import Final

from crawler.stats.whole import WholeCrawl

_OLD: Final = 15.0


def amount(number: int) -> str:
    return f"{number:,}"


def urls(number: int) -> str:
    return "1 URL" if number == 1 else f"{number:,} URLs"


def size(number: float) -> str:
    """Bytes in decimal units: 999 B, 1.5 kB, 31 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 999.5:
            return f"{number:.0f} {unit}" if unit == "B" or number >= 9.95 else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:,.1f} TB"


def rate(per_second: float) -> str:
    return f"{per_second:,.0f}/s" if per_second >= 9.95 else f"{per_second:.1f}/s"


def clock(seconds: float) -> str:
    """0:07, 12:05, 3:02:01, 2 d 03:15."""
    whole = int(seconds)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    if not hours:
        return f"{minute}:{second:02}"
    days, hour = divmod(hours, 24)
    return f"{days} d {hour:02}:{minute:02}" if days else f"{hour}:{minute:02}:{second:02}"


def duration(seconds: float) -> str:
    """850 us, 12 ms, 2.1 s, 45 s, 3 min 05 s, 2 h 10 min, 3 d 4 h."""
    if not seconds:
        return "0 s"
    if seconds < 0.0009995:
        return f"{seconds * 1e6:.0f} us"
    if seconds < 0.9995:
        return f"{seconds * 1e3:.0f} ms" if seconds >= 0.00995 else f"{seconds * 1e3:.1f} ms"
    if seconds < 59.5:
        return f"{seconds:.0f} s" if seconds >= 9.95 else f"{seconds:.1f} s"
    minutes, second = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {second:02} s"
    hours, minute = divmod(minutes, 60)
    return f"{hours} h {minute:02} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"


def books(crawl: WholeCrawl) -> str:
    """The crawl of all nodes in a line; how old that is where it is no longer of now."""
    counts = (
        f"{amount(crawl.done)} of {amount(crawl.arrived)} done, ok {amount(crawl.ok)}, failed {amount(crawl.failed)}"
    )
    if crawl.skipped:
        counts += f", skipped {amount(crawl.skipped)}"
    nodes = "1 node" if crawl.there == 1 else f"{amount(crawl.there)} nodes"
    line = f"{counts}, queued {amount(crawl.queued)}, leased {amount(crawl.leased)}; {rate(crawl.rate)} by {nodes}"
    if crawl.gone:
        line += f", {amount(crawl.gone)} gone"
    return f"{line} ({duration(crawl.age)} ago)" if crawl.age > _OLD + crawl.there else line
