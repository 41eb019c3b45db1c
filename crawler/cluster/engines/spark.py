"""Spark does the tasks: https://spark.apache.org. It retries those of killed workers, but locally only if told to."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Final

from crawler.cluster.tasks import perform
from crawler.config.config import ConfigError
from crawler.run.workers.cores import cores

AUTO: Final = "auto"
FAILURES: Final = 4


class Spark:
    """Does tasks on a master (spark://host:7077, yarn, local[2,4]); `auto` is that of spark-submit, else this machine.

    Speculation is off: it would begin slow tasks twice, and slow is what hosts with a delay are.
    """

    def __init__(self, address: str) -> None:
        try:
            from pyspark import SparkConf, SparkContext
        except ImportError:
            raise ConfigError("--engine: spark is not installed: pip install 'everyurl[spark]'") from None
        conf: Any = SparkConf().setAppName("crawler").set("spark.speculation", "false")
        if address != AUTO:
            conf.setMaster(retrying(address))
        conf.setIfMissing("spark.master", retrying(f"local[{cores()}]"))
        conf.setIfMissing("spark.task.maxFailures", str(FAILURES))
        conf.setIfMissing("spark.ui.enabled", "false")
        if conf.get("spark.master").startswith("local"):
            os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # else it is whatever `python3` is
        self._context: Any = SparkContext.getOrCreate(conf)

    def map(self, tasks: Sequence[bytes]) -> Iterator[tuple[int, bytes]]:
        """See splitting.Map. They come when all are done."""
        if tasks:
            numbered = self._context.parallelize([*enumerate(tasks)], len(tasks))
            yield from numbered.map(_performed).collect()


def retrying(master: str) -> str:
    """The same master; where it is this machine, one that retries: without a second number it does not."""
    alone = re.fullmatch(r"local(?:\[([0-9]+|\*)\])?", master)
    return master if alone is None else f"local[{alone[1] or 1},{FAILURES}]"


def _performed(numbered: tuple[int, bytes]) -> tuple[int, bytes]:
    number, task = numbered
    return number, perform(task)
