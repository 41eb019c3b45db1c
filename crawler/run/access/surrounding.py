"""What surrounds the runs of a process, as tests do: it may have them read archives, and hears of their records.

That is a thing of the process, like its environment: the code under test makes its runs itself, in whatever thread.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final, Protocol

from crawler.config.config import Config
from crawler.sinks import Sink


class Surrounding(Protocol):
    """Called in the thread in which a run is made."""

    def adapted(self, config: Config) -> Config:
        """The options of a run, as they are to be here."""

    def sink(self) -> Sink:
        """What gets the records of a run, too."""


_LOCK: Final = threading.Lock()
_AROUND: Final[list[Surrounding]] = []


@contextmanager
def surrounded(by: Surrounding) -> Generator[None]:
    """All runs that are made inside are surrounded, those of other threads as well; by the innermost of several."""
    with _LOCK:
        _AROUND.append(by)
    try:
        yield
    finally:
        with _LOCK:
            _AROUND.remove(by)


def surrounding() -> Surrounding | None:
    """What surrounds a run that is made now."""
    with _LOCK:
        return _AROUND[-1] if _AROUND else None
