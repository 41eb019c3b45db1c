"""What the formats of inputs are made of: lines, tables, JSON and sitemaps -> seeds, a piece at a time. No files.

The formats themselves are told in crawler.seeds.inputs, through which all others use this.
"""

from __future__ import annotations

import codecs
import json
import re
import zlib
from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import Final

import msgspec

from crawler.errors import CodedError
from crawler.models import Input
from crawler.seeds.asked import FIELDS, meta_keys
from crawler.seeds.seed import TEXT_LIMIT, BadLine, InputError, Seed, bad, of_object, seed, unreadable
from crawler.seeds.sitemaps import entries
from crawler.seeds.streams import Stream, as_lines, json_items, json_kind
from crawler.seeds.tables import DELIMITERS, Lines, choose, column_names, delimiter_of, read_table, table_rows

LINE_LIMIT: Final = 64 * 1024
ROW_LIMIT: Final = 16 * 1024 * 1024  # a line of JSON may carry a whole body beside its URL
STRUCTURED: Final = (*DELIMITERS, ".jsonl", ".ndjson", ".json")

_COMMENT: Final = re.compile(r"\s#")
_BEFORE_MARKUP: Final = "\ufeff\xef\xbb\xbf \t\r\n"  # byte order marks, one of them as Latin-1 has it
# A declaration, a comment or a tag. Not <http://h/>, which may stand in a list.
_MARKUP: Final = re.compile(r"<(?:[?!]|[A-Za-z_][\w.:-]*(?:\s|/?>))")
_UTF16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_SLICE: Final = 1 << 16


def read_stream(
    stream: Stream,
    structure: str,
    source: str,
    column: str | None,
    scheme: str | None = None,
    *,
    keep: bool = False,
) -> Iterator[Seed | BadLine]:
    """The seeds of an input; `structure` is its suffix if that is one of STRUCTURED. A fault ends it with a BadLine.

    With `keep` what stands beside a URL goes along as its meta.
    """
    lines = None
    try:
        if not structure and _is_markup(stream):
            yield from _read_sitemap(stream, source)
            return
        stream = as_lines(stream)
        kind = structure if structure in DELIMITERS else json_kind(stream, structure)
        if kind == "array":
            yield from _read_json_array(stream, source, column or "url", scheme, keep=keep)
            return
        lines = Lines(stream, ROW_LIMIT if kind else LINE_LIMIT)
        if kind in DELIMITERS:
            yield from read_table(lines, source, delimiter_of(stream, kind, column), column, scheme, keep=keep)
        else:
            yield from read_lines(lines, kind, source, column, scheme, keep=keep)
    except (OSError, EOFError, zlib.error, ValueError, CodedError) as error:
        number = lines.number if lines is not None else 0
        yield unreadable(source, number + 1, error, rest=number > 0)


def kind_of_lines(stream: Stream, structure: str) -> str | None:
    """What the lines of an input are, each by itself: "" for URLs, ".jsonl" for JSON; None where they are no such lines
    as they stand (tables, sitemaps, arrays, other encodings). Nothing is taken from the stream. Raises CodedError.
    """
    if structure in DELIMITERS or (not structure and _is_markup(stream)) or as_lines(stream) is not stream:
        return None
    kind = json_kind(stream, structure)
    return None if kind == "array" else kind


def read_lines(
    lines: Lines, kind: str, source: str, column: str | None, scheme: str | None, *, keep: bool
) -> Iterator[Seed | BadLine]:
    """The seeds of lines of a kind that `kind_of_lines` gives."""
    if kind:
        return _read_json_lines(lines, source, column or "url", scheme, keep=keep)
    return _read_lines(lines, source, scheme)


def check_stream(stream: Stream, structure: str, column: str | None) -> None:
    """Look at the beginning of an input.

    Raises InputError for a table without the column, XML of another kind, and for what is no list at all.
    """
    try:
        if not structure and _is_markup(stream):
            _check_sitemap(stream)
            return
        try:
            stream = as_lines(stream)
            kind = structure if structure in DELIMITERS else json_kind(stream, structure)
        except CodedError as error:
            raise InputError(error.message) from None
        if kind not in DELIMITERS:
            return
        delimiter = delimiter_of(stream, kind, column)
        first = list(islice(table_rows(Lines(stream, ROW_LIMIT), delimiter), 2))
    except (OSError, EOFError, zlib.error, CodedError):
        return  # a fault of the content, which gets its record in the run
    choose([row.cells for row in first if not row.fault], column)


def columns_of(stream: Stream, structure: str, column: str | None) -> Iterator[str]:
    """The names of what may stand beside a URL, as the beginning of an input says. Raises ValueError, CodedError."""
    if not structure and _is_markup(stream):
        return
    stream = as_lines(stream)
    kind = structure if structure in DELIMITERS else json_kind(stream, structure)
    if kind in DELIMITERS:
        rows = table_rows(Lines(stream, ROW_LIMIT), delimiter_of(stream, kind, column))
        table = [row.cells for row in islice(rows, 2) if not row.fault]
        index, has_header = choose(table, column)
        yield from filter(None, column_names(table, index, has_header=has_header))
    elif kind:
        first = next(
            json_items(stream) if kind == "array" else map(msgspec.json.decode, Lines(stream, ROW_LIMIT)), None
        )
        if isinstance(first, dict):
            yield from meta_keys(first, column or "url")


# --- lines ---


def _read_lines(lines: Lines, source: str, scheme: str | None) -> Iterator[Seed | BadLine]:
    for line in lines:
        place = Input(source=source, line=lines.number)
        if not line:
            yield bad("", place, lines.complaint)
        # A comment may hold any bytes; in a URL, parse refuses those that are not UTF-8.
        text = line.decode("utf-8", "surrogateescape").strip()
        if not text or text[0] == "#":
            continue
        if "#" in text and (comment := _COMMENT.search(text)):
            text = text[: comment.start()].rstrip()
        yield seed(text, place, scheme)


# --- JSON ---


def _read_json_array(
    stream: Stream, source: str, key: str, scheme: str | None, *, keep: bool
) -> Iterator[Seed | BadLine]:
    number = 0
    try:
        for number, item in enumerate(json_items(stream), 1):
            yield _from_json(item, key, Input(source=source, line=number), scheme, keep=keep)
    except (OSError, EOFError, zlib.error, ValueError, CodedError) as error:
        yield unreadable(source, number + 1, error, rest=number > 0)


def _from_json(value: object, key: str, place: Input, scheme: str | None, *, keep: bool) -> Seed | BadLine:
    try:
        url = _at_key(value, key, "item")
    except CodedError as error:
        return bad(json.dumps(value)[:TEXT_LIMIT], place, error.message)
    return _seed_of(value, url.strip(), key, place, scheme, keep=keep)


def _seed_of(value: object, url: str, key: str, place: Input, scheme: str | None, *, keep: bool) -> Seed | BadLine:
    if isinstance(value, dict) and (keep or not FIELDS.isdisjoint(value)):
        for function in ("callback", "errback"):  # functions, in Python
            value.pop(function, None)
        return of_object(url, value, key, place, scheme, keep=keep)
    return seed(url, place, scheme)


def _read_json_lines(
    lines: Lines, source: str, key: str, scheme: str | None, *, keep: bool
) -> Iterator[Seed | BadLine]:
    for line in lines:
        place = Input(source=source, line=lines.number)
        if not line:
            yield bad("", place, lines.complaint)
        elif not line.isspace():
            try:
                value = msgspec.json.decode(line)
                url = _at_key(value, key)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                yield bad(_shown(line), place, f"the line is not JSON: {error}")
            except CodedError as error:
                yield bad(_shown(line), place, error.message)
            else:
                yield _seed_of(value, url.strip(), key, place, scheme, keep=keep)


def _shown(line: bytes) -> str:
    return line.decode("utf-8", "replace").strip()


def _at_key(value: object, key: str, what: str = "line") -> str:
    if isinstance(value, str):
        return value
    if not isinstance(value, dict):
        raise CodedError("url_invalid", f"the {what} is neither a string nor an object")
    found: object = value
    for part in (key,) if key in value else key.split("."):
        if not isinstance(found, dict) or part not in found:
            raise CodedError("url_invalid", f"the object has no key {key!r}")
        found = found[part]
    if not isinstance(found, str):
        raise CodedError("url_invalid", f"the value of {key!r} is not a string")
    return found


# --- sitemaps ---


def _is_markup(stream: Stream) -> bool:
    """Whether XML or HTML follows; nothing is taken from the stream."""
    head = stream.peek(1)[:1024]
    text = head.decode("utf-16" if head.startswith(_UTF16) else "latin-1", "replace")
    return _MARKUP.match(text.lstrip(_BEFORE_MARKUP)) is not None


def _pieces(stream: Stream) -> Iterator[bytes]:
    return iter(partial(stream.read1, _SLICE), b"")


def _read_sitemap(stream: Stream, source: str) -> Iterator[Seed | BadLine]:
    line = None
    try:
        for url, line in entries(_pieces(stream)):
            place = Input(source=source, line=line)
            yield seed(url, place) if url else bad("", place, "the entry has no URL")
    except (OSError, EOFError, zlib.error, CodedError) as error:
        yield unreadable(source, line, error, rest=line is not None)


def _check_sitemap(stream: Stream) -> None:
    try:
        next(entries(_pieces(stream)), None)
    except CodedError as error:
        raise InputError(error.message) from None
