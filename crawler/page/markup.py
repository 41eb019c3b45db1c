"""The tags of an HTML page as regular expressions: the tokenizer of the HTML Standard (section 13.2.5), at their speed.

Rules:
1. Every repeat is possessive, and every token matches or lasts until the end of the page: no byte is looked at again
   and again, so twice the bytes take twice the time, whatever they say.
2. Bytes, not text: in all charsets of the web but UTF-16 and ISO-2022-JP markup is ASCII.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from functools import cache
from html.entities import html5
from itertools import pairwise
from typing import Final

from crawler.charset import decode_text
from crawler.charset.encodings import canonical

_LETTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyz")
_WHITE: Final = "\t\n\f\r "
_SPACE: Final = r"[\t\n\f\r ]"
_GAP: Final = r"[\t\n\f\r /]*+"
_DELIMITER: Final = r"[\t\n\f\r />]"

_ESCAPE: Final = 0x1B
UTF_16_MARKS: Final = (codecs.BOM_UTF16_BE, codecs.BOM_UTF16_LE)
NOT_ASCII: Final = frozenset(("utf-16be", "utf-16le", "iso-2022-jp"))


def _but(excluded: str) -> str:
    """A class of all bytes but these. `re` takes twice as long for a negated class (unless it is of one byte)."""
    gaps = [-1, *sorted(map(ord, excluded)), 256]
    ranges = [(low + 1, high - 1) for low, high in pairwise(gaps) if high - low > 1]
    return "[" + "".join(rf"\x{low:02x}-\x{high:02x}" for low, high in ranges) + "]"


def _one_of(letters: Iterable[str]) -> str:
    """A class of these letters in both cases."""
    lower = "".join(sorted(letters))
    return f"[{lower}{lower.upper()}]"


def _any_of(names: Iterable[str]) -> str:
    """Any of these names in any case, letter by letter: most other names fail at the first."""
    tails: dict[str, list[str]] = {}
    for name in names:
        tails.setdefault(name[:1], []).append(name[1:])
    ends = tails.pop("", None)
    branches = [(_one_of(first) if first.isalpha() else first) + _any_of(rest) for first, rest in tails.items()]
    return f"(?:{'|'.join(branches)}{'|' if ends else ''})" if branches else ""


def _assignment(group: str) -> str:
    """What may follow an attribute's name. A quote that is never closed swallows the rest of the page."""
    unquoted = _but(_WHITE + ">\"'") + _but(_WHITE + ">") + "*+"
    quoted = rf"""  "{group}[^"]*+)(?:"|\Z)  |  '{group}[^']*+)(?:'|\Z)  """.replace(" ", "")
    return f"(?:{_SPACE}*+={_SPACE}*+(?:{quoted}|{group}{unquoted})|(?=>)))?+"


_NAME: Final = _but(_WHITE + "/>") + _but(_WHITE + "/>=") + "*+"
# Nearly all attributes are plain; to try that first takes half the time.
_PLAIN: Final = '[a-z-]++="[^"]*+"'
_ATTRIBUTE: Final = f"(?:{_PLAIN}|{_NAME}{_assignment('(?:')})"

# Groups 5 to 7: name (with the slash of an end tag), attributes, ">" unless the page ends before.
_TAG: Final = rf"(/?[a-zA-Z]{_but(_WHITE + '/>')}*+)((?:{_GAP}{_ATTRIBUTE})*+){_GAP}(?:(>)|\Z)"
# "<!-->" and "<!--->" are whole comments.
_COMMENT: Final = r"!--(?:-?>|[^-]*+(?:-(?!-!?>)[^-]*+)*+(?:--!?>|\Z))"
_BOGUS_COMMENT: Final = r"[/!?][^>]*+(?:>|\Z)"

# Groups 1 to 4: a link's reference as far as "#", if it stands there byte for byte and rel does not say nofollow; none
# for an anchor that is no link. Nearly all links are written so; to find it at once takes half the time. The commonest
# way to write it, in double quotes, is tried first; all ways at once take a tenth longer.
HREFS: Final = 4
NAME: Final = 5
ATTRIBUTES: Final = 6
END: Final = 7
_BARE: Final = _but(_WHITE + "\"'>=`<")
_LETTER: Final = "[a-zA-Z0-9:_-]"
_REL: Final = "(?!nofollow)[a-z]++ ?+"
_OTHER: Final = (
    rf"""(?![hH][rR][eE][fF](?!{_LETTER})|[rR][eE][lL](?!{_LETTER}))[a-zA-Z]{_LETTER}*+"""
    rf"""(?:=(?:"[^"]*+"|'[^']*+'|{_BARE}++)|(?={_SPACE}|>))"""
    rf"""|rel=(?:"(?:{_REL})*+"|'(?:{_REL})*+'|(?!nofollow)[a-z]++(?={_SPACE}|>))"""
)
_HREF: Final = (
    rf"""[hH][rR][eE][fF]=(?:"([!$%'-~]*+)(?:#[^"]*+)?+"|'([!$%(-~]*+)(?:#[^']*+)?+'"""
    rf"""|([!$%(-;?-_a-~][!$%(-;=?-_a-~]*+)(?:#{_but(_WHITE + ">")}*+)?+(?={_SPACE}|>))"""
)
_PLAIN_OTHER: Final = f'(?:(?!href=|rel=){_PLAIN}|rel="(?:{_REL})*+")'
_PLAIN_LINK: Final = (
    f"[aA]{_SPACE}++(?:{_PLAIN_OTHER}{_SPACE}++)*+"
    f"""href="([!$%'-~]*+)(?:#[^"]*+)?+"(?:{_SPACE}++{_PLAIN_OTHER})*+{_SPACE}*+>"""
)
_ANCHOR: Final = f"[aA](?:{_SPACE}++(?:{_OTHER}))*+(?:{_SPACE}++{_HREF}(?:{_SPACE}++(?:{_OTHER}))*+)?+{_SPACE}*+>"


@cache
def tokens(names: frozenset[str] | None) -> re.Pattern[bytes]:
    """A pattern for `finditer`: comments and the start tags of these elements (None: all tags); others may come, too.

    Groups: one up to HREFS, the href of a plain link; or NAME, ATTRIBUTES, END (">") of a tag; or none.
    """
    passed = f"(?!{_simple_tag(names)})" if names is not None else ""
    link = f"{_PLAIN_LINK}|{_ANCHOR}" if names is None or "a" in names else "(?!)()()()()"
    return re.compile(f"<{passed}(?:{link}|{_TAG}|{_COMMENT}|{_BOGUS_COMMENT})".encode())


# Nearly all tags have nothing but a class, or are end tags: the search passes them at their "<".
_PASSED_TAG: Final = (
    r"/(?!svg>|template>)[a-z0-9]++>|(?!script|style|textarea|title|xmp|iframe|no|plaintext|svg|template)[a-z0-9]++"
    r"""(?: (?:class|title{id})="[^"<>]*+")*+>"""
)
_EVERY_ATTRIBUTE: Final = re.compile(f"{_GAP}({_NAME}){_assignment('(')}".encode())


def _simple_tag(names: frozenset[str]) -> str:
    """An end tag, or another element's start tag, that certainly lasts to its first ">" and has no "<" before.

    This is so when all its quotes are pairs of one kind without "=" between: as only a quote after "=" can open a
    value, what is in a pair and its second one never do. Nearly all tags are such, and here the time goes: the search
    passes them at their "<".
    """
    single = {name for name in names if len(name) == 1}
    firsts = {name[0] for name in names}
    seconds = {name[1] for name in names - single}
    name = "|".join(
        (
            f"[/{_one_of(_LETTERS - firsts)[1:]}",
            f"{_one_of(firsts - single)}(?!{_one_of(seconds)})",
            f"(?!{_any_of(sorted(names))}{_DELIMITER})[a-zA-Z]",
        )
    )
    outside, in_double, in_single = _but("<>\"'"), _but('<>"='), _but("<>'=")
    return f"""/[a-z0-9]*+>|(?:{name}){outside}*+(?:(?:"{in_double}*+"|'{in_single}*+'){outside}*+)*+>"""


@cache
def every_tag(*, names: bool = False) -> re.Pattern[bytes]:
    """A pattern for `finditer`: all tags that say more than a class, id or title; with `names` more than a class or
    title.

    Groups: name (with the slash of an end tag), attributes, ">". Comments and CDATA sections may come too, without
    groups.
    """
    passed = _PASSED_TAG.replace("{id}", "" if names else "|id")
    return re.compile(rf"<(?!{passed})(?:{_TAG}|{_COMMENT}|!\[CDATA\[|{_BOGUS_COMMENT})".encode())


def every_attribute() -> re.Pattern[bytes]:
    """A pattern for `finditer` in the attributes of a tag. Groups: the name; the value, in the one of three that its
    quotes decide (double, single, none), or in no group.
    """
    return _EVERY_ATTRIBUTE


@cache
def attribute(name: str) -> re.Pattern[bytes]:
    """Matches a tag's attributes if one has this name. The value of the first such is group 1, 2 or 3, or empty."""
    wanted = rf"{_any_of([name])}(?={_DELIMITER}|=|\Z)"
    return re.compile(f"(?:{_GAP}(?!{wanted}){_ATTRIBUTE})*+{_GAP}{wanted}{_assignment('(')}".encode())


def may_be_other_than_ascii(body: bytes) -> bool:
    """Whether the page has to be decoded to see its markup, whatever its declared charset."""
    return _ESCAPE in body or 0 in body[:3] or body.startswith(UTF_16_MARKS)


def ascii_compatible(body: bytes, label: str | None) -> tuple[bytes, str | None]:
    """The page in a charset in which markup is ASCII, and that charset's WHATWG name if it is easily known."""
    name = canonical(label) if label else None
    start = body[:3]
    if start == codecs.BOM_UTF8:
        return body, "utf-8"
    if name in NOT_ASCII or _ESCAPE in body or 0 in start or start[:2] in UTF_16_MARKS:
        decoded = decode_text(body, label, "text/html")
        if decoded.charset in NOT_ASCII:
            return decoded.text.encode(), "utf-8"
        name = decoded.charset
    return body, name


def raw_text_end(body: bytes, name: bytes, start: int) -> int:
    """Where the end tag stands that ends the raw text of this element (or the page's end); `start` is of the text."""
    end_tag = _end_tag(name).search(body, start)
    end = end_tag.start() if end_tag else len(body)
    if name != b"script" or body.find(b"<!--", start, end) < 0:
        return end
    # Sections 13.2.5.15 to 13.2.5.31: in <!-- --> a script may hold "<script>...</script>".
    depth = 0
    step = _SCRIPT_STEP.search(body, start)
    while step:
        at = step.start()
        if step[0] == b"<!--":
            depth = depth or 1
            at += 2  # its dashes may be those of "-->", too
        else:
            at = step.end()
            if step[0] == b"-->":
                depth = 0
            elif step[0][1] != ord("/"):
                depth = depth and 2
            elif depth == 2:
                depth = 1
            else:
                return step.start()
        step = _SCRIPT_STEP.search(body, at)
    return len(body)


@cache
def _end_tag(name: bytes) -> re.Pattern[bytes]:
    return re.compile(f"</{_any_of([name.decode()])}{_DELIMITER}".encode())


_SCRIPT_STEP: Final = re.compile(rf"<!--|-->|</?+{_any_of(['script'])}(?={_DELIMITER})".encode())


def unescape(text: str, *, in_attribute: bool) -> str:
    """Replace character references (section 13.2.5.72 on; unlike `html.unescape`, in attributes by their own rule)."""
    if "&" not in text:
        return text
    if text.count("&") == text.count("&amp;"):
        return text.replace("&amp;", "&")
    return _REFERENCE.sub(_in_attribute if in_attribute else _in_text, text)


_REFERENCE: Final = re.compile("&(?:#(?:[xX]([0-9a-fA-F]++)|([0-9]++));?+|([a-zA-Z0-9]++)(;?+))(?=(=?+))")
_LONGEST_BARE: Final = max(len(name) for name in html5 if name[-1] != ";")


def _in_attribute(found: re.Match[str]) -> str:
    name = found[3]
    if name is None:
        return _numbered(found)
    if found[4]:
        return html5.get(name + ";", found[0])
    # "?a=b&copy=1" is no copyright sign.
    return found[0] if found[5] else html5.get(name, found[0])


def _in_text(found: re.Match[str]) -> str:
    name = found[3]
    if name is None:
        return _numbered(found)
    if found[4] and name + ";" in html5:
        return html5[name + ";"]
    for end in range(min(len(name), _LONGEST_BARE), 1, -1):
        if name[:end] in html5:
            return html5[name[:end]] + found[0][1 + end :]
    return found[0]


def _numbered(found: re.Match[str]) -> str:
    digits = (found[1] or found[2]).lstrip("0")
    # Python refuses to read very long numbers.
    number = int(digits or "0", 16 if found[1] else 10) if len(digits) <= 7 else 0
    if number == 0 or number > 0x10FFFF or 0xD800 <= number <= 0xDFFF:
        return "\ufffd"
    if 0x80 <= number <= 0x9F:
        return bytes((number,)).decode("cp1252", "ignore") or chr(number)
    return chr(number)


class Enclosures:
    """The open elements inside of which markup means something else: template, svg, math and HTML's places in those.

    Sections 13.2.6 and 13.2.6.5, as far as these elements alone decide. Names are in lower case.
    """

    def __init__(self) -> None:
        self._open: list[tuple[bytes, str]] = []  # the name, and what is in it: "html", "text", "svg", "math"
        self._places: dict[bytes, list[int]] = {}  # where a name is open: no search, however deep

    def __bool__(self) -> bool:
        return bool(self._open)

    @property
    def inert(self) -> bool:
        """True in a template."""
        return bool(self._places.get(b"template"))

    @property
    def cdata(self) -> bool:
        return self._open[-1][0] != b"template"

    def enter(self, name: bytes, content: str) -> None:
        self._places.setdefault(name, []).append(len(self._open))
        self._open.append((name, content))

    def is_foreign(self, name: bytes) -> bool:
        """Is this start tag to be read by the rules of svg and math?"""
        around, content = self._open[-1]
        if content == "text":
            return name in (b"mglyph", b"malignmark")
        return content != "html" and not (name == b"svg" and around == b"annotation-xml")

    def enter_foreign(self, name: bytes, encoding: str) -> None:
        """Take note of a start tag that is foreign here; `encoding` is the attribute of that name."""
        content = self._open[-1][1]
        if content == "svg":
            if name in (b"foreignobject", b"desc", b"title"):
                self.enter(name, "html")
            elif name in (b"svg", b"math"):
                self.enter(name, "svg")
        elif name in (b"mi", b"mo", b"mn", b"ms", b"mtext"):
            self.enter(name, "text")
        elif name in (b"svg", b"math", b"annotation-xml"):
            is_html = name == b"annotation-xml" and encoding.lower() in ("text/html", "application/xhtml+xml")
            self.enter(name, "html" if is_html else "math")

    def leave_foreign(self) -> None:
        """An HTML start tag ends all svg and math down to where HTML may be."""
        depth = len(self._open)
        while depth and self._open[depth - 1][1] in ("svg", "math"):
            depth -= 1
        self._cut(depth)

    def close(self, name: bytes) -> None:
        """Take note of an end tag."""
        if name in (b"p", b"br"):
            self.leave_foreign()
            return
        places = self._places.get(name)
        templates = self._places.get(b"template")
        if places and (name == b"template" or not templates or places[-1] > templates[-1]):
            self._cut(places[-1])

    def _cut(self, depth: int) -> None:
        while len(self._open) > depth:
            name, _ = self._open.pop()
            self._places[name].pop()
