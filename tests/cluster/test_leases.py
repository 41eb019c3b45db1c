"""Leases run out, are lost and taken over: one part appears, whoever is late."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from loopback import eventually
from object_server import once
from shard_tools import hosts, named

from crawler.cli.main import main
from crawler.cluster.lease import Holder, Lease, Terms, take
from crawler.cluster.place import Place, open_place
from crawler.cluster.working import Seeds, Worked, in_process, work
from crawler.config.config import Config

INPUTS = 30


class Wall:
    """A time of day that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture(params=["folder", "objects"])
def parts(request, tmp_path: Path) -> str:
    """Where parts are to be."""
    if request.param == "folder":
        return str(tmp_path / "parts")
    return f"s3://{request.getfixturevalue('objects').bucket()}/parts"


@pytest.fixture
def shards(site, tmp_path: Path) -> str:
    (tmp_path / "urls.txt").write_text(
        "".join(named(site, f"site{n % 3}.com", f"/p/{n}.html\n") for n in range(INPUTS))
    )
    folder = str(tmp_path / "shards")
    assert main(["split", str(tmp_path / "urls.txt"), "--shards", "1", "-o", folder, "-q"]) == 0
    return folder


@pytest.fixture
def config(site) -> Config:
    return Config(resolve=(hosts(site),), quiet=True)


def taken(place: Place, terms: Terms) -> Lease:
    lease = take(place, 7, terms)
    assert isinstance(lease, Lease)
    return lease


@pytest.fixture
def place(parts: str) -> Iterator[Place]:
    place = open_place(parts, make=True)
    yield place
    assert not [*place.names("lease-")]


def test_a_lease_is_over_by_the_clock(place: Place, wall: Wall) -> None:
    """Nobody else has it before; then somebody may, and the first one sees that it is lost: it says so, once."""
    terms = Terms(wall=wall)
    first = taken(place, terms)
    wall.now += 59
    assert isinstance(take(place, 7, terms), Holder)
    first.renew()
    wall.now += 59
    assert isinstance(take(place, 7, terms), Holder)
    wall.now += 1
    second = taken(place, terms)
    told: list[str] = []
    with first.calling(lambda: told.append("lost")):
        first.renew()
    assert first.lost
    assert told == ["lost"]
    assert isinstance(take(place, 7, terms), Holder)  # the second's
    first.release()
    assert isinstance(take(place, 7, terms), Holder)
    second.release()
    assert not second.lost


def test_a_lease_that_was_lost_and_let_go(place: Place, wall: Wall) -> None:
    """Another was faster than we were slow: its lease is gone, and the number is that of a third now."""
    terms = Terms(wall=wall)
    first = taken(place, terms)
    wall.now += 61
    taken(place, terms).release()
    third = taken(place, terms)
    first.renew()
    assert first.lost
    first.release()
    third.renew()
    assert not third.lost
    third.release()


def test_what_is_lost_before_the_run_begins(place: Place, wall: Wall) -> None:
    """The run is told at once."""
    lease = taken(place, Terms(wall=wall))
    wall.now += 61
    taken(place, Terms(wall=wall)).release()
    lease.renew()
    told: list[str] = []
    with lease.calling(lambda: told.append("lost")):
        assert told == ["lost"]
    lease.release()


@pytest.mark.parametrize("when", ["before", "after", "and knows it"])
def test_who_is_held_up_beyond_its_lease(when: str, shards: str, parts: str, config: Config, wall: Wall) -> None:
    """Before its run (which ends at once if it knows) or after it: meanwhile another has done the shard. Its part stays
    as it is.
    """
    place = open_place(parts, make=True)
    seen: list[bytes] = []

    def held_up(lease: Lease, mine: Config, seeds: Seeds) -> int:
        if when == "after":
            assert in_process(lease, mine, seeds) == 0
        wall.now += 61
        assert work(shards, 0, parts, config, in_process, Terms(wall=wall)) == Worked(0, INPUTS)
        seen.append(place.read("part-00000.jsonl"))
        if when == "and knows it":
            lease.renew()
        return in_process(lease, mine, seeds) if when != "after" else 0

    assert work(shards, 0, parts, config, held_up, Terms(wall=wall)) == Worked(0, INPUTS, already=True)
    assert [place.read("part-00000.jsonl")] == seen
    assert sorted(place.names("")) == ["manifest.json", "part-00000.jsonl"]
    assert main(["collect", parts, "-q"]) == 0


def test_many_at_once(parts: str, tmp_path: Path) -> None:
    """One of them gets the lease; and one part appears, of those who have one all the same."""
    place = open_place(parts, make=True)
    at_once = 6
    start = Barrier(at_once)

    def at(number: int) -> tuple[Lease | Holder, bool]:
        start.wait(30)
        taken = take(place, 7, Terms())
        path = place.scratch("part-00007.jsonl")
        Path(path).write_text(f"{number}\n")
        start.wait(30)
        return taken, place.publish(path, "part-00007.jsonl")

    with ThreadPoolExecutor(at_once) as threads:
        found = list(threads.map(at, range(at_once)))
    leases = [taken for taken, _ in found if isinstance(taken, Lease)]
    assert len(leases) == 1
    leases[0].release()
    (first,) = [number for number, (_, is_first) in enumerate(found) if is_first]
    assert place.read("part-00007.jsonl") == b"%d\n" % first
    assert [*place.names("")] == ["part-00007.jsonl"]


def test_what_a_killed_process_has_left(shards: str, config: Config, tmp_path: Path) -> None:
    """After its part had appeared: whoever comes next clears it away."""
    parts = tmp_path / "parts"
    assert work(shards, 0, str(parts), config, in_process) == Worked(0, INPUTS)
    for name in (".part-00000-0123456789abcdef.jsonl", "lease-00000-0001.json", ".part-00001-0123456789abcdef.jsonl"):
        (parts / name).write_text("")
    assert work(shards, 0, str(parts), config, in_process) == Worked(0, INPUTS, already=True)
    left = [".part-00001-0123456789abcdef.jsonl", "manifest.json", "part-00000.jsonl"]
    assert sorted(path.name for path in parts.iterdir()) == left


@pytest.mark.parametrize("fault", ["lost", "503", "cut"])
def test_answers_that_are_lost(fault: str, objects, shards: str, config: Config) -> None:
    """A put whose answer does not come is put once more: the part is there once, and is ours."""
    parts = f"s3://{objects.bucket()}/parts"
    objects.faults = once(fault, "PUT", "part-00000")
    assert work(shards, 0, parts, config, in_process) == Worked(0, INPUTS)
    assert len([asked for asked in objects.seen if asked[0] == "PUT" and "part-00000" in asked[1]]) == 2
    assert main(["collect", parts, "-q"]) == 0


WORKER = """
import sys
from crawler.cluster.lease import Terms
from crawler.cluster.working import in_process, work
from crawler.config.config import Config
shards, parts, resolve, rate = sys.argv[1:]
config = Config(resolve=(resolve,), rate=rate, quiet=True)
sys.exit(3 if work(shards, 0, parts, config, in_process, Terms(lasts=1.0, renewed=0.1, looked=0.05)).already else 0)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no process can be stopped there")
@pytest.mark.parametrize("resumed", ["while it is done", "when it is done"])
def test_a_process_that_is_stopped(resumed: str, shards: str, site, tmp_path: Path) -> None:
    """Longer than its lease, and then goes on: the shard is another's by then, and one part is there."""
    parts = tmp_path / "parts"
    argv = [sys.executable, "-c", WORKER, shards, str(parts), hosts(site)]

    def begun() -> set[str]:
        return {path.name for path in parts.glob(".part-*") if path.stat().st_size}

    with subprocess.Popen([*argv, "20/s"]) as first:
        assert eventually(begun, 30)
        first.send_signal(signal.SIGSTOP)
        mine = begun()
        with subprocess.Popen([*argv, "20/s" if resumed == "while it is done" else "1000/s"]) as second:
            if resumed == "when it is done":
                assert second.wait(30) == 0
            else:
                assert eventually(lambda: begun() - mine, 30)
            before = {path.name: path.stat().st_ino for path in parts.glob("part-*")}
            first.send_signal(signal.SIGCONT)
            assert first.wait(30) == 3
            assert second.wait(30) == 0
    assert {path.name: path.stat().st_ino for path in parts.iterdir()}.items() >= before.items()
    assert sorted(path.name for path in parts.iterdir()) == ["manifest.json", "part-00000.jsonl"]
    assert main(["collect", str(parts), shards, "-q"]) == 0
