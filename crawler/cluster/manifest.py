"""The manifest of a folder of shards: what was cut, how, and what each shard holds. It is written last."""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from crawler.cluster.place import Place
from crawler.config.config import ConfigError
from crawler.config.kinds import shown
from crawler.files import coded

MANIFEST: Final = "manifest.json"
VERSION: Final = 1


class Cut(msgspec.Struct, frozen=True):
    """The options by which inputs become shards."""

    shards: int
    column: str | None
    keep_columns: bool
    default_scheme: str


class Source(msgspec.Struct, frozen=True):
    """An input: its name as it is in records (`source`), its bytes, their SHA-256."""

    source: str
    size: int
    sha256: str


class Shard(msgspec.Struct, frozen=True, omit_defaults=True):
    """A shard: its number of inputs, its bytes, their SHA-256. `giant` is the domain that has it for itself.

    `sum` is that of its inputs, whatever their order: see checking.Sum.
    """

    inputs: int
    size: int
    sha256: str
    sum: str
    giant: str | None = None


class Manifest(msgspec.Struct, frozen=True):
    """What is in a folder of shards. `inputs` is how many there are in all, bad lines among them."""

    version: int
    cut: Cut
    sources: list[Source]
    inputs: int
    shards: list[Shard]

    def encoded(self) -> bytes:
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.encoded()).hexdigest()


def shard_name(number: int) -> str:
    return f"shard-{number:05}.jsonl"


def part_name(number: int) -> str:
    return f"part-{number:05}.jsonl"


def read_manifest(place: Place) -> Manifest:
    """The manifest of a folder. Raises ConfigError where there is none, CodedError where it cannot be read."""
    try:
        text = place.read(MANIFEST)
    except FileNotFoundError:
        words = f"holds no {MANIFEST}: `crawler split` writes one, last of all"
        words += " (the parts of a crawl over many machines need --frontier and --crawl-id)"
        raise ConfigError(f"{shown(place.name)} {words}") from None
    except OSError as error:
        raise coded(error, place.path(MANIFEST)) from error
    try:
        version = msgspec.json.decode(text, type=dict[str, object]).get("version")
        if version != VERSION:
            raise ConfigError(f"{shown(place.path(MANIFEST))} has version {version} (this program reads {VERSION})")
        return msgspec.json.decode(text, type=Manifest)
    except msgspec.DecodeError as error:
        raise ConfigError(f"{shown(place.path(MANIFEST))} is no manifest of shards: {error}") from None
