"""What a server has to be set to before a crawl is trusted to it."""

from __future__ import annotations

from collections.abc import Callable

from crawler.frontier.shared.contract import StoreRefusedError
from crawler.frontier.shared.redis.scripts import Scripts
from crawler.frontier.shared.redis.server import Server


def check(server: Server, scripts: Scripts, key: bytes, warn: Callable[[str], None]) -> None:
    """Raise StoreRefusedError for settings with which keys get lost or large; warn where a restart loses all.

    `key` is one of the crawl that nothing else uses. In words that say what to set.
    """
    for client in server.each():
        info = server.info(client)
        policy = info.get("maxmemory_policy", "noeviction")
        if policy != "noeviction":
            raise StoreRefusedError(
                f"{server.name}: it throws keys away when it is full: set maxmemory-policy to noeviction, not {policy}"
            )
        if not info.get("aof_enabled"):
            warn(f"{server.name}: what is done since its last snapshot is lost if it stops: set appendonly to yes")
    if server.call(scripts["check"], key) != b"intset":
        raise StoreRefusedError(
            f"{server.name}: known URLs would take ten times their memory: set set-max-intset-entries to 512 or more"
        )
