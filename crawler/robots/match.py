"""Which of the rules of a robots.txt decides about a URL: the longest that matches (RFC 9309 section 2.2.2). Pure.

A decision has to be quick however many patterns there are and whatever they look like, for a page of refused links
costs its author nothing. So no pattern is tried that cannot match: those without a star are found by bisection, and of
the others each is filed under one of its short substrings, the least used: only a URL that has it is compared.

What is tried has a limit all the same, since a site that wants to can write patterns that nearly match its URLs, by the
thousand. Beyond it the rest counts as matching where it forbids, and as not matching where it allows: so nothing is
fetched that the file might not allow, and the rule in question says that it was not tried.
"""

from __future__ import annotations

import re
import string
import sys
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from itertools import repeat
from typing import Final

import msgspec

FEW: Final = 32
"""So many patterns with stars are simply tried one after another."""
MOST_FEW: Final = 50
"""So many are kept as they were given."""
MAX_INDEXED: Final = 4_096
"""With more than FEW patterns a longer path and query is not compared. Links are never so long (`scope.MAX_LENGTH`)."""
MAX_TRIED: Final = 1_000
"""So many patterns with stars are tried at most."""
MAX_EFFORT: Final = 40_000
"""And so many characters are looked at, or FEW times those of the URL more; about 2.5 ns each."""

_SHOWN: Final = 200
# Octets that are not UTF-8 are octets all the same: "/caf\xE9" is about "/caf%E9".
_BYTES: Final = "surrogateescape"
_YIELD_EVERY: Final = 1_000
_RULE_SIZE: Final = 400

# Escapes that may be more than they seem: of ASCII, or in lower case. "%C3%A9" is left alone.
_ESCAPE: Final = re.compile("%(?:[2-7][0-9A-Fa-f]|[0-9A-F][a-f]|[a-f][0-9A-Fa-f])")
_NOT_VISIBLE: Final = re.compile("[^!-~]")
_OCTETS: Final = {octet: f"%{octet:02X}" for octet in range(256) if not 0x21 <= octet <= 0x7E}
_HEX: Final = "0123456789abcdefABCDEF"
_STARS: Final = re.compile(r"\*{2,}")

# The cost of things in characters looked at.
_PER_PATTERN: Final = 250
_PER_PIECE: Final = 90
_LONG_PIECE: Final = 64  # from here on str.find is made to take its linear way, which it does in long texts only
_PADDING: Final = " " * 30_000
# How much worse a substring is to file under because it is short and so is in more URLs, by its length.
_WEIGHTS: Final = (0, 512, 64, 0, 1)
_ORDER: Final = sys.byteorder
# Which characters there are, as bits. Six kinds of punctuation share theirs with letters, and so do capitals.
_BITS: Final = {
    character: 1 << place % 63
    for row in (string.ascii_lowercase + string.digits + string.punctuation, string.ascii_uppercase)
    for place, character in enumerate(row)
}
_BITS["*"] = 0


class Rule(msgspec.Struct, frozen=True, gc=False):
    """One Allow or Disallow line. `line` counts from 1; `path` is as written. Of those that match the highest `rank`
    decides: the number of octets, and of equally long ones Allow. Not `tried`: there were too many, see above.
    """

    line: int
    allow: bool
    path: str
    rank: int = 0
    tried: bool = True

    def __str__(self) -> str:
        path = self.path[:_SHOWN]
        if not path.isascii():
            path = path.encode("utf-8", _BYTES).decode("utf-8", "replace")
        words = "" if self.tried else " (taken to match: there are too many patterns to try them all)"
        return f"line {self.line}: {'Allow' if self.allow else 'Disallow'}: {path}{words}"


class Matcher:
    """All rules of a crawler in one file. `fill` it before anything else."""

    def __init__(self) -> None:
        self.size = 0
        """About how many bytes of memory this holds."""
        self.few: list[Rule] | None = []
        """All of its rules, unless they are many."""
        self._exact: dict[str, Rule] = {}
        self._prefixes = _Prefixes()
        self._globs = _Globs()

    def fill(self, rules: Iterable[Rule]) -> Iterator[None]:
        """Take the rules, whose `rank` is set here. It goes on after each yield: some milliseconds are between them."""
        for count, rule in enumerate(rules, 1):
            if self.few is not None:
                self.few = [*self.few, rule] if count <= MOST_FEW else None
            path = rule.path
            self.size += _RULE_SIZE + 2 * len(path)
            anchored = path.endswith("$")
            pattern = normal_pattern(path[:-1] if anchored else path)
            ranked = Rule(rule.line, rule.allow, path, 2 * (len(pattern) + anchored) + rule.allow)
            if "**" in pattern:
                pattern = _STARS.sub("*", pattern)
            # Nothing but the rank comes of a star at the end.
            exact = anchored and not pattern.endswith("*")
            stem = pattern.removesuffix("*")
            if "*" in stem:
                _keep(self._globs.known, f"{stem}$" if exact else stem, ranked)
            else:
                _keep(self._exact if exact else self._prefixes.known, stem, ranked)
            if not count % _YIELD_EVERY:
                yield
        yield from self._prefixes.build()
        yield from self._globs.build()

    def decide(self, target: str) -> Rule | None:
        """The rule that decides for this path and query, as a URL in WHATWG form has them. None: nothing forbids it."""
        if not self.size:
            return None
        if "%" in target or "*" in target or "$" in target:
            target = normal_target(target)
        best = self._prefixes.find(target)
        if self._exact:
            exact = self._exact.get(target)
            if exact is not None and (best is None or exact.rank > best.rank):
                best = exact
        return self._globs.find(target, best) if self._globs else best


class _Prefixes:
    """Patterns that match what begins with them. Fill `known`, then `build`."""

    def __init__(self) -> None:
        self.known: dict[str, Rule] = {}
        self._sorted: list[str] = []
        self._best: list[Rule] = []  # for each, of itself and those that it begins with
        self._shorter = array("l")  # for each, the longest of those that it begins with, or -1

    def build(self) -> Iterator[None]:
        known, names = self.known, self._sorted
        for name in known:
            names.append(name)
            if not len(names) % _YIELD_EVERY:
                names[-_YIELD_EVERY:] = sorted(names[-_YIELD_EVERY:])
                yield
        names.sort()  # of sorted parts, which takes a quarter of the time
        inside: list[int] = []
        for at, name in enumerate(names):
            if at % _YIELD_EVERY == _YIELD_EVERY - 1:
                yield
            while inside and not name.startswith(names[inside[-1]]):
                inside.pop()
            shorter = inside[-1] if inside else -1
            inside.append(at)
            rule = known[name]
            self._best.append(rule if shorter < 0 or rule.rank > self._best[shorter].rank else self._best[shorter])
            self._shorter.append(shorter)
        known.clear()

    def find(self, text: str) -> Rule | None:
        names = self._sorted
        at = bisect_right(names, text) - 1
        # What the text begins with stands before it, and so does what begins with that: up from one to the next.
        while at >= 0:
            if text.startswith(names[at]):
                return self._best[at]
            at = self._shorter[at]
        return None


class _Globs:
    """Patterns with a star inside; a "$" at the end, which no normal form has elsewhere, says that there they end."""

    def __init__(self) -> None:
        self.known: dict[str, Rule] = {}
        self._patterns: list[str] = []  # of falling rank
        self._rules: list[Rule] = []
        self._needs = array("l")  # how long a text is at least that matches
        self._forbidding = array("l")
        self._characters = array("Q")
        # By a substring of 1, 2 or 4 octets, taken for an integer: the numbers, from 1, of the patterns filed under it.
        self._index: dict[int, int | list[int]] = {}

    def __bool__(self) -> bool:
        return bool(self._rules)

    def build(self) -> Iterator[None]:
        known = self.known
        self._patterns.extend(sorted(known, key=lambda pattern: -known[pattern].rank))
        self._rules.extend(map(known.__getitem__, self._patterns))
        known.clear()
        few = len(self._rules) <= FEW
        for number, pattern in enumerate(self._patterns, 1):
            need = len(pattern) - pattern.count("*")
            self._needs.append(need)
            self._characters.append(_characters(pattern))
            if not self._rules[number - 1].allow:
                self._forbidding.append(number)
            if not few and need <= MAX_INDEXED:
                self._file(number, pattern.encode())
            if not number % _YIELD_EVERY:
                yield

    def _file(self, number: int, pattern: bytes) -> None:
        """Put the pattern where a text that matches is sure to look for it, and few others are."""
        index = self._index
        chosen, least = 0, 0
        pieces = pattern.split(b"*")
        for piece in pieces if len(pieces) < 5 else pieces[-2:] + pieces[:2]:
            size = 4 if len(piece) > 3 else min(2, len(piece))
            for key in (piece[:size],) if size == len(piece) else (piece[-size:], piece[:size]):
                window = int.from_bytes(key, _ORDER)
                bucket = index.get(window)
                others = 0 if bucket is None else 1 if isinstance(bucket, int) else len(bucket)
                burden = (1 + others) * _WEIGHTS[size]
                if burden and (not least or burden < least):
                    chosen, least = window, burden
        bucket = index.get(chosen)
        if bucket is None:
            index[chosen] = number
        elif isinstance(bucket, int):
            index[chosen] = [bucket, number]
        else:
            bucket.append(number)

    def find(self, text: str, best: Rule | None) -> Rule | None:
        """The first that matches of those that outrank `best`; else `best`."""
        floor = -1 if best is None else best.rank
        rules, patterns, needs, characters = self._rules, self._patterns, self._needs, self._characters
        text = f"{text}$"
        numbers: Iterable[int] = range(1, len(rules) + 1)
        untold = len(rules) + 1
        if self._index:
            if len(text) > MAX_INDEXED:
                return self._suspect(1, best)
            numbers, untold = self._candidates(text)
        missing = ~_characters(text)
        room = MAX_EFFORT + FEW * len(text)
        for number in (number for number in numbers if not characters[number - 1] & missing):
            rule = rules[number - 1]
            if rule.rank <= floor:
                return best
            if number >= untold or room < 0:
                return self._suspect(number, best)
            room -= _PER_PATTERN
            if needs[number - 1] <= len(text):
                cost = search(patterns[number - 1], text)
                if cost < 0:
                    return rule
                room -= cost
        return best if untold > len(rules) else self._suspect(untold, best)

    def _candidates(self, text: str) -> tuple[list[int], int]:
        """The numbers of the patterns that may match, in order, and from which number on they are not all there."""
        octets = text.encode()
        windows = {*octets}
        for start in range(4):
            rest = memoryview(octets)[start:]
            if start < 2:
                windows.update(rest[: len(rest) & -2].cast("H").tolist())
            windows.update(rest[: len(rest) & -4].cast("I").tolist())
        found = list(filter(None, map(self._index.get, windows)))
        numbers = [bucket for bucket in found if isinstance(bucket, int)]
        shared = [bucket for bucket in found if isinstance(bucket, list)]
        share = MAX_TRIED // (len(shared) or 1) + 1
        untold = len(self._rules) + 1
        for bucket in shared:
            numbers.extend(bucket[:share])
            if len(bucket) > share:
                untold = min(untold, bucket[share])
        numbers.sort()
        return numbers, untold

    def _suspect(self, number: int, best: Rule | None) -> Rule | None:
        """From this number on nobody knows: the first that forbids and outranks `best`, if there is one."""
        at = bisect_left(self._forbidding, number)
        if at < len(self._forbidding):
            rule = self._rules[self._forbidding[at] - 1]
            if best is None or rule.rank > best.rank:
                return msgspec.structs.replace(rule, tried=False)
        return best


def search(pattern: str, text: str) -> int:
    """Look for the pieces from left to right, each where it comes first. -1 if all are there, else what it has cost."""
    pieces = pattern.split("*")
    if not text.startswith(pieces[0]):
        return _PER_PIECE
    at = len(pieces[0])
    padded = ""
    cost = 0
    for piece in pieces[1:]:
        if len(piece) < _LONG_PIECE:
            found = text.find(piece, at)
            weight = 1 + (len(piece) >> 4)
        else:
            padded = padded or text + _PADDING
            found = padded.find(piece, at)
            weight = 2
        if found < 0:
            return cost + _PER_PIECE + weight * (len(text) - at)
        cost += _PER_PIECE + weight * (found - at)
        at = found + len(piece)
    return -1


def _characters(text: str) -> int:
    return sum(set(map(_BITS.get, text, repeat(0))))


def normal_target(target: str) -> str:
    """The path and query of a URL in the form in which paths are compared (section 2.2.2).

    There an escape equals the visible ASCII character it stands for. Not "%", "*" and "$", whose escapes say that
    nothing special is meant, and not "/" and "?" in the path, where they part it; in the query they are characters like
    others, as in the RFC's example "?baz=https%3A%2F%2Ffoo.bar".
    """
    return normal_pattern(target).replace("*", "%2A")


def normal_pattern(pattern: str) -> str:
    """The same of a rule's path without the "$" at its end. A star stays, other dollars are escaped."""
    if "%" in pattern:
        path, mark, query = pattern.partition("?")
        pattern = _ESCAPE.sub(_in_path, path) + mark + _ESCAPE.sub(_in_query, query)
    if _NOT_VISIBLE.search(pattern):
        pattern = pattern.encode("utf-8", _BYTES).decode("latin-1").translate(_OCTETS)
    return pattern.replace("$", "%24")


def _escapes(kept: str) -> Callable[[re.Match[str]], str]:
    """What to put in the place of an escape, but for these characters."""
    table = {}
    for high in _HEX:
        for low in _HEX:
            character = chr(int(high + low, 16))
            visible = "!" <= character <= "~" and character not in kept
            table[f"%{high}{low}"] = character if visible else f"%{high}{low}".upper()
    return lambda match: table[match[0]]


_in_path: Final = _escapes("%*$/?")
_in_query: Final = _escapes("%*$")


def _keep(table: dict[str, Rule], pattern: str, rule: Rule) -> None:
    known = table.get(pattern)
    if known is None or rule.rank > known.rank:
        table[pattern] = rule
