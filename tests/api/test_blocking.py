"""Where calls may block, and what those are told that may not."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from crawler import crawl, fetch_all, stream
from crawler.api.blocking import in_notebook, refuse_to_block

WAYS: list[tuple[Callable[[Any], Any], str]] = [
    (fetch_all, r"use await crawler\.fetch_all_async\(urls\)"),
    (stream, r"use async for record in crawler\.stream_async\(urls\)"),
    (crawl, r"use async for record in crawler\.crawl_async\(seeds\)"),
]


@pytest.mark.parametrize(("way", "words"), WAYS)
def test_not_in_a_coroutine(way: Callable[[Any], Any], words: str) -> None:
    """Whatever it is called through: it would be the loop that stands still."""

    def deep() -> None:
        way([])

    async def main() -> None:
        with pytest.raises(RuntimeError, match=f"this would block the running asyncio loop: {words}"):
            deep()

    asyncio.run(main())


def test_nor_in_an_asynchronous_generator() -> None:
    async def several() -> Any:
        yield fetch_all([])

    async def main() -> None:
        with pytest.raises(RuntimeError, match="this would block"):
            await anext(several())

    asyncio.run(main())


def test_in_a_thread_of_an_asyncio_program() -> None:
    """Nobody stands still there."""

    async def main() -> list[Any]:
        return await asyncio.to_thread(fetch_all, [])

    assert asyncio.run(main()) == []


def test_beside_a_loop() -> None:
    """What no coroutine has called may block, also while a loop runs in its thread: code under Playwright's
    synchronous API does, from a greenlet that a callback has switched to.
    """
    found: list[Any] = []
    loop = asyncio.new_event_loop()
    loop.call_soon(lambda: found.append(fetch_all([])))
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    assert found == [[]]


def test_ipython_is_not_imported() -> None:
    """Whoever has not imported it is in none of its cells."""
    if "IPython" not in sys.modules:
        assert not in_notebook()
        assert "IPython" not in sys.modules


@pytest.mark.parametrize("running", [True, False])
def test_in_marimo(monkeypatch: pytest.MonkeyPatch, running: bool) -> None:
    """Its cells run in a coroutine, too, and are meant to block."""
    monkeypatch.setitem(sys.modules, "marimo", SimpleNamespace(running_in_notebook=lambda: running))

    async def main() -> None:
        if running:
            refuse_to_block("that")
        else:
            with pytest.raises(RuntimeError, match="use that"):
                refuse_to_block("that")

    asyncio.run(main())
