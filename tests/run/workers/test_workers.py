"""Runs whose fetching is done by other processes: the same records, whatever becomes of these."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
from asking_server import Answer, asked
from fault_tools import descriptors, eventually
from generated_site import GeneratedSite, generated_site
from linking_site import serving

from crawler import ConfigError, Request, crawl, fetch_all, stream
from crawler.cli import doctor
from crawler.cli.main import main
from crawler.models import Record
from crawler.run.workers import fetching as workers_fetching
from crawler.run.workers.fetching import RemoteFetcher
from crawler.run.workers.forkserver import NAME

UNLIKE = {"started", "reused", "time_queue", "duplicate_of"}


def workers(of: int | None = None) -> list[psutil.Process]:
    found = []
    for process in psutil.Process(of).children(recursive=True):
        try:
            if process.name() == NAME or any("workers.worker" in word for word in process.cmdline()):
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def comparable(record: Record) -> dict[str, Any]:
    """What does not depend on the moment: all but times, and which of equals was first."""
    told = msgspec.to_builtins(record.to_dict())
    (told.get("headers") or {}).pop("date", None)
    return {name: value for name, value in told.items() if name not in UNLIKE and not name.startswith("time_")}


def test_every_fault_becomes_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """All faults of the built-in site, as `crawler doctor` has them."""
    monkeypatch.setitem(doctor.PATIENCE, "procs", 2)
    examination = doctor.Examination(versions="", quiet=True)
    told = list(examination.lines())
    assert examination.exit_code == 0, "".join(told)
    assert len(told) == 1  # the sum


def test_a_crawl_is_the_same() -> None:
    with generated_site() as site:
        alone, together = (_crawled(site, procs) for procs in (1, 2))
    assert len(alone) > 150
    assert together == alone


@pytest.mark.usefixtures("folder")
def test_records_are_the_same_where_nobody_wants_bodies() -> None:
    """From the command line they do not travel."""
    found = []
    with asked(lambda path, *_: (200, {"Content-Type": "text/html"}, path.encode() * 100)) as server:
        Path("urls.txt").write_text("".join(server.url(f"/{n}\n") for n in range(20)))
        for procs in "12":
            assert main(["urls.txt", "--procs", procs, "-q", "--ordered", "-O", "out.jsonl"]) == 0
            lines = Path("out.jsonl").read_bytes().splitlines()
            found.append([comparable(msgspec.json.decode(line, type=Record)) for line in lines])
    alone, together = found
    assert together == alone
    assert together[0]["size_body"] == 200


def _crawled(site: GeneratedSite, procs: int) -> dict[str, dict[str, Any]]:
    options: dict[str, Any] = {"extract": ["first=a::text"], "skipped": True, "depth": 100, "delay": 0}
    records = list(crawl([site.url("/")], procs=procs, **options))
    found = {record.url: comparable(record) for record in records}
    assert len(found) == len(records)
    for told in found.values():  # which page is read first is chance
        told.pop("input")
    return found


def test_a_crawl_takes_turns_with_its_hosts_delay() -> None:
    """One controller keeps the distances of all workers."""
    pages = {f"/{n}": f'<a href="/{n + 1}">x</a><a href="/{n + 2}">y</a>' for n in range(10)}
    times: list[float] = []

    def answer(path: str, _login: str | None, _before: int) -> Answer:
        times.append(time.monotonic())
        return 200, {"Content-Type": "text/html"}, pages.get(path, "").encode()

    with asked(answer) as server:
        records = list(crawl([server.url("/0")], procs=2, delay=0.1, robots=False))
    assert len(records) == 12
    # A distance that is not kept brings all that follow forward; when the server looks at its clock is its own affair.
    assert all(at - times[0] > 0.1 * number - 0.05 for number, at in enumerate(times))


def test_what_a_run_knows_goes_along() -> None:
    """Cookies, logins, headers, bodies and forms: their heads are written by the run, whichever worker sends them."""

    def answer(path: str, login: str | None, before: int) -> Answer:
        if path == "/in":
            return 200, {"Set-Cookie": "who=me; Path=/"}
        return (200 if login else 401), {"WWW-Authenticate": "Basic"}, path.encode()

    with asked(answer) as server:
        first, *others = fetch_all(
            [
                server.url("/in"),
                *(Request(server.url(f"/{n}"), method="POST", form={"n": n}, headers={"X-N": str(n)}) for n in range(5)),
            ],
            procs=2, cookies="run", concurrency=1, user="joe:secret",
        )  # fmt: skip
    assert first.status == 200
    assert [record.status for record in others] == [200] * 5
    assert server.bodies == [f"n={n}".encode() for n in range(5)]
    assert set(server.cookies[1:]) == {"who=me"}
    assert [head["X-N"] for head in server.heads[1:]] == list("01234")
    assert [record.body for record in others] == [f"/{n}".encode() for n in range(5)]


def test_a_form_with_a_file_has_one_boundary(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("content")
    with asked(lambda *_: (200, {})) as server:
        (record,) = fetch_all([Request(server.url("/"), method="POST", files={"up": file})], procs=2)
    assert record.status == 200
    boundary = server.heads[0].get_boundary()
    assert boundary is not None
    assert server.bodies[0].startswith(f"--{boundary}\r\n".encode())
    assert server.bodies[0].endswith(f"--{boundary}--\r\n".encode())
    assert b"content" in server.bodies[0]


def test_a_parse_function_stays_here() -> None:
    """It gets the page with its body, wherever that was fetched, and may share what it likes with its program."""
    seen: list[str] = []

    def parse(page: Any) -> Iterator[Any]:
        seen.append(page.css("title::text").get())
        yield {"pid": os.getpid()}
        yield from page.css("a::attr(href)").getall()

    with serving({"/": '<title>a</title><a href="/b">b</a>', "/b": "<title>b</title>"}) as site:
        records = list(crawl([site.url("/")], parse=parse, procs=2, delay=0))
    assert sorted(seen) == ["a", "b"]
    assert [record.data for record in records] == [[{"pid": os.getpid()}]] * 2


SPIDER = """\
from crawler import Request, Spider


class Quotes(Spider):
    options = {"delay": 0, "robots": False}

    def on_start(self):
        yield Request("SITE/a", callback=self.page)
        yield "SITE/gone"

    def page(self, page):
        yield {"title": page.css("title::text").get()}
"""
ON_ERROR = """\

    def on_error(self, page):
        yield {"sorry": page.css("title::text").get()}
"""


@pytest.mark.parametrize(
    ("program", "expected"),
    [(SPIDER, [None, [{"title": "/a"}]]), (SPIDER + ON_ERROR, [[{"sorry": "/gone"}], [{"title": "/a"}]])],
)
def test_functions_of_some_pages_get_their_bodies(program: str, expected: list[object], tmp_path: Path) -> None:
    """Those that only some requests name, and on_error: from the command line nobody else wants the bodies."""

    def answer(path: str, _login: str | None, _before: int) -> Answer:
        return (404 if path == "/gone" else 200), {"Content-Type": "text/html"}, f"<title>{path}</title>".encode()

    file, records = tmp_path / "spider.py", tmp_path / "records.jsonl"
    with asked(answer) as server:
        file.write_text(program.replace("SITE", server.url("")))
        assert main(["run", str(file), "--procs", "2", "-q", "-o", str(records)]) == 0
    told = sorted(map(msgspec.json.decode, records.read_bytes().splitlines()), key=lambda record: -record["status"])
    assert [record["data"] for record in told] == expected


@contextmanager
def deadly(paths: set[str], most: int = 100) -> Iterator[Any]:
    """A site whose pages kill the worker that asks for them."""
    killed: list[int] = []

    def answer(path: str, _login: str | None, _before: int) -> Answer:
        if path in paths and len(killed) < most:
            killed.append(1)
            for process in workers():
                if any(connection.laddr.port == server.asker.port for connection in process.net_connections()):
                    process.kill()
        return 200, {}, path.encode()

    with asked(answer) as server:
        yield server


def test_a_worker_that_dies_is_replaced() -> None:
    """What it had is asked for again, and is no try more."""
    with deadly({"/7"}, most=1) as server:
        records = fetch_all([server.url(f"/{n}") for n in range(40)], procs=2, concurrency=8)
    assert [record.body for record in records] == [f"/{n}".encode() for n in range(40)]
    assert {(record.outcome, record.attempts) for record in records} == {("ok", 1)}


def test_workers_are_shown(tmp_path: Path) -> None:
    """In the statistics: what each has done, and which stand in another one's place."""
    with deadly({"/7"}, most=1) as server:
        fetch_all([server.url(f"/{n}") for n in range(40)], procs=2, concurrency=8, stats=str(tmp_path / "stats.json"))
    told = msgspec.json.decode((tmp_path / "stats.json").read_bytes())["workers"]
    assert len(told) == 2
    assert sum(worker["replaced"] for worker in told) >= 1
    assert 0 < sum(worker["done"] for worker in told) <= 40
    assert [worker["in_flight"] for worker in told] == [0, 0]
    assert all(worker["pid"] != os.getpid() for worker in told)


def test_a_page_that_kills_its_workers_is_given_up() -> None:
    """The third one: the others that were in the air with it have their records."""
    with deadly({"/3"}) as server:
        records = fetch_all([server.url(f"/{n}") for n in range(8)], procs=2, concurrency=8)
    (bad,) = [record for record in records if record.error is not None]
    assert bad.url == server.url("/3")
    assert bad.error is not None
    assert bad.error.code == "internal"
    assert bad.error.message == "3 workers have ended while they had it (signal 9)"
    # The server notes a request when it has answered, and may be slower than the run.
    assert eventually(lambda: [path for path, _ in server.requests].count("/3") >= 3)
    assert [path for path, _ in server.requests].count("/3") == 3


def test_workers_end_with_the_run() -> None:
    before, threads = descriptors(), threading.active_count()
    with serving({"/": "x"}) as site:
        fetch_all([site.url("/")], procs=3)
        assert not workers()
        records = stream([site.url("/")] * 1000, procs=2)
        next(records)
        assert len(workers()) == 2
        records.close()
    assert not workers()
    assert eventually(lambda: threading.active_count() <= threads)
    assert eventually(lambda: descriptors() <= before)


def test_workers_end_when_their_parent_is_killed() -> None:
    with asked(lambda *_: (200, {}, b"x")) as server:
        urls = [server.url(f"/{n}") for n in range(100_000)]
        command = [sys.executable, "-m", "crawler", "-", "-q", "--procs", "2", "-o", os.devnull]
        with subprocess.Popen(command, stdin=subprocess.PIPE, text=True) as parent:
            assert parent.stdin is not None
            parent.stdin.write("\n".join(urls[:1000]))
            parent.stdin.flush()
            assert eventually(lambda: len(server.requests) > 10, 10.0)
            found = workers(parent.pid)
            assert len(found) == 2
            parent.kill()
        gone, alive = psutil.wait_procs(found, timeout=5.0)
    assert not alive
    assert len(gone) == 2


def test_ctrl_c_is_for_the_run_alone() -> None:
    """The whole group gets it from a terminal: what is in the air still gets its record."""

    def answer(path: str, _login: str | None, _before: int) -> Answer:
        time.sleep(0.3)
        return 200, {}, b"x"

    with asked(answer) as server:
        command = [sys.executable, "-m", "crawler", *(server.url(f"/{n}") for n in range(50)), "-q", "--procs", "2"]
        with subprocess.Popen(
            [*command, "-c", "4", "-o", "-"], stdout=subprocess.PIPE, text=True, start_new_session=True
        ) as run:
            assert eventually(lambda: len(server.requests) >= 4, 10.0)
            os.killpg(run.pid, signal.SIGINT)
            lines = run.communicate(timeout=20)[0].splitlines()
    assert 4 <= len(lines) < 50
    assert all('"outcome":"ok"' in line for line in lines)
    assert run.returncode == 130


@pytest.mark.parametrize("value", ["0", "none", -1, "1001"])
def test_the_number_is_one(value: object) -> None:
    with pytest.raises(ConfigError, match=r"procs: .* is not auto, or a whole number from 1 to 1,000"):
        fetch_all([], procs=value)


class Lease:
    def __init__(self, seconds: float) -> None:
        self.deadline = time.monotonic() + seconds


class Leases:
    """Of a store that others share: those of the first two claims are over when a worker reads them."""

    def __init__(self) -> None:
        self.given = 0

    def get(self, _host: str) -> Lease:
        self.given += 1
        return Lease(60.0 if self.given > 2 else 0.0)


def test_what_a_worker_reads_too_late_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else may ask that host by then: the claim goes back, uncounted, and its server hears nothing."""
    leases = Leases()
    monkeypatch.setattr(
        workers_fetching, "RemoteFetcher", lambda *of, **rest: RemoteFetcher(*of, **{**rest, "leases": leases})
    )
    with asked(lambda *_: (200, {}, b"x")) as server:
        (record,) = fetch_all([server.url("/")], procs=2, retries=0, robots=False)
        assert (record.status, record.attempts, len(server.requests)) == (200, 1, 1)
    assert leases.given == 3
