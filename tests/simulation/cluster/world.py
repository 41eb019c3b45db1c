"""A cluster made of one integer: a world as others, the nodes in it, and what befalls them."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final, NamedTuple

from tests.simulation.world import World, make_world

NODE_EVENTS: Final = ("kill", "kill", "kill", "pause", "pause", "cut", "cut", "leave", "join")
STORE_EVENTS: Final = ("restart", "failover", "full", "slow", "lossy")


class Event(NamedTuple):
    """After so many steps of the cluster this happens, to the node of that number among those that are there.

    - `kill`: a node is gone at once, and its part ends at whatever byte. Perhaps another one comes.
    - `pause`: a node stands still for so many seconds, and goes on as if nothing were.
    - `cut`: a node does not reach the store for so many seconds.
    - `leave`: a node is told to end. `join`: another one comes.
    - `restart`: the store is gone for so many seconds, and has lost its last one; `failover`: it has at once.
    - `full`: the store takes nothing more; `slow`: its answers take a while; `lossy`: some of them are lost.
    """

    steps: int
    what: str
    node: int
    seconds: float


@dataclass
class Cluster:
    world: World
    nodes: int
    events: list[Event]
    latency: float  # of the store, in seconds
    longest: int  # URLs of a host that it keeps
    drift: float  # each clock may go so much faster or slower

    @property
    def calm(self) -> bool:
        """Nothing befalls anybody."""
        return not self.events


def make_cluster(seed: int) -> Cluster:
    rng = random.Random(f"cluster {seed}")
    world = make_world(f"cluster {seed}", crawls=True, hosts=rng.choice((1, 2, 3, 4, 6)))
    world.seed = seed
    world.job, world.ends, world.sink, world.outputs = False, [], "quick", ()
    world.options |= {"scope": "any", "skipped": False}
    ways = NODE_EVENTS + STORE_EVENTS
    events = [
        Event(
            rng.choice((rng.randint(1, 80), rng.randint(1, 300), rng.randint(1, 1_500))),
            rng.choice(ways),
            rng.randrange(5),
            rng.choice((0.5, 3.0, 20.0, 90.0, 200.0)),
        )
        for _ in range(rng.choice((0, 1, 1, 2, 3, 4)))
    ]
    return Cluster(
        world,
        nodes=rng.choice((1, 2, 2, 3, 3, 4, 5)),
        events=sorted(events),
        latency=rng.choice((0.0002, 0.001, 0.02)),
        longest=rng.choice((2, 6, 1_000)),
        drift=rng.choice((0.0, 0.0002, 0.001)),
    )
