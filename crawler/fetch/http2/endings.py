"""What it means to a stream that it was reset, that the server goes away, or that the connection is lost. Pure.

What the server has not looked at may be sent again, whatever its method is (RFC 9113 section 8.7). So may what had no
answer on a connection that was used before, if its method is idempotent: both are StaleConnection. There is an end to
that: a request that is sent again already (`fresh`) is only told so by a connection on which the server has answered.
"""

from __future__ import annotations

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from crawler.errors import CodedError, StaleConnection
from crawler.fetch.http2 import frames
from crawler.fetch.http2.stream import Stream
from crawler.fetch.http11.connection import cut_off


def by_reset(stream: Stream, code: int) -> CodedError:
    """The server has sent RST_STREAM."""
    words = f"the server reset the stream: {frames.error_name(code)}"
    if stream.answered:
        return CodedError("body_truncated", words)
    if code == frames.HTTP_1_1_REQUIRED or (code == frames.REFUSED_STREAM and not stream.envelope.trace.fresh):
        return StaleConnection("http2_refused", words, unprocessed=True)
    if code == frames.REFUSED_STREAM:
        return CodedError("http2_refused", words)
    return CodedError("http2_calm" if code == frames.ENHANCE_YOUR_CALM else "http2_reset", words)


def goodbye(code: int, debug: bytes) -> CodedError:
    """The server has sent GOAWAY; this is the error of who has no answer when it is gone."""
    words = f"the server closes the connection: {frames.error_name(code)}"
    if debug:
        words += f" ({debug[:100].decode('utf-8', 'replace')})"
    return CodedError("http2_calm" if code == frames.ENHANCE_YOUR_CALM else "http2_goaway", words)


def not_looked_at(stream: Stream, said: CodedError | None, *, has_answered: bool) -> CodedError:
    """The stream is beyond the last one that the server has acted on, or was never sent."""
    words = "the connection takes no more requests" if said is None else said.message
    if has_answered or not stream.envelope.trace.fresh:
        return StaleConnection("http2_refused", words, unprocessed=True)
    return CodedError("http2_refused", words)


def by_loss(stream: Stream, reason: Failure, said: CodedError | None) -> Exception:
    """The connection is lost, while the server may have been working on it."""
    clean = reason.check(ConnectionDone) is not None
    if stream.answered:
        words = f"the connection was {'closed' if clean else 'cut'} inside the body"
        return cut_off(reason, CodedError("body_truncated", words))
    if isinstance(reason.value, CodedError):  # TLS 1.3 tells only now that it wants a client certificate
        return reason.value
    if said is not None and said.code != "http2_goaway":
        return said
    trace = stream.envelope.trace
    if trace.reused and not trace.fresh and cut_off(reason, _CUT) is _CUT:
        return StaleConnection("empty_reply", "the shared connection was closed before the answer")
    if said is not None:
        return said
    if clean:
        return CodedError("empty_reply")
    return cut_off(reason, CodedError("conn_reset", f"before the answer: {reason.getErrorMessage()}"))


def by_another(stream: Stream) -> CodedError:
    """Another stream of the connection has broken it, and we had to close it."""
    words = "the connection had to be closed: another answer on it had too large a head"
    return CodedError("body_truncated", words) if stream.answered else StaleConnection("http2_goaway", words)


_CUT = CodedError("conn_reset")
