"""Where CSS refers to files: url() and @import (CSS Syntax Level 3, section 4). One linear-time pass, text to spans.

Comments and strings are passed over, so is @namespace, whose URL is only a name. An @import is followed by its string;
a string in image-set() is a reference as well. Escapes are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

_STRING: Final = r""""((?:[^"\\\n]|\\[\s\S])*+)"|'((?:[^'\\\n]|\\[\s\S])*+)'"""
# One that is not closed ends with its line: no byte is looked at again and again.
_PASSED: Final = r""""(?:[^"\\\n]|\\[\s\S])*+(?:"|\\?\Z|(?=\n))|'(?:[^'\\\n]|\\[\s\S])*+(?:'|\\?\Z|(?=\n))"""
_SPACE: Final = r"[ \t\r\n\f]*+"
_COMMENT: Final = r"/\*[^*]*+(?:\*(?!/)[^*]*+)*+(?:\*/|\Z)"
# A comment may stand between @import and its string. Groups: string twice; url() with a string twice, or without.
_TOKEN: Final = re.compile(
    rf"{_COMMENT}|@namespace\b[^;{{}}]*+|@import(?:[ \t\r\n\f]|{_COMMENT})*+(?:{_STRING})"
    rf"|(?<![\w-])url\({_SPACE}(?:{_STRING}|((?:[^\s\"'()\\\x00-\x08\x0e-\x1f\x7f]|\\[^\n])++)){_SPACE}(?:\)|\Z)"
    rf"|(image-set\({_SPACE})|{_PASSED}",
    re.IGNORECASE,
)
_SET: Final = re.compile(
    rf"{_COMMENT}|type\([^)]*+\)|url\({_SPACE}(?:{_STRING}|([^\s\"'()\\]++)){_SPACE}\)|{_STRING}|\)", re.IGNORECASE
)
_ESCAPE: Final = re.compile(r"\\(?:([0-9a-fA-F]{1,6})(?:\r\n|[ \t\r\n\f])?|(\r\n|[\s\S]))")
_LONGEST_SET: Final = 10_000  # characters


class Span(NamedTuple):
    """A reference: where its text stands, and that text without escapes."""

    start: int
    end: int
    text: str


def references(css: str) -> Iterator[Span]:
    """All of them, in their order; an empty one is none."""
    at = 0
    while found := _TOKEN.search(css, at):
        at = found.end()
        if found[6] is not None:
            limit = min(len(css), at + _LONGEST_SET)
            for inner in _SET.finditer(css, at, limit):
                if inner[0] == ")":
                    limit = inner.end()
                    break
                yield from _span(inner)
            at = limit  # no byte is looked at again and again
        else:
            yield from _span(found)


def _span(found: re.Match[str]) -> Iterator[Span]:
    group = found.lastindex
    if group is not None and (text := unescape(found[group]).strip()):
        yield Span(*found.span(group), text)


def unescape(text: str) -> str:
    """Without escapes (section 4.3.7)."""
    return _ESCAPE.sub(_escaped, text) if "\\" in text else text


def _escaped(found: re.Match[str]) -> str:
    digits, character = found.groups()
    if digits is None:
        return "" if character in {"\n", "\r\n", "\f", "\r"} else character
    number = int(digits, 16)
    return "\ufffd" if number == 0 or number > 0x10FFFF or 0xD800 <= number <= 0xDFFF else chr(number)
