"""What a server says of how one may log in: the challenges in WWW-Authenticate (RFC 9110 section 11). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

MOST: Final = 16 * 1024
"""Characters of challenges that are read, of one answer: more would hold the reactor, and nobody means them."""
_WORD: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER: Final = re.compile(rf'({_WORD})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*+)"|({_WORD})(?![^ \t,]))', re.DOTALL)
_SCHEME: Final = re.compile(rf"({_WORD})(?![^ \t,])")
_TOKEN68: Final = re.compile(r"[0-9A-Za-z._~+/-]+=*(?![^ \t,])")
_BETWEEN: Final = re.compile(r"[ \t,]*+")
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)


class Challenge(NamedTuple):
    """A scheme and its parameters, both in lower case; of a parameter that comes twice the first counts."""

    scheme: str
    parameters: dict[str, str]


def parse_challenges(values: Iterable[str]) -> list[Challenge]:
    """Read the values of WWW-Authenticate; several challenges may stand in one. What is malformed ends its value."""
    challenges: list[Challenge] = []
    room = MOST
    for sent in values:
        value, room = sent[:room], max(0, room - len(sent))
        position = _after_commas(value, 0)
        current: Challenge | None = None
        while position < len(value):
            found = _PARAMETER.match(value, position) if current is not None else None
            if found is not None and current is not None:
                quoted = found[2]
                text = found[3] if quoted is None else _ESCAPE.sub(r"\1", quoted)
                current.parameters.setdefault(found[1].lower(), text)
            elif (found := _SCHEME.match(value, position)) is not None:
                current = Challenge(found[1].lower(), {})
                challenges.append(current)
            elif current is None or (found := _TOKEN68.match(value, position)) is None:
                break
            position = _after_commas(value, found.end())
    return challenges


def _after_commas(value: str, position: int) -> int:
    found = _BETWEEN.match(value, position)
    return position if found is None else found.end()
