"""Whether a failed try is worth another one, and when. Pure: randomness is injected, time does not occur."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

import msgspec

from crawler.errors import CodedError
from crawler.fetch.http11.agent import IDEMPOTENT
from crawler.models import Request

BACKOFF_START: Final = 1.0
BACKOFF_CAP: Final = 60.0
LOCAL_PAUSE: Final = 1.0

RETRY_STATUSES: Final = frozenset({408, 429, 500, 502, 503, 504, 522, 524})
# Nothing was done, whatever was asked for: the request has not left, or was counted and sent back (RFC 6585 section 4).
_NOT_SENT: Final = frozenset({"dns", "connect", "tls"})
_NOT_DONE: Final = frozenset({429})
_UNSEEN: Final = frozenset({"http2_refused"})  # RFC 9113 section 8.7
_NO_HEAD: Final = frozenset({403, 405, 501})  # who does not know it, or keeps robots out, says one of these
_BAD: Final = 400
_WAITS: Final = frozenset({429, 503})
_OF_THE_ANSWER: Final = frozenset({"headers", "body", "decode"})
# This machine ran short of something: no news about the URL, so not one of its tries.
LOCAL_CODES: Final = frozenset({"local_fd_limit", "local_port_exhausted"})
# Transient for a later run, not for this one: our own decisions, the end of the run, our own disk.
_OUR_PHASES: Final = frozenset({"input", "policy", "store", "internal"})


@dataclass(frozen=True, slots=True)
class Again:
    """Try once more: queue `request` (its attempt counted already) not before `delay` seconds from now.

    `park` means to the end of the run, `Frontier.park` instead of `Frontier.retry`.
    """

    request: Request
    delay: float
    park: bool = False


class Retry:
    """Full jitter over a doubling span (up to 1 s, 2 s, 4 s ... `BACKOFF_CAP`), unless the host names its own time.

    With `get_for_head` what was asked for with HEAD is asked for with GET where a server refuses that; at once, and
    however few `retries` there are. Of a run that `checks` links this is so for all that is no good answer, but for
    those that ask us to wait; and there the last try of each is made at the end of the run.
    """

    def __init__(
        self,
        *,
        retries: int = 2,
        retry_after_cap: float = 120.0,
        get_for_head: bool = False,
        checks: bool = False,
        rng: random.Random,
    ) -> None:
        self._get_for_head = get_for_head or checks
        self._checks = checks
        self._retries = retries
        self._retry_after_cap = retry_after_cap
        self._rng = rng

    def decide(
        self, request: Request, *, status: int | None, error: CodedError | None, retry_after: float | None
    ) -> Again | None:
        """What to do after a try that brought `status`, or `error`, or both; None: it stands.

        `retry_after` is what `Politeness.observe` returned. A parked request has its last try: whatever comes is final,
        short of running out of something on this machine.
        """
        if error is not None and error.code in LOCAL_CODES:
            return Again(request, self._rng.uniform(LOCAL_PAUSE / 2, LOCAL_PAUSE))
        if self._get_for_head and request.method == "HEAD" and self._refuses_head(status, error):
            return Again(msgspec.structs.replace(request, method="GET", attempt=request.attempt + 1), 0.0)
        transient = error is not None and error.transient and error.phase not in _OUR_PHASES
        if not (transient or status in RETRY_STATUSES) or request.parked:
            return None
        if request.method not in IDEMPOTENT and not _is_undone(status, error):
            return None  # RFC 9110 section 9.2.2: it may have been done, and would be done twice
        # A name that does not exist rarely comes to exist, but a resolver's hiccup looks the same.
        retries = min(1, self._retries) if error is not None and error.code == "dns_nxdomain" else self._retries
        if request.attempt > retries:
            return None
        if retry_after is not None and retry_after > self._retry_after_cap:
            # Waiting as long as a host pleases could keep a run from ever ending.
            last = msgspec.structs.replace(request, attempt=request.attempt + 1, parked=True)
            return Again(last, self._retry_after_cap, park=True)
        # 2 ** 30 is far beyond the cap; a larger power would leave the floats at some --retries.
        span = min(BACKOFF_CAP, BACKOFF_START * 2 ** min(request.attempt - 1, 30))
        # Zero or a date in the past says nothing: the span still spreads the tries.
        delay = retry_after or self._rng.uniform(0.0, span)
        is_last = self._checks and request.attempt == retries
        again = msgspec.structs.replace(request, attempt=request.attempt + 1, parked=is_last)
        return Again(again, delay, park=is_last)

    def _refuses_head(self, status: int | None, error: CodedError | None) -> bool:
        """Whether a server may have a better answer to GET."""
        if not self._checks:
            return status in _NO_HEAD and error is None
        if error is not None:
            return error.phase in _OF_THE_ANSWER and "redirect" not in error.code
        return status is not None and status >= _BAD and status not in _WAITS


def _is_undone(status: int | None, error: CodedError | None) -> bool:
    """Whether the server has certainly not done what it was asked for."""
    if error is None:
        return status in _NOT_DONE
    return status is None and (error.phase in _NOT_SENT or error.code in _UNSEEN)
