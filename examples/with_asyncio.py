"""asyncio: the loop goes on while pages are fetched."""

import asyncio
import sys

from crawler import fetch_all_async

SITE = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"


async def main():
    fetching = asyncio.create_task(fetch_all_async([f"{SITE}/p/{number}.html" for number in range(20)]))
    ticks = 0
    while not fetching.done():
        ticks += 1
        await asyncio.sleep(0.01)
    pages = fetching.result()
    print(len(pages), "pages;", "the loop went on meanwhile" if ticks > 1 else "the loop stood still")


asyncio.run(main())
