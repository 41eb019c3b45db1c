"""A run of a job that gets killed: `python tests/support/job_victim.py FOLDER list|crawl SEED KILLS`.

Forks a process per run, each of which works on the job in FOLDER with made-up fetches until it is killed: by its parent
after a moment, or by itself at a point where it hurts. The last one is left alone. Prints what the runs did as JSON.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import blake2b
from pathlib import Path

import msgspec

from crawler.config.config import Config
from crawler.errors import CodedError
from crawler.job.job import Job
from crawler.models import Input, Redirect, Request, Response, Timings, record_of, unfetched
from crawler.politeness.controller import Politeness
from crawler.run.reactors import private_reactor, run
from crawler.seeds.feed import DirectFeed
from crawler.seeds.inputs import BadLine, from_iterable
from crawler.sinks.bodies.keeping import Bodies
from crawler.sinks.csv import Csv
from crawler.sinks.jsonl import JsonLines
from crawler.sinks.ordered import Ordered
from crawler.sinks.tee import Tee
from crawler.store import database
from crawler.urls import canonical_key, parse

PAGES = 1_500
LINES = 2_500
OUTPUTS = ("pages.jsonl", "pages.csv", "pages.jsonl.gz")
COUNTS = {  # at which time a point is passed at the latest
    "before a record is written": 30,
    "in the middle of a write": 3,
    "after a flush": 1,
    "before a commit": 2,
    "inside a commit": 2,
    "after a commit": 1,
    "while outputs are cut": 4,
    "after a moment": 1,
}
AT_REST = signal.SIGUSR1
LEFTOVER = 0.12  # seconds in which what a run did is committed


def chance(*what: object) -> float:
    """The same number from 0 to 1 for the same things, in every process."""
    return int.from_bytes(blake2b(repr(what).encode(), digest_size=4).digest()) / 2**32


def lines() -> list[str]:
    """A list with bad lines, and with URLs that come again."""
    return [
        f"nonsense {n}" if n % 97 == 0 else f"http://h{n % 7}.example/{n % 1999}" + "x" * (n % 60) for n in range(LINES)
    ]


def links(page: int) -> list[int]:
    """A site in which every page can be reached from page 0, mostly in many ways."""
    return [n % PAGES for n in (2 * page + 1, 2 * page + 2, page * page + 7, page + 1, 0)]


def page_url(page: int) -> str:
    return f"http://h{page % 5}.example/{page}"


class Doom:
    """Kills this process at a time that `point` is passed, or soon after it has written its `share` of records.

    So each run dies, and all of them on the way, however fast the machine is.
    """

    def __init__(self, point: str, rng: random.Random, share: int) -> None:
        self.point = point
        self.count = rng.randint(1, COUNTS.get(point, 1))
        self.window = rng.choice((20, 50_000))  # how much of the frontier this process keeps in memory
        self.share = share
        self.spent: Callable[[], object] = lambda: None  # called when the share is written

    def passed(self, point: str) -> bool:
        if point != self.point:
            return False
        self.count -= 1
        return self.count == 0

    def at(self, point: str) -> None:
        if self.passed(point):
            os.kill(os.getpid(), signal.SIGKILL)

    def wrap(self, owner: object, name: str, *, before: str = "", after: str = "") -> None:
        original = getattr(owner, name)

        def wrapped(*arguments, **keywords):
            self.at(before)
            result = original(*arguments, **keywords)
            self.at(after)
            return result

        setattr(owner, name, wrapped)

    def count_writes(self, sink) -> None:
        original = sink.write

        def write(*arguments):
            self.share -= 1
            if self.share == 0:
                self.spent()
            return original(*arguments)

        sink.write = write

    def in_the_middle_of_a_write(self) -> None:
        original = os.write

        def write(fd: int, data) -> int:
            if len(data) > 200 and self.passed("in the middle of a write"):
                original(fd, data[: len(data) * 2 // 3])
                os.kill(os.getpid(), signal.SIGKILL)
            return original(fd, data)

        os.write = write


class Run:
    """One run: the least that a crawl does with a job's parts."""

    def __init__(self, folder: Path, mode: str, doom: Doom, reactor) -> None:
        self.reactor = reactor
        self.crawling = mode == "crawl"
        doom.wrap(os, "ftruncate", before="while outputs are cut")
        doom.in_the_middle_of_a_write()
        paths = [str(folder / name) for name in OUTPUTS]
        config = Config.build(
            inputs=["made up"], output=paths, ordered=mode == "ordered", bodies=str(folder / "bodies")
        )
        self.job = Job(
            str(folder / "job"), config, reactor=reactor, politeness=Politeness(per_host=8, delay=0.0),
            key=canonical_key if self.crawling else None,
        )  # fmt: skip
        self.job.frontier._window = doom.window
        self.job._store._db.execute("PRAGMA wal_autocheckpoint = 8")
        doom.wrap(database, "write_batch", after="inside a commit")
        doom.wrap(self.job._store, "write", before="before a commit", after="after a commit")
        outputs = [self.job.output(path, overwrite=False) for path in paths]
        tee = Tee([
            JsonLines(outputs[0].writer),
            Csv(outputs[1].writer, header=not outputs[1].begun),
            JsonLines(outputs[2].writer),
        ])  # fmt: skip
        self.bodies = Bodies(str(folder / "bodies"))
        doom.wrap(tee, "write", before="before a record is written")
        doom.count_writes(tee)
        doom.wrap(tee, "flush", after="after a flush")
        self.sink = self.job.sink(tee)
        self.admit = lambda number: None
        if mode == "ordered":
            # Small, for what is held goes out in one go, and a run has its share; the last one need not be slow.
            window = 400 if doom.point == "never" else 40
            self.sink = Ordered(self.sink, window=window, first=self.job.oldest, strict=True)
            self.admit = self.sink.admit
        source = from_iterable([page_url(0)] if self.crawling else lines())
        self.feed = self.job.feed(DirectFeed(self.job.unread(source)))
        self.number = self.job.following
        self.in_flight = 0
        self.held = None
        self.doom = doom
        self.leftover = None

    def start(self):
        for number, line in self.job.owed():
            self.sink.write(unfetched(line.text, line.input, line.error), None, number)
        from twisted.internet.defer import Deferred

        self.over = Deferred()
        self.turn()
        return self.over

    def turn(self) -> None:
        try:
            self.go_round()
        except Exception:  # whoever waits for the end of this run must not wait for ever
            self.over.errback()

    def go_round(self) -> None:
        now = self.reactor.seconds()
        for _ in range(40):
            if self.held is not None or self.feed.exhausted or self.frontier_is_full():
                break
            self.held = self.admit(self.number)
            if self.held is not None:
                self.held.addCallback(self.go_on)
                break
            self.read()
        while self.in_flight < 16 and self.doom.share > 0 and (request := self.job.frontier.claim(now)) is not None:
            self.in_flight += 1
            self.reactor.callLater(0.003 * chance("time", request.id, request.attempt), self.fetched, request)
        if self.doom.share <= 0 and self.leftover is None:
            self.leftover = self.reactor.callLater(LEFTOVER, os.kill, os.getpid(), AT_REST)
        if not self.in_flight and self.feed.exhausted and not self.job.frontier.counts().pending:
            self.finish()
        else:
            self.reactor.callLater(0.001, self.turn)

    def frontier_is_full(self) -> bool:
        return self.job.frontier.counts().pending > 300

    def go_on(self, _) -> None:
        self.held = None

    def read(self) -> None:
        seed = self.feed.take()
        if seed is None:
            return
        number = self.next_number()
        if isinstance(seed, BadLine):
            self.job.journal.refused(number, seed)
            self.sink.write(unfetched(seed.text, seed.input, seed.error), None, number)
        else:
            self.job.frontier.add(Request(number, seed.url, seed.written, seed.input, self.reactor.seconds()))

    def next_number(self) -> int:
        self.number += 1
        return self.number - 1

    def fetched(self, request: Request) -> None:
        """One try has ended, in one of the ways that there are."""
        self.in_flight -= 1
        now = self.reactor.seconds()
        frontier, journal = self.job.frontier, self.job.journal
        luck = chance("luck", request.written)
        response = Response(Timings(0.1, 0.2, None, 0.3, 0.4), 1.7e9, status=200, body=request.written.encode())
        if luck < 0.1 and request.attempt == 1:
            again = msgspec.structs.replace(request, attempt=2)
            journal.tried(request, response)
            frontier.retry(again, now, 0.02)
            return
        if luck < 0.13 and not request.parked:
            frontier.park(msgspec.structs.replace(request, attempt=request.attempt + 1, parked=True), now, 0.01)
            return
        if 0.2 < luck < 0.3 and not request.redirects:
            url = parse(f"http://elsewhere.example/{request.id}")
            hop = msgspec.structs.replace(request, url=url, redirects=(Redirect(request.url.href, 301),))
            journal.tried(request, response)
            assert frontier.leads(hop)
            frontier.retry(hop, now)
            return
        if 0.3 < luck < 0.35:
            response.error = CodedError("conn_reset")
        if self.crawling:
            for page in links(int(request.written.rsplit("/", 1)[1])):
                place = Input(parent=request.written, depth=1)
                url = parse(page_url(page))
                if frontier.add(Request(self.number, url, url.href, place, now)):
                    self.number += 1
        record = record_of(request, response, 0.0)
        record = self.bodies.keep(record, response, request.id)
        self.sink.write(record, response, request.id)
        frontier.finish(request, record.outcome, now)

    def finish(self) -> None:
        closing = self.sink.close()
        closing.addCallback(lambda _: self.job.close())
        closing.chainDeferred(self.over)


def live(folder: Path, mode: str, doom: Doom, ready: int) -> None:
    with private_reactor() as (reactor, _):
        work = Run(folder, mode, doom, reactor)
        os.write(ready, b"!")
        run(reactor, work.start)
        books = work.job.notes
        (folder / "last.json").write_text(json.dumps({"notes": books}))


def kill_loop(
    live: Callable[[Doom, int], object],
    seed: int,
    kills: int,
    records: int,
    moment: float = 0.08,
    at_the_end: Sequence[str] = (),
) -> dict[str, int]:
    """Run `live` in a process of its own until it is killed, so many times, and then once to its end.

    It gets its Doom, and a descriptor to write to when it has begun. All together have about so many `records` to
    write; who dies after a moment does within so many seconds. After them a run each is killed at the points that are
    passed `at_the_end`, when all is written. Returns how many died of what; leaves with 1 if a run fails.
    """
    rng = random.Random(seed)
    deaths: dict[str, int] = {}
    points = (kills * [*COUNTS])[:kills]
    rng.shuffle(points)
    for point in (*points, *at_the_end, "never"):
        # About half of `kills` parts: what is in flight or held comes on top.
        most = max(2, records // (2 * kills))
        doom = Doom(point, rng, rng.randint(min(10, most), most) if point in COUNTS else sys.maxsize)
        done, ready = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                live(doom, ready)
            except BaseException:
                sys.excepthook(*sys.exc_info())
                os._exit(1)
            os._exit(0)
        os.close(ready)
        if point == "after a moment":
            select.select([done], [], [], 5.0)
            time.sleep(rng.uniform(0.0, moment))
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        os.close(done)
        if os.WIFSIGNALED(status):
            way = "at rest" if os.WTERMSIG(status) == AT_REST else point
            deaths[way] = deaths.get(way, 0) + 1
        elif os.waitstatus_to_exitcode(status):
            raise SystemExit(1)
    return deaths


def main() -> None:
    folder, mode, seed, kills = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    print(json.dumps(kill_loop(partial(live, folder, mode), seed, kills, 1_600)))


if __name__ == "__main__":
    main()
