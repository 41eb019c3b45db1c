"""robots.txt, read: which line decides whether a path may be fetched (RFC 9309 section 2.2). Pure.

Lines that mean nothing are passed over, so any bytes are a robots.txt. Of the groups only the rules for our product
token are kept: those that name it, all together, or else those for "*".

Crawl-delay and Request-rate are not in the RFC; here they are rules of their group like Allow and Disallow. So they
end its row of User-agent lines: who writes "User-agent: *", "Crawl-delay: 10", "User-agent: BadBot", "Disallow: /"
does not shut everybody out. No other unknown line has an effect on the groups (section 2.2.4).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import msgspec

MAX_BYTES: Final = 500 * 1024  # section 2.5: at least that much is read
MAX_SITEMAPS: Final = 1_000
MAX_DELAY: Final = 86_400.0

# What Google and protego forgive, too: usual misspellings, and white space instead of the colon.
_LINE: Final = re.compile(
    r"^[ \t]*(user[- ]?agent|allow|diss?all?ow|diasllow|disallaw|site-?maps?|crawl[- ]?delay|request[- ]?rate)"
    r"(?:[ \t]*:|[ \t])([^#\n]*)",
    re.ASCII | re.IGNORECASE | re.MULTILINE,
)
_NAME: Final = re.compile(r"[^\s/;,()]+")
_COMPATIBLE: Final = re.compile(r"\bcompatible;\s*([^\s/;,()]+)", re.IGNORECASE)
_NUMBER: Final = re.compile(r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+")
_RATE: Final = re.compile(r"([0-9]{1,9})\s*/\s*([0-9]{1,9})\s*([smhd]?)", re.IGNORECASE)
_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}

# Octets that are not UTF-8 are octets all the same: "/caf\xE9" is about "/caf%E9".
_BYTES: Final = "surrogateescape"

_STARS: Final = re.compile(r"\*{2,}")
# Escapes that may be more than they seem: of ASCII, or in lower case. "%C3%A9" is left alone.
_ESCAPES: Final = r"%(?:[2-7][0-9A-Fa-f]|[0-9A-F][a-f]|[a-f][0-9A-Fa-f])|[^!-~]"
_URL_SPECIAL: Final = re.compile(_ESCAPES + r"|[*$]")
_PATTERN_SPECIAL: Final = re.compile(_ESCAPES + r"|\$")


class Rule(msgspec.Struct, frozen=True, gc=False):
    """One Allow or Disallow line. `line` counts from 1; `path` is as written."""

    line: int
    allow: bool
    path: str

    def __str__(self) -> str:
        path = self.path[:200]
        if not path.isascii():
            path = path.encode("utf-8", _BYTES).decode("utf-8", "replace")
        return f"line {self.line}: {'Allow' if self.allow else 'Disallow'}: {path}"


class Rules:
    """The rules of one robots.txt for one crawler.

    `crawl_delay` is seconds from request to request, the longer of Crawl-delay and Request-rate, whose time of day is
    not looked at. `sitemaps` are as written, each once.
    """

    def __init__(
        self, rules: Iterable[Rule] = (), *, crawl_delay: float | None = None, sitemaps: Iterable[str] = ()
    ) -> None:
        self.crawl_delay = crawl_delay
        self.sitemaps = tuple(sitemaps)
        self._plain: dict[str, Rule] = {}
        self._globs: list[_Glob] = []
        size = sum(map(len, self.sitemaps))
        for rule in rules:
            # Section 2.2.2: a path begins with a slash; the example of section 5.1 begins one with a star.
            if rule.path[0] not in "/*":
                continue
            anchored = rule.path.endswith("$")
            pattern = _normal(rule.path[: -1 if anchored else None], _PATTERN_SPECIAL)
            size += 200 + len(pattern) + len(rule.path)
            if anchored or "*" in pattern:
                self._globs.append(_Glob.of(pattern, anchored, rule))
            elif pattern not in self._plain or rule.allow:
                self._plain[pattern] = rule
        # Of equally long ones Allow wins: it comes first.
        self._globs.sort(key=lambda glob: (-glob.octets, not glob.rule.allow))
        self._prefixes = tuple(self._plain)
        self._lengths = sorted({len(pattern) for pattern in self._plain}, reverse=True)
        self.size = size
        """About how many bytes of memory this holds."""

    def decide(self, target: str) -> Rule | None:
        """The rule that decides for this path and query, as a URL in WHATWG form has them. None: nothing forbids it."""
        if not self.size or target == "/robots.txt":
            return None
        if "%" in target or "*" in target or "$" in target:
            target = _normal(target, _URL_SPECIAL)
        best: Rule | None = None
        octets = 0
        # One look from C at all of them, since most paths match none.
        if target.startswith(self._prefixes):
            for length in self._lengths:
                start = target[:length]
                best = self._plain.get(start)
                if best is not None:
                    octets = len(start)
                    break
        for glob in self._globs:
            if glob.octets < octets or (best is not None and best.allow and glob.octets == octets):
                break
            if glob.matches(target):
                return glob.rule
        return best


class _Glob(msgspec.Struct, frozen=True, gc=False):
    """A pattern with "*" or a final "$". Its pieces are looked for from left to right: linear in the URL's length."""

    octets: int
    head: str
    middle: tuple[str, ...]
    tail: str | None  # what the URL must end with, when the pattern is anchored by "$"
    exact: bool
    rule: Rule

    @classmethod
    def of(cls, pattern: str, anchored: bool, rule: Rule) -> _Glob:
        head, *pieces = _STARS.sub("*", pattern).split("*")
        tail = pieces.pop() if anchored and pieces else None
        octets = len(pattern) + anchored
        return cls(octets, head, tuple(filter(None, pieces)), tail, anchored and tail is None, rule)

    def matches(self, target: str) -> bool:
        if not target.startswith(self.head):
            return False
        if self.exact:
            return len(target) == len(self.head)
        at, end = len(self.head), len(target)
        if self.tail is not None:
            if not target.endswith(self.tail):
                return False
            end -= len(self.tail)
        for piece in self.middle:
            at = target.find(piece, at, end)
            if at < 0:
                return False
            at += len(piece)
        return at <= end


def _normal(text: str, special: re.Pattern[str]) -> str:
    """The form in which paths are compared (section 2.2.2): an escape equals the visible ASCII character it stands for.

    Not "%", "*" and "$", whose escapes say that nothing special is meant, and not "/" and "?" in the path, where they
    part it; in the query they are characters like others, as in the RFC's example "?baz=https%3A%2F%2Ffoo.bar".
    """
    path, mark, query = text.partition("?")
    return special.sub(_in_path, path) + mark + special.sub(_in_query, query)


def _in_path(match: re.Match[str]) -> str:
    return _character(match[0], "%*$/?")


def _in_query(match: re.Match[str]) -> str:
    return _character(match[0], "%*$")


def _character(text: str, kept: str) -> str:
    if len(text) == 3:
        character = chr(int(text[1:], 16))
        return character if "!" <= character <= "~" and character not in kept else text.upper()
    return "".join(f"%{octet:02X}" for octet in text.encode("utf-8", _BYTES))


class _Group:
    """What is said to one addressee, in all of the groups that name it."""

    def __init__(self) -> None:
        self.named = False
        self.rules: list[Rule] = []
        self.delay: float | None = None

    def slow_down(self, seconds: float | None) -> None:
        if seconds is not None:
            self.delay = max(self.delay or 0.0, min(seconds, MAX_DELAY))


def parse(body: bytes, token: str) -> Rules:
    """Read the first 500 KiB of a robots.txt, for the crawler with this product token."""
    if len(body) > MAX_BYTES:
        # A rule that is cut ("Disallow: /") may say far more than the whole one, so the last line goes.
        body = body[:MAX_BYTES]
        body = body[: max(body.rfind(b"\n"), body.rfind(b"\r")) + 1]
    text = body.decode("utf-8-sig", _BYTES).replace("\r\n", "\n").replace("\r", "\n")
    token = token.lower()
    ours, everybody = _Group(), _Group()
    addressed: list[_Group] = []
    in_rules = False
    sitemaps: dict[str, None] = {}
    number, counted = 1, 0
    for match in _LINE.finditer(text):
        number += text.count("\n", counted, match.start())
        counted = match.start()
        kind, value = match[1][0].lower(), match[2].strip()
        if kind == "u":
            if in_rules:
                addressed, in_rules = [], False
            name = _NAME.match(value)
            agent = name[0].rstrip("*").lower() if name else None
            group = everybody if agent == "" else ours if agent == token else None
            if group is not None:
                group.named = True
                addressed.append(group)
        elif kind == "s":
            if value and len(sitemaps) < MAX_SITEMAPS:
                sitemaps[value] = None
        else:
            in_rules = True
            for group in addressed:
                if kind == "c":
                    group.slow_down(_seconds(value))
                elif kind == "r":
                    group.slow_down(_seconds_per_request(value))
                elif value:
                    group.rules.append(Rule(number, kind == "a", value))
    chosen = ours if ours.named else everybody
    return Rules(chosen.rules, crawl_delay=chosen.delay, sitemaps=sitemaps)


def product_token(user_agent: str) -> str:
    """The name under which a robots.txt addresses who sends this User-Agent: "crawler" for "crawler/1.0 (+https://...)".

    In "Mozilla/5.0 (compatible; ExampleBot/0.1)" it is ExampleBot, as in section 2.2.1.
    """
    match = _COMPATIBLE.search(user_agent)
    if match:
        return match[1]
    name = _NAME.search(user_agent)
    return name[0] if name else ""


def _seconds(value: str) -> float | None:
    number = _NUMBER.match(value)
    return float(number[0]) if number else None


def _seconds_per_request(value: str) -> float | None:
    """Of a Request-rate such as "1/5", "30/1m" or "1/10s 0900-1700"."""
    rate = _RATE.match(value)
    if rate is None or not int(rate[1]):
        return None
    return int(rate[2]) * _UNITS[rate[3].lower()] / int(rate[1])
