"""A job whose outputs and bodies are objects, killed: `python tests/support/killed_objects.py hash|name|url SEED KILLS`.

Each run of the same job dies at a random moment, or where it hurts: around a put, in the middle of one that takes
several parts; at the latest when its last output was put. After each death an object is not there, or whole. The last
run is left alone: then each record is in each output once, and each body under the name that its record says. Prints
what was found as JSON, and exits with 1 when something is not as it must be. Not for Windows.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
from object_server import ObjectServer, object_server, told

from crawler.config.config import Config
from crawler.job.verify import verify
from crawler.objects.bucket import Bucket
from crawler.run.composition import Crawler
from crawler.run.reactors import private_reactor, run
from crawler.site import RunningSite, running_site

SMALL, LARGE = 40, 10  # a large one is of 1 MB, which makes the output one of several parts
A_WHILE = 0.1  # seconds, between two puts
POINTS = (
    "a moment", "before a put", "after a put", "before a file is put", "after a file is put", "between two pieces",
)  # fmt: skip
OUTPUTS = ("out.jsonl", "out.parquet")


def doom(point: str, rng: random.Random) -> None:
    """Have this process kill itself there; a run always puts its outputs, so each dies: after the last at the latest.

    A moment is some time after a point that is passed anyway: how far a run is by the clock depends on the machine.
    """
    left = rng.randint(1, 12) if "file" not in point else 1
    files_left = len(OUTPUTS)

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def passes(where: str) -> None:
        nonlocal left, files_left
        left -= where == point or (point == "a moment" and "put" in where)
        files_left -= where == "after a file is put"
        if files_left == 0 or (left == 0 and point != "a moment"):
            die()
        elif left == 0:
            threading.Timer(rng.uniform(0, A_WHILE), die).start()

    def wrap(name: str, what: str) -> None:
        original = getattr(Bucket, name)

        def wrapped(self: Bucket, key: str, pieces: object, **keywords) -> None:
            passes(f"before a {what}")
            if name == "put":
                pieces = seen(pieces)
            original(self, key, pieces, **keywords)
            passes(f"after a {what}")

        setattr(Bucket, name, wrapped)

    def seen(pieces: Iterable[bytes]) -> Iterable[bytes]:
        for piece in pieces:
            if len(piece) > 500_000:
                passes("between two pieces")
            yield piece

    wrap("put", "put")
    wrap("put_file", "file is put")


def live(options: dict[str, object]) -> None:
    with private_reactor() as (reactor, dial):
        run(reactor, Crawler(Config.build(**options), reactor=reactor, dial=dial).run)


def kill_loop(options: dict[str, object], seed: int, kills: int, look: Iterator[None]) -> dict[str, int]:
    deaths: dict[str, int] = {}
    for number, point in enumerate((*(POINTS[number % len(POINTS)] for number in range(kills)), None)):
        pid = os.fork()
        if pid == 0:
            try:
                if point is not None:
                    doom(point, random.Random(seed * 1_000 + number))
                live(options)
            except BaseException:
                sys.excepthook(*sys.exc_info())
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        next(look)
        if os.WIFSIGNALED(status):
            deaths[str(point)] = deaths.get(str(point), 0) + 1
        elif os.waitstatus_to_exitcode(status):
            raise SystemExit(1)
    return deaths


def rows(content: bytes | None, name: str, folder: Path) -> list[str] | None:
    """The URLs in an output; None where it is not there. Raises for what is not whole."""
    if content is None:
        return None
    if name.endswith(".jsonl"):
        return [json.loads(line)["url"] for line in content.splitlines()]
    place = folder / "look.parquet"
    place.write_bytes(content)
    return [url for (url,) in duckdb.sql(f"SELECT url FROM '{place}'").fetchall()]


def looking(server: ObjectServer, bucket: str, urls: list[str], folder: Path, found: list[str]) -> Iterator[None]:
    """Each time that it is asked: whether what is visible is whole."""
    while True:
        for name in OUTPUTS:
            seen = rows(server.get(bucket, name), name, folder)
            if seen is not None and sorted(seen) != sorted(urls):
                found.append(f"{name} has {len(seen)} records of {len(urls)}")
        yield


def problems(folder: Path, server: ObjectServer, bucket: str, site: RunningSite, urls: list[str]) -> Iterable[str]:
    """What is not as it must be, in words."""
    for name in OUTPUTS:
        if sorted(rows(server.get(bucket, name), name, folder) or []) != sorted(urls):
            yield f"{name} has not one record of each URL"
    records = [json.loads(line) for line in (server.get(bucket, "out.jsonl") or b"").splitlines()]
    for record in records:
        body = server.get(bucket, f"kept/{record['body_path']}")
        if body is None or sha256(body).hexdigest() != record["sha256"]:
            yield f"{record['body_path']} is not the body of its record"
    named = {f"kept/{record['body_path']}" for record in records}
    found = {key for key in server.keys(bucket) if key.startswith("kept/")}
    if found != named:
        yield f"objects that no record names, or none that is named: {sorted(found ^ named)[:5]}"
    if scratch := list((folder / "job").glob(".crawler-*")):
        yield f"left over: {scratch}"
    yield from (str(problem) for problem in verify(str(folder / "job")).problems)


def killed(folder: Path, layout: str, seed: int, kills: int) -> dict[str, object]:
    with running_site() as site, object_server() as server:
        os.environ.update(told(server))
        bucket = server.bucket()
        urls = [site.url(f"/p/{number}.html") for number in range(SMALL)]
        urls += [site.url(f"/big.html?{number}") for number in range(LARGE)]
        random.Random(seed).shuffle(urls)
        (folder / "urls.txt").write_text("\n".join(urls))
        options: dict[str, object] = {
            "inputs": [str(folder / "urls.txt")],
            "job": str(folder / "job"),
            "output": [f"s3://{bucket}/{name}" for name in OUTPUTS],
            "include_body": True,
            "bodies": f"s3://{bucket}/kept",
            "bodies_as": layout,
            "per_host": 4,
            "delay": 0.01,
        }
        found: list[str] = []
        deaths = kill_loop(options, seed, kills, looking(server, bucket, urls, folder, found))
        found += problems(folder, server, bucket, site, urls)
        return {"deaths": deaths, "records": len(urls), "problems": found}


def main() -> int:
    with TemporaryDirectory() as folder:
        told = killed(Path(folder), sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    print(json.dumps(told))
    return 1 if told["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
