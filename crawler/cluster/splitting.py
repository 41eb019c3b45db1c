"""Inputs -> a folder of shards: look at the inputs, scatter their rows, decide, gather. The manifest comes last."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, Final

from crawler.cluster import cutting
from crawler.cluster.manifest import MANIFEST, VERSION, Cut, Manifest, Shard, Source, read_manifest, shard_name
from crawler.cluster.place import Place, open_place
from crawler.cluster.scattering import Scattered, counts_of
from crawler.cluster.tasks import Gather, Scatter, Survey, Tally, Task, keep, outcome, told
from crawler.config.config import ConfigError
from crawler.config.kinds import shown
from crawler.errors import CodedError
from crawler.files import coded, create, is_stream
from crawler.job.lock import Lock, LockedError, who
from crawler.objects.address import is_object
from crawler.seeds.inputs import STDIN
from crawler.seeds.ranges import Surveyed

PIECE: Final = 16 << 20
"""About so many bytes are read by one task."""
AT_ONCE: Final = 32
"""So many shards are written by one task."""
_SCRATCH: Final = ".split"
_COPIED: Final = 1 << 20

Map = Callable[[Sequence[bytes]], Iterator[tuple[int, bytes]]]
"""Does tasks, wherever and in whatever order: gives the number of each and what came of it."""


def split(
    inputs: Sequence[str],
    cut: Cut,
    to: str,
    engine: Map,
    *,
    replace: bool,
    piece: int = PIECE,
    stdin: BinaryIO | None = None,
) -> Manifest:
    """Cut the inputs into shards. A folder that has the shards of these inputs already is left as it is.

    `-` is what `stdin` gives; that and pipes are copied for the time being, as many processes read an input. With
    `replace` the shards of other inputs are replaced. Raises ConfigError, CodedError.
    """
    try:
        place = open_place(to, make=True)
        with _scratch(to) as folder:
            files = [_file(name, folder, number, stdin) for number, name in enumerate(inputs)]
            surveyed = _surveyed(inputs, files, engine, piece)
            sources = [Source(found.source, found.size, found.sha256) for found in surveyed]
            known = _known(place, to, sources, cut, replace=replace)
            if known is not None:
                return known
            place.remove(MANIFEST)
            found = _split(surveyed, sources, cut, to, folder, engine)
            _look_again(files, surveyed)
            for name in list(place.names("shard-")):
                if name not in map(shard_name, range(cut.shards)):
                    place.remove(name)
            place.settle()
            place.put(MANIFEST, found.encoded())
            return found
    except OSError as error:
        raise coded(error, to) from error
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _known(place: Place, to: str, sources: list[Source], cut: Cut, *, replace: bool) -> Manifest | None:
    if not place.has(MANIFEST):
        return None
    found = read_manifest(place)
    if found.sources == sources and found.cut == cut:
        there = set(place.names("shard-"))
        if there >= set(map(shard_name, range(cut.shards))):
            return found
    elif not replace:
        raise ConfigError(f"{shown(to)} holds other shards (-O {shown(to)} replaces them)")
    return None


def _file(name: str, folder: str, number: int, stdin: BinaryIO | None) -> str:
    """The path of an input: of a copy where it can be read only once."""
    if name != STDIN and (is_object(name) or not is_stream(name)):
        return name
    path = Path(folder) / f"input-{number}"
    with os.fdopen(create(str(path)), "wb") as file:
        if name != STDIN:
            with Path(name).open("rb") as stream:
                shutil.copyfileobj(stream, file, _COPIED)
        elif stdin is not None:
            shutil.copyfileobj(stdin, file, _COPIED)
    return str(path)


def _surveyed(inputs: Sequence[str], files: Sequence[str], engine: Map, size: int) -> list[Surveyed]:
    """What is in the inputs, by the names that they were given: the files that are read may have others."""
    surveys = [Survey(file, size, name) for name, file in zip(inputs, files, strict=True)]
    return list(_done(engine, surveys, Surveyed))


def _look_again(files: Sequence[str], surveyed: Sequence[Surveyed]) -> None:
    for name, found in zip(files, surveyed, strict=True):
        if not is_object(name) and Path(name).stat().st_size != found.size:
            raise CodedError("write_error", f"{shown(name)} has changed while it was read")


def _split(
    surveyed: Sequence[Surveyed], sources: list[Source], cut: Cut, to: str, folder: str, engine: Map
) -> Manifest:
    bits = cutting.bits_for(cut.shards)
    numbers = count()
    scatters = [
        Scatter(folder, next(numbers), piece, source, cut, bits)
        for source, found in enumerate(surveyed)
        for piece in found.pieces
    ]
    runs = [run for found in _done(engine, scatters, Scattered) for run in found.runs]
    counts = [0] * (1 << bits)
    for run in runs:
        counts = list(map(int.__add__, counts, counts_of(folder, run)))
    tally: Counter[tuple[int, int]] = Counter()
    if heavy := cutting.heavy(counts, cut.shards):
        for found in _done(engine, [Tally(folder, run, heavy) for run in runs], list[tuple[int, int, int]]):
            for domain, group, number in found:
                tally[domain, group] += number
    plan = cutting.plan(counts, tally, cut.shards)
    keep(folder, "plan", plan)
    keep(folder, "runs", runs)
    keep(folder, "sources", [source.source for source in sources])
    gathers = [Gather(folder, shards, to) for shards in _together(plan)]
    shards = [shard for some in _done(engine, gathers, list[Shard]) for shard in some]
    return Manifest(VERSION, cut, sources, sum(shard.inputs for shard in shards), shards)


def _together(plan: cutting.Plan) -> Iterator[tuple[int, int]]:
    """The shards that a task writes: of one giant, or of the rest."""
    ends = [max(pieces) + 1 for pieces in plan.giants.values()]
    start = 0
    for end in (*ends, plan.shards):
        for first in range(start, end, AT_ONCE):
            yield first, min(first + AT_ONCE, end)
        start = end


def _done(engine: Map, tasks: Sequence[Task], kind: Any) -> Iterable[Any]:
    """What came of tasks, in their order."""
    found: list[Any] = [None] * len(tasks)
    for number, result in engine([told(task) for task in tasks]):
        found[number] = outcome(result, kind)
    return found


@contextmanager
def _scratch(to: str) -> Iterator[str]:
    """A folder for what is between, which is for us alone."""
    if is_object(to):
        with TemporaryDirectory(prefix="crawler-") as temporary:
            yield temporary
        return
    try:
        lock = Lock(Path(to) / f"{_SCRATCH}.lock")
    except LockedError as error:
        raise ConfigError(f"{shown(to)} is being written by {who(error)}") from None
    folder = Path(to) / _SCRATCH
    try:
        shutil.rmtree(folder, ignore_errors=True)  # of a split that was killed
        for left in Path(to).glob(".shard-*"):
            left.unlink()
        folder.mkdir()
        yield str(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()
