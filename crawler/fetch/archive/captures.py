"""What archives hold, found by its URL: read once from end to end, then record by record."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, BinaryIO, Final, NamedTuple, cast

from crawler.errors import CodedError
from crawler.fetch.archive.reading import WACZ, BrokenError, Bytes, Stored, record_at, records
from crawler.files import open_plain
from crawler.redaction import scrub
from crawler.urls import parse

_KINDS: Final = frozenset(("response", "revisit", "resource"))
_BESIDE: Final = ("P", "R", "M", "I", "E")
"""So end the paths of what was met on the way, and is no page of its own: Heritrix's letters."""
_PLACE: Final = 48  # bits of an offset; above them is the number of the file
_LISTED: Final = 1 << 62
"""Set in the place of what is among `urls`."""
_OTHER: Final = 1 << 61
"""Set in the place of what was not asked for by GET, and stands for its URL where nothing was."""
_NOTES: Final = 10
_FIELDS: Final = 4096
_HEAD: Final = 1 << 16  # bytes
_LONGEST: Final = 32  # names of methods
_WITH: Final = "warc-concurrent-to"


class _Part(NamedTuple):
    """A file of records: one of its own, or one that lies in a WACZ as it is, from `begin` to `end`."""

    path: str
    begin: int = 0
    end: int | None = None


class _Asked(NamedTuple):
    """How something was asked for, if not by GET or HEAD. `beside` is the id of the request's record."""

    beside: str | None
    method: str
    body: bytes  # its digest


class _Last(NamedTuple):
    """The capture that was read last; `before` is what its URL had until then."""

    id: str | None
    url: str
    place: int
    before: int | None


class Captures:
    """The captures of these archives, the latest of each URL; of what was asked for by other methods than GET, the
    latest of each method and body. `notes` tell what in them could not be read.

    A million take some 250 MB. Raises CodedError for what cannot be read at all; `stopped` says when to leave off.
    """

    def __init__(self, paths: Sequence[str], stopped: Callable[[], bool] = lambda: False) -> None:
        self.notes: list[str] = []
        self.name = ", ".join(map(scrub, paths))
        self._resources = ExitStack()
        self._parts: list[_Part] = []
        self._places: dict[bytes, int] = {}
        self._payloads: dict[bytes, int] = {}
        self._failed: dict[bytes, str] = {}
        self._bad = 0
        urls = TemporaryFile("w+", encoding="utf-8", newline="\n")  # noqa: SIM115 - `close` does
        self._urls: IO[str] = self._resources.enter_context(urls)
        try:
            for path in paths:
                self._add(path, stopped)
        except BaseException as error:
            self.close()
            if isinstance(error, (OSError, zipfile.BadZipFile)):
                raise CodedError("url_invalid", f"{scrub(path)} cannot be read: {error}") from error
            raise
        if self._bad > _NOTES:
            self.notes.append(f"and {self._bad - _NOTES:,} more like these")

    def close(self) -> None:
        self._resources.close()

    def urls(self) -> Iterator[tuple[str, int, str]]:
        """Each that was captured, once, in the order of the archives: archive, number there from 1, URL."""
        self._urls.seek(0)
        number, before = 0, ""
        for line in self._urls:
            path, _, url = line.rstrip("\n").partition("\t")
            number = number + 1 if path == before else 1
            before = path
            yield path, number, url

    def failure(self, url: str) -> str | None:
        """The code with which the fetch of a URL failed when it was archived."""
        return self._failed.get(_key(url))

    @contextmanager
    def found(self, place: int) -> Iterator[Stored]:
        """The record at a place. Raises OSError, BrokenError."""
        part = self._parts[place >> _PLACE]
        with _opened(part) as file:
            source = Bytes(file, place & ((1 << _PLACE) - 1))
            if not source.begins():
                raise BrokenError("is shorter than it was")
            yield record_at(source)

    def place(self, url: str, method: str = "GET", body: bytes = b"") -> int | None:
        """Where the capture is of what was asked for so; else of that method with another body; else of that URL."""
        found = (self._places.get(key) for key in (*_others(url, method, _digest(body)), _key(url)))
        place = next((place for place in found if place is not None), None)
        return None if place is None else place & ~(_LISTED | _OTHER)

    def original(self, revisit: Stored) -> int | None:
        """Where the payload is that a revisit does not hold."""
        digest = revisit.fields.get("warc-payload-digest")
        place = None if digest is None else self._payloads.get(_key(digest))
        if place is None and (url := revisit.fields.get("warc-refers-to-target-uri")) is not None:
            place = self.place(_plain(url) or "")
        return place

    # Reading.

    def _add(self, path: str, stopped: Callable[[], bool]) -> None:
        parts = _of_wacz(path) if path.lower().endswith(WACZ) else [_Part(path)]
        for part in parts:
            number = len(self._parts)
            self._parts.append(part)
            with _opened(part) as file:
                self._read(path, number, file, stopped)

    def _read(self, path: str, number: int, file: BinaryIO, stopped: Callable[[], bool]) -> None:
        beside: set[str] = set()  # ids of captures that are no pages
        asked: _Asked | None = None
        last: _Last | None = None
        for record in records(file, told=lambda what: self._note(f"{scrub(path)} {what}")):
            if stopped():
                return
            if record.kind == "metadata":
                self._look(record, beside)
            if record.kind == "request":  # it stands behind its answer, as of crawler, or before it, as of wget
                asked = _asked(record)
                if asked is not None and last is not None and record.fields.get(_WITH) == last.id:
                    self._sort(asked, last)
            if record.kind not in _KINDS:
                continue
            url = _plain(record.url)
            if url is None:
                continue
            if record.place < 0:
                self._note(f"{scrub(path)} has several records in one member of gzip (`warcio recompress` mends that)")
                continue
            place = number << _PLACE | record.place
            digest = record.fields.get("warc-payload-digest")
            if record.kind == "response" and digest is not None:
                self._payloads[_key(digest)] = place
            key = _key(url)
            known = self._places.get(key)
            listed = (known or 0) & _LISTED
            if not listed and record.fields.get("warc-record-id") not in beside:
                self._urls.write(f"{path}\t{url}\n")
                listed = _LISTED
            self._places[key] = place | listed
            last = _Last(record.fields.get("warc-record-id"), url, place, known)
            if asked is not None and record.fields.get(_WITH, "") == asked.beside:
                self._sort(asked, last)

    def _sort(self, asked: _Asked, last: _Last) -> None:
        """Keep what was not asked for by GET under its method and body; for its URL stands what was."""
        for key in _others(last.url, asked.method, asked.body):
            self._places[key] = last.place
        key = _key(last.url)
        listed = self._places[key] & _LISTED
        got = last.before is not None and not last.before & _OTHER
        self._places[key] = (last.before if got and last.before is not None else last.place | _OTHER) | listed

    def _look(self, record: Stored, beside: set[str]) -> None:
        """How something was met, and why there was no answer: said before it, as crawler does, or behind."""
        told = {}
        for line in record.read(_FIELDS).decode("utf-8", "replace").splitlines():
            name, _, value = line.partition(":")
            told[name.strip().lower()] = value.strip()
        about = record.fields.get(_WITH)
        if about is not None and told.get("hopsfromseed", "").endswith(_BESIDE):
            beside.add(about)
        url = _plain(record.url)
        if url is not None and about is None and "error" in told:
            self._failed[_key(url)] = told["error"][:40]

    def _note(self, text: str) -> None:
        self._bad += 1
        if self._bad <= _NOTES:
            self.notes.append(text)


def _asked(record: Stored) -> _Asked | None:
    """How a request was made: None for GET and HEAD, and for what does not say so."""
    data = record.read(_FIELDS)
    method = data[:_LONGEST].partition(b" ")[0].decode("latin-1")
    if not method.isalpha() or method in {"GET", "HEAD"}:
        return None
    while (end := data.find(b"\r\n\r\n")) < 0 and len(data) < _HEAD and (more := record.read(_FIELDS)):
        data += more
    digest = blake2b(data[end + 4 :] if end >= 0 else b"", digest_size=12)
    while more := record.read(_HEAD):
        digest.update(more)
    return _Asked(record.fields.get("warc-record-id"), method, digest.digest())


def _others(url: str, method: str, body: bytes) -> tuple[bytes, ...]:
    """The keys of what is not asked for by GET: with this body, and with any."""
    if method in {"GET", "HEAD"}:
        return ()
    return _key(f"{method} {body.hex()} {url}"), _key(f"{method} {url}")


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=12).digest()


def _key(text: str) -> bytes:
    return _digest(text.encode("utf-8", "replace"))


def _plain(url: str) -> str | None:
    """A URL as it is asked for; None for what is of another scheme, or none."""
    if not url.startswith(("http://", "https://")):
        return None
    try:
        return parse(url.replace(" ", "%20")).href
    except CodedError:
        return None


@contextmanager
def _opened(part: _Part) -> Iterator[BinaryIO]:
    with open_plain(part.path, links=True) as file:
        yield cast(BinaryIO, file if part.end is None else _Window(file, part.begin, part.end))


class _Window(io.RawIOBase):
    """A part of a file, as a file."""

    def __init__(self, file: io.FileIO, begin: int, end: int) -> None:
        super().__init__()
        self._file = file
        self._begin = begin
        self._end = end

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        begin = {io.SEEK_SET: self._begin, io.SEEK_CUR: self._file.tell(), io.SEEK_END: self._end}[whence]
        return self._file.seek(begin + offset) - self._begin

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        left = max(0, self._end - self._file.tell())
        return self._file.readinto(memoryview(buffer)[:left]) or 0


def _of_wacz(path: str) -> list[_Part]:
    """The archives in a WACZ, which is a zip: they lie there as they are (WACZ 1.1.1). Raises OSError, BadZipFile."""
    parts = []
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if not info.filename.startswith("archive/") or not info.filename.lower().endswith((".warc", ".warc.gz")):
                continue
            if info.compress_type != zipfile.ZIP_STORED:
                raise zipfile.BadZipFile(f"{info.filename} is compressed (WACZ wants it stored)")
            with Path(path).open("rb") as file:
                file.seek(info.header_offset + 26)
                lengths = file.read(4)
                begin = info.header_offset + 30 + int.from_bytes(lengths[:2], "little")
                begin += int.from_bytes(lengths[2:], "little")
            parts.append(_Part(path, begin, begin + info.file_size))
    return parts
