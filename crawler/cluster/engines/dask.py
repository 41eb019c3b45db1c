"""Dask does the tasks: https://distributed.dask.org. What a killed worker had begun or done, others do again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from crawler.cluster.tasks import perform
from crawler.config.config import ConfigError
from crawler.config.kinds import shown
from crawler.run.workers.cores import cores

AUTO: Final = "auto"


class Dask:
    """Does tasks on the scheduler at an address (tcp://host:8786); `auto` is that of Dask's own settings, else a
    cluster of processes of this machine, for this run.
    """

    def __init__(self, address: str) -> None:
        try:
            import dask
            import distributed
        except ImportError:
            raise ConfigError("--engine: dask is not installed: pip install 'everyurl[dask]'") from None
        self._distributed: Any = distributed
        where = dask.config.get("scheduler-address", None) if address == AUTO else address
        try:
            self._client: Any = self._distributed.Client(where or _own(self._distributed))
        except (OSError, ValueError) as error:
            raise ConfigError(f"--address: {shown(address)}: no scheduler answers there") from error

    def map(self, tasks: Sequence[bytes]) -> Iterator[tuple[int, bytes]]:
        """See splitting.Map."""
        # Two tasks of the same bytes are two: what it has kept of an earlier one says nothing of the files now.
        futures = {self._client.submit(perform, task, pure=False): number for number, task in enumerate(tasks)}
        for future in self._distributed.as_completed(list(futures)):
            yield futures.pop(future), future.result()
            future.release()  # else it is done again when the worker that has it is gone


def _own(distributed: Any) -> Any:
    """A thread each: two shards in one process would share its core."""
    return distributed.LocalCluster(n_workers=cores(), threads_per_worker=1, dashboard_address=None)
