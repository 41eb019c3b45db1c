"""The records in the parts of a shared crawl that count: those that their own shard has committed.

A part is `NAME.jsonl`, and `NAME.shards` has a byte for each of its records: the shard under whose lease that was made.
A record counts if it ends at or before where its shard has committed the part to. The others were made by a node that
had lost its lease, or was killed: somebody else has their URLs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from crawler.cluster.place import Place, open_place
from crawler.objects.address import is_object

FOLDER: Final = "parts"
LINES: Final = ".jsonl"
MARKS: Final = ".shards"


class Counted(NamedTuple):
    """A record that counts: a `line` of JSON with its end, which begins at the byte `at` of its part."""

    part: str
    at: int
    shard: int
    line: bytes


class Parts:
    """The parts in the folder of a crawl, of which so much counts. `problems` are those that were met, in words."""

    def __init__(self, place: Place, sizes: Mapping[str, Sequence[int]]) -> None:
        self._place = place
        self._sizes = sizes
        self.problems: list[str] = []

    def __iter__(self) -> Iterator[Counted]:
        """All records that count. Raises OSError for what cannot be read; what is not there is a problem."""
        self.problems = []
        for name in sorted(self._sizes):
            if any(self._sizes[name]):
                yield from self._part(name, self._sizes[name])

    def strangers(self) -> list[str]:
        """Parts of which the books know nothing: nothing in them counts."""
        names = {name.removesuffix(LINES) for name in self._place.names("") if name.endswith(LINES)}
        return sorted(name for name in names if name not in self._sizes and not name.startswith("."))

    def path(self, name: str) -> str:
        return self._place.path(name + LINES)

    def _part(self, name: str, sizes: Sequence[int]) -> Iterator[Counted]:
        committed = max(sizes)
        at = 0
        try:
            with self._place.open(name + LINES) as lines, self._place.open(name + MARKS) as marks:
                for line in lines:
                    end = at + len(line)
                    if end > committed:
                        break
                    mark = marks.read(1)
                    if not mark:
                        self.problems.append(f"{self._place.path(name + MARKS)} ends before the records do, at {at:,}")
                        return
                    if end <= sizes[mark[0]]:
                        yield Counted(name, at, mark[0], line)
                    at = end
        except FileNotFoundError as error:
            missing = error.filename or self.path(name)
            self.problems.append(f"{missing} is missing: {committed:,} bytes of {name} are committed")
            return
        if at < committed:
            self.problems.append(f"{self.path(name)} has records for {at:,} bytes, and {committed:,} are committed")


def open_folder(folder: str, name: str = FOLDER, *, make: bool = False) -> Place:
    """A folder of what the nodes of a crawl share, whose outputs go to `folder`. Raises OSError, ValueError."""
    slash = "" if folder.endswith("/") else "/"
    if is_object(folder):
        return open_place(f"{folder}{slash}{name}")
    return open_place(f"{folder}{slash}{name}", make=make)
