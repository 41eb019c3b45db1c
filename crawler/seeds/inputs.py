"""Inputs -> seeds, lazily: URL files, CSV and TSV columns, JSON Lines, sitemaps, `-`, each also gzipped, and URLs.

Every line that is not blank or a comment gives one Seed or one BadLine. A fault of a whole input (a corrupt .gz) gives
one BadLine as well, and the next input follows. One line is in memory at a time, and its length has a limit; of XML it
is 64 KiB.

- URL files: UTF-8 or UTF-16, a URL a line. A line that starts with `#` is a comment; so is what follows a `#` after
  white space. Quotes, commas and invisible characters around a URL do not count; a line that is plainly a host gets the
  scheme that is given for it.
- `.csv`, `.tsv`: a comma or a tab between cells, or in `.csv` what csv.Sniffer finds or a line `sep=;` says. The
  column named by `column`, or its number from 1; by default the column `url`, else the first that holds a URL in one of
  the first two rows. Capitals in names do not matter. The first row is a header if it names the column, or if its cell
  there has none of the characters `.:/`.
- `.jsonl`, `.ndjson`: the string under the key `column` (default `url`; `a.b` reaches into objects), or a bare string.
  `.json`: the same, or one array of such values. Both are known by how they begin, too. An object may also say how to
  ask: under `method`, `headers`, `data`, `json`, `form`, and `meta`, which goes along into the record.
- Sitemaps, indexes of sitemaps, RSS and Atom are known by what they begin with, which is a tag or an XML declaration.
  Every entry gives one Seed or one BadLine, however many there are; those of an index are URLs of sitemaps.
- `.xlsx`: the first sheet of an Excel workbook, as a table.
- `s3://bucket/list.txt`, `gs://`, `az://`: the object there, read as a file of that name would be.
- gzip is known by the suffix `.gz` or by its first two bytes.
"""

from __future__ import annotations

import errno
import gzip
import io
import re
import stat
import sys
import zlib
from collections.abc import AsyncIterable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from crawler.config.kinds import shown
from crawler.errors import CodedError
from crawler.models import Input
from crawler.objects.address import is_object
from crawler.redaction import scrub
from crawler.seeds import asked, workbook
from crawler.seeds.formats import LINE_LIMIT, ROW_LIMIT, STRUCTURED, check_stream, columns_of, read_stream
from crawler.seeds.seed import (
    TEXT_LIMIT,
    BadLine,
    InputError,
    Seed,
    bad,
    of_object,
    parses,
    reason,
    recordable,
    refused,
    requested,
    seed,
    unreadable,
    with_request,
)
from crawler.seeds.streams import Stream
from crawler.urls import Url, meant

__all__ = [
    "LINE_LIMIT",
    "ROW_LIMIT",
    "STDIN",
    "TEXT_LIMIT",
    "BadLine",
    "InputError",
    "Seed",
    "bad",
    "check",
    "columns",
    "from_iterable",
    "read",
    "requested",
    "seed",
    "structure",
]

STDIN: Final = "-"

_GZIP: Final = b"\x1f\x8b"
_LOCAL: Final = re.compile(r"(?:localhost|[0-9.]+)(?::[0-9]+)?(?:[/?#]|\Z)")


def check(inputs: Sequence[str], column: str | None) -> None:
    """Look at every input before the run starts. Standard input, pipes, objects and URLs are left unread.

    Raises InputError with one line for every input that cannot be read, lacks the column, or is XML of another kind.
    """
    problems = []
    files = [name for name in inputs if name != STDIN and not _is_url(name)]
    for name in files:
        if is_object(name):  # a store's answer takes too long for here
            continue
        try:
            _check_file(name, column)
        except InputError as error:
            problems.append(f"{scrub(name)[:TEXT_LIMIT]!r}: {error}")
    if inputs.count(STDIN) > 1:
        problems.append("'-' is given more than once, but standard input can be read only once")
    if column is not None and not any(map(structure, files)):
        problems.append(
            f"column {shown(column)}: no input has columns "
            "(allowed: .csv, .tsv, .xlsx, .json, .jsonl, .ndjson; also .gz of text)"
        )
    if problems:
        raise InputError("\n".join(problems))


def read(
    inputs: Sequence[str],
    *,
    column: str | None = None,
    scheme: str | None = None,
    stdin: BinaryIO | None = None,
    keep: bool = False,
) -> Iterator[Seed | BadLine]:
    """The seeds of all inputs, in order, read as they are asked for, in the calling thread.

    `scheme` is put before lines that are plainly hosts; without one they are bad. With `keep` what stands beside a URL,
    in the other columns of its row, goes along as meta.
    """
    for position, name in enumerate(inputs, 1):
        if name != STDIN and _is_url(name):
            yield seed(name.strip(), Input(source="arguments", line=position))
        else:
            yield from _read_input(name, column, scheme, stdin, keep=keep)


def columns(inputs: Sequence[str], column: str | None) -> list[str]:
    """The names under which the cells of tables go along as meta, in their order, without reading on.

    What is no plain file, and what cannot be read, has none; of JSON the first object says which keys there are.
    """
    names: dict[str, None] = {}
    for name in inputs:
        if name != STDIN and not _is_url(name) and Path(name).is_file():
            with suppress(OSError, EOFError, ValueError, zlib.error, CodedError), _opened(name) as stream:
                names.update(dict.fromkeys(columns_of(stream, structure(name), column)))
    return list(names)


def from_iterable(
    urls: Iterable[object],
    source: str = "urls",
    scheme: str | None = None,
    *,
    keep: bool = False,
    name: asked.Namer | None = None,
) -> Iterator[Seed | BadLine]:
    """The seeds of a Python iterable: `str`, `Url`, `Request`, dicts like the lines of JSON, and what is one already.

    Every item of another type gives a BadLine. `name` names the functions that requests are for; see also `read`.
    """
    if isinstance(urls, type):
        raise TypeError(f"an iterable of URLs is wanted, not the class {urls.__name__} (crawl(urls, parse=FUNCTION))")
    if isinstance(urls, AsyncIterable):
        raise TypeError("an asynchronous iterable of URLs is read by stream_async and fetch_all_async alone")
    if isinstance(urls, (str, bytes, asked.Request, Url, Path)):
        raise TypeError(f"an iterable of URLs is wanted, not one {type(urls).__name__}")
    return _from_items(urls, source, scheme, keep, name)


def _from_items(
    urls: Iterable[object],
    source: str,
    scheme: str | None,
    keep: bool,
    name: asked.Namer | None,
) -> Iterator[Seed | BadLine]:
    for line, item in enumerate(urls, 1):
        place = Input(source=source, line=line)
        if isinstance(item, str):
            yield seed(item.strip(), place, scheme)
        elif isinstance(item, Url):
            yield Seed(item, item.href, place)
        elif isinstance(item, (Seed, BadLine)):
            yield item
        elif isinstance(item, asked.Request):
            try:
                yield with_request(seed(item.url, place, scheme), item, name)
            except ValueError as error:
                yield refused(item.url, place, error)
        elif isinstance(item, Mapping):
            url = item.get("url")
            if isinstance(url, Url):
                url = asked.Request(url).url
            if isinstance(url, str):
                yield of_object(url.strip(), item, "url", place, scheme, keep=keep, name=name)
            else:
                yield bad("<dict>", place, asked.not_a_url(url) if "url" in item else "the dict has no key 'url'")
        else:
            text = item.decode("utf-8", "replace") if isinstance(item, bytes) else f"<{type(item).__name__}>"
            yield bad(text, place, asked.not_a_url(item))


def _is_url(text: str) -> bool:
    return ("://" in text and not is_object(text)) or parses(text)


# --- files ---


def structure(name: str) -> str:
    """The suffix that says how the lines of a file are built; empty for a plain file."""
    suffix = Path(name.lower().removesuffix(".gz")).suffix
    if suffix == workbook.SUFFIX and not is_object(name) and workbook.is_one(name):
        return ".csv"
    return suffix if suffix in STRUCTURED else ""


@contextmanager
def _opened(name: str, stdin: BinaryIO | None = None) -> Iterator[Stream]:
    if name.lower().endswith(workbook.SUFFIX) and not is_object(name) and workbook.is_one(name):
        with workbook.opened(name) as rows:
            yield rows
        return
    with _stream(name, stdin) as stream:
        if name.lower().endswith(".gz") or stream.peek(len(_GZIP)).startswith(_GZIP):
            with gzip.GzipFile(fileobj=stream) as unzipped:
                yield unzipped
        else:
            yield stream


def _stream(name: str, stdin: BinaryIO | None) -> AbstractContextManager[io.BufferedReader]:
    if name == STDIN:
        return _standard_input(stdin)
    if is_object(name):
        from crawler.objects.reading import open_object

        return open_object(name)
    return Path(name).open("rb")


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


def _read_input(
    name: str, column: str | None, scheme: str | None, stdin: BinaryIO | None, *, keep: bool
) -> Iterator[Seed | BadLine]:
    source = recordable(name)
    try:
        with _opened(name, stdin) as stream:
            yield from read_stream(stream, structure(name), source, column, scheme, keep=keep)
    except (OSError, ValueError) as error:  # while it is opened: read_stream has words for its own
        yield unreadable(source, None, error)


# --- what is wrong before the run ---


def _check_file(name: str, column: str | None) -> None:
    try:
        mode = Path(name).stat().st_mode
        if stat.S_ISREG(mode):  # not a pipe: what is read here would be missing in the run
            with _opened(name) as stream:
                check_stream(stream, structure(name), column)
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"there is no such file{_hint(name)}") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise InputError(f"cannot be read: {reason(error)}") from None
    if stat.S_ISDIR(mode):
        raise InputError("is a directory (allowed: files, URLs and -)")


def _hint(name: str) -> str:
    local = _LOCAL.match(name)
    url = f"http://{name}" if local else meant(name, "https")
    return f" (for a URL, write {url})" if "://" in url and parses(url) else ""
