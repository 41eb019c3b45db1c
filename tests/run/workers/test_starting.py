"""How workers come to be: forked by a fork server, or executed; and what becomes of a run where neither is possible."""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
import threading
from pathlib import Path

import psutil
import pytest
from asking_server import asked
from run.workers.test_workers import deadly, workers

from crawler import ConfigError, fetch_all
from crawler.run.workers import forkserver, starting
from crawler.run.workers.frames import LENGTH, Hello, decode_to_run
from crawler.run.workers.starting import ForkServer, Starts, make_starts

BOTH = pytest.mark.parametrize("forks", [True, False], ids=["forked", "executed"])
pytestmark = pytest.mark.skipif(not hasattr(socket, "send_fds"), reason="no descriptors are sent here")


def greeted(starts: Starts) -> tuple[starting.Started, socket.socket, int]:
    """A worker that has said that it is there, our end of its socket, and its number."""
    ours, theirs = socket.socketpair()
    with theirs:
        started = starts.start(theirs)
    frame = ours.recv(1 << 16)[LENGTH:]
    (hello,) = decode_to_run(frame)
    assert isinstance(hello, Hello)
    return started, ours, hello.pid


def fork_servers() -> list[psutil.Process]:
    """Those of this process, which has other children, too."""
    return [child for child in psutil.Process().children() if "forkserver" in " ".join(child.cmdline())]


@BOTH
def test_a_worker_ends_when_nobody_wants_it(forks: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "FORKS", forks)
    starts = make_starts()
    try:
        started, ours, pid = greeted(starts)
        assert psutil.Process(pid).is_running()
        ours.close()
        assert started.wait(5.0) == 0
        assert not psutil.pid_exists(pid)
    finally:
        starts.close()


@BOTH
def test_one_that_does_not_end_is_killed(forks: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "FORKS", forks)
    starts = make_starts()
    try:
        (first, one, pid), (second, two, _) = greeted(starts), greeted(starts)
        with one, two:
            assert first.wait(0.0) == -signal.SIGKILL
            assert not psutil.pid_exists(pid)
            assert second.wait(0.01) == -signal.SIGKILL
    finally:
        starts.close()


def test_a_fork_server_that_was_killed_is_replaced() -> None:
    server = ForkServer()
    try:
        first, ours, pid = greeted(server)
        with ours:
            (process,) = fork_servers()
            process.kill()
            process.wait()
            assert first.wait(0.0) == -signal.SIGKILL  # nobody knows
            second, other, _ = greeted(server)
            with other:
                assert second.wait(0.0) == -signal.SIGKILL
            assert psutil.Process(pid).is_running()  # it has its socket, and goes on
    finally:
        server.close()


def test_a_fork_server_says_what_is_not_possible(monkeypatch: pytest.MonkeyPatch) -> None:
    def fork() -> int:
        raise OSError(errno.EAGAIN, "no more")

    monkeypatch.setattr(os, "fork", fork)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    heard: list[bytes] = []

    def ask() -> None:
        with ours:
            socket.send_fds(ours, [b"start"], [0])
            for question in (b"look 0", b"kill 0"):
                ours.send(question)
                heard.append(ours.recv(64))

    asking = threading.Thread(target=ask)
    before = signal.getsignal(signal.SIGINT)
    try:
        asking.start()
        forkserver.serve(theirs.detach())
    finally:
        signal.signal(signal.SIGINT, before)
        asking.join()
    assert heard == [b"failed %d" % errno.EAGAIN] * 2


@BOTH
def test_records_are_the_same_however_they_start(forks: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "FORKS", forks)
    with deadly({"/7"}, most=1) as server:
        records = fetch_all([server.url(f"/{n}") for n in range(20)], procs=2, concurrency=8)
    assert [record.body for record in records] == [f"/{n}".encode() for n in range(20)]
    assert not workers()


def test_a_run_goes_on_without_its_fork_server() -> None:
    """It is killed with a worker: another one comes up for the next."""
    killed: list[int] = []

    def answer(path: str, _login: str | None, _before: int) -> tuple[int, dict[str, str], bytes]:
        if path == "/7" and not killed:
            killed.append(1)
            for child in (*fork_servers(), *workers()):
                child.kill()
        return 200, {}, path.encode()

    with asked(answer) as server:
        records = fetch_all([server.url(f"/{n}") for n in range(20)], procs=2, concurrency=8)
    assert [record.body for record in records] == [f"/{n}".encode() for n in range(20)]


def test_where_none_can_start_the_run_waits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine that is short of something may have it again: no URL is taken for bad, and no core kept busy."""
    counter, program = tmp_path / "started", tmp_path / "python"
    program.write_text(f'#!/bin/sh\necho >>{counter}\n[ $(wc -l <{counter}) -gt 12 ] && exec {sys.executable} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setattr(starting, "FORKS", False)
    monkeypatch.setattr(sys, "executable", str(program))
    with asked(lambda path, *_: (200, {}, path.encode())) as server:
        records = fetch_all([server.url(f"/{n}") for n in range(3)], procs=2, retries=0)
    assert [(record.body, record.attempts) for record in records] == [(f"/{n}".encode(), 1) for n in range(3)]
    assert len(counter.read_text().splitlines()) <= 15


def test_windows_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told before anything is fetched: workers are given sockets in a way that Windows does not know."""
    with monkeypatch.context() as patched, pytest.raises(ConfigError, match=r"--procs: is not there on Windows yet"):
        patched.setattr(starting.os, "name", "nt")
        make_starts()
