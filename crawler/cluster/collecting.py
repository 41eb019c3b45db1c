"""The parts of all shards -> one file, once each input is known to have one record."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Final, NamedTuple

from crawler.cluster.checking import Books, Sum
from crawler.cluster.manifest import Manifest, part_name, read_manifest, shard_name
from crawler.cluster.place import Place, open_place
from crawler.config.config import ConfigError
from crawler.config.kinds import shown
from crawler.errors import CodedError
from crawler.files import coded
from crawler.sinks.joining import RECORDS, Form, items_of, whole

STDOUT: Final = "-"
_PIECE: Final = 1 << 20


class Collected(NamedTuple):
    """The parts together: their inputs, their records (with those of links), and what is wrong, in words."""

    inputs: int
    records: int
    problems: list[str]


def collect(
    parts: str,
    to: str | None,
    *,
    replace: bool,
    shards: str | None = None,
    items: str | None = None,
    form: Form = RECORDS,
) -> Collected:
    """Check the parts, and write their records as one file, and their items as another: nothing of them where something
    is missing or double.

    With the folder of the `shards` it is told which inputs those are. Raises ConfigError, CodedError.
    """
    try:
        source, place = None if shards is None else open_place(shards), open_place(parts)
        manifest = read_manifest(place)
        if source is not None and read_manifest(source) != manifest:
            raise ConfigError(f"{shown(parts)} has parts of other shards than those in {shown(shards)}")
        with ExitStack() as files:
            write, keep = outputs(files, to, items, replace=replace, form=form)
            found = _joined(manifest, source, place, write)
            if not found.problems:
                keep()
                if to == STDOUT:
                    _copy(manifest, place)
            return found
    except OSError as error:
        raise coded(error, str(error.filename or to or parts)) from error
    except ValueError as error:
        raise ConfigError(str(error)) from error


def outputs(
    files: ExitStack, to: str | None, items: str | None, *, replace: bool, form: Form
) -> tuple[Callable[[bytes], None], Callable[[], None]]:
    """What takes the lines of records, to write them and the items in them; and what makes whole files of that.

    Standard output is none of them: what goes there cannot be taken back. Raises ConfigError, OSError.
    """
    writes: list[Callable[[bytes], object]] = []
    keeps: list[Callable[[], None]] = []
    if to is not None and to != STDOUT:
        taking, keep_one = files.enter_context(whole(to, replace=replace, form=form))
        writes.append(taking.write)
        keeps.append(keep_one)
    if items is not None:
        taking_items, keep_one = files.enter_context(whole(items, replace=replace, form=form._replace(items=True)))
        writes.append(lambda line: taking_items.write(items_of(line)))
        keeps.append(keep_one)

    def write(line: bytes) -> None:
        for each in writes:
            each(line)

    def keep() -> None:
        for each in keeps:
            each()

    return write, keep


def _joined(manifest: Manifest, source: Place | None, place: Place, write: Callable[[bytes], None]) -> Collected:
    """Check each part while it is written."""
    inputs = records = 0
    problems: list[str] = []
    names = [of.source for of in manifest.sources]
    for number, shard in enumerate(manifest.shards):
        name = part_name(number)
        found = Sum(names)
        try:
            with place.open(name) as lines:
                for line in lines:
                    found.add_record(line)
                    records += 1
                    write(line)
        except FileNotFoundError:
            problems.append(f"{place.path(name)} is missing: shard {number} has {shard.inputs:,} inputs")
        except CodedError as error:
            problems.append(f"{place.path(name)}: {error.message}")
        else:
            inputs += found.inputs
            if (found.inputs, found.digest) != (shard.inputs, shard.sum):
                words = f"{found.inputs:,} inputs have records, and there should be {shard.inputs:,}"
                problems.append(f"{place.path(name)}: {words}")
                if source is not None:
                    problems += (f"{place.path(name)}: {more}" for more in _named(names, source, place, number))
    return Collected(inputs, records, problems)


def _named(names: list[str], source: Place, place: Place, number: int) -> Iterator[str]:
    with source.open(shard_name(number)) as rows:
        books = Books(names, rows)
    with place.open(part_name(number)) as lines:
        for line in lines:
            books.take(line)
    return books.problems()


def _copy(manifest: Manifest, place: Place) -> None:
    for number in range(len(manifest.shards)):
        with place.open(part_name(number)) as part:
            for octets in iter(partial(part.read, _PIECE), b""):
                sys.stdout.buffer.write(octets)
    sys.stdout.buffer.flush()
