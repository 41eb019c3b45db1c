"""An output that a thread takes from a pipe: an object, which grows while the run goes on."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from twisted.internet.defer import Deferred

from crawler.sinks.writer import Writer, WriterReactor

_PIECE: Final = 1 << 16

Take = Callable[[Iterator[bytes]], None]
"""Takes all the pieces, in a thread. What the iterator raises ends it, and nothing stays. Raises OSError."""


class StreamWriter(Writer):
    """A Writer to `take`, which sees an end only where the output was closed. A slow one is waited for as a pipe is."""

    def __init__(self, take: Take, name: str, reactor: WriterReactor, *, compress: bool) -> None:
        self._source, fd = os.pipe()
        super().__init__(fd, name, reactor, compress=compress)
        self._take = take
        self._taking: threading.Thread | None = None
        self._problem: OSError | None = None
        self._ended = False

    def close(self) -> Deferred[None] | None:
        if not self._closing and not self._accepted:
            self._buffer.append(b"")  # an output without records is there all the same
        return super().close()

    def discard(self) -> None:
        super().discard()
        os.close(self._source)

    def _put(self, pieces: list[bytes]) -> OSError | None:
        if self._taking is None:
            self._taking = threading.Thread(target=self._main, name=f"put {self.name}", daemon=True)
            self._taking.start()
        error = super()._put(pieces)
        return self._outcome() if isinstance(error, BrokenPipeError) else error

    def _close_descriptor(self) -> OSError | None:
        self._ended = not self._given_up
        if self._taking is None:  # given up before anything was taken
            os.close(self._source)
        return super()._close_descriptor() or self._outcome()

    def _outcome(self) -> OSError | None:
        if self._taking is not None:
            self._taking.join()
        return self._problem

    def _main(self) -> None:
        try:
            with os.fdopen(self._source, "rb", buffering=0) as source:
                self._take(self._pieces(partial(source.read, _PIECE)))
        except OSError as error:
            self._problem = error
        except BaseException as error:  # told where the records are written
            self._problem = OSError(errno.EIO, f"{type(error).__name__}: {error}")

    def _pieces(self, read: Callable[[], bytes]) -> Iterator[bytes]:
        yield from iter(read, b"")
        if not self._ended:
            raise OSError(errno.ECANCELED, "given up before it was whole")
