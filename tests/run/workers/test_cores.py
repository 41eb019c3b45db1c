"""How many cores there are for us."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from crawler.run.workers.cores import cores


def groups(folder: Path, files: dict[str, str], line: str) -> tuple[Path, Path]:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    proc = folder / "cgroup"
    proc.write_text(line)
    return proc, folder


@pytest.mark.parametrize(
    ("files", "line", "expected"),
    [
        ({"a/b/cpu.max": "200000 100000"}, "0::/a/b\n", 2),
        ({"a/b/cpu.max": "max 100000", "a/cpu.max": "150000 100000"}, "0::/a/b\n", 2),
        ({"a/cpu.max": "300000 100000", "cpu.max": "50000 100000"}, "0::/a\n", 1),
        ({"cpu/a/cpu.cfs_quota_us": "100000", "cpu/a/cpu.cfs_period_us": "100000"}, "4:cpu,cpuacct:/a\n", 1),
        ({"cpu/a/cpu.cfs_quota_us": "-1", "cpu/a/cpu.cfs_period_us": "100000"}, "4:cpu,cpuacct:/a\n", 64),
        ({"a/cpu.max": "garbage"}, "0::/a\n", 64),
        ({}, "nonsense\n", 64),
    ],
)
def test_a_quota_counts(
    files: dict[str, str], line: str, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    assert cores(*groups(tmp_path, files, line)) == expected


def test_the_affinity_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3}, raising=False)
    assert cores(tmp_path / "none", tmp_path) == 1
