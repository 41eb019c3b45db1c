"""Load and soak: the command under thousands of connections, faults, small limits, bombs, and for a long time.

Every part ends the bench with a sentence when a promise is not kept. Linux only: memory and descriptors of the running
command are read from /proc, and its servers are on many addresses of 127.0.0.0/8.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from load_server import CODINGS, FAULTS
from measure import MIB, ROOT, about, crawl

HOSTS = 64
MARGIN = 400 * MIB  # of address space over what the command takes for one small page
MOST_GROWTH = 0.10  # of memory, from the first third of a soak to the last
REMEMBERED = 500  # bytes: the key of a URL, the hash of its body and whose it was
SLIM = ("--fields", "status,error_code")


class Server:
    """The server in a process of its own. `most` and `requests` are there after `stop`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.process = process
        self.port = int(process.stdout.readline())
        self.most = self.requests = 0

    def url(self, path: str, host: int = 0) -> str:
        return f"http://127.0.{host >> 8}.{(host & 255) + 1}:{self.port}/{path}"

    def stop(self) -> None:
        said, _ = self.process.communicate()
        load = json.loads(said)
        self.most, self.requests = load["connections"], load["requests"]


@contextmanager
def load_server() -> Generator[Server]:
    command = [sys.executable, str(Path(__file__).with_name("load_server.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Server(process)
        finally:
            process.kill()


class Sample(NamedTuple):
    """What a process has at a time, in seconds from its start: memory in MiB, descriptors, address space at its peak."""

    time: float
    resident: float
    descriptors: int
    space: float


class Watched(NamedTuple):
    """What came of a command, and what was seen of it."""

    code: int
    wall: float
    words: str
    records: list[dict[str, Any]]
    samples: list[Sample]

    @property
    def peak(self) -> float:
        return max((sample.resident for sample in self.samples), default=0.0)

    @property
    def space(self) -> float:
        return max((sample.space for sample in self.samples), default=0.0)


def watch(
    arguments: Sequence[object],
    folder: Path,
    *,
    limits: Sequence[tuple[int, int]] = (),
    seconds: float = 0.0,
    every: float = 0.1,
    longest: float = 3600.0,
) -> Watched:
    """Run the command to its end, or until it is asked to end after `seconds`, and look at it now and then."""
    output = folder / "records.jsonl"
    words = folder / "words.txt"
    with words.open("wb") as said:
        started = time.monotonic()
        process = subprocess.Popen(
            [*crawl(*arguments), "-q", "-O", str(output)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            preexec_fn=_limit(limits),  # noqa: PLW1509 - no threads here
        )
        samples = []
        asked = False
        while process.poll() is None:
            passed = time.monotonic() - started
            if sample := _sample(process.pid, passed):
                samples.append(sample)
            if passed > longest:
                process.kill()
                raise SystemExit(f"not done after {longest:g} s: {arguments}")
            if seconds and passed > seconds and not asked:
                process.send_signal(signal.SIGTERM)
                asked = True
            time.sleep(every)
        wall = time.monotonic() - started
    with output.open("rb") as lines:
        records = [json.loads(line) for line in lines]
    return Watched(process.returncode, wall, words.read_text(errors="replace"), records, samples)


def _limit(limits: Sequence[tuple[int, int]]) -> Callable[[], None]:
    def limit() -> None:
        for what, most in limits:
            resource.setrlimit(what, (most, most))

    return limit


def _sample(pid: int, passed: float) -> Sample | None:
    try:
        status = dict(
            line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
        )
        descriptors = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return None
    if "VmRSS" not in status:  # it has just ended
        return None
    resident, space = (int(status[name].split()[0]) / 1024 for name in ("VmRSS", "VmPeak"))
    return Sample(passed, resident, descriptors, space)


def must(kept: object, promise: str) -> None:
    if not kept:
        raise SystemExit(f"not so: {promise}")


def fine(done: Watched, code: int = 0) -> None:
    must(done.code == code, f"the exit code is {code} (it is {done.code}: {done.words[-500:]})")
    internal = [record for record in done.records if record["error_code"] == "internal"]
    must(not internal, f"no record says internal: {internal[:1]}")


def connections(server: Server, folder: Path, wide: int, seconds: float) -> str:
    """So many URLs at once, each of which is answered after some seconds."""
    urls = [server.url(f"slow/{seconds}/{number}", number % 100) for number in range(wide)]
    arguments = (
        _list(folder, urls),
        "-c",
        wide,
        "--per-host",
        wide,
        "--timeout",
        "300s",
        "--headers-timeout",
        "200s",
    )
    done = watch((*arguments, *SLIM), folder, limits=[(resource.RLIMIT_NOFILE, _hard_limit())])
    fine(done)
    statuses = Counter(record["status"] for record in done.records)
    must(statuses == {200: wide}, f"all are answered: {statuses}")
    server.stop()
    must(server.most == wide, f"there were {wide:,} connections at once: {server.most:,}")
    most = max(sample.descriptors for sample in done.samples)
    return f"{wide:,} at once, {done.wall:.1f} s for answers after {seconds:g} s; {done.peak:.0f} MiB, {most:,} descriptors"


def faults(server: Server, folder: Path, size: int) -> str:
    """A long list of which one URL in ten is a fault of some kind."""
    path = _list(folder, (server.url(f"f/{number}", number % HOSTS) for number in range(size)))
    arguments = (path, "-c", 64, "--per-host", 64, "--retries", 1, "--no-adaptive", *SLIM)
    done = watch(arguments, folder)
    fine(done)
    found = Counter(record["error_code"] or record["status"] for record in done.records)
    expected: Counter[str | int] = Counter()
    for number in range(size):
        expected[FAULTS[number // 10 % len(FAULTS)][0] if number % 10 == 3 else 200] += 1
    must(found == expected, f"each fault has its code: {found - expected} too many, {expected - found} too few")
    return (
        f"{size:,} URLs with {size // 10:,} faults in {done.wall:.1f} s, {size / done.wall:,.0f}/s; {done.peak:.0f} MiB"
    )


def soak(server: Server, folder: Path, seconds: float) -> str:
    """An endless list, from a pipe, of good, slow, large, compressed and faulty pages: memory and descriptors are flat."""
    pipe = folder / "urls"
    os.mkfifo(pipe)
    threading.Thread(target=_write_for_ever, args=(pipe, server), daemon=True).start()
    arguments = (pipe, "-c", 64, "--per-host", 8, "--retries", 1, "--no-adaptive")
    done = watch((*arguments, *SLIM), folder, seconds=seconds, every=min(1.0, seconds / 30))
    first, last = _thirds(done)
    must(last.memory <= first.memory * (1 + MOST_GROWTH) + 1, f"memory is flat: {first}, then {last}")
    return f"{len(done.records):,} records in {done.wall:.0f} s; first third {first}; last third {last}"


def crawl_soak(server: Server, folder: Path, seconds: float) -> str:
    """The same as an endless site, where a crawl remembers what it knows: so many bytes for each URL, up to its bounds."""
    seeds = _list(folder, (server.url(f"mix/{host}/0", host) for host in range(HOSTS)))
    arguments = (seeds, "-r", "-c", 64, "--per-host", 8, "--delay", "0", "--retries", 1, "--no-adaptive", "--no-robots")
    done = watch((*arguments, *SLIM), folder, seconds=seconds, every=min(1.0, seconds / 30))
    first, last = _thirds(done)
    remembered = len(done.records) * REMEMBERED / MIB
    must(last.memory <= first.memory * (1 + MOST_GROWTH) + remembered, f"memory is bounded: {first}, then {last}")
    return f"{len(done.records):,} records in {done.wall:.0f} s; first third {first}; last third {last}"


class Third(NamedTuple):
    memory: float
    descriptors: int

    def __str__(self) -> str:
        return f"{self.memory:.1f} MiB, {self.descriptors} descriptors"


def _thirds(done: Watched) -> tuple[Third, Third]:
    """Of a run that was asked to end: what it had in its first third, without the start, and in its last one."""
    fine(done, 128 + signal.SIGTERM)
    codes = {record["error_code"] for record in done.records}
    must(codes >= {code for code, _ in FAULTS if isinstance(code, str)}, f"every fault was met: {codes}")
    third = len(done.samples) // 3
    first, last = (
        Third(mean(sample.resident for sample in part), max(sample.descriptors for sample in part))
        for part in (done.samples[third // 2 : third], done.samples[-third:-1])
    )
    must(last.descriptors <= first.descriptors + 20, f"descriptors are flat: {first}, then {last}")
    return first, last


def _write_for_ever(path: Path, server: Server) -> None:
    with suppress(BrokenPipeError), path.open("w") as pipe:
        for number in count():
            pipe.write(f"{server.url(f'mix/{number % HOSTS}/{number // HOSTS}', number % HOSTS)}\n")


def few_descriptors(server: Server, folder: Path, size: int) -> str:
    """-c 500 where 64 files may be open."""
    path = _list(folder, (server.url(f"slow/0.01/{number}", number % 10) for number in range(size)))
    arguments = (path, "-c", 500, "--per-host", 100, *SLIM)
    done = watch(arguments, folder, limits=[(resource.RLIMIT_NOFILE, 64)], every=0.02)
    fine(done)
    found = Counter(record["error_code"] or record["status"] for record in done.records)
    must(found == {200: size}, f"all are answered: {found}")
    most = max(sample.descriptors for sample in done.samples)
    return f"{size:,} URLs in {done.wall:.1f} s, {most} descriptors at most"


def little_memory(server: Server, folder: Path, *, extraction: bool = True) -> str:
    """Bombs and endless things, in an address space that leaves 400 MiB for them: each has its code, the last page is fetched."""
    base = watch((server.url("p/0"), *SLIM), folder, every=0.005)
    fine(base)
    limits = [(resource.RLIMIT_AS, int(base.space * MIB) + MARGIN)]
    expected = {
        **{f"bomb/{coding}": "body_too_large" for coding in CODINGS},
        "big": "body_too_large",
        "endless-body": "body_too_large",
        "endless-headers": "headers_too_large",
        "endless-header": "headers_too_large",
        "p/1": None,
    }
    urls = [server.url(path, host) for host, path in enumerate(expected)]
    done = watch((_list(folder, urls), "-c", 4, "--fields", "url,status,error_code"), folder, limits=limits, every=0.02)
    fine(done)
    found = {record["url"].split("/", 3)[3]: record["error_code"] for record in done.records}
    must(found == expected, f"each has its code: {found}")
    fields = ("--fields", "status,error_code,links,warnings,size_body", "--max-size", "64MiB")
    crawled = watch((server.url("links"), "-r", "--depth", 0, *fields), folder, limits=limits, every=0.02)
    fine(crawled)
    (page,) = crawled.records
    must(page["status"] == 200 and page["links"] == 10_000, f"the first 10,000 of a million links count: {page}")
    must("parse_truncated" in page["warnings"], f"that there are more is told: {page}")
    peaks = [done.peak, crawled.peak]
    if extraction:
        wanted = ("--extract", "n:int=xpath:count(//a)", "--extract-all", "a=//a/@href")
        parsed = watch((server.url("links"), *wanted, *fields), folder, limits=limits, every=0.02)
        fine(parsed)
        (page,) = parsed.records
        must(page["status"] == 200, f"the page has its record: {page}")
        peaks.append(parsed.peak)
    return (
        f"{len(expected)} URLs and a page of 1,000,000 links; {base.peak:.0f} MiB for one page, "
        f"at most {max(peaks):.0f} MiB; limit of the address space {limits[0][1] // MIB} MiB"
    )


def _list(folder: Path, urls: Any) -> Path:
    path = folder / "urls.txt"
    path.write_text("".join(f"{url}\n" for url in urls))
    return path


def _hard_limit() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="everything, but small")
    parser.add_argument("--connections", type=int, default=5_000, help="at once to slow servers (default: 5000)")
    parser.add_argument("--urls", type=int, default=100_000, help="of the list with faults (default: 100000)")
    parser.add_argument("--seconds", type=float, default=60.0, help="of the soak and of the crawl, each (default: 60)")
    parser.add_argument(
        "--only", choices=("connections", "faults", "soak", "crawl", "descriptors", "memory"), help="just this part"
    )
    options = parser.parse_args()
    if options.quick:
        options.connections, options.urls, options.seconds = 500, 5_000, 8.0
    parts: dict[str, Callable[[Server, Path], str]] = {
        "connections": lambda server, folder: connections(
            server, folder, options.connections, 2.0 if options.quick else 10.0
        ),
        "faults": lambda server, folder: faults(server, folder, options.urls),
        "soak": lambda server, folder: soak(server, folder, options.seconds),
        "crawl": lambda server, folder: crawl_soak(server, folder, options.seconds),
        "descriptors": lambda server, folder: few_descriptors(server, folder, 500 if options.quick else 5_000),
        "memory": little_memory,
    }
    print(about("the command under load, one process; the servers in another"))
    for name, part in parts.items():
        if options.only in {None, name}:
            with load_server() as server, TemporaryDirectory() as folder:
                print(f"{name:<13}{part(server, Path(folder))}", flush=True)


if __name__ == "__main__":
    main()
