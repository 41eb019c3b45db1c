"""The shared store on Redis or Valkey (or what speaks as they do): redis-py, and one Lua file for each operation.

`lua/` has the operations, each whole or not at all; `scripts` gives their text, `server` runs them and puts its errors
into words, `packing` is what goes there and comes back as bytes. May import what `shared` may. redis-py (the extra
`redis`) is imported when a store is made.
"""

from __future__ import annotations

from crawler.frontier.shared.redis.store import RedisStore

__all__ = ["RedisStore"]
