"""What the formats of inputs are made of: lines, tables, JSON and sitemaps -> seeds, a piece at a time. No files.

The formats themselves are told in crawler.seeds.inputs, through which all others use this.
"""

from __future__ import annotations

import codecs
import csv
import json
import re
import zlib
from collections.abc import Iterator
from functools import partial
from itertools import chain, islice
from typing import Final, NamedTuple

import msgspec

from crawler.errors import CodedError
from crawler.models import Input
from crawler.redaction import redact, scrub
from crawler.seeds.sitemaps import entries
from crawler.seeds.streams import Stream, as_lines, json_items, json_kind
from crawler.urls import AROUND, Url, meant, parse

TEXT_LIMIT: Final = 2083
_LONGEST_SCHEME: Final = len("https:")
LINE_LIMIT: Final = 64 * 1024
ROW_LIMIT: Final = 16 * 1024 * 1024  # a line of JSON may carry a whole body beside its URL
DELIMITERS: Final = {".csv": ",", ".tsv": "\t"}
STRUCTURED: Final = (*DELIMITERS, ".jsonl", ".ndjson", ".json")

_COMMENT: Final = re.compile(r"\s#")
_BEFORE_MARKUP: Final = "\ufeff\xef\xbb\xbf \t\r\n"  # byte order marks, one of them as Latin-1 has it
# A declaration, a comment or a tag. Not <http://h/>, which may stand in a list.
_MARKUP: Final = re.compile(r"<(?:[?!]|[A-Za-z_][\w.:-]*(?:\s|/?>))")
_SEPARATOR: Final = re.compile(r'"?sep=([^\w\s"]|\t)"?\s')
# Another URL behind the first one. After a comma it may belong to a query, after white space never.
_ANOTHER: Final = re.compile(
    r"\s*+[^:/\s]{0,8}://(?:[^?#\s]*?[,;|]|.*?\s)[\"'<]?(?:https?|wss?)://", re.IGNORECASE | re.DOTALL
)
_PARAMETER: Final = re.compile(r"[\w.-]+=")
_SNIFFED: Final = 4096
_SNIFFED_LINES: Final = 10
_UTF16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_SLICE: Final = 1 << 16


class InputError(ValueError):
    """An input cannot be read at all, which is known before the run starts."""


class BadLine(NamedTuple):
    """A line that is no usable URL; `text` is safe to record: redacted, cut, without lone surrogates."""

    text: str
    input: Input
    error: CodedError


class Seed(NamedTuple):
    """A URL to fetch; `written` is what was given, redacted."""

    url: Url
    written: str
    input: Input


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


def read_stream(
    stream: Stream, structure: str, source: str, column: str | None, scheme: str | None = None
) -> Iterator[Seed | BadLine]:
    """The seeds of an input; `structure` is its suffix if that is one of STRUCTURED. A fault ends it with a BadLine."""
    lines = None
    try:
        if not structure and _is_markup(stream):
            yield from _read_sitemap(stream, source)
            return
        stream = as_lines(stream)
        kind = structure if structure in DELIMITERS else json_kind(stream, structure)
        if kind == "array":
            yield from _read_json_array(stream, source, column or "url", scheme)
            return
        lines = Lines(stream, ROW_LIMIT if kind else LINE_LIMIT)
        if kind in DELIMITERS:
            yield from _read_table(lines, source, _delimiter(stream, kind, column), column, scheme)
        elif kind:
            yield from _read_json_lines(lines, source, column or "url", scheme)
        else:
            yield from _read_lines(lines, source, scheme)
    except (OSError, EOFError, zlib.error, ValueError, CodedError) as error:
        number = lines.number if lines is not None else 0
        yield unreadable(source, number + 1, error, rest=number > 0)


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
        delimiter = _delimiter(stream, kind, column)
        first = list(islice(_rows(Lines(stream, ROW_LIMIT), delimiter), 2))
    except (OSError, EOFError, zlib.error, CodedError):
        return  # a fault of the content, which gets its record in the run
    _choose([row.cells for row in first if not row.fault], column)


# --- lines ---


class Lines:
    """The lines of a stream, with their ends. One longer than the limit comes as b"" and is counted in `too_long`."""

    def __init__(self, stream: Stream, limit: int) -> None:
        self.number = 0
        self.too_long = 0
        self.complaint = f"the line is longer than {limit // 1024} KiB"
        self._readline = partial(stream.readline, limit)

    def __iter__(self) -> Iterator[bytes]:
        limit: int = self._readline.args[0]
        for line in iter(self._readline, b""):
            self.number += 1
            if len(line) == limit and not line.endswith(b"\n"):
                self.too_long += 1
                while (rest := self._readline()) and not rest.endswith(b"\n"):
                    pass
                yield b""
            elif line.startswith(codecs.BOM_UTF8):  # also within a file that was made of several
                while line.startswith(codecs.BOM_UTF8):
                    line = line.removeprefix(codecs.BOM_UTF8)  # noqa: PLW2901
                yield line or b"\n"
            else:
                yield line


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


def _read_json_array(stream: Stream, source: str, key: str, scheme: str | None) -> Iterator[Seed | BadLine]:
    number = 0
    try:
        for number, item in enumerate(json_items(stream), 1):
            yield _from_json(item, key, Input(source=source, line=number), scheme)
    except (OSError, EOFError, zlib.error, ValueError, CodedError) as error:
        yield unreadable(source, number + 1, error, rest=number > 0)


def _from_json(value: object, key: str, place: Input, scheme: str | None) -> Seed | BadLine:
    try:
        url = _at_key(value, key, "item")
    except CodedError as error:
        return bad(json.dumps(value)[:TEXT_LIMIT], place, error.message)
    return seed(url.strip(), place, scheme)


def _read_json_lines(lines: Lines, source: str, key: str, scheme: str | None) -> Iterator[Seed | BadLine]:
    for line in lines:
        place = Input(source=source, line=lines.number)
        if not line:
            yield bad("", place, lines.complaint)
        elif not line.isspace():
            try:
                url = _at_key(msgspec.json.decode(line), key)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                yield bad(_shown(line), place, f"the line is not JSON: {error}")
            except CodedError as error:
                yield bad(_shown(line), place, error.message)
            else:
                yield seed(url.strip(), place, scheme)


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


# --- tables ---


class _Row(NamedTuple):
    line: int
    cells: list[str]
    fault: str = ""


def _delimiter(stream: Stream, structure: str, column: str | None) -> str:
    """What separates the cells: Excel's "sep=" line says it, else the suffix, or what csv.Sniffer finds in a .csv file.

    A ";" or "|" may also stand in URLs, so it has to make sense: it separates a column of the wanted name, or cells
    that are no parameters of a path ("http://h/;id=1").
    """
    head = stream.peek(1)[:_SNIFFED]
    text = head.decode("utf-8", "replace").lstrip("\ufeff")
    if said := _SEPARATOR.match(text):
        return said[1]
    delimiter = DELIMITERS[structure]
    lines = text.splitlines()[: _SNIFFED_LINES if len(head) < _SNIFFED else -1][:_SNIFFED_LINES]
    if structure == ".tsv" or not lines:
        return delimiter
    try:
        other = csv.Sniffer().sniff("\n".join(lines), ";\t|,").delimiter
    except csv.Error:
        return delimiter
    rows = list(csv.reader(lines, delimiter=other))
    try:
        index, has_header = _choose(rows[:2], column)
    except InputError:
        return delimiter
    following = rows[0][index + 1 :]
    sensible = has_header or other == "\t" or not (following and _PARAMETER.match(following[0]))
    return other if len(rows[0]) > 1 and sensible else delimiter


def _read_table(
    lines: Lines, source: str, delimiter: str, column: str | None, scheme: str | None
) -> Iterator[Seed | BadLine]:
    rows = _rows(lines, delimiter)
    first = list(islice(rows, 2))
    index, has_header = _choose([row.cells for row in first if not row.fault], column)
    for line, cells, fault in chain(first, rows):
        place = Input(source=source, line=line)
        if fault:
            yield bad("", place, fault)
        elif has_header:
            has_header = False
        elif index >= len(cells):
            yield bad(delimiter.join(cells), place, f"the row has no column {index + 1}")
        else:
            yield seed(cells[index].strip(), place, scheme)


def _rows(lines: Lines, delimiter: str) -> Iterator[_Row]:
    # Only the cell with the URL has to be UTF-8: other bytes travel as lone surrogates, which parse refuses.
    reader = csv.reader((line.decode("utf-8", "surrogateescape") for line in lines), delimiter=delimiter)
    while True:
        start, too_long = lines.number + 1, lines.too_long
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield _Row(start, [], f"the row cannot be read: {error}")
            continue
        if lines.too_long > too_long:
            yield _Row(start, [], lines.complaint)
        elif cells and not (start == 1 and _SEPARATOR.match(delimiter.join(cells) + "\n")):
            yield _Row(start, cells)


def _choose(rows: list[list[str]], column: str | None) -> tuple[int, bool]:
    """The index of the column with the URLs, and whether the first row is a header. Raises InputError."""
    if not rows:
        return 0, False
    names = [name.strip().casefold() for name in rows[0]]
    wanted = "url" if column is None else column.strip().casefold()
    number = int(wanted[:9]) if wanted.isascii() and wanted.isdigit() else 0
    if wanted in names:
        return names.index(wanted), True
    if column is None:
        found = next((index for row in rows for index, cell in enumerate(row) if parses(cell)), None)
        if found is None:
            raise InputError(
                "no column is named 'url' and no cell of the first two rows is a URL (name it with --column)"
            )
        index = found
    elif 1 <= number <= len(names):
        index = number - 1
    else:
        raise InputError(f"there is no column {column!r} (there are: {', '.join(map(repr, rows[0]))[:300]})")
    return index, index >= len(names) or not re.search(r"[.:/]", names[index])


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
