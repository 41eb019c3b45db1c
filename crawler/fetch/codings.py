"""The content codings as streams: gzip, deflate, br, zstd. Pure. decode.py makes bodies of them."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

try:
    import brotli
except ImportError:
    brotli = None
try:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
except ImportError:
    zstd = None  # type: ignore[assignment]

STEP: Final = 1 << 16
_BROTLI_LIMIT: Final = 1 << 14  # brotli fills its first block (32 KiB) whatever smaller number it is given
_ZSTD_WINDOW_LOG: Final = 23  # RFC 9659: 8 MiB, what every browser accepts
_GZIP_START: Final = b"\x1f\x8b\x08"
_MAX_HEADER: Final = 1 << 17


class Member(Protocol):
    """One gzip member, one zstd frame, or the whole stream of a coding without such parts."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes:
        """What followed the end."""

    def steps(self, data: bytes) -> Iterator[bytes]: ...


class Deflate:
    """A raw deflate stream after `skip` bytes, and the trailer in which its wrapper tells its checksum, if it has one.

    zlib could read the wrapper, too; but when the checksum is wrong it keeps back what it decoded in the same call: how
    much that is, and so the body, would depend on how the network cut the bytes.
    """

    def __init__(self, skip: int = 0, checksum: Callable[..., int] | None = None) -> None:
        self.eof = False
        self.unused_data = b""
        self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
        self._skip = skip
        self._checksum = checksum
        self._sum = 0 if checksum is None else checksum(b"")
        self._size = 0
        self._trailer = b""

    @property
    def all_out(self) -> bool:
        """Whether all of the data is out, if perhaps not the trailer."""
        return self._stream.eof

    def steps(self, data: bytes) -> Iterator[bytes]:
        stream = self._stream
        if self._skip:
            data = data[self._skip :]
            self._skip = 0
        while not stream.eof:
            piece = stream.decompress(data, STEP)
            if piece:
                if self._checksum is not None:
                    self._sum = self._checksum(piece, self._sum)
                    self._size += len(piece)
                yield piece
            data = stream.unused_data if stream.eof else stream.unconsumed_tail
            if len(piece) < STEP and not stream.eof:
                return
        self._trailer += data
        expected = self._expected()
        size = len(expected)
        if len(self._trailer) >= size:
            if self._trailer[:size] != expected:
                raise zlib.error("the checksum is wrong")
            self.eof = True
            self.unused_data = self._trailer[size:]

    def _expected(self) -> bytes:
        """The trailer."""
        if self._checksum is zlib.crc32:  # RFC 1952 section 2.3.1
            return self._sum.to_bytes(4, "little") + (self._size & 0xFFFFFFFF).to_bytes(4, "little")
        return b"" if self._checksum is None else self._sum.to_bytes(4, "big")  # RFC 1950 section 2.2


class _Zstd:
    def __init__(self) -> None:
        self._stream = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG})

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def steps(self, data: bytes) -> Iterator[bytes]:
        stream = self._stream
        while True:
            piece = stream.decompress(data, STEP)
            if piece:
                yield piece
            if stream.eof or stream.needs_input:
                return
            data = b""


class _Brotli:
    """Bytes after the end are a `decode_error`, as in curl: the library does not say where the end was."""

    def __init__(self) -> None:
        self._stream: Any = brotli.Decompressor()

    @property
    def eof(self) -> bool:
        return bool(self._stream.is_finished())

    @property
    def unused_data(self) -> bytes:
        return b""

    def steps(self, data: bytes) -> Iterator[bytes]:
        process = self._stream.process
        # That all input was taken does not mean that all output was given: only an empty piece says so.
        while piece := process(data, output_buffer_limit=_BROTLI_LIMIT):
            yield piece
            if self.eof:
                return
            data = b""


def _open_gzip(start: bytes) -> Member | None:
    """After the header of RFC 1952 section 2.3: it may hold a name and a comment."""
    if not _GZIP_START.startswith(start[:3]):
        raise zlib.error("incorrect header check")
    if len(start) < 10:
        return None
    flags = start[3]
    if flags & 0xE0:
        raise zlib.error("unknown header flags set")
    end = 10
    if flags & 0x04:
        end += 2 + int.from_bytes(start[10:12], "little")
    for flag in (0x08, 0x10):
        if flags & flag:
            found = start.find(b"\0", end)
            end = found + 1 if found >= 0 else len(start) + 1
    if flags & 0x02:
        end += 2
    if end <= len(start):
        return Deflate(end, zlib.crc32)
    if len(start) > _MAX_HEADER:
        raise zlib.error("a header without end")
    return None


def _open_deflate(start: bytes) -> Member | None:
    """RFC 9110 section 8.4.1.2 means the zlib format, but some send raw deflate: the first two bytes tell."""
    if len(start) < 2:
        return None
    # RFC 1950 section 2.2. A raw stream cannot look like this unless its encoder left junk in padding bits.
    if start[0] & 0x0F != 8 or int.from_bytes(start[:2], "big") % 31:
        return Deflate()
    if start[1] & 0x20:
        raise zlib.error("it needs a dictionary")
    return Deflate(2, zlib.adler32)


OPEN: Final[dict[str, Callable[[bytes], Member | None]]] = {
    "gzip": _open_gzip,
    "deflate": _open_deflate,
}
if brotli is not None and hasattr(
    brotli.Decompressor, "can_accept_more_data"
):  # 1.2: the first whose output has a limit
    OPEN["br"] = lambda _: _Brotli()
if zstd is not None:
    OPEN["zstd"] = lambda _: _Zstd()
DECODE_ERRORS: Final[tuple[type[Exception], ...]] = (
    zlib.error,
    *(() if brotli is None else (brotli.error,)),
    *(() if zstd is None else (zstd.ZstdError,)),
)
