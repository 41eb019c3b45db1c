"""crawler.config.patterns: Python's syntax, RE2's time."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.config.config import Config
from crawler.config.patterns import UrlPattern

REFUSED = [
    (
        "/a(?=b)",
        "which does not have lookahead and lookbehind (say what must match in --include, what must not in --exclude)",
    ),
    ("^(?!.*pdf$)", "lookahead and lookbehind"),
    ("(?<=/)a", "lookahead and lookbehind"),
    ("(?<!/)a", "lookahead and lookbehind"),
    (r"/(a)/\1", "backreferences"),
    ("/(?P<n>a)/(?P=n)", "backreferences"),
    ("(a++)+$", "possessive repeats and atomic groups (write + for ++: nothing is slow here)"),
    ("(?>a)", "possessive repeats and atomic groups"),
    ("(a)?(?(1)b|c)", "conditions"),
    ("a{1001}", "repeats of more than 1,000"),
    ("(?x) a b", "this flag or group"),
    (r"\u0041", "which says: invalid escape sequence"),
]


@pytest.mark.parametrize(("pattern", "words"), REFUSED)
def test_what_takes_more_than_linear_time_is_refused(pattern, words):
    """The message names the expression, what is not possible in it, and what to do."""
    re.compile(pattern)
    with pytest.raises(ValueError, match="cannot be used: URLs are matched in linear time, by RE2") as raised:
        UrlPattern(pattern)
    assert repr(pattern) in str(raised.value)
    assert words in str(raised.value)


@pytest.mark.parametrize("option", ["include", "exclude"])
@pytest.mark.parametrize("pattern", ["/a(?=b)", "a("])
def test_it_is_refused_before_the_run(option, pattern):
    """Options, keywords and files say so at once, with the option's name."""
    with pytest.raises(ValueError, match=f"keyword {option}: {re.escape(repr(pattern))} (cannot be used|is not a)"):
        Config.build(inputs="http://h/", recursive=True, **{option: pattern})


SAME = [
    r"\.(pdf|zip|jpe?g)(\?|$)", "^https://h/", "/docs/.*\\.html", r"[?&]print=\d", "a{,2}b", "a{,}b", "[{,2}]", r"\{,2}", "(?i)/ABC", r"c\Z",
    r"\bdocs\b", r"[^]/]+$", "(?P<year>20[0-9]{2})/", "[[]", "a|", r"\A", "(?s:.)", r"\x2f\056", r"a{", "x{1,2}?", "[a-c-]", "é", r"\/\-\=",
]  # fmt: skip
URLS = [
    "https://h/", "https://h/docs/a.html", "http://h/a.pdf?x", "http://h/x.jpeg", "http://h/?a=1&print=2", "http://h/aab", "http://h/aaaaab",
    "http://h/b{,2}", "http://h/abc", "http://h/ABC", "http://h/docsx", "http://h/2024/x", "http://h/[]", "http://h/xx-=",
]  # fmt: skip


@pytest.mark.parametrize("pattern", SAME)
def test_what_is_possible_means_what_it_means_in_python(pattern):
    """On URLs, both agree on every expression that both know."""
    with pytest.warns(FutureWarning) if pattern == "[[]" else _nothing():
        expected = re.compile(pattern)
    ours = UrlPattern(pattern)
    assert ours.text == pattern
    assert [ours.matches(url.encode()) for url in URLS] == [expected.search(url) is not None for url in URLS]


def _nothing():
    from contextlib import nullcontext

    return nullcontext()


PIECES = [
    "a",
    "b",
    "/",
    ".",
    r"\.",
    r"\d",
    "[a-c]",
    "(",
    ")",
    "|",
    "*",
    "+",
    "?",
    "{,2}",
    "{1,}",
    "^",
    "$",
    r"\Z",
    "(?:",
    "*?",
    "[^/]",
    r"\w",
    r"\b",
    "{",
    "}",
]


@given(st.lists(st.sampled_from(PIECES), max_size=10).map("".join), st.text("ab/.{,2}", max_size=12))
def test_any_pattern_means_what_it_means_in_python(pattern, url):
    """What Python compiles is refused in words or matches just where Python's does."""
    try:
        expected = re.compile(pattern)
    except re.error:
        with pytest.raises(ValueError, match="is not a regular expression"):
            UrlPattern(pattern)
        return
    try:
        ours = UrlPattern(pattern)
    except ValueError as error:
        assert "cannot be used" in str(error)
        return
    assert ours.matches(url.encode()) == (expected.search(url) is not None)


def cost_of_alternatives(count: int) -> float:
    """Processor time to compile so many, and to try an address that the last one fits, and one that none does."""
    best = float("inf")
    for attempt in range(3):  # another expression each time: RE2 keeps what it has compiled
        start = time.process_time()
        pattern = UrlPattern("|".join(f"/item/{number}/{attempt}(a+)+$" for number in range(count)))
        assert pattern.matches(b"http://h/item/%d/%daaaa" % (count - 1, attempt))
        assert not pattern.matches(b"http://h/item/%d/%d" % (count - 1, attempt) + b"a" * 2_000 + b"!")
        best = min(best, time.process_time() - start)
    return best


def test_an_expression_of_any_size_takes_linear_time():
    """Eight times as many alternatives cost about that much more: it would be 64 times if the time was squared."""
    assert cost_of_alternatives(4_000) < 24 * cost_of_alternatives(500)
