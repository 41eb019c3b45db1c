"""A list in shards: what a line costs to split, and what a URL costs by each engine, of which a worker is killed.

CPU is that of all processes that the engine has started, the killed one among them; that of the server is not in it.
`ready` is when the first shard was begun, and what was spent until then is not in the cost of a URL. On Linux.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from measure import PAGES, ROOT, about, crawl, servers

MARK = "BENCH_SHARDS"
DOMAINS = 2_000
TICKS = os.sysconf("SC_CLK_TCK")
ENGINES = {"local": "auto", "ray": "local", "dask": "auto", "spark": "auto"}


class Watch:
    """The CPU seconds of all processes that have the mark in their environment, also of those that are gone."""

    def __init__(self, mark: str) -> None:
        self._mark = f"{MARK}={mark}".encode()
        self._seconds: dict[tuple[str, str], float] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    @property
    def seconds(self) -> float:
        return sum(self._seconds.values())

    def end(self) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.2):
            for path in Path("/proc").glob("[0-9]*"):
                with suppress(OSError):
                    fields = (path / "stat").read_text().rpartition(")")[2].split()
                    key = path.name, fields[19]  # its number and when it began
                    # One that has it not may be about to be executed.
                    if key in self._seconds or self._mark in (path / "environ").read_bytes().split(b"\0"):
                        self._seconds[key] = (int(fields[11]) + int(fields[12])) / TICKS


def write_list(path: Path, count: int, port: str) -> None:
    order = random.Random(1)
    with path.open("w") as file:
        for number in range(count):
            domain = order.randrange(DOMAINS)
            host = f"{'www.' if domain % 3 else ''}domain{domain}.{('com', 'co.uk', 'de', 'org')[domain % 4]}"
            file.write(f"http://{host}:{port}/p/{number % PAGES}.html\n")


def kill_one(parts: Path) -> bool:
    """kill -9 who is in the middle of a part."""
    for path in parts.glob("lease-*"):
        with suppress(OSError, ValueError):
            shard = path.name.split("-")[1]
            if any(part.stat().st_size for part in parts.glob(f".part-{shard}-*")):
                os.kill(json.loads(path.read_bytes())["pid"], signal.SIGKILL)
                return True
    return False


def split(urls: Path, shards: int, folder: Path) -> float:
    """Seconds of CPU, of all processes, for the whole list."""
    watch = Watch("split")
    command = crawl("split", urls, "--shards", shards, "-O", folder, "-q")
    subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, MARK: "split"})
    time.sleep(0.3)
    watch.end()
    return watch.seconds


def work(engine: str, shards: Path, folder: Path, port: str, *, kills: bool) -> tuple[float, float, float, float]:
    """When it was ready, what that took; the whole time, and CPU seconds since it was ready."""
    parts, mark = folder / "parts", f"{engine}-{os.getpid()}"
    watch = Watch(mark)
    where = ["--engine", engine, "--address", ENGINES[engine], "--resolve", f"*:{port}:127.0.0.1", "-q"]
    begin = time.perf_counter()
    with subprocess.Popen(
        crawl("work", shards, "-o", parts, *where), cwd=ROOT, env={**os.environ, MARK: mark}
    ) as process:
        while process.poll() is None and not [*parts.glob("lease-*")]:
            time.sleep(0.05)
        ready, spent = time.perf_counter() - begin, watch.seconds
        killed = not kills
        while process.poll() is None:
            if not killed and len([*parts.glob("part-*")]) >= 8:
                killed = kill_one(parts)
            time.sleep(0.05)
    took = time.perf_counter() - begin
    watch.end()
    if process.returncode or not killed:
        raise SystemExit(f"{engine}: exit code {process.returncode}, killed: {killed}")
    return ready, spent, took, watch.seconds - spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--urls", type=int, default=200_000, help="lines of the list (default: 200000)")
    parser.add_argument("--shards", type=int, default=32, help="shards (default: 32)")
    parser.add_argument("--engine", action="append", choices=[*ENGINES], help="engines to measure (default: local)")
    parser.add_argument("--no-kill", action="store_true", help="let all workers live")
    options = parser.parse_args()
    count = options.urls
    print(about(f"{count:,} URLs of {DOMAINS:,} domains in {options.shards} shards, pages of 1.1 kB"))
    with servers() as found, TemporaryDirectory() as temporary:
        folder = Path(temporary)
        port = found.urls.get("nginx", found.urls["site"]).rpartition(":")[2].strip("/")
        write_list(folder / "urls.txt", count, port)
        cost = split(folder / "urls.txt", options.shards, folder / "shards")
        print(f"\nsplit: {cost / count * 1e6:.1f} us a line of CPU, with the start of its processes")
        print(
            f"\n{'':<8}{'ready':>9}{'CPU until then':>16}{'whole':>9}{'us a URL':>10}{'URLs':>10}{'twice':>7}",
            flush=True,
        )
        for engine in options.engine or ["local"]:
            ready, spent, took, seconds = work(
                engine, folder / "shards", folder / engine, port, kills=not options.no_kill
            )
            lines: Counter[int] = Counter()
            outcomes: Counter[str] = Counter()
            for part in (folder / engine / "parts").glob("part-*"):
                for line in part.read_bytes().splitlines():
                    record = json.loads(line)
                    lines[record["input"]["line"]] += 1
                    outcomes[record["outcome"]] += 1
            twice = sum(1 for times in lines.values() if times > 1)
            print(
                f"{engine:<8}{ready:>7.1f} s{spent:>14.1f} s{took:>7.0f} s{seconds / count * 1e6:>10.0f}"
                f"{len(lines):>10,}{twice:>7}",
                flush=True,
            )
            if len(lines) != count or twice or set(outcomes) != {"ok"}:
                raise SystemExit(f"{len(lines):,} of {count:,} lines have records; {dict(outcomes)}")


if __name__ == "__main__":
    main()
