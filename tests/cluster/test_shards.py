"""`crawler split`, `work` and `collect`: every input has one record in the end, whoever is killed meanwhile."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from loopback import eventually
from shard_tools import hosts, kill_workers, named

from crawler.cli.main import main
from crawler.site import RunningSite

SHARDS = 4


@pytest.fixture
def lists(site: RunningSite, tmp_path: Path) -> list[str]:
    """Two lists: of ten domains, one of which has half of the URLs; with lines that are no URLs, and one that is twice."""
    first = [named(site, f"w{n % 3}.site{n % 10}.co.uk", f"/p/{n}.html") for n in range(60)]
    second = [named(site, ("www." if n % 2 else "") + "giant.com", f"/p/{n}.html") for n in range(60)]
    (tmp_path / "a.txt").write_text("\n".join(["# a list", *first, "no url", "", first[0]]))
    (tmp_path / "b.jsonl").write_text("".join(f"{json.dumps({'url': url})}\n" for url in second) + "{}\n")
    return [str(tmp_path / "a.txt"), str(tmp_path / "b.jsonl")]


INPUTS = 60 + 2 + 60 + 1


def records(path: Path) -> Counter[tuple[str, int]]:
    """How often there is a record of a line of an input."""
    found = [json.loads(line)["input"] for line in path.read_text().splitlines()]
    return Counter((Path(of["source"]).name, of["line"]) for of in found)


def work(site: RunningSite, folder: Path, shard: int | str, *options: str) -> list[str]:
    where = [str(folder / "shards"), "--shard", str(shard), "-o", str(folder / "parts")]
    return ["work", *where, "--resolve", hosts(site), "-q", *options]


def test_the_whole_way(site, lists, tmp_path, capsys, monkeypatch):
    """Lists are cut, shards done (also by the number that a scheduler gives), a done one is done, parts are joined."""
    assert main(["split", *lists, "--shards", str(SHARDS), "-o", str(tmp_path / "shards"), "-q"]) == 0
    for shard in range(SHARDS - 1):
        assert main(work(site, tmp_path, shard)) == 0
    assert main(["collect", str(tmp_path / "parts"), "-o", str(tmp_path / "all.jsonl")]) == 5
    assert "part-00003.jsonl is missing: shard 3 has" in capsys.readouterr().err
    assert not (tmp_path / "all.jsonl").exists()
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    assert main(work(site, tmp_path, "auto")) == 0
    before = (tmp_path / "parts" / "part-00003.jsonl").stat().st_mtime_ns
    assert main(work(site, tmp_path, "auto")) == 0
    assert (tmp_path / "parts" / "part-00003.jsonl").stat().st_mtime_ns == before
    assert main(["collect", str(tmp_path / "parts"), "-o", str(tmp_path / "all.jsonl")]) == 0
    assert capsys.readouterr().err == f"Every input has one record: {INPUTS} inputs\n"
    found = records(tmp_path / "all.jsonl")
    assert set(found.values()) == {1}
    assert set(found) == {("a.txt", n) for n in (*range(2, 63), 64)} | {("b.jsonl", n) for n in range(1, 62)}
    assert sorted(path.name for path in (tmp_path / "parts").iterdir()) == [
        "manifest.json",
        *(f"part-{n:05}.jsonl" for n in range(SHARDS)),
    ]


def test_killed_workers(site, lists, tmp_path):
    """kill -9 in the middle of a part: the next worker takes the shard over, and nothing is missing or double."""
    assert main(["split", *lists, "--shards", str(SHARDS), "-o", str(tmp_path / "shards"), "-q"]) == 0
    parts = tmp_path / "parts"
    for shard in range(SHARDS):
        argv = [sys.executable, "-m", "crawler", *work(site, tmp_path, shard, "--rate", "20/s")]
        with subprocess.Popen(argv) as victim:
            assert eventually(lambda n=shard: any(p.stat().st_size for p in parts.glob(f".part-{n:05}-*")), 30)
            victim.send_signal(signal.SIGKILL)
        assert victim.returncode == -signal.SIGKILL
        assert not (parts / f"part-{shard:05}.jsonl").exists()
        assert main(work(site, tmp_path, shard)) == 0
    assert main(["collect", str(parts), str(tmp_path / "shards"), "-o", str(tmp_path / "all.jsonl.gz"), "-q"]) == 0
    assert not [*parts.glob(".part-*"), *parts.glob("lease-*")]


def test_a_shard_that_is_being_done_is_waited_for(site, lists, tmp_path):
    """Two workers of one shard at the same time: one does it, the other sees that it is done."""
    assert main(["split", *lists, "--shards", "1", "-o", str(tmp_path / "shards"), "-q"]) == 0
    argv = [sys.executable, "-m", "crawler", *work(site, tmp_path, 0, "--rate", "50/s")]
    with subprocess.Popen(argv) as first:
        assert eventually(lambda: [*(tmp_path / "parts").glob("lease-*")], 30)
        words = work(site, tmp_path, 0)
        words.remove("-q")
        second = subprocess.run([sys.executable, "-m", "crawler", *words], capture_output=True, text=True, check=False)
    assert (first.returncode, second.returncode) == (0, 0)
    assert second.stderr == f"Shard 0 is done already: {tmp_path / 'parts'}\n"


def test_all_shards_by_processes_that_are_killed(site, lists, tmp_path, capsys):
    """--engine local: a process that is killed is replaced, and its shard done again."""
    assert main(["split", *lists, "--shards", str(SHARDS), "-o", str(tmp_path / "shards"), "-q"]) == 0
    parts = tmp_path / "parts"
    where = [str(tmp_path / "shards"), "-o", str(parts), "--engine", "local", "--resolve", hosts(site)]
    with subprocess.Popen([sys.executable, "-m", "crawler", "work", *where, "--rate", "50/s"]) as parent:
        killed: set[int] = set()
        assert eventually(lambda: kill_workers(parts, killed, 2), 60)
    assert parent.returncode == 0
    assert parent.pid not in killed
    assert main(["collect", str(parts), "-o", str(tmp_path / "all.jsonl")]) == 0
    assert capsys.readouterr().err.startswith(f"Every input has one record: {INPUTS} inputs")


def test_what_is_missing_or_double_is_named(site, lists, tmp_path, capsys):
    """A part that somebody has changed is told of, line by line where the shards are at hand; nothing is joined."""
    assert main(["split", *lists, "--shards", "1", "-o", str(tmp_path / "shards"), "-q"]) == 0
    assert main(work(site, tmp_path, 0)) == 0
    part = tmp_path / "parts" / "part-00000.jsonl"
    lines = part.read_bytes().splitlines(keepends=True)
    gone, twice = (json.loads(lines[at])["input"] for at in (0, 1))
    part.write_bytes(b"".join([*lines[1:], lines[1]]))
    assert main(["collect", str(part.parent), str(tmp_path / "shards"), "-o", str(tmp_path / "all.jsonl")]) == 5
    said = capsys.readouterr().err.splitlines()
    assert said[0].endswith(f"part-00000.jsonl: {INPUTS} inputs have records, and there should be {INPUTS}")
    assert said[1].endswith(f"no record of {gone['source']}:{gone['line']}")
    assert said[2].endswith(f"more than one record of {twice['source']}:{twice['line']}")
    assert not (tmp_path / "all.jsonl").exists()


def test_domains_stay_together(lists, tmp_path, capsys):
    """All hosts of a domain are in one shard; the giant has the first for itself, and its name is told."""
    assert main(["split", *lists, "--shards", "8", "-o", str(tmp_path / "shards")]) == 0
    assert "(1 domain has shards of their own)" in capsys.readouterr().err
    manifest = json.loads((tmp_path / "shards" / "manifest.json").read_bytes())
    assert [shard.get("giant") for shard in manifest["shards"][:2]] == ["giant.com", None]
    assert manifest["shards"][0]["inputs"] == 60  # of one host, as www counts: it is not cut
    assert sum(shard["inputs"] for shard in manifest["shards"]) == manifest["inputs"] == INPUTS
    where: dict[str, set[int]] = {}
    for number in range(8):
        for line in (tmp_path / "shards" / f"shard-{number:05}.jsonl").read_text().splitlines():
            if "://" in (url := json.loads(line)[2]):
                where.setdefault(".".join(url.split("/")[2].split(":")[0].split(".")[-3:]), set()).add(number)
    assert {len(numbers) for name, numbers in where.items() if name.endswith(".co.uk")} == {1}


def test_standard_input(lists, tmp_path):
    """It is cut as a file is; its lines are those of `-`, and the same once more changes nothing."""
    text = Path(lists[0]).read_bytes()
    argv = [sys.executable, "-m", "crawler", "split", "-", lists[1], "--shards", "4", "-o", str(tmp_path / "shards")]
    for _ in range(2):
        subprocess.run([*argv, "-q"], input=text, check=True)
    manifest = json.loads((tmp_path / "shards" / "manifest.json").read_bytes())
    assert [source["source"] for source in manifest["sources"]] == ["-", lists[1]]
    assert manifest["inputs"] == INPUTS
    rows = [
        json.loads(line) for path in (tmp_path / "shards").glob("shard-*") for line in path.read_text().splitlines()
    ]
    assert sorted(line for source, line, *_ in rows if source == 0) == [*range(2, 63), 64]
    failed = subprocess.run([*argv, "-q"], input=text + b"http://more.com/\n", check=False, capture_output=True)
    assert failed.returncode == 2
    assert b"holds other shards" in failed.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pipes with names")
def test_a_pipe(lists, tmp_path):
    """What can be read only once is copied first."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    argv = [sys.executable, "-m", "crawler", "split", str(pipe), "--shards", "2", "-o", str(tmp_path / "shards"), "-q"]
    with subprocess.Popen(argv) as process:
        pipe.write_bytes(Path(lists[1]).read_bytes())
        assert process.wait(60) == 0
    assert json.loads((tmp_path / "shards" / "manifest.json").read_bytes())["inputs"] == 61


def test_splitting_again(lists, tmp_path, capsys):
    """The same split once more changes nothing; another one is refused, unless -O replaces it."""
    folder = tmp_path / "shards"
    assert main(["split", *lists, "--shards", "4", "-o", str(folder), "-q"]) == 0
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir() if path.name != ".split.lock"}
    assert main(["split", *lists, "--shards", "4", "-o", str(folder), "-q"]) == 0
    assert {name: (folder / name).stat().st_mtime_ns for name in before} == before
    assert main(["split", *lists, "--shards", "3", "-o", str(folder), "-q"]) == 2
    assert "holds other shards (-O" in capsys.readouterr().err
    assert main(["split", *lists, "--shards", "3", "-O", str(folder), "-q"]) == 0
    assert len([*folder.glob("shard-*")]) == 3


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["split", "-o", "d"], "split: nothing to cut"),
        (["split", "-", "-", "-o", "d"], "'-' is given more than once"),
        (["split", "a.txt"], "split: no folder, and there should be one: -o DIR"),
        (["split", "http://h/", "-o", "d"], "split: 'http://h/' is no file"),
        (["work", "d", "-o", "p"], "work: which shard? (--shard N, --shard auto, or all by --engine local)"),
        (["work", "d", "--shard", "x", "-o", "p"], "--shard: 'x' is not the number of a shard, from 0 on, or auto"),
        (["work", "d", "--shard", "auto", "-o", "p"], "--shard: auto, and none of SLURM_ARRAY_TASK_ID"),
        (
            ["work", "d", "--shard", "0", "-o", "p"],
            "'d' holds no manifest.json: `crawler split` writes one, last of all",
        ),
        (["work", "d", "--shard", "0", "-o", "p", "--job", "j"], "--job: cannot be combined with shards"),
        (["work", "d", "--shard", "0", "-o", "p", "--items", "i.csv"], "(`crawler collect --items FILE` makes them"),
        (["work", "d", "--shard", "0", "-o", "p", "--stats", "s"], "(`crawler report` counts what `crawler collect`"),
        (
            ["work", "d", "--shard", "0", "-o", "p", "--bodies", "b", "--bodies-as", "name"],
            "--bodies-as: name: shards done at the same time would take the same names (use hash, or url)",
        ),
        (
            ["work", "d", "--shard", "0", "-o", "p", "--fields", "url"],
            "--fields: `crawler collect` counts by the field",
        ),
        (["collect", "p"], "'p' holds no manifest.json"),
        (["--shards", "3", "http://h/"], "--shards: is for `crawler split` and `crawler work`"),
    ],
)
def test_bad_arguments(argv, words, tmp_path, monkeypatch, capsys):
    """One sentence that names what is wrong."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("http://h/\n")
    assert main(argv) == 2
    assert words in capsys.readouterr().err
