# ruff: noqa: RUF001 - characters that look like others are what this is about
"""crawler.charset.encodings: every code point of every encoding, and every error, as the Encoding Standard has it."""

from __future__ import annotations

import time

import pytest
from encoding_reference import digest
from hypothesis import given
from hypothesis import strategies as st

from crawler.charset.encodings import decode

# Printed by tests/encoding_reference.py from the standard's index files of 2024-09-18.
DIGESTS = {
    "ibm866": "438d34e876ce56ba",
    "iso-8859-2": "e0c805d41e350300",
    "iso-8859-3": "b5688a7bdb03b7cb",
    "iso-8859-4": "04dad433d42bacd5",
    "iso-8859-5": "a5540527273057ae",
    "iso-8859-6": "f6f2cf8cb77c7383",
    "iso-8859-7": "0d541339efd282e3",
    "iso-8859-8": "df145942baa50136",
    "iso-8859-10": "3a005a8f10806761",
    "iso-8859-13": "630a23b4ce91254e",
    "iso-8859-14": "7a4b0995dfffcf5e",
    "iso-8859-15": "2f559029cdec60d8",
    "iso-8859-16": "95c7b1ad9192f9db",
    "koi8-r": "1c7e400c9a6e4969",
    "koi8-u": "a767a01b1825a98c",
    "macintosh": "eb22fce8be05d832",
    "windows-874": "69e809827ad66071",
    "windows-1250": "c1e0655a4120587d",
    "windows-1251": "91419ccc6130d913",
    "windows-1252": "6982ebe8356f8073",
    "windows-1253": "a4b4e27541772ffd",
    "windows-1254": "27d469189b5f0268",
    "windows-1255": "474cc026c9ddad29",
    "windows-1256": "9562cf32e46abb99",
    "windows-1257": "4a14c4247c0d9a0a",
    "windows-1258": "b969473f57b82416",
    "x-mac-cyrillic": "00b2eccc69922e0b",
    "gb18030": "811d6cec0d64733d",
    "big5": "c5a811c8113f0d09",
    "euc-jp": "02c0a01be062450d",
    "iso-2022-jp": "82b1577f3231b5d2",
    "shift_jis": "6c30475b1dcb3e66",
    "euc-kr": "be72966000b05701",
    "utf-16le": "8fa6a73679947631",
    "utf-16be": "f83e1087279f558d",
}


@pytest.mark.parametrize("name", DIGESTS)
def test_every_code_point_and_every_error(name):
    """All characters of the standard's index, and U+FFFD as often and where the standard has it."""
    assert digest(name, lambda body: decode(body, name)) == DIGESTS[name]


TEXTS = [
    ("euc-jp", b"\xad\xa1\xad\xea\xad\xe2 \xfc\xe2\xf9\xf5\xa1\xc1\xa1\xdd", "①㈱№ 髙﨑～－"),
    ("iso-2022-jp", b"a\x1b$B-!-j-b\x1b(B \x1b$B|byu\x1b(J\\~\x1b(I1\x1b(B.", "a①㈱№ 髙﨑¥‾ｱ."),
    ("iso-2022-jp", b"\x1b(B\x1b(B\x1b$B!\x1b(B\x80\x1b(Z", "\ufffd" * 5 + "(Z"),
    ("shift_jis", b"\x81\x60\xa0\xfd\x80\x81\x20\xf0\x40", "～\ufffd\ufffd\x80\ufffd \ue000"),
    ("big5", b"\xa1\x45\xa1\xc2\xa2\x41\xa1\xfe\xa2\x44\x88\x62\x87\x7a\xfb\x48", "‧¯∕／￥Ê̄㡵嘅"),
    ("gbk", b"\x80\xa3\xa0\xa8\xbc\x81\x35\xf4\x37\xa6\xd9\xff", "€\u3000ḿ\ue7c7\ufe10\ufffd"),
    ("gb18030", b"\x90\x30\x81\x30\x81\x30\x81\x81\xfe\x39\xfe\x39\xe3\x32\x9a\x35", "\U00010000\ufffd0亖\ufffd\U0010ffff"),
    ("euc-kr", b"\xb0\xa1\xc9\xa1\x81\x5b\x80", "가\ufffd\ufffd[\ufffd"),
    ("koi8-u", b"\xae\xbe\xa4", "ўЎє"),
    ("windows-1255", b"\xca\xd4\xd9", "ֺװ\ufffd"),
    ("windows-1252", b"\x81\x8d\x80", "\x81\x8d€"),
    ("utf-16le", b"a\0\x00\xd8b\0\x3d\xd8\x00\xde\x00\xdc\x00\xd8\x00", "a\ufffdb😀\ufffd\ufffd"),
    ("utf-16be", b"\xdc\x00\xd8\x3d\xde\x00\x00", "\ufffd😀\ufffd"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "body", "text"), TEXTS)
def test_where_pythons_tables_differ(name, body, text):
    """What Python's codecs have otherwise, or not at all, is the standard's; the digests hold the rest."""
    assert decode(body, name) == text


PIECES = [
    b"\xff", b"\xffa", b"\x81 ", b"\x80", b"\xa3\xa0", b"\xad\xa1", b"\xfd", b"\xa2\x41", b"\x1b(B", b"\x1b$B!", b"\x1b", b"\x1b(J~",
    b"\x00\xd8", b"\x00\xd8a\x00", b"\x3d\xd8\x00\xde\x00\xdc", b"\x810\x810", b"\x810", b"\x8f\xa2\xb7", b"a",
]  # fmt: skip


@pytest.mark.parametrize(
    "name", ["gbk", "big5", "euc-jp", "iso-2022-jp", "shift_jis", "euc-kr", "utf-16le", "windows-1252", "utf-8"]
)
def test_hostile_bytes_take_linear_time(name):
    """Nothing that is repeated takes more than 0.6 us a byte, of 100 kB no more than of 10."""
    for piece in PIECES:
        for size in (10_000, 100_000):
            body = piece * (size // len(piece))
            start = time.process_time()
            text = decode(body, name)
            assert time.process_time() - start < 0.000_000_6 * size + 0.005, (piece, size)
            assert len(text) <= size


@given(st.lists(st.binary(max_size=40) | st.sampled_from(PIECES)), st.sampled_from(sorted(DIGESTS)))
def test_text_around_an_error_is_as_without(pieces, name):
    """Each piece that is followed by line ends is decoded by itself: an error never spoils what comes later."""
    if name[:3] == "utf" or name == "iso-2022-jp":
        return
    pieces = [piece + b"\n\n\n\n" for piece in pieces]
    assert decode(b"".join(pieces), name) == "".join(decode(piece, name) for piece in pieces)
