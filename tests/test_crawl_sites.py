"""The whole program against real sockets: it finds what a simple crawler finds, and no kill, full disk or signal changes
a line of what it writes."""

from __future__ import annotations

import csv
import gzip
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest
from generated_site import GeneratedSite, generated_site, keep
from reference_crawler import Pages, ReferenceCrawler

from crawler.job.verify import verify
from crawler.urls import parse

pytestmark = pytest.mark.usefixtures("folder")

ROOT = Path(__file__).parent.parent
OUTPUTS = ("pages.jsonl", "pages.csv", "pages.jsonl.gz")
HELD = "/odd/areas.html"
KILLS = 7

Lines = Counter[tuple[str, str, str]]
"""URL, status and sha256 of each line, as text; of a crawl the final URL, and no line that another one stands for."""


class Ended(NamedTuple):
    code: int
    err: str


@pytest.fixture(scope="module")
def sites() -> Iterator[tuple[GeneratedSite, GeneratedSite]]:
    """The site that is crawled, and the one that it links to."""
    with generated_site(1) as elsewhere, generated_site(2, elsewhere.url("")) as site:
        yield site, elsewhere


@pytest.fixture
def site(sites: tuple[GeneratedSite, GeneratedSite]) -> Iterator[GeneratedSite]:
    """The site, as if nobody had ever asked it. Where it leads to is asked nothing."""
    site, elsewhere = sites
    site.log.clear()
    yield site
    site.released.set()
    site.released.clear()
    site.arrived.clear()
    site.held.clear()
    site.pause = 0.0
    assert not elsewhere.log


@pytest.fixture(scope="module")
def expected(sites: tuple[GeneratedSite, GeneratedSite]) -> Lines:
    """The lines of a crawl that nothing disturbed, as the reference crawler has them."""
    return lines_of(ReferenceCrawler(robots=True, keep=keep).crawl([sites[0].url()]))


def lines_of(pages: Pages) -> Lines:
    return Counter((url, str(status or ""), digest or "") for url, (status, digest) in pages.items())


def read(output: str) -> list[dict]:
    """The records of an output, all of which must be whole. A cell of a table is text, or missing."""
    data = Path(output).read_bytes()
    if output.endswith(".gz"):
        data = gzip.decompress(data)
    assert data.endswith(b"\n")
    text = data.decode()
    if ".csv" in output:
        return list(csv.DictReader(text.splitlines(keepends=True), strict=True))
    return [json.loads(line) for line in text.splitlines()]


def lines(output: str, url: str = "final_url") -> Lines:
    """Which of two links that lead to the same page has it as its own depends on which comes first."""
    rows = [row for row in read(output) if url == "url" or _code(row) != "duplicate"]
    return Counter((row[url] or row["url"], str(row["status"] or ""), row["sha256"] or "") for row in rows)


def _code(row: dict) -> str | None:
    return row["error_code"] if "error_code" in row else row["error"] and row["error"]["code"]


def options(*, job: bool = True) -> list[str]:
    """Options with which a loopback site is crawled in a second."""
    common = ["-c", "8", "--per-host", "8", "--delay", "0", "--no-progress", "--retries", "0"]
    return [
        *common,
        *(["--job", "job"] if job else []),
        *(part for output in OUTPUTS for part in ("-o", output)),
    ]


def crawl_of(site: GeneratedSite, *more: str, job: bool = True) -> list[str]:
    return ["-r", site.url(), "--scope", "origin", *options(job=job), *more]


@contextmanager
def started(*arguments: str, **keywords: object) -> Iterator[subprocess.Popen[str]]:
    """`python -m crawler`; killed at the end if it still runs."""
    with subprocess.Popen(
        [sys.executable, "-m", "crawler", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        **keywords,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def run(*arguments: str, **keywords: object) -> Ended:
    with started(*arguments, **keywords) as process:
        return ended(process)


def interrupt(process: subprocess.Popen[str], *numbers: signal.Signals) -> None:
    """Send signals so far from each other that each is heard."""
    for number in numbers:
        process.send_signal(number)
        time.sleep(0.2)


def ended(process: subprocess.Popen[str]) -> Ended:
    _, err = process.communicate(timeout=30)
    assert "Traceback" not in err, err
    return Ended(process.returncode, err)


def run_killed(site: GeneratedSite, command: list[str], rng: random.Random) -> None:
    """A run that ends by a signal: somewhere on its way, or while it starts."""
    with started(*command) as process:
        goal = len(site.log) + rng.randint(1, 80)
        deadline = time.monotonic() + (rng.uniform(0.1, 0.8) if rng.random() < 0.2 else 10.0)
        while process.poll() is None and len(site.log) < goal and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(rng.uniform(0.0, 0.06))
        number = rng.choice([signal.SIGKILL] * 4 + [signal.SIGINT])
        process.send_signal(number)
        assert ended(process).code in {-signal.SIGKILL, -signal.SIGINT, 128 + signal.SIGINT, 0}


def assert_right(expected: Lines, url: str = "final_url") -> None:
    """Every output has exactly these lines, and the books of the job balance."""
    for output in OUTPUTS:
        found = lines(output, url)
        assert found == expected, (output, found - expected, expected - found)
    assert verify("job").problems == []


@pytest.mark.parametrize("more", [[], ["--nofollow"]], ids=["all links", "nofollow"])
def test_a_crawl_finds_what_a_simple_crawler_finds(site, more):
    """The same URLs with the same content, by the same requests: each page once, robots.txt once, a trap never."""
    reference = ReferenceCrawler(robots=True, nofollow=bool(more), keep=keep).crawl([site.url()])
    asked = Counter(site.log)
    site.log.clear()
    assert run(*crawl_of(site, *more, job=False)).code == 0
    for output in OUTPUTS:
        assert lines(output) == lines_of(reference), output
    assert Counter(site.log) == asked
    records = read("pages.jsonl")
    # One that is led back to where it has been is asked once more, for the server may count.
    assert {site.url(target) for target, times in asked.items() if times != 1} <= {
        site.url(f"/odd/loop-{n}.html") for n in "ab"
    }
    assert "duplicate" in {_code(record) for record in records}
    assert len(records) > 200
    assert {status for _, status, _ in lines("pages.csv")} == {"200", "302", "303", "404", "410", ""}


@pytest.mark.parametrize("seed", range(2))
def test_a_crawl_that_is_killed_again_and_again(site, expected, seed):
    """However often it dies, the output of a job has each line of the undisturbed run once, and no other."""
    rng = random.Random(seed)
    site.pause = 0.01
    for _ in range(KILLS):
        run_killed(site, crawl_of(site), rng)
    assert run(*crawl_of(site)).code == 0
    assert_right(expected)
    assert site.log.count("/robots.txt") <= KILLS + 1


@pytest.mark.parametrize("ends_by", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_the_delay_is_kept_over_the_ends_of_runs(site, ends_by):
    """As the server sees it: a run that goes on at once asks no sooner than the one before would have."""
    delay, targets = 0.9, [f"/odd/text.txt?{n}" for n in range(4)]
    command = [*map(site.url, targets), "--job", "job", "-o", "pages.jsonl", "--delay", str(delay), "-c", "4", "-q"]
    site.times.clear()
    for number in (1, 2):
        with started(*command) as process:
            while process.poll() is None and len(site.log) < number:
                time.sleep(0.002)
            process.send_signal(ends_by)
            ended(process)
    assert run(*command).code == 0
    assert {row["url"] for row in read("pages.jsonl")} == set(map(site.url, targets))
    gaps = [after - before for before, after in pairwise(site.times)]
    assert min(gaps) >= delay - 0.2, gaps  # a busy machine notes a request late


@pytest.mark.parametrize("order", [[], ["--ordered"]], ids=["as they come", "ordered"])
def test_a_list_that_is_killed_again_and_again(site, order):
    """Each line of a list has one record, also one that is no URL, or comes twice."""
    rng = random.Random(9)
    targets = [target for target in site.pages if not target.startswith(("/private", "/odd/away"))] + ["/missing"]
    wanted = {number: site.url(rng.choice(targets)) for number in range(1, 401)}
    wanted |= {number: f"nonsense {number % 3}" for number in range(7, 401, 23)}
    Path("list.txt").write_text("".join(f"{line}\n" for line in wanted.values()))
    with closing(ReferenceCrawler()) as reference:
        answers = [(None, None) if "nonsense" in line else reference.fetch(parse(line)) for line in wanted.values()]
    expected = Counter(
        (line, str(status or ""), digest or "") for line, (status, digest) in zip(wanted.values(), answers, strict=True)
    )
    site.pause = 0.01
    command = ["list.txt", *options(), *order]
    for _ in range(KILLS):
        run_killed(site, command, rng)
    assert run(*command).code == 0
    assert_right(expected, "url")
    for output in OUTPUTS:
        numbers = [int(row.get("input_line") or row["input"]["line"]) for row in read(output)]
        assert (numbers if order else sorted(numbers)) == list(wanted)


@pytest.mark.parametrize("limit", [30_000, 90_000, 150_000])
def test_a_full_disk_ends_the_run_and_the_next_one_goes_on(site, expected, limit):
    """Exit code 5, whichever file is full first; with room again the same command completes the outputs."""

    def preexec() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    full = run(*crawl_of(site), preexec_fn=preexec)
    assert full.code == 5, full.err
    assert "run the same command again to go on" in full.err
    assert run(*crawl_of(site)).code == 0
    assert_right(expected)


def test_two_processes_do_not_work_on_one_job(site, expected):
    """The second is refused, and names the first, which is not disturbed."""
    site.held = {HELD}
    with started(*crawl_of(site)) as first:
        assert site.arrived.wait(10)
        asked = len(site.log)
        second = run("-r", site.url("/robots.txt"), *crawl_of(site)[2:])
        assert second.code == 2
        assert f"process {first.pid}" in second.err
        assert "/robots.txt" not in site.log[asked:]
        site.released.set()
        assert ended(first).code == 0
    assert_right(expected)


def test_options_that_may_not_change(site, expected):
    """On the way, another --scope is refused without a request or a change of a file; another -c is not."""
    site.held = {HELD}
    with started(*crawl_of(site)) as process:
        assert site.arrived.wait(10)
        interrupt(process, signal.SIGTERM, signal.SIGTERM)
        assert ended(process).code == 143
    site.released.set()
    asked, before = len(site.log), {output: Path(output).read_bytes() for output in OUTPUTS}
    refused = run(*crawl_of(site, "--scope", "prefix"))
    assert refused.code == 2
    assert "--scope" in refused.err
    assert len(site.log) == asked
    assert {output: Path(output).read_bytes() for output in OUTPUTS} == before
    accepted = run(*crawl_of(site, "-c", "3"))
    assert accepted.code == 0
    assert_right(expected)


@pytest.mark.parametrize(
    ("signals", "code", "longest"),
    [
        pytest.param([signal.SIGINT], 130, 8.0, id="ctrl-c"),
        pytest.param([signal.SIGINT, signal.SIGINT], 130, 3.0, id="ctrl-c twice"),
        pytest.param([signal.SIGTERM, signal.SIGTERM], 143, 3.0, id="sigterm twice"),
    ],
)
def test_a_signal_puts_back_what_is_in_the_air(site, expected, signals, code, longest):
    """A page that does not come within the grace, or before the second signal, has no record; the next run has it."""
    site.held = {HELD}
    with started(*crawl_of(site)) as process:
        assert site.arrived.wait(10)
        start = time.monotonic()
        interrupt(process, *signals)
        assert ended(process).code == code
    assert time.monotonic() - start < longest
    for output in OUTPUTS:
        assert site.url(HELD) not in {row["url"] for row in read(output)}
    assert verify("job").problems == []
    site.released.set()
    assert run(*crawl_of(site)).code == 0
    assert_right(expected)


def test_sigterm_lets_what_is_in_the_air_come_down(site, expected):
    """One signal ends the run as soon as that has its records; nothing is fetched again."""
    site.held = {HELD}
    with started(*crawl_of(site)) as process:
        assert site.arrived.wait(10)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        site.released.set()
        assert ended(process).code == 143
    assert site.url(HELD) in {row["url"] for row in read("pages.jsonl")}
    assert run(*crawl_of(site)).code == 0
    assert_right(expected)
    assert site.log.count(HELD) == 1
