"""Records are made here: of a response, or of what never got one."""

from __future__ import annotations

import base64
import time
from functools import lru_cache
from typing import Any, Final, Literal

from crawler.charset import extract_type
from crawler.errors import SKIPS, CodedError
from crawler.models.record import ErrorInfo, Outcome, Record
from crawler.models.request import Input, Request
from crawler.models.response import Findings, Kept, Response
from crawler.urls import was_repaired

_LARGE: Final = 1 << 16
_NOT_MODIFIED: Final = 304
_SHORT: Final = b'"\\\b\t\n\f\r'  # what has an escape of two characters (RFC 8259 section 7)
_CONTROLS: Final = bytes(octet for octet in range(0x20) if octet not in _SHORT)
_ESCAPED: Final = _SHORT + _CONTROLS


@lru_cache(maxsize=64)
def _second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


def timestamp(epoch: float) -> str:
    """RFC 3339, UTC, milliseconds."""
    millis = int(epoch * 1000)
    return f"{_second(millis // 1000)}.{millis % 1000:03d}Z"


def record_of(
    request: Request,
    response: Response,
    queued: float,
    *,
    headers: bool = True,
    wire_body: bool = False,
    findings: Findings | None = None,
) -> Record:
    """The record of a request that has come to its end.

    `queued` is seconds from acceptance to the start of the last attempt. The body rides along for Python's use;
    `wire_body` makes it part of the wire form too. A page that could not be parsed as asked has failed.
    """
    error = response.error
    if findings is None:
        findings = _NO_FINDINGS
    elif error is None:
        error = findings.error
    timings = response.timings
    skipped = error is not None and error.code in SKIPS  # for what its head says: no body was taken
    body = response.body
    text, encoding = body_on_the_wire(body) if wire_body and response.status is not None else (None, None)
    warnings = response.warnings
    if response.truncated and "truncated" not in warnings:
        warnings = [*warnings, "truncated"]
    if request.input.parent is None and was_repaired(request.written):
        warnings = [*warnings, "input_repaired"]
    if request.redirects and any(hop.error for hop in request.redirects):
        warnings = [*warnings, "redirect_body"]
    if findings.warnings:
        warnings = [*warnings, *(code for code in findings.warnings if code not in warnings)]
    headers_kept = response.headers
    kept = findings.kept if error is None else None
    digest: str | None
    if kept is not None and response.status == _NOT_MODIFIED:
        # A 304 has no content: what it says of the content is what was said before.
        content_type, charset, size, digest = kept.content_type, kept.charset, kept.size_body, kept.sha256
        headers_kept = _with_validators(response.headers, kept)
    else:
        content_type, charset = extract_type(response.headers.get("content-type", ()))
        size = len(body) or response.size  # it may be elsewhere
        digest = response.digest() if response.status is not None and not skipped else None
    record = Record(
        url=request.written,
        final_url=request.url.href if response.status is not None or request.redirects else None,
        input=request.input,
        outcome=_outcome(error) if error is not None else "ok" if kept is None else "unchanged",
        error=None if error is None else error_info(error),
        warnings=warnings,
        method=request.method,
        status=response.status,
        http_version=response.http_version,
        wire_headers=headers_kept if headers and response.status is not None else None,
        content_type=content_type,
        charset=charset,
        size_download=response.size_download,
        size_body=size,
        truncated=response.truncated,
        sha256=digest,
        duplicate_of=findings.duplicate_of,
        redirects=request.redirects,
        attempts=request.attempt,
        remote_ip=response.remote_ip,
        reused=response.reused,
        proxy=response.proxy,
        cache=response.cache,
        started=timestamp(response.started),
        time_queue=round(queued, 6),
        time_namelookup=None if timings.namelookup is None else round(timings.namelookup, 6),
        time_connect=None if timings.connect is None else round(timings.connect, 6),
        time_appconnect=None if timings.appconnect is None else round(timings.appconnect, 6),
        time_starttransfer=None if timings.starttransfer is None else round(timings.starttransfer, 6),
        time_total=None if timings.total is None else round(timings.total, 6),
        title=findings.title,
        links=findings.links,
        data=findings.data if response.data is None else response.data,
        meta=None if request.ask is None else request.ask.meta,
        wire_body=text,
        body_encoding=encoding,
        page=findings.page,
    )
    return record.with_body(body)


_NO_FINDINGS: Final = Findings()


def _with_validators(headers: dict[str, list[str]], kept: Kept) -> dict[str, list[str]]:
    """Those of a 304, and what the next is asked with where they do not say that again (RFC 9111 section 4.3.4)."""
    unsaid = {}
    if kept.etag is not None and "etag" not in headers:
        unsaid["etag"] = [kept.etag]
    if kept.modified is not None and "last-modified" not in headers:
        unsaid["last-modified"] = [kept.modified]
    return {**unsaid, **headers} if unsaid else headers


def unfetched(written: str, source: Input, error: CodedError, meta: Any = None) -> Record:
    """The record of an input for which no request was made: a bad line, or a URL that policy skipped."""
    return Record(url=written, input=source, outcome=_outcome(error), error=error_info(error), meta=meta)


def untried(request: Request, error: CodedError, findings: Findings | None = None) -> Record:
    """The record of a request that was given up before this try of it, with what was done until then."""
    found = findings or _NO_FINDINGS
    redirects = request.redirects
    return Record(
        url=request.written,
        final_url=request.url.href if redirects else None,
        input=request.input,
        outcome=_outcome(error),
        error=error_info(error),
        warnings=found.warnings,
        method=request.method,
        redirects=redirects,
        attempts=request.attempt - 1 or min(1, len(redirects)),  # a hop belongs to a try that had begun
        data=found.data,
        meta=None if request.ask is None else request.ask.meta,
    )


def _outcome(error: CodedError) -> Outcome:
    return "skipped" if error.code in SKIPS else "failed"


def error_info(error: CodedError) -> ErrorInfo:
    return ErrorInfo(error.code, error.phase, error.transient, error.message)


def body_on_the_wire(body: bytes) -> tuple[str, Literal["base64"] | None]:
    """A body as JSON can carry it: as text where it is UTF-8, else in base64. So is a large one that would be half as
    long again by its escapes: 10 MiB of NULs would be 60, and 150 ms of nothing else.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        text = None
    if text is not None and (len(body) <= _LARGE or not _is_all_escapes(body)):
        return text, None
    return base64.b64encode(body).decode("ascii"), "base64"


def _is_all_escapes(body: bytes) -> bool:
    """Whether JSON takes more than half as much again for it: six characters for a control, two for others."""
    size = len(body)
    escaped = size - len(body.translate(None, _ESCAPED))
    if 10 * escaped <= size:
        return False
    return 2 * (escaped + 4 * (size - len(body.translate(None, _CONTROLS)))) > size
