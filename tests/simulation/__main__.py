"""`python -m tests.simulation SEED` shows the events of one seed; `--seeds A-B` runs many and counts.

With `--clusters` these are whole clusters: see cluster/.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "support"))  # as for pytest

from .cluster.living import live as live_cluster
from .cluster.world import make_cluster
from .lives import live
from .promises import Broken
from .world import make_world


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seed", type=int, nargs="?", help="show what happens in this world")
    parser.add_argument("--seeds", metavar="A-B", help="run the worlds from A to B")
    parser.add_argument("--clusters", action="store_true", help="worlds with several nodes and a store that they share")
    parser.add_argument("--digests", action="store_true", help="print the digest of each world's events")
    arguments = parser.parse_args()
    if arguments.seeds is None:
        if arguments.seed is None:
            parser.error("a SEED, or --seeds A-B")
        return _show(arguments.seed, clusters=arguments.clusters)
    first, _, last = arguments.seeds.partition("-")
    return _count(int(first), int(last or first), digests=arguments.digests, clusters=arguments.clusters)


def _show(seed: int, *, clusters: bool) -> int:
    world = make_cluster(seed).world if clusters else make_world(seed)
    ends: Any = make_cluster(seed).events if clusters else world.ends
    print(f"seed {seed}: {world.name}, {len(world.hosts)} hosts, {len(world.inputs)} inputs, ends {ends}")
    print(world.options)
    story: Any
    try:
        story = (live_cluster if clusters else live)(seed, show=print)
    except Broken as error:
        print(f"\nBROKEN: {error}")
        return 1
    print(f"{len(story.records)} records, {story.seconds:,.1f} virtual seconds, digest {story.digest}")
    return 0


def _count(first: int, last: int, *, digests: bool, clusters: bool) -> int:
    began = time.process_time()
    totals: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()
    broken = []
    story: Any
    for seed in range(first, last + 1):
        try:
            story = (live_cluster if clusters else live)(seed)
        except Broken as error:
            broken.append(seed)
            print(error, file=sys.stderr)
            continue
        totals["worlds"] += 1
        totals[story.world.name] += 1
        totals["nodes" if clusters else "lives"] += story.nodes if clusters else story.lives
        totals["records"] += len(story.records)
        totals["events"] += len(story.events)
        totals["requests"] += sum(" asked " in event for event in story.events)
        totals["virtual hours"] += round(story.seconds)
        totals.update(story.ways)
        outcomes.update((record.error and record.error.code) or str(record.status) for record in story.records)
        if digests:
            print(seed, story.digest)
    totals["virtual hours"] //= 3600
    seconds = time.process_time() - began
    if not digests:
        print(", ".join(f"{count:,} {name}" for name, count in totals.items()))
        print(", ".join(f"{name} {count:,}" for name, count in outcomes.most_common()))
        print(
            f"{seconds:.1f} s of CPU, {1000 * seconds / (last - first + 1):.1f} ms a seed; broken: {broken or 'none'}"
        )
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
