"""The sinks that write text: JSON Lines, CSV and the human line. What is written can be read back, whatever it holds."""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from crawler.errors import CODES
from crawler.models import ErrorInfo, Input, Record, Redirect
from crawler.sinks.csv import Csv
from crawler.sinks.fields import COLUMNS, FIELDS
from crawler.sinks.human import Human, format_line
from crawler.sinks.jsonl import JsonLines

RECORD = Record(
    url="http://example.com/a",
    final_url="https://example.com/a",
    input=Input(source="urls.txt", line=12),
    outcome="ok",
    warnings=["extra_bytes"],
    status=200,
    http_version="1.1",
    wire_headers={"content-type": ["text/html; charset=utf-8"], "set-cookie": ["a=b", "c=d"]},
    content_type="text/html",
    charset="utf-8",
    size_download=612,
    size_body=1256,
    sha256="a" * 64,
    redirects=(Redirect("http://example.com/a", 301),),
    attempts=1,
    remote_ip="192.0.2.1",
    reused=True,
    started="2026-01-01T00:00:00.000Z",
    time_total=0.123456,
)
FAILED = Record(
    url="http://nowhere.invalid/",
    input=Input(source="urls.txt", line=13),
    outcome="failed",
    error=ErrorInfo("dns_nxdomain", "dns", True, "the host name does not exist"),
)


class Page:
    """A Writer that keeps what is written; one item per write."""

    def __init__(self):
        self.lines: list[bytes] = []
        self.calls: list[str] = []

    def write(self, data: bytes) -> None:
        self.lines.append(data)

    def flush(self) -> None:
        self.calls.append("flush")

    def close(self) -> None:
        self.calls.append("close")


def jsonl(*records: Record, **options: Any) -> list[bytes]:
    page = Page()
    sink = JsonLines(page, **options)
    for sequence, record in enumerate(records):
        assert sink.write(record, None, sequence) is None
    return page.lines


def table(*records: Record, **options: Any) -> list[dict[str, str]]:
    """The rows as a reader of CSV sees them."""
    page = Page()
    sink = Csv(page, **options)
    for sequence, record in enumerate(records):
        assert sink.write(record, None, sequence) is None
    text = b"".join(page.lines).decode()
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=options.get("delimiter", ",")))


# JSON Lines.


def test_jsonl():
    """A record is one line with every key of the schema, in its order."""
    lines = jsonl(RECORD, FAILED)
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in lines)
    first, second = map(json.loads, lines)
    assert list(first) == list(second) == list(FIELDS)
    assert first["headers"]["set-cookie"] == ["a=b", "c=d"]
    assert first["input"] == {"source": "urls.txt", "line": 12}
    assert second["error"] == {
        "code": "dns_nxdomain",
        "phase": "dns",
        "transient": True,
        "message": "the host name does not exist",
    }
    assert second["body"] is None


def test_jsonl_fields():
    """--fields picks keys, in the order in which they were asked for."""
    assert jsonl(RECORD, fields=("status", "url")) == [b'{"status":200,"url":"http://example.com/a"}\n']
    assert jsonl(RECORD, fields=("url", "url")) == [b'{"url":"http://example.com/a"}\n']
    assert jsonl(msgspec.structs.replace(RECORD, wire_body="x"), fields=("body",)) == [b'{"body":"x"}\n']


def test_jsonl_parts_of_fields():
    """The parts of input and error have the same names as in CSV; without an error its parts are null."""
    assert jsonl(FAILED, RECORD, fields=("error_code", "input_line", "input")) == [
        b'{"error_code":"dns_nxdomain","input_line":13,"input":{"source":"urls.txt","line":13}}\n',
        b'{"error_code":null,"input_line":12,"input":{"source":"urls.txt","line":12}}\n',
    ]


@pytest.mark.parametrize("sink", [JsonLines, Csv])
def test_unknown_fields(sink):
    """A field that does not exist is an error that names it and what there is."""
    with pytest.raises(ValueError, match=r"unknown field 'wire_body', 'nope' \(allowed: url, final_url, .*body"):
        sink(Page(), fields=("url", "wire_body", "nope"))


@pytest.mark.parametrize("sink", [JsonLines, Csv])
def test_fields_inside_of_fields(sink):
    """A path reaches into data, and into what else has parts; where there is nothing, there is null."""
    found = msgspec.structs.replace(RECORD, data={"price": 3, "tags": ["a", "b"], "a.b": {"c": True}})
    paths = (
        "status", "data.price", "data.tags[0]", "data.tags[-1]", "data.tags[2]", 'data["a.b"].c', "data.nope.deeper",
        "data.price[0]", "headers.set-cookie[1]", "redirects[0].status", "input.line", "error.code", "title.x",
    )  # fmt: skip
    sink_of = Page()
    sink(sink_of, fields=paths).write(found, None, 0)
    if sink is JsonLines:
        row = json.loads(b"".join(sink_of.lines))
        assert tuple(row) == paths
        values = list(row.values())
    else:
        header, row = csv.reader(io.StringIO(b"".join(sink_of.lines).decode()))
        assert tuple(header) == paths
        values = [json.loads(cell) if cell.isdigit() or cell == "true" else cell or None for cell in row]
    assert values == [200, 3, "a", "b", None, True, None, None, "c=d", 301, 12, None, None]


def test_the_bytes_of_the_body_stay_out():
    """The body that rides along for Python is not part of the wire form."""
    record = msgspec.structs.replace(RECORD).with_body(b"secret")
    assert b"secret" not in jsonl(record)[0]
    assert "secret" not in str(table(record))


@pytest.mark.parametrize("end", ["\n", "\r", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"])
def test_one_line_for_every_reader(end):
    """No reader, however it finds its lines, sees two where there is one record; the text comes back unchanged."""
    record = msgspec.structs.replace(RECORD, title=f"é{end}two")
    [line] = jsonl(record)
    assert len(line.decode().splitlines()) == 1
    assert json.loads(line)["title"] == record.title


@pytest.mark.parametrize(
    ("text", "written"),
    [("a\ud800b", "a\ufffdb"), ("\udfff", "\ufffd"), ("\ud83d\ude00", "😀"), ("\udc80\udc80", "\ufffd\ufffd")],
)
@pytest.mark.parametrize("options", [{}, {"fields": ("title", "data")}])
def test_lone_surrogates(text, written, options):
    """Text without a UTF-8 form does not stop the record: lone surrogates are replaced, pairs become what they mean."""
    record = msgspec.structs.replace(RECORD, title=text, data={text: [text, (text,), 1]})
    first = json.loads(jsonl(record, **options)[0])
    assert first["title"] == written
    assert first["data"] == {written: [written, [written], 1]}
    row = table(record, **options)[0]
    assert row["title"] == written
    assert json.loads(row["data"]) == {written: [written, [written], 1]}


# CSV.


def test_csv():
    """A header row, then the record's fields: parts of input and error in columns of their own, lists as compact JSON."""
    first, second = table(RECORD, FAILED)
    assert list(first) == list(COLUMNS)
    assert first["url"] == "http://example.com/a"
    assert (first["input_source"], first["input_line"], first["input_parent"]) == ("urls.txt", "12", "")
    assert (first["status"], first["reused"], first["truncated"]) == ("200", "true", "false")
    assert first["time_total"] == "0.123456"
    assert first["redirects"] == '[{"url":"http://example.com/a","status":301}]'
    assert json.loads(first["headers"]) == RECORD.headers
    assert first["warnings"] == '["extra_bytes"]'
    assert first["error_code"] == first["error_transient"] == ""
    assert (second["error_code"], second["error_phase"], second["error_transient"]) == ("dns_nxdomain", "dns", "true")
    assert second["status"] == second["headers"] == ""


def test_csv_columns_are_every_field():
    """No field of the record is missing from the table."""
    assert {
        column.partition("_")[0] if column.startswith(("input_", "error_")) else column for column in COLUMNS
    } == set(FIELDS)


def test_csv_header_without_records():
    """An output without records still has its header row."""
    page = Page()
    Csv(page, fields=("url", "status")).close()
    assert page.lines == [b"url,status\n"]


def test_csv_fields():
    """--fields picks columns; `error` stands for all its parts."""
    page = Page()
    Csv(page, fields=("status", "error", "input_line", "error_code")).write(FAILED, None, 0)
    assert page.lines == [
        b"status,error_code,error_phase,error_transient,error_message,input_line\n",
        b',"dns_nxdomain","dns",true,"the host name does not exist",13\n',
    ]


def test_tsv():
    """With a tab as delimiter it is TSV."""
    page = Page()
    Csv(page, fields=("url", "title"), delimiter="\t").write(msgspec.structs.replace(RECORD, title="a\tb,c"), None, 0)
    assert page.lines == [b"url\ttitle\n", b'"http://example.com/a"\t"a\tb,c"\n']


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"])
def test_formula_guard(start):
    """Text that a spreadsheet would run gets an apostrophe, unless raw cells were asked for."""
    record = msgspec.structs.replace(RECORD, title=f"{start}cmd|' /C calc'!A0", data=f"{start}1")
    guarded, raw = table(record, fields=("title", "data"))[0], table(record, fields=("title", "data"), raw=True)[0]
    assert guarded == {"title": f"'{record.title}", "data": f"'{start}1"}
    assert raw == {"title": record.title, "data": f"{start}1"}


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("value", ["x;=1+1", 'x";=1+1', "x;;-1;@a", 'a","=1', "a\t=1\n=1", ["x;=1+1"], {"a;=b": ";+1"}])
def test_a_part_of_a_cell_is_no_formula(delimiter, value):
    """Whatever parts cells where the table is opened: no part of ours becomes a cell that would be run."""
    page = Page()
    record = msgspec.structs.replace(RECORD, title=value if isinstance(value, str) else None, data=value)
    Csv(page, fields=("title", "data", "status")).write(record, None, 0)
    text = b"".join(page.lines).decode()
    for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
        assert not [cell for cell in row if cell[:1] in set("=+-@")]
    (row,) = table(record, fields=("data",), raw=True)
    assert (json.loads(row["data"]) if not isinstance(value, str) else row["data"]) == value
    (row,) = table(record, fields=("data",))
    if not isinstance(value, str):
        assert json.loads(row["data"]) == value


def test_all_text_is_quoted():
    """A value of digits that is text stays text for a reader that tells them apart."""
    page = Page()
    record = msgspec.structs.replace(RECORD, title="007", data="1e5")
    Csv(page, fields=("title", "data", "status", "reused", "remote_ip"), header=False).write(record, None, 0)
    assert page.lines == [f'"007","1e5",200,true,"{RECORD.remote_ip}"\n'.encode()]


def test_numbers_are_not_guarded():
    """A negative number is a number."""
    assert table(msgspec.structs.replace(RECORD, data=-1.5), fields=("data",)) == [{"data": "-1.5"}]


@pytest.mark.parametrize("text", ['a"b', "a,b", "a\nb", "a\rb", "a\r\nb", " a ", "a\0b", '"', ""])
def test_quoting(text):
    """Every text comes back as it was, line ends of all kinds included."""
    assert table(msgspec.structs.replace(RECORD, title=text), fields=("title",)) == [{"title": text}]


# Both.

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
maybe_text = st.none() | text
seconds = st.none() | st.floats(0, 1e6)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
)
records = st.builds(
    Record,
    url=text,
    final_url=maybe_text,
    input=st.builds(
        Input, source=maybe_text, line=st.none() | st.integers(1), parent=maybe_text, depth=st.none() | st.integers(0)
    ),
    outcome=st.sampled_from(["ok", "failed", "skipped"]),
    error=st.none()
    | st.builds(ErrorInfo, code=st.sampled_from(sorted(CODES)), phase=text, transient=st.booleans(), message=text),
    warnings=st.lists(text, max_size=2),
    status=st.none() | st.integers(100, 999),
    wire_headers=st.none() | st.dictionaries(text, st.lists(text, max_size=2), max_size=3),
    redirects=st.lists(st.builds(Redirect, url=text, status=st.integers(300, 399)), max_size=2).map(tuple),
    time_total=seconds,
    title=maybe_text,
    data=json_values,
    wire_body=maybe_text,
)


@settings(max_examples=15)
@given(st.lists(records, max_size=2))
def test_every_record_can_be_read_back_from_jsonl(written):
    """The file holds exactly the records, one to a line, and gives them back equal."""
    lines = b"".join(jsonl(*written)).decode().splitlines()
    assert [msgspec.json.decode(line, type=Record) for line in lines] == written


@settings(max_examples=15)
@given(st.lists(records, max_size=2), st.booleans())
def test_every_record_can_be_read_back_from_csv(written, raw):
    """The table has one row for each record, and each cell gives its value back."""
    rows = table(*written, raw=raw)
    assert len(rows) == len(written)
    for row, record in zip(rows, written, strict=True):
        values = json.loads(msgspec.json.encode(record))
        for part in ("source", "line", "parent", "depth"):
            values[f"input_{part}"] = values["input"].get(part)
        for part in ErrorInfo.__struct_fields__:
            values[f"error_{part}"] = values["error"][part] if values["error"] else None
        for column in COLUMNS:
            value, cell = values[column], row[column]
            if isinstance(value, str):
                guarded = re.sub("(?<=[;\t\r\n])[=+\\-@\uff1d\uff0b\uff0d\uff20]", r"'\g<0>", value)
                assert cell == value or (not raw and cell in {guarded, f"'{guarded}"})
            elif value is None:
                assert cell == ""
            else:
                assert json.loads(cell) == value


@pytest.mark.parametrize("make", [JsonLines, Csv, lambda page: Human(page, Console(file=io.StringIO()))])
def test_flush_and_close_reach_the_writer(make):
    """The sink keeps nothing back."""
    page = Page()
    sink = make(page)
    sink.flush()
    sink.close()
    assert page.calls == ["flush", "close"]


# The human line.


def test_human_line():
    """Status, time, size and where the URL led."""
    assert format_line(RECORD) == "200   0.123s    1.3 kB  http://example.com/a -> https://example.com/a"


def test_human_line_of_a_failure():
    """What went wrong stands where the status would stand; the reason follows the URL."""
    assert format_line(FAILED) == "dns_nxdomain            http://nowhere.invalid/  (the host name does not exist)"


def test_human_lines_align():
    """The URLs of all lines begin in the same column, whatever the code."""
    assert max(map(len, CODES)) <= 22
    for record in (RECORD, FAILED, msgspec.structs.replace(RECORD, size_body=10**9, time_total=None, status=999)):
        assert format_line(record).index("http") == 24


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (10**9, "1.0 GB"),
        (10**13, "10000.0 GB"),
    ],
)
def test_sizes(size, shown):
    """Sizes have the unit that keeps them short."""
    assert shown == format_line(msgspec.structs.replace(RECORD, size_body=size))[12:24].strip()


def test_human_line_is_safe():
    """Whatever a server or a list says, the line is one line and holds nothing that acts on the terminal."""
    error = ErrorInfo("http_not_http", "headers", False, "got \x1b]0;owned\x07\n200 ok")
    record = msgspec.structs.replace(FAILED, url="http://h/\x1b[2J\u202e", final_url="http://h/\r\n", error=error)
    line = format_line(record)
    assert not {unicodedata.category(char) for char in line} & {"Cc", "Cf"}
    assert r"\x1b[2J\u202e" in line


@pytest.mark.parametrize(
    ("record", "start"),
    [
        (RECORD, "\x1b[32m200 "),
        (msgspec.structs.replace(RECORD, status=301), "\x1b[36m301 "),
        (msgspec.structs.replace(RECORD, status=404), "\x1b[33m404 "),
        (msgspec.structs.replace(RECORD, status=500), "\x1b[31m500 "),
        (FAILED, "\x1b[31mdns_nxdomain "),
        (msgspec.structs.replace(FAILED, outcome="skipped"), "\x1b[2mdns_nxdomain "),
    ],
)
def test_human_colours(record, start):
    """On a terminal with colours the outcome has one; the URL has none."""
    page = Page()
    console = Console(file=io.StringIO(), force_terminal=True, color_system="standard", _environ={})
    Human(page, console).write(record, None, 0)
    line = page.lines[0].decode()
    assert line.startswith(start)
    assert line.endswith("\n")
    assert line.index("\x1b[0m") < line.index("http")
    assert line.count("\x1b") == 2


@pytest.mark.parametrize(
    "console",
    [
        Console(file=io.StringIO(), force_terminal=False, _environ={}),
        Console(file=io.StringIO(), force_terminal=True, color_system="standard", _environ={"NO_COLOR": "1"}),
    ],
)
def test_human_without_colours(console):
    """Where there are no colours, or none are wanted (NO_COLOR), there is no escape sequence at all."""
    page = Page()
    Human(page, console).write(RECORD, None, 0)
    assert page.lines == [format_line(RECORD).encode() + b"\n"]


def test_human_on_a_terminal_without_unicode():
    """What the terminal's encoding cannot show is escaped, not an error."""
    page = Page()
    console = Console(file=io.TextIOWrapper(io.BytesIO(), encoding="ascii"), _environ={})
    Human(page, console).write(msgspec.structs.replace(RECORD, url="http://é/", final_url=None), None, 0)
    assert page.lines[0].endswith(b"http://\\xe9/\n")
