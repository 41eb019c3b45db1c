"""How fast a list is fetched: `python -m crawler urls.txt` against the built-in site and nginx, over http and https.

Each run is a whole process, its start included. All contenders take turns, so that what else the machine does hits them
alike; still, quote ratios of one run rather than single times.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from measure import PAGES, Cost, Servers, about, best_and_median, crawl, run, servers
from peers import AT_ONCE, PEERS, missing

NAMES = {
    "site": "built-in site, http",
    "site-tls": "built-in site, https",
    "nginx": "nginx, http",
    "nginx-tls": "nginx, https",
    "nginx-h2": "nginx, https or h2",
}
OURS = "crawler"
OVER_HTTP2 = "crawler --http2"


def commands(peers: list[str], urls: Path, output: Path, authority: str) -> dict[str, list[str]]:
    """The contenders. All but curl write one line for each URL."""
    table = {OURS: crawl(urls, "-c", AT_ONCE, "--per-host", AT_ONCE, "--quiet", "-O", output)}
    for peer in peers:
        if peer in PEERS:
            script = Path(__file__).with_name("peers.py")
            table[peer] = [sys.executable, "-W", "ignore", str(script), peer, str(urls), str(output)]
        else:
            config = urls.with_suffix(".curl")
            config.write_text("".join(f'url = "{url}"\noutput = /dev/null\n' for url in urls.read_text().split()))
            options = ["--parallel", "--parallel-max", str(AT_ONCE), "--cacert", authority, "--config", str(config)]
            table[peer] = ["curl", "--silent", "--fail", *options]
    return table


def measure(name: str, base: str, running: Servers, options: argparse.Namespace, folder: Path) -> None:
    urls, output = folder / "urls.txt", folder / "records.jsonl"
    urls.write_text("".join(f"{base}/p/{n % PAGES}.html?{n // PAGES}\n" for n in range(options.urls)))
    contenders = commands(options.peer, urls, output, running.authority)
    if name == "nginx-h2":
        contenders[OVER_HTTP2] = [*contenders[OURS], "--http2"]
    costs: dict[str, list[Cost]] = {contender: [] for contender in contenders}
    for number in range(options.rounds + 1):
        for contender, command in contenders.items():
            output.unlink(missing_ok=True)
            cost = run(command, running.environment)
            check(contender, output, options.urls)
            if number:  # the first round is the warm-up
                costs[contender].append(cost)
    report(name, costs, options.urls)


def check(contender: str, output: Path, urls: int) -> None:
    """Fast and wrong does not count."""
    if contender == "curl":
        return
    with output.open("rb") as lines:
        good = sum(b'"status":200' in line for line in lines)
    if good != urls:
        raise SystemExit(f"{contender}: {good} of {urls} answers were good")


def report(name: str, costs: Mapping[str, list[Cost]], urls: int) -> None:
    head = f"{NAMES[name]:<24}{'URLs/s: best':>14}{'median':>9}{'CPU s':>8}{'peak MiB':>10}{'crawler is':>12}"
    print(f"\n{head}")
    _, ours = best_and_median([cost.wall for cost in costs[OURS]])
    for contender, taken in costs.items():
        best, median = best_and_median([cost.wall for cost in taken])
        _, cpu = best_and_median([cost.cpu for cost in taken])
        peak = max(cost.peak for cost in taken)
        ratio = "" if contender == OURS else f"{median / ours:.2f} x"
        print(
            f"{contender:<24}{urls / best:>14,.0f}{urls / median:>9,.0f}{cpu:>8.2f}{peak:>10.0f}{ratio:>12}", flush=True
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", "--urls", type=int, default=20_000, help="length of the list (default: 20000)")
    parser.add_argument(
        "--rounds", type=int, default=5, help="measured rounds, after one more as a warm-up (default: 5)"
    )
    parser.add_argument("--server", action="append", choices=NAMES, help="only this server (repeatable; default: all)")
    parser.add_argument(
        "--peer",
        action="append",
        default=[],
        choices=[*PEERS, "curl"],
        help="measure this client too, if it is installed (repeatable)",
    )
    options = parser.parse_args()
    for peer in options.peer:
        if lacking := missing(peer):
            parser.error(f"--peer {peer} needs {lacking}")
    print(about(f"{options.urls:,} URLs, pages of 1.1 kB, {AT_ONCE} at once; {options.rounds} rounds after a warm-up"))
    with servers() as running, TemporaryDirectory() as folder:
        for name, base in running.urls.items():
            if not options.server or name in options.server:
                measure(name, base, running, options, Path(folder))


if __name__ == "__main__":
    main()
