"""Memory and time per URL as the list grows: the command on files of 10,000, 100,000 and 1,000,000 URLs.

And that a list of 30 million lines starts at once and stays flat: from a gzip file, which is read on the reactor's thread,
and from a pipe that is written as it is read, which has a thread of its own. That run is interrupted after a while.
Linux only: the memory of a running process is read from /proc.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from measure import PAGES, ROOT, Servers, about, crawl, run, servers

ENDLESS: Final = 30_000_000
BLOCK: Final = 100_000  # lines: one gzip member, one write to the pipe
OPTIONS: Final = ("-c", 32, "--per-host", 32, "--quiet")
SLIM: Final = ("--fields", "url,status")  # a million whole records would be 700 MB


def grows(sizes: Iterable[int], base: str, running: Servers, folder: Path, procs: int) -> None:
    """The same command on longer and longer lists. A short one before it warms up the server.

    With --procs its peak is that of the first process, and that of each worker stands beside it.
    """
    print(f"\n{'URLs':<24}{'seconds':>9}{'microseconds per URL':>22}{'CPU':>8}{'peak MiB':>10}")
    source, output, stats = folder / "urls.txt", folder / "records.jsonl", folder / "stats.json"
    options = (*OPTIONS, "--procs", procs, "--stats", stats) if procs > 1 else OPTIONS
    for number, size in enumerate([1_000, *sizes]):
        with source.open("w") as lines:
            lines.writelines(f"{base}/p/{n % PAGES}.html?{n // PAGES}\n" for n in range(size))
        cost = run(crawl(source, *options, *SLIM, "-O", output), running.environment)
        workers = [worker["memory"] >> 20 for worker in json.loads(stats.read_text())["workers"]] if procs > 1 else []
        with output.open("rb") as lines:
            good = sum(line.endswith(b'"status":200}\n') for line in lines)
        if good != size:
            raise SystemExit(f"{good} of {size} answers were good")
        if number:
            each, cpu = (seconds / size * 1e6 for seconds in (cost.wall, cost.cpu))
            print(f"{size:<24,}{cost.wall:>9.1f}{each:>22.0f}{cpu:>8.0f}{cost.peak:>10.0f}", *workers, flush=True)


def block_of(base: str) -> bytes:
    """The same few URLs over and over: what gzip packs best."""
    return "".join(f"{base}/p/{n % 500}.html\n" for n in range(BLOCK)).encode()


def write_gzip(path: Path, block: bytes) -> None:
    """A file of 30 million lines: one gzip member, 300 times."""
    member = gzip.compress(block)
    with path.open("wb") as file:
        for _ in range(ENDLESS // BLOCK):
            file.write(member)


def write_pipe(path: Path, block: bytes) -> None:
    """30 million lines into a named pipe, as fast as somebody reads them."""

    def write() -> None:
        with suppress(BrokenPipeError), path.open("wb") as pipe:
            for _ in range(ENDLESS // BLOCK):
                pipe.write(block)

    os.mkfifo(path)
    threading.Thread(target=write, daemon=True).start()


def starts_at_once(
    name: str, path: Path, write: Callable[[Path, bytes], None], running: Servers, base: str, seconds: float
) -> None:
    """Time to the first record, and memory early and late in a run that is ended by a signal."""
    write(path, block_of(base))
    output = path.with_suffix(".jsonl")
    started = time.perf_counter()
    process = subprocess.Popen(
        crawl(path, *OPTIONS, *SLIM, "-O", output), cwd=ROOT, env=running.environment, stdin=subprocess.DEVNULL
    )
    while process.poll() is None and not (output.exists() and output.stat().st_size):
        time.sleep(0.01)
    first = time.perf_counter() - started
    early = late = 0
    while process.poll() is None and time.perf_counter() - started < seconds:
        time.sleep(0.1)
        late = resident(process.pid)
        early = early or (late if time.perf_counter() - started > seconds / 4 else 0)
    process.send_signal(signal.SIGTERM)
    code = process.wait()
    with output.open("rb") as lines:
        done = sum(line.endswith(b'"status":200}\n') for line in lines)
    if code != 128 + signal.SIGTERM or not done:
        raise SystemExit(f"{name}: exit code {code} after {done} good answers")
    print(f"{name:<24}{first:>10.2f} s{early:>14.0f}{late:>16.0f}{done:>12,}", flush=True)


def resident(pid: int) -> int:
    """Memory in MiB that a process has now."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) // 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "sizes",
        nargs="*",
        type=int,
        default=[10_000, 100_000, 1_000_000],
        help="lengths of lists (default: 10000 100000 1000000)",
    )
    parser.add_argument("--server", choices=("site", "nginx"), help="what to fetch from (default: nginx if installed)")
    parser.add_argument(
        "--seconds", type=float, default=20.0, help="how long to read each of the endless lists; 0 is not at all"
    )
    parser.add_argument("--procs", type=int, default=1, help="workers of each run with a list (default: none)")
    options = parser.parse_args()
    print(about("one process, 32 at once, one host, pages of 1.1 kB"))
    with servers() as running, TemporaryDirectory() as name:
        base = running.urls[options.server or ("nginx" if "nginx" in running.urls else "site")]
        folder = Path(name)
        if options.sizes:
            grows(options.sizes, base, running, folder, options.procs)
        if options.seconds:
            print(
                f"\n{'30,000,000 lines':<24}{'first record':>12}{'MiB at 1/4':>14}{'MiB at the end':>16}{'fetched':>12}"
            )
            lists = {"urls.txt.gz": write_gzip, "named pipe": write_pipe}
            for title, write in lists.items():
                path = folder / title.replace(" ", "-")
                starts_at_once(title, path, write, running, base, options.seconds)


if __name__ == "__main__":
    main()
