"""A job whose processes are killed at random, the first one as well: each input has its record in the end, once."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from asking_server import Answer, asked
from run.workers.test_workers import workers

from crawler.cli.main import main

NUMBER = 1_500
PAGES = 400


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


@pytest.mark.usefixtures("folder")
def test_a_crawl_outlives_its_workers() -> None:
    """Killed again and again, while links are found: the job has each page once, as a quiet crawl has it."""
    rng = random.Random(7)
    over = threading.Event()

    def answer(path: str, *_: object) -> Answer:
        if path == "/robots.txt":
            return 404, {}
        number = int(path[1:])
        links = "".join(f'<a href="/{n}">x</a>' for n in (2 * number + 1, 2 * number + 2, number // 2) if n < PAGES)
        return 200, {"Content-Type": "text/html"}, f"{rng.randbytes(9).hex()} {links}".encode()

    def kill() -> None:
        """One at a time: when a page that was in the air with one has come by, the next."""
        before = 0
        while not over.wait(0.02):
            if len(server.requests) >= before + 60 and (found := workers()):
                before = len(server.requests)
                with suppress(psutil.NoSuchProcess):
                    rng.choice(found).kill()

    with asked(answer) as server:
        options = ["-r", server.url("/0"), "-q", "--procs", "2", "--job", "job", "-o", "out.jsonl", "--depth", "50"]
        killing = threading.Thread(target=kill)
        killing.start()
        try:
            assert main([*options, "--delay", "0", "--stats", "stats.json"]) == 0
        finally:
            over.set()
            killing.join()
        addresses = {server.url(f"/{n}") for n in range(PAGES)}
    records = [json.loads(line) for line in Path("out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(records) == PAGES
    assert {record["url"] for record in records} == addresses
    assert {(record["outcome"], record["attempts"]) for record in records} == {("ok", 1)}
    assert sum(worker["replaced"] for worker in json.loads(Path("stats.json").read_text())["workers"]) >= 3
    assert main(["verify", "job"]) == 0
