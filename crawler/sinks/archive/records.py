"""The records of a WARC (ISO 28500:2017, WARC 1.1), and the members of gzip that hold one each. Pure.

A payload is what stands behind the head of an HTTP message, as it was sent: with its chunks and codings. So wget,
warcio and pywb read "payload", and `warcio check` computes its digest.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from random import Random
from struct import pack
from typing import Final

from crawler.redaction import is_credential

LEVEL: Final = 4
"""Of zlib: half the time of 6 for 4 % more bytes of HTML."""
HIDDEN: Final = b"***"
"""What stands in the place of a credential."""
RESPONSE: Final = "application/http;msgtype=response"
REQUEST: Final = "application/http;msgtype=request"
FIELDS: Final = "application/warc-fields"
IDENTICAL: Final = "http://netpreserve.org/warc/1.1/revisit/identical-payload-digest"
_SHORT: Final = 600
_SMALL: Final = 4096
_END: Final = b"\r\n\r\n"
_MEMBER: Final = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
"""The head of a member: no name, no time, from no system."""
_PLAIN_BLOCK: Final = b"\0"
_LAST_PLAIN_BLOCK: Final = b"\x01"
_MOST: Final = 0xFFFF  # bytes of such a block
_VERSION_4: Final = (0xF << 76 | 0x3 << 62, 0x4 << 76 | 0x2 << 62)
"""The bits of a UUID that are not random, and their values."""

Field = tuple[str, str]


class Numbers:
    """Ids of records: UUIDs of version 4 (RFC 9562 section 5.4). The standard library asks the system for each: 8 us.

    Made for each run: processes that are forked off one another must not give the same ones.
    """

    def __init__(self) -> None:
        self._random = Random()  # noqa: S311 - seeded by the system; nothing is kept secret by them

    def new(self) -> str:
        fixed, values = _VERSION_4
        digits = f"{self._random.getrandbits(128) & ~fixed | values:032x}"
        return f"<urn:uuid:{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}>"


def head_of(kind: str, number: str, date: str, lines: str, size: int) -> bytes:
    """The head of a record with a block of `size` bytes; each of the `lines`, its other fields, ends in CRLF."""
    text = (
        f"WARC/1.1\r\nWARC-Type: {kind}\r\nWARC-Record-ID: {number}\r\nWARC-Date: {date}\r\n"
        f"{lines}Content-Length: {size}\r\n\r\n"
    )
    return text.encode("utf-8", "replace")


def fields_block(pairs: Sequence[Field]) -> bytes:
    """A block of application/warc-fields."""
    return "".join([f"{name}: {' '.join(value.split())}\r\n" for name, value in pairs]).encode("utf-8", "replace")


class Packing:
    """Gives records to `put`, each as one member of gzip unless they are `plain`; `size` is what was given.

    `new_id` gives ids for them.
    """

    def __init__(self, put: Callable[[bytes], object], new_id: Callable[[], str], *, plain: bool) -> None:
        self.size = 0
        self.new_id = new_id
        self._put = put
        self._plain = plain

    def record(self, head: bytes, block: bytes, rest: Iterable[bytes] = ()) -> tuple[int, int]:
        """Where the record begins, and how long it is. The block may have a `rest` that is read piece by piece."""
        begin = self.size
        if self._plain:
            self._give(head + block)
            for piece in rest:
                self._give(piece)
            self._give(_END)
            return begin, self.size - begin
        if len(block) <= _SHORT and len(head) <= _MOST - _SMALL and not rest:
            self._give(_stored(head + block + _END))
            return begin, self.size - begin
        if len(block) <= _SMALL and not rest:
            self._give(_packed(head, block + _END))
            return begin, self.size - begin
        packer = zlib.compressobj(LEVEL, zlib.DEFLATED, 31, 8)
        self._give(packer.compress(head + block))
        for piece in rest:
            self._give(packer.compress(piece))
        self._give(packer.compress(_END) + packer.flush())
        return begin, self.size - begin

    def _give(self, data: bytes) -> None:
        self.size += len(data)
        self._put(data)


def _stored(data: bytes) -> bytes:
    """A member of gzip with what is short as it is (RFC 1951 section 3.2.4, RFC 1952): to pack a request takes 14 us,
    a tenth of what all else takes that is done for a small page, and saves 170 bytes.
    """
    size = len(data)
    lengths = pack("<HH", size, size ^ 0xFFFF)
    return b"".join((_MEMBER, _LAST_PLAIN_BLOCK, lengths, data, pack("<II", zlib.crc32(data), size)))


def _packed(head: bytes, block: bytes) -> bytes:
    """A member with a head as it is and a small block that is packed: what a head has is mostly ids and digests, which
    take long to pack and shrink little.

    The window is small: to clear one of 32 KiB would take longer than all the rest.
    """
    size = len(head)
    if size > _MOST:
        head, block, size = b"", head + block, 0
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, -12, 5)
    tail = pack("<II", zlib.crc32(block, zlib.crc32(head)), size + len(block))
    lengths = pack("<HH", size, size ^ 0xFFFF)
    return b"".join((_MEMBER, _PLAIN_BLOCK, lengths, head, packer.compress(block), packer.flush(), tail))


@lru_cache(maxsize=1024)
def _hides(name: bytes) -> bool:
    return is_credential(name.decode("latin-1").strip())


def without_credentials(head: bytes) -> bytes:
    """The head of a request as others may see it: what lets its bearer in is ***, whatever header it is in."""
    begin = head.find(b"\r\n")
    if begin < 0:
        return head
    return head[:begin] + _hidden(head[begin:])


@lru_cache(maxsize=64)
def _hidden(fields: bytes) -> bytes:
    """Those of the requests to one server are mostly the same."""
    lines = fields.split(b"\r\n")
    for number, line in enumerate(lines):
        name, colon, _ = line.partition(b":")
        if colon and _hides(name):
            lines[number] = name + b": " + HIDDEN
    return b"\r\n".join(lines)
