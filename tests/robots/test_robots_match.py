"""robots/match.py: the rule that decides is the one that a slow and simple reading finds, and is found in little time."""

from __future__ import annotations

import time
import tracemalloc
from random import Random

import pytest
from fuzz.robots import covers
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.engine.scope import MAX_LENGTH
from crawler.robots import match
from crawler.robots.match import FEW, MAX_INDEXED, Rule, normal_pattern
from crawler.robots.rules import MAX_BYTES, Rules, parse


def rules(*lines: str) -> Rules:
    return parse("\n".join(["user-agent: *", *lines]).encode("utf-8", "surrogateescape"), "x")


def rank(path: str, *, allow: bool) -> int:
    return 2 * (len(normal_pattern(path.removesuffix("$"))) + path.endswith("$")) + allow


def slow(lines: list[str], target: str) -> tuple[bool, int] | None:
    """Whether the rule that decides allows, and its rank, read without any haste."""
    ranked = []
    for line in lines:
        kind, _, path = line.partition(": ")
        if path[:1] in {"/", "*"} and covers(path, target):
            ranked.append((rank(path, allow=kind == "allow"), kind == "allow"))
    return max(ranked)[::-1] if ranked else None


def told(rule: Rule | None) -> tuple[bool, int] | None:
    return None if rule is None else (rule.allow, rule.rank)


PATHS = st.builds(
    "{}{}{}".format,
    st.sampled_from(["/", "/a", "*", "/?"]),
    st.text("ab/*?$%2Fé", max_size=7),
    st.sampled_from(["", "$"]),
)
LINES = st.lists(st.builds("{}: {}".format, st.sampled_from(["allow", "disallow"]), PATHS), max_size=30)
TARGETS = st.text("ab/?$*%2F", max_size=12).map("/".__add__)


@settings(max_examples=150)
@given(LINES, st.lists(TARGETS, min_size=1, max_size=5), st.booleans())
def test_it_is_the_rule_that_a_slow_reading_finds(lines, targets, indexed):
    """With few patterns, and among so many others that they are filed."""
    others = [f"disallow: /*zz{number}z" for number in range(FEW + 1)] if indexed else []
    known = rules(*lines, *others)
    for target in targets:
        assert told(known.decide(target)) == slow(lines, target), target


def test_large_files_are_read_right():
    """Thousands of patterns of all kinds: what is tried is exact, and what is not, forbids no less."""
    random = Random(9309)
    kinds = ("/{0}/{1}", "/{0}*{1}", "/*{0}{1}$", "/*?{0}=*&{1}=", "/*{0}", "*{0}*{1}*{0}", "/{0}*", "/{0}.{1}$")
    words = ["".join(random.choices("abcde", k=random.randrange(1, 5))) for _ in range(600)]
    lines = [
        f"{random.choice(['allow', 'disallow'])}: {random.choice(kinds).format(*random.choices(words, k=2))}"
        for _ in range(3_000)
    ]
    known = rules(*lines)
    tried = 0
    for _ in range(15):
        target = random.choice(["/{}/{}", "/{}.{}", "/x?{}=1&{}=2"]).format(*random.choices(words, k=2))
        decided, right = known.decide(target), slow(lines, target)
        if decided is None or decided.tried:
            tried += 1
            assert told(decided) == right, target
        else:
            assert not decided.allow
    assert tried == 15


@pytest.mark.parametrize(
    ("lines", "target", "line"),
    [
        (["allow: /a*", "disallow: /ab"], "/abc", "line 2: Allow: /a*"),
        (["allow: /a*", "disallow: /abc"], "/abc", "line 3: Disallow: /abc"),
        (["disallow: /a*", "allow: /a"], "/abc", "line 2: Disallow: /a*"),
        (["disallow: /a**", "allow: /ab"], "/abc", "line 2: Disallow: /a**"),
        (["disallow: /a*$", "allow: /ab"], "/abc", "line 2: Disallow: /a*$"),
        (["disallow: /a*$", "allow: /a*b"], "/abc", "line 3: Allow: /a*b"),
        (["disallow: /a", "allow: /a", "allow: /a"], "/a", "line 3: Allow: /a"),
        (["disallow: /a*b", "disallow: /a*b", "allow: /%61*b"], "/a/b", "line 4: Allow: /%61*b"),
        (["disallow: /$", "allow: /*$"], "/", "line 3: Allow: /*$"),
        (["disallow: *$"], "/x", "line 2: Disallow: *$"),
        (["disallow: /a*ab$"], "/ab", "None"),
        (["disallow: /ab*b$"], "/abb", "line 2: Disallow: /ab*b$"),
    ],
)
def test_what_stars_and_dollars_count(lines, target, line):
    """Each is an octet of its pattern, also one at the end that changes nothing else; of the same the first line is told."""
    assert str(rules(*lines).decide(target)) == line


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("/%41%7e%2f%3F%2a%24%25", "/A~%2F%3F%2A%24%25"),
        ("/?%2f%3F%2a%41", "/?/?%2AA"),
        ("/é%c3%A9", "/%C3%A9%C3%A9"),
        ("/%é%2$%", "/%%C3%A9%2%24%"),
        ("/a b\t\x7f", "/a%20b%09%7F"),
        ("/\udce9", "/%E9"),
        ("/日本", "/%E6%97%A5%E6%9C%AC"),
    ],
)
def test_normal_form(written, normal):
    """Section 2.2.2: escapes that stand for visible characters are those, all that is not visible is escaped."""
    assert normal_pattern(written) == normal


class TestTooMany:
    """What is tried has a limit: the rest counts where it forbids, and does not where it allows."""

    NEARLY = tuple(f"disallow: /*{'a*b*' * 9}{number:05}*zy" for number in range(8_000))
    TARGET = "/" + "".join(f"ab{number:05}" for number in range(280)) + "yz"

    def test_it_is_told(self):
        """The URL is refused, in words that say why."""
        rule = rules("allow: /", *self.NEARLY).decide(self.TARGET)
        assert rule is not None
        assert (rule.allow, rule.tried) == (False, False)
        assert "there are too many patterns to try them all" in str(rule)

    def test_what_allows_does_not_count_untried(self):
        """Neither for a URL that nothing else is about, nor for one that is forbidden."""
        allowing = [line.replace("disallow", "allow") for line in self.NEARLY]
        assert rules(*allowing).decide(self.TARGET) is None
        rule = rules("disallow: /", *allowing).decide(self.TARGET)
        assert str(rule) == "line 2: Disallow: /"

    def test_what_outranks_them_needs_no_trial(self):
        """A longer rule decides before them."""
        rule = rules(f"allow: {self.TARGET[:80]}", *self.NEARLY).decide(self.TARGET)
        assert rule is not None and rule.allow

    def test_a_longer_url_than_links_have(self):
        """It is compared with few patterns; many count as matching."""
        assert MAX_LENGTH < MAX_INDEXED
        long = "/" + "x" * MAX_INDEXED
        assert rules(*self.NEARLY[:FEW]).decide(long) is None
        assert not getattr(rules(*self.NEARLY[: FEW + 1]).decide(long), "tried", True)

    def test_how_many_are_looked_at(self, monkeypatch):
        """Of 8,000 that nearly match some hundreds, of 8,000 that share nothing with the URL none."""
        searched: list[str] = []
        search = match.search
        monkeypatch.setattr(match, "search", lambda pattern, text: searched.append(pattern) or search(pattern, text))
        known = rules(*self.NEARLY)
        known.decide(self.TARGET)
        assert 10 < len(searched) < 500
        searched.clear()
        assert known.decide("/products/blue-shoes-12.html?page=2") is None
        assert searched == []


def filled(line: str, start: str = "user-agent: *\n") -> bytes:
    """As many such lines as are read; "{}" is the line's number in hexadecimal digits."""
    lines, size = [start], len(start)
    number = 0
    while size < MAX_BYTES - 1_500:
        lines.append(line.format(f"{number:x}") + "\n")
        size += len(lines[-1].encode())
        number += 1
    return "".join(lines).encode()


HOSTILE = {
    "many short ones": filled("allow:*{}"),
    "many that are no globs": filled("allow:/{}"),
    "many that end": filled("disallow:/*{}$"),
    "many exact ones": filled("disallow:/{}$"),
    "three stars": filled("disallow: /*a*b*c{}"),
    "many stars": filled("disallow: /*" + "a*ab*b*" * 60 + "{}"),
    "one of many stars": b"user-agent: *\ndisallow: /" + b"*a" * 250_000 + b"$",
    "one that is huge": b"user-agent: *\ndisallow: /" + b"a" * 500_000,
    "long common starts": filled("disallow: /" + "a" * 900 + "{}*x"),
    "long common starts of globs": filled("disallow: /*" + "a" * 400 + "{}*x"),
    "each begins with the last": b"user-agent: *\n" + b"".join(b"allow: /%b\n" % (b"a" * n) for n in range(980)),
    "stars before longer and longer": b"user-agent: *\n" + b"".join(b"disallow: *%bb\n" % (b"a" * n) for n in range(980)),
    "nearly": filled("disallow: *" + "a" * 25 + "b" + "a" * 24 + "{}"),
    "escapes": filled("disallow: /%41%e9%2f%{}*%7e"),
    "other alphabets": filled("disallow: /éa日a*{}"),
    "no characters": b"user-agent: *\n" + b"disallow: /\xff\xfe*\x80\n" * 35_000,
    "dollars": b"user-agent: *\nallow: /" + b"$" * 500_000,
    "groups": b"user-agent: *\n" * 18_000 + b"disallow: /x\n" * 18_000,
    "groups in turns": filled("user-agent: x\nallow:/{}"),
    "returns alone": filled("disallow: /*{}").replace(b"\n", b"\r"),
    "no line end at all": b"user-agent: *" + b" disallow: /*" * 39_000,
    "blanks": b" " * MAX_BYTES,
    "line ends": b"\r\n" * (MAX_BYTES // 2),
    "sitemaps": filled("sitemap: /{}"),
    "any bytes": bytes(range(256)) * 2_000,
}  # fmt: skip
URLS = [
    "/products/blue-shoes-12345.html?colour=blue&page=2",
    "/" + "a" * 2_000,
    "/" + "ab" * 1_000,
    "/" + "%41" * 660,
    "/" + "".join(map(str, range(600))),
    "/" + "".join(Random(7).choices("abcdefghijklmnopqrstuvwxyz0123456789-", k=2_000)),
]


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_half_a_megabyte_of_anything(body):
    """Read in far less than two seconds; then any URL is decided in far less than a fiftieth of one."""
    started = time.process_time()
    known = parse(body, "x")
    assert time.process_time() - started < 2.0
    for url in URLS:
        started = time.process_time()
        known.decide(url)
        assert time.process_time() - started < 0.02


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_what_is_read_takes_little_memory(body):
    """Less than 20 MiB for 500 KiB; to be quick here it is a sixteenth of both."""
    body = body[: MAX_BYTES // 16]
    tracemalloc.start()
    try:
        parse(body, "x")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < (20 << 20) // 16


def test_the_same_rule_over_and_over_is_kept_once():
    """Whatever stands before it: memory does not grow with the product of groups and rules."""
    once, often = (parse(b"user-agent: *\n" * many + b"disallow: /x\n" * many, "x") for many in (1, 9_000))
    assert often.size == once.size
    assert str(often.decide("/x")) == "line 9001: Disallow: /x"
