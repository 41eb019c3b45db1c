"""A simulated internet: the real crawler under a virtual clock, over sockets in memory, with faults from one seed.

`python -m tests.simulation SEED` replays a seed and shows its events, `--seeds A-B` runs many.

- `clock.py` is the reactor, `network.py` the names, addresses and connections.
- `sites.py` is what servers say, and how they misbehave.
- `world.py` makes a whole world of a seed: sites, options, inputs, interrupts and crashes.
- `lives.py` lets the crawler live in it, and sees what it does; `promises.py` is what must be true of that.
"""
