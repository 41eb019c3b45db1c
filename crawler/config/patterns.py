"""The regular expressions by which a person judges URLs: Python's syntax, matched by RE2 in linear time. Pure.

Python's `re` goes back and tries again: `/(a+)+$` and a link of 40 characters that a stranger wrote take hours, and no
signal is heard. RE2 looks at each character once, whatever the expression. What cannot be matched so (lookahead,
lookbehind, backreferences, conditions) and what only serves to go back less (possessive repeats, atomic groups) it does
not have: that is refused, in words. URLs are ASCII: there, all the rest means the same in both.
"""

from __future__ import annotations

import re
import warnings
from typing import Any, Final

# Of Python's syntax what RE2 writes otherwise. Escapes and classes are passed over as wholes.
_TOKEN: Final = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\{(?=,[0-9]*\})", re.DOTALL)
_WRITTEN: Final = {r"\Z": r"\z", "{": "{0"}

_SHOWN: Final = 200
_ONLY_LINEAR: Final = "URLs are matched in linear time, by RE2"
_MISSING: Final = (
    (r"\(\?<?[=!]", "lookahead and lookbehind", "say what must match in --include, what must not in --exclude"),
    (r"\(\?\(", "conditions", "write both cases, with | between"),
    (r"escape sequence: \\[1-9]|\(\?P", "backreferences", "write out what may be repeated"),
    (r"repetition operator|\(\?>", "possessive repeats and atomic groups", "write + for ++: nothing is slow here"),
    (r"repetition size", "repeats of more than 1,000", "write * or + for it"),
    (r"\(\?", "this flag or group", "write it without"),
)


class UrlPattern:
    """An expression that is searched for anywhere in a URL. Raises ValueError if it is none, or not one for RE2.

    Its first use in a process loads RE2, which takes 10 ms.
    """

    __slots__ = ("_search", "text")

    def __init__(self, text: str) -> None:
        import re2

        self.text: Final = text
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # what "[[" will mean some day is no news for a user
                re.compile(text)
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"{text[:_SHOWN]!r} is not a regular expression ({error})") from None
        options = re2.Options()
        options.never_capture = True
        options.log_errors = False
        written = _TOKEN.sub(lambda token: _WRITTEN.get(token[0], token[0]), text)
        try:
            self._search: Any = re2.compile(written.encode("utf-8", "surrogatepass"), options).search
        except re2.error as error:
            (said,) = error.args
            raise ValueError(_refusal(text, said.decode("utf-8", "replace"))) from None

    def matches(self, octets: bytes) -> bool:
        """Whether a URL, as bytes, has it: 1 us for a common one."""
        return self._search(octets) is not None


def _refusal(text: str, said: str) -> str:
    named = f"{text[:_SHOWN]!r} cannot be used"
    for sign, missing, instead in _MISSING:
        if re.search(sign, said):
            return f"{named}: {_ONLY_LINEAR}, which does not have {missing} ({instead})"
    return f"{named}: {_ONLY_LINEAR}, which says: {said}"
