"""The list of records whose URLs people have queued again: in the folder of a crawl, a file for each time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from crawler.cluster.place import Place
from crawler.cluster.shared.checking import At

FOLDER: Final = "retried"
_SUFFIX: Final = ".json"
_places: Final = msgspec.json.Decoder(list[At]).decode


def read_retried(folder: Place) -> list[At]:
    """All of them, in the order in which they were queued again. Raises OSError; ValueError for what is no list."""
    try:
        names = sorted(name for name in folder.names("") if name.endswith(_SUFFIX))
    except FileNotFoundError:
        return []
    return [place for name in names for place in _places(folder.read(name))]


def keep_retried(folder: Place, places: Iterable[At], number: int) -> None:
    """Add some, under a `number` above all before it: the time of day in nanoseconds. Raises OSError."""
    folder.put(f"{number:020}{_SUFFIX}", msgspec.json.encode([*places]))
