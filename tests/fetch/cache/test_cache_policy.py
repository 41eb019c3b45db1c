"""What a private cache may keep and use: RFC 9111, by tables. The cases are those of the RFC and of cache-tests.fyi."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.fetch.cache.fields import MOST, directives, http_date, seconds
from crawler.fetch.cache.policy import (
    LONGEST_GUESS,
    Asked,
    Stored,
    age,
    is_of,
    is_usable,
    kept_headers,
    lifetime,
    may_store,
    may_validate,
    not_modified,
    updated,
    validators,
)

NOW = 1_750_000_000.0  # Sun, 15 Jun 2025 15:06:40 GMT


def date(after: float = 0.0) -> str:
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(NOW + after))


def headers(*fields: str) -> dict[str, list[str]]:
    """Of "Name: value"; {-10} stands for a date ten seconds ago."""
    found: dict[str, list[str]] = {}
    for field in fields:
        name, _, value = field.partition(": ")
        if value.startswith("{"):
            value = date(float(value[1:-1]))
        found.setdefault(name.lower(), []).append(value)
    return found


def asked(*fields: str) -> Asked:
    lines = ["GET / HTTP/1.1", "Host: a.example", *fields, "", ""]
    return Asked("\r\n".join(lines).encode("latin-1"))


def stored(*fields: str, status: int = 200, **changes) -> Stored:
    values = {
        "url": "http://a.example/",
        "method": "GET",
        "status": status,
        "http_version": "1.1",
        "headers": headers(*fields),
        "warnings": [],
        "requested": NOW,
        "received": NOW,
        "size": 0,
        "sha256": "",
        "vary": {},
        "salt": b"",
        "apart": False,
        "public": True,
        "address": None,
    }
    return Stored(**values | changes)


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (["max-age=60, no-cache"], {"max-age": "60", "no-cache": None}),
        (["Max-AGE=60", "private"], {"max-age": "60", "private": None}),
        (['max-age="60"'], {"max-age": "60"}),
        (["max-age='60'"], {"max-age": "'60'"}),
        (['extension="max-age=100", max-age=1'], {"extension": "max-age=100", "max-age": "1"}),
        (['a="b\\"c, no-store", d'], {"a": 'b"c, no-store', "d": None}),
        (["max-age =100"], {}),
        (["max-age= 100"], {"max-age": " 100"}),
        (["max-age=1, max-age=100"], {"max-age": "1"}),
        ([",, ,no-store,"], {"no-store": None}),
        (['no-cache="set-cookie, x"'], {"no-cache": "set-cookie, x"}),
        (['a="open, no-store'], {}),
    ],
)
def test_directives(values, found):
    assert directives(values) == found


def test_hostile_directives_are_read_in_a_line():
    """A field of a quarter of a megabyte: not one of them costs more than its length."""
    for text in ('"' * 250_000, 'a="\\' * 60_000, "a=," * 80_000, '"\\' * 120_000, "a" * 250_000):
        before = time.process_time()
        directives([text])
        assert time.process_time() - before < 1.0


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("3600", 3600), ("007", 7), ("99999999999", MOST), ("9" * 100_000, MOST), ("1.5", None), ("-1", None)]
    + [(text, None) for text in ("", "a100", "100a", " 100", "\u0661")]
    + [(None, None)],
)
def test_seconds(text, number):
    assert seconds(text) == number


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784111777.0),
        ("sun, 06 nov 1994 08:49:37 gmt", 784111777.0),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 784111777.0),
        ("Sun Nov  6 08:49:37 1994", 784111777.0),
        ("Sun, 06 Nov 1994 08:49:37 UTC", None),
        ("Sun, 06 Nov 1994 08:49:37 +0000", None),
        ("Sun, 6 Nov 1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 94 08:49:37 GMT", None),
        ("Sun, 06 Nov 1994 08:49 GMT", None),
        ("Sun, 06 Nov 1994 24:49:37 GMT", None),
        ("0", None),
        ("-1", None),
        ("", None),
        ("Sun, 06 Nov 0000 08:49:37 GMT", None),
    ],
)
def test_dates(text, found):
    """The three forms of RFC 9110 section 5.6.7, and nothing else: a date that cannot be read is in the past."""
    assert http_date(text) == found


@pytest.mark.parametrize(
    ("status", "fields", "kept"),
    [
        (200, ["Cache-Control: max-age=60"], True),
        (200, ["Cache-Control: private, max-age=60"], True),
        (200, ["Cache-Control: public", 'ETag: "a"'], True),
        (200, ["Expires: {60}"], True),
        (200, ['ETag: "a"'], True),
        (200, ["Last-Modified: {-1000}"], True),
        (200, [], False),  # it could never be used
        (200, ["Cache-Control: no-store, max-age=60"], False),
        (200, ["Cache-Control: NO-STORE"], False),
        (200, ["Cache-Control: max-age=0"], False),
        (200, ["Cache-Control: no-cache", 'ETag: "a"'], True),
        (200, ["Cache-Control: max-age=60", "Vary: *"], False),
        (200, ["Cache-Control: max-age=60", "Vary: Accept, *"], False),
        (200, ["Cache-Control: max-age=60", "Vary: Accept"], True),
        (203, ["Cache-Control: max-age=60"], True),
        (204, ["Cache-Control: max-age=60"], True),
        (206, ["Cache-Control: max-age=60"], False),
        (301, [], True),
        (308, [], True),
        (302, ['ETag: "a"'], False),
        (302, ["Cache-Control: max-age=60"], True),
        (307, ["Expires: {60}"], True),
        (303, [], False),
        (304, ["Cache-Control: max-age=60"], False),
        (404, ["Cache-Control: max-age=60"], True),
        (404, ["Last-Modified: {-1000}"], True),
        (403, ["Last-Modified: {-1000}"], False),
        (403, ["Cache-Control: max-age=60"], True),
        (401, ["Cache-Control: max-age=60"], False),
        (408, ["Cache-Control: max-age=60"], False),
        (429, ["Cache-Control: max-age=60"], False),
        (500, ["Cache-Control: max-age=60"], False),
        (503, ["Cache-Control: max-age=60"], False),
        (299, ["Cache-Control: max-age=60"], True),
        (299, ["Cache-Control: must-understand, max-age=60"], False),
        (200, ["Cache-Control: must-understand, no-store, max-age=60"], True),
        (101, ["Cache-Control: max-age=60"], False),
    ],
)
def test_what_may_be_stored(status, fields, kept):
    """RFC 9111 section 3."""
    assert may_store(asked(), status, headers("Date: {0}", *fields), NOW, None) is kept


@pytest.mark.parametrize(
    ("field", "kept"),
    [
        ("Cache-Control: no-store", False),
        ("Cache-Control: no-cache", True),
        ("Pragma: no-cache", True),
        ("Authorization: Basic x", True),  # a private cache
        ("Range: bytes=0-5", False),
        ('If-Range: "a"', False),
        ('If-Match: "a"', False),
        ('If-None-Match: "a"', True),
    ],
)
def test_what_may_be_stored_for_such_a_request(field, kept):
    assert may_store(asked(field), 200, headers("Cache-Control: max-age=60"), NOW, None) is kept


@pytest.mark.parametrize(
    ("status", "fields", "kept"),
    [
        (200, [], True),
        (200, ["Cache-Control: no-store", "Vary: *"], True),
        (403, [], True),
        (302, [], True),
        (206, [], False),
        (401, [], False),
        (429, [], False),
        (503, [], False),
    ],
)
def test_with_keep_for_all_is_stored_that_says_something_about_the_page(status, fields, kept):
    assert may_store(asked(), status, headers(*fields), NOW, 86_400.0) is kept


@pytest.mark.parametrize(
    ("status", "fields", "lives"),
    [
        (200, [], 0),
        (200, ["Cache-Control: max-age=60"], 60),
        (200, ["Cache-Control: max-age=60", "Expires: {-1000}"], 60),
        (200, ["Cache-Control: max-age=0", "Expires: {1000}"], 0),
        (200, ["Cache-Control: s-maxage=3600, max-age=1"], 1),
        (200, ["Cache-Control: s-maxage=3600"], 0),
        (200, ["Cache-Control: max-age=1.5", "Expires: {1000}"], 0),
        (200, ["Cache-Control: max-age", "Expires: {1000}"], 0),
        (200, ["Cache-Control: max-age=99999999999"], MOST),
        (200, ["Expires: {60}"], 60),
        (200, ["Expires: {-60}"], 0),
        (200, ["Expires: 0"], 0),
        (200, ["Expires: {60}", "Expires: {120}"], 0),
        (200, ["Expires: {60}", "Expires: {60}"], 60),
        (200, ["Expires: 0", "Last-Modified: {-1000}"], 0),
        (200, ["Last-Modified: {-1000}"], 100),
        (200, ["Last-Modified: {1000}"], 0),
        (200, ["Last-Modified: {-1e8}"], LONGEST_GUESS),
        (404, ["Last-Modified: {-1000}"], 100),
        (403, ["Last-Modified: {-1000}"], 0),
        (403, ["Cache-Control: public", "Last-Modified: {-1000}"], 100),
        (302, ["Last-Modified: {-1000}"], 0),
        (301, [], LONGEST_GUESS),
        (308, ["Cache-Control: max-age=5"], 5),
    ],
)
def test_lifetime(status, fields, lives):
    """RFC 9111 sections 4.2.1 and 4.2.2."""
    assert lifetime(status, headers("Date: {0}", *fields), NOW) == lives


def test_without_a_date_it_was_sent_when_it_was_received():
    """RFC 9110 section 6.6.1."""
    assert lifetime(200, headers("Expires: {60}"), NOW) == 60
    assert lifetime(200, headers("Last-Modified: {-1000}"), NOW) == 100


@pytest.mark.parametrize(
    ("fields", "took", "old"),
    [
        ([], 0, 10),
        (["Date: {0}"], 0, 10),
        (["Date: {-100}"], 0, 110),
        (["Date: {100}"], 0, 10),
        (["Date: {0}", "Age: 15"], 0, 25),
        (["Date: {0}", "Age: 15"], 3, 28),
        (["Date: {-100}", "Age: 15"], 3, 110),
        (["Age: 7, 9"], 0, 17),
        (["Age: -5"], 0, 10),
        (["Age: 1.5"], 0, 10),
        (["Age: a"], 0, 10),
        (["Age: 99999999999"], 0, MOST + 10),
    ],
)
def test_age(fields, took, old):
    """RFC 9111 section 4.2.3, ten seconds after it came."""
    assert age(stored(*fields, requested=NOW - took), NOW + 10) == old


@pytest.mark.parametrize(
    ("answer", "after", "request_field", "usable"),
    [
        ("max-age=60", 59, None, True),
        ("max-age=60", 60, None, False),  # fresh is what lives longer than it is old
        ("no-cache, max-age=60", 0, None, False),
        ('no-cache="set-cookie", max-age=60', 0, None, False),
        ("no-store, max-age=60", 0, None, False),
        ("must-revalidate, max-age=60", 59, None, True),
        ("max-age=60", 0, "Cache-Control: no-cache", False),
        ("max-age=60", 0, "Pragma: no-cache", False),
        ("max-age=60", 30, "Cache-Control: max-age=31", True),
        ("max-age=60", 30, "Cache-Control: max-age=30", False),
        ("max-age=60", 0, "Cache-Control: max-age=0", False),
        ("max-age=60", 0, "Cache-Control: max-age=x", False),
        ("max-age=60", 30, "Cache-Control: min-fresh=30", True),
        ("max-age=60", 31, "Cache-Control: min-fresh=30", False),
        ("max-age=60", 70, "Cache-Control: max-stale", True),
        ("max-age=60", 70, "Cache-Control: max-stale=10", True),
        ("max-age=60", 71, "Cache-Control: max-stale=10", False),
        ("max-age=60, must-revalidate", 70, "Cache-Control: max-stale", False),
        ("no-cache", 0, "Cache-Control: max-stale", False),
        ("max-age=60", 40, "Cache-Control: max-age=30, max-stale=10", True),
        ("max-age=60", 0, "Cache-Control: only-if-cached", True),
    ],
)
def test_what_may_be_used(answer, after, request_field, usable):
    """RFC 9111 sections 4.2, 5.2.1 and 5.2.2."""
    kept = stored("Date: {0}", f"Cache-Control: {answer}")
    request = asked() if request_field is None else asked(request_field)
    assert is_usable(request, kept, NOW + after, None) is usable


@pytest.mark.parametrize(
    ("fields", "after", "request_field", "usable"),
    [
        (["Cache-Control: no-store"], 99, None, True),
        (["Cache-Control: no-cache, must-revalidate, max-age=0"], 99, None, True),
        (["Cache-Control: max-age=999999"], 100, None, False),
        (["Date: {-1000}", "Age: 1000"], 99, None, True),
        ([], 99, "Cache-Control: no-cache", False),
        ([], 50, "Cache-Control: max-age=10", False),
        (["Cache-Control: must-revalidate"], 999, "Cache-Control: max-stale", True),
    ],
)
def test_with_keep_for_the_headers_of_the_answer_do_not_count(fields, after, request_field, usable):
    """It is fresh for 100 seconds from when it came, unless who asks wants it newer."""
    request = asked() if request_field is None else asked(request_field)
    assert is_usable(request, stored(*fields), NOW + after, 100.0) is usable


def test_what_keep_for_has_kept_is_nothing_for_a_run_without():
    for field in ("Cache-Control: no-store", "Vary: *"):
        kept = stored(field, 'ETag: "a"')
        assert not is_usable(asked(), kept, NOW, None)
        assert not may_validate(kept, None)
        assert may_validate(kept, 100.0)


@pytest.mark.parametrize(
    ("fields", "asks"),
    [
        (['ETag: "a"'], [("If-None-Match", '"a"')]),
        (['ETag: W/"a"', "Last-Modified: {-5}"], [("If-None-Match", 'W/"a"'), ("If-Modified-Since", date(-5))]),
        (["ETag: a"], []),
        (["Last-Modified: yesterday"], []),
        (['ETag: "a\u00ff"'], [("If-None-Match", '"a\u00ff"')]),
    ],
)
def test_how_it_is_asked(fields, asks):
    """RFC 9111 section 4.3.1."""
    assert validators(headers(*fields)) == asks


def test_the_head_of_a_validation_has_the_conditions_of_the_cache_alone():
    request = asked('If-None-Match: "mine"', "If-Modified-Since: x", "Accept: */*")
    head = request.asking(stored('ETag: "a"'))
    assert head == b'GET / HTTP/1.1\r\nHost: a.example\r\nAccept: */*\r\nIf-None-Match: "a"\r\n\r\n'


@pytest.mark.parametrize(
    ("kept", "told", "same"),
    [
        ('ETag: "a"', 'ETag: "a"', True),
        ('ETag: "a"', 'ETag: W/"a"', True),
        ('ETag: "a"', 'ETag: "b"', False),
        ('ETag: "a"', "X: y", True),
        ("Last-Modified: {-5}", "Last-Modified: {-5}", True),
        ("Last-Modified: {-5}", "Last-Modified: {-4}", False),
    ],
)
def test_which_answer_a_304_is_about(kept, told, same):
    """RFC 9111 section 4.3.4."""
    assert is_of(stored(kept), headers(told)) is same


def test_a_304_updates_headers():
    """RFC 9111 section 3.2: all but what the body that is kept depends on, and what is for one connection."""
    before = stored(
        "Date: {-100}", "Age: 5", "Content-Type: text/plain", "Content-Length: 7", "X-A: 1", "X-B: 1", 'ETag: "a"'
    )
    told = headers(
        "Date: {0}", "Content-Length: 0", "Content-Encoding: br", "Content-Type: text/html", "X-A: 2", "Set-Cookie: a=b",
        "Connection: close, x-c", "X-C: 3", "Cache-Control: max-age=60",
    )  # fmt: skip
    after = updated(before, told, requested=NOW - 1, received=NOW)
    assert after.headers == headers(
        "Content-Type: text/html", "Content-Length: 7", "X-A: 2", "X-B: 1", 'ETag: "a"', "Date: {0}",
        "Cache-Control: max-age=60",
    )  # fmt: skip
    assert (after.requested, after.received) == (NOW - 1, NOW)


def test_a_304_without_a_date_makes_it_young():
    after = updated(stored("Date: {-1000}", "Cache-Control: max-age=60"), {}, requested=NOW, received=NOW)
    assert is_usable(asked(), after, NOW + 59, None)


@pytest.mark.parametrize(
    ("field", "known"),
    [
        ('If-None-Match: "a"', True),
        ('If-None-Match: W/"a"', True),
        ('If-None-Match: "b", "a"', True),
        ('If-None-Match: "b"', False),
        ("If-None-Match: *", True),
        (f"If-Modified-Since: {date(-5)}", True),
        (f"If-Modified-Since: {date(-6)}", False),
        (f"If-Modified-Since: {date(5)}", True),
        ("If-Modified-Since: never", False),
    ],
)
def test_who_has_it_already(field, known):
    """RFC 9111 section 4.3.2, RFC 9110 section 13.2.2."""
    assert not_modified(asked(field), stored('ETag: "a"', "Last-Modified: {-5}")) is known


def test_the_entity_tag_goes_before_the_date():
    request = asked('If-None-Match: "b"', f"If-Modified-Since: {date(5)}")
    assert not not_modified(request, stored('ETag: "a"', "Last-Modified: {-5}"))


def test_what_is_of_a_connection_or_a_session_is_not_kept():
    """RFC 9111 section 3.1; sessions lie on no disk."""
    told = headers("Connection: x-hop", "X-Hop: 1", "Transfer-Encoding: chunked", "Set-Cookie: sid=hunter2", "X: y")
    assert kept_headers(told) == {"x": ["y"]}


@pytest.mark.parametrize(
    ("value", "identity"),
    [
        ("Basic am9lOng=", "Basic am9lOng="),
        ('Digest username="joe", realm="a", nonce="n1", nc=00000001', 'digest "joe"'),
        ('DIGEST realm="a", username="joe", nonce="n2", nc=00000002', 'digest "joe"'),
    ],
)
def test_who_asks(value, identity):
    """Each answer to a challenge of Digest is another one; who gives it is not."""
    assert asked(f"Authorization: {value}").identity == identity


FIELDS = st.dictionaries(
    st.sampled_from(["cache-control", "expires", "date", "age", "vary", "etag", "last-modified", "connection"]),
    st.lists(
        st.text(st.characters(max_codepoint=255)) | st.sampled_from([date(9), "max-age=9, =", "*", '"a"']), max_size=3
    ),
)


@settings(max_examples=60)
@given(FIELDS, st.sampled_from([200, 206, 301, 304, 404, 503]), st.none() | st.just(60.0))
def test_whatever_a_server_says(told, status, keep_for):
    """Nothing of it raises, nothing lives for less than no time, and what is asked fits into one head."""
    may_store(asked(), status, told, NOW, keep_for)
    assert lifetime(status, told, NOW) >= 0
    kept = stored(headers=kept_headers(told), status=status)
    assert age(kept, NOW + 1) >= 1
    is_usable(asked("Cache-Control: max-stale"), kept, NOW, keep_for)
    not_modified(asked('If-None-Match: "a"'), kept)
    again = updated(kept, told, requested=NOW, received=NOW)
    assert is_of(again, told) or told.get("etag") or told.get("last-modified")
    head = asked().asking(kept)
    assert head.count(b"\r\n\r\n") == 1
    assert head.count(b"\r\n") <= 5
