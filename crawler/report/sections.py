"""The parts of the page that are tables, each from what was counted; empty text where there is nothing to tell."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from typing import Final

from crawler.errors import CODES, SKIPS, WARNINGS
from crawler.monitor.units import amount, size
from crawler.report.counts.aggregate import SIZES, TIMES, Aggregate
from crawler.report.counts.bounded import Row
from crawler.report.counts.hosts import Host
from crawler.report.lines import Job
from crawler.report.markup import (
    NONE,
    Cell,
    Column,
    bar,
    count,
    folded,
    in_bytes,
    in_seconds,
    link,
    links,
    note,
    seconds,
    share,
    table,
    text,
)
from crawler.report.sources.outputs import Output

HOSTS: Final = 200
ROWS: Final = 25
_COUNT: Final = Column("URLs", number=True)
_SHARE: Final = Column("share", number=True)
_BAR: Final = Column("")
_Told = Callable[[str], str]


def answers(of: Aggregate) -> str:
    html = ""
    statuses, _ = of.statuses.top(100)
    if statuses:
        html += "<h3>Answers by status</h3>\n" + _causes(
            "Answers by status", "status", statuses, of.statuses.count, _status_kind, _phrase
        )
    errors, others = of.errors.top(100)
    if errors:
        html += "<h3>Failed and skipped, by error</h3>\n" + _causes(
            "Failed and skipped, by error",
            "error",
            errors,
            of.errors.count,
            _error_kind,
            lambda code: CODES[code].meaning if code in CODES else of.messages.get(code, ""),
        )
        html += note(f"and {amount(others.count)} with others") if others.count else ""
    warnings, _ = of.warnings.top(100)
    if warnings:
        html += "<h3>Warnings</h3>\n" + _causes(
            "Warnings", "warning", warnings, of.records, lambda _: "http", lambda code: WARNINGS.get(code, "")
        )
    return html


def _causes(label: str, name: str, rows: Sequence[Row], whole: int, kind: _Told, meaning: _Told) -> str:
    largest = max(row.entry.count for row in rows)
    columns = [Column(name), Column("meaning"), _COUNT, _SHARE, _BAR, Column("examples")]
    return table(
        label,
        columns,
        [
            (
                Cell(f'<span class="code">{text(row.key)}</span>'),
                Cell(text(meaning(row.key))),
                count(row.entry.count),
                share(row.entry.count, whole),
                bar(row.entry.count, largest, kind(row.key)),
                Cell(_examples(row)),
            )
            for row in rows
        ],
    )


def _examples(row: Row) -> str:
    urls = row.entry.examples
    if len(urls) < 2:
        return "".join(map(link, urls))
    return link(urls[0], 80) + folded(f"and {len(urls) - 1} more", links(urls[1:]))


def _status_kind(status: str) -> str:
    return "ok" if status < "400" else "http"


def _error_kind(code: str) -> str:
    return "skipped" if code in SKIPS else "failed"


def _phrase(status: str) -> str:
    try:
        return HTTPStatus(int(status)).phrase
    except ValueError:
        return ""


def content(of: Aggregate) -> str:
    html = ""
    if of.statuses.count:
        rows, others = of.types.top(ROWS)
        largest = max((row.entry.size for row in rows), default=0)
        lines = [
            (
                Cell(text(row.key) if row.key else NONE),
                count(row.entry.count),
                share(row.entry.count, of.types.count),
                in_bytes(row.entry.size),
                in_bytes(row.entry.size / row.entry.count),
                bar(row.entry.size, largest, "size"),
            )
            for row in rows
        ]
        foot = (Cell("others"), count(others.count), Cell(""), in_bytes(others.size)) if others.count else ()
        columns = [
            Column("type"), _COUNT, _SHARE, Column("bytes", number=True, hint="after decoding"),
            Column("mean", number=True), _BAR,
        ]  # fmt: skip
        html += "<h3>Types</h3>\n" + table("Types", columns, lines, foot=foot)
        html += '<div class="pair"><div><h3>Sizes of bodies</h3>\n'
        html += _histogram("Sizes of bodies", _size_labels(), of.sizes, "size") + "</div>"
    if of.durations.count:
        html += "<div><h3>Time for one URL</h3>\n" if of.statuses.count else '<div class="pair"><div>'
        html += _histogram("Time for one URL", _time_labels(), of.times, "ok") + "</div>"
    return f"{html}</div>" if html else ""


def _histogram(label: str, names: Iterable[str], counts: Sequence[int], kind: str) -> str:
    """Without the empty bars at both ends."""
    rows = list(zip(names, counts, strict=True))
    while rows and not rows[-1][1]:
        rows.pop()
    while rows and not rows[0][1]:
        rows.pop(0)
    largest, whole = max(counts), sum(counts)
    return table(
        label,
        [Column("range"), _COUNT, _SHARE, _BAR],
        [(Cell(text(name)), count(number), share(number, whole), bar(number, largest, kind)) for name, number in rows],
        kind="histogram",
    )


def _size_labels() -> list[str]:
    bounds = [size(bound).replace(".0 ", " ") for bound in SIZES]
    return ["empty", *(f"to {bound}" for bound in bounds[1:]), f"over {bounds[-1]}"]


def _time_labels() -> list[str]:
    bounds = [seconds(bound).replace(".0 ", " ") for bound in TIMES]
    return [*(f"to {bound}" for bound in bounds), f"over {bounds[-1]}"]


def hosts(of: Aggregate) -> str:
    rows, others = of.hosts.busiest(HOSTS)
    rows = [host for host in rows if host.urls]
    if not rows:
        return ""
    columns = [
        Column("host"), _COUNT, Column("requests", number=True, hint="with second tries and redirects"),
        Column("errors", number=True, hint="failed, or a status from 400"), Column("%", number=True),
        Column("mean time", number=True), Column("95 %", number=True, hint="so many take at most this time"),
        Column("bytes", number=True, hint="on the wire"), _BAR,
    ]  # fmt: skip
    largest = max(host.size for host in rows)
    return table("Hosts", columns, [_host(host, largest) for host in rows], foot=_host(others, 0) if others else ())


def _host(host: Host, largest: int) -> Sequence[Cell]:
    return (
        Cell(text(host.name, 100)),
        count(host.urls),
        count(host.requests),
        count(host.errors, "bad"),
        share(host.errors, host.urls),
        in_seconds(host.durations.mean),
        in_seconds(host.durations.percentile(0.95)),
        in_bytes(host.size),
        bar(host.size, largest, "size") if largest else Cell(""),
    )


def redirects(of: Aggregate) -> str:
    if not of.redirects:
        return ""
    html = "<h3>From where to where</h3>\n"
    rows, others = of.moves.top(ROWS)
    html += table(
        "From where to where",
        [Column("status"), Column("from"), Column("to"), Column("redirects", number=True), Column("examples")],
        [
            (
                Cell(text(status)),
                Cell(text(source, 80)),
                Cell(text(target, 80) if target != source else "the same"),
                count(entry.count),
                Cell("<br>".join(link(url, 80) for url in entry.examples)),
            )
            for (status, source, target), entry in ((row.words(3), row.entry) for row in rows)
        ],
        foot=(Cell("others"), Cell(""), Cell(""), count(others.count)) if others.count else (),
    )
    rows = [row for row in of.targets.top(ROWS)[0] if row.entry.count > 1]
    if rows:
        html += "<h3>Where many lead</h3>\n" + table(
            "Where many lead",
            [Column("URL"), Column("come here", number=True), Column("for example from")],
            [
                (
                    Cell(link(row.key)),
                    count(row.entry.count),
                    Cell("<br>".join(link(url, 80) for url in row.entry.examples)),
                )
                for row in rows
            ],
        )
    chains = "".join(
        "<li><ol>"
        + "".join(f"<li>{link(url)} <b>{'' if status is None else status}</b></li>" for url, status in chain)
        + "</ol></li>"
        for _, chain in of.chains.ranked()
    )
    return f'{html}<h3>Longest chains</h3>\n<ul class="chains">{chains}</ul>\n'


def slow(of: Aggregate) -> str:
    rows = of.slowest.ranked()
    if not rows:
        return ""
    return table(
        "Slowest URLs",
        [Column("time", number=True), Column("answer"), Column("size", number=True), Column("URL")],
        [(in_seconds(value), Cell(text(item.what)), in_bytes(item.size), Cell(link(item.url))) for value, item in rows],
    )


def files(of: Aggregate, outputs: Sequence[Output]) -> str:
    """What the run wrote, and what --bodies keeps."""
    html = ""
    if outputs:
        html += "<h3>What the run wrote</h3>\n" + table(
            "What the run wrote",
            [Column("file"), Column("what"), Column("size", number=True)],
            [
                (Cell(text(path)), Cell(text(what)), Cell(NONE, -1) if octets is None else in_bytes(octets))
                for path, what, octets in outputs
            ],
        )
    return html + _bodies(of)


def _bodies(of: Aggregate) -> str:
    if not of.files.count:
        return ""
    rows, others = of.files.top(ROWS)
    html = "<h3>Files by type</h3>\n" + table(
        "Files by type",
        [Column("type"), Column("files", number=True), Column("size", number=True)],
        [(Cell(text(row.key) or NONE), count(row.entry.count), in_bytes(row.entry.size)) for row in rows],
        foot=() if not others.count else (Cell("others"), count(others.count), in_bytes(others.size)),
    )
    html += "<h3>Largest</h3>\n" + table(
        "Largest files",
        [Column("size", number=True), Column("file"), Column("type"), Column("URL")],
        [
            (in_bytes(value), Cell(text(item.path)), Cell(text(item.content_type) or NONE), Cell(link(item.url)))
            for value, item in of.largest_files.ranked()
        ],
    )
    return html + note("A file is named in the folder of --bodies; several URLs may share one.")


def duplicates(of: Aggregate) -> str:
    if not of.duplicates.count:
        return ""
    rows, others = of.duplicates.top(ROWS)
    words = f"{amount(of.duplicates.count)} pages are the same as another one: {size(of.duplicates.size)}."
    return f"<p>{words}</p>\n" + table(
        "Duplicate content",
        [Column("page"), Column("copies", number=True), Column("bytes of copies", number=True), Column("copies are")],
        [
            (
                Cell(link(row.key)),
                count(row.entry.count),
                in_bytes(row.entry.size),
                Cell(links(row.entry.examples, row.entry.count - len(row.entry.examples))),
            )
            for row in rows
        ],
        foot=(Cell("others"), count(others.count), in_bytes(others.size)) if others.count else (),
    )


def courtesy(of: Aggregate, job: Job | None) -> str:
    rows, others = of.hosts.busiest(HOSTS)
    if not rows:
        return ""
    columns = [
        Column("host"), Column("requests", number=True), Column("mean per s", number=True, hint="from first to last"),
        Column("peak in 1 s", number=True, hint="most that began in one second of the clock"),
        Column("429, 503", number=True, hint="answers that ask for less"),
        Column("robots.txt forbids", number=True), Column("robots.txt unreachable", number=True),
        Column("skipped otherwise", number=True),
    ]  # fmt: skip
    html = table(
        "Courtesy",
        columns,
        [_courtesy(host) for host in rows],
        foot=_courtesy(others) if others else (),
    )
    words = "Rates are of the last request of each URL: records do not tell when earlier tries and redirects were."
    if job is None and not of.skipped:
        words += " Links that were skipped without a request have records only with --skipped, or in a job."
    return html + note(text(words))


def _courtesy(host: Host) -> Sequence[Cell]:
    mean = host.rate
    return (
        Cell(text(host.name or "(no URL)", 100)),
        count(host.requests),
        Cell(NONE, -1) if mean is None else Cell(f"{mean:,.2f}", mean),
        count(host.peak) if host.peak else Cell(NONE, -1),
        count(host.busy, "bad"),
        count(host.denied),
        count(host.unreachable, "bad"),
        count(host.skipped - host.denied - host.unreachable),
    )
