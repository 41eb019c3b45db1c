"""Ray does the tasks: https://docs.ray.io. It retries by itself what a killed worker or a lost node had begun."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any, Final

from crawler.cluster.tasks import perform
from crawler.config.config import ConfigError
from crawler.config.kinds import shown

AUTO: Final = "auto"
RETRIES: Final = 3
_AHEAD: Final = 2


class Ray:
    """Does tasks on the cluster at an address: `auto` is that of this machine or of RAY_ADDRESS; `local` makes one."""

    def __init__(self, address: str) -> None:
        try:
            import ray
        except ImportError:
            raise ConfigError("--engine: ray is not installed: pip install 'everyurl[ray]'") from None
        self._ray: Any = ray
        if ray.is_initialized():  # by whoever imported us, or by a step before
            return
        try:
            ray.init(address=address, log_to_driver=False, include_dashboard=False, logging_level=logging.ERROR)
        except (ConnectionError, ValueError) as error:
            words = "no cluster answers there (`ray start --head` makes one; --address local is one for this run)"
            raise ConfigError(f"--address: {shown(address)}: {words}") from error

    def map(self, tasks: Sequence[bytes]) -> Iterator[tuple[int, bytes]]:
        """See splitting.Map. No more are handed in than are soon begun: a wait looks at each."""
        ray = self._ray
        do = ray.remote(max_retries=RETRIES, num_cpus=1)(perform)
        at_once = max(1, int(ray.cluster_resources().get("CPU", 1))) * _AHEAD
        left = iter(enumerate(tasks))
        running: dict[Any, int] = {}
        while True:
            while len(running) < at_once and (following := next(left, None)) is not None:
                running[do.remote(following[1])] = following[0]
            if not running:
                return
            (done,), _ = ray.wait([*running], num_returns=1)
            yield running.pop(done), ray.get(done)
