"""A producer's body on its way onto a transport: as fast as that takes it, and exactly as long as was announced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IConsumer, IPushProducer
from twisted.python.failure import Failure
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

from crawler.errors import CodedError


@implementer(IConsumer, IPushProducer)
class Producing:
    """Begins at once. `wrote` is called with each piece, `done` once: with None, or why the body cannot be sent.

    `stop` ends it and closes its files; then nobody is called any more. The transport stops it, too, when it is lost.
    """

    def __init__(
        self,
        body: IBodyProducer,
        transport: Any,
        *,
        wrote: Callable[[], None],
        done: Callable[[CodedError | None], None],
    ) -> None:
        self._body = body
        self._transport = transport
        self._wrote = wrote
        self._done = done
        self._left = body.length
        self._ended = False

    def start(self) -> None:
        self._transport.registerProducer(self, True)
        if not self._ended:  # a lost transport stops it at once
            self._body.startProducing(self).addCallbacks(self._whole, self._failed)  # stopped, it never fires

    def stop(self) -> None:
        if not self._ended:
            self._ended = True
            self._transport.unregisterProducer()
            self._body.stopProducing()

    # IConsumer, for the body.

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """The body is its own."""

    def unregisterProducer(self) -> None:
        """The body is its own."""

    def write(self, data: bytes) -> None:
        if self._ended:
            return
        self._left -= len(data)
        if self._left < 0:  # RFC 9112 section 6.3: what is beyond would be read as another request
            raise CodedError("request_body", "the body is longer than was announced")
        self._transport.write(data)
        self._wrote()

    def _whole(self, _: object) -> None:
        short = self._left > 0
        self._end(CodedError("request_body", f"the body ends {self._left:,} bytes early") if short else None)

    def _failed(self, failure: Failure) -> None:
        error = failure.value
        if not isinstance(error, CodedError):
            error = CodedError("internal", f"{type(error).__name__}: {error}")
        self._end(error)

    def _end(self, error: CodedError | None) -> None:
        if self._ended:
            return
        self._ended = True
        self._transport.unregisterProducer()
        if error is not None:
            self._body.stopProducing()
        self._done(error)

    # IPushProducer, for the transport.

    def pauseProducing(self) -> None:
        if not self._ended:
            self._body.pauseProducing()

    def resumeProducing(self) -> None:
        if not self._ended:
            self._body.resumeProducing()

    def stopProducing(self) -> None:
        self.stop()
