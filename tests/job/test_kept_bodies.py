"""A job and the files of its bodies: whatever the instant of a kill, each record names its file, and no other is there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import killed_downloads
import pytest
from real_peers import program

from crawler.cli.main import main
from crawler.job.kept_bodies import NAMES
from crawler.job.verify import verify


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
@pytest.mark.parametrize("layout", ["hash", "name", "url"])
def test_downloads_killed(layout):
    """Names, hashes and files over kills; large ones go on where they were."""
    program("nginx")
    victim = subprocess.run(
        [sys.executable, killed_downloads.__file__, layout, "5", "4"],
        env={**os.environ, "PYTHONPATH": str(Path(killed_downloads.__file__).parents[2])},
        stdout=subprocess.PIPE,
        timeout=120,
    )
    found = json.loads(victim.stdout)
    assert found["problems"] == []
    assert sum(found["deaths"].values()) == 4
    assert found["resumed"] > 0
    assert victim.returncode == 0


@pytest.mark.parametrize("layout", ["hash", "name", "url"])
@pytest.mark.parametrize("output", ["out.jsonl", "out.csv"])
def test_verify_looks_at_the_files(folder, site, layout, output):
    """In each layout: one that is missing, one that is another, and a path that leads elsewhere."""
    urls = [site.url("/hello/english.html"), site.url("/paper.pdf"), site.url("/p/1.html")]
    (folder / "urls.txt").write_text("\n".join(urls))
    assert main(["urls.txt", "--job", "job", "-o", output, "--bodies", "kept", "--bodies-as", layout, "-q"]) == 0
    assert verify("job").problems == []
    assert verify("job").notes == []
    first, second, _ = sorted(path for path in Path("kept").rglob("*") if path.is_file())
    first.unlink()
    second.write_bytes(bytes(second.stat().st_size))
    assert set(verify("job").problems) == {
        f"{folder / first} is missing",
        f"{folder / second} is not the body that was written",
    }


@pytest.mark.parametrize("text", ["", "{}\n", '{"scratch":"../../x"}\n', '{"scratch":1}\n'])
def test_a_file_of_names_that_is_none(folder, site, capfd, text):
    """Said in one sentence that names it; nothing is fetched, or removed anywhere."""
    command = [site.url("/hello/english.html"), "--job", "job", "-o", "out.jsonl", "--bodies", "kept", "-q"]
    assert main(command) == 0
    (folder / "job" / NAMES).write_text(text)
    assert main(command) == 2
    assert "is not what a run of this job wrote" in capfd.readouterr().err
