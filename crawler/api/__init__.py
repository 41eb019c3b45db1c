"""The ways to run it from Python, each on a private reactor in a thread; and Crawler, for Twisted programs."""

from crawler.api.calls import crawl, fetch_all, fetch_all_async, stream
from crawler.run.composition import DRAIN_SECONDS, OUTPUT_SECONDS, Crawler

__all__ = ["DRAIN_SECONDS", "OUTPUT_SECONDS", "Crawler", "crawl", "fetch_all", "fetch_all_async", "stream"]
