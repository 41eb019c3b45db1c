"""A whole cluster that gets killed at work: `python tests/support/killed_cluster.py --kills 200 [--procs 2]`.

With --alone two of three nodes are killed, and the third has to do all; it is told in words.

Nodes of one crawl over a real Redis, and a site over many hosts whose pages and redirects lead from host to host. A
node, a worker of one (--procs), or Redis is killed (-9) each time that so many more records are there; a node is
replaced at once, and Redis comes again. Then the records are collected and compared with what the site holds, and the
server's own log is read: how far two requests to a host were apart, and how many it had at once, whoever made them.
Prints what died, what is wrong, and the books, as JSON; exits with 1 when something is wrong. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from redis_server import RedisServer, free_ports, redis_server
from wide_server import Hit, Wide, by_host, distances, wide_server

from crawler.cluster.shared.collecting import Collected, collect
from crawler.config.config import Config
from crawler.frontier.shared.redis import RedisStore
from crawler.run.composition import Crawler
from crawler.run.reactors import private_reactor, run

HOSTS = 12
DELAY = 0.05
JITTER = 0.012  # the kernel tells when a request came in its ticks of 4 ms
TTL = 1.5  # a lease, in seconds: hosts of a node that was killed wait so long
NODES = 3
CRAWL = "killed"
LOOK = 0.02  # so often, in seconds, what is there is counted
PATIENCE = 120.0  # seconds without a record


class Nodes:
    """The processes that work on the crawl. Those that end by themselves must do so without an error.

    `replaces` says whether there comes another one for each that is killed.
    """

    def __init__(self, options: dict[str, object], log: Path, *, replaces: bool) -> None:
        self.replaces = replaces
        self.pids: list[int] = []
        self._options = options
        self._log = log

    def begin(self) -> None:
        pid = os.fork()
        if pid:
            self.pids.append(pid)
            return
        try:
            fd = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(fd, 1)
            os.dup2(fd, 2)
            self._live()
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)

    def _live(self) -> None:
        with private_reactor() as (reactor, dial):
            crawler = Crawler(Config.build(**self._options), reactor=reactor, dial=dial)
            run(reactor, crawler.run)

    def ended(self) -> list[int]:
        """The exit codes of those that have ended since this was asked last."""
        codes = []
        for pid in list(self.pids):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                self.pids.remove(pid)
                codes.append(os.waitstatus_to_exitcode(status))
        return codes

    def kill(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        self.pids.remove(pid)

    def kill_all(self) -> None:
        for pid in list(self.pids):
            self.kill(pid)


def workers_of(pid: int) -> list[int]:
    """The processes that a node has begun."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


class Written:
    """How many records there are in parts, committed or not."""

    def __init__(self, folder: Path, names: str = "*.jsonl") -> None:
        self._folder = folder
        self._names = names
        self._read: dict[Path, tuple[int, int]] = {}  # bytes, lines

    def count(self) -> int:
        for path in self._folder.glob(f"parts/{self._names}"):
            size, lines = self._read.get(path, (0, 0))
            with path.open("rb") as part:
                part.seek(size)
                data = part.read()
            self._read[path] = (size + len(data), lines + data.count(b"\n"))
        return sum(lines for _, lines in self._read.values())


def expected(bases: list[str], pages: int) -> Counter[tuple[str, str]]:
    """Each page of each host; what robots.txt denies has no record."""
    return Counter((f"{base}{page}.html" if page else base, "200") for base in bases for page in range(pages))


def killing(cluster: Nodes, redis: RedisServer, victim: str, rng: random.Random) -> bool:
    """Kill one. False if there is none."""
    if victim == "redis":
        redis.kill()
        time.sleep(rng.choice((0.0, 0.3)))
        redis.start()
        return True
    if not cluster.pids:
        return False
    pid = rng.choice(cluster.pids)
    if victim == "node":
        cluster.kill(pid)
        if cluster.replaces:
            cluster.begin()
        return True
    workers = workers_of(pid)
    if workers:
        os.kill(rng.choice(workers), signal.SIGKILL)
    return bool(workers)


def live(
    cluster: Nodes, redis: RedisServer, written: Written, seed: int, kills: int, total: int, victims: list[str]
) -> Iterator[tuple[str, int]]:
    """Begin nodes, and kill: gives what died, and how many records there were. Ends when all nodes have."""
    rng = random.Random(seed)
    for _ in range(NODES):
        cluster.begin()
    killed, most, since = 0, 0, time.monotonic()
    while cluster.pids:
        if any(cluster.ended()):
            raise RuntimeError("a node has ended with an error")
        now, count = time.monotonic(), written.count()
        if count > most:
            most, since = count, now
        elif now - since > PATIENCE:
            raise RuntimeError(f"nothing has happened for {PATIENCE:g} s, and there are {count} records")
        if killed < kills and count >= (killed + 1) * 0.8 * total / (kills + 1):
            victim = rng.choice(victims)
            if killing(cluster, redis, victim, rng):
                killed += 1
                yield victim, count
        time.sleep(LOOK)


def problems(out: Path, found: Collected, bases: list[str], pages: int, log: list[Hit], per_host: int) -> Iterator[str]:
    """What is not as it must be, in words."""
    yield from found.problems
    records = [json.loads(line) for line in out.read_bytes().splitlines()] if out.exists() else []
    told = Counter((line["url"], line["error"]["code"] if line["error"] else str(line["status"])) for line in records)
    wanted = expected(bases, pages)
    if difference := (told - wanted) + (wanted - told):
        yield f"{len(difference)} records too many or too few: {difference.most_common(3)}"
    if soon := [distance for distance in distances(log) if distance < DELAY - JITTER]:
        yield f"{len(soon)} requests too soon, the first after {soon[0]:.4f} s"
    if (most := max(hit.requests for hit in log)) > per_host:
        yield f"{most} requests at once to one host"


def killed(folder: Path, seed: int, kills: int, *, procs: int = 1, alone: bool = False) -> dict[str, Any]:
    """Kill, look at what is left, and tell: what died, what was counted, what is wrong."""
    pages = max(24, 4 * kills)
    victims = ["node"] if alone else ["node", "node", "node", *(["worker"] * 2 if procs > 1 else []), "redis"]
    out, place = folder / "all.jsonl", folder / "crawl"
    (folder / "redis").mkdir()
    port = free_ports(1)[0]
    with (
        wide_server(HOSTS, seconds=DELAY - 0.001, pages=pages, linked=True) as web,
        redis_server(folder / "redis", port=port) as redis,
    ):
        options = {
            "inputs": web.urls,
            "recursive": True,
            "scope": "any",
            "allow_private": True,
            "delay": DELAY,
            "frontier": f"redis://127.0.0.1:{port}/0",
            "crawl_id": CRAWL,
            "lease": TTL if procs == 1 else 2 * TTL,  # workers on a busy machine hear late that their node is gone
            "output": [f"{place}/"],
            "procs": procs,
        }
        cluster, deaths = Nodes(options, folder / "nodes.log", replaces=not alone), Counter[str]()
        try:
            for victim, _ in live(cluster, redis, Written(place), seed, kills, HOSTS * pages, victims):
                deaths[victim] += 1
        except RuntimeError as error:
            raise SystemExit(f"{error}\n{(folder / 'nodes.log').read_text()[-3_000:]}") from None
        finally:
            cluster.kill_all()
        log = web.stop()
        found = collect(RedisStore(redis.url, CRAWL), str(place), str(out))
    return told(web, log, found, out, pages) | {"deaths": deaths}


def told(web: Wide, log: list[Hit], found: Collected, out: Path, pages: int) -> dict[str, Any]:
    apart = distances(log)
    return {
        "records": found.records,
        "books": found.counts._asdict(),
        "requests": len(log),
        "hosts": len(by_host(log)),
        "delay": DELAY,
        "least": round(apart[0], 4),
        "at_once": max(hit.requests for hit in log),
        "problems": list(problems(out, found, web.urls, pages, log, 1)),
    }


def words(found: dict[str, Any]) -> str:
    """What was found, for people."""
    books = ", ".join(f"{count:,} {name}" for name, count in found["books"].items() if count)
    return "\n".join([
        f"killed: {', '.join(f'{count} {victim}' for victim, count in found['deaths'].items())}",
        f"the books: {books}",
        f"collected: {found['records']:,} records; wrong with them: {found['problems'] or 'nothing'}",
        f"the server's log: {found['requests']:,} requests to {found['hosts']} hosts",
        f"to one host: at least {found['least']:g} s apart (--delay {found['delay']:g}), {found['at_once']} at once",
    ])  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--procs", type=int, default=1, help="workers of each node")
    parser.add_argument("--alone", action="store_true", help="kill two of three nodes, and tell it in words")
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        kills = NODES - 1 if arguments.alone else arguments.kills
        found = killed(Path(folder), arguments.seed, kills, procs=arguments.procs, alone=arguments.alone)
    print(words(found) if arguments.alone else json.dumps(found))
    return 1 if found["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
