"""CSV and TSV as spreadsheets and databases write them: which column holds the URLs, what the others hold. Pure.

The formats themselves are told in crawler.seeds.inputs, through which all others use this.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain, islice
from typing import Final, NamedTuple

from crawler.models import Input
from crawler.seeds.seed import BadLine, InputError, Seed, bad, parses, seed, with_columns
from crawler.seeds.streams import Stream

DELIMITERS: Final = {".csv": ",", ".tsv": "\t"}
_SEPARATOR: Final = re.compile(r'"?sep=([^\w\s"]|\t)"?\s')
_PARAMETER: Final = re.compile(r"[\w.-]+=")
_SNIFFED: Final = 4096
_SNIFFED_LINES: Final = 10


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


class Row(NamedTuple):
    line: int
    cells: list[str]
    fault: str = ""


def delimiter_of(stream: Stream, structure: str, column: str | None) -> str:
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
        index, has_header = choose(rows[:2], column)
    except InputError:
        return delimiter
    following = rows[0][index + 1 :]
    sensible = has_header or other == "\t" or not (following and _PARAMETER.match(following[0]))
    return other if len(rows[0]) > 1 and sensible else delimiter


def read_table(
    lines: Lines, source: str, delimiter: str, column: str | None, scheme: str | None, *, keep: bool = False
) -> Iterator[Seed | BadLine]:
    """The seeds of a table. With `keep` the cells beside the URL go along as meta, under the names of their columns."""
    rows = table_rows(lines, delimiter)
    first = list(islice(rows, 2))
    table = [row.cells for row in first if not row.fault]
    index, has_header = choose(table, column)
    names = column_names(table, index, has_header=has_header) if keep else ()
    for line, cells, fault in chain(first, rows):
        place = Input(source=source, line=line)
        if fault:
            yield bad("", place, fault)
        elif has_header:
            has_header = False
        elif index >= len(cells):
            yield bad(delimiter.join(cells), place, f"the row has no column {index + 1}")
        else:
            found = seed(cells[index].strip(), place, scheme)
            yield with_columns(found, _named(names, cells, index)) if keep else found


def table_rows(lines: Lines, delimiter: str) -> Iterator[Row]:
    # Only the cell with the URL has to be UTF-8: other bytes travel as lone surrogates, which parse refuses.
    reader = csv.reader((line.decode("utf-8", "surrogateescape") for line in lines), delimiter=delimiter)
    while True:
        start, too_long = lines.number + 1, lines.too_long
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Row(start, [], f"the row cannot be read: {error}")
            continue
        if lines.too_long > too_long:
            yield Row(start, [], lines.complaint)
        elif cells and not (start == 1 and _SEPARATOR.match(delimiter.join(cells) + "\n")):
            yield Row(start, cells)


def choose(rows: list[list[str]], column: str | None) -> tuple[int, bool]:
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


def column_names(rows: list[list[str]], index: int, *, has_header: bool) -> tuple[str, ...]:
    """A name for each column, of which that of the URLs is not used: from the header, else its number from 1."""
    width = len(rows[0]) if rows else 0
    header = rows[0] if has_header else [""] * width
    names: list[str] = []
    for number, cell in enumerate(header, 1):
        name = wanted = (cell.strip() or str(number)).encode("utf-8", "replace").decode("utf-8")
        again = 2
        while name in names:
            name, again = f"{wanted}_{again}", again + 1
        names.append("" if number - 1 == index else name)
    return tuple(names)


def _named(names: Sequence[str], cells: list[str], index: int) -> dict[str, str]:
    """The other cells of a row by their columns' names; one that a short row lacks is empty."""
    columns = {name: "" for name in names if name}
    for at, cell in enumerate(cells):
        if at != index:
            columns[names[at] if at < len(names) else str(at + 1)] = cell
    return columns
