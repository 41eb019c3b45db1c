"""The options of what is asked for: methods, bodies, ranges; what goes together, and one sentence for what does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from crawler.config.config import Config, ConfigError
from crawler.config.options.request import Data, Field, Form, FormData, Json, Method, Range, Referer

METHODS = "a method (GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE, or another token)"
RANGES = "a range of bytes (0-499 the first 500, 500- all after these, -500 the last 500)"


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        (Method(), "POST", "POST"),
        (Method(), "post", "POST"),
        (Method(), "Delete", "DELETE"),
        (Method(), "M-SEARCH", "M-SEARCH"),
        (Method(), "purge", "purge"),
        (Data(), "", ""),
        (Data(), "a=1\r\nb: 2", "a=1\r\nb: 2"),
        (Data(), "@file", "@file"),
        (Data(), Path("a/b"), "@a/b"),
        (FormData(Data()), {"a": "1 &", "b": ["2", 3]}, ("a=1+%26&b=2&b=3",)),
        (FormData(Data()), ["a=1", "@b"], ("a=1", "@b")),
        (Json(), '{"a": 1}', '{"a": 1}'),
        (Json(), {"a": [1, None, "ä"]}, '{"a":[1,null,"ä"]}'),
        (Json(), [], "[]"),
        (Json(), "@q.json", "@q.json"),
        (Field(), "a=", "a="),
        (Form(Field()), {"a": "b", "f": Path("x/y.png"), "n": 5}, ("a=b", "f=@x/y.png", "n=5")),
        (Range(), "0-499", "0-499"),
        (Range(), "bytes=500-", "500-"),
        (Range(), "0-1, 5-6,-3", "0-1,5-6,-3"),
        (Referer(), "http://a.example/x?y#z", "http://a.example/x?y"),
    ],
)
def test_reads(kind, raw, value):
    assert kind.read(raw) == value


@pytest.mark.parametrize(
    ("kind", "raw", "message"),
    [
        (Method(), "", f"'' is not {METHODS}"),
        (Method(), "GET /\r\nX: y", f"'GET /\\r\\nX: y' is not {METHODS}"),
        (Method(), "GÉT", f"'GÉT' is not {METHODS}"),
        (Method(), 5, f"5 is not {METHODS}"),
        (Method(), "connect", "'connect' is refused: it makes tunnels, and asks for nothing"),
        (Data(), "@", "what was given is not text, or @FILE"),
        (Data(), b"secret", "what was given is not text, or @FILE"),
        (Data(), "secret\udc80", "what was given is not Unicode text (put it in a file: @FILE)"),
        (Json(), "{'secret': 1}", "is not JSON: object keys must be strings (byte 1)"),
        (Json(), '{"a": 1} x', "is not JSON: trailing characters (byte 10)"),
        (Json(), "", "is not JSON: Input data was truncated"),
        (Json(), {"a": object()}, "it cannot be written as JSON: Encoding objects of type object is unsupported"),
        (Range(), "-", f"'-' is not {RANGES}"),
        (Range(), "a-b", f"'a-b' is not {RANGES}"),
        (Range(), "9-0", "'9-0' ends before it begins (write 0-9)"),
        (Referer(), "a.example", "'a.example' is not a URL (http:// or https://)"),
        (Referer(), "http:///x", "'http:///x' is not a URL (http:// or https://)"),
        (
            Referer(),
            "http://me:secret@a.example/",
            "'http://a.example/' has a user name or password, which no server must learn (leave it out)",
        ),
    ],
)
def test_refuses(kind, raw, message):
    with pytest.raises(ValueError) as caught:
        kind.read(raw)
    assert str(caught.value) == message


@pytest.mark.parametrize("raw", ["a", "=b", "a\n=b", 5])
def test_no_field(raw):
    with pytest.raises(ValueError, match="is not a field of a form"):
        Field().read(raw)


@pytest.mark.parametrize(
    ("options", "method"),
    [
        ({}, "GET"),
        ({"data": "a=1"}, "POST"),
        ({"data": ""}, "POST"),
        ({"json": {}}, "POST"),
        ({"form": "a=1"}, "POST"),
        ({"data": "a=1", "method": "PUT"}, "PUT"),
        ({"data": "a=1", "method": "GET"}, "GET"),
        ({"head": True}, "HEAD"),
        ({"head": True, "method": "HEAD"}, "HEAD"),
    ],
)
def test_the_method_that_is_meant(options, method):
    """As with curl."""
    assert Config.build(**options).method == method


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": "a", "json": "1"}, "keyword json: cannot be combined with keyword data (a request has one body)"),
        ({"form": "a=1", "data": "a"}, "keyword form: cannot be combined with keyword data (a request has one body)"),
        ({"data": "a", "head": True}, "keyword data: cannot be combined with keyword head (HEAD requests have no body)"),
        ({"json": 1, "method": "TRACE"}, "keyword json: cannot be combined with keyword method (TRACE requests have no body)"),
        ({"head": True, "method": "GET"}, "keyword head: cannot be combined with keyword method GET (-I asks with HEAD)"),
        ({"data": ["@-", "@-"]}, "keyword data: standard input can be read only once"),
        ({"form": ["a=@-;type=x/y"], "inputs": "-"}, "keyword form: standard input can be read only once"),
        ({"range": "0-9", "recursive": True}, "keyword range: cannot be combined with keyword recursive (without whole pages there are no links)"),
        ({"head": True, "recursive": True}, "keyword head: cannot be combined with keyword recursive (without whole pages there are no links)"),
        ({"method": "HEAD", "recursive": True}, "keyword method: cannot be combined with keyword recursive (without bodies there are no links)"),
        ({"referer": "http://a/", "headers": "referer: b"}, "keyword referer: cannot be combined with keyword headers 'Referer' (write one of them)"),
        ({"range": "0-9", "headers": "RANGE: b"}, "keyword range: cannot be combined with keyword headers 'Range' (write one of them)"),
        ({"form": "a=b", "headers": "Content-Type: b/c"}, "keyword form: cannot be combined with keyword headers 'Content-Type' (it is made with the form)"),
    ],
)  # fmt: skip
def test_what_does_not_go_together(options, message):
    with pytest.raises(ConfigError) as caught:
        Config.build(**options)
    assert str(caught.value) == message


def test_a_crawl_may_begin_with_a_post():
    """A search, a login: what it leads to is fetched with GET."""
    assert Config.build(recursive=True, data="q=x").method == "POST"


def test_headers_that_tell_of_the_body_go_with_it():
    """And with nothing else: not with the robots.txt, nor with what a redirect leads to."""
    headers = ["content-type: text/x", "X-A: b", "Content-Encoding: gzip"]
    config = Config.build(headers=headers, data="a", referer="http://a.example/")
    assert config.header_pairs == (("X-A", "b"), ("Referer", "http://a.example/"))
    assert config.body_headers == (("content-type", "text/x"), ("Content-Encoding", "gzip"))
    assert Config.build(headers=headers).body_headers == ()
