"""Excel workbooks as inputs: the first sheet is a table as CSV is one."""

from __future__ import annotations

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
