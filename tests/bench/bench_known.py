"""A crawl that knows ten million URLs: its memory, and how fast it checks the links of further pages against them.

Each page has 60 links, half of them known. All goes through Admission.accept_links with the real scope, keys and frontier;
what is new is queued, claimed and finished at once, as if pages came as fast as they are found. With --job all of it is
journalled and committed, and the ten million are read from the job's database, as when a job goes on.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import sqlite3
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from measure import MIB, ROOT, RSS_UNIT, about

sys.path.insert(0, str(ROOT))

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import deferLater

from crawler.config.config import Config
from crawler.engine.admission import Admission, AdmissionRules
from crawler.engine.scope import Scope
from crawler.frontier.memory import MemoryFrontier
from crawler.job.job import DATABASE, Job
from crawler.models import Input, Request, Response, Timings, record_of
from crawler.politeness.controller import Politeness
from crawler.run.reactors import private_reactor, run
from crawler.seeds.feed import DirectFeed
from crawler.sinks.tee import Tee
from crawler.urls import Url, canonical_key, parse

LINKS = 60  # of a page
HOSTS = 50
BLOCK = 4_096  # keys


def url_of(number: int) -> Url:
    """The URL with this number, of a usual length, without the parser."""
    host = f"www.host-{number % HOSTS}.example"
    target = f"/articles/{number % 97}/section-{number % 1_009}/a-page-with-a-name-{number}.html"
    return Url(f"http://{host}{target}", "http", host, 80, host, target)


def known(count: int) -> Iterator[bytes]:
    """The keys of the first `count` URLs, many at a time."""
    assert canonical_key(url_of(1)) == key_of(1)
    for start in range(0, count, BLOCK):
        yield b"".join(map(key_of, range(start, min(count, start + BLOCK))))


def key_of(number: int) -> bytes:
    return blake2b(url_of(number).href.encode(), digest_size=16).digest()


def fill(folder: Path, count: int) -> None:
    """Make a job that knows so many URLs already."""
    with private_reactor() as (reactor, _):
        Job(str(folder), config_of(folder), reactor=reactor, politeness=Politeness()).close()
    with closing(sqlite3.connect(folder / DATABASE)) as db, db:
        rows = ((-number, keys) for number, keys in enumerate(known(count), 1))
        db.executemany("INSERT INTO known (batch, keys) VALUES (?, ?)", rows)


def config_of(folder: Path) -> Config:
    return Config.build(inputs=["urls.txt"], recursive=True, job=str(folder))


def resident() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / MIB


@inlineCallbacks
def checks(reactor: Any, count: int, pages: int, folder: Path | None) -> Generator[Deferred[Any], Any, None]:
    """Load what is known, then check the links of so many pages; prints what that took."""
    politeness = Politeness(per_host=1_000_000)
    start = time.perf_counter()
    before = resident()
    job = sink = None
    if folder is None:
        frontier = MemoryFrontier(politeness, canonical_key)
        for keys in known(count):
            frontier._known.load(keys)
    else:
        job = Job(str(folder), config_of(folder), reactor=reactor, politeness=politeness, key=canonical_key)
        frontier, sink = job.frontier, job.sink(Tee([]))
    loaded = time.perf_counter() - start
    growth = resident() - before
    scope = Scope("host", [url_of(number) for number in range(HOSTS)])
    admission = Admission(feed=DirectFeed(iter(())), frontier=frontier, rules=AdmissionRules(), scope=scope)
    page = parse("http://www.host-0.example/")
    request = Request(-1, page, page.href, Input("urls.txt", 1), reactor.seconds())
    rng = random.Random(0)
    fresh = count
    seconds, slowest = 0.0, 0.0
    for _ in range(pages):
        links = [url_of(rng.randrange(count)) for _ in range(LINKS // 2)]
        links += [url_of(fresh + number) for number in range(LINKS // 2)]
        fresh += LINKS // 2
        rng.shuffle(links)
        begin = time.perf_counter()
        admission.accept_links(request, links, reactor.seconds())
        took = time.perf_counter() - begin
        seconds += took
        slowest = max(slowest, took)
        now = reactor.seconds()
        wait = None
        while (claimed := frontier.claim(now)) is not None:
            if sink is not None:
                response = Response(Timings(total=0.1), time.time(), status=200)
                wait = sink.write(record_of(claimed, response, 0.0), response, claimed.id)
            frontier.finish(claimed, "ok", now)
        yield deferLater(reactor, 0) if wait is None else wait
    if admission.accepted != pages * (LINKS // 2):
        raise SystemExit(f"{admission.accepted:,} of {pages * LINKS // 2:,} new links were accepted")
    if job is not None:
        yield sink.close()
        job.close()
    print(
        json.dumps({
            "loaded": loaded, "growth": growth, "resident": resident(), "seconds": seconds, "slowest": slowest,
            "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT / MIB,
        })
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--known", type=int, default=10_000_000, help="known URLs (default: 10000000)")
    parser.add_argument("--pages", type=int, default=5_000, help="pages whose links are checked (default: 5000)")
    parser.add_argument("--child", metavar="FOLDER", help=argparse.SUPPRESS)
    options = parser.parse_args()
    count, pages = options.known, options.pages
    if options.child is not None:
        with private_reactor() as (reactor, _):
            run(reactor, lambda: checks(reactor, count, pages, Path(options.child) if options.child else None))
        return
    print(about(f"{count:,} known URLs, {pages:,} pages with {LINKS} links, half of them known"))
    print(
        f"\n{'':<10}{'load':>9}{'known MiB':>12}{'process MiB':>13}{'peak MiB':>10}{'checks/s':>11}{'us each':>9}{'slowest page':>14}"
    )
    for name in ("memory", "--job"):
        with TemporaryDirectory() as temporary:
            folder = ""
            if name == "--job":
                folder = str(Path(temporary, "job"))
                # In a child of its own: a process is never reported smaller than the one that started it.
                code = f"import bench_known, pathlib; bench_known.fill(pathlib.Path({folder!r}), {count})"
                subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, check=True)
            arguments = ["--known", str(count), "--pages", str(pages), "--child", folder]
            command = [sys.executable, __file__, *arguments]
            words = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True).stdout
        took = json.loads(words)
        rate = pages * LINKS / took["seconds"]
        print(
            f"{name:<10}{took['loaded']:>7.1f} s{took['growth']:>12.0f}{took['resident']:>13.0f}{took['peak']:>10.0f}"
            f"{rate:>11,.0f}{1e6 / rate:>9.1f}{took['slowest'] * 1e3:>11.1f} ms",
            flush=True,
        )


if __name__ == "__main__":
    main()
