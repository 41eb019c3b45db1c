"""Checks that are stopped: whole processes, by Ctrl-C and by kill -9."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from checked_site import Page, Site, check, serving

QUICK = ("--delay", "0", "--no-robots", "--retries", "0", "-c", "1", "--allow-private")


class Gate:
    """A page that is answered when it is let."""

    def __init__(self) -> None:
        self.arrived, self.open = threading.Event(), threading.Event()

    def __call__(self, _method: str, _before: int) -> Page:
        self.arrived.set()
        self.open.wait(20)
        return Page("held")


@contextmanager
def started(site: Site, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "crawler", "check", site.url(), *QUICK, *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.skipif(sys.platform == "win32", reason="there are no signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_what_was_found_until_then_is_told(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """With the exit code of the signal; of what nobody was asked for how much that is, not each of it."""
    gate = Gate()
    links = "".join(f'<a href="{{other}}/later{n}">' for n in range(30))
    pages = {"/": f'<a href="{{other}}/gone"><a href="{{other}}/held">{links}', "/held": gate}
    out = tmp_path / "found.json"
    with serving(pages) as site, started(site, "-O", str(out)) as process:
        assert gate.arrived.wait(20)
        process.send_signal(number)
        assert process.stderr is not None
        assert b"Stopping" in process.stderr.readline()
        gate.open.set()
        told, _ = process.communicate(timeout=20)
        assert process.returncode == code
        assert b"later5" not in told
        assert b"The check was stopped: 30 links were not asked for (-v says which)." in told
        assert site.other("/gone").encode() in told
    found = json.loads(out.read_text())
    codes = {finding["url"].rpartition("/")[2]: finding["code"] for finding in found["findings"]}
    assert codes.pop("gone") == "http_404"
    assert set(codes.values()) == {"interrupted"}
    assert found["summary"]["unsure"] == 30


@pytest.mark.skipif(sys.platform == "win32", reason="there are no signals")
def test_good_answers_outlive_a_kill(tmp_path: Path) -> None:
    """What was good is asked for by no later check of that day, what was bad by each; nothing else is left behind."""
    gate = Gate()
    names = [f"good{n}" for n in range(8)]
    links = "".join(f'<a href="{{other}}/{name}">' for name in (*names, "bad", "held"))
    pages = {"/": links, "/held": gate, **{f"/{name}": Page(headers={"ETag": '"1"'}) for name in names}}
    cache = ("--cache", str(tmp_path / "cache"))
    with serving(pages) as site:
        with started(site, *cache) as process:
            assert gate.arrived.wait(20)
            process.kill()
            process.wait(20)
        gate.open.set()
        before = len(site.asked)
        checked = check(tmp_path, site.url(), *cache)
        assert checked.said(site) == {"other:/bad": "http_404"}
        again = site.asked[before:]
    assert sorted(set(again)) == ["GET /", "GET /bad", "HEAD /bad", "HEAD /held"]
