"""`python -m tests.simulation SEED` shows the events of one seed; `--seeds A-B` runs many and counts."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from .lives import live
from .promises import Broken
from .world import make_world


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seed", type=int, nargs="?", help="show what happens in this world")
    parser.add_argument("--seeds", metavar="A-B", help="run the worlds from A to B")
    parser.add_argument("--digests", action="store_true", help="print the digest of each world's events")
    arguments = parser.parse_args()
    if arguments.seeds is None:
        if arguments.seed is None:
            parser.error("a SEED, or --seeds A-B")
        return _show(arguments.seed)
    first, _, last = arguments.seeds.partition("-")
    return _count(int(first), int(last or first), digests=arguments.digests)


def _show(seed: int) -> int:
    world = make_world(seed)
    print(f"seed {seed}: {world.name}, {len(world.hosts)} hosts, {len(world.inputs)} inputs, ends {world.ends}")
    print(world.options)
    try:
        story = live(seed, show=print)
    except Broken as error:
        print(f"\nBROKEN: {error}")
        return 1
    print(f"{len(story.records)} records, {story.seconds:,.1f} virtual seconds, digest {story.digest}")
    return 0


def _count(first: int, last: int, *, digests: bool) -> int:
    began = time.monotonic()
    totals: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()
    broken = []
    for seed in range(first, last + 1):
        try:
            story = live(seed)
        except Broken as error:
            broken.append(seed)
            print(error, file=sys.stderr)
            continue
        totals["worlds"] += 1
        totals[story.world.name] += 1
        totals["lives"] += story.lives
        totals["records"] += len(story.records)
        totals["events"] += len(story.events)
        totals["requests"] += sum(" asked " in event for event in story.events)
        totals["virtual hours"] += round(story.seconds)
        totals.update(story.ways)
        outcomes.update((record.error and record.error.code) or str(record.status) for record in story.records)
        if digests:
            print(seed, story.digest)
    totals["virtual hours"] //= 3600
    seconds = time.monotonic() - began
    if not digests:
        print(", ".join(f"{count:,} {name}" for name, count in totals.items()))
        print(", ".join(f"{name} {count:,}" for name, count in outcomes.most_common()))
        print(f"{seconds:.1f} s, {1000 * seconds / (last - first + 1):.1f} ms a seed; broken: {broken or 'none'}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
