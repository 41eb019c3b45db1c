"""What a report tells, counted from records one at a time. Pure; memory is bounded, see bounded.py."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable
from typing import Final, NamedTuple

from crawler.errors import warning_code
from crawler.report.counts.bounded import LONGEST, Largest, Tally, Tree, cut
from crawler.report.counts.hosts import Hosts
from crawler.report.counts.site import Site
from crawler.report.counts.timeline import Timeline
from crawler.report.lines import Line, Lines, Skip
from crawler.stats.histogram import Histogram, bucket_of

DEPTH: Final = 5
SLOWEST: Final = 25
FILES: Final = 25
CHAINS: Final = 15
SIZES: Final = (0, 100, 1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000)
"""Upper bounds of the bars, in bytes; the last bar has no end."""
TIMES: Final = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
"""The same, in seconds."""
BUSY: Final = frozenset({429, 503})
_PLACE: Final = re.compile(r"\s*(https?):[/\\]*(?:[^/\\?#@]*@)?([^/\\?#\s]+)([^?#]*)", re.IGNORECASE)


class Slow(NamedTuple):
    url: str
    what: str
    size: int


class Kept(NamedTuple):
    url: str
    path: str
    content_type: str


class Aggregate:
    """Everything a page needs. Reading and adding a record takes some 30 us."""

    def __init__(self) -> None:
        self.records = 0
        self.ok = 0
        self.http_errors = 0  # of the ok ones
        self.unchanged = 0  # of the ok ones, too
        self.failed = 0
        self.skipped = 0
        self.requests = 0
        self.tries_again = 0
        self.redirects = 0
        self.size_download = 0
        self.size_body = 0
        self.durations = Histogram()
        self.timeline = Timeline()
        self.statuses = Tally()
        self.errors = Tally(limit=200)
        self.messages: dict[str, str] = {}
        self.warnings = Tally(limit=200)
        self.types = Tally()
        self.sizes = [0] * (len(SIZES) + 1)
        self.times = [0] * (len(TIMES) + 1)
        self.hosts = Hosts()
        self.moves = Tally(limit=500, examples=2)
        self.targets = Tally(limit=500, examples=2)
        self.chains: Largest[tuple[tuple[str, int | None], ...]] = Largest(CHAINS)
        self.slowest: Largest[Slow] = Largest(SLOWEST)
        self.broken_links = 0
        self.broken_seeds = 0
        self.duplicates = Tally(limit=1_000)
        self.files = Tally()
        self.largest_files: Largest[Kept] = Largest(FILES)
        self.tree = Tree()
        self.site = Site()

    def add(self, line: Line) -> None:
        url = line.final_url or line.url
        if len(url) > LONGEST:
            url = cut(url)
        status = line.status
        code = _code(line)
        outcome = line.outcome or ("ok" if code is None and status is not None else "failed")
        self.records += 1
        if line.warnings:
            for warning in line.warnings:
                self.warnings.add(warning_code(warning), example=line.url)
        scheme, host, names = _place(url)
        hops = line.redirects
        tries = line.attempts
        if tries is None:  # --fields left it out
            tries = int(status is not None or line.started is not None)
        requests = tries + len(hops)
        self.requests += requests
        self.tries_again += max(0, tries - 1)
        error = False
        if outcome == "skipped":
            self.skipped += 1
            self._count_error(code, line)
            if host is not None:
                self.hosts.skip(host, code)
            if status is None:
                if code == "robots_denied":
                    self.site.add(line, code, failed=True, parent=_parent(line))
                return  # it was not fetched; what is of a type that was not asked for was
        elif outcome == "failed":
            error = True
            self.failed += 1
            self._count_error(code, line)
        else:
            self.ok += 1
            self.unchanged += outcome == "unchanged"
            error = status is not None and status >= 400
            self.http_errors += error
        if status is not None:
            self._count_answer(line, status)
        if hops:
            self._count_redirects(line, url, scheme, host)
        size = line.size_download
        self.size_download += size
        seconds = line.time_total
        slot = 0
        if seconds is not None:
            slot = bucket_of(seconds)  # looked for once, for all that count it
            self.durations.add_to(slot, seconds)
            self.times[bisect_right(TIMES, seconds)] += 1
            if self.slowest.wants(seconds):
                self.slowest.add(seconds, Slow(url, code or str(status), line.size_body))
        begun = None if line.started is None else line.started.timestamp()
        if begun is not None:
            self.timeline.add(begun, seconds, slot, size, failed=outcome == "failed", error=error)
        if host is not None:
            self.hosts.count(
                host, requests, size, begun, seconds, slot, failed=outcome == "failed", error=error, busy=status in BUSY
            )
            self.tree.add(names, size=line.size_body, error=error)
        parent = _parent(line)
        if error:
            self.broken_seeds += parent is None
            self.broken_links += parent is not None
        self.site.add(line, code, failed=outcome == "failed", parent=parent)
        if line.body_path is not None:
            self._count_file(line, url)
        if line.duplicate_of is not None:
            self.duplicates.add(line.duplicate_of, size=line.size_body, example=line.url)

    def add_unwritten(self, skip: Skip) -> None:
        """Links of a job that have no records."""
        self.hosts.skip(skip.host, skip.error, skip.count)

    def _count_error(self, code: str | None, line: Line) -> None:
        code = cut(code or "unknown")
        self.errors.add(code, example=line.url)
        if line.error is not None and code not in self.messages and len(self.messages) < LONGEST:
            self.messages[code] = cut(line.error.message)

    def _count_file(self, line: Line, url: str) -> None:
        assert line.body_path is not None
        kind = line.content_type or ""
        self.files.add(kind, size=line.size_body)
        if self.largest_files.wants(line.size_body):
            self.largest_files.add(line.size_body, Kept(url, cut(line.body_path), kind))

    def _count_answer(self, line: Line, status: int) -> None:
        self.statuses.add(str(status), size=line.size_body, example=line.url)
        self.types.add(line.content_type or "", size=line.size_body)
        self.size_body += line.size_body
        self.sizes[bisect_right(SIZES, line.size_body - 0.5)] += 1

    def _count_redirects(self, line: Line, url: str, scheme: str | None, host: str | None) -> None:
        hops = line.redirects
        self.redirects += len(hops)
        chain = [*((hop.url, hop.status) for hop in hops), (url, line.status)]
        ends = [*(_place(hop.url)[:2] for hop in hops), (scheme, host)]
        for (source, code), before, after in zip(chain, ends, ends[1:], strict=False):
            self.moves.add(f"{code} {_origin(before)} {_origin(after)}", example=source)
        self.targets.add(url, example=line.url)
        if self.chains.wants(len(hops)):
            self.chains.add(len(hops), tuple((cut(hop), code) for hop, code in chain))


def counted(lines: Lines, *, given_up: Callable[[], bool] = lambda: False) -> Aggregate:
    """What the records of a file tell, until it ends or `given_up` says that nobody waits for that any longer."""
    of = Aggregate()
    for line in lines:
        of.add(line)
        if given_up():
            break
    if lines.job is not None:
        for skip in lines.job.unwritten:
            of.add_unwritten(skip)
    return of


def _parent(line: Line) -> str | None:
    return line.input_parent if line.input is None else line.input.parent


def _code(line: Line) -> str | None:
    return line.error_code if line.error is None else line.error.code


def _origin(end: tuple[str | None, str | None]) -> str:
    scheme, host = end
    return "?" if host is None else f"{scheme}://{host}"


def _place(url: str) -> tuple[str | None, str | None, list[str]]:
    """The scheme and host of a URL, and its way down the tree: the host, folders, the page."""
    found = _PLACE.match(url)
    if found is None:
        return None, None, []
    scheme, host, path = found.groups()
    host = host.lower()
    folders = path.split("/", DEPTH + 1)[1:]
    if not folders:
        return scheme.lower(), host, [host]
    names = [host, *[f"{folder}/" for folder in folders[:-1]]]
    if len(folders) <= DEPTH and "/" not in folders[-1]:
        names.append(folders[-1] or "(index)")
    return scheme.lower(), host, names
