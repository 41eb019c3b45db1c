"""Inputs -> seeds, lazily: URL files, CSV and TSV columns, JSON Lines, `-`, each of them also gzipped, and URLs.

Every line that is not blank or a comment gives one Seed or one BadLine. A fault of a whole input (a corrupt .gz) gives
one BadLine as well, and the next input follows. One line is in memory at a time, and its length has a limit.

- URL files: UTF-8, a URL a line. A line that starts with `#` is a comment; so is what follows a `#` after white space.
- `.csv`, `.tsv`: the column named by `column`, or its number from 1; by default the column `url`, else the first that
  holds a URL in one of the first two rows. Capitals in names do not matter. The first row is a header if it names the
  column, or if its cell there has none of the characters `.:/`.
- `.jsonl`, `.ndjson`: the string under the key `column` (default `url`; `a.b` reaches into objects), or a bare string.
- gzip is known by the suffix `.gz` or by its first two bytes.
"""

from __future__ import annotations

import codecs
import csv
import errno
import gzip
import io
import re
import stat
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple, cast

import msgspec

from crawler.errors import CodedError
from crawler.models import Input
from crawler.urls import Url, parse, redact, scrub

STDIN: Final = "-"
TEXT_LIMIT: Final = 2083
LINE_LIMIT: Final = 64 * 1024
ROW_LIMIT: Final = 16 * 1024 * 1024  # a line of JSON may carry a whole body beside its URL

_GZIP: Final = b"\x1f\x8b"
_DELIMITERS: Final = {".csv": ",", ".tsv": "\t"}
_STRUCTURED: Final = (*_DELIMITERS, ".jsonl", ".ndjson")
_COMMENT: Final = re.compile(r"\s#")
_HOST: Final = re.compile(r"(?:(localhost|[0-9.]+)|[^/?#:\\]+\.([A-Za-z]{2,}))(?::[0-9]+)?(?:[/?#]|\Z)")
_FILES: Final = {"csv", "gz", "htm", "html", "json", "jsonl", "list", "log", "lst", "md", "ndjson", "tsv", "txt", "xml"}


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


def check(inputs: Sequence[str], column: str | None) -> None:
    """Look at every input before the run starts. Standard input, pipes and URLs are left unread.

    Raises InputError with one line for every input that cannot be read, or whose table lacks the column.
    """
    problems = []
    files = [name for name in inputs if name != STDIN and not _is_url(name)]
    for name in files:
        try:
            _check_file(name, column)
        except InputError as error:
            problems.append(f"{name[:TEXT_LIMIT]!r}: {error}")
    if inputs.count(STDIN) > 1:
        problems.append("'-' is given more than once, but standard input can be read only once")
    if column is not None and not any(map(_structure, files)):
        problems.append(
            f"column {column!r}: no input has columns (allowed: .csv, .tsv, .jsonl, .ndjson; also .gz of them)"
        )
    if problems:
        raise InputError("\n".join(problems))


def read(
    inputs: Sequence[str], *, column: str | None = None, stdin: BinaryIO | None = None
) -> Iterator[Seed | BadLine]:
    """The seeds of all inputs, in order, read as they are asked for, in the calling thread."""
    for position, name in enumerate(inputs, 1):
        if name != STDIN and _is_url(name):
            yield _seed(name.strip(), Input(source="arguments", line=position))
        else:
            yield from _read_input(name, column, stdin)


def from_iterable(urls: Iterable[object], source: str = "urls") -> Iterator[Seed | BadLine]:
    """The seeds of a Python iterable of `str` and `Url`; every item of another type gives a BadLine."""
    if isinstance(urls, (str, bytes)):
        raise TypeError(f"an iterable of URLs is wanted, not one {type(urls).__name__}")
    return _from_items(urls, source)


def _from_items(urls: Iterable[object], source: str) -> Iterator[Seed | BadLine]:
    for line, item in enumerate(urls, 1):
        place = Input(source=source, line=line)
        if isinstance(item, str):
            yield _seed(item.strip(), place)
        elif isinstance(item, Url):
            yield Seed(item, item.href, place)
        else:
            kind = type(item).__name__
            text = item.decode("utf-8", "replace") if isinstance(item, bytes) else f"<{kind}>"
            yield _bad(text, place, f"a URL must be a str, not {kind}")


def _seed(text: str, place: Input) -> Seed | BadLine:
    try:
        url = parse(text)
    except CodedError as error:
        # A traceback would keep the frames of this call alive for as long as the line is kept.
        return BadLine(_recordable(text), place, error.with_traceback(None))
    return Seed(url, redact(text), place)


def _bad(text: str, place: Input, message: str) -> BadLine:
    return BadLine(_recordable(text), place, CodedError("url_invalid", message))


def _recordable(text: str) -> str:
    text = scrub(text)[:TEXT_LIMIT]
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _is_url(text: str) -> bool:
    return "://" in text or _parses(text)


def _parses(text: str) -> bool:
    try:
        parse(text)
    except CodedError:
        return False
    return True


# --- files and lines ---


def _structure(name: str) -> str:
    """The suffix that says how the lines of a file are built; empty for a plain file."""
    suffix = Path(name.lower().removesuffix(".gz")).suffix
    return suffix if suffix in _STRUCTURED else ""


@contextmanager
def _opened(name: str, stdin: BinaryIO | None = None) -> Iterator[BinaryIO]:
    with _standard_input(stdin) if name == STDIN else Path(name).open("rb") as stream:
        if name.lower().endswith(".gz") or stream.peek(len(_GZIP)).startswith(_GZIP):
            with gzip.GzipFile(fileobj=stream) as unzipped:
                yield cast(BinaryIO, unzipped)
        else:
            yield stream


@contextmanager
def _standard_input(stream: BinaryIO | None) -> Iterator[io.BufferedReader]:
    """Standard input, or the stream that stands for it, with a buffer in which one can look ahead; it stays open."""
    if stream is None:
        if sys.stdin is None:
            raise OSError(errno.EBADF, "standard input is closed")
        # Not sys.stdin.buffer: a thread that still waits in it makes the interpreter abort at its end
        # (https://github.com/python/cpython/issues/86883).
        with open(sys.stdin.fileno(), "rb", closefd=False) as own:
            yield own
        return
    buffered = io.BufferedReader(cast(Any, stream))
    try:
        yield buffered
    finally:
        buffered.detach()


class _Lines:
    """The lines of a stream, with their ends. One longer than the limit comes as b"" and is counted in `too_long`."""

    def __init__(self, stream: BinaryIO, limit: int) -> None:
        self.number = 0
        self.too_long = 0
        self.complaint = f"the line is longer than {limit // 1024} KiB"
        self._readline = partial(stream.readline, limit)

    def __iter__(self) -> Iterator[bytes]:
        limit: int = self._readline.args[0]
        for line in iter(self._readline, b""):
            if self.number == 0 and line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                raise CodedError("url_invalid", "it is UTF-16 (allowed: UTF-8)")
            self.number += 1
            if len(line) == limit and not line.endswith(b"\n"):
                self.too_long += 1
                while (rest := self._readline()) and not rest.endswith(b"\n"):
                    pass
                yield b""
            else:
                yield line if self.number > 1 else line.removeprefix(codecs.BOM_UTF8) or b"\n"


def _read_input(name: str, column: str | None, stdin: BinaryIO | None) -> Iterator[Seed | BadLine]:
    structure = _structure(name)
    source = _recordable(name)
    lines: _Lines | None = None
    try:
        with _opened(name, stdin) as stream:
            lines = _Lines(stream, ROW_LIMIT if structure else LINE_LIMIT)
            if structure in _DELIMITERS:
                yield from _read_table(lines, source, _DELIMITERS[structure], column)
            elif structure:
                yield from _read_json_lines(lines, source, column or "url")
            else:
                yield from _read_lines(lines, source)
    except (OSError, EOFError, zlib.error, ValueError, CodedError) as error:
        place = Input(source=source, line=lines.number + 1 if lines else None)
        what = "the rest of the input" if lines and lines.number else "the input"
        yield _bad(name, place, f"{what} cannot be read: {_reason(error)}")


def _reason(error: Exception) -> str:
    if isinstance(error, CodedError):
        return error.message
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def _read_lines(lines: _Lines, source: str) -> Iterator[Seed | BadLine]:
    for line in lines:
        place = Input(source=source, line=lines.number)
        if not line:
            yield _bad("", place, lines.complaint)
        # A comment may hold any bytes; in a URL, parse refuses those that are not UTF-8.
        text = line.decode("utf-8", "surrogateescape").strip()
        if not text or text[0] == "#":
            continue
        if "#" in text and (comment := _COMMENT.search(text)):
            text = text[: comment.start()].rstrip()
        yield _seed(text, place)


def _read_json_lines(lines: _Lines, source: str, key: str) -> Iterator[Seed | BadLine]:
    for line in lines:
        place = Input(source=source, line=lines.number)
        if not line:
            yield _bad("", place, lines.complaint)
        elif not line.isspace():
            try:
                url = _at_key(msgspec.json.decode(line), key)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                yield _bad(_shown(line), place, f"the line is not JSON: {error}")
            except CodedError as error:
                yield _bad(_shown(line), place, error.message)
            else:
                yield _seed(url.strip(), place)


def _shown(line: bytes) -> str:
    return line.decode("utf-8", "replace").strip()


def _at_key(value: object, key: str) -> str:
    if isinstance(value, str):
        return value
    if not isinstance(value, dict):
        raise CodedError("url_invalid", "the line is neither a string nor an object")
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


def _read_table(lines: _Lines, source: str, delimiter: str, column: str | None) -> Iterator[Seed | BadLine]:
    rows = _rows(lines, delimiter)
    first = list(islice(rows, 2))
    index, has_header = _choose([row.cells for row in first if not row.fault], column)
    for line, cells, fault in chain(first, rows):
        place = Input(source=source, line=line)
        if fault:
            yield _bad("", place, fault)
        elif has_header:
            has_header = False
        elif index >= len(cells):
            yield _bad(delimiter.join(cells), place, f"the row has no column {index + 1}")
        else:
            yield _seed(cells[index].strip(), place)


def _rows(lines: _Lines, delimiter: str) -> Iterator[_Row]:
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
        elif cells:
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
        found = next((index for row in rows for index, cell in enumerate(row) if _parses(cell)), None)
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


# --- what is wrong before the run ---


def _check_file(name: str, column: str | None) -> None:
    try:
        mode = Path(name).stat().st_mode
        if stat.S_ISREG(mode):  # not a pipe: what is read here would be missing in the run
            with _opened(name) as stream:
                _check_columns(stream, _structure(name), column)
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"there is no such file{_hint(name)}") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise InputError(f"cannot be read: {_reason(error)}") from None
    if stat.S_ISDIR(mode):
        raise InputError("is a directory (allowed: files, URLs and -)")


def _check_columns(stream: BinaryIO, structure: str, column: str | None) -> None:
    if structure not in _DELIMITERS:
        return
    try:
        first = list(islice(_rows(_Lines(stream, ROW_LIMIT), _DELIMITERS[structure]), 2))
    except (OSError, EOFError, zlib.error, CodedError):
        return  # a fault of the content, which gets its record in the run
    _choose([row.cells for row in first if not row.fault], column)


def _hint(name: str) -> str:
    match = _HOST.match(name)
    if match is None or (match[2] or "").lower() in _FILES:
        return ""
    url = f"{'http' if match[1] else 'https'}://{name}"
    return f" (for a URL, write {url})" if _parses(url) else ""
