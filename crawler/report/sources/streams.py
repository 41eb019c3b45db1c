"""Bytes of records: of a file or an object, unpacked where they are gzip or zstd. Nothing is held but a buffer."""

from __future__ import annotations

import gzip
import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, cast

from crawler.config.sources import ConfigError
from crawler.objects.address import is_object

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_PIECE: Final = 1 << 20
PACKED: Final = (".gz", ".zst")


def unpacked(file: BinaryIO) -> BinaryIO:
    """What is in a stream that may be packed. Raises ConfigError where what unpacks it is missing."""
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
        with object_stream(path) as stream, place.open("wb") as file:
            while piece := stream.read(_PIECE):
                file.write(piece)
        yield str(place)
