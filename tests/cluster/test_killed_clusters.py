"""Whole clusters with real processes, a real Redis and real sockets: killed, and cut off, by killed_cluster.py and
cut_off_node.py."""

from __future__ import annotations

import json
import subprocess
import sys

import cut_off_node
import killed_cluster
import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems have but one address of 127.0.0.0/8")
KILLS = 6


def told(*arguments: str) -> dict:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=400)
    assert done.stdout, done.stderr[-3_000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["problems"] == []
    assert done.returncode == 0
    return found


@pytest.mark.parametrize("procs", ["1", "2"])
def test_nodes_workers_and_redis_are_killed(procs):
    """Every record is there once, and no host is asked too soon, or twice at once, by whatever node."""
    found = told(killed_cluster.__file__, "--kills", str(KILLS), "--procs", procs, "--seed", procs)
    assert sum(found["deaths"].values()) == KILLS
    assert found["deaths"]["node"] > 0
    assert found["hosts"] == killed_cluster.HOSTS


@pytest.mark.parametrize("way", ["store", "all"])
def test_a_node_is_cut_off(way):
    """In a network namespace: from Redis alone, so that it still reaches the site, or from both, beyond its leases."""
    if refusal := cut_off_node.refused():
        pytest.skip(f"no network namespaces here: {refusal}")
    found = told(cut_off_node.__file__, way)
    assert found["its_own"] >= cut_off_node.CUT_AT
