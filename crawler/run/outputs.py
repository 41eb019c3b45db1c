"""The outputs of a run: which files, in which formats, and how they are put together into one sink; what is wanted of
the answers, and the folder in which it is kept.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from twisted.internet.defer import Deferred

from crawler.config.config import Config
from crawler.config.options.output import TEXT
from crawler.fetch.saving.accept import Accept
from crawler.fetch.saving.scratch import Scratch
from crawler.fetch.saving.spool import Disk
from crawler.fetch.saving.spools import Reads, Spools
from crawler.files import coded
from crawler.redaction import scrub
from crawler.seeds.inputs import columns
from crawler.sinks import Sink
from crawler.sinks.csv import Csv
from crawler.sinks.fields import TemplateLine
from crawler.sinks.formats import ARCHIVE, SEPARATED, Target, targets
from crawler.sinks.jsonl import JsonLines, RecordLine, item_lines
from crawler.sinks.ordered import Ordered
from crawler.sinks.tee import Tee
from crawler.sinks.wanted import Wanted
from crawler.sinks.writer import Output, open_output

# Most runs write lines alone: what keeps bodies, makes archives and tables is only for those that do.
if TYPE_CHECKING:
    from crawler.run.objects.bodies import ObjectBodies
    from crawler.run.objects.looking import Objects
    from crawler.sinks.archive.writing import Archive
    from crawler.sinks.bodies.keeping import Bodies
    from crawler.sinks.bodies.ledger import Kept
    from crawler.sinks.mirror.recording import Recording


class Synced(Protocol):
    """What is brought to the disk before a record counts."""

    def sync(self) -> None: ...


class KeepsOutputs(Protocol):
    """What a job does for its outputs."""

    in_order: bool
    oldest: int

    def output(self, path: str, *, overwrite: bool) -> Output: ...

    def bodies(self) -> Kept: ...

    def sink(self, sink: Sink, synced: Sequence[Synced] = ()) -> Sink: ...


class KeepsRecords(Protocol):
    """What a node does for its outputs: they are its parts."""

    def sink(self, sink: Sink) -> Sink: ...


class Outputs(NamedTuple):
    """The sink of a run, who must be asked before an input is accepted, and who takes what goes over the wire."""

    sink: Sink
    admit: Callable[[int], Deferred[None] | None] | None
    archive: Archive | None = None


class Saving:
    """`accept` says which answers are wanted; `bodies` keeps them in files, and `spools` the large ones as they come.
    Where bodies go to a store, that is `away`.

    `reads` says which answers are read, for links or data. Raises CodedError.
    """

    def __init__(
        self,
        config: Config,
        reactor: Any,
        *,
        reads: Reads | None,
        job: KeepsOutputs | None,
        objects: Objects | None = None,
    ) -> None:
        self.accept: Accept | None = None
        self.spools: Spools | None = None
        self.bodies: Bodies | None = None
        self.mirror: Recording | None = None
        self.away: ObjectBodies | None = None
        self._objects = objects
        if config.accept:
            self.accept = accept_of(config)
        if config.bodies is not None:
            self._open(config, config.bodies, reactor, reads, job)

    def close(self) -> None:
        """After the outputs are closed."""
        if self.spools is not None:
            self.spools.close()

    def _open(self, config: Config, folder: str, reactor: Any, reads: Reads | None, job: KeepsOutputs | None) -> None:
        kept = None if job is None else job.bodies()
        objects = self._objects
        scratch = None if objects is None else objects.scratch
        folder = scratch or folder
        try:
            spools = Spools(
                Scratch(folder, None if kept is None else kept.scratch),
                Disk(reactor),
                reads=reads,
                pending=None if kept is None else kept.pending,
                take_up=not config.durable,  # after a power cut a file may hold anything, whatever its size
            )
        except OSError as error:
            raise coded(error, folder) from error
        self.spools = spools
        if objects is not None and scratch is not None:
            self.away = objects.bodies(config.bodies_as, reactor=reactor, spools=spools, accept=self.accept, kept=kept)
            return
        from crawler.sinks.bodies.keeping import Bodies

        self.bodies = Bodies(
            folder,
            layout=config.bodies_as,
            durable=config.durable and job is not None,
            spools=spools,
            accept=self.accept,
            kept=kept,
            typed=config.mirror is not None,
        )
        if config.mirror is not None:
            from crawler.sinks.mirror.recording import Recording

            self.mirror = Recording(folder)


def accept_of(config: Config) -> Accept:
    """What --accept wants; a crawl reads what may lead on, too."""
    if not config.recursive:
        return Accept(config.accept)
    from crawler.page.discovery import may_lead

    return Accept(config.accept, may_lead)


def open_outputs(
    config: Config,
    *,
    reactor: Any,
    stats: Sink,
    sinks: Sequence[Sink] = (),
    wants_bodies: bool = True,
    job: KeepsOutputs | None = None,
    bodies: Bodies | None = None,
    mirror: Recording | None = None,
    objects: Objects | None = None,
    node: KeepsRecords | None = None,
) -> Outputs:
    """One sink for the outputs of the config, for `sinks` and `stats`. Some become `objects`.

    All outputs are opened or none: one that cannot be leaves no empty file of another, and no old one emptied.
    `wants_bodies` says whether `sinks` want the body that rides along; `bodies` keeps them in files, and
    `mirror` notes which. Raises ValueError for a suffix without a format.
    """
    outputs = targets(config) if node is None else []  # a node has its own
    formats = [output.suffix for output in outputs]
    if formats.count(ARCHIVE) > 1:
        raise ValueError(f"{formats.count(ARCHIVE)} archives are asked for (allowed: one; --warc-max-size makes more)")
    if any(output.put_at is not None and suffix == ARCHIVE for output, suffix in zip(outputs, formats, strict=True)):
        raise ValueError("an archive is written to a file here, beside its index, and may be put elsewhere then")
    if objects is not None:
        outputs = [objects.near(output) for output in outputs]
    opened: list[Output] = []
    try:
        for output in outputs:
            opened.append(_opened(output, reactor, job, objects))  # noqa: PERF401 - those before a bad one must be known
    except BaseException:
        for open_one in opened:
            open_one.writer.discard()
        raise
    keeps_logs = job is not None
    lines = [
        _sink(config, output, suffix, open_one, reactor, keeps_log=keeps_logs)
        for output, suffix, open_one in zip(outputs, formats, opened, strict=True)
    ]
    archive = cast("Archive", lines[formats.index(ARCHIVE)]) if ARCHIVE in formats else None
    if objects is not None:
        lines = [objects.put(sink, output, reactor) for sink, output in zip(lines, outputs, strict=True)]
    records: Sink = Tee([*lines, *sinks, *([] if mirror is None else [mirror])])
    if config.omits_skips:
        records = Wanted(records)
    ordered = config.ordered and bool(lines or sinks) and (job is None or job.in_order)
    # What a body is lost with must not count as written. Behind the order there are no responses any more.
    if bodies is not None and not ordered:
        records = _placing(bodies, records)
    if job is not None:
        records = job.sink(records, [part for part in (bodies, mirror) if part is not None])
    if node is not None:
        records = node.sink(Tee([stats, records]))
        return Outputs(records, None, archive)
    if not ordered:
        return Outputs(Tee([stats, records]), None, archive)
    bodies_wait = bool(sinks) and wants_bodies
    # With bodies a record is no small thing to hold.
    window = 1_000 if config.include_body or bodies_wait else 10_000
    first = 0 if job is None else job.oldest
    in_order = Ordered(records, window=window, bodies=bodies_wait, first=first, strict=job is not None)
    last: Sink = in_order if bodies is None else _placing(bodies, in_order)
    return Outputs(Tee([stats, last]), in_order.admit, archive)


def _opened(output: Target, reactor: Any, job: KeepsOutputs | None, objects: Objects | None) -> Output:
    """Open the file that grows. Raises ValueError where the table that is made of it cannot take the place it has."""
    if objects is not None and output.path == output.put_at:
        return objects.stream(output, reactor)
    place, overwrite = output.grows, output.overwrite
    is_new = output.logged and not os.path.exists(place)  # noqa: PTH110
    if output.logged and os.path.exists(output.path) and not os.path.isfile(output.path):  # noqa: PTH110, PTH113
        raise ValueError(f"{scrub(output.path)} is there already, but not as a file")
    if is_new and not overwrite and os.path.exists(output.path):  # noqa: PTH110
        raise ValueError(f"{scrub(output.path)} exists already: -O/--overwrite-output replaces it")
    if job is None:
        return Output(open_output(place, reactor, overwrite=overwrite), begun=False)
    return job.output(place, overwrite=overwrite)


def _sink(config: Config, output: Target, suffix: str, opened: Output, reactor: Any, *, keeps_log: bool) -> Sink:
    if suffix == ARCHIVE:
        return _archive(config, output, opened, reactor)
    encode = item_lines if output.items else RecordLine(config.fields)
    if output.logged:
        from crawler.sinks.tables.logged import Logged
        from crawler.sinks.tables.table import open_table

        table = open_table(
            output.path,
            output.grows,
            suffix,
            items=output.items,
            fields=config.fields,
            fresh=output.overwrite and not opened.begun,
            raw=config.csv_raw,
            bom=config.csv_bom,
        )
        return Logged(
            opened.writer,
            table,
            path=output.path,
            log=output.grows,
            encode=encode,
            reactor=reactor,
            keeps_log=keeps_log,
        )
    if suffix in SEPARATED:
        return Csv(
            opened.writer,
            fields=config.fields,
            delimiter=SEPARATED[suffix],
            raw=config.csv_raw,
            header=not opened.begun,
            bom=config.csv_bom,
            kept=columns(config.inputs, config.column) if config.keep_columns else (),
        )
    if config.template is not None and (suffix == TEXT or output.path == "-"):
        encode = TemplateLine(config.template)
    return JsonLines(opened.writer, encode=encode)


def _archive(config: Config, output: Target, opened: Output, reactor: Any) -> Archive:
    from crawler.sinks.archive.writing import Archive

    return Archive(
        opened.writer,
        path=output.path,
        file=output.grows,
        reactor=reactor,
        begun=opened.size,
        max_size=config.warc_max_size,
        open_next=partial(open_output, reactor=reactor, overwrite=output.overwrite),
    )


def _placing(bodies: Bodies, records: Sink) -> Sink:
    from crawler.sinks.bodies.keeping import Placing

    return Placing(bodies, records)
