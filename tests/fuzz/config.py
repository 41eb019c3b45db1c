"""Options as text. The first byte says where they stand: in a TOML file, in the environment, on the command line."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from crawler.cli.usage.flags import parse
from crawler.config.config import NAMES, Config, ConfigError, resolve
from crawler.config.sources import Source
from crawler.config.text import to_toml

TOML, ENVIRONMENT, ARGUMENTS = b"\0", b"\1", b"\2"
SAMPLES = (
    TOML
    + b'inputs = ["urls.txt", "-"]\nconcurrency = 8\ntimeout = "1.5m"\nmax_size = "10MiB"\nheaders = ["A: b", "C;"]\n',
    TOML
    + b'recursive = true\nlinks = "a,img"\ninclude = ["^https://a/"]\nextract = ["t=title::text", "p:int=//p"]\nscope = "host"\n',
    TOML + b'[tool.crawler]\nx = 1979-05-27T07:32:00Z\ny = {a = 1}\nz = """\na\\u0000"""\ndelay = inf\nretries = nan\n',
    TOML
    + b'fields = "url, status"\noutput = ["a.jsonl", "b.csv.gz"]\nbodies = "dir"\njob = "job"\ncsv_raw = "yes"\nuser_agent = "x"\n',
    TOML
    + b'rate = "100/m"\n[hosts."*.a.example:8443"]\ndelay = "1s"\nrate = "1/10s"\nheaders = {X-A = "b"}\nrobots = true\n',
    ENVIRONMENT
    + b"CRAWLER_CONCURRENCY=8\nCRAWLER_HEADERS=A: b\nCRAWLER_FIELDS=url status\nCRAWLER_RECURSIVE=1\nHOME=x",
    ENVIRONMENT
    + b"CRAWLER_OUTPUT=a.jsonl\nCRAWLER_MIN_RATE=1.5k\nCRAWLER_RETRY_AFTER_CAP=.5\nCRAWLER_CONFIG=no.toml\nCRAWLER_X=1",
    ARGUMENTS + b"-c\n8\n--header\nA: b\nurls.txt\n-t500ms\n--no-adaptive\n-o\nout.jsonl\n--\n-x\n",
    ARGUMENTS
    + b"-r\nhttp://a/\n--scope=domain\n--exclude\n(a+)+$\n--extract-all\nq=re:(a)\n--max-pages\n10\n-qv\n--fields=url,links",
)
TOKENS = (
    b"\n", b"=", b"--", b"-", b"-c", b"-r", b"-q", b"-o", b"--no-", b"--config=no.toml", b'"', b"'", b"[", b"]", b"{", b"}", b",", b"#",
    b"0", b"-1", b"1e999", b"nan", b"inf", b"true", b"99999999999999999999", b"9" * 5000, b"\\u0000", b"\\ud800", b"\x00", b"\xff",
    b"\xc2\xa0", b"\xd9\xa1", b"1.5", b"k", b"MiB", b"ms", b"h", b"A: b", b"Host: x", b"A:\tb", b"CRAWLER_", b"CRAWLER_DELAY=", b"(", b"*",
    b"title=title::text", b"x:int=", b"re:", b"//a", b"jmespath:", b"demo", b"\xe2\x80\xae", b"a.", b"[[", b"0x10", b"1_000",
)  # fmt: skip


def fuzz(data: bytes) -> None:
    if not data:
        return
    reading = (_from_toml, _from_environment, _from_arguments)[data[0] % 3]
    try:
        config = reading(data[1:])
    except ConfigError as error:
        message = str(error)
        assert message
        assert len(message) < 4000, "a message is for people"
        return
    try:
        text = to_toml(config)
    except ConfigError:  # the name of a file that is not UTF-8
        return
    assert _from_toml(text.encode()) == config


def _from_toml(data: bytes) -> Config:
    with TemporaryDirectory() as folder:
        path = Path(folder, "pyproject.toml" if data.startswith(b"[tool") else "config.toml")
        path.write_bytes(data)
        return Config.from_toml(str(path))


def _from_environment(data: bytes) -> Config:
    lines = data.replace(b"\0", b"").decode("utf-8", "surrogateescape").split("\n")
    return Config.from_env(dict(line.split("=", 1) for line in lines if "=" in line))


def _from_arguments(data: bytes) -> Config:
    arguments = data.replace(b"\0", b"").decode("utf-8", "surrogateescape").split("\n")
    written = parse(arguments)
    return resolve(Source({name: raw for name, raw in written.values.items() if name in NAMES}, written.label)).config
