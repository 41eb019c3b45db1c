"""A progress bar in a notebook: shown while a run goes on, and left at its end."""

from __future__ import annotations

import threading
from html import escape
from importlib import import_module
from typing import TYPE_CHECKING, Any

from crawler.api.blocking import shell

if TYPE_CHECKING:
    from crawler.stats.stats import Snapshot


class Bar:
    """Shows snapshots below the cell that runs. To be called in the thread of the cell."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, snapshot: Snapshot) -> None:
        data = _drawn(snapshot)
        if self._handle is None:
            display = import_module("IPython.display").display
            self._handle = display(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)

    def close(self, snapshot: Snapshot) -> None:
        """The last word, where there was a first: what is over at once shows nothing."""
        if self._handle is not None:
            self.show(snapshot)


def make_bar() -> Bar | None:
    """A bar, if this is the thread of a notebook's cells; IPython is not imported for that."""
    running = shell()
    if not hasattr(running, "kernel") or threading.current_thread() is not threading.main_thread():
        return None
    return Bar()


def _drawn(snapshot: Snapshot) -> dict[str, str]:
    from crawler.monitor.progress import plain_line

    words = plain_line(snapshot)
    share = "" if snapshot.total is None else f' value="{snapshot.done}" max="{max(1, snapshot.total)}"'
    html = f'<progress{share} style="width:20em;vertical-align:middle"></progress> <span>{escape(words)}</span>'
    return {"text/plain": words, "text/html": html}
