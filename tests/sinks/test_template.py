"""--template: a record as a line of text."""

from __future__ import annotations

import json

import pytest

from crawler.cli.main import main
from crawler.config.config import Config, ConfigError
from crawler.config.fields import FIELDS, PARTS
from crawler.models import ErrorInfo, Input, Record
from crawler.sinks.fields import TemplateLine

RECORD = Record(
    url="http://a.example/x", input=Input(source="urls.txt", line=7), outcome="ok", status=200, time_total=0.12345,
    size_body=1_234_567, warnings=["bad_header", "truncated"], title="\x1b[31mred\nline\u202e \ud800",
    wire_headers={"content-type": ["text/html"], "set-cookie": ["a=1", "b=2"]}, reused=True,
    data={"price": 12.5, "name": "n", "tags": ["x", 3], "a.b": {"c": [1]}, "no": None, "big": 10**400},
)  # fmt: skip
FAILED = Record(
    url="http://b.example/", input=Input(), outcome="failed", error=ErrorInfo("dns_nxdomain", "dns", False, "no such")
)


def line(template: str, record: Record = RECORD) -> str:
    return TemplateLine(Config.build(template=template).template)(record, 0).decode()


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{status} {url}", "200 http://a.example/x\n"),
        (r"{status}\t{url}\n", "200\thttp://a.example/x\n"),
        (r"{url}\n\n", "http://a.example/x\n\n"),
        (r"C:\\new\q {status}", "C:\\new\\q 200\n"),
        ("{url:<20}|{url:>20}|{url:.6}|{status:05d}", "http://a.example/x  |  http://a.example/x|http:/|00200\n"),
        ("{time_total:.2f} {size_body:,} {size_body:_}", "0.12 1,234,567 1_234_567\n"),
        ("{{{status}}}", "{200}\n"),
        ("{input.line} {input_line} {input.source}", "7 7 urls.txt\n"),
        ("{data.price:>6} {data.name!s}", None),
        ("{data.price:>6} {data.name:>3} {data.tags[0]} {data.tags[1]}", "  12.5   n x 3\n"),
        ('{data["a.b"]} {data["a.b"].c[0]}', '{"c":[1]} 1\n'),
        ("{headers.content-type} {headers.set-cookie} {headers.set-cookie[1]}", "text/html a=1, b=2 b=2\n"),
        ("{warnings} {redirects} {error} {error_code} {data.no} {data.none.x}", "bad_header, truncated - - - - -\n"),
        ("{reused} {truncated} {page.words}", "true false -\n"),
        ("{data.big:.1f}", f"{10**400}\n"),
        ("{data.name:.3f}|{data.name:>6d}|{data.no:>4.1f}|", "n|     n|   -|\n"),
        ("{title}", r"\x1b[31mred\x0aline\u202e \ud800" + "\n"),
    ],
)
def test_lines(template, expected):
    """As str.format has it; nothing is a hyphen; what a server sent makes no line end and moves no cursor."""
    if expected is None:
        with pytest.raises(ConfigError, match="there is nothing to convert"):
            line(template)
    else:
        assert line(template) == expected


def test_what_failed():
    """The parts of an error, and what there is not."""
    assert line("{error_code} {error.phase} {error.transient} {status:>4}", FAILED) == "dns_nxdomain dns false    -\n"


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{statsu} {url}", "'statsu' is not a field of the record (did you mean status?)"),
        ("{}", "has {} without the name of a field (as {url})"),
        ("{0}", "'0' is no field and no path into one"),
        ("{url", "expected '}' before end of string"),
        ("url}", "Single '}' encountered in format string"),
        ("{url:.3f}", "has {url:.3f}: Unknown format code 'f' for object of type 'str'"),
        ("{status:{width}}", "that is no way to format"),
        ("{status:9999999999d}", "that is no way to format"),
        ("{size_body:c}", "has {size_body:c}: no value is a character ({size_body:d} for a number)"),
        ("{data.price:>3c}", "({data.price:>3d} for a number)"),
        ("{input_line:.1%} {url:%}", "has {url:%}: Unknown format code '%'"),
        ("status url", "has no field in it"),
        ("", "is not a text with fields in braces"),
        ("{url.__class__}", None),
        ("{data.__class__.__mro__}", None),
    ],
)
def test_mistakes(template, words):
    """They are told before anything is fetched; no path leads out of a record."""
    if words is None:
        assert line(template) == "-\n"
        return
    with pytest.raises(ConfigError) as caught:
        Config.build(template=template)
    assert words in str(caught.value)
    assert str(caught.value).startswith("keyword template: ")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"output": "a.txt"}, "'a.txt' holds lines of text: add --template '{status} {url}'"),
        ({"output": "a.jsonl", "template": "{url}"}, "no output takes it (name a .txt with -o, or leave out -o)"),
        ({"output": "a.txt", "template": "{url}", "job": "j"}, "lines of text cannot be (name a .jsonl or .csv)"),
    ],
)
def test_outputs_that_do_not_fit(options, words):
    """A template without an output, and the other way round."""
    with pytest.raises(ConfigError) as caught:
        Config.build(**options)
    assert words in str(caught.value)


def test_names_of_fields():
    """What may be named is what records have."""
    assert Record.__struct_encode_fields__ == FIELDS
    parts = [
        f"{field}_{part}" for field, of in (("input", Input), ("error", ErrorInfo)) for part in of.__struct_fields__
    ]
    assert [*PARTS] == parts


def test_a_run(site, folder, capfd):
    """Lines go to standard output and to .txt, while other outputs keep their format."""
    urls = [site.url("/hello/english.html"), site.url("/missing.html")]
    assert main([*urls, "--ordered", "-q", "--template", r"{status}\t{url}"]) == 0
    lines = [f"200\t{urls[0]}", f"404\t{urls[1]}"]
    assert capfd.readouterr().out.splitlines() == lines
    done = main([*urls, "--ordered", "-q", "--template", "{status}\t{url}", "-o", "a.txt", "-o", "b.jsonl", "-o", "-"])
    assert (done, capfd.readouterr().out.splitlines()) == (0, lines)
    assert (folder / "a.txt").read_text().splitlines() == lines
    assert [json.loads(line)["status"] for line in (folder / "b.jsonl").read_text().splitlines()] == [200, 404]
    assert main([urls[0], "-q", "--template", "{url}", "--items", "i.txt"]) == 2
