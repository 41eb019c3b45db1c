"""The cheap parts of tests/bench/bench_load.py: small limits, bombs, endless answers. The others are run by hand."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits, /proc and 127.0.0.0/8 are Linux's")


@pytest.fixture
def bench(monkeypatch) -> ModuleType:
    monkeypatch.setattr(sys, "path", [str(Path(__file__).parent / "bench"), *sys.path])
    return importlib.import_module("bench_load")


@pytest.fixture
def server(bench) -> Iterator[object]:
    with bench.load_server() as running:
        yield running


def test_five_hundred_at_once_with_64_descriptors(bench, server, tmp_path):
    """Where only 64 files may be open, -c 500 takes longer, and every URL is fetched."""
    assert "200 URLs" in bench.few_descriptors(server, tmp_path, 200)


def test_bombs_and_endless_answers_in_little_memory(bench, server, tmp_path):
    """With 400 MiB to spare: bombs of all codings, a GiB announced and not, endless headers, a million links in a page.

    Each ends with the code that the README promises, and the process lives to fetch the page after them.
    """
    assert "1,000,000 links" in bench.little_memory(server, tmp_path, extraction=False)


def test_every_fault_has_its_code(bench, server, tmp_path):
    """A list of which one URL in ten is a fault: the records say which."""
    assert "2,000 URLs with 200 faults" in bench.faults(server, tmp_path, 2_000)


def test_many_connections_to_slow_servers(bench, server, tmp_path):
    """All of them wait at once."""
    assert "150 at once" in bench.connections(server, tmp_path, 150, 0.5)
