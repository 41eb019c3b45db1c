"""How a node asks its store in a thread: in order, each until it has an answer."""

from __future__ import annotations

from typing import Any

import pytest
from threaded_clock import ThreadedClock
from twisted.internet.defer import CancelledError, Deferred

from crawler.frontier.shared.asking import Asking
from crawler.frontier.shared.contract import StoreError, StoreRefusedError


def outcome(asked: Deferred[Any]) -> list[Any]:
    got: list[Any] = []
    asked.addBoth(got.append)
    return got


def test_answers_come_in_order_and_an_error_is_asked_again() -> None:
    """The store could not be asked twice: who remembers something of it is told so each time."""
    clock = ThreadedClock()
    doubts: list[int] = []
    asks = Asking(["store"], clock)  # type: ignore[arg-type]
    asks.on_doubt = lambda: doubts.append(1)
    errors = [StoreError("gone"), StoreError("gone")]

    def operation(store: Any) -> str:
        if errors:
            raise errors.pop()
        return f"{store[0]} 1"

    first, second = outcome(asks.ask(operation)), outcome(asks.ask(lambda store: f"{store[0]} 2"))  # type: ignore[index]
    clock.pump(lambda: bool(second))
    assert (first, second, len(doubts)) == (["store 1"], ["store 2"], 2)
    asks.close()


def test_what_the_store_refuses_fails_at_once() -> None:
    clock = ThreadedClock()
    asks = Asking(None, clock)  # type: ignore[arg-type]

    def operation(_: object) -> None:
        raise StoreRefusedError("it has no memory left")

    got = outcome(asks.ask(operation))
    clock.pump(lambda: bool(got))
    assert isinstance(got[0].value, StoreRefusedError)
    asks.close()


def test_nothing_is_asked_after_the_end() -> None:
    asks = Asking(None, ThreadedClock())  # type: ignore[arg-type]
    asks.close()
    got = outcome(asks.ask(lambda _: pytest.fail("asked")))
    assert isinstance(got[0].value, CancelledError)


def test_who_waits_no_longer_is_not_told() -> None:
    clock = ThreadedClock()
    asks = Asking(None, clock)  # type: ignore[arg-type]
    asked = asks.ask(lambda _: 1)
    got = outcome(asked)
    asked.cancel()
    other = outcome(asks.ask(lambda _: 2))
    clock.pump(lambda: bool(other))
    assert isinstance(got[0].value, CancelledError)
    assert other == [2]
    asks.close()
