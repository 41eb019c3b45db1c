"""What a caller's `async def` gives is waited for: on asyncio's loop and without one."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from crawler.engine.calling.awaiting import GivenUp, arrived


async def items(*waits: Awaitable[Any]) -> AsyncIterator[Any]:
    for wait in waits:
        yield await wait


async def several(*waits: Awaitable[Any]) -> AsyncIterator[Any]:
    """As an `async def` may return a generator, too."""
    return items(*waits)


async def listed(*waits: Awaitable[Any]) -> list[Any]:
    return [await wait for wait in waits]


KINDS = pytest.mark.parametrize("make", [items, several, listed])


def ends(running: Deferred[Any]) -> list[Any]:
    found: list[Any] = []
    running.addBoth(found.append)
    return found


async def turns() -> None:
    """A few turns of the loop: more than anything here needs."""
    for _ in range(10):
        await asyncio.sleep(0)


@KINDS
def test_without_a_loop(make: Callable[..., Any]) -> None:
    """On another reactor Deferreds are awaited."""
    first, second = Deferred[int](), Deferred[int]()
    found = ends(arrived(make(first, second)))
    first.callback(1)
    assert not found
    second.callback(2)
    assert found == [[1, 2]]


@KINDS
def test_on_a_loop(make: Callable[..., Any]) -> None:
    """On asyncio's, whatever asyncio can wait for."""

    async def main() -> None:
        first = asyncio.get_running_loop().create_future()
        found = ends(arrived(make(first, asyncio.sleep(0, 2))))
        await asyncio.sleep(0)
        assert not found
        first.set_result(1)
        await turns()
        assert found == [[1, 2]]

    asyncio.run(main())


def test_an_error_is_given_on() -> None:
    waiting = Deferred[int]()
    found = ends(arrived(items(waiting)))
    waiting.errback(KeyError("x"))
    assert found[0].check(KeyError)

    async def main() -> None:
        found = ends(arrived(listed(asyncio.sleep(0, 1), Deferred[int]())))  # a Deferred is nothing for asyncio
        await turns()
        assert found[0].check(RuntimeError)

    asyncio.run(main())


def test_exit_ends_no_loop() -> None:
    """asyncio ends its loop when a task raises SystemExit."""

    async def leave() -> None:
        sys.exit(3)

    async def main() -> None:
        found = ends(arrived(leave()))
        await turns()
        assert found[0].check(SystemExit)

    asyncio.run(main())


def test_cancelling_without_a_loop() -> None:
    """It fires at once, and so does what was awaited."""
    waiting = Deferred[int]()
    running = arrived(items(waiting))
    found = ends(running)
    running.cancel()
    assert found[0].check(CancelledError)
    assert waiting.called


def test_cancelling_on_a_loop() -> None:
    """It fires at once; the function has a turn to clean up, and what it makes of that is of no interest."""

    async def main() -> None:
        cleaned = []

        async def parse() -> None:
            try:
                await asyncio.sleep(60)
            finally:
                cleaned.append(True)
                raise KeyError("x")

        running = arrived(parse())
        found = ends(running)
        await asyncio.sleep(0)
        running.cancel()
        assert found[0].check(CancelledError)
        await turns()
        assert cleaned
        assert len(found) == 1

    asyncio.run(main())


def test_what_cancels_itself_is_no_end_of_the_run() -> None:
    """A run that is stopped asks again later; who cancels what he awaits has failed."""

    async def main() -> None:
        other = asyncio.get_running_loop().create_future()
        found = ends(arrived(listed(other)))
        await asyncio.sleep(0)
        other.cancel()
        await turns()
        assert found[0].check(GivenUp)

    asyncio.run(main())
    awaited = Deferred[int]()
    found = ends(arrived(listed(awaited)))
    awaited.cancel()
    assert isinstance(found[0], Failure)
    assert found[0].check(GivenUp)
