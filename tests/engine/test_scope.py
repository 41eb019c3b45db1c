"""scope.py: which URLs that were found are crawled, and which rule says so."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.engine.scope import MAX_LENGTH, MAX_PARAMETERS, MAX_REPEATS, MAX_SEGMENTS, Scope
from crawler.errors import CodedError
from crawler.urls import parse

SEED = "https://www.example.co.uk/docs/guide/index.html?x=/y/z"


def judge(scope: Scope, url: str, depth: int = 1) -> CodedError | None:
    return scope.judge(parse(url), depth)


def code(scope: Scope, url: str, depth: int = 1) -> str | None:
    error = judge(scope, url, depth)
    return error and error.code


INSIDE = {
    "any": ["https://www.example.co.uk/", "http://other.example:8080/x", "http://[::1]/"],
    "host": ["https://www.example.co.uk/", "http://www.example.co.uk:8080/x", "https://WWW.EXAMPLE.co.uk./x"],
    "origin": ["https://www.example.co.uk/x", "https://www.example.co.uk:443/", "https://www.example.co.uk./"],
    "domain": ["http://example.co.uk/", "https://www.example.co.uk:81/", "http://a.b.example.co.uk./x"],
    "prefix": [
        "https://www.example.co.uk/docs/guide/",
        "https://www.example.co.uk/docs/guide/a/b?c",
        "https://www.example.co.uk./docs/guide/x",
        "https://www.example.co.uk/docs/guide/../guide/x",
    ],
}
OUTSIDE = {
    "any": [],
    "host": ["https://example.co.uk/", "https://a.www.example.co.uk/", "https://wwwexample.co.uk/"],
    "origin": ["http://www.example.co.uk/", "https://www.example.co.uk:444/", "https://example.co.uk/"],
    "domain": ["https://example.com/", "https://co.uk/", "https://other.co.uk/", "https://notexample.co.uk/"],
    "prefix": [
        "https://www.example.co.uk/docs/",
        "https://www.example.co.uk/docs/guide",
        "https://www.example.co.uk/docs/guidebook/x",
        "https://www.example.co.uk/docs/guide/../x",
        "https://www.example.co.uk/?/docs/guide/",
        "https://www.example.co.uk:444/docs/guide/",
        "https://example.co.uk/docs/guide/",
        "http://www.example.co.uk/docs/guide/",
    ],
}


@pytest.mark.parametrize(("kind", "url"), [(kind, url) for kind, urls in INSIDE.items() for url in urls])
def test_inside(kind, url):
    """A URL is inside when it has in common with a seed what the kind of scope says."""
    assert judge(Scope(kind, [parse(SEED)]), url) is None


@pytest.mark.parametrize(("kind", "url"), [(kind, url) for kind, urls in OUTSIDE.items() for url in urls])
def test_outside(kind, url):
    """A URL that differs there is out of scope, and the message names the scope."""
    error = judge(Scope(kind, [parse(SEED)]), url)
    assert error is not None
    assert error.code == "out_of_scope"
    assert f"--scope {kind}" in error.message


@pytest.mark.parametrize(
    ("seed", "other"),
    [
        ("http://127.0.0.1/", "http://10.0.0.1/"),
        ("http://127.0.0.1/", "http://128.0.0.1/"),
        ("http://[::1]/", "http://[::2]/"),
        ("http://localhost/", "http://evil.localhost/"),
        ("http://github.io/", "http://someone.github.io/"),
        ("http://one.github.io/", "http://two.github.io/"),
        ("http://s3.amazonaws.com/", "http://bucket.s3.amazonaws.com/"),
        ("http://www.amazonaws.com/", "http://bucket.s3.amazonaws.com/"),
    ],
)
def test_a_domain_is_what_one_owner_registers(seed, other):
    """Addresses, names without dots and public suffixes (github.io is one) are no domains with others below."""
    scope = Scope("domain", [parse(seed)])
    assert judge(scope, seed + "x") is None
    assert code(scope, other) == "out_of_scope"


def test_many_seeds_and_more_of_them():
    """The scopes of all seeds add up, and a later seed widens them."""
    scope = Scope("prefix", [parse("http://h/a/b/"), parse("http://h/c/"), parse("http://i/")])
    assert [judge(scope, url) for url in ("http://h/a/b/x", "http://h/c/x", "http://i/x")] == [None] * 3
    assert code(scope, "http://h/a/x") == "out_of_scope"
    scope.add_seed(parse("http://h/a/x"))
    scope.add_seed(parse("http://h/a/b/y"))
    assert judge(scope, "http://h/a/z") is None
    assert judge(scope, "http://h/c/x") is None
    assert code(scope, "http://h/d") == "out_of_scope"


def test_without_seeds_nothing_is_inside():
    """Only the scope "any" needs no seed."""
    assert code(Scope("host"), "http://h/") == "out_of_scope"
    assert judge(Scope("any"), "http://h/") is None


class TestPatterns:
    def test_exclude_is_stronger_than_include(self):
        """A URL must match one --include, if there are any, and no --exclude; the message quotes the pattern."""
        scope = Scope("any", include=["/blog/", r"\.html$"], exclude=["/blog/tag/"])
        assert judge(scope, "http://h/blog/x") is None
        assert judge(scope, "http://h/x.html") is None
        error = judge(scope, "http://h/blog/tag/x.html")
        assert error is not None and error.code == "out_of_scope" and "--exclude '/blog/tag/'" in error.message
        error = judge(scope, "http://h/x")
        assert error is not None and error.code == "out_of_scope" and "--include" in error.message

    def test_the_whole_url_is_searched(self):
        """Scheme, host and query count, too."""
        scope = Scope("any", exclude=["^http:", "example", r"[?&]print=1"])
        assert code(scope, "http://h/") == "out_of_scope"
        assert code(scope, "https://example.com/") == "out_of_scope"
        assert code(scope, "https://h/?x=2&print=1") == "out_of_scope"
        assert judge(scope, "https://h/") is None

    @pytest.mark.parametrize("option", ["include", "exclude"])
    def test_a_pattern_that_is_none(self, option):
        """What is no regular expression is refused at once, in words that name the option."""
        with pytest.raises(ValueError, match=rf"--{option}: '\(x' is not a regular expression \(missing"):
            Scope("any", **{option: ["(x"]})

    @pytest.mark.parametrize(
        "pattern",
        [
            "/(a+)+$",
            "(a|a)*b$",
            "(a|aa)+$",
            "(.*a){30}b",
            "a?" * 40 + "a" * 40 + "$",
            "(?:a|a)" * 40 + "b",
            ".*.*.*.*=$",
        ],
    )
    @pytest.mark.parametrize("option", ["include", "exclude"])
    def test_no_pattern_takes_long(self, pattern, option):
        """Whatever goes back and tries again takes linear time here, on URLs that were made for it."""
        scope = Scope("any", **{option: [pattern]})
        start = time.process_time()
        for url in ("http://h/" + "a" * 40 + "!", "http://h/" + "a" * 2_000 + "!"):
            code(scope, url)
        assert time.process_time() - start < 0.05

    def test_patterns_see_no_long_urls(self):
        """A URL beyond the length allowed is refused before any pattern, however slow, is tried on it."""
        scope = Scope("any", exclude=["(a+)+$"])
        assert code(scope, "http://h/" + "a" * MAX_LENGTH + "b") == "trap_suspected"


class TestLimits:
    def test_depth(self):
        """The deepest links allowed are those at --depth; with depth 0 only the seeds are."""
        scope = Scope("any", max_depth=2)
        assert judge(scope, "http://h/", 2) is None
        error = judge(scope, "http://h/", 3)
        assert error is not None and error.code == "depth_limit" and error.message == "depth 3 (--depth 2)"
        assert code(Scope("any", max_depth=0), "http://h/", 1) == "depth_limit"
        assert judge(Scope("any"), "http://h/", 1_000_000) is None

    @pytest.mark.parametrize(
        ("good", "bad", "words"),
        [
            ("/".join(map(str, range(MAX_SEGMENTS))), "/".join(map(str, range(MAX_SEGMENTS + 1))), "21 path segments"),
            ("/".join(map(str, range(MAX_SEGMENTS))) + "/", "/".join(map(str, range(MAX_SEGMENTS + 1))) + "/", "21 "),
            ("a/" * MAX_REPEATS, "a/" * (MAX_REPEATS + 1), "'a' occurs 4 times (allowed: 3)"),
            ("x/a/b/a/b/a/b", "x/a/b/a/b/a/b/y/b", "'b' occurs 4 times"),
            ("2024/01/01/01", "01/01/01/01", "'01' occurs 4 times"),
            ("a//b//c//d", "a//b//c//d//e", "'' occurs 4 times"),
            ("a/a/b/b/c/c/d/d", "a/a/b/b/c/c/d/d/d/d", "'d' occurs 4 times"),
            ("A/a/A/a/A/a", "A/a/A/a/A/a/A/a", " occurs 4 times"),
            ("?" + "a=1&" * MAX_PARAMETERS, "?" + "a=1&" * (MAX_PARAMETERS + 1), "33 query parameters (allowed: 32)"),
            ("?" + "&" * 500, "?" + "&" * 500 + "a&" * 33, "33 query parameters"),
            ("?/" + "a/" * 100, "a/a/a/a/?", "'a' occurs 4 times"),
            ("x" * (MAX_LENGTH - 9), "x" * (MAX_LENGTH - 8), "2,084 characters (allowed: 2,083)"),
        ],
    )
    def test_traps(self, good, bad, words):
        """One more than allowed, of segments, repetitions, parameters or characters, makes a URL suspect."""
        scope = Scope("any")
        assert judge(scope, f"http://h/{good}") is None
        error = judge(scope, f"http://h/{bad}")
        assert error is not None and error.code == "trap_suspected" and words in error.message

    def test_the_guards_can_be_moved(self):
        """Every guard is an option."""
        scope = Scope("any", max_segments=2, max_repeats=1, max_length=30, max_parameters=1)
        assert judge(scope, "http://h/a/b?c=1") is None
        for bad in ("a/b/c", "a/a", "?a=1&b=2", "x" * 30):
            assert code(scope, f"http://h/{bad}") == "trap_suspected"

    def test_the_scope_is_named_before_a_trap(self):
        """A link to another site is out of scope, however long it is."""
        assert code(Scope("host", [parse(SEED)], max_depth=0), "http://h/" + "a/" * 999, 9) == "out_of_scope"


def test_explain():
    """Every verdict can be told in words, the good ones too."""
    scope = Scope("host", [parse(SEED)], include=["/docs/"], max_depth=3)
    url = parse("http://www.example.co.uk/docs/x")
    assert scope.explain(url, 1) == "inside --scope host: www.example.co.uk; --include '/docs/' matches"
    assert scope.explain(url, 4) == "depth_limit: depth 4 (--depth 3)"
    assert Scope("any").explain(url, 1) == "inside --scope any"


@pytest.mark.parametrize("kind", INSIDE)
def test_a_seed_is_in_its_own_scope(kind):
    """Whatever the kind, the links of a page to itself are followed."""
    assert judge(Scope(kind, [parse(SEED)]), SEED) is None


@given(
    st.sampled_from(list(INSIDE)),
    st.lists(st.sampled_from(["a", "b", "", "..", "%61", "?", "&", "=1", "é"]), max_size=60).map("/".join),
)
def test_every_url_has_a_verdict(kind, tail):
    """Judging never raises, and agrees with what is explained."""
    scope = Scope(kind, [parse("http://h/a/")], include=["a"], exclude=["b"]) if kind != "domain" else Scope("any")
    url = parse(f"http://h/{tail}")
    error = scope.judge(url, 1)
    words = scope.explain(url, 1)
    assert words.startswith("inside" if error is None else f"{error.code}: ")
