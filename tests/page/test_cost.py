"""crawler.page.cost: what may take long on a page made for it is known beforehand, from the expression alone."""

from __future__ import annotations

import re
import time

import pytest
from parsel import css2xpath

from crawler.page.cost import CUBIC, LINEAR, QUADRATIC, UNKNOWN, Reach, regex_reach, xpath_reach

LINEAR_XPATHS = [
    "//a",
    ".//a/@href",
    "/html/head/title/text()",
    "//og:title",
    "//@href",
    '//span[@class="p"]/text()',
    '//*[@id="x"]',
    '//a[@x="//b[1]"]',
    "//td[2]/text()",
    "//p[last()]",
    "//a[not(@x) and @y]",
    '//a[contains(text(), "x")]',
    "(//a/@href)[1]",
    "string(//title)",
    "count(//a)",
    *map(css2xpath, ["title::text", "a.b.c::attr(href)", "#id", "div > a", "::text", '[href^="x"]', "a:not(.x)"]),
]
CUBIC_XPATHS = [
    "//div//a",
    "//a|//b",
    "//a/..",
    "//a/following::b",
    '//a[contains(., "x")]',
    '//a[. = "x"]',
    '//a[normalize-space() = "x"]',
    "//a[b]",
    "//a[*]",
    *map(css2xpath, ["div a", "p:first-child", "p:nth-child(2)", "a, b"]),
]


@pytest.mark.parametrize("xpath", LINEAR_XPATHS)
def test_one_way_down_is_linear(xpath):
    """An XPath that visits each node once is harmless on any page that parsing is harmless on."""
    assert xpath_reach(xpath) == LINEAR


@pytest.mark.parametrize("xpath", CUBIC_XPATHS)
def test_comparing_nodes_is_not(xpath):
    """Two ways through the page, unions and the text of elements multiply: only with few elements."""
    assert xpath_reach(xpath) == CUBIC


@pytest.mark.parametrize(
    "xpath",
    [
        "//*[following::*[following::x]]",
        '//a[re:test(@x, "(a|a)*b")]',
        "//a//b//c",
        css2xpath("a b c"),
        css2xpath("p + p"),
    ],
)
def test_more_has_no_bound(xpath):
    """Predicates of predicates, and regular expressions inside, are never evaluated where they could block."""
    assert xpath_reach(xpath) == UNKNOWN


@pytest.mark.parametrize(
    ("pattern", "reach"),
    [
        (r"ISBN", LINEAR),
        (r"(?i)price: (\d{4})-(\d\d)", LINEAR),
        (r"x[*+{]y\*\+", LINEAR),
        (r"[]*]", LINEAR),
        (r"[^]*]a", LINEAR),
        (r"(?P<a>x?)", LINEAR),
        (r"\$([0-9.]+)", QUADRATIC),
        (r'"id":"([^"]*+)"', QUADRATIC),
        (r"a{2,}", QUADRATIC),
        (r"[a\]*+]+", QUADRATIC),
        (r"a.*b.*c", UNKNOWN),
        (r"(a|b)+", UNKNOWN),
        (r"(a|ab){30}", UNKNOWN),
        (r"(?x)(a) *", UNKNOWN),
        (r"(?x:(a) *)", UNKNOWN),
        (r"(?i-s:a)(?P<n>b)(?=c)(?<!d)", LINEAR),
        (r"a?" * 6 + "b", LINEAR),
        (r"a?" * 7 + "b", UNKNOWN),
        (r"(?:a|a)" * 20 + "b", UNKNOWN),
        (r"(a??b|c)?d", LINEAR),
        (r"([0-9]+)\.?", Reach(2_048, 4_096)),
        (r".*a?a?a?a?a?a?b", Reach(512, 4_096)),
        (r"(.)\1", UNKNOWN),
        (r"(?P<n>.)(?P=n)", UNKNOWN),
    ],
)
def test_regular_expressions(pattern, reach):
    """A repeat may take the square of the text's length, a choice doubles; several repeats or a repeated group never end."""
    assert regex_reach(pattern) == reach


@pytest.mark.parametrize(
    "pattern",
    ["a?" * 6 + "b", "(?:a|a)" * 6 + "b", "a*?b", "a*b", "a+a?a?b", ".*a?a?a?a?a?a?b", "(a|b)?a?a?a?c", "[ab]*?(a|b)c"],
)
def test_within_its_reach_a_pattern_takes_little_time(pattern):
    """On the worst page that its reach covers, a tenth of a second is the order of it."""
    size = regex_reach(pattern).size
    assert size > 0
    start = time.process_time()
    for page in ("a" * size, "ab" * (size // 2)):
        assert sum(1 for _ in re.finditer(pattern, page)) <= size + 1
    assert time.process_time() - start < 0.5


def test_a_reach_covers_by_size_and_tags():
    """Both bounds count, and tags are only counted where there could be too many."""
    reach = Reach(10, 2)
    assert reach.covers(b"<a><b>")
    assert not reach.covers(b"<a><b><c>")
    assert not reach.covers(b"x" * 11)
    assert not UNKNOWN.covers(b"")
