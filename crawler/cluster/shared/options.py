"""The options with which a shared crawl was begun."""

from __future__ import annotations

from crawler.config.config import Config
from crawler.frontier.shared.contract import SharedStore
from crawler.run.shared.opening import begun_with


def read_options(store: SharedStore) -> Config:
    """Those of a crawl that is there: one that is not is begun by this. Raises StoreError, ConfigError."""
    return begun_with(store.open(""))
