"""What a call of a Session costs beside fetch_all of the same URLs: CPU of one process, in turns; the server is another.

An application's client: so many calls, spread over tasks of asyncio (or over threads), each of which awaits one after
another. CPU is that of the process, so both threads count, and neither waiting nor the server does.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator

from measure import PAGES, ROOT, about, servers

sys.path.insert(0, str(ROOT))  # the checkout, not what pip installed of it

from crawler import AsyncSession, Record, Session, fetch_all, fetch_all_async, stream_async

Ways = dict[str, Callable[[list[str], int], int]]


def good(records: list[Record]) -> int:
    return sum(record.status == 200 for record in records)


def plain(urls: list[str], tasks: int) -> int:
    return good(fetch_all(urls, concurrency=tasks, per_host=tasks))


def plain_async(urls: list[str], tasks: int) -> int:
    return good(asyncio.run(fetch_all_async(urls, concurrency=tasks, per_host=tasks)))


def streamed(urls: list[str], tasks: int) -> int:
    async def main() -> int:
        return good([record async for record in stream_async(urls, concurrency=tasks, per_host=tasks)])

    return asyncio.run(main())


def in_tasks(urls: list[str], tasks: int) -> int:
    """Each task awaits one call after another, of one Session."""

    async def work(session: AsyncSession, left: Iterator[str]) -> int:
        return good([await session.fetch(url) for url in left])

    async def main() -> int:
        async with Session(concurrency=tasks, per_host=tasks) as session:
            left = iter(urls)
            return sum(await asyncio.gather(*(work(session, left) for _ in range(tasks))))

    return asyncio.run(main())


def in_threads(urls: list[str], tasks: int) -> int:
    found = []
    left, lock = iter(urls), threading.Lock()

    def work(session: Session) -> None:
        while True:
            with lock:
                url = next(left, None)
            if url is None:
                return
            found.append(session.fetch(url))

    with Session(concurrency=tasks, per_host=tasks) as session:
        threads = [threading.Thread(target=work, args=(session,)) for _ in range(tasks)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return good(found)


def at_once(urls: list[str], tasks: int) -> int:
    async def main() -> int:
        async with Session(concurrency=tasks, per_host=tasks) as session:
            return good(await session.fetch_all(urls))

    return asyncio.run(main())


WAYS: Ways = {
    "fetch_all": plain,
    "fetch_all_async": plain_async,
    "stream_async": streamed,
    "Session, tasks": in_tasks,
    "Session, fetch_all": at_once,
    "Session, threads": in_threads,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--urls", type=int, default=10_000)
    parser.add_argument("--tasks", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(about(f"{options.urls:,} calls, {options.tasks} at a time, {options.rounds} rounds, a warm-up before"))
    with servers() as serving:
        base = serving.urls.get("nginx", serving.urls["site"])
        measure([f"{base}/p/{number % PAGES}.html" for number in range(options.urls)], options.tasks, options.rounds)


def measure(urls: list[str], tasks: int, rounds: int) -> None:
    costs: dict[str, list[float]] = {way: [] for way in WAYS}
    for number in range(rounds + 1):
        for way, call in WAYS.items():
            begun = time.process_time()
            fetched = call(urls if number else urls[:tasks], tasks)
            cpu = time.process_time() - begun
            if number:
                costs[way].append(cpu / len(urls) * 1e6)
                if fetched != len(urls):
                    raise SystemExit(f"{way}: {fetched} of {len(urls)} arrived")
    for way, values in costs.items():
        # Of each round by itself: what else the machine does is the same for those that are beside each other.
        times = statistics.median(value / beside for value, beside in zip(values, costs["fetch_all"], strict=True))
        median = statistics.median(values)
        print(f"{way:<20} {min(values):4.0f} us a URL, median {median:4.0f}, {times:.2f} x fetch_all")


if __name__ == "__main__":
    main()
