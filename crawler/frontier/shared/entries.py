"""What the shared store keeps of a URL, and of a host, as bytes of MessagePack; nothing in them is code.

Requests are put into a list whose end is left out where it says nothing: a link takes its URL, that of its page and
about 15 bytes. What a server has set as cookies on the way is not kept.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Final

import msgspec

from crawler.errors import CodedError
from crawler.frontier.shared.contract import StoreRefusedError
from crawler.models import Ask, Input, Redirect, Request
from crawler.politeness.controller import LONGEST_PAUSE
from crawler.seeds.inputs import BadLine
from crawler.urls import parse


class _Kept(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """`accepted` and `due` are milliseconds since the epoch: for seconds of difference the clocks of nodes will do."""

    href: str
    depth: int | None = None
    parent: str | None = None
    accepted: int = 0
    line: int | None = None
    source: str | None = None
    written: str | None = None
    method: str = "GET"
    userinfo: str = ""
    ask: Ask | None = None
    attempt: int = 1
    begun: bool = False
    due: int = 0
    parked: bool = False
    redirects: tuple[Redirect, ...] = ()
    set_cookie: bool = False
    since: int = 0


class _KeptLine(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="line"):
    text: str
    code: str
    message: str
    source: str | None = None
    line: int | None = None
    parent: str | None = None
    depth: int | None = None
    meta: Any = None


_DEFAULTS: Final = (None, None, 0, None, None, None, "GET", "", None, 1, False, 0, False, (), False, 0)
_encode: Final = msgspec.msgpack.Encoder().encode
_request: Final = msgspec.msgpack.Decoder(_Kept).decode
_line: Final = msgspec.msgpack.Decoder(_KeptLine).decode
_LINE_HEAD: Final = b"\xa4line"


class Known(msgspec.Struct, frozen=True):
    """A request as it came from the store: whether it counts as `begun` (--max-pages), and from when on it may be made,
    on the monotonic clock.
    """

    request: Request
    begun: bool = False
    due: float = 0.0


def kept(request: Request, epoch: float, *, begun: bool = False, due: float = 0.0) -> bytes:
    """The bytes of a request. `epoch` is the time of day at which the monotonic clock said 0, `due` is on that."""
    url, place = request.url, request.input
    href = url.href
    values = (
        href,
        place.depth,
        place.parent,
        int((request.accepted + epoch) * 1000),
        place.line,
        place.source,
        None if request.written == href else request.written,
        request.method,
        url.userinfo,
        request.ask,
        request.attempt,
        begun,
        int((due + epoch) * 1000) if due else 0,
        request.parked,
        request.redirects,
        request.set_cookie,
        request.since,
    )
    end = len(values)
    while end > 1 and values[end - 1] == _DEFAULTS[end - 2]:
        end -= 1
    try:
        return _encode(values[:end])
    except UnicodeEncodeError:  # a lone surrogate in what was written
        return _encode(_well_formed(values[:end]))


def kept_line(line: BadLine) -> bytes:
    """The bytes of an input that is not fetched."""
    place = line.input
    data = _KeptLine(
        line.text,
        line.error.code,
        line.error.message,
        place.source,
        place.line,
        place.parent,
        place.depth,
        line.meta,
    )
    return _encode(data)


def read(data: bytes, number: int, epoch: float, now: float) -> Known | BadLine:
    """What `kept` or `kept_line` gave, with an id of this node's. Raises StoreRefusedError for anything else."""
    try:
        return _read(data, number, epoch, now)
    except (msgspec.DecodeError, UnicodeDecodeError, CodedError) as error:
        raise StoreRefusedError(f"it has a URL that this version of the program cannot read: {error}") from error


def _read(data: bytes, number: int, epoch: float, now: float) -> Known | BadLine:
    if data[1:6] == _LINE_HEAD:
        line = _line(data)
        place = Input(line.source, line.line, line.parent, line.depth)
        return BadLine(line.text, place, CodedError(line.code, line.message), line.meta)
    was = _request(data)
    url = parse(was.href)
    if was.userinfo:
        url = msgspec.structs.replace(url, userinfo=was.userinfo)
    request = Request(
        number,
        url,
        was.href if was.written is None else was.written,
        Input(was.source, was.line, was.parent, was.depth),
        min(now, was.accepted / 1000 - epoch),
        was.method,
        was.attempt,
        was.redirects,
        was.parked,
        was.set_cookie,
        was.since,
        ask=was.ask,
    )
    due = min(was.due / 1000 - epoch, now + LONGEST_PAUSE) if was.due else 0.0  # beyond that a clock is wrong
    return Known(request, was.begun, due)


def uid(*what: object) -> bytes:
    """8 bytes that are the same for the same, on every node."""
    return blake2b(repr(what).encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _well_formed(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return tuple(map(_well_formed, value)) if isinstance(value, tuple) else value
