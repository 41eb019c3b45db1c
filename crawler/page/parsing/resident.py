"""How much memory a process that we have started takes, as it sees that itself."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path


def resident_meter(statm: Path = Path("/proc/self/statm")) -> Callable[[], int]:
    """What tells our resident bytes; 0 where nothing does."""
    try:
        import resource
    except ImportError:  # Windows
        return lambda: 0
    if statm.exists():  # Linux hands ru_maxrss on from parent to child: a large crawler's children would look large
        return lambda: int(statm.read_text().split()[1]) * resource.getpagesize()
    unit = 1 if sys.platform == "darwin" else 1024
    return lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
