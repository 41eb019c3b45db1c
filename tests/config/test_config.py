"""Config: the table of options, where options come from, which of them counts, and how a Config is written down."""

from __future__ import annotations

import os
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.config.addresses import Interface, NameServer, Pin
from crawler.config.config import NAMES, OPTIONS, Config, ConfigError, Source, resolve
from crawler.config.hosts import HostTables, kinds
from crawler.config.kinds import Choice, Flag, Header, Headers, Line, Many, Option, Path, Seconds, Size, Whole
from crawler.config.machines import CrawlId, StoreUrl
from crawler.config.options.crawl import BaseUrl, Extension, IndexName, LinkKind, Name, Pattern, Statuses
from crawler.config.options.input import ShardNumber
from crawler.config.options.monitor import LoopbackPort, MonitorAddress, MonitorName
from crawler.config.options.network import HostPort, PinnedKeys
from crawler.config.options.output import Fields, MediaRanges, Template
from crawler.config.options.politeness import Processes, Rate
from crawler.config.options.proxy import Hosts, ProxyUrl
from crawler.config.options.request import Data, Field, Json, Method, Range, Referer
from crawler.config.secrets import FilePassword, Hidden, OriginLogin
from crawler.config.sources import from_environment
from crawler.config.text import to_toml
from crawler.models import Record


def refusal(**keywords: object) -> str:
    with pytest.raises(ConfigError) as caught:
        Config.build(**keywords)
    return str(caught.value)


def written(directory: FilePath, text: str, name: str = "crawler.toml") -> str:
    path = directory / name
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.fixture
def in_tmp(tmp_path: FilePath, monkeypatch: pytest.MonkeyPatch) -> FilePath:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# The table


@pytest.mark.parametrize("option", OPTIONS.values(), ids=OPTIONS)
def test_every_option_is_described(option: Option) -> None:
    """An option has a sentence of help, a group, a way to be written, and a metavar if it takes a value."""
    assert len(option.help) > 10
    assert "\n" not in option.help
    groups = {
        "Input",
        "Crawl",
        "Request",
        "Login and TLS",
        "Proxies",
        "Names and addresses",
        "Concurrency and politeness",
        "Limits",
        "Cache",
        "Output",
        "Job",
        "Many machines",
        "Checking links",
        "Shards",
        "Extraction",
        "Monitors",
        "People",
    }
    assert option.group in groups
    assert option.flags or option.name in {"inputs", "hosts"}
    assert bool(option.metavar) is not isinstance(option.kind, Flag)


@pytest.mark.parametrize("option", OPTIONS.values(), ids=OPTIONS)
def test_every_default_is_allowed(option: Option) -> None:
    """A default passes the check that every value passes."""
    for default in (option.default, option.recursive):
        if default is not None:
            assert option.kind.read(default) == default


def test_flags_are_unique() -> None:
    """No flag means two things, opposites included."""
    flags = [flag for option in NAMES.values() for flag in (*option.flags, *option.opposites)]
    assert len(flags) == len(set(flags))


def test_defaults() -> None:
    """Without any source a Config is that of design and README."""
    config = Config.build()
    assert config == Config()
    assert (config.concurrency, config.per_host, config.retries, config.max_redirects) == (64, 8, 2, 10)
    assert (config.timeout, config.connect_timeout, config.headers_timeout, config.max_size) == (60, 10, 20, 10 << 20)
    assert "Mozilla" not in config.user_agent
    assert (config.recursive, config.scope, config.robots, config.delay) == (False, "any", False, 0.0)
    assert config.links == ("a", "area", "refresh")
    assert (config.depth, config.max_pages, config.job, config.extract, config.parse_timeout) == (
        None,
        None,
        None,
        (),
        10.0,
    )


def test_defaults_of_a_crawl(tmp_path: FilePath) -> None:
    """Who follows links is more careful, wherever -r was said; what was said as well counts."""
    careful = {"scope": "host", "per_host": 2, "delay": 0.25, "robots": True}
    assert Config.build(recursive=True) == msgspec.structs.replace(Config(), recursive=True, **careful)
    assert Config.from_toml(written(tmp_path, "recursive = true")) == Config.build(recursive=True)
    path = written(tmp_path, "delay = 3")
    config = Config.build(config=path, recursive=True, robots=False, scope="any", per_host=8)
    assert (config.delay, config.robots, config.scope, config.per_host) == (3.0, False, "any", 8)
    assert Config.build(recursive=False) == Config()


def test_frozen() -> None:
    """A Config is a value: it cannot change under those who read it."""
    with pytest.raises(AttributeError):
        Config().concurrency = 3  # type: ignore[misc]


# Keyword arguments


def test_keywords() -> None:
    """Python gives real types, in the forms that Python people use."""
    config = Config.build(
        inputs=FilePath("urls.txt"),
        concurrency=8,
        timeout=1,
        max_size="2MiB",
        headers={"X-A": "b", "X-B": ""},
        output="out.jsonl",
        fields=["url", "error_code"],
        column=None,
        default_scheme="https",
    )
    assert config == Config(
        inputs=("urls.txt",),
        concurrency=8,
        timeout=1.0,
        max_size=2 << 20,
        headers=("X-A: b", "X-B;"),
        output=("out.jsonl",),
        fields=("url", "error_code"),
    )
    assert config.header_pairs == (("X-A", "b"), ("X-B", ""))


@pytest.mark.parametrize("given", ["a,img", "img a img", ["a", "img"], ("a img",)])
def test_kinds_of_links(given: object) -> None:
    """Words in one text or in several; each counts once."""
    assert sorted(Config.build(recursive=True, links=given).links) == ["a", "img"]


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"concurency": 8}, "unknown keyword argument 'concurency' (did you mean concurrency?)"),
        ({"zzz": 8}, "unknown keyword argument 'zzz'"),
        ({"concurrency": 0}, "keyword concurrency: 0 is not a whole number from 1 to 10,000"),
        ({"method": "GET /"}, "keyword method: 'GET /' is not a method (GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE, or another token)"),
        ({"column": ""}, "keyword column: '' is not one line of text"),
        ({"timeout": None}, "keyword timeout: None is not a time from 0.001 to 86400 seconds (or with a unit: 500ms, 1.5s, 2m, 1h, 1d)"),
        ({"headers": {"Connection": "close"}}, "keyword headers: 'Connection' is refused: it belongs to the connection, which is kept for you"),
        ({"fields": "url,data..x"}, "keyword fields: 'data..x' is no field and no path into one (as data.price, data.tags[0], data[\"a.b\"])"),
        ({"fields": "dato.x"}, "keyword fields: 'dato.x' is not a field of the record (did you mean data?)"),
        ({"fields": "url,statsu"}, "keyword fields: 'statsu' is not a field of the record (did you mean status?)"),
        ({"fields": ","}, "keyword fields: ',' names no field"),
        ({"include": "a("}, "keyword include: 'a(' is not a regular expression (missing ), unterminated subpattern at position 1)"),
        ({"links": "a,b"}, f"keyword links: 'b' is not one of {', '.join(get_args(LinkKind))}"),
        ({"links": ","}, f"keyword links: ',' names none of {', '.join(get_args(LinkKind))}"),
        ({"config": "no-such.toml"}, "keyword config: cannot read 'no-such.toml': No such file or directory"),
    ],
)  # fmt: skip
def test_bad_keywords(keywords: dict[str, object], message: str) -> None:
    """A message names the keyword, the bad value and what is allowed."""
    assert refusal(**keywords) == message


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"quiet": True, "verbose": True}, "keyword quiet: cannot be combined with keyword verbose"),
        ({"depth": 3}, "keyword depth: is for crawls (add -r)"),
        (
            {"recursive": True, "ordered": True},
            "keyword ordered: cannot be combined with keyword recursive (links have no order)",
        ),
        (
            {"recursive": True, "method": "HEAD"},
            "keyword method: cannot be combined with keyword recursive (without bodies there are no links)",
        ),
        (
            {"job": "j", "dry_run": True},
            "keyword dry_run: cannot be combined with keyword job (it would be written there)",
        ),
        ({"job": "j", "output": "-"}, "keyword output: a job cannot go on in a stream (name a file)"),
        ({"output": ["a.jsonl", "./a.jsonl"]}, "keyword output: './a.jsonl' is already an output (keyword output)"),
        (
            {"output": "a.csv", "overwrite_output": "a.csv"},
            "keyword overwrite_output: 'a.csv' is already an output (keyword output)",
        ),
        ({"output": ["-", "-"]}, "keyword output: '-' is already an output (keyword output)"),
        ({"output": "a", "bodies": "./a"}, "keyword bodies: './a' is already an output (keyword output)"),
        ({"inputs": ["u.csv"], "overwrite_output": "./u.csv"}, "keyword overwrite_output: 'u.csv' is also an input"),
    ],
)
def test_options_that_exclude_each_other(keywords: dict[str, object], message: str) -> None:
    """Nothing is written twice at one place, and no output empties an input."""
    assert refusal(**keywords) == message


@pytest.mark.parametrize(
    "keywords",
    [
        {"method": "HEAD", "include_body": True},
        {"per_host": 500, "concurrency": 2},
        {"inputs": ["-"], "output": ["-", "a.jsonl"], "bodies": "bodies"},
        {"inputs": ["https://a/x", "https://a/x"], "output": "x"},
    ],
)
def test_options_that_go_together(keywords: dict[str, object]) -> None:
    """What is odd but harmless is allowed."""
    assert Config.build(**keywords)


def test_output_through_a_link_to_an_input(tmp_path: FilePath) -> None:
    """An input is known under every name."""
    (tmp_path / "urls.txt").touch()
    (tmp_path / "link").symlink_to(tmp_path / "urls.txt")
    message = refusal(inputs=str(tmp_path / "urls.txt"), overwrite_output=str(tmp_path / "link"))
    assert message.endswith("is also an input")


# The environment


def test_environment() -> None:
    """Values are text; lists have one item per line, fields also commas and spaces; other variables do not count."""
    config = Config.from_env(
        {
            "HOME": "/root",
            "CRAWLERS": "1",
            "CRAWLER_CONCURRENCY": "8",
            "CRAWLER_ORDERED": "yes",
            "CRAWLER_ADAPTIVE": "0",
            "CRAWLER_MAX_SIZE": "500k",
            "CRAWLER_TIMEOUT": "500ms",
            "CRAWLER_HEADERS": "X-A: b c\nX-B: d\n",
            "CRAWLER_INPUTS": "my urls.txt\nhttps://example.org/",
            "CRAWLER_FIELDS": "url, status error",
            "CRAWLER_OUTPUT": "",
        }
    )
    assert config == Config(
        concurrency=8,
        ordered=True,
        adaptive=False,
        max_size=500_000,
        timeout=0.5,
        headers=("X-A: b c", "X-B: d"),
        inputs=("my urls.txt", "https://example.org/"),
        fields=("url", "status", "error"),
    )


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"CRAWLER_CONCURENCY": "8"}, "unknown environment variable 'CRAWLER_CONCURENCY' (did you mean CRAWLER_CONCURRENCY?)"),
        ({"CRAWLER_CONCURRENCY": ""}, "CRAWLER_CONCURRENCY: '' is not a whole number from 1 to 10,000"),
        ({"CRAWLER_ORDERED": "maybe"}, "CRAWLER_ORDERED: 'maybe' is not true or false (1, 0, yes, no)"),
        ({"CRAWLER_CONFIG": "no.toml"}, "CRAWLER_CONFIG: cannot read 'no.toml': No such file or directory"),
    ],
)  # fmt: skip
def test_bad_environment(environ: Mapping[str, str], message: str) -> None:
    """A message names the variable; a variable that means nothing is an error and not ignored."""
    with pytest.raises(ConfigError) as caught:
        Config.from_env(environ)
    assert str(caught.value) == message


# The file


def test_file(tmp_path: FilePath) -> None:
    """A TOML file has the options at its top level, in TOML's own types or as text with units."""
    path = written(tmp_path, 'concurrency = 8\ntimeout = "2m"\nheaders = ["X-A: b"]\nordered = true\nmax_size = 4096\n')
    assert Config.from_toml(path) == Config(
        concurrency=8, timeout=120.0, headers=("X-A: b",), ordered=True, max_size=4096
    )


def test_file_with_a_table_of_headers(tmp_path: FilePath) -> None:
    """Headers may be a table."""
    path = written(tmp_path, '[headers]\nX-A = "b"\n')
    assert Config.from_toml(path).headers == ("X-A: b",)


def test_pyproject(tmp_path: FilePath) -> None:
    """In a pyproject.toml the options are those of [tool.crawler]."""
    path = written(tmp_path, '[project]\nname = "x"\n[tool.crawler]\nconcurrency = 8\n', "pyproject.toml")
    assert Config.from_toml(path) == Config(concurrency=8)


def test_pyproject_is_not_read_unasked(in_tmp: FilePath) -> None:
    """A folder's pyproject.toml changes nothing by being there."""
    written(in_tmp, "[tool.crawler]\nconcurrency = 8\n", "pyproject.toml")
    assert Config.build() == Config()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("c.toml", "concurency = 8", "unknown option 'concurency' in c.toml (did you mean concurrency?)"),
        ("c.toml", "per-host = 8", "unknown option 'per-host' in c.toml (did you mean per_host?)"),
        ("c.toml", "config = 'd.toml'", "unknown option 'config' in c.toml"),
        ("c.toml", "method = 'P OST'", "method in c.toml: 'P OST' is not a method (GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE, or another token)"),
        ("c.toml", "delay = -1", "delay in c.toml: -1 is not a time from 0 to 86400 seconds (or with a unit: 500ms, 1.5s, 2m, 1h, 1d)"),
        ("c.toml", "delay = nan", "delay in c.toml: nan is not a time from 0 to 86400 seconds (or with a unit: 500ms, 1.5s, 2m, 1h, 1d)"),
        ("c.toml", "delay", "'c.toml' is not valid TOML: Expected '=' after a key in a key/value pair (at end of document)"),
        ("pyproject.toml", "concurrency = 8", "'pyproject.toml' has no table [tool.crawler]"),
        ("pyproject.toml", "tool = 8", "'pyproject.toml' has no table [tool.crawler]"),
        ("pyproject.toml", "[tool.crawler]\ndelya = 1", "unknown option 'delya' in pyproject.toml (did you mean delay?)"),
    ],
)  # fmt: skip
def test_bad_file(in_tmp: FilePath, name: str, text: str, message: str) -> None:
    """A message names the option and the file."""
    written(in_tmp, text, name)
    with pytest.raises(ConfigError) as caught:
        Config.from_toml(name)
    assert str(caught.value) == message


def test_file_that_is_not_utf8(tmp_path: FilePath) -> None:
    """A file in another encoding is refused in words."""
    path = tmp_path / "c.toml"
    path.write_bytes(b"user_agent = '\xff'")
    with pytest.raises(ConfigError, match="is not valid TOML"):
        Config.from_toml(str(path))


# Precedence


@pytest.mark.parametrize(
    ("arguments", "environ", "file", "expected"),
    [
        ({"concurrency": "1"}, {"CRAWLER_CONCURRENCY": "2"}, "concurrency = 3", (1, "--concurrency")),
        ({}, {"CRAWLER_CONCURRENCY": "2"}, "concurrency = 3", (2, "CRAWLER_CONCURRENCY")),
        ({}, {}, "concurrency = 3", (3, "concurrency in c.toml")),
        ({}, {}, "", (64, None)),
    ],
)
def test_precedence(
    in_tmp: FilePath, arguments: dict[str, object], environ: dict[str, str], file: str, expected: tuple[int, str | None]
) -> None:
    """The command line goes before the environment, that before the file, that before the default."""
    written(in_tmp, file, "c.toml")
    command_line = Source({"config": "c.toml", **arguments}, lambda name: f"--{name}")
    config, origins = resolve(command_line, from_environment(environ, NAMES))
    assert (config.concurrency, origins.get("concurrency")) == expected


def test_precedence_of_file_names(tmp_path: FilePath) -> None:
    """The file named on the command line is read in place of that of the environment, which may then be missing."""
    path = written(tmp_path, "concurrency = 3")
    command_line = Source({"config": path}, lambda name: f"--{name}")
    assert resolve(command_line, from_environment({"CRAWLER_CONFIG": "gone.toml"}, NAMES)).config.concurrency == 3


def test_file_under_keywords(tmp_path: FilePath) -> None:
    """Python may name a file too; other keywords go before it. The environment is not read."""
    path = written(tmp_path, "concurrency = 3\ndelay = 1")
    assert Config.build(config=path, delay=2) == Config(concurrency=3, delay=2.0)


def test_lists_replace_each_other(tmp_path: FilePath) -> None:
    """The list of a stronger source is the whole list."""
    path = written(tmp_path, 'headers = ["X-A: b", "X-C: d"]')
    assert Config.build(config=path, headers="X-E: f").headers == ("X-E: f",)


def test_overruled_values_are_checked(tmp_path: FilePath) -> None:
    """A mistake is told even where a stronger source has the last word."""
    path = written(tmp_path, "concurrency = 0")
    with pytest.raises(ConfigError, match=r"concurrency in .*: 0 is not"):
        Config.build(config=path, concurrency=1)


# to_toml


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)
LINE = st.text(st.characters(codec="utf-8", min_codepoint=0x20, exclude_characters="\x7f"), min_size=1).map(str.strip)
HEADER_NAME = st.from_regex(r"X-[!#$%&'*+.^_`|~0-9A-Za-z-]{1,9}", fullmatch=True)


PIN = "sha256//" + "A" * 43 + "="


def values(option: Option) -> st.SearchStrategy[object]:
    kind = option.kind
    if isinstance(kind, Fields):
        return st.lists(st.sampled_from(Record.__struct_encode_fields__)).map(tuple)
    if isinstance(kind, Template):
        return st.none() | st.sampled_from(["{url}", "{status:>3}\t{data.price}\\n"])
    if isinstance(kind, MediaRanges):
        return st.lists(st.sampled_from(["image/*", "application/pdf", "*/*"]), max_size=3).map(tuple)
    if isinstance(kind, Many):
        return st.lists(one(kind.item), unique=True, max_size=3).map(tuple)
    return one(kind) if option.default is not None else st.none() | one(kind)


def one(kind: object) -> st.SearchStrategy[object]:
    match kind:
        case Flag():
            return st.booleans()
        case Whole(low, high) | Size(low, high):
            return st.integers(low, high)
        case ShardNumber():
            return st.just("auto") | st.integers(0, 999).map(str)
        case Processes(number):
            return st.just("auto") | one(number)
        case Seconds(low, high):
            return st.floats(low, high)
        case Choice(words):
            return st.sampled_from(words)
        case Name():
            return st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,9}", fullmatch=True)
        case BaseUrl():
            return st.sampled_from(["https://example.org/", "http://[::1]:8080/docs/"])
        case Pattern():
            return st.sampled_from(["a", r"\d+/$", "(?i)[ä-ü]", "x{2}|\"'"])
        case OriginLogin():
            return st.just("https://example.org=env:PATH")
        case FilePassword():
            return st.sampled_from(["x.pem", "C:\\x\\:y.pem:env:PATH"])
        case HostPort():
            return st.sampled_from(["a.example", "a.example:8443", "[::1]:443"])
        case PinnedKeys():
            return st.sampled_from([PIN, f"a.example={PIN};{PIN}"])
        case StoreUrl():
            return st.sampled_from(["redis://127.0.0.1:6379/0", "rediss://store.example"])
        case Hidden():
            return st.just("env:PATH")  # one line with a colon
        case ProxyUrl():
            return st.sampled_from(["", "proxy.example", "https://[::1]:3128", "socks5h://proxy.example:9"])
        case Hosts():
            return st.sampled_from(["", "*", "a.example,.b.example 192.0.2.0/24"])
        case Interface():
            return st.sampled_from(["lo", "eth0:1", "127.0.0.1", "::1"])
        case Pin():
            return st.sampled_from(["a.example:443:127.0.0.1", "*:80:[::1],10.0.0.1", "[::1]:8080:127.0.0.1"])
        case NameServer():
            return st.sampled_from(["9.9.9.9:53", "[2620:fe::fe]:5353"])
        case LoopbackPort():
            return st.integers(0, 65_535).map("127.0.0.1:{}".format)
        case Rate():
            return st.sampled_from(["100/m", "0.5/s", "1/10s", "3/d"])
        case HostTables():
            tables = st.fixed_dictionaries({}, optional={key: one(of) for key, of in kinds().items()})
            patterns = st.sampled_from(["a.example", "*.a.example", "a.example:8443", "[::1]:8080"])
            return st.dictionaries(patterns, tables, max_size=3)
        case Headers(item):
            return st.lists(one(item), unique=True, max_size=3)
        case Method():
            return st.sampled_from(["GET", "POST", "M-SEARCH"])
        case Json():
            return st.sampled_from(["{}", "[1, 2]", "@a.json"])
        case Field():
            return st.sampled_from(["a=b", "a=@b;type=x/y", 'a=@"b;c"', "ä=\n"])
        case Data():
            return TEXT
        case Range():
            return st.sampled_from(["0-9", "5-", "-5", "0-1,4-5"])
        case MonitorAddress():
            return st.sampled_from(["127.0.0.2", "::1"])
        case MonitorName():
            return st.sampled_from(["a.example", "a.example:8443", "[::1]:1"])
        case Referer():
            return st.sampled_from(["http://a.example/x?y"])
        case Statuses():
            return st.sampled_from(["403", "200..=299", "..400", "500.."])
        case CrawlId():
            return st.sampled_from(["spring", "a-1.b_2"])
        case Extension():
            return st.sampled_from(["html", ".tar.gz"])
        case IndexName():
            return st.sampled_from(["index.html", "."])
        case Line():
            return LINE.filter(bool)
        case Path():
            return TEXT
        case Header():
            return st.tuples(HEADER_NAME, LINE.filter(lambda text: not text.startswith(("@", "env:")))).map(
                lambda parts: f"{parts[0]}: {parts[1]}" if parts[1] else f"{parts[0]};"
            )
    raise AssertionError(kind)


@settings(max_examples=12)
@given(st.fixed_dictionaries({}, optional={name: values(option) for name, option in OPTIONS.items()}))
def test_toml_round_trip(keywords: dict[str, object]) -> None:
    """What --print-config writes is TOML that gives the same Config again."""
    keywords.pop("verbose", None)  # not beside quiet
    keywords.pop("ipv6", None)  # not beside ipv4
    keywords.pop("bearer", None)  # not beside user
    if not keywords.get("monitor_address"):
        for name in ("monitor_cert", "monitor_plain", "monitor_name"):
            keywords.pop(name, None)
    if keywords.get("monitor_plain"):
        keywords.pop("monitor_cert", None)
    if not keywords.get("monitor_cert"):
        keywords.pop("monitor_key", None)
    if keywords.get("output") or keywords.get("overwrite_output"):
        keywords.pop("template", None)  # no output takes it
    if keywords.get("proxy") is not None:
        keywords.pop("proxy_file", None)
    if not keywords.get("cert"):
        keywords.pop("key", None)
    for name, of in (("bodies_as", "bodies"), ("text_format", "text")):
        if keywords.get(of) is None:
            keywords.pop(name, None)
    if not keywords.get("recursive") or not (keywords.get("frontier") and keywords.get("crawl_id")):
        for name in ("frontier", "crawl_id", "lease"):
            keywords.pop(name, None)
    if keywords.get("frontier"):
        keywords["scope"] = "any"
        refused = ("job", "since", "bodies", "bodies_as", "mirror", "items", "skipped", "dry_run", "template")
        for name in (*refused, "output", "overwrite_output"):
            keywords.pop(name, None)
    if not keywords.get("cache"):
        keywords.pop("cache_for", None)
        keywords.pop("cache_size", None)
    if keywords.get("cookie_jar"):
        keywords.pop("cookies", None)
    if keywords.get("mirror"):
        for name in ("recursive", "bodies", "bodies_as"):
            keywords.pop(name, None)
    crawls = keywords.get("recursive") or keywords.get("mirror")
    if keywords.get("head"):
        keywords.pop("method", None)
    bodies = [name for name in ("data", "json", "form") if keywords.get(name)]
    for name in bodies if keywords.get("head") or keywords.get("method") in {"HEAD", "TRACE"} else bodies[1:]:
        keywords.pop(name)
    for name in (
        ("ordered", "method", "head", "range")
        if crawls
        else [name for name in keywords if OPTIONS[name].group == "Crawl"]
    ):
        keywords.pop(name, None)
    if keywords.get("job"):
        keywords.pop("dry_run", None)
        keywords.pop("warc_max_size", None)
        keywords.update({name: () for name in ("output", "overwrite_output") if "-" in keywords.get(name, ())})
    try:
        config = Config.build(**keywords)
    except ConfigError as error:
        assert "is already an output" in str(error) or "is also an input" in str(error)
        return
    with tempfile.TemporaryDirectory() as directory:
        path = written(FilePath(directory), to_toml(config))
        assert Config.from_toml(path) == config


def test_toml_names_everything() -> None:
    """Each option stands there with its help and default, and one that was set with the place where that was."""
    config, origins = resolve(Source({"concurrency": 8, "column": "href"}, lambda name: f"--{name}"))
    text = to_toml(config, origins)
    for option in OPTIONS.values():
        assert f"\n# {option.help}\n" in text
        begins = (f"\n{option.name} = ", f"\n# {option.name} =\n", f"\n# [{option.name}.")
        assert any(begin in text for begin in begins)
    assert "\n# a whole number from 1 to 10,000; default: 64; from --concurrency\nconcurrency = 8\n" in text
    assert "; default: 10MiB\nmax_size = 10485760\n" in text
    assert '\ncolumn = "href"\n' in text
    assert "\n# bodies =\n" in text


def test_toml_comments_hold_one_line() -> None:
    """The name of a file cannot end the comment that holds it."""
    text = to_toml(Config(concurrency=8), {"concurrency": "concurrency in a\nretries = 9.toml"})
    assert tomllib.loads(text)["retries"] == 2


@pytest.mark.skipif(os.name == "nt", reason="file names are text there")
def test_toml_cannot_hold_every_file_name() -> None:
    """A file name that is not UTF-8 is refused in words and not written wrongly."""
    with pytest.raises(ConfigError, match=r"^inputs: '\\udcff' is not valid UTF-8"):
        to_toml(Config.build(inputs="\udcff"))


def test_config_is_checked_by_type_too() -> None:
    """What goes around `build` still cannot have another type when it is decoded, nor unknown names."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"concurrency": "8"}, Config)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"concurency": 8}, Config)


def test_what_acts_on_a_terminal_is_escaped_in_toml():
    """--print-config shows no control character and nothing that turns the order of reading; the value is the same."""
    hostile = "a\u202eb\u009bc\x7fd\u200be\U000e0041f\u2066g\x1bh\ti\xff"
    config = Config.build(
        inputs=[hostile], user_agent=hostile.replace("\x1b", "").replace("\x7f", "").replace("\t", "")
    )
    text = to_toml(config, {"inputs": hostile})
    assert all(line.isprintable() for line in text.split("\n"))
    assert msgspec.toml.decode(text)["inputs"] == [hostile]
    assert msgspec.toml.decode(text)["user_agent"] == config.user_agent
