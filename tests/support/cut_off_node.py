"""A node that is cut off: `python tests/support/cut_off_node.py store|all`.

Three nodes, as people start them, crawl a site over many hosts. One of them is in a network namespace of its own, with a
line to Redis and one to the site. When it has some records, its line to Redis is cut, or both lines are, for
longer than its leases last; then they are there again. Prints what killed_cluster.py does of the records and of the
server's log, as JSON, with what was done while it was cut off; exits with 1 when something is wrong.

All of it runs in a network namespace without other networks, which `unshare` makes: Linux, where users may do that.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import killed_cluster
from killed_cluster import CRAWL, DELAY, HOSTS, TTL, Written
from redis_server import free_ports, redis_server
from wide_server import wide_server

from crawler.cluster.shared.collecting import collect
from crawler.frontier.shared.redis import RedisStore

PAGES = 40
NET = 10  # the site is at 10.1.0.0, 10.1.0.1, ...: as if it were somewhere else
STORE_HERE, STORE_THERE = "192.168.71.1", "192.168.71.2"
SITE_HERE, SITE_THERE = "192.168.72.1", "192.168.72.2"
CUT_AT = 20  # records of that node
CUT_FOR = 3 * TTL
IN_ALL = 100.0  # seconds, at most
INSIDE = "inside"
LINES = {"store": ["store0"], "all": ["store0", "site0"]}
BEGIN = f"""
read go
ip link set lo up
ip address add {STORE_THERE}/24 dev store1; ip link set store1 up
ip address add {SITE_THERE}/24 dev site1; ip link set site1 up
ip route add {NET}.0.0.0/8 via {SITE_HERE}
exec "$@"
"""


def refused() -> str:
    """Why there can be no namespaces here; "" if there can."""
    try:
        asked = subprocess.run(
            ["unshare", "-rn", "ip", "link", "add", "one", "type", "veth", "peer", "name", "two"],
            check=False, capture_output=True, text=True, timeout=10,
        )  # fmt: skip
    except FileNotFoundError as error:
        return str(error)
    return asked.stderr.strip() if asked.returncode else ""


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def prepare() -> None:
    """Every address of the site's net is here, and there are two lines, whose other ends are still here, too."""
    ip("link", "set", "lo", "up")
    ip("route", "add", "local", f"{NET}.0.0.0/8", "dev", "lo")
    for name, here in (("store", STORE_HERE), ("site", SITE_HERE)):
        ip("link", "add", f"{name}0", "type", "veth", "peer", "name", f"{name}1")
        ip("address", "add", f"{here}/24", "dev", f"{name}0")
        ip("link", "set", f"{name}0", "up")
        # The lines are gone with the node at their other end: the others have to find what is here all the same.
        ip("address", "add", f"{here}/32", "dev", "lo")


@contextmanager
def nodes(command: list[str], log: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Three nodes, of which the first one is elsewhere."""
    with log.open("wb") as told:
        there = subprocess.Popen(
            ["unshare", "-n", "sh", "-c", BEGIN, "sh", *command], stdin=subprocess.PIPE, stdout=told, stderr=told
        )
        begun = [there]
        try:
            time.sleep(0.3)  # until unshare has done it
            ip("link", "set", "store1", "netns", str(there.pid))
            ip("link", "set", "site1", "netns", str(there.pid))
            assert there.stdin is not None
            there.stdin.write(b"go\n")
            there.stdin.close()
            begun += [subprocess.Popen(command, stdout=told, stderr=told) for _ in range(2)]
            yield begun
        finally:
            for process in begun:
                process.kill()
                process.wait()


def run(folder: Path, way: str) -> dict[str, Any]:
    prepare()
    place, out, log = folder / "crawl", folder / "all.jsonl", folder / "nodes.log"
    (folder / "redis").mkdir()
    port = free_ports(1)[0]
    outside = ("--bind", STORE_HERE, "--protected-mode", "no")
    with (
        wide_server(HOSTS, seconds=DELAY - 0.001, pages=PAGES, linked=True, net=NET) as web,
        redis_server(folder / "redis", *outside, port=port) as redis,
    ):
        url = f"redis://{STORE_HERE}:{port}/0"
        command = [
            *(
                sys.executable,
                "-m",
                "crawler",
                "-r",
                *web.urls,
                "--scope",
                "any",
                "--allow-private",
                "--delay",
                str(DELAY),
            ),
            *("--frontier", url, "--crawl-id", CRAWL, "--lease", str(TTL), "-o", f"{place}/"),
        ]
        written = Written(place)
        give_up = time.monotonic() + IN_ALL
        cut = {"at": 0, "until": 0}
        with nodes(command, log) as begun:
            ends = 0.0
            own = Written(place, f"*-{begun[0].pid}-*.jsonl")
            while any(process.poll() is None for process in begun):
                now, count = time.monotonic(), written.count()
                if now > give_up or any(process.poll() for process in begun):
                    raise SystemExit(f"{count} records, {[process.poll() for process in begun]}\n{log.read_text()}")
                if not cut["at"] and own.count() >= CUT_AT:
                    for line in LINES[way]:
                        ip("link", "set", line, "down")
                    cut["at"], ends = count, now + CUT_FOR
                if ends and now > ends:
                    for line in LINES[way]:
                        ip("link", "set", line, "up")
                    cut["until"], ends = count, 0.0
                time.sleep(0.02)
        found = collect(RedisStore(redis.url, CRAWL), str(place), str(out))
        told = killed_cluster.told(web, web.stop(), found, out, PAGES)
        if not cut["until"]:
            told["problems"].append("the node was not cut off for its time")
        return told | {"cut": cut, "its_own": own.count()}


def main() -> int:
    way = sys.argv[1]
    if INSIDE not in sys.argv:
        os.execvp("unshare", ["unshare", "-rn", sys.executable, __file__, way, INSIDE])
    with TemporaryDirectory() as folder:
        told = run(Path(folder), way)
    print(json.dumps(told))
    return 1 if told["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
