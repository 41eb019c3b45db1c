"""The commented file of options that `crawler init` writes, from the tables that --help shows. Pure.

A line that begins with # and no space after it is an option that is off: without the # it is one.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Final

from crawler.cli.usage.help import VALUES, meaning
from crawler.config.hosts import HostTables
from crawler.config.kinds import Choice, Many, Option, Seconds, Size, Whole
from crawler.config.text import toml
from crawler.version import __version__

FIRST: Final = (
    *("inputs", "recursive", "output", "job"),
    *("user_agent", "headers", "concurrency", "per_host", "delay", "timeout", "retries"),
)
"""The options that most set; they stand on top."""

_WIDTH: Final = 100
_EXAMPLES: Final = {
    "inputs": ("urls.txt",),
    "column": "url",
    "shard": "auto",
    "frontier": "redis://localhost/0",
    "crawl_id": "spring",
    "depth": 3,
    "max_pages": 1000,
    "include": ("/docs/",),
    "exclude": ("/private/",),
    "base": "https://example.com/docs/",
    "fallback_extensions": ("html",),
    "sitemap": ("https://example.com/sitemap.xml",),
    "cookie": ("name=value",),
    "data": ("name=value",),
    "json": '{"name": "value"}',
    "form": ("name=value",),
    "referer": "https://example.com/",
    "range": "0-1023",
    "headers": ("Accept-Language: en",),
    "insecure_host": ("localhost",),
    "pinnedpubkey": (f"sha256//{'A' * 43}=",),
    "user": "env:SITE_LOGIN",
    "auth": ("https://example.com=env:SITE_LOGIN",),
    "bearer": "env:SITE_TOKEN",
    "proxy": "http://localhost:3128",
    "noproxy": "localhost,.example.com",
    "resolve": ("example.com:443:127.0.0.1",),
    "dns_servers": ("127.0.0.1:53",),
    "interface": "127.0.0.1",
    "rate": "100/s",
    "rate_per_host": "1/s",
    "limit_rate": "1MiB",
    "max_memory": "1GiB",
    "output": ("records.jsonl",),
    "overwrite_output": ("records.jsonl",),
    "fields": ("url", "status", "title"),
    "template": "{status} {url}",
    "warc_max_size": "1GiB",
    "accept": ("text/html", "image/*"),
    "cache_for": "1d",
    "extract": ("price=.price::text",),
    "extract_all": ("links=a::attr(href)",),
    "text": "main",
    "dashboard": 8080,
    "console": "console.sock",
    "metrics": 9105,
    "monitor_address": "0.0.0.0",  # noqa: S104 - nobody listens there unless told so
    "monitor_name": ("crawler.internal",),
}
"""What may stand where there is no default."""


def config_file(options: Sequence[Option]) -> str:
    """Every option, commented out, with what it does and its default, or an example where there is none."""
    named = {option.name: option for option in options}
    lines = [
        *_comment(
            f"Options of crawler {__version__}. They hold where this file is named: crawler --config crawler.toml ..., "
            "or with CRAWLER_CONFIG=crawler.toml in the environment; it is not read by itself."
        ),
        "#",
        *_comment(
            "A line that begins with # and a name is off. It shows the default, or an example where there is none; "
            "take away the # and change the value."
        ),
        *_comment("The command line goes before this file, and so do CRAWLER_CONCURRENCY=8 and the like."),
        *_comment(VALUES.partition(" Every switch")[0]),
        *("", "", "# === What most set ==="),
    ]
    for name in FIRST:
        lines += _option(named[name])
    tables = [option for option in options if isinstance(option.kind, HostTables)]
    rest = [option for option in options if option.name not in FIRST and option not in tables]
    for group in dict.fromkeys(option.group for option in rest):
        lines += ["", "", f"# === {group} ==="]
        for option in rest:
            if option.group == group:
                lines += _option(option)
    for option in tables:  # after all that is in none
        lines += ["", "", "# === Hosts ===", "", *_comment(meaning(option).replace(" (repeatable)", ""))]
        lines += [f'#[{option.name}."example.com"]', '#delay = "2s"', "#concurrency = 1"]
    return "\n".join(lines) + "\n"


def _option(option: Option) -> Iterator[str]:
    yield ""
    yield from _comment(meaning(option).replace(" (repeatable)", ""))
    yield f"#{option.name} = {toml(_value(option), option.name)}"


def _value(option: Option) -> object:
    """The default as a person would write it, or an example."""
    kind, default = option.kind, option.default
    if default not in {None, ()}:
        return kind.show(default) if isinstance(kind, (Seconds, Size)) else default
    if option.name in _EXAMPLES:
        return _EXAMPLES[option.name]
    if isinstance(kind, Whole):
        return kind.low
    if isinstance(kind, (Seconds, Size)):
        return kind.show(kind.low)
    if isinstance(kind, Choice):
        return kind.values[0]
    return (option.metavar,) if isinstance(kind, Many) else option.metavar


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, _WIDTH - 2, break_on_hyphens=False, break_long_words=False)]
