"""What a run's other ways cost: `--since` where nothing has changed beside a plain run, tables beside JSON Lines, and an
archive as well as them.

Whole processes in turns, from nginx, whose files have ETags; the start of a process, with one URL, is taken off the CPU,
which decides about speed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from measure import Cost, about, crawl, run, servers
from real_peers import nginx

FLAGS = ("-c", 32, "--per-host", 32, "--delay", 0, "--quiet")
PAGES = 2_000
Command = Sequence[object]
TABLES = ("jsonl", "parquet", "sqlite", "duckdb")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--urls", type=int, default=5_000)
    parser.add_argument("--size", type=int, default=1_000, help="bytes of each file of the list")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=("since", "tables", "archive"))
    options = parser.parse_args()
    print(about(f"{options.urls:,} URLs, and a crawl of {PAGES:,} pages; {options.rounds} rounds, a warm-up before"))
    with TemporaryDirectory() as name:
        folder = Path(name)
        if options.only in {None, "since"}:
            since(folder, options.urls, options.size, options.rounds)
        if options.only in {None, "tables"}:
            tables(folder, options.rounds)
        if options.only in {None, "archive"}:
            archive(folder, options.rounds)


def since(folder: Path, count: int, size: int, rounds: int) -> None:
    """A list of files of this size, plainly and with what the plain run knows of them."""
    www = folder / "www"
    www.mkdir()
    for number in range(count):
        (www / f"{number}.html").write_text(f"<title>{number}</title>".ljust(size))
    before, after = folder / "before.jsonl", folder / "after.jsonl"
    with nginx(folder, "location / { root www; }") as server:
        urls, start = folder / "urls.txt", folder / "start.txt"
        urls.write_text("".join(f"{server.url(f'/{number}.html')}\n" for number in range(count)))
        start.write_text(f"{server.url('/0.html')}\n")
        known = folder / "known.jsonl"
        run(crawl(*commands_of(start, known)), dict(os.environ))
        costs = measured(
            {
                "plain": (commands_of(start, folder / "start.jsonl"), commands_of(urls, before)),
                "--since": (
                    [*commands_of(start, folder / "start.jsonl"), "--since", known],
                    [*commands_of(urls, after), "--since", before],
                ),
            },
            rounds,
        )
    found = Counter(json.loads(line)["outcome"] for line in after.read_bytes().splitlines())
    if found != {"unchanged": count}:
        raise SystemExit(f"--since: {found}")
    told(f"{count:,} x {size:,} B, unchanged", costs, count)


def tables(folder: Path, rounds: int) -> None:
    """A crawl of the small pages of the built-in site, with one output."""
    with servers() as web:
        url = f"{web.urls['site']}/p/0.html"
        ways: dict[str, tuple[Command, Command]] = {}
        for suffix in TABLES:
            command = commands_of(url, folder / f"out.{suffix}")
            ways[suffix] = (command, [*command, "--recursive"])
        costs = measured(ways, rounds)
    lines = (folder / "out.jsonl").read_bytes().count(b"\n")
    if lines < PAGES:
        raise SystemExit(f"the crawl has {lines:,} records")
    told(f"{lines:,} pages of a crawl", costs, lines)


def archive(folder: Path, rounds: int) -> None:
    """That crawl with JSON Lines, and with an archive beside these."""
    output, kept = folder / "out.jsonl", folder / "out.warc.gz"
    with servers() as web:
        command = commands_of(f"{web.urls['site']}/p/0.html", output)
        both = [*command, "-O", kept]
        costs = measured(
            {"jsonl": (command, [*command, "--recursive"]), "jsonl, warc.gz": (both, [*both, "--recursive"])}, rounds
        )
    lines = output.read_bytes().count(b"\n")
    captures = kept.with_name("out.cdxj").read_bytes().count(b"\n")
    if min(lines, captures) < PAGES:
        raise SystemExit(f"the crawl has {lines:,} records, its archive {captures:,}")
    told(f"{lines:,} pages of a crawl", costs, lines)


def commands_of(inputs: object, output: Path) -> list[object]:
    return [inputs, *FLAGS, "-O", output]


def measured(ways: Mapping[str, tuple[Command, Command]], rounds: int) -> dict[str, tuple[list[Cost], list[Cost]]]:
    """What each costs with one URL, and as a whole."""
    costs: dict[str, tuple[list[Cost], list[Cost]]] = {way: ([], []) for way in ways}
    for number in range(rounds + 1):
        for way, commands in ways.items():
            for arguments, found in zip(commands, costs[way], strict=True):
                cost = run(crawl(*arguments), dict(os.environ))
                if number:
                    found.append(cost)
    return costs


def told(title: str, costs: dict[str, tuple[list[Cost], list[Cost]]], count: int) -> None:
    """A line for each way; the first is what the others are compared with."""
    print(f"\n{title:<24} best s  median s   us a URL  peak MiB  speed")
    first = None
    for way, (starts, wholes) in costs.items():
        walls = [cost.wall for cost in wholes]
        cpu = (min(cost.cpu for cost in wholes) - min(cost.cpu for cost in starts)) / count * 1e6
        first = first or cpu
        peak = max(cost.peak for cost in wholes)
        print(
            f"{way:<24} {min(walls):6.2f} {statistics.median(walls):9.2f} {cpu:10.0f} {peak:9.1f}  {first / cpu:.2f} x"
        )


if __name__ == "__main__":
    main()
