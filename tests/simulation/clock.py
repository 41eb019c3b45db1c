"""The reactor of a simulated world: time passes from call to call, and nothing ever happens in another thread."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.task import Clock


class VirtualReactor(Clock):
    """A Clock that takes one call at a time."""

    def callFromThread(self, function: Callable[..., object], *arguments: object) -> None:
        self.callLater(0, function, *arguments)

    callWhenRunning = callFromThread

    def step(self, until: float = float("inf")) -> bool:
        """Let time pass to the next call and make it; False when there is none before `until`."""
        calls = self.calls
        if not calls or calls[0].time > until:
            return False
        call = calls.pop(0)
        self.rightNow = max(self.rightNow, call.time)
        call.called = 1
        call.func(*call.args, **call.kw)
        return True
