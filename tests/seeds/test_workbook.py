"""Excel workbooks as inputs: the first sheet is a table as CSV is one."""

from __future__ import annotations

import zipfile
from datetime import UTC, datetime
from pathlib import Path

import openpyxl
import pytest

from crawler.seeds import workbook
from crawler.seeds.formats import BadLine, InputError, Seed
from crawler.seeds.inputs import check, read

A, B = "https://a.example/x,y", "https://b.example/"


def book(folder: Path, *rows: tuple[object, ...], name: str = "list.xlsx") -> str:
    made = openpyxl.Workbook()
    for row in rows:
        made.active.append(row)
    made.create_sheet("other").append(["https://other.example/"])
    path = folder / name
    made.save(path)
    return str(path)


def test_a_column_of_a_sheet(tmp_path):
    """By its name, by its number, or found; the other sheets are left alone."""
    path = book(
        tmp_path, ("id", "Link", "when"), (1, A, datetime(2026, 1, 2, tzinfo=UTC).replace(tzinfo=None)), (2, B, None)
    )
    for column in ("link", "2", None):
        check([path], column)
        seeds = list(read([path], column=column))
        assert [(seed.input.line, seed.url.href) for seed in seeds if isinstance(seed, Seed)] == [(2, A), (3, B)]
    with pytest.raises(InputError, match="there is no column 'nope'"):
        check([path], "nope")


def test_a_cell_that_is_no_url(tmp_path):
    """One bad line, and the next is read."""
    path = book(tmp_path, ("url",), (12,), (A,), ("what\nis\nthis",), (B,))
    found = list(read([path]))
    assert [isinstance(line, BadLine) for line in found] == [True, False, True, False]
    assert found[3].input.line is not None


def test_a_long_sheet_is_read_as_it_is_asked_for(tmp_path):
    """The first rows come before the last are looked at."""
    path = book(tmp_path, *((f"https://h.example/{n}",) for n in range(2_000)))
    rows = iter(read([path]))
    assert next(rows).written == "https://h.example/0"
    assert sum(1 for _ in rows) == 1_999


def test_an_empty_sheet(tmp_path):
    """No seeds, and no error."""
    assert list(read([book(tmp_path)])) == []


def test_without_openpyxl(tmp_path, monkeypatch):
    """What to install is said before the run."""
    path = book(tmp_path, (A,))
    monkeypatch.setattr(workbook, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"reading .xlsx needs openpyxl: pip install 'everyurl\[tables\]'"):
        check([path], None)


def test_a_broken_archive(tmp_path):
    """Cut in the middle, or with a sheet that is none: one bad line at most, never a traceback."""
    whole = Path(book(tmp_path, (A,), (B,))).read_bytes()
    place = tmp_path / "cut.xlsx"
    place.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="it is no Excel workbook"):
        check([str(place)], None)
    place.write_bytes(whole.replace(b"xl/worksheets", b"xl/worksheetz"))
    (bad,) = read([str(place)])
    assert isinstance(bad, BadLine)


def repacked(source: str, place: Path, part: str, data: bytes) -> str:
    """The workbook with other bytes in one of its parts."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as new:
        for name in {*old.namelist(), part}:
            new.writestr(name, data if name == part else old.read(name))
    return str(place)


@pytest.mark.parametrize("part", ["xl/worksheets/sheet1.xml", "xl/sharedStrings.xml", "xl/styles.xml"])
def test_a_workbook_that_would_fill_memory(tmp_path, part):
    """A file of 17 KB with a cell, or a table of texts, of 17 MB, as of 17 GB: it is refused before it is unpacked."""
    bomb = repacked(book(tmp_path, (A,)), tmp_path / "bomb.xlsx", part, b" " * (17 << 20))
    with pytest.raises(InputError, match=f"its part '{part}' would unpack to 17,825,792 bytes, over 100 times"):
        check([bomb], None)


def test_a_workbook_with_too_much_beside_its_sheets(tmp_path, monkeypatch):
    """That is held in memory, so there is a bound, however well it is packed."""
    monkeypatch.setattr(workbook, "_MOST", 1_000)
    with pytest.raises(InputError, match="bytes beside its sheets"):
        check([book(tmp_path, (A,))], None)


@pytest.mark.parametrize(
    "sheet",
    [
        b"<worksheet><sheetData><row r='x'><c r='A1'/></row></sheetData></worksheet>",
        b"<worksheet><sheetData><row><c r='1A' t='n'><v>x</v></c></row></sheetData></worksheet>",
        b"<worksheet><sheetData><row><c r='A1' t='s'><v>99</v></c></row></sheetData></worksheet>",
        b"<worksheet><sheetData><row><c r='A1' s='99'><v>1</v></c></row></sheetData></worksheet>",
    ],
)
def test_a_sheet_that_is_none(tmp_path, sheet):
    """Rows that are no numbers, cells that are nowhere, texts and styles that there are not: no traceback."""
    sheet = sheet.replace(
        b"<worksheet>", b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
    )
    path = repacked(book(tmp_path, (A,)), tmp_path / "odd.xlsx", "xl/worksheets/sheet1.xml", sheet)
    try:
        seeds = list(read([path]))
    except InputError as error:
        assert "odd.xlsx" in str(error)
    else:
        assert all(isinstance(seed, BadLine) for seed in seeds)
