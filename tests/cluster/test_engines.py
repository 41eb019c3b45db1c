"""Ray, Dask and Spark do what processes of this machine do; and object stores what folders do."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import pytest
from loopback import eventually
from needs import SERVERS, missing
from shard_tools import hosts, kill_workers, named

from crawler.cli.main import main
from crawler.cluster.engines.spark import retrying

INPUTS = 40
LIMIT = 300  # seconds, where much else is done beside


@pytest.fixture
def urls(site, tmp_path: Path) -> str:
    path = tmp_path / "urls.txt"
    path.write_text("".join(f"{site.url(f'/p/{n}.html')}\n" for n in range(INPUTS)))
    return str(path)


@pytest.fixture
def domains(site, tmp_path: Path) -> str:
    path = tmp_path / "urls.txt"
    path.write_text("".join(named(site, f"site{n % 10}.com", f"/p/{n}.html\n") for n in range(INPUTS)))
    return str(path)


BOTH_STEPS = "import sys; from crawler.cli.main import main; sys.exit(any(main(step.split()) for step in sys.argv[1:]))"


@pytest.mark.parametrize(
    ("engine", "module", "address"),
    [("ray", "ray", "local"), ("dask", "distributed", "auto"), ("spark", "pyspark", "auto")],
)
def test_an_engine(engine: str, module: str, address: str, domains: str, site, tmp_path: Path) -> None:
    """Split and work by an engine, on this machine, whose worker is killed (-9) in the middle of a part: every input
    has one record.
    """
    if find_spec(module) is None:
        missing(f"{module} is not installed", SERVERS)
    if engine == "spark" and which("java") is None:
        missing("there is no Java", SERVERS)
    where = f"--engine {engine} --address {address} -q"
    split = f"split {domains} --shards 3 -o {tmp_path / 'shards'} {where}"
    work = f"work {tmp_path / 'shards'} -o {tmp_path / 'parts'} {where} --resolve {hosts(site)} --rate 20/s"
    killed: set[int] = set()
    with subprocess.Popen([sys.executable, "-c", BOTH_STEPS, split, work]) as parent:
        assert eventually(lambda: kill_workers(tmp_path / "parts", killed, 1) or parent.poll() is not None, LIMIT)
        assert parent.wait(LIMIT) == 0
    assert killed
    assert parent.pid not in killed
    assert main(["collect", str(tmp_path / "parts"), "-o", str(tmp_path / "all.jsonl"), "-q"]) == 0
    lines = [json.loads(line)["input"]["line"] for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert sorted(lines) == [*range(1, INPUTS + 1)]


@pytest.mark.parametrize(
    ("address", "master"),
    [
        ("local", "local[1,4]"),
        ("local[2]", "local[2,4]"),
        ("local[*]", "local[*,4]"),
        ("local[2,1]", "local[2,1]"),
        ("spark://master:7077", "spark://master:7077"),
    ],
)
def test_spark_retries_on_one_machine_too(address: str, master: str) -> None:
    """Which it does only if it is told how often, and then as it was told."""
    assert retrying(address) == master


def test_what_is_not_installed(urls: str, tmp_path: Path, monkeypatch, capsys) -> None:
    """One sentence says which extra it is."""
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["split", urls, "-o", str(tmp_path / "shards"), "--engine", "ray"]) == 2
    assert capsys.readouterr().err.endswith("ray is not installed: pip install 'everyurl[ray]'\n")


def test_object_stores(objects, urls: str, tmp_path: Path, capsys) -> None:
    """Shards, parts and what they become are objects: put once, whole; a done shard is done, a missing one is told."""
    bucket = objects.bucket()
    shards, parts = f"s3://{bucket}/a/shards", f"s3://{bucket}/a/parts"
    assert main(["split", urls, "--shards", "2", "-o", shards, "-q"]) == 0
    assert main(["work", shards, "--shard", "0", "-o", parts, "-q"]) == 0
    assert main(["collect", parts, "-o", f"s3://{bucket}/all.jsonl", "-q"]) == 5
    assert "part-00001.jsonl is missing" in capsys.readouterr().err
    assert main(["work", shards, "--shard", "1", "-o", parts, "-q"]) == 0
    assert main(["work", shards, "--shard", "1", "-o", parts]) == 0
    assert "is done already" in capsys.readouterr().err
    assert main(["collect", parts, "-o", f"s3://{bucket}/all.jsonl", "-q"]) == 0
    lines = [json.loads(line)["input"]["line"] for line in objects.get(bucket, "all.jsonl").splitlines()]
    assert sorted(lines) == [*range(1, INPUTS + 1)]
    assert sorted(key for key in objects.keys(bucket) if "/parts/" in key) == [
        f"a/parts/{name}" for name in ("manifest.json", "part-00000.jsonl", "part-00001.jsonl")
    ]
