"""crawler.charset: the text of any body, by the rules of browsers, and never at a server's mercy."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.charset import Decoded, decode_text, extract_type, from_content_type
from crawler.charset.encodings import canonical
from crawler.errors import WARNINGS

HTML = "text/html"

LABELS = [
    ("utf-8", "utf-8"),
    ("UTF8", "utf-8"),
    (" Latin1\t", "windows-1252"),
    ("us-ascii", "windows-1252"),
    ("ISO-8859-1", "windows-1252"),
    ("iso-8859-9", "windows-1254"),
    ("iso-8859-11", "windows-874"),
    ("gb2312", "gbk"),
    ("sjis", "shift_jis"),
    ("ks_c_5601-1987", "euc-kr"),
    ("utf-16", "utf-16le"),
    ("unicodefffe", "utf-16be"),
    ("logical", "iso-8859-8-i"),
    ("x-mac-ukrainian", "x-mac-cyrillic"),
]
NO_LABELS = [
    "utf-7", "utf7", "idna", "punycode", "unicode_escape", "raw_unicode_escape", "base64", "zlib", "rot13", "undefined", "mbcs",
    "utf-32", "utf_8", "latin-1", "cp037", "hz-gb-2312", "iso-2022-kr", "x-user-defined", "bogus", "", "utf-8;", "\ud800", "a" * 9999,
]  # fmt: skip


@pytest.mark.parametrize(("label", "name"), LABELS)
def test_labels_of_the_standard(label, name):
    """A label stands for the encoding that browsers use for it, whatever its case and the white space around it."""
    assert canonical(label) == name


@pytest.mark.parametrize("label", NO_LABELS)
def test_other_labels_are_refused(label):
    """Python's codecs are not reachable: any other label counts as none, with a warning."""
    assert canonical(label) is None
    if label:
        assert decode_text(b"caf\xc3\xa9", label, "text/plain") == Decoded("caf\xe9", "utf-8", ["charset"])


SAMPLES = [
    ("utf-16le", "Ж€", b"\x16\x04\xac\x20"),
    ("utf-16be", "Ж€", b"\x04\x16\x20\xac"),
    ("ibm866", "Ж", b"\x86"),
    ("iso-8859-2", "ő", b"\xf5"),
    ("iso-8859-3", "ħ", b"\xb1"),
    ("iso-8859-4", "ŗ", b"\xb3"),
    ("iso-8859-5", "Ж", b"\xb6"),
    ("iso-8859-6", "ش", b"\xd4"),
    ("iso-8859-7", "Ω", b"\xd9"),
    ("iso-8859-8", "ש", b"\xf9"),
    ("iso-8859-8-i", "ש", b"\xf9"),
    ("iso-8859-10", "ŋ", b"\xbf"),
    ("iso-8859-13", "ž", b"\xfe"),
    ("iso-8859-14", "ŵ", b"\xf0"),
    ("iso-8859-15", "€", b"\xa4"),
    ("iso-8859-16", "ș", b"\xba"),
    ("koi8-r", "Ж", b"\xf6"),
    ("koi8-u", "ї", b"\xa7"),
    ("macintosh", "é", b"\x8e"),
    ("windows-874", "ก", b"\xa1"),
    ("windows-1250", "ő", b"\xf5"),
    ("windows-1251", "Ж", b"\xc6"),
    ("windows-1252", "€", b"\x80"),
    ("windows-1253", "Ω", b"\xd9"),
    ("windows-1254", "ğ", b"\xf0"),
    ("windows-1255", "ש", b"\xf9"),
    ("windows-1256", "ش", b"\xd4"),
    ("windows-1257", "ž", b"\xfe"),
    ("windows-1258", "ơ", b"\xf5"),
    ("x-mac-cyrillic", "ї", b"\xbb"),
    ("gbk", "汉€", b"\xba\xba\xa2\xe3"),
    ("gb18030", "汉😀", b"\xba\xba\x94\x39\xfc\x36"),
    ("big5", "漢", b"\xba\x7e"),
    ("euc-jp", "漢ｱ", b"\xb4\xc1\x8e\xb1"),
    ("iso-2022-jp", "漢ｱa", b"\x1b$B4A\x1b(I1\x1b(Ba"),
    ("shift_jis", "漢①", b"\x8a\xbf\x87\x40"),
    ("euc-kr", "한똠", b"\xc7\xd1\x8c\x63"),
]


@pytest.mark.parametrize(("name", "text", "body"), SAMPLES)
def test_every_encoding_decodes(name, text, body):
    """The declared charset decodes the body, and the name reported is the standard's."""
    assert decode_text(body, name.upper(), "text/plain") == Decoded(text, name, [])


ORDER = [
    # a byte order mark beats everything and is no part of the text
    (b"\xef\xbb\xbfcaf\xc3\xa9", "utf-8", HTML, Decoded("caf\xe9", "utf-8", [])),
    (b"\xef\xbb\xbfcaf\xc3\xa9", "latin1", HTML, Decoded("caf\xe9", "utf-8", ["charset"])),
    (b"\xef\xbb\xbfx", "bogus", HTML, Decoded("x", "utf-8", ["charset"])),
    (b"\xff\xfea\0", None, None, Decoded("a", "utf-16le", [])),
    (b"\xfe\xff\0a", "utf-16", None, Decoded("a", "utf-16be", [])),
    # then the header's label, which no document overrules
    (b"<meta charset=utf-8>caf\xe9", "latin1", HTML, Decoded("<meta charset=utf-8>caf\xe9", "windows-1252", [])),
    (b"caf\xe9", None, "text/plain; charset=latin1", Decoded("caf\xe9", "windows-1252", [])),
    (b"caf\xe9", "utf-8", HTML, Decoded("caf\ufffd", "utf-8", [])),
    # then what the document says
    (b"<meta charset=koi8-r>\xf6", None, HTML, Decoded("<meta charset=koi8-r>Ж", "koi8-r", [])),
    (b"<meta charset=koi8-r>\xf6", "bogus", HTML, Decoded("<meta charset=koi8-r>Ж", "koi8-r", ["charset"])),
    (b"\n<meta charset=koi8-r>\xf6", None, None, Decoded("\n<meta charset=koi8-r>Ж", "koi8-r", [])),
    (b"<meta charset=koi8-r>\xf6", None, "text/plain", Decoded("<meta charset=koi8-r>ö", "windows-1252", ["charset_guessed"])),
    (b"<?xml version='1.0' encoding='koi8-r'?>\xf6", None, "application/rss+xml", Decoded("<?xml version='1.0' encoding='koi8-r'?>Ж", "koi8-r", [])),
    # then UTF-8 if it is, else what it looks like: with so little to see, windows-1252
    (b"caf\xc3\xa9", None, HTML, Decoded("caf\xe9", "utf-8", [])),
    (b"caf\xe9 \x80", None, HTML, Decoded("caf\xe9 €", "windows-1252", ["charset_guessed"])),
    (b"caf\xe9", None, HTML, Decoded("caf\xe9", "windows-1252", ["charset_guessed"])),
    (b"", None, None, Decoded("", "utf-8", [])),
    (b"a\0b", None, "application/octet-stream", Decoded("a\0b", "utf-8", [])),
    # a body cut within a character
    (b"caf\xc3\xa9 \xe2\x82", None, HTML, Decoded("caf\xe9 \ufffd", "utf-8", [])),
    # JSON is UTF-8
    (b'"caf\xe9"', None, "application/json", Decoded('"caf\ufffd"', "utf-8", [])),
    (b'"caf\xe9"', None, "application/ld+json; x=y", Decoded('"caf\ufffd"', "utf-8", [])),
    (b'"caf\xe9"', "latin1", "application/json", Decoded('"caf\xe9"', "windows-1252", [])),
]  # fmt: skip


@pytest.mark.parametrize(("body", "declared", "content_type", "decoded"), ORDER)
def test_order_of_the_signs(body, declared, content_type, decoded):
    """Byte order mark, header, document, UTF-8, windows-1252; a label that was not followed gives a warning."""
    assert decode_text(body, declared, content_type) == decoded
    assert set(decoded.warnings) <= set(WARNINGS)


SAID = [
    (b'<META CHARSET="KOI8-R">', "koi8-r"),
    (b"<meta charset = 'koi8-r' />", "koi8-r"),
    (b"<meta/charset=koi8-r>", "koi8-r"),
    (b"<html><head><title>a</title><link rel='x'><meta name=a content=b><meta charset=koi8-r>", "koi8-r"),
    (b'<meta http-equiv="Content-Type" content="text/html; charset=koi8-r">', "koi8-r"),
    (b"<meta content='text/html;charset=\"koi8-r\"' http-equiv=content-type>", "koi8-r"),
    (b"<meta http-equiv=content-type content='text/html; CHARSET = koi8-r; x'>", "koi8-r"),
    (b"<p class=it's><meta charset=koi8-r>", "koi8-r"),
    (b"<a title='<meta charset=big5>'><meta charset=koi8-r>", "koi8-r"),
    (b"<!-- <meta charset=big5> --><meta charset=koi8-r>", "koi8-r"),
    (b"<!--><meta charset=koi8-r>", "koi8-r"),
    (b"<!doctype html><?php x ?></p x='>'><meta charset=koi8-r>", "koi8-r"),
    (b"<meta charset=koi8-r charset=big5>", "koi8-r"),
    (b"<meta name=x content='text/html; charset=big5'><meta charset=koi8-r>", "koi8-r"),
    # whoever can read this far does not read UTF-16
    (b"<meta charset=utf-16>", "utf-8"),
    (b"<?xml version='1.0' encoding='utf-16'?>", "utf-8"),
    # nothing said
    (b"<!-- <meta charset=koi8-r>", "utf-8"),
    (b"<metadata charset=koi8-r>", "utf-8"),
    (b"</meta charset=koi8-r", "utf-8"),
    (b"<meta charset=''>", "utf-8"),
    (b"x" * 64 * 1024 + b"<meta charset=koi8-r>", "utf-8"),
    # after the first 1,024 bytes, where a parser that has begun already changes the encoding
    (b"x" * 1024 + b"<meta charset=koi8-r>", "koi8-r"),
    (b"<!--" + b"-" * 40_000 + b"--><meta charset=koi8-r>", "koi8-r"),
    (
        b"<link rel=stylesheet href=style.css>" * 900
        + b"<meta http-equiv=content-type content='text/html; charset=koi8-r'>",
        "koi8-r",
    ),
    (b"<script>" + b"x" * 2000 + b"'<meta charset=big5>'</SCRIPT ><meta charset=koi8-r>", "koi8-r"),
    (b"<style>" + b"x" * 2000 + b"<meta charset=big5>", "utf-8"),
    (b"x" * 1000 + b"<meta   charset=   koi8-r      >", "koi8-r"),
    # in a script, to a scanner that knows no scripts: what a parser finds there or later comes before it
    (b"<script>'<meta charset=big5>'</script><meta charset=koi8-r>", "koi8-r"),
    (b"<script>'<meta charset=big5>'</script>", "big5"),
    (b"<meta charset=x-user-defined>", "windows-1252"),
    # as authors meant it, where nothing else is said
    (b'<meta httpequiv="ContentType" content="text/html; charset=koi8-r">', "koi8-r"),
    (b'<meta http-equiv="ContentType" content="text/html; koi8-r">', "koi8-r"),
    (b'<meta name="Content-Type" content="text/html; charset=koi8-r">', "koi8-r"),
    (b'<meta name="content-type" content="text/html; charset=big5"><meta charset=koi8-r>', "koi8-r"),
    (b'<meta name="content-type" content="text/html; charset=koi8-r">' + "Ж".encode(), "utf-8"),
    (b'<meta name="description" content="charset=big5">', "utf-8"),
    ("<?xml version='1.0'?>".encode("utf-16-le"), "utf-16le"),
    ("<?xml version='1.0'?>".encode("utf-16-be"), "utf-16be"),
]


@pytest.mark.parametrize(("head", "charset"), SAID)
def test_what_a_document_says_of_itself(head, charset):
    """Documents are scanned as HTML section 13.2.3.2 says: tags, comments and attributes are what they are. What comes
    after 1,024 bytes changes the encoding late, and what is no declaration to the standard counts where none is.
    """
    decoded = decode_text(head, None, HTML)
    assert (decoded.charset, decoded.warnings) == (charset, [])


def test_a_bogus_meta_is_passed_over():
    """A meta with an unknown charset gives a warning, and the next one counts."""
    body = b"<meta charset=utf-7><meta charset=koi8-r>\xf6"
    assert decode_text(body, None, HTML) == Decoded(body[:-1].decode() + "Ж", "koi8-r", ["charset"])


RUSSIAN = "Это страница без объявленной кодировки. Москва является столицей России."
JAPANESE = "これは文字コードを宣言していないページです。東京は日本の首都です。"
UNDECLARED = [
    ("windows-1251", "cp1251", RUSSIAN),
    ("koi8-r", "koi8-r", RUSSIAN),
    ("shift_jis", "cp932", JAPANESE),
    ("euc-jp", "euc_jp", JAPANESE),
    ("gbk", "gb18030", "这个页面没有声明编码。北京是中华人民共和国的首都。"),
    ("big5", "big5", "這個網頁沒有宣告編碼。臺北是中華民國的首都。"),
    ("euc-kr", "cp949", "이 페이지에는 인코딩 선언이 없습니다. 서울은 대한민국의 수도입니다."),
    ("windows-1252", "cp1252", "Le café est à côté de l\u2019hôtel \u2014 déjà fermé, hélas."),
    ("windows-1250", "cp1250", "Příliš žluťoučký kůň úpěl ďábelské ódy na louce."),
]


@pytest.mark.parametrize(("name", "codec", "text"), UNDECLARED)
def test_what_nobody_declared_is_guessed(name, codec, text):
    """Text of no declared charset that is not UTF-8 is what it looks like, wherever it stands, and says that it was guessed."""
    page = f"<title>x</title>{'<br>' * 300}<p class='a'>{text}</p>"
    for content_type in (HTML, "text/plain", None):
        assert decode_text(page.encode(codec), None, content_type) == Decoded(page, name, ["charset_guessed"])


@pytest.mark.parametrize(("name", "codec", "text"), UNDECLARED)
def test_what_was_declared_is_not_guessed(name, codec, text):
    """A declared charset is followed, right or wrong, and so is UTF-8 that nobody declared."""
    wrong = "iso-8859-5"
    assert decode_text(text.encode(codec), wrong, HTML).charset == wrong
    assert decode_text(b"<meta charset=iso-8859-5>" + text.encode(codec), None, HTML)[1:] == (wrong, [])
    assert decode_text(text.encode(), None, HTML) == Decoded(text, "utf-8", [])
    assert decode_text(text.encode(codec), name, HTML) == Decoded(text, name, [])


@pytest.mark.parametrize(
    "text", ["caf\xe9", "\xa9 2020 Example", "na\xefve \u2014 it\u2019s", "\xbd \xb5m \xa35", "r\xe9sum\xe9 \u20ac"]
)
def test_a_few_accents_are_western(text):
    """Statistics say nothing of a few bytes: they are windows-1252, as browsers have it."""
    assert decode_text(text.encode("cp1252"), None, HTML) == Decoded(text, "windows-1252", ["charset_guessed"])


def test_what_is_not_text_is_not_guessed():
    """Bytes with a NUL among them are no text of any of these charsets: nobody is asked about them."""
    assert decode_text(b"\x89PNG\0\0" + bytes(range(128, 256)), None, "image/png")[1:] == (
        "windows-1252",
        ["charset_guessed"],
    )


@pytest.mark.parametrize(
    "piece", [b"\xe9", b"\xe9<", b"<a>\xe9", b"a" * 999 + b"\xff", b"<meta name=content-type content=x>\xff"]
)
def test_a_guess_costs_as_little_of_a_large_body(piece):
    """Of a large body, a small part is looked at: 5 MiB cost what decoding them costs."""
    decode_text(RUSSIAN.encode("cp1251"), None, HTML)  # the tables are read once
    body = piece * (5 * 2**20 // len(piece))
    start = time.process_time()
    decode_text(body, None, HTML)
    assert time.process_time() - start < 0.25


def test_detection_costs_nothing_until_it_is_used():
    """chardet is loaded for the first body that is not UTF-8 and says nothing: it takes 60 ms and 3 MiB."""
    code = (
        "import sys; from crawler.charset import decode_text\n"
        "for body in (b'<p>', 'é'.encode(), b'<meta charset=gbk>\\xff\\xff\\xff'): decode_text(body, None, 'text/html')\n"
        "print('chardet' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


CONTENT_TYPES = [
    ("text/html", ("text/html", None)),
    ("text/html; charset=utf-8", ("text/html", "utf-8")),
    ("Text/HTML;Charset=UTF-8", ("text/html", "UTF-8")),
    (' text/html ; charset = "utf-8" ', ("text/html", "utf-8")),
    ("text/html; charset='utf-8'", ("text/html", "utf-8")),
    ('text/html; charset="utf-8', ("text/html", "utf-8")),
    ("text/html;charset=utf-8;charset=latin1", ("text/html", "utf-8")),
    ("text/html; charset=; charset=latin1", ("text/html", "latin1")),
    ('multipart/mixed; boundary="a;charset=big5"; charset=utf-8', ("multipart/mixed", "utf-8")),
    ('a/b; x="\\";charset=big5"; charset=utf-8', ("a/b", "utf-8")),
    ("application/vnd.api+json; profile=x", ("application/vnd.api+json", None)),
    ("text/html, text/html; charset=utf-8", ("text/html", "utf-8")),
    ("; charset=utf-8", (None, "utf-8")),
    ("charset=utf-8", (None, None)),
    ("text", (None, None)),
    ("text/", (None, None)),
    ("text/html charset=utf-8", (None, None)),
    ("*/*", ("*/*", None)),
    ("t\xe9xt/html", (None, None)),
    (";;;=;=\"';charset", (None, None)),
    ("", (None, None)),
    ("text/html; charset=" + "x" * 9999, ("text/html", "x" * 64)),
]


@pytest.mark.parametrize(("value", "parts"), CONTENT_TYPES)
def test_content_type(value, parts):
    """A Content-Type gives its media type and its charset label, or None for what makes no sense."""
    assert from_content_type(value) == parts


def test_gaps_of_single_byte_charsets():
    """As in browsers, a gap below 0xA0 is the control character of that number, and any other is U+FFFD."""
    assert decode_text(b"\x80\x81\xff", "windows-1252", HTML).text == "€\x81\xff"
    assert decode_text(b"\x81\xd9", "windows-1255", HTML).text == "\x81\ufffd"


@pytest.mark.parametrize("name", [name for name, _, _ in SAMPLES])
def test_no_declared_charset_costs_seconds(name):
    """Bytes that do not fit the declared charset are not much dearer than others."""
    body = b"\x81\xff\xd9\xd4" * 25_000
    start = time.process_time()
    decode_text(body, name, HTML)
    assert time.process_time() - start < 0.1


@given(
    st.binary(max_size=300),
    st.sampled_from([None, *(name for name, _, _ in SAMPLES)]),
    st.sampled_from([None, HTML, "text/xml"]),
)
def test_any_body_gives_text(body, declared, content_type):
    """Any bytes under any charset give text that can be written as UTF-8."""
    decoded = decode_text(body, declared, content_type)
    decoded.text.encode()
    assert canonical(decoded.charset) == decoded.charset


@given(st.text("ab/;=\",\\ \t'charset", max_size=40) | st.text())
def test_any_content_type_is_read(value):
    """No value of the header raises."""
    media_type, label = from_content_type(value)
    assert media_type is None or media_type == media_type.lower()
    assert label is None or label


@given(
    st.lists(
        st.sampled_from(
            [
                b"<",
                b"meta",
                b" ",
                b"charset",
                b"=",
                b"'",
                b'"',
                b">",
                b"<!--",
                b"-->",
                b"<?xml ",
                b"/",
                b"utf-8",
                b"\xff",
            ]
        )
    )
)
def test_any_markup_is_scanned(pieces):
    """No markup raises, and a known label is found or not."""
    charset = decode_text(b"".join(pieces), None, HTML).charset
    assert canonical(charset) == charset


@pytest.mark.parametrize(
    "piece", [b"<a", b"<a ", b"<a b='", b"<!--", b"<?xml encoding ", b"<", b" ", b"<meta content=charset"]
)
def test_hostile_markup_costs_little(piece):
    """The scan ends with the first 64 KiB, and is linear in them."""
    body = (piece * (200_000 // len(piece)))[:-20] + b"<b charset>"
    body = body[:1500] + b"<!-- charset -->" + body[1500:]
    start = time.process_time()
    decode_text(body, None, HTML)
    assert time.process_time() - start < 0.1


@pytest.mark.parametrize("piece", [";", ";charset", '; a="\\"', "; ", "a", ";a=", "a/a,"])
def test_hostile_content_types_cost_little(piece):
    """A header field of 200 kB is not read to its end."""
    value = piece * (200_000 // len(piece))
    start = time.process_time()
    from_content_type(value)
    assert time.process_time() - start < 0.05


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], (None, None)),
        (["text/html; charset=utf-8"], ("text/html", "utf-8")),
        (["text/plain", "text/html"], ("text/html", None)),
        (["text/plain,text/html"], ("text/html", None)),
        (["text/html; charset=gbk", "text/html"], ("text/html", "gbk")),
        (["text/html;charset=gbk, text/html;charset=utf-8"], ("text/html", "utf-8")),
        (["text/plain;charset=gbk", "text/html"], ("text/html", None)),
        (["text/html", "*/*"], ("text/html", None)),
        (["text/html;charset=gbk", "*/*;charset=utf-8", "text/html"], ("text/html", "gbk")),
        (["text/html", ""], ("text/html", None)),
        (["text/html", "no type; charset=utf-8"], ("text/html", None)),
        (["no type", "text/html"], ("text/html", None)),
        (["text/html;charset=gbk,utf-8"], ("text/html", "gbk")),
        (['text/html;x=","', "text/plain"], ("text/plain", None)),
        (['text/html;charset=gbk;x=",text/plain"'], ("text/html", "gbk")),
        (['text/html;x="', "text/plain"], ("text/html", None)),
        ([",", ","], (None, None)),
    ],
)
def test_several_content_types(values, expected):
    """The last valid one wins, in one header or in many; commas in quotes part nothing (Fetch, "extract a MIME type")."""
    assert extract_type(values) == expected


def test_long_lists_of_types_cost_little():
    """A header of 256 KiB is not read to its end."""
    started = time.process_time()
    for value in (",", "a/b,", '"', '"\\', "a/b;x=y,"):
        extract_type([value * 100_000])
    assert time.process_time() - started < 0.1
