"""Outputs in an object store, from the command line: whole objects at the end, or words about why not."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import duckdb
import killed_objects
import pytest
from object_server import SECRET, once

from crawler.cli.main import main
from crawler.objects.bucket import Patience

FORMATS = ("a.jsonl", "b.jsonl.gz", "c.csv", "d.parquet", "e.sqlite", "f.duckdb")


@pytest.fixture
def bucket(objects):
    return objects.bucket()


def urls(folder: Path, site, count: int) -> str:
    """A list of pages."""
    path = folder / "urls.txt"
    path.write_text("".join(f"{site.url(f'/p/{number}.html')}\n" for number in range(count)))
    return str(path)


def records(content: bytes | None) -> list[dict]:
    assert content is not None
    return [json.loads(line) for line in content.splitlines()]


@pytest.mark.parametrize("job", [(), ("--job", "job")], ids=["", "job"])
def test_every_format_becomes_an_object(folder, site, objects, bucket, job):
    """As the file would be: what is made of a log as well, and what pages give."""
    outputs = [part for name in FORMATS for part in ("-o", f"s3://{bucket}/x/{name}")]
    items = ["--extract", "title=css:title::text", "--items", f"s3://{bucket}/items.csv"]
    assert main([urls(folder, site, 5), *outputs, *items, *job, "-q"]) == 0
    assert objects.keys(bucket) == ["items.csv", *(f"x/{name}" for name in FORMATS)]
    found = {name: objects.get(bucket, f"x/{name}") for name in FORMATS}
    assert len(records(found["a.jsonl"])) == 5
    assert len(records(gzip.decompress(found["b.jsonl.gz"]))) == 5
    assert found["c.csv"].count(b"\n") == 6
    (folder / "d.parquet").write_bytes(found["d.parquet"])
    assert duckdb.sql("SELECT count(*) FROM 'd.parquet'").fetchall() == [(5,)]
    assert found["e.sqlite"].startswith(b"SQLite format 3\0")
    assert objects.get(bucket, "items.csv").startswith(b"_url,title")
    assert objects.unfinished(bucket) == 0


def test_an_object_that_is_there_is_not_replaced(folder, site, objects, bucket, capfd):
    """It is looked at before anything is fetched; -O says that it may be."""
    place = f"s3://{bucket}/a.jsonl"
    listed = urls(folder, site, 1)
    assert main([listed, "-o", place, "-q"]) == 0
    before = objects.get(bucket, "a.jsonl")
    for job in ((), ("--job", "job")):
        assert main([listed, "-o", place, "-q", *job]) == 2
        assert "a.jsonl exists already: -O/--overwrite-output replaces it" in capfd.readouterr().err
    assert objects.get(bucket, "a.jsonl") == before
    assert main([listed, "-O", place, "-q"]) == 0
    assert objects.get(bucket, "a.jsonl") != before


def test_a_bucket_that_is_not_there(folder, site, objects, capfd):
    """It is known before the first page, not after the last."""
    assert main([urls(folder, site, 1), "-o", "s3://no-such-bucket/a.jsonl", "-q"]) == 5
    assert "write_error: s3://no-such-bucket/a.jsonl: there is no such bucket" in capfd.readouterr().err


@pytest.mark.parametrize("name", ["a.jsonl", "a.sqlite"])
def test_a_store_that_takes_nothing(folder, site, objects, bucket, capfd, name, monkeypatch):
    """The run ends as with a full disk; what is only to be found here is told, and is there. No secret is."""
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    objects.faults = once("507", "PUT", times=100)
    monkeypatch.setattr("crawler.objects.bucket.PATIENCE", Patience(1, 5.0, 5.0))
    assert main([urls(folder, site, 3), "-o", f"s3://{bucket}/{name}", "-q"]) == 5
    said = capfd.readouterr().err
    assert f"disk_full: s3://{bucket}/{name}: 507 Insufficient Storage (XMinioStorageFull)" in said
    assert "until then are whole" not in said
    assert ("nothing of it was put" in said) is name.endswith("jsonl")
    assert SECRET not in said
    assert objects.keys(bucket) == []
    if name.endswith("sqlite"):
        kept = said.partition("(its records are in ")[2].partition(")")[0]
        assert Path(kept).read_bytes().startswith(b"SQLite format 3\0")


def test_a_job_puts_what_it_has_when_it_goes_on(folder, site, objects, bucket, capfd, monkeypatch):
    """A store that takes nothing costs a job nothing: its records are in its folder, and the next run puts them."""
    command = [urls(folder, site, 4), "-o", f"s3://{bucket}/a.jsonl", "--job", "job", "-q"]
    objects.faults = once("503", "PUT", times=100)
    monkeypatch.setattr("crawler.objects.bucket.PATIENCE", Patience(1, 5.0, 5.0))
    assert main(command) == 5
    assert "503 Service Unavailable (SlowDown)" in capfd.readouterr().err
    objects.faults = lambda method, path: None
    assert main(command) == 0
    assert len(records(objects.get(bucket, "a.jsonl"))) == 4
    assert main(["verify", "job"]) == 0
    assert main(["again", "job", "-q"]) == 0
    assert [record["outcome"] for record in records(objects.get(bucket, "a.jsonl"))] == ["unchanged"] * 4
    assert not any(SECRET in path.read_text(errors="replace") for path in Path("job").rglob("*") if path.is_file())


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals")
@pytest.mark.parametrize("job", [(), ("--job", "job")], ids=["", "job"])
def test_a_store_that_never_answers_holds_nobody(folder, site, objects, bucket, job):
    """Stopped twice, the run ends soon and says that the object was given up."""
    asked = threading.Event()
    answers = threading.Event()

    def never(method: str, path: str) -> str | None:
        if method not in {"PUT", "POST"}:
            return None
        asked.set()
        answers.wait(30)
        return "cut"

    objects.faults = never
    command = [sys.executable, "-m", "crawler", urls(folder, site, 2), "-o", f"s3://{bucket}/a.jsonl", "-q", *job]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        assert asked.wait(30)
        running.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.wait(0.5)
        assert running.poll() is None, "one signal lets it put what there is"
        running.terminate()
        said = running.communicate(timeout=30)[1]
    assert running.returncode == 128 + signal.SIGTERM
    assert "given up" in said
    answers.set()
    assert objects.get(bucket, "a.jsonl") is None


@pytest.mark.parametrize("name", ["list.txt", "list.txt.gz", "list.csv", "list.jsonl"])
def test_an_input_is_an_object(folder, site, objects, bucket, name):
    """It is read as a file of that name would be, and is the source of its records."""
    lines = [site.url(f"/p/{number}.html") for number in range(3)]
    text = {"list.csv": ["url", *lines], "list.jsonl": [json.dumps({"url": line}) for line in lines]}.get(name, lines)
    content = "\n".join(text).encode()
    objects.ask("PUT", f"/{bucket}/{name}", gzip.compress(content) if name.endswith("gz") else content)
    assert main([f"s3://{bucket}/{name}", "-o", "out.jsonl", "-q", "--ordered"]) == 0
    found = records((folder / "out.jsonl").read_bytes())
    assert [record["url"] for record in found] == lines
    assert {record["input"]["source"] for record in found} == {f"s3://{bucket}/{name}"}
    assert main([f"s3://{bucket}/{name}", "-O", f"s3://{bucket}/{name}", "-q"]) == 2


def test_an_input_that_is_no_object(folder, site, objects, bucket):
    """One record says so, as of a file that breaks off while it is read; the other inputs follow."""
    assert main([f"s3://{bucket}/no.txt", site.url("/p/1.html"), "-o", "out.jsonl", "-q"]) == 0
    first, second = records((folder / "out.jsonl").read_bytes())
    assert first["error"]["code"] == "url_invalid"
    assert "404" in first["error"]["message"]
    assert second["status"] == 200


def test_what_is_not_put_there_is_refused(folder, site, objects, bucket, capfd):
    """Neither a run's own report nor what is compared: no folder `s3:` is made of it."""
    place = f"s3://{bucket}/x"
    assert main([urls(folder, site, 1), "-o", "a.jsonl", "-q"]) == 0
    for arguments in (
        ["a.jsonl", "--report", f"{place}.html"], ["a.jsonl", "--since", f"{place}.jsonl"],
        ["diff", "a.jsonl", "a.jsonl", "-o", f"{place}.jsonl"], ["diff", "a.jsonl", f"{place}.jsonl"],
    ):  # fmt: skip
        assert main(arguments) == 2
        assert "object store" in capfd.readouterr().err
    assert sorted(path.name for path in folder.iterdir()) == ["a.jsonl", "urls.txt"]


# Bodies.


def put_bodies(folder: Path, bucket: str, lines: list[str], *options: str) -> int:
    (folder / "urls.txt").write_text("".join(f"{line}\n" for line in lines))
    return main(["urls.txt", "--bodies", f"s3://{bucket}/kept", "-O", "out.jsonl", "-q", *options])


def told(folder: Path) -> dict[str, str | None]:
    """The path of each URL's body."""
    return {record["url"]: record.get("body_path") for record in records((folder / "out.jsonl").read_bytes())}


@pytest.mark.parametrize("layout", ["hash", "name", "url"])
def test_bodies_are_objects(folder, site, objects, bucket, layout):
    """Named as the files would be; each record names the object that is there. Large ones were spooled before."""
    lines = [site.url(path) for path in ("/p/1.html", "/p/2.html", "/big.html", "/p/1.html", "/missing.html")]
    assert put_bodies(folder, bucket, lines, "--bodies-as", layout) == 0
    paths = told(folder)
    kept = {f"kept/{path}" for path in paths.values() if path}
    assert kept <= set(objects.keys(bucket))
    wanted = {"hash": 4, "name": 4, "url": 4}[layout]
    assert len(objects.keys(bucket)) == wanted
    for record in records((folder / "out.jsonl").read_bytes()):
        if path := record.get("body_path"):
            assert hashlib.sha256(objects.get(bucket, f"kept/{path}")).hexdigest() == record["sha256"]
    assert [path.name for path in folder.iterdir() if path.name.startswith(".crawler")] == []


def test_a_name_that_is_taken_gets_a_number(folder, site, objects, bucket):
    """What somebody else has put stays; by URL an older version is replaced, as a file is."""
    objects.ask("PUT", f"/{bucket}/kept/1.html", b"somebody's")
    assert put_bodies(folder, bucket, [site.url("/p/1.html")], "--bodies-as", "name") == 0
    assert list(told(folder).values()) == ["1-2.html"]
    assert objects.get(bucket, "kept/1.html") == b"somebody's"
    place = f"kept/{site.host}+{site.port}/p/1.html"
    objects.ask("PUT", f"/{bucket}/{place}", b"older")
    assert put_bodies(folder, bucket, [site.url("/p/1.html")], "--bodies-as", "url") == 0
    assert objects.get(bucket, place) != b"older"
    assert f"kept/{told(folder)[site.url('/p/1.html')]}" == place


@pytest.mark.parametrize("fault", ["503", "cut", "lost"])
def test_a_body_that_is_put_again(folder, site, objects, bucket, fault):
    """A fault costs nothing, and gives no body two objects."""
    objects.faults = once(fault, "PUT", "/kept/")
    assert put_bodies(folder, bucket, [site.url("/p/1.html"), site.url("/p/2.html")], "--bodies-as", "name") == 0
    assert objects.keys(bucket) == ["kept/1.html", "kept/2.html"]


def test_bodies_that_cannot_be_put_end_the_run(folder, site, objects, bucket, capfd, monkeypatch):
    """No record says that a body is there which is not; a job fetches its URL again."""
    monkeypatch.setattr("crawler.objects.bucket.PATIENCE", Patience(0, 5.0, 5.0))
    objects.faults = once("507", "PUT", "/kept/", times=100)
    lines = [site.url(f"/p/{number}.html") for number in range(30)]
    command = ("--job", "job", "--bodies-as", "url")
    assert put_bodies(folder, bucket, lines, *command) == 5
    assert f"disk_full: s3://{bucket}/kept/" in capfd.readouterr().err
    assert (folder / "out.jsonl").read_bytes() == b""
    objects.faults = lambda method, path: None
    assert put_bodies(folder, bucket, lines, *command) == 0
    assert len(told(folder)) == len(objects.keys(bucket)) == 30
    assert main(["verify", "job"]) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_job_that_is_killed():
    """Over kills: no object is ever seen that is not whole, and in the end each record and each body is there once."""
    victim = subprocess.run(
        [sys.executable, killed_objects.__file__, "name", "3", "4"],
        env={**os.environ, "PYTHONPATH": str(Path(killed_objects.__file__).parents[2])},
        stdout=subprocess.PIPE,
        timeout=120,
    )
    found = json.loads(victim.stdout)
    assert found["problems"] == []
    assert sum(found["deaths"].values()) == 4
    assert victim.returncode == 0
