"""What an answer says of the links that lead to it. Pure."""

from __future__ import annotations

from collections.abc import Container, Sequence
from http.client import responses
from typing import Final, NamedTuple

import msgspec

from crawler.check.findings import Verdict
from crawler.errors import CODES, LINK_CODES, WARNINGS
from crawler.models import LEAVES, Record, Redirect
from crawler.page.places.survey import without_directive

PERMANENT: Final = frozenset({301, 308})
_TRANSIENT: Final = frozenset({408, 425, 429})
_SERVER: Final = 500
_UNUSUAL: Final = 600
_PAGES: Final = frozenset((None, "text/html", "application/xhtml+xml", "text/markdown"))
# Nobody was asked, as somebody said so; the page behind it may be as good as any.
_EXCLUDED: Final = frozenset((
    "robots_denied", "out_of_scope", "depth_limit", "trap_suspected", "budget_exceeded", "address_blocked", "dropped",
    "scheme_unsupported", "dry_run",
))  # fmt: skip
# Tried again and again, and the answer of who knows it.
_DEFINITIVE: Final = frozenset(("dns_nxdomain", "connect_refused"))
# It is there; only we could not take or read all of it.
_UNREADABLE: Final = frozenset(("parse_error", "parse_timeout"))
_THERE: Final = _UNREADABLE | {"body_too_large", "content_type_skipped", "memory_limit"}


class Answer(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What became of a URL. `hops` are the statuses of its redirects, `target` where they end.

    `fragment` is what the last Location with one has named. `unread`: it was asked for with HEAD, and may be a page.
    `unseen`: it is one of the site, of which the links could not be read.
    """

    status: int | None = None
    code: str | None = None
    message: str = ""
    transient: bool = False
    hops: tuple[int, ...] = ()
    target: str | None = None
    unread: bool = False
    fragment: str | None = None
    unseen: bool = False


class Judgement(NamedTuple):
    verdict: Verdict
    code: str | None = None
    message: str = ""


def meaning_of(code: str) -> str:
    """What a code of a finding means; of http_404 and the like what HTTP calls that status."""
    known = CODES[code].meaning if code in CODES else LINK_CODES.get(code) or WARNINGS.get(code)
    status = code.removeprefix("http_")
    return known or (_status_words(int(status)) if status.isdecimal() else code)


def _status_words(status: int) -> str:
    return f"{status} {responses.get(status, '')}".strip()


def answer_of(record: Record) -> Answer:
    error = record.error
    return Answer(
        record.status,
        None if error is None else error.code,
        "" if error is None else error.message,
        error is not None and error.transient,
        tuple(hop.status for hop in record.redirects),
        record.final_url if record.redirects else None,
        record.method == "HEAD" and record.content_type in _PAGES,
        fragment_of(record.redirects),
        error is not None and error.code in _UNREADABLE and record.input.source not in LEAVES,
    )


def fragment_of(redirects: Sequence[Redirect]) -> str | None:
    """The fragment that these lead to, without a text directive; None: that of the link."""
    named = [hop.fragment for hop in redirects if hop.fragment is not None]
    return without_directive(named[-1]) if named else None


def judge(answer: Answer, accepted: Container[int]) -> Judgement:
    """The verdict, without what redirects say."""
    code, status = answer.code, answer.status
    if code is not None and not (code in _THERE and status is not None):
        if code in _EXCLUDED:
            return Judgement("excluded", code, answer.message)
        is_unsure = answer.transient and code not in _DEFINITIVE
        return Judgement("unsure" if is_unsure else "broken", code, answer.message or CODES[code].meaning)
    if status is None:
        return Judgement("unsure", "interrupted", CODES["interrupted"].meaning)
    if status in accepted:
        if answer.unseen and code is not None:
            return Judgement("warning", code, f"{answer.message}: its links are not checked")
        return Judgement("ok")
    is_unsure = status in _TRANSIENT or status >= _SERVER
    return Judgement("unsure" if is_unsure else "broken", f"http_{status}", _status_words(status))
