"""Lines of records -> a file in the format of its name, which appears when it is whole."""

from __future__ import annotations

import codecs
import gzip
import io
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, Final, NamedTuple, Protocol, cast

import msgspec

from crawler.config.config import ConfigError
from crawler.config.kinds import shown
from crawler.config.options.output import TEXT
from crawler.files import create, sync
from crawler.objects.address import is_object, parse_address
from crawler.sinks.csv import Cells
from crawler.sinks.fields import FIELDS
from crawler.sinks.formats import ARCHIVE, LINES, SEPARATED, Target
from crawler.sinks.jsonl import lines_of_items
from crawler.sinks.tables.columns import flattened, of_records
from crawler.sinks.tables.log import numbered
from crawler.sinks.tables.table import open_table

_ZSTD: Final = ".zst"
_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


class Form(NamedTuple):
    """What a file is to hold, and how: records, or the `items` of each; of CSV see sinks.csv.Csv."""

    items: bool = False
    raw: bool = False
    bom: bool = False


RECORDS: Final = Form()


class Taking(Protocol):
    """Takes the lines of a record."""

    def write(self, lines: bytes, /) -> object: ...


@contextmanager
def whole(to: str, *, replace: bool, form: Form = RECORDS) -> Iterator[tuple[Taking, Callable[[], None]]]:
    """What takes the lines of each record, and a function after which `to` is there, whole. Without it nothing is.

    Raises ConfigError, OSError.
    """
    suffix = _suffix(to, form)
    if not is_object(to) and not replace and Path(to).exists():
        raise ConfigError(f"{shown(to)} exists already: -O/--overwrite-output replaces it")
    beside = None if is_object(to) else Path(to).parent
    with TemporaryDirectory(prefix=".crawler-", dir=beside) as folder, ExitStack() as open_files:
        path = str(Path(folder) / secrets.token_hex(8))
        if suffix in LINES or (suffix in SEPARATED and not form.items):
            file = open_files.enter_context(_packing(to, path))
            taking: Taking = file
            finish = file.close
            if suffix in SEPARATED:
                taking = rows = _Rows(file, SEPARATED[suffix], form)
                finish = rows.close
        else:
            log = open_files.enter_context(closing(_Log(f"{path}.rows")))
            taking, finish = log, partial(_make, log, path, suffix, form)

        def keep() -> None:
            finish()
            _put(path, to, replace=replace)

        yield taking, keep


def _suffix(to: str, form: Form) -> str:
    """The format. Raises ConfigError for what parts are not joined as."""
    packed = to.lower().endswith(_ZSTD)
    try:
        suffix = Target(to[: -len(_ZSTD)] if packed else to, overwrite=False, items=form.items).suffix
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if suffix == ARCHIVE:
        raise ConfigError(f"{shown(to)}: records are not made an archive (name a table or .jsonl)")
    if suffix == TEXT:
        raise ConfigError(f"{shown(to)}: records are not joined by --template (name a table or .jsonl)")
    if packed and suffix not in LINES and (form.items or suffix not in SEPARATED):
        raise ConfigError(f"{shown(to)}: {suffix} is not packed (leave out {_ZSTD})")
    return suffix


@contextmanager
def _packing(to: str, path: str) -> Iterator[BinaryIO]:
    """A file that is packed as its name says."""
    name = to.lower()
    with os.fdopen(create(path), "wb") as raw:
        if name.endswith(".gz"):
            file = cast(BinaryIO, gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0))
        elif name.endswith(_ZSTD):
            try:
                from compression import zstd  # type: ignore[import-not-found,unused-ignore]
            except ImportError:
                from backports import zstd
            # Many small writes: each would be a call of the library.
            file = cast(BinaryIO, io.BufferedWriter(cast(Any, zstd.ZstdFile(raw, "wb")), 1 << 20))
        else:
            file = raw
        with closing(file):
            yield file


class _Rows:
    """Makes rows of CSV of records, with the columns of the first one."""

    def __init__(self, file: BinaryIO, delimiter: str, form: Form) -> None:
        self._file = file
        self._cells = Cells(delimiter, raw=form.raw)
        self._columns: list[str] = []
        if form.bom:
            file.write(codecs.BOM_UTF8)

    def write(self, line: bytes) -> None:
        record = _decode(line)
        if not self._columns:
            self._begin(_fields(record))
        row = flattened(record)
        self._file.write(self._cells.line([row.get(name) for name in self._columns]))

    def close(self) -> None:
        if not self._columns:
            self._begin([])
        self._file.close()

    def _begin(self, fields: list[str]) -> None:
        self._columns = [*of_records(fields)[0]]
        self._file.write(self._cells.header(self._columns))


class _Log:
    """What a table is made of."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.fields: list[str] = []
        self._file = os.fdopen(create(path), "wb")
        self._number = 0

    def write(self, lines: bytes) -> None:
        if not lines:
            return
        self.fields = self.fields or _fields(_decode(lines.partition(b"\n")[0]))
        self._number += 1
        self._file.write(numbered(lines, self._number))

    def close(self) -> None:
        self._file.close()


class _Page(msgspec.Struct, frozen=True):
    """Of a record what its items are made of."""

    url: str
    data: Any
    final_url: str | None = None


_page: Final = msgspec.json.Decoder(_Page).decode


def items_of(line: bytes) -> bytes:
    """The lines of the items of a record, each with the URL of its page; there may be none.

    Raises ValueError for a record that does not have them.
    """
    try:
        page = _page(line)
    except msgspec.ValidationError:
        raise ValueError("records without the fields url and data have no items (--fields is for both)") from None
    return lines_of_items(page.final_url or page.url, page.data)


def _fields(record: dict[str, Any]) -> list[str]:
    """For `of_records`: those of --fields, or none if all are there."""
    return [] if record.keys() == FIELDS.keys() else [*record]


def _make(log: _Log, path: str, suffix: str, form: Form) -> None:
    """Raises ValueError for what the table cannot hold."""
    log.close()
    table = open_table(
        path, log.path, suffix, items=form.items, fields=log.fields, fresh=True, raw=form.raw, bom=form.bom
    )
    table.begin(0)
    table.finish()


def _put(path: str, to: str, *, replace: bool) -> None:
    if is_object(to):
        from crawler.objects.bucket import Bucket

        address = parse_address(to)
        Bucket(address).put_file(address.key, path, fresh=not replace)
        return
    sync(path)
    if replace:
        os.replace(path, to)  # noqa: PTH105
    else:
        os.link(path, to)  # somebody may have made it meanwhile
    sync(str(Path(to).parent))
