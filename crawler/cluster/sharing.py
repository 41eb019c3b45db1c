"""All shards of a folder, by an engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from msgspec.structs import replace

from crawler.cluster.manifest import read_manifest
from crawler.cluster.place import open_place
from crawler.cluster.splitting import Map
from crawler.cluster.tasks import Work, outcome, told
from crawler.cluster.working import Worked
from crawler.config.config import Config
from crawler.objects.address import is_object


def work_all(shards: str, to: str, config: Config, engine: Map) -> Iterator[Worked]:
    """Do all shards, each where the engine does it, and tell of each when it is done.

    Raises ConfigError, CodedError.
    """
    numbers = range(len(read_manifest(open_place(shards)).shards))
    shards, to = (path if is_object(path) else str(Path(path).resolve()) for path in (shards, to))
    # Whoever starts the processes has their terminal; and one run is watched, not all.
    alone = replace(config, inputs=(), output=(), quiet=True, dashboard=None, console=None, metrics=None)
    for _, result in engine([told(Work(shards, number, to, alone)) for number in numbers]):
        yield outcome(result, Worked)
