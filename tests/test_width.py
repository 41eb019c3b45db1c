"""Politeness at width: hundreds of hosts, each with its own delay, seen from the servers' own log."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from wide_server import PAGES, by_host, distances, wide_server

ROOT = Path(__file__).parent.parent
HOSTS, SLOW = 500, 20
DELAY = 0.5
ANSWER = 0.8  # seconds that a slow host takes
JITTER = 0.01  # what is written leaves at the end of a turn of the loop
SLACK = 2.5  # for a busy machine: the start of a process's work, and its share of a processor


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have but one address of 127.0.0.0/8")
def test_five_hundred_hosts_at_once(tmp_path):
    """No host is asked sooner than its delay, nor by more at once than allowed, and none waits for another.

    Twenty hosts are slow. They have a slot each most of the time, and the others take turns with the dozen that is left.
    """
    with wide_server(HOSTS, SLOW, ANSWER) as web:
        seeds = tmp_path / "seeds.txt"
        seeds.write_text("".join(f"{url}\n" for url in web.urls))
        arguments = ["-r", seeds, "-c", "32", "--delay", f"{DELAY}s", "--per-host", "2", "-q", "--fields", "url,status"]
        done = subprocess.run(
            [sys.executable, "-m", "crawler", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        log = web.stop()
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert sorted(record["url"] for record in records) == sorted(url + page[1:] for url in web.urls for page in PAGES)
    assert {record["status"] for record in records} == {200}

    hosts = by_host(log)
    assert len(hosts) == HOSTS
    assert {tuple(sorted(hit.target for hit in hits)) for hits in hosts.values()} == {
        tuple(sorted((*PAGES, "/robots.txt")))
    }
    assert distances(log)[0] > DELAY - JITTER
    assert max(hit.connections for hit in log) == max(hit.requests for hit in log) == 2

    start = log[0].time
    quick = max(hit.time for hit in log if hit.host >= SLOW) - start
    slow = max(hit.time for hit in log if hit.host < SLOW) - start
    assert quick < 3 * DELAY + SLACK  # robots.txt and three pages
    assert (
        slow < 2 * ANSWER + 3 * DELAY + SLACK
    )  # of the two pages that the first one links to, none waits for the other
