"""A concurrent URL fetcher and crawler: one truthful record for every URL, whatever the network does.

from crawler import fetch_all

for record in fetch_all(["https://example.com/", "https://example.org/"]):
    print(record.url, record.status, record.error)
"""

import os
import sys

# `python -m crawler` has Python import from the current folder first, as if a `msgspec.py` in it, a stranger's or one
# that a crawl has saved, were ours. Before anything else is imported, even __future__, it is left out, as Python's own
# -P does; should we ourselves come from there, it goes to the end. A program that imports us keeps its folder.
if sys.argv[:1] == ["-m"] and not sys.flags.safe_path and sys.path[:1] == [os.getcwd()]:  # noqa: PTH109
    _word = sys.orig_argv[-len(sys.argv)]  # `-m crawler`, or `-mcrawler`
    _module = _word.partition("m")[2] if _word.startswith("-") else _word
    if _module.partition(".")[0] == "crawler":
        _current = sys.path.pop(0)
        if __file__.startswith(os.path.join(_current, "")):  # noqa: PTH118
            sys.path.append(_current)

from typing import TYPE_CHECKING, Any

from crawler.version import __version__

if TYPE_CHECKING:
    from crawler.api import Crawler, crawl, crawl_async, fetch_all, fetch_all_async, stream, stream_async
    from crawler.api.asynchronous import AsyncSession
    from crawler.api.session import Session
    from crawler.config.config import Config
    from crawler.config.sources import ConfigError
    from crawler.config.typed import Options
    from crawler.errors import CODES, CodedError
    from crawler.models import FetchError, Record
    from crawler.page.page import Page
    from crawler.seeds.asked import Request
    from crawler.sinks.tables.arrow import records_table
    from crawler.spiders.spider import Spider
    from crawler.stats.stats import Snapshot

__all__ = [
    "CODES",
    "AsyncSession",
    "CodedError",
    "Config",
    "ConfigError",
    "Crawler",
    "FetchError",
    "Options",
    "Page",
    "Record",
    "Request",
    "Session",
    "Snapshot",
    "Spider",
    "__version__",
    "crawl",
    "crawl_async",
    "fetch_all",
    "fetch_all_async",
    "records_table",
    "stream",
    "stream_async",
]

_HOME = {
    "AsyncSession": "api.asynchronous",
    "CODES": "errors",
    "CodedError": "errors",
    "Config": "config.config",
    "ConfigError": "config.sources",
    "Crawler": "api",
    "FetchError": "models",
    "Options": "config.typed",
    "Page": "page.page",
    "Record": "models",
    "Request": "seeds.asked",
    "Spider": "spiders.spider",
    "Session": "api.session",
    "Snapshot": "stats.stats",
    "crawl": "api",
    "crawl_async": "api",
    "fetch_all": "api",
    "fetch_all_async": "api",
    "records_table": "sinks.tables.arrow",
    "stream": "api",
    "stream_async": "api",
}


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: `python -m crawler --help` shall not wait for Twisted (PEP 562)."""
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'crawler' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"crawler.{home}"), name)
