"""What a POST of 1 kB costs beside a GET: CPU of `python -m crawler urls.txt` against nginx, in turns; needs nginx."""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from measure import about, crawl, run
from real_peers import nginx

KINDS = {"GET": [], "POST, 1 kB": ["--data", "x" * 1000], "POST, 1 kB file": ["--data", "@body"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--urls", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(
        about(f"{options.urls:,} URLs, {options.rounds} rounds, a warm-up before; CPU of the process without its start")
    )
    with TemporaryDirectory() as name:
        folder = Path(name)
        with nginx(folder, "location / { return 200 hello; }") as server:
            measure(options, folder, server.url("/p"))


def measure(options: argparse.Namespace, folder: Path, base: str) -> None:
    urls, start, body = folder / "urls.txt", folder / "start.txt", folder / "body"
    urls.write_text("".join(f"{base}/{number}\n" for number in range(options.urls)))
    start.write_text(f"{base}\n")
    body.write_bytes(b"x" * 1000)
    costs: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for number in range(options.rounds + 1):
        for kind, flags in KINDS.items():
            asked = [flag.replace("@body", f"@{body}") for flag in flags]
            cpu = {}
            for inputs in (start, urls):
                command = crawl(inputs, "-c", 32, "--per-host", 32, "--quiet", "-O", folder / "out.jsonl", *asked)
                cpu[inputs] = run(command, dict(os.environ)).cpu
            if number:
                costs[kind].append((cpu[urls] - cpu[start]) / (options.urls - 1) * 1e6)
    least = min(costs["GET"])
    for kind, values in costs.items():
        print(
            f"{kind:<16} {min(values):4.0f} us a URL, median {statistics.median(values):4.0f}, {min(values) / least:.2f} x GET"
        )


if __name__ == "__main__":
    main()
