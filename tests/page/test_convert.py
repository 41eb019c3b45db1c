"""crawler.page.convert: a match becomes what its type says or is refused; numbers are never guessed; JSON can carry it all."""

from __future__ import annotations

import json

import msgspec
import parsel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.page.convert import MAX_DEPTH, TYPES, as_found
from crawler.page.page import Document

PAGE = Document("http://h/a/b", b"<base href=/c/>", None, "text/html")
XML = Document("http://h/a/b", b"<a/>", None, "text/xml")
ELEMENT = parsel.Selector("<p> A <b>B</b>\n<!-- no --> C </p> tail").css("p")[0].root
HUGE = 123456789012345678901234567890


def nested(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("type_name", "match", "value"),
    [
        ("str", " a  b\n", "a  b"),
        ("str", ELEMENT, "<p> A <b>B</b>\n<!-- no --> C </p>"),
        ("str", 3.0, "3"),
        ("str", {"a": ["é"]}, '{"a": ["é"]}'),
        ("text", " a  b\n", "a b"),
        ("text", ELEMENT, "A B C"),
        ("int", "1,234 reviews", 1234),
        ("int", "(-5)", -5),
        ("int", "\u22127", -7),
        ("int", "AB-5", 5),
        ("int", "1\u202f000\u00a0000", 1_000_000),
        ("int", "12.0", 12),
        ("int", "9007199254740993", 9007199254740993),
        ("int", 12.0, 12),
        ("int", True, 1),
        ("float", "£51.77", 51.77),
        ("float", "-$1,299.50 each", -1299.5),
        ("float", "45 %", 45.0),
        ("float", ".5", 0.5),
        ("float", "1e3", 1000.0),
        ("float", "No. 5", 5.0),
        ("float", 2, 2.0),
        ("bool", " Yes ", True),
        ("bool", "off", False),
        ("bool", True, True),
        ("url", " x?a=1&b#c ", "http://h/c/x?a=1&b"),
        ("url", "//other/", "http://other/"),
        ("url", "mailto:a@b", "mailto:a@b"),
        ("date", "2024-05-01", "2024-05-01"),
        ("date", "2024-05-01T10:00:00Z", "2024-05-01T10:00:00+00:00"),
        ("date", "Wed, 01 May 2024 10:00:00 GMT", "2024-05-01T10:00:00+00:00"),
        ("json", ' {"a": [1, null]} ', {"a": [1, None]}),
        ("json", [1], [1]),
    ],
)
def test_conversions(type_name, match, value):
    """What each type makes of text, elements and values."""
    converted = TYPES[type_name](match, PAGE)
    assert converted == value
    assert type(converted) is type(value)


@pytest.mark.parametrize(
    ("type_name", "match"),
    [
        ("int", "12.5"),
        ("int", "none"),
        ("int", ""),
        ("int", str(HUGE)),
        ("int", HUGE),
        ("float", "12,50"),
        ("float", "1.299.000"),
        ("float", "2 of 3"),
        ("float", "2024-05-01"),
        ("float", "1e999"),
        ("float", "9" * 201),
        ("float", float("nan")),
        ("bool", "maybe"),
        ("url", "http://["),
        ("date", "yesterday"),
        ("date", "Wed, 99 May 2024 10:00:00 GMT"),
        ("json", "{"),
        ("json", "[" * 100_000),
        ("json", nested(MAX_DEPTH + 1)),
        ("str", ("prefix", "uri")),
    ],
)
def test_refusals(type_name, match):
    """What is not clearly of the type is refused, by one of the errors that an Extraction expects."""
    with pytest.raises((ValueError, TypeError, RecursionError)):
        TYPES[type_name](match, PAGE)


def test_as_found():
    """Without a type: text without white space around it, markup, and numbers without a needless fraction."""
    assert as_found(" a ", PAGE) == "a"
    assert as_found(ELEMENT, PAGE) == "<p> A <b>B</b>\n<!-- no --> C </p>"
    assert repr(as_found(3.0, PAGE)) == "3"
    assert as_found(float("nan"), PAGE) is None


def test_markup_is_written_as_it_was_read():
    """An element of an XML document is XML."""
    source = "<a><br/></a>"
    assert as_found(parsel.Selector(source, type="xml").css("a")[0].root, XML) == source
    assert as_found(parsel.Selector(source, type="html").css("a")[0].root, PAGE) == "<a><br></a>"


def test_what_json_cannot_carry():
    """Lone surrogates, numbers beyond 64 bits and infinities come from servers and must not reach an output."""
    served = json.loads(f'{{"\\ud800": ["\\udfff", {HUGE}, 1e999, NaN, -1e999]}}')
    value = TYPES["json"](served, PAGE)
    assert value == {"\ufffd": ["\ufffd", float(HUGE), None, None, None]}
    assert msgspec.json.encode(value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=20,
)


@settings(max_examples=50)
@given(st.sampled_from(sorted(TYPES)), st.text(max_size=30) | json_values)
def test_every_value_can_be_written(type_name, match):
    """Whatever converts, converts to what all outputs can write; whatever does not raises what is expected."""
    try:
        value = TYPES[type_name](match, PAGE)
    except (ValueError, TypeError, ArithmeticError):
        return
    assert msgspec.json.decode(msgspec.json.encode(value)) == value or isinstance(value, float)
