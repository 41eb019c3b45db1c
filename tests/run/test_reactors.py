"""Private reactors: they can be had again and again, in any thread, with or without uvloop, and leave nothing behind."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.protocol import Protocol
from twisted.python import threadable

from crawler.run.reactors import descriptor_limit, in_reactor_thread, private_reactor, run


def descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


@pytest.fixture(scope="module", autouse=True)
def _first_loop() -> None:
    """libuv's own pipe for signals is opened by the first uvloop of a process, and belongs to nobody here."""
    with private_reactor():
        pass
    gc.collect()  # nothing of other tests closes later than now


@pytest.fixture(params=["uvloop", "asyncio"])
def loop_kind(request, monkeypatch) -> str:
    """With uvloop, and as if it were not installed."""
    if request.param == "asyncio":
        monkeypatch.setitem(sys.modules, "uvloop", None)
    else:
        pytest.importorskip("uvloop")
    return request.param


@contextmanager
def unanswered() -> Iterator[tuple[str, int]]:
    """An address that neither takes nor refuses connections: its queue is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        waiting = []
        try:
            for _ in range(3):
                client = socket.socket()
                client.setblocking(False)
                client.connect_ex(address)
                waiting.append(client)
            yield address
        finally:
            for client in waiting:
                client.close()


def test_the_loop_is_the_fastest_there_is(loop_kind):
    """uvloop where it is installed, else asyncio's loop."""
    with private_reactor() as (reactor, _):
        assert type(reactor._asyncioEventloop).__module__.split(".")[0] == loop_kind


def test_nothing_stays_open(loop_kind):
    """Neither a run, nor an error in it, nor a reactor that never ran leaves a descriptor or a thread."""
    before = descriptors(), threading.active_count()
    with private_reactor() as (reactor, _):
        run(reactor, lambda: succeed(None))
    with private_reactor() as (reactor, _), pytest.raises(ZeroDivisionError):
        run(reactor, lambda: fail(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError), private_reactor():
        raise ZeroDivisionError
    assert (descriptors(), threading.active_count()) == before


def test_what_was_given_up_last_is_closed(loop_kind, caplog):
    """An attempt to connect that was cancelled with the run's last breath closes its socket, and asyncio has no complaint."""
    before = descriptors()

    def start(reactor, dial, address) -> Deferred[None]:
        attempt = dial(*address, Protocol())
        attempt.addErrback(lambda _: None)
        ended: Deferred[None] = Deferred()
        reactor.callLater(0.02, lambda: (attempt.cancel(), ended.callback(None)))
        return ended

    with unanswered() as address, caplog.at_level(logging.WARNING):
        during = descriptors()
        with private_reactor() as (reactor, dial):
            run(reactor, lambda: start(reactor, dial, address))
        assert descriptors() == during
        gc.collect()
    assert descriptors() == before
    assert caplog.records == []


def test_result():
    """run gives what the Deferred fired with."""
    with private_reactor() as (reactor, _):
        later: Deferred[int] = Deferred()
        reactor.callLater(0.001, later.callback, 42)
        assert run(reactor, lambda: later) == 42


def test_an_error_before_there_is_a_deferred():
    """What the start raises itself is raised as well."""

    def start() -> Deferred[None]:
        raise ZeroDivisionError

    with private_reactor() as (reactor, _), pytest.raises(ZeroDivisionError):
        run(reactor, start)


def test_made_here_run_there():
    """One thread may make the reactor, another run it, and a third ask it to do something."""
    with private_reactor() as (reactor, _):
        asked: Deferred[int] = Deferred()
        results: list[int] = []
        running = threading.Thread(target=lambda: results.append(run(reactor, lambda: asked)))
        running.start()
        reactor.callFromThread(asked.callback, 7)
        running.join(5)
    assert results == [7]


def test_many_at_once():
    """Reactors in several threads do not know of each other."""
    before = descriptors()
    results: list[int] = []

    def one(number: int) -> None:
        with private_reactor() as (reactor, _):
            later: Deferred[int] = Deferred()
            reactor.callLater(0.005, later.callback, number)
            results.append(run(reactor, lambda: later))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert sorted(results) == [0, 1, 2, 3]
    assert descriptors() == before


def test_inside_a_running_asyncio_loop():
    """A reactor that was made, and never run, can be closed where another loop runs."""

    async def notebook() -> None:
        with private_reactor():
            assert asyncio.get_running_loop().is_running()

    asyncio.run(notebook())


def test_time_is_monotonic():
    """A step of the wall clock moves no timer."""
    with private_reactor() as (reactor, _):
        assert abs(reactor.seconds() - time.monotonic()) < 1.0


def test_the_title_of_the_reactor_thread_is_not_touched(monkeypatch):
    """Which thread the global reactor runs in stays known while private ones come and go."""
    monkeypatch.setattr(threadable, "ioThread", 12345)
    with private_reactor() as (reactor, _):
        seen: list[int | None] = []
        reactor.callWhenRunning(lambda: seen.append(threadable.ioThread))
        run(reactor, lambda: succeed(None))
    assert seen == [12345]
    assert threadable.ioThread == 12345


@pytest.mark.parametrize(
    ("running", "other", "expected"),
    [
        (True, 0, True),
        (True, 1, False),
        (False, 0, False),
    ],
)
def test_in_reactor_thread(monkeypatch, running, other, expected):
    """Only in the thread of a global reactor that runs would waiting stop that reactor."""
    monkeypatch.setitem(sys.modules, "twisted.internet.reactor", SimpleNamespace(running=running))
    monkeypatch.setattr(threadable, "ioThread", threading.get_ident() + other)
    assert in_reactor_thread() is expected


def test_no_global_reactor_is_made_to_look(monkeypatch):
    """Looking for the global reactor does not install one."""
    monkeypatch.delitem(sys.modules, "twisted.internet.reactor", raising=False)
    assert not in_reactor_thread()
    assert "twisted.internet.reactor" not in sys.modules


def test_descriptor_limit(monkeypatch):
    """The soft limit of the process; that of Windows where there is none to ask for."""
    resource = pytest.importorskip("resource")
    assert descriptor_limit() == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert descriptor_limit() == 1_000_000
    monkeypatch.setitem(sys.modules, "resource", None)
    assert descriptor_limit() == 512
