"""crawler.printable: nothing that comes from the network acts on a terminal or forges a line of a log."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.printable import printable


@pytest.mark.parametrize(
    "text",
    [
        "",
        "https://example.com/a?b=c#d",
        "C:\\x",
        "naïve café",
        "日本語 テキスト",
        "😀 👍🏽",
        "שלום",
        "a\u00a0b\u3000c",
        "e\u0301",
    ],
)
def test_clean_text_is_unchanged(text):
    """What only shows itself stays as it is, in every script."""
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x07", r"\x1b[2J\x07"),
        ("a\r\nb\tc\x00", r"a\x0d\x0ab\x09c\x00"),
        ("\x7f\x80\x9b31m\x9f", r"\x7f\x80\x9b31m\x9f"),
        ("gnp\u202egpj.exe", r"gnp\u202egpj.exe"),
        ("\u2066\u2069\u200e\u200f\u061c", r"\u2066\u2069\u200e\u200f\u061c"),
        ("a\u200bb\u200db\ufeffc\u2060\xadd", r"a\u200bb\u200db\ufeffc\u2060\xadd"),
        ("line\u2028paragraph\u2029next\x85", r"line\u2028paragraph\u2029next\x85"),
        ("\ud800x\udfff", r"\ud800x\udfff"),
        ("tag \U000e0041", r"tag \U000e0041"),
    ],
)
def test_unsafe_characters_become_visible(text, shown):
    """Controls, BiDi marks, invisible formats, separators and lone surrogates become escapes that can be read."""
    assert printable(text) == shown


@given(st.text(st.characters()))
def test_result_is_safe(text):
    """The result has a UTF-8 form, is one line, and holds no control, format or surrogate character."""
    result = printable(text)
    result.encode()
    assert len(result.splitlines()) <= 1
    assert not {unicodedata.category(char) for char in result} & {"Cc", "Cs", "Zl", "Zp"}
    assert not any(
        unicodedata.bidirectional(char) in {"RLO", "LRO", "RLE", "LRE", "PDF", "LRI", "RLI"} for char in result
    )


@pytest.mark.parametrize(
    ("text", "limit", "shown"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdefg", 6, "abc..."),
        ("\x1b\x1b", 8, r"\x1b\x1b"),
        ("\x1b\x1b", 7, r"\x1b..."),
        ("a" * 10_000_000, 5, "aa..."),
        ("", 3, ""),
    ],
)
def test_limit(text, limit, shown):
    """The result is never longer than the limit; what is cut says so."""
    assert printable(text, limit) == shown


@given(st.text(), st.integers(3, 20))
def test_limit_holds(text, limit):
    """Escapes count: no text becomes longer than the limit."""
    assert len(printable(text, limit)) <= limit
