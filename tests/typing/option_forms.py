"""Every form that options are documented to take. mypy and pyright read it, and tests/config/test_typed.py runs it.

An error that is not expected, or one that does not come, fails. The files that are named are made by the test.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from crawler import Config, Options, crawl, fetch_all, fetch_all_async, stream
from crawler.config.secrets import Secret

HERE = Path("here")
"""A folder, or what is read from one."""
TEXT = Path("text.txt")

FORMS: list[Options] = [
    # switches and numbers
    {"quiet": True, "progress": False},
    {"concurrency": 8, "per_host": 1, "retries": 0, "procs": 2},
    {"shard": "auto", "shards": 8},
    {"shard": 3},
    {"procs": "auto", "template": "{status} {url}"},
    {"recursive": True, "depth": 2, "max_pages": None},
    {"recursive": True, "scope": "any", "frontier": "redis://h/0", "crawl_id": "spring", "lease": "1m"},
    {"recursive": True, "scope": "any", "frontier": Secret("redis://joe:secret@h/0"), "crawl_id": "spring"},
    {"base": "https://example.org/docs/"},
    # durations and sizes
    {"timeout": 5, "delay": 0.5, "connect_timeout": "1.5s", "dns_timeout": "500ms", "ws_timeout": "2m"},
    {"cache": HERE, "cache_for": "1d"},
    {"max_size": 1 << 20, "max_memory": "1G", "limit_rate": "10MB", "min_rate": "500k"},
    # a rate, a word of several, a method of one's own
    {"rate": "100/s", "rate_per_host": "1/10s", "cookies": "run", "method": "PROPFIND"},
    # text
    {"user_agent": "me (+https://example.com/)", "column": "url", "referer": "https://example.com/", "range": "0-499"},
    # files and folders
    {"bodies": "here", "stats": HERE / "stats.json", "cookie_jar": HERE / "jar"},
    {"output": "a.jsonl"},
    {"output": HERE / "a.jsonl"},
    {"output": ["a.jsonl", HERE / "b.csv"], "inputs": ("urls.txt", "-")},
    {"output": (f"{name}.jsonl" for name in "ab")},
    # one or several
    {
        "recursive": True,
        "include": "/docs/",
        "exclude": ["[?]", "#"],
        "links": "a,img",
        "sitemap": "https://a.example/s",
    },
    {"recursive": True, "links": ["a", "img"], "scope": "prefix"},
    {"recursive": True, "links": {"a"}},
    {"fields": ["url", "data.price"], "accept": "image/*"},
    {"fields": "url,status"},
    {"resolve": "example.com:443:127.0.0.1", "dns_servers": ["9.9.9.9", "127.0.0.1:5353"], "interface": "127.0.0.1"},
    {"insecure_host": ["example.com", "example.com:8443"]},
    {"insecure_host": "example.com", "dns_servers": "9.9.9.9, 127.0.0.1:5353", "resolve": ["*:443:127.0.0.1"]},
    {"pinnedpubkey": "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="},
    {"pinnedpubkey": ("example.com=sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",)},
    {"accept": ["image/*", "text/html"]},
    {"recursive": True, "base": "https://example.com/docs/", "accept_status": "200..=299,403"},
    {"recursive": True, "accept_status": ["403", "500.."]},
    {"recursive": True, "fallback_extensions": "html,htm", "index_files": "index.html,."},
    {"recursive": True, "fallback_extensions": ["html"], "index_files": ["home.html"]},
    {"recursive": True, "sitemap": ["https://a.example/s"]},
    # headers
    {"headers": "X-A: b"},
    {"headers": ["X-A: b", ("X-B", "c"), ["X-C", "d"]]},
    {"headers": {"X-A": "b"}},
    # what is sent
    {"data": "a=1"},
    {"data": TEXT},
    {"data": ["a=1", TEXT]},
    {"data": {"a": 1, "b": ["x", "y"]}},
    {"data": [("a", "1"), ("a", 2)]},
    {"json": {"a": [1, None]}},
    {"json": [1]},
    {"json": TEXT},
    {"json": None},
    {"form": "a=1"},
    {"form": ["a=1", "b=@text.txt"]},
    {"form": {"a": "1", "n": 2, "file": TEXT}},
    {"cookie": "a=1"},
    {"cookie": TEXT},
    {"cookie": ["a=1", TEXT]},
    {"cookie": {"a": "1"}},
    # logins, proxies
    {"user": "joe:secret"},
    {"user": ("joe", "secret")},
    {"user": None, "bearer": "token"},
    {"user": Config.build(user="joe:secret").user},
    {"bearer": Config.build(bearer="token").bearer, "cert": Config.build(cert="here.pem").cert},
    {"auth": Config.build(auth="https://example.org=joe:secret").auth, "cookie": Config.build(cookie="a=1").cookie},
    {"auth": "https://example.org=joe:secret"},
    {"auth": ["https://example.org=joe:secret", "https://example.com=env:LOGIN"]},
    {"cert": "here.pem:secret", "key": HERE / "key.pem", "cacert": "ca.pem"},
    {"proxy": "http://127.0.0.1:3128", "noproxy": "example.com,10.0.0.0/8"},
    {"proxy": Config.build(proxy="http://127.0.0.1:3128").proxy or "", "noproxy": ["example.com"]},
    {"noproxy": ("*",)},
    # extraction
    {"extract": "title=title::text", "extract_all": ["links=a::attr(href)"], "text": "article"},
    {"extract": {"title": "title::text", "links": ["a::attr(href)"], "first": ("h1::text",)}},
    # monitors
    {"dashboard": 0, "metrics": "127.0.0.1:0", "console": "here.sock"},
    {"monitor_address": "0.0.0.0", "monitor_plain": True, "token_file": "token", "monitor_name": "a.example"},
    {"monitor_address": "127.0.0.2", "monitor_name": ["a.example:8443", "b.example"]},
    {"template": "{status} {url}"},
    # tables
    {"hosts": {"example.com": {"concurrency": 2, "delay": "1s", "headers": {"X-A": "b"}, "auth": ("joe", "secret")}}},
    {"hosts": Config.build(hosts={"example.com": {"robots": True, "rate": "1/s", "cookies": "off"}}).hosts},
    # a file of options
    {"config": Path("crawler.toml")},
]

FORBIDDEN: list[Options] = []


def refused(options: Options) -> None:
    """One statement for each: a checker tells the first fault of a list alone."""
    FORBIDDEN.append(options)


refused({"concurrency": "many"})  # type: ignore[typeddict-item]
refused({"concurrency": 8.5})  # type: ignore[typeddict-item]
refused({"concurrency": [8]})  # type: ignore[typeddict-item]
refused({"concurrency": None})  # type: ignore[typeddict-item]
refused({"concurency": 8})  # type: ignore[typeddict-unknown-key]
refused({"robots": "perhaps"})  # type: ignore[typeddict-item]
refused({"robots": None})  # type: ignore[typeddict-item]
refused({"timeout": (3, 30)})  # type: ignore[typeddict-item]
refused({"max_size": 1.5})  # type: ignore[typeddict-item]
refused({"scope": "hosts"})  # type: ignore[typeddict-item]
refused({"recursive": True, "links": ["a", "image"]})  # type: ignore[list-item]
refused({"user_agent": b"me"})  # type: ignore[typeddict-item]
refused({"output": 5})  # type: ignore[typeddict-item]
refused({"headers": 5})  # type: ignore[typeddict-item]
refused({"headers": [("X-A", "b", "c")]})  # type: ignore[list-item]
refused({"user": ("joe", "secret", "more")})  # type: ignore[typeddict-item]
refused({"data": 5})  # type: ignore[typeddict-item]
refused({"form": [("a", "1")]})  # type: ignore[list-item]
refused({"extract": ["title=title::text", 5]})  # type: ignore[list-item]
refused({"dashboard": [8080]})  # type: ignore[typeddict-item]
refused({"hosts": {"example.com": {"dely": 1}}})  # type: ignore[typeddict-unknown-key]
refused({"hosts": {"example.com": {"delay": [1]}}})  # type: ignore[typeddict-item]
refused({"hosts": {"example.com": 5}})  # type: ignore[dict-item]


def every_way_takes_them(urls: list[str], settings: Options) -> Iterator[object]:
    """One type for all of them."""
    yield fetch_all(urls, **settings)
    yield stream(urls, concurrency=8, timeout="5s")
    yield crawl(urls, depth=2, scope="host")
    yield Config.build(**settings)
    fetch_all(urls, concurency=8)  # type: ignore[call-arg]
    stream(urls, concurency=8)  # type: ignore[call-arg]
    crawl(urls, concurency=8)  # type: ignore[call-arg]
    Config.build(concurency=8)  # type: ignore[call-arg]
    fetch_all(urls, concurrency="8 at once")  # type: ignore[arg-type]
    crawl(urls, scope="hosts")  # type: ignore[arg-type]
    Config.build(timeout=[5])  # type: ignore[arg-type]


async def those_of_asyncio_too(urls: list[str], more: dict[str, Any]) -> None:
    """A dict of anything is not looked into."""
    await fetch_all_async(urls, **more)
    await fetch_all_async(urls, concurency=8)  # type: ignore[call-arg]


def mappings_of_others(headers: Mapping[str, str], fields: Mapping[str, str], tables: dict[str, list[str]]) -> Config:
    """What comes from elsewhere has a type of its own, and fits."""
    return Config.build(headers=headers, form=fields, extract=tables, data=fields, cookie=fields)
