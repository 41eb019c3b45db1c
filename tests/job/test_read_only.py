"""A job's folder where nothing can be written, where no lock is kept, and where its files are none: what is said of it."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from job_tools import Work, req

from crawler.cli.commands.jobs import answer
from crawler.errors import CodedError
from crawler.job.lock import Lock, NoLocksError, holder
from crawler.job.options import JobError
from crawler.report.lines import open_lines

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = (["status"], ["verify"], ["why", "http://a.example/0"], ["report", "-O", "-"])


def made(folder: Path, *, killed: bool) -> Path:
    """A job of two URLs that are done; what was killed leaves its database's log behind."""
    work = Work(folder)
    for number in range(2):
        work.journal.seed_taken(f"http://a.example/{number}")
        work.frontier.add(req(number))
        work.finish(req(number))
    work.commit()
    if killed:
        shutil.copytree(folder / "job", folder / "copy")  # as it is in this very moment
    work.close()
    if killed:
        shutil.rmtree(folder / "job")
        (folder / "copy").rename(folder / "job")
        assert (folder / "job" / "frontier.sqlite-wal").stat().st_size
    return folder / "job"


def mounted(folder: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command about the job in a mount namespace of its own, in which the folder is read-only."""
    script = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && ! touch "$0/x" 2>/dev/null && exec "$@"'
    python = [sys.executable, "-m", "crawler", command[0], str(folder / "job"), *command[1:]]
    return subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, str(folder), *python],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
    )


@pytest.fixture(scope="module")
def mounts() -> None:
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode:
        pytest.skip("no mount namespaces here")


@pytest.mark.usefixtures("mounts")
@pytest.mark.parametrize("left", ["clean", "killed", "without shm"])
def test_a_read_only_mount(tmp_path, left):
    """All that only reads works there, and sees what the database's log has to tell."""
    job = made(tmp_path, killed=left != "clean")
    if left == "without shm":
        (job / "frontier.sqlite-shm").unlink()
    before = {path.name: path.read_bytes() for path in job.iterdir()}
    for command in COMMANDS:
        done = mounted(tmp_path, command)
        assert (done.returncode, "error" in done.stderr) == (0, False), done.stderr
        told = {"status": "2 ok", "verify": "OK: 2 inputs", "why": "Requests", "report": "a.example"}
        assert told[command[0]] in done.stdout
    assert {path.name: path.read_bytes() for path in job.iterdir()} == before


@pytest.mark.usefixtures("mounts")
def test_what_writes_says_why_not(tmp_path):
    """Neither retry nor a run takes a disk that cannot be written to for another crawler."""
    made(tmp_path, killed=False)
    done = mounted(tmp_path, ["retry"])
    assert done.returncode == 5
    assert "Read-only file system" in done.stderr


@pytest.fixture
def without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(fd: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)


@pytest.mark.usefixtures("without_locks")
def test_a_file_system_without_locks(tmp_path):
    """It is no other process that is in the way."""
    with pytest.raises(NoLocksError):
        Lock(tmp_path / "lock")
    with pytest.raises(NoLocksError):
        holder(tmp_path / "lock")
    with pytest.raises(JobError, match=r"keeps no locks \(No locks available\)"):
        Work(tmp_path)


def test_a_job_on_a_file_system_without_locks(tmp_path, monkeypatch, request):
    """It can be read; whether somebody is at work on it is said to be unknown."""
    job = made(tmp_path, killed=False)
    request.getfixturevalue("without_locks")
    text = answer("status", [str(job)]).text
    assert "Whether a process is at work on it cannot be told: its file system keeps no locks" in text
    assert answer("verify", [str(job)]).exit_code == 0


def test_who_asks_is_not_in_the_way(tmp_path):
    """Two that ask at once see no third; a crawler that begins meanwhile is not refused by one that only reads."""
    lock = Lock(tmp_path / "lock")
    assert holder(tmp_path / "lock") == os.getpid()
    lock.release()
    with (tmp_path / "lock").open() as reader:
        fcntl.flock(reader, fcntl.LOCK_SH)
        assert holder(tmp_path / "lock") is None


def replace_by(path: Path, what: str) -> None:
    path.unlink(missing_ok=True)
    if what == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")


@pytest.mark.parametrize("what", ["pipe", "/dev/zero"])
@pytest.mark.parametrize("name", ["frontier.sqlite", "frontier.sqlite-wal", "lock", "config.toml"])
def test_a_file_of_the_job_that_is_none(tmp_path, name, what):
    """A pipe or a link to a device in its place is refused, by all that reads and by all that writes, at once."""
    job = made(tmp_path, killed=False)
    replace_by(job / name, what)
    began = time.monotonic()
    for command in ("status", "verify", "why", "retry"):
        with pytest.raises(JobError, match=r"is (a link|no plain file)"):
            answer(command, [str(job), *(["http://a.example/0"] if command == "why" else [])])
    with pytest.raises(JobError, match=r"is (a link|no plain file)"), open_lines(str(job)):
        pass
    with pytest.raises(JobError, match=r"is (a link|no plain file)"):
        Work(tmp_path)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("what", ["pipe", "/dev/zero"])
def test_an_output_that_is_none(tmp_path, what):
    """Where a pipe or a link to a device stands in the place of an output, nobody waits for its end."""
    job = made(tmp_path, killed=False)
    replace_by(tmp_path / "pages.jsonl", what)
    found = answer("verify", [str(job)])
    assert found.exit_code == 5
    assert "pages.jsonl" in found.text
    with pytest.raises((JobError, ValueError), match="plain file"), open_lines(str(job)):
        pass
    with pytest.raises((JobError, CodedError)):
        Work(tmp_path)


def test_options_without_end(tmp_path):
    """More than options can be is not read; a device neither."""
    job = made(tmp_path, killed=False)
    with (job / "config.toml").open("ab") as file:
        file.write(b"#" * (2 << 20))
    for command in ("verify", "retry"):
        with pytest.raises(ValueError, match="larger than options are"):
            answer(command, [str(job)])
