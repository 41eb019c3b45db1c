"""Excel workbooks as tables: the rows of the sheet that is shown first, as lines of CSV. Needs openpyxl.

Rows are read as they are asked for, as all inputs are; dates and numbers are written as Python has them. A workbook is
an archive that somebody else has packed: what a small file may become is bounded.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

SUFFIX: Final = ".xlsx"
_ZIP: Final = b"PK\x03\x04"
_MOST: Final = 256 << 20
"""Bytes of what is held whole: all but the sheets."""
_PACKED: Final = 100
"""No part is packed better than this; real sheets are not, and Apache POI has the same bound."""
_SMALL: Final = 16 << 20  # bytes; smaller parts may be
_SHEETS: Final = "xl/worksheets/"
_NEEDS: Final = "reading .xlsx needs openpyxl: pip install 'everyurl[tables]' (or save the sheet as CSV)"


def is_one(name: str) -> bool:
    """Whether the file is a ZIP archive, as workbooks are; False also where it cannot be read."""
    try:
        with Path(name).open("rb") as file:
            return file.read(len(_ZIP)) == _ZIP
    except OSError:  # whoever opens it will say
        return False


def opened(name: str) -> io.BufferedReader:
    """The first sheet of the workbook at this path, as CSV in UTF-8.

    Raises OSError, and ValueError for what is no workbook, or without openpyxl.
    """
    if find_spec("openpyxl") is None:
        raise ValueError(_NEEDS)
    import openpyxl

    try:
        _refuse_bombs(name)
        book = openpyxl.load_workbook(name, read_only=True, data_only=True)
    except OSError:
        raise
    except _TooLargeError as error:
        raise ValueError(str(error)) from error
    except Exception as error:  # whatever openpyxl stumbles over in what somebody has made
        raise ValueError(f"it is no Excel workbook ({error})") from error
    if not book.worksheets:
        book.close()
        raise ValueError("the workbook has no sheet")
    return io.BufferedReader(_Lines(book), 1 << 16)


class _TooLargeError(Exception):
    """What it unpacks to."""


def _refuse_bombs(name: str) -> None:
    """Look at the sizes that the archive tells: no more than those is ever unpacked. Raises _TooLargeError."""
    held = 0
    with zipfile.ZipFile(name) as archive:
        for part in archive.infolist():
            if part.file_size > max(_SMALL, _PACKED * part.compress_size):
                raise _TooLargeError(
                    f"its part {part.filename!r} would unpack to {part.file_size:,} bytes, "
                    f"over {_PACKED} times what it is packed to"
                )
            held += 0 if part.filename.startswith(_SHEETS) else part.file_size
    if held > _MOST:
        raise _TooLargeError(
            f"it unpacks to {held:,} bytes beside its sheets (allowed: {_MOST:,}; save the sheet as CSV)"
        )


class _Lines(io.RawIOBase):
    """The sheet as a raw stream of bytes."""

    def __init__(self, book: Any) -> None:
        self._book = book
        self._pieces = _lines(book.active or book.worksheets[0])
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = piece
        taken = self._rest[: len(buffer)]
        buffer[: len(taken)] = taken
        self._rest = self._rest[len(taken) :]
        return len(taken)

    def close(self) -> None:
        if not self.closed:
            self._book.close()
        super().close()


def _lines(sheet: Any) -> Iterator[bytes]:
    text = io.StringIO()
    write = csv.writer(text, lineterminator="\n").writerow
    try:
        for row in sheet.iter_rows(values_only=True):
            write(row)
            yield text.getvalue().encode("utf-8", "surrogateescape")
            text.seek(0)
            text.truncate()
    except Exception as error:  # whatever openpyxl stumbles over where a sheet is none
        raise ValueError(f"the sheet cannot be read: {error}") from error
