"""files.py: what is written is whole or not there and goes through no name that can be guessed; only plain files are read."""

from __future__ import annotations

import csv
import errno
import io
import os
import re
from pathlib import Path

import pytest
from full_disk import small_files

from crawler.files import bounded_lines, create, open_plain, put, put_new, replace, sync, wide_rows

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("there", ["file", "link", "dangling", "pipe", "folder"])
def test_only_what_is_new_is_written_to(tmp_path, there):
    """Whatever has the name already keeps it, and is not touched."""
    place, victim = tmp_path / "name", tmp_path / "victim"
    victim.write_text("theirs")
    match there:
        case "file":
            place.write_text("old")
        case "link":
            place.symlink_to(victim)
        case "dangling":
            place.symlink_to(tmp_path / "nowhere")
        case "pipe":
            os.mkfifo(place)
        case "folder":
            place.mkdir()
    with pytest.raises(FileExistsError):
        create(str(place))
    with pytest.raises(FileExistsError):
        put_new(str(place), [b"ours"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["name", "victim"]
    assert victim.read_text() == "theirs"


def test_a_link_is_replaced_and_not_followed(tmp_path):
    """`put` gives the name to a new file; `replace` is for a path that a person named, where a link may stand."""
    (tmp_path / "victim").write_text("theirs")
    link = tmp_path / "link"
    link.symlink_to("victim")
    put(str(link), b"ours", mode=0o600)
    assert (link.is_symlink(), link.read_bytes(), (tmp_path / "victim").read_text()) == (False, b"ours", "theirs")
    assert link.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("write", [put, replace, lambda path, data: put_new(path, [data[:100], data[100:]])])
def test_a_full_disk_leaves_no_part(tmp_path, write):
    """Half a file is none: what was there stays, and nothing is beside it."""
    place = tmp_path / "name"
    with small_files(1000), pytest.raises(OSError, match="too large") as caught:
        write(str(place), bytes(5000))
    assert caught.value.errno == errno.EFBIG
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("links", [False, True])
@pytest.mark.parametrize("target", ["/dev/zero", "pipe", "."])
def test_what_is_no_plain_file_is_not_read(tmp_path, links, target):
    """A device and a pipe have no end; it is told at once, whether a link leads there or not."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(target)
    for name in (tmp_path / target, tmp_path / "link"):
        with pytest.raises(OSError, match=r"no plain file|symbolic links|directory"):
            open_plain(str(name), links=links)


def test_a_plain_file_is_read(tmp_path):
    """Itself, and through a link where that is asked for."""
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("file")
    for name, links in (("file", False), ("link", True)):
        with open_plain(str(tmp_path / name), links=links) as file:
            assert file.read() == b"abc"
    with pytest.raises(OSError, match="symbolic links"):
        open_plain(str(tmp_path / "link"))


def test_lines_are_bounded():
    """One that is too long is passed over, in pieces; the next one is there again."""

    class Counting(io.BytesIO):
        most = 0

        def readline(self, size: int = -1) -> bytes:
            text = super().readline(size)
            self.most = max(self.most, len(text))
            return text

    file = Counting(b"one\n" + b"x" * (3 << 20) + b"\nthree\n\nlast")
    assert list(bounded_lines(file, 100)) == [b"one\n", None, b"three\n", b"\n", b"last"]
    assert file.most <= 1 << 20


def test_wide_rows_are_wide_for_nobody_else():
    """Half read, and after that: cells of other readers, in whatever thread, have the limit that they had."""
    lines = [f"{'x' * 300_000},1\n", "\n", '"a\n', f'""b""",{"y" * 400_000}\n']
    rows = wide_rows(iter(lines), ",", 300_000)
    assert [len(cell) for cell in next(rows)] == [300_000, 1]
    assert csv.field_size_limit() == 131_072
    with pytest.raises(csv.Error, match=r"larger than field limit \(131072\)"):
        next(csv.reader(lines))
    assert next(rows) == []
    with pytest.raises(csv.Error, match=r"larger than field limit \(300000\)"):
        next(rows)
    assert list(wide_rows(iter(lines), ",", 400_000))[2] == ['a\n"b"', "y" * 400_000]


def test_sync(tmp_path):
    """Files and folders; what is gone is told."""
    (tmp_path / "file").write_bytes(b"abc")
    sync(str(tmp_path / "file"))
    sync(str(tmp_path))
    with pytest.raises(FileNotFoundError):
        sync(str(tmp_path / "gone"))


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_who_may_read_a_file_stays(tmp_path):
    """A file that a person closed to others is not opened to them by being written anew."""
    place = tmp_path / "report.html"
    place.write_text("old")
    place.chmod(0o600)
    (tmp_path / "link").symlink_to(place)
    for path in (place, tmp_path / "link"):
        replace(str(path), b"new")
        assert (place.read_bytes(), place.stat().st_mode & 0o777) == (b"new", 0o600)


def test_one_way_of_writing():
    """No other module makes files by itself, but for the outputs, which grow, and the database and its lock."""
    making = re.compile(
        r"O_CREAT|O_TRUNC|\.write_(?:text|bytes)\(|open\([^)\n]*[\"'](?:[wxa]b?|[wxar]b?\+)[\"']|\.touch\("
    )
    found = {
        str(path.relative_to(ROOT / "crawler"))
        for path in (ROOT / "crawler").rglob("*.py")
        if making.search(path.read_text())
    }
    own = {"files.py", "sinks/writer.py", "job/job.py", "job/lock.py", "store/database.py"}
    assert {name for name in found if not name.startswith("site/")} - own == {
        "cli/doctor.py", "page/parsing/__main__.py",
    }  # fmt: skip
