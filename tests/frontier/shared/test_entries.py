"""What a node gives the shared store to keep, and what it reads of that: requests, lines, what is known of a host."""

from __future__ import annotations

import pytest

from crawler.errors import CodedError
from crawler.frontier.shared.entries import Known, kept, kept_line, read, uid
from crawler.frontier.shared.states import State, packed, unpacked
from crawler.models import Ask, Input, Redirect, Request
from crawler.politeness.host import HostControl
from crawler.robots.policy import Carried
from crawler.seeds.inputs import BadLine
from crawler.urls import parse

EPOCH = 1_700_000_000.0
NOW = 50.0


def request(url: str = "https://a.example/x?y=1", **fields: object) -> Request:
    return Request(7, parse(url), url, Input(parent="https://a.example/", depth=1), 40.0, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "what",
    [
        request(),
        request("https://joe:pw@a.example/"),
        request(attempt=3, parked=True),
        request(redirects=(Redirect("https://a.example/y", 302),), set_cookie=True, since=1),
        request(method="POST", ask=Ask(headers=(("X-A", "b"),), body=b"\x00\xff", content_type="a/b", meta={"n": [1]})),
        Request(7, parse("http://a.example/"), "a.example", Input("urls.txt", 3), 40.0),
    ],
)
def test_a_request_is_read_as_it_was(what: Request) -> None:
    found = read(kept(what, EPOCH), 7, EPOCH, NOW)
    assert isinstance(found, Known)
    assert found.request == what
    assert (found.begun, found.due) == (False, 0.0)


def test_times_are_those_of_the_node_that_reads() -> None:
    """Its monotonic clock began at another time of day. What was accepted in its future was accepted now."""
    data = kept(request(), EPOCH, begun=True, due=60.0)
    found = read(data, 7, EPOCH + 10, NOW)
    assert isinstance(found, Known)
    assert (found.request.accepted, found.begun, found.due) == (30.0, True, 50.0)
    wrong = read(data, 7, EPOCH - 86_400, NOW)
    assert isinstance(wrong, Known)
    assert wrong.due == NOW + 3_600, "no longer than any host is waited for, whatever its clock says"
    early = read(data, 7, EPOCH - 1_000, NOW)
    assert isinstance(early, Known)
    assert early.request.accepted == NOW


def test_a_link_takes_few_bytes() -> None:
    """Beside its URL and that of its page: a queue is what fills the store."""
    link = request()
    assert len(kept(link, EPOCH)) <= len(link.url.href) + len(link.input.parent or "") + 16


def test_a_line_that_is_no_url_is_read_as_it_was() -> None:
    line = BadLine("nonsense", Input("urls.txt", 4), CodedError("url_invalid", "no scheme"), {"a": 1})
    found = read(kept_line(line), 1, EPOCH, NOW)
    assert isinstance(found, BadLine)
    assert (found.text, found.input, found.meta) == (line.text, line.input, line.meta)
    assert (found.error.code, found.error.message) == ("url_invalid", "no scheme")


def test_what_is_no_unicode_is_kept_all_the_same() -> None:
    odd = Request(7, parse("http://a.example/"), "http://a.example/\udcff", Input("urls.txt", 1), 40.0)
    found = read(kept(odd, EPOCH), 7, EPOCH, NOW)
    assert isinstance(found, Known)
    assert found.request.written.startswith("http://a.example/")


def test_uids_are_the_same_on_every_node_and_differ_for_what_differs() -> None:
    assert uid("seed", 1) == uid("seed", 1)
    assert len({uid("seed", 1), uid("seed", 2), uid("pushed", 1), uid("seed", "1")}) == 4
    assert len(uid("x")) == 8


def test_back_off_goes_on_at_the_next_node() -> None:
    """As far away from one another, as few at once, and blocked until the same time of day."""
    host = HostControl(8, 0.0)
    host.overloaded(1.0, 2.0, "http 503")
    host.overloaded(3.0, 4.0, "http 503")
    host.block(100.0, 4.0, "retry_after")
    data = packed(State(host.learnt(10.0)), EPOCH + 10.0)
    state = unpacked(data, EPOCH + 40.0)
    assert state.learnt is not None
    after = HostControl(8, 0.0)
    after.learn(state.learnt, 5.0)
    assert (after.limit, after.delay, after.slowed, after.trouble) == (2, host.delay, True, "http 503")
    assert after.next_start == pytest.approx(5.0 + 64.0, abs=1.0)
    assert after.binding(5.0) == "retry_after"


def test_a_host_that_was_given_up_is_given_up_everywhere() -> None:
    host = HostControl(8, 0.0)
    for n in range(10):
        host.overloaded(2.0 * n, 2.0 * n + 1, "conn_reset")
    after = HostControl(8, 0.0)
    learnt = unpacked(packed(State(host.learnt(30.0)), EPOCH), EPOCH).learnt
    assert learnt is not None
    after.learn(learnt, 5.0)
    assert after.given_up
    assert after.trouble == "conn_reset"


def test_a_host_of_which_nothing_was_learnt_takes_no_bytes() -> None:
    assert packed(State(HostControl(8, 0.5).learnt(10.0)), EPOCH) == b""
    assert unpacked(b"", EPOCH) == State()


@pytest.mark.parametrize("data", [b"\xff\xff", b"\x00no zlib", b"\x91\x05"])
def test_a_state_of_another_version_says_nothing(data: bytes) -> None:
    assert unpacked(data, EPOCH) == State()


def test_robots_txt_is_small_and_says_how_long_it_counts() -> None:
    lines = [(n, False, f"/private/{n}/") for n in range(40)]
    rules = Carried(
        "http://a.example", 3_600.0, "http://a.example/robots.txt", "", ("http://a.example/map",), 2.0, lines
    )
    data = packed(State(rules=(rules,)), EPOCH)
    assert len(data) < 400
    (found,) = unpacked(data, EPOCH + 600).rules
    assert (found.left, found.lines, found.crawl_delay) == (3_000.0, lines, 2.0)
