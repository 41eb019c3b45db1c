"""How many cores this process may use: those of its affinity, and of its control group."""

from __future__ import annotations

import os
from contextlib import suppress
from math import ceil
from pathlib import Path
from typing import Final

AUTO: Final = "auto"


def cores(proc: Path = Path("/proc/self/cgroup"), groups: Path = Path("/sys/fs/cgroup")) -> int:
    """At least 1. A quota of one and a half cores counts as two: nobody is throttled that long for a half."""
    return max(1, min([_affinity(), *_quotas(proc, groups)]))


def _affinity() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        return os.cpu_count() or 1


def _quotas(proc: Path, groups: Path) -> list[int]:
    """The limits of our control group and of those around it: cgroups(7), both versions."""
    found: list[int] = []
    with suppress(OSError, UnicodeDecodeError):
        for line in proc.read_text().splitlines():
            _, controllers, path = [*line.split(":", 2), "", ""][:3]
            if controllers and "cpu" not in controllers.split(","):
                continue
            root = groups / "cpu" if controllers else groups
            place = root / path.lstrip("/")
            for folder in (place, *place.parents):
                with suppress(OSError, ValueError):  # not there; or "max"
                    found.append(_quota(folder, first=not controllers))
                if folder == root:
                    break
    return found


def _quota(folder: Path, *, first: bool) -> int:
    if first:
        quota, period = (folder / "cpu.max").read_text().split()
    else:
        quota, period = (folder / "cpu.cfs_quota_us").read_text(), (folder / "cpu.cfs_period_us").read_text()
    if int(quota) <= 0:
        raise ValueError("no quota")
    return ceil(int(quota) / int(period))
