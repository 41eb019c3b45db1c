"""The ways to run it from Python, each on a private reactor in a thread; and Crawler, for Twisted programs."""

from crawler.api.calls import crawl, crawl_async, fetch_all, fetch_all_async, stream, stream_async
from crawler.run.composition import DRAIN_SECONDS, OUTPUT_SECONDS, Crawler

__all__ = [
    "DRAIN_SECONDS",
    "OUTPUT_SECONDS",
    "Crawler",
    "asynchronous",
    "crawl",
    "crawl_async",
    "fetch_all",
    "fetch_all_async",
    "session",
    "stream",
    "stream_async",
]
