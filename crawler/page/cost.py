"""How much work an expression may make of a page that was written to make it slow. Pure.

Whoever asks decides the expression, whoever serves the page decides how long it takes: libxml2 compares each node that
it finds with those it has, `re` goes back and tries again. Measured on pages of 8 kB: `a::attr(href)` 0.3 ms,
`p:first-child` 0.2 s, `div a` 0.1 s, `p + p` 5 s; `(a|a)*b` never ends. So an expression has a reach: how large a page
may be for about 0.1 s to be the worst. What is not known to be harmless has a short one.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple


class Reach(NamedTuple):
    """A page within it has at most so many bytes, and so many "<"."""

    size: int
    tags: int

    def covers(self, body: bytes) -> bool:
        return len(body) <= self.size and (len(body) <= self.tags or body.count(b"<") <= self.tags)


# Parsing alone has worst cases: each attribute is compared with all others of its tag (5,000 fit in here, 70 ms), and
# each end tag with all open elements (100 ms).
LINEAR: Final = Reach(16_384, 16_384)
QUADRATIC: Final = Reach(4_096, 4_096)
CUBIC: Final = Reach(16_384, 250)
UNKNOWN: Final = Reach(-1, -1)

# An XPath that looks at each node once: one way down, then from parents to children, and predicates that look at
# attributes, positions or single text nodes. Not at the text of elements: that is the text of all elements in them.
_LITERAL: Final = r"""(?:"[^"]*"|'[^']*'|[0-9]+(?:\.[0-9]+)?)"""
_NAME: Final = r"(?:(?!\d)[\w-]+(?::(?!\d)[\w-]+)?|\*)"
_FUNCTION: Final = (
    r"(?:contains|starts-with|concat|substring|substring-before|substring-after|translate|normalize-space|string|"
    r"string-length|number|boolean|not)\((?!\s*\))"
)
_OPERAND: Final = rf"(?:{_LITERAL}|@{_NAME}|text\(\)|(?:position|last|true|false)\(\)|{_FUNCTION}|[(),])"
_OPERATOR: Final = r"(?:(?:and|or)\b|[!<>]?=|[<>+-])"
_PREDICATE: Final = rf"\[\s*(?:(?:{_OPERAND}|{_OPERATOR})\s*)+\]"
_STEP: Final = rf"(?:@{_NAME}|text\(\)|{_NAME}(?!\(|::))(?:{_PREDICATE})*"
_PATH: Final = rf"(?:descendant-or-self::|\.?//?)?{_STEP}(?:/{_STEP})*"
_LINEAR_XPATH: Final = re.compile(
    rf"{_PATH}|(?:string|normalize-space|count|boolean|number)?\({_PATH}\)(?:\[[0-9]+\])?"
)

_QUOTED: Final = re.compile(r""""[^"]*"|'[^']*'""")
_WAY: Final = re.compile(r"//|\.\.|[a-z]::")

# A pattern's escapes and classes, and what is repeated just so often, are single characters to what follows. How a
# group begins is none of its choices.
_CHARACTER: Final = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_COUNTED: Final = re.compile(r"[^)]\{[0-9]+\}")
_OPENING: Final = re.compile(r"\(\?(?:P<\w+>|<?[=!]|>|[a-zA-Z-]*[:)]|\(\w+\))")
# A repeated group takes exponential time, a reference back as long as what it refers to; with the flag x, white space
# may stand between.
_NO_BOUND: Final = re.compile(r"\)[*+{]|\(\?[a-zA-Z-]*x|\(\?P=")
_REFERENCE: Final = re.compile(r"\\[1-9]")
_REPEAT: Final = re.compile(r"(?:\{[^}]*\}|([*+])|(\?))[?+]?")
_MAX_CHOICES: Final = 6


def xpath_reach(xpath: str) -> Reach:
    """The reach of an XPath that is known to be valid."""
    if _LINEAR_XPATH.fullmatch(xpath.strip()):
        return LINEAR
    plain = _QUOTED.sub("", xpath)
    # In predicates of predicates the exponent grows with each way through the page; and re:test() may be anything.
    return CUBIC if len(_WAY.findall(plain)) <= 2 and "re:" not in plain else UNKNOWN


def regex_reach(pattern: str) -> Reach:
    """The reach of a regular expression that is known to be valid.

    Each "?" and each "|" may double the ways to match from a place, each repeat multiplies them by the length of what
    it takes: counted like that, no pattern takes longer than it says.
    """
    plain = _COUNTED.sub("x", _CHARACTER.sub("x", pattern))
    if _NO_BOUND.search(plain) or _REFERENCE.search(pattern):
        return UNKNOWN
    plain = _OPENING.sub("(", plain)
    quantifiers = [match[2] is not None for match in _REPEAT.finditer(plain)]
    choices = sum(quantifiers) + plain.count("|")
    repeats = len(quantifiers) - sum(quantifiers)
    if choices > _MAX_CHOICES or repeats > 1:
        return UNKNOWN
    if not repeats:
        return LINEAR
    # A search begins anew at each character: one repeat is enough to take quadratic time.
    return Reach(QUADRATIC.size >> (choices + 1) // 2, QUADRATIC.tags)
