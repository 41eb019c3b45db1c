"""The cache of a run."""

from __future__ import annotations

from typing import Any

from crawler.config.config import OPTIONS, Config
from crawler.fetch.cache.store import Store
from crawler.fetch.saving.spool import Disk

_WHO_ANSWERS = ("insecure", "insecure_host", "cacert", "pinnedpubkey", "tls_legacy", "resolve", "dns_servers")


def make_store(config: Config, folder: str, reactor: Any) -> Store:
    """The folder of --cache. A run that believes other servers, or is led to others, sees nothing of this one.

    Raises CodedError.
    """
    return Store(folder, Disk(reactor), limit=config.cache_size, world=_world(config))


def _world(config: Config) -> str:
    told = [(name, getattr(config, name)) for name in _WHO_ANSWERS if getattr(config, name) != OPTIONS[name].default]
    at_hosts = [(table.pattern, table.settings.insecure) for table in config.hosts if table.settings.insecure]
    return f"{told} {at_hosts}\n" if told or at_hosts else ""
