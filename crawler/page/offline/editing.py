"""The references of a page, a style sheet or a drawing are resolved, and where somebody says so replaced: only these
bytes change, the page is not written anew. Pure, and linear in the size of the page.

What is put in has no quotes, no white space and no markup, so it can end neither the value nor the style that it is in;
and it leads to http, https or a relative path.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Final, NamedTuple

from crawler.errors import CodedError
from crawler.page.directives import refresh_span, srcset_spans
from crawler.page.markup import UTF_16_MARKS
from crawler.page.offline import css
from crawler.page.offline.markup import Form, Kind, Piece, pieces
from crawler.page.offline.text import CONTROL_OR_SPACE, FETCHED, LONGEST, SCHEME, Document, Text, ascii_based
from crawler.urls import Url

_UNSAFE: Final = re.compile(r"""[^!#$%&'()*+,./0-9:;=?@A-Z\[\]_a-z|~-]""")
_MARKUP: Final = re.compile("[&\"'<>`]|[^\x00-\x7f]")
_BARE: Final = re.compile(rb"[A-Za-z0-9._~/%:?#&;=+-]++")
_NESTED: Final = 3
# Policies: what a copy may load is where it was loaded from before, and what lies beside it.
_LOADS: Final = ("-src", "-src-elem")


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
    plain, charset = ascii_based(document)
    changed = _Editing(plain, visit, depth).edited()
    return changed if charset is None else _encoded(document.body, plain.body.decode(), changed.decode(), charset)


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
        self._visit = visit
        self._depth = depth
        self._text = Text(document)
        self._local = False  # something of this tag has become a file
        self._known: dict[tuple[str, Kind], str | None] = {}

    def edited(self) -> bytes:
        body = self._body
        if self._syntax == "css":
            return self._in_sheet(body)
        parts = list(pieces(body, xml=self._syntax == "xml"))
        base = next((part for part in parts if part.form is Form.BASE), None)
        if base is not None:
            self._text.set_base(self._text.attribute(body[base.start : base.end]))
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
        text = self._text.attribute(raw)
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
            inner = Document(text.encode(), self._text.base or self._url, "html", "utf-8")
            return edit(inner, self._visit, depth=self._depth + 1).decode()
        return None

    def _in_sheet(self, raw: bytes) -> bytes:
        """A style sheet. As Latin-1 each byte is a character: where something stands is the same for both."""
        text = raw.decode("latin-1")
        found = [
            (start, end, css.unescape(self._text.decoded(raw[start:end])).strip())
            for start, end, _ in css.references(text)
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
        reference = written.strip(CONTROL_OR_SPACE)
        base = self._text.base
        if len(reference) > LONGEST:
            return None
        if base is self._url and reference[:1] in {"", "#"}:
            return None  # the page itself
        scheme = SCHEME.match(reference)
        if scheme is not None and scheme[1].lower() not in FETCHED:
            return None
        target, sharp, fragment = reference.partition("#")
        if base is None and scheme is None:
            return None
        try:
            url = self._text.joined(target)
        except CodedError:
            return None
        new = self._visit(Reference(url, sharp + fragment, kind, scheme is not None))
        return None if new is None else _quoted(new)


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
