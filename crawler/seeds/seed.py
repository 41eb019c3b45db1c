"""A seed, and what is none: made of the text of a URL, and of what comes with it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from crawler.errors import CodedError
from crawler.models import SITEMAP_SOURCE, Ask, Input, Request
from crawler.printable import well_formed
from crawler.redaction import redact, scrub
from crawler.seeds import asked
from crawler.urls import AROUND, SOCKETS, Url, meant, parse

TEXT_LIMIT: Final = 2083
_LONGEST_SCHEME: Final = len("https:")
# Another URL behind the first one. After a comma it may belong to a query, after white space never.
_ANOTHER: Final = re.compile(
    r"\s*+[^:/\s]{0,8}://(?:[^?#\s]*?[,;|]|.*?\s)[\"'<]?(?:https?|wss?)://", re.IGNORECASE | re.DOTALL
)


class InputError(ValueError):
    """An input cannot be read at all, which is known before the run starts."""


class BadLine(NamedTuple):
    """A line that is no usable URL; `text` is safe to record: redacted, cut, without lone surrogates.

    `meta` goes into its record.
    """

    text: str
    input: Input
    error: CodedError
    meta: Any = None


class Seed(NamedTuple):
    """A URL to fetch; `written` is what was given, redacted. Without a `method` it has the run's."""

    url: Url
    written: str
    input: Input
    method: str | None = None
    ask: Ask | None = None


def seed(text: str, place: Input, scheme: str | None = None) -> Seed | BadLine:
    """What a text is that should be a URL. `scheme` is that of a text that is plainly a host."""
    error = None
    if text.find("://", _LONGEST_SCHEME) > 0 and _ANOTHER.match(text):
        return bad(text, place, "there is more than one URL (write each on a line of its own)")
    if text[-1:] not in AROUND:
        try:
            return Seed(parse(text), redact(text), place)
        except CodedError as problem:
            error = problem
    # As people have it in lists; the record tells of it, for it knows what was written.
    repaired = meant(text, scheme)
    if repaired != text or error is None:
        try:
            return Seed(parse(repaired), redact(text), place)
        except CodedError as problem:
            error = problem
    if "\t" in text:
        error = CodedError("url_invalid", "there is a tab in it (a file is read as a table if its name ends in .tsv)")
    # A traceback would keep the frames of this call alive for as long as the line is kept.
    return BadLine(recordable(text), place, error.with_traceback(None))


def requested(seed: Seed, number: int, now: float, method: str, ask: Ask | None) -> Request:
    """The request that is made for a seed, where the run asks with this method and this beside."""
    own, beside = seed.method, seed.ask
    if own is None and (seed.url.scheme in SOCKETS or seed.input.source == SITEMAP_SOURCE):
        own = "GET"
    elif own is None:
        own = method
        if ask is not None:
            beside = ask.under(beside)
    return Request(number, seed.url, seed.written, seed.input, now, own, ask=beside)


def bad(text: str, place: Input, message: str) -> BadLine:
    return BadLine(recordable(text), place, CodedError("url_invalid", message))


def unreadable(source: str, line: int | None, error: Exception, *, rest: bool = False) -> BadLine:
    """The one bad line for an input, or the `rest` of one, that cannot be read; `line` is where that was found."""
    what = "the rest of the input" if rest else "the input"
    return bad(source, Input(source=source, line=line), f"{what} cannot be read: {reason(error)}")


def reason(error: Exception) -> str:
    """What a person needs to know of an error that ends the reading of an input."""
    if isinstance(error, CodedError):
        return error.message
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def recordable(text: str) -> str:
    text = scrub(text)[:TEXT_LIMIT]
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def parses(text: str) -> bool:
    try:
        parse(text)
    except CodedError:
        return False
    return True


def with_request(found: Seed | BadLine, request: asked.Request, name: asked.Namer | None = None) -> Seed | BadLine:
    """A seed and the request that was made of its URL. Raises ValueError for what does not go together."""
    if isinstance(found, BadLine):
        return found._replace(meta=request.meta)
    _check_socket(found.url, request)
    return Seed(found.url, found.written, found.input, *request.wanted(name))


def of_object(
    text: str,
    fields: Mapping[Any, Any],
    key: str,
    place: Input,
    scheme: str | None = None,
    *,
    keep: bool = False,
    name: asked.Namer | None = None,
) -> Seed | BadLine:
    """The seed of an object with its URL under `key`: a line of JSON, or a dict. `keep` makes its other keys meta."""
    found = seed(text, place, scheme)
    if not keep and asked.FIELDS.isdisjoint(fields):
        return found
    try:
        request = asked.of_object(text, fields, key if keep else None)
        return with_request(found, request, name)
    except (TypeError, ValueError) as error:
        return refused(text, place, error)


def with_columns(found: Seed | BadLine, columns: dict[str, str]) -> Seed | BadLine:
    """A seed that takes along the other cells of its row, in which lone surrogates stand for what is not UTF-8."""
    try:
        try:
            meta = _checked(columns)
        except UnicodeEncodeError:
            meta = _checked(well_formed(columns))
    except (TypeError, ValueError) as error:
        return refused(found.text if isinstance(found, BadLine) else found.written, found.input, error)
    return found._replace(meta=meta) if isinstance(found, BadLine) else found._replace(ask=Ask(meta=meta))


def refused(text: str, place: Input, error: Exception) -> BadLine:
    """The bad line for a request that cannot be made as it is asked for."""
    return BadLine(recordable(text), place, CodedError("request_invalid", str(error)))


def _check_socket(url: Url, request: asked.Request) -> None:
    """Raise ValueError for a WebSocket that is asked for in another way than WebSockets are."""
    if url.scheme in SOCKETS and (request.method != "GET" or request.body is not None):
        raise ValueError(f"method: a WebSocket is asked for with GET and no body, not with {request.method}")


def _checked(columns: dict[str, str]) -> dict[str, str]:
    """The same, if it may go along. Raises ValueError, UnicodeEncodeError for text with lone surrogates."""
    asked.check_size(msgspec.json.encode(columns))
    return columns
