"""A crawl of many hosts at once, each with its own delay: pages per second, and what the hosts' own log says of manners.

Each host is an address of 127.0.0.0/8 with robots.txt and three pages, all on one port of one server process. Linux only.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from measure import about, crawl, run

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from wide_server import PAGES, distances, wide_server


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, default=10_000, help="how many (default: 10000)")
    parser.add_argument("--delay", type=float, default=1.0, help="seconds between two requests to one (default: 1)")
    parser.add_argument("--concurrency", type=int, default=256, help="of the crawl (default: 256)")
    options = parser.parse_args()
    hosts, delay = options.hosts, options.delay
    print(about(f"{hosts:,} hosts, {delay:g} s between two requests, {options.concurrency} at once, robots.txt on"))
    with TemporaryDirectory() as name, wide_server(hosts) as web:
        seeds, output = Path(name, "seeds.txt"), Path(name, "records.jsonl")
        seeds.write_text("".join(f"{url}\n" for url in web.urls))
        arguments = (
            seeds,
            "-r",
            "-c",
            options.concurrency,
            "--per-host",
            2,
            "--delay",
            f"{delay}s",
            "-q",
            "-o",
            output,
        )
        cost = run(crawl(*arguments), {})
        log = web.stop()
        good = output.read_bytes().count(b'"status":200,')
    if good != hosts * len(PAGES):
        raise SystemExit(f"{good:,} of {hosts * len(PAGES):,} answers were good")
    apart = distances(log)
    span = log[-1].time - log[0].time
    robots = sum(hit.target == "/robots.txt" for hit in log)
    print(f"pages                 {good:,} in {cost.wall:.1f} s, {good / cost.wall:,.0f}/s")
    print(
        f"requests              {len(log):,} in {span:.1f} s, {len(log) / span:,.0f}/s; {robots:,} of them for robots.txt"
    )
    print(f"distance in seconds   least {apart[0]:.4f}, median {apart[len(apart) // 2]:.4f}")
    print(f"too soon              {sum(distance < delay for distance in apart):,} of {len(apart):,}")
    print(
        f"at once to one host   {max(hit.requests for hit in log)} requests, {max(hit.connections for hit in log)} connections"
    )
    print(
        f"cost                  {cost.cpu:.1f} s of CPU, {cost.cpu / len(log) * 1e6:.0f} us a request, {cost.peak:.0f} MiB at the peak"
    )


if __name__ == "__main__":
    main()
