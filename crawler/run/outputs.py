"""The outputs of a run: which files, in which formats, and how they are put together into one sink."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from twisted.internet.defer import Deferred

from crawler.config.config import Config
from crawler.redaction import scrub
from crawler.sinks import Sink
from crawler.sinks.bodies import Bodies
from crawler.sinks.csv import Csv
from crawler.sinks.jsonl import JsonLines
from crawler.sinks.ordered import Ordered
from crawler.sinks.tee import Tee
from crawler.sinks.wanted import Wanted
from crawler.sinks.writer import Output, open_output


class KeepsOutputs(Protocol):
    """What a job does for its outputs."""

    in_order: bool
    oldest: int

    def output(self, path: str, *, overwrite: bool) -> Output: ...

    def sink(self, sink: Sink, synced: Sequence[Bodies] = ()) -> Sink: ...


class Outputs(NamedTuple):
    """The sink of a run, and who must be asked before an input is accepted."""

    sink: Sink
    admit: Callable[[int], Deferred[None] | None] | None


def open_outputs(
    config: Config,
    *,
    reactor: Any,
    stats: Sink,
    sinks: Sequence[Sink] = (),
    bodies: bool = True,
    job: KeepsOutputs | None = None,
) -> Outputs:
    """One sink for the outputs of the config, for `sinks` and `stats`.

    All outputs are opened or none: one that cannot be leaves no empty file of another, and no old one emptied. `bodies`
    says whether `sinks` want the body that rides along. Raises ValueError for a suffix without a format.
    """
    paths = [*((path, False) for path in config.output), *((path, True) for path in config.overwrite_output)]
    formats = [_format(path) for path, _ in paths]
    saved = [] if config.bodies is None else [Bodies(config.bodies, durable=config.durable and job is not None)]
    opened: list[Output] = []
    try:
        for path, overwrite in paths:
            if job is None:
                opened.append(Output(open_output(path, reactor, overwrite=overwrite), begun=False))
            else:
                opened.append(job.output(path, overwrite=overwrite))
    except BaseException:
        for output in opened:
            output.writer.discard()
        raise
    lines = [_lines(config, output, suffix) for output, suffix in zip(opened, formats, strict=True)]
    records: Sink = Tee([*lines, *sinks])
    if config.omits_skips:
        records = Wanted(records)
    ordered = config.ordered and bool(lines or sinks) and (job is None or job.in_order)
    if job is not None:
        # What a body is lost with must not count as written. Behind the order there are no responses any more.
        records = job.sink(records if ordered else Tee([*saved, records]), saved)
        saved = saved if ordered else []
    if not ordered:
        return Outputs(Tee([stats, *saved, records]), None)
    bodies_wait = bool(sinks) and bodies
    # With bodies a record is no small thing to hold.
    window = 1_000 if config.include_body or bodies_wait else 10_000
    first = 0 if job is None else job.oldest
    in_order = Ordered(records, window=window, bodies=bodies_wait, first=first, strict=job is not None)
    return Outputs(Tee([stats, *saved, in_order]), in_order.admit)


def _lines(config: Config, output: Output, suffix: str) -> Sink:
    if suffix in {".csv", ".tsv"}:
        delimiter = "," if suffix == ".csv" else "\t"
        return Csv(
            output.writer, fields=config.fields, delimiter=delimiter, raw=config.csv_raw, header=not output.begun
        )
    return JsonLines(output.writer, fields=config.fields)


def _format(path: str) -> str:
    suffix = Path(path.lower().removesuffix(".gz")).suffix
    if suffix not in {"", ".jsonl", ".ndjson", ".csv", ".tsv"}:
        raise ValueError(
            f"{scrub(path)}: no format is known for {scrub(suffix)!r} "
            "(allowed: .jsonl, .ndjson, .csv, .tsv; also .gz of them)"
        )
    return suffix
