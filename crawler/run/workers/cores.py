"""How many cores this process may use: those of its affinity, and of its control group."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from math import ceil
from pathlib import Path

from crawler.fetch.budget import control_groups


def processes(procs: int | str) -> int:
    """How many workers --procs asks for."""
    return procs if isinstance(procs, int) else cores()


def cores(proc: Path = Path("/proc/self/cgroup"), groups: Path = Path("/sys/fs/cgroup")) -> int:
    """At least 1. A quota of one and a half cores counts as two: nobody is throttled that long for a half."""
    return max(1, min([_affinity(), *_quotas(proc, groups)]))


def _affinity() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        return os.cpu_count() or 1


def _quotas(proc: Path, groups: Path) -> Iterator[int]:
    for folder, first in control_groups("cpu", proc, groups):
        with suppress(OSError, ValueError):  # not there; or "max"
            yield _quota(folder, first=first)


def _quota(folder: Path, *, first: bool) -> int:
    if first:
        quota, period = (folder / "cpu.cfs_quota_us").read_text(), (folder / "cpu.cfs_period_us").read_text()
    else:
        quota, period = (folder / "cpu.max").read_text().split()
    if int(quota) <= 0:
        raise ValueError("no quota")
    return ceil(int(quota) / int(period))
