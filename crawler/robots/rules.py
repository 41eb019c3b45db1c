"""robots.txt, read: which line decides whether a path may be fetched (RFC 9309 section 2.2). Pure.

Lines that mean nothing are passed over, so any bytes are a robots.txt. Of the groups only the rules for our product
token are kept: those that name it, all together, or else those for "*".

Crawl-delay and Request-rate are not in the RFC; here they are rules of their group like Allow and Disallow. So they
end its row of User-agent lines: who writes "User-agent: *", "Crawl-delay: 10", "User-agent: BadBot", "Disallow: /"
does not shut everybody out. No other unknown line has an effect on the groups (section 2.2.4).
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable
from typing import Final

from crawler.robots.match import Matcher, Rule

MAX_BYTES: Final = 500 * 1024  # section 2.5: at least that much is read
MAX_SITEMAPS: Final = 1_000
MAX_DELAY: Final = 86_400.0

# What Google and protego forgive, too: usual misspellings, and white space instead of the colon.
_LINE: Final = re.compile(
    r"^[ \t]*+(user[- ]?agent|allow|diss?all?ow|diasllow|disallaw|site-?maps?|crawl[- ]?delay|request[- ]?rate)"
    r"(?:[ \t]*+:|[ \t])([^#\n]*+)",
    re.ASCII | re.IGNORECASE | re.MULTILINE,
)
_NAME: Final = re.compile(r"[^\s/;,()]+")
_COMPATIBLE: Final = re.compile(r"\bcompatible;\s*([^\s/;,()]+)", re.IGNORECASE)
_DELAY: Final = re.compile(r"([0-9]{0,9}(?:[.,][0-9]{0,9})?)[0-9]*\s*([a-z]*)", re.ASCII | re.IGNORECASE)
_RATE: Final = re.compile(r"([0-9]{1,9})\s*/\s*([0-9]{1,9})\s*([smhd]?)", re.IGNORECASE)
_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}

_BYTES: Final = "surrogateescape"  # octets that are not UTF-8 are octets all the same
_OCTET: Final = re.compile("[\udc80-\udcff]")
_MARK: Final = "\ufeff"
_BLOCK: Final = 1 << 14


class Rules:
    """The rules of one robots.txt for one crawler.

    `crawl_delay` is seconds from request to request, the longer of Crawl-delay and Request-rate, whose time of day is
    not looked at. `sitemaps` are as written, each once.
    """

    def __init__(
        self, matcher: Matcher | None = None, *, crawl_delay: float | None = None, sitemaps: Iterable[str] = ()
    ) -> None:
        self.crawl_delay = crawl_delay
        self.sitemaps = tuple(sitemaps)
        self._matcher = matcher or Matcher()
        self.size = self._matcher.size + sum(map(len, self.sitemaps))
        """About how many bytes of memory this holds."""

    @property
    def few(self) -> list[Rule] | None:
        """All of them, to be given to `of_rules`; None where they are many."""
        return self._matcher.few

    def decide(self, target: str) -> Rule | None:
        """The rule that decides for this path and query, as a URL in WHATWG form has them. None: nothing forbids it.

        Takes less than a millisecond, for a URL as long as links may be.
        """
        return None if target == "/robots.txt" else self._matcher.decide(target)


def of_rules(rules: Iterable[Rule], crawl_delay: float | None, sitemaps: Iterable[str]) -> Rules:
    """What was read elsewhere, by the `rules` that may decide; a few."""
    matcher = Matcher()
    for _ in matcher.fill(rules):
        pass
    return Rules(matcher, crawl_delay=crawl_delay, sitemaps=sitemaps)


class _Group:
    """What is said to one addressee, in all of the groups that name it."""

    def __init__(self) -> None:
        self.named = False
        self.rules: dict[str, Rule] = {}
        self.delay: float | None = None

    def add(self, rule: Rule) -> None:
        """The same path again says nothing new, unless it is allowed now. And a path begins with a slash (section
        2.2.2), or with a star, as in the example of section 5.1.
        """
        path = rule.path
        if path[0] in "/*" and (path not in self.rules or rule.allow > self.rules[path].allow):
            self.rules[path] = rule

    def slow_down(self, seconds: float | None) -> None:
        if seconds is not None:
            self.delay = max(self.delay or 0.0, min(seconds, MAX_DELAY))


def parse(body: bytes, token: str) -> Rules:
    """Read the first 500 KiB of a robots.txt, for the crawler with this product token."""
    reading = read(body, token)
    while True:
        try:
            next(reading)
        except StopIteration as end:
            rules: Rules = end.value
            return rules


def read(body: bytes, token: str) -> Generator[None, None, Rules]:
    """What `parse` does, for those who cannot wait so long at once: some milliseconds are between the yields."""
    if len(body) > MAX_BYTES:
        # A rule that is cut ("Disallow: /") may say far more than the whole one, so the last line goes.
        body = body[:MAX_BYTES]
        body = body[: max(body.rfind(b"\n"), body.rfind(b"\r")) + 1]
    text = _decoded(body).replace("\r\n", "\n").replace("\r", "\n")
    token = token.lower()
    ours, everybody = _Group(), _Group()
    addressed: set[_Group] = set()
    in_rules = False
    sitemaps: dict[str, None] = {}
    number, start = 1, 0
    while start < len(text):
        end = text.find("\n", start + _BLOCK) + 1 or len(text)
        counted = start
        for match in _LINE.finditer(text, start, end):
            number += text.count("\n", counted, match.start())
            counted = match.start()
            kind, value = match[1][0].lower(), match[2].strip()
            if kind == "u":
                if in_rules:
                    addressed, in_rules = set(), False
                name = _NAME.match(value)
                agent = name[0].rstrip("*").lower() if name else None
                group = everybody if agent == "" else ours if agent == token else None
                if group is not None:
                    group.named = True
                    addressed.add(group)
            elif kind == "s":
                if len(sitemaps) < MAX_SITEMAPS and (reference := _reference(value)):
                    sitemaps[reference] = None
            else:
                in_rules = True
                for group in addressed:
                    if kind == "c":
                        group.slow_down(_seconds(value))
                    elif kind == "r":
                        group.slow_down(_seconds_per_request(value))
                    elif value:
                        group.add(Rule(number, kind == "a", value))
        number += text.count("\n", counted, end)
        start = end
        if start < len(text):
            yield
    chosen = ours if ours.named else everybody
    matcher = Matcher()
    yield from matcher.fill(chosen.rules.values())
    return Rules(matcher, crawl_delay=chosen.delay, sitemaps=sitemaps)


def _decoded(body: bytes) -> str:
    """It has to be UTF-8 (section 2.2), but some are UTF-16, and read as anything else they would forbid nothing. So it
    is with a byte order mark before a line: some files have two, or are put together of such.
    """
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        return body.decode("utf-16", "replace")
    if b"\0" in body[:2]:
        return body.decode("utf-16-le" if body[0] else "utf-16-be", "replace")
    return body.decode("utf-8", _BYTES).replace(_MARK, "")


def _reference(value: str) -> str:
    """The URL on a Sitemap line, out of quotes and brackets that some put around it."""
    return _OCTET.sub(lambda octet: f"%{ord(octet[0]) - 0xDC00:02X}", value.strip("<>\"'").strip())


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
    """Of a Crawl-delay such as "2", "0.5", "1,5", "10 s", "500ms" or "2 min"; None for what begins with no number."""
    delay = _DELAY.match(value)
    number = delay[1].replace(",", ".").strip(".") if delay else ""
    if delay is None or not number:
        return None
    unit = delay[2].lower()
    factor = 0.001 if unit.startswith(("ms", "mil")) else _UNITS.get(unit[:1], 1)
    return float(delay[1].replace(",", ".")) * factor


def _seconds_per_request(value: str) -> float | None:
    """Of a Request-rate such as "1/5", "30/1m" or "1/10s 0900-1700"."""
    rate = _RATE.match(value)
    if rate is None or not int(rate[1]):
        return None
    return int(rate[2]) * _UNITS[rate[3].lower()] / int(rate[1])
