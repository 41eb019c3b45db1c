"""Session and AsyncSession: many calls of one run, against the loopback site; what callers get, and what stays behind."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import subprocess
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from loopback import eventually

from crawler import AsyncSession, CodedError, ConfigError, FetchError, Record, Request, Session, fetch_all
from crawler.api import line as lines
from crawler.site import RunningSite, refused_port, running_site

ROOT = Path(__file__).parents[2]
HELLO = "/hello/english.html"
MEMBER = {"csrf": "loopback-form", "user": "demo", "password": "demo"}

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.fixture(scope="module")
def site() -> Iterator[RunningSite]:
    with running_site() as site:
        fetch_all([site.url()])  # whatever a process opens once, it opens now
        yield site


def codes(records: list[Record]) -> list[str | int | None]:
    return [record.status if record.error is None else record.error.code for record in records]


# What one asks, and what one gets


def test_one_pool_and_one_jar(site):
    """A connection is used again by the next call, and a cookie that one call was given goes along with the next."""
    with Session() as session:
        denied = session.fetch(site.url("/members/"))
        assert [hop.status for hop in denied.redirects] == [302]
        session.post(site.url("/members/login"), form=MEMBER).raise_for_status()
        allowed = session.get(site.url("/members/"))
    assert allowed.redirects == ()
    assert allowed.reused
    assert "For members" in allowed.text


def test_one_pool_and_one_jar_in_asyncio(site):
    async def main() -> Record:
        async with Session() as session:
            assert isinstance(session, AsyncSession)
            await session.post(site.url("/members/login"), form=MEMBER)
            return await session.get(site.url("/members/"))

    allowed = asyncio.run(main())
    assert allowed.redirects == ()
    assert allowed.reused


def test_cookies_may_be_off(site):
    with Session(cookies="off") as session:
        session.post(site.url("/members/login"), form=MEMBER)
        assert len(session.get(site.url("/members/")).redirects) == 1


def test_a_login(site):
    """It is asked for before the first call."""
    with Session(login=Request(site.url("/members/login"), form=MEMBER)) as session:
        assert session.get(site.url("/members/")).redirects == ()
    with pytest.raises(CodedError, match="login_failed"), Session(login=Request(site.url("/members/login"), form={})):
        pass


@pytest.mark.parametrize("by", ["parts", "request", "dict"])
def test_what_belongs_to_a_request(site, by):
    """Beside a URL, in a Request or in a dict."""
    url = site.url("/api/search")
    parts = {"json": {"author": "Seneca"}, "headers": {"Authorization": "Bearer loopback-token"}, "meta": 7}
    with Session() as session:
        if by == "parts":
            record = session.fetch(url, **parts)
        else:
            record = session.fetch(Request(url, **parts) if by == "request" else {"url": url, **parts})
    assert (record.method, record.status, record.meta) == ("POST", 200, 7)
    assert {quote["author"] for quote in record.json()["quotes"]} == {"Seneca"}


def test_get_takes_parameters(site):
    with Session() as session:
        assert session.get(site.url("/echo"), params={"a": "b c"}).text.startswith("GET /echo?a=b+c ")
        assert session.fetch(site.url("/echo"), method="put", data="x").method == "PUT"
        with pytest.raises(TypeError, match=r"method: this is GET \(use fetch\)"):
            session.get(site.url("/echo"), method="PUT")
        with pytest.raises(TypeError, match="headers: what belongs to a Request is given with it"):
            session.fetch(Request(site.url("/echo")), headers={})
        with pytest.raises(ValueError, match="json and form: a request has one body"):
            session.post(site.url("/echo"), json=1, form={})


def test_failures_are_records(site):
    """As everywhere: nothing is raised but by raise_for_status."""
    with refused_port() as port, Session(retries=0) as session:
        bad = [f"http://127.0.0.1:{port}/", "no URL", 7, site.url("/missing.html"), {"uri": 1}]
        records = [session.fetch(url) for url in bad]
        assert codes(records) == ["connect_refused", "url_invalid", "url_invalid", 404, "url_invalid"]
        with pytest.raises(FetchError, match="connect_refused"):
            records[0].raise_for_status()


def test_many_in_order(site):
    """fetch_all gives the records in the order of the URLs, whatever takes long."""
    paths = ["/pause.html", HELLO, "/missing.html", "/moved"]
    urls = [site.url(path) for path in paths]

    async def main() -> list[Record]:
        async with Session() as session:
            return await session.fetch_all(iter(urls))

    with Session() as session:
        for records in (asyncio.run(main()), session.fetch_all(urls)):
            assert [record.url for record in records] == urls
            assert codes(records) == [200, 200, 404, 200]


def test_many_as_they_come(site):
    """A stream gives each record as soon as it is there, and takes no more URLs than its window has room for."""
    taken = 0

    def urls() -> Iterator[str]:
        nonlocal taken
        yield site.url("/pause.html")
        for number in range(499):
            taken += 1
            yield site.url(f"/p/{number}.html")

    with Session(concurrency=8) as session:
        records = []
        for record in session.stream(urls()):
            records.append(record)
            assert taken <= len(records) + 2 * 8
    assert codes(records) == [200] * 500
    assert records[0].url != site.url("/pause.html")

    async def main() -> list[Record]:
        async with Session(concurrency=8) as session:
            return [record async for record in session.stream(urls())]

    assert Counter(codes(asyncio.run(main()))) == {200: 500}


@pytest.mark.parametrize("urls", ["http://a.example/", b"x", Request("http://a.example/"), {"url": "x"}, Path("x")])
def test_one_url_is_no_list(urls):
    async def main() -> None:
        async with Session() as session:
            with pytest.raises(TypeError, match=r"an iterable of URLs is wanted, not one .* \(use fetch\)"):
                await session.fetch_all(urls)

    asyncio.run(main())
    with Session() as session:
        for verb in (session.fetch_all, session.stream):
            with pytest.raises(TypeError, match=r"an iterable of URLs is wanted, not one .* \(use fetch\)"):
                verb(urls)


def test_outputs(site, tmp_path):
    """What is written is written of all calls."""
    out = tmp_path / "out.jsonl"
    with Session(output=[out]) as session:
        session.fetch(site.url(HELLO))
        session.fetch_all([site.url("/missing.html")] * 2)
    assert [json.loads(line)["status"] for line in out.read_text().splitlines()] == [200, 404, 404]


def test_one_politeness(site):
    """A delay is that of all calls together, whoever makes them."""

    async def main() -> float:
        async with Session(delay=0.05) as session:
            begun = time.monotonic()
            await asyncio.gather(*(session.fetch(site.url(HELLO)) for _ in range(5)))
            return time.monotonic() - begun

    assert asyncio.run(main()) >= 4 * 0.05


def test_from_many_threads(site):
    """Any number of them may use one session."""
    found: list[int | None] = []

    def work(session: Session, number: int) -> None:
        found.extend(session.fetch(site.url(f"/p/{number * 10 + n}.html")).status for n in range(10))

    with Session() as session:
        threads = [threading.Thread(target=work, args=(session, number)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert found == [200] * 80


def test_one_wake_up_for_many(site, monkeypatch):
    """Waking a thread costs more than fetching a URL: many tasks that ask at once wake the run once."""
    wakes, tells = [], []
    wake, collect = lines.Line.wake, lines.Line.collect
    monkeypatch.setattr(lines.Line, "wake", lambda self: wakes.append(1) or wake(self))
    monkeypatch.setattr(lines.Line, "collect", lambda self: tells.append(1) or collect(self))

    async def main() -> None:
        async with Session(concurrency=100, per_host=100) as session:
            await asyncio.gather(*(session.fetch(site.url(f"/p/{n}.html")) for n in range(1000)))

    asyncio.run(main())
    assert len(wakes) == 1
    assert len(tells) < 500


def test_bodies_that_nobody_takes_are_bounded(site, monkeypatch):
    """While the loop is busy with something else, no more bodies are fetched than have room."""
    monkeypatch.setattr(lines, "CAPACITY_BYTES", 2_000)

    async def main() -> int:
        async with Session(concurrency=4, per_host=4) as session:
            calls = [asyncio.ensure_future(session.fetch(site.url("/p/1.html"))) for _ in range(40)]
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            asked = session._line
            assert eventually(lambda: asked._waiting)
            time.sleep(0.1)  # noqa: ASYNC251 - the loop is busy
            waiting = len(asked._answers)
            assert codes(await asyncio.gather(*calls)) == [200] * 40
            return waiting

    assert asyncio.run(main()) <= 8


# Giving up


def test_a_cancelled_call_closes_its_socket(gate):
    """At once; and the session goes on."""

    async def main() -> None:
        async with Session(per_host=1) as session:
            task = asyncio.create_task(session.fetch(gate.url()))
            assert await asyncio.to_thread(gate.arrived.wait, 10)
            queued = asyncio.create_task(session.fetch(gate.url("/held/queued")))
            await asyncio.sleep(0)
            task.cancel()
            queued.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            with pytest.raises(asyncio.CancelledError):
                await queued
            assert (await session.fetch(gate.url("/free"))).status == 200  # per_host=1: the slot of the first is free

    asyncio.run(main())
    gate.open.set()
    assert gate.asked == ["/held", "/free"]


def test_a_timeout_of_asyncio(gate):
    async def main() -> None:
        async with Session() as session:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await session.fetch(gate.url())
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(session.fetch_all([gate.url()] * 3), 0.05)

    begun = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - begun < 5
    gate.open.set()


def test_what_is_given_up_does_not_hold_the_end(gate):
    """A host's turn may be minutes away: nobody waits for it, so the end does not."""

    async def main() -> None:
        async with Session(delay=600) as session:
            await session.fetch(gate.url("/free"))
            waiting = [asyncio.create_task(session.fetch(gate.url("/free/late"))) for _ in range(3)]
            await asyncio.sleep(0.05)
            for task in waiting:
                task.cancel()

    begun = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - begun < 5
    assert gate.asked == ["/free"]


def test_leaving_a_stream(gate):
    """What is under way for it alone is given up, promptly."""

    async def main() -> None:
        async with Session(concurrency=4) as session:
            async for record in session.stream([gate.url("/free"), *[gate.url()] * 10]):
                assert record.url == gate.url("/free")
                break
            assert (await session.fetch(gate.url("/free"))).ok

    begun = time.monotonic()
    asyncio.run(main())
    with Session(concurrency=4) as session:
        for record in session.stream([gate.url("/free"), *[gate.url()] * 10]):
            assert record.url == gate.url("/free")
            break
    assert time.monotonic() - begun < 5
    gate.open.set()


def test_an_iterable_that_raises(gate):
    """What it gave is given up, and what it raised is raised."""

    def urls() -> Iterator[str]:
        yield gate.url()
        raise KeyError("mine")

    async def main() -> None:
        async with Session() as session:
            with pytest.raises(KeyError):
                await session.fetch_all(urls())
            with pytest.raises(KeyError):
                async for _ in session.stream(urls()):
                    pass

    asyncio.run(main())
    with Session() as session:
        for verb in (session.fetch_all, session.stream):
            with pytest.raises(KeyError):
                list(verb(urls()))
    gate.open.set()


def test_an_asynchronous_iterable(gate, site):
    """It is asked for as it gives, and waits for room; what it raises is raised at once."""
    taken = 0

    async def urls(count: int = 100) -> AsyncIterator[str]:
        nonlocal taken
        for number in range(count):
            await asyncio.sleep(0)
            taken += 1
            yield site.url(f"/p/{number}.html")

    async def breaks() -> AsyncIterator[str]:
        yield gate.url()
        raise KeyError("mine")

    async def main() -> None:
        nonlocal taken
        async with Session(concurrency=4) as session:
            found = []
            taken = 0
            async for record in session.stream(urls()):
                found.append(record)
                assert taken <= len(found) + 2 * 4
            assert codes(found) == [200] * 100
            records = await session.fetch_all(urls(10))
            assert [record.url for record in records] == [site.url(f"/p/{number}.html") for number in range(10)]
            with pytest.raises(KeyError):
                async for _ in session.stream(breaks()):
                    pass
            with pytest.raises(KeyError):
                await session.fetch_all(breaks())
            async for _ in session.stream(urls()):
                break

    asyncio.run(main())
    gate.open.set()


# The end


def test_leaving_waits_for_what_is_under_way(site):
    """What was asked before the end gets its answer."""

    async def main() -> Record:
        async with Session() as session:
            task = asyncio.create_task(session.fetch(site.url("/pause.html")))
            await asyncio.sleep(0)
        return await task

    assert asyncio.run(main()).status == 200


def test_an_error_in_the_block_gives_up(gate):
    """Who leaves by an exception waits for nothing; whoever still waits elsewhere is told, by a record."""

    async def main() -> Record:
        with pytest.raises(KeyError):
            async with Session() as session:
                task = asyncio.create_task(session.fetch(gate.url()))
                assert await asyncio.to_thread(gate.arrived.wait, 10)
                raise KeyError
        return await task

    record = asyncio.run(main())
    assert codes([record]) == ["interrupted"]
    assert record.url == gate.url()
    gate.arrived.clear()
    found = []
    with pytest.raises(KeyError), Session() as session:
        thread = threading.Thread(target=lambda: found.append(session.fetch(gate.url())))
        thread.start()
        assert gate.arrived.wait(10)
        raise KeyError
    thread.join(10)
    assert codes(found) == ["interrupted"]
    gate.open.set()


def test_cancelling_the_end(gate):
    """It gives up what is under way."""

    async def main() -> None:
        session = AsyncSession()
        task = asyncio.create_task(session.fetch(gate.url()))
        assert await asyncio.to_thread(gate.arrived.wait, 10)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await session.aclose()
        assert codes([await task]) == ["interrupted"]

    asyncio.run(main())
    gate.open.set()


def test_use_after_the_end(site):
    """It says so, also while the last calls still run."""
    with Session() as session:
        pass
    for use in (lambda: session.fetch(HELLO), lambda: session.stream([]), session.__enter__):
        with pytest.raises(RuntimeError, match="this Session is closed: make another"):
            use()
    session.close()
    session.abort()

    async def main() -> None:
        async with Session() as session:
            pass
        with pytest.raises(RuntimeError, match="this Session is closed: make another"):
            await session.fetch(site.url(HELLO))
        with pytest.raises(RuntimeError, match="this Session is closed: make another"):
            async with session:
                pass
        await session.aclose()

    asyncio.run(main())


def test_without_with(site):
    """It is opened by the first call; several may be the first."""
    session = Session()
    assert session.fetch(site.url(HELLO)).ok
    session.close()

    async def main() -> None:
        session = AsyncSession()
        records = await asyncio.gather(*(session.fetch(site.url(HELLO)) for _ in range(5)))
        await session.aclose()
        assert codes(records) == [200] * 5

    asyncio.run(main())
    Session().close()  # never opened


def test_the_first_call_may_be_given_up(gate, site):
    """It opens the session for all: that it is cancelled meanwhile is its own affair."""

    async def main() -> None:
        session = AsyncSession()
        calls = [asyncio.ensure_future(session.fetch(site.url(HELLO))) for _ in range(3)]
        await asyncio.sleep(0)
        calls[0].cancel()
        done = await asyncio.gather(*calls, return_exceptions=True)
        assert isinstance(done[0], asyncio.CancelledError)
        assert codes(done[1:]) == [200, 200]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(session.fetch(gate.url()), 0.05)
        assert (await session.fetch(site.url(HELLO))).ok
        await session.aclose()

    asyncio.run(main())


def test_one_that_is_forgotten(site):
    """Python is told, as of a file that was not closed; its thread ends."""
    session = Session()
    session.fetch(site.url(HELLO))
    with pytest.warns(ResourceWarning, match="a Session was not closed"):
        del session
        gc.collect()


def test_an_output_that_fails(site):
    """It ends the run: every call that waits, and every later one, says why."""

    async def main() -> None:
        async with Session(output=["/dev/full"]) as session:
            with pytest.raises(CodedError, match="disk_full"):
                await session.fetch_all([site.url(HELLO)] * 2000)
            with pytest.raises(RuntimeError, match="this Session is closed") as closed:
                await session.fetch(site.url(HELLO))
            assert isinstance(closed.value.__cause__, CodedError)

    with pytest.raises(CodedError, match="disk_full"):
        asyncio.run(main())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"recursive": True}, r"keyword recursive: a Session fetches what it is asked for \(use crawl\(\)\)"),
        ({"job": "x"}, "keyword job: .*a job goes on with its list"),
        ({"inputs": ["x"]}, r"keyword inputs: .*session\.fetch\(url\)"),
        ({"concurency": 1}, "unknown keyword argument .concurency."),
    ],
)
def test_options_that_make_no_sense(options, words):
    with pytest.raises(ConfigError, match=words):
        Session(**options)


def test_outputs_that_cannot_be_opened(tmp_path):
    """It is told when the session is opened."""
    (tmp_path / "there").touch()
    with pytest.raises(ConfigError, match="exists"), Session(output=[tmp_path / "there"]):
        pass

    async def main() -> None:
        async with Session(output=[tmp_path / "there"]):
            pass

    with pytest.raises(ConfigError, match="exists"):
        asyncio.run(main())


def test_another_loop(site):
    """A session belongs to the loop in which it was opened, and says so."""
    session = AsyncSession()
    loop = asyncio.new_event_loop()
    try:
        assert loop.run_until_complete(session.fetch(site.url(HELLO))).ok

        async def elsewhere() -> None:
            with pytest.raises(RuntimeError, match="this Session belongs to another event loop"):
                await session.fetch(site.url(HELLO))

        asyncio.run(elsewhere())
        loop.run_until_complete(session.aclose())
    finally:
        loop.close()


def test_a_loop_that_is_gone(site):
    """Nobody is left who could be told: the run ends by itself."""

    async def main() -> AsyncSession:
        session = AsyncSession()
        asyncio.ensure_future(session.fetch(site.url("/pause.html")))  # noqa: RUF006
        await asyncio.sleep(0.05)
        return session

    session = asyncio.run(main())
    line = session._line
    assert line is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        del session
        gc.collect()
    assert eventually(line.over.done)


def test_a_blocking_one_in_a_coroutine(site):
    """It says what to write."""

    async def main() -> None:
        session = Session()
        with pytest.raises(RuntimeError, match=r"await session\.fetch\(url\), of `async with Session"):
            session.fetch(site.url(HELLO))
        with pytest.raises(RuntimeError, match="use `async with Session"), session:
            pass

    asyncio.run(main())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_fork(site):
    """The threads of a process are not in its child: a session says so, and to close it there waits for nothing."""
    program = f"""
import os, warnings
from crawler import Session
with Session() as session:
    print(session.fetch({site.url(HELLO)!r}).status, flush=True)
    warnings.simplefilter("ignore", DeprecationWarning)
    if os.fork() == 0:
        try:
            session.fetch({site.url(HELLO)!r})
        except RuntimeError as error:
            print(error, flush=True)
        session.close()
        session.abort()
        print("closed", flush=True)
        os._exit(0)
    os.wait()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, cwd=ROOT)
    assert done.stdout.splitlines() == [
        "200",
        "this Session belongs to the process that made this one: make another here",
        "closed",
    ]
    assert done.stderr == ""


def test_ctrl_c(gate):
    """It gives up the call that waits; and by it the session is left."""
    program = f"""
from crawler import Session
try:
    with Session() as session:
        session.fetch({gate.url()!r})
except KeyboardInterrupt:
    print("interrupted")
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert gate.arrived.wait(20)
        process.send_signal(2)
        out, errors = process.communicate(timeout=10)
    assert (out, errors) == ("interrupted\n", "")
    gate.open.set()
