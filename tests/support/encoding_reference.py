"""The decoders of the WHATWG Encoding Standard, a byte at a time, on its own index files: where digests come from.

`python -m tests.encoding_reference FOLDER` reads index-*.txt in that folder (they are published with the standard) and
prints what tests/test_encodings.py holds against crawler.encodings: the digest of every encoding's decoding of its
`probe`. Each decoder is as its section of the standard has it, step by step, so that one can be read beside the other.
"""

from __future__ import annotations

import hashlib
import sys
from bisect import bisect_right
from collections.abc import Iterator
from itertools import product
from pathlib import Path

ERROR = "\ufffd"
SINGLE = (
    "ibm866", "iso-8859-2", "iso-8859-3", "iso-8859-4", "iso-8859-5", "iso-8859-6", "iso-8859-7", "iso-8859-8", "iso-8859-10",
    "iso-8859-13", "iso-8859-14", "iso-8859-15", "iso-8859-16", "koi8-r", "koi8-u", "macintosh", "windows-874", "windows-1250",
    "windows-1251", "windows-1252", "windows-1253", "windows-1254", "windows-1255", "windows-1256", "windows-1257", "windows-1258",
    "x-mac-cyrillic",
)  # fmt: skip
MULTI = ("gb18030", "big5", "euc-jp", "iso-2022-jp", "shift_jis", "euc-kr", "utf-16le", "utf-16be")
# The bytes that the rules are about: random ones of these are mostly one edge beside another.
EDGES = {
    "gb18030": b"\x30\x39\x3a\x40\x7e\x7f\x80\x81\x84\xa3\xa0\xe3\xfe\xff\n",
    "big5": b"\x40\x7e\x7f\x80\x81\x87\x88\x62\x64\xa1\xa2\x41\xc6\xfe\xff\n",
    "euc-jp": b"\x40\x7e\x80\x8e\x8f\xa0\xa1\xa2\xb7\xad\xdf\xe0\xfc\xfe\xff\n",
    "iso-2022-jp": b"\x1b\x1b\x1b($BJI@!~_`\\\x0e\x80\n",
    "shift_jis": b"\x40\x5c\x7e\x7f\x80\x81\x9f\xa0\xa1\xdf\xe0\xf0\xfc\xfd\xff\n",
    "euc-kr": b"\x40\x41\x5a\x5b\x7a\x7b\x7e\x7f\x80\x81\xa0\xa1\xc9\xfe\xff\n",
    "utf-16le": b"\x00\x20\xd7\xd8\xdb\xdc\xdf\xe0",
    "utf-16be": b"\x00\x20\xd7\xd8\xdb\xdc\xdf\xe0",
}  # fmt: skip


def probes(name: str) -> Iterator[bytes]:
    """Every code point and every way to be wrong: all single bytes, all pairs, what is longer, and random sequences."""
    yield bytes(range(256))
    if name in SINGLE:
        return
    every = range(256)
    if name == "iso-2022-jp":
        yield b"\x1b$B" + bytes(octet for pair in product(range(0x21, 0x7F), repeat=2) for octet in pair)
        yield b"".join(b"%b%c" % (escape, octet) for escape in (b"\x1b(J", b"\x1b(I", b"\x1b$@") for octet in every)
    elif name[:3] != "utf":
        # Each after a space, and so that the one behind it cannot take part of it.
        yield b"".join(b" %c%c\n" % pair for pair in product(range(0x80, 256), every))
    if name == "euc-jp":
        yield b"".join(b" \x8f%c%c\n" % pair for pair in product(range(0x80, 256), repeat=2))
    if name == "gb18030":
        # All of those that are mapped by ranges but the planes above the first, of which every 997th is enough.
        for numbers in (range(39_420 + 3), range(39_420, 1_260 * 1_260, 997)):
            yield b"".join(
                bytes((0x81 + n // 12600, 0x30 + n // 1260 % 10, 0x81 + n // 10 % 126, 0x30 + n % 10)) for n in numbers
            )
    edges = EDGES[name]
    noise = hashlib.shake_256(name.encode()).digest(60_000)
    yield bytes(edges[octet % len(edges)] for octet in noise[:20_000])
    yield bytes(octet if octet % 3 else edges[octet % len(edges)] for octet in noise[20_000:])
    # Ends: a body may be cut anywhere.
    yield from (bytes(pair) for pair in product(edges, repeat=2))
    yield from (bytes(three) for three in product(edges[:8], repeat=3))


def digest(name: str, decode: object) -> str:
    """16 hexadecimal digits that stand for the decoding of all probes by `decode`, a callable from bytes to str."""
    found = hashlib.sha256()
    for probe in probes(name):
        found.update(decode(probe).encode() + b"\0\0")
    return found.hexdigest()[:16]


class Reference:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def decoder(self, name: str):
        if name in SINGLE:
            index = self._index(name)
            return lambda body: "".join(chr(b) if b < 0x80 else index.get(b - 0x80, ERROR) for b in body)
        return getattr(self, name.replace("-", "_"))()

    def _index(self, name: str) -> dict[int, str]:
        found = {}
        for line in (self._folder / f"index-{name}.txt").read_text("utf-8").split("\n"):
            if line.strip() and not line.startswith("#"):
                pointer, point = line.split()[:2]
                found[int(pointer)] = chr(int(point, 16))
        return found

    def _two(self, pair, singles):
        """Sections 12.3.1, 13.1.1, 14.1.1: a lead and a trail; `pair` gives text or None, `singles` is False for leads."""

        def decode(body):
            out, at = [], 0
            lead = 0
            while at < len(body):
                byte = body[at]
                at += 1
                if lead:
                    text = pair(lead, byte)
                    lead = 0
                    if text is None and byte < 0x80:
                        at -= 1
                    out.append(ERROR if text is None else text)
                elif byte < 0x80:
                    out.append(chr(byte))
                elif (text := singles(byte)) is None:
                    lead = byte
                else:
                    out.append(text)
            return "".join(out) + (ERROR if lead else "")

        return decode

    def big5(self):
        index = self._index("big5")
        index |= {1133: "\u00ca\u0304", 1135: "\u00ca\u030c", 1164: "\u00ea\u0304", 1166: "\u00ea\u030c"}

        def pair(lead, byte):
            if not (0x40 <= byte <= 0x7E or 0xA1 <= byte <= 0xFE):
                return None
            return index.get((lead - 0x81) * 157 + byte - (0x40 if byte < 0x7F else 0x62))

        return self._two(pair, lambda byte: None if 0x81 <= byte <= 0xFE else ERROR)

    def euc_kr(self):
        index = self._index("euc-kr")

        def pair(lead, byte):
            return index.get((lead - 0x81) * 190 + byte - 0x41) if 0x41 <= byte <= 0xFE else None

        return self._two(pair, lambda byte: None if 0x81 <= byte <= 0xFE else ERROR)

    def shift_jis(self):
        index = self._index("jis0208")

        def pair(lead, byte):
            if not (0x40 <= byte <= 0x7E or 0x80 <= byte <= 0xFC):
                return None
            pointer = (lead - (0x81 if lead < 0xA0 else 0xC1)) * 188 + byte - (0x40 if byte < 0x7F else 0x41)
            return chr(0xE000 - 8836 + pointer) if 8836 <= pointer <= 10715 else index.get(pointer)

        def single(byte):
            if 0x81 <= byte <= 0x9F or 0xE0 <= byte <= 0xFC:
                return None
            return "\x80" if byte == 0x80 else chr(0xFF61 - 0xA1 + byte) if 0xA1 <= byte <= 0xDF else ERROR

        return self._two(pair, single)

    def euc_jp(self):
        jis0208, jis0212 = self._index("jis0208"), self._index("jis0212")

        def decode(body):
            out, at, lead, from_0212 = [], 0, 0, False
            while at < len(body):
                byte = body[at]
                at += 1
                if lead == 0x8E and 0xA1 <= byte <= 0xDF:
                    lead = 0
                    out.append(chr(0xFF61 - 0xA1 + byte))
                elif lead == 0x8F and 0xA1 <= byte <= 0xFE:
                    from_0212, lead = True, byte
                elif lead:
                    text = None
                    if 0xA1 <= lead <= 0xFE and 0xA1 <= byte <= 0xFE:
                        text = (jis0212 if from_0212 else jis0208).get((lead - 0xA1) * 94 + byte - 0xA1)
                    lead, from_0212 = 0, False
                    if text is None and byte < 0x80:
                        at -= 1
                    out.append(text or ERROR)
                elif byte < 0x80:
                    out.append(chr(byte))
                elif byte in {0x8E, 0x8F} or 0xA1 <= byte <= 0xFE:
                    lead = byte
                else:
                    out.append(ERROR)
            return "".join(out) + (ERROR if lead else "")

        return decode

    def gb18030(self):
        index, ranges = self._index("gb18030"), sorted(self._index("gb18030-ranges").items())
        starts = [start for start, _ in ranges]

        def by_range(pointer):
            if 39_419 < pointer < 189_000 or pointer > 1_237_575:
                return None
            if pointer == 7457:
                return "\ue7c7"
            offset, character = ranges[bisect_right(starts, pointer) - 1]
            return chr(ord(character) + pointer - offset)

        def decode(body):
            out, queue = [], list(reversed(body))
            first = second = third = 0
            while queue:
                byte = queue.pop()
                if third:
                    if not 0x30 <= byte <= 0x39:
                        queue += [byte, third, second]
                        first = second = third = 0
                        out.append(ERROR)
                        continue
                    pointer = (first - 0x81) * 12600 + (second - 0x30) * 1260 + (third - 0x81) * 10 + byte - 0x30
                    first = second = third = 0
                    out.append(by_range(pointer) or ERROR)
                elif second:
                    if 0x81 <= byte <= 0xFE:
                        third = byte
                        continue
                    queue += [byte, second]
                    first = second = 0
                    out.append(ERROR)
                elif first:
                    if 0x30 <= byte <= 0x39:
                        second = byte
                        continue
                    text = None
                    if 0x40 <= byte <= 0x7E or 0x80 <= byte <= 0xFE:
                        text = index.get((first - 0x81) * 190 + byte - (0x40 if byte < 0x7F else 0x41))
                    first = 0
                    if text is None and byte < 0x80:
                        queue.append(byte)
                    out.append(text or ERROR)
                elif byte < 0x80:
                    out.append(chr(byte))
                elif byte == 0x80:
                    out.append("\u20ac")
                elif byte == 0xFF:
                    out.append(ERROR)
                else:
                    first = byte
            return "".join(out) + (ERROR if first else "")

        return decode

    def iso_2022_jp(self):
        jis0208 = self._index("jis0208")
        states = {
            (0x28, 0x42): "ascii",
            (0x28, 0x4A): "roman",
            (0x28, 0x49): "katakana",
            (0x24, 0x40): "lead",
            (0x24, 0x42): "lead",
        }

        def decode(body):
            out, queue = [], list(reversed(body))
            state = output = "ascii"
            lead, flag = 0, False
            while True:
                byte = queue.pop() if queue else None
                if state == "start":
                    if byte in {0x24, 0x28}:
                        lead, state = byte, "escape"
                        continue
                    if byte is not None:
                        queue.append(byte)
                    flag, state = False, output
                    out.append(ERROR)
                elif state == "escape":
                    new = states.get((lead, byte))
                    if new is not None:
                        state = output = new
                        if flag:
                            out.append(ERROR)
                        flag = True
                        continue
                    queue += [byte] if byte is not None else []
                    queue.append(lead)
                    flag, state = False, output
                    out.append(ERROR)
                elif state == "trail":
                    if byte == 0x1B:
                        state = "start"
                        out.append(ERROR)
                    elif byte is None or not 0x21 <= byte <= 0x7E:
                        state = "lead"
                        out.append(ERROR)
                    else:
                        state = "lead"
                        out.append(jis0208.get((lead - 0x21) * 94 + byte - 0x21, ERROR))
                elif byte == 0x1B:
                    state = "start"
                elif byte is None:
                    return "".join(out)
                else:
                    flag = False
                    if state == "katakana":
                        out.append(chr(0xFF61 - 0x21 + byte) if 0x21 <= byte <= 0x5F else ERROR)
                    elif state == "lead":
                        if 0x21 <= byte <= 0x7E:
                            lead, state = byte, "trail"
                        else:
                            out.append(ERROR)
                    elif byte >= 0x80 or byte in {0x0E, 0x0F}:
                        out.append(ERROR)
                    elif state == "roman" and byte in {0x5C, 0x7E}:
                        out.append("\xa5" if byte == 0x5C else "\u203e")
                    else:
                        out.append(chr(byte))

        return decode

    def utf_16le(self):
        return lambda body: self._utf_16(body, "little")

    def utf_16be(self):
        return lambda body: self._utf_16(body, "big")

    def _utf_16(self, body, order):
        out, lead = [], 0
        for at in range(0, len(body) - 1, 2):
            unit = int.from_bytes(body[at : at + 2], order)
            if lead and 0xDC00 <= unit <= 0xDFFF:
                out.append(chr(0x10000 + ((lead - 0xD800) << 10) + unit - 0xDC00))
                lead = 0
                continue
            if lead:
                out.append(ERROR)
                lead = 0
            if 0xD800 <= unit <= 0xDBFF:
                lead = unit
            else:
                out.append(ERROR if 0xDC00 <= unit <= 0xDFFF else chr(unit))
        return "".join(out) + (ERROR if lead or len(body) % 2 else "")


if __name__ == "__main__":
    reference = Reference(Path(sys.argv[1]))
    for encoding in (*SINGLE, *MULTI):
        print(f'    "{encoding}": "{digest(encoding, reference.decoder(encoding))}",')
