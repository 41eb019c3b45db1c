"""Which charset a body is in, by the rules of browsers, and its text. Pure: nothing here does I/O.

Only the labels of the WHATWG Encoding Standard count. Python knows many more codecs, and some of them are dangerous in
the hands of a server: utf-7 hides markup, idna and punycode take quadratic time, others are no charsets at all.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from crawler.charset.encodings import canonical, decode
from crawler.charset.guess import guess

__all__ = ["decode_text", "encodings", "extract_type", "transcode"]

_MARKS: Final = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_BE, "utf-16be"), (codecs.BOM_UTF16_LE, "utf-16le"))
_WHITE: Final = " \t\n\f\r"
_PRESCAN: Final = 1024
_LATE: Final = 64 * 1024
_CACHED_LENGTH: Final = 200
_READ_LENGTH: Final = 2048
_LABEL_LENGTH: Final = 64

_MEDIA_TYPE: Final = re.compile(r"\s*+([!#$%&'*+.^_`|~0-9A-Za-z-]++/[!#$%&'*+.^_`|~0-9A-Za-z-]++)\s*+(?:[;,]|\Z)")
_PARAMETER: Final = re.compile(r';\s*+([^\s;="]*+)\s*+(?:=\s*+(?:"((?:[^"\\]|\\.)*+)|([^;]*+)))?', re.DOTALL)
_TAG: Final = re.compile(rb"<(?:(!--)|(/?[A-Za-z][^\s/>]*+)|[!/?])")
_ATTRIBUTE: Final = re.compile(
    rb"""[\s/]*+([^\s/>][^\s/>=]*+)(?:\s*+=\s*+(?:"([^"]*+)"?|'([^']*+)'?|([^\s>]*+)))?""",
)
_TAG_REST: Final = re.compile(
    rb"""(?:[\s/]*+[^\s/>][^\s/>=]*+(?:\s*+=\s*+(?:"[^"]*+"?|'[^']*+'?|[^\s>]*+))?)*+""",
)
_RAW_TEXT: Final = {
    name: re.compile(rb"</" + name + rb"[\s/>]", re.IGNORECASE)
    for name in (b"script", b"style", b"title", b"textarea", b"noscript", b"iframe", b"xmp", b"noembed", b"noframes")
}
_CHARSET_IN_CONTENT: Final = re.compile(
    rb"""charset\s*+=\s*+(?:"([^"]++)"|'([^']++)'|([^\s;"'][^\s;]*+))""", re.IGNORECASE
)
_BAD_META: Final = re.compile(rb"=\s*+[\"']?content-?type", re.IGNORECASE)
_LATE_CHARSET: Final = re.compile(rb"charset", re.IGNORECASE)
_MEANT: Final = {"x-user-defined": "windows-1252"}  # HTML section 13.2.3.2
_LIST: Final = re.compile(r"""(?:[^",]|"(?:[^"\\]|\\.)*+"?)++""", re.DOTALL)
_XML_ENCODING: Final = re.compile(rb"""<\?xml\s[^>]*?\bencoding\s*+=\s*+(?:"([^">]++)"|'([^'>]++)')""")


class Decoded(NamedTuple):
    """A body's text; `charset` is the WHATWG name, in lower case, of what decoded it."""

    text: str
    charset: str
    warnings: list[str]


def from_content_type(value: str) -> tuple[str | None, str | None]:
    """Split a Content-Type: media type (lower case, no parameters) and the charset's raw label; None where absent."""
    # Values come from servers: the cache must be bounded in bytes, too, and nothing useful stands behind the limit.
    return _split(value) if len(value) <= _CACHED_LENGTH else _split.__wrapped__(value[:_READ_LENGTH])


def extract_type(values: Sequence[str]) -> tuple[str | None, str | None]:
    """The same of all Content-Type headers: the last one that is a media type counts (Fetch, "extract a MIME type").

    A charset stays while the type does: servers send `text/html; charset=gbk` and `text/html`.
    """
    if not values:
        return None, None
    if len(values) == 1 and "," not in values[0]:
        return from_content_type(values[0])
    essence = charset = None
    for value in _LIST.findall(",".join(values)[:_READ_LENGTH]):
        media_type, label = _split(value.strip(_WHITE))
        if media_type is not None and media_type != "*/*":
            charset = label or (charset if media_type == essence else None)
            essence = media_type
    return (essence, charset) if essence is not None else from_content_type(values[0])


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
    """Decode as browsers do: byte order mark, declared charset, what HTML or XML says of itself, UTF-8, a guess.

    `declared` is the label of the Content-Type header, raw or canonical; without it the one in `content_type` counts.
    Bytes that stand for no character become U+FFFD. The warning "charset" says that a label was not followed,
    "charset_guessed" that there was none. The text has no lone surrogates. JSON without a label is UTF-8 (RFC 8259
    section 8.1) or plainly UTF-16.
    """
    media_type, parameter = from_content_type(content_type or "")
    declared = declared or parameter
    name = canonical(declared) if declared else None
    refused = declared is not None and name is None
    for mark, encoding in _MARKS:
        if body.startswith(mark):
            # The bare label "utf-16" leaves the byte order to the mark.
            differs = name is not None and name[:6] != encoding[:6]
            return Decoded(decode(body[len(mark) :], encoding), encoding, ["charset"] if refused or differs else [])
    markup = name is None and _is_markup(media_type, body)
    if markup:
        for label in _labels(body):
            name = canonical(label)
            if name is not None:
                break
            refused = True
    if name is None and media_type is not None and media_type.endswith(("/json", "+json")):
        # It begins with ASCII, so a NUL there tells UTF-16 (RFC 4627 section 3, which allowed it).
        name = "utf-16be" if body[:1] == b"\0" else "utf-16le" if body[1:2] == b"\0" else "utf-8"
    warnings = ["charset"] if refused else []
    if name is not None:
        return Decoded(decode(body, name), name, warnings)
    meant = None
    if markup and _BAD_META.search(body, 0, _LATE):
        meant = next(filter(None, map(canonical, _prescan(body[:_LATE], _from_bad_meta))), None)
    if (text := _as_utf_8(body, sure=meant is None)) is not None:
        return Decoded(text, "utf-8", warnings)
    if meant is None:
        meant = guess(body) or "windows-1252"
        warnings.append("charset_guessed")
    return Decoded(decode(body, meant), meant, warnings)


def _as_utf_8(body: bytes, *, sure: bool) -> str | None:
    """The text if the body is UTF-8. ASCII alone is, if that is `sure`: ISO-2022-JP is ASCII as well."""
    try:
        text, used = codecs.utf_8_decode(body, "strict", False)
    except UnicodeDecodeError:
        return None
    if used < len(body):
        # A body cut inside a character is still UTF-8, if it has shown to be; else it is a word like "caf\xe9".
        return None if text.isascii() else text + "\ufffd"
    return text if sure or not text.isascii() else None


def _is_markup(media_type: str | None, body: bytes) -> bool:
    if media_type is None:
        return body[:_PRESCAN].lstrip()[:1] == b"<"
    return "html" in media_type or "xml" in media_type


def _labels(body: bytes) -> Iterator[str]:
    """The labels with which a document names its own charset, in order."""
    head = body[:_PRESCAN]
    if head.startswith((b"<\0?\0x\0", b"\0<\0?\0x")):
        yield "utf-16le" if head[0] else "utf-16be"
        return
    declaration = _XML_ENCODING.match(head)
    if declaration:
        yield from _from_inside(declaration[1] or declaration[2])
    # A parser that meets one later changes the encoding (HTML section 13.2.3.4), and most have none or an early one.
    is_late = _LATE_CHARSET.search(body, _PRESCAN // 2, _LATE) is not None
    yield from _prescan(body[:_LATE] if is_late else head, _from_meta, raw_text=True)
    yield from _prescan(head, _from_meta)  # which takes one in a script, too


def _prescan(
    head: bytes, read: Callable[[dict[bytes, bytes]], Iterator[str]], *, raw_text: bool = False
) -> Iterator[str]:
    """What `read` finds in the attributes of each <meta> (HTML section 13.2.3.2); with `raw_text` as a parser
    does, for which there are no tags in scripts and other raw text.
    """
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
        elif (name := tag[2].lower()) == b"meta":
            attributes: dict[bytes, bytes] = {}
            while attribute := _ATTRIBUTE.match(head, at):
                at = attribute.end()
                key, *values = attribute.groups(b"")
                attributes.setdefault(key.lower(), b"".join(values))
            if at == len(head):
                return  # cut inside the tag, and perhaps inside the label
            yield from read(attributes)
        else:
            # Every tag's attributes are skipped as such: in <a title="<meta charset=x>"> there is no meta.
            at = _TAG_REST.match(head, at).end()  # type: ignore[union-attr]  # it may be empty, so it always matches
            if raw_text and name in _RAW_TEXT:
                close = _RAW_TEXT[name].search(head, at)
                if close is None:
                    return
                at = close.start()


def _from_meta(attributes: dict[bytes, bytes]) -> Iterator[str]:
    if label := attributes.get(b"charset"):
        yield from _from_inside(label)
    elif attributes.get(b"http-equiv", b"").lower() == b"content-type":
        found = _CHARSET_IN_CONTENT.search(attributes.get(b"content", b""))
        if found:
            yield from _from_inside(found[1] or found[2] or found[3])


def _from_bad_meta(attributes: dict[bytes, bytes]) -> Iterator[str]:
    """As authors meant it who wrote <meta httpequiv="ContentType"> or <meta name="Content-Type">, or no "charset="."""
    for key in (b"http-equiv", b"httpequiv", b"http_equiv", b"name"):
        if attributes.get(key, b"").lower().replace(b"-", b"") == b"contenttype":
            content = attributes.get(b"content", b"")
            found = _CHARSET_IN_CONTENT.search(content)
            yield from _from_inside((found[1] or found[2] or found[3]) if found else content.rpartition(b";")[2])


def _from_inside(raw: bytes) -> Iterator[str]:
    label = raw.decode("latin-1")
    # Whoever could read this far did not read UTF-16.
    yield "utf-8" if (canonical(label) or "").startswith("utf-16") else _MEANT.get(label.strip(_WHITE).lower(), label)
