"""The engines by name."""

from __future__ import annotations

from crawler.cluster.engines.local import Local
from crawler.cluster.splitting import Map
from crawler.config.config import Config
from crawler.run.workers.cores import cores


def open_engine(config: Config) -> Map:
    """What does tasks, as --engine and --address say; without, the cores of this machine. Raises ConfigError."""
    if config.engine == "ray":
        from crawler.cluster.engines.ray import Ray

        return Ray(config.address).map
    if config.engine == "dask":
        from crawler.cluster.engines.dask import Dask

        return Dask(config.address).map
    if config.engine == "spark":
        from crawler.cluster.engines.spark import Spark

        return Spark(config.address).map
    return Local(max(2, cores())).map  # a killed process must not be this one
