"""One large file from nginx into a file: `crawler --bodies` and `curl -o` in turns. Time, CPU and memory of each.

The file on the server is sparse, so that its disk is not measured; what is written is real. crawler hashes it, too.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from measure import MIB, ROOT, Cost, about, crawl, run

sys.path.insert(0, str(ROOT / "tests" / "support"))

from real_peers import nginx

NOTHING = 1  # bytes of the file that shows what a start takes


def contenders(folder: Path, url: str) -> Iterator[tuple[str, list[str]]]:
    yield "curl -o", ["curl", "--silent", "--fail", "-o", str(folder / "curl.bin"), url]
    yield (
        "crawler --bodies",
        crawl("-q", url, "--bodies", folder / "bodies", "--bodies-as", "url", "-O", folder / "out"),
    )


def measured(folder: Path, url: str, rounds: int) -> dict[str, list[Cost]]:
    """What each took in each round; in turns, for other work on the machine comes and goes."""
    costs: dict[str, list[Cost]] = {}
    for _ in range(rounds):
        for name, command in contenders(folder, url):
            costs.setdefault(name, []).append(run(command, os.environ))
    return costs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=1024, help="size of the file in MiB (default: 1024)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is run (default: 3)")
    options = parser.parse_args()
    print(about(f"a file of {options.mib} MiB, {options.rounds} times each"))
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "server").mkdir()
        with nginx(folder / "server") as server:
            for file, size in (("large.iso", options.mib * MIB), ("small.iso", NOTHING)):
                with (folder / "server" / "www" / file).open("wb") as sparse:
                    sparse.truncate(size)
            large = measured(folder, server.url("/large.iso"), options.rounds)
            small = measured(folder, server.url("/small.iso"), 1)
    print(f"{options.mib} MiB               best s  median s   CPU s  peak MiB  over a byte")
    for contender, costs in large.items():
        walls = [cost.wall for cost in costs]
        peak, base = max(cost.peak for cost in costs), small[contender][0].peak
        print(
            f"{contender:<18}{min(walls):>9.2f}{statistics.median(walls):>10.2f}"
            f"{min(cost.cpu for cost in costs):>8.2f}{peak:>10.1f}{peak - base:>12.1f}"
        )


if __name__ == "__main__":
    main()
