"""What a node says of itself to all who look at its crawl (SharedStore.join, nodes). JSON, also for other tools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec


class About(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A node, as it was when it said so. `since` is seconds since the epoch, by its own clock.

    `ok`, `failed` and `skipped` are its own records, `rate` how many of them come in a second now. `hosts` it holds
    leases of, and `in_flight` URLs of these it asks for now. `part` is the name of what it writes.
    """

    name: str
    machine: str = ""
    pid: int = 0
    since: float = 0.0
    version: str = ""
    concurrency: int = 0
    in_flight: int = 0
    ok: int = 0
    failed: int = 0
    skipped: int = 0
    rate: float = 0.0
    hosts: int = 0
    part: str = ""

    @property
    def done(self) -> int:
        return self.ok + self.failed + self.skipped

    def encoded(self) -> bytes:
        return _encode(self)


class Memory(NamedTuple):
    """What a server of the store takes, in bytes, and how much it may take: 0 for all that there is."""

    server: str
    used: int
    most: int


class Node(msgspec.Struct, frozen=True):
    """A node of a crawl: what it said last, and how many seconds are left of that; below 0 where it is `gone`."""

    about: About
    left: float

    @property
    def gone(self) -> bool:
        return self.left < 0


def read_nodes(said: Mapping[str, tuple[bytes, float]]) -> list[Node]:
    """The nodes of SharedStore.nodes: those that are there first, then by name. What is no About has its name alone."""
    nodes = []
    for name, (octets, left) in said.items():
        try:
            about = msgspec.structs.replace(_decode(octets), name=name)
        except (msgspec.DecodeError, UnicodeDecodeError):
            about = About(name=name)
        nodes.append(Node(about, left))
    return sorted(nodes, key=lambda node: (node.gone, node.about.name))


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(About).decode
