"""The values that travel: Request, Response and Record (the wire schema). Frozen; nothing here does I/O."""

from __future__ import annotations

import base64
import json
import time
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
from msgspec import structs

from crawler.charset import decode_text, extract_type
from crawler.errors import SKIPS, CodedError
from crawler.urls import Url, was_repaired

if TYPE_CHECKING:
    import parsel

SCHEMA_VERSION: Final = 1
SITEMAP_SOURCE: Final = "--sitemap"
"""The `source` of an input that is a sitemap because somebody said so."""
INDEX_SOURCE: Final = "sitemap index"
"""The `source` of one that an index of sitemaps names, its `parent`."""
GUESS_SOURCE: Final = "--sitemaps"
"""The `source` of one that a robots.txt, its `parent`, does not name, and that is where sitemaps mostly are."""
ROBOTS: Final = "/robots.txt"
"""What the `parent` ends with of one that a robots.txt named."""
Outcome = Literal["ok", "failed", "skipped"]


class Input(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Where a URL came from: a line of a source (`line` counts from 1), or a link of a page (`parent`, `depth`)."""

    source: str | None = None
    line: int | None = None
    parent: str | None = None
    depth: int | None = None


class Redirect(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A hop. `error` is the code of what was wrong with its body, of which nothing is needed."""

    url: str
    status: int
    error: str | None = None


class ErrorInfo(msgspec.Struct, frozen=True, gc=False):
    code: str
    phase: str
    transient: bool
    message: str


class Request(msgspec.Struct, frozen=True):
    """One accepted input on its way. A hop or another try is a new Request with the same `id`.

    `id` counts accepted inputs from 0; `written` is the URL as it was given (without userinfo); `url` is what is
    fetched next; `attempt` counts tries from 1; `accepted` is the monotonic time at which it was accepted.
    """

    id: int
    url: Url
    written: str
    input: Input
    accepted: float
    method: str = "GET"
    attempt: int = 1
    redirects: tuple[Redirect, ...] = ()
    parked: bool = False
    set_cookie: bool = False  # some redirect did, in vain

    @property
    def discovered(self) -> bool:
        """True when the URL was not typed by the user: a link or a redirect led here."""
        return bool(self.redirects) or self.input.parent is not None


class Timings(msgspec.Struct, gc=False):
    """curl's cumulative seconds since the attempt's start; None where the phase did not happen."""

    namelookup: float | None = None
    connect: float | None = None
    appconnect: float | None = None
    starttransfer: float | None = None
    total: float | None = None


class Response(msgspec.Struct):
    """What one fetch got. `error` is set when it failed; what had arrived until then is kept.

    `raw_headers` are the (name, value) pairs in wire order, `headers` the same by lower-case name, as latin-1 text
    (RFC 9110 section 5.5). `body` is decoded; `size_download` counts its bytes on the wire. `started` is seconds since
    the epoch. `data` is what came of it beside the body: the messages of a WebSocket. `broken` is the code of what was
    wrong with the body of a redirect, which is followed no less.
    """

    timings: Timings
    started: float
    status: int | None = None
    http_version: str | None = None
    raw_headers: list[tuple[bytes, bytes]] = []
    headers: dict[str, list[str]] = {}
    body: bytes = b""
    size_download: int = 0
    truncated: bool = False
    warnings: list[str] = []
    remote_ip: str | None = None
    reused: bool | None = None
    error: CodedError | None = None
    broken: str | None = None
    data: Any = None
    sha256: str | None = None

    def digest(self) -> str:
        """The SHA-256 of the body, in hex. Computed when it is asked for, and once."""
        if self.sha256 is None:
            self.sha256 = _sha256(self.body)
        return self.sha256

    def first(self, name: str) -> str | None:
        """The first value of the header with this lower-case name."""
        values = self.headers.get(name)
        return values[0] if values else None


class Findings(msgspec.Struct, kw_only=True):
    """What a response holds beside its bytes. `error` says why the page could not be parsed as asked.

    `links` is how many links were found, `follow` what is to be followed. A sitemap is nothing to take data from; with
    `is_index` what it leads to are sitemaps.
    """

    title: str | None = None
    links: int | None = None
    follow: list[Url] = []
    data: Any = None
    duplicate_of: str | None = None
    warnings: list[str] = []
    error: CodedError | None = None
    is_sitemap: bool = False
    is_index: bool = False


class Record(msgspec.Struct, frozen=True, kw_only=True, dict=True, rename={"wire_body": "body"}):
    """The one truth about one input. Every key is always present on the wire; seconds are float, sizes are bytes.

    In Python `.body`, `.text`, `.selector`, `.json()` and `.ok` work on what was fetched, whether or not the body is
    part of the record's wire form (`--include-body`).
    """

    url: str
    final_url: str | None = None
    input: Input
    outcome: Outcome
    error: ErrorInfo | None = None
    warnings: list[str] = []
    method: str = "GET"
    status: int | None = None
    http_version: str | None = None
    headers: dict[str, list[str]] | None = None
    content_type: str | None = None
    charset: str | None = None
    size_download: int = 0
    size_body: int = 0
    truncated: bool = False
    sha256: str | None = None
    duplicate_of: str | None = None
    redirects: tuple[Redirect, ...] = ()
    attempts: int = 0
    remote_ip: str | None = None
    reused: bool | None = None
    started: str | None = None
    time_queue: float | None = None
    time_namelookup: float | None = None
    time_connect: float | None = None
    time_appconnect: float | None = None
    time_starttransfer: float | None = None
    time_total: float | None = None
    title: str | None = None
    links: int | None = None
    data: Any = None
    wire_body: str | None = None
    body_encoding: Literal["base64"] | None = None

    @property
    def ok(self) -> bool:
        """An answer arrived whole and its status is below 400."""
        return self.outcome == "ok" and self.status is not None and self.status < 400

    @property
    def body(self) -> bytes:
        """The decoded body; empty when nothing arrived, or when the record was read from a file without bodies."""
        kept = self.__dict__.get("body_bytes")
        if kept is not None:
            return bytes(kept)
        if self.wire_body is None:
            return b""
        return base64.b64decode(self.wire_body) if self.body_encoding == "base64" else self.wire_body.encode()

    @property
    def text(self) -> str:
        """The body as text. Its charset: byte order mark, header, what the document says, UTF-8, what it looks like."""
        return decode_text(self.body, self.charset, self.content_type).text

    @property
    def selector(self) -> parsel.Selector:
        """A parsel Selector over the body: of type "json" or "xml" where the content type says so, else "html"."""
        import parsel  # lxml takes 8 MiB and 60 ms: only for those who ask

        media = self.content_type or ""
        kind = "json" if media.endswith("json") else "xml" if media.endswith("xml") and "html" not in media else "html"
        # parsel refuses an empty body (Selector(body=b"") raises).
        return parsel.Selector(
            text=self.text or ("null" if kind == "json" else "<html/>"), type=kind, base_url=self.final_url
        )

    def json(self) -> Any:
        """The body parsed as JSON, decoded as `text` is. Raises ValueError when it is not JSON."""
        return json.loads(self.text)

    def with_body(self, body: bytes) -> Record:
        """This record, carrying the bytes for Python's use; they do not become part of the wire form."""
        self.__dict__["body_bytes"] = body
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        # A Struct's own pickle leaves out what rides along: in another process the body would be empty.
        return _unpickled, (structs.asdict(self), self.__dict__.get("body_bytes"))


def _unpickled(fields: dict[str, Any], body: bytes | None) -> Record:
    record = Record(**fields)
    return record if body is None else record.with_body(body)


_SHA256: Final = sha256()
_LARGE: Final = 1 << 16
_SHORT: Final = b'"\\\b\t\n\f\r'  # what has an escape of two characters (RFC 8259 section 7)
_CONTROLS: Final = bytes(octet for octet in range(0x20) if octet not in _SHORT)
_ESCAPED: Final = _SHORT + _CONTROLS


def _sha256(body: bytes) -> str:
    """Copying an empty hash costs half of what OpenSSL takes to find the algorithm anew."""
    digest = _SHA256.copy()
    digest.update(body)
    return digest.hexdigest()


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
    body = response.body
    content_type, charset = extract_type(response.headers.get("content-type", ()))
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
    record = Record(
        url=request.written,
        final_url=request.url.href if response.status is not None or request.redirects else None,
        input=request.input,
        outcome="ok" if error is None else "failed",
        error=None if error is None else error_info(error),
        warnings=warnings,
        method=request.method,
        status=response.status,
        http_version=response.http_version,
        headers=response.headers if headers and response.status is not None else None,
        content_type=content_type,
        charset=charset,
        size_download=response.size_download,
        size_body=len(body),
        truncated=response.truncated,
        sha256=response.digest() if response.status is not None else None,
        duplicate_of=findings.duplicate_of,
        redirects=request.redirects,
        attempts=request.attempt,
        remote_ip=response.remote_ip,
        reused=response.reused,
        started=timestamp(response.started),
        time_queue=round(queued, 6),
        time_namelookup=_micros(timings.namelookup),
        time_connect=_micros(timings.connect),
        time_appconnect=_micros(timings.appconnect),
        time_starttransfer=_micros(timings.starttransfer),
        time_total=_micros(timings.total),
        title=findings.title,
        links=findings.links,
        data=findings.data if response.data is None else response.data,
        wire_body=text,
        body_encoding=encoding,
    )
    return record.with_body(body)


_NO_FINDINGS: Final = Findings()


def unfetched(written: str, source: Input, error: CodedError) -> Record:
    """The record of an input for which no request was made: a bad line, or a URL that policy skipped."""
    return Record(url=written, input=source, outcome=_outcome(error), error=error_info(error))


def untried(request: Request, error: CodedError) -> Record:
    """The record of a request that was given up before this try of it, with what was done until then."""
    redirects = request.redirects
    return Record(
        url=request.written,
        final_url=request.url.href if redirects else None,
        input=request.input,
        outcome=_outcome(error),
        error=error_info(error),
        method=request.method,
        redirects=redirects,
        attempts=request.attempt - 1 or min(1, len(redirects)),  # a hop belongs to a try that had begun
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


def _micros(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)
