"""The real crawler in a simulated internet: thousands of worlds, and those in which something was found by name."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from simulation.lives import Story, live, live_in
from simulation.network import Host, Line
from simulation.promises import Broken
from simulation.sites import Page, Site
from simulation.world import OPTIONS, World, make_world

ROOT = Path(__file__).parent.parent
SEEDS = 2_000
PROCESSES = 2


def small_world(
    *pages: Page, inputs: int = 0, line: Line | None = None, site: dict[str, object] | None = None, **options: object
) -> World:
    """One host with these pages, each of which is an input, or the first few."""
    world = World(0, OPTIONS | options, [], {}, [])
    by_target = {page.target: page for page in pages}
    world.sites["a.example"] = here = Site("a.example", by_target, world.wall, **(site or {}))
    world.hosts.append(Host("a.example", ["93.184.216.1"], here.answer, line or Line()))
    world.inputs = [f"http://a.example{target}" for target in by_target][: inputs or None]
    return world


def codes(story: Story) -> Counter[str | None]:
    return Counter(record.error and record.error.code for record in story.records)


def times(story: Story, what: str) -> list[float]:
    """When such an event was, from the beginning of its life."""
    begun = float(story.events[0].split(" ")[0])
    return [round(float(event.split(" ")[0]) - begun, 3) for event in story.events if what in event]


def simulate(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.simulation", *arguments],
        cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


def test_two_thousand_worlds():
    """No promise is broken in any: crashes, power failures, interrupts, lost connections and all that servers do."""
    share = SEEDS // PROCESSES
    shares = [f"{first}-{first + share - 1}" for first in range(1, SEEDS + 1, share)]
    with ThreadPoolExecutor(PROCESSES) as pool:
        results = list(pool.map(lambda seeds: simulate("--seeds", seeds), shares))
    for result in results:
        assert result.returncode == 0, result.stderr[-5_000:]
        assert "broken: none" in result.stdout


def test_the_same_seed_the_same_events():
    """Byte by byte, whatever the order of sets and the addresses of objects."""
    digests = [simulate("--seeds", "1-40", "--digests", PYTHONHASHSEED=seed) for seed in ("1", "2")]
    assert digests[0].stdout == digests[1].stdout
    assert len(digests[0].stdout.splitlines()) == 40
    assert live(7).digest == live(7).digest


def test_the_words_of_a_broken_promise():
    """They name the seed, and tell the last events."""
    world = small_world(Page("/", body=b"hello"))
    world.hosts[0].answer = lambda asked, rng, now: 1 / 0
    with pytest.raises(Broken, match=r"seed 0 \(list\): ZeroDivisionError(.|\n)*asked a.example #1 GET /"):
        live_in(world)


PLANTED = {
    "the delay is not kept": ("crawler.politeness.controller.HostControl.asked", lambda *_: None, "after the last"),
    "a host is asked too much at once": (
        "crawler.politeness.controller.HostControl.end",
        lambda *_: None,
        "deadlock|in flight",
    ),
    "a host's time is not waited for": (
        "crawler.politeness.controller.HostControl.block",
        lambda *_: None,
        "before its host|and no end",
    ),
    "robots.txt is not obeyed": ("crawler.engine.gate.Gate._judge", lambda *_: None, "robots.txt disallows"),
    "private addresses are dialled": ("crawler.fetch.http11.endpoint.forbidden", lambda _: "", "leads to 10.0.0.7"),
    "a deadline is not kept": ("crawler.fetch.flight.Flight.overdue", lambda *_: None, " took |deadlock"),
    "a timer is left": ("crawler.fetch.http11.pool.Pool.close", lambda _: None, "timers are left|connections are left"),
    "what is read is not remembered": (
        "crawler.store.journal.Journal.seed_taken",
        lambda *_: None,
        "too many|differ|second",
    ),
    "links are lost": ("crawler.engine.admission.Admission.accept_links", lambda *_, **__: None, "links to"),
    "the delay ends with a run": (
        "crawler.politeness.controller.Politeness.go_on",
        lambda *_: None,
        "after the last request",
    ),
    "what was begun is forgotten": ("crawler.job.job.Job.pages", lambda _: (0, set()), "asked for"),
    "a page is begun before that is kept": (
        "crawler.store.journal.Journal.begun",
        lambda *_: None,
        "deadlock|asked for",
    ),
    "hops are not known": ("crawler.frontier.memory.MemoryFrontier.leads", lambda *_: True, "for another input"),
    "outputs are not cut": ("crawler.job.job.Job._cut", lambda *_: None, "record|JSON|malformed|trailing"),
}


@pytest.mark.parametrize("bug", PLANTED)
def test_no_bug_goes_unseen(bug, monkeypatch):
    """Whatever is planted is found within a few worlds."""
    place, broken, words = PLANTED[bug]
    monkeypatch.setattr(place, broken)
    for seed in range(1, 150):
        try:
            live(seed)
        except Broken as error:
            if re.search(words, str(error)):
                return
    pytest.fail("nobody has seen it")


def test_worlds_differ():
    """Both modes, with and without a job, with every way to be ended."""
    worlds = [make_world(seed) for seed in range(200)]
    assert {world.name for world in worlds} == {"list", "crawl", "list+job", "crawl+job"}
    assert {end.way for world in worlds for end in world.ends} == {"crash", "power", "full", "drain", "abort", "hurry"}


class TestFound:
    """What a simulation has found, each as the smallest world that shows it."""

    def test_one_pause_for_all_who_wait_for_a_robots_txt(self):
        """seed 410: three URLs waited for it, and each in its turn made a pause of its own: 180 s instead of 60."""
        pages = [Page(f"/{number}", body=b"page") for number in range(3)]
        story = live_in(small_world(*pages, site={"robots_faults": ["503"]}, robots=True, per_host=3))
        assert codes(story) == {None: 3}
        assert times(story, "fetch robots") == [0.0, pytest.approx(60.0, abs=0.2)]

    def test_a_timeout_of_an_idle_connection_is_no_robots_txt(self):
        """seed 272: a 408 that crossed the request for robots.txt was taken for "there is none": all was allowed."""
        story = live_in(
            small_world(
                Page("/private/x", body=b"secret"), robots=True,
                site={"robots": "User-agent: *\nDisallow: /private/\n", "robots_faults": ["408"]},
            )
        )  # fmt: skip
        assert codes(story) == {"robots_denied": 1}

    def test_deadlines_in_the_order_of_the_requests(self):
        """Requests that time out in the same moment end in the order in which they began, not in that of a set."""
        pages = [Page(f"/{number}", fault="silent", times=10**9) for number in range(8)]
        story = live_in(small_world(*pages, per_host=8, concurrency=8, retries=0))
        ended = [event.split("/")[-1].split(" ")[0] for event in story.events if " answer " in event]
        assert ended == [str(number) for number in range(8)]
