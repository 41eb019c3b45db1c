"""The options with which a shared crawl was begun."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from crawler.config.config import Config
from crawler.frontier.shared.contract import SharedStore


def read_options(store: SharedStore) -> Config:
    """Those of a crawl that is there: one that is not is begun by this. Raises StoreError, ConfigError."""
    text = store.open("")
    with TemporaryDirectory(prefix="crawler-") as folder:
        path = Path(folder, "options.toml")
        path.write_text(text, "utf-8")
        return Config.kept(str(path))
