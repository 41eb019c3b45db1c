"""models: what a record says, in Python and on the wire."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from record_tools import failed, made, skipped

from crawler.errors import CodedError
from crawler.models import (
    FetchError,
    Findings,
    Input,
    Record,
    Redirect,
    Request,
    Response,
    Timings,
    record_of,
    timestamp,
    unfetched,
    untried,
)
from crawler.urls import parse

# The wire schema, in its order. Names are public: they never change.
FIELDS = [
    "url", "final_url", "input", "outcome", "error", "warnings", "method", "status", "http_version", "headers",
    "content_type", "charset", "size_download", "size_body", "truncated", "sha256", "duplicate_of",
    "redirects", "attempts", "remote_ip", "reused", "proxy", "cache", "started", "time_queue", "time_namelookup", "time_connect", "time_appconnect",
    "time_starttransfer", "time_total", "title", "links", "data", "meta", "body", "body_encoding", "body_path", "page",
]  # fmt: skip


def request(url: str = "http://user:secret@a.example/x?y", **fields: object) -> Request:
    parsed = parse(url)
    return Request(
        **{
            "id": 3,
            "url": parsed,
            "written": "HTTP://A.example/x?y",
            "input": Input(source="urls.txt", line=12),
            "accepted": 5.0,
            **fields,
        }
    )


def response(body: bytes = b"hello", **fields: object) -> Response:
    return Response(
        **{
            "timings": Timings(0.1, 0.2, None, 0.3, 0.4),
            "started": 1_750_000_000.1239,
            "status": 200,
            "http_version": "1.1",
            "headers": {"content-type": ["text/html; charset=UTF-8"], "x": ["1", "2"]},
            "body": body,
            "size_download": len(body),
            "remote_ip": "192.0.2.1",
            "reused": False,
            "proxy": None,
            **fields,
        }
    )


def wire(record: Record) -> dict[str, object]:
    value = json.loads(msgspec.json.encode(record))
    assert isinstance(value, dict)
    return value


class TestRecordOf:
    def test_a_good_answer(self):
        """Every field, as it stands in a line of JSON."""
        assert wire(record_of(request(), response(), 1.25)) == {
            "url": "HTTP://A.example/x?y",
            "final_url": "http://a.example/x?y",
            "input": {"source": "urls.txt", "line": 12},
            "outcome": "ok",
            "error": None,
            "warnings": [],
            "method": "GET",
            "status": 200,
            "http_version": "1.1",
            "headers": {"content-type": ["text/html; charset=UTF-8"], "x": ["1", "2"]},
            "content_type": "text/html",
            "charset": "UTF-8",
            "size_download": 5,
            "size_body": 5,
            "truncated": False,
            "sha256": hashlib.sha256(b"hello").hexdigest(),
            "duplicate_of": None,
            "redirects": [],
            "attempts": 1,
            "remote_ip": "192.0.2.1",
            "reused": False,
            "proxy": None,
            "cache": None,
            "started": "2025-06-15T15:06:40.123Z",
            "time_queue": 1.25,
            "time_namelookup": 0.1,
            "time_connect": 0.2,
            "time_appconnect": None,
            "time_starttransfer": 0.3,
            "time_total": 0.4,
            "title": None,
            "links": None,
            "data": None,
            "meta": None,
            "body": None,
            "body_encoding": None,
            "body_path": None,
            "page": None,
        }

    def test_nothing_but_a_failure(self):
        """What never answered has no status, no headers, no hash and no final URL; the error says why."""
        failed = Response(Timings(total=2.0), 0.0, error=CodedError("connect_refused", "192.0.2.1:80: refused"))
        record = wire(record_of(request(attempt=3), failed, 0.0))
        assert record["outcome"] == "failed"
        assert record["error"] == {
            "code": "connect_refused",
            "phase": "connect",
            "transient": True,
            "message": "192.0.2.1:80: refused",
        }
        nothing = ("final_url", "status", "headers", "sha256", "content_type", "remote_ip", "reused", "body")
        assert all(record[name] is None for name in nothing)
        assert (record["attempts"], record["time_total"], record["size_body"]) == (3, 2.0, 0)

    def test_half_an_answer(self):
        """A body that was cut keeps its status and what came of it, and says that it was cut, once."""
        cut = response(b"hel", truncated=True, error=CodedError("body_truncated"))
        record = record_of(request(), cut, 0.0)
        assert (record.outcome, record.status, record.truncated, record.warnings) == (
            "failed",
            200,
            True,
            ["truncated"],
        )
        assert (record.body, record.size_body) == (b"hel", 3)
        assert record.sha256 == hashlib.sha256(b"hel").hexdigest()
        cut.warnings = ["bad_header", "truncated"]
        assert record_of(request(), cut, 0.0).warnings == ["bad_header", "truncated"]

    def test_a_chain(self):
        """The hops that led here, and where it ended, also when the last one failed."""
        hops = (Redirect("http://a.example/", 301),)
        asked = request("http://b.example/", redirects=hops)
        assert wire(record_of(asked, response(), 0.0))["redirects"] == [{"url": "http://a.example/", "status": 301}]
        failed = record_of(asked, Response(Timings(), 0.0, error=CodedError("dns_nxdomain")), 0.0)
        assert (failed.url, failed.final_url) == ("HTTP://A.example/x?y", "http://b.example/")

    def test_headers_may_be_left_out(self):
        """`--no-headers`; what was read from them stays."""
        record = record_of(request(), response(), 0.0, headers=False)
        assert (record.headers, record.content_type, record.charset) == (None, "text/html", "UTF-8")

    def test_the_body_is_on_the_wire_only_if_asked(self):
        """But Python has it always."""
        assert wire(record_of(request(), response(), 0.0))["body"] is None
        asked = wire(record_of(request(), response(), 0.0, wire_body=True))
        assert (asked["body"], asked["body_encoding"]) == ("hello", None)
        binary = wire(record_of(request(), response(b"\xff\x00"), 0.0, wire_body=True))
        assert (binary["body"], binary["body_encoding"]) == ("/wA=", "base64")
        assert record_of(request(), response(), 0.0).body == b"hello"

    @pytest.mark.parametrize("piece", [b"\0", bytes(range(1, 32)), b'"', b"\r\n", b"ab\0\0"])
    def test_a_large_body_of_escapes_is_in_base64(self, piece):
        """It would be up to six times as long as text, and as long in the making."""
        body = piece * (100_000 // len(piece))
        record = record_of(request(), response(body), 0.0, wire_body=True)
        assert record.body_encoding == "base64"
        read = msgspec.json.decode(msgspec.json.encode(record), type=Record)
        assert read.body == body
        small = record_of(request(), response(piece), 0.0, wire_body=True)
        assert (small.wire_body, small.body_encoding) == (piece.decode(), None)

    @pytest.mark.parametrize(
        "piece", [b'{"id":"1","name":"a"},', b"a line\r\n", b"\tx", "\u4e2d\u6587".encode(), b"0123456789\0"]
    )
    def test_a_large_text_stays_text(self, piece):
        """Quotes, line ends and a stray control character are in texts, too."""
        body = piece * (100_000 // len(piece))
        record = record_of(request(), response(body), 0.0, wire_body=True)
        assert (record.wire_body, record.body_encoding) == (body.decode(), None)

    def test_no_body_is_not_an_empty_one(self):
        """Without an answer `body` is null; an empty answer has an empty one."""
        failed = Response(Timings(), 0.0, error=CodedError("conn_reset"))
        assert wire(record_of(request(), failed, 0.0, wire_body=True))["body"] is None
        assert wire(record_of(request(), response(b""), 0.0, wire_body=True))["body"] == ""

    def test_nothing_shows_the_password(self):
        """Neither the record nor the request as they print."""
        record = record_of(request(), response(), 0.0)
        assert "secret" not in f"{wire(record)} {record!r}"
        assert "secret" not in repr(request().url)

    def test_times_are_micro_seconds(self):
        """More digits than the clock has are noise."""
        record = record_of(request(), response(timings=Timings(total=1 / 3)), 2 / 3)
        assert (record.time_total, record.time_queue, record.time_connect) == (0.333333, 0.666667, None)


class TestFindings:
    def test_what_was_found_is_in_the_record(self):
        """Title, number of links, data and the URL that had the same content first."""
        findings = Findings(title="T", links=3, data={"a": 1}, duplicate_of="http://a.example/first")
        record = record_of(request(), response(), 0.0, findings=findings)
        assert (record.title, record.links, record.data) == ("T", 3, {"a": 1})
        assert (record.duplicate_of, record.outcome) == ("http://a.example/first", "ok")

    def test_a_page_that_cannot_be_parsed_as_asked(self):
        """It has failed, though its answer arrived; that stays in the record."""
        findings = Findings(error=CodedError("parse_error", "no JSON"))
        record = record_of(request(), response(), 0.0, findings=findings)
        assert record.error is not None
        assert (record.outcome, record.error.code, record.status, record.body) == (
            "failed",
            "parse_error",
            200,
            b"hello",
        )

    def test_the_error_of_the_fetch_comes_first(self):
        """A body that was cut explains why it cannot be parsed, not the other way round."""
        cut = response(error=CodedError("body_truncated"), truncated=True)
        record = record_of(request(), cut, 0.0, findings=Findings(error=CodedError("parse_error")))
        assert record.error is not None
        assert record.error.code == "body_truncated"

    def test_warnings_are_added_once(self):
        """Those of the fetch first."""
        got = response(warnings=["charset"])
        findings = Findings(warnings=["parse_truncated", "charset"])
        assert record_of(request(), got, 0.0, findings=findings).warnings == ["charset", "parse_truncated"]
        assert got.warnings == ["charset"]


class TestWithoutAFetch:
    def test_a_bad_line(self):
        """All keys are there, and nothing was tried."""
        record = unfetched("no url", Input(source="x", line=1), CodedError("url_invalid", "the URL is empty"))
        assert list(wire(record)) == FIELDS
        assert (record.url, record.outcome, record.attempts, record.started) == ("no url", "failed", 0, None)

    def test_what_was_skipped(self):
        """Policy is no failure."""
        record = unfetched("http://a.example/", Input(parent="p", depth=1), CodedError("robots_denied"))
        assert record.outcome == "skipped"
        assert wire(record)["input"] == {"parent": "p", "depth": 1}

    @pytest.mark.parametrize(
        ("code", "outcome"),
        [
            ("duplicate", "skipped"),
            ("robots_denied", "skipped"),
            ("out_of_scope", "skipped"),
            ("budget_exceeded", "skipped"),
            ("url_invalid", "failed"),
            ("address_blocked", "failed"),
            ("host_unavailable", "failed"),
        ],
    )
    def test_what_counts_as_skipped(self, code, outcome):
        """What somebody wanted left out; a host that was given up, or an address that is refused, is a failure."""
        error = CodedError(code)
        assert unfetched("http://a.example/", Input(), error).outcome == outcome
        assert untried(request(), error).outcome == outcome

    @pytest.mark.parametrize(
        ("attempt", "hops", "attempts", "final_url"),
        [(1, 0, 0, None), (3, 0, 2, None), (1, 2, 1, "http://a.example/x?y"), (2, 1, 1, "http://a.example/x?y")],
    )
    def test_what_was_given_up(self, attempt, hops, attempts, final_url):
        """The tries that were made count, not the one that was not; a hop belongs to a try that had begun."""
        redirects = tuple(Redirect(f"http://b.example/{n}", 302) for n in range(hops))
        asked = request(attempt=attempt, redirects=redirects, method="HEAD")
        record = untried(asked, CodedError("host_unavailable", "it failed"))
        assert (record.attempts, record.redirects, record.final_url) == (attempts, redirects, final_url)
        assert (record.outcome, record.method, record.status, record.started) == ("failed", "HEAD", None, None)
        assert record.error is not None
        assert (record.error.code, record.error.message) == ("host_unavailable", "it failed")
        assert record.url == "HTTP://A.example/x?y"


class TestWire:
    def test_every_key_is_always_there(self):
        """In the same order, whatever happened."""
        failed = Response(Timings(), 0.0, error=CodedError("conn_reset"))
        for record in (record_of(request(), response(), 0.0), record_of(request(), failed, 0.0)):
            assert list(wire(record)) == FIELDS

    def test_it_can_be_read_again(self):
        """A record from a file is the record that was written; without `--include-body` its body is gone."""
        with_body = record_of(request(), response(b"\xff"), 0.5, wire_body=True)
        again = msgspec.json.decode(msgspec.json.encode(with_body), type=Record)
        assert again == with_body
        assert again.body == b"\xff"
        without = msgspec.json.decode(msgspec.json.encode(record_of(request(), response(), 0.5)), type=Record)
        assert without.body == b""

    def test_it_can_be_pickled(self):
        """Records cross processes (multiprocessing), their bodies with them."""
        record = record_of(request(), response(), 0.5)
        again = pickle.loads(pickle.dumps(record))
        assert (again, again.body) == (record, b"hello")

    @settings(max_examples=60, derandomize=True, database=None)
    @given(st.binary(max_size=200))
    def test_any_body(self, body):
        """Text or base64: the same bytes come out again, in valid UTF-8."""
        record = record_of(request(), response(body), 0.0, wire_body=True)
        line = msgspec.json.encode(record)
        line.decode("utf-8")
        assert msgspec.json.decode(line, type=Record).body == body


class TestPython:
    @pytest.mark.parametrize(
        ("status", "error", "ok"),
        [(200, None, True), (399, None, True), (400, None, False), (500, None, False), (200, "body_truncated", False)],
    )
    def test_ok(self, status, error, ok):
        """A whole answer below 400."""
        got = response(status=status, error=CodedError(error) if error else None)
        assert record_of(request(), got, 0.0).ok is ok

    def test_text_is_decoded_as_declared(self):
        """By the charset of the header; without one, as browsers guess."""
        latin = response("é".encode("latin-1"), headers={"content-type": ["text/plain; charset=iso-8859-1"]})
        assert record_of(request(), latin, 0.0).text == "é"
        assert record_of(request(), response("é".encode()), 0.0).text == "é"
        assert record_of(request(), response(b""), 0.0).text == ""

    def test_the_selector_knows_the_type(self):
        """HTML unless the header says JSON or XML."""
        page = record_of(request(), response(b"<title>A</title>"), 0.0)
        assert page.selector.css("title::text").get() == "A"
        feed = response(b"<a><B>x</B></a>", headers={"content-type": ["application/atom+xml"]})
        assert record_of(request(), feed, 0.0).selector.xpath("//B/text()").get() == "x"
        data = response(b'{"a": [1, 2]}', headers={"content-type": ["application/json"]})
        assert record_of(request(), data, 0.0).selector.jmespath("a[1]").get() == 2

    @pytest.mark.parametrize("kind", ["text/html", "application/json", "application/xml", ""])
    def test_the_selector_of_nothing(self, kind):
        """An empty body has an empty selector, not an exception."""
        record = record_of(request(), response(b"", headers={"content-type": [kind]}), 0.0)
        assert record.selector.xpath("//x") == [] if "json" not in kind else record.selector.jmespath("x") == []

    def test_json(self):
        """The body, parsed; what is no JSON raises ValueError."""
        assert record_of(request(), response(b'{"a": 1}'), 0.0).json() == {"a": 1}
        with pytest.raises(ValueError, match="Expecting value"):
            record_of(request(), response(b"<html>"), 0.0).json()

    @pytest.mark.parametrize(
        ("written", "repaired"),
        [
            ("http://h/", False), ("HTTPS://H/x", False), ("ws://h/", False), ("http:h", False), ("http://h/'", False), ("http://h/;", False),
            ("www.example.com/x", True), ("example.com:8080", True), ("//example.com/", True), ("http://h/,", True), ('"http://h/"', True),
            ("\u200bhttp://h/", True), ("http://h/\ufeff", True), ("\u201chttp://h/\u201d", True), ("<http://h/>", True),
        ],
    )  # fmt: skip
    def test_what_was_repaired_says_so(self, written, repaired):
        """The record has what was written; where that is no URL as it stands, a warning tells of it, but not of links."""
        typed = request(written=written)
        assert record_of(typed, response(), 0.0).warnings == ["input_repaired"] * repaired
        link = request(written=written, input=Input(parent="http://h/", depth=1))
        assert record_of(link, response(), 0.0).warnings == []

    @pytest.mark.parametrize(
        ("body", "content_type"),
        [
            (b'"caf\xe9"', "application/json; charset=iso-8859-1"),
            (b'\xef\xbb\xbf"caf\xc3\xa9"', "application/json"),
            ('\ufeff"caf\xe9"'.encode("utf-16-le"), "application/json"),
            ('"caf\xe9"'.encode("utf-16-be"), "application/json; charset=utf-16be"),
            ('"caf\xe9"'.encode("utf-16-le"), "application/json"),
            ('"caf\xe9"'.encode("utf-16-be"), "application/ld+json"),
            ('"caf\xe9"'.encode(), "text/plain"),
        ],
    )
    def test_json_is_decoded_as_the_text_is(self, body, content_type):
        """A charset, a byte order mark and UTF-16 count for json() as they do for text."""
        record = record_of(request(), response(body, headers={"content-type": [content_type]}), 0.0)
        assert record.text == '"caf\xe9"'
        assert record.json() == "caf\xe9"

    def test_headers_in_any_case(self):
        """RFC 9110 section 5.1. Without an answer there are none."""
        headers = record_of(request(), response(), 0.0).headers
        assert headers["X"] == headers["x"] == ["1", "2"]
        assert (headers.first("Content-Type"), headers.first("nope")) == ("text/html; charset=UTF-8", None)
        assert ("CONTENT-TYPE" in headers, "nope" in headers, 3 in headers) == (True, False, False)
        assert dict(headers) == {"content-type": ["text/html; charset=UTF-8"], "x": ["1", "2"]} == headers
        assert unfetched("x", Input(), CodedError("url_invalid", "no")).headers is None

    def test_as_a_mapping_it_is_its_wire_form(self):
        """Whoever makes a dict of it, as pandas and web frameworks do, gets what a line of JSON Lines holds."""
        record = record_of(request(redirects=(Redirect("http://b.example/", 302),)), response(b"\xff"), 0.0)
        wire = msgspec.json.decode(msgspec.json.encode(record))
        assert isinstance(record, Mapping)
        assert msgspec.json.decode(msgspec.json.encode(dict(record))) == wire
        assert msgspec.json.decode(msgspec.json.encode(record.to_dict())) == wire
        assert list(record) == FIELDS == list(record.keys())
        assert (len(record), record["input"], record["body"]) == (len(FIELDS), {"source": "urls.txt", "line": 12}, None)
        assert list(dict(record.items())["redirects"]) == [{"url": "http://b.example/", "status": 302}]
        with pytest.raises(KeyError, match="wire_headers"):
            record["wire_headers"]

    def test_raise_for_status(self):
        """What is fine is given back; all else raises, and says why."""
        fine = record_of(request(), response(), 0.0)
        assert fine.raise_for_status() is fine
        gone = record_of(request(), response(status=404), 0.0)
        with pytest.raises(FetchError, match=r"HTTP://A.example/x\?y: status 404") as raised:
            gone.raise_for_status()
        assert raised.value.record is gone
        failed = record_of(request(), response(error=CodedError("body_truncated", "3 of 5")), 0.0)
        with pytest.raises(FetchError, match="body_truncated: 3 of 5"):
            failed.raise_for_status()
        assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)

    def test_records_do_not_change(self):
        """They are shared between sinks."""
        record = record_of(request(), response(), 0.0)
        with pytest.raises(AttributeError):
            record.status = 404


class TestRequest:
    def test_what_was_discovered(self):
        """A link or a redirect led there; another try does not make it so."""
        assert not request(attempt=3, parked=True).discovered
        assert request(redirects=(Redirect("http://b.example/", 302),)).discovered
        assert request(input=Input(parent="http://b.example/", depth=1)).discovered

    def test_the_first_of_a_header(self):
        """Or None."""
        assert (response().first("x"), response().first("y")) == ("1", None)

    def test_defaults_are_not_shared(self):
        """A warning for one answer is not one for all."""
        first, second = Response(Timings(), 0.0), Response(Timings(), 0.0)
        first.warnings.append("x")
        first.headers["a"] = ["b"]
        assert (second.warnings, second.headers) == ([], {})


@pytest.mark.parametrize(
    ("epoch", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1_750_000_000.0, "2025-06-15T15:06:40.000Z"),
        (1_750_000_000.9999, "2025-06-15T15:06:40.999Z"),
        (951_782_400.001, "2000-02-29T00:00:00.001Z"),
    ],
)
def test_timestamps(epoch, text):
    """RFC 3339, UTC, milliseconds, cut and not rounded into another second."""
    assert timestamp(epoch) == text


def test_a_record_is_shown_in_a_line() -> None:
    """What became of it, and no body."""
    ok = made("/a", size_body=12_345)
    assert repr(ok) == f"<Record ok 200 {ok.url} 12,345 bytes>"
    led = made("/a", final_url="http://a.example/b", size_body=0)
    assert repr(led) == f"<Record ok 200 {led.url} -> http://a.example/b 0 bytes>"
    lost = failed("/b", "conn_reset")
    assert lost.error is not None
    assert repr(lost) == f"<Record failed conn_reset {lost.url}: {lost.error.message}>"
    assert repr(skipped("/c")).startswith("<Record skipped robots_denied https://")
