"""Whole clusters on one virtual clock: several nodes of one crawl, the store that they share, and one internet.

- `world.py` makes a cluster of a seed: how many nodes, what happens to them and to the store, and when.
- `store.py` is the store as a node reaches it: slow, cut off, full, its answers lost.
- `node.py` is one node, with clocks of its own; `watch.py` sees what it asks for, and judges all nodes together.
- `living.py` lets them live until the crawl is done, collects, and holds that against the promises.
"""
