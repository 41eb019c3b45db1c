"""Bytes of records: of a file or an object, unpacked where they are gzip or zstd. Nothing is held but a buffer."""

from __future__ import annotations

import codecs
import gzip
import io
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from crawler.config.sources import ConfigError
from crawler.files import put_new
from crawler.objects.address import is_object

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_PIECE: Final = 1 << 20
_MARK: Final = 3  # bytes of the longest byte order mark
PACKED: Final = (".gz", ".zst")


def unpacked(file: BinaryIO) -> BinaryIO:
    """What is in a stream that may be packed, as UTF-8 where a byte order mark names another encoding.

    Raises ConfigError where what unpacks it is missing.
    """
    plain = _unpacked(file)
    opened = plain if hasattr(plain, "peek") else cast(BinaryIO, io.BufferedReader(cast(io.RawIOBase, plain), _PIECE))
    try:
        head = opened.peek(_MARK)[:_MARK]  # type: ignore[attr-defined]
    except (OSError, EOFError, zlib.error):  # told where it is read
        return opened
    if head.startswith(codecs.BOM_UTF8):
        opened.read(len(codecs.BOM_UTF8))
    elif head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return cast(BinaryIO, io.BufferedReader(_Recoded(opened), _PIECE))
    return opened


class _Recoded(io.RawIOBase):
    """UTF-16, as `>` of Windows PowerShell writes it, read as UTF-8. What is none becomes U+FFFD."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._decode = codecs.getincrementaldecoder("utf-16")("replace").decode
        self._encode = codecs.getincrementalencoder("utf-8")("replace").encode
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            piece = self._file.read(_PIECE)
            self._left = self._encode(self._decode(piece, not piece))
            if not piece:
                break
        size = min(len(buffer), len(self._left))
        buffer[:size], self._left = self._left[:size], self._left[size:]
        return size


def _unpacked(file: BinaryIO) -> BinaryIO:
    head = file.peek(4)[:4] if isinstance(file, io.BufferedReader) else b""
    if head[:2] == _GZIP:
        return cast(BinaryIO, gzip.GzipFile(fileobj=file))
    if head == _ZSTD:
        try:
            from compression import zstd  # type: ignore[import-not-found,unused-ignore]
        except ImportError:
            try:
                from backports import zstd
            except ImportError:
                raise ConfigError("report: to unpack zstd needs Python 3.14 or backports.zstd") from None
        return cast(BinaryIO, io.BufferedReader(zstd.ZstdFile(file)))
    return file


@contextmanager
def object_stream(address: str) -> Iterator[BinaryIO]:
    """An object, as it comes. Raises ConfigError for one that cannot be read."""
    from crawler.objects.reading import open_object

    try:
        with open_object(address) as stream:
            yield stream
    except (OSError, ValueError) as error:
        raise ConfigError(f"report: {address} cannot be read: {error}") from error


@contextmanager
def on_disk(path: str) -> Iterator[str]:
    """The path of a file in which one can go back and forth: of an object a copy, which is gone in the end."""
    if not is_object(path):
        yield path
        return
    name = path.rpartition("/")[2]
    with tempfile.TemporaryDirectory(prefix="crawler-") as folder:
        place = Path(folder) / ("copy" + "".join(Path(name).suffixes[-2:]))
        with object_stream(path) as stream:
            put_new(str(place), iter(lambda: stream.read(_PIECE), b""))
        yield str(place)
