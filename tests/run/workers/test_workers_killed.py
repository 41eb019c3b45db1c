"""A job whose processes are killed at random, the first one as well: each input has its record in the end, once."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from asking_server import asked
from run.workers.test_workers import workers

from crawler.cli.main import main

NUMBER = 1_500


@pytest.mark.usefixtures("folder")
def test_a_job_outlives_all_its_processes() -> None:
    rng = random.Random(5)
    with asked(lambda path, *_: (200, {}, path.encode())) as server:
        Path("urls.txt").write_text("\n".join(server.url(f"/{n}") for n in range(NUMBER)), encoding="utf-8")
        options = ["urls.txt", "-q", "--procs", "2", "--job", "job", "-o", "out.jsonl", "--bodies", "kept"]
        for _ in range(2):
            _killed_soon([sys.executable, "-m", "crawler", *options], len(server.requests), server.requests, rng)
        assert main(options) == 0
    records = [json.loads(line) for line in Path("out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(records) == len({record["url"] for record in records}) == NUMBER
    assert {record["outcome"] for record in records} == {"ok"}
    assert main(["verify", "job"]) == 0
    assert not [path for path in Path("kept").iterdir() if path.name.startswith(".")]


def _killed_soon(command: list[str], before: int, requests: list[object], rng: random.Random) -> None:
    """A life: when some have been asked for one of its workers dies, and later the run itself."""
    with subprocess.Popen(command) as run:
        deadline = time.monotonic() + 20.0
        for progress in (rng.randint(50, 150), rng.randint(200, 400)):
            while len(requests) < before + progress and run.poll() is None and time.monotonic() < deadline:
                time.sleep(0.01)
            found = workers(run.pid) if run.poll() is None else []
            if found:
                rng.choice(found).kill()
        run.kill()
    psutil.wait_procs(found, timeout=5.0)
