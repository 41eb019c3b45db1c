"""A crawl that many machines work on, as those see it who look at one of them. Values alone."""

from __future__ import annotations

import msgspec


class NodeLoad(msgspec.Struct, frozen=True):
    """One of the nodes, by what it said of itself last. It is `gone` for so many seconds, or is there: None.

    `since` is seconds since the epoch, by its own clock. `done`, of which `failed` have, are its own records, and
    `rate` how many of them come in a second. `is_this` is the node that is looked at.
    """

    name: str
    machine: str
    pid: int
    since: float
    hosts: int
    in_flight: int
    done: int
    failed: int
    rate: float
    gone: float | None
    is_this: bool


class WholeCrawl(msgspec.Struct, frozen=True, kw_only=True):
    """The books of the crawl of all nodes, as they were `age` seconds ago.

    What has `arrived` is ok, failed, skipped, queued, leased by a node, or moving to another host. So many `hosts` have
    something to do. `rate` is records in a second, of all nodes. Of these there are `there`, others are `gone`; `nodes`
    has the first of both, those that are there before the others.
    """

    name: str
    arrived: int
    ok: int
    failed: int
    skipped: int
    queued: int
    leased: int
    moving: int
    known: int
    hosts: int
    hosts_leased: int
    rate: float
    age: float
    there: int
    gone: int
    nodes: tuple[NodeLoad, ...]

    @property
    def done(self) -> int:
        return self.ok + self.failed + self.skipped
