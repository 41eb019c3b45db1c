"""Ray, Dask and Spark do what processes of this machine do; and object stores what folders do."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from crawler.cli.main import main

INPUTS = 40


@pytest.fixture
def urls(site, tmp_path: Path) -> str:
    path = tmp_path / "urls.txt"
    path.write_text("".join(f"{site.url(f'/p/{n}.html')}\n" for n in range(INPUTS)))
    return str(path)


@pytest.mark.parametrize(
    ("engine", "module", "address"),
    [("ray", "ray", "local"), ("dask", "distributed", "auto"), ("spark", "pyspark", "auto")],
)
def test_an_engine(engine: str, module: str, address: str, urls: str, tmp_path: Path) -> None:
    """Split and work by an engine, on this machine: every input has one record."""
    if find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
    where = ["--engine", engine, "--address", address]
    crawler = [sys.executable, "-m", "crawler"]
    shards, parts = str(tmp_path / "shards"), str(tmp_path / "parts")
    subprocess.run([*crawler, "split", urls, "--shards", "3", "-o", shards, *where], check=True, timeout=120)
    subprocess.run([*crawler, "work", shards, "-o", parts, *where], check=True, timeout=120)
    assert main(["collect", parts, "-o", str(tmp_path / "all.jsonl"), "-q"]) == 0


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
