"""A job run once more, and what differs between two runs."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from asking_server import Answer, asked
from full_disk import small_files
from real_peers import Peer, nginx

from crawler import fetch_all
from crawler.cli.main import main
from crawler.config.sources import ConfigError
from crawler.job.history import again as again_module
from crawler.job.history.again import again, numbered
from crawler.job.history.comparison import Change, Comparison, Seen, compared
from crawler.job.options import INTENT, JobError
from crawler.job.status import read_books
from crawler.job.verify import verify


def seen(answer: int | str = 200, **fields: Any) -> Seen:
    whole = {"leads_to": None, "title": "t", "sha256": "a", "texts": {}, "data": None}
    return Seen("http://a/", answer, **{**whole, **fields})


@pytest.mark.parametrize(
    ("old", "new", "change", "fields"),
    [
        (seen(), seen(), None, set()),
        (None, seen(), "new", {"status"}),
        (seen(404), seen(), "new", {"status"}),
        (seen("timeout_total"), seen(), "new", {"status"}),
        (None, seen(404), None, set()),
        (seen(404), seen(404), None, set()),
        (seen(404), seen(500), "changed", {"status"}),
        (seen(), seen(404), "gone", {"status"}),
        (seen(), seen(410), "gone", {"status"}),
        (seen(), seen(503), "changed", {"status"}),
        (seen(), seen("timeout_total"), "changed", {"status"}),
        (seen(), seen(203), "changed", {"status"}),
        (seen(), seen(title="u", sha256="b"), "changed", {"title", "hash"}),
        (seen(), seen(leads_to="http://b/"), "changed", {"redirect"}),
        (seen(texts={"x": "1"}), seen(texts={"x": "2"}), "changed", {"text"}),
        (seen(data={"x": 1}), seen(data={"x": 2}), "changed", {"data"}),
        (seen(sha256=None), seen(sha256="b"), None, set()),
    ],
)
def test_what_has_become_of_a_page(old, new, change, fields):
    """Good before and now, or only one of them; what is not known of one is no difference."""
    found = compared(old, new)
    assert (None if found is None else found.change) == change
    assert set() == fields if found is None else found.fields.keys() == fields


def records(path: Path, *lines: dict[str, Any]) -> str:
    whole = {"outcome": "ok", "status": 200, "sha256": "a", "title": "t"}
    path.write_text("".join(json.dumps({**whole, "final_url": line["url"], **line}) + "\n" for line in lines))
    return str(path)


@pytest.fixture
def two(tmp_path: Path) -> tuple[str, str]:
    """Records of two runs: one page each is unchanged, changed, gone without a record, gone, new."""
    old = records(
        tmp_path / "old.jsonl",
        {"url": "http://a/same"},
        {"url": "http://a/changed", "data": {"main": {"text": "one", "language": "en"}, "price": 1}},
        {"url": "http://a/lost"},
        {"url": "http://a/gone"},
        {"url": "no URL", "outcome": "failed", "error": {"code": "url_invalid"}, "status": None},
    )
    new = records(
        tmp_path / "new.jsonl",
        {"url": "http://a/same", "outcome": "unchanged", "status": 304},
        {"url": "http://a/changed", "data": {"main": {"text": "two", "language": "en"}, "price": 1}, "sha256": "b"},
        {"url": "http://a/gone", "status": 404},
        {"url": "http://a/new", "title": "\x1b[31m<script>"},
        {"url": "http://a/new"},
        {"url": "http://a/skipped", "outcome": "skipped", "status": None, "error": {"code": "out_of_scope"}},
    )
    return old, new


def test_two_runs(two):
    """Each URL once; the main text is told apart from other data."""
    comparison = Comparison(*two)
    found = list(comparison)
    comparison.close()
    assert [(change.change, change.url.rpartition("/")[2], [*change.fields]) for change in found] == [
        ("changed", "changed", ["text", "hash"]),
        ("gone", "gone", ["status"]),
        ("new", "new", ["status"]),
        ("gone", "lost", ["status"]),
    ]
    assert (comparison.counts, comparison.unchanged) == ({"new": 1, "gone": 2, "changed": 1}, 1)


def test_numbers_of_any_length(tmp_path):
    """In the data of pages there may be any: they are compared as others are."""
    old = records(tmp_path / "old.jsonl", {"url": "http://a/", "data": {"n": 10**100}})
    new = records(tmp_path / "new.jsonl", {"url": "http://a/", "data": {"n": 10**100 + 1}})
    comparison = Comparison(old, new)
    assert [change.fields for change in comparison] == [{"data": ({"n": 10**100}, {"n": 10**100 + 1})}]
    comparison.close()


@pytest.mark.parametrize("arguments", [["diff", "old.jsonl", "old.jsonl"], ["http://a/", "--since", "old.jsonl", "-q"]])
def test_no_room_for_what_was_read(tmp_path, monkeypatch, capfd, arguments):
    """Records that do not fit into memory wait on the disk: when that is full, that is said, with the code for it."""
    monkeypatch.chdir(tmp_path)
    from_a = {"input": {"source": "link", "parent": "http://a/"}}
    pages = ({"url": f"http://a/{n}/{'x' * 1_000}", "title": f"{n}" * 500, **from_a} for n in range(4_000))
    records(tmp_path / "old.jsonl", *pages)
    with small_files(50_000):
        assert main(arguments) == 5
    said = capfd.readouterr().err
    assert "disk_full" in said and "finds no room among temporary files" in said
    assert "Traceback" not in said


def test_for_people(two, capfd):
    """A line each, the sum at the end; exit code 1 says that something differs, 0 that nothing does."""
    assert main(["diff", *two]) == 1
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].startswith('changed  http://a/changed  text: {"main":"one"} -> {"main":"two"}; hash: a -> b')
    assert lines[1] == "gone     http://a/gone  status: 200 -> 404"
    assert lines[-1] == "1 new, 2 gone, 1 changed, 1 unchanged"
    assert main(["diff", two[0], two[0]]) == 0
    assert capfd.readouterr().out == "0 new, 0 gone, 0 changed, 4 unchanged\n"


def test_for_programs(two, tmp_path, capfd):
    """JSON Lines, to a file or standard output."""
    assert main(["diff", *two, "-o", str(tmp_path / "changes.jsonl")]) == 1
    assert main(["diff", *two, "-o", "-"]) == 1
    printed = capfd.readouterr().out
    assert (tmp_path / "changes.jsonl").read_text() == printed
    changes = [msgspec.json.decode(line, type=Change) for line in printed.splitlines()]
    assert [change.change for change in changes] == ["changed", "gone", "new", "gone"]


def test_as_a_page(two, tmp_path):
    """What came from the network is text in it."""
    page = tmp_path / "changes.html"
    assert main(["diff", *two, "-o", str(page)]) == 1
    html = page.read_text()
    assert "<title>Changes " in html and "http://a/gone" in html and "New: 1" in html
    assert "<script>alert" not in html and "\x1b" not in html


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["diff"], "diff: 0 inputs, and there should be two"),
        (["diff", "OLD", "OLD", "-o", "x.csv"], "diff: 'x.csv' is neither a page nor JSON Lines"),
        (["diff", "OLD", "nowhere.jsonl"], "diff: nowhere.jsonl: cannot be read: .*No such file"),
        (["diff", "OLD", "OLD", "-o", "a.jsonl", "-o", "b.html"], "diff: 2 outputs, and there should be one"),
        (["again"], "again: 0 arguments, and there should be 1: crawler again DIR"),
        (["again", "nowhere"], "nowhere is not the folder of a job"),
    ],
)
def test_what_is_asked_wrong(arguments, words, two, tmp_path, monkeypatch, capfd):
    """One sentence, and exit code 2."""
    monkeypatch.chdir(tmp_path)
    assert main([two[0] if argument == "OLD" else argument for argument in arguments]) == 2
    import re

    assert re.search(words, capfd.readouterr().err)


# Again.


@contextmanager
def site(tmp_path: Path) -> Iterator[tuple[Peer, Path]]:
    with nginx(tmp_path, "location / { root www; }") as server:
        www = server.folder / "www"
        www.mkdir(exist_ok=True)
        for name in "abcd":
            (www / f"{name}.html").write_text(f"<title>{name}</title>")
        links = "".join(f"<a href=/{name}.html>x</a>" for name in "abcd")
        (www / "index.html").write_text(f"<title>index</title>{links}")
        yield server, www


def crawled(server: Peer, folder: Path) -> int:
    outputs = ["-o", str(folder / "records.jsonl"), "-o", str(folder / "pages.sqlite")]
    options = ["--delay", "0", "--no-robots", "-q", "--job", str(folder / "job")]
    return main(["-r", server.url("/index.html"), *outputs, *options])


def outcomes(path: Path) -> dict[str, str]:
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    return {line["url"].rpartition("/")[2]: line["outcome"] for line in lines}


def test_logins_in_its_inputs_are_not_there_any_more(tmp_path, monkeypatch, capfd):
    """As with all that is secret it says so, and asks nobody without them; given as an option they go there."""
    monkeypatch.chdir(tmp_path)

    def answer(path: str, login: str | None, count: int) -> Answer:
        return (200 if login else 401), {}

    with asked(answer) as server:
        url = server.url("/a").replace("//", "//joe:secret@")
        assert main([url, "-o", "records.jsonl", "--job", "job", "-q"]) == 0
        assert main(["again", "job", "-q"]) == 2
        said = capfd.readouterr().err
        assert f"{server.url('/a')!r} had a user and a password, which are not kept" in said
        assert "--auth" in said
        assert main(["again", "job", "-q", "-u", "joe:secret"]) == 0
        assert [login is not None for _, login in server.requests] == [True, True]
    assert outcomes(tmp_path / "records.jsonl") == {"a": "unchanged"}


def test_a_job_once_more(tmp_path, capfd):
    """What it had is kept under a number; the new run has fetched what changed; `diff` names that."""
    with site(tmp_path) as (server, www):
        assert crawled(server, tmp_path) == 0
        (www / "b.html").write_text("<title>new b</title>")
        assert main(["again", str(tmp_path / "job"), "-q"]) == 0
        (www / "c.html").unlink()
        assert main(["again", str(tmp_path / "job"), "-q"]) == 0
    assert set(outcomes(tmp_path / "records.1.jsonl").values()) == {"ok"}
    second, third = outcomes(tmp_path / "records.2.jsonl"), outcomes(tmp_path / "records.jsonl")
    assert [name for name, outcome in second.items() if outcome == "ok"] == ["b.html"]
    assert [name for name, outcome in third.items() if outcome == "ok"] == ["c.html"]
    assert verify(str(tmp_path / "job")).problems == []
    assert sorted(path.name for path in (tmp_path / "job" / "history").iterdir()) == ["1", "2"]
    assert (tmp_path / "pages.1.sqlite").exists() and (tmp_path / "pages.sqlite").exists()
    capfd.readouterr()
    assert main(["diff", str(tmp_path / "job")]) == 1
    told = capfd.readouterr().out
    assert "gone" in told and "/c.html  status: 200 -> 404" in told
    assert told.endswith("0 new, 1 gone, 0 changed, 4 unchanged\n")
    assert main(["diff", str(tmp_path / "records.1.jsonl"), str(tmp_path / "records.2.jsonl")]) == 1
    assert "/b.html  title: b -> new b; hash:" in capfd.readouterr().out


def test_inputs_from_standard_input(tmp_path, capfd, monkeypatch):
    """Where nothing is given nothing is put aside. With an empty list, what to compare with is older."""
    monkeypatch.chdir(tmp_path)
    Path("none.txt").write_text("")

    def run(given: str, *arguments: str) -> int:
        with open(given) as file:  # noqa: PTH123 - also of a device
            monkeypatch.setattr(sys, "stdin", file)
            return main([*arguments, "-q"])

    with asked(lambda *_: (200, {})) as server:
        Path("urls.txt").write_text(f"{server.url('/a')}\n")
        assert run("urls.txt", "-", "-o", "records.jsonl", "--job", "job") == 0
        assert run(os.devnull, "again", "job") == 2
        assert "read its inputs from standard input (give it once more: crawler again" in capfd.readouterr().err
        assert outcomes(Path("records.jsonl")) == {"a": "ok"}
        for given in ("none.txt", "none.txt", "urls.txt"):
            assert run(given, "again", "job") == 0
    assert outcomes(Path("records.jsonl")) == {"a": "unchanged"}
    assert outcomes(Path("records.1.jsonl")) == {"a": "ok"}


def test_inputs_from_a_program(tmp_path):
    """They are not known any more: nothing is put aside for a run without any."""
    with asked(lambda *_: (200, {})) as server:
        fetch_all([server.url("/a")], output=str(tmp_path / "records.jsonl"), job=str(tmp_path / "job"))
    with pytest.raises(ConfigError, match="got its URLs from a program"):
        again(str(tmp_path / "job"))
    assert outcomes(tmp_path / "records.jsonl") == {"a": "ok"}


def test_a_table_that_somebody_reads(tmp_path):
    """What is not in its file yet goes with it: the rows of the run before are all there under their new name."""
    with site(tmp_path) as (server, _), closing(sqlite3.connect(tmp_path / "pages.sqlite")) as reader:
        reader.execute("CREATE TABLE mine (x)")
        reader.execute("PRAGMA journal_mode = WAL")
        options = ["-o", str(tmp_path / "records.jsonl"), "-O", str(tmp_path / "pages.sqlite")]
        job = ["--delay", "0", "-q", "--job", str(tmp_path / "job")]
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM mine").fetchall()
        assert main([server.url("/a.html"), *options, *job]) == 0
        again(str(tmp_path / "job"))
    with closing(sqlite3.connect(tmp_path / "pages.1.sqlite")) as db:
        assert db.execute("SELECT count(*) FROM records").fetchone() == (1,)


@pytest.mark.parametrize("moved", range(11))
def test_killed_while_it_is_put_aside(tmp_path, monkeypatch, moved):
    """Whatever the instant: nothing is lost, the job says that it is to go on, and it does."""
    with site(tmp_path) as (server, _):
        assert crawled(server, tmp_path) == 0
        rename, calls = os.rename, []

        def dying(old: str, new: str) -> None:
            if len(calls) == moved:
                raise KeyboardInterrupt
            calls.append(old)
            rename(old, new)

        monkeypatch.setattr(again_module.os, "rename", dying)
        with pytest.raises(KeyboardInterrupt):
            again(str(tmp_path / "job"))
        monkeypatch.undo()
        assert (tmp_path / "job" / INTENT).exists()
        assert crawled(server, tmp_path) == 2  # the job refuses: it is being put aside
        assert main(["again", str(tmp_path / "job"), "-q"]) == 0
    assert set(outcomes(tmp_path / "records.1.jsonl").values()) == {"ok"}
    assert set(outcomes(tmp_path / "records.jsonl").values()) == {"unchanged"}
    assert read_books(str(tmp_path / "job")).ok == 5
    assert verify(str(tmp_path / "job")).problems == []


def test_a_job_that_is_not_finished(tmp_path):
    """Goes on by its own command first."""
    with site(tmp_path) as (server, _):
        options = ["--delay", "0", "--no-robots", "-q", "--max-pages", "2", "--job", str(tmp_path / "job")]
        main(["-r", server.url("/index.html"), "-o", str(tmp_path / "records.csv"), *options])
    with pytest.raises(ConfigError, match="has no output in JSON Lines to compare with"):
        again(str(tmp_path / "job"))


def test_something_in_the_way(tmp_path):
    """Nothing is replaced."""
    with site(tmp_path) as (server, _):
        assert crawled(server, tmp_path) == 0
    (tmp_path / "records.1.jsonl").write_text("mine")
    with pytest.raises(JobError, match=r"records.1.jsonl is in the way of what the job had"):
        again(str(tmp_path / "job"))
    assert (tmp_path / "records.jsonl").exists()


@pytest.mark.parametrize(
    ("name", "grows", "moved"),
    [
        ("records.jsonl", "records.jsonl", "records.3.jsonl"),
        ("a/records.jsonl.gz", "a/records.jsonl.gz", "a/records.3.jsonl.gz"),
        ("x.parquet", "x.parquet.rows", "x.3.parquet.rows"),
        (".hidden", ".hidden", ".hidden.3"),
        ("plain", "plain", "plain.3"),
    ],
)
def test_names_with_numbers(name, grows, moved):
    """Before the first dot, so that the suffix still says what it is."""
    assert numbered(grows, name, 3) == moved
