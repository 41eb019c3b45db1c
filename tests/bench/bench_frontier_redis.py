"""A crawl over many machines, as its Redis sees it: processor and memory of the server for links, pages and hosts.

All is said by the real store to a real redis-server, which appends to its file. What counts is the server's own CPU time
(INFO cpu): the rate is what one core of it would serve. Links come in batches to one shard each; a round of pages is what
one node says in a second: links to all shards, then a commit to each, with as many new URLs as have ended.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from measure import ROOT, about

sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "tests" / "support"))

from redis_server import RedisServer, redis_server

from crawler.frontier.shared.contract import SHARDS, Arrival, Commit, Ended, Turn, shard_of
from crawler.frontier.shared.redis import RedisStore
from crawler.frontier.shared.redis.packing import numbers, packed_lists
from crawler.frontier.shared.redis.scripts import Script, Scripts

DATA = b'{"url":"https://www.example.org/articles/2021/a-page-with-a-name-%09d.html","depth":3,"via":%09d}'
FILL = """
local known = open_set('k', unpack(call('HMGET', BOOKS, 'known', 'known_buckets')))
local keys, marks = unpack(cmsgpack.unpack(ARGV[1]))
for i, key in ipairs(keys) do
    add(known, key, marks[i])
end
grow(known)
call('HSET', BOOKS, 'known', known.size, 'known_buckets', known.buckets)
"""


class Meter:
    """What the server used for something: its CPU, and this process's."""

    def __init__(self, server: RedisServer) -> None:
        self._client = server.client()

    def info(self, section: str) -> dict[str, Any]:
        return self._client.info(section)

    def cpu(self) -> float:
        used = self.info("cpu")
        return used["used_cpu_user"] + used["used_cpu_sys"]

    def memory(self) -> int:
        return self.info("memory")["used_memory"]

    def of(self, work: Callable[[], int]) -> tuple[float, float]:
        """Microseconds of the server and of this process for each of what `work` says it did."""
        server, own = self.cpu(), time.process_time()
        count = work()
        return (self.cpu() - server) / count * 1e6, (time.process_time() - own) / count * 1e6


def hosts_of(shard: int) -> Iterator[str]:
    names = (f"www.host-{number}.example:443" for number in range(10**9))
    return (name for name in names if shard_of(name) == shard)


def links(rng: random.Random, hosts: Sequence[str], count: int) -> list[Arrival]:
    return [
        Arrival(rng.choice(hosts), rng.randbytes(8), DATA % (rng.randrange(10**9), rng.randrange(10**9)))
        for _ in range(count)
    ]


def bench_links(store: RedisStore, meter: Meter, *, count: int, batch: int) -> None:
    rng = random.Random(1)
    hosts = list(islice(hosts_of(7), 200))
    batches = [links(rng, hosts, batch) for _ in range(count // batch)]

    def work() -> int:
        for each in batches:
            store.arrive(7, each)
        return batch * len(batches)

    for name in ("new", "known"):
        server, own = meter.of(work)
        print(f"{name + ' links':<14}{batch:>7}{server:>13.2f}{1e6 / server:>18,.0f}{own:>14.2f}", flush=True)


def bench_pages(store: RedisStore, meter: Meter, *, rounds: int, pages: int, width: int, new: int) -> None:
    """Each round: so many pages over all shards, each with `width` links, of which `new` are new."""
    rng = random.Random(2)
    hosts = {shard: list(islice(hosts_of(shard), 8)) for shard in range(SHARDS)}
    known: list[tuple[int, Arrival]] = []
    for shard in range(SHARDS):
        first = links(rng, hosts[shard], 400)
        store.arrive(shard, first)
        known += [(shard, each) for each in first]
    leases = {shard: store.claim(shard, "node", 8, 10, 1_000.0) for shard in range(SHARDS)}
    queued = {
        (shard, lease.host): (lease.token, list(lease.entries)) for shard in range(SHARDS) for lease in leases[shard]
    }
    numbers_of = dict.fromkeys(range(SHARDS), 0)
    plans = []
    for _ in range(rounds):
        by_shard: dict[int, list[Arrival]] = {shard: [] for shard in range(SHARDS)}
        for _ in range(pages):
            for shard, arrival in rng.choices(known, k=width - new):
                by_shard[shard].append(arrival)
            for _ in range(new):
                shard = rng.randrange(SHARDS)
                by_shard[shard] += links(rng, hosts[shard], 1)
        plans.append(by_shard)

    def work() -> int:
        done = 0
        for by_shard in plans:
            for shard, arrivals in by_shard.items():
                store.arrive(shard, arrivals)
            for shard in range(SHARDS):
                turns = []
                for lease in leases[shard][: max(1, 8 * pages // (SHARDS * 8) + 1)]:
                    token, entries = queued[shard, lease.host]
                    ended = [Ended(entry.id, "ok") for entry in entries[:1]]
                    del entries[:1]
                    done += len(ended)
                    turns.append(Turn(lease.host, token, ended=ended, pages=len(ended), wants=1))
                leases[shard] = leases[shard][len(turns) :] + leases[shard][: len(turns)]
                numbers_of[shard] += 1
                answer = store.commit(shard, Commit("part", numbers_of[shard], 0, 0, turns, "node"))
                for host, entries in answer.more.items():
                    queued[shard, host][1].extend(entries)
        return done

    server, own = meter.of(work)
    per_commit = pages / SHARDS
    print(f"{f'pages of {width}':<14}{per_commit:>7.1f}{server:>13.2f}{1e6 / server:>18,.0f}{own:>14.2f}", flush=True)


def bench_known(store: RedisStore, meter: Meter, *, sizes: Sequence[int]) -> None:
    """Known URLs alone, in all shards: how much memory each takes."""
    scripts = Scripts(head=1_000, piece=1_000)
    text = scripts["known"].text.decode().split("-- needs: keys sets\n")[0] + FILL
    fill = Script(text.encode(), "0" * 40)
    rng = random.Random(3)
    empty, done = meter.memory(), 0
    print(f"\n{'known URLs':>14}{'MiB':>9}{'bytes each':>12}{'since the last':>16}{'us each':>9}")
    last = last_used = 0
    for size in sizes:
        cpu = meter.cpu()
        while done < size:
            many = min(1_000, -(-(size - done) // SHARDS))
            for shard in range(SHARDS):
                keys = rng.randbytes(8 * many)
                packed = packed_lists(*numbers([keys[at : at + 8] for at in range(0, len(keys), 8)]))
                store._server.call(fill, store._shards[shard], packed)
                done += many
        used, cpu = meter.memory() - empty, (meter.cpu() - cpu) / (done - last) * 1e6
        slope = (used - last_used) / (done - last)
        print(f"{done:>14,}{used / 2**20:>9.1f}{used / done:>12.2f}{slope:>16.2f}{cpu:>9.2f}", flush=True)
        last, last_used = done, used


def bench_hosts(store: RedisStore, meter: Meter, *, count: int) -> None:
    """Hosts with one URL each, which is all that is known of them; then each is claimed and left with a state."""
    empty = meter.memory()
    by_shard: dict[int, list[Arrival]] = {shard: [] for shard in range(SHARDS)}
    rng = random.Random(4)
    for number in range(count):
        host = f"www.host-{number}.example:443"
        by_shard[shard_of(host)] += links(rng, [host], 1)
    server, _ = meter.of(lambda: sum(store.arrive(shard, arrivals) for shard, arrivals in by_shard.items()))
    data = len(DATA % (0, 0))
    used = (meter.memory() - empty) / count
    print(f"\nhosts with one URL: {count:,}, {used:.0f} bytes each, {data} of them the URL's; {server:.1f} us each")

    def ended() -> int:
        done = 0
        for shard in range(SHARDS):
            leases = store.claim(shard, "node", 10_000, 10, 1_000.0)
            for start in range(0, len(leases), 200):
                turns = [
                    Turn(
                        lease.host,
                        lease.token,
                        ended=[Ended(lease.entries[0].id, "ok")],
                        release=True,
                        state=b"s" * 40,
                        delay=1.0,
                        wait=1.0,
                    )
                    for lease in leases[start : start + 200]
                ]
                answer = store.commit(shard, Commit("part", 1 + start // 200, 0, 0, turns, "node"))
                assert not (answer.lost or answer.forgotten)
                done += len(turns)
        return done

    server, _ = meter.of(ended)
    used = (meter.memory() - empty) / count
    print(f"ended, with 40 bytes of state: {used:.0f} bytes each; {server:.1f} us each", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--links", type=int, default=120_000, help="links that come (default: 120000)")
    parser.add_argument("--batch", type=int, default=300, help="links at once to a shard (default: 300)")
    parser.add_argument("--pages", type=int, default=1_000, help="pages of a round (default: 1000)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of pages (default: 3)")
    parser.add_argument("--width", type=int, default=62, help="links of a page (default: 62)")
    parser.add_argument("--new", type=int, default=2, help="of these, how many are new (default: 2)")
    parser.add_argument("--hosts", type=int, default=100_000, help="hosts with one URL (default: 100000)")
    parser.add_argument(
        "--known", type=int, nargs="*", default=[1_000_000, 2_000_000], help="known URLs (default: 1000000 2000000)"
    )
    options = parser.parse_args()
    print(about(f"links in batches of {options.batch}, pages of {options.width} links"))

    def run(bench: Callable[[RedisStore, Meter], None], *settings: str) -> None:
        with TemporaryDirectory() as folder, redis_server(Path(folder), *settings) as server:
            store = RedisStore(server.url, "bench")
            store.open("{}")
            bench(store, Meter(server))
            store.close()

    print(f"\n{'':<14}{'batch':>7}{'us of Redis':>13}{'a second, 1 core':>18}{'us of a node':>14}")
    run(lambda store, meter: bench_links(store, meter, count=options.links, batch=options.batch))
    run(
        lambda store, meter: bench_pages(
            store, meter, rounds=options.rounds, pages=options.pages, width=options.width, new=options.new
        )
    )
    run(lambda store, meter: bench_hosts(store, meter, count=options.hosts), "--appendonly", "no")
    run(lambda store, meter: bench_known(store, meter, sizes=options.known), "--appendonly", "no")


if __name__ == "__main__":
    main()
