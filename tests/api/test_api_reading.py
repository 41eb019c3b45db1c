"""What an event loop reads for a run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from crawler.api.reading import Reading
from crawler.seeds.feed import READ_AHEAD
from crawler.seeds.inputs import from_iterable


async def _urls() -> AsyncIterator[str]:
    for number in range(READ_AHEAD + 10):
        yield f"http://a.example/{number}"


class _Run:
    def callFromThread(self, call: object) -> None: ...


def test_what_is_taken_when_the_loop_is_closed() -> None:
    """A run that still ends then takes the rest, and wakes nobody."""

    async def begin() -> Reading:
        reading = Reading(_urls())
        task = asyncio.ensure_future(reading.run(_Run()))  # type: ignore[arg-type]
        for _ in range(3):
            await asyncio.sleep(0)
        task.cancel()
        return reading

    reading = asyncio.run(begin())
    feed = reading.feed.over(from_iterable(reading.feed))
    assert len([seed for _ in range(READ_AHEAD) if (seed := feed.take()) is not None]) == READ_AHEAD
