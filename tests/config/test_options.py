"""Each kind of value: what it reads, what it refuses and in which words."""

from __future__ import annotations

from pathlib import Path as FilePath

import pytest

from crawler.config.kinds import (
    GIB,
    KIB,
    MIB,
    RESERVED_HEADERS,
    Choice,
    Flag,
    Header,
    Headers,
    Kind,
    Line,
    Many,
    Option,
    Path,
    Seconds,
    Size,
    Whole,
    pair,
    suggestion,
)

WHOLE = Whole(0, 10_000)
SIZE = Size(1, GIB)
SECONDS = Seconds(0.001, 86_400.0)
FILE = Path("a file")
HEADERS = Headers(Header())

GOOD = [
    (Flag(), True, True),
    (Flag(), "yes", True),
    (Flag(), "ON", True),
    (Flag(), 1, True),
    (Flag(), "0", False),
    (Flag(), "False", False),
    (WHOLE, 0, 0),
    (WHOLE, "10000", 10_000),
    (SIZE, 1, 1),
    (SIZE, "4096", 4096),
    (SIZE, "500k", 500_000),
    (SIZE, "500 kB", 500_000),
    (SIZE, "10MiB", 10 * MIB),
    (SIZE, "1.5m", 1_500_000),
    (SIZE, "1.5MiB", MIB + MIB // 2),
    (SIZE, "2ki", 2 * KIB),
    (SIZE, "0.1k", 100),
    (SIZE, "1G", 10**9),
    (SIZE, "7B", 7),
    (SECONDS, 3, 3.0),
    (SECONDS, 0.5, 0.5),
    (SECONDS, "2.5", 2.5),
    (SECONDS, ".5s", 0.5),
    (SECONDS, "500ms", 0.5),
    (SECONDS, "1.5 s", 1.5),
    (SECONDS, "2m", 120.0),
    (SECONDS, "1h", 3600.0),
    (Choice(("GET", "HEAD")), "HEAD", "HEAD"),
    (Line(), " a b ", "a b"),
    (Line(), "größe", "größe"),
    (FILE, "a b", "a b"),
    (FILE, FilePath("x") / "y", str(FilePath("x") / "y")),
    (Many(FILE), "one", ("one",)),
    (Many(FILE), FilePath("one"), ("one",)),
    (Many(FILE), ["one", "two"], ("one", "two")),
    (Many(FILE), (), ()),
    (HEADERS, "X-A: b", ("X-A: b",)),
    (HEADERS, ["X-A:b:c", "Empty;"], ("X-A: b:c", "Empty;")),
    (HEADERS, {"X-A": " b ", "Empty": ""}, ("X-A: b", "Empty;")),
    (HEADERS, [("X-A", "b"), ("X-A", "c")], ("X-A: b", "X-A: c")),
    (HEADERS, ("X-A: b", "X-B: c"), ("X-A: b", "X-B: c")),
]

TIME = "is not a time from 0.001 to 86400 seconds (or with a unit: 500ms, 1.5s, 2m, 1h, 1d)"
BYTES = "is not a size from 1 to 1GiB (bytes, or with a unit: 500k, 10MiB, 1G; k is 1000, KiB is 1024)"
HEADER = 'is not a header ("Name: value", or "Name;" for an empty one)'
CONTROL = "has a value with a line end, a NUL or another control character"
BAD = [
    (Flag(), "maybe", "'maybe' is not true or false (1, 0, yes, no)"),
    (Flag(), 2, "2 is not true or false (1, 0, yes, no)"),
    (Flag(), None, "None is not true or false (1, 0, yes, no)"),
    (WHOLE, "many", "'many' is not a whole number from 0 to 10,000"),
    (WHOLE, "-1", "'-1' is not a whole number from 0 to 10,000"),
    (WHOLE, 10_001, "10001 is not a whole number from 0 to 10,000"),
    (WHOLE, "9" * 5000, f"'{'9' * 75}...' is not a whole number from 0 to 10,000"),
    (WHOLE, "\u0661", "'\u0661' is not a whole number from 0 to 10,000"),
    (WHOLE, 1.0, "1.0 is not a whole number from 0 to 10,000"),
    (WHOLE, True, "True is not a whole number from 0 to 10,000"),
    (SIZE, 0, f"0 {BYTES}"),
    (SIZE, "2G", f"'2G' {BYTES}"),
    (SIZE, "10 potatoes", f"'10 potatoes' {BYTES}"),
    (SIZE, "-1", f"'-1' {BYTES}"),
    (SIZE, 1.5, f"1.5 {BYTES}"),
    (SECONDS, 0, f"0 {TIME}"),
    (SECONDS, "soon", f"'soon' {TIME}"),
    (SECONDS, "25h", f"'25h' {TIME}"),
    (SECONDS, float("nan"), f"nan {TIME}"),
    (SECONDS, float("inf"), f"inf {TIME}"),
    (SECONDS, "inf", f"'inf' {TIME}"),
    (SECONDS, True, f"True {TIME}"),
    (SECONDS, None, f"None {TIME}"),
    (Choice(("GET", "HEAD")), "get", "'get' is not one of GET, HEAD"),
    (Line(), " ", "' ' is not one line of text"),
    (Line(), "a\nb", r"'a\nb' is not one line of text"),
    (Line(), "\udc80", r"'\udc80' is not one line of text"),
    (FILE, "", "'' is not a file"),
    (FILE, "a\0b", r"'a\x00b' is not a file"),
    (FILE, b"a", "bytes is not a file"),
    (Many(FILE), ["a", 1], "1 is not a file"),
    (Many(FILE), 1, "1 is not a list, each a file"),
    (Many(FILE), {"a": "b"}, "dict is not a list, each a file"),
    (HEADERS, "X-A", f"'X-A' {HEADER}"),
    (HEADERS, ["X-A: b", 3], f"3 {HEADER}"),
    (HEADERS, "X-A:", "'X-A' has no value (write \"X-A;\" to send it empty)"),
    (HEADERS, "X A: b", "'X A' is not the name of a header"),
    (HEADERS, ": b", "'' is not the name of a header"),
    (HEADERS, "X-A: secret\r\nHost: x", f"'X-A' {CONTROL}"),
    (HEADERS, "X-A: secret\0", f"'X-A' {CONTROL}"),
    (HEADERS, {"X-A\n": "b"}, r"'X-A\n' is not the name of a header"),
    (HEADERS, {"X-A": "\udc80"}, f"'X-A' {CONTROL}"),
    (HEADERS, "Host: a b", "'Host' has a value that is no host (example.com, example.com:8080, [::1])"),
    (HEADERS, "host: a/b", "'host' has a value that is no host (example.com, example.com:8080, [::1])"),
    (HEADERS, "Host;", "'Host' has a value that is no host (example.com, example.com:8080, [::1])"),
    (HEADERS, "CONTENT-LENGTH: 5", "'CONTENT-LENGTH' is refused: it follows from the body"),
    (HEADERS, "User-Agent: x", "'User-Agent' is refused: --user-agent sets it"),
]


@pytest.mark.parametrize(("kind", "raw", "value"), GOOD)
def test_reads(kind: Kind, raw: object, value: object) -> None:
    """A value may be given as Python and TOML have it, or as text; the result has exactly the option's type."""
    read = kind.read(raw)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(("kind", "raw", "message"), BAD)
def test_refuses(kind: Kind, raw: object, message: str) -> None:
    """A refusal quotes the bad value and says what is allowed; it never quotes a header's value, maybe a secret."""
    with pytest.raises(ValueError) as caught:
        kind.read(raw)
    assert str(caught.value) == message


@pytest.mark.parametrize("name", ["Content-Length", "Transfer-Encoding", "Connection", "Accept-Encoding", "TE"])
def test_reserved_headers(name: str) -> None:
    """What the engine itself must say about framing and connection is not the user's to say."""
    assert name.lower() in RESERVED_HEADERS
    with pytest.raises(ValueError, match="is refused"):
        HEADERS.read({name: "x"})


@pytest.mark.parametrize(("header", "parts"), [("A: b: c", ("A", "b: c")), ("Empty;", ("Empty", ""))])
def test_pair(header: str, parts: tuple[str, str]) -> None:
    """A header that was read divides into its name and its value."""
    assert pair(header) == parts


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (Flag(), True, "true"),
        (WHOLE, 64, "64"),
        (SIZE, 10 * MIB, "10MiB"),
        (SIZE, 1000, "1000"),
        (Size(0, 10), 0, "0"),
        (SECONDS, 60.0, "60s"),
        (SECONDS, 0.25, "0.25s"),
        (Many(FILE), ("a", "b"), "a b"),
    ],
)
def test_shows(kind: Kind, value: object, text: str) -> None:
    """A default is shown as a person would type it, and what is shown can be read."""
    assert kind.show(value) == text
    if not isinstance(kind, Many):
        assert kind.read(text) == value


@pytest.mark.parametrize(
    ("word", "known", "text"),
    [
        ("concurency", ["delay", "concurrency"], " (did you mean concurrency?)"),
        ("--conc", ["--config", "--concurrency"], " (did you mean --concurrency?)"),
        ("CRAWLER_DELYA", ["CRAWLER_COLUMN", "CRAWLER_DELAY"], " (did you mean CRAWLER_DELAY?)"),
        ("--bogus", ["--bodies", "--quiet"], ""),
        ("CRAWLER_ZZZ", ["CRAWLER_URL", "CRAWLER_COLUMN"], ""),
        ("", ["--bodies"], ""),
    ],
)
def test_suggestion(word: str, known: list[str], text: str) -> None:
    """An unknown name brings the nearest known one, if any is near."""
    assert suggestion(word, known) == text


@pytest.mark.parametrize(
    ("flag", "default", "opposites"),
    [
        ("--ordered", False, ("--no-ordered",)),
        ("--progress", True, ("--no-progress",)),
        ("--no-headers", False, ("--headers",)),
        ("--schema", None, ()),
        ("--retries", 2, ()),
    ],
)
def test_opposites(flag: str, default: object, opposites: tuple[str, ...]) -> None:
    """Every switch can be turned both ways; nothing else has an opposite."""
    assert Option(Flag(), "", "", (flag,), default=default).opposites == opposites
