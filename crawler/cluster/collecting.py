"""The parts of all shards -> one file, once each input is known to have one record."""

from __future__ import annotations

import gzip
import os
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, Final, NamedTuple, cast

from crawler.cluster.checking import Books, Sum
from crawler.cluster.manifest import Manifest, part_name, read_manifest, shard_name
from crawler.cluster.place import Place, open_place
from crawler.config.config import ConfigError
from crawler.config.kinds import shown
from crawler.errors import CodedError
from crawler.files import coded, create, sync
from crawler.objects.address import is_object, parse_address

STDOUT: Final = "-"
_PIECE: Final = 1 << 20
_SUFFIXES: Final = (".jsonl", ".ndjson")


class Collected(NamedTuple):
    """The parts together: their inputs, their records (with those of links), and what is wrong, in words."""

    inputs: int
    records: int
    problems: list[str]


def collect(parts: str, to: str | None, *, replace: bool, shards: str | None = None) -> Collected:
    """Check the parts, and write them as one file: nothing of it where something is missing or double.

    With the folder of the `shards` it is told which inputs those are. Raises ConfigError, CodedError.
    """
    try:
        source, place = None if shards is None else open_place(shards), open_place(parts)
        manifest = read_manifest(place)
        if source is not None and read_manifest(source) != manifest:
            raise ConfigError(f"{shown(parts)} has parts of other shards than those in {shown(shards)}")
        if to is None:
            return _joined(manifest, source, place, lambda _: None)
        if to == STDOUT:  # it cannot be taken back
            found = _joined(manifest, source, place, lambda _: None)
            if not found.problems:
                _copy(manifest, place)
            return found
        with whole(to, replace=replace) as (file, keep):
            found = _joined(manifest, source, place, file.write)
            if not found.problems:
                keep()
            return found
    except OSError as error:
        raise coded(error, str(error.filename or to or parts)) from error
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _joined(manifest: Manifest, source: Place | None, place: Place, write: Callable[[bytes], object]) -> Collected:
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


@contextmanager
def whole(to: str, *, replace: bool) -> Iterator[tuple[BinaryIO, Callable[[], None]]]:
    """A file that is `to` once the function beside it is called, and then whole."""
    name = to.lower()
    if not name.removesuffix(".gz").endswith(_SUFFIXES):
        raise ConfigError(f"{shown(to)}: parts are joined as JSON Lines ({', '.join(_SUFFIXES)}, also .gz)")
    with TemporaryDirectory(prefix="crawler-") if is_object(to) else _beside(to, replace=replace) as folder:
        path = os.path.join(folder, f".{secrets.token_hex(8)}.part")  # noqa: PTH118

        def keep() -> None:
            file.close()
            if is_object(to):
                from crawler.objects.bucket import Bucket

                address = parse_address(to)
                Bucket(address).put_file(address.key, path, fresh=not replace)
                return
            sync(path)
            if replace:
                os.replace(path, to)  # noqa: PTH105
            else:
                os.link(path, to)  # somebody may have made it meanwhile

        raw = os.fdopen(create(path), "wb")
        file = (
            cast(BinaryIO, gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0)) if name.endswith(".gz") else raw
        )
        try:
            yield file, keep
        finally:
            file.close()
            raw.close()
            Path(path).unlink(missing_ok=True)


@contextmanager
def _beside(to: str, *, replace: bool) -> Iterator[str]:
    if not replace and Path(to).exists():
        raise ConfigError(f"{shown(to)} exists already: -O/--overwrite-output replaces it")
    yield str(Path(to).parent)
