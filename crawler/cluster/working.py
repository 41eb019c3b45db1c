"""One shard -> one part, in this process: the run is as it always is, and its output appears when it is whole."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from crawler.cluster.checking import Books
from crawler.cluster.lease import Holder, Lease, Terms, lease_prefix, take
from crawler.cluster.manifest import MANIFEST, Manifest, Shard, part_name, read_manifest, shard_name
from crawler.cluster.place import Place, open_place
from crawler.cluster.rows import read_row
from crawler.config.config import OPTIONS, Config, ConfigError
from crawler.config.kinds import shown
from crawler.errors import CodedError
from crawler.files import coded
from crawler.run.composition import Crawler
from crawler.run.reactors import private_reactor, run
from crawler.seeds.inputs import BadLine, Seed

AUTO: Final = "auto"
VARIABLES: Final = ("SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX", "AWS_BATCH_JOB_ARRAY_INDEX")
"""Where schedulers say which of its tasks this is: Slurm, Kubernetes, AWS Batch."""
_PIECE: Final = 1 << 20
_WHOLE: Final = frozenset({0, 3, 4})
"""The exit codes of a run that has come to its end; with --fail it says by them what became of its URLs."""
_OF_THE_SPLIT: Final = ("column", "keep_columns", "default_scheme")
_ELSEWHERE: Final = {
    "job": "a shard is done as a whole, or again",
    "items": "`crawler collect --items FILE` makes them of the parts",
    "template": "a part is JSON Lines, which can be checked",
    "warc_max_size": "a part is JSON Lines, which can be checked",
    "mirror": "each shard would write over the others",
    "stats": "each shard would replace that of the others (`crawler report` counts what `crawler collect` writes)",
    "report": "each shard would replace that of the others (`crawler report` reads what `crawler collect` writes)",
}

TERMS: Final = Terms()

Seeds = Iterator[Seed | BadLine]
Drive = Callable[[Lease, Config, Seeds], int]
"""A run over seeds, and its exit code. When the lease is lost it is to end."""


class Worked(msgspec.Struct, frozen=True):
    """What became of a shard: its inputs, whether the part was there `already`, and the exit code of the run."""

    shard: int
    inputs: int
    already: bool = False
    exit_code: int = 0


def shard_number(text: str, environ: Mapping[str, str]) -> int:
    """The number of --shard, or that of the environment for `auto`. Raises ConfigError."""
    if text != AUTO:
        return int(text)
    for name in VARIABLES:
        if value := environ.get(name):
            if value.isascii() and value.isdecimal():
                return int(value)
            raise ConfigError(f"{name}: {shown(value)} is not the number of a shard")
    raise ConfigError(f"--shard: auto, and none of {', '.join(VARIABLES)} is set")


def check_options(config: Config, origins: Mapping[str, str]) -> None:
    """Raise ConfigError for options that a shard cannot be done with."""
    for name, why in _ELSEWHERE.items():
        if getattr(config, name) != OPTIONS[name].default:
            raise ConfigError(f"{origins[name]}: cannot be combined with shards ({why})")
    for name in _OF_THE_SPLIT:
        if origins.get(name, "").startswith("-"):
            raise ConfigError(f"{origins[name]}: is for `crawler split`, which reads the inputs")
    if config.bodies is not None and config.bodies_as == "name":
        words = "name: shards done at the same time would take the same names (use hash, or url)"
        raise ConfigError(f"{origins['bodies_as']}: {words}")
    if config.fields and "input" not in config.fields:
        raise ConfigError(f"{origins['fields']}: `crawler collect` counts by the field input (add it)")


def work(shards: str, number: int, to: str, config: Config, drive: Drive, terms: Terms = TERMS) -> Worked:
    """Do a shard, unless its part is there; while somebody else does it, wait. Raises ConfigError, CodedError."""
    try:
        source, place = open_place(shards), open_place(to, make=True)
        manifest = read_manifest(source)
        if not 0 <= number < len(manifest.shards):
            raise ConfigError(
                f"--shard: there is no shard {number} in {shown(shards)} (0 to {len(manifest.shards) - 1})"
            )
        _same(manifest, place)
        shard = manifest.shards[number]
        while not place.has(part_name(number)):
            # Before the lease: who was held up behind it may find there what others have begun since.
            left = _left(place, number)
            lease = take(place, number, terms)
            if isinstance(lease, Holder):
                time.sleep(terms.looked)
                continue
            try:
                if place.has(part_name(number)):
                    break
                _clear(place, left)
                code = _work(source, number, place, manifest, config, lease, drive)
            finally:
                lease.release()
            if code is not None and not lease.lost:
                return Worked(number, shard.inputs, exit_code=code)
        _clear(place, [*_left(place, number), *place.names(lease_prefix(number))])
        return Worked(number, shard.inputs, already=True)
    except OSError as error:
        raise coded(error, str(error.filename or to)) from error
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _work(
    source: Place, number: int, place: Place, manifest: Manifest, config: Config, lease: Lease, drive: Drive
) -> int | None:
    """Do a shard now. Gives the exit code of its run; None where somebody else has done it, or does it now."""
    name = part_name(number)
    names = [source.source for source in manifest.sources]
    _check_shard(source, number, manifest.shards[number])
    path = place.scratch(name)
    try:
        with source.open(shard_name(number)) as rows:
            mine = replace(config, inputs=(), output=(path,), overwrite_output=())
            code = drive(lease, mine, (read_row(row, names) for row in rows))
        if code not in _WHOLE:
            return code
        check_part(path, source, number, names)
        return code if place.publish(path, name) else None
    except (OSError, CodedError):
        with suppress(OSError):
            lease.renew()
        if lease.lost:  # who took the shard over has cleared the part away, or our run has ended for that
            return None
        raise
    finally:
        place.discard(path)


def _left(place: Place, number: int) -> list[str]:
    """What there is of parts that are not whole."""
    return list(place.names(f".{part_name(number).partition('.')[0]}-"))


def _clear(place: Place, names: list[str]) -> None:
    """Remove what is of runs that were killed, or have lost their lease."""
    for name in names:
        with suppress(PermissionError):  # on Windows: it is open still
            place.remove(name)


def _check_shard(source: Place, number: int, shard: Shard) -> None:
    """Raise ConfigError for a shard that is not as the manifest says."""
    digest = hashlib.sha256()
    try:
        with source.open(shard_name(number)) as file:
            for octets in iter(partial(file.read, _PIECE), b""):
                digest.update(octets)
    except FileNotFoundError:
        raise ConfigError(f"{shown(source.path(shard_name(number)))} is missing (split once more)") from None
    if digest.hexdigest() != shard.sha256:
        words = f"is not what its {MANIFEST} says (split once more)"
        raise ConfigError(f"{shown(source.path(shard_name(number)))} {words}")


def check_part(path: str, source: Place, number: int, names: list[str]) -> None:
    """Raise CodedError for a part that has not one record of each input."""
    with source.open(shard_name(number)) as rows:
        books = Books(names, rows)
    with Path(path).open("rb") as records:
        for record in records:
            books.take(record)
    if problems := [*books.problems()]:
        raise CodedError("write_error", f"shard {number} is not done: {'; '.join(problems)}")


def in_process(lease: Lease, config: Config, seeds: Seeds) -> int:
    """The run on a reactor of its own, in whatever thread that is: for tasks of those who start processes."""
    with private_reactor() as (reactor, dial):
        crawler = Crawler(config, reactor=reactor, urls=seeds, dial=dial, bodies=False)
        with lease.calling(lambda: reactor.callFromThread(crawler.abort)):
            run(reactor, crawler.run)
    return 0


def _same(manifest: Manifest, place: Place) -> None:
    """Parts of two splits are never in one folder. Raises ConfigError."""
    if not place.create(MANIFEST, manifest.encoded()) and read_manifest(place) != manifest:
        raise ConfigError(f"{shown(place.name)} has parts of other shards (name another folder with -o)")
