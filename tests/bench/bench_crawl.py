"""How fast a site is crawled: `python -m crawler -r` against nginx (or the built-in site), with and without --job.

The sites are 2,000 small pages and, where Debian's python3.11-doc is installed and nginx too, the Python documentation.
Each run is a whole process, and all contenders take turns; quote ratios of one run rather than single times.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from measure import PAGES, Cost, about, best_and_median, crawl, run, servers
from peers import AT_ONCE, CRAWLERS, missing
from servers import DOCS

OURS, WITH_JOB = "crawler", "crawler --job"


def commands(peers: list[str], start: str, output: Path, job: Path) -> dict[str, list[str]]:
    ours = crawl("-r", start, "-c", AT_ONCE, "--per-host", AT_ONCE, "--delay", 0, "--no-robots", "-q")
    table = {OURS: [*ours, "-o", str(output)], WITH_JOB: [*ours, "-o", str(output), "--job", str(job)]}
    for peer in peers:
        script = Path(__file__).with_name("peers.py")
        table[peer] = [sys.executable, "-W", "ignore", str(script), peer, start, str(output)]
    return table


def measure(name: str, start: str, expected: int | None, options: argparse.Namespace, folder: Path) -> None:
    output, job = folder / "pages.jsonl", folder / "job"
    contenders = commands(options.peer, start, output, job)
    costs: dict[str, list[Cost]] = {contender: [] for contender in contenders}
    found: dict[str, set[int]] = {contender: set() for contender in contenders}
    for number in range(options.rounds + 1):
        for contender, command in contenders.items():
            output.unlink(missing_ok=True)
            shutil.rmtree(job, ignore_errors=True)
            cost = run(command, {})
            with output.open("rb") as lines:
                found[contender].add(sum(1 for _ in lines))
            if number:  # the first round is the warm-up
                costs[contender].append(cost)
    if len(found[OURS] | found[WITH_JOB]) > 1 or (expected is not None and found[OURS] != {expected}):
        raise SystemExit(f"not every page has its record: {found}")  # fast and wrong does not count
    head = f"{name:<24}{'records':>9}{'median s':>10}{'CPU s':>8}{'peak MiB':>10}{'crawler is':>12}"
    print(f"\n{head}")
    _, ours = best_and_median([cost.wall for cost in costs[OURS]])
    for contender, taken in costs.items():
        _, median = best_and_median([cost.wall for cost in taken])
        _, cpu = best_and_median([cost.cpu for cost in taken])
        peak = max(cost.peak for cost in taken)
        ratio = "" if contender == OURS else f"{median / ours:.2f} x"
        records = ", ".join(map(str, sorted(found[contender])))
        print(f"{contender:<24}{records:>9}{median:>10.2f}{cpu:>8.2f}{peak:>10.0f}{ratio:>12}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--rounds", type=int, default=5, help="measured rounds, after one more as a warm-up (default: 5)"
    )
    parser.add_argument(
        "--peer", action="append", default=[], choices=CRAWLERS, help="measure this one too, if it is installed"
    )
    options = parser.parse_args()
    for peer in options.peer:
        if lacking := missing(peer):
            parser.error(f"--peer {peer} needs {lacking}")
    print(about(f"whole sites, {AT_ONCE} at once, no delay; {options.rounds} rounds after a warm-up"))
    with servers() as running, TemporaryDirectory() as folder:
        server = "nginx" if "nginx" in running.urls else "site"
        base = running.urls[server]
        measure(f"{PAGES:,} small pages", f"{base}/p/0.html", PAGES, options, Path(folder))
        if server == "nginx" and DOCS.is_dir():
            measure("Python documentation", f"{base}/docs/index.html", None, options, Path(folder))


if __name__ == "__main__":
    main()
