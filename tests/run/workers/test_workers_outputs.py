"""What runs with workers write: bodies, archives, caches; and the rate that all of them share."""

from __future__ import annotations

import os
import random
import tempfile
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from asking_server import Answer, asked
from linking_site import serving

from crawler import crawl, fetch_all, stream
from crawler.fetch.archive.reading import records
from crawler.models import Record

LARGE = random.Random(1).randbytes(800_000)


def test_bodies_of_all_sizes_become_files(tmp_path: Path) -> None:
    """Small ones travel; large ones are written by the worker, and get their names here. Nothing else is left."""
    bodies = {f"/{n}": (LARGE[n:] if n % 3 == 0 else b"%d" % n * 10) for n in range(12)}
    with asked(lambda path, *_: (200, {"Content-Type": "application/zip"}, bodies[path])) as server:
        found = fetch_all([server.url(path) for path in bodies], procs=2, bodies=str(tmp_path))
    assert [record.sha256 for record in found] == [sha256(body).hexdigest() for body in bodies.values()]
    assert [record.body for record in found] == [*bodies.values()]
    paths = {record.body_path for record in found}
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()} == paths
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_killed_worker_leaves_nothing_of_its_bodies(tmp_path: Path) -> None:
    """What it had begun to write is swept up, and fetched again."""
    from run.workers.test_workers import workers

    first: list[str] = []

    def answer(path: str, _login: str | None, _before: int) -> Answer:
        if not first:
            first.append(path)
            for process in workers():
                process.kill()
        return 200, {}, LARGE

    with asked(answer) as server:
        found = fetch_all(
            [server.url(f"/{n}") for n in range(6)], procs=2, bodies=str(tmp_path), bodies_as="url", concurrency=6
        )
    assert {record.sha256 for record in found} == {sha256(LARGE).hexdigest()}
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 6
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_what_breaks_off_goes_on(tmp_path: Path) -> None:
    """Whichever worker has the next try: the part is where all find it."""
    from fetch.saving.test_download_runs import BODY, cut, none_left, rest, server, whole

    for answers, warnings in (([cut, rest], ["resumed"]), ([cut, none_left, whole], [])):
        with server(*answers) as (url, asked_for):
            (record,) = fetch_all([url], bodies=str(tmp_path), bodies_as="name", procs=2)
        assert (record.outcome, record.attempts, record.warnings) == ("ok", 2, warnings)
        assert record.sha256 == sha256(BODY).hexdigest()
        assert len(asked_for) == len(answers)
        Path(tmp_path, record.body_path or "").unlink()
    assert not [*tmp_path.iterdir()]


def test_what_is_not_accepted_is_not_read() -> None:
    def answer(path: str, _login: str | None, _before: int) -> Answer:
        return 200, {"Content-Type": "text/html" if path == "/page" else "image/png"}, b"x"

    with asked(answer) as server:
        page, image = fetch_all([server.url("/page"), server.url("/image")], accept="text/html", procs=2)
    assert (page.outcome, image.outcome) == ("ok", "skipped")
    assert image.error is not None
    assert image.error.code == "content_type_skipped"


def archived(path: Path) -> Iterator[tuple[str, str, int]]:
    with path.open("rb") as file:
        for record in records(file):  # type: ignore[arg-type]
            size = sum(map(len, iter(lambda: record.read(1 << 16), b"")))  # noqa: B023 - it is called at once
            if record.kind in {"request", "response", "revisit", "metadata"}:
                yield record.kind, record.url.rpartition("/")[2], size


@pytest.mark.usefixtures("folder")
def test_an_archive_is_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What went over the wire is taped by the worker: small things, large ones, what fails; and the file has no trace."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def answer(path: str, _login: str | None, _before: int) -> Answer:
        return 200, {}, LARGE if path == "/large" else path.encode() * 50

    with asked(answer) as server:
        urls = [*(server.url(f"/{n}") for n in range(5)), server.url("/large"), "http://127.0.0.1:1/closed"]
        for procs in (1, 2):
            fetch_all(urls, procs=procs, output=[f"{procs}.warc.gz"], retries=0)
    alone, together = (sorted(archived(Path(f"{procs}.warc.gz"))) for procs in (1, 2))
    assert len(alone) > 12
    assert together == alone
    assert not [*tmp_path.glob("crawler-*")]


def test_a_cache_is_asked_first(tmp_path: Path) -> None:
    """What is in it goes to no worker; what is stale is asked about."""

    def answer(path: str, _login: str | None, _before: int) -> Answer:
        fresh = "max-age=1000" if path == "/fresh" else "max-age=0"
        return 200, {"Cache-Control": fresh, "ETag": '"1"'}, path.encode()

    with asked(answer) as server:
        urls = [server.url("/fresh"), server.url("/stale")]
        first, second = (fetch_all(urls, procs=2, cache=str(tmp_path / "cache")) for _ in range(2))
        assert [path for path, _ in server.requests].count("/fresh") == 1
        assert [path for path, _ in server.requests].count("/stale") == 2
        assert server.heads[-1]["If-None-Match"] == '"1"'
    assert [record.cache for record in first] == ["miss", "miss"]
    assert second[0].cache == "hit"
    assert [record.body for record in second] == [record.body for record in first]


def test_a_rate_is_shared() -> None:
    """What comes to all of them together is no more than one process would take."""
    body = LARGE[:150_000]
    with asked(lambda *_: (200, {}, body)) as server:
        urls = [server.url(f"/{n}") for n in range(4)]
        begun = time.monotonic()
        found = fetch_all(urls, procs=2, limit_rate="400k", concurrency=4)
        took = time.monotonic() - begun
    assert [record.size_body for record in found] == [len(body)] * 4
    assert took >= (4 * len(body) - 262_144) / 400_000  # but for what had come when it was last looked at


def test_a_mirror_is_the_same(tmp_path: Path) -> None:
    pages: dict[str, Any] = {"/": '<a href="/a.html">a</a><img src="/i.png">', "/a.html": "<p>a", "/i.png": "png"}
    with serving(pages) as site:
        for procs in (1, 2):
            records: list[Record] = list(
                crawl([site.url("/")], mirror=str(tmp_path / str(procs)), procs=procs, delay=0)
            )
            assert len(records) == 3
    alone, together = (
        {str(path.relative_to(tmp_path / name)): path.read_bytes() for path in (tmp_path / name).rglob("*.html")}
        for name in "12"
    )
    assert len(alone) == 4  # with the originals
    assert together == alone


def test_a_run_that_is_left_leaves_nothing(tmp_path: Path) -> None:
    with asked(lambda *_: (200, {}, LARGE)) as server:
        found = stream([server.url(f"/{n}") for n in range(200)], procs=2, bodies=str(tmp_path), bodies_as="url")
        next(found)
        found.close()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert len(os.listdir(tmp_path)) >= 1  # noqa: PTH208
