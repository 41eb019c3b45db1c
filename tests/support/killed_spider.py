"""A spider that gets killed at work: `python tests/support/killed_spider.py SEED KILLS`.

It logs in by a form, pages through a search by POST, and asks for each item by a form: each page with a function of its
own, its meta, and a header. Kills are those of job_victim.py; each run goes on with the same job. Prints what
it died of, what is wrong with the records, and how often the server was asked, as JSON; exits with 1 when one is missing,
there twice or not as it must be.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections import Counter
from collections.abc import Iterable
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar
from urllib.parse import parse_qs

from job_victim import AT_REST, LEFTOVER, Doom, kill_loop

from crawler import Request
from crawler.config.config import Config
from crawler.job.verify import verify
from crawler.page.page import Page
from crawler.run.composition import Crawler
from crawler.run.reactors import private_reactor, run
from crawler.sinks.tee import Tee
from crawler.store import database

PAGES = 40
ITEMS = 10  # a page
FORM = b"<form method=post action=/login><input type=hidden name=token value=7><input name=user></form>"


class Handler(BaseHTTPRequestHandler):
    """The site. What it was asked for it counts."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # else the kernel waits between head and body
    asked: ClassVar[Counter[str]] = Counter()

    def do_GET(self) -> None:
        self.answer(FORM if self.path == "/" else b"no", "text/html")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.asked[f"{self.path} {body}"] += 1
        if self.path == "/login":
            found: Any = {"pages": PAGES} if parse_qs(body) == {"token": ["7"], "user": ["me"]} else {}
        elif self.path == "/search":
            page = json.loads(body)["page"]
            found = {"items": [page * ITEMS + n for n in range(ITEMS)], "next": page + 1 if page + 1 < PAGES else None}
        else:
            found = {"name": f"item {parse_qs(body)['id'][0]}", "agent": self.headers["X-Agent"]}
        self.answer(json.dumps(found).encode(), "application/json")

    def answer(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None: ...  # a client that was killed


class Counted:
    """A sink beside the others."""

    def write(self, *_: object) -> None: ...

    def flush(self) -> None: ...

    def close(self) -> None: ...


def parse(page: Page) -> Iterable[Any]:
    yield page.form({"user": "me"}, callback=logged_in)


def logged_in(page: Page) -> Iterable[Any]:
    yield Request("/search", json={"page": 0}, callback=found, meta=0)


def found(page: Page) -> Iterable[Any]:
    answer = page.json()
    if answer["next"] is not None:
        yield Request("/search", json={"page": answer["next"]}, callback=found, meta=answer["next"])
    for number in answer["items"]:
        yield Request(
            "/item", form={"id": number}, headers={"X-Agent": f"a{number}"}, callback=item, meta={"id": number}
        )


def item(page: Page) -> Iterable[Any]:
    yield {"id": page.meta["id"], **page.json()}


def live(folder: Path, base: str, doom: Doom, ready: int) -> None:
    with private_reactor() as (reactor, dial):
        doom.wrap(os, "ftruncate", before="while outputs are cut")
        doom.in_the_middle_of_a_write()
        doom.wrap(database, "write_batch", after="inside a commit")
        doom.wrap(database.Store, "write", before="before a commit", after="after a commit")
        doom.wrap(Tee, "write", before="before a record is written")
        doom.wrap(Tee, "flush", after="after a flush")
        counted = Counted()
        doom.count_writes(counted)
        config = Config.build(
            recursive=True,
            robots=False,
            delay=0,
            concurrency=8,
            job=str(folder / "job"),
            output=[str(folder / "out.jsonl")],
            retries=0,
        )
        crawler = Crawler(config, reactor=reactor, dial=dial, urls=[base + "/"], sinks=[counted], parse=parse)

        def rest() -> None:
            assert crawler.parts.crawl is not None
            crawler.parts.crawl.pause()  # each run has its share, however fast the machine is
            reactor.callLater(LEFTOVER, os.kill, os.getpid(), AT_REST)

        doom.spent = rest
        os.write(ready, b"!")
        run(reactor, crawler.run)


def wrong(lines: list[dict[str, Any]], base: str) -> list[str]:
    """What is not as it must be."""
    records = Counter((line["method"], line["url"].removeprefix(base), json.dumps(line["meta"])) for line in lines)
    expected = Counter({("GET", "/", "null"): 1, ("POST", "/login", "null"): 1})
    expected.update(("POST", "/search", str(page)) for page in range(PAGES))
    expected.update(("POST", "/item", json.dumps({"id": number})) for number in range(PAGES * ITEMS))
    faults = [f"{count}x {key}" for key, count in ((records - expected) + (expected - records)).items()]
    for line in lines:
        if line["url"].endswith("/item"):
            number = line["meta"]["id"]
            if line["data"] != [{"id": number, "name": f"item {number}", "agent": f"a{number}"}]:
                faults.append(f"item {number}: {line['data']} {line['error']}")
    return faults


def main() -> None:
    seed, kills = map(int, sys.argv[1:3])
    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}"
    with TemporaryDirectory() as place:
        folder = Path(place)
        deaths = kill_loop(partial(live, folder, base), seed, kills, PAGES * (ITEMS + 1))
        lines = [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]
        faults = wrong(lines, base) + [str(problem) for problem in verify(str(folder / "job")).problems]
    print(json.dumps({"deaths": deaths, "wrong": faults[:20], "asked": sum(Handler.asked.values())}))
    server.shutdown()
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
