"""A crawl over many machines is begun, or found: with the same options on all nodes, where they say what is fetched."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as GivenUp
from twisted.python.failure import Failure

from crawler.config.config import Config, ConfigError
from crawler.config.text import to_toml
from crawler.files import put
from crawler.frontier.shared.contract import Asks, StoreRefusedError
from crawler.job.options import differing

PATIENCE: Final = 10.0
_OWN: Final = frozenset({"frontier", "crawl_id", "lease", "job", "durable", "output", "overwrite_output", "procs"})
"""What each node may have in its own way: where the store and the folder are called otherwise, or it has more cores."""
_READ: Final = frozenset({"inputs", "sitemap"})


def opened(asks: Asks, config: Config, clock: Any) -> Deferred[None]:
    """Fires when the crawl is there. Fails with ConfigError: it has other options, or its store cannot be used."""
    asked = asks.ask(lambda store: store.open(to_toml(config)))
    asked.addTimeout(PATIENCE, clock)
    return asked.addCallbacks(lambda text: compare(text, config), lambda failure: _refused(failure, config))


def compare(text: str, config: Config) -> None:
    """Raise ConfigError where the crawl was begun with other options than these."""
    before = begun_with(text)
    ignored = _OWN if config.inputs or config.sitemap else _OWN | _READ
    names = differing(before, config, ignored)
    if names:
        where = f"the crawl {config.crawl_id} at {config.frontier}"
        raise ConfigError(f"{', '.join(names)} must be what {where} began with, on all nodes; or begin another crawl")


def begun_with(text: str) -> Config:
    """The options with which a crawl was begun, as the store has them. Raises ConfigError."""
    with tempfile.TemporaryDirectory(prefix="crawler-") as folder:
        path = str(Path(folder, "options.toml"))
        put(path, text.encode())
        return Config.kept(path)


def _refused(failure: Failure, config: Config) -> None:
    if failure.check(StoreRefusedError):
        raise ConfigError(f"--frontier: {failure.value}")
    if failure.check(GivenUp):
        raise ConfigError(f"--frontier: {config.frontier} has given no answer for {PATIENCE:g} seconds")
    if failure.check(CancelledError):
        failure.raiseException()
    failure.raiseException()
