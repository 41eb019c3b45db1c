"""What the benches share: servers to fetch from, the time and memory of a child process, and the words about it all.

Only the standard library is imported here. A child's peak memory is never reported below that of the process that
started it, so a bench that starts children must stay small.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
MIB = 1 << 20
PAGES = 2000  # of the built-in site, 1.1 kB each
RSS_UNIT = 1 if sys.platform == "darwin" else 1024


class Cost(NamedTuple):
    """What a child took: seconds by the clock, CPU seconds, peak memory in MiB."""

    wall: float
    cpu: float
    peak: float


class Servers(NamedTuple):
    """Base URLs by name, and the certificate of the authority that signed for them."""

    urls: Mapping[str, str]
    authority: str

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a child that trusts them: OpenSSL reads SSL_CERT_FILE."""
        return {**os.environ, "SSL_CERT_FILE": self.authority}


@contextmanager
def servers() -> Generator[Servers]:
    """Serve the built-in site, and nginx where it is installed, both over http and https."""
    script = Path(__file__).with_name("servers.py")
    with subprocess.Popen(
        [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise SystemExit("the servers did not start")
        news = json.loads(line)
        # Leaving closes its standard input, at which it ends.
        yield Servers(news["servers"], news["authority"])


def crawl(*arguments: object) -> list[str]:
    """The command that runs this checkout."""
    return [sys.executable, "-m", "crawler", *map(str, arguments)]


def run(command: Sequence[str], environment: Mapping[str, str]) -> Cost:
    """Run a command to its end. Ends the bench, with what the command said, when it fails."""
    with TemporaryFile() as words:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=words
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            words.seek(0)
            said = words.read().decode(errors="replace")
            raise SystemExit(f"exit code {process.returncode}: {' '.join(command)}\n{said}")
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * RSS_UNIT / MIB)


def best_and_median(values: Sequence[float]) -> tuple[float, float]:
    return min(values), statistics.median(values)


def about(work: str) -> str:
    """The machine, the versions, and what is measured."""
    versions = subprocess.run(crawl("--version"), cwd=ROOT, capture_output=True, text=True, check=True).stdout
    lines = [
        f"machine   {_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
        f"versions  {', '.join(versions.split(chr(10))).rstrip(', ')}{_commit()}",
        f"work      {work}",
    ]
    return "\n".join(lines)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _commit() -> str:
    git = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return f", commit {git.stdout.strip()}" if git.returncode == 0 else ""
