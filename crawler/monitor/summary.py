"""What the run came to, in a form for people: a screenful on stderr at its end; not called with --quiet.

On a terminal, what is too long is cut at its edge; in a log or a pipe nothing is cut.
"""

from __future__ import annotations

import textwrap
from http import HTTPStatus
from typing import Final

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from crawler.errors import CODES
from crawler.monitor.units import amount, books, duration, rate, size, urls
from crawler.printable import printable
from crawler.stats.stats import Snapshot

MAX_STATUSES: Final = 12
MAX_ERRORS: Final = 12
MAX_HOSTS: Final = 5
OFFLINE: Final = (
    "This machine looks offline: no host name could be resolved. Try `python -m crawler demo`, which needs no internet."
)
_ENDLESS: Final = 10_000  # columns: a line of a log is as long as it needs to be
_NAMELESS: Final = 26  # columns of the numbers beside a host's name
_STATUS_STYLES: Final = {2: "green", 3: "cyan", 4: "yellow", 5: "red"}


def print_summary(snapshot: Snapshot, console: Console) -> None:
    """Print the summary of a run that is over."""
    width = console.width - 1 if console.is_terminal else _ENDLESS
    numbers = max(
        6,
        len(
            amount(
                max(
                    [*snapshot.statuses.values(), *(error.count for error in snapshot.errors), *snapshot.skips.values()]
                    or [0]
                )
            )
        ),
    )
    sections = (
        _head(snapshot, width),
        _statuses(snapshot, numbers),
        _errors(snapshot, numbers, width),
        _skips(snapshot, numbers, width),
        _times(snapshot),
        _slowest(snapshot, width),
        _notes(snapshot, width),
    )
    for section in sections:
        if section:
            console.print()
            console.print(Text("\n").join(section), soft_wrap=True)


def _head(snapshot: Snapshot, width: int) -> list[Text]:
    # What was skipped cost nothing: it is counted below, whether it has records or not.
    ended = snapshot.ok + snapshot.failed
    first = f"{urls(ended)} in {duration(snapshot.elapsed)}"
    if ended and snapshot.elapsed > 0:
        first += f" ({rate(ended / snapshot.elapsed)})"
    lines = [Text(first, "bold")]
    if snapshot.left:
        lines[0].append(f", stopped with {amount(snapshot.left)} left", "bold yellow")
    counts = Text(f"{amount(snapshot.ok)} ok", "green" if snapshot.ok else "")
    if snapshot.unchanged:
        counts.append(f" ({amount(snapshot.unchanged)} unchanged)")
    counts.append(f", {amount(snapshot.failed)} failed", "red" if snapshot.failed else "default")
    skipped = sum(snapshot.skips.values())
    if skipped:
        counts.append(f", {amount(skipped)} skipped", "yellow")
    lines.append(counts)
    refused = snapshot.http_errors
    if refused:  # an answer is an answer, and some say no
        words = f"{amount(refused)} of the ok {'has' if refused == 1 else 'have'} a status of 400 or more"
        lines += _wrapped(words, width)
    more = []
    if snapshot.size_download:
        mean = snapshot.size_download / snapshot.elapsed if snapshot.elapsed > 0 else 0.0
        more.append(f"{size(snapshot.size_download)} received ({size(mean)}/s)")
    if snapshot.cached:
        more.append(f"{amount(snapshot.cached)} from the cache")
    if snapshot.redirects:
        more.append("1 redirect" if snapshot.redirects == 1 else f"{amount(snapshot.redirects)} redirects")
    if snapshot.retries:
        more.append("1 retry" if snapshot.retries == 1 else f"{amount(snapshot.retries)} retries")
    if more:
        lines += _wrapped(", ".join(more), width)
    if snapshot.crawl is not None and snapshot.crawl.done < snapshot.crawl.arrived:  # others go on
        lines += _wrapped(printable(f"Crawl {snapshot.crawl.name}: {books(snapshot.crawl)}"), width)
    return lines


def _statuses(snapshot: Snapshot, numbers: int) -> list[Text]:
    if not snapshot.statuses:
        return []
    ranked = sorted(snapshot.statuses.items(), key=lambda item: (-item[1], item[0]))
    shown, rest = sorted(ranked[:MAX_STATUSES]), ranked[MAX_STATUSES:]
    lines = [Text("Status", "bold")]
    for status, count in shown:
        lines.append(
            _counted(count, numbers).append(f"{status} {_phrase(status)}", _STATUS_STYLES.get(status // 100, ""))
        )
    if rest:
        lines.append(_counted(sum(count for _, count in rest), numbers).append(f"{len(rest)} other statuses", "dim"))
    return lines


def _errors(snapshot: Snapshot, numbers: int, width: int) -> list[Text]:
    """Code and meaning, and below it the first URL that met it."""
    if not snapshot.errors:
        return []
    indent = " " * (numbers + 4)
    lines = [Text("Errors", "bold")]
    for error in snapshot.errors[:MAX_ERRORS]:
        entry = CODES[error.code]
        style = "yellow" if entry.phase == "policy" else "red"
        first, *more = _wrapped(f"{error.code}: {entry.meaning}", width, indent)
        first = _counted(error.count, numbers) + first[len(indent) :]
        first.stylize(style, len(indent), len(indent) + len(error.code))
        lines += (first, *more)
        room = width - len(indent)
        example = _cut(error.url, room)
        room -= cell_len(example) + 4
        if error.message != entry.meaning and room >= 20:
            example = f"{example}  ({_cut(error.message, room)})"
        lines.append(Text(indent + example, "dim"))
    rest = snapshot.errors[MAX_ERRORS:]
    if rest:
        lines.append(_counted(sum(error.count for error in rest), numbers).append(f"{len(rest)} other codes", "dim"))
    return lines


def _skips(snapshot: Snapshot, numbers: int, width: int) -> list[Text]:
    """What was not fetched on purpose, and why."""
    if not snapshot.skips:
        return []
    lines = [Text("Skipped", "bold")]
    indent = " " * (numbers + 4)
    for code, count in snapshot.skips.items():
        first, *more = _wrapped(f"{code}: {CODES[code].meaning}", width, indent)
        first = _counted(count, numbers) + first[len(indent) :]
        first.stylize("yellow", len(indent), len(indent) + len(code))
        lines += (first, *more)
    return lines


def _times(snapshot: Snapshot) -> list[Text]:
    rows = [("first byte", snapshot.time_starttransfer), ("total", snapshot.time_total)]
    lines = [Text(f"{'Time':<12}" + "".join(f"{name:>9}" for name in ("p50", "p90", "p95", "p99", "max")), "bold")]
    for name, times in rows:
        if times is not None:
            values = (times.p50, times.p90, times.p95, times.p99, times.max)
            lines.append(Text(f"  {name:<10}" + "".join(f"{duration(value):>9}" for value in values)))
    return lines if len(lines) > 1 else []


def _slowest(snapshot: Snapshot, width: int) -> list[Text]:
    """Of one host alone, the times above tell everything."""
    if len(snapshot.hosts) < 2:
        return []
    hosts = snapshot.slowest_hosts[:MAX_HOSTS]
    names = [
        _cut(host.origin.removeprefix("https://").removeprefix("http://"), width - _NAMELESS - 2) for host in hosts
    ]
    column = max(map(cell_len, ["Slowest hosts", *(f"  {name}" for name in names)]))
    lines = [Text(f"{'Slowest hosts':<{column}}{'mean':>9}{'max':>9}{'URLs':>8}", "bold")]
    for host, name in zip(hosts, names, strict=True):
        times = "".join(f"{duration(seconds or 0.0):>9}" for seconds in (host.time_mean, host.time_max))
        lines.append(Text(set_cell_size(f"  {name}", column) + f"{times}{amount(host.done):>8}"))
    return lines


def _notes(snapshot: Snapshot, width: int) -> list[Text]:
    if looks_offline(snapshot):
        return [Text(line.plain, "bold yellow") for line in _wrapped(OFFLINE, width)]
    if not snapshot.bottleneck_overall:
        return []
    lines = _wrapped(f"Bottleneck: {printable(snapshot.bottleneck_overall)}", width)
    lines[0].stylize("bold", 0, len("Bottleneck:"))
    return lines


def looks_offline(snapshot: Snapshot) -> bool:
    """Every URL that could be tried failed in DNS, and nobody said that there is no address (as -6 may find).

    Bad lines and what policy refused tell nothing of the network.
    """
    tried = [error.code for error in snapshot.errors if CODES[error.code].phase not in {"input", "policy"}]
    return not snapshot.ok and bool(tried) and all(code.startswith("dns_") and code != "dns_nodata" for code in tried)


def _counted(count: int, numbers: int) -> Text:
    return Text(f"  {amount(count):>{numbers}}  ")


def _wrapped(text: str, width: int, indent: str = "") -> list[Text]:
    lines = textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
    return [Text(line) for line in lines]


def _cut(text: str, columns: int) -> str:
    """What fits, in cells: a Chinese character takes two."""
    columns = max(3, columns)
    text = printable(text, columns)
    return text if cell_len(text) <= columns else set_cell_size(text, columns - 3).rstrip() + "..."


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "(not a registered status)"
