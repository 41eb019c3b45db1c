"""fetch_all, stream, fetch_all_async and Crawler against the loopback site: what callers get, and what stays behind."""

from __future__ import annotations

import asyncio
import csv
import gc
import gzip
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from loopback import Gate, eventually
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.selectreactor import SelectReactor
from twisted.python import threadable

import crawler
from crawler import CodedError, Config, ConfigError, Crawler, Record, fetch_all, fetch_all_async, stream
from crawler.models import Response
from crawler.sinks.memory import ListSink
from crawler.site import RunningSite, refused_port, running_site
from crawler.stats.stats import Snapshot

ROOT = Path(__file__).parent.parent
HELLO = "/hello/english.html"


@pytest.fixture(scope="module")
def site() -> Iterator[RunningSite]:
    with running_site() as site:
        fetch_all([site.url()])  # whatever a process opens once, it opens now
        yield site


def codes(records: list[Record]) -> list[str | int | None]:
    return [record.status if record.error is None else record.error.code for record in records]


# fetch_all


def test_records_in_input_order(site, nothing_left):
    """One Record for each URL, in the order of the URLs, whatever becomes of them and however long that takes."""
    with refused_port() as port:
        records = fetch_all(
            [
                site.url("/pause.html"),
                "no URL",
                site.url("/missing.html"),
                f"http://127.0.0.1:{port}/",
                site.url("/moved"),
                site.url("/pause.html"),
                "http://no-such-host.invalid/",
            ],
            retries=0,
        )
    assert codes(records) == [200, "url_invalid", 404, "connect_refused", 200, 200, "dns_nxdomain"]
    assert [record.input.line for record in records] == [1, 2, 3, 4, 5, 6, 7]
    assert records[4].final_url == site.url(HELLO)
    assert [record.ok for record in records] == [True, False, False, False, True, True, False]


def test_record(site):
    """A Record has the body in every form, whether or not it was asked to be written."""
    page, data, missing = fetch_all([site.url("/hello/german.html"), site.url("/data.json"), "no URL"])
    assert page.body.decode("windows-1252") == page.text
    assert page.selector.css("h1::text").get() == "Grüße an die Welt"
    assert data.json()["name"] == "crawler"
    assert data.wire_body is None
    assert (missing.body, missing.text) == (b"", "")


def test_again_and_again(site, nothing_left):
    """It works three times in one process, and leaves nothing behind."""
    for _ in range(3):
        assert codes(fetch_all([site.url(HELLO), site.url("/missing.html")])) == [200, 404]


def test_four_threads_at_once(site, nothing_left):
    """Calls in several threads do not know of each other."""
    results: dict[int, list[Record]] = {}
    start = threading.Barrier(4)

    def call(number: int) -> None:
        start.wait()
        results[number] = fetch_all([site.url(f"/p/{number * 10 + n}.html") for n in range(10)])

    threads = [threading.Thread(target=call, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    for number in range(4):
        assert [r.url for r in results[number]] == [site.url(f"/p/{number * 10 + n}.html") for n in range(10)]
        assert codes(results[number]) == [200] * 10


def test_nothing_to_fetch(nothing_left):
    """No URLs, no records."""
    assert fetch_all([]) == []
    assert list(stream(iter(()))) == []


@pytest.mark.parametrize("kind", [list, tuple, set, iter, lambda urls: (url for url in urls), dict.fromkeys])
def test_every_iterable(site, kind):
    """URLs may come in whatever can be iterated over."""
    assert codes(fetch_all(kind([site.url(HELLO)]))) == [200]


@pytest.mark.parametrize("urls", ["http://a.example/", b"http://a.example/", Path("urls.txt"), Record])
@pytest.mark.parametrize(
    "fetch", [fetch_all, lambda urls: list(stream(urls)), lambda urls: asyncio.run(fetch_all_async(urls))]
)
def test_one_url_is_no_list(urls, fetch, nothing_left):
    """A bare str is an iterable of characters: surely a mistake."""
    with pytest.raises(TypeError, match=r"an iterable of URLs is wanted, not (one|the class) "):
        fetch(urls)


def test_what_is_no_iterable(nothing_left):
    """Python's own error for what cannot be iterated over."""
    with pytest.raises(TypeError, match="not iterable"):
        fetch_all(42)  # type: ignore[arg-type]


# Options


@pytest.mark.parametrize(
    "fetch", [fetch_all, stream, lambda urls, **options: asyncio.run(fetch_all_async(urls, **options))]
)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"concurency": 5}, r"concurency.*concurrency"),
        ({"concurrency": 0}, r"concurrency: 0 is not a whole number from 1 to 10,000"),
        ({"concurrency": "many"}, r"concurrency: 'many'"),
        ({"timeout": -1}, r"timeout: -1"),
        ({"headers": ("TE: x",)}, r"headers: 'TE'"),
        ({"method": "GET /"}, r"method: 'GET /'.*GET"),
        ({"fields": ("statsu",)}, r"fields: 'statsu'.*status"),
        ({"ordered": "perhaps"}, r"ordered: 'perhaps'"),
    ],
)
def test_a_bad_option(fetch, options, message):
    """It is refused at the call, before anything is fetched, with its name, the value and what is allowed."""
    with pytest.raises(ConfigError, match=message) as caught:
        fetch(["http://no-such-host.invalid/"], **options)
    assert isinstance(caught.value, ValueError)
    assert "\n" not in str(caught.value)


def test_options_as_the_command_line_takes_them(site):
    """Sizes and times may be numbers, or text with a unit; lists may be lists."""
    [echo, big] = fetch_all(
        [site.url("/echo"), site.url("/big.html")],
        headers=["X-One: 1", "X-Two: 2"],
        user_agent="someone/1",
        timeout="1m",
        max_size="100 KiB",
        retries="0",
    )
    for line in ("X-One: 1", "X-Two: 2", "User-Agent: someone/1"):
        assert line in echo.text
    assert big.error is not None
    assert big.error.code == "body_too_large"


def test_options_of_a_file(site, tmp_path):
    """`config` names a TOML file, which counts less than the keywords."""
    path = tmp_path / "options.toml"
    path.write_text('user_agent = "file/1"\nheaders = ["X-From: file"]\n')
    [echo] = fetch_all([site.url("/echo")], config=str(path), user_agent="keyword/1")
    assert "X-From: file" in echo.text
    assert "keyword/1" in echo.text


def test_outputs_beside_the_list(site, tmp_path):
    """The outputs of the options are written too, and are complete when the call returns."""
    urls = [site.url("/pause.html"), site.url(HELLO), "no URL"]
    jsonl, table, packed = tmp_path / "out.jsonl", tmp_path / "OUT.CSV", tmp_path / "out.tsv.gz"
    records = fetch_all(urls, output=[str(jsonl), str(table)], overwrite_output=[str(packed)], ordered=True)
    assert codes(records) == [200, 200, "url_invalid"]
    assert [json.loads(line)["url"] for line in jsonl.read_text().splitlines()] == urls
    assert [row["url"] for row in csv.DictReader(table.read_text().splitlines())] == urls
    lines = gzip.decompress(packed.read_bytes()).decode().splitlines()
    assert [row["error_code"] for row in csv.DictReader(lines, delimiter="\t")] == ["", "", "url_invalid"]


def test_ordered_records_keep_their_bodies(site):
    """`ordered` changes the order and nothing else."""
    urls = [site.url("/pause.html"), site.url("/data.json"), site.url("/plain.txt")]
    for records in (list(stream(urls, ordered=True)), fetch_all(urls, ordered=True)):
        assert [record.url for record in records] == urls
        assert [len(record.body) for record in records] == [record.size_body for record in records]
        assert records[1].json()["name"] == "crawler"


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ({"output": ["old.jsonl"]}, ConfigError),
        ({"output": ["out.feather"]}, ConfigError),
        ({"output": ["missing/out.jsonl"]}, CodedError),
        ({"bodies": "old.jsonl"}, CodedError),
        ({"netrc_file": "missing"}, ConfigError),
        ({"cacert": "missing"}, ConfigError),
        ({"cert": "missing"}, ConfigError),
        ({"cert": "old.jsonl"}, ConfigError),
        ({"cookie": "missing"}, ConfigError),
        ({"cookie_jar": "missing/jar"}, CodedError),
        ({"cookie_jar": "old.jsonl"}, ConfigError),
        ({"proxy_file": "missing"}, ConfigError),
        ({"interface": "missing"}, ConfigError),
        ({"data": "@missing"}, ConfigError),
        ({"form": "a=@missing"}, ConfigError),
        ({"since": "missing"}, ConfigError),
        ({"bearer": "@missing"}, ConfigError),
        ({"netrc_file": "missing", "job": "job"}, ConfigError),
        ({"cookie_jar": "missing/jar", "job": "job"}, CodedError),
    ],
)
def test_a_start_that_fails_changes_nothing(tmp_path, monkeypatch, bad, error, nothing_left):
    """When one output cannot be had, no other is created or emptied: the same call works once that is mended."""
    monkeypatch.chdir(tmp_path)
    Path("old.jsonl").write_text("precious\n")
    Path("other.csv").write_text("precious too\n")
    options = {
        "output": ["new.jsonl", "new.csv", *bad.get("output", ())],
        "overwrite_output": ["other.csv", "fresh.csv"],
    }
    with pytest.raises(error):
        fetch_all(["no URL"], **(options | {name: value for name, value in bad.items() if name != "output"}))
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "old.jsonl": "precious\n",
        "other.csv": "precious too\n",
    }


def test_an_output_that_fails(site, tmp_path, nothing_left):
    """A full disk ends the call with the error that says so."""
    with pytest.raises(CodedError) as caught:
        fetch_all([site.url(HELLO)], output=["/dev/full"])
    assert caught.value.code == "disk_full"
    assert "/dev/full" in caught.value.message


# Errors of the caller's iterable


class BrokenError(Exception):
    """The caller's own error."""


@pytest.mark.parametrize("error", [BrokenError("at three"), SystemExit(3), CancelledError()])
def test_an_iterable_that_raises(site, error, nothing_left):
    """The caller gets that very exception; of a stream after the record of everything given before."""

    def urls() -> Iterator[str]:
        yield site.url("/pause.html")
        yield site.url(HELLO)
        raise error

    got: list[Record] = []
    with pytest.raises(type(error)) as caught:
        for record in stream(urls()):
            got.append(record)  # noqa: PERF402 - those before the error count
    assert caught.value is error
    assert sorted(record.url for record in got) == [site.url(HELLO), site.url("/pause.html")]
    with pytest.raises(type(error)) as caught:
        fetch_all(urls())
    assert caught.value is error


# stream


def test_a_stream_of_a_slow_generator(site, nothing_left):
    """Records come while the generator is still at it: none waits for the next URL."""
    seen: list[str] = []
    third = threading.Event()

    def urls() -> Iterator[str]:
        yield site.url("/p/1.html")
        yield site.url("/p/2.html")
        yield "no URL"
        assert third.wait(10), "nothing came before the generator went on"
        yield site.url("/p/3.html")

    for record in stream(urls()):
        seen.append(record.url)
        if len(seen) == 3:
            third.set()
    assert sorted(seen[:3]) == sorted([site.url("/p/1.html"), site.url("/p/2.html"), "no URL"])
    assert seen[3:] == [site.url("/p/3.html")]


def test_a_long_stream_is_bounded(site, nothing_left):
    """Of 20,000 URLs only so many are read ahead of a slow consumer; each has one record."""
    given = 0

    def urls() -> Iterator[str]:
        nonlocal given
        for number in range(20_000):
            given += 1
            yield site.url(f"/p/{number % 2000}.html") if number % 50 == 0 else f"line {number}"

    records = stream(urls(), per_host=64)
    first = next(records)
    bound = 1_000 + 1_024 + 5_000 + 64  # the queue, the reader's, the window of unfinished inputs, in flight
    time.sleep(0.1)
    assert given < bound
    ahead = 0
    lines = {first.input.line}
    for taken, record in enumerate(records, 2):
        ahead = max(ahead, given - taken)
        lines.add(record.input.line)
    assert ahead < bound
    assert lines == set(range(1, 20_001))


def test_a_stream_of_big_bodies_is_bounded(site, nothing_left):
    """Bodies count as well: a megabyte each, and no thousand of them waits for the consumer."""
    urls = [site.url("/big.html")] * 150
    before = len(site.site.log)
    records = stream(urls, concurrency=4)
    assert next(records).size_body > 1_000_000
    assert not eventually(lambda: len(site.site.log) - before > 90, seconds=0.4)
    records.close()


def test_a_consumer_that_breaks(site, nothing_left):
    """The fetching stops with the consumer."""
    before = len(site.site.log)
    for record in stream((site.url(f"/p/{n % 2000}.html") for n in itertools.count()), concurrency=4):
        assert record.status == 200
        break
    assert len(site.site.log) - before < 2_000


def test_a_consumer_that_raises(site, gate, nothing_left):
    """So it does when the consumer fails, however long the server would take; the error is the consumer's."""
    started = time.monotonic()
    with pytest.raises(BrokenError):
        for _ in stream([site.url(HELLO), gate.url()]):
            assert gate.arrived.wait(10)
            raise BrokenError
    gc.collect()
    assert time.monotonic() - started < 5
    assert eventually(lambda: not any(thread.name == "crawler" for thread in threading.enumerate()))
    gate.open.set()


def test_a_stream_nobody_reads(nothing_left):
    """Before the first record is asked for, nothing happens."""
    records = stream(["http://no-such-host.invalid/"])
    records.close()
    del records


def test_a_generator_is_closed_with_the_stream(site):
    """What the caller's generator holds is let go when the consumer stops."""
    closed = threading.Event()

    def urls() -> Iterator[str]:
        try:
            for number in itertools.count():
                yield site.url(f"/p/{number % 2000}.html")
        finally:
            closed.set()

    records = stream(urls())
    next(records)
    records.close()
    assert closed.wait(5), "and waits for no garbage collection"


# parse functions that wait


def test_async_parse(site, nothing_left):
    """They may wait for whatever asyncio has, and do so at the same time; what comes of it is as from any other."""
    together = asyncio.Barrier(3)

    async def parse(page):
        async with asyncio.timeout(5):
            place = await together.wait()
        yield {"place": place}
        if page.url.endswith("1.html"):
            yield crawler.Request("/p/4.html", callback=last)

    async def last(page):
        return [{"last": page.status}]

    seeds = [site.url(f"/p/{number}.html") for number in (1, 2, 3)]
    records = {record.url: record.data for record in crawler.crawl(seeds, parse=parse, delay=0, per_host=3)}
    assert sorted(records[seed][0]["place"] for seed in seeds) == [0, 1, 2]
    assert records[site.url("/p/4.html")] == [{"last": 200}]


def test_a_crawl_that_is_left_while_parse_waits(site, nothing_left):
    """What waits is cancelled, and cleans up, before the loop is closed."""
    begun, ended = asyncio.Event(), []

    async def parse(page):
        try:
            if page.url.endswith("1.html"):
                await begun.wait()
            else:
                begun.set()
                await asyncio.sleep(600)
        finally:
            ended.append(page.url)
        yield {}

    seeds = [site.url(f"/p/{number}.html") for number in (1, 2)]
    for record in crawler.crawl(seeds, parse=parse, delay=0):
        assert record.url == seeds[0]
        break
    assert ended == seeds


# asyncio


def test_async(site, nothing_left):
    """The loop goes on while the fetching does, also for several calls at once."""
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    async def main() -> list[list[Record]]:
        ticking = asyncio.create_task(tick())
        try:
            return await asyncio.gather(
                fetch_all_async([site.url("/pause.html"), site.url(HELLO)]), fetch_all_async(["no URL"])
            )
        finally:
            ticking.cancel()

    both = asyncio.run(main())
    assert [codes(records) for records in both] == [[200, 200], ["url_invalid"]]
    assert ticks > 3


def test_async_cancelled(gate, nothing_left):
    """Cancelling the task closes the sockets at once, and the task ends as a cancelled one."""

    async def main() -> float:
        task = asyncio.create_task(fetch_all_async([gate.url()] * 3))
        assert await asyncio.to_thread(gate.arrived.wait, 10)
        before = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return time.monotonic() - before

    assert asyncio.run(main()) < 2.0
    gate.open.set()


def test_async_timeout(gate):
    """asyncio's own time limit works on it."""

    async def main() -> None:
        async with asyncio.timeout(0.1):
            await fetch_all_async([gate.url()])

    with pytest.raises(TimeoutError):
        asyncio.run(main())


def test_async_errors(site, nothing_left):
    """The errors are those of fetch_all."""

    def urls() -> Iterator[str]:
        yield site.url(HELLO)
        raise BrokenError

    with pytest.raises(BrokenError):
        asyncio.run(fetch_all_async(urls()))
    with pytest.raises(CodedError, match="disk_full"):
        asyncio.run(fetch_all_async([site.url(HELLO)], output=["/dev/full"]))


# Where it cannot work


@pytest.mark.parametrize("fetch", [fetch_all, stream])
def test_refused_in_the_reactor_thread(monkeypatch, fetch):
    """Blocking the reactor would be a deadlock to its owner: the message names what to use there."""
    monkeypatch.setitem(sys.modules, "twisted.internet.reactor", SimpleNamespace(running=True))
    monkeypatch.setattr(threadable, "ioThread", threading.get_ident())
    with pytest.raises(RuntimeError, match=r"crawler\.Crawler\(config, reactor=reactor\)\.run\(\)"):
        fetch(["http://no-such-host.invalid/"])


def test_other_threads_of_a_twisted_program(site, monkeypatch):
    """Where the reactor runs in another thread, blocking is nobody's harm."""
    monkeypatch.setitem(sys.modules, "twisted.internet.reactor", SimpleNamespace(running=True))
    monkeypatch.setattr(threadable, "ioThread", threading.get_ident() + 1)
    assert codes(fetch_all([site.url(HELLO)])) == [200]
    assert threadable.ioThread == threading.get_ident() + 1


def python(
    program: str, *, interrupt: Gate | None = None, environ: dict[str, str] | None = None
) -> tuple[int, str, str]:
    """Run a program; send it Ctrl-C once it has asked the gate, which opens then."""
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, **(environ or {})},
    ) as process:
        if interrupt is not None:
            assert interrupt.arrived.wait(20)
            process.send_signal(signal.SIGINT)
            time.sleep(0.1)
            interrupt.open.set()
        output, errors = process.communicate(timeout=30)
    return process.returncode, output, errors


def test_in_a_real_reactor(site):
    """In a program of Twisted's: fetch_all is refused, Crawler works, and threads may call fetch_all."""
    program = f"""
from twisted.internet import reactor, threads
from twisted.internet.defer import inlineCallbacks
from crawler import Config, Crawler, fetch_all
from crawler.sinks.memory import ListSink

@inlineCallbacks
def main():
    try:
        fetch_all(["http://127.0.0.1/"])
    except RuntimeError as error:
        print("refused" if "crawler.Crawler" in str(error) else error)
    sink = ListSink()
    snapshot = yield Crawler(Config(), reactor=reactor, urls=[{site.url(HELLO)!r}], sinks=[sink]).run()
    print(snapshot.ok, sink.records[0].status)
    records = yield threads.deferToThread(fetch_all, [{site.url(HELLO)!r}])
    print(records[0].status)
    reactor.stop()

reactor.callWhenRunning(main)
reactor.run()
"""
    assert python(program) == (0, "refused\n1 200\n200\n", "")


def test_ctrl_c(gate, tmp_path):
    """Ctrl-C drains: what finishes is written, what is not in the air is not fetched; then comes KeyboardInterrupt."""
    out = tmp_path / "out.jsonl"
    urls = [gate.url("/first"), *(gate.url(f"/held{n}") for n in range(9))]
    program = f"""
from crawler import fetch_all
try:
    fetch_all({urls!r}, per_host=1, output=[{str(out)!r}])
except KeyboardInterrupt:
    print("interrupted")
"""
    assert python(program, interrupt=gate) == (0, "interrupted\n", "")
    assert gate.asked == ["/first", "/held0"]
    assert [json.loads(line)["url"] for line in out.read_text().splitlines()] == urls[:2]


def test_ctrl_c_twice(gate, monkeypatch, nothing_left):
    """The second Ctrl-C waits for nothing."""
    wait, calls = futures.wait, itertools.count()

    def interrupted(*arguments: object, **keywords: object) -> object:
        assert gate.arrived.wait(10)
        if next(calls) < 2:
            raise KeyboardInterrupt
        return wait(*arguments, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(futures, "wait", interrupted)
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        fetch_all([gate.url()])
    assert time.monotonic() - started < 3
    gate.open.set()


@pytest.mark.parametrize("fetch", [fetch_all, lambda urls, **options: list(stream(urls, **options))])
def test_ctrl_c_at_the_start(site, monkeypatch, fetch, nothing_left):
    """Ctrl-C that comes while the thread is being started leaves no run behind."""
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        if thread.name == "crawler":
            raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch([site.url("/pause.html")] * 20, per_host=1)
    # Over but for the last instructions of the thread.
    assert eventually(lambda: not any(thread.name == "crawler" for thread in threading.enumerate()), seconds=1.0)


def test_without_uvloop(site):
    """Where uvloop cannot be installed everything works on asyncio's own loop, without a complaint."""
    program = f"""
import logging, sys, warnings
warnings.simplefilter("error")
logging.getLogger("asyncio").setLevel("ERROR")  # it warns of what takes long, as all does on a busy machine
sys.modules["uvloop"] = None
from crawler import fetch_all, stream
print([record.status for record in fetch_all([{site.url(HELLO)!r}, {site.url("/moved")!r}])])
for record in stream({site.url("/p/%d.html")!r} % n for n in range(2000)):
    print(record.status)
    break
import asyncio
assert not any(name.startswith("uvloop") and module for name, module in sys.modules.items())
"""
    assert python(program, environ={"PYTHONDEVMODE": "1"}) == (0, "[200, 200]\n200\n", "")


# Crawler, for Twisted programs


def reactors() -> list[type]:
    try:
        from twisted.internet.epollreactor import EPollReactor
    except ImportError:
        return [SelectReactor]
    return [SelectReactor, EPollReactor]


def on_reactor(kind: type, start: Callable[[object], Deferred]) -> object:
    """Run a plain Twisted reactor in a thread until the Deferred has fired; give the result."""
    reactor = kind()
    reactor._registerAsIOThread = False
    results: list[object] = []

    def main() -> None:
        reactor.callWhenRunning(
            lambda: start(reactor).addBoth(results.append).addCallback(lambda _: reactor.callLater(0.02, reactor.stop))
        )
        reactor.run(installSignalHandlers=False)
        for waker in list(reactor._internalReaders):
            reactor.removeReader(waker)
            waker.connectionLost(None)
        if hasattr(reactor, "_poller") and hasattr(reactor._poller, "close"):
            reactor._poller.close()

    thread = threading.Thread(target=main)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    return results[0]


class Closing(ListSink):
    """A sink that tells whether it was closed."""

    closed = 0

    def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize("kind", reactors())
def test_crawler_on_twisteds_reactors(site, kind, tmp_path, nothing_left):
    """On every reactor of Twisted's: outputs and sinks get all records, the Deferred fires with the statistics."""
    out, sink = tmp_path / "out.jsonl", Closing()
    urls = [
        site.url(HELLO),
        site.url("/moved/twice"),
        site.url("/encoded/gzip.html"),
        "no URL",
        site.url("/pause.html"),
    ]
    config = Config.build(output=[str(out)])
    snapshot = on_reactor(kind, lambda reactor: Crawler(config, reactor=reactor, urls=urls, sinks=[sink]).run())
    assert isinstance(snapshot, Snapshot), snapshot
    assert (snapshot.done, snapshot.ok, snapshot.failed, snapshot.total) == (5, 4, 1, 5)
    assert codes(sink.records) == [200, 200, 200, "url_invalid", 200]
    assert sink.closed == 1
    assert sorted(json.loads(line)["url"] for line in out.read_text().splitlines()) == sorted(urls)


@pytest.mark.parametrize("kind", reactors())
def test_cancelling_drains(gate, kind, tmp_path, nothing_left):
    """Cancelling the Deferred starts nothing new; what is in the air is finished, and the Deferred fires with the rest left."""
    out = tmp_path / "out.jsonl"
    urls = [gate.url(f"/held{n}") for n in range(10)]

    def start(reactor) -> Deferred:
        running = Crawler(Config.build(per_host=1, output=[str(out)]), reactor=reactor, urls=urls).run()

        def poll() -> None:
            if not gate.arrived.is_set():
                reactor.callLater(0.01, poll)
                return
            running.cancel()
            running.cancel()
            assert not running.called
            gate.open.set()

        poll()
        return running

    snapshot = on_reactor(kind, start)
    assert isinstance(snapshot, Snapshot), snapshot
    assert (snapshot.done, snapshot.queued, snapshot.in_flight) == (1, 9, 0)
    assert gate.asked == ["/held0"]
    assert len(out.read_text().splitlines()) == 1


def test_draining_has_an_end(gate, nothing_left):
    """What is still in the air after the time of grace is given up, and counts as not fetched."""

    def start(reactor) -> Deferred:
        crawler = Crawler(Config.build(), reactor=reactor, urls=[gate.url()] * 2)
        running = crawler.run()
        assert crawler.pending == 2
        reactor.callLater(0.05, crawler.drain, 0.05)
        return running

    snapshot = on_reactor(SelectReactor, start)
    assert isinstance(snapshot, Snapshot), snapshot
    assert (snapshot.done, snapshot.queued, snapshot.in_flight) == (0, 2, 0)
    gate.open.set()


@contextmanager
def stuck_pipe(path: Path) -> Iterator[int]:
    """A named pipe that somebody has opened, and does not read."""
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        yield reader
    finally:
        os.close(reader)


@pytest.mark.parametrize("options", [{}, {"ordered": True}])
@pytest.mark.parametrize("stop", ["drain", "abort"])
def test_an_output_that_nobody_reads(site, tmp_path, stop, options):
    """It holds up the run, but not its end: the output is given up, which is an error; the others are complete."""
    lines = [f"line {n:05} {'x' * 900}" for n in range(4_000)]
    whole = tmp_path / "out.jsonl"

    def start(reactor) -> Deferred:
        config = Config.build(output=[str(tmp_path / "pipe"), str(whole)], **options)
        crawler = Crawler(config, reactor=reactor, urls=lines)
        running = crawler.run()
        reactor.callLater(0.2, lambda: crawler.drain(0.0) if stop == "drain" else crawler.abort())
        return running

    with stuck_pipe(tmp_path / "pipe"):
        started = time.monotonic()
        failure = on_reactor(SelectReactor, start)
        assert time.monotonic() - started < 3.0
    failure.trap(CodedError)
    assert failure.value.code == "write_error"
    assert "pipe: given up" in failure.value.message
    written = whole.read_text().splitlines()
    assert 500 < len(written) < 4_000, "the slow one held up the run"
    assert all(json.loads(line)["error"]["code"] == "url_invalid" for line in written)
    # Now that the pipe is broken the thread that hung in it ends.
    assert eventually(lambda: not any(thread.name.startswith("write ") for thread in threading.enumerate()))


def test_a_slow_reader_gets_everything(tmp_path):
    """An output that is read slowly, but read, is complete when the run ends, also when it was aborted."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    received: list[bytes] = []

    def read() -> None:
        with pipe.open("rb", buffering=0) as reader:
            while data := reader.read(20_000):
                received.append(data)
                time.sleep(0.001)

    reading = threading.Thread(target=read)
    reading.start()
    lines = [f"line {n}" for n in range(2_000)]
    crawlers: list[Crawler] = []

    def start(reactor) -> Deferred:
        crawlers.append(Crawler(Config.build(output=[str(pipe)]), reactor=reactor, urls=lines))
        running = crawlers[0].run()
        crawlers[0].abort()
        return running

    snapshot = on_reactor(SelectReactor, start)
    reading.join(10)
    assert isinstance(snapshot, Snapshot), snapshot
    assert b"".join(received).count(b"\n") == snapshot.done > 0


def test_a_crawler_runs_once(nothing_left):
    """A second run would find its parts used up."""

    def start(reactor) -> Deferred:
        crawler = Crawler(Config(), reactor=reactor, urls=[])
        running = crawler.run()
        with pytest.raises(RuntimeError, match="runs once"):
            crawler.run()
        return running

    assert isinstance(on_reactor(SelectReactor, start), Snapshot)


@pytest.mark.parametrize(
    ("options", "urls", "error"),
    [
        ({"inputs": ["missing.txt"]}, None, ConfigError),
        ({"output": ["missing/out.jsonl"]}, [], CodedError),
        ({"output": ["out.xml"]}, [], ConfigError),
        ({}, "http://a.example/", TypeError),
    ],
)
def test_a_run_that_cannot_start(tmp_path, monkeypatch, options, urls, error, nothing_left):
    """The Deferred fails with what is wrong, and the sinks are closed even so."""
    monkeypatch.chdir(tmp_path)
    sink = Closing()
    failure = on_reactor(
        SelectReactor, lambda reactor: Crawler(Config.build(**options), reactor=reactor, urls=urls, sinks=[sink]).run()
    )
    failure.trap(error)
    assert sink.closed == 1


def test_inputs_of_the_config(site, tmp_path):
    """Without `urls` a Crawler reads the inputs of its Config."""
    path = tmp_path / "urls.txt"
    path.write_text(f"# mine\n{site.url(HELLO)}\n")
    sink = ListSink()
    config = Config.build(inputs=[str(path), site.url("/missing.html")])
    on_reactor(SelectReactor, lambda reactor: Crawler(config, reactor=reactor, sinks=[sink]).run())
    assert codes(sink.records) == [200, 404]
    assert [(record.input.source, record.input.line) for record in sink.records] == [(str(path), 2), ("arguments", 2)]


def test_a_sink_that_fails(site, nothing_left):
    """Its error ends the run and is the error of the run."""

    class Full(Closing):
        def write(self, record: Record, response: Response | None, sequence: int) -> None:
            raise CodedError("disk_full", "my own sink")

    sink = Full()
    failure = on_reactor(
        SelectReactor,
        lambda reactor: Crawler(Config(), reactor=reactor, urls=[site.url(HELLO)] * 20, sinks=[sink]).run(),
    )
    failure.trap(CodedError)
    assert failure.value.message == "my own sink"
    assert sink.closed == 1


@pytest.mark.parametrize(("limit", "concurrency"), [(64, 32), (100, 50), (300, 236), (100_000, 500)])
def test_concurrency_keeps_to_the_descriptors(monkeypatch, limit, concurrency):
    """What the system does not allow is not tried: each flight takes a socket, and files need some, too."""
    monkeypatch.setattr("crawler.run.parts.descriptor_limit", lambda: limit)
    reactor = SelectReactor()
    try:
        crawler = Crawler(Config.build(concurrency=500), reactor=reactor)
        assert crawler.parts.concurrency == concurrency
    finally:
        for waker in list(reactor._internalReaders):
            reactor.removeReader(waker)
            waker.connectionLost(None)


def test_no_socket_is_left_when_it_hangs(gate):
    """After an abort the server sees its clients go."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(10)
        records = stream([gate.url("/first"), f"http://127.0.0.1:{listener.getsockname()[1]}/"])
        next(records)
        client, _ = listener.accept()
        with client:
            client.settimeout(10)
            assert client.recv(4096).startswith(b"GET / HTTP/1.1")
            records.close()
            with suppress(ConnectionResetError):
                assert client.recv(4096) == b""


def test_no_more_threads(monkeypatch, nothing_left):
    """When the system gives no thread the call says so, and keeps nothing."""

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError, match="new thread"):
        fetch_all(["no URL"])
    with pytest.raises(RuntimeError, match="new thread"):
        list(stream(["no URL"]))
