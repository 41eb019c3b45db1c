"""Archives as one file that a browser can show: WACZ 1.1.1, https://specs.webrecorder.net/wacz/1.1.1/.

A ZIP file with the archives as they are, their index, a list of pages, and a manifest with the hash of each. What is
large is passed through; of the index no more than some is in memory.
"""

from __future__ import annotations

import json
import os
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, Final
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from crawler.fetch.archive.reading import BrokenError
from crawler.files import create
from crawler.sinks.archive.again import lines_of
from crawler.sinks.archive.index import Lines
from crawler.sinks.archive.naming import name_of
from crawler.version import __version__

VERSION: Final = "1.1.1"
_COPIED: Final = 1 << 20
_PAGE: Final = "text/html"
_FIRST: Final = {"format": "json-pages-1.0", "id": "pages", "title": "All pages"}


class Counts:
    """How much went in."""

    def __init__(self) -> None:
        self.captures = 0
        self.pages = 0


def pack(archives: Sequence[str], path: str, *, wall: Callable[[], float] = time.time) -> Counts:
    """Write the WACZ of these archives to a new file at `path`: whole, or nothing of it stays.

    Raises OSError, and ValueError for what is no archive, for two of one name, and for one without captures.
    """
    names = [name_of(archive) for archive in archives]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"{', '.join(sorted(twice))}: two archives of one name")
    counts = Counts()
    try:
        with (
            TemporaryDirectory() as folder,
            os.fdopen(create(path), "wb") as file,
            ZipFile(file, "w", allowZip64=True) as wacz,
        ):
            index, pages = Path(folder) / "index.cdx", Path(folder) / "pages.jsonl"
            lines = Lines()
            for archive in archives:
                for line in _lines_of(archive):
                    lines.add(line)
                    counts.captures += 1
            lines.write(str(index))
            counts.pages = _write_pages(index, pages)
            resources = [
                _put(wacz, f"archive/{name}", archive, ZIP_STORED)
                for name, archive in zip(names, archives, strict=True)
            ]
            resources.append(_put(wacz, "indexes/index.cdx", str(index), ZIP_DEFLATED))
            resources.append(_put(wacz, "pages/pages.jsonl", str(pages), ZIP_DEFLATED))
            _describe(wacz, resources, wall())
    except FileExistsError:
        raise
    except BaseException:
        _remove(path)
        raise
    if not counts.captures:
        _remove(path)
        raise ValueError("there is nothing in it that could be shown")
    return counts


def _remove(path: str) -> None:
    with suppress(OSError):
        os.unlink(path)  # noqa: PTH108


def _lines_of(archive: str) -> Iterator[str]:
    try:
        yield from lines_of(archive, os.stat(archive).st_size)  # noqa: PTH116
    except BrokenError as error:
        raise ValueError(f"{archive} {error}") from error


def _write_pages(index: Path, pages: Path) -> int:
    """A line for each page that was captured well, as often as its URL has captures. How many there are."""
    number = 0
    with index.open(encoding="utf-8") as lines, os.fdopen(create(str(pages)), "w", encoding="utf-8") as file:
        file.write(f"{json.dumps(_FIRST)}\n")
        for line in lines:
            _, date, fields = line.split(" ", 2)
            capture = json.loads(fields)
            if capture.get("mime") == _PAGE and str(capture.get("status")) == "200":
                number += 1
                page = {"id": str(number), "url": capture["url"], "ts": _timestamp(date)}
                file.write(f"{json.dumps(page, ensure_ascii=False)}\n")
    return number


def _put(wacz: ZipFile, name: str, path: str, compression: int) -> dict[str, Any]:
    """Put a file into the ZIP; what the manifest says of it."""
    digest, size = sha256(), 0
    with Path(path).open("rb") as source:
        for piece in _pieces(source):
            digest.update(piece)
            size += len(piece)
    wacz.write(path, name, compression)
    return {"name": name.rpartition("/")[2], "path": name, "hash": f"sha256:{digest.hexdigest()}", "bytes": size}


def _pieces(source: IO[bytes]) -> Iterable[bytes]:
    return iter(lambda: source.read(_COPIED), b"")


def _describe(wacz: ZipFile, resources: list[dict[str, Any]], now: float) -> None:
    manifest = json.dumps(
        {
            "profile": "data-package",
            "wacz_version": VERSION,
            "software": f"crawler/{__version__}",
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
            "resources": resources,
        },
        indent=2,
    ).encode()
    digest = {"path": "datapackage.json", "hash": f"sha256:{sha256(manifest).hexdigest()}"}
    wacz.writestr(ZipInfo("datapackage.json"), manifest, zipfile.ZIP_DEFLATED)
    wacz.writestr(ZipInfo("datapackage-digest.json"), json.dumps(digest, indent=2), zipfile.ZIP_DEFLATED)


def _timestamp(digits: str) -> str:
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:8]}T{digits[8:10]}:{digits[10:12]}:{digits[12:14]}Z"
