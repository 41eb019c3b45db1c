"""crawler.Request: what may be asked for, one sentence for each fault, and what becomes of it at the border."""

from __future__ import annotations

import copy
import io
import pickle
import urllib.parse
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler import Request
from crawler.config.options.request import Method
from crawler.models import Ask, FileBody, FormBody, Input, Part
from crawler.seeds.asked import of_object
from crawler.seeds.inputs import BadLine, Seed, from_iterable, read
from crawler.seeds.seed import TEXT_LIMIT
from crawler.urls import parse

URL = "http://a.example/"
FORM = "application/x-www-form-urlencoded"


def function(page: object) -> None:
    """A parse function."""


class OtherUrl:
    """A URL of another library."""

    def __str__(self) -> str:
        return URL


class TestValue:
    @pytest.mark.parametrize(
        ("given", "method", "body", "content_type"),
        [
            ({}, "GET", None, None),
            ({"method": "put"}, "PUT", None, None),
            ({"method": "PURGE"}, "PURGE", None, None),
            ({"data": "a=1"}, "POST", b"a=1", FORM),
            ({"data": b"\xff"}, "POST", b"\xff", FORM),
            ({"data": {"a": "ü b", "n": 2}}, "POST", b"a=%C3%BC+b&n=2", FORM),
            ({"form": [("a", "1"), ("a", "2")]}, "POST", b"a=1&a=2", FORM),
            ({"form": {"a": ["1", "2"]}}, "POST", b"a=1&a=2", FORM),
            ({"json": {"a": ["ü", None]}}, "POST", '{"a":["ü",null]}'.encode(), "application/json"),
            ({"json": [], "method": "PATCH"}, "PATCH", b"[]", "application/json"),
        ],
    )
    def test_the_body_and_its_type(self, given, method, body, content_type):
        """Text goes as it is, a mapping as a form, and with a body the method is POST unless it is said."""
        request = Request(URL, **given)
        assert (request.method, request.body, request.content_type) == (method, body, content_type)

    def test_files_make_it_multipart(self, tmp_path):
        """Fields of the form stand before them; what is in a file is read when it is sent, if it is the same then."""
        path = tmp_path / "a.txt"
        path.write_bytes(b"12345")
        request = Request(URL, form={"a": "1"}, files={"f": path, "g": ("g.png", b"png"), "h": b"raw"})
        kept = FileBody(str(path), 5, path.stat().st_mtime_ns)
        assert request.body == FormBody(
            (Part("a", b"1"), Part("f", kept, "a.txt"), Part("g", b"png", "g.png"), Part("h", b"raw", "h"))
        )

    @pytest.mark.parametrize(
        ("url", "params", "asked_for"),
        [
            ("http://a/", {"q": "a b&c", "n": 5}, "http://a/?q=a+b%26c&n=5"),
            ("http://a/?x=1#top", [("q", "é"), ("q", "2")], "http://a/?x=1&q=%C3%A9&q=2#top"),
            ("/search?", {"q": ["1", "2"]}, "/search?q=1&q=2"),
            ("http://a/", {}, "http://a/"),
        ],
    )
    def test_params(self, url, params, asked_for):
        """They go behind the query that the URL has, urlencoded, before its fragment."""
        assert Request(url, params=params).url == asked_for

    def test_as_requests_has_it(self, tmp_path):
        """A file as the body, headers as lines, a file with its type."""
        path = tmp_path / "a.bin"
        path.write_bytes(b"12345")
        request = Request(URL, data=path, headers=["A: b", "Content-Type: text/x"], method="PUT")
        assert request.body == FileBody(str(path), 5, path.stat().st_mtime_ns)
        assert request.headers == (("A", "b"), ("Content-Type", "text/x"))
        assert Request(URL, files={"f": ("n.txt", b"x", "text/x")}).body == FormBody(
            (Part("f", b"x", "n.txt", "text/x"),)
        )

    def test_it_is_frozen(self):
        """Nothing of it can be changed, nor through what it was made of."""
        meta = {"page": [1]}
        request = Request(URL, meta=meta, headers={"A": "b"})
        meta["page"].append(2)
        assert request.meta == {"page": [1]}
        with pytest.raises(AttributeError):
            request.url = "http://b.example/"  # type: ignore[misc]

    def test_it_is_a_value(self):
        """Equal ones are equal, also as keys; copies and other processes get the same."""
        one, other = (Request(URL, json={"a": 1}, meta={"n": 1}, callback=function) for _ in range(2))
        assert one == other == copy.copy(one) == pickle.loads(pickle.dumps(one))
        assert len({one, other, Request(URL, json={"a": 2})}) == 2

    def test_every_method_of_the_command_line(self):
        """What -X takes a line of JSON Lines takes as well, and a Request; however it is written."""
        for method in Method().values:
            assert Request(URL, method=method.lower()).method == method
            assert of_object(URL, {"method": method}).method == method
        assert Request(URL, method="M-SEARCH").method == "M-SEARCH"

    def test_repr_has_no_secrets(self):
        """Neither what stands before the host, nor the values of headers, nor the body."""
        request = Request(
            "http://me:hunter2@a.example/x?y",
            headers={"Authorization": "Bearer hunter2"},
            form={"password": "hunter2"},
            meta={"page": 2},
            callback=function,
        )
        assert repr(request) == (
            "Request('http://a.example/x?y', method='POST', headers=[Authorization], "
            "body=<16 bytes of application/x-www-form-urlencoded>, meta={'page': 2}, callback=function)"
        )

    @pytest.mark.parametrize(
        ("given", "sentence"),
        [
            ({"method": "GE T"}, r"method: 'GE T' is not a method"),
            ({"method": 5}, r"method: 5 is not a str"),
            ({"method": "CONNECT"}, r"method: CONNECT is not for fetching"),
            ({"method": "trace", "data": "x"}, r"method: TRACE is not for fetching with a body"),
            ({"headers": "A: b"}, r"headers: str is neither a mapping nor \(name, value\) pairs"),
            ({"headers": {"A b": "c"}}, r"headers: 'A b' is not the name of a header"),
            ({"headers": {"A": 5}}, r"headers: 'A' is of int"),
            ({"headers": {"A": "b\r\nC: d"}}, r"headers: 'A' has a value with a line end"),
            ({"headers": {"A": "\ud800"}}, r"headers: 'A' has a value with a line end"),
            ({"headers": {"Content-Length": "5"}}, r"headers: 'Content-Length' is refused"),
            ({"headers": ["A"]}, r"headers: 'A' is not a header"),
            ({"data": PurePosixPath("/nowhere")}, r"data: '/nowhere' cannot be read"),
            ({"data": io.BytesIO(b"x")}, r"data: a file is given as its path \(pathlib.Path\), not as BytesIO"),
            ({"params": "a=1"}, r"params: str is neither a mapping nor \(name, value\) pairs"),
            ({"files": {"a": ("b", b"c", 5)}}, r"files: 5 is neither the name of a file nor a content type"),
            ({"metod": "PUT"}, r"metod: a Request has no such parameter \(did you mean method\?\)"),
            ({"zzz": 1}, r"zzz: a Request has no such parameter$"),
            ({"formdata": {"a": "hunter2"}}, r"formdata: a Request has no such parameter \(write form=\{...\}\)$"),
            ({"cb_kwargs": {}}, r"cb_kwargs: .* \(write meta=\{...\}, which the function finds in page.meta\)"),
            ({"dont_filter": True}, r"dont_filter: .* \(a crawl asks once for a URL, a method and a body\)"),
            ({"timeout": 3}, r"timeout: .* \(write timeout=SECONDS for the run, or for its host in hosts=\{...\}\)"),
            (
                {"url": urllib.parse.urlsplit(URL)},
                r"a URL must be a str, not urllib.SplitResult \(write url.geturl\(\)\)",
            ),
            ({"data": 5}, r"data: int is neither text nor bytes"),
            ({"data": "\ud800"}, r"data: it is not Unicode text"),
            ({"json": object()}, r"json: it cannot be written as JSON"),
            ({"form": "a=b"}, r"form: str is neither a mapping nor \(name, value\) pairs"),
            ({"form": {"a": {"b": 1}}}, r"form: the field 'a' has a dict"),
            ({"form": {"a": "\ud800"}}, r"form: the field 'a' holds a lone surrogate"),
            ({"form": {"\ud800": "a"}, "files": {}}, r"form: '\\ud800' holds a lone surrogate"),
            ({"files": {"\ud800": b"a"}}, r"files: '\\ud800' holds a lone surrogate"),
            ({"files": {"a": ("\ud800", b"a")}}, r"files: '\\ud800' holds a lone surrogate"),
            ({"files": {"a": PurePosixPath("/\udcff")}}, r"files: '/\\udcff' holds a lone surrogate"),
            ({"files": {"a": "name"}}, r"files: 'a' is a str \(allowed: bytes, or a pathlib.Path\)"),
            ({"files": {"a": PurePosixPath("/nowhere")}}, r"files: '/nowhere' cannot be read"),
            ({"files": {}, "json": 1}, r"json and files: beside files there are fields"),
            ({"data": "a", "json": 1}, r"data and json: a request has one body"),
            ({"meta": {"a": object()}}, r"meta: it cannot be written as JSON"),
            ({"meta": "x" * 70_000}, r"meta: it is 70,002 bytes of JSON \(allowed: 65,536\)"),
            ({"callback": "parse"}, r"callback: 'parse' is not a function"),
            ({"url": 5}, r"a URL must be a str, not int"),
            ({"url": OtherUrl()}, r"a URL must be a str, not test_asked.OtherUrl \(write str\(url\)\)"),
            ({"url": b"http://a/"}, r"a URL must be a str, not bytes \(write url.decode\(\)\)"),
        ],
    )
    def test_one_sentence_names_what_is_wrong(self, given, sentence):
        """What cannot be sent is said where it is written, by the name of the parameter."""
        with pytest.raises((TypeError, ValueError), match=f"^{sentence}"):
            Request(**{"url": URL} | given)

    def test_secrets_are_in_no_sentence(self):
        """A header or a field may hold one, also one that is wrong."""
        for wrong in ({"headers": {"Authorization": "hunter2\n"}}, {"form": {"password": {"hunter2": 1}}}):
            with pytest.raises((TypeError, ValueError)) as caught:
                Request(URL, **wrong)
            assert "hunter2" not in str(caught.value)


def seeds(*items: object, **options: Any) -> list[Seed | BadLine]:
    return list(from_iterable(items, **options))


class TestIterables:
    def test_requests_dicts_and_urls(self):
        """Each may stand where a URL does, in one list; a plain one is what its URL is."""
        ask = Ask(body=b"[1]", content_type="application/json", meta={"n": 1})
        found = seeds(
            Request(URL), Request(parse(URL), json=[1], meta={"n": 1}), {"url": URL, "json": [1], "meta": {"n": 1}}
        )
        url = parse(URL)
        assert found == [
            Seed(url, URL, Input("urls", 1)),
            Seed(url, URL, Input("urls", 2), "POST", ask),
            Seed(url, URL, Input("urls", 3), "POST", ask),
        ]

    def test_a_method_that_is_not_said_is_the_runs(self):
        """One that is said counts, also GET; any other than GET is something that is asked for."""
        found = seeds(Request(URL, meta=1), Request(URL, method="GET"), Request(URL, method="DELETE"))
        assert [(seed.method, seed.ask) for seed in found] == [(None, Ask(meta=1)), ("GET", None), ("DELETE", Ask())]

    def test_bad_items_cost_one_record_each(self):
        """What is wrong with it says which of its keys it is; the rest of the list goes on."""
        found = seeds(
            {"url": URL, "headers": 5},
            {"url": 5},
            {"uri": URL},
            {"url": URL, "method": "GE T"},
            Request("no url", meta={"n": 1}),
            OtherUrl(),
            Path("/x"),
            bytearray(b"http://a/"),
            Request(URL, callback=function),
            Request("ws://a.example/", json=1),
            URL,
        )
        assert [isinstance(item, BadLine) for item in found] == [True] * 10 + [False]
        assert [item.error.message.partition(":")[0] for item in found[:4]] == [
            "headers",
            "a URL must be a str, not int",
            "the dict has no key 'url'",
            "method",
        ]
        assert [item.error.code for item in found[:4]] == [
            "request_invalid", "url_invalid", "url_invalid", "request_invalid",
        ]  # fmt: skip
        assert found[4].meta == {"n": 1}
        assert found[5].error.message == "a URL must be a str, not test_asked.OtherUrl (write str(url))"
        assert found[6].error.message.endswith("(write str(url))")
        assert found[7].error.message.endswith("(write url.decode())")
        assert "crawl()" in found[8].error.message
        assert found[9].error.message.startswith("method: a WebSocket")

    def test_other_keys_of_a_dict(self):
        """They are none of ours, unless they are to be kept: then they are meta, beside what is said to be."""
        row = {"url": URL, "sku": 7, "meta": {"n": 1}}
        assert seeds(row)[0].ask == Ask(meta={"n": 1})
        assert seeds(row, keep=True)[0].ask == Ask(meta={"sku": 7, "n": 1})
        assert seeds({"url": URL, "sku": 7})[0].ask is None

    def test_one_request_is_not_a_list(self):
        with pytest.raises(TypeError, match="an iterable of URLs is wanted, not one Request"):
            from_iterable(Request(URL))  # type: ignore[arg-type]

    def test_callbacks_are_named(self):
        assert seeds(Request(URL, callback=function), name=lambda called: called.__name__)[0].ask == Ask(
            callback="function"
        )

    @given(
        st.lists(
            st.dictionaries(
                st.sampled_from(["url", "method", "headers", "data", "json", "form", "meta", "x", "callback"]),
                st.none() | st.text(max_size=5) | st.integers() | st.binary(max_size=3)
                | st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2)
                | st.lists(st.text(max_size=3), max_size=2) | st.just(URL),
                max_size=5,
            )
        ),
        st.booleans(),
    )  # fmt: skip
    def test_any_dict_gives_one(self, items, keep):
        """No item is lost, doubled or fatal."""
        found = list(from_iterable(items, keep=keep))
        assert [item.input.line for item in found] == [*range(1, len(items) + 1)]
        assert all(isinstance(item, Seed) or len(item.text) <= TEXT_LIMIT for item in found)


def lines(tmp_path: Path, name: str, text: str | bytes, **options: Any) -> list[Seed | BadLine]:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(read([str(path)], **options))


class TestJsonLines:
    def test_a_line_says_how_to_ask(self, tmp_path):
        """By the names that Request has; null is nothing, and other keys are none of ours."""
        (seed,) = lines(
            tmp_path,
            "x.jsonl",
            '{"url":"http://a.example/","method":"PUT","headers":{"X-A":"b"},"form":{"q":"ü"},"json":null,"meta":[1],"x":1}',
        )
        assert seed.method == "PUT"
        assert seed.ask == Ask(headers=(("X-A", "b"),), body=b"q=%C3%BC", content_type=FORM, meta=[1])

    @pytest.mark.parametrize("key", ["method", "headers", "data", "form"])
    @pytest.mark.parametrize("name", ["x.jsonl", "x.json"])
    def test_a_wrong_type_is_one_bad_line(self, tmp_path, name, key):
        """It names the key; the next line goes on."""
        items = [f'{{"url":"http://a.example/","{key}":5}}', '{"url":"http://b.example/"}']
        text = f"[{','.join(items)}]" if name == "x.json" else "\n".join(items)
        bad, good = lines(tmp_path, name, text)
        assert (bad.error.code, bad.text) == ("request_invalid", URL)
        assert bad.error.message.startswith(f"{key}: ")
        assert good.url.href == "http://b.example/"

    def test_a_callback_is_no_business_of_a_file(self, tmp_path):
        (seed,) = lines(tmp_path, "x.jsonl", '{"url":"http://a.example/","callback":"os:system"}')
        assert seed.ask is None

    def test_records_of_a_run_are_asked_for_by_their_urls(self, tmp_path):
        """Their method and headers are those of an answer; their meta stays theirs."""
        record = (
            '{"url":"http://a.example/","final_url":null,"outcome":"ok","attempts":1,"method":"POST",'
            '"headers":{"server":["x"]},"data":[{"a":1}],"meta":{"n":1}}'
        )
        (seed,) = lines(tmp_path, "x.jsonl", record)
        assert (seed.method, seed.ask) == (None, Ask(meta={"n": 1}))

    def test_other_keys_are_kept_where_that_is_asked_for(self, tmp_path):
        (seed,) = lines(tmp_path, "x.jsonl", '{"id":7,"link":"http://a.example/","json":1}', column="link", keep=True)
        assert seed.ask == Ask(body=b"1", content_type="application/json", meta={"id": 7})


class TestTables:
    def test_other_columns_are_kept(self, tmp_path):
        """By the names in the header; what a short row lacks is empty, what a long one has more has its number."""
        text = "id,url,name,name\n1,http://a.example/,ü,x\n2,http://b.example/\n3,http://c.example/,a,b,c\n"
        metas = [seed.ask.meta for seed in lines(tmp_path, "x.csv", text, keep=True)]
        assert metas == [
            {"id": "1", "name": "ü", "name_2": "x"},
            {"id": "2", "name": "", "name_2": ""},
            {"id": "3", "name": "a", "name_2": "b", "5": "c"},
        ]

    def test_without_a_header_they_are_numbers(self, tmp_path):
        (seed,) = lines(tmp_path, "x.tsv", "a\thttp://a.example/\tb\n", keep=True)
        assert seed.ask == Ask(meta={"1": "a", "3": "b"})

    def test_a_bad_row_keeps_them_too(self, tmp_path):
        """A table that goes in comes out with as many rows, each with its cells."""
        good, bad = lines(tmp_path, "x.csv", "id,url\n1,http://a.example/\n2,nonsense\n", keep=True)
        assert (good.ask.meta, bad.meta) == ({"id": "1"}, {"id": "2"})

    def test_what_is_not_utf_8_is_replaced(self, tmp_path):
        (seed,) = lines(tmp_path, "x.csv", b"id,url\n\xff,http://a.example/\n", keep=True)
        assert seed.ask == Ask(meta={"id": "\ufffd"})

    def test_a_row_that_is_too_large_is_one_bad_line(self, tmp_path):
        """Memory is bounded by what a row may take along."""
        bad, good = lines(
            tmp_path, "x.csv", f"id,url\n{'x' * 70_000},http://a.example/\n2,http://b.example/", keep=True
        )
        assert (bad.error.code, good.ask.meta) == ("request_invalid", {"id": "2"})

    def test_else_they_are_not_looked_at(self, tmp_path):
        assert lines(tmp_path, "x.csv", "id,url\n1,http://a.example/\n")[0].ask is None
