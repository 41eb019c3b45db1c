"""The encodings of the WHATWG Encoding Standard: their labels, and bytes -> text as the standard decodes. Pure.

Python's codecs do the work, at their speed. Where their tables differ from the standard's indexes stands what differs;
where they stop at bytes that stand for nothing, the next ones are decoded here, by the standard's rules on how many
bytes an error takes. Every way through here is linear, and no text is longer than its bytes are many.
"""

from __future__ import annotations

import codecs
import re
from functools import cache
from itertools import chain
from typing import Any, Final

# Encoding Standard section 4.2, a line each: name, Python's codec, other labels. In the standard's way latin-1 is
# windows-1252 and gb2312 is gbk. Left out on purpose: the labels of its "replacement" encoding (iso-2022-kr, hz-gb-2312
# ...), which it refuses to decode as well, and x-user-defined, which is no charset of documents.
_TABLE: Final = """
utf-8          utf-8          unicode-1-1-utf-8 unicode11utf8 unicode20utf8 utf8 x-unicode20utf8
utf-16be       utf-16-be      unicodefffe
utf-16le       utf-16-le      csunicode iso-10646-ucs-2 ucs-2 unicode unicodefeff utf-16
ibm866         cp866          866 cp866 csibm866
iso-8859-2     iso8859-2      csisolatin2 iso-ir-101 iso8859-2 iso88592 iso_8859-2 iso_8859-2:1987 l2 latin2
iso-8859-3     iso8859-3      csisolatin3 iso-ir-109 iso8859-3 iso88593 iso_8859-3 iso_8859-3:1988 l3 latin3
iso-8859-4     iso8859-4      csisolatin4 iso-ir-110 iso8859-4 iso88594 iso_8859-4 iso_8859-4:1988 l4 latin4
iso-8859-5     iso8859-5      csisolatincyrillic cyrillic iso-ir-144 iso8859-5 iso88595 iso_8859-5 iso_8859-5:1988
iso-8859-6     iso8859-6      arabic asmo-708 csiso88596e csiso88596i csisolatinarabic ecma-114 iso-8859-6-e
iso-8859-6     iso8859-6      iso-8859-6-i iso-ir-127 iso8859-6 iso88596 iso_8859-6 iso_8859-6:1987
iso-8859-7     iso8859-7      csisolatingreek ecma-118 elot_928 greek greek8 iso-ir-126 iso8859-7 iso88597 iso_8859-7
iso-8859-7     iso8859-7      iso_8859-7:1987 sun_eu_greek
iso-8859-8     iso8859-8      csiso88598e csisolatinhebrew hebrew iso-8859-8-e iso-ir-138 iso8859-8 iso88598 iso_8859-8
iso-8859-8     iso8859-8      iso_8859-8:1988 visual
iso-8859-8-i   iso8859-8      csiso88598i logical
iso-8859-10    iso8859-10     csisolatin6 iso-ir-157 iso8859-10 iso885910 l6 latin6
iso-8859-13    iso8859-13     iso8859-13 iso885913
iso-8859-14    iso8859-14     iso8859-14 iso885914
iso-8859-15    iso8859-15     csisolatin9 iso8859-15 iso885915 iso_8859-15 l9
iso-8859-16    iso8859-16
koi8-r         koi8-r         cskoi8r koi koi8 koi8_r
koi8-u         koi8-u         koi8-ru
macintosh      mac-roman      csmacintosh mac x-mac-roman
windows-874    cp874          dos-874 iso-8859-11 iso8859-11 iso885911 tis-620
windows-1250   cp1250         cp1250 x-cp1250
windows-1251   cp1251         cp1251 x-cp1251
windows-1252   cp1252         ansi_x3.4-1968 ascii cp1252 cp819 csisolatin1 ibm819 iso-8859-1 iso-ir-100 iso8859-1
windows-1252   cp1252         iso88591 iso_8859-1 iso_8859-1:1987 l1 latin1 us-ascii x-cp1252
windows-1253   cp1253         cp1253 x-cp1253
windows-1254   cp1254         cp1254 csisolatin5 iso-8859-9 iso-ir-148 iso8859-9 iso88599 iso_8859-9 iso_8859-9:1989 l5
windows-1254   cp1254         latin5 x-cp1254
windows-1255   cp1255         cp1255 x-cp1255
windows-1256   cp1256         cp1256 x-cp1256
windows-1257   cp1257         cp1257 x-cp1257
windows-1258   cp1258         cp1258 x-cp1258
x-mac-cyrillic mac-cyrillic   x-mac-ukrainian
gbk            gb18030        chinese csgb2312 csiso58gb231280 gb2312 gb_2312 gb_2312-80 iso-ir-58 x-gbk
gb18030        gb18030
big5           big5hkscs      big5-hkscs cn-big5 csbig5 x-x-big5
euc-jp         euc_jp         cseucpkdfmtjapanese x-euc-jp
iso-2022-jp    iso2022_jp     csiso2022jp
shift_jis      cp932          csshiftjis ms932 ms_kanji shift-jis sjis windows-31j x-sjis
euc-kr         cp949          cseuckr csksc56011987 iso-ir-149 korean ks_c_5601-1987 ks_c_5601-1989 ksc5601 ksc_5601
euc-kr         cp949          windows-949
"""
_ROWS: Final = [line.split() for line in _TABLE.strip().splitlines()]
_CODECS: Final = {name: codec for name, codec, *_ in _ROWS}
_NAMES: Final = {label: name for name, _, *labels in _ROWS for label in (name, *labels)}
_WHITE: Final = " \t\n\f\r"
_ERROR: Final = "\ufffd"

_BEYOND_ASCII: Final = re.compile("[^\0-\x7f]+")
_KEPT: Final = frozenset(map(chr, range(0x21, 0x7F))) - set("\"#<>'")


def canonical(label: str) -> str | None:
    """The WHATWG name in lower case that a label stands for ("latin1" -> "windows-1252"); None if it is no label."""
    return _NAMES.get(label.strip(_WHITE).lower())


def decode(body: bytes, name: str) -> str:
    """The text of bytes in the encoding of that canonical name; U+FFFD for what is none, and no lone surrogates."""
    codec = _CODECS[name]
    if codec == "utf-8":
        return body.decode("utf-8", "replace")
    if codec in _WIDE:
        return _wide(body, codec)
    if codec == "iso2022_jp":
        return _switching(body)
    pairs = _pairs(codec)
    return codecs.charmap_decode(body, "replace", _table(codec))[0] if pairs is None else pairs.decode(body)


def query_in(reference: str, name: str) -> str:
    """A reference of a document in that encoding, as its server is asked: the query is not in UTF-8 but in this.

    URL Standard section 1.3, "percent-encode after encoding": of what the encoding does not have, the number.
    """
    rest, sharp, fragment = reference.partition("#")
    path, mark, query = rest.partition("?")
    if query.isascii() or name in ("utf-8", "utf-16be", "utf-16le"):
        return reference
    query = _BEYOND_ASCII.sub(lambda run: _percent_encoded(run[0], name), query)
    return f"{path}{mark}{query}{sharp}{fragment}"


def _percent_encoded(text: str, name: str) -> str:
    try:
        octets = _encoded(text, name)
    except UnicodeEncodeError:
        if len(text) > 1:
            return "".join([_percent_encoded(character, name) for character in text])
        return f"%26%23{ord(text)}%3B"
    # The second byte of a pair may be a letter, which stays one.
    return "".join([chr(octet) if chr(octet) in _KEPT else f"%{octet:02X}" for octet in octets])


def _encoded(text: str, name: str) -> bytes:
    codec = _CODECS[name]
    if codec in _WIDE or codec == "iso2022_jp" or _pairs(codec) is not None:
        return text.encode("gbk" if name == "gbk" else codec)  # the standard's encoder of gbk has pairs alone
    return codecs.charmap_encode(text, "strict", _reverse(codec))[0]


@cache
def _reverse(codec: str) -> Any:
    return codecs.charmap_build(_table(codec))


def is_utf_8(body: bytes) -> bool:
    """Whether all of it is."""
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


# --- single bytes ---

# Python 3.11's tables against the standard's index-koi8-u.txt and index-windows-1255.txt.
_OTHERS: Final = {"koi8-u": {0xAE: "\u045e", 0xBE: "\u040e"}, "cp1255": {0xCA: "\u05ba"}}


@cache
def _table(codec: str) -> str:
    """The 256 characters of a single-byte codec. With no gaps: each gap met costs Python 0.5 us, 5 s in 10 MiB."""
    others = _OTHERS.get(codec, {})
    return "".join(
        # Encoding Standard section 9: gaps below 0xA0 are the control characters of that number.
        others.get(octet) or (chr(octet) if char == _ERROR and octet < 0xA0 else char)
        for octet, char in enumerate(bytes(range(256)).decode(codec, "replace"))
    )


# --- UTF-16 ---

_WIDE: Final = {"utf-16-le": 1, "utf-16-be": 0}  # where in a unit its high byte stands
_HIGH: Final = bytes(0xFF * (0xD8 <= octet <= 0xDB) for octet in range(256))
_LOW: Final = bytes(0xFF * (0xDC <= octet <= 0xDF) for octet in range(256))


def _wide(body: bytes, codec: str) -> str:
    try:
        return body.decode(codec)
    except UnicodeDecodeError:
        pass
    # Python takes 80 ms per MiB of lone surrogates, so they are replaced first, all at once: a number whose bytes are
    # 0xFF for each unit that is a surrogate, less those that make pairs.
    high_at, number = _WIDE[codec], len(body) // 2
    units = bytearray(body[: 2 * number])
    octets = bytes(units[high_at::2])
    high = int.from_bytes(octets.translate(_HIGH), "little")
    low = int.from_bytes(octets.translate(_LOW), "little")
    lone = (high & ~(low >> 8)) | (low & ~(high << 8))
    units[high_at::2] = (int.from_bytes(octets, "little") | lone).to_bytes(number, "little")
    others = int.from_bytes(units[1 - high_at :: 2], "little") | lone
    others ^= lone & int.from_bytes(b"\2" * number, "little")  # 0xFFFD
    units[1 - high_at :: 2] = others.to_bytes(number, "little")
    # Half a unit at the end is an error of its own, unless half a pair waits for it.
    half = len(body) % 2 and not (number and _HIGH[octets[-1]])
    return units.decode(codec) + (_ERROR if half else "")


# --- one, two and more bytes ---

_LITTLE: Final = 16
_MUCH: Final = 1024


class _Pairs(dict[bytes, str]):
    """A multi-byte encoding: Python's codec, and what the standard has otherwise. As a dict, its sequences -> text.

    `sequence` matches one sequence as the standard cuts them, good or bad. `wrong` maps characters that come from the
    codec to the standard's, `extra` has sequences that the codec does not know. The text of what begins with one of
    `doubtful` sequences cannot be mended afterwards: the codec has the same character elsewhere, where it is right.
    """

    def __init__(
        self,
        codec: str,
        sequence: bytes,
        *,
        wrong: str = "",
        right: str = "",
        extra: dict[bytes, str] | None = None,
        doubtful: tuple[bytes, ...] = (),
    ) -> None:
        self._codec = codec
        self._sequences = re.compile(sequence, re.DOTALL).findall
        self._mended = dict(zip(wrong, right, strict=True))
        self._wrong = re.compile(f"[{wrong}]") if wrong else None
        self._extra = extra or {}
        self._doubtful = doubtful
        self._errors = f"crawler.{codec}"
        codecs.register_error(self._errors, self._go_on)

    def decode(self, body: bytes) -> str:
        for sequence in self._doubtful:
            if sequence in body:
                return "".join(map(self.__getitem__, self._sequences(body)))
        text = body.decode(self._codec, self._errors)
        if self._wrong is not None and self._wrong.search(text):
            for wrong, right in self._mended.items():
                text = text.replace(wrong, right)
        return text

    def _go_on(self, error: UnicodeError) -> tuple[str, int]:
        """What the codec stops at, and a little more; where errors are close together much more: a stop costs 1 us."""
        assert isinstance(error, UnicodeDecodeError)
        body, start = error.object, error.start
        text, end = self._piece(body, start, start + _LITTLE)
        if text.count(_ERROR) > 1:
            more, end = self._piece(body, end, end + _MUCH)
            text += more
        return text, end

    def _piece(self, body: bytes, start: int, end: int) -> tuple[str, int]:
        sequences = self._sequences(body, start, end)
        if end < len(body):
            sequences.pop()  # the last one may have been cut
        return "".join(map(self.__getitem__, sequences)), start + sum(map(len, sequences))

    def __missing__(self, sequence: bytes) -> str:
        text = self._extra.get(sequence)
        if text is None:
            try:
                text = sequence.decode(self._codec)
            except UnicodeDecodeError:
                text = _ERROR
                # "If byte is an ASCII byte, restore byte": it stands for itself.
                if len(sequence) == 2 and 0x40 <= sequence[1] < 0x80:  # not the digit at a cut end
                    text += chr(sequence[1])
            else:
                text = self._mended.get(text, text)
        if len(sequence) <= 2:  # of the longer ones there are a million
            self[sequence] = text
        return text


# The runs of sequences that Python's big5hkscs does not know, by index-big5.txt: the first one, and their characters.
_BIG5: Final = """
877a 㡵𡵓𣚞𦀡㻬𥣞㫵竼龗𤅡𨤍𣇪𠪊𣉞䌊蒄龖鐯䤰蘓墖靊鈘秐稲晠権袝瑌篅枂稬剏遆㓦珄𥶹瓆鿇垳
87c4 䤯呌䄱𣚎堘穲𧭥讏䚮𦺈䆁𥶙箮𢒼鿈𢓁𢓉𢓌鿉蔄𣖻䂴鿊䓡𪷿拁灮鿋 8e69 箸 8e6f 簆 8e7e 糎 8eab 緒 8eb4 縝 8ecd 者
8ed0 耨 8f57 菁 8f69 蒨 8f6e 萏 8fcb 覦覩 8ffe 起 906d 都 907a 銹 90dc 靜 90f1 響 91bf 鼖 9244 蔃 92af 兙兛兝兞
92c8 鍮 92d1 瑹 9447 浧 94ca 禛 95d9 邗 9644 靝 96ed 瀞 96fc 嬨 9b76 爁 9b78 矗 9b7b 纇 9bc6 駖 9bde 釔 9bec 惞
9bf6 澶 9c42 輶 9c53 侻 9c62 營 9c68 鄄 9c6b 鷰 9c77 菏 9cbc 尐秣 9cd0 婧 9d57 輋 9d5a 筑 9dc4 拐 9ea9 恢
9eef 痹 9efd 汊 9f60 鬮 9f66 鼗 9fcb 僭 9fd8 弌 a063 蠏 a077 拎 a0d5 瑨 a0df 煢 a0e4 牐
a3c0 ␀␁␂␃␄␅␆␇␈␉␊␋␌␍␎␏␐␑␒␓␔␕␖␗␘␙␚␛␜␝␞␟␡€ c6cf 廴 c6d3 无 c6d5 癶 c6d7 隶 c6de 〃仝 fa5f 倩 fa66 偽 fabd 包
fac5 卄 fad5 卿 fb48 嘅 fbb8 婷 fbf3 幵 fbf9 廐 fc4f 彘 fc6c 悤 fcb9 撐 fce2 晴 fcf1 杞 fdb7 沜渝 fdbb 港
fdf1 煮 fe52 猪 fe6f 瑜 feaa 瓩 fedd 砉
"""


def _big5() -> dict[bytes, str]:
    words = iter(_BIG5.split())
    extra = {b"\xa2\x41": "\u2215", b"\xa2\x42": "\ufe68"}
    for start, characters in zip(words, words, strict=True):
        lead, trail = bytes.fromhex(start)
        for character in characters:
            extra[bytes((lead, trail))] = character
            trail += 1 if trail != 0x7E else 0xA1 - 0x7E
    return extra


def _nec_and_ibm() -> dict[bytes, str]:
    """The rows of JIS X 0208 that Python's euc_jp has not, from its cp932, which has the standard's whole index."""
    extra = {}
    for lead in (0xAD, 0xF9, 0xFA, 0xFB, 0xFC):
        for trail in range(0xA1, 0xFF):
            row, cell = divmod((lead - 0xA1) * 94 + trail - 0xA1, 188)
            shifted = bytes((row + (0x81 if row < 0x1F else 0xC1), cell + (0x40 if cell < 0x3F else 0x41)))
            if (text := shifted.decode("cp932", "replace")) and _ERROR not in text:
                extra[bytes((lead, trail))] = text
    return extra


@cache
def _pairs(codec: str) -> _Pairs | None:
    """Encoding Standard sections 10 to 13; what Python's codecs have otherwise is from the standard's indexes."""
    match codec:
        case "gb18030":
            return _Pairs(
                codec,
                rb"[\x81-\xfe](?:[0-9](?:[\x81-\xfe][0-9]|[\x81-\xfe]?\Z)|[\x40-\x7e\x80-\xff])?|.",
                wrong="\ue5e5\ue78d\ue78e\ue78f\ue790\ue791\ue792\ue793\ue794\ue795\ue796\ue7c7"
                "\ue81e\ue826\ue82b\ue82c\ue832\ue843\ue854\ue864",
                right="\u3000\ufe10\ufe12\ufe11\ufe13\ufe14\ufe15\ufe16\ufe17\ufe18\ufe19\u1e3f"
                "\u9fb4\u9fb5\u9fb6\u9fb7\u9fb8\u9fb9\u9fba\u9fbb",
                extra={b"\x80": "\u20ac", b"\x81\x35\xf4\x37": "\ue7c7"},
                doubtful=(b"\x81\x35\xf4\x37",),
            )
        case "big5hkscs":
            return _Pairs(
                codec,
                rb"[\x81-\xfe][\x40-\x7e\x80-\xff]?|.",
                wrong="\u2022\uff64\u203e\u223c\u2641\u2609\xa5\xa2\xa3",
                right="\u2027\ufe51\xaf\uff5e\u2295\u2299\uffe5\uffe0\uffe1",
                extra=_big5(),
                doubtful=(b"\xa2\x41", b"\xa2\x42"),
            )
        case "euc_jp":
            return _Pairs(
                codec,
                rb"\x8f[\xa1-\xfe][\x80-\xff]?|[\x8e\x8f\xa1-\xfe][\x80-\xff]?|.",
                wrong="\u301c\u2016\u2212\xa2\xa3\xac",
                right="\uff5e\u2225\uff0d\uffe0\uffe1\uffe2",
                extra=_nec_and_ibm() | {b"\x8f\xa2\xb7": "\uff5e"},
                doubtful=(b"\x8f\xa2\xb7",),
            )
        case "cp932":
            return _Pairs(
                codec,
                rb"[\x81-\x9f\xe0-\xfc][\x40-\x7e\x80-\xff]?|.",
                wrong="\uf8f0\uf8f1\uf8f2\uf8f3",
                right=_ERROR * 4,
            )
        case "cp949":
            return _Pairs(codec, rb"[\x81-\xfe][\x41-\x7e\x80-\xff]?|.")
    return None


# --- ISO-2022-JP ---

_SETS: Final = {b"\x1b(B": "ascii", b"\x1b(J": "roman", b"\x1b(I": "katakana", b"\x1b$@": "jis", b"\x1b$B": "jis"}
_ESCAPE: Final = re.compile(rb"\x1b(?:\([BIJ]|\$[@B])")
# What all is read as is EUC-JP: there 0xFF is an error, and a pair is that of JIS X 0208 with the highest bits set.
_ASCII: Final = bytes(octet if octet < 0x80 and octet not in {0x0E, 0x0F, 0x1B} else 0xFF for octet in range(256))
_KATAKANA: Final = bytes(octet | 0x80 if 0x21 <= octet <= 0x5F else 0xFF for octet in range(256))
_JIS: Final = bytes(octet | 0x80 if 0x21 <= octet <= 0x7E else 0xFF for octet in range(256))
_IN_PAIRS: Final = bytes(range(0x21, 0x7F))
_CUT: Final = re.compile(rb"((?:[\x21-\x7e]{2})++)|[\x21-\x7e][^\x21-\x7e\x1b]?|[^\x21-\x7e]")


def _switching(body: bytes) -> str:
    """Section 12.2.1. Escape sequences switch between sets; two of them with nothing between are an error."""
    text: list[str] = []
    read: list[bytes] = []
    current, start = "ascii", 0
    for escape in chain(_ESCAPE.finditer(body), (None,)):
        octets = body[start : len(body) if escape is None else escape.start()]
        if current == "roman":  # the two that EUC-JP does not have
            text.append(decode(b"".join(read), "euc-jp"))
            text.append(octets.translate(_ASCII).decode("ascii", "replace").translate({0x5C: "\xa5", 0x7E: "\u203e"}))
            read = []
        else:
            read.append(_as_euc(octets, current))
        if escape is None:
            break
        if start and not octets:
            read.append(b"\xff")
        current, start = _SETS[escape[0]], escape.end()
    return "".join(text) + decode(b"".join(read), "euc-jp")


def _as_euc(octets: bytes, current: str) -> bytes:
    if current == "ascii":
        return octets.translate(_ASCII)
    if current == "katakana":
        return re.sub(rb"[\xa1-\xdf]", b"\x8e\\g<0>", octets.translate(_KATAKANA))
    if len(octets) % 2 or octets.translate(None, _IN_PAIRS):
        octets = _CUT.sub(lambda cut: cut[1] or b"\xff", octets)
    return octets.translate(_JIS)
