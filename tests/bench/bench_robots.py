"""robots.txt and sitemaps that were made to hurt: seconds and memory to read them, microseconds to decide a URL.

Half a megabyte of rules in each shape of tests/test_robots_match.py, ten megabytes of sitemap in each shape below. CPU
time, the best of some rounds, since the machine may be busy elsewhere; memory is the peak that tracemalloc sees.
"""

from __future__ import annotations

import argparse
import gzip
import sys
import time
import tracemalloc
from collections.abc import Callable, Generator
from functools import partial

from measure import MIB, ROOT, about

sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT / "tests" / "robots"))

from test_robots_match import HOSTILE, URLS, TestTooMany

from crawler.robots.rules import parse, read
from crawler.seeds.sitemaps import parse as parse_sitemap

SIZE = 10 * MIB


def filled(unit: bytes, before: bytes = b"<urlset>") -> bytes:
    return before + unit * ((SIZE - len(before)) // len(unit))


GBK = b"<?xml version='1.0' encoding='gbk'?><urlset>"
SITEMAPS = {
    "pages": filled(b"<url><loc>http://a.example/some/page.html</loc></url>"),
    "entries of nothing": filled(b"<url><loc/></url>"),
    "elements": filled(b"<loc/>"),
    "ampersands": filled(b"&"),
    "attributes": filled(b"<a b='' c='' d='' e=''/>"),
    "in GBK": filled(b"<url><loc>\xc4\xe3</loc></url>", GBK),
    "text": filled(b"http://a.example/\n", b""),
    "lines of nothing": filled(b"\r", b"http://a.example/"),
    "packed": gzip.compress(filled(b"<url><loc/></url>")),
}


def cpu(task: Callable[[], object], rounds: int) -> float:
    best = float("inf")
    for _ in range(rounds):
        started = time.process_time()
        task()
        best = min(best, time.process_time() - started)
    return best


def peak(task: Callable[[], object]) -> float:
    tracemalloc.start()
    try:
        task()
        return tracemalloc.get_traced_memory()[1] / MIB
    finally:
        tracemalloc.stop()


def longest_step(steps: Generator[None, None, object]) -> float:
    longest = 0.0
    while True:
        started = time.process_time()
        try:
            next(steps)
        except StopIteration:
            return max(longest, time.process_time() - started)
        longest = max(longest, time.process_time() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="of which the best counts (default: 3)")
    parser.add_argument("--no-memory", action="store_true", help="leave out the memory, which takes most of the time")
    options = parser.parse_args()
    print(about(f"the best of {options.rounds} rounds; CPU time"))
    print(f"\n{'robots.txt, 500 KiB':<36}{'read, ms':>10}{'longest step':>14}{'peak, MiB':>11}{'decide, us':>12}")
    shapes = {**HOSTILE, "nearly matching": "\n".join(["user-agent: *", *TestTooMany.NEARLY]).encode()}
    for name, body in shapes.items():
        seconds = cpu(partial(parse, body, "x"), options.rounds)
        step = min(longest_step(read(body, "x")) for _ in range(options.rounds))
        memory = 0.0 if options.no_memory else peak(partial(parse, body, "x"))
        rules = parse(body, "x")
        urls = (*URLS, TestTooMany.TARGET)
        slowest = max(cpu(partial(rules.decide, url), options.rounds) for url in urls)
        print(f"{name:<36}{seconds * 1e3:>10.1f}{step * 1e3:>14.1f}{memory:>11.1f}{slowest * 1e6:>12.0f}", flush=True)
    print(f"\n{'sitemap, 10 MiB':<36}{'read, s':>10}{'peak, MiB':>11}{'entries':>9}  ends with")
    for name, body in SITEMAPS.items():
        found = parse_sitemap(body)
        seconds = cpu(partial(parse_sitemap, body), options.rounds)
        memory = 0.0 if options.no_memory else peak(partial(parse_sitemap, body))
        end = found.error or ", ".join(found.warnings)
        print(f"{name:<36}{seconds:>10.2f}{memory:>11.1f}{len(found.urls):>9,}  {str(end)[:60]}", flush=True)


if __name__ == "__main__":
    main()
