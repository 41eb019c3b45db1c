"""Which charset a body is in, by the rules of browsers, and its text. Pure: nothing here does I/O.

Only the labels of the WHATWG Encoding Standard count. Python knows many more codecs, and some of them are dangerous in
the hands of a server: utf-7 hides markup, idna and punycode take quadratic time, others are no charsets at all.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Final, NamedTuple

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
iso-2022-jp    iso2022_jp_ext csiso2022jp
shift_jis      cp932          csshiftjis ms932 ms_kanji shift-jis sjis windows-31j x-sjis
euc-kr         cp949          cseuckr csksc56011987 iso-ir-149 korean ks_c_5601-1987 ks_c_5601-1989 ksc5601 ksc_5601
euc-kr         cp949          windows-949
"""
_ROWS: Final = [line.split() for line in _TABLE.strip().splitlines()]
_CODECS: Final = {name: codec for name, codec, *_ in _ROWS}
_MULTI_BYTE: Final = {
    "utf-8",
    "utf-16-be",
    "utf-16-le",
    "gb18030",
    "big5hkscs",
    "euc_jp",
    "iso2022_jp_ext",
    "cp932",
    "cp949",
}
_NAMES: Final = {label: name for name, _, *labels in _ROWS for label in (name, *labels)}
_MARKS: Final = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_BE, "utf-16be"), (codecs.BOM_UTF16_LE, "utf-16le"))
_WHITE: Final = " \t\n\f\r"
_PRESCAN: Final = 1024
_CACHED_LENGTH: Final = 200
_READ_LENGTH: Final = 2048
_LABEL_LENGTH: Final = 64

_MEDIA_TYPE: Final = re.compile(r"\s*+([!#$%&'*+.^_`|~0-9A-Za-z-]++/[!#$%&'*+.^_`|~0-9A-Za-z-]++)\s*+(?:[;,]|\Z)")
_PARAMETER: Final = re.compile(r';\s*+([^\s;="]*+)\s*+(?:=\s*+(?:"((?:[^"\\]|\\.)*+)|([^;]*+)))?', re.DOTALL)
_TAG: Final = re.compile(rb"<(?:(!--)|(/?[A-Za-z][^\s/>]*+)|[!/?])")
_ATTRIBUTE: Final = re.compile(
    rb"""[\s/]*+([^\s/>][^\s/>=]*+)(?:\s*+=\s*+(?:"([^"]*+)"?|'([^']*+)'?|([^\s>]*+)))?""",
)
_CHARSET_IN_CONTENT: Final = re.compile(
    rb"""charset\s*+=\s*+(?:"([^"]++)"|'([^']++)'|([^\s;"'][^\s;]*+))""", re.IGNORECASE
)
_XML_ENCODING: Final = re.compile(rb"""<\?xml\s[^>]*?\bencoding\s*+=\s*+(?:"([^">]++)"|'([^'>]++)')""")


class Decoded(NamedTuple):
    """A body's text; `charset` is the WHATWG name, in lower case, of what decoded it."""

    text: str
    charset: str
    warnings: list[str]


def canonical(label: str) -> str | None:
    """The WHATWG name in lower case that a label stands for ("latin1" -> "windows-1252"); None if it is no label."""
    return _NAMES.get(label.strip(_WHITE).lower())


def from_content_type(value: str) -> tuple[str | None, str | None]:
    """Split a Content-Type: media type (lower case, no parameters) and the charset's raw label; None where absent."""
    # Values come from servers: the cache must be bounded in bytes, too, and nothing useful stands behind the limit.
    return _split(value) if len(value) <= _CACHED_LENGTH else _split.__wrapped__(value[:_READ_LENGTH])


@lru_cache(maxsize=512)
def _split(value: str) -> tuple[str | None, str | None]:
    media_type = _MEDIA_TYPE.match(value)
    label = None
    for name, quoted, plain in _PARAMETER.findall(value):
        if name.lower() == "charset":
            # RFC 9110 has no single quotes, but sites do. No label is nearly as long as the limit.
            label = (quoted or plain).strip(_WHITE + "'\"")[:_LABEL_LENGTH]
            if label:
                break
    return (media_type[1].lower() if media_type else None), label or None


def decode_text(body: bytes, declared: str | None, content_type: str | None) -> Decoded:
    """Decode as browsers do: byte order mark, declared charset, what HTML or XML says of itself, UTF-8, windows-1252.

    `declared` is the label of the Content-Type header, raw or canonical; without it the one in `content_type` counts.
    Bytes that stand for no character become U+FFFD. The warning "charset" says that a label was not followed. The text
    has no lone surrogates. JSON without a label is UTF-8 (RFC 8259 section 8.1).
    """
    media_type, parameter = from_content_type(content_type or "")
    declared = declared or parameter
    name = canonical(declared) if declared else None
    refused = declared is not None and name is None
    for mark, encoding in _MARKS:
        if body.startswith(mark):
            # The bare label "utf-16" leaves the byte order to the mark.
            differs = name is not None and name[:6] != encoding[:6]
            return Decoded(_decode(body[len(mark) :], encoding), encoding, ["charset"] if refused or differs else [])
    if name is None and _is_markup(media_type, body):
        for label in _prescan(body[:_PRESCAN]):
            name = canonical(label)
            if name is not None:
                break
            refused = True
    if name is None and media_type is not None and media_type.endswith(("/json", "+json")):
        name = "utf-8"
    warnings = ["charset"] if refused else []
    if name is None:
        text, name = _guess(body)
    else:
        text = _decode(body, name)
    return Decoded(text, name, warnings)


def _decode(body: bytes, name: str) -> str:
    codec = _CODECS[name]
    if codec in _MULTI_BYTE:
        return body.decode(codec, "replace")
    return codecs.charmap_decode(body, "replace", _table(codec))[0]


@cache
def _table(codec: str) -> str:
    """The 256 characters of a single-byte codec. With no gaps: each gap met costs Python 0.5 us, 5 s in 10 MiB."""
    return "".join(
        # Encoding Standard section 9: gaps below 0xA0 are the control characters of that number.
        chr(octet) if char == "\ufffd" and octet < 0xA0 else char
        for octet, char in enumerate(bytes(range(256)).decode(codec, "replace"))
    )


def _guess(body: bytes) -> tuple[str, str]:
    try:
        text, used = codecs.utf_8_decode(body, "strict", False)
    except UnicodeDecodeError:
        return _decode(body, "windows-1252"), "windows-1252"
    if used < len(body):
        # A body cut inside a character is still UTF-8, if it has shown to be; else it is a word like "caf\xe9".
        if text.isascii():
            return _decode(body, "windows-1252"), "windows-1252"
        text += "\ufffd"
    return text, "utf-8"


def _is_markup(media_type: str | None, body: bytes) -> bool:
    if media_type is None:
        return body[:_PRESCAN].lstrip()[:1] == b"<"
    return "html" in media_type or "xml" in media_type


def _prescan(head: bytes) -> Iterator[str]:
    """The labels with which a document names its own charset (HTML section 13.2.3.2), in order."""
    if head.startswith((b"<\0?\0x\0", b"\0<\0?\0x")):
        yield "utf-16le" if head[0] else "utf-16be"
        return
    declaration = _XML_ENCODING.match(head)
    if declaration:
        yield from _from_inside(declaration[1] or declaration[2])
    at = 0
    while tag := _TAG.search(head, at):
        at = tag.end()
        if tag[1]:
            at = head.find(b"-->", at - 2)  # "<!-->" is a whole comment
            if at < 0:
                return
        elif tag[2] is None:
            at = head.find(b">", at)
            if at < 0:
                return
        else:
            # Every tag's attributes are skipped as such: in <a title="<meta charset=x>"> there is no meta.
            attributes: dict[bytes, bytes] = {}
            while attribute := _ATTRIBUTE.match(head, at):
                at = attribute.end()
                name, *values = attribute.groups(b"")
                attributes.setdefault(name.lower(), b"".join(values))
            if tag[2].lower() == b"meta":
                yield from _from_meta(attributes)


def _from_meta(attributes: dict[bytes, bytes]) -> Iterator[str]:
    if label := attributes.get(b"charset"):
        yield from _from_inside(label)
    elif attributes.get(b"http-equiv", b"").lower() == b"content-type":
        found = _CHARSET_IN_CONTENT.search(attributes.get(b"content", b""))
        if found:
            yield from _from_inside(found[1] or found[2] or found[3])


def _from_inside(raw: bytes) -> Iterator[str]:
    label = raw.decode("latin-1")
    # Whoever could read this far did not read UTF-16.
    yield "utf-8" if (canonical(label) or "").startswith("utf-16") else label
