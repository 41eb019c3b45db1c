"""The end of the outputs of a run: they are closed, and given up where whoever reads them takes too long."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from crawler.errors import CodedError
from crawler.sinks import Sink


class Closing:
    """How long there is patience with the outputs: without a limit, until `within` sets one."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._closing: Deferred[Any] | None = None
        self._patience: IDelayedCall | None = None

    def close(self, sink: Sink) -> Generator[Deferred[Any], Any, None]:
        """Close the outputs: to be yielded from. Raises CodedError `write_error` if they were given up."""
        self._closing = closing = maybeDeferred(sink.close)
        if self._patience is not None and not self._patience.active():
            closing.cancel()
        try:
            yield closing
        except CancelledError:
            raise CodedError("write_error", "an output was given up, because it takes nothing more") from None
        finally:
            if self._patience is not None and self._patience.active():
                self._patience.cancel()

    def within(self, seconds: float) -> None:
        """Give up the outputs that are not closed by then. The shortest time counts."""
        if self._closing is not None and self._closing.called:
            return
        if self._patience is None:
            self._patience = self._clock.callLater(seconds, self._give_up)
        elif self._patience.active() and self._patience.getTime() > self._clock.seconds() + seconds:
            self._patience.reset(seconds)

    def _give_up(self) -> None:
        if self._closing is not None:
            self._closing.cancel()
