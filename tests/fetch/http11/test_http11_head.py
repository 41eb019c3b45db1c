"""head.py: what is made of heads that httptools refuses. Rows 34-38, 44-54 of the fault table, at the level of bytes."""

from __future__ import annotations

import re
import time

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from crawler.errors import WARNINGS, CodedError
from crawler.fetch.http11.head import MAX_HEAD_LINES, Head, framing, mend

OK = b"HTTP/1.1 200 OK\r\n"


def refusal(data: bytes) -> str | None:
    """The code with which a head is refused."""
    try:
        head = mend(data)
        if head is not None:
            framing(head.fields, [])
    except CodedError as error:
        return error.code
    return None


def read(data: bytes) -> Head:
    head = mend(data)
    assert head is not None, "not a whole head"
    return head


# The lines after the status line, what is kept of them, and the warnings.
MENDED = {
    "a line without a colon": (b"just words\r\nA: b\r\n", [(b"A", b"b")], ["bad_header"]),
    "an empty name": (b": x\r\nA: b\r\n", [(b"A", b"b")], ["bad_header"]),
    "a space in the name": (b"Bad Name: x\r\nA: b\r\n", [(b"A", b"b")], ["bad_header"]),
    "blanks after the name": (b"Good \t : x\r\nA: b\r\n", [(b"Good", b"x"), (b"A", b"b")], ["bad_header"]),
    "blanks after no name": (b" : x\r\nA: b\r\n", [(b"A", b"b")], ["bad_header"]),
    "a vertical tab after the name": (b"Bad\x0b: x\r\nA: b\r\n", [(b"A", b"b")], ["bad_header"]),
    "a NUL in the name": (b"Bad\0Name: x\r\nA: b\r\n", [(b"A", b"b")], ["bad_header"]),
    "UTF-8 in the name": ("Größe: x\r\nA: b\r\n".encode(), [(b"A", b"b")], ["bad_header"]),
    "a first line that is folded": (b" folded\r\nA: b\r\n", [(b"A", b"b")], ["bad_header"]),
    "a first line that is folded and has a colon": (b"\tX: y\r\nA: b\r\n", [(b"A", b"b")], ["bad_header"]),
    "a bad line that is folded": (b"A: b\r\nwords\r\n more words\r\n", [(b"A", b"b")], ["bad_header"]),
    "a control character in the value": (b"A: b\x1b[1mc\r\n", [(b"A", b"b [1mc")], ["bad_header"]),
    "a folded value": (b"A: b\r\n  c\r\n\td\r\n", [(b"A", b"b c d")], []),
    "white space around the value": (b"A: \t b \t \r\n", [(b"A", b"b")], []),
    "an empty value": (b"A:\r\nB: \r\n", [(b"A", b""), (b"B", b"")], []),
    "Latin-1 in the value": (b"A: K\xf6ln\r\n", [(b"A", b"K\xf6ln")], []),
    "lines that end in CR CR LF": (b"A: b\r\r\n c\r\r\nC: d\r\r\n", [(b"A", b"b c"), (b"C", b"d")], []),
    "lines that end in LF": (b"A: b\nC: d\n", [(b"A", b"b"), (b"C", b"d")], []),
    "the same name twice": (b"A: b\r\na: c\r\n", [(b"A", b"b"), (b"a", b"c")], []),
    "no line at all": (b"", [], []),
}

# The lines after the status line, the length of the body and whether it comes in chunks, and the warnings.
FRAMED: dict[str, tuple[bytes, tuple[int | None, bool], list[str]]] = {
    "one length": (b"Content-Length: 5\r\n", (5, False), []),
    "a length with zeros in front": (b"Content-Length: 0005\r\n", (5, False), []),
    "no body": (b"Content-Length: 0\r\n", (0, False), []),
    "the same length twice": (b"Content-Length: 5\r\ncontent-length: 5\r\n", (5, False), []),
    "the same length in a list": (b"Content-Length: 5, 5\r\n", (5, False), []),
    "the same length in two ways": (b"Content-Length: 5\r\nContent-Length: 05\r\n", (5, False), []),
    "a length after a blank": (b"Content-Length : 5\r\n", (5, False), ["bad_header"]),
    "chunked": (b"Transfer-Encoding: chunked\r\n", (None, True), []),
    "chunked in capitals": (b"Transfer-Encoding: CHUNKED\r\n", (None, True), []),
    "chunked on a folded line": (b"Transfer-Encoding:\r\n chunked\r\n", (None, True), []),
    "chunked after a tab": (b"Transfer-Encoding\t: chunked\r\n", (None, True), ["bad_header"]),
    "chunked twice": (b"Transfer-Encoding: chunked, chunked\r\n", (None, True), ["bad_framing"]),
    "chunked in two headers": (b"Transfer-Encoding: chunked\r\n" * 2, (None, True), ["bad_framing"]),
    "identity": (b"Transfer-Encoding: identity\r\nContent-Length: 5\r\n", (5, False), []),
    "identity alone": (b"Transfer-Encoding: identity\r\n", (None, False), []),
    "an empty coding": (b"Transfer-Encoding: \r\nContent-Length: 5\r\n", (5, False), []),
    "length and chunked": (
        b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        (None, True),
        ["framing_conflict"],
    ),
    "chunked and a length that is none": (
        b"Transfer-Encoding: chunked\r\nContent-Length: x\r\n",
        (None, True),
        ["framing_conflict"],
    ),
    "a length, and one that is none": (b"Content-Length: 5\r\nContent-Length: \r\n", (5, False), ["bad_framing"]),
    **{
        f"a length that is none: {length!r}": (b"Content-Length: %b\r\n" % length, (None, False), ["bad_framing"])
        for length in (b"-2", b"+2", b"2_0", b"0x2", b"2 apples", b"", b"2\r\n 2", b"x, y", b"x" * 5000, "٢".encode())
    },
}

REFUSED = {
    # row 34
    "two lengths": (OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n", "http_bad_framing"),
    "two lengths in a list": (OK + b"Content-Length: 5, 6\r\n\r\n", "http_bad_framing"),
    # row 35
    "a length of 10^20": (OK + b"Content-Length: 1%b\r\n\r\n" % (b"0" * 20), "body_too_large"),
    "a length of 100 kB": (OK + b"Content-Length: %b\r\n\r\n" % (b"9" * 100_000), "body_too_large"),
    # row 37
    "gzip as transfer coding": (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n", "http_bad_framing"),
    "chunked, but not last": (OK + b"Transfer-Encoding: chunked, gzip\r\n\r\n", "http_bad_framing"),
    "almost chunked": (OK + b"Transfer-Encoding: xchunked\r\n\r\n", "http_bad_framing"),
    "chunked in quotes": (OK + b'Transfer-Encoding: "chunked"\r\n\r\n', "http_bad_framing"),
    "chunked after a vertical tab": (OK + b"Transfer-Encoding: \x0bchunked\r\n\r\n", "http_bad_framing"),
    # row 51
    "a vertical tab before Content-Length": (OK + b"A: b\r\n\x0bContent-Length: 2\r\n\r\n", "http_bad_framing"),
    "a folded first line that frames": (OK + b" Content-Length: 2\r\n\r\n", "http_bad_framing"),
    # row 53
    "a NUL in a value": (OK + b"A: b\0c\r\n\r\n", "http_bad_header"),
    "a bare CR in a value": (OK + b"A: b\rSet-Cookie: c\r\n\r\n", "http_bad_header"),
    "three CRs at the end of a value": (OK + b"A: b\r\r\r\n\r\n", "http_bad_header"),
    "a bare CR in a name": (OK + b"A\rContent-Length: 5\r\n\r\n", "http_bad_header"),
    # rows 46 and 47
    "HTTP/0.9": (b"<html>", "http_not_http"),
    "an SSH banner": (b"SSH-2.0-OpenSSH_9.2\r\n", "http_not_http"),
    "bytes that mean nothing": (bytes(range(128, 256)), "http_not_http"),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "http_not_http"),
    "HTTP/11.1": (b"HTTP/11.1 200 OK\r\n\r\n", "http_not_http"),
    "HTTP/1.11": (b"HTTP/1.11 200 OK\r\n\r\n", "http_not_http"),
    "HTTP/1": (b"HTTP/1 200 OK\r\n\r\n", "http_not_http"),
    "HTTP/2.1": (b"HTTP/2.1 200 OK\r\n\r\n", "http_not_http"),
    "HTTP/2 with a dot": (b"HTTP/2. 200 OK\r\n\r\n", "http_not_http"),
    "HTTP/22": (b"HTTP/22 200 OK\r\n\r\n", "http_not_http"),
    "a version of 5,000 digits": (b"HTTP/%b.1 200 OK\r\n\r\n" % (b"1" * 5000), "http_not_http"),
    "small letters and no version": (b"http/ 200 OK\r\n\r\n", "http_not_http"),
    "ICY": (b"ICY 200 OK\r\n\r\n", "http_not_http"),
    "RTSP": (b"RTSP/1.0 200 OK\r\n\r\n", "http_not_http"),
    "a bare CR in the status line": (b"HTTP/1.1 200 O\rK\r\n\r\n", "http_not_http"),
    # row 48
    "status 0": (b"HTTP/1.1 0 OK\r\n\r\n", "http_bad_status"),
    "status 099": (b"HTTP/1.1 099 OK\r\n\r\n", "http_bad_status"),
    "status -200": (b"HTTP/1.1 -200 OK\r\n\r\n", "http_bad_status"),
    "status 2_0_0": (b"HTTP/1.1 2_0_0 OK\r\n\r\n", "http_bad_status"),
    "status 99999": (b"HTTP/1.1 99999 OK\r\n\r\n", "http_bad_status"),
    "a status of 100 digits": (b"HTTP/1.1 %b OK\r\n\r\n" % (b"2" * 100), "http_bad_status"),
    "a status in another script": ("HTTP/1.1 ٢٠٠ OK\r\n\r\n".encode(), "http_bad_status"),
    "no status": (b"HTTP/1.1\r\n\r\n", "http_bad_status"),
    # row 54
    "too many lines": (OK + b"A: b\r\n" * (MAX_HEAD_LINES + 1) + b"\r\n", "headers_too_large"),
    "too many bad lines": (OK + b"words\r\n" * (MAX_HEAD_LINES + 1) + b"\r\n", "headers_too_large"),
    "too many folded lines": (OK + b"A: b\r\n" + b" c\r\n" * MAX_HEAD_LINES + b"\r\n", "headers_too_large"),
}


class FieldTests(SynchronousTestCase):
    """The header lines of a head."""

    def test_what_can_be_kept_is_kept(self) -> None:
        """A malformed line costs itself and a warning, never the answer (rows 50, 52, 55)."""
        for name, (lines, fields, warnings) in MENDED.items():
            head = read(OK + lines + b"\r\n")
            self.assertEqual((head.fields, head.warnings), (fields, warnings), name)

    def test_where_the_body_ends(self) -> None:
        """Whatever says where the body ends amounts to one thing; the fields are told as they were sent."""
        for name, (lines, framed, warnings) in FRAMED.items():
            head = read(OK + lines + b"\r\n")
            self.assertEqual((framing(head.fields, head.warnings), head.warnings), (framed, warnings), name)
            self.assertEqual(len(head.fields), lines.count(b":"), name)

    def test_what_smells_of_smuggling_is_refused(self) -> None:
        """What two readers could read in two ways, or is no HTTP, has no clean head but a code."""
        for name, (data, code) in REFUSED.items():
            self.assertEqual(refusal(data), code, name)

    def test_lines_up_to_the_limit_are_read(self) -> None:
        """A thousand lines are not too many."""
        self.assertEqual(len(read(OK + b"A: b\r\n" * MAX_HEAD_LINES + b"\r\n").fields), MAX_HEAD_LINES)

    def test_lines_are_counted_before_their_end_is_there(self) -> None:
        """A head without end is refused when its lines are too many, not when the memory is full."""
        self.assertIsNone(mend(OK + b"A: b\r\n" * MAX_HEAD_LINES))
        self.assertEqual(refusal(OK + b"A: b\r\n" * (MAX_HEAD_LINES + 1)), "headers_too_large")


class StatusLineTests(SynchronousTestCase):
    """The first line of a head."""

    def test_any_minor_version_of_one_digit(self) -> None:
        """HTTP/1.x with an unknown x is read as HTTP/1.1 and told as it was (RFC 9110 section 2.5)."""
        for version in ("1.0", "1.1", "1.2", "1.9"):
            head = read(f"HTTP/{version} 200 OK\r\n\r\n".encode())
            self.assertEqual(head.version, version)

    def test_later_versions_as_text(self) -> None:
        """Who writes HTTP/2 out does not speak it: programs that copy the status line of another server do."""
        for version in ("2", "2.0", "3", "3.0"):
            self.assertEqual(read(f"HTTP/{version} 200 OK\r\n\r\n".encode()).version, version)

    def test_lower_case(self) -> None:
        """The name of the protocol is case-sensitive (RFC 9112 section 2.3), but curl and browsers take any."""
        for name in (b"http", b"Http"):
            self.assertEqual(read(name + b"/1.1 200 OK\r\n\r\n").status, 200)
            self.assertIsNone(mend(name + b"/1.1 2"))

    def test_reason_may_be_anything(self) -> None:
        """No reason, control characters or other bytes in it: nobody reads it."""
        for line in (b"200", b"200 ", b"200  ", b" 200 OK", b"200 \x1b\0\x07\xff", b"200 a:b"):
            self.assertEqual(read(b"HTTP/1.1 " + line + b"\r\n\r\n").status, 200, line)

    def test_statuses_from_100_to_999(self) -> None:
        """Three digits are a status, whether anybody has heard of it or not."""
        for status in (200, 299, 418, 599, 600, 999):
            self.assertEqual(read(b"HTTP/1.1 %d -\r\n\r\n" % status).status, status)

    def test_empty_lines_may_come_first(self) -> None:
        """RFC 9112 section 2.2 lets a reader skip one, browsers skip all; they count as used, and as lines."""
        for lines in (b"\r\n", b"\n", b"\r\n\r\n", b"\n\r\r\n\n"):
            data = lines + OK + b"\r\n"
            self.assertEqual(read(data).used, len(data))
        self.assertEqual(refusal(b"\n" * (MAX_HEAD_LINES + 2)), "headers_too_large")

    def test_time_grows_with_the_length_only(self) -> None:
        """A long and wicked status line takes no time to speak of: its pattern does not backtrack."""
        started = time.process_time()
        for line in (b" " * 100_000 + b"\rx", b"1" * 100_000, b" 200" + b" " * 100_000 + b"\rx", b" " * 100_000):
            self.assertIsNotNone(refusal(b"HTTP/1.1" + line + b"\r\n\r\n"))
        self.assertLess(time.process_time() - started, 1.0)

    def test_time_of_folding_grows_with_the_length_only(self) -> None:
        """A value of many folded lines is put together once."""
        started = time.process_time()
        head = read(OK + b"A: b\r\n" + (b" " + b"c" * 200 + b"\r\n") * (MAX_HEAD_LINES - 1) + b"\r\n")
        self.assertLess(time.process_time() - started, 1.0)
        self.assertEqual(len(head.fields), 1)


class InterimTests(SynchronousTestCase):
    """Answers before the answer."""

    def test_one_at_a_time(self) -> None:
        """Each head is read by itself, 100 and 101 like any other: who reads them knows what they mean."""
        first = b"HTTP/1.1 100 -\r\nContent-Length: 5\r\n\r\n"
        head = read(first + OK + b"A: b\r\n\r\n")
        self.assertEqual((head.status, head.used), (100, len(first)))
        self.assertEqual(read(b"HTTP/1.1 101 Switching\r\n\r\n").status, 101)

    def test_empty_lines_after_an_interim_answer(self) -> None:
        """Some servers end a 100 with one empty line too many: it stands before the next head."""
        data = b"\r\n" + OK + b"\r\n"
        self.assertEqual(read(data).used, len(data))


class WholeTests(SynchronousTestCase):
    """Where a head ends."""

    def test_nothing_is_said_of_a_part(self) -> None:
        """A head that has begun well has no outcome before its last byte."""
        for data in (
            OK + b"bad line\r\nA: b\r\n\r\n",
            b"\r\n" + OK + b"A: b\r\n\r\n",
            b"HTTP/1.1 200 OK\nA: b\n\n",
            b"\n\r\r\nHTTP/2 200\r\r\nA: b\r\r\n\r\r\n",
        ):
            for end in range(len(data)):
                self.assertIsNone(mend(data[:end]), data[:end])
            self.assertEqual(read(data).used, len(data))

    def test_what_follows_is_not_used(self) -> None:
        """The body, whatever it looks like, is left alone."""
        head = OK + b"bad line\r\n\r\n"
        for body in (b"", b"x", b"\r\n", b"\r\n\r\n", OK, b"\0" * 100):
            self.assertEqual(read(head + body).used, len(head))

    @settings(max_examples=40, derandomize=True, database=None)
    @given(
        lines=st.lists(
            st.one_of(
                st.binary(max_size=12),
                st.builds(
                    lambda name, colon, value: name + colon + value,
                    st.sampled_from([b"A", b"Content-Length", b"Transfer-Encoding", b"Connection", b" ", b"X\0"]),
                    st.sampled_from([b":", b": ", b" :", b""]),
                    st.sampled_from(
                        [b"5", b"5, 5", b"9" * 5000, b"chunked", b"identity", b"close", b"\xff", b"\t ", b"a\x01b"]
                    ),
                ),
            ),
            max_size=5,
        ),
        reason=st.binary(max_size=6),
        end=st.sampled_from([b"\r\n", b"\n"]),
    )
    def test_whatever_comes(self, lines: list[bytes], reason: bytes, end: bytes) -> None:
        """A code of ours, or a head of well-formed fields, and a body whose end is known."""
        try:
            head = mend(b"HTTP/1.1 200 " + reason + end + b"".join(line + end for line in lines) + end + end)
            assert head is not None
            length, chunked = framing(head.fields, head.warnings)
        except CodedError:
            return
        assert length is None or (length >= 0 and not chunked)
        for name, value in head.fields:
            assert re.fullmatch(rb"[!-9;-~]+", name)
            assert value == value.strip(b" \t")
            assert not re.search(rb"[\0-\x08\n-\x1f\x7f]", value)
        assert set(head.warnings) <= WARNINGS.keys()
