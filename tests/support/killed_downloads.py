"""Downloads that get killed: `python tests/support/killed_downloads.py hash|name|url SEED KILLS`.

nginx serves small files, many of one name, and large ones slowly; each run of the same job dies at a random moment, or
where it hurts: around a file's name, and in the middle of a write. Moments are told by what was written until then, and
so each run dies, however fast the machine is. The last one is left alone. Then there must be a
record of each URL, the file that it names with the hash of what the server has, and no other file. Prints what was
found as JSON, and exits with 1 when something is not as it must be. Not for Windows.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from real_peers import Peer, nginx

from crawler.config.config import Config
from crawler.job.verify import verify
from crawler.run.composition import Crawler
from crawler.run.reactors import private_reactor, run
from crawler.sinks.bodies.ledger import Ledger

SMALL, LARGE = 60, 3
LARGE_SIZE = 2_000_000
RATE = 1_500_000  # bytes per second of a large one: small ones end meanwhile
SMALL_SIZE = 3_000
A_WHILE = 0.05  # seconds
POINTS = (
    "a moment", "a moment", "before a name", "after a name", "before a line of names",
    "after a line of names", "in the middle of a write",
)  # fmt: skip


def fill(folder: Path) -> dict[str, bytes]:
    """The files of the server, by their paths."""
    rng = random.Random(0)
    found = {f"/{number}/report.pdf": rng.randbytes(SMALL_SIZE) for number in range(SMALL)}
    found |= {f"/slow/{number}/large.iso": rng.randbytes(LARGE_SIZE) for number in range(LARGE)}
    for path, body in found.items():
        place = folder / path[1:]
        place.parent.mkdir(parents=True)
        place.write_bytes(body)
        os.utime(place, (1_700_000_000, 1_700_000_000))
    return found


def doom(point: str, rng: random.Random, share: int) -> None:
    """Have this process kill itself there, or soon after it has written its share of bytes; before twice that it dies."""
    left = rng.randint(1, 20)
    share = rng.randint(share // 2, share)
    most, soon = -share, threading.Timer(rng.uniform(0, A_WHILE), os.kill, (os.getpid(), signal.SIGKILL))

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def passes(where: str) -> None:
        nonlocal left
        left -= where == point
        if left == 0:
            die()

    def wrap(owner: object, name: str, what: str) -> None:
        original = getattr(owner, name)

        def wrapped(*arguments, **keywords):
            passes(f"before {what}")
            result = original(*arguments, **keywords)
            passes(f"after {what}")
            return result

        setattr(owner, name, wrapped)

    wrap(os, "rename", "a name")
    wrap(os, "replace", "a name")
    wrap(Ledger, "assign", "a line of names")
    original = os.write

    def write(fd: int, data) -> int:
        nonlocal left, share
        if len(data) > 200:
            left -= point == "in the middle of a write"
            if share > 0 >= share - len(data):
                soon.start()
            share -= len(data)
            if left == 0 or share <= most:
                original(fd, data[: len(data) // 2])
                die()
        return original(fd, data)

    os.write = write


def live(options: dict[str, object]) -> None:
    with private_reactor() as (reactor, dial):
        run(reactor, Crawler(Config.build(**options), reactor=reactor, dial=dial).run)


def kill_loop(options: dict[str, object], seed: int, kills: int) -> dict[str, int]:
    rng = random.Random(seed)
    deaths: dict[str, int] = {}
    share = (SMALL * SMALL_SIZE + LARGE * LARGE_SIZE) // (3 * kills)  # there is enough for twice that
    for point in ("a moment", *(rng.choice(POINTS) for _ in range(kills - 1)), None):
        pid = os.fork()
        if pid == 0:
            try:
                if point is not None:
                    doom(point, rng, share)
                live(options)
            except BaseException:
                sys.excepthook(*sys.exc_info())
                os._exit(1)
            os._exit(0)
        rng.random()  # the child has drawn, too
        _, status = os.waitpid(pid, 0)
        if os.WIFSIGNALED(status):
            deaths[str(point)] = deaths.get(str(point), 0) + 1
        elif os.waitstatus_to_exitcode(status):
            raise SystemExit(1)
    return deaths


def wanted(layout: str, served: dict[str, bytes], server: Peer) -> set[str]:
    """The files that there must be."""
    if layout == "url":
        return {f"127.0.0.1+{server.port}{path}" for path in served}
    if layout == "name":
        numbers = [("report", ".pdf", SMALL), ("large", ".iso", LARGE)]
        return {
            f"{stem}-{number}{suffix}" if number > 1 else stem + suffix
            for stem, suffix, most in numbers
            for number in range(1, most + 1)
        }
    return {f"{(name := sha256(body).hexdigest())[:2]}/{name}.txt" for body in served.values()}


def problems(folder: Path, layout: str, served: dict[str, bytes], server: Peer) -> Iterable[str]:
    """What is not as it must be, in words."""
    bodies = folder / "bodies"
    records = [json.loads(line) for line in (folder / "out.jsonl").read_bytes().splitlines()]
    if sorted(record["url"] for record in records) != sorted(map(server.url, served)):
        yield "not one record of each URL"
    for record in records:
        body = served[record["url"].removeprefix(server.url(""))]
        if record["sha256"] != sha256(body).hexdigest() or record["size_body"] != len(body):
            yield f"{record['url']}: another body: {record['error']} {record['size_body']}"
        elif (bodies / record["body_path"]).read_bytes() != body:
            yield f"{record['body_path']} is not the body of its record"
    found = {str(path.relative_to(bodies)) for path in bodies.rglob("*") if path.is_file()}
    named = {record["body_path"] for record in records}
    if found != named:
        yield f"files that no record names, or none that is named: {sorted(found ^ named)[:5]}"
    if found != wanted(layout, served, server):
        yield f"other names: {sorted(found ^ wanted(layout, served, server))[:5]}"
    if scratch := list(bodies.glob(".crawler-*")):
        yield f"left over: {scratch}"
    yield from (str(problem) for problem in verify(str(folder / "job")).problems)


def killed(folder: Path, layout: str, seed: int, kills: int) -> dict[str, object]:
    (folder / "server").mkdir()
    with nginx(folder / "server", f"location /slow {{ limit_rate {RATE}; }}") as server:
        served = fill(folder / "server" / "www")
        urls = [server.url(path) for path in served]
        random.Random(seed).shuffle(urls)
        (folder / "urls.txt").write_text("\n".join(urls))
        options: dict[str, object] = {
            "inputs": [str(folder / "urls.txt")],
            "job": str(folder / "job"),
            "output": [str(folder / "out.jsonl")],
            "bodies": str(folder / "bodies"),
            "bodies_as": layout,
            "per_host": 4,
            "delay": 0.01,
        }
        deaths = kill_loop(options, seed, kills)
        resumed = sum(line.split()[3] == "206" for line in server.log())
        return {
            "deaths": deaths,
            "resumed": resumed,
            "records": len(urls),
            "problems": list(problems(folder, layout, served, server)),
        }


def main() -> int:
    with TemporaryDirectory() as folder:
        told = killed(Path(folder), sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    print(json.dumps(told))
    return 1 if told["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
