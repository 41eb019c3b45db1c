"""A disk that is full, as far as one process is concerned."""

from __future__ import annotations

import resource
import signal
from contextlib import contextmanager


@contextmanager
def small_files(size: int):
    """No file may grow beyond this size: as on a full disk."""
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
