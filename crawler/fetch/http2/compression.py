"""Heads into HPACK and out of it (RFC 7541), by hpack. A request's that is like the last costs a look into a table.

What every request says (User-Agent, Accept and the like) goes into the server's table once. All else is a literal that
is never indexed: paths are all different, and what is secret shall not be guessed by its length in anyone's table
(RFC 7541 section 7.1.3). So the table stays as it is, and so do the bytes of a block of fields.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final

from crawler.fetch.http2.frames import COMPRESSION_ERROR, Broken

TABLE_SIZE: Final = 4096  # what a table may hold unless its owner says less (RFC 9113 section 6.5.2)
ENTRY: Final = 32  # bytes that each entry of a table counts more than is in it (RFC 7541 section 4.1)
STRINGS: Final = 1024  # so many decoded strings are remembered, of SHORT bytes at most
SHORT: Final = 64
BLOCKS: Final = 256  # so many blocks are remembered
_STATIC: Final = {b"GET": b"\x82", b"POST": b"\x83", b"http": b"\x86", b"https": b"\x87"}
_METHOD, _PATH = 0x02, 0x04  # entries of the static table
_COMMON: Final = frozenset((b":authority", b"user-agent", b"accept", b"accept-encoding", b"accept-language"))
_HOP_BY_HOP: Final = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade", b"http2-settings")
)


Pair = tuple[bytes, bytes]


class HeadEncoder:
    """Turns the head of an HTTP/1.1 request into a block of HTTP/2 (RFC 9113 section 8.3.1)."""

    def __init__(self, scheme: str) -> None:
        from hpack import Encoder

        self._encoder: Any = Encoder()
        self._scheme = _STATIC[scheme.encode()]
        self._blocks: dict[bytes, bytes] = {}
        self._known: set[Pair] = set()
        self._room = TABLE_SIZE
        self._resized = b""

    def resize(self, size: int) -> None:
        """The server's table holds no more than that. One that is smaller than usual is not used."""
        size = min(size, TABLE_SIZE)
        if size == self._encoder.header_table_size:
            return
        for step in (0, size):  # what is in it now would be in the way
            self._encoder.header_table_size = step
            self._resized += self._encoder.encode(())
        self._blocks.clear()
        self._known.clear()
        self._room = size if size == TABLE_SIZE else 0

    def encode(self, head: bytes) -> bytes:
        line, _, rest = head.partition(b"\r\n")
        method, target, _ = line.split(b" ")
        fields = self._blocks.get(rest)
        if fields is None:
            fields = self._encode(rest)
        begin = _STATIC.get(method) or _literal(_METHOD, method)
        block = b"".join((begin, self._scheme, _literal(_PATH, target), fields))
        if self._resized:
            block, self._resized = self._resized + block, b""
        return block

    def _encode(self, rest: bytes) -> bytes:
        """The fields, `Host` first. They are remembered if they would be the same the next time."""
        pairs = [_pair(line) for line in rest.split(b"\r\n") if line]
        pairs.sort(key=lambda pair: pair[0] != b":authority")
        unknown = False
        encoded = []
        for pair in pairs:
            if pair[0] in _HOP_BY_HOP or (pair[0] == b"te" and pair[1].lower() != b"trailers"):
                continue
            indexed = pair in self._known or (pair[0] in _COMMON and self._has_room(pair))
            if indexed and pair not in self._known:
                unknown = True
                self._known.add(pair)
            encoded.append(self._encoder.add(pair, not indexed, huffman=False))
        block = b"".join(encoded)
        if unknown or len(self._blocks) >= BLOCKS:
            self._blocks.clear()  # what is in the table has other numbers now
        if not unknown:
            self._blocks[rest] = block
        return block

    def _has_room(self, pair: Pair) -> bool:
        size = ENTRY + len(pair[0]) + len(pair[1])
        if size > self._room:
            return False
        self._room -= size
        return True


class TooLarge(Exception):  # noqa: N818 - an event
    """A head is larger than allowed once it is decoded. Nothing can be decoded after it."""


class HeadDecoder:
    """Decodes the blocks of one connection, one after the other. Linear in a block and in what is in it.

    Most servers send the same literals again and again; hpack's own decoder reads each of them anew, which took as long
    as all the rest of an exchange. Its tables and its Huffman decoder are used here, and it is what the tests hold this
    against.
    """

    def __init__(self, most: int) -> None:
        from hpack.table import HeaderTable

        self._static: Sequence[Pair] = HeaderTable.STATIC_TABLE
        self._entries: deque[Pair] = deque()
        self._size = 0  # of the entries
        self._room = TABLE_SIZE
        self._most = most
        self._huffman = _huffman_decoder()

    def decode(self, block: bytes) -> list[Pair]:
        """The pairs in wire order. Raises Broken and TooLarge."""
        pairs: list[Pair] = []
        left = self._most
        huffman = self._huffman
        at, end, resized = 0, len(block), 0
        try:
            while at < end:
                first = block[at]
                at += 1
                if first & 0x80:
                    index = first & 0x7F
                    if index == 0x7F:
                        index, at = _integer_at(block, at, index)
                    pair = self._entry(index)
                elif first & 0xE0 == 0x20:
                    resized += 1
                    if pairs or resized > 2:
                        raise Broken(COMPRESSION_ERROR, "a head that resizes the table too late or too often")
                    size = first & 0x1F
                    if size == 0x1F:
                        size, at = _integer_at(block, at, size)
                    self._resize(size)
                    continue
                else:
                    prefix = 0x3F if first & 0x40 else 0x0F
                    index = first & prefix
                    if index == prefix:
                        index, at = _integer_at(block, at, index)
                    if index:
                        name = self._entry(index)[0]
                    else:
                        size = block[at] & 0x7F
                        begin = at + 1
                        if size == 0x7F:
                            size, begin = _integer_at(block, begin, size)
                        name = block[begin : begin + size]
                        if block[at] & 0x80:
                            name = huffman(name)
                        at = begin + size
                    size = block[at] & 0x7F
                    begin = at + 1
                    if size == 0x7F:
                        size, begin = _integer_at(block, begin, size)
                    value = block[begin : begin + size]
                    if block[at] & 0x80:
                        value = huffman(value)
                    at = begin + size
                    pair = (name, value)
                    if first & 0x40:
                        self._add(pair)
                left -= ENTRY + len(pair[0]) + len(pair[1])
                if left < 0:
                    raise TooLarge
                pairs.append(pair)
        except IndexError:
            at = end + 1
        if at > end:
            raise Broken(COMPRESSION_ERROR, "a head that ends inside a field")
        return pairs

    def _entry(self, index: int) -> Pair:
        """An entry of both tables in a row (RFC 7541 section 2.3.3)."""
        if 0 < index <= len(self._static):
            return self._static[index - 1]
        index -= len(self._static) + 1
        if not 0 <= index < len(self._entries):
            raise Broken(COMPRESSION_ERROR, "a head that names an entry which is not in the table")
        return self._entries[index]

    def _add(self, pair: Pair) -> None:
        self._entries.appendleft(pair)
        self._size += ENTRY + len(pair[0]) + len(pair[1])
        self._evict()

    def _resize(self, size: int) -> None:
        if size > TABLE_SIZE:
            raise Broken(COMPRESSION_ERROR, f"a table of {size:,} bytes (allowed: {TABLE_SIZE:,})")
        self._room = size
        self._evict()

    def _evict(self) -> None:
        while self._size > self._room:
            name, value = self._entries.pop()
            self._size -= ENTRY + len(name) + len(value)


def _huffman_decoder() -> Callable[[bytes], bytes]:
    """Decodes a string, or knows it from the last time."""
    from hpack import HPACKDecodingError
    from hpack.huffman_table import decode_huffman

    def decode(string: bytes) -> bytes:
        try:
            return bytes(decode_huffman(string))
        except HPACKDecodingError as error:
            raise Broken(COMPRESSION_ERROR, f"a head that cannot be decoded: {error}") from None

    known = lru_cache(maxsize=STRINGS)(decode)
    return lambda string: known(string) if len(string) <= SHORT else decode(string)


def _integer_at(block: bytes, at: int, prefix: int) -> tuple[int, int]:
    """The rest of an integer whose prefix is full, and where it ends (RFC 7541 section 5.1)."""
    number = prefix
    for shift in range(0, 35, 7):
        octet = block[at]
        at += 1
        number += (octet & 0x7F) << shift
        if octet < 0x80:
            return number, at
    raise Broken(COMPRESSION_ERROR, "a head with an integer that does not end")


def _pair(line: bytes) -> Pair:
    name, _, value = line.partition(b":")
    name = name.lower()
    return b":authority" if name == b"host" else name, value.strip(b" \t")


def _literal(name: int, value: bytes) -> bytes:
    """A field without indexing, its name from the static table (RFC 7541 section 6.2.2)."""
    return bytes((name,)) + _integer(len(value)) + value


def _integer(value: int) -> bytes:
    """With a prefix of seven bits (RFC 7541 section 5.1)."""
    if value < 127:
        return bytes((value,))
    octets = [127]
    value -= 127
    while value > 127:
        octets.append(value & 127 | 128)
        value >>= 7
    return bytes((*octets, value))
