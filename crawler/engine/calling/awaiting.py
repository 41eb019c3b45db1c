"""What a caller's `async def` gives, waited for in a run: by asyncio where the reactor is on its loop, else by Twisted.

The reactors that fetch_all and its like make run on asyncio's loop, so there whatever asyncio has may be awaited. On a
Crawler's own reactor of another kind that is what Twisted has: Deferreds.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Awaitable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

Later = Awaitable[Any] | AsyncIterable[Any]
"""What is there only once it was waited for."""


def arrived(value: Later) -> Deferred[Any]:
    """Fires with what is awaited; of an asynchronous generator with the list of what it yields, or fails as it does.

    Cancelling cancels what runs, and fires at once; in asyncio what runs has then a turn of the loop to clean up.
    """
    coroutine = _outcome(value)
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        running = Deferred.fromCoroutine(coroutine)
    else:
        running = _of_task(loop.create_task(coroutine))
    waits = True

    def give_up(_: Deferred[Any]) -> None:
        nonlocal waits
        waits = False
        running.cancel()

    def tell(outcome: object) -> None:
        if not waits:  # what became of it is of no interest any more
            return
        if isinstance(outcome, Failure) and outcome.check(CancelledError):
            outcome = Failure(GivenUp())
        done.callback(outcome)

    done: Deferred[Any] = Deferred(give_up)
    running.addBoth(tell)
    return done


def _of_task(task: asyncio.Task[Any]) -> Deferred[Any]:
    running: Deferred[Any] = Deferred(lambda _: cancel())

    def cancel() -> None:
        task.cancel()

    def over(task: asyncio.Task[Any]) -> None:
        error = CancelledError() if task.cancelled() else task.exception()  # to look at it says that somebody has
        if not running.called:
            running.callback(task.result() if error is None else Failure(error))

    task.add_done_callback(over)
    return running


async def _outcome(value: Later) -> Any:
    try:
        made = await value if isinstance(value, Awaitable) else value
        return [each async for each in made] if isinstance(made, AsyncIterable) else made
    except (KeyboardInterrupt, SystemExit):  # a task that raises these ends the loop, and with it the run
        return Failure()


class GivenUp(Exception):  # noqa: N818 - not the end of the run, as a CancelledError would be: it did this by itself
    """An awaited task was cancelled by somebody else than the run."""

    def __str__(self) -> str:
        return "what it awaits was cancelled"
