"""The references of a page, a style sheet or a drawing are resolved, and where somebody says so replaced: only these
bytes change, the page is not written anew. Pure, and linear in the size of the page.

What is put in has no quotes, no white space and no markup, so it can end neither the value nor the style that it is in;
and it leads to http, https or a relative path.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Final, Literal, NamedTuple

from crawler.charset import decode_text
from crawler.charset.encodings import query_in
from crawler.errors import CodedError
from crawler.page.directives import refresh_span, srcset_spans
from crawler.page.markup import NOT_ASCII, UTF_16_MARKS, unescape
from crawler.page.offline import css
from crawler.page.offline.markup import Form, Kind, Piece, pieces
from crawler.urls import Url, join

Syntax = Literal["html", "xml", "css"]

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*+):")
_FETCHED: Final = frozenset(("http", "https"))
_CONTROL_OR_SPACE: Final = "".join(map(chr, range(0x21)))
_LONGEST: Final = 8_192  # characters of a reference; servers take no more
_UNSAFE: Final = re.compile(r"""[^!#$%&'()*+,./0-9:;=?@A-Z\[\]_a-z|~-]""")
_MARKUP: Final = re.compile("[&\"'<>`]|[^\x00-\x7f]")
_BARE: Final = re.compile(rb"[A-Za-z0-9._~/%:?#&;=+-]++")
_NESTED: Final = 3
# Policies: what a copy may load is where it was loaded from before, and what lies beside it.
_LOADS: Final = ("-src", "-src-elem")


class Document(NamedTuple):
    """What is looked through. `charset` is the label that its server gave, if any."""

    body: bytes
    url: Url
    syntax: Syntax
    charset: str | None = None


class Reference(NamedTuple):
    """A reference that leads to http or https; `fragment` has its "#", if it has one. `absolute`: so it is written."""

    url: Url
    fragment: str
    kind: Kind
    absolute: bool


Visit = Callable[[Reference], str | None]
"""Gives what is put in place of a reference; None leaves it as it is."""


class NotKept(Exception):  # noqa: N818 -- a reason
    """The text of a page would not be the same in its charset."""


def edit(document: Document, visit: Visit, *, depth: int = 0) -> bytes:
    """The body with what `visit` puts in. Raises NotKept."""
    body, label = document.body, document.charset
    decoded = None
    if body.startswith(UTF_16_MARKS) or b"\0" in body[:4] or (label or "").lower() in NOT_ASCII or b"\x1b" in body:
        decoded = decode_text(body, label, "text/css" if document.syntax == "css" else "text/html")
        if decoded.charset not in NOT_ASCII:
            decoded = None
    if decoded is None:
        return _Editing(document, visit, depth).edited()
    changed = _Editing(document._replace(body=decoded.text.encode(), charset="utf-8"), visit, depth).edited()
    return _encoded(body, decoded.text, changed.decode(), decoded.charset)


def _encoded(before: bytes, text: str, changed: str, charset: str) -> bytes:
    mark = next((mark for mark in UTF_16_MARKS if before.startswith(mark)), b"")
    codec = "iso2022_jp" if charset == "iso-2022-jp" else charset
    try:
        if mark + text.encode(codec) != before:
            raise NotKept
        return mark + changed.encode(codec)
    except UnicodeEncodeError:
        raise NotKept from None


class _Editing:
    """One document, looked through once."""

    def __init__(self, document: Document, visit: Visit, depth: int) -> None:
        self._body = document.body
        self._url = document.url
        self._syntax = document.syntax
        self._label = document.charset
        self._visit = visit
        self._depth = depth
        self._base: Url | None = document.url
        self._charset: str | None = None
        self._local = False  # something of this tag has become a file
        self._known: dict[tuple[str, Kind], str | None] = {}

    def edited(self) -> bytes:
        body = self._body
        if self._syntax == "css":
            return self._in_sheet(body)
        parts = list(pieces(body, xml=self._syntax == "xml"))
        base = next((part for part in parts if part.form is Form.BASE), None)
        if base is not None:
            self._set_base(self._text(body[base.start : base.end]))
        edits: list[tuple[int, int, bytes]] = []
        for tag in _tags(parts):
            self._local = False
            changes = ((part, self._part(part)) for part in tag if part.form is not Form.GUARD)
            edits += [(part.start, part.end, new) for part, new in changes if new is not None]
            if self._local:
                edits += [(part.start, part.start, b"data-") for part in tag if part.form is Form.GUARD]
        edits.sort()
        changed: list[bytes] = []
        at = 0
        for start, end, new in edits:
            changed += (body[at:start], new)
            at = end
        return b"".join((*changed, body[at:])) if edits else body

    def _part(self, part: Piece) -> bytes | None:
        """What is put in place of it; None: nothing."""
        raw = self._body[part.start : part.end]
        if part.form is Form.SHEET:
            sheet = self._in_sheet(raw)
            return None if sheet is raw else sheet
        if part.form is Form.BASE:
            return None if not raw else b"" if part.quote else b'""'
        text = self._text(raw)
        new = self._changed(part, text)
        if new is None or new == text:
            return None
        if part.quote:
            return _escaped(new)
        value = _escaped(new)
        return value if _BARE.fullmatch(value) else b'"' + value + b'"'

    def _changed(self, part: Piece, text: str) -> str | None:
        form, kind = part.form, part.kind
        if form is Form.URL:
            return self._reference(text, kind)
        if form is Form.SRCSET:
            return self._spans(text, [(*span, text[slice(*span)]) for span in srcset_spans(text)], kind, in_set=True)
        if form is Form.REFRESH:
            start, end = refresh_span(text)
            return self._spans(text, [(start, end, text[start:end])], kind)
        if form is Form.CSS:
            return self._spans(text, list(css.references(text)), kind, in_css=True)
        if form is Form.POLICY:
            return ";".join(map(_with_files, text.split(";")))
        if form is Form.DOCUMENT and self._depth < _NESTED:
            # Its base is that of the page around it.
            inner = Document(text.encode(), self._base or self._url, "html", "utf-8")
            return edit(inner, self._visit, depth=self._depth + 1).decode()
        return None

    def _in_sheet(self, raw: bytes) -> bytes:
        """A style sheet. As Latin-1 each byte is a character: where something stands is the same for both."""
        text = raw.decode("latin-1")
        found = [
            (start, end, css.unescape(self._decoded(raw[start:end])).strip()) for start, end, _ in css.references(text)
        ]
        new = self._spans(text, found, Kind.REQUISITE, in_css=True)
        return raw if new is None else new.encode("latin-1")

    def _spans(
        self, text: str, found: list[tuple[int, int, str]], kind: Kind, *, in_css: bool = False, in_set: bool = False
    ) -> str | None:
        """The text with other references in it; None if they stay."""
        changed: list[str] = []
        at = 0
        for start, end, reference in found:
            new = self._reference(reference, kind) if reference else None
            if new is None or new == reference:
                continue
            if in_css:
                new = _quoted(new, "()'")
            elif in_set:
                new = _quoted(new, ",") if new[-1:] == "," or new[:1] == "," else new
            changed += (text[at:start], new)
            at = end
        return "".join((*changed, text[at:])) if changed else None

    # References.

    def _reference(self, written: str, kind: Kind) -> str | None:
        key = (written, kind)
        if key not in self._known:
            self._known[key] = self._resolved(written, kind)
        new = self._known[key]
        if new is not None and not new.startswith(("http:", "https:")):
            self._local = True
        return new

    def _resolved(self, written: str, kind: Kind) -> str | None:
        reference = written.strip(_CONTROL_OR_SPACE)
        base = self._base
        if len(reference) > _LONGEST:
            return None
        if base is self._url and reference[:1] in {"", "#"}:
            return None  # the page itself
        scheme = _SCHEME.match(reference)
        if scheme is not None and scheme[1].lower() not in _FETCHED:
            return None
        target, sharp, fragment = reference.partition("#")
        if not target.isascii() and "?" in target:
            target = query_in(target, self._charset_name())
        if base is None and scheme is None:
            return None
        try:
            url = join(base or self._url, target)
        except CodedError:
            return None
        new = self._visit(Reference(url, sharp + fragment, kind, scheme is not None))
        return None if new is None else _quoted(new)

    def _set_base(self, text: str) -> None:
        base = text.strip(_CONTROL_OR_SPACE)
        scheme = _SCHEME.match(base)
        if scheme is not None and scheme[1].lower() not in _FETCHED:
            if scheme[1].lower() not in {"data", "javascript"}:
                self._base = None
            return
        try:
            found = join(self._url, base)
        except CodedError:
            return
        if found.href != self._url.href and len(found.href) <= _LONGEST:
            self._base = found

    # Text.

    def _text(self, raw: bytes) -> str:
        return unescape(self._decoded(raw), in_attribute=True)

    def _decoded(self, raw: bytes) -> str:
        if raw.isascii():
            return raw.decode("ascii")
        name = self._charset_name()
        # The space in front: bytes that look like a byte order mark are none in the middle of a page.
        return raw.decode("utf-8", "replace") if name == "utf-8" else decode_text(b" " + raw, name, None).text[1:]

    def _charset_name(self) -> str:
        if self._charset is None:
            kind = "text/css" if self._syntax == "css" else "text/html"
            self._charset = decode_text(self._body, self._label, kind).charset
        return self._charset


def _tags(parts: Iterable[Piece]) -> Iterator[list[Piece]]:
    return (list(group) for _, group in groupby(parts, key=lambda part: part.tag))


def _with_files(directive: str) -> str:
    """What lets something be loaded from where it was before lets it be loaded from a file, too."""
    name, *sources = directive.lower().split() or [""]
    if not name.endswith(_LOADS) or "file:" in sources:
        return directive
    opens = any(source == "'self'" or not source.startswith("'") for source in sources)
    return f"{directive} file:" if opens else directive


def _quoted(text: str, also: str = "") -> str:
    """With nothing in it that could end what it is in."""
    text = _UNSAFE.sub(_percent, text)
    for character in also:
        text = text.replace(character, f"%{ord(character):02X}")
    return text


def _percent(found: re.Match[str]) -> str:
    return "".join(f"%{octet:02X}" for octet in found[0].encode("utf-8", "replace"))


def _escaped(text: str) -> bytes:
    """As an attribute's value, in any charset in which markup is ASCII."""
    return _MARKUP.sub(lambda found: f"&#{ord(found[0])};" if found[0] != "&" else "&amp;", text).encode("ascii")
