"""The cases of the http-state working group, by which RFC 6265 was made; what RFC 6265bis has changed since is told."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from crawler.fetch.cookies.dates import parse_date
from crawler.fetch.cookies.jar import Jar
from crawler.urls import parse

DATA = Path(__file__).with_name("data")
SETTER = "http://home.example.org:8888/cookie-parser"
NOW = datetime(2011, 4, 1, tzinfo=UTC).timestamp()  # the cases end in 2017 to 2027, or did in 2007

CHANGED = {
    # A cookie may have no name: "foo" and "=foo" are the same, and go as they came (section 5.6, step 4).
    "0004": "foo", "0021": "a=b; x; c=d", "0023": "foo", "0024": "foo", "0025": "foo", "0026": "foo", "0027": "bar",
    "0028": "foo", "CHROMIUM0009": "BLAHHH", "CHROMIUM0010": '"BLA\\"HHH"', "CHROMIUM0012": "ABC",
    "MOZILLA0012": 'test="fubar! = foo; five', "MOZILLA0014": "six", "MOZILLA0015": "seven", "MOZILLA0016": "eight",
    "MOZILLA0017": "eight; test=six", "NAME0017": "a=bar", "NAME0023": "foo", "NAME0025": "==a=bar", "NAME0028": "a",
    "NAME0031": '"foo', "NAME0032": '"foo\\"bar', "NAME0033": "aaa",
    # The last Domain counts, also an empty one, which stands for the host itself (section 5.6.3).
    "OPTIONAL_DOMAIN0042": "foo=bar",
}  # fmt: skip


def lines(name: str) -> list[list[str]]:
    text = (DATA / name).read_text("utf-8")
    return [line.split("\t") for line in text.splitlines() if line and not line.startswith("#")]


def unquoted(text: str) -> str:
    return json.loads(f'"{text}"')


def on_the_wire(text: str) -> str:
    """As header values are here: latin-1 text of the UTF-8 that a server sends."""
    return text.encode().decode("latin-1")


@pytest.mark.parametrize(
    ("name", "received", "asked", "sent"), lines("http-state.txt"), ids=lambda value: str(value)[:20]
)
def test_parser(name, received, asked, sent):
    """What goes back to a server after these Set-Cookie lines."""
    url = "/cookie-parser-result" if asked == "-" else asked
    target = parse(url if "://" in url else f"http://home.example.org:8888{url}")
    jar = Jar()
    jar.hear(parse(SETTER), [on_the_wire(unquoted(value)) for value in received.split(" | ")], NOW)
    expected = CHANGED.get(name, "" if sent == "-" else unquoted(sent))
    assert jar.header(target, NOW) == on_the_wire(expected)


def test_all_cases_are_there():
    """None was lost on its way into the file, and what is said to have changed is among them."""
    names = [line[0] for line in lines("http-state.txt")]
    assert len(names) == len(set(names)) == 219
    assert set(CHANGED) <= set(names)


@pytest.mark.parametrize(("text", "expected"), lines("dates.txt"))
def test_dates(text, expected):
    """Section 5.1.1: whatever was ever sent as a date."""
    at = parse_date(unquoted(text))
    assert (at is None) == (expected == "-")
    if at is not None:
        assert datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S") == expected


def test_days_that_are_not():
    """A date that does not exist is none (section 5.1.1, step 7)."""
    assert parse_date("Thu, 31 Feb 2028 00:00:00 GMT") is None
    assert parse_date("Fri, 01 Jan 1600 00:00:00 GMT") is None
    assert parse_date("Wed, 29 Feb 2040 23:59:59 GMT") == datetime(2040, 2, 29, 23, 59, 59, tzinfo=UTC).timestamp()
