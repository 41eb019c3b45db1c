"""crawler.page.parsing: a page that takes too long costs its own child process and nobody else anything."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from threaded_clock import ThreadedClock
from twisted.internet.defer import CancelledError, DeferredList

from crawler.errors import CodedError
from crawler.models import Findings
from crawler.page import extract
from crawler.page.discovery import Answered, LinkRules, discover
from crawler.page.extract import Extracted
from crawler.page.page import MAX_PARSED, Document
from crawler.page.parsing import Answer, Extract, Job, decode_answer, encode, receive, send
from crawler.page.parsing.child import PROGRAM
from crawler.page.parsing.resident import resident_meter
from crawler.page.parsing.worker import START_SECONDS, ParseWorker
from crawler.run.reactors import private_reactor, run
from crawler.urls import parse

TIMEOUT = 5.0
TITLE = ("t=title::text",)
FOREVER = ("t=re:(a|a)*b",)
PAGE = b"<title>x</title>"
STUCK = b"a" * 100
URL = parse("http://h/a")
DESCRIPTORS = Path("/proc/self/fd")


class WaitingClock(ThreadedClock):
    """One that can be waited with."""

    def result(self, deferred):
        """Wait for a Deferred's result; a CodedError is given back, not raised."""
        results = []
        deferred.addErrback(lambda failure: failure.value).addCallback(results.append)
        self.pump(lambda: results)
        return results[0]


@pytest.fixture
def clock():
    clock = WaitingClock()
    yield clock
    assert clock.getDelayedCalls() == [], "no timer is left behind"


@pytest.fixture
def children(monkeypatch):
    """Every process that is started; at the end each has been waited for and has no pipe any more."""
    started: list[subprocess.Popen[bytes]] = []

    class Recorded(subprocess.Popen):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Recorded)
    threads = set(threading.enumerate())
    yield started
    for child in started:
        assert child.returncode is not None, "a zombie"
        assert child.stdin.closed
        assert child.stdout.closed
    assert set(threading.enumerate()) <= threads, "a thread"


@pytest.fixture
def worker(clock, children):
    worker = ParseWorker(clock, TIMEOUT)
    yield worker
    worker.close()


@pytest.fixture(scope="module")
def shared():
    """A clock and a worker for all tests that leave them as they were: starting a child takes 0.2 s."""
    clock = WaitingClock()
    worker = ParseWorker(clock, TIMEOUT)
    yield clock, worker
    worker.close()


def ask(worker, body=PAGE, declarations=TITLE, content_type="text/html"):
    return worker.run(declarations, body, None, content_type, "http://h/a")


def code(result):
    assert isinstance(result, CodedError), result
    return result.code


def begun(clock, worker):
    """Until the child has the job: then the time that counts is that of parsing."""
    clock.pump(lambda: not worker.fresh)


# Frames.


@pytest.fixture
def pipe():
    ends = os.pipe()
    yield ends
    for fd in ends:
        with contextlib.suppress(OSError):
            os.close(fd)


@pytest.mark.parametrize("frame", [b"", b"x", b"x" * 300_000])
def test_frames_arrive_as_they_were_sent(pipe, frame):
    """Whatever the length, also when the pipe takes it in pieces."""
    thread = threading.Thread(target=send, args=(pipe[1], frame))
    thread.start()
    assert receive(pipe[0]) == frame
    thread.join()


@pytest.mark.parametrize("data", [b"", b"\0\0", b"\0\0\0\x05abc", b"\xff\xff\xff\xffabc"])
def test_a_broken_frame_is_none(pipe, data):
    """The other side ended, or is no longer itself: no length is believed that no page can have."""
    os.write(pipe[1], data)
    os.close(pipe[1])
    assert receive(pipe[0]) is None


# The worker.


def test_a_page_is_extracted_elsewhere(shared):
    """The result is that of an Extraction here."""
    clock, worker = shared
    extraction = extract.compile(["t=title::text", "n:int=p"], ["l:url=a::attr(href)"])
    for body in (PAGE, b"<base href=/b/><a href=x>\xe9", b"", b"<div>" * 100_000, b"{}"):
        expected = extraction(Document("http://h/a", body, None, "text/html"))
        assert clock.result(ask(worker, body, extraction.declarations)) == expected


def test_one_child_started_when_it_is_needed(clock, worker, children):
    """A worker that nobody asks costs nothing; then the same child does one page after another."""
    assert children == []
    for _ in range(3):
        assert clock.result(ask(worker)).data == {"t": "x"}
    assert len(children) == 1


@pytest.mark.parametrize(
    ("body", "warnings"),
    [
        (PAGE + b"<div>" * 100_000, ["parse_truncated"]),
        (PAGE + b"<" * 500_000, []),
        (PAGE + b"<p>" * 50_000 + b"x" * MAX_PARSED, ["parse_truncated"]),
        (PAGE + b"<b " + b"a " * 100_000 + b">", []),
    ],
)
def test_hostile_but_possible(shared, body, warnings):
    """Deep, endless, huge: what can be parsed in time is, as far as it goes."""
    clock, worker = shared
    assert clock.result(ask(worker, body)) == Extracted({"t": "x"}, warnings)


@pytest.mark.parametrize(
    ("body", "declarations"),
    [
        (PAGE + b"<a " + b" ".join(b"a%d" % i for i in range(200_000)) + b">", TITLE),
        (b"<b>" * 2000 + b"</i>" * 1_000_000, TITLE),
        (b"<p>" * 20_000, ("t=p ~ p",)),
        (STUCK, FOREVER),
    ],
)
def test_a_page_that_takes_too_long_ends_its_child(clock, worker, children, body, declarations):
    """After the timeout the child is killed, whatever it is in (libxml2, re); the next page gets a new one."""
    slow, following = ask(worker, body, declarations), ask(worker)
    begun(clock, worker)
    clock.advance(TIMEOUT - 0.001)
    assert children[0].poll() is None
    clock.advance(0.001)
    error = clock.result(slow)
    assert (code(error), error.message) == ("parse_timeout", "parsing took longer than 5 s")
    assert clock.result(following).data == {"t": "x"}
    assert len(children) == 2


def test_starting_is_not_parsing(clock, worker):
    """The timeout does not run while the child starts; that has its own, longer one."""
    asked = ask(worker)
    clock.advance(START_SECONDS - 1)
    assert clock.result(asked).data == {"t": "x"}


def test_a_child_that_never_starts(clock, worker, children, monkeypatch):
    """It is given up like a page that takes too long, and tried again for the next one."""
    monkeypatch.setattr("crawler.page.parsing.child.PROGRAM", "import time; time.sleep(600)")
    asked = ask(worker)
    while not children:
        time.sleep(0.001)
    clock.advance(START_SECONDS)
    monkeypatch.undo()
    error = clock.result(asked)
    assert (code(error), error.message) == ("parse_error", "the process that parses did not start within 60 s")
    assert clock.result(ask(worker)).data == {"t": "x"}


def test_a_child_that_dies(clock, worker, children):
    """Killed from outside, in the middle of a page or between two: the page is tried once more, with a fresh child."""
    assert clock.result(ask(worker)).data == {"t": "x"}
    children[0].kill()
    assert clock.result(ask(worker)).data == {"t": "x"}
    assert len(children) == 2
    asked = ask(worker, STUCK, FOREVER)
    while worker.waiting:
        time.sleep(0.001)
    children[1].kill()
    clock.pump(lambda: len(children) == 3 and not worker.fresh)
    clock.advance(TIMEOUT)
    assert code(clock.result(asked)) == "parse_timeout"


def test_a_page_that_kills_its_child(clock, worker, children):
    """A crash of libxml2, or the kernel short of memory: after the second time it is an error of this page."""
    asked, other = ask(worker, STUCK, FOREVER), ask(worker)
    begun(clock, worker)
    children[0].kill()
    clock.pump(lambda: len(children) == 2 and not worker.fresh)
    children[1].kill()
    error = clock.result(asked)
    assert (code(error), error.message) == ("parse_error", f"the process that parses ended (signal {signal.SIGKILL})")
    assert clock.result(other).data == {"t": "x"}
    assert len(children) == 3


def test_who_waits_no_longer_is_not_tried_again(clock, worker, children):
    """A page that was given up costs no second child."""
    asked = ask(worker, STUCK, FOREVER)
    begun(clock, worker)
    asked.cancel()
    children[0].kill()
    assert isinstance(clock.result(asked), CancelledError)
    assert clock.result(ask(worker)).data == {"t": "x"}
    assert len(children) == 2


RULES = LinkRules(frozenset({"a", "refresh", "header"}), nofollow=False, agent="bot")


@pytest.mark.parametrize(
    "answer",
    [
        Answered(URL, b"<title>t</title><a href=x>", {"content-type": ["text/html"], "link": ["<y>; rel=next"]}),
        Answered(URL, b"<urlset><url><loc>/x</loc></url><oops", {"content-type": ["text/html"], "server": ["nginx"]}),
        Answered(URL, b"http://h/1\nhttp://h/2", {}, named=True),
        Answered(URL, b"", {}),
    ],
)
def test_links_are_found_elsewhere(shared, answer):
    """With all that discover() says here, and an error that is the page's."""
    clock, worker = shared
    here, there = discover(answer, RULES), clock.result(worker.discover(answer, RULES))
    errors = [
        findings.error and (findings.error.code, findings.error.message, findings.error.phase)
        for findings in (here, there)
    ]
    assert errors[0] == errors[1]
    here.error = there.error = None
    assert there == here


def test_links_longer_than_can_be_sent(shared):
    """There is an end to how much one page may have the reactor read."""
    clock, worker = shared
    locs = b"".join(b"<url><loc>/%d/%b</loc></url>" % (number, b"x" * 500_000) for number in range(40))
    found = clock.result(worker.discover(Answered(URL, b"<urlset>" + locs + b"</urlset>", {}), RULES))
    assert (found.links, len(found.follow), found.warnings) == (40, 33, ["parse_truncated"])


@pytest.mark.parametrize("executable", ["/nowhere/python", None])
def test_a_child_that_cannot_be_started(clock, worker, monkeypatch, executable):
    """There is no Python where we think: an error for each page, in words, and no hanging."""
    monkeypatch.setattr(sys, "executable", executable)
    first, second = clock.result(ask(worker)), clock.result(ask(worker))
    assert code(first) == code(second) == "parse_error"
    assert first.message.startswith("the process that parses ended (")
    assert ("No such file" if executable else "NoneType") in first.message
    monkeypatch.undo()
    assert clock.result(ask(worker)).data == {"t": "x"}


def test_a_bug_is_told_as_such(clock, worker, monkeypatch):
    """An exception in the child is `internal`, with its last line; the child is not used again."""
    monkeypatch.setattr(
        "crawler.page.parsing.child.PROGRAM",
        PROGRAM.replace("main()", "import crawler.page.parsing.__main__ as m; m.Document = None; main()"),
    )
    error = clock.result(ask(worker))
    assert (code(error), error.message) == ("internal", "TypeError: 'NoneType' object is not callable")
    monkeypatch.undo()
    assert clock.result(ask(worker)).data == {"t": "x"}


@pytest.mark.parametrize("limit", ["MAX_JOBS", "MAX_RESIDENT"])
def test_children_are_replaced(clock, worker, children, monkeypatch, limit):
    """After so many pages, or when it has grown, a child ends and the next page has a new one: no page notices."""
    monkeypatch.setattr(
        "crawler.page.parsing.child.PROGRAM",
        PROGRAM.replace("main()", f"import crawler.page.parsing.__main__ as m; m.{limit} = 1; main()"),
    )
    asked = [ask(worker) for _ in range(3)]
    assert [clock.result(one).data for one in asked] == [{"t": "x"}] * 3
    assert len(children) == 3


def test_closing_with_work_in_flight(clock, children):
    """What is being parsed and what waits both fail, the child is gone when close() returns, and there is no more."""
    worker = ParseWorker(clock, TIMEOUT)
    asked = [ask(worker, STUCK, FOREVER), ask(worker)]
    begun(clock, worker)
    worker.close()
    assert children[0].returncode == -signal.SIGKILL
    assert [code(clock.result(one)) for one in asked] == ["interrupted"] * 2
    assert code(clock.result(ask(worker))) == "interrupted"
    while not clock.sent.empty():  # the thread's last words arrive afterwards
        function, args = clock.sent.get()
        function(*args)
    worker.close()


def test_closing_while_a_child_starts(clock, children):
    """There is no moment at which a child could be overlooked."""
    worker = ParseWorker(clock, TIMEOUT)
    asked = ask(worker)
    worker.close()
    assert code(clock.result(asked)) == "interrupted"
    assert all(child.returncode is not None for child in children)


@pytest.mark.skipif(not DESCRIPTORS.exists(), reason="/proc")
def test_no_descriptor_is_left(clock, children):
    """Three workers, three children killed, as many open files as before."""
    before = len(list(DESCRIPTORS.iterdir()))
    for _ in range(3):
        worker = ParseWorker(clock, TIMEOUT)
        stuck = ask(worker, STUCK, FOREVER)
        begun(clock, worker)
        clock.advance(TIMEOUT)
        assert code(clock.result(stuck)) == "parse_timeout"
        worker.close()
    assert len(list(DESCRIPTORS.iterdir())) == before
    assert len(children) == 3


def test_cancelling_stops_the_waiting(clock, worker):
    """A page that waits is forgotten, one in the child runs on; the others have their results."""
    flying, waiting, other = ask(worker), ask(worker, STUCK, FOREVER), ask(worker)
    flying.cancel()
    waiting.cancel()
    assert isinstance(clock.result(flying), CancelledError)
    assert isinstance(clock.result(waiting), CancelledError)
    assert clock.result(other).data == {"t": "x"}


def test_several_children(clock, children):
    """With `processes` a page need not wait behind a slow one; there are never more of them."""
    worker = ParseWorker(clock, TIMEOUT, processes=2)
    slow = ask(worker, STUCK, FOREVER)
    begun(clock, worker)
    others = [ask(worker) for _ in range(5)]
    assert [clock.result(one).data for one in others] == [{"t": "x"}] * 5
    assert len(children) == 2
    worker.close()
    assert code(clock.result(slow)) == "interrupted"


def test_one_result_may_ask_for_more(clock, worker):
    """A callback can use the worker, or close it."""
    second = ask(worker).addCallback(lambda _: ask(worker))
    assert clock.result(second).data == {"t": "x"}
    clock.result(ask(worker).addCallback(lambda _: worker.close()))
    assert code(clock.result(ask(worker))) == "interrupted"


def test_the_current_folder_is_not_imported(clock, worker, monkeypatch, tmp_path):
    """What a crawl saves under the name of a module is not run."""
    for name in ("msgspec.py", "crawler.py", "sitecustomize.py", "lxml.py"):
        (tmp_path / name).write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    assert clock.result(ask(worker)).data == {"t": "x"}


@pytest.mark.skipif(sys.platform == "win32", reason="process groups")
def test_ctrl_c_is_not_for_the_child(clock, worker, children):
    """The terminal's signal does not reach it, and would be ignored: the parent may still want the page."""
    clock.result(ask(worker))
    assert os.getpgid(children[0].pid) != os.getpgrp()
    os.kill(children[0].pid, signal.SIGINT)
    assert clock.result(ask(worker)).data == {"t": "x"}


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="there is no /proc")
def test_a_child_gets_no_secrets(clock, worker, children, monkeypatch):
    """What our environment holds beside what a process needs to begin is not handed down."""
    monkeypatch.setenv("MY_LOGIN", "joe:s3cret")
    monkeypatch.setenv("CRAWLER_USER", "joe:s3cret")
    clock.result(ask(worker))
    process = Path("/proc") / str(children[0].pid)
    assert b"s3cret" not in (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
    assert b"PATH=" in (process / "environ").read_bytes()


@pytest.mark.parametrize("busy", [False, True])
def test_a_child_does_not_outlive_its_parent(busy):
    """It ends with its standard input, and in the middle of a page soon after the time that the page has."""
    child = subprocess.Popen(
        [sys.executable, "-I", "-c", PROGRAM, "crawler.page.extract", *sys.path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    )
    with child:
        assert receive(child.stdout.fileno()) == b""
        if busy:
            send(child.stdin.fileno(), encode(Job(Extract(FOREVER, "http://h/", STUCK, None, None), 0.05)))
        child.stdin.close()
        assert child.wait(10) == (1 if busy else 0)


def test_on_a_private_reactor():
    """In a thread, without signals, with real time: a slow page among others."""
    outcome = {}

    def crawl(reactor):
        worker = ParseWorker(reactor, 0.1)
        asked = [ask(worker), ask(worker, STUCK, FOREVER), ask(worker)]
        for number, one in enumerate(asked):
            one.addErrback(lambda failure: failure.value)
            one.addCallback(lambda result, number=number: outcome.__setitem__(number, result))
        return DeferredList(asked).addCallback(lambda _: worker.close())

    def main():
        with private_reactor() as (reactor, _):
            run(reactor, lambda: crawl(reactor))

    thread = threading.Thread(target=main)
    thread.start()
    thread.join(30)
    assert code(outcome.pop(1)) == "parse_timeout"
    assert [outcome[number].data for number in (0, 2)] == [{"t": "x"}] * 2


def test_answers_are_data():
    """An answer survives the wire as it is."""
    for result in (Extracted({"a": [1, None, "é"]}, ["charset"]), Findings(title="é", follow=[URL], data=[None])):
        answer = Answer(result, ("parse_error", "x"), last=True)
        assert decode_answer(encode(answer)) == answer


def test_a_large_parent_has_small_children(clock, worker, children):
    """Linux hands its peak memory on to its children; they are not recycled for it."""
    ballast = bytearray(400 << 20)
    ballast[::4096] = b"x" * len(ballast[::4096])
    for _ in range(2):
        assert clock.result(ask(worker)).data == {"t": "x"}
    assert len(children) == 1


@pytest.mark.parametrize("has_proc", [True, False])
def test_how_much_memory_it_takes(tmp_path: Path, *, has_proc: bool) -> None:
    """Where there is no /proc (macOS, BSD), the system says how much it was at most."""
    meter = resident_meter() if has_proc else resident_meter(tmp_path / "statm")
    assert 5 << 20 < meter() < 5 << 30
