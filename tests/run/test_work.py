"""Work in a thread of its own."""

from __future__ import annotations

import threading

from twisted.internet.defer import CancelledError
from twisted.internet.testing import MemoryReactorClock

from crawler.run.work import Work


def test_what_is_given_up_goes_on_until_it_hears_of_it() -> None:
    """Nobody waits for it, but it is not over: somebody may not want a second one meanwhile."""
    go_on, heard = threading.Event(), threading.Event()

    def work(given_up: object) -> None:
        assert callable(given_up)
        go_on.wait(10)
        if given_up():
            heard.set()

    one = Work(MemoryReactorClock(), work)
    failures: list[object] = []
    one.done.addErrback(failures.append)
    one.done.cancel()
    [failure] = failures
    assert failure.check(CancelledError)  # type: ignore[attr-defined]
    assert one.goes_on
    go_on.set()
    assert heard.wait(10)
    for thread in threading.enumerate():
        if thread.name == "work":
            thread.join(10)
    assert not one.goes_on
