"""The frontier of a crawl that many machines work on: the store that they share, and what one of them keeps of it.

May import what `frontier` may. `contract` says what a store does; `redis` is one. `leasing` is the frontier of a node.
"""

__all__ = ["about", "asking", "claiming", "contract", "entries", "finding", "held", "leasing", "redis"]
