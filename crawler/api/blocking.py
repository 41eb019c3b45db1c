"""Where a call may block: not in the thread of a running reactor, nor in a coroutine, whose loop would stand."""

from __future__ import annotations

import asyncio
import inspect
import sys
from types import FrameType
from typing import Any

from crawler.run.reactors import in_reactor_thread

_ASYNC = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


def refuse_to_block(instead: str) -> None:
    """Raise RuntimeError where the caller would block what called it; `instead` is what to write in asyncio.

    In a notebook every cell is inside a coroutine, and is meant to block. Code that runs beside a loop and is not
    called by a coroutine of it (under Playwright's synchronous API) may, too.
    """
    if in_reactor_thread():
        raise RuntimeError(
            "this would block the running reactor: use crawler.Crawler(config, reactor=reactor).run(), "
            "which returns a Deferred"
        )
    if _loop_runs() and _called_by_a_coroutine() and not in_notebook():
        raise RuntimeError(f"this would block the running asyncio loop: use {instead}")


def in_notebook() -> bool:
    """Whether this is a cell of IPython's or marimo's."""
    if shell() is not None:
        return True
    marimo = sys.modules.get("marimo")
    return marimo is not None and bool(marimo.running_in_notebook())


def shell() -> Any:
    """IPython's, if this program runs in it; it is not imported for that."""
    ipython = sys.modules.get("IPython")
    return None if ipython is None else ipython.get_ipython()


def _loop_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _called_by_a_coroutine() -> bool:
    frame: FrameType | None = inspect.currentframe()
    while frame is not None:
        if frame.f_code.co_flags & _ASYNC:
            return True
        frame = frame.f_back
    return False
